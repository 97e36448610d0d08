//! Published cases of other ledgers, as far as they need no engine (`docs/reference/peer-cases.md`).
//!
//! Case 17 (splits) stands in `money.rs`. Cases 4, 9 and 10 ask for idempotency and bulk requests: the engine's.

use cauri_domain::fold::Totals;

use crate::support::{Ledger, totals, xof};

/// What a purse of these totals is called in the cases: dt, ct, dp, cp.
fn purse(ledger: &Ledger, name: &str) -> (i64, i64, i64, i64) {
    let Totals { debits_posted, credits_posted, debits_pending, credits_pending } = ledger.totals(name);
    (debits_posted, credits_posted, debits_pending, credits_pending)
}

/// Case 1 (TigerBeetle, "create/lookup expired transfers"): holds sum, expire on time, and are not posted after.
#[test]
fn case_1_holds_are_summed_and_released_as_they_expire() {
    let mut ledger = Ledger::after(
        "open a1 \n open a2
         hold h10 a1->a2 10
         hold h11 a1->a2 11 until +1s
         hold h12 a1->a2 12 until +2s
         hold h13 a1->a2 13 until +3s",
    );
    for (pending, wait) in [(46, "wait +1s"), (35, "wait +1s"), (23, "wait +1s"), (10, "wait +0s")] {
        assert_eq!((ledger.totals("a1"), ledger.totals("a2")), (totals(0, 0, pending, 0), totals(0, 0, 0, pending)));
        ledger.accepts(wait);
    }
    assert_eq!(ledger.says("post_hold h10"), "entry.hold_posted");
    let before = ledger.history.len();
    for hold in ["h11", "h12", "h13"] {
        assert_eq!(ledger.says(&format!("post_hold {hold}")), "hold_expired");
    }
    assert_eq!(ledger.history.len(), before, "a refusal leaves nothing behind");
    assert_eq!((ledger.totals("a1"), ledger.totals("a2")), (totals(10, 0, 0, 0), totals(0, 10, 0, 0)));
}

/// Case 2 (TigerBeetle, "create/lookup 2-phase transfers"): partial post, void, resolving twice.
#[test]
fn case_2_a_hold_is_resolved_once_in_full_or_in_part() {
    let mut ledger = Ledger::after(
        "open a1 \n open a2
         post p a1->a2 15
         hold h1 a1->a2 15
         hold h2 a1->a2 15
         hold h3 a1->a2 15 until +1s
         hold h4 a1->a2 7
         hold h5 a1->a2 1
         hold h6 a1->a2 1",
    );
    assert_eq!(purse(&ledger, "a1"), (15, 0, 54, 0));
    ledger.accepts("wait +1s");
    for (line, answer) in [
        ("post_hold h1 amounts 13", "entry.hold_posted"),
        ("void h2", "entry.hold_voided"),
        ("post_hold h1", "hold_already_posted"),
        ("post_hold h2", "hold_already_voided"),
        ("void h1", "hold_already_posted"),
        ("void h2", "hold_already_voided"),
        ("post_hold h3", "hold_expired"),
        ("void h3", "hold_expired"),
        ("post_hold h4 amounts 8", "exceeds_hold"),
        ("post_hold h4", "entry.hold_posted"),
        ("post_hold h5", "entry.hold_posted"),
        ("post_hold h6 amounts 0", "entry.hold_posted"),
    ] {
        assert_eq!(ledger.says(line), answer, "{line}");
    }
    assert_eq!((purse(&ledger, "a1"), purse(&ledger, "a2")), ((36, 0, 0, 0), (0, 36, 0, 0)));
}

/// Case 3 (TigerBeetle, "failed linked-chains are undone within a commit"), at the level of deciding.
#[test]
fn case_3_a_refused_entry_leaves_no_trace_for_the_next_one() {
    let script = "open bank \n open a1 floor 0 \n open a2 \n open other EUR \n post fund bank->a1 20";
    let request = ["post e1 a1->a2 15, a1->other 5", "post e2 a1->a2 15"];
    let mut ledger = Ledger::after(script);
    assert_eq!(ledger.bulk(false, &request), ["currency_mismatch", "entry.posted"]);
    assert_eq!((purse(&ledger, "a1"), purse(&ledger, "a2")), ((15, 20, 0, 0), (0, 15, 0, 0)));
    let mut ledger = Ledger::after(script);
    let before = ledger.history.len();
    assert_eq!(ledger.bulk(true, &request), ["currency_mismatch"]);
    assert_eq!((ledger.history.len(), purse(&ledger, "a1")), (before, (0, 20, 0, 0)));
    // And the other way round: what an atomic request did before it failed is undone too.
    assert_eq!(ledger.bulk(true, &[request[1], request[0]]), ["currency_mismatch"]);
    assert_eq!((ledger.history.len(), purse(&ledger, "a1"), purse(&ledger, "a2")), (before, (0, 20, 0, 0), (0, 0, 0, 0)));
}

/// Case 5 (TigerBeetle, "balancing_debit | balancing_credit"): "up to" moves what the limit leaves, and 0 is recorded.
#[test]
fn case_5_a_transfer_of_up_to_moves_what_the_floor_leaves() {
    let mut ledger = Ledger::after("open bank \n open a1 floor 0 \n open a2 \n post fund bank->a1 10 \n hold one a1->a2 1");
    for (line, moved) in [("post t1 a1->a2 <=3", 3), ("post t2 a1->a2 <=13", 6), ("post t3 a1->a2 <=1", 0)] {
        let happened = ledger.accepts(line);
        let crate::support::Happened::Entry(_, cauri_domain::entry::EntryEvent::Posted(posted)) = &happened[0] else {
            panic!("{happened:?}")
        };
        assert_eq!(posted.transfers[0].amount, xof(moved), "{line}");
    }
    assert_eq!(purse(&ledger, "a1"), (9, 10, 1, 0));
}

/// Case 6 (TigerBeetle, "closing accounts"; `recipes/close-account.md`): a balance is swept as the account closes.
#[test]
fn case_6_closing_sweeps_in_one_commit_and_reopening_restores() {
    let mut ledger = Ledger::after(
        "open x \n open a \n open b asset \n open c
         post a1 a->x 10 \n post a2 x->a 20
         post b1 b->x 30 \n post b2 x->b 5",
    );
    assert_eq!((purse(&ledger, "a"), purse(&ledger, "b")), ((10, 20, 0, 0), (30, 5, 0, 0)));
    for line in ["close a into c by sweep-a", "close b into c by sweep-b"] {
        assert_eq!(ledger.says(line), "entry.posted + account.closed");
    }
    assert_eq!([purse(&ledger, "a"), purse(&ledger, "b"), purse(&ledger, "c")], [(20, 20, 0, 0), (30, 30, 0, 0), (25, 10, 0, 0)]);
    assert_eq!(ledger.says("post late x->a 1"), "account_closed");
    for (line, answer) in [("reopen a", "account.reopened"), ("reopen b", "account.reopened"), ("post late x->a 1", "entry.posted")] {
        assert_eq!(ledger.says(line), answer);
    }
    assert_eq!([purse(&ledger, "a"), purse(&ledger, "b")], [(20, 21, 0, 0), (30, 30, 0, 0)]);
}

/// Case 6, second half: on a closed account a hold may be voided or expire, not be posted.
#[test]
fn case_6_a_hold_on_a_closed_account_is_voided_or_expires() {
    let mut ledger = Ledger::after(
        "open x \n open c \n open a
         post fund x->a 20 \n hold h1 a->x 5 \n hold h2 a->x 4 until +1s
         close a into c by sweep",
    );
    assert_eq!(purse(&ledger, "a"), (11, 20, 9, 0), "what the holds claim stays");
    assert_eq!(ledger.says("post_hold h1"), "account_closed");
    assert_eq!(ledger.says("void h1"), "entry.hold_voided");
    ledger.accepts("wait +1s");
    assert_eq!(purse(&ledger, "a"), (11, 20, 0, 0));
    assert_eq!(ledger.says("close a into c"), "account_closed");
    ledger.accepts("reopen a \n close a into c by sweep-2");
    assert_eq!((ledger.balance("a"), ledger.balance("c")), ((0, 0), (20, 20)));
}

/// Case 7 (TigerBeetle, `recipes/currency-exchange.md`): two transfers and a spread, or nothing.
#[test]
fn case_7_an_exchange_with_a_spread_is_one_entry() {
    let script = "open a1 USD \n open l1 USD \n open l2 INR \n open a2 INR";
    let exchange = "post fx a1->l1 100.00USD, l2->a2 8242.14INR, a1->l1 0.10USD";
    let mut ledger = Ledger::after(script);
    ledger.accepts(exchange);
    assert_eq!((ledger.balance("l1"), ledger.balance("a2")), ((10_010, 10_010), (824_214, 824_214)));
    for (currency, debits, credits) in ledger.balances().sums() {
        assert_eq!(debits, credits, "{currency}");
    }
    // The rupees are refused: no dollar moves.
    let mut ledger = Ledger::after(&format!("{script} \n limits a2 ceiling 8242.13"));
    assert_eq!(ledger.says(exchange), "above_ceiling");
    assert_eq!((ledger.balance("a1"), ledger.balance("l1")), ((0, 0), (0, 0)));
}

/// Case 11 (pgledger, `go/test/db_test.go`): three entries in an atomic request are refused at the second.
#[test]
fn case_11_an_atomic_set_is_refused_whole_at_the_first_limit() {
    let mut ledger = Ledger::after("open p1 \n open p2 \n open p3 ceiling 0");
    let before = ledger.history.len();
    assert_eq!(ledger.bulk(true, &["post e1 p1->p2 10", "post e2 p2->p3 20", "post e3 p3->p1 50"]), ["above_ceiling"]);
    assert_eq!(ledger.history.len(), before);
    assert_eq!([ledger.balance("p1"), ledger.balance("p2"), ledger.balance("p3")], [(0, 0); 3]);
}

/// Case 11, where Cauri differs: as transfers of one entry the same moves are accepted, limits count after all of them.
#[test]
fn case_11_limits_count_after_all_transfers_of_one_entry() {
    let mut ledger = Ledger::after("open p1 \n open p2 \n open p3 ceiling 0");
    ledger.accepts("post e p1->p2 10, p2->p3 20, p3->p1 50");
    assert_eq!([ledger.balance("p1").0, ledger.balance("p2").0, ledger.balance("p3").0], [40, -10, -30]);
    for (line, answer) in [
        ("post f p1->p2 0", "amount_not_positive"),
        ("post f p1->p2 -1", "amount_not_positive"),
        ("post f p1->p1 1", "same_account"),
        ("post f p1->p2 1EUR", "currency_mismatch"),
    ] {
        assert_eq!(ledger.says(line), answer);
    }
}

/// Worked example 1: a collection with fee, tax and the provider's cost is one entry.
#[test]
fn worked_example_1_a_collection_of_10_000() {
    let ledger = Ledger::after(
        "open providers:wave:receivable asset \n open merchants:awa:available floor 0
         open income:fees:collection income \n open liabilities:taxes:taf \n open expenses:providers:wave expense
         post c1 providers:wave:receivable->merchants:awa:available 9890, \
                 providers:wave:receivable->income:fees:collection 100, \
                 providers:wave:receivable->liabilities:taxes:taf 10, \
                 expenses:providers:wave->providers:wave:receivable 50",
    );
    let balances: Vec<i128> = [
        "providers:wave:receivable",
        "merchants:awa:available",
        "income:fees:collection",
        "liabilities:taxes:taf",
        "expenses:providers:wave",
    ]
    .map(|name| ledger.balance(name).0)
    .into();
    assert_eq!(balances, [9_950, 9_890, 100, 10, 50]);
    assert_eq!(ledger.balances().sums().iter().map(|(_, debits, credits)| (*debits, *credits)).collect::<Vec<_>>(), [(10_050, 10_050)]);
}

/// Worked example 3: a payout that timed out stays held, then the statement decides.
#[test]
fn worked_example_3_a_payout_that_timed_out() {
    let script = "open world \n open float asset \n open awa floor 0 \n open fees income
                  post fund world->awa 9890 \n post prefund float->world 100000
                  hold payout awa->float 5000, awa->fees 50";
    let mut paid = Ledger::after(script);
    assert_eq!(paid.balance("awa"), (9_890, 4_840));
    paid.accepts("post_hold payout");
    assert_eq!([paid.balance("awa"), paid.balance("float"), paid.balance("fees")], [(4_840, 4_840), (95_000, 95_000), (50, 50)]);
    let mut failed = Ledger::after(script);
    failed.accepts("void payout");
    assert_eq!([failed.balance("awa"), failed.balance("float"), failed.balance("fees")], [(9_890, 9_890), (100_000, 100_000), (0, 0)]);
}

/// Worked example 6: a ceiling refuses by one franc.
#[test]
fn worked_example_6_a_ceiling_of_an_identified_wallet() {
    let mut ledger = Ledger::after("open world \n open wallet floor 0 ceiling 2000000 \n post fund world->wallet 1990000");
    assert_eq!(ledger.says("post one world->wallet 10001"), "above_ceiling");
    assert_eq!(ledger.says("post two world->wallet 10000"), "entry.posted");
}
