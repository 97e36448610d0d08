//! One entry a request over HTTP, durable before it is answered, beside an axum handler that echoes the same JSON.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::Json;
use axum::routing::post;
use cauri_command_api::{ApiState, HttpLimits};
use cauri_engine::EngineConfig;
use cauri_http::auth::issuer::DevIssuer;
use cauri_http::auth::jwks::{Jwks, JwksSource};
use cauri_http::auth::role::Role;
use cauri_http::auth::token::{Trust, Verifier};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

use crate::load::Bench;
use crate::measure::{self, Subject, side_by_side};

const CONNECTIONS: usize = 32;

/// Cauri's routes on a port, and a token for them.
pub struct Served {
    pub address: std::net::SocketAddr,
    pub token: String,
}

impl Served {
    /// Serves the engine of `bench` in `runtime`.
    pub fn start(bench: &Bench, runtime: &tokio::runtime::Runtime) -> Self {
        let issuer = DevIssuer::open_or_create(bench.dir.path()).expect("an issuer");
        let token = issuer.issue("bench", &[Role::Operator], Duration::from_secs(3_600)).expect("a token");
        let keys = Jwks::load(JwksSource::from(issuer.jwks_path())).expect("keys");
        let verifier = Arc::new(Verifier::new(keys, &Trust::default()));
        let state = ApiState::new(bench.engine.clone(), verifier, HttpLimits::default(), Vec::new(), Box::new(|_| Ok(())));
        Self { address: runtime.block_on(serve(cauri_command_api::router(state))), token }
    }
}

/// As a server has it.
pub fn server() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

/// What the callers run in.
pub fn client() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// Entries between random accounts of 10,000.
pub fn bodies(random: &mut fastrand::Rng, count: usize) -> Vec<Bytes> {
    let body = |_| {
        let debit = random.u64(..10_000);
        let (debit, credit) = (crate::load::address(debit), crate::load::address((debit + 1 + random.u64(..9_999)) % 10_000));
        let amount = 1 + random.u64(..100);
        format!(r#"{{"transfers":[{{"debit":"{debit}","credit":"{credit}","amount":{{"amount":"{amount}","currency":"XOF"}}}}]}}"#).into()
    };
    (0..count).map(body).collect()
}

pub fn run() {
    let requests = measure::number("BENCH_REQUESTS", 60_000);
    let bench = Bench::with_accounts(10_000, EngineConfig::default());
    let (server, client) = (server(), client());
    let Served { address: cauri, token } = Served::start(&bench, &server);
    let echo = |Json(body): Json<serde_json::Value>| async move { (axum::http::StatusCode::CREATED, Json(body)) };
    let echo = server.block_on(serve(axum::Router::new().route("/v1/entries", post(echo))));

    let (mut at_cauri, mut at_echo) = (Vec::new(), Vec::new());
    let mut random = fastrand::Rng::with_seed(11);
    let (for_echo, for_cauri) = (bodies(&mut random, requests), bodies(&mut random, requests));
    side_by_side(
        "POST /v1/entries from 32 connections, one entry a request",
        &mut [
            Subject::new("axum echo of the same JSON", "requests/s", || client.block_on(drive(echo, &token, &for_echo, &mut at_echo))),
            Subject::new("Cauri, durable", "requests/s", || client.block_on(drive(cauri, &token, &for_cauri, &mut at_cauri))),
        ],
    );
    let stats = bench.engine.stats();
    println!("\nCommands in a batch: {:.1}", stats.accepted as f64 / stats.batches as f64);
    for (name, mut latencies) in [("echo", at_echo), ("Cauri", at_cauri)] {
        latencies.sort_unstable();
        let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share) as usize];
        println!("{name}: p50 {:?}, p99 {:?}, p99.9 {:?}", at(0.5), at(0.99), at(0.999));
    }
    let paced = client.block_on(pace(cauri, &token, &for_cauri, 1_000));
    println!("Cauri at 1,000 requests/s: p50 {:?}, p99 {:?}", paced.0, paced.1);
}

async fn serve(router: axum::Router) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

async fn connect(address: std::net::SocketAddr) -> http1::SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(address).await.expect("connected");
    stream.set_nodelay(true).expect("no delay");
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("HTTP");
    tokio::spawn(connection);
    sender
}

async fn send(sender: &mut http1::SendRequest<Full<Bytes>>, token: &str, body: Bytes) -> Duration {
    static SENT: AtomicU64 = AtomicU64::new(0);
    let start = Instant::now();
    let request = hyper::Request::post("/v1/entries")
        .header("host", "localhost")
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {token}"))
        .header("idempotency-key", format!("bench-{}", SENT.fetch_add(1, Ordering::Relaxed)))
        .body(Full::new(body))
        .expect("a request");
    let answer = sender.send_request(request).await.expect("an answer");
    let status = answer.status();
    let body = answer.into_body().collect().await.expect("a body").to_bytes();
    assert_eq!(status, 201, "{}", String::from_utf8_lossy(&body));
    start.elapsed()
}

/// Each of 32 connections sends as soon as it was answered; requests per second.
pub async fn drive(address: std::net::SocketAddr, token: &str, bodies: &[Bytes], latencies: &mut Vec<Duration>) -> f64 {
    let mut senders = Vec::new();
    for _ in 0..CONNECTIONS {
        senders.push(connect(address).await);
    }
    let start = Instant::now();
    let share = bodies.len() / CONNECTIONS;
    let callers = senders.into_iter().enumerate().map(|(index, mut sender)| async move {
        let mut latencies = Vec::with_capacity(share);
        for body in &bodies[index * share..(index + 1) * share] {
            latencies.push(send(&mut sender, token, body.clone()).await);
        }
        latencies
    });
    let all = futures::future::join_all(callers).await;
    let took = start.elapsed();
    latencies.extend(all.into_iter().flatten());
    measure::rate(share * CONNECTIONS, took)
}

/// Requests at a fixed rate, measured from when each was due; (p50, p99).
async fn pace(address: std::net::SocketAddr, token: &str, bodies: &[Bytes], a_second: u32) -> (Duration, Duration) {
    let senders = futures::future::join_all((0..CONNECTIONS).map(|_| connect(address))).await;
    let start = tokio::time::Instant::now();
    let callers = senders.into_iter().enumerate().map(|(index, mut sender)| async move {
        let mut latencies = Vec::new();
        for round in 0..200_usize {
            let due = start + Duration::from_secs(1) / a_second * (round * CONNECTIONS + index) as u32;
            tokio::time::sleep_until(due).await;
            send(&mut sender, token, bodies[(round * CONNECTIONS + index) % bodies.len()].clone()).await;
            latencies.push(due.elapsed());
        }
        latencies
    });
    let mut latencies: Vec<Duration> = futures::future::join_all(callers).await.into_iter().flatten().collect();
    latencies.sort_unstable();
    (latencies[latencies.len() / 2], latencies[latencies.len() * 99 / 100])
}
