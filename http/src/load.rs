//! What may be under way at one time: requests in a pool, and bytes of request bodies.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A bounded number of turns. Nobody waits for one: who gets none is turned away.
#[derive(Debug)]
pub struct Pool {
    name: &'static str,
    most: usize,
    taken: AtomicUsize,
}

impl Pool {
    /// A pool of `most` turns. The name is the `pool` label of its metrics.
    #[must_use]
    pub const fn new(name: &'static str, most: usize) -> Self {
        Self { name, most, taken: AtomicUsize::new(0) }
    }

    /// A turn until it is dropped; `None` where all are taken, which is counted.
    pub fn enter(&self) -> Option<Turn<'_>> {
        let turn = Turn(self);
        if self.taken.fetch_add(1, Ordering::Relaxed) < self.most {
            return Some(turn);
        }
        drop(turn);
        turned_away(self.name);
        None
    }

    /// The label of the pool in metrics.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Turns that are taken.
    pub fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }
}

/// A turn of a [`Pool`].
#[derive(Debug)]
pub struct Turn<'a>(&'a Pool);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counts a request that was turned away, by what there was too much of.
pub fn turned_away(reason: &'static str) {
    metrics::counter!("cauri_http_turned_away_total", "reason" => reason).increment(1);
}

/// A body up to this size is not counted: most requests are smaller, and the places of subjects bound how many there are.
const NOT_COUNTED: usize = 64 * 1024;

/// The bytes of request bodies that are in memory. One subject may hold half of them at most.
#[derive(Debug)]
pub struct BodyMemory {
    most: usize,
    held: Mutex<HeldBytes>,
}

#[derive(Debug, Default)]
struct HeldBytes {
    all: usize,
    by_subject: HashMap<Arc<str>, usize>,
}

impl BodyMemory {
    /// At most `most` bytes.
    #[must_use]
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, held: Mutex::default() })
    }

    /// An account of the body of one request of `subject`; a body without a subject shares one account with all such.
    #[must_use]
    pub fn account(self: &Arc<Self>, subject: Option<Arc<str>>) -> BodyBytes {
        BodyBytes { memory: Arc::clone(self), subject, counted: 0 }
    }

    /// Bytes that are held.
    pub fn held(&self) -> usize {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).all
    }
}

/// What one body holds of the [`BodyMemory`]; dropping it gives it back.
#[derive(Debug)]
pub struct BodyBytes {
    memory: Arc<BodyMemory>,
    subject: Option<Arc<str>>,
    counted: usize,
}

impl BodyBytes {
    /// The body has `total` bytes now. `false` where there is no room for them.
    #[must_use]
    pub fn grow_to(&mut self, total: usize) -> bool {
        if total <= NOT_COUNTED.max(self.counted) {
            return true;
        }
        let more = total - self.counted;
        let subject = self.subject.get_or_insert_with(|| Arc::from(""));
        let mut held = self.memory.held.lock().unwrap_or_else(PoisonError::into_inner);
        let of_subject = held.by_subject.get(subject).copied().unwrap_or(0);
        if held.all.saturating_add(more) > self.memory.most || of_subject.saturating_add(more) > self.memory.most / 2 {
            drop(held);
            turned_away("body_memory");
            return false;
        }
        held.all += more;
        held.by_subject.insert(Arc::clone(subject), of_subject + more);
        self.counted = total;
        true
    }
}

impl Drop for BodyBytes {
    fn drop(&mut self) {
        let Some(subject) = self.subject.as_ref().filter(|_| self.counted > 0) else { return };
        let mut held = self.memory.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.all -= self.counted;
        if let Some(of_subject) = held.by_subject.get_mut(subject) {
            *of_subject -= self.counted;
            if *of_subject == 0 {
                held.by_subject.remove(subject);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_gives_as_many_turns_as_it_has_and_takes_them_back() {
        let pool = Pool::new("commands", 2);
        let first = pool.enter().expect("the first");
        let _second = pool.enter().expect("the second");
        assert!(pool.enter().is_none());
        assert_eq!(pool.taken(), 2, "who was turned away holds nothing");
        drop(first);
        assert!(pool.enter().is_some());
    }

    #[test]
    fn one_subject_holds_at_most_half_of_the_memory_and_gives_it_back() {
        let memory = BodyMemory::new(1_000_000);
        let subject = |name: &str| Some(Arc::from(name));
        let mut small = memory.account(subject("awa"));
        assert!(small.grow_to(NOT_COUNTED));
        assert_eq!(memory.held(), 0, "small bodies are not counted");
        let mut large = memory.account(subject("awa"));
        assert!(large.grow_to(400_000) && large.grow_to(500_000));
        assert!(!large.grow_to(500_001), "half of all");
        let mut others = memory.account(subject("ben"));
        assert!(others.grow_to(500_000));
        assert!(!memory.account(subject("kofi")).grow_to(100_000), "nothing is left");
        drop((large, others));
        assert_eq!(memory.held(), 0);
        assert!(memory.held.lock().expect("no panic").by_subject.is_empty());
    }
}
