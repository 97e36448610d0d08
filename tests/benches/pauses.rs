//! How long the deciding thread stands still for the size of its state: while accounts are opened, when a snapshot is
//! taken, and while the snapshot shares what changes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cauri_domain::account::{AccountEvent, AccountKind, AccountOpened};
use cauri_domain::entry::{EntryEvent, EntryPosted, Transfer};
use cauri_domain::fold::Balances;
use cauri_domain::ids::EntryId;
use cauri_domain::journal::Rules;
use cauri_domain::limits::Limits;
use cauri_domain::money::{Currency, Money};
use cauri_domain::time::Timestamp;
use fastrand::Rng;

use crate::load::address;
use crate::measure;

/// The longest and the sum of what was timed.
#[derive(Default)]
struct Timed {
    longest: Duration,
    sum: Duration,
    count: u32,
}

impl Timed {
    fn time<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let done = work();
        let took = start.elapsed();
        self.longest = self.longest.max(took);
        self.sum += took;
        self.count += 1;
        done
    }

    fn row(&self, what: &str) {
        let mean = self.sum / self.count.max(1);
        println!("| {what} | {:.3} ms | {:.2} µs |", self.longest.as_secs_f64() * 1e3, mean.as_secs_f64() * 1e6);
    }
}

pub fn run() {
    let accounts = measure::number("BENCH_PAUSE_ACCOUNTS", 1_000_000) as u64;
    let changes = measure::number("BENCH_PAUSE_ENTRIES", 1_000_000);
    println!("\n### Pauses ({accounts} accounts, {changes} entries)\n\n| what | longest | mean |\n|---|---|---|");
    let mut state = Balances::new(Rules::default());
    let opened = AccountEvent::Opened(AccountOpened {
        chart_code: None,
        currency: Currency::XOF,
        kind: AccountKind::Asset,
        limits: Limits::default(),
        metadata: Default::default(),
        owner: None,
    });
    let mut opening = Timed::default();
    for number in 0..accounts {
        let address = address(number);
        opening.time(|| {
            state.apply_account(&address, &opened).expect("a legal event");
            state.forget(state.mark());
        });
    }
    opening.row("opening an account");
    let mut random = Rng::with_seed(7);
    let mut post = |state: &mut Balances, timed: &mut Timed| {
        let debit = random.u64(..accounts);
        let transfer = Transfer {
            amount: Money::from_minor(1, Currency::XOF),
            credit: address((debit + 1 + random.u64(..accounts - 1)) % accounts),
            debit: address(debit),
            reason: None,
        };
        let posted = EntryEvent::Posted(EntryPosted {
            dimensions: Default::default(),
            effective_at: Timestamp::from_micros(0).expect("a time"),
            reference: None,
            reverses: None,
            transfers: Arc::new([transfer]),
        });
        let id = EntryId::from_u128(random.u128(..));
        timed.time(|| {
            state.apply_entry(&id, &posted).expect("a legal event");
            state.forget(state.mark());
        });
    };
    let mut before = Timed::default();
    (0..changes).for_each(|_| post(&mut state, &mut before));
    before.row("an entry");
    let mut taking = Timed::default();
    let frozen = taking.time(|| state.freeze());
    taking.row("taking a snapshot");
    let keeping = std::thread::spawn(move || {
        let start = Instant::now();
        let bytes = postcard::to_stdvec(&frozen).expect("bytes");
        (bytes.len(), start.elapsed())
    });
    let mut beside = Timed::default();
    (0..changes).for_each(|_| post(&mut state, &mut beside));
    beside.row("an entry while the snapshot is made into bytes and after");
    let (bytes, took) = keeping.join().expect("bytes");
    println!("\nThe snapshot has {:.0} MB; making it took another thread {:.1} s", bytes as f64 / 1e6, took.as_secs_f64());
}
