//! What can go wrong in an append, on demand.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// One thing that goes wrong.
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
}

/// The faults of the next appends, in order; `None` for an append that goes well.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Mutex<VecDeque<Option<Fault>>>>);

impl Faults {
    /// The next append suffers this.
    pub fn inject(&self, fault: Fault) {
        self.plan([Some(fault)]);
    }

    /// The next appends suffer these, in order.
    pub fn plan(&self, faults: impl IntoIterator<Item = Option<Fault>>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(faults);
    }

    pub(super) fn next(&self) -> Option<Fault> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front().flatten()
    }
}
