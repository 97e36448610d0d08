//! Power cuts while the engine answers commands and the read models follow: whatever was answered is answered the same
//! way afterwards, and the read models show what a replay of the journal gives.
//!
//! `CAURI_FUZZ_SECONDS=600` draws images for that long, `CAURI_SEED=7` draws others.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cauri_crash_images::{Event, Honesty, Medium, Recorder};
use cauri_domain::ledger::Ledger;
use cauri_domain::ledger::LedgerStream;
use cauri_domain::time::Timestamp;
use cauri_engine::{Accepted, Engine, EngineConfig, ManualClock, Mode, Outcome, Refused};
use cauri_event_schemas::Position;
use cauri_event_schemas::ledger::Recorded;
use cauri_event_store::conformance::material;
use cauri_event_store::embedded::{EmbeddedStore, IndexSize};
use cauri_event_store::{EventStore, Unreadable};
use cauri_projections::GroupId;
use cauri_projections::digest::digest_of_replay;
use cauri_projections::runner::{Runner, RunnerConfig};
use cauri_tests::ask::Asked;
use cauri_tests::maker::{Maker, opening};
use fastrand::Rng;

const INDEX: IndexSize = IndexSize { keys_in_memory: 60, keys_a_chunk: 8, fan_in: 3, keys_a_slice: 32, key_bits: 64 };
const LONG: Duration = Duration::from_secs(60);
/// A moment within the limits of every rule.
const NOW: i64 = 1_750_000_000_000_000;

#[test]
fn what_was_answered_before_a_power_cut_is_answered_the_same_way_after_it() {
    let number = |variable: &str| std::env::var(variable).ok().map(|text| text.parse::<u64>().expect("a number"));
    let (seed, seconds) = (number("CAURI_SEED").unwrap_or(1), number("CAURI_FUZZ_SECONDS").map(Duration::from_secs));
    let began = Instant::now();
    let (mut images, mut round) = (0, 0);
    while round == 0 || seconds.is_some_and(|seconds| began.elapsed() < seconds) {
        let day = Day::live(seed + round);
        images += day.cut(40, seed + round);
        round += 1;
    }
    println!("{images} images of {round} days: every answer stands, and the read models agree with a replay");
}

/// What was asked and answered, one submission after another.
struct Day {
    answered: Vec<(Vec<Asked>, Vec<Outcome<LedgerStream>>)>,
    events: Vec<Event>,
}

fn store_in(root: &Path) -> Arc<EmbeddedStore> {
    Arc::new(EmbeddedStore::open_with(&root.join("journals/ledger"), "ledger", INDEX).expect("a store"))
}

fn runner_in(root: &Path, store: Arc<EmbeddedStore>) -> Runner {
    Runner::start(store, &root.join("read-models/ledger"), RunnerConfig::default()).expect("a runner")
}

fn engine_on(store: Arc<EmbeddedStore>) -> Engine<Ledger> {
    let clock = Arc::new(ManualClock::at(Timestamp::from_micros(NOW).expect("a time")));
    Engine::start(store, EngineConfig { snapshot_every: 60, clock, ..EngineConfig::default() }).expect("an engine")
}

fn submit(engine: &Engine<Ledger>, asked: &[Asked]) -> Vec<Outcome<LedgerStream>> {
    engine.submit_blocking(asked.iter().map(Asked::envelope).collect(), Mode::Each).expect("outcomes").outcomes
}

impl Day {
    /// Two starts with commands of all kinds after each; the number of answered submissions is noted.
    fn live(seed: u64) -> Self {
        let root = tempfile::tempdir().expect("a directory");
        let recorder = Recorder::start(root.path(), Honesty::Honest);
        let mut maker = Maker::new("crash", seed);
        let mut answered = Vec::new();
        for _ in 0..2 {
            let store = store_in(root.path());
            let (engine, runner) = (engine_on(store.clone()), runner_in(root.path(), store.clone()));
            for round in 0..25 {
                let asked = match round {
                    0 => opening(),
                    _ => (0..1 + round % 7).map(|_| maker.fresh(NOW)).collect(),
                };
                let outcomes = submit(&engine, &asked);
                asked.iter().zip(&outcomes).for_each(|(asked, outcome)| maker.learn(asked, outcome));
                answered.push((asked, outcomes));
                recorder.note(answered.len() as u64);
            }
            let head = store.head().expect("a head").position;
            assert!(runner.read_store().wait_for_blocking(&GroupId::ALL, head, LONG), "{:?}", runner.status());
            engine.stop();
            runner.stop();
        }
        Self { answered, events: recorder.events() }
    }

    fn cut(&self, images: usize, seed: u64) -> usize {
        let mut random = Rng::with_seed(seed);
        let mut points: Vec<usize> = (0..images).map(|_| random.usize(..=self.events.len())).collect();
        points.sort_unstable();
        let (mut medium, mut replayed) = (Medium::default(), 0);
        for point in points {
            self.events[replayed..point].iter().for_each(|event| medium.replay(event));
            replayed = point;
            let left = tempfile::tempdir().expect("a directory");
            medium.image(&mut random).write_to(left.path()).expect("an image");
            println!("cut at event {point} of {}, seed {seed}", self.events.len());
            self.examine(left.path(), medium.noted() as usize);
        }
        images
    }

    fn examine(&self, root: &Path, answered: usize) {
        let store = store_in(root);
        let engine = engine_on(store.clone());
        let runner = runner_in(root, store.clone());
        for (asked, outcomes) in &self.answered[..answered] {
            let decided = |outcome: &Outcome<LedgerStream>| {
                matches!(outcome, Outcome::Accepted(_) | Outcome::Refused(Refused { position: Some(_), .. }))
            };
            let (asked, expected): (Vec<Asked>, Vec<Outcome<LedgerStream>>) = asked
                .iter()
                .zip(outcomes)
                .filter(|(_, outcome)| decided(outcome))
                .map(|(asked, outcome)| (asked.clone(), as_replay(outcome)))
                .unzip();
            assert_eq!(submit(&engine, &asked), expected, "another answer after the power cut");
        }
        submit(&engine, &opening());
        material::check(&*store);
        let head = store.head().expect("a head").position;
        let reads = runner.read_store();
        assert!(reads.wait_for_blocking(&GroupId::ALL, head, LONG), "the read models do not catch up: {:?}", runner.status());
        let moment = reads.snapshot().expect("a moment");
        for expected in digest_of_replay(events(&*store), head).expect("a replay") {
            let found = moment.digest(expected.name).expect("a digest").expect("a read model");
            assert_eq!((found.position, found.digest), (expected.position, expected.digest), "{} differs from a replay", expected.name);
        }
        drop(moment);
        engine.stop();
        runner.stop();
    }
}

fn as_replay(outcome: &Outcome<LedgerStream>) -> Outcome<LedgerStream> {
    match outcome.clone() {
        Outcome::Accepted(accepted) => Outcome::Accepted(Accepted { replayed: true, ..accepted }),
        Outcome::Refused(refused) => Outcome::Refused(Refused { replayed: true, ..refused }),
        other => other,
    }
}

fn events(store: &dyn EventStore) -> Vec<Result<Recorded, Unreadable>> {
    let records = store.read_journal(Position::ZERO, usize::MAX).expect("a journal");
    let decoded = records.iter().flat_map(|record| match record.as_record().decode::<Ledger>() {
        Ok(events) => events.into_iter().map(Ok).collect(),
        Err(corruption) => vec![Err(corruption)],
    });
    decoded.collect()
}
