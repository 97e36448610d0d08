//! Whether a consistency token belongs to this history of the journal: the root at its position tells.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cauri_engine::consistency::{ConsistencyToken, RootPart};
use cauri_event_schemas::Position;

use crate::error::QueryError;
use crate::scope::{Sources, blocking};

/// Roots that are remembered. Many callers have tokens of the same few heads: those of the last batches.
const REMEMBERED: usize = 256;

/// Parts of roots that the journal was asked for, the last first.
#[derive(Debug, Default)]
pub(crate) struct KnownRoots(Mutex<VecDeque<(Position, RootPart)>>);

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
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
        let turn = self.look().await?;
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
