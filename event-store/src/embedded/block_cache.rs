//! Blocks that stay unpacked, so that what is asked for again costs no reading.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use cauri_event_schemas::Position;

use crate::stored::CheckedBatch;

/// The blocks that were asked for last, up to a number of bytes.
#[derive(Debug)]
pub(super) struct BlockCache {
    most_bytes: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// By the position of the first record; with each, when it was last asked for.
    blocks: BTreeMap<Position, (Arc<CheckedBatch>, u64)>,
    /// The same, the longest unused first.
    by_use: BTreeMap<u64, Position>,
    bytes: usize,
    /// Counts what was asked for.
    now: u64,
}

impl BlockCache {
    pub(super) fn new(most_bytes: usize) -> Self {
        Self { most_bytes, kept: Mutex::default() }
    }

    /// The block that holds a position, if it is kept.
    pub(super) fn get(&self, position: Position) -> Option<Arc<CheckedBatch>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = &mut *kept;
        let (first, (block, used)) = kept.blocks.range_mut(..=position).next_back()?;
        if block.last() < position {
            return None;
        }
        kept.by_use.remove(used);
        kept.now += 1;
        *used = kept.now;
        kept.by_use.insert(kept.now, *first);
        Some(block.clone())
    }

    /// Keeps a block, and drops the longest unused ones where there are too many bytes. The newest always stays.
    pub(super) fn keep(&self, block: Arc<CheckedBatch>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.now += 1;
        let (first, now) = (block.first(), kept.now);
        kept.bytes += block.bytes();
        if let Some((replaced, used)) = kept.blocks.insert(first, (block, now)) {
            kept.bytes -= replaced.bytes();
            kept.by_use.remove(&used);
        }
        kept.by_use.insert(now, first);
        while kept.bytes > self.most_bytes && kept.blocks.len() > 1 {
            let Some((_, unused)) = kept.by_use.pop_first() else { return };
            if let Some((dropped, _)) = kept.blocks.remove(&unused) {
                kept.bytes -= dropped.bytes();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stored::StoredBatch;

    /// A block of ten records that begins at `first`, of 80 bytes.
    fn block(first: u64) -> Arc<CheckedBatch> {
        let record = b"1234567";
        let lines = [&record[..], b"\n"].concat().repeat(10);
        let (first, last) = (Position::new(first), Position::new(first + 9));
        let stored = StoredBatch { first, last, root: None, checksums: vec![crc32fast::hash(record); 10], lines };
        Arc::new(stored.check().expect("a block"))
    }

    fn holds(cache: &BlockCache, position: u64) -> bool {
        cache.get(Position::new(position)).is_some_and(|block| block.at(Position::new(position)).is_some())
    }

    #[test]
    fn a_block_answers_for_its_positions_and_no_others() {
        let cache = BlockCache::new(1_000_000);
        cache.keep(block(11));
        cache.keep(block(31));
        let held: Vec<u64> = (0..50).filter(|position| holds(&cache, *position)).collect();
        assert_eq!(held, (11..=20).chain(31..=40).collect::<Vec<_>>());
    }

    #[test]
    fn the_longest_unused_block_makes_room() {
        let size = block(1).bytes();
        let cache = BlockCache::new(3 * size);
        for first in [1, 11, 21] {
            cache.keep(block(first));
        }
        assert!(holds(&cache, 1), "asked for, so not the longest unused any more");
        cache.keep(block(31));
        assert_eq!([1, 11, 21, 31].map(|position| holds(&cache, position)), [true, false, true, true]);
        // The same block again takes no more room.
        (0..5).for_each(|_| cache.keep(block(31)));
        assert_eq!([1, 21, 31].map(|position| holds(&cache, position)), [true; 3]);
    }

    #[test]
    fn a_block_that_is_larger_than_the_whole_cache_is_kept_until_the_next_one() {
        let cache = BlockCache::new(1);
        cache.keep(block(1));
        assert!(holds(&cache, 1));
        cache.keep(block(11));
        assert_eq!((holds(&cache, 1), holds(&cache, 11)), (false, true));
    }
}
