//! `AccountStatus`: whether an account takes entries.

use async_graphql::Enum;

/// Whether an account takes entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "cauri_projections::read::AccountStatus")]
pub enum AccountStatus {
    /// It takes entries.
    Open,
    /// Holds may be voided or expire, nothing else moves until it is unfrozen.
    Frozen,
    /// It takes no more entries; it can be reopened.
    Closed,
}
