//! Bodies of commands, read as JSON.

use axum::extract::{FromRequest, Request};
use axum::http::request::Parts;
use cauri_http::auth::layer::Subject;
use cauri_http::body::{require, whole};
use cauri_http::json;
use cauri_http::load::BodyBytes;
use cauri_http::problem::Problem;
use serde::de::DeserializeOwned;

use crate::state::ApiState;

/// A JSON body that must be there.
pub struct JsonBody<T>(pub T);

impl<T: DeserializeOwned> FromRequest<ApiState> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &ApiState) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let read = async {
            require(&parts.headers, &["application/json"])?;
            let body = whole(body, &parts.headers, state.limits.body_bytes, state.limits.time_out, account(state, &parts)).await?;
            read_json(&body.bytes)
        };
        read.await.map(Self).map_err(|problem| problem.for_request(&parts.extensions))
    }
}

pub(crate) fn read_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    json::decode(bytes).map_err(|error| Problem::validation(vec![error]))
}

/// The account of a request's body, on its subject's name.
pub(crate) fn account(state: &ApiState, parts: &Parts) -> BodyBytes {
    state.body_memory.account(parts.extensions.get::<Subject>().map(|subject| subject.0.clone()))
}
