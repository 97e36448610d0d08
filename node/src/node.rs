//! A data directory at work: journal, engine, read models, and who may ask.

use std::path::PathBuf;
use std::sync::Arc;

use cauri_command_api::readiness::{ReadyCheck, Reason, ReasonKind, reason};
use cauri_command_api::{ApiState, router_with};
use cauri_domain::ledger::Ledger;
use cauri_engine::{Clock, Engine, StartError};
use cauri_event_store::EventStore;
use cauri_event_store::embedded::{EmbeddedStore, OpenError};
use cauri_http::auth::issuer::{DevIssuer, IssuerError};
use cauri_http::auth::jwks::{Jwks, JwksError, JwksSource};
use cauri_http::auth::token::Verifier;
use cauri_http::origin::Origins;
use cauri_http::telemetry;
use cauri_projections::read::{OpenError as ReadOpenError, ProjectionState, ProjectionStatus, ReadStore};
use cauri_projections::runner::{GroupState, GroupStatus, Runner, RunnerConfig, RunnerStatus};
use cauri_query_api::QueryState;

use crate::access::AccessLog;
use crate::config::ServeArgs;
use crate::data::{DataDir, JOURNAL};
use crate::listener::Routes;

/// Why a data directory cannot be put to work.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// Its folders could not be made.
    #[error("cannot make the data directory {}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Its journal cannot be opened: it is in use, of a newer format, damaged …
    #[error("cannot open the journal: {0}")]
    Journal(#[from] OpenError),
    /// Its journal cannot be recovered.
    #[error(transparent)]
    Engine(#[from] StartError),
    /// Its read models cannot be opened.
    #[error("cannot open the read models: {0}; they can be deleted, the journal is not touched and they are built again")]
    ReadModels(#[from] ReadOpenError),
    /// The key set of the issuer cannot be read.
    #[error(transparent)]
    Keys(#[from] JwksError),
    /// The development issuer cannot be used.
    #[error(transparent)]
    Issuer(#[from] IssuerError),
}

/// A data directory at work.
pub struct Node {
    /// Where it lies.
    pub data: DataDir,
    /// Decides.
    pub engine: Engine<Ledger>,
    /// Keeps the read models current.
    pub runner: Arc<Runner>,
    /// The read models.
    pub reads: ReadStore,
    /// Who read which sensitive field.
    pub access: Arc<AccessLog>,
    /// Who may ask.
    pub verifier: Arc<Verifier>,
    /// Whether tokens are those of the data directory's own issuer.
    pub develops: bool,
}

impl Node {
    /// Opens a data directory and starts its engine and its read models. It blocks; with `clock` time is not the machine's.
    ///
    /// # Errors
    /// When something of it cannot be opened; what was started is stopped again.
    pub fn open(args: &ServeArgs, clock: Option<Arc<dyn Clock>>) -> Result<Self, NodeError> {
        // Before anything is counted: what was counted earlier would be lost.
        telemetry::recorder();
        let data = DataDir::at(&args.data.data);
        data.create().map_err(|source| NodeError::Directory { path: data.path().to_owned(), source })?;
        // Keys first: without them nobody could use what would take the longest to open.
        let source = match &args.trust.jwks {
            Some(jwks) => jwks.parse().unwrap_or_else(|never: std::convert::Infallible| match never {}),
            None => JwksSource::from(DevIssuer::open_or_create(data.path())?.jwks_path()),
        };
        let verifier = Verifier::new(Jwks::load(source)?, &args.trust.trust());
        let verifier = Arc::new(verifier.with_requests_per_subject(args.http.max_requests_per_subject));
        let access = AccessLog::open(&data.access()).map_err(|source| NodeError::Directory { path: data.access(), source })?;
        let access = Arc::new(access);
        let store = EmbeddedStore::open(&data.journal(), JOURNAL)?;
        store.space().set_reserve(args.engine.disk_reserve);
        let space = store.space().with_dir(&data.read_models_dir());
        let store: Arc<dyn EventStore> = Arc::new(store);
        let mut config = args.engine.config();
        if let Some(clock) = clock {
            config.clock = clock;
        }
        let engine = Engine::start(Arc::clone(&store), config)?;
        let runner =
            Runner::start(Arc::clone(&store), &data.read_models(), RunnerConfig { space: Some(space), ..RunnerConfig::default() })?;
        let reads = runner.read_store();
        Ok(Self { data, engine, runner: Arc::new(runner), reads, access, verifier, develops: args.trust.jwks.is_none() })
    }

    /// Everything that it answers over HTTP.
    pub fn routes(&self, args: &ServeArgs) -> Routes {
        let mut queries = QueryState::new(self.reads.clone(), Arc::clone(self.engine.store()), Arc::clone(&self.verifier));
        queries.tails = self.runner.tails();
        let access = Arc::clone(&self.access);
        queries.record_access = Arc::new(move |read| access.record(read));
        queries.limits.body_time = args.http.request_timeout;
        queries.limits.in_flight = args.http.max_queries;
        queries.limits.connections = args.http.max_websockets;
        queries.limits.connections_per_subject = args.http.max_websockets_per_subject;
        queries.limits.connection_bytes = args.http.websocket_buffer;
        let origins: Origins = args.http.cors_origin.iter().cloned().collect();
        queries.origins = origins.clone();
        let (runner, most) = (Arc::clone(&self.runner), args.http.max_lag);
        let lag = ReadyCheck { name: "read_models", check: Box::new(move || read_models(&runner.status(), most)) };
        let runner = Arc::clone(&self.runner);
        let rebuild = Box::new(move |name: &str| runner.rebuild(name).map_err(|unknown| unknown.to_string()));
        let state = ApiState::new(self.engine.clone(), Arc::clone(&self.verifier), args.http.limits(), vec![lag], rebuild);
        let router = router_with(state, cauri_query_api::router(queries));
        let router = match origins.cors() {
            Some(cors) => router.layer(cors),
            None => router,
        };
        Routes::new(router, &origins)
    }

    /// Finishes the batch in hand and ends all threads. It blocks.
    pub fn stop(self) {
        self.engine.stop();
        self.runner.stop();
    }
}

/// Whether every group of read models follows the journal, and closely enough. A group that does not is named with position and
/// reason; the most serious reason is the one that counts.
fn read_models(status: &RunnerStatus, most: u64) -> Result<String, Reason> {
    let lag = status.groups.iter().map(lag).max().unwrap_or(0);
    let found = format!("{lag} events behind, {most} may be");
    let reasons = status.groups.iter().filter_map(|group| Some((group.name, why_not(group, most)?)));
    let Some((severity, kind)) = reasons.clone().map(|(_, (severity, kind, _))| (severity, kind)).max_by_key(|(severity, _)| *severity)
    else {
        return Ok(found);
    };
    let texts: Vec<String> = reasons.filter(|(_, why)| why.0 == severity).map(|(group, (.., text))| format!("{group}: {text}")).collect();
    Err(Reason::new(kind, format!("{}; {found}", texts.join("; "))))
}

/// Events that the generation that answers is behind; of a group that is built for the first time, the one in the making.
fn lag(group: &GroupStatus) -> u64 {
    answering(group).map(|model| model.lag_events).max().unwrap_or(0)
}

fn answering(group: &GroupStatus) -> impl Iterator<Item = &ProjectionStatus> {
    let is_live = |model: &&ProjectionStatus| model.state != ProjectionState::Building;
    let any_live = group.read_models.iter().any(|model| is_live(&model));
    group.read_models.iter().filter(move |model| !any_live || is_live(model))
}

/// How serious it is, which reason it is, and what was found.
fn why_not(group: &GroupStatus, most: u64) -> Option<(u8, &'static ReasonKind, String)> {
    let stopped = answering(group).find_map(|model| match &model.state {
        ProjectionState::Stopped { position, reason } => Some(format!("{} is stopped before position {position}: {reason}", model.name)),
        ProjectionState::Live | ProjectionState::Building => None,
    });
    Some(match &group.state {
        GroupState::Corrupt { position, reason: why } => {
            (7, &reason::READ_MODELS_CORRUPT, format!("stopped before position {position}: {why}"))
        }
        GroupState::Stopped => (6, &reason::READ_MODELS_STOPPED, "its writer has ended".to_owned()),
        _ if stopped.is_some() => (5, &reason::READ_MODELS_STOPPED, stopped.unwrap_or_default()),
        GroupState::Retrying { reason: why } => (4, &reason::READ_MODELS_RETRYING, why.clone()),
        GroupState::Paused { reason: why } => (3, &reason::READ_MODELS_PAUSED, why.clone()),
        GroupState::Newer { position, reason: why } => (2, &reason::READ_MODELS_NEWER, format!("waits before position {position}: {why}")),
        GroupState::Running => match &group.other_history {
            Some(why) => (1, &reason::READ_MODELS_OTHER_HISTORY, why.clone()),
            None if lag(group) <= most => return None,
            None => (0, &reason::READ_MODELS_BEHIND, format!("{} events behind", lag(group))),
        },
    })
}

#[cfg(test)]
mod tests {
    use cauri_event_schemas::Position;

    use super::*;

    fn model(name: &'static str, lag_events: u64, state: ProjectionState) -> ProjectionStatus {
        let position = Position::new(52);
        ProjectionStatus { name, group: name, revision: 1, generation: 1, position, lag_events, lag_seconds: 0.0, state, digest: None }
    }

    /// Each read model is a group of its own; the last one's writer does this.
    fn judged(read_models: Vec<ProjectionStatus>, state: GroupState) -> Result<String, String> {
        let mut groups: Vec<GroupStatus> = Vec::new();
        for model in read_models {
            match groups.iter_mut().find(|group| group.name == model.name) {
                Some(group) => group.read_models.push(model),
                None => {
                    let (name, state) = (model.name, GroupState::Running);
                    groups.push(GroupStatus { name, state, other_history: None, read_models: vec![model] });
                }
            }
        }
        groups.last_mut().expect("a group").state = state;
        let status = RunnerStatus { head: Position::new(62), groups };
        super::read_models(&status, 100).map_err(|reason| format!("{}: {}", reason.kind.name, reason.text))
    }

    #[test]
    fn a_read_model_that_is_stopped_is_named_however_small_its_lag() {
        let stopped = ProjectionState::Stopped { position: Position::new(53), reason: "never opened".into() };
        let models = vec![model("entries", 10, ProjectionState::Live), model("postings", 10, stopped)];
        let found = judged(models, GroupState::Running).expect_err("it is stopped");
        assert!(found.contains("postings is stopped before position 53: never opened") && !found.contains("entries"), "{found}");
    }

    #[test]
    fn read_models_that_are_paused_retried_or_behind_are_not_ready() {
        let live = |lag| vec![model("entries", lag, ProjectionState::Live)];
        assert!(judged(live(100), GroupState::Running).is_ok());
        assert!(judged(live(101), GroupState::Running).is_err_and(|found| found.starts_with("read_models_behind")));
        let reason = || "12 bytes are free".to_owned();
        let paused = judged(live(0), GroupState::Paused { reason: reason() });
        assert!(paused.is_err_and(|found| found.starts_with("read_models_paused: entries: 12 bytes")));
        let newer = judged(live(0), GroupState::Newer { position: Position::new(53), reason: "it knows no such type".into() });
        assert!(newer.is_err_and(|found| found.starts_with("read_models_newer: entries: waits before position 53: it knows no such type")));
        let retrying = judged(live(0), GroupState::Retrying { reason: reason() });
        assert!(retrying.is_err_and(|found| found.starts_with("read_models_retrying: entries: 12 bytes")));
        let corrupt = judged(live(0), GroupState::Corrupt { position: Position::new(7), reason: reason() });
        assert!(corrupt.is_err_and(|found| found.contains("position 7")));
    }
    #[test]
    fn what_is_built_beside_a_live_read_model_is_no_reason() {
        let models = || vec![model("entries", 0, ProjectionState::Live), model("entries", 1_000_000, ProjectionState::Building)];
        assert!(judged(models(), GroupState::Running).is_ok());
        let first = judged(vec![model("entries", 1_000_000, ProjectionState::Building)], GroupState::Running);
        assert!(first.is_err_and(|found| found.starts_with("read_models_behind: entries")), "built for the first time");
    }
}
