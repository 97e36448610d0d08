//! The schema, and what happens around the execution of every operation.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_graphql::async_trait::async_trait;
use async_graphql::extensions::{Extension, ExtensionContext, ExtensionFactory, NextExecute, NextValidation};
use async_graphql::parser::types::ExecutableDocument;
use async_graphql::{EmptyMutation, Name, Response, SDLExportOptions, Schema, ServerError, ValidationResult, Value};
use cauri_engine::consistency::ConsistencyToken;
use cauri_event_schemas::Position;
use cauri_projections::GroupId;

use crate::completion::Shape;
use crate::error::QueryError;
use crate::limits::Limits;
use crate::query::Root;
use crate::scalars::position::position_in_text;
use crate::scope::{Demands, Scope, Sources};
use crate::subscription::Subscription;
use crate::types;

/// The schema of Cauri's queries. There are no mutations: commands go to the command API.
pub type CauriSchema = Schema<Root, EmptyMutation, Subscription>;

/// The schema in its own language, as committed in `schema.graphql`.
#[must_use]
pub fn sdl() -> String {
    let schema = Schema::build(Root::default(), EmptyMutation, Subscription).finish();
    schema.sdl_with_options(SDLExportOptions::new().prefer_single_line_descriptions().use_space_ident().indent_width(2))
}

pub(crate) fn schema(sources: Sources) -> CauriSchema {
    let limits = sources.limits;
    Schema::build(Root::default(), EmptyMutation, Subscription).data(sources).data(limits).extension(Conductor).finish()
}

/// What an operation is, for what happens around its execution.
pub(crate) struct Outline(pub(crate) ExecutableDocument);

/// What one query asks of the moment it is answered at.
pub(crate) struct Plan {
    /// Consistency tokens or plain positions, as somebody wrote them.
    pub(crate) min_positions: Vec<String>,
    /// Positions that it asks to know; it has to wait for those, too.
    pub(crate) known_at: Vec<u64>,
    /// All of the answer is to be as of one position.
    pub(crate) consistent: bool,
    begun: AtomicBool,
}

impl Plan {
    pub(crate) fn new(min_positions: Vec<String>, known_at: Vec<u64>, consistent: bool) -> Arc<Self> {
        Arc::new(Self { min_positions, known_at, consistent, begun: AtomicBool::new(false) })
    }

    /// Whether execution began: only then has an answer a `data`, even if it is null.
    pub(crate) fn begun(&self) -> bool {
        self.begun.load(Ordering::Acquire)
    }

    /// What the operation must see.
    fn wanted(&self, journal: &str) -> Result<Wanted, QueryError> {
        let mut wanted = Wanted { furthest: self.known_at.iter().copied().map(Position::new).max(), tokens: Vec::new() };
        for text in &self.min_positions {
            let position = match min_position(text, journal)? {
                MinPosition::Plain(position) => position,
                MinPosition::Token(token) => {
                    let position = token.position;
                    wanted.tokens.push(token);
                    position
                }
            };
            wanted.furthest = wanted.furthest.max(Some(position));
        }
        Ok(wanted)
    }
}

/// What an operation must see: the furthest of the positions that it names, and the tokens that must be of this history.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    furthest: Option<Position>,
    tokens: Vec<ConsistencyToken>,
}

/// How an operation names a position.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum MinPosition {
    /// A number, of whatever history the journal has.
    Plain(Position),
    /// A token, which belongs to one history.
    Token(ConsistencyToken),
}

/// Reads a consistency token of this journal, or a plain position of it.
pub(crate) fn min_position(text: &str, journal: &str) -> Result<MinPosition, QueryError> {
    if let Some(number) = position_in_text(text) {
        return Ok(MinPosition::Plain(Position::new(number)));
    }
    let token: ConsistencyToken = text.parse().map_err(QueryError::bad_input)?;
    if token.journal != journal {
        let what = format!("the consistency token is of the journal `{}`, this is `{journal}`", token.journal);
        return Err(QueryError::BadInput(what));
    }
    Ok(MinPosition::Token(token))
}

/// Sees to limits, waiting, time and the position of the answer.
struct Conductor;

impl ExtensionFactory for Conductor {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Self)
    }
}

#[async_trait]
impl Extension for Conductor {
    async fn validation(&self, ctx: &ExtensionContext<'_>, next: NextValidation<'_>) -> Result<ValidationResult, Vec<ServerError>> {
        let result = next.run(ctx).await?;
        let most = ctx.data_unchecked::<Limits>().complexity;
        if result.complexity > most {
            let what = format!("the query may return {} fields, at most {most} are allowed: ask for smaller pages", result.complexity);
            return Err(vec![QueryError::TooComplex(what).into_server_error()]);
        }
        Ok(result)
    }

    async fn execute(&self, ctx: &ExtensionContext<'_>, operation_name: Option<&str>, next: NextExecute<'_>) -> Response {
        let (Some(plan), Some(scope)) = (ctx.data_opt::<Arc<Plan>>(), ctx.data_opt::<Arc<Scope>>()) else {
            // An event of a subscription: it waited by itself.
            let outlined = outlined(ctx, operation_name);
            return run(ctx, operation_name, next, outlined).await;
        };
        let outlined = outlined(ctx, operation_name);
        let types = outlined.as_ref().map(|(_, types)| types);
        let mut groups: Vec<GroupId> =
            types.into_iter().flatten().flat_map(|name| types::groups(name).unwrap_or_default()).copied().collect();
        groups.sort_unstable();
        groups.dedup();
        if let Err(error) = wait(plan, scope, groups).await {
            return Response::from_errors(vec![error.into_server_error()]);
        }
        plan.begun.store(true, Ordering::Release);
        let limit = scope.sources().limits.query_time;
        let mut response = match tokio::time::timeout(limit, run(ctx, operation_name, next, outlined)).await {
            Ok(response) => response,
            Err(_) => Response::from_errors(vec![QueryError::TimedOut(limit).into_server_error()]),
        };
        if let Some((position, root)) = scope.furthest().await {
            let positions = scope.positions().await.into_iter().map(|(group, position)| {
                let fields = [("group", Value::from(group.name())), ("position", Value::from(position.get()))];
                Value::Object(fields.into_iter().map(|(name, value)| (Name::new(name), value)).collect())
            });
            response.extensions.insert("positions".into(), Value::List(positions.collect()));
            let sources = scope.sources();
            let root = match root {
                Some(root) => Some(root),
                // Where the journal cannot be read there the log says why; then, and where it takes too long, the answer has no
                // token.
                None => {
                    tokio::time::timeout(sources.limits.position_wait, sources.root_at(position)).await.ok().and_then(Result::ok).flatten()
                }
            };
            if let Some(root) = root {
                let token = ConsistencyToken { journal: sources.store.name().to_owned(), position, root };
                response.extensions.insert("position".into(), Value::from(token.to_string()));
            }
        }
        response
    }
}

/// The shape of the answer, and the types of the objects in it.
type Outlined = (Shape, BTreeSet<String>);

fn outlined(ctx: &ExtensionContext<'_>, operation_name: Option<&str>) -> Option<Outlined> {
    ctx.data_opt::<Outline>().and_then(|outline| Shape::of(&outline.0, operation_name, &ctx.schema_env.registry))
}

async fn run(ctx: &ExtensionContext<'_>, operation_name: Option<&str>, next: NextExecute<'_>, outlined: Option<Outlined>) -> Response {
    let mut response = next.run(ctx, operation_name).await;
    if let Some((shape, _)) = outlined {
        shape.complete(&mut response);
    }
    response
}

async fn wait(plan: &Plan, scope: &Scope, groups: Vec<GroupId>) -> Result<(), QueryError> {
    let sources = scope.sources();
    let Wanted { furthest, tokens } = plan.wanted(sources.store.name())?;
    let demands = Demands { groups, min_position: furthest.unwrap_or_default(), consistent: plan.consistent };
    let looked = furthest_of(&tokens);
    let beyond = if tokens.is_empty() { Vec::new() } else { in_time(sources, looked, sources.beyond(tokens)).await? };
    let reached = scope.demand(demands).await;
    if beyond.is_empty() {
        return reached;
    }
    // Beyond the head: either the journal has grown by now, or it is shorter than it once was.
    let looked = furthest_of(&beyond);
    in_time(sources, looked, async {
        for token in &beyond {
            sources.belongs(token).await?;
        }
        Ok(())
    })
    .await?;
    reached
}

fn furthest_of(tokens: &[ConsistencyToken]) -> Position {
    tokens.iter().map(|token| token.position).max().unwrap_or_default()
}

/// What looks into the journal at tokens, the furthest of them at `wanted`, for as long as a query may wait for a position.
async fn in_time<T>(sources: &Sources, wanted: Position, looking: impl Future<Output = Result<T, QueryError>>) -> Result<T, QueryError> {
    let limit = sources.limits.position_wait;
    tokio::time::timeout(limit, looking).await.unwrap_or(Err(QueryError::TokenNotChecked { wanted, limit }))
}

#[cfg(test)]
mod tests {
    use cauri_event_store::Head;

    use super::*;

    #[test]
    fn a_token_of_another_journal_is_refused() {
        let token = ConsistencyToken::new("ledger", &Head { position: Position::new(7), ..Head::default() });
        let text = token.to_string();
        assert_eq!(min_position(&text, "ledger"), Ok(MinPosition::Token(token)));
        assert_eq!(min_position("7", "ledger"), Ok(MinPosition::Plain(Position::new(7))));
        let other = min_position(&text, "signals");
        assert_eq!(other, Err(QueryError::BadInput("the consistency token is of the journal `ledger`, this is `signals`".into())));
        assert!(min_position("seven", "ledger").is_err());
    }

    #[test]
    fn the_furthest_position_counts() {
        let plan = Plan::new(vec!["3".into(), "5".into()], vec![4], false);
        let furthest = |plan: &Plan| plan.wanted("ledger").map(|wanted| wanted.furthest);
        assert_eq!(furthest(&plan), Ok(Some(Position::new(5))));
        assert_eq!(furthest(&Plan::new(Vec::new(), Vec::new(), false)), Ok(None));
    }
}
