//! What can be set, on the command line and in the environment; `docs/reference/configuration.md` is made from this.

pub mod show;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use cauri_command_api::HttpLimits;
use cauri_domain::account_set::SetName;
use cauri_domain::ids::AccountAddress;
use cauri_domain::money::Currency;
use cauri_engine::EngineConfig;
use cauri_http::auth::role::Role;
use cauri_http::auth::token::Trust;
use cauri_http::origin::Origin;
use cauri_import::source::SourceName;
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::listener::Bounds;

/// The most commands that one submission may have.
const MAX_COMMANDS: usize = 8_189;

/// An event-sourced ledger: commands over HTTP, read models over GraphQL, one directory, no other server.
#[derive(Debug, Parser)]
#[command(name = "cauri", version, propagate_version = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What `cauri` can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve a data directory on a port until told to stop (SIGTERM or SIGINT)
    Serve(ServeArgs),
    /// Write a day of business into an empty data directory, show what came of it, and serve it
    Demo(DemoArgs),
    /// Send a file of commands to a running server
    #[command(
        after_help = "Exit codes: 0 every command is in the journal; 1 loading did not begin or stopped; 3 lines are bad and nothing was \
        sent;\n4 commands were refused or not done; 5 bad lines were skipped; 6 without --source, some commands are new and some lines \
        were not done because equal ones had been loaded; 130 stopped by a signal"
    )]
    Load(LoadArgs),
    /// Print a token of the data directory's development issuer, and nothing else
    Token(TokenArgs),
    /// Print the configuration that `serve` would run with, and where each value comes from
    Config(ConfigArgs),
}

/// Options of `cauri serve`.
#[derive(Clone, Debug, Args)]
pub struct ServeArgs {
    /// The data directory
    #[command(flatten)]
    pub data: DataArgs,
    /// Where it listens and how much it takes
    #[command(flatten)]
    pub http: HttpArgs,
    /// Whose tokens it accepts
    #[command(flatten)]
    pub trust: TrustArgs,
    /// How the engine works
    #[command(flatten)]
    pub engine: EngineArgs,
    /// What it says while it works
    #[command(flatten)]
    pub log: LogArgs,
}

/// The data directory.
#[derive(Clone, Debug, Args)]
pub struct DataArgs {
    /// Directory of the journal, the read models and the development issuer; made if it is not there
    #[arg(long, env = "CAURI_DATA", default_value = "./cauri-data", value_name = "DIR")]
    pub data: PathBuf,
}

/// Where a node listens and how much it takes.
#[derive(Clone, Debug, Args)]
pub struct HttpArgs {
    /// Address and port to listen on
    #[arg(long, env = "CAURI_LISTEN", default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// Connections that may be open at one time, WebSockets included; for a further one the connection that has waited
    /// longest for a request is closed
    #[arg(long, env = "CAURI_MAX_CONNECTIONS", default_value_t = 4_096, value_name = "COUNT", value_parser = at_least_one)]
    pub max_connections: usize,
    /// Connections that may be open at one time from one IPv4 address or one IPv6 /64 network; behind a proxy, those of all
    /// its clients
    #[arg(long, env = "CAURI_MAX_CONNECTIONS_PER_PEER", default_value_t = 1_024, value_name = "COUNT", value_parser = at_least_one)]
    pub max_connections_per_peer: usize,
    /// Commands and bulk requests that have arrived and may be answered at one time; further ones are turned away with 503
    #[arg(long, env = "CAURI_MAX_REQUESTS", default_value_t = 2_048, value_name = "COUNT", value_parser = at_least_one)]
    pub max_requests: usize,
    /// GraphQL queries that have arrived and may be answered at one time, and as many reads of the REST API; further ones
    /// are turned away with 503
    #[arg(long, env = "CAURI_MAX_QUERIES", default_value_t = 1_024, value_name = "COUNT", value_parser = at_least_one)]
    pub max_queries: usize,
    /// Requests of one subject that may be answered at one time, arriving bodies included; further ones are turned away
    /// with 429
    #[arg(long, env = "CAURI_MAX_REQUESTS_PER_SUBJECT", default_value_t = 512, value_name = "COUNT", value_parser = at_least_one)]
    pub max_requests_per_subject: usize,
    /// Bulk requests of more than 64KiB that may be read and decided at one time; further ones wait
    #[arg(long, env = "CAURI_MAX_BULK_REQUESTS", default_value_t = 16, value_name = "COUNT", value_parser = at_least_one)]
    pub max_bulk_requests: usize,
    /// WebSocket connections that may be open at one time; further ones are turned away with 503
    #[arg(long, env = "CAURI_MAX_WEBSOCKETS", default_value_t = 1_024, value_name = "COUNT", value_parser = at_least_one)]
    pub max_websockets: usize,
    /// WebSocket connections of one subject that may be open at one time; further ones are closed with the code 4429
    #[arg(long, env = "CAURI_MAX_WEBSOCKETS_PER_SUBJECT", default_value_t = 128, value_name = "COUNT", value_parser = at_least_one)]
    pub max_websockets_per_subject: usize,
    /// Bytes of messages that may wait on one WebSocket connection for its client to take them, half of them in one answer;
    /// a client that has more waiting and takes nothing for a second is disconnected with the code 1013
    #[arg(long, env = "CAURI_WEBSOCKET_BUFFER", default_value = "2MiB", value_name = "SIZE", value_parser = size)]
    pub websocket_buffer: usize,
    /// Origin of web pages that may use /graphql, /graphql/ws and /v1 from a browser, such as `https://app.example`; may be
    /// given several times, in the variable separated by commas; none if absent
    #[arg(long, env = "CAURI_CORS_ORIGIN", value_name = "ORIGIN", value_delimiter = ',')]
    pub cors_origin: Vec<Origin>,
    /// Largest body of a request with one command
    #[arg(long, env = "CAURI_BODY_LIMIT", default_value = "1MiB", value_name = "SIZE", value_parser = size)]
    pub body_limit: usize,
    /// Largest body of a bulk request
    #[arg(long, env = "CAURI_BULK_LIMIT", default_value = "16MiB", value_name = "SIZE", value_parser = size)]
    pub bulk_limit: usize,
    /// Bytes of bodies of more than 64KiB that may be in memory at one time, half of them of one subject; further ones are
    /// turned away with 503
    #[arg(long, env = "CAURI_BODY_MEMORY", default_value = "256MiB", value_name = "SIZE", value_parser = size)]
    pub body_memory: usize,
    /// How long the head of a request may take to arrive: of a connection's first from its beginning, of others from their
    /// first byte
    #[arg(long, env = "CAURI_HEAD_TIMEOUT", default_value = "10s", value_name = "TIME", value_parser = time)]
    pub head_timeout: Duration,
    /// How long a connection may be idle between two requests
    #[arg(long, env = "CAURI_IDLE_TIMEOUT", default_value = "75s", value_name = "TIME", value_parser = time)]
    pub idle_timeout: Duration,
    /// How long a request's body may take to arrive, a command to be durable, and a client to take nothing of its answer
    #[arg(long, env = "CAURI_REQUEST_TIMEOUT", default_value = "30s", value_name = "TIME", value_parser = time)]
    pub request_timeout: Duration,
    /// How long requests that are being answered may go on after the signal to stop
    #[arg(long, env = "CAURI_SHUTDOWN_TIMEOUT", default_value = "20s", value_name = "TIME", value_parser = time)]
    pub shutdown_timeout: Duration,
    /// Events that the read models may be behind before /readyz says no
    #[arg(long, env = "CAURI_MAX_LAG", default_value_t = 100_000, value_name = "EVENTS")]
    pub max_lag: u64,
    /// Take commands that move money without an idempotency key, so that a request sent twice moves it twice: for trials,
    /// while listening on a loopback address
    #[arg(long, env = "CAURI_ALLOW_MISSING_KEYS")]
    pub allow_missing_keys: bool,
}

impl HttpArgs {
    /// The limits of the HTTP side.
    pub fn limits(&self) -> HttpLimits {
        HttpLimits {
            body_bytes: self.body_limit,
            bulk_bytes: self.bulk_limit,
            bulk_commands: MAX_COMMANDS,
            in_flight: self.max_requests,
            reads_in_flight: self.max_queries,
            bulk_in_flight: self.max_bulk_requests,
            body_memory: self.body_memory,
            time_out: self.request_timeout,
            keys_optional: self.allow_missing_keys,
        }
    }

    /// The bounds of connections, of which there may be `connections`.
    pub fn bounds(&self, connections: usize) -> Bounds {
        Bounds {
            connections,
            per_peer: self.max_connections_per_peer,
            head: self.head_timeout,
            idle: self.idle_timeout,
            untaken: self.request_timeout,
            ending: self.shutdown_timeout,
        }
    }
}

/// Whose tokens are accepted.
#[derive(Clone, Debug, Args)]
pub struct TrustArgs {
    /// Key set of the issuer: a file, or an http(s) address; the development issuer of the data directory if absent
    #[arg(long, env = "CAURI_JWKS", value_name = "FILE|URL")]
    pub jwks: Option<String>,
    /// What the `iss` of a token must be
    #[arg(long, env = "CAURI_ISSUER", default_value = "cauri-dev", value_name = "NAME", value_parser = issuer)]
    pub issuer: String,
    /// What the `aud` of a token must name
    #[arg(long, env = "CAURI_AUDIENCE", default_value = "cauri", value_name = "NAME")]
    pub audience: String,
    /// The claim of a token that tells callers apart: each has its idempotency keys for itself. Changing it makes every key
    /// that was used before look new
    #[arg(long, env = "CAURI_CALLER_CLAIM", default_value = "sub", value_name = "CLAIM")]
    pub caller_claim: String,
}

impl TrustArgs {
    /// Issuer and audience.
    pub fn trust(&self) -> Trust {
        Trust { issuer: self.issuer.clone(), audience: self.audience.clone(), caller_claim: self.caller_claim.clone() }
    }
}

/// How the engine works.
#[derive(Clone, Debug, Args)]
pub struct EngineArgs {
    /// Commands that may wait before more are turned away with 503, an entry counting as many as it has transfers; at
    /// least as many as one bulk request has
    #[arg(long, env = "CAURI_QUEUE_CAPACITY", default_value_t = 65_536, value_name = "COMMANDS", value_parser = queue)]
    pub queue_capacity: usize,
    /// Events between two snapshots of the decision state; more means a slower start after a crash
    #[arg(long, env = "CAURI_SNAPSHOT_EVERY", default_value_t = 250_000, value_name = "EVENTS")]
    pub snapshot_every: u64,
    /// Accept the time between the last record and this start, if it is more than the journal's rules allow, 7 days where nobody changed them: check the machine's clock first.
    /// For one start, so there is no variable for it
    #[arg(long)]
    pub accept_clock_gap: bool,
    /// Free space that is kept for the journal: while less is free, read models, look-up index and snapshots are not
    /// written; at most an eighth of the file system is kept, 0 keeps nothing
    #[arg(long, env = "CAURI_DISK_RESERVE", default_value = "256MiB", value_name = "SIZE", value_parser = reserve)]
    pub disk_reserve: u64,
}

impl EngineArgs {
    /// The engine's configuration, with the machine's clock.
    pub fn config(&self) -> EngineConfig {
        EngineConfig {
            queue_capacity: self.queue_capacity,
            snapshot_every: self.snapshot_every,
            accept_clock_gap: self.accept_clock_gap,
            ..EngineConfig::default()
        }
    }
}

/// What a node says while it works. It goes to standard error.
#[derive(Clone, Debug, Args)]
pub struct LogArgs {
    /// What is logged: a level, or a filter such as `info,cauri_engine=debug`
    #[arg(long, env = "CAURI_LOG", default_value = "info", value_name = "FILTER")]
    pub log: String,
    /// For people, or one JSON document a line
    #[arg(long, env = "CAURI_LOG_FORMAT", default_value = "text", value_name = "FORMAT")]
    pub log_format: LogFormat,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people
    Text,
    /// For machines
    Json,
}

/// Options of `cauri demo`.
#[derive(Clone, Debug, Args)]
pub struct DemoArgs {
    /// Commands of the day
    #[arg(long, default_value_t = 300_000, value_name = "COUNT", value_parser = day_length)]
    pub commands: usize,
    /// Another seed is another day; the same seed and count are the same journal to the last byte
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    pub seed: u64,
    /// End after the summary instead of serving
    #[arg(long)]
    pub exit: bool,
    /// Everything that `serve` takes
    #[command(flatten)]
    pub serve: ServeArgs,
}

/// Options of `cauri load`.
#[derive(Clone, Debug, Args)]
pub struct LoadArgs {
    /// Commands, one JSON object a line, as the items of POST /v1/bulk
    #[arg(value_name = "FILE.ndjson", required_unless_present = "paysim", conflicts_with = "paysim")]
    pub file: Option<PathBuf>,
    /// A file of PaySim instead: mobile-money transactions as CSV
    #[arg(long, value_name = "FILE.csv")]
    pub paysim: Option<PathBuf>,
    /// Currency of a PaySim file, which names none; its amounts have two decimals and are rounded (half to even) where the currency has fewer
    #[arg(long, default_value = "USD", value_name = "CODE")]
    pub currency: Currency,
    /// The server
    #[arg(long, env = "CAURI_URL", default_value = "http://127.0.0.1:8080", value_name = "URL")]
    pub url: String,
    /// A token with the role operator or admin; one of the data directory's development issuer if absent
    #[arg(long, env = "CAURI_TOKEN", value_name = "TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// Where the development issuer is, if no token is given
    #[command(flatten)]
    pub data: DataArgs,
    /// What that issuer signs for
    #[command(flatten)]
    pub trust: TrustArgs,
    /// Commands a request
    #[arg(long, default_value_t = 1_000, value_name = "COUNT", value_parser = batch)]
    pub batch: usize,
    /// Each request all or none
    #[arg(long)]
    pub atomic: bool,
    /// What the file comes from, such as a bank or a provider: 1 to 64 letters, digits, `.`, `_`, `-`. Lines without a key get one of their content, good in the idempotency scope import/NAME. If absent: `default` where no line has a key, the caller's own scope where all have one
    #[arg(long, value_name = "NAME")]
    pub source: Option<SourceName>,
    /// Send the rest of a file with bad lines; without this, nothing is sent
    #[arg(long)]
    pub skip_bad: bool,
    /// Send anew what earlier loads of the file left in FILE.refused.ndjson, with new keys
    #[arg(long, conflicts_with_all = ["source", "skip_bad", "atomic"])]
    pub retry_refused: bool,
    /// Where refused commands are kept, instead of FILE.refused.ndjson
    #[arg(long, value_name = "FILE")]
    pub refused: Option<PathBuf>,
    /// Read and check everything, say what would be sent, and send nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Options of `cauri token`.
#[derive(Clone, Debug, Args)]
pub struct TokenArgs {
    /// What the token allows: admin, operator, auditor or reader; may be given several times
    #[arg(long, required = true, value_name = "ROLE")]
    pub role: Vec<Role>,
    /// Who it is for; this name stands in the journal
    #[arg(long, default_value = "developer", value_name = "NAME")]
    pub subject: String,
    /// Limits it to the account here and those below it; may be given several times
    #[arg(long, value_name = "ADDRESS")]
    pub account_prefix: Vec<AccountAddress>,
    /// Limits it to the accounts in this account set; may be given several times
    #[arg(long, value_name = "NAME")]
    pub account_set: Vec<SetName>,
    /// How long it is good
    #[arg(long, default_value = "8h", value_name = "TIME", value_parser = time)]
    pub ttl: Duration,
    /// Where the issuer is
    #[command(flatten)]
    pub data: DataArgs,
    /// What the token says of issuer and audience
    #[command(flatten)]
    pub trust: TrustArgs,
}

/// Options of `cauri config`.
#[derive(Clone, Debug, Args)]
pub struct ConfigArgs {
    /// Print the reference of all options instead, in Markdown
    #[arg(long)]
    pub markdown: bool,
    /// Everything that `serve` takes
    #[command(flatten)]
    pub serve: ServeArgs,
}

fn number_between(text: &str, least: usize, most: usize) -> Result<usize, String> {
    let number = text.replace('_', "").parse::<usize>().map_err(|_| "a whole number is wanted".to_owned())?;
    if (least..=most).contains(&number) { Ok(number) } else { Err(format!("from {least} to {most} are possible")) }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    number_between(text, 1, 1_000_000)
}

fn queue(text: &str) -> Result<usize, String> {
    number_between(text, MAX_COMMANDS, 100_000_000)
}

fn batch(text: &str) -> Result<usize, String> {
    number_between(text, 1, MAX_COMMANDS)
}

fn day_length(text: &str) -> Result<usize, String> {
    number_between(text, crate::demo::SHORTEST_DAY, 100_000_000)
}

/// A time such as `30s`, `15m`, `8h`, `2d`.
fn time(text: &str) -> Result<Duration, String> {
    let split = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => 0,
    };
    let number = number.parse::<u64>().ok().filter(|_| seconds > 0).and_then(|number| number.checked_mul(seconds));
    number
        .filter(|seconds| (1..=3_650 * 86_400).contains(seconds))
        .map(Duration::from_secs)
        .ok_or_else(|| "a time is wanted such as 30s, 15m, 8h or 2d, at most ten years".to_owned())
}

/// An issuer: in the journal a space parts it from the caller.
fn issuer(text: &str) -> Result<String, String> {
    let valid = !text.is_empty() && !text.contains(' ');
    valid.then(|| text.to_owned()).ok_or_else(|| "an issuer has at least one character and no space".to_owned())
}

/// A size such as `512KiB`, `16MiB`, or a plain number of bytes.
fn size(text: &str) -> Result<usize, String> {
    let split = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let bytes = match unit {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => 0,
    };
    let number = number.parse::<usize>().ok().filter(|_| bytes > 0).and_then(|number| number.checked_mul(bytes));
    number
        .filter(|bytes| (1_024..=1 << 30).contains(bytes))
        .ok_or_else(|| "a size is wanted such as 65536, 512KiB or 16MiB, from 1KiB to 1GiB".to_owned())
}

/// A size, or 0.
fn reserve(text: &str) -> Result<u64, String> {
    if text == "0" { Ok(0) } else { size(text).map(|bytes| bytes as u64) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_are_read_with_their_units() {
        assert_eq!(time("8h"), Ok(Duration::from_secs(28_800)));
        assert_eq!(time("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(size("16MiB"), Ok(16 * 1024 * 1024));
        assert_eq!(size("65536"), Ok(65_536));
        for text in ["", "8", "h", "0s", "1.5h", "99999999999999999999d", "-1s"] {
            assert!(time(text).is_err(), "{text}");
        }
        for text in ["", "MiB", "1MB", "1", "2000GiB"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_queue_holds_at_least_one_bulk_request() {
        assert!(queue("8188").is_err());
        assert_eq!(queue("8_189"), Ok(8_189));
        assert!(batch("8190").is_err());
    }

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }
}
