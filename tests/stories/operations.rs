//! What an operator meets: start-up, locks, newer formats, loading files, stopping.

use std::process::Command;

use cauri_tests::server::{Server, binary, path, run, verify};
use serde_json::json;

#[test]
fn a_second_process_on_the_same_directory_is_told_who_is_in_the_way() {
    let data = tempfile::tempdir().expect("a directory");
    let _server = Server::start(data.path());
    let second = run("cauri", &["serve", "--data", path(data.path()), "--listen", "127.0.0.1:0"]);
    assert!(!second.status.success());
    let error = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(error.contains("in use by another process"), "{error}");
}

#[test]
fn a_journal_of_a_newer_version_is_left_alone() {
    let data = tempfile::tempdir().expect("a directory");
    drop(Server::start(data.path()));
    let file = data.path().join("journals/ledger/journal.sqlite");
    let journal = rusqlite::Connection::open(&file).expect("the journal");
    journal.execute("UPDATE meta SET value = '999' WHERE key = 'format_version'", []).expect("changed");
    drop(journal);
    let refused = run("cauri", &["serve", "--data", path(data.path()), "--listen", "127.0.0.1:0"]);
    assert!(!refused.status.success());
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(error.contains("format 999") && error.contains("newer"), "{error}");
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let data = tempfile::tempdir().expect("a directory");
    let refused = run("cauri", &["serve", "--data", path(data.path()), "--listen", &address]);
    assert!(!refused.status.success());
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(error.contains(&address), "{error}");
}

#[test]
fn a_file_that_is_loaded_twice_moves_money_once() {
    let data = tempfile::tempdir().expect("a directory");
    let server = Server::start(data.path());
    let file = data.path().join("commands.ndjson");
    let mut lines = vec![
        json!({ "op": "open_account", "address": "equity:capital", "kind": "equity", "currency": "XOF" }).to_string(),
        json!({ "op": "open_account", "address": "customers:1:wallet", "kind": "liability", "currency": "XOF", "limits": { "floor": "0" } }).to_string(),
    ];
    let transfer = json!({ "debit": "equity:capital", "credit": "customers:1:wallet", "amount": { "amount": "10", "currency": "XOF" } });
    lines.extend((0..500).map(|_| json!({ "op": "post_entry", "transfers": [transfer] }).to_string()));
    std::fs::write(&file, lines.join("\n")).expect("written");
    for _ in 0..2 {
        let loaded = run("cauri", &["load", path(&file), "--url", server.base(), "--token", server.token()]);
        let (out, error) = (String::from_utf8_lossy(&loaded.stdout).into_owned(), String::from_utf8_lossy(&loaded.stderr).into_owned());
        assert!(loaded.status.success(), "{out}{error}");
    }
    let last = server.post("/v1/accounts", None, &json!({ "address": "last", "kind": "asset", "currency": "XOF" }));
    let at = last.body["position"].as_str().expect("a position").to_owned();
    assert_eq!(server.balance("customers:1:wallet", &at), (5_000, 5_000));
}

#[test]
fn a_corrected_file_pays_each_line_once_and_the_exit_code_says_what_became_of_it() {
    let data = tempfile::tempdir().expect("a directory");
    let server = Server::start(data.path());
    let load = |name: &str, text: &str, more: &[&str]| {
        let file = data.path().join(name);
        std::fs::write(&file, text).expect("written");
        let loaded = run("cauri", &[&["load", path(&file), "--url", server.base(), "--token", server.token()], more].concat());
        (loaded.status.code().expect("an exit code"), String::from_utf8_lossy(&loaded.stderr).into_owned())
    };
    let pay = |debit: &str, credit: &str, amount: &str| json!({ "op": "post_entry", "transfers": [{ "debit": debit, "credit": credit, "amount": { "amount": amount, "currency": "XOF" } }] });
    let commands = [
        json!({ "op": "open_account", "address": "kiosk:cash", "kind": "asset", "currency": "XOF" }),
        json!({ "op": "open_account", "address": "clients:ali", "kind": "liability", "currency": "XOF", "limits": { "floor": "0" } }),
        pay("kiosk:cash", "clients:ali", "500"),
        pay("kiosk:cash", "clients:ali", "700"),
        pay("kiosk:cash", "clients:ali", "900"),
    ];
    let good: String = commands.iter().map(|command| format!("{command}\n")).collect();
    let bad = good.replace("\"700\"", "700");
    let marks = std::cell::Cell::new(0);
    let balance = |wanted: i64| {
        marks.set(marks.get() + 1);
        let address = format!("mark:{}", marks.get());
        let mark = server.post("/v1/accounts", None, &json!({ "address": address, "kind": "asset", "currency": "XOF" }));
        let at = mark.body["position"].as_str().expect("a position").to_owned();
        assert_eq!(server.balance("clients:ali", &at), (wanted, wanted));
    };
    let (code, said) = load("pay", &bad, &["--dry-run"]);
    assert_eq!(code, 3, "{said}");
    let (code, said) = load("pay", &bad, &[]);
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("pay:4: /transfers/0/amount/amount: ") && said.contains("write \"700\" in quotes"), "{said}");
    assert!(said.contains("nothing was sent"), "{said}");
    assert_eq!(load("pay", &bad, &["--skip-bad"]).0, 5);
    balance(1_400);
    let (code, said) = load("pay", &good, &[]);
    assert!(code == 6 && said.contains("(lines 1-3, 5)"), "without a source another file may have had those lines: {code} {said}");
    balance(2_100);
    assert_eq!(load("pay", &good, &[]).0, 0);
    assert_eq!(load("other", &format!("{}\r\n", good.replace('\n', "\r\n")), &["--atomic"]).0, 0);
    balance(2_100);

    let spend = format!("{}\n", pay("clients:ali", "kiosk:cash", "2101"));
    assert_eq!(load("spend", &spend, &[]).0, 4);
    assert_eq!(load("spend", &spend, &[]).0, 4, "a refusal is never success");
    assert_eq!(load("more", &format!("{}\n", pay("kiosk:cash", "clients:ali", "1")), &[]).0, 0);
    assert_eq!(load("spend", &spend, &["--retry-refused"]).0, 0);
    balance(0);
    assert_eq!(load("spend", &spend, &["--retry-refused"]).0, 1, "nothing is left to be sent anew");
    assert_eq!(load("spend", &spend, &["--source", "no/name"]).0, 2);
}

#[test]
fn the_public_paysim_sample_loads_and_verifies() {
    let sample = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/paysim/paysim_sample_10k.csv"));
    if !sample.exists() {
        eprintln!("skipped: there is no shared/data/paysim beside this repository");
        return;
    }
    let data = tempfile::tempdir().expect("a directory");
    let server = Server::start(data.path());
    let refused = data.path().join("refused");
    let place = ["--url", server.base(), "--token", server.token(), "--refused", path(&refused)];
    let loaded = run("cauri", &[&["load", "--paysim", path(sample)], &place[..]].concat());
    let (out, error) = (String::from_utf8_lossy(&loaded.stdout).into_owned(), String::from_utf8_lossy(&loaded.stderr).into_owned());
    // PaySim's balances do not add up, so that some of its rows are refused.
    assert_eq!(loaded.status.code(), Some(4), "{out}{error}");
    assert!(refused.exists(), "{out}{error}");
    eprintln!("{out}");
    assert!(server.terminate().success());
    verify(data.path());
}

#[test]
fn a_server_that_is_asked_to_stop_ends_well_and_leaves_a_clean_journal() {
    let data = tempfile::tempdir().expect("a directory");
    let server = Server::start(data.path());
    server.open("equity:capital", "equity", json!({}));
    assert!(server.terminate().success());
    verify(data.path());
}

#[test]
fn the_demo_shows_a_day_that_sums_to_zero_and_can_be_run_again() {
    let data = tempfile::tempdir().expect("a directory");
    for _ in 0..2 {
        let demo = run("cauri", &["demo", "--exit", "--commands", "20000", "--data", path(data.path())]);
        let out = String::from_utf8_lossy(&demo.stdout).into_owned();
        assert!(demo.status.success(), "{out}{}", String::from_utf8_lossy(&demo.stderr));
        assert!(out.to_lowercase().contains("trial balance"), "{out}");
    }
    verify(data.path());
}

#[test]
fn a_flipped_byte_in_the_journal_is_found_and_its_position_named() {
    let data = tempfile::tempdir().expect("a directory");
    let server = Server::start(data.path());
    server.open("equity:capital", "equity", json!({}));
    server.open("customers:1:wallet", "liability", json!({}));
    drop(server);
    verify(data.path());
    let journal = rusqlite::Connection::open(data.path().join("journals/ledger/journal.sqlite")).expect("the journal");
    let body: Vec<u8> = journal.query_row("SELECT body FROM frames WHERE first = 2", [], |row| row.get(0)).expect("a frame");
    let mut flipped = body.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    journal.execute("UPDATE frames SET body = ?1 WHERE first = 2", [flipped]).expect("flipped");
    drop(journal);
    let verified = Command::new(binary("cauri-replay")).args(["verify", "--data", path(data.path())]).output().expect("it runs");
    let text = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert!(!verified.status.success(), "{text}");
    assert!(text.contains("position 2"), "{text}");
}
