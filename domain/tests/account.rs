//! Accounts: each command's acceptance and each of its refusals.

use cauri_domain::RefusalCode as Code;
use cauri_domain::account::{
    Account, AccountClosed, AccountEvent, AccountFrozen, AccountKind, AccountOpened, AccountReopened, AccountUnfrozen, CloseAccount,
    LimitsChanged, OpenAccount, Side, decide,
};
use cauri_domain::entry::{PostEntry, TransferAmount};
use cauri_domain::ids::{CommandKey, EntryId};
use cauri_domain::kind::Kind;
use cauri_domain::limits::{Limits, UncheckedLimits};
use cauri_domain::money::Currency;

use crate::support::{Ledger, address, entry_id, given, text, then_refused, xof};

fn opened(limits: Limits) -> AccountEvent {
    AccountEvent::Opened(AccountOpened {
        chart_code: None,
        currency: Currency::XOF,
        kind: AccountKind::Liability,
        limits,
        metadata: Default::default(),
        owner: None,
    })
}

// Open.

#[test]
fn an_account_opens_where_none_was_opened() {
    given("").when_account("open a").then_expect_events(vec![opened(Limits::default())]);
    let limits = Limits { ceiling: Some(xof(2_000_000)), floor: Some(xof(-5_000)) };
    given("").when_account("open a floor -5000 ceiling 2000000").then_expect_events(vec![opened(limits)]);
}

#[test]
fn an_opening_keeps_everything_that_was_said_of_the_account() {
    let open = OpenAccount {
        address: address("merchants:awa:available"),
        chart_code: Some(text("4191")),
        currency: Currency::XOF,
        kind: AccountKind::Liability,
        limits: Some(UncheckedLimits::floor_zero()),
        metadata: [("country".parse().expect("a key"), text("CI"))].into(),
        owner: Some(text("party-7")),
    };
    let mut ledger = Ledger::new();
    let id: CommandKey = "open-awa".parse().expect("a command id");
    ledger.execute(&cauri_domain::LedgerCommand::open_account(open.clone()), &id).expect("opened");
    let expected = AccountOpened {
        chart_code: open.chart_code,
        currency: open.currency,
        kind: open.kind,
        limits: Limits { ceiling: None, floor: Some(xof(0)) },
        metadata: open.metadata,
        owner: open.owner,
    };
    assert_eq!(ledger.history, [crate::support::Happened::Account(open.address, AccountEvent::Opened(expected))]);
}

#[test]
fn an_address_is_opened_once_whatever_became_of_the_account() {
    for script in ["open a", "open a \n freeze a", "open a \n close a", "open a \n close a \n reopen a"] {
        then_refused(given(script).when_account("open a EUR"), Code::AccountExists, Some("/address"));
    }
}

#[test]
fn limits_of_an_opening_must_make_sense_in_the_accounts_currency() {
    then_refused(given("").when_account("open a floor 1"), Code::InvalidLimits, Some("/limits/floor"));
    then_refused(given("").when_account("open a ceiling -1"), Code::InvalidLimits, Some("/limits/ceiling"));
    then_refused(given("").when_account("open a floor -0.5"), Code::AmountScale, Some("/limits"));
    then_refused(given("").when_account("open a ceiling 1EUR"), Code::CurrencyMismatch, Some("/limits"));
    then_refused(given("").when_account("open a ceiling 1000000000000000001"), Code::AmountTooLarge, Some("/limits"));
}

// Freeze and unfreeze.

#[test]
fn an_open_account_can_be_frozen_and_a_frozen_one_unfrozen() {
    given("open a").when_account("freeze a").then_expect_events(vec![AccountEvent::Frozen(AccountFrozen { reason: None })]);
    given("open a \n freeze a").when_account("unfreeze a").then_expect_events(vec![AccountEvent::Unfrozen(AccountUnfrozen {})]);
}

#[test]
fn only_an_open_account_can_be_frozen() {
    then_refused(given("").when_account("freeze a"), Code::AccountNotFound, None);
    then_refused(given("open a \n close a").when_account("freeze a"), Code::AccountClosed, None);
    then_refused(given("open a \n freeze a").when_account("freeze a"), Code::AccountFrozen, None);
}

#[test]
fn only_a_frozen_account_can_be_unfrozen() {
    then_refused(given("").when_account("unfreeze a"), Code::AccountNotFound, None);
    then_refused(given("open a \n close a").when_account("unfreeze a"), Code::AccountClosed, None);
    then_refused(given("open a").when_account("unfreeze a"), Code::AccountNotFrozen, None);
}

// Close and reopen.

#[test]
fn an_empty_account_closes_without_a_sweep() {
    let closed = AccountClosed { reason: None, swept_by: None };
    given("open a").when_account("close a").then_expect_events(vec![AccountEvent::Closed(closed)]);
    let mut ledger = Ledger::after("open a");
    assert_eq!(ledger.says("close a into nowhere by s"), "account.closed", "nothing is swept, so nobody asks where to");
}

#[test]
fn what_is_left_is_swept_in_the_commit_of_the_closing() {
    let mut ledger = Ledger::after("open a \n open b \n open c \n post e b->a 10");
    let happened = ledger.accepts("close a into c by sweep");
    assert_eq!(happened.iter().map(|happened| happened.name()).collect::<Vec<_>>(), ["entry.posted", "account.closed"]);
    let closed = AccountClosed { reason: None, swept_by: Some(entry_id("sweep")) };
    assert_eq!(happened[1], crate::support::Happened::Account(address("a"), AccountEvent::Closed(closed)));
    assert_eq!((ledger.balance("a"), ledger.balance("c")), ((0, 0), (10, 10)));
}

#[test]
fn a_sweep_that_is_refused_leaves_the_account_open_and_full() {
    for (target, answer) in [
        ("", "account_not_empty"),
        ("into nowhere", "account_not_found"),
        ("into shut", "account_closed"),
        ("into ice", "account_frozen"),
        ("into euro", "currency_mismatch"),
        ("into a", "same_account"),
        ("into full", "above_ceiling"),
        ("into b by e", "entry_exists"),
    ] {
        let mut ledger = Ledger::after(
            "open a \n open b \n open shut \n close shut \n open ice \n freeze ice \n open euro EUR \n open full ceiling 9 \n post e b->a 10",
        );
        assert_eq!(ledger.says(&format!("close a {target}")), answer);
        assert_eq!(ledger.balance("a"), (10, 10));
        assert!(matches!(ledger.account_at("a"), Account::Open(_)));
    }
}

#[test]
fn a_frozen_account_with_something_left_is_refused_by_what_has_precedence() {
    for (target, answer) in [
        ("", "account_frozen"),
        ("into c", "account_frozen"),
        ("into nowhere", "account_not_found"),
        ("into shut", "account_closed"),
        ("into c by e", "entry_exists"),
        ("into euro", "account_frozen"),
    ] {
        let mut ledger =
            Ledger::after("open a \n open b \n open c \n open shut \n close shut \n open euro EUR \n post e b->a 10 \n freeze a");
        assert_eq!(ledger.says(&format!("close a {target}")), answer, "{target}");
    }
}

#[test]
fn a_sweep_needs_a_target_only_where_something_is_left() {
    let balances = given("open a \n open b \n post e b->a 10").balances();
    let id: CommandKey = "close-a".parse().expect("a command id");
    let sweep = |target| {
        let close = CloseAccount { sweep_to: target, ..CloseAccount::default() };
        decide::sweep(&balances.account(&address("a")), &address("a"), &close, &id, &balances)
    };
    let refusal = sweep(None).expect_err("nowhere to go");
    assert_eq!((refusal.code, refusal.pointer.as_deref()), (Code::AccountNotEmpty, Some("/sweep_to")));
    let PostEntry { id: entry, transfers, .. } = sweep(Some(address("c"))).expect("a target").expect("something is left");
    assert_eq!(entry, Some(EntryId::derived_from(&id)), "derived from the command where nobody named one");
    assert_eq!((&transfers[0].debit, &transfers[0].credit), (&address("a"), &address("c")));
    assert_eq!(transfers[0].amount, TransferAmount::Exactly(xof(10).into()));
}

#[test]
fn what_is_left_is_what_open_holds_do_not_claim() {
    let left = |script: &str| given(script).balances().left_over(&address("a"));
    assert_eq!(left("open a \n open b"), None);
    assert_eq!(left("open a \n open b \n post e b->a 10"), Some((Side::Credit, xof(10))));
    assert_eq!(left("open a \n open b \n post e b->a 10 \n hold h a->b 4"), Some((Side::Credit, xof(6))));
    assert_eq!(left("open a \n open b \n post e b->a 10 \n hold h b->a 4"), Some((Side::Credit, xof(10))));
    assert_eq!(left("open a \n open b \n post e b->a 10 \n hold h a->b 10"), None);
    // Overdrawn: the other side, less what holds will bring.
    assert_eq!(left("open a \n open b \n post e a->b 10"), Some((Side::Debit, xof(10))));
    assert_eq!(left("open a \n open b \n post e a->b 10 \n hold h b->a 4"), Some((Side::Debit, xof(6))));
    assert_eq!(left("open a asset \n open b \n post e a->b 10"), Some((Side::Debit, xof(10))));
    assert_eq!(given("").balances().left_over(&address("a")), None);
}

#[test]
fn only_an_open_account_can_be_closed() {
    then_refused(given("").when_account("close a"), Code::AccountNotFound, None);
    then_refused(given("open a \n close a").when_account("close a"), Code::AccountClosed, None);
    then_refused(given("open a \n freeze a").when_account("close a"), Code::AccountFrozen, None);
}

#[test]
fn a_closed_account_reopens_with_the_terms_it_had() {
    given("open a \n close a").when_account("reopen a").then_expect_events(vec![AccountEvent::Reopened(AccountReopened {})]);
    let mut ledger = Ledger::after("open a asset floor -7 \n close a");
    let closed = ledger.account_at("a");
    ledger.accepts("reopen a");
    assert_eq!(ledger.account_at("a").terms(), closed.terms());
}

#[test]
fn only_a_closed_account_can_be_reopened() {
    then_refused(given("").when_account("reopen a"), Code::AccountNotFound, None);
    then_refused(given("open a").when_account("reopen a"), Code::AccountNotClosed, None);
    then_refused(given("open a \n freeze a").when_account("reopen a"), Code::AccountNotClosed, None);
}

// Limits.

#[test]
fn limits_are_replaced_both_at_once_also_on_a_frozen_account() {
    for script in ["open a floor -5", "open a floor -5 \n freeze a"] {
        let limits = Limits { ceiling: Some(xof(9)), floor: None };
        given(script).when_account("limits a ceiling 9").then_expect_events(vec![AccountEvent::LimitsChanged(LimitsChanged { limits })]);
    }
}

#[test]
fn limits_that_the_account_already_breaks_are_refused_counting_holds() {
    let script = "open a \n open b \n post e a->b 3 \n hold out a->b 4 \n hold in b->a 20";
    // a: −3, of which 4 more may go and 20 may come: available −7, expected 17.
    given(script).when_account("limits a floor -7 ceiling 17").inspect_result().expect("just within");
    then_refused(given(script).when_account("limits a floor -6"), Code::BelowFloor, Some("/limits/floor"));
    then_refused(given(script).when_account("limits a ceiling 16"), Code::AboveCeiling, Some("/limits/ceiling"));
}

#[test]
fn limits_of_an_account_that_is_not_there_are_refused() {
    then_refused(given("").when_account("limits a floor 0"), Code::AccountNotFound, None);
    then_refused(given("open a \n close a").when_account("limits a floor 0"), Code::AccountClosed, None);
    then_refused(given("open a").when_account("limits a floor 1"), Code::InvalidLimits, Some("/limits/floor"));
    then_refused(given("open a").when_account("limits a floor 0.1"), Code::AmountScale, Some("/limits"));
    then_refused(given("open a").when_account("limits a floor 0EUR"), Code::CurrencyMismatch, Some("/limits"));
}

// What is stored can only follow from what was stored before.

/// What `If-Match` is compared with.
#[test]
fn the_version_of_an_account_is_the_number_of_its_events() {
    let mut ledger = Ledger::after("open b");
    assert_eq!(ledger.balances().version(&address("a")), 0, "it was never opened");
    let script = ["open a", "freeze a", "unfreeze a", "limits a floor -9", "close a", "reopen a"];
    for (line, version) in script.into_iter().zip(1..) {
        ledger.accepts(line);
        assert_eq!(ledger.balances().version(&address("a")), version, "after {line}");
    }
    ledger.accepts("post e a->b 5");
    assert_eq!((ledger.balances().version(&address("a")), ledger.balances().version(&address("b"))), (6, 1), "entries are other streams");
    let mark = ledger.state.mark();
    ledger.accepts("freeze a");
    ledger.state.roll_back(mark);
    assert_eq!(ledger.balances().version(&address("a")), 6, "what was rolled back never was");
}

/// An upcast may make several events of a stored one; the journal's number is then noted, and counting goes on from it.
#[test]
fn a_version_that_is_noted_replaces_the_count_of_events() {
    let mut balances = given("open a \n open b \n freeze a").balances();
    balances.note_version(&address("a"), 1);
    assert_eq!((balances.version(&address("a")), balances.version(&address("b"))), (1, 1));
    balances.apply_account(&address("a"), &AccountEvent::Unfrozen(AccountUnfrozen {})).expect("it is frozen");
    assert_eq!(balances.version(&address("a")), 2);
    balances.note_version(&address("nobody"), 7);
    assert_eq!(balances.version(&address("nobody")), 0);
}

#[test]
fn an_event_that_cannot_follow_is_corruption_not_a_refusal() {
    let mut balances = given("open a").balances();
    let illegal = balances.apply_account(&address("a"), &AccountEvent::Unfrozen(AccountUnfrozen {})).expect_err("it is not frozen");
    assert_eq!(illegal.to_string(), "`account.unfrozen` is not possible for an account that is open");
    for event in [AccountEvent::Frozen(AccountFrozen::default()), AccountEvent::Reopened(AccountReopened {})] {
        balances.apply_account(&address("b"), &event).expect_err("it was never opened");
    }
}

#[test]
fn an_opening_beyond_its_own_limits_is_corruption() {
    let limits = Limits { ceiling: None, floor: Some(xof(1)) };
    given("").balances().apply_account(&address("a"), &opened(limits)).expect_err("an empty account is below a floor of 1");
}
