//! The long run of the random tests: every suite in turn, each time on a seed that was never used before.
//!
//! `cargo xtask test` runs the same suites on fixed seeds, so that it fails always or never. Here chance is wanted: what
//! it finds is printed with its seed and the command that repeats it, and becomes a test with a name.

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::tidy::root;

/// What a `proptest!` suite takes its seed from.
const PROPTEST: &str = "PROPTEST_RNG_SEED";
/// What the other random suites take their seed from.
const CAURI: &str = "CAURI_SEED";

/// Every random suite of the workspace: name, file, target (`lib` or a test target), filters, variable of the seed.
/// A new one is a line here. `cargo xtask tidy` finds files that draw at random and are not listed.
const SUITES: &[(&str, &str, &str, &str, &str)] = &[
    ("model", "domain/tests/model/mod.rs", "rules", "model::", PROPTEST),
    ("sets", "domain/tests/account_sets.rs", "rules", "account_sets::", PROPTEST),
    ("chunks", "domain/src/fold/chunks.rs", "lib", "fold::chunks::", PROPTEST),
    ("instants", "domain/tests/time.rs", "rules", "time::", PROPTEST),
    ("money", "domain/tests/money.rs", "rules", "money::", PROPTEST),
    ("records", "event-schemas/tests/records.rs", "stored", "records::", PROPTEST),
    ("canonical", "event-schemas/tests/canonical.rs", "stored", "canonical::", PROPTEST),
    ("merkle", "event-store/src/merkle.rs", "lib", "merkle::", PROPTEST),
    ("inflight", "engine/src/in_flight.rs", "lib", "in_flight::", CAURI),
    ("failures", "engine/tests/behaviour/failures.rs", "behaviour", "failures::whatever_fails", CAURI),
    ("recovery", "engine/tests/behaviour/recovery.rs", "behaviour", "recovery::a_snapshot_and_the_tail", CAURI),
    ("sharing", "engine/tests/behaviour/sharing.rs", "behaviour", "sharing::engines_that_collide", CAURI),
    ("read", "projections/src/read/tests.rs", "lib", "read::tests::", PROPTEST),
    ("sums", "projections/src/accounts/tests.rs", "lib", "accounts::tests::", PROPTEST),
    ("lists", "projections/tests/read_models/lists.rs", "read_models", "lists::", CAURI),
    ("hot", "projections/tests/read_models/hot_account.rs", "read_models", "hot_account::", CAURI),
    ("rebuild", "projections/tests/read_models/rebuild.rs", "read_models", "rebuild::", CAURI),
    ("reading", "replay-tools/src/reading/tests.rs", "lib", "reading::tests::", PROPTEST),
    ("audit", "replay-tools/tests/engine.rs", "engine", "whatever_the_engine_writes", PROPTEST),
    ("damage", "replay-tools/tests/damage.rs", "damage", "a_flipped_bit", PROPTEST),
    ("lockstep", "tests/simulation/lockstep.rs", "simulation", "one_caller", CAURI),
    ("callers", "tests/simulation/threads.rs", "simulation", "many_callers", CAURI),
    ("quotes", "tests/simulation/market.rs", "simulation", "a_market", CAURI),
    ("import", "import/src/key.rs", "lib", "key::", PROPTEST),
    ("readback", "tests/fuzz/main.rs", "fuzz", "", CAURI),
    ("images", "crash-images/tests/embedded_store.rs", "embedded_store", "", CAURI),
    ("powercut", "crash-images/tests/engine_and_read_models.rs", "engine_and_read_models", "", CAURI),
    ("crash", "tests/crash/main.rs", "crash", "what_was_acknowledged", CAURI),
    ("feeds", "tests/crash/market.rs", "crash", "quotes_that", CAURI),
];

/// A quick suite is repeated with further seeds for so long before it is the next one's turn.
const TURN: Duration = Duration::from_secs(10);

/// A run that takes longer hangs, which is a finding as well.
const LONGEST: Duration = Duration::from_secs(900);

/// A suite and its program.
struct Suite {
    name: &'static str,
    folder: &'static str,
    target: &'static str,
    filters: &'static str,
    variable: &'static str,
    program: PathBuf,
    seeds: u64,
    took: Duration,
    failures: u64,
}

/// Files that draw at random and are listed above.
pub fn files() -> impl Iterator<Item = &'static str> {
    SUITES.iter().map(|(_, file, ..)| *file)
}

/// Runs the named suites, or all, in turn until the time is up. A failure does not end the run; it makes it fail.
pub fn run(minutes: u64, dev: bool, names: &[String]) -> Result<(), String> {
    let profile = if dev { "dev" } else { "release" };
    let mut suites = build(names, profile)?;
    let logs = root().join("target").join("fuzz");
    std::fs::create_dir_all(&logs).map_err(|error| format!("cannot make {}: {error}", logs.display()))?;
    let (start, time) = (Instant::now(), Duration::from_secs(minutes * 60));
    'rounds: loop {
        for suite in &mut suites {
            let turn = Instant::now();
            loop {
                suite.one_seed(&logs, profile)?;
                if turn.elapsed() >= TURN || start.elapsed() >= time {
                    break;
                }
            }
            eprintln!("fuzz: {} at {} of {} s: {} seeds so far", suite.name, start.elapsed().as_secs(), time.as_secs(), suite.seeds);
            if start.elapsed() >= time {
                break 'rounds;
            }
        }
    }
    eprintln!("{:>10} {:>8} {:>8} {:>8}", "suite", "seeds", "seconds", "failed");
    for suite in &suites {
        eprintln!("{:>10} {:>8} {:>8} {:>8}", suite.name, suite.seeds, suite.took.as_secs(), suite.failures);
    }
    match suites.iter().map(|suite| suite.failures).sum::<u64>() {
        0 => Ok(()),
        failures => Err(format!("{failures} seeds failed; their output is in {}", logs.display())),
    }
}

/// Builds the tests once, and finds the program of each suite.
fn build(names: &[String], profile: &str) -> Result<Vec<Suite>, String> {
    let known = || SUITES.iter().map(|(name, ..)| *name).collect::<Vec<_>>().join(", ");
    if let Some(unknown) = names.iter().find(|name| SUITES.iter().all(|(known, ..)| known != name)) {
        return Err(format!("there is no random suite `{unknown}`; there are {}", known()));
    }
    let chosen: Vec<_> = SUITES.iter().filter(|(name, ..)| names.is_empty() || names.iter().any(|chosen| chosen == name)).collect();
    let mut arguments = vec!["test", "--no-run", "--message-format=json-render-diagnostics", "--profile", profile];
    let packages: Vec<String> = chosen.iter().map(|(_, file, ..)| format!("--package=cauri-{}", folder(file))).collect();
    if names.is_empty() {
        arguments.push("--workspace");
    } else {
        arguments.extend(packages.iter().map(String::as_str));
    }
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    eprintln!("$ cargo {}", arguments.join(" "));
    let output = Command::new(cargo).args(&arguments).current_dir(root()).stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| format!("cannot run cargo: {error}"))?;
    if !output.status.success() {
        return Err(format!("the tests do not build: cargo ended with {}", output.status));
    }
    let built: Vec<Value> = output.stdout.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
    let suite = |&&(name, file, target, filters, variable): &&(&'static str, &'static str, &'static str, &'static str, &'static str)| {
        let manifest = root().join(folder(file)).join("Cargo.toml");
        let is_it = |artifact: &&Value| {
            let described = &artifact["target"];
            artifact["profile"]["test"] == true
                && artifact["manifest_path"].as_str().is_some_and(|path| Path::new(path) == manifest)
                && if target == "lib" {
                    described["kind"][0] == "lib"
                } else {
                    described["kind"][0] == "test" && described["name"] == target
                }
        };
        let program = built.iter().find(is_it).and_then(|artifact| artifact["executable"].as_str());
        let program = program.ok_or_else(|| format!("{file} has no test program `{target}`: correct its line in xtask/src/fuzz.rs"))?;
        let program = PathBuf::from(program);
        Ok(Suite { name, folder: folder(file), target, filters, variable, program, seeds: 0, took: Duration::ZERO, failures: 0 })
    };
    chosen.iter().map(suite).collect()
}

fn folder(file: &str) -> &str {
    file.split('/').next().unwrap_or_default()
}

impl Suite {
    fn one_seed(&mut self, logs: &Path, profile: &str) -> Result<(), String> {
        // Short enough to be read aloud; the standard library draws it from the system.
        let seed = RandomState::new().hash_one(self.seeds) % 1_000_000_000;
        let log = logs.join(format!("{}-{seed}.log", self.name));
        let start = Instant::now();
        let ended = self.ended(seed, &log)?;
        self.seeds += 1;
        self.took += start.elapsed();
        let output = std::fs::read_to_string(&log).unwrap_or_default();
        // A filter that matches no test would pass for ever.
        let why = match ended {
            None => format!("did not end within {} s and was killed", LONGEST.as_secs()),
            Some(status) if !status.success() => format!("failed with {status}"),
            Some(_) if output.contains("running 0 tests") => return Err(format!("no test of {} matches `{}`", self.target, self.filters)),
            Some(_) => {
                let _ = std::fs::remove_file(&log);
                return Ok(());
            }
        };
        self.failures += 1;
        let lines: Vec<&str> = output.lines().collect();
        eprintln!("{}", lines[lines.len().saturating_sub(40)..].join("\n"));
        let target = if self.target == "lib" { "--lib".to_owned() } else { format!("--test {}", self.target) };
        let profile = if profile == "release" { " --release" } else { "" };
        eprintln!("fuzz: {} {why} on seed {seed}; all it said is in {}; once more:", self.name, log.display());
        let (variable, folder, filters) = (self.variable, self.folder, self.filters);
        eprintln!("    {variable}={seed} cargo test{profile} -p cauri-{folder} {target} -- {filters}");
        Ok(())
    }

    /// How the suite ended on a seed; `None` if it did not, and was killed.
    fn ended(&self, seed: u64, log: &Path) -> Result<Option<ExitStatus>, String> {
        let cannot = |error: std::io::Error| format!("cannot run {}: {error}", self.program.display());
        let folder = root().join(self.folder);
        let output = File::create(log).map_err(cannot)?;
        let mut child = Command::new(&self.program)
            .args(self.filters.split_whitespace())
            .current_dir(&folder)
            .env("CARGO_MANIFEST_DIR", &folder)
            .env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "1")
            .env(self.variable, seed.to_string())
            .stdin(Stdio::null())
            .stdout(output.try_clone().map_err(cannot)?)
            .stderr(output)
            .spawn()
            .map_err(cannot)?;
        let start = Instant::now();
        loop {
            if let Some(status) = child.try_wait().map_err(cannot)? {
                return Ok(Some(status));
            }
            if start.elapsed() > LONGEST {
                child.kill().map_err(cannot)?;
                child.wait().map_err(cannot)?;
                return Ok(None);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
