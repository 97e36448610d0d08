//! How soon an entry is visible after its command was answered, and what sums over many accounts take.

use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use cauri_domain::ids::AccountAddress;
use cauri_engine::{EngineConfig, Mode};
use cauri_event_schemas::Position;
use cauri_event_store::EventStore;
use cauri_projections::GroupId;
use cauri_projections::runner::{Runner, RunnerConfig};

use crate::load::{Bench, all_accepted};
use crate::measure;

/// How long each pace is kept.
const SECONDS: u64 = 20;

pub fn run() {
    println!("\n### Visible after the answer, all groups\n\n| entries a second | at once | median | 99 % | worst |\n|---|---|---|---|---|");
    for (a_second, at_once) in [(1_000, 1), (20_000, 20), (20_000, 2_000)] {
        pace(a_second, at_once);
    }
    sums();
}

/// Entries at a steady pace: from each answer until every group shows it.
fn pace(a_second: usize, at_once: usize) {
    let mut bench = Bench::with_accounts(10_000, EngineConfig::default());
    let models = tempfile::tempdir().expect("a directory");
    let runner = Runner::start(bench.store.clone(), &models.path().join("ledger"), RunnerConfig::default()).expect("a runner");
    let reads = runner.read_store();
    assert!(reads.wait_for_blocking(&GroupId::ALL, bench.store.head().expect("a head").position, Duration::from_secs(60)));
    let (answered, waiting) = channel::<(Position, Instant)>();
    let waiter = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let mut took = Vec::new();
        for (position, at) in waiting {
            assert!(runtime.block_on(reads.wait_for(&GroupId::ALL, position, Duration::from_secs(60))), "not visible");
            took.push(at.elapsed());
        }
        took
    });
    let start = Instant::now();
    let turns = a_second as u64 * SECONDS / at_once as u64;
    for turn in 1..=turns {
        let batch = bench.entries(at_once, false);
        let answer = bench.engine.submit_blocking(batch, Mode::Each).expect("outcomes");
        let head = answer.head.position;
        answered.send((head, Instant::now())).expect("somebody waits");
        all_accepted(&answer);
        let due = Duration::from_nanos(1_000_000_000 * at_once as u64 / a_second as u64) * turn as u32;
        std::thread::sleep(due.saturating_sub(start.elapsed()));
    }
    let kept = turns as f64 * at_once as f64 / start.elapsed().as_secs_f64();
    drop(answered);
    let mut took = waiter.join().expect("no panic");
    took.sort_unstable();
    let of = |share: f64| took[((took.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    println!("| {kept:.0} | {at_once} | {:.2} ms | {:.2} ms | {:.2} ms |", of(0.5), of(0.99), of(1.0));
    runner.stop();
    bench.engine.stop();
}

/// What is asked as of now of many accounts.
fn sums() {
    let accounts = measure::number("BENCH_SUMS_ACCOUNTS", 1_000_000);
    let mut bench = Bench::with_accounts(accounts as u64, EngineConfig::default());
    for _ in 0..20 {
        let batch = bench.entries(5_000, false);
        all_accepted(&bench.engine.submit_blocking(batch, Mode::Each).expect("outcomes"));
    }
    let models = tempfile::tempdir().expect("a directory");
    let runner = Runner::start(bench.store.clone(), &models.path().join("ledger"), RunnerConfig::default()).expect("a runner");
    let reads = runner.read_store();
    assert!(reads.wait_for_blocking(&GroupId::ALL, bench.store.head().expect("a head").position, Duration::from_secs(600)));
    let first = reads.snapshot().expect("a snapshot").trial_balance(None, None, None, 1).expect("a page").rows;
    let address = first.rows().next().expect("an account").address.clone();
    let prefix: AccountAddress = address.as_str().split(':').next().unwrap_or_default().parse().expect("a prefix");
    println!("\n### Sums over {accounts} accounts, as of now\n\n| question | median | worst of 100 |\n|---|---|---|");
    let ask = |question: &str, ask: &dyn Fn()| {
        let mut took: Vec<Duration> = (0..100)
            .map(|_| {
                let start = Instant::now();
                ask();
                start.elapsed()
            })
            .collect();
        took.sort_unstable();
        println!("| {question} | {:.2} ms | {:.2} ms |", took[50].as_secs_f64() * 1e3, took[99].as_secs_f64() * 1e3);
    };
    let snapshot = || reads.snapshot().expect("a snapshot");
    ask("`rollup` of all of them", &|| {
        let rows = snapshot().rollup(&prefix, None, None).expect("sums");
        assert!(rows.iter().map(|row| row.accounts).sum::<u64>() > 0);
    });
    ask("`trialBalance`: sums and a page of 50", &|| {
        let snapshot = snapshot();
        let sums = snapshot.trial_balance_sums(None, None).expect("sums");
        assert!(sums.iter().all(|sum| sum.debits_minor == sum.credits_minor));
        assert_eq!(snapshot.trial_balance(None, None, None, 50).expect("a page").rows.items.len(), 50);
    });
    runner.stop();
    bench.engine.stop();
}
