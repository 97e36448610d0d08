//! `Projection`: how far a read model is.

use async_graphql::{Enum, Object};
use cauri_projections::read::{ProjectionState as State, ProjectionStatus};

use crate::scalars::{Hash, Position};

/// A read model's status.
pub struct Projection(pub(crate) ProjectionStatus);

/// What a read model is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum ProjectionState {
    /// It answers queries and follows the journal.
    Live,
    /// It is being built beside the one that answers queries, or for the first time.
    Building,
    /// It cannot go beyond an event; it still answers queries as of its position.
    Stopped,
}

/// How far a read model is.
#[Object]
impl Projection {
    /// The read model's name.
    async fn name(&self) -> &str {
        self.0.name
    }

    /// The group that it is built, stopped and waited for with.
    async fn group(&self) -> &str {
        self.0.group
    }

    /// The revision of the projector that wrote it.
    async fn revision(&self) -> u32 {
        self.0.revision
    }

    /// Which build this is: 1, 2, 3 …
    async fn generation(&self) -> u32 {
        self.0.generation
    }

    /// It shows everything up to here.
    async fn position(&self) -> Position {
        self.0.position.into()
    }

    /// Events between it and the journal's head.
    async fn lag(&self) -> i32 {
        super::int(self.0.lag_events)
    }

    /// Age of the last event that it shows, in seconds; 0 at the head.
    async fn lag_seconds(&self) -> f64 {
        self.0.lag_seconds
    }

    /// What it is doing.
    async fn state(&self) -> ProjectionState {
        match self.0.state {
            State::Live => ProjectionState::Live,
            State::Building => ProjectionState::Building,
            State::Stopped { .. } => ProjectionState::Stopped,
        }
    }

    /// The event that it cannot go beyond, where it is stopped.
    async fn stopped_at(&self) -> Option<Position> {
        match &self.0.state {
            State::Live | State::Building => None,
            State::Stopped { position, .. } => Some((*position).into()),
        }
    }

    /// Why it is stopped.
    async fn reason(&self) -> Option<&str> {
        match &self.0.state {
            State::Live | State::Building => None,
            State::Stopped { reason, .. } => Some(reason),
        }
    }

    /// Digest of its rows, where one was computed.
    async fn digest(&self) -> Option<Hash> {
        self.0.digest.map(|(_, digest)| digest.into())
    }

    /// The position that the digest belongs to.
    async fn digest_position(&self) -> Option<Position> {
        self.0.digest.map(|(position, _)| position.into())
    }
}
