//! `Balance`: what stands on an account.

use std::sync::Arc;

use async_graphql::Object;
use cauri_domain::account::AccountKind as Kind;
use cauri_domain::fold::Totals;
use cauri_domain::ids::AccountAddress as Address;
use cauri_projections::ACCOUNTS;
use cauri_projections::read::{AccountRow, BalanceRow, ReadSnapshot};

use super::{Account, AccountKind, Money, Side};
use crate::error::QueryError;
use crate::scalars::{AccountAddress, Currency, Position, Timestamp};
use crate::scope::Scope;

/// A balance of one account.
pub struct Balance {
    address: Address,
    kind: Kind,
    currency: cauri_domain::money::Currency,
    totals: Totals,
    as_of: Option<cauri_domain::time::Timestamp>,
    /// Everything that the scope knows where absent.
    known_at: Option<cauri_event_schemas::Position>,
    scope: Arc<Scope>,
}

impl Balance {
    /// The balance over everything, which the account's row has already.
    pub(crate) fn now(row: &AccountRow, scope: Arc<Scope>) -> Self {
        let (address, kind, currency, totals) = (row.address.clone(), row.kind, row.currency, row.totals);
        Self { address, kind, currency, totals, as_of: None, known_at: None, scope }
    }

    /// The balance as of an effective time and as known at a position; `None` if the account was not open by then.
    pub(crate) async fn load(
        address: Address,
        as_of: Option<Timestamp>,
        known_at: Option<Position>,
        scope: &Arc<Scope>,
    ) -> Result<Option<Self>, QueryError> {
        let (as_of, known_at) = (as_of.map(|as_of| as_of.0), known_at.map(|known_at| known_at.0));
        let ask = move |snapshot: &ReadSnapshot, known_at| snapshot.balance(&address, as_of, known_at);
        let (row, scope) = scope.read_known(&[ACCOUNTS], known_at, ask).await?;
        Ok(row.map(|row| Self::of(row, scope)))
    }

    fn of(row: BalanceRow, scope: Arc<Scope>) -> Self {
        let BalanceRow { address, kind, currency, totals, as_of, known_at } = row;
        Self { address, kind, currency, totals, as_of, known_at: Some(known_at), scope }
    }

    fn money(&self, minor: impl Into<i128>) -> Result<Money, QueryError> {
        Money::from_minor(minor, self.currency)
    }
}

/// What stands on an account, seen from its normal side: `available` is `posted` minus `pending`.
#[Object]
impl Balance {
    /// The account.
    #[graphql(complexity = "5 + child_complexity")]
    async fn account(&self) -> Result<Option<Account>, QueryError> {
        Account::load(self.address.clone(), &self.scope).await
    }

    /// Where the account stands.
    async fn address(&self) -> AccountAddress {
        self.address.clone().into()
    }

    /// Kind of the account, and so its normal side.
    async fn kind(&self) -> AccountKind {
        self.kind.into()
    }

    /// The side on which the balance is positive.
    async fn normal_side(&self) -> Side {
        self.kind.normal_side().into()
    }

    /// Its currency.
    async fn currency(&self) -> Currency {
        self.currency.into()
    }

    /// Posted on the normal side minus posted on the other.
    async fn posted(&self) -> Result<Money, QueryError> {
        self.money(self.totals.balance(self.kind))
    }

    /// What open holds may take: zero or more.
    async fn pending(&self) -> Result<Money, QueryError> {
        self.money(self.totals.outgoing(self.kind))
    }

    /// What open holds may bring: zero or more. It is not available before it is posted.
    async fn incoming(&self) -> Result<Money, QueryError> {
        self.money(self.totals.incoming(self.kind))
    }

    /// `posted` minus `pending`: what a floor is compared with.
    async fn available(&self) -> Result<Money, QueryError> {
        self.money(self.totals.available(self.kind))
    }

    /// `posted` plus `incoming`: what a ceiling is compared with.
    async fn expected(&self) -> Result<Money, QueryError> {
        self.money(self.totals.expected(self.kind))
    }

    /// Sum of posted debits.
    async fn debits(&self) -> Result<Money, QueryError> {
        self.money(self.totals.debits_posted)
    }

    /// Sum of posted credits.
    async fn credits(&self) -> Result<Money, QueryError> {
        self.money(self.totals.credits_posted)
    }

    /// Sum of debits that open holds claim.
    async fn debits_pending(&self) -> Result<Money, QueryError> {
        self.money(self.totals.debits_pending)
    }

    /// Sum of credits that open holds claim.
    async fn credits_pending(&self) -> Result<Money, QueryError> {
        self.money(self.totals.credits_pending)
    }

    /// Only what is effective at or before this instant counts; every effective date if null.
    async fn as_of(&self) -> Option<Timestamp> {
        self.as_of.map(Into::into)
    }

    /// Only what was recorded at or before this position counts.
    async fn known_at(&self) -> Position {
        self.known_at.unwrap_or(self.scope.position()).into()
    }

    /// The position that this answer is as of.
    async fn as_of_position(&self) -> Position {
        self.scope.position().into()
    }
}
