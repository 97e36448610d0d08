//! An append that fails: callers are told which kind of failure it is, and the same ids afterwards give exactly one effect.

use std::sync::Arc;
use std::time::Duration;

use cauri_domain::LedgerCommand;
use cauri_domain::RefusalCode::*;
use cauri_domain::account::AccountKind;
use cauri_domain::ledger::Ledger;
use cauri_domain::ledger::LedgerStream;
use cauri_engine::{CommandEnvelope, Engine, EngineConfig, ManualClock, Mode, Outcome, SubmitError};
use cauri_event_store::EventStore;
use cauri_event_store::memory::{Fault, MemoryStore};
use fastrand::Rng;

use crate::story::{
    accepted, address_of, arrived_at_the_gate, close_journal, commits, config, floor_zero, hold, morning, one, open, post, refused, seeds,
    some_command, submit, types_from, verified, wallets,
};

fn engine_on(store: &MemoryStore, clock: &ManualClock) -> Engine<Ledger> {
    Engine::start(Arc::new(store.clone()), config(clock)).expect("an engine")
}

/// An engine on a store at a gate, with a wallet that has a floor of zero.
fn gated() -> (MemoryStore, ManualClock, Engine<Ledger>) {
    let (store, clock) = (MemoryStore::exclusive("ledger"), ManualClock::at(morning()));
    let engine = engine_on(&store, &clock);
    let commands = [open("world", AccountKind::Equity, None), open("a", AccountKind::Liability, floor_zero())];
    for outcome in submit(&engine, &commands, Mode::Each) {
        accepted(&outcome);
    }
    (store, clock, engine)
}

#[test]
fn every_failure_says_what_it_means_and_the_same_id_afterwards_has_one_effect() {
    let (store, _, engine) = gated();
    let faults = [
        (Fault::Fail, true, false),
        (Fault::LoseAnswer, false, true),
        (Fault::LoseBatch, false, false),
        (Fault::LoseAnswer, false, true),
        (Fault::Fail, true, false),
    ];
    for (round, (fault, not_done, written)) in faults.into_iter().enumerate() {
        let command = post(&format!("k{round}"), "world", "a", 10);
        let head = store.head().expect("a head");
        store.faults().inject(fault);
        match engine.submit_blocking(vec![command.clone()], Mode::Each) {
            Err(SubmitError::NotDone(_)) => assert!(not_done, "{fault:?}"),
            Err(SubmitError::Unknown(_)) => assert!(!not_done, "{fault:?}"),
            other => panic!("{fault:?}: {other:?}"),
        }
        assert_eq!(store.head().expect("a head") != head, written, "{fault:?}");
        assert_eq!(accepted(&one(&engine, &command)).replayed, written, "{fault:?}");
        assert_eq!(store.head().expect("a head").position, head.position.next(), "{fault:?}");
    }
    for fault in [Fault::Delay(Duration::from_millis(20)), Fault::Duplicate] {
        store.faults().inject(fault);
        assert!(!accepted(&one(&engine, &post(&format!("{fault:?}").replace(' ', ""), "world", "a", 10))).replayed);
    }
    assert_eq!(verified(&store).totals(&address_of("a")).expect("an account").credits_posted, 70);
    assert!(engine.is_running());
}

#[test]
fn what_was_decided_on_top_of_a_failed_batch_is_decided_again() {
    for fault in [Fault::Fail, Fault::LoseBatch, Fault::LoseAnswer] {
        let (store, _, engine) = gated();
        let arrived = store.faults().arrivals();
        store.faults().close_gate();
        store.faults().inject(fault);
        let enqueue = |command| engine.enqueue(vec![command], Mode::Each).expect("a place");
        let funds = enqueue(post("funds", "world", "a", 100));
        arrived_at_the_gate(&store, arrived + 1);
        // Decided while the funds are on their way, and counting on them.
        let (spend, funds_again) = (enqueue(post("spend", "a", "world", 60)), enqueue(post("funds", "world", "a", 100)));
        let (hold_it, frozen) = (enqueue(hold("h", "a", "world", 40, None)), enqueue(crate::story::freeze("f", "a")));
        store.faults().open_gate();
        assert!(funds.blocking_recv().expect("an answer").is_err());
        let [spend, funds_again, hold_it, frozen] =
            [spend, funds_again, hold_it, frozen].map(|answer| answer.blocking_recv().expect("an answer").expect("outcomes").remove(0));
        // If the funds were written after all everything stands; if not, what counted on them does not.
        let written = fault == Fault::LoseAnswer;
        assert_eq!(accepted(&funds_again).replayed, written, "{fault:?}");
        if written {
            accepted(&spend);
        } else {
            assert_eq!(refused(&spend).refusal.code, BelowFloor, "{fault:?}");
        }
        accepted(&hold_it);
        accepted(&frozen);
        verified(&store);
    }
}

#[test]
fn the_closing_of_a_journal_that_failed_leaves_it_open() {
    let (store, _, engine) = gated();
    store.faults().inject(Fault::Fail);
    assert!(engine.submit_blocking(vec![close_journal("close")], Mode::Each).is_err());
    accepted(&one(&engine, &post("still-open", "world", "a", 1)));
    accepted(&one(&engine, &close_journal("close")));
    assert_eq!(refused(&one(&engine, &post("closed", "world", "a", 1))).refusal.code, JournalClosed);
}

#[test]
fn an_expiry_that_failed_is_written_once_when_it_can_be() {
    for fault in [Fault::Fail, Fault::LoseAnswer, Fault::LoseBatch] {
        let (store, clock, engine) = gated();
        accepted(&one(&engine, &hold("h", "world", "a", 10, Some(morning().saturating_add_secs(60)))));
        let head = store.head().expect("a head").position;
        store.faults().plan([Some(fault); 3]);
        clock.advance_micros(60_000_000);
        let moved = store.follow().wait_beyond(head, Duration::from_secs(60)).position;
        assert!(moved > head, "nothing expired after {fault:?}");
        // Whatever faults are left: a caller asks until he is told.
        while engine.submit_blocking(vec![post("later", "world", "a", 1)], Mode::Each).is_err() {}
        let types = types_from(&store, head.next());
        assert_eq!(types, ["entry.hold_expired", "entry.posted"], "{fault:?}");
        verified(&store);
    }
}

#[test]
fn a_store_that_fails_is_not_asked_in_a_hurry() {
    let (store, clock, engine) = gated();
    accepted(&one(&engine, &hold("h", "world", "a", 10, Some(morning().saturating_add_secs(60)))));
    store.faults().plan(std::iter::repeat_n(Some(Fault::Fail), 1_000_000));
    let arrived = store.faults().arrivals();
    clock.advance_micros(60_000_000);
    // A hold is due and cannot be written: the engine tries again and again, but leaves the disk and the log some air.
    arrived_at_the_gate(&store, arrived + 2);
    std::thread::sleep(Duration::from_millis(500));
    let attempts = store.faults().arrivals() - arrived;
    assert!(attempts < 40, "{attempts} attempts in half a second");
    assert!(engine.is_running());
}

#[test]
fn a_tail_that_cannot_be_read_is_a_failure_and_not_the_end() {
    let (store, _, engine) = gated();
    let arrived = store.faults().arrivals();
    store.faults().close_gate();
    store.faults().inject(Fault::LoseAnswer);
    let lost = engine.enqueue(vec![post("lost", "world", "a", 10)], Mode::Each).expect("a place");
    arrived_at_the_gate(&store, arrived + 1);
    // The engine has to see what became of the batch, and cannot.
    store.faults().fail_reads(true);
    let behind = engine.enqueue(vec![post("behind", "a", "world", 10)], Mode::Each).expect("a place");
    store.faults().open_gate();
    assert!(matches!(lost.blocking_recv().expect("an answer"), Err(SubmitError::Unknown(_))));
    assert!(matches!(behind.blocking_recv().expect("an answer"), Err(SubmitError::NotDone(_))));
    for _ in 0..3 {
        let answer = engine.submit_blocking(vec![post("behind", "a", "world", 10)], Mode::Each);
        assert!(matches!(answer, Err(SubmitError::NotDone(_))), "{answer:?}");
    }
    assert!(engine.is_running());
    store.faults().fail_reads(false);
    assert!(!accepted(&one(&engine, &post("behind", "a", "world", 10))).replayed);
    assert!(accepted(&one(&engine, &post("lost", "world", "a", 10))).replayed);
    verified(&store);
}

#[test]
fn corruption_ends_the_engine_and_everybody_is_told() {
    let (store, clock, engine) = gated();
    let arrived = store.faults().arrivals();
    store.faults().close_gate();
    store.faults().plan(std::iter::repeat_n(Some(Fault::Corrupt), 10));
    let answers: Vec<_> =
        (0..5).map(|number| engine.enqueue(vec![post(&format!("k{number}"), "world", "a", 1)], Mode::Each).expect("a place")).collect();
    arrived_at_the_gate(&store, arrived + 1);
    store.faults().open_gate();
    for answer in answers {
        let answer = answer.blocking_recv().expect("an answer");
        assert!(matches!(answer, Err(SubmitError::Corrupt(_))), "{answer:?}");
    }
    engine.stop();
    assert!(!engine.is_running());
    // Another engine finds the journal as it was.
    store.faults().forget();
    let engine = engine_on(&store, &clock);
    assert!(!accepted(&one(&engine, &post("k0", "world", "a", 1))).replayed);
}

/// Asks until there is an outcome, as a caller does who was told "not done" or "unknown".
fn asked_until_told(engine: &Engine<Ledger>, commands: &[CommandEnvelope<LedgerCommand>], mode: Mode) -> Vec<Outcome<LedgerStream>> {
    loop {
        match engine.submit_blocking(commands.to_vec(), mode) {
            Ok(answer) => return answer.outcomes,
            Err(SubmitError::NotDone(_) | SubmitError::Unknown(_)) => {}
            Err(other) => panic!("{other}"),
        }
    }
}

fn some_faults(random: &mut Rng, count: usize) -> Vec<Option<Fault>> {
    (0..count)
        .map(|_| match random.u64(..12) {
            0 | 1 => Some(Fault::Fail),
            2 | 3 => Some(Fault::LoseAnswer),
            4 | 5 => Some(Fault::LoseBatch),
            6 => Some(Fault::Delay(Duration::from_micros(random.u64(..2_000)))),
            7 => Some(Fault::Duplicate),
            _ => None,
        })
        .collect()
}

#[test]
fn whatever_fails_every_command_has_one_effect_and_one_answer() {
    for seed in seeds(12) {
        let mut random = Rng::with_seed(seed);
        let (journal, clock) = (MemoryStore::exclusive("ledger"), ManualClock::at(morning()));
        let config = EngineConfig { snapshot_every: 30, max_batch: 1 + random.u64(..20) as usize, ..config(&clock) };
        let engine = Engine::start(Arc::new(journal.clone()), config.clone()).expect("an engine");
        submit(&engine, &wallets(), Mode::Each);
        journal.faults().plan(some_faults(&mut random, 400));
        let answers: Vec<(CommandEnvelope<LedgerCommand>, Outcome<LedgerStream>)> = std::thread::scope(|scope| {
            let callers: Vec<_> = (0..4_u64)
                .map(|caller| {
                    let (engine, clock, mut random) = (&engine, &clock, Rng::with_seed(seed << 8 | caller));
                    scope.spawn(move || {
                        let (mut made, mut answers) = (Vec::new(), Vec::new());
                        for number in 0..60 {
                            let key = format!("c{caller}-{number}");
                            let command = some_command(&mut random, &key, &made, cauri_engine::Clock::now(clock));
                            made.push(key);
                            answers.push((command.clone(), asked_until_told(engine, &[command], Mode::Each).remove(0)));
                            clock.advance_micros(20_000);
                        }
                        answers
                    })
                })
                .collect();
            callers.into_iter().flat_map(|caller| caller.join().expect("a caller")).collect()
        });
        let balances = verified(&journal);
        let commits = commits(&journal);
        for (command, outcome) in &answers {
            assert_eq!(commits.get(&command.key), Some(&1), "{} with seed {seed}: {outcome:?}", command.key);
        }
        // Asked once more, here and by an engine that starts from the snapshot: the same answers.
        journal.faults().plan([None; 1_000]);
        engine.stop();
        let engine = Engine::start(Arc::new(journal.for_another_engine()), config).expect("an engine");
        for (command, outcome) in &answers {
            assert_eq!(crate::story::as_replay(&one(&engine, command)), crate::story::as_replay(outcome), "with seed {seed}");
        }
        let expired = verified(&journal);
        for (before, after) in balances.accounts().iter().zip(expired.accounts().iter()) {
            assert_eq!(before.totals.credits_posted, after.totals.credits_posted, "with seed {seed}");
        }
    }
}
