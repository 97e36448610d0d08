//! `/v1/read_models`: have one built anew.

use axum::extract::{Path, State};
use axum::{Json, http::StatusCode};
use cauri_http::auth::layer::{Administer, Authorized};
use cauri_http::problem::{Problem, kind};
use schemars::JsonSchema;
use serde::Serialize;

use crate::state::ApiState;

/// What became of it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct RebuildAnswer {
    /// The read model that was named. The others of its group are built anew with it.
    pub read_model: String,
}

/// `POST /v1/read_models/{name}/rebuild`
pub(super) async fn rebuild(
    State(state): State<ApiState>,
    caller: Authorized<Administer>,
    Path(name): Path<String>,
) -> Result<(StatusCode, Json<RebuildAnswer>), Problem> {
    match (state.rebuild)(&name) {
        Ok(()) => {
            tracing::info!(read_model = name, actor = %caller.actor(), "a rebuild was asked for");
            Ok((StatusCode::ACCEPTED, Json(RebuildAnswer { read_model: name })))
        }
        Err(unknown) => Err(Problem::of(&kind::NOT_FOUND, unknown)),
    }
}
