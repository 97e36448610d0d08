//! `schemas`: every record is of a known type and version and can be read today.

use cauri_domain::event::EventSet;
use cauri_event_schemas::ledger::{Event, StreamId};
use cauri_event_schemas::Position;

use super::Check;
use crate::reading::{CarefulRecord, ReadBatch};

/// Do the event and its stream belong together? (That it can be read at all was seen by reading it.)
pub(crate) fn belongs(batch: &mut ReadBatch, position: Position, record: &CarefulRecord) {
    for recorded in &record.events {
        let belongs = matches!(
            (&recorded.stream, &recorded.event),
            (StreamId::Account(_), Event::Account(_))
                | (StreamId::Command(_), Event::Command(_))
                | (StreamId::Entry(_), Event::Entry(_))
                | (StreamId::Journal(_), Event::Journal(_))
        );
        if !belongs {
            let what = format!("`{}` does not belong into the stream {}", recorded.event.name(), recorded.stream);
            batch.findings.at(Check::Schemas, position, what);
            batch.unreadable.get_or_insert(position);
        }
    }
}
