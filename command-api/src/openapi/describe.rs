//! An operation as the document has it.

use cauri_domain::RefusalCode;
use cauri_http::problem::{PROBLEM_JSON, PROBLEMS};
use schemars::SchemaGenerator;
use serde_json::{Map, Value, json};

use super::JSON;
use super::operation::{Body, Operation, Reply};
use crate::routes::bulk::NDJSON;

pub(super) fn describe(operation: &Operation, answers: &[(&str, Value)], generator: &mut SchemaGenerator) -> Value {
    let mut described = json!({
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": operation.description,
        "parameters": parameters(operation, generator),
        "responses": responses(operation, answers, generator),
    });
    if let Some(permission) = operation.permission {
        described["security"] = json!([{ "token": [] }]);
        described["x-permission"] = json!(permission.as_str());
    } else {
        described["security"] = json!([]);
    }
    if let Some(body) = request_body(operation, generator) {
        described["requestBody"] = body;
    }
    described
}

fn parameters(operation: &Operation, generator: &mut SchemaGenerator) -> Value {
    let mut found = Vec::new();
    let mut add = |name: &str, place: &str, description: &str, schema: Value| {
        let mut parameter = json!({ "name": name, "in": place, "description": description, "schema": schema });
        if place == "path" {
            parameter["required"] = json!(true);
        }
        let shown: Map<String, Value> = operation
            .examples
            .iter()
            .filter_map(|example| {
                let (_, value) = example.parameters.iter().find(|(named, _)| *named == name)?;
                // A parameter in the query is of the schema's type, not a text.
                let value = if place == "query" { json!(*value == "true") } else { json!(value) };
                Some((example.name.to_owned(), json!({ "value": value })))
            })
            .collect();
        if !shown.is_empty() {
            parameter["examples"] = Value::Object(shown);
        }
        found.push(parameter);
    };
    if let Some((name, description, schema)) = operation.target
        && let Some(schema) = schema(generator)
    {
        add(name, "path", description, schema);
    }
    if matches!(operation.body, Body::Bulk) {
        add("atomic", "query", "All or none. The body may say it instead.", json!({ "type": "boolean", "default": false }));
    }
    if operation.is_command() {
        let key = json!({ "type": "string", "pattern": "^[\\u0021-\\u007e]{1,255}$" });
        let description = "The command's id, among the caller's own. Needed by what moves money, unless a new entry has an `id` made by the caller; \
            otherwise one is made if it is absent, and then a retry is another command.";
        add("Idempotency-Key", "header", description, key);
        let description = "For an admin: whose command it is, as the issuer names that caller. Its key counts among that caller's; actor and caller are recorded.";
        add("Cauri-On-Behalf-Of", "header", description, json!({ "type": "string", "minLength": 1, "maxLength": 256 }));
        let description = "The source of files that the command comes from: keys count among the source's, whoever sends them.";
        add("Cauri-Import", "header", description, json!({ "type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$" }));
        if !matches!(operation.body, Body::Bulk) {
            let version = json!({ "type": "string", "pattern": "^\"[0-9]{1,19}\"$" });
            add("If-Match", "header", "Decide only if the stream is at this version: the `ETag` of an earlier answer.", version);
        }
        let text = json!({ "type": "string", "minLength": 1, "maxLength": 256 });
        add("Cauri-Correlation-Id", "header", "What the command belongs to, through all systems; it is recorded.", text.clone());
        add("Cauri-Causation-Id", "header", "What made the caller ask; it is recorded.", text);
        add("traceparent", "header", "W3C trace context; recorded if it is valid, ignored if not.", json!({ "type": "string" }));
    }
    if operation.permission.is_some() {
        let description = "The request's id in logs and problems: 1 to 128 visible ASCII characters; else one is made.";
        add("X-Request-Id", "header", description, json!({ "type": "string" }));
    }
    Value::Array(found)
}

fn request_body(operation: &Operation, generator: &mut SchemaGenerator) -> Option<Value> {
    let of_type = |media_type: &str| -> Map<String, Value> {
        let of_type = operation.examples.iter().filter_map(|example| {
            let (_, value) = example.body.as_ref().filter(|(given, _)| *given == media_type)?;
            Some((example.name.to_owned(), json!({ "summary": example.summary, "value": value })))
        });
        of_type.collect()
    };
    let (required, content) = match &operation.body {
        Body::None => return None,
        Body::Required(schema) => (true, json!({ JSON: { "schema": schema(generator), "examples": of_type(JSON) } })),
        Body::Optional(schema) => (false, json!({ JSON: { "schema": schema(generator), "examples": of_type(JSON) } })),
        Body::Bulk => {
            let content = json!({
                JSON: { "schema": { "$ref": "#/components/schemas/BulkRequest" }, "examples": of_type(JSON) },
                NDJSON: {
                    "schema": { "type": "string", "description": "One `BulkItem` a line; empty lines are passed over." },
                    "examples": of_type(NDJSON),
                },
            });
            (true, content)
        }
    };
    Some(json!({ "required": required, "content": content }))
}

fn responses(operation: &Operation, answers: &[(&str, Value)], generator: &mut SchemaGenerator) -> Value {
    let shown = |status: u16| -> Map<String, Value> {
        let of_status = operation.examples.iter().filter(|example| example.status == status);
        let answered = of_status.filter_map(|example| {
            let (_, answer) = answers.iter().find(|(name, _)| *name == example.name)?;
            Some((example.name.to_owned(), json!({ "summary": example.summary, "value": answer })))
        });
        answered.collect()
    };
    let mut responses = Map::new();
    for (status, description, reply) in &operation.success {
        let mut response = json!({ "description": description });
        match reply {
            Reply::Json(schema) => response["content"] = json!({ JSON: { "schema": schema(generator), "examples": shown(*status) } }),
            Reply::Text => response["content"] = json!({ "text/plain": { "schema": { "type": "string" } } }),
            Reply::Any => response["content"] = json!({ JSON: { "schema": { "type": "object" } } }),
        }
        if operation.permission.is_some() {
            response["headers"] = headers(operation);
        }
        responses.insert(status.to_string(), response);
    }
    for status in operation.problems() {
        if responses.contains_key(&status.to_string()) {
            continue;
        }
        let shown = shown(status);
        let response = if shown.is_empty() {
            json!({ "$ref": format!("#/components/responses/Problem{status}") })
        } else {
            let schema = if matches!(operation.body, Body::Bulk) && matches!(status, 412 | 422) { "BulkProblem" } else { "Problem" };
            let content = json!({ "schema": { "$ref": format!("#/components/schemas/{schema}") }, "examples": shown });
            let description = format!("{} `components/responses/Problem{status}` lists the codes.", problem_title(status));
            json!({ "description": description, "content": { PROBLEM_JSON: content } })
        };
        responses.insert(status.to_string(), response);
    }
    Value::Object(responses)
}

fn headers(operation: &Operation) -> Value {
    let text = |description: &str| json!({ "description": description, "schema": { "type": "string" } });
    let mut headers = json!({ "X-Request-Id": text("The request's id.") });
    if operation.is_command() {
        headers["Cauri-Position"] = text("The consistency token.");
        if !matches!(operation.body, Body::Bulk) {
            headers["Idempotency-Key"] = text("The command's key: the caller's, or the one that was made for it.");
        }
        headers["Idempotency-Replayed"] = text("`true` where this is an earlier answer again.");
    }
    if !matches!(operation.body, Body::Bulk) && operation.id != "head" && !operation.is_of_service() {
        headers["ETag"] = text("The version of the stream.");
    }
    if operation.success.iter().any(|(status, _, _)| *status == 201) {
        headers["Location"] = text("Where what was written can be read.");
    }
    headers
}

/// What a status of a problem means, in a few words.
fn problem_title(status: u16) -> &'static str {
    match status {
        400 => "The request could not be understood; nothing was done.",
        401 => "It is not known who is asking.",
        403 => "The caller may not do this.",
        404 => "There is no such thing.",
        408 => "The request came too slowly; nothing was done.",
        409 => "It does not fit what there is; nothing was done.",
        412 => "The stream has another version; nothing was done. `ETag` says which.",
        413 => "The request is too large; nothing was done.",
        415 => "The media type is another; nothing was done.",
        422 => "The rules say no.",
        429 => "The subject has too many requests at one time; nothing was done.",
        500 => "Something went wrong here.",
        503 => "It was not done, and may be tried again.",
        504 => "Whether it was done is not known; the same `Idempotency-Key` finds out.",
        _ => "It did not succeed.",
    }
}

/// The problems by status, with what their codes mean: from the table of problems, and for 422 the refusals by precedence.
pub(super) fn problem_responses() -> Map<String, Value> {
    let described = [400, 401, 403, 404, 408, 409, 412, 413, 415, 422, 429, 500, 503, 504].map(|status| {
        let codes: Vec<String> = if status == 422 {
            RefusalCode::ALL.iter().map(|code| format!("- `{code}`: {}", code.meaning())).collect()
        } else {
            let of_status = PROBLEMS.iter().filter(|kind| kind.status == status);
            of_status.map(|kind| format!("- `{}`: {}", kind.code, kind.meaning)).collect()
        };
        let precedence = if status == 422 { " The first of these that applies is the `code`." } else { "" };
        let response = json!({
            "description": format!("{}{precedence}\n\n{}", problem_title(status), codes.join("\n")),
            "content": { PROBLEM_JSON: { "schema": { "$ref": "#/components/schemas/Problem" } } },
        });
        (format!("Problem{status}"), response)
    });
    described.into_iter().collect()
}
