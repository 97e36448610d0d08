//! How long `EventStore::root_at` takes in an embedded journal: `cargo run --release -p cauri-event-store --example root_at`.
//!
//! Prints medians in microseconds: where a batch ends, inside batches of 8,189, and where no peaks are stored (format 1),
//! for the first time and again.

use std::path::Path;
use std::time::Instant;

use cauri_event_schemas::Position;
use cauri_event_store::EventStore;
use cauri_event_store::conformance::material::{Author, Commit, append};
use cauri_event_store::embedded::EmbeddedStore;

const BATCHES: usize = 40;
const RECORDS: usize = 8_189;

/// Microseconds of one look-up.
fn timed(store: &EmbeddedStore, position: u64) -> f64 {
    let began = Instant::now();
    assert!(store.root_at(Position::new(position)).expect("a root").is_some());
    began.elapsed().as_secs_f64() * 1e6
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

/// Positions all over the journal, never the same twice.
fn spread(last: u64, count: u64) -> impl Iterator<Item = u64> {
    (0..count).map(move |number| 1 + (number * 7_919_317) % (last - 1))
}

fn main() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = EmbeddedStore::open(dir.path(), "ledger").expect("a store");
    let mut author = Author::new("a");
    let mut ends = Vec::new();
    for _ in 0..BATCHES {
        let commits: Vec<Commit> = (0..RECORDS).map(|_| author.entry()).collect();
        ends.push(append(&store, &commits).position.get());
    }
    let last = *ends.last().expect("a batch");
    let at_ends = (0..50).flat_map(|_| ends.clone()).map(|end| timed(&store, end)).collect();
    println!("{last} records in batches of {RECORDS}");
    println!("where a batch ends   {:>10.1}", median(at_ends));
    println!("inside a batch       {:>10.1}", median(spread(last, 200).map(|position| timed(&store, position)).collect()));
    let singly: Vec<u64> = (0..2_000).map(|_| append(&store, &[author.entry()]).position.get()).collect();
    println!("batches of 1, end    {:>10.1}", median(singly.iter().map(|position| timed(&store, *position)).collect()));
    drop(store);
    without_peaks(dir.path());
    let store = EmbeddedStore::open_read_only(dir.path(), "ledger").expect("a store");
    println!("no peaks, first time {:>10.1}", timed(&store, last - 1));
    println!("no peaks, again      {:>10.1}", median(spread(last, 200).map(|position| timed(&store, position)).collect()));
}

/// Makes the file what format 1 would have left.
fn without_peaks(dir: &Path) {
    let journal = rusqlite::Connection::open(dir.join("journal.sqlite")).expect("a database");
    journal
        .execute_batch("ALTER TABLE frames DROP COLUMN peaks; UPDATE meta SET value = '1' WHERE key = 'format_version'")
        .expect("a change by other means");
}
