//! The process that is killed: several callers on one engine, with read models behind it.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cauri_domain::ledger::Ledger;
use cauri_engine::{Clock, Engine, EngineConfig, Mode, SystemClock};
use cauri_event_store::embedded::{EmbeddedStore, IndexSize};
use cauri_projections::runner::{Runner, RunnerConfig};
use cauri_tests::ask::Asked;
use cauri_tests::checker::Submission;
use cauri_tests::maker::{Maker, opening};

use crate::diary::Pen;

/// So small that the index is always being flushed or merged.
pub const INDEX: IndexSize = IndexSize { keys_in_memory: 300, keys_a_chunk: 16, fan_in: 2, keys_a_slice: 40, key_bits: 64 };

/// Snapshots every few batches.
pub fn config() -> EngineConfig {
    EngineConfig { snapshot_every: 200, ..EngineConfig::default() }
}

#[test]
fn child_that_works_until_it_is_killed() {
    let Some(dir) = std::env::var_os("CAURI_CRASH_CHILD") else { return };
    let round = std::env::var("CAURI_CRASH_ROUND").ok().and_then(|round| round.parse().ok()).expect("a round");
    let seed = std::env::var("CAURI_SEED").map_or(1, |seed| seed.parse().expect("CAURI_SEED is a number"));
    work(Path::new(&dir), seed, round, None);
}

/// Works for so long, or until the process is killed. Other seeds and other rounds make other commands.
pub fn work(dir: &Path, seed: u64, round: u64, time: Option<Duration>) {
    let end = time.map(|time| Instant::now() + time);
    let store = Arc::new(EmbeddedStore::open_with(&dir.join("data/journal"), "ledger", INDEX).expect("a store"));
    let engine = Engine::start(store.clone(), config()).expect("an engine");
    let runner = Runner::start(store, &dir.join("data/read"), RunnerConfig::default()).expect("a runner");
    let diaries = dir.join("diary");
    let mut pen = Pen::new(&diaries, &format!("{round:05}-opening"));
    // In every round: what is open already is a replay.
    submit(&engine, &mut pen, &Submission { commands: opening(), mode: Mode::Each });
    println!("working");

    let entries: Mutex<(Vec<u128>, Vec<u128>)> = Mutex::default();
    std::thread::scope(|scope| {
        for caller in 0..3_u64 {
            let (engine, entries, diaries) = (&engine, &entries, &diaries);
            scope.spawn(move || {
                let name = format!("r{round}c{caller}");
                let mut pen = Pen::new(diaries, &format!("{round:05}-{name}"));
                let mut maker = Maker::new(&name, seed << 32 | round << 8 | caller);
                while end.is_none_or(|end| Instant::now() < end) {
                    (maker.entries, maker.holds) = entries.lock().expect("entries").clone();
                    let submission = some_submission(&mut maker);
                    let outcomes = submit(engine, &mut pen, &submission);
                    let mut entries = entries.lock().expect("entries");
                    (maker.entries, maker.holds) = entries.clone();
                    for (asked, outcome) in submission.commands.iter().zip(&outcomes) {
                        maker.learn(asked, outcome);
                    }
                    *entries = (maker.entries.clone(), maker.holds.clone());
                }
            });
        }
    });
    engine.stop();
    runner.stop();
}

fn submit(
    engine: &Engine<Ledger>,
    pen: &mut Pen,
    submission: &Submission,
) -> Vec<cauri_engine::Outcome<cauri_domain::ledger::LedgerStream>> {
    pen.asked(submission);
    let commands = submission.commands.iter().map(Asked::envelope).collect();
    let outcomes = engine.submit_blocking(commands, submission.mode).expect("outcomes").outcomes;
    pen.told(&outcomes);
    outcomes
}

fn some_submission(maker: &mut Maker) -> Submission {
    let now = SystemClock.now().as_micros();
    let size = match maker.random.below(10) {
        0 => 100,
        1..4 => 10,
        _ => 1,
    };
    let commands: Vec<Asked> = (0..size)
        .map(|_| {
            let again = if maker.random.once_in(10) { maker.again(now) } else { None };
            again.unwrap_or_else(|| maker.fresh(now))
        })
        .collect();
    // Large atomic submissions are nearly always refused.
    let atomic = size < 20 && maker.random.once_in(3);
    Submission { commands, mode: if atomic { Mode::Atomic } else { Mode::Each } }
}
