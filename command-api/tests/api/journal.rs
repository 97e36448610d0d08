//! `/v1/journal` and `/v1/head`

use serde_json::json;

use crate::support::{Api, entry};

#[tokio::test]
async fn a_closed_journal_takes_nothing_more() {
    let api = Api::shop().await;
    let closed = api.post("/v1/journal/close").key("close").json(&json!({"reason": "the year is over"})).send().await.expect(200);
    assert_eq!(closed.body["status"], "accepted");
    assert_eq!((closed.body.get("address"), closed.body.get("id")), (None, None));
    api.post("/v1/entries").json(&entry("bank", "awa", 1)).send().await.expect_problem(422, "journal_closed", "");
    let again = api.post("/v1/journal/close").key("close").json(&json!({"reason": "the year is over"})).send().await.expect(200);
    assert_eq!(again.header("idempotency-replayed"), "true");
}

#[tokio::test]
async fn the_head_says_how_far_the_journal_is() {
    let api = Api::new();
    let empty = api.get("/v1/head").send().await.expect(200);
    assert_eq!(empty.body["journal_position"], 0);
    let body = json!({"address": "awa", "kind": "asset", "currency": "XOF"});
    let opened = api.post("/v1/accounts").json(&body).send().await.expect(201);
    let head = api.get("/v1/head").send().await.expect(200);
    assert_eq!((&head.body["journal"], &head.body["journal_position"]), (&json!("ledger"), &json!(1)));
    assert_eq!(head.body["position"], opened.body["position"]);
    assert_eq!(head.body["root"].as_str().unwrap().len(), 64);
    assert_ne!(head.body["root"], empty.body["root"]);
}
