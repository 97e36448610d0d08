//! Following a journal: where its head is, and being woken when it moves, on threads and in tasks.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cauri_event_schemas::Position;
use tokio::sync::watch;

use crate::port::Head;

/// The head of a journal, watched.
#[derive(Debug)]
pub struct HeadWatch {
    head: Mutex<Head>,
    moved: Condvar,
    sender: watch::Sender<Head>,
}

impl HeadWatch {
    /// Starts at a head.
    pub fn new(head: Head) -> Self {
        Self { head: Mutex::new(head), moved: Condvar::new(), sender: watch::Sender::new(head) }
    }

    /// Tells everybody that the head has moved. Of two that publish at once the later head stays.
    pub fn publish(&self, head: Head) {
        let mut known = self.lock();
        if head.position < known.position {
            return;
        }
        *known = head;
        self.sender.send_replace(head);
        self.moved.notify_all();
    }

    /// The head as last published.
    pub fn head(&self) -> Head {
        *self.lock()
    }

    /// Blocks this thread until the head is beyond `position`, at most `timeout`; the head then.
    pub fn wait_beyond(&self, position: Position, timeout: Duration) -> Head {
        let waited = self.moved.wait_timeout_while(self.lock(), timeout, |head| head.position <= position);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// The same for tasks.
    pub fn subscribe(&self) -> watch::Receiver<Head> {
        self.sender.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, Head> {
        // A head is one copy: a panic elsewhere cannot leave half of it.
        self.head.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
