//! Every state against every command, printed: the snapshot is the specification of what is legal.

use crate::support::{Ledger, given};
use cauri_domain::event::EventSet;

/// Accounts `b` and `c` are there for the transfers, `a` is the account in question.
const ACCOUNT_STATES: &[(&str, &str)] = &[
    ("unopened", ""),
    ("open, empty", "open a"),
    ("open, with 10", "open a \n post e b->a 10"),
    ("open, with a hold", "open a \n post e b->a 10 \n hold h a->b 10"),
    ("frozen", "open a \n freeze a"),
    ("frozen, with 10", "open a \n post e b->a 10 \n freeze a"),
    ("closed", "open a \n close a"),
    ("closed, with a hold", "open a \n post e b->a 10 \n hold h a->b 10 \n close a"),
    ("reopened", "open a \n close a \n reopen a"),
];

const ACCOUNT_COMMANDS: &[(&str, &str)] = &[
    ("open", "open a"),
    ("freeze", "freeze a"),
    ("unfreeze", "unfreeze a"),
    ("close", "close a"),
    ("close into c", "close a into c by s"),
    ("reopen", "reopen a"),
    ("limits", "limits a ceiling 10"),
    ("debit", "post x a->b 1"),
    ("credit", "post x b->a 1"),
    ("void hold", "void h"),
];

const ENTRY_STATES: &[(&str, &str)] = &[
    ("unwritten", ""),
    ("posted", "post e a->b 10"),
    ("posted, moved 0", "limits a floor 0 \n post e a->b <=10"),
    ("held", "hold e a->b 10 until +60s"),
    ("hold posted", "hold e a->b 10 \n post_hold e"),
    ("hold posted with 0", "hold e a->b 10 \n post_hold e amounts 0"),
    ("hold voided", "hold e a->b 10 \n void e"),
    ("hold expired", "hold e a->b 10 until +1s \n wait +1s"),
    ("reversed", "post e a->b 10 \n reverse e by r1"),
    ("hold reversed", "hold e a->b 10 \n post_hold e \n reverse e by r1"),
];

const ENTRY_COMMANDS: &[(&str, &str)] = &[
    ("post", "post e a->b 1"),
    ("hold", "hold e a->b 1"),
    ("post hold", "post_hold e"),
    ("void hold", "void e"),
    ("expire hold", "expire e"),
    ("reverse", "reverse e by r2"),
    ("annotate", "annotate e case=17"),
];

fn matrix(setting: &str, states: &[(&str, &str)], commands: &[(&str, &str)]) -> String {
    let answer = |script: &str, line: &str| {
        let script = format!("{setting} \n {script}");
        if !line.starts_with("expire") {
            return Ledger::after(&script).says(line);
        }
        // Only the engine asks this, when the time has passed and before anything else is decided.
        match given(&script).later(60).when_entry(line).inspect_result() {
            Ok(events) => events.iter().map(|event| event.name()).collect(),
            Err(refusal) => refusal.code.to_string(),
        }
    };
    let mut rows = vec![[&[""], &commands.iter().map(|(name, _)| *name).collect::<Vec<_>>()[..]].concat().join("|")];
    for (state, script) in states {
        let cells: Vec<String> = commands.iter().map(|(_, line)| answer(script, line)).collect();
        rows.push(format!("{state}|{}", cells.join("|")));
    }
    aligned(&rows)
}

/// Columns divided by bars, padded to one width each.
fn aligned(rows: &[String]) -> String {
    let cells: Vec<Vec<&str>> = rows.iter().map(|row| row.split('|').collect()).collect();
    let width = |column: usize| cells.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let line = |row: &Vec<&str>| {
        let padded: Vec<String> = row.iter().enumerate().map(|(column, cell)| format!("{cell:width$}", width = width(column))).collect();
        padded.join(" | ").trim_end().to_owned()
    };
    cells.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn what_an_account_answers_in_every_state() {
    insta::assert_snapshot!(matrix("open b \n open c", ACCOUNT_STATES, ACCOUNT_COMMANDS));
}

#[test]
fn what_an_entry_answers_in_every_state() {
    insta::assert_snapshot!(matrix("open a \n open b", ENTRY_STATES, ENTRY_COMMANDS));
}
