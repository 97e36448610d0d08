//! What a browser gets: the page, its files, and rules that keep everything else out.

use axum::body::Body;
use axum::http::{Request, StatusCode};

use crate::support::{Api, Ledger};

const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

fn get(uri: &str, accept: &str) -> Request<Body> {
    Request::get(uri).header("accept", accept).body(Body::empty()).expect("a request")
}

#[tokio::test]
async fn a_browser_gets_the_page_without_a_token_and_its_files_for_ever() {
    let ledger = Ledger::start();
    let api = Api { token: None, ..ledger.api() };
    let page = api.send(get("/graphql", BROWSER)).await;
    assert_eq!(page.status, StatusCode::OK);
    assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
    let policy = page.headers["content-security-policy"].to_str().expect("text");
    assert!(
        policy.starts_with("default-src 'none'; script-src 'self';") && !policy.contains("unsafe") && !policy.contains("http"),
        "{policy}"
    );

    let text = page.body.as_str().expect("a page");
    let files: Vec<&str> = text.split('"').filter(|part| part.starts_with("/graphql/assets/")).collect();
    assert_eq!(files.len(), 6, "{text}");
    for file in files {
        let asset = api.send(get(file, "*/*")).await;
        assert_eq!(asset.status, StatusCode::OK, "{file}");
        assert_eq!(asset.headers["cache-control"], "public, max-age=31536000, immutable");
        let expected = if file.ends_with(".css") { "text/css; charset=utf-8" } else { "text/javascript; charset=utf-8" };
        assert_eq!(asset.headers["content-type"], expected);
    }
    assert_eq!(api.send(get("/graphql/assets/graphiql.js", "*/*")).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_program_does_not_get_the_page() {
    let ledger = Ledger::start();
    let api = Api { token: None, ..ledger.api() };
    for accept in ["*/*", "application/json", "application/graphql-response+json"] {
        assert_eq!(api.send(get("/graphql", accept)).await.status, StatusCode::UNAUTHORIZED, "{accept}");
    }
}
