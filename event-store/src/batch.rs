//! A batch on its way into a store: canonical bytes, checksums, tree and look-up keys, computed once for all backends.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use cauri_domain::event::EventSet;
use cauri_domain::kind::StreamKey;
use cauri_event_schemas::record::Envelope;
use cauri_event_schemas::registry::UndecodableEvent;
use cauri_event_schemas::{Metadata, Position, Recorded};

use crate::merkle::{Hash, Tree};
use crate::port::Head;

/// A block ends with the record that brings it to so many bytes, or with its batch.
///
/// Chosen by measurement (decision 0012): smaller blocks cost space, larger ones cost time to load one record.
pub const BLOCK_BYTES: usize = 64 << 10;

/// The records of many commands, to become durable by one write.
#[derive(Clone, Debug)]
pub struct Batch {
    first: Position,
    lines: Vec<u8>,
    ends: Vec<usize>,
    checksums: Vec<u32>,
    streams: Vec<StreamName>,
    commands: Vec<(usize, Arc<Metadata>)>,
    tree: Tree,
    has_format_1: bool,
}

/// Some consecutive records of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block<'a> {
    /// Position of the first record.
    pub first: Position,
    /// Position of the last record.
    pub last: Position,
    /// The records' canonical bytes, each followed by a line feed.
    pub lines: &'a [u8],
    /// CRC-32 of each record.
    pub checksums: &'a [u32],
}

/// Where the name of a record's stream is found.
#[derive(Clone, Debug)]
enum StreamName {
    /// In the lines, where it stands as it is.
    InLines(Range<usize>),
    /// Here, because JSON escapes something in it.
    Own(Box<str>),
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
    pub fn push<S: StreamKey, E: EventSet>(&mut self, record: &Recorded<S, E>) {
        assert_eq!(record.position, self.next(), "positions have no gaps");
        if self.lines.capacity() == 0 {
            self.lines.reserve(4096);
        }
        let start = self.lines.len();
        let name = record.write_to(&mut self.lines);
        let name = if self.lines[name.clone()].contains(&b'\\') {
            StreamName::Own(record.stream.to_string().into())
        } else {
            StreamName::InLines(name)
        };
        self.seal(start, name, &record.metadata);
    }

    /// Adds a record as it stands in another journal's export, byte for byte.
    ///
    /// # Errors
    /// When it is no record, or not the next one.
    pub fn push_bytes(&mut self, record: &[u8]) -> Result<(), UndecodableEvent> {
        let envelope = Envelope::parse(record)?;
        if envelope.position != self.next() {
            let reason = format!("position {} where {} comes next", envelope.position, self.next());
            return Err(UndecodableEvent::new(&envelope.event_type, envelope.schema, reason));
        }
        let start = self.lines.len();
        self.lines.extend_from_slice(record);
        self.seal(start, StreamName::Own(envelope.stream.into()), &Arc::new(envelope.metadata));
        Ok(())
    }

    fn seal(&mut self, start: usize, stream: StreamName, metadata: &Arc<Metadata>) {
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

    /// The records in blocks: what a store reads at once to get at one record.
    pub fn blocks(&self) -> impl Iterator<Item = Block<'_>> {
        let mut begun = 0_usize;
        std::iter::from_fn(move || {
            let start = begun.checked_sub(1).map_or(0, |before| self.ends[before]);
            let full = self.ends.get(begun..)?.iter().position(|end| end - start >= BLOCK_BYTES);
            let ended = full.map_or(self.ends.len(), |full| begun + full + 1);
            let records = begun..ended;
            begun = ended;
            let end = *self.ends[records.clone()].last()?;
            Some(Block {
                first: self.first.after(records.start),
                last: self.first.after(records.end - 1),
                lines: &self.lines[start..end],
                checksums: &self.checksums[records],
            })
        })
    }

    /// Whether a record is of journal format 1: its command, of somebody's, names no caller.
    pub fn has_format_1(&self) -> bool {
        self.has_format_1
    }

    /// The name of every record's stream, by position.
    pub fn streams(&self) -> impl Iterator<Item = (Position, Cow<'_, str>)> {
        self.streams.iter().enumerate().map(|(index, name)| (self.first.after(index), self.name(name)))
    }

    fn name<'a>(&'a self, name: &'a StreamName) -> Cow<'a, str> {
        match name {
            StreamName::InLines(range) => {
                let name = &self.lines[range.clone()];
                // It is UTF-8: checked as a whole, and not piece by piece as the lossy conversion does.
                str::from_utf8(name).map_or_else(|_| String::from_utf8_lossy(name), Cow::Borrowed)
            }
            StreamName::Own(name) => Cow::Borrowed(name),
        }
    }

    /// The first record of each command, by position.
    pub fn commands(&self) -> impl Iterator<Item = (Position, &Metadata)> {
        self.commands.iter().map(|(index, metadata)| (self.first.after(*index), &**metadata))
    }
}
