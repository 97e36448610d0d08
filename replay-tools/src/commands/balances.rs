//! `balances`: balances of accounts, computed from the journal alone.

use std::io::Write;

use cauri_domain::account::AccountKind;
use cauri_domain::ids::AccountAddress;
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
    /// Only accounts at or below this address, as `merchants:awa`.
    prefix: Option<AccountAddress>,
    /// Count what takes effect at or before this instant (RFC 3339).
    #[arg(long, value_name = "INSTANT")]
    as_of: Option<Timestamp>,
    /// Count what was recorded up to this position.
    #[arg(long, value_name = "POSITION", value_parser = position)]
    known_at: Option<Position>,
    /// One JSON document instead of a table.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<Exit, CommandError> {
    let Arguments { origin, prefix, as_of, known_at, json } = arguments;
    let balances = Balances::replay(origin, *as_of, *known_at)?;
    let accounts = balances.accounts(prefix.as_ref().map(AccountAddress::as_str));
    if let (Some(prefix), true) = (prefix, accounts.is_empty()) {
        return Err(CommandError::NotFound(format!("no account stands at or below {prefix}")));
    }
    let sums = sums(&accounts);
    if *json {
        write_json(out, &document(&balances, &accounts, &sums))?;
        return Ok(Exit::Well);
    }
    writeln!(out, "{}", balances.heading())?;
    let figures = ["balance", "held to leave", "held to arrive", "available"].map(|name| (name, Lean::Right));
    let words = [("account", Lean::Left), ("kind", Lean::Left), ("currency", Lean::Left)];
    let mut table = Table::new(&[&words[..], &figures[..]].concat());
    for account in &accounts {
        let (totals, kind, currency) = (&account.totals, account.kind, account.currency);
        let figures = [totals.balance(kind), totals.outgoing(kind), totals.incoming(kind), totals.available(kind)];
        let words = [account.address.to_string(), kind.to_string(), currency.to_string()];
        table.row(words.into_iter().chain(figures.map(|figure| amount(figure, currency))));
    }
    table.line();
    for (currency, kind, figures) in &sums {
        let words = ["sum".to_owned(), kind.to_string(), currency.to_string()];
        table.row(words.into_iter().chain(figures.map(|figure| amount(figure, *currency))));
    }
    write!(out, "{}", table.text(""))?;
    Ok(Exit::Well)
}

/// Balance, held to leave, held to arrive and available, per currency and kind: kinds have opposite sides.
type Sum = (Currency, AccountKind, [i128; 4]);

fn sums(accounts: &[&Account]) -> Vec<Sum> {
    let mut sums: Vec<Sum> = Vec::new();
    for account in accounts {
        let (totals, kind) = (&account.totals, account.kind);
        let figures = [totals.balance(kind), totals.outgoing(kind), totals.incoming(kind), totals.available(kind)];
        match sums.iter_mut().find(|(currency, of_kind, _)| (*currency, *of_kind) == (account.currency, kind)) {
            Some((.., sum)) => sum.iter_mut().zip(figures).for_each(|(sum, figure)| *sum += figure),
            None => sums.push((account.currency, kind, figures)),
        }
    }
    sums.sort_by_key(|(currency, kind, _)| (*currency, *kind));
    sums
}

fn document(balances: &Balances, accounts: &[&Account], sums: &[Sum]) -> Value {
    let accounts: Vec<Value> = accounts
        .iter()
        .map(|account| {
            let (totals, kind, shown) = (&account.totals, account.kind, |minor| plain(minor, account.currency));
            json!({
                "address": account.address,
                "kind": kind,
                "currency": account.currency,
                "status": account.state.status(),
                "debits_posted": shown(totals.debits_posted),
                "credits_posted": shown(totals.credits_posted),
                "debits_pending": shown(totals.debits_pending),
                "credits_pending": shown(totals.credits_pending),
                "balance": shown(totals.balance(kind)),
                "available": shown(totals.available(kind)),
            })
        })
        .collect();
    let sums: Vec<Value> = sums
        .iter()
        .map(|(currency, kind, [balance, outgoing, incoming, available])| {
            let shown = |minor: &i128| plain(*minor, *currency);
            json!({
                "currency": currency,
                "kind": kind,
                "balance": shown(balance),
                "held_to_leave": shown(outgoing),
                "held_to_arrive": shown(incoming),
                "available": shown(available),
            })
        })
        .collect();
    json!({
        "cauri_balances": 1,
        "journal": balances.replayed.journal,
        "known_at": balances.replayed.head,
        "as_of": balances.as_of,
        "accounts": accounts,
        "sums": sums,
    })
}
