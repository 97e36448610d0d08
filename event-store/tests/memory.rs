//! The memory store keeps the port's promises, alone and shared.

use cauri_event_store::conformance::{InMemory, run};

#[test]
fn the_memory_store_conforms() {
    run(InMemory::Exclusive);
}

#[test]
fn the_shared_memory_store_conforms() {
    run(InMemory::Shared);
}
