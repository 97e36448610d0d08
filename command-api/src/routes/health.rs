//! `/healthz`, `/readyz`, `/metrics`: what a supervisor, a balancer and Prometheus ask.
//!
//! They ask without a token: they say nothing about anybody's money. Keep them inside the network all the same.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use cauri_engine::ClockStatus;
use schemars::JsonSchema;
use serde::Serialize;

use crate::state::ApiState;
use crate::telemetry;

/// A balancer does not wait longer.
const TIME_OUT: Duration = Duration::from_secs(2);

/// Whether this process takes requests, and what was looked at.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Readiness {
    /// Whether everything below is well.
    pub ready: bool,
    /// What was looked at, and what was found.
    pub checks: BTreeMap<String, CheckResult>,
}

/// One thing that was looked at.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct CheckResult {
    /// Whether it is well.
    pub ok: bool,
    /// What was found, in words.
    pub detail: String,
}

impl CheckResult {
    fn of(found: Result<String, String>) -> Self {
        match found {
            Ok(detail) => Self { ok: true, detail },
            Err(detail) => Self { ok: false, detail },
        }
    }
}

/// `GET /healthz`: the process is alive.
pub(super) async fn alive() -> Json<serde_json::Value> {
    Json(serde_json::json!({ "alive": true }))
}

/// `GET /readyz`: commands can be taken and queries answered.
pub(super) async fn ready(State(state): State<ApiState>) -> Response {
    let looked = tokio::task::spawn_blocking(move || look(&state));
    let checks = match tokio::time::timeout(TIME_OUT, looked).await {
        Ok(Ok(checks)) => checks,
        Ok(Err(error)) => BTreeMap::from([("readiness".to_owned(), CheckResult::of(Err(error.to_string())))]),
        Err(_) => {
            let detail = format!("no answer within {} seconds", TIME_OUT.as_secs());
            BTreeMap::from([("readiness".to_owned(), CheckResult::of(Err(detail)))])
        }
    };
    let ready = checks.values().all(|check| check.ok);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Readiness { ready, checks })).into_response()
}

fn look(state: &ApiState) -> BTreeMap<String, CheckResult> {
    let engine = if state.engine.is_running() { Ok("takes commands".to_owned()) } else { Err("has stopped".to_owned()) };
    // As it was last published: asking the store itself would wait for a write that is under way.
    let store = Ok(format!("is at {}", state.engine.store().follow().head()));
    let mut checks = BTreeMap::from([
        ("engine".to_owned(), CheckResult::of(engine)),
        ("store".to_owned(), CheckResult::of(store)),
        ("clock".to_owned(), CheckResult::of(clock(state.engine.clock()))),
    ]);
    for ready in &state.ready_checks {
        checks.insert(ready.name.to_owned(), CheckResult::of((ready.check)()));
    }
    checks
}

/// A leap that nobody accepted keeps commands from being decided; a journal that is ahead of the clock does not.
fn clock(status: ClockStatus) -> Result<String, String> {
    match (status.gap, status.journal_ahead()) {
        (Some(gap), _) => Err(format!("clock_gap: {gap}; commands are not decided until the clock is right or the leap is accepted")),
        (None, Some(ahead)) => Ok(format!("journal_ahead: the last record is {ahead} ahead of the clock, and new records bear its time")),
        (None, None) => Ok("goes on from the last record".to_owned()),
    }
}

/// `GET /metrics`
pub(super) async fn metrics(State(state): State<ApiState>) -> Response {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], telemetry::scrape(&state)).into_response()
}
