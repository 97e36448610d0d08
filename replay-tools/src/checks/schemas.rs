//! `schemas`: every record is of a known type and version and can be read today.

use cauri_event_schemas::Position;

use super::Check;
use crate::finding::Findings;
use crate::reading::{CarefulRecord, JournalKind, ReadBatch};

/// Do the event and its stream belong together? (That it can be read at all was seen by reading it.)
pub(crate) fn belongs(batch: &mut ReadBatch, position: Position, record: &CarefulRecord) {
    for recorded in record.events.understood() {
        // A type is named after the streams that it stands in: `entry.posted` in `entry/…`.
        let (name, stream) = (recorded.name(), recorded.stream());
        let belongs = name.split_once('.').map(|(before, _)| before) == stream.split_once('/').map(|(before, _)| before);
        if !belongs {
            let what = format!("`{name}` does not belong into the stream {stream}");
            batch.findings.at(Check::Schemas, position, what);
            batch.unreadable.get_or_insert(position);
        }
    }
}

/// A record is of another kind of journal than those before it.
pub(crate) fn of_another_kind(journal: JournalKind, record: JournalKind, position: Position, findings: &mut Findings) {
    let what = format!("the record is of a {}, those before it are of a {}", record.name(), journal.name());
    findings.at(Check::Schemas, position, what);
}
