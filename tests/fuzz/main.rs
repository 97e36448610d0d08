//! Everything that is read back from disk or comes in from outside, changed at random.
//!
//! Whatever the bytes: no panic, no endless loop, no memory beyond a bound, and changed data is never taken for what was
//! written. Each module names what it changes and what must hold.
//!
//! `CAURI_FUZZ_SECONDS=600` goes on for that long in each test, `CAURI_SEED=7` makes other changes. A case depends on
//! its seed alone: with the seed that a failure prints the case is the first one.

mod consistency_tokens;
mod credentials;
mod cursors;
mod exports;
mod frames;
mod journals;
mod mutation;
mod read_models;
mod records;
mod snapshots;
mod store_files;

use std::time::{Duration, Instant};

use fastrand::Rng;

/// No case takes longer; most take milliseconds.
const LONGEST: Duration = Duration::from_secs(60);
/// No case needs more memory than the largest batch, which is 1 GiB unpacked, and what is around it.
const MOST_MEMORY_KIB: u64 = 3 << 20;

/// Runs cases: so many, or as long as the environment says. Each has its own randomness.
fn cases(usually: u64, mut case: impl FnMut(&mut Rng)) {
    let number = |variable: &str| std::env::var(variable).ok().map(|text| text.parse::<u64>().expect("a number"));
    let seed = number("CAURI_SEED").unwrap_or(1);
    let time = number("CAURI_FUZZ_SECONDS").map(Duration::from_secs);
    let began = Instant::now();
    let mut made = 0;
    while time.map_or(made < usually, |time| began.elapsed() < time) {
        let named = Named(seed.wrapping_add(made));
        let started = Instant::now();
        case(&mut Rng::with_seed(named.0));
        assert!(started.elapsed() < LONGEST, "the case took {:?}", started.elapsed());
        made += 1;
    }
    let _whole = Named(seed);
    let most = most_memory();
    assert!(most < MOST_MEMORY_KIB, "{most} KiB of memory were used");
    println!("{made} cases");
}

/// Names the case that a panic comes from.
struct Named(u64);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the case is CAURI_SEED={}", self.0);
        }
    }
}

/// The most memory that this process ever had, in KiB.
fn most_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")).and_then(|number| number.parse().ok()).unwrap_or(0)
}
