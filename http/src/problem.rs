//! What every answer that is not a success looks like (RFC 9457), and the one table of codes it can carry.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::time::Duration;

use crate::headers::IDEMPOTENCY_KEY;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{Extensions, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use cauri_domain::ids::CommandId;
use cauri_domain::time::Timestamp;
use serde::{Deserialize, Serialize};
use tower_http::request_id::RequestId;
use utoipa::openapi::{RefOr, schema::Schema};
use utoipa::{PartialSchema, ToSchema};

/// The media type of a problem.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// One code that an answer can carry. The code never changes its meaning; the texts may be improved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProblemKind {
    /// What a program branches on.
    pub code: &'static str,
    /// The HTTP status it is sent with.
    pub status: u16,
    /// The short text for people; the same in every answer with this code.
    pub title: &'static str,
    /// What it means and what to do about it, for the manual.
    pub meaning: &'static str,
}

// A macro, so that a kind cannot exist without standing in the table.
macro_rules! problems {
    ($($name:ident: $code:literal, $status:literal, $title:literal, $meaning:literal;)*) => {
        /// The kinds by name, for the code that reports them.
        pub mod kind {
            use super::ProblemKind;
            $(
                #[doc = $meaning]
                pub const $name: ProblemKind =
                    ProblemKind { code: $code, status: $status, title: $title, meaning: $meaning };
            )*
        }

        /// Every code there is. The manual's list is generated from this.
        pub const PROBLEMS: &[ProblemKind] = &[$(kind::$name),*];
    };
}

problems! {
    VALIDATION_FAILED: "validation_failed", 400, "The request is not valid",
        "The request could not be understood. `errors` names each place by JSON pointer. Correct it; the same request will never succeed.";
    IDEMPOTENCY_KEY_MISSING: "idempotency_key_missing", 400, "An idempotency key is needed",
        "A command that moves money came without an `Idempotency-Key`, and without an `id` made by the caller that could be the key: sent twice, it would move the money twice. Send it with a key of your own, and with the same key if you have to send it again.";
    TOKEN_MISSING: "token_missing", 401, "A token is needed",
        "The request carries no bearer token. Send one in the `Authorization` header.";
    TOKEN_MALFORMED: "token_malformed", 401, "The token is not valid",
        "What was sent is not a signed JSON Web Token with `sub`, `exp`, `iss`, `aud` and `roles`. `detail` says what is wrong.";
    TOKEN_ALGORITHM_REFUSED: "token_algorithm_refused", 401, "The token is not signed with RS256",
        "Only RS256 is accepted. Have the issuer sign with an RSA key.";
    TOKEN_SIGNATURE_INVALID: "token_signature_invalid", 401, "The signature of the token is wrong",
        "The token was changed after it was signed, or was signed with another key than it names.";
    TOKEN_EXPIRED: "token_expired", 401, "The token has expired",
        "Get a new token and send the request again with the same `Idempotency-Key`.";
    TOKEN_NOT_YET_VALID: "token_not_yet_valid", 401, "The token is not valid yet",
        "`nbf` lies more than 30 seconds ahead. Compare the clocks of the issuer and of this deployment.";
    TOKEN_ISSUER_UNTRUSTED: "token_issuer_untrusted", 401, "The issuer of the token is not trusted",
        "`iss` is not the issuer this deployment is configured to trust.";
    TOKEN_AUDIENCE_MISMATCH: "token_audience_mismatch", 401, "The token is for somebody else",
        "`aud` does not name this deployment. Ask the issuer for a token for its audience.";
    TOKEN_KEY_UNKNOWN: "token_key_unknown", 401, "The key of the token is not known",
        "The issuer does not publish a usable key with this `kid`. A new key is noticed within 30 seconds.";
    ROLE_UNKNOWN: "role_unknown", 403, "The token names no known role",
        "`roles` must hold at least one of `admin`, `operator`, `auditor`, `reader`.";
    ROLE_NOT_SUFFICIENT: "role_not_sufficient", 403, "The roles do not suffice",
        "The token is good, but none of its roles grants what the request needs. `detail` names the permission.";
    OUT_OF_REACH: "out_of_reach", 403, "The token is limited to other accounts",
        "`account_prefixes` or `account_sets` of the token limit it to some accounts, and the request names others or is about all of them. Nothing was done. In commands and histories only prefixes count.";
    NOT_FOUND: "not_found", 404, "There is no such thing",
        "Nothing exists at this address, or not yet at the position that was asked for.";
    METHOD_NOT_ALLOWED: "method_not_allowed", 405, "The method is not allowed here",
        "The address exists, but not for this method. `Allow` lists those it has.";
    REQUEST_TIME_OUT: "request_time_out", 408, "The request did not arrive in time",
        "The body came too slowly. Nothing was done. Send it again with the same `Idempotency-Key`.";
    CLOCK_DIFFERS: "clock_differs", 409, "The clock reads another time",
        "The time that was stated to accept a leap of the clock is more than five minutes from what this server's clock reads; `detail` has both. The leap was not accepted. Find out which is wrong.";
    PRECONDITION_FAILED: "precondition_failed", 412, "The version is not the current one",
        "`If-Match` named a version that somebody else has moved on from. Read again, decide again.";
    PAYLOAD_TOO_LARGE: "payload_too_large", 413, "The request is too large",
        "The body, the number of commands or what they may write is more than the limit in `detail`. Nothing was done. Split it; bulk requests may be split anywhere.";
    UNSUPPORTED_MEDIA_TYPE: "unsupported_media_type", 415, "The media type is not supported",
        "`Content-Type` is not one this address takes. `detail` names those it does.";
    REFUSED: "refused", 422, "The command was refused",
        "The command was understood and the rules say no. `code` holds the refusal's own name instead of `refused`, such as `hold_already_posted`; the manual lists them. The refusal is remembered: the same `Idempotency-Key` gets the same answer. Only `idempotency_key_reused` and `journal_closed` are not: they say something about the request, or leave no room for a record.";
    TOO_MANY_REQUESTS: "too_many_requests", 429, "Too many requests of one subject",
        "As many requests of the token's subject are being answered as one subject may have (`--max-requests-per-subject`). Nothing was done. Retry with the same `Idempotency-Key` after `Retry-After` seconds, with fewer at one time.";
    INTERNAL: "internal", 500, "Something went wrong here",
        "An error that has no better name. The log has it under the request id in `instance`. Nothing says whether the command was done: retry with the same `Idempotency-Key`.";
    JOURNAL_CORRUPT: "journal_corrupt", 500, "The journal contradicts itself",
        "To decide the command something was read that is not what was written; `detail` names the position. The engine has stopped and takes no more commands. Run `cauri-replay verify`, restore from a copy.";
    JOURNAL_DAMAGED: "journal_damaged", 500, "A record is damaged",
        "A record that was read is not what was written; `detail` names the position. Commands and reads that do not need it are answered. Run `cauri-replay verify`, restore from a copy.";
    RULE_FAILED: "rule_failed", 500, "A rule failed over the command",
        "The program has a fault that this command met. Nothing of the command was done, and other commands are decided. The log has what failed, under the key of the command. Sending it again meets the same fault until the program is corrected.";
    JOURNAL_NEWER: "journal_newer", 503, "The journal is ahead of this program",
        "A newer version of Cauri wrote to the journal what this one does not know; `detail` names the position. Nothing is damaged. Upgrade this node.";
    CLOCK_GAP: "clock_gap", 503, "The clock leapt ahead",
        "This server's clock is further ahead than time can have passed. Nothing was done: no new command is decided and no hold expires until the clock is right again, the kernel reports it as synchronised (for up to 31 days), or an admin accepts it with `POST /v1/clock/accept-gap`. Queries and retries of earlier commands are answered. Retry with the same `Idempotency-Key` after `Retry-After`.";
    NOT_DONE: "not_done", 503, "It was not done",
        "Storage failed before anything was written. Nothing was done. Retry with the same `Idempotency-Key`, after `Retry-After` if given.";
    OVERLOADED: "overloaded", 503, "Too many requests are waiting",
        "The request was turned away before anything was done with it. Retry with the same `Idempotency-Key` after `Retry-After` seconds.";
    OUTCOME_UNKNOWN: "outcome_unknown", 504, "Whether it was done is not known",
        "Storage did not answer in time. The command was done or not. Retry with the same `Idempotency-Key`: you get the first answer if it was, and it is done once if it was not.";
}

/// One thing that is wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FieldProblem {
    /// What is wrong, in stable `snake_case`.
    #[schema(value_type = String, example = "amount_not_positive")]
    pub code: Cow<'static, str>,
    /// Where, as a JSON pointer (RFC 6901) into the request's body.
    #[schema(example = "/lines/0/amount")]
    pub pointer: String,
    /// What is wrong, in words.
    pub detail: String,
}

impl FieldProblem {
    /// Says what is wrong at `pointer`.
    #[must_use]
    pub fn new(code: impl Into<Cow<'static, str>>, pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { code: code.into(), pointer: pointer.into(), detail: detail.into() }
    }
}

/// A problem document (RFC 9457): why a request did not succeed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemDocument {
    /// Identifies the kind of problem: `urn:cauri:problem:` and the code.
    #[serde(rename = "type")]
    #[schema(example = "urn:cauri:problem:validation_failed")]
    pub type_uri: String,
    /// The kind of problem in words.
    #[schema(value_type = String)]
    pub title: Cow<'static, str>,
    /// The HTTP status, for where only the body is passed on.
    #[schema(minimum = 400, maximum = 599)]
    pub status: u16,
    /// What to branch on, in stable `snake_case`: a code of the manual's list, or the name of a refusal.
    #[schema(value_type = String, example = "validation_failed")]
    pub code: Cow<'static, str>,
    /// What happened this time, in words.
    pub detail: String,
    /// The request id, by which the log can be searched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// Where in the request's body the trouble is, as a JSON pointer (RFC 6901).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// Each thing that is wrong, when there can be several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldProblem>,
    /// The consistency token of the answer. A refusal has one too: it was decided at a position and is remembered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<String>,
    /// The idempotency key of the command: to send it again, send it with this key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub idempotency_key: Option<CommandId>,
    /// `true` where the command was refused earlier, and this is that answer again: the key is used up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replayed: Option<bool>,
    /// When the refusal was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub recorded_at: Option<Timestamp>,
    /// The headers that go with the problem; they are not part of the body.
    #[serde(skip)]
    #[schema(ignore)]
    headers: Headers,
}

/// What a problem says in headers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Headers {
    www_authenticate: Option<HeaderValue>,
    retry_after: Option<HeaderValue>,
}

/// A problem on its way to the caller. Boxed, so that a `Result` with it stays small on the path where all goes well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Problem(Box<ProblemDocument>);

impl Problem {
    /// A problem of a kind, with what happened this time.
    #[must_use]
    pub fn of(kind: &ProblemKind, detail: impl Into<String>) -> Self {
        Self::with_code(kind, Cow::Borrowed(kind.code), detail.into())
    }

    /// 400: the request could not be understood. One error lends its pointer to the whole.
    #[must_use]
    pub fn validation(errors: Vec<FieldProblem>) -> Self {
        let (detail, pointer) = match errors.as_slice() {
            [] => ("the request is not valid".to_owned(), None),
            [only] => (only.detail.clone(), Some(only.pointer.clone())),
            [first, others @ ..] => (format!("{} (and {} more)", first.detail, others.len()), None),
        };
        let mut problem = Self::of(&kind::VALIDATION_FAILED, detail);
        problem.pointer = pointer;
        problem.errors = errors;
        problem
    }

    /// 404: there is no such thing.
    #[must_use]
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::of(&kind::NOT_FOUND, detail)
    }

    /// 412: `If-Match` names a version that is not the current one.
    #[must_use]
    pub fn precondition_failed(detail: impl Into<String>) -> Self {
        Self::of(&kind::PRECONDITION_FAILED, detail)
    }

    /// 413: the body is larger than `limit` bytes.
    #[must_use]
    pub fn payload_too_large(limit: u64) -> Self {
        Self::of(&kind::PAYLOAD_TOO_LARGE, format!("the body is larger than {limit} bytes"))
    }

    /// 415: the address takes `supported`, such as `application/json`.
    #[must_use]
    pub fn unsupported_media_type(supported: &str) -> Self {
        Self::of(&kind::UNSUPPORTED_MEDIA_TYPE, format!("this address takes {supported}"))
    }

    /// 422: the rules say no. `code` is the refusal's own name, identical in code, API and manual.
    #[must_use]
    pub fn refused(code: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        Self::with_code(&kind::REFUSED, code.into(), detail.into())
    }

    /// 429: as many requests of the subject are being answered as one may have, which is `most`.
    #[must_use]
    pub fn too_many_requests(most: usize) -> Self {
        let detail =
            format!("{most} requests of this subject are being answered, which is as many as one subject may have; nothing was done");
        Self::of(&kind::TOO_MANY_REQUESTS, detail).with_retry_after(Duration::from_secs(1))
    }

    /// 500: an error that has no better name. It goes to the log with the request id, and none of it to the caller.
    #[must_use]
    pub fn internal(request_id: Option<&str>, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let error = error.into();
        let causes = causes(error.as_ref());
        tracing::error!(request_id = request_id.unwrap_or("none"), %error, causes, "a request failed");
        let mut problem = Self::of(&kind::INTERNAL, "an error occurred; the log has it under the request id");
        problem.instance = request_id.map(str::to_owned);
        problem
    }

    /// 503: storage failed and nothing was done.
    #[must_use]
    pub fn not_done(detail: impl Into<String>) -> Self {
        Self::of(&kind::NOT_DONE, detail)
    }

    /// 503: turned away before anything was done; worth another try after `retry_after`.
    #[must_use]
    pub fn overloaded(retry_after: Duration) -> Self {
        Self::of(&kind::OVERLOADED, "too many requests are waiting; nothing was done").with_retry_after(retry_after)
    }

    /// 504: storage did not answer in time, so nobody knows yet whether it was done.
    #[must_use]
    pub fn outcome_unknown(detail: impl Into<String>) -> Self {
        Self::of(&kind::OUTCOME_UNKNOWN, detail)
    }

    /// Puts the request id of the request in, if the router sets one (`tower_http::request_id`).
    #[must_use]
    pub fn for_request(mut self, extensions: &Extensions) -> Self {
        if let Some(id) = request_id(extensions) {
            self.instance = Some(id.to_owned());
        }
        self
    }

    /// Puts the idempotency key in.
    #[must_use]
    pub fn with_key(mut self, key: &CommandId) -> Self {
        self.idempotency_key = Some(key.clone());
        self
    }

    /// Puts the request id in.
    #[must_use]
    pub fn with_instance(mut self, request_id: impl Into<String>) -> Self {
        self.instance = Some(request_id.into());
        self
    }

    /// Says when to try again, in whole seconds, rounded up and at least one: zero would invite a stampede.
    #[must_use]
    pub fn with_retry_after(mut self, after: Duration) -> Self {
        let seconds = after.as_secs().saturating_add(u64::from(after.subsec_nanos() > 0)).max(1);
        self.headers.retry_after = Some(HeaderValue::from(seconds));
        self
    }

    /// Says how to authenticate. A challenge that cannot stand in a header is left out.
    #[must_use]
    pub fn with_www_authenticate(mut self, challenge: &str) -> Self {
        self.headers.www_authenticate = HeaderValue::from_str(challenge).ok();
        self
    }

    fn with_code(kind: &ProblemKind, code: Cow<'static, str>, detail: String) -> Self {
        Self(Box::new(ProblemDocument {
            type_uri: format!("urn:cauri:problem:{code}"),
            title: Cow::Borrowed(kind.title),
            status: kind.status,
            code,
            detail,
            instance: None,
            pointer: None,
            errors: Vec::new(),
            position: None,
            idempotency_key: None,
            replayed: None,
            recorded_at: None,
            headers: Headers::default(),
        }))
    }
}

/// The id of a request, if the router sets one (`tower_http::request_id`).
#[must_use]
pub fn request_id(extensions: &Extensions) -> Option<&str> {
    extensions.get::<RequestId>()?.header_value().to_str().ok()
}

/// What lies behind an error, for the log.
fn causes(error: &(dyn Error + 'static)) -> String {
    let causes: Vec<String> = std::iter::successors(error.source(), |cause| Error::source(*cause)).map(ToString::to_string).collect();
    causes.join(": ")
}

impl Deref for Problem {
    type Target = ProblemDocument;

    fn deref(&self) -> &ProblemDocument {
        &self.0
    }
}

impl DerefMut for Problem {
    fn deref_mut(&mut self) -> &mut ProblemDocument {
        &mut self.0
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.code, self.detail)
    }
}

impl Error for Problem {}

// Problem is the box, the document is what is in it: to the API they are one schema.
impl PartialSchema for Problem {
    fn schema() -> RefOr<Schema> {
        ProblemDocument::schema()
    }
}

impl ToSchema for Problem {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Problem")
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        ProblemDocument::schemas(schemas);
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).unwrap_or_else(|error| {
            // Strings and numbers always serialize; should that ever change, the status still tells the truth.
            tracing::error!(%error, code = %self.code, "a problem could not be written");
            Vec::new()
        });
        let mut response = (status, body).into_response();
        let key = self.idempotency_key.as_ref().and_then(|key| HeaderValue::from_str(key.as_str()).ok());
        let Headers { www_authenticate, retry_after } = self.0.headers;
        let fixed: [(HeaderName, Option<HeaderValue>); 4] = [
            (CONTENT_TYPE, Some(HeaderValue::from_static(PROBLEM_JSON))),
            (WWW_AUTHENTICATE, www_authenticate),
            (RETRY_AFTER, retry_after),
            (IDEMPOTENCY_KEY, key),
        ];
        for (name, value) in fixed {
            if let Some(value) = value {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    async fn sent(problem: Problem) -> (StatusCode, axum::http::HeaderMap, serde_json::Value) {
        let (parts, body) = problem.into_response().into_parts();
        let body = axum::body::to_bytes(body, 64 * 1024).await.expect("the body is in memory");
        (parts.status, parts.headers, serde_json::from_slice(&body).expect("the body is JSON"))
    }

    #[test]
    fn every_code_is_unique_snake_case_and_has_a_status_that_is_an_error() {
        let mut seen = HashSet::new();
        for kind in PROBLEMS {
            assert!(seen.insert(kind.code), "{} stands twice in the table", kind.code);
            assert!(kind.code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{}", kind.code);
            assert!((400..600).contains(&kind.status), "{}", kind.code);
            assert!(!kind.title.is_empty() && !kind.meaning.is_empty(), "{}", kind.code);
        }
    }

    #[test]
    fn every_constructor_reports_a_code_and_status_of_the_table() {
        let second = Duration::from_secs(1);
        let constructed = [
            (Problem::validation(Vec::new()), 400),
            (Problem::not_found(""), 404),
            (Problem::precondition_failed(""), 412),
            (Problem::payload_too_large(1), 413),
            (Problem::unsupported_media_type("application/json"), 415),
            (Problem::refused("refused", ""), 422),
            (Problem::internal(None, "broken"), 500),
            (Problem::not_done(""), 503),
            (Problem::overloaded(second), 503),
            (Problem::outcome_unknown(""), 504),
        ];
        for (problem, status) in constructed {
            assert_eq!(problem.status, status, "{problem}");
            let listed = PROBLEMS.iter().find(|kind| kind.code == problem.code).expect("the code is in the table");
            assert_eq!(listed.status, problem.status);
            assert_eq!(problem.type_uri, format!("urn:cauri:problem:{}", problem.code));
        }
    }

    #[tokio::test]
    async fn a_problem_is_sent_as_problem_json_with_only_the_members_it_has() {
        let problem =
            Problem::validation(vec![FieldProblem::new("amount_not_positive", "/amount", "must be above 0")]).with_instance("r-1");
        let (status, headers, body) = sent(problem).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert_eq!(headers[CONTENT_TYPE], PROBLEM_JSON);
        let expected = serde_json::json!({
            "type": "urn:cauri:problem:validation_failed",
            "title": "The request is not valid",
            "status": 400,
            "code": "validation_failed",
            "detail": "must be above 0",
            "instance": "r-1",
            "pointer": "/amount",
            "errors": [{"code": "amount_not_positive", "pointer": "/amount", "detail": "must be above 0"}],
        });
        assert_eq!(body, expected);
    }

    #[tokio::test]
    async fn a_refusal_carries_its_own_name_and_the_position_it_was_decided_at() {
        let mut problem = Problem::refused("hold_already_posted", "the hold was posted");
        problem.position = Some("ledger@7".to_owned());
        let (status, _, body) = sent(problem).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(body["code"], "hold_already_posted");
        assert_eq!(body["type"], "urn:cauri:problem:hold_already_posted");
        assert_eq!(body["position"], "ledger@7");
    }

    #[tokio::test]
    async fn an_inner_error_never_reaches_the_caller() {
        let (status, _, body) = sent(Problem::internal(Some("r-2"), "password=hunter2 at /var/lib/cauri")).await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(body["instance"], "r-2");
        assert!(!body.to_string().contains("hunter2") && !body.to_string().contains("/var/lib"));
    }

    #[tokio::test]
    async fn headers_are_sent_when_given_and_retry_after_is_never_zero() {
        let (_, headers, _) = sent(Problem::overloaded(Duration::ZERO)).await;
        assert_eq!(headers[RETRY_AFTER], "1");
        let (_, headers, _) = sent(Problem::not_done("").with_retry_after(Duration::from_millis(2_001))).await;
        assert_eq!(headers[RETRY_AFTER], "3");
        let (_, headers, _) = sent(Problem::not_found("")).await;
        assert!(!headers.contains_key(RETRY_AFTER) && !headers.contains_key(WWW_AUTHENTICATE));
    }

    #[test]
    fn a_problem_can_be_read_back_by_a_client() {
        let mut problem = Problem::refused("limit_exceeded", "over the limit");
        (problem.pointer, problem.position) = (Some("/amount".to_owned()), Some("t".to_owned()));
        let read: Problem =
            serde_json::from_slice(&serde_json::to_vec(&problem).expect("a problem serializes")).expect("a problem deserializes");
        assert_eq!(read, problem);
    }

    #[test]
    fn the_schema_is_called_problem_and_has_the_members_of_the_body_only() {
        let schema = serde_json::to_value(Problem::schema()).expect("a schema serializes");
        let members: HashSet<&str> = schema["properties"].as_object().expect("an object").keys().map(String::as_str).collect();
        let expected = [
            "type",
            "title",
            "status",
            "code",
            "detail",
            "instance",
            "pointer",
            "errors",
            "position",
            "idempotency_key",
            "replayed",
            "recorded_at",
        ];
        assert_eq!(members, HashSet::from(expected));
        assert_eq!(Problem::name(), "Problem");
    }
}
