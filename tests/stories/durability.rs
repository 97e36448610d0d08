//! What was acknowledged over HTTP is there after kill -9, once, and everything agrees.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cauri_tests::server::{Server, path, run, verify};
use serde_json::{Value, json};

const CALLERS: usize = 4;
const ROUNDS: usize = 50;

fn entry(number: usize) -> Value {
    let wallet = format!("customers:{}:wallet", number % 20);
    json!({ "transfers": [{ "debit": "equity:capital", "credit": wallet, "amount": { "amount": "7", "currency": "XOF" } }] })
}

#[test]
fn what_was_acknowledged_before_kill_9_is_there_afterwards_and_there_once() {
    let data = tempfile::tempdir().expect("a directory");
    let server = Server::start(data.path());
    server.open("equity:capital", "equity", json!({}));
    for wallet in 0..20 {
        server.open(&format!("customers:{wallet}:wallet"), "liability", json!({ "floor": "0" }));
    }
    server.kill();

    let acknowledged: Mutex<HashMap<usize, Value>> = Mutex::default();
    for round in 0..ROUNDS {
        let server = Server::start(data.path());
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for caller in 0..CALLERS {
                let (server, over, acknowledged) = (&server, &over, &acknowledged);
                scope.spawn(move || {
                    for count in 0.. {
                        let number = round * 1_000_000 + count * CALLERS + caller;
                        match server.try_post("/v1/entries", Some(&format!("entry-{number}")), &entry(number)) {
                            Some(answer) if answer.status == 201 => {
                                acknowledged.lock().expect("callers do not panic").insert(number, answer.body);
                            }
                            _ if over.load(Ordering::SeqCst) => return,
                            other => panic!("before the kill: {other:?}"),
                        }
                    }
                });
            }
            std::thread::sleep(Duration::from_millis(20 + 37 * round as u64 % 130));
            over.store(true, Ordering::SeqCst);
            let pid = server.pid().to_string();
            let killed = std::process::Command::new("kill").args(["-KILL", &pid]).status().expect("kill runs");
            assert!(killed.success());
        });
        drop(server);
    }

    let server = Server::start(data.path());
    let acknowledged = acknowledged.into_inner().expect("callers do not panic");
    assert!(acknowledged.len() > ROUNDS * CALLERS, "only {} entries were acknowledged", acknowledged.len());
    let all: Vec<(&usize, &Value)> = acknowledged.iter().collect();
    std::thread::scope(|scope| {
        for share in all.chunks(all.len().div_ceil(CALLERS)) {
            let server = &server;
            scope.spawn(move || {
                for (number, first) in share {
                    let again = server.post("/v1/entries", Some(&format!("entry-{number}")), &entry(**number));
                    assert!(again.replayed, "entry-{number} was acknowledged, and is not there: {:?}", again.body);
                    assert_eq!(again.body["id"], first["id"]);
                    assert_eq!(again.body["journal_position"], first["journal_position"]);
                }
            });
        }
    });
    let head = server.post("/v1/accounts", None, &json!({ "address": "last", "kind": "asset", "currency": "XOF" }));
    let at = head.body["position"].as_str().expect("a position").to_owned();
    let credited: i64 = (0..20).map(|wallet| server.balance(&format!("customers:{wallet}:wallet"), &at).0).sum();
    // Entries that were written but whose answer the kill took away count as well: at least what was acknowledged.
    assert!(credited >= 7 * acknowledged.len() as i64 && credited % 7 == 0, "{credited}");
    assert_eq!(server.balance("equity:capital", &at).0, -credited);
    assert!(server.terminate().success());
    verify(data.path());
}

#[test]
fn an_export_is_verified_by_a_page_of_python_and_comes_back_with_the_same_root() {
    let data = tempfile::tempdir().expect("a directory");
    let server = Server::start(data.path());
    server.open("equity:capital", "equity", json!({}));
    server.open("customers:1:wallet", "liability", json!({ "floor": "0" }));
    for number in [1, 21, 41] {
        assert_eq!(server.post("/v1/entries", Some(&format!("entry-{number}")), &entry(number)).status, 201);
    }
    drop(server);
    let export = data.path().join("export.jsonl");
    let exported = run("cauri-replay", &["export", path(&export), "--data", path(data.path())]);
    assert!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));

    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference/verify_export.py");
    let python = std::process::Command::new("python3").args([script, path(&export)]).output().expect("python3 runs");
    assert!(python.status.success(), "{}{}", String::from_utf8_lossy(&python.stdout), String::from_utf8_lossy(&python.stderr));

    let elsewhere = tempfile::tempdir().expect("a directory");
    let imported = run("cauri-replay", &["import", path(&export), "--data", path(elsewhere.path())]);
    assert!(imported.status.success(), "{}", String::from_utf8_lossy(&imported.stderr));
    let root = |data| {
        let head = run("cauri-replay", &["head", "--json", "--data", path(data)]);
        let head: Value = serde_json::from_slice(&head.stdout).expect("JSON");
        head["head"]["root"].clone()
    };
    assert!(root(data.path()).is_string());
    assert_eq!(root(data.path()), root(elsewhere.path()));
    verify(elsewhere.path());
}
