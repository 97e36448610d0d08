//! What happened to instruments and their quotes.
//!
//! NOTE: these names and fields are the storage format; `event-schemas/samples` holds a frozen sample of each version. Fields
//! stand in alphabetical order, so that writing them in order is canonical JSON.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use rust_decimal::Decimal;

use crate::command::CommandEvent;
use crate::event::Payload;
use crate::journal::JournalEvent;
use crate::kind::KindEvent;
use crate::money::{Currency, decimal_string};
use crate::{event_types, event_union, example};

event_types! {
    /// Everything that can have happened to an instrument.
    pub enum InstrumentEvent {
        /// It is known from here on.
        Registered(InstrumentRegistered) = "instrument.registered" 1,
    }
}

event_types! {
    /// Everything that can have come from a source about an instrument.
    pub enum QuoteEvent {
        /// Its quotes, many in one block.
        Quoted(Quoted) = "market.quoted" 1,
    }
}

event_union! {
    /// Everything that can have happened in a market journal.
    pub enum MarketEvent {
        /// From a source, about an instrument.
        Quote(QuoteEvent),
        /// To an instrument.
        Instrument(InstrumentEvent),
        /// To a command that wrote nothing else.
        Command(CommandEvent),
        /// To the journal itself.
        Journal(JournalEvent),
    }
}

impl KindEvent for MarketEvent {
    fn as_command(&self) -> Option<&CommandEvent> {
        match self {
            MarketEvent::Command(event) => Some(event),
            MarketEvent::Quote(_) | MarketEvent::Instrument(_) | MarketEvent::Journal(_) => None,
        }
    }

    fn as_journal(&self) -> Option<&JournalEvent> {
        match self {
            MarketEvent::Journal(event) => Some(event),
            MarketEvent::Quote(_) | MarketEvent::Instrument(_) | MarketEvent::Command(_) => None,
        }
    }
}

/// `instrument.registered`, version 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InstrumentRegistered {
    /// The currency of its prices.
    pub currency: Currency,
    /// How many digits its prices have after the point.
    pub digits: u8,
    /// What one pip is.
    #[serde(with = "decimal_string")]
    #[schemars(with = "String")]
    pub pip: Decimal,
}

impl Payload for InstrumentRegistered {
    fn examples() -> Vec<Self> {
        vec![Self { currency: Currency::USD, digits: 5, pip: Decimal::new(1, 4) }]
    }
}

/// `market.quoted`, version 1: a block of quotes in columns.
///
/// Prices are in units of the last digit that the instrument has. In `ask` and `at` the first number stands as it is, and
/// each other one is the difference to the one before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Quoted {
    /// What somebody sold for: the first price, then differences.
    pub ask: Vec<i64>,
    /// When: microseconds since 1970, then differences.
    pub at: Vec<i64>,
    /// The source's number of each quote; empty where all are 0.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sequence: Vec<u32>,
    /// How many quotes of the block had been taken before and were left out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub skipped: u32,
    /// How much less somebody would pay than somebody would sell for.
    pub spread: Vec<i64>,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Payload for Quoted {
    fn examples() -> Vec<Self> {
        let start = example::start().as_micros();
        let full =
            Self { ask: vec![108_421, 3, -1], at: vec![start, 250_000, 0], sequence: vec![0, 0, 1], skipped: 2, spread: vec![9, 9, 10] };
        vec![full, Self { ask: vec![108_421], at: vec![start], sequence: Vec::new(), skipped: 0, spread: vec![9] }]
    }
}

impl Quoted {
    /// The time, in microseconds since 1970, and the source's number of the last quote; none where the block contradicts
    /// itself.
    pub fn last(&self) -> Option<(i64, u32)> {
        let count = self.at.len();
        let fits = count > 0 && self.ask.len() == count && self.spread.len() == count;
        let numbered = self.sequence.is_empty() || self.sequence.len() == count;
        if !fits || !numbered {
            return None;
        }
        let at = self.at.iter().try_fold(0_i64, |sum, difference| sum.checked_add(*difference))?;
        Some((at, self.sequence.last().copied().unwrap_or(0)))
    }
}
