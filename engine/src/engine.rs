//! The handle to a journal's engine: start, submit, stop.

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::decider::EnvelopeOf;
use cauri_domain::kind::Kind;
use cauri_domain::text::ShortText;
use cauri_domain::time::Timestamp;
use cauri_event_store::{EventStore, Sharing, StoreError};
use crossbeam_channel::Sender;
use tokio::sync::oneshot;

use crate::clock::{Clock, SystemClock};
use crate::leap::{AcceptGapError, ClockGap, ClockStatus};
use crate::sequencer::{Gauges, Input, Reply, Request, Sequencer};
use crate::submission::{Mode, Rejected, SubmitError, places};

/// The most commands that one submission may have: what a batch of TigerBeetle has.
pub const MAX_COMMANDS: usize = 8_189;

/// How engines that share a journal keep out of each other's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coordination {
    /// Nobody else appends: the next batch is decided while the last is written.
    Exclusive,
    /// Wait for one's turn, see the others' tail, decide and append in it.
    Turns,
    /// Decide first and append if nobody else did meanwhile; decide again if somebody did.
    Optimistic,
}

/// How an engine works.
#[derive(Clone)]
pub struct EngineConfig {
    /// How many commands may wait before more are told to come back later; an entry counts as many as it has transfers.
    pub queue_capacity: usize,
    /// How many commands one batch takes.
    pub max_batch: usize,
    /// Events between two snapshots of the decision state.
    pub snapshot_every: u64,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// Accept the time between the last record and now, however long it is; a leap that comes later is not accepted by this.
    pub accept_clock_gap: bool,
    /// How engines that share the journal keep out of each other's way.
    pub coordination: Coordination,
}

impl EngineConfig {
    /// The defaults for a store: alone where it is exclusive, in turns where it is shared.
    pub fn for_store(store: &dyn EventStore) -> Self {
        let coordination = match store.sharing() {
            Sharing::Exclusive => Coordination::Exclusive,
            Sharing::Shared => Coordination::Turns,
        };
        Self { coordination, ..Self::default() }
    }
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            queue_capacity: 65_536,
            max_batch: MAX_COMMANDS,
            snapshot_every: 250_000,
            clock: Arc::new(SystemClock),
            accept_clock_gap: false,
            coordination: Coordination::Exclusive,
        }
    }
}

impl fmt::Debug for EngineConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineConfig")
            .field("queue_capacity", &self.queue_capacity)
            .field("max_batch", &self.max_batch)
            .field("snapshot_every", &self.snapshot_every)
            .field("accept_clock_gap", &self.accept_clock_gap)
            .field("coordination", &self.coordination)
            .finish_non_exhaustive()
    }
}

/// Why an engine cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The journal cannot be read, or contradicts itself.
    #[error("the journal cannot be recovered: {0}")]
    Store(#[from] StoreError),
    /// The operating system gave no thread.
    #[error("cannot start the sequencer's thread: {0}")]
    Thread(#[source] std::io::Error),
}

/// Figures of an engine at work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EngineStats<F> {
    /// Figures of the decision state.
    pub state: F,
    /// Commands that wait; an entry counts as many as it has transfers.
    pub queued: usize,
    /// How many may wait.
    pub queue_capacity: usize,
    /// Commands answered as accepted since the start.
    pub accepted: u64,
    /// Commands answered as refused since the start.
    pub refused: u64,
    /// Durable batches since the start.
    pub batches: u64,
    /// Batches that had to be decided again because another engine appended first.
    pub conflicts: u64,
    /// Things that fell due and were put off until the next start, because a rule failed over them.
    pub put_off: usize,
    /// How the clock and the journal stand to each other.
    pub clock: ClockStatus,
}

/// The engine of one journal. Clones are handles to the same engine.
pub struct Engine<K: Kind> {
    shared: Arc<Shared<K>>,
}

impl<K: Kind> Clone for Engine<K> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

struct Shared<K: Kind> {
    store: Arc<dyn EventStore>,
    queue_capacity: usize,
    gauges: Arc<Gauges<K::Figures>>,
    input: Sender<Input<K>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl<K: Kind> Engine<K> {
    /// Recovers the journal's decision state and starts its sequencer.
    pub fn start(store: Arc<dyn EventStore>, config: EngineConfig) -> Result<Self, StartError> {
        let gauges = Arc::new(Gauges::default());
        let (input, received) = crossbeam_channel::unbounded();
        let queue_capacity = config.queue_capacity;
        let sequencer = Sequencer::<K>::recover(store.clone(), config, gauges.clone(), received, input.clone())?;
        let thread =
            std::thread::Builder::new().name("cauri-sequencer".into()).spawn(move || sequencer.run()).map_err(StartError::Thread)?;
        let shared = Shared { store, queue_capacity, gauges, input, thread: Mutex::new(Some(thread)) };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Submits commands and waits until their outcomes are durable.
    ///
    /// Dropping the future does not take the commands back: ask again with the same ids.
    pub async fn submit(&self, commands: Vec<EnvelopeOf<K>>, mode: Mode) -> Reply<K> {
        self.enqueue(commands, mode)?.await.unwrap_or_else(|_| Err(ended()))
    }

    /// The same for a plain thread.
    pub fn submit_blocking(&self, commands: Vec<EnvelopeOf<K>>, mode: Mode) -> Reply<K> {
        self.enqueue(commands, mode)?.blocking_recv().unwrap_or_else(|_| Err(ended()))
    }

    /// Submits commands and gives the place where their outcomes will arrive.
    pub fn enqueue(&self, commands: Vec<EnvelopeOf<K>>, mode: Mode) -> Result<oneshot::Receiver<Reply<K>>, SubmitError> {
        let count = commands.len();
        if count > MAX_COMMANDS {
            return Err(Rejected::TooMany { count, most: MAX_COMMANDS }.into());
        }
        if let Some(own) = K::OWN_COMMANDS
            && commands.iter().any(|command| command.key.id.as_str().starts_with(own))
        {
            return Err(Rejected::ReservedId(own).into());
        }
        if self.shared.gauges.stopped.load(Ordering::Relaxed) {
            return Err(self.ended_by().unwrap_or(Rejected::Stopped.into()));
        }
        let (places, capacity) = (places(&commands), self.shared.queue_capacity);
        let queued = self.shared.gauges.queued.fetch_add(places, Ordering::Relaxed);
        // One submission always fits into an empty queue, however many transfers it has.
        if queued > 0 && queued + places > capacity {
            self.shared.gauges.queued.fetch_sub(places, Ordering::Relaxed);
            return Err(Rejected::QueueFull { queued, capacity }.into());
        }
        let (reply, answer) = oneshot::channel();
        if self.shared.input.send(Input::Request(Request::new(commands, places, mode, reply))).is_err() {
            self.shared.gauges.queued.fetch_sub(places, Ordering::Relaxed);
            return Err(self.ended_by().unwrap_or(Rejected::Stopped.into()));
        }
        Ok(answer)
    }

    /// The journal's store.
    pub fn store(&self) -> &Arc<dyn EventStore> {
        &self.shared.store
    }

    /// The journal's name.
    pub fn journal(&self) -> &str {
        self.shared.store.name()
    }

    /// Whether it takes commands.
    pub fn is_running(&self) -> bool {
        !self.shared.gauges.stopped.load(Ordering::SeqCst)
            && self.shared.thread.lock().unwrap_or_else(PoisonError::into_inner).as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// What ended it, where nobody told it to stop: the journal contradicts itself, or a newer program wrote to it.
    pub fn ended_by(&self) -> Option<SubmitError> {
        self.shared.gauges.ended_by.get().cloned()
    }

    /// Figures.
    pub fn stats(&self) -> EngineStats<K::Figures> {
        let gauges = &self.shared.gauges;
        EngineStats {
            state: *gauges.state.lock().unwrap_or_else(PoisonError::into_inner),
            queued: gauges.queued.load(Ordering::Relaxed),
            queue_capacity: self.shared.queue_capacity,
            accepted: gauges.accepted.load(Ordering::Relaxed),
            refused: gauges.refused.load(Ordering::Relaxed),
            batches: gauges.batches.load(Ordering::Relaxed),
            conflicts: gauges.conflicts.load(Ordering::Relaxed),
            put_off: gauges.put_off.load(Ordering::Relaxed),
            clock: self.clock(),
        }
    }

    /// How the clock and the journal stand to each other.
    pub fn clock(&self) -> ClockStatus {
        *self.shared.gauges.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Accepts a leap of the clock for `actor`, who states what the time is: the gap that was accepted, `None` where there
    /// is none. What was accepted goes to the log, with the target `cauri::audit`.
    ///
    /// # Errors
    /// When the clock is more than five minutes from what is stated, or the engine has stopped.
    pub async fn accept_clock_gap(&self, stated: Timestamp, actor: ShortText) -> Result<Option<ClockGap>, AcceptGapError> {
        let (reply, answer) = oneshot::channel();
        let sent = self.shared.input.send(Input::AcceptClockGap { stated, actor, reply });
        sent.map_err(|_| AcceptGapError::Stopped)?;
        answer.await.map_err(|_| AcceptGapError::Stopped)?
    }

    /// Takes no more commands, finishes those it has, keeps a snapshot and ends its threads.
    pub fn stop(&self) {
        self.shared.stop();
    }
}

impl<K: Kind> Shared<K> {
    fn stop(&self) {
        self.gauges.stopped.store(true, Ordering::SeqCst);
        // Held while the thread ends: whoever stops an engine that is stopping waits as well.
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = thread.take() {
            // The thread may have ended by itself; then there is nobody to tell.
            let _ = self.input.send(Input::Stop);
            let _ = thread.join();
        }
    }
}

impl<K: Kind> Drop for Shared<K> {
    fn drop(&mut self) {
        self.stop();
    }
}

impl<K: Kind> fmt::Debug for Engine<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("journal", &self.journal()).field("stats", &self.stats()).finish()
    }
}

/// The sequencer ended with this submission in hand: it may have been written.
fn ended() -> SubmitError {
    SubmitError::Unknown("the engine ended before it answered".into())
}
