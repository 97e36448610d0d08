//! A copy of the journal is put back and goes on otherwise: what was derived from the lost history is not taken for this one's.

use std::path::Path;

use cauri_event_schemas::Position;
use cauri_event_store::conformance::material::{Author, Commit, Sought, append, check, located};
use cauri_event_store::embedded::EmbeddedStore;
use cauri_event_store::{EventStore, Snapshot};
use rusqlite::Connection;

use super::backend::TINY;

fn open(dir: &Path) -> EmbeddedStore {
    EmbeddedStore::open_with(dir, "ledger", TINY).expect("a store")
}

fn write(store: &EmbeddedStore, author: &mut Author, sizes: &[usize]) -> Vec<Commit> {
    let mut written = Vec::new();
    for size in sizes {
        let commits: Vec<Commit> = (0..*size).map(|_| author.entry()).collect();
        append(store, &commits);
        written.extend(commits);
    }
    written
}

fn snapshot(store: &EmbeddedStore, state: &str) -> Snapshot {
    let snapshot = Snapshot { head: store.head().expect("a head"), state: state.into() };
    store.save_snapshot(&snapshot).expect("a snapshot");
    snapshot
}

fn lookups(commits: &[Commit]) -> Vec<Sought> {
    commits.iter().flat_map(|commit| [commit.command_lookup(), commit.stream_lookup()]).collect()
}

/// Copies `journal.sqlite` with everything that is in its log.
fn copy_journal(from: &Path, to: &Path) {
    let journal = Connection::open(from.join("journal.sqlite")).expect("a database");
    journal.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).expect("a checkpoint");
    for suffix in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(to.join(format!("journal.sqlite{suffix}")));
    }
    std::fs::copy(from.join("journal.sqlite"), to.join("journal.sqlite")).expect("a copy");
}

#[test]
fn look_ups_and_snapshots_of_a_lost_history_are_not_taken_up() {
    // The restored journal goes on to before, exactly to, and beyond where the lost one was; its batches end elsewhere.
    for again in [&[1][..], &[2, 5, 9], &[30, 30, 30, 30], &[200]] {
        let (dir, backup) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
        let store = open(dir.path());
        let mut author = Author::new("a");
        let shared = write(&store, &mut author, &[10, 10]);
        let early = snapshot(&store, "early");
        drop(store);
        copy_journal(dir.path(), backup.path());

        let store = open(dir.path());
        let lost = write(&store, &mut author, &[16, 30, 14]);
        snapshot(&store, "lost");
        write(&store, &mut author, &[20]);
        snapshot(&store, "lost too");
        drop(store);

        copy_journal(backup.path(), dir.path());
        // The restored journal goes on beside another index, and the lost history's index is put back.
        let lost_index: Vec<_> = ["index.sqlite", "index.sqlite-wal"].map(|name| std::fs::read(dir.path().join(name)).ok()).into();
        for name in ["index.sqlite", "index.sqlite-wal", "index.sqlite-shm"] {
            let _ = std::fs::remove_file(dir.path().join(name));
        }
        let store = open(dir.path());
        let other = write(&store, &mut Author::new("b"), again);
        drop(store);
        for name in ["index.sqlite", "index.sqlite-wal", "index.sqlite-shm"] {
            let _ = std::fs::remove_file(dir.path().join(name));
        }
        for (name, content) in ["index.sqlite", "index.sqlite-wal"].iter().zip(lost_index) {
            if let Some(content) = content {
                std::fs::write(dir.path().join(name), content).expect("a file");
            }
        }

        let store = open(dir.path());
        assert!(located(&store, &lookups(&lost)).iter().all(Option::is_none), "{again:?}: a lost command was found");
        let found = located(&store, &lookups(&[shared, other].concat()));
        assert!(found.iter().all(Option::is_some), "{again:?}: a command of this history was not found");
        let left = store.latest_snapshot().expect("an answer");
        assert!(left.is_none() || left.as_ref() == Some(&early), "{again:?}: {:?}", left.map(|left| left.head));
        // A snapshot at a lower position than the lost ones is the newest from now on.
        let newest = snapshot(&store, "of this history");
        assert_eq!(store.latest_snapshot().expect("an answer"), Some(newest));
        check(&store);
    }
}

#[test]
fn snapshots_of_a_lost_history_are_dropped_where_the_index_itself_is_of_this_one() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    write(&store, &mut Author::new("a"), &[10, 10]);
    let own = snapshot(&store, "own");
    drop(store);
    // As a process leaves it that kept snapshots and was killed before its index reached as far.
    let index = Connection::open(dir.path().join("index.sqlite")).expect("an index");
    for position in [15, 20_000] {
        for copy in [
            "INSERT INTO snapshots SELECT ?1, zeroblob(32), chunks FROM snapshots WHERE position = 20",
            "INSERT INTO snapshot_chunks SELECT ?1, number, checksum, state FROM snapshot_chunks WHERE position = 20",
        ] {
            index.execute(copy, [position]).expect("a snapshot");
        }
    }
    drop(index);
    let store = open(dir.path());
    assert_eq!(store.latest_snapshot().expect("an answer"), Some(own));
    write(&store, &mut Author::new("b"), &[3]);
    let newer = snapshot(&store, "newer");
    assert_eq!(store.latest_snapshot().expect("an answer"), Some(newer));
}

#[test]
fn an_index_is_kept_where_the_same_records_stand_in_other_batches() {
    let (dir, again) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let store = open(dir.path());
    let written = write(&store, &mut Author::new("a"), &[7, 13, 20]);
    let kept = snapshot(&store, "kept");
    drop(store);
    // As an import of an export makes it: one batch, and then more.
    let store = open(again.path());
    let mut author = Author::new("a");
    let commits: Vec<Commit> = (0..45).map(|_| author.entry()).collect();
    append(&store, &commits);
    drop(store);
    let seed = |dir: &Path| -> i64 {
        let index = Connection::open(dir.join("index.sqlite")).expect("an index");
        index.query_row("SELECT value FROM meta WHERE key = 'seed_1'", [], |row| row.get(0)).expect("a seed")
    };
    let before = seed(dir.path());
    copy_journal(again.path(), dir.path());
    let store = open(dir.path());
    assert_eq!(seed(dir.path()), before, "the index was built anew");
    assert!(located(&store, &lookups(&written)).iter().all(Option::is_some));
    assert_eq!(store.latest_snapshot().expect("an answer"), Some(kept.clone()));
    assert_eq!(store.root_at(Position::new(40)).expect("a root"), Some(kept.head.root), "in the middle of the batch");
    check(&store);
}
