//! The entry point of `cauri`: reads the command line, calls the subcommand, says what went wrong.

use std::process::ExitCode;

use cauri_node::config::{Cli, Command};
use cauri_node::{config, demo, load, serve, token};
use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let done = match &cli.command {
        Command::Serve(args) => serve::run(args).map(|()| ExitCode::SUCCESS),
        Command::Demo(args) => demo::run(args).map(|()| ExitCode::SUCCESS),
        Command::Load(args) => load::run(args),
        Command::Token(args) => token::run(args).map(|()| ExitCode::SUCCESS),
        Command::Config(args) => config::show::run(args).map(|()| ExitCode::SUCCESS),
    };
    done.unwrap_or_else(|error| {
        eprintln!("cauri: {error}");
        let mut cause = error.source();
        while let Some(because) = cause {
            eprintln!("  because: {because}");
            cause = because.source();
        }
        ExitCode::FAILURE
    })
}
