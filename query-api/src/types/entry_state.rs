//! `EntryState`: what an entry is.

use async_graphql::Enum;

/// What an entry is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "cauri_projections::read::EntryState")]
pub enum EntryState {
    /// Posted at once.
    Posted,
    /// An open hold.
    Held,
    /// Was held, then posted, whole or in part.
    HoldPosted,
    /// Was held, then given back.
    HoldVoided,
    /// Was held until its time had passed.
    HoldExpired,
    /// Was posted, then undone by the opposite entry.
    Reversed,
}
