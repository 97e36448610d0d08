//! `TrialBalance`: every account's posted totals, and their sums.

use std::sync::Arc;

use async_graphql::Object;
use async_graphql::connection::Connection;
use cauri_domain::time::Timestamp as Instant;
use cauri_event_schemas::Position as Place;
use cauri_projections::ACCOUNTS;
use cauri_projections::read::ReadSnapshot;

use super::{AsOf, TrialBalanceRow, TrialBalanceSum};
use crate::cursor::List;
use crate::error::QueryError;
use crate::limits::{list_cost, page_cost};
use crate::page::{self, PageArguments};
use crate::scalars::{Position, Timestamp};
use crate::scope::Scope;

/// A trial balance.
pub struct TrialBalance {
    as_of: Option<Instant>,
    known_at: Place,
    scope: Arc<Scope>,
}

impl TrialBalance {
    /// The trial balance as of an effective time and as known at a position.
    pub(crate) async fn load(as_of: Option<Timestamp>, known_at: Option<Position>, scope: &Arc<Scope>) -> Result<Self, QueryError> {
        let (as_of, known_at) = (as_of.map(|as_of| as_of.0), known_at.map(|known_at| known_at.0));
        let ask = |snapshot: &ReadSnapshot, known_at| snapshot.group(ACCOUNTS)?.known(known_at);
        let (known_at, scope) = scope.read_known(&[ACCOUNTS], known_at, ask).await?;
        Ok(Self { as_of, known_at, scope })
    }
}

/// Every account's posted totals at one effective time and position, and their sums per currency.
#[Object]
impl TrialBalance {
    /// Only what is effective at or before this instant counts; every effective date if null.
    async fn as_of(&self) -> Option<Timestamp> {
        self.as_of.map(Into::into)
    }

    /// As known at this position.
    async fn known_at(&self) -> Position {
        self.known_at.into()
    }

    /// One row a currency, by code, over all accounts. Debits equal credits, always. As of now the sums are kept; with `asOf` or an earlier `knownAt` every account is read.
    #[graphql(complexity = "list_cost(4, child_complexity)")]
    async fn sums(&self) -> Result<Vec<TrialBalanceSum>, QueryError> {
        let as_of = self.as_of;
        let ask = move |snapshot: &ReadSnapshot, known_at| snapshot.trial_balance_sums(as_of, known_at);
        let (sums, _) = self.scope.read_known(&[ACCOUNTS], Some(self.known_at), ask).await?;
        Ok(sums.into_iter().map(TrialBalanceSum).collect())
    }

    /// One row an account, by address. All pages are of one position: ask for each later page with the `knownAt` that the first one states.
    #[graphql(complexity = "page_cost(first, None, child_complexity)")]
    async fn accounts(
        &self,
        #[graphql(desc = "How many, 50 unless said otherwise, at most 500.")] first: Option<i32>,
        #[graphql(desc = "Goes on behind this cursor.")] after: Option<String>,
    ) -> Result<Connection<String, TrialBalanceRow, AsOf>, QueryError> {
        let (as_of, known_at) = (self.as_of, self.known_at);
        let list = List::named("trialBalance.accounts").with("asOf", as_of).digest();
        let wanted = PageArguments { first, after, last: None, before: None }.either_way(&list)?;
        if let Some(cursor) = &wanted.cursor {
            // Rows of two positions side by side would add up to neither of their sums.
            cursor.must_be_known_at(known_at)?;
        }
        let (limit, key) = (wanted.limit, wanted.cursor.map(|cursor| cursor.key));
        let more_behind = key.is_some();
        let ask = move |snapshot: &ReadSnapshot, known_at| snapshot.trial_balance(as_of, known_at, key.as_ref(), limit);
        let (found, scope) = self.scope.read_known(&[ACCOUNTS], Some(known_at), ask).await?;
        let row = |row| TrialBalanceRow::new(row, scope.clone());
        Ok(page::connection_known_at(found.rows, &list, known_at, more_behind, false, &scope, row))
    }

    /// The position that this answer is as of.
    async fn as_of_position(&self) -> Position {
        self.scope.position().into()
    }
}
