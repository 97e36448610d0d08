//! The routes: one file per resource, as the addresses have them.

pub mod accounts;
pub mod bulk;
mod clock;
mod docs;
pub mod entries;
mod head;
mod health;
mod history;
pub mod journal;

pub use clock::{AcceptGap, GapAnswer};
pub use head::HeadAnswer;
pub use history::{StreamEvent, StreamHistory};

use axum::Router;
use axum::routing::{get, post};

use crate::command;
use crate::edge::EdgeLayer;
use crate::state::ApiState;

/// The command side.
pub fn router(state: ApiState) -> Router {
    router_with(state, Router::new())
}

/// The command side together with other routes, such as those of the query side: one layer is around them all.
pub fn router_with(state: ApiState, others: Router) -> Router {
    command::routes(Router::new())
        .route("/v1/accounts/{address}", get(accounts::history))
        .route("/v1/entries/{id}", get(entries::history))
        .route("/v1/bulk", post(bulk::submit))
        .route("/v1/clock/accept-gap", post(clock::accept_gap))
        .route("/v1/head", get(head::head))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(health::metrics))
        .route("/openapi.json", get(docs::openapi))
        .with_state(state.clone())
        .merge(docs::pages())
        .merge(others)
        // The fallback must exist before the layer, so that the layer is around it too.
        .fallback(|| async { axum::http::StatusCode::NOT_FOUND })
        .layer(EdgeLayer::new(state))
}
