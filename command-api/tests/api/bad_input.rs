//! What comes in wrong: every answer says where and what would be right, and nothing is written.

use std::time::{Duration, Instant};

use cauri_http::auth::role::Role;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::{Api, entry, token};
use cauri_command_api::HttpLimits;

async fn wrong(body: &str, pointer: &str, detail: &str) {
    let api = Api::shop().await;
    let before = api.events();
    let answer = api.post("/v1/entries").text("application/json", body.to_owned()).send().await;
    let answer = answer.expect_problem(400, "validation_failed", pointer);
    let found = answer.body["detail"].as_str().unwrap();
    assert!(found.contains(detail), "{found:?} does not say {detail:?}");
    assert_eq!(answer.body["errors"][0]["pointer"], pointer);
    assert_eq!(api.events(), before, "what is not understood is not recorded");
}

#[tokio::test]
async fn a_transfer_lacking_a_side() {
    let body = r#"{"transfers":[{"debit":"bank","amount":{"amount":"5","currency":"XOF"}}]}"#;
    wrong(body, "/transfers/0/credit", "missing field `credit`").await;
}

#[tokio::test]
async fn an_unknown_field() {
    let body = r#"{"transfers":[{"debit":"bank","credit":"awa","amount":{"amount":"5","currency":"XOF"}}],"memo":"x"}"#;
    wrong(body, "/memo", "unknown field `memo`, expected one of").await;
}

#[tokio::test]
async fn an_unknown_currency() {
    let body = r#"{"transfers":[{"debit":"bank","credit":"awa","amount":{"amount":"5","currency":"FCFA"}}]}"#;
    wrong(body, "/transfers/0/amount/currency", "use an ISO 4217 code such as XOF").await;
}

#[tokio::test]
async fn a_number_for_an_amount() {
    let body = r#"{"transfers":[{"debit":"bank","credit":"awa","amount":{"amount":5,"currency":"XOF"}}]}"#;
    wrong(body, "/transfers/0/amount/amount", "write \"5\" in quotes").await;
}

#[tokio::test]
async fn an_amount_that_is_no_decimal() {
    for amount in ["", "five", "1e3", "1_000", "1,5", " 5", "+5", "0x10", "NaN", "5."] {
        let body = json!({"transfers": [{"debit": "bank", "credit": "awa", "amount": {"amount": amount, "currency": "XOF"}}]});
        wrong(&body.to_string(), "/transfers/0/amount/amount", "expected a decimal string").await;
    }
}

#[tokio::test]
async fn ten_thousand_transfers() {
    let one = r#"{"debit":"bank","credit":"awa","amount":{"amount":"5","currency":"XOF"}}"#;
    let body = format!(r#"{{"transfers":[{}]}}"#, vec![one; 10_000].join(","));
    wrong(&body, "/transfers", "1 to 1,000 transfers").await;
}

#[tokio::test]
async fn invalid_utf8() {
    let api = Api::shop().await;
    let answer = api.post("/v1/entries").text("application/json", b"{\"reference\":\"\xc3\x28\"}".to_vec()).send().await;
    let answer = answer.expect_problem(400, "validation_failed", "");
    assert_eq!(answer.body["errors"][0]["code"], "invalid_utf8");
}

#[tokio::test]
async fn a_key_that_is_given_twice() {
    let api = Api::shop().await;
    let before = api.events();
    let transfers = r#""transfers":[{"debit":"bank","credit":"awa","amount":{"amount":"5","currency":"XOF"}}]"#;
    let twice = format!(r#"{{{transfers},"dimensions":{{"merchant":"awa","country":"BJ","merchant":"ben"}}}}"#);
    let account = r#"{"address":"x","kind":"asset","currency":"XOF","metadata":{"a":"1","a":"1"}}"#;
    let item = twice.replacen('{', r#"{"op":"post_entry","#, 1);
    for (path, media_type, body, pointer) in [
        ("/v1/entries", "application/json", twice.clone(), "/dimensions/merchant"),
        ("/v1/entries", "application/json", format!("{{{transfers},{transfers}}}"), "/transfers"),
        (
            "/v1/entries",
            "application/json",
            twice.replace(r#""currency":"XOF""#, r#""currency":"XOF","currency":"EUR""#),
            "/transfers/0/amount/currency",
        ),
        (
            "/v1/entries",
            "application/json",
            format!(r#"{{{transfers},"hold":{{"expires_at":null,"expires_at":null}}}}"#),
            "/hold/expires_at",
        ),
        ("/v1/accounts", "application/json", account.to_owned(), "/metadata/a"),
        ("/v1/accounts/awa/freeze", "application/json", r#"{"reason":"x","reason":"y"}"#.to_owned(), "/reason"),
        ("/v1/bulk", "application/json", format!("[{item}]"), "/0/dimensions/merchant"),
        ("/v1/bulk", "application/json", format!(r#"{{"atomic":true,"commands":[{item}]}}"#), "/commands/0/dimensions/merchant"),
        ("/v1/bulk", "application/json", r#"{"atomic":true,"commands":[],"atomic":false}"#.to_owned(), "/atomic"),
        ("/v1/bulk", "application/x-ndjson", item.clone(), "/0/dimensions/merchant"),
    ] {
        let answer = api.post(path).text(media_type, body.clone()).send().await.expect_problem(400, "validation_failed", pointer);
        assert_eq!(answer.body["errors"][0]["code"], "duplicate_field", "{body}");
        let key = pointer.rsplit('/').next().unwrap();
        assert!(answer.body["detail"].as_str().unwrap().contains(&format!("duplicate key \"{key}\"")), "{}", answer.text);
    }
    assert_eq!(api.events(), before, "nothing of it was written");
}

#[tokio::test]
async fn a_byte_order_mark() {
    wrong("\u{feff}{}", "", "byte order mark").await;
}

#[tokio::test]
async fn a_text_that_is_no_instant_of_rfc_3339() {
    for (text, detail) in [
        ("2026-11-25T00:00:00+25:00", "an offset from UTC has hours from 00 to 23"),
        ("2026-11-24T12:00:60Z", "leap seconds are not counted"),
        ("2026-11-24T00:00:00+01:00[Asia/Tokyo]", "RFC 3339"),
        ("2026-11-24T00Z", "RFC 3339"),
        ("2026-11-24", "RFC 3339"),
        ("2026-10-31T23:59:59.9999995Z", "at most six digits after the second"),
        ("9999-12-31T23:59:59-01:00", "1900-01-01T00:00:00Z and 9999-12-31T23:59:59.999999Z"),
    ] {
        let body = entry("bank", "awa", 5);
        let with = |name: &str, value: serde_json::Value| {
            let mut body = body.clone();
            body[name] = value;
            body.to_string()
        };
        wrong(&with("effective_at", json!(text)), "/effective_at", detail).await;
        wrong(&with("hold", json!({ "expires_at": text })), "/hold/expires_at", detail).await;
    }
}

#[tokio::test]
async fn the_last_instant_can_be_said() {
    let api = Api::shop().await;
    for last in ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59.999999Z"] {
        let mut hold = entry("bank", "awa", 5);
        hold["hold"] = json!({ "expires_at": last });
        api.post("/v1/entries").json(&hold).send().await.expect(201);
        let mut dated = entry("bank", "awa", 5);
        dated["effective_at"] = json!(last);
        api.post("/v1/entries").json(&dated).send().await.expect_problem(422, "effective_in_future_too_far", "/effective_at");
    }
}

#[tokio::test]
async fn json_deeper_than_anything_needs_to_be() {
    wrong(&format!("{}1{}", "[".repeat(400_000), "]".repeat(400_000)), "", "expected an object").await;
    let api = Api::shop().await;
    let deep = format!("[{{\"op\":\"post_entry\",\"x\":{}", "[".repeat(400_000));
    let answer = api.post("/v1/bulk").text("application/json", deep).send().await;
    assert_eq!(answer.status, 400, "{}", answer.text);
}

#[tokio::test]
async fn broken_json_says_where() {
    wrong(r#"{"transfers":"#, "/transfers", "this is not JSON").await;
    wrong("", "", "the body is empty").await;
}

#[tokio::test]
async fn a_wrong_content_type() {
    let api = Api::shop().await;
    let body = entry("bank", "awa", 1).to_string();
    for media_type in ["text/plain", "application/x-www-form-urlencoded", "application/xml", "application/json; charset=latin1"] {
        let answer = api.post("/v1/entries").text(media_type, body.clone()).send().await;
        answer.expect_problem(415, "unsupported_media_type", "");
    }
    api.post("/v1/entries").untyped(body.clone()).send().await.expect_problem(415, "unsupported_media_type", "");
    let zipped = api.post("/v1/entries").header("content-encoding", "gzip").text("application/json", body.clone()).send().await;
    zipped.expect_problem(415, "unsupported_media_type", "");
    api.post("/v1/entries").text("Application/JSON; charset=utf-8", body.clone()).send().await.expect(201);
    let lines = api.post("/v1/entries").text("application/x-ndjson", body).send().await;
    assert!(lines.expect_problem(415, "unsupported_media_type", "").body["detail"].as_str().unwrap().contains("application/json"));
}

#[tokio::test]
async fn a_wrong_method_and_an_unknown_path() {
    let api = Api::shop().await;
    let answer = api.get("/v1/entries").send().await.expect_problem(405, "method_not_allowed", "");
    assert_eq!(answer.header("allow"), "POST");
    let answer = api.call(axum::http::Method::DELETE, "/v1/accounts/awa").send().await.expect_problem(405, "method_not_allowed", "");
    assert_eq!(answer.header("allow"), "GET,HEAD");
    for path in ["/", "/v1", "/v1/entry", "/v2/entries", "/v1/accounts/awa/thaw"] {
        api.get(path).send().await.expect_problem(404, "not_found", "");
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_where_its_length_is_announced_and_where_it_is_not() {
    let api = Api::shop().await;
    let large = "x".repeat(1024 * 1024 + 1);
    let answer = api.post("/v1/entries").header("content-length", "1048577").text("application/json", large.clone()).send().await;
    assert!(answer.expect_problem(413, "payload_too_large", "").body["detail"].as_str().unwrap().contains("1048576 bytes"));
    let pieces = futures::stream::iter(vec![Ok::<_, std::io::Error>("x".repeat(700_000)), Ok("x".repeat(700_000))]);
    let answer = api.post("/v1/entries").text("application/json", axum::body::Body::from_stream(pieces)).send().await;
    answer.expect_problem(413, "payload_too_large", "");
    let bulk = api.post("/v1/bulk").text("application/json", large).send().await;
    assert_eq!(bulk.status, 400, "a bulk request may be larger: {}", bulk.text);
}

fn hundred_megabytes() -> (String, Vec<u8>, usize) {
    let head = format!(
        "POST /v1/entries HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\ncontent-length: 100000000\r\n\r\n",
        token(&[Role::Operator])
    );
    (head, vec![b' '; 1_000_000], 100)
}

/// The answer comes while the client is still at the beginning.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_megabytes_are_refused_before_they_are_read() {
    let api = Api::shop().await;
    let mut connection = TcpStream::connect(api.serve().await).await.unwrap();
    let (head, _, _) = hundred_megabytes();
    connection.write_all(head.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let read = tokio::time::timeout(Duration::from_secs(5), connection.read(&mut answer)).await.unwrap().unwrap();
    let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
    assert!(answer.starts_with("HTTP/1.1 413 Payload Too Large\r\n"), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    assert!(answer.contains("\"code\":\"payload_too_large\""), "{answer}");
}

/// A client that writes all before it reads gets the answer too, and no reset.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_insists_on_sending_a_hundred_megabytes_still_gets_the_answer() {
    let api = Api::shop().await;
    let mut connection = TcpStream::connect(api.serve().await).await.unwrap();
    let (head, piece, count) = hundred_megabytes();
    connection.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..count {
        connection.write_all(&piece).await.unwrap();
    }
    let mut answer = String::new();
    tokio::time::timeout(Duration::from_secs(10), connection.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 Payload Too Large\r\n"), "{answer}");
    assert!(answer.contains("\"code\":\"payload_too_large\""), "{answer}");
}

#[tokio::test]
async fn a_body_that_does_not_arrive_is_not_waited_for() {
    let limits = HttpLimits { time_out: Duration::from_millis(50), ..HttpLimits::default() };
    let api = Api::with(limits, |_| {}, Vec::new());
    let began = Instant::now();
    let never = axum::body::Body::from_stream(futures::stream::pending::<Result<Vec<u8>, std::io::Error>>());
    let answer = api.post("/v1/entries").text("application/json", never).send().await;
    answer.expect_problem(408, "request_time_out", "");
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn headers_that_are_wrong_are_named() {
    let api = Api::shop().await;
    let body = entry("bank", "awa", 1);
    for (name, value) in [("idempotency-key", "a b"), ("if-match", "W/\"1\""), ("cauri-causation-id", "\t")] {
        let answer = api.post("/v1/entries").header(name, value).json(&body).send().await;
        let answer = answer.expect_problem(400, "validation_failed", "");
        assert!(answer.body["detail"].as_str().unwrap().contains(name), "{}", answer.text);
    }
    let twice = api.post("/v1/entries").key("a").key("b").json(&body).send().await;
    twice.expect_problem(400, "validation_failed", "");
}
