//! What one query may cost.

use std::fmt::Write as _;
use std::time::Duration;

use axum::http::StatusCode;
use cauri_query_api::Limits;
use serde_json::json;

use crate::support::{Answer, Ledger};

fn too_complex(answer: &Answer) -> &str {
    assert_eq!((answer.status, answer.code()), (StatusCode::BAD_REQUEST, "TOO_COMPLEX"), "{}", answer.body);
    assert!(answer.body.get("data").is_none());
    answer.message()
}

#[tokio::test]
async fn a_query_may_be_twelve_fields_deep() {
    let ledger = Ledger::start();
    let api = ledger.api();
    let deep = |levels: usize| {
        let inner = (levels - 2) / 3;
        // account → entries → edges → node → account … each round is deeper by the fields of a transfer.
        let mut query = "{ account(address: \"a:b\") { ".to_owned();
        for _ in 0..inner {
            query += "entries(first: 1) { edges { node { transfers { debit { ";
        }
        query + "address" + &" } } } } }".repeat(inner) + " } }"
    };
    assert!(api.ask(&deep(5)).await.body.get("errors").is_none());
    assert_eq!(too_complex(&api.ask(&deep(11)).await), "17 fields inside each other, at most 12 are allowed");
}

#[tokio::test]
async fn pages_inside_pages_multiply() {
    let ledger = Ledger::start();
    let api = ledger.api();
    let nested = |first: u32| {
        format!(
            "{{ accounts(first: {first}) {{ edges {{ node {{ entries(first: {first}) {{ edges {{ node {{ transfers {{ amount {{ amount }} }} }} }} }} }} }} }} }}"
        )
    };
    assert!(api.ask(&nested(20)).await.body.get("errors").is_none());
    let message = api.ask(&nested(500)).await;
    assert!(too_complex(&message).contains("at most 50000 are allowed"), "{}", message.body);
    // A variable is no way round, and neither is a default.
    let query = "query($n: Int = 500) { accounts(first: $n) { edges { node { entries(first: $n) { edges { node { transfers { amount { amount } } } } } } } } }";
    too_complex(&api.ask_with(query, json!({ "n": 500 }), &[]).await);
    too_complex(&api.ask(query).await);
}

#[tokio::test]
async fn aliases_fragments_and_size_are_bounded() {
    let ledger = Ledger::start();
    let api = ledger.api();
    let mut aliases = "{ ".to_owned();
    for index in 0..51 {
        write!(aliases, "a{index}: head {{ position }} ").expect("a string grows");
    }
    assert_eq!(too_complex(&api.ask(&(aliases + "}")).await), "51 aliases in a document, at most 50 are allowed");

    let mut bomb = "{ ...F0 } ".to_owned();
    for level in 0..30 {
        write!(bomb, "fragment F{level} on Query {{ ...F{0} ...F{0} }} ", level + 1).expect("a string grows");
    }
    too_complex(&api.ask(&(bomb + "fragment F30 on Query { __typename }")).await);
    too_complex(&api.ask(&format!("{{ __typename }} # {}", "x".repeat(64 * 1024))).await);
    too_complex(&api.ask(&"{a".repeat(1_000)).await);

    let cycle = api.ask("{ ...A } fragment A on Query { ...A }").await;
    assert_eq!((cycle.status, cycle.code()), (StatusCode::BAD_REQUEST, "BAD_USER_INPUT"));
}

#[tokio::test]
async fn a_query_that_takes_too_long_is_given_up() {
    let ledger = Ledger::start();
    // Its turn never comes.
    let api = ledger.api_with(Limits { queries: 0, query_time: Duration::from_millis(50), ..Limits::default() });
    let answer = api.ask("{ accounts { edges { node { address } } } }").await;
    assert_eq!((answer.status, answer.code()), (StatusCode::GATEWAY_TIMEOUT, "TIMED_OUT"), "{}", answer.body);
}

#[tokio::test]
async fn a_page_holds_one_to_five_hundred() {
    let ledger = Ledger::start();
    let api = ledger.api();
    for first in [0, -1, 501] {
        let answer = api.ask(&format!("{{ accounts(first: {first}) {{ edges {{ node {{ address }} }} }} }}")).await;
        assert_eq!(answer.code(), "BAD_USER_INPUT");
        assert_eq!(answer.message(), format!("`first` is {first}, it must be 1 to 500"));
    }
    let both = api.ask("{ entries(first: 1, last: 1) { edges { node { id } } } }").await;
    assert_eq!(both.code(), "BAD_USER_INPUT");
}
