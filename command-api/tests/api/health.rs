//! `/healthz`, `/readyz`, `/metrics`

use cauri_command_api::HttpLimits;
use cauri_command_api::readiness::{ReadyCheck, Reason, reason};
use cauri_http::auth::role::Role;
use serde_json::json;

use crate::support::{Api, entry};

#[tokio::test]
async fn a_process_that_answers_is_alive() {
    assert_eq!(Api::new().get("/healthz").nobody().send().await.expect(200).body, json!({"alive": true}));
}

#[tokio::test]
async fn ready_means_that_everything_is_well() {
    let api = Api::with(HttpLimits::default(), |_| {}, vec![ReadyCheck { name: "read_models", check: Box::new(|| Ok("0 behind".into())) }]);
    let ready = api.get("/readyz").role(Role::Reader).send().await.expect(200);
    assert_eq!((&ready.body["ready"], &ready.body["reasons"]), (&json!(true), &json!([])));
    assert_eq!(ready.body["checks"]["read_models"], json!({"ok": true, "detail": "0 behind"}));
    assert_eq!(ready.body["checks"]["store"]["ok"], true);
    assert!(ready.body["checks"]["store"]["detail"].as_str().unwrap().starts_with("is at position 0 with root "), "{}", ready.text);

    let api = Api::with(HttpLimits::default(), |_| {}, vec![behind()]);
    let ready = api.get("/readyz").role(Role::Auditor).send().await.expect(503);
    assert_eq!((&ready.body["ready"], &ready.body["reasons"]), (&json!(false), &json!(["read_models_behind"])));
    assert_eq!(
        ready.body["checks"]["read_models"],
        json!({"ok": false, "reason": "read_models_behind", "detail": "stopped before position 9000"})
    );
    assert_eq!(ready.body["checks"]["engine"]["ok"], true);
}

fn behind() -> ReadyCheck {
    let check = || Err(Reason::new(&reason::READ_MODELS_BEHIND, "stopped before position 9000"));
    ReadyCheck { name: "read_models", check: Box::new(check) }
}

#[tokio::test]
async fn without_a_good_token_readiness_names_reasons_and_shows_no_position_or_root() {
    let api = Api::with(HttpLimits::default(), |_| {}, vec![behind()]);
    let expected = json!({"ready": false, "reasons": ["read_models_behind"]});
    assert_eq!(api.get("/readyz").nobody().send().await.expect(503).body, expected);
    assert_eq!(api.get("/readyz").token("nonsense").send().await.expect(503).body, expected);
    let well = Api::new().get("/readyz").nobody().send().await.expect(200);
    assert_eq!(well.body, json!({"ready": true, "reasons": []}));
}

#[tokio::test]
async fn every_reason_is_a_metric() {
    let api = Api::with(HttpLimits::default(), |_| {}, vec![behind()]);
    let text = api.get("/metrics").nobody().send().await.expect(200).text;
    for line in [r#"cauri_not_ready{reason="read_models_behind"} 1"#, r#"cauri_not_ready{reason="engine_stopped"} 0"#] {
        assert!(text.contains(line), "{line} is not in:\n{text}");
    }
}

#[tokio::test]
async fn requests_are_counted_by_route_and_status() {
    let api = Api::shop().await;
    api.post("/v1/entries").json(&entry("bank", "awa", 1)).send().await.expect(201);
    api.post("/v1/accounts/awa/freeze").send().await.expect(200);
    api.get("/v1/nowhere").send().await.expect(404);
    let text = api.get("/metrics").nobody().send().await.expect(200).text;
    for line in [
        r#"cauri_http_requests_total{method="POST",route="/v1/entries",status="201"}"#,
        r#"cauri_http_requests_total{method="POST",route="/v1/accounts/{address}/freeze",status="200"}"#,
        r#"cauri_http_requests_total{method="GET",route="unmatched",status="404"}"#,
        r#"cauri_http_request_seconds_bucket{method="POST",route="/v1/entries",le="0.005"}"#,
        r#"cauri_engine_accounts{journal="ledger"}"#,
        r#"cauri_journal_position{journal="ledger"}"#,
    ] {
        assert!(text.contains(line), "{line} is not in:\n{text}");
    }
    assert!(!text.contains("nowhere"), "an address that was only tried is no label");
}
