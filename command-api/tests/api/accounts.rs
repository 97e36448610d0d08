//! `/v1/accounts`

use cauri_http::auth::role::Role;
use serde_json::json;

use crate::support::{Api, entry};

#[tokio::test]
async fn opening_answers_201_with_its_place_version_and_position() {
    let api = Api::new();
    let body = json!({
        "address": "merchants:awa:available", "kind": "liability", "currency": "XOF", "limits": {"floor": "0", "ceiling": "2000000"},
        "chart_code": "4671", "owner": "party-17", "metadata": {"country": "CI"},
    });
    let answer = api.post("/v1/accounts").key("open-awa").json(&body).send().await.expect(201);
    assert_eq!(
        answer.body,
        json!({
            "address": "merchants:awa:available", "status": "accepted", "version": 1, "position": api.token(),
            "journal_position": 1, "recorded_at": "2026-03-16T08:00:00.000000Z", "idempotency_key": "open-awa", "replayed": false,
        })
    );
    assert_eq!(answer.header("location"), "/v1/accounts/merchants:awa:available");
    assert_eq!(answer.header("etag"), "\"1\"");
    assert_eq!(answer.header("cauri-position"), api.token());
    assert_eq!(answer.header("idempotency-replayed"), "");
}

#[tokio::test]
async fn a_location_leads_to_what_happened() {
    let api = Api::shop().await;
    api.post("/v1/accounts/awa/freeze").json(&json!({"reason": "seen twice"})).send().await.expect(200);
    let answer = api.get("/v1/accounts/awa").role(Role::Reader).send().await.expect(200);
    assert_eq!(answer.header("etag"), "\"2\"");
    assert_eq!(answer.body["stream"], "account/awa");
    assert_eq!(answer.body["version"], 2);
    assert_eq!(answer.body["events"][1]["type"], "account.frozen");
    assert_eq!(answer.body["events"][1]["data"], json!({"reason": "seen twice"}));
    api.get("/v1/accounts/nobody").send().await.expect_problem(404, "not_found", "");
}

#[tokio::test]
async fn the_life_of_an_account() {
    let api = Api::shop().await;
    let act = async |action: &str, body| api.post(&format!("/v1/accounts/awa/{action}")).json(&body).send().await;
    act("freeze", json!({"reason": "seen twice"})).await.expect(200);
    act("freeze", json!({})).await.expect_problem(422, "account_frozen", "");
    api.post("/v1/entries").json(&entry("bank", "awa", 5)).send().await.expect_problem(422, "account_frozen", "/transfers/0/credit");
    act("unfreeze", json!({})).await.expect(200);
    act("unfreeze", json!({})).await.expect_problem(422, "account_not_frozen", "");
    api.post("/v1/entries").json(&entry("bank", "awa", 5)).send().await.expect(201);
    act("limits", json!({"limits": {"floor": "-100", "ceiling": {"amount": "4", "currency": "XOF"}}})).await.expect_problem(
        422,
        "above_ceiling",
        "/limits/ceiling",
    );
    act("limits", json!({"limits": {"floor": "-100"}})).await.expect(200);
    act("close", json!({})).await.expect_problem(422, "account_not_empty", "/sweep_to");
    let closed = act("close", json!({"sweep_to": "ben"})).await.expect(200);
    assert_eq!(closed.body["address"], "awa");
    let sweep = closed.body["entry_id"].as_str().unwrap();
    let written = api.get(&format!("/v1/entries/{sweep}")).send().await.expect(200);
    assert_eq!(written.body["events"][0]["type"], "entry.posted");
    act("close", json!({})).await.expect_problem(422, "account_closed", "");
    act("reopen", json!({})).await.expect(200);
    act("reopen", json!({})).await.expect_problem(422, "account_not_closed", "");
}

#[tokio::test]
async fn a_body_without_members_may_be_left_out() {
    let api = Api::shop().await;
    api.post("/v1/accounts/awa/freeze").send().await.expect(200);
    api.post("/v1/accounts/awa/unfreeze").json(&json!({})).send().await.expect(200);
    api.post("/v1/accounts/awa/unfreeze").json(&json!({"reason": "x"})).send().await.expect_problem(400, "validation_failed", "/reason");
    api.post("/v1/accounts/awa/limits").send().await.expect_problem(415, "unsupported_media_type", "");
}

#[tokio::test]
async fn the_version_is_what_if_match_compares_with() {
    let api = Api::shop().await;
    let freeze = |version: &'static str| api.post("/v1/accounts/awa/freeze").header("if-match", version).send();
    let answer = freeze("\"2\"").await.expect_problem(412, "precondition_failed", "");
    assert_eq!(answer.header("etag"), "\"1\"", "the actual version comes with the answer");
    assert_eq!(answer.body["detail"], "the version is 1, the command was for version 2");
    freeze("2").await.expect_problem(400, "validation_failed", "");
    assert_eq!(freeze("\"1\"").await.expect(200).header("etag"), "\"2\"");
    let before = api.events();
    freeze("\"1\"").await.expect_problem(412, "precondition_failed", "");
    assert_eq!(api.events(), before, "a mismatch writes nothing");
}

#[tokio::test]
async fn an_address_that_cannot_be_one_is_not_looked_for() {
    let api = Api::shop().await;
    for address in ["a%20b", "a::b", ":", "%C3%A9"] {
        api.post(&format!("/v1/accounts/{address}/freeze")).send().await.expect_problem(400, "validation_failed", "");
    }
    api.post("/v1/accounts/%FF/freeze").send().await.expect_problem(400, "validation_failed", "");
    api.post("/v1/accounts/nobody/freeze").send().await.expect_problem(422, "account_not_found", "");
}

#[tokio::test]
async fn an_account_is_opened_once() {
    let api = Api::shop().await;
    let body = json!({"address": "awa", "kind": "asset", "currency": "XOF"});
    api.post("/v1/accounts").json(&body).send().await.expect_problem(422, "account_exists", "/address");
    let body = json!({"address": "eve", "kind": "asset", "currency": "XOF", "limits": {"floor": "10"}});
    api.post("/v1/accounts").json(&body).send().await.expect_problem(422, "invalid_limits", "/limits/floor");
}
