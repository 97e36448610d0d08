//! The public PaySim layout as accounts and entries.
//!
//! PaySim (Lopez-Rojas, Elmir, Axelsson 2016) simulates a mobile-money service: one row a payment, with the
//! balances of both parties before and after. A row becomes up to two accounts, an opening balance for each
//! wallet that is seen for the first time, and an entry dated `step` hours after the set's first hour.
//!
//! | type | debit | credit |
//! |---|---|---|
//! | `CASH_IN` | `agents:NAME_DEST:cash` | the customer's wallet |
//! | `CASH_OUT` | the customer's wallet | `agents:NAME_DEST:cash` |
//! | `PAYMENT` | the customer's wallet | `merchants:NAME_DEST:available` |
//! | `TRANSFER` | the customer's wallet | the other customer's wallet |
//! | `DEBIT` | the customer's wallet | `banks:NAME_DEST:settlement` |
//!
//! Customers' and merchants' accounts are liabilities with a floor of zero, so a row that spends more than its
//! wallet has is refused, as a real ledger would: in the public set many fraudulent rows do.

use std::collections::HashSet;
use std::io::Read;

use cauri_domain::money::{Currency, decimal_string};
use cauri_domain::time::Timestamp;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use crate::Failed;
use crate::load::Item;

/// The hour that step 0 stands for; in the past, because entries may not be dated far ahead.
const FIRST_HOUR: &str = "2026-01-01T00:00:00Z";
/// The account that opening balances come from.
const OPENING: &str = "equity:opening-balances";
const COLUMNS: [&str; 9] =
    ["step", "type", "amount", "nameOrig", "oldbalanceOrg", "newbalanceOrig", "nameDest", "oldbalanceDest", "newbalanceDest"];

/// Reads rows and gives the commands that they become.
pub fn read(source: impl Read, currency: Currency, key: &str, take: &mut dyn FnMut(Item) -> Result<(), Failed>) -> Result<(), Failed> {
    if currency.exponent() < 2 {
        return Err(format!("PaySim's amounts have two digits after the point; {currency} has {}", currency.exponent()).into());
    }
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(source);
    let header: Vec<String> = reader.headers()?.iter().map(str::to_owned).collect();
    if !COLUMNS.iter().zip(&header).all(|(wanted, found)| wanted == found) || header.len() < COLUMNS.len() {
        return Err(format!("line 1: the columns are {}; PaySim's are {} …", header.join(","), COLUMNS.join(",")).into());
    }
    let mut set = PaySim { currency, key, opened: HashSet::new(), first_hour: FIRST_HOUR.parse()? };
    let mut record = csv::ByteRecord::new();
    loop {
        match reader.read_byte_record(&mut record) {
            Ok(false) => return Ok(()),
            Ok(true) => {}
            Err(error) if error.is_io_error() => return Err(error.into()),
            Err(error) => {
                let line = error.position().map_or(0, csv::Position::line);
                take(Item::Bad { line, reason: error.to_string() })?;
                continue;
            }
        }
        let (line, read) = (record.position().map_or(0, csv::Position::line), reader.position().byte());
        match set.commands(line, &record) {
            Ok(commands) => commands.into_iter().try_for_each(|command| take(Item::Command { command, read }))?,
            Err(reason) => take(Item::Bad { line, reason })?,
        }
    }
}

struct PaySim<'a> {
    currency: Currency,
    key: &'a str,
    opened: HashSet<String>,
    first_hour: Timestamp,
}

impl PaySim<'_> {
    fn commands(&mut self, line: u64, record: &csv::ByteRecord) -> Result<Vec<Value>, String> {
        let field = |index: usize| {
            let bytes = record.get(index).ok_or_else(|| format!("there is no {}; the row has {} columns", COLUMNS[index], record.len()))?;
            std::str::from_utf8(bytes).map_err(|_| format!("{} is not UTF-8", COLUMNS[index]))
        };
        let step: i64 = field(0)?.parse().map_err(|_| format!("step is {:?}, not a number of hours", field(0).unwrap_or_default()))?;
        let amount = self.amount(field(2)?, COLUMNS[2])?;
        let (origin, destination) = (name(field(3)?)?, name(field(6)?)?);
        let customer = format!("customers:{origin}:wallet");
        let agent = format!("agents:{destination}:cash");
        let (debit, credit) = match field(1)? {
            "CASH_IN" => (agent, customer.clone()),
            "CASH_OUT" => (customer.clone(), agent),
            "PAYMENT" => (customer.clone(), format!("merchants:{destination}:available")),
            "TRANSFER" => (customer.clone(), format!("customers:{destination}:wallet")),
            "DEBIT" => (customer.clone(), format!("banks:{destination}:settlement")),
            other => return Err(format!("type is {other:?}; PaySim has CASH_IN, CASH_OUT, PAYMENT, TRANSFER and DEBIT")),
        };
        let before = [
            (customer, self.amount(field(4)?, COLUMNS[4])?),
            (format!("customers:{destination}:wallet"), self.amount(field(7)?, COLUMNS[7])?),
        ];

        let at = self.first_hour.saturating_add_secs(step.clamp(0, 100_000) * 3_600);
        let mut commands = Vec::new();
        self.open(OPENING, "equity", &mut commands);
        for address in [&debit, &credit] {
            let kind = if address.starts_with("agents:") || address.starts_with("banks:") { "asset" } else { "liability" };
            if self.open(address, kind, &mut commands)
                && let Some((_, balance)) = before.iter().find(|(wallet, balance)| wallet == address && !balance.is_zero())
            {
                commands.push(json!({
                    "op": "post_entry",
                    "idempotency_key": format!("paysim-{}-balance-{address}", self.key),
                    "effective_at": self.first_hour,
                    "reference": "opening balance",
                    "transfers": [{ "debit": OPENING, "credit": address, "amount": self.money(*balance) }],
                }));
            }
        }
        let fraud = record.get(9).is_some_and(|flag| flag == b"1");
        commands.push(json!({
            "op": "post_entry",
            "idempotency_key": format!("paysim-{}-{line}", self.key),
            "effective_at": at,
            "reference": format!("row {line}"),
            "dimensions": { "type": field(1)?.to_lowercase(), "fraud": if fraud { "yes" } else { "no" } },
            "transfers": [{ "debit": debit, "credit": credit, "amount": self.money(amount) }],
        }));
        Ok(commands)
    }

    /// Opens an account that was not seen before; false where it was.
    fn open(&mut self, address: &str, kind: &str, commands: &mut Vec<Value>) -> bool {
        if !self.opened.insert(address.to_owned()) {
            return false;
        }
        let limits = if kind == "liability" { json!({ "floor": "0" }) } else { json!({}) };
        commands.push(json!({
            "op": "open_account",
            "idempotency_key": format!("paysim-{}-open-{address}", self.key),
            "address": address,
            "kind": kind,
            "currency": self.currency,
            "limits": limits,
        }));
        true
    }

    fn amount(&self, text: &str, column: &str) -> Result<Decimal, String> {
        let amount = decimal_string::parse(text).ok_or_else(|| format!("{column} is {text:?}, not a decimal such as 1250.50"))?;
        Ok(amount.normalize())
    }

    fn money(&self, amount: Decimal) -> Value {
        json!({ "amount": amount.to_string(), "currency": self.currency })
    }
}

/// A party's name as a segment of an address.
fn name(text: &str) -> Result<&str, String> {
    let valid = !text.is_empty() && text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if valid { Ok(text) } else { Err(format!("{text:?} is no name of a party such as C1231006815 or M1979787155")) }
}
