//! `/v1/clock`, and what a leap of the clock answers elsewhere.

use cauri_http::auth::role::Role;
use serde_json::json;

use crate::support::{Api, entry};

const DAY: i64 = 86_400 * 1_000_000;

/// A shop in which one entry was posted before the clock leapt by 40 days.
async fn forty_days_ahead() -> Api {
    let api = Api::shop().await;
    api.post("/v1/entries").key("done").json(&entry("bank", "awa", 1)).send().await.expect(201);
    api.clock.leap_micros(40 * DAY);
    let turned_away = api.post("/v1/entries").key("new").json(&entry("bank", "awa", 1)).send().await.expect_problem(503, "clock_gap", "");
    assert_eq!(turned_away.header("retry-after"), "30");
    let detail = turned_away.body["detail"].as_str().unwrap();
    assert!(detail.starts_with("the clock leapt ahead by 40 d 0 h to 2026-04-25T08:00:00"), "{detail}");
    api
}

#[tokio::test]
async fn a_leap_is_503_for_every_command_and_nothing_else() {
    let api = forty_days_ahead().await;
    for (path, body) in [
        ("/v1/accounts", json!({"address": "new", "kind": "asset", "currency": "XOF"})),
        ("/v1/accounts/awa/freeze", json!({})),
        ("/v1/journal/close", json!({})),
        ("/v1/bulk", json!([{"op": "freeze_account", "address": "awa"}])),
    ] {
        api.post(path).json(&body).send().await.expect_problem(503, "clock_gap", "");
    }
    let again = api.post("/v1/entries").key("done").json(&entry("bank", "awa", 1)).send().await.expect(201);
    assert_eq!(again.header("idempotency-replayed"), "true");
    api.get("/v1/head").send().await.expect(200);
    api.get("/v1/accounts/awa").send().await.expect(200);
    api.get("/healthz").nobody().send().await.expect(200);
}

#[tokio::test]
async fn a_leap_is_told_by_readiness_and_by_a_gauge() {
    let api = forty_days_ahead().await;
    let ready = api.get("/readyz").send().await.expect(503);
    assert_eq!((&ready.body["ready"], &ready.body["reasons"]), (&json!(false), &json!(["clock_gap"])));
    assert_eq!(ready.body["checks"]["clock"]["reason"], "clock_gap", "{}", ready.text);
    let metrics = api.get("/metrics").nobody().send().await.expect(200).text;
    assert!(metrics.contains("cauri_clock_gap_seconds{journal=\"ledger\"} 3456000\n"), "{metrics}");
}

#[tokio::test]
async fn an_admin_who_states_the_right_time_accepts_a_leap() {
    let api = forty_days_ahead().await;
    let accept = |now: &str| api.post("/v1/clock/accept-gap").json(&json!({"now": now}));
    for role in [Role::Operator, Role::Auditor, Role::Reader] {
        accept("2026-04-25T08:00:00Z").role(role).send().await.expect_problem(403, "role_not_sufficient", "");
    }
    let differs = accept("2026-03-16T08:00:00Z").send().await.expect_problem(409, "clock_differs", "/now");
    assert!(differs.body["detail"].as_str().unwrap().contains("the clock reads 2026-04-25T08:00:00"), "{}", differs.text);
    api.post("/v1/entries").key("new").json(&entry("bank", "awa", 1)).send().await.expect_problem(503, "clock_gap", "");

    let accepted = accept("2026-04-25T08:04:59Z").send().await.expect(200);
    assert_eq!(accepted.body, json!({"accepted": true, "seconds": 40 * 86_400}));
    let again = accept("2026-04-25T08:04:59Z").send().await.expect(200);
    assert_eq!(again.body, json!({"accepted": false, "seconds": 0}));
    let posted = api.post("/v1/entries").key("new").json(&entry("bank", "awa", 1)).send().await.expect(201);
    assert!(posted.body["recorded_at"].as_str().unwrap().starts_with("2026-04-25T08:00:00"), "{}", posted.text);
    let ready = api.get("/readyz").send().await.expect(200);
    assert_eq!(ready.body["checks"]["clock"], json!({"ok": true, "detail": "goes on from the last record"}));
}

#[tokio::test]
async fn an_acceptance_that_states_no_time_is_refused() {
    let api = forty_days_ahead().await;
    let accept = |body| api.post("/v1/clock/accept-gap").json(&body);
    accept(json!({})).send().await.expect_problem(400, "validation_failed", "/now");
    accept(json!({"now": "today"})).send().await.expect_problem(400, "validation_failed", "/now");
    accept(json!({"now": "2026-04-25T08:00:00Z", "force": true})).send().await.expect_problem(400, "validation_failed", "/force");
}

#[tokio::test]
async fn a_journal_that_is_ahead_of_the_clock_is_ready_and_says_so() {
    let api = Api::shop().await;
    api.clock.leap_micros(-DAY);
    api.post("/v1/entries").json(&entry("bank", "awa", 1)).send().await.expect(201);
    let ready = api.get("/readyz").send().await.expect(200);
    let detail = ready.body["checks"]["clock"]["detail"].as_str().unwrap();
    assert!(detail.starts_with("journal_ahead: the last record is 1 d 0 h ahead of the clock"), "{detail}");
    let metrics = api.get("/metrics").nobody().send().await.expect(200).text;
    assert!(metrics.contains("cauri_journal_ahead_seconds{journal=\"ledger\"} 86400\n"), "{metrics}");
}
