//! `/v1/journal`: close it for good.

use axum::extract::State;
use axum::response::Response;
use cauri_domain::LedgerCommand;
use cauri_domain::journal::{CloseJournal, JournalCommand};

use crate::answer::of_submitted;
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
    let submitted = submit_one(&state, &headers, &caller, LedgerCommand::Journal(JournalCommand::Close(close))).await?;
    Ok(of_submitted(&state, &headers, submitted))
}
