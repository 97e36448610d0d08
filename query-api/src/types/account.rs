//! `Account`: where money stands.

use std::sync::Arc;

use async_graphql::Object;
use cauri_projections::ACCOUNTS;
use cauri_projections::read::{AccountRow, EntryFilter};

use super::{AccountKind, AccountStatus, Balance, EntryConnection, EntryFilterInput, EntryState, Money, Pair, Side, entry, pair};
use crate::error::QueryError;
use crate::limits::page_cost;
use crate::page::PageArguments;
use crate::scalars::{AccountAddress, Currency, Position, Timestamp};
use crate::scope::Scope;

/// An account.
pub struct Account {
    row: AccountRow,
    scope: Arc<Scope>,
}

impl Account {
    pub(crate) fn new(row: AccountRow, scope: Arc<Scope>) -> Self {
        Self { row, scope }
    }

    /// The account at an address, read at once.
    pub(crate) async fn find(address: cauri_domain::ids::AccountAddress, scope: &Arc<Scope>) -> Result<Option<Self>, QueryError> {
        let (row, scope) = scope.read(&[ACCOUNTS], move |snapshot| snapshot.account(&address)).await?;
        Ok(row.map(|row| Self::new(row, scope)))
    }

    /// The account at an address, read together with the others that the same answer names: a little later.
    pub(crate) async fn load(address: cauri_domain::ids::AccountAddress, scope: &Arc<Scope>) -> Result<Option<Self>, QueryError> {
        Ok(scope.account(address).await?.map(|(row, scope)| Self::new(row, scope)))
    }
}

/// An account: one currency, one kind, and limits.
#[Object]
impl Account {
    /// Where it stands.
    async fn address(&self) -> AccountAddress {
        self.row.address.clone().into()
    }

    /// Kind, and so normal side.
    async fn kind(&self) -> AccountKind {
        self.row.kind.into()
    }

    /// The side on which its balance is positive.
    async fn normal_side(&self) -> Side {
        self.row.kind.normal_side().into()
    }

    /// The only currency it holds.
    async fn currency(&self) -> Currency {
        self.row.currency.into()
    }

    /// Open, frozen or closed.
    async fn status(&self) -> AccountStatus {
        self.row.status.into()
    }

    /// The least that balance minus outgoing holds may be; none if null. Negative for an overdraft.
    async fn floor(&self) -> Result<Option<Money>, QueryError> {
        self.row.floor_minor.map(|minor| Money::from_minor(minor, self.row.currency)).transpose()
    }

    /// The most that balance plus incoming holds may be; none if null.
    async fn ceiling(&self) -> Result<Option<Money>, QueryError> {
        self.row.ceiling_minor.map(|minor| Money::from_minor(minor, self.row.currency)).transpose()
    }

    /// Account number in the chart (SYSCOHADA).
    async fn chart_code(&self) -> Option<&str> {
        self.row.chart_code.as_ref().map(|code| code.as_str())
    }

    /// Who it belongs to: a party's id. Sensitive: null for a caller without the permission `inspect`, and who read it is recorded.
    async fn owner(&self) -> Option<&str> {
        let owner = self.row.owner.as_ref()?;
        self.scope.inspects("Account.owner", &self.row.address).then(|| owner.as_str())
    }

    /// Free pairs, by key. Sensitive: null for a caller without the permission `inspect`, and who read them is recorded.
    async fn metadata(&self) -> Option<Vec<Pair>> {
        let is_empty = self.row.metadata.is_empty();
        (is_empty || self.scope.inspects("Account.metadata", &self.row.address)).then(|| pair::pairs(&self.row.metadata))
    }

    /// When it was opened.
    async fn opened_at(&self) -> Timestamp {
        self.row.opened_at.into()
    }

    /// Position of its opening.
    async fn opened_position(&self) -> Position {
        self.row.opened_position.into()
    }

    /// How many events its stream has: what `If-Match` of a command is compared with.
    async fn version(&self) -> i32 {
        super::int(self.row.version.get())
    }

    /// Position of the last event that changed it or moved its totals.
    async fn last_position(&self) -> Position {
        self.row.last_position.into()
    }

    /// The position that this answer is as of.
    async fn as_of_position(&self) -> Position {
        self.scope.position().into()
    }

    /// Its balance; null if it was not open by `knownAt`.
    #[graphql(complexity = "5 + child_complexity")]
    async fn balance(
        &self,
        #[graphql(desc = "Only what is effective at or before this instant; every effective date if absent.")] as_of: Option<Timestamp>,
        #[graphql(desc = "Only what was recorded at or before this position; everything if absent.")] known_at: Option<Position>,
    ) -> Result<Option<Balance>, QueryError> {
        if as_of.is_none() && known_at.is_none() {
            return Ok(Some(Balance::now(&self.row, self.scope.clone())));
        }
        Balance::load(self.row.address.clone(), as_of, known_at, &self.scope).await
    }

    /// Entries with a transfer that debits or credits it, in the order in which they were recorded.
    #[graphql(complexity = "10 + page_cost(first, last, child_complexity)")]
    #[allow(clippy::too_many_arguments, reason = "the arguments of a Relay connection")]
    async fn entries(
        &self,
        #[graphql(desc = "Only entries that are this now.")] state: Option<EntryState>,
        #[graphql(desc = "How many from the beginning or behind `after`, 50 unless said otherwise, at most 500.")] first: Option<i32>,
        #[graphql(desc = "Goes on behind this cursor.")] after: Option<String>,
        #[graphql(desc = "How many from the end or before `before`, instead of `first`.")] last: Option<i32>,
        #[graphql(desc = "Ends before this cursor.")] before: Option<String>,
    ) -> Result<Option<EntryConnection>, QueryError> {
        let page = PageArguments { first, after, last, before };
        let filter = EntryFilterInput { state, ..EntryFilterInput::default() }.into_filter()?;
        let filter = EntryFilter { account: Some(self.row.address.clone()), ..filter };
        entry::connection(filter, page, &self.scope).await.map(Some)
    }
}
