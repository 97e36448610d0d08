//! Taking back what was decided but never became durable: pre-images, newest first.

use std::collections::VecDeque;

/// A moment in the life of a fold, to roll back to or to forget.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark(u64);

/// Pre-images since the oldest moment that may still be rolled back to.
#[derive(Debug)]
pub(crate) struct UndoLog<P> {
    entries: VecDeque<P>,
    forgotten: u64,
}

impl<P> Default for UndoLog<P> {
    fn default() -> Self {
        Self { entries: VecDeque::new(), forgotten: 0 }
    }
}

impl<P> UndoLog<P> {
    pub(crate) fn push(&mut self, pre_image: P) {
        self.entries.push_back(pre_image);
    }

    pub(crate) fn mark(&self) -> Mark {
        Mark(self.forgotten + self.entries.len() as u64)
    }

    /// The newest change made after `mark`.
    pub(crate) fn pop_after(&mut self, mark: Mark) -> Option<P> {
        assert!(mark.0 >= self.forgotten, "a forgotten moment cannot be rolled back to");
        if self.mark() > mark { self.entries.pop_back() } else { None }
    }

    /// Everything up to `mark` is durable.
    pub(crate) fn forget(&mut self, mark: Mark) {
        let done = mark.0.saturating_sub(self.forgotten).min(self.entries.len() as u64);
        self.entries.drain(..done as usize);
        self.forgotten += done;
    }
}
