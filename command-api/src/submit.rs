//! From a command to its outcome, or to the problem that kept it from having one.

use std::time::Duration;

use cauri_domain::LedgerCommand;
use cauri_domain::ids::CommandId;
use cauri_domain::ledger::LedgerStream;
use cauri_engine::{Answer, CommandEnvelope, Mode, Outcome, Rejected, SubmitError};
use cauri_event_store::Head;
use cauri_event_store::health::{BlockedBy, IndexCondition};
use cauri_http::auth::token::Principal;
use cauri_http::problem::{FieldProblem, Problem, kind};

use crate::answer::Target;
use crate::command::Asked;
use crate::headers::CommandHeaders;
use crate::reach;
use crate::scope::Scope;
use crate::state::ApiState;

/// Requests before this one are answered in a moment.
const POOL_RETRY: Duration = Duration::from_secs(1);
/// A full queue of commands is empty again well within a second.
const QUEUE_RETRY: Duration = Duration::from_secs(1);
/// Somebody has to restart what has stopped, or the balancer to send the caller elsewhere.
const STOPPED_RETRY: Duration = Duration::from_secs(5);
/// A clock that was just set is soon reported as synchronised; otherwise a person has to look at it.
const CLOCK_RETRY: Duration = Duration::from_secs(30);

/// Submits commands and waits until their outcomes are durable.
///
/// The turn is taken here and not when the request came in: its body has arrived, so a client that sends slowly holds none.
///
/// # Errors
/// When there is no outcome; the problem says whether something may have been done.
pub(crate) async fn submit(
    state: &ApiState,
    commands: Vec<CommandEnvelope<LedgerCommand>>,
    mode: Mode,
) -> Result<Answer<LedgerStream>, Problem> {
    let _turn = state.commands.enter().ok_or_else(|| Problem::overloaded(POOL_RETRY))?;
    let submitted = tokio::time::timeout(state.limits.time_out, state.engine.submit(commands, mode));
    match submitted.await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(no_outcome(state, error)),
        Err(_) => Err(Problem::outcome_unknown(format!("there was no outcome within {} seconds", state.limits.time_out.as_secs()))),
    }
}

/// What became of the one command of a request.
pub(crate) struct Submitted {
    pub(crate) target: Target,
    /// The idempotency key that it has, the caller's own or one that was made for it.
    pub(crate) key: CommandId,
    pub(crate) outcome: Outcome<LedgerStream>,
    /// The head when it was answered.
    pub(crate) head: Head,
}

/// Submits the one command of a request.
///
/// # Errors
/// As [`submit`]; and when the command needs a key and has none, or is on behalf of somebody without the right to be.
pub(crate) async fn submit_one(
    state: &ApiState,
    headers: &CommandHeaders,
    caller: &Principal,
    asked: impl Into<Asked>,
) -> Result<Submitted, Problem> {
    let command = Scope::of(headers, caller, state.limits.keys_optional)
        .and_then(|scope| Ok(scope.command(headers, asked, headers.key.clone())?))
        .map_err(|problem| headers.tell(problem))?;
    reach::within(state, caller, [&command.command]).await.map_err(|problem| headers.tell(problem))?;
    let (target, key) = (Target::of(&command.command), command.key.id.clone());
    let answered = submit(state, vec![command], Mode::Each).await.and_then(|Answer { mut outcomes, head }| {
        let outcome = outcomes.pop();
        let outcome =
            outcome.ok_or_else(|| Problem::internal(None, "the engine answered a submission of one command without an outcome"))?;
        Ok((outcome, head))
    });
    match answered {
        Ok((outcome, head)) => Ok(Submitted { target, key, outcome, head }),
        Err(problem) => Err(headers.tell(problem.with_key(&key))),
    }
}

/// The engine takes nothing more.
pub(crate) fn stopped() -> Problem {
    Problem::not_done("the engine has stopped; nothing was done").with_retry_after(STOPPED_RETRY)
}

/// Why appends fail, for a caller.
pub(crate) fn meaning(by: BlockedBy) -> &'static str {
    match by {
        BlockedBy::DiskFull => "the disk of the journal is full",
        BlockedBy::JournalReplaced => {
            "the file of the journal was removed or replaced while the engine was running; it takes no commands until a restart"
        }
        BlockedBy::WriteFailed => "the journal cannot be written",
    }
}

fn no_outcome(state: &ApiState, error: SubmitError) -> Problem {
    match error {
        SubmitError::Rejected(Rejected::QueueFull { .. }) => Problem::overloaded(QUEUE_RETRY),
        SubmitError::Rejected(too_many @ (Rejected::TooMany { .. } | Rejected::TooLarge { .. })) => {
            Problem::of(&kind::PAYLOAD_TOO_LARGE, too_many.to_string())
        }
        SubmitError::Rejected(reserved @ Rejected::ReservedId(_)) => {
            Problem::validation(vec![FieldProblem::new("reserved_key", "", reserved.to_string())])
        }
        SubmitError::Rejected(Rejected::Stopped) => stopped(),
        SubmitError::Rejected(gap @ Rejected::ClockGap(_)) => Problem::of(&kind::CLOCK_GAP, gap.to_string()).with_retry_after(CLOCK_RETRY),
        SubmitError::NotDone(why) => {
            tracing::error!(why, "an append failed; nothing was written");
            let health = state.engine.store().health();
            match health.blocked() {
                // The reason is for the caller, the paths and figures behind it are for the log.
                Some(blocked) => {
                    let retry = if blocked.by == BlockedBy::JournalReplaced { STOPPED_RETRY } else { QUEUE_RETRY };
                    Problem::not_done(format!("{}; nothing was done", meaning(blocked.by))).with_retry_after(retry)
                }
                None => {
                    let what = match health.index() {
                        IndexCondition::Whole => "storage failed",
                        IndexCondition::WriteFailed { .. } => "the look-up index cannot be written",
                        IndexCondition::Rebuilding { .. } | IndexCondition::RebuildFailed { .. } => "the look-up index is being rebuilt",
                    };
                    Problem::not_done(format!("{what}; nothing was done")).with_retry_after(QUEUE_RETRY)
                }
            }
        }
        SubmitError::Unknown(why) => {
            tracing::error!(why, "an append has no known outcome");
            Problem::outcome_unknown("storage did not say whether the command was written")
        }
        // The engine logged it when it ended.
        SubmitError::Corrupt(what) => Problem::of(&kind::JOURNAL_CORRUPT, what),
        SubmitError::Newer(what) => Problem::of(&kind::JOURNAL_NEWER, what),
    }
}
