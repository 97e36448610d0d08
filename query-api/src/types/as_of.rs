//! What every page says besides its rows.

use async_graphql::SimpleObject;

use crate::scalars::Position;

/// The position that a page is as of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, SimpleObject)]
pub struct AsOf {
    /// The position that this answer is as of.
    pub(crate) as_of_position: Position,
}
