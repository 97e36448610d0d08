//! The embedded store as a backend under test: every journal in a directory of its own.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use cauri_event_store::EventStore;
use cauri_event_store::conformance::Backend;
use cauri_event_store::embedded::{EmbeddedStore, IndexSize};
use tempfile::TempDir;

/// So small that a few hundred records reach every level of the index.
pub const TINY: IndexSize = IndexSize { keys_in_memory: 24, keys_a_chunk: 4, fan_in: 2, keys_a_slice: 16, key_bits: 64 };

pub struct Embedded {
    size: IndexSize,
    root: TempDir,
    made: Cell<u32>,
}

impl Embedded {
    pub fn with(size: IndexSize) -> Self {
        Self { size, root: tempfile::tempdir().expect("a directory"), made: Cell::new(0) }
    }

    fn new_dir(&self) -> PathBuf {
        self.made.set(self.made.get() + 1);
        self.root.path().join(self.made.get().to_string())
    }

    fn open(&self, dir: &Path, name: &str) -> EmbeddedStore {
        EmbeddedStore::open_with(dir, name, self.size).expect("a store")
    }
}

impl Backend for Embedded {
    type Store = EmbeddedStore;

    fn create(&self, name: &str) -> EmbeddedStore {
        self.open(&self.new_dir(), name)
    }

    fn reopen(&self, store: EmbeddedStore) -> EmbeddedStore {
        let (dir, name) = (store.dir().to_owned(), store.name().to_owned());
        drop(store);
        self.open(&dir, &name)
    }

    fn crash(&self, store: EmbeddedStore) -> EmbeddedStore {
        let left = self.new_dir();
        copy_of_a_killed_process(store.dir(), &left);
        self.open(&left, store.name())
    }

    fn another(&self, _: &EmbeddedStore) -> Option<EmbeddedStore> {
        None
    }
}

/// Copies the files of a store that is open, as its process would leave them if it were killed now.
///
/// The index is written by a thread of its own: the files are read until two readings are the same. The shared
/// memory file goes with the process.
pub fn copy_of_a_killed_process(from: &Path, to: &Path) {
    let mut files = contents(from);
    loop {
        let again = contents(from);
        if files == again {
            break;
        }
        files = again;
    }
    std::fs::create_dir_all(to).expect("a directory");
    for (name, bytes) in files {
        if !name.to_string_lossy().ends_with("-shm") {
            std::fs::write(to.join(name), bytes).expect("a copy");
        }
    }
}

fn contents(dir: &Path) -> BTreeMap<OsString, Vec<u8>> {
    let entries = std::fs::read_dir(dir).expect("a directory");
    // A file that goes away meanwhile changes the next reading.
    entries.filter_map(|entry| entry.ok().and_then(|entry| Some((entry.file_name(), std::fs::read(entry.path()).ok()?)))).collect()
}
