//! What can go wrong when the read store is asked.

use std::path::PathBuf;

use cauri_event_schemas::Position;

/// The file is not a read store that this program can use. Deleting it only costs a rebuild.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no such file; a runner makes it.
    #[error("there is no read store at {}: start the runner, which makes and fills it", .path.display())]
    NotFound {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A newer program wrote it.
    #[error(
        "{} has read-store format {found}, this program knows {supported}: use the newer program, or delete the file, which only costs a rebuild",
        .path.display()
    )]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// The format that it has.
        found: i32,
        /// The newest that this program knows.
        supported: i32,
    },
    /// A newer program wrote one of its read models.
    #[error(
        "{} holds the read model {read_model} in revision {found}, this program knows {supported}: use the newer program, or delete the file, which only costs a rebuild",
        .path.display()
    )]
    NewerRevision {
        /// The file.
        path: PathBuf,
        /// The read model.
        read_model: &'static str,
        /// The revision that it has.
        found: u32,
        /// The newest that this program knows.
        supported: u32,
    },
    /// It is some other database, or the read store of another journal.
    #[error("{} is not this journal's read store ({reason}): name another file, or delete it, which only costs a rebuild", .path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What tells.
        reason: String,
    },
    /// It contradicts itself.
    #[error("{} is damaged ({reason}): delete it together with its -wal and -shm files, which only costs a rebuild", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What contradicts what.
        reason: String,
    },
    /// I/O went wrong.
    #[error("{} cannot be opened: {reason}", .path.display())]
    Failure {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        reason: String,
    },
}

/// A question that got no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ReadError {
    /// The group is being built and answers nothing until it is: ask again later.
    #[error("the read models of the group {group} are being built: position {position} of {head}")]
    Building {
        /// Which one.
        group: &'static str,
        /// How far it is.
        position: Position,
        /// How far it has to go.
        head: Position,
    },
    /// `known_at` lies beyond what the read models have seen: what will be known there is not known yet.
    #[error("position {asked} is not reached yet, the read models of the group {group} are at {position}")]
    NotReached {
        /// Which group.
        group: &'static str,
        /// The position asked for.
        asked: Position,
        /// Where the read models are.
        position: Position,
    },
    /// Whoever asks is limited to some accounts, and this is about others as well.
    #[error("{what} is not for a token that is limited to some accounts")]
    OutOfReach {
        /// What was asked for.
        what: &'static str,
    },
    /// The cursor was not made by this query.
    #[error("the cursor does not belong to this list: use one of its own cursors, unchanged")]
    InvalidCursor,
    /// A stored row cannot be understood.
    #[error("the read store is damaged ({0}): delete it, which only costs a rebuild")]
    Damaged(String),
    /// I/O went wrong.
    #[error("the read store cannot be read: {0}")]
    Failure(String),
}

impl ReadError {
    /// Whether the group will answer once it is built.
    pub fn is_building(&self) -> bool {
        matches!(self, Self::Building { .. })
    }
}

impl From<rusqlite::Error> for ReadError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        match error.sqlite_error_code() {
            Some(DatabaseCorrupt | NotADatabase) => Self::Damaged(error.to_string()),
            _ => match error {
                rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)
                | rusqlite::Error::InvalidColumnType(..) => Self::Damaged(error.to_string()),
                error => Self::Failure(error.to_string()),
            },
        }
    }
}

/// A text that is no status or state of the read store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither a status of an account nor a state of an entry")]
pub struct UnknownState(String);

impl UnknownState {
    pub(super) fn new(text: &str) -> Self {
        Self(text.chars().take(40).collect())
    }
}
