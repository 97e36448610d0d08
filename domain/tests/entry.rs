//! Entries: each command's acceptance and each of its refusals.

use cauri_domain::RefusalCode as Code;
use cauri_domain::entry::{
    AnnotateEntry, Entry, EntryAnnotated, EntryEvent, EntryHeld, EntryPosted, EntryReversed, HoldExpired, HoldPosted, HoldPostedTransfer,
    HoldVoided, PostEntry, ReverseEntry, Transfer, TransferRequest, opposite,
};
use cauri_domain::fold::{Balances, Totals};
use cauri_domain::money::MAX_MINOR;
use serde_json::json;

use crate::support::{Ledger, address, at, entry_id, given, text, then_refused, totals, xof};

const OPEN: &str = "open a \n open b";

fn transfer(debit: &str, credit: &str, minor: i64) -> Transfer {
    Transfer { amount: xof(minor), credit: address(credit), debit: address(debit), reason: None }
}

fn posted(transfers: impl Into<std::sync::Arc<[Transfer]>>) -> EntryPosted {
    EntryPosted { dimensions: Default::default(), effective_at: at(0), reference: None, reverses: None, transfers: transfers.into() }
}

fn held(transfers: impl Into<std::sync::Arc<[Transfer]>>) -> EntryHeld {
    EntryHeld { dimensions: Default::default(), effective_at: at(0), expires_at: None, reference: None, transfers: transfers.into() }
}

fn out_of_hold(held: i64, moved: i64) -> HoldPostedTransfer {
    HoldPostedTransfer { amount: xof(moved), credit: address("b"), debit: address("a"), held: xof(held), reason: None }
}

// Post.

#[test]
fn an_entry_posts_all_its_transfers_at_once() {
    let expected = EntryEvent::Posted(posted([transfer("a", "b", 10), transfer("b", "a", 3)]));
    given(OPEN).when_entry("post e a->b 10, b->a 3").then_expect_events(vec![expected]);
}

#[test]
fn an_entry_keeps_everything_that_was_said_of_it() {
    let post = PostEntry {
        dimensions: [("merchant".parse().expect("a key"), text("awa"))].into(),
        effective_at: Some(at(-86_400)),
        id: Some(entry_id("e")),
        reference: Some(text("INV-7")),
        transfers: vec![TransferRequest {
            debit: address("a"),
            credit: address("b"),
            amount: cauri_domain::entry::TransferAmount::Exactly(xof(10).into()),
            reason: Some(text("fee")),
        }],
        ..PostEntry::default()
    };
    let mut ledger = Ledger::after(OPEN);
    let id = "post-e".parse().expect("a command id");
    let happened = ledger.execute(&cauri_domain::LedgerCommand::post_entry(post.clone(), &id), &id).expect("posted");
    let expected = EntryPosted {
        dimensions: post.dimensions,
        effective_at: at(-86_400),
        reference: post.reference,
        reverses: None,
        transfers: [Transfer { reason: Some(text("fee")), ..transfer("a", "b", 10) }].into(),
    };
    assert_eq!(happened, [crate::support::Happened::Entry(entry_id("e"), EntryEvent::Posted(expected))]);
}

#[test]
fn an_id_is_used_once_whatever_became_of_the_entry() {
    for script in ["post e a->b 1", "hold e a->b 1", "hold e a->b 1 \n void e", "post e a->b 1 \n reverse e by r"] {
        then_refused(given(&format!("{OPEN}\n{script}")).when_entry("post e a->b 1"), Code::EntryExists, Some("/id"));
    }
}

#[test]
fn both_accounts_of_every_transfer_must_be_open() {
    let script = "open a \n open shut \n close shut \n open ice \n freeze ice";
    for (name, code) in [("none", Code::AccountNotFound), ("shut", Code::AccountClosed), ("ice", Code::AccountFrozen)] {
        let refused = |line: String, pointer| then_refused(given(script).when_entry(&line), code, Some(pointer));
        refused(format!("post e {name}->a 1"), "/transfers/0/debit");
        refused(format!("post e a->{name} 1"), "/transfers/0/credit");
        refused(format!("hold e a->{name} 1"), "/transfers/0/credit");
        refused(format!("post e a->{name} 1, {name}->a 1"), "/transfers/0/credit");
    }
    then_refused(given(script).when_entry("post e a->ice 1, a->shut 1"), Code::AccountClosed, Some("/transfers/1/credit"));
    then_refused(given(script).when_entry("post e shut->a 1, a->none 1"), Code::AccountNotFound, Some("/transfers/1/credit"));
}

#[test]
fn a_transfer_is_in_the_currency_of_both_its_accounts() {
    let script = "open a \n open b \n open euro EUR";
    then_refused(given(script).when_entry("post e a->b 1, a->euro 1"), Code::CurrencyMismatch, Some("/transfers/1/credit"));
    then_refused(given(script).when_entry("post e euro->a 1"), Code::CurrencyMismatch, Some("/transfers/0/debit"));
    then_refused(given(script).when_entry("post e a->b 1EUR"), Code::CurrencyMismatch, Some("/transfers/0/debit"));
    then_refused(given(script).when_entry("post e a->b <=1XAF"), Code::CurrencyMismatch, Some("/transfers/0/debit"));
}

#[test]
fn a_transfer_has_two_sides() {
    then_refused(given(OPEN).when_entry("post e a->b 1, b->b 1"), Code::SameAccount, Some("/transfers/1"));
}

#[test]
fn an_amount_is_more_than_zero_of_the_currencys_scale_and_not_too_large() {
    for (amount, code) in [
        ("0", Code::AmountNotPositive),
        ("-1", Code::AmountNotPositive),
        ("-0", Code::AmountNotPositive),
        ("0.5", Code::AmountScale),
        ("1000000000000000001", Code::AmountTooLarge),
    ] {
        then_refused(given(OPEN).when_entry(&format!("post e a->b 1, a->b {amount}")), code, Some("/transfers/1/amount"));
        then_refused(given(OPEN).when_entry(&format!("hold e a->b {amount}")), code, Some("/transfers/0/amount"));
        then_refused(given(OPEN).when_entry(&format!("post e a->b <={amount}")), code, Some("/transfers/0/up_to"));
    }
}

#[test]
fn an_entry_may_be_dated_back_at_will_and_ahead_by_seven_days() {
    for days in ["-36500d", "-1s", "+7d"] {
        given(OPEN).when_entry(&format!("post e a->b 1 at {days}")).inspect_result().expect("within the limit");
    }
    then_refused(given(OPEN).when_entry("post e a->b 1 at +604801s"), Code::EffectiveInFutureTooFar, Some("/effective_at"));
    then_refused(given(OPEN).when_entry("hold e a->b 1 at +8d"), Code::EffectiveInFutureTooFar, Some("/effective_at"));
}

#[test]
fn limits_hold_after_all_transfers_of_an_entry_not_after_each() {
    let script = "open a floor 0 \n open b ceiling 10";
    given(script).when_entry("post e a->b 10, b->a 10").inspect_result().expect("a ends at 0");
    given(script).when_entry("post e a->b 15, b->a 15").inspect_result().expect("b ends at 0");
    then_refused(given(script).when_entry("post e a->b 10, b->a 9"), Code::BelowFloor, None);
    then_refused(given(script).when_entry("post e b->a 20, a->b 31"), Code::BelowFloor, None);
    then_refused(given("open a \n open b ceiling 10").when_entry("post e a->b 11"), Code::AboveCeiling, None);
}

#[test]
fn a_floor_is_seen_from_the_normal_side() {
    let script = "open asset asset floor 0 \n open debt liability floor 0 \n open x";
    given(script).when_entry("post e asset->x 5").inspect_result().expect("a debit is more of an asset");
    given(script).when_entry("post e x->debt 5").inspect_result().expect("a credit is more of a liability");
    then_refused(given(script).when_entry("post e x->asset 5"), Code::BelowFloor, None);
    then_refused(given(script).when_entry("post e debt->x 5"), Code::BelowFloor, None);
}

#[test]
fn holds_count_against_both_limits_and_never_for_them() {
    let script = "open a floor 0 ceiling 20 \n open b \n post e b->a 10 \n hold out a->b 4 \n hold in b->a 7";
    given(script).when_entry("post f a->b 6").inspect_result().expect("10 − 4 are available");
    then_refused(given(script).when_entry("post f a->b 7"), Code::BelowFloor, None);
    given(script).when_entry("post f b->a 3").inspect_result().expect("10 + 7 are expected");
    then_refused(given(script).when_entry("post f b->a 4"), Code::AboveCeiling, None);
}

#[test]
fn a_refusal_of_a_limit_gives_the_figures() {
    let refusal = given("open a floor -5 \n open b \n post e a->b 2").when_entry("post f a->b 4").inspect_result().expect_err("beyond −5");
    assert_eq!(refusal.detail, "a has -2 XOF available and a floor of -5 XOF; it would have -6 XOF");
}

#[test]
fn up_to_moves_what_the_limits_of_both_accounts_leave() {
    let script = "open a floor -5 \n open b ceiling 3 \n open c";
    let moves = |line: &str, expected: &[Transfer]| {
        given(script).when_entry(line).then_expect_events(vec![EntryEvent::Posted(posted(expected))]);
    };
    moves("post e a->c <=100", &[transfer("a", "c", 5)]);
    moves("post e c->b <=100", &[transfer("c", "b", 3)]);
    moves("post e a->b <=2", &[transfer("a", "b", 2)]);
    moves("post e c->a <=100", &[transfer("c", "a", 100)]);
    // In order: what an earlier transfer of the entry moved is counted, what a later one will move is not.
    moves("post e c->a 10, a->c <=100", &[transfer("c", "a", 10), transfer("a", "c", 15)]);
    moves("post e a->c <=100, c->a 10", &[transfer("a", "c", 5), transfer("c", "a", 10)]);
    moves("post e a->c 7, a->c <=100, c->a 7", &[transfer("a", "c", 7), transfer("a", "c", 0), transfer("c", "a", 7)]);
}

#[test]
fn an_account_counts_to_its_end_and_then_refuses() {
    let full = format!("open a \n open b \n post e1 a->b {MAX_MINOR} \n post e2 a->b {MAX_MINOR}");
    let room = Totals::MAX - 2 * MAX_MINOR;
    given(&full).when_entry(&format!("post e3 a->b {room}")).inspect_result().expect("the last that fits");
    then_refused(given(&full).when_entry(&format!("post e3 a->b {}", room + 1)), Code::TurnoverExhausted, None);
    then_refused(given(&full).when_entry(&format!("hold h a->b {}", room + 1)), Code::TurnoverExhausted, None);
    let many = vec![format!("a->b {MAX_MINOR}"); 1_000].join(", ");
    then_refused(given(OPEN).when_entry(&format!("post e {many}")), Code::TurnoverExhausted, None);
    // Whatever the account's limits are: of what cannot be counted nobody knows whether it keeps to them.
    let limited = "open a floor 0 ceiling 5 \n open b floor 0 ceiling 5";
    then_refused(given(limited).when_entry(&format!("post e {many}")), Code::TurnoverExhausted, None);
}

#[test]
fn an_account_that_cannot_count_more_is_named_with_what_it_can_count() {
    let many = vec![format!("a->b {MAX_MINOR}"); 3].join(", ");
    let refusal =
        given("open a EUR \n open b EUR").when_entry(&format!("post e {}", many.replace(&MAX_MINOR.to_string(), "10000000000000000EUR")));
    let refusal = refusal.inspect_result().expect_err("3 times 10^18 cents");
    let expected =
        "a can count 23058430092136939.51 EUR on each side in its whole life, holds included; this would exceed it: use another account";
    assert_eq!(refusal.detail, expected);
}

#[test]
fn up_to_is_not_reduced_to_what_an_account_can_still_count() {
    // To move less than the limits leave because a counter is full would hide from the caller that the account is used up.
    let full = format!("open a \n open b \n post e1 a->b {MAX_MINOR} \n post e2 a->b {MAX_MINOR}");
    then_refused(given(&full).when_entry(&format!("post e3 a->b <={MAX_MINOR}")), Code::TurnoverExhausted, None);
    let room = Totals::MAX - 2 * MAX_MINOR;
    given(&full)
        .when_entry(&format!("post e3 a->b <={room}"))
        .then_expect_events(vec![EntryEvent::Posted(posted([transfer("a", "b", room)]))]);
    // The limits leave nothing: it moves 0, and nothing is counted.
    let empty = format!("{full} \n post e4 b->a {MAX_MINOR} \n post e5 b->a {MAX_MINOR} \n limits a floor 0");
    given(&empty).when_entry("post e6 a->b <=1").then_expect_events(vec![EntryEvent::Posted(posted([transfer("a", "b", 0)]))]);
}

#[test]
fn a_hold_that_was_accepted_can_be_posted_however_much_was_counted_meanwhile() {
    let mut ledger = Ledger::after(&format!("open a \n open b \n hold h a->b {MAX_MINOR} \n post e1 a->b {MAX_MINOR}"));
    let room = Totals::MAX - 2 * MAX_MINOR;
    assert_eq!(ledger.says(&format!("post e2 a->b {}", room + 1)), "turnover_exhausted", "the hold will need it");
    ledger.accepts(&format!("post e2 a->b {room} \n post_hold h"));
    assert_eq!(ledger.totals("a"), totals(Totals::MAX, 0, 0, 0));
}

// Hold.

#[test]
fn a_hold_takes_from_what_is_available_and_moves_nothing() {
    given(OPEN).when_entry("hold h a->b 10").then_expect_events(vec![EntryEvent::Held(held([transfer("a", "b", 10)]))]);
    let expiring = EntryHeld { expires_at: Some(at(60)), ..held([transfer("a", "b", 10)]) };
    given(OPEN).when_entry("hold h a->b 10 until +60s").then_expect_events(vec![EntryEvent::Held(expiring)]);
    let ledger = Ledger::after(&format!("{OPEN} \n hold h a->b 10"));
    assert_eq!((ledger.totals("a"), ledger.totals("b")), (totals(0, 0, 10, 0), totals(0, 0, 0, 10)));
    assert_eq!((ledger.balance("a"), ledger.balance("b")), ((0, -10), (0, 0)));
}

#[test]
fn a_hold_that_would_expire_at_once_is_refused() {
    for time in ["-1s", "+0s"] {
        then_refused(given(OPEN).when_entry(&format!("hold h a->b 1 until {time}")), Code::HoldExpired, Some("/hold/expires_at"));
    }
}

// Post a hold.

#[test]
fn a_hold_is_posted_in_full_in_part_or_with_nothing() {
    let script = format!("{OPEN} \n hold h a->b 10, a->b 5");
    for (line, moved) in [
        ("post_hold h", [10, 5]),
        ("post_hold h amounts 10 5", [10, 5]),
        ("post_hold h amounts 3 5", [3, 5]),
        ("post_hold h amounts 0 -0", [0, 0]),
    ] {
        let transfers = [out_of_hold(10, moved[0]), out_of_hold(5, moved[1])].into();
        let expected = EntryEvent::HoldPosted(HoldPosted { effective_at: at(0), transfers });
        given(&script).when_entry(line).then_expect_events(vec![expected]);
    }
    let mut ledger = Ledger::after(&script);
    ledger.accepts("post_hold h amounts 3 5");
    assert_eq!((ledger.totals("a"), ledger.totals("b")), (totals(8, 0, 0, 0), totals(0, 8, 0, 0)));
    assert_eq!(ledger.balances().open_holds(), 0);
}

#[test]
fn a_hold_is_never_posted_before_it_was_made() {
    let script = format!("{OPEN} \n hold h a->b 10 at +2d");
    for line in ["post_hold h", "post_hold h at -1d"] {
        let expected = HoldPosted { effective_at: at(2 * 86_400), transfers: [out_of_hold(10, 10)].into() };
        given(&script).when_entry(line).then_expect_events(vec![EntryEvent::HoldPosted(expected)]);
    }
    let expected = HoldPosted { effective_at: at(3 * 86_400), transfers: [out_of_hold(10, 10)].into() };
    given(&script).when_entry("post_hold h at +3d").then_expect_events(vec![EntryEvent::HoldPosted(expected)]);
}

#[test]
fn a_hold_is_not_posted_on_an_account_that_is_not_open() {
    for (script, code) in [
        ("freeze a", Code::AccountFrozen),
        ("freeze b", Code::AccountFrozen),
        ("close a", Code::AccountClosed),
        ("close b", Code::AccountClosed),
        ("freeze a \n close b", Code::AccountClosed),
    ] {
        then_refused(given(&format!("{OPEN} \n hold h a->b 10 \n {script}")).when_entry("post_hold h"), code, None);
    }
}

#[test]
fn what_is_posted_must_fit_what_was_held() {
    let refused = |line: &str, code, pointer| {
        then_refused(given(&format!("{OPEN} \n hold h a->b 10, a->b 5")).when_entry(line), code, Some(pointer));
    };
    refused("post_hold h amounts 10 6", Code::ExceedsHold, "/amounts/1");
    refused("post_hold h amounts 10", Code::HoldAmountsMismatch, "/amounts");
    refused("post_hold h amounts 10 5 0", Code::HoldAmountsMismatch, "/amounts");
    refused("post_hold h amounts 10 5EUR", Code::CurrencyMismatch, "/amounts/1");
    refused("post_hold h amounts 10 -1", Code::AmountNotPositive, "/amounts/1");
    refused("post_hold h amounts 0.5 5", Code::AmountScale, "/amounts/0");
    refused("post_hold h amounts 1000000000000000001 5", Code::AmountTooLarge, "/amounts/0");
    refused("post_hold h at +8d", Code::EffectiveInFutureTooFar, "/effective_at");
}

/// Whether it is posted or voided: only an open hold can be.
#[test]
fn a_hold_is_resolved_once() {
    for line in ["post_hold h", "void h"] {
        let refused = |script: &str, code| then_refused(given(&format!("{OPEN} \n {script}")).when_entry(line), code, None);
        refused("", Code::HoldNotFound);
        refused("post h a->b 1", Code::HoldNotFound);
        refused("post h a->b 1 \n reverse h by r", Code::HoldNotFound);
        refused("hold h a->b 1 \n post_hold h", Code::HoldAlreadyPosted);
        refused("hold h a->b 1 \n post_hold h amounts 0", Code::HoldAlreadyPosted);
        refused("hold h a->b 1 \n post_hold h \n reverse h by r", Code::HoldAlreadyPosted);
        refused("hold h a->b 1 \n void h", Code::HoldAlreadyVoided);
        refused("hold h a->b 1 until +1s \n wait +1s", Code::HoldExpired);
    }
}

/// What a person reads who gave the wrong id: whether it is unknown, or known as something else.
#[test]
fn a_hold_that_is_not_found_says_whether_the_id_is_unknown_or_no_hold() {
    for line in ["post_hold h", "void h"] {
        let detail = |script: &str| {
            let answer = given(&format!("{OPEN} \n {script}")).when_entry(line).inspect_result();
            answer.expect_err("no open hold").detail
        };
        assert_eq!(detail(""), "no entry was written under this id", "{line}");
        for script in ["post h a->b 1", "post h a->b 1 \n reverse h by r"] {
            assert_eq!(detail(script), "the entry was posted at once, it is no hold", "{line} after {script}");
        }
    }
}

// Void and expire.

#[test]
fn a_hold_is_voided_whatever_became_of_its_accounts() {
    for script in ["", "freeze a", "close a", "close b \n freeze a"] {
        let expected = HoldVoided { effective_at: at(0), reason: None, transfers: [transfer("a", "b", 10)].into() };
        let script = format!("{OPEN} \n hold h a->b 10 \n {script}");
        given(&script).when_entry("void h").then_expect_events(vec![EntryEvent::HoldVoided(expected)]);
        let mut ledger = Ledger::after(&script);
        ledger.accepts("void h");
        assert_eq!((ledger.totals("a"), ledger.totals("b")), (Totals::default(), Totals::default()));
    }
}

#[test]
fn a_hold_expires_when_its_time_has_come_whatever_became_of_its_accounts() {
    for script in ["", "freeze a", "close a", "close b \n freeze a"] {
        let expected = HoldExpired { effective_at: at(60), transfers: [transfer("a", "b", 10)].into() };
        let script = format!("{OPEN} \n hold h a->b 10 until +60s \n {script}");
        given(&script).later(60).when_entry("expire h").then_expect_events(vec![EntryEvent::HoldExpired(expected)]);
    }
}

#[test]
fn holds_expire_in_the_order_of_their_times() {
    let mut ledger = Ledger::after(OPEN);
    ledger.accepts("hold h3 a->b 1 until +3s \n hold h1 a->b 1 until +1s \n hold h0 a->b 1 \n hold h2 a->b 1 until +2s");
    let all = [(at(1), entry_id("h1")), (at(2), entry_id("h2")), (at(3), entry_id("h3"))];
    assert_eq!(ledger.balances().expiries().collect::<Vec<_>>(), all);
    let before = ledger.history.len();
    ledger.accepts("wait +9s");
    let expired: Vec<_> = ledger.history[before..].iter().map(|happened| format!("{happened:?}")).collect();
    assert_eq!(expired.len(), 3, "h0 never expires");
    for (expired, name) in expired.iter().zip(["h1", "h2", "h3"]) {
        assert!(expired.contains(&entry_id(name).to_string()), "{expired} is {name}");
    }
    assert_eq!((ledger.balances().expiries().next(), ledger.balances().open_holds()), (None, 1));
}

// Reverse.

#[test]
fn an_entry_is_undone_by_its_opposite_which_links_back() {
    let mut ledger = Ledger::after(&format!("{OPEN} \n open c \n post e a->b 10, b->c 4"));
    let happened = ledger.accepts("reverse e by r");
    let opposite = EntryPosted { reverses: Some(entry_id("e")), ..posted([transfer("b", "a", 10), transfer("c", "b", 4)]) };
    let expected = [
        crate::support::Happened::Entry(entry_id("e"), EntryEvent::Reversed(EntryReversed { by: entry_id("r"), reason: None })),
        crate::support::Happened::Entry(entry_id("r"), EntryEvent::Posted(opposite)),
    ];
    assert_eq!(happened, expected);
    assert_eq!([ledger.balance("a"), ledger.balance("b"), ledger.balance("c")], [(0, 0); 3]);
}

#[test]
fn the_opposite_is_dated_now_or_at_the_originals_date() {
    let script = format!("{OPEN} \n post e a->b 10 at -3d");
    for (line, effective_at) in [("reverse e by r", at(0)), ("reverse e by r dated", at(-3 * 86_400))] {
        let happened = Ledger::after(&script).accepts(line);
        let crate::support::Happened::Entry(_, EntryEvent::Posted(opposite)) = &happened[1] else { panic!("{happened:?}") };
        assert_eq!(opposite.effective_at, effective_at);
    }
}

#[test]
fn of_a_posted_hold_what_moved_is_undone_and_no_more() {
    let mut ledger = Ledger::after(&format!("{OPEN} \n hold h a->b 10, a->b 5, b->a 2 \n post_hold h amounts 3 0 2"));
    let happened = ledger.accepts("reverse h by r");
    let opposite = EntryPosted { reverses: Some(entry_id("h")), ..posted([transfer("b", "a", 3), transfer("a", "b", 2)]) };
    assert_eq!(happened[1], crate::support::Happened::Entry(entry_id("r"), EntryEvent::Posted(opposite)));
    assert_eq!((ledger.balance("a"), ledger.balance("b")), ((0, 0), (0, 0)));
}

#[test]
fn the_reason_of_a_reversal_stands_in_the_opposite_or_else_each_transfers_own() {
    let entry = Entry::Posted(cauri_domain::entry::Posted {
        effective_at: at(0),
        transfers: [Transfer { reason: Some(text("fee")), ..transfer("a", "b", 1) }].into(),
    });
    let reason = |reverse: &ReverseEntry| {
        let opposite = opposite(&entry, entry_id("e"), reverse, entry_id("r")).expect("something moved");
        opposite.transfers[0].reason.clone()
    };
    assert_eq!(reason(&ReverseEntry::default()), Some(text("fee")));
    assert_eq!(reason(&ReverseEntry { reason: Some(text("mistake")), ..ReverseEntry::default() }), Some(text("mistake")));
}

#[test]
fn only_what_moved_is_reversed_and_only_once() {
    let refused = |script: &str, code| then_refused(given(&format!("{OPEN} \n {script}")).when_entry("reverse e by r2"), code, None);
    refused("", Code::EntryNotFound);
    refused("hold e a->b 1", Code::EntryNotPosted);
    refused("hold e a->b 1 \n void e", Code::EntryNotPosted);
    refused("hold e a->b 1 until +1s \n wait +1s", Code::EntryNotPosted);
    refused("hold e a->b 1 \n post_hold e amounts 0", Code::EntryNotPosted);
    refused("limits a floor 0 \n post e a->b <=1", Code::EntryNotPosted);
    refused("post e a->b 1 \n reverse e by r", Code::AlreadyReversed);
    refused("hold e a->b 1 \n post_hold e \n reverse e by r", Code::AlreadyReversed);
}

#[test]
fn an_entry_that_moved_nothing_says_why_there_is_nothing_to_reverse() {
    let detail = |script: &str| {
        let answer = given(&format!("{OPEN} \n {script}")).when_entry("reverse e by r").inspect_result();
        answer.expect_err("nothing to reverse").detail
    };
    assert_eq!(detail("hold e a->b 1"), "the entry is an open hold: void it instead");
    assert_eq!(detail("limits a floor 0 \n post e a->b <=1"), "every transfer of the entry moved 0");
    assert_eq!(detail("hold e a->b 1 \n post_hold e amounts 0"), "every transfer of the entry moved 0");
    assert_eq!(detail("hold e a->b 1 \n void e"), "the hold never moved anything");
    assert_eq!(detail("hold e a->b 1 until +1s \n wait +1s"), "the hold never moved anything");
}

/// The engine writes the opposite under the id that it asked for, which is the one that the reversal names.
#[test]
fn the_opposite_has_the_id_it_was_asked_under_and_names_its_original() {
    let entry = Entry::Posted(cauri_domain::entry::Posted { effective_at: at(0), transfers: [transfer("a", "b", 1)].into() });
    let opposite = opposite(&entry, entry_id("e"), &ReverseEntry::default(), entry_id("r")).expect("something moved");
    assert_eq!((opposite.id, opposite.reverses), (Some(entry_id("r")), Some(entry_id("e"))));
}

#[test]
fn a_reversal_whose_opposite_is_refused_leaves_nothing_behind() {
    for (script, answer) in [
        ("freeze b", "account_frozen"),
        ("close b into a by s", "account_closed"),
        ("post f b->c 4 \n limits b floor 0", "below_floor"),
        ("post f c->a 4 \n limits a ceiling 0", "above_ceiling"),
        ("post r a->b 1", "entry_exists"),
    ] {
        let mut ledger = Ledger::after(&format!("{OPEN} \n open c \n post e a->b 10 \n {script}"));
        let before = ledger.history.len();
        assert_eq!(ledger.says("reverse e by r"), answer, "{script}");
        assert_eq!(ledger.history.len(), before);
        assert!(matches!(ledger.entries[&entry_id("e")], Entry::Posted(_)), "not half reversed");
    }
    assert_eq!(Ledger::after(&format!("{OPEN} \n post e a->b 1")).says("reverse e by e"), "entry_exists", "its own opposite");
}

#[test]
fn a_reversal_can_itself_be_reversed() {
    let mut ledger = Ledger::after(&format!("{OPEN} \n post e a->b 10 \n reverse e by r \n reverse r by again"));
    assert_eq!(ledger.balance("b"), (10, 10));
    assert_eq!(ledger.says("reverse e by third"), "already_reversed");
}

#[test]
fn an_entry_may_be_dated_as_far_ahead_as_the_journals_rules_say_by_then() {
    let mut ledger = Ledger::after(OPEN);
    assert_eq!(ledger.says("post e1 a->b 1 at +8d"), "effective_in_future_too_far");
    assert_eq!(ledger.says("rules 31"), "journal.rules_changed");
    assert_eq!(ledger.says("post e1 a->b 1 at +31d"), "entry.posted");
    assert_eq!(ledger.says("post e2 a->b 1 at +32d"), "effective_in_future_too_far");
    assert_eq!(ledger.bulk(true, &["rules 0", "post e2 a->a 1"]), ["same_account"]);
    assert_eq!(ledger.says("post e2 a->b 1 at +31d"), "entry.posted");
    assert_eq!(ledger.says("rules 0"), "journal.rules_changed");
    assert_eq!(ledger.says("post e3 a->b 1 at +1s"), "effective_in_future_too_far");
    assert_eq!(ledger.says("post e3 a->b 1"), "entry.posted");
    ledger.accepts("close_journal");
    assert_eq!(ledger.says("rules 31"), "journal_closed");
}

// Annotate.

#[test]
fn an_entry_is_annotated_whatever_became_of_it() {
    let set = [("case".parse().expect("a key"), text("17"))];
    let annotated = EntryAnnotated { reason: None, removed: ["ticket".parse().expect("a key")].into(), set: set.into() };
    for script in ["post e a->b 10", "hold e a->b 10", "hold e a->b 10 \n void e", "post e a->b 10 \n reverse e by r"] {
        let expected = vec![EntryEvent::Annotated(annotated.clone())];
        given(&format!("{OPEN} \n {script}")).when_entry("annotate e case=17 ticket").then_expect_events(expected);
    }
    // Nothing moves, so it does not matter that nothing may.
    let script = format!("{OPEN} \n open c \n post e a->b 10 \n close b into c \n freeze a");
    given(&script).when_entry("annotate e case=17").inspect_result().expect("annotated");
}

#[test]
fn what_was_never_written_is_not_annotated() {
    then_refused(given(OPEN).when_entry("annotate e case=17"), Code::EntryNotFound, None);
}

#[test]
fn an_annotation_names_something_once_and_no_more_than_32() {
    let new = |set: usize, remove: &[&str]| {
        let set = (0..set).map(|number| (format!("k{number}").parse().expect("a key"), text("v"))).collect();
        AnnotateEntry::new(set, remove.iter().map(|key| key.parse().expect("a key")).collect(), None).map_err(|error| error.to_string())
    };
    assert_eq!(new(0, &[]).expect_err("nothing"), "`set` or `remove` names at least one annotation");
    assert_eq!(new(33, &[]).expect_err("too many"), "`set` and `remove` name 33 annotations; one command may name 32");
    assert_eq!(new(1, &["k0"]).expect_err("twice"), "`k0` is named twice in `remove`, or in `set` and in `remove`");
    assert_eq!(new(0, &["a", "a"]).expect_err("twice"), "`a` is named twice in `remove`, or in `set` and in `remove`");
    assert_eq!(new(31, &["a"]).expect("as many as may be").pairs(), 32);
}

#[test]
fn an_annotated_hold_goes_on_at_its_version() {
    let mut ledger = Ledger::after(&format!("{OPEN} \n hold h a->b 10 \n annotate h case=17"));
    assert_eq!(ledger.balances().hold_version(&entry_id("h")), Some(2));
    assert_eq!(ledger.bulk(true, &["annotate h case=18", "post e a->a 1"]), ["same_account"]);
    assert_eq!(ledger.balances().hold_version(&entry_id("h")), Some(2), "taken back with the rest of its request");
    assert_eq!(ledger.says("annotate h case=18"), "entry.annotated");
    assert_eq!(ledger.says("post_hold h"), "entry.hold_posted");
}

// What is stored can only follow from what was stored before.

/// A rule that contradicts the fold panics, and its command is taken back: the fold must be as it was.
#[test]
fn an_event_that_fails_half_way_is_undone_by_a_roll_back() {
    let script = format!("{OPEN} \n open c \n open shut \n close shut \n hold h a->b 10, b->c 5 until +1d");
    let voided = HoldVoided { effective_at: at(0), reason: None, transfers: [transfer("a", "b", 9)].into() };
    let wrong = [
        ("h", EntryEvent::Held(held([transfer("a", "b", 10)]))),
        ("h", EntryEvent::HoldVoided(voided)),
        ("h", EntryEvent::HoldPosted(HoldPosted { effective_at: at(0), transfers: [out_of_hold(10, 10)].into() })),
        // The first transfer is fine, the second is not.
        ("e", EntryEvent::Held(held([transfer("a", "b", 1), transfer("a", "shut", 1)]))),
        ("e", EntryEvent::Posted(posted([transfer("a", "b", 1), transfer("a", "shut", 1)]))),
    ];
    for (id, event) in wrong {
        let mut balances = given(&script).balances();
        let state = |balances: &Balances| (format!("{:?}", balances.freeze()), balances.expiries().collect::<Vec<_>>());
        let (mark, before) = (balances.mark(), state(&balances));
        balances.apply_entry(&entry_id(id), &event).expect_err("no rule decides it");
        balances.roll_back(mark);
        assert_eq!(state(&balances), before, "{event:?}");
        balances.apply_entry(&entry_id("p"), &EntryEvent::Posted(posted([transfer("a", "b", 1)]))).expect("it goes on");
    }
}

#[test]
fn an_event_that_contradicts_the_fold_is_corruption() {
    let held_script = format!("{OPEN} \n open c \n hold h a->b 10");
    let other = |transfer: HoldPostedTransfer| {
        let event = EntryEvent::HoldPosted(HoldPosted { effective_at: at(0), transfers: [transfer].into() });
        given(&held_script).balances().apply_entry(&entry_id("h"), &event)
    };
    other(out_of_hold(10, 10)).expect("it follows");
    other(out_of_hold(9, 9)).expect_err("10 were held");
    other(out_of_hold(10, 11)).expect_err("more than was held");
    other(HoldPostedTransfer { credit: address("c"), ..out_of_hold(10, 10) }).expect_err("it was held for b");
    for transfers in [vec![], vec![transfer("a", "b", 9)], vec![transfer("c", "b", 10)], vec![transfer("a", "b", 10); 2]] {
        let voided = HoldVoided { effective_at: at(0), reason: None, transfers: transfers.clone().into() };
        let expired = HoldExpired { effective_at: at(0), transfers: transfers.into() };
        for event in [EntryEvent::HoldVoided(voided), EntryEvent::HoldExpired(expired)] {
            given(&held_script).balances().apply_entry(&entry_id("h"), &event).expect_err("not what was held");
        }
    }
    let twice = EntryEvent::Held(held([transfer("a", "b", 10)]));
    given(&held_script).balances().apply_entry(&entry_id("h"), &twice).expect_err("it is held already");
}

#[test]
fn a_posting_that_no_rule_would_accept_is_corruption() {
    let script = "open a floor 0 \n open b \n open euro EUR \n open ice \n freeze ice";
    for (debit, credit, minor) in [("a", "b", 1), ("b", "euro", 1), ("b", "ice", 1), ("b", "none", 1), ("b", "b", 1), ("b", "a", -1)] {
        let event = EntryEvent::Posted(posted([transfer(debit, credit, minor)]));
        given(script).balances().apply_entry(&entry_id("e"), &event).expect_err("no rule accepts it");
    }
}

// The wire.

#[test]
fn a_transfer_says_amount_or_up_to() {
    let read = |value| serde_json::from_value::<TransferRequest>(value);
    let money = json!({ "amount": "10", "currency": "XOF" });
    read(json!({ "debit": "a", "credit": "b", "amount": money })).expect("an amount");
    read(json!({ "debit": "a", "credit": "b", "up_to": money })).expect("a bound");
    read(json!({ "debit": "a", "credit": "b" })).expect_err("neither");
    read(json!({ "debit": "a", "credit": "b", "amount": money, "up_to": money })).expect_err("both");
    read(json!({ "debit": "a", "credit": "b", "amount": money, "ammount": money })).expect_err("a typing error");
}

#[test]
fn an_entry_has_one_to_a_thousand_transfers_and_never_says_what_it_reverses() {
    let transfer = json!({ "debit": "a", "credit": "b", "amount": { "amount": "10", "currency": "XOF" } });
    let read = |count: usize| serde_json::from_value::<PostEntry>(json!({ "transfers": vec![&transfer; count] }));
    read(0).expect_err("an entry moves something");
    read(1).expect("one");
    read(1_000).expect("a thousand");
    read(1_001).expect_err("too many");
    serde_json::from_value::<PostEntry>(json!({ "transfers": [transfer], "reverses": entry_id("e") })).expect_err("the engine's field");
}
