//! Whether a consistency token belongs to this history of the journal: the root at its position tells.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cauri_engine::consistency::{ConsistencyToken, RootPart};
use cauri_event_schemas::Position;
use tokio::sync::Semaphore;

use crate::error::QueryError;
use crate::scope::{Sources, blocking};

/// Roots that are remembered. Many callers have tokens of the same few heads: those of the last batches.
const REMEMBERED: usize = 256;

/// How many look for a root in the journal at once: in the middle of a batch it takes milliseconds of a processor.
const LOOKING: usize = 2;

/// Parts of roots that the journal was asked for, the last first.
#[derive(Debug)]
pub(crate) struct KnownRoots {
    known: Mutex<VecDeque<(Position, RootPart)>>,
    turns: Arc<Semaphore>,
}

impl Default for KnownRoots {
    fn default() -> Self {
        Self { known: Mutex::default(), turns: Arc::new(Semaphore::new(LOOKING)) }
    }
}

impl KnownRoots {
    fn find(&self, position: Position) -> Option<RootPart> {
        self.lock().iter().find(|(known, _)| *known == position).map(|(_, root)| *root)
    }

    fn keep(&self, position: Position, root: RootPart) {
        let mut known = self.lock();
        known.truncate(REMEMBERED - 1);
        known.push_front((position, root));
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(Position, RootPart)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sources {
    /// The part of the journal's root at a position; `None` beyond its head.
    pub(crate) async fn root_at(&self, position: Position) -> Result<Option<RootPart>, QueryError> {
        let head = self.store.follow().head();
        if head.position == position {
            return Ok(Some(RootPart::of(&head.root)));
        }
        if let Some(root) = self.roots.find(position) {
            return Ok(Some(root));
        }
        let store = self.store.clone();
        // It goes along with the looking and ends with it.
        let turn = self.roots.turns.clone().acquire_owned().await.map_err(QueryError::internal)?;
        let look = move || {
            let root = store.root_at(position);
            drop(turn);
            root
        };
        let root = blocking(look).await??.map(|root| RootPart::of(&root));
        if let Some(root) = root {
            self.roots.keep(position, root);
        }
        Ok(root)
    }

    /// Refuses a token of another history of the journal.
    pub(crate) async fn belongs(&self, token: &ConsistencyToken) -> Result<(), QueryError> {
        let journal = self.root_at(token.position).await?;
        if journal == Some(token.root) {
            return Ok(());
        }
        Err(QueryError::OtherHistory { wanted: token.position, token: token.root, journal, head: self.store.follow().head().position })
    }
}
