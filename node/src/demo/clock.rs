//! The demo's clock: set by hand while the day is written, the machine's afterwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use cauri_domain::time::Timestamp;
use cauri_engine::{Clock, SystemClock};

/// No instant: nothing in a ledger is that early.
const LET_GO: i64 = i64::MIN;

/// A clock that can be set by hand and let go. Clones are the same clock.
#[derive(Clone, Debug)]
pub struct DemoClock(Arc<AtomicI64>);

impl Default for DemoClock {
    fn default() -> Self {
        Self(Arc::new(AtomicI64::new(LET_GO)))
    }
}

impl DemoClock {
    /// It stands at `now` until it is set again or let go.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.as_micros(), Ordering::SeqCst);
    }

    /// It is the machine's from here on.
    pub fn let_go(&self) {
        self.0.store(LET_GO, Ordering::SeqCst);
    }
}

impl Clock for DemoClock {
    fn now(&self) -> Timestamp {
        match self.0.load(Ordering::SeqCst) {
            LET_GO => SystemClock.now(),
            micros => Timestamp::from_micros(micros).unwrap_or(Timestamp::UNIX_EPOCH),
        }
    }
}
