//! Single commands, each durable before its caller goes on: from 32 callers and from one, beside a lone fsync.

use std::fs::OpenOptions;
use std::io::Write;
use std::time::Instant;

use cauri_domain::LedgerCommand;
use cauri_engine::{CommandEnvelope, EngineConfig, Mode};

use crate::load::{Bench, all_accepted};
use crate::measure::{self, Subject, side_by_side};

pub fn run() {
    let commands = measure::number("BENCH_SINGLES", 100_000);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut many = Bench::with_accounts(10_000, EngineConfig::default());
    let mut threads = Bench::with_accounts(10_000, EngineConfig::default());
    let mut one = Bench::with_accounts(10_000, EngineConfig::default());
    side_by_side(
        "Single commands, durable",
        &mut [
            Subject::new("32 callers (tasks)", "commands/s", || {
                let shares = shares(&mut many, commands, 32);
                let engine = many.engine.clone();
                let start = Instant::now();
                runtime.block_on(async {
                    let callers = shares.into_iter().map(|share| {
                        let engine = engine.clone();
                        async move {
                            for command in share {
                                all_accepted(&engine.submit(vec![command], Mode::Each).await.expect("an outcome"));
                            }
                        }
                    });
                    futures::future::join_all(callers).await;
                });
                measure::rate(commands, start.elapsed())
            }),
            Subject::new("32 callers (threads)", "commands/s", || {
                let shares = shares(&mut threads, commands, 32);
                let start = Instant::now();
                std::thread::scope(|scope| {
                    for share in shares {
                        let engine = threads.engine.clone();
                        scope.spawn(move || {
                            for command in share {
                                all_accepted(&engine.submit_blocking(vec![command], Mode::Each).expect("an outcome"));
                            }
                        });
                    }
                });
                measure::rate(commands, start.elapsed())
            }),
            Subject::new("1 caller", "commands/s", || {
                let share = one.entries(commands / 50, false);
                let start = Instant::now();
                for command in share {
                    all_accepted(&one.engine.submit_blocking(vec![command], Mode::Each).expect("an outcome"));
                }
                measure::rate(commands / 50, start.elapsed())
            }),
            Subject::new("raw: 512 bytes appended, fdatasync each", "appends/s", || raw_fsync(commands / 50)),
        ],
    );
}

fn shares(bench: &mut Bench, commands: usize, callers: usize) -> Vec<Vec<CommandEnvelope<LedgerCommand>>> {
    (0..callers).map(|_| bench.entries(commands / callers, false)).collect()
}

fn raw_fsync(count: usize) -> f64 {
    let dir = tempfile::tempdir().expect("a directory");
    let mut file = OpenOptions::new().create(true).append(true).open(dir.path().join("raw")).expect("a file");
    let start = Instant::now();
    for _ in 0..count {
        file.write_all(&[7; 512]).expect("written");
        file.sync_data().expect("on disk");
    }
    measure::rate(count, start.elapsed())
}
