//! `trial-balance`: debits and credits of every account, and their sums per currency, computed from the journal alone.

use std::io::Write;

use cauri_domain::money::Currency;
use cauri_domain::time::Timestamp;
use cauri_event_schemas::Position;
use clap::Args;
use serde_json::{Value, json};

use super::{CommandError, Exit, position, write_json};
use crate::balance::Balances;
use crate::ledger::Account;
use crate::origin::Origin;
use crate::shown::{Lean, Table, amount, plain};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    origin: Origin,
    /// Count what takes effect at or before this instant (RFC 3339).
    #[arg(long, value_name = "INSTANT")]
    as_of: Option<Timestamp>,
    /// Count what was recorded up to this position.
    #[arg(long, value_name = "POSITION", value_parser = position)]
    known_at: Option<Position>,
    /// One JSON document instead of tables.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<Exit, CommandError> {
    let Arguments { origin, as_of, known_at, json } = arguments;
    let balances = Balances::replay(origin, *as_of, *known_at)?;
    let accounts = balances.accounts(None);
    let currencies = Balances::currencies(&accounts);
    let sheets: Vec<Sheet> = currencies.into_iter().map(|currency| Sheet::of(currency, &accounts)).collect();
    let balanced = sheets.iter().all(Sheet::balances);
    if *json {
        let sheets: Vec<Value> = sheets.iter().map(Sheet::document).collect();
        let document = json!({
            "cauri_trial_balance": 1,
            "journal": balances.replayed.journal,
            "known_at": balances.replayed.head,
            "as_of": balances.as_of,
            "balanced": balanced,
            "currencies": sheets,
        });
        write_json(out, &document)?;
    } else {
        write!(out, "{}", balances.heading())?;
        for sheet in &sheets {
            write!(out, "\n{}", sheet.text())?;
        }
    }
    Ok(if balanced { Exit::Well } else { Exit::Wrong })
}

/// The trial balance in one currency.
struct Sheet<'a> {
    currency: Currency,
    accounts: Vec<&'a Account>,
    // Debits, credits, debit balances, credit balances.
    sums: [i128; 4],
}

impl<'a> Sheet<'a> {
    fn of(currency: Currency, accounts: &[&'a Account]) -> Self {
        let accounts: Vec<&Account> = accounts.iter().filter(|account| account.currency == currency).copied().collect();
        let mut sums = [0; 4];
        for account in &accounts {
            sums.iter_mut().zip(figures(account)).for_each(|(sum, figure)| *sum += figure);
        }
        Self { currency, accounts, sums }
    }

    fn balances(&self) -> bool {
        self.sums[0] == self.sums[1] && self.sums[2] == self.sums[3]
    }

    fn text(&self) -> String {
        let columns = ["debits", "credits", "debit balance", "credit balance"].map(|name| (name, Lean::Right));
        let heading = format!("{} account", self.currency);
        let mut table = Table::new(&[&[(heading.as_str(), Lean::Left), ("kind", Lean::Left)], &columns[..]].concat());
        for account in &self.accounts {
            let words = [account.address.to_string(), account.kind.to_string()];
            table.row(words.into_iter().chain(figures(account).map(|figure| self.shown(figure))));
        }
        table.line();
        let words = ["sum".to_owned(), if self.balances() { "balanced" } else { "NOT BALANCED" }.to_owned()];
        table.row(words.into_iter().chain(self.sums.map(|sum| amount(sum, self.currency))));
        table.text("")
    }

    /// A column that is empty for an account stays empty.
    fn shown(&self, figure: i128) -> String {
        if figure == 0 { String::new() } else { amount(figure, self.currency) }
    }

    fn document(&self) -> Value {
        let row = |[debits, credits, debit_balance, credit_balance]: [i128; 4]| {
            json!({
                "debits": plain(debits, self.currency),
                "credits": plain(credits, self.currency),
                "debit_balance": plain(debit_balance, self.currency),
                "credit_balance": plain(credit_balance, self.currency),
            })
        };
        let accounts: Vec<Value> = self
            .accounts
            .iter()
            .map(|account| {
                let mut shown = row(figures(account));
                shown["address"] = json!(account.address);
                shown["kind"] = json!(account.kind);
                shown
            })
            .collect();
        json!({ "currency": self.currency, "balanced": self.balances(), "accounts": accounts, "sums": row(self.sums) })
    }
}

fn figures(account: &Account) -> [i128; 4] {
    let net = account.totals.net_debit();
    [account.totals.debits_posted, account.totals.credits_posted, net.max(0), (-net).max(0)]
}
