//! A batch on its way into a store: canonical bytes, checksums, tree and look-up keys, computed once for all backends.

use std::sync::Arc;

use cauri_event_schemas::record::Envelope;
use cauri_event_schemas::registry::UndecodableEvent;
use cauri_event_schemas::{Metadata, Position, Recorded, StreamId};

use crate::merkle::{Hash, Tree};
use crate::port::Head;

/// The records of many commands, to become durable by one write.
#[derive(Clone, Debug)]
pub struct Batch {
    first: Position,
    lines: Vec<u8>,
    ends: Vec<usize>,
    checksums: Vec<u32>,
    streams: Vec<StreamId>,
    commands: Vec<(usize, Arc<Metadata>)>,
    tree: Tree,
    has_format_1: bool,
}

impl Batch {
    /// An empty batch that continues a journal whose tree is `tree`.
    pub fn after(tree: Tree) -> Self {
        Self {
            first: Position::new(tree.size()).next(),
            lines: Vec::new(),
            ends: Vec::new(),
            checksums: Vec::new(),
            streams: Vec::new(),
            commands: Vec::new(),
            tree,
            has_format_1: false,
        }
    }

    /// Adds an event as the next record. The record must carry the next position.
    pub fn push(&mut self, record: &Recorded) {
        assert_eq!(record.position, self.next(), "positions have no gaps");
        if self.lines.capacity() == 0 {
            self.lines.reserve(4096);
        }
        let start = self.lines.len();
        record.write_to(&mut self.lines);
        self.seal(start, record.stream.clone(), &record.metadata);
    }

    /// Adds a record as it stands in another journal's export, byte for byte.
    pub fn push_bytes(&mut self, record: &[u8]) -> Result<(), UndecodableEvent> {
        let envelope = Envelope::parse(record)?;
        if envelope.position != self.next() {
            return Err(UndecodableEvent {
                event_type: envelope.event_type.into_owned(),
                schema: envelope.schema,
                reason: format!("position {} where {} comes next", envelope.position, self.next()),
            });
        }
        let start = self.lines.len();
        self.lines.extend_from_slice(record);
        self.seal(start, envelope.stream, &Arc::new(envelope.metadata));
        Ok(())
    }

    fn seal(&mut self, start: usize, stream: StreamId, metadata: &Arc<Metadata>) {
        let record = &self.lines[start..];
        self.checksums.push(crc32fast::hash(record));
        self.tree.push(Hash::of_leaf(record));
        self.lines.push(b'\n');
        self.ends.push(self.lines.len());
        if self.commands.last().is_none_or(|(_, last)| !metadata.is_same_command(last)) {
            self.commands.push((self.streams.len(), metadata.clone()));
        }
        self.streams.push(stream);
        self.has_format_1 |= metadata.is_format_1();
    }

    /// How many records.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// No records at all.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Position of the first record.
    pub fn first(&self) -> Position {
        self.first
    }

    /// Position that the next record would have.
    pub fn next(&self) -> Position {
        self.first.after(self.ends.len())
    }

    /// Position of the last record, and the root there.
    pub fn head(&self) -> Head {
        self.tree.head()
    }

    /// The tree after the last record.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The records' canonical bytes, each followed by a line feed.
    pub fn lines(&self) -> &[u8] {
        &self.lines
    }

    /// CRC-32 of each record.
    pub fn checksums(&self) -> &[u32] {
        &self.checksums
    }

    /// Whether a record is of journal format 1: its command, of somebody's, names no caller.
    pub fn has_format_1(&self) -> bool {
        self.has_format_1
    }

    /// Every record's stream, by position.
    pub fn streams(&self) -> impl Iterator<Item = (Position, &StreamId)> {
        self.streams.iter().enumerate().map(|(index, stream)| (self.first.after(index), stream))
    }

    /// The first record of each command, by position.
    pub fn commands(&self) -> impl Iterator<Item = (Position, &Metadata)> {
        self.commands.iter().map(|(index, metadata)| (self.first.after(*index), &**metadata))
    }
}
