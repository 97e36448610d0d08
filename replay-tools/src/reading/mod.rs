//! From stored bytes to facts: each batch on its own, so that several threads can read at once.
//!
//! A record is read by `strict`, which accepts only the canonical text of an entry's event and is fast, and
//! where that gives up by `careful`, which reads every version of every type as the engine does and says
//! what is wrong. **Invariant:** what `strict` accepts, `careful` reads as the same fact; a property test
//! compares them.

mod careful;
mod strict;
#[cfg(test)]
mod tests;

pub(crate) use careful::{CarefulRecord, Events, read as careful_read};

use std::hash::BuildHasher;
use std::io::Read;
use std::ops::Range;

use cauri_domain::account::AccountEvent;
use cauri_domain::ids::EntryId;
use cauri_domain::market::MarketEvent;
use cauri_domain::money::Currency;
use cauri_event_schemas::Position;
use cauri_event_schemas::ledger::Event;
use cauri_event_store::{Hash, NewerRecord, StoredBatch};

use crate::checks::{Check, canonical, checksums, positions, schemas};
use crate::finding::Findings;

/// Hashes of texts, the same on all threads of one run and others in every run: nobody can prepare collisions.
#[derive(Clone, Debug, Default)]
pub struct Seed(hashbrown::DefaultHashBuilder);

impl Seed {
    /// The hash of a text or of a few numbers.
    pub fn hash<T: std::hash::Hash + ?Sized>(&self, value: &T) -> u64 {
        self.0.hash_one(value)
    }

    /// The hash of a command.
    fn command(&self, caller: Option<&[u8]>, id: &[u8]) -> u64 {
        self.0.hash_one((caller, id))
    }
}

/// A piece of text in a batch's bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    start: usize,
    len: u32,
}

impl Span {
    fn new(range: Range<usize>) -> Self {
        // A record's texts have at most 512 characters each.
        Self { start: range.start, len: range.len() as u32 }
    }

    fn of(self, arena: &[u8]) -> &[u8] {
        &arena[self.start..self.start + self.len as usize]
    }
}

/// An entry's id as its 16 bytes.
pub type EntryKey = [u8; 16];

/// An entry's id for a person.
pub(crate) fn entry_id(key: &EntryKey) -> EntryId {
    EntryId::from_u128(u128::from_be_bytes(*key))
}

/// What a journal is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalKind {
    /// Accounts and entries.
    Ledger,
    /// Instruments and quotes.
    Market,
}

impl JournalKind {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            JournalKind::Ledger => "ledger",
            JournalKind::Market => "market",
        }
    }
}

/// What one record says, as far as the checks and balances look at it.
#[derive(Clone, Debug, PartialEq)]
pub struct Fact {
    /// Its place, by the batch it stands in.
    pub position: Position,
    /// Its place in its stream.
    pub version: u64,
    /// When it was recorded, in microseconds since 1970.
    pub recorded_at: i64,
    /// In whose name the id of the command counts.
    pub caller: Option<Span>,
    /// The id of the command that caused it.
    pub command: Span,
    /// The hash of caller and id under the run's [`Seed`].
    pub command_hash: u64,
    /// It carries the command's fingerprint, as the first record of a command does.
    pub has_fingerprint: bool,
    /// One stored record may be several events since an upcast: 0 for the first of them.
    pub part: u8,
    /// What it happened to.
    pub stream: Stream,
    /// What happened.
    pub event: Happening,
}

impl Fact {
    /// The kind of journal that it belongs to; none for what happens in any journal.
    pub fn kind(&self) -> Option<JournalKind> {
        match (&self.stream, &self.event) {
            (_, Happening::Market(_)) => Some(JournalKind::Market),
            (Stream::Command(_) | Stream::Journal(_), _) => None,
            _ => Some(JournalKind::Ledger),
        }
    }
}

/// The stream of a fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// An account, with the hash of its address.
    Account(Span, u64),
    /// The refusal of a command.
    Command(Span),
    /// An entry, with the hash of its id.
    Entry(EntryKey, u64),
    /// The journal itself.
    Journal(Span),
    /// Any other aggregate, by the name of its stream, with the hash of that.
    Other(Span, u64),
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Happening {
    /// Something to an account.
    Account(Box<AccountEvent>),
    /// The journal takes no more commands.
    JournalClosed,
    /// A command was refused.
    Refused,
    /// An entry moved, held or released money.
    Moved(Moved),
    /// An entry was undone by another.
    Reversed {
        /// The opposite entry.
        by: EntryKey,
    },
    /// Something was noted of an entry by an event of this type; it changes neither what the entry is nor what it moves.
    Noted(&'static str),
    /// Something to an aggregate of a ledger that moves no money, or to the journal itself.
    Other(Box<Event>),
    /// Something in a market.
    Market(Box<MarketEvent>),
}

/// How an entry's event moves money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Motion {
    /// Posted at once.
    Posted,
    /// Held.
    Held,
    /// A hold was posted, whole or in part.
    HoldPosted,
    /// A hold was given back.
    HoldVoided,
    /// A hold was given back because its time had passed.
    HoldExpired,
}

/// An entry's event that moves, holds or releases money.
#[derive(Clone, Debug, PartialEq)]
pub struct Moved {
    /// How.
    pub motion: Motion,
    /// The business time, in microseconds since 1970.
    pub effective_at: i64,
    /// When a hold ends by itself.
    pub expires_at: Option<i64>,
    /// The entry that this one undoes.
    pub reverses: Option<EntryKey>,
    /// Its transfers, as indices into [`ReadBatch::movements`].
    pub transfers: Range<usize>,
}

/// One transfer in minor units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Movement {
    /// The account on the left, and the hash of its address.
    pub debit: (Span, u64),
    /// The account on the right, and the hash of its address.
    pub credit: (Span, u64),
    /// What moves, is held or is released.
    pub minor: i64,
    /// What was held, where a hold is posted; else the same as `minor`.
    pub held: i64,
    /// In what.
    pub currency: Currency,
}

/// A batch as a source gave it: checksums and root are absent in an export.
#[derive(Debug)]
pub struct RawBatch {
    /// Position of the first record.
    pub first: Position,
    /// Position of the last record.
    pub last: Position,
    /// The root after the last record, where one is stored.
    pub root: Option<Hash>,
    /// CRC-32 of each record, where they are stored.
    pub checksums: Option<Vec<u32>>,
    /// The tree's peaks after the last record, where they are stored with the batch: 32 bytes each, largest first.
    pub peaks: Option<Vec<u8>>,
    /// The records, each followed by a line feed.
    pub body: Body,
}

/// The records of a batch, each followed by a line feed.
#[derive(Debug)]
pub enum Body {
    /// As they are.
    Lines(Vec<u8>),
    /// Block after block compressed with zstd, to be unpacked by whoever reads the batch.
    Packed(Vec<Vec<u8>>),
}

impl From<StoredBatch> for RawBatch {
    fn from(stored: StoredBatch) -> Self {
        let StoredBatch { first, last, root, checksums, lines } = stored;
        Self { first, last, root, checksums: Some(checksums), peaks: None, body: Body::Lines(lines) }
    }
}

/// A batch that was read.
#[derive(Debug)]
pub struct ReadBatch {
    /// Position of the first record.
    pub first: Position,
    /// Position of the last record.
    pub last: Position,
    /// The root after the last record, where one is stored.
    pub root: Option<Hash>,
    /// The tree's peaks after the last record, where they are stored with the batch.
    pub peaks: Option<Vec<u8>>,
    /// How many bytes the records have, with their line feeds.
    pub bytes: u64,
    /// The leaf of each record; fewer than positions where records are missing.
    pub leaves: Vec<Hash>,
    /// The facts in order.
    pub facts: Vec<Fact>,
    /// The transfers of all facts.
    pub movements: Vec<Movement>,
    /// What is wrong with single records.
    pub findings: Findings,
    /// The first position whose record says nothing that could be understood.
    pub unreadable: Option<Position>,
    /// The first record that a newer program wrote: nothing is wrong with it.
    pub newer: Option<NewerRecord>,
    // The lines, and behind them texts that were no plain part of any line.
    arena: Vec<u8>,
    ends: Vec<usize>,
}

impl ReadBatch {
    /// The text of a span of this batch.
    pub fn text(&self, span: Span) -> &[u8] {
        span.of(&self.arena)
    }

    /// The command that caused a fact: `CALLER ID`, or `ID` where it names no caller.
    pub fn command(&self, fact: &Fact) -> String {
        match fact.caller {
            Some(caller) => format!("{} {}", self.shown(caller), self.shown(fact.command)),
            None => self.shown(fact.command),
        }
    }

    /// The same for messages.
    pub fn shown(&self, span: Span) -> String {
        String::from_utf8_lossy(self.text(span)).into_owned()
    }

    /// Some of the batch's bytes.
    pub(crate) fn bytes_of(&self, range: Range<usize>) -> &[u8] {
        &self.arena[range]
    }

    /// The record at a position, without its line feed.
    pub fn line(&self, position: Position) -> Option<&[u8]> {
        let index = usize::try_from(position.get().checked_sub(self.first.get())?).ok()?;
        let end = *self.ends.get(index)?;
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        Some(&self.arena[start..end - 1])
    }
}

/// Reads a batch: leaves, facts, and whatever can be wrong with a record on its own.
pub fn read(raw: RawBatch, seed: &Seed) -> ReadBatch {
    let RawBatch { first, last, root, checksums, peaks, body } = raw;
    let (lines, torn) = match body {
        Body::Lines(lines) => (lines, None),
        Body::Packed(blocks) => unpack(&blocks),
    };
    let expected = (last.get() + 1).saturating_sub(first.get()) as usize;
    let bytes = lines.len() as u64;
    let mut batch = ReadBatch {
        first,
        last,
        root,
        peaks,
        bytes,
        leaves: Vec::with_capacity(expected.min(lines.len())),
        facts: Vec::with_capacity(expected.min(lines.len())),
        movements: Vec::with_capacity(expected.min(lines.len())),
        findings: Findings::default(),
        unreadable: None,
        newer: None,
        arena: lines,
        ends: Vec::with_capacity(expected.min(1 << 20)),
    };
    checksums::count(&mut batch, checksums.as_deref(), expected);
    let whole = batch.arena.len();
    let mut start = 0;
    for index in 0..expected {
        let position = first.after(index);
        let Some(length) = memchr::memchr(b'\n', &batch.arena[start..whole]) else {
            let what = match &torn {
                Some(error) => format!("the batch cannot be unpacked from this record on: {error}"),
                None => "the batch ends before this record".to_owned(),
            };
            batch.findings.at(Check::Checksums, position, what);
            batch.unreadable.get_or_insert(position);
            break;
        };
        let range = start..start + length;
        start += length + 1;
        batch.ends.push(start);
        batch.leaves.push(Hash::of_leaf(&batch.arena[range.clone()]));
        if let Some(stored) = checksums.as_ref().and_then(|checksums| checksums.get(index)) {
            checksums::compare(&mut batch, position, range.clone(), *stored);
        }
        record(&mut batch, position, range, seed);
    }
    if start < whole && batch.unreadable.is_none() {
        batch.findings.at(Check::Checksums, last, "the batch goes on after its last record");
    }
    if let (Some(error), None) = (torn, batch.unreadable) {
        // Others who unpack it by the book get nothing at all.
        batch.findings.at(Check::Checksums, last, format!("the batch has all its records but cannot be unpacked to its end: {error}"));
    }
    batch
}

/// The lines of a batch, as far as they can be unpacked.
pub(crate) fn lines(body: Body) -> Vec<u8> {
    match body {
        Body::Lines(lines) => lines,
        Body::Packed(blocks) => unpack(&blocks).0,
    }
}

/// No batch unpacks to more: what claims to is damaged.
const MOST_UNPACKED: u64 = 1 << 30;

/// Unpacks the blocks of a batch up to the first that cannot be unpacked to its end, and says why it cannot.
fn unpack(blocks: &[Vec<u8>]) -> (Vec<u8>, Option<String>) {
    let mut lines = Vec::new();
    for block in blocks {
        let (more, torn) = unpack_block(block);
        // Most batches have one block, and then nothing is copied.
        if lines.is_empty() {
            lines = more
        } else {
            lines.extend(more)
        }
        if torn.is_some() {
            return (lines, torn);
        }
    }
    (lines, None)
}

/// Unpacks a block; where it cannot be unpacked to its end, as much as can be, and why no more.
fn unpack_block(body: &[u8]) -> (Vec<u8>, Option<String>) {
    let claimed = zstd::zstd_safe::get_frame_content_size(body).ok().flatten().filter(|size| *size <= MOST_UNPACKED);
    if let Some(Ok(lines)) = claimed.map(|size| zstd::bulk::decompress(body, size as usize)) {
        return (lines, None);
    }
    let mut lines = Vec::new();
    let torn = match zstd::stream::Decoder::new(body) {
        Ok(decoder) => decoder.take(MOST_UNPACKED).read_to_end(&mut lines).err(),
        Err(error) => Some(error),
    };
    (lines, torn.map(|error| error.to_string()))
}

/// Reads one record, strictly if possible.
fn record(batch: &mut ReadBatch, position: Position, range: Range<usize>, seed: &Seed) {
    let known = batch.movements.len();
    if let Some((stated, fact)) = strict::read(&batch.arena, range.clone(), position, &mut batch.movements, seed) {
        positions::stated(batch, position, stated);
        batch.facts.push(fact);
        return;
    }
    batch.movements.truncate(known);
    match careful::read(&batch.arena[range.clone()]) {
        Ok(record) => {
            positions::stated(batch, position, record.stated);
            canonical::check(batch, position, range, &record);
            schemas::belongs(batch, position, &record);
            careful::push(batch, position, record, seed);
        }
        Err(error) if error.is_newer => {
            batch.newer.get_or_insert_with(|| NewerRecord { position, what: error.to_string() });
            batch.unreadable.get_or_insert(position);
        }
        Err(error) => {
            batch.findings.at(Check::Schemas, position, error.to_string());
            batch.unreadable.get_or_insert(position);
        }
    }
}
