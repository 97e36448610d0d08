//! A request body that is read to its end, within bounds, by nobody in particular when its request was answered early.
//!
//! An early answer (413, 401 …) leaves part of the body unread. Closing the connection then makes the system send a
//! reset, and a client that is still writing loses the answer it should get. So what is left is read and dropped, for
//! as long as a patient server would, and the answer arrives.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};

/// How much is read and dropped at most. Beyond it the client is not worth a connection.
const MOST_BYTES: u64 = 256 * 1024 * 1024;
/// For how long at most.
const MOST_TIME: Duration = Duration::from_secs(10);

/// A body that lingers when it is dropped before its end.
pub struct Lingering(Option<Body>);

impl Lingering {
    /// Lets `body` linger, unless there is nothing to read in it.
    pub fn around(body: Body) -> Body {
        if body.is_end_stream() { body } else { Body::new(Self(Some(body))) }
    }
}

impl HttpBody for Lingering {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(body) = &mut self.0 else { return Poll::Ready(None) };
        let polled = Pin::new(body).poll_frame(context);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.0 = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        let Some(mut body) = self.0.take().filter(|body| !body.is_end_stream()) else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(tokio::time::timeout(MOST_TIME, async move {
            let mut dropped = 0_u64;
            while dropped <= MOST_BYTES {
                match std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
                    Some(Ok(frame)) => dropped += frame.data_ref().map_or(0, |data| data.len() as u64),
                    Some(Err(_)) | None => break,
                }
            }
        }));
    }
}
