//! What an answer to a command looks like: its body, its headers, its status.

use axum::http::header::{CONTENT_TYPE, ETAG, LOCATION};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use cauri_domain::LedgerCommand;
use cauri_domain::ids::{AccountAddress, CommandId, EntryId};
use cauri_domain::ledger::LedgerStream;
use cauri_domain::time::Timestamp;
use cauri_engine::consistency::ConsistencyToken;
use cauri_engine::{Accepted, Outcome, Refused};
use cauri_event_schemas::ledger::StreamId;
use cauri_event_schemas::{Position, StreamVersion};
use cauri_event_store::Head;
use cauri_http::headers::{CAURI_POSITION, IDEMPOTENCY_KEY, IDEMPOTENCY_REPLAYED};
use cauri_http::problem::{Problem, kind};
use schemars::JsonSchema;
use serde::Serialize;

use crate::headers::CommandHeaders;
use crate::state::ApiState;
use crate::submit::Submitted;

/// What became of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Its events are in the journal.
    Accepted,
    /// The rules said no; the refusal is in the journal.
    Refused,
    /// Another command of the same atomic request was not accepted; nothing of this one was written.
    NotApplied,
    /// The stream has another version than the one that was asked for; nothing was written.
    VersionMismatch,
    /// A rule failed over the command; nothing of it was written. The program has a fault, which its log names.
    Failed,
}

/// The answer to an accepted command.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct CommandAnswer {
    /// The account that the command was for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<AccountAddress>,
    /// The entry that the command was for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<EntryId>,
    /// The name of what the command was for, where it is neither an account nor an entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What became of it.
    pub status: Status,
    /// The version of the account's or entry's stream after the command: the `ETag`.
    #[schemars(with = "u64")]
    pub version: StreamVersion,
    /// The consistency token: a query that is given it sees at least this command.
    pub position: String,
    /// The position of the command's last event in the journal.
    #[schemars(with = "u64")]
    pub journal_position: Position,
    /// When the engine wrote it.
    pub recorded_at: Timestamp,
    /// The entry that the command wrote besides: the opposite entry of a reversal, the sweep of a closed account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry_id: Option<EntryId>,
    /// The idempotency key of the command: the caller's, or the one that was made for it. The same key with the same body
    /// gets this answer again.
    pub idempotency_key: CommandId,
    /// The command was decided earlier; this is the first answer again.
    pub replayed: bool,
}

/// What a command is for; none for the journal itself.
#[derive(Clone, Debug)]
pub(crate) struct Target(Option<LedgerStream>);

impl Target {
    pub(crate) fn of(command: &LedgerCommand) -> Self {
        Self(command.stream())
    }

    pub(crate) fn address(&self) -> Option<AccountAddress> {
        if let Some(LedgerStream::Account(address)) = &self.0 { Some(address.clone()) } else { None }
    }

    pub(crate) fn id(&self) -> Option<EntryId> {
        self.0.as_ref().and_then(LedgerStream::as_entry)
    }

    /// Its name, where it is neither an account nor an entry.
    pub(crate) fn name(&self) -> Option<String> {
        match &self.0 {
            None | Some(LedgerStream::Account(_) | LedgerStream::Entry(_)) => None,
            Some(stream) => Some(stream.aggregate_id()),
        }
    }

    /// The same target under the id that an accepted command's records name: one of journal format 1 derived it otherwise.
    pub(crate) fn into_recorded(self, outcome: &Outcome<LedgerStream>) -> Self {
        match (&self.0, outcome) {
            (Some(LedgerStream::Entry(_)), Outcome::Accepted(Accepted { stream: StreamId::Entry(id), .. })) => {
                Self(Some(LedgerStream::Entry(*id)))
            }
            _ => self,
        }
    }

    /// The entry that a command wrote besides its target.
    pub(crate) fn besides(&self, accepted: &Accepted<StreamId>) -> Option<EntryId> {
        accepted.begun.as_ref().and_then(StreamId::as_entry).filter(|id| self.id() != Some(*id))
    }
}

/// The token of a head of the engine's journal.
pub(crate) fn token(state: &ApiState, head: &Head) -> String {
    ConsistencyToken::new(state.engine.journal(), head).to_string()
}

/// The answer to one command. What it created, if it creates something, stands below `created`.
pub(crate) fn of_submitted(state: &ApiState, headers: &CommandHeaders, submitted: Submitted, created: Option<&'static str>) -> Response {
    let Submitted { target, key, outcome, head } = submitted;
    let target = target.into_recorded(&outcome);
    match outcome {
        Outcome::Accepted(accepted) => of_accepted(state, &target, &key, &accepted, &head, created),
        Outcome::Refused(refused) => of_refused(state, headers, &key, refused, &head),
        Outcome::VersionMismatch { actual } => of_mismatch(headers, &key, actual),
        Outcome::NotApplied { because_of } => {
            let error = format!("the engine did not apply a command of its own because of command {because_of}");
            Problem::internal(headers.request_id(), error).into_response()
        }
        Outcome::Failed { .. } => headers.tell(rule_failed().with_key(&key)).into_response(),
    }
}

fn of_accepted(
    state: &ApiState,
    target: &Target,
    key: &CommandId,
    accepted: &Accepted<LedgerStream>,
    head: &Head,
    created: Option<&str>,
) -> Response {
    let position = token(state, head);
    let mut headers = HeaderMap::with_capacity(12);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ETAG, etag(accepted.version));
    put(&mut headers, CAURI_POSITION, &position);
    put(&mut headers, IDEMPOTENCY_KEY, key.as_str());
    if accepted.replayed {
        headers.insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    }
    let location = created.zip(target.0.as_ref()).map(|(below, stream)| format!("{below}/{}", stream.aggregate_id()));
    let status = if location.is_some() { StatusCode::CREATED } else { StatusCode::OK };
    if let Some(location) = location {
        put(&mut headers, LOCATION, &location);
    }
    let answer = CommandAnswer {
        address: target.address(),
        id: target.id(),
        name: target.name(),
        status: Status::Accepted,
        version: accepted.version,
        position,
        journal_position: accepted.last,
        recorded_at: accepted.recorded_at,
        entry_id: target.besides(accepted),
        idempotency_key: key.clone(),
        replayed: accepted.replayed,
    };
    (status, headers, json(&answer)).into_response()
}

fn of_refused(state: &ApiState, headers: &CommandHeaders, key: &CommandId, refused: Refused, head: &Head) -> Response {
    let replayed = refused.replayed;
    let position = refused.position.map(|_| token(state, head));
    let mut response = headers.tell(problem_of(refused, position.as_deref()).with_key(key)).into_response();
    if let Some(position) = position {
        put(response.headers_mut(), CAURI_POSITION, &position);
    }
    if replayed {
        response.headers_mut().insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

/// A rule failed over a command: what it said is for the log, and stands there.
pub(crate) fn rule_failed() -> Problem {
    Problem::of(&kind::RULE_FAILED, "a rule failed over this command; nothing of it was done")
}

/// A refusal as a problem.
pub(crate) fn problem_of(refused: Refused, position: Option<&str>) -> Problem {
    let mut detail = refused.refusal.detail;
    if refused.replayed {
        detail = repeated(&detail, refused.recorded_at);
    }
    let mut problem = Problem::refused(refused.refusal.code.as_str(), detail);
    problem.replayed = refused.position.is_some().then_some(refused.replayed);
    problem.recorded_at = refused.recorded_at;
    problem.pointer = refused.refusal.pointer;
    problem.position = position.map(str::to_owned);
    problem
}

/// The detail of a refusal that is remembered: that it is, since when, and what to do if its cause is gone.
pub(crate) fn repeated(detail: &str, since: Option<Timestamp>) -> String {
    let since = since.map_or_else(String::new, |at| format!(" at {at}"));
    format!("{detail}; this was refused{since} and the key keeps that answer: to have it decided again, send it with a new key")
}

fn of_mismatch(headers: &CommandHeaders, key: &CommandId, actual: StreamVersion) -> Response {
    let mut response = headers.tell(mismatch(headers.expected_version, actual).with_key(key)).into_response();
    response.headers_mut().insert(ETAG, etag(actual));
    response
}

/// The problem that another version than the expected one is.
pub(crate) fn mismatch(expected: Option<StreamVersion>, actual: StreamVersion) -> Problem {
    let expected = expected.unwrap_or_default();
    Problem::precondition_failed(format!("the version is {actual}, the command was for version {expected}"))
}

/// A version as an entity tag.
pub(crate) fn etag(version: StreamVersion) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{version}\"")).unwrap_or_else(|_| HeaderValue::from_static("\"0\""))
}

/// Adds a header whose value is text of our own.
pub(crate) fn put(headers: &mut HeaderMap, name: axum::http::HeaderName, value: &str) {
    // Addresses, ids and base64 are visible ASCII; should that ever change, the body still says it.
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// An answer's body. Answers are plain data, which always serialises.
pub(crate) fn json<T: Serialize>(answer: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(384);
    if let Err(error) = serde_json::to_writer(&mut bytes, answer) {
        tracing::error!(%error, "an answer could not be written");
    }
    bytes
}
