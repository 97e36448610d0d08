//! Subscriptions over WebSocket, after the protocol `graphql-transport-ws`
//! (<https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md>).
//!
//! Nothing is queued for a client: an operation is only asked for its next result when the one before was taken. A
//! client that takes nothing for a while is disconnected.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use async_graphql::parser::types::OperationType;
use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use cauri_command_api::auth::challenge::AuthProblem;
use cauri_command_api::auth::role::Permission;
use futures::future::Either;
use futures::stream::{self, BoxStream, SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tokio::time::{self, timeout};
use tokio_stream::StreamMap;

use super::handler::{Api, Prepared, bearer_in};
use super::media::Media;
use super::request::{Malformed, Parameters};
use super::response::{self, Answer};
use crate::error::QueryError;

const PROTOCOL: &str = "graphql-transport-ws";

/// Why a connection is closed, with the protocol's own numbers.
#[derive(Clone, Copy, Debug)]
struct Farewell(u16, &'static str);

const INVALID_MESSAGE: Farewell = Farewell(4400, "that is no message of graphql-transport-ws");
const UNAUTHORIZED: Farewell = Farewell(4401, "Unauthorized");
const FORBIDDEN: Farewell = Farewell(4403, "Forbidden");
const INIT_TIMEOUT: Farewell = Farewell(4408, "Connection initialisation timeout");
const TOO_MANY_INITS: Farewell = Farewell(4429, "Too many initialisation requests");
const TOKEN_EXPIRED: Farewell = Farewell(4403, "the token is no longer good");
const GONE: Farewell = Farewell(4408, "no answer to a ping");

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum FromClient {
    ConnectionInit {
        #[serde(default)]
        payload: Option<Map<String, Value>>,
    },
    Ping {},
    Pong {},
    Subscribe {
        id: String,
        payload: Map<String, Value>,
    },
    Complete {
        id: String,
    },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ToClient<'a> {
    ConnectionAck,
    Ping,
    Pong,
    Next { id: &'a str, payload: &'a RawValue },
    Error { id: &'a str, payload: Value },
    Complete { id: &'a str },
}

/// `GET /graphql/ws`.
pub(crate) async fn upgrade(State(api): State<Arc<Api>>, headers: HeaderMap, upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>) -> Response {
    let Ok(upgrade) = upgrade else {
        return response::malformed(StatusCode::UPGRADE_REQUIRED, Media::Json, format!("this address speaks WebSocket with the protocol {PROTOCOL}"));
    };
    let offered = headers.get_all("sec-websocket-protocol").iter().filter_map(|value| value.to_str().ok());
    if !offered.flat_map(|value| value.split(',')).any(|protocol| protocol.trim() == PROTOCOL) {
        return response::malformed(StatusCode::BAD_REQUEST, Media::Json, format!("the WebSocket protocol must be {PROTOCOL}"));
    }
    let bearer = match bearer_in(&headers) {
        Ok(bearer) => bearer.map(str::to_owned),
        Err(problem) => return response::not_let_in(problem, Media::Json),
    };
    let Ok(place) = api.connections.clone().try_acquire_owned() else {
        let error = QueryError::Overloaded(format!("{} connections are open, there may be no more", api.sources.limits.connections));
        return Answer::refused(error.into_server_error()).into_http(Media::GraphqlResponse);
    };
    let most = api.sources.limits.body_bytes;
    upgrade.protocols([PROTOCOL]).max_message_size(most).max_frame_size(most).on_upgrade(move |socket| async move {
        let open = metrics::gauge!("cauri_graphql_connections");
        open.increment(1.0);
        serve(api, socket, bearer).await;
        open.decrement(1.0);
        drop(place);
    })
}

async fn serve(api: Arc<Api>, socket: WebSocket, bearer: Option<String>) {
    let (sink, mut incoming) = socket.split();
    let mut out = Out { sink, patience: api.sources.limits.patience };
    let end = match introduce(&api, &mut out, &mut incoming, bearer).await {
        Ok(bearer) => Connection::new(api, out, bearer).run(&mut incoming).await,
        Err(end) => (out, end),
    };
    let (mut out, farewell) = end;
    if let Some(farewell) = farewell {
        out.close(farewell).await;
    }
}
