//! Exports: what the audit calls well, and what an import makes a journal of, is what was exported.

use std::path::Path;

use cauri_event_schemas::Position;
use cauri_event_store::EventStore;
use cauri_replay_tools::commands::run;
use cauri_replay_tools::report::Verdict;
use cauri_replay_tools::verify::{Wanted, verify_export};

use crate::cases;
use crate::journals::{Written, journal_in, open};
use crate::mutation::changed;

/// Runs `cauri-replay`: its exit code and what it said.
fn replay(arguments: &[&str]) -> (u8, String) {
    let (mut out, mut errors) = (Vec::new(), Vec::new());
    let code = run(std::iter::once("cauri-replay").chain(arguments.iter().copied()), &mut out, &mut errors);
    (code, String::from_utf8_lossy(&[out, errors].concat()).into_owned())
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

fn exported(written: &Written) -> (tempfile::TempDir, Vec<u8>) {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("export.jsonl");
    let (code, said) = replay(&["export", text(&file), "--data", text(written.data())]);
    assert_eq!(code, 0, "{said}");
    let bytes = std::fs::read(&file).expect("an export");
    (directory, bytes)
}

/// The lines of the records, without the header's.
fn records(export: &[u8]) -> Vec<&[u8]> {
    let lines: Vec<&[u8]> = export.split(|byte| *byte == b'\n').skip(1).collect();
    match lines.split_last() {
        Some((&[], lines)) => lines.to_vec(),
        _ => lines,
    }
}

#[test]
fn an_audit_calls_no_changed_export_well() {
    let written = Written::of(200);
    let (_directory, export) = exported(&written);
    cases(200, |random| {
        let bytes = changed(random, &export);
        let Ok(report) = verify_export(&bytes[..], &Wanted::default()) else { return };
        if report.checks.iter().all(|check| matches!(check.verdict, Verdict::Ok | Verdict::NotApplicable)) {
            assert!(records(&bytes) == records(&export), "the audit calls a changed export well");
        }
    });
}

#[test]
fn an_import_of_a_changed_export_makes_the_same_journal_or_none() {
    let written = Written::of(120);
    let (directory, export) = exported(&written);
    let file = directory.path().join("changed.jsonl");
    cases(60, |random| {
        std::fs::write(&file, changed(random, &export)).expect("a file");
        let data = tempfile::tempdir().expect("a directory");
        let (code, said) = replay(&["import", text(&file), "--data", text(data.path()), "--journal", "ledger"]);
        let dir = journal_in(data.path());
        if code == 0 {
            let store = open(&dir).expect("what was imported opens");
            assert_eq!(store.head().expect("a head"), written.head, "{said}");
            assert!(store.read_journal(Position::ZERO, usize::MAX).expect("a journal") == written.records, "{said}");
        } else {
            assert!(!dir.exists(), "a refused import left something behind: {said}");
            assert!(!said.is_empty(), "a refusal says why");
        }
    });
}

#[test]
fn an_export_that_goes_on_after_its_head_is_not_imported_at_all() {
    let written = Written::of(120);
    let (directory, mut export) = exported(&written);
    let file = directory.path().join("longer.jsonl");
    export.push(b'\n');
    std::fs::write(&file, &export).expect("a file");
    let data = tempfile::tempdir().expect("a directory");
    let (code, said) = replay(&["import", text(&file), "--data", text(data.path()), "--journal", "ledger"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("there are more lines") && said.contains(&format!("line {}", written.records.len() + 2)), "{said}");
    assert!(!journal_in(data.path()).exists(), "nothing is made");
}
