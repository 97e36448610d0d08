//! The root of every query: the fields here, and those that stand beside their types.

use std::sync::Arc;

use async_graphql::connection::Connection;
use async_graphql::{Context, MergedObject, Object};
use cauri_projections::read::{AccountFilter, JournalEventFilter, ReadSnapshot};
use cauri_projections::{ACCOUNTS, GroupId};

use crate::cursor::{List, ListDigest};
use crate::error::QueryError;
use crate::limits::{list_cost, page_cost};
use crate::page::{self, PageArguments};
use crate::scalars::{AccountAddress, Currency, Position, Stream, Timestamp};
use crate::scope::{Scope, blocking};
use crate::types::statement::StatementArguments;
use crate::types::{self, Account, AccountKind, AccountStatus, AsOf, Balance, GroupPosition, Head};
use crate::types::{JournalEventConnection, Projection, Rollup, Statement, TrialBalance, journal_event};

/// Read models stand in groups, each of which is at a position of its own: `accounts`, `entries`, `journal`. An operation reads a group at one moment; while the journal grows, an object inside one of another group may be newer than the object around it, and is never older. The `positions` that were read stand in the `extensions` of the answer and in the header `Cauri-As-Of-Position`, and every object has an `asOfPosition`. With `consistent: true` on a field of the root, all of the answer is as of one position, or it fails with the code `NOT_CONSISTENT`. While a group is being built its fields fail with the code `READ_MODEL_BUILDING`, and all others are answered.
///
/// `minPosition` takes the `position` that the answer of a command carries (or a plain position of this journal): the operation waits until the read models that it reads show it, and fails with the code `POSITION_NOT_REACHED` if that takes too long, or if the journal does not show in time whether a token belongs to it. A token belongs to one history of the journal: after the journal was restored from an older copy it fails with the code `OTHER_HISTORY`, where a plain position would be taken for one of the new history. Given on several fields, or in the header `Cauri-Min-Position` as well, the furthest one counts.
#[derive(Debug, Default, MergedObject)]
#[graphql(name = "Query")]
pub struct Root(Fields, types::Fields);

/// Fields of the root that stand beside no type of their own.
#[derive(Debug, Default)]
pub struct Fields;

pub(crate) fn scope<'a>(ctx: &Context<'a>) -> Result<&'a Arc<Scope>, QueryError> {
    ctx.data_opt::<Arc<Scope>>().ok_or_else(|| QueryError::internal("a query runs without a scope"))
}

/// The list of the accounts that match.
fn list_of_accounts(filter: &AccountFilter) -> ListDigest {
    let AccountFilter { prefix, kind, currency, status, owner } = filter;
    List::named("accounts")
        .with("prefix", prefix.as_ref())
        .with("kind", *kind)
        .with("currency", *currency)
        .with("status", *status)
        .with("owner", owner.as_ref())
        .digest()
}

/// A page of accounts.
pub type AccountConnection = Connection<String, Account, AsOf>;

#[Object(name = "QueryFields")]
#[allow(clippy::too_many_arguments, reason = "arguments of the schema")]
impl Fields {
    /// The account at an address.
    #[graphql(complexity = "5 + child_complexity")]
    async fn account(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Where it stands.")] address: AccountAddress,
        #[graphql(name = "minPosition", desc = "Wait until this position is visible.")] _min_position: Option<String>,
        #[graphql(name = "consistent", desc = "All of the answer is as of one position, or there is none.")] _consistent: Option<bool>,
    ) -> Result<Option<Account>, QueryError> {
        Account::find(address.0, scope(ctx)?).await
    }

    /// Accounts, by address. What is absent does not filter; what is given must all hold.
    #[graphql(complexity = "10 + page_cost(first, None, child_complexity)")]
    async fn accounts(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "The account here and all below it, by whole segments: `merchants:awa` finds `merchants:awa:available`, not `merchants:awatou`."
        )]
        prefix: Option<AccountAddress>,
        #[graphql(desc = "Of this kind.")] kind: Option<AccountKind>,
        #[graphql(desc = "In this currency.")] currency: Option<Currency>,
        #[graphql(desc = "With this status.")] status: Option<AccountStatus>,
        #[graphql(desc = "Belonging to this owner.")] owner: Option<String>,
        #[graphql(desc = "How many, 50 unless said otherwise, at most 500.")] first: Option<i32>,
        #[graphql(desc = "Goes on behind this cursor.")] after: Option<String>,
        #[graphql(name = "minPosition", desc = "Wait until this position is visible.")] _min_position: Option<String>,
        #[graphql(name = "consistent", desc = "All of the answer is as of one position, or there is none.")] _consistent: Option<bool>,
    ) -> Result<Option<AccountConnection>, QueryError> {
        let scope = scope(ctx)?;
        let filter = AccountFilter {
            prefix: prefix.map(|prefix| prefix.0),
            kind: kind.map(Into::into),
            currency: currency.map(|currency| currency.0),
            status: status.map(Into::into),
            owner: owner.map(|owner| owner.parse().map_err(QueryError::bad_input)).transpose()?,
        };
        let list = list_of_accounts(&filter);
        let wanted = PageArguments { first, after, ..PageArguments::default() }.either_way(&list)?;
        let (limit, key) = (wanted.limit, wanted.cursor.map(|cursor| cursor.key));
        let more_behind = key.is_some();
        let (found, scope) = scope.read(&[ACCOUNTS], move |snapshot| snapshot.accounts(&filter, key.as_ref(), limit)).await?;
        Ok(Some(page::connection(found, &list, more_behind, false, &scope, |row| Account::new(row, scope.clone()))))
    }

    /// The balance of an account; null if it was not open by `knownAt`. Exact, whatever was dated back later.
    #[graphql(complexity = "5 + child_complexity")]
    async fn balance(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Where the account stands.")] account: AccountAddress,
        #[graphql(desc = "Only what is effective at or before this instant; every effective date if absent.")] as_of: Option<Timestamp>,
        #[graphql(desc = "Only what was recorded at or before this position; everything if absent.")] known_at: Option<Position>,
        #[graphql(name = "minPosition", desc = "Wait until this position is visible.")] _min_position: Option<String>,
        #[graphql(name = "consistent", desc = "All of the answer is as of one position, or there is none.")] _consistent: Option<bool>,
    ) -> Result<Option<Balance>, QueryError> {
        Balance::load(account.0, as_of, known_at, scope(ctx)?).await
    }

    /// Sums over the account at a prefix and all below it, by whole segments: one row per currency and kind.
    #[graphql(complexity = "50 + list_cost(10, child_complexity)")]
    async fn rollup(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Whole segments, such as `merchants` or `merchants:awa`.")] prefix: AccountAddress,
        #[graphql(desc = "Only what is effective at or before this instant; every effective date if absent.")] as_of: Option<Timestamp>,
        #[graphql(desc = "Only what was recorded at or before this position; everything if absent.")] known_at: Option<Position>,
        #[graphql(name = "minPosition", desc = "Wait until this position is visible.")] _min_position: Option<String>,
        #[graphql(name = "consistent", desc = "All of the answer is as of one position, or there is none.")] _consistent: Option<bool>,
    ) -> Result<Option<Vec<Rollup>>, QueryError> {
        let (as_of, known_at) = (as_of.map(|as_of| as_of.0), known_at.map(|known_at| known_at.0));
        let ask = move |snapshot: &ReadSnapshot, known_at| snapshot.rollup(&prefix.0, as_of, known_at);
        let (rows, _) = scope(ctx)?.read_known(&[ACCOUNTS], known_at, ask).await?;
        Ok(Some(rows.into_iter().map(Rollup).collect()))
    }

    /// What moved on an account in a time, by effective time; null if it was not open by `knownAt`. Later pages stay with what the first one knew.
    #[graphql(complexity = "20 + page_cost(first, None, child_complexity)")]
    async fn statement(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Where the account stands.")] account: AccountAddress,
        #[graphql(desc = "First instant of the statement.")] from: Timestamp,
        #[graphql(desc = "First instant after the statement.")] to: Timestamp,
        #[graphql(desc = "Only what was recorded at or before this position; everything if absent.")] known_at: Option<Position>,
        #[graphql(desc = "How many lines, 50 unless said otherwise, at most 500.")] first: Option<i32>,
        #[graphql(desc = "Goes on behind this line.")] after: Option<String>,
        #[graphql(name = "minPosition", desc = "Wait until this position is visible.")] _min_position: Option<String>,
        #[graphql(name = "consistent", desc = "All of the answer is as of one position, or there is none.")] _consistent: Option<bool>,
    ) -> Result<Option<Statement>, QueryError> {
        Statement::load(StatementArguments { account, from, to, known_at, first, after }, scope(ctx)?).await
    }

    /// Every account's posted totals at one effective time and position, and their sums per currency.
    #[graphql(complexity = "1_000 + child_complexity")]
    async fn trial_balance(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only what is effective at or before this instant; every effective date if absent.")] as_of: Option<Timestamp>,
        #[graphql(desc = "Only what was recorded at or before this position; everything if absent.")] known_at: Option<Position>,
        #[graphql(name = "minPosition", desc = "Wait until this position is visible.")] _min_position: Option<String>,
        #[graphql(name = "consistent", desc = "All of the answer is as of one position, or there is none.")] _consistent: Option<bool>,
    ) -> Result<Option<TrialBalance>, QueryError> {
        TrialBalance::load(as_of, known_at, scope(ctx)?).await.map(Some)
    }

    /// The journal's events, by position.
    #[graphql(complexity = "10 + page_cost(first, last, child_complexity)")]
    async fn journal(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "At or after this position.")] from: Option<Position>,
        #[graphql(desc = "Of this stream.")] stream: Option<Stream>,
        #[graphql(name = "type", desc = "Of this type, such as `entry.posted`.")] event_type: Option<String>,
        #[graphql(desc = "How many from the beginning or behind `after`, 50 unless said otherwise, at most 500.")] first: Option<i32>,
        #[graphql(desc = "Goes on behind this cursor.")] after: Option<String>,
        #[graphql(desc = "How many from the end or before `before`, instead of `first`.")] last: Option<i32>,
        #[graphql(desc = "Ends before this cursor.")] before: Option<String>,
        #[graphql(name = "minPosition", desc = "Wait until this position is visible.")] _min_position: Option<String>,
        #[graphql(name = "consistent", desc = "All of the answer is as of one position, or there is none.")] _consistent: Option<bool>,
    ) -> Result<Option<JournalEventConnection>, QueryError> {
        let (from, stream) = (from.map(|from| from.0), stream.map(|stream| stream.0));
        let filter = JournalEventFilter { from, to: None, stream, event_type };
        journal_event::connection(filter, PageArguments { first, after, last, before }, scope(ctx)?).await.map(Some)
    }

    /// Where the journal ends at this moment: what was durable when it was asked, even if the read models do not show it yet.
    async fn head(
        &self,
        ctx: &Context<'_>,
        #[graphql(name = "minPosition", desc = "Wait until this position is visible.")] _min_position: Option<String>,
        #[graphql(name = "consistent", desc = "All of the answer is as of one position, or there is none.")] _consistent: Option<bool>,
    ) -> Result<Head, QueryError> {
        let store = scope(ctx)?.sources().store.clone();
        let journal = store.name().to_owned();
        let head = blocking(move || store.head()).await??;
        Ok(Head { journal, head })
    }

    /// How far each read model is, by group.
    #[graphql(complexity = "10 + list_cost(10, child_complexity)")]
    async fn projections(
        &self,
        ctx: &Context<'_>,
        #[graphql(name = "minPosition", desc = "Wait until this position is visible.")] _min_position: Option<String>,
        #[graphql(name = "consistent", desc = "All of the answer is as of one position, or there is none.")] _consistent: Option<bool>,
    ) -> Result<Vec<Projection>, QueryError> {
        let reads = scope(ctx)?.sources().reads.clone();
        let rows = blocking(move || reads.projections()).await??;
        Ok(rows.into_iter().map(Projection).collect())
    }

    /// The position that each group of read models shows at this moment; one that is being built is not in the list.
    async fn positions(
        &self,
        ctx: &Context<'_>,
        #[graphql(name = "minPosition", desc = "Wait until this position is visible.")] _min_position: Option<String>,
        #[graphql(name = "consistent", desc = "All of the answer is as of one position, or there is none.")] _consistent: Option<bool>,
    ) -> Result<Vec<GroupPosition>, QueryError> {
        let scope = scope(ctx)?;
        let mut positions = Vec::with_capacity(GroupId::ALL.len());
        for group in GroupId::ALL {
            match scope.read(&[group], |_| Ok(())).await {
                Ok(((), scope)) => positions.push(GroupPosition { group: group.name(), position: scope.position().into() }),
                Err(QueryError::Building { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(positions)
    }
}
