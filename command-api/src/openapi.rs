//! The API's description (OpenAPI 3.1): operations and examples stand here, schemas come from the types themselves.
//!
//! `openapi.json` is this document with the answers that its examples get. A test runs the examples, and keeps it true.

use cauri_domain::RefusalCode;
use cauri_domain::account::{ChangeLimits, CloseAccount, FreezeAccount, OpenAccount};
use cauri_domain::entry::{PostEntry, ReverseEntry, VoidHold};
use cauri_domain::journal::CloseJournal;
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value, json};
use utoipa::{PartialSchema, ToSchema};

use crate::answer::CommandAnswer;
use crate::auth::role::Permission;
use crate::bulk::Nothing;
use crate::problem::{PROBLEM_JSON, PROBLEMS, Problem};
use crate::readiness::Readiness;
use crate::routes::bulk::{BulkAnswer, NDJSON};
use crate::routes::entries::PostHoldBody;
use crate::routes::{AcceptGap, GapAnswer, HeadAnswer, StreamHistory};

/// The document as it is served.
pub const COMMITTED: &str = include_str!("../openapi.json");

const JSON: &str = "application/json";

/// Members in the order in which a person reads them; `serde_json` would sort them.
#[derive(Clone, Debug, Default)]
pub struct Ordered<T>(pub Vec<(String, T)>);

impl<T: Serialize> Serialize for Ordered<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// The whole document.
#[derive(serde::Serialize)]
pub struct Document {
    openapi: &'static str,
    info: Value,
    servers: Value,
    tags: Value,
    /// The names of the examples, in the order in which they run on an empty ledger, with an admin's token.
    #[serde(rename = "x-story")]
    pub story: Vec<&'static str>,
    paths: Ordered<Ordered<Value>>,
    components: Value,
}

/// One request and the status of its answer. Requests without a body have an example too: their parameters.
#[derive(Clone, Debug)]
pub struct Example {
    /// Its name, which no other example has.
    pub name: &'static str,
    /// What it shows.
    pub summary: &'static str,
    /// The operation that it is an example of.
    pub operation: &'static str,
    /// Parameters in path, query and headers.
    pub parameters: Vec<(&'static str, &'static str)>,
    /// The body, and its media type; lines of NDJSON are one string.
    pub body: Option<(&'static str, Value)>,
    /// The status that it gets.
    pub status: u16,
}

/// An operation of the API.
struct Operation {
    method: &'static str,
    path: &'static str,
    id: &'static str,
    tag: &'static str,
    summary: &'static str,
    description: &'static str,
    /// What it takes to be let in; nobody is asked where there is none.
    permission: Option<Permission>,
    body: Body,
    success: Vec<(u16, &'static str, Reply)>,
}

/// What an operation reads.
enum Body {
    None,
    Required(Shape),
    Optional(Shape),
    Bulk,
}

/// What an operation answers.
enum Reply {
    Json(Shape),
    Text,
    Any,
}

/// A schema, made when there is a generator for what it refers to.
type Shape = fn(&mut SchemaGenerator) -> Value;

fn shape<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    generator.subschema_for::<T>().to_value()
}

impl Operation {
    fn is_command(&self) -> bool {
        matches!(self.permission, Some(Permission::Write | Permission::Administer)) && !self.is_of_service()
    }

    /// Something is done to this process, not to the journal: there is no key, no version and no record.
    fn is_of_service(&self) -> bool {
        self.tag == "service" && self.method == "post"
    }

    /// The statuses of the problems that it may answer with.
    fn problems(&self) -> Vec<u16> {
        let mut statuses = Vec::new();
        if self.permission.is_some() {
            statuses.extend([400, 401, 403, 429]);
        }
        if self.path.contains('{') && self.method == "get" {
            statuses.push(404);
        }
        if self.is_command() {
            statuses.extend([408, 412, 413, 415, 422, 504]);
        }
        if self.is_of_service() {
            statuses.extend([408, 409, 413, 415]);
        }
        statuses.extend([500, 503]);
        statuses.sort_unstable();
        statuses
    }
}

/// The document without the answers of its examples.
pub fn document() -> Document {
    answered(&[])
}

/// The document with the answers that its examples got: name, headers worth showing, body.
pub fn answered(answers: &[(&str, Value)]) -> Document {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    settings.meta_schema = None;
    let mut generator = settings.into_generator();
    let story = story();
    let mut paths: Ordered<Ordered<Value>> = Ordered(Vec::new());
    for operation in operations() {
        let examples: Vec<&Example> = story.iter().filter(|example| example.operation == operation.id).collect();
        let described = describe(&operation, &examples, answers, &mut generator);
        match paths.0.iter_mut().find(|(path, _)| path == operation.path) {
            Some((_, methods)) => methods.0.push((operation.method.to_owned(), described)),
            None => paths.0.push((operation.path.to_owned(), Ordered(vec![(operation.method.to_owned(), described)]))),
        }
    }
    let mut schemas = generator.take_definitions(true);
    schemas.insert("Problem".into(), to_value(Problem::schema()));
    let mut others = Vec::new();
    Problem::schemas(&mut others);
    for (name, schema) in others {
        schemas.insert(name, to_value(schema));
    }
    either_or(&mut schemas);
    bulk_items(&mut schemas);
    let mut schemas = Value::Object(schemas);
    bound_integers(&mut schemas);
    Document {
        openapi: "3.1.0",
        info: json!({
            "title": "Cauri command API",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Commands for a double-entry ledger whose every event is kept, numbered and proven.",
            "description": INTRODUCTION,
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        }),
        servers: json!([{ "url": "/", "description": "This server." }]),
        tags: json!([
            { "name": "accounts", "description": "Open, freeze, close and limit accounts." },
            { "name": "entries", "description": "Post entries, hold money, post and void holds, reverse." },
            { "name": "bulk", "description": "Many commands in one request." },
            { "name": "journal", "description": "The journal itself." },
            { "name": "service", "description": "The health of this process." },
        ]),
        story: story.iter().map(|example| example.name).collect(),
        paths,
        components: json!({
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "RS256, with `sub`, `exp`, `iss`, `aud` and `roles`: `admin`, `operator`, `auditor` or `reader`. `cauri token --role operator` makes one for development.",
                },
            },
            "responses": problem_responses(),
            "schemas": schemas,
        }),
    }
}

const INTRODUCTION: &str = "\
Every command is answered after it is durable. Amounts are decimal strings in major units, with at most as many digits after the point as the \
currency has; Cauri refuses, it does not round. Instants are those of RFC 3339 §5.6, with at most six digits after the second and without leap \
seconds. An object has each key once; `null` says the same as the absence of an optional member.\n\n\
**Retries.** Send an `Idempotency-Key`; a command that moves money needs one, or for a new entry an `id` made by the caller, which then is the key. \
The same key with the same content gets the first answer again, accepted or refused, with `Idempotency-Replayed: true`; with another content it is \
refused as `idempotency_key_reused`. Equal values are the same content however they are written. A refusal stands: the same key does not succeed \
later. Keys belong to the caller: two callers with one key ask for two commands. Every answer gives the key back.\n\n\
**Versions.** `ETag` is the version of the account's or entry's stream, `If-Match` asks for one; `\"0\"` is the version before the first event.\n\n\
**Reading what you wrote.** `position` (also the header `Cauri-Position`) is a token that a query takes: it then sees at least your command.\n\n\
**Errors** are `application/problem+json` (RFC 9457) with a stable `code`, and a JSON pointer into your request where there is a place to point at.";

fn describe(operation: &Operation, examples: &[&Example], answers: &[(&str, Value)], generator: &mut SchemaGenerator) -> Value {
    let mut described = json!({
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": operation.description,
        "parameters": parameters(operation, examples),
        "responses": responses(operation, examples, answers, generator),
    });
    if let Some(permission) = operation.permission {
        described["security"] = json!([{ "token": [] }]);
        described["x-permission"] = json!(permission.as_str());
    } else {
        described["security"] = json!([]);
    }
    if let Some(body) = request_body(operation, examples, generator) {
        described["requestBody"] = body;
    }
    described
}

fn parameters(operation: &Operation, examples: &[&Example]) -> Value {
    let mut found = Vec::new();
    let mut add = |name: &str, place: &str, description: &str, schema: Value| {
        let mut parameter = json!({ "name": name, "in": place, "description": description, "schema": schema });
        if place == "path" {
            parameter["required"] = json!(true);
        }
        let shown: Map<String, Value> = examples
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
    if operation.path.contains("{address}") {
        let schema = json!({ "type": "string", "pattern": "^[A-Za-z0-9_-]+(:[A-Za-z0-9_-]+){0,15}$", "maxLength": 200 });
        add("address", "path", "The account's address.", schema);
    }
    if operation.path.contains("{id}") {
        add("id", "path", "The entry's id.", json!({ "type": "string", "format": "uuid" }));
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

fn request_body(operation: &Operation, examples: &[&Example], generator: &mut SchemaGenerator) -> Option<Value> {
    let of_type = |media_type: &str| -> Map<String, Value> {
        let of_type = examples.iter().filter_map(|example| {
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
            // So that the definitions that items refer to are there.
            for schema in [shape::<OpenAccount>, shape::<PostEntry>, shape::<FreezeAccount>, shape::<CloseAccount>, shape::<ChangeLimits>] {
                schema(generator);
            }
            for schema in [shape::<PostHoldBody>, shape::<VoidHold>, shape::<ReverseEntry>, shape::<Nothing>] {
                schema(generator);
            }
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

fn responses(operation: &Operation, examples: &[&Example], answers: &[(&str, Value)], generator: &mut SchemaGenerator) -> Value {
    let shown = |status: u16| -> Map<String, Value> {
        let of_status = examples.iter().filter(|example| example.status == status);
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
fn problem_responses() -> Map<String, Value> {
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

/// What the types say in code and their derived schemas do not: of two members there is one.
fn either_or(schemas: &mut Map<String, Value>) {
    let only =
        |one: &str, other: &str| json!({ "required": [one], "properties": { one: { "type": "object" }, other: { "type": "null" } } });
    if let Some(transfer) = schemas.get_mut("TransferRequest") {
        transfer["oneOf"] = json!([only("amount", "up_to"), only("up_to", "amount")]);
    }
    if let Some(post) = schemas.get_mut("PostHold") {
        post["not"] = json!({
            "required": ["amount", "amounts"],
            "properties": { "amount": { "type": "object" }, "amounts": { "type": "array" } },
        });
    }
}

/// The schemas of bulk items: those of the single commands with what stands beside.
fn bulk_items(schemas: &mut Map<String, Value>) {
    let items = [
        ("post_entry", "PostEntry", None),
        ("open_account", "OpenAccount", None),
        ("freeze_account", "FreezeAccount", Some("address")),
        ("unfreeze_account", "Nothing", Some("address")),
        ("close_account", "CloseAccount", Some("address")),
        ("reopen_account", "Nothing", Some("address")),
        ("change_limits", "ChangeLimits", Some("address")),
        ("post_hold", "PostHold", Some("id")),
        ("void_hold", "VoidHold", Some("id")),
        ("reverse_entry", "ReverseEntry", Some("id")),
    ];
    let mut mapping = Map::new();
    let mut variants = Vec::new();
    for (op, body, target) in items {
        let mut item = schemas.get(body).cloned().unwrap_or_else(|| json!({ "type": "object" }));
        item["description"] = json!(format!("`{op}` with the fields of `{body}`."));
        item["properties"]["op"] = json!({ "const": op });
        item["properties"]["idempotency_key"] = json!({ "anyOf": [{ "$ref": "#/components/schemas/CommandId" }, { "type": "null" }] });
        item["properties"]["expected_version"] = json!({
            "type": ["integer", "null"], "minimum": 0,
            "description": "Decide only if the target's stream is at this version; 0 is before its first event.",
        });
        let mut required: Vec<Value> = item.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
        required.push(json!("op"));
        if let Some(target) = target {
            let schema = if target == "id" { "EntryId" } else { "AccountAddress" };
            item["properties"][target] = json!({ "$ref": format!("#/components/schemas/{schema}") });
            required.push(json!(target));
        }
        item["required"] = Value::Array(required);
        let name: String = format!("bulk_{op}");
        mapping.insert(op.to_owned(), json!(format!("#/components/schemas/{name}")));
        variants.push(json!({ "$ref": format!("#/components/schemas/{name}") }));
        schemas.insert(name, item);
    }
    let id = json!({ "type": "string", "pattern": "^[\\u0021-\\u007e]{1,255}$", "description": "1 to 255 visible ASCII characters" });
    schemas.insert("CommandId".into(), id);
    let item = json!({ "oneOf": variants, "discriminator": { "propertyName": "op", "mapping": mapping } });
    schemas.insert("BulkItem".into(), item);
    let commands = json!({ "type": "array", "minItems": 1, "maxItems": 8_189, "items": { "$ref": "#/components/schemas/BulkItem" } });
    let request = json!({
        "description": "The commands as an array, or as a member with `atomic` beside it.",
        "oneOf": [
            commands,
            {
                "type": "object",
                "properties": { "atomic": { "type": ["boolean", "null"], "description": "All or none; each for itself if absent." }, "commands": commands },
                "required": ["commands"],
                "additionalProperties": false,
            },
        ],
    });
    schemas.insert("BulkRequest".into(), request);
    let problem = json!({
        "description": "Why nothing of an atomic request was applied.",
        "allOf": [{ "$ref": "#/components/schemas/Problem" }],
        "type": "object",
        "properties": {
            "index": { "type": "integer", "minimum": 0, "description": "Which command stood in the way." },
            "results": { "type": "array", "items": { "$ref": "#/components/schemas/BulkResult" } },
        },
        "required": ["index", "results"],
    });
    schemas.insert("BulkProblem".into(), problem);
}

/// `uint64` and its kin are formats that only Rust knows; what they bound is said by `minimum`.
fn bound_integers(value: &mut Value) {
    match value {
        Value::Object(members) => {
            if members.get("format").and_then(Value::as_str).is_some_and(|format| format.starts_with("uint")) {
                members.remove("format");
            }
            members.values_mut().for_each(bound_integers);
        }
        Value::Array(items) => items.iter_mut().for_each(bound_integers),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn to_value(schema: impl Serialize) -> Value {
    // A schema is plain data; should that ever change, the test that compares the document says so.
    serde_json::to_value(schema).unwrap_or_default()
}

fn operations() -> Vec<Operation> {
    let answer = || Reply::Json(shape::<CommandAnswer>);
    let account = |id, path, summary, description, body| Operation {
        method: "post",
        path,
        id,
        tag: "accounts",
        summary,
        description,
        permission: Some(Permission::Write),
        body,
        success: vec![(200, "It is done.", answer())],
    };
    let entry = |id, path, summary, description, body| Operation { tag: "entries", ..account(id, path, summary, description, body) };
    let service = |id, path, summary, description, success| Operation {
        method: "get",
        path,
        id,
        tag: "service",
        summary,
        description,
        permission: None,
        body: Body::None,
        success,
    };
    let read = |id, path, tag, summary, description, reply| Operation {
        method: "get",
        path,
        id,
        tag,
        summary,
        description,
        permission: Some(Permission::Read),
        body: Body::None,
        success: vec![(200, "As it is now.", reply)],
    };
    vec![
        Operation {
            success: vec![(201, "The account is open.", answer())],
            ..account(
                "openAccount",
                "/v1/accounts",
                "Open an account",
                "An address is opened once; a closed account is reopened, not opened again.",
                Body::Required(shape::<OpenAccount>),
            )
        },
        read(
            "accountHistory",
            "/v1/accounts/{address}",
            "accounts",
            "What happened to an account",
            "The events of the account itself, and the version for `If-Match`. Entries, balances and statements are in GraphQL.",
            Reply::Json(shape::<StreamHistory>),
        ),
        Operation {
            method: "post",
            path: "/v1/bulk",
            id: "bulk",
            tag: "bulk",
            summary: "Submit up to 8,189 commands",
            description: "Each for itself, or with `atomic` all or none. An item is the body of the single command with `op` and, where the single \
                command has its target in the path, `address` or `id`. Without a key of its own its key is `<Idempotency-Key>/<index>`. A request with \
                an item that cannot be understood is refused whole.",
            permission: Some(Permission::Write),
            body: Body::Bulk,
            success: vec![(200, "Every command has its result, in order.", Reply::Json(shape::<BulkAnswer>))],
        },
        Operation {
            success: vec![(201, "The entry is written.", answer())],
            ..entry(
                "postEntry",
                "/v1/entries",
                "Post an entry, or hold it",
                "All transfers or none; limits hold after all of them. With `hold` the money is taken from what is available and moves when the hold is posted.",
                Body::Required(shape::<PostEntry>),
            )
        },
        read(
            "entryHistory",
            "/v1/entries/{id}",
            "entries",
            "What happened to an entry",
            "The events of the entry, and the version for `If-Match`.",
            Reply::Json(shape::<StreamHistory>),
        ),
        entry(
            "postHold",
            "/v1/entries/{id}/post",
            "Post a hold",
            "Whole, or in part; the rest is released. `amount` is short for `amounts` where the hold has one transfer.",
            Body::Optional(shape::<PostHoldBody>),
        ),
        entry("voidHold", "/v1/entries/{id}/void", "Void a hold", "What was held is available again.", Body::Optional(shape::<VoidHold>)),
        entry(
            "reverseEntry",
            "/v1/entries/{id}/reverse",
            "Reverse an entry",
            "The opposite entry is posted, once; the answer names it in `entry_id`.",
            Body::Optional(shape::<ReverseEntry>),
        ),
        account(
            "freezeAccount",
            "/v1/accounts/{address}/freeze",
            "Freeze an account",
            "Holds may be voided or expire, nothing else moves.",
            Body::Optional(shape::<FreezeAccount>),
        ),
        account(
            "unfreezeAccount",
            "/v1/accounts/{address}/unfreeze",
            "Unfreeze an account",
            "It takes entries again.",
            Body::Optional(shape::<Nothing>),
        ),
        account(
            "changeLimits",
            "/v1/accounts/{address}/limits",
            "Replace an account's limits",
            "Both at once: what is absent is no longer limited. The balance must be within the new limits.",
            Body::Required(shape::<ChangeLimits>),
        ),
        account(
            "closeAccount",
            "/v1/accounts/{address}/close",
            "Close an account",
            "What is left goes to `sweep_to` in the same commit; the answer names that entry in `entry_id`.",
            Body::Optional(shape::<CloseAccount>),
        ),
        account(
            "reopenAccount",
            "/v1/accounts/{address}/reopen",
            "Reopen a closed account",
            "It is open as it was before.",
            Body::Optional(shape::<Nothing>),
        ),
        read(
            "head",
            "/v1/head",
            "journal",
            "How far the journal is",
            "The last position and the Merkle root there.",
            Reply::Json(shape::<HeadAnswer>),
        ),
        service(
            "alive",
            "/healthz",
            "Whether the process is alive",
            "It says nothing about the engine.",
            vec![(200, "It is.", Reply::Any)],
        ),
        service(
            "ready",
            "/readyz",
            "Whether this process takes requests",
            "Whether there is a reason against it, and the names of the reasons. A caller with a token that may read also gets what was looked at: engine, store, clock and the lag of the read models.",
            vec![(200, "It does.", Reply::Json(shape::<Readiness>)), (503, "It does not, or not now.", Reply::Json(shape::<Readiness>))],
        ),
        Operation {
            method: "post",
            permission: Some(Permission::Administer),
            body: Body::Required(shape::<AcceptGap>),
            ..service(
                "acceptClockGap",
                "/v1/clock/accept-gap",
                "Accept a leap of the clock",
                "For a `clock_gap`: the clock is ahead of the last record or of the time that passed, and it is right. State what the time is, from \
                 another source than this server; the clock is accepted if it reads the same within five minutes. Who accepted what goes to the log.",
                vec![(200, "The clock is accepted, or there was nothing to accept.", Reply::Json(shape::<GapAnswer>))],
            )
        },
        service("metrics", "/metrics", "Figures for Prometheus", "Text in Prometheus' format.", vec![(200, "The figures.", Reply::Text)]),
        Operation {
            permission: Some(Permission::Administer),
            tag: "journal",
            ..account(
                "closeJournal",
                "/v1/journal/close",
                "Close the journal for good",
                "It takes no more commands, ever. Its business goes on in another journal.",
                Body::Optional(shape::<CloseJournal>),
            )
        },
    ]
}

/// The examples, in the order in which they run on an empty ledger.
#[expect(clippy::too_many_lines, reason = "a list")]
pub fn story() -> Vec<Example> {
    const AWA: &str = "merchants:awa:available";
    const BEN: &str = "merchants:ben:available";
    const RECEIVABLE: &str = "providers:wave:receivable";
    const FLOAT: &str = "providers:wave:float";
    const FEES: &str = "income:fees:collection";
    const COLLECTION: &str = "01957f00-0000-7000-8000-000000000001";
    const PAYOUT: &str = "01957f00-0000-7000-8000-000000000002";
    const CANCELLED: &str = "01957f00-0000-7000-8000-000000000003";
    let xof = |amount: &str| json!({ "amount": amount, "currency": "XOF" });
    let moves = |debit: &str, credit: &str, amount: &str| json!({ "debit": debit, "credit": credit, "amount": xof(amount) });
    let example = |operation, name, status, summary, parameters: &[(&'static str, &'static str)], body: Value| Example {
        name,
        summary,
        operation,
        parameters: parameters.to_vec(),
        body: (!body.is_null()).then_some((JSON, body)),
        status,
    };
    let key = |key: &'static str| ("Idempotency-Key", key);
    let collection = json!({
        "id": COLLECTION,
        "effective_at": "2026-03-16T08:00:00Z",
        "reference": "T_7KQ2M9",
        "dimensions": { "merchant": "awa", "provider": "wave", "country": "CI" },
        "transfers": [
            moves(RECEIVABLE, AWA, "9890"),
            moves(RECEIVABLE, FEES, "100"),
            moves(RECEIVABLE, "liabilities:taxes:taf", "10"),
            moves("expenses:providers:wave", RECEIVABLE, "50"),
        ],
    });
    let open = |address: &str, kind: &str| json!({ "op": "open_account", "address": address, "kind": kind, "currency": "XOF" });
    let lines = [
        json!({ "op": "open_account", "address": BEN, "kind": "liability", "currency": "XOF", "limits": { "floor": "0" } }),
        json!({ "op": "freeze_account", "address": FLOAT, "reason": "not yet funded" }),
        json!({ "op": "unfreeze_account", "address": FLOAT }),
    ];
    let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
    vec![
        example(
            "openAccount",
            "open_merchant",
            201,
            "A merchant's money: a liability that may not fall below zero",
            &[key("open-awa")],
            json!({
                "address": AWA, "kind": "liability", "currency": "XOF", "limits": { "floor": "0" },
                "chart_code": "4671", "owner": "party-awa", "metadata": { "country": "CI" },
            }),
        ),
        example(
            "openAccount",
            "open_twice",
            422,
            "The address is taken",
            &[key("open-awa-2")],
            json!({ "address": AWA, "kind": "asset", "currency": "XOF" }),
        ),
        example(
            "openAccount",
            "limit_as_number",
            400,
            "A limit is a decimal string, not a JSON number",
            &[],
            json!({ "address": "wallets:c1", "kind": "liability", "currency": "XOF", "limits": { "floor": 0 } }),
        ),
        example("accountHistory", "merchant_history", 200, "What happened to the merchant's account", &[("address", AWA)], Value::Null),
        example("accountHistory", "nobodys_history", 404, "Nothing ever happened there", &[("address", "merchants:nobody")], Value::Null),
        example(
            "bulk",
            "open_many",
            200,
            "The accounts that a collection touches",
            &[key("chart-1")],
            json!([
                open(RECEIVABLE, "asset"),
                open(FLOAT, "asset"),
                open(FEES, "income"),
                open("liabilities:taxes:taf", "liability"),
                open("expenses:providers:wave", "expense"),
            ]),
        ),
        Example {
            body: Some((NDJSON, json!(lines))),
            ..example("bulk", "lines", 200, "The same as lines", &[key("chart-2")], Value::Null)
        },
        example(
            "bulk",
            "all_or_none",
            422,
            "The second command is refused, so nothing of the first is written",
            &[("atomic", "true"), key("day-1")],
            json!([
                { "op": "post_entry", "transfers": [moves(RECEIVABLE, BEN, "100")] },
                { "op": "post_entry", "transfers": [moves(BEN, RECEIVABLE, "200")] },
            ]),
        ),
        example(
            "bulk",
            "misspelt_op",
            400,
            "An item that cannot be understood is pointed at",
            &[],
            json!({ "atomic": false, "commands": [{ "op": "post_money", "transfers": [] }] }),
        ),
        example(
            "postEntry",
            "collection",
            201,
            "A customer pays 10,000 by Wave: fee 100, tax 10, cost 50",
            &[key("T_7KQ2M9")],
            collection.clone(),
        ),
        example("postEntry", "collection_again", 201, "The same key and content: the first answer again", &[key("T_7KQ2M9")], collection),
        example(
            "postEntry",
            "key_reused",
            422,
            "The same key with another content",
            &[key("T_7KQ2M9")],
            json!({ "transfers": [moves(RECEIVABLE, AWA, "9891")] }),
        ),
        example(
            "postEntry",
            "payout_hold",
            201,
            "A payout of 5,000 with a fee of 50 is held until the provider has answered",
            &[key("payout-1")],
            json!({
                "id": PAYOUT,
                "hold": { "expires_at": "2099-12-31T00:00:00Z" },
                "transfers": [moves(AWA, FLOAT, "5000"), moves(AWA, FEES, "50")],
            }),
        ),
        example(
            "postEntry",
            "small_hold",
            201,
            "A hold that is given up again",
            &[key("payout-2")],
            json!({ "id": CANCELLED, "hold": {}, "transfers": [moves(AWA, FLOAT, "1000")] }),
        ),
        example(
            "postEntry",
            "below_floor",
            422,
            "More than is available, counting holds",
            &[key("payout-3")],
            json!({ "transfers": [moves(AWA, FLOAT, "9000")] }),
        ),
        example(
            "postEntry",
            "without_a_side",
            400,
            "A transfer needs both sides",
            &[],
            json!({ "transfers": [{ "debit": AWA, "amount": xof("1") }] }),
        ),
        example("entryHistory", "hold_history", 200, "What happened to the payout so far", &[("id", PAYOUT)], Value::Null),
        example(
            "postHold",
            "payout_succeeded",
            200,
            "The provider paid: both transfers in full",
            &[("id", PAYOUT), ("If-Match", "\"1\""), key("payout-1-post")],
            json!({ "amounts": [xof("5000"), xof("50")] }),
        ),
        example(
            "postHold",
            "stale_version",
            412,
            "Somebody was faster",
            &[("id", PAYOUT), ("If-Match", "\"1\""), key("payout-1-post-2")],
            json!({}),
        ),
        example(
            "postHold",
            "too_much",
            422,
            "More than was held",
            &[("id", CANCELLED), key("payout-2-post")],
            json!({ "amount": xof("1001") }),
        ),
        example(
            "voidHold",
            "payout_failed",
            200,
            "The provider did not pay",
            &[("id", CANCELLED), key("payout-2-void")],
            json!({ "reason": "PAYEE_NOT_FOUND" }),
        ),
        example("voidHold", "void_posted", 422, "What was posted cannot be voided", &[("id", PAYOUT), key("payout-1-void")], json!({})),
        example(
            "reverseEntry",
            "payout_returned",
            200,
            "The payout came back",
            &[("id", PAYOUT), key("payout-1-reverse")],
            json!({ "reason": "account of the payee is closed", "entry_id": "01957f00-0000-7000-8000-000000000004" }),
        ),
        example("reverseEntry", "reversed_before", 422, "Once", &[("id", PAYOUT), key("payout-1-reverse-2")], json!({})),
        example(
            "freezeAccount",
            "freeze",
            200,
            "An investigation",
            &[("address", BEN), key("freeze-ben")],
            json!({ "reason": "case 2026-17" }),
        ),
        example(
            "freezeAccount",
            "freeze_nobody",
            422,
            "There is no such account",
            &[("address", "merchants:nobody"), key("f-2")],
            json!({}),
        ),
        example("unfreezeAccount", "unfreeze", 200, "The investigation is over", &[("address", BEN), key("unfreeze-ben")], json!({})),
        example(
            "changeLimits",
            "limit",
            200,
            "An overdraft of 5,000 and a ceiling of 2,000,000",
            &[("address", BEN), key("limit-ben")],
            json!({ "limits": { "floor": "-5000", "ceiling": "2000000" } }),
        ),
        example(
            "closeAccount",
            "not_empty",
            422,
            "Something is left and has nowhere to go",
            &[("address", AWA), key("close-awa")],
            json!({}),
        ),
        example(
            "closeAccount",
            "close",
            200,
            "What is left goes to another account",
            &[("address", AWA), key("close-awa-2")],
            json!({ "sweep_to": BEN, "reason": "the shop has moved", "entry_id": "01957f00-0000-7000-8000-000000000005" }),
        ),
        example("reopenAccount", "reopen", 200, "The shop is back", &[("address", AWA), key("reopen-awa")], json!({})),
        example("head", "head", 200, "The head after all of this", &[], Value::Null),
        example("ready", "ready", 200, "All is well", &[], Value::Null),
        example(
            "acceptClockGap",
            "no_gap",
            200,
            "The clock did not leap: there is nothing to accept",
            &[],
            json!({ "now": "2026-03-16T08:00:00Z" }),
        ),
        example(
            "closeJournal",
            "year_is_over",
            200,
            "The last command of a journal",
            &[key("close")],
            json!({ "reason": "goes on in ledger-2027" }),
        ),
        example("closeJournal", "closed_before", 422, "Nothing comes after it", &[key("close-2")], json!({})),
    ]
}
