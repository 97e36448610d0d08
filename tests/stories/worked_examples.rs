//! The worked examples of the domain, as entries: the figures that payments will have to reach.

use cauri_tests::server::{Answer, Server, verify};
use serde_json::{Value, json};

fn transfer(debit: &str, credit: &str, amount: i64, reason: &str) -> Value {
    json!({ "debit": debit, "credit": credit, "amount": { "amount": amount.to_string(), "currency": "XOF" }, "reason": reason })
}

fn entry(server: &Server, reference: &str, transfers: Vec<Value>) -> Answer {
    server.post("/v1/entries", Some(reference), &json!({ "reference": reference, "transfers": transfers }))
}

fn position(answer: &Answer) -> String {
    answer.body["position"].as_str().unwrap_or_else(|| panic!("{:?}", answer.body)).to_owned()
}

fn with_accounts(data: &std::path::Path) -> Server {
    let server = Server::start(data);
    server.open("merchants:awa:available", "liability", json!({ "floor": "0" }));
    for (address, kind) in [
        ("providers:wave:receivable", "asset"),
        ("providers:wave:float", "asset"),
        ("income:fees:collection", "income"),
        ("income:fees:payout", "income"),
        ("liabilities:taxes:taf", "liability"),
        ("expenses:providers:wave", "expense"),
        ("banks:ecobank:ringfenced", "asset"),
        ("equity:capital", "equity"),
    ] {
        server.open(address, kind, json!({}));
    }
    server
}

fn collect(server: &Server) -> Answer {
    entry(
        server,
        "collection-1",
        vec![
            transfer("providers:wave:receivable", "merchants:awa:available", 9_890, "net"),
            transfer("providers:wave:receivable", "income:fees:collection", 100, "fee"),
            transfer("providers:wave:receivable", "liabilities:taxes:taf", 10, "tax on the fee"),
            transfer("expenses:providers:wave", "providers:wave:receivable", 50, "provider's cost"),
        ],
    )
}

#[test]
fn a_collection_a_refund_and_a_settlement_leave_the_figures_of_the_domain() {
    let data = tempfile::tempdir().expect("a directory");
    let server = with_accounts(data.path());

    let collected = collect(&server);
    assert_eq!(collected.status, 201, "{:?}", collected.body);
    let at = position(&collected);
    let balance = |account: &str, at: &str| server.balance(account, at).0;
    assert_eq!(balance("providers:wave:receivable", &at), 9_950);
    assert_eq!(balance("merchants:awa:available", &at), 9_890);
    assert_eq!(balance("income:fees:collection", &at), 100);
    assert_eq!(balance("liabilities:taxes:taf", &at), 10);
    assert_eq!(balance("expenses:providers:wave", &at), 50);
    let sums = server.query("{ trialBalance { sums { currency debits { amount } credits { amount } } } }", Some(&at));
    let sum = &sums["trialBalance"]["sums"][0];
    assert_eq!((sum["debits"]["amount"].as_str(), sum["credits"]["amount"].as_str()), (Some("10050"), Some("10050")), "{sums}");

    let refund = |reference: &str, amount| {
        entry(&server, reference, vec![transfer("merchants:awa:available", "providers:wave:receivable", amount, "refund")])
    };
    let refunded = refund("refund-1", 4_000);
    assert_eq!(balance("merchants:awa:available", &position(&refunded)), 5_890);
    assert_eq!(balance("providers:wave:receivable", &position(&refunded)), 5_950);
    let too_much = refund("refund-2", 5_891);
    assert_eq!((too_much.status, too_much.body["code"].as_str()), (422, Some("below_floor")), "{:?}", too_much.body);

    let settled =
        entry(&server, "settlement-1", vec![transfer("banks:ecobank:ringfenced", "providers:wave:receivable", 5_950, "settlement")]);
    assert_eq!(balance("banks:ecobank:ringfenced", &position(&settled)), 5_950);
    assert_eq!(balance("providers:wave:receivable", &position(&settled)), 0);
    assert!(server.terminate().success());
    verify(data.path());
}

#[test]
fn a_payout_that_times_out_stays_held_until_a_statement_says_what_became_of_it() {
    for paid in [true, false] {
        let data = tempfile::tempdir().expect("a directory");
        let server = with_accounts(data.path());
        collect(&server);
        let funded = entry(&server, "float", vec![transfer("providers:wave:float", "equity:capital", 100_000, "prefunding")]);
        assert_eq!(funded.status, 201, "{:?}", funded.body);

        let held = server.post(
            "/v1/entries",
            Some("payout-1"),
            &json!({ "hold": {}, "transfers": [
                transfer("merchants:awa:available", "providers:wave:float", 5_000, "payout"),
                transfer("merchants:awa:available", "income:fees:payout", 50, "fee"),
            ] }),
        );
        assert_eq!(held.status, 201, "{:?}", held.body);
        assert_eq!(server.balance("merchants:awa:available", &position(&held)), (9_890, 4_840));

        let id = held.body["id"].as_str().expect("an id").to_owned();
        let verb = if paid { "post" } else { "void" };
        let resolved = server.post(&format!("/v1/entries/{id}/{verb}"), Some("statement-1"), &json!({}));
        assert_eq!(resolved.status, 200, "{:?}", resolved.body);
        let at = position(&resolved);
        let expected = if paid { (4_840, 4_840) } else { (9_890, 9_890) };
        assert_eq!(server.balance("merchants:awa:available", &at), expected);
        assert_eq!(server.balance("providers:wave:float", &at).0, if paid { 95_000 } else { 100_000 });
        assert_eq!(server.balance("income:fees:payout", &at).0, if paid { 50 } else { 0 });

        let again = server.post(&format!("/v1/entries/{id}/post"), Some("statement-2"), &json!({}));
        let code = if paid { "hold_already_posted" } else { "hold_already_voided" };
        assert_eq!((again.status, again.body["code"].as_str()), (422, Some(code)));
        drop(server);
        verify(data.path());
    }
}

#[test]
fn an_identified_wallet_refuses_what_lifts_it_above_its_ceiling() {
    let data = tempfile::tempdir().expect("a directory");
    let server = Server::start(data.path());
    server.open("equity:capital", "equity", json!({}));
    server.open("customers:fatou:wallet", "liability", json!({ "floor": "0", "ceiling": "2000000" }));
    let reload = |key: &str, amount| entry(&server, key, vec![transfer("equity:capital", "customers:fatou:wallet", amount, "reload")]);
    assert_eq!(reload("first", 1_990_000).status, 201);
    let refused = reload("second", 10_001);
    assert_eq!((refused.status, refused.body["code"].as_str()), (422, Some("above_ceiling")), "{:?}", refused.body);
    assert_eq!(reload("third", 10_000).status, 201);
}
