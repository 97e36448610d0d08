//! What was decided and is not durable yet: for it the store does not answer, so it stands in memory.

use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::sync::Arc;

use cauri_domain::ids::{Caller, CommandId, CommandKey};
use cauri_domain::kind::Kind;
use cauri_event_schemas::{Fingerprint, Metadata, Position, StreamVersion};
use hashbrown::{DefaultHashBuilder, HashTable};

use crate::decider::OutcomeOf;

/// Aggregates and commands of batches that are on their way to the store.
pub(crate) struct InFlight<K: Kind> {
    aggregates: Log<K::Stream, Written<K::Aggregate>>,
    /// By the metadata of the command's first record: its key is there, and is not kept twice.
    commands: Log<Arc<Metadata>, OutcomeOf<K>>,
    hasher: DefaultHashBuilder,
}

/// An aggregate as an event left it.
#[derive(Clone)]
pub(crate) struct Written<A> {
    pub(crate) aggregate: A,
    pub(crate) version: StreamVersion,
}

/// A command that was decided.
pub(crate) struct Decided<'a, K: Kind> {
    pub(crate) fingerprint: Option<Fingerprint>,
    pub(crate) outcome: &'a OutcomeOf<K>,
    /// The position of its last record.
    pub(crate) at: Position,
}

impl<K: Kind> Default for InFlight<K> {
    fn default() -> Self {
        Self { aggregates: Log::default(), commands: Log::default(), hasher: DefaultHashBuilder::default() }
    }
}

impl<K: Kind> InFlight<K> {
    fn hash(&self, caller: Option<&Caller>, id: &CommandId) -> u64 {
        self.hasher.hash_one((caller.map(Caller::as_str), id.as_str()))
    }

    /// A command, if it was decided and is not forgotten.
    pub(crate) fn command(&self, key: &CommandKey) -> Option<Decided<'_, K>> {
        let hash = self.hash(key.caller.as_ref(), &key.id);
        let entry = self.commands.newest(hash, |metadata| metadata.is_of(key))?;
        Some(Decided { fingerprint: entry.key.fingerprint, outcome: &entry.value, at: entry.at })
    }

    /// A command was decided: a retry before it is durable gets this outcome.
    pub(crate) fn decided(&mut self, metadata: Arc<Metadata>, outcome: OutcomeOf<K>, at: Position) {
        let hash = self.hash(metadata.caller.as_ref(), &metadata.command);
        self.commands.push(metadata, hash, outcome, at);
    }

    /// An aggregate, if an event of it is not forgotten, and the position of its last event.
    pub(crate) fn aggregate(&self, stream: &K::Stream) -> Option<(&Written<K::Aggregate>, Position)> {
        let hash = self.hasher.hash_one(stream);
        let entry = self.aggregates.newest(hash, |known| known == stream)?;
        Some((&entry.value, entry.at))
    }

    /// An event happened to an aggregate.
    pub(crate) fn write(&mut self, stream: K::Stream, written: Written<K::Aggregate>, at: Position) {
        let hash = self.hasher.hash_one(&stream);
        self.aggregates.push(stream, hash, written, at);
    }

    /// Takes back everything after a position.
    pub(crate) fn roll_back(&mut self, position: Position) {
        self.aggregates.roll_back(position);
        self.commands.roll_back(position);
    }

    /// What was decided up to a position is not kept any more.
    pub(crate) fn forget(&mut self, position: Position) {
        self.aggregates.forget(position);
        self.commands.forget(position);
    }
}

/// Values in the order of their positions, and the newest of each key. What is taken back is at its end, what is forgotten at
/// its beginning; the table of keys is small enough to stay in the processor's cache.
struct Log<Q, V> {
    entries: VecDeque<Entry<Q, V>>,
    /// The number of the first entry; the others are counted on from it.
    first: u64,
    /// The number of the newest entry of each key.
    newest: HashTable<u64>,
}

struct Entry<Q, V> {
    key: Q,
    hash: u64,
    value: V,
    at: Position,
    /// The number of the entry of this key before it, which may be forgotten.
    before: Option<u64>,
}

impl<Q, V> Default for Log<Q, V> {
    fn default() -> Self {
        Self { entries: VecDeque::new(), first: 0, newest: HashTable::new() }
    }
}

impl<Q, V> Log<Q, V> {
    fn newest(&self, hash: u64, is_key: impl Fn(&Q) -> bool) -> Option<&Entry<Q, V>> {
        let entry = |number: u64| &self.entries[(number - self.first) as usize];
        self.newest.find(hash, |number| entry(*number).hash == hash && is_key(&entry(*number).key)).map(|number| entry(*number))
    }

    fn push(&mut self, key: Q, hash: u64, value: V, at: Position)
    where
        Q: PartialEq,
    {
        let Self { entries, first, newest } = self;
        let number = *first + entries.len() as u64;
        let entry = |number: u64| &entries[(number - *first) as usize];
        let known = newest.find_mut(hash, |number| entry(*number).hash == hash && entry(*number).key == key);
        let before = match known {
            Some(known) => Some(std::mem::replace(known, number)),
            None => {
                newest.insert_unique(hash, number, |number| entry(*number).hash);
                None
            }
        };
        entries.push_back(Entry { key, hash, value, at, before });
    }

    fn roll_back(&mut self, position: Position) {
        while self.entries.back().is_some_and(|entry| entry.at > position) {
            let Some(entry) = self.entries.pop_back() else { return };
            let number = self.first + self.entries.len() as u64;
            let Ok(mut newest) = self.newest.find_entry(entry.hash, |newest| *newest == number) else { continue };
            match entry.before.filter(|before| *before >= self.first) {
                Some(before) => *newest.get_mut() = before,
                None => drop(newest.remove()),
            }
        }
    }

    fn forget(&mut self, position: Position) {
        while self.entries.front().is_some_and(|entry| entry.at <= position) {
            let Some(entry) = self.entries.pop_front() else { return };
            let number = self.first;
            self.first += 1;
            if let Ok(newest) = self.newest.find_entry(entry.hash, |newest| *newest == number) {
                newest.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// A log beside the plainest thing that does the same: all values of each key, looked through from the end.
    #[test]
    fn a_log_answers_as_a_list_that_is_looked_through() {
        let seed = std::env::var("CAURI_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(7);
        let mut random = fastrand::Rng::with_seed(seed);
        let (mut log, mut list) = (Log::default(), Vec::<(u8, u32, u64)>::new());
        let (mut position, mut forgotten) = (0_u64, 0_u64);
        for step in 0..20_000_u32 {
            match random.u8(..10) {
                0 => {
                    position = random.u64(forgotten..=position);
                    log.roll_back(Position::new(position));
                    list.retain(|(.., at)| *at <= position);
                }
                1 => {
                    forgotten = random.u64(forgotten..=position);
                    log.forget(Position::new(forgotten));
                    list.retain(|(.., at)| *at > forgotten);
                }
                _ => {
                    position += 1;
                    let key = random.u8(..12);
                    // Few hashes, so that keys share them.
                    log.push(key, u64::from(key % 5), step, Position::new(position));
                    list.push((key, step, position));
                }
            }
            let expected: BTreeMap<u8, u32> = list.iter().map(|(key, value, _)| (*key, *value)).collect();
            for key in 0..12 {
                let found = log.newest(u64::from(key % 5), |known| *known == key).map(|entry| entry.value);
                assert_eq!(found, expected.get(&key).copied(), "key {key} after step {step}");
            }
            assert_eq!(log.newest.len(), expected.len());
        }
    }
}
