//! Where time comes from: the wall clock, a second clock that nobody sets, and what the kernel says of both.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use cauri_domain::time::Timestamp;

/// Both clocks, read together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The wall clock. People, NTP and hypervisors set it, forward and back.
    pub wall: Timestamp,
    /// Microseconds of a clock that cannot be set and that counts while the machine sleeps: `CLOCK_BOOTTIME` on Linux. Only
    /// differences of it mean something.
    pub boot_micros: i64,
}

impl Reading {
    /// How far the wall clock is from the other one, in microseconds: it changes only where the wall clock is set.
    pub(crate) fn offset(self) -> i64 {
        self.wall.as_micros().saturating_sub(self.boot_micros)
    }
}

/// Tells the time. Its wall clock may go back or leap ahead; the sequencer follows neither.
pub trait Clock: Send + Sync + 'static {
    /// Both clocks.
    fn reading(&self) -> Reading;

    /// Whether the wall clock is known to be synchronised with a source of time. It is asked only where the clock leapt.
    fn is_synchronised(&self) -> bool;

    /// The wall clock.
    fn now(&self) -> Timestamp {
        self.reading().wall
    }
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn reading(&self) -> Reading {
        // In this order: a process that is stopped in between seems to be ahead for one reading, never behind.
        let boot_micros = boot_micros();
        Reading { wall: self.now(), boot_micros }
    }

    fn is_synchronised(&self) -> bool {
        kernel_is_synchronised()
    }

    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_micros()).ok().and_then(Timestamp::from_micros).unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

#[cfg(unix)]
fn boot_micros() -> i64 {
    // Elsewhere than on Linux `CLOCK_MONOTONIC` is the nearest: on macOS it counts while the machine sleeps.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let clock = rustix::time::ClockId::Boottime;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let clock = rustix::time::ClockId::Monotonic;
    let since = rustix::time::clock_gettime(clock);
    since.tv_sec.saturating_mul(1_000_000).saturating_add(since.tv_nsec / 1_000)
}

#[cfg(not(unix))]
fn boot_micros() -> i64 {
    static START: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);
    i64::try_from(START.elapsed().as_micros()).unwrap_or(i64::MAX)
}

/// What the kernel reports of its clock: `adjtimex` without a change, which needs no privilege.
#[cfg(target_os = "linux")]
fn kernel_is_synchronised() -> bool {
    let mut state = rtime_clock::adjtime::Timex::new();
    rtime_clock::adjtime::adjtimex(&mut state).is_ok_and(|clock| clock != libc::TIME_ERROR && state.0.status & libc::STA_UNSYNC == 0)
}

/// Where the kernel cannot be asked, nothing is known: a leap has to be accepted by somebody.
#[cfg(not(target_os = "linux"))]
fn kernel_is_synchronised() -> bool {
    false
}

/// A clock that is set by hand: for tests and simulations. Clones share the time.
///
/// It moves both readings, as time that passes does. [`ManualClock::leap_micros`] moves the wall clock alone.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<Mutex<Manual>>);

#[derive(Clone, Copy, Debug)]
struct Manual {
    reading: Reading,
    is_synchronised: bool,
}

impl ManualClock {
    /// Starts at `now`, not synchronised.
    pub fn at(now: Timestamp) -> Self {
        let reading = Reading { wall: now, boot_micros: 0 };
        Self(Arc::new(Mutex::new(Manual { reading, is_synchronised: false })))
    }

    /// Moves by this many microseconds, forward or back.
    pub fn advance_micros(&self, micros: i64) {
        self.change(|manual| manual.pass(micros));
    }

    /// Sets the time, as if it had passed.
    pub fn set(&self, now: Timestamp) {
        self.change(|manual| manual.pass(now.as_micros() - manual.reading.wall.as_micros()));
    }

    /// Moves the wall clock alone by this many microseconds, forward or back: somebody set it.
    pub fn leap_micros(&self, micros: i64) {
        self.change(|manual| manual.reading.wall = moved(manual.reading.wall, micros));
    }

    /// Says whether the wall clock is synchronised.
    pub fn set_synchronised(&self, is_synchronised: bool) {
        self.change(|manual| manual.is_synchronised = is_synchronised);
    }

    fn change(&self, change: impl FnOnce(&mut Manual)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn read(&self) -> Manual {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Manual {
    fn pass(&mut self, micros: i64) {
        self.reading.wall = moved(self.reading.wall, micros);
        self.reading.boot_micros += micros;
    }
}

fn moved(time: Timestamp, micros: i64) -> Timestamp {
    Timestamp::from_micros(time.as_micros().saturating_add(micros)).unwrap_or(Timestamp::UNIX_EPOCH)
}

impl Clock for ManualClock {
    fn reading(&self) -> Reading {
        self.read().reading
    }

    fn is_synchronised(&self) -> bool {
        self.read().is_synchronised
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_clocks_of_the_machine_go_at_one_speed() {
        let before = SystemClock.reading();
        std::thread::sleep(std::time::Duration::from_millis(20));
        let after = SystemClock.reading();
        assert!(after.boot_micros - before.boot_micros >= 20_000, "{before:?} {after:?}");
        // Far more than any slewing, far less than a leap.
        assert!((after.offset() - before.offset()).abs() < 60_000_000, "{before:?} {after:?}");
    }
}
