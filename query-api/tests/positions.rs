//! Reading one's own writes, and one snapshot for all of an answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use cauri_engine::consistency::ConsistencyToken;
use cauri_event_schemas::Position;
use cauri_event_store::EventStore as _;
use cauri_query_api::Limits;
use serde_json::json;

use crate::support::Ledger;

#[tokio::test]
async fn an_answer_says_its_position_in_the_body_the_extensions_and_a_header() {
    let ledger = Ledger::start();
    ledger.open("a:b", "asset");
    ledger.open("a:c", "asset");
    ledger.shown().await;
    let answer = ledger
        .api()
        .ask("{ positions { group position } account(address: \"a:b\") { asOfPosition balance { asOfPosition knownAt } } accounts { asOfPosition } head { position token } }")
        .await;
    let data = answer.data();
    for place in [
        "/positions/0/position",
        "/account/asOfPosition",
        "/account/balance/asOfPosition",
        "/account/balance/knownAt",
        "/accounts/asOfPosition",
    ] {
        assert_eq!(data.pointer(place), Some(&json!(2)), "{place}");
    }
    assert_eq!(answer.as_of_position(), 2);
    assert_eq!(answer.headers["cauri-as-of-position"], "accounts=2, entries=2, journal=2");
    assert_eq!(answer.body["extensions"]["position"], json!(ledger.consistency_token(Position::new(2))));
    assert_eq!(data["head"], json!({ "position": 2, "token": ledger.consistency_token(Position::new(2)) }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_waits_for_the_position_that_it_is_given() {
    let mut ledger = Ledger::start();
    ledger.open("a:b", "asset");
    ledger.shown().await;
    ledger.pause_projecting();
    let written = ledger.open("a:c", "asset");
    let token = ledger.consistency_token(written.last);
    let reads = ledger.polling_reads();
    let api = ledger.api_of(reads, Limits::default());

    let asking = {
        let (api, token) = (api.clone(), token.clone());
        tokio::spawn(async move {
            api.ask_with("query($t: String) { account(address: \"a:c\", minPosition: $t) { address } }", json!({ "t": token }), &[]).await
        })
    };
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!asking.is_finished(), "it answered before the read models were there");
    ledger.resume_projecting();
    let answer = asking.await.expect("an answer");
    assert_eq!(answer.data(), &json!({ "account": { "address": "a:c" } }));
    assert!(answer.as_of_position() >= written.last.get());

    // The same by header, for whatever the operation asks.
    let answer = api.ask_with("{ account(address: \"a:c\") { address } }", json!({}), &[("cauri-min-position", &token)]).await;
    assert_eq!(answer.data(), &json!({ "account": { "address": "a:c" } }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_position_that_is_not_reached_in_time_is_an_error_with_the_lag() {
    let mut ledger = Ledger::start();
    ledger.open("a:b", "asset");
    ledger.shown().await;
    ledger.pause_projecting();
    let written = [ledger.open("a:c", "asset"), ledger.open("a:d", "asset")];
    let limits = Limits { position_wait: Duration::from_millis(100), ..Limits::default() };
    let api = ledger.api_of(ledger.polling_reads(), limits);
    let token = ledger.consistency_token(written[1].last);

    let start = Instant::now();
    let answer = api.ask(&format!("{{ head(minPosition: \"{token}\") {{ position }} account(address: \"a:b\") {{ address }} }}")).await;
    assert!((100..10_000).contains(&start.elapsed().as_millis()), "{:?}", start.elapsed());
    assert_eq!((answer.status, answer.code()), (StatusCode::SERVICE_UNAVAILABLE, "POSITION_NOT_REACHED"));
    assert_eq!(answer.headers["retry-after"], "1");
    let extensions = &answer.body["errors"][0]["extensions"];
    assert_eq!(extensions, &json!({ "code": "POSITION_NOT_REACHED", "wanted": 3, "group": "accounts", "asOfPosition": 1, "lag": 2 }));
    assert!(answer.body.get("data").is_none());

    // What is to be known at a position has to be seen as well; without either the answer comes at once.
    let known = api.ask("{ balance(account: \"a:b\", knownAt: 3) { posted { amount } } }").await;
    assert_eq!(known.code(), "POSITION_NOT_REACHED");
    assert_eq!(api.ask("{ account(address: \"a:b\") { address } }").await.as_of_position(), 1);
}

#[tokio::test]
async fn a_token_that_is_none_or_of_another_journal_is_refused() {
    let ledger = Ledger::start();
    ledger.open("a:b", "asset");
    ledger.shown().await;
    let api = ledger.api();
    let foreign = ConsistencyToken::new("signals", &ledger.store.head().expect("a head")).to_string();
    // The last one is of the form that earlier programs gave: `v1:ledger:1`.
    for (token, text) in [
        (foreign.as_str(), "of the journal `signals`"),
        ("what?", "is not a consistency token"),
        ("djE6bGVkZ2VyOjE", "a consistency token of the old form v1"),
    ] {
        let answer = api.ask(&format!("{{ head(minPosition: \"{token}\") {{ position }} }}")).await;
        assert_eq!((answer.status, answer.code()), (StatusCode::BAD_REQUEST, "BAD_USER_INPUT"));
        assert!(answer.message().contains(text), "{}", answer.message());
        let by_header = api.ask_with("{ head { position } }", json!({}), &[("cauri-min-position", token)]).await;
        assert_eq!(by_header.code(), "BAD_USER_INPUT");
    }
    // A plain position of this journal will do.
    assert!(api.ask("{ head(minPosition: \"1\") { position } }").await.body.get("errors").is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_of_an_answer_is_as_of_one_position_while_the_ledger_moves() {
    let ledger = Arc::new(Ledger::start());
    ledger.open("world", "liability");
    ledger.open("a:b", "liability");
    ledger.shown().await;
    let stop = Arc::new(AtomicBool::new(false));
    let writer = {
        let (ledger, stop) = (ledger.clone(), stop.clone());
        std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                ledger.post("world", "a:b", 1);
            }
        })
    };
    let api = ledger.api();
    let query = "{ one: balance(account: \"a:b\", consistent: true) { ...B } two: balance(account: \"world\") { ...B }
        three: account(address: \"a:b\") { asOfPosition balance { ...B } entries(last: 1) { asOfPosition edges { node { position } } } }
        trialBalance { asOfPosition sums { debits { amount } credits { amount } } } }
        fragment B on Balance { asOfPosition posted { amount } }";
    let mut positions: Vec<u64> = Vec::new();
    let start = Instant::now();
    // Until it was asked at twenty places while the ledger moved on.
    while positions.len() < 20 {
        assert!(start.elapsed() < Duration::from_secs(60), "the ledger does not move: {positions:?}");
        let answer = api.ask(query).await;
        let (data, position) = (answer.data(), answer.as_of_position());
        let amount = data["one"]["posted"]["amount"].as_str().expect("an amount");
        assert_eq!(data["two"]["posted"]["amount"], if amount == "0" { "0".to_owned() } else { format!("-{amount}") });
        assert_eq!(data["three"]["balance"]["posted"]["amount"], amount);
        assert_eq!(data["trialBalance"]["sums"][0]["debits"]["amount"], amount);
        // One franc an entry: the amount says how far the ledger was, two positions stand before the first.
        assert_eq!(amount.parse::<u64>().expect("a number") + 2, position);
        for place in ["/one", "/two", "/three", "/three/balance", "/three/entries", "/trialBalance"] {
            assert_eq!(data.pointer(&format!("{place}/asOfPosition")), Some(&json!(position)), "{place}");
        }
        assert!(positions.last() <= Some(&position), "later answers never show less: {position} after {positions:?}");
        if positions.last() != Some(&position) {
            positions.push(position);
        }
    }
    stop.store(true, Ordering::Relaxed);
    writer.join().expect("the writer ends");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_that_waits_for_a_position_waits_for_its_turn_to_read_no_longer_than_others() {
    let ledger = Ledger::start();
    ledger.open("a:b", "asset");
    ledger.shown().await;
    // As if others had all turns for ever.
    let limits = Limits { queries: 0, query_time: Duration::from_millis(200), ..Limits::default() };
    let api = ledger.api_with(limits);
    for query in ["{ positions { position } }", "{ head(minPosition: \"1\") { position } }"] {
        let answer = tokio::time::timeout(Duration::from_secs(20), api.ask(query)).await.expect("an answer, or an error");
        assert_eq!(answer.code(), "TIMED_OUT", "{query}: {}", answer.body);
    }
}
