//! Published cases of other ledgers, with their figures.

use cauri_domain::account::AccountKind;
use cauri_domain::fold::Totals;
use cauri_event_schemas::Position;

use crate::Projected;
use crate::ledger::{Ledger, address, at};

const HOUR: i64 = 3_600;

/// Formance ledger v2, `test/e2e/api_volumes_test.go`: seven moves, all recorded now, dated over six hours.
fn seven_dated_moves() -> Ledger {
    let mut ledger = Ledger::new();
    for account in ["world", "account:user1", "account:user2", "bank"] {
        ledger.open(account, AccountKind::Liability);
    }
    for (hours, debit, credit, minor) in [
        (-4, "world", "account:user1", 100),
        (-3, "world", "account:user2", 125),
        (-2, "account:user1", "account:user2", 75),
        (-1, "world", "account:user1", 175),
        (0, "account:user2", "bank", 50),
        (1, "account:user2", "account:user1", 100),
        (2, "account:user1", "bank", 150),
    ] {
        ledger.pay(debit, credit, minor, at(hours * HOUR));
    }
    ledger.commit();
    ledger
}

#[test]
fn case_8_seven_dated_moves() {
    let projected = Projected::of(&seven_dated_moves());
    let snapshot = projected.reads.snapshot().unwrap();
    let balance = |account: &str, as_of| {
        let row = snapshot.balance(&address(account), as_of, None).unwrap().unwrap();
        row.totals.balance(AccountKind::Liability)
    };

    let all = ["account:user1", "account:user2", "bank", "world"].map(|account| balance(account, None));
    assert_eq!(all, [150, 50, 200, -400], "all effective dates");

    let up_to_now = ["account:user1", "account:user2"].map(|account| balance(account, Some(at(0))));
    assert_eq!(up_to_now, [200, 150], "effective up to now");

    let window = |account: &str, from: i64, to: i64| {
        // Both ends in: `to` of a statement is the first instant after it.
        let to = at(to * HOUR).saturating_add_micros(1);
        let page = snapshot.statement(&address(account), at(from * HOUR), to, None, None, 100).unwrap().unwrap();
        page.closing.balance(AccountKind::Liability) - page.opening.balance(AccountKind::Liability)
    };
    let four_to_two_hours_ago = ["account:user1", "account:user2", "world"].map(|account| window(account, -4, -2));
    assert_eq!(four_to_two_hours_ago, [25, 200, -225]);

    let rolled = snapshot.rollup(&address("account"), None, None).unwrap();
    assert_eq!(rolled.len(), 1);
    assert_eq!((rolled[0].accounts, rolled[0].totals.balance(AccountKind::Liability)), (2, 200));

    let far = snapshot.statement(&address("account:user1"), at(9_000 * HOUR), at(9_001 * HOUR), None, None, 100).unwrap().unwrap();
    assert_eq!(far.lines.items.len(), 0, "a window in the far future is empty");
    assert_eq!(far.opening, far.closing);
}

#[test]
fn case_8_as_it_was_known_after_each_move() {
    let projected = Projected::of(&seven_dated_moves());
    let snapshot = projected.reads.snapshot().unwrap();
    let user1 = address("account:user1");
    // Four accounts were opened first.
    let known: Vec<i128> = (4..=11)
        .map(|position| {
            snapshot.balance(&user1, None, Some(Position::new(position))).unwrap().unwrap().totals.balance(AccountKind::Liability)
        })
        .collect();
    assert_eq!(known, [0, 100, 100, 25, 200, 200, 300, 150]);
}

/// pgledger, `examples/reconciliation.sql.out`: +10 at 12:00, +20 at 13:00, +50 at 14:00.
#[test]
fn case_12_history_of_a_receivable() {
    let mut ledger = Ledger::new();
    ledger.open("receivable", AccountKind::Asset);
    ledger.open("sales", AccountKind::Income);
    for (hour, minor) in [(0, 10), (1, 20), (2, 50)] {
        ledger.pay("receivable", "sales", minor, at(hour * HOUR));
    }
    ledger.commit();
    let projected = Projected::of(&ledger);
    let snapshot = projected.reads.snapshot().unwrap();
    let quarter_past = |hour: i64| {
        let row = snapshot.balance(&address("receivable"), Some(at(hour * HOUR + 900)), None).unwrap().unwrap();
        row.totals.balance(AccountKind::Asset)
    };
    assert_eq!([quarter_past(0), quarter_past(1), quarter_past(2)], [10, 30, 80]);
}

/// TigerBeetle, "create/lookup 2-phase transfers": what is posted, pending and released at the end.
#[test]
fn case_2_partial_post_and_void() {
    let mut ledger = Ledger::new();
    ledger.open("a1", AccountKind::Asset);
    ledger.open("a2", AccountKind::Asset);
    ledger.pay("a1", "a2", 15, at(0));
    let holds: Vec<_> = [(15, None), (15, None), (15, Some(at(1))), (7, None), (1, None), (1, None)]
        .into_iter()
        .map(|(minor, expires_at)| ledger.hold("a1", "a2", minor, at(0), expires_at))
        .collect();
    ledger.commit();
    let projected = Projected::of(&ledger);
    let totals = |account: &str| projected.reads.snapshot().unwrap().account(&address(account)).unwrap().unwrap().totals;
    assert_eq!(totals("a1"), Totals { debits_posted: 15, debits_pending: 54, ..Totals::default() });

    ledger.advance(1);
    ledger.expire();
    let now = ledger.now;
    ledger.post_hold(holds[0], Some(vec![13]), now).unwrap();
    ledger.void(holds[1]).unwrap();
    ledger.post_hold(holds[3], None, now).unwrap();
    ledger.post_hold(holds[4], None, now).unwrap();
    ledger.post_hold(holds[5], Some(vec![0]), now).unwrap();
    ledger.commit();
    projected.wait(&ledger);
    assert_eq!(totals("a1"), Totals { debits_posted: 36, ..Totals::default() });
    assert_eq!(totals("a2"), Totals { credits_posted: 36, ..Totals::default() });
    let entry = projected.reads.snapshot().unwrap().entry(holds[0]).unwrap().unwrap();
    assert_eq!((entry.transfers[0].amount_minor, entry.transfers[0].posted_minor), (15, 13));
}
