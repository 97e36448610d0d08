//! Memory for each account and each open hold: of the decision state alone, and of a process with engine and store.
//!
//! Each is measured in a process of its own, because memory that something else gave back hides what is taken.

use std::sync::Arc;

use cauri_domain::account::{AccountEvent, AccountKind, AccountOpened};
use cauri_domain::entry::{EntryEvent, EntryHeld, Transfer};
use cauri_domain::fold::Balances;
use cauri_domain::ids::EntryId;
use cauri_domain::journal::Rules;
use cauri_domain::limits::Limits;
use cauri_domain::money::{Currency, Money};
use cauri_domain::time::Timestamp;
use cauri_engine::{Engine, EngineConfig};
use cauri_event_store::embedded::EmbeddedStore;

use crate::load::{Bench, address};
use crate::measure;

/// Says to a process of this program what it is to measure.
const PART: &str = "BENCH_MEMORY_PART";
/// Says where the journal is that it is to open.
const DIR: &str = "BENCH_MEMORY_DIR";

pub fn run() {
    let accounts = measure::number("BENCH_ACCOUNTS", 1_000_000);
    match std::env::var(PART).as_deref() {
        Ok("state") => of_state(accounts, measure::number("BENCH_HOLDS", 500_000)),
        Ok("engine") => of_engine(accounts),
        _ => {
            println!("\n### Memory ({accounts} accounts)\n\n| what | bytes |\n|---|---|");
            part("state", std::path::Path::new(""));
            let bench = Bench::with_accounts(accounts as u64, EngineConfig::default());
            bench.engine.stop();
            let dir = bench.dir.path().to_owned();
            let Bench { dir: kept, store, engine, .. } = bench;
            drop((store, engine));
            part("engine", &dir);
            drop(kept);
        }
    }
}

fn part(name: &str, dir: &std::path::Path) {
    let program = std::env::current_exe().expect("this program");
    let mut process = std::process::Command::new(program);
    // The allocator keeps for a while what a growing table gave back; a process at rest has returned it.
    process.arg("memory").env(PART, name).env(DIR, dir).env("MIMALLOC_PURGE_DELAY", "0");
    let ended = process.status().expect("a process");
    assert!(ended.success(), "{name}: {ended}");
}

fn of_state(accounts: usize, holds: usize) {
    let before = resident();
    let mut state = Balances::new(Rules::default());
    let limits = Limits { floor: Some(Money::from_minor(0, Currency::XOF)), ceiling: None };
    let opened = |kind, limits| {
        AccountEvent::Opened(AccountOpened {
            chart_code: None,
            currency: Currency::XOF,
            kind,
            limits,
            metadata: Default::default(),
            owner: None,
        })
    };
    let funding = "equity:funding".parse().expect("an address");
    state.apply_account(&funding, &opened(AccountKind::Equity, Limits::default())).expect("a legal event");
    for number in 0..accounts as u64 {
        state.apply_account(&address(number), &opened(AccountKind::Liability, limits)).expect("a legal event");
        state.forget(state.mark());
    }
    let with_accounts = resident();
    for number in 0..holds as u64 {
        let transfer =
            Transfer { amount: Money::from_minor(1, Currency::XOF), credit: address(number), debit: funding.clone(), reason: None };
        let at = |micros| Timestamp::from_micros(micros).expect("a time");
        let held = EntryEvent::Held(EntryHeld {
            dimensions: Default::default(),
            effective_at: at(0),
            expires_at: Some(at(1 + number as i64)),
            reference: None,
            transfers: Arc::new([transfer]),
        });
        // Ids of version 4 stand in no order.
        let id = EntryId::from_u128(u128::from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 64 | u128::from(number));
        state.apply_entry(&id, &held).expect("a legal event");
        state.forget(state.mark());
    }
    let with_holds = resident();
    println!("| an account in the decision state | {} |", (with_accounts - before) / accounts as u64);
    println!("| an open hold of one transfer in the decision state ({holds}) | {} |", (with_holds - with_accounts) / holds as u64);
    assert_eq!(state.open_holds(), holds);
}

fn of_engine(accounts: usize) {
    let before = resident();
    let dir = std::path::PathBuf::from(std::env::var_os(DIR).expect("a directory"));
    let store = Arc::new(EmbeddedStore::open(&dir, "ledger").expect("a store"));
    let engine = Engine::<cauri_domain::Ledger>::start(store, EngineConfig::default()).expect("an engine");
    assert_eq!(engine.stats().state.accounts, accounts + 1);
    println!(
        "| an account in a process that was started on their journal, with everything | {} |",
        (resident() - before) / accounts as u64
    );
}

/// Memory of this process that no file stands behind, in bytes.
pub fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("a figure");
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("kilobytes");
    kilobytes * 1024
}
