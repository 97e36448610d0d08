//! Judging a document before anything is done with it: its size, its shape, and the positions that it asks for.
//!
//! The library's own checks write fragments out, so a few hundred bytes of fragments that spread each other would
//! keep them busy for hours, and its parser calls itself for every open bracket. Both are bounded here first.

use std::collections::{BTreeSet, HashMap, HashSet};

use async_graphql::parser::parse_query;
use async_graphql::parser::types::{ExecutableDocument, Field, OperationDefinition, OperationType, Selection, SelectionSet};
use async_graphql::{ServerError, Value, Variables};

use crate::error::QueryError;
use crate::limits::Limits;
use crate::scalars::position::position_in;

/// A document that may be validated and run.
#[derive(Debug)]
pub(crate) struct Judged {
    /// The document.
    pub(crate) document: ExecutableDocument,
    /// What the operation that was asked for does.
    pub(crate) kind: OperationType,
    /// What its root fields have as `minPosition`.
    pub(crate) min_positions: Vec<String>,
    /// What its root fields have as `knownAt`, where it is a position.
    pub(crate) known_at: Vec<u64>,
    /// A root field says `consistent: true`.
    pub(crate) consistent: bool,
}

/// Why a document is not even looked at by the library.
#[derive(Debug)]
pub(crate) enum Unfit {
    /// It is no GraphQL.
    Syntax(ServerError),
    /// It is too much, or names no operation.
    Refused(QueryError),
}

impl From<QueryError> for Unfit {
    fn from(error: QueryError) -> Self {
        Self::Refused(error)
    }
}

/// Parses a document and refuses what would cost more than `limits`.
pub(crate) fn judge(query: &str, operation_name: Option<&str>, variables: &Variables, limits: &Limits) -> Result<Judged, Unfit> {
    at_most("bytes in a document", query.len(), limits.document_bytes)?;
    at_most("open brackets in a document", nesting(query), limits.nesting)?;
    let document = parse_query(query).map_err(|error| Unfit::Syntax(error.into()))?;
    if let Some(field) = repeated_field(query) {
        return Err(QueryError::bad_input(format_args!("duplicate key \"{field}\": an input object has each field once")).into());
    }
    at_most("fragments in a document", document.fragments.len(), limits.fragments)?;

    let mut fragments = Fragments { document: &document, costs: HashMap::new(), open: HashSet::new() };
    let mut whole = Cost::default();
    for (_, operation) in document.operations.iter() {
        whole = whole.beside(fragments.cost_of(&operation.node.selection_set.node, &operation.node, true)?);
    }
    at_most("fields in a document, its fragments written out", whole.selections, limits.selections)?;
    at_most("aliases in a document", whole.aliases, limits.aliases)?;
    at_most("fields inside each other", whole.depth, limits.depth)?;
    at_most("fields inside each other in an introspection", whole.introspection_depth, limits.introspection_depth)?;
    // What the library's own recursion would count; it has its own bound of 32 and a text without a figure.
    at_most("fields and fragments inside each other", whole.levels, 32)?;

    let operation = chosen(&document, operation_name)?;
    let root = &operation.selection_set.node.items;
    if operation.ty == OperationType::Subscription && !matches!(root.as_slice(), [one] if matches!(one.node, Selection::Field(_))) {
        // The specification says one (§5.2.4.1), and the library would pass fragments over in silence.
        return Err(QueryError::bad_input("a subscription asks for one field, and not by a fragment").into());
    }
    for definition in operation.variable_definitions.iter().map(|definition| &definition.node) {
        // The library lets these pass where the argument itself may be null.
        let given = variables.get(&definition.name.node).or(definition.default_value.as_ref().map(|default| &default.node));
        if !definition.var_type.node.nullable && matches!(given, None | Some(Value::Null)) {
            let (name, ty) = (&definition.name.node, &definition.var_type.node);
            return Err(QueryError::bad_input(format_args!("the variable `${name}` of type `{ty}` is needed")).into());
        }
    }
    let mut asked = Asked { document: &document, operation, variables, min_positions: Vec::new(), known_at: Vec::new(), consistent: false };
    asked.collect(&operation.selection_set.node);
    let (kind, Asked { min_positions, known_at, consistent, .. }) = (operation.ty, asked);
    Ok(Judged { kind, min_positions, known_at, consistent, document })
}

fn at_most(what: &str, found: usize, most: usize) -> Result<(), QueryError> {
    if found <= most { Ok(()) } else { Err(QueryError::TooComplex(format!("{found} {what}, at most {most} are allowed"))) }
}

fn chosen<'a>(document: &'a ExecutableDocument, name: Option<&str>) -> Result<&'a OperationDefinition, QueryError> {
    let mut operations = document.operations.iter();
    match name {
        Some(name) => operations
            .find(|(candidate, _)| candidate.is_some_and(|candidate| candidate.as_str() == name))
            .map(|(_, operation)| &operation.node)
            .ok_or_else(|| {
                QueryError::bad_input(format_args!("the document has no operation `{}`", name.chars().take(80).collect::<String>()))
            }),
        None => match (operations.next(), operations.next()) {
            (Some((_, operation)), None) => Ok(&operation.node),
            (None, _) => Err(QueryError::bad_input("the document has no operation")),
            (Some(_), Some(_)) => Err(QueryError::bad_input("the document has several operations: say which by `operationName`")),
        },
    }
}

/// The most brackets that are open at once, not counting those in strings and comments.
fn nesting(query: &str) -> usize {
    let (mut open, mut most) = (0_usize, 0);
    for lexeme in (Lexemes { query, at: 0 }) {
        match lexeme {
            Lexeme::Sign(b'{' | b'[' | b'(') => {
                open += 1;
                most = most.max(open);
            }
            Lexeme::Sign(b'}' | b']' | b')') => open = open.saturating_sub(1),
            Lexeme::Sign(_) | Lexeme::Name(_) | Lexeme::Text => {}
        }
    }
    most
}

/// A field that an input object of a well-formed document has twice (§5.6.3). The library's parser keeps the last one
/// only, so the text has to be asked.
fn repeated_field(query: &str) -> Option<&str> {
    // Braces within parentheses are input objects, all others are selections.
    let (mut open, mut parentheses, mut before) = (Vec::new(), 0_usize, None);
    for lexeme in (Lexemes { query, at: 0 }) {
        match lexeme {
            Lexeme::Sign(b'{') => open.push((parentheses > 0).then(BTreeSet::new)),
            Lexeme::Sign(b'}') => drop(open.pop()),
            Lexeme::Sign(b'(') => parentheses += 1,
            Lexeme::Sign(b')') => parentheses = parentheses.saturating_sub(1),
            Lexeme::Sign(b':') => {
                if let (Some(name), Some(Some(fields))) = (before, open.last_mut())
                    && !fields.insert(name)
                {
                    return Some(name);
                }
            }
            Lexeme::Sign(_) | Lexeme::Name(_) | Lexeme::Text => {}
        }
        before = if let Lexeme::Name(name) = lexeme { Some(name) } else { None };
    }
    None
}

/// What a document consists of, without what the language passes over: spaces, commas and comments.
#[derive(Clone, Copy)]
enum Lexeme<'a> {
    Name(&'a str),
    /// A string.
    Text,
    Sign(u8),
}

struct Lexemes<'a> {
    query: &'a str,
    at: usize,
}

impl<'a> Iterator for Lexemes<'a> {
    type Item = Lexeme<'a>;

    fn next(&mut self) -> Option<Lexeme<'a>> {
        let bytes = self.query.as_bytes();
        loop {
            let start = self.at;
            self.at += 1;
            match *bytes.get(start)? {
                b' ' | b'\t' | b'\n' | b'\r' | b',' => {}
                b'#' => {
                    while self.at < bytes.len() && !matches!(bytes[self.at], b'\n' | b'\r') {
                        self.at += 1;
                    }
                }
                b'"' if bytes[start..].starts_with(b"\"\"\"") => {
                    self.at = start + 3;
                    while self.at < bytes.len() && !bytes[self.at..].starts_with(b"\"\"\"") {
                        self.at += if bytes[self.at..].starts_with(b"\\\"\"\"") { 4 } else { 1 };
                    }
                    self.at += 3;
                    return Some(Lexeme::Text);
                }
                b'"' => {
                    // A string ends with its line at the latest: the parser refuses it there.
                    while self.at < bytes.len() && !matches!(bytes[self.at], b'"' | b'\n' | b'\r') {
                        self.at += if bytes[self.at] == b'\\' { 2 } else { 1 };
                    }
                    self.at += 1;
                    return Some(Lexeme::Text);
                }
                byte if byte.is_ascii_alphabetic() || byte == b'_' => {
                    while bytes.get(self.at).is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_') {
                        self.at += 1;
                    }
                    return Some(Lexeme::Name(&self.query[start..self.at]));
                }
                sign => return Some(Lexeme::Sign(sign)),
            }
        }
    }
}

/// What a selection asks for, fragments written out.
#[derive(Clone, Copy, Default)]
struct Cost {
    selections: usize,
    aliases: usize,
    depth: usize,
    introspection_depth: usize,
    levels: usize,
}

impl Cost {
    fn beside(self, other: Self) -> Self {
        Self {
            selections: self.selections.saturating_add(other.selections),
            aliases: self.aliases.saturating_add(other.aliases),
            depth: self.depth.max(other.depth),
            introspection_depth: self.introspection_depth.max(other.introspection_depth),
            levels: self.levels.max(other.levels),
        }
    }
}

/// Counts each fragment once, however often it is spread.
struct Fragments<'a> {
    document: &'a ExecutableDocument,
    costs: HashMap<&'a str, Cost>,
    open: HashSet<&'a str>,
}

impl<'a> Fragments<'a> {
    /// `root`: the selection belongs to the operation itself, where `__schema` and `__type` are fields.
    fn cost_of(&mut self, set: &'a SelectionSet, operation: &'a OperationDefinition, root: bool) -> Result<Cost, QueryError> {
        let mut sum = Cost::default();
        for selection in &set.items {
            let one = match &selection.node {
                Selection::Field(field) => self.cost_of_field(&field.node, operation, root)?,
                Selection::InlineFragment(fragment) => {
                    let inner = self.cost_of(&fragment.node.selection_set.node, operation, root)?;
                    Cost { levels: inner.levels + 1, ..inner }
                }
                Selection::FragmentSpread(spread) => {
                    let inner = self.cost_of_fragment(spread.node.fragment_name.node.as_str(), operation, root)?;
                    Cost { levels: inner.levels + 1, ..inner }
                }
            };
            sum = sum.beside(one);
        }
        Ok(sum)
    }

    fn cost_of_field(&mut self, field: &'a Field, operation: &'a OperationDefinition, root: bool) -> Result<Cost, QueryError> {
        let inner = self.cost_of(&field.selection_set.node, operation, false)?;
        let introspection = root && matches!(field.name.node.as_str(), "__schema" | "__type");
        let depth = inner.depth + 1;
        Ok(Cost {
            selections: inner.selections.saturating_add(1),
            aliases: inner.aliases.saturating_add(usize::from(field.alias.is_some())),
            depth: if introspection { 0 } else { depth },
            introspection_depth: if introspection { depth } else { inner.introspection_depth },
            levels: inner.levels + 1,
        })
    }

    fn cost_of_fragment(&mut self, name: &'a str, operation: &'a OperationDefinition, root: bool) -> Result<Cost, QueryError> {
        if let Some(known) = self.costs.get(name) {
            return Ok(*known);
        }
        // A fragment that is not there is a matter for validation.
        let Some((name, fragment)) = self.document.fragments.iter().find(|(candidate, _)| candidate.as_str() == name) else {
            return Ok(Cost::default());
        };
        if !self.open.insert(name.as_str()) {
            return Err(QueryError::bad_input(format_args!("the fragment `{name}` spreads itself")));
        }
        let cost = self.cost_of(&fragment.node.selection_set.node, operation, root)?;
        self.open.remove(name.as_str());
        self.costs.insert(name.as_str(), cost);
        Ok(cost)
    }
}

/// Collects the positions that root fields ask for. Everything that is wrong with them is said by validation.
struct Asked<'a> {
    document: &'a ExecutableDocument,
    operation: &'a OperationDefinition,
    variables: &'a Variables,
    min_positions: Vec<String>,
    known_at: Vec<u64>,
    consistent: bool,
}

impl<'a> Asked<'a> {
    fn collect(&mut self, set: &'a SelectionSet) {
        for selection in &set.items {
            match &selection.node {
                Selection::Field(field) => self.collect_from(&field.node),
                Selection::InlineFragment(fragment) => self.collect(&fragment.node.selection_set.node),
                Selection::FragmentSpread(spread) => {
                    if let Some(fragment) = self.document.fragments.get(&spread.node.fragment_name.node) {
                        self.collect(&fragment.node.selection_set.node);
                    }
                }
            }
        }
    }

    fn collect_from(&mut self, field: &Field) {
        for (name, value) in &field.arguments {
            let value = value.node.clone().into_const_with(|variable| self.variable(variable.as_str()).ok_or(()));
            match (name.node.as_str(), value) {
                ("minPosition", Ok(Value::String(token))) => self.min_positions.push(token),
                ("consistent", Ok(Value::Boolean(consistent))) => self.consistent |= consistent,
                ("knownAt", Ok(value)) => self.known_at.extend(position_in(&value)),
                _ => {}
            }
        }
    }

    fn variable(&self, name: &str) -> Option<Value> {
        let default = || {
            let definition = self.operation.variable_definitions.iter().find(|definition| definition.node.name.node == name);
            definition.and_then(|definition| definition.node.default_value.as_ref()).map(|default| default.node.clone())
        };
        self.variables.get(name).cloned().or_else(default)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(query: &str) -> Result<Judged, Unfit> {
        judge(query, None, &Variables::default(), &Limits::default())
    }

    fn refusal(query: &str) -> QueryError {
        match judged(query) {
            Err(Unfit::Refused(error)) => error,
            other => panic!("{query} was not refused: {other:?}"),
        }
    }

    #[test]
    fn brackets_are_counted_outside_of_strings_and_comments() {
        assert_eq!(nesting("{ a { b(c: [1, [2]]) } }"), 5);
        assert_eq!(nesting(r#"{ a(b: "{{{{ \" {{{{") # {{{{{{"#), 2);
        assert_eq!(nesting("{ a(b: \"\"\"{{{{ \\\"\"\" {{{{\"\"\") {c} }"), 2);
    }

    #[test]
    fn an_input_object_has_each_field_once() {
        for query in [
            "{ a(f: { x: 1, x: 2 }) }",
            "{ a(f: { x: 1 y: { x: 1 } x: 1 }) }",
            "{ a(f: [{ y: 1 }, { x: \"x\", # x\n x : RED }]) { b } }",
            "query($v: I = { x: 1, x: 1 }) { a(f: $v) }",
            "{ a @d(f: { x: $x, x: $x }) { b } }",
            "{ a(f: { y: \"\"\" } x: \"\"\", x: 1, x: 2 }) }",
            "{ ...F } fragment F on Q { a(f: { g: { x: {}, x: {} } }) }",
        ] {
            assert_eq!(refusal(query), QueryError::BadInput("duplicate key \"x\": an input object has each field once".into()), "{query}");
        }
        for query in [
            "{ x: a x: a y: a(f: { x: 1 }) z: a(f: { x: 1 }) }",
            "{ a(f: { x: { x: { x: 1 } }, y: x, z: \"x: x:\" }) }",
            "{ a(f: [{ x: 1 }, { x: 1 }], x: { x: 1 }) { x: b(x: 1) x: b(x: 1) } }",
            "query($x: I = { x: 1 }, $y: I = { x: 1 }) { a(x: $x, y: $y) }",
            "{ a(f: { e: 1e5, x: $x, y: x }) }",
        ] {
            assert!(judged(query).is_ok(), "{query}: {:?}", judged(query));
        }
    }

    #[test]
    fn a_bomb_of_fragments_is_refused_at_once() {
        let mut query = "{ ...F0 } ".to_owned();
        for level in 0..30 {
            query += &format!("fragment F{level} on Query {{ ...F{0} ...F{0} }} ", level + 1);
        }
        query += "fragment F30 on Query { __typename }";
        assert!(matches!(refusal(&query), QueryError::TooComplex(_)));
    }

    #[test]
    fn a_fragment_that_spreads_itself_is_refused() {
        let error = refusal("{ ...A } fragment A on Query { ...B } fragment B on Query { ...A ...A }");
        assert_eq!(error, QueryError::BadInput("the fragment `A` spreads itself".into()));
    }

    #[test]
    fn a_deep_document_is_refused_before_it_is_parsed() {
        let query = "{a".repeat(20_000);
        assert!(matches!(refusal(&query), QueryError::TooComplex(_)));
        assert!(matches!(refusal(&format!("{{a(b:{})}}", "[".repeat(20_000))), QueryError::TooComplex(_)));
    }

    #[test]
    fn depth_counts_fields_and_not_fragments() {
        let deep = |levels: usize| format!("{{{}{}", "a{".repeat(levels - 1) + "a", "}".repeat(levels));
        assert!(judged(&deep(12)).is_ok());
        assert_eq!(refusal(&deep(13)), QueryError::TooComplex("13 fields inside each other, at most 12 are allowed".into()));
        assert!(judged("{ ... on Query { ... on Query { a } } }").is_ok());
    }

    #[test]
    fn positions_are_found_through_fragments_variables_and_defaults() {
        let query = r#"query Q($a: String, $b: String = "default", $p: Position) {
            one(minPosition: $a) { nested(minPosition: "ignored") } ...F two(knownAt: $p) three(knownAt: 7)
        } fragment F on Query { ... on Query { four(minPosition: $b, knownAt: "8") } }"#;
        let variables = Variables::from_json(serde_json::json!({ "a": "token", "p": 9 }));
        let judged = judge(query, Some("Q"), &variables, &Limits::default()).expect("fit");
        assert_eq!(judged.min_positions, ["token", "default"]);
        assert_eq!(judged.known_at, [8, 9, 7]);
    }

    #[test]
    fn a_subscription_asks_for_one_field() {
        assert!(judged("subscription { entries { id } }").is_ok());
        for query in ["subscription { entries { id } other }", "subscription { ...F } fragment F on Subscription { entries { id } }"] {
            assert!(matches!(refusal(query), QueryError::BadInput(_)), "{query}");
        }
    }

    #[test]
    fn an_operation_must_be_named_where_there_are_several() {
        let two = "query A { a } query B { b }";
        assert!(matches!(refusal(two), QueryError::BadInput(_)));
        assert!(judge(two, Some("B"), &Variables::default(), &Limits::default()).is_ok());
        assert!(judge(two, Some("C"), &Variables::default(), &Limits::default()).is_err());
    }
}
