//! The commands of a ledger journal, and the event that remembers a refused one.

use std::sync::Arc;

use cqrs_es::DomainEvent;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::account::{AccountAction, AccountCommand, OpenAccount};
use crate::entry::{EntryAction, PostEntry};
use crate::ids::{AccountAddress, CommandKey, EntryId};
use crate::journal::CloseJournal;
use crate::refusal::RefusalCode;
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
    /// For the journal itself.
    CloseJournal(Arc<CloseJournal>),
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
            LedgerCommand::Account(command) => matches!(*command.action, AccountAction::Close(_)),
            LedgerCommand::Entry { action, .. } => match **action {
                EntryAction::Post(_) | EntryAction::PostHold(_) | EntryAction::Reverse(_) => true,
                EntryAction::VoidHold(_) | EntryAction::ExpireHold => false,
            },
            LedgerCommand::CloseJournal(_) => false,
        }
    }

    /// What is asked, in one word: the `op` of a bulk item and of a refusal's record.
    pub fn op(&self) -> &'static str {
        match self {
            LedgerCommand::Account(command) => match &*command.action {
                AccountAction::Open(_) => "open_account",
                AccountAction::Freeze(_) => "freeze_account",
                AccountAction::Unfreeze => "unfreeze_account",
                AccountAction::Close(_) => "close_account",
                AccountAction::Reopen => "reopen_account",
                AccountAction::ChangeLimits(_) => "change_limits",
            },
            LedgerCommand::Entry { action, .. } => match &**action {
                EntryAction::Post(_) => "post_entry",
                EntryAction::PostHold(_) => "post_hold",
                EntryAction::VoidHold(_) => "void_hold",
                EntryAction::ExpireHold => "expire_hold",
                EntryAction::Reverse(_) => "reverse_entry",
            },
            LedgerCommand::CloseJournal(_) => "close_journal",
        }
    }
}

/// What is asked, with its target, as the fingerprint of a command sees it: ids that Cauri made are left out.
impl Serialize for LedgerCommand {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            LedgerCommand::Account(command) => (self.op(), &command.address, &command.action).serialize(serializer),
            LedgerCommand::Entry { id, action } => match &**action {
                EntryAction::Post(post) => (self.op(), post).serialize(serializer),
                action => (self.op(), id, action).serialize(serializer),
            },
            LedgerCommand::CloseJournal(close) => (self.op(), close).serialize(serializer),
        }
    }
}

/// What happened to a command that wrote nothing else. NOTE: the storage format.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
pub enum CommandEvent {
    /// The rules said no; a retry with the same key is told the same.
    #[serde(rename = "command.refused")]
    Refused(CommandRefused),
}

/// `command.refused`, version 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommandRefused {
    /// Which rule said no. New rules add codes without a new version of this event.
    #[schemars(with = "String", regex(pattern = r"^[a-z_]+$"))]
    pub code: RefusalCode,
    /// What a person needs to know, with the figures.
    pub detail: String,
    /// What was asked: `post_entry`, `close_account` …
    pub op: ShortText,
    /// Where in the command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
}

impl CommandEvent {
    /// The event's type, as stored.
    pub fn name(&self) -> &'static str {
        match self {
            CommandEvent::Refused(_) => "command.refused",
        }
    }

    /// The version of the event's shape that this program writes.
    pub fn schema(&self) -> u32 {
        match self {
            CommandEvent::Refused(_) => 1,
        }
    }
}

impl DomainEvent for CommandEvent {
    fn event_type(&self) -> String {
        self.name().to_owned()
    }

    fn event_version(&self) -> String {
        self.schema().to_string()
    }
}
