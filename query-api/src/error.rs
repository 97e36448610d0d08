//! What goes wrong with a query: a stable code for programs, a text for people, and nothing of the inside.

use std::fmt;
use std::time::Duration;

use async_graphql::{Error, ErrorExtensionValues, Response, ServerError, Value};
use axum::http::StatusCode;
use cauri_event_schemas::Position;
use cauri_event_store::consistency::RootPart;
use cauri_http::auth::challenge::AuthProblem;

/// What a program branches on: `extensions.code` of an error. A code never changes its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCode {
    /// The document or an argument is wrong; the same request will never succeed.
    BadUserInput,
    /// There is no good token.
    Unauthenticated,
    /// The token is good, its roles do not suffice.
    Forbidden,
    /// The read models have not reached the position that was asked for, or its token could not be checked in time; try again.
    PositionNotReached,
    /// The group of read models in `extensions.group` is being built and answers nothing until it is; try again.
    ReadModelBuilding,
    /// A consistent answer was asked for, and a group has gone on that cannot be asked as of where another is; try again.
    NotConsistent,
    /// The token belongs to another history of the journal, which was restored from an older copy; ask without it.
    OtherHistory,
    /// More than one query may cost; ask for less.
    TooComplex,
    /// It took too long; ask for less, or try again.
    TimedOut,
    /// As many requests of the subject are being answered as one subject may have; try again.
    TooManyRequests,
    /// Too many others ask at this moment; try again.
    Overloaded,
    /// What the journal holds at `extensions.position` is not what was written there; only a restored copy helps.
    JournalDamaged,
    /// Something went wrong here; the log has it.
    Internal,
}

impl ErrorCode {
    /// Every code.
    pub const ALL: [Self; 13] = [
        Self::BadUserInput,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::PositionNotReached,
        Self::ReadModelBuilding,
        Self::NotConsistent,
        Self::OtherHistory,
        Self::TooComplex,
        Self::TimedOut,
        Self::TooManyRequests,
        Self::Overloaded,
        Self::JournalDamaged,
        Self::Internal,
    ];

    /// The code as it stands in answers and in the manual.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BadUserInput => "BAD_USER_INPUT",
            Self::Unauthenticated => "UNAUTHENTICATED",
            Self::Forbidden => "FORBIDDEN",
            Self::PositionNotReached => "POSITION_NOT_REACHED",
            Self::ReadModelBuilding => "READ_MODEL_BUILDING",
            Self::NotConsistent => "NOT_CONSISTENT",
            Self::OtherHistory => "OTHER_HISTORY",
            Self::TooComplex => "TOO_COMPLEX",
            Self::TimedOut => "TIMED_OUT",
            Self::TooManyRequests => "TOO_MANY_REQUESTS",
            Self::Overloaded => "OVERLOADED",
            Self::JournalDamaged => "JOURNAL_DAMAGED",
            Self::Internal => "INTERNAL",
        }
    }

    /// The status of an answer without data, for `application/graphql-response+json`.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::BadUserInput | Self::TooComplex => StatusCode::BAD_REQUEST,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::PositionNotReached | Self::ReadModelBuilding | Self::NotConsistent | Self::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            Self::OtherHistory => StatusCode::CONFLICT,
            Self::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
            Self::TimedOut => StatusCode::GATEWAY_TIMEOUT,
            Self::JournalDamaged | Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    fn of(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == text)
    }
}

/// Why a query has no answer.
///
/// It has no `Display`, so that it can reach a caller only through [`QueryError::into_server_error`], with its code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueryError {
    /// The document or an argument is wrong.
    BadInput(String),
    /// Whoever asks is not let in.
    NotLetIn(AuthProblem),
    /// Whoever asks is limited to some accounts, and this is about others as well.
    OutOfReach(&'static str),
    /// A web page of another origin wants to open a WebSocket, and its origin is not listed.
    ForeignOrigin,
    /// The read models did not get there in time.
    PositionNotReached {
        /// What was asked for.
        wanted: Position,
        /// Where they are.
        reached: Position,
        /// Which group of them.
        group: &'static str,
    },
    /// Whether the consistency token is of this history of the journal was not found out in time.
    TokenNotChecked {
        /// The position of the token; of several, the furthest.
        wanted: Position,
        /// How long the query waited.
        limit: Duration,
    },
    /// The consistency token is of another history of the journal.
    OtherHistory {
        /// The position of the token.
        wanted: Position,
        /// The part of the root that the token has there.
        token: RootPart,
        /// The part of the root that the journal has there; `None` where it ends before.
        journal: Option<RootPart>,
        /// Where the journal ends.
        head: Position,
    },
    /// A group of read models is being built and has nothing to show yet.
    Building {
        /// Which one.
        group: &'static str,
        /// How far it is.
        position: Position,
        /// How far it has to go.
        head: Position,
    },
    /// The answer cannot be as of one position: a group has gone on, and what is asked of it can be asked only as of where it is.
    NotConsistent {
        /// Which one.
        group: &'static str,
        /// Where it is.
        position: Position,
        /// Where the answer would have to be.
        consistent_at: Position,
    },
    /// More than one query may cost; the text has the figures.
    TooComplex(String),
    /// It took longer than this.
    TimedOut(Duration),
    /// More requests of one subject than there may be; the text has the figure.
    TooManyRequests(String),
    /// More requests, connections or operations than there may be; the text has the figure.
    Overloaded(String),
    /// The journal is damaged at this position.
    JournalDamaged(Position),
    /// Something went wrong here, and the log has it.
    Internal,
}

impl QueryError {
    /// Wrong input, in words.
    pub fn bad_input(what: impl fmt::Display) -> Self {
        Self::BadInput(what.to_string())
    }

    /// Keeps the cause for the log, and nothing of it for the caller.
    pub fn internal(cause: impl fmt::Display) -> Self {
        tracing::error!(%cause, "a query failed");
        Self::Internal
    }

    /// What programs branch on.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::BadInput(_) => ErrorCode::BadUserInput,
            Self::ForeignOrigin | Self::OutOfReach(_) => ErrorCode::Forbidden,
            Self::NotLetIn(problem) if problem.status() == 403 => ErrorCode::Forbidden,
            Self::NotLetIn(_) => ErrorCode::Unauthenticated,
            Self::PositionNotReached { .. } | Self::TokenNotChecked { .. } => ErrorCode::PositionNotReached,
            Self::Building { .. } => ErrorCode::ReadModelBuilding,
            Self::NotConsistent { .. } => ErrorCode::NotConsistent,
            Self::OtherHistory { .. } => ErrorCode::OtherHistory,
            Self::TooComplex(_) => ErrorCode::TooComplex,
            Self::TimedOut(_) => ErrorCode::TimedOut,
            Self::TooManyRequests(_) => ErrorCode::TooManyRequests,
            Self::Overloaded(_) => ErrorCode::Overloaded,
            Self::JournalDamaged(_) => ErrorCode::JournalDamaged,
            Self::Internal => ErrorCode::Internal,
        }
    }

    fn message(&self) -> String {
        match self {
            Self::BadInput(what) | Self::TooComplex(what) | Self::TooManyRequests(what) | Self::Overloaded(what) => what.clone(),
            Self::NotLetIn(problem) => problem.to_string(),
            Self::OutOfReach(what) => format!("{what} is not for a token that is limited to some accounts"),
            Self::ForeignOrigin => {
                "pages of this Origin may not open a WebSocket here: the option --cors-origin lists those that may".to_owned()
            }
            Self::PositionNotReached { wanted, reached, group } => {
                format!("the read models of the group {group} are at position {reached}, {wanted} was asked for; try again")
            }
            Self::TokenNotChecked { wanted, limit } => format!(
                "the journal did not show within {} s whether the consistency token of position {wanted} belongs to it; try again",
                limit.as_secs_f32()
            ),
            Self::OtherHistory { wanted, token, journal, head } => {
                let found = match journal {
                    Some(journal) => format!("has the root {token}… at position {wanted}, the journal has {journal}…"),
                    None => format!("is of position {wanted}, the journal ends at {head}"),
                };
                format!(
                    "the consistency token belongs to another history of the journal: it {found}. The journal was restored from an \
                     older copy, and what was answered after that copy was made is lost. Ask again without the token, and repeat \
                     the commands whose effects are missing with the same idempotency keys"
                )
            }
            Self::Building { group, position, head } => {
                format!("the read models of the group {group} are being built, position {position} of {head}; try again")
            }
            Self::NotConsistent { group, position, consistent_at } => format!(
                "the group {group} is at position {position}, and what is asked of it cannot be answered as of {consistent_at}, where \
                 another is; try again, or ask without `consistent`"
            ),
            Self::TimedOut(limit) => format!("the query took longer than {} s; ask for less", limit.as_secs_f32()),
            Self::JournalDamaged(position) => {
                format!("the journal is damaged at position {position}; the operator has to restore it from a copy")
            }
            Self::Internal => "an error occurred; the log has it".to_owned(),
        }
    }

    fn extensions(&self) -> ErrorExtensionValues {
        let mut values = ErrorExtensionValues::default();
        values.set("code", self.code().as_str());
        match self {
            Self::PositionNotReached { wanted, reached, group } => {
                values.set("wanted", wanted.get());
                values.set("group", *group);
                values.set("asOfPosition", reached.get());
                values.set("lag", wanted.get().saturating_sub(reached.get()));
            }
            Self::TokenNotChecked { wanted, .. } => values.set("wanted", wanted.get()),
            Self::Building { group, position, head } => {
                values.set("group", *group);
                values.set("position", position.get());
                values.set("head", head.get());
            }
            Self::NotConsistent { group, position, consistent_at } => {
                values.set("group", *group);
                values.set("position", position.get());
                values.set("consistentAt", consistent_at.get());
            }
            Self::OtherHistory { wanted, token, journal, head } => {
                values.set("wanted", wanted.get());
                values.set("tokenRoot", token.to_string());
                values.set("journalRoot", journal.map_or(Value::Null, |root| Value::from(root.to_string())));
                values.set("head", head.get());
            }
            Self::NotLetIn(problem) => values.set("reason", problem.kind().code),
            Self::JournalDamaged(position) => values.set("position", position.get()),
            Self::BadInput(_)
            | Self::ForeignOrigin
            | Self::OutOfReach(_)
            | Self::TooComplex(_)
            | Self::TimedOut(_)
            | Self::TooManyRequests(_)
            | Self::Overloaded(_)
            | Self::Internal => {}
        }
        values
    }

    /// The error as an answer carries it, without a place in the document.
    pub fn into_server_error(self) -> ServerError {
        let mut error = ServerError::new(self.message(), None);
        error.extensions = Some(self.extensions());
        error
    }
}

impl From<QueryError> for Error {
    fn from(error: QueryError) -> Self {
        let mut out = Error::new(error.message());
        out.extensions = Some(error.extensions());
        out
    }
}

/// The code of an error in a finished answer.
pub(crate) fn code_of(error: &ServerError) -> ErrorCode {
    match error.extensions.as_ref().and_then(|extensions| extensions.get("code")) {
        Some(Value::String(code)) => ErrorCode::of(code).unwrap_or(ErrorCode::Internal),
        _ => ErrorCode::Internal,
    }
}

/// Gives every error of an answer its code, and takes out whatever came from the inside.
///
/// What has no code yet is either the library's complaint about the document, which is for the caller, or an error
/// that some code turned into text without thinking of a caller, and such a text is for the log.
pub(crate) fn finish(response: &mut Response) {
    for error in &mut response.errors {
        if error.extensions.as_ref().is_some_and(|extensions| extensions.get("code").is_some()) {
            continue;
        }
        let code = if error.source.is_some() {
            tracing::error!(message = error.message, path = ?error.path, "a query failed with an error that has no code");
            error.message = "an error occurred; the log has it".to_owned();
            ErrorCode::Internal
        } else {
            ErrorCode::BadUserInput
        };
        error.source = None;
        error.extensions.get_or_insert_default().set("code", code.as_str());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_that_nobody_gave_a_code_keeps_its_text_from_the_caller() {
        let from_inside = Error::from(std::io::Error::other("/var/lib/secret.sqlite: disk I/O error"));
        let from_outside = ServerError::new("Unknown field \"colour\" on type \"Query\".", None);
        let mut response = Response::from_errors(vec![from_inside.into_server_error(Default::default()), from_outside]);
        finish(&mut response);
        let text = serde_json::to_string(&response.errors).expect("errors are plain data");
        assert!(!text.contains("secret"), "{text}");
        assert_eq!(response.errors.iter().map(code_of).collect::<Vec<_>>(), [ErrorCode::Internal, ErrorCode::BadUserInput]);
    }

    #[test]
    fn every_code_is_read_back_as_itself() {
        for code in ErrorCode::ALL {
            assert_eq!(ErrorCode::of(code.as_str()), Some(code));
        }
    }
}
