//! The scope of one answer: moments of the groups of read models that it reads, each opened when first needed.
//!
//! Every object of the schema carries the scope that it was read in. What is asked of it next is read at a moment that is no
//! older than the one that the object was read at, so that an object never names what its own answer does not show yet. As long
//! as the journal stands still that is one moment a group; while it grows, an object inside one of another group may be newer
//! than the object around it.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_graphql::dataloader::{DataLoader, HashMapCache, Loader};
use cauri_domain::ids::AccountAddress;
use cauri_domain::reach::Reach;
use cauri_domain::text::ShortText;
use cauri_event_schemas::Position;
use cauri_event_store::consistency::RootPart;
use cauri_event_store::{Corruption, EventStore, OwnedRecord, StoreError};
use cauri_http::auth::role::Permission;
use cauri_http::auth::token::Principal;
use cauri_projections::read::{AccountRow, GroupSnapshot, Interrupter, ReadError, ReadSnapshot, ReadStore};
use cauri_projections::tail::Tails;
use cauri_projections::{ACCOUNTS, GroupId, JOURNAL};
use tokio::sync::{Mutex, OnceCell, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::cursor;
use crate::error::QueryError;
use crate::feed::EntryFeed;
use crate::limits::Limits;
use crate::roots::KnownRoots;
use crate::{Access, RecordAccess};

/// How long groups are looked at again until they are at one position, for a consistent answer.
const ALIGNING: Duration = Duration::from_millis(250);

/// Where answers come from; one for the whole API.
#[derive(Clone)]
pub(crate) struct Sources {
    pub(crate) reads: ReadStore,
    pub(crate) store: Arc<dyn EventStore>,
    pub(crate) limits: Limits,
    pub(crate) roots: Arc<KnownRoots>,
    pub(crate) entries: Arc<EntryFeed>,
    record_access: RecordAccess,
    turns: Arc<Semaphore>,
    live: Arc<Semaphore>,
    looks: Arc<Semaphore>,
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources").field("journal", &self.store.name()).finish_non_exhaustive()
    }
}

impl Sources {
    pub(crate) fn new(
        reads: ReadStore,
        store: Arc<dyn EventStore>,
        tails: Arc<Tails>,
        limits: Limits,
        record_access: RecordAccess,
    ) -> Self {
        let [turns, live, looks] = [limits.queries, limits.live, limits.looks].map(|most| Arc::new(Semaphore::new(most)));
        Self { reads, store, limits, roots: Arc::default(), entries: EntryFeed::new(tails), record_access, turns, live, looks }
    }

    /// A turn to look into the journal outside of a query. It goes along with the looking and ends with it.
    pub(crate) async fn look(&self) -> Result<OwnedSemaphorePermit, QueryError> {
        self.looks.clone().acquire_owned().await.map_err(QueryError::internal)
    }

    /// A new scope of a query, which has opened nothing yet.
    pub(crate) fn scope(&self, caller: &Caller) -> Arc<Scope> {
        self.scope_with(&self.turns, Position::ZERO, caller)
    }

    /// A new scope of an event of a subscription, which shows at least this position.
    pub(crate) fn live_scope(&self, position: Position, caller: &Caller) -> Arc<Scope> {
        self.scope_with(&self.live, position, caller)
    }

    fn scope_with(&self, turns: &Arc<Semaphore>, floor: Position, caller: &Caller) -> Arc<Scope> {
        let moments = Arc::new(Moments {
            sources: self.clone(),
            caller: caller.clone(),
            turns: turns.clone(),
            turn: OnceCell::new(),
            opened: Mutex::default(),
            demands: OnceCell::new(),
        });
        let accounts = DataLoader::with_cache(AccountLoader(moments.clone()), tokio::spawn, HashMapCache::default());
        let records = DataLoader::with_cache(RecordLoader(self.store.clone()), tokio::spawn, HashMapCache::default());
        Arc::new(Scope { answer: Arc::new(Answer { moments, accounts, records }), floor, as_of: floor })
    }
}

/// Whoever asks, as far as answers depend on it.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    actor: ShortText,
    /// The accounts that they are limited to.
    reach: Option<Arc<Reach>>,
    /// They may see sensitive fields.
    inspects: bool,
}

impl Caller {
    pub(crate) fn of(principal: &Principal) -> Self {
        let (actor, reach) = (principal.actor().clone(), principal.reach().cloned());
        Self { actor, reach, inspects: principal.may(Permission::Inspect) }
    }

    /// The accounts that they are limited to.
    pub(crate) fn reach(&self) -> Option<&Reach> {
        self.reach.as_deref()
    }
}

/// Where an object of an answer was read.
#[derive(Clone)]
pub(crate) struct Scope {
    answer: Arc<Answer>,
    /// What is read next is no older than this.
    floor: Position,
    /// What was read last is as of this position.
    as_of: Position,
}

/// What all objects of an answer share.
struct Answer {
    moments: Arc<Moments>,
    accounts: DataLoader<AccountLoader, HashMapCache>,
    records: DataLoader<RecordLoader, HashMapCache>,
}

impl Scope {
    /// Asks moments of these groups, on a thread that may block: the answer, and the scope of what it names. What the first
    /// group names is in the others.
    pub(crate) async fn read<T, F>(&self, groups: &[GroupId], ask: F) -> Result<(T, Arc<Self>), QueryError>
    where
        T: Send + 'static,
        F: FnOnce(&ReadSnapshot) -> Result<T, ReadError> + Send + 'static,
    {
        let (value, positions) = self.answer.moments.read(groups, self.floor, true, ask).await?;
        Ok((value, self.at(&positions)))
    }

    /// The same for a question that can be asked as known at a position: the one that was asked for, or the one that a
    /// consistent answer is as of.
    pub(crate) async fn read_known<T, F>(
        &self,
        groups: &[GroupId],
        known_at: Option<Position>,
        ask: F,
    ) -> Result<(T, Arc<Self>), QueryError>
    where
        T: Send + 'static,
        F: FnOnce(&ReadSnapshot, Option<Position>) -> Result<T, ReadError> + Send + 'static,
    {
        let known_at = known_at.or(self.answer.moments.consistent_at());
        let (value, positions) = self.answer.moments.read(groups, self.floor, false, move |snapshot| ask(snapshot, known_at)).await?;
        Ok((value, self.at(&positions)))
    }

    /// The scope of what was read at these positions.
    fn at(&self, positions: &[Position]) -> Arc<Self> {
        let as_of = positions.first().copied().unwrap_or(self.as_of);
        let floor = positions.iter().copied().max().unwrap_or_default().max(self.floor);
        Arc::new(Self { answer: self.answer.clone(), floor, as_of })
    }

    /// The position that what carries this scope is as of.
    pub(crate) fn position(&self) -> Position {
        self.as_of
    }

    /// An account, read together with the others that are asked for at the same moment.
    pub(crate) async fn account(&self, address: AccountAddress) -> Result<Option<(AccountRow, Arc<Self>)>, QueryError> {
        let found = self.answer.accounts.load_one(AccountAt { address, floor: self.floor }).await?;
        Ok(found.map(|(row, position)| (row, self.at(&[position]))))
    }

    /// A record of the journal, read together with the others that are asked for at the same moment.
    pub(crate) async fn record(&self, position: Position) -> Result<Arc<OwnedRecord>, QueryError> {
        let record = self.answer.records.load_one(RecordAt(position)).await?;
        record.ok_or_else(|| QueryError::internal(format_args!("the journal has no record at {position}, which the read models list")))
    }

    /// Whether whoever asks may see a sensitive field of something; if so, that they did is recorded.
    pub(crate) fn inspects(&self, field: &'static str, of: &(dyn fmt::Display + Sync)) -> bool {
        let Caller { actor, inspects, .. } = &self.answer.moments.caller;
        if *inspects {
            (self.sources().record_access)(&Access { actor, field, of });
        }
        *inspects
    }

    /// Where answers come from.
    pub(crate) fn sources(&self) -> &Sources {
        &self.answer.moments.sources
    }

    /// What the answer has to show: waits for the groups that it reads, as long as the limits allow.
    pub(crate) async fn demand(&self, demands: Demands) -> Result<(), QueryError> {
        self.answer.moments.demand(demands).await
    }

    /// What was read so far: each group with every position that it was read at, in order.
    pub(crate) async fn positions(&self) -> Vec<(GroupId, Position)> {
        let opened = self.answer.moments.opened.lock().await;
        let mut positions: Vec<(GroupId, Position)> = opened.iter().map(|moment| (moment.group, moment.position)).collect();
        positions.sort_unstable();
        positions
    }

    /// The furthest position that was read, with the journal's root there; the root is absent where the read models do not keep
    /// it.
    pub(crate) async fn furthest(&self) -> Option<(Position, Option<RootPart>)> {
        let opened = self.answer.moments.opened.lock().await;
        opened.iter().max_by_key(|moment| moment.position).map(|moment| (moment.position, moment.root))
    }
}

/// What an operation asks of the moments that it is answered at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Demands {
    /// The groups that it is known to read.
    pub(crate) groups: Vec<GroupId>,
    /// Everything up to here is shown.
    pub(crate) min_position: Position,
    /// All groups are read as of one position.
    pub(crate) consistent: bool,
}

/// What scope and loaders share: the moments.
struct Moments {
    sources: Sources,
    caller: Caller,
    turns: Arc<Semaphore>,
    /// A query has one turn, however many groups it reads.
    turn: OnceCell<Arc<OwnedSemaphorePermit>>,
    opened: Mutex<Vec<Moment>>,
    demands: OnceCell<Met>,
}

/// Demands that were met.
struct Met {
    min_position: Position,
    consistent_at: Option<Position>,
}

/// One moment of one group.
#[derive(Clone)]
struct Moment {
    group: GroupId,
    position: Position,
    root: Option<RootPart>,
    held: Arc<Mutex<Held>>,
}

/// The snapshot with the turn that it was opened in. A query that was given up may be reading for another moment: the
/// turn ends with the reading.
struct Held {
    snapshot: Option<GroupSnapshot>,
    _turn: Arc<OwnedSemaphorePermit>,
}

impl Moments {
    fn consistent_at(&self) -> Option<Position> {
        self.demands.get().and_then(|met| met.consistent_at)
    }

    async fn demand(&self, demands: Demands) -> Result<(), QueryError> {
        let Demands { mut groups, min_position, consistent } = demands;
        if groups.is_empty() {
            // What no read model knows is asked of the journal itself.
            groups.push(JOURNAL);
        }
        let limits = self.sources.limits;
        let until = Instant::now() + limits.position_wait;
        if min_position > Position::ZERO {
            // The answer is not asked for: the moment itself is what has to show the position.
            self.sources.reads.wait_for(&groups, min_position, limits.position_wait).await;
        }
        let opening = async {
            for group in &groups {
                self.moment(*group, min_position, Duration::ZERO).await?;
            }
            Ok::<_, QueryError>(())
        };
        if min_position > Position::ZERO || consistent {
            // Execution, which has its own bound, has not begun: without one here the turn to read would be waited for for ever.
            tokio::time::timeout(limits.query_time, opening).await.unwrap_or(Err(QueryError::TimedOut(limits.query_time)))?;
        }
        let consistent_at = if consistent { self.align(&groups, until.min(Instant::now() + ALIGNING)).await? } else { None };
        // Each operation has one plan.
        let _ = self.demands.set(Met { min_position, consistent_at });
        Ok(())
    }

    /// Looks again until all groups are at one position, for a while; the least of their positions.
    async fn align(&self, groups: &[GroupId], until: Instant) -> Result<Option<Position>, QueryError> {
        loop {
            let (least, furthest) = {
                let opened = self.opened.lock().await;
                let positions = || opened.iter().map(|moment| moment.position);
                (positions().min(), positions().max())
            };
            let (Some(least), Some(furthest)) = (least, furthest) else { return Ok(None) };
            if least == furthest || Instant::now() >= until {
                return Ok(Some(least));
            }
            self.sources.reads.wait_for(groups, furthest, until - Instant::now()).await;
            self.opened.lock().await.clear();
            for group in groups {
                self.moment(*group, least, Duration::ZERO).await?;
            }
        }
    }

    /// The oldest moment of a group that shows `floor`, opened if there is none.
    async fn moment(&self, group: GroupId, floor: Position, patience: Duration) -> Result<Moment, QueryError> {
        let mut opened = self.opened.lock().await;
        if let Some(moment) = opened.iter().find(|moment| moment.group == group && moment.position >= floor) {
            return Ok(moment.clone());
        }
        let take_turn = || async { self.turns.clone().acquire_owned().await.map(Arc::new).map_err(QueryError::internal) };
        let turn = self.turn.get_or_try_init(take_turn).await?.clone();
        if floor > Position::ZERO && !patience.is_zero() {
            self.sources.reads.wait_for(&[group], floor, patience).await;
        }
        let reads = self.sources.reads.clone();
        let snapshot = blocking(move || reads.group(group)).await??;
        let position = snapshot.position();
        if position < floor {
            return Err(QueryError::PositionNotReached { wanted: floor, reached: position, group: group.name() });
        }
        let root = snapshot.root().as_ref().map(RootPart::of);
        let moment = Moment { group, position, root, held: Arc::new(Mutex::new(Held { snapshot: Some(snapshot), _turn: turn })) };
        opened.push(moment.clone());
        Ok(moment)
    }

    /// Asks moments of these groups; where each of them is. `as_it_is`: it can be asked only as of where it is.
    async fn read<T, F>(&self, groups: &[GroupId], floor: Position, as_it_is: bool, ask: F) -> Result<(T, Vec<Position>), QueryError>
    where
        T: Send + 'static,
        F: FnOnce(&ReadSnapshot) -> Result<T, ReadError> + Send + 'static,
    {
        let met = self.demands.get();
        let mut floor = floor.max(met.map_or(Position::ZERO, |met| met.min_position));
        // Who is in which set stands with the accounts.
        let has_sets = self.caller.reach().is_some_and(|reach| !reach.sets().is_empty());
        let of_caller = (has_sets && !groups.contains(&ACCOUNTS)).then_some(&ACCOUNTS);
        let mut moments: Vec<Moment> = Vec::with_capacity(groups.len() + 1);
        for group in groups.iter().chain(of_caller) {
            let moment = self.moment(*group, floor, self.sources.limits.position_wait).await?;
            if let Some(at) = met.and_then(|met| met.consistent_at).filter(|at| as_it_is && *at != moment.position) {
                return Err(QueryError::NotConsistent { group: group.name(), position: moment.position, consistent_at: at });
            }
            // What the first group names must be in the next.
            floor = floor.max(moment.position);
            moments.push(moment);
        }
        let positions = moments.iter().map(|moment| moment.position).collect();
        // Always in the same order, so that nobody waits for each other.
        moments.sort_unstable_by_key(|moment| (moment.group, moment.position));
        let mut held = Vec::with_capacity(moments.len());
        for moment in &moments {
            // The task waits for its turn, not a thread: fields of one query would otherwise use the threads up.
            held.push(moment.held.clone().lock_owned().await);
        }
        let snapshots: Option<Vec<GroupSnapshot>> = held.iter_mut().map(|held| held.snapshot.take()).collect();
        let snapshots = snapshots.ok_or_else(|| QueryError::internal("a reading of this answer has panicked"))?;
        let snapshot = ReadSnapshot::of(snapshots).asked_within(self.caller.reach.clone());
        let mut reading = Reading { interrupter: Some(snapshot.interrupter()?), _moments: moments };
        let work = move || {
            let answer = ask(&snapshot);
            for (held, snapshot) in held.iter_mut().zip(snapshot.into_groups()) {
                held.snapshot = Some(snapshot);
            }
            answer
        };
        let answer = blocking(work).await;
        reading.interrupter = None;
        Ok((answer??, positions))
    }
}

/// A reading in progress. Dropped before it ended, because the query was given up, it is stopped.
struct Reading {
    interrupter: Option<Interrupter>,
    /// Kept until the interrupter is gone: the connections must not be somebody else's by then.
    _moments: Vec<Moment>,
}

impl Drop for Reading {
    fn drop(&mut self) {
        if let Some(interrupter) = self.interrupter.take() {
            interrupter.interrupt();
        }
    }
}

/// Runs what blocks on a thread that may.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, QueryError> {
    tokio::task::spawn_blocking(work).await.map_err(QueryError::internal)
}

impl From<ReadError> for QueryError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Building { group, position, head } => Self::Building { group, position, head },
            ReadError::NotReached { asked, position, group } => Self::PositionNotReached { wanted: asked, reached: position, group },
            ReadError::OutOfReach { what } => Self::OutOfReach(what),
            ReadError::InvalidCursor => cursor::invalid(),
            ReadError::Damaged(_) | ReadError::Failure(_) => Self::internal(error),
        }
    }
}

impl From<StoreError> for QueryError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Corruption(corruption) => corruption.into(),
            StoreError::Failure(failure) => Self::internal(failure),
            StoreError::Newer(newer) => Self::internal(newer),
        }
    }
}

impl From<Corruption> for QueryError {
    fn from(corruption: Corruption) -> Self {
        tracing::error!(%corruption, "a query met damage in the journal");
        Self::JournalDamaged(corruption.position)
    }
}

/// The key of an account: its address, and what the moment that it is read at must show.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct AccountAt {
    address: AccountAddress,
    floor: Position,
}

/// Reads all accounts that one answer names at a moment in one go.
struct AccountLoader(Arc<Moments>);

impl Loader<AccountAt> for AccountLoader {
    type Value = (AccountRow, Position);
    type Error = QueryError;

    async fn load(&self, keys: &[AccountAt]) -> Result<HashMap<AccountAt, (AccountRow, Position)>, QueryError> {
        let mut by_floor: HashMap<Position, Vec<AccountAddress>> = HashMap::new();
        for AccountAt { address, floor } in keys {
            by_floor.entry(*floor).or_default().push(address.clone());
        }
        let mut found = HashMap::with_capacity(keys.len());
        for (floor, mut addresses) in by_floor {
            // Neighbours in the table are neighbours on its pages.
            addresses.sort_unstable();
            let find = move |snapshot: &ReadSnapshot| {
                let found = addresses.into_iter().map(|address| Ok(snapshot.account(&address)?.map(|row| (address, row))));
                found.filter_map(Result::transpose).collect::<Result<Vec<_>, ReadError>>()
            };
            let (rows, positions) = self.0.read(&[ACCOUNTS], floor, true, find).await?;
            let position = positions.first().copied().unwrap_or(floor);
            found.extend(rows.into_iter().map(|(address, row)| (AccountAt { address, floor }, (row, position))));
        }
        Ok(found)
    }
}

/// The key of a record: a place in the journal.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct RecordAt(Position);

/// Reads records of the journal, each stored batch once however many of its records are asked for.
struct RecordLoader(Arc<dyn EventStore>);

impl Loader<RecordAt> for RecordLoader {
    type Value = Arc<OwnedRecord>;
    type Error = QueryError;

    async fn load(&self, keys: &[RecordAt]) -> Result<HashMap<RecordAt, Arc<OwnedRecord>>, QueryError> {
        let mut wanted: Vec<Position> = keys.iter().map(|key| key.0).collect();
        wanted.sort_unstable();
        let store = self.0.clone();
        Ok(blocking(move || records_at(&*store, &wanted)).await??)
    }
}

/// `wanted` is in order.
fn records_at(store: &dyn EventStore, wanted: &[Position]) -> Result<HashMap<RecordAt, Arc<OwnedRecord>>, StoreError> {
    let mut found = HashMap::with_capacity(wanted.len());
    let mut rest = wanted;
    while let Some(first) = rest.first() {
        let Some(block) = store.read_checked_block(*first)? else { break };
        // At least one, so that a store that gives the wrong block cannot keep this going.
        let here = rest.partition_point(|position| *position <= block.last()).max(1);
        for position in &rest[..here] {
            found.extend(block.at(*position).map(|record| (RecordAt(*position), Arc::new(record.to_owned()))));
        }
        rest = &rest[here..];
    }
    Ok(found)
}
