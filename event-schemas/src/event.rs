//! Every event of every aggregate as one type: what a record holds.

use cauri_domain::account::AccountEvent;
use cauri_domain::command::CommandEvent;
use cauri_domain::entry::EntryEvent;
use cauri_domain::journal::JournalEvent;
use serde::Serialize;

/// An event of any aggregate.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// Of an account.
    Account(AccountEvent),
    /// Of a command that wrote nothing else.
    Command(CommandEvent),
    /// Of an entry.
    Entry(EntryEvent),
    /// Of the journal itself.
    Journal(JournalEvent),
}

impl Event {
    /// The event's type, as stored.
    pub fn name(&self) -> &'static str {
        match self {
            Event::Account(event) => event.name(),
            Event::Command(event) => event.name(),
            Event::Entry(event) => event.name(),
            Event::Journal(event) => event.name(),
        }
    }

    /// The version of the event's shape that this program writes.
    pub fn schema(&self) -> u32 {
        match self {
            Event::Account(event) => event.schema(),
            Event::Command(event) => event.schema(),
            Event::Entry(event) => event.schema(),
            Event::Journal(event) => event.schema(),
        }
    }

    /// Writes the event's payload. Payload structs name their fields in alphabetical order, so this is
    /// canonical JSON; a test compares it with [`crate::canonical::canonical`] for every type.
    pub fn write_data(&self, out: &mut Vec<u8>) {
        match self {
            Event::Account(event) => match event {
                AccountEvent::Opened(data) => write(out, data),
                AccountEvent::Frozen(data) => write(out, data),
                AccountEvent::Unfrozen(data) => write(out, data),
                AccountEvent::Closed(data) => write(out, data),
                AccountEvent::Reopened(data) => write(out, data),
                AccountEvent::LimitsChanged(data) => write(out, data),
            },
            Event::Command(CommandEvent::Refused(data)) => write(out, data),
            Event::Entry(event) => match event {
                EntryEvent::Posted(data) => write(out, data),
                EntryEvent::Held(data) => write(out, data),
                EntryEvent::HoldPosted(data) => write(out, data),
                EntryEvent::HoldVoided(data) => write(out, data),
                EntryEvent::HoldExpired(data) => write(out, data),
                EntryEvent::Reversed(data) => write(out, data),
            },
            Event::Journal(JournalEvent::Closed(data)) => write(out, data),
        }
    }
}

/// Writes a value as JSON. Payloads have string keys and no floats, so this cannot fail.
pub(crate) fn write<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(out, value).expect("payloads are plain data with string keys");
}

/// Writes a text as JSON. Nearly all texts stand in JSON as they are, and that is seen at a glance.
pub(crate) fn write_text(out: &mut Vec<u8>, text: &str) {
    let stands_as_it_is = text.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\');
    if stands_as_it_is {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        write(out, text);
    }
}

impl From<AccountEvent> for Event {
    fn from(event: AccountEvent) -> Self {
        Event::Account(event)
    }
}

impl From<CommandEvent> for Event {
    fn from(event: CommandEvent) -> Self {
        Event::Command(event)
    }
}

impl From<EntryEvent> for Event {
    fn from(event: EntryEvent) -> Self {
        Event::Entry(event)
    }
}

impl From<JournalEvent> for Event {
    fn from(event: JournalEvent) -> Self {
        Event::Journal(event)
    }
}
