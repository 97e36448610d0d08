//! Commands as journal format 1 knew them: its fingerprints, and the ids that it derived. Nothing here ever changes.

use serde::Serialize;

use super::LedgerCommand;
use crate::entry::EntryAction;
use crate::event::write_json;
use crate::ids::{CommandKey, EntryId};
use crate::journal::JournalCommand;
use crate::kind::KindCommand;

/// What could be asked when records of format 1 were written.
const OPS: [&str; 12] = [
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

/// The command under `key`, and what its fingerprint was made of; none where format 1 had no such command.
pub(super) fn of(command: &LedgerCommand, key: &CommandKey) -> Option<(LedgerCommand, Vec<u8>)> {
    if !OPS.contains(&command.op()) {
        return None;
    }
    let command = match command {
        // An entry's id that is derived from the key was derived without a caller.
        LedgerCommand::Entry { action, .. } => match &**action {
            EntryAction::Post(post) if post.id.is_none() => LedgerCommand::Entry { id: EntryId::derived_from(key), action: action.clone() },
            _ => command.clone(),
        },
        command => command.clone(),
    };
    let mut hashed = Vec::with_capacity(256);
    write_json(&mut hashed, &Shape(&command));
    Some((command, hashed))
}

/// A command as fingerprints of version 1 saw it: the shape of a Rust type, without ids that Cauri made.
struct Shape<'a>(&'a LedgerCommand);

impl Serialize for Shape<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let op = self.0.op();
        match self.0 {
            LedgerCommand::Account(command) => (op, &command.address, &command.action).serialize(serializer),
            LedgerCommand::Entry { id, action } => match &**action {
                EntryAction::Post(post) => (op, post).serialize(serializer),
                action => (op, id, action).serialize(serializer),
            },
            command => match command.for_journal() {
                Some(JournalCommand::Close(close)) => (op, close).serialize(serializer),
                // `of` takes no other command.
                _ => op.serialize(serializer),
            },
        }
    }
}
