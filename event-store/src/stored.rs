//! What is read back: bytes that nothing is known about, and records that were checked.

use cauri_domain::kind::Kind;
use cauri_event_schemas::record::Envelope;
use cauri_event_schemas::{Position, Recorded};

use crate::merkle::Hash;
use crate::port::{Corruption, Unreadable};

/// A batch, or a block of one, as it came out of a store: nothing about it is known yet, and it has no way to give records.
#[derive(Clone, Debug)]
pub struct StoredBatch {
    /// Position of the first record.
    pub first: Position,
    /// Position of the last record.
    pub last: Position,
    /// The root after the last record, where the store keeps one: at the end of a batch.
    pub root: Option<Hash>,
    /// CRC-32 (IEEE 802.3) of each record's bytes.
    pub checksums: Vec<u32>,
    /// The records' canonical bytes, each followed by a line feed.
    pub lines: Vec<u8>,
}

impl StoredBatch {
    /// Compares every record with its checksum; names the first position that fails.
    pub fn check(self) -> Result<CheckedBatch, Corruption> {
        let expected = self.last.get().checked_sub(self.first.get()).and_then(|more| usize::try_from(more).ok()?.checked_add(1));
        let expected = expected.filter(|expected| self.first > Position::ZERO && self.checksums.len() == *expected);
        let Some(expected) = expected else {
            let what = format!("a batch from {} to {} has {} checksums", self.first, self.last, self.checksums.len());
            return Err(Corruption::new(self.first, what));
        };
        let mut ends = Vec::with_capacity(expected);
        let mut start = 0;
        for (index, checksum) in self.checksums.iter().enumerate() {
            let position = self.first.after(index);
            let Some(length) = memchr::memchr(b'\n', &self.lines[start..]) else {
                return Err(Corruption::new(position, "the batch ends before this record"));
            };
            let found = crc32fast::hash(&self.lines[start..start + length]);
            if found != *checksum {
                let what = format!("the record's checksum is {found:08x}, stored is {checksum:08x}");
                return Err(Corruption::new(position, what));
            }
            start += length + 1;
            ends.push(start);
        }
        if start != self.lines.len() {
            return Err(Corruption::new(self.last, "the batch goes on after its last record"));
        }
        Ok(CheckedBatch { first: self.first, root: self.root, lines: self.lines, ends })
    }
}

/// A batch, or a block of one, whose records all have their checksums.
#[derive(Clone, Debug)]
pub struct CheckedBatch {
    first: Position,
    root: Option<Hash>,
    lines: Vec<u8>,
    ends: Vec<usize>,
}

impl CheckedBatch {
    /// Position of the first record.
    pub fn first(&self) -> Position {
        self.first
    }

    /// Position of the last record.
    pub fn last(&self) -> Position {
        self.first.after(self.ends.len() - 1)
    }

    /// The root after the last record, where the store keeps one; not compared with anything yet.
    pub fn root(&self) -> Option<Hash> {
        self.root
    }

    /// How much memory it takes, about.
    pub fn bytes(&self) -> usize {
        self.lines.len() + size_of_val(&self.ends[..])
    }

    /// The records in order.
    pub fn records(&self) -> impl DoubleEndedIterator<Item = Record<'_>> + ExactSizeIterator {
        (0..self.ends.len()).map(|index| self.record(index))
    }

    /// The record at a position, if it is in this batch.
    pub fn at(&self, position: Position) -> Option<Record<'_>> {
        let index = usize::try_from(position.get().checked_sub(self.first.get())?).ok()?;
        (index < self.ends.len()).then(|| self.record(index))
    }

    fn record(&self, index: usize) -> Record<'_> {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        Record { position: self.first.after(index), bytes: &self.lines[start..self.ends[index] - 1] }
    }
}

/// One checked record: its canonical bytes at its position.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    position: Position,
    bytes: &'a [u8],
}

impl<'a> Record<'a> {
    /// Its place in the journal, by the batch that it stands in.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Its canonical bytes: what the leaf hash covers.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Its leaf in the Merkle tree.
    pub fn leaf(&self) -> Hash {
        Hash::of_leaf(self.bytes)
    }

    /// The record around its payload.
    ///
    /// # Errors
    /// When the record names another position or contradicts itself, or a newer program wrote it.
    pub fn envelope(&self) -> Result<Envelope<'a>, Unreadable> {
        let envelope = Envelope::parse(self.bytes).map_err(|error| Unreadable::at(self.position, &error))?;
        if envelope.position != self.position {
            return Err(Corruption::new(self.position, format!("the record says that it stands at {}", envelope.position)).into());
        }
        Ok(envelope)
    }

    /// The event or, after an upcast, the events that the record stands for today.
    ///
    /// # Errors
    /// When the record contradicts itself, or a newer program wrote it.
    pub fn decode<K: Kind>(&self) -> Result<Vec<Recorded<K::Stream, K::Event>>, Unreadable> {
        self.envelope()?.decode::<K>().map_err(|error| Unreadable::at(self.position, &error))
    }

    /// The same for whoever reads many: what it stands for is added to `recorded`, and nothing where it fails.
    ///
    /// # Errors
    /// As [`Record::decode`].
    pub fn decode_into<K: Kind>(&self, recorded: &mut Vec<Recorded<K::Stream, K::Event>>) -> Result<(), Unreadable> {
        self.envelope()?.decode_into::<K>(recorded).map_err(|error| Unreadable::at(self.position, &error))
    }

    /// The same record with bytes of its own.
    pub fn to_owned(&self) -> OwnedRecord {
        OwnedRecord { position: self.position, bytes: self.bytes.into() }
    }
}

/// One checked record with bytes of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedRecord {
    position: Position,
    bytes: Box<[u8]>,
}

impl OwnedRecord {
    /// The record, borrowed: everything one can ask of it.
    pub fn as_record(&self) -> Record<'_> {
        Record { position: self.position, bytes: &self.bytes }
    }
}
