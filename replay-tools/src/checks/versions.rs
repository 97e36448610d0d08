//! `versions`: the records of each stream have the versions 1, 2, 3 …

use super::Check;
use crate::finding::Findings;
use crate::reading::{Fact, ReadBatch, Stream, entry_id};

/// Has a record the version that comes next in its stream, which has `so_far` records?
pub(crate) fn check(batch: &ReadBatch, fact: &Fact, so_far: u64, findings: &mut Findings) {
    // Parts of one stored record share its version.
    if fact.part == 0 && fact.version != so_far + 1 {
        let what = format!("{} has {so_far} records so far, this one says that it is version {}", stream(batch, fact), fact.version);
        findings.at(Check::Versions, fact.position, what);
    }
}

/// The stream of a fact as it is written.
pub(crate) fn stream(batch: &ReadBatch, fact: &Fact) -> String {
    match &fact.stream {
        Stream::Account(address, _) => format!("account/{}", batch.shown(*address)),
        Stream::Command(id) => format!("command/{}", batch.shown(*id)),
        Stream::Entry(id, _) => format!("entry/{}", entry_id(id)),
        Stream::Journal(name) => format!("journal/{}", batch.shown(*name)),
        Stream::Other(name, _) => batch.shown(*name),
    }
}
