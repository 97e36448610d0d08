//! The rules of market data: state and command in, an event or a refusal out.

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use super::command::{IngestQuotes, MAX_QUOTES, Quote, RegisterInstrument};
use super::event::{InstrumentEvent, InstrumentRegistered, QuoteEvent, Quoted};
use super::{Feed, Market, MarketCommand, MarketStream};
use crate::kind::World;
use crate::refusal::{Refusal, RefusalCode};
use crate::time::Timestamp;

/// The most digits that a price may have after the point.
const MAX_DIGITS: u8 = 12;

/// Decides a command for an instrument or its quotes.
pub(super) fn decide(command: &MarketCommand, world: &mut impl World<Market>) -> Result<(), Refusal> {
    match command {
        MarketCommand::Register(register) => {
            let event = self::register(register, world.state())?;
            world.record(MarketStream::Instrument(register.symbol.clone()), InstrumentEvent::Registered(event).into());
        }
        MarketCommand::Ingest(ingest) => {
            let event = self::ingest(ingest, world.state(), world.now())?;
            let stream = MarketStream::Quotes(ingest.source.clone(), ingest.symbol.clone());
            world.record(stream, QuoteEvent::Quoted(event).into());
        }
        // Commands for the journal itself are decided before those of its kind.
        MarketCommand::Journal(_) => {}
    }
    Ok(())
}

fn register(register: &RegisterInstrument, market: &Market) -> Result<InstrumentRegistered, Refusal> {
    let RegisterInstrument { currency, digits, pip, symbol } = register;
    if market.instrument(symbol).is_some() {
        return Err(Refusal::new(RefusalCode::InstrumentExists, format!("{symbol} is registered")).at("/symbol"));
    }
    if *digits > MAX_DIGITS {
        let detail = format!("a price has at most {MAX_DIGITS} digits after the point, not {digits}");
        return Err(Refusal::new(RefusalCode::InvalidQuote, detail).at("/digits"));
    }
    ticks(*pip, *digits).map_err(|what| Refusal::new(RefusalCode::InvalidQuote, format!("a pip of {pip} {what}")).at("/pip"))?;
    Ok(InstrumentRegistered { currency: *currency, digits: *digits, pip: pip.normalize() })
}

fn ingest(ingest: &IngestQuotes, market: &Market, now: Timestamp) -> Result<Quoted, Refusal> {
    let IngestQuotes { quotes, source, symbol } = ingest;
    let Some(instrument) = market.instrument(symbol) else {
        return Err(Refusal::new(RefusalCode::InstrumentNotFound, format!("{symbol} was never registered")).at("/symbol"));
    };
    if quotes.is_empty() || quotes.len() > MAX_QUOTES {
        let detail = format!("a block has 1 to {MAX_QUOTES} quotes, not {}", quotes.len());
        return Err(Refusal::new(RefusalCode::InvalidQuote, detail).at("/quotes"));
    }
    let taken = market.feed(source, symbol).map(Feed::mark);
    let latest = now.saturating_add_secs(market.rules.max_future_secs());
    let mut block = Quoted { ask: Vec::new(), at: Vec::new(), sequence: Vec::new(), skipped: 0, spread: Vec::new() };
    let (mut before, mut last) = (None, (0_i64, 0_i64));
    for (index, quote) in quotes.iter().enumerate() {
        let (ask, bid) = prices(quote, instrument.digits, index)?;
        let mark = (quote.at.as_micros(), quote.sequence);
        if before.is_some_and(|before| mark <= before) {
            let detail = format!("the quote of {} with the number {} does not come after the one before it", quote.at, quote.sequence);
            return Err(Refusal::new(RefusalCode::QuotesOutOfOrder, detail).at(format!("/quotes/{index}/at")));
        }
        if quote.at > latest {
            let detail = format!("{} is after {latest}, the last instant that a quote may be dated at now", quote.at);
            return Err(Refusal::new(RefusalCode::EffectiveInFutureTooFar, detail).at(format!("/quotes/{index}/at")));
        }
        before = Some(mark);
        if taken.is_some_and(|taken| mark <= taken) {
            block.skipped += 1;
            continue;
        }
        block.ask.push(ask - last.0);
        block.at.push(mark.0 - last.1);
        block.sequence.push(quote.sequence);
        block.spread.push(ask - bid);
        last = (ask, mark.0);
    }
    if block.at.is_empty() {
        let detail = format!("{source} gave quotes of {symbol} up to the last of these before");
        return Err(Refusal::new(RefusalCode::QuotesNotNew, detail).at("/quotes"));
    }
    if block.sequence.iter().all(|number| *number == 0) {
        block.sequence.clear();
    }
    Ok(block)
}

/// Ask and bid in units of the instrument's last digit.
fn prices(quote: &Quote, digits: u8, index: usize) -> Result<(i64, i64), Refusal> {
    let price = |name: &str, price: Decimal| {
        ticks(price, digits).map_err(|what| {
            Refusal::new(RefusalCode::InvalidQuote, format!("a price of {price} {what}")).at(format!("/quotes/{index}/{name}"))
        })
    };
    let (ask, bid) = (price("ask", quote.ask)?, price("bid", quote.bid)?);
    if bid > ask {
        let detail = format!("the bid of {} is above the ask of {}", quote.bid, quote.ask);
        return Err(Refusal::new(RefusalCode::InvalidQuote, detail).at(format!("/quotes/{index}/bid")));
    }
    Ok((ask, bid))
}

/// A positive number in units of the last of so many digits; what is wrong with it otherwise.
fn ticks(price: Decimal, digits: u8) -> Result<i64, String> {
    if price.is_sign_negative() || price.is_zero() {
        return Err("is not more than zero".into());
    }
    let price = price.normalize();
    if price.scale() > u32::from(digits) {
        return Err(format!("has more than {digits} digits after the point"));
    }
    let factor = Decimal::from(10_u64.pow(u32::from(digits)));
    // Differences of two prices must fit as well.
    let ticks = price.checked_mul(factor).and_then(|ticks| ticks.to_i64()).filter(|ticks| *ticks < 1 << 53);
    ticks.ok_or_else(|| "is too large".into())
}
