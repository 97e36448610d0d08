//! An index that proves damaged while it is in use is rebuilt beside the one in use, and takes its place.
//!
//! Until then the damaged one goes on answering what it can: from memory, and through connections that have its file
//! open. A look-up that needs what cannot be read waits a bounded time and then fails; it is never answered with
//! "never written".

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use cauri_event_schemas::Position;

use super::{DAMAGED, Index, Surroundings};
use crate::embedded::failed;
use crate::embedded::journal::JournalFile;
use crate::files::open_private;
use crate::health::IndexCondition;
use crate::port::{Failure, StoreError};

/// How long a look-up waits for a rebuild, counted from its beginning: who asks later does not wait anew.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long to wait before a rebuild that failed is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(5);
/// Positions that are read before it is looked whether the store is closing.
const POSITIONS_A_STEP: usize = 50_000;

/// The index in use, and the one that is being built to replace it.
#[derive(Debug)]
pub(crate) struct IndexSlot {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    dir: PathBuf,
    journal: Arc<JournalFile>,
    around: Surroundings,
    current: RwLock<Arc<Index>>,
    /// When the rebuild that is under way began.
    since: Mutex<Option<Instant>>,
    ended: Condvar,
    stopping: AtomicBool,
}

impl IndexSlot {
    pub(crate) fn new(dir: PathBuf, journal: Arc<JournalFile>, around: Surroundings, index: Index) -> Self {
        let shared = Shared {
            dir,
            journal,
            around,
            current: RwLock::new(Arc::new(index)),
            since: Mutex::default(),
            ended: Condvar::new(),
            stopping: AtomicBool::new(false),
        };
        Self { shared: Arc::new(shared), thread: Mutex::default() }
    }

    /// The index in use.
    pub(crate) fn current(&self) -> Arc<Index> {
        self.shared.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks the index; if it proves damaged, has it rebuilt and asks again.
    pub(crate) fn ask<T>(&self, question: impl Fn(&Index) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let index = self.current();
        let answer = question(&index);
        if answer.is_ok() || !index.is_damaged() {
            return answer;
        }
        self.rebuild_if_damaged();
        if self.wait_for_rebuild(&index) {
            return question(&self.current());
        }
        Err(Failure::NotDone("the look-up index is damaged and is being rebuilt; try again later".into()).into())
    }

    /// Begins to rebuild an index that proved damaged, unless that is under way.
    pub(crate) fn rebuild_if_damaged(&self) {
        let index = self.current();
        let mut since = self.shared.since();
        if !index.is_damaged() || since.is_some() || self.shared.stopping.load(Ordering::SeqCst) {
            return;
        }
        let shared = self.shared.clone();
        match std::thread::Builder::new().name("cauri-reindex".into()).spawn(move || shared.rebuild(&index)) {
            Ok(thread) => {
                *since = Some(Instant::now());
                drop(since);
                let before = self.thread.lock().unwrap_or_else(PoisonError::into_inner).replace(thread);
                // It has ended, or another could not have begun.
                if let Some(before) = before {
                    let _ = before.join();
                }
            }
            Err(error) => tracing::error!(%error, "no thread to rebuild the index"),
        }
    }

    /// Whether another index has taken the place of `damaged`, after waiting for it as long as is bearable.
    fn wait_for_rebuild(&self, damaged: &Arc<Index>) -> bool {
        let mut since = self.shared.since();
        while let Some(left) = since.and_then(|since| PATIENCE.checked_sub(since.elapsed())) {
            since = self.shared.ended.wait_timeout(since, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        drop(since);
        !Arc::ptr_eq(&self.current(), damaged)
    }
}

impl Drop for IndexSlot {
    fn drop(&mut self) {
        {
            // With the lock that a rebuild holds between looking at this and waiting, so that it misses no notice.
            let _since = self.shared.since();
            self.shared.stopping.store(true, Ordering::SeqCst);
        }
        self.shared.ended.notify_all();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn since(&self) -> MutexGuard<'_, Option<Instant>> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rebuild(&self, damaged: &Index) {
        let began = Instant::now();
        let health = &self.around.health;
        health.set_index(IndexCondition::Rebuilding { why: damaged.damage().unwrap_or_default().to_owned() });
        tracing::warn!(dir = %self.dir.display(), "the index is damaged and is rebuilt from the journal");
        damaged.abandon();
        while !self.stopping.load(Ordering::SeqCst) {
            match self.build() {
                Ok(true) => {
                    tracing::info!(seconds = began.elapsed().as_secs_f64(), "the index is rebuilt");
                    health.index_was_rebuilt();
                    break;
                }
                // The store is closing; the next start builds the rest.
                Ok(false) => break,
                Err(error) => {
                    tracing::error!(%error, "the index could not be rebuilt; it is tried again");
                    health.set_index(IndexCondition::RebuildFailed { why: error.to_string() });
                    if let StoreError::Corruption(corruption) = &error {
                        health.note_damage(corruption);
                    }
                    let since = self.since();
                    let wait = self.ended.wait_timeout_while(since, TRY_AGAIN, |_| !self.stopping.load(Ordering::SeqCst));
                    drop(wait.unwrap_or_else(PoisonError::into_inner));
                }
            }
        }
        *self.since() = None;
        self.ended.notify_all();
    }

    /// Builds an index and puts it in the place of the one in use; `false` if the store is closing.
    fn build(&self) -> Result<bool, StoreError> {
        self.around.space.beyond_reserve().map_err(|shortage| failed("the index is not rebuilt", shortage))?;
        // Whatever stands there is not to be continued.
        open_private(&self.dir.join(DAMAGED)).map_err(|error| failed("cannot note that the index is damaged", error))?;
        let index = Index::open(&self.dir, &self.journal, Position::ZERO, &self.around)?;
        loop {
            if self.stopping.load(Ordering::SeqCst) {
                return Ok(false);
            }
            let head = self.journal.tree()?.head().position;
            let from = index.reaches();
            if head.get() - from.get().min(head.get()) < POSITIONS_A_STEP as u64 {
                break;
            }
            index.catch_up(&self.journal, from.after(POSITIONS_A_STEP))?;
            if index.reaches() == from {
                // The journal ends before its head: the last step says so.
                break;
            }
        }
        // From here on a batch that is appended waits with its keys, and finds them read already or adds them.
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        index.catch_up(&self.journal, self.journal.tree()?.head().position)?;
        let damaged = std::mem::replace(&mut *current, Arc::new(index));
        drop(current);
        drop(damaged);
        Ok(true)
    }
}
