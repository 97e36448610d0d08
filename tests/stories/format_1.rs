//! A journal that an earlier program wrote in format 1 verifies, serves, and answers retries of its keys.

use std::path::Path;

use cauri_tests::server::{Server, verify};
use serde_json::Value;

const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/format-1");

struct Request {
    subject: String,
    path: String,
    key: Option<String>,
    body: Value,
    status: u16,
    answer: Value,
}

/// What the earlier program was sent, and what it answered.
fn requests() -> Vec<Request> {
    let text = std::fs::read_to_string(Path::new(FIXTURE).join("requests.json")).expect("the fixture");
    let requests: Vec<Value> = serde_json::from_str(&text).expect("JSON");
    let request = |request: Value| Request {
        subject: request["subject"].as_str().expect("a subject").to_owned(),
        path: request["path"].as_str().expect("a path").to_owned(),
        key: request["key"].as_str().map(str::to_owned),
        body: request["body"].clone(),
        status: u16::try_from(request["status"].as_u64().expect("a status")).expect("a status"),
        answer: request["answer"].clone(),
    };
    requests.into_iter().map(request).collect()
}

/// Everything that a client would act on: what the answer is about, where it stands, and the code of a refusal.
fn essence(answer: &Value) -> Vec<&Value> {
    ["id", "address", "status", "version", "journal_position", "entry_id", "code", "pointer", "results"]
        .iter()
        .map(|member| &answer[*member])
        .filter(|value| !value.is_array())
        .collect()
}

#[test]
fn a_journal_of_format_1_answers_its_keys_to_the_subjects_that_used_them() {
    let desk = tempfile::tempdir().expect("a directory");
    let data = desk.path().join("data");
    let journal = data.join("journals").join("ledger");
    std::fs::create_dir_all(&journal).expect("a directory");
    std::fs::copy(Path::new(FIXTURE).join("journal.sqlite"), journal.join("journal.sqlite")).expect("the fixture");
    let printed = verify(&data);
    assert!(printed.contains("All is well."), "{printed}");

    // The journal may be older than the time that a start passes over.
    let server = Server::start_with(&data, &["--accept-clock-gap"], &[]);
    let tokens = ["awa", "bintou", "chief"].map(|subject| server.token_of(subject, "operator"));
    let token_of = |subject: &str| if subject == "awa" { &tokens[0] } else { &tokens[1] };
    let head = |server: &Server| server.get("/v1/head").body["journal_position"].clone();
    let before = head(&server);
    assert_eq!(before, 15);
    let requests = requests();
    for request in requests.iter().filter(|request| request.key.is_some()) {
        let again = server.post_as(token_of(&request.subject), &request.path, request.key.as_deref(), &request.body);
        assert_eq!(again.status, request.status, "{}: {:?}", request.path, again.body);
        assert_eq!(essence(&again.body), essence(&request.answer), "{:?}", again.body);
        assert_eq!(again.body["replayed"], true, "{:?}", again.body);
    }
    let bulk = requests.iter().find(|request| request.path == "/v1/bulk").expect("a bulk request");
    let again = server.post_as(token_of(&bulk.subject), "/v1/bulk", None, &bulk.body);
    assert_eq!(again.body["replayed"], 2, "{:?}", again.body);
    assert_eq!(again.body["results"][1]["code"], bulk.answer["results"][1]["code"]);
    assert_eq!(head(&server), before, "nothing was written");

    // The same key of somebody else, and of the same subject with another body.
    let order = requests.iter().find(|request| request.key.as_deref() == Some("order-1")).expect("an order");
    let mine = server.post_as(&tokens[2], &order.path, Some("order-1"), &order.body);
    assert_eq!((mine.status, &mine.body["replayed"]), (201, &Value::Bool(false)), "{:?}", mine.body);
    assert_ne!(mine.body["id"], order.answer["id"]);
    let mut other = order.body.clone();
    other["transfers"][0]["amount"]["amount"] = "10001".into();
    let reused = server.post_as(&tokens[0], &order.path, Some("order-1"), &other);
    assert_eq!(reused.body["code"], "idempotency_key_reused", "{:?}", reused.body);
    server.terminate();
    let printed = verify(&data);
    assert!(printed.contains("All is well."), "{printed}");
}
