//! How long a journal of many entries takes to open, with and without a snapshot.

use std::time::Instant;

use cauri_engine::{Engine, EngineConfig, MAX_COMMANDS};
use cauri_event_store::embedded::EmbeddedStore;

use crate::load::Bench;
use crate::measure::{self, Subject, side_by_side};

pub fn run() {
    let entries = measure::number("BENCH_START_ENTRIES", 1_000_000);
    let mut bench = Bench::with_accounts(10_000, EngineConfig::default());
    for _ in 0..(entries / MAX_COMMANDS / 10).max(1) {
        let batches = (0..10).map(|_| bench.entries(MAX_COMMANDS, false)).collect();
        bench.submit(batches);
    }
    let Bench { dir, store, engine, .. } = bench;
    engine.stop();
    drop((engine, store));
    let open = |without: &str| {
        if !without.is_empty() {
            let index = rusqlite::Connection::open(dir.path().join("index.sqlite")).expect("the index");
            index.execute(&format!("DELETE FROM {without}"), []).expect("deleted");
        }
        let start = Instant::now();
        let store = std::sync::Arc::new(EmbeddedStore::open(dir.path(), "ledger").expect("a store"));
        let engine = Engine::<cauri_domain::Ledger>::start(store, EngineConfig::default()).expect("an engine");
        let took = start.elapsed();
        engine.stop();
        took.as_secs_f64() * 1000.0
    };
    side_by_side(
        &format!("Start-up after {entries} entries"),
        &mut [Subject::new("with a snapshot", "ms", || open("")), Subject::new("without a snapshot", "ms", || open("snapshots"))],
    );
}
