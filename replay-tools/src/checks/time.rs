//! `time`: `recorded_at` never goes back, and lies in no future.

use cauri_event_schemas::Position;

use super::Check;
use crate::finding::Findings;
use crate::reading::Fact;
use crate::shown::instant;

/// So far, in microseconds, the auditor's clock may be behind the sequencer's.
const CLOCKS_DIFFER: i64 = 300 * 1_000_000;

/// The sequencer's clock as the journal shows it.
#[derive(Debug)]
pub(crate) struct Time {
    latest: i64,
    /// What is later than this was recorded in the future.
    future: i64,
    first_of_future: Option<(Position, i64)>,
    of_future: u64,
}

impl Time {
    /// Nothing was seen yet. `now` is the auditor's time in microseconds since 1970; without it no record lies in the future.
    pub(crate) fn new(now: Option<i64>) -> Self {
        let future = now.map_or(i64::MAX, |now| now.saturating_add(CLOCKS_DIFFER));
        Self { latest: i64::MIN, future, first_of_future: None, of_future: 0 }
    }

    /// Was a record written no earlier than the one before it?
    pub(crate) fn check(&mut self, fact: &Fact, findings: &mut Findings) {
        if fact.recorded_at < self.latest {
            let what = format!("recorded at {}, after a record of {}", instant(fact.recorded_at), instant(self.latest));
            findings.at(Check::Time, fact.position, what);
        }
        if fact.recorded_at > self.future {
            self.first_of_future.get_or_insert((fact.position, fact.recorded_at));
            self.of_future += 1;
        }
        self.latest = self.latest.max(fact.recorded_at);
    }

    /// The records of the future are one finding: one clock was ahead, and what comes after it keeps its time.
    pub(crate) fn end(&self, findings: &mut Findings) {
        let Some((position, recorded_at)) = self.first_of_future else { return };
        let now = self.future - CLOCKS_DIFFER;
        let what = format!(
            "recorded at {}, which is after now, {}; {} from here on are of the future, the last of {}",
            instant(recorded_at),
            instant(now),
            if self.of_future == 1 { "1 record".to_owned() } else { format!("{} records", self.of_future) },
            instant(self.latest),
        );
        findings.at(Check::Time, position, what);
    }
}
