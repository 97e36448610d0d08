//! The scope of one answer: one snapshot of the read store, opened when first needed, shared by every field.
//!
//! Every object of the schema carries the scope that it was read in, so that whatever is asked of it next is read
//! in the same snapshot: all of an answer is as of one position.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use async_graphql::dataloader::{DataLoader, HashMapCache, Loader};
use cauri_domain::ids::AccountAddress;
use cauri_event_schemas::Position;
use cauri_event_store::consistency::RootPart;
use cauri_event_store::{Corruption, EventStore, OwnedRecord, StoreError};
use cauri_projections::read::{AccountRow, Interrupter, ReadError, ReadSnapshot, ReadStore};
use tokio::sync::{Mutex, OnceCell, OwnedSemaphorePermit, Semaphore};

use crate::cursor;
use crate::error::QueryError;
use crate::limits::Limits;
use crate::roots::KnownRoots;

/// Where answers come from; one for the whole API.
#[derive(Clone)]
pub(crate) struct Sources {
    pub(crate) reads: ReadStore,
    pub(crate) store: Arc<dyn EventStore>,
    pub(crate) limits: Limits,
    pub(crate) roots: Arc<KnownRoots>,
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
    pub(crate) fn new(reads: ReadStore, store: Arc<dyn EventStore>, limits: Limits) -> Self {
        let [turns, live, looks] = [limits.queries, limits.live, limits.looks].map(|most| Arc::new(Semaphore::new(most)));
        Self { reads, store, limits, roots: Arc::default(), turns, live, looks }
    }

    /// A turn to look into the journal outside of a query. It goes along with the looking and ends with it.
    pub(crate) async fn look(&self) -> Result<OwnedSemaphorePermit, QueryError> {
        self.looks.clone().acquire_owned().await.map_err(QueryError::internal)
    }

    /// A new scope of a query, whose snapshot is not open yet.
    pub(crate) fn scope(&self) -> Arc<Scope> {
        self.scope_with(&self.turns)
    }

    /// A new scope of an event of a subscription.
    pub(crate) fn live_scope(&self) -> Arc<Scope> {
        self.scope_with(&self.live)
    }

    fn scope_with(&self, turns: &Arc<Semaphore>) -> Arc<Scope> {
        let window = Arc::new(Window { sources: self.clone(), turns: turns.clone(), opened: OnceCell::new() });
        let accounts = DataLoader::with_cache(AccountLoader(window.clone()), tokio::spawn, HashMapCache::default());
        let records = DataLoader::with_cache(RecordLoader(self.store.clone()), tokio::spawn, HashMapCache::default());
        Arc::new(Scope { window, accounts, records })
    }
}

/// The scope of one answer.
pub(crate) struct Scope {
    window: Arc<Window>,
    accounts: DataLoader<AccountLoader, HashMapCache>,
    records: DataLoader<RecordLoader, HashMapCache>,
}

impl Scope {
    /// Asks the snapshot, on a thread that may block.
    pub(crate) async fn read<T, F>(&self, ask: F) -> Result<T, QueryError>
    where
        T: Send + 'static,
        F: FnOnce(&ReadSnapshot) -> Result<T, ReadError> + Send + 'static,
    {
        self.window.read(ask).await
    }

    /// The position that everything in this scope is as of. Opens the snapshot if nothing did yet.
    pub(crate) async fn position(&self) -> Result<Position, QueryError> {
        Ok(self.window.opened().await?.position)
    }

    /// The same with the journal's root there, if a snapshot was opened at all. The root is absent where the read models
    /// do not keep it.
    pub(crate) fn head_if_read(&self) -> Option<(Position, Option<RootPart>)> {
        self.window.opened.get().map(|opened| (opened.position, opened.root))
    }

    /// An account, read together with the others that are asked for at the same moment.
    pub(crate) async fn account(&self, address: AccountAddress) -> Result<Option<AccountRow>, QueryError> {
        self.accounts.load_one(address).await
    }

    /// A record of the journal, read together with the others that are asked for at the same moment.
    pub(crate) async fn record(&self, position: Position) -> Result<Arc<OwnedRecord>, QueryError> {
        let record = self.records.load_one(RecordAt(position)).await?;
        record.ok_or_else(|| QueryError::internal(format_args!("the journal has no record at {position}, which the read models list")))
    }

    /// The journal itself.
    pub(crate) fn sources(&self) -> &Sources {
        &self.window.sources
    }

    /// Waits until the read models show `wanted`, as long as the limits allow, and opens the snapshot there.
    pub(crate) async fn wait_for(&self, wanted: Position) -> Result<(), QueryError> {
        let Sources { reads, limits, .. } = &self.window.sources;
        // The answer is not asked for: the snapshot itself is what has to show the position.
        reads.wait_for(wanted, limits.position_wait).await;
        // Execution, which has its own bound, has not begun: without one here the turn to read would be waited for for ever.
        let opened = tokio::time::timeout(limits.query_time, self.position()).await;
        let reached = opened.unwrap_or(Err(QueryError::TimedOut(limits.query_time)))?;
        if reached < wanted { Err(QueryError::PositionNotReached { wanted, reached }) } else { Ok(()) }
    }
}

/// What scope and loaders share: the snapshot.
struct Window {
    sources: Sources,
    turns: Arc<Semaphore>,
    opened: OnceCell<Opened>,
}

struct Opened {
    position: Position,
    root: Option<RootPart>,
    snapshot: Arc<Mutex<Held>>,
}

/// The snapshot with the turn that it was opened in. A query that was given up may be reading for another moment: the
/// turn ends with the reading.
struct Held {
    snapshot: ReadSnapshot,
    _turn: OwnedSemaphorePermit,
}

impl Window {
    async fn opened(&self) -> Result<&Opened, QueryError> {
        let open = || async {
            let turn = self.turns.clone().acquire_owned().await.map_err(QueryError::internal)?;
            let reads = self.sources.reads.clone();
            let open = move || {
                let snapshot = reads.snapshot()?;
                let root = snapshot.root()?;
                Ok::<_, ReadError>((snapshot, root))
            };
            let (snapshot, root) = blocking(open).await??;
            let (position, root) = (snapshot.position(), root.as_ref().map(RootPart::of));
            Ok(Opened { position, root, snapshot: Arc::new(Mutex::new(Held { snapshot, _turn: turn })) })
        };
        self.opened.get_or_try_init(open).await
    }

    async fn read<T, F>(&self, ask: F) -> Result<T, QueryError>
    where
        T: Send + 'static,
        F: FnOnce(&ReadSnapshot) -> Result<T, ReadError> + Send + 'static,
    {
        // The task waits for its turn, not a thread: fields of one query would otherwise use the threads up.
        let snapshot = self.opened().await?.snapshot.clone();
        let held = snapshot.clone().lock_owned().await;
        let mut reading = Reading { interrupter: Some(held.snapshot.interrupter()?), _snapshot: snapshot };
        let answer = blocking(move || ask(&held.snapshot)).await;
        reading.interrupter = None;
        Ok(answer??)
    }
}

/// A reading in progress. Dropped before it ended, because the query was given up, it is stopped.
struct Reading {
    interrupter: Option<Interrupter>,
    /// Kept until the interrupter is gone: the connection must not be somebody else's by then.
    _snapshot: Arc<Mutex<Held>>,
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
            ReadError::NotBuilt { read_model } => Self::NotBuilt(read_model),
            ReadError::NotReached { asked, position } => Self::PositionNotReached { wanted: asked, reached: position },
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

/// Reads all accounts that one answer names at a moment in one go.
struct AccountLoader(Arc<Window>);

impl Loader<AccountAddress> for AccountLoader {
    type Value = AccountRow;
    type Error = QueryError;

    async fn load(&self, addresses: &[AccountAddress]) -> Result<HashMap<AccountAddress, AccountRow>, QueryError> {
        let mut addresses = addresses.to_vec();
        // Neighbours in the table are neighbours on its pages.
        addresses.sort_unstable();
        let find = move |snapshot: &ReadSnapshot| {
            let found = addresses.into_iter().map(|address| Ok(snapshot.account(&address)?.map(|row| (address, row))));
            found.filter_map(Result::transpose).collect()
        };
        self.0.read(find).await
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
