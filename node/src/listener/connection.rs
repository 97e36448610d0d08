//! One connection: what it is doing, what it is asked to do, its socket, and the bodies of its answers.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio_io_timeout::TimeoutStream;

use super::table::{Peer, Place};

/// What a connection is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It has not sent the head of its first request.
    New,
    /// It has sent nothing since its last answer. The client may still be taking that answer.
    Idle,
    /// It has sent part of a head after an answer, or of a body after an answer that did not need it.
    Head,
    /// A request is being answered.
    Busy,
}

/// What a connection is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Finish what is being answered, then close.
    Finish,
    /// Close: at once where no whole request has come, behind the answer where one has come since the order was given, and in
    /// a moment where the client has not taken all of the last answer.
    Close,
}

/// What the table knows of a connection, shared with its task.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) peer: Peer,
    /// It has one of the places in reserve, where only health is answered.
    pub(super) in_reserve: bool,
    began: Instant,
    /// Milliseconds since `began`, and the phase in the two lowest bits.
    state: AtomicU64,
    /// 0 for none, else the order.
    order: AtomicU8,
    told: Notify,
    leaves: AtomicBool,
}

impl Link {
    /// A connection that begins now; `began` is the time that all connections count from.
    pub(super) fn new(peer: Peer, in_reserve: bool, began: Instant) -> Arc<Self> {
        let link = Self {
            peer,
            in_reserve,
            began,
            state: AtomicU64::new(0),
            order: AtomicU8::new(0),
            told: Notify::new(),
            leaves: AtomicBool::new(false),
        };
        link.set(Phase::New);
        Arc::new(link)
    }

    fn set(&self, phase: Phase) {
        let millis = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX >> 2);
        let phase = match phase {
            Phase::New => 0,
            Phase::Idle => 1,
            Phase::Head => 2,
            Phase::Busy => 3,
        };
        self.state.store(millis << 2 | phase, Ordering::Relaxed);
    }

    /// What it is doing, and since when on the clock of all connections.
    pub(super) fn phase(&self) -> (Phase, Duration) {
        let state = self.state.load(Ordering::Relaxed);
        let phase = match state & 3 {
            0 => Phase::New,
            1 => Phase::Idle,
            2 => Phase::Head,
            _ => Phase::Busy,
        };
        (phase, Duration::from_millis(state >> 2))
    }

    fn received(&self) {
        if self.phase().0 == Phase::Idle {
            self.set(Phase::Head);
        }
    }

    /// The client has taken something. Of the answer before, where the connection counts as idle: its time begins anew.
    fn sent(&self) {
        if self.phase().0 == Phase::Idle {
            self.set(Phase::Idle);
        }
    }

    /// Asks it to finish or to close.
    pub(super) fn tell(&self, order: Order) {
        let order = match order {
            Order::Finish => 1,
            Order::Close => 2,
        };
        self.order.fetch_max(order, Ordering::Relaxed);
        self.told.notify_one();
    }

    /// The order, once there is one.
    pub(super) async fn ordered(&self) -> Order {
        loop {
            self.told.notified().await;
            match self.order.load(Ordering::Relaxed) {
                0 => {}
                1 => return Order::Finish,
                _ => return Order::Close,
            }
        }
    }

    /// Marks it as leaving; `false` where it was marked before.
    pub(super) fn leave(&self) -> bool {
        !self.leaves.swap(true, Ordering::Relaxed)
    }

    /// Whether it was marked as leaving.
    pub(super) fn is_leaving(&self) -> bool {
        self.leaves.load(Ordering::Relaxed)
    }
}

/// The requests of all connections, without those that ask for health.
#[derive(Debug, Default)]
pub struct Traffic {
    begun: AtomicU64,
    under_way: AtomicUsize,
}

impl Traffic {
    /// How many have begun so far.
    pub fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    /// How many are being answered. A WebSocket is not.
    pub fn under_way(&self) -> usize {
        self.under_way.load(Ordering::Relaxed)
    }
}

/// A request that counts as under way.
pub(super) struct UnderWay(Arc<Traffic>);

impl UnderWay {
    pub(super) fn of(traffic: &Arc<Traffic>) -> Self {
        traffic.begun.fetch_add(1, Ordering::Relaxed);
        traffic.under_way.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(traffic))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A request that is being answered, from its head until the connection has all of the answer's body.
pub(super) struct Answering {
    link: Arc<Link>,
    _under_way: Option<UnderWay>,
}

impl Answering {
    pub(super) fn of(link: &Arc<Link>, under_way: Option<UnderWay>) -> Self {
        link.set(Phase::Busy);
        Self { link: Arc::clone(link), _under_way: under_way }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.link.set(Phase::Idle);
    }
}

/// The body of an answer. It is dropped when the connection has taken all of it, not when the client has: the rest is in the
/// connection's buffer, and while that is being sent the connection counts as idle since the last byte that was taken.
pub(super) struct Tracked {
    body: Body,
    _answering: Answering,
}

impl Tracked {
    pub(super) fn new(body: Body, answering: Answering) -> Self {
        Self { body, _answering: answering }
    }
}

impl HttpBody for Tracked {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The socket of a connection. It holds the connection's place: a WebSocket takes the socket over, and the place with it.
pub(super) struct Socket {
    stream: Pin<Box<TimeoutStream<TcpStream>>>,
    link: Arc<Link>,
    _place: Place,
}

impl Socket {
    pub(super) fn new(stream: TcpStream, untaken: Duration, link: Arc<Link>, place: Place) -> Self {
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(untaken));
        Self { stream: Box::pin(stream), link, _place: place }
    }
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(self.stream.as_mut().poll_read(context, buffer))?;
        if buffer.filled().len() > before {
            self.link.received();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(self.stream.as_mut().poll_write(context, bytes))?;
        self.link.sent();
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.as_mut().poll_shutdown(context)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let written = ready!(self.stream.as_mut().poll_write_vectored(context, parts))?;
        self.link.sent();
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
