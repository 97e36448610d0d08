//! `Side`: the two sides of an account.

use async_graphql::Enum;

/// The two sides of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "cauri_domain::account::Side")]
pub enum Side {
    /// Left.
    Debit,
    /// Right.
    Credit,
}
