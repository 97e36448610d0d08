//! A command id is decided once: whenever, wherever and however often it is asked again, the first answer comes.

use std::sync::Arc;

use cauri_domain::LedgerCommand;
use cauri_domain::RefusalCode::*;
use cauri_domain::account::AccountKind;
use cauri_domain::ids::{CommandKey, EntryId};
use cauri_domain::kind::KindCommand;
use cauri_domain::ledger::LedgerStream;
use cauri_engine::{CommandEnvelope, Engine, ManualClock, Mode, Outcome, Rejected, SubmitError};
use cauri_event_schemas::Fingerprint;
use cauri_event_store::EventStore;
use cauri_event_store::memory::MemoryStore;

use crate::story::{
    Kept, Story, accepted, arrived_at_the_gate, as_replay, change_limits, close, close_journal, commits, config, entry_by, entry_of,
    floor_zero, freeze, hold, limits, morning, one, open, post, post_entry, post_hold, refused, reopen, reverse, submit, transfer,
    unfreeze, verified, void_hold,
};

/// One command of every kind, in an order in which each is accepted, and some that are refused.
fn some_of_everything() -> Vec<CommandEnvelope<LedgerCommand>> {
    vec![
        open("world", AccountKind::Equity, None),
        open("wallet", AccountKind::Liability, floor_zero()),
        open("other", AccountKind::Liability, None),
        open("control", AccountKind::Asset, None),
        post("fund", "world", "wallet", 1_000),
        change_limits("limits", "wallet", limits(Some(-10), Some(5_000))),
        hold("hold-1", "wallet", "other", 100, None),
        hold("hold-2", "wallet", "other", 100, Some(morning().saturating_add_secs(3_600))),
        post_hold("post-hold-1", "hold-1", Some(60)),
        void_hold("void-hold-2", "hold-2"),
        post("too-much", "wallet", "other", 100_000),
        reverse("reverse-fund", "too-much"),
        post("again", "world", "wallet", 5),
        reverse("reverse-again", "again"),
        freeze("freeze", "other"),
        post("to-frozen", "world", "other", 1),
        unfreeze("unfreeze", "other"),
        close("close", "other", Some("control")),
        reopen("reopen", "other"),
    ]
}

#[test]
fn every_kind_of_command_is_answered_again_as_it_was_first() {
    for kept in Kept::BOTH {
        let story = Story::kept(kept);
        let commands = some_of_everything();
        let first: Vec<Outcome<LedgerStream>> = commands.iter().map(|command| story.one(command)).collect();
        assert_eq!(first.iter().filter(|outcome| matches!(outcome, Outcome::Refused(_))).count(), 3);
        let head = story.head();
        let replays: Vec<Outcome<LedgerStream>> = first.iter().map(as_replay).collect();
        story.clock.advance_micros(5_000_000);
        let again: Vec<Outcome<LedgerStream>> = commands.iter().map(|command| story.one(command)).collect();
        assert_eq!(again, replays, "one after another");
        assert_eq!(story.submit(&commands, Mode::Each), replays, "in one submission");
        assert_eq!(story.head(), head, "nothing was written");

        let story = story.restarted();
        assert_eq!(story.submit(&commands, Mode::Each), replays, "after a restart");
        assert_eq!(story.head(), head);
        story.balances();
    }
}

#[test]
fn an_id_that_comes_twice_in_one_submission_is_decided_once() {
    for mode in [Mode::Each, Mode::Atomic] {
        let story = Story::new();
        story.open(&["a", "b"]);
        let command = post("twice", "a", "b", 10);
        let outcomes = story.submit(&[command.clone(), post("once", "a", "b", 1), command.clone(), command], mode);
        assert!(!accepted(&outcomes[0]).replayed);
        assert_eq!(outcomes[2], as_replay(&outcomes[0]));
        assert_eq!(outcomes[3], as_replay(&outcomes[0]));
        assert_eq!(story.on_credit_side("b"), 11);
    }
}

#[test]
fn a_refusal_that_comes_twice_in_one_submission_is_remembered_once() {
    let story = Story::new();
    story.open(&["b"]);
    story.accept(&open("a", AccountKind::Liability, floor_zero()));
    let command = post("refused", "a", "b", 10);
    let head = story.head();
    let outcomes = story.submit(&[command.clone(), post("funds", "b", "a", 100), command.clone()], Mode::Each);
    assert_eq!(refused(&outcomes[0]).refusal.code, BelowFloor);
    assert_eq!(outcomes[2], as_replay(&outcomes[0]), "the funds that came between change nothing");
    assert_eq!(story.head(), head.after(2));
}

#[test]
fn of_many_callers_with_one_id_one_is_first_and_the_others_are_told_the_same() {
    for kept in Kept::BOTH {
        let story = Story::kept(kept);
        story.open(&["a", "b"]);
        for round in 0..20 {
            let command = post(&format!("contended-{round}"), "a", "b", 10);
            let outcomes: Vec<Outcome<LedgerStream>> = std::thread::scope(|scope| {
                let callers: Vec<_> = (0..8).map(|_| scope.spawn(|| story.one(&command))).collect();
                callers.into_iter().map(|caller| caller.join().expect("a caller")).collect()
            });
            assert_eq!(outcomes.iter().filter(|outcome| !accepted(outcome).replayed).count(), 1);
            let answers: Vec<Outcome<LedgerStream>> = outcomes.iter().map(as_replay).collect();
            assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
        }
        assert_eq!(story.on_credit_side("b"), 200);
    }
}

#[test]
fn an_id_whose_first_answer_is_still_in_flight_is_not_decided_again() {
    let store = MemoryStore::exclusive("ledger");
    let engine = Engine::start(Arc::new(store.clone()), config(&ManualClock::at(morning()))).expect("an engine");
    for address in ["a", "b"] {
        accepted(&one(&engine, &open(address, AccountKind::Liability, None)));
    }
    let arrived = store.faults().arrivals();
    store.faults().close_gate();
    let first = engine.enqueue(vec![post("in-flight", "a", "b", 10)], Mode::Each).expect("a place");
    arrived_at_the_gate(&store, arrived + 1);
    // The first is with the store; these are decided while it is.
    let again = engine.enqueue(vec![post("in-flight", "a", "b", 10)], Mode::Each).expect("a place");
    let other = engine.enqueue(vec![post("in-flight", "a", "b", 11)], Mode::Each).expect("a place");
    let mut hold_again =
        engine.enqueue(vec![hold("h", "a", "b", 1, None), post_hold("p", "h", None), void_hold("v", "h")], Mode::Each).expect("a place");
    assert!(hold_again.try_recv().is_err(), "answered before it was durable");
    store.faults().open_gate();
    let [first, again, other] = [first, again, other].map(|answer| answer.blocking_recv().expect("an answer").expect("outcomes").remove(0));
    assert!(!accepted(&first).replayed);
    assert_eq!(again, as_replay(&first));
    assert_eq!(refused(&other).refusal.code, IdempotencyKeyReused);
    let hold_again = hold_again.blocking_recv().expect("an answer").expect("outcomes");
    assert_eq!(refused(&hold_again[2]).refusal.code, HoldAlreadyPosted);
    let totals = verified(&store).totals(&crate::story::address_of("b")).expect("an account");
    assert_eq!((totals.credits_posted, totals.credits_pending), (11, 0));
}

#[test]
fn another_engine_gives_the_first_engines_answer() {
    let clock = ManualClock::at(morning());
    let journal = MemoryStore::shared("ledger");
    let engine_on = |store: MemoryStore| {
        let config = cauri_engine::EngineConfig { clock: Arc::new(clock.clone()), ..cauri_engine::EngineConfig::for_store(&store) };
        Engine::start(Arc::new(store), config).expect("an engine")
    };
    let (first, second) = (engine_on(journal.clone()), engine_on(journal.for_another_engine()));
    for command in some_of_everything() {
        let answer = one(&first, &command);
        assert_eq!(one(&second, &command), as_replay(&answer));
    }
    verified(&journal);
}

#[test]
fn a_refusal_is_frozen() {
    for kept in Kept::BOTH {
        let story = Story::kept(kept);
        story.open(&["b", "world"]);
        story.accept(&open("a", AccountKind::Liability, floor_zero()));
        let answer = story.one(&post("refused", "a", "b", 10));
        let first = refused(&answer);
        assert_eq!((first.refusal.code, first.replayed, first.position), (BelowFloor, false, Some(story.head())));
        story.accept(&post("funds", "world", "a", 100));
        assert_eq!(story.one(&post("refused", "a", "b", 10)), as_replay(&answer), "with its words and its position");
        // Another key is another command.
        story.accept(&post("another", "a", "b", 10));
        let story = story.restarted();
        assert_eq!(story.one(&post("refused", "a", "b", 10)), as_replay(&answer));
        assert_eq!(story.on_credit_side("b"), 10);
    }
}

#[test]
fn an_id_with_another_body_is_refused_and_nothing_changes() {
    for kept in Kept::BOTH {
        let story = Story::kept(kept);
        let commands = some_of_everything();
        for command in &commands {
            story.one(command);
        }
        let story = story.restarted();
        let head = story.head();
        let body = [
            post_entry("x", entry_of(vec![transfer("wallet", "other", 7)])),
            freeze("x", "world"),
            reverse("x", "fund"),
            post_hold("x", "hold-1", Some(1)),
            void_hold("x", "hold-1"),
            close("x", "wallet", None),
            close_journal("x"),
        ];
        for command in &commands {
            for other in &body {
                let other = CommandEnvelope { key: command.key.clone(), ..other.clone() };
                let answer = refused(&story.one(&other));
                assert_eq!((answer.refusal.code, answer.position, answer.replayed), (IdempotencyKeyReused, None, false), "{other:?}");
            }
        }
        assert_eq!(story.head(), head, "nothing was written");
        // The first answers stand.
        assert!(accepted(&story.one(&commands[4])).replayed);
        assert!(refused(&story.one(&commands[10])).replayed);
    }
}

#[test]
fn who_asks_and_from_where_does_not_make_another_command() {
    let story = Story::new();
    story.open(&["a", "b"]);
    let command = post("key", "a", "b", 10);
    let first = story.one(&command);
    let elsewhere = CommandEnvelope {
        actor: "operator:another".parse().expect("a text"),
        causation: Some("retry".parse().expect("a text")),
        correlation: Some("order".parse().expect("a text")),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".parse().expect("a text")),
        ..command
    };
    assert_eq!(story.one(&elsewhere), as_replay(&first));
}

#[test]
fn what_was_not_decided_is_not_remembered() {
    let story = Story::new();
    story.open(&["a", "b"]);
    let mut careful = freeze("careful", "a");
    careful.expected_version = Some(cauri_event_schemas::StreamVersion::new(7));
    assert!(matches!(story.one(&careful), Outcome::VersionMismatch { .. }));
    // Not applied, because another command of its submission was refused.
    let outcomes = story.submit(&[post("p", "a", "b", 1), post("none", "a", "nobody", 1)], Mode::Atomic);
    assert_eq!(outcomes[0], Outcome::NotApplied { because_of: 1 });
    careful.expected_version = None;
    assert!(!story.accept(&careful).replayed);
    story.accept(&unfreeze("unfreeze", "a"));
    // Even with another body: the id was never used.
    assert!(!story.accept(&post("p", "a", "b", 2)).replayed);
    assert_eq!(story.on_credit_side("b"), 2);
}

#[test]
fn ids_of_the_engines_own_commands_are_not_for_callers() {
    let story = Story::new();
    story.open(&["a", "b"]);
    let head = story.head();
    let command = post(&format!("hold-expiry/{}", entry_by("h")), "a", "b", 1);
    assert_eq!(story.engine.submit_blocking(vec![command], Mode::Each), Err(SubmitError::Rejected(Rejected::ReservedId("hold-expiry/"))));
    assert_eq!(story.head(), head);
}

#[test]
fn a_retry_that_cannot_be_looked_up_is_not_decided() {
    let store = MemoryStore::exclusive("ledger");
    let engine = Engine::start(Arc::new(store.clone()), config(&ManualClock::at(morning()))).expect("an engine");
    for address in ["a", "b"] {
        accepted(&one(&engine, &open(address, AccountKind::Liability, None)));
    }
    let first = one(&engine, &post("key", "a", "b", 10));
    // Once a later batch is durable, nothing of the first is in memory any more.
    accepted(&one(&engine, &open("c", AccountKind::Liability, None)));
    store.faults().fail_reads(true);
    for _ in 0..3 {
        let answer = engine.submit_blocking(vec![post("key", "a", "b", 10)], Mode::Each);
        assert!(matches!(answer, Err(SubmitError::NotDone(_))), "{answer:?}");
    }
    store.faults().fail_reads(false);
    assert!(engine.is_running(), "a read that failed is not the end");
    assert_eq!(one(&engine, &post("key", "a", "b", 10)), as_replay(&first));
    assert_eq!(commits(&store).len(), 4);
    engine.stop();
    // Everything as before for an engine that starts now.
    let engine = Engine::start(Arc::new(store.for_another_engine()), config(&ManualClock::at(morning()))).expect("an engine");
    assert_eq!(submit(&engine, &[post("key", "a", "b", 10)], Mode::Atomic), [as_replay(&first)]);
    assert_eq!(store.head().expect("a head").position.get(), 4);
}

/// The command as an engine of journal format 1 wrote it: without a caller, with a fingerprint of version 1.
fn of_format_1(command: &CommandEnvelope<LedgerCommand>) -> CommandEnvelope<LedgerCommand> {
    let key = CommandKey::without_caller(command.key.id.clone());
    let (asked, hashed) = command.command.in_format_1(&key).expect("format 1 had this command");
    let fingerprint = Fingerprint::of_version_1(&hashed);
    CommandEnvelope { key, fingerprint, ..CommandEnvelope::new(asked, command.key.clone(), command.actor.clone()) }
}

fn by(subject: &str, command: CommandEnvelope<LedgerCommand>) -> CommandEnvelope<LedgerCommand> {
    let key: CommandKey = format!("story {subject} {}", command.key.id).parse().expect("a command key");
    let command_of = match command.command {
        LedgerCommand::Entry { action, .. } => LedgerCommand::Entry { id: EntryId::derived_from(&key), action },
        other => other,
    };
    CommandEnvelope::new(command_of, key, format!("operator:{subject}").parse().expect("a short text"))
}

#[test]
fn a_key_of_format_1_answers_the_subject_that_used_it_and_nobody_else() {
    for kept in Kept::BOTH {
        let story = Story::kept(kept);
        story.open(&["assets", "wallet"]);
        let old = [post("order-1", "assets", "wallet", 10), post("order-2", "closed", "wallet", 10)].map(|command| by("test", command));
        let first: Vec<Outcome<LedgerStream>> = old.iter().map(|command| story.one(&of_format_1(command))).collect();
        assert_eq!(refused(&first[1]).refusal.code, AccountNotFound);
        // Nothing of format 1 is ever on its way to the store: once a later batch is durable, this is not either.
        story.open(&["later"]);
        let head = story.head();
        let replays: Vec<Outcome<LedgerStream>> = first.iter().map(as_replay).collect();
        assert_eq!(story.submit(&old, Mode::Each), replays, "in the same run");
        let story = story.restarted();
        assert_eq!(story.submit(&old, Mode::Each), replays, "after a restart");
        assert_eq!(story.head(), head, "nothing was written");
        assert_eq!(story.refuse(&by("test", post("order-1", "assets", "wallet", 11))), IdempotencyKeyReused);

        // Another subject's key of the same text was never used, whatever it asks.
        let other = by("bintou", post("order-1", "assets", "wallet", 10));
        assert!(!story.accept(&other).replayed);
        assert!(story.accept(&other).replayed);
        assert!(!story.accept(&by("bintou", post("order-2", "assets", "wallet", 10))).replayed);
        assert_eq!(story.on_credit_side("wallet"), 30);

        // Whoever repeats it for that subject says so, and gets the answer.
        let mut for_test = by("test", post("order-1", "assets", "wallet", 10));
        for_test.actor = "admin:chief".parse().expect("a short text");
        assert!(!story.accept(&by("chief", post("order-1", "assets", "wallet", 10))).replayed);
        for_test.subject = Some("test".parse().expect("a short text"));
        assert_eq!(story.one(&for_test), replays[0]);
    }
}

#[test]
fn every_answer_carries_the_head_at_which_it_is_durable() {
    for kept in Kept::BOTH {
        let story = Story::kept(kept);
        story.open(&["a", "b"]);
        let commands = [post("1", "a", "b", 1), post("2", "a", "b", 1), post("none", "a", "nobody", 1)];
        let first = story.engine.submit_blocking(commands.to_vec(), Mode::Each).expect("outcomes");
        let head = story.store().head().expect("a head");
        assert_eq!(first.head, head);
        assert!(first.iter().all(|outcome| match outcome {
            Outcome::Accepted(accepted) => accepted.last <= head.position,
            Outcome::Refused(refused) => refused.position <= Some(head.position),
            other => panic!("{other:?}"),
        }));
        story.accept(&post("later", "a", "b", 1));
        // A repeated answer is as durable as the head is by now.
        let again = story.engine.submit_blocking(commands.to_vec(), Mode::Each).expect("outcomes");
        assert_eq!(again.outcomes, first.iter().map(as_replay).collect::<Vec<_>>());
        assert_eq!(again.head, story.store().head().expect("a head"));
        assert!(again.head.position > first.head.position);
    }
}
