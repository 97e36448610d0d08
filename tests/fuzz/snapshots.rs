//! Snapshots of the decision state: one that cannot be read, or is of another shape, is passed over.

use std::sync::Arc;

use cauri_engine::Engine;
use cauri_event_store::memory::MemoryStore;
use cauri_event_store::{EventStore, Snapshot};

use crate::cases;
use crate::journals::{config, write_with_engine};
use crate::mutation::changed;

#[test]
fn an_engine_starts_whatever_the_snapshot_says() {
    let store = MemoryStore::exclusive("ledger");
    write_with_engine(Arc::new(store.clone()), 300);
    let snapshot = store.latest_snapshot().expect("an answer").expect("a snapshot");
    cases(300, |random| {
        let state = changed(random, &snapshot.state);
        store.save_snapshot(&Snapshot { head: snapshot.head, state }).expect("a snapshot");
        // It may call the journal corrupt where the tail does not follow from such a state; it may not break.
        if let Ok(engine) = Engine::<cauri_domain::Ledger>::start(Arc::new(store.for_another_engine()), config()) {
            engine.stop();
        }
    });
}
