//! What commands name that is not in memory: it is read from the store, off the deciding thread.
//!
//! **Invariant:** what was loaded shows the journal as it was at one durable position, and whoever uses it adds what was
//! decided after that position.

use std::fmt::Display;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;

use cauri_domain::ids::CommandKey;
use cauri_domain::kind::Kind;
use cauri_event_schemas::{Position, StreamVersion};
use cauri_event_store::{CheckedBatch, Corruption, EventStore, Failure, Lookup, StoreError};
use crossbeam_channel::{Receiver, Sender};

use crate::decider::RecordOf;
use crate::sequencer::Input;

/// Threads that load. Where what they read is in the page cache they unpack, and as many as there are cores suffice; where
/// it is not, they wait for the disk, and more of them keep it busy: with 24 a third more is loaded than with 8.
const THREADS: usize = 24;

/// How much the threads that load leave to others, as `nice` counts: all of them together weigh two and a half times as much
/// as one thread that decides or writes.
const NICENESS: i32 = 10;

/// How many things one thread loads at a time: a large request is shared by all of them, and does not keep small ones waiting.
const A_JOB: usize = 8;

/// What must be asked of the store.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Sought<S> {
    /// The records that a command wrote.
    Command(CommandKey),
    /// The aggregate of a stream.
    Aggregate(S),
}

/// What the store says of it.
pub(crate) enum Found<K: Kind> {
    /// The records of a command; none where it was never decided.
    Command(CommandKey, Option<Vec<RecordOf<K>>>),
    /// An aggregate and its version; as it is before its first event where nothing was ever written.
    Aggregate(K::Stream, K::Aggregate, StreamVersion),
}

impl<K: Kind> Found<K> {
    /// What was asked.
    pub(crate) fn sought(&self) -> Sought<K::Stream> {
        match self {
            Found::Command(key, _) => Sought::Command(key.clone()),
            Found::Aggregate(stream, ..) => Sought::Aggregate(stream.clone()),
        }
    }
}

/// A part of what one request needs.
pub(crate) struct Job<K: Kind> {
    /// Which request it is for.
    pub(crate) request: u64,
    /// The position that everything is to be shown at.
    pub(crate) as_of: Position,
    /// What to load.
    pub(crate) sought: Vec<Sought<K::Stream>>,
}

/// The answer to a job.
pub(crate) struct Loaded<K: Kind> {
    pub(crate) request: u64,
    pub(crate) found: Result<Vec<Found<K>>, StoreError>,
}

/// The threads that load, which the first load starts: a journal whose state is in memory needs none.
pub(crate) struct Loaders<K: Kind> {
    store: Arc<dyn EventStore>,
    loaded: Sender<Input<K>>,
    threads: Option<Threads<K>>,
}

struct Threads<K: Kind> {
    /// Parts of large requests.
    parts: Sender<Job<K>>,
    /// Small requests, which go first.
    whole: Sender<Job<K>>,
    threads: Vec<JoinHandle<()>>,
}

impl<K: Kind> Loaders<K> {
    /// What they load goes into `loaded`.
    pub(crate) fn new(store: Arc<dyn EventStore>, loaded: Sender<Input<K>>) -> Self {
        Self { store, loaded, threads: None }
    }

    /// Has everything loaded that a request needs: in how many parts it will arrive.
    ///
    /// # Errors
    /// When the threads cannot be started.
    pub(crate) fn load(&mut self, request: u64, as_of: Position, mut sought: Vec<Sought<K::Stream>>) -> Result<usize, StoreError> {
        let threads = match self.threads.take() {
            Some(threads) => self.threads.insert(threads),
            None => self.threads.insert(Threads::start(&self.store, &self.loaded)?),
        };
        let jobs = if sought.len() <= A_JOB { &threads.whole } else { &threads.parts };
        let mut parts = 0;
        while !sought.is_empty() {
            let rest = sought.split_off(sought.len().min(A_JOB));
            // The threads live as long as their owner.
            let _ = jobs.send(Job { request, as_of, sought });
            (sought, parts) = (rest, parts + 1);
        }
        Ok(parts)
    }

    /// Ends the threads; what they are loading is of no use to anybody.
    pub(crate) fn finish(self) {
        let Some(Threads { parts, whole, threads }) = self.threads else { return };
        drop((parts, whole));
        for thread in threads {
            // Its panic, if any, was reported when it happened.
            let _ = thread.join();
        }
    }
}

impl<K: Kind> Threads<K> {
    fn start(store: &Arc<dyn EventStore>, loaded: &Sender<Input<K>>) -> Result<Self, StoreError> {
        // Bounded by the queue of the engine: what it does not take is not loaded for.
        let ((parts, large), (whole, small)) = (crossbeam_channel::unbounded(), crossbeam_channel::unbounded());
        let threads = (0..THREADS).map(|number| {
            let (store, large, small, loaded) = (store.clone(), large.clone(), small.clone(), loaded.clone());
            let work = move || {
                // Where there are too few cores, what is in memory is decided and written before the next thing is loaded.
                if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
                    tracing::debug!(%error, "a thread that loads has the priority of all others");
                }
                while let Some(Job { request, as_of, sought }) = next_job(&small, &large) {
                    let loading = AssertUnwindSafe(|| load::<K>(&*store, as_of, sought));
                    // Whoever waits for it is answered, whatever happens.
                    let found = catch_unwind(loading)
                        .unwrap_or_else(|_| Err(Failure::NotDone("a thread that loads failed; the log has the reason".into()).into()));
                    if loaded.send(Input::Loaded(Loaded { request, found })).is_err() {
                        return;
                    }
                }
            };
            std::thread::Builder::new().name(format!("cauri-loader-{number}")).spawn(work)
        });
        let threads = threads.collect::<Result<_, _>>();
        let threads = threads.map_err(|error| Failure::NotDone(format!("cannot start a thread that loads: {error}")))?;
        Ok(Self { parts, whole, threads })
    }
}

/// The next job, of a small request if there is one; none once there will be no more.
fn next_job<K: Kind>(small: &Receiver<Job<K>>, large: &Receiver<Job<K>>) -> Option<Job<K>> {
    if let Ok(job) = small.try_recv() {
        return Some(job);
    }
    crossbeam_channel::select! {
        recv(small) -> job => job.ok(),
        recv(large) -> job => job.ok(),
    }
}

/// Reads from the store, as of a position.
pub(crate) fn load<K: Kind>(store: &dyn EventStore, as_of: Position, sought: Vec<Sought<K::Stream>>) -> Result<Vec<Found<K>>, StoreError> {
    let keys: Vec<&CommandKey> =
        sought.iter().filter_map(|sought| if let Sought::Command(key) = sought { Some(key) } else { None }).collect();
    let lookups: Vec<Lookup<'_>> = keys.iter().map(|key| Lookup::Command(key)).collect();
    let mut found = Vec::with_capacity(sought.len());
    // A retried bulk names command after command of one batch: its blocks are read once.
    let mut block = None;
    for (key, position) in keys.into_iter().zip(store.locate(&lookups)?) {
        let records = match position.filter(|position| *position <= as_of) {
            Some(position) => Some(records_of_command::<K>(store, &mut block, key, position)?),
            None => None,
        };
        found.push(Found::Command(key.clone(), records));
    }
    for sought in sought {
        if let Sought::Aggregate(stream) = sought
            && let Some((aggregate, version)) = load_aggregate::<K>(store, &stream, as_of)?
        {
            found.push(Found::Aggregate(stream, aggregate, version));
        }
    }
    Ok(found)
}

/// All records of a command, from its first one on; `block` is the last block that was read.
fn records_of_command<K: Kind>(
    store: &dyn EventStore,
    block: &mut Option<CheckedBatch>,
    command: &CommandKey,
    first: Position,
) -> Result<Vec<RecordOf<K>>, StoreError> {
    let mut records: Vec<RecordOf<K>> = Vec::new();
    let mut position = first;
    loop {
        if block.as_ref().is_none_or(|block| block.at(position).is_none()) {
            *block = store.read_checked_block(position)?;
        }
        // The records of a commit stand side by side, up to the end of the journal.
        let Some(record) = block.as_ref().and_then(|block| block.at(position)) else { return Ok(records) };
        let decoded = record.decode::<K>()?;
        if decoded.first().is_none_or(|record| !record.metadata.is_of(command)) {
            return Ok(records);
        }
        records.extend(decoded);
        position = position.next();
    }
}

/// An aggregate and its version at a position, from its stream; none of a type that is not loaded.
fn load_aggregate<K: Kind>(
    store: &dyn EventStore,
    stream: &K::Stream,
    at: Position,
) -> Result<Option<(K::Aggregate, StreamVersion)>, StoreError> {
    let Some(mut aggregate) = K::unwritten(stream) else { return Ok(None) };
    let mut version = StreamVersion::ZERO;
    let illegal = |position, error: &dyn Display| Corruption::new(position, error.to_string());
    for stored in store.read_stream(&stream.to_string(), version)? {
        if stored.as_record().position() > at {
            break;
        }
        for record in stored.as_record().decode::<K>()? {
            aggregate = K::evolve(aggregate, &record.event).map_err(|error| illegal(record.position, &error))?;
            version = record.version;
        }
    }
    Ok(Some((aggregate, version)))
}
