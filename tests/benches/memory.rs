//! Memory for each account and each open hold, as the operating system counts it.

use cauri_domain::LedgerCommand;
use cauri_domain::entry::{EntryAction, HoldTerms};
use cauri_engine::{CommandEnvelope, EngineConfig, MAX_COMMANDS};

use crate::load::Bench;
use crate::measure;

pub fn run() {
    let accounts = measure::number("BENCH_ACCOUNTS", 1_000_000);
    let holds = measure::number("BENCH_HOLDS", 500_000);
    let small = resident();
    let config = EngineConfig { snapshot_every: u64::MAX, ..EngineConfig::default() };
    let mut bench = Bench::with_accounts(accounts as u64, config);
    let with_accounts = resident();
    for _ in 0..holds / MAX_COMMANDS {
        let batch = bench.entries(MAX_COMMANDS, false).into_iter().map(held).collect();
        bench.submit(vec![batch]);
    }
    let with_holds = resident();
    let held = bench.engine.stats().open_holds;
    println!("\n### Memory\n\n| what | bytes |\n|---|---|");
    println!("| an account ({accounts}, with the tables and caches of a store at work) | {} |", (with_accounts - small) / accounts as u64);
    println!("| an open hold ({held}) | {} |", (with_holds.saturating_sub(with_accounts)) / held as u64);
}

fn held(envelope: CommandEnvelope) -> CommandEnvelope {
    let LedgerCommand::Entry { action, .. } = &envelope.command else { return envelope };
    let EntryAction::Post(post) = &**action else { return envelope };
    let mut post = post.clone();
    post.hold = Some(HoldTerms::default());
    CommandEnvelope::new(LedgerCommand::post_entry(post, &envelope.id), envelope.id.clone(), envelope.actor.clone())
}

/// Resident memory of this process, in bytes.
pub fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: u64 = status.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("pages");
    pages * 4096
}
