//! Journals of every format that was ever written, and the roots in them.

use std::path::Path;

use cauri_event_schemas::Position;
use cauri_event_store::conformance::material::{Author, Commit, all, append, batch_after, check};
use cauri_event_store::embedded::{EmbeddedStore, FORMAT_VERSION, OpenError};
use cauri_event_store::{Corruption, EventStore, Hash, StoreError, Tree};
use rusqlite::{Connection, OptionalExtension};

/// The root at the head of the sample, and in the middle of one of its batches: noted when it was written.
const SAMPLE_ROOTS: [(u64, &str); 2] = [
    (8, "0c25c33fe49915b735e51ee2c484226671a348cb54b0106d44800fbfb6b42003"),
    (5, "3773b8bb2e74d78a76e13e960713176fcdc5f277c7461ea69da3a522b1759f14"),
];

fn open(dir: &Path) -> EmbeddedStore {
    EmbeddedStore::open(dir, "ledger").expect("a store")
}

fn sample() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples/format-1/journal.sqlite");
    std::fs::copy(sample, dir.path().join("journal.sqlite")).expect("a copy of the sample");
    dir
}

fn sql(dir: &Path, text: &str) {
    Connection::open(dir.join("journal.sqlite")).and_then(|journal| journal.execute_batch(text)).expect("a change by other means");
}

fn meta(dir: &Path, key: &str) -> Option<String> {
    let journal = Connection::open(dir.join("journal.sqlite")).expect("a database");
    journal.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0)).optional().expect("meta")
}

/// Roots after every record.
fn roots(store: &EmbeddedStore) -> Vec<Hash> {
    let mut tree = Tree::empty();
    let mut roots = vec![tree.root()];
    for record in all(store) {
        tree.push(record.as_record().leaf());
        roots.push(tree.root());
    }
    roots
}

fn root_at(store: &EmbeddedStore, position: usize) -> Option<Hash> {
    store.root_at(Position::new(position as u64)).expect("a root")
}

/// Many batches of several thousand records, and the same file as format 1 would have written it.
fn large_journal_of_format_1() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let mut author = Author::new("a");
    for size in [3_000_usize, 3_000, 10, 6_000, 1, 1, 2_000] {
        let commits: Vec<Commit> = (0..size).map(|_| author.entry()).collect();
        append(&open(dir.path()), &commits);
    }
    sql(
        dir.path(),
        "ALTER TABLE frames DROP COLUMN peaks; UPDATE meta SET value = '1' WHERE key = 'format_version'; PRAGMA wal_checkpoint(TRUNCATE)",
    );
    dir
}

#[test]
fn a_journal_of_format_1_is_read_as_it_is() {
    let dir = sample();
    let before = std::fs::read(dir.path().join("journal.sqlite")).expect("a file");
    let store = EmbeddedStore::open_read_only(dir.path(), "ledger").expect("a store");
    check(&store);
    for (position, root) in SAMPLE_ROOTS {
        assert_eq!(store.root_at(Position::new(position)).expect("a root").map(|root| root.to_string()).as_deref(), Some(root));
    }
    drop(store);
    assert!(before == std::fs::read(dir.path().join("journal.sqlite")).expect("a file"), "reading changed the journal");
    assert_eq!(meta(dir.path(), "format_version").as_deref(), Some("1"));
}

#[test]
fn a_journal_of_format_1_is_brought_to_this_format_when_it_is_opened_to_append() {
    let dir = sample();
    let store = open(dir.path());
    check(&store);
    let before = all(&store);
    append(&store, &[Author::new("a").entry()]);
    drop(store);
    assert_eq!(meta(dir.path(), "format_version"), Some(FORMAT_VERSION.to_string()));
    assert_eq!(meta(dir.path(), "format_1_until").as_deref(), Some("8"));
    // Once: what is written now is not of format 1.
    let store = open(dir.path());
    assert_eq!(meta(dir.path(), "format_1_until").as_deref(), Some("8"));
    check(&store);
    assert_eq!(all(&store)[..8], before, "no record was changed");
    for (position, root) in SAMPLE_ROOTS {
        assert_eq!(root_at(&store, position as usize).map(|root| root.to_string()).as_deref(), Some(root));
    }
}

#[test]
fn a_new_journal_has_no_records_of_format_1() {
    let dir = tempfile::tempdir().expect("a directory");
    append(&open(dir.path()), &[Author::new("a").entry()]);
    assert_eq!(meta(dir.path(), "format_version"), Some(FORMAT_VERSION.to_string()));
    assert_eq!(meta(dir.path(), "format_1_until"), None);
}

#[test]
fn roots_are_computed_where_no_peaks_were_stored() {
    let dir = large_journal_of_format_1();
    let reader = EmbeddedStore::open_read_only(dir.path(), "ledger").expect("a store");
    let roots = roots(&reader);
    let last = roots.len() - 1;
    let asked = || (1..=last).rev().step_by(1_001).chain([2_999, 3_000, 3_001, 4_096, 12_009, 12_011, 1]);
    // Twice: the second time trees are known that were computed the first time.
    for position in asked().chain(asked()) {
        assert_eq!(root_at(&reader, position), Some(roots[position]), "the root at {position}");
    }
    drop(reader);
    let store = open(dir.path());
    for position in asked() {
        assert_eq!(root_at(&store, position), Some(roots[position]), "the root at {position} after the upgrade");
    }
}

#[test]
fn a_frame_has_peaks_where_positions_reach_a_multiple_of_4096() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let mut author = Author::new("a");
    let mut expected = Vec::new();
    for size in [4_095_usize, 1, 1, 5_000, 3, 3_000, 200] {
        let tree = store.tree().expect("a tree");
        let commits: Vec<Commit> = (0..size).map(|_| author.entry()).collect();
        let batch = batch_after(tree.clone(), &commits);
        store.append(tree.head(), &batch).expect("an append");
        if batch.first().get().div_ceil(4_096) * 4_096 <= batch.head().position.get() {
            let peaks: Vec<u8> = batch.tree().peaks().iter().flat_map(|peak| peak.0).collect();
            expected.push((batch.head().position.get() as i64, peaks));
        }
    }
    let journal = Connection::open(dir.path().join("journal.sqlite")).expect("a database");
    let mut select = journal.prepare("SELECT last, peaks FROM frames WHERE peaks IS NOT NULL ORDER BY first").expect("frames");
    let stored: Vec<(i64, Vec<u8>)> =
        select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("rows").collect::<Result<_, _>>().expect("rows");
    assert_eq!(stored.len(), 3);
    assert!(stored == expected, "the stored peaks are those of the tree");
}

#[test]
fn damaged_peaks_and_roots_are_corruption_and_never_another_root() {
    for (change, asked, position) in [
        ("UPDATE frames SET peaks = zeroblob(length(peaks)) WHERE last = 6000", 6_005, 6_000),
        ("UPDATE frames SET peaks = x'00' WHERE last = 6000", 6_005, 6_000),
        ("UPDATE frames SET root = zeroblob(32) WHERE last = 6000", 6_005, 6_000),
        ("UPDATE frames SET root = x'00' WHERE last = 6010", 6_010, 6_010),
        ("UPDATE frames SET body = (SELECT body FROM frames WHERE last = 3000) WHERE last = 6010", 6_005, 6_001),
        ("DELETE FROM frames WHERE last = 6010", 12_000, 6_001),
        ("UPDATE frames SET root = zeroblob(32) WHERE last = 6010", 12_000, 6_001),
    ] {
        let dir = tempfile::tempdir().expect("a directory");
        let mut author = Author::new("a");
        for size in [3_000_usize, 3_000, 10, 6_000] {
            let commits: Vec<Commit> = (0..size).map(|_| author.entry()).collect();
            append(&open(dir.path()), &commits);
        }
        sql(dir.path(), change);
        let store = open(dir.path());
        match store.root_at(Position::new(asked)) {
            Err(StoreError::Corruption(Corruption { position: found, .. })) => assert_eq!(found.get(), position, "{change}"),
            other => panic!("{change}: {other:?}"),
        }
    }
}

#[test]
fn a_format_that_never_was_is_damage() {
    for format in ["0", "00", "-1", "2x", ""] {
        let dir = sample();
        sql(dir.path(), &format!("UPDATE meta SET value = '{format}' WHERE key = 'format_version'; PRAGMA wal_checkpoint(TRUNCATE)"));
        for opened in [EmbeddedStore::open(dir.path(), "ledger"), EmbeddedStore::open_read_only(dir.path(), "ledger")] {
            match opened {
                Err(OpenError::Store(StoreError::Corruption(corruption))) => {
                    assert!(corruption.what.contains("format_version"), "{corruption}")
                }
                other => panic!("{format:?}: {other:?}"),
            }
        }
    }
}
