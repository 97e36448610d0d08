//! `cauri demo`: a day of business in an empty data directory, what came of it, and a server to look at it with.

pub mod clock;
pub mod day;
pub mod random;
pub mod summary;

use std::error::Error;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cauri_engine::{Mode, Outcome};
use cauri_event_schemas::Position;
use cauri_http::auth::role::Role;
use cauri_projections::GroupId;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::{Deserialize, Serialize};

use self::clock::DemoClock;
use self::day::{Day, Slice};
use self::summary::{Books, Counts, Report};
use crate::config::DemoArgs;
use crate::data::DataDir;
use crate::node::Node;
use crate::{serve, token};

pub use self::day::SHORTEST as SHORTEST_DAY;

/// The read models of a long day take a while on a slow machine.
const CATCH_UP: Duration = Duration::from_secs(600);

/// What a data directory says of the day in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Written {
    seed: u64,
    commands: usize,
    /// The position after it; absent while it is being written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    position: Option<u64>,
}

/// Writes the day into an empty data directory, shows what came of it, and serves unless told to exit.
///
/// # Errors
/// When the directory cannot be opened or written, or the address cannot be listened on.
pub fn run(args: &DemoArgs) -> Result<(), Box<dyn Error>> {
    let listener = if args.exit { None } else { Some(serve::listen(&args.serve.http)?) };
    let clock = DemoClock::default();
    let marker = DataDir::at(&args.serve.data.data).demo_day();
    let written = read(&marker);
    let mut serve = args.serve.clone();
    // The day in the directory has a date of its own, which says nothing about the machine's clock.
    serve.engine.accept_clock_gap |= written.is_some();
    let node = Node::open(&serve, Some(Arc::new(clock.clone())))?;
    let here = node.data.path().display();
    let head = node.engine.store().follow().head();
    let mut out = io::stdout().lock();
    match written {
        Some(Written { seed, commands, position: Some(position) }) => {
            writeln!(
                out,
                "The day of seed {seed} with {commands} commands is in {here} already, up to position {position}: nothing was added."
            )?;
            if (seed, commands) != (args.seed, args.commands) {
                writeln!(out, "For another day give another directory with --data.")?;
            }
        }
        None if head.position > Position::ZERO => {
            writeln!(out, "{here} holds a journal already, at {head}, and it is not the demo's: nothing was added.")?;
            writeln!(
                out,
                "The demo's day has its own clock, so that the same seed gives the same root; it needs an empty directory: give one with --data."
            )?;
        }
        unfinished => {
            let (seed, commands) = unfinished.map_or((args.seed, args.commands), |written| (written.seed, written.commands));
            if unfinished.is_some() {
                writeln!(out, "An unfinished day is in {here}: going on where it stopped. What was answered is answered again.")?;
            }
            writeln!(out, "A day of {commands} commands, seed {seed}, into {here}")?;
            write(&marker, Written { seed, commands, position: None })?;
            let report = play(&node, &clock, seed, commands)?;
            write(&marker, Written { seed, commands, position: Some(node.engine.store().follow().head().position.get()) })?;
            writeln!(out, "\n{report}")?;
        }
    }
    clock.let_go();
    writeln!(out, "\n{}", books(&node)?)?;
    where_to_go(&mut out, args, &node)?;
    drop(out);
    match listener {
        None => {
            node.stop();
            Ok(())
        }
        Some(listener) => {
            serve::log_to_stderr(&args.serve.log)?;
            serve::serve(node, listener, &args.serve)
        }
    }
}

/// Plays a day into an open node whose engine has `clock`.
///
/// # Errors
/// When the engine does not take a submission, or the read models cannot be read.
pub fn play(node: &Node, clock: &DemoClock, seed: u64, commands: usize) -> Result<Report, Box<dyn Error>> {
    let mut day = Day::new(seed, commands);
    let bar = bar(day.length() as u64, "commands");
    let mut report = Report::default();
    let began = Instant::now();
    let mut next = day.next();
    while let Some(Slice { at, commands, kinds }) = next {
        // Nothing is in hand here, so every event of this slice has exactly this time: that makes the root repeatable.
        clock.set(at);
        let answer = node.engine.enqueue(commands, Mode::Each)?;
        // The next slice is made up while this one is decided and written.
        next = day.next();
        let outcomes = answer.blocking_recv().map_err(|_| "the engine ended before it answered")??.outcomes;
        for (kind, outcome) in kinds.into_iter().zip(&outcomes) {
            let counts: &mut Counts = report.kinds.entry(kind).or_default();
            match outcome {
                Outcome::Accepted(accepted) => {
                    counts.accepted += 1;
                    counts.replayed += u64::from(accepted.replayed);
                }
                Outcome::Refused(refused) => {
                    counts.refused += 1;
                    counts.replayed += u64::from(refused.replayed);
                    *report.refused.entry(refused.refusal.code.as_str()).or_default() += 1;
                }
                Outcome::VersionMismatch { .. } | Outcome::NotApplied { .. } | Outcome::Failed { .. } => {}
            }
        }
        bar.inc(outcomes.len() as u64);
    }
    report.took = began.elapsed();
    bar.finish_and_clear();
    report.lag = catch_up(node, node.engine.store().follow().head().position)?;
    Ok(report)
}

/// What stands in the journal now.
///
/// # Errors
/// When the read models cannot be read, or do not catch up.
pub fn books(node: &Node) -> Result<Books, Box<dyn Error>> {
    let head = node.engine.store().follow().head();
    catch_up(node, head.position)?;
    Ok(Books { head, groups: summary::groups(&node.reads.snapshot()?)? })
}

/// Waits until the read models show everything; how far behind they were, and how long it took.
fn catch_up(node: &Node, position: Position) -> Result<(u64, Duration), Box<dyn Error>> {
    let lag = || node.runner.status().read_models().map(|model| model.lag_events).max().unwrap_or(0);
    let (behind, began) = (lag(), Instant::now());
    let bar = bar(behind, "events for the read models");
    while !node.reads.wait_for_blocking(&GroupId::ALL, position, Duration::from_millis(100)) {
        bar.set_position(behind.saturating_sub(lag()));
        if began.elapsed() > CATCH_UP {
            return Err(format!("the read models are still {} events behind after {} s", lag(), CATCH_UP.as_secs()).into());
        }
    }
    bar.finish_and_clear();
    Ok((behind, began.elapsed()))
}

fn bar(length: u64, what: &'static str) -> ProgressBar {
    let target = if io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let style =
        ProgressStyle::with_template("{bar:40} {human_pos}/{human_len} {msg} {elapsed}").unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(Some(length), target).with_style(style).with_message(what)
}

/// What to do next, ready to paste.
fn where_to_go(out: &mut impl io::Write, args: &DemoArgs, node: &Node) -> Result<(), Box<dyn Error>> {
    let url = format!("http://{}", args.serve.http.listen);
    let data = node.data.path().display();
    let entry = r#"{"reference":"from the demo","transfers":[{"debit":"providers:wave:receivable","credit":"merchants:awa:available","amount":{"amount":"10000","currency":"XOF"}}]}"#;
    let query =
        r#"{"query":"{ balance(account: \"merchants:awa:available\") { posted { amount currency } available { amount } asOfPosition } }"}"#;
    writeln!(out, "\nWhere to go next")?;
    if args.exit {
        writeln!(out, "  cauri serve --data {data} --accept-clock-gap")?;
    }
    writeln!(out, "  {url}/docs     the REST API, to try out")?;
    writeln!(out, "  {url}/graphql  GraphiQL\n")?;
    if node.develops {
        let ttl = Duration::from_secs(8 * 3_600);
        let token = token::issue(&args.serve.data, &args.serve.trust, "demo", &[Role::Operator, Role::Auditor], ttl)?;
        writeln!(out, "export TOKEN={token}\n")?;
    }
    let header = "-H \"Authorization: Bearer $TOKEN\" -H 'Content-Type: application/json'";
    writeln!(out, "curl -s {url}/v1/entries {header} -H 'Idempotency-Key: my-first' -d '{entry}'\n")?;
    writeln!(out, "curl -s {url}/graphql {header} -d '{query}'\n")?;
    writeln!(out, "cauri-replay verify --data {data}    # or: cargo run --release --bin cauri-replay -- verify --data {data}\n")?;
    out.flush()?;
    Ok(())
}

/// What a data directory says of the day in it; a file that cannot be understood says nothing.
fn read(marker: &Path) -> Option<Written> {
    serde_json::from_slice(&std::fs::read(marker).ok()?).ok()
}

fn write(marker: &Path, written: Written) -> io::Result<()> {
    let temporary = marker.with_extension("tmp");
    cauri_event_store::files::create_private(&temporary)?;
    std::fs::write(&temporary, serde_json::to_vec_pretty(&written)?)?;
    std::fs::rename(&temporary, marker)
}
