//! Each check has a journal in which exactly that check speaks.

mod scribe;

use std::sync::Arc;

use cauri_domain::account::{AccountEvent, AccountFrozen, AccountKind, AccountReopened, LimitsChanged};
use cauri_domain::limits::Limits;
use cauri_domain::money::{Currency, Money};
use cauri_event_store::{EventStore, Hash};
use cauri_replay_tools::Check;
use cauri_replay_tools::report::{Report, Verdict};
use cauri_replay_tools::verify::{Wanted, verify_store};
use scribe::{PaperStore, Scribe, account, at, id, shop, transfer, xof};

fn audit(store: PaperStore) -> Report {
    verify_store(&store.shared(), &Wanted::default()).expect("readable")
}

/// Exactly `check` speaks, first at `position`, and says `what`.
#[track_caller]
fn speaks(store: PaperStore, check: Check, position: u64, what: &str) {
    let report = audit(store);
    assert_eq!(report.failed(), [check], "{report}");
    assert!(!report.ok, "{report}");
    let finding = &report.findings[0];
    assert_eq!(finding.position.map(|position| position.get()), Some(position), "{report}");
    assert!(finding.what.contains(what), "{report}");
}

#[test]
fn a_sound_journal_leaves_every_check_silent() {
    let report = audit(shop().store());
    assert!(report.ok, "{report}");
    assert!(report.findings.is_empty(), "{report}");
    let idle: Vec<Check> =
        report.checks.iter().filter(|check| check.verdict == Verdict::NotApplicable).map(|check| check.check).collect();
    assert_eq!(idle, [Check::ExpectedHeads, Check::Snapshots, Check::ReadModels]);
}
