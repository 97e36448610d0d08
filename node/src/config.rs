//! Configuration: command-line options, each with its environment variable, and their reference page.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use cauri_command_api::auth::role::Role;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use crate::Failed;

/// Cauri: an event-sourced ledger engine.
#[derive(Parser, Debug)]
#[command(name = "cauri", version)]
pub struct Cauri {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// How to log.
    #[command(flatten)]
    pub log: LogOptions,
}

/// What `cauri` does.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Serve REST, GraphQL and GraphiQL
    Serve(ServeOptions),
    /// Run a realistic day of commands, show what came of it, and serve it
    Demo(DemoOptions),
    /// Send a file of commands to a running server
    Load(LoadOptions),
    /// Print a token of the development issuer
    Token(TokenOptions),
    /// Print the effective configuration of `serve`, or the reference of all options
    Config(ConfigOptions),
}

/// How to log.
#[derive(Args, Debug)]
pub struct LogOptions {
    /// What to log, on standard error: a level, or a filter such as `info,cauri_engine=debug`
    #[arg(long, env = "CAURI_LOG", default_value = "warn", global = true)]
    pub log: String,
    /// As text for people, or as JSON, one line an event
    #[arg(long, env = "CAURI_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text, global = true)]
    pub log_format: LogFormat,
}

/// The form of the log.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// Where everything is kept.
#[derive(Args, Clone, Debug)]
pub struct DataOptions {
    /// The directory of journals, read models and the development issuer
    #[arg(long, env = "CAURI_DATA", default_value = "./cauri-data")]
    pub data: PathBuf,
}

impl DataOptions {
    /// The directory of the ledger's journal.
    pub fn journal(&self) -> PathBuf {
        self.data.join("journals").join(LEDGER)
    }

    /// The file of the ledger's read models.
    pub fn read_models(&self) -> PathBuf {
        self.data.join("read-models").join(format!("{LEDGER}.sqlite"))
    }
}

/// The name of the one journal that a node has today.
pub const LEDGER: &str = "ledger";

/// Options of `serve`.
#[derive(Args, Clone, Debug)]
pub struct ServeOptions {
    /// Where everything is kept.
    #[command(flatten)]
    pub data: DataOptions,
    /// Address and port to listen on
    #[arg(long, env = "CAURI_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: String,
    /// Who may ask.
    #[command(flatten)]
    pub trust: TrustOptions,
    /// Commands that may wait before more are answered with 503
    #[arg(long, env = "CAURI_QUEUE_CAPACITY", default_value_t = 65_536)]
    pub queue_capacity: usize,
    /// How many days ahead an entry may be dated
    #[arg(long, env = "CAURI_MAX_FUTURE_DAYS", default_value_t = 7)]
    pub max_future_days: u32,
    /// Events between two snapshots of the decision state
    #[arg(long, env = "CAURI_SNAPSHOT_EVERY", default_value_t = 250_000)]
    pub snapshot_every: u64,
    /// Events that read models may lag behind before `/readyz` says no
    #[arg(long, env = "CAURI_READY_LAG", default_value_t = 100_000)]
    pub ready_lag: u64,
}

/// Whose tokens are taken.
#[derive(Args, Clone, Debug)]
pub struct TrustOptions {
    /// Key set (JWKS) of the token issuer: a file or an http(s) address. Without it, a development issuer in the data directory
    #[arg(long, env = "CAURI_JWKS")]
    pub jwks: Option<String>,
    /// The issuer that tokens must name
    #[arg(long, env = "CAURI_ISSUER", default_value = "cauri-dev")]
    pub issuer: String,
    /// The audience that tokens must name
    #[arg(long, env = "CAURI_AUDIENCE", default_value = "cauri")]
    pub audience: String,
}

/// Options of `demo`.
#[derive(Args, Clone, Debug)]
pub struct DemoOptions {
    /// How to serve afterwards.
    #[command(flatten)]
    pub serve: ServeOptions,
    /// How many commands the day has
    #[arg(long, default_value_t = 300_000)]
    pub commands: usize,
    /// Another seed, another day
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Stop after the summary
    #[arg(long)]
    pub exit: bool,
}

/// Options of `load`.
#[derive(Args, Clone, Debug)]
pub struct LoadOptions {
    /// Commands, one JSON object a line, as `/v1/bulk` takes them; with `--paysim`, a CSV file in PaySim's layout
    pub file: PathBuf,
    /// The file is in the layout of the public PaySim set
    #[arg(long)]
    pub paysim: bool,
    /// Currency of PaySim's amounts, which name none; it must have two digits after the point
    #[arg(long, default_value = "EUR")]
    pub currency: String,
    /// The server
    #[arg(long, env = "CAURI_URL", default_value = "http://127.0.0.1:8080")]
    pub url: String,
    /// A token with the role operator; one of the development issuer in `--data` without it
    #[arg(long, env = "CAURI_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// The data directory whose development issuer makes the token.
    #[command(flatten)]
    pub data: DataOptions,
    /// Commands in one request, at most 8189
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u16).range(1..=8_189))]
    pub batch: u16,
    /// Each request's commands all or none
    #[arg(long)]
    pub atomic: bool,
}

/// Options of `token`.
#[derive(Args, Clone, Debug)]
pub struct TokenOptions {
    /// The data directory of the development issuer.
    #[command(flatten)]
    pub data: DataOptions,
    /// What its bearer may do: admin, operator, auditor or reader
    #[arg(long, default_value = "operator")]
    pub role: Role,
    /// Who its bearer is, as records will say
    #[arg(long, default_value = "developer")]
    pub subject: String,
    /// How long it is good: 30m, 8h, 7d
    #[arg(long, default_value = "8h", value_parser = token_life)]
    pub ttl: std::time::Duration,
}

/// Options of `config`.
#[derive(Args, Clone, Debug)]
pub struct ConfigOptions {
    /// Print the reference of all options instead
    #[arg(long)]
    pub markdown: bool,
    /// What `serve` would do.
    #[command(flatten)]
    pub serve: ServeOptions,
}

fn token_life(text: &str) -> Result<std::time::Duration, String> {
    let wrong = || format!("`{text}` is no span such as 30m, 8h or 7d");
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    number.checked_mul(seconds).filter(|seconds| (1..=31_536_000).contains(seconds)).map(std::time::Duration::from_secs).ok_or_else(wrong)
}

/// Prints what `serve` would do, or the reference page.
pub fn run(options: &ConfigOptions) -> Result<ExitCode, Failed> {
    if options.markdown {
        print!("{}", markdown());
    } else {
        println!("{:#?}", options.serve);
    }
    Ok(ExitCode::SUCCESS)
}

/// The reference of all options, from their definitions.
pub fn markdown() -> String {
    let mut page = String::from(
        "# Configuration\n\n\
         Written from the definitions by `cauri config --markdown`; a test compares them. An option wins over its\n\
         environment variable, which wins over the default.\n",
    );
    let command = Cauri::command();
    section(&mut page, "Every command", command.get_arguments().filter(|argument| argument.is_global_set()));
    for sub in command.get_subcommands() {
        let about = sub.get_about().map(ToString::to_string).unwrap_or_default();
        let title = format!("`cauri {}`", sub.get_name());
        section(&mut page, &format!("{title}\n\n{about}."), sub.get_arguments());
    }
    page
}

fn section<'a>(page: &mut String, title: &str, arguments: impl Iterator<Item = &'a clap::Arg>) {
    let _ = write!(page, "\n## {title}\n\n| option | environment | default | meaning |\n|---|---|---|---|\n");
    for argument in arguments {
        let name = match argument.get_long() {
            Some(long) => format!("`--{long}`"),
            None => format!("`{}`", argument.get_id().as_str().to_uppercase()),
        };
        let environment = argument.get_env().map(|name| format!("`{}`", name.to_string_lossy())).unwrap_or_default();
        let takes_value = argument.get_action().takes_values();
        let defaults: Vec<String> = argument.get_default_values().iter().map(|value| format!("`{}`", value.to_string_lossy())).collect();
        let default = if takes_value { defaults.join(" ") } else { String::new() };
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(page, "| {name} | {environment} | {default} | {help} |");
    }
}
