//! The read store, asked: every question of one snapshot of a group is answered as of one position.
//!
//! A [`GroupSnapshot`] is one moment of one group; a [`ReadSnapshot`] holds several and answers questions. A question that
//! joins groups reads the second as of a position no earlier than the first.
//!
//! All calls block for as long as SQLite reads; callers in tasks use `spawn_blocking`.

mod account_sets;
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

use cauri_domain::ids::AccountAddress;
use cauri_domain::reach::Reach;
use cauri_event_schemas::Position;
use cauri_event_store::Hash;
use cauri_event_store::files::FileIdentity;
use rusqlite::{Connection, InterruptHandle};

pub use account_sets::{AccountSetRow, MembershipRow};
pub use accounts::{AccountFilter, AccountRow, AccountStatus};
pub use balances::{BalanceRow, RollupRow, SummedTotals, TrialBalance, TrialBalanceRow, TrialBalanceSum};
pub use entries::{EntryFilter, EntryRow, EntryState, EntryStep, TransferRow};
pub use error::{OpenError, ReadError, UnknownState};
pub use journal_events::{JournalEventFilter, JournalEventRow};
pub use page::{Cursor, Item, MAX_PAGE, Page};
pub use statement::{StatementLine, StatementPage};
pub use status::{ProjectionState, ProjectionStatus};

use crate::digest::{ModelDigest, digest};
use crate::file::{self, FileState};
use crate::projector::{Generation, Group};
use crate::runner::{Shared, statuses_as_last_seen};
use crate::{ACCOUNTS, ENTRIES, GROUPS, GroupId, JOURNAL};

/// Connections of a group that are kept for the next snapshots.
const POOLED: usize = 12;
/// How often a read store that no runner wakes looks how far it is.
const POLL: Duration = Duration::from_millis(5);
/// How long a snapshot of all groups waits for one that another joins.
const JOINED: Duration = Duration::from_secs(2);

/// A read store to ask. Cheap to clone: clones share pools of read-only connections.
#[derive(Clone)]
pub struct ReadStore {
    inner: Arc<Inner>,
}

struct Inner {
    dir: PathBuf,
    groups: &'static [Group],
    pools: Vec<Mutex<Pool>>,
    /// The runner of this process that writes it.
    followed: Option<Arc<Shared>>,
}

/// Connections to the files of a group.
#[derive(Default)]
struct Pool(Vec<Pooled>);

/// A connection with the file that it has open: another may stand at the path by now.
struct Pooled {
    generation: Generation,
    identity: Option<FileIdentity>,
    db: Connection,
}

impl ReadStore {
    /// Opens the read store that a runner made, of this process or of another.
    ///
    /// In the runner's own process [`crate::runner::Runner::read_store`] gives one that is woken instead of polling.
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        let store = Self::with(dir, &GROUPS, None);
        let not_found = || OpenError::NotFound { path: dir.to_owned() };
        let mut found = false;
        for group in &GROUPS {
            for generation in file::generations(dir, group).map_err(|_| not_found())? {
                drop(file::open_for_reading(&file::path(dir, group, generation))?);
                found = true;
            }
        }
        if found { Ok(store) } else { Err(not_found()) }
    }

    pub(crate) fn followed(dir: &Path, shared: Arc<Shared>) -> Self {
        Self::with(dir, shared.groups(), Some(shared))
    }

    fn with(dir: &Path, groups: &'static [Group], followed: Option<Arc<Shared>>) -> Self {
        let pools = groups.iter().map(|_| Mutex::default()).collect();
        Self { inner: Arc::new(Inner { dir: dir.to_owned(), groups, pools, followed }) }
    }

    /// One moment of every group that is built: what joins groups is consistent, and nothing else is promised of how their
    /// positions lie to each other.
    pub fn snapshot(&self) -> Result<ReadSnapshot, ReadError> {
        let mut groups: Vec<Result<GroupSnapshot, ReadError>> = Vec::new();
        let joined = [ACCOUNTS, JOURNAL].map(|id| self.group(id));
        if self.live_generation(ENTRIES)?.is_some() {
            let furthest = joined.iter().flatten().map(GroupSnapshot::position).max().unwrap_or_default();
            self.wait_for_blocking(&[ENTRIES], furthest, JOINED);
        }
        let [accounts, journal] = joined;
        groups.extend([accounts, self.group(ENTRIES), journal]);
        if let Some(failure) = groups.iter().find_map(|group| group.as_ref().err().filter(|error| !error.is_building())) {
            return Err(failure.clone());
        }
        Ok(ReadSnapshot { groups: groups.into_iter().map(Some).collect(), reach: None })
    }

    /// One moment of a group: a read transaction.
    pub fn group(&self, id: GroupId) -> Result<GroupSnapshot, ReadError> {
        let group = &self.inner.groups[id.0];
        // Another generation may take the place between finding the file and opening it.
        for _ in 0..3 {
            let Some(generation) = self.live_generation(id)? else { return Err(self.building(id)) };
            match self.connect(id, generation) {
                Ok(pooled) => match GroupSnapshot::begin(self.clone(), id, group, pooled) {
                    Ok(Some(snapshot)) => return Ok(snapshot),
                    Ok(None) => {}
                    Err(error) => return Err(error),
                },
                Err(OpenError::NotFound { .. }) => {}
                Err(OpenError::Damaged { reason, .. }) => return Err(ReadError::Damaged(reason)),
                Err(error) => return Err(ReadError::Failure(error.to_string())),
            }
        }
        Err(self.building(id))
    }

    /// The generation of a group that answers queries.
    fn live_generation(&self, id: GroupId) -> Result<Option<Generation>, ReadError> {
        let Inner { dir, groups, followed, .. } = &*self.inner;
        if let Some(shared) = followed {
            return Ok(shared.progress(id.0).live.as_ref().map(|live| live.file.generation));
        }
        let failure = |error: std::io::Error| ReadError::Failure(error.to_string());
        let group = &groups[id.0];
        for generation in file::generations(dir, group).map_err(failure)?.into_iter().rev() {
            // One that was just removed is not the one.
            let Ok(db) = file::open_for_reading(&file::path(dir, group, generation)) else { continue };
            let state = file::state(&db, group)?;
            if state.live && state.is_known(group) {
                return Ok(Some(generation));
            }
        }
        Ok(None)
    }

    /// Why a group does not answer.
    fn building(&self, id: GroupId) -> ReadError {
        let group = self.inner.groups[id.0].name;
        let (position, head) = match &self.inner.followed {
            Some(shared) => {
                let position = shared.progress(id.0).building.as_ref().map_or(Position::ZERO, |building| building.position);
                (position, shared.head())
            }
            None => self.furthest(id).unwrap_or_default(),
        };
        ReadError::Building { group, position, head }
    }

    /// How far the newest file of a group is, and the head that its writer saw.
    fn furthest(&self, id: GroupId) -> Option<(Position, Position)> {
        let Inner { dir, groups, .. } = &*self.inner;
        let group = &groups[id.0];
        let newest = file::generations(dir, group).ok()?.pop()?;
        let state = file::state(&file::open_for_reading(&file::path(dir, group, newest)).ok()?, group).ok()?;
        Some((state.position, state.head))
    }

    fn connect(&self, id: GroupId, generation: Generation) -> Result<Pooled, OpenError> {
        let path = file::path(&self.inner.dir, &self.inner.groups[id.0], generation);
        let at_path = FileIdentity::of(&path).ok();
        let pooled = {
            let mut pool = self.inner.pools[id.0].lock().unwrap_or_else(PoisonError::into_inner);
            // Where another file took its place, that one answers. A file that was only removed goes on answering through
            // what has it open: what it shows is right as of its position, and it is soon built again.
            pool.0.retain(|pooled| pooled.generation == generation && (at_path.is_none() || pooled.identity == at_path));
            pool.0.pop()
        };
        match pooled {
            Some(pooled) => Ok(pooled),
            None => Ok(Pooled { generation, identity: at_path, db: file::open_for_reading(&path)? }),
        }
    }

    /// Waits until these groups show `position`; false if that takes longer than `timeout`, or will not happen because one of
    /// them is stopped.
    ///
    /// Needs a tokio runtime with time. A read store that a runner of this process follows is woken; another polls.
    pub async fn wait_for(&self, groups: &[GroupId], position: Position, timeout: Duration) -> bool {
        if let Some(shared) = &self.inner.followed {
            let reached = async {
                for group in groups {
                    let mut progress = shared.subscribe(group.0);
                    let seen = progress.wait_for(|progress| progress.has_reached(position).is_some()).await;
                    if !seen.is_ok_and(|progress| progress.has_reached(position) == Some(true)) {
                        return false;
                    }
                }
                true
            };
            return tokio::time::timeout(timeout, reached).await.unwrap_or(false);
        }
        let (store, groups) = (self.clone(), groups.to_vec());
        tokio::task::spawn_blocking(move || store.wait_for_blocking(&groups, position, timeout)).await.unwrap_or(false)
    }

    /// The same for threads.
    pub fn wait_for_blocking(&self, groups: &[GroupId], position: Position, timeout: Duration) -> bool {
        let until = Instant::now() + timeout;
        groups.iter().all(|id| {
            loop {
                let reached = match &self.inner.followed {
                    Some(shared) => shared.progress(id.0).has_reached(position),
                    None => self.group(*id).ok().and_then(|snapshot| snapshot.has_reached(position)),
                };
                match reached {
                    Some(reached) => return reached,
                    None if Instant::now() >= until => return false,
                    None => std::thread::sleep(POLL.min(until.saturating_duration_since(Instant::now()))),
                }
            }
        })
    }

    /// How far each read model is, by group; one that is being rebuilt is there twice.
    pub fn projections(&self) -> Result<Vec<ProjectionStatus>, ReadError> {
        let Inner { dir, groups, followed, .. } = &*self.inner;
        if let Some(shared) = followed {
            return Ok(shared.status().read_models().cloned().collect());
        }
        let mut found = Vec::new();
        for group in *groups {
            for generation in file::generations(dir, group).map_err(|error| ReadError::Failure(error.to_string()))? {
                if let Ok(db) = file::open_for_reading(&file::path(dir, group, generation)) {
                    found.extend(statuses_as_last_seen(group, &file::state(&db, group)?));
                }
            }
        }
        Ok(found)
    }
}

impl fmt::Debug for ReadStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadStore").field("dir", &self.inner.dir).finish_non_exhaustive()
    }
}

/// One moment of one group. `Send`, not `Sync`; keep it as short as the query, because it holds a connection and keeps the
/// log from being cut.
pub struct GroupSnapshot {
    store: ReadStore,
    id: GroupId,
    /// Taken back into the pool when this is dropped.
    pooled: Option<Pooled>,
    state: FileState,
    position: Position,
}

impl GroupSnapshot {
    /// `None`: the file does not answer any more, or does not yet.
    fn begin(store: ReadStore, id: GroupId, group: &Group, pooled: Pooled) -> Result<Option<Self>, ReadError> {
        pooled.db.execute_batch("BEGIN")?;
        // The first read is what fixes the moment.
        let state = file::state(&pooled.db, group)?;
        let mut position = state.position;
        if let Some(shared) = &store.inner.followed {
            let progress = shared.progress(id.0);
            // Between the two nothing changed the rows.
            let same = |live: &&crate::runner::Shown| live.file.generation == state.generation && live.file.position == state.position;
            position = progress.live.as_ref().filter(same).map_or(position, |live| live.position.max(position));
        }
        let is_live = state.live;
        let snapshot = Self { store, id, pooled: Some(pooled), state, position };
        Ok(is_live.then_some(snapshot))
    }

    /// Which group it is of.
    pub fn id(&self) -> GroupId {
        self.id
    }

    /// Everything up to here is shown, and nothing beyond.
    pub fn position(&self) -> Position {
        self.position
    }

    /// The journal's root at [`GroupSnapshot::position`], where it is kept.
    pub fn root(&self) -> Option<Hash> {
        self.state.root.filter(|_| self.state.position == self.position)
    }

    /// The position up to which a question looks: what was asked for, or all that the group shows.
    pub fn known(&self, known_at: Option<Position>) -> Result<Position, ReadError> {
        match known_at {
            Some(asked) if asked > self.position => Err(ReadError::NotReached { group: self.id.name(), asked, position: self.position }),
            Some(asked) => Ok(asked),
            None => Ok(self.position),
        }
    }

    fn has_reached(&self, position: Position) -> Option<bool> {
        if self.position >= position {
            return Some(true);
        }
        self.state.stopped.is_some().then_some(false)
    }

    fn db(&self) -> Result<&Connection, ReadError> {
        self.pooled.as_ref().map(|pooled| &pooled.db).ok_or_else(|| ReadError::Failure("the snapshot has ended".into()))
    }
}

impl Drop for GroupSnapshot {
    fn drop(&mut self) {
        let Some(pooled) = self.pooled.take() else { return };
        // A connection that cannot end its transaction is not used again.
        if pooled.db.execute_batch("ROLLBACK").is_err() {
            return;
        }
        let mut pool = self.store.inner.pools[self.id.0].lock().unwrap_or_else(PoisonError::into_inner);
        if pool.0.len() < POOLED {
            pool.0.push(pooled);
        }
    }
}

impl fmt::Debug for GroupSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupSnapshot").field("group", &self.id).field("position", &self.position).finish_non_exhaustive()
    }
}

/// Moments of several groups, which answer questions.
#[derive(Debug)]
pub struct ReadSnapshot {
    /// By group; what is absent may not be asked.
    groups: Vec<Option<Result<GroupSnapshot, ReadError>>>,
    /// The accounts that whoever asks is limited to.
    reach: Option<Arc<Reach>>,
}

impl ReadSnapshot {
    /// A snapshot of these groups. One that another joins, as `entries` is joined by statements, must be at least as far.
    pub fn of(groups: impl IntoIterator<Item = GroupSnapshot>) -> Self {
        let mut snapshot = Self { groups: GROUPS.iter().map(|_| None).collect(), reach: None };
        for group in groups {
            let id = group.id;
            snapshot.groups[id.0] = Some(Ok(group));
        }
        snapshot
    }

    /// The same, asked by somebody who is limited to some accounts: what is about others is not there, or is refused. An entry
    /// shows the transfers that touch an account of theirs, without the other side. With account sets in `reach` the group of
    /// accounts must be in the snapshot.
    #[must_use]
    pub fn asked_within(self, reach: Option<Arc<Reach>>) -> Self {
        Self { reach, ..self }
    }

    /// Whether whoever asks may see an account.
    pub fn sees(&self, address: &AccountAddress) -> Result<bool, ReadError> {
        match &self.reach {
            None => Ok(true),
            Some(reach) if reach.covers(address) => Ok(true),
            Some(reach) if reach.sets().is_empty() => Ok(false),
            Some(reach) => Ok(self.sets_around(address)?.iter().any(|name| reach.has_set(name))),
        }
    }

    /// An address, if whoever asks may see the account.
    fn if_seen(&self, address: &AccountAddress) -> Result<Option<AccountAddress>, ReadError> {
        Ok(self.sees(address)?.then(|| address.clone()))
    }

    /// Refuses what is about all accounts to whoever is limited to some.
    fn unlimited(&self, what: &'static str) -> Result<(), ReadError> {
        if self.reach.is_some() { Err(ReadError::OutOfReach { what }) } else { Ok(()) }
    }

    /// The moments of the groups.
    pub fn into_groups(self) -> impl Iterator<Item = GroupSnapshot> {
        self.groups.into_iter().flatten().flatten()
    }

    /// The least position of its groups, 0 while one of them was never built: for whoever looks at all of them.
    pub fn position(&self) -> Position {
        let position = |group: &Result<GroupSnapshot, ReadError>| group.as_ref().map_or(Position::ZERO, GroupSnapshot::position);
        self.groups.iter().flatten().map(position).min().unwrap_or_default()
    }

    /// The moment of a group.
    pub fn group(&self, id: GroupId) -> Result<&GroupSnapshot, ReadError> {
        match self.groups.get(id.0) {
            Some(Some(Ok(group))) => Ok(group),
            Some(Some(Err(error))) => Err(error.clone()),
            _ => Err(ReadError::Failure(format!("the group {id} is not in this snapshot"))),
        }
    }

    /// The same, which must show `position`, because what was read as of there names something in it.
    fn joined(&self, id: GroupId, position: Position) -> Result<&GroupSnapshot, ReadError> {
        let group = self.group(id)?;
        group.known(Some(position))?;
        Ok(group)
    }

    /// The digest of a live read model's rows; `None` if there is none with this name.
    ///
    /// Reads every row: about a microsecond each. [`crate::digest::digest_of_replay`] gives what it must be.
    pub fn digest(&self, read_model: &str) -> Result<Option<ModelDigest>, ReadError> {
        for group in self.groups.iter().flatten() {
            let Ok(group) = group else { continue };
            let Some(model) = group.state.models.iter().find(|state| state.model.name == read_model) else { continue };
            return Ok(Some(ModelDigest {
                name: model.model.name,
                revision: model.revision,
                position: group.position,
                digest: digest(group.db()?, &model.model, &|| false)?,
                stopped: group.state.stopped.as_ref().map(|stopped| (stopped.at.position, stopped.at.reason.clone())),
            }));
        }
        Ok(None)
    }

    /// A handle that stops, from another thread, what this snapshot is asked at the moment.
    ///
    /// Let go of it before the snapshot: the connections are used again.
    pub fn interrupter(&self) -> Result<Interrupter, ReadError> {
        let handles = self.groups.iter().flatten().flatten().map(|group| Ok(group.db()?.get_interrupt_handle()));
        Ok(Interrupter(handles.collect::<Result<_, ReadError>>()?))
    }
}

/// Stops a question whose answer nobody waits for any more: it ends with an error.
pub struct Interrupter(Vec<InterruptHandle>);

impl Interrupter {
    /// Stops what is being read now; nothing if nothing is.
    pub fn interrupt(&self) {
        self.0.iter().for_each(InterruptHandle::interrupt);
    }
}

impl fmt::Debug for Interrupter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Interrupter")
    }
}
