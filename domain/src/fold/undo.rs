//! Taking back what was decided but never became durable: pre-images, newest first.

use std::collections::VecDeque;

use super::balances::{AccountNo, OpenHold};
use super::totals::Totals;
use crate::account::Account;
use crate::ids::EntryId;

/// A moment in the life of a fold, to roll back to or to forget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark(u64);

/// What one change replaced.
#[derive(Debug)]
pub(super) enum PreImage {
    Opened(AccountNo),
    State(AccountNo, Account),
    Totals(AccountNo, Totals),
    HoldMade(EntryId),
    HoldResolved(EntryId, Box<OpenHold>),
}

/// Pre-images since the oldest moment that may still be rolled back to.
#[derive(Debug, Default)]
pub(super) struct UndoLog {
    entries: VecDeque<PreImage>,
    forgotten: u64,
}

impl UndoLog {
    pub(super) fn push(&mut self, pre_image: PreImage) {
        self.entries.push_back(pre_image);
    }

    pub(super) fn mark(&self) -> Mark {
        Mark(self.forgotten + self.entries.len() as u64)
    }

    /// The newest change made after `mark`.
    pub(super) fn pop_after(&mut self, mark: Mark) -> Option<PreImage> {
        assert!(mark.0 >= self.forgotten, "a forgotten moment cannot be rolled back to");
        if self.mark() > mark { self.entries.pop_back() } else { None }
    }

    /// Everything up to `mark` is durable.
    pub(super) fn forget(&mut self, mark: Mark) {
        let done = mark.0.saturating_sub(self.forgotten).min(self.entries.len() as u64);
        self.entries.drain(..done as usize);
        self.forgotten += done;
    }
}
