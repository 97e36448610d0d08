//! `/v1/clock`: accept a leap of the clock.

use axum::Json;
use axum::extract::State;
use cauri_domain::time::Timestamp;
use cauri_engine::AcceptGapError;
use cauri_http::auth::layer::{Administer, Authorized};
use cauri_http::problem::{Problem, kind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::body::JsonBody;
use crate::headers::CommandHeaders;
use crate::state::ApiState;
use crate::submit::stopped;

/// What the caller states of the clock.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AcceptGap {
    /// What the time is, from a source other than this server. The clock is accepted if it reads the same within five minutes.
    pub now: Timestamp,
}

/// What became of it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct GapAnswer {
    /// Whether there was a gap, which is accepted now. Without one there is nothing to accept, and this is `false`.
    pub accepted: bool,
    /// How many seconds the clock had leapt ahead; 0 without a gap.
    pub seconds: i64,
}

/// `POST /v1/clock/accept-gap`
pub(super) async fn accept_gap(
    State(state): State<ApiState>,
    caller: Authorized<Administer>,
    headers: CommandHeaders,
    JsonBody(AcceptGap { now }): JsonBody<AcceptGap>,
) -> Result<Json<GapAnswer>, Problem> {
    match state.engine.accept_clock_gap(now, caller.actor().clone()).await {
        Ok(gap) => Ok(Json(GapAnswer { accepted: gap.is_some(), seconds: gap.map_or(0, |gap| gap.seconds()) })),
        Err(differs @ AcceptGapError::Differs { .. }) => {
            let mut problem = Problem::of(&kind::CLOCK_DIFFERS, differs.to_string());
            problem.pointer = Some("/now".to_owned());
            Err(headers.tell(problem))
        }
        Err(AcceptGapError::Stopped) => Err(headers.tell(stopped())),
    }
}
