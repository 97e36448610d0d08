//! What is not in memory is loaded beside deciding: others go on, nobody overtakes for the same thing, and what is decided
//! meanwhile counts.

use std::sync::Arc;
use std::time::Duration;

use cauri_domain::LedgerCommand;
use cauri_domain::RefusalCode::*;
use cauri_domain::account::AccountKind;
use cauri_domain::ledger::{Ledger, LedgerStream};
use cauri_engine::{Answer, CommandEnvelope, Engine, ManualClock, Mode, Outcome, SubmitError};
use cauri_event_store::EventStore;
use cauri_event_store::memory::{Fault, MemoryStore};
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;

use crate::story::{accepted, as_replay, config, morning, one, open, post, refused, reverse, verified};

type Waiting = oneshot::Receiver<Result<Answer<LedgerStream>, SubmitError>>;

/// An engine whose journal has the entries `old-0` to `old-4`, none of them in memory, with the look-ups at a gate.
fn gated() -> (MemoryStore, Engine<Ledger>) {
    let store = MemoryStore::exclusive("ledger");
    let engine = Engine::start(Arc::new(store.clone()), config(&ManualClock::at(morning()))).expect("an engine");
    for address in ["a", "b"] {
        accepted(&one(&engine, &open(address, AccountKind::Asset, None)));
    }
    for number in 0..5 {
        accepted(&one(&engine, &post(&format!("old-{number}"), "a", "b", 10)));
    }
    // Once a later batch is durable, nothing of those before it is in memory any more.
    accepted(&one(&engine, &open("c", AccountKind::Asset, None)));
    store.faults().close_lookups();
    (store, engine)
}

fn enqueue(engine: &Engine<Ledger>, command: CommandEnvelope<LedgerCommand>) -> Waiting {
    engine.enqueue(vec![command], Mode::Each).expect("a place")
}

fn outcome(waiting: Waiting) -> Outcome<LedgerStream> {
    waiting.blocking_recv().expect("an engine").expect("an answer").outcomes.remove(0)
}

fn is_waiting(waiting: &mut Waiting) -> bool {
    matches!(waiting.try_recv(), Err(TryRecvError::Empty))
}

fn looked_up(store: &MemoryStore) {
    assert!(store.faults().wait_for_lookups(1, Duration::from_secs(20)), "nothing was looked up");
}

#[test]
fn others_are_decided_while_something_is_loaded_for_one() {
    let (store, engine) = gated();
    let mut cold = enqueue(&engine, reverse("r", "old-0"));
    looked_up(&store);
    for number in 0..3 {
        accepted(&one(&engine, &post(&format!("fresh-{number}"), "a", "b", 1)));
    }
    assert!(is_waiting(&mut cold), "it waits for what it names");
    store.faults().open_lookups();
    accepted(&outcome(cold));
    engine.stop();
    assert_eq!(verified(&store).totals(&crate::story::address_of("a")).expect("an account").credits_posted, 10);
}

#[test]
fn what_comes_for_the_same_entry_waits_for_its_turn() {
    let (store, engine) = gated();
    let first = enqueue(&engine, reverse("first", "old-0"));
    looked_up(&store);
    let mut second = enqueue(&engine, reverse("second", "old-0"));
    let mut again = enqueue(&engine, reverse("first", "old-0"));
    accepted(&one(&engine, &post("fresh", "a", "b", 1)));
    assert!(is_waiting(&mut second) && is_waiting(&mut again));
    store.faults().open_lookups();
    let first = outcome(first);
    accepted(&first);
    assert_eq!(refused(&outcome(second)).refusal.code, AlreadyReversed);
    assert_eq!(outcome(again), as_replay(&first), "the same key is the same command");
}

#[test]
fn what_was_decided_and_became_durable_meanwhile_counts() {
    let (store, engine) = gated();
    // It needs the old entry and, under a key of its own, the opposite: neither is in memory.
    let cold = enqueue(&engine, reverse("cold", "old-1"));
    looked_up(&store);
    // The money that the reversal takes back is gone by then, and several batches are durable.
    for number in 0..5 {
        accepted(&one(&engine, &post(&format!("gone-{number}"), "a", "c", 10)));
    }
    accepted(&one(&engine, &crate::story::freeze("stop", "b")));
    accepted(&one(&engine, &post("last", "a", "c", 1)));
    store.faults().open_lookups();
    assert_eq!(refused(&outcome(cold)).refusal.code, AccountFrozen, "decided as things are now, not as they were when it came");
}

#[test]
fn after_a_failed_append_it_is_loaded_again() {
    let (store, engine) = gated();
    let cold = enqueue(&engine, reverse("cold", "old-2"));
    looked_up(&store);
    for fault in [Fault::Fail, Fault::LoseAnswer, Fault::LoseBatch] {
        store.faults().inject(fault);
        engine.submit_blocking(vec![post(&format!("{fault:?}"), "a", "b", 1)], Mode::Each).expect_err("it failed");
    }
    accepted(&one(&engine, &post("fresh", "a", "b", 1)));
    store.faults().open_lookups();
    accepted(&outcome(cold));
    assert_eq!(refused(&one(&engine, &reverse("once", "old-2"))).refusal.code, AlreadyReversed);
}

#[test]
fn a_bulk_waits_for_its_old_entries_and_is_decided_whole_and_in_order() {
    for mode in [Mode::Each, Mode::Atomic] {
        let (store, engine) = gated();
        let commands: Vec<_> = (0..5).map(|number| reverse(&format!("r{number}"), &format!("old-{number}"))).collect();
        let waiting = engine.enqueue(commands, mode).expect("a place");
        looked_up(&store);
        accepted(&one(&engine, &post("fresh", "a", "b", 1)));
        store.faults().open_lookups();
        let outcomes = waiting.blocking_recv().expect("an engine").expect("an answer").outcomes;
        let positions: Vec<_> = outcomes.iter().map(|outcome| accepted(outcome).first).collect();
        assert!(positions.is_sorted() && positions.len() == 5, "{positions:?}");
        assert!(positions.windows(2).all(|pair| pair[1].get() == pair[0].get() + 2), "side by side: {positions:?}");
    }
}

#[test]
fn a_look_up_that_fails_fails_its_command_and_no_other() {
    let (store, engine) = gated();
    let cold = enqueue(&engine, reverse("cold", "old-3"));
    looked_up(&store);
    store.faults().fail_reads(true);
    store.faults().open_lookups();
    match cold.blocking_recv().expect("an engine") {
        Err(SubmitError::NotDone(_)) => {}
        other => panic!("{other:?}"),
    }
    store.faults().fail_reads(false);
    accepted(&one(&engine, &reverse("cold", "old-3")));
}

#[test]
fn an_engine_that_stops_finishes_what_it_is_loading_for() {
    let (store, engine) = gated();
    let cold = enqueue(&engine, reverse("cold", "old-4"));
    looked_up(&store);
    let stopping = std::thread::spawn({
        let engine = engine.clone();
        move || engine.stop()
    });
    store.faults().open_lookups();
    accepted(&outcome(cold));
    stopping.join().expect("it stops");
    assert!(store.head().expect("a head").position.get() > 8);
}
