//! One caller on a market, on a store whose appends fail, beside a naive model: every answer agrees, and every mark.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use cauri_domain::RefusalCode;
use cauri_domain::kind::{Kind, KindCommand};
use cauri_domain::market::{IngestQuotes, Market, MarketCommand, MarketFigures, Quote, RegisterInstrument};
use cauri_domain::money::{Currency, decimal_string};
use cauri_domain::time::Timestamp;
use cauri_engine::{Clock, CommandEnvelope, Engine, EngineConfig, ManualClock, Mode, Outcome, SubmitError};
use cauri_event_schemas::Position;
use cauri_event_store::EventStore;
use cauri_event_store::memory::{Fault, MemoryStore};
use cauri_tests::maker::Random;

const STEPS: usize = 120;
const SYMBOLS: [&str; 3] = ["EURUSD", "GBPUSD", "XAUUSD"];
const SOURCES: [&str; 2] = ["polygon", "reuters"];

/// What was taken, in the plainest way.
#[derive(Default)]
struct Model {
    registered: HashSet<String>,
    /// The time and number of the last quote that each source gave of each instrument.
    marks: HashMap<(String, String), (i64, u32)>,
}

impl Model {
    /// `None` if it is accepted, and then it has happened; else the code.
    fn ask(&mut self, command: &MarketCommand, now: Timestamp) -> Option<RefusalCode> {
        match command {
            MarketCommand::Register(register) => {
                if self.registered.contains(register.symbol.as_str()) {
                    return Some(RefusalCode::InstrumentExists);
                }
                if register.digits > 12 {
                    return Some(RefusalCode::InvalidQuote);
                }
                self.registered.insert(register.symbol.as_str().to_owned());
                None
            }
            MarketCommand::Ingest(ingest) => {
                if !self.registered.contains(ingest.symbol.as_str()) {
                    return Some(RefusalCode::InstrumentNotFound);
                }
                let mut before = None;
                for quote in &ingest.quotes {
                    if quote.bid > quote.ask {
                        return Some(RefusalCode::InvalidQuote);
                    }
                    let mark = (quote.at.as_micros(), quote.sequence);
                    if before.is_some_and(|before| mark <= before) {
                        return Some(RefusalCode::QuotesOutOfOrder);
                    }
                    // A week ahead, as the rules of a new journal say.
                    if quote.at > now.saturating_add_secs(7 * 86_400) {
                        return Some(RefusalCode::EffectiveInFutureTooFar);
                    }
                    before = Some(mark);
                }
                let feed = (ingest.source.as_str().to_owned(), ingest.symbol.as_str().to_owned());
                let last = before.expect("a block has a quote");
                if self.marks.get(&feed).is_some_and(|mark| last <= *mark) {
                    return Some(RefusalCode::QuotesNotNew);
                }
                self.marks.insert(feed, last);
                None
            }
            MarketCommand::Journal(_) => None,
        }
    }
}

fn some_command(random: &mut Random, now: Timestamp) -> MarketCommand {
    let price = |text| decimal_string::parse(text).expect("a price");
    let symbol = random.of(&SYMBOLS).parse().expect("a symbol");
    if random.once_in(8) {
        let digits = if random.once_in(4) { 13 } else { 5 };
        return MarketCommand::Register(Arc::new(RegisterInstrument { currency: Currency::USD, digits, pip: price("0.0001"), symbol }));
    }
    let ahead = if random.once_in(20) { 8 * 86_400_000_000 } else { 0 };
    let mut at = now.saturating_add_micros(ahead - random.below(60) as i64);
    let quotes = (0..1 + random.below(4)).map(|_| {
        let (ask, bid) = if random.once_in(30) { ("1.1", "1.2") } else { ("1.2", "1.1") };
        at = at.saturating_add_micros(random.below(8) as i64 - i64::from(random.once_in(10)));
        Quote { ask: price(ask), at, bid: price(bid), sequence: random.below(3) as u32 }
    });
    let quotes = quotes.collect();
    MarketCommand::Ingest(Arc::new(IngestQuotes { quotes, source: random.of(&SOURCES).parse().expect("a source"), symbol }))
}

/// Runs one seed; the answer is how often what was answered.
pub fn run(seed: u64) -> BTreeMap<String, u64> {
    let (mut random, mut model, mut tally) = (Random::of_seed(seed), Model::default(), BTreeMap::new());
    let clock = ManualClock::at("2026-03-16T08:00:00Z".parse().expect("an instant"));
    let config = EngineConfig { snapshot_every: random.of(&[5, 30, u64::MAX]), clock: Arc::new(clock.clone()), ..EngineConfig::default() };
    let store = MemoryStore::exclusive("quotes");
    let start = || Engine::<Market>::start(Arc::new(store.clone()), config.clone()).expect("an engine");
    let mut engine = start();
    let mut answered: Vec<(CommandEnvelope<MarketCommand>, Outcome<_>)> = Vec::new();
    for step in 0..STEPS {
        clock.advance_micros(random.below(40) as i64);
        if !answered.is_empty() && random.once_in(6) {
            // The same again: the same answer.
            let (envelope, first) = random.of(&answered);
            let again = engine.submit_blocking(vec![envelope], Mode::Each).expect("an outcome").outcomes.remove(0);
            assert_eq!((code_of(&again), position_of(&again)), (code_of(&first), position_of(&first)));
            *tally.entry("replayed".to_owned()).or_insert(0) += 1;
            continue;
        }
        let key = format!("issuer feed {step}").parse().expect("a key");
        let envelope = CommandEnvelope::new(some_command(&mut random, clock.now()), key, "operator:feed".parse().expect("an actor"));
        match random.below(10) {
            0 => store.faults().inject(Fault::Fail),
            1 => store.faults().inject(Fault::LoseAnswer),
            2 => store.faults().inject(Fault::LoseBatch),
            3 => store.faults().inject(Fault::Duplicate),
            _ => {}
        }
        let outcome = loop {
            match engine.submit_blocking(vec![envelope.clone()], Mode::Each) {
                Ok(mut answer) => break answer.outcomes.remove(0),
                Err(SubmitError::NotDone(_) | SubmitError::Unknown(_)) => *tally.entry("asked again".to_owned()).or_insert(0) += 1,
                Err(other) => panic!("seed {seed}, step {step}: {other}"),
            }
        };
        let expected = model.ask(&envelope.command, clock.now());
        assert_eq!(code_of(&outcome), expected, "seed {seed}, step {step}: {:?}", envelope.command);
        let what = expected.map_or_else(|| envelope.command.op().to_owned(), |code| code.as_str().to_owned());
        *tally.entry(what).or_insert(0) += 1;
        answered.push((envelope, outcome));
        if random.once_in(15) {
            engine.stop();
            engine = start();
            *tally.entry("restarted".to_owned()).or_insert(0) += 1;
        }
    }
    engine.stop();
    // The journal alone says the same.
    let mut market = Market::empty(Default::default());
    for record in store.read_journal(Position::ZERO, usize::MAX).expect("a journal") {
        for event in record.as_record().decode::<Market>().expect("an event") {
            market.fold(&event.stream, event.version, &event.event).expect("events follow from each other");
        }
    }
    let frozen = market.freeze();
    let marks = frozen.feeds().map(|(source, symbol, mark)| ((source.as_str().to_owned(), symbol.as_str().to_owned()), mark));
    assert_eq!(marks.collect::<HashMap<_, _>>(), model.marks, "seed {seed}");
    let figures = MarketFigures { instruments: model.registered.len(), feeds: model.marks.len() };
    assert_eq!(market.figures(), figures, "seed {seed}");
    tally
}

fn code_of<S>(outcome: &Outcome<S>) -> Option<RefusalCode> {
    match outcome {
        Outcome::Accepted(_) => None,
        Outcome::Refused(refused) => Some(refused.refusal.code),
        _ => panic!("neither accepted nor refused"),
    }
}

fn position_of<S>(outcome: &Outcome<S>) -> Option<Position> {
    match outcome {
        Outcome::Accepted(accepted) => Some(accepted.first),
        Outcome::Refused(refused) => refused.position,
        _ => None,
    }
}
