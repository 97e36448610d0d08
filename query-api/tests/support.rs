//! A whole deployment in one process: journal in memory, engine, read models in a file, query API, tokens.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use cauri_domain::LedgerCommand;
use cauri_domain::account::OpenAccount;
use cauri_domain::account_set::{AccountSetAction, AccountSetCommand};
use cauri_domain::entry::{EntryAction, PostEntry};
use cauri_domain::ids::CommandKey;
use cauri_domain::ledger::LedgerStream;
use cauri_domain::reach::Reach;
use cauri_domain::time::Timestamp;
use cauri_engine::consistency::ConsistencyToken;
use cauri_engine::{Accepted, CommandEnvelope, Engine, EngineConfig, ManualClock, Mode, Outcome};
use cauri_event_schemas::Position;
use cauri_event_store::memory::MemoryStore;
use cauri_event_store::{EventStore, Head};
use cauri_http::auth::issuer::DevIssuer;
use cauri_http::auth::jwks::{Jwks, JwksSource};
use cauri_http::auth::role::Role;
use cauri_http::auth::token::{Trust, Verifier};
use cauri_http::origin::Origins;
use cauri_projections::GroupId;
use cauri_projections::read::{ProjectionState, ReadStore};
use cauri_projections::runner::{Runner, RunnerConfig};
use cauri_query_api::{Limits, QueryState};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt as _;

/// 2026-03-16T12:00:00Z: the deployment's clock begins here.
pub const NOON: &str = "2026-03-16T12:00:00Z";

pub fn instant(text: &str) -> Timestamp {
    text.parse().expect("an instant")
}

/// Where the issuer of all tests keeps its key: making one takes longer than anything else.
const ISSUER_DIR: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/query-api");

pub static ISSUER: LazyLock<DevIssuer> = LazyLock::new(|| {
    std::fs::create_dir_all(ISSUER_DIR).expect("a folder");
    DevIssuer::open_or_create(Path::new(ISSUER_DIR)).expect("an issuer")
});

pub fn token(role: Role) -> String {
    token_of("awa", role)
}

/// A token that is limited to the accounts below these prefixes and in these sets.
pub fn token_within(role: Role, prefixes: &[&str], sets: &[&str]) -> String {
    let prefixes = prefixes.iter().map(|prefix| prefix.parse().expect("an address"));
    let reach = Reach::new(prefixes, sets.iter().map(|name| name.parse().expect("a name")));
    ISSUER.issue_within("awa", &[role], Some(&reach), Duration::from_secs(3_600)).expect("a token")
}

pub fn token_of(subject: &str, role: Role) -> String {
    ISSUER.issue(subject, &[role], Duration::from_secs(3_600)).expect("a token")
}

pub fn verifier() -> Arc<Verifier> {
    let keys = Jwks::load(JwksSource::File(ISSUER.jwks_path().to_owned())).expect("a key set");
    Arc::new(Verifier::new(keys, &Trust::default()))
}

/// A ledger with read models that a test feeds and asks.
pub struct Ledger {
    pub store: Arc<MemoryStore>,
    pub engine: Engine<cauri_domain::Ledger>,
    runner: Option<Runner>,
    next: AtomicU64,
    dir: TempDir,
}

impl Ledger {
    /// An empty one whose read models follow.
    pub fn start() -> Self {
        Self::with(Arc::new(MemoryStore::exclusive("ledger")))
    }

    fn with(store: Arc<MemoryStore>) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let clock = ManualClock::at(instant(NOON));
        // On a journal that has commands already theirs must not be asked again.
        let next = AtomicU64::new(1 + 1_000 * store.head().expect("a head").position.get());
        let config = EngineConfig { clock: Arc::new(clock), ..EngineConfig::default() };
        let engine = Engine::start(store.clone(), config).expect("an engine");
        let mut ledger = Self { store, engine, runner: None, next, dir };
        ledger.resume_projecting();
        ledger
    }

    pub fn path(&self) -> PathBuf {
        self.dir.path().join("reads")
    }

    /// Starts the read models' runner, and waits until each of them has something to show, even if it is nothing.
    pub fn resume_projecting(&mut self) {
        let runner = Runner::start(self.store.clone(), &self.path(), RunnerConfig::default()).expect("a runner");
        let built = || runner.status().read_models().all(|model| model.state == ProjectionState::Live);
        for _ in 0..3_000 {
            if built() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(built(), "the read models are not built: {:?}", runner.status());
        self.runner = Some(runner);
    }

    /// Stops it: the read models stay where they are.
    pub fn pause_projecting(&mut self) {
        self.runner = None;
    }

    /// A read store; one that polls, so that it outlives the runner.
    pub fn reads(&self) -> ReadStore {
        match &self.runner {
            Some(runner) => runner.read_store(),
            None => ReadStore::open(&self.path()).expect("a read store"),
        }
    }

    pub fn polling_reads(&self) -> ReadStore {
        ReadStore::open(&self.path()).expect("a read store")
    }

    /// A ledger on this journal, with read models of its own.
    pub fn on(store: MemoryStore) -> Self {
        Self::with(Arc::new(store))
    }

    /// The token of an answer at this position.
    pub fn consistency_token(&self, position: Position) -> String {
        let root = self.store.root_at(position).expect("a journal").expect("a position of the journal");
        ConsistencyToken::new("ledger", &Head { position, root }).to_string()
    }

    pub fn head(&self) -> Position {
        self.store.head().expect("a head").position
    }

    /// Waits until the read models show everything.
    pub async fn shown(&self) {
        assert!(self.reads().wait_for(&GroupId::ALL, self.head(), Duration::from_secs(30)).await, "the read models do not catch up");
    }

    pub fn api(&self) -> Api {
        self.api_with(Limits::default())
    }

    pub fn api_with(&self, limits: Limits) -> Api {
        self.api_of(self.reads(), limits)
    }

    /// One that web pages of these origins may use.
    pub fn api_for(&self, origins: Origins) -> Api {
        let state = QueryState { origins, ..QueryState::new(self.reads(), self.store.clone(), verifier()) };
        Api { router: cauri_query_api::router(state), token: Some(token(Role::Reader)) }
    }

    /// One that reads the journal through another store.
    pub fn api_on(&self, store: Arc<dyn EventStore>) -> Api {
        let limits = Limits { connections_per_subject: 100, ..Limits::default() };
        let state = QueryState { limits, ..QueryState::new(self.reads(), store, verifier()) };
        Api { router: cauri_query_api::router(state), token: Some(token(Role::Reader)) }
    }

    pub fn api_of(&self, reads: ReadStore, limits: Limits) -> Api {
        let state = QueryState { limits, ..QueryState::new(reads, self.store.clone(), verifier()) };
        Api { router: cauri_query_api::router(state), token: Some(token(Role::Auditor)) }
    }

    /// Submits one command, which must be accepted.
    pub fn submit(&self, command: impl FnOnce(&CommandKey) -> LedgerCommand) -> Accepted<LedgerStream> {
        let id: CommandKey = format!("test caller test-{}", self.next.fetch_add(1, Ordering::Relaxed)).parse().expect("a command id");
        let command = command(&id);
        let envelope = CommandEnvelope::new(command, id, "operator:awa".parse().expect("an actor"));
        // On a thread of its own: a test's thread runs tasks, and the engine refuses to block those.
        let submitted = std::thread::scope(|scope| scope.spawn(|| self.engine.submit_blocking(vec![envelope], Mode::Each)).join());
        match submitted.expect("no panic").expect("an answer").remove(0) {
            Outcome::Accepted(accepted) => accepted,
            other => panic!("not accepted: {other:?}"),
        }
    }

    /// Creates an account set, or adds to it, or removes from it; `asked` is the body of the request.
    pub fn change_set(&self, name: &str, what: &str, asked: Value) -> Accepted<LedgerStream> {
        let action = match what {
            "create" => AccountSetAction::Create(serde_json::from_value(asked).expect("a set")),
            "add" => AccountSetAction::Add(serde_json::from_value(asked).expect("a member")),
            _ => AccountSetAction::Remove(serde_json::from_value(asked).expect("a member")),
        };
        let name = name.parse().expect("a name");
        self.submit(|_| LedgerCommand::AccountSet(AccountSetCommand { name, action: Arc::new(action) }))
    }

    /// Opens an account; `terms` may say more than kind and currency.
    pub fn open_with(&self, address: &str, kind: &str, currency: &str, terms: Value) -> Accepted<LedgerStream> {
        let mut open = json!({ "address": address, "kind": kind, "currency": currency });
        let open_fields = open.as_object_mut().expect("an object");
        open_fields.extend(terms.as_object().expect("an object").clone());
        let open: OpenAccount = serde_json::from_value(open).expect("an account");
        self.submit(|_| LedgerCommand::open_account(open))
    }

    pub fn open(&self, address: &str, kind: &str) -> Accepted<LedgerStream> {
        self.open_with(address, kind, "XOF", json!({}))
    }

    /// Posts an entry with one transfer in XOF; `terms` may say more.
    pub fn post_with(&self, debit: &str, credit: &str, amount: u64, terms: Value) -> Accepted<LedgerStream> {
        let transfers = json!([{ "debit": debit, "credit": credit, "amount": { "amount": amount.to_string(), "currency": "XOF" } }]);
        let mut post = json!({ "transfers": transfers });
        post.as_object_mut().expect("an object").extend(terms.as_object().expect("an object").clone());
        let post: PostEntry = serde_json::from_value(post).expect("an entry");
        self.submit(|id| LedgerCommand::post_entry(post, id))
    }

    pub fn post(&self, debit: &str, credit: &str, amount: u64) -> Accepted<LedgerStream> {
        self.post_with(debit, credit, amount, json!({}))
    }

    /// Something that happens to an entry.
    pub fn then(&self, entry: &Accepted<LedgerStream>, action: EntryAction) -> Accepted<LedgerStream> {
        let id = entry.begun.as_ref().and_then(|stream| stream.as_entry()).expect("an entry");
        self.submit(|_| LedgerCommand::entry(id, action))
    }
}

/// The query API as somebody with a token sees it.
#[derive(Clone)]
pub struct Api {
    pub router: Router,
    pub token: Option<String>,
}

/// An answer over HTTP.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
}

impl Answer {
    /// The data of an answer without errors.
    pub fn data(&self) -> &Value {
        assert!(self.body.get("errors").is_none(), "{}", self.body);
        &self.body["data"]
    }

    /// The code of the first error.
    pub fn code(&self) -> &str {
        self.body["errors"][0]["extensions"]["code"].as_str().unwrap_or_else(|| panic!("no error in {}", self.body))
    }

    /// The text of the first error.
    pub fn message(&self) -> &str {
        self.body["errors"][0]["message"].as_str().unwrap_or_else(|| panic!("no error in {}", self.body))
    }

    /// The position that all groups were read at.
    pub fn as_of_position(&self) -> u64 {
        let positions = self.body["extensions"]["positions"].as_array().unwrap_or_else(|| panic!("no positions in {}", self.body));
        let positions: BTreeSet<u64> = positions.iter().filter_map(|read| read["position"].as_u64()).collect();
        assert_eq!(positions.len(), 1, "{}", self.body);
        positions.into_iter().next().unwrap_or_default()
    }
}

impl Api {
    /// Asks by POST, for `application/graphql-response+json`.
    pub async fn ask(&self, query: &str) -> Answer {
        self.ask_with(query, json!({}), &[]).await
    }

    /// The data that a query answers without errors.
    pub async fn data(&self, query: &str) -> Value {
        self.ask(query).await.data().clone()
    }

    pub async fn ask_with(&self, query: &str, variables: Value, headers: &[(&str, &str)]) -> Answer {
        let body = json!({ "query": query, "variables": variables }).to_string();
        let mut request = Request::post("/graphql").header("content-type", "application/json");
        if !headers.iter().any(|(name, _)| *name == "accept") {
            request = request.header("accept", "application/graphql-response+json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(Body::from(body)).expect("a request")).await
    }

    /// Sends a request with the token, if there is one.
    pub async fn send(&self, mut request: Request<Body>) -> Answer {
        if let Some(token) = &self.token {
            let value = format!("Bearer {token}").parse().expect("a header");
            request.headers_mut().entry("authorization").or_insert(value);
        }
        let response = self.router.clone().oneshot(request).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("a body").to_bytes();
        let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// Serves it on a port of this machine until the test ends.
    pub async fn serve(&self) -> std::net::SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let router = self.router.clone();
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }
}
