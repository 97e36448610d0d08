//! The root at any position of `journal.sqlite`.
//!
//! A frame has the root at its end. Every so many positions a frame has the tree's peaks as well, so that the root at
//! any other position takes a bounded number of leaves. Frames of format 1 have no peaks: there the tree is computed
//! from the beginning once, and what is computed on the way is remembered.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use cauri_event_schemas::Position;
use rusqlite::OptionalExtension;

use super::journal::{JournalFile, read_failure};
use crate::merkle::{Hash, Tree};
use crate::port::{Corruption, StoreError};
use crate::roots::root_from;

/// A frame that holds a multiple of this position has the peaks at its end.
const PEAKS_EVERY: u64 = 4_096;

/// Whether the frame of these positions has peaks.
pub(super) fn keeps_peaks(first: Position, last: Position) -> bool {
    first.get().saturating_sub(1) / PEAKS_EVERY != last.get() / PEAKS_EVERY
}

/// Trees that were computed where the file has no peaks, by size: one for each frame that would have had them.
#[derive(Debug, Default)]
pub(super) struct ComputedTrees(Mutex<BTreeMap<u64, Tree>>);

impl ComputedTrees {
    fn up_to(&self, size: u64) -> Option<Tree> {
        let trees = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        trees.range(..=size).next_back().map(|(_, tree)| tree.clone())
    }

    fn keep(&self, tree: &Tree) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(tree.size(), tree.clone());
    }
}

impl JournalFile {
    /// The root over all records up to `position`; `None` beyond the last frame.
    pub(super) fn root_at(&self, position: Position) -> Result<Option<Hash>, StoreError> {
        if position == Position::ZERO {
            return Ok(Some(Hash::of_nothing()));
        }
        let Some((first, last, root)) = self.frame_of(position)? else { return Ok(None) };
        if last == position {
            return Ok(Some(root));
        }
        let before = Position::new(first.get().saturating_sub(1));
        let (stored, computed) = (self.stored_tree(before)?, self.computed.up_to(before.get()).unwrap_or_default());
        let tree = if stored.size() >= computed.size() { stored } else { computed };
        let read_batch = |position| {
            let batch = self.read_batch(position)?;
            let missing = || Corruption::new(position, format!("no frame holds it, though the one from {first} on is there"));
            Ok(Some(batch.ok_or_else(missing)?))
        };
        root_from(tree, position, read_batch, |batch, tree| {
            // Where there are stored peaks they come as often, and this remembers nothing.
            if keeps_peaks(batch.first(), batch.last()) {
                self.computed.keep(tree);
            }
        })
    }

    /// First and last position of the frame that holds a position, and the root at its end. The body is not read.
    fn frame_of(&self, position: Position) -> Result<Option<(Position, Position, Hash)>, StoreError> {
        let wanted = i64::try_from(position.get()).unwrap_or(i64::MAX);
        self.read(|connection| {
            let row = connection
                .prepare_cached("SELECT first, last, root FROM frames WHERE first <= ?1 ORDER BY first DESC LIMIT 1")
                .and_then(|mut select| {
                    let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, Vec<u8>>(2)?));
                    select.query_row([wanted], read).optional()
                })
                .map_err(|error| read_failure("a frame", position, &error))?;
            let Some((first, last, root)) = row.filter(|(_, last, _)| *last >= wanted) else { return Ok(None) };
            let root = Hash::from_slice(&root)
                .ok_or_else(|| Corruption::new(Position::new(last.unsigned_abs()), "the frame's root does not have 32 bytes"))?;
            Ok(Some((Position::new(first.unsigned_abs()), Position::new(last.unsigned_abs()), root)))
        })
    }

    /// The largest tree that is stored with a frame which ends at or before `end`, where a frame ends.
    ///
    /// That is the frame of the last multiple before it: none behind that one has peaks.
    fn stored_tree(&self, end: Position) -> Result<Tree, StoreError> {
        let multiple = end.get() / PEAKS_EVERY * PEAKS_EVERY;
        if !self.has_peaks || multiple == 0 {
            return Ok(Tree::empty());
        }
        let wanted = i64::try_from(multiple).unwrap_or(i64::MAX);
        self.read(|connection| {
            let row = connection
                .prepare_cached("SELECT last, root, peaks FROM frames WHERE first <= ?1 ORDER BY first DESC LIMIT 1")
                .and_then(|mut select| {
                    let read =
                        |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?, row.get::<_, Option<Vec<u8>>>(2)?));
                    select.query_row([wanted], read).optional()
                })
                .map_err(|error| read_failure("a frame's peaks", end, &error))?;
            // A frame of format 1 has none.
            let Some((last, root, Some(peaks))) = row else { return Ok(Tree::empty()) };
            let last = last.unsigned_abs();
            let peaks: Option<Vec<Hash>> = peaks.chunks(32).map(Hash::from_slice).collect();
            let tree = peaks.and_then(|peaks| Tree::from_parts(last, peaks));
            let whole = tree.filter(|tree| Hash::from_slice(&root) == Some(tree.root()));
            let what = "the peaks that are stored with the frame do not give its root";
            whole.ok_or_else(|| Corruption::new(Position::new(last), what).into())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_that_reach_a_multiple_have_peaks() {
        let keeps = |first, last| keeps_peaks(Position::new(first), Position::new(last));
        assert!(!keeps(1, 1) && !keeps(1, 4_095) && !keeps(4_097, 8_191));
        assert!(keeps(1, 4_096) && keeps(4_096, 4_096) && keeps(4_000, 5_000) && keeps(1, 10_000));
    }
}
