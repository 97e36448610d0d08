//! How far the read models are, shared with whoever waits for them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use cauri_domain::time::Timestamp;
use cauri_event_schemas::Position;
use cauri_event_store::EventStore;
use rusqlite::Connection;
use tokio::sync::watch;

use super::{RunnerState, RunnerStatus};
use crate::catalog::{self, CatalogRow};
use crate::projector::ReadModel;
use crate::read::{ProjectionState, ProjectionStatus};

/// What the writer tells everybody else.
pub(crate) struct Shared {
    store: Arc<dyn EventStore>,
    models: &'static [ReadModel],
    stop: AtomicBool,
    started_at: i64,
    progress: watch::Sender<Progress>,
    /// Why everything is built anew.
    other_history: Mutex<Option<String>>,
}

/// The read models as of the last commit.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    models: &'static [ReadModel],
    rows: Vec<CatalogRow>,
    state: RunnerState,
}

impl Progress {
    /// The position that all live read models show; 0 while one of them was never built.
    fn shown(&self) -> Position {
        let position = |name| self.rows.iter().find(|row| row.live && row.model.name == name).map_or(Position::ZERO, |row| row.position);
        self.models.iter().map(|model| position(model.name)).min().unwrap_or_default()
    }

    /// Whether waiting for `position` has an end, and which.
    pub(crate) fn has_reached(&self, position: Position) -> Option<bool> {
        if self.shown() >= position {
            return Some(true);
        }
        let ended = matches!(self.state, RunnerState::Stopped | RunnerState::Corrupt { .. });
        let stuck = self.rows.iter().any(|row| row.live && row.stopped.is_some() && row.position < position);
        (ended || stuck).then_some(false)
    }
}

impl Shared {
    pub(crate) fn new(store: Arc<dyn EventStore>, models: &'static [ReadModel]) -> Self {
        let progress = watch::Sender::new(Progress { models, rows: Vec::new(), state: RunnerState::Running });
        Self { store, models, stop: AtomicBool::new(false), started_at: now(), progress, other_history: Mutex::default() }
    }

    pub(crate) fn store(&self) -> &Arc<dyn EventStore> {
        &self.store
    }

    pub(crate) fn models(&self) -> &'static [ReadModel] {
        self.models
    }

    /// The journal's head.
    pub(crate) fn head(&self) -> Position {
        self.store.follow().head().position
    }

    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// Tells what the catalog says now.
    pub(crate) fn show(&self, db: &Connection) -> rusqlite::Result<()> {
        let rows = catalog::rows(db, self.models)?;
        self.progress.send_modify(|progress| {
            progress.rows = rows;
            if matches!(progress.state, RunnerState::Retrying { .. } | RunnerState::Newer { .. } | RunnerState::Paused { .. }) {
                progress.state = RunnerState::Running;
            }
        });
        Ok(())
    }

    pub(crate) fn set_state(&self, state: RunnerState) {
        self.progress.send_modify(|progress| progress.state = state);
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Progress> {
        self.progress.subscribe()
    }

    pub(crate) fn status(&self) -> RunnerStatus {
        let head = self.head();
        let progress = self.progress.borrow().clone();
        let is_built = |model: &ReadModel| progress.rows.iter().any(|row| row.live && row.model.name == model.name);
        let all_built = self.models.iter().all(is_built);
        let other_history = self.other_history.lock().unwrap_or_else(PoisonError::into_inner).clone().filter(|_| !all_built);
        RunnerStatus { head, read_models: self.statuses(&progress.rows), state: progress.state, other_history }
    }

    /// Everything is built anew, and why.
    pub(crate) fn note_other_history(&self, reason: Option<String>) {
        if reason.is_some() {
            *self.other_history.lock().unwrap_or_else(PoisonError::into_inner) = reason;
        }
    }

    /// How far the generations of a catalog are behind the head.
    pub(crate) fn statuses(&self, rows: &[CatalogRow]) -> Vec<ProjectionStatus> {
        let (head, now) = (self.head(), now());
        rows.iter().map(|row| status(row, head, now, self.started_at)).collect()
    }
}

/// How far one generation is behind `head`; what shows no event yet is as old as `since`.
fn status(row: &CatalogRow, head: Position, now: i64, since: i64) -> ProjectionStatus {
    let lag_events = head.get().saturating_sub(row.position.get());
    let recorded_at = row.recorded_at.map_or(since, Timestamp::as_micros);
    ProjectionStatus {
        name: row.model.name,
        revision: row.revision,
        generation: row.generation.0,
        position: row.position,
        lag_events,
        lag_seconds: if lag_events == 0 { 0.0 } else { (now - recorded_at).max(0) as f64 / 1e6 },
        state: match &row.stopped {
            Some(stopped) => ProjectionState::Stopped { position: stopped.position, reason: stopped.reason.clone() },
            None if row.live => ProjectionState::Live,
            None => ProjectionState::Building,
        },
        digest: row.digest,
    }
}

/// The same where no runner of this process knows the head: as the runner last saw it.
pub(crate) fn status_as_last_seen(row: &CatalogRow, head: Position) -> ProjectionStatus {
    let now = now();
    status(row, head, now, now)
}

/// The machine's clock, in microseconds: for lag only, never for what is stored.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
