//! The commands of the API, each declared once: its route, its bulk item and its OpenAPI operation are made from that.
//!
//! A declaration is an [`ApiCommand`] beside the other routes of its resource, and a line in that file's `COMMANDS`. The type is the
//! body of the single command; what it does not read is refused, and what its schema says is what it reads.

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequest, Path, Request, State};
use axum::response::Response;
use axum::routing::post;
use cauri_domain::LedgerCommand;
use cauri_domain::entry::PostEntry;
use cauri_domain::ids::{AccountAddress, EntryId};
use cauri_engine::Outcome;
use cauri_http::auth::layer::{Authorized, Need};
use cauri_http::body::{require, whole};
use cauri_http::problem::{FieldProblem, Problem, kind};
use schemars::{JsonSchema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::answer::of_submitted;
use crate::body::{self, read_json};
use crate::bulk::{self, BulkItem};
use crate::headers::CommandHeaders;
use crate::openapi::{self, Example, Operation};
use crate::routes;
use crate::state::ApiState;
use crate::submit::submit_one;

/// Every command, in the order in which the description of the API has them and their examples run.
pub fn commands() -> impl Iterator<Item = &'static Declaration> {
    routes::COMMANDS.into_iter().flatten()
}

/// A command of the API. The type is the body of the single command; in bulk, `op` and the target stand beside its members.
pub trait ApiCommand: DeserializeOwned + JsonSchema + Send + 'static {
    /// What it is for, as the path or the bulk item names it.
    type Target: Target;
    /// What the caller must be allowed to do.
    type Need: Need + 'static;

    /// What is asked, in one word: the `op` of the bulk item and of a refusal's record. The operation's id in OpenAPI is the
    /// same in camel case.
    const OP: &'static str;
    /// Where the single command is sent.
    const PATH: &'static str;
    /// What it does, in a few words.
    const SUMMARY: &'static str;
    /// What its caller should know.
    const DESCRIPTION: &'static str;
    /// The status of the answer when it is accepted, and what it says: 201 where there is something new to look at, below the
    /// command's own path.
    const ACCEPTED: (u16, &'static str) = (200, "It is done.");
    /// Whether it may be an item of a bulk request.
    const IS_BULK_ITEM: bool = true;

    /// What a request without a body asks; none where there must be one.
    fn without_body() -> Option<Self> {
        None
    }

    /// The command that is meant.
    ///
    /// # Errors
    /// When members contradict each other, with a pointer into the body.
    fn ask(self, target: Self::Target) -> Result<Asked, FieldProblem>;

    /// Where the caller wrote what a refusal points at, if that is not where the rules read it.
    fn as_written(&self) -> fn(String) -> String {
        |pointer| pointer
    }

    /// Requests that show it, in the order in which they run; a test runs them all on one ledger.
    fn examples() -> Vec<Example>;
}

/// What a command asks. An entry's id may depend on the command's id, which the body alone does not say.
#[derive(Clone, Debug, PartialEq)]
pub enum Asked {
    /// A command that is complete.
    Command(LedgerCommand),
    /// An entry to post or hold.
    Post(PostEntry),
}

impl From<LedgerCommand> for Asked {
    fn from(command: LedgerCommand) -> Self {
        Asked::Command(command)
    }
}

impl From<PostEntry> for Asked {
    fn from(post: PostEntry) -> Self {
        Asked::Post(post)
    }
}

/// How a command says what it is for.
pub trait Target: DeserializeOwned + Send {
    /// The member of a bulk item and the parameter of the path; none where the body says it.
    const MEMBER: Option<&'static str>;
    /// Its schema's name.
    const SCHEMA: &'static str;
    /// What it is, for the parameter of the path.
    const MEANING: &'static str;

    /// The target where the body says it.
    fn in_body() -> Option<Self> {
        None
    }

    /// Its schema; none where the body says it.
    fn schema(generator: &mut SchemaGenerator) -> Option<Value>;

    /// Reads the parameter of the path.
    ///
    /// # Errors
    /// When it is none; in words.
    fn parse(text: &str) -> Result<Self, String>;
}

/// In the body, or the journal itself.
#[derive(Clone, Copy, Debug, serde::Deserialize)]
pub struct InBody;

impl Target for InBody {
    const MEMBER: Option<&'static str> = None;
    const SCHEMA: &'static str = "";
    const MEANING: &'static str = "";

    fn schema(_: &mut SchemaGenerator) -> Option<Value> {
        None
    }

    fn in_body() -> Option<Self> {
        Some(Self)
    }

    fn parse(_: &str) -> Result<Self, String> {
        Ok(Self)
    }
}

impl Target for AccountAddress {
    const MEMBER: Option<&'static str> = Some("address");
    const SCHEMA: &'static str = "AccountAddress";
    const MEANING: &'static str = "The account's address.";

    fn schema(generator: &mut SchemaGenerator) -> Option<Value> {
        Some(generator.subschema_for::<Self>().to_value())
    }

    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|error: cauri_domain::ids::InvalidAddress| error.to_string())
    }
}

impl Target for EntryId {
    const MEMBER: Option<&'static str> = Some("id");
    const SCHEMA: &'static str = "EntryId";
    const MEANING: &'static str = "The entry's id.";

    fn schema(generator: &mut SchemaGenerator) -> Option<Value> {
        Some(generator.subschema_for::<Self>().to_value())
    }

    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|error: cauri_domain::ids::InvalidEntryId| error.to_string())
    }
}

/// The target that the path of a request names.
///
/// # Errors
/// 400 when it is none.
pub(crate) fn target_in<T: Target>(path: Result<Path<String>, PathRejection>) -> Result<T, Problem> {
    if let Some(target) = T::in_body() {
        return Ok(target);
    }
    let Path(text) = path.map_err(|rejection| Problem::of(&kind::VALIDATION_FAILED, rejection.body_text()))?;
    T::parse(&text).map_err(|why| Problem::of(&kind::VALIDATION_FAILED, why))
}

/// What is made from an [`ApiCommand`].
pub struct Declaration {
    /// Its `op`.
    pub op: &'static str,
    /// Whether it may be an item of a bulk request.
    pub(crate) is_bulk_item: bool,
    /// Adds its route.
    pub(crate) route: fn(Router<ApiState>) -> Router<ApiState>,
    /// Reads a bulk item that has its `op`.
    pub(crate) read_item: fn(&[u8]) -> Result<BulkItem, FieldProblem>,
    /// Describes it.
    pub(crate) operation: fn() -> Operation,
    /// The name of its body's schema.
    pub(crate) schema_name: fn() -> String,
    /// The member of a bulk item that names its target, and the name of that one's schema.
    pub(crate) target: Option<(&'static str, &'static str)>,
}

impl Declaration {
    /// Makes it.
    pub(crate) const fn of<C: ApiCommand>() -> Self {
        Self {
            op: C::OP,
            is_bulk_item: C::IS_BULK_ITEM,
            route: |router| router.route(C::PATH, post(submit::<C>)),
            read_item: bulk::read_item::<C>,
            operation: openapi::command::<C>,
            schema_name: || C::schema_name().into_owned(),
            target: match C::Target::MEMBER {
                Some(member) => Some((member, C::Target::SCHEMA)),
                None => None,
            },
        }
    }
}

/// Adds the routes of all commands.
pub(crate) fn routes(router: Router<ApiState>) -> Router<ApiState> {
    commands().fold(router, |router, declared| (declared.route)(router))
}

/// Answers a request for one command.
async fn submit<C: ApiCommand>(
    State(state): State<ApiState>,
    caller: Authorized<C::Need>,
    headers: CommandHeaders,
    path: Result<Path<String>, PathRejection>,
    CommandBody(body): CommandBody<C>,
) -> Result<Response, Problem> {
    let as_written = body.as_written();
    let target = target_in(path).map_err(|problem| headers.tell(problem))?;
    let asked = body.ask(target).map_err(|wrong| headers.tell(Problem::validation(vec![wrong])))?;
    let mut submitted = submit_one(&state, &headers, &caller, asked).await?;
    if let Outcome::Refused(refused) = &mut submitted.outcome {
        refused.refusal.pointer = refused.refusal.pointer.take().map(as_written);
    }
    let created = (C::ACCEPTED.0 == 201).then_some(C::PATH);
    Ok(of_submitted(&state, &headers, submitted, created))
}

/// The body of a single command, which may be left out where the command says what that means.
struct CommandBody<C>(C);

impl<C: ApiCommand> FromRequest<ApiState> for CommandBody<C> {
    type Rejection = Problem;

    async fn from_request(request: Request<Body>, state: &ApiState) -> Result<Self, Problem> {
        let (parts, bytes) = request.into_parts();
        let read = async {
            let without_body = C::without_body();
            if without_body.is_none() {
                require(&parts.headers, &["application/json"])?;
            }
            let (limit, time_out) = (state.limits.body_bytes, state.limits.time_out);
            let arrived = whole(bytes, &parts.headers, limit, time_out, body::account(state, &parts)).await?;
            match without_body {
                Some(command) if arrived.bytes.is_empty() => Ok(command),
                _ => {
                    require(&parts.headers, &["application/json"])?;
                    read_json(&arrived.bytes)
                }
            }
        };
        read.await.map(Self).map_err(|problem: Problem| problem.for_request(&parts.extensions))
    }
}
