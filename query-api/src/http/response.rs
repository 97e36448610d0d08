//! From the outcome of a GraphQL request to an HTTP response: body, media type, status, headers.

use std::collections::BTreeMap;

use async_graphql::{ServerError, Value};
use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, VARY, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::media::Media;
use crate::error::{self, ErrorCode, QueryError};

/// The positions that were read, by group, as a dictionary of RFC 9651: `accounts=17, entries=18`. Of a group that was read at
/// several the furthest.
const AS_OF_POSITION: HeaderName = HeaderName::from_static("cauri-as-of-position");

/// What became of one operation.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Boxed, so that a `Result` with an answer in it stays small.
    response: Box<async_graphql::Response>,
    /// Execution began, so there is a `data`, even if it is null.
    begun: bool,
}

/// The body: `data` is absent, not null, where nothing was executed.
#[derive(Serialize)]
struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Value>,
    #[serde(skip_serializing_if = "<[ServerError]>::is_empty")]
    errors: &'a [ServerError],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    extensions: &'a BTreeMap<String, Value>,
}

impl Answer {
    /// An operation that went through the schema.
    pub(crate) fn new(mut response: async_graphql::Response, begun: bool) -> Self {
        error::finish(&mut response);
        Self { response: Box::new(response), begun }
    }

    /// An operation that did not get there.
    pub(crate) fn refused(error: ServerError) -> Self {
        Self::new(async_graphql::Response::from_errors(vec![error]), false)
    }

    /// Nothing was executed.
    pub(crate) fn is_refusal(&self) -> bool {
        !self.begun && !self.response.errors.is_empty()
    }

    /// The errors alone, as JSON.
    pub(crate) fn errors(&self) -> serde_json::Value {
        serde_json::to_value(&self.response.errors).unwrap_or_default()
    }

    /// The code of the first error.
    pub(crate) fn code(&self) -> Option<ErrorCode> {
        self.response.errors.first().map(error::code_of)
    }

    /// The whole answer as JSON.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        let Self { response, begun } = self;
        let data = begun.then_some(&response.data);
        serde_json::to_vec(&Body { data, errors: &response.errors, extensions: &response.extensions }).unwrap_or_else(|error| {
            tracing::error!(%error, "an answer could not be written");
            br#"{"errors":[{"message":"an error occurred; the log has it","extensions":{"code":"INTERNAL"}}]}"#.to_vec()
        })
    }

    /// The status for a request that was well-formed and let in.
    fn status(&self, media: Media) -> StatusCode {
        let answered = self.begun && self.response.data != Value::Null;
        match (media, self.code()) {
            (Media::GraphqlResponse, Some(code)) if !answered => code.status(),
            _ => StatusCode::OK,
        }
    }

    pub(crate) fn into_http(self, media: Media) -> Response {
        let mut out = http(self.status(media), media, self.to_json());
        if let Some(positions) = self.response.extensions.get("positions").and_then(dictionary) {
            out.headers_mut().insert(AS_OF_POSITION, positions);
        }
        if matches!(
            self.code(),
            Some(
                ErrorCode::PositionNotReached
                    | ErrorCode::ReadModelBuilding
                    | ErrorCode::NotConsistent
                    | ErrorCode::TooManyRequests
                    | ErrorCode::Overloaded
            )
        ) {
            out.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        out
    }
}

/// The positions as a header has them.
fn dictionary(positions: &Value) -> Option<HeaderValue> {
    let Value::List(positions) = positions else { return None };
    let mut members: BTreeMap<&str, String> = BTreeMap::new();
    for position in positions {
        let Value::Object(fields) = position else { return None };
        let (Some(Value::String(group)), Some(Value::Number(position))) = (fields.get("group"), fields.get("position")) else {
            return None;
        };
        // They come in order.
        members.insert(group, position.to_string());
    }
    let members: Vec<String> = members.into_iter().map(|(group, position)| format!("{group}={position}")).collect();
    HeaderValue::from_str(&members.join(", ")).ok()
}

/// A request that was turned away before anything was done with it: the status says so, whatever the media type.
pub(crate) fn turned_away(error: QueryError, media: Media) -> Response {
    let mut out = refused(error, media);
    out.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    out
}

/// A request that is not looked at: the status says why, whatever the media type.
pub(crate) fn refused(error: QueryError, media: Media) -> Response {
    http(error.code().status(), media, Answer::refused(error.into_server_error()).to_json())
}

/// A request that is no GraphQL request: the status says so, whatever the media type.
pub(crate) fn malformed(status: StatusCode, media: Media, what: String) -> Response {
    http(status, media, Answer::refused(QueryError::BadInput(what).into_server_error()).to_json())
}

/// The address has other methods.
pub(crate) fn method_not_allowed(media: Media, allowed: &'static str) -> Response {
    let mut out = malformed(StatusCode::METHOD_NOT_ALLOWED, media, format!("this address takes {allowed}"));
    out.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    out
}

/// Somebody who is not let in.
pub(crate) fn not_let_in(problem: cauri_http::auth::challenge::AuthProblem, media: Media) -> Response {
    let error = QueryError::NotLetIn(problem);
    let mut out = http(error.code().status(), media, Answer::refused(error.into_server_error()).to_json());
    if let Ok(challenge) = HeaderValue::from_str(&problem.challenge()) {
        out.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    out
}

fn http(status: StatusCode, media: Media, body: Vec<u8>) -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(media.content_type())),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (VARY, HeaderValue::from_static("accept, authorization")),
    ];
    (status, headers, body).into_response()
}
