//! Cases about appending: order, gaplessness, conflicts, whole batches, roots, sizes and texts.

use std::panic::{AssertUnwindSafe, catch_unwind};

use cauri_domain::ids::CommandKey;
use cauri_domain::ledger::Ledger;
use cauri_event_schemas::ledger::{Event, StreamId};
use cauri_event_schemas::{Position, StreamVersion};

use super::Backend;
use super::material::{Author, Commit, Sought, address, all, append, batch_after, check, located};
use crate::batch::Batch;
use crate::merkle::{Hash, Tree};
use crate::port::{Appended, EventStore, Head};

pub(super) fn an_empty_journal_has_nothing_in_it<B: Backend>(backend: &B) {
    let store = backend.create("empty");
    assert_eq!(store.name(), "empty");
    assert_eq!(store.head().expect("a head"), Head::default());
    assert_eq!(store.follow().head(), Head::default());
    assert_eq!(store.tree().expect("a tree"), Tree::empty());
    assert_eq!(all(&store), []);
    for position in [0, 1, 2, u64::MAX >> 1] {
        assert!(store.read_batch(Position::new(position)).expect("a look").is_none(), "there is a batch at {position}");
    }
    let commit = Author::new("nobody").entry();
    assert_eq!(located(&store, &[commit.command_lookup(), commit.stream_lookup()]), [None, None]);
    assert_eq!(store.read_stream(&commit.stream().to_string(), StreamVersion::ZERO).expect("a stream"), []);
    check(&store);
}

pub(super) fn records_come_back_in_order_and_byte_for_byte<B: Backend>(backend: &B) {
    let store = backend.create("order");
    let mut author = Author::new("a");
    let mut written = Vec::new();
    for size in [1, 3, 1, 50, 7] {
        let commits: Vec<Commit> = (0..size)
            .map(|index| match index % 4 {
                0 => author.entry(),
                1 => author.account(&address("customers:c1:wallet")),
                2 => author.refusal(),
                _ => author.hold_and_void(),
            })
            .collect();
        let batch = batch_after(store.tree().expect("a tree"), &commits);
        written.extend(batch.lines().split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec));
        append(&store, &commits);
    }
    let read = all(&store);
    assert_eq!(read.len(), written.len());
    for (index, (record, bytes)) in read.iter().zip(&written).enumerate() {
        assert_eq!(record.as_record().position(), Position::new(index as u64 + 1));
        assert_eq!(record.as_record().bytes(), bytes, "the record at {}", index + 1);
        let decoded = record.as_record().decode::<Ledger>().expect("an event");
        assert_eq!(decoded.len(), 1);
        assert_eq!(decoded[0].to_bytes(), *bytes, "what is decoded is written as it was");
    }
    check(&store);
}

pub(super) fn positions_have_no_gaps_and_a_batch_takes_no_other<B: Backend>(backend: &B) {
    let store = backend.create("gaps");
    let mut author = Author::new("a");
    append(&store, &[author.entry(), author.entry()]);
    let record = all(&store)[0].clone();
    let decoded = record.as_record().decode::<Ledger>().expect("an event");
    let tree = store.tree().expect("a tree");
    let mut batch = Batch::after(tree.clone());
    assert_eq!(batch.next(), Position::new(3));
    // Record 1 again, where record 3 comes next: as an event it is a mistake in Cauri, as bytes one in a file.
    assert!(catch_unwind(AssertUnwindSafe(|| batch.push(&decoded[0]))).is_err(), "a batch took position 1 after 2");
    let mut batch = Batch::after(tree);
    assert!(batch.push_bytes(record.as_record().bytes()).is_err(), "a batch took the bytes of position 1 after 2");
    assert!(batch.is_empty());
    check(&store);
}

pub(super) fn a_conflict_is_a_value_and_writes_nothing<B: Backend>(backend: &B) {
    let store = backend.create("conflict");
    let mut author = Author::new("a");
    let early = store.tree().expect("a tree");
    let head = append(&store, &[author.entry(), author.entry()]);
    let before = all(&store);
    let late = Author::new("late").entry();
    let appended = store.append(early.head(), &batch_after(early.clone(), std::slice::from_ref(&late))).expect("an answer");
    assert_eq!(appended, Appended::Conflict(head));
    // Whoever claims a head that is not there yet is in conflict too.
    let mut future = store.tree().expect("a tree");
    future.push(Hash::of_leaf(b"never written"));
    let appended = store.append(future.head(), &batch_after(future, std::slice::from_ref(&late))).expect("an answer");
    assert_eq!(appended, Appended::Conflict(head));

    assert_eq!(store.head().expect("a head"), head);
    assert_eq!(store.follow().head(), head);
    assert_eq!(all(&store), before);
    assert_eq!(located(&store, &[late.command_lookup(), late.stream_lookup()]), [None, None]);
    assert_eq!(store.read_stream(&late.stream().to_string(), StreamVersion::ZERO).expect("a stream"), []);
    append(&store, &[late]);
    check(&store);
}

pub(super) fn the_same_position_with_another_root_is_a_conflict<B: Backend>(backend: &B) {
    let store = backend.create("fork");
    let head = append(&store, &[Author::new("a").entry()]);
    let mut fork = Tree::empty();
    fork.push(Hash::of_leaf(b"another history"));
    assert_eq!(fork.head().position, head.position);
    let commit = Author::new("b").entry();
    let appended = store.append(fork.head(), &batch_after(fork, std::slice::from_ref(&commit))).expect("an answer");
    assert_eq!(appended, Appended::Conflict(head));
    assert_eq!(located(&store, &[commit.command_lookup()]), [None]);
    check(&store);
}

pub(super) fn an_empty_batch_writes_nothing<B: Backend>(backend: &B) {
    let store = backend.create("nothing");
    for round in 0..2 {
        let tree = store.tree().expect("a tree");
        let appended = store.append(tree.head(), &Batch::after(tree.clone())).expect("an answer");
        assert_eq!(appended, Appended::Done(tree.head()));
        assert_eq!(store.tree().expect("a tree"), tree);
        assert_eq!(all(&store).len(), round);
        check(&store);
        append(&store, &[Author::numbered("a", round as u64).entry()]);
    }
}

pub(super) fn the_last_record_of_format_1_is_known<B: Backend>(backend: &B) {
    let mut store = backend.create("format-1");
    let mut author = Author::new("a");
    let with_a_caller = |author: &mut Author| {
        let mut commit = author.entry();
        commit.command = format!("issuer awa {}", commit.command.id).parse().expect("a command key");
        commit
    };
    assert_eq!(store.format_1_until(), Position::ZERO);
    append(&store, &[with_a_caller(&mut author)]);
    assert_eq!(store.format_1_until(), Position::ZERO, "it has a caller");
    let mut without = author.entry();
    without.command = CommandKey::without_caller(without.command.id);
    let last = append(&store, &[without, with_a_caller(&mut author)]).position;
    for _ in 0..2 {
        let until = store.format_1_until();
        assert!((Position::new(2)..=last).contains(&until), "the record at 2 has no caller, and {until} is said");
        append(&store, &[with_a_caller(&mut author)]);
        store = backend.reopen(store);
    }
    check(&store);
}

pub(super) fn the_stored_roots_are_the_roots_of_the_records<B: Backend>(backend: &B) {
    let store = backend.create("roots");
    let mut author = Author::new("a");
    let mut heads = vec![Head::default()];
    for size in 1..=20 {
        let commits: Vec<Commit> = (0..size).map(|_| author.entry()).collect();
        heads.push(append(&store, &commits));
    }
    let mut tree = Tree::empty();
    let mut known = heads.iter().skip(1);
    let mut next = known.next();
    for record in all(&store) {
        tree.push(record.as_record().leaf());
        if next.is_some_and(|head| head.position == tree.head().position) {
            assert_eq!(next, Some(&tree.head()));
            next = known.next();
        }
    }
    assert_eq!(next, None, "every head was reached");
    assert_eq!(store.tree().expect("a tree"), tree);
    check(&store);
}

pub(super) fn a_batch_may_have_8189_records<B: Backend>(backend: &B) {
    let store = backend.create("full");
    let mut author = Author::new("a");
    for round in 1..=2 {
        let commits: Vec<Commit> = (0..8_189).map(|_| author.entry()).collect();
        append(&store, &commits);
        assert_eq!(store.head().expect("a head").position, Position::new(round * 8_189));
        let lookups: Vec<Sought> = commits.iter().map(Commit::command_lookup).collect();
        let expected: Vec<Option<Position>> = (1..=8_189).map(|index| Some(Position::new((round - 1) * 8_189 + index))).collect();
        assert_eq!(located(&store, &lookups), expected);
    }
    check(&store);
}

pub(super) fn an_entry_may_have_a_thousand_transfers<B: Backend>(backend: &B) {
    let store = backend.create("large");
    let mut author = Author::new("a");
    // 256 characters of four bytes each: the longest reason that there is.
    let longest = "\u{1f41a}".repeat(256);
    append(&store, &[author.entry(), author.entry_with(1_000, &longest), author.entry()]);
    append(&store, &[author.entry_with(1_000, "again")]);
    let records = all(&store);
    assert!(records[1].as_record().bytes().len() > 1_000_000);
    let decoded = records[1].as_record().decode::<Ledger>().expect("an event");
    let Event::Entry(cauri_domain::entry::EntryEvent::Posted(posted)) = &decoded[0].event else { panic!("{decoded:?}") };
    assert_eq!(posted.transfers.len(), 1_000);
    assert_eq!(posted.transfers[999].reason.as_ref().map(ToString::to_string), Some(longest));
    check(&store);
}

pub(super) fn every_text_comes_back_as_it_was_written<B: Backend>(backend: &B) {
    let store = backend.create("Abidjan: été « 2026 »");
    assert_eq!(store.name(), "Abidjan: été « 2026 »");
    let mut author = Author::new("a");
    let texts = [
        "Côte d'Ivoire",
        "\"quoted\" \\ back\\slash / {\"json\":[1]}",
        "كوري",
        "貝殻",
        "\u{2028}\u{2029}\u{feff}\u{200b}",
        "e\u{301} is not \u{e9}",
        "\u{1f41a}\u{10ffff}",
        "'; DROP TABLE frames; --",
        " ",
    ];
    for text in texts {
        append(&store, &[author.entry_with(2, text)]);
    }
    let strange: Vec<Commit> = ["!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", "a/b", "entry/1"]
        .into_iter()
        .map(|id| {
            let mut commit = author.refusal();
            commit.command = id.parse().expect("a command key");
            commit.events[0].0 = StreamId::Command(commit.command.clone());
            commit
        })
        .collect();
    append(&store, &strange);
    let records = all(&store);
    for (record, text) in records.iter().zip(texts) {
        let decoded = record.as_record().decode::<Ledger>().expect("an event");
        let Event::Entry(cauri_domain::entry::EntryEvent::Posted(posted)) = &decoded[0].event else { panic!("{decoded:?}") };
        assert_eq!(posted.reference.as_ref().map(|reference| reference.as_str()), Some(text));
        assert_eq!(posted.transfers[1].reason.as_ref().map(|reason| reason.as_str()), Some(text));
    }
    check(&store);
    let reopened = backend.reopen(store);
    assert_eq!(all(&reopened), records);
    check(&reopened);
}
