//! `/v1/accounts`: open, freeze, unfreeze, close, reopen, limit.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::response::Response;
use cauri_domain::LedgerCommand;
use cauri_domain::account::{AccountAction, ChangeLimits, CloseAccount, FreezeAccount, OpenAccount};
use cauri_domain::ids::AccountAddress;
use cauri_event_schemas::ledger::StreamId;

use super::history;
use crate::answer::of_submitted;
use crate::auth::layer::{Authorized, Read, Write};
use crate::body::{JsonBody, OptionalJsonBody};
use crate::bulk::Nothing;
use crate::headers::CommandHeaders;
use crate::problem::{Problem, kind};
use crate::state::ApiState;
use crate::submit::submit_one;

/// `POST /v1/accounts`
pub(super) async fn open(
    State(state): State<ApiState>,
    caller: Authorized<Write>,
    headers: CommandHeaders,
    JsonBody(open): JsonBody<OpenAccount>,
) -> Result<Response, Problem> {
    command(&state, &caller, &headers, LedgerCommand::open_account(open)).await
}

/// `POST /v1/accounts/{address}/freeze`
pub(super) async fn freeze(
    State(state): State<ApiState>,
    caller: Authorized<Write>,
    headers: CommandHeaders,
    address: Result<Path<String>, PathRejection>,
    OptionalJsonBody(freeze): OptionalJsonBody<FreezeAccount>,
) -> Result<Response, Problem> {
    act(&state, &caller, &headers, address, AccountAction::Freeze(freeze)).await
}

/// `POST /v1/accounts/{address}/unfreeze`
pub(super) async fn unfreeze(
    State(state): State<ApiState>,
    caller: Authorized<Write>,
    headers: CommandHeaders,
    address: Result<Path<String>, PathRejection>,
    OptionalJsonBody(Nothing {}): OptionalJsonBody<Nothing>,
) -> Result<Response, Problem> {
    act(&state, &caller, &headers, address, AccountAction::Unfreeze).await
}

/// `POST /v1/accounts/{address}/close`
pub(super) async fn close(
    State(state): State<ApiState>,
    caller: Authorized<Write>,
    headers: CommandHeaders,
    address: Result<Path<String>, PathRejection>,
    OptionalJsonBody(close): OptionalJsonBody<CloseAccount>,
) -> Result<Response, Problem> {
    act(&state, &caller, &headers, address, AccountAction::Close(close)).await
}

/// `POST /v1/accounts/{address}/reopen`
pub(super) async fn reopen(
    State(state): State<ApiState>,
    caller: Authorized<Write>,
    headers: CommandHeaders,
    address: Result<Path<String>, PathRejection>,
    OptionalJsonBody(Nothing {}): OptionalJsonBody<Nothing>,
) -> Result<Response, Problem> {
    act(&state, &caller, &headers, address, AccountAction::Reopen).await
}

/// `POST /v1/accounts/{address}/limits`
pub(super) async fn change_limits(
    State(state): State<ApiState>,
    caller: Authorized<Write>,
    headers: CommandHeaders,
    address: Result<Path<String>, PathRejection>,
    JsonBody(change): JsonBody<ChangeLimits>,
) -> Result<Response, Problem> {
    act(&state, &caller, &headers, address, AccountAction::ChangeLimits(change)).await
}

/// `GET /v1/accounts/{address}`: what happened to the account itself, and the version to say in `If-Match`.
pub(super) async fn history(
    State(state): State<ApiState>,
    _caller: Authorized<Read>,
    headers: CommandHeaders,
    address: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let address = address_in(address).map_err(|problem| headers.tell(problem))?;
    history::of(&state, &headers, StreamId::Account(address)).await
}

async fn act(
    state: &ApiState,
    caller: &Authorized<Write>,
    headers: &CommandHeaders,
    address: Result<Path<String>, PathRejection>,
    action: AccountAction,
) -> Result<Response, Problem> {
    let address = address_in(address).map_err(|problem| headers.tell(problem))?;
    command(state, caller, headers, LedgerCommand::account(address, action)).await
}

async fn command(
    state: &ApiState,
    caller: &Authorized<Write>,
    headers: &CommandHeaders,
    command: LedgerCommand,
) -> Result<Response, Problem> {
    let submitted = submit_one(state, headers, caller, command).await?;
    Ok(of_submitted(state, headers, submitted))
}

fn address_in(address: Result<Path<String>, PathRejection>) -> Result<AccountAddress, Problem> {
    let Path(address) = address.map_err(|rejection| Problem::of(&kind::VALIDATION_FAILED, rejection.body_text()))?;
    address.parse().map_err(|error: cauri_domain::ids::InvalidAddress| Problem::of(&kind::VALIDATION_FAILED, error.to_string()))
}
