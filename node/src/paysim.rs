//! PaySim: a month of simulated mobile money as CSV, read as commands.
//!
//! PaySim's balances are not a ledger: most of its rows do not add up. Of a row the type, the amount, the parties and the
//! hour are used, and the balance before it once: as the opening balance of a customer who pays for the first time.
//!
//! | row | debit | credit |
//! |---|---|---|
//! | `CASH_IN` | `agents:<nameDest>:float` | `customers:<nameOrig>:wallet` |
//! | `CASH_OUT` | `customers:<nameOrig>:wallet` | `agents:<nameDest>:float` |
//! | `PAYMENT` | `customers:<nameOrig>:wallet` | `merchants:<nameDest>:available` |
//! | `TRANSFER` | `customers:<nameOrig>:wallet` | `customers:<nameDest>:wallet` |
//! | `DEBIT` | `customers:<nameOrig>:wallet` | `banks:<nameDest>:settlement` |
//! | first row of a payer | `equity:paysim:opening` | `customers:<nameOrig>:wallet` |
//!
//! Customers and merchants have a floor of zero, agents and banks none: what they hold is outside of PaySim.
//! PaySim names no currency. The default is USD because its amounts have two decimals, which USD keeps as they are; a
//! currency with fewer is possible, and amounts are then rounded half to even.
//!
//! Keys follow the import rule: the command of a row gets the key of the row's content, an account is opened once, and a payer
//! has one opening balance, whatever else the file holds: that of its own first row, whether or not rows of others moved
//! money to it before. A file that gives a payer another opening balance is refused that command, because its key was used.
//! A first row with the balance 0 posts none and uses no key: a file that begins behind that row does.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::{self, Read};

use cauri_domain::money::{Currency, Money};
use cauri_domain::time::Timestamp;
use cauri_import::finding::BadLine;
use cauri_import::key::Content;
use cauri_import::row::{Draft, Row};
use rust_decimal::Decimal;
use serde_json::{Value, json};

/// The columns, in this order.
const HEADER: [&str; 11] = [
    "step",
    "type",
    "amount",
    "nameOrig",
    "oldbalanceOrg",
    "newbalanceOrig",
    "nameDest",
    "oldbalanceDest",
    "newbalanceDest",
    "isFraud",
    "isFlaggedFraud",
];
/// Hour 0 of every file: 2025-01-01T00:00:00Z, so that its 31 days lie in the past.
const HOUR_ZERO: i64 = 1_735_689_600;
/// Hours of a step; a file has 743.
const MOST_STEPS: i64 = 20_000;

/// The commands of a file, row by row.
///
/// # Errors
/// When the first line is not PaySim's header.
pub fn rows<R: Read>(reader: R, currency: Currency) -> Result<impl Iterator<Item = io::Result<Row>> + use<R>, String> {
    let mut csv = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(reader);
    let header = csv.byte_headers().map_err(|error| error.to_string())?;
    if header.iter().ne(HEADER.iter().map(|name| name.as_bytes())) {
        let found: Vec<_> = header.iter().map(String::from_utf8_lossy).collect();
        return Err(format!("this is no file of PaySim: its first line is `{}`, not `{}`", found.join(","), HEADER.join(",")));
    }
    let mut chart = Chart { currency, known: HashSet::new(), payers: HashSet::new() };
    let rows = csv.into_byte_records().map(move |record| {
        let record = match record {
            Ok(record) => record,
            Err(error) if !error.is_io_error() => {
                let line = error.position().map_or(0, csv::Position::line);
                return Ok(Err(BadLine { line, detail: format!("this is no row of CSV: {error}") }));
            }
            Err(error) => return Err(error.into()),
        };
        let line = record.position().map_or(0, csv::Position::line);
        let row = Transaction::of(&record, currency).map_err(|detail| BadLine { line, detail });
        Ok(row.map(|row| chart.commands(line, &row)))
    });
    Ok(rows)
}

/// What a row says.
struct Transaction {
    step: i64,
    kind: Kind,
    amount: Money,
    origin: String,
    opening: Money,
    destination: String,
    fraud: bool,
    flagged: bool,
    /// The balances that are read and not used.
    unused: [Money; 3],
}

/// The five types of transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    CashIn,
    CashOut,
    Payment,
    Transfer,
    Debit,
}

impl Kind {
    const ALL: [(&'static str, &'static str, Kind); 5] = [
        ("CASH_IN", "cash_in", Kind::CashIn),
        ("CASH_OUT", "cash_out", Kind::CashOut),
        ("PAYMENT", "payment", Kind::Payment),
        ("TRANSFER", "transfer", Kind::Transfer),
        ("DEBIT", "debit", Kind::Debit),
    ];

    fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, _, kind)| *kind == self).map_or("other", |(_, name, _)| name)
    }
}

impl Transaction {
    fn of(record: &csv::ByteRecord, currency: Currency) -> Result<Self, String> {
        if record.len() != HEADER.len() {
            return Err(format!("{} columns where {} are wanted", record.len(), HEADER.len()));
        }
        let text = |column: usize| {
            let bytes = record.get(column).unwrap_or_default();
            std::str::from_utf8(bytes).map_err(|_| format!("{} is not UTF-8", HEADER[column]))
        };
        let step = text(0)?.parse().ok().filter(|step| (0..=MOST_STEPS).contains(step));
        let step = step.ok_or_else(|| format!("step is an hour from 0 to {MOST_STEPS}, not `{}`", shown(record, 0)))?;
        let kind = Kind::ALL.iter().find(|(name, _, _)| record.get(1) == Some(name.as_bytes())).map(|(_, _, kind)| *kind);
        let kind = kind.ok_or_else(|| format!("type is CASH_IN, CASH_OUT, PAYMENT, TRANSFER or DEBIT, not `{}`", shown(record, 1)))?;
        let money = |column: usize| -> Result<Money, String> {
            let wanted = || format!("{} is an amount, zero or more, not `{}`", HEADER[column], shown(record, column));
            let text = text(column)?;
            // Large amounts are written as 1.0E7 by some exports.
            let amount = Decimal::from_str_exact(text).or_else(|_| Decimal::from_scientific(text)).map_err(|_| wanted())?;
            if amount.is_sign_negative() && !amount.is_zero() {
                return Err(wanted());
            }
            let rounded = amount.round_dp_with_strategy(currency.exponent(), rust_decimal::RoundingStrategy::MidpointNearestEven);
            Money::new(rounded, currency).map_err(|error| format!("{}: {error}", HEADER[column]))
        };
        let name = |column: usize| {
            let name = text(column)?;
            let good = (1..=40).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
            if good {
                Ok(name.to_owned())
            } else {
                Err(format!("{} is 1 to 40 letters and digits, not `{}`", HEADER[column], shown(record, column)))
            }
        };
        let flag = |column: usize| match record.get(column) {
            Some(b"0") => Ok(false),
            Some(b"1") => Ok(true),
            _ => Err(format!("{} is 0 or 1, not `{}`", HEADER[column], shown(record, column))),
        };
        let row = Self {
            step,
            kind,
            amount: money(2)?,
            origin: name(3)?,
            opening: money(4)?,
            destination: name(6)?,
            fraud: flag(9)?,
            flagged: flag(10)?,
            unused: [money(5)?, money(7)?, money(8)?],
        };
        if row.amount.is_zero() {
            return Err("the amount is zero: there is nothing to move".to_owned());
        }
        Ok(row)
    }

    /// All columns, each value in its one spelling.
    fn content(&self) -> Content {
        let Self { step, kind, amount, origin, opening, destination, fraud, flagged, unused } = self;
        let mut text = format!("{step},{},{amount},{origin},{opening},{destination},{fraud},{flagged}", kind.name());
        for balance in unused {
            // Writing to a string cannot fail.
            let _ = write!(text, ",{balance}");
        }
        Content::of("paysim-row", text.as_bytes())
    }
}

fn shown(record: &csv::ByteRecord, column: usize) -> String {
    String::from_utf8_lossy(record.get(column).unwrap_or_default()).chars().take(40).collect()
}

/// What the rows so far have prepared.
struct Chart {
    currency: Currency,
    /// The accounts that were opened.
    known: HashSet<String>,
    /// The customers in whose name a row stood. One that is only known as a destination has no opening balance yet: whether it
    /// gets one must not depend on the other rows that a file happens to hold.
    payers: HashSet<String>,
}

impl Chart {
    /// The commands of a row: accounts that are new, the opening balance of a payer who is new, the row itself.
    fn commands(&mut self, line: u64, row: &Transaction) -> Vec<Draft> {
        let mut drafts = Vec::new();
        let customer = format!("customers:{}:wallet", row.origin);
        let other = match row.kind {
            Kind::CashIn | Kind::CashOut => format!("agents:{}:float", row.destination),
            Kind::Payment => format!("merchants:{}:available", row.destination),
            Kind::Transfer => format!("customers:{}:wallet", row.destination),
            Kind::Debit => format!("banks:{}:settlement", row.destination),
        };
        self.open(&mut drafts, line, &customer);
        if self.payers.insert(row.origin.clone()) && row.opening.is_positive() {
            const OPENING: &str = "equity:paysim:opening";
            self.open(&mut drafts, line, OPENING);
            let opening = json!({
                "op": "post_entry",
                "effective_at": instant(0),
                "reference": format!("opening balance of {}", row.origin),
                "transfers": [{ "debit": OPENING, "credit": customer, "amount": row.opening }],
            });
            // Without the amount: a payer whose first row changes is not given a second opening balance.
            let content = Content::of("paysim-opening", format!("{},{}", row.origin, self.currency).as_bytes());
            drafts.push(draft(line, "post_entry", content, &opening));
        }
        self.open(&mut drafts, line, &other);
        let (debit, credit) = if row.kind == Kind::CashIn { (&other, &customer) } else { (&customer, &other) };
        let post = json!({
            "op": "post_entry",
            "effective_at": instant(row.step),
            "dimensions": { "type": row.kind.name(), "fraud": row.fraud.to_string(), "flagged": row.flagged.to_string() },
            "transfers": [{ "debit": debit, "credit": credit, "amount": row.amount }],
        });
        drafts.push(draft(line, "post_entry", row.content(), &post));
        drafts
    }

    /// Opens an account the first time that it is seen.
    fn open(&mut self, drafts: &mut Vec<Draft>, line: u64, address: &str) {
        if !self.known.insert(address.to_owned()) {
            return;
        }
        let (kind, floor) = match address.split(':').next() {
            Some("customers" | "merchants") => ("liability", Some("0")),
            Some("equity") => ("equity", None),
            Some("banks") => ("asset", None),
            _ => ("liability", None),
        };
        let mut open = json!({ "op": "open_account", "address": address, "kind": kind, "currency": self.currency });
        if let Some(floor) = floor {
            open["limits"] = json!({ "floor": floor });
        }
        let content = Content::of("paysim-account", format!("{address},{}", self.currency).as_bytes());
        drafts.push(draft(line, "open_account", content, &open));
    }
}

fn draft(line: u64, op: &'static str, content: Content, command: &Value) -> Draft {
    Draft { line, op, content, own_key: None, command: command.to_string() }
}

/// An hour of the file as an instant.
fn instant(step: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH.saturating_add_secs(HOUR_ZERO + step * 3_600)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use cauri_import::row::Keyed;
    use cauri_import::source::SourceName;

    use super::*;

    const SAMPLE: &str = "\
step,type,amount,nameOrig,oldbalanceOrg,newbalanceOrig,nameDest,oldbalanceDest,newbalanceDest,isFraud,isFlaggedFraud
1,PAYMENT,9839.64,C1231006815,170136.0,160296.36,M1979787155,0.0,0.0,0,0
2,CASH_IN,100.5,C1231006815,160296.36,160396.86,C553264065,5083511.0,5083410.5,0,0
3,TRANSFER,181.0,C1305486145,0.0,0.0,C1231006815,0.0,0.0,1,0
3,CASH_OUT,1.0E3,C840083671,181.0,0.0,C553264065,21182.0,0.0,1,1
4,DEBIT,5337.77,C1231006815,41720.0,36382.23,C195600860,41898.0,40348.79,0,0
5,LOAN,1.00,C1,0.0,0.0,C2,0.0,0.0,0,0
6,PAYMENT,-1.00,C1,0.0,0.0,M2,0.0,0.0,0,0
7,PAYMENT,1.00,C1,0.0
8,PAYMENT,0.00,C1,0.0,0.0,M2,0.0,0.0,0,0
9,PAYMENT,1.00,C1,0.0,0.0,M2,0.0,0.0,yes,0
";

    fn read(text: &str, currency: Currency) -> Vec<Row> {
        rows(text.as_bytes(), currency).expect("a header").map(|row| row.expect("it is in memory")).collect()
    }

    fn commands(row: &Row) -> Vec<Value> {
        let drafts = row.as_ref().unwrap_or_else(|bad| panic!("{bad:?}"));
        drafts.iter().map(|draft| serde_json::from_str(&draft.command).expect("JSON")).collect()
    }

    /// The commands of a file under their keys.
    fn keyed(rows: &[&str]) -> BTreeMap<String, String> {
        let text = format!("{}\n{}\n", HEADER.join(","), rows.join("\n"));
        let mut keyed = Keyed::new(Some(SourceName::unnamed()));
        let items = read(&text, Currency::USD).into_iter().flatten().flatten().filter_map(|draft| keyed.item(draft));
        items.map(|item| (item.key.to_string(), item.command)).collect()
    }

    #[test]
    fn a_row_opens_what_is_new_and_moves_its_amount() {
        let rows = read(SAMPLE, Currency::USD);
        let first = commands(&rows[0]);
        let ops: Vec<_> = first.iter().map(|command| (command["op"].as_str().expect("an op"), command["address"].as_str())).collect();
        assert_eq!(
            ops,
            [
                ("open_account", Some("customers:C1231006815:wallet")),
                ("open_account", Some("equity:paysim:opening")),
                ("post_entry", None),
                ("open_account", Some("merchants:M1979787155:available")),
                ("post_entry", None),
            ]
        );
        assert_eq!(first[0]["limits"], json!({ "floor": "0" }));
        assert_eq!(first[2]["transfers"][0]["amount"], json!({ "amount": "170136.00", "currency": "USD" }));
        assert_eq!(first[2]["effective_at"], "2025-01-01T00:00:00.000000Z");
        assert_eq!(first[4]["effective_at"], "2025-01-01T01:00:00.000000Z");
        assert_eq!(first[4]["dimensions"], json!({ "type": "payment", "fraud": "false", "flagged": "false" }));
        let second = commands(&rows[1]);
        assert_eq!(second.len(), 2, "the customer is known, the agent is new");
        assert_eq!(second[1]["transfers"][0]["debit"], "agents:C553264065:float");
        assert_eq!(second[1]["transfers"][0]["credit"], "customers:C1231006815:wallet");
    }

    #[test]
    fn every_type_has_its_accounts() {
        let rows = read(SAMPLE, Currency::USD);
        let sides = |row: &Row| {
            let last = commands(row).pop().expect("a command");
            (
                last["transfers"][0]["debit"].as_str().expect("a side").to_owned(),
                last["transfers"][0]["credit"].as_str().expect("a side").to_owned(),
            )
        };
        assert_eq!(sides(&rows[0]), ("customers:C1231006815:wallet".into(), "merchants:M1979787155:available".into()));
        assert_eq!(sides(&rows[2]), ("customers:C1305486145:wallet".into(), "customers:C1231006815:wallet".into()));
        assert_eq!(sides(&rows[3]), ("customers:C840083671:wallet".into(), "agents:C553264065:float".into()));
        assert_eq!(sides(&rows[4]), ("customers:C1231006815:wallet".into(), "banks:C195600860:settlement".into()));
        let amount = &commands(&rows[3])[2]["transfers"][0]["amount"]["amount"];
        assert_eq!(amount, "1000.00");
    }

    #[test]
    fn every_command_of_the_sample_can_be_read_by_the_server() {
        for draft in read(SAMPLE, Currency::XOF).into_iter().flatten().flatten() {
            let text = &draft.command;
            cauri_command_api::bulk::BulkItem::parse(text.as_bytes()).unwrap_or_else(|problem| panic!("{text}: {problem:?}"));
        }
    }

    #[test]
    fn a_malformed_row_is_named_by_its_line_and_the_others_are_kept() {
        let rows = read(SAMPLE, Currency::USD);
        let bad: Vec<(u64, &str)> = rows.iter().filter_map(|row| row.as_ref().err()).map(|bad| (bad.line, &*bad.detail)).collect();
        assert_eq!(
            bad,
            [
                (7, "type is CASH_IN, CASH_OUT, PAYMENT, TRANSFER or DEBIT, not `LOAN`"),
                (8, "amount is an amount, zero or more, not `-1.00`"),
                (9, "5 columns where 11 are wanted"),
                (10, "the amount is zero: there is nothing to move"),
                (11, "isFraud is 0 or 1, not `yes`"),
            ]
        );
        assert_eq!(rows.iter().filter(|row| row.is_ok()).count(), 5);
    }

    #[test]
    fn a_currency_with_fewer_decimals_rounds_half_to_even() {
        let amounts: Vec<String> =
            [("0.5", "1,PAYMENT,0.5"), ("1.5", "1,PAYMENT,1.5"), ("2.5", "1,PAYMENT,2.5"), ("9839.64", "1,PAYMENT,9839.64")]
                .iter()
                .map(|(_, start)| {
                    let header = HEADER.join(",");
                    let text = format!("{header}\n{start},C1,0.0,0.0,M1,0.0,0.0,0,0\n");
                    match &read(&text, Currency::XOF)[0] {
                        Ok(drafts) => drafts.last().map(|draft| draft.command.clone()).unwrap_or_default(),
                        Err(bad) => bad.detail.clone(),
                    }
                })
                .collect();
        assert_eq!(amounts[0], "the amount is zero: there is nothing to move");
        for (text, amount) in amounts[1..].iter().zip(["2", "2", "9840"]) {
            assert!(text.contains(&format!("\"amount\":\"{amount}\"")), "{text}");
        }
    }

    #[test]
    fn another_file_is_not_taken_for_one_of_paysim() {
        let Err(reason) = rows("date;amount\n".as_bytes(), Currency::USD).map(drop) else { panic!("it was taken") };
        assert!(reason.contains("this is no file of PaySim"), "{reason}");
    }

    const PAY: &str = "1,PAYMENT,9839.64,C1,170136.0,160296.36,M1,0.0,0.0,0,0";
    const CASH: &str = "2,CASH_IN,100.5,C1,160296.36,160396.86,A1,5.0,5.0,0,0";
    const OTHER: &str = "3,TRANSFER,181.0,C2,181.0,0.0,C3,0.0,0.0,1,0";

    #[test]
    fn a_row_that_is_added_anywhere_leaves_all_other_commands_as_they_were() {
        let before = keyed(&[PAY, CASH]);
        for rows in [[OTHER, PAY, CASH], [PAY, OTHER, CASH], [PAY, CASH, OTHER]] {
            let after = keyed(&rows);
            assert!(before.iter().all(|(key, command)| after.get(key) == Some(command)), "{rows:?}");
            assert_eq!(after.len(), before.len() + 4, "two accounts, an opening balance and the row");
        }
    }

    #[test]
    fn a_part_of_a_file_in_any_order_has_only_commands_of_the_whole() {
        // The payer of the second row is known from the first, as the destination of somebody else's payment.
        const TO_PAYER: &str = "1,TRANSFER,181.0,C2,181.0,0.0,C1,0.0,0.0,0,0";
        let whole = keyed(&[TO_PAYER, PAY, CASH]);
        assert_eq!(whole.values().filter(|command| command.contains("opening balance")).count(), 2, "each payer has one");
        for part in [&[PAY, CASH][..], &[PAY, TO_PAYER, CASH], &[PAY, CASH, TO_PAYER], &[PAY], &[TO_PAYER]] {
            for (key, command) in keyed(part) {
                assert_eq!(whole.get(&key), Some(&command), "{part:?}");
            }
        }
    }

    #[test]
    fn a_row_that_is_spelt_otherwise_is_the_same_and_one_that_stands_twice_is_two() {
        assert_eq!(keyed(&[PAY]), keyed(&["1, PAYMENT ,9.83964E3,C1,170136.00,160296.360,M1,0,0,0,0"]));
        assert_eq!(keyed(&[PAY, PAY]).len(), keyed(&[PAY]).len() + 1);
        assert_ne!(keyed(&[PAY]), keyed(&["1,PAYMENT,9839.64,C1,170136.0,160296.36,M1,0.0,1.0,0,0"]), "no column is left out");
    }

    #[test]
    fn another_first_row_of_a_payer_uses_the_key_of_the_opening_balance_again() {
        let opening = |commands: BTreeMap<String, String>| {
            let found = commands.into_iter().find(|(_, command)| command.contains("opening balance"));
            found.expect("an opening balance")
        };
        let (first, second) = (opening(keyed(&[PAY])), opening(keyed(&[CASH])));
        assert_eq!(first.0, second.0);
        assert_ne!(first.1, second.1, "the server refuses the second, because the key was used");
    }
}
