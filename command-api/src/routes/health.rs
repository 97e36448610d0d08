//! `/healthz`, `/readyz`, `/metrics`: what a supervisor, a balancer and Prometheus ask.
//!
//! They ask without a token: they say nothing about anybody's money. Keep them inside the network all the same.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use cauri_http::auth::layer::bearer_of;
use cauri_http::auth::role::Permission;

use crate::gauges;
use crate::readiness::{Found, Readiness, Reason, look, reason, record};
use crate::state::ApiState;

/// A balancer does not wait longer.
const TIME_OUT: Duration = Duration::from_secs(2);

/// `GET /healthz`: the process is alive.
pub(super) async fn alive() -> Json<serde_json::Value> {
    Json(serde_json::json!({ "alive": true }))
}

/// `GET /readyz`: commands can be taken and queries answered. Positions and roots are for callers with a token.
pub(super) async fn ready(State(state): State<ApiState>, headers: HeaderMap) -> Response {
    // A balancer gets its answer whatever its token is worth, so a bad one is as none, and no keys are fetched for it.
    let detailed = matches!(bearer_of(&headers), Ok(Some(bearer)) if state.auth.knows(bearer, Permission::Read));
    let readiness = Readiness::of(found(&state).await, detailed);
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(readiness)).into_response()
}

async fn found(state: &ApiState) -> Found {
    let looking = state.clone();
    let looked = tokio::task::spawn_blocking(move || look(&looking));
    match tokio::time::timeout(TIME_OUT, looked).await {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => {
            tracing::error!(%error, "a check of readiness failed");
            vec![("readiness", Err(Reason::new(&reason::CHECK_FAILED, "a check ended with an error; the log has it")))]
        }
        Err(_) => {
            let text = format!("no answer within {} seconds", TIME_OUT.as_secs());
            vec![("readiness", Err(Reason::new(&reason::CHECK_TIMED_OUT, text)))]
        }
    }
}

/// `GET /metrics`
pub(super) async fn metrics(State(state): State<ApiState>) -> Response {
    record(&found(&state).await);
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], gauges::scrape(&state)).into_response()
}
