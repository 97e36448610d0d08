//! TigerBeetle's own benchmark in turns with the same load on Cauri: `TIGERBEETLE=/path/to/tigerbeetle` says where it is.
//!
//! Each measures itself, and each is durable before it answers. TigerBeetle's client and server are two processes and speak
//! its protocol; Cauri's engine is called in this one, but for single entries, which go over HTTP.

use std::process::{Command, exit};

use cauri_engine::{EngineConfig, MAX_COMMANDS};

use crate::http::{Served, bodies, client, drive, server};
use crate::load::Bench;
use crate::measure::{self, Subject, side_by_side};

/// Accounts on both sides.
const ACCOUNTS: u64 = 10_000;
/// Callers with one entry at a time.
const CALLERS: usize = 32;

pub fn run() {
    let Some(tigerbeetle) = std::env::var_os("TIGERBEETLE") else {
        eprintln!("beside: TIGERBEETLE is not set; it is the path of TigerBeetle's binary, as its source builds it (zig build -Drelease)");
        exit(2);
    };
    let entries = measure::number("BENCH_ENTRIES", 2_000_000);
    let singles = measure::number("BENCH_SINGLES", 20_000);
    let dir = tempfile::tempdir().expect("a directory");
    // What it accepted a second, as it prints it. Its data file is made anew in each round.
    let its_own = |arguments: &[String]| {
        let ran = Command::new(&tigerbeetle)
            .current_dir(dir.path())
            .args(["benchmark", "--query-count=0", &format!("--account-count={ACCOUNTS}")])
            .args(arguments)
            .output();
        let output = ran.unwrap_or_else(|error| panic!("{} does not run: {error}", tigerbeetle.display()));
        let text = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
        let accepted = text.lines().find_map(|line| line.strip_prefix("load accepted = ")?.strip_suffix(" tx/s")?.parse().ok());
        accepted.unwrap_or_else(|| panic!("no rate in what TigerBeetle printed: {text}"))
    };
    let batches = |count: usize, size: usize| [format!("--transfer-count={count}"), format!("--transfer-batch-count={size}")];
    let ours = |bench: &mut Bench, count: usize, size: usize, hot: bool| {
        let batches = (0..count / size).map(|_| bench.entries(size, hot)).collect();
        bench.submit(batches)
    };
    for (title, count, size, hot) in [
        ("Beside TigerBeetle: batches of 8,189", entries, MAX_COMMANDS, false),
        ("Beside TigerBeetle: batches of 8,189, one hot account in each entry", entries, MAX_COMMANDS, true),
        ("Beside TigerBeetle: batches of 100", entries / 10, 100, false),
    ] {
        let mut bench = Bench::with_accounts(ACCOUNTS, EngineConfig::default());
        let mut arguments = batches(count, size).to_vec();
        arguments.extend(hot.then(|| "--account-count-hot=1".to_owned()));
        side_by_side(
            title,
            &mut [
                Subject::new("TigerBeetle", "transfers/s", || its_own(&arguments)),
                Subject::new("Cauri", "entries/s", || ours(&mut bench, count, size, hot)),
            ],
        );
    }
    let bench = Bench::with_accounts(ACCOUNTS, EngineConfig::default());
    let (server, client) = (server(), client());
    let Served { address, token } = Served::start(&bench, &server);
    let mut random = fastrand::Rng::with_seed(11);
    let mut arguments = batches(singles / 10, 1).to_vec();
    arguments.push(format!("--clients={CALLERS}"));
    side_by_side(
        "Beside TigerBeetle: single entries of 32 callers, Cauri's over HTTP",
        &mut [
            Subject::new("TigerBeetle", "transfers/s", || its_own(&arguments)),
            Subject::new("Cauri", "entries/s", || {
                let bodies = bodies(&mut random, singles);
                client.block_on(drive(address, &token, &bodies, &mut Vec::new()))
            }),
        ],
    );
}
