//! The decision state from what is stored: a snapshot, and the journal after it.

use cauri_domain::kind::Kind;
use cauri_event_schemas::Position;
use cauri_event_store::{Corruption, EventStore, Head, Snapshot, StoreError};

use crate::decider::Decider;

/// The newest snapshot, if it belongs to this journal's history.
pub(super) fn usable_snapshot(store: &dyn EventStore) -> Result<Option<Snapshot>, StoreError> {
    let Some(snapshot) = store.latest_snapshot()? else { return Ok(None) };
    // One at position 0 says nothing, and every history has the root there.
    let same_history = snapshot.head.position > Position::ZERO && store.root_at(snapshot.head.position)? == Some(snapshot.head.root);
    if !same_history {
        tracing::warn!(position = %snapshot.head.position, "a snapshot of another history is ignored");
    }
    Ok(same_history.then_some(snapshot))
}

/// Folds everything after the decider's position up to `head`.
pub(super) fn replay_tail<K: Kind>(store: &dyn EventStore, decider: &mut Decider<K>, head: Head) -> Result<(), StoreError> {
    let mut events = Vec::new();
    while decider.position() < head.position {
        let next = decider.position().next();
        let Some(batch) = store.read_checked(next)? else {
            return Err(Corruption::new(next, format!("the journal ends before its head, {head}")).into());
        };
        for record in batch.records().filter(|record| record.position() >= next) {
            record.decode_into::<K>(&mut events)?;
            events.drain(..).try_for_each(|event| decider.replay(&event))?;
        }
        let moment = decider.moment(0);
        decider.forget(&moment, decider.position());
    }
    Ok(())
}
