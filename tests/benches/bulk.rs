//! Bulk entries through the engine on the embedded store, beside a raw durable append of the same bytes.

use std::fs::OpenOptions;
use std::io::Write;
use std::time::Instant;

use cauri_engine::{EngineConfig, MAX_COMMANDS};
use cauri_event_schemas::Position;
use cauri_event_store::EventStore;

use crate::load::Bench;
use crate::measure::{self, Subject, side_by_side};

const ACCOUNTS: u64 = 10_000;

pub fn run() {
    let entries = measure::number("BENCH_ENTRIES", 500_000);
    let mut spread = Bench::with_accounts(ACCOUNTS, EngineConfig::default());
    let mut hot = Bench::with_accounts(ACCOUNTS, EngineConfig::default());
    let mut hundreds = Bench::with_accounts(ACCOUNTS, EngineConfig::default());
    let lines = lines_of(&mut Bench::with_accounts(ACCOUNTS, EngineConfig::default()), entries / MAX_COMMANDS);
    let batches = |bench: &mut Bench, size: usize, total: usize, hot: bool| {
        let batches = (0..(total / size).max(1)).map(|_| bench.entries(size, hot)).collect();
        bench.submit(batches)
    };
    side_by_side(
        "Bulk entries, durable, limits, idempotency, root, 10,000 accounts",
        &mut [
            Subject::new("batches of 8,189", "entries/s", || batches(&mut spread, MAX_COMMANDS, entries, false)),
            Subject::new("batches of 8,189, one hot account in each entry", "entries/s", || batches(&mut hot, MAX_COMMANDS, entries, true)),
            Subject::new("batches of 100", "entries/s", || batches(&mut hundreds, 100, entries / 4, false)),
            Subject::new("raw: the same bytes appended to a file, fdatasync each 8,189", "records/s", || raw_append(&lines)),
        ],
    );
    let (journal, index) = spread.store.disk_bytes();
    let count = spread.store.head().expect("a head").position.get();
    println!(
        "\nDisk after {count} events: journal {:.1}, index and snapshots {:.1} bytes an event",
        journal as f64 / count as f64,
        index as f64 / count as f64
    );
}

/// The canonical bytes of real batches.
fn lines_of(bench: &mut Bench, batches: usize) -> Vec<Vec<u8>> {
    let before = bench.store.head().expect("a head").position;
    let commands = (0..batches).map(|_| bench.entries(MAX_COMMANDS, false)).collect();
    bench.submit(commands);
    let mut lines = Vec::new();
    let mut next: Position = before.next();
    while let Some(batch) = bench.store.read_batch(next).expect("readable") {
        next = batch.last.next();
        lines.push(batch.lines);
    }
    lines
}

fn raw_append(batches: &[Vec<u8>]) -> f64 {
    let dir = tempfile::tempdir().expect("a directory");
    let mut file = OpenOptions::new().create(true).append(true).open(dir.path().join("raw")).expect("a file");
    let start = Instant::now();
    let mut records = 0;
    for lines in batches {
        file.write_all(lines).expect("written");
        file.sync_data().expect("on disk");
        records += lines.iter().filter(|byte| **byte == b'\n').count();
    }
    measure::rate(records, start.elapsed())
}
