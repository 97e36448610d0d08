//! Subscriptions over WebSocket, after the protocol `graphql-transport-ws`
//! (<https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md>).
//!
//! Nothing is queued for a client: an operation is only asked for its next result when the one before was taken. A
//! client that takes nothing for a while is disconnected.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use async_graphql::Value;
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::http::header::{SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use cauri_command_api::auth::role::Permission;
use cauri_command_api::json;
use cauri_command_api::problem::FieldProblem;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use serde::{Deserialize, Serialize};
use serde_json::Map;
use serde_json::value::RawValue;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_stream::StreamMap;

use super::handler::{Api, Prepared, bearer_in};
use super::media::Media;
use super::request::{Malformed, Parameters};
use super::response::{Answer, malformed, not_let_in};
use crate::error::QueryError;

const PROTOCOL: &str = "graphql-transport-ws";

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum FromClient {
    ConnectionInit {
        #[serde(default)]
        payload: Option<Map<String, serde_json::Value>>,
    },
    Ping {},
    Pong {},
    Subscribe {
        id: String,
        payload: Map<String, serde_json::Value>,
    },
    Complete {
        id: String,
    },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ToClient<'a> {
    ConnectionAck,
    Pong,
    Next { id: &'a str, payload: &'a RawValue },
    Error { id: &'a str, payload: serde_json::Value },
    Complete { id: &'a str },
}

/// How a connection ends.
#[derive(Debug)]
enum End {
    /// The client left, or does not take what it is sent: there is nobody to say anything to.
    Gone,
    /// The client is told why, with the protocol's own numbers.
    Farewell(u16, Cow<'static, str>),
}

impl End {
    const fn because(code: u16, why: &'static str) -> Self {
        Self::Farewell(code, Cow::Borrowed(why))
    }

    /// A message that cannot be read.
    fn invalid(problem: &FieldProblem) -> Self {
        let mut why = format!("Invalid message received: {} {}", problem.pointer, problem.detail);
        // A close frame's reason has at most 123 bytes.
        let ends = why.char_indices().map(|(at, character)| at + character.len_utf8());
        let end = ends.take_while(|end| *end <= 123).last().unwrap_or(0);
        why.truncate(end);
        Self::Farewell(4400, why.into())
    }
}

/// `GET /graphql/ws`.
pub(crate) async fn upgrade(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let Ok(upgrade) = upgrade else {
        let what = format!("this address speaks WebSocket with the protocol {PROTOCOL}");
        let mut answer = malformed(StatusCode::UPGRADE_REQUIRED, Media::Json, what);
        answer.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
        return answer;
    };
    let offered = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    if !offered.flat_map(|value| value.split(',')).any(|protocol| protocol.trim() == PROTOCOL) {
        return malformed(StatusCode::BAD_REQUEST, Media::Json, format!("the WebSocket protocol must be {PROTOCOL}"));
    }
    let bearer = match bearer_in(&headers) {
        Ok(bearer) => bearer.map(str::to_owned),
        Err(problem) => return not_let_in(problem, Media::Json),
    };
    let Ok(place) = api.connections.clone().try_acquire_owned() else {
        let error = QueryError::Overloaded(format!("{} connections are open, there may be no more", api.sources.limits.connections));
        return Answer::refused(error.into_server_error()).into_http(Media::GraphqlResponse);
    };
    let most = api.sources.limits.body_bytes;
    upgrade.protocols([PROTOCOL]).max_message_size(most).max_frame_size(most).on_upgrade(move |socket| async move {
        let open = metrics::gauge!("cauri_graphql_connections");
        open.increment(1.0);
        serve(&api, socket, bearer).await;
        open.decrement(1.0);
        drop(place);
    })
}

async fn serve(api: &Arc<Api>, socket: WebSocket, bearer: Option<String>) {
    let mut line = Line { socket, patience: api.sources.limits.patience, alive: true };
    let end = match introduce(api, &mut line, bearer).await {
        Ok(bearer) => converse(api, &mut line, bearer).await,
        Err(end) => end,
    };
    line.close(end).await;
}

/// The first words: who is there. The token may come in the payload of `connection_init`, because a browser cannot
/// set headers here, or in the header of the upgrade.
async fn introduce(api: &Api, line: &mut Line, header: Option<String>) -> Result<String, End> {
    let deadline = Instant::now() + line.patience;
    loop {
        let message = tokio::time::timeout_at(deadline, line.receive()).await;
        match message.map_err(|_| End::because(4408, "Connection initialisation timeout"))?? {
            FromClient::Ping {} => line.send(&ToClient::Pong).await?,
            FromClient::Pong {} => {}
            FromClient::Subscribe { .. } | FromClient::Complete { .. } => return Err(End::because(4401, "Unauthorized")),
            FromClient::ConnectionInit { payload } => {
                let said = payload.iter().flatten().find(|(name, _)| name.eq_ignore_ascii_case("authorization"));
                let said = said.and_then(|(_, value)| value.as_str()).map(str::to_owned);
                let bearer = said.or(header).unwrap_or_default();
                authorize(api, &bearer).await?;
                line.send(&ToClient::ConnectionAck).await?;
                return Ok(bearer);
            }
        }
    }
}

async fn authorize(api: &Api, bearer: &str) -> Result<(), End> {
    let bearer = Some(bearer).filter(|bearer| !bearer.is_empty());
    match api.auth.authorize(bearer, Permission::Read).await {
        Ok(_) => Ok(()),
        Err(problem) if problem.status() == 403 => Err(End::Farewell(4403, format!("Forbidden: {problem}").into())),
        Err(problem) => Err(End::Farewell(4401, format!("Unauthorized: {problem}").into())),
    }
}

/// What an operation gives.
enum Event {
    Result(Answer),
    Done,
}

type Operations = StreamMap<String, BoxStream<'static, Event>>;

/// Everything after the introduction.
async fn converse(api: &Arc<Api>, line: &mut Line, bearer: String) -> End {
    let heartbeat = api.sources.limits.heartbeat;
    let mut beats = interval_at(Instant::now() + heartbeat, heartbeat);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut operations = Operations::new();
    loop {
        let done = tokio::select! {
            message = line.receive() => match message {
                Ok(message) => listen(api, line, &mut operations, message).await,
                Err(end) => Err(end),
            },
            Some((id, event)) = operations.next() => tell(line, &mut operations, &id, event).await,
            _ = beats.tick() => beat(api, line, &bearer).await,
        };
        if let Err(end) = done {
            return end;
        }
    }
}

async fn listen(api: &Arc<Api>, line: &mut Line, operations: &mut Operations, message: FromClient) -> Result<(), End> {
    match message {
        FromClient::ConnectionInit { .. } => Err(End::because(4429, "Too many initialisation requests")),
        FromClient::Ping {} => line.send(&ToClient::Pong).await,
        FromClient::Pong {} => Ok(()),
        FromClient::Complete { id } => {
            operations.remove(&id);
            Ok(())
        }
        FromClient::Subscribe { id, .. } if operations.contains_key(&id) => {
            // A close frame's reason has at most 123 bytes.
            let id: String = id.chars().take(16).collect();
            Err(End::Farewell(4409, format!("Subscriber for {id} already exists").into()))
        }
        FromClient::Subscribe { id, payload } => {
            let most = api.sources.limits.operations;
            let begun = if operations.len() < most {
                begin(api, payload)
            } else {
                let error = QueryError::TooComplex(format!("{most} operations run on this connection, there may be no more"));
                Err(Answer::refused(error.into_server_error()))
            };
            match begun {
                Ok(operation) => {
                    operations.insert(id, operation);
                    Ok(())
                }
                Err(refused) => line.send(&ToClient::Error { id: &id, payload: refused.errors() }).await,
            }
        }
    }
}

fn begin(api: &Arc<Api>, payload: Map<String, serde_json::Value>) -> Result<BoxStream<'static, Event>, Answer> {
    let parameters = Parameters::of_map(payload);
    let parameters = parameters.map_err(|Malformed(what)| Answer::refused(QueryError::BadInput(what).into_server_error()))?;
    let Prepared { request, plan, .. } = api.prepare(parameters, Vec::new())?;
    let results = api.schema.execute_stream(request).enumerate().map(move |(index, response)| {
        // A subscription that fails before its first result was refused; later on, something went wrong with it.
        let begun = plan.begun() || index > 0 || response.data != Value::Null;
        Event::Result(Answer::new(response, begun))
    });
    Ok(results.chain(stream::once(async { Event::Done })).boxed())
}

async fn tell(line: &mut Line, operations: &mut Operations, id: &str, event: Event) -> Result<(), End> {
    match event {
        Event::Done => {
            operations.remove(id);
            line.send(&ToClient::Complete { id }).await
        }
        Event::Result(answer) if answer.is_refusal() => {
            operations.remove(id);
            line.send(&ToClient::Error { id, payload: answer.errors() }).await
        }
        Event::Result(answer) => {
            let text = String::from_utf8(answer.to_json()).map_err(|_| End::Gone)?;
            let payload = RawValue::from_string(text).map_err(|_| End::Gone)?;
            line.send(&ToClient::Next { id, payload: &payload }).await
        }
    }
}

/// Is the client still there, and may it still see what it sees?
async fn beat(api: &Api, line: &mut Line, bearer: &str) -> Result<(), End> {
    if !std::mem::take(&mut line.alive) {
        return Err(End::Gone);
    }
    if authorize(api, bearer).await.is_err() {
        // 4403 and not 4401: a client may come back with a new token.
        return Err(End::because(4403, "Forbidden: the token is no longer good"));
    }
    line.put(Message::Ping(Default::default())).await
}

/// One client.
struct Line {
    socket: WebSocket,
    patience: Duration,
    /// It said something since the last heartbeat, even if only that it is there.
    alive: bool,
}

impl Line {
    async fn receive(&mut self) -> Result<FromClient, End> {
        let invalid = || End::because(4400, "Invalid message received");
        loop {
            let message = self.socket.recv().await.and_then(Result::ok).ok_or(End::Gone)?;
            self.alive = true;
            match message {
                Message::Text(text) => return json::decode(text.as_bytes()).map_err(|problem| End::invalid(&problem)),
                Message::Binary(_) => return Err(invalid()),
                Message::Close(_) => return Err(End::Gone),
                Message::Ping(_) | Message::Pong(_) => {}
            }
        }
    }

    async fn send(&mut self, message: &ToClient<'_>) -> Result<(), End> {
        let text = serde_json::to_string(message).map_err(|error| {
            tracing::error!(%error, "a message could not be written");
            End::because(4500, "Internal server error")
        })?;
        self.put(Message::Text(text.into())).await
    }

    /// Waits until the client's network took it, at most as long as the limits allow.
    async fn put(&mut self, message: Message) -> Result<(), End> {
        match timeout(self.patience, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Gone),
            Err(_) => {
                metrics::counter!("cauri_graphql_slow_clients_total").increment(1);
                Err(End::Gone)
            }
        }
    }

    async fn close(mut self, end: End) {
        let End::Farewell(code, why) = end else { return };
        let frame = CloseFrame { code, reason: why.as_ref().into() };
        // Whether it arrives is all the same now.
        let _ = self.put(Message::Close(Some(frame))).await;
    }
}
