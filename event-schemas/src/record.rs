//! An event as recorded: where it stands, in which stream, by which command, when.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use cauri_domain::event::{EventSet, write_json as write};
use cauri_domain::ids::{Caller, CommandId, CommandKey};
use cauri_domain::kind::{Kind, NotAStream, StreamKey};
use cauri_domain::text::ShortText;
use cauri_domain::time::Timestamp;
use cauri_domain::{Position, StreamVersion};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::fingerprint::Fingerprint;
use crate::json::{escape_from, write_text};
use crate::registry::{self, Current, UndecodableEvent};

/// The actor of what nobody asked for: holds that expire.
pub const ENGINE: &str = "engine";

/// The version of the envelope that this program writes, and the newest that it reads: the members of a record around
/// its payload. Version 1, of journal format 1, stands for a record that names none.
pub const ENVELOPE_VERSION: u32 = 2;

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

/// An event with its place in the journal, of a kind whose streams are `S` and whose events are `E`.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded<S, E> {
    /// Its place in the journal.
    pub position: Position,
    /// The stream it belongs to.
    pub stream: S,
    /// Its place in the stream.
    pub version: StreamVersion,
    /// What happened.
    pub event: E,
    /// Who and why.
    pub metadata: Arc<Metadata>,
    /// When the sequencer wrote it; never going back along a journal.
    pub recorded_at: Timestamp,
}

/// Where in a record's bytes its stream's name stands, without the quotation marks.
pub type NameRange = Range<usize>;

impl<S: StreamKey, E: EventSet> Recorded<S, E> {
    /// Appends the record's canonical bytes: one line of JSON without a line feed. Says where in `out` the stream's name
    /// stands, as JSON writes it.
    pub fn write_to(&self, out: &mut Vec<u8>) -> NameRange {
        self.write_in(ENVELOPE_VERSION, out)
    }

    /// The same in an older envelope, as a record that is read back was written.
    pub fn write_in(&self, envelope_version: u32, out: &mut Vec<u8>) -> NameRange {
        out.extend_from_slice(b"{\"data\":");
        self.event.write_data(out);
        if envelope_version > 1 {
            out.extend_from_slice(b",\"envelope\":");
            write(out, &envelope_version);
        }
        out.extend_from_slice(b",\"metadata\":");
        self.metadata.write_to(out);
        out.extend_from_slice(b",\"position\":");
        write(out, &self.position.get());
        out.extend_from_slice(b",\"recorded_at\":");
        write(out, &self.recorded_at);
        out.extend_from_slice(b",\"schema\":");
        write(out, &self.event.schema());
        out.extend_from_slice(b",\"stream\":\"");
        let start = out.len();
        self.stream.write_name(out);
        escape_from(out, start);
        let name = start..out.len();
        out.extend_from_slice(b"\",\"type\":\"");
        out.extend_from_slice(self.event.name().as_bytes());
        out.extend_from_slice(b"\",\"version\":");
        write(out, &self.version.get());
        out.push(b'}');
        name
    }

    /// The record's canonical bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.to_bytes_in(ENVELOPE_VERSION)
    }

    /// The record's canonical bytes in an older envelope.
    pub fn to_bytes_in(&self, envelope_version: u32) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        self.write_in(envelope_version, &mut out);
        out
    }
}

/// A record as it stands in its bytes, before its stream and payload are understood.
#[derive(Clone, Debug)]
pub struct Envelope<'a> {
    /// The version of the envelope itself.
    pub envelope_version: u32,
    /// Its place in the journal.
    pub position: Position,
    /// The name of the stream it belongs to.
    pub stream: Cow<'a, str>,
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
    #[serde(default)]
    envelope: Option<u32>,
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

/// The one member that every envelope from version 2 on has, whatever else is new in it.
#[derive(Deserialize)]
struct EnvelopeVersion {
    envelope: u32,
}

/// The most bytes that the name of a stream may have.
const MOST_NAME: usize = 4_096;

impl<'a> Envelope<'a> {
    /// Reads the record around its stream and payload.
    ///
    /// # Errors
    /// When it has another shape, or the stream's name is not `type/id`; a newer program may know its envelope.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, UndecodableEvent> {
        let shape: EnvelopeShape<'a> = serde_json::from_slice(bytes).map_err(|error| {
            // A newer envelope may have members that this program does not know.
            let version = serde_json::from_slice(bytes).map_or(0, |EnvelopeVersion { envelope }| envelope);
            if version > ENVELOPE_VERSION { newer_envelope(version) } else { UndecodableEvent::new("a record", 0, error) }
        })?;
        let envelope_version = match shape.envelope {
            None => 1,
            Some(version) if version > ENVELOPE_VERSION => return Err(newer_envelope(version)),
            // Version 1 has no such member.
            Some(version @ (0 | 1)) => return Err(UndecodableEvent::new("a record", 0, format!("its envelope is of version {version}"))),
            Some(version) => version,
        };
        let has_type_and_id = shape.stream.split_once('/').is_some_and(|(aggregate, id)| {
            !aggregate.is_empty() && !id.is_empty() && aggregate.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        });
        if !has_type_and_id || shape.stream.len() > MOST_NAME {
            return Err(UndecodableEvent::new("a record", 0, NotAStream::invalid(&shape.stream)));
        }
        Ok(Self {
            envelope_version,
            position: shape.position,
            stream: shape.stream,
            version: shape.version,
            event_type: shape.event_type,
            schema: shape.schema,
            data: shape.data,
            metadata: shape.metadata,
            recorded_at: shape.recorded_at,
        })
    }

    /// The stream, as a key of the journal's kind.
    ///
    /// # Errors
    /// When the name is none of the kind's streams; a newer program may know its type.
    pub fn stream_key<S: StreamKey>(&self) -> Result<S, UndecodableEvent> {
        S::parse(&self.stream).map_err(|error| match error {
            NotAStream::UnknownType(_) => UndecodableEvent::newer(&self.event_type, self.schema, error),
            NotAStream::Invalid(_) => UndecodableEvent::new("a record", 0, error),
        })
    }

    /// Understands stream and payload, through upcasters where the payload is of an older version.
    ///
    /// One stored event may be several events of today: they share its position.
    ///
    /// # Errors
    /// When this program knows no such stream, event or version, or the payload is damaged.
    pub fn decode<K: Kind>(self) -> Result<Vec<Recorded<K::Stream, K::Event>>, UndecodableEvent> {
        let mut recorded = Vec::with_capacity(1);
        self.decode_into::<K>(&mut recorded)?;
        Ok(recorded)
    }

    /// The same for whoever reads many: what it stands for is added to `recorded`, and nothing where it fails.
    ///
    /// # Errors
    /// As [`Envelope::decode`].
    pub fn decode_into<K: Kind>(self, recorded: &mut Vec<Recorded<K::Stream, K::Event>>) -> Result<(), UndecodableEvent> {
        let stream = self.stream_key::<K::Stream>()?;
        let current = registry::decode::<K::Event>(&self.event_type, self.schema, self.data)?;
        let metadata = Arc::new(self.metadata);
        let (position, version, recorded_at) = (self.position, self.version, self.recorded_at);
        match current {
            Current::Event(event) => recorded.push(Recorded { position, stream, version, event, metadata, recorded_at }),
            Current::Upcast(events) => recorded.extend(events.into_iter().map(|event| {
                let (stream, metadata) = (stream.clone(), metadata.clone());
                Recorded { position, stream, version, event, metadata, recorded_at }
            })),
        }
        Ok(())
    }
}

fn newer_envelope(version: u32) -> UndecodableEvent {
    let reason = format!("its envelope is of version {version}, and this program knows up to {ENVELOPE_VERSION}");
    UndecodableEvent::newer("a record", 0, reason)
}
