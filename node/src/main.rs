//! Entry point of `cauri`: parses, sets up the log, and runs a subcommand.

use std::process::ExitCode;

use cauri_node::config::{Cauri, Command, LogFormat, LogOptions};
use cauri_node::{Failed, config, demo, load, serve, token};
use clap::Parser;
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cauri = Cauri::parse();
    match run(cauri) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("cauri: {error}");
            let mut source = error.source();
            while let Some(error) = source {
                eprintln!("  because {error}");
                source = error.source();
            }
            ExitCode::FAILURE
        }
    }
}

fn run(cauri: Cauri) -> Result<ExitCode, Failed> {
    log(&cauri.log)?;
    match cauri.command {
        Command::Serve(options) => serve::run(&options),
        Command::Demo(options) => demo::run(&options),
        Command::Load(options) => load::run(&options),
        Command::Token(options) => token::run(&options),
        Command::Config(options) => config::run(&options),
    }
}

fn log(options: &LogOptions) -> Result<(), Failed> {
    let filter = EnvFilter::try_new(&options.log).map_err(|error| format!("--log {:?} is no filter: {error}", options.log))?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match options.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
    Ok(())
}
