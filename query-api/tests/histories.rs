//! A token belongs to one history of the journal: after an older copy was restored it is refused by name.

use std::time::{Duration, Instant};

use axum::http::StatusCode;
use cauri_event_schemas::Position;
use cauri_event_store::conformance::material;
use cauri_event_store::memory::MemoryStore;
use cauri_event_store::{Appended, Batch, EventStore};
use cauri_query_api::Limits;
use serde_json::json;

use crate::support::{Api, Ledger};

/// The journal up to a position, its records in batches of `size`: what a copy or an import restores.
fn restored(from: &MemoryStore, until: Position, size: usize) -> MemoryStore {
    let copy = MemoryStore::exclusive("ledger");
    let records = from.read_journal(Position::ZERO, until.get() as usize).expect("a journal");
    for records in records.chunks(size) {
        let tree = copy.tree().expect("a tree");
        let mut batch = Batch::after(tree.clone());
        for record in records {
            batch.push_bytes(record.as_record().bytes()).expect("the next record");
        }
        assert!(matches!(copy.append(tree.head(), &batch).expect("an append"), Appended::Done(_)));
    }
    copy
}

/// A ledger with a few entries.
fn busy() -> Ledger {
    let ledger = Ledger::start();
    ledger.open("world", "liability");
    ledger.open("a:b", "asset");
    for amount in 1..=5 {
        ledger.post("a:b", "world", amount);
    }
    ledger
}

async fn refused(api: &Api, token: &str) -> serde_json::Value {
    let by_argument = api.ask(&format!("{{ head(minPosition: \"{token}\") {{ position }} }}")).await;
    assert_eq!((by_argument.status, by_argument.code()), (StatusCode::CONFLICT, "OTHER_HISTORY"), "{}", by_argument.body);
    assert!(by_argument.message().contains("belongs to another history of the journal"), "{}", by_argument.message());
    assert!(by_argument.body.get("data").is_none());
    let by_header = api.ask_with("{ head { position } }", json!({}), &[("cauri-min-position", token)]).await;
    assert_eq!(by_header.body["errors"], by_argument.body["errors"]);
    by_argument.body["errors"][0]["extensions"].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_restore_the_token_of_a_lost_answer_is_refused_by_name() {
    let lost = busy();
    let kept = lost.head();
    let before = lost.consistency_token(kept);
    lost.post("a:b", "world", 700);
    let last = lost.head();
    let token = lost.consistency_token(last);

    let ledger = Ledger::on(restored(&lost.store, kept, 1));
    ledger.shown().await;
    let limits = Limits { position_wait: Duration::from_millis(200), ..Limits::default() };
    let api = ledger.api_with(limits);
    // The journal is shorter than the answer that the token is of, and stays so.
    let began = Instant::now();
    let extensions = refused(&api, &token).await;
    assert!(began.elapsed() >= Duration::from_millis(400), "it waited twice: the journal might still have grown");
    let part = |token: &str| token_root(token);
    assert_eq!(
        extensions,
        json!({ "code": "OTHER_HISTORY", "wanted": last.get(), "tokenRoot": part(&token), "journalRoot": null, "head": kept.get() })
    );
    // It goes on: to where the token is, and beyond.
    for amount in [800, 900] {
        ledger.post("a:b", "world", amount);
        ledger.shown().await;
        let extensions = refused(&api, &token).await;
        assert_eq!(extensions["journalRoot"], json!(part(&ledger.consistency_token(last))));
        assert_ne!(extensions["journalRoot"], extensions["tokenRoot"]);
    }
    // What both histories have in common is still so.
    let answer = api.ask(&format!("{{ head(minPosition: \"{before}\") {{ position }} }}")).await;
    assert_eq!(answer.data()["head"]["position"], json!(ledger.head()));
    // Among several tokens one is enough; a plain position is of whatever history there is.
    let query = format!("{{ one: head(minPosition: \"{before}\") {{ position }} two: head(minPosition: \"{token}\") {{ position }} }}");
    assert_eq!(api.ask(&query).await.code(), "OTHER_HISTORY");
    assert!(api.ask(&format!("{{ head(minPosition: \"{last}\") {{ position }} }}")).await.body.get("errors").is_none());
}

/// The root's part in a token: what stands behind the last colon.
fn token_root(token: &str) -> String {
    let token: cauri_event_store::ConsistencyToken = token.parse().expect("a token");
    token.root.to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_good_for_the_same_records_in_other_batches() {
    let ledger = busy();
    let tokens: Vec<String> = (1..=ledger.head().get()).map(|position| ledger.consistency_token(Position::new(position))).collect();
    // Imported again in one batch: each token is of a position in the middle of it.
    let again = Ledger::on(restored(&ledger.store, ledger.head(), 1_000));
    material::check(&*again.store);
    again.shown().await;
    let api = again.api();
    for token in tokens.iter().rev().chain(&tokens) {
        let answer = api.ask(&format!("{{ head(minPosition: \"{token}\") {{ position }} }}")).await;
        assert_eq!(answer.data()["head"]["position"], json!(ledger.head()), "{}", answer.body);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_token_of_an_answer_is_one_that_the_api_takes() {
    let ledger = busy();
    ledger.shown().await;
    let api = ledger.api();
    let asked = api.ask("{ positions { position } head { token } }").await;
    let tokens = [asked.body["extensions"]["position"].clone(), asked.data()["head"]["token"].clone()];
    ledger.post("a:b", "world", 1);
    ledger.shown().await;
    for token in tokens {
        assert_eq!(token, json!(ledger.consistency_token(Position::new(7))));
        let token = token.as_str().expect("a token");
        assert!(api.ask(&format!("{{ head(minPosition: \"{token}\") {{ position }} }}")).await.body.get("errors").is_none());
    }
}
