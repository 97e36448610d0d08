//! `TrialBalanceRow`: an account in a trial balance.

use std::sync::Arc;

use async_graphql::Object;
use cauri_projections::read;

use super::{Account, AccountKind, Money};
use crate::error::QueryError;
use crate::scalars::{AccountAddress, Currency};
use crate::scope::Scope;

/// A row.
pub struct TrialBalanceRow {
    row: read::TrialBalanceRow,
    scope: Arc<Scope>,
}

impl TrialBalanceRow {
    pub(crate) fn new(row: read::TrialBalanceRow, scope: Arc<Scope>) -> Self {
        Self { row, scope }
    }
}

/// An account in a trial balance.
#[Object]
impl TrialBalanceRow {
    /// The account.
    #[graphql(complexity = "2 + child_complexity")]
    async fn account(&self) -> Result<Option<Account>, QueryError> {
        Account::load(self.row.address.clone(), &self.scope).await
    }

    /// Where the account stands.
    async fn address(&self) -> AccountAddress {
        self.row.address.clone().into()
    }

    /// Kind, and so normal side.
    async fn kind(&self) -> AccountKind {
        self.row.kind.into()
    }

    /// Its currency.
    async fn currency(&self) -> Currency {
        self.row.currency.into()
    }

    /// Account number in the chart (SYSCOHADA).
    async fn chart_code(&self) -> Option<&str> {
        self.row.chart_code.as_ref().map(|code| code.as_str())
    }

    /// Sum of posted debits.
    async fn debits(&self) -> Result<Money, QueryError> {
        Money::from_minor(self.row.debits_minor, self.row.currency)
    }

    /// Sum of posted credits.
    async fn credits(&self) -> Result<Money, QueryError> {
        Money::from_minor(self.row.credits_minor, self.row.currency)
    }

    /// The balance on the normal side.
    async fn balance(&self) -> Result<Money, QueryError> {
        Money::from_minor(self.row.balance_minor, self.row.currency)
    }
}
