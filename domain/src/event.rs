//! Event types: each is declared once, beside its aggregate, and everything that must know it is made from that.
//!
//! [`event_types!`](crate::event_types) declares the events of one aggregate: the enum, the stored name and version of
//! each type, how its payload is written and read. [`event_union!`](crate::event_union) puts the events of a journal
//! kind together.

use std::fmt::Debug;

use schemars::{Schema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// One event type, as it is declared.
#[derive(Clone, Copy)]
pub struct EventType {
    /// The type as stored, dotted and past: `entry.posted`.
    pub name: &'static str,
    /// The version of the payload's shape that this program writes; every version from 1 up to it is read.
    pub version: u32,
    /// What happened, in words.
    pub description: &'static str,
    /// JSON Schema of the current version's payload.
    pub json_schema: fn(&mut SchemaGenerator) -> Schema,
}

/// What reading a payload came to.
pub enum Decoded<E> {
    /// The event.
    Event(E),
    /// The type is known in this version, and the payload is not of its shape.
    Wrong(serde_json::Error),
    /// The type is known, and its current version is this one.
    OtherVersion(u32),
    /// No event of the set has this type.
    Unknown,
}

impl<E> Decoded<E> {
    /// The same for the event that `into` makes of it.
    pub fn map<T>(self, into: impl FnOnce(E) -> T) -> Decoded<T> {
        match self {
            Decoded::Event(event) => Decoded::Event(into(event)),
            Decoded::Wrong(error) => Decoded::Wrong(error),
            Decoded::OtherVersion(current) => Decoded::OtherVersion(current),
            Decoded::Unknown => Decoded::Unknown,
        }
    }
}

/// The events of an aggregate, or of a whole journal kind.
pub trait EventSet: Clone + Debug + PartialEq + Send + Sync + Sized + 'static {
    /// Every type.
    fn types() -> Vec<EventType>;

    /// Examples of every type: each once with everything that it can hold and, where that is less, once with nothing
    /// optional.
    fn examples() -> Vec<Self>;

    /// The event's type, as stored.
    fn name(&self) -> &'static str;

    /// The version of the payload's shape that this program writes.
    fn schema(&self) -> u32;

    /// Appends the payload as canonical JSON (RFC 8785). Payload structs name their fields in alphabetical order, so that
    /// writing them in order is canonical; a test compares it with a canonical writer for every type.
    fn write_data(&self, out: &mut Vec<u8>);

    /// Reads a payload of the type `name` in the version `schema`.
    fn decode(name: &str, schema: u32, data: &str) -> Decoded<Self>;
}

/// What an event of one type says.
pub trait Payload: Clone + Debug + PartialEq + Serialize + DeserializeOwned + schemars::JsonSchema + Sized {
    /// A realistic payload with everything that it can hold and, where that is less, one with nothing optional.
    fn examples() -> Vec<Self>;
}

/// Appends a value as JSON. Payloads have string keys and no floats, so this cannot fail.
pub fn write_json<T: Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(out, value).expect("payloads are plain data with string keys");
}

/// Declares the events of one aggregate.
///
/// ```text
/// event_types! {
///     /// Everything that can have happened to a door.
///     pub enum DoorEvent {
///         /// It can be walked through.
///         Opened(DoorOpened) = "door.opened" 1,
///     }
/// }
/// ```
///
/// A variant has the type's stored name and the version of its shape that this program writes. Each payload is a
/// [`Payload`]: it serialises, has a JSON Schema and gives its examples.
#[macro_export]
macro_rules! event_types {
    (
        $(#[$doc:meta])*
        pub enum $set:ident {
            $($(#[doc = $what:literal])+ $variant:ident($payload:ty) = $name:literal $version:literal,)+
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(tag = "type", content = "data")]
        pub enum $set {
            $($(#[doc = $what])+ #[serde(rename = $name)] $variant($payload),)+
        }

        impl $crate::event::EventSet for $set {
            fn types() -> Vec<$crate::event::EventType> {
                vec![$($crate::event::EventType {
                    name: $name,
                    version: $version,
                    description: concat!($($what),+).trim_ascii(),
                    json_schema: <$payload as schemars::JsonSchema>::json_schema,
                },)+]
            }

            fn examples() -> Vec<Self> {
                let mut examples = Vec::new();
                $(examples.extend(<$payload as $crate::event::Payload>::examples().into_iter().map($set::$variant));)+
                examples
            }

            fn name(&self) -> &'static str {
                match self { $($set::$variant(_) => $name,)+ }
            }

            fn schema(&self) -> u32 {
                match self { $($set::$variant(_) => $version,)+ }
            }

            fn write_data(&self, out: &mut Vec<u8>) {
                match self { $($set::$variant(data) => $crate::event::write_json(out, data),)+ }
            }

            fn decode(name: &str, schema: u32, data: &str) -> $crate::event::Decoded<Self> {
                match (name, schema) {
                    $(($name, $version) => match serde_json::from_str::<$payload>(data) {
                        Ok(payload) => $crate::event::Decoded::Event($set::$variant(payload)),
                        Err(error) => $crate::event::Decoded::Wrong(error),
                    },
                    ($name, _) => $crate::event::Decoded::OtherVersion($version),)+
                    _ => $crate::event::Decoded::Unknown,
                }
            }
        }

        impl cqrs_es::DomainEvent for $set {
            fn event_type(&self) -> String {
                $crate::event::EventSet::name(self).to_owned()
            }

            fn event_version(&self) -> String {
                $crate::event::EventSet::schema(self).to_string()
            }
        }
    };
}

/// Declares the events of a journal kind: those of its aggregates, of refused commands and of the journal itself.
#[macro_export]
macro_rules! event_union {
    (
        $(#[$doc:meta])*
        pub enum $union:ident {
            $($(#[doc = $what:literal])+ $variant:ident($set:ty),)+
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq)]
        pub enum $union {
            $($(#[doc = $what])+ $variant($set),)+
        }

        impl $crate::event::EventSet for $union {
            fn types() -> Vec<$crate::event::EventType> {
                let mut types = Vec::new();
                $(types.extend(<$set as $crate::event::EventSet>::types());)+
                types.sort_by_key(|known| known.name);
                types
            }

            fn examples() -> Vec<Self> {
                let mut examples = Vec::new();
                $(examples.extend(<$set as $crate::event::EventSet>::examples().into_iter().map($union::$variant));)+
                examples
            }

            fn name(&self) -> &'static str {
                match self { $($union::$variant(event) => $crate::event::EventSet::name(event),)+ }
            }

            fn schema(&self) -> u32 {
                match self { $($union::$variant(event) => $crate::event::EventSet::schema(event),)+ }
            }

            fn write_data(&self, out: &mut Vec<u8>) {
                match self { $($union::$variant(event) => $crate::event::EventSet::write_data(event, out),)+ }
            }

            fn decode(name: &str, schema: u32, data: &str) -> $crate::event::Decoded<Self> {
                $(match <$set as $crate::event::EventSet>::decode(name, schema, data) {
                    $crate::event::Decoded::Unknown => {}
                    decoded => return decoded.map($union::$variant),
                })+
                $crate::event::Decoded::Unknown
            }
        }

        $(impl From<$set> for $union {
            fn from(event: $set) -> Self {
                $union::$variant(event)
            }
        })+
    };
}
