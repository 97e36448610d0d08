//! What a check found: where, what contradicts what, and what to do next.

use cauri_event_schemas::Position;
use serde::Serialize;

use crate::checks::Check;

/// How many findings of one check are told in full; the others are counted.
pub const TOLD_IN_FULL: usize = 20;

/// Something that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which check speaks.
    pub check: Check,
    /// The first position that cannot be trusted; absent where the finding concerns no record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// What contradicts what, with the figures.
    pub what: String,
    /// What to do now.
    pub next: &'static str,
}

/// Findings of all checks, bounded in number so that a ruined journal does not fill the memory.
#[derive(Debug, Default)]
pub struct Findings {
    told: Vec<Finding>,
    counts: [u64; Check::ALL.len()],
}

impl Findings {
    /// Adds a finding at a position.
    pub fn at(&mut self, check: Check, position: Position, what: impl Into<String>) {
        self.add(check, Some(position), what);
    }

    /// Adds a finding that concerns no single record.
    pub fn add(&mut self, check: Check, position: Option<Position>, what: impl Into<String>) {
        let count = &mut self.counts[check as usize];
        *count += 1;
        if *count <= TOLD_IN_FULL as u64 {
            self.told.push(Finding { check, position, what: what.into(), next: check.next() });
        }
    }

    /// Takes over what another pair of hands found.
    pub fn append(&mut self, mut others: Findings) {
        if others.is_empty() {
            return;
        }
        for finding in others.told.drain(..) {
            if self.told.iter().filter(|told| told.check == finding.check).count() < TOLD_IN_FULL {
                self.told.push(finding);
            }
        }
        for (count, other) in self.counts.iter_mut().zip(others.counts) {
            *count += other;
        }
    }

    /// Nothing was found.
    pub fn is_empty(&self) -> bool {
        self.counts.iter().all(|count| *count == 0)
    }

    /// How many findings a check has, told or not.
    pub fn count(&self, check: Check) -> u64 {
        self.counts[check as usize]
    }

    /// What is told in full, by position; what concerns no record comes last.
    pub fn into_told(mut self) -> Vec<Finding> {
        self.told.sort_by_key(|finding| (finding.position.is_none(), finding.position, finding.check));
        self.told
    }
}
