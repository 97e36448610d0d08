//! The rules of market data: which quotes are taken, what a block holds, and what is refused.

use std::sync::Arc;

use cauri_domain::ids::CommandKey;
use cauri_domain::journal::{Journal, Rules};
use cauri_domain::kind::{Kind, World, decide};
use cauri_domain::market::event::{QuoteEvent, Quoted};
use cauri_domain::market::{
    IngestQuotes, Market, MarketAggregate, MarketCommand, MarketEvent, MarketStream, Quote, REFUSALS, RegisterInstrument, Symbol,
};
use cauri_domain::money::{Currency, decimal_string};
use cauri_domain::text::ShortText;
use cauri_domain::time::Timestamp;
use cauri_domain::{Refusal, RefusalCode};

/// A market at eight in the morning, and what happened in it.
struct Morning {
    market: Market,
    journal: Journal,
    name: ShortText,
    key: CommandKey,
    events: Vec<MarketEvent>,
}

impl World<Market> for Morning {
    type Mark = (<Market as Kind>::Mark, usize);

    fn now(&self) -> Timestamp {
        at("08:00:00")
    }

    fn key(&self) -> &CommandKey {
        &self.key
    }

    fn journal_name(&self) -> &ShortText {
        &self.name
    }

    fn journal(&self) -> &Journal {
        &self.journal
    }

    fn state(&self) -> &Market {
        &self.market
    }

    fn aggregate(&mut self, stream: &MarketStream) -> MarketAggregate {
        panic!("a market loads nothing, and {stream} was asked for")
    }

    fn record(&mut self, stream: MarketStream, event: MarketEvent) {
        self.market.fold(&stream, self.market.version(&stream).next(), &event).expect("what was decided can be folded");
        self.events.push(event);
    }

    fn mark(&mut self) -> Self::Mark {
        (self.market.mark(), self.events.len())
    }

    fn roll_back(&mut self, (mark, events): Self::Mark) {
        self.market.roll_back(mark);
        self.events.truncate(events);
    }
}

impl Morning {
    /// The euro is known, and quotes of it were taken up to seven o'clock.
    fn new() -> Self {
        let (name, key) = ("market".parse().expect("a name"), "c".parse().expect("a key"));
        let mut morning = Self { market: Market::empty(Rules::default()), journal: Journal::default(), name, key, events: Vec::new() };
        morning.ask(&register("EURUSD", 5, "0.0001")).expect("it is new");
        morning.ask(&quotes("EURUSD", &[("07:00:00", "1.0843", "1.08421")])).expect("they are new");
        morning
    }

    fn ask(&mut self, command: &MarketCommand) -> Result<(), Refusal> {
        decide::<Market, _>(command, self)
    }

    fn last_block(&self) -> &Quoted {
        let Some(MarketEvent::Quote(QuoteEvent::Quoted(block))) = self.events.last() else { panic!("{:?}", self.events.last()) };
        block
    }
}

fn at(time: &str) -> Timestamp {
    format!("2026-03-16T{time}Z").parse().expect("an instant")
}

fn symbol(name: &str) -> Symbol {
    name.parse().expect("a symbol")
}

fn register(name: &str, digits: u8, pip: &str) -> MarketCommand {
    let pip = decimal_string::parse(pip).expect("a decimal");
    MarketCommand::Register(Arc::new(RegisterInstrument { currency: Currency::USD, digits, pip, symbol: symbol(name) }))
}

/// Quotes as (time, ask, bid).
fn quotes(name: &str, quotes: &[(&str, &str, &str)]) -> MarketCommand {
    let decimal = |text: &str| decimal_string::parse(text).expect("a decimal");
    let quote = |(time, ask, bid): &(&str, &str, &str)| Quote { ask: decimal(ask), at: at(time), bid: decimal(bid), sequence: 0 };
    let source = "polygon".parse().expect("a source");
    MarketCommand::Ingest(Arc::new(IngestQuotes { quotes: quotes.iter().map(quote).collect(), source, symbol: symbol(name) }))
}

#[test]
fn a_block_has_its_columns_in_differences_and_leaves_out_what_was_taken_before() {
    let mut morning = Morning::new();
    let asked = [("07:00:00", "1.0843", "1.08421"), ("07:00:01", "1.08433", "1.08424"), ("07:00:01.25", "1.08432", "1.08422")];
    morning.ask(&quotes("EURUSD", &asked)).expect("two are new");
    let block = morning.last_block();
    assert_eq!(block.skipped, 1, "the first was taken before");
    assert_eq!((&block.ask, &block.spread), (&vec![108_433, -1], &vec![9, 10]));
    assert_eq!(block.at, [at("07:00:01").as_micros(), 250_000]);
    assert_eq!(block.last(), Some((at("07:00:01.25").as_micros(), 0)));
    assert_eq!(morning.ask(&quotes("EURUSD", &asked)).expect_err("all were taken").code, RefusalCode::QuotesNotNew);
}

#[test]
fn every_refusal_of_a_market_names_its_place_and_leaves_nothing_behind() {
    let good = ("07:30:00", "1.0843", "1.0842");
    let rows = [
        (register("EURUSD", 5, "0.0001"), RefusalCode::InstrumentExists, "/symbol"),
        (register("XAUUSD", 13, "0.1"), RefusalCode::InvalidQuote, "/digits"),
        (register("XAUUSD", 2, "0.001"), RefusalCode::InvalidQuote, "/pip"),
        (register("XAUUSD", 2, "0"), RefusalCode::InvalidQuote, "/pip"),
        (quotes("XAUUSD", &[good]), RefusalCode::InstrumentNotFound, "/symbol"),
        (quotes("EURUSD", &[]), RefusalCode::InvalidQuote, "/quotes"),
        (quotes("EURUSD", &[good, ("07:31:00", "1.084300", "-1")]), RefusalCode::InvalidQuote, "/quotes/1/bid"),
        (quotes("EURUSD", &[("07:30:00", "1.084301", "1.08")]), RefusalCode::InvalidQuote, "/quotes/0/ask"),
        (quotes("EURUSD", &[("07:30:00", "1.08", "1.09")]), RefusalCode::InvalidQuote, "/quotes/0/bid"),
        (quotes("EURUSD", &[("07:30:00", "79228162514264337593543950335", "1")]), RefusalCode::InvalidQuote, "/quotes/0/ask"),
        (quotes("EURUSD", &[good, good]), RefusalCode::QuotesOutOfOrder, "/quotes/1/at"),
        (quotes("EURUSD", &[("07:00:00", "1.0843", "1.08421")]), RefusalCode::QuotesNotNew, "/quotes"),
    ];
    for (command, code, pointer) in &rows {
        let mut morning = Morning::new();
        let (before, events) = (morning.market.freeze(), morning.events.len());
        let refusal = morning.ask(command).expect_err("it is wrong");
        assert_eq!((refusal.code, refusal.pointer.as_deref()), (*code, Some(*pointer)), "{}", refusal.detail);
        assert_eq!((format!("{:?}", morning.market.freeze()), morning.events.len()), (format!("{before:?}"), events));
    }
    for code in REFUSALS {
        assert!(rows.iter().any(|(_, answer, _)| answer == code), "no row answers {code}");
    }
}

#[test]
fn a_quote_of_the_future_is_refused_as_the_rules_of_the_journal_say() {
    let quote = Quote { at: at("08:00:00").saturating_add_secs(8 * 86_400), ..quote_of(&quotes("EURUSD", &[("07:30:00", "1.1", "1")])) };
    let source = "polygon".parse().expect("a source");
    let command = MarketCommand::Ingest(Arc::new(IngestQuotes { quotes: vec![quote], source, symbol: symbol("EURUSD") }));
    let mut morning = Morning::new();
    assert_eq!(morning.ask(&command).expect_err("in eight days").code, RefusalCode::EffectiveInFutureTooFar);
    morning.market.set_rules(Rules { max_future_days: 9, ..Rules::default() });
    morning.ask(&command).expect("within nine days");
}

fn quote_of(command: &MarketCommand) -> Quote {
    let MarketCommand::Ingest(ingest) = command else { panic!("quotes") };
    ingest.quotes[0]
}

#[test]
fn a_block_that_contradicts_itself_or_goes_back_is_corruption() {
    let mut morning = Morning::new();
    let stream = MarketStream::Quotes("polygon".parse().expect("a source"), symbol("EURUSD"));
    let block = Quoted { ask: vec![1], at: vec![at("07:30:00").as_micros()], sequence: vec![], skipped: 0, spread: vec![0] };
    let wrong = [
        Quoted { ask: vec![1, 2], ..block.clone() },
        Quoted { at: vec![], ..block.clone() },
        Quoted { sequence: vec![1, 2], ..block.clone() },
        Quoted { at: vec![i64::MAX, 1], ask: vec![1, 1], spread: vec![0, 0], ..block.clone() },
        Quoted { at: vec![at("07:00:00").as_micros()], ..block.clone() },
    ];
    let version = morning.market.version(&stream).next();
    for quoted in wrong {
        let event = MarketEvent::Quote(QuoteEvent::Quoted(quoted));
        morning.market.fold(&stream, version, &event).expect_err("no decision wrote it");
    }
    morning.market.fold(&stream, version, &MarketEvent::Quote(QuoteEvent::Quoted(block))).expect("it follows");
}
