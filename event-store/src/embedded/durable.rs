//! What is found at a start is made durable before it is shown to anybody.

use std::fs::File;
use std::io::{Error, ErrorKind};
use std::path::Path;

use super::failed;
use crate::port::StoreError;

/// Files whose content decides what the journal holds.
const FILES: [&str; 3] = ["journal.sqlite", "journal.sqlite-journal", "journal.sqlite-wal"];

/// Syncs the journal's files, its directory, and the directories above it.
///
/// A process that was killed may have left a batch in the log that it had not synced yet. The next process takes the batch
/// for part of the journal, serves it and answers retries from it, so it must not be lost to a later power cut. A directory
/// that was just created is durable once its parent is synced, whoever created it; SQLite syncs only the one that its file
/// is in.
///
/// The caller has no connection to the files yet: closing a file ends the locks that this process has on it.
pub(super) fn settle(dir: &Path) -> Result<(), StoreError> {
    for name in FILES {
        let path = dir.join(name);
        let synced = File::open(&path).and_then(|file| file.sync_all());
        synced.or_else(where_there_is_none).map_err(|error| failed(&format!("cannot sync {}", path.display()), error))?;
    }
    let dir = dir.canonicalize().map_err(|error| failed(&format!("cannot resolve {}", dir.display()), error))?;
    for directory in dir.ancestors() {
        // One that may not be listed was not made by this user; those above it are older still.
        let Ok(opened) = File::open(directory) else { break };
        let synced = opened.sync_all().or_else(where_it_has_no_meaning);
        synced.map_err(|error| failed(&format!("cannot sync the directory {}", directory.display()), error))?;
    }
    Ok(())
}

fn where_there_is_none(error: Error) -> Result<(), Error> {
    if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

/// Some file systems have no sync of a directory, and say so.
fn where_it_has_no_meaning(error: Error) -> Result<(), Error> {
    match error.kind() {
        ErrorKind::InvalidInput | ErrorKind::Unsupported | ErrorKind::ReadOnlyFilesystem => Ok(()),
        _ => Err(error),
    }
}
