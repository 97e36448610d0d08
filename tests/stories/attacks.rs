//! What somebody may try who wants the server to answer nobody else, and what others see meanwhile.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use cauri_tests::server::{Server, path, run};
use serde_json::{Value, json};

/// As many files as the system lets this process open, and at least as many as these stories need.
fn open_many_files() {
    let files = rlimit::increase_nofile_limit(20_000).expect("a limit");
    assert!(files >= 4_096, "these stories need 4096 open files, the system allows {files}");
}

fn connect(server: &Server) -> TcpStream {
    let connection = TcpStream::connect(server.authority()).expect("connected");
    connection.set_read_timeout(Some(Duration::from_secs(5))).expect("set");
    connection
}

/// What a newcomer sees: status, body, and how long it took.
fn asked(server: &Server, path: &str, token: Option<&str>) -> (u16, String, Duration) {
    let began = Instant::now();
    let mut connection = connect(server);
    let authorization = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
    let request = format!("GET {path} HTTP/1.1\r\nhost: {}\r\n{authorization}connection: close\r\n\r\n", server.authority());
    connection.write_all(request.as_bytes()).expect("sent");
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap_or_else(|error| panic!("no answer to {path}: {error}"));
    let status = answer.get(9..12).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{answer:?}"));
    (status, answer, began.elapsed())
}

fn assert_newcomers_are_served(server: &Server) {
    for _ in 0..4 {
        let (status, answer, took) = asked(server, "/healthz", None);
        assert_eq!(status, 200, "{answer}");
        assert!(took < Duration::from_secs(1), "a newcomer waited {took:?}");
    }
    let (status, answer, took) = asked(server, "/v1/head", Some(server.token()));
    assert_eq!(status, 200, "{answer}");
    assert!(took < Duration::from_secs(1), "a request waited {took:?}");
}

#[test]
fn connections_that_say_nothing_or_half_a_head_shut_nobody_out() {
    open_many_files();
    let data = tempfile::tempdir().expect("a directory");
    let server = Server::start_with(data.path(), &["--max-connections", "500", "--max-connections-per-peer", "500"], &[]);
    let mut held = Vec::new();
    for beginning in ["", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "GET /healthz HTTP/1.1\r\nhost:", "PRI * HTTP/2.0\r\n"] {
        for _ in 0..700 {
            let mut connection = connect(&server);
            // It may have been closed already.
            let _ = connection.write_all(beginning.as_bytes());
            held.push(connection);
        }
        assert_newcomers_are_served(&server);
    }
    let began = Instant::now();
    assert!(server.terminate().success());
    assert!(began.elapsed() < Duration::from_secs(6), "the end waited {:?}", began.elapsed());
}

/// Begins a request with a body of which one byte comes.
fn begin_body(server: &Server, path: &str, token: &str) -> TcpStream {
    let mut connection = connect(server);
    let request = format!(
        "POST {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\ncontent-length: 5000\r\n\r\n{{",
        server.authority()
    );
    connection.write_all(request.as_bytes()).expect("sent");
    connection
}

#[test]
fn a_reader_with_half_sent_bodies_stops_no_writer() {
    open_many_files();
    let data = tempfile::tempdir().expect("a directory");
    let bounds = ["--max-requests", "20", "--max-queries", "20", "--max-requests-per-subject", "50", "--max-bulk-requests", "2"];
    let server = Server::start_with(data.path(), &bounds, &[]);
    server.open("equity:capital", "equity", json!({}));
    server.open("customers:1:wallet", "liability", json!({}));
    let reader = server.token_of("curious", "reader");
    let writer = server.token_of("clumsy", "operator");
    let mut held: Vec<TcpStream> = (0..200).map(|_| begin_body(&server, "/graphql", &reader)).collect();
    held.extend((0..200).map(|number| begin_body(&server, if number % 2 == 0 { "/v1/bulk" } else { "/v1/entries" }, &writer)));
    std::thread::sleep(Duration::from_millis(300));

    let transfer = json!({ "debit": "equity:capital", "credit": "customers:1:wallet", "amount": { "amount": "10", "currency": "XOF" } });
    for number in 0..20 {
        let began = Instant::now();
        let answer = server.post("/v1/entries", Some(&format!("entry-{number}")), &json!({ "transfers": [transfer] }));
        assert_eq!(answer.status, 201, "{:?}", answer.body);
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    }
    let bulk = server.post("/v1/bulk", Some("bulk"), &json!([{ "op": "post_entry", "transfers": [transfer] }]));
    assert_eq!(bulk.status, 200, "{:?}", bulk.body);
    let position = bulk.body["position"].as_str().expect("a position").to_owned();
    assert_eq!(server.balance("customers:1:wallet", &position), (210, 210));

    // Those two subjects have as many as they may have; they are told so, and when to come again.
    for (token, path) in [(&reader, "/v1/head"), (&writer, "/v1/head")] {
        let (status, answer, _) = asked(&server, path, Some(token));
        assert_eq!(status, 429, "{answer}");
        assert!(answer.contains("retry-after: 1") && answer.contains("too_many_requests"), "{answer}");
    }
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(asked(&server, path, None).0, 200);
    }
    drop(held);
    let deadline = Instant::now() + Duration::from_secs(5);
    while asked(&server, "/v1/head", Some(&reader)).0 != 200 {
        assert!(Instant::now() < deadline, "places of connections that are gone are not given back");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A WebSocket connection, as far as these stories need one.
struct Socket(TcpStream);

impl Socket {
    /// The status of the answer to an upgrade, and the socket where it is 101.
    fn open(server: &Server, origin: Option<&str>) -> (u16, Self) {
        let mut connection = connect(server);
        let origin = origin.map(|origin| format!("origin: {origin}\r\n")).unwrap_or_default();
        let request = format!(
            "GET /graphql/ws HTTP/1.1\r\nhost: {}\r\n{origin}upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-protocol: graphql-transport-ws\r\n\r\n",
            server.authority()
        );
        connection.write_all(request.as_bytes()).expect("sent");
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            connection.read_exact(&mut byte).expect("a head");
            head.push(byte[0]);
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        (head.get(9..12).and_then(|status| status.parse().ok()).expect("a status"), Self(connection))
    }

    /// Sends a text frame. The mask is zero, which a server must accept as any other.
    fn say(&mut self, message: &Value) {
        let text = message.to_string();
        let length = u16::try_from(text.len()).expect("a short message");
        let mut frame = vec![0x81];
        match u8::try_from(length) {
            Ok(short) if short < 126 => frame.push(0x80 | short),
            _ => {
                frame.push(0x80 | 126);
                frame.extend(length.to_be_bytes());
            }
        }
        frame.extend([0; 4]);
        frame.extend(text.as_bytes());
        // The server may have closed the connection: that is one of its answers.
        let _ = self.0.write_all(&frame);
    }
}

/// Bytes of memory that the process has.
fn memory_of(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("the process's status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    line.trim().trim_end_matches("kB").trim().parse::<u64>().expect("a number") * 1_024
}

#[test]
fn subscriptions_that_nobody_reads_cost_little_memory_and_keep_nobody_waiting() {
    open_many_files();
    let data = tempfile::tempdir().expect("a directory");
    let server = Server::start(data.path());
    server.open("equity:capital", "equity", json!({}));
    server.open("customers:1:wallet", "liability", json!({}));
    let transfer = json!({ "debit": "equity:capital", "credit": "customers:1:wallet", "reason": "r".repeat(200), "amount": { "amount": "1", "currency": "XOF" } });
    for number in 0..20 {
        let entries = vec![json!({ "op": "post_entry", "transfers": vec![transfer.clone(); 10] }); 200];
        let answer = server.post("/v1/bulk", Some(&format!("bulk-{number}")), &json!(entries));
        assert_eq!(answer.status, 200, "{:?}", answer.body);
    }
    let token = server.token_of("deaf", "reader");
    let before = memory_of(&server);
    let mut unread = Vec::new();
    let query = "subscription { entries(from: 1) { id transfers { reason x: reason y: reason z: reason debitAddress creditAddress } } }";
    // More than one subject may have, and each with more than is sent to anybody who reads nothing.
    for _ in 0..250 {
        let (status, mut socket) = Socket::open(&server, None);
        assert_eq!(status, 101);
        socket.say(&json!({ "type": "connection_init", "payload": { "Authorization": format!("Bearer {token}") } }));
        for id in 0..8 {
            socket.say(&json!({ "type": "subscribe", "id": id.to_string(), "payload": { "query": query } }));
        }
        unread.push(socket);
    }
    let mut most = before;
    let ends = Instant::now() + Duration::from_secs(4);
    let mut slowest = Duration::ZERO;
    while Instant::now() < ends {
        most = most.max(memory_of(&server));
        let began = Instant::now();
        server.query("{ accounts { nodes { address } } }", None);
        slowest = slowest.max(began.elapsed());
        std::thread::sleep(Duration::from_millis(50));
    }
    // The memory is measured with the allocator's reserves in it; what bounds it are the connections of one subject.
    let (_, metrics, _) = asked(&server, "/metrics", None);
    let open = metrics.lines().find_map(|line| line.strip_prefix("cauri_graphql_connections ")).expect("the metric");
    let open: f64 = open.trim().parse().expect("a number");
    assert!(open > 0.0 && open <= 128.0, "{open} connections of one subject are open");
    let grown = most.saturating_sub(before) / 1_048_576;
    eprintln!("250 connections with 8 subscriptions each: {grown} MiB more, slowest query {slowest:?}");
    // 330 to 380 MiB alone, 570 beside other tests on two busy cores.
    assert!(grown < 900, "the process grew by {grown} MiB");
    assert!(slowest < Duration::from_secs(3), "a query waited {slowest:?}");
}

#[test]
fn a_page_of_another_origin_opens_no_websocket() {
    let data = tempfile::tempdir().expect("a directory");
    let server = Server::start_with(data.path(), &["--cors-origin", "https://app.example"], &[]);
    let own = server.base().to_owned();
    for (origin, expected) in [
        (None, 101),
        (Some(own.as_str()), 101),
        (Some("https://app.example"), 101),
        (Some("https://evil.example"), 403),
        (Some("null"), 403),
    ] {
        assert_eq!(Socket::open(&server, origin).0, expected, "{origin:?}");
    }
}

#[test]
fn keys_are_not_taken_from_where_a_redirect_leads() {
    let redirecting = TcpListener::bind("127.0.0.1:0").expect("a port");
    let elsewhere = TcpListener::bind("127.0.0.1:0").expect("a port");
    let [at, to] = [&redirecting, &elsewhere].map(|listener| listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for mut connection in redirecting.incoming().map_while(Result::ok) {
            let _ = connection.read(&mut [0; 4_096]);
            let answer = format!("HTTP/1.1 302 Found\r\nlocation: http://{to}/jwks.json\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            let _ = connection.write_all(answer.as_bytes());
        }
    });
    let data = tempfile::tempdir().expect("a directory");
    let jwks = format!("http://{at}/jwks.json");
    let refused = run("cauri", &["serve", "--data", path(data.path()), "--listen", "127.0.0.1:0", "--jwks", &jwks]);
    assert!(!refused.status.success());
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(error.contains(&jwks) && error.contains(&to.to_string()) && error.contains("same scheme, host and port"), "{error}");
    elsewhere.set_nonblocking(true).expect("set");
    assert!(elsewhere.accept().is_err(), "nobody was asked where it leads");
}

#[test]
fn readiness_shows_position_and_root_to_callers_with_a_token_only() {
    let data = tempfile::tempdir().expect("a directory");
    let server = Server::start(data.path());
    let (status, anybody, _) = asked(&server, "/readyz", None);
    assert_eq!(status, 200);
    assert!(anybody.ends_with(r#"{"ready":true,"reasons":[]}"#), "{anybody}");
    let (_, detailed, _) = asked(&server, "/readyz", Some(server.token()));
    assert!(detailed.contains("is at position") && detailed.contains("root"), "{detailed}");
}
