//! Callers who are limited to some accounts: their commands and histories name no others.

use cauri_http::auth::role::Role;
use serde_json::json;

use crate::support::{Api, entry, token_within};

#[tokio::test]
async fn a_limited_caller_commands_their_own_accounts_only() {
    let api = Api::shop().await;
    let token = token_within(&[Role::Operator], &["awa", "shops"]);
    let post = |path: &str| api.post(path).token(&token);
    post("/v1/accounts").json(&json!({ "address": "shops:a", "kind": "liability", "currency": "XOF" })).send().await.expect(201);
    let answer = post("/v1/accounts").json(&json!({ "address": "shopsy", "kind": "liability", "currency": "XOF" })).send().await;
    let answer = answer.expect_problem(403, "out_of_reach", "");
    assert!(answer.body["detail"].as_str().unwrap().contains("shopsy"), "{}", answer.text);
    post("/v1/entries").json(&entry("shops:a", "awa", 1)).send().await.expect(201);
    // Either side of a transfer may be somebody else's.
    post("/v1/entries").json(&entry("awa", "bank", 1)).send().await.expect_problem(403, "out_of_reach", "");
    post("/v1/entries").json(&entry("bank", "awa", 1)).send().await.expect_problem(403, "out_of_reach", "");
    // One item of many is enough, and then nothing is done.
    let items = json!([
        { "op": "open_account", "address": "shops:b", "kind": "liability", "currency": "XOF" },
        { "op": "freeze_account", "address": "bank" },
    ]);
    post("/v1/bulk").json(&items).send().await.expect_problem(403, "out_of_reach", "");
    api.get("/v1/accounts/shops:b").role(Role::Reader).send().await.expect(404);
    let admin = token_within(&[Role::Admin], &["awa"]);
    api.post("/v1/journal/close").token(&admin).send().await.expect_problem(403, "out_of_reach", "");
    api.post("/v1/account_sets").token(&admin).json(&json!({ "name": "mine" })).send().await.expect_problem(403, "out_of_reach", "");
}

#[tokio::test]
async fn an_entry_is_commanded_by_whoever_reaches_all_of_its_accounts() {
    let api = Api::shop().await;
    let token = token_within(&[Role::Operator], &["awa"]);
    let posted = api.post("/v1/entries").role(Role::Operator).json(&entry("bank", "awa", 5)).send().await;
    let id = posted.expect(201).body["id"].as_str().unwrap().to_owned();
    let reverse = format!("/v1/entries/{id}/reverse");
    api.post(&reverse).token(&token).send().await.expect_problem(403, "out_of_reach", "");
    let both = token_within(&[Role::Operator], &["awa", "bank"]);
    api.post(&reverse).token(&both).send().await.expect(200);
}

#[tokio::test]
async fn a_history_is_shown_to_whoever_reaches_its_account() {
    let api = Api::shop().await;
    let token = token_within(&[Role::Reader], &["awa"]);
    let posted = api.post("/v1/entries").role(Role::Operator).json(&entry("bank", "awa", 5)).send().await;
    let id = posted.expect(201).body["id"].as_str().unwrap().to_owned();
    api.get("/v1/accounts/awa").token(&token).send().await.expect(200);
    api.get("/v1/accounts/bank").token(&token).send().await.expect_problem(403, "out_of_reach", "");
    api.get(&format!("/v1/entries/{id}")).token(&token).send().await.expect_problem(403, "out_of_reach", "");
}
