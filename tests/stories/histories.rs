//! A copy of the data directory is restored and goes on: what belongs to the lost history is refused by name, or built anew.

use std::path::Path;

use cauri_tests::server::{Server, path, run};
use serde_json::{Value, json};

fn pay(server: &Server, to: &str, key: &str, amount: u64) -> Value {
    let transfers = json!([{ "debit": "banks:ecobank", "credit": to, "amount": { "amount": amount.to_string(), "currency": "XOF" } }]);
    let answer = server.post("/v1/entries", Some(key), &json!({ "transfers": transfers }));
    assert_eq!(answer.status, 201, "{:?}", answer.body);
    answer.body
}

fn text(body: &Value, member: &str) -> String {
    body[member].as_str().unwrap_or_else(|| panic!("{body}")).to_owned()
}

/// The code of the error of a query that is given a token; `none` where it is answered.
fn asked_with(server: &Server, token: &str) -> String {
    let query = format!("{{ balance(account: \"customers:awa\", minPosition: \"{token}\") {{ posted {{ amount }} }} }}");
    let answer = server.post("/graphql", None, &json!({ "query": query }));
    answer.body["errors"][0]["extensions"]["code"].as_str().unwrap_or("none").to_owned()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a directory");
    for entry in std::fs::read_dir(from).expect("a directory").map(|entry| entry.expect("an entry")) {
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("a copy");
        }
    }
}

fn verified(data: &Path, against: &[&str]) -> (bool, String) {
    let mut arguments = vec!["verify", "--data", path(data)];
    arguments.extend(against.iter().flat_map(|against| ["--against", *against]));
    let output = run("cauri-replay", &arguments);
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
}

#[test]
fn after_an_older_copy_was_restored_nothing_of_the_lost_history_is_taken_for_its_own() {
    let desk = tempfile::tempdir().expect("a directory");
    let (data, backup) = (desk.path().join("data"), desk.path().join("backup"));
    let server = Server::start(&data);
    server.open("banks:ecobank", "asset", json!({}));
    server.open("customers:awa", "liability", json!({}));
    let shared = text(&pay(&server, "customers:awa", "order-1", 500), "position");
    server.terminate();
    copy(&data, &backup);

    // It goes on; somebody notes a head, keeps an export and a token.
    let server = Server::start(&data);
    server.open("customers:lost", "liability", json!({}));
    for number in 0..20 {
        pay(&server, "customers:awa", &format!("lost-{number}"), 10);
    }
    let lost = text(&pay(&server, "customers:lost", "lost-20", 70), "position");
    let noted = server.query("{ head { position root } }", Some(&lost));
    let noted = format!("{}:{}", noted["head"]["position"], noted["head"]["root"].as_str().expect("a root"));
    assert_eq!(server.balance("customers:awa", &lost).0, 700);
    server.terminate();
    let export = desk.path().join("noted.jsonl");
    assert!(run("cauri-replay", &["export", path(&export), "--data", path(&data)]).status.success());
    assert!(verified(&data, &[&noted, &lost, path(&export)]).0);

    // The copy of the journal is restored, and nobody thought of the read models and the look-ups beside it.
    let restored = desk.path().join("restored");
    copy(&data, &restored);
    for suffix in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(restored.join(format!("journals/ledger/journal.sqlite{suffix}")));
    }
    let journal = "journals/ledger/journal.sqlite";
    std::fs::copy(backup.join(journal), restored.join(journal)).expect("a copy");
    let server = Server::start(&restored);
    // The journal is shorter than the answer of the token.
    assert_eq!(server.balance("customers:awa", &shared).0, 500, "what was lost is shown");
    assert_eq!(server.query(r#"{ account(address: "customers:lost") { address } }"#, None)["account"], Value::Null);
    assert_eq!(asked_with(&server, &lost), "OTHER_HISTORY");

    // It goes on otherwise, to where the lost history was and beyond; a key of the lost history is new here.
    let mut last = String::new();
    for number in 0..30 {
        let body = pay(&server, "customers:awa", &format!("lost-{number}"), 20);
        assert_eq!(body["replayed"], false);
        last = text(&body, "position");
        if number % 10 == 0 {
            assert_eq!(asked_with(&server, &lost), "OTHER_HISTORY", "after {number} entries");
        }
    }
    assert_eq!(asked_with(&server, &shared), "none", "what both histories have is still so");
    assert_eq!(server.balance("customers:awa", &last).0, 500 + 30 * 20);
    assert_eq!(server.query(r#"{ account(address: "customers:lost") { address } }"#, Some(&last))["account"], Value::Null);
    server.terminate();

    // By itself the journal is well; what an outsider remembers tells.
    assert!(verified(&restored, &[&shared, &last]).0, "{}", verified(&restored, &[&shared, &last]).1);
    for against in [noted.as_str(), lost.as_str(), path(&export)] {
        let (well, said) = verified(&restored, &[against]);
        assert!(!well && said.contains("expected_heads at position"), "{said}");
    }
    assert!(verified(&restored, &[path(&export)]).1.contains("the record is another than in"));
}

#[test]
fn read_models_of_another_journal_are_not_shown() {
    let desk = tempfile::tempdir().expect("a directory");
    // A: 50 single entries. B: one bulk request, so that no batch of B ends where A's read models are.
    let (a, b) = (desk.path().join("a"), desk.path().join("b"));
    let server = Server::start(&a);
    server.open("banks:ecobank", "asset", json!({}));
    server.open("customers:awa", "liability", json!({}));
    for number in 0..50 {
        pay(&server, "customers:awa", &format!("a-{number}"), 1_000);
    }
    let last = text(&pay(&server, "customers:awa", "a-50", 1_000), "position");
    assert_eq!(server.balance("customers:awa", &last).0, 51_000);
    server.terminate();

    let server = Server::start(&b);
    server.open("banks:ecobank", "asset", json!({}));
    server.open("customers:awa", "liability", json!({}));
    let transfers = json!([{ "debit": "banks:ecobank", "credit": "customers:awa", "amount": { "amount": "1", "currency": "XOF" } }]);
    let commands: Vec<Value> = (0..60).map(|_| json!({ "op": "post_entry", "transfers": transfers })).collect();
    let answer = server.post("/v1/bulk", Some("b"), &json!({ "commands": commands }));
    let last = text(&answer.body, "position");
    assert_eq!(server.balance("customers:awa", &last).0, 60);
    server.terminate();

    std::fs::remove_dir_all(b.join("read-models")).expect("read models");
    copy(&a.join("read-models"), &b.join("read-models"));
    let server = Server::start(&b);
    assert_eq!(server.balance("customers:awa", &last).0, 60);
}
