//! The events of one account or entry: where a `Location` leads, and where the version for `If-Match` comes from.
//!
//! Balances, statements and lists are the query side's. A stream is short: entries do not stand in their accounts' streams.
//! What has a history says so by [`History`], beside its commands.

use std::time::Duration;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::header::{CONTENT_TYPE, ETAG};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use cauri_domain::time::Timestamp;
use cauri_event_schemas::ledger::StreamId;
use cauri_event_schemas::{Position, StreamVersion};
use cauri_event_store::{EventStore, StoreError, Unreadable};
use cauri_http::auth::layer::{Authorized, Read};
use cauri_http::problem::{Problem, kind};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::answer::{etag, json};
use crate::command::{Target, target_in};
use crate::headers::CommandHeaders;
use crate::openapi::{self, Example, Operation};
use crate::reach;
use crate::state::ApiState;

/// What has a history that can be read, as the path names it.
pub trait History: Target + 'static {
    /// Where it is read.
    const PATH: &'static str;
    /// The operation's id in OpenAPI.
    const OPERATION: &'static str;
    /// What it is, in a few words.
    const SUMMARY: &'static str;
    /// What its reader should know.
    const DESCRIPTION: &'static str;

    /// Its stream.
    fn stream(self) -> StreamId;

    /// Requests that show it; they run after all commands' own.
    fn examples() -> Vec<Example>;
}

/// What is made from a [`History`].
pub(crate) struct HistoryDeclaration {
    /// Adds its route.
    pub(crate) route: fn(Router<ApiState>) -> Router<ApiState>,
    /// Describes it.
    pub(crate) operation: fn() -> Operation,
}

impl HistoryDeclaration {
    pub(super) const fn of<T: History>() -> Self {
        Self { route: |router| router.route(T::PATH, get(answer::<T>)), operation: openapi::history::<T> }
    }
}

/// Answers a request for a history.
async fn answer<T: History>(
    State(state): State<ApiState>,
    caller: Authorized<Read>,
    headers: CommandHeaders,
    target: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let target: T = target_in(target).map_err(|problem| headers.tell(problem))?;
    let stream = target.stream();
    reach::history(&caller, &stream).map_err(|problem| headers.tell(problem))?;
    of(&state, &headers, stream).await
}

/// What happened to one account or entry.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct StreamHistory {
    /// `account/` and its address, or `entry/` and its id.
    pub stream: String,
    /// The version of the stream: what `If-Match` compares with.
    #[schemars(with = "u64")]
    pub version: StreamVersion,
    /// Its events, oldest first, as they were written.
    pub events: Vec<StreamEvent>,
}

/// One event as it stands in the journal.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct StreamEvent {
    /// Its type, such as `entry.posted`.
    #[serde(rename = "type")]
    pub event_type: String,
    /// The version of the type's shape.
    pub schema: u32,
    /// Its place in the stream.
    #[schemars(with = "u64")]
    pub version: StreamVersion,
    /// Its place in the journal.
    #[schemars(with = "u64")]
    pub journal_position: Position,
    /// When the engine wrote it.
    pub recorded_at: Timestamp,
    /// What happened.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub data: Box<RawValue>,
}

/// The history of a stream, or 404 where nothing was ever written.
async fn of(state: &ApiState, headers: &CommandHeaders, stream: StreamId) -> Result<Response, Problem> {
    let _place = state.reads.enter().ok_or_else(|| headers.tell(Problem::overloaded(Duration::from_secs(1))))?;
    let store = state.engine.store().clone();
    let turn = state.journal_reads.clone().acquire_owned().await.map_err(|error| Problem::internal(headers.request_id(), error))?;
    let reading = tokio::task::spawn_blocking(move || {
        let history = read(&*store, stream);
        drop(turn);
        history
    });
    let read = reading.await;
    let history = match read {
        Ok(Ok(history)) => history,
        Ok(Err(StoreError::Failure(failure))) => return Err(headers.tell(Problem::not_done(failure.to_string()))),
        Ok(Err(StoreError::Corruption(corruption))) => {
            return Err(headers.tell(Problem::of(&kind::JOURNAL_DAMAGED, corruption.to_string())));
        }
        Ok(Err(StoreError::Newer(newer))) => return Err(headers.tell(Problem::of(&kind::JOURNAL_NEWER, newer.to_string()))),
        Err(error) => return Err(Problem::internal(headers.request_id(), error)),
    };
    if history.events.is_empty() {
        return Err(headers.tell(Problem::not_found(format!("nothing was ever written to {}", history.stream))));
    }
    let mut map = HeaderMap::with_capacity(8);
    map.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    map.insert(ETAG, etag(history.version));
    Ok((map, json(&history)).into_response())
}

fn read(store: &dyn EventStore, stream: StreamId) -> Result<StreamHistory, StoreError> {
    let mut history = StreamHistory { stream: stream.to_string(), version: StreamVersion::ZERO, events: Vec::new() };
    for record in store.read_stream(&stream.to_string(), StreamVersion::ZERO.next())? {
        let envelope = record.as_record().envelope().inspect_err(|error| {
            if let Unreadable::Corrupt(corruption) = error {
                store.health().note_damage(corruption);
            }
        })?;
        history.version = envelope.version;
        history.events.push(StreamEvent {
            event_type: envelope.event_type.into_owned(),
            schema: envelope.schema,
            version: envelope.version,
            journal_position: envelope.position,
            recorded_at: envelope.recorded_at,
            data: envelope.data.to_owned(),
        });
    }
    Ok(history)
}
