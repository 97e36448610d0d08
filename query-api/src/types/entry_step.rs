//! `EntryStep`: something that happened to an entry after it was written.

use async_graphql::Object;
use cauri_projections::read;

use super::EntryState;
use crate::scalars::{Position, Timestamp};

/// A step of an entry's life.
pub struct EntryStep(pub(crate) read::EntryStep);

/// Something that happened to an entry after its first event.
#[Object]
impl EntryStep {
    /// Where it stands in the journal.
    async fn position(&self) -> Position {
        self.0.position.into()
    }

    /// What the entry became.
    async fn state(&self) -> EntryState {
        self.0.state.into()
    }

    /// The business time; null for `REVERSED`, whose opposite entry has one.
    async fn effective_at(&self) -> Option<Timestamp> {
        self.0.effective_at.map(Into::into)
    }

    /// When it was recorded.
    async fn recorded_at(&self) -> Timestamp {
        self.0.recorded_at.into()
    }

    /// Why.
    async fn reason(&self) -> Option<&str> {
        self.0.reason.as_ref().map(|reason| reason.as_str())
    }
}
