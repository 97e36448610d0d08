//! A disk that is full: appends fail and say so, nothing acknowledged is lost, and with space again it goes on.
//!
//! The writer is a process of its own, because it must be given a disk that is full: a limit on the size of files
//! (`ulimit -f`, which needs no privilege) or a file system of a few megabytes (`unshare`, where it is allowed).

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use cauri_event_schemas::Position;
use cauri_event_store::conformance::material::{Author, Commit, Sought, append, batch_after, check, located};
use cauri_event_store::embedded::{EmbeddedStore, IndexSize};
use cauri_event_store::health::BlockedBy;
use cauri_event_store::{Appended, EventStore, Failure, Snapshot, StoreError};

/// The index is flushed every few batches, so that it meets the full disk as well.
const SIZE: IndexSize = IndexSize { keys_in_memory: 2_000, keys_a_chunk: 64, fan_in: 4, keys_a_slice: 500, key_bits: 64 };
/// What the child appends when there is space again.
const AFTERWARDS: usize = 40;
const CHILD: &str = "embedded::disk_full::child_that_fills_the_disk";

#[test]
fn a_file_that_may_not_grow_fails_appends_and_loses_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    // 512-byte blocks: 1 MiB a file. The soft limit alone, so that the child can lift it; its signal is ignored.
    let script = "trap '' XFSZ; ulimit -S -f 2048; exec \"$0\" \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-c", script]).env("CAURI_TEST_MORE_SPACE", "lift-the-limit");
    filled(command, dir.path());
}

#[test]
fn a_file_system_without_space_fails_appends_and_loses_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let (small, kept) = (dir.path().join("small"), dir.path().join("kept"));
    std::fs::create_dir_all(&small).expect("a directory");
    std::fs::create_dir_all(&kept).expect("a directory");
    let allowed = Command::new("unshare").args(["-Urm", "mount", "-t", "tmpfs", "tmpfs"]).arg(&small).output();
    if !allowed.is_ok_and(|output| output.status.success()) {
        println!("skipped: this machine lets nobody mount a file system of his own (unshare -Urm)");
        return;
    }
    // Six megabytes, three of them taken by a ballast that the child throws out; what it wrote is copied away at the end.
    let script = "mount -t tmpfs -o size=6m tmpfs \"$CAURI_TEST_SMALL\" || exit 9
        mkdir \"$CAURI_TEST_SMALL/journal\"
        head -c 3000000 /dev/zero > \"$CAURI_TEST_SMALL/ballast\"
        CAURI_TEST_MORE_SPACE=\"$CAURI_TEST_SMALL/ballast\" \"$0\" \"$@\" || exit 1
        cp \"$CAURI_TEST_SMALL\"/journal/* \"$CAURI_TEST_KEPT\"";
    let mut command = Command::new("unshare");
    command.args(["-Urm", "sh", "-c", script]).env("CAURI_TEST_SMALL", &small).env("CAURI_TEST_KEPT", &kept);
    let output = run_child(command, &small.join("journal"));
    looked_at_afterwards(&output, &kept);
}

fn filled(command: Command, dir: &Path) {
    let output = run_child(command, dir);
    looked_at_afterwards(&output, dir);
}

fn run_child(mut command: Command, dir: &Path) -> String {
    let program = std::env::current_exe().expect("this program");
    let output: Output =
        command.arg(program).args([CHILD, "--exact", "--nocapture"]).env("CAURI_TEST_FILL", dir).output().expect("a child");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "the child failed:\n{text}\n{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// The journal, opened with space again by another process, has everything that the child was told is durable.
fn looked_at_afterwards(output: &str, dir: &Path) {
    let store = EmbeddedStore::open_with(dir, "ledger", SIZE).expect("a store");
    check(&store);
    let acknowledged: Vec<(&str, u64)> = output
        .lines()
        .filter_map(|line| {
            // The key of a command has spaces.
            let (command, position) = line.strip_prefix("durable ")?.rsplit_once(' ')?;
            Some((command, position.parse().ok()?))
        })
        .collect();
    assert!(acknowledged.len() >= AFTERWARDS, "{output}");
    let lookups: Vec<Sought> = acknowledged.iter().map(|(id, _)| Sought::Command(id.parse().expect("a command key"))).collect();
    let positions: Vec<Option<Position>> = acknowledged.iter().map(|(_, position)| Some(Position::new(*position))).collect();
    assert!(located(&store, &lookups) == positions, "what was acknowledged is not where it was acknowledged");
    append(&store, &[Author::new("afterwards").entry()]);
    check(&store);
}

/// What a child knows of its own appends.
struct Writer {
    store: EmbeddedStore,
    author: Author,
    durable: Vec<(Sought, Position)>,
}

impl Writer {
    /// Appends 40 commands; `false` where the store says that it cannot.
    fn append(&mut self) -> bool {
        let commits: Vec<Commit> = (0..40).map(|_| self.author.entry()).collect();
        loop {
            let tree = self.store.tree().expect("a tree");
            let first = tree.head().position.next();
            match self.store.append(tree.head(), &batch_after(tree.clone(), &commits)) {
                Ok(Appended::Done(_)) => {
                    for (index, commit) in commits.iter().enumerate() {
                        self.durable.push((commit.command_lookup(), first.after(index)));
                    }
                    println!("durable {} {first}", commits[0].command);
                    return true;
                }
                // An append of unknown outcome turned out to be there; this batch was not written yet.
                Ok(Appended::Conflict(head)) => assert!(head.position > tree.head().position),
                Err(StoreError::Failure(Failure::NotDone(_) | Failure::Unknown(_))) => return false,
                Err(error @ (StoreError::Corruption(_) | StoreError::Newer(_))) => panic!("a full disk is no corruption: {error}"),
            }
        }
    }

    /// Everything acknowledged is found by its id, read, and part of the tree.
    fn check(&self) {
        let lookups: Vec<Sought> = self.durable.iter().map(|(lookup, _)| lookup.clone()).collect();
        let positions: Vec<Option<Position>> = self.durable.iter().map(|(_, position)| Some(*position)).collect();
        assert!(located(&self.store, &lookups) == positions, "an acknowledged command was forgotten");
        check(&self.store);
    }
}

/// Fills the disk that it was given, looks at what is left, gets space again and goes on with the same store.
#[test]
fn child_that_fills_the_disk() {
    let Some(dir) = std::env::var_os("CAURI_TEST_FILL") else { return };
    let store = EmbeddedStore::open_with(Path::new(&dir), "ledger", SIZE).expect("a store");
    let mut writer = Writer { store, author: Author::new("a"), durable: Vec::new() };
    let (mut batches, mut was_paused) = (0, false);
    while writer.append() {
        batches += 1;
        was_paused |= writer.store.health().paused().is_some();
        assert!(batches < 100_000, "this disk is never full");
    }
    assert!(batches > 10, "the disk was full from the beginning");
    writer.check();
    // It stays full: whatever is tried fails or is durable, and nothing else breaks.
    let mut refused = 0;
    for _ in 0..20 {
        refused += usize::from(!writer.append());
        let snapshot = Snapshot { head: writer.store.head().expect("a head"), state: vec![1; 2_000_000] };
        let _ = writer.store.save_snapshot(&snapshot);
    }
    assert!(refused > 0);
    writer.check();
    writer.store.tend();
    let blocked = writer.store.health().blocked();
    let is_file_system = std::env::var_os("CAURI_TEST_MORE_SPACE").is_some_and(|more| Path::new(&more).is_absolute());
    assert!(blocked.as_ref().is_some_and(|blocked| !is_file_system || blocked.by == BlockedBy::DiskFull), "{blocked:?}");
    assert!(was_paused || !is_file_system, "the index was not paused before the journal had no space left");

    more_space();
    // A probe finds the space without an append.
    writer.store.tend();
    assert_eq!(writer.store.health().blocked(), None);
    // The index's thread looks again every second.
    let deadline = Instant::now() + Duration::from_secs(30);
    let mut appended = 0;
    while appended < AFTERWARDS {
        assert!(Instant::now() < deadline, "with space again appends still fail");
        if writer.append() {
            appended += 1;
        } else {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    writer.check();
    drop(writer);
}

fn more_space() {
    let more = std::env::var_os("CAURI_TEST_MORE_SPACE").map(PathBuf::from).expect("a way to get space");
    if more.is_absolute() {
        std::fs::remove_file(more).expect("a ballast");
        return;
    }
    let lifted = Command::new("prlimit").args(["--fsize=unlimited", "--pid", &std::process::id().to_string()]).status();
    assert!(lifted.is_ok_and(|status| status.success()), "prlimit (util-linux) is needed to lift the limit");
}
