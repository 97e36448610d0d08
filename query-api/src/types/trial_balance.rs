//! `TrialBalance`: every account's posted totals, and their sums.

use std::sync::Arc;

use async_graphql::Object;
use async_graphql::connection::{Connection, Edge};
use cauri_projections::read;

use super::{AsOf, TrialBalanceRow, TrialBalanceSum};
use crate::cursor::{self, Cursor, List, ListDigest};
use crate::error::QueryError;
use crate::limits::{list_cost, page_cost};
use crate::page::PageArguments;
use crate::scalars::{Position, Timestamp};
use crate::scope::Scope;

/// A trial balance.
pub struct TrialBalance {
    read: read::TrialBalance,
    scope: Arc<Scope>,
}

/// What the cursors of a trial balance begin with inside.
const LIST: &str = "trial_balance:";

impl TrialBalance {
    /// The trial balance as of an effective time and as known at a position.
    pub(crate) async fn load(as_of: Option<Timestamp>, known_at: Option<Position>, scope: &Arc<Scope>) -> Result<Self, QueryError> {
        let (as_of, known_at) = (as_of.map(|as_of| as_of.0), known_at.map(|known_at| known_at.0));
        let read = scope.read(move |snapshot| snapshot.trial_balance(as_of, known_at)).await?;
        Ok(Self { read, scope: scope.clone() })
    }

    /// The list of its rows.
    fn list(&self) -> ListDigest {
        List::named("trialBalance.accounts").with("asOf", self.read.as_of).digest()
    }

    /// Index of the first row behind a cursor.
    fn behind(&self, cursor: Option<&Cursor>) -> Result<usize, QueryError> {
        let Some(cursor) = cursor else { return Ok(0) };
        // Rows of two positions side by side would add up to neither of their sums.
        cursor.must_be_known_at(self.read.known_at)?;
        let key = std::str::from_utf8(cursor.key.as_bytes()).ok().and_then(|key| key.strip_prefix(LIST)).ok_or_else(cursor::invalid)?;
        Ok(self.read.rows.partition_point(|row| row.address.as_str() <= key))
    }
}

/// Every account's posted totals at one effective time and position, and their sums per currency.
#[Object]
impl TrialBalance {
    /// Only what is effective at or before this instant counts; every effective date if null.
    async fn as_of(&self) -> Option<Timestamp> {
        self.read.as_of.map(Into::into)
    }

    /// As known at this position.
    async fn known_at(&self) -> Position {
        self.read.known_at.into()
    }

    /// One row a currency, by code, over all accounts. Debits equal credits, always.
    #[graphql(complexity = "list_cost(4, child_complexity)")]
    async fn sums(&self) -> Vec<TrialBalanceSum> {
        self.read.sums.iter().copied().map(TrialBalanceSum).collect()
    }

    /// One row an account, by address. All pages are of one position: ask for each later page with the `knownAt` that the first one states.
    #[graphql(complexity = "page_cost(first, None, child_complexity)")]
    async fn accounts(
        &self,
        #[graphql(desc = "How many, 50 unless said otherwise, at most 500.")] first: Option<i32>,
        #[graphql(desc = "Goes on behind this cursor.")] after: Option<String>,
    ) -> Result<Connection<String, TrialBalanceRow, AsOf>, QueryError> {
        let list = self.list();
        let wanted = PageArguments { first, after, last: None, before: None }.either_way(&list)?;
        let start = self.behind(wanted.cursor.as_ref())?;
        let rest = &self.read.rows[start..];
        let shown = &rest[..wanted.limit.min(rest.len())];
        let as_of_position = self.scope.position().await?.into();
        let mut page = Connection::with_additional_fields(wanted.cursor.is_some(), rest.len() > shown.len(), AsOf { as_of_position });
        for row in shown {
            let key = read::Cursor::from_bytes(format!("{LIST}{}", row.address).as_bytes())?;
            let cursor = Cursor::encode(self.read.known_at, &list, &key);
            page.edges.push(Edge::new(cursor, TrialBalanceRow::new(row.clone(), self.scope.clone())));
        }
        Ok(page)
    }

    /// The position that this answer is as of.
    async fn as_of_position(&self) -> Result<Position, QueryError> {
        Ok(self.scope.position().await?.into())
    }
}
