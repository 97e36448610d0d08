//! Files that are no read store of this journal are refused, and the message says what to do.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cauri_domain::account::AccountKind;
use cauri_event_store::memory::MemoryStore;
use cauri_projections::GroupId;
use cauri_projections::read::{OpenError, ReadStore};
use cauri_projections::runner::{Runner, RunnerConfig};

use crate::Projected;
use crate::ledger::{Ledger, at};

fn ledger(minor: i64) -> Ledger {
    let mut ledger = Ledger::new();
    ledger.open("banks:ecobank", AccountKind::Asset);
    ledger.open("customers:awa", AccountKind::Liability);
    ledger.pay("banks:ecobank", "customers:awa", minor, at(0));
    ledger.commit();
    ledger
}

fn start(store: &MemoryStore, path: &Path) -> Result<Runner, OpenError> {
    Runner::start(Arc::new(store.clone()), path, RunnerConfig::default())
}

/// A read store at the end of `ledger`, with nobody at work on it.
fn at_rest(ledger: &Ledger) -> (tempfile::TempDir, std::path::PathBuf) {
    let projected = Projected::of(ledger);
    projected.runner.stop();
    let Projected { reads, runner, path, _directory } = projected;
    drop((reads, runner));
    (_directory, path)
}

/// The first generation of the accounts.
fn accounts(path: &Path) -> std::path::PathBuf {
    path.join("accounts.1.sqlite")
}

#[test]
fn what_is_damaged_is_built_anew_and_nothing_else_is() {
    for damage in [
        Box::new(|file: &Path| std::fs::write(file, [b'x'; 10_000]).unwrap()) as Box<dyn Fn(&Path)>,
        Box::new(|file: &Path| rusqlite::Connection::open(file).unwrap().execute_batch("DROP TABLE read_models").unwrap()),
    ] {
        let ledger = ledger(1);
        let (_directory, path) = at_rest(&ledger);
        damage(&accounts(&path));
        assert!(matches!(ReadStore::open(&path), Err(OpenError::Damaged { .. })));
        let runner = start(&ledger.store, &path).unwrap();
        assert!(runner.read_store().wait_for_blocking(&GroupId::ALL, ledger.position(), Duration::from_secs(30)));
        let status = runner.status();
        let generations: Vec<(&str, u32)> = status.read_models().map(|model| (model.name, model.generation)).collect();
        assert_eq!(generations, [("accounts", 2), ("entries", 1), ("journal_events", 1)]);
        assert!(!accounts(&path).exists());
    }
}

#[test]
fn a_database_of_another_kind_is_foreign() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger");
    std::fs::create_dir(&path).unwrap();
    rusqlite::Connection::open(accounts(&path)).unwrap().execute_batch("CREATE TABLE somebody_elses (x)").unwrap();
    let refused = start(&ledger(1).store, &path);
    let Err(error @ OpenError::Foreign { .. }) = refused else { panic!("{refused:?}") };
    assert!(error.to_string().contains("only costs a rebuild"), "{error}");
}

#[test]
fn a_newer_format_is_refused() {
    let ledger = ledger(1);
    let (_directory, path) = at_rest(&ledger);
    rusqlite::Connection::open(accounts(&path)).unwrap().execute_batch("PRAGMA user_version = 3").unwrap();
    assert!(matches!(start(&ledger.store, &path), Err(OpenError::NewerFormat { found: 3, supported: 2, .. })));
    assert!(matches!(ReadStore::open(&path), Err(OpenError::NewerFormat { .. })));
}

#[test]
fn the_read_store_of_another_journal_is_foreign() {
    let (_directory, path) = at_rest(&ledger(1));
    let refused = start(&MemoryStore::exclusive("signals"), &path);
    assert!(matches!(refused, Err(OpenError::Foreign { .. })), "{refused:?}");
}

#[test]
fn what_is_not_there_is_not_made_by_asking() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger");
    assert!(matches!(ReadStore::open(&path), Err(OpenError::NotFound { .. })));
    assert!(!path.exists());
}
