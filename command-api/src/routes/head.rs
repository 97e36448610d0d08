//! `/v1/head`: how far the journal is, and the Merkle root there.

use axum::Json;
use axum::extract::State;
use cauri_event_schemas::Position;
use cauri_http::auth::layer::{Authorized, Read};
use schemars::JsonSchema;
use serde::Serialize;

use crate::answer::token;
use crate::state::ApiState;

/// The head of the journal.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "Head")]
pub struct HeadAnswer {
    /// The journal's name.
    pub journal: String,
    /// The consistency token: a query that is given it sees everything up to here.
    pub position: String,
    /// The last position; 0 in an empty journal.
    #[schemars(with = "u64")]
    pub journal_position: Position,
    /// The Merkle root (RFC 6962) over all records up to here, in hexadecimal.
    pub root: String,
}

/// `GET /v1/head`
pub(super) async fn head(State(state): State<ApiState>, _caller: Authorized<Read>) -> Json<HeadAnswer> {
    let head = state.engine.store().follow().head();
    Json(HeadAnswer {
        journal: state.engine.journal().to_owned(),
        position: token(&state, &head),
        journal_position: head.position,
        root: head.root.to_string(),
    })
}
