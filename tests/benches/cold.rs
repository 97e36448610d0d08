//! Commands on entries that are not in memory, beside commands on fresh ones, and what hot commands feel of them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cauri_domain::LedgerCommand;
use cauri_domain::entry::{EntryAction, ReverseEntry};
use cauri_domain::ids::EntryId;
use cauri_engine::{CommandEnvelope, EngineConfig, MAX_COMMANDS, Mode};

use crate::load::{Bench, address, all_accepted, key, transfer};
use crate::measure::{self, Subject, side_by_side};

const ACCOUNTS: u64 = 10_000;
/// A large odd number: its multiples visit old entries in no order, each once.
const STRIDE: u64 = 0x9e37_79b9_7f4a_7c15;

type Command = CommandEnvelope<LedgerCommand>;

/// The id of entry `n`: as random as a caller's, and known without being kept.
fn id(n: u64) -> u128 {
    u128::from(n.wrapping_mul(STRIDE)) << 64 | u128::from(n)
}

fn post(n: u64) -> Command {
    let debit = n.wrapping_mul(STRIDE) % ACCOUNTS;
    transfer(&address(debit), &address((debit + 1 + n % (ACCOUNTS - 1)) % ACCOUNTS), 1 + (n % 100) as i64, id(n))
}

fn reverse(n: u64) -> Command {
    let command = LedgerCommand::entry(EntryId::from_u128(id(n)), EntryAction::Reverse(ReverseEntry::default()));
    CommandEnvelope::new(command, key(&format!("reverse-{n}")), "operator:bench".parse().expect("a short text"))
}

/// Old entries, in no order, each once.
struct Old {
    entries: u64,
    next: u64,
}

impl Old {
    fn take(&mut self, count: usize) -> Vec<Command> {
        (0..count).map(|_| self.one()).collect()
    }

    fn one(&mut self) -> Command {
        // A power of two is visited whole by multiples of an odd number; the rest is passed over.
        let places = self.entries.next_power_of_two();
        loop {
            self.next += 1;
            let n = self.next.wrapping_mul(STRIDE) % places;
            if n < self.entries {
                return reverse(n);
            }
        }
    }
}

pub fn run() {
    let entries = measure::number("BENCH_COLD_ENTRIES", 2_000_000) as u64;
    let commands = measure::number("BENCH_COLD_COMMANDS", 20_000);
    let bench = Bench::with_accounts(ACCOUNTS, EngineConfig::default());
    for first in (0..entries).step_by(MAX_COMMANDS) {
        eprint!("\r\x1b[KWriting old entries: {first} of {entries}");
        let bulk = (first..entries.min(first + MAX_COMMANDS as u64)).map(post).collect();
        all_accepted(&bench.engine.submit_blocking(bulk, Mode::Each).expect("old entries"));
    }
    let fresh = std::cell::Cell::new(entries);
    let next_fresh = |count: usize| -> Vec<Command> {
        let first = fresh.replace(fresh.get() + count as u64);
        (first..first + count as u64).map(post).collect()
    };
    let old = std::cell::RefCell::new(Old { entries, next: 0 });
    let in_bulks = |bulks: Vec<Vec<Command>>| bench.submit(bulks);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    side_by_side(
        &format!("Commands on entries that are not in memory: {entries} old entries"),
        &mut [
            Subject::new("fresh entries, bulks of 1,000", "commands/s", || {
                in_bulks((0..commands / 1_000).map(|_| next_fresh(1_000)).collect())
            }),
            Subject::new("reversals of old entries, bulks of 1,000", "commands/s", || {
                in_bulks((0..commands / 1_000).map(|_| old.borrow_mut().take(1_000)).collect())
            }),
            Subject::new("reversals of old entries, 32 callers", "commands/s", || {
                let shares: Vec<Vec<Command>> = (0..32).map(|_| old.borrow_mut().take(commands / 32)).collect();
                let start = Instant::now();
                runtime.block_on(async {
                    let callers = shares.into_iter().map(|share| async {
                        for command in share {
                            all_accepted(&bench.engine.submit(vec![command], Mode::Each).await.expect("an outcome"));
                        }
                    });
                    futures::future::join_all(callers).await;
                });
                measure::rate(commands, start.elapsed())
            }),
        ],
    );
    let bulks = 2 * commands / 1_000;
    side_by_side(
        "p99 of fresh commands from one caller",
        &mut [
            Subject::new("alone", "µs", || hot_p99(&bench, next_fresh(1_000), Vec::new())),
            Subject::new("beside bulks of 1,000 fresh entries", "µs", || {
                let hot = next_fresh(1_000);
                hot_p99(&bench, hot, (0..bulks).map(|_| next_fresh(1_000)).collect())
            }),
            Subject::new("beside bulks of 1,000 reversals of old entries", "µs", || {
                hot_p99(&bench, next_fresh(1_000), (0..bulks).map(|_| old.borrow_mut().take(1_000)).collect())
            }),
            Subject::new("beside single reversals of old entries", "µs", || {
                hot_p99(&bench, next_fresh(1_000), (0..2 * commands).map(|_| old.borrow_mut().take(1)).collect())
            }),
        ],
    );
    println!("Resident memory at the end: {:.0} MB", crate::memory::resident() as f64 / 1e6);
}

/// What 99 of a hundred commands take at most, in microseconds, while bulks of another caller are decided beside them.
fn hot_p99(bench: &Bench, hot: Vec<Command>, bulks: Vec<Vec<Command>>) -> f64 {
    let done = AtomicBool::new(false);
    let mut took = std::thread::scope(|scope| {
        let beside = scope.spawn(|| {
            for bulk in bulks {
                if done.load(Ordering::Relaxed) {
                    return;
                }
                all_accepted(&bench.engine.submit_blocking(bulk, Mode::Each).expect("outcomes"));
            }
        });
        let took: Vec<Duration> = hot
            .into_iter()
            .map(|command| {
                let start = Instant::now();
                all_accepted(&bench.engine.submit_blocking(vec![command], Mode::Each).expect("an outcome"));
                start.elapsed()
            })
            .collect();
        done.store(true, Ordering::Relaxed);
        beside.join().expect("bulks");
        took
    });
    took.sort();
    took[took.len() * 99 / 100].as_secs_f64() * 1e6
}
