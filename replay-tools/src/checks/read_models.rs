//! `read_models`: every live read model holds what a replay of the journal gives.

use std::path::Path;
use std::sync::Arc;

use cauri_event_schemas::Position;
use cauri_event_store::EventStore;

use crate::finding::Findings;

pub(crate) fn check(_: &Path, _: Option<&Arc<dyn EventStore>>, _: Position, _: bool, _: &mut Findings) -> String {
    String::new()
}
