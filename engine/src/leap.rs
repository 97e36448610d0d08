//! Leaps of the clock: noticed before anything is decided, because what expired or was dated by a wrong clock stays so.
//!
//! While the engine runs, the wall clock is compared with a clock that nobody can set; at start, with the last record. What
//! is too far ahead is a gap, and nothing is decided until the wall clock comes back, the kernel vouches for it, or somebody
//! accepts it (decision 0009). How far is too far the journal's rules say.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use cauri_domain::journal::Rules;
use cauri_domain::text::ShortText;
use cauri_domain::time::Timestamp;
use cauri_event_schemas::Position;

use crate::clock::{Clock, Reading};

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

/// From so far ahead on, in microseconds, the log says that the journal is ahead of the clock. Engines that share a
/// journal differ by less.
const AHEAD_IS_SAID: i64 = 5 * SECOND;

/// How far, in microseconds, the time that somebody states may be from the clock that they accept.
const STATED_WITHIN: i64 = 300 * SECOND;

/// Against what a gap was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GapSince {
    /// The last record of the journal, when the engine started.
    LastRecord,
    /// The clock that nobody can set, while the engine ran.
    LastReading,
}

/// A leap of the clock that nobody accepted yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockGap {
    /// Against what it was found.
    pub since: GapSince,
    /// What the wall clock reads.
    pub wall: Timestamp,
    /// How far it is ahead, in microseconds.
    pub micros: i64,
}

impl ClockGap {
    /// How far the wall clock is ahead, in seconds, to the nearest one.
    pub fn seconds(&self) -> i64 {
        to_seconds(self.micros)
    }
}

impl fmt::Display for ClockGap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { wall, .. } = self;
        match self.since {
            GapSince::LastRecord => write!(f, "the clock reads {wall}, {} after the last record", Span(self.micros)),
            GapSince::LastReading => write!(f, "the clock leapt ahead by {} to {wall}", Span(self.micros)),
        }
    }
}

fn to_seconds(micros: i64) -> i64 {
    micros.saturating_add(SECOND / 2) / SECOND
}

/// A length of time for people, in its two largest units.
struct Span(i64);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = to_seconds(self.0);
        let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
        match (days, hours, minutes) {
            (0, 0, 0) => write!(f, "{seconds} s"),
            (0, 0, minutes) => write!(f, "{minutes} min {} s", seconds % 60),
            (0, hours, minutes) => write!(f, "{hours} h {minutes} min"),
            (days, hours, _) => write!(f, "{days} d {hours} h"),
        }
    }
}

/// How the clock and the journal stand to each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClockStatus {
    /// A leap that nobody accepted: no new command is decided and no hold expires.
    pub gap: Option<ClockGap>,
    /// How far the last record is ahead of the clock, in microseconds: it was written by a clock that was ahead. New
    /// records bear its time until the clock has caught up.
    pub journal_ahead_micros: i64,
}

impl ClockStatus {
    /// How far the journal is ahead, for people; `None` where the difference is that of any two clocks.
    pub fn journal_ahead(&self) -> Option<String> {
        (self.journal_ahead_micros > AHEAD_IS_SAID).then(|| Span(self.journal_ahead_micros).to_string())
    }
}

/// Why a gap was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AcceptGapError {
    /// The time that was stated is not what the clock reads: it is the clock that is wrong, or the statement.
    #[error("the clock reads {wall}, more than 5 minutes from the stated {stated}")]
    Differs {
        /// What the wall clock reads.
        wall: Timestamp,
        /// What was stated.
        stated: Timestamp,
    },
    /// The engine is shutting down or has stopped.
    #[error("the engine has stopped")]
    Stopped,
}

/// The sequencer's clock: it gives a time only where no leap is unaccepted.
pub(crate) struct ClockWatch {
    clock: Arc<dyn Clock>,
    /// What the wall clock is compared with; none until a first reading was found good.
    anchor: Option<Reading>,
    /// Whoever started the engine accepts the gap that it finds first.
    accept_first: bool,
    gap: Option<ClockGap>,
    ahead_is_said: bool,
    status: Arc<Mutex<ClockStatus>>,
}

impl ClockWatch {
    pub(crate) fn new(clock: Arc<dyn Clock>, accept_first: bool, status: Arc<Mutex<ClockStatus>>) -> Self {
        Self { clock, anchor: None, accept_first, gap: None, ahead_is_said: false, status }
    }

    /// The time, for an engine whose last record is of `last`, or the gap because of which there is none.
    pub(crate) fn look(&mut self, last: Option<Timestamp>, rules: &Rules) -> Result<Timestamp, ClockGap> {
        let mut reading = self.clock.reading();
        let mut leap = self.leap(reading, last, rules);
        if leap.is_some() {
            // A process that was stopped between the two clocks sees a leap that the next reading does not.
            reading = self.clock.reading();
            leap = self.leap(reading, last, rules);
        }
        let accept_first = std::mem::take(&mut self.accept_first);
        if let Some(gap) = leap {
            let by = if accept_first {
                "--accept-clock-gap"
            } else if gap.micros <= rules.synchronised_clock_secs() * SECOND && self.clock.is_synchronised() {
                "the kernel, which reports its clock as synchronised"
            } else {
                self.found(gap);
                return Err(gap);
            };
            tracing::warn!(target: "cauri::audit", by, %gap, seconds = gap.seconds(), "a leap of the clock was accepted");
        } else if let Some(gap) = self.gap {
            tracing::info!(wall = %reading.wall, was = %gap, "the clock is where it is expected again; commands are decided");
        }
        self.go_on(reading, leap.is_some());
        self.compare(reading.wall, last);
        Ok(reading.wall)
    }

    /// Accepts the gap that there is, for somebody who states what the time is.
    pub(crate) fn accept(
        &mut self,
        stated: Timestamp,
        actor: &ShortText,
        head: Position,
        last: Option<Timestamp>,
        rules: &Rules,
    ) -> Result<Option<ClockGap>, AcceptGapError> {
        let Err(gap) = self.look(last, rules) else { return Ok(None) };
        let reading = self.clock.reading();
        let wall = reading.wall;
        // What is accepted is the clock that was looked at, not one that leapt on since.
        if wall.as_micros().abs_diff(stated.as_micros()) > STATED_WITHIN.unsigned_abs() {
            tracing::warn!(target: "cauri::audit", %actor, %stated, %wall, %gap, "a leap of the clock was not accepted: the stated time differs");
            return Err(AcceptGapError::Differs { wall, stated });
        }
        tracing::warn!(target: "cauri::audit", %actor, %stated, %wall, %gap, seconds = gap.seconds(), %head, "a leap of the clock was accepted");
        self.go_on(reading, true);
        self.compare(wall, last);
        Ok(Some(gap))
    }

    /// How far the wall clock is ahead of what can be, if it is.
    fn leap(&self, reading: Reading, last: Option<Timestamp>, rules: &Rules) -> Option<ClockGap> {
        let (since, micros, most) = match (self.anchor, last) {
            (Some(anchor), _) => (GapSince::LastReading, reading.offset() - anchor.offset(), i64::from(rules.clock_leap_seconds)),
            (None, Some(last)) => (GapSince::LastRecord, reading.wall.as_micros() - last.as_micros(), rules.clock_gap_secs()),
            // An empty journal has nothing that could expire, and nothing to compare with.
            (None, None) => return None,
        };
        (micros > most * SECOND).then_some(ClockGap { since, wall: reading.wall, micros })
    }

    fn found(&mut self, gap: ClockGap) {
        if self.gap.is_none() {
            tracing::error!(
                %gap,
                seconds = gap.seconds(),
                "commands are not decided and holds do not expire: set the clock right, or accept it with POST /v1/clock/accept-gap or --accept-clock-gap"
            );
        }
        self.gap = Some(gap);
        self.publish(ClockStatus { gap: Some(gap), journal_ahead_micros: 0 });
    }

    /// From here on the wall clock is right, as far as can be known.
    fn go_on(&mut self, reading: Reading, accepted: bool) {
        self.gap = None;
        let moves = match self.anchor {
            None => true,
            // Back at once, so that a later leap is measured from where the clock is; forward once a day, so that small
            // corrections do not add up to a leap.
            Some(anchor) => accepted || reading.offset() < anchor.offset() || reading.boot_micros - anchor.boot_micros > DAY,
        };
        if moves {
            self.anchor = Some(reading);
        }
    }

    /// Compares with the last record: a journal that is ahead is warned of, and nothing more.
    fn compare(&mut self, wall: Timestamp, last: Option<Timestamp>) {
        let ahead = last.map_or(0, |last| last.as_micros() - wall.as_micros()).max(0);
        let is_said = ahead > AHEAD_IS_SAID;
        if is_said && !self.ahead_is_said {
            tracing::warn!(
                %wall,
                seconds = to_seconds(ahead),
                "the last record is {} ahead of the clock; new records bear its time until the clock has caught up",
                Span(ahead)
            );
        } else if !is_said && self.ahead_is_said {
            tracing::info!(%wall, "the clock has caught up with the last record");
        }
        self.ahead_is_said = is_said;
        self.publish(ClockStatus { gap: None, journal_ahead_micros: ahead });
    }

    fn publish(&self, status: ClockStatus) {
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = status;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    const MINUTE: i64 = 60 * SECOND;

    fn watched() -> (ManualClock, ClockWatch, Option<Timestamp>) {
        let begin: Timestamp = "2026-03-16T08:00:00Z".parse().expect("an instant");
        let clock = ManualClock::at(begin);
        let mut watch = ClockWatch::new(Arc::new(clock.clone()), false, Arc::default());
        assert_eq!(watch.look(Some(begin), &Rules::default()), Ok(begin));
        (clock, watch, Some(begin))
    }

    #[test]
    fn time_that_passes_is_no_leap_however_much_passes() {
        let (clock, mut watch, last) = watched();
        clock.advance_micros(400 * DAY);
        assert_eq!(watch.look(last, &Rules::default()), Ok(clock.now()));
    }

    #[test]
    fn more_than_five_minutes_at_once_are_a_leap_and_five_are_none() {
        let (clock, mut watch, last) = watched();
        clock.leap_micros(5 * MINUTE);
        assert!(watch.look(last, &Rules::default()).is_ok());
        clock.leap_micros(1);
        assert_eq!(watch.look(last, &Rules::default()).expect_err("a leap").micros, 5 * MINUTE + 1);
        clock.leap_micros(-1);
        assert!(watch.look(last, &Rules::default()).is_ok(), "the clock came back");
    }

    #[test]
    fn a_clock_that_is_corrected_a_little_every_hour_does_not_leap() {
        let (clock, mut watch, last) = watched();
        for hour in 0..1_000 {
            clock.advance_micros(3_600 * SECOND);
            clock.leap_micros(10 * SECOND);
            assert!(watch.look(last, &Rules::default()).is_ok(), "hour {hour}");
        }
    }

    #[test]
    fn a_clock_that_creeps_ahead_by_minutes_within_a_day_leaps() {
        let (clock, mut watch, last) = watched();
        let hours = (1..24).find(|_| {
            clock.advance_micros(3_600 * SECOND);
            clock.leap_micros(MINUTE);
            watch.look(last, &Rules::default()).is_err()
        });
        assert_eq!(hours, Some(6));
    }

    #[test]
    fn a_clock_that_went_back_and_leaps_again_is_measured_from_where_it_was() {
        let (clock, mut watch, last) = watched();
        clock.leap_micros(-DAY);
        assert!(watch.look(last, &Rules::default()).is_ok());
        clock.leap_micros(6 * MINUTE);
        assert_eq!(watch.look(last, &Rules::default()).expect_err("a leap").micros, 6 * MINUTE);
    }

    #[test]
    fn a_gap_up_to_31_days_passes_as_soon_as_the_kernel_vouches_for_the_clock() {
        let (clock, mut watch, last) = watched();
        clock.leap_micros(31 * DAY);
        assert!(watch.look(last, &Rules::default()).is_err());
        clock.set_synchronised(true);
        assert!(watch.look(last, &Rules::default()).is_ok());
        clock.leap_micros(31 * DAY + 1);
        assert!(watch.look(last, &Rules::default()).is_err(), "more than 31 days are accepted by somebody or not at all");
    }

    #[test]
    fn the_rules_of_the_journal_say_what_a_leap_is() {
        let rules = Rules { clock_gap_days: 2, clock_leap_seconds: 3_600, synchronised_clock_days: 0, ..Rules::default() };
        let (clock, mut watch, last) = watched();
        clock.leap_micros(3_600 * SECOND);
        assert!(watch.look(last, &rules).is_ok());
        clock.leap_micros(3_601 * SECOND);
        clock.set_synchronised(true);
        assert!(watch.look(last, &rules).is_err(), "by these rules the kernel vouches for nothing");
        assert!(watch.look(last, &Rules::default()).is_ok());
        let later = |days: i64| Some(clock.now().saturating_add_secs(-86_400 * days));
        let started = |last| ClockWatch::new(Arc::new(clock.clone()), false, Arc::default()).look(last, &rules);
        assert!(started(later(2)).is_ok());
        assert!(started(later(3)).is_err());
    }

    #[test]
    fn spans_are_said_in_their_two_largest_units() {
        let said = |seconds: i64| Span(seconds * SECOND).to_string();
        assert_eq!([said(7), said(301), said(3_900), said(90_000)], ["7 s", "5 min 1 s", "1 h 5 min", "1 d 1 h"]);
    }
}
