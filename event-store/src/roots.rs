//! Roots at any position: from a tree that is known, the leaves behind it are added.
//!
//! A store keeps a root where a batch ends. Read models, snapshots, look-ups and tokens are at any position, and what
//! they belong to is told by the root there: see [`crate::port::EventStore::root_at`].

use cauri_event_schemas::Position;

use crate::merkle::{Hash, Tree};
use crate::port::{Corruption, StoreError};
use crate::stored::{CheckedBatch, StoredBatch};

/// The root at `position`, computed from the batches behind `tree`; `None` where they end before it.
///
/// `tree` ends where a batch ends. `read_batch` gives the batch that holds a position. `at_end` sees each whole batch
/// with the tree after it. A root that is stored where a batch ends must be the one that is computed.
pub(crate) fn root_from(
    mut tree: Tree,
    position: Position,
    read_batch: impl Fn(Position) -> Result<Option<StoredBatch>, StoreError>,
    mut at_end: impl FnMut(&CheckedBatch, &Tree),
) -> Result<Option<Hash>, StoreError> {
    while tree.size() < position.get() {
        let next = Position::new(tree.size()).next();
        let Some(stored) = read_batch(next)? else { return Ok(None) };
        let batch = stored.check()?;
        if batch.first() != next {
            let what = format!("the batch from {} to {} stands where a batch must begin", batch.first(), batch.last());
            return Err(Corruption::new(next, what).into());
        }
        for record in batch.records().take_while(|record| record.position() <= position) {
            tree.push(record.leaf());
        }
        if tree.size() == batch.last().get() {
            let computed = tree.root();
            if let Some(stored) = batch.root().filter(|stored| *stored != computed) {
                let what = format!("the records up to {} give the root {computed}, {stored} is stored", batch.last());
                return Err(Corruption::new(batch.first(), what).into());
            }
            at_end(&batch, &tree);
        }
    }
    Ok(Some(tree.root()))
}
