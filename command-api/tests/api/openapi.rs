//! The description of the API is true: its examples run, its schemas hold, the committed file is what the code says.

use std::path::Path;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request};
use axum::routing::get;
use cauri_command_api::openapi::{COMMITTED, Example, answered, story};
use cauri_http::auth::role::Role;
use cauri_http::origin::Origins;
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::support::{Api, token};
use tower::ServiceExt as _;

/// The id that the recorded requests have, so that recorded problems do not change from run to run.
const REQUEST_ID: &str = "01957f00-0000-7000-8000-0000000000ff";

fn committed() -> Value {
    serde_json::from_str(COMMITTED).unwrap()
}

fn send<'a>(api: &'a Api, document: &Value, example: &Example) -> crate::support::Call<'a> {
    let (path, method) = place_of(document, &example.operation);
    let (path, headers) = filled(&path, &example.parameters);
    let mut call = api.call(method, &path).header("x-request-id", REQUEST_ID);
    for (name, value) in headers {
        call = call.header(name, value);
    }
    match &example.body {
        Some((media_type, Value::String(text))) => call.text(media_type, text.clone()),
        Some((media_type, body)) => call.text(media_type, body.to_string()),
        None => call,
    }
}

/// Where an operation is.
fn place_of(document: &Value, operation: &str) -> (String, Method) {
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, described) in methods.as_object().unwrap() {
            if described["operationId"] == operation {
                return (path.clone(), method.to_uppercase().parse().unwrap());
            }
        }
    }
    panic!("there is no operation {operation}");
}

/// The address with its parameters, and those that are headers.
fn filled<'a>(path: &str, parameters: &[(&'a str, &'a str)]) -> (String, Vec<(&'a str, &'a str)>) {
    let (mut path, mut headers) = (path.to_owned(), Vec::new());
    for (name, value) in parameters {
        if path.contains(&format!("{{{name}}}")) {
            path = path.replace(&format!("{{{name}}}"), value);
        } else if *name == "atomic" {
            path = format!("{path}?{name}={value}");
        } else {
            headers.push((*name, *value));
        }
    }
    (path, headers)
}

/// `UPDATE_DOCS=1 cargo test --release -p cauri-command-api openapi` writes the file anew.
#[tokio::test]
async fn the_committed_document_is_what_the_code_says() {
    let api = Api::new();
    let bare = serde_json::to_value(answered(&[])).unwrap();
    let mut answers = Vec::new();
    for example in story() {
        let answer = send(&api, &bare, &example).send().await;
        assert_eq!(answer.status, example.status, "{}: {}", example.name, answer.text);
        answers.push((example.name, answer.body));
        // A little later each time, as in life, and always the same.
        api.clock.advance_micros(1_500);
    }
    let answers: Vec<(&str, Value)> = answers.iter().map(|(name, answer)| (*name, answer.clone())).collect();
    let document = format!("{}\n", serde_json::to_string_pretty(&answered(&answers)).unwrap());
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json"), &document).unwrap();
    } else {
        let differs = document.lines().zip(COMMITTED.lines()).position(|(now, committed)| now != committed);
        assert_eq!(differs, None, "openapi.json is not what the code says: run the tests once with UPDATE_DOCS=1");
        assert_eq!(document.len(), COMMITTED.len());
    }
}

#[tokio::test]
async fn the_document_is_served() {
    let answer = Api::new().get("/openapi.json").nobody().send().await.expect(200);
    assert_eq!(answer.text, COMMITTED);
    assert_eq!(answer.body["openapi"], "3.1.0");
}

/// Reads nothing but the committed document, and sends what it says to a server on a port.
#[tokio::test]
async fn every_example_of_the_document_gets_the_status_that_it_says() {
    let api = Api::new();
    let address = api.serve().await;
    let document = committed();
    let mut run = 0;
    for name in document["x-story"].as_array().unwrap() {
        let name = name.as_str().unwrap();
        let found = find(&document, name);
        let stream = TcpStream::connect(address).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake::<_, Full<hyper::body::Bytes>>(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let mut request = Request::builder().method(found.method.clone()).uri(&found.path).header("host", "ledger");
        request = request.header("authorization", format!("Bearer {}", token(&[Role::Admin])));
        for (header, value) in &found.headers {
            request = request.header(header, value);
        }
        let body = found.body.as_ref().map_or_else(String::new, |(_, body)| body.as_str().map_or_else(|| body.to_string(), str::to_owned));
        if let Some((media_type, _)) = &found.body {
            request = request.header("content-type", media_type);
        }
        let response = sender.send_request(request.body(Full::new(hyper::body::Bytes::from(body))).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(status, found.status, "{name}: {}", String::from_utf8_lossy(&bytes));
        let answer: Value = serde_json::from_slice(&bytes).unwrap();
        assert_valid(&document, &found.answer_schema, &answer, name);
        if let (Some((media_type, body)), true) = (&found.body, found.status != 400)
            && media_type == "application/json"
        {
            assert_valid(&document, &found.body_schema, body, name);
        }
        run += 1;
    }
    assert_eq!(run, story().len());
}

/// What the document says of one example.
struct Found {
    method: Method,
    path: String,
    headers: Vec<(String, String)>,
    body: Option<(String, Value)>,
    body_schema: Value,
    status: u16,
    answer_schema: Value,
}

fn find(document: &Value, name: &str) -> Found {
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let answered = operation["responses"].as_object().unwrap().iter().find_map(|(status, response)| {
                let content = response.get("content")?.as_object()?.values().next()?;
                content.get("examples")?.get(name)?;
                Some((status.parse().unwrap(), content["schema"].clone()))
            });
            let Some((status, answer_schema)) = answered else { continue };
            let mut found = Found {
                method: method.to_uppercase().parse().unwrap(),
                path: path.clone(),
                headers: Vec::new(),
                body: None,
                body_schema: Value::Null,
                status,
                answer_schema,
            };
            for parameter in operation["parameters"].as_array().unwrap() {
                let Some(value) = parameter["examples"].get(name).map(|example| &example["value"]) else { continue };
                let parameter_name = parameter["name"].as_str().unwrap();
                match parameter["in"].as_str().unwrap() {
                    "path" => found.path = found.path.replace(&format!("{{{parameter_name}}}"), value.as_str().unwrap()),
                    "query" => found.path = format!("{}?{parameter_name}={value}", found.path),
                    _ => found.headers.push((parameter_name.to_owned(), value.as_str().unwrap().to_owned())),
                }
            }
            for (media_type, content) in operation["requestBody"]["content"].as_object().into_iter().flatten() {
                if let Some(example) = content["examples"].get(name) {
                    found.body = Some((media_type.clone(), example["value"].clone()));
                    found.body_schema = content["schema"].clone();
                }
            }
            return found;
        }
    }
    panic!("the document has no answer for the example {name}");
}

#[track_caller]
fn assert_valid(document: &Value, schema: &Value, instance: &Value, name: &str) {
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "allOf": [schema],
        "components": document["components"],
    });
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> = validator.iter_errors(instance).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{name}: {errors:?} in {instance}");
}

/// A body that is not of the schema is refused, whatever a lenient reader might make of it.
#[tokio::test]
async fn what_the_schema_forbids_is_refused() {
    let document = committed();
    let schema = document["paths"]["/v1/entries"]["post"]["requestBody"]["content"]["application/json"]["schema"].clone();
    let schema = json!({ "allOf": [schema], "components": document["components"] });
    let validator = jsonschema::validator_for(&schema).unwrap();
    let api = Api::shop().await;
    let transfer = json!({"debit": "bank", "credit": "awa", "amount": {"amount": "5", "currency": "XOF"}});
    let with = |name: &str, value: Value| {
        let mut body = json!({"transfers": [transfer]});
        body[name] = value;
        body
    };
    for body in [
        json!([]),
        json!({"transfers": [["bank", "awa", {"amount": "5", "currency": "XOF"}]]}),
        json!({"transfers": [{"debit": "bank", "credit": "awa", "amount": ["5", "XOF"]}]}),
        json!({"transfers": []}),
        json!({"transfers": [{"debit": "bank", "credit": "awa"}]}),
        json!({"transfers": [{"debit": "bank", "credit": "awa", "amount": {"amount": "5", "currency": "XOF"}, "up_to": {"amount": "5", "currency": "XOF"}}]}),
        with("reference", json!("")),
        with("reference", json!(7)),
        with("dimensions", json!({"Not A Key": "x"})),
        with("dimensions", json!({"merchant": 7})),
        with("hold", json!([])),
        with("hold", json!(true)),
        with("effective_at", json!(17)),
        with("reverses", json!("0190f1c2-7e4b-7cc3-98c4-dc0c0c07398f")),
    ] {
        assert!(!validator.is_valid(&body), "the schema allows {body}");
        let answer = api.post("/v1/entries").json(&body).send().await;
        assert_eq!(answer.status, 400, "{body}: {}", answer.text);
    }
}

/// The headers that a description names, in lower case: of requests and of answers.
fn headers_of(described: &Value, requests: &mut Vec<String>, answers: &mut Vec<String>) {
    match described {
        Value::Object(members) => {
            if let (Some("header"), Some(name)) = (described["in"].as_str(), described["name"].as_str()) {
                requests.push(name.to_lowercase());
            }
            for (name, member) in members {
                match member.as_object().filter(|_| name == "headers") {
                    Some(headers) => answers.extend(headers.keys().map(|name| name.to_lowercase())),
                    None => headers_of(member, requests, answers),
                }
            }
        }
        Value::Array(all) => all.iter().for_each(|one| headers_of(one, requests, answers)),
        _ => {}
    }
}

#[tokio::test]
async fn pages_of_listed_origins_may_send_and_read_every_header_of_the_description() {
    let (mut requests, mut answers) = (Vec::new(), Vec::new());
    headers_of(&committed(), &mut requests, &mut answers);
    assert!(requests.contains(&"if-match".into()) && answers.contains(&"etag".into()), "{requests:?} {answers:?}");
    let origins: Origins = ["https://app.example".parse().unwrap()].into_iter().collect();
    let router = Router::new().route("/v1/head", get(|| async {})).layer(origins.cors().unwrap());
    let listed = |headers: &HeaderMap, name: &str| -> Vec<String> {
        headers[name].to_str().unwrap().split(',').map(|name| name.trim().to_lowercase()).collect()
    };
    for (method, name, wanted) in
        [(Method::OPTIONS, "access-control-allow-headers", requests), (Method::GET, "access-control-expose-headers", answers)]
    {
        let request = Request::builder().method(method).uri("/v1/head").header("origin", "https://app.example");
        let request = request.header("access-control-request-method", "POST").body(Body::empty()).unwrap();
        let answer = router.clone().oneshot(request).await.unwrap();
        let listed = listed(answer.headers(), name);
        for header in wanted {
            assert!(listed.contains(&header), "{header} is not in {name}: {listed:?}");
        }
    }
}
