//! Who is let in, and how HTTP says what became of a request.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use cauri_http::auth::role::Role;
use cauri_query_api::Limits;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::support::{Api, ISSUER, Ledger, token};

#[tokio::test]
async fn every_role_may_read_and_nobody_else() {
    let ledger = Ledger::start();
    let api = ledger.api();
    for role in Role::ALL {
        let api = Api { token: Some(token(role)), ..api.clone() };
        assert_eq!(api.ask("{ head { position } }").await.status, StatusCode::OK, "{role}");
    }

    let nobody = Api { token: None, ..api.clone() };
    let answer = nobody.ask("{ head { position } }").await;
    assert_eq!((answer.status, answer.code()), (StatusCode::UNAUTHORIZED, "UNAUTHENTICATED"));
    assert_eq!(answer.headers["www-authenticate"], "Bearer realm=\"cauri\"");
    assert!(answer.body.get("data").is_none());
    let json = nobody.ask_with("{ __typename }", json!({}), &[("accept", "application/json")]).await;
    assert_eq!(json.status, StatusCode::UNAUTHORIZED);

    // The claims of one token with the signature of another.
    let (claims, other) = (token(Role::Admin), token(Role::Reader));
    let signature = |token: &str| token.rsplit_once('.').map(|(_, signature)| signature.to_owned()).expect("a signature");
    let forged = Api { token: Some(claims.replace(&signature(&claims), &signature(&other))), ..api.clone() };
    let answer = forged.ask("{ __typename }").await;
    assert_eq!((answer.status, answer.code()), (StatusCode::UNAUTHORIZED, "UNAUTHENTICATED"));
    assert_eq!(answer.body["errors"][0]["extensions"]["reason"], "token_signature_invalid");

    let visitor = Api { token: Some(token_with_roles(&["visitor"])), ..api };
    let answer = visitor.ask("{ __typename }").await;
    assert_eq!((answer.status, answer.code()), (StatusCode::FORBIDDEN, "FORBIDDEN"));
}

/// A good token of our own issuer with roles that it would not issue.
pub fn token_with_roles(roles: &[&str]) -> String {
    let pem = std::fs::read(ISSUER.jwks_path().with_file_name("private.pem")).expect("a key");
    let keys: Value = serde_json::from_slice(&std::fs::read(ISSUER.jwks_path()).expect("a key set")).expect("JSON");
    let header = Header { kid: keys["keys"][0]["kid"].as_str().map(str::to_owned), ..Header::new(Algorithm::RS256) };
    let claims = json!({ "iss": "cauri-dev", "aud": "cauri", "sub": "mallory", "roles": roles, "exp": 4_102_444_800_u64 });
    jsonwebtoken::encode(&header, &claims, &EncodingKey::from_rsa_pem(&pem).expect("a key")).expect("a token")
}

#[tokio::test]
async fn a_query_may_be_asked_by_get() {
    let ledger = Ledger::start();
    let api = ledger.api();
    let get = |uri: &str, accept: &str| Request::get(uri).header("accept", accept).body(Body::empty()).expect("a request");
    let answer = api.send(get("/graphql?query=%7Bhead%7Bposition%7D%7D", "application/graphql-response+json")).await;
    assert_eq!(answer.data(), &json!({ "head": { "position": 0 } }));
    assert_eq!(answer.headers["content-type"], "application/graphql-response+json; charset=utf-8");

    let variables = "/graphql?query=query(%24a:AccountAddress!)%7Baccount(address:%24a)%7Baddress%7D%7D&variables=%7B%22a%22:%22a:b%22%7D";
    assert_eq!(api.send(get(variables, "application/json")).await.data(), &json!({ "account": null }));

    let subscription = api.send(get("/graphql?query=subscription%7Bentries%7Bid%7D%7D", "application/graphql-response+json")).await;
    assert_eq!((subscription.status, subscription.code()), (StatusCode::BAD_REQUEST, "BAD_USER_INPUT"));
    assert!(subscription.message().contains("WebSocket"));
}

#[tokio::test]
async fn a_method_type_or_size_that_is_not_taken_says_so() {
    let ledger = Ledger::start();
    let api = ledger.api_with(Limits { body_bytes: 1_000, ..Limits::default() });
    let put = api.send(Request::put("/graphql").body(Body::empty()).expect("a request")).await;
    assert_eq!(put.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(put.headers["allow"], "GET, POST");

    let text = Request::post("/graphql").header("content-type", "text/plain").body(Body::from("{__typename}")).expect("a request");
    assert_eq!(api.send(text).await.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);

    let csv = api.ask_with("{ __typename }", json!({}), &[("accept", "text/csv")]).await;
    assert_eq!(csv.status, StatusCode::NOT_ACCEPTABLE);

    let large = api.ask(&format!("{{ __typename }} # {}", "x".repeat(1_000))).await;
    assert_eq!((large.status, large.code()), (StatusCode::PAYLOAD_TOO_LARGE, "BAD_USER_INPUT"));
}

#[tokio::test]
async fn an_answer_without_data_has_no_data_and_a_status_for_those_who_ask_for_one() {
    let ledger = Ledger::start();
    let api = ledger.api();
    for (query, accept, status) in [
        ("{", "application/graphql-response+json", StatusCode::BAD_REQUEST),
        ("{ colour }", "application/graphql-response+json", StatusCode::BAD_REQUEST),
        ("{", "application/json", StatusCode::OK),
        ("{ colour }", "application/json", StatusCode::OK),
        ("query A { __typename } query B { __typename }", "application/graphql-response+json", StatusCode::BAD_REQUEST),
    ] {
        let answer = api.ask_with(query, json!({}), &[("accept", accept)]).await;
        assert_eq!((answer.status, answer.code()), (status, "BAD_USER_INPUT"), "{query} as {accept}");
        assert!(answer.body.get("data").is_none(), "{}", answer.body);
    }
}

#[tokio::test]
async fn what_fails_is_null_and_the_rest_is_answered_in_order() {
    let ledger = Ledger::start();
    ledger.open("a:b", "asset");
    ledger.shown().await;
    let answer = ledger
        .api()
        .ask(r#"{ good: account(address: "a:b") { address } bad: account(address: "!!") { address } head { position } }"#)
        .await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.body["data"], json!({ "good": { "address": "a:b" }, "bad": null, "head": { "position": 1 } }));
    assert_eq!((answer.code(), &answer.body["errors"][0]["path"]), ("BAD_USER_INPUT", &json!(["bad"])));
    assert!(answer.message().contains("is not an account address"), "{}", answer.message());
}

#[tokio::test]
async fn a_variable_that_is_wrong_or_missing_is_the_callers_mistake() {
    let ledger = Ledger::start();
    let api = ledger.api();
    let query = "query($first: Int!) { accounts(first: $first) { edges { cursor } } }";
    for variables in
        [json!({}), json!({ "first": null }), json!({ "first": "ten" }), json!({ "first": 1.5 }), json!({ "first": 3_000_000_000_u64 })]
    {
        let answer = api.ask_with(query, variables.clone(), &[]).await;
        assert_eq!((answer.status, answer.code()), (StatusCode::BAD_REQUEST, "BAD_USER_INPUT"), "{variables}: {}", answer.body);
    }
    assert!(api.ask_with(query, json!({ "first": 1, "unused": [] }), &[]).await.body.get("errors").is_none());
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let ledger = Ledger::start();
    let api = ledger.api_with(Limits { body_time: std::time::Duration::from_millis(50), ..Limits::default() });
    let request = Request::post("/graphql").header("content-type", "application/json");
    let never = Body::from_stream(futures::stream::pending::<Result<axum::body::Bytes, std::io::Error>>());
    let answer = api.send(request.body(never).expect("a request")).await;
    assert_eq!((answer.status, answer.code()), (StatusCode::REQUEST_TIMEOUT, "BAD_USER_INPUT"));
}
