//! New entries as the journal has them, found once for all subscriptions.
//!
//! One thread follows the decoded tail that the read models follow, and keeps the last few thousand entries: which they are, and
//! which accounts they touch. A subscription that is further behind looks into the journal by itself until it is near enough.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cauri_domain::ids::{AccountAddress, EntryId};
use cauri_event_schemas::Position;
use cauri_event_schemas::ledger::{Event, Recorded, StreamId};
use cauri_event_store::EventStore;
use cauri_projections::read::EntryRow;
use cauri_projections::tail::{Follower, Next, Tails};
use tokio::sync::{OnceCell, watch};

/// Entries that are kept.
const KEPT: usize = 4_096;
/// How long the thread goes on when nobody subscribes any more.
const LINGER: Duration = Duration::from_secs(10);
/// How often it looks whether somebody still does.
const TICK: Duration = Duration::from_millis(200);

/// The new entries of a journal.
pub(crate) struct EntryFeed {
    tails: Arc<Tails>,
    ring: Mutex<Ring>,
    looked_to: watch::Sender<Position>,
}

#[derive(Default)]
struct Ring {
    entries: VecDeque<Arc<NewEntry>>,
    /// Entries up to here are not kept.
    begins_behind: Position,
    /// Everything up to here was looked at.
    looked_to: Position,
    is_followed: bool,
    subscribers: usize,
}

/// An entry that was written.
pub(crate) struct NewEntry {
    /// Position of its first event.
    pub(crate) position: Position,
    /// Which it is.
    pub(crate) id: EntryId,
    accounts: Box<[AccountAddress]>,
    /// Its row with the position that it was read at: read once, by the first subscription that shows it.
    pub(crate) row: OnceCell<(EntryRow, Position)>,
}

impl NewEntry {
    /// The entry that an event writes, if it is an entry's first event.
    pub(crate) fn of(recorded: &Recorded) -> Option<Self> {
        let (StreamId::Entry(id), Event::Entry(event)) = (&recorded.stream, &recorded.event) else { return None };
        let (id, transfers) = (*id, event.opening_transfers()?);
        let accounts = transfers.iter().flat_map(|transfer| [transfer.debit.clone(), transfer.credit.clone()]).collect();
        Some(Self { position: recorded.position, id, accounts, row: OnceCell::new() })
    }

    /// Whether it has a transfer with an account.
    pub(crate) fn touches(&self, account: &AccountAddress) -> bool {
        self.accounts.contains(account)
    }
}

/// What a subscription finds.
pub(crate) enum Found {
    /// The next entry that it wants.
    Entry(Arc<NewEntry>),
    /// None up to here.
    NoneUpTo(Position),
    /// What it asks for is not kept.
    NotKept,
}

impl EntryFeed {
    pub(crate) fn new(tails: Arc<Tails>) -> Arc<Self> {
        Arc::new(Self { tails, ring: Mutex::default(), looked_to: watch::Sender::default() })
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A subscription: while there is one, the journal is followed.
    pub(crate) fn subscribe(self: &Arc<Self>, store: &dyn EventStore) -> Subscribed {
        let mut ring = self.ring();
        ring.subscribers += 1;
        if !ring.is_followed {
            let position = store.follow().head().position;
            let (subscribers, is_followed) = (ring.subscribers, true);
            *ring = Ring { entries: VecDeque::new(), begins_behind: position, looked_to: position, is_followed, subscribers };
            let (feed, follower) = (self.clone(), self.tails.follow(position));
            let thread = std::thread::Builder::new().name("cauri-entries".into()).spawn(move || feed.run(follower));
            if let Err(error) = thread {
                tracing::error!(%error, "no thread for subscriptions: each looks into the journal by itself");
                ring.is_followed = false;
            }
        }
        drop(ring);
        Subscribed { changes: self.looked_to.subscribe(), feed: self.clone() }
    }

    fn run(&self, mut follower: Follower) {
        let mut alone_since = None;
        loop {
            {
                let mut ring = self.ring();
                let since = (ring.subscribers == 0).then(|| *alone_since.get_or_insert_with(Instant::now));
                if since.is_none() {
                    alone_since = None;
                }
                if since.is_some_and(|since| since.elapsed() > LINGER) {
                    *ring = Ring::default();
                    return;
                }
            }
            match follower.next(TICK) {
                Next::Chunk(chunk) => {
                    self.add(&chunk.events, chunk.last);
                    follower.give_back(vec![chunk.events.clone()]);
                }
                Next::Nothing => {}
                // Subscriptions look by themselves, and say what is wrong.
                Next::Ended(_) => std::thread::sleep(Duration::from_secs(1)),
            }
        }
    }

    fn add(&self, events: &[Recorded], last: Position) {
        let new = events.iter().filter_map(NewEntry::of).map(Arc::new);
        let mut ring = self.ring();
        ring.entries.extend(new);
        while ring.entries.len() > KEPT {
            if let Some(first) = ring.entries.pop_front() {
                ring.begins_behind = first.position;
            }
        }
        ring.looked_to = last;
        drop(ring);
        self.looked_to.send_replace(last);
    }

    /// The first entry at or behind `from` that is wanted.
    fn find(&self, from: Position, wanted: impl Fn(&NewEntry) -> bool) -> Found {
        let ring = self.ring();
        if !ring.is_followed || from <= ring.begins_behind {
            return Found::NotKept;
        }
        let first = ring.entries.partition_point(|entry| entry.position < from);
        match ring.entries.range(first..).find(|entry| wanted(entry)) {
            Some(entry) => Found::Entry(entry.clone()),
            None => Found::NoneUpTo(ring.looked_to),
        }
    }
}

impl fmt::Debug for EntryFeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EntryFeed")
    }
}

/// A place among the subscriptions.
pub(crate) struct Subscribed {
    feed: Arc<EntryFeed>,
    changes: watch::Receiver<Position>,
}

impl Subscribed {
    /// The first entry at or behind `from` that is wanted.
    pub(crate) fn find(&mut self, from: Position, wanted: impl Fn(&NewEntry) -> bool) -> Found {
        // What comes after this look wakes whoever waits.
        self.changes.mark_unchanged();
        self.feed.find(from, wanted)
    }

    /// Waits until more was looked at; false if that takes longer.
    pub(crate) async fn changed(&mut self, patience: Duration) -> bool {
        tokio::time::timeout(patience, self.changes.changed()).await.is_ok_and(|changed| changed.is_ok())
    }
}

impl Drop for Subscribed {
    fn drop(&mut self) {
        self.feed.ring().subscribers -= 1;
    }
}
