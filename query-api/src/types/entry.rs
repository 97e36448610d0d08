//! `Entry`: transfers that happened together.

use std::sync::Arc;

use async_graphql::Object;
use async_graphql::connection::Connection;
use cauri_projections::read::{EntryFilter, EntryRow};

use super::{AsOf, EntryState, EntryStep, Pair, Transfer, pair};
use crate::cursor::{List, ListDigest};
use crate::error::QueryError;
use crate::limits::list_cost;
use crate::page::{self, PageArguments};
use crate::scalars::{EntryId, Position, Timestamp};
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
    let found = scope.read(move |snapshot| snapshot.entries(&filter, key.as_ref(), limit, backward)).await?;
    page::connection(found, &list, more_behind, backward, scope, |row| Entry::new(row, scope.clone())).await
}

/// The list of the entries that match, from whichever field it is asked for.
fn list(filter: &EntryFilter) -> ListDigest {
    let EntryFilter { account, reference, dimension, effective_from, effective_to, recorded_from, recorded_to, state } = filter;
    List::named("entries")
        .with("account", account.as_ref())
        .with("reference", reference.as_ref())
        .with("dimension.key", dimension.as_ref().map(|(key, _)| key))
        .with("dimension.value", dimension.as_ref().map(|(_, value)| value))
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
        let row = scope.read(move |snapshot| snapshot.entry(id)).await?;
        Ok(row.map(|row| Self::new(row, scope.clone())))
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
    async fn as_of_position(&self) -> Result<Position, QueryError> {
        Ok(self.scope.position().await?.into())
    }
}
