//! The streams of a market journal.

use std::fmt;

use super::ids::{Source, Symbol};
use crate::ids::CommandKey;
use crate::kind::{NotAStream, StreamKey};
use crate::text::ShortText;

/// The stream of one subject of a market journal: `instrument/EURUSD`, `market/polygon:EURUSD`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MarketStream {
    /// The refusal of a command.
    Command(CommandKey),
    /// Events of an instrument.
    Instrument(Symbol),
    /// Events of the journal itself, by its name.
    Journal(ShortText),
    /// What a source gave of an instrument.
    Quotes(Source, Symbol),
}

impl StreamKey for MarketStream {
    fn write_name(&self, out: &mut Vec<u8>) {
        match self {
            MarketStream::Command(key) => {
                out.extend_from_slice(b"command/");
                key.write_to(out);
            }
            MarketStream::Instrument(symbol) => {
                out.extend_from_slice(b"instrument/");
                out.extend_from_slice(symbol.as_str().as_bytes());
            }
            MarketStream::Journal(name) => {
                out.extend_from_slice(b"journal/");
                out.extend_from_slice(name.as_str().as_bytes());
            }
            MarketStream::Quotes(source, symbol) => {
                out.extend_from_slice(b"market/");
                out.extend_from_slice(source.as_str().as_bytes());
                out.push(b':');
                out.extend_from_slice(symbol.as_str().as_bytes());
            }
        }
    }

    fn parse(name: &str) -> Result<Self, NotAStream> {
        let invalid = || NotAStream::invalid(name);
        let (aggregate, id) = name.split_once('/').ok_or_else(invalid)?;
        match aggregate {
            "command" => id.parse().map(MarketStream::Command).map_err(|_| invalid()),
            "instrument" => id.parse().map(MarketStream::Instrument).map_err(|_| invalid()),
            "journal" => id.parse().map(MarketStream::Journal).map_err(|_| invalid()),
            "market" => {
                let (source, symbol) = id.split_once(':').ok_or_else(invalid)?;
                match (source.parse(), symbol.parse()) {
                    (Ok(source), Ok(symbol)) => Ok(MarketStream::Quotes(source, symbol)),
                    _ => Err(invalid()),
                }
            }
            _ => Err(NotAStream::unknown_type(name)),
        }
    }

    fn of_command(key: CommandKey) -> Self {
        MarketStream::Command(key)
    }

    fn of_journal(name: ShortText) -> Self {
        MarketStream::Journal(name)
    }
}

impl fmt::Display for MarketStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MarketStream::Command(key) => write!(f, "command/{key}"),
            MarketStream::Instrument(symbol) => write!(f, "instrument/{symbol}"),
            MarketStream::Journal(name) => write!(f, "journal/{name}"),
            MarketStream::Quotes(source, symbol) => write!(f, "market/{source}:{symbol}"),
        }
    }
}
