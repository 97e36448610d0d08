//! `checksums`: every record has the checksum that was stored with it.

use std::ops::Range;

use cauri_event_schemas::Position;

use super::Check;
use crate::reading::ReadBatch;

/// Does a batch have a checksum for each of its positions?
pub(crate) fn count(batch: &mut ReadBatch, checksums: Option<&[u32]>, expected: usize) {
    let Some(checksums) = checksums else { return };
    if checksums.len() != expected || expected == 0 {
        let what = format!("a batch from {} to {} has {} checksums", batch.first, batch.last, checksums.len());
        batch.findings.at(Check::Checksums, batch.first, what);
    }
}

/// Is a record what it was when its checksum was made?
pub(crate) fn compare(batch: &mut ReadBatch, position: Position, record: Range<usize>, stored: u32) {
    let found = crc32fast::hash(batch.bytes_of(record));
    if found != stored {
        let what = format!("the record's checksum is {found:08x}, stored is {stored:08x}");
        batch.findings.at(Check::Checksums, position, what);
    }
}
