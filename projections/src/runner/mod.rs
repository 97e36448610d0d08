//! The runner: keeps every group of read models of one journal current, rebuilds them, and stops what cannot go on.
//!
//! A group has a file and a writer of its own; while it is rebuilt it has two. They follow the same decoded tail of the journal
//! (`tail.rs`) and wait for nobody: a group that is slow, stopped, damaged or being built holds up no other.

mod metering;
mod progress;
mod writer;

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use cauri_event_schemas::Position;
use cauri_event_store::EventStore;
use cauri_event_store::files::{create_private_dir, tighten};
use cauri_event_store::space::Space;

use crate::GROUPS;
use crate::file::{self, FileState};
use crate::projector::{Generation, Group};
use crate::read::{OpenError, ProjectionStatus, ReadStore};
use crate::requests;
use crate::tail::Tails;
pub(crate) use progress::{Shared, Shown, statuses_as_last_seen};
use writer::Writer;

/// How a runner works; the defaults suit a machine with two cores and more.
#[derive(Clone, Debug)]
pub struct RunnerConfig {
    /// Events that one transaction takes at most. A larger batch rebuilds faster and needs more memory, about 2 KB an event.
    pub max_batch: usize,
    /// Events that are decoded ahead of the slowest writer at most.
    pub read_ahead: usize,
    /// SQLite's page cache for writing, in MiB, of each group.
    pub cache_mib: u32,
    /// The disk that the read store lies on, and what must stay free on it; if absent, everything may be taken.
    pub space: Option<Space>,
}

impl Default for RunnerConfig {
    fn default() -> Self {
        Self { max_batch: 50_000, read_ahead: 65_536, cache_mib: 128, space: None }
    }
}

/// A name that no read model has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a read model: {known}", known = crate::read_models().map(|model| model.name).collect::<Vec<_>>().join(", "))]
pub struct UnknownReadModel(String);

impl UnknownReadModel {
    pub(crate) fn new(name: &str) -> Self {
        Self(name.chars().take(80).collect())
    }
}

/// How a runner is.
#[derive(Clone, Debug, PartialEq)]
pub struct RunnerStatus {
    /// The journal's head.
    pub head: Position,
    /// Every group.
    pub groups: Vec<GroupStatus>,
}

impl RunnerStatus {
    /// Every generation of every read model.
    pub fn read_models(&self) -> impl Iterator<Item = &ProjectionStatus> {
        self.groups.iter().flat_map(|group| &group.read_models)
    }
}

/// How a group is.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupStatus {
    /// Its name.
    pub name: &'static str,
    /// What the writer of the generation that answers is doing; before there is one, what the first one's is.
    pub state: GroupState,
    /// Why the group is built anew: it was of another history of the journal. Absent once it is built.
    pub other_history: Option<String>,
    /// Every generation of its read models.
    pub read_models: Vec<ProjectionStatus>,
}

/// What the writer of a group is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum GroupState {
    /// It follows the journal.
    #[default]
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
    dir: PathBuf,
    config: RunnerConfig,
    shared: Arc<Shared>,
    tails: Arc<Tails>,
    threads: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl Runner {
    /// Opens or makes the read store in the directory `dir` and begins to follow the journal.
    ///
    /// When it returns, [`ReadStore::open`] finds the files; a group that has yet to be built says so until it is. Refuses
    /// files that are of another kind, of another journal, or of a newer program. A group that is damaged, or of another
    /// history of the journal as a restored copy has one, is built anew.
    pub fn start(store: Arc<dyn EventStore>, dir: &Path, config: RunnerConfig) -> Result<Self, OpenError> {
        Self::start_with(store, dir, config, &GROUPS)
    }

    fn start_with(store: Arc<dyn EventStore>, dir: &Path, config: RunnerConfig, groups: &'static [Group]) -> Result<Self, OpenError> {
        let (runner, writers) = Self::open(store, dir, config, groups)?;
        writers.into_iter().for_each(Writer::spawn);
        Ok(runner)
    }

    /// A runner before it does anything, and the writers that it needs.
    fn open(
        store: Arc<dyn EventStore>,
        dir: &Path,
        config: RunnerConfig,
        groups: &'static [Group],
    ) -> Result<(Self, Vec<Writer>), OpenError> {
        let failure = |error: std::io::Error| OpenError::Failure { path: dir.to_owned(), reason: error.to_string() };
        create_private_dir(dir).map_err(failure)?;
        tighten(dir);
        remove_former(dir);
        let tails = Tails::of(store.clone(), config.read_ahead);
        let shared = Arc::new(Shared::new(store, groups));
        let runner = Self { dir: dir.to_owned(), config, shared, tails, threads: Arc::default() };
        let mut writers = Vec::new();
        for group in 0..groups.len() {
            writers.extend(runner.prepare(group)?);
        }
        Ok((runner, writers))
    }

    /// Looks at what there is of a group: the writers that it needs, so that there is a generation as this program writes it,
    /// or one in the making.
    fn prepare(&self, index: usize) -> Result<Vec<Writer>, OpenError> {
        let (shared, group) = (&self.shared, &self.shared.groups()[index]);
        let failure = |error: std::io::Error| OpenError::Failure { path: self.dir.clone(), reason: error.to_string() };
        let mut useful: Vec<FileState> = Vec::new();
        let mut other_history = None;
        for generation in file::generations(&self.dir, group).map_err(failure)? {
            shared.note_generation(index, generation);
            let path = file::path(&self.dir, group, generation);
            let state = match self.look_at(index, generation) {
                Ok(state) => state,
                Err(OpenError::Damaged { reason, .. }) => {
                    tracing::error!(group = group.name, path = %path.display(), reason, "read models are damaged; they are built anew");
                    metrics::counter!("cauri_projection_damaged_total", "group" => group.name).increment(1);
                    file::remove(&path);
                    continue;
                }
                Err(error) => return Err(error),
            };
            if let Some(reason) = writer::other_history(&**shared.store(), &state).map_err(|error| failure(std::io::Error::other(error)))? {
                tracing::error!(group = group.name, reason, "the read models are of another history of the journal; they are built anew");
                metrics::counter!("cauri_projection_other_history_total", "group" => group.name).increment(1);
                file::remove(&path);
                other_history = Some(reason);
                continue;
            }
            // One that answers may be older than this program; one in the making is of use only as it would be begun now.
            if if state.live { state.is_known(group) } else { state.is_current(group) } {
                useful.push(state);
            } else {
                file::remove(&path);
            }
        }
        let live = useful.iter().rposition(|state| state.live).map(|at| useful.swap_remove(at));
        let is_current = live.as_ref().is_some_and(|live| live.is_current(group));
        let at = live.as_ref().map_or(Generation(0), |live| live.generation);
        let mut building = None;
        useful.sort_unstable_by_key(|state| state.generation);
        for state in useful {
            let is_wanted = building.is_none() && !state.live && state.generation > at;
            if is_wanted { building = Some(state) } else { file::remove(&file::path(&self.dir, group, state.generation)) }
        }
        let is_asked_for = requests::take(&self.dir, group);
        if (!is_current || is_asked_for) && building.is_none() {
            building = Some(self.look_at(index, shared.next_generation(index))?);
        }
        let writers = live.iter().chain(&building).map(|state| self.writer(index, state.generation)).collect();
        shared.tell(index, |progress| {
            progress.live = live.map(Shown::of);
            progress.building = building.map(Shown::of);
            progress.other_history = other_history;
        });
        Ok(writers)
    }

    /// What a file says, which is made if there is none.
    fn look_at(&self, group: usize, generation: Generation) -> Result<FileState, OpenError> {
        let group = &self.shared.groups()[group];
        let path = file::path(&self.dir, group, generation);
        let db = file::open_for_writing(&path, group, generation, self.shared.store().name(), 1)?;
        // What was stopped is tried again.
        let state = file::start_again(&db).and_then(|()| file::state(&db, group)).map_err(|error| file::judge(&path, &error))?;
        match state.models.iter().find(|state| state.revision > state.model.revision) {
            None => Ok(state),
            Some(newer) => {
                Err(OpenError::NewerRevision { path, read_model: newer.model.name, found: newer.revision, supported: newer.model.revision })
            }
        }
    }

    fn writer(&self, group: usize, generation: Generation) -> Writer {
        Writer {
            shared: self.shared.clone(),
            tails: self.tails.clone(),
            group,
            dir: self.dir.clone(),
            config: self.config.clone(),
            generation,
            threads: self.threads.clone(),
            indexes_first: false,
        }
    }

    /// The decoded tails of the journal that its groups follow, for whoever else follows it.
    pub fn tails(&self) -> Arc<Tails> {
        self.tails.clone()
    }

    /// A read store that is woken when this runner has committed.
    pub fn read_store(&self) -> ReadStore {
        ReadStore::followed(&self.dir, self.shared.clone())
    }

    /// How the runner and each read model are.
    pub fn status(&self) -> RunnerStatus {
        self.shared.status()
    }

    /// Builds the group of a read model anew beside the live one, which answers until the new one has caught up.
    ///
    /// Returns at once; [`Runner::status`] shows how far it is. One that is being rebuilt already goes on.
    pub fn rebuild(&self, name: &str) -> Result<(), UnknownReadModel> {
        let has = |group: &Group| group.models.iter().any(|model| model.name == name);
        let index = self.shared.groups().iter().position(has).ok_or_else(|| UnknownReadModel::new(name))?;
        self.writer(index, Generation(0)).build_beside();
        Ok(())
    }

    /// Stops after the current transactions; blocks until its threads have ended. What was not committed is projected again by the next
    /// runner.
    pub fn stop(&self) {
        self.shared.stop();
        loop {
            let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
            if threads.is_empty() {
                break;
            }
            for thread in threads {
                if thread.join().is_err() {
                    tracing::error!("a thread of the projections panicked");
                }
            }
        }
        // Its threads hold the store: whoever stopped the runner may want to open it again.
        self.tails.join();
    }
}

/// Removes what earlier programs kept all read models in: one file beside the directory.
fn remove_former(dir: &Path) {
    let former = dir.with_extension("sqlite");
    if former.is_file() {
        tracing::info!(path = %former.display(), "the read models of an earlier program are removed; they are built anew");
        file::remove(&former);
    }
}

impl Drop for Runner {
    fn drop(&mut self) {
        self.stop();
    }
}

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner").field("dir", &self.dir).finish_non_exhaustive()
    }
}
