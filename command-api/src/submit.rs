//! From a command to its outcome, or to the problem that kept it from having one.

use std::time::Duration;

use cauri_engine::{CommandEnvelope, Mode, Outcome, Rejected, SubmitError};

use crate::problem::{FieldProblem, Problem, kind};
use crate::state::ApiState;

/// Requests before this one are answered in a moment.
const POOL_RETRY: Duration = Duration::from_secs(1);
/// A full queue of commands is empty again well within a second.
const QUEUE_RETRY: Duration = Duration::from_secs(1);
/// Somebody has to restart what has stopped, or the balancer to send the caller elsewhere.
const STOPPED_RETRY: Duration = Duration::from_secs(5);

/// Submits commands and waits until their outcomes are durable.
///
/// The turn is taken here and not when the request came in: its body has arrived, so a client that sends slowly holds none.
///
/// # Errors
/// When there is no outcome; the problem says whether something may have been done.
pub(crate) async fn submit(state: &ApiState, commands: Vec<CommandEnvelope>, mode: Mode) -> Result<Vec<Outcome>, Problem> {
    let _turn = state.commands.enter().ok_or_else(|| Problem::overloaded(POOL_RETRY))?;
    let submitted = tokio::time::timeout(state.limits.time_out, state.engine.submit(commands, mode));
    match submitted.await {
        Ok(Ok(outcomes)) => Ok(outcomes),
        Ok(Err(error)) => Err(no_outcome(error)),
        Err(_) => Err(Problem::outcome_unknown(format!("there was no outcome within {} seconds", state.limits.time_out.as_secs()))),
    }
}

/// Submits one command.
///
/// # Errors
/// As [`submit`].
pub(crate) async fn submit_one(state: &ApiState, command: CommandEnvelope) -> Result<Outcome, Problem> {
    let outcome = submit(state, vec![command], Mode::Each).await?.pop();
    outcome.ok_or_else(|| Problem::internal(None, "the engine answered a submission of one command without an outcome"))
}

fn no_outcome(error: SubmitError) -> Problem {
    match error {
        SubmitError::Rejected(Rejected::QueueFull { .. }) => Problem::overloaded(QUEUE_RETRY),
        SubmitError::Rejected(too_many @ (Rejected::TooMany { .. } | Rejected::TooManyTransfers { .. })) => {
            Problem::of(&kind::PAYLOAD_TOO_LARGE, too_many.to_string())
        }
        SubmitError::Rejected(reserved @ Rejected::ReservedId) => {
            Problem::validation(vec![FieldProblem::new("reserved_key", "", reserved.to_string())])
        }
        SubmitError::Rejected(Rejected::Stopped) => {
            Problem::not_done("the engine has stopped; nothing was done").with_retry_after(STOPPED_RETRY)
        }
        SubmitError::NotDone(why) => {
            tracing::error!(why, "an append failed; nothing was written");
            Problem::not_done("storage failed; nothing was done").with_retry_after(QUEUE_RETRY)
        }
        SubmitError::Unknown(why) => {
            tracing::error!(why, "an append has no known outcome");
            Problem::outcome_unknown("storage did not say whether the command was written")
        }
        SubmitError::Corrupt(what) => {
            tracing::error!(what, "the journal contradicts itself; the engine has stopped");
            Problem::of(&kind::JOURNAL_CORRUPT, what)
        }
    }
}
