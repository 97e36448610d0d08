//! Groups of read models that are at different places: what each answer says, and whom it concerns.

use axum::http::StatusCode;
use cauri_query_api::Limits;
use serde_json::{Value, json};

use crate::support::{Api, Ledger};

/// A ledger at rest whose entries are as they were two payments before the accounts.
async fn apart() -> (Ledger, Api) {
    let mut ledger = Ledger::start();
    ledger.open("world", "liability");
    ledger.open("a:b", "liability");
    ledger.post("world", "a:b", 5);
    ledger.shown().await;
    ledger.pause_projecting();
    let file = ledger.path().join("entries.1.sqlite");
    let earlier = std::fs::read(&file).expect("a file");
    ledger.resume_projecting();
    ledger.post("world", "a:b", 6);
    ledger.post("world", "a:b", 7);
    ledger.shown().await;
    ledger.pause_projecting();
    std::fs::write(&file, earlier).expect("a file");
    let limits = Limits { position_wait: std::time::Duration::from_millis(100), ..Limits::default() };
    let api = ledger.api_of(ledger.polling_reads(), limits);
    (ledger, api)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_says_where_each_group_was_and_nothing_inside_is_older_than_what_is_around_it() {
    let (_ledger, api) = apart().await;
    let answer =
        api.ask("{ balance(account: \"a:b\") { posted { amount } asOfPosition } entries { edges { node { id } } asOfPosition } }").await;
    let data = answer.data();
    assert_eq!((&data["balance"]["posted"]["amount"], &data["balance"]["asOfPosition"]), (&json!("18"), &json!(5)));
    assert_eq!((data["entries"]["edges"].as_array().map(Vec::len), &data["entries"]["asOfPosition"]), (Some(1), &json!(3)));
    let positions = json!([{ "group": "accounts", "position": 5 }, { "group": "entries", "position": 3 }]);
    assert_eq!(answer.body["extensions"]["positions"], positions);
    assert_eq!(answer.headers["cauri-as-of-position"], "accounts=5, entries=3");
    // Inside the account its entries would be older than it: they are waited for, and only they fail.
    let answer = api.ask("{ account(address: \"a:b\") { address entries { edges { node { id } } } } head { position } }").await;
    assert_eq!(answer.code(), "POSITION_NOT_REACHED", "{}", answer.body);
    assert_eq!(answer.body["errors"][0]["path"], json!(["account", "entries"]));
    let extensions = json!({ "code": "POSITION_NOT_REACHED", "group": "entries", "wanted": 5, "asOfPosition": 3, "lag": 2 });
    assert_eq!(answer.body["errors"][0]["extensions"], extensions);
    assert_eq!(answer.body["data"]["head"], json!({ "position": 5 }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_waits_for_the_groups_that_it_reads_and_no_others() {
    let (_ledger, api) = apart().await;
    let answer = api.ask("{ balance(account: \"a:b\", minPosition: \"5\") { posted { amount } } }").await;
    assert_eq!(answer.data()["balance"]["posted"]["amount"], "18");
    let answer = api.ask("{ entries(minPosition: \"5\") { edges { node { id } } } }").await;
    assert_eq!((answer.status, answer.code()), (StatusCode::SERVICE_UNAVAILABLE, "POSITION_NOT_REACHED"), "{}", answer.body);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consistent_answer_is_as_known_at_the_lowest_position_or_there_is_none() {
    let (_ledger, api) = apart().await;
    let answer =
        api.ask("{ balance(account: \"a:b\", consistent: true) { posted { amount } knownAt } entries { edges { node { id } } } }").await;
    let data = answer.data();
    assert_eq!(data["balance"], json!({ "posted": { "amount": "5" }, "knownAt": 3 }), "as known where the entries are");
    assert_eq!(data["entries"]["edges"].as_array().map(Vec::len), Some(1));
    // An account's row is as of now only.
    let answer = api.ask("{ account(address: \"a:b\", consistent: true) { version } entries { edges { node { id } } } }").await;
    assert_eq!(answer.code(), "NOT_CONSISTENT", "{}", answer.body);
    let extensions = json!({ "code": "NOT_CONSISTENT", "group": "accounts", "position": 5, "consistentAt": 3 });
    assert_eq!(answer.body["errors"][0]["extensions"], extensions);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fields_of_a_group_that_is_being_built_say_how_far_it_is_and_all_others_answer() {
    let (ledger, _) = apart().await;
    std::fs::remove_file(ledger.path().join("entries.1.sqlite")).expect("removed");
    let api = ledger.api_of(ledger.polling_reads(), Limits::default());
    let answer = api.ask("{ account(address: \"a:b\") { balance { posted { amount } } } entries { edges { node { id } } } }").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.body["data"]["account"]["balance"]["posted"]["amount"], "18");
    assert_eq!(answer.body["data"]["entries"], Value::Null, "and never an empty list");
    let error = &answer.body["errors"][0];
    assert_eq!(
        (&error["extensions"]["code"], &error["extensions"]["group"]),
        (&json!("READ_MODEL_BUILDING"), &json!("entries")),
        "{error}"
    );
    assert!(error["extensions"]["position"].is_u64() && error["extensions"]["head"].is_u64(), "{error}");
    let alone = api.ask("{ entries(minPosition: \"1\") { edges { node { id } } } }").await;
    assert_eq!((alone.status, alone.code()), (StatusCode::SERVICE_UNAVAILABLE, "READ_MODEL_BUILDING"), "{}", alone.body);
    assert_eq!(alone.headers["retry-after"], "1");
    let positions = api.data("{ positions { group } }").await;
    assert_eq!(positions["positions"], json!([{ "group": "accounts" }, { "group": "journal" }]));
}
