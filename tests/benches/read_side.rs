//! What reads the journal: read models rebuilt from position 1, and `verify`, beside decompressing and hashing the same bytes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cauri_domain::ledger::Ledger;
use cauri_engine::{EngineConfig, MAX_COMMANDS};
use cauri_event_schemas::Position;
use cauri_event_store::EventStore;
use cauri_event_store::embedded::EmbeddedStore;
use cauri_projections::GroupId;
use cauri_projections::runner::{Runner, RunnerConfig};
use cauri_replay_tools::verify::{Wanted, verify_directory};
use sha2::{Digest, Sha256};

use crate::load::Bench;
use crate::measure::{self, Subject, side_by_side};

pub fn run() {
    let entries = measure::number("BENCH_READ_ENTRIES", 500_000);
    let mut bench = Bench::with_accounts(10_000, EngineConfig::default());
    for _ in 0..(entries / MAX_COMMANDS / 10).max(1) {
        let batches = (0..10).map(|_| bench.entries(MAX_COMMANDS, false)).collect();
        bench.submit(batches);
    }
    let Bench { dir, store, engine, .. } = bench;
    engine.stop();
    let events = store.head().expect("a head").position;
    let bytes = bytes_of(&store);
    let megabytes = bytes.len() as f64 / 1e6;
    drop((engine, store));
    let open = || -> Arc<dyn EventStore> { Arc::new(EmbeddedStore::open_read_only(dir.path(), "ledger").expect("a store")) };

    side_by_side(
        &format!("Rebuild of all read models from {events} events"),
        &mut [
            Subject::new("read, decompress and decode alone", "events/s", || {
                let (store, start) = (open(), Instant::now());
                let mut next = Position::ZERO.next();
                while let Some(batch) = store.read_batch(next).expect("readable") {
                    next = batch.last.next();
                    for record in batch.check().expect("whole").records() {
                        record.decode::<Ledger>().expect("known");
                    }
                }
                measure::rate(events.get() as usize, start.elapsed())
            }),
            Subject::new("rebuild", "events/s", || {
                let models = tempfile::tempdir().expect("a directory");
                let (store, start) = (open(), Instant::now());
                let runner = Runner::start(store, &models.path().join("ledger"), RunnerConfig::default()).expect("a runner");
                let reads = runner.read_store();
                assert!(reads.wait_for_blocking(&GroupId::ALL, events, Duration::from_secs(600)), "not caught up");
                let took = start.elapsed();
                runner.stop();
                measure::rate(events.get() as usize, took)
            }),
        ],
    );
    side_by_side(
        &format!("Verify of {megabytes:.0} MB of records"),
        &mut [
            Subject::new("SHA-256 of the same bytes, one thread", "MB/s", || {
                let start = Instant::now();
                std::hint::black_box(Sha256::digest(&bytes));
                megabytes / start.elapsed().as_secs_f64()
            }),
            Subject::new("verify, every check, two threads", "MB/s", || {
                let start = Instant::now();
                let report = verify_directory(dir.path(), "ledger", &Wanted::default()).expect("readable");
                assert!(report.failed().is_empty(), "{:?}", report.failed());
                megabytes / start.elapsed().as_secs_f64()
            }),
        ],
    );
}

/// All records, unpacked.
fn bytes_of(store: &EmbeddedStore) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut next = Position::ZERO.next();
    while let Some(batch) = store.read_batch(next).expect("readable") {
        next = batch.last.next();
        bytes.extend_from_slice(&batch.lines);
    }
    bytes
}
