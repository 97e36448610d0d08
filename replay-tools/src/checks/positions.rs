//! `positions`: positions run 1, 2, 3 … to the head, without a gap and without a record twice.

use cauri_event_schemas::Position;

use super::Check;
use crate::finding::Findings;
use crate::reading::ReadBatch;

/// Does a record state the position at which it stands?
pub(crate) fn stated(batch: &mut ReadBatch, position: Position, stated: Position) {
    if stated != position {
        batch.findings.at(Check::Positions, position, format!("the record here says that it stands at {stated}"));
    }
}

/// Where the journal goes on.
#[derive(Debug, Default)]
pub(crate) struct Positions {
    last: Position,
}

impl Positions {
    /// Does a batch begin where the one before it ended? False where records are missing or stand twice.
    pub(crate) fn continues(&mut self, first: Position, last: Position, findings: &mut Findings) -> bool {
        let next = self.last.next();
        if first > next {
            self.missing(first, findings);
        } else if first < next {
            findings.at(Check::Positions, first, format!("a batch begins at {first}, though the one before it ends at {}", self.last));
        }
        self.last = self.last.max(last);
        first == next
    }

    /// No record stands between the last and `first`.
    pub(crate) fn missing(&self, first: Position, findings: &mut Findings) {
        let next = self.last.next();
        findings.at(Check::Positions, next, format!("no record stands at {}", span(next, first)));
    }

    /// Records before `to` could not be read; that was told.
    pub(crate) fn pass_over(&mut self, to: Position) {
        self.last = self.last.max(Position::new(to.get().saturating_sub(1)));
    }

    /// Does the journal end where its head says?
    pub(crate) fn end(&self, head: Position, findings: &mut Findings) {
        if self.last != head {
            let from = self.last.min(head).next();
            findings.at(Check::Positions, from, format!("the head is at {head}, the last record stands at {}", self.last));
        }
    }

    /// The last position so far.
    pub(crate) fn last(&self) -> Position {
        self.last
    }
}

/// The positions from `from` to before `to`, in words.
pub(crate) fn span(from: Position, to: Position) -> String {
    if from.next() == to { from.to_string() } else { format!("{from} to {}", to.get().saturating_sub(1)) }
}
