//! A ledger behind the router, and a short way to say what is sent and what must come back.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request};
use cauri_command_api::readiness::ReadyCheck;
use cauri_command_api::{ApiState, HttpLimits, router};
use cauri_domain::ledger::Ledger;
use cauri_domain::reach::Reach;
use cauri_domain::time::Timestamp;
use cauri_engine::consistency::ConsistencyToken;
use cauri_engine::{Engine, EngineConfig, ManualClock};
use cauri_event_schemas::Position;
use cauri_event_store::EventStore;
use cauri_event_store::memory::MemoryStore;
use cauri_http::auth::issuer::DevIssuer;
use cauri_http::auth::jwks::{Jwks, JwksSource};
use cauri_http::auth::role::Role;
use cauri_http::auth::token::{Trust, Verifier};
use serde_json::{Value, json};
use tower::ServiceExt as _;

/// When every ledger of these tests begins.
pub const BEGIN: &str = "2026-03-16T08:00:00Z";

/// One issuer for all tests: making its key takes longer than a test.
static ISSUER: LazyLock<DevIssuer> = LazyLock::new(|| {
    let folder = concat!(env!("CARGO_TARGET_TMPDIR"), "/command-api");
    std::fs::create_dir_all(folder).unwrap();
    DevIssuer::open_or_create(Path::new(folder)).unwrap()
});

/// A token for somebody with these roles.
pub fn token(roles: &[Role]) -> String {
    token_of("awa", roles)
}

/// A token for `subject` with these roles.
pub fn token_of(subject: &str, roles: &[Role]) -> String {
    ISSUER.issue(subject, roles, Duration::from_secs(600)).unwrap()
}

/// A token for somebody with these roles, limited to the accounts at and below some addresses.
pub fn token_within(roles: &[Role], prefixes: &[&str]) -> String {
    let reach = Reach::new(prefixes.iter().map(|prefix| prefix.parse().unwrap()), []);
    ISSUER.issue_within("awa", roles, Some(&reach), Duration::from_secs(600)).unwrap()
}

/// The keys of the issuer of these tests.
pub fn key_set() -> JwksSource {
    JwksSource::from(ISSUER.jwks_path())
}

/// A verifier that trusts the issuer of these tests.
pub fn verifier() -> Arc<Verifier> {
    let keys = Jwks::load(key_set()).unwrap();
    Arc::new(Verifier::new(keys, &Trust::default()))
}

/// A ledger behind the router.
pub struct Api {
    pub router: Router,
    pub engine: Engine<Ledger>,
    pub store: MemoryStore,
    pub clock: ManualClock,
}

impl Api {
    pub fn new() -> Self {
        Self::with(HttpLimits::default(), |_| {}, Vec::new())
    }

    pub fn with(limits: HttpLimits, configure: impl FnOnce(&mut EngineConfig), checks: Vec<ReadyCheck>) -> Self {
        Self::on(MemoryStore::exclusive("ledger"), |store| Arc::new(store), limits, configure, checks)
    }

    /// Behind it is what `seen` makes of the store.
    pub fn on(
        store: MemoryStore,
        seen: impl FnOnce(MemoryStore) -> Arc<dyn EventStore>,
        limits: HttpLimits,
        configure: impl FnOnce(&mut EngineConfig),
        checks: Vec<ReadyCheck>,
    ) -> Self {
        let clock = ManualClock::at(BEGIN.parse::<Timestamp>().unwrap());
        let seen = seen(store.clone());
        let mut config = EngineConfig { clock: Arc::new(clock.clone()), ..EngineConfig::for_store(&*seen) };
        configure(&mut config);
        let engine = Engine::start(seen, config).unwrap();
        let state = ApiState::new(
            engine.clone(),
            verifier(),
            limits,
            checks,
            // As a node has it: `accounts` is a read model.
            Box::new(|name| if name == "accounts" { Ok(()) } else { Err(format!("`{name}` is not a read model: accounts")) }),
        );
        Self { router: router(state), engine, store, clock }
    }

    /// Accounts of a small shop: `bank` without limits, `awa` and `ben` with floor zero.
    pub async fn shop() -> Self {
        let api = Self::new();
        for (address, kind, limits) in
            [("bank", "asset", json!({})), ("awa", "liability", json!({"floor": "0"})), ("ben", "liability", json!({"floor": "0"}))]
        {
            let body = json!({"address": address, "kind": kind, "currency": "XOF", "limits": limits});
            api.post("/v1/accounts").json(&body).send().await.expect(201);
        }
        api
    }

    pub fn post(&self, path: &str) -> Call<'_> {
        self.call(Method::POST, path)
    }

    pub fn get(&self, path: &str) -> Call<'_> {
        self.call(Method::GET, path)
    }

    pub fn call(&self, method: Method, path: &str) -> Call<'_> {
        let request = Request::builder().method(method).uri(path);
        Call { api: self, request, body: Body::empty(), token: Some(token(&[Role::Admin])), keyed: false }
    }

    /// The balance's four totals, as the engine has them: nothing here reads what it did not write.
    pub fn events(&self) -> u64 {
        self.engine.store().follow().head().position.get()
    }

    /// Everything in the journal, as it is stored.
    pub fn store_records(&self) -> Vec<Value> {
        let records = self.store.read_journal(Position::ZERO, usize::MAX).unwrap();
        records.iter().map(|record| serde_json::from_slice(record.as_record().bytes()).unwrap()).collect()
    }

    /// The consistency token of the journal's head.
    pub fn token(&self) -> String {
        ConsistencyToken::new("ledger", &self.engine.store().follow().head()).to_string()
    }

    /// The same router on a port.
    pub async fn serve(&self) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = self.router.clone();
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }
}

/// A request that is being put together.
pub struct Call<'a> {
    api: &'a Api,
    request: axum::http::request::Builder,
    body: Body,
    token: Option<String>,
    keyed: bool,
}

impl Call<'_> {
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.keyed |= name.eq_ignore_ascii_case("idempotency-key");
        self.request = self.request.header(name, value);
        self
    }

    pub fn key(self, key: &str) -> Self {
        self.header("idempotency-key", key)
    }

    /// Without any key. Whatever names none otherwise gets a fresh one, as a careful client would send it.
    pub fn without_key(mut self) -> Self {
        self.keyed = true;
        self
    }

    /// By somebody of this name, with these roles.
    pub fn by(self, subject: &str, roles: &[Role]) -> Self {
        self.token(&token_of(subject, roles))
    }

    pub fn role(mut self, role: Role) -> Self {
        self.token = Some(token(&[role]));
        self
    }

    pub fn token(mut self, token: &str) -> Self {
        self.token = Some(token.to_owned());
        self
    }

    pub fn nobody(mut self) -> Self {
        self.token = None;
        self
    }

    pub fn json(self, body: &Value) -> Self {
        self.text("application/json", body.to_string())
    }

    pub fn text(mut self, media_type: &str, body: impl Into<Body>) -> Self {
        self.request = self.request.header("content-type", media_type);
        self.body = body.into();
        self
    }

    /// A body whose media type is not said.
    pub fn untyped(mut self, body: impl Into<Body>) -> Self {
        self.body = body.into();
        self
    }

    pub async fn send(self) -> Answer {
        let Self { api, mut request, body, token, keyed } = self;
        if !keyed {
            static NEXT: AtomicU64 = AtomicU64::new(0);
            request = request.header("idempotency-key", format!("fresh-{}", NEXT.fetch_add(1, Ordering::Relaxed)));
        }
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let response = api.router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = to_bytes(body, 64 * 1024 * 1024).await.unwrap();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Answer { status: parts.status.as_u16(), headers: parts.headers, body, text: String::from_utf8_lossy(&bytes).into_owned() }
    }
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Value,
    pub text: String,
}

impl Answer {
    /// The answer, if it has this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    /// The answer, if it is a problem with this status, code and pointer; an empty pointer stands for none.
    #[track_caller]
    pub fn expect_problem(self, status: u16, code: &str, pointer: &str) -> Self {
        assert_eq!((self.status, self.body["code"].as_str()), (status, Some(code)), "{}", self.text);
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.body["pointer"].as_str().unwrap_or_default(), pointer, "{}", self.text);
        assert_eq!(self.body["instance"].as_str(), Some(self.header("x-request-id")), "{}", self.text);
        self
    }

    /// A header as text; empty if there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// An entry that moves whole francs.
pub fn entry(debit: &str, credit: &str, amount: u64) -> Value {
    json!({"transfers": [transfer(debit, credit, &amount.to_string())]})
}

/// A transfer of francs.
pub fn transfer(debit: &str, credit: &str, amount: &str) -> Value {
    json!({"debit": debit, "credit": credit, "amount": {"amount": amount, "currency": "XOF"}})
}
