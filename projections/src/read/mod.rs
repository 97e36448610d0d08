//! The read store, asked: every question of one snapshot is answered as of one position.
//!
//! All calls block for as long as SQLite reads; callers in tasks use `spawn_blocking`.

mod accounts;
mod balances;
mod entries;
mod error;
mod history;
mod journal_events;
mod page;
mod statement;
mod status;

#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use cauri_event_schemas::Position;
use cauri_event_store::Hash;
use cauri_event_store::files::FileIdentity;
use rusqlite::{Connection, InterruptHandle};

pub use accounts::{AccountFilter, AccountRow, AccountStatus};
pub use balances::{BalanceRow, RollupRow, SummedTotals, TrialBalance, TrialBalanceRow, TrialBalanceSum};
pub use entries::{EntryFilter, EntryRow, EntryState, EntryStep, TransferRow};
pub use error::{OpenError, ReadError, UnknownState};
pub use journal_events::{JournalEventFilter, JournalEventRow};
pub use page::{Cursor, Item, MAX_PAGE, Page};
pub use statement::{StatementLine, StatementPage};
pub use status::{ProjectionState, ProjectionStatus};

use crate::READ_MODELS;
use crate::catalog::{self, CatalogRow};
use crate::digest::{ModelDigest, digest};
use crate::projector::{Generation, ReadModel};
use crate::runner::{Shared, status_as_last_seen};

/// Connections that are kept for the next snapshots.
const POOLED: usize = 16;
/// How often a read store that no runner wakes looks how far it is.
const POLL: Duration = Duration::from_millis(5);

/// A read store to ask. Cheap to clone: clones share a pool of read-only connections.
#[derive(Clone)]
pub struct ReadStore {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    /// Connections with the file that they have open: another may stand at the path by now.
    pool: Mutex<Vec<(Option<FileIdentity>, Connection)>>,
    models: &'static [ReadModel],
    /// The runner of this process that writes it.
    followed: Option<Arc<Shared>>,
}

impl ReadStore {
    /// Opens the read store that a runner made, of this process or of another.
    ///
    /// In the runner's own process [`crate::runner::Runner::read_store`] gives one that is woken instead of polling.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        Self::with(path, &READ_MODELS, None)
    }

    pub(crate) fn followed(path: &Path, shared: Arc<Shared>) -> Result<Self, OpenError> {
        Self::with(path, shared.models(), Some(shared))
    }

    fn with(path: &Path, models: &'static [ReadModel], followed: Option<Arc<Shared>>) -> Result<Self, OpenError> {
        let first = catalog::open_for_reading(path)?;
        Ok(Self {
            inner: Arc::new(Inner {
                path: path.to_owned(),
                pool: Mutex::new(vec![(FileIdentity::of(path).ok(), first)]),
                models,
                followed,
            }),
        })
    }

    /// One read transaction: everything asked through it is as of one position.
    pub fn snapshot(&self) -> Result<ReadSnapshot, ReadError> {
        let at_path = FileIdentity::of(&self.inner.path).ok();
        let pooled = {
            let mut pool = self.inner.pool.lock().unwrap_or_else(PoisonError::into_inner);
            // Where another file took its place, that one answers. A file that was only removed goes on answering through
            // what has it open: what it shows is right as of its position, and it is soon built again.
            if at_path.is_some() {
                pool.retain(|(identity, _)| *identity == at_path);
            }
            pool.pop()
        };
        let (identity, db) = match pooled {
            Some(pooled) => pooled,
            None => (at_path, catalog::open_for_reading(&self.inner.path).map_err(|error| ReadError::Failure(error.to_string()))?),
        };
        ReadSnapshot::begin(self.clone(), identity, db)
    }

    /// Waits until every read model shows `position`; false if that takes longer than `timeout`, or will not
    /// happen because one of them is stopped.
    ///
    /// Needs a tokio runtime with time. A read store that a runner of this process follows is woken; another polls.
    pub async fn wait_for(&self, position: Position, timeout: Duration) -> bool {
        if let Some(shared) = &self.inner.followed {
            let mut progress = shared.subscribe();
            let reached = async {
                let seen = progress.wait_for(|progress| progress.has_reached(position).is_some()).await;
                seen.is_ok_and(|progress| progress.has_reached(position) == Some(true))
            };
            return tokio::time::timeout(timeout, reached).await.unwrap_or(false);
        }
        let store = self.clone();
        tokio::task::spawn_blocking(move || store.wait_for_blocking(position, timeout)).await.unwrap_or(false)
    }

    /// The same for threads.
    pub fn wait_for_blocking(&self, position: Position, timeout: Duration) -> bool {
        let until = Instant::now() + timeout;
        loop {
            let reached = match &self.inner.followed {
                Some(shared) => shared.subscribe().borrow().has_reached(position),
                None => self.snapshot().ok().and_then(|snapshot| snapshot.has_reached(position)),
            };
            match reached {
                Some(reached) => return reached,
                None if Instant::now() >= until => return false,
                None => std::thread::sleep(POLL.min(until.saturating_duration_since(Instant::now()))),
            }
        }
    }
}

impl fmt::Debug for ReadStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadStore").field("path", &self.inner.path).finish_non_exhaustive()
    }
}

/// One moment of the read store. `Send`, not `Sync`; keep it as short as the query, because it holds a connection
/// and keeps the log from being cut.
pub struct ReadSnapshot {
    store: ReadStore,
    /// Taken back into the pool when this is dropped.
    db: Option<Connection>,
    identity: Option<FileIdentity>,
    rows: Vec<CatalogRow>,
    position: Position,
}

impl ReadSnapshot {
    fn begin(store: ReadStore, identity: Option<FileIdentity>, db: Connection) -> Result<Self, ReadError> {
        db.execute_batch("BEGIN")?;
        // The first read is what fixes the moment.
        let rows = catalog::rows(&db, store.inner.models)?;
        let positions = store.inner.models.iter().map(|model| live(&rows, model.name).map_or(Position::ZERO, |row| row.position));
        let position = positions.min().unwrap_or_default();
        Ok(Self { store, db: Some(db), identity, rows, position })
    }

    /// The position that all read models share: the least of theirs. 0 while one of them was never built.
    pub fn position(&self) -> Position {
        self.position
    }

    /// The journal's root at [`ReadSnapshot::position`]; `None` where the read models are at different positions, because it
    /// is kept for the furthest one only.
    pub fn root(&self) -> Result<Option<Hash>, ReadError> {
        let seen = catalog::seen(self.db()?)?;
        Ok(seen.filter(|(position, _)| *position == self.position).map(|(_, root)| root))
    }

    /// The position of one read model, by name; `None` if it was never built or there is none with this name.
    pub fn position_of(&self, read_model: &str) -> Option<Position> {
        live(&self.rows, read_model).map(|row| row.position)
    }

    /// How far each read model is, by name; one that is being rebuilt is there twice.
    pub fn projections(&self) -> Result<Vec<ProjectionStatus>, ReadError> {
        match &self.store.inner.followed {
            Some(shared) => Ok(shared.statuses(&self.rows)),
            None => {
                let head = catalog::head(self.db()?)?;
                Ok(self.rows.iter().map(|row| status_as_last_seen(row, head)).collect())
            }
        }
    }

    /// The digest of a live read model's rows; `None` if it was never built or there is none with this name.
    ///
    /// Reads every row: about a microsecond each. [`crate::digest::digest_of_replay`] gives what it must be.
    pub fn digest(&self, read_model: &str) -> Result<Option<ModelDigest>, ReadError> {
        let Some(row) = live(&self.rows, read_model) else { return Ok(None) };
        Ok(Some(ModelDigest {
            name: row.model.name,
            revision: row.revision,
            position: row.position,
            digest: digest(self.db()?, &row.model, row.generation, &|| false)?,
            stopped: row.stopped.as_ref().map(|stopped| (stopped.position, stopped.reason.clone())),
        }))
    }

    /// A handle that stops, from another thread, what this snapshot is asked at the moment.
    ///
    /// Let go of it before the snapshot: the connection is used again.
    pub fn interrupter(&self) -> Result<Interrupter, ReadError> {
        Ok(Interrupter(self.db()?.get_interrupt_handle()))
    }

    fn has_reached(&self, position: Position) -> Option<bool> {
        if self.position >= position {
            return Some(true);
        }
        let stuck = self.rows.iter().any(|row| row.live && row.stopped.is_some() && row.position < position);
        stuck.then_some(false)
    }

    pub(crate) fn db(&self) -> Result<&Connection, ReadError> {
        self.db.as_ref().ok_or_else(|| ReadError::Failure("the snapshot has ended".into()))
    }

    /// The tables of a read model that answer queries.
    pub(crate) fn generation(&self, read_model: &'static str) -> Result<Generation, ReadError> {
        live(&self.rows, read_model).map(|row| row.generation).ok_or(ReadError::NotBuilt { read_model })
    }

    /// The position up to which a question looks: what was asked for, or all that every read model knows.
    fn known(&self, known_at: Option<Position>) -> Result<Position, ReadError> {
        match known_at {
            Some(asked) if asked > self.position => Err(ReadError::NotReached { asked, position: self.position }),
            Some(asked) => Ok(asked),
            None => Ok(self.position),
        }
    }
}

/// Stops a question whose answer nobody waits for any more: it ends with an error.
pub struct Interrupter(InterruptHandle);

impl Interrupter {
    /// Stops what is being read now; nothing if nothing is.
    pub fn interrupt(&self) {
        self.0.interrupt();
    }
}

impl fmt::Debug for Interrupter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Interrupter")
    }
}

/// The generation of a read model that answers queries and that this program can read.
fn live<'a>(rows: &'a [CatalogRow], read_model: &str) -> Option<&'a CatalogRow> {
    rows.iter().find(|row| row.live && row.model.name == read_model && row.model.knows(row.revision))
}

impl Drop for ReadSnapshot {
    fn drop(&mut self) {
        let Some(db) = self.db.take() else { return };
        // A connection that cannot end its transaction is not used again.
        if db.execute_batch("ROLLBACK").is_err() {
            return;
        }
        let mut pool = self.store.inner.pool.lock().unwrap_or_else(PoisonError::into_inner);
        if pool.len() < POOLED {
            pool.push((self.identity, db));
        }
    }
}

impl fmt::Debug for ReadSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadSnapshot").field("position", &self.position).finish_non_exhaustive()
    }
}
