//! Completing an answer as the GraphQL specification has it (§6.4.4, §7.2.2): fields in the order of the document,
//! null where a field failed, and null further up where it may not be null.
//!
//! async-graphql 7.1 and 7.2 give fields in the order in which they happened to finish, and leave out those that
//! failed, whatever their type says (its change 1746). A test here tells when that is mended.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt::Write as _;

use async_graphql::indexmap::IndexMap;
use async_graphql::parser::types::{ExecutableDocument, Field, OperationDefinition, OperationType, Selection, SelectionSet};
use async_graphql::registry::{MetaTypeName, Registry};
use async_graphql::{Name, PathSegment, Response, Value};

/// What an answer to one operation looks like.
#[derive(Debug)]
pub(crate) struct Shape {
    fields: Vec<(Name, Type)>,
}

/// The type of a field, as far as null goes.
#[derive(Debug)]
enum Type {
    NonNull(Box<Type>),
    List(Box<Type>),
    Object(Shape),
    Leaf,
}

impl Shape {
    /// The shape of a validated operation, and the types of the objects in it.
    pub(crate) fn of(document: &ExecutableDocument, operation_name: Option<&str>, registry: &Registry) -> Option<(Self, BTreeSet<String>)> {
        let mut operations = document.operations.iter();
        let operation: &OperationDefinition = match operation_name {
            None => &operations.next()?.1.node,
            Some(name) => &operations.find(|(candidate, _)| candidate.is_some_and(|candidate| candidate.as_str() == name))?.1.node,
        };
        let root = match operation.ty {
            OperationType::Query => Some(registry.query_type.as_str()),
            OperationType::Mutation => registry.mutation_type.as_deref(),
            OperationType::Subscription => registry.subscription_type.as_deref(),
        };
        let mut outline = Outline { document, registry, types: BTreeSet::new() };
        let shape = outline.object(&[&operation.selection_set.node], root?);
        Some((shape, outline.types))
    }

    /// Completes what was executed.
    pub(crate) fn complete(&self, response: &mut Response) {
        let failed = Failed::of(response);
        let data = std::mem::take(&mut response.data);
        response.data = self.completed(data, false, &failed, &mut String::new());
    }

    /// `needed`: nothing but an object may stand here, so a null without an error is an object without fields.
    fn completed(&self, value: Value, needed: bool, failed: &Failed, path: &mut String) -> Value {
        let mut found = match value {
            Value::Object(found) => found,
            Value::Null if needed || failed.at_or_below(path) => IndexMap::new(),
            other => return other,
        };
        let mut out = IndexMap::with_capacity(found.len());
        for (name, ty) in &self.fields {
            let above = path.len();
            let _ = write!(path, "/{name}");
            let value = match found.swap_remove(name) {
                Some(value) => Some(ty.completed(value, failed, path)),
                None if failed.at_or_below(path) => Some(if matches!(ty, Type::NonNull(_)) { None } else { Some(Value::Null) }),
                // Left out by `@skip` or `@include`.
                None => None,
            };
            path.truncate(above);
            match value {
                Some(Some(value)) => drop(out.insert(name.clone(), value)),
                Some(None) => return Value::Null,
                None => {}
            }
        }
        Value::Object(out)
    }
}

impl Type {
    /// `None`: null, where null may not stand.
    fn completed(&self, value: Value, failed: &Failed, path: &mut String) -> Option<Value> {
        match self {
            Type::NonNull(inner) => {
                let value = match &**inner {
                    Type::Object(shape) => shape.completed(value, true, failed, path),
                    inner => inner.completed(value, failed, path)?,
                };
                (value != Value::Null).then_some(value)
            }
            Type::Object(shape) => Some(shape.completed(value, false, failed, path)),
            Type::Leaf => Some(value),
            Type::List(inner) => {
                let Value::List(items) = value else { return Some(value) };
                let items = items.into_iter().enumerate().map(|(index, item)| {
                    let above = path.len();
                    let _ = write!(path, "/{index}");
                    let item = inner.completed(item, failed, path);
                    path.truncate(above);
                    item
                });
                Some(items.collect::<Option<Vec<_>>>().map_or(Value::Null, Value::List))
            }
        }
    }
}

/// The paths of all errors, and of everything above them. Names have no slash in them.
struct Failed(HashSet<String>);

impl Failed {
    fn of(response: &Response) -> Self {
        let mut paths = HashSet::new();
        for error in &response.errors {
            let mut path = String::new();
            paths.insert(path.clone());
            for segment in &error.path {
                let _ = match segment {
                    PathSegment::Field(name) => write!(path, "/{name}"),
                    PathSegment::Index(index) => write!(path, "/{index}"),
                };
                paths.insert(path.clone());
            }
        }
        Self(paths)
    }

    fn at_or_below(&self, path: &str) -> bool {
        self.0.contains(path)
    }
}

/// Turns selections into shapes.
struct Outline<'a> {
    document: &'a ExecutableDocument,
    registry: &'a Registry,
    types: BTreeSet<String>,
}

impl<'a> Outline<'a> {
    /// Selections of one response key are one field of the answer.
    fn object(&mut self, sets: &[&'a SelectionSet], type_name: &str) -> Shape {
        if !self.types.contains(type_name) {
            self.types.insert(type_name.to_owned());
        }
        let mut order: Vec<&'a Name> = Vec::new();
        let mut fields: HashMap<&'a str, Vec<&'a Field>> = HashMap::new();
        for set in sets {
            self.collect(set, &mut order, &mut fields);
        }
        let fields = order.into_iter().filter_map(|key| {
            let selected = fields.get(key.as_str())?;
            let field = selected.first()?;
            let children: Vec<&SelectionSet> = selected.iter().map(|field| &field.selection_set.node).collect();
            let known = self.registry.types.get(type_name).and_then(|ty| ty.field_by_name(field.name.node.as_str()));
            // `__typename` is in no registry, and never null.
            let ty = known.map_or(Type::NonNull(Box::new(Type::Leaf)), |known| self.ty(&known.ty, &children));
            Some((key.clone(), ty))
        });
        Shape { fields: fields.collect() }
    }

    /// There are no interfaces and no unions in this schema, so a fragment always applies.
    fn collect(&self, set: &'a SelectionSet, order: &mut Vec<&'a Name>, fields: &mut HashMap<&'a str, Vec<&'a Field>>) {
        for selection in &set.items {
            match &selection.node {
                Selection::Field(field) => {
                    let key = &field.node.response_key().node;
                    let selected = fields.entry(key.as_str()).or_default();
                    if selected.is_empty() {
                        order.push(key);
                    }
                    selected.push(&field.node);
                }
                Selection::InlineFragment(fragment) => self.collect(&fragment.node.selection_set.node, order, fields),
                Selection::FragmentSpread(spread) => {
                    if let Some(fragment) = self.document.fragments.get(&spread.node.fragment_name.node) {
                        self.collect(&fragment.node.selection_set.node, order, fields);
                    }
                }
            }
        }
    }

    fn ty(&mut self, text: &str, children: &[&'a SelectionSet]) -> Type {
        match MetaTypeName::create(text) {
            MetaTypeName::NonNull(inner) => Type::NonNull(Box::new(self.ty(inner, children))),
            MetaTypeName::List(inner) => Type::List(Box::new(self.ty(inner, children))),
            MetaTypeName::Named(name) if self.registry.types.get(name).is_some_and(|ty| ty.is_composite()) => {
                Type::Object(self.object(children, name))
            }
            MetaTypeName::Named(_) => Type::Leaf,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use async_graphql::async_trait::async_trait;
    use async_graphql::extensions::{Extension, ExtensionContext, ExtensionFactory, NextExecute};
    use async_graphql::parser::parse_query;
    use async_graphql::{EmptyMutation, EmptySubscription, Object, Schema};

    use super::*;

    struct Root;
    struct Node;

    #[Object]
    impl Root {
        async fn slow(&self) -> i32 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            1
        }
        async fn fast(&self) -> i32 {
            2
        }
        async fn maybe(&self) -> Result<Option<i32>, async_graphql::Error> {
            Err(async_graphql::Error::new("maybe failed"))
        }
        async fn node(&self) -> Node {
            Node
        }
        async fn maybe_node(&self) -> Option<Node> {
            Some(Node)
        }
        async fn nodes(&self) -> Vec<Option<Node>> {
            vec![Some(Node), None]
        }
        async fn sure_nodes(&self) -> Option<Vec<Node>> {
            Some(vec![Node])
        }
    }

    #[Object]
    impl Node {
        async fn name(&self) -> &str {
            "n"
        }
        async fn sure(&self) -> Result<i32, async_graphql::Error> {
            Err(async_graphql::Error::new("sure failed"))
        }
        async fn maybe(&self, #[graphql(default)] fail: i32) -> Result<Option<i32>, async_graphql::Error> {
            if fail > 0 { Err(async_graphql::Error::new("maybe failed")) } else { Ok(None) }
        }
        async fn node(&self) -> Node {
            Node
        }
    }

    struct Completing;

    impl ExtensionFactory for Completing {
        fn create(&self) -> Arc<dyn Extension> {
            Arc::new(Self)
        }
    }

    #[async_trait]
    impl Extension for Completing {
        async fn execute(&self, ctx: &ExtensionContext<'_>, operation_name: Option<&str>, next: NextExecute<'_>) -> Response {
            let mut response = next.run(ctx, operation_name).await;
            let document = ctx.data_unchecked::<ExecutableDocument>();
            let (shape, _) = Shape::of(document, operation_name, &ctx.schema_env.registry).expect("a shape");
            shape.complete(&mut response);
            response
        }
    }

    async fn data(query: &str) -> String {
        let schema = Schema::build(Root, EmptyMutation, EmptySubscription).extension(Completing).finish();
        let response = schema.execute(async_graphql::Request::new(query).data(parse_query(query).expect("a document"))).await;
        serde_json::to_string(&response.data).expect("plain data")
    }

    #[tokio::test]
    async fn fields_come_in_the_order_of_the_document() {
        assert_eq!(
            data("{ slow ...F fast } fragment F on Root { node { name } a: fast }").await,
            r#"{"slow":1,"node":{"name":"n"},"a":2,"fast":2}"#
        );
    }

    #[tokio::test]
    async fn a_field_that_may_be_null_is_null_where_it_failed() {
        assert_eq!(data("{ fast maybe }").await, r#"{"fast":2,"maybe":null}"#);
        assert_eq!(data("{ maybe }").await, r#"{"maybe":null}"#);
        assert_eq!(data("{ node { maybe(fail: 1) name } }").await, r#"{"node":{"maybe":null,"name":"n"}}"#);
    }

    #[tokio::test]
    async fn null_goes_up_to_where_it_may_stand() {
        assert_eq!(data("{ fast maybeNode { node { sure } name } }").await, r#"{"fast":2,"maybeNode":null}"#);
        assert_eq!(data("{ fast node { sure name } }").await, "null");
        assert_eq!(data("{ fast nodes { sure } }").await, r#"{"fast":2,"nodes":[null,null]}"#);
        assert_eq!(data("{ fast sureNodes { name sure } }").await, r#"{"fast":2,"sureNodes":null}"#);
    }

    #[tokio::test]
    async fn what_was_skipped_stays_away() {
        assert_eq!(data("{ fast slow @skip(if: true) }").await, r#"{"fast":2}"#);
        assert_eq!(data("{ node { name @skip(if: true) } }").await, r#"{"node":{}}"#);
        assert_eq!(data("{ a: node { name } a: node { b: name } __typename }").await, r#"{"a":{"name":"n","b":"n"},"__typename":"Root"}"#);
    }

    /// When this fails, the library does by itself what this file is for, and the file can go.
    #[tokio::test]
    async fn the_library_still_leaves_out_what_failed() {
        let response = Schema::new(Root, EmptyMutation, EmptySubscription).execute("{ slow fast maybe }").await;
        assert_eq!(serde_json::to_string(&response.data).expect("plain data"), r#"{"fast":2,"slow":1}"#);
    }
}
