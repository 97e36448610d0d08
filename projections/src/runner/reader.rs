//! The reader: takes batches out of the journal, checks and decodes each once, and hands the events on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use cauri_event_schemas::{Event, Position, Recorded};
use cauri_event_store::{Corruption, EventStore, Hash, StoreError};
use crossbeam_channel::{Receiver, Sender};

/// Events that are handed on together where the journal's batches are smaller.
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
}

/// Some events in order, to the end of a journal's batch.
pub(super) struct Chunk {
    pub(super) events: Vec<Recorded<Event>>,
    /// Position of the last event.
    pub(super) last: Position,
    /// The journal's root there, where the store keeps one.
    pub(super) root: Option<Hash>,
    /// The journal goes on behind it.
    pub(super) more: bool,
}

/// A thread that reads. It ends soon after this is dropped.
pub(super) struct Reader {
    messages: Receiver<Message>,
    spent: Sender<Vec<Vec<Recorded<Event>>>>,
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
    pub(super) fn give_back(&self, events: Vec<Vec<Recorded<Event>>>) {
        // A reader that has ended leaves them to whoever holds the channel.
        let _ = self.spent.send(events);
    }
}

struct Journal {
    store: Arc<dyn EventStore>,
    next: Position,
    sender: Sender<Message>,
    returned: Receiver<Vec<Vec<Recorded<Event>>>>,
    unwanted: Arc<AtomicBool>,
}

impl Journal {
    fn run(mut self) {
        let mut retry = RETRY.0;
        while !self.unwanted.load(Ordering::SeqCst) {
            self.returned.try_iter().for_each(drop);
            let message = match self.read() {
                Ok(None) => continue,
                Ok(Some(chunk)) => {
                    retry = RETRY.0;
                    Message::Chunk(chunk)
                }
                Err(StoreError::Corruption(corruption)) => Message::Corrupt(corruption),
                Err(StoreError::Failure(failure)) => {
                    tracing::warn!(position = %self.next, %failure, "the journal cannot be read; it is tried again");
                    std::thread::sleep(retry);
                    retry = (retry * 2).min(RETRY.1);
                    continue;
                }
            };
            let last_message = matches!(message, Message::Corrupt(_));
            if self.sender.send(message).is_err() || last_message {
                return;
            }
        }
    }

    /// The next events, or none after a while without any.
    fn read(&mut self) -> Result<Option<Chunk>, StoreError> {
        let before = Position::new(self.next.get() - 1);
        let mut head = self.store.follow().head().position;
        if head <= before {
            head = self.store.follow().wait_beyond(before, IDLE).position;
        }
        let mut events = Vec::new();
        let mut last = before;
        let mut root = None;
        let mut next = self.next;
        while next <= head && events.len() < CHUNK {
            let Some(stored) = self.store.read_batch(next)? else { break };
            let batch = stored.check()?;
            let Some(_) = batch.at(next) else {
                let what = format!("the store gave the batch from {} to {} for it", batch.first(), batch.last());
                return Err(Corruption::new(next, what).into());
            };
            events.reserve(batch.records().len());
            for record in batch.records().filter(|record| record.position() >= next) {
                events.append(&mut record.decode()?);
            }
            (last, root) = (batch.last(), batch.root());
            next = last.next();
        }
        self.next = next;
        if events.is_empty() {
            return Ok(None);
        }
        let more = self.store.follow().head().position > last;
        Ok(Some(Chunk { events, last, root, more }))
    }
}
