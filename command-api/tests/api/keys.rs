//! Idempotency keys: whose they are, what needs one, and what an answer says of it.

use cauri_command_api::HttpLimits;
use cauri_event_store::memory::Fault;
use cauri_http::auth::role::Role;
use serde_json::{Value, json};

use crate::support::{Answer, Api, entry, transfer};

const OPERATOR: &[Role] = &[Role::Operator];

/// What the account's credit side has had posted: the amounts of all entries that credit it.
async fn credited(api: &Api, address: &str) -> u64 {
    let records = api.store_records();
    records
        .iter()
        .filter(|record| record["type"] == "entry.posted")
        .flat_map(|record| record["data"]["transfers"].as_array().unwrap().clone())
        .filter(|transfer| transfer["credit"] == address)
        .map(|transfer| transfer["amount"]["amount"].as_str().unwrap().parse::<u64>().unwrap())
        .sum()
}

#[tokio::test]
async fn two_callers_with_one_key_ask_for_two_commands() {
    let api = Api::shop().await;
    let post =
        |who: &'static str, amount| api.post("/v1/entries").by(who, OPERATOR).key("order-1").json(&entry("bank", "awa", amount)).send();
    let first = post("moussa", 10).await.expect(201);
    let second = post("bintou", 10).await.expect(201);
    assert_eq!(second.header("idempotency-replayed"), "");
    assert_ne!(first.body["id"], second.body["id"], "the entries have ids of their own, derived from caller and key");
    assert_eq!(credited(&api, "awa").await, 20);
    // Another body is nobody's business but the one caller's.
    post("bintou", 11).await.expect_problem(422, "idempotency_key_reused", "");
    assert_eq!(post("moussa", 10).await.expect(201).header("idempotency-replayed"), "true");
    let record = &api.store_records()[3];
    assert_eq!(record["metadata"]["caller"], "cauri-dev moussa");
    assert_eq!(record["metadata"]["command"], "order-1");
    assert!(record["metadata"]["fingerprint"].as_str().unwrap().starts_with("2:"));
}

#[tokio::test]
async fn one_caller_cannot_use_up_the_keys_of_another() {
    let api = Api::shop().await;
    for number in 0..3 {
        let key = format!("invoice-{number}");
        let refused = api.post("/v1/entries").by("mallory", OPERATOR).key(&key).json(&entry("awa", "ben", 1_000_000)).send().await;
        refused.expect_problem(422, "below_floor", "");
        api.post("/v1/entries").by("moussa", OPERATOR).key(&key).json(&entry("bank", "awa", 5)).send().await.expect(201);
    }
    assert_eq!(credited(&api, "awa").await, 15);
}

#[tokio::test]
async fn an_admin_repeats_a_command_for_the_caller_it_is_of() {
    let api = Api::shop().await;
    let first = api.post("/v1/entries").by("moussa", OPERATOR).key("order-1").json(&entry("bank", "awa", 10)).send().await.expect(201);
    let for_moussa = |who: &'static str, roles: &'static [Role], key: &'static str| {
        api.post("/v1/entries").by(who, roles).header("cauri-on-behalf-of", "moussa").key(key).json(&entry("bank", "awa", 10)).send()
    };
    let again = for_moussa("chief", &[Role::Admin], "order-1").await.expect(201);
    assert_eq!((again.header("idempotency-replayed"), &again.body["id"]), ("true", &first.body["id"]));
    for_moussa("bintou", OPERATOR, "order-1").await.expect_problem(403, "role_not_sufficient", "");
    // One that was not done is done now, in moussa's name and by the admin: both are recorded.
    for_moussa("chief", &[Role::Admin], "order-2").await.expect(201);
    let record = api.store_records().pop().unwrap();
    assert_eq!((&record["metadata"]["caller"], &record["metadata"]["actor"]), (&json!("cauri-dev moussa"), &json!("admin:chief")));
    let mine = api.post("/v1/entries").by("moussa", OPERATOR).key("order-2").json(&entry("bank", "awa", 10)).send().await.expect(201);
    assert_eq!(mine.header("idempotency-replayed"), "true");
}

#[tokio::test]
async fn the_lines_of_a_source_are_the_same_commands_whoever_loads_them() {
    let api = Api::shop().await;
    let load = |who: &'static str, source: &'static str| {
        let body = json!([{"op": "post_entry", "idempotency_key": "line-1", "transfers": [transfer("bank", "awa", "7")]}]);
        api.post("/v1/bulk").by(who, OPERATOR).header("cauri-import", source).without_key().json(&body).send()
    };
    assert_eq!(load("moussa", "wave-sn").await.expect(200).body["replayed"], 0);
    assert_eq!(load("bintou", "wave-sn").await.expect(200).body["replayed"], 1);
    assert_eq!(load("bintou", "orange-ci").await.expect(200).body["replayed"], 0);
    assert_eq!(api.store_records().pop().unwrap()["metadata"]["caller"], "import/orange-ci");
    let both = api.post("/v1/bulk").header("cauri-import", "wave-sn").header("cauri-on-behalf-of", "moussa").json(&json!([])).send().await;
    both.expect_problem(400, "validation_failed", "");
    load("moussa", "../x").await.expect_problem(400, "validation_failed", "");
}

/// Sent twice without a key, money would move twice.
#[tokio::test]
async fn what_moves_money_needs_a_key_or_the_callers_own_id() {
    let api = Api::shop().await;
    let before = api.events();
    let missing = |answer: Answer, pointer: &str| {
        let code = if pointer.is_empty() { "idempotency_key_missing" } else { "validation_failed" };
        answer.expect_problem(400, code, pointer);
    };
    missing(api.post("/v1/entries").without_key().json(&entry("bank", "awa", 1)).send().await, "");
    let some = "0190f1c2-7e4b-7cc3-98c4-dc0c0c07398f";
    for verb in ["post", "reverse"] {
        missing(api.post(&format!("/v1/entries/{some}/{verb}")).without_key().json(&json!({})).send().await, "");
    }
    missing(api.post("/v1/accounts/ben/close").without_key().json(&json!({})).send().await, "");
    let items = json!([
        {"op": "freeze_account", "address": "ben"},
        {"op": "post_entry", "transfers": [transfer("bank", "awa", "1")]},
    ]);
    let answer = api.post("/v1/bulk").without_key().json(&items).send().await;
    assert_eq!(answer.body["errors"][0]["code"], "idempotency_key_missing", "{}", answer.text);
    missing(answer, "/1/idempotency_key");
    assert_eq!(api.events(), before, "nothing was done");

    // The id that the caller made is the key: sent again it is the same command, with another body it is none.
    let mut body = entry("bank", "awa", 1);
    body["id"] = json!(some);
    let first = api.post("/v1/entries").without_key().json(&body).send().await.expect(201);
    assert_eq!(first.body["idempotency_key"], some);
    assert_eq!(api.post("/v1/entries").without_key().json(&body).send().await.expect(201).header("idempotency-replayed"), "true");
    body["transfers"][0]["amount"]["amount"] = json!("2");
    api.post("/v1/entries").without_key().json(&body).send().await.expect_problem(422, "idempotency_key_reused", "");
    assert_eq!(credited(&api, "awa").await, 1);

    // What moves nothing does not need one.
    api.post("/v1/accounts/ben/freeze").without_key().json(&json!({})).send().await.expect(200);
}

#[tokio::test]
async fn a_trial_may_leave_the_key_out_and_is_given_the_one_that_was_made() {
    let api = Api::with(HttpLimits { keys_optional: true, ..HttpLimits::default() }, |_| {}, Vec::new());
    for address in ["bank", "awa"] {
        api.post("/v1/accounts").json(&json!({"address": address, "kind": "asset", "currency": "XOF"})).send().await.expect(201);
    }
    let post = |key: Option<String>| {
        let call = api.post("/v1/entries").json(&entry("bank", "awa", 1));
        match key {
            Some(key) => call.key(&key),
            None => call.without_key(),
        }
        .send()
    };
    let first = post(None).await.expect(201);
    let key = first.header("idempotency-key").to_owned();
    assert_eq!(first.body["idempotency_key"], key);
    assert_ne!(post(None).await.expect(201).body["id"], first.body["id"]);
    assert_eq!(post(Some(key)).await.expect(201).body["id"], first.body["id"]);
}

#[tokio::test]
async fn every_answer_gives_the_key_back() {
    let api = Api::shop().await;
    let body = entry("awa", "ben", 5);
    for answer in [
        api.post("/v1/accounts/ben/freeze").key("k").send().await,
        api.post("/v1/accounts/ben/unfreeze").key("k").send().await,
        api.post("/v1/entries").key("k").header("if-match", "\"9\"").json(&body).send().await,
    ] {
        assert_eq!((answer.header("idempotency-key"), &answer.body["idempotency_key"]), ("k", &json!("k")), "{}", answer.text);
    }
    api.store.faults().inject(Fault::Fail);
    let failed = api.post("/v1/entries").key("f").json(&body).send().await;
    assert_eq!((failed.status, failed.header("idempotency-key")), (503, "f"), "{}", failed.text);
    let bulk = api.post("/v1/bulk").key("b").json(&json!([{"op": "freeze_account", "address": "awa"}])).send().await.expect(200);
    assert_eq!(bulk.body["results"][0]["idempotency_key"], "b/0");
}

#[tokio::test]
async fn a_remembered_refusal_says_since_when_and_that_a_new_key_is_needed() {
    let api = Api::shop().await;
    let pay = |key: &'static str| api.post("/v1/entries").key(key).json(&entry("awa", "ben", 100)).send();
    let first = pay("pay-1").await.expect_problem(422, "below_floor", "");
    assert_eq!(first.body["replayed"], false);
    let since = first.body["recorded_at"].as_str().unwrap().to_owned();
    api.post("/v1/entries").json(&entry("bank", "awa", 500)).send().await.expect(201);
    api.clock.advance_micros(60_000_000);
    let again = pay("pay-1").await.expect_problem(422, "below_floor", "");
    assert_eq!((&again.body["replayed"], again.body["recorded_at"].as_str()), (&json!(true), Some(&*since)));
    let detail = again.body["detail"].as_str().unwrap();
    assert!(detail.contains(&since) && detail.contains("new key"), "{detail}");
    let in_bulk = json!([{"op": "post_entry", "idempotency_key": "pay-1", "transfers": [transfer("awa", "ben", "100")]}]);
    let result = api.post("/v1/bulk").json(&in_bulk).send().await.expect(200).body["results"][0].clone();
    assert_eq!((&result["replayed"], &result["recorded_at"]), (&json!(true), &json!(since)));
    assert!(result["detail"].as_str().unwrap().contains("new key"), "{result}");
    pay("pay-2").await.expect(201);
}

/// Alone and in bulk, however the same amount, instant or member is written.
#[tokio::test]
async fn two_spellings_of_one_command_are_one_command() {
    let api = Api::shop().await;
    for (address, kind) in [("eur:a", "asset"), ("eur:b", "liability")] {
        api.post("/v1/accounts").json(&json!({"address": address, "kind": kind, "currency": "EUR"})).send().await.expect(201);
    }
    let body = |amount: &str, at: &str, more: &str| {
        format!(
            r#"{{"transfers":[{{"credit":"eur:b","debit":"eur:a","amount":{{"currency":"EUR","amount":"{amount}"}}}}],"effective_at":"{at}"{more}}}"#
        )
    };
    let first =
        api.post("/v1/entries").key("k").text("application/json", body("10.50", "2026-03-16T08:00:00Z", "")).send().await.expect(201);
    for (amount, at, more) in [
        ("10.5", "2026-03-16T09:00:00.000+01:00", ""),
        ("010.50", "2026-03-16T08:00:00Z", r#","reference":null,"dimensions":{}"#),
        ("10.500000", "2026-03-16T08:00:00.0Z", ""),
    ] {
        let again = api.post("/v1/entries").key("k").text("application/json", body(amount, at, more)).send().await.expect(201);
        assert_eq!((again.header("idempotency-replayed"), &again.body["id"]), ("true", &first.body["id"]), "{amount} {at}");
    }
    let mut item: Value = serde_json::from_str(&body("10.5", "2026-03-16T08:00:00Z", "")).unwrap();
    item["op"] = json!("post_entry");
    item["idempotency_key"] = json!("k");
    assert_eq!(api.post("/v1/bulk").json(&json!([item])).send().await.expect(200).body["replayed"], 1);
    api.post("/v1/entries").key("k").text("application/json", body("10.51", "2026-03-16T08:00:00Z", "")).send().await.expect_problem(
        422,
        "idempotency_key_reused",
        "",
    );
}
