//! `/v1/journal`: close it for good.

use axum::extract::State;
use axum::response::Response;
use cauri_domain::LedgerCommand;
use cauri_domain::journal::CloseJournal;

use crate::answer::{Target, of_outcome};
use crate::auth::layer::{Administer, Authorized};
use crate::body::OptionalJsonBody;
use crate::headers::CommandHeaders;
use crate::problem::Problem;
use crate::state::ApiState;
use crate::submit::submit_one;

/// `POST /v1/journal/close`
pub(super) async fn close(
    State(state): State<ApiState>,
    caller: Authorized<Administer>,
    headers: CommandHeaders,
    OptionalJsonBody(close): OptionalJsonBody<CloseJournal>,
) -> Result<Response, Problem> {
    let command = LedgerCommand::CloseJournal(close.into());
    let target = Target::of(&command);
    let envelope = headers.envelope(command, headers.command_id(), &caller);
    let outcome = submit_one(&state, envelope).await.map_err(|problem| headers.tell(problem))?;
    Ok(of_outcome(&state, &headers, &target, outcome))
}
