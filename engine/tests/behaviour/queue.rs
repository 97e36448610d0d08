//! The queue is bounded, and stopping finishes what was taken.

use std::sync::Arc;

use cauri_domain::account::AccountKind;
use cauri_domain::ledger::Ledger;
use cauri_engine::{Engine, EngineConfig, ManualClock, Mode, Rejected, SubmitError};
use cauri_event_store::EventStore;
use cauri_event_store::memory::MemoryStore;

use crate::story::{
    Kept, Story, accepted, arrived_at_the_gate, config, entry_of, morning, one, open, post, post_entry, transfer, verified,
};

/// An engine whose store is at a gate, with two accounts.
fn gated(queue_capacity: usize, max_batch: usize) -> (MemoryStore, Engine<Ledger>) {
    let store = MemoryStore::exclusive("ledger");
    let config = EngineConfig { queue_capacity, max_batch, ..config(&ManualClock::at(morning())) };
    let engine = Engine::start(Arc::new(store.clone()), config).expect("an engine");
    for address in ["a", "b"] {
        accepted(&one(&engine, &open(address, AccountKind::Liability, None)));
    }
    (store, engine)
}

#[test]
fn a_full_queue_turns_commands_away_and_does_not_grow() {
    let (store, engine) = gated(10, 4);
    let arrived = store.faults().arrivals();
    store.faults().close_gate();
    let mut taken = vec![engine.enqueue(vec![post("first", "a", "b", 1)], Mode::Each).expect("a place")];
    arrived_at_the_gate(&store, arrived + 1);
    let (mut number, mut turned_away) = (0, 0);
    while turned_away < 1_000 {
        number += 1;
        match engine.enqueue(vec![post(&format!("k{number}"), "a", "b", 1)], Mode::Each) {
            Ok(answer) => taken.push(answer),
            Err(SubmitError::Rejected(Rejected::QueueFull { queued, capacity })) => {
                assert!(queued <= 10 && capacity == 10);
                turned_away += 1;
            }
            Err(other) => panic!("{other}"),
        }
        assert!(engine.stats().queued <= 10);
        // One in the store's hands, one batch decided behind it, the queue.
        assert!(taken.len() <= 1 + 4 + 10, "{} were taken", taken.len());
    }
    assert_eq!(
        engine.enqueue(vec![post("whole", "a", "b", 1); 11], Mode::Each).err().map(|error| error.to_string().len() > 10),
        Some(true)
    );
    store.faults().open_gate();
    let count = taken.len() as i64;
    for answer in taken {
        accepted(&answer.blocking_recv().expect("an answer").expect("outcomes")[0]);
    }
    assert_eq!(engine.stats().queued, 0);
    accepted(&one(&engine, &post("afterwards", "a", "b", 1)));
    assert_eq!(verified(&store).totals(&crate::story::address_of("b")).expect("an account").credits_posted, count + 1);
}

#[test]
fn stopping_finishes_everything_that_was_taken() {
    let (store, engine) = gated(1_000, 2);
    let arrived = store.faults().arrivals();
    store.faults().close_gate();
    let taken: Vec<_> =
        (0..50).map(|number| engine.enqueue(vec![post(&format!("k{number}"), "a", "b", 1)], Mode::Each).expect("a place")).collect();
    arrived_at_the_gate(&store, arrived + 1);
    std::thread::scope(|scope| {
        let stopping = scope.spawn(|| engine.stop());
        while engine.is_running() {
            std::thread::yield_now();
        }
        let late = engine.submit_blocking(vec![post("late", "a", "b", 1)], Mode::Each);
        assert_eq!(late, Err(SubmitError::Rejected(Rejected::Stopped)));
        assert!(!stopping.is_finished(), "stopped before what it had was written");
        store.faults().open_gate();
    });
    for answer in taken {
        accepted(&answer.blocking_recv().expect("an answer").expect("outcomes")[0]);
    }
    assert_eq!(verified(&store).totals(&crate::story::address_of("b")).expect("an account").credits_posted, 50);
    engine.stop();
    assert!(!engine.is_running());
}

#[test]
fn a_stopped_engine_takes_nothing() {
    for kept in Kept::BOTH {
        let story = Story::kept(kept);
        story.open(&["a", "b"]);
        let handle = story.engine.clone();
        story.engine.stop();
        assert!(!handle.is_running());
        for _ in 0..2 {
            let answer = handle.submit_blocking(vec![post("late", "a", "b", 1)], Mode::Each);
            assert_eq!(answer, Err(SubmitError::Rejected(Rejected::Stopped)));
        }
        // A stopped engine's store stays open as long as a handle is left.
        drop(handle);
        let story = story.restarted();
        story.accept(&post("late", "a", "b", 1));
    }
}

#[test]
fn everybody_who_stops_an_engine_waits_until_it_has_stopped() {
    let (store, engine) = gated(1_000, 2);
    let arrived = store.faults().arrivals();
    store.faults().close_gate();
    let taken = engine.enqueue(vec![post("k", "a", "b", 1)], Mode::Each).expect("a place");
    arrived_at_the_gate(&store, arrived + 1);
    let head = store.head().expect("a head");
    std::thread::scope(|scope| {
        let stoppers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    engine.stop();
                    assert!(store.head().expect("a head").position > head.position, "said to be stopped with a batch in hand");
                })
            })
            .collect();
        while engine.is_running() {
            std::thread::yield_now();
        }
        store.faults().open_gate();
        for stopper in stoppers {
            stopper.join().expect("a stopper");
        }
    });
    accepted(&taken.blocking_recv().expect("an answer").expect("outcomes")[0]);
}

#[test]
fn the_last_handle_that_is_dropped_stops_the_engine() {
    let store = MemoryStore::exclusive("ledger");
    let engine = Engine::start(Arc::new(store.clone()), config(&ManualClock::at(morning()))).expect("an engine");
    let other = engine.clone();
    accepted(&one(&engine, &open("a", AccountKind::Liability, None)));
    drop(engine);
    accepted(&one(&other, &open("b", AccountKind::Liability, None)));
    let waiting = other.enqueue(vec![post("k", "a", "b", 1)], Mode::Each).expect("a place");
    drop(other);
    accepted(&waiting.blocking_recv().expect("an answer").expect("outcomes")[0]);
    verified(&store);
}

#[test]
fn figures_count_what_was_answered() {
    let story = Story::new();
    story.open(&["a", "b"]);
    story.one(&post("k", "a", "b", 1));
    story.one(&post("k", "a", "b", 1));
    story.one(&post("refused", "a", "nobody", 1));
    let stats = story.engine.stats();
    assert_eq!((stats.state.accounts, stats.accepted, stats.refused, stats.queued, stats.conflicts), (2, 4, 1, 0, 0));
    assert_eq!(stats.batches, 4, "a replay writes nothing");
    assert_eq!(stats.queue_capacity, 65_536);
}

#[test]
fn an_entry_takes_as_many_places_of_the_queue_as_it_has_transfers() {
    let (store, engine) = gated(10, 1);
    let arrived = store.faults().arrivals();
    store.faults().close_gate();
    let mut taken = vec![engine.enqueue(vec![post("first", "a", "b", 1)], Mode::Each).expect("a place")];
    arrived_at_the_gate(&store, arrived + 1);
    // Decided behind it: the batch has no more room, so whatever comes next waits.
    taken.push(engine.enqueue(vec![post("second", "a", "b", 1)], Mode::Each).expect("a place"));
    while engine.stats().queued > 0 {
        std::thread::yield_now();
    }
    let large = |key: &str| vec![post_entry(key, entry_of(vec![transfer("a", "b", 1); 8]))];
    taken.push(engine.enqueue(large("third"), Mode::Each).expect("a place"));
    assert_eq!(engine.stats().queued, 8);
    assert_eq!(engine.enqueue(large("fourth"), Mode::Each).err(), Some(Rejected::QueueFull { queued: 8, capacity: 10 }.into()));
    taken.push(engine.enqueue(vec![post("fifth", "a", "b", 1)], Mode::Each).expect("two places are left"));
    store.faults().open_gate();
    for answer in taken {
        accepted(&answer.blocking_recv().expect("an answer").expect("outcomes")[0]);
    }
    assert_eq!(engine.stats().queued, 0);
}
