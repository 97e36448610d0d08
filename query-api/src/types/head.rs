//! `Head`: where the journal ends.

use async_graphql::Object;
use cauri_engine::consistency::ConsistencyToken;

use crate::scalars::{Hash, Position};

/// A head.
pub struct Head {
    pub(crate) journal: String,
    pub(crate) head: cauri_event_store::Head,
}

/// Where the journal ends at this moment. The read models may be behind: compare with `asOfPosition`.
#[Object]
impl Head {
    /// The journal's name.
    async fn journal(&self) -> &str {
        &self.journal
    }

    /// The last position; 0 in an empty journal.
    async fn position(&self) -> Position {
        self.head.position.into()
    }

    /// The Merkle root over all records up to it (RFC 6962).
    async fn root(&self) -> Hash {
        self.head.root.into()
    }

    /// The head as a consistency token: what `minPosition` takes.
    async fn token(&self) -> String {
        ConsistencyToken::new(&self.journal, &self.head).to_string()
    }
}
