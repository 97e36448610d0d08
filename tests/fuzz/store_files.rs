//! The files of the embedded store, byte by byte and value by value: what is read from them is what was written, or an
//! error.
//!
//! A file that lost its end may hold an earlier state of the journal, whole: nothing inside the file can tell. So the head
//! may be an earlier one, but every position up to it is there, and every id leads to its first record.

use std::path::Path;

use cauri_event_schemas::{Position, StreamVersion};
use cauri_event_store::EventStore;
use cauri_event_store::conformance::material::Sought;
use cauri_event_store::conformance::material::{Author, batch_after};
use cauri_replay_tools::report::Verdict;
use cauri_replay_tools::verify::{Wanted, verify_directory};
use fastrand::Rng;
use rusqlite::Connection;
use rusqlite::types::Value;

use crate::cases;
use crate::journals::{Written, journal_in, open};
use crate::mutation::{changed, changed_pages};

#[test]
fn a_changed_journal_file_gives_what_was_written_or_an_error() {
    let written = Written::of(250);
    cases(50, |random| {
        let data = written.copied();
        let dir = journal_in(data.path());
        change_bytes(random, &dir.join("journal.sqlite"));
        audited(&dir, &written, false);
        read(random, &dir, &written);
    });
}

#[test]
fn a_changed_log_gives_an_earlier_state_or_what_was_written() {
    let written = Written::of(120);
    // What a killed process leaves: a log that was never copied into the file.
    let killed = written.copied();
    let dir = journal_in(killed.path());
    let store = open(&dir).expect("a store");
    let mut author = Author::new("log");
    for _ in 0..12 {
        let tree = store.tree().expect("a tree");
        store.append(tree.head(), &batch_after(tree.clone(), &[author.entry(), author.refusal()])).expect("an append");
    }
    let mut logged = written;
    logged.records = store.read_journal(Position::ZERO, usize::MAX).expect("a journal");
    logged.head = store.head().expect("a head");
    let files: Vec<(&str, Vec<u8>)> = ["journal.sqlite", "journal.sqlite-wal", "index.sqlite", "index.sqlite-wal"]
        .into_iter()
        .filter_map(|name| Some((name, std::fs::read(dir.join(name)).ok()?)))
        .collect();
    drop(store);
    cases(50, |random| {
        let data = tempfile::tempdir().expect("a directory");
        let dir = journal_in(data.path());
        std::fs::create_dir_all(&dir).expect("a directory");
        let which = random.usize(..files.len());
        for (number, (name, bytes)) in files.iter().enumerate() {
            let bytes = if number == which { changed_pages(random, bytes) } else { bytes.clone() };
            std::fs::write(dir.join(name), bytes).expect("a file");
        }
        read(random, &dir, &logged);
    });
}

#[test]
fn a_changed_index_never_denies_what_was_written() {
    let written = Written::of(250);
    cases(50, |random| {
        let data = written.copied();
        let dir = journal_in(data.path());
        if random.bool() {
            change_bytes(random, &dir.join("index.sqlite"));
        } else {
            let changed = change_value(random, &dir.join("index.sqlite"), &["meta", "runs", "chunks", "snapshots"]);
            changed.expect("a change");
        }
        assert_eq!(read(random, &dir, &written), Some(written.head.position.get()), "a derived file stops nobody");
    });
}

#[test]
fn a_changed_value_in_the_journal_is_noticed_by_the_audit() {
    let written = Written::of(250);
    cases(50, |random| {
        let data = written.copied();
        let dir = journal_in(data.path());
        let changed = change_value(random, &dir.join("journal.sqlite"), &["head", "frames", "frames"]).expect("a change");
        if changed {
            audited(&dir, &written, true);
        }
        read(random, &dir, &written);
    });
}

fn change_bytes(random: &mut Rng, file: &Path) {
    let bytes = std::fs::read(file).expect("a file");
    std::fs::write(file, changed_pages(random, &bytes)).expect("a file");
}

/// Changes one value of one row; false if it is the same by chance or the table's own rules refuse it.
fn change_value(random: &mut Rng, file: &Path, tables: &[&str]) -> rusqlite::Result<bool> {
    let connection = Connection::open(file)?;
    let table = tables[random.usize(..tables.len())];
    let columns: Vec<String> = connection
        .prepare(&format!("SELECT name FROM pragma_table_info('{table}')"))?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    let column = &columns[random.usize(..columns.len())];
    let rows: Vec<Value> = connection
        .prepare(&format!("SELECT {} FROM {table}", columns[0]))?
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    if rows.is_empty() {
        return Ok(false);
    }
    let row = &rows[random.usize(..rows.len())];
    let key = &columns[0];
    let before: Value = connection.query_row(&format!("SELECT {column} FROM {table} WHERE {key} = ?1"), [row], |row| row.get(0))?;
    let after = match &before {
        Value::Integer(number) => Value::Integer(
            [-number, 0, number.wrapping_add(1), number.wrapping_sub(1), i64::MAX, i64::MIN, number ^ (1 << random.u32(..63))]
                [random.usize(..7)],
        ),
        Value::Blob(bytes) => Value::Blob(changed(random, bytes)),
        Value::Text(text) => Value::Text(crate::mutation::changed_text(random, text)),
        other => other.clone(),
    };
    // The table's own rules may refuse the change: then there is none.
    let updated = connection.execute(&format!("UPDATE {table} SET {column} = ?1 WHERE {key} = ?2"), [&after, row]);
    Ok(updated.is_ok() && after != before)
}

/// The audit does not call a journal well whose records are not those that were written.
fn audited(dir: &Path, written: &Written, must_fail: bool) {
    let Ok(report) = verify_directory(dir, "ledger", &Wanted::default()) else { return };
    let well = report.checks.iter().all(|check| matches!(check.verdict, Verdict::Ok | Verdict::NotApplicable));
    if must_fail {
        assert!(!well, "the audit calls a changed journal well");
    }
    if well {
        let found = open(dir).expect("what is well opens").read_journal(Position::ZERO, usize::MAX).expect("what is well is read");
        assert!(written.records[..found.len().min(written.records.len())] == found[..], "the audit calls other records well");
    }
}

/// Opens a journal and asks it everything; the head that it opened with, if it did.
fn read(random: &mut Rng, dir: &Path, written: &Written) -> Option<u64> {
    let store = open(dir).ok()?;
    let head = store.head().expect("an open store has a head");
    let end = head.position.get();
    assert!(end <= written.head.position.get(), "the head is at {end}, beyond everything that was written");
    let mut next = Position::new(1);
    while next <= head.position {
        match store.read_batch(next) {
            Ok(Some(batch)) => match batch.check() {
                Ok(batch) => {
                    for record in batch.records() {
                        let same = written.records.get(record.position().get() as usize - 1).map(|written| written.as_record().bytes());
                        assert!(record.envelope().is_err() || same == Some(record.bytes()), "another record at {}", record.position());
                    }
                    assert!(batch.last() >= next, "a batch that does not hold what was asked for");
                    next = batch.last().next();
                }
                Err(_) => next = next.next(),
            },
            Ok(None) => panic!("no batch holds {next}, and the head is at {end}"),
            Err(_) => next = next.next(),
        }
    }
    for (lookup, position) in written.ids.iter().filter(|(_, position)| *position <= head.position) {
        if let Ok(found) = store.locate(&[lookup.lookup()]) {
            assert_eq!(found, [Some(*position)], "{lookup:?} is not found where it stands");
        }
        if let Sought::Stream(stream) = lookup
            && random.u32(..8) == 0
            && let Ok(records) = store.read_stream(stream, StreamVersion::ZERO)
        {
            for record in &records {
                assert!(written.records.contains(record) || record.as_record().position() > head.position, "another record of {stream}");
            }
        }
    }
    if let Ok(Some(snapshot)) = store.latest_snapshot() {
        // An earlier one may come back where the newest is damaged, and the engine judges whether a head is the journal's.
        let newest = written.snapshot.as_ref().filter(|newest| newest.head == snapshot.head);
        assert!(newest.is_none_or(|newest| newest.state == snapshot.state), "another state under the head of a snapshot");
    }
    // It may be refused; what is acknowledged is there.
    let tree = store.tree().expect("a tree");
    let mut author = Author::new("afterwards");
    let batch = batch_after(tree.clone(), &[author.entry()]);
    if let Ok(cauri_event_store::Appended::Done(head)) = store.append(tree.head(), &batch) {
        drop(store);
        let again = open(dir).expect("what took an append opens again");
        assert_eq!(again.head().expect("a head"), head, "an acknowledged append is gone");
    }
    Some(end)
}
