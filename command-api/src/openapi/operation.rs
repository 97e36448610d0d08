//! An operation of the API and its examples, before they are described.

use cauri_http::auth::layer::Need;
use cauri_http::auth::role::Permission;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::Value;

use super::JSON;
use crate::answer::CommandAnswer;
use crate::command::{ApiCommand, Target};
use crate::routes::{History, StreamHistory};

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

    pub(super) fn body_of(mut self, media_type: &'static str, body: Value) -> Self {
        self.body = Some((media_type, body));
        self
    }
}

/// An operation of the API.
pub(crate) struct Operation {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    /// The parameter of the path: its name, what it is, and its schema.
    pub(super) target: Option<(&'static str, &'static str, fn(&mut SchemaGenerator) -> Option<Value>)>,
    pub(super) id: String,
    pub(super) tag: &'static str,
    pub(super) summary: &'static str,
    pub(super) description: &'static str,
    /// What it takes to be let in; nobody is asked where there is none.
    pub(super) permission: Option<Permission>,
    pub(super) body: Body,
    pub(super) success: Vec<(u16, &'static str, Reply)>,
    pub(super) examples: Vec<Example>,
}

/// What an operation reads.
pub(super) enum Body {
    None,
    Required(Shape),
    Optional(Shape),
    Bulk,
}

/// What an operation answers.
pub(super) enum Reply {
    Json(Shape),
    Text,
    Any,
}

/// A schema, made when there is a generator for what it refers to.
pub(super) type Shape = fn(&mut SchemaGenerator) -> Value;

pub(super) fn shape<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    generator.subschema_for::<T>().to_value()
}

impl Operation {
    pub(super) fn is_command(&self) -> bool {
        matches!(self.permission, Some(Permission::Write | Permission::Administer)) && !self.is_of_service()
    }

    /// Something is done to this process, not to the journal: there is no key, no version and no record.
    pub(super) fn is_of_service(&self) -> bool {
        self.tag == "service" && self.method == "post"
    }

    /// The statuses of the problems that it may answer with.
    pub(super) fn problems(&self) -> Vec<u16> {
        let mut statuses = Vec::new();
        if self.permission.is_some() {
            statuses.extend([400, 401, 403, 429]);
        }
        if self.path.contains('{') && (self.method == "get" || self.is_of_service()) {
            statuses.push(404);
        }
        if self.is_command() {
            statuses.extend([408, 412, 413, 415, 422, 504]);
        }
        if self.is_of_service() && !matches!(self.body, Body::None) {
            statuses.extend([408, 409, 413, 415]);
        }
        statuses.extend([500, 503]);
        statuses.sort_unstable();
        statuses
    }
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
    pub(super) fn named(mut self) -> Self {
        for example in &mut self.examples {
            example.operation.clone_from(&self.id);
        }
        self
    }

    /// One that reads something, or tells how this process is.
    pub(super) fn get(id: &str, path: &'static str, tag: &'static str, summary: &'static str, description: &'static str) -> Self {
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
    pub(super) fn read(self, reply: Reply) -> Self {
        Self { permission: Some(Permission::Read), success: vec![(200, "As it is now.", reply)], ..self }
    }
}
