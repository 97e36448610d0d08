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
use cauri_command_api::load::turned_away;
use cauri_command_api::problem::{Problem, kind};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tower::Service as _;

use self::connection::{Answering, Order, Socket, Tracked};
pub(crate) use self::table::RESERVE;
use self::table::{Entered, Table};

/// After a failed accept (no more file descriptors, most often) something must end before the next can work.
const PAUSE: Duration = Duration::from_millis(100);
/// How long a connection that is to be closed may go on with an answer that it has begun.
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

/// Serves until `end` completes, then lets what is being answered finish within its bound. Idle connections are closed at
/// once.
pub async fn serve(listener: TcpListener, router: Router, bounds: Bounds, end: impl Future<Output = ()>) {
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
        tokio::spawn(converse(stream, router.clone(), entered, bounds));
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
async fn converse(stream: TcpStream, router: Router, entered: Entered, bounds: Bounds) {
    let Entered { link, place, registered } = entered;
    let in_reserve = link.in_reserve;
    let socket = Socket::new(stream, bounds.untaken, Arc::clone(&link), place);
    let answering = Arc::clone(&link);
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let answering = Answering::of(&answering);
        // A reserved place is for those who look whether this process lives, and to say to the others that it is busy.
        let answered = (!in_reserve || is_health(request.uri().path())).then(|| router.clone().call(request));
        async move {
            let mut response = match answered {
                Some(answered) => answered.await.unwrap_or_else(|never: Infallible| match never {}),
                None => busy(),
            };
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
            order = link.ordered() => match order {
                // Not a whole request has come: nobody waits for an answer.
                Order::Close if link.waits_for_a_head() => break,
                Order::Close => {
                    connection.as_mut().graceful_shutdown();
                    // Whatever it is: the place is needed.
                    let _ = tokio::time::timeout(GRACE, connection.as_mut()).await;
                    break;
                }
                Order::Finish => connection.as_mut().graceful_shutdown(),
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
