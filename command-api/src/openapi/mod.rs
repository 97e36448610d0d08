//! The API's description (OpenAPI 3.1): commands are described by their declarations, schemas come from the types themselves.
//!
//! `openapi.json` is this document with the answers that its examples get. A test runs the examples, and keeps it true.

mod describe;
mod operation;
mod operations;
mod schemas;

use cauri_http::problem::Problem;
use schemars::generate::SchemaSettings;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Value, json};
use utoipa::{PartialSchema, ToSchema};

pub use operation::Example;
pub(crate) use operation::{Operation, command, history};

use self::describe::{describe, problem_responses};
use self::operations::operations;
use self::schemas::{bound_integers, bulk_items, either_or, to_value};
use crate::routes::TAGS;

/// The document as it is served.
pub const COMMITTED: &str = include_str!("../../openapi.json");

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

/// The examples, in the order in which they run on an empty ledger: accounts are opened first, and nothing comes after the
/// journal was closed but a look at it.
pub fn story() -> Vec<Example> {
    let mut examples: Vec<Example> = operations().into_iter().flat_map(|operation| operation.examples).collect();
    let first = ["openAccount", "bulk"];
    examples.sort_by_key(|example| first.iter().position(|id| example.operation == *id).unwrap_or(first.len()));
    examples
}
