//! The reader: takes batches out of the journal, checks and decodes each once, and hands the events on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use cauri_domain::ledger::Ledger;
use cauri_event_schemas::Position;
use cauri_event_schemas::ledger::Recorded;
use cauri_event_store::{Corruption, EventStore, Hash, NewerRecord, StoreError};
use crossbeam_channel::{Receiver, Sender};

/// Events that are handed on together, where there are so many.
const CHUNK: usize = 4_096;
/// How long a reader with nothing to do sleeps before it looks whether it is still wanted.
const IDLE: Duration = Duration::from_millis(50);
/// How long it waits before it asks a store that failed again, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// What a reader hands on.
pub(super) enum Message {
    /// Events that follow the last ones.
    Chunk(Chunk),
    /// The journal contradicts itself: nothing follows.
    Corrupt(Corruption),
    /// A newer program wrote what follows.
    Newer(NewerRecord),
}

/// Some events in order, all of those at their positions.
pub(super) struct Chunk {
    pub(super) events: Vec<Recorded>,
    /// Position of the last event.
    pub(super) last: Position,
    /// The journal's root there, where a batch ends and the store keeps one.
    pub(super) root: Option<Hash>,
    /// The journal goes on behind it.
    pub(super) more: bool,
}

/// A thread that reads. It ends soon after this is dropped.
pub(super) struct Reader {
    messages: Receiver<Message>,
    spent: Sender<Vec<Vec<Recorded>>>,
    unwanted: Arc<AtomicBool>,
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.unwanted.store(true, Ordering::SeqCst);
    }
}

impl Reader {
    /// Reads what stands behind `position`, at most about `ahead` events ahead of whoever takes them.
    pub(super) fn start(store: Arc<dyn EventStore>, position: Position, ahead: usize) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (sender, messages) = crossbeam_channel::bounded((ahead / CHUNK).max(1));
        let (spent, returned) = crossbeam_channel::unbounded();
        let unwanted = Arc::new(AtomicBool::new(false));
        let journal = Journal { store, next: position.next(), sender, returned, unwanted: unwanted.clone() };
        let thread = std::thread::Builder::new().name("cauri-journal".into()).spawn(move || journal.run())?;
        Ok((Self { messages, spent, unwanted }, thread))
    }

    pub(super) fn messages(&self) -> &Receiver<Message> {
        &self.messages
    }

    /// Events that are no longer needed go back to the thread that made them: taking them apart costs as much as a
    /// tenth of writing them, and the writer is the slower of the two.
    pub(super) fn give_back(&self, events: Vec<Vec<Recorded>>) {
        // A reader that has ended leaves them to whoever holds the channel.
        let _ = self.spent.send(events);
    }
}

struct Journal {
    store: Arc<dyn EventStore>,
    next: Position,
    sender: Sender<Message>,
    returned: Receiver<Vec<Vec<Recorded>>>,
    unwanted: Arc<AtomicBool>,
}

impl Journal {
    fn run(mut self) {
        let mut retry = RETRY.0;
        while !self.unwanted.load(Ordering::SeqCst) {
            let message = match self.read() {
                Ok(()) => {
                    retry = RETRY.0;
                    continue;
                }
                Err(Ended::Unwanted) => return,
                Err(Ended::Store(StoreError::Failure(failure))) => {
                    tracing::warn!(position = %self.next, %failure, "the journal cannot be read; it is tried again");
                    std::thread::sleep(retry);
                    retry = (retry * 2).min(RETRY.1);
                    continue;
                }
                Err(Ended::Store(StoreError::Newer(newer))) => Message::Newer(newer),
                Err(Ended::Store(StoreError::Corruption(corruption))) => {
                    self.store.health().note_damage(&corruption);
                    Message::Corrupt(corruption)
                }
            };
            // Nobody listens any more, or nothing more is to be said.
            let _ = self.sender.send(message);
            return;
        }
    }

    /// Hands on what follows up to the head, or nothing after a while without any.
    fn read(&mut self) -> Result<(), Ended> {
        let before = Position::new(self.next.get() - 1);
        let mut head = self.store.follow().head().position;
        if head <= before {
            self.returned.try_iter().for_each(drop);
            head = self.store.follow().wait_beyond(before, IDLE).position;
        }
        let mut events = Vec::new();
        let mut end = (before, None);
        let read = self.read_to(head, &mut events, &mut end);
        // What was decoded before something went wrong is sound.
        if !events.is_empty() {
            self.hand_on(events, end)?;
        }
        read
    }

    fn read_to(&mut self, head: Position, events: &mut Vec<Recorded>, end: &mut (Position, Option<Hash>)) -> Result<(), Ended> {
        while end.0 < head {
            let next = end.0.next();
            let Some(batch) = self.store.read_checked(next)? else {
                // The head was told before it can be read; soon it can.
                std::thread::sleep(Duration::from_millis(1));
                break;
            };
            if batch.at(next).is_none() {
                let what = format!("the store gave the batch from {} to {} for it", batch.first(), batch.last());
                return Err(StoreError::from(Corruption::new(next, what)).into());
            }
            events.reserve(batch.records().len().min(CHUNK));
            for record in batch.records().filter(|record| record.position() >= next) {
                record.decode_into::<Ledger>(events).map_err(StoreError::from)?;
                *end = (record.position(), batch.root().filter(|_| record.position() == batch.last()));
                if events.len() >= CHUNK {
                    self.hand_on(std::mem::take(events), *end)?;
                }
            }
        }
        Ok(())
    }

    fn hand_on(&mut self, events: Vec<Recorded>, (last, root): (Position, Option<Hash>)) -> Result<(), Ended> {
        let more = self.store.follow().head().position > last;
        self.next = last.next();
        self.returned.try_iter().for_each(drop);
        self.sender.send(Message::Chunk(Chunk { events, last, root, more })).map_err(|_| Ended::Unwanted)
    }
}

/// Why reading ended before the head.
enum Ended {
    /// Nobody takes the events any more.
    Unwanted,
    /// The store cannot give them.
    Store(StoreError),
}

impl From<StoreError> for Ended {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Corruption> for Ended {
    fn from(corruption: Corruption) -> Self {
        Self::Store(corruption.into())
    }
}
