//! The headers that Cauri gives a meaning, by name, and ids of requests.

use axum::http::HeaderName;
use uuid::Uuid;

/// The caller's id of the command: the same key and body get the same answer.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// `true` on an answer that was given before.
pub const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// The consistency token of an answer.
pub const CAURI_POSITION: HeaderName = HeaderName::from_static("cauri-position");
/// What the command belongs to, through all systems.
pub const CAURI_CORRELATION_ID: HeaderName = HeaderName::from_static("cauri-correlation-id");
/// Whose command it is, where an admin sends it for somebody else: what the issuer calls that caller.
pub const CAURI_ON_BEHALF_OF: HeaderName = HeaderName::from_static("cauri-on-behalf-of");
/// The source of files whose lines the commands are: their keys count in the source's name.
pub const CAURI_IMPORT: HeaderName = HeaderName::from_static("cauri-import");
/// What made the caller ask.
pub const CAURI_CAUSATION_ID: HeaderName = HeaderName::from_static("cauri-causation-id");
/// The request's id, taken from the caller or made, and sent back.
pub const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// W3C trace context.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// A random UUID (version 4).
pub fn fresh_uuid() -> Uuid {
    uuid::Builder::from_random_bytes(rand::random()).into_uuid()
}
