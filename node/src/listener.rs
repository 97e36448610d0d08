//! The loop that takes connections: HTTP/1.1 only, bounded in all and for each peer, with a time for silence, for each
//! request's head and for a client that takes nothing, ended without cutting answers off.
//!
//! **Invariant:** a newcomer gets an answer, however many connections others hold. Where there is no place left, the
//! connections that have waited longest for a request are closed; where none waits, the newcomer gets one of a few places
//! in reserve, which answer `/healthz`, `/readyz` and `/metrics` and say 503 to everything else.

mod connection;
mod table;

use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::header::CONNECTION;
use axum::http::{HeaderValue, Response};
use axum::response::IntoResponse as _;
use cauri_http::load::turned_away;
use cauri_http::origin::Origins;
use cauri_http::problem::{Problem, kind};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tower::Service as _;

pub use self::connection::Traffic;
use self::connection::{Answering, Order, Phase, Socket, Tracked, UnderWay};
pub(crate) use self::table::RESERVE;
use self::table::{Entered, Table};

/// After a failed accept (no more file descriptors, most often) something must end before the next can work.
const PAUSE: Duration = Duration::from_millis(100);
/// How long a connection that is to be closed may go on sending an answer that its client is slow to take.
const GRACE: Duration = Duration::from_millis(500);
/// Bytes that the head of a request may have; the longest address that is understood has 64 KiB. It bounds what a connection
/// without a token holds.
const HEAD: usize = 96 * 1024;
/// Unsent bytes that the system keeps for a client, besides what its network has room for.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 128 * 1024;
/// When a client that was turned away may come again.
const RETRY: Duration = Duration::from_secs(1);

/// How connections are taken.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Open at one time, WebSockets included.
    pub connections: usize,
    /// Open at one time from one peer: an IPv4 address, or the /64 network of an IPv6 address.
    pub per_peer: usize,
    /// How long the head of a request may take: of the first one from the connection's beginning, of others from their
    /// first byte.
    pub head: Duration,
    /// How long a connection may be idle between two requests.
    pub idle: Duration,
    /// How long a client may take nothing of what it is sent.
    pub untaken: Duration,
    /// How long answers may go on after the end was asked for.
    pub ending: Duration,
}

/// Where requests go.
#[derive(Clone, Debug)]
pub struct Routes {
    all: Router,
    /// For the places in reserve: everything but health.
    turned_away: Router,
    traffic: Arc<Traffic>,
}

impl Routes {
    /// Requests go to `router`. What is turned away before it gets there can be read by pages of the same `origins`.
    #[must_use]
    pub fn new(router: Router, origins: &Origins) -> Self {
        let turned_away = Router::new().fallback(|| async { busy() });
        let turned_away = match origins.cors() {
            Some(cors) => turned_away.layer(cors),
            None => turned_away,
        };
        Self { all: router, turned_away, traffic: Arc::default() }
    }

    /// What is under way.
    #[must_use]
    pub fn traffic(&self) -> Arc<Traffic> {
        Arc::clone(&self.traffic)
    }
}

/// Serves until `end` completes, then lets what is being answered finish within its bound. Idle connections are closed at
/// once.
pub async fn serve(listener: TcpListener, routes: Routes, bounds: Bounds, end: impl Future<Output = ()>) {
    let table = Table::new(bounds);
    let sweeping = tokio::spawn(table::sweep(Arc::clone(&table)));
    let mut end = pin!(end);
    loop {
        let accepted = tokio::select! {
            () = &mut end => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok((stream, address)) => (stream, address.ip()),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                // What is open may be what is missing: somebody who waits for nothing makes room.
                table.make_room();
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let entered = tokio::select! {
            () = &mut end => break,
            entered = table.enter(peer) => entered,
        };
        prepare(&stream, peer);
        tokio::spawn(converse(stream, routes.clone(), entered, bounds));
    }
    // No new connections from here on: a balancer that tries is refused at once.
    drop(listener);
    table.end();
    if tokio::time::timeout(bounds.ending, table.all_closed()).await.is_err() {
        tracing::warn!(seconds = bounds.ending.as_secs(), "some answers were not finished in time and are cut off");
    }
    sweeping.abort();
}

/// Options of the socket. Without them it works all the same.
fn prepare(stream: &TcpStream, peer: IpAddr) {
    // Answers are one packet: waiting for more to send only makes them late.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, %peer, "a connection without TCP_NODELAY");
    }
    #[cfg(target_os = "linux")]
    if let Err(error) = socket2::SockRef::from(stream).set_tcp_notsent_lowat(UNSENT) {
        tracing::debug!(%error, %peer, "a connection without TCP_NOTSENT_LOWAT");
    }
}

/// Serves one connection to its end.
async fn converse(stream: TcpStream, routes: Routes, entered: Entered, bounds: Bounds) {
    let Routes { all, turned_away, traffic } = routes;
    let Entered { link, place, registered } = entered;
    let in_reserve = link.in_reserve;
    let socket = Socket::new(stream, bounds.untaken, Arc::clone(&link), place);
    let answering = Arc::clone(&link);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let is_health = is_health(request.uri().path());
        let answering = Answering::of(&answering, (!is_health).then(|| UnderWay::of(&traffic)));
        // A reserved place is for those who look whether this process lives, and to say to the others that it is busy.
        let answered = if in_reserve && !is_health { turned_away.clone().call(request) } else { all.clone().call(request) };
        async move {
            let mut response = answered.await.unwrap_or_else(|never: Infallible| match never {});
            if in_reserve {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response.map(|body| Tracked::new(body, answering)))
        }
    });
    // The builder that also takes HTTP/2 waits for its first bytes without a timer and serves HTTP/2 whatever it was told;
    // this one takes HTTP/1.1 alone. The times are the table's, which knows whether a connection waits for a request.
    let mut builder = http1::Builder::new();
    builder.header_read_timeout(None::<Duration>).max_header_size(HEAD);
    let connection = builder.serve_connection(TokioIo::new(socket), service);
    let mut connection = pin!(connection.with_upgrades());
    loop {
        tokio::select! {
            biased;
            outcome = connection.as_mut() => {
                if let Err(error) = outcome {
                    tracing::debug!(%error, "a connection broke off");
                }
                break;
            }
            order = link.ordered() => match (order, link.phase().0) {
                // Not a whole request has come: nobody waits for an answer.
                (Order::Close, Phase::New | Phase::Head) => break,
                (Order::Close, Phase::Idle) => {
                    connection.as_mut().graceful_shutdown();
                    // The client may be taking its last answer: the place is needed.
                    let _ = tokio::time::timeout(GRACE, connection.as_mut()).await;
                    break;
                }
                // A request has come since the connection was chosen. It has been passed on: its answer is not cut off.
                (Order::Close, Phase::Busy) | (Order::Finish, _) => connection.as_mut().graceful_shutdown(),
            },
        }
    }
    drop(registered);
}

/// What a supervisor, a balancer and Prometheus ask.
fn is_health(path: &str) -> bool {
    matches!(path, "/healthz" | "/readyz" | "/metrics")
}

fn busy() -> Response<Body> {
    turned_away("connections");
    let detail = "there are as many connections as there may be, and none is idle; nothing was done";
    Problem::of(&kind::OVERLOADED, detail).with_retry_after(RETRY).into_response()
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::time::Instant;

    use axum::routing::get;

    use super::*;

    const LARGE: usize = 24 << 20;

    fn bounds(idle: Duration) -> Bounds {
        let time = Duration::from_secs(60);
        Bounds { connections: 4, per_peer: 4, head: time, idle, untaken: time, ending: time }
    }

    fn routes() -> Routes {
        let slow = || async {
            tokio::time::sleep(3 * GRACE).await;
            "slow and whole"
        };
        let router = Router::new().route("/large", get(|| async { vec![b'x'; LARGE] })).route("/slow", get(slow));
        Routes::new(router, &Origins::default())
    }

    /// A socket on which `request` was sent, and the other end of it.
    async fn connected(request: &'static str) -> (std::net::TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let mut client = std::net::TcpStream::connect(listener.local_addr().expect("an address")).expect("connected");
        client.write_all(request.as_bytes()).expect("sent");
        client.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
        (client, listener.accept().await.expect("accepted").0)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_answer_that_is_taken_slowly_is_not_cut_off_as_idle() {
        let idle = Duration::from_millis(700);
        let (mut client, stream) = connected("GET /large HTTP/1.1\r\nhost: x\r\n\r\n").await;
        let table = Table::new(bounds(idle));
        let sweeping = tokio::spawn(table::sweep(Arc::clone(&table)));
        let entered = table.enter(IpAddr::from([127, 0, 0, 1])).await;
        let serving = tokio::spawn(converse(stream, routes(), entered, bounds(idle)));
        let taking = tokio::task::spawn_blocking(move || {
            let (began, mut taken, mut bytes) = (Instant::now(), 0, vec![0; 1 << 19]);
            // Twelve megabytes a second: more than the system keeps remains for longer than a connection may be idle.
            while taken < LARGE {
                match client.read(&mut bytes).expect("more of the answer") {
                    0 => break,
                    count => taken += count,
                }
                std::thread::sleep(Duration::from_millis(40));
            }
            (taken, began.elapsed(), client)
        });
        let (taken, took, client) = taking.await.expect("no panic");
        assert!(taken >= LARGE, "cut off after {taken} bytes and {took:?}");
        assert!(took > 2 * idle, "it was taken too quickly to show anything: {took:?}");
        // The client has all of it and sends nothing: from here on the connection is idle, and not for ever.
        tokio::time::timeout(Duration::from_secs(10), serving).await.expect("it is closed").expect("no panic");
        drop(client);
        sweeping.abort();
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_request_that_comes_after_its_connection_was_chosen_to_be_closed_is_answered() {
        let (mut client, stream) = connected("GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await;
        let bounds = bounds(Duration::from_secs(60));
        let table = Table::new(bounds);
        let entered = table.enter(IpAddr::from([127, 0, 0, 1])).await;
        let link = Arc::clone(&entered.link);
        let serving = tokio::spawn(converse(stream, routes(), entered, bounds));
        while link.phase().0 != Phase::Busy {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        link.tell(Order::Close);
        let answer = tokio::task::spawn_blocking(move || {
            let mut answer = String::new();
            client.read_to_string(&mut answer).map(|_| answer)
        });
        let answer = answer.await.expect("no panic").expect("an answer and then the end");
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("slow and whole"), "{answer:?}");
        serving.await.expect("no panic");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn requests_are_under_way_until_they_are_answered_and_health_is_none() {
        let bounds = bounds(Duration::from_secs(60));
        let (table, routes) = (Table::new(bounds), routes());
        let traffic = routes.traffic();
        for (request, begun) in [("GET /healthz HTTP/1.1", 0), ("GET /slow HTTP/1.1", 1)] {
            let (mut client, stream) = connected("").await;
            let entered = table.enter(IpAddr::from([127, 0, 0, 1])).await;
            let serving = tokio::spawn(converse(stream, routes.clone(), entered, bounds));
            client.write_all(format!("{request}\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes()).expect("sent");
            if begun > 0 {
                let deadline = Instant::now() + Duration::from_secs(10);
                while traffic.under_way() == 0 {
                    assert!(Instant::now() < deadline, "it does not count as under way");
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
            serving.await.expect("no panic");
            assert_eq!((traffic.begun(), traffic.under_way()), (begun, 0), "{request}");
        }
    }
}
