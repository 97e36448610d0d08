//! Who may: every route needs its permission, and says how to get in.

use std::time::Duration;

use cauri_http::auth::issuer::DevIssuer;
use cauri_http::auth::role::Role;
use serde_json::json;

use crate::support::{Api, entry, token};

#[tokio::test]
async fn without_a_token_nobody_gets_in_and_is_told_how() {
    let api = Api::shop().await;
    let commands = ["/v1/accounts", "/v1/accounts/awa/freeze", "/v1/entries", "/v1/bulk", "/v1/journal/close"];
    for path in commands {
        let answer = api.post(path).nobody().json(&json!({})).send().await.expect_problem(401, "token_missing", "");
        assert_eq!(answer.header("www-authenticate"), r#"Bearer realm="cauri""#);
    }
    for path in ["/v1/head", "/v1/accounts/awa", "/v1/entries/0190f1c2-7e4b-7cc3-98c4-dc0c0c07398f"] {
        api.get(path).nobody().send().await.expect_problem(401, "token_missing", "");
    }
}

#[tokio::test]
async fn a_wrong_token_is_refused_by_what_is_wrong_with_it() {
    let api = Api::shop().await;
    let body = entry("bank", "awa", 1);
    let with = async |token: &str| api.post("/v1/entries").token(token).json(&body).send().await;
    with("abc").await.expect_problem(401, "token_malformed", "");
    let good = token(&[Role::Operator]);
    let (head, signature) = good.rsplit_once('.').unwrap();
    let turned: String = signature.chars().rev().collect();
    let answer = with(&format!("{head}.{turned}")).await;
    assert_eq!(answer.status, 401, "{}", answer.text);
    let folder = tempfile::tempdir().unwrap();
    let stranger = DevIssuer::open_or_create(folder.path()).unwrap().issue("mallory", &[Role::Admin], Duration::from_secs(60)).unwrap();
    with(&stranger).await.expect_problem(401, "token_key_unknown", "");
    with(&good).await.expect(201);
}

#[tokio::test]
async fn a_role_that_does_not_suffice_is_403_and_names_the_permission() {
    let api = Api::shop().await;
    for role in [Role::Reader, Role::Auditor] {
        let answer = api.post("/v1/entries").role(role).json(&entry("bank", "awa", 1)).send().await;
        let answer = answer.expect_problem(403, "role_not_sufficient", "");
        assert!(answer.body["detail"].as_str().unwrap().ends_with("write"), "{}", answer.text);
        api.get("/v1/head").role(role).send().await.expect(200);
    }
    api.post("/v1/entries").role(Role::Operator).json(&entry("bank", "awa", 1)).send().await.expect(201);
    api.post("/v1/journal/close").role(Role::Operator).send().await.expect_problem(403, "role_not_sufficient", "");
}

#[tokio::test]
async fn who_is_not_let_in_learns_nothing_about_the_body() {
    let api = Api::shop().await;
    let answer = api.post("/v1/entries").role(Role::Reader).text("text/plain", "{").send().await;
    answer.expect_problem(403, "role_not_sufficient", "");
}
