//! When there is no outcome: the answer says whether something may have been done.

use std::time::Duration;

use cauri_command_api::HttpLimits;
use cauri_event_store::memory::Fault;
use serde_json::json;

use crate::support::{Api, entry};

#[tokio::test]
async fn a_full_queue_is_503_with_a_time_to_come_back() {
    let api = Api::with(HttpLimits::default(), |config| config.queue_capacity = 1, Vec::new());
    let open = |address: &str| json!({"op": "open_account", "address": address, "kind": "asset", "currency": "XOF"});
    let answer = api.post("/v1/bulk").json(&json!([open("a"), open("b")])).send().await.expect_problem(503, "overloaded", "");
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(api.events(), 0);
    api.post("/v1/bulk").json(&json!([open("a")])).send().await.expect(200);
}

#[tokio::test]
async fn a_failed_write_is_503_and_the_same_key_works_afterwards() {
    let api = Api::shop().await;
    api.store.faults().inject(Fault::Fail);
    let post = || api.post("/v1/entries").key("k").json(&entry("bank", "awa", 5)).send();
    let answer = post().await.expect_problem(503, "not_done", "");
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(post().await.expect(201).header("idempotency-replayed"), "");
}

#[tokio::test]
async fn a_lost_answer_is_504_and_the_same_key_gets_the_first_one() {
    let api = Api::shop().await;
    api.store.faults().inject(Fault::LoseAnswer);
    let post = || api.post("/v1/entries").key("k").json(&entry("bank", "awa", 5)).send();
    let answer = post().await;
    if answer.status != 201 {
        answer.expect_problem(504, "outcome_unknown", "");
    }
    let before = api.events();
    assert_eq!(post().await.expect(201).header("idempotency-replayed"), "true");
    assert_eq!(api.events(), before);
}

#[tokio::test]
async fn a_slow_write_is_504_after_the_time_out() {
    let api = Api::with(HttpLimits { time_out: Duration::from_millis(100), ..HttpLimits::default() }, |_| {}, Vec::new());
    api.store.faults().inject(Fault::Delay(Duration::from_millis(600)));
    let body = json!({"address": "awa", "kind": "asset", "currency": "XOF"});
    api.post("/v1/accounts").key("k").json(&body).send().await.expect_problem(504, "outcome_unknown", "");
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert_eq!(api.post("/v1/accounts").key("k").json(&body).send().await.expect(201).header("idempotency-replayed"), "true");
}

#[tokio::test]
async fn a_stopped_engine_is_503() {
    let api = Api::shop().await;
    api.engine.stop();
    let answer = api.post("/v1/entries").json(&entry("bank", "awa", 5)).send().await.expect_problem(503, "not_done", "");
    assert_eq!(answer.header("retry-after"), "5");
    let ready = api.get("/readyz").send().await.expect(503);
    assert_eq!((&ready.body["ready"], &ready.body["checks"]["engine"]["ok"]), (&json!(false), &json!(false)));
}
