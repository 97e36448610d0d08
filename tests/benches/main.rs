//! Benchmarks: each beside the peer or raw limit that it is measured against, in one run.
//! `cargo xtask bench [NAME …]` runs them; figures go to `docs/performance.md`.

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

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const BENCHMARKS: &[(&str, fn())] = &[
    ("bulk", bulk::run),
    ("single", single::run),
    ("cold", cold::run),
    ("http", http::run),
    ("start-up", start_up::run),
    ("read-side", read_side::run),
    ("memory", memory::run),
    ("pauses", pauses::run),
    ("growth", growth::run),
    ("soak", soak::run),
];

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    if let Some(unknown) = wanted.iter().find(|name| BENCHMARKS.iter().all(|(known, _)| known != name)) {
        let names: Vec<&str> = BENCHMARKS.iter().map(|(name, _)| *name).collect();
        eprintln!("`{unknown}` is no benchmark; there are {}", names.join(", "));
        std::process::exit(2);
    }
    for (name, run) in BENCHMARKS {
        if wanted.is_empty() || wanted.iter().any(|wanted| wanted == name) {
            run();
        }
    }
}
