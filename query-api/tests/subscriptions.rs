//! Entries as they happen, over a real WebSocket.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use cauri_event_schemas::{Position, StreamVersion};
use cauri_event_store::memory::MemoryStore;
use cauri_event_store::{
    Appended, Batch, EventStore, Hash, Head, HeadWatch, Lookup, OwnedRecord, Sharing, Snapshot, StoreError, StoredBatch, Tree, Turn,
};
use cauri_http::auth::role::Role;
use cauri_query_api::Limits;
use futures::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::http::token_with_roles;
use crate::support::{Api, Ledger, token};

struct Client(WebSocketStream<MaybeTlsStream<TcpStream>>);

/// What a client sees next.
#[derive(Debug, PartialEq)]
enum Seen {
    Message(Value),
    Closed(u16),
}

impl Client {
    async fn connect(address: std::net::SocketAddr, authorization: Option<&str>) -> Self {
        let mut request = format!("ws://{address}/graphql/ws").into_client_request().expect("a request");
        request.headers_mut().insert("sec-websocket-protocol", "graphql-transport-ws".parse().expect("a header"));
        if let Some(authorization) = authorization {
            request.headers_mut().insert("authorization", authorization.parse().expect("a header"));
        }
        let (socket, response) = connect_async(request).await.expect("a connection");
        assert_eq!(response.headers()["sec-websocket-protocol"], "graphql-transport-ws");
        Self(socket)
    }

    /// Connected and introduced.
    async fn ready(address: std::net::SocketAddr) -> Self {
        let mut client = Self::connect(address, None).await;
        client.say(json!({ "type": "connection_init", "payload": { "Authorization": format!("Bearer {}", token(Role::Reader)) } })).await;
        assert_eq!(client.next().await, Seen::Message(json!({ "type": "connection_ack" })));
        client
    }

    async fn say(&mut self, message: Value) {
        self.say_text(&message.to_string()).await;
    }

    async fn say_text(&mut self, message: &str) {
        self.0.send(Message::Text(message.into())).await.expect("sent");
    }

    /// The code and the reason that the connection is closed with.
    async fn farewell(&mut self) -> (u16, String) {
        match timeout(Duration::from_secs(20), self.0.next()).await.expect("a message in time") {
            Some(Ok(Message::Close(Some(frame)))) => (frame.code.into(), frame.reason.to_string()),
            other => panic!("not a farewell: {other:?}"),
        }
    }

    async fn subscribe(&mut self, id: &str, query: &str) {
        self.say(json!({ "type": "subscribe", "id": id, "payload": { "query": query } })).await;
    }

    async fn next(&mut self) -> Seen {
        loop {
            let message = timeout(Duration::from_secs(20), self.0.next()).await.expect("a message in time");
            match message {
                Some(Ok(Message::Text(text))) => return Seen::Message(serde_json::from_str(&text).expect("JSON")),
                Some(Ok(Message::Close(frame))) => return Seen::Closed(frame.map_or(1005, |frame| frame.code.into())),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => panic!("unexpected: {other:?}"),
            }
        }
    }

    /// The next entry of a subscription.
    async fn entry(&mut self, id: &str) -> Value {
        match self.next().await {
            Seen::Message(message) if message["type"] == "next" && message["id"] == id => message["payload"]["data"]["entries"].clone(),
            other => panic!("not an entry: {other:?}"),
        }
    }
}

fn ledger() -> Ledger {
    let ledger = Ledger::start();
    for address in ["world", "a:b", "a:c"] {
        ledger.open(address, "liability");
    }
    ledger
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_arrive_once_each_in_order_while_others_are_written() {
    let ledger = Arc::new(ledger());
    let mut expected: Vec<String> =
        (0..20).map(|_| ledger.post("world", "a:b", 1).begun.and_then(|stream| stream.as_entry()).expect("an entry").to_string()).collect();
    let address = ledger.api().serve().await;
    let mut client = Client::ready(address).await;
    client.subscribe("all", "subscription { entries(from: 1) { id position state transfers { debit { address balance { asOfPosition } } creditAddress } asOfPosition } }").await;
    let writer = {
        let ledger = ledger.clone();
        std::thread::spawn(move || {
            (0..200)
                .map(|_| ledger.post("world", "a:c", 1).begun.and_then(|stream| stream.as_entry()).expect("an entry").to_string())
                .collect::<Vec<_>>()
        })
    };
    let mut seen = Vec::new();
    let mut last = 0;
    for _ in 0..220 {
        let entry = client.entry("all").await;
        let position = entry["position"].as_u64().expect("a position");
        assert!(position > last, "{position} after {last}");
        assert!(entry["asOfPosition"].as_u64() >= Some(position), "an entry is shown by what it is as of");
        let nested = &entry["transfers"][0]["debit"]["balance"]["asOfPosition"];
        assert!(nested.as_u64() >= entry["asOfPosition"].as_u64(), "what stands inside is never older: {entry}");
        last = position;
        seen.push(entry["id"].as_str().expect("an id").to_owned());
    }
    expected.extend(writer.join().expect("the writer ends"));
    assert_eq!(seen, expected);

    // A connection that broke goes on behind the last entry that arrived.
    client.0.close(None).await.expect("closed");
    let mut again = Client::ready(address).await;
    again.subscribe("again", &format!("subscription {{ entries(from: {}) {{ id }} }}", last - 1)).await;
    assert_eq!(again.entry("again").await["id"], json!(expected[expected.len() - 2]));
    assert_eq!(again.entry("again").await["id"], json!(expected[expected.len() - 1]));
    let next = ledger.post("world", "a:b", 1);
    assert_eq!(again.entry("again").await["id"], json!(next.begun.and_then(|stream| stream.as_entry()).expect("an entry").to_string()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_beginning_only_what_is_new_arrives_and_only_of_the_account() {
    let ledger = ledger();
    ledger.post("world", "a:b", 1);
    ledger.shown().await;
    let address = ledger.api().serve().await;
    let mut client = Client::ready(address).await;
    client.subscribe("b", "subscription { entries(account: \"a:b\") { transfers { amount { amount } } } }").await;
    // Another operation on the same connection: when it is answered, the first has begun.
    client.subscribe("q", "{ head { position } }").await;
    assert_eq!(
        client.next().await,
        Seen::Message(json!({ "type": "next", "id": "q", "payload": { "data": { "head": { "position": 4 } } } }))
    );
    assert_eq!(client.next().await, Seen::Message(json!({ "type": "complete", "id": "q" })));
    tokio::time::sleep(Duration::from_millis(200)).await;
    ledger.post("world", "a:c", 2);
    ledger.post("a:b", "world", 3);
    ledger.post_with("world", "a:b", 4, json!({ "hold": {} }));
    for amount in ["3", "4"] {
        assert_eq!(client.entry("b").await, json!({ "transfers": [{ "amount": { "amount": amount } }] }));
    }
    client.say(json!({ "type": "complete", "id": "b" })).await;
    ledger.post("world", "a:b", 5);
    client.say(json!({ "type": "ping" })).await;
    assert_eq!(client.next().await, Seen::Message(json!({ "type": "pong" })));
}

#[tokio::test]
async fn whoever_has_no_good_token_is_shown_the_door() {
    let ledger = ledger();
    let address = ledger.api().serve().await;
    for (payload, code) in [
        (json!({ "type": "connection_init" }), 4401),
        (json!({ "type": "connection_init", "payload": { "Authorization": "Bearer nonsense" } }), 4401),
        (json!({ "type": "connection_init", "payload": { "Authorization": format!("Bearer {}", token_with_roles(&["visitor"])) } }), 4403),
        (json!({ "type": "subscribe", "id": "1", "payload": { "query": "{ __typename }" } }), 4401),
        (json!({ "type": "hello" }), 4400),
    ] {
        let mut client = Client::connect(address, None).await;
        client.say(payload.clone()).await;
        assert_eq!(client.next().await, Seen::Closed(code), "{payload}");
    }
    let mut by_header = Client::connect(address, Some(&format!("Bearer {}", token(Role::Auditor)))).await;
    by_header.say(json!({ "type": "connection_init" })).await;
    assert_eq!(by_header.next().await, Seen::Message(json!({ "type": "connection_ack" })));
}

#[tokio::test]
async fn a_message_with_a_key_twice_is_refused_by_name() {
    let ledger = ledger();
    let address = ledger.api().serve().await;
    let good = format!("Bearer {}", token(Role::Reader));
    let mut client = Client::connect(address, None).await;
    let init = format!(r#"{{"type":"connection_init","payload":{{"Authorization":"Bearer x","Authorization":"{good}"}}}}"#);
    client.say_text(&init).await;
    let said = r#"Invalid message received: /payload/Authorization duplicate key "Authorization": an object has each key once"#;
    assert_eq!(client.farewell().await, (4400, said.to_owned()));
    for (message, pointer) in [
        (r#"{"type":"ping","type":"pong"}"#, ""),
        (r#"{"type":"ping","other":1,"other":2}"#, "/other"),
        (r#"{"type":"subscribe","id":"1","id":"2","payload":{"query":"{ a }"}}"#, "/id"),
        (r#"{"type":"subscribe","id":"1","payload":{"query":"{ a }","query":"{ b }"}}"#, "/payload/query"),
        (r#"{"type":"subscribe","id":"1","payload":{"query":"{ a }","variables":{"v":1,"v":2}}}"#, "/payload/variables/v"),
        (r#"{"id":"1","payload":{"query":"{ a }","extensions":{"e":[{"x":1,"x":2}]}},"type":"subscribe"}"#, "/payload/extensions/e/0/x"),
    ] {
        let mut client = Client::ready(address).await;
        client.say_text(message).await;
        let (code, said) = client.farewell().await;
        assert_eq!(code, 4400, "{message}");
        assert!(said.starts_with(&format!("Invalid message received: {pointer}")), "{message}: {said}");
        assert!(said.contains("duplicate "), "{message}: {said}");
    }
}

#[tokio::test]
async fn the_reason_of_a_farewell_fits_into_its_frame() {
    let ledger = ledger();
    let mut client = Client::ready(ledger.api().serve().await).await;
    let key = "é".repeat(200);
    client.say_text(&format!(r#"{{"type":"ping","{key}":1,"{key}":1}}"#)).await;
    let (code, said) = client.farewell().await;
    assert_eq!(code, 4400);
    assert!(said.len() <= 123 && said.starts_with("Invalid message received: /éé"), "{said}");
}

#[tokio::test]
async fn the_protocol_is_kept() {
    let ledger = ledger();
    let impatient = ledger.api_with(Limits { introduction: Duration::from_millis(300), ..Limits::default() }).serve().await;
    let mut silent = Client::connect(impatient, None).await;
    assert_eq!(silent.next().await, Seen::Closed(4408), "nobody introduced themselves");

    // Those who do introduce themselves may take their time: a busy machine must not cut them off.
    let address = ledger.api_with(Limits { operations: 2, ..Limits::default() }).serve().await;
    let mut twice = Client::ready(address).await;
    twice.say(json!({ "type": "connection_init" })).await;
    assert_eq!(twice.next().await, Seen::Closed(4429));

    let mut same = Client::ready(address).await;
    same.subscribe("1", "subscription { entries { id } }").await;
    same.subscribe("1", "subscription { entries { id } }").await;
    assert_eq!(same.next().await, Seen::Closed(4409));

    let mut client = Client::ready(address).await;
    for (id, query, code) in [
        ("syntax", "subscription {", "BAD_USER_INPUT"),
        ("field", "subscription { planets { id } }", "BAD_USER_INPUT"),
        ("address", "subscription { entries(account: \"!\") { id } }", "BAD_USER_INPUT"),
        ("token", "{ head(minPosition: \"?\") { position } }", "BAD_USER_INPUT"),
    ] {
        client.subscribe(id, query).await;
        let Seen::Message(message) = client.next().await else { panic!("{id} closed the connection") };
        assert_eq!((&message["type"], &message["id"]), (&json!("error"), &json!(id)));
        assert_eq!(message["payload"][0]["extensions"]["code"], code, "{message}");
    }
    client.subscribe("1", "subscription { entries { id } }").await;
    client.subscribe("2", "subscription { entries { id } }").await;
    client.subscribe("3", "subscription { entries { id } }").await;
    let Seen::Message(message) = client.next().await else { panic!("the connection was closed") };
    assert_eq!(
        (&message["type"], &message["id"], &message["payload"][0]["extensions"]["code"]),
        (&json!("error"), &json!("3"), &json!("TOO_COMPLEX"))
    );
}

#[tokio::test]
async fn only_graphql_transport_ws_is_spoken() {
    let ledger = ledger();
    let api = ledger.api();
    let plain = api.send(axum::http::Request::get("/graphql/ws").body(axum::body::Body::empty()).expect("a request")).await;
    assert_eq!((plain.status.as_u16(), &plain.headers["upgrade"]), (426, &"websocket".parse().expect("a header")));
    let address = api.serve().await;
    let mut request = format!("ws://{address}/graphql/ws").into_client_request().expect("a request");
    request.headers_mut().insert("sec-websocket-protocol", "graphql-ws".parse().expect("a header"));
    assert!(connect_async(request).await.is_err());
}

/// A client that takes nothing: neither it nor what waits for it stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_takes_nothing_is_disconnected() {
    let ledger = ledger();
    // Wide entries, so that what the network holds for the client is soon full.
    let reason = "r".repeat(250);
    let transfer = json!({ "debit": "world", "credit": "a:b", "amount": { "amount": "1", "currency": "XOF" }, "reason": reason });
    for _ in 0..60 {
        ledger.post_with("world", "a:b", 1, json!({ "transfers": vec![transfer.clone(); 500] }));
    }
    ledger.shown().await;
    let limits = Limits { patience: Duration::from_millis(500), connections: 1, ..Limits::default() };
    let address = ledger.api_with(limits).serve().await;
    let mut client = Client::ready(address).await;
    let again = "x: reason y: reason z: reason u: reason v: reason";
    client.subscribe("1", &format!("subscription {{ entries(from: 1) {{ transfers {{ reason {again} }} }} }}")).await;
    // There is one place; it is free again once the client that takes nothing is gone.
    let free = async {
        loop {
            let mut request = format!("ws://{address}/graphql/ws").into_client_request().expect("a request");
            request.headers_mut().insert("sec-websocket-protocol", "graphql-transport-ws".parse().expect("a header"));
            if connect_async(request).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(Duration::from_secs(20), free).await.expect("the slow client is disconnected");
}

#[tokio::test]
async fn a_token_is_looked_at_again_while_the_connection_lasts() {
    let ledger = ledger();
    let limits = Limits { heartbeat: Duration::from_millis(100), ..Limits::default() };
    let api: Api = ledger.api_with(limits);
    let address = api.serve().await;
    let mut client = Client::ready(address).await;
    // It stays as long as the token is good and the client answers pings, which its library does.
    timeout(Duration::from_millis(500), client.next()).await.expect_err("nothing is said");
    client.say(json!({ "type": "ping" })).await;
    assert_eq!(client.next().await, Seen::Message(json!({ "type": "pong" })));
}

/// What a server answers to a page of `origin` that opens a WebSocket.
async fn opened_by(address: std::net::SocketAddr, origin: Option<&str>) -> Result<(), u16> {
    let mut request = format!("ws://{address}/graphql/ws").into_client_request().expect("a request");
    request.headers_mut().insert("sec-websocket-protocol", "graphql-transport-ws".parse().expect("a header"));
    if let Some(origin) = origin {
        request.headers_mut().insert("origin", origin.parse().expect("a header"));
    }
    match connect_async(request).await {
        Ok(_) => Ok(()),
        Err(tokio_tungstenite::tungstenite::Error::Http(answer)) => Err(answer.status().as_u16()),
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_page_of_a_foreign_origin_opens_no_websocket() {
    let ledger = ledger();
    let address = ledger.api().serve().await;
    let own = format!("http://{address}");
    assert_eq!(opened_by(address, None).await, Ok(()), "a program sends no Origin");
    assert_eq!(opened_by(address, Some(&own)).await, Ok(()));
    for foreign in ["https://evil.example", "null", "http://127.0.0.1"] {
        assert_eq!(opened_by(address, Some(foreign)).await, Err(403), "{foreign}");
    }
    let origins = ["https://app.example".parse().expect("an origin")].into_iter().collect();
    let address = ledger.api_for(origins).serve().await;
    assert_eq!(opened_by(address, Some("https://app.example")).await, Ok(()));
    assert_eq!(opened_by(address, Some("https://evil.example")).await, Err(403));
}

#[tokio::test]
async fn places_are_for_clients_whose_tokens_were_seen_and_one_subject_has_so_many() {
    let ledger = ledger();
    let limits = Limits { connections: 3, connections_per_subject: 2, introductions: 4, ..Limits::default() };
    let address = ledger.api_with(limits).serve().await;
    // Three that say nothing take no place.
    let mut silent = Vec::new();
    for _ in 0..3 {
        silent.push(Client::connect(address, None).await);
    }
    let _first = Client::ready(address).await;
    let _second = Client::ready(address).await;
    let mut third = Client::connect(address, None).await;
    third.say(json!({ "type": "connection_init", "payload": { "Authorization": token(Role::Reader) } })).await;
    assert_eq!(third.next().await, Seen::Closed(4429));
    let ben = crate::support::token_of("ben", Role::Reader);
    let mut other = Client::connect(address, Some(&format!("Bearer {ben}"))).await;
    other.say(json!({ "type": "connection_init" })).await;
    assert_eq!(other.next().await, Seen::Message(json!({ "type": "connection_ack" })));
    assert_eq!(opened_by(address, None).await, Err(503), "all places are taken");
}

#[tokio::test]
async fn only_so_many_may_wait_with_their_introduction() {
    let ledger = ledger();
    let limits = Limits { introductions: 2, introduction: Duration::from_millis(500), ..Limits::default() };
    let address = ledger.api_with(limits).serve().await;
    let mut silent = Client::connect(address, None).await;
    let _other = Client::connect(address, None).await;
    assert_eq!(opened_by(address, None).await, Err(503));
    assert_eq!(silent.next().await, Seen::Closed(4408));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(opened_by(address, None).await, Ok(()), "their time is short");
}

#[tokio::test]
async fn an_answer_that_is_too_large_for_the_connection_is_refused_and_the_connection_stays() {
    let ledger = ledger();
    for _ in 0..50 {
        ledger.post("world", "a:b", 1);
    }
    ledger.shown().await;
    let limits = Limits { connection_bytes: 4_096, ..Limits::default() };
    let mut client = Client::ready(ledger.api_with(limits).serve().await).await;
    client.subscribe("large", "{ entries(first: 50) { nodes { id state recordedAt } } }").await;
    let Seen::Message(message) = client.next().await else { panic!("the connection was closed") };
    assert_eq!((&message["type"], &message["payload"][0]["extensions"]["code"]), (&json!("error"), &json!("TOO_COMPLEX")), "{message}");
    client.subscribe("small", "{ head { position } }").await;
    let Seen::Message(message) = client.next().await else { panic!("the connection was closed") };
    assert_eq!((&message["type"], &message["id"]), (&json!("next"), &json!("small")));
}

/// Whoever asks and asks without taking an answer is cut off long before its patience is over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_only_talks_is_cut_off_once_too_much_waits_for_it() {
    let ledger = ledger();
    let limits = Limits { patience: Duration::from_secs(60), connection_bytes: 16 * 1024, ..Limits::default() };
    let address = ledger.api_with(limits).serve().await;
    let mut client = Client::ready(address).await;
    let began = std::time::Instant::now();
    let talking = async {
        // Its answers are never read, so they fill what the network keeps, and then what the server keeps.
        loop {
            let ping = Message::Text(json!({ "type": "ping" }).to_string().into());
            if client.0.feed(ping).await.is_err() || client.0.flush().await.is_err() {
                return;
            }
        }
    };
    timeout(Duration::from_secs(30), talking).await.expect("it is cut off");
    assert!(began.elapsed() < Duration::from_secs(30));
}

/// Subscriptions that nobody reads hold no turn that a query needs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn subscriptions_that_are_not_read_keep_no_query_waiting() {
    let ledger = ledger();
    let transfer = json!({ "debit": "world", "credit": "a:b", "amount": { "amount": "1", "currency": "XOF" }, "reason": "r".repeat(250) });
    for _ in 0..40 {
        ledger.post_with("world", "a:b", 1, json!({ "transfers": vec![transfer.clone(); 200] }));
    }
    ledger.shown().await;
    let limits = Limits { queries: 2, live: 2, ..Limits::default() };
    let address = ledger.api_with(limits).serve().await;
    let mut unread = Vec::new();
    for _ in 0..4 {
        let mut client = Client::ready(address).await;
        for id in 0..8 {
            client.subscribe(&id.to_string(), "subscription { entries(from: 1) { transfers { reason x: reason y: reason } } }").await;
        }
        unread.push(client);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut asking = Client::ready(address).await;
    for id in 0..20 {
        asking.subscribe(&format!("q{id}"), "{ accounts { nodes { address } } }").await;
        let answer = timeout(Duration::from_secs(3), asking.next()).await.expect("an answer in time");
        let Seen::Message(message) = answer else { panic!("the connection was closed") };
        assert_eq!(message["payload"]["data"]["accounts"]["nodes"].as_array().map(Vec::len), Some(3), "{message}");
        asking.next().await;
    }
    // Another subscription gets its turns as well.
    asking.subscribe("s", "subscription { entries(from: 1) { position } }").await;
    assert_eq!(asking.entry("s").await["position"], json!(4));
}

/// A journal that counts how often it is read.
struct Counting {
    inner: Arc<MemoryStore>,
    reads: AtomicUsize,
}

impl EventStore for Counting {
    fn name(&self) -> &str {
        self.inner.name()
    }
    fn sharing(&self) -> Sharing {
        self.inner.sharing()
    }
    fn take_turn(&self) -> Result<Turn<'_>, StoreError> {
        self.inner.take_turn()
    }
    fn tree(&self) -> Result<Tree, StoreError> {
        self.inner.tree()
    }
    fn append(&self, expected: Head, batch: &Batch) -> Result<Appended, StoreError> {
        self.inner.append(expected, batch)
    }
    fn read_batch(&self, position: Position) -> Result<Option<StoredBatch>, StoreError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.inner.read_batch(position)
    }
    fn root_at(&self, position: Position) -> Result<Option<Hash>, StoreError> {
        self.inner.root_at(position)
    }
    fn read_stream(&self, stream: &str, from: StreamVersion) -> Result<Vec<OwnedRecord>, StoreError> {
        self.inner.read_stream(stream, from)
    }
    fn locate(&self, lookups: &[Lookup<'_>]) -> Result<Vec<Option<Position>>, StoreError> {
        self.inner.locate(lookups)
    }
    fn format_1_until(&self) -> Position {
        self.inner.format_1_until()
    }
    fn follow(&self) -> &HeadWatch {
        self.inner.follow()
    }
    fn save_snapshot(&self, snapshot: &Snapshot) -> Result<(), StoreError> {
        self.inner.save_snapshot(snapshot)
    }
    fn latest_snapshot(&self) -> Result<Option<Snapshot>, StoreError> {
        self.inner.latest_snapshot()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_subscriptions_read_the_journal_once() {
    const CONNECTIONS: usize = 10;
    const OPERATIONS: usize = 16;
    const ENTRIES: usize = 20;
    let ledger = ledger();
    ledger.shown().await;
    let journal = Arc::new(Counting { inner: ledger.store.clone(), reads: AtomicUsize::new(0) });
    let api = ledger.api_on(journal.clone());
    let address = api.serve().await;
    let query = format!("subscription {{ entries(from: {}) {{ id position }} }}", ledger.head().next());
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut client = Client::ready(address).await;
        for operation in 0..OPERATIONS {
            client.subscribe(&operation.to_string(), &query).await;
        }
        clients.push(client);
    }
    // Each says that it is there by showing the first entry. Half of them never read again.
    ledger.post("world", "a:b", 1);
    for client in &mut clients {
        for _ in 0..OPERATIONS {
            assert!(matches!(client.next().await, Seen::Message(message) if message["type"] == "next"));
        }
    }
    let before = journal.reads.load(Ordering::Relaxed);
    for _ in 0..ENTRIES {
        ledger.post("world", "a:c", 1);
    }
    let (readers, _idle) = clients.split_at_mut(CONNECTIONS / 2);
    for client in readers {
        let mut last = [0; OPERATIONS];
        for _ in 0..OPERATIONS * ENTRIES {
            let Seen::Message(message) = client.next().await else { panic!("an entry") };
            let operation: usize = message["id"].as_str().expect("an id").parse().expect("a number");
            let position = message["payload"]["data"]["entries"]["position"].as_u64().expect("a position");
            assert!(position > last[operation], "{position} after {} of {operation}", last[operation]);
            last[operation] = position;
        }
        assert!(last.iter().all(|last| *last == ledger.head().get()), "{last:?}");
    }
    let reads = journal.reads.load(Ordering::Relaxed) - before;
    assert!(reads <= 2 * ENTRIES, "{reads} reads of the journal for {ENTRIES} entries to {} subscriptions", CONNECTIONS * OPERATIONS);
}
