//! The loop that takes connections: bounded, with a time for each request's head and for a client that takes nothing,
//! ended without cutting answers off.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_io_timeout::TimeoutStream;

/// After a failed accept (no more file descriptors, most often) something must end before the next can work.
const PAUSE: Duration = Duration::from_millis(100);

/// How connections are taken.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Open at one time; further ones wait in the system's queue.
    pub connections: usize,
    /// How long the head of a request may take, how long a connection may be idle between two, and how long a client may
    /// take nothing of what it is sent.
    pub head: Duration,
    /// How long answers may go on after the end was asked for.
    pub ending: Duration,
}

/// Serves until `end` completes, then lets what is being answered finish within its bound.
pub async fn serve(listener: TcpListener, router: Router, bounds: Bounds, end: impl Future<Output = ()>) {
    let mut builder = auto::Builder::new(TokioExecutor::new()).http1_only();
    builder.http1().timer(TokioTimer::new()).header_read_timeout(bounds.head);
    let permits = Arc::new(Semaphore::new(bounds.connections));
    let connections = GracefulShutdown::new();
    tokio::pin!(end);
    loop {
        let accepted = async {
            // Never closed, so there is always a permit in the end.
            let permit = Arc::clone(&permits).acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, stream) = tokio::select! {
            () = &mut end => break,
            (permit, accepted) = accepted => match accepted {
                Ok((stream, _)) => (permit, stream),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            },
        };
        // Answers are one packet: waiting for more to send only makes them late. Without it they still arrive.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection without TCP_NODELAY");
        }
        let service = TowerToHyperService::new(router.clone());
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(bounds.head));
        let connection = builder.serve_connection_with_upgrades(TokioIo::new(Box::pin(stream)), service);
        let connection = connections.watch(connection.into_owned());
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection broke off");
            }
            drop(permit);
        });
    }
    // No new connections from here on: a balancer that tries is told at once.
    drop(listener);
    if tokio::time::timeout(bounds.ending, connections.shutdown()).await.is_err() {
        tracing::warn!(seconds = bounds.ending.as_secs(), "some answers were not finished in time and are cut off");
    }
}
