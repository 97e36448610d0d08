//! The commands of a market journal.

use std::sync::Arc;

use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ids::{Source, Symbol};
use crate::event::write_json;
use crate::journal::JournalCommand;
use crate::kind::{KindCommand, declare_as_serialized};
use crate::money::{Currency, decimal_string};
use crate::time::Timestamp;

/// The most quotes that one block may hold.
pub const MAX_QUOTES: usize = 8_000;

/// A command that a market journal takes.
#[derive(Clone, Debug, PartialEq)]
pub enum MarketCommand {
    /// Make an instrument known.
    Register(Arc<RegisterInstrument>),
    /// Take quotes of one instrument from one source.
    Ingest(Arc<IngestQuotes>),
    /// For the journal itself.
    Journal(JournalCommand),
}

/// Make an instrument known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegisterInstrument {
    /// The currency of its prices.
    pub currency: Currency,
    /// How many digits its prices have after the point, at most 12.
    #[schemars(range(max = 12))]
    pub digits: u8,
    /// What one pip is. It is stated, never derived from the price: there is no convention for every class.
    #[serde(with = "decimal_string")]
    #[schemars(with = "String")]
    pub pip: Decimal,
    /// Its name.
    pub symbol: Symbol,
}

/// Take quotes of one instrument from one source, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IngestQuotes {
    /// 1 to 8,000 quotes. Those at or before the last one that was taken from the source are left out.
    #[schemars(length(min = 1, max = 8_000))]
    pub quotes: Vec<Quote>,
    /// Who gave them.
    pub source: Source,
    /// Of which instrument they are.
    pub symbol: Symbol,
}

/// What somebody would pay, and what somebody would sell for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Quote {
    /// The price to buy at.
    #[serde(with = "decimal_string")]
    #[schemars(with = "String")]
    pub ask: Decimal,
    /// When the source says that it was so.
    pub at: Timestamp,
    /// The price to sell at.
    #[serde(with = "decimal_string")]
    #[schemars(with = "String")]
    pub bid: Decimal,
    /// The source's number, where several quotes have one time.
    #[serde(default)]
    pub sequence: u32,
}

impl KindCommand for MarketCommand {
    fn op(&self) -> &'static str {
        match self {
            MarketCommand::Register(_) => "register_instrument",
            MarketCommand::Ingest(_) => "ingest_quotes",
            MarketCommand::Journal(command) => command.op(),
        }
    }

    /// Members in alphabetical order, `op` among them; decimals are normalised, so that one value has one text.
    fn declare(&self, out: &mut Vec<u8>) {
        match self {
            MarketCommand::Register(register) => {
                let RegisterInstrument { currency, digits, pip, symbol } = &**register;
                member(out, b"{\"currency\":", currency);
                member(out, b",\"digits\":", digits);
                member(out, b",\"op\":", self.op());
                member(out, b",\"pip\":", &pip.normalize().to_string());
                member(out, b",\"symbol\":", symbol);
            }
            MarketCommand::Ingest(ingest) => {
                let IngestQuotes { quotes, source, symbol } = &**ingest;
                member(out, b"{\"op\":", self.op());
                out.extend_from_slice(b",\"quotes\":[");
                for (index, Quote { ask, at, bid, sequence }) in quotes.iter().enumerate() {
                    member(out, if index == 0 { b"{\"ask\":" } else { b",{\"ask\":" }, &ask.normalize().to_string());
                    member(out, b",\"at\":", at);
                    member(out, b",\"bid\":", &bid.normalize().to_string());
                    if *sequence > 0 {
                        member(out, b",\"sequence\":", sequence);
                    }
                    out.push(b'}');
                }
                member(out, b"],\"source\":", source);
                member(out, b",\"symbol\":", symbol);
            }
            MarketCommand::Journal(command) => return declare_as_serialized(command.op(), None, command, out),
        }
        out.push(b'}');
    }

    fn for_journal(&self) -> Option<&JournalCommand> {
        match self {
            MarketCommand::Journal(command) => Some(command),
            MarketCommand::Register(_) | MarketCommand::Ingest(_) => None,
        }
    }

    fn parts(&self) -> usize {
        match self {
            MarketCommand::Ingest(ingest) => ingest.quotes.len().max(1),
            MarketCommand::Register(_) | MarketCommand::Journal(_) => 1,
        }
    }
}

fn member<T: Serialize + ?Sized>(out: &mut Vec<u8>, name: &[u8], value: &T) {
    out.extend_from_slice(name);
    write_json(out, value);
}
