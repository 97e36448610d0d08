//! The aggregates that a ledger is made of: their commands, their events and their streams, put together.
//!
//! The rules of one aggregate are in its own folder; rules that involve several aggregates are in `decide.rs`.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::{Ledger, decide, declared, format_1};
use crate::account::{AccountAction, AccountCommand, AccountEvent, OpenAccount};
use crate::account_set::{self, AccountSetCommand, AccountSetEvent, SetName};
use crate::command::CommandEvent;
use crate::entry::{EntryAction, EntryEvent, PostEntry};
use crate::event_union;
use crate::ids::{AccountAddress, CommandKey, EntryId};
use crate::journal::{JournalCommand, JournalEvent};
use crate::kind::{KindCommand, KindEvent, NotAStream, StreamKey, World, declare_as_serialized};
use crate::refusal::Refusal;
use crate::text::ShortText;

/// A command that a ledger journal takes. Cheap to clone: what it asks stands behind an `Arc`.
#[derive(Clone, Debug, PartialEq)]
pub enum LedgerCommand {
    /// For an account, and its sweep where it is closed.
    Account(AccountCommand),
    /// For an entry, and its opposite where it is reversed.
    Entry {
        /// Which entry.
        id: EntryId,
        /// What to do.
        action: Arc<EntryAction>,
    },
    /// For an account set.
    AccountSet(AccountSetCommand),
    /// For the journal itself.
    Journal(JournalCommand),
}

event_union! {
    /// Everything that can have happened in a ledger journal.
    pub enum LedgerEvent {
        /// To an entry.
        Entry(EntryEvent),
        /// To an account.
        Account(AccountEvent),
        /// To an account set.
        AccountSet(AccountSetEvent),
        /// To a command that wrote nothing else.
        Command(CommandEvent),
        /// To the journal itself.
        Journal(JournalEvent),
    }
}

/// The stream of one aggregate of a ledger, named `type/id`: `account/merchants:awa:available`, `entry/0190…`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LedgerStream {
    /// Events of an account.
    Account(AccountAddress),
    /// Events of an account set.
    AccountSet(SetName),
    /// The refusal of a command.
    Command(CommandKey),
    /// Events of an entry.
    Entry(EntryId),
    /// Events of the journal itself, by its name.
    Journal(ShortText),
}

impl LedgerCommand {
    /// Opens an account.
    pub fn open_account(open: OpenAccount) -> Self {
        let address = open.address.clone();
        Self::Account(AccountCommand { address, action: Arc::new(AccountAction::Open(open)) })
    }

    /// Any command for an account that exists.
    pub fn account(address: AccountAddress, action: AccountAction) -> Self {
        Self::Account(AccountCommand { address, action: Arc::new(action) })
    }

    /// Posts or holds an entry; its id is derived from the command's where the caller named none.
    pub fn post_entry(post: PostEntry, command: &CommandKey) -> Self {
        let id = post.id.unwrap_or_else(|| EntryId::derived_from(command));
        Self::Entry { id, action: Arc::new(EntryAction::Post(post)) }
    }

    /// Any command for an entry that exists.
    pub fn entry(id: EntryId, action: EntryAction) -> Self {
        Self::Entry { id, action: Arc::new(action) }
    }

    /// Whether it moves what accounts have posted: done a second time under another id, it could move it twice.
    pub fn moves_money(&self) -> bool {
        match self {
            LedgerCommand::Account(command) => command.action.moves_money(),
            LedgerCommand::Entry { action, .. } => action.moves_money(),
            LedgerCommand::AccountSet(_) | LedgerCommand::Journal(_) => false,
        }
    }

    /// The stream that it is for; none where that is the journal's own.
    pub fn stream(&self) -> Option<LedgerStream> {
        match self {
            LedgerCommand::Account(command) => Some(LedgerStream::Account(command.address.clone())),
            LedgerCommand::Entry { id, .. } => Some(LedgerStream::Entry(*id)),
            LedgerCommand::AccountSet(command) => Some(LedgerStream::AccountSet(command.name.clone())),
            LedgerCommand::Journal(_) => None,
        }
    }

    /// How many pairs its events have.
    pub(super) fn pairs(&self) -> usize {
        match self {
            LedgerCommand::Account(command) => command.action.pairs(),
            LedgerCommand::Entry { action, .. } => action.pairs(),
            LedgerCommand::AccountSet(command) => command.action.pairs(),
            LedgerCommand::Journal(_) => 0,
        }
    }

    /// Decides it.
    pub(super) fn decide(&self, world: &mut impl World<Ledger>) -> Result<(), Refusal> {
        match self {
            LedgerCommand::Account(command) => decide::account(command, world),
            LedgerCommand::Entry { id, action } => decide::entry(*id, action, world),
            LedgerCommand::AccountSet(command) => account_set::execute(command, world),
            // Commands for the journal itself are decided before those of its kind.
            LedgerCommand::Journal(_) => Ok(()),
        }
    }
}

impl KindCommand for LedgerCommand {
    fn op(&self) -> &'static str {
        match self {
            LedgerCommand::Account(command) => command.action.op(),
            LedgerCommand::Entry { action, .. } => action.op(),
            LedgerCommand::AccountSet(command) => command.action.op(),
            LedgerCommand::Journal(command) => command.op(),
        }
    }

    fn declare(&self, out: &mut Vec<u8>) {
        match self {
            LedgerCommand::Account(command) => declared::account(command, out),
            LedgerCommand::Entry { id, action } => declared::entry(*id, action, out),
            LedgerCommand::AccountSet(command) => {
                declare_as_serialized(command.action.op(), Some(("name", command.name.to_string())), &command.action, out);
            }
            LedgerCommand::Journal(command) => declare_as_serialized(command.op(), None, command, out),
        }
    }

    fn for_journal(&self) -> Option<&JournalCommand> {
        if let LedgerCommand::Journal(command) = self { Some(command) } else { None }
    }

    fn parts(&self) -> usize {
        match self {
            LedgerCommand::Entry { action, .. } => match &**action {
                EntryAction::Post(post) => post.transfers.len().max(1),
                _ => 1,
            },
            _ => 1,
        }
    }

    fn in_format_1(&self, key: &CommandKey) -> Option<(Self, Vec<u8>)> {
        format_1::of(self, key)
    }
}

impl KindEvent for LedgerEvent {
    fn as_command(&self) -> Option<&CommandEvent> {
        if let LedgerEvent::Command(event) = self { Some(event) } else { None }
    }

    fn as_journal(&self) -> Option<&JournalEvent> {
        if let LedgerEvent::Journal(event) = self { Some(event) } else { None }
    }
}

impl LedgerStream {
    /// The aggregate's type: the part before the slash.
    pub fn aggregate_type(&self) -> &'static str {
        match self {
            LedgerStream::Account(_) => "account",
            LedgerStream::AccountSet(_) => "account_set",
            LedgerStream::Command(_) => "command",
            LedgerStream::Entry(_) => "entry",
            LedgerStream::Journal(_) => "journal",
        }
    }

    /// The aggregate's id: the part after the slash.
    pub fn aggregate_id(&self) -> String {
        let mut id = Vec::new();
        self.write_id(&mut id);
        String::from_utf8_lossy(&id).into_owned()
    }

    /// The entry whose stream it is.
    pub fn as_entry(&self) -> Option<EntryId> {
        if let LedgerStream::Entry(id) = self { Some(*id) } else { None }
    }

    fn write_id(&self, out: &mut Vec<u8>) {
        match self {
            LedgerStream::Account(address) => out.extend_from_slice(address.as_str().as_bytes()),
            LedgerStream::AccountSet(name) => out.extend_from_slice(name.as_str().as_bytes()),
            LedgerStream::Command(key) => key.write_to(out),
            LedgerStream::Entry(id) => id.write_to(out),
            LedgerStream::Journal(name) => out.extend_from_slice(name.as_str().as_bytes()),
        }
    }
}

impl StreamKey for LedgerStream {
    fn write_name(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.aggregate_type().as_bytes());
        out.push(b'/');
        self.write_id(out);
    }

    fn parse(name: &str) -> Result<Self, NotAStream> {
        let invalid = || NotAStream::invalid(name);
        let (aggregate, id) = name.split_once('/').ok_or_else(invalid)?;
        match aggregate {
            "account" => id.parse().map(LedgerStream::Account).map_err(|_| invalid()),
            "account_set" => id.parse().map(LedgerStream::AccountSet).map_err(|_| invalid()),
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
        let mut name = Vec::with_capacity(64);
        self.write_name(&mut name);
        f.write_str(&String::from_utf8_lossy(&name))
    }
}

impl FromStr for LedgerStream {
    type Err = NotAStream;

    fn from_str(name: &str) -> Result<Self, NotAStream> {
        Self::parse(name)
    }
}
