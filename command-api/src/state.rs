//! What every handler can reach: the engine, the verifier, the limits, and what is asked whether all is ready.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::FromRef;
use cauri_domain::ledger::Ledger;
use cauri_engine::Engine;
use cauri_http::auth::layer::AuthState;
use cauri_http::auth::token::Verifier;
use cauri_http::load::{BodyMemory, Pool};
use cauri_http::telemetry::Telemetry;
use tokio::sync::Semaphore;

use crate::readiness::ReadyCheck;

/// How much one request, and all requests together, may ask of this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpLimits {
    /// Bytes of the body of a request with one command.
    pub body_bytes: usize,
    /// Bytes of the body of a bulk request.
    pub bulk_bytes: usize,
    /// Commands of a bulk request.
    pub bulk_commands: usize,
    /// Requests with commands whose bodies have arrived and that may be answered at one time; more are turned away at once.
    pub in_flight: usize,
    /// The same for requests that read.
    pub reads_in_flight: usize,
    /// Large bulk requests that may be read and decided at one time; more wait.
    pub bulk_in_flight: usize,
    /// Bytes of large bodies that may be in memory at one time, half of them of one subject.
    pub body_memory: usize,
    /// How long a body may take to arrive, and how long a command may take to be durable.
    pub time_out: Duration,
    /// Commands that move money may come without an idempotency key. For trials on one machine only.
    pub keys_optional: bool,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            body_bytes: 1024 * 1024,
            bulk_bytes: 16 * 1024 * 1024,
            bulk_commands: 8_189,
            in_flight: 2_048,
            reads_in_flight: 1_024,
            bulk_in_flight: 16,
            body_memory: 256 * 1024 * 1024,
            time_out: Duration::from_secs(30),
            keys_optional: false,
        }
    }
}

/// Has a read model built anew, by name; an error says that there is none with this name, and which there are.
pub type Rebuild = Box<dyn Fn(&str) -> Result<(), String> + Send + Sync>;

/// Histories that are read at once: each unpacks batches of the journal, on a thread of its own.
const JOURNAL_READS: usize = 16;

/// The state of the router. Cloning is cheap and shares everything.
#[derive(Clone)]
pub struct ApiState(Arc<Shared>);

/// What the clones of an [`ApiState`] share.
pub struct Shared {
    /// Where commands go.
    pub engine: Engine<Ledger>,
    /// Who may send them.
    pub auth: AuthState,
    /// How much at a time.
    pub limits: HttpLimits,
    /// What else must be well.
    pub ready_checks: Vec<ReadyCheck>,
    /// Has a read model built anew.
    pub rebuild: Rebuild,
    /// What is counted.
    pub telemetry: Arc<Telemetry>,
    /// A turn for each request with commands that has arrived.
    pub(crate) commands: Pool,
    /// A turn for each request that reads.
    pub(crate) reads: Pool,
    /// What bodies hold in memory.
    pub(crate) body_memory: Arc<BodyMemory>,
    /// A permit for each large bulk request that is read and decided.
    pub(crate) bulk_permits: Arc<Semaphore>,
    /// A permit for each history that is read out of the journal; others wait, without a thread.
    pub(crate) journal_reads: Arc<Semaphore>,
}

impl ApiState {
    /// Commands go to `engine` from callers that `verifier` knows, within `limits`.
    ///
    /// Installs the process's recorder of metrics, so that the first request counts.
    pub fn new(
        engine: Engine<Ledger>,
        verifier: Arc<Verifier>,
        limits: HttpLimits,
        ready_checks: Vec<ReadyCheck>,
        rebuild: Rebuild,
    ) -> Self {
        cauri_http::telemetry::recorder();
        crate::gauges::describe();
        let bulk_permits = Arc::new(Semaphore::new(limits.bulk_in_flight.max(1)));
        Self(Arc::new(Shared {
            engine,
            auth: AuthState(verifier),
            commands: Pool::new("commands", limits.in_flight),
            reads: Pool::new("reads", limits.reads_in_flight),
            body_memory: BodyMemory::new(limits.body_memory),
            limits,
            ready_checks,
            rebuild,
            telemetry: Arc::default(),
            bulk_permits,
            journal_reads: Arc::new(Semaphore::new(JOURNAL_READS)),
        }))
    }
}

impl Deref for ApiState {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl FromRef<ApiState> for AuthState {
    fn from_ref(state: &ApiState) -> Self {
        state.auth.clone()
    }
}
