//! Snapshots of the decision state, made into bytes and kept by a thread of their own.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use cauri_domain::kind::Kind;
use cauri_event_schemas::Position;
use cauri_event_store::{EventStore, Failure, Head, Snapshot};
use crossbeam_channel::Sender;

use crate::decider::Frozen;

/// Keeps snapshots beside the journal's own writes; skips one while the last is still being kept.
pub(crate) struct SnapshotThread<K: Kind> {
    sender: Sender<ToKeep<K>>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
    /// Where the newest snapshot stands that the thread was given and did not skip.
    given: Arc<AtomicU64>,
}

/// A message to the thread.
enum ToKeep<K: Kind> {
    Snapshot(Head, Frozen<K>),
    /// No more will come.
    Nothing,
}

impl<K: Kind> Clone for SnapshotThread<K> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone(), thread: self.thread.clone(), given: self.given.clone() }
    }
}

impl<K: Kind> SnapshotThread<K> {
    /// `newest` is where the newest snapshot stands that is kept already.
    pub(crate) fn start(store: Arc<dyn EventStore>, newest: Position) -> Self {
        let (sender, snapshots) = crossbeam_channel::bounded::<ToKeep<K>>(1);
        let keep = move || {
            for snapshot in snapshots {
                let ToKeep::Snapshot(head, state) = snapshot else { return };
                let kept = state.to_bytes().map_err(|error| Failure::NotDone(error.to_string()).into());
                // The copy goes before the bytes are written: what it holds is not shared any longer than that.
                drop(state);
                if let Err(error) = kept.and_then(|state| store.save_snapshot(&Snapshot { head, state })) {
                    // A cache: without it the next start takes longer.
                    tracing::warn!(%error, "a snapshot was not kept");
                }
            }
        };
        let thread = std::thread::Builder::new().name("cauri-snapshots".into()).spawn(keep).ok();
        Self { sender, thread: Arc::new(Mutex::new(thread)), given: Arc::new(AtomicU64::new(newest.get())) }
    }

    pub(crate) fn given(&self) -> Position {
        Position::new(self.given.load(Ordering::Relaxed))
    }

    pub(crate) fn save(&self, head: Head, state: Frozen<K>) {
        if self.sender.try_send(ToKeep::Snapshot(head, state)).is_ok() {
            self.given.store(head.position.get(), Ordering::Relaxed);
        }
    }

    /// The one for the next start: worth waiting for.
    pub(crate) fn save_last(&self, head: Head, state: Frozen<K>) {
        let _ = self.sender.send(ToKeep::Snapshot(head, state));
    }

    pub(crate) fn finish(&self) {
        let _ = self.sender.send(ToKeep::Nothing);
        if let Some(thread) = self.thread.lock().ok().and_then(|mut thread| thread.take()) {
            let _ = thread.join();
        }
    }
}
