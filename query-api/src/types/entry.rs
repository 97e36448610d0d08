//! `Entry`: transfers that happened together, and which of them to list.

use std::sync::Arc;

use async_graphql::connection::Connection;
use async_graphql::{Context, InputObject, Object};
use cauri_domain::text::{Key, ShortText};
use cauri_projections::read::{EntryFilter, EntryRow};
use cauri_projections::{ACCOUNTS, ENTRIES};

use super::{AsOf, EntryState, EntryStep, Pair, Transfer, pair};
use crate::cursor::{List, ListDigest};
use crate::error::QueryError;
use crate::limits::{list_cost, page_cost};
use crate::page::{self, PageArguments};
use crate::query::scope;
use crate::scalars::{AccountAddress, EntryId, Position, Timestamp};
use crate::scope::Scope;

/// An entry.
pub struct Entry {
    row: EntryRow,
    scope: Arc<Scope>,
}

/// A page of entries.
pub type EntryConnection = Connection<String, Entry, AsOf>;

/// The entries that match, in the order in which they were recorded.
pub(crate) async fn connection(filter: EntryFilter, arguments: PageArguments, scope: &Arc<Scope>) -> Result<EntryConnection, QueryError> {
    let list = list(&filter);
    let wanted = arguments.either_way(&list)?;
    let (limit, backward) = (wanted.limit, wanted.backward);
    let key = wanted.cursor.map(|cursor| cursor.key);
    let more_behind = key.is_some();
    // What moved on an account is known to the accounts, which entries themselves are not asked for.
    let groups: &[_] = if filter.account.is_some() { &[ACCOUNTS, ENTRIES] } else { &[ENTRIES] };
    let (found, scope) = scope.read(groups, move |snapshot| snapshot.entries(&filter, key.as_ref(), limit, backward)).await?;
    Ok(page::connection(found, &list, more_behind, backward, &scope, |row| Entry::new(row, scope.clone())))
}

/// The list of the entries that match, from whichever field it is asked for.
fn list(filter: &EntryFilter) -> ListDigest {
    let EntryFilter { account, reference, dimension, annotation, effective_from, effective_to, recorded_from, recorded_to, state } = filter;
    List::named("entries")
        .with("account", account.as_ref())
        .with("reference", reference.as_ref())
        .with("dimension.key", dimension.as_ref().map(|(key, _)| key))
        .with("dimension.value", dimension.as_ref().map(|(_, value)| value))
        .with("annotation.key", annotation.as_ref().map(|(key, _)| key))
        .with("annotation.value", annotation.as_ref().map(|(_, value)| value))
        .with("effectiveFrom", *effective_from)
        .with("effectiveTo", *effective_to)
        .with("recordedFrom", *recorded_from)
        .with("recordedTo", *recorded_to)
        .with("state", *state)
        .digest()
}

impl Entry {
    pub(crate) fn new(row: EntryRow, scope: Arc<Scope>) -> Self {
        Self { row, scope }
    }

    /// The entry with an id.
    pub(crate) async fn load(id: cauri_domain::ids::EntryId, scope: &Arc<Scope>) -> Result<Option<Self>, QueryError> {
        let (row, scope) = scope.read(&[ENTRIES], move |snapshot| snapshot.entry(id)).await?;
        Ok(row.map(|row| Self::new(row, scope)))
    }
}

/// An atomic list of transfers: posted at once, or held and then posted, given back or expired.
#[Object]
impl Entry {
    /// Its id.
    async fn id(&self) -> EntryId {
        self.row.id.into()
    }

    /// What it is now.
    async fn state(&self) -> EntryState {
        self.row.state.into()
    }

    /// The business time of its first event: of the posting, or from which it is held.
    async fn effective_at(&self) -> Timestamp {
        self.row.effective_at.into()
    }

    /// The business time at which the posted balances moved; null while it is held and where a hold was given back.
    async fn posted_effective_at(&self) -> Option<Timestamp> {
        self.row.posted_effective_at.map(Into::into)
    }

    /// When the hold expires or would have expired; null if never.
    async fn expires_at(&self) -> Option<Timestamp> {
        self.row.expires_at.map(Into::into)
    }

    /// The caller's own reference.
    async fn reference(&self) -> Option<&str> {
        self.row.reference.as_ref().map(|reference| reference.as_str())
    }

    /// Pairs to group by, by key.
    async fn dimensions(&self) -> Vec<Pair> {
        pair::pairs(&self.row.dimensions)
    }

    /// What was said of it after it was written, by key.
    async fn annotations(&self) -> Vec<Pair> {
        pair::pairs(&self.row.annotations)
    }

    /// What moved or is held, in order.
    #[graphql(complexity = "list_cost(4, child_complexity)")]
    async fn transfers(&self) -> Vec<Transfer> {
        self.row.transfers.iter().map(|row| Transfer::new(row.clone(), self.scope.clone())).collect()
    }

    /// The entry that this one undoes.
    #[graphql(complexity = "5 + child_complexity")]
    async fn reverses(&self) -> Result<Option<Entry>, QueryError> {
        let Some(id) = self.row.reverses else { return Ok(None) };
        Entry::load(id, &self.scope).await
    }

    /// The entry that undid this one.
    #[graphql(complexity = "5 + child_complexity")]
    async fn reversed_by(&self) -> Result<Option<Entry>, QueryError> {
        let Some(id) = self.row.reversed_by else { return Ok(None) };
        Entry::load(id, &self.scope).await
    }

    /// When it was first recorded.
    async fn recorded_at(&self) -> Timestamp {
        self.row.recorded_at.into()
    }

    /// Position of its first event: the order of lists of entries.
    async fn position(&self) -> Position {
        self.row.first_position.into()
    }

    /// Position of its last event.
    async fn last_position(&self) -> Position {
        self.row.last_position.into()
    }

    /// How many events its stream has: what `If-Match` of a command is compared with.
    async fn version(&self) -> i32 {
        super::int(self.row.version.get())
    }

    /// What happened to it after its first event, in order.
    #[graphql(complexity = "list_cost(2, child_complexity)")]
    async fn steps(&self) -> Vec<EntryStep> {
        self.row.steps.iter().cloned().map(EntryStep).collect()
    }

    /// The position that this answer is as of.
    async fn as_of_position(&self) -> Position {
        self.scope.position().into()
    }
}

/// Fields of the root.
#[derive(Debug, Default)]
pub struct EntryFields;

#[Object]
#[allow(clippy::too_many_arguments, reason = "arguments of the schema")]
impl EntryFields {
    /// The entry with an id.
    #[graphql(complexity = "5 + child_complexity")]
    async fn entry(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its id.")] id: EntryId,
        #[graphql(name = "minPosition", desc = "Wait until this position is visible.")] _min_position: Option<String>,
        #[graphql(name = "consistent", desc = "All of the answer is as of one position, or there is none.")] _consistent: Option<bool>,
    ) -> Result<Option<Entry>, QueryError> {
        Entry::load(id.0, scope(ctx)?).await
    }

    /// Entries, in the order in which they were recorded.
    #[graphql(complexity = "10 + page_cost(first, last, child_complexity)")]
    async fn entries(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which entries; all if absent.")] filter: Option<EntryFilterInput>,
        #[graphql(desc = "How many from the beginning or behind `after`, 50 unless said otherwise, at most 500.")] first: Option<i32>,
        #[graphql(desc = "Goes on behind this cursor.")] after: Option<String>,
        #[graphql(desc = "How many from the end or before `before`, instead of `first`.")] last: Option<i32>,
        #[graphql(desc = "Ends before this cursor.")] before: Option<String>,
        #[graphql(name = "minPosition", desc = "Wait until this position is visible.")] _min_position: Option<String>,
        #[graphql(name = "consistent", desc = "All of the answer is as of one position, or there is none.")] _consistent: Option<bool>,
    ) -> Result<Option<EntryConnection>, QueryError> {
        let filter = filter.unwrap_or_default().into_filter()?;
        connection(filter, PageArguments { first, after, last, before }, scope(ctx)?).await.map(Some)
    }
}

/// Which entries to list. What is absent does not filter; what is given must all hold.
#[derive(Clone, Debug, Default, InputObject)]
#[graphql(name = "EntryFilter")]
pub struct EntryFilterInput {
    /// With a transfer that debits or credits this account.
    pub(crate) account: Option<AccountAddress>,
    /// With exactly this reference.
    pub(crate) reference: Option<String>,
    /// With exactly this pair among its dimensions.
    pub(crate) dimension: Option<DimensionInput>,
    /// Annotated with exactly this pair now.
    pub(crate) annotation: Option<AnnotationInput>,
    /// Effective at or after this instant.
    pub(crate) effective_from: Option<Timestamp>,
    /// Effective before this instant.
    pub(crate) effective_to: Option<Timestamp>,
    /// Recorded at or after this instant.
    pub(crate) recorded_from: Option<Timestamp>,
    /// Recorded before this instant.
    pub(crate) recorded_to: Option<Timestamp>,
    /// In this state now.
    pub(crate) state: Option<EntryState>,
}

/// A dimension to look for.
#[derive(Clone, Debug, InputObject)]
pub struct DimensionInput {
    /// The key, such as `merchant`.
    pub(crate) key: String,
    /// The value, such as `awa`.
    pub(crate) value: String,
}

/// An annotation to look for.
#[derive(Clone, Debug, InputObject)]
pub struct AnnotationInput {
    /// The key, such as `case`.
    pub(crate) key: String,
    /// The value, such as `2026-17`.
    pub(crate) value: String,
}

/// A pair that an entry can have.
fn pair_of(key: &str, value: &str) -> Result<(Key, ShortText), QueryError> {
    Ok((key.parse().map_err(QueryError::bad_input)?, value.parse().map_err(QueryError::bad_input)?))
}

impl EntryFilterInput {
    /// The filter of the read store; refuses texts that no entry can have.
    pub(crate) fn into_filter(self) -> Result<EntryFilter, QueryError> {
        Ok(EntryFilter {
            account: self.account.map(|account| account.0),
            reference: self.reference.map(|reference| reference.parse().map_err(QueryError::bad_input)).transpose()?,
            dimension: self.dimension.map(|pair| pair_of(&pair.key, &pair.value)).transpose()?,
            annotation: self.annotation.map(|pair| pair_of(&pair.key, &pair.value)).transpose()?,
            effective_from: self.effective_from.map(|at| at.0),
            effective_to: self.effective_to.map(|at| at.0),
            recorded_from: self.recorded_from.map(|at| at.0),
            recorded_to: self.recorded_to.map(|at| at.0),
            state: self.state.map(Into::into),
        })
    }
}
