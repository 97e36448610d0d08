//! `StatementLine`: one movement on a statement.

use std::sync::Arc;

use async_graphql::Object;
use cauri_projections::read;

use super::{Entry, Money, Side};
use crate::error::QueryError;
use crate::scalars::{AccountAddress, EntryId, Position, Timestamp};
use crate::scope::Scope;

/// A line.
pub struct StatementLine {
    row: read::StatementLine,
    currency: cauri_domain::money::Currency,
    scope: Arc<Scope>,
}

impl StatementLine {
    pub(crate) fn new(row: read::StatementLine, currency: cauri_domain::money::Currency, scope: Arc<Scope>) -> Self {
        Self { row, currency, scope }
    }
}

/// One movement on a statement.
#[Object]
impl StatementLine {
    /// The business time.
    async fn effective_at(&self) -> Timestamp {
        self.row.effective_at.into()
    }

    /// When it was recorded.
    async fn recorded_at(&self) -> Timestamp {
        self.row.recorded_at.into()
    }

    /// Position of the event that moved it.
    async fn position(&self) -> Position {
        self.row.position.into()
    }

    /// Index of the transfer in the entry, from 0.
    async fn line(&self) -> u32 {
        self.row.line
    }

    /// Id of the entry.
    async fn entry_id(&self) -> EntryId {
        self.row.entry.into()
    }

    /// The entry.
    #[graphql(complexity = "5 + child_complexity")]
    async fn entry(&self) -> Result<Option<Entry>, QueryError> {
        Entry::load(self.row.entry, &self.scope).await
    }

    /// The entry's reference.
    async fn reference(&self) -> Option<&str> {
        self.row.reference.as_ref().map(|reference| reference.as_str())
    }

    /// On which side of this account.
    async fn side(&self) -> Side {
        self.row.side.into()
    }

    /// How much, more than zero.
    async fn amount(&self) -> Result<Money, QueryError> {
        Money::from_minor(self.row.amount_minor, self.currency)
    }

    /// The account's balance after this line.
    async fn balance(&self) -> Result<Money, QueryError> {
        Money::from_minor(self.row.balance_minor, self.currency)
    }

    /// Where the other account of the transfer stands; null for a caller who may not see it.
    async fn counterparty(&self) -> Option<AccountAddress> {
        self.row.counterparty.clone().map(Into::into)
    }

    /// Why.
    async fn reason(&self) -> Option<&str> {
        self.row.reason.as_ref().map(|reason| reason.as_str())
    }
}
