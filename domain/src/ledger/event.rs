//! The events of a ledger journal.

use crate::account::AccountEvent;
use crate::command::CommandEvent;
use crate::entry::EntryEvent;
use crate::event_union;
use crate::journal::JournalEvent;
use crate::kind::KindEvent;

event_union! {
    /// Everything that can have happened in a ledger journal.
    pub enum LedgerEvent {
        /// To an entry.
        Entry(EntryEvent),
        /// To an account.
        Account(AccountEvent),
        /// To a command that wrote nothing else.
        Command(CommandEvent),
        /// To the journal itself.
        Journal(JournalEvent),
    }
}

impl KindEvent for LedgerEvent {
    fn as_command(&self) -> Option<&CommandEvent> {
        match self {
            LedgerEvent::Command(event) => Some(event),
            LedgerEvent::Entry(_) | LedgerEvent::Account(_) | LedgerEvent::Journal(_) => None,
        }
    }

    fn as_journal(&self) -> Option<&JournalEvent> {
        match self {
            LedgerEvent::Journal(event) => Some(event),
            LedgerEvent::Entry(_) | LedgerEvent::Account(_) | LedgerEvent::Command(_) => None,
        }
    }
}
