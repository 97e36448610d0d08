//! The read models from outside: what they answer, and that it does not matter how they were built.

#![expect(clippy::unwrap_used, reason = "a test stops where it is wrong")]

mod account_sets;
mod histories;
mod hot_account;
mod ledger;
mod lists;
mod peer_cases;
mod rebuild;
mod refused_files;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cauri_projections::GroupId;
use cauri_projections::read::ReadStore;
use cauri_projections::runner::{Runner, RunnerConfig};
use ledger::Ledger;

/// The read models of a ledger, up to its last event.
struct Projected {
    reads: ReadStore,
    runner: Runner,
    path: PathBuf,
    _directory: tempfile::TempDir,
}

impl Projected {
    fn of(ledger: &Ledger) -> Self {
        Self::with(ledger, RunnerConfig::default())
    }

    fn with(ledger: &Ledger, config: RunnerConfig) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("read-models").join("ledger");
        let runner = Runner::start(Arc::new(ledger.store.clone()), &path, config).unwrap();
        let projected = Self { reads: runner.read_store(), runner, path, _directory: directory };
        projected.wait(ledger);
        projected
    }

    fn wait(&self, ledger: &Ledger) {
        assert!(self.reads.wait_for_blocking(&GroupId::ALL, ledger.position(), Duration::from_secs(60)), "{:?}", self.runner.status());
    }
}
