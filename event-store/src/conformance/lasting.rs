//! Cases about what lasts: reopening, crashes, snapshots.

use cauri_event_schemas::ledger::StreamId;
use cauri_event_schemas::{Position, StreamVersion};

use super::Backend;
use super::material::{Author, Commit, Sought, address, all, append, check, located};
use crate::port::{EventStore, Head, Snapshot};

/// A journal with some of everything, and the ids in it.
fn written<B: Backend>(backend: &B, name: &str) -> (B::Store, Author, Vec<Sought>) {
    let store = backend.create(name);
    let mut author = Author::new("a");
    let mut lookups = Vec::new();
    for round in 0..40 {
        let mut commits: Vec<Commit> = (0..round % 5).map(|_| author.entry()).collect();
        commits.extend([author.account(&address("customers:c1")), author.refusal(), author.hold_and_void()]);
        lookups.extend(commits.iter().flat_map(|commit| [commit.command_lookup(), commit.stream_lookup()]));
        append(&store, &commits);
    }
    (store, author, lookups)
}

/// The journal is the same after `again`, and goes on.
fn is_the_same_after<B: Backend>(backend: &B, name: &str, again: impl Fn(B::Store) -> B::Store) {
    let (store, mut author, lookups) = written(backend, name);
    let stream = StreamId::Account(address("customers:c1"));
    let before = (
        store.tree().expect("a tree"),
        store.head().expect("a head"),
        all(&store),
        located(&store, &lookups),
        store.read_stream(&stream.to_string(), StreamVersion::ZERO).expect("a stream"),
    );
    let mut store = again(store);
    for _ in 0..2 {
        let after = (
            store.tree().expect("a tree"),
            store.head().expect("a head"),
            all(&store),
            located(&store, &lookups),
            store.read_stream(&stream.to_string(), StreamVersion::ZERO).expect("a stream"),
        );
        assert_eq!(store.name(), name);
        assert!(before == after, "{} became {}", before.1, after.1);
        assert_eq!(store.follow().head(), before.1);
        check(&store);
        store = again(store);
    }
    append(&store, &[author.entry(), author.account(&address("customers:c1"))]);
    check(&store);
}

pub(super) fn a_reopened_journal_is_the_same_journal<B: Backend>(backend: &B) {
    is_the_same_after(backend, "reopened", |store| backend.reopen(store));
}

pub(super) fn a_killed_process_loses_nothing_that_was_acknowledged<B: Backend>(backend: &B) {
    is_the_same_after(backend, "killed", |store| backend.crash(store));
}

pub(super) fn a_journal_goes_on_after_many_reopenings_and_crashes<B: Backend>(backend: &B) {
    let (mut store, mut author, mut lookups) = written(backend, "goes-on");
    for round in 0..12 {
        store = if round % 3 == 2 { backend.reopen(store) } else { backend.crash(store) };
        let mut commits: Vec<Commit> = (0..round).map(|_| author.entry()).collect();
        commits.push(author.account(&address("customers:c1")));
        lookups.extend(commits.iter().flat_map(|commit| [commit.command_lookup(), commit.stream_lookup()]));
        append(&store, &commits);
        assert!(located(&store, &lookups).iter().all(Option::is_some), "an id was forgotten in round {round}");
    }
    check(&store);
}

pub(super) fn there_is_no_snapshot_before_the_first<B: Backend>(backend: &B) {
    let store = backend.create("no-snapshot");
    assert_eq!(store.latest_snapshot().expect("an answer"), None);
    append(&store, &[Author::new("a").entry()]);
    assert_eq!(store.latest_snapshot().expect("an answer"), None);
    assert_eq!(backend.reopen(store).latest_snapshot().expect("an answer"), None);
}

pub(super) fn the_newest_snapshot_is_the_one_with_the_highest_position<B: Backend>(backend: &B) {
    let store = backend.create("newest");
    let mut author = Author::new("a");
    let heads: Vec<Head> = (0..5).map(|_| append(&store, &[author.entry()])).collect();
    let snapshot = |number: usize, state: &str| Snapshot { head: heads[number], state: state.as_bytes().to_vec() };
    for (saved, newest) in [
        (snapshot(1, "first"), snapshot(1, "first")),
        (snapshot(3, "newer"), snapshot(3, "newer")),
        // Of two engines one may be late with its snapshot.
        (snapshot(2, "late"), snapshot(3, "newer")),
        (snapshot(3, "again"), snapshot(3, "again")),
        (snapshot(4, ""), snapshot(4, "")),
    ] {
        store.save_snapshot(&saved).expect("a snapshot");
        assert_eq!(store.latest_snapshot().expect("an answer"), Some(newest));
    }
}

pub(super) fn a_large_snapshot_comes_back_byte_for_byte<B: Backend>(backend: &B) {
    let store = backend.create("large-snapshot");
    let head = append(&store, &[Author::new("a").entry()]);
    // Bytes that do not pack: a linear congruential generator's high bits.
    let mut number = 1_u64;
    let state: Vec<u8> = (0..5_000_000)
        .map(|_| {
            number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (number >> 56) as u8
        })
        .collect();
    let snapshot = Snapshot { head, state };
    store.save_snapshot(&snapshot).expect("a snapshot");
    assert!(store.latest_snapshot().expect("an answer") == Some(snapshot), "the snapshot changed");
}

pub(super) fn a_snapshot_outlives_a_reopening<B: Backend>(backend: &B) {
    let store = backend.create("kept-snapshot");
    let mut author = Author::new("a");
    let head = append(&store, &[author.entry()]);
    let snapshot = Snapshot { head, state: b"state".to_vec() };
    store.save_snapshot(&snapshot).expect("a snapshot");
    append(&store, &[author.entry()]);
    let store = backend.reopen(store);
    assert_eq!(store.latest_snapshot().expect("an answer"), Some(snapshot.clone()));
    assert_eq!(store.head().expect("a head").position, Position::new(2), "a snapshot does not move the head");
    let newer = Snapshot { head: store.head().expect("a head"), state: b"newer".to_vec() };
    store.save_snapshot(&newer).expect("a snapshot");
    // A snapshot is a cache: a crash may take it, but never leaves half of it.
    let store = backend.crash(store);
    let left = store.latest_snapshot().expect("an answer");
    assert!([None, Some(snapshot), Some(newer)].contains(&left), "{left:?}");
}
