//! What the headers of a command say: its id, the version it is for, and what it belongs to.

use std::str::FromStr;

use axum::extract::FromRequestParts;
use axum::http::header::IF_MATCH;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName};
use cauri_domain::ids::{Caller, CommandId};
use cauri_domain::text::ShortText;
use cauri_event_schemas::StreamVersion;
use tower_http::request_id::RequestId;
use uuid::Uuid;

use cauri_http::headers::{
    CAURI_CAUSATION_ID, CAURI_CORRELATION_ID, CAURI_IMPORT, CAURI_ON_BEHALF_OF, IDEMPOTENCY_KEY, TRACEPARENT, fresh_uuid,
};
use cauri_http::problem::{Problem, kind};

/// What the headers of a command say.
#[derive(Clone, Debug)]
pub struct CommandHeaders {
    /// `Idempotency-Key`, if there is one.
    pub key: Option<CommandId>,
    /// `Cauri-On-Behalf-Of`, if there is one.
    pub on_behalf_of: Option<ShortText>,
    /// `Cauri-Import`, if there is one.
    pub import: Option<Caller>,
    /// `If-Match`, if there is one.
    pub expected_version: Option<StreamVersion>,
    /// `Cauri-Correlation-Id`, if there is one.
    pub correlation: Option<ShortText>,
    /// `Cauri-Causation-Id`, if there is one.
    pub causation: Option<ShortText>,
    /// `traceparent`, if there is a valid one.
    pub traceparent: Option<ShortText>,
    /// The id of the request.
    pub request_id: Option<RequestId>,
}

impl CommandHeaders {
    /// Puts the request id into a problem.
    pub fn tell(&self, problem: Problem) -> Problem {
        match self.request_id() {
            Some(id) => problem.with_instance(id),
            None => problem,
        }
    }

    /// The id of the request.
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_ref().and_then(|id| id.header_value().to_str().ok())
    }
}

/// An id for a command whose caller gave none.
///
/// From the thread's own generator: the system's would be a call into the kernel for every request.
pub fn fresh_command_id() -> CommandId {
    let id = fresh_uuid();
    id.hyphenated().encode_lower(&mut Uuid::encode_buffer()).parse().expect("a UUID is visible ASCII")
}

impl<S: Send + Sync> FromRequestParts<S> for CommandHeaders {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Self::read(&parts.headers, parts.extensions.get::<RequestId>().cloned()).map_err(|problem| problem.for_request(&parts.extensions))
    }
}

impl CommandHeaders {
    fn read(headers: &HeaderMap, request_id: Option<RequestId>) -> Result<Self, Problem> {
        let key = single(headers, &IDEMPOTENCY_KEY)?.map(|text| parsed(&IDEMPOTENCY_KEY, unquoted(text))).transpose()?;
        let source = |text| Caller::of_import(text).map_err(|error| wrong(&CAURI_IMPORT, &error.to_string()));
        Ok(Self {
            key,
            on_behalf_of: single(headers, &CAURI_ON_BEHALF_OF)?.map(|text| parsed(&CAURI_ON_BEHALF_OF, text)).transpose()?,
            import: single(headers, &CAURI_IMPORT)?.map(source).transpose()?,
            expected_version: single(headers, &IF_MATCH)?.map(version_in).transpose()?,
            correlation: single(headers, &CAURI_CORRELATION_ID)?.map(|text| parsed(&CAURI_CORRELATION_ID, text)).transpose()?,
            causation: single(headers, &CAURI_CAUSATION_ID)?.map(|text| parsed(&CAURI_CAUSATION_ID, text)).transpose()?,
            traceparent: headers.get(TRACEPARENT).and_then(|value| trace_context(value.to_str().ok()?)),
            request_id,
        })
    }
}

/// The one value of a header, if it is there.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Problem> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        // Two would be two commands: something on the way may have acted on the other one.
        return Err(wrong(name, "it is there more than once"));
    }
    std::str::from_utf8(value.as_bytes()).map(Some).map_err(|_| wrong(name, "it is not UTF-8"))
}

fn parsed<T: FromStr<Err: std::fmt::Display>>(name: &HeaderName, text: &str) -> Result<T, Problem> {
    text.parse().map_err(|error: T::Err| wrong(name, &error.to_string()))
}

fn wrong(name: &HeaderName, what: &str) -> Problem {
    Problem::of(&kind::VALIDATION_FAILED, format!("the header {name}: {what}"))
}

/// A structured field's string (RFC 9651 §3.3.3) without its quotes, as the draft of `Idempotency-Key` has it; bare as most send it.
fn unquoted(text: &str) -> &str {
    text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).filter(|inner| !inner.contains(['"', '\\'])).unwrap_or(text)
}

/// The stream version in an `If-Match`.
fn version_in(text: &str) -> Result<StreamVersion, Problem> {
    let digits =
        text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    digits.and_then(|digits| digits.parse().ok()).map(StreamVersion::new).ok_or_else(|| {
        let shown: String = text.chars().take(80).collect();
        wrong(&IF_MATCH, &format!("{shown:?} is not one strong version such as \"3\", the ETag of an earlier answer"))
    })
}

/// The value, if it is a trace context of a version that we can pass on; what is not is ignored, as W3C asks.
fn trace_context(text: &str) -> Option<ShortText> {
    let mut parts = text.split('-');
    let mut part = |length: usize| {
        parts.next().filter(|part| part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)))
    };
    let (version, trace, parent, _flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
    let all_zero = |text: &str| text.bytes().all(|byte| byte == b'0');
    let valid = version != "ff" && !all_zero(trace) && !all_zero(parent) && (version != "00" || text.len() == 55);
    if valid { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn read(pairs: &[(&'static str, &str)]) -> Result<CommandHeaders, Problem> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_str(value).expect("a header value"));
        }
        CommandHeaders::read(&headers, None)
    }

    #[test]
    fn a_key_is_taken_bare_or_quoted_and_is_the_same_key() {
        for text in ["order-17", "\"order-17\""] {
            let headers = read(&[("idempotency-key", text)]).expect("a good key");
            assert_eq!(headers.key.expect("a key").as_str(), "order-17");
        }
    }

    #[test]
    fn a_key_that_is_none_is_refused() {
        let long = "k".repeat(256);
        for text in ["", "two words", "\"\"\u{9}", &long] {
            assert_eq!(read(&[("idempotency-key", text)]).expect_err("a bad key").status, 400, "{text:?}");
        }
        assert!(read(&[("idempotency-key", "a"), ("idempotency-key", "b")]).is_err(), "two keys");
    }

    #[test]
    fn a_source_of_files_has_a_plain_name() {
        let import = read(&[("cauri-import", "wave-sn.2026_11")]).expect("a source").import.expect("kept");
        assert_eq!(import.as_str(), "import/wave-sn.2026_11");
        for text in ["", "-x", "two words", "é", "a/b", &"x".repeat(65)] {
            assert_eq!(read(&[("cauri-import", text)]).expect_err("no source").status, 400, "{text:?}");
        }
    }

    #[test]
    fn if_match_is_one_strong_version() {
        assert_eq!(read(&[("if-match", "\"3\"")]).expect("a version").expected_version, Some(StreamVersion::new(3)));
        for text in ["3", "*", "W/\"3\"", "\"3\", \"4\"", "\"-1\"", "\"\"", "\"99999999999999999999\""] {
            assert_eq!(read(&[("if-match", text)]).expect_err("no version").status, 400, "{text}");
        }
    }

    #[test]
    fn a_trace_context_is_passed_on_or_ignored() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(read(&[("traceparent", good)]).expect("fine").traceparent.expect("kept").as_str(), good);
        for text in [
            "",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            &format!("{good}-x"),
        ] {
            assert_eq!(read(&[("traceparent", text)]).expect("ignored").traceparent, None, "{text}");
        }
    }

    #[test]
    fn a_correlation_id_of_ours_must_be_good() {
        let headers = read(&[("cauri-correlation-id", "commande n° 7")]);
        assert_eq!(headers.expect("a short text").correlation.expect("kept").as_str(), "commande n° 7");
        assert_eq!(read(&[("cauri-causation-id", &"x".repeat(257))]).expect_err("too long").status, 400);
    }
}
