//! Several callers at once, on one engine or two, on a store that fails, with restarts between.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use cauri_domain::ledger::Ledger;
use cauri_domain::ledger::LedgerStream;
use cauri_engine::{Accepted, Clock, Coordination, Engine, EngineConfig, ManualClock, Mode, Outcome, Refused, Rejected, SubmitError};
use cauri_event_store::EventStore;
use cauri_event_store::embedded::{EmbeddedStore, IndexSize, OpenError};
use cauri_event_store::memory::{Fault, MemoryStore};
use cauri_tests::ask::Asked;
use cauri_tests::checker::{Checker, Submission};
use cauri_tests::maker::{Maker, Random, opening};
use tempfile::TempDir;

const CALLERS: usize = 4;
const SUBMISSIONS: usize = 60;

/// Where the journal is, and how its engines start.
enum Journal {
    Memory(Vec<MemoryStore>),
    Embedded(TempDir),
}

struct World {
    seed: u64,
    journal: Journal,
    config: EngineConfig,
    clock: ManualClock,
    /// One engine, or two on a shared journal. Restarted under the callers' hands.
    engines: Vec<RwLock<Option<Engine<Ledger>>>>,
    checker: Mutex<Checker>,
    /// Entries and holds that anybody asked for.
    entries: Mutex<(Vec<u128>, Vec<u128>)>,
    submitted: AtomicUsize,
}

/// Runs one seed; the answer is how often what was written.
pub fn run(seed: u64) -> BTreeMap<String, u64> {
    let world = World::new(seed);
    let opening = Submission { commands: opening(), mode: Mode::Each };
    let mut answers = vec![(opening.clone(), world.ask(0, &opening))];
    world.plan_faults();
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS)
            .map(|caller| {
                scope.spawn({
                    let world = &world;
                    move || world.call(caller)
                })
            })
            .collect();
        scope.spawn(|| world.restart_now_and_then());
        for caller in callers {
            answers.extend(caller.join().expect("a caller"));
        }
    });
    let store = world.store();
    let mut checker = world.checker.lock().expect("a checker");
    checker.follow(&*store);
    for (submission, outcomes) in &answers {
        checker.check(submission, outcomes);
    }
    drop(checker);

    // Asked once more, of whatever engine: the same answers.
    world.no_more_faults();
    for (index, (submission, outcomes)) in answers.iter().enumerate() {
        for (asked, outcome) in submission.commands.iter().zip(outcomes) {
            if matches!(outcome, Outcome::Accepted(_) | Outcome::Refused(Refused { position: Some(_), .. })) {
                let again = world.ask(index, &Submission { commands: vec![asked.clone()], mode: Mode::Each });
                assert_eq!(again, [as_replay(outcome)], "{asked:?}");
            }
        }
    }
    for engine in &world.engines {
        engine.read().expect("an engine").as_ref().expect("an engine").stop();
    }
    // Only now does nobody write any more, not even the expiry of a hold.
    let mut checker = world.checker.lock().expect("a checker");
    checker.follow(&*store);
    checker.check_balances(&*store);
    checker.tally.clone()
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random::of_seed(seed);
        let clock = ManualClock::at("2026-03-16T08:00:00Z".parse().expect("an instant"));
        let (journal, coordination) = match seed % 4 {
            0 => (Journal::Memory(vec![MemoryStore::exclusive("ledger")]), Coordination::Exclusive),
            1 => (Journal::Embedded(tempfile::tempdir().expect("a directory")), Coordination::Exclusive),
            shared => {
                let journal = MemoryStore::shared("ledger");
                let coordination = if shared == 2 { Coordination::Turns } else { Coordination::Optimistic };
                (Journal::Memory(vec![journal.for_another_engine(), journal]), coordination)
            }
        };
        let config = EngineConfig {
            coordination,
            snapshot_every: random.of(&[25, 100, 1_000]),
            max_batch: random.of(&[1, 5, 40, 8_189]),
            clock: Arc::new(clock.clone()),
            ..EngineConfig::default()
        };
        let engines = match &journal {
            Journal::Memory(stores) => stores.len(),
            Journal::Embedded(_) => 1,
        };
        let world = Self {
            seed,
            journal,
            clock,
            engines: (0..engines).map(|_| RwLock::new(None)).collect(),
            checker: Mutex::new(Checker::new()),
            config,
            entries: Mutex::default(),
            submitted: AtomicUsize::new(0),
        };
        for number in 0..engines {
            world.start(number);
        }
        world
    }

    /// Starts an engine where the last one was stopped.
    fn start(&self, number: usize) {
        let mut place = self.engines[number].write().expect("a place");
        if let Some(last) = place.take() {
            last.stop();
        }
        let store: Arc<dyn EventStore> = match &self.journal {
            Journal::Memory(stores) => Arc::new(stores[number].clone()),
            Journal::Embedded(dir) => {
                let size = IndexSize { keys_in_memory: 200, keys_a_chunk: 8, fan_in: 2, keys_a_slice: 40, key_bits: 64 };
                // Callers who were just told "stopped" may hold the last engine, and so its store, for a moment.
                loop {
                    match EmbeddedStore::open_with(dir.path(), "ledger", size) {
                        Ok(store) => break Arc::new(store),
                        Err(OpenError::Locked { .. }) => std::thread::yield_now(),
                        Err(other) => panic!("{other}"),
                    }
                }
            }
        };
        *place = Some(Engine::start(store, self.config.clone()).expect("an engine"));
    }

    fn store(&self) -> Arc<dyn EventStore> {
        let engine = self.engines[0].read().expect("an engine");
        engine.as_ref().expect("an engine").store().clone()
    }

    fn plan_faults(&self) {
        let Journal::Memory(stores) = &self.journal else { return };
        let mut random = Random::of_seed(self.seed);
        for store in stores {
            store.faults().plan((0..400).map(|_| match random.below(14) {
                0 => Some(Fault::Fail),
                1 | 2 => Some(Fault::LoseAnswer),
                3 => Some(Fault::LoseBatch),
                4 => Some(Fault::Delay(Duration::from_micros(random.below(1_500)))),
                5 => Some(Fault::Duplicate),
                _ => None,
            }));
        }
    }

    fn no_more_faults(&self) {
        let Journal::Memory(stores) = &self.journal else { return };
        for store in stores {
            store.faults().forget();
        }
    }

    /// Three times, when so much was submitted, an engine is stopped and another started.
    fn restart_now_and_then(&self) {
        for part in 1..=3 {
            while self.submitted.load(Ordering::SeqCst) < CALLERS * SUBMISSIONS * part / 4 {
                std::thread::yield_now();
            }
            self.start(part % self.engines.len());
        }
    }

    /// Asks until there is an outcome, as a caller does who is told "not done", "unknown" or "stopped".
    fn ask(&self, caller: usize, submission: &Submission) -> Vec<Outcome<LedgerStream>> {
        self.checker.lock().expect("a checker").note(submission);
        loop {
            let engine = self.engines[caller % self.engines.len()].read().expect("an engine").clone().expect("an engine");
            let commands = submission.commands.iter().map(Asked::envelope).collect();
            let answer = engine.submit_blocking(commands, submission.mode);
            // A handle keeps its store open: the next engine waits for it.
            drop(engine);
            match answer {
                Ok(answer) => return answer.outcomes,
                Err(SubmitError::NotDone(_) | SubmitError::Unknown(_) | SubmitError::Rejected(Rejected::Stopped)) => {
                    std::thread::yield_now()
                }
                Err(other) => panic!("{other}"),
            }
        }
    }

    fn call(&self, caller: usize) -> Vec<(Submission, Vec<Outcome<LedgerStream>>)> {
        let mut maker = Maker::new(&format!("c{caller}"), self.seed << 16 | caller as u64);
        let mut answers = Vec::new();
        for _ in 0..SUBMISSIONS {
            self.submitted.fetch_add(1, Ordering::SeqCst);
            let submission = self.some_submission(&mut maker);
            let outcomes = self.ask(caller, &submission);
            {
                let mut entries = self.entries.lock().expect("entries");
                (maker.entries, maker.holds) = entries.clone();
                for (asked, outcome) in submission.commands.iter().zip(&outcomes) {
                    maker.learn(asked, outcome);
                }
                *entries = (maker.entries.clone(), maker.holds.clone());
            }
            answers.push((submission, outcomes));
            self.clock.advance_micros(maker.random.below(60_000) as i64);
            if maker.random.once_in(30) {
                self.clock.advance_micros(-(maker.random.below(500_000) as i64));
            }
        }
        answers
    }

    fn some_submission(&self, maker: &mut Maker) -> Submission {
        let now = self.clock.now().as_micros();
        if maker.random.once_in(12) {
            // One key, several callers, each with a body of his own: one of them is first.
            let key = format!("contested-{}", self.submitted.load(Ordering::SeqCst) / 12);
            return Submission { commands: vec![maker.contested(key, now)], mode: Mode::Each };
        }
        (maker.entries, maker.holds) = self.entries.lock().expect("entries").clone();
        let size = if maker.random.once_in(10) { 15 } else { 1 + maker.random.below(3) };
        let commands: Vec<Asked> = (0..size)
            .map(|_| {
                let again = if maker.random.once_in(8) { maker.again(now) } else { None };
                again.unwrap_or_else(|| maker.fresh(now))
            })
            .collect();
        let mode = if maker.random.once_in(3) { Mode::Atomic } else { Mode::Each };
        Submission { commands, mode }
    }
}

fn as_replay(outcome: &Outcome<LedgerStream>) -> Outcome<LedgerStream> {
    match outcome.clone() {
        Outcome::Accepted(accepted) => Outcome::Accepted(Accepted { replayed: true, ..accepted }),
        Outcome::Refused(refused) => Outcome::Refused(Refused { replayed: true, ..refused }),
        other => other,
    }
}
