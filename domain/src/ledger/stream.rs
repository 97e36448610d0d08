//! The streams of a ledger journal.

use std::fmt;
use std::str::FromStr;

use crate::ids::{AccountAddress, CommandKey, EntryId};
use crate::kind::{NotAStream, StreamKey};
use crate::text::ShortText;

/// The stream of one aggregate of a ledger, named `type/id`: `account/merchants:awa:available`, `entry/0190…`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LedgerStream {
    /// Events of an account.
    Account(AccountAddress),
    /// The refusal of a command.
    Command(CommandKey),
    /// Events of an entry.
    Entry(EntryId),
    /// Events of the journal itself, by its name.
    Journal(ShortText),
}

impl LedgerStream {
    /// The aggregate's type: the part before the slash.
    pub fn aggregate_type(&self) -> &'static str {
        match self {
            LedgerStream::Account(_) => "account",
            LedgerStream::Command(_) => "command",
            LedgerStream::Entry(_) => "entry",
            LedgerStream::Journal(_) => "journal",
        }
    }

    /// The aggregate's id: the part after the slash.
    pub fn aggregate_id(&self) -> String {
        match self {
            LedgerStream::Account(address) => address.to_string(),
            LedgerStream::Command(id) => id.to_string(),
            LedgerStream::Entry(id) => id.to_string(),
            LedgerStream::Journal(name) => name.to_string(),
        }
    }
}

impl LedgerStream {
    /// The entry whose stream it is.
    pub fn as_entry(&self) -> Option<EntryId> {
        match self {
            LedgerStream::Entry(id) => Some(*id),
            LedgerStream::Account(_) | LedgerStream::Command(_) | LedgerStream::Journal(_) => None,
        }
    }
}

impl StreamKey for LedgerStream {
    fn write_name(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.aggregate_type().as_bytes());
        out.push(b'/');
        match self {
            LedgerStream::Account(address) => out.extend_from_slice(address.as_str().as_bytes()),
            LedgerStream::Command(key) => key.write_to(out),
            LedgerStream::Entry(id) => id.write_to(out),
            LedgerStream::Journal(name) => out.extend_from_slice(name.as_str().as_bytes()),
        }
    }

    fn parse(name: &str) -> Result<Self, NotAStream> {
        let invalid = || NotAStream::invalid(name);
        let (aggregate, id) = name.split_once('/').ok_or_else(invalid)?;
        match aggregate {
            "account" => id.parse().map(LedgerStream::Account).map_err(|_| invalid()),
            "command" => id.parse().map(LedgerStream::Command).map_err(|_| invalid()),
            "entry" => id.parse().map(LedgerStream::Entry).map_err(|_| invalid()),
            "journal" => id.parse().map(LedgerStream::Journal).map_err(|_| invalid()),
            _ => Err(NotAStream::unknown_type(name)),
        }
    }

    fn of_command(key: CommandKey) -> Self {
        LedgerStream::Command(key)
    }

    fn of_journal(name: ShortText) -> Self {
        LedgerStream::Journal(name)
    }
}

impl fmt::Display for LedgerStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LedgerStream::Account(address) => write!(f, "account/{address}"),
            LedgerStream::Command(id) => write!(f, "command/{id}"),
            LedgerStream::Entry(id) => write!(f, "entry/{id}"),
            LedgerStream::Journal(name) => write!(f, "journal/{name}"),
        }
    }
}

impl FromStr for LedgerStream {
    type Err = NotAStream;

    fn from_str(name: &str) -> Result<Self, NotAStream> {
        Self::parse(name)
    }
}
