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
use cauri_event_store::health::{Blocked, IndexCondition};
use schemars::JsonSchema;
use serde::Serialize;

use crate::state::ApiState;
use crate::submit::meaning;
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
    let health = state.engine.store().health();
    let engine = match health.blocked() {
        _ if !state.engine.is_running() => Err("has stopped".to_owned()),
        Some(Blocked { by, detail }) => Err(format!("{}: {}: {detail}", by.as_str(), meaning(by))),
        None => Ok("takes commands".to_owned()),
    };
    // As it was last published: asking the store itself would wait for a write that is under way.
    let store = match health.damage() {
        Some(damage) => Err(format!("journal_damaged: {}; damage was met {} times", damage.first, damage.met)),
        None => Ok(format!("is at {}", state.engine.store().follow().head())),
    };
    let index = match health.index() {
        IndexCondition::Whole => match health.paused() {
            // Look-ups answer from memory meanwhile.
            Some(why) => Ok(format!("is whole; {why}")),
            None => Ok("is whole".to_owned()),
        },
        IndexCondition::Rebuilding { why } => Err(format!("index_rebuilding: {why}; look-ups that need the damaged part fail")),
        IndexCondition::RebuildFailed { why } => Err(format!("index_damaged: it could not be rebuilt and is tried again: {why}")),
    };
    let found = [("engine", engine), ("store", store), ("index", index)];
    let mut checks = BTreeMap::from(found.map(|(name, found)| (name.to_owned(), CheckResult::of(found))));
    for ready in &state.ready_checks {
        checks.insert(ready.name.to_owned(), CheckResult::of((ready.check)()));
    }
    checks
}

/// `GET /metrics`
pub(super) async fn metrics(State(state): State<ApiState>) -> Response {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], telemetry::scrape(&state)).into_response()
}
