//! Submissions of many commands: each for itself, or all or none.

use cauri_domain::LedgerCommand;
use cauri_domain::RefusalCode::*;
use cauri_domain::account::AccountKind;
use cauri_domain::entry::{HoldTerms, PostEntry};
use cauri_domain::ledger::LedgerStream;
use cauri_engine::sequencer::MOST_BYTES;
use cauri_engine::{CommandEnvelope, MAX_COMMANDS, Mode, Outcome, Rejected, SubmitError};
use cauri_event_schemas::{Position, StreamVersion};
use cauri_event_store::EventStore;

use crate::story::{
    Kept, Story, accepted, address_of, as_replay, entry_of, floor_zero, freeze, morning, open, post, post_entry, refused, reverse,
    transfer, types_from, verified,
};

#[test]
fn a_submission_without_commands_is_answered_with_nothing() {
    let story = Story::new();
    for mode in [Mode::Each, Mode::Atomic] {
        assert_eq!(story.submit(&[], mode), []);
    }
    assert_eq!(story.head().get(), 0);
}

#[test]
fn the_largest_submission_is_one_batch() {
    for kept in Kept::BOTH {
        for mode in [Mode::Each, Mode::Atomic] {
            let story = Story::kept(kept);
            story.open(&["a", "b"]);
            let commands: Vec<CommandEnvelope<LedgerCommand>> =
                (0..MAX_COMMANDS).map(|number| post(&format!("k{number}"), "a", "b", 1)).collect();
            let outcomes = story.submit(&commands, mode);
            for (index, outcome) in outcomes.iter().enumerate() {
                assert_eq!(accepted(outcome).first.get(), index as u64 + 3, "in order");
            }
            let replays: Vec<Outcome<LedgerStream>> = outcomes.iter().map(as_replay).collect();
            assert_eq!(story.submit(&commands, mode), replays);
            let batch = story.store().read_batch(story.head()).expect("a batch").expect("a batch");
            assert_eq!((batch.first.get(), batch.last.get()), (3, MAX_COMMANDS as u64 + 2));
            assert_eq!(story.on_credit_side("b"), MAX_COMMANDS as i64);
        }
    }
}

#[test]
fn a_submission_larger_than_a_batch_gets_a_batch_of_its_own() {
    let story = Story::with(Kept::InMemory, |config| config.max_batch = 3);
    story.open(&["a", "b"]);
    let commands: Vec<CommandEnvelope<LedgerCommand>> = (0..10).map(|number| post(&format!("k{number}"), "a", "b", 1)).collect();
    for outcome in story.submit(&commands, Mode::Atomic) {
        accepted(&outcome);
    }
    let answers: Vec<_> =
        (0..20).map(|number| story.engine.enqueue(vec![post(&format!("s{number}"), "a", "b", 1); 2], Mode::Each)).collect();
    for answer in answers {
        let outcomes = answer.expect("a place").blocking_recv().expect("an answer").expect("outcomes");
        assert_eq!(outcomes[1], as_replay(&outcomes[0]));
    }
    assert_eq!(story.on_credit_side("b"), 30);
}

#[test]
fn an_atomic_submission_names_the_first_command_that_was_not_accepted() {
    let story = Story::new();
    story.open(&["a", "b"]);
    let mut mismatched = freeze("mismatched", "a");
    mismatched.expected_version = Some(StreamVersion::new(9));
    let commands = [post("1", "a", "b", 1), mismatched, post("2", "a", "nobody", 1)];
    let head = story.head();
    let outcomes = story.submit(&commands, Mode::Atomic);
    assert_eq!(
        outcomes,
        [
            Outcome::NotApplied { because_of: 1 },
            Outcome::VersionMismatch { actual: StreamVersion::new(1) },
            Outcome::NotApplied { because_of: 1 }
        ]
    );
    assert_eq!(story.head(), head, "nothing was decided, and so nothing is remembered");
    let outcomes = story.submit(&[commands[0].clone(), commands[2].clone(), commands[1].clone()], Mode::Atomic);
    assert_eq!(refused(&outcomes[1]).refusal.code, AccountNotFound);
    assert_eq!(types_from(story.store(), head.next()), ["command.refused"]);
}

#[test]
fn commands_of_an_atomic_submission_see_one_another() {
    let story = Story::new();
    let commands = [
        open("world", AccountKind::Equity, None),
        open("a", AccountKind::Liability, floor_zero()),
        open("b", AccountKind::Liability, floor_zero()),
        post("1", "world", "a", 10),
        post("2", "a", "b", 10),
        freeze("freeze", "a"),
    ];
    for outcome in story.submit(&commands, Mode::Atomic) {
        accepted(&outcome);
    }
    assert_eq!(story.on_credit_side("b"), 10);
}

#[test]
fn a_retried_atomic_submission_is_answered_as_it_was_first() {
    for kept in Kept::BOTH {
        let story = Story::kept(kept);
        story.open(&["world", "b"]);
        story.accept(&open("a", AccountKind::Liability, floor_zero()));
        story.accept(&post("funds", "world", "a", 100));
        // The second is refused; then the first would be refused as well, and later neither would be.
        let commands = [post("1", "a", "b", 60), post("2", "a", "b", 60), post("3", "a", "b", 1)];
        let first = story.submit(&commands, Mode::Atomic);
        assert_eq!(refused(&first[1]).refusal.code, BelowFloor);
        let replays: Vec<Outcome<LedgerStream>> = first.iter().map(as_replay).collect();
        assert_eq!(story.submit(&commands, Mode::Atomic), replays, "at once");
        story.accept(&post("spend", "a", "b", 100));
        assert_eq!(story.submit(&commands, Mode::Atomic), replays, "when the first would be refused too");
        story.accept(&post("more", "world", "a", 1_000));
        let story = story.restarted();
        assert_eq!(story.submit(&commands, Mode::Atomic), replays, "when all would be accepted");
        assert_eq!(story.on_credit_side("b"), 100);
    }
}

#[test]
fn a_key_that_was_used_with_another_body_fails_the_whole_atomic_submission() {
    let story = Story::new();
    story.open(&["a", "b"]);
    story.accept(&post("used", "a", "b", 1));
    let head = story.head();
    let outcomes = story.submit(&[post("new", "a", "b", 1), post("used", "a", "b", 2)], Mode::Atomic);
    assert_eq!(outcomes[0], Outcome::NotApplied { because_of: 1 });
    assert_eq!(refused(&outcomes[1]).refusal.code, IdempotencyKeyReused);
    assert_eq!(story.head(), head);
}

#[test]
fn an_atomic_submission_with_commands_that_were_accepted_before_adds_the_rest() {
    let story = Story::new();
    story.open(&["a", "b"]);
    story.accept(&post("1", "a", "b", 1));
    let outcomes = story.submit(&[post("1", "a", "b", 1), post("2", "a", "b", 1)], Mode::Atomic);
    assert_eq!(outcomes.iter().map(|outcome| accepted(outcome).replayed).collect::<Vec<_>>(), [true, false]);
    assert_eq!(story.on_credit_side("b"), 2);
}

#[test]
fn what_an_earlier_submission_did_is_said_to_be_done_when_the_rest_is_refused() {
    let story = Story::new();
    story.open(&["a", "b"]);
    let first = story.one(&post("1", "a", "b", 1));
    let again = [post("1", "a", "b", 1), post("2", "a", "b", 1), post("3", "a", "nobody", 1)];
    // As it was first, and again as a retry.
    for _ in 0..2 {
        let outcomes = story.submit(&again, Mode::Atomic);
        assert_eq!(outcomes[..2], [as_replay(&first), Outcome::NotApplied { because_of: 2 }]);
        assert_eq!(refused(&outcomes[2]).refusal.code, AccountNotFound);
    }
    assert_eq!(story.on_credit_side("b"), 1);
}

/// So many transfers of one franc.
fn francs(count: usize) -> PostEntry {
    entry_of(vec![transfer("a", "b", 1); count])
}

#[test]
fn a_submission_that_would_move_more_than_a_batch_can_hold_is_not_taken_and_can_be_split() {
    let story = Story::new();
    story.open(&["a", "b"]);
    let keys: Vec<String> = (0..201).map(|number| format!("e{number}")).collect();
    let posts: Vec<_> = keys.iter().map(|key| post_entry(key, francs(1_000))).collect();
    let reversals: Vec<_> = keys.iter().map(|key| reverse(&format!("undo-{key}"), key)).collect();
    for commands in [posts, reversals] {
        let head = story.head();
        let answer = story.engine.submit_blocking(commands.clone(), Mode::Each);
        assert!(
            matches!(answer, Err(SubmitError::Rejected(Rejected::TooLarge { bytes, most: MOST_BYTES })) if bytes > MOST_BYTES),
            "{answer:?}"
        );
        assert_eq!((story.head(), story.engine.stats().queued), (head, 0));
        let (one, other) = commands.split_at(100);
        assert!([one, other].iter().flat_map(|half| story.submit(half, Mode::Atomic)).all(|outcome| !accepted(&outcome).replayed));
    }
    assert_eq!(verified(story.store()).totals(&address_of("b")).expect("an account").credits_posted, 201_000);
    for batch in batches(story.store()) {
        assert!(batch <= 400_000, "{batch} transfers in one batch");
    }
}

#[test]
fn holds_that_expire_together_expire_in_batches_of_bounded_size_before_anything_else_is_decided() {
    let story = Story::new();
    story.open(&["a", "b"]);
    let expires_at = Some(morning().saturating_add_secs(60));
    for number in 0..450 {
        let held = PostEntry { hold: Some(HoldTerms { expires_at }), ..francs(1_000) };
        story.accept(&post_entry(&format!("h{number}"), held));
    }
    let head = story.head();
    story.clock.advance_micros(61_000_000);
    let after = story.accept(&post("after", "a", "b", 1));
    assert_eq!(after.first.get(), head.get() + 450 + 1, "all holds expired first");
    assert_eq!(verified(story.store()).open_holds(), 0);
    let large = batches(story.store()).into_iter().filter(|transfers| *transfers >= 200_000).collect::<Vec<_>>();
    assert_eq!(large, [200_000, 200_000]);
}

/// How many transfers each batch of the journal moves.
fn batches(store: &dyn EventStore) -> Vec<usize> {
    let (mut batches, mut next) = (Vec::new(), Position::ZERO.next());
    while let Some(stored) = store.read_batch(next).expect("a batch") {
        let batch = stored.check().expect("whole records");
        let texts = batch.records().map(|record| String::from_utf8(record.bytes().to_vec()).expect("JSON"));
        batches.push(texts.map(|text| text.matches("\"debit\":").count()).sum());
        next = batch.last().next();
    }
    batches
}

#[test]
fn each_command_has_its_own_result_in_order() {
    let story = Story::new();
    story.open(&["world", "b"]);
    story.accept(&open("a", AccountKind::Liability, floor_zero()));
    let commands =
        [post("1", "a", "b", 1), post("2", "world", "a", 5), post("3", "a", "b", 3), post("4", "a", "b", 3), post("5", "a", "b", 2)];
    let outcomes = story.submit(&commands, Mode::Each);
    let accepted: Vec<bool> = outcomes.iter().map(|outcome| matches!(outcome, Outcome::Accepted(_))).collect();
    assert_eq!(accepted, [false, true, true, false, true]);
    assert_eq!((story.on_credit_side("a"), story.on_credit_side("b")), (0, 5));
}
