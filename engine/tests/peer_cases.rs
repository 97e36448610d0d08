//! Published cases of other ledgers at the level of the engine, with their exact figures.
//!
//! `docs/reference/peer-cases.md` is the table of what is covered where, and of what Cauri answers differently.

mod story;

use cauri_domain::RefusalCode::*;
use cauri_domain::account::{Account, AccountKind};
use cauri_domain::entry::{EntryAction, EntryEvent, HoldTerms, PostEntry, PostHold, Transfer};
use cauri_domain::money::{Currency, Money, Rounding};
use cauri_domain::time::Timestamp;
use cauri_domain::{LedgerCommand, RefusalCode};
use cauri_engine::{CommandEnvelope, MAX_COMMANDS, Mode, Outcome, Rejected, SubmitError};
use cauri_event_schemas::ledger::{Event, StreamId};
use cauri_event_schemas::{Position, StreamVersion};
use story::{
    Kept, Story, accepted, address_of, as_replay, ceiling, close, command, entry_by, entry_of, events, floor_zero, freeze, hold, morning,
    open, open_in, post, post_entry, post_hold, refused, reopen, reverse, transfer, transfer_of, types_from, up_to, void_hold, xof,
};

/// The four totals as the cases write them: dp, dt, cp, ct.
fn totals(story: &Story, address: &str) -> (i64, i64, i64, i64) {
    let totals = story.totals(address);
    (totals.debits_pending, totals.debits_posted, totals.credits_pending, totals.credits_posted)
}

/// Lets time pass, and waits until the engine has written what follows from it by itself.
fn after_a_second(story: &Story) -> Position {
    let before = story.head();
    story.clock.advance_micros(1_000_000);
    let head = story.store().follow().wait_beyond(before, std::time::Duration::from_secs(60));
    assert!(head.position > before, "nothing expired");
    before
}

/// TigerBeetle, `src/state_machine_tests.zig`, "create/lookup expired transfers".
#[test]
fn case_01_holds_are_summed_expire_and_cannot_be_posted_afterwards() {
    for kept in Kept::BOTH {
        let story = Story::kept(kept);
        story.open(&["a1", "a2"]);
        let after = |seconds: i64| Some(morning().saturating_add_secs(seconds));
        for (key, minor, expires_at) in [("h10", 10, None), ("h11", 11, after(1)), ("h12", 12, after(2)), ("h13", 13, after(3))] {
            story.accept(&hold(key, "a1", "a2", minor, expires_at));
        }
        assert_eq!((totals(&story, "a1"), totals(&story, "a2")), ((46, 0, 0, 0), (0, 0, 46, 0)));
        for pending in [35, 23, 10] {
            let before = after_a_second(&story);
            assert_eq!(types_from(story.store(), before.next()), ["entry.hold_expired"]);
            assert_eq!((totals(&story, "a1"), totals(&story, "a2")), ((pending, 0, 0, 0), (0, 0, pending, 0)));
        }
        story.accept(&post_hold("p10", "h10", None));
        for key in ["h11", "h12", "h13"] {
            assert_eq!(story.refuse(&post_hold(&format!("post-{key}"), key, None)), HoldExpired);
        }
        assert_eq!((totals(&story, "a1"), totals(&story, "a2")), ((0, 10, 0, 0), (0, 0, 0, 10)));
        assert_eq!(story.balances().open_holds(), 0);
    }
}

/// TigerBeetle, `src/state_machine_tests.zig`, "create/lookup 2-phase transfers".
#[test]
fn case_02_holds_are_posted_in_part_voided_and_resolved_once() {
    let story = Story::new();
    story.open(&["a1", "a2"]);
    story.accept(&post("posted", "a1", "a2", 15));
    let soon = Some(morning().saturating_add_secs(1));
    for (key, minor, expires_at) in
        [("h1", 15, None), ("h2", 15, None), ("h3", 15, soon), ("h4", 7, None), ("h5", 1, None), ("h6", 1, None)]
    {
        story.accept(&hold(key, "a1", "a2", minor, expires_at));
    }
    assert_eq!((totals(&story, "a1"), totals(&story, "a2")), ((54, 15, 0, 0), (0, 0, 54, 15)));

    story.clock.advance_micros(1_000_000);
    story.accept(&post_hold("post-h1", "h1", Some(13)));
    story.accept(&void_hold("void-h2", "h2"));
    assert_eq!(story.refuse(&post_hold("post-h1-again", "h1", Some(13))), HoldAlreadyPosted);
    assert_eq!(story.refuse(&post_hold("post-h2", "h2", None)), HoldAlreadyVoided);
    assert_eq!(story.refuse(&post_hold("post-h3", "h3", None)), HoldExpired);
    assert_eq!(story.refuse(&post_hold("post-h4-too-much", "h4", Some(8))), ExceedsHold);
    story.accept(&post_hold("post-h4", "h4", Some(7)));
    story.accept(&post_hold("post-h5", "h5", None));
    story.accept(&post_hold("post-h6", "h6", Some(0)));

    assert_eq!((totals(&story, "a1"), totals(&story, "a2")), ((0, 36, 0, 0), (0, 0, 0, 36)));
    // Resolved the other way round as well.
    for (key, code) in [("h1", HoldAlreadyPosted), ("h2", HoldAlreadyVoided), ("h3", HoldExpired), ("h6", HoldAlreadyPosted)] {
        assert_eq!(story.refuse(&void_hold(&format!("void-{key}-again"), key)), code);
    }
    assert_eq!((totals(&story, "a1"), totals(&story, "a2")), ((0, 36, 0, 0), (0, 0, 0, 36)));
}

/// TigerBeetle, `src/state_machine_tests.zig`, "failed linked-chains are undone within a commit".
#[test]
fn case_03_a_refused_entry_leaves_no_trace_inside_its_batch() {
    for mode in [Mode::Each, Mode::Atomic] {
        let story = Story::new();
        story.open(&["a2", "funding"]);
        story.accept(&open("a1", AccountKind::Liability, floor_zero()));
        story.accept(&open_in(Currency::EUR, "other", AccountKind::Liability, None));
        story.accept(&post("fund", "funding", "a1", 20));
        let before = story.head();
        let e1 = post_entry("e1", entry_of(vec![transfer("a1", "a2", 15), transfer("a1", "other", 5)]));
        let e2 = post("e2", "a1", "a2", 15);
        let outcomes = story.submit(&[e1, e2], mode);
        assert_eq!(refused(&outcomes[0]).refusal.code, CurrencyMismatch);
        match mode {
            Mode::Each => {
                accepted(&outcomes[1]);
                assert_eq!((totals(&story, "a1"), totals(&story, "a2")), ((0, 15, 0, 20), (0, 0, 0, 15)));
                assert_eq!(types_from(story.store(), before.next()), ["command.refused", "entry.posted"]);
            }
            Mode::Atomic => {
                assert_eq!(outcomes[1], Outcome::NotApplied { because_of: 0 });
                assert_eq!((totals(&story, "a1"), totals(&story, "a2")), ((0, 0, 0, 20), (0, 0, 0, 0)));
                assert_eq!(types_from(story.store(), before.next()), ["command.refused"]);
            }
        }
    }
}

/// TigerBeetle, `src/state_machine_tests.zig`, "create_transfers/lookup_transfers": the order of its checks.
#[test]
fn case_04_idempotency_comes_before_validation() {
    let story = Story::new();
    story.open(&["a1", "a2", "a3"]);
    let original = PostEntry {
        id: Some(entry_by("chosen-by-the-caller")),
        hold: Some(HoldTerms { expires_at: Some(morning().saturating_add_secs(3_600)) }),
        reference: Some("order-1".parse().expect("a text")),
        ..entry_of(vec![transfer("a1", "a2", 123)])
    };
    let first = story.one(&post_entry("key", original.clone()));
    accepted(&first);
    let before = (story.head(), totals(&story, "a1"), totals(&story, "a2"));
    assert_eq!(before.1, (123, 0, 0, 0));

    assert_eq!(story.one(&post_entry("key", original.clone())), as_replay(&first));
    let with_transfer = |changed| PostEntry { transfers: vec![changed], ..original.clone() };
    let eur = Money::from_minor(12_300, Currency::EUR);
    let mut with_reason = transfer("a1", "a2", 123);
    with_reason.reason = Some("rent".parse().expect("a text"));
    let bodies = [
        with_transfer(transfer_of("a1", "a2", eur)),
        with_transfer(transfer("a3", "a2", 123)),
        with_transfer(transfer("a1", "a3", 123)),
        with_transfer(transfer("a1", "a2", 124)),
        with_transfer(with_reason),
        PostEntry { hold: Some(HoldTerms { expires_at: Some(morning().saturating_add_secs(3_601)) }), ..original.clone() },
        PostEntry { hold: Some(HoldTerms { expires_at: None }), ..original.clone() },
        PostEntry { hold: None, ..original.clone() },
        PostEntry { reference: Some("order-2".parse().expect("a text")), ..original.clone() },
        PostEntry { reference: None, ..original.clone() },
        // Each of these would be refused for another reason, under another key.
        with_transfer(transfer("a1", "unknown", 123)),
        with_transfer(transfer("a1", "a1", 123)),
        with_transfer(transfer("a1", "a2", 0)),
        with_transfer(transfer("a1", "a2", -123)),
    ];
    for (index, body) in bodies.into_iter().enumerate() {
        let answer = refused(&story.one(&post_entry("key", body)));
        assert_eq!((answer.refusal.code, answer.position, answer.replayed), (IdempotencyKeyReused, None, false), "body {index}");
    }
    assert_eq!((story.head(), totals(&story, "a1"), totals(&story, "a2")), before, "nothing was written");
    assert_eq!(story.refuse(&post_entry("another-key", original)), EntryExists);
    assert_eq!((totals(&story, "a1"), totals(&story, "a2")), (before.1, before.2));
}

/// TigerBeetle, `src/state_machine_tests.zig`, "balancing_debit | balancing_credit".
#[test]
fn case_05_a_transfer_up_to_an_amount_moves_what_the_limits_leave() {
    let story = Story::new();
    story.open(&["a2", "funding"]);
    story.accept(&open("a1", AccountKind::Liability, floor_zero()));
    story.accept(&post("fund", "funding", "a1", 10));
    story.accept(&hold("hold", "a1", "a2", 1, None));
    assert_eq!(totals(&story, "a1"), (1, 0, 0, 10));
    for (key, most, moved) in [("u3", 3, 3), ("u13", 13, 6), ("u1", 1, 0)] {
        let answer = story.accept(&post_entry(key, entry_of(vec![up_to("a1", "a2", most)])));
        let record = events(story.store()).into_iter().find(|record| record.position == answer.last).expect("its record");
        let Event::Entry(EntryEvent::Posted(posted)) = record.event else { panic!("{:?}", record.event) };
        assert_eq!(posted.transfers.iter().map(|transfer| transfer.amount).collect::<Vec<_>>(), [xof(moved)], "the amount that moved");
    }
    assert_eq!((totals(&story, "a1"), totals(&story, "a2")), ((1, 9, 0, 10), (0, 0, 1, 9)));
    // TigerBeetle accepts another maximum that still covers what moved.
    let answer = refused(&story.one(&post_entry("u3", entry_of(vec![up_to("a1", "a2", 4)]))));
    assert_eq!(answer.refusal.code, IdempotencyKeyReused);
    assert!(accepted(&story.one(&post_entry("u3", entry_of(vec![up_to("a1", "a2", 3)])))).replayed);
}

/// TigerBeetle, `src/state_machine_tests.zig`, "closing accounts", and `docs/coding/recipes/close-account.md`.
#[test]
fn case_06_accounts_are_closed_with_a_sweep_and_reopened() {
    for kept in Kept::BOTH {
        let story = Story::kept(kept);
        story.accept(&open("a", AccountKind::Liability, None));
        story.accept(&open("b", AccountKind::Asset, None));
        story.accept(&open("c", AccountKind::Asset, None));
        story.open(&["others"]);
        for (key, debit, credit, minor) in
            [("1", "others", "a", 20), ("2", "a", "others", 10), ("3", "b", "others", 30), ("4", "others", "b", 5)]
        {
            story.accept(&post(key, debit, credit, minor));
        }
        assert_eq!((totals(&story, "a"), totals(&story, "b")), ((0, 10, 0, 20), (0, 30, 0, 5)));
        for (key, address) in [("close-a", "a"), ("close-b", "b")] {
            let before = story.head();
            let answer = story.accept(&close(key, address, Some("c")));
            assert_eq!(types_from(story.store(), before.next()), ["entry.posted", "account.closed"], "one commit each");
            assert_eq!((answer.first, answer.last, answer.begun), (before.next(), before.after(2), Some(StreamId::Entry(entry_by(key)))));
        }
        assert_eq!((totals(&story, "a"), totals(&story, "b"), totals(&story, "c")), ((0, 20, 0, 20), (0, 30, 0, 30), (0, 25, 0, 10)));
        assert_eq!(story.refuse(&post("5", "others", "a", 1)), AccountClosed);
        assert_eq!(story.refuse(&post("6", "a", "others", 1)), AccountClosed);
        assert_eq!(story.refuse(&close("close-a-again", "a", None)), AccountClosed);

        // Holds that were open when their account was closed.
        story.open(&["d"]);
        let soon = Some(morning().saturating_add_secs(60));
        for (key, expires_at) in [("h1", None), ("h2", None), ("h3", soon)] {
            story.accept(&hold(key, "others", "d", 4, expires_at));
        }
        story.accept(&close("close-d", "d", None));
        assert_eq!(story.refuse(&post_hold("post-h1", "h1", None)), AccountClosed);
        story.accept(&void_hold("void-h1", "h1"));
        story.clock.advance_micros(60_000_000);
        assert_eq!(story.refuse(&post_hold("post-h3", "h3", None)), HoldExpired);
        assert_eq!(totals(&story, "d"), (0, 0, 4, 0));

        for (key, address) in [("reopen-a", "a"), ("reopen-d", "d")] {
            story.accept(&reopen(key, address));
        }
        story.accept(&post_hold("post-h2", "h2", None));
        assert_eq!((totals(&story, "a"), totals(&story, "d")), ((0, 20, 0, 20), (0, 0, 0, 4)), "balances stay as they are then");
        story.accept(&post("7", "others", "a", 1));
        assert!(matches!(story.balances().account(&address_of("a")), Account::Open(_)));
        assert!(matches!(story.balances().account(&address_of("b")), Account::Closed(_)));
    }
}

/// TigerBeetle, `docs/coding/recipes/currency-exchange.md`.
#[test]
fn case_07_an_exchange_is_two_transfers_of_one_entry_with_the_spread_as_a_third() {
    let usd = |minor| Money::from_minor(minor, Currency::USD);
    let inr: Currency = "INR".parse().expect("a currency");
    let story = Story::new();
    for (currency, address) in [(Currency::USD, "a1"), (Currency::USD, "l1"), (inr, "a2"), (inr, "l2")] {
        story.accept(&open_in(currency, address, AccountKind::Liability, None));
    }
    let rate = "82.42135".parse().expect("a rate");
    let converted = usd(10_000).convert(rate, inr, Rounding::HalfEven).expect("an amount");
    assert_eq!(converted.to_string(), "8242.14 INR");
    let exchange = PostEntry {
        dimensions: [
            ("rate".parse().expect("a key"), "82.42135".parse().expect("a text")),
            ("rounding".parse().expect("a key"), "half_even".parse().expect("a text")),
        ]
        .into(),
        ..entry_of(vec![transfer_of("a1", "l1", usd(10_000)), transfer_of("l2", "a2", converted), transfer_of("a1", "l1", usd(10))])
    };
    story.accept(&freeze("freeze", "a2"));
    let before = story.head();
    assert_eq!(story.refuse(&post_entry("refused", exchange.clone())), AccountFrozen);
    assert_eq!(types_from(story.store(), before.next()), ["command.refused"]);
    assert_eq!((totals(&story, "a1"), totals(&story, "l1")), ((0, 0, 0, 0), (0, 0, 0, 0)), "nothing of it was written");
    story.accept(&story::unfreeze("unfreeze", "a2"));
    let answer = story.accept(&post_entry("exchange", exchange));
    assert_eq!((totals(&story, "a1"), totals(&story, "l1")), ((0, 10_010, 0, 0), (0, 0, 0, 10_010)));
    assert_eq!((totals(&story, "l2"), totals(&story, "a2")), ((0, 824_214, 0, 0), (0, 0, 0, 824_214)));
    let mut sums = vec![(Currency::USD, 10_010, 10_010), (inr, 824_214, 824_214)];
    sums.sort();
    assert_eq!(story.balances().sums(), sums);
    let record = events(story.store()).into_iter().find(|record| record.position == answer.last).expect("its record");
    let Event::Entry(EntryEvent::Posted(posted)) = record.event else { panic!("{:?}", record.event) };
    assert_eq!(posted.dimensions.values().map(|value| value.as_str()).collect::<Vec<_>>(), ["82.42135", "half_even"]);
}

/// The XOF figures derived from the same recipe.
#[test]
fn case_07_in_xof_the_exchange_is_rounded_in_favour_of_the_position_account() {
    let eur = Money::from_minor(10_000, Currency::EUR);
    let rate = "655.957".parse().expect("a rate");
    let converted = eur.convert(rate, Currency::XOF, Rounding::Down).expect("an amount");
    assert_eq!(converted, xof(65_595));
    let story = Story::new();
    story.accept(&open_in(Currency::EUR, "customer:eur", AccountKind::Liability, None));
    story.accept(&open_in(Currency::EUR, "position:eur", AccountKind::Liability, None));
    story.open(&["customer:xof", "position:xof"]);
    let exchange = PostEntry {
        dimensions: [("rounding".parse().expect("a key"), "down".parse().expect("a text"))].into(),
        ..entry_of(vec![transfer_of("customer:eur", "position:eur", eur), transfer_of("position:xof", "customer:xof", converted)])
    };
    story.accept(&post_entry("exchange", exchange));
    assert_eq!((totals(&story, "customer:eur"), totals(&story, "position:eur")), ((0, 10_000, 0, 0), (0, 0, 0, 10_000)));
    assert_eq!((totals(&story, "position:xof"), totals(&story, "customer:xof")), ((0, 65_595, 0, 0), (0, 0, 0, 65_595)));
}

/// Formance ledger v2, `test/e2e/api_volumes_test.go`.
#[test]
fn case_08_seven_moves_dated_in_the_past_and_the_future() {
    let story = Story::new();
    story.open(&["world", "account:user1", "account:user2", "bank"]);
    let hours = |hours: i64| morning().saturating_add_secs(3_600 * hours);
    for (key, hour, debit, credit, minor) in [
        ("1", -4, "world", "account:user1", 100),
        ("2", -3, "world", "account:user2", 125),
        ("3", -2, "account:user1", "account:user2", 75),
        ("4", -1, "world", "account:user1", 175),
        ("5", 0, "account:user2", "bank", 50),
        ("6", 1, "account:user2", "account:user1", 100),
        ("7", 2, "account:user1", "bank", 150),
    ] {
        story.accept(&post_entry(key, PostEntry { effective_at: Some(hours(hour)), ..entry_of(vec![transfer(debit, credit, minor)]) }));
    }
    let (user1, user2, bank, world) = ("account:user1", "account:user2", "bank", "world");
    let everything = (Timestamp::MIN, Timestamp::MAX);
    let cases: [(&str, (Timestamp, Timestamp), i64); 13] = [
        (user1, everything, 150),
        (user2, everything, 50),
        (bank, everything, 200),
        (world, everything, -400),
        (user1, (hours(-4), hours(-2)), 25),
        (user2, (hours(-4), hours(-2)), 200),
        (world, (hours(-4), hours(-2)), -225),
        (user1, (Timestamp::MIN, hours(0)), 200),
        (user2, (Timestamp::MIN, hours(0)), 150),
        ("account", everything, 200),
        ("account", (hours(1_000), hours(2_000)), 0),
        (world, (hours(1_000), hours(2_000)), 0),
        (bank, (hours(2), hours(2)), 150),
    ];
    for (prefix, window, expected) in cases {
        assert_eq!(effective(&story, prefix, window), expected, "{prefix} from {} to {}", window.0, window.1);
    }
    for address in [user1, user2, bank, world] {
        assert_eq!(story.on_credit_side(address), effective(&story, address, everything), "as known now, all dates");
    }
    // A date beyond what the ledger allows.
    let far = PostEntry { effective_at: Some(hours(7 * 24 + 1)), ..entry_of(vec![transfer("world", "bank", 1)]) };
    assert_eq!(story.refuse(&post_entry("8", far)), EffectiveInFutureTooFar);
}

/// Credits minus debits below a prefix of whole segments that are effective in a window, both ends in.
fn effective(story: &Story, prefix: &str, (from, to): (Timestamp, Timestamp)) -> i64 {
    let below = |address: &str| address == prefix || address.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(':'));
    let mut sum = 0;
    for record in events(story.store()) {
        let Event::Entry(EntryEvent::Posted(posted)) = record.event else { continue };
        if (from..=to).contains(&posted.effective_at) {
            let sign = |transfer: &Transfer| i64::from(below(transfer.credit.as_str())) - i64::from(below(transfer.debit.as_str()));
            sum += posted.transfers.iter().map(|transfer| sign(transfer) * transfer.amount.minor()).sum::<i64>();
        }
    }
    sum
}

/// Formance ledger v2, `test/e2e/api_bulk_test.go`.
#[test]
fn case_09_a_bulk_is_each_for_itself_or_all_or_nothing() {
    for (mode, posted) in [(Mode::Each, 1), (Mode::Atomic, 0)] {
        let story = Story::new();
        story.open(&["world", "user"]);
        story.accept(&open("bank", AccountKind::Liability, floor_zero()));
        let before = story.head();
        let outcomes = story.submit(&[post("1", "world", "bank", 100), post("2", "bank", "user", 200)], mode);
        assert_eq!(refused(&outcomes[1]).refusal.code, BelowFloor);
        match mode {
            Mode::Each => assert!(!accepted(&outcomes[0]).replayed),
            Mode::Atomic => assert_eq!(outcomes[0], Outcome::NotApplied { because_of: 1 }),
        }
        // Besides what happened, the journal remembers the refusal, so that a retry is told the same.
        let types = types_from(story.store(), before.next());
        assert_eq!(types.iter().filter(|name| **name == "entry.posted").count(), posted);
        assert_eq!(types.iter().filter(|name| **name == "command.refused").count(), 1);
        assert_eq!(types.len(), posted + 1);
        assert_eq!(totals(&story, "bank"), (0, 0, 0, 100 * posted as i64));
        assert_eq!(totals(&story, "user"), (0, 0, 0, 0));
    }
}

/// Formance ledger v2, `test/e2e/api_bulk_test.go`: the size limit, and reversing twice.
#[test]
fn case_09_a_bulk_over_the_limit_is_refused_whole_and_a_second_reversal_is_its_own_result() {
    let story = Story::new();
    story.open(&["world", "bank"]);
    let before = story.head();
    let too_many: Vec<CommandEnvelope<LedgerCommand>> =
        (0..=MAX_COMMANDS).map(|number| post(&number.to_string(), "world", "bank", 1)).collect();
    for mode in [Mode::Each, Mode::Atomic] {
        let answer = story.engine.submit_blocking(too_many.clone(), mode);
        assert_eq!(answer, Err(SubmitError::Rejected(Rejected::TooMany { count: MAX_COMMANDS + 1, most: MAX_COMMANDS })));
    }
    assert_eq!(story.head(), before);

    story.accept(&post("original", "world", "bank", 100));
    let outcomes = story.submit(&[reverse("r1", "original"), reverse("r2", "original"), post("next", "world", "bank", 7)], Mode::Each);
    assert_eq!(accepted(&outcomes[0]).begun, Some(StreamId::Entry(entry_by("r1"))));
    assert_eq!(refused(&outcomes[1]).refusal.code, AlreadyReversed);
    accepted(&outcomes[2]);
    assert_eq!(totals(&story, "bank"), (0, 100, 0, 107));
}

/// Formance ledger v2, `test/e2e/api_idempotency*_test.go`; v3, `tests/e2e/business/idempotency_failure_test.go`.
#[test]
fn case_10_an_idempotency_key_answers_once_and_for_all() {
    for kept in Kept::BOTH {
        let story = Story::kept(kept);
        story.open(&["world", "bank"]);
        story.accept(&open("user", AccountKind::Liability, floor_zero()));
        // Same key and body: the same entry and a mark that it is a replay.
        let first = story.one(&post("key", "world", "bank", 100));
        assert_eq!(story.one(&post("key", "world", "bank", 100)), as_replay(&first));
        assert_eq!(accepted(&first).begun, Some(StreamId::Entry(entry_by("key"))));
        // Another amount: refused, and the stored success stays.
        assert_eq!(story.refuse(&post("key", "world", "bank", 200)), IdempotencyKeyReused);
        assert_eq!(story.one(&post("key", "world", "bank", 100)), as_replay(&first));
        // On the reverse command too.
        story.accept(&post("another", "world", "bank", 1));
        let reversed = story.one(&reverse("reverse-key", "key"));
        assert_eq!(story.refuse(&reverse("reverse-key", "another")), IdempotencyKeyReused);
        assert_eq!(story.refuse(&post("reverse-key", "world", "bank", 100)), IdempotencyKeyReused);
        assert_eq!(story.one(&reverse("reverse-key", "key")), as_replay(&reversed));
        // A refusal is answered again even after funds have arrived, and is never posted.
        let no_funds = story.one(&post("no-funds", "user", "bank", 50));
        assert_eq!(refused(&no_funds).refusal.code, BelowFloor);
        story.accept(&post("funds", "world", "user", 1_000));
        assert_eq!(story.one(&post("no-funds", "user", "bank", 50)), as_replay(&no_funds));
        assert_eq!(story.refuse(&post("no-funds", "user", "bank", 60)), IdempotencyKeyReused);
        assert_eq!(totals(&story, "user"), (0, 0, 0, 1_000));
        // A conflicting retry does not overwrite the stored success: the stored input stays 50.
        let fifty = story.one(&post("fifty", "user", "bank", 50));
        assert_eq!(story.refuse(&post("fifty", "user", "bank", 70)), IdempotencyKeyReused);
        let story = story.restarted();
        assert_eq!(story.one(&post("fifty", "user", "bank", 50)), as_replay(&fifty));
        assert_eq!(story.one(&post("no-funds", "user", "bank", 50)), as_replay(&no_funds));
        assert_eq!(story.one(&reverse("reverse-key", "key")), as_replay(&reversed));
        assert_eq!(totals(&story, "user"), (0, 50, 0, 1_000));
    }
}

/// pgledger, `go/test/db_test.go`.
#[test]
fn case_11_limits_and_atomic_sets() {
    let moves = [("1", "2", 10), ("2", "3", 20), ("3", "1", 50)];
    let ledger = || {
        let story = Story::new();
        story.open(&["1", "2"]);
        story.accept(&open("3", AccountKind::Liability, ceiling(0)));
        story
    };
    let story = ledger();
    let before = story.head();
    let commands: Vec<CommandEnvelope<LedgerCommand>> =
        moves.iter().enumerate().map(|(index, (debit, credit, minor))| post(&format!("m{index}"), debit, credit, *minor)).collect();
    let outcomes = story.submit(&commands, Mode::Atomic);
    assert_eq!(outcomes[0], Outcome::NotApplied { because_of: 1 });
    assert_eq!(refused(&outcomes[1]).refusal.code, AboveCeiling);
    assert_eq!(outcomes[2], Outcome::NotApplied { because_of: 1 });
    assert_eq!(["1", "2", "3"].map(|address| totals(&story, address)), [(0, 0, 0, 0); 3]);
    for key in ["m0", "m1", "m2"] {
        let stream = StreamId::Entry(entry_by(key));
        assert_eq!(
            story.store().read_stream(&stream.to_string(), StreamVersion::ZERO).expect("a stream"),
            [],
            "no stream has an event of it"
        );
    }
    assert_eq!(types_from(story.store(), before.next()), ["command.refused"]);

    // As three transfers of one entry Cauri accepts them: limits hold after all transfers; pgledger checks after each.
    let story = ledger();
    story.accept(&post_entry("one", entry_of(moves.iter().map(|(debit, credit, minor)| transfer(debit, credit, *minor)).collect())));
    assert_eq!(["1", "2", "3"].map(|address| story.on_credit_side(address)), [40, -10, -30]);
}

/// pgledger, `go/test/db_test.go`: transfers that make no sense.
#[test]
fn case_11_zero_negative_same_account_and_other_currencies_are_refused() {
    let story = Story::new();
    story.open(&["1", "2"]);
    story.accept(&open_in(Currency::EUR, "eur", AccountKind::Liability, None));
    let cases: [(&str, Vec<_>, RefusalCode); 5] = [
        ("zero", vec![transfer("1", "2", 0)], AmountNotPositive),
        ("negative", vec![transfer("1", "2", -5)], AmountNotPositive),
        ("same", vec![transfer("1", "1", 5)], SameAccount),
        ("other", vec![transfer("1", "eur", 5)], CurrencyMismatch),
        ("second", vec![transfer("1", "2", 5), transfer("2", "2", 5)], SameAccount),
    ];
    for (key, transfers, code) in cases {
        assert_eq!(story.refuse(&post_entry(key, entry_of(transfers))), code, "{key}");
    }
    // The same holds for a hold, and for the amounts that a hold is posted with.
    story.accept(&hold("h", "1", "2", 5, None));
    let amounts = Some(vec![xof(-1).into()]);
    let negative = command("n", LedgerCommand::entry(entry_by("h"), EntryAction::PostHold(PostHold { amounts, effective_at: None })));
    assert_eq!(story.refuse(&negative), AmountNotPositive);
    assert_eq!(["1", "2"].map(|address| totals(&story, address)), [(5, 0, 0, 0), (0, 0, 5, 0)]);
}
