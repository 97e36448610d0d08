//! What can stand in a journal's directory when it is opened, and who else may have it open.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use cauri_event_schemas::{Position, StreamVersion};
use cauri_event_store::conformance::material::{Author, Commit, Sought, all, append, batch_after, check, located};
use cauri_event_store::embedded::{EmbeddedStore, FORMAT_VERSION, OpenError};
use cauri_event_store::{EventStore, Failure, Head, Snapshot, StoreError};
use rusqlite::Connection;

use super::backend::TINY;

fn open(dir: &Path) -> EmbeddedStore {
    EmbeddedStore::open(dir, "ledger").expect("a store")
}

/// A directory with a small journal that was closed.
fn closed_journal() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let mut author = Author::new("a");
    for _ in 0..5 {
        append(&store, &[author.entry(), author.refusal()]);
    }
    dir
}

fn sql(dir: &Path, file: &str, text: &str) {
    Connection::open(dir.join(file)).and_then(|connection| connection.execute_batch(text)).expect("a change by other means");
}

#[test]
fn a_directory_is_made_with_all_its_parents() {
    let root = tempfile::tempdir().expect("a directory");
    let dir = root.path().join("data/journals/ledger");
    append(&open(&dir), &[Author::new("a").entry()]);
    assert_eq!(all(&open(&dir)).len(), 1);
}

#[test]
fn what_else_lies_in_the_directory_is_left_alone() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("README.txt"), "mine").expect("a file");
    std::fs::create_dir(dir.path().join("backup")).expect("a directory");
    append(&open(dir.path()), &[Author::new("a").entry()]);
    check(&open(dir.path()));
    assert_eq!(std::fs::read(dir.path().join("README.txt")).expect("a file"), b"mine");
}

#[test]
fn a_journal_that_another_process_has_open_is_locked_until_that_process_ends() {
    let dir = closed_journal();
    let mut holder = holder_of(dir.path());
    let opened = EmbeddedStore::open(dir.path(), "ledger");
    assert!(matches!(&opened, Err(OpenError::Locked { dir: locked }) if locked == dir.path()), "{opened:?}");
    let message = opened.expect_err("locked").to_string();
    assert!(message.contains("in use by another process"), "{message}");
    // However it ends: a kill leaves no lock behind.
    holder.kill().expect("a kill");
    holder.wait().expect("an end");
    let store = open(dir.path());
    check(&store);
}

#[test]
fn a_journal_cannot_be_opened_twice_in_one_process() {
    let dir = closed_journal();
    let first = open(dir.path());
    assert!(matches!(EmbeddedStore::open(dir.path(), "ledger"), Err(OpenError::Locked { .. })));
    drop(first);
    check(&open(dir.path()));
}

/// Holds the journal until it is killed; starts as a process of its own.
#[test]
fn child_that_holds_the_journal() {
    let Some(dir) = std::env::var_os("CAURI_TEST_HOLD") else { return };
    let _store = open(Path::new(&dir));
    println!("held");
    std::thread::sleep(std::time::Duration::from_secs(600));
}

fn holder_of(dir: &Path) -> Child {
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .args(["embedded::opening::child_that_holds_the_journal", "--exact", "--nocapture"])
        .env("CAURI_TEST_HOLD", dir)
        .stdout(Stdio::piped())
        .spawn()
        .expect("a child");
    let output = BufReader::new(child.stdout.take().expect("its output"));
    assert!(output.lines().any(|line| line.expect("text").contains("held")), "the child did not open the journal");
    child
}

#[test]
fn a_journal_of_a_newer_format_is_not_touched() {
    let dir = closed_journal();
    sql(dir.path(), "journal.sqlite", "UPDATE meta SET value = '7' WHERE key = 'format_version'");
    for opened in [EmbeddedStore::open(dir.path(), "ledger"), EmbeddedStore::open_read_only(dir.path(), "ledger")] {
        match opened {
            Err(OpenError::NewerFormat { found: 7, supported: FORMAT_VERSION, .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    sql(dir.path(), "journal.sqlite", "UPDATE meta SET value = 'seven' WHERE key = 'format_version'");
    for opened in [EmbeddedStore::open(dir.path(), "ledger"), EmbeddedStore::open_read_only(dir.path(), "ledger")] {
        assert!(matches!(&opened, Err(OpenError::Store(StoreError::Corruption(damage))) if damage.what.contains("seven")), "{opened:?}");
    }
}

#[test]
fn a_journal_that_is_gone_is_not_begun_anew_beside_its_index() {
    for lost in ["cut off", "removed"] {
        let dir = closed_journal();
        drop(EmbeddedStore::open_with(dir.path(), "ledger", TINY));
        let journal = dir.path().join("journal.sqlite");
        if lost == "removed" {
            std::fs::remove_file(&journal).expect("a journal");
        } else {
            std::fs::write(&journal, "").expect("a journal");
        }
        let opened = EmbeddedStore::open(dir.path(), "ledger");
        assert!(
            matches!(&opened, Err(OpenError::Store(StoreError::Corruption(damage))) if damage.what.contains("index")),
            "{lost}: {opened:?}"
        );
        assert!(std::fs::metadata(&journal).map_or(0, |file| file.len()) == 0, "{lost}: another journal was begun");
    }
}

#[test]
fn a_journal_of_another_name_is_not_opened() {
    let dir = closed_journal();
    for opened in [EmbeddedStore::open(dir.path(), "signals"), EmbeddedStore::open_read_only(dir.path(), "signals")] {
        match opened {
            Err(OpenError::OtherJournal { found, wanted, .. }) => assert_eq!((found.as_str(), wanted.as_str()), ("ledger", "signals")),
            other => panic!("{other:?}"),
        }
    }
    check(&open(dir.path()));
}

#[test]
fn a_file_that_is_no_database_is_not_taken_for_a_journal() {
    let dir = tempfile::tempdir().expect("a directory");
    let text = "not a database at all\n".repeat(500);
    std::fs::write(dir.path().join("journal.sqlite"), &text).expect("a file");
    for opened in [EmbeddedStore::open(dir.path(), "ledger"), EmbeddedStore::open_read_only(dir.path(), "ledger")] {
        assert!(matches!(opened, Err(OpenError::NotAJournal { .. })), "{opened:?}");
    }
    assert_eq!(std::fs::read_to_string(dir.path().join("journal.sqlite")).expect("a file"), text);
}

#[test]
fn another_programs_database_is_neither_taken_for_a_journal_nor_changed() {
    let dir = tempfile::tempdir().expect("a directory");
    sql(
        dir.path(),
        "journal.sqlite",
        "CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO customers VALUES (1, 'Awa')",
    );
    let before = std::fs::read(dir.path().join("journal.sqlite")).expect("a file");
    for opened in [EmbeddedStore::open(dir.path(), "ledger"), EmbeddedStore::open_read_only(dir.path(), "ledger")] {
        assert!(matches!(opened, Err(OpenError::NotAJournal { .. })), "{opened:?}");
    }
    assert!(before == std::fs::read(dir.path().join("journal.sqlite")).expect("a file"), "the database was changed");
}

#[test]
fn a_start_that_was_killed_before_the_journal_was_made_is_no_obstacle() {
    for left in [&b""[..], &[0; 0]] {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("journal.sqlite"), left).expect("a file");
        append(&open(dir.path()), &[Author::new("a").entry()]);
    }
    // A database without tables: the pragmas were set, the transaction that makes the tables was not committed.
    let dir = tempfile::tempdir().expect("a directory");
    sql(dir.path(), "journal.sqlite", "PRAGMA journal_mode = wal; CREATE TABLE gone (id INTEGER); DROP TABLE gone;");
    append(&open(dir.path()), &[Author::new("a").entry()]);
    check(&open(dir.path()));
}

#[test]
fn a_path_that_is_a_file_is_a_failure_with_words() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("ledger");
    std::fs::write(&path, "a file").expect("a file");
    let opened = EmbeddedStore::open(&path, "ledger");
    assert!(matches!(opened, Err(OpenError::Store(StoreError::Failure(Failure::NotDone(_))))), "{opened:?}");
}

#[test]
fn a_head_that_contradicts_itself_is_corruption() {
    for change in [
        "UPDATE head SET position = position + 1",
        "UPDATE head SET root = zeroblob(32)",
        "UPDATE head SET peaks = x'00'",
        "UPDATE head SET peaks = zeroblob(length(peaks))",
        "DELETE FROM head",
    ] {
        let dir = closed_journal();
        sql(dir.path(), "journal.sqlite", change);
        let opened = EmbeddedStore::open(dir.path(), "ledger");
        assert!(matches!(opened, Err(OpenError::Store(StoreError::Corruption(_)))), "{change}: {opened:?}");
    }
}

#[test]
fn a_changed_frame_is_found_and_its_position_named() {
    for (change, position) in [
        ("UPDATE frames SET body = substr(body, 1, length(body) - 4) WHERE first = 5", 5..=6),
        ("UPDATE frames SET body = zeroblob(100) WHERE first = 5", 5..=5),
        ("UPDATE frames SET checksums = CAST(x'00000000' || substr(checksums, 5) AS BLOB) WHERE first = 5", 5..=5),
        ("UPDATE frames SET checksums = substr(checksums, 1, 4) WHERE first = 5", 5..=5),
        ("UPDATE frames SET body = (SELECT body FROM frames WHERE first = 3) WHERE first = 5", 5..=5),
    ] {
        let dir = closed_journal();
        sql(dir.path(), "journal.sqlite", change);
        let store = EmbeddedStore::open_read_only(dir.path(), "ledger");
        let read = match store {
            Ok(store) => {
                assert_eq!(store.read_journal(Position::ZERO, 4).expect("what is whole").len(), 4);
                store
                    .read_journal(Position::new(5), 1)
                    .map(|records| records[0].as_record().envelope().map(|_| ()).map_err(StoreError::from))
            }
            Err(OpenError::Store(error)) => Err(error),
            Err(other) => panic!("{other:?}"),
        };
        match read {
            Err(StoreError::Corruption(corruption)) | Ok(Err(StoreError::Corruption(corruption))) => {
                assert!(position.contains(&corruption.position.get()), "{change}: {corruption}");
            }
            other => panic!("{change}: {other:?}"),
        }
    }
}

#[test]
fn a_head_that_somebody_else_moved_stops_the_writer() {
    let dir = closed_journal();
    let store = open(dir.path());
    // A copy of yesterday's file put in place under a running process, say.
    sql(dir.path(), "journal.sqlite", "UPDATE head SET position = position - 2, root = zeroblob(32)");
    let tree = store.tree().expect("a tree");
    let appended = store.append(tree.head(), &batch_after(tree.clone(), &[Author::new("b").entry()]));
    assert!(matches!(appended, Err(StoreError::Corruption(_))), "{appended:?}");
}

#[test]
fn nothing_is_opened_for_reading_where_there_is_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    assert!(matches!(EmbeddedStore::open_read_only(dir.path(), "ledger"), Err(OpenError::NotAJournal { .. })));
    assert!(std::fs::read_dir(dir.path()).expect("a directory").next().is_none(), "opening for reading made a file");
}

#[test]
fn a_reader_beside_the_writer_sees_everything_that_is_durable() {
    let dir = closed_journal();
    let writer = EmbeddedStore::open_with(dir.path(), "ledger", TINY).expect("a store");
    let reader = EmbeddedStore::open_read_only(dir.path(), "ledger").expect("a reader");
    let mut author = Author::new("b");
    let mut written: Vec<Commit> = Vec::new();
    // The index is flushed and merged under the reader's eyes.
    for round in 0..200 {
        let commits = [author.entry(), author.hold_and_void()];
        append(&writer, &commits);
        written.extend(commits);
        if round % 20 == 0 {
            let lookups: Vec<Sought> = written.iter().flat_map(|commit| [commit.command_lookup(), commit.stream_lookup()]).collect();
            assert_eq!(reader.head().expect("a head"), writer.head().expect("a head"));
            assert_eq!(all(&reader), all(&writer));
            assert_eq!(located(&reader, &lookups), located(&writer, &lookups), "in round {round}");
            for commit in &written {
                let stream = reader.read_stream(&commit.stream().to_string(), StreamVersion::ZERO).expect("a stream");
                assert_eq!(stream.len(), commit.events.len());
            }
        }
    }
    check(&writer);
    let late = EmbeddedStore::open_read_only(dir.path(), "ledger").expect("a reader");
    check(&late);
    drop(writer);
    check(&late);
}

#[test]
fn a_reader_cannot_append() {
    let dir = closed_journal();
    let reader = EmbeddedStore::open_read_only(dir.path(), "ledger").expect("a reader");
    let tree = reader.tree().expect("a tree");
    let appended = reader.append(tree.head(), &batch_after(tree.clone(), &[Author::new("b").entry()]));
    assert!(matches!(appended, Err(StoreError::Failure(Failure::NotDone(_)))), "{appended:?}");
    check(&reader);
}

#[test]
fn a_reader_needs_no_index() {
    let dir = closed_journal();
    for file in ["index.sqlite", "index.sqlite-wal", "index.sqlite-shm"] {
        let _ = std::fs::remove_file(dir.path().join(file));
    }
    let reader = EmbeddedStore::open_read_only(dir.path(), "ledger").expect("a reader");
    check(&reader);
    assert_eq!(reader.latest_snapshot().expect("an answer"), None);
    assert!(!dir.path().join("index.sqlite").exists(), "opening for reading made a file");
}

#[test]
fn a_snapshot_may_be_larger_than_a_value_of_the_database_and_is_whole_or_not_there() {
    let dir = closed_journal();
    let store = open(dir.path());
    let head = |position| Head { position, root: store.root_at(position).expect("a root").expect("a position of the journal") };
    // Bytes that do not pack well.
    let byte = |number: u32| (number.wrapping_mul(2_654_435_761) >> 24) as u8;
    let large = |position| Snapshot {
        head: head(Position::new(position)),
        state: (0..40_000_000).map(|number| byte(number + position as u32)).collect(),
    };
    let (older, newer) = (large(2), large(4));
    for snapshot in [&older, &newer, &newer] {
        store.save_snapshot(snapshot).expect("kept");
    }
    assert!(store.latest_snapshot().expect("an answer").as_ref() == Some(&newer));
    drop(store);
    sql(dir.path(), "index.sqlite", "DELETE FROM snapshot_chunks WHERE position = 4 AND number = 2");
    assert!(open(dir.path()).latest_snapshot().expect("an answer").as_ref() == Some(&older), "the newer one lacks a chunk");
}

#[test]
fn a_snapshot_of_a_damaged_file_is_one_that_is_not_there() {
    let dir = closed_journal();
    let (older, newer) = {
        let store = open(dir.path());
        let head = |position| {
            let position = Position::new(position);
            Head { position, root: store.root_at(position).expect("a root").expect("a position of the journal") }
        };
        (head(2), head(4))
    };
    {
        let store = open(dir.path());
        store.save_snapshot(&Snapshot { head: older, state: b"older".to_vec() }).expect("a snapshot");
        store.save_snapshot(&Snapshot { head: newer, state: b"newer".to_vec() }).expect("a snapshot");
    }
    sql(dir.path(), "index.sqlite", "UPDATE snapshot_chunks SET state = zeroblob(length(state)) WHERE position = 4");
    let left = open(dir.path()).latest_snapshot().expect("an answer");
    assert_eq!(left, Some(Snapshot { head: older, state: b"older".to_vec() }));
    sql(dir.path(), "index.sqlite", "UPDATE snapshot_chunks SET checksum = checksum + 1");
    let store = open(dir.path());
    assert_eq!(store.latest_snapshot().expect("an answer"), None);
    check(&store);
}
