//! What concerns every request: ids, security headers, load, panics.

use cauri_http::auth::role::Role;
use cauri_http::auth::token::Verifier;

use crate::support::{Api, entry, verifier};
use axum::Router;
use axum::routing::get;
use cauri_command_api::{ApiState, HttpLimits, router_with};

#[tokio::test]
async fn the_request_id_is_the_callers_or_ours_and_comes_back() {
    let api = Api::shop().await;
    let given = api.get("/v1/head").header("x-request-id", "req-17").send().await.expect(200);
    assert_eq!(given.header("x-request-id"), "req-17");
    let made = api.get("/v1/head").send().await.expect(200);
    assert_eq!(made.header("x-request-id").len(), 36);
    for bad in ["", "two words", &"x".repeat(129)] {
        let answer = api.get("/v1/head").header("x-request-id", bad).send().await.expect(200);
        assert_eq!(answer.header("x-request-id").len(), 36, "{bad:?} is not echoed");
    }
    let refused = api.post("/v1/entries").header("x-request-id", "req-18").json(&entry("awa", "ben", 1)).send().await;
    assert_eq!(refused.expect_problem(422, "below_floor", "").body["instance"], "req-18");
}

#[tokio::test]
async fn every_answer_has_the_security_headers() {
    let api = Api::shop().await;
    let answers = [
        api.get("/v1/head").send().await.expect(200),
        api.get("/nowhere").send().await.expect(404),
        api.post("/v1/entries").nobody().send().await.expect(401),
        api.get("/healthz").nobody().send().await.expect(200),
    ];
    for answer in answers {
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("x-frame-options"), "DENY");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("content-security-policy"), "default-src 'none'; frame-ancestors 'none'");
    }
}

#[tokio::test]
async fn the_page_may_load_its_own_scripts_and_nothing_else() {
    let api = Api::shop().await;
    let moved = api.get("/docs").nobody().send().await.expect(303);
    assert_eq!(moved.header("location"), "/docs/");
    let page = api.get("/docs/").nobody().send().await.expect(200);
    assert!(page.text.contains("swagger-ui"), "{}", page.text);
    assert!(!page.text.contains("https://"), "nothing comes from elsewhere");
    assert!(page.header("content-security-policy").contains("script-src 'self'"));
    let start = api.get("/docs/swagger-initializer.js").nobody().send().await.expect(200);
    assert!(start.text.contains("/openapi.json"), "{}", start.text);
    assert!(!start.text.contains("petstore"), "{}", start.text);
}

#[tokio::test]
async fn a_panic_is_a_500_and_the_next_request_is_served() {
    let api = Api::shop().await;
    let state = ApiState::new(api.engine.clone(), verifier(), HttpLimits::default(), Vec::new(), Box::new(|_| Ok(())));
    let others = Router::new().route("/boom", get(|| async { panic!("the secret is swordfish") as &'static str }));
    let api = Api { router: router_with(state, others), ..api };
    let answer = api.get("/boom").send().await.expect_problem(500, "internal", "");
    assert!(!answer.text.contains("swordfish"), "{}", answer.text);
    api.get("/v1/head").send().await.expect(200);
}

#[tokio::test]
async fn more_than_it_can_take_is_turned_away_but_health_is_told() {
    let api = Api::with(HttpLimits { in_flight: 0, reads_in_flight: 0, ..HttpLimits::default() }, |_| {}, Vec::new());
    let answer = api.post("/v1/entries").json(&entry("awa", "ben", 1)).send().await.expect_problem(503, "overloaded", "");
    assert_eq!(answer.header("retry-after"), "1");
    let answer = api.get("/v1/accounts/awa").send().await.expect_problem(503, "overloaded", "");
    assert_eq!(answer.header("retry-after"), "1");
    api.get("/healthz").send().await.expect(200);
    api.get("/readyz").send().await.expect(200);
    api.get("/metrics").send().await.expect(200);
}

/// A body that says nothing until it is dropped.
fn silence() -> axum::body::Body {
    axum::body::Body::from_stream(futures::stream::pending::<Result<Vec<u8>, std::io::Error>>())
}

#[tokio::test]
async fn bodies_that_do_not_arrive_take_no_turn_from_those_that_do() {
    let api = Api::with(HttpLimits { in_flight: 1, bulk_in_flight: 1, ..HttpLimits::default() }, |_| {}, Vec::new());
    let silent = ["/v1/entries", "/v1/bulk"].map(|path| api.post(path).role(Role::Operator).text("application/json", silence()).send());
    let others = async {
        tokio::task::yield_now().await;
        let account = serde_json::json!({"address": "awa", "kind": "asset", "currency": "XOF"});
        api.post("/v1/accounts").json(&account).send().await.expect(201);
        api.post("/v1/bulk").json(&serde_json::json!([{"op": "freeze_account", "address": "awa"}])).send().await.expect(200);
    };
    tokio::select! {
        _ = futures::future::join_all(silent) => panic!("a body arrived"),
        () = others => {}
    }
}

#[tokio::test]
async fn one_subject_has_so_many_requests_at_a_time_and_others_are_answered() {
    let mut api = Api::shop().await;
    let keys = cauri_http::auth::jwks::Jwks::load(crate::support::key_set()).expect("keys");
    let verifier = std::sync::Arc::new(Verifier::new(keys, &Default::default()).with_requests_per_subject(2));
    let state = ApiState::new(api.engine.clone(), verifier, HttpLimits::default(), Vec::new(), Box::new(|_| Ok(())));
    api.router = cauri_command_api::router(state);
    let silent = [0, 1].map(|_| api.post("/v1/entries").text("application/json", silence()).send());
    let others = async {
        tokio::task::yield_now().await;
        let turned_away = api.post("/v1/entries").json(&entry("bank", "awa", 1)).send().await;
        let turned_away = turned_away.expect_problem(429, "too_many_requests", "");
        assert_eq!(turned_away.header("retry-after"), "1");
        api.get("/v1/head").send().await.expect(429);
        for path in ["/healthz", "/readyz", "/metrics"] {
            api.get(path).send().await.expect(200);
        }
        let ben = crate::support::token_of("ben", &[Role::Operator]);
        api.post("/v1/entries").token(&ben).json(&entry("bank", "awa", 1)).send().await.expect(201);
    };
    tokio::select! {
        _ = futures::future::join_all(silent) => panic!("a body arrived"),
        () = others => {}
    }
    api.post("/v1/entries").json(&entry("bank", "awa", 1)).send().await.expect(201);
}
