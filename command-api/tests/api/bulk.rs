//! `/v1/bulk`

use std::fmt::Write as _;

use cauri_command_api::HttpLimits;
use serde_json::{Value, json};

use crate::support::{Answer, Api, entry, transfer};

fn post(debit: &str, credit: &str, amount: u64) -> Value {
    let mut item = entry(debit, credit, amount);
    item["op"] = json!("post_entry");
    item
}

fn statuses(answer: &Answer) -> Vec<&str> {
    answer.body["results"].as_array().unwrap().iter().map(|result| result["status"].as_str().unwrap()).collect()
}

/// Peer case 9, first half.
#[tokio::test]
async fn each_command_has_its_own_result() {
    let api = Api::shop().await;
    let before = api.events();
    let body = json!([post("bank", "awa", 100), post("awa", "ben", 200)]);
    let answer = api.post("/v1/bulk").json(&body).send().await.expect(200);
    assert_eq!(statuses(&answer), ["accepted", "refused"]);
    assert_eq!(answer.body["results"][1]["code"], "below_floor");
    assert_eq!(answer.body["results"][1]["index"], 1);
    assert_eq!((&answer.body["accepted"], &answer.body["refused"], &answer.body["atomic"]), (&json!(1), &json!(1), &json!(false)));
    assert_eq!(answer.header("cauri-position"), answer.body["position"].as_str().unwrap());
    assert_eq!(api.events(), before + 2, "one entry, and one record that remembers the refusal");
}

/// Peer case 9, second half, and peer case 3: all or none, the first refusal named.
#[tokio::test]
async fn all_or_none() {
    let api = Api::shop().await;
    let body = json!([post("bank", "awa", 100), post("awa", "ben", 200), post("bank", "ben", 1)]);
    let answer = api.post("/v1/bulk?atomic=true").json(&body).send().await.expect_problem(422, "below_floor", "/1");
    assert_eq!(answer.body["index"], 1);
    assert!(answer.body["detail"].as_str().unwrap().starts_with("command 1: awa has 100 XOF available"), "{}", answer.text);
    assert_eq!(statuses(&answer), ["not_applied", "refused", "not_applied"]);
    assert_eq!(answer.body["results"][0]["because_of"], 1);
    api.post("/v1/entries").json(&entry("ben", "awa", 1)).send().await.expect_problem(422, "below_floor", "");

    let body = json!({"atomic": true, "commands": [post("bank", "awa", 100), post("awa", "ben", 60)]});
    let answer = api.post("/v1/bulk").json(&body).send().await.expect(200);
    assert_eq!(statuses(&answer), ["accepted", "accepted"]);
    assert_eq!(answer.body["atomic"], true);
}

#[tokio::test]
async fn an_atomic_refusal_points_into_the_object() {
    let api = Api::shop().await;
    let body = json!({"atomic": true, "commands": [post("bank", "awa", 1), post("bank", "nobody", 1)]});
    api.post("/v1/bulk").json(&body).send().await.expect_problem(422, "account_not_found", "/commands/1/transfers/0/credit");
    let body = json!({"atomic": true, "commands": [post("bank", "awa", 1)]});
    api.post("/v1/bulk?atomic=false").json(&body).send().await.expect_problem(400, "validation_failed", "/atomic");
}

#[tokio::test]
async fn every_op_works_in_one_request() {
    let api = Api::new();
    let open = |address: &str| json!({"op": "open_account", "address": address, "kind": "liability", "currency": "XOF"});
    let hold = |id: &str| {
        let mut item = post("a", "b", 10);
        item["id"] = json!(id);
        item["hold"] = json!({});
        item
    };
    let (first, second) = ("0190f1c2-7e4b-7cc3-98c4-dc0c0c073981", "0190f1c2-7e4b-7cc3-98c4-dc0c0c073982");
    let body = json!([
        open("a"), open("b"), open("c"), hold(first), hold(second),
        {"op": "post_hold", "id": first, "amount": {"amount": "4", "currency": "XOF"}},
        {"op": "void_hold", "id": second, "reason": "changed their mind"},
        {"op": "reverse_entry", "id": first},
        {"op": "freeze_account", "address": "c"},
        {"op": "unfreeze_account", "address": "c"},
        {"op": "change_limits", "address": "c", "limits": {"floor": "0"}},
        {"op": "close_account", "address": "c"},
        {"op": "reopen_account", "address": "c", "expected_version": 5},
        {"op": "freeze_account", "address": "c", "expected_version": 1},
    ]);
    let answer = api.post("/v1/bulk").json(&body).send().await.expect(200);
    assert_eq!(statuses(&answer)[..13], ["accepted"; 13], "{}", answer.text);
    let mismatch = &answer.body["results"][13];
    assert_eq!((&mismatch["status"], &mismatch["version"]), (&json!("version_mismatch"), &json!(6)));
    assert_eq!(answer.body["version_mismatches"], 1);
    assert!(answer.body["results"][7]["entry_id"].is_string());
}

#[tokio::test]
async fn lines_are_commands_too() {
    let api = Api::shop().await;
    let mut lines = String::new();
    for amount in [5, 6] {
        writeln!(lines, "{}\r\n", post("bank", "awa", amount)).unwrap();
    }
    let answer = api.post("/v1/bulk").text("application/x-ndjson; charset=UTF-8", lines).send().await.expect(200);
    assert_eq!(statuses(&answer), ["accepted", "accepted"]);

    let lines = format!("{}\n\n{{\"op\":\"post_entry\"}}\nnot json\n", post("bank", "awa", 1));
    let answer = api.post("/v1/bulk").text("application/x-ndjson", lines).send().await.expect_problem(400, "validation_failed", "");
    let errors = answer.body["errors"].as_array().unwrap();
    assert_eq!((&errors[0]["pointer"], &errors[0]["code"]), (&json!("/1/transfers"), &json!("missing_field")));
    assert!(errors[0]["detail"].as_str().unwrap().starts_with("line 3: "), "{errors:?}");
    assert_eq!((&errors[1]["pointer"], &errors[1]["code"]), (&json!("/2"), &json!("invalid_json")));
    assert!(errors[1]["detail"].as_str().unwrap().starts_with("line 4: "), "{errors:?}");
}

#[tokio::test]
async fn keys_come_from_the_item_or_from_the_request_and_the_index() {
    let api = Api::shop().await;
    let mut second = post("bank", "ben", 2);
    second["idempotency_key"] = json!("mine");
    let body = json!([post("bank", "awa", 1), second]);
    let first = api.post("/v1/bulk").key("day-1").json(&body).send().await.expect(200);
    assert_eq!(first.body["replayed"], 0);
    let again = api.post("/v1/bulk").key("day-1").json(&body).send().await.expect(200);
    assert_eq!((&again.body["replayed"], again.header("idempotency-replayed")), (&json!(2), "true"));
    assert_eq!(again.body["results"][0]["id"], first.body["results"][0]["id"]);
    assert_eq!(again.body["journal_position"], first.body["journal_position"]);
    // The same commands by themselves, under the same keys.
    let single = api.post("/v1/entries").key("day-1/0").json(&entry("bank", "awa", 1)).send().await.expect(201);
    assert_eq!(single.header("idempotency-replayed"), "true");
    api.post("/v1/entries").key("mine").json(&entry("bank", "ben", 3)).send().await.expect_problem(422, "idempotency_key_reused", "");
    let other = json!([post("bank", "awa", 9)]);
    let reused = api.post("/v1/bulk").key("day-1").json(&other).send().await.expect(200);
    assert_eq!(reused.body["results"][0]["code"], "idempotency_key_reused");
    let long = "k".repeat(254);
    api.post("/v1/bulk").key(&long).json(&other).send().await.expect_problem(400, "validation_failed", "/0/idempotency_key");
}

/// A request over the limit is refused whole.
#[tokio::test]
async fn a_request_has_at_most_8189_commands() {
    let api = Api::shop().await;
    let before = api.events();
    let many = |count: usize| Value::Array(vec![post("bank", "awa", 1); count]);
    let answer = api.post("/v1/bulk").json(&many(8_190)).send().await.expect_problem(413, "payload_too_large", "");
    assert!(answer.body["detail"].as_str().unwrap().contains("at most 8189 commands, this one has 8190"));
    assert_eq!(api.events(), before);
    let answer = api.post("/v1/bulk").json(&many(8_189)).send().await.expect(200);
    assert_eq!(answer.body["accepted"], 8_189);
    api.post("/v1/bulk").json(&json!([])).send().await.expect_problem(400, "validation_failed", "");
    api.post("/v1/bulk").text("application/x-ndjson", "\n\n").send().await.expect_problem(400, "validation_failed", "");
}

#[tokio::test]
async fn one_bad_item_keeps_all_from_being_done_and_is_named() {
    let api = Api::shop().await;
    let before = api.events();
    let body = json!([post("bank", "awa", 1), {"op": "post_money"}, {"op": "post_entry", "transfers": [{"debit": "a", "credit": "b"}]}]);
    let answer = api.post("/v1/bulk").json(&body).send().await.expect(400);
    let errors = answer.body["errors"].as_array().unwrap();
    assert_eq!(errors.iter().map(|error| error["pointer"].as_str().unwrap()).collect::<Vec<_>>(), ["/1/op", "/2/transfers/0/amount"]);
    let body = json!({"commands": [{"op": "void_hold", "id": "x"}]});
    api.post("/v1/bulk").json(&body).send().await.expect_problem(400, "validation_failed", "/commands/0/id");
    let body = json!({"command": []});
    api.post("/v1/bulk").json(&body).send().await.expect_problem(400, "validation_failed", "/command");
    api.post("/v1/bulk").json(&json!("post_entry")).send().await.expect_problem(400, "validation_failed", "");
    assert_eq!(api.events(), before);
}

#[tokio::test]
async fn the_query_takes_atomic_and_nothing_else() {
    let api = Api::shop().await;
    for query in ["atomic=yes", "atomci=true", "atomic", "atomic=true&atomic=false"] {
        let answer = api.post(&format!("/v1/bulk?{query}")).json(&json!([post("bank", "awa", 1)])).send().await;
        answer.expect_problem(400, "validation_failed", "");
    }
    let versioned = api.post("/v1/bulk").header("if-match", "\"1\"").json(&json!([post("bank", "awa", 1)])).send().await;
    versioned.expect_problem(400, "validation_failed", "");
}

/// Peer case 11: as three entries of one atomic request the second is above the ceiling; as one entry all is well.
#[tokio::test]
async fn limits_count_after_each_entry_and_not_after_each_transfer() {
    let api = Api::new();
    for (address, limits) in [("one", json!({})), ("two", json!({})), ("three", json!({"ceiling": "0"}))] {
        let body = json!({"address": address, "kind": "liability", "currency": "XOF", "limits": limits});
        api.post("/v1/accounts").json(&body).send().await.expect(201);
    }
    let before = api.events();
    let body = json!([post("one", "two", 10), post("two", "three", 20), post("three", "one", 50)]);
    let answer = api.post("/v1/bulk?atomic=true").json(&body).send().await.expect_problem(422, "above_ceiling", "/1");
    assert_eq!(answer.body["index"], 1);
    assert!(api.events() <= before + 1, "nothing but the refusal is written");
    let transfers = json!([transfer("one", "two", "10"), transfer("two", "three", "20"), transfer("three", "one", "50")]);
    api.post("/v1/entries").json(&json!({"transfers": transfers})).send().await.expect(201);
}

/// Reversing an entry already reversed answers `already_reversed` as that item's own result.
#[tokio::test]
async fn a_second_reversal_is_refused_by_itself() {
    let api = Api::shop().await;
    let id = api.post("/v1/entries").json(&entry("bank", "awa", 9)).send().await.expect(201).body["id"].clone();
    let reverse = json!({"op": "reverse_entry", "id": id});
    let answer = api.post("/v1/bulk").json(&json!([reverse, reverse, post("bank", "awa", 1)])).send().await.expect(200);
    assert_eq!(statuses(&answer), ["accepted", "refused", "accepted"]);
    assert_eq!(answer.body["results"][1]["code"], "already_reversed");
}

#[tokio::test]
async fn large_bodies_have_so_much_memory_and_one_subject_half_of_it() {
    let limits = HttpLimits { body_memory: 400_000, ..HttpLimits::default() };
    let api = Api::with(limits, |_| {}, Vec::new());
    let (sender, body) = slow_body();
    sender.send(Ok(vec![b' '; 150_000].into())).unwrap();
    let router = &api;
    let slow = router.post("/v1/bulk").text("application/json", body).send();
    let large = || format!("{}[]", " ".repeat(100_000));
    let meanwhile = async {
        tokio::task::yield_now().await;
        let turned_away = router.post("/v1/bulk").text("application/json", large()).send().await.expect_problem(503, "overloaded", "");
        assert_eq!(turned_away.header("retry-after"), "1");
        // A small one of the same subject and a large one of another are read, and found to have no command.
        router.post("/v1/bulk").json(&json!([])).send().await.expect_problem(400, "validation_failed", "");
        let ben = crate::support::token_of("ben", &[cauri_http::auth::role::Role::Operator]);
        router.post("/v1/bulk").token(&ben).text("application/json", large()).send().await.expect_problem(400, "validation_failed", "");
        sender.send(Ok(axum::body::Bytes::from_static(b"[]"))).unwrap();
        drop(sender);
    };
    let (slow, ()) = tokio::join!(slow, meanwhile);
    slow.expect_problem(400, "validation_failed", "");
    router.post("/v1/bulk").text("application/json", large()).send().await.expect_problem(400, "validation_failed", "");
}

type Piece = Result<axum::body::Bytes, std::io::Error>;

fn slow_body() -> (tokio::sync::mpsc::UnboundedSender<Piece>, axum::body::Body) {
    let (sender, mut pieces) = tokio::sync::mpsc::unbounded_channel::<Piece>();
    let stream = futures::stream::poll_fn(move |context| pieces.poll_recv(context));
    (sender, axum::body::Body::from_stream(stream))
}
