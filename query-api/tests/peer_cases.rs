//! A published case of another ledger: seven dated moves (Formance ledger v2, `test/e2e/api_volumes_test.go`).

use cauri_domain::time::Timestamp;
use serde_json::json;

use crate::support::{Api, Ledger, NOON, instant};

fn at(hours: i64) -> Timestamp {
    instant(NOON).saturating_add_secs(hours * 3_600)
}

/// All recorded at noon, effective from four hours before to two hours after.
fn seven_dated_moves() -> Ledger {
    let ledger = Ledger::start();
    for address in ["world", "account:user1", "account:user2", "bank"] {
        ledger.open(address, "liability");
    }
    for (hours, from, to, amount) in [
        (-4, "world", "account:user1", 100),
        (-3, "world", "account:user2", 125),
        (-2, "account:user1", "account:user2", 75),
        (-1, "world", "account:user1", 175),
        (0, "account:user2", "bank", 50),
        (1, "account:user2", "account:user1", 100),
        (2, "account:user1", "bank", 150),
    ] {
        ledger.post_with(from, to, amount, json!({ "effective_at": at(hours) }));
    }
    ledger
}

async fn posted(api: &Api, account: &str, arguments: &str) -> String {
    let data = api.data(&format!("{{ balance(account: \"{account}\"{arguments}) {{ posted {{ amount currency }} }} }}")).await;
    assert_eq!(data["balance"]["posted"]["currency"], "XOF");
    data["balance"]["posted"]["amount"].as_str().expect("a string").to_owned()
}

#[tokio::test]
async fn seven_dated_moves_have_the_published_balances_at_every_date() {
    let ledger = seven_dated_moves();
    ledger.shown().await;
    let api = ledger.api();
    let until = |hours| format!(", asOf: \"{}\"", at(hours));
    for (account, arguments, expected) in [
        ("account:user1", String::new(), "150"),
        ("account:user2", String::new(), "50"),
        ("bank", String::new(), "200"),
        ("world", String::new(), "-400"),
        ("account:user1", until(-2), "25"),
        ("account:user2", until(-2), "200"),
        ("world", until(-2), "-225"),
        ("account:user1", until(0), "200"),
        ("account:user2", until(0), "150"),
        ("account:user1", until(-5), "0"),
    ] {
        assert_eq!(posted(&api, account, &arguments).await, expected, "{account}{arguments}");
    }
    let data = api.data("{ rollup(prefix: \"account\") { kind currency accounts posted { amount } } }").await;
    assert_eq!(data["rollup"], json!([{ "kind": "LIABILITY", "currency": "XOF", "accounts": 2, "posted": { "amount": "200" } }]));
}

#[tokio::test]
async fn what_was_known_does_not_change_with_what_is_dated_back_later() {
    let ledger = seven_dated_moves();
    let known = ledger.head().get();
    ledger.post_with("world", "account:user1", 1_000, json!({ "effective_at": at(-4) }));
    ledger.shown().await;
    let api = ledger.api();
    let then = format!(", asOf: \"{}\", knownAt: {known}", at(-2));
    assert_eq!(posted(&api, "account:user1", &then).await, "25");
    assert_eq!(posted(&api, "account:user1", &format!(", asOf: \"{}\"", at(-2))).await, "1025");
    // The first three moves stand at positions 5, 6 and 7: behind the openings.
    assert_eq!(posted(&api, "account:user1", ", knownAt: 5").await, "100");
    assert_eq!(posted(&api, "account:user1", ", knownAt: \"7\"").await, "25");
    let before = api.data("{ balance(account: \"bank\", knownAt: 3) { posted { amount } } }").await;
    assert_eq!(before["balance"], json!(null), "it was not open yet");
}

#[tokio::test]
async fn a_window_is_a_statement_and_one_in_the_far_future_is_empty() {
    let ledger = seven_dated_moves();
    ledger.shown().await;
    let api = ledger.api();
    // Both ends in: a statement ends before `to`.
    let window = |account: &str, from: Timestamp, to: Timestamp| {
        format!(
            "{{ statement(account: \"{account}\", from: \"{from}\", to: \"{}\") {{ opening {{ amount }} closing {{ amount }}
               debits {{ amount }} credits {{ amount }} lines {{ edges {{ node {{ side amount {{ amount }} balance {{ amount }} counterparty }} }} }} }} }}",
            to.saturating_add_micros(1)
        )
    };
    let data = api.data(&window("account:user1", at(-4), at(-2))).await;
    assert_eq!(
        data["statement"],
        json!({
            "opening": { "amount": "0" }, "closing": { "amount": "25" }, "debits": { "amount": "75" }, "credits": { "amount": "100" },
            "lines": { "edges": [
                { "node": { "side": "CREDIT", "amount": { "amount": "100" }, "balance": { "amount": "100" }, "counterparty": "world" } },
                { "node": { "side": "DEBIT", "amount": { "amount": "75" }, "balance": { "amount": "25" }, "counterparty": "account:user2" } },
            ] },
        })
    );
    let far = api.data(&window("account:user1", at(10_000), at(10_001))).await;
    assert_eq!(far["statement"]["lines"]["edges"], json!([]));
    assert_eq!((&far["statement"]["debits"]["amount"], &far["statement"]["credits"]["amount"]), (&json!("0"), &json!("0")));
}
