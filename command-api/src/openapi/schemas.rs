//! What the schemas say that no type says.

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::bulk;

/// What the types say in code and their derived schemas do not: of two members there is one.
pub(super) fn either_or(schemas: &mut Map<String, Value>) {
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
pub(super) fn bulk_items(schemas: &mut Map<String, Value>) {
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
pub(super) fn bound_integers(value: &mut Value) {
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

pub(super) fn to_value(schema: impl Serialize) -> Value {
    // A schema is plain data; should that ever change, the test that compares the document says so.
    serde_json::to_value(schema).unwrap_or_default()
}
