//! `JournalEvent`: an event as the journal has it.

use std::sync::Arc;

use async_graphql::connection::Connection;
use async_graphql::{Json, Object};
use cauri_event_schemas::ledger::StreamId;
use cauri_event_store::{OwnedRecord, StoreError};
use cauri_projections::read::{JournalEventFilter, JournalEventRow};
use cauri_projections::{ENTRIES, JOURNAL};

use super::{AsOf, EventMetadata};
use crate::cursor::List;
use crate::error::QueryError;
use crate::page::{self, PageArguments};
use crate::scalars::{Hash, Position, Stream, Timestamp};
use crate::scope::Scope;

/// An event.
pub struct JournalEvent {
    row: JournalEventRow,
    scope: Arc<Scope>,
}

/// A page of events.
pub type JournalEventConnection = Connection<String, JournalEvent, AsOf>;

/// The events that match, by position.
pub(crate) async fn connection(
    filter: JournalEventFilter,
    arguments: PageArguments,
    scope: &Arc<Scope>,
) -> Result<JournalEventConnection, QueryError> {
    let JournalEventFilter { from, to, stream, event_type } = &filter;
    let list = List::named("journal")
        .with("from", *from)
        .with("to", *to)
        .with("stream", stream.as_ref())
        .with("type", event_type.as_ref())
        .digest();
    let wanted = arguments.either_way(&list)?;
    let (limit, backward) = (wanted.limit, wanted.backward);
    let key = wanted.cursor.map(|cursor| cursor.key);
    let more_behind = key.is_some();
    // The events of an entry are known to the entries.
    let groups: &[_] = if matches!(filter.stream, Some(StreamId::Entry(_))) { &[JOURNAL, ENTRIES] } else { &[JOURNAL] };
    let (found, scope) = scope.read(groups, move |snapshot| snapshot.journal_events(&filter, key.as_ref(), limit, backward)).await?;
    Ok(page::connection(found, &list, more_behind, backward, &scope, |row| JournalEvent { row, scope: scope.clone() }))
}

impl JournalEvent {
    /// The record itself, out of the journal: the read store lists it and holds no payloads.
    async fn stored(&self) -> Result<Arc<OwnedRecord>, QueryError> {
        self.scope.record(self.row.position).await
    }
}

/// An event as the journal has it. Payload, metadata, hash and record are read from the journal itself.
#[Object]
impl JournalEvent {
    /// Its place in the journal.
    async fn position(&self) -> Position {
        self.row.position.into()
    }

    /// The event's type, such as `entry.posted`.
    #[graphql(name = "type")]
    async fn event_type(&self) -> &str {
        &self.row.event_type
    }

    /// The stream it belongs to.
    async fn stream(&self) -> Stream {
        self.row.stream.clone().into()
    }

    /// Its place in the stream.
    async fn version(&self) -> i32 {
        super::int(self.row.version.get())
    }

    /// The version of its shape, as stored.
    #[graphql(complexity = 2)]
    async fn schema(&self) -> Result<u32, QueryError> {
        let record = self.stored().await?;
        Ok(record.as_record().envelope().map_err(StoreError::from)?.schema)
    }

    /// When it was recorded.
    async fn recorded_at(&self) -> Timestamp {
        self.row.recorded_at.into()
    }

    /// The payload, as stored.
    #[graphql(complexity = 5)]
    async fn payload(&self) -> Result<Json<serde_json::Value>, QueryError> {
        let record = self.stored().await?;
        let envelope = record.as_record().envelope().map_err(StoreError::from)?;
        serde_json::from_str(envelope.data.get()).map(Json).map_err(QueryError::internal)
    }

    /// Who and why.
    #[graphql(complexity = "2 + child_complexity")]
    async fn metadata(&self) -> Result<EventMetadata, QueryError> {
        let record = self.stored().await?;
        let envelope = record.as_record().envelope().map_err(StoreError::from)?;
        Ok(EventMetadata(envelope.metadata))
    }

    /// Its leaf in the journal's Merkle tree: SHA-256 of a zero byte and `record` in UTF-8.
    #[graphql(complexity = 2)]
    async fn leaf(&self) -> Result<Hash, QueryError> {
        Ok(self.stored().await?.as_record().leaf().into())
    }

    /// The whole record, byte for byte as it is hashed: canonical JSON (RFC 8785).
    #[graphql(complexity = 5)]
    async fn record(&self) -> Result<String, QueryError> {
        let record = self.stored().await?;
        String::from_utf8(record.as_record().bytes().to_vec()).map_err(QueryError::internal)
    }
}
