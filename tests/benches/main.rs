//! Benchmarks: each beside the peer or raw limit that it is measured against, in one run.
//! `cargo xtask bench [NAME …]` runs them; figures go to `docs/performance.md`.

mod beside;
mod bulk;
mod cold;
mod growth;
mod http;
mod load;
mod measure;
mod memory;
mod pauses;
mod read_side;
mod single;
mod soak;
mod start_up;
mod visible;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BENCHMARKS: &[(&str, fn())] = &[
    ("bulk", bulk::run),
    ("single", single::run),
    ("cold", cold::run),
    ("http", http::run),
    ("start-up", start_up::run),
    ("read-side", read_side::run),
    ("visible", visible::run),
    ("memory", memory::run),
    ("pauses", pauses::run),
    ("growth", growth::run),
    ("soak", soak::run),
];

/// Those that need a program which is not Cauri's: run when they are named.
const NAMED_ONLY: &[(&str, fn())] = &[("beside", beside::run)];

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let all = || BENCHMARKS.iter().chain(NAMED_ONLY);
    if let Some(unknown) = wanted.iter().find(|name| all().all(|(known, _)| known != name)) {
        let names: Vec<&str> = all().map(|(name, _)| *name).collect();
        eprintln!("`{unknown}` is no benchmark; there are {}", names.join(", "));
        std::process::exit(2);
    }
    let named_only = |name: &str| NAMED_ONLY.iter().any(|(named, _)| *named == name);
    for (name, run) in all() {
        if (wanted.is_empty() && !named_only(name)) || wanted.iter().any(|wanted| wanted == name) {
            run();
        }
    }
}
