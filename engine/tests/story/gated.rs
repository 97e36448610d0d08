//! A store whose appends wait at a gate, and whose reads fail on demand: for looking at what is in flight.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex};

use cauri_event_schemas::{Position, StreamId, StreamVersion};
use cauri_event_store::memory::MemoryStore;
use cauri_event_store::{
    Appended, Batch, Corruption, EventStore, Failure, Head, HeadWatch, Lookup, OwnedRecord, Sharing, Snapshot, StoreError, StoredBatch,
    Tree, Turn,
};

pub struct Gated {
    pub inner: MemoryStore,
    gate: Mutex<Gate>,
    moved: Condvar,
    pub reads_fail: AtomicBool,
    pub appends_find_corruption: AtomicBool,
}

#[derive(Default)]
struct Gate {
    closed: bool,
    arrived: usize,
}

impl Gated {
    pub fn new(inner: MemoryStore) -> Self {
        Self {
            inner,
            gate: Mutex::default(),
            moved: Condvar::new(),
            reads_fail: AtomicBool::new(false),
            appends_find_corruption: AtomicBool::new(false),
        }
    }

    /// From here on appends wait.
    pub fn close(&self) {
        self.gate.lock().expect("a gate").closed = true;
    }

    /// Lets every append pass.
    pub fn open(&self) {
        self.gate.lock().expect("a gate").closed = false;
        self.moved.notify_all();
    }

    /// Waits until so many appends have arrived at the gate since the beginning.
    pub fn wait_for_arrivals(&self, arrivals: usize) {
        let gate = self.gate.lock().expect("a gate");
        let waited = self.moved.wait_timeout_while(gate, std::time::Duration::from_secs(60), |gate| gate.arrived < arrivals);
        assert!(!waited.expect("a gate").1.timed_out(), "no append arrived");
    }

    pub fn arrivals(&self) -> usize {
        self.gate.lock().expect("a gate").arrived
    }

    fn read(&self) -> Result<(), StoreError> {
        if self.reads_fail.load(Ordering::SeqCst) {
            return Err(Failure::NotDone("injected: nothing can be read".into()).into());
        }
        Ok(())
    }
}

impl EventStore for Gated {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn sharing(&self) -> Sharing {
        self.inner.sharing()
    }

    fn take_turn(&self) -> Result<Turn<'_>, StoreError> {
        self.read()?;
        self.inner.take_turn()
    }

    fn tree(&self) -> Result<Tree, StoreError> {
        self.read()?;
        self.inner.tree()
    }

    fn append(&self, expected: Head, batch: &Batch) -> Result<Appended, StoreError> {
        let mut gate = self.gate.lock().expect("a gate");
        gate.arrived += 1;
        self.moved.notify_all();
        drop(self.moved.wait_while(gate, |gate| gate.closed).expect("a gate"));
        if self.appends_find_corruption.load(Ordering::SeqCst) {
            return Err(Corruption::new(expected.position, "injected: the head is another").into());
        }
        self.inner.append(expected, batch)
    }

    fn read_batch(&self, position: Position) -> Result<Option<StoredBatch>, StoreError> {
        self.read()?;
        self.inner.read_batch(position)
    }

    fn read_stream(&self, stream: &StreamId, from: StreamVersion) -> Result<Vec<OwnedRecord>, StoreError> {
        self.read()?;
        self.inner.read_stream(stream, from)
    }

    fn locate(&self, lookups: &[Lookup]) -> Result<Vec<Option<Position>>, StoreError> {
        self.read()?;
        self.inner.locate(lookups)
    }

    fn follow(&self) -> &HeadWatch {
        self.inner.follow()
    }

    fn save_snapshot(&self, snapshot: &Snapshot) -> Result<(), StoreError> {
        self.inner.save_snapshot(snapshot)
    }

    fn latest_snapshot(&self) -> Result<Option<Snapshot>, StoreError> {
        self.inner.latest_snapshot()
    }
}
