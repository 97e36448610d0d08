//! Files that are no read store of this journal are refused, and the message says what to do.

use std::path::Path;
use std::sync::Arc;

use cauri_domain::account::AccountKind;
use cauri_event_store::memory::MemoryStore;
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

#[test]
fn what_is_no_database_is_damaged() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.sqlite");
    std::fs::write(&path, [b'x'; 10_000]).unwrap();
    let refused = start(&ledger(1).store, &path);
    let Err(error @ OpenError::Damaged { .. }) = refused else { panic!("{refused:?}") };
    assert!(error.to_string().contains("only costs a rebuild"), "{error}");
    assert!(matches!(ReadStore::open(&path), Err(OpenError::Damaged { .. })));
}

#[test]
fn a_database_of_another_kind_is_foreign() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.sqlite");
    rusqlite::Connection::open(&path).unwrap().execute_batch("CREATE TABLE somebody_elses (x)").unwrap();
    let refused = start(&ledger(1).store, &path);
    let Err(error @ OpenError::Foreign { .. }) = refused else { panic!("{refused:?}") };
    assert!(error.to_string().contains("only costs a rebuild"), "{error}");
}

#[test]
fn a_newer_format_is_refused() {
    let ledger = ledger(1);
    let (_directory, path) = at_rest(&ledger);
    rusqlite::Connection::open(&path).unwrap().execute_batch("PRAGMA user_version = 2").unwrap();
    assert!(matches!(start(&ledger.store, &path), Err(OpenError::NewerFormat { found: 2, supported: 1, .. })));
    assert!(matches!(ReadStore::open(&path), Err(OpenError::NewerFormat { .. })));
}

#[test]
fn a_catalog_that_is_missing_is_damage() {
    let ledger = ledger(1);
    let (_directory, path) = at_rest(&ledger);
    rusqlite::Connection::open(&path).unwrap().execute_batch("DROP TABLE read_models").unwrap();
    assert!(matches!(start(&ledger.store, &path), Err(OpenError::Damaged { .. })));
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
    let path = directory.path().join("ledger.sqlite");
    assert!(matches!(ReadStore::open(&path), Err(OpenError::NotFound { .. })));
    assert!(!path.exists());
}
