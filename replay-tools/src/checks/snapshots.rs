//! `snapshots`: the stored snapshot is the fold of the journal at its position.

use cauri_domain::Kind;
use cauri_domain::fold::{Balances, FrozenBalances};
use cauri_domain::journal::{self, Rules};
use cauri_event_schemas::Position;
use cauri_event_store::Snapshot;

use super::{Check, holds::Holds, roots::Roots};
use crate::finding::Findings;
use crate::ledger::{Account, Ledger, Totals};

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

/// Compares a snapshot's accounts and holds with the fold at its position. What was compared, in words.
pub(crate) fn compare(snapshot: &Snapshot, ledger: &Ledger, holds: &Holds, findings: &mut Findings) -> String {
    let position = snapshot.head.position;
    let (of, balances) = match postcard::from_bytes::<Shape>(&snapshot.state) {
        Ok((journal::FROZEN_SHAPE, cauri_domain::Ledger::FROZEN_SHAPE, kind, of, balances)) if kind == cauri_domain::Ledger::NAME => {
            (of, Balances::thaw(balances, Rules::default()))
        }
        _ => return format!("the one at {position} is of another program's shape: only its head was compared"),
    };
    let mut told = |what: String| findings.at(Check::Snapshots, position, what);
    if of != position.get() {
        told(format!("the snapshot at {position} says that it is of position {of}"));
    }
    if balances.accounts().len() != ledger.accounts().len() {
        told(format!("the snapshot has {} accounts, the journal {}", balances.accounts().len(), ledger.accounts().len()));
    }
    for (row, account) in balances.accounts().iter().zip(ledger.accounts()) {
        let totals = Totals {
            debits_posted: row.totals.debits_posted.into(),
            credits_posted: row.totals.credits_posted.into(),
            debits_pending: row.totals.debits_pending.into(),
            credits_pending: row.totals.credits_pending.into(),
        };
        let Account { address, state, version, .. } = account;
        if (row.address.as_str(), &row.account, u64::from(row.version), totals) != (address, state, *version, account.totals) {
            told(format!("account {address} is in the snapshot with {row:?}, in the journal with {state:?}, {:?}, version {version}", account.totals));
        }
    }
    // What each hold claims stands in the pending totals above.
    if balances.open_holds() != holds.len() {
        told(format!("the snapshot has {} open holds, the journal {}", balances.open_holds(), holds.len()));
    }
    format!("{} accounts and {} open holds compared at {position}", balances.accounts().len(), balances.open_holds())
}

/// The engine's snapshot as far as it is looked into: the numbers of its shapes, the kind, the position, the balances. What follows
/// in the bytes is left alone.
type Shape = (u32, u32, String, u64, FrozenBalances);
