//! Files that are damaged, removed or readable by others: what a node answers, and what `/readyz` and `/metrics` say.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cauri_http::auth::role::Role;
use cauri_node::token::issue;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::support::{Served, finding, serve_args};

/// A node with somebody who may do everything.
struct Shop {
    served: Served,
    token: String,
}

impl Shop {
    fn at(data: &Path) -> Self {
        let served = Served::at(data, &[]);
        let args = serve_args(data, &[]);
        let token = issue(&args.data, &args.trust, "awa", &[Role::Admin], Duration::from_secs(600)).expect("a token");
        Self { served, token }
    }

    fn opened(data: &Path) -> Self {
        let shop = Self::at(data);
        for (address, kind) in [("bank", "asset"), ("awa", "liability")] {
            let (status, answer) = shop.post("/v1/accounts", &json!({"address": address, "kind": kind, "currency": "XOF"}));
            assert_eq!(status, 201, "{answer}");
        }
        shop
    }

    fn agent() -> ureq::Agent {
        ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(Duration::from_secs(20))).build().into()
    }

    fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let request = Self::agent().post(format!("{}{path}", self.served.url())).header("authorization", format!("Bearer {}", self.token));
        let mut answer = request.header("idempotency-key", uuid()).send_json(body).expect("an answer");
        (answer.status().as_u16(), answer.body_mut().read_json().expect("JSON"))
    }

    fn pay(&self) -> (u16, Value) {
        let transfers = json!([{"debit": "bank", "credit": "awa", "amount": {"amount": "10", "currency": "XOF"}}]);
        self.post("/v1/entries", &json!({ "transfers": transfers }))
    }

    fn get(&self, path: &str) -> (u16, String) {
        let request = Self::agent().get(format!("{}{path}", self.served.url())).header("authorization", format!("Bearer {}", self.token));
        let mut answer = request.call().expect("an answer");
        (answer.status().as_u16(), answer.body_mut().read_to_string().expect("text"))
    }

    /// Waits until `/readyz` answers with this status and this reason in the check.
    fn ready(&self, status: u16, check: &str, reason: &str) {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let (found, text) = self.get("/readyz");
            let body: Value = serde_json::from_str(&text).expect("JSON");
            if found == status && finding(&body, check).contains(reason) {
                return;
            }
            assert!(Instant::now() < deadline, "{status} with {reason:?} in {check} is expected: {found} {text}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn metric(&self, line: &str) {
        let (_, text) = self.get("/metrics");
        assert!(text.lines().any(|found| found == line), "{line} is not in:\n{text}");
    }
}

/// A key that nobody used.
fn uuid() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("key-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

fn journal(data: &Path) -> PathBuf {
    data.join("journals/ledger/journal.sqlite")
}

#[test]
fn a_journal_that_is_removed_while_serving_acknowledges_nothing_more_and_says_why() {
    let data = tempfile::tempdir().expect("a directory");
    let shop = Shop::opened(data.path());
    assert_eq!(shop.pay().0, 201);
    shop.ready(200, "engine", "takes commands");
    std::fs::remove_file(journal(data.path())).expect("removed");
    for _ in 0..3 {
        let (status, answer) = shop.pay();
        assert!(
            status == 503
                && answer["code"] == "not_done"
                && answer["detail"].as_str().is_some_and(|why| why.contains("removed or replaced")),
            "{status} {answer}"
        );
    }
    shop.ready(503, "engine", "journal_replaced");
    shop.metric(r#"cauri_journal_blocked{journal="ledger",reason="journal_replaced"} 1"#);
}

#[test]
fn a_journal_that_is_replaced_is_noticed_without_a_command() {
    let data = tempfile::tempdir().expect("a directory");
    let shop = Shop::opened(data.path());
    let copy = data.path().join("copy");
    std::fs::copy(journal(data.path()), &copy).expect("a copy");
    std::fs::rename(&copy, journal(data.path())).expect("put in place");
    shop.ready(503, "engine", "journal_replaced");
}

#[test]
fn a_damaged_frame_is_named_by_queries_readiness_and_metrics() {
    let data = tempfile::tempdir().expect("a directory");
    let shop = Shop::opened(data.path());
    let entry = shop.pay().1;
    let position = entry["journal_position"].as_u64().expect("a position");
    let query =
        json!({"query": format!("{{ journal(from: {position}, first: 1, minPosition: \"{position}\") {{ nodes {{ payload }} }} }}")});
    assert_eq!(shop.post("/graphql", &query).1["errors"], Value::Null);
    shop.served.stop();
    let damage = "UPDATE frames SET checksums = zeroblob(length(checksums)) WHERE last >= ?1 AND first <= ?1";
    Connection::open(journal(data.path())).and_then(|file| file.execute(damage, [position as i64])).expect("damage");

    let shop = Shop::at(data.path());
    shop.ready(200, "store", "is at position");
    let (_, answer) = shop.post("/graphql", &query);
    let named = &answer["errors"][0]["extensions"];
    assert!(named["code"] == "JOURNAL_DAMAGED" && named["position"] == position, "{answer}");
    let (status, history) = shop.get(&format!("/v1/entries/{}", entry["id"].as_str().expect("an id")));
    assert!(
        status == 500 && history.contains("\"journal_damaged\"") && history.contains(&format!("position {position}")),
        "{status} {history}"
    );
    shop.ready(503, "store", &format!("journal_damaged: corrupt at position {position}"));
    shop.metric(&format!(r#"cauri_journal_damaged_position{{journal="ledger"}} {position}"#));
    // What does not need the damaged record goes on.
    assert_eq!(shop.pay().0, 201);
}

#[test]
fn read_models_that_cannot_follow_a_damaged_journal_are_not_ready() {
    let data = tempfile::tempdir().expect("a directory");
    let shop = Shop::opened(data.path());
    let position = shop.pay().1["journal_position"].as_u64().expect("a position");
    shop.served.stop();
    std::fs::remove_dir_all(data.path().join("read-models")).expect("removed");
    let damage = "UPDATE frames SET checksums = zeroblob(length(checksums)) WHERE last >= ?1 AND first <= ?1";
    Connection::open(journal(data.path())).and_then(|file| file.execute(damage, [position as i64])).expect("damage");
    let shop = Shop::at(data.path());
    shop.ready(503, "read_models", &format!("stopped before position {position}"));
}

#[test]
fn a_rebuild_that_an_admin_asks_for_changes_neither_answers_nor_readiness() {
    let data = tempfile::tempdir().expect("a directory");
    let shop = Shop::opened(data.path());
    for _ in 0..5 {
        assert_eq!(shop.pay().0, 201);
    }
    assert_eq!(shop.post("/v1/read_models/ledgers/rebuild", &json!({})).0, 404);
    assert_eq!(shop.post("/v1/read_models/accounts/rebuild", &json!({})).0, 202);
    let query = json!({"query": r#"{ balance(account: "awa") { posted { amount } } projections { name generation state } }"#});
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let answer = shop.post("/graphql", &query).1;
        assert_eq!(answer["data"]["balance"]["posted"]["amount"], "50", "{answer}");
        shop.ready(200, "read_models", "0 events behind");
        let projections = answer["data"]["projections"].as_array().expect("projections").clone();
        if projections.contains(&json!({"name": "accounts", "generation": 2, "state": "LIVE"})) && projections.len() == 3 {
            break;
        }
        assert!(Instant::now() < deadline, "{projections:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    // Its writer removes the old one when it sees that another answers.
    while data.path().join("read-models/ledger/accounts.1.sqlite").exists() {
        assert!(Instant::now() < deadline, "the generation before is left");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_read_store_that_is_removed_while_serving_is_built_again() {
    let data = tempfile::tempdir().expect("a directory");
    let shop = Shop::opened(data.path());
    for _ in 0..5 {
        assert_eq!(shop.pay().0, 201);
    }
    let file = data.path().join("read-models/ledger/accounts.1.sqlite");
    for suffix in ["", "-wal", "-shm"] {
        std::fs::remove_file(format!("{}{suffix}", file.display())).expect("removed");
    }
    let deadline = Instant::now() + Duration::from_secs(30);
    while !data.path().join("read-models/ledger/accounts.2.sqlite").exists() {
        assert!(Instant::now() < deadline, "it is not built again");
        std::thread::sleep(Duration::from_millis(50));
    }
    let position = shop.pay().1["journal_position"].as_u64().expect("a position");
    let query = json!({"query": format!(r#"{{ balance(account: "awa", minPosition: "{position}") {{ posted {{ amount }} }} }}"#)});
    let balance = || shop.post("/graphql", &query).1["data"]["balance"]["posted"]["amount"].clone();
    let mut found = balance();
    while found != json!("60") {
        assert!(Instant::now() < deadline, "{found}");
        std::thread::sleep(Duration::from_millis(100));
        found = balance();
    }
    shop.served.stop();
    let shop = Shop::at(data.path());
    assert_eq!(shop.post("/graphql", &query).1["data"]["balance"]["posted"]["amount"], "60");
}

#[cfg(unix)]
#[test]
fn everything_in_a_data_directory_is_for_its_owner_only_also_where_it_was_not() {
    use std::os::unix::fs::PermissionsExt as _;
    fn walk(dir: &Path, found: &mut Vec<(PathBuf, bool, u32)>) {
        for entry in std::fs::read_dir(dir).expect("a directory") {
            let path = entry.expect("an entry").path();
            let metadata = std::fs::metadata(&path).expect("a file");
            found.push((path.clone(), metadata.is_dir(), metadata.permissions().mode() & 0o777));
            if metadata.is_dir() {
                walk(&path, found);
            }
        }
    }
    let private = |data: &Path| {
        let mut found = Vec::new();
        walk(data, &mut found);
        assert!(found.len() > 10, "{found:?}");
        let wide: Vec<_> = found.iter().filter(|(_, is_dir, mode)| *mode != if *is_dir { 0o700 } else { 0o600 }).collect();
        assert!(wide.is_empty(), "{wide:?}");
    };
    let data = tempfile::tempdir().expect("a directory");
    std::fs::set_permissions(data.path(), std::fs::Permissions::from_mode(0o755)).expect("a wide directory");
    let shop = Shop::opened(data.path());
    assert_eq!(shop.pay().0, 201);
    private(data.path());
    shop.served.stop();
    private(data.path());
    let mut found = Vec::new();
    walk(data.path(), &mut found);
    for (path, is_dir, _) in found.iter().filter(|(path, ..)| !path.ends_with("private.pem")) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(if *is_dir { 0o755 } else { 0o644 })).expect("wider");
    }
    let shop = Shop::at(data.path());
    assert_eq!(shop.pay().0, 201);
    private(data.path());
}
