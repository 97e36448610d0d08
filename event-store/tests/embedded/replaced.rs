//! The journal's files, removed or replaced under a running store: nothing is acknowledged that nobody would find again.

use std::fs;
use std::path::{Path, PathBuf};

use cauri_event_store::conformance::material::{Author, append, batch_after, check};
use cauri_event_store::embedded::EmbeddedStore;
use cauri_event_store::health::BlockedBy;
use cauri_event_store::{Appended, EventStore, Failure, StoreError};

fn open(dir: &Path) -> EmbeddedStore {
    EmbeddedStore::open(dir, "ledger").expect("a store")
}

/// What somebody may do to the files of a running store.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mishap {
    JournalRemoved,
    JournalReplaced,
    LogRemoved,
    LogReplaced,
    DirectoryMoved,
    DirectoryReplaced,
}

const MISHAPS: [Mishap; 6] = [
    Mishap::JournalRemoved,
    Mishap::JournalReplaced,
    Mishap::LogRemoved,
    Mishap::LogReplaced,
    Mishap::DirectoryMoved,
    Mishap::DirectoryReplaced,
];

impl Mishap {
    /// Lets it happen to `dir`; `spare` is a place on the same file system.
    fn happen(self, dir: &Path, spare: &Path) {
        let (journal, log) = (dir.join("journal.sqlite"), dir.join("journal.sqlite-wal"));
        let replace = |file: &Path| {
            let copy = spare.join("copy");
            fs::copy(file, &copy).expect("a copy");
            fs::rename(&copy, file).expect("put in place");
        };
        match self {
            Self::JournalRemoved => fs::remove_file(journal).expect("removed"),
            Self::JournalReplaced => replace(&journal),
            Self::LogRemoved => fs::remove_file(log).expect("removed"),
            Self::LogReplaced => replace(&log),
            Self::DirectoryMoved => fs::rename(dir, spare.join("away")).expect("moved"),
            Self::DirectoryReplaced => {
                fs::rename(dir, spare.join("away")).expect("moved");
                fs::create_dir(dir).expect("another");
                for file in fs::read_dir(spare.join("away")).expect("files") {
                    let file = file.expect("a file");
                    fs::copy(file.path(), dir.join(file.file_name())).expect("a copy");
                }
            }
        }
    }
}

fn place() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let root = tempfile::tempdir().expect("a directory");
    let (dir, spare) = (root.path().join("journal"), root.path().join("spare"));
    fs::create_dir(&spare).expect("a directory");
    (root, dir, spare)
}

fn try_append(store: &EmbeddedStore, author: &mut Author) -> Result<Appended, StoreError> {
    // The tree as the writer has it: what is on disk may be another's.
    let tree = EventStore::tree(store).expect("a tree");
    store.append(tree.head(), &batch_after(tree.clone(), &[author.entry()]))
}

#[test]
fn nothing_is_acknowledged_after_the_files_were_removed_or_replaced() {
    for mishap in MISHAPS {
        let (_root, dir, spare) = place();
        let store = open(&dir);
        let mut author = Author::new("a");
        append(&store, &[author.entry()]);
        append(&store, &[author.entry()]);
        mishap.happen(&dir, &spare);
        for _ in 0..3 {
            let appended = try_append(&store, &mut author);
            assert!(
                matches!(&appended, Err(StoreError::Failure(Failure::NotDone(why))) if why.contains("while it was open")),
                "{mishap:?}: {appended:?}"
            );
        }
        assert_eq!(store.health().blocked().map(|blocked| blocked.by), Some(BlockedBy::JournalReplaced), "{mishap:?}");
        assert_eq!(store.follow().head().position.get(), 2, "{mishap:?}");
    }
}

#[test]
fn it_is_noticed_without_an_append_and_stays_until_a_restart() {
    let (_root, dir, spare) = place();
    let store = open(&dir);
    let mut author = Author::new("a");
    append(&store, &[author.entry()]);
    store.tend();
    assert_eq!(store.health().blocked(), None);
    fs::rename(&dir, spare.join("away")).expect("moved");
    store.tend();
    assert_eq!(store.health().blocked().map(|blocked| blocked.by), Some(BlockedBy::JournalReplaced));
    // Back where it was: whoever moved it may have written to it meanwhile.
    fs::rename(spare.join("away"), &dir).expect("moved back");
    store.tend();
    assert!(try_append(&store, &mut author).is_err());
    drop(store);
    let store = open(&dir);
    append(&store, &[author.entry()]);
    assert_eq!(store.head().expect("a head").position.get(), 2);
    check(&store);
}

#[test]
fn the_files_that_were_put_in_place_are_left_as_they_are() {
    let (_root, dir, spare) = place();
    let copy = spare.join("restored");
    {
        let store = open(&dir);
        append(&store, &[Author::new("a").entry()]);
        fs::create_dir(&copy).expect("a directory");
        for name in ["journal.sqlite", "journal.sqlite-wal"] {
            fs::copy(dir.join(name), copy.join(name)).expect("a copy");
        }
        append(&store, &[Author::new("b").entry()]);
        for name in ["journal.sqlite", "journal.sqlite-wal"] {
            fs::rename(copy.join(name), dir.join(name)).expect("put in place");
        }
        assert!(try_append(&store, &mut Author::new("c")).is_err());
    }
    // Closing the store removed no log: by its name it was the restored journal's.
    assert!(fs::metadata(dir.join("journal.sqlite-wal")).is_ok_and(|log| log.len() > 0), "the log of the restored journal is gone");
    let store = open(&dir);
    assert_eq!(store.head().expect("a head").position.get(), 1);
    check(&store);
}

/// Every file of a store, and what its permissions are.
#[cfg(unix)]
#[test]
fn every_file_is_for_its_owner_only_whatever_it_was_before() {
    use std::os::unix::fs::PermissionsExt as _;
    let modes = |dir: &Path| -> Vec<(String, u32)> {
        let files = fs::read_dir(dir).expect("files").map(|file| file.expect("a file"));
        files
            .map(|file| (file.file_name().to_string_lossy().into_owned(), file.metadata().expect("a file").permissions().mode() & 0o777))
            .collect()
    };
    let private = |dir: &Path| {
        let modes = modes(dir);
        assert!(modes.len() >= 5 && modes.iter().all(|(_, mode)| *mode == 0o600), "{modes:?}");
    };
    let (_root, dir, _) = place();
    {
        let store = open(&dir);
        append(&store, &[Author::new("a").entry()]);
        private(&dir);
    }
    assert_eq!(fs::metadata(&dir).expect("a directory").permissions().mode() & 0o777, 0o700);
    for (name, _) in modes(&dir) {
        fs::set_permissions(dir.join(name), fs::Permissions::from_mode(0o644)).expect("wider");
    }
    let store = open(&dir);
    append(&store, &[Author::new("b").entry()]);
    private(&dir);
}
