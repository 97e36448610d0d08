//! The market: the journal kind that holds instruments and their quotes.
//!
//! Quotes come in blocks: one record holds many, in columns of differences. A high-water mark for each
//! source and instrument says what was taken before, so that a quote needs no key of its own.

pub mod command;
mod decide;
pub mod event;
pub mod ids;
mod stream;

use std::convert::Infallible;

use foldhash::quality::FixedState;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

pub use command::{IngestQuotes, MarketCommand, Quote, RegisterInstrument};
pub use event::MarketEvent;
pub use ids::{Source, Symbol};
pub use stream::MarketStream;

use crate::IllegalTransition;
use crate::event::EventSet;
use crate::example;
use crate::fold::{Mark, UndoLog};
use crate::ids::{CommandId, CommandKey};
use crate::journal::Rules;
use crate::kind::{Kind, Loaded, World};
use crate::market::event::{InstrumentEvent, QuoteEvent};
use crate::position::StreamVersion;
use crate::refusal::{Refusal, RefusalCode};
use crate::text::ShortText;
use crate::time::Timestamp;

/// The refusals that no other kind answers with.
pub const REFUSALS: &[RefusalCode] = &[
    RefusalCode::InstrumentExists,
    RefusalCode::InstrumentNotFound,
    RefusalCode::InvalidQuote,
    RefusalCode::QuotesOutOfOrder,
    RefusalCode::QuotesNotNew,
];

/// The most bytes that one quote adds to a record.
const QUOTE_BYTES: usize = 80;

/// The most bytes of a record of a market beside its quotes.
const RECORD_BYTES: usize = 4_096;

/// Everything that the decisions of a market look at.
#[derive(Debug, Default)]
pub struct Market {
    rules: Rules,
    instruments: HashMap<Symbol, Instrument, FixedState>,
    feeds: HashMap<(Source, Symbol), Feed, FixedState>,
    undo: UndoLog<PreImage>,
}

/// An instrument, as far as decisions look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instrument {
    digits: u8,
    version: StreamVersion,
}

/// What was taken from a source of an instrument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Feed {
    at: i64,
    sequence: u32,
    version: StreamVersion,
}

impl Feed {
    /// Time and number of the last quote: only later ones are new.
    fn mark(&self) -> (i64, u32) {
        (self.at, self.sequence)
    }
}

/// What one change replaced.
#[derive(Debug)]
enum PreImage {
    Registered(Symbol),
    Feed((Source, Symbol), Option<Feed>),
}

/// A market for a snapshot.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FrozenMarket {
    instruments: Vec<(Symbol, Instrument)>,
    feeds: Vec<((Source, Symbol), Feed)>,
}

impl FrozenMarket {
    /// The instruments, with the digits of their prices.
    pub fn instruments(&self) -> impl Iterator<Item = (&Symbol, u8)> {
        self.instruments.iter().map(|(symbol, instrument)| (symbol, instrument.digits))
    }

    /// For each source of an instrument the time, in microseconds since 1970, and the source's number of the last quote.
    pub fn feeds(&self) -> impl Iterator<Item = (&Source, &Symbol, (i64, u32))> {
        self.feeds.iter().map(|((source, symbol), feed)| (source, symbol, feed.mark()))
    }
}

/// A market loads no aggregate: everything that it decides on is small and stays in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarketAggregate {}

/// Figures of a market.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MarketFigures {
    /// Instruments that are known.
    pub instruments: usize,
    /// Pairs of source and instrument that gave quotes.
    pub feeds: usize,
}

impl Market {
    /// The instrument with this name, if it is known.
    fn instrument(&self, symbol: &Symbol) -> Option<&Instrument> {
        self.instruments.get(symbol)
    }

    /// What was taken from a source of an instrument, if anything was.
    fn feed(&self, source: &Source, symbol: &Symbol) -> Option<&Feed> {
        self.feeds.get(&(source.clone(), symbol.clone()))
    }
}

impl Kind for Market {
    const NAME: &'static str = "market";
    const OWN_COMMANDS: Option<&'static str> = None;
    const FROZEN_SHAPE: u32 = 4;

    type Command = MarketCommand;
    type Event = MarketEvent;
    type Stream = MarketStream;
    type Aggregate = MarketAggregate;
    type Mark = Mark;
    type Frozen = FrozenMarket;
    type Due = Infallible;
    type Figures = MarketFigures;

    fn empty(rules: Rules) -> Self {
        Self { rules, ..Self::default() }
    }

    fn set_rules(&mut self, rules: Rules) {
        self.rules = rules;
    }

    fn target(command: &MarketCommand, journal: &ShortText) -> MarketStream {
        match command {
            MarketCommand::Register(register) => MarketStream::Instrument(register.symbol.clone()),
            MarketCommand::Ingest(ingest) => MarketStream::Quotes(ingest.source.clone(), ingest.symbol.clone()),
            MarketCommand::Journal(_) => MarketStream::Journal(journal.clone()),
        }
    }

    fn needs(&self, _: &MarketCommand, _: &CommandKey, _: &impl Loaded<Self>, _: &mut impl FnMut(MarketStream)) {}

    fn unwritten(_: &MarketStream) -> Option<MarketAggregate> {
        None
    }

    fn resident(&self, _: &MarketStream) -> Option<(MarketAggregate, StreamVersion)> {
        None
    }

    fn version(&self, stream: &MarketStream) -> StreamVersion {
        match stream {
            MarketStream::Instrument(symbol) => self.instrument(symbol).map_or(StreamVersion::ZERO, |instrument| instrument.version),
            MarketStream::Quotes(source, symbol) => self.feed(source, symbol).map_or(StreamVersion::ZERO, |feed| feed.version),
            MarketStream::Command(_) | MarketStream::Journal(_) => StreamVersion::ZERO,
        }
    }

    fn evolve(aggregate: MarketAggregate, _: &MarketEvent) -> Result<MarketAggregate, IllegalTransition> {
        match aggregate {}
    }

    fn fold(&mut self, stream: &MarketStream, version: StreamVersion, event: &MarketEvent) -> Result<(), IllegalTransition> {
        let illegal = |state: &str| IllegalTransition::new(stream.to_string(), state, event.name());
        match (event, stream) {
            (MarketEvent::Instrument(InstrumentEvent::Registered(registered)), MarketStream::Instrument(symbol)) => {
                if self.instruments.contains_key(symbol) {
                    return Err(illegal("registered"));
                }
                self.undo.push(PreImage::Registered(symbol.clone()));
                self.instruments.insert(symbol.clone(), Instrument { digits: registered.digits, version });
                Ok(())
            }
            (MarketEvent::Quote(QuoteEvent::Quoted(quoted)), MarketStream::Quotes(source, symbol)) => {
                if !self.instruments.contains_key(symbol) {
                    return Err(illegal("of an instrument that was never registered"));
                }
                let (at, sequence) = quoted.last().ok_or_else(|| illegal("given a block whose columns do not fit each other"))?;
                let feed = (source.clone(), symbol.clone());
                let before = self.feeds.get(&feed).copied();
                if before.is_some_and(|before| (at, sequence) <= before.mark()) {
                    return Err(illegal("further on than the last quote of the block"));
                }
                self.undo.push(PreImage::Feed(feed.clone(), before));
                self.feeds.insert(feed, Feed { at, sequence, version });
                Ok(())
            }
            (MarketEvent::Command(_), MarketStream::Command(_)) | (MarketEvent::Journal(_), MarketStream::Journal(_)) => Ok(()),
            _ => Err(illegal("of another type")),
        }
    }

    fn decide(command: &MarketCommand, world: &mut impl World<Self>) -> Result<(), Refusal> {
        decide::decide(command, world)
    }

    fn weight(&self, command: &MarketCommand, _: &impl Loaded<Self>) -> usize {
        match command {
            MarketCommand::Ingest(ingest) => RECORD_BYTES + ingest.quotes.len() * QUOTE_BYTES,
            MarketCommand::Register(_) | MarketCommand::Journal(_) => RECORD_BYTES,
        }
    }

    fn due(&self) -> impl Iterator<Item = (Timestamp, Infallible)> {
        std::iter::empty()
    }

    fn when_due(never: Infallible) -> (CommandId, MarketCommand) {
        match never {}
    }

    fn mark(&self) -> Mark {
        self.undo.mark()
    }

    fn roll_back(&mut self, mark: Mark) {
        while let Some(pre_image) = self.undo.pop_after(mark) {
            match pre_image {
                PreImage::Registered(symbol) => drop(self.instruments.remove(&symbol)),
                PreImage::Feed(feed, Some(before)) => drop(self.feeds.insert(feed, before)),
                PreImage::Feed(feed, None) => drop(self.feeds.remove(&feed)),
            }
        }
    }

    fn forget(&mut self, mark: Mark) {
        self.undo.forget(mark);
    }

    fn len(&self) -> usize {
        self.instruments.len() + self.feeds.len()
    }

    fn freeze(&self) -> FrozenMarket {
        let mut instruments: Vec<_> = self.instruments.iter().map(|(symbol, instrument)| (symbol.clone(), *instrument)).collect();
        let mut feeds: Vec<_> = self.feeds.iter().map(|(feed, last)| (feed.clone(), *last)).collect();
        // One state, one snapshot.
        instruments.sort_by(|left, right| left.0.cmp(&right.0));
        feeds.sort_by(|left, right| left.0.cmp(&right.0));
        FrozenMarket { instruments, feeds }
    }

    fn thaw(frozen: FrozenMarket, rules: Rules) -> Self {
        Self { instruments: frozen.instruments.into_iter().collect(), feeds: frozen.feeds.into_iter().collect(), ..Self::empty(rules) }
    }

    fn figures(&self) -> MarketFigures {
        MarketFigures { instruments: self.instruments.len(), feeds: self.feeds.len() }
    }

    fn example_stream(event: &MarketEvent) -> MarketStream {
        let symbol = || "EURUSD".parse().expect("a symbol");
        match event {
            MarketEvent::Quote(_) => MarketStream::Quotes("polygon".parse().expect("a source"), symbol()),
            MarketEvent::Instrument(_) => MarketStream::Instrument(symbol()),
            MarketEvent::Command(_) => MarketStream::Command(example::command()),
            MarketEvent::Journal(_) => MarketStream::Journal(example::text("market")),
        }
    }
}
