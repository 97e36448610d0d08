//! Every event type and version that was ever written. Append only.

use std::fmt;

use cauri_domain::account::AccountEvent;
use cauri_domain::command::CommandEvent;
use cauri_domain::entry::EntryEvent;
use cauri_domain::journal::JournalEvent;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::event::Event;
use crate::upcast;

/// One event type.
pub struct EventType {
    /// The type as stored, dotted and past: `entry.posted`.
    pub name: &'static str,
    /// The version that this program writes; every version from 1 up to it is read.
    pub current: u32,
    /// JSON Schema of the current version's payload.
    pub json_schema: fn(&mut SchemaGenerator) -> Schema,
    decode: fn(&str) -> serde_json::Result<Event>,
}

/// A payload that no version of this program's registry explains: a newer program wrote it, or it is damaged.
#[derive(Debug, thiserror::Error)]
#[error("{event_type} version {schema} cannot be read: {reason}")]
pub struct UndecodableEvent {
    /// The type as stored.
    pub event_type: String,
    /// The version as stored.
    pub schema: u32,
    /// What is wrong with it.
    pub reason: String,
}

impl UndecodableEvent {
    pub(crate) fn new(event_type: &str, schema: u32, reason: impl fmt::Display) -> Self {
        Self { event_type: event_type.to_owned(), schema, reason: reason.to_string() }
    }
}

const fn event_type<T: DeserializeOwned + JsonSchema>(
    name: &'static str,
    current: u32,
    decode: fn(&str) -> serde_json::Result<Event>,
) -> EventType {
    EventType { name, current, json_schema: T::json_schema, decode }
}

/// One line a type: name, current version, payload, the event that it becomes.
macro_rules! registry {
    ($($name:literal $current:literal $event:ident :: $variant:ident ($payload:ty) in $aggregate:ident;)+) => {
        /// All event types, by name.
        pub const EVENT_TYPES: &[EventType] = &[
            $(event_type::<$payload>($name, $current, |data| {
                serde_json::from_str::<$payload>(data).map(|payload| Event::$aggregate($event::$variant(payload)))
            }),)+
        ];
    };
}

registry! {
    "account.closed" 1 AccountEvent::Closed(cauri_domain::account::AccountClosed) in Account;
    "account.frozen" 1 AccountEvent::Frozen(cauri_domain::account::AccountFrozen) in Account;
    "account.limits_changed" 1 AccountEvent::LimitsChanged(cauri_domain::account::LimitsChanged) in Account;
    "account.opened" 2 AccountEvent::Opened(cauri_domain::account::AccountOpened) in Account;
    "account.reopened" 1 AccountEvent::Reopened(cauri_domain::account::AccountReopened) in Account;
    "account.unfrozen" 1 AccountEvent::Unfrozen(cauri_domain::account::AccountUnfrozen) in Account;
    "command.refused" 1 CommandEvent::Refused(cauri_domain::command::CommandRefused) in Command;
    "entry.held" 1 EntryEvent::Held(cauri_domain::entry::EntryHeld) in Entry;
    "entry.hold_expired" 1 EntryEvent::HoldExpired(cauri_domain::entry::HoldExpired) in Entry;
    "entry.hold_posted" 1 EntryEvent::HoldPosted(cauri_domain::entry::HoldPosted) in Entry;
    "entry.hold_voided" 1 EntryEvent::HoldVoided(cauri_domain::entry::HoldVoided) in Entry;
    "entry.posted" 1 EntryEvent::Posted(cauri_domain::entry::EntryPosted) in Entry;
    "entry.reversed" 1 EntryEvent::Reversed(cauri_domain::entry::EntryReversed) in Entry;
    "journal.closed" 1 JournalEvent::Closed(cauri_domain::journal::JournalClosed) in Journal;
}

/// The type with this name.
pub fn find(name: &str) -> Option<&'static EventType> {
    EVENT_TYPES.binary_search_by(|known| known.name.cmp(name)).ok().map(|index| &EVENT_TYPES[index])
}

/// Understands a payload as the events of today that it stands for.
pub fn decode(name: &str, schema: u32, data: &RawValue) -> Result<Vec<Event>, UndecodableEvent> {
    let known = find(name).ok_or_else(|| UndecodableEvent::new(name, schema, "this version of Cauri knows no such event type"))?;
    if schema == known.current {
        let event = (known.decode)(data.get()).map_err(|error| UndecodableEvent::new(name, schema, error))?;
        return Ok(vec![event]);
    }
    if schema == 0 || schema > known.current {
        let reason = format!("this version of Cauri knows versions 1 to {}", known.current);
        return Err(UndecodableEvent::new(name, schema, reason));
    }
    upcast::to_current(name, schema, data)?
        .into_iter()
        .map(|old| {
            let known = find(&old.name).ok_or_else(|| UndecodableEvent::new(&old.name, old.schema, "an upcaster made an unknown type"))?;
            (known.decode)(&old.data.to_string()).map_err(|error| UndecodableEvent::new(name, schema, error))
        })
        .collect()
}
