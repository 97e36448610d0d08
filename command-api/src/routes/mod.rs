//! The routes: one file per resource, as the addresses have them.

pub mod account_sets;
pub mod accounts;
pub mod bulk;
mod clock;
mod docs;
pub mod entries;
mod head;
mod health;
mod history;
pub mod journal;
mod read_models;

pub use clock::{AcceptGap, GapAnswer};
pub use head::HeadAnswer;
pub(crate) use history::{History, HistoryDeclaration};
pub use history::{StreamEvent, StreamHistory};
pub use read_models::RebuildAnswer;

use axum::Router;
use axum::routing::{get, post};
use cauri_domain::account_set::SetName;
use cauri_domain::ids::{AccountAddress, EntryId};
use cauri_http::edge::EdgeLayer;

use crate::command::{self, Declaration};
use crate::state::ApiState;

/// The commands, in the order in which the description of the API has them and their examples run.
pub(crate) const COMMANDS: [&[Declaration]; 5] =
    [accounts::OPENING, entries::COMMANDS, account_sets::COMMANDS, accounts::COMMANDS, journal::COMMANDS];

/// The resources, as the description of the API groups its operations: the second part of their paths, and what it is about.
pub(crate) const TAGS: [(&str, &str); 6] = [
    ("accounts", "Open, freeze, close and limit accounts."),
    ("entries", "Post entries, hold money, post and void holds, reverse, annotate."),
    ("account_sets", "Say which accounts belong together, from when until when."),
    ("bulk", "Many commands in one request."),
    ("journal", "The journal itself."),
    ("service", "The health of this process."),
];

/// What has a history.
pub(crate) const HISTORIES: [HistoryDeclaration; 3] =
    [HistoryDeclaration::of::<AccountAddress>(), HistoryDeclaration::of::<EntryId>(), HistoryDeclaration::of::<SetName>()];

/// The command side.
pub fn router(state: ApiState) -> Router {
    router_with(state, Router::new())
}

/// The command side together with other routes, such as those of the query side: one layer is around them all.
pub fn router_with(state: ApiState, others: Router) -> Router {
    let histories = |router| HISTORIES.iter().fold(router, |router, history| (history.route)(router));
    histories(command::routes(Router::new()))
        .route("/v1/bulk", post(bulk::submit))
        .route("/v1/clock/accept-gap", post(clock::accept_gap))
        .route("/v1/read_models/{name}/rebuild", post(read_models::rebuild))
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
        .layer(EdgeLayer::new(state.telemetry.clone()))
}
