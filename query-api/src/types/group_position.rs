//! `GroupPosition`: how far a group of read models is.

use async_graphql::SimpleObject;

use crate::scalars::Position;

/// How far a group of read models is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, SimpleObject)]
pub struct GroupPosition {
    /// The group: `accounts`, `entries` or `journal`.
    pub(crate) group: &'static str,
    /// Everything up to here is shown.
    pub(crate) position: Position,
}
