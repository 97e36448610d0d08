//! One caller whose every step is chosen by the seed: which submissions share a batch, which append fails and how, when
//! the clock moves, when the engine is stopped or killed, and what it starts from.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cauri_domain::RefusalCode;
use cauri_domain::ledger::Ledger;
use cauri_domain::ledger::LedgerStream;
use cauri_domain::time::Timestamp;
use cauri_engine::{Accepted, Clock, Engine, EngineConfig, ManualClock, Mode, Outcome, Refused, SubmitError};
use cauri_event_store::conformance::material;
use cauri_event_store::memory::{Fault, MemoryStore};
use cauri_event_store::{EventStore, Snapshot};
use cauri_tests::ask::{Ask, Asked};
use cauri_tests::checker::{Checker, Submission};
use cauri_tests::maker::{Maker, Random, opening};

const STEPS: usize = 80;
const LONG: Duration = Duration::from_secs(60);

struct World {
    random: Random,
    maker: Maker,
    checker: Checker,
    clock: ManualClock,
    store: MemoryStore,
    /// A snapshot of some time ago, as a crash may leave it.
    old_snapshot: Option<Snapshot>,
    config: EngineConfig,
    engine: Engine<Ledger>,
}

/// Runs one seed; the answer is how often what was written.
pub fn run(seed: u64) -> BTreeMap<String, u64> {
    let mut world = World::new(seed);
    for step in 0..STEPS {
        world.let_time_pass();
        world.submit_some();
        if world.random.once_in(12) {
            world.restart();
        }
        if step % 16 == 15 {
            world.checker.check_balances(&world.store);
        }
    }
    if world.random.once_in(2) {
        world.close_the_journal();
    }
    world.checker.check_balances(&world.store);
    world.engine.stop();
    world.checker.tally
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random::of_seed(seed);
        let clock = ManualClock::at("2026-03-16T08:00:00Z".parse::<Timestamp>().expect("an instant"));
        let config =
            EngineConfig { snapshot_every: random.of(&[30, 200, u64::MAX]), clock: Arc::new(clock.clone()), ..EngineConfig::default() };
        let store = MemoryStore::exclusive("ledger");
        let engine = Engine::start(Arc::new(store.clone()), config.clone()).expect("an engine");
        let maker = Maker::new("c", random.bits());
        let checker = Checker::new();
        let mut world = Self { random, maker, checker, clock, store, old_snapshot: None, config, engine };
        let opening = Submission { commands: opening(), mode: Mode::Each };
        world.checker.note(&opening);
        let outcomes = world.ask(&opening);
        world.checker.follow(&world.store);
        world.checker.check(&opening, &outcomes);
        world
    }

    fn now(&self) -> i64 {
        self.clock.now().as_micros()
    }

    /// Moves the clock, sometimes back, and waits for the expiries that follow from it.
    fn let_time_pass(&mut self) {
        match self.random.below(10) {
            0 => self.clock.advance_micros(-(self.random.below(3_000_000) as i64)),
            1..4 => self.clock.advance_micros(self.random.below(4_000_000) as i64),
            _ => {}
        }
        let due = self.checker.model.due(self.now()).len();
        if due > 0 {
            let head = self.store.head().expect("a head").position;
            let reached = self.store.follow().wait_beyond(head.after(due - 1), LONG).position;
            assert!(reached >= head.after(due), "{due} holds are due, and the engine does nothing");
            self.checker.follow(&self.store);
        }
    }

    fn some_submission(&mut self) -> Submission {
        let size = if self.random.once_in(10) { 12 } else { 1 + self.random.below(4) };
        let mut commands: Vec<Asked> = Vec::new();
        for _ in 0..size {
            let now = self.now();
            let again = if self.random.once_in(8) { self.maker.again(now) } else { None };
            let twice = if self.random.once_in(40) { commands.last().cloned() } else { None };
            commands.push(again.or(twice).unwrap_or_else(|| self.maker.fresh(now)));
        }
        let mode = if self.random.once_in(3) { Mode::Atomic } else { Mode::Each };
        Submission { commands, mode }
    }

    fn some_fault(&mut self) -> Option<Fault> {
        match self.random.below(12) {
            0 => Some(Fault::Fail),
            1 => Some(Fault::LoseAnswer),
            2 => Some(Fault::LoseBatch),
            3 => Some(Fault::Duplicate),
            _ => None,
        }
    }

    /// Some submissions: the first alone in a batch, the others decided while it is with the store.
    fn submit_some(&mut self) {
        let mut first = self.some_submission();
        // Something in it is written for sure, so that there is an append to wait for.
        let mut fresh = self.maker.fresh(self.now());
        fresh.expected_version = None;
        first.commands.insert(0, fresh);
        first.mode = Mode::Each;
        let others = self.random.below(5);
        let mut submissions = vec![first];
        for _ in 0..others {
            let submission = self.some_submission();
            submissions.push(submission);
        }
        let faults = [self.some_fault(), self.some_fault()];
        for submission in &submissions {
            self.checker.note(submission);
        }

        let arrivals = self.store.faults().arrivals();
        self.store.faults().close_gate();
        self.store.faults().plan(faults);
        let mut answers = Vec::new();
        for (index, submission) in submissions.iter().enumerate() {
            let commands = submission.commands.iter().map(Asked::envelope).collect();
            answers.push(self.engine.enqueue(commands, submission.mode).expect("a place"));
            if index == 0 {
                assert!(self.store.faults().wait_for_arrivals(arrivals + 1, LONG), "no append arrived");
            }
        }
        while self.engine.stats().queued > 0 {
            std::thread::yield_now();
        }
        self.store.faults().open_gate();
        let answers: Vec<_> = answers.into_iter().map(|answer| answer.blocking_recv().expect("an answer")).collect();
        self.store.faults().forget();

        for (submission, answer) in submissions.iter().zip(answers) {
            let outcomes = match answer {
                Ok(answer) => answer.outcomes,
                Err(SubmitError::NotDone(_) | SubmitError::Unknown(_)) => self.ask(submission),
                Err(other) => panic!("{other}"),
            };
            self.answered(submission, &outcomes);
        }
    }

    fn answered(&mut self, submission: &Submission, outcomes: &[Outcome<LedgerStream>]) {
        self.checker.follow(&self.store);
        self.checker.check(submission, outcomes);
        for (asked, outcome) in submission.commands.iter().zip(outcomes) {
            self.maker.learn(asked, outcome);
        }
        let has_mismatch = outcomes.iter().any(|outcome| matches!(outcome, Outcome::VersionMismatch { .. }));
        if self.random.once_in(5) && !has_mismatch {
            let head = self.store.head().expect("a head");
            let again: Vec<Outcome<LedgerStream>> = self.ask(submission).iter().map(as_replay).collect();
            let was_decided = outcomes.iter().all(|outcome| !matches!(outcome, Outcome::Refused(Refused { position: None, .. })));
            if was_decided {
                assert_eq!(again, outcomes.iter().map(as_replay).collect::<Vec<_>>(), "a retry is answered as it was first");
            }
            // Of an atomic submission that ended with what is not remembered nothing was decided: asked again, when others
            // have moved the balances, an earlier command of it may be refused, and that is written.
            if was_decided || submission.mode == Mode::Each {
                let after = self.store.head().expect("a head");
                assert_eq!(after, head, "a retry writes nothing: {submission:?} was answered {outcomes:?} and then {again:?}");
            }
        }
    }

    fn ask(&self, submission: &Submission) -> Vec<Outcome<LedgerStream>> {
        let commands = submission.commands.iter().map(Asked::envelope).collect();
        self.engine.submit_blocking(commands, submission.mode).expect("outcomes").outcomes
    }

    /// Stops the engine or kills it, and starts another: from its snapshot, an older one, or the journal alone.
    fn restart(&mut self) {
        self.engine.stop();
        let kept = self.store.latest_snapshot().expect("an answer");
        let left = match self.random.below(3) {
            0 => kept.clone(),
            1 => self.old_snapshot.clone(),
            _ => None,
        };
        if self.random.once_in(2) {
            self.old_snapshot = kept;
        }
        self.store = material::copy_of(&self.store);
        if let Some(snapshot) = left {
            self.store.save_snapshot(&snapshot).expect("a snapshot");
        }
        self.engine = Engine::start(Arc::new(self.store.clone()), self.config.clone()).expect("an engine");
    }

    fn close_the_journal(&mut self) {
        let close =
            Submission { commands: vec![Asked { key: "close".into(), ask: Ask::CloseJournal, expected_version: None }], mode: Mode::Each };
        self.checker.note(&close);
        let outcomes = self.ask(&close);
        self.answered(&close, &outcomes);
        self.clock.advance_micros(3_600_000_000);
        for _ in 0..5 {
            let submission = self.some_submission();
            self.checker.note(&submission);
            let outcomes = self.ask(&submission);
            self.checker.follow(&self.store);
            self.checker.check(&submission, &outcomes);
            let refused = outcomes.iter().filter_map(|outcome| match outcome {
                Outcome::Refused(Refused { refusal, replayed: false, .. }) => Some(refusal.code),
                _ => None,
            });
            for code in refused {
                assert!(matches!(code, RefusalCode::JournalClosed | RefusalCode::IdempotencyKeyReused), "{code}");
            }
        }
    }
}

fn as_replay(outcome: &Outcome<LedgerStream>) -> Outcome<LedgerStream> {
    match outcome.clone() {
        Outcome::Accepted(accepted) => Outcome::Accepted(Accepted { replayed: true, ..accepted }),
        Outcome::Refused(refused) => Outcome::Refused(Refused { replayed: true, ..refused }),
        other => other,
    }
}
