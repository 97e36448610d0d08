//! The journal through GraphQL: events as they are stored and hashed.

use cauri_event_store::Hash;
use serde_json::{Value, json};

use crate::support::Ledger;

#[tokio::test]
async fn an_event_is_shown_as_it_is_hashed() {
    let ledger = Ledger::start();
    ledger.open("world", "liability");
    ledger.open("a:b", "liability");
    let entry = ledger.post("world", "a:b", 7).begun.and_then(|stream| stream.as_entry()).expect("an entry");
    ledger.shown().await;
    let data = ledger
        .api()
        .data("{ journal(from: 3) { asOfPosition edges { node { position type stream version schema recordedAt payload leaf record metadata { actor command causation fingerprint } } } } }")
        .await;
    let edges = data["journal"]["edges"].as_array().expect("edges");
    assert_eq!(edges.len(), 1);
    let event = &edges[0]["node"];
    assert_eq!(
        (&event["position"], &event["type"], &event["stream"], &event["version"], &event["schema"]),
        (&json!(3), &json!("entry.posted"), &json!(format!("entry/{entry}")), &json!(1), &json!(1))
    );
    assert_eq!(
        event["payload"]["transfers"],
        json!([{ "amount": { "amount": "7", "currency": "XOF" }, "credit": "a:b", "debit": "world" }])
    );
    assert_eq!(event["metadata"]["actor"], "operator:awa");
    assert_eq!((&event["metadata"]["command"], &event["metadata"]["causation"]), (&json!("test-3"), &Value::Null));
    assert_eq!(event["metadata"]["fingerprint"].as_str().map(str::len), Some(34));
    let record = event["record"].as_str().expect("a record");
    assert_eq!(event["leaf"], json!(Hash::of_leaf(record.as_bytes()).to_string()));
    let parsed: Value = serde_json::from_str(record).expect("JSON");
    assert_eq!(parsed["data"], event["payload"]);
}

#[tokio::test]
async fn events_by_stream_and_type_forward_and_backward() {
    let ledger = Ledger::start();
    ledger.open("world", "liability");
    ledger.open("a:b", "liability");
    for _ in 0..5 {
        ledger.post("world", "a:b", 1);
    }
    ledger.shown().await;
    let api = ledger.api();
    for (arguments, expected) in [
        ("", vec![1, 2, 3, 4, 5, 6, 7]),
        ("(first: 2)", vec![1, 2]),
        ("(last: 2)", vec![6, 7]),
        ("(from: 6)", vec![6, 7]),
        ("(type: \"account.opened\")", vec![1, 2]),
        ("(stream: \"account/a:b\")", vec![2]),
        ("(type: \"entry.posted\", from: \"5\", first: 2)", vec![5, 6]),
        ("(type: \"no.such\")", vec![]),
        ("(from: 100)", vec![]),
    ] {
        let data = api.data(&format!("{{ journal{arguments} {{ edges {{ node {{ position payload }} }} }} }}")).await;
        let found: Vec<u64> =
            data["journal"]["edges"].as_array().expect("edges").iter().filter_map(|edge| edge["node"]["position"].as_u64()).collect();
        assert_eq!(found, expected, "{arguments}");
    }
    assert_eq!(api.ask("{ journal(stream: \"planet/mars\") { edges { cursor } } }").await.code(), "BAD_USER_INPUT");
}
