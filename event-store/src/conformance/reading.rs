//! Cases about reading: batches, ranges, streams, and what ids lead to.

use cauri_event_schemas::ledger::StreamId;
use cauri_event_schemas::{Position, StreamVersion};

use super::Backend;
use super::material::{Author, Commit, Sought, address, all, append, check, located, text};
use crate::merkle::Tree;
use crate::port::EventStore;

pub(super) fn every_position_leads_to_the_batch_that_holds_it<B: Backend>(backend: &B) {
    let store = backend.create("batches");
    let mut author = Author::new("a");
    let mut bounds = Vec::new();
    for size in [1_u64, 2, 5, 1, 9] {
        let commits: Vec<Commit> = (0..size).map(|_| author.entry()).collect();
        let last = append(&store, &commits).position.get();
        bounds.push((last + 1 - size, last));
    }
    for (first, last) in bounds {
        for position in first..=last {
            let stored = store.read_batch(Position::new(position)).expect("a read").expect("a batch");
            assert_eq!((stored.first.get(), stored.last.get()), (first, last), "the batch of {position}");
            let batch = stored.check().expect("whole records");
            let record = batch.at(Position::new(position)).expect("the record itself");
            assert_eq!(record.envelope().expect("an envelope").position.get(), position);
        }
    }
    assert!(store.read_batch(Position::ZERO).expect("a read").is_none(), "no batch holds 0");
    assert!(store.read_batch(Position::new(19)).expect("a read").is_none());
}

pub(super) fn every_position_leads_to_a_block_of_its_batch<B: Backend>(backend: &B) {
    let store = backend.create("blocks");
    let mut author = Author::new("a");
    for size in [2, 600, 1] {
        let commits: Vec<Commit> = (0..size).map(|_| author.entry()).collect();
        append(&store, &commits);
    }
    for record in all(&store) {
        let position = record.as_record().position();
        let batch = store.read_checked(position).expect("a read").expect("a batch");
        let block = store.read_checked_block(position).expect("a read").expect("a block");
        assert!(batch.first() <= block.first() && block.last() <= batch.last(), "the block of {position} is of its batch");
        assert!(block.at(position).is_some_and(|found| found.bytes() == record.as_record().bytes()), "the record at {position}");
        let ends_the_batch = block.last() == batch.last();
        assert_eq!(block.root(), batch.root().filter(|_| ends_the_batch), "the root stands at the end of the batch");
    }
    assert!(store.read_block(Position::ZERO).expect("a read").is_none(), "no block holds 0");
    assert!(store.read_block(store.head().expect("a head").position.next()).expect("a read").is_none());
}

pub(super) fn the_journal_is_read_from_anywhere_to_any_limit<B: Backend>(backend: &B) {
    let store = backend.create("ranges");
    let mut author = Author::new("a");
    for size in [3, 1, 4] {
        let commits: Vec<Commit> = (0..size).map(|_| author.entry()).collect();
        append(&store, &commits);
    }
    let whole = all(&store);
    for from in 0..=10_u64 {
        for limit in [0, 1, 2, 3, 4, 8, 100] {
            let read = store.read_journal(Position::new(from), limit).expect("a range");
            let start = (from.max(1) as usize - 1).min(whole.len());
            let expected = &whole[start..whole.len().min(start + limit)];
            assert_eq!(read, expected, "from {from}, at most {limit}");
        }
    }
}

pub(super) fn a_stream_comes_back_in_order_however_many_batches_it_spans<B: Backend>(backend: &B) {
    let store = backend.create("streams");
    let mut author = Author::new("a");
    let addresses: Vec<_> = (0..3).map(|number| address(&format!("customers:c{number}"))).collect();
    for round in 0..60 {
        // Several events of one stream in a batch, and streams that skip batches.
        let mut commits = vec![author.entry(), author.account(&addresses[0]), author.account(&addresses[0])];
        if round % 7 == 0 {
            commits.push(author.account(&addresses[1]));
        }
        commits.push(author.hold_and_void());
        append(&store, &commits);
    }
    for (number, events) in [120_u64, 9].into_iter().enumerate() {
        let stream = StreamId::Account(addresses[number].clone());
        let records = store.read_stream(&stream.to_string(), StreamVersion::ZERO).expect("a stream");
        let mut last = Position::ZERO;
        for (index, record) in records.iter().enumerate() {
            let envelope = record.as_record().envelope().expect("an envelope");
            assert_eq!((&*envelope.stream, envelope.version.get()), (&*stream.to_string(), index as u64 + 1));
            assert!(record.as_record().position() > last, "a stream goes forward");
            last = record.as_record().position();
        }
        assert_eq!(records.len() as u64, events);
    }
    let never = store.read_stream(&StreamId::Account(addresses[2].clone()).to_string(), StreamVersion::ZERO).expect("a stream");
    assert_eq!(never, []);
    check(&store);
}

pub(super) fn a_stream_is_read_from_any_version<B: Backend>(backend: &B) {
    let store = backend.create("versions");
    let mut author = Author::new("a");
    let account = address("customers:c1");
    for _ in 0..10 {
        append(&store, &[author.account(&account)]);
    }
    let stream = StreamId::Account(account);
    for from in 0..=12_u64 {
        let records = store.read_stream(&stream.to_string(), StreamVersion::new(from)).expect("a stream");
        let versions: Vec<u64> = records.iter().map(|record| record.as_record().envelope().expect("an envelope").version.get()).collect();
        assert_eq!(versions, (from.max(1)..=10).collect::<Vec<_>>(), "from version {from}");
    }
}

pub(super) fn ids_are_located_at_their_first_record<B: Backend>(backend: &B) {
    let store = backend.create("first");
    let mut author = Author::new("a");
    let account = address("customers:c1");
    let (opened, two_events) = (author.account(&account), author.hold_and_void());
    append(&store, &[author.entry(), opened.clone()]);
    append(&store, std::slice::from_ref(&two_events));
    append(&store, &[author.account(&account), author.account(&account)]);
    let lookups = [opened.stream_lookup(), opened.command_lookup(), two_events.stream_lookup(), two_events.command_lookup()];
    assert_eq!(located(&store, &lookups), [2, 2, 3, 3].map(|position| Some(Position::new(position))));
    check(&store);
}

pub(super) fn ids_that_were_never_written_are_not_found<B: Backend>(backend: &B) {
    let store = backend.create("never");
    let (mut author, mut nobody) = (Author::new("a"), Author::new("nobody"));
    for _ in 0..30 {
        let commits: Vec<Commit> = (0..20).map(|_| author.entry()).collect();
        append(&store, &commits);
    }
    let never: Vec<Sought> =
        (0..2_000).map(|_| nobody.entry()).flat_map(|commit| [commit.command_lookup(), commit.stream_lookup()]).collect();
    assert!(located(&store, &never).iter().all(Option::is_none));
    for commit in (0..20).map(|_| nobody.entry()) {
        assert_eq!(store.read_stream(&commit.stream().to_string(), StreamVersion::ZERO).expect("a stream"), []);
    }
}

pub(super) fn many_ids_are_located_in_one_call_in_the_order_asked<B: Backend>(backend: &B) {
    let store = backend.create("many");
    let (mut author, mut nobody) = (Author::new("a"), Author::new("nobody"));
    let mut lookups = Vec::new();
    let mut expected = Vec::new();
    for batch in 0..40_u64 {
        let commits: Vec<Commit> = (0..5).map(|_| author.entry()).collect();
        append(&store, &commits);
        for (index, commit) in commits.iter().enumerate() {
            let position = Some(Position::new(5 * batch + index as u64 + 1));
            lookups.extend([commit.stream_lookup(), nobody.entry().command_lookup(), commit.command_lookup()]);
            expected.extend([position, None, position]);
        }
    }
    assert_eq!(located(&store, &lookups), expected);
    // Backwards and each twice.
    let (mut backwards, mut twice) = (lookups.clone(), lookups.clone());
    backwards.reverse();
    twice.extend(lookups.clone());
    let reversed: Vec<Option<Position>> = expected.iter().rev().copied().collect();
    assert_eq!(located(&store, &backwards), reversed);
    assert_eq!(located(&store, &twice), [expected.clone(), expected].concat());
    assert_eq!(located(&store, &[]), []);
}

pub(super) fn ids_of_different_kinds_with_one_text_are_kept_apart<B: Backend>(backend: &B) {
    let store = backend.create("kinds");
    let mut author = Author::new("a");
    let mut as_account = author.account(&address("same"));
    as_account.command = "other".parse().expect("a command key");
    let mut as_refusal = author.refusal();
    as_refusal.command = "same".parse().expect("a command key");
    as_refusal.events[0].0 = StreamId::Command(as_refusal.command.clone());
    append(&store, &[author.entry(), as_account]);
    append(&store, &[as_refusal.clone()]);
    // The same id in the name of two callers is two commands, as is one without a caller.
    for caller in ["issuer awa", "issuer bintou"] {
        as_refusal.command = format!("{caller} same").parse().expect("a command key");
        as_refusal.events[0].0 = StreamId::Command(as_refusal.command.clone());
        append(&store, &[as_refusal.clone()]);
    }
    let lookups = [
        Sought::stream(&StreamId::Account(address("same"))),
        Sought::stream(&StreamId::Command("same".parse().expect("a command key"))),
        Sought::Command("same".parse().expect("a command key")),
        Sought::Command("issuer awa same".parse().expect("a command key")),
        Sought::Command("issuer bintou same".parse().expect("a command key")),
        Sought::stream(&StreamId::Command("issuer bintou same".parse().expect("a command key"))),
        Sought::Command("issuer moussa same".parse().expect("a command key")),
        Sought::stream(&StreamId::Journal(text("same"))),
        Sought::stream(&StreamId::Account(address("other"))),
    ];
    let found = [Some(2), Some(3), Some(3), Some(4), Some(5), Some(5), None, None, None].map(|found| found.map(Position::new));
    assert_eq!(located(&store, &lookups), found);
}

pub(super) fn look_ups_answer_over_hundreds_of_batches<B: Backend>(backend: &B) {
    let mut store = backend.create("hundreds");
    let mut author = Author::new("a");
    let mut written: Vec<(Commit, Position)> = Vec::new();
    let accounts: Vec<_> = (0..7).map(|number| address(&format!("customers:c{number}"))).collect();
    for round in 0..300_usize {
        let commits = [author.entry(), author.account(&accounts[round % 7]), author.refusal(), author.hold_and_void()];
        let mut position = store.head().expect("a head").position;
        append(&store, &commits);
        for commit in commits {
            position = position.next();
            written.push((commit.clone(), position));
            position = position.after(commit.events.len() - 1);
        }
        if round == 150 {
            store = backend.reopen(store);
        }
        if round == 225 {
            store = backend.crash(store);
        }
        // What was just written and what has been there for long, at every stage of whatever the backend does behind.
        let (newest, older) = (&written[written.len() - 1], &written[written.len() / 2]);
        for (commit, position) in [newest, older] {
            assert_eq!(located(&store, &[commit.command_lookup()]), [Some(*position)], "in round {round}");
        }
    }
    let lookups: Vec<Sought> = written.iter().map(|(commit, _)| commit.command_lookup()).collect();
    let positions: Vec<Option<Position>> = written.iter().map(|(_, position)| Some(*position)).collect();
    assert_eq!(located(&store, &lookups), positions);
    check(&store);
    let store = backend.crash(store);
    assert_eq!(located(&store, &lookups), positions);
    check(&store);
}

pub(super) fn the_root_at_every_position_is_the_root_of_the_records_up_to_it<B: Backend>(backend: &B) {
    let mut store = backend.create("roots-anywhere");
    let mut author = Author::new("a");
    // Batches of one record, of many, and some that reach beyond several multiples of 4,096.
    for (round, size) in [1_usize, 1, 2, 500, 3_591, 1, 2, 4_000, 8_189, 1, 700].into_iter().enumerate() {
        let commits: Vec<Commit> = (0..size).map(|_| author.entry()).collect();
        append(&store, &commits);
        if round == 5 {
            store = backend.reopen(store);
        }
    }
    let mut tree = Tree::empty();
    let mut roots = vec![tree.root()];
    for record in all(&store) {
        tree.push(record.as_record().leaf());
        roots.push(tree.root());
    }
    let last = roots.len() - 1;
    // Backwards, so that nothing that was read before it helps.
    for position in (0..=last).rev().step_by(97).chain([last, 1, 2, 3, 4, 5, 4_095, 4_096, 4_097, 8_191, 8_192, 8_193, 0]) {
        let found = store.root_at(Position::new(position as u64)).expect("an answer");
        assert_eq!(found, Some(roots[position]), "the root at {position}");
    }
    for beyond in [last as u64 + 1, last as u64 + 2, 1 << 40, u64::MAX >> 1] {
        assert_eq!(store.root_at(Position::new(beyond)).expect("an answer"), None, "{beyond} is beyond the head, {last}");
    }
}

pub(super) fn an_empty_journal_has_the_root_of_nothing_and_no_other<B: Backend>(backend: &B) {
    let store = backend.create("root-of-nothing");
    assert_eq!(store.root_at(Position::ZERO).expect("an answer"), Some(Tree::empty().root()));
    assert_eq!(store.root_at(Position::new(1)).expect("an answer"), None);
}
