//! The store port: what a backend promises. The conformance suite is its specification.

use std::fmt;

use cauri_domain::ids::CommandKey;
use cauri_event_schemas::registry::UndecodableEvent;
use cauri_event_schemas::{Position, StreamVersion};
use serde::{Deserialize, Serialize};

use crate::batch::Batch;
use crate::follow::HeadWatch;
use crate::health::StoreHealth;
use crate::merkle::{Hash, Tree};
use crate::roots::root_from;
use crate::stored::{CheckedBatch, OwnedRecord, StoredBatch};

/// A journal's last position and the Merkle root there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// The last position; 0 in an empty journal.
    pub position: Position,
    /// The root over all records up to it.
    pub root: Hash,
}

impl Default for Head {
    fn default() -> Self {
        Tree::empty().head()
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "position {} with root {}", self.position, self.root)
    }
}

/// How an append ended where nothing broke. A conflict is a value, to be decided again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Appended {
    /// The batch is durable, whole; this is the new head.
    Done(Head),
    /// Somebody else appended first; nothing of the batch was written. This is their head.
    Conflict(Head),
}

/// What goes wrong below the rules.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// I/O went wrong.
    #[error(transparent)]
    Failure(#[from] Failure),
    /// What is stored contradicts itself.
    #[error(transparent)]
    Corruption(#[from] Corruption),
    /// A newer program wrote what stands there.
    #[error(transparent)]
    Newer(#[from] NewerRecord),
}

/// I/O went wrong; nothing contradicts itself.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Nothing was written: try again.
    #[error("not done: {0}")]
    NotDone(String),
    /// It may or may not have been written: ask again with the same command id.
    #[error("outcome unknown: {0}")]
    Unknown(String),
}

/// What is stored contradicts itself: stop, and name the position.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("corrupt at position {position}: {what}")]
pub struct Corruption {
    /// The first position that cannot be trusted.
    pub position: Position,
    /// What contradicts what.
    pub what: String,
}

impl Corruption {
    /// Names the position and the contradiction.
    pub fn new(position: Position, what: impl Into<String>) -> Self {
        Self { position, what: what.into() }
    }
}

/// A record that cannot be understood: it contradicts itself, or a newer program wrote it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It contradicts itself.
    #[error(transparent)]
    Corrupt(#[from] Corruption),
    /// A newer program wrote it, and nothing is wrong with it.
    #[error(transparent)]
    Newer(#[from] NewerRecord),
}

impl Unreadable {
    /// What is wrong with the record at a position.
    pub fn at(position: Position, error: &UndecodableEvent) -> Self {
        if error.is_newer {
            Self::Newer(NewerRecord { position, what: error.to_string() })
        } else {
            Self::Corrupt(Corruption::new(position, error.to_string()))
        }
    }
}

impl From<Unreadable> for StoreError {
    fn from(unreadable: Unreadable) -> Self {
        match unreadable {
            Unreadable::Corrupt(corruption) => corruption.into(),
            Unreadable::Newer(newer) => newer.into(),
        }
    }
}

/// A record that a newer program wrote: this one must not go on from it, and nothing is wrong with the journal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("written by a newer Cauri at position {position}: {what}")]
pub struct NewerRecord {
    /// Where it stands.
    pub position: Position,
    /// What this program does not know.
    pub what: String,
}

/// Whether others may append to the journal while this store is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// Nobody else: a lock on the directory sees to it.
    Exclusive,
    /// Several engines take turns, each seeing the others' tail before it decides.
    Shared,
}

/// While it lives nobody else's turn begins. A shared store keeps its lock or transaction in it.
pub struct Turn<'a> {
    _held: Option<Box<dyn Held + 'a>>,
}

/// Whatever ends a turn when it is dropped.
trait Held {}

impl<T> Held for T {}

impl<'a> Turn<'a> {
    /// A turn that nobody competes for.
    pub fn free() -> Self {
        Self { _held: None }
    }

    /// A turn that ends when `guard` is dropped.
    pub fn held(guard: impl Drop + 'a) -> Self {
        Self { _held: Some(Box::new(guard)) }
    }
}

/// What to look up without reading a journal through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup<'a> {
    /// The first record of a command.
    Command(&'a CommandKey),
    /// The first record of the stream with this name.
    Stream(&'a str),
}

/// The decision state at one position, as its engine serialised it. A cache: losing it costs time only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The head that it belongs to: one with another root there is of another history, and is ignored.
    pub head: Head,
    /// The serialised state.
    pub state: Vec<u8>,
}

/// A journal in some store.
///
/// `&self` throughout: one thread appends while others read. Reads see only what is durable.
pub trait EventStore: Send + Sync + 'static {
    /// The journal's name.
    fn name(&self) -> &str;

    /// Whether others may append meanwhile.
    fn sharing(&self) -> Sharing;

    /// Waits until it is this caller's turn to look at the tail, decide and append.
    fn take_turn(&self) -> Result<Turn<'_>, StoreError>;

    /// The tree over everything durable; its [`Tree::head`] is the head.
    fn tree(&self) -> Result<Tree, StoreError>;

    /// Appends a batch whole if the head is still `expected`, else says where it is.
    ///
    /// After `Done` the batch survives a crash of the process and of the machine.
    fn append(&self, expected: Head, batch: &Batch) -> Result<Appended, StoreError>;

    /// The stored batch that holds `position`, or `None` beyond the head.
    fn read_batch(&self, position: Position) -> Result<Option<StoredBatch>, StoreError>;

    /// The stored block that holds `position`, or `None` beyond the head: of the batch that holds it, what the store can
    /// read at once. For looking at single records; a store that keeps whole batches gives the batch.
    fn read_block(&self, position: Position) -> Result<Option<StoredBatch>, StoreError> {
        self.read_batch(position)
    }

    /// The records of one stream from `from` on, in order.
    fn read_stream(&self, stream: &str, from: StreamVersion) -> Result<Vec<OwnedRecord>, StoreError>;

    /// For each look-up whether it may lead to a record. `false` is certain, and the answer takes no I/O: what was never
    /// written is, in the common case, known from memory.
    fn may_hold(&self, lookups: &[Lookup<'_>]) -> Vec<bool> {
        vec![true; lookups.len()]
    }

    /// For each look-up the position of its first record, if there is one.
    fn locate(&self, lookups: &[Lookup<'_>]) -> Result<Vec<Option<Position>>, StoreError>;

    /// The last position at which a record of journal format 1 may stand, whose command names no caller; 0 if there is none.
    fn format_1_until(&self) -> Position;

    /// Tells followers where the head is, and wakes them when it moves.
    fn follow(&self) -> &HeadWatch;

    /// Keeps a snapshot; older ones may be dropped.
    fn save_snapshot(&self, snapshot: &Snapshot) -> Result<(), StoreError>;

    /// The newest snapshot that is whole.
    fn latest_snapshot(&self) -> Result<Option<Snapshot>, StoreError>;

    /// The root over all records up to `position`, wherever a batch ends; `None` beyond the head.
    ///
    /// This is what tells histories apart: journals with the same root at a position have the same records up to it.
    /// It takes microseconds where a batch ends; elsewhere, as long as hashing what stands behind the nearest tree
    /// that the store keeps.
    fn root_at(&self, position: Position) -> Result<Option<Hash>, StoreError> {
        if position == Position::ZERO {
            return Ok(Some(Hash::of_nothing()));
        }
        let Some(batch) = self.read_batch(position)? else { return Ok(None) };
        match batch.root {
            Some(root) if batch.last == position => Ok(Some(root)),
            _ => root_from(Tree::empty(), position, |position| self.read_batch(position), |_, _| {}),
        }
    }

    /// What the store knows of its own condition. A store that keeps no account of it gives one that says nothing.
    fn health(&self) -> StoreHealth {
        StoreHealth::default()
    }

    /// Called by the engine about once a second, whether or not there are commands: the store looks whether its files
    /// are still there, and tries again what failed, so that its condition is current without traffic.
    fn tend(&self) {}

    /// The same as [`EventStore::read_batch`], checked; damage is noted in the store's condition.
    fn read_checked(&self, position: Position) -> Result<Option<CheckedBatch>, StoreError> {
        self.checked(position, self.read_batch(position))
    }

    /// The same as [`EventStore::read_block`], checked; damage is noted in the store's condition.
    fn read_checked_block(&self, position: Position) -> Result<Option<CheckedBatch>, StoreError> {
        self.checked(position, self.read_block(position))
    }

    /// Checks what was read for a position, and that it holds it: whoever reads on from it would not come to an end.
    /// Damage is noted in the store's condition.
    fn checked(&self, position: Position, stored: Result<Option<StoredBatch>, StoreError>) -> Result<Option<CheckedBatch>, StoreError> {
        let holds = |batch: StoredBatch| {
            let (first, last) = (batch.first, batch.last);
            let what = || format!("it is looked for, and records from {first} to {last} are found");
            if (first..=last).contains(&position) { batch.check() } else { Err(Corruption::new(position, what())) }
        };
        let checked = stored.and_then(|stored| Ok(stored.map(holds).transpose()?));
        if let Err(StoreError::Corruption(corruption)) = &checked {
            self.health().note_damage(corruption);
        }
        checked
    }

    /// The head.
    fn head(&self) -> Result<Head, StoreError> {
        Ok(self.tree()?.head())
    }

    /// At most `limit` checked records from `from` on, in order.
    fn read_journal(&self, from: Position, limit: usize) -> Result<Vec<OwnedRecord>, StoreError> {
        let mut records = Vec::new();
        let mut next = if from == Position::ZERO { from.next() } else { from };
        while records.len() < limit {
            let Some(batch) = self.read_checked(next)? else { break };
            records.extend(
                batch.records().filter(|record| record.position() >= next).take(limit - records.len()).map(|record| record.to_owned()),
            );
            next = batch.last().next();
        }
        Ok(records)
    }
}
