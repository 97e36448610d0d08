//! A soak: entries at a steady pace for some minutes, with read models following; memory must stay flat, and what only the
//! work needed must be given back once there is none.

use std::time::{Duration, Instant};

use cauri_engine::{EngineConfig, Mode};
use cauri_event_store::EventStore;
use cauri_projections::runner::{Runner, RunnerConfig};

use crate::load::{Bench, all_accepted};
use crate::measure;

/// Seconds without work after it: a node returns free memory every five.
const IDLE: u64 = 20;

pub fn run() {
    let seconds = measure::number("BENCH_SOAK_SECONDS", 180);
    let a_second = measure::number("BENCH_SOAK_RATE", 20_000);
    let mut bench = Bench::with_accounts(10_000, EngineConfig::default());
    let models = tempfile::tempdir().expect("a directory");
    let runner = Runner::start(bench.store.clone(), &models.path().join("ledger"), RunnerConfig::default()).expect("a runner");
    println!(
        "\n### Soak: {a_second} entries a second for {seconds} s, read models following\n\n| after | entries | resident MB | read models behind |\n|---|---|---|---|"
    );
    let start = Instant::now();
    let mut entries = 0;
    let slice = a_second / 10;
    for tick in 1..=seconds * 10 {
        let batch = bench.entries(slice, false);
        all_accepted(&bench.engine.submit_blocking(batch, Mode::Each).expect("outcomes"));
        entries += slice;
        let due = Duration::from_millis(100) * tick as u32;
        std::thread::sleep(due.saturating_sub(start.elapsed()));
        if tick % (seconds * 10 / 6).max(1) == 0 {
            let behind = runner.status().read_models().map(|model| model.lag_events).max().unwrap_or(0);
            println!("| {} s | {entries} | {:.0} | {behind} |", start.elapsed().as_secs(), crate::memory::resident() as f64 / 1e6);
        }
    }
    for seconds in 1..=IDLE {
        std::thread::sleep(Duration::from_secs(1));
        cauri_node::memory::return_free();
        if seconds % (IDLE / 2) == 0 {
            println!("| {seconds} s idle | {entries} | {:.0} | 0 |", crate::memory::resident() as f64 / 1e6);
        }
    }
    runner.stop();
    bench.engine.stop();
    let (journal, index) = bench.store.disk_bytes();
    println!(
        "\nDisk: {:.1} bytes an event, of which {:.1} can be built again; head {}",
        (journal + index) as f64 / entries as f64,
        index as f64 / entries as f64,
        bench.store.head().expect("a head").position
    );
}
