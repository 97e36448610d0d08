//! The API's description (OpenAPI 3.1): commands are described by their declarations, schemas come from the types themselves.
//!
//! `openapi.json` is this document with the answers that its examples get. A test runs the examples, and keeps it true.

use cauri_domain::RefusalCode;
use cauri_http::auth::layer::Need;
use cauri_http::auth::role::Permission;
use cauri_http::problem::{PROBLEM_JSON, PROBLEMS, Problem};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value, json};
use utoipa::{PartialSchema, ToSchema};

use crate::answer::CommandAnswer;
use crate::bulk;
use crate::command::{ApiCommand, Target, commands};
use crate::examples::{BEN, FEES, FLOAT, RECEIVABLE, key, moves};
use crate::readiness::Readiness;
use crate::routes::bulk::{BulkAnswer, NDJSON};
use crate::routes::{AcceptGap, GapAnswer, HISTORIES, HeadAnswer, History, StreamHistory, TAGS};

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
    pub operation: String,
    /// What the path names.
    pub(crate) target: Option<&'static str>,
    /// Parameters in path, query and headers.
    pub parameters: Vec<(&'static str, &'static str)>,
    /// The body, and its media type; lines of NDJSON are one string.
    pub body: Option<(&'static str, Value)>,
    /// The status that it gets.
    pub status: u16,
}

impl Example {
    /// A request without parameters and body.
    pub(crate) const fn new(name: &'static str, status: u16, summary: &'static str) -> Self {
        Self { name, summary, operation: String::new(), target: None, parameters: Vec::new(), body: None, status }
    }

    /// Names what it is for in the path.
    pub(crate) fn of(mut self, target: &'static str) -> Self {
        self.target = Some(target);
        self
    }

    /// Adds a parameter.
    pub(crate) fn with(mut self, parameter: (&'static str, &'static str)) -> Self {
        self.parameters.push(parameter);
        self
    }

    /// With this body.
    pub(crate) fn body(self, body: Value) -> Self {
        self.body_of(JSON, body)
    }

    fn body_of(mut self, media_type: &'static str, body: Value) -> Self {
        self.body = Some((media_type, body));
        self
    }
}

/// An operation of the API.
pub(crate) struct Operation {
    method: &'static str,
    path: &'static str,
    /// The parameter of the path: its name, what it is, and its schema.
    target: Option<(&'static str, &'static str, fn(&mut SchemaGenerator) -> Option<Value>)>,
    id: String,
    tag: &'static str,
    summary: &'static str,
    description: &'static str,
    /// What it takes to be let in; nobody is asked where there is none.
    permission: Option<Permission>,
    body: Body,
    success: Vec<(u16, &'static str, Reply)>,
    examples: Vec<Example>,
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
    let mut paths: Ordered<Ordered<Value>> = Ordered(Vec::new());
    for operation in operations() {
        let described = describe(&operation, answers, &mut generator);
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
        tags: TAGS.into_iter().map(|(name, description)| json!({ "name": name, "description": description })).collect(),
        story: story().iter().map(|example| example.name).collect(),
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

fn describe(operation: &Operation, answers: &[(&str, Value)], generator: &mut SchemaGenerator) -> Value {
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
    let mut mapping = Map::new();
    let mut variants = Vec::new();
    for command in bulk::declared() {
        let (op, body) = (command.op, (command.schema_name)());
        let mut item = schemas.get(&body).cloned().unwrap_or_else(|| json!({ "type": "object" }));
        item["description"] = json!(format!("`{op}` with the fields of `{body}`."));
        item["properties"]["op"] = json!({ "const": op });
        item["properties"]["idempotency_key"] = json!({ "anyOf": [{ "$ref": "#/components/schemas/CommandId" }, { "type": "null" }] });
        item["properties"]["expected_version"] = json!({
            "type": ["integer", "null"], "minimum": 0,
            "description": "Decide only if the target's stream is at this version; 0 is before its first event.",
        });
        let mut required: Vec<Value> = item.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
        required.push(json!("op"));
        if let Some((target, schema)) = command.target {
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

/// Examples with their targets as the parameter of the path.
fn addressed<T: Target>(mut examples: Vec<Example>) -> Vec<Example> {
    for example in &mut examples {
        if let (Some(parameter), Some(target)) = (T::MEMBER, example.target) {
            example.parameters.insert(0, (parameter, target));
        }
    }
    examples
}

/// The parameter of the path that names a target.
fn parameter<T: Target>() -> Option<(&'static str, &'static str, fn(&mut SchemaGenerator) -> Option<Value>)> {
    T::MEMBER.map(|name| (name, T::MEANING, T::schema as fn(&mut SchemaGenerator) -> Option<Value>))
}

/// The operation that reads a history.
pub(crate) fn history<T: History>() -> Operation {
    let tag = T::PATH.split('/').nth(2).unwrap_or_default();
    let operation = Operation::get(T::OPERATION, T::PATH, tag, T::SUMMARY, T::DESCRIPTION).read(Reply::Json(shape::<StreamHistory>));
    Operation { examples: addressed::<T>(T::examples()), target: parameter::<T>(), ..operation }.named()
}

/// The operation of a command.
pub(crate) fn command<C: ApiCommand>() -> Operation {
    let body = if C::without_body().is_some() { Body::Optional(shape::<C>) } else { Body::Required(shape::<C>) };
    let (status, done) = C::ACCEPTED;
    let examples = addressed::<C::Target>(C::examples());
    Operation {
        method: "post",
        path: C::PATH,
        target: parameter::<C::Target>(),
        id: camel_case(C::OP),
        // The resource: `/v1/accounts/…`.
        tag: C::PATH.split('/').nth(2).unwrap_or_default(),
        summary: C::SUMMARY,
        description: C::DESCRIPTION,
        permission: Some(C::Need::PERMISSION),
        body,
        success: vec![(status, done, Reply::Json(shape::<CommandAnswer>))],
        examples,
    }
    .named()
}

fn camel_case(op: &str) -> String {
    let mut words = op.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |id, word| {
        let (initial, rest) = word.split_at(word.len().min(1));
        id + &initial.to_uppercase() + rest
    })
}

impl Operation {
    /// Its examples know whose they are.
    fn named(mut self) -> Self {
        for example in &mut self.examples {
            example.operation.clone_from(&self.id);
        }
        self
    }

    /// One that reads something, or tells how this process is.
    fn get(id: &str, path: &'static str, tag: &'static str, summary: &'static str, description: &'static str) -> Self {
        Self {
            method: "get",
            path,
            target: None,
            id: id.to_owned(),
            tag,
            summary,
            description,
            permission: None,
            body: Body::None,
            success: Vec::new(),
            examples: Vec::new(),
        }
    }

    /// For those who may read.
    fn read(self, reply: Reply) -> Self {
        Self { permission: Some(Permission::Read), success: vec![(200, "As it is now.", reply)], ..self }
    }
}

/// Every operation: those of the commands as they are declared, then the others.
fn operations() -> Vec<Operation> {
    let mut operations: Vec<Operation> = commands().map(|command| (command.operation)()).collect();
    let open = |address: &str, kind: &str| json!({ "op": "open_account", "address": address, "kind": kind, "currency": "XOF" });
    let lines = [
        json!({ "op": "open_account", "address": BEN, "kind": "liability", "currency": "XOF", "limits": { "floor": "0" } }),
        json!({ "op": "freeze_account", "address": FLOAT, "reason": "not yet funded" }),
        json!({ "op": "unfreeze_account", "address": FLOAT }),
    ];
    let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let others = [
        Operation {
            method: "post",
            permission: Some(Permission::Write),
            body: Body::Bulk,
            success: vec![(200, "Every command has its result, in order.", Reply::Json(shape::<BulkAnswer>))],
            examples: vec![
                Example::new("open_many", 200, "The accounts that a collection touches").with(key("chart-1")).body(json!([
                    open(RECEIVABLE, "asset"),
                    open(FLOAT, "asset"),
                    open(FEES, "income"),
                    open("liabilities:taxes:taf", "liability"),
                    open("expenses:providers:wave", "expense"),
                ])),
                Example::new("lines", 200, "The same as lines").with(key("chart-2")).body_of(NDJSON, json!(lines)),
                Example::new("all_or_none", 422, "The second command is refused, so nothing of the first is written")
                    .with(("atomic", "true"))
                    .with(key("day-1"))
                    .body(json!([
                        { "op": "post_entry", "transfers": [moves(RECEIVABLE, BEN, "100")] },
                        { "op": "post_entry", "transfers": [moves(BEN, RECEIVABLE, "200")] },
                    ])),
                Example::new("misspelt_op", 400, "An item that cannot be understood is pointed at")
                    .body(json!({ "atomic": false, "commands": [{ "op": "post_money", "transfers": [] }] })),
            ],
            ..Operation::get(
                "bulk",
                "/v1/bulk",
                "bulk",
                "Submit up to 8,189 commands",
                "Each for itself, or with `atomic` all or none. An item is the body of the single command with `op` and, where the single \
                    command has its target in the path, `address` or `id`. Without a key of its own its key is `<Idempotency-Key>/<index>`. A request with \
                    an item that cannot be understood is refused whole.",
            )
        },
        Operation {
            examples: vec![Example::new("head", 200, "The head after all of this")],
            ..Operation::get("head", "/v1/head", "journal", "How far the journal is", "The last position and the Merkle root there.")
                .read(Reply::Json(shape::<HeadAnswer>))
        },
        Operation {
            success: vec![(200, "It is.", Reply::Any)],
            ..Operation::get("alive", "/healthz", "service", "Whether the process is alive", "It says nothing about the engine.")
        },
        Operation {
            success: vec![
                (200, "It does.", Reply::Json(shape::<Readiness>)),
                (503, "It does not, or not now.", Reply::Json(shape::<Readiness>)),
            ],
            examples: vec![Example::new("ready", 200, "All is well")],
            ..Operation::get(
                "ready",
                "/readyz",
                "service",
                "Whether this process takes requests",
                "Whether there is a reason against it, and the names of the reasons. A caller with a token that may read also gets what was looked at: engine, store, clock and the lag of the read models.",
            )
        },
        Operation {
            method: "post",
            permission: Some(Permission::Administer),
            body: Body::Required(shape::<AcceptGap>),
            success: vec![(200, "The clock is accepted, or there was nothing to accept.", Reply::Json(shape::<GapAnswer>))],
            examples: vec![
                Example::new("no_gap", 200, "The clock did not leap: there is nothing to accept")
                    .body(json!({ "now": "2026-03-16T08:00:00Z" })),
            ],
            ..Operation::get(
                "acceptClockGap",
                "/v1/clock/accept-gap",
                "service",
                "Accept a leap of the clock",
                "For a `clock_gap`: the clock is ahead of the last record or of the time that passed, and it is right. State what the time is, from \
                 another source than this server; the clock is accepted if it reads the same within five minutes. Who accepted what goes to the log.",
            )
        },
        Operation {
            success: vec![(200, "The figures.", Reply::Text)],
            ..Operation::get("metrics", "/metrics", "service", "Figures for Prometheus", "Text in Prometheus' format.")
        },
    ];
    operations.extend(HISTORIES.iter().map(|history| (history.operation)()));
    operations.extend(others.into_iter().map(Operation::named));
    operations
}

/// The examples, in the order in which they run on an empty ledger: accounts are opened first, and nothing comes after the
/// journal was closed but a look at it.
pub fn story() -> Vec<Example> {
    let mut examples: Vec<Example> = operations().into_iter().flat_map(|operation| operation.examples).collect();
    let first = ["openAccount", "bulk"];
    examples.sort_by_key(|example| first.iter().position(|id| example.operation == *id).unwrap_or(first.len()));
    examples
}
