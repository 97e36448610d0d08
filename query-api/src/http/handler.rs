//! `/graphql`: a POST or GET becomes one operation and its answer, or the page for people.

use std::sync::Arc;
use std::time::Instant;

use async_graphql::parser::types::OperationType;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, Method, StatusCode};
use axum::response::Response;
use cauri_http::auth::challenge::AuthProblem;
use cauri_http::auth::layer::{AuthState, bearer_of};
use cauri_http::auth::role::Permission;
use cauri_http::auth::subjects::Subjects;
use cauri_http::auth::token::Principal;
use cauri_http::body::{Arrived, whole};
use cauri_http::load::{BodyMemory, Pool};
use cauri_http::origin::Origins;

use super::media::{self, Media};
use super::request::{Malformed, Parameters, is_json};
use super::response::{self, Answer};
use super::{graphiql, response::malformed};
use crate::document::{Judged, Unfit, judge};
use crate::error::QueryError;
use crate::limits::Limits;
use crate::schema::{CauriSchema, Outline, Plan};
use crate::scope::{Caller, Sources};

/// The position that the answer must show, as a consistency token or a plain position.
const MIN_POSITION: HeaderName = HeaderName::from_static("cauri-min-position");

/// Everything that a request needs.
pub(crate) struct Api {
    pub(crate) schema: CauriSchema,
    pub(crate) sources: Sources,
    pub(crate) auth: AuthState,
    /// A turn for each query that has arrived.
    pub(crate) requests: Pool,
    pub(crate) body_memory: Arc<BodyMemory>,
    pub(crate) origins: Origins,
    /// A permit for each WebSocket connection whose client has not introduced itself.
    pub(crate) introductions: Arc<tokio::sync::Semaphore>,
    /// A permit for each other one.
    pub(crate) connections: Arc<tokio::sync::Semaphore>,
    /// The same by subject.
    pub(crate) subjects: Arc<Subjects>,
}

/// `GET` and `POST /graphql`.
pub(crate) async fn graphql(State(api): State<Arc<Api>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let is_get = matches!(parts.method, Method::GET | Method::HEAD);
    let media = match media::preferred(&parts.headers) {
        Some(Media::Html) if is_get => return graphiql::page(),
        // A browser's form asked for a page; it gets JSON.
        Some(Media::Html) => Media::Json,
        Some(media) => media,
        None => {
            let what = "an answer is application/graphql-response+json or application/json";
            return malformed(StatusCode::NOT_ACCEPTABLE, Media::Json, what.to_owned());
        }
    };
    if !is_get && parts.method != Method::POST {
        return response::method_not_allowed(media, "GET, POST");
    }
    let caller = match let_in(&api.auth, &parts.headers).await {
        Ok(caller) => caller,
        Err(problem) => {
            tracing::debug!(reason = problem.kind().code, "a query was not let in");
            return response::not_let_in(problem, media);
        }
    };
    let _place = match api.auth.enter(&caller) {
        Ok(place) => place,
        Err(problem) => return response::turned_away(QueryError::TooManyRequests(problem.detail.clone()), media),
    };
    let parameters = if is_get {
        Parameters::of_query_string(parts.uri.query().unwrap_or_default())
    } else if is_json(&parts.headers) {
        let Limits { body_bytes, body_time, .. } = api.sources.limits;
        let memory = api.body_memory.account(Some(caller.subject_shared().clone()));
        match whole(body, &parts.headers, body_bytes, body_time, memory).await {
            Ok(Arrived { bytes, .. }) => Parameters::of_body(&bytes),
            Err(problem) if problem.status == 503 => {
                return response::turned_away(QueryError::Overloaded(problem.detail.clone()), media);
            }
            Err(problem) => {
                let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::BAD_REQUEST);
                return malformed(status, media, problem.detail.clone());
            }
        }
    } else {
        let what = "the body must be application/json in UTF-8, and its Content-Type must say so";
        return malformed(StatusCode::UNSUPPORTED_MEDIA_TYPE, media, what.to_owned());
    };
    let parameters = match parameters {
        Ok(parameters) => parameters,
        Err(Malformed(what)) => return malformed(StatusCode::BAD_REQUEST, media, what),
    };
    let min_positions = match min_positions(&parts.headers) {
        Ok(positions) => positions,
        Err(what) => return malformed(StatusCode::BAD_REQUEST, media, what),
    };
    // Only now: a client that sends slowly holds no turn.
    let Some(_turn) = api.requests.enter() else {
        let what = format!("{} queries are being answered, there may be no more", api.sources.limits.in_flight);
        return response::turned_away(QueryError::Overloaded(what), media);
    };
    api.answer(parameters, min_positions, &Caller::of(&caller)).await.into_http(media)
}

/// Verifies the bearer token of the request.
async fn let_in(auth: &AuthState, headers: &HeaderMap) -> Result<Principal, AuthProblem> {
    auth.authorize(bearer_of(headers)?, Permission::Read).await
}

fn min_positions(headers: &HeaderMap) -> Result<Vec<String>, String> {
    let texts = headers.get_all(MIN_POSITION).iter().map(|value| value.to_str().map(|text| text.trim().to_owned()));
    texts.collect::<Result<_, _>>().map_err(|_| "the header Cauri-Min-Position is not ASCII".to_owned())
}

impl Api {
    /// Runs a query to its end.
    async fn answer(&self, parameters: Parameters, min_positions: Vec<String>, caller: &Caller) -> Answer {
        let start = Instant::now();
        let answer = match self.prepare(parameters, min_positions, caller) {
            Err(refused) => refused,
            Ok(Prepared { kind: OperationType::Subscription, .. }) => {
                let what = "subscriptions are served over WebSocket, with the protocol graphql-transport-ws, at the address of this endpoint and `/ws`";
                Answer::refused(QueryError::bad_input(what).into_server_error())
            }
            Ok(Prepared { kind: OperationType::Query | OperationType::Mutation, request, plan }) => {
                let response = self.schema.execute(request).await;
                Answer::new(response, plan.begun())
            }
        };
        let outcome = answer.code().map_or("OK", |code| code.as_str());
        metrics::histogram!("cauri_graphql_request_seconds", "outcome" => outcome).record(start.elapsed().as_secs_f64());
        answer
    }

    /// Judges a document and makes it ready to be run in a scope of its own.
    pub(crate) fn prepare(&self, parameters: Parameters, mut min_positions: Vec<String>, caller: &Caller) -> Result<Prepared, Answer> {
        let Parameters { query, operation_name, variables } = parameters;
        let judged = judge(&query, operation_name.as_deref(), &variables, &self.sources.limits);
        let Judged { document, kind, min_positions: asked, known_at, consistent } = judged.map_err(|unfit| match unfit {
            Unfit::Syntax(error) => Answer::refused(error),
            Unfit::Refused(error) => Answer::refused(error.into_server_error()),
        })?;
        min_positions.extend(asked);
        let plan = Plan::new(min_positions, known_at, consistent);
        let mut request = async_graphql::Request::new(query).variables(variables).data(Outline(document.clone()));
        request.operation_name = operation_name;
        request.set_parsed_query(document);
        request = if kind == OperationType::Subscription {
            request.data(caller.clone())
        } else {
            request.data(self.sources.scope(caller)).data(plan.clone())
        };
        Ok(Prepared { kind, request, plan })
    }
}

/// An operation that may be run.
pub(crate) struct Prepared {
    pub(crate) kind: OperationType,
    pub(crate) request: async_graphql::Request,
    pub(crate) plan: Arc<Plan>,
}
