//! How fast `verify` is beside SHA-256 over the same bytes: `cargo run --release --example verify_speed [RECORDS [DIR]]`.
//!
//! A journal that stands in DIR already is taken as it is; without DIR one is written and thrown away.

#[path = "../tests/scribe/mod.rs"]
mod scribe;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use cauri_domain::account::AccountKind;
use cauri_event_schemas::Position;
use cauri_event_store::EventStore;
use cauri_event_store::embedded::EmbeddedStore;
use cauri_replay_tools::verify::{Wanted, verify_directory};
use scribe::{Scribe, id, transfer, xof};
use sha2::{Digest, Sha256};

const ACCOUNTS: u64 = 10_000;

fn main() {
    let records: u64 = std::env::args().nth(1).map_or(1_000_000, |count| count.parse().expect("a number of records"));
    let thrown_away = tempfile::tempdir().expect("a directory");
    let dir = std::env::args().nth(2).map_or_else(|| thrown_away.path().to_owned(), PathBuf::from);
    if !dir.join("journal.sqlite").exists() {
        write(&EmbeddedStore::open(&dir, "ledger").expect("a store"), records);
    }
    let store: Arc<dyn EventStore> = Arc::new(EmbeddedStore::open_read_only(&dir, "ledger").expect("a store"));
    let records = store.head().expect("a head").position.get();

    let mut hasher = Sha256::new();
    let (mut bytes, mut hashing, mut reading) = (0_u64, 0.0, 0.0);
    let mut next = Position::ZERO.next();
    loop {
        let began = Instant::now();
        let Some(batch) = store.read_batch(next).expect("readable") else { break };
        reading += began.elapsed().as_secs_f64();
        let began = Instant::now();
        hasher.update(&batch.lines);
        hashing += began.elapsed().as_secs_f64();
        bytes += batch.lines.len() as u64;
        next = batch.last.next();
    }
    std::hint::black_box(hasher.finalize());
    let megabytes = bytes as f64 / 1e6;
    println!("{records} records, {megabytes:.0} MB, {} bytes a record", bytes / records);
    println!("SHA-256 of the same bytes  {:8.0} MB/s", megabytes / hashing);
    println!("read and unpack, 1 thread  {:8.0} MB/s", megabytes / reading);
    for _ in 0..3 {
        let (began, busy) = (Instant::now(), processor_seconds());
        let report = verify_directory(&dir, "ledger", &Wanted::default()).expect("readable");
        let seconds = began.elapsed().as_secs_f64();
        assert!(report.ok, "{report}");
        let busy = processor_seconds().zip(busy).map(|(after, before)| (after - before) * 1e9 / records as f64);
        println!(
            "verify                     {:8.0} MB/s  {:.0} records/s  {:.2} of SHA-256, {:.0} ns of processor a record",
            megabytes / seconds,
            records as f64 / seconds,
            hashing / seconds,
            busy.unwrap_or(f64::NAN)
        );
    }
}

/// What this process has used of all processors, where the system tells (Linux, in hundredths of a second).
fn processor_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(ticks as f64 / 100.0)
}

/// Entries of one transfer between random accounts, in batches of 8,189.
fn write(store: &EmbeddedStore, records: u64) {
    let mut scribe = Scribe::new();
    let mut random = 42_u64;
    let mut next = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % ACCOUNTS
    };
    let mut written = 0;
    for number in 1..=records {
        if number <= ACCOUNTS {
            scribe.open(&format!("clients:c{number:06}"), AccountKind::Asset);
        } else {
            let (debit, credit) = (next(), next());
            let credit = if debit == credit { (credit + 1) % ACCOUNTS } else { credit };
            let (debit, credit) = (format!("clients:c{:06}", debit + 1), format!("clients:c{:06}", credit + 1));
            scribe.post(
                id(u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15) & 0x3fff_ffff_ffff_ffff),
                vec![transfer(&debit, &credit, xof(100 + number as i64 % 1_000))],
            );
        }
        if number % 8_189 == 0 || number == records {
            written = scribe.append_rest_to(store, written);
        }
    }
}
