//! Read models belong to one history of the journal: those of another are never shown, wherever its batches end.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use cauri_domain::account::AccountKind;
use cauri_event_schemas::{Position, StreamVersion};
use cauri_event_store::memory::MemoryStore;
use cauri_event_store::{
    Appended, Batch, EventStore, Hash, Head, HeadWatch, Lookup, OwnedRecord, Sharing, Snapshot, StoreError, StoredBatch, Tree, Turn,
};
use cauri_projections::GroupId;
use cauri_projections::digest::digest_of_replay;
use cauri_projections::read::{ProjectionState, ReadStore};
use cauri_projections::runner::{Runner, RunnerConfig};

use crate::Projected;
use crate::ledger::{Ledger, address};

const SOON: Duration = Duration::from_secs(60);

/// How many payments each batch has.
fn ledger(wallet: &str, batches: &[usize]) -> Ledger {
    let mut ledger = Ledger::new();
    ledger.open("banks:ecobank", AccountKind::Asset);
    ledger.open(wallet, AccountKind::Liability);
    ledger.commit();
    pay(&mut ledger, wallet, batches);
    ledger
}

fn pay(ledger: &mut Ledger, wallet: &str, batches: &[usize]) {
    for payments in batches {
        for _ in 0..*payments {
            ledger.advance(1);
            ledger.pay("banks:ecobank", wallet, 1_000, ledger.now);
        }
        ledger.commit();
    }
}

/// A read store at the end of `ledger`, with nobody at work on it.
fn at_rest(ledger: &Ledger) -> (tempfile::TempDir, PathBuf) {
    let Projected { reads, runner, path, _directory } = Projected::of(ledger);
    runner.stop();
    drop((reads, runner));
    (_directory, path)
}

/// Starts a runner on the read store and looks, while it works, that nothing of `strange` is ever shown.
fn rebuilt(ledger: &Ledger, path: &Path, strange: &str) -> Runner {
    let runner = Runner::start(Arc::new(ledger.store.clone()), path, RunnerConfig::default()).unwrap();
    let reads = ReadStore::open(path).unwrap();
    let until = Instant::now() + SOON;
    loop {
        let snapshot = reads.snapshot().unwrap();
        // Not built yet, or of this journal.
        assert!(snapshot.account(&address(strange)).is_ok_and(|account| account.is_none()) || snapshot.position() == Position::ZERO);
        if snapshot.position() == ledger.position() {
            break;
        }
        assert!(Instant::now() < until, "{:?}", runner.status());
    }
    // The runner says so a moment after it has written it.
    assert!(runner.read_store().wait_for_blocking(&GroupId::ALL, ledger.position(), SOON));
    agrees_with_a_replay(ledger, &reads);
    assert!(runner.status().groups.iter().all(|group| group.other_history.is_none()), "everything is built");
    assert!(runner.status().read_models().all(|model| model.state == ProjectionState::Live && model.generation > 1));
    runner
}

fn agrees_with_a_replay(ledger: &Ledger, reads: &ReadStore) {
    let snapshot = reads.snapshot().unwrap();
    let events = ledger.recorded.iter().cloned().map(Ok::<_, std::convert::Infallible>);
    for replayed in digest_of_replay(events, snapshot.position()).unwrap() {
        assert_eq!(snapshot.digest(replayed.name).unwrap().unwrap(), replayed);
    }
}

#[test]
fn read_models_of_another_journal_of_the_same_name_are_built_anew() {
    let singly = [1; 50];
    for (other, what) in [
        (&[60][..], "longer, and no batch ends where the read models are"),
        (&[50][..], "as long, in one batch"),
        (&singly[..], "as long, in the same batches"),
        (&[10][..], "shorter"),
        (&[][..], "accounts only"),
    ] {
        let (_directory, path) = at_rest(&ledger("customers:awa", &singly));
        let other = ledger("customers:binta", other);
        let runner = rebuilt(&other, &path, "customers:awa");
        assert_eq!(runner.status().head, other.position(), "{what}");
    }
}

#[test]
fn after_a_copy_was_restored_read_models_of_what_was_lost_are_built_anew() {
    // The copy has 20 payments. The lost history went on for 30, the new one for fewer, as many, or more.
    for again in [&[][..], &[29], &[30], &[31], &[60], &[10, 30]] {
        let mut lost = ledger("customers:awa", &[20]);
        lost.open("customers:lost", AccountKind::Liability);
        pay(&mut lost, "customers:lost", &[30]);
        let (_directory, path) = at_rest(&lost);
        let mut restored = ledger("customers:awa", &[20]);
        restored.open("customers:new", AccountKind::Liability);
        pay(&mut restored, "customers:new", again);
        restored.commit();
        drop(rebuilt(&restored, &path, "customers:lost"));
    }
}

#[test]
fn read_models_stay_where_the_same_records_stand_in_other_batches() {
    let (_directory, path) = at_rest(&ledger("customers:awa", &[1; 50]));
    // An export that was imported again, say, and went on in the same batch.
    let same = ledger("customers:awa", &[60]);
    let runner = Runner::start(Arc::new(same.store.clone()), &path, RunnerConfig::default()).unwrap();
    let reads = runner.read_store();
    assert!(reads.wait_for_blocking(&GroupId::ALL, same.position(), SOON));
    assert!(runner.status().read_models().all(|model| model.generation == 1), "{:?}", runner.status());
    agrees_with_a_replay(&same, &reads);
}

/// The position that the accounts show, and the root that is kept of the journal.
fn kept(path: &Path) -> (i64, Option<Vec<u8>>) {
    let file = rusqlite::Connection::open(path.join("accounts.1.sqlite")).unwrap();
    file.query_row("SELECT position, root FROM read_group", [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
}

#[test]
fn a_checkpoint_in_the_middle_of_a_batch_has_the_root_there() {
    let large = ledger("customers:awa", &[13_000]);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger");
    let until = Instant::now() + SOON;
    // Stopped in the middle: sooner or later it happens, because the batch is written in several transactions.
    let middle = loop {
        assert!(Instant::now() < until, "it was never stopped in the middle of the batch");
        let _ = std::fs::remove_dir_all(&path);
        let config = RunnerConfig { max_batch: 1, ..RunnerConfig::default() };
        let runner = Runner::start(Arc::new(large.store.clone()), &path, config).unwrap();
        while runner.status().read_models().all(|model| model.position == Position::ZERO) {
            std::thread::yield_now();
        }
        runner.stop();
        let (shown, root) = kept(&path);
        if shown > 2 && shown < large.position().get() as i64 {
            let expected = large.store.root_at(Position::new(shown as u64)).unwrap().unwrap();
            assert_eq!(root.as_deref(), Some(&expected.0[..]));
            break shown;
        }
    };
    let copy = directory.path().join("copy");
    std::fs::create_dir(&copy).unwrap();
    for file in std::fs::read_dir(&path).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), copy.join(file.file_name())).unwrap();
    }
    // The same journal: it goes on.
    let runner = Runner::start(Arc::new(large.store.clone()), &path, RunnerConfig::default()).unwrap();
    assert!(runner.read_store().wait_for_blocking(&GroupId::ALL, large.position(), SOON));
    assert!(runner.status().read_models().all(|model| model.generation == 1), "{middle}: {:?}", runner.status());
    runner.stop();
    // Another with one batch that is as long: it begins anew.
    drop(rebuilt(&ledger("customers:binta", &[13_000]), &copy, "customers:awa"));
}

#[test]
fn what_keeps_no_root_where_it_is_cannot_be_compared_and_is_built_anew() {
    for change in ["UPDATE read_group SET root = NULL", "UPDATE read_group SET root = zeroblob(32)", "UPDATE read_group SET root = x'00'"] {
        let ledger = ledger("customers:awa", &[1; 10]);
        let (_directory, path) = at_rest(&ledger);
        for group in ["accounts", "entries", "journal"] {
            rusqlite::Connection::open(path.join(format!("{group}.1.sqlite"))).unwrap().execute_batch(change).unwrap();
        }
        drop(rebuilt(&ledger, &path, "customers:nobody"));
    }
}

/// A journal that can be replaced while somebody follows it.
struct Replaceable {
    journal: RwLock<MemoryStore>,
    heads: HeadWatch,
}

impl Replaceable {
    fn journal(&self) -> MemoryStore {
        self.journal.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace(&self, with: &Ledger) {
        *self.journal.write().unwrap() = with.store.clone();
        self.heads.publish(with.store.head().unwrap());
    }
}

impl EventStore for Replaceable {
    fn name(&self) -> &str {
        "ledger"
    }
    fn sharing(&self) -> Sharing {
        Sharing::Exclusive
    }
    fn take_turn(&self) -> Result<Turn<'_>, StoreError> {
        Ok(Turn::free())
    }
    fn tree(&self) -> Result<Tree, StoreError> {
        self.journal().tree()
    }
    fn append(&self, expected: Head, batch: &Batch) -> Result<Appended, StoreError> {
        self.journal().append(expected, batch)
    }
    fn read_batch(&self, position: Position) -> Result<Option<StoredBatch>, StoreError> {
        self.journal().read_batch(position)
    }
    fn root_at(&self, position: Position) -> Result<Option<Hash>, StoreError> {
        self.journal().root_at(position)
    }
    fn read_stream(&self, stream: &str, from: StreamVersion) -> Result<Vec<OwnedRecord>, StoreError> {
        self.journal().read_stream(stream, from)
    }
    fn locate(&self, lookups: &[Lookup<'_>]) -> Result<Vec<Option<Position>>, StoreError> {
        self.journal().locate(lookups)
    }
    fn format_1_until(&self) -> Position {
        self.journal().format_1_until()
    }
    fn follow(&self) -> &HeadWatch {
        &self.heads
    }
    fn save_snapshot(&self, snapshot: &Snapshot) -> Result<(), StoreError> {
        self.journal().save_snapshot(snapshot)
    }
    fn latest_snapshot(&self) -> Result<Option<Snapshot>, StoreError> {
        self.journal().latest_snapshot()
    }
}

#[test]
fn a_journal_that_is_replaced_beneath_the_read_models_has_them_built_anew() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger");
    let before = ledger("customers:awa", &[20]);
    let store = Arc::new(Replaceable { journal: RwLock::new(before.store.clone()), heads: HeadWatch::new(before.store.head().unwrap()) });
    let runner = Runner::start(store.clone(), &path, RunnerConfig::default()).unwrap();
    let reads = runner.read_store();
    assert!(reads.wait_for_blocking(&GroupId::ALL, before.position(), SOON));
    // Longer than it was: its further records could be taken for those that follow.
    std::thread::sleep(Duration::from_millis(1_100));
    let after = ledger("customers:binta", &[20, 10]);
    store.replace(&after);
    let until = Instant::now() + SOON;
    loop {
        let snapshot = reads.snapshot().unwrap();
        if snapshot.position() == after.position() && snapshot.account(&address("customers:binta")).is_ok_and(|found| found.is_some()) {
            assert!(snapshot.account(&address("customers:awa")).unwrap().is_none());
            break;
        }
        assert!(Instant::now() < until, "{:?}", runner.status());
        std::thread::sleep(Duration::from_millis(5));
    }
    agrees_with_a_replay(&after, &reads);
}
