//! A node on a port: everything that it serves is there, and it ends without cutting answers off.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use cauri_command_api::auth::role::Role;
use cauri_node::node::{Node, NodeError};
use cauri_node::token::issue;
use serde_json::{Value, json};

use crate::support::{Served, serve_args};

fn agent() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(Duration::from_secs(20))).build().into()
}

#[test]
fn what_is_written_by_rest_is_read_by_graphql() {
    let data = tempfile::tempdir().expect("a directory");
    let served = Served::at(data.path(), &[]);
    let args = serve_args(data.path(), &[]);
    let token = issue(&args.data, &args.trust, "awa", &[Role::Operator], Duration::from_secs(600)).expect("a token");
    let post = |path: &str, body: Value| -> (u16, Value) {
        let request = agent().post(format!("{}{path}", served.url())).header("authorization", format!("Bearer {token}"));
        let mut answer = request.send_json(body).expect("an answer");
        (answer.status().as_u16(), answer.body_mut().read_json().expect("JSON"))
    };
    for (address, kind) in [("bank", "asset"), ("awa", "liability")] {
        assert_eq!(post("/v1/accounts", json!({"address": address, "kind": kind, "currency": "XOF"})).0, 201);
    }
    let transfers = json!([{"debit": "bank", "credit": "awa", "amount": {"amount": "10000", "currency": "XOF"}}]);
    let (status, entry) = post("/v1/entries", json!({"transfers": transfers}));
    assert_eq!(status, 201, "{entry}");
    let query =
        format!(r#"{{ balance(account: "awa", minPosition: {}) {{ posted {{ amount currency }} asOfPosition }} }}"#, entry["position"]);
    let (status, answer) = post("/graphql", json!({"query": query}));
    assert_eq!(status, 200);
    assert_eq!(answer["data"]["balance"]["posted"], json!({"amount": "10000", "currency": "XOF"}), "{answer}");

    let mut ready = agent().get(format!("{}/readyz", served.url())).call().expect("an answer");
    let ready: Value = ready.body_mut().read_json().expect("JSON");
    assert_eq!(ready["checks"]["read_models"]["ok"], true, "{ready}");
    let metrics = agent().get(format!("{}/metrics", served.url())).call().expect("an answer").body_mut().read_to_string().expect("text");
    assert!(metrics.contains(r#"cauri_http_requests_total{method="POST",route="/graphql",status="200"}"#), "{metrics}");
    served.stop();
}

#[test]
fn an_answer_that_is_on_its_way_is_finished() {
    let data = tempfile::tempdir().expect("a directory");
    let served = Served::at(data.path(), &[]);
    let mut slow = TcpStream::connect(served.address).expect("connected");
    slow.write_all(b"POST /v1/entries HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n").expect("half a head");
    std::thread::sleep(Duration::from_millis(50));
    let ending = std::thread::spawn(move || served.stop());
    std::thread::sleep(Duration::from_millis(50));
    slow.write_all(b"\r\n{}").expect("the rest");
    let mut answer = String::new();
    slow.read_to_string(&mut answer).expect("an answer and then the end");
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    ending.join().expect("it ended");
}

#[test]
fn a_second_node_on_a_directory_is_told_that_it_is_in_use() {
    let data = tempfile::tempdir().expect("a directory");
    let served = Served::at(data.path(), &[]);
    let Err(error) = Node::open(&serve_args(data.path(), &[]), None) else { panic!("both opened it") };
    assert!(matches!(error, NodeError::Journal(_)) && error.to_string().contains("in use by another process"), "{error}");
    drop(served);
    Node::open(&serve_args(data.path(), &[]), None).expect("it is free again").stop();
}

#[test]
fn a_port_that_is_taken_and_keys_that_are_not_there_are_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address");
    let error = cauri_node::serve::listen(address).expect_err("it is taken").to_string();
    assert!(error.contains(&address.to_string()) && error.contains("--listen"), "{error}");
    let data = tempfile::tempdir().expect("a directory");
    let Err(error) = Node::open(&serve_args(data.path(), &["--jwks", "/nowhere/jwks.json"]), None) else { panic!("it opened") };
    assert!(error.to_string().contains("/nowhere/jwks.json"), "{error}");
}

#[test]
fn a_head_that_does_not_come_is_not_waited_for() {
    let data = tempfile::tempdir().expect("a directory");
    let served = Served::at(data.path(), &["--request-timeout", "1s"]);
    let mut slow = TcpStream::connect(served.address).expect("connected");
    slow.write_all(b"GET /healthz HT").expect("half a line");
    slow.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
    let mut answer = String::new();
    // Closed, with or without a 408: either way nobody holds a connection for ever.
    slow.read_to_string(&mut answer).expect("the end");
    served.stop();
}

#[test]
fn a_client_that_takes_nothing_of_its_answers_holds_no_connection_for_ever() {
    let data = tempfile::tempdir().expect("a directory");
    let served = Served::at(data.path(), &["--request-timeout", "1s", "--max-connections", "1"]);
    let mut greedy = TcpStream::connect(served.address).expect("connected");
    greedy.set_nonblocking(true).expect("set");
    let requests = b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n".repeat(1_000);
    // As much as the system takes; the answers are many times larger than what it keeps for somebody who does not read.
    let sent = greedy.write(&requests).expect("requests");
    assert!(sent > requests.len() / 2, "{sent}");
    // The only place is taken, until the server has had enough.
    assert_eq!(agent().get(format!("{}/healthz", served.url())).call().expect("an answer").status(), 200);
    served.stop();
}
