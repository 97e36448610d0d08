//! The journal in memory: for tests and simulation; several engines can share it, and faults can be injected.

mod faults;

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use cauri_domain::ids::CommandKey;
use cauri_event_schemas::{Position, StreamVersion};

pub use faults::{Fault, Faults};

use crate::batch::Batch;
use crate::follow::HeadWatch;
use crate::merkle::{Hash, Tree};
use crate::port::{Appended, EventStore, Failure, Head, Lookup, Sharing, Snapshot, StoreError, Turn};
use crate::stored::{CheckedBatch, OwnedRecord, StoredBatch};

/// A journal in memory. Cloning shares it: each clone may serve an engine of its own.
#[derive(Clone, Debug)]
pub struct MemoryStore {
    name: Arc<str>,
    sharing: Sharing,
    journal: Arc<Journal>,
    faults: Faults,
}

#[derive(Debug)]
struct Journal {
    state: Mutex<State>,
    turn_taken: Mutex<bool>,
    turn_ended: Condvar,
    heads: HeadWatch,
}

#[derive(Debug, Default)]
struct State {
    tree: Tree,
    batches: Vec<StoredBatch>,
    /// The tree after each batch.
    trees: Vec<Tree>,
    /// The same, unpacked once: streams are read record by record.
    checked: Vec<Arc<CheckedBatch>>,
    streams: HashMap<String, Vec<Position>>,
    commands: HashMap<CommandKey, Position>,
    format_1_until: Position,
    snapshot: Option<Snapshot>,
}

impl MemoryStore {
    /// An empty journal for one engine.
    pub fn exclusive(name: &str) -> Self {
        Self::new(name, Sharing::Exclusive)
    }

    /// An empty journal that several engines append to, each with a clone of this store.
    pub fn shared(name: &str) -> Self {
        Self::new(name, Sharing::Shared)
    }

    fn new(name: &str, sharing: Sharing) -> Self {
        let journal = Journal {
            state: Mutex::default(),
            turn_taken: Mutex::new(false),
            turn_ended: Condvar::new(),
            heads: HeadWatch::new(Head::default()),
        };
        Self { name: name.into(), sharing, journal: Arc::new(journal), faults: Faults::default() }
    }

    /// What is to go wrong in this clone.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// The same journal with faults of its own: another engine's view.
    #[must_use]
    pub fn for_another_engine(&self) -> Self {
        Self { faults: Faults::default(), ..self.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.journal.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, expected: Head, batch: &Batch) -> Appended {
        let mut state = self.lock();
        let head = state.tree.head();
        if head != expected {
            return Appended::Conflict(head);
        }
        if batch.is_empty() {
            return Appended::Done(head);
        }
        for (position, stream) in batch.streams() {
            state.streams.entry(stream.into_owned()).or_default().push(position);
        }
        for (position, metadata) in batch.commands() {
            state.commands.entry(metadata.key()).or_insert(position);
        }
        if batch.has_format_1() {
            state.format_1_until = batch.head().position;
        }
        let stored = StoredBatch {
            first: batch.first(),
            last: batch.head().position,
            root: Some(batch.head().root),
            checksums: batch.checksums().to_vec(),
            lines: batch.lines().to_vec(),
        };
        state.checked.push(Arc::new(stored.clone().check().expect("a batch has its own checksums")));
        state.batches.push(stored);
        state.trees.push(batch.tree().clone());
        state.tree = batch.tree().clone();
        drop(state);
        self.journal.heads.publish(batch.head());
        Appended::Done(batch.head())
    }
}

/// Ends its turn when dropped.
struct Held<'a>(&'a Journal);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        *self.0.turn_taken.lock().unwrap_or_else(PoisonError::into_inner) = false;
        self.0.turn_ended.notify_one();
    }
}

impl EventStore for MemoryStore {
    fn name(&self) -> &str {
        &self.name
    }

    fn sharing(&self) -> Sharing {
        self.sharing
    }

    fn take_turn(&self) -> Result<Turn<'_>, StoreError> {
        self.faults.read()?;
        if self.sharing == Sharing::Exclusive {
            return Ok(Turn::free());
        }
        let taken = self.journal.turn_taken.lock().unwrap_or_else(PoisonError::into_inner);
        let mut taken = self.journal.turn_ended.wait_while(taken, |taken| *taken).unwrap_or_else(PoisonError::into_inner);
        *taken = true;
        Ok(Turn::held(Held(&self.journal)))
    }

    fn tree(&self) -> Result<Tree, StoreError> {
        self.faults.read()?;
        Ok(self.lock().tree.clone())
    }

    fn append(&self, expected: Head, batch: &Batch) -> Result<Appended, StoreError> {
        match self.faults.next() {
            None => Ok(self.write(expected, batch)),
            Some(Fault::Fail) => Err(Failure::NotDone("injected: nothing was written".into()).into()),
            Some(Fault::LoseAnswer) => {
                self.write(expected, batch);
                Err(Failure::Unknown("injected: written, but the answer was lost".into()).into())
            }
            Some(Fault::Corrupt) => Err(faults::corruption(expected.position)),
            Some(Fault::LoseBatch) => Err(Failure::Unknown("injected: not written, and nobody can tell".into()).into()),
            Some(Fault::Delay(time)) => {
                std::thread::sleep(time);
                Ok(self.write(expected, batch))
            }
            Some(Fault::Duplicate) => {
                let first = self.write(expected, batch);
                // A retry below the port, as a network may make one: it must be seen as a conflict.
                let second = self.write(expected, batch);
                assert!(matches!(second, Appended::Conflict(_)), "an append is done at most once");
                Ok(first)
            }
        }
    }

    fn read_batch(&self, position: Position) -> Result<Option<StoredBatch>, StoreError> {
        self.faults.read()?;
        let state = self.lock();
        let at = state.batches.partition_point(|batch| batch.last < position);
        Ok(state.batches.get(at).filter(|batch| batch.first <= position).cloned())
    }

    fn root_at(&self, position: Position) -> Result<Option<Hash>, StoreError> {
        self.faults.read()?;
        let state = self.lock();
        let at = state.batches.partition_point(|batch| batch.last < position);
        let mut tree = at.checked_sub(1).map_or_else(Tree::empty, |before| state.trees[before].clone());
        if let Some(batch) = state.checked.get(at) {
            batch.records().take_while(|record| record.position() <= position).for_each(|record| tree.push(record.leaf()));
        }
        Ok((tree.size() == position.get()).then(|| tree.root()))
    }

    fn read_stream(&self, stream: &str, from: StreamVersion) -> Result<Vec<OwnedRecord>, StoreError> {
        self.faults.look_up()?;
        let state = self.lock();
        let positions = state.streams.get(stream).into_iter().flatten().skip(from.get().saturating_sub(1) as usize);
        let records = positions.filter_map(|position| {
            let at = state.checked.partition_point(|batch| batch.last() < *position);
            state.checked.get(at)?.at(*position).map(|record| record.to_owned())
        });
        Ok(records.collect())
    }

    fn may_hold(&self, lookups: &[Lookup<'_>]) -> Vec<bool> {
        if self.faults.may_fail_reads() {
            // Memory of a store that cannot be read: it does not know.
            return vec![true; lookups.len()];
        }
        let state = self.lock();
        let may_hold = |lookup: &Lookup<'_>| match lookup {
            Lookup::Command(command) => state.commands.contains_key(*command),
            Lookup::Stream(stream) => state.streams.contains_key(*stream),
        };
        lookups.iter().map(may_hold).collect()
    }

    fn locate(&self, lookups: &[Lookup<'_>]) -> Result<Vec<Option<Position>>, StoreError> {
        self.faults.look_up()?;
        let state = self.lock();
        let found = lookups.iter().map(|lookup| match lookup {
            Lookup::Command(command) => state.commands.get(*command).copied(),
            Lookup::Stream(stream) => state.streams.get(*stream).and_then(|positions| positions.first()).copied(),
        });
        Ok(found.collect())
    }

    fn format_1_until(&self) -> Position {
        self.lock().format_1_until
    }

    fn follow(&self) -> &HeadWatch {
        &self.journal.heads
    }

    fn save_snapshot(&self, snapshot: &Snapshot) -> Result<(), StoreError> {
        let kept = &mut self.lock().snapshot;
        // Of two engines one may be late with its snapshot.
        if kept.as_ref().is_none_or(|kept| kept.head.position <= snapshot.head.position) {
            *kept = Some(snapshot.clone());
        }
        Ok(())
    }

    fn latest_snapshot(&self) -> Result<Option<Snapshot>, StoreError> {
        Ok(self.lock().snapshot.clone())
    }
}
