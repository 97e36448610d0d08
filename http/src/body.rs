//! Request bodies: of the right media type, within their limit, and arrived in time.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};

use crate::load::BodyBytes;
use crate::problem::{Problem, kind};

/// Other bodies are read in a moment.
const RETRY: Duration = Duration::from_secs(1);

/// The media type of the body, if it is one of `supported`.
///
/// # Errors
/// 415 when it is another, is missing, or the body is compressed.
pub fn require<'a>(headers: &HeaderMap, supported: &[&'a str]) -> Result<&'a str, Problem> {
    let unsupported = || Problem::unsupported_media_type(&supported.join(" or "));
    if headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return Err(Problem::of(&kind::UNSUPPORTED_MEDIA_TYPE, "the body is compressed (`Content-Encoding`); send it as it is"));
    }
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).ok_or_else(unsupported)?;
    let (media_type, parameters) = given.split_once(';').unwrap_or((given, ""));
    let other_charset = parameters.split(';').any(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        name.trim().eq_ignore_ascii_case("charset") && !value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
    });
    if other_charset {
        return Err(Problem::of(&kind::UNSUPPORTED_MEDIA_TYPE, "JSON is UTF-8, whatever `charset` says"));
    }
    supported.iter().copied().find(|candidate| candidate.eq_ignore_ascii_case(media_type.trim())).ok_or_else(unsupported)
}

/// A body that has arrived, and the memory that it holds for as long as it is kept.
#[derive(Debug)]
pub struct Arrived {
    /// The body.
    pub bytes: Bytes,
    /// What it holds of the memory for bodies.
    pub memory: BodyBytes,
}

/// The whole body, which is accounted for in `memory` as it arrives.
///
/// # Errors
/// 413 as soon as it is known to be longer than `limit`: at once where its length is announced. 408 when it takes longer
/// than `time_out`; 503 when there is no memory left for it; 400 when the connection breaks off.
pub async fn whole(body: Body, headers: &HeaderMap, limit: usize, time_out: Duration, memory: BodyBytes) -> Result<Arrived, Problem> {
    if announced(headers).is_some_and(|length| length > limit as u64) {
        return Err(Problem::payload_too_large(limit as u64));
    }
    match tokio::time::timeout(time_out, collect(body, limit, memory)).await {
        Ok(collected) => collected,
        Err(_) => Err(Problem::of(&kind::REQUEST_TIME_OUT, format!("the body did not arrive within {} seconds", time_out.as_secs()))),
    }
}

/// How long the body is, where the request says so. The server lets no more bytes through.
fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok())
}

async fn collect(mut body: Body, limit: usize, mut memory: BodyBytes) -> Result<Arrived, Problem> {
    let mut whole = Bytes::new();
    let mut parts: Vec<u8> = Vec::new();
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let frame = frame.map_err(|error| Problem::of(&kind::VALIDATION_FAILED, format!("the body broke off: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        if whole.len() + parts.len() + data.len() > limit {
            return Err(Problem::payload_too_large(limit as u64));
        }
        if !memory.grow_to(whole.len() + parts.len() + data.len()) {
            let detail = "the bodies of other requests use the memory that there is for them; nothing was done";
            return Err(Problem::of(&kind::OVERLOADED, detail).with_retry_after(RETRY));
        }
        // Most bodies are one piece, and then nothing is copied.
        if whole.is_empty() && parts.is_empty() {
            whole = data;
        } else {
            if parts.is_empty() {
                // What was announced and has not arrived is an address range, not memory: nothing has touched it.
                parts.reserve(
                    body.size_hint().upper().and_then(|more| usize::try_from(more).ok()).unwrap_or(0).min(limit) + whole.len() + data.len(),
                );
                parts.extend_from_slice(&std::mem::take(&mut whole));
            }
            parts.extend_from_slice(&data);
        }
    }
    Ok(Arrived { bytes: if parts.is_empty() { whole } else { parts.into() }, memory })
}
