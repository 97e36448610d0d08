//! An event as recorded: where it stands, in which stream, by which command, when.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use cauri_domain::ids::{AccountAddress, Caller, CommandId, CommandKey, EntryId};
use cauri_domain::text::ShortText;
use cauri_domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::event::{Event, write, write_text};
use crate::fingerprint::Fingerprint;
use crate::registry::{self, UndecodableEvent};

/// A place in a journal: 1, 2, 3 … without gaps. 0 stands before the first event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(u64);

impl Position {
    /// Before the first event.
    pub const ZERO: Position = Position(0);

    /// The place with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number of the place.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The place after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The place `count` further on.
    #[must_use]
    pub const fn after(self, count: usize) -> Self {
        Self(self.0 + count as u64)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A place in one stream: 1, 2, 3 … without gaps. Not a [`Position`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StreamVersion(u64);

impl StreamVersion {
    /// Before the first event of the stream.
    pub const ZERO: StreamVersion = StreamVersion(0);

    /// The place with this number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number of the place.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The place after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for StreamVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The stream of one aggregate, written `type/id`: `account/merchants:awa:available`, `entry/0190…`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StreamId {
    /// Events of an account.
    Account(AccountAddress),
    /// The refusal of a command.
    Command(CommandKey),
    /// Events of an entry.
    Entry(EntryId),
    /// Events of the journal itself, by its name.
    Journal(ShortText),
}

/// A text that is not a stream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a stream such as account/merchants:awa:available or entry/0190f1c2-7e4b-7cc3-98c4-dc0c0c07398f")]
pub struct InvalidStreamId(String);

impl StreamId {
    /// The aggregate's type: the part before the slash.
    pub fn aggregate_type(&self) -> &'static str {
        match self {
            StreamId::Account(_) => "account",
            StreamId::Command(_) => "command",
            StreamId::Entry(_) => "entry",
            StreamId::Journal(_) => "journal",
        }
    }

    /// The aggregate's id: the part after the slash.
    pub fn aggregate_id(&self) -> String {
        match self {
            StreamId::Account(address) => address.to_string(),
            StreamId::Command(id) => id.to_string(),
            StreamId::Entry(id) => id.to_string(),
            StreamId::Journal(name) => name.to_string(),
        }
    }

    /// Appends the stream as a JSON string.
    fn write_to(&self, out: &mut Vec<u8>) {
        match self {
            StreamId::Entry(id) => {
                out.extend_from_slice(b"\"entry/");
                id.write_to(out);
                out.push(b'"');
            }
            other => write(out, other),
        }
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StreamId::Account(address) => write!(f, "account/{address}"),
            StreamId::Command(id) => write!(f, "command/{id}"),
            StreamId::Entry(id) => write!(f, "entry/{id}"),
            StreamId::Journal(name) => write!(f, "journal/{name}"),
        }
    }
}

impl FromStr for StreamId {
    type Err = InvalidStreamId;

    fn from_str(text: &str) -> Result<Self, InvalidStreamId> {
        let invalid = || InvalidStreamId(text.chars().take(300).collect());
        let (aggregate, id) = text.split_once('/').ok_or_else(invalid)?;
        match aggregate {
            "account" => id.parse().map(StreamId::Account).map_err(|_| invalid()),
            "command" => id.parse().map(StreamId::Command).map_err(|_| invalid()),
            "entry" => id.parse().map(StreamId::Entry).map_err(|_| invalid()),
            "journal" => id.parse().map(StreamId::Journal).map_err(|_| invalid()),
            _ => Err(invalid()),
        }
    }
}

impl Serialize for StreamId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The actor of what nobody asked for: holds that expire.
pub const ENGINE: &str = "engine";

/// Ids of the engine's own commands begin so; no caller's may.
pub const ENGINE_COMMANDS: &str = "hold-expiry/";

/// Who and why: what a record says of the command that caused it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// Who asked, as `role:subject`; `engine` where nobody did.
    pub actor: ShortText,
    /// In whose name the command's id counts; absent on the engine's own records and on those of journal format 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<Caller>,
    /// What made the caller ask: another system's id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub causation: Option<ShortText>,
    /// The command's id: the caller's idempotency key, or one that was made for it.
    pub command: CommandId,
    /// What this belongs to, through all systems.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation: Option<ShortText>,
    /// What the command asked; on the first event of a command only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<Fingerprint>,
    /// W3C trace context of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<ShortText>,
}

impl Metadata {
    /// Appends the metadata as canonical JSON; a test compares it with what `serde` writes.
    fn write_to(&self, out: &mut Vec<u8>) {
        let Self { actor, caller, causation, command, correlation, fingerprint, traceparent } = self;
        out.extend_from_slice(b"{\"actor\":");
        write_text(out, actor.as_str());
        let mut option = |name: &[u8], text: Option<&str>| {
            if let Some(text) = text {
                out.extend_from_slice(name);
                write_text(out, text);
            }
        };
        option(b",\"caller\":", caller.as_ref().map(Caller::as_str));
        option(b",\"causation\":", causation.as_ref().map(ShortText::as_str));
        option(b",\"command\":", Some(command.as_str()));
        option(b",\"correlation\":", correlation.as_ref().map(ShortText::as_str));
        if let Some(fingerprint) = fingerprint {
            out.extend_from_slice(b",\"fingerprint\":\"");
            fingerprint.write_to(out);
            out.push(b'"');
        }
        if let Some(traceparent) = traceparent {
            out.extend_from_slice(b",\"traceparent\":");
            write_text(out, traceparent.as_str());
        }
        out.push(b'}');
    }

    /// What identifies the command in its journal.
    pub fn key(&self) -> CommandKey {
        CommandKey { caller: self.caller.clone(), id: self.command.clone() }
    }

    /// Whether the record was written in journal format 1, or imported from it: it is somebody's, but names no caller.
    pub fn is_format_1(&self) -> bool {
        self.caller.is_none() && self.actor.as_str() != ENGINE
    }

    /// Whether two records are of one command.
    pub fn is_same_command(&self, other: &Self) -> bool {
        self.command == other.command && self.caller == other.caller
    }

    /// Whether the record is of this command.
    pub fn is_of(&self, key: &CommandKey) -> bool {
        self.command == key.id && self.caller == key.caller
    }
}

/// An event with its place in the journal.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded<E = Event> {
    /// Its place in the journal.
    pub position: Position,
    /// The stream it belongs to.
    pub stream: StreamId,
    /// Its place in the stream.
    pub version: StreamVersion,
    /// What happened.
    pub event: E,
    /// Who and why.
    pub metadata: Arc<Metadata>,
    /// When the sequencer wrote it; never going back along a journal.
    pub recorded_at: Timestamp,
}

impl Recorded<Event> {
    /// Appends the record's canonical bytes: one line of JSON without a line feed.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"data\":");
        self.event.write_data(out);
        out.extend_from_slice(b",\"metadata\":");
        self.metadata.write_to(out);
        out.extend_from_slice(b",\"position\":");
        write(out, &self.position.get());
        out.extend_from_slice(b",\"recorded_at\":");
        write(out, &self.recorded_at);
        out.extend_from_slice(b",\"schema\":");
        write(out, &self.event.schema());
        out.extend_from_slice(b",\"stream\":");
        self.stream.write_to(out);
        out.extend_from_slice(b",\"type\":\"");
        out.extend_from_slice(self.event.name().as_bytes());
        out.extend_from_slice(b"\",\"version\":");
        write(out, &self.version.get());
        out.push(b'}');
    }

    /// The record's canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        self.write_to(&mut out);
        out
    }
}

/// A record as it stands in its bytes, before its payload is understood.
#[derive(Clone, Debug)]
pub struct Envelope<'a> {
    /// Its place in the journal.
    pub position: Position,
    /// The stream it belongs to.
    pub stream: StreamId,
    /// Its place in the stream.
    pub version: StreamVersion,
    /// The event's type.
    pub event_type: Cow<'a, str>,
    /// The version of the event's shape.
    pub schema: u32,
    /// The payload, as stored.
    pub data: &'a RawValue,
    /// Who and why.
    pub metadata: Metadata,
    /// When the sequencer wrote it.
    pub recorded_at: Timestamp,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EnvelopeShape<'a> {
    #[serde(borrow)]
    data: &'a RawValue,
    metadata: Metadata,
    position: Position,
    recorded_at: Timestamp,
    schema: u32,
    #[serde(borrow)]
    stream: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    event_type: Cow<'a, str>,
    version: StreamVersion,
}

impl<'a> Envelope<'a> {
    /// Reads the record around its payload.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, UndecodableEvent> {
        let shape: EnvelopeShape<'a> = serde_json::from_slice(bytes).map_err(|error| UndecodableEvent::new("a record", 0, error))?;
        let stream = shape.stream.parse().map_err(|error: InvalidStreamId| UndecodableEvent::new("a record", 0, error))?;
        Ok(Self {
            position: shape.position,
            stream,
            version: shape.version,
            event_type: shape.event_type,
            schema: shape.schema,
            data: shape.data,
            metadata: shape.metadata,
            recorded_at: shape.recorded_at,
        })
    }

    /// Understands the payload, through upcasters where it is of an older version.
    ///
    /// One stored event may be several events of today: they share its position.
    pub fn decode(self) -> Result<Vec<Recorded<Event>>, UndecodableEvent> {
        let events = registry::decode(&self.event_type, self.schema, self.data)?;
        let metadata = Arc::new(self.metadata);
        let (position, version, recorded_at, mut stream) = (self.position, self.version, self.recorded_at, Some(self.stream));
        let count = events.len();
        let recorded = events.into_iter().enumerate().filter_map(|(index, event)| {
            let stream = if index + 1 == count { stream.take() } else { stream.clone() }?;
            Some(Recorded { position, stream, version, event, metadata: metadata.clone(), recorded_at })
        });
        Ok(recorded.collect())
    }
}
