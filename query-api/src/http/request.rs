//! From an HTTP request to the parameters of a GraphQL request.

use std::borrow::Cow;

use async_graphql::Variables;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use cauri_http::json;
use cauri_http::problem::FieldProblem;
use serde_json::{Map, Value};

/// The parameters of a GraphQL request.
#[derive(Debug, PartialEq)]
pub(crate) struct Parameters {
    pub(crate) query: String,
    pub(crate) operation_name: Option<String>,
    pub(crate) variables: Variables,
}

/// What is wrong with a request before it is GraphQL at all; always the status 400.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Malformed(pub(crate) String);

impl Malformed {
    fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }

    /// A JSON document that cannot be read.
    fn json(what: &str, problem: &FieldProblem) -> Self {
        match problem.pointer.as_str() {
            "" => Self(format!("{what}: {}", problem.detail)),
            pointer => Self(format!("{what}, at {pointer}: {}", problem.detail)),
        }
    }
}

/// Whether a body is JSON in UTF-8, by its `Content-Type`.
pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) else { return false };
    let mut parts = value.split(';').map(str::trim);
    let json = parts.next().is_some_and(|media| media.eq_ignore_ascii_case("application/json"));
    json && parts.all(|parameter| match parameter.split_once('=') {
        Some((name, charset)) if name.trim().eq_ignore_ascii_case("charset") => {
            charset.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        _ => true,
    })
}

impl Parameters {
    /// The body of a POST.
    pub(crate) fn of_body(body: &[u8]) -> Result<Self, Malformed> {
        let value: Value = json::decode(body).map_err(|problem| Malformed::json("the body", &problem))?;
        match value {
            Value::Object(parameters) => Self::of_map(parameters),
            Value::Array(_) => Err(Malformed::new("one request at a time: a list of requests is not supported")),
            _ => Err(Malformed::new("the body must be a JSON object with `query`")),
        }
    }

    /// The query string of a GET, `variables` and `extensions` as JSON in it.
    pub(crate) fn of_query_string(text: &str) -> Result<Self, Malformed> {
        let mut parameters = Map::new();
        for (name, value) in form_urlencoded(text) {
            // Whatever else somebody put on the address is not for us.
            let Some(name) = name.filter(|name| matches!(name.as_str(), "query" | "operationName" | "variables" | "extensions")) else {
                continue;
            };
            let value = value.ok_or_else(|| Malformed(format!("`{name}` is not UTF-8")))?;
            let value = match name.as_str() {
                "query" | "operationName" => Value::String(value),
                _ if value.is_empty() => Value::Null,
                _ => json::decode(value.as_bytes()).map_err(|problem| Malformed::json(&format!("`{name}`"), &problem))?,
            };
            if parameters.insert(name.clone(), value).is_some() {
                return Err(Malformed(format!("`{name}` is given twice")));
            }
        }
        Self::of_map(parameters)
    }

    /// The payload of a `subscribe` message.
    pub(crate) fn of_map(mut parameters: Map<String, Value>) -> Result<Self, Malformed> {
        let query = match parameters.remove("query") {
            Some(Value::String(query)) => query,
            Some(_) => return Err(Malformed::new("`query` must be a string")),
            None => return Err(Malformed::new("`query` is missing")),
        };
        let operation_name = match parameters.remove("operationName") {
            None | Some(Value::Null) => None,
            Some(Value::String(name)) => Some(name).filter(|name| !name.is_empty()),
            Some(_) => return Err(Malformed::new("`operationName` must be a string")),
        };
        let variables = match parameters.remove("variables") {
            None | Some(Value::Null) => Variables::default(),
            Some(variables @ Value::Object(_)) => Variables::from_json(variables),
            Some(_) => return Err(Malformed::new("`variables` must be an object")),
        };
        match parameters.remove("extensions") {
            None | Some(Value::Null | Value::Object(_)) => Ok(Self { query, operation_name, variables }),
            Some(_) => Err(Malformed::new("`extensions` must be an object")),
        }
    }
}

/// The pairs of an `application/x-www-form-urlencoded` text (WHATWG URL §5.1); `None` for what is not UTF-8.
fn form_urlencoded(text: &str) -> impl Iterator<Item = (Option<String>, Option<String>)> {
    text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decoded(name), decoded(value))
    })
}

fn decoded(text: &str) -> Option<String> {
    // `form_urlencoded` puts U+FFFD in the place of what is not UTF-8, and that has to be told.
    percent_encoding::percent_decode_str(&text.replace('+', " ")).decode_utf8().ok().map(Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_string_is_read_like_a_body() {
        let text =
            "query=%7B+account%28address%3A+%22a%3Ab%22%29%20%7B%20address%20%7D+%7D&variables=%7B%22a%22%3A1%7D&operationName=&x=%zz";
        let read = Parameters::of_query_string(text).expect("well-formed");
        let body = r#"{"query":"{ account(address: \"a:b\") { address } }","variables":{"a":1},"extensions":null}"#;
        assert_eq!(read, Parameters::of_body(body.as_bytes()).expect("well-formed"));
        assert_eq!(decoded("%F0%9F%8F%83+100%").as_deref(), Some("🏃 100%"));
    }

    #[test]
    fn what_is_not_a_request_says_why() {
        for (body, why) in [
            (r#"{"query":1}"#, "`query` must be a string"),
            (r#"{"qeury":"{a}"}"#, "`query` is missing"),
            (r#"{"query":"{a}","variables":[]}"#, "`variables` must be an object"),
            (r#"{"query":"{a}","operationName":{}}"#, "`operationName` must be a string"),
            (r#"{"query":"{a}","extensions":"x"}"#, "`extensions` must be an object"),
            (r#"[{"query":"{a}"}]"#, "one request at a time: a list of requests is not supported"),
        ] {
            assert_eq!(Parameters::of_body(body.as_bytes()), Err(Malformed::new(why)));
        }
        assert_eq!(Parameters::of_query_string("query=a&query=b"), Err(Malformed::new("`query` is given twice")));
        assert_eq!(Parameters::of_query_string("query=%FF"), Err(Malformed::new("`query` is not UTF-8")));
        assert!(Parameters::of_query_string("query=a&other=%FF").is_ok());
        assert!(Parameters::of_query_string("query=a&variables=%7B").is_err());
    }

    #[test]
    fn a_key_is_given_once_wherever_it_stands() {
        for (body, pointer) in [
            (r#"{"query":"{a}","query":"{b}"}"#, "/query"),
            (r#"{"query":"{a}","qu\u0065ry":"{b}"}"#, "/query"),
            (r#"{"query":"{a}","other":1,"other":1}"#, "/other"),
            (r#"{"query":"{a}","variables":{},"variables":null}"#, "/variables"),
            (r#"{"query":"{a}","variables":{"a":1,"b":2,"a":1}}"#, "/variables/a"),
            (r#"{"query":"{a}","variables":{"f":{"list":[{"x":1},{"x":1,"x":2}]}}}"#, "/variables/f/list/1/x"),
            (r#"{"query":"{a}","extensions":{"e":{"e":1,"e":1}}}"#, "/extensions/e/e"),
        ] {
            let Err(Malformed(what)) = Parameters::of_body(body.as_bytes()) else { panic!("{body} was taken") };
            assert!(what.starts_with(&format!("the body, at {pointer}: duplicate key ")), "{what}");
        }
        let Err(Malformed(what)) = Parameters::of_query_string("query=a&variables=%7B%22a%22%3A1%2C%22a%22%3A2%7D") else {
            panic!("the address was taken")
        };
        assert_eq!(what, "`variables`, at /a: duplicate key \"a\": an object has each key once");
        assert!(Parameters::of_body(br#"{"query":"{a}","variables":{"a":{"a":1},"b":{"a":1}}}"#).is_ok());
    }

    #[test]
    fn text_that_is_not_unicode_and_a_byte_order_mark_are_refused() {
        for (body, why) in [
            (&b"{\"query\":\"\xff\"}"[..], "the body: the text is not UTF-8 from byte 10 on"),
            (b"\xef\xbb\xbf{\"query\":\"{a}\"}", "the body: the text begins with a byte order mark (U+FEFF)"),
            (br#"{"query":"\ud800"}"#, "the body, at /query: this is not JSON: "),
            (br#"{"query":"{a}","variables":{"a":"\udc00 "}}"#, "the body, at /variables/a: this is not JSON: "),
            (b"", "the body: the body is empty"),
        ] {
            let Err(Malformed(what)) = Parameters::of_body(body) else { panic!("{body:?} was taken") };
            assert!(what.starts_with(why), "{what}");
        }
    }

    #[test]
    fn a_body_is_json_in_utf_8_or_not_taken() {
        for (content_type, expected) in [
            (Some("application/json"), true),
            (Some("application/json; charset=UTF-8"), true),
            (Some("Application/JSON;charset=\"utf-8\""), true),
            (Some("application/json; charset=latin1"), false),
            (Some("text/plain"), false),
            (Some("application/graphql"), false),
            (None, false),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(content_type) = content_type {
                headers.insert(CONTENT_TYPE, content_type.parse().expect("a header"));
            }
            assert_eq!(is_json(&headers), expected, "{content_type:?}");
        }
    }
}
