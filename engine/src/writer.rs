//! The writer: makes batches durable, and answers their callers.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use cauri_domain::kind::Kind;
use cauri_event_store::{Appended, Batch, EventStore, Failure, Head, Sharing, StoreError, Tree};

use crate::decider::{Frozen, Moment, OutcomeOf, RecordOf};
use crate::sequencer::{Gauges, Request};
use crate::snapshots::SnapshotThread;
use crate::submission::{Answer, Outcome, SubmitError};

/// A batch that was decided: its records, and what to answer once they are durable.
pub(crate) struct Staged<K: Kind> {
    pub(crate) records: Vec<RecordOf<K>>,
    pub(crate) answers: Answers<K>,
    pub(crate) snapshot: Option<Frozen<K>>,
    pub(crate) after: Moment<K>,
    /// The head that it was decided on.
    pub(crate) base: Head,
}

/// How writing a batch ended.
pub(crate) struct Written<K: Kind>(pub(crate) WrittenAs<K>);

pub(crate) enum WrittenAs<K: Kind> {
    Done {
        after: Moment<K>,
        /// The new head; none where there was nothing to write.
        head: Option<Head>,
    },
    /// Somebody else appended first: decide these again.
    Conflict(Vec<Request<K>>),
    /// The callers were told.
    Failed,
    /// Nothing more can be written.
    Ended(StoreError),
}

/// Submissions with what became of their commands.
pub(crate) type Answers<K> = Vec<(Request<K>, Vec<OutcomeOf<K>>)>;

/// Makes batches durable and answers.
pub(crate) struct BatchWriter<K: Kind> {
    pub(crate) store: Arc<dyn EventStore>,
    pub(crate) tree: Tree,
    pub(crate) snapshots: SnapshotThread<K>,
    pub(crate) gauges: Arc<Gauges<K::Figures>>,
}

impl<K: Kind> BatchWriter<K> {
    pub(crate) fn for_thread(&self) -> Self {
        Self { store: self.store.clone(), tree: self.tree.clone(), snapshots: self.snapshots.clone(), gauges: self.gauges.clone() }
    }

    pub(crate) fn write(&mut self, staged: Staged<K>) -> WrittenAs<K> {
        let mut batch = Batch::after(self.tree.clone());
        if staged.records.is_empty() {
            // Only replays and mismatches: everything they tell of is durable already, and still so at the head.
            if self.store.sharing() == Sharing::Shared {
                match self.store.head() {
                    Ok(head) if head == staged.base => {}
                    Ok(_) => return self.conflict(staged.answers),
                    Err(error) => return self.failed(staged, error),
                }
            }
            self.answer(staged.answers, staged.base);
            return WrittenAs::Done { after: staged.after, head: None };
        }
        if staged.records[0].position != batch.next() {
            // After somebody else's turn the tree is theirs.
            match self.store.tree() {
                Ok(tree) => self.tree = tree,
                Err(error) => return self.failed(staged, error),
            }
            if staged.records[0].position.get() != self.tree.size() + 1 {
                return self.conflict(staged.answers);
            }
            batch = Batch::after(self.tree.clone());
        }
        for record in &staged.records {
            batch.push(record);
        }
        match self.store.append(self.tree.head(), &batch) {
            Ok(Appended::Done(head)) => {
                self.tree = batch.tree().clone();
                self.gauges.batches.fetch_add(1, Ordering::Relaxed);
                if let Some(state) = staged.snapshot {
                    self.snapshots.save(head, state);
                }
                self.answer(staged.answers, head);
                WrittenAs::Done { after: staged.after, head: Some(head) }
            }
            Ok(Appended::Conflict(_)) => {
                match self.store.tree() {
                    Ok(tree) => self.tree = tree,
                    Err(error) => return self.failed(staged, error),
                }
                self.conflict(staged.answers)
            }
            Err(error) => self.failed(staged, error),
        }
    }

    fn conflict(&self, answers: Answers<K>) -> WrittenAs<K> {
        self.gauges.conflicts.fetch_add(1, Ordering::Relaxed);
        WrittenAs::Conflict(answers.into_iter().map(|(request, _)| request).collect())
    }

    fn failed(&mut self, staged: Staged<K>, error: StoreError) -> WrittenAs<K> {
        tracing::error!(journal = self.store.name(), %error, "a batch of {} records was not confirmed", staged.records.len());
        for (request, _) in staged.answers {
            let _ = request.reply.send(Err(told(&error)));
        }
        match error {
            StoreError::Failure(_) => WrittenAs::Failed,
            error @ (StoreError::Corruption(_) | StoreError::Newer(_)) => WrittenAs::Ended(error),
        }
    }

    /// Answers with the head at which everything that the outcomes tell of is durable.
    fn answer(&self, answers: Answers<K>, head: Head) {
        let (mut accepted, mut refused) = (0, 0);
        for outcome in answers.iter().flat_map(|(_, outcomes)| outcomes) {
            match outcome {
                Outcome::Accepted(_) => accepted += 1,
                Outcome::Refused(_) => refused += 1,
                Outcome::VersionMismatch { .. } | Outcome::NotApplied { .. } | Outcome::Failed { .. } => {}
            }
        }
        // Before the answers: who was answered is counted.
        self.gauges.accepted.fetch_add(accepted, Ordering::Relaxed);
        self.gauges.refused.fetch_add(refused, Ordering::Relaxed);
        for (request, outcomes) in answers {
            // A caller that has gone away asks again with the same id.
            let _ = request.reply.send(Ok(Answer { outcomes, head }));
        }
    }
}

/// The caller's error for an error of the store.
pub(crate) fn told(error: &StoreError) -> SubmitError {
    match error {
        StoreError::Failure(Failure::NotDone(reason)) => SubmitError::NotDone(reason.clone()),
        StoreError::Failure(Failure::Unknown(reason)) => SubmitError::Unknown(reason.clone()),
        StoreError::Corruption(corruption) => SubmitError::Corrupt(corruption.to_string()),
        StoreError::Newer(newer) => SubmitError::Newer(newer.to_string()),
    }
}
