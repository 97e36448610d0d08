//! A node on a port: everything that it serves is there, and it ends without cutting answers off.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use cauri_http::auth::role::Role;
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
    let token = issue_for(data.path());
    let post = |path: &str, body: Value| -> (u16, Value) {
        let request = agent().post(format!("{}{path}", served.url())).header("authorization", format!("Bearer {token}"));
        let key = body["address"].as_str().unwrap_or("payment-1").to_owned();
        let mut answer = request.header("idempotency-key", key).send_json(body).expect("an answer");
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

    let ready = agent().get(format!("{}/readyz", served.url())).header("authorization", format!("Bearer {token}"));
    let mut ready = ready.call().expect("an answer");
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
    let data = tempfile::tempdir().expect("a directory");
    let mut args = serve_args(data.path(), &["--allow-missing-keys"]);
    args.http.listen = address;
    let error = cauri_node::serve::listen(&args.http).expect_err("it is taken").to_string();
    assert!(error.contains(&address.to_string()) && error.contains("--listen"), "{error}");
    args.http.listen = "0.0.0.0:0".parse().expect("an address");
    let error = cauri_node::serve::listen(&args.http).expect_err("others could send payments without keys").to_string();
    assert!(error.contains("--allow-missing-keys") && error.contains("loopback"), "{error}");
    let Err(error) = Node::open(&serve_args(data.path(), &["--jwks", "/nowhere/jwks.json"]), None) else { panic!("it opened") };
    assert!(error.to_string().contains("/nowhere/jwks.json"), "{error}");
}

#[test]
fn a_head_that_does_not_come_is_not_waited_for() {
    let data = tempfile::tempdir().expect("a directory");
    let served = Served::at(data.path(), &["--head-timeout", "1s"]);
    let mut slow = TcpStream::connect(served.address).expect("connected");
    slow.write_all(b"GET /healthz HT").expect("half a line");
    slow.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
    let mut answer = String::new();
    // Closed, with or without a 408: either way nobody holds a connection for ever.
    slow.read_to_string(&mut answer).expect("the end");
    served.stop();
}

fn issue_for(data: &Path) -> String {
    let args = serve_args(data, &[]);
    issue(&args.data, &args.trust, "awa", &[Role::Operator], Duration::from_secs(600)).expect("a token")
}

/// Whether `/healthz` is answered with 200 within a second.
fn is_healthy(served: &Served) -> bool {
    let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(Duration::from_secs(1)));
    let agent: ureq::Agent = config.max_idle_connections(0).build().into();
    agent.get(format!("{}/healthz", served.url())).call().is_ok_and(|answer| answer.status() == 200)
}

/// The status of an answer to a request that needs a token and has none.
fn status_for_anybody(served: &Served) -> u16 {
    agent().get(format!("{}/v1/head", served.url())).header("connection", "close").call().expect("an answer").status().as_u16()
}

/// Reads to the end of a connection, which must come within ten seconds.
fn rest_of(connection: &mut TcpStream) -> String {
    connection.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
    let mut rest = Vec::new();
    match connection.read_to_end(&mut rest) {
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
        Err(error) => panic!("the connection is still open: {error}"),
    }
    String::from_utf8_lossy(&rest).into_owned()
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
    assert!(is_healthy(&served), "the only place is taken, and health is told all the same");
    std::thread::sleep(Duration::from_secs(3));
    // The server has had enough: what comes now is what the system kept, and then the end.
    greedy.set_nonblocking(false).expect("set");
    let taken = rest_of(&mut greedy).matches("HTTP/1.1 200 OK").count();
    assert!(taken < sent / 50, "it answered {taken} requests of somebody who took nothing");
    served.stop();
}

#[test]
fn where_every_connection_is_busy_health_is_told_and_others_are_turned_away() {
    let data = tempfile::tempdir().expect("a directory");
    let served = Served::at(data.path(), &["--max-connections", "1"]);
    let token = issue_for(data.path());
    let mut busy = TcpStream::connect(served.address).expect("connected");
    let request = format!(
        "POST /v1/entries HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
         content-length: 2\r\nconnection: close\r\n\r\n{{"
    );
    busy.write_all(request.as_bytes()).expect("half a request");
    std::thread::sleep(Duration::from_millis(200));
    assert!(is_healthy(&served));
    let mut turned_away = agent().get(format!("{}/v1/head", served.url())).call().expect("an answer");
    assert_eq!((turned_away.status().as_u16(), &turned_away.headers()["retry-after"]), (503, &"1".parse().expect("a header")));
    let problem: Value = turned_away.body_mut().read_json().expect("JSON");
    assert_eq!(problem["code"], "overloaded");
    busy.write_all(b"}").expect("the rest");
    assert!(rest_of(&mut busy).starts_with("HTTP/1.1 400"), "its answer was not cut off");
    assert_eq!(status_for_anybody(&served), 401);
    served.stop();
}

#[test]
fn silent_connections_shut_nobody_out() {
    let data = tempfile::tempdir().expect("a directory");
    let served = Served::at(data.path(), &["--max-connections", "64", "--max-connections-per-peer", "64"]);
    let mut held = Vec::new();
    for _ in 0..300 {
        held.push(TcpStream::connect(served.address).expect("connected"));
        if held.len() % 50 == 0 {
            assert!(is_healthy(&served), "after {} connections", held.len());
            assert_eq!(status_for_anybody(&served), 401, "an ordinary place, not one in reserve");
        }
    }
    served.stop();
}

#[test]
fn one_peer_does_not_take_the_places_of_others() {
    let data = tempfile::tempdir().expect("a directory");
    let served = Served::at(data.path(), &["--max-connections", "64", "--max-connections-per-peer", "8"]);
    // On Linux every address of 127.0.0.0/8 is this machine: another peer.
    let from = |peer: [u8; 4]| {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
        socket.bind(&std::net::SocketAddr::from((peer, 0)).into()).expect("bound");
        socket.connect(&served.address.into()).expect("connected");
        TcpStream::from(socket)
    };
    let mut other = from([127, 0, 0, 2]);
    let held: Vec<TcpStream> = (0..100).map(|_| TcpStream::connect(served.address).expect("connected")).collect();
    other.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").expect("sent");
    assert!(rest_of(&mut other).starts_with("HTTP/1.1 200"), "the oldest connection of all is another peer's and stays");
    // A connection that is to be closed is closed in a moment, not at once.
    let open = || held.iter().filter(|connection| connection.set_nonblocking(true).is_ok() && is_open(connection)).count();
    let deadline = std::time::Instant::now() + Duration::from_secs(5);
    while open() > 8 {
        assert!(std::time::Instant::now() < deadline, "{} of one peer are open", open());
        std::thread::sleep(Duration::from_millis(20));
    }
    served.stop();
}

fn is_open(connection: &TcpStream) -> bool {
    matches!(connection.peek(&mut [0]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
}

#[test]
fn silence_half_a_head_and_a_preface_of_http_2_have_a_short_time() {
    let data = tempfile::tempdir().expect("a directory");
    let served = Served::at(data.path(), &["--head-timeout", "1s", "--idle-timeout", "2s"]);
    for sent in ["", "GET /healthz HTTP/1.1\r\nhost:", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "PRI * HTTP/2.0\r\n"] {
        let began = std::time::Instant::now();
        let mut connection = TcpStream::connect(served.address).expect("connected");
        connection.write_all(sent.as_bytes()).expect("sent");
        let answer = rest_of(&mut connection);
        assert!(!answer.starts_with("HTTP/1.1 200"), "{sent:?}: {answer}");
        assert!(began.elapsed() < Duration::from_secs(3), "{sent:?} held its connection for {:?}", began.elapsed());
    }
    // A connection that was used may be idle for longer, but not for ever; half a head has the short time again.
    for (then, at_least) in [("", 1_500), ("GET /hea", 700)] {
        let mut used = TcpStream::connect(served.address).expect("connected");
        used.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").expect("sent");
        let mut answer = [0; 4096];
        assert!(used.read(&mut answer).expect("an answer") > 0);
        let began = std::time::Instant::now();
        used.write_all(then.as_bytes()).expect("sent");
        rest_of(&mut used);
        let lasted = began.elapsed();
        assert!(lasted >= Duration::from_millis(at_least) && lasted < Duration::from_secs(4), "{then:?}: {lasted:?}");
    }
    served.stop();
}

#[test]
fn a_head_without_end_is_not_kept() {
    let data = tempfile::tempdir().expect("a directory");
    let served = Served::at(data.path(), &["--head-timeout", "60s"]);
    let mut endless = TcpStream::connect(served.address).expect("connected");
    endless.write_all(b"GET /healthz HTTP/1.1\r\nx: ").expect("sent");
    endless.write_all(&vec![b'x'; 128 * 1024]).expect("sent");
    let answer = rest_of(&mut endless);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    served.stop();
}

#[test]
fn the_end_does_not_wait_for_connections_that_wait_for_nothing() {
    let data = tempfile::tempdir().expect("a directory");
    let served = Served::at(data.path(), &[]);
    let mut held = Vec::new();
    for number in 0..50 {
        let mut connection = TcpStream::connect(served.address).expect("connected");
        match number % 3 {
            0 => {}
            1 => connection.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").expect("sent"),
            _ => {
                connection.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").expect("sent");
                assert!(connection.read(&mut [0; 4096]).expect("an answer") > 0);
            }
        }
        held.push(connection);
    }
    let began = std::time::Instant::now();
    served.stop();
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[test]
fn a_head_that_is_being_sent_at_the_end_is_waited_for_and_not_for_long() {
    let data = tempfile::tempdir().expect("a directory");
    let served = Served::at(data.path(), &[]);
    let mut slow = TcpStream::connect(served.address).expect("connected");
    slow.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n").expect("half a head");
    std::thread::sleep(Duration::from_millis(100));
    let began = std::time::Instant::now();
    served.stop();
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}

/// The head of a request of a page of `origin`, and what is answered.
fn asked_by_page(served: &Served, method: &str, path: &str, origin: &str) -> String {
    let mut connection = TcpStream::connect(served.address).expect("connected");
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {}\r\norigin: {origin}\r\naccess-control-request-method: POST\r\n\
         access-control-request-headers: authorization,content-type,idempotency-key\r\nconnection: close\r\n\r\n",
        served.address
    );
    connection.write_all(request.as_bytes()).expect("sent");
    rest_of(&mut connection).to_lowercase()
}

#[test]
fn pages_of_listed_origins_and_of_no_others_may_use_the_api() {
    let data = tempfile::tempdir().expect("a directory");
    let served = Served::at(data.path(), &["--cors-origin", "https://app.example", "--cors-origin", "http://localhost:3000"]);
    for origin in ["https://app.example", "http://localhost:3000"] {
        for path in ["/v1/entries", "/graphql"] {
            let preflight = asked_by_page(&served, "OPTIONS", path, origin);
            assert!(preflight.starts_with("http/1.1 200"), "{preflight}");
            assert!(preflight.contains(&format!("access-control-allow-origin: {origin}\r\n")), "{preflight}");
            for header in
                ["authorization", "content-type", "idempotency-key", "if-match", "cauri-min-position", "cauri-on-behalf-of", "cauri-import"]
            {
                let allowed = preflight.lines().find(|line| line.starts_with("access-control-allow-headers:"));
                assert!(allowed.is_some_and(|line| line.contains(header)), "{header}: {preflight}");
            }
            let answer = asked_by_page(&served, "GET", path, origin);
            assert!(answer.contains(&format!("access-control-allow-origin: {origin}\r\n")), "an error is shown as well: {answer}");
            for header in
                ["etag", "location", "retry-after", "idempotency-key", "idempotency-replayed", "cauri-position", "cauri-as-of-position"]
            {
                let exposed = answer.lines().find(|line| line.starts_with("access-control-expose-headers:"));
                assert!(exposed.is_some_and(|line| line.contains(header)), "{header}: {answer}");
            }
        }
        let elsewhere = asked_by_page(&served, "GET", "/metrics", origin);
        assert!(elsewhere.starts_with("http/1.1 200") && !elsewhere.contains("access-control-allow-origin"), "{elsewhere}");
    }
    for foreign in ["https://evil.example", "https://app.example.evil.example", "http://app.example", "null"] {
        for method in ["OPTIONS", "GET"] {
            let answer = asked_by_page(&served, method, "/v1/head", foreign);
            assert!(!answer.contains("access-control-allow-origin"), "{foreign}: {answer}");
        }
    }
    served.stop();
}

#[test]
fn a_page_can_read_that_there_is_no_place_for_it() {
    let data = tempfile::tempdir().expect("a directory");
    let served = Served::at(data.path(), &["--max-connections", "1", "--cors-origin", "https://app.example"]);
    let token = issue_for(data.path());
    let mut busy = TcpStream::connect(served.address).expect("connected");
    let request = format!(
        "POST /v1/entries HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
         content-length: 2\r\nconnection: close\r\n\r\n{{"
    );
    busy.write_all(request.as_bytes()).expect("half a request");
    std::thread::sleep(Duration::from_millis(200));
    let preflight = asked_by_page(&served, "OPTIONS", "/v1/entries", "https://app.example");
    assert!(preflight.starts_with("http/1.1 200") && preflight.contains("connection: close"), "{preflight}");
    for (origin, may_read) in [("https://app.example", true), ("https://evil.example", false)] {
        let answer = asked_by_page(&served, "GET", "/v1/head", origin);
        assert!(answer.starts_with("http/1.1 503") && answer.contains("\"overloaded\""), "{answer}");
        assert_eq!(answer.contains(&format!("access-control-allow-origin: {origin}\r\n")), may_read, "{answer}");
    }
    assert!(is_healthy(&served));
    drop(busy);
    served.stop();
}

#[test]
fn without_the_option_no_other_origin_may_use_the_api() {
    let data = tempfile::tempdir().expect("a directory");
    let served = Served::at(data.path(), &[]);
    for method in ["OPTIONS", "GET"] {
        let answer = asked_by_page(&served, method, "/v1/head", "https://app.example");
        assert!(!answer.contains("access-control-"), "{answer}");
    }
    served.stop();
}
