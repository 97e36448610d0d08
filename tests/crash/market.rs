//! The same for a journal of the kind `market`: quotes that were acknowledged survive every kill, once.
//!
//! Each source sends blocks of two quotes, the first of which is the last of the block before. So a block is one new quote,
//! and one that was lost or taken twice shows in the times.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use cauri_domain::market::event::QuoteEvent;
use cauri_domain::market::{IngestQuotes, Market, MarketCommand, MarketEvent, MarketStream, Quote, RegisterInstrument};
use cauri_domain::money::{Currency, decimal_string};
use cauri_domain::time::Timestamp;
use cauri_engine::{Accepted, CommandEnvelope, Engine, Mode, Outcome};
use cauri_event_schemas::Position;
use cauri_event_store::EventStore;
use cauri_event_store::embedded::EmbeddedStore;
use cauri_tests::maker::Random;

use crate::child::{INDEX, config};
use crate::copy;

const SOURCES: [&str; 3] = ["bloomberg", "polygon", "reuters"];
const CHILD: &str = "CAURI_CRASH_MARKET";

/// When quote `number` of a source was made.
fn at(number: u64) -> Timestamp {
    Timestamp::UNIX_EPOCH.saturating_add_secs(1_700_000_000).saturating_add_micros(number as i64)
}

fn command(key: &str, command: MarketCommand) -> CommandEnvelope<MarketCommand> {
    let key = format!("issuer feed {key}").parse().expect("a key");
    CommandEnvelope::new(command, key, "operator:feed".parse().expect("an actor"))
}

/// Block `number` of a source, from 1.
fn block(source: &str, number: u64) -> CommandEnvelope<MarketCommand> {
    let price = |text| decimal_string::parse(text).expect("a price");
    let quote = |number| Quote { ask: price("1.08430"), at: at(number), bid: price("1.08421"), sequence: 0 };
    let ingest = IngestQuotes {
        quotes: vec![quote(number - 1), quote(number)],
        source: source.parse().expect("a source"),
        symbol: "EURUSD".parse().expect("a symbol"),
    };
    command(&format!("{source}-{number}"), MarketCommand::Ingest(Arc::new(ingest)))
}

fn accepted(engine: &Engine<Market>, command: CommandEnvelope<MarketCommand>) -> Accepted<MarketStream> {
    match engine.submit_blocking(vec![command], Mode::Each).expect("an outcome").outcomes.remove(0) {
        Outcome::Accepted(accepted) => accepted,
        other => panic!("not accepted: {other:?}"),
    }
}

/// What stands in a source's diary: the last block that was asked for, and where those stand that were told.
#[derive(Default)]
struct Diary {
    asked: u64,
    told: Vec<(u64, u64)>,
}

impl Diary {
    fn read(path: &Path) -> Self {
        let mut diary = Self::default();
        let Ok(file) = File::open(path) else { return diary };
        for line in BufReader::new(file).lines() {
            let line = line.expect("a line");
            let numbers: Vec<u64> = line.split(' ').map(|number| number.parse().expect("a number")).collect();
            match numbers[..] {
                [number] => diary.asked = number,
                [number, position] => diary.told.push((number, position)),
                _ => panic!("{line:?} is no line of a diary"),
            }
        }
        diary
    }
}

#[test]
fn child_that_ingests_until_it_is_killed() {
    let Some(dir) = std::env::var_os(CHILD) else { return };
    let dir = Path::new(&dir);
    let store = Arc::new(EmbeddedStore::open_with(&dir.join("data"), "quotes", INDEX).expect("a store"));
    let engine = Engine::<Market>::start(store, config()).expect("an engine");
    let pip = decimal_string::parse("0.0001").expect("a pip");
    let instrument = RegisterInstrument { currency: Currency::USD, digits: 5, pip, symbol: "EURUSD".parse().expect("a symbol") };
    // In every round: what is registered already is a replay.
    accepted(&engine, command("instrument", MarketCommand::Register(Arc::new(instrument))));
    println!("working");
    std::thread::scope(|scope| {
        for source in SOURCES {
            let engine = &engine;
            scope.spawn(move || {
                let path = dir.join(source);
                // What was asked for last is asked for again.
                let mut number = Diary::read(&path).asked.max(1);
                let mut diary = OpenOptions::new().create(true).append(true).open(path).expect("a diary");
                loop {
                    diary.write_all(format!("{number}\n").as_bytes()).expect("noted");
                    let told = accepted(engine, block(source, number));
                    diary.write_all(format!("{number} {}\n", told.first).as_bytes()).expect("noted");
                    number += 1;
                }
            });
        }
    });
}

#[test]
fn quotes_that_were_acknowledged_survive_every_kill() {
    let number = |variable: &str, default: u64| std::env::var(variable).ok().map_or(default, |text| text.parse().expect("a number"));
    let (rounds, mut random) = (number("CAURI_CRASH_ROUNDS", 30), Random::of_seed(number("CAURI_SEED", 1)));
    let dir = tempfile::tempdir().expect("a directory");
    let mut told = 0;
    for round in 0..rounds {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args(["market::child_that_ingests_until_it_is_killed", "--exact", "--nocapture"])
            .env(CHILD, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a child");
        let output = BufReader::new(child.stdout.take().expect("its output"));
        assert!(output.lines().map_while(Result::ok).any(|line| line.contains("working")), "round {round}: it did not get to work");
        std::thread::sleep(Duration::from_millis(10 + random.below(60)));
        assert_eq!(child.try_wait().expect("a child"), None, "round {round}: the child ended by itself");
        child.kill().expect("SIGKILL");
        child.wait().expect("an end");
        told = look(dir.path(), &mut random);
    }
    assert!(told > rounds as usize, "only {told} blocks were acknowledged in {rounds} rounds");
    println!("{told} blocks acknowledged in {rounds} rounds");
}

/// Looks at a copy of what the child left; how many blocks were acknowledged.
fn look(dir: &Path, random: &mut Random) -> usize {
    let left = dir.join("left");
    copy(&dir.join("data"), &left);
    let store = Arc::new(EmbeddedStore::open_with(&left, "quotes", INDEX).expect("a store"));
    store.check_index(|_| {}).expect("an index that leads everywhere");
    // A source's block `number` is the record `number` of its stream, with one new quote; the first has two.
    let mut written = [0_u64; SOURCES.len()];
    for record in store.read_journal(Position::ZERO, usize::MAX).expect("a journal") {
        for event in record.as_record().decode::<Market>().expect("an event") {
            let (MarketEvent::Quote(QuoteEvent::Quoted(quoted)), MarketStream::Quotes(source, _)) = (&event.event, &event.stream) else {
                continue;
            };
            let index = SOURCES.iter().position(|name| *name == source.as_str()).expect("a source");
            written[index] += 1;
            let number = written[index];
            let (first, skipped) = if number == 1 { (at(0), 0) } else { (at(number), 1) };
            let found = (event.version.get(), quoted.at[0], quoted.skipped);
            assert_eq!(found, (number, first.as_micros(), skipped), "block {number} of {source}");
        }
    }
    let engine = Engine::<Market>::start(store.clone(), config()).expect("an engine");
    let before = store.head().expect("a head");
    let mut all = 0;
    for (source, written) in SOURCES.iter().zip(written) {
        let Diary { asked, told } = Diary::read(&dir.join(source));
        assert!(
            written <= asked && told.last().is_none_or(|(number, _)| *number <= written),
            "{source}: {written} blocks, {asked} asked for"
        );
        all += told.len();
        // The same again, the last ones and some before: the same answers, and nothing new.
        let last = told.len().saturating_sub(20)..told.len();
        let some = last.chain((0..10.min(told.len())).map(|_| random.below(told.len() as u64) as usize));
        for (number, position) in some.map(|index| told[index]) {
            let again = accepted(&engine, block(source, number));
            assert_eq!((again.replayed, again.first.get(), again.version.get()), (true, position, number), "{source}");
        }
    }
    assert_eq!(store.head().expect("a head"), before, "something was done twice");
    engine.stop();
    all
}
