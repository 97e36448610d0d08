//! `time`: `recorded_at` never goes back.

use super::Check;
use crate::finding::Findings;
use crate::reading::Fact;
use crate::shown::instant;

/// The sequencer's clock as the journal shows it.
#[derive(Debug)]
pub(crate) struct Time {
    latest: i64,
}

impl Default for Time {
    fn default() -> Self {
        Self { latest: i64::MIN }
    }
}

impl Time {
    /// Was a record written no earlier than the one before it?
    pub(crate) fn check(&mut self, fact: &Fact, findings: &mut Findings) {
        if fact.recorded_at < self.latest {
            let what = format!("recorded at {}, after a record of {}", instant(fact.recorded_at), instant(self.latest));
            findings.at(Check::Time, fact.position, what);
        }
        self.latest = self.latest.max(fact.recorded_at);
    }
}
