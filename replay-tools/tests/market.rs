//! A journal of another kind is audited, exported and shown by the same commands; what only a ledger has is not looked for.
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "scribe/desk.rs"]
mod desk;
mod scribe;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use cauri_domain::account::{AccountEvent, AccountFrozen};
use cauri_domain::journal::{JournalClosed, JournalEvent};
use cauri_domain::market::event::{InstrumentEvent, InstrumentRegistered, QuoteEvent, Quoted};
use cauri_domain::market::{IngestQuotes, Market, MarketCommand, MarketEvent, MarketStream, Quote, RegisterInstrument};
use cauri_domain::money::{Currency, decimal_string};
use cauri_engine::{CommandEnvelope, Engine, EngineConfig, ManualClock, Mode, Outcome};
use cauri_event_schemas::ledger::StreamId;
use cauri_event_store::embedded::EmbeddedStore;
use cauri_event_store::{EventStore, Snapshot};
use cauri_replay_tools::Check;
use cauri_replay_tools::report::{Report, Verdict};
use cauri_replay_tools::verify::{Wanted, verify_directory, verify_store};
use desk::Desk;
use scribe::{Scribe, account, at};

fn register(symbol: &str) -> MarketCommand {
    let pip = decimal_string::parse("0.0001").unwrap();
    MarketCommand::Register(Arc::new(RegisterInstrument { currency: Currency::USD, digits: 5, pip, symbol: symbol.parse().unwrap() }))
}

fn quotes(seconds: i64, count: i64) -> MarketCommand {
    let quote = |more: i64| Quote {
        ask: decimal_string::parse("1.0843").unwrap(),
        at: at(seconds + more / 3),
        bid: decimal_string::parse("1.08421").unwrap(),
        sequence: (more % 3) as u32,
    };
    let quotes = (0..count).map(quote).collect();
    MarketCommand::Ingest(Arc::new(IngestQuotes { quotes, source: "polygon".parse().unwrap(), symbol: "EURUSD".parse().unwrap() }))
}

/// A market that the engine wrote, with a refusal in it, in the directory of a desk.
fn market() -> Desk {
    let desk = Desk::empty();
    let store = Arc::new(EmbeddedStore::open(&desk.path("data/journals/market"), "market").unwrap());
    let config = EngineConfig { clock: Arc::new(ManualClock::at(at(0))), ..EngineConfig::for_store(&*store) };
    let engine = Engine::<Market>::start(store, config).unwrap();
    let commands = [register("EURUSD"), quotes(0, 7), quotes(1, 9), register("EURUSD"), quotes(60, 4), register("GBPUSD")];
    let envelope = |(number, command)| {
        let key = format!("issuer feeder {number}").parse().unwrap();
        CommandEnvelope::new(command, key, "feeder:awa".parse().unwrap())
    };
    let outcomes = engine.submit_blocking(commands.into_iter().enumerate().map(envelope).collect(), Mode::Each).unwrap().outcomes;
    assert_eq!(outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Accepted(_))).count(), 5, "{outcomes:?}");
    assert!(matches!(outcomes[3], Outcome::Refused(_)));
    engine.stop();
    desk
}

fn report(desk: &Desk) -> Report {
    verify_directory(&desk.path("data/journals/market"), "market", &Wanted::default()).unwrap()
}

#[test]
fn a_market_is_audited_as_a_market() {
    let report = report(&market());
    assert!(report.ok && report.findings.is_empty(), "{report}");
    assert_eq!(
        (report.kind, report.figures.of("instruments"), report.figures.of("feeds"), report.figures.of("quotes")),
        (Some("market"), 2, 1, 16)
    );
    let looked_at = |check: Check| report.checks.iter().find(|of| of.check == check).map(|of| of.verdict.clone());
    assert_eq!(looked_at(Check::Quotes), Some(Verdict::Ok));
    assert_eq!(looked_at(Check::Snapshots), Some(Verdict::Ok), "{report}");
    for of_a_ledger in [Check::DoubleEntry, Check::Limits, Check::Holds, Check::AccountSets] {
        assert_eq!(looked_at(of_a_ledger), None);
    }
}

#[test]
fn a_market_is_exported_checked_by_an_outsider_and_imported() {
    let desk = market();
    let (code, said, errors) = desk.run("cauri-replay export --data DESK/data --journal market DESK/market.jsonl");
    assert_eq!(code, 0, "{said}{errors}");
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/verify_export.py");
    let ran = Command::new("python3").arg("-B").arg(program).arg(desk.path("market.jsonl")).output().unwrap();
    let answer = String::from_utf8(ran.stdout).unwrap() + &String::from_utf8(ran.stderr).unwrap();
    assert!(ran.status.success() && answer.contains("2 instruments, 1 feeds, 16 quotes"), "{answer}");
    let (code, said, errors) = desk.run("cauri-replay import --data DESK/other DESK/market.jsonl");
    assert_eq!(code, 0, "{said}{errors}");
    let (code, said, errors) = desk.run("cauri-replay verify --data DESK/other --journal market --against DESK/market.jsonl");
    assert_eq!(code, 0, "{said}{errors}");
}

#[test]
fn streams_of_a_market_are_shown_and_what_only_a_ledger_has_is_said_to_be_missing() {
    let desk = market();
    for (stream, holds) in [("market/polygon:EURUSD", "market.quoted"), ("instrument/GBPUSD", "instrument.registered")] {
        let (code, said, errors) = desk.run(&format!("cauri-replay show --data DESK/data --journal market {stream}"));
        assert!(code == 0 && said.contains(holds), "{said}{errors}");
    }
    for command in ["balances", "trial-balance"] {
        let (code, _, errors) = desk.run(&format!("cauri-replay {command} --data DESK/data --journal market"));
        assert_eq!((code, errors.as_str()), (2, "cauri-replay: market is a market: it has no accounts and no entries\n"));
    }
}

/// A market written by hand: an instrument and these blocks of quotes.
fn written(blocks: Vec<Quoted>) -> Scribe {
    let mut scribe = Scribe::new();
    registers(&mut scribe, "r1");
    for (number, block) in blocks.into_iter().enumerate() {
        let stream = MarketStream::Quotes("polygon".parse().unwrap(), "EURUSD".parse().unwrap());
        scribe.commit_of(&format!("q{number}"), vec![(stream, MarketEvent::from(QuoteEvent::Quoted(block)))]);
    }
    scribe
}

fn registers(scribe: &mut Scribe, command: &str) {
    let registered = InstrumentRegistered { currency: Currency::USD, digits: 5, pip: decimal_string::parse("0.0001").unwrap() };
    let event = MarketEvent::from(InstrumentEvent::Registered(registered));
    scribe.commit_of(command, vec![(MarketStream::Instrument("EURUSD".parse().unwrap()), event)]);
}

fn block(ask: Vec<i64>, at: Vec<i64>) -> Quoted {
    let spread = vec![9; ask.len()];
    Quoted { ask, at, sequence: Vec::new(), skipped: 0, spread }
}

/// Exactly this check speaks, and so does the outsider's program.
#[track_caller]
fn speaks(scribe: &mut Scribe, check: Check, position: u64, what: &str, outsider: &str) {
    let report = verify_store(&scribe.store().shared(), &Wanted::default()).unwrap();
    assert_eq!(report.failed(), [check], "{report}");
    let finding = &report.findings[0];
    assert!(finding.position.is_some_and(|at| at.get() == position) && finding.what.contains(what), "{report}");
    let desk = Desk::with(scribe);
    // What the engine would not have written is exported all the same where its bytes and its root are sound.
    assert_eq!(desk.run("cauri-replay export --data DESK/data DESK/market.jsonl").0, 0);
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/verify_export.py");
    let ran = Command::new("python3").arg("-B").arg(program).arg(desk.path("market.jsonl")).output().unwrap();
    let answer = String::from_utf8(ran.stdout).unwrap();
    assert!(ran.status.code() == Some(1) && answer.contains(&format!("position {position} ")) && answer.contains(outsider), "{answer}");
}

#[test]
fn quotes_that_go_back_are_found_between_blocks_and_within_one() {
    let good = || block(vec![100, 1], vec![1_000, 5]);
    assert!(verify_store(&written(vec![good(), block(vec![100], vec![1_006])]).store().shared(), &Wanted::default()).unwrap().ok);
    let what = "does not come after the one before it";
    speaks(&mut written(vec![good(), block(vec![100], vec![1_005])]), Check::Quotes, 3, what, what);
    speaks(&mut written(vec![good(), block(vec![100, 1, 1], vec![2_000, -1, 7])]), Check::Quotes, 3, what, what);
}

#[test]
fn quotes_with_impossible_prices_and_columns_are_found() {
    let crossed = Quoted { spread: vec![-1], ..block(vec![100], vec![1_000]) };
    speaks(&mut written(vec![crossed]), Check::Quotes, 2, "an ask of 100 and a spread of -1", "an ask of 100 and a spread of -1");
    let for_nothing = block(vec![9], vec![1_000]);
    speaks(&mut written(vec![for_nothing]), Check::Quotes, 2, "an ask of 9 and a spread of 9", "an ask of 9 and a spread of 9");
    let torn = block(vec![100, 1], vec![1_000]);
    speaks(&mut written(vec![torn]), Check::Quotes, 2, "do not have one length", "do not have one length");
}

#[test]
fn quotes_of_an_instrument_that_was_never_registered_are_found() {
    let mut scribe = written(Vec::new());
    let stream = MarketStream::Quotes("polygon".parse().unwrap(), "XAUUSD".parse().unwrap());
    scribe.commit_of("q", vec![(stream, MarketEvent::from(QuoteEvent::Quoted(block(vec![100], vec![1_000]))))]);
    speaks(&mut scribe, Check::Quotes, 2, "never registered", "never registered");
}

#[test]
fn an_instrument_that_is_registered_twice_is_an_impossible_transition() {
    let mut scribe = written(Vec::new());
    registers(&mut scribe, "r2");
    speaks(&mut scribe, Check::Transitions, 2, "instrument EURUSD was registered before", "EURUSD is registered twice");
}

#[test]
fn a_record_of_a_ledger_in_a_market_is_found_and_ends_the_checks_of_the_market() {
    let mut scribe = written(vec![block(vec![100], vec![1_000])]);
    let frozen = AccountEvent::Frozen(AccountFrozen { reason: None });
    scribe.commit(vec![(StreamId::Account(account("awa")), frozen.into())]);
    speaks(&mut scribe, Check::Schemas, 3, "the record is of a ledger, those before it are of a market", "of another kind");
}

#[test]
fn a_market_that_was_closed_takes_no_more_quotes() {
    let mut scribe = written(Vec::new());
    let closed = JournalEvent::Closed(JournalClosed::default());
    scribe.commit_of("c", vec![(MarketStream::Journal("ledger".parse().unwrap()), MarketEvent::from(closed))]);
    let stream = MarketStream::Quotes("polygon".parse().unwrap(), "EURUSD".parse().unwrap());
    scribe.commit_of("q", vec![(stream, MarketEvent::from(QuoteEvent::Quoted(block(vec![100], vec![1_000]))))]);
    let report = verify_store(&scribe.store().shared(), &Wanted::default()).unwrap();
    assert_eq!(report.failed(), [Check::Transitions], "{report}");
}

#[test]
fn a_snapshot_of_another_market_is_found() {
    let desk = market();
    let directory = desk.path("data/journals/market");
    let store = EmbeddedStore::open(&directory, "market").unwrap();
    let snapshot = store.latest_snapshot().unwrap().unwrap();
    // The last number of the last quote, as postcard has it: it stands before the version of the feed.
    let state = snapshot.state.clone();
    let place = state.windows(8).position(|bytes| bytes.starts_with(b"polygon")).unwrap();
    let mut state = state;
    state[place + 7 + 1 + 6] ^= 2;
    store.save_snapshot(&Snapshot { head: snapshot.head, state }).unwrap();
    drop(store);
    let report = report(&desk);
    assert_eq!(report.failed(), [Check::Snapshots], "{report}");
    assert!(report.findings[0].what.contains("the last quote of EURUSD by polygon is"), "{report}");
}
