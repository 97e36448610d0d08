//! Cursors of lists: a changed one is refused, or leads to rows of the same list.

use std::sync::Arc;
use std::time::Duration;

use cauri_event_store::EventStore;
use cauri_event_store::memory::MemoryStore;
use cauri_projections::GroupId;
use cauri_projections::read::{AccountFilter, Cursor, EntryFilter, ReadError};
use cauri_projections::runner::{Runner, RunnerConfig};

use crate::cases;
use crate::journals::write_with_engine;
use crate::mutation::changed;

#[test]
fn a_changed_cursor_is_refused_or_goes_on_somewhere_in_its_list() {
    let store = MemoryStore::exclusive("ledger");
    write_with_engine(Arc::new(store.clone()), 200);
    let directory = tempfile::tempdir().expect("a directory");
    let head = store.head().expect("a head").position;
    let runner = Runner::start(Arc::new(store), &directory.path().join("read"), RunnerConfig::default()).expect("a runner");
    let reads = runner.read_store();
    assert!(reads.wait_for_blocking(&GroupId::ALL, head, Duration::from_secs(60)), "{:?}", runner.status());
    let moment = reads.snapshot().expect("a moment");
    let (every_entry, every_account) = (EntryFilter::default(), AccountFilter::default());
    let entries = moment.entries(&every_entry, None, 20, false).expect("entries");
    let accounts = moment.accounts(&every_account, None, 10).expect("accounts");
    let given: Vec<Cursor> = [entries.next(), accounts.next()].into_iter().flatten().cloned().collect();
    assert_eq!(given.len(), 2, "both lists go on");
    cases(3_000, |random| {
        let which = random.usize(..2);
        let bytes = changed(random, given[which].as_bytes());
        let Ok(cursor) = Cursor::from_bytes(&bytes) else { return };
        for answer in [
            moment.entries(&every_entry, Some(&cursor), 5, random.bool()).map(|page| page.rows().len()),
            moment.accounts(&every_account, Some(&cursor), 5).map(|page| page.rows().len()),
        ] {
            assert!(matches!(answer, Ok(0..=5) | Err(ReadError::InvalidCursor)), "{cursor:?}: {answer:?}");
        }
    });
    drop(moment);
    runner.stop();
}
