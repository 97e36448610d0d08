//! Callers who are limited to some accounts, and fields that not everybody may see.

use std::sync::{Arc, Mutex};

use axum::http::StatusCode;
use cauri_http::auth::role::Role;
use cauri_query_api::{Limits, QueryState, RecordAccess};
use serde_json::{Value, json};

use crate::support::{Api, Ledger, token_of, token_within, verifier};

/// Two merchants, one of whom is in a set, with a sale each and a payment between them.
fn ledger() -> Ledger {
    let ledger = Ledger::start();
    for address in ["world", "income:fees", "merchants:awa", "merchants:awa:held", "merchants:awatou", "merchants:ben:cash"] {
        ledger.open_with(address, "liability", "XOF", json!({ "owner": format!("party of {address}"), "metadata": { "country": "BJ" } }));
    }
    ledger.change_set("north", "create", json!({ "name": "north" }));
    ledger.change_set("all", "create", json!({ "name": "all" }));
    ledger.change_set("north", "add", json!({ "member": { "account": "merchants:ben:cash" } }));
    ledger.change_set("all", "add", json!({ "member": { "set": "north" } }));
    ledger.post("world", "merchants:awa", 100);
    ledger.post("merchants:awa", "income:fees", 3);
    ledger.post("merchants:awa", "merchants:ben:cash", 20);
    ledger.post("world", "merchants:awatou", 7);
    ledger
}

fn api_of(ledger: &Ledger, token: String) -> Api {
    Api { token: Some(token), ..ledger.api() }
}

async fn awa(ledger: &Ledger) -> Api {
    ledger.shown().await;
    api_of(ledger, token_within(Role::Operator, &["merchants:awa"], &[]))
}

fn addresses(data: &Value) -> Vec<&str> {
    data["edges"].as_array().expect("edges").iter().map(|edge| edge["node"]["address"].as_str().expect("an address")).collect()
}

#[tokio::test]
async fn a_merchant_sees_the_accounts_below_their_prefix_and_no_others() {
    let ledger = ledger();
    let api = awa(&ledger).await;
    let data = api
        .data(
            "{ own: account(address: \"merchants:awa:held\") { address } next: account(address: \"merchants:awatou\") { address }
               balance(account: \"world\") { address } accounts { edges { node { address } } }
               below: accounts(prefix: \"merchants\") { edges { node { address } } }
               aside: accounts(prefix: \"income\") { edges { node { address } } }
               rollup(prefix: \"merchants:awa\") { accounts posted { amount } } accountSet(name: \"north\") { name }
               accountSets { edges { node { name } } } }",
        )
        .await;
    assert_eq!(data["own"]["address"], "merchants:awa:held");
    assert_eq!((&data["next"], &data["balance"], &data["accountSet"]), (&Value::Null, &Value::Null, &Value::Null));
    assert_eq!(addresses(&data["accounts"]), ["merchants:awa", "merchants:awa:held"]);
    assert_eq!(addresses(&data["below"]), ["merchants:awa", "merchants:awa:held"]);
    assert!(addresses(&data["aside"]).is_empty());
    assert_eq!(data["rollup"], json!([{ "accounts": 2, "posted": { "amount": "77" } }]));
    assert!(addresses(&data["accountSets"]).is_empty());
}

#[tokio::test]
async fn what_is_about_all_accounts_is_refused_by_name() {
    let ledger = ledger();
    let api = awa(&ledger).await;
    for query in [
        "{ trialBalance { sums { accounts: currency } } }",
        "{ trialBalance { accounts { edges { node { address } } } } }",
        "{ journal { edges { node { position } } } }",
        "{ entries { edges { node { id } } } }",
        "{ rollup(prefix: \"merchants\") { accounts } }",
    ] {
        let answer = api.ask(query).await;
        assert_eq!(answer.code(), "FORBIDDEN", "{query}: {}", answer.body);
        assert!(answer.message().contains("limited to some accounts"), "{}", answer.message());
    }
}

#[tokio::test]
async fn an_entry_shows_a_caller_the_sides_that_they_reach() {
    let ledger = ledger();
    let foreign = ledger.post("world", "merchants:ben:cash", 1).begun.and_then(|stream| stream.as_entry()).expect("an entry");
    let api = awa(&ledger).await;
    let data = api
        .data(&format!(
            "{{ account(address: \"merchants:awa\") {{ entries {{ edges {{ node {{ transfers {{ debitAddress creditAddress debit {{ address }} amount {{ amount }} }} }} }} }} }}
               statement(account: \"merchants:awa\", from: \"2020-01-01T00:00:00Z\", to: \"2030-01-01T00:00:00Z\") {{ lines {{ edges {{ node {{ counterparty amount {{ amount }} }} }} }} }}
               foreign: entry(id: \"{foreign}\") {{ id }}
               ofAnother: entries(filter: {{ account: \"merchants:ben:cash\" }}) {{ edges {{ node {{ id }} }} }} }}"
        ))
        .await;
    let entries = data["account"]["entries"]["edges"].as_array().expect("entries");
    assert_eq!(entries.len(), 3);
    assert_eq!(
        entries[0]["node"]["transfers"],
        json!([{ "debitAddress": null, "creditAddress": "merchants:awa", "debit": null, "amount": { "amount": "100" } }])
    );
    let lines = data["statement"]["lines"]["edges"].as_array().expect("lines");
    assert_eq!(lines.len(), 3);
    assert!(lines.iter().all(|line| line["node"]["counterparty"] == Value::Null), "{lines:?}");
    assert_eq!(data["foreign"], Value::Null);
    assert_eq!(data["ofAnother"]["edges"], json!([]));
}

#[tokio::test]
async fn a_set_reaches_who_is_in_it_by_any_way_while_they_are() {
    let ledger = ledger();
    ledger.shown().await;
    // Pages of one over what a prefix and a set give together, some of it twice.
    let api = api_of(&ledger, token_within(Role::Auditor, &["merchants:awa:held", "merchants:ben"], &["all"]));
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let data = api
            .data(&format!("{{ accounts(first: 1{after}) {{ edges {{ node {{ address }} cursor }} pageInfo {{ hasNextPage }} }} }}"))
            .await;
        seen.extend(addresses(&data["accounts"]).into_iter().map(str::to_owned));
        after = format!(", after: {}", data["accounts"]["edges"][0]["cursor"]);
        if data["accounts"]["pageInfo"]["hasNextPage"] == false {
            break;
        }
    }
    assert_eq!(seen, ["merchants:awa:held", "merchants:ben:cash"]);
    let api = api_of(&ledger, token_within(Role::Auditor, &[], &["all"]));
    let query = "{ account(address: \"merchants:ben:cash\") { address entries { edges { node { transfers { debitAddress creditAddress } } } } }
        accountSet(name: \"all\") { balances { accounts } accounts { edges { node { address } } } } inner: accountSet(name: \"north\") { name } }";
    let data = api.data(query).await;
    assert_eq!(
        data["account"]["entries"]["edges"][0]["node"]["transfers"],
        json!([{ "debitAddress": null, "creditAddress": "merchants:ben:cash" }])
    );
    assert_eq!(data["accountSet"]["balances"], json!([{ "accounts": 1 }]));
    assert_eq!(data["inner"], Value::Null, "it is not among the sets of the token");
    let later = json!({ "member": { "account": "merchants:ben:cash" }, "effective_at": "2026-03-16T12:00:01Z" });
    ledger.change_set("north", "remove", later);
    ledger.shown().await;
    let data = api.data(query).await;
    assert_eq!((&data["account"], &data["accountSet"]["balances"]), (&Value::Null, &json!([])));
}

#[tokio::test]
async fn a_token_whose_limit_cannot_be_understood_lets_nobody_in() {
    let ledger = ledger();
    ledger.shown().await;
    // A limit that is there and empty reaches nothing.
    let data = api_of(&ledger, token_within(Role::Admin, &[], &[])).data("{ accounts { edges { node { address } } } }").await;
    assert!(addresses(&data["accounts"]).is_empty());
}

#[tokio::test]
async fn sensitive_fields_are_masked_or_recorded() {
    let ledger = ledger();
    ledger.shown().await;
    let seen: Arc<Mutex<Vec<String>>> = Arc::default();
    let record: RecordAccess = {
        let seen = seen.clone();
        Arc::new(move |access| seen.lock().expect("no panic").push(format!("{} {} {}", access.actor, access.field, access.of)))
    };
    let state = QueryState {
        record_access: record,
        limits: Limits::default(),
        ..QueryState::new(ledger.reads(), ledger.store.clone(), verifier())
    };
    let router = cauri_query_api::router(state);
    let query = "{ account(address: \"merchants:awa\") { owner metadata { key } status } }";
    let of = |role| Api { router: router.clone(), token: Some(token_of("awa", role)) };
    let data = of(Role::Reader).data(query).await;
    assert_eq!(data["account"], json!({ "owner": null, "metadata": null, "status": "OPEN" }));
    assert!(seen.lock().expect("no panic").is_empty(), "nothing was seen");
    let data = of(Role::Auditor).data(query).await;
    assert_eq!(data["account"]["owner"], "party of merchants:awa");
    of(Role::Auditor).data("{ account(address: \"merchants:awa\") { status } }").await;
    let mut seen = seen.lock().expect("no panic").clone();
    seen.sort_unstable();
    assert_eq!(seen, ["auditor:awa Account.metadata merchants:awa", "auditor:awa Account.owner merchants:awa"]);
    assert_eq!(of(Role::Auditor).ask(query).await.status, StatusCode::OK);
}
