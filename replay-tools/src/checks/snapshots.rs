//! `snapshots`: the stored snapshot is the fold of the journal at its position.
//!
//! Here is that it belongs to the journal at all. What is in it the kind compares (`KindChecks::compare_snapshot`).

use cauri_event_schemas::Position;
use cauri_event_store::Snapshot;

use super::{Check, roots::Roots};
use crate::finding::Findings;

/// Does a snapshot belong to this journal's history?
pub(crate) fn belongs(snapshot: &Snapshot, roots: &Roots, last: Position, findings: &mut Findings) {
    let head = snapshot.head;
    match roots.at(head.position) {
        Some(root) if root == head.root => {}
        Some(root) => {
            let what = format!("the snapshot at {} has the root {}, the journal's is {root}", head.position, head.root);
            findings.at(Check::Snapshots, head.position, what);
        }
        None => {
            let what = format!("the snapshot is of position {}, the journal ends at {last}", head.position);
            findings.at(Check::Snapshots, last.next(), what);
        }
    }
}
