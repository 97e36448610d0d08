//! The demo's clock: set by hand while the day is written, the machine's afterwards.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use cauri_domain::time::Timestamp;
use cauri_engine::{Clock, Reading, SystemClock};

/// No instant: nothing in a ledger is that early.
const LET_GO: i64 = i64::MIN;

/// A clock that can be set by hand and let go. Clones are the same clock.
///
/// It moves both readings, so that the way to the day and back is no leap; a leap of the machine's clock is one.
#[derive(Clone, Debug)]
pub struct DemoClock(Arc<Time>);

#[derive(Debug)]
struct Time {
    set: AtomicI64,
    /// How far the machine's wall clock was from its other clock when this clock was made.
    offset: i64,
}

impl Default for DemoClock {
    fn default() -> Self {
        let Reading { wall, boot_micros } = SystemClock.reading();
        Self(Arc::new(Time { set: AtomicI64::new(LET_GO), offset: wall.as_micros() - boot_micros }))
    }
}

impl DemoClock {
    /// It stands at `now` until it is set again or let go.
    pub fn set(&self, now: Timestamp) {
        self.0.set.store(now.as_micros(), Ordering::SeqCst);
    }

    /// It is the machine's from here on.
    pub fn let_go(&self) {
        self.0.set.store(LET_GO, Ordering::SeqCst);
    }
}

impl Clock for DemoClock {
    fn reading(&self) -> Reading {
        match self.0.set.load(Ordering::SeqCst) {
            LET_GO => SystemClock.reading(),
            micros => {
                let wall = Timestamp::from_micros(micros).unwrap_or(Timestamp::UNIX_EPOCH);
                Reading { wall, boot_micros: micros - self.0.offset }
            }
        }
    }

    fn is_synchronised(&self) -> bool {
        SystemClock.is_synchronised()
    }
}
