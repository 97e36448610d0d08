//! Whether a consistency token belongs to this history of the journal: the root at its position tells.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cauri_engine::consistency::{ConsistencyToken, RootPart};
use cauri_event_schemas::Position;
use tokio::sync::Semaphore;

use crate::error::QueryError;
use crate::scope::{Sources, blocking};

/// Roots that are remembered. Many callers have tokens of the same few heads: those of the last batches.
const REMEMBERED: usize = 256;

/// How many look for a root in the journal at once. In the middle of a batch it takes milliseconds of a processor; in a part
/// of format 1, whose batches have no peaks, every record from position 1 on is read. So whoever waits for a look does not
/// wait for ever (`Limits::position_wait`), and a look that nobody waits for any more is remembered all the same.
const LOOKING: usize = 2;

/// Parts of roots that the journal was asked for, the last first.
#[derive(Debug)]
pub(crate) struct KnownRoots {
    known: Mutex<VecDeque<(Position, RootPart)>>,
    turns: Arc<Semaphore>,
}

impl Default for KnownRoots {
    fn default() -> Self {
        Self { known: Mutex::default(), turns: Arc::new(Semaphore::new(LOOKING)) }
    }
}

impl KnownRoots {
    fn find(&self, position: Position) -> Option<RootPart> {
        self.lock().iter().find(|(known, _)| *known == position).map(|(_, root)| *root)
    }

    fn keep(&self, position: Position, root: RootPart) {
        let mut known = self.lock();
        known.truncate(REMEMBERED - 1);
        known.push_front((position, root));
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(Position, RootPart)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sources {
    /// The part of the journal's root at a position; `None` beyond its head.
    pub(crate) async fn root_at(&self, position: Position) -> Result<Option<RootPart>, QueryError> {
        let head = self.store.follow().head();
        if head.position == position {
            return Ok(Some(RootPart::of(&head.root)));
        }
        if let Some(root) = self.roots.find(position) {
            return Ok(Some(root));
        }
        let (store, roots) = (self.store.clone(), Arc::clone(&self.roots));
        // It goes along with the looking and ends with it.
        let turn = self.roots.turns.clone().acquire_owned().await.map_err(QueryError::internal)?;
        let look = move || {
            // Somebody who looked for the same may have had the turn before.
            let known = roots.find(position);
            let root = match known {
                Some(_) => Ok(known),
                None => store.root_at(position).map(|root| root.map(|root| RootPart::of(&root))),
            };
            if let (None, Ok(Some(root))) = (known, &root) {
                roots.keep(position, *root);
            }
            drop(turn);
            root
        };
        Ok(blocking(look).await??)
    }

    /// The tokens that are beyond the journal's head. Refuses those of another history of it.
    pub(crate) async fn beyond(&self, tokens: Vec<ConsistencyToken>) -> Result<Vec<ConsistencyToken>, QueryError> {
        let mut beyond = Vec::new();
        for token in tokens {
            match self.root_at(token.position).await? {
                Some(_) => self.belongs(&token).await?,
                None => beyond.push(token),
            }
        }
        Ok(beyond)
    }

    /// Refuses a token of another history of the journal.
    pub(crate) async fn belongs(&self, token: &ConsistencyToken) -> Result<(), QueryError> {
        let journal = self.root_at(token.position).await?;
        if journal == Some(token.root) {
            return Ok(());
        }
        Err(QueryError::OtherHistory { wanted: token.position, token: token.root, journal, head: self.store.follow().head().position })
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use async_graphql::{Request, Response, Value};
    use cauri_engine::{CommandEnvelope, Engine, EngineConfig, Mode};
    use cauri_event_store::memory::MemoryStore;
    use cauri_event_store::{EventStore, Head};
    use cauri_projections::runner::{Runner, RunnerConfig};
    use serde_json::json;
    use tempfile::TempDir;

    use super::*;
    use crate::limits::Limits;
    use crate::schema::{Plan, schema};
    use crate::scope::Caller;
    use cauri_http::auth::role::Role;
    use cauri_http::auth::token::Principal;

    /// A journal of two batches with its read models, and the token of the first.
    struct Ledger {
        sources: Sources,
        token: ConsistencyToken,
        _runner: Runner,
        _dir: TempDir,
    }

    impl Ledger {
        fn start() -> Self {
            let store = Arc::new(MemoryStore::exclusive("ledger"));
            let engine = Engine::<cauri_domain::Ledger>::start(store.clone(), EngineConfig::default()).expect("an engine");
            for address in ["a:b", "a:c"] {
                let open = json!({ "address": address, "kind": "asset", "currency": "XOF" });
                let command = cauri_domain::LedgerCommand::open_account(serde_json::from_value(open).expect("an account"));
                let key = format!("test caller {address}").parse().expect("a key");
                let envelope = CommandEnvelope::new(command, key, "operator:awa".parse().expect("an actor"));
                engine.submit_blocking(vec![envelope], Mode::Each).expect("an outcome");
            }
            engine.stop();
            let position = Position::new(1);
            let root = store.root_at(position).expect("a journal").expect("a position of it");
            let dir = tempfile::tempdir().expect("a folder");
            let runner = Runner::start(store.clone(), &dir.path().join("reads"), RunnerConfig::default()).expect("a runner");
            let reads = runner.read_store();
            let limits = Limits { position_wait: Duration::from_millis(200), ..Limits::default() };
            let token = ConsistencyToken::new("ledger", &Head { position, root });
            Self {
                sources: Sources::new(reads, store.clone(), cauri_projections::tail::Tails::of(store, 8_192), limits, Arc::new(|_| ())),
                token,
                _runner: runner,
                _dir: dir,
            }
        }

        async fn ask(&self) -> Response {
            let caller = cauri_domain::ids::Caller::of_issuer("cauri-dev", "awa").expect("a caller");
            let principal = Principal::new("awa", caller, [Role::Reader].into_iter().collect()).expect("a principal");
            let plan = Plan::new(vec![self.token.to_string()], Vec::new(), false);
            let request = Request::new("{ positions { position } }").data(self.sources.scope(&Caller::of(&principal))).data(plan);
            let answer = tokio::time::timeout(Duration::from_secs(20), schema(self.sources.clone()).execute(request)).await;
            answer.expect("an answer, or an error")
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_token_whose_root_takes_too_long_to_look_for_is_not_waited_for() {
        let ledger = tokio::task::spawn_blocking(Ledger::start).await.expect("no panic");
        // As if others looked for roots in a long part of format 1.
        let looking = ledger.sources.roots.turns.clone().acquire_many_owned(LOOKING as u32).await.expect("all turns");
        let began = Instant::now();
        let answer = ledger.ask().await;
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        let extensions = answer.errors[0].extensions.as_ref().expect("a code");
        assert_eq!(extensions.get("code"), Some(&Value::from("POSITION_NOT_REACHED")), "{answer:?}");
        assert_eq!(extensions.get("wanted"), Some(&Value::from(1)));
        assert!(answer.errors[0].message.contains("consistency token of position 1"), "{}", answer.errors[0].message);
        drop(looking);
        let answer = ledger.ask().await;
        assert!(answer.errors.is_empty(), "{answer:?}");
    }

    #[test]
    fn a_look_that_nobody_waits_for_any_more_is_remembered() {
        // One thread for what blocks, and that is taken: the look cannot have ended before it is dropped.
        let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).enable_all().build().expect("a runtime");
        let ledger = Ledger::start();
        let position = ledger.token.position;
        let (release, taken) = std::sync::mpsc::channel::<()>();
        runtime.spawn_blocking(move || taken.recv());
        runtime.block_on(async {
            let mut looking = std::pin::pin!(ledger.sources.root_at(position));
            assert!(futures::poll!(looking.as_mut()).is_pending());
        });
        assert_eq!(ledger.sources.roots.find(position), None);
        release.send(()).expect("the thread waits");
        let deadline = Instant::now() + Duration::from_secs(10);
        while ledger.sources.roots.find(position) != Some(ledger.token.root) {
            assert!(Instant::now() < deadline, "the next one would begin from nothing");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
