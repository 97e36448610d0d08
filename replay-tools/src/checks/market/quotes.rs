//! `quotes`: quotes of each source and instrument go forward, and instrument and prices are possible.

use cauri_domain::market::event::{InstrumentRegistered, Quoted};
use cauri_domain::market::{Source, Symbol};
use cauri_event_schemas::Position;
use hashbrown::HashMap;

use super::super::Check;
use crate::finding::Findings;

/// The most digits that a price may have after the point.
const MOST_DIGITS: u8 = 12;

/// Instruments, and how far the quotes of each source go. It shares no arithmetic with the engine's fold, which looks at the
/// last quote of a block: here each one is looked at.
#[derive(Debug, Default)]
pub(crate) struct Quotes {
    instruments: HashMap<Symbol, u8>,
    /// Time, in microseconds since 1970, and the source's number of the last quote.
    last: HashMap<(Source, Symbol), (i64, u32)>,
    count: u64,
}

impl Quotes {
    /// Adds an instrument; `false` where it was there before.
    pub(super) fn register(&mut self, symbol: Symbol, registered: &InstrumentRegistered) -> bool {
        self.instruments.insert(symbol, registered.digits).is_none()
    }

    /// Looks at every quote of a block.
    pub(super) fn check(&mut self, feed: (Source, Symbol), block: &Quoted, position: Position, findings: &mut Findings) {
        let (source, symbol) = &feed;
        let mut told = |what: String| findings.at(Check::Quotes, position, format!("quotes of {symbol} by {source}: {what}"));
        match self.instruments.get(symbol) {
            None => told("the instrument was never registered".into()),
            Some(digits) if *digits > MOST_DIGITS => told(format!("its prices have {digits} digits after the point")),
            Some(_) => {}
        }
        let count = block.at.len();
        let fits = [block.ask.len(), block.spread.len()] == [count; 2] && [0, count].contains(&block.sequence.len());
        if count == 0 || !fits {
            return told("the columns of the block do not have one length".into());
        }
        let (mut at, mut ask) = (0_i64, 0_i64);
        for index in 0..count {
            let (Some(time), Some(price)) = (at.checked_add(block.at[index]), ask.checked_add(block.ask[index])) else {
                return told(format!("quote {} of the block is beyond all numbers", index + 1));
            };
            (at, ask) = (time, price);
            let place = (at, block.sequence.get(index).copied().unwrap_or(0));
            let spread = block.spread[index];
            if self.last.get(&feed).is_some_and(|last| place <= *last) {
                return told(format!("quote {} of the block does not come after the one before it", index + 1));
            }
            // Of two numbers that are not below zero the difference is a number.
            if ask <= 0 || spread < 0 || ask - spread <= 0 {
                told(format!("quote {} of the block has an ask of {ask} and a spread of {spread} in units of its last digit", index + 1));
            }
            match self.last.get_mut(&feed) {
                Some(last) => *last = place,
                None => drop(self.last.insert(feed.clone(), place)),
            }
            self.count += 1;
        }
    }

    /// How many instruments were registered.
    pub(super) fn instruments(&self) -> u64 {
        self.instruments.len() as u64
    }

    /// How many pairs of source and instrument gave quotes.
    pub(super) fn feeds(&self) -> u64 {
        self.last.len() as u64
    }

    /// How many quotes there are.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The digits of an instrument's prices.
    pub(super) fn digits(&self, symbol: &Symbol) -> Option<u8> {
        self.instruments.get(symbol).copied()
    }

    /// The last quote of a source of an instrument.
    pub(super) fn last(&self, source: &Source, symbol: &Symbol) -> Option<(i64, u32)> {
        self.last.get(&(source.clone(), symbol.clone())).copied()
    }
}
