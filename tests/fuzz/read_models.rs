//! The file of the read models: a changed one is refused, or answers; nothing breaks.
//!
//! Rows have no checksum of their own: `cauri-replay verify` compares them with a replay.

use std::sync::Arc;
use std::time::Duration;

use cauri_event_schemas::Position;
use cauri_event_store::EventStore;
use cauri_event_store::memory::MemoryStore;
use cauri_projections::GroupId;
use cauri_projections::read::{AccountFilter, EntryFilter, ReadStore};
use cauri_projections::runner::{Runner, RunnerConfig};

use crate::cases;
use crate::journals::write_with_engine;
use crate::mutation::changed_pages;

#[test]
fn a_changed_file_of_read_models_is_built_anew_or_answers() {
    let store = MemoryStore::exclusive("ledger");
    write_with_engine(Arc::new(store.clone()), 200);
    let head = store.head().expect("a head").position;
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("read");
    let runner = Runner::start(Arc::new(store.clone()), &path, RunnerConfig::default()).expect("a runner");
    assert!(runner.read_store().wait_for_blocking(&GroupId::ALL, head, Duration::from_secs(60)), "{:?}", runner.status());
    runner.stop();
    drop(runner);
    let names: Vec<std::ffi::OsString> =
        std::fs::read_dir(&path).expect("a directory").map(|file| file.expect("a file").file_name()).collect();
    let original = path;
    cases(120, |random| {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("read");
        std::fs::create_dir(&path).expect("a directory");
        let changed = random.usize(..names.len());
        for (index, name) in names.iter().enumerate() {
            let file = std::fs::read(original.join(name)).expect("a file");
            std::fs::write(path.join(name), if index == changed { changed_pages(random, &file) } else { file }).expect("a file");
        }
        if random.bool() {
            // Beside the runner, which may find the damage and stop.
            let Ok(runner) = Runner::start(Arc::new(store.clone()), &path, RunnerConfig::default()) else { return };
            ask(&path, head);
            runner.stop();
        } else {
            ask(&path, head);
        }
    });
}

/// Asks for some of everything. An answer is an answer or an error.
fn ask(path: &std::path::Path, head: Position) {
    let Ok(reads) = ReadStore::open(path) else { return };
    let Ok(moment) = reads.snapshot() else { return };
    assert!(moment.position() <= head, "the read models know {}, the journal ends at {head}", moment.position());
    if let Ok(accounts) = moment.accounts(&AccountFilter::default(), None, 100) {
        for account in accounts.rows() {
            let _ = moment.balance(&account.address, None, None);
        }
    }
    let _ = moment.entries(&EntryFilter::default(), None, 100, true);
    let _ = moment.trial_balance(None, None, None, 100);
    let _ = moment.trial_balance_sums(None, None);
    let _ = reads.projections();
}
