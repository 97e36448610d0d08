//! The one layer around all routes: request id, panics, metrics, security headers, and problems for bare errors.
//!
//! One layer instead of nine: each layer of a router costs a request an allocation and a copy of its future.

use std::any::Any;
use std::convert::Infallible;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use tower::{Layer, Service};
use tower_http::request_id::RequestId;
use tracing::Instrument;
use uuid::Uuid;

use crate::headers::{X_REQUEST_ID, fresh_uuid};
use crate::lingering::Lingering;
use crate::problem::{Problem, kind};
use crate::telemetry::Telemetry;

/// Where nobody matched: one label for whatever addresses are tried.
const UNMATCHED: &str = "unmatched";

/// Puts [`Edge`] around a route.
#[derive(Clone)]
pub struct EdgeLayer(Arc<Telemetry>);

impl EdgeLayer {
    /// A layer that counts requests and answers in `telemetry`.
    pub fn new(telemetry: Arc<Telemetry>) -> Self {
        Self(telemetry)
    }
}

impl<S> Layer<S> for EdgeLayer {
    type Service = Edge<S>;

    fn layer(&self, inner: S) -> Edge<S> {
        Edge { inner, telemetry: self.0.clone() }
    }
}

/// A route with everything around it that concerns every request.
#[derive(Clone)]
pub struct Edge<S> {
    inner: S,
    telemetry: Arc<Telemetry>,
}

impl<S> Service<Request> for Edge<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let began = Instant::now();
        let (mut parts, body) = request.into_parts();
        let method = parts.method.clone();
        let route = parts.extensions.get::<MatchedPath>().cloned();
        for secret in [AUTHORIZATION, COOKIE] {
            if let Some(value) = parts.headers.get_mut(secret) {
                // Whoever prints headers from here on prints `Sensitive`.
                value.set_sensitive(true);
            }
        }
        let id = request_id(&parts.headers);
        parts.extensions.insert(RequestId::new(id.clone()));
        let request = Request::from_parts(parts, Lingering::around(body));

        let telemetry = self.telemetry.clone();
        let entered = telemetry.enter();
        let inner = self.inner.call(request);
        let pattern = route.as_ref().map_or(UNMATCHED, MatchedPath::as_str);
        // At `debug`: making a span costs a tenth of the request, and events of a request that matter carry its id themselves.
        let span = tracing::debug_span!("request", request_id = id.to_str().unwrap_or_default(), %method, route = pattern);
        let answered = async move {
            let mut response = match AssertUnwindSafe(inner).catch_unwind().await {
                Ok(Ok(response)) => response,
                Ok(Err(never)) => match never {},
                Err(panic) => Problem::internal(id.to_str().ok(), panic_text(&*panic)).into_response(),
            };
            drop(entered);
            let status = response.status();
            if bare(&response) {
                response = problem_for(response, id.to_str().ok());
            }
            finish(response.headers_mut(), status, id);
            let pattern = route.as_ref().map_or(UNMATCHED, MatchedPath::as_str);
            let took = began.elapsed();
            telemetry.answered(pattern, &method, status, took);
            let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
            if status.is_server_error() {
                let request_id = response.headers().get(X_REQUEST_ID).and_then(|id| id.to_str().ok()).unwrap_or_default();
                tracing::warn!(request_id, %method, route = pattern, status = status.as_u16(), micros, "answered");
            } else {
                tracing::debug!(status = status.as_u16(), micros, "answered");
            }
            Ok(response)
        };
        Box::pin(answered.instrument(span))
    }
}

/// The caller's id for the request if it can stand in a log line, else one of ours.
fn request_id(headers: &HeaderMap) -> HeaderValue {
    let mut values = headers.get_all(X_REQUEST_ID).iter();
    let legible = |value: &HeaderValue| (1..=128).contains(&value.len()) && value.as_bytes().iter().all(u8::is_ascii_graphic);
    match (values.next(), values.next()) {
        (Some(given), None) if legible(given) => given.clone(),
        _ => {
            let id = fresh_uuid();
            let mut buffer = Uuid::encode_buffer();
            HeaderValue::from_str(id.hyphenated().encode_lower(&mut buffer)).unwrap_or_else(|_| HeaderValue::from_static("none"))
        }
    }
}

/// An error that the router made, without a word: nobody has said yet what it is.
fn bare(response: &Response) -> bool {
    let status = response.status();
    (status.is_client_error() || status.is_server_error()) && !response.headers().contains_key(CONTENT_TYPE)
}

fn problem_for(response: Response, request_id: Option<&str>) -> Response {
    let mut problem = match response.status() {
        StatusCode::NOT_FOUND => Problem::not_found("there is nothing at this address"),
        // The router adds `Allow` when the answer has passed all layers.
        StatusCode::METHOD_NOT_ALLOWED => Problem::of(&kind::METHOD_NOT_ALLOWED, "the address has other methods: see the header `Allow`"),
        _ => return response,
    };
    if let Some(id) = request_id {
        problem = problem.with_instance(id);
    }
    problem.into_response()
}

/// The headers that every answer has. What a handler set itself stays: pages need a policy of their own.
fn finish(headers: &mut HeaderMap, status: StatusCode, id: HeaderValue) {
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        // The rest of the body is of no use to anybody: a client that is still sending may stop.
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    headers.insert(X_REQUEST_ID, id);
    let fixed: [(HeaderName, &'static str); 5] = [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
    ];
    for (name, value) in fixed {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}

/// What a panic said.
fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("a handler panicked: {}", text.unwrap_or("without a text"))
}
