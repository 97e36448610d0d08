//! The commands of a ledger journal.

use std::sync::Arc;

use serde::Serialize;

use crate::account::{AccountAction, AccountCommand, OpenAccount};
use crate::entry::{EntryAction, PostEntry};
use crate::event::write_json;
use crate::ids::{AccountAddress, CommandKey, EntryId};
use crate::journal::JournalCommand;
use crate::kind::KindCommand;

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
    /// For the journal itself.
    Journal(JournalCommand),
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
            LedgerCommand::Journal(_) => false,
        }
    }
}

impl KindCommand for LedgerCommand {
    fn op(&self) -> &'static str {
        match self {
            LedgerCommand::Account(command) => command.action.op(),
            LedgerCommand::Entry { action, .. } => action.op(),
            LedgerCommand::Journal(command) => command.op(),
        }
    }

    fn declare(&self, out: &mut Vec<u8>) {
        super::declared::declare(self, out);
    }

    fn for_journal(&self) -> Option<&JournalCommand> {
        match self {
            LedgerCommand::Journal(command) => Some(command),
            LedgerCommand::Account(_) | LedgerCommand::Entry { .. } => None,
        }
    }

    fn parts(&self) -> usize {
        match self {
            LedgerCommand::Entry { action, .. } => match &**action {
                EntryAction::Post(post) => post.transfers.len().max(1),
                _ => 1,
            },
            LedgerCommand::Account(_) | LedgerCommand::Journal(_) => 1,
        }
    }

    /// An entry's id that is derived from the key was derived without a caller.
    fn in_format_1(&self, key: &CommandKey) -> Option<(Self, Vec<u8>)> {
        if !OPS_OF_FORMAT_1.contains(&self.op()) {
            return None;
        }
        let command = match self {
            LedgerCommand::Entry { action, .. } => match &**action {
                EntryAction::Post(post) if post.id.is_none() => {
                    LedgerCommand::Entry { id: EntryId::derived_from(key), action: action.clone() }
                }
                _ => self.clone(),
            },
            LedgerCommand::Account(_) | LedgerCommand::Journal(_) => self.clone(),
        };
        let mut hashed = Vec::with_capacity(256);
        write_json(&mut hashed, &InFormat1(&command));
        Some((command, hashed))
    }
}

/// What could be asked when records of format 1 were written. The list does not grow.
const OPS_OF_FORMAT_1: [&str; 12] = [
    "open_account",
    "freeze_account",
    "unfreeze_account",
    "close_account",
    "reopen_account",
    "change_limits",
    "post_entry",
    "post_hold",
    "void_hold",
    "expire_hold",
    "reverse_entry",
    "close_journal",
];

/// A command as fingerprints of version 1 saw it: the shape of a Rust type, without ids that Cauri made.
struct InFormat1<'a>(&'a LedgerCommand);

impl Serialize for InFormat1<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let op = self.0.op();
        match self.0 {
            LedgerCommand::Account(command) => (op, &command.address, &command.action).serialize(serializer),
            LedgerCommand::Entry { id, action } => match &**action {
                EntryAction::Post(post) => (op, post).serialize(serializer),
                action => (op, id, action).serialize(serializer),
            },
            LedgerCommand::Journal(JournalCommand::Close(close)) => (op, close).serialize(serializer),
        }
    }
}
