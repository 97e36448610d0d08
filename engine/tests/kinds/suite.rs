//! The cases, over commands that each kind gives.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cauri_domain::RefusalCode;
use cauri_domain::ids::CommandKey;
use cauri_domain::kind::Kind;
use cauri_engine::{Accepted, CommandEnvelope, Coordination, Engine, EngineConfig, ManualClock, Mode, Outcome, Refused, SubmitError};
use cauri_event_schemas::{Position, StreamVersion};
use cauri_event_store::memory::{Fault, MemoryStore};
use cauri_event_store::{EventStore, Head};

/// A kind with commands to try it with.
pub trait Sample: Kind {
    /// What comes first, and is accepted.
    fn beginning() -> Vec<Self::Command>;
    /// Accepted after those of all smaller numbers, whether or not they were given. Each writes one record.
    fn accepted(number: u64) -> Self::Command;
    /// Refused, whatever else was given.
    fn refused() -> Self::Command;
    /// Closes the journal.
    fn close() -> Self::Command;
}

type Envelope<K> = CommandEnvelope<<K as Kind>::Command>;
type Answered<K> = Outcome<<K as Kind>::Stream>;

pub fn envelope<K: Kind>(key: &str, command: K::Command) -> Envelope<K> {
    let key: CommandKey = format!("issuer awa {key}").parse().expect("a key");
    CommandEnvelope::new(command, key, "operator:awa".parse().expect("an actor"))
}

fn nth<K: Sample>(number: u64) -> Envelope<K> {
    envelope::<K>(&format!("k{number}"), K::accepted(number))
}

pub fn engine<K: Kind>(store: &MemoryStore, change: impl FnOnce(&mut EngineConfig)) -> Engine<K> {
    let clock = ManualClock::at("2026-03-16T08:00:00Z".parse().expect("an instant"));
    let mut config = EngineConfig { clock: Arc::new(clock), ..EngineConfig::for_store(store) };
    change(&mut config);
    Engine::start(Arc::new(store.clone()), config).expect("an engine")
}

/// An engine on an empty journal, after its beginning.
fn begun<K: Sample>(store: &MemoryStore) -> Engine<K> {
    let engine = engine::<K>(store, |_| {});
    for (number, command) in K::beginning().into_iter().enumerate() {
        accepted(&one(&engine, envelope::<K>(&format!("b{number}"), command)));
    }
    engine
}

pub fn one<K: Kind>(engine: &Engine<K>, command: Envelope<K>) -> Answered<K> {
    engine.submit_blocking(vec![command], Mode::Each).expect("an outcome").outcomes.remove(0)
}

#[track_caller]
pub fn accepted<S: Clone + std::fmt::Debug>(outcome: &Outcome<S>) -> Accepted<S> {
    match outcome {
        Outcome::Accepted(accepted) => accepted.clone(),
        other => panic!("not accepted: {other:?}"),
    }
}

#[track_caller]
fn refused<S: std::fmt::Debug>(outcome: &Outcome<S>) -> Refused {
    match outcome {
        Outcome::Refused(refused) => refused.clone(),
        other => panic!("not refused: {other:?}"),
    }
}

/// Waits until an engine shows these figures of its state.
#[track_caller]
pub fn figures_become<K: Kind>(engine: &Engine<K>, figures: K::Figures) {
    let began = Instant::now();
    while engine.stats().state != figures {
        assert!(began.elapsed() < Duration::from_secs(10), "{:?} are not {figures:?}", engine.stats().state);
        std::thread::sleep(Duration::from_millis(1));
    }
}

pub fn head(store: &MemoryStore) -> Head {
    store.head().expect("a head")
}

pub fn a_retry_gets_the_first_answer_and_another_body_is_refused<K: Sample>() {
    let store = MemoryStore::exclusive(K::NAME);
    let engine = begun::<K>(&store);
    let first = accepted(&one(&engine, nth::<K>(1)));
    let before = head(&store);
    assert_eq!(accepted(&one(&engine, nth::<K>(1))), Accepted { replayed: true, ..first.clone() });
    assert_eq!(refused(&one(&engine, envelope::<K>("k1", K::accepted(2)))).refusal.code, RefusalCode::IdempotencyKeyReused);
    assert_eq!(head(&store), before, "nothing was written");
    engine.stop();
    let engine = self::engine::<K>(&store, |_| {});
    assert_eq!(accepted(&one(&engine, nth::<K>(1))), Accepted { replayed: true, ..first });
}

pub fn a_refusal_is_a_record_and_is_remembered<K: Sample>() {
    let store = MemoryStore::exclusive(K::NAME);
    let engine = begun::<K>(&store);
    let before = head(&store).position;
    let first = refused(&one(&engine, envelope::<K>("no", K::refused())));
    assert_eq!((first.position, first.replayed), (Some(before.next()), false));
    engine.stop();
    let engine = self::engine::<K>(&store, |_| {});
    let again = refused(&one(&engine, envelope::<K>("no", K::refused())));
    assert_eq!(again, Refused { replayed: true, ..first });
}

pub fn an_atomic_submission_is_all_or_nothing<K: Sample>() {
    let store = MemoryStore::exclusive(K::NAME);
    let engine = begun::<K>(&store);
    let before = head(&store).position;
    let group = vec![nth::<K>(1), nth::<K>(2), envelope::<K>("no", K::refused()), nth::<K>(3)];
    let outcomes = engine.submit_blocking(group, Mode::Atomic).expect("outcomes").outcomes;
    assert!(matches!(
        outcomes[..],
        [
            Outcome::NotApplied { because_of: 2 },
            Outcome::NotApplied { because_of: 2 },
            Outcome::Refused(_),
            Outcome::NotApplied { because_of: 2 },
        ]
    ));
    assert_eq!(head(&store).position, before.next(), "the refusal alone is remembered");
    // What was taken back never was: the same commands under other keys are accepted.
    let outcomes = engine.submit_blocking((1..=3).map(nth::<K>).collect(), Mode::Atomic).expect("outcomes").outcomes;
    assert!(outcomes.iter().all(|outcome| !accepted(outcome).replayed));
    assert_eq!(head(&store).position, before.after(4));
}

pub fn a_restart_goes_on_as_if_nothing_had_been<K: Sample>() {
    for snapshot_every in [3, u64::MAX] {
        let (with, without) = (MemoryStore::exclusive(K::NAME), MemoryStore::exclusive(K::NAME));
        let steady = begun::<K>(&without);
        let mut engine = begun::<K>(&with);
        for number in 1..=20 {
            if number % 4 == 0 {
                engine.stop();
                engine = self::engine::<K>(&with, |config| config.snapshot_every = snapshot_every);
            }
            assert_eq!(one(&engine, nth::<K>(number)), one(&steady, nth::<K>(number)));
        }
        assert_eq!(head(&with), head(&without), "the same records to the byte");
        // Its figures are shown after the answer.
        steady.stop();
        figures_become(&engine, steady.stats().state);
    }
}

pub fn a_failed_append_has_no_effect_or_exactly_one<K: Sample>() {
    let (store, steady) = (MemoryStore::exclusive(K::NAME), MemoryStore::exclusive(K::NAME));
    let (engine, reference) = (begun::<K>(&store), begun::<K>(&steady));
    for (number, fault) in (1..).zip([Fault::Fail, Fault::LoseAnswer, Fault::LoseBatch, Fault::Fail]) {
        let before = head(&store).position;
        store.faults().inject(fault);
        let answer = engine.submit_blocking(vec![nth::<K>(number)], Mode::Each);
        assert!(matches!(answer, Err(SubmitError::NotDone(_) | SubmitError::Unknown(_))), "{fault:?}: {answer:?}");
        let written = head(&store).position > before;
        let retried = accepted(&one(&engine, nth::<K>(number)));
        let first = accepted(&one(&reference, nth::<K>(number)));
        assert_eq!(retried, Accepted { replayed: written, ..first }, "{fault:?}");
        assert_eq!(head(&store).position, before.next(), "{fault:?}");
    }
}

pub fn two_engines_go_on_from_each_other<K: Sample>() {
    for coordination in [Coordination::Turns, Coordination::Optimistic] {
        let journal = MemoryStore::shared(K::NAME);
        let alone = MemoryStore::exclusive(K::NAME);
        let reference = begun::<K>(&alone);
        drop(begun::<K>(&journal));
        let engines = [0, 1].map(|_| engine::<K>(&journal.for_another_engine(), |config| config.coordination = coordination));
        for number in 1..=20 {
            let (this, other) = (&engines[number as usize % 2], &engines[(number as usize + 1) % 2]);
            let answer = one(this, nth::<K>(number));
            assert_eq!(answer, one(&reference, nth::<K>(number)), "{coordination:?}");
            assert!(accepted(&one(other, nth::<K>(number))).replayed, "{coordination:?}");
        }
        assert_eq!(head(&journal), head(&alone), "{coordination:?}: the same records to the byte");
    }
}

pub fn a_version_that_was_asked_for_must_be_the_streams<K: Sample>() {
    let store = MemoryStore::exclusive(K::NAME);
    let engine = begun::<K>(&store);
    let first = accepted(&one(&engine, nth::<K>(1)));
    let other = StreamVersion::new(first.version.get() + 7);
    let before = head(&store);
    let command = CommandEnvelope { expected_version: Some(other), ..nth::<K>(2) };
    assert!(matches!(one(&engine, command), Outcome::VersionMismatch { .. }));
    assert_eq!(head(&store), before);
    let target = first.stream.clone();
    let is_same_target = K::target(&K::accepted(2), &K::NAME.parse().expect("a name")) == target;
    let command = CommandEnvelope { expected_version: is_same_target.then_some(first.version), ..nth::<K>(2) };
    accepted(&one(&engine, command));
}

pub fn a_closed_journal_takes_nothing_more<K: Sample>() {
    let store = MemoryStore::exclusive(K::NAME);
    let engine = begun::<K>(&store);
    let first = accepted(&one(&engine, nth::<K>(1)));
    accepted(&one(&engine, envelope::<K>("close", K::close())));
    let before = head(&store);
    engine.stop();
    let engine = self::engine::<K>(&store, |_| {});
    assert_eq!(refused(&one(&engine, nth::<K>(2))).refusal.code, RefusalCode::JournalClosed);
    assert_eq!(accepted(&one(&engine, nth::<K>(1))), Accepted { replayed: true, ..first }, "what was answered is answered again");
    assert_eq!(head(&store), before);
    assert!(before.position > Position::ZERO);
}

/// Every case with its name.
pub fn cases<K: Sample>() -> Vec<(&'static str, fn())> {
    macro_rules! named {
        ($($case:ident,)+) => { vec![$((stringify!($case), $case::<K> as fn()),)+] };
    }
    named![
        a_retry_gets_the_first_answer_and_another_body_is_refused,
        a_refusal_is_a_record_and_is_remembered,
        an_atomic_submission_is_all_or_nothing,
        a_restart_goes_on_as_if_nothing_had_been,
        a_failed_append_has_no_effect_or_exactly_one,
        two_engines_go_on_from_each_other,
        a_version_that_was_asked_for_must_be_the_streams,
        a_closed_journal_takes_nothing_more,
    ]
}
