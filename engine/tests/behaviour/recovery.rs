//! An engine that starts knows what the last one knew: from a snapshot and the tail, or from the journal alone.

use std::sync::Arc;

use cauri_domain::RefusalCode::*;
use cauri_domain::account::AccountKind;
use cauri_domain::ledger::Ledger;
use cauri_domain::ledger::LedgerStream;
use cauri_engine::{Engine, EngineConfig, ManualClock, Mode, Outcome, StartError};
use cauri_event_schemas::Position;
use cauri_event_store::conformance::material;
use cauri_event_store::memory::{Fault, MemoryStore};
use cauri_event_store::{Batch, EventStore, Hash, Head, Snapshot, StoreError};
use fastrand::Rng;

use crate::story::{
    Kept, Story, accepted, as_replay, config, events, floor_zero, hold, morning, one, open, post, refused, seeds, some_command, submit,
    verified, wallets,
};

fn engine_on(store: &MemoryStore, clock: &ManualClock, snapshot_every: u64) -> Engine<Ledger> {
    Engine::start(Arc::new(store.clone()), EngineConfig { snapshot_every, ..config(clock) }).expect("an engine")
}

/// Runs so many commands, a few at a time.
fn run(engine: &Engine<Ledger>, random: &mut Rng, clock: &ManualClock, made: &mut Vec<String>, count: usize) -> Vec<Outcome<LedgerStream>> {
    let mut outcomes = Vec::new();
    while outcomes.len() < count {
        // Before each, not after the last: whether an engine still expires what fell due before it is stopped is chance.
        clock.advance_micros(random.u64(..1_500_000) as i64);
        let commands: Vec<_> = (0..1 + random.u64(..4))
            .map(|_| {
                let key = format!("k{}", made.len());
                let command = some_command(random, &key, made, cauri_engine::Clock::now(clock));
                made.push(key);
                command
            })
            .collect();
        let mode = if random.u64(..3) == 0 { Mode::Atomic } else { Mode::Each };
        outcomes.extend(submit(engine, &commands, mode));
    }
    outcomes
}

#[test]
fn a_snapshot_and_the_tail_recover_what_the_whole_journal_recovers() {
    for seed in seeds(8) {
        let (mut random, mut made, clock) = (Rng::with_seed(seed), Vec::new(), ManualClock::at(morning()));
        let journal = MemoryStore::exclusive("ledger");
        let first = engine_on(&journal, &clock, 60);
        submit(&first, &wallets(), Mode::Each);
        run(&first, &mut random, &clock, &mut made, 150);
        first.stop();
        let snapshot = journal.latest_snapshot().expect("an answer").expect("a snapshot");
        assert_eq!(snapshot.head, journal.head().expect("a head"), "a stop keeps a snapshot");
        let second = engine_on(&journal, &clock, u64::MAX);
        run(&second, &mut random, &clock, &mut made, 150);

        // What a crash would leave now: a snapshot that is behind. Beside it the same journal without one.
        let (with, without) = (material::copy_of(&journal), material::copy_of(&journal));
        with.save_snapshot(&snapshot).expect("a snapshot");
        assert!(snapshot.head.position < with.head().expect("a head").position);
        let answers = [&with, &without].map(|store| {
            let clock = ManualClock::at(cauri_engine::Clock::now(&clock));
            let engine = engine_on(store, &clock, u64::MAX);
            let (mut random, mut made) = (random.clone(), made.clone());
            let outcomes = run(&engine, &mut random, &clock, &mut made, 200);
            // Answers come before the gauges that they move.
            engine.stop();
            let stats = engine.stats();
            (outcomes, stats.state.accounts, stats.state.open_holds, events(store))
        });
        assert!(answers[0] == answers[1], "with seed {seed}");
        verified(&with);
    }
}

/// A wallet that was funded with 100 and has a floor of zero, and an account that it spends to.
fn funded() -> (MemoryStore, ManualClock) {
    let (journal, clock) = (MemoryStore::exclusive("ledger"), ManualClock::at(morning()));
    let engine = engine_on(&journal, &clock, u64::MAX);
    let commands =
        [open("world", AccountKind::Equity, None), open("a", AccountKind::Liability, floor_zero()), post("funds", "world", "a", 100)];
    for outcome in submit(&engine, &commands, Mode::Each) {
        accepted(&outcome);
    }
    accepted(&one(&engine, &hold("h", "a", "world", 10, None)));
    engine.stop();
    (journal, clock)
}

#[test]
fn a_snapshot_that_does_not_belong_to_the_journal_is_ignored() {
    let (journal, clock) = funded();
    let whole = journal.latest_snapshot().expect("an answer").expect("a snapshot");
    let head = journal.head().expect("a head");
    let other_state = {
        let other = MemoryStore::exclusive("ledger");
        let engine = engine_on(&other, &clock, u64::MAX);
        submit(&engine, &wallets(), Mode::Each);
        engine.stop();
        other.latest_snapshot().expect("an answer").expect("a snapshot").state
    };
    let at = |position: u64, root: Hash, state: &[u8]| Snapshot {
        head: Head { position: Position::new(position), root },
        state: state.to_vec(),
    };
    let cases = [
        ("another history", at(head.position.get(), Hash::of_leaf(b"another"), &other_state)),
        ("a position in the middle of a batch", at(2, head.root, &other_state)),
        ("beyond the head", at(head.position.get() + 10, head.root, &other_state)),
        ("position 0", at(0, Hash::of_nothing(), &other_state)),
        ("garbage", at(head.position.get(), head.root, b"\xff\xff\xff\xff")),
        ("nothing", at(head.position.get(), head.root, b"")),
        ("half of it", at(head.position.get(), head.root, &whole.state[..whole.state.len() / 2])),
        ("another format", at(head.position.get(), head.root, &[&[99], &whole.state[1..]].concat())),
    ];
    for (what, snapshot) in cases {
        let copy = material::copy_of(&journal);
        copy.save_snapshot(&snapshot).expect("a snapshot");
        let engine = engine_on(&copy, &clock, u64::MAX);
        assert_eq!((engine.stats().state.accounts, engine.stats().state.open_holds), (2, 1), "{what}");
        assert_eq!(refused(&one(&engine, &post("too-much", "a", "world", 91))).refusal.code, BelowFloor, "{what}");
        accepted(&one(&engine, &post("enough", "a", "world", 90)));
        engine.stop();
        verified(&copy);
    }
}

#[test]
fn snapshots_are_kept_while_the_engine_runs() {
    let (journal, clock) = (MemoryStore::exclusive("ledger"), ManualClock::at(morning()));
    let engine = engine_on(&journal, &clock, 50);
    submit(&engine, &wallets(), Mode::Each);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    let mut number = 0;
    // They are kept beside the journal's own writes: sooner or later one is there.
    while journal.latest_snapshot().expect("an answer").is_none_or(|snapshot| snapshot.head.position.get() < 200) {
        number += 1;
        accepted(&one(&engine, &post(&format!("k{number}"), "world", "w0", 1)));
        assert!(std::time::Instant::now() < deadline, "no snapshot after {number} commands");
    }
    let snapshot = journal.latest_snapshot().expect("an answer").expect("a snapshot");
    let batch = journal.read_batch(snapshot.head.position).expect("a batch").expect("a batch");
    assert_eq!((batch.last, batch.root), (snapshot.head.position, Some(snapshot.head.root)), "it stands at the end of a batch");
}

#[test]
fn a_lost_answer_that_was_asked_for_again_is_in_the_snapshot_once() {
    for fault in [Fault::LoseAnswer, Fault::LoseBatch, Fault::Fail] {
        let (journal, clock) = funded();
        let engine = engine_on(&journal, &clock, u64::MAX);
        journal.faults().inject(fault);
        let command = post("more", "world", "a", 100);
        assert!(engine.submit_blocking(vec![command.clone()], Mode::Each).is_err());
        // What a caller does: asks again with the same id. Then the service is stopped for the night.
        let again = one(&engine, &command);
        assert_eq!(accepted(&again).replayed, fault == Fault::LoseAnswer);
        engine.stop();
        let snapshot = journal.latest_snapshot().expect("an answer").expect("a snapshot");
        assert_eq!(snapshot.head, journal.head().expect("a head"), "after {fault:?}");
        let engine = engine_on(&journal, &clock, u64::MAX);
        assert_eq!(refused(&one(&engine, &post("too-much", "a", "world", 191))).refusal.code, BelowFloor, "after {fault:?}");
        accepted(&one(&engine, &post("enough", "a", "world", 190)));
        engine.stop();
        verified(&journal);
    }
}

#[test]
fn a_journal_that_contradicts_itself_stops_the_start_and_names_the_position() {
    let story = Story::new();
    story.open(&["a", "b"]);
    story.accept(&post("p", "a", "b", 1));
    story.accept(&post("q", "a", "b", 1));
    let records = events(story.store());
    type Change = fn(&mut Vec<cauri_event_schemas::ledger::Recorded>);
    let cases: [(Change, u64); 3] = [
        // An account that was never opened.
        (|records| records.retain(|record| record.position != Position::new(2)), 2),
        // An account that is opened twice.
        (|records| records[1].stream = records[0].stream.clone(), 2),
        // Time that goes back.
        (|records| records[3].recorded_at = morning().saturating_add_secs(-1), 4),
    ];
    for (index, (change, position)) in cases.into_iter().enumerate() {
        let mut records = records.clone();
        change(&mut records);
        let journal = MemoryStore::exclusive("ledger");
        let mut batch = Batch::after(journal.tree().expect("a tree"));
        for mut record in records {
            record.position = batch.next();
            batch.push(&record);
        }
        journal.append(Head::default(), &batch).expect("an append");
        let started = Engine::<Ledger>::start(Arc::new(journal), config(&ManualClock::at(morning())));
        match started.err() {
            Some(StartError::Store(StoreError::Corruption(corruption))) => {
                assert_eq!(corruption.position, Position::new(position), "case {index}: {corruption}");
            }
            other => panic!("case {index}: {other:?}"),
        }
    }
}

#[test]
fn a_restart_changes_nothing_however_often() {
    for kept in Kept::BOTH {
        let mut story = Story::kept(kept);
        story.submit(&wallets(), Mode::Each);
        let mut expected = 200;
        for round in 0..8 {
            let answer = story.one(&post(&format!("k{round}"), "world", "w0", 3));
            expected += 3;
            if round % 2 == 0 {
                story = story.restarted();
            }
            assert_eq!(story.one(&post(&format!("k{round}"), "world", "w0", 3)), as_replay(&answer));
            assert_eq!(story.on_credit_side("w0"), expected);
        }
    }
}
