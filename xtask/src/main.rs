//! Repository chores: test, fuzz, tidy, bench, freeze. Run as `cargo xtask NAME`.

mod fuzz;
mod needs;
mod tidy;

use std::process::{Command, ExitCode};

use clap::{Parser, Subcommand};

/// Chores of the Cauri repository.
#[derive(Parser)]
#[command(name = "cargo xtask", version, about)]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Runs every test, after installing what they need (Node.js, npm, Python 3, Chromium on Debian as root).
    Test {
        /// Passed on to `cargo test`, for example `-p cauri-domain`; tidy and all crates without it.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Runs the random suites on fresh seeds, in turn, until the time is up; all of them, or those that are named.
    ///
    /// A failure is printed with its seed and the command that repeats it; the run goes on, and ends with an error.
    Fuzz {
        /// For how long; what has begun is ended.
        #[arg(long, value_parser = clap::value_parser!(u64).range(1..=100_000))]
        minutes: u64,
        /// Builds without optimisation: quicker to build, slower to run.
        #[arg(long)]
        dev: bool,
        /// Names of suites, as in the table of `xtask/src/fuzz.rs`.
        names: Vec<String>,
    },
    /// Checks what no compiler checks: what may depend on what, licences, names, documents.
    Tidy,
    /// Runs the benchmarks and prints figures and ratios; takes names of benchmarks, all without any.
    Bench {
        /// Names of benchmarks.
        names: Vec<String>,
    },
    /// Freezes samples and schemas of event types and versions that are new; never changes an old one.
    Freeze,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().chore {
        Chore::Test { arguments } => test(&arguments),
        Chore::Fuzz { minutes, dev, names } => fuzz::run(minutes, dev, &names),
        Chore::Tidy => tidy::check(),
        Chore::Bench { names } => bench(&names),
        Chore::Freeze => cargo(&["run", "--release", "--package", "cauri-event-schemas", "--example", "freeze"]),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("xtask: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn test(arguments: &[String]) -> Result<(), String> {
    if !arguments.is_empty() {
        let mut all = vec!["test", "--release"];
        all.extend(arguments.iter().map(String::as_str));
        return cargo(&all);
    }
    tidy::check()?;
    needs::install()?;
    // Stories and crash tests run the real binaries.
    // The whole workspace, because cargo then compiles dependencies with the features that the tests use.
    cargo(&["build", "--release", "--workspace", "--bins"])?;
    cargo(&["test", "--release", "--workspace"])
}

fn bench(names: &[String]) -> Result<(), String> {
    let mut all = vec!["run", "--release", "--package", "cauri-tests", "--bin", "cauri-bench", "--"];
    all.extend(names.iter().map(String::as_str));
    cargo(&all)
}

/// Runs cargo with the output of the caller.
fn cargo(arguments: &[&str]) -> Result<(), String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    eprintln!("$ cargo {}", arguments.join(" "));
    run(Command::new(cargo).args(arguments))
}

fn run(command: &mut Command) -> Result<(), String> {
    let status = command.status().map_err(|error| format!("cannot run {command:?}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?} ended with {status}")) }
}
