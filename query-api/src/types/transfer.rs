//! `Transfer`: one movement of an entry.

use std::sync::Arc;

use async_graphql::Object;
use cauri_projections::read::TransferRow;

use super::{Account, Money};
use crate::error::QueryError;
use crate::scalars::AccountAddress;
use crate::scope::Scope;

/// A transfer.
pub struct Transfer {
    row: TransferRow,
    scope: Arc<Scope>,
}

impl Transfer {
    pub(crate) fn new(row: TransferRow, scope: Arc<Scope>) -> Self {
        Self { row, scope }
    }
}

/// One movement, from the left of one account to the right of another.
#[Object]
impl Transfer {
    /// The account on the left; null for a caller who may not see it.
    #[graphql(complexity = "2 + child_complexity")]
    async fn debit(&self) -> Result<Option<Account>, QueryError> {
        let Some(debit) = &self.row.debit else { return Ok(None) };
        Account::load(debit.clone(), &self.scope).await
    }

    /// Where the account on the left stands; null for a caller who may not see it.
    async fn debit_address(&self) -> Option<AccountAddress> {
        self.row.debit.clone().map(Into::into)
    }

    /// The account on the right; null for a caller who may not see it.
    #[graphql(complexity = "2 + child_complexity")]
    async fn credit(&self) -> Result<Option<Account>, QueryError> {
        let Some(credit) = &self.row.credit else { return Ok(None) };
        Account::load(credit.clone(), &self.scope).await
    }

    /// Where the account on the right stands; null for a caller who may not see it.
    async fn credit_address(&self) -> Option<AccountAddress> {
        self.row.credit.clone().map(Into::into)
    }

    /// What was posted at once, or held.
    async fn amount(&self) -> Result<Money, QueryError> {
        Money::from_minor(self.row.amount_minor, self.row.currency)
    }

    /// What moved the posted balances: less than `amount` where a hold was posted in part, zero where it was not.
    async fn posted(&self) -> Result<Money, QueryError> {
        Money::from_minor(self.row.posted_minor, self.row.currency)
    }

    /// Why, for a statement.
    async fn reason(&self) -> Option<&str> {
        self.row.reason.as_ref().map(|reason| reason.as_str())
    }
}
