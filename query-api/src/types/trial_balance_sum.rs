//! `TrialBalanceSum`: what a trial balance sums up to in one currency.

use async_graphql::Object;
use cauri_projections::read;

use super::Money;
use crate::error::QueryError;
use crate::scalars::Currency;

/// A sum.
pub struct TrialBalanceSum(pub(crate) read::TrialBalanceSum);

/// What a trial balance sums up to in one currency.
#[Object]
impl TrialBalanceSum {
    /// The currency.
    async fn currency(&self) -> Currency {
        self.0.currency.into()
    }

    /// Sum of posted debits.
    async fn debits(&self) -> Result<Money, QueryError> {
        Money::from_minor(self.0.debits_minor, self.0.currency)
    }

    /// Sum of posted credits.
    async fn credits(&self) -> Result<Money, QueryError> {
        Money::from_minor(self.0.credits_minor, self.0.currency)
    }

    /// Whether both are equal. Should it ever be false, the ledger is damaged: verify the journal.
    async fn balanced(&self) -> bool {
        self.0.debits_minor == self.0.credits_minor
    }
}
