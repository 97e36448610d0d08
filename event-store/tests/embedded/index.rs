//! The derived index: its flushes and merges, and that losing or damaging it costs nothing but time.
//!
//! What would be worse than any failure is a look-up that says "never written" of a command that was: the command
//! would happen twice.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cauri_event_schemas::Position;
use cauri_event_store::conformance::material::{Author, Commit, Sought, address, append, batch_after, check, located};
use cauri_event_store::embedded::{EmbeddedStore, IndexSize};
use cauri_event_store::health::IndexCondition;
use cauri_event_store::{EventStore, Head, Snapshot};
use rusqlite::Connection;

use super::backend::{TINY, copy_of_a_killed_process};

fn open(dir: &Path) -> EmbeddedStore {
    EmbeddedStore::open_with(dir, "ledger", TINY).expect("a store")
}

/// A slice for each chunk: merging takes long, and is rarely done when the next table is full.
fn open_slow(dir: &Path) -> EmbeddedStore {
    EmbeddedStore::open_with(dir, "ledger", IndexSize { keys_a_slice: 1, ..TINY }).expect("a store")
}

/// Some of everything, in enough batches to make runs of every level; everything that can be looked up in it.
fn write(store: &EmbeddedStore, author: &mut Author, batches: usize) -> Vec<(Sought, Position)> {
    write_about(store, author, "customers", batches)
}

/// The same with accounts of these people.
fn write_about(store: &EmbeddedStore, author: &mut Author, people: &str, batches: usize) -> Vec<(Sought, Position)> {
    let mut written = Vec::new();
    for round in 0..batches {
        let commits = [author.entry(), author.account(&address(&format!("{people}:{}", round % 5))), author.refusal()];
        let first = store.head().expect("a head").position.next();
        append(store, &commits);
        for (index, commit) in commits.iter().enumerate() {
            written.push((commit.command_lookup(), first.after(index)));
            if index != 1 {
                written.push((commit.stream_lookup(), first.after(index)));
            }
        }
    }
    written
}

fn all_located(store: &EmbeddedStore, written: &[(Sought, Position)]) {
    let lookups: Vec<Sought> = written.iter().map(|(lookup, _)| lookup.clone()).collect();
    let positions: Vec<Option<Position>> = written.iter().map(|(_, position)| Some(*position)).collect();
    assert!(located(store, &lookups) == positions, "an id was not found where it stands");
}

fn closed_journal(batches: usize) -> (tempfile::TempDir, Author, Vec<(Sought, Position)>) {
    let dir = tempfile::tempdir().expect("a directory");
    let mut author = Author::new("a");
    let written = write(&open(dir.path()), &mut author, batches);
    (dir, author, written)
}

fn remove_index(dir: &Path) {
    for file in ["index.sqlite", "index.sqlite-wal", "index.sqlite-shm"] {
        let _ = std::fs::remove_file(dir.join(file));
    }
}

fn number(dir: &Path, select: &str) -> i64 {
    Connection::open(dir.join("index.sqlite")).and_then(|index| index.query_row(select, [], |row| row.get(0))).expect(select)
}

const CHUNKS_OF_NO_RUN: &str = "SELECT count(*) FROM chunks WHERE (chunk >> 32) NOT IN (SELECT run FROM runs)";

/// Merging goes on beside everything else: waits until nothing is left to be merged or removed.
fn merged(dir: &Path) {
    merged_by(dir, TINY.fan_in);
}

fn merged_by(dir: &Path, fan_in: usize) {
    let most_of_a_level = "SELECT coalesce(max(runs), 0) FROM (SELECT count(*) AS runs FROM runs WHERE level < 2 GROUP BY level)";
    let deadline = Instant::now() + Duration::from_secs(60);
    while number(dir, most_of_a_level) >= fan_in as i64 || number(dir, CHUNKS_OF_NO_RUN) > 0 {
        assert!(Instant::now() < deadline, "runs are left unmerged, or merged ones leave something behind");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn look_ups_answer_through_flushes_and_merges_on_every_level() {
    let (dir, mut author, mut written) = closed_journal(120);
    for _ in 0..4 {
        let store = open(dir.path());
        written.extend(write(&store, &mut author, 30));
        all_located(&store, &written);
        merged(dir.path());
        all_located(&store, &written);
        check(&store);
        store.check_index(|_| {}).expect("an index that leads everywhere");
    }
    assert_eq!(number(dir.path(), "SELECT max(level) FROM runs"), 2, "the highest level was reached");
    let keys = |dir: &Path| number(dir, "SELECT sum((length(pairs) - 4) / 16) FROM chunks WHERE (chunk >> 32) IN (SELECT run FROM runs)");
    let merged_keys = keys(dir.path());
    remove_index(dir.path());
    drop(open(dir.path()));
    assert_eq!(merged_keys, keys(dir.path()), "as many keys as in an index that is built anew");
}

#[test]
fn a_merge_that_a_stop_or_a_kill_cut_short_is_done_again_and_leaves_nothing_behind() {
    let (dir, mut author, mut written) = closed_journal(60);
    let images = tempfile::tempdir().expect("a directory");
    let half_a_run = "INSERT OR IGNORE INTO chunks SELECT chunk + (1 << 32), pairs FROM chunks
        WHERE (chunk >> 32) = (SELECT max(run) FROM runs) LIMIT 3";
    let deadline = Instant::now() + Duration::from_secs(60);
    let (mut round, mut cut_short) = (0, 0);
    while round < 20 || cut_short == 0 {
        assert!(Instant::now() < deadline, "no merge was cut short in {round} rounds");
        round += 1;
        let store = open_slow(dir.path());
        written.extend(write(&store, &mut author, 4 + round % 7));
        let image = images.path().join(round.to_string());
        copy_of_a_killed_process(dir.path(), &image);
        drop(store);
        for left in [dir.path(), &image] {
            cut_short += number(left, CHUNKS_OF_NO_RUN);
            Connection::open(left.join("index.sqlite")).and_then(|index| index.execute(half_a_run, [])).expect("half a run");
            let store = open(left);
            all_located(&store, &written);
            merged(left);
            all_located(&store, &written);
        }
    }
}

#[test]
fn a_table_becomes_a_run_while_a_merge_is_under_way() {
    let dir = tempfile::tempdir().expect("a directory");
    // A merge of the second level is some four hundred slices, and a table is full after a few batches.
    let size = IndexSize { keys_a_chunk: 1, keys_a_slice: 1, fan_in: 4, ..TINY };
    let store = EmbeddedStore::open_with(dir.path(), "ledger", size).expect("a store");
    let mut author = Author::new("a");
    let mut written = Vec::new();
    let deadline = Instant::now() + Duration::from_secs(60);
    // Newer than the unfinished run, and known: it was written in between.
    let between = "SELECT count(*) FROM runs WHERE run > (SELECT min(chunk >> 32) FROM chunks
        WHERE (chunk >> 32) NOT IN (SELECT run FROM runs) AND (chunk >> 32) > (SELECT max(run) FROM runs WHERE level > 0))";
    while number(dir.path(), between) == 0 {
        assert!(Instant::now() < deadline, "no run was written during a merge");
        written.extend(write(&store, &mut author, 1));
    }
    merged_by(dir.path(), size.fan_in);
    all_located(&store, &written);
    check(&store);
}

#[test]
fn look_ups_go_on_while_runs_are_flushed_and_merged() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let mut author = Author::new("a");
    let early = write(&store, &mut author, 20);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::SeqCst) {
                    all_located(&store, &early);
                }
            });
        }
        write(&store, &mut author, 400);
        done.store(true, Ordering::SeqCst);
    });
    check(&store);
}

#[test]
fn a_reader_beside_the_writer_finds_everything_while_runs_are_merged_away() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open_slow(dir.path());
    let mut author = Author::new("a");
    let early = write(&store, &mut author, 60);
    // Its own store keeps the list of runs that it found when it was opened.
    let reader = EmbeddedStore::open_read_only(dir.path(), "ledger").expect("a reader");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::SeqCst) {
                all_located(&reader, &early);
            }
        });
        write(&store, &mut author, 300);
        merged(dir.path());
        done.store(true, Ordering::SeqCst);
    });
    all_located(&reader, &early);
}

#[test]
fn a_damaged_chunk_that_is_met_while_merging_has_the_next_start_build_the_index_again() {
    let (dir, mut author, mut written) = closed_journal(60);
    let level_0 = "UPDATE chunks SET pairs = x'00' WHERE (chunk >> 32) IN (SELECT run FROM runs WHERE level = 0)";
    let store = open(dir.path());
    merged(dir.path());
    while number(dir.path(), "SELECT count(*) FROM runs WHERE level = 0") == 0 {
        written.extend(write(&store, &mut author, 1));
        merged(dir.path());
    }
    Connection::open(dir.path().join("index.sqlite")).and_then(|index| index.execute(level_0, [])).expect("damage");
    let deadline = Instant::now() + Duration::from_secs(60);
    while !dir.path().join("index.damaged").exists() {
        assert!(Instant::now() < deadline, "nobody met the damage");
        written.extend(write(&store, &mut author, 1));
    }
    drop(store);
    all_located(&open(dir.path()), &written);
}

#[test]
fn snapshots_and_flushes_do_not_get_in_each_others_way() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let done = AtomicBool::new(false);
    let written = std::thread::scope(|scope| {
        let saver = scope.spawn(|| {
            let mut saved = 0_u64;
            while !done.load(Ordering::SeqCst) {
                saved += 1;
                let head = Head { position: Position::new(saved), ..Head::default() };
                store.save_snapshot(&Snapshot { head, state: vec![saved as u8; 20_000] }).expect("a snapshot");
            }
            saved
        });
        let written = write(&store, &mut Author::new("a"), 500);
        done.store(true, Ordering::SeqCst);
        let saved = saver.join().expect("a saver");
        let newest = store.latest_snapshot().expect("an answer").expect("a snapshot");
        assert_eq!(newest.head.position, Position::new(saved));
        written
    });
    all_located(&store, &written);
    check(&store);
}

#[test]
fn deleting_the_index_costs_nothing_but_time() {
    let (dir, mut author, mut written) = closed_journal(60);
    for _ in 0..3 {
        remove_index(dir.path());
        let store = open(dir.path());
        all_located(&store, &written);
        check(&store);
        written.extend(write(&store, &mut author, 10));
        all_located(&store, &written);
    }
}

#[test]
fn an_index_from_before_a_crash_is_completed_from_the_journal() {
    let (dir, mut author, mut written) = closed_journal(30);
    let images = tempfile::tempdir().expect("a directory");
    for round in 0..10 {
        let store = open(dir.path());
        written.extend(write(&store, &mut author, 1 + round));
        let image = images.path().join(round.to_string());
        copy_of_a_killed_process(dir.path(), &image);
        let left = open(&image);
        all_located(&left, &written);
        check(&left);
    }
}

#[test]
fn a_file_that_is_no_index_is_built_again() {
    let (dir, _, written) = closed_journal(60);
    let whole = std::fs::read(dir.path().join("index.sqlite")).expect("an index");
    let garbage = b"not a database\n".repeat(1_000);
    let half = whole[..whole.len() / 2].to_vec();
    for left in [garbage, half, Vec::new(), vec![0; 8_192], whole[..100].to_vec()] {
        remove_index(dir.path());
        std::fs::write(dir.path().join("index.sqlite"), &left).expect("a file");
        found_or_healed(dir.path(), &written);
        all_located(&open(dir.path()), &written);
    }
}

/// Whatever was damaged, every look-up is answered, and rightly; `true` if the index was rebuilt for it.
fn found_or_healed(dir: &Path, written: &[(Sought, Position)]) -> bool {
    let store = open(dir);
    all_located(&store, written);
    let rebuilt = store.health().index_rebuilds() > 0;
    assert!(!rebuilt || !dir.join("index.damaged").exists(), "a note of damage is left behind a rebuild");
    rebuilt
}

#[test]
fn an_index_of_another_shape_is_built_again() {
    for change in [
        "DROP TABLE runs",
        "DELETE FROM runs WHERE run = (SELECT min(run) FROM runs)",
        "DELETE FROM chunks WHERE chunk = (SELECT min(chunk) FROM chunks)",
        "UPDATE chunks SET pairs = x''",
        "DELETE FROM meta WHERE key LIKE 'seed%'",
        "UPDATE meta SET value = value + 1 WHERE key = 'seed_1'",
        "DROP TABLE chunks; CREATE TABLE chunks (something TEXT)",
        "ALTER TABLE runs DROP COLUMN filter",
        "DELETE FROM meta WHERE key = 'indexed_root'",
        "UPDATE meta SET value = value + 1 WHERE key = 'indexed_to'",
        "UPDATE meta SET value = 1000000 WHERE key = 'indexed_to'",
        "UPDATE runs SET filter = zeroblob(length(filter))",
        "UPDATE runs SET first_keys = substr(first_keys, 9)",
        "UPDATE runs SET first_keys = x'', filter = x''",
        "PRAGMA user_version = 1",
        // What SQLite shows where a bit of a row's number has changed: another chunk in its place, whole in itself.
        "UPDATE chunks SET pairs = (SELECT next.pairs FROM chunks AS next WHERE next.chunk = chunks.chunk + 1)
            WHERE chunk IN (SELECT chunk - 1 FROM chunks)",
    ] {
        let (dir, mut author, mut written) = closed_journal(40);
        Connection::open(dir.path().join("index.sqlite")).and_then(|index| index.execute_batch(change)).expect(change);
        found_or_healed(dir.path(), &written);
        let store = open(dir.path());
        all_located(&store, &written);
        written.extend(write(&store, &mut author, 10));
        drop(store);
        all_located(&open(dir.path()), &written);
    }
}

#[test]
fn an_index_of_another_journal_or_history_is_built_again() {
    let (dir, _, written) = closed_journal(60);
    let other = tempfile::tempdir().expect("a directory");
    write(&open(other.path()), &mut Author::new("other"), 30);
    remove_index(dir.path());
    std::fs::copy(other.path().join("index.sqlite"), dir.path().join("index.sqlite")).expect("a copy");
    all_located(&open(dir.path()), &written);

    // A backup of the journal is put back, and history goes another way from there; the index stays as it was.
    let (dir, author, early) = closed_journal(20);
    let backup = std::fs::read(dir.path().join("journal.sqlite")).expect("a journal");
    write(&open(dir.path()), &mut author.clone(), 40);
    let index = std::fs::read(dir.path().join("index.sqlite")).expect("an index");
    std::fs::write(dir.path().join("journal.sqlite"), backup).expect("a journal");
    remove_index(dir.path());
    let otherwise = write_about(&open(dir.path()), &mut Author::new("otherwise"), "others", 80);
    std::fs::write(dir.path().join("index.sqlite"), index).expect("an index");
    let store = open(dir.path());
    all_located(&store, &early);
    all_located(&store, &otherwise);
    check(&store);
}

#[test]
fn a_damaged_byte_of_the_index_never_hides_a_command() {
    let (dir, _, written) = closed_journal(40);
    let whole = std::fs::read(dir.path().join("index.sqlite")).expect("an index");
    let mut healed = 0;
    for at in (0..whole.len()).step_by(211) {
        let mut damaged = whole.clone();
        damaged[at] ^= 1 << (at % 8);
        remove_index(dir.path());
        std::fs::write(dir.path().join("index.sqlite"), damaged).expect("an index");
        healed += usize::from(found_or_healed(dir.path(), &written));
    }
    assert!(healed > 0, "no damage was ever met while looking up");
}

#[test]
fn keys_that_collide_lead_to_nothing_but_what_was_asked_for() {
    let dir = tempfile::tempdir().expect("a directory");
    // Two bits: every key has three others' records to pass over.
    let size = IndexSize { key_bits: 2, keys_a_slice: 1, ..TINY };
    let store = EmbeddedStore::open_with(dir.path(), "ledger", size).expect("a store");
    let mut author = Author::new("a");
    let written = write(&store, &mut author, 40);
    merged(dir.path());
    all_located(&store, &written);
    let mut nobody = Author::new("nobody");
    let never: Vec<Commit> = (0..50).map(|_| nobody.entry()).collect();
    let lookups: Vec<Sought> = never.iter().flat_map(|commit| [commit.command_lookup(), commit.stream_lookup()]).collect();
    assert!(located(&store, &lookups).iter().all(Option::is_none));
    check(&store);
}

/// Waits until the index was rebuilt so many times.
fn rebuilt(store: &EmbeddedStore, times: u64) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while store.health().index_rebuilds() < times {
        assert!(Instant::now() < deadline, "the index is not rebuilt: {:?}", store.health().index());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn damaged_chunks_are_rebuilt_while_appends_and_look_ups_go_on() {
    let (dir, mut author, mut written) = closed_journal(60);
    let store = open(dir.path());
    merged(dir.path());
    Connection::open(dir.path().join("index.sqlite"))
        .and_then(|index| index.execute("UPDATE chunks SET pairs = x'00'", []))
        .expect("damage");
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| all_located(&store, &written));
        }
    });
    written.extend(write(&store, &mut author, 60));
    rebuilt(&store, 1);
    all_located(&store, &written);
    assert!(!dir.path().join("index.damaged").exists());
    // Again, and found by nobody's look-up this time.
    merged(dir.path());
    Connection::open(dir.path().join("index.sqlite"))
        .and_then(|index| index.execute("UPDATE chunks SET pairs = x'00'", []))
        .expect("damage");
    let deadline = Instant::now() + Duration::from_secs(30);
    while store.health().index_rebuilds() < 2 {
        assert!(Instant::now() < deadline, "damage that a merge meets is not rebuilt");
        written.extend(write(&store, &mut author, 1));
        store.tend();
    }
    all_located(&store, &written);
    check(&store);
    drop(store);
    let store = open(dir.path());
    all_located(&store, &written);
    assert_eq!(store.health().index_rebuilds(), 0, "what was rebuilt is whole");
    assert_eq!(EmbeddedStore::audit_index(dir.path(), "ledger").expect("an audit").damage, Vec::<String>::new());
}

/// Appends until it fails, at most so many times.
fn append_until_it_fails(store: &EmbeddedStore, author: &mut Author) {
    for _ in 0..2_000 {
        let tree = store.tree().expect("a tree");
        if store.append(tree.head(), &batch_after(tree.clone(), &[author.entry()])).is_err() {
            return;
        }
    }
    panic!("appends go on without an index that can be written");
}

#[test]
fn damage_that_is_met_while_a_table_is_written_is_rebuilt() {
    let (dir, mut author, mut written) = closed_journal(60);
    let store = open(dir.path());
    merged(dir.path());
    Connection::open(dir.path().join("index.sqlite")).and_then(|index| index.execute_batch("DROP TABLE runs")).expect("damage");
    append_until_it_fails(&store, &mut author);
    store.tend();
    rebuilt(&store, 1);
    written.extend(write(&store, &mut author, 30));
    all_located(&store, &written);
    check(&store);
    assert_eq!(store.health().index(), IndexCondition::Whole);
}

#[test]
fn appends_that_fail_because_the_index_cannot_be_written_are_a_condition_until_it_can_be() {
    let (dir, mut author, written) = closed_journal(60);
    let store = open(dir.path());
    let index = Connection::open(dir.path().join("index.sqlite")).expect("the index");
    index
        .execute_batch("CREATE TRIGGER refusing BEFORE INSERT ON runs BEGIN SELECT RAISE(ABORT, 'the test says no'); END")
        .expect("a trigger");
    assert_eq!(store.health().index(), IndexCondition::Whole);
    append_until_it_fails(&store, &mut author);
    match store.health().index() {
        IndexCondition::WriteFailed { why } => assert!(why.contains("the test says no"), "{why}"),
        other => panic!("{other:?}"),
    }
    // Nothing is asked of the store meanwhile: a process that is not ready gets no commands.
    index.execute_batch("DROP TRIGGER refusing").expect("no trigger");
    let deadline = Instant::now() + Duration::from_secs(30);
    while store.health().index() != IndexCondition::Whole {
        assert!(Instant::now() < deadline, "{:?}", store.health().index());
        std::thread::sleep(Duration::from_millis(5));
    }
    append(&store, &[author.entry()]);
    all_located(&store, &written);
    check(&store);
}

#[test]
fn an_index_file_that_is_removed_or_replaced_while_it_is_open_is_rebuilt() {
    let other = tempfile::tempdir().expect("a directory");
    write(&open(other.path()), &mut Author::new("other"), 30);
    for replaced in [false, true] {
        let (dir, mut author, mut written) = closed_journal(60);
        let store = open(dir.path());
        remove_index(dir.path());
        if replaced {
            std::fs::copy(other.path().join("index.sqlite"), dir.path().join("index.sqlite")).expect("a copy");
        }
        store.tend();
        written.extend(write(&store, &mut author, 30));
        all_located(&store, &written);
        rebuilt(&store, 1);
        all_located(&store, &written);
        written.extend(write(&store, &mut author, 30));
        store.save_snapshot(&Snapshot { head: store.head().expect("a head"), state: vec![1] }).expect("a snapshot");
        drop(store);
        let store = open(dir.path());
        assert!(store.latest_snapshot().expect("an answer").is_some());
        all_located(&store, &written);
        check(&store);
    }
}

#[test]
fn an_audit_names_every_damage_that_the_server_would_meet() {
    let whole = closed_journal(40).0;
    let found = EmbeddedStore::audit_index(whole.path(), "ledger").expect("an audit");
    assert!(found.damage.is_empty() && found.runs > 0 && found.chunks > found.runs, "{found:?}");
    for (change, named) in [
        ("UPDATE chunks SET pairs = x'00' WHERE chunk = (SELECT max(chunk) FROM chunks)", "chunk"),
        ("DELETE FROM chunks WHERE chunk = (SELECT max(chunk) FROM chunks)", "chunk"),
        ("UPDATE runs SET filter = zeroblob(length(filter))", "run"),
        ("DELETE FROM runs WHERE run = (SELECT min(run) FROM runs)", "lacks"),
        ("UPDATE meta SET value = value + 1 WHERE key = 'seed_1'", "lacks"),
        ("UPDATE meta SET value = value + 1 WHERE key = 'indexed_to'", "history"),
        ("PRAGMA user_version = 1", "version"),
        ("DROP TABLE chunks", "chunks"),
    ] {
        let (dir, _, _) = closed_journal(40);
        Connection::open(dir.path().join("index.sqlite")).and_then(|index| index.execute_batch(change)).expect(change);
        let found = EmbeddedStore::audit_index(dir.path(), "ledger").expect("an audit");
        assert!(found.damage.iter().any(|what| what.contains(named)), "{change}: {found:?}");
    }
    std::fs::write(whole.path().join("index.damaged"), "met by a look-up").expect("a note");
    let found = EmbeddedStore::audit_index(whole.path(), "ledger").expect("an audit");
    assert!(found.damage.iter().any(|what| what.contains("met by a look-up")), "{found:?}");
}
