//! `transitions`: every event is possible for what it happened to.
//!
//! Here is what holds for a journal of any kind. What is possible for an entry or an instrument its kind says.

use cauri_event_schemas::Position;

use super::Check;
use super::versions::stream;
use crate::finding::Findings;
use crate::reading::{Fact, Happening, Motion, Moved, ReadBatch, Span};

/// Where the journal was closed, if it was.
#[derive(Debug, Default)]
pub(crate) struct Closing {
    closed: Option<Position>,
}

impl Closing {
    /// A closed journal takes nothing more, not even a refusal; only what it holds may still expire.
    pub(crate) fn check(&mut self, fact: &Fact, findings: &mut Findings) {
        let expires = matches!(fact.event, Happening::Moved(Moved { motion: Motion::HoldExpired, .. }));
        if let Some(closed) = self.closed.filter(|_| !expires) {
            findings.at(Check::Transitions, fact.position, format!("the journal was closed for good at {closed}"));
        }
        if fact.event == Happening::JournalClosed {
            self.closed.get_or_insert(fact.position);
        }
    }
}

/// Is a refusal remembered in the stream of the command that was refused?
pub(crate) fn refused(batch: &ReadBatch, fact: &Fact, id: Span, findings: &mut Findings) {
    if batch.shown(id) != batch.command(fact) {
        let what = format!("the refusal in {} belongs to the command {}", stream(batch, fact), batch.command(fact));
        findings.at(Check::Transitions, fact.position, what);
    }
}
