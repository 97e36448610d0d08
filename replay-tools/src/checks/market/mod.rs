//! What a market promises: instruments that are registered once, and quotes that go forward.

mod quotes;

use cauri_domain::Kind;
use cauri_domain::journal;
use cauri_domain::kind::StreamKey as _;
use cauri_domain::market::event::{InstrumentEvent, QuoteEvent};
use cauri_domain::market::{FrozenMarket, Market, MarketEvent, MarketStream};
use cauri_event_store::Snapshot;
use hashbrown::HashMap;

use self::quotes::Quotes;
use super::{Check, KindChecks, versions};
use crate::finding::Findings;
use crate::reading::{Fact, Happening, ReadBatch, Stream};

/// All checks of a market, at one position.
#[derive(Debug, Default)]
pub(crate) struct MarketChecks {
    /// How many records each stream has.
    versions: HashMap<Box<[u8]>, u64>,
    quotes: Quotes,
}

impl KindChecks for MarketChecks {
    fn record(&mut self, batch: &ReadBatch, fact: &Fact, findings: &mut Findings) {
        let (Stream::Other(name, _), Happening::Market(event)) = (fact.stream, &fact.event) else { return };
        let so_far = self.versions.entry(batch.text(name).into()).or_default();
        versions::check(batch, fact, *so_far, findings);
        *so_far += u64::from(fact.part == 0);
        match (MarketStream::parse(&batch.shown(name)), &**event) {
            (Ok(MarketStream::Instrument(symbol)), MarketEvent::Instrument(InstrumentEvent::Registered(registered))) => {
                let is_new = self.quotes.register(symbol.clone(), registered);
                if !is_new {
                    findings.at(Check::Transitions, fact.position, format!("instrument {symbol} was registered before"));
                }
            }
            (Ok(MarketStream::Quotes(source, symbol)), MarketEvent::Quote(QuoteEvent::Quoted(quoted))) => {
                self.quotes.check((source, symbol), quoted, fact.position, findings);
            }
            // An event in a stream of another kind: `schemas` has told it.
            _ => {}
        }
    }

    fn compare_snapshot(&self, snapshot: &Snapshot, findings: &mut Findings) -> String {
        let position = snapshot.head.position;
        let (of, frozen) = match postcard::from_bytes::<Frozen>(&snapshot.state) {
            Ok((journal::FROZEN_SHAPE, Market::FROZEN_SHAPE, kind, of, frozen)) if kind == Market::NAME => (of, frozen),
            _ => return format!("the one at {position} is of another program's shape: only its head was compared"),
        };
        let mut told = |what: String| findings.at(Check::Snapshots, position, what);
        if of != position.get() {
            told(format!("the snapshot at {position} says that it is of position {of}"));
        }
        let (instruments, feeds) = (frozen.instruments().count() as u64, frozen.feeds().count() as u64);
        if (instruments, feeds) != (self.quotes.instruments(), self.quotes.feeds()) {
            let journal = format!("{} and {}", self.quotes.instruments(), self.quotes.feeds());
            told(format!("the snapshot has {instruments} instruments and {feeds} feeds, the journal {journal}"));
        }
        for (symbol, digits) in frozen.instruments() {
            if self.quotes.digits(symbol) != Some(digits) {
                told(format!("instrument {symbol} is in the snapshot with prices of {digits} digits, and not so in the journal"));
            }
        }
        for (source, symbol, last) in frozen.feeds() {
            if self.quotes.last(source, symbol) != Some(last) {
                let journal = self.quotes.last(source, symbol);
                told(format!("the last quote of {symbol} by {source} is {last:?} in the snapshot, {journal:?} in the journal"));
            }
        }
        format!("{instruments} instruments and the last quotes of {feeds} feeds compared at {position}")
    }

    fn end(&mut self, _: &mut Findings) {}

    fn holding(&self) -> Vec<(&'static str, u64)> {
        vec![("instruments", self.quotes.instruments()), ("feeds", self.quotes.feeds()), ("quotes", self.quotes.count())]
    }
}

/// The engine's snapshot as far as it is looked into: the numbers of its shapes, the kind, the position, the market.
type Frozen = (u32, u32, String, u64, FrozenMarket);
