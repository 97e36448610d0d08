//! Where batches come from: a store or an export, in order, with what cannot be read named and passed over.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use cauri_event_schemas::Position;
use cauri_event_store::{Corruption, EventStore, Failure, Head, StoreError, StoredBatch, Tree};
use serde::{Deserialize, Serialize};

use crate::reading::{Body, RawBatch};

/// What a source gives next.
#[derive(Debug)]
pub enum Piece {
    /// A batch.
    Batch(RawBatch),
    /// Positions that cannot be read at all.
    Unreadable {
        /// The first of them.
        from: Position,
        /// The first position behind them that can be read; `None` where nothing more can.
        to: Option<Position>,
        /// Why.
        why: String,
    },
}

/// Batches in order.
pub trait Source: Send {
    /// The next piece; `None` at the end.
    fn next(&mut self) -> Option<Piece>;
}

/// A journal with a stored head, to be read more than once.
pub trait Journal {
    /// Its name.
    fn name(&self) -> &str;

    /// The tree at the head as it is stored now.
    fn tree(&self) -> Result<Tree, StoreError>;

    /// Every batch up to a position; everything there is where the head cannot be read and `until` is absent.
    fn source(&self, until: Option<Position>) -> Result<Box<dyn Source>, Failure>;

    /// Where the last batch behind a head ends, if one stands there that no later append explains.
    fn behind(&self, head: Position) -> Result<Option<Position>, StoreError>;

    /// What is torn in the structure of the file that it stands in, in words; nothing where there is no file.
    fn torn_structure(&self) -> Vec<String> {
        Vec::new()
    }

    /// Where records of journal format 1 end, where the journal says it: 0 if it has none.
    fn format_1_until(&self) -> Option<Position> {
        None
    }
}

impl<S: Source + ?Sized> Source for Box<S> {
    fn next(&mut self) -> Option<Piece> {
        (**self).next()
    }
}

/// Any store as a journal to be read.
impl Journal for Arc<dyn EventStore> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn tree(&self) -> Result<Tree, StoreError> {
        (**self).tree()
    }

    fn source(&self, until: Option<Position>) -> Result<Box<dyn Source>, Failure> {
        Ok(Box::new(match until {
            Some(until) => StoreSource::new(self.clone(), until),
            None => StoreSource::without_head(self.clone()),
        }))
    }

    fn behind(&self, head: Position) -> Result<Option<Position>, StoreError> {
        let Some(batch) = self.read_batch(head.next())? else { return Ok(None) };
        // An append moves both at once, so the head is read again after the record.
        let moved_on = Journal::tree(self).is_ok_and(|tree| tree.size() >= batch.last.get());
        Ok((!moved_on).then_some(batch.last))
    }
}

/// The journal in a store, from its beginning up to a position.
pub struct StoreSource {
    store: Arc<dyn EventStore>,
    next: Position,
    until: Position,
    known_end: bool,
}

impl StoreSource {
    /// Everything up to and including `until`, as whole batches.
    pub fn new(store: Arc<dyn EventStore>, until: Position) -> Self {
        Self { store, next: Position::ZERO.next(), until, known_end: true }
    }

    /// Everything there is, where the head cannot be read.
    pub fn without_head(store: Arc<dyn EventStore>) -> Self {
        Self { store, next: Position::ZERO.next(), until: Position::new(1 << 53), known_end: false }
    }

    /// The first position after `from` from which on something can be read, and up to the head.
    ///
    /// Looks ahead in steps that double, then halves: a damaged batch is tried a few times, not once a position.
    fn readable_after(&self, from: Position) -> Option<Position> {
        let beyond = self.until.get() + 1;
        let (mut bad, mut step) = (from.get(), 1);
        let mut good = loop {
            let probe = bad.checked_add(step).filter(|probe| *probe < beyond)?;
            match self.first_at(probe) {
                Some(first) if first > from => break probe.min(first.get()),
                _ => (bad, step) = (probe, step * 2),
            }
        };
        // The last step may have leapt over the end of the journal's readable part, but `bad` is still bad.
        while good - bad > 1 {
            let middle = bad + (good - bad) / 2;
            match self.first_at(middle) {
                Some(first) if first > from => good = middle.min(first.get()),
                _ => bad = middle,
            }
        }
        self.first_at(good)
    }

    /// Where the batch begins that holds a position, if it can be read.
    fn first_at(&self, position: u64) -> Option<Position> {
        match self.store.read_batch(Position::new(position)) {
            Ok(Some(StoredBatch { first, .. })) => Some(first),
            Ok(None) | Err(_) => None,
        }
    }
}

impl Source for StoreSource {
    fn next(&mut self) -> Option<Piece> {
        if self.next > self.until {
            return None;
        }
        let from = self.next;
        let why = match self.store.read_batch(from) {
            Ok(Some(stored)) if stored.last >= from => {
                self.next = stored.last.next();
                return Some(Piece::Batch(stored.into()));
            }
            Ok(Some(stored)) => format!("the batch that should hold it ends at {}", stored.last),
            Ok(None) => "no batch holds it".to_owned(),
            Err(StoreError::Corruption(Corruption { what, .. })) => what,
            Err(StoreError::Failure(failure)) => failure.to_string(),
            Err(StoreError::Newer(newer)) => newer.to_string(),
        };
        let to = self.readable_after(from);
        if to.is_none() && !self.known_end {
            return None;
        }
        self.next = to.unwrap_or(self.until.next());
        Some(Piece::Unreadable { from, to, why })
    }
}

/// The version of the exports that this program writes, and the newest that it reads.
pub const EXPORT_VERSION: u32 = 2;

/// The first line of an export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportHeader {
    /// Version of the export's form: 1 or 2. An export of version 1 has records of journal format 1 only.
    pub cauri_export: u32,
    /// Position and root of the last record.
    pub head: Head,
    /// The journal's name.
    pub journal: String,
}

/// Why an export cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The file cannot be opened or read.
    #[error("cannot read the export: {0}")]
    Io(#[from] std::io::Error),
    /// Its first line is something else.
    #[error("line 1 is no header of an export: {0}")]
    Header(String),
}

/// An export: a header and one record a line.
pub struct ExportSource<R> {
    lines: R,
    next: Position,
    ended: bool,
}

/// How many records of an export make a batch.
const RECORDS_A_BATCH: usize = 8_189;

/// How long a line may be: a record has at most 1,000 transfers of less than 1,000 bytes.
pub(crate) const LONGEST_LINE: u64 = 16 << 20;

impl ExportSource<BufReader<File>> {
    /// Opens an export and reads its header.
    pub fn open(path: &Path) -> Result<(ExportHeader, Self), ExportError> {
        Self::new(BufReader::with_capacity(1 << 20, File::open(path)?))
    }
}

impl<R: BufRead> ExportSource<R> {
    /// Reads the header of an export.
    pub fn new(mut lines: R) -> Result<(ExportHeader, Self), ExportError> {
        let mut line = Vec::new();
        (&mut lines).take(LONGEST_LINE).read_until(b'\n', &mut line)?;
        let header: ExportHeader = serde_json::from_slice(&line).map_err(|error| ExportError::Header(error.to_string()))?;
        if !(1..=EXPORT_VERSION).contains(&header.cauri_export) {
            let what = format!("this program reads exports of version 1 to {EXPORT_VERSION}, this is {}", header.cauri_export);
            return Err(ExportError::Header(what));
        }
        Ok((header, Self { lines, next: Position::ZERO.next(), ended: false }))
    }

    /// The records' lines one after another, without their line feeds.
    pub(crate) fn into_lines(self) -> R {
        self.lines
    }
}

impl<R: BufRead + Send> Source for ExportSource<R> {
    fn next(&mut self) -> Option<Piece> {
        if self.ended {
            return None;
        }
        let first = self.next;
        let mut lines = Vec::new();
        let mut count = 0;
        while count < RECORDS_A_BATCH {
            match (&mut self.lines).take(LONGEST_LINE).read_until(b'\n', &mut lines) {
                Ok(0) => {
                    self.ended = true;
                    break;
                }
                Ok(_) => count += 1,
                Err(error) => {
                    self.ended = true;
                    return Some(Piece::Unreadable { from: first, to: None, why: format!("the file cannot be read on: {error}") });
                }
            }
        }
        if count == 0 {
            return None;
        }
        if lines.last() != Some(&b'\n') {
            // A last line without its line feed is still a record, if it is whole.
            lines.push(b'\n');
        }
        let last = Position::new(first.get() + count as u64 - 1);
        self.next = last.next();
        Some(Piece::Batch(RawBatch { first, last, root: None, checksums: None, peaks: None, body: Body::Lines(lines) }))
    }
}
