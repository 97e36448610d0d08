//! `Rollup`: what stands below a prefix.

use async_graphql::Object;
use cauri_domain::account::Side as DomainSide;
use cauri_projections::read::RollupRow;

use super::{AccountKind, Money};
use crate::error::QueryError;
use crate::scalars::Currency;

/// Sums over accounts of one currency and kind.
pub struct Rollup(pub(crate) RollupRow);

impl Rollup {
    fn money(&self, minor: i128) -> Result<Money, QueryError> {
        Money::from_minor(minor, self.0.currency)
    }

    /// (pending on the normal side, pending on the other)
    fn pending_sides(&self) -> (i128, i128) {
        let totals = &self.0.totals;
        match self.0.kind.normal_side() {
            DomainSide::Debit => (totals.debits_pending, totals.credits_pending),
            DomainSide::Credit => (totals.credits_pending, totals.debits_pending),
        }
    }
}

/// Sums over the accounts below a prefix that have one currency and one kind, seen from their normal side.
#[Object]
impl Rollup {
    /// The currency.
    async fn currency(&self) -> Currency {
        self.0.currency.into()
    }

    /// The kind of the accounts that are summed here.
    async fn kind(&self) -> AccountKind {
        self.0.kind.into()
    }

    /// How many accounts are summed here.
    async fn accounts(&self) -> i32 {
        super::int(self.0.accounts)
    }

    /// Posted on the normal side minus posted on the other.
    async fn posted(&self) -> Result<Money, QueryError> {
        self.money(self.0.totals.balance(self.0.kind))
    }

    /// What open holds may take.
    async fn pending(&self) -> Result<Money, QueryError> {
        self.money(self.pending_sides().1)
    }

    /// What open holds may bring.
    async fn incoming(&self) -> Result<Money, QueryError> {
        self.money(self.pending_sides().0)
    }

    /// `posted` minus `pending`.
    async fn available(&self) -> Result<Money, QueryError> {
        self.money(self.0.totals.available(self.0.kind))
    }

    /// Sum of posted debits.
    async fn debits(&self) -> Result<Money, QueryError> {
        self.money(self.0.totals.debits_posted)
    }

    /// Sum of posted credits.
    async fn credits(&self) -> Result<Money, QueryError> {
        self.money(self.0.totals.credits_posted)
    }
}
