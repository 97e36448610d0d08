//! `schemas`: every record is of a known type and version and can be read today.

use cauri_domain::event::EventSet;
use cauri_event_schemas::Position;

use super::Check;
use crate::reading::{CarefulRecord, ReadBatch};

/// Do the event and its stream belong together? (That it can be read at all was seen by reading it.)
pub(crate) fn belongs(batch: &mut ReadBatch, position: Position, record: &CarefulRecord) {
    for recorded in &record.events {
        // A type is named after the streams that it stands in: `entry.posted` in `entry/…`.
        let (name, stream) = (recorded.event.name(), recorded.stream.to_string());
        let belongs = name.split_once('.').map(|(before, _)| before) == stream.split_once('/').map(|(before, _)| before);
        if !belongs {
            let what = format!("`{}` does not belong into the stream {}", recorded.event.name(), recorded.stream);
            batch.findings.at(Check::Schemas, position, what);
            batch.unreadable.get_or_insert(position);
        }
    }
}
