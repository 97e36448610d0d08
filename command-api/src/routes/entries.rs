//! `/v1/entries`: post or hold; post, void or reverse what is there.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use cauri_domain::LedgerCommand;
use cauri_domain::entry::{EntryAction, PostEntry, PostHold, ReverseEntry, VoidHold};
use cauri_domain::ids::{EntryId, InvalidEntryId};
use cauri_domain::money::UncheckedMoney;
use cauri_domain::time::Timestamp;
use cauri_engine::Outcome;
use cauri_event_schemas::ledger::StreamId;
use schemars::JsonSchema;
use serde::Deserialize;

use super::history;
use crate::answer::of_submitted;
use crate::auth::layer::{Authorized, Read, Write};
use crate::body::{JsonBody, OptionalJsonBody};
use crate::headers::CommandHeaders;
use crate::problem::{FieldProblem, Problem, kind};
use crate::state::ApiState;
use crate::submit::{Submitted, submit_one};

/// Post a hold, whole or in part; the rest is released.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(rename = "PostHold")]
#[serde(deny_unknown_fields)]
pub struct PostHoldBody {
    /// How much of a hold with one transfer; short for `amounts` with one amount, and instead of it.
    #[serde(default)]
    pub amount: Option<UncheckedMoney>,
    /// One amount for each transfer of the hold, in order; everything if absent. Zero is allowed.
    #[serde(default)]
    pub amounts: Option<Vec<UncheckedMoney>>,
    /// The business time of the posting; now if absent.
    #[serde(default)]
    pub effective_at: Option<Timestamp>,
}

impl PostHoldBody {
    /// The command that is meant.
    ///
    /// # Errors
    /// When it says both how much of one transfer and how much of each.
    pub fn into_command(self) -> Result<PostHold, &'static str> {
        let amounts = match (self.amount, self.amounts) {
            (Some(_), Some(_)) => return Err("a hold is posted with either `amount` or `amounts`, not both"),
            (Some(amount), None) => Some(vec![amount]),
            (None, amounts) => amounts,
        };
        Ok(PostHold { amounts, effective_at: self.effective_at })
    }
}

/// `POST /v1/entries`
pub(super) async fn post(
    State(state): State<ApiState>,
    caller: Authorized<Write>,
    headers: CommandHeaders,
    JsonBody(post): JsonBody<PostEntry>,
) -> Result<Response, Problem> {
    let submitted = submit_one(&state, &headers, &caller, post).await?;
    Ok(of_submitted(&state, &headers, submitted))
}

/// `POST /v1/entries/{id}/post`
pub(super) async fn post_hold(
    State(state): State<ApiState>,
    caller: Authorized<Write>,
    headers: CommandHeaders,
    id: Result<Path<String>, PathRejection>,
    OptionalJsonBody(body): OptionalJsonBody<PostHoldBody>,
) -> Result<Response, Problem> {
    let short = body.amount.is_some();
    let post =
        body.into_command().map_err(|why| headers.tell(Problem::validation(vec![FieldProblem::new("invalid_value", "/amount", why)])))?;
    let mut submitted = act(&state, &caller, &headers, id, EntryAction::PostHold(post)).await?;
    if short && let Outcome::Refused(refused) = &mut submitted.outcome {
        // Where the caller wrote it, not where the engine read it.
        refused.refusal.pointer =
            refused.refusal.pointer.take().map(|pointer| pointer.replace("/amounts/0", "/amount").replace("/amounts", "/amount"));
    }
    Ok(of_submitted(&state, &headers, submitted))
}

/// `POST /v1/entries/{id}/void`
pub(super) async fn void_hold(
    State(state): State<ApiState>,
    caller: Authorized<Write>,
    headers: CommandHeaders,
    id: Result<Path<String>, PathRejection>,
    OptionalJsonBody(void): OptionalJsonBody<VoidHold>,
) -> Result<Response, Problem> {
    let submitted = act(&state, &caller, &headers, id, EntryAction::VoidHold(void)).await?;
    Ok(of_submitted(&state, &headers, submitted))
}

/// `POST /v1/entries/{id}/reverse`
pub(super) async fn reverse(
    State(state): State<ApiState>,
    caller: Authorized<Write>,
    headers: CommandHeaders,
    id: Result<Path<String>, PathRejection>,
    OptionalJsonBody(reverse): OptionalJsonBody<ReverseEntry>,
) -> Result<Response, Problem> {
    let submitted = act(&state, &caller, &headers, id, EntryAction::Reverse(reverse)).await?;
    Ok(of_submitted(&state, &headers, submitted))
}

/// `GET /v1/entries/{id}`: what happened to the entry, and the version to say in `If-Match`.
pub(super) async fn history(
    State(state): State<ApiState>,
    _caller: Authorized<Read>,
    headers: CommandHeaders,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let id = id_in(id).map_err(|problem| headers.tell(problem))?;
    history::of(&state, &headers, StreamId::Entry(id)).await
}

async fn act(
    state: &ApiState,
    caller: &Authorized<Write>,
    headers: &CommandHeaders,
    id: Result<Path<String>, PathRejection>,
    action: EntryAction,
) -> Result<Submitted, Problem> {
    let id = id_in(id).map_err(|problem| headers.tell(problem))?;
    submit_one(state, headers, caller, LedgerCommand::entry(id, action)).await
}

fn id_in(id: Result<Path<String>, PathRejection>) -> Result<EntryId, Problem> {
    let Path(id) = id.map_err(|rejection| Problem::of(&kind::VALIDATION_FAILED, rejection.body_text()))?;
    id.parse().map_err(|error: InvalidEntryId| Problem::of(&kind::VALIDATION_FAILED, error.to_string()))
}
