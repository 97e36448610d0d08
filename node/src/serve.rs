//! `cauri serve`: opens the store, starts the engine and the read models, and answers until it is asked to stop.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use cauri_command_api::auth::issuer::DevIssuer;
use cauri_command_api::auth::jwks::{Jwks, JwksSource};
use cauri_command_api::auth::token::{Trust, Verifier};
use cauri_command_api::routes::router_with;
use cauri_command_api::state::ReadyCheck;
use cauri_command_api::{ApiState, HttpLimits};
use cauri_domain::fold::LedgerRules;
use cauri_engine::{Engine, EngineConfig};
use cauri_event_store::EventStore;
use cauri_event_store::embedded::EmbeddedStore;
use cauri_projections::runner::{Runner, RunnerConfig, RunnerState};
use cauri_query_api::QueryState;
use tokio::net::TcpListener;

use crate::Failed;
use crate::config::{LEDGER, ServeOptions, TrustOptions};

/// How long requests in hand may take once the process was asked to stop.
const DRAIN: Duration = Duration::from_secs(10);
/// How often the issuer's keys are read again, so that a withdrawn key stops working.
const KEY_REFRESH: Duration = Duration::from_secs(300);

/// Serves until SIGTERM or SIGINT.
pub fn run(options: &ServeOptions) -> Result<ExitCode, Failed> {
    let node = Node::open(options)?;
    node.serve(options, |address| println!("cauri: listening on http://{address}"))
}

/// What a node is made of, before it listens.
pub struct Node {
    engine: Engine,
    runner: Arc<Runner>,
    verifier: Arc<Verifier>,
}

impl Node {
    /// Opens everything that is kept in the data directory.
    pub fn open(options: &ServeOptions) -> Result<Self, Failed> {
        let store: Arc<dyn EventStore> = Arc::new(EmbeddedStore::open(&options.data.journal(), LEDGER)?);
        Self::with_store(options, store)
    }

    /// The same on a store that is open already.
    pub fn with_store(options: &ServeOptions, store: Arc<dyn EventStore>) -> Result<Self, Failed> {
        let verifier = Arc::new(verifier(&options.data.data, &options.trust)?);
        let engine = Engine::start(store.clone(), engine_config(options, &*store))?;
        let runner = Arc::new(start_runner(&options.data.read_models(), store)?);
        Ok(Self { engine, runner, verifier })
    }

    /// Listens and answers until the process is asked to stop; then finishes what is in hand.
    pub fn serve(self, options: &ServeOptions, listening: impl FnOnce(std::net::SocketAddr)) -> Result<ExitCode, Failed> {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let served = runtime.block_on(self.answer(options, listening));
        // The engine finishes the batch in hand; the read models keep their checkpoint.
        self.engine.stop();
        self.runner.stop();
        runtime.shutdown_timeout(Duration::from_secs(1));
        served.map(|()| ExitCode::SUCCESS)
    }

    async fn answer(&self, options: &ServeOptions, listening: impl FnOnce(std::net::SocketAddr)) -> Result<(), Failed> {
        let listener = TcpListener::bind(&options.listen).await.map_err(|error| format!("cannot listen on {}: {error}", options.listen))?;
        let reads = self.runner.read_store()?;
        let queries = cauri_query_api::router(QueryState::new(reads, self.engine.store().clone(), self.verifier.clone()));
        let checks = vec![read_models_check(self.runner.clone(), options.ready_lag)];
        let state = ApiState::new(self.engine.clone(), self.verifier.clone(), HttpLimits::default(), checks);
        let router = router_with(state, queries);

        let verifier = self.verifier.clone();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(KEY_REFRESH).await;
                let verifier = verifier.clone();
                match tokio::task::spawn_blocking(move || verifier.keys().refresh()).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => tracing::warn!(%error, "the issuer's keys could not be read again; the old ones stay"),
                    Err(error) => tracing::error!(%error, "reading the issuer's keys again failed"),
                }
            }
        });

        listening(listener.local_addr()?);
        let (stopping, stopped) = tokio::sync::oneshot::channel::<()>();
        let asked = async move {
            asked_to_stop().await;
            tracing::info!("asked to stop; finishing what is in hand");
            // The receiver lives until the server has ended.
            let _ = stopping.send(());
        };
        let server = axum::serve(listener, router).with_graceful_shutdown(asked);
        tokio::select! {
            served = async { server.await } => served?,
            () = async { let _ = stopped.await; tokio::time::sleep(DRAIN).await } => {
                tracing::warn!("requests were still open after {DRAIN:?}; ending them");
            }
        }
        Ok(())
    }
}

/// The engine's configuration for these options.
pub fn engine_config(options: &ServeOptions, store: &dyn EventStore) -> EngineConfig {
    EngineConfig {
        rules: LedgerRules { max_future_secs: i64::from(options.max_future_days) * 86_400 },
        queue_capacity: options.queue_capacity,
        snapshot_every: options.snapshot_every,
        ..EngineConfig::for_store(store)
    }
}

/// Starts the read models of a journal.
pub fn start_runner(path: &Path, store: Arc<dyn EventStore>) -> Result<Runner, Failed> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory).map_err(|error| format!("cannot create {}: {error}", directory.display()))?;
    }
    Ok(Runner::start(store, path, RunnerConfig::default())?)
}

/// Judges tokens of the configured issuer, or of the development issuer in the data directory.
fn verifier(data: &Path, options: &TrustOptions) -> Result<Verifier, Failed> {
    let source = match &options.jwks {
        Some(jwks) => jwks.parse().unwrap_or_else(|never| match never {}),
        None => {
            let trust = Trust { issuer: options.issuer.clone(), audience: options.audience.clone() };
            let issuer = DevIssuer::open_or_create(data)?.with_trust(trust);
            JwksSource::from(issuer.jwks_path())
        }
    };
    let trust = Trust { issuer: options.issuer.clone(), audience: options.audience.clone() };
    Ok(Verifier::new(Jwks::load(source)?, &trust))
}

fn read_models_check(runner: Arc<Runner>, most: u64) -> ReadyCheck {
    let check = move || {
        let status = runner.status();
        if status.state != RunnerState::Running {
            return Err(format!("{:?}", status.state));
        }
        let lag = status.read_models.iter().map(|model| model.lag_events).max().unwrap_or(0);
        if lag > most { Err(format!("{lag} events behind, more than {most}")) } else { Ok(format!("{lag} events behind")) }
    };
    ReadyCheck { name: "read_models", check: Box::new(check) }
}

async fn asked_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let interrupted = tokio::signal::ctrl_c();
    match signal(SignalKind::terminate()) {
        Ok(mut terminated) => {
            tokio::select! {
                _ = interrupted => {}
                _ = terminated.recv() => {}
            }
        }
        Err(error) => {
            tracing::warn!(%error, "SIGTERM cannot be caught; SIGINT still ends the process well");
            let _ = interrupted.await;
        }
    }
}
