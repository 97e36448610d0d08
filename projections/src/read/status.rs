//! How far each read model is.

use cauri_event_schemas::Position;
use cauri_event_store::Hash;

/// One generation of one read model.
#[derive(Clone, Debug, PartialEq)]
pub struct ProjectionStatus {
    /// The read model's name, such as `accounts`.
    pub name: &'static str,
    /// The group that it is built, stopped and waited for with.
    pub group: &'static str,
    /// The revision of the projector that wrote it.
    pub revision: u32,
    /// Which build this is: 1, 2, 3 …
    pub generation: u32,
    /// It shows everything up to here.
    pub position: Position,
    /// Events between it and the journal's head, as last seen by the runner.
    pub lag_events: u64,
    /// Age of the last event that it shows, in seconds; 0 at the head.
    pub lag_seconds: f64,
    /// What it is doing.
    pub state: ProjectionState,
    /// The digest of its rows, where one was computed, and the position it belongs to.
    pub digest: Option<(Position, Hash)>,
}

/// What a read model is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProjectionState {
    /// It answers queries and follows the journal.
    Live,
    /// It is being built beside the one that answers queries, or for the first time.
    Building,
    /// It cannot go beyond an event; it still answers queries as of its position.
    Stopped {
        /// The event that it cannot go beyond.
        position: Position,
        /// Why.
        reason: String,
    },
}
