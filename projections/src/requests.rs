//! Requests for a rebuild from outside of the process that keeps the read models: a file in their directory.
//!
//! A file, because whoever asks may be no caller of that process: it is looked for ten times a second, and when the process starts.

use std::io;
use std::path::{Path, PathBuf};

use cauri_event_store::files::create_private;

use crate::GROUPS;
use crate::projector::Group;
use crate::runner::UnknownReadModel;

/// A request that could not be left.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// There is no such read model.
    #[error(transparent)]
    Unknown(#[from] UnknownReadModel),
    /// There is no directory of read models, or it cannot be written.
    #[error("the request cannot be left in {}: {source}", .dir.display())]
    Io {
        /// The directory.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

fn path(dir: &Path, group: &Group) -> PathBuf {
    dir.join(format!("{}.rebuild", group.name))
}

/// Asks whoever keeps the read models in `dir`, now or after its next start, to build the group of a read model anew. Gives the
/// name of the group.
///
/// # Errors
/// When there is no such read model, or the directory cannot be written.
pub fn ask_for_rebuild(dir: &Path, read_model: &str) -> Result<&'static str, RequestError> {
    let has = |group: &&Group| group.models.iter().any(|model| model.name == read_model);
    let group = GROUPS.iter().find(has).ok_or_else(|| UnknownReadModel::new(read_model))?;
    create_private(&path(dir, group)).map_err(|source| RequestError::Io { dir: dir.to_owned(), source })?;
    Ok(group.name)
}

/// Whether somebody asked; the request is taken.
pub(crate) fn take(dir: &Path, group: &Group) -> bool {
    std::fs::remove_file(path(dir, group)).is_ok()
}
