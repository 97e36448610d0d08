//! How far the groups are, shared with whoever waits for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use cauri_domain::time::Timestamp;
use cauri_event_schemas::Position;
use cauri_event_store::EventStore;
use tokio::sync::watch;

use super::{GroupState, GroupStatus, RunnerStatus};
use crate::file::FileState;
use crate::projector::{Generation, Group};
use crate::read::{ProjectionState, ProjectionStatus};

/// What the writers tell everybody else.
pub(crate) struct Shared {
    store: Arc<dyn EventStore>,
    groups: &'static [Group],
    progress: Vec<watch::Sender<GroupProgress>>,
    /// The last generation that each group had.
    last_generations: Vec<AtomicU32>,
    stop: AtomicBool,
    started_at: i64,
}

/// How far one group is.
#[derive(Clone, Debug, Default)]
pub(crate) struct GroupProgress {
    /// The generation that answers queries.
    pub(crate) live: Option<Shown>,
    /// The one that is being built.
    pub(crate) building: Option<Shown>,
    /// Why it is built anew, until it is built.
    pub(crate) other_history: Option<String>,
}

/// What a generation shows.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    /// What its file says.
    pub(crate) file: FileState,
    /// Nothing up to here changes its rows, which are as of the file's position or of any between.
    pub(crate) position: Position,
    /// When the event there was recorded.
    pub(crate) recorded_at: Option<Timestamp>,
    /// What its writer does.
    pub(crate) state: GroupState,
}

impl Shown {
    /// What a file shows before anybody goes on with it.
    pub(crate) fn of(file: FileState) -> Self {
        Self { position: file.position, recorded_at: file.recorded_at, file, state: GroupState::Running }
    }
}

impl GroupProgress {
    /// Whether waiting for `position` has an end, and which.
    pub(crate) fn has_reached(&self, position: Position) -> Option<bool> {
        let ended = |shown: &Shown| shown.file.stopped.is_some() || matches!(shown.state, GroupState::Stopped | GroupState::Corrupt { .. });
        match (&self.live, &self.building) {
            (Some(live), _) if live.position >= position => Some(true),
            (Some(live), _) => ended(live).then_some(false),
            (None, Some(building)) => ended(building).then_some(false),
            (None, None) => None,
        }
    }
}

impl Shared {
    pub(crate) fn new(store: Arc<dyn EventStore>, groups: &'static [Group]) -> Self {
        Self {
            store,
            groups,
            progress: groups.iter().map(|_| watch::Sender::default()).collect(),
            last_generations: groups.iter().map(|_| AtomicU32::new(0)).collect(),
            stop: AtomicBool::new(false),
            started_at: now(),
        }
    }

    pub(crate) fn store(&self) -> &Arc<dyn EventStore> {
        &self.store
    }

    pub(crate) fn groups(&self) -> &'static [Group] {
        self.groups
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

    /// How far a group is.
    pub(crate) fn progress(&self, group: usize) -> watch::Ref<'_, GroupProgress> {
        self.progress[group].borrow()
    }

    /// The same for whoever waits.
    pub(crate) fn subscribe(&self, group: usize) -> watch::Receiver<GroupProgress> {
        self.progress[group].subscribe()
    }

    /// Tells that something changed in a group.
    pub(crate) fn tell(&self, group: usize, change: impl FnOnce(&mut GroupProgress)) {
        self.progress[group].send_modify(change);
    }

    /// A number that no generation of the group had.
    pub(crate) fn next_generation(&self, group: usize) -> Generation {
        Generation(self.last_generations[group].fetch_add(1, Ordering::SeqCst) + 1)
    }

    /// A generation that there is or was.
    pub(crate) fn note_generation(&self, group: usize, generation: Generation) {
        self.last_generations[group].fetch_max(generation.0, Ordering::SeqCst);
    }

    pub(crate) fn status(&self) -> RunnerStatus {
        let groups = self.groups.iter().enumerate().map(|(index, group)| {
            let progress = self.progress[index].borrow().clone();
            let state = progress.live.as_ref().or(progress.building.as_ref()).map_or(GroupState::Running, |shown| shown.state.clone());
            let shown = progress.live.iter().chain(&progress.building);
            let read_models = shown.flat_map(|shown| self.statuses(group, shown)).collect();
            GroupStatus { name: group.name, state, other_history: progress.other_history, read_models }
        });
        RunnerStatus { head: self.head(), groups: groups.collect() }
    }

    /// How far the read models of a generation are behind the head.
    pub(crate) fn statuses(&self, group: &Group, shown: &Shown) -> Vec<ProjectionStatus> {
        statuses(group, shown, self.head(), now(), self.started_at)
    }
}

/// How far the read models of a generation are behind `head`; what shows no event yet is as old as `since`.
fn statuses(group: &Group, shown: &Shown, head: Position, now: i64, since: i64) -> Vec<ProjectionStatus> {
    let Shown { file, position, recorded_at, .. } = shown;
    let lag_events = head.get().saturating_sub(position.get());
    let recorded_at = recorded_at.map_or(since, Timestamp::as_micros);
    let of_model = |state: &crate::file::ModelState| ProjectionStatus {
        name: state.model.name,
        group: group.name,
        revision: state.revision,
        generation: file.generation.0,
        position: *position,
        lag_events,
        lag_seconds: if lag_events == 0 { 0.0 } else { (now - recorded_at).max(0) as f64 / 1e6 },
        state: match &file.stopped {
            Some(stopped) => ProjectionState::Stopped {
                position: stopped.at.position,
                reason: match stopped.model {
                    Some(model) if model != state.model.name => format!("with {model}: {}", stopped.at.reason),
                    _ => stopped.at.reason.clone(),
                },
            },
            None if file.live => ProjectionState::Live,
            None => ProjectionState::Building,
        },
        digest: state.digest,
    };
    file.models.iter().map(of_model).collect()
}

/// The same where no runner of this process knows the head: as the writer last saw it.
pub(crate) fn statuses_as_last_seen(group: &Group, file: &FileState) -> Vec<ProjectionStatus> {
    let now = now();
    statuses(group, &Shown::of(file.clone()), file.head, now, now)
}

/// The machine's clock, in microseconds: for lag only, never for what is stored.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
