//! The runner: keeps every read model of one journal current, rebuilds them, and stops what cannot go on.
//!
//! Two threads for each lane of a journal: a reader decodes each batch once, the one writer feeds all read models
//! and commits the rows of all of them with their checkpoints in one transaction. Read models that are not where the
//! others are (a rebuild, one that was stopped and is tried again) have a lane of their own until they caught up.

mod metering;
mod progress;
mod reader;
mod writer;

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use cauri_event_schemas::Position;
use cauri_event_store::EventStore;
use cauri_event_store::space::Space;
use crossbeam_channel::Sender;

use crate::READ_MODELS;
use crate::projector::ReadModel;
use crate::read::{OpenError, ProjectionStatus, ReadStore};
pub(crate) use progress::{Shared, status_as_last_seen};
use writer::Control;

/// How a runner works; the defaults suit a machine with two cores and more.
#[derive(Clone, Debug)]
pub struct RunnerConfig {
    /// Events that one transaction takes at most. A larger batch rebuilds faster and needs more memory, about 2 KB an event.
    pub max_batch: usize,
    /// The same while other read models answer queries and must not wait long for the writer.
    pub max_batch_beside_live: usize,
    /// Events that the reader decodes ahead of the writer at most.
    pub read_ahead: usize,
    /// SQLite's page cache for writing, in MiB.
    pub cache_mib: u32,
    /// The disk that the read store lies on, and what must stay free on it; if absent, everything may be taken.
    pub space: Option<Space>,
}

impl Default for RunnerConfig {
    fn default() -> Self {
        Self { max_batch: 100_000, max_batch_beside_live: 8_192, read_ahead: 65_536, cache_mib: 256, space: None }
    }
}

/// A name that no read model has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a read model: {known}", known = READ_MODELS.map(|model| model.name).join(", "))]
pub struct UnknownReadModel(String);

/// How a runner is.
#[derive(Clone, Debug, PartialEq)]
pub struct RunnerStatus {
    /// The journal's head.
    pub head: Position,
    /// Every generation of every read model, by name.
    pub read_models: Vec<ProjectionStatus>,
    /// What the runner as a whole is doing.
    pub state: RunnerState,
    /// Why the read models were dropped and are built anew: they were of another history of the journal. Absent once
    /// all of them are built.
    pub other_history: Option<String>,
}

/// What a runner as a whole is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunnerState {
    /// It follows the journal.
    Running,
    /// The read store or the journal could not be read or written; it tries again.
    Retrying {
        /// What went wrong.
        reason: String,
    },
    /// A newer program wrote the record at this position: everything before it is shown, and nothing is wrong. It is looked
    /// at again, because another journal may be put in its place; what helps is a newer program.
    Newer {
        /// The first position that this program does not know.
        position: Position,
        /// What it does not know.
        reason: String,
    },
    /// Less space is free than must be left to the journal: nothing is written until there is more.
    Paused {
        /// How much is free, and how much must be.
        reason: String,
    },
    /// The journal contradicts itself: everything stopped before this position.
    Corrupt {
        /// The first position that cannot be trusted.
        position: Position,
        /// What contradicts what.
        reason: String,
    },
    /// It was stopped.
    Stopped,
}

/// Keeps the read models of one journal current until it is stopped or dropped.
pub struct Runner {
    path: PathBuf,
    shared: Arc<Shared>,
    control: Sender<Control>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Runner {
    /// Opens or makes the read store at `path` and begins to follow the journal.
    ///
    /// When it returns, [`ReadStore::open`] finds the file; a read model that has yet to be built says so until it is.
    /// Refuses a file that is damaged, of another kind, of another journal, or of a newer program. Read models of another
    /// history of the journal, as a restored copy has one, are built anew.
    pub fn start(store: Arc<dyn EventStore>, path: &Path, config: RunnerConfig) -> Result<Self, OpenError> {
        Self::start_with(store, path, config, &READ_MODELS)
    }

    fn start_with(store: Arc<dyn EventStore>, path: &Path, config: RunnerConfig, models: &'static [ReadModel]) -> Result<Self, OpenError> {
        let (db, other_history) = writer::open(&*store, path, &config, models)?;
        let shared = Arc::new(Shared::new(store, models));
        shared.note_other_history(other_history);
        shared.show(&db).map_err(|error| crate::catalog::judge(path, &error))?;
        let (control, inbox) = crossbeam_channel::unbounded();
        let writer = writer::Writer::new(shared.clone(), path.to_owned(), config, control.clone(), inbox);
        let thread = std::thread::Builder::new()
            .name("cauri-rows".into())
            .spawn(move || writer.run_guarded(db))
            .map_err(|error| OpenError::Failure { path: path.to_owned(), reason: error.to_string() })?;
        Ok(Self { path: path.to_owned(), shared, control, thread: Mutex::new(Some(thread)) })
    }

    /// A read store that is woken when this runner has committed.
    pub fn read_store(&self) -> Result<ReadStore, OpenError> {
        ReadStore::followed(&self.path, self.shared.clone())
    }

    /// How the runner and each read model are.
    pub fn status(&self) -> RunnerStatus {
        self.shared.status()
    }

    /// Builds a read model anew beside the live one, which answers until the new one has caught up.
    ///
    /// Returns at once; [`Runner::status`] shows how far it is. One that is being rebuilt already goes on.
    pub fn rebuild(&self, name: &str) -> Result<(), UnknownReadModel> {
        let known = READ_MODELS.iter().find(|model| model.name == name).ok_or_else(|| UnknownReadModel(name.chars().take(80).collect()))?;
        // A runner that has ended has nobody to rebuild for.
        let _ = self.control.send(Control::Rebuild(known.name));
        Ok(())
    }

    /// Ends after the transaction in hand; blocks until its threads have ended. What was not committed is projected again by the next runner.
    pub fn stop(&self) {
        self.shared.stop();
        let _ = self.control.send(Control::Wake);
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take()
            && thread.join().is_err()
        {
            tracing::error!("the projections' thread panicked");
        }
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner").field("path", &self.path).finish_non_exhaustive()
    }
}
