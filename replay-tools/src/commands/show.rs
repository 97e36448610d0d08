//! `show`: an entry, an account's history, a stream, a command's records, or one record.

mod account;
mod entry;
mod record;

use std::io::Write;
use std::str::FromStr;

use cauri_domain::ids::{AccountAddress, CommandKey, EntryId};
use cauri_domain::kind::{NotAStream, StreamKey as _};
use cauri_domain::ledger::Ledger;
use cauri_domain::market::MarketStream;
use cauri_domain::time::Timestamp;
use cauri_event_schemas::Position;
use cauri_event_schemas::ledger::{Recorded, StreamId};
use cauri_event_schemas::record::Envelope;
use cauri_event_store::{StoreError, Unreadable};
use clap::Args;

use super::{CommandError, Exit, position};
use crate::origin::{Line, Origin};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    origin: Origin,
    /// An entry's id, an account's address, a position, or a stream such as `journal/ledger`; `command/CALLER KEY` for a command.
    what: Shown,
    /// For an account: only its last so many movements.
    #[arg(long, value_name = "NUMBER")]
    last: Option<usize>,
    /// For an account: what was known at this position.
    #[arg(long, value_name = "POSITION", value_parser = position)]
    known_at: Option<Position>,
    /// For an account: what takes effect at or before this instant (RFC 3339).
    #[arg(long, value_name = "INSTANT")]
    as_of: Option<Timestamp>,
    /// One JSON document instead of text.
    #[arg(long)]
    json: bool,
}

/// What is to be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Shown {
    Record(Position),
    Entry(EntryId),
    Account(AccountAddress),
    Command(CommandKey),
    /// A stream of any kind of journal.
    Stream(String),
}

impl FromStr for Shown {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() {
            return position(text).map(Shown::Record);
        }
        if let Ok(id) = text.parse() {
            return Ok(Shown::Entry(id));
        }
        if !text.contains('/') {
            let nothing = |_| format!("{text:?} is no entry's id, no account's address, no position and no stream");
            return text.parse().map(Shown::Account).map_err(nothing);
        }
        match text.parse() {
            Ok(StreamId::Account(address)) => Ok(Shown::Account(address)),
            Ok(StreamId::Entry(id)) => Ok(Shown::Entry(id)),
            Ok(StreamId::Command(id)) => Ok(Shown::Command(id)),
            Ok(stream) => Ok(Shown::Stream(stream.to_string())),
            Err(_) if MarketStream::parse(text).is_ok() => Ok(Shown::Stream(text.to_owned())),
            Err(_) => Err(NotAStream::invalid(text).to_string()),
        }
    }
}

pub(super) fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<Exit, CommandError> {
    let Arguments { origin, what, json, .. } = arguments;
    match what {
        Shown::Record(position) => match origin.record(*position)? {
            Some(line) => record::show(&[line], *json, out)?,
            None => return Err(CommandError::NotFound(format!("no record stands at {position}"))),
        },
        Shown::Entry(id) => {
            let lines = origin.stream(&StreamId::Entry(*id).to_string())?;
            if lines.is_empty() {
                return Err(CommandError::NotFound(format!("no entry was written under {id}")));
            }
            entry::show(*id, &decoded(&lines)?, *json, out)?;
        }
        Shown::Account(address) => account::show(arguments, address, out)?,
        Shown::Command(id) => {
            let lines = origin.command(id)?;
            if lines.is_empty() {
                let hint = if id.caller.is_none() {
                    "; where commands name their caller it is part of the name: `command/CALLER KEY`"
                } else {
                    ""
                };
                return Err(CommandError::NotFound(format!("no command {id} wrote anything{hint}")));
            }
            record::show(&lines, *json, out)?;
        }
        Shown::Stream(stream) => {
            let lines = origin.stream(stream)?;
            if lines.is_empty() {
                return Err(CommandError::NotFound(format!("nothing was written to {stream}")));
            }
            record::show(&lines, *json, out)?;
        }
    }
    Ok(Exit::Well)
}

/// The events of records, as of today.
fn decoded(lines: &[Line]) -> Result<Vec<Recorded>, CommandError> {
    let mut events = Vec::with_capacity(lines.len());
    for Line { position, bytes } in lines {
        let decoded = Envelope::parse(bytes).and_then(Envelope::decode::<Ledger>);
        events.extend(decoded.map_err(|error| StoreError::from(Unreadable::at(*position, &error)))?);
    }
    Ok(events)
}
