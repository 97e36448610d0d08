//! `canonical`: every record's bytes are the canonical JSON of what they say.

use std::ops::Range;

use cauri_event_schemas::{Position, canonical};

use super::Check;
use crate::reading::{CarefulRecord, ReadBatch};

/// Is a record what Cauri would write for it?
///
/// Of the newest shape there is one text, which is written again and compared; of an older shape only its
/// form as JSON can be judged.
pub(crate) fn check(batch: &mut ReadBatch, position: Position, range: Range<usize>, record: &CarefulRecord) {
    let bytes = batch.bytes_of(range);
    let what = match record.events.understood().as_slice() {
        [event] if event.schema() == record.schema => {
            let rewritten = event.to_bytes_in(record.envelope_version);
            (rewritten != bytes).then(|| {
                let at = rewritten.iter().zip(bytes).position(|(left, right)| left != right).unwrap_or(rewritten.len().min(bytes.len()));
                format!("Cauri would write what the record says otherwise, from byte {at} on")
            })
        }
        _ => canonical::check(bytes).err().map(|error| error.to_string()),
    };
    if let Some(what) = what {
        batch.findings.at(Check::Canonical, position, what);
    }
}
