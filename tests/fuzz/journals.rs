//! A journal that the engine wrote, to be changed: its directory, its records, and what is found in it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use cauri_domain::time::Timestamp;
use cauri_engine::{Engine, EngineConfig, ManualClock, Mode};
use cauri_event_schemas::Position;
use cauri_event_store::conformance::material::Sought;
use cauri_event_store::embedded::{EmbeddedStore, IndexSize};
use cauri_event_store::{EventStore, Head, OwnedRecord, Snapshot};
use cauri_tests::ask::Asked;
use cauri_tests::maker::{Maker, opening};
use tempfile::TempDir;

/// So small that runs of several levels are on disk.
pub const INDEX: IndexSize = IndexSize { keys_in_memory: 60, keys_a_chunk: 8, fan_in: 3, keys_a_slice: 32, key_bits: 64 };

/// A moment within the limits of every rule.
pub const NOW: i64 = 1_750_000_000_000_000;

/// A closed journal.
pub struct Written {
    root: TempDir,
    pub head: Head,
    pub records: Vec<OwnedRecord>,
    /// Every command and stream with the position of its first record.
    pub ids: Vec<(Sought, Position)>,
    pub snapshot: Option<Snapshot>,
}

impl Written {
    /// About so many records of all kinds.
    pub fn of(commands: usize) -> Self {
        let root = tempfile::tempdir().expect("a directory");
        let store = Arc::new(open(&journal_in(root.path())).expect("a store"));
        write_with_engine(store.clone(), commands);
        let written = Self::found(root, &store);
        drop(store);
        written
    }

    fn found(root: TempDir, store: &EmbeddedStore) -> Self {
        let records = store.read_journal(Position::ZERO, usize::MAX).expect("a journal");
        let mut ids: Vec<(Sought, Position)> = Vec::new();
        let mut seen = std::collections::HashSet::new();
        for record in &records {
            let record = record.as_record();
            let envelope = record.envelope().expect("an envelope");
            if seen.insert(format!("command {}", envelope.metadata.command)) {
                ids.push((Sought::Command(envelope.metadata.key()), record.position()));
            }
            if seen.insert(format!("stream {}", envelope.stream)) {
                ids.push((Sought::Stream(envelope.stream.into_owned()), record.position()));
            }
        }
        let (head, snapshot) = (store.head().expect("a head"), store.latest_snapshot().expect("an answer"));
        assert!(records.len() > 100 && snapshot.is_some(), "{} records", records.len());
        Self { root, head, records, ids, snapshot }
    }

    /// The journal's directory.
    pub fn dir(&self) -> PathBuf {
        journal_in(self.root.path())
    }

    /// The data directory that it is in.
    pub fn data(&self) -> &Path {
        self.root.path()
    }

    /// A copy in a data directory of its own.
    pub fn copied(&self) -> TempDir {
        let copy = tempfile::tempdir().expect("a directory");
        let to = journal_in(copy.path());
        std::fs::create_dir_all(&to).expect("a directory");
        for entry in std::fs::read_dir(self.dir()).expect("a directory").flatten() {
            std::fs::copy(entry.path(), to.join(entry.file_name())).expect("a copy");
        }
        copy
    }
}

/// Where a journal is in a data directory.
pub fn journal_in(data: &Path) -> PathBuf {
    data.join("journals/ledger")
}

pub fn open(dir: &Path) -> Result<EmbeddedStore, cauri_event_store::embedded::OpenError> {
    EmbeddedStore::open_with(dir, "ledger", INDEX)
}

/// Has an engine write commands of all kinds, with a snapshot now and then.
pub fn write_with_engine(store: Arc<dyn EventStore>, commands: usize) {
    let engine = Engine::<cauri_domain::Ledger>::start(store, config()).expect("an engine");
    let mut maker = Maker::new("fuzz", 5);
    let submit = |asked: &[Asked]| {
        let envelopes = asked.iter().map(Asked::envelope).collect();
        engine.submit_blocking(envelopes, Mode::Each).expect("outcomes")
    };
    submit(&opening());
    let mut made = 0;
    while made < commands {
        let asked: Vec<Asked> = (0..1 + made % 9).map(|_| maker.fresh(NOW)).collect();
        for (asked, outcome) in asked.iter().zip(submit(&asked)) {
            maker.learn(asked, &outcome);
        }
        made += asked.len();
    }
    engine.stop();
}

/// An engine that stands at [`NOW`] and takes snapshots often.
pub fn config() -> EngineConfig {
    let now = Timestamp::from_micros(NOW).expect("a time");
    EngineConfig { snapshot_every: 100, clock: Arc::new(ManualClock::at(now)), ..EngineConfig::default() }
}
