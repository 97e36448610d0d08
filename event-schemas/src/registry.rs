//! Every event type and version that was ever written, of every journal kind.
//!
//! The types are declared beside their aggregates ([`cauri_domain::event_types!`]); this is where they are found.

use std::fmt;

use cauri_domain::event::{Decoded, EventSet, EventType};
use cauri_domain::kind::Kind;
use cauri_domain::ledger::Ledger;
use cauri_domain::market::Market;
use cauri_domain::refusal::RefusalCode;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::upcast;

/// A record that this program's registry does not explain.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{event_type} version {schema} cannot be read: {reason}")]
pub struct UndecodableEvent {
    /// The type as stored.
    pub event_type: String,
    /// The version as stored.
    pub schema: u32,
    /// What is wrong with it.
    pub reason: String,
    /// Nothing is wrong with it but that a newer program wrote it.
    pub is_newer: bool,
}

impl UndecodableEvent {
    /// The record is damaged.
    pub fn new(event_type: &str, schema: u32, reason: impl fmt::Display) -> Self {
        Self { event_type: event_type.to_owned(), schema, reason: reason.to_string(), is_newer: false }
    }

    /// A newer program wrote it.
    pub fn newer(event_type: &str, schema: u32, reason: impl fmt::Display) -> Self {
        Self { is_newer: true, ..Self::new(event_type, schema, reason) }
    }
}

/// All event types of all kinds, by name.
pub fn event_types() -> Vec<EventType> {
    let mut types = <Ledger as Kind>::Event::types();
    types.extend(<Market as Kind>::Event::types());
    types.sort_by_key(|known| known.name);
    // What may happen to any journal is declared once, and found in each kind.
    types.dedup_by_key(|known| known.name);
    types
}

/// The type with this name, of whichever kind.
pub fn find(name: &str) -> Option<EventType> {
    event_types().into_iter().find(|known| known.name == name)
}

/// What a stored payload stands for today.
#[derive(Clone, Debug, PartialEq)]
pub enum Current<E> {
    /// The event that it is.
    Event(E),
    /// What an upcast made of an older one.
    Upcast(Vec<E>),
}

/// Understands a payload as the events of today that it stands for.
///
/// # Errors
/// When the set has no such type or version, or the payload is damaged.
pub fn decode<E: EventSet>(name: &str, schema: u32, data: &RawValue) -> Result<Current<E>, UndecodableEvent> {
    match E::decode(name, schema, data.get()) {
        Decoded::Event(event) => Ok(Current::Event(event)),
        Decoded::Wrong(error) => Err(wrong(name, schema, data, &error)),
        Decoded::OtherVersion(current) if schema > current => {
            Err(UndecodableEvent::newer(name, schema, format!("this version of Cauri knows versions 1 to {current}")))
        }
        Decoded::OtherVersion(current) if schema == 0 => {
            Err(UndecodableEvent::new(name, schema, format!("this version of Cauri knows versions 1 to {current}")))
        }
        Decoded::OtherVersion(_) => upcast::to_current(name, schema, data).map(Current::Upcast),
        Decoded::Unknown => Err(UndecodableEvent::newer(name, schema, "this version of Cauri knows no such event type")),
    }
}

/// The payload is not of its type's shape: it is damaged, unless it names a refusal code that a newer program added.
fn wrong(name: &str, schema: u32, data: &RawValue, error: &serde_json::Error) -> UndecodableEvent {
    #[derive(Deserialize)]
    struct Refused {
        code: String,
    }
    let code = if name == "command.refused" { serde_json::from_str::<Refused>(data.get()).ok() } else { None };
    let is_newer = code.is_some_and(|Refused { code }| {
        let has_form = !code.is_empty() && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        has_form && code.parse::<RefusalCode>().is_err()
    });
    UndecodableEvent { is_newer, ..UndecodableEvent::new(name, schema, error) }
}
