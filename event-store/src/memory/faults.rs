//! What can go wrong in a store, on demand: appends that fail, wait at a gate, or find corruption; reads that fail.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cauri_event_schemas::Position;

use crate::port::{Corruption, Failure, StoreError};

/// One thing that goes wrong with an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is written, and the store says so.
    Fail,
    /// Everything is written, but nobody is told: a connection torn after the commit.
    LoseAnswer,
    /// Nothing is written, and the store cannot tell: a connection torn before the commit.
    LoseBatch,
    /// It takes this long.
    Delay(Duration),
    /// The batch arrives twice.
    Duplicate,
    /// Nothing is written: what is stored contradicts itself.
    Corrupt,
}

/// The faults of the next appends, in order, a gate before them, and whether reads fail. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    planned: Mutex<VecDeque<Option<Fault>>>,
    gate: Mutex<Gate>,
    moved: Condvar,
    /// Reads that still go well; `None` while all do.
    reads_left: Mutex<Option<u64>>,
    /// A gate before look-ups.
    lookups: Mutex<Gate>,
}

#[derive(Debug, Default)]
struct Gate {
    closed: bool,
    arrivals: usize,
}

impl Faults {
    /// The next append suffers this.
    pub fn inject(&self, fault: Fault) {
        self.plan([Some(fault)]);
    }

    /// The next appends suffer these, in order; `None` is an append that goes well.
    pub fn plan(&self, faults: impl IntoIterator<Item = Option<Fault>>) {
        self.planned().extend(faults);
    }

    /// Nothing more goes wrong with appends.
    pub fn forget(&self) {
        self.planned().clear();
    }

    /// From here on appends wait at the gate.
    pub fn close_gate(&self) {
        self.gate().closed = true;
    }

    /// Lets every append pass.
    pub fn open_gate(&self) {
        self.gate().closed = false;
        self.0.moved.notify_all();
    }

    /// How many appends have arrived at the gate, open or closed.
    pub fn arrivals(&self) -> usize {
        self.gate().arrivals
    }

    /// Waits until so many appends have arrived; `false` if they have not within `timeout`.
    pub fn wait_for_arrivals(&self, arrivals: usize, timeout: Duration) -> bool {
        let waited = self.0.moved.wait_timeout_while(self.gate(), timeout, |gate| gate.arrivals < arrivals);
        waited.unwrap_or_else(PoisonError::into_inner).0.arrivals >= arrivals
    }

    /// From here on look-ups by stream and command wait at a gate of their own.
    pub fn close_lookups(&self) {
        *self.lookups() = Gate { closed: true, arrivals: 0 };
    }

    /// Lets every look-up pass.
    pub fn open_lookups(&self) {
        self.lookups().closed = false;
    }

    /// Waits until so many look-ups have arrived since the gate was closed; `false` if they have not within `timeout`.
    pub fn wait_for_lookups(&self, arrivals: usize, timeout: Duration) -> bool {
        let deadline = std::time::Instant::now() + timeout;
        while self.lookups().arrivals < arrivals {
            if std::time::Instant::now() > deadline {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        true
    }

    fn lookups(&self) -> MutexGuard<'_, Gate> {
        self.0.lookups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A look-up arrives: waits at the gate, and is a read.
    pub(super) fn look_up(&self) -> Result<(), StoreError> {
        self.lookups().arrivals += 1;
        while self.lookups().closed {
            std::thread::sleep(Duration::from_millis(1));
        }
        self.read()
    }

    /// Whether reads fail from here on.
    pub fn fail_reads(&self, fail: bool) {
        *self.reads_left() = fail.then_some(0);
    }

    /// So many reads go well, then all fail.
    pub fn fail_reads_after(&self, reads: u64) {
        *self.reads_left() = Some(reads);
    }

    fn reads_left(&self) -> MutexGuard<'_, Option<u64>> {
        self.0.reads_left.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An append arrives: waits at the gate and takes the next fault.
    pub(super) fn next(&self) -> Option<Fault> {
        let mut gate = self.gate();
        gate.arrivals += 1;
        self.0.moved.notify_all();
        drop(self.0.moved.wait_while(gate, |gate| gate.closed).unwrap_or_else(PoisonError::into_inner));
        self.planned().pop_front().flatten()
    }

    /// Whether reads fail, or will.
    pub(super) fn may_fail_reads(&self) -> bool {
        self.reads_left().is_some()
    }

    /// A read arrives.
    pub(super) fn read(&self) -> Result<(), StoreError> {
        let mut left = self.reads_left();
        if *left == Some(0) {
            return Err(Failure::NotDone("injected: nothing can be read".into()).into());
        }
        *left = left.map(|left| left - 1);
        Ok(())
    }

    fn planned(&self) -> MutexGuard<'_, VecDeque<Option<Fault>>> {
        self.0.planned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn gate(&self) -> MutexGuard<'_, Gate> {
        self.0.gate.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What [`Fault::Corrupt`] answers.
pub(super) fn corruption(position: Position) -> StoreError {
    Corruption::new(position, "injected: what is stored contradicts itself").into()
}
