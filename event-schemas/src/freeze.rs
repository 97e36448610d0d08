//! Freezing: a sample and a JSON Schema of each event type and version, written once and never changed.
//!
//! `cargo xtask freeze` runs this; the tests of this crate see to it that what is frozen stays true.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use cauri_domain::event::EventType;
use schemars::SchemaGenerator;
use serde_json::{Map, Value};

use crate::examples::examples;
use crate::registry::event_types;

/// What a run wrote, by file name.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Frozen {
    /// Samples that were not there.
    pub samples: Vec<String>,
    /// Schemas that were not there.
    pub schemas: Vec<String>,
    /// Schemas of the same shape whose descriptions follow the code again.
    pub reworded: Vec<String>,
}

/// Why nothing could be frozen.
#[derive(Debug, thiserror::Error)]
pub enum FreezeError {
    /// A type has another shape than its frozen schema, under the same version.
    #[error("the shape of a stored event changed: raise its version, write an upcaster, and freeze a sample ({})", .0.display())]
    ShapeChanged(PathBuf),
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A schema that is there is no JSON.
    #[error("{}: {source}", path.display())]
    Json {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
}

/// Writes the samples and schemas that are missing below `folder`, of current versions only.
///
/// A sample that is there is left alone; a schema that is there may get new words, never another shape.
pub fn freeze(folder: &Path) -> Result<Frozen, FreezeError> {
    let mut frozen = Frozen::default();
    let mut writes = Vec::new();
    for event_type in &event_types() {
        let name = schema_file(event_type.name, event_type.version);
        let path = folder.join("schemas").join(&name);
        let schema = schema(event_type);
        match read(&path)? {
            None => frozen.schemas.push(name),
            Some(text) => {
                let there: Value = serde_json::from_str(&text).map_err(|source| FreezeError::Json { path: path.clone(), source })?;
                if shape(&there) != shape(&schema) {
                    return Err(FreezeError::ShapeChanged(path));
                }
                if there == schema {
                    continue;
                }
                frozen.reworded.push(name);
            }
        }
        writes.push((path, format!("{schema:#}\n").into_bytes()));
    }
    for example in examples() {
        let name = sample_file(example.event_type, example.schema, example.case);
        let path = folder.join("samples").join(&name);
        if read(&path)?.is_none() {
            writes.push((path, [&example.bytes[..], b"\n"].concat()));
            frozen.samples.push(name);
        }
    }
    // Only now: a shape that changed stops the run before anything is written.
    for (path, bytes) in writes {
        let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, bytes));
        written.map_err(|source| FreezeError::File { path, source })?;
    }
    Ok(frozen)
}

/// Where the sample of a type, version and case stands.
pub fn sample_file(event_type: &str, version: u32, case: &str) -> String {
    if case == "full" { format!("{event_type}.v{version}.json") } else { format!("{event_type}.v{version}.{case}.json") }
}

/// Where the schema of a type and version stands.
pub fn schema_file(event_type: &str, version: u32) -> String {
    format!("{event_type}.v{version}.json")
}

/// The JSON Schema of a type's current payload as it is written, as a document of its own.
pub fn schema(event_type: &EventType) -> Value {
    let mut generator = SchemaGenerator::default();
    let mut document = Map::new();
    document.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
    document.insert("title".into(), format!("{} version {}", event_type.name, event_type.version).into());
    if let Value::Object(payload) = (event_type.json_schema)(&mut generator).to_value() {
        document.extend(payload);
    }
    let definitions = generator.take_definitions(true);
    if !definitions.is_empty() {
        document.insert("$defs".into(), Value::Object(definitions));
    }
    sorted(without_null(Value::Object(document)))
}

/// A schema without its words: what it accepts.
pub fn shape(schema: &Value) -> Value {
    match schema {
        Value::Object(fields) => {
            // A property may be called `description`, but then its schema is no string.
            let is_word = |name: &str, value: &Value| matches!(name, "description" | "title" | "$schema") && value.is_string();
            let kept = fields.iter().filter(|(name, value)| !is_word(name, value));
            Value::Object(kept.map(|(name, value)| (name.clone(), shape(value))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(shape).collect()),
        other => other.clone(),
    }
}

/// What is absent is never written as null, though it would be read.
fn without_null(schema: Value) -> Value {
    let mut fields = match schema {
        Value::Object(fields) => fields,
        Value::Array(items) => return Value::Array(items.into_iter().map(without_null).collect()),
        other => return other,
    };
    if let Some(Value::Array(types)) = fields.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = &types[..] {
            let only = only.clone();
            fields.insert("type".into(), only);
        }
    }
    if let Some(Value::Array(choices)) = fields.get_mut("anyOf") {
        choices.retain(|choice| choice["type"] != "null");
        if let [Value::Object(only)] = &choices[..] {
            let only = only.clone();
            fields.remove("anyOf");
            fields.extend(only);
        }
    }
    Value::Object(fields.into_iter().map(|(name, value)| (name, without_null(value))).collect())
}

/// Fields by name, whatever order `serde_json` was built to keep.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<(String, Value)> = fields.into_iter().map(|(name, value)| (name, sorted(value))).collect();
            fields.sort_by(|(left, _), (right, _)| left.cmp(right));
            Value::Object(fields.into_iter().collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}

fn read(path: &Path) -> Result<Option<String>, FreezeError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(FreezeError::File { path: path.to_owned(), source }),
    }
}
