//! Subscriptions over WebSocket, after the protocol `graphql-transport-ws`
//! (<https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md>).
//!
//! What waits for a client is bounded in bytes. Beyond a little of it subscriptions read no further; beyond the bound
//! nothing is read from the client either. A client that takes nothing for a while is disconnected, and sooner the more
//! it has waiting.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use async_graphql::Value;
use async_graphql::parser::types::OperationType;
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::http::header::{SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use cauri_http::auth::layer::bearer_of;
use cauri_http::auth::role::Permission;
use cauri_http::auth::subjects::Place;
use cauri_http::auth::token::Principal;
use cauri_http::json;
use cauri_http::problem::FieldProblem;
use futures::stream::{self, BoxStream, SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use serde::{Deserialize, Serialize};
use serde_json::Map;
use serde_json::value::RawValue;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout};
use tokio_stream::StreamMap;

use super::handler::{Api, Prepared};
use super::media::Media;
use super::request::{Malformed, Parameters};
use super::response::{Answer, malformed, not_let_in, refused, turned_away};
use crate::error::QueryError;
use crate::limits::Limits;
use crate::scope::Caller;
use crate::subscription::Gate;

const PROTOCOL: &str = "graphql-transport-ws";
/// Bytes that wait for a client beyond which its subscriptions read no further.
const AHEAD: usize = 64 * 1024;
/// How long a client with more waiting than it may have may take nothing.
const STALLED: Duration = Duration::from_secs(1);
/// How long the last message to a client may take.
const FAREWELL: Duration = Duration::from_secs(1);
/// Messages are small; a connection that is idle keeps no more than this to read into.
const READ_BUFFER: usize = 8 * 1024;
/// What a message costs besides its text.
const MESSAGE: usize = 64;
/// The code of a client that does not keep up: it may come again and go on behind the last entry that arrived (RFC 6455
/// §7.4, registered as "Try Again Later").
const TRY_AGAIN_LATER: u16 = 1013;

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
    let bearer = match bearer_of(&headers) {
        Ok(bearer) => bearer.map(str::to_owned),
        Err(problem) => return not_let_in(problem, Media::Json),
    };
    if !api.origins.admit_websocket(&headers) {
        metrics::counter!("cauri_graphql_foreign_origins_total").increment(1);
        return refused(QueryError::ForeignOrigin, Media::GraphqlResponse);
    }
    let Limits { introductions, connections, body_bytes: most, .. } = api.sources.limits;
    // Looked at here to answer early; the place itself is taken once the token was seen.
    let Some(introduction) = api.introductions.clone().try_acquire_owned().ok().filter(|_| api.connections.available_permits() > 0) else {
        let what = format!("{connections} connections are open or {introductions} wait for their clients' tokens; there may be no more");
        return turned_away(QueryError::Overloaded(what), Media::GraphqlResponse);
    };
    let upgrade = upgrade.read_buffer_size(READ_BUFFER).write_buffer_size(0);
    upgrade.protocols([PROTOCOL]).max_message_size(most).max_frame_size(most).on_upgrade(move |socket| async move {
        serve(&api, socket, bearer, introduction).await;
    })
}

async fn serve(api: &Arc<Api>, socket: WebSocket, bearer: Option<String>, introduction: OwnedSemaphorePermit) {
    let (sink, stream) = socket.split();
    let mut line = Line::new(sink, api.sources.limits);
    let mut ears = Ears { stream, alive: true };
    let end = match introduce(api, &mut line, &mut ears, bearer).await {
        Ok(known) => {
            drop(introduction);
            let open = metrics::gauge!("cauri_graphql_connections");
            open.increment(1.0);
            let end = converse(api, &mut line, &mut ears, &known).await;
            open.decrement(1.0);
            end
        }
        Err(end) => end,
    };
    line.close(end).await;
}

/// A client whose token was seen, with its places.
struct Known {
    bearer: String,
    caller: Principal,
    _connection: OwnedSemaphorePermit,
    _of_subject: Place,
}

impl Known {
    fn enter(api: &Api, bearer: String, caller: Principal) -> Result<Self, End> {
        let connection = api.connections.clone().try_acquire_owned();
        let connection = connection.map_err(|_| End::because(TRY_AGAIN_LATER, "Too many connections are open"))?;
        let of_subject = api.subjects.enter(caller.subject_shared()).ok_or_else(|| {
            let most = api.subjects.most();
            End::Farewell(4429, format!("Too many connections of this subject, {most} may be open").into())
        })?;
        Ok(Self { bearer, caller, _connection: connection, _of_subject: of_subject })
    }
}

/// The first words: who is there. The token may come in the payload of `connection_init`, because a browser cannot
/// set headers here, or in the header of the upgrade.
async fn introduce(api: &Api, line: &mut Line, ears: &mut Ears, header: Option<String>) -> Result<Known, End> {
    let deadline = Instant::now() + api.sources.limits.introduction;
    loop {
        let message = tokio::time::timeout_at(deadline, ears.receive()).await;
        match message.map_err(|_| End::because(4408, "Connection initialisation timeout"))?? {
            FromClient::Ping {} => line.say(&ToClient::Pong)?,
            FromClient::Pong {} => {}
            FromClient::Subscribe { .. } | FromClient::Complete { .. } => return Err(End::because(4401, "Unauthorized")),
            FromClient::ConnectionInit { payload } => {
                let said = payload.iter().flatten().find(|(name, _)| name.eq_ignore_ascii_case("authorization"));
                let said = said.and_then(|(_, value)| value.as_str()).map(str::to_owned);
                let bearer = said.or(header).unwrap_or_default();
                let caller = authorize(api, &bearer).await?;
                let known = Known::enter(api, bearer, caller)?;
                line.say(&ToClient::ConnectionAck)?;
                return Ok(known);
            }
        }
        let sent = tokio::time::timeout_at(deadline, line.drain_all()).await;
        sent.map_err(|_| End::Gone)??;
    }
}

async fn authorize(api: &Api, bearer: &str) -> Result<Principal, End> {
    let bearer = Some(bearer).filter(|bearer| !bearer.is_empty());
    api.auth.authorize(bearer, Permission::Read).await.map_err(|problem| {
        let (code, word) = if problem.status() == 403 { (4403, "Forbidden") } else { (4401, "Unauthorized") };
        End::Farewell(code, format!("{word}: {problem}").into())
    })
}

/// What an operation gives.
enum Event {
    Result(Answer),
    Done,
}

type Operations = StreamMap<String, BoxStream<'static, Event>>;

/// Everything after the introduction.
async fn converse(api: &Arc<Api>, line: &mut Line, ears: &mut Ears, known: &Known) -> End {
    let heartbeat = api.sources.limits.heartbeat;
    let mut beats = interval_at(Instant::now() + heartbeat, heartbeat);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut operations = Operations::new();
    loop {
        let (waits, full, deadline) = (line.waits(), line.is_full(), line.deadline());
        let done = tokio::select! {
            sent = line.drain(), if waits => sent,
            message = ears.receive(), if !full => match message {
                Ok(message) => listen(api, line, &mut operations, &known.caller, message),
                Err(end) => Err(end),
            },
            // Always asked, whatever waits: what an operation has begun to read it reads to its end.
            Some((id, event)) = operations.next() => tell(line, &mut operations, &id, event),
            _ = beats.tick() => beat(api, line, ears, &known.bearer).await,
            () = sleep_until(deadline), if waits => Err(line.slow()),
        };
        if let Err(end) = done {
            return end;
        }
    }
}

fn listen(api: &Arc<Api>, line: &mut Line, operations: &mut Operations, caller: &Principal, message: FromClient) -> Result<(), End> {
    match message {
        FromClient::ConnectionInit { .. } => Err(End::because(4429, "Too many initialisation requests")),
        FromClient::Ping {} => line.say(&ToClient::Pong),
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
                begin(api, caller, payload, line.gate.subscribe())
            } else {
                let error = QueryError::TooComplex(format!("{most} operations run on this connection, there may be no more"));
                Err(Answer::refused(error.into_server_error()))
            };
            match begun {
                Ok(operation) => {
                    operations.insert(id, operation);
                    Ok(())
                }
                Err(refusal) => line.say(&ToClient::Error { id: &id, payload: refusal.errors() }),
            }
        }
    }
}

fn begin(
    api: &Arc<Api>,
    caller: &Principal,
    payload: Map<String, serde_json::Value>,
    gate: watch::Receiver<bool>,
) -> Result<BoxStream<'static, Event>, Answer> {
    let parameters = Parameters::of_map(payload);
    let parameters = parameters.map_err(|Malformed(what)| Answer::refused(QueryError::BadInput(what).into_server_error()))?;
    let Prepared { kind, request, plan } = api.prepare(parameters, Vec::new(), &Caller::of(caller))?;
    // A query counts among the requests of its subject, however it came in. A subscription lasts, and has bounds of its own.
    let place = match kind {
        OperationType::Query | OperationType::Mutation => Some(api.auth.enter(caller).map_err(|problem| {
            let error = QueryError::TooManyRequests(problem.detail.clone());
            Answer::refused(error.into_server_error())
        })?),
        OperationType::Subscription => None,
    };
    let request = request.data(Gate(gate));
    let results = api.schema.execute_stream(request).enumerate().map(move |(index, response)| {
        // A subscription that fails before its first result was refused; later on, something went wrong with it.
        let _held = &place;
        let begun = plan.begun() || index > 0 || response.data != Value::Null;
        Event::Result(Answer::new(response, begun))
    });
    Ok(results.chain(stream::once(async { Event::Done })).boxed())
}

fn tell(line: &mut Line, operations: &mut Operations, id: &str, event: Event) -> Result<(), End> {
    match event {
        Event::Done => {
            operations.remove(id);
            line.say(&ToClient::Complete { id })
        }
        Event::Result(answer) if answer.is_refusal() => {
            operations.remove(id);
            line.say(&ToClient::Error { id, payload: answer.errors() })
        }
        Event::Result(answer) => {
            let text = String::from_utf8(answer.to_json()).map_err(|_| End::Gone)?;
            let most = line.limits.connection_bytes / 2;
            if text.len() > most {
                operations.remove(id);
                let what = format!("the answer has {} bytes, at most {most} are sent over WebSocket: ask for less", text.len());
                let refusal = Answer::refused(QueryError::TooComplex(what).into_server_error());
                return line.say(&ToClient::Error { id, payload: refusal.errors() });
            }
            let payload = RawValue::from_string(text).map_err(|_| End::Gone)?;
            line.say(&ToClient::Next { id, payload: &payload })
        }
    }
}

/// Is the client still there, and may it still see what it sees?
async fn beat(api: &Api, line: &mut Line, ears: &mut Ears, bearer: &str) -> Result<(), End> {
    // What a client says is not read while too much waits for it, so its silence says nothing then.
    if !std::mem::take(&mut ears.alive) && !line.is_full() {
        return Err(End::Gone);
    }
    if authorize(api, bearer).await.is_err() {
        // 4403 and not 4401: a client may come back with a new token.
        return Err(End::because(4403, "Forbidden: the token is no longer good"));
    }
    line.put(Message::Ping(Default::default()), 0);
    Ok(())
}

/// What comes from a client.
struct Ears {
    stream: SplitStream<WebSocket>,
    /// It said something since the last heartbeat, even if only that it is there.
    alive: bool,
}

impl Ears {
    async fn receive(&mut self) -> Result<FromClient, End> {
        let invalid = || End::because(4400, "Invalid message received");
        loop {
            let message = self.stream.next().await.and_then(Result::ok).ok_or(End::Gone)?;
            self.alive = true;
            match message {
                Message::Text(text) => return json::decode(text.as_bytes()).map_err(|problem| End::invalid(&problem)),
                Message::Binary(_) => return Err(invalid()),
                Message::Close(_) => return Err(End::Gone),
                Message::Ping(_) | Message::Pong(_) => {}
            }
        }
    }
}

/// What goes to a client.
struct Line {
    sink: SplitSink<WebSocket, Message>,
    limits: Limits,
    /// Messages that wait for the client to take those before them, with what they count.
    queue: VecDeque<(Message, usize)>,
    bytes: usize,
    /// A message was given to the socket that may not have left it.
    unsent: bool,
    /// When the client last took something, or when it was sent something while nothing waited.
    taken: Instant,
    /// Open while so little waits that subscriptions may read on.
    gate: watch::Sender<bool>,
}

impl Line {
    fn new(sink: SplitSink<WebSocket, Message>, limits: Limits) -> Self {
        let gate = watch::Sender::new(true);
        Self { sink, limits, queue: VecDeque::new(), bytes: 0, unsent: false, taken: Instant::now(), gate }
    }

    /// Whether something waits for the client.
    fn waits(&self) -> bool {
        self.unsent || !self.queue.is_empty()
    }

    /// Whether more waits than may.
    fn is_full(&self) -> bool {
        self.bytes > self.limits.connection_bytes
    }

    /// When a client that goes on taking nothing is disconnected.
    fn deadline(&self) -> Instant {
        let patience = self.limits.patience;
        self.taken + if self.is_full() { STALLED.min(patience) } else { patience }
    }

    fn slow(&mut self) -> End {
        metrics::counter!("cauri_graphql_slow_clients_total").increment(1);
        let why = format!("The client does not take what it is sent, {} bytes wait", self.bytes);
        // They would only stand in the way of the last message.
        self.queue.clear();
        End::Farewell(TRY_AGAIN_LATER, why.into())
    }

    fn say(&mut self, message: &ToClient<'_>) -> Result<(), End> {
        let text = serde_json::to_string(message).map_err(|error| {
            tracing::error!(%error, "a message could not be written");
            End::because(4500, "Internal server error")
        })?;
        let length = text.len();
        self.put(Message::Text(text.into()), length);
        Ok(())
    }

    fn put(&mut self, message: Message, length: usize) {
        if !self.waits() {
            self.taken = Instant::now();
        }
        let counts = length + MESSAGE;
        self.bytes += counts;
        self.queue.push_back((message, counts));
        self.look_at_gate();
    }

    fn look_at_gate(&self) {
        let open = self.bytes < AHEAD;
        self.gate.send_if_modified(|was| std::mem::replace(was, open) != open);
    }

    /// Gives the next message to the socket, or waits until the last has left it. Nothing is lost where it is dropped.
    async fn drain(&mut self) -> Result<(), End> {
        let sent = poll_fn(|context| {
            if self.queue.is_empty() {
                ready!(self.sink.poll_flush_unpin(context))?;
                self.unsent = false;
            } else {
                ready!(self.sink.poll_ready_unpin(context))?;
                if let Some((message, counted)) = self.queue.pop_front() {
                    self.sink.start_send_unpin(message)?;
                    self.bytes -= counted;
                    self.unsent = true;
                }
            }
            Poll::Ready(Ok::<(), axum::Error>(()))
        });
        sent.await.map_err(|_| End::Gone)?;
        self.taken = Instant::now();
        self.look_at_gate();
        Ok(())
    }

    async fn drain_all(&mut self) -> Result<(), End> {
        while self.waits() {
            self.drain().await?;
        }
        Ok(())
    }

    async fn close(mut self, end: End) {
        let End::Farewell(code, why) = end else { return };
        self.put(Message::Close(Some(CloseFrame { code, reason: why.as_ref().into() })), why.len());
        // Whether it arrives is all the same now.
        let _ = timeout(FAREWELL, self.drain_all()).await;
    }
}
