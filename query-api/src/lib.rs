//! GraphQL over the read models, every answer as of a position.
//!
//! Start with [`router`]; [`query::Root`] is the list of questions. One GraphQL type a file in [`types`] and
//! [`scalars`]: their documentation is the schema's text, and `schema.graphql` beside `src` is what comes out of it.
//!
//! **Invariant:** one operation reads one snapshot, so all of its fields are as of the same position.
//! **Invariant:** nothing here writes; there are no mutations, commands go to the command API.
//! **Invariant:** an error leaves with a code of [`error::ErrorCode`] and without any text from the inside.

pub mod error;
pub mod limits;
pub mod query;
pub mod scalars;
pub mod schema;
pub mod subscription;
pub mod types;

mod completion;
mod cursor;
mod document;
mod feed;
mod http;
mod page;
mod roots;
mod scope;

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::routing::{any, get};
use cauri_domain::text::ShortText;
use cauri_event_store::EventStore;
use cauri_http::auth::layer::AuthState;
use cauri_http::auth::subjects::Subjects;
use cauri_http::auth::token::Verifier;
use cauri_http::load::{BodyMemory, Pool};
use cauri_http::origin::Origins;
use cauri_projections::read::ReadStore;
use cauri_projections::tail::Tails;
use tokio::sync::Semaphore;

pub use limits::Limits;

use crate::http::handler::Api;
use crate::http::{graphiql, handler, websocket};
use crate::scope::Sources;

/// Somebody read a sensitive field.
pub struct Access<'a> {
    /// Who, as the journal would name them.
    pub actor: &'a ShortText,
    /// Which field, such as `Account.owner`.
    pub field: &'static str,
    /// Of what.
    pub of: &'a (dyn fmt::Display + Sync),
}

/// Takes down an access to a sensitive field.
pub type RecordAccess = Arc<dyn Fn(&Access<'_>) + Send + Sync>;

/// What the query API answers from, and whom.
#[derive(Clone)]
pub struct QueryState {
    /// The read models.
    pub reads: ReadStore,
    /// The journal that they are read from: its head, its records, and the notice that it has grown.
    pub store: Arc<dyn EventStore>,
    /// The decoded tails of that journal.
    pub tails: Arc<Tails>,
    /// Judges tokens.
    pub verifier: Arc<Verifier>,
    /// What requests may cost.
    pub limits: Limits,
    /// Takes down who read which sensitive field.
    pub record_access: RecordAccess,
    /// Origins of web pages that may open a WebSocket, besides this server's own.
    pub origins: Origins,
}

impl QueryState {
    /// The state with the default limits.
    #[must_use]
    pub fn new(reads: ReadStore, store: Arc<dyn EventStore>, verifier: Arc<Verifier>) -> Self {
        let tails = Tails::of(store.clone(), 8_192);
        let record_access: RecordAccess = Arc::new(|Access { actor, field, of }| {
            tracing::info!(%actor, field, %of, "a sensitive field was read");
        });
        Self { reads, store, tails, verifier, limits: Limits::default(), record_access, origins: Origins::default() }
    }
}

impl fmt::Debug for QueryState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueryState").field("journal", &self.store.name()).field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// The query API: `/graphql` for queries and for people, `/graphql/ws` for subscriptions.
///
/// Everything but the page for people needs a token with a role that may read.
pub fn router(state: QueryState) -> Router {
    let QueryState { reads, store, tails, verifier, limits, record_access, origins } = state;
    let sources = Sources::new(reads, store, tails, limits, record_access);
    let api = Api {
        schema: schema::schema(sources.clone()),
        sources,
        auth: AuthState(verifier),
        requests: Pool::new("queries", limits.in_flight),
        body_memory: BodyMemory::new(limits.body_memory),
        origins,
        introductions: Arc::new(Semaphore::new(limits.introductions)),
        connections: Arc::new(Semaphore::new(limits.connections)),
        subjects: Subjects::new(limits.connections_per_subject),
    };
    Router::new()
        .route("/graphql", any(handler::graphql))
        .route("/graphql/ws", get(websocket::upgrade))
        .route("/graphql/assets/{name}", get(graphiql::asset))
        .with_state(Arc::new(api))
}
