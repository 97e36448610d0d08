//! `/v1/entries`

use serde_json::json;

use crate::support::{Api, entry, transfer};

#[tokio::test]
async fn posting_answers_201_with_the_entry() {
    let api = Api::shop().await;
    let answer = api.post("/v1/entries").key("order-1").json(&entry("bank", "awa", 10_000)).send().await.expect(201);
    let id = answer.body["id"].as_str().unwrap().to_owned();
    assert_eq!(answer.body["status"], "accepted");
    assert_eq!(answer.body["journal_position"], 4);
    assert_eq!(answer.body["version"], 1);
    assert_eq!(answer.body.get("entry_id"), None);
    assert_eq!(answer.header("location"), format!("/v1/entries/{id}"));
    let written = api.get(&format!("/v1/entries/{id}")).send().await.expect(200);
    assert_eq!(written.body["events"][0]["data"]["transfers"][0]["amount"], json!({"amount": "10000", "currency": "XOF"}));
}

#[tokio::test]
async fn the_callers_id_is_the_entrys() {
    let api = Api::shop().await;
    let id = "0190f1c2-7e4b-7cc3-98c4-dc0c0c07398f";
    let mut body = entry("bank", "awa", 1);
    body["id"] = json!(id);
    assert_eq!(api.post("/v1/entries").key("a").json(&body).send().await.expect(201).body["id"], id);
    api.post("/v1/entries").key("b").json(&body).send().await.expect_problem(422, "entry_exists", "/id");
}

/// Peer case 10: same key and body, the same entry; another body, a refusal; a refusal stays one.
#[tokio::test]
async fn a_key_gets_its_first_answer_again() {
    let api = Api::shop().await;
    let post = |key: &'static str, amount| api.post("/v1/entries").key(key).json(&entry("awa", "ben", amount)).send();
    let refused = post("pay-1", 100).await.expect_problem(422, "below_floor", "");
    let position = refused.body["position"].as_str().unwrap().to_owned();
    assert_eq!(refused.header("cauri-position"), position);
    assert_eq!(refused.header("idempotency-replayed"), "");

    let first = api.post("/v1/entries").key("fund").json(&entry("bank", "awa", 500)).send().await.expect(201);
    let before = api.events();
    let again = api.post("/v1/entries").key("\"fund\"").json(&entry("bank", "awa", 500)).send().await.expect(201);
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(again.body["replayed"], true);
    for member in ["id", "position", "journal_position", "version", "recorded_at"] {
        assert_eq!(again.body[member], first.body[member], "{member}");
    }
    assert_eq!(again.header("etag"), first.header("etag"));

    let reused = api.post("/v1/entries").key("fund").json(&entry("bank", "awa", 501)).send().await;
    let reused = reused.expect_problem(422, "idempotency_key_reused", "");
    assert_eq!(reused.body.get("position"), None);
    // Also where the new body would be refused for another reason, and on another address.
    let unknown = api.post("/v1/entries").key("fund").json(&entry("bank", "nobody", 500)).send().await;
    unknown.expect_problem(422, "idempotency_key_reused", "");
    let elsewhere = api.post(&format!("/v1/entries/{}/reverse", first.body["id"].as_str().unwrap())).key("fund").send().await;
    elsewhere.expect_problem(422, "idempotency_key_reused", "");

    let still = post("pay-1", 100).await.expect_problem(422, "below_floor", "");
    assert_eq!(still.header("idempotency-replayed"), "true", "the money is there now, the refusal stands");
    assert_eq!(still.body["position"], api.token(), "the token is of the head when it was answered");
    assert_eq!(api.events(), before, "nothing of this was written");
}

#[tokio::test]
async fn a_hold_is_posted_in_part_and_the_amount_may_be_said_short() {
    let api = Api::shop().await;
    api.post("/v1/entries").json(&entry("bank", "awa", 100)).send().await.expect(201);
    let hold = async |amount| {
        let mut body = entry("awa", "ben", amount);
        body["hold"] = json!({});
        api.post("/v1/entries").json(&body).send().await.expect(201).body["id"].as_str().unwrap().to_owned()
    };
    let post = async |id: &str, body| api.post(&format!("/v1/entries/{id}/post")).json(&body).send().await;
    let id = hold(15).await;
    post(&id, json!({"amount": {"amount": "16", "currency": "XOF"}})).await.expect_problem(422, "exceeds_hold", "/amount");
    post(&id, json!({"amounts": [{"amount": "16", "currency": "XOF"}]})).await.expect_problem(422, "exceeds_hold", "/amounts/0");
    post(&id, json!({"amount": {"amount": "1", "currency": "XOF"}, "amounts": []})).await.expect_problem(
        400,
        "validation_failed",
        "/amount",
    );
    post(&id, json!({"amounts": []})).await.expect_problem(422, "hold_amounts_mismatch", "/amounts");
    let posted = post(&id, json!({"amount": {"amount": "13", "currency": "XOF"}})).await.expect(200);
    assert_eq!(posted.body["id"], id);
    assert_eq!(posted.header("etag"), "\"2\"");
    post(&id, json!({})).await.expect_problem(422, "hold_already_posted", "");
    let voided = hold(15).await;
    api.post(&format!("/v1/entries/{voided}/void")).send().await.expect(200);
    post(&voided, json!({})).await.expect_problem(422, "hold_already_voided", "");
    let all = hold(7).await;
    api.post(&format!("/v1/entries/{all}/post")).send().await.expect(200);
}

#[tokio::test]
async fn a_hold_expires_by_the_engines_clock() {
    let api = Api::shop().await;
    api.post("/v1/entries").json(&entry("bank", "awa", 100)).send().await.expect(201);
    let mut body = entry("awa", "ben", 60);
    body["hold"] = json!({"expires_at": "2026-03-16T08:00:01Z"});
    let id = api.post("/v1/entries").json(&body).send().await.expect(201).body["id"].as_str().unwrap().to_owned();
    api.clock.advance_micros(2_000_000);
    api.post(&format!("/v1/entries/{id}/post")).send().await.expect_problem(422, "hold_expired", "");
    body["hold"] = json!({"expires_at": "2026-03-16T08:00:01Z"});
    api.post("/v1/entries").json(&body).send().await.expect_problem(422, "hold_expired", "/hold/expires_at");
}

#[tokio::test]
async fn a_reversal_names_the_opposite_entry() {
    let api = Api::shop().await;
    let id = api.post("/v1/entries").json(&entry("bank", "awa", 9)).send().await.expect(201).body["id"].as_str().unwrap().to_owned();
    let path = format!("/v1/entries/{id}/reverse");
    let reversed = api.post(&path).json(&json!({"reason": "twice"})).send().await.expect(200);
    assert_eq!(reversed.body["id"], id);
    let opposite = reversed.body["entry_id"].as_str().unwrap();
    let written = api.get(&format!("/v1/entries/{opposite}")).send().await.expect(200);
    assert_eq!(written.body["events"][0]["data"]["reverses"], id);
    api.post(&path).send().await.expect_problem(422, "already_reversed", "");
    let unknown = "0190f1c2-7e4b-7cc3-98c4-dc0c0c07398f";
    api.post(&format!("/v1/entries/{unknown}/reverse")).send().await.expect_problem(422, "entry_not_found", "");
    api.post("/v1/entries/seven/reverse").send().await.expect_problem(400, "validation_failed", "");
}

#[tokio::test]
async fn what_the_rules_refuse_points_into_the_body() {
    let api = Api::shop().await;
    let refused = async |transfer: serde_json::Value, code: &str, pointer: &str| {
        let answer = api.post("/v1/entries").json(&json!({"transfers": [transfer]})).send().await;
        answer.expect_problem(422, code, pointer)
    };
    let scale = refused(transfer("bank", "awa", "10.5"), "amount_scale", "/transfers/0/amount").await;
    assert_eq!(scale.body["detail"], "XOF has 0 digits after the point, 10.5 has 1");
    assert_eq!(scale.body["type"], "urn:cauri:problem:amount_scale");
    refused(transfer("bank", "awa", "-5"), "amount_not_positive", "/transfers/0/amount").await;
    refused(transfer("bank", "awa", "0"), "amount_not_positive", "/transfers/0/amount").await;
    refused(transfer("bank", "bank", "5"), "same_account", "/transfers/0").await;
    refused(transfer("bank", "nobody", "5"), "account_not_found", "/transfers/0/credit").await;
    refused(transfer("awa", "ben", "5"), "below_floor", "").await;
    let eur = json!({"debit": "bank", "credit": "awa", "amount": {"amount": "5.00", "currency": "EUR"}});
    refused(eur, "currency_mismatch", "/transfers/0/debit").await;
    let mut late = entry("bank", "awa", 5);
    late["effective_at"] = json!("2026-03-24T08:00:00Z");
    api.post("/v1/entries").json(&late).send().await.expect_problem(422, "effective_in_future_too_far", "/effective_at");
}

#[tokio::test]
async fn what_a_command_belongs_to_stands_in_its_record() {
    let api = Api::shop().await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let call = api.post("/v1/entries").key("k-1").json(&entry("bank", "awa", 1));
    let call = call.header("cauri-correlation-id", "order-17").header("cauri-causation-id", "msg-3").header("traceparent", trace);
    let id = call.send().await.expect(201).body["id"].as_str().unwrap().parse().unwrap();
    let stream = cauri_event_schemas::ledger::StreamId::Entry(id);
    let records = api.engine.store().read_stream(&stream.to_string(), cauri_event_schemas::StreamVersion::new(1)).unwrap();
    let metadata = records[0].as_record().envelope().unwrap().metadata;
    assert_eq!(metadata.actor.as_str(), "admin:awa");
    assert_eq!(metadata.command.as_str(), "k-1");
    assert_eq!(metadata.correlation.unwrap().as_str(), "order-17");
    assert_eq!(metadata.causation.unwrap().as_str(), "msg-3");
    assert_eq!(metadata.traceparent.unwrap().as_str(), trace);
    let bad = api.post("/v1/entries").header("cauri-correlation-id", &"x".repeat(300)).json(&entry("bank", "awa", 1)).send().await;
    assert!(bad.expect_problem(400, "validation_failed", "").body["detail"].as_str().unwrap().contains("cauri-correlation-id"));
}
