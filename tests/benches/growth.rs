//! Growth: a journal that grows at full speed, while the thread behind the look-ups writes and merges its runs.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use cauri_engine::{EngineConfig, MAX_COMMANDS, Mode};

use crate::load::{Bench, all_accepted};
use crate::measure;

const PARTS: usize = 8;

/// Prints, part by part, how fast entries were answered and the longest time in which no answer came.
pub fn run() {
    let entries = measure::number("BENCH_GROWTH_ENTRIES", 40_000_000);
    let mut bench = Bench::with_accounts(10_000, EngineConfig::default());
    println!(
        "\n### Growth: {entries} entries at full speed, batches of 8,189\n\n| entries | entries/s | longest without an answer | resident MB |\n|---|---|---|---|"
    );
    let mut answered = 0;
    for _ in 0..PARTS {
        let began = Instant::now();
        let mut previous = began;
        let mut longest = Duration::ZERO;
        let mut waiting = VecDeque::new();
        let batches = entries / PARTS / MAX_COMMANDS;
        for number in 0..batches + 3 {
            if number < batches {
                let batch = bench.entries(MAX_COMMANDS, false);
                waiting.push_back(bench.engine.enqueue(batch, Mode::Each).expect("queued"));
            }
            if waiting.len() > 3 || number >= batches {
                let Some(answer) = waiting.pop_front() else { break };
                all_accepted(&answer.blocking_recv().expect("an answer").expect("outcomes"));
                longest = longest.max(previous.elapsed());
                previous = Instant::now();
            }
        }
        answered += batches * MAX_COMMANDS;
        let rate = measure::rate(batches * MAX_COMMANDS, began.elapsed());
        println!("| {answered} | {rate:.0} | {} ms | {:.0} |", longest.as_millis(), crate::memory::resident() as f64 / 1e6);
    }
    bench.engine.stop();
    let closing = Instant::now();
    let Bench { dir, store, engine, .. } = bench;
    drop(engine);
    drop(store);
    println!("\nThe store was closed after {} ms.", closing.elapsed().as_millis());
    drop(dir);
}
