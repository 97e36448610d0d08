//! Measures a full rebuild of all read models: `cargo run --release -p cauri-projections --example rebuild_speed -- [entries] [accounts] [plain]`.
//!
//! Fills a journal in memory with two-leg entries in batches of 8,189, each with a reference and two dimensions
//! (`plain`: without), then starts a runner on an empty read store and waits until every read model is live at the
//! head, with its secondary indexes; then asks it, and measures how soon a single entry is visible.
//! `CAURI_MEASURE_IN` names another directory than the temporary one, `CAURI_MEASURE_BATCH` the events of a
//! transaction, and with `CAURI_MEASURE_KEEP` the read store is kept.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "an example that measures and prints")]

#[path = "../tests/read_models/ledger.rs"]
mod ledger;

use std::sync::Arc;
use std::time::{Duration, Instant};

use cauri_domain::account::AccountKind;
use cauri_domain::entry::PostEntry;
use cauri_event_store::EventStore;
use cauri_projections::GroupId;
use cauri_projections::runner::{Runner, RunnerConfig};
use ledger::{Ledger, Numbers, transfer};

const BATCH: usize = 8_189;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let entries: u64 = arguments.next().map_or(1_000_000, |text| text.parse().unwrap());
    let accounts: u64 = arguments.next().map_or(10_000, |text| text.parse().unwrap());
    let plain = arguments.next().is_some_and(|text| text == "plain");

    let began = Instant::now();
    let mut ledger = fill(entries, accounts, plain);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let head = ledger.store.head().unwrap().position;
    println!("{head} events decided and recorded in {:.1} s", began.elapsed().as_secs_f64());

    let directory = tempfile::tempdir_in(std::env::var_os("CAURI_MEASURE_IN").map_or_else(std::env::temp_dir, Into::into)).unwrap();
    let path = directory.path().join("ledger");
    let mut config = RunnerConfig::default();
    if let Ok(batch) = std::env::var("CAURI_MEASURE_BATCH") {
        config.max_batch = batch.parse().unwrap();
    }
    let (cpu, memory) = (cpu_seconds(), memory_mb("VmRSS:"));
    let began = Instant::now();
    let runner = Runner::start(Arc::new(ledger.store.clone()), &path, config).unwrap();
    let reads = runner.read_store();
    assert!(reads.wait_for_blocking(&GroupId::ALL, head, Duration::from_secs(3_600)), "{:?}", runner.status());
    let took = began.elapsed().as_secs_f64();
    println!("rebuilt all read models to position {head} in {took:.2} s: {:.0} events/s", head.get() as f64 / took);
    let used = cpu_seconds() - cpu;
    println!("{used:.2} s of processor time, {:.1} us an event, over all threads", used * 1e6 / head.get() as f64);
    println!("{:.0} MB of memory at most, beside the journal's", memory_mb("VmHWM:") - memory);

    let began = Instant::now();
    let sum = reads.snapshot().unwrap().trial_balance_sums(None, None).unwrap()[0];
    assert_eq!(sum.debits_minor, sum.credits_minor);
    println!("sums of the trial balance of {} accounts in {:.2} ms", sum.accounts, began.elapsed().as_secs_f64() * 1e3);
    let began = Instant::now();
    let half = ledger::at((entries / 20_000) as i64);
    let sum = reads.snapshot().unwrap().trial_balance_sums(Some(half), None).unwrap()[0];
    assert_eq!(sum.debits_minor, sum.credits_minor);
    println!("the same as of half way in {:.0} ms", began.elapsed().as_secs_f64() * 1e3);

    // One entry a commit, one after the other: how long a query with `minPosition` waits.
    let mut took: Vec<Duration> = (0..1_000)
        .map(|_| {
            ledger.post(PostEntry { transfers: vec![transfer(&name(0), &name(1), 1)], ..PostEntry::default() }).unwrap();
            let began = Instant::now();
            ledger.commit();
            let position = ledger.position();
            runtime.block_on(reads.wait_for(&GroupId::ALL, position, Duration::from_secs(10)));
            began.elapsed()
        })
        .collect();
    took.sort_unstable();
    println!("an entry is visible after {:?} (median), {:?} (99 %), {:?} (worst of 1,000)", took[500], took[990], took[999]);
    drop(reads);
    runner.stop();
    if std::env::var_os("CAURI_MEASURE_KEEP").is_some() {
        println!("kept in {}", directory.keep().display());
    }
    let size: u64 = std::fs::read_dir(&path).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
    println!("the read store has {:.0} MB, {:.0} bytes an event", size as f64 / 1e6, size as f64 / head.get() as f64);
}

fn fill(entries: u64, accounts: u64, plain: bool) -> Ledger {
    let mut ledger = Ledger::new();
    ledger.remembers = false;
    let mut numbers = Numbers::from(1);
    for number in 0..accounts {
        ledger.open(&name(number), AccountKind::Liability);
        if ledger.waiting() >= BATCH {
            ledger.commit();
        }
    }
    for number in 0..entries {
        let debit = numbers.below(accounts);
        let credit = (debit + 1 + numbers.below(accounts - 1)) % accounts;
        let mut post =
            PostEntry { transfers: vec![transfer(&name(debit), &name(credit), 1 + numbers.below(100_000) as i64)], ..PostEntry::default() };
        if !plain {
            post.reference = Some(format!("order-{number:08}").parse().unwrap());
            post.dimensions.insert("merchant".parse().unwrap(), format!("m{}", credit % 1_000).parse().unwrap());
            post.dimensions.insert("country".parse().unwrap(), ["SN", "CI", "TG", "BJ"][debit as usize % 4].parse().unwrap());
        }
        ledger.post(post).unwrap();
        if number % 10 == 0 {
            ledger.now = ledger.now.saturating_add_micros(1_000);
        }
        if ledger.waiting() >= BATCH {
            ledger.commit();
        }
    }
    ledger.commit();
    ledger
}

/// Processor time of this process so far, where `/proc` tells: it does not depend on what else runs.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    // Fields 14 and 15, in ticks of a hundredth of a second; the name was field 2.
    after_name.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// What `/proc` says of this process's memory, in MB.
fn memory_mb(field: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_default();
    line.split_whitespace().next().and_then(|kib| kib.parse::<f64>().ok()).unwrap_or_default() * 1_024.0 / 1e6
}

fn name(number: u64) -> String {
    format!("customers:c{number:07}:wallet")
}
