//! `cauri demo`: a realistic day of commands, what came of it, and a server to look at it.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cauri_command_api::auth::role::Role;
use cauri_domain::RefusalCode;
use cauri_domain::account::Side;
use cauri_domain::time::Timestamp;
use cauri_engine::{Clock, Engine, EngineConfig, ManualClock, Mode, Outcome, SystemClock};
use cauri_event_store::embedded::EmbeddedStore;
use cauri_event_store::{EventStore, Lookup};
use cauri_projections::read::ReadSnapshot;
use indicatif::{ProgressBar, ProgressStyle};

use crate::Failed;
use crate::config::{DemoOptions, LEDGER};
use crate::day::{Day, Kind};
use crate::serve::{Node, engine_config, start_runner};
use crate::token;

/// 2026-03-16T06:00:00Z: the day begins when shops open.
const MORNING: &str = "2026-03-16T06:00:00Z";
/// How long read models may take to catch up before the summary goes on without them.
const CATCH_UP: Duration = Duration::from_secs(600);

/// Runs the day, shows the summary, and serves unless it was told to exit.
pub fn run(options: &DemoOptions) -> Result<ExitCode, Failed> {
    let data = &options.serve.data;
    let store: Arc<dyn EventStore> = Arc::new(EmbeddedStore::open(&data.journal(), LEDGER)?);
    if !options.exit {
        // A port that is taken should be told before the day is run.
        std::net::TcpListener::bind(&options.serve.listen)
            .map_err(|error| format!("cannot listen on {}: {error}", options.serve.listen))?;
    }
    println!("Cauri demo: a day of mobile money on {}\n", data.data.display());
    let there = store.locate(&[Lookup::Command(Day::first_key(options.seed))])?;
    if there == [None] {
        let tally = run_day(options, &store)?;
        tally.show();
    } else {
        println!("This day is in the journal already; nothing is done twice. Another --seed is another day.");
    }
    show_books(options, &store)?;
    if options.exit {
        return Ok(ExitCode::SUCCESS);
    }
    let token = token::issue(&data.data, "demo", Role::Operator, Duration::from_secs(8 * 3_600))?;
    let node = Node::with_store(&options.serve, store)?;
    let (listen, directory) = (options.serve.listen.clone(), data.data.display().to_string());
    node.serve(&options.serve, move |_| show_what_next(&listen, &directory, &token))
}

/// What became of the day's commands.
#[derive(Debug, Default)]
pub struct Tally {
    kinds: BTreeMap<Kind, (u64, u64)>,
    refused: BTreeMap<RefusalCode, u64>,
    replayed: u64,
    commands: u64,
    took: Duration,
}

/// Runs a day through an engine of its own, whose clock is the day's.
pub fn run_day(options: &DemoOptions, store: &Arc<dyn EventStore>) -> Result<Tally, Failed> {
    let empty = store.head()?.position.get() == 0;
    let morning: Timestamp = MORNING.parse()?;
    // In a journal that has a past, the day is today: time does not go back.
    let start = if empty { morning } else { SystemClock.now() };
    let clock = ManualClock::at(start);
    let config = EngineConfig { clock: Arc::new(clock.clone()), ..engine_config(&options.serve, &**store) };
    let engine = Engine::start(store.clone(), config)?;
    let day = Day::new(options.seed, options.commands, start);
    let bar = ProgressBar::new(day.commands() as u64);
    bar.set_style(ProgressStyle::with_template("{wide_bar} {human_pos}/{human_len} commands, {per_sec}, {eta} left")?);

    let mut tally = Tally::default();
    let begun = Instant::now();
    for batch in day {
        clock.set(batch.at);
        let count = batch.commands.len();
        let outcomes = engine.submit_blocking(batch.commands, Mode::Each)?;
        for (kind, outcome) in batch.kinds.into_iter().zip(outcomes) {
            tally.count(kind, outcome);
        }
        bar.inc(count as u64);
    }
    // Midnight: payouts that nobody heard of again expire, as events.
    clock.set(start.saturating_add_secs(18 * 3_600 + 1));
    while engine.stats().open_holds > 0 && engine.is_running() {
        std::thread::sleep(Duration::from_millis(10));
    }
    tally.took = begun.elapsed();
    bar.finish_and_clear();
    engine.stop();
    Ok(tally)
}

impl Tally {
    fn count(&mut self, kind: Kind, outcome: Outcome) {
        self.commands += 1;
        let (accepted, refused) = self.kinds.entry(kind).or_default();
        match outcome {
            Outcome::Accepted(answer) => {
                *accepted += 1;
                self.replayed += u64::from(answer.replayed);
            }
            Outcome::Refused(answer) => {
                *refused += 1;
                *self.refused.entry(answer.refusal.code).or_default() += 1;
            }
            Outcome::VersionMismatch { .. } | Outcome::NotApplied { .. } => {}
        }
    }

    fn show(&self) {
        println!("{:<20} {:>12} {:>12}", "commands", "accepted", "refused");
        for (kind, (accepted, refused)) in &self.kinds {
            println!("  {:<18} {:>12} {:>12}", kind.name(), grouped((*accepted).into()), grouped((*refused).into()));
        }
        println!("\nrefused because");
        for (code, count) in &self.refused {
            println!("  {:<31} {:>12}", code.as_str(), grouped((*count).into()));
        }
        let rate = self.commands as f64 / self.took.as_secs_f64();
        println!(
            "\n{} commands in {:.1} s: {} a second, each durable before it was answered; {} retries were told the first answer",
            grouped(self.commands.into()),
            self.took.as_secs_f64(),
            grouped(rate as i128),
            self.replayed
        );
    }
}

/// Builds the read models and shows the books from them.
fn show_books(options: &DemoOptions, store: &Arc<dyn EventStore>) -> Result<(), Failed> {
    let head = store.head()?;
    let begun = Instant::now();
    let runner = start_runner(&options.serve.data.read_models(), store.clone())?;
    let reads = runner.read_store()?;
    let before = reads.snapshot()?.position();
    let bar = ProgressBar::new(head.position.get());
    bar.set_style(ProgressStyle::with_template("{wide_bar} {human_pos}/{human_len} events into read models")?);
    while begun.elapsed() < CATCH_UP && !reads.wait_for_blocking(head.position, Duration::from_millis(100)) {
        bar.set_position(reads.snapshot()?.position().get());
    }
    bar.finish_and_clear();
    let snapshot = reads.snapshot()?;
    let events = snapshot.position().get().saturating_sub(before.get());
    if events > 0 {
        let rate = events as f64 / begun.elapsed().as_secs_f64();
        println!("{} events into four read models: {} a second", grouped(events.into()), grouped(rate as i128));
    }
    show_trial_balance(&snapshot)?;
    println!("\nJournal at position {} with root {}", grouped(head.position.get().into()), head.root);
    if snapshot.position() != head.position {
        println!("Read models are at {} and still catching up.", snapshot.position());
    }
    drop(snapshot);
    runner.stop();
    Ok(())
}

/// The trial balance, by the first segment of the addresses.
fn show_trial_balance(snapshot: &ReadSnapshot) -> Result<(), Failed> {
    let trial = snapshot.trial_balance(None, None)?;
    let mut groups: BTreeMap<(String, &str), (i128, i128)> = BTreeMap::new();
    for row in &trial.rows {
        let group = row.address.as_str().split(':').next().unwrap_or_default().to_owned();
        let (debit, credit) = groups.entry((group, row.currency.code())).or_default();
        let balance = i128::from(row.balance_minor);
        // A balance on the other side than the account's own counts there.
        match (row.kind.normal_side(), balance >= 0) {
            (Side::Debit, true) | (Side::Credit, false) => *debit += balance.abs(),
            (Side::Debit, false) | (Side::Credit, true) => *credit += balance.abs(),
        }
    }
    println!("\nTrial balance of {} accounts, in minor units\n", grouped(trial.rows.len() as i128));
    println!("  {:<16} {:>4} {:>20} {:>20}", "group", "", "debit", "credit");
    let mut sums: BTreeMap<&str, (i128, i128)> = BTreeMap::new();
    for ((group, currency), (debit, credit)) in &groups {
        println!("  {group:<16} {currency:>4} {:>20} {:>20}", grouped(*debit), grouped(*credit));
        let sum = sums.entry(currency).or_default();
        *sum = (sum.0 + debit, sum.1 + credit);
    }
    for (currency, (debit, credit)) in sums {
        println!("  {:<16} {currency:>4} {:>20} {:>20}   difference {}", "all", grouped(debit), grouped(credit), debit - credit);
    }
    Ok(())
}

fn show_what_next(listen: &str, data: &str, token: &str) {
    println!(
        "
Serving on http://{listen} until Ctrl-C. In another terminal:

  export TOKEN={token}

  curl -s http://{listen}/v1/entries -H \"Authorization: Bearer $TOKEN\" -H 'Content-Type: application/json' \\
    -d '{{\"transfers\":[{{\"debit\":\"customers:00001:wallet\",\"credit\":\"customers:00002:wallet\",\"amount\":{{\"amount\":\"100\",\"currency\":\"XOF\"}}}}]}}'

  curl -s http://{listen}/graphql -H \"Authorization: Bearer $TOKEN\" -H 'Content-Type: application/json' \\
    -d '{{\"query\":\"{{ balance(account: \\\"customers:00002:wallet\\\") {{ posted {{ amount currency }} available {{ amount }} asOfPosition }} }}\"}}'

  cargo run --release --quiet --bin cauri-replay -- verify --data {data}

  GraphiQL     http://{listen}/graphql
  REST         http://{listen}/docs
  Metrics      http://{listen}/metrics"
    );
}

/// Digits in groups of three.
fn grouped(number: i128) -> String {
    let mut digits = number.unsigned_abs().to_string();
    let mut at = digits.len();
    while at > 3 {
        at -= 3;
        digits.insert(at, ' ');
    }
    if number < 0 { format!("-{digits}") } else { digits }
}
