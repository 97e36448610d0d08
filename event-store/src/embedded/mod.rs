//! The embedded store: one directory, no server; whole batches as compressed frames in SQLite.
//!
//! `journal.sqlite` is the truth: frames and the head. `index.sqlite` is derived from it (look-ups by stream
//! and command, snapshots): deleting it costs time at the next start, nothing else. `cauri.lock` is held by
//! the one process that may append. `docs/reference/journal-format.md` describes the bytes.

mod block_cache;
mod durable;
pub(crate) mod index;
pub(crate) mod journal;
mod repack;
mod roots;

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cauri_event_schemas::{Position, StreamVersion};
use rusqlite::{Connection, ErrorCode};

use self::block_cache::BlockCache;
pub use self::index::IndexAudit;
#[doc(hidden)]
pub use self::index::IndexSize;
use self::index::{Index, IndexSlot, Surroundings};
use self::journal::{JournalFile, NotAppended, Packer};
use crate::batch::Batch;
use crate::files::{create_private_dir, open_private, tighten};
use crate::follow::HeadWatch;
use crate::health::{BlockedBy, StoreHealth};
use crate::merkle::{Hash, Tree};
use crate::port::{Appended, Corruption, EventStore, Failure, Head, Lookup, Sharing, Snapshot, StoreError, Turn};
use crate::space::{DEFAULT_RESERVE, Space};
use crate::stored::{CheckedBatch, OwnedRecord, StoredBatch};

/// The format that this program writes, and the newest that it reads.
pub const FORMAT_VERSION: u32 = 2;

/// How many connections for readers are kept for the next: as many as an engine has threads that load, and a few more. One
/// that is opened reads the schema first.
const READERS_KEPT: usize = 32;

/// Bytes of pages that a connection for readers keeps. What they read is mostly read once, and whatever many of them keep
/// is taken from the system's own cache, which all of them share.
const READERS_CACHE: i64 = 256 << 10;

/// How many bytes of blocks stay unpacked for look-ups and reads by stream.
const CACHED_BYTES: usize = 32 << 20;

/// Keeps a connection for the next reader, if there are not enough already.
fn keep(readers: &Mutex<Vec<Connection>>, connection: Connection) {
    let mut readers = readers.lock().unwrap_or_else(PoisonError::into_inner);
    if readers.len() < READERS_KEPT {
        readers.push(connection);
    }
}

/// Prepares a connection for readers.
fn prepare_reader(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(Duration::from_secs(10))?;
    // A negative size is in KiB.
    connection.pragma_update(None, "cache_size", -(READERS_CACHE >> 10))
}

/// A journal in a directory of its own.
#[derive(Debug)]
pub struct EmbeddedStore {
    name: String,
    journal: Arc<JournalFile>,
    index: IndexSlot,
    health: StoreHealth,
    space: Space,
    writer: Option<Mutex<Writer>>,
    blocks: BlockCache,
    format_1_until: AtomicU64,
    heads: HeadWatch,
    // Dropped last: nobody else opens the journal before everything above is closed.
    _lock: Option<Lock>,
}

#[derive(Debug)]
struct Writer {
    connection: Connection,
    packer: Packer,
    tree: Tree,
    /// The last append failed, and so did looking at what it left: look again before the next.
    unsure: bool,
    /// How many bytes an append needs that failed, or the least that one may need.
    needed: usize,
}

/// What a probe of a journal writes at least: as much as a small batch.
const LEAST_PROBED: usize = 64 << 10;
/// What a probe writes at most.
const MOST_PROBED: usize = 32 << 20;

/// Why a journal's directory cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process appends to it.
    #[error("{} is in use by another process; stop it first, or give this one another directory", dir.display())]
    Locked {
        /// The journal's directory.
        dir: PathBuf,
    },
    /// A newer Cauri wrote it.
    #[error("{} has journal format {found}, this program reads up to {supported}; use the newer Cauri that wrote it", dir.display())]
    NewerFormat {
        /// The journal's directory.
        dir: PathBuf,
        /// The format found.
        found: u32,
        /// The newest format that this program reads.
        supported: u32,
    },
    /// There is no journal, or its files are something else.
    #[error("{} holds no Cauri journal: {reason}", dir.display())]
    NotAJournal {
        /// The directory.
        dir: PathBuf,
        /// What was found instead.
        reason: String,
    },
    /// The directory holds a journal of another name.
    #[error("{} holds the journal `{found}`, not `{wanted}`", dir.display())]
    OtherJournal {
        /// The directory.
        dir: PathBuf,
        /// The name found.
        found: String,
        /// The name asked for.
        wanted: String,
    },
    /// The files cannot be read or contradict themselves.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl EmbeddedStore {
    /// Opens the journal in `dir` for appending, creating both where they do not exist.
    pub fn open(dir: &Path, name: &str) -> Result<Self, OpenError> {
        Self::open_with(dir, name, IndexSize::default())
    }

    /// The same with an index of another size: for tests that look at its stages.
    #[doc(hidden)]
    pub fn open_with(dir: &Path, name: &str, size: IndexSize) -> Result<Self, OpenError> {
        create_private_dir(dir).map_err(|error| failed(&format!("cannot create {}", dir.display()), error))?;
        let lock = lock(dir)?;
        durable::settle(dir)?;
        let (health, space) = (StoreHealth::default(), Space::of(dir));
        let around = Surroundings { size, space: space.clone(), health: health.clone() };
        let journal = Arc::new(JournalFile::open(dir, name)?);
        let connection = journal.connect_to_append()?;
        let tree = journal.tree()?;
        // What a start needs is written in any case: without it there would be no journal to keep space for.
        space.set_reserve(0);
        let index = Index::open(dir, &journal, tree.head().position, &around)?;
        space.set_reserve(DEFAULT_RESERVE);
        let store = Self {
            name: name.to_owned(),
            heads: HeadWatch::new(tree.head()),
            format_1_until: AtomicU64::new(journal.format_1_until(tree.head().position)?.get()),
            writer: Some(Mutex::new(Writer { connection, packer: Packer::new()?, tree, unsure: false, needed: LEAST_PROBED })),
            index: IndexSlot::new(dir.to_owned(), journal.clone(), around, index),
            journal,
            health,
            space,
            blocks: BlockCache::new(CACHED_BYTES),
            _lock: Some(lock),
        };
        // A disk that is full is noticed before the first command.
        store.probe(&store.writer());
        Ok(store)
    }

    /// Opens the journal in `dir` for reading only, also while another process appends to it.
    pub fn open_read_only(dir: &Path, name: &str) -> Result<Self, OpenError> {
        let journal = Arc::new(JournalFile::open_read_only(dir, name)?);
        let head = journal.tree()?.head();
        let (health, space) = (StoreHealth::default(), Space::of(dir));
        let around = Surroundings { size: IndexSize::default(), space: space.clone(), health: health.clone() };
        let index = Index::open_read_only(dir, &journal, head.position, &around)?;
        let index = IndexSlot::new(dir.to_owned(), journal.clone(), around, index);
        let (blocks, heads) = (BlockCache::new(CACHED_BYTES), HeadWatch::new(head));
        let format_1_until = AtomicU64::new(journal.format_1_until(head.position)?.get());
        Ok(Self { name: name.to_owned(), journal, index, health, space, writer: None, blocks, format_1_until, heads, _lock: None })
    }

    /// Looks whether the directory holds the journal `name` in a format that this program reads.
    ///
    /// # Errors
    /// When it does not, or the file is damaged so that this cannot be told.
    pub fn identify(dir: &Path, name: &str) -> Result<(), OpenError> {
        JournalFile::open_read_only(dir, name).map(drop)
    }

    /// Reads the whole index file beside the journal, as the server reads it: what is wrong with it, in words.
    ///
    /// # Errors
    /// When the journal cannot be opened, or the index cannot be read for another reason than damage.
    pub fn audit_index(dir: &Path, name: &str) -> Result<IndexAudit, OpenError> {
        Ok(index::audit(dir, &JournalFile::open_read_only(dir, name)?)?)
    }

    /// The space on the disk, and how much of it is reserved for the journal.
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// Tries whether a batch could be appended, and notes the answer in the store's condition.
    fn probe(&self, writer: &Option<MutexGuard<'_, Writer>>) {
        let Some(writer) = writer else { return };
        match journal::probe(&writer.connection, writer.needed) {
            Ok(()) => self.health.unblock(),
            Err(error) => self.block(&error.to_string(), error.sqlite_error_code() == Some(ErrorCode::DiskFull)),
        }
    }

    fn writer(&self) -> Option<MutexGuard<'_, Writer>> {
        self.writer.as_ref().map(|writer| writer.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn block(&self, why: &str, is_full: bool) {
        // SQLite calls a disk that filled up while the log grew an I/O error as well.
        let is_full = is_full || self.space.is_exhausted();
        self.health.block(if is_full { BlockedBy::DiskFull } else { BlockedBy::WriteFailed }, why);
    }

    /// Nothing is acknowledged once the journal's path leads to another file than the one that is written.
    fn refuse_replaced(&self, writer: &Writer) -> Result<(), String> {
        self.journal.check_identity().inspect_err(|what| {
            JournalFile::leave_log(&writer.connection);
            self.health.block(BlockedBy::JournalReplaced, what.clone());
        })
    }

    /// The journal's directory.
    pub fn dir(&self) -> &Path {
        self.journal.dir()
    }

    /// Bytes of the journal's files on disk: (journal, derived index and snapshots).
    pub fn disk_bytes(&self) -> (u64, u64) {
        self.journal.disk_bytes()
    }

    /// Compares the derived index with the journal: the first record whose stream or command it does not lead to.
    ///
    /// `progress` is called with each position that was compared.
    pub fn check_index(&self, mut progress: impl FnMut(Position)) -> Result<(), StoreError> {
        let index = self.index.current();
        let mut position = Position::ZERO.next();
        while let Some(batch) = self.read_checked(position)? {
            for record in batch.records() {
                let envelope = record.envelope()?;
                for key in [index.hasher().stream(&envelope.stream), index.hasher().command(&envelope.metadata)] {
                    // A command's key leads to its first record only; later ones are found from there.
                    let found = index.candidates(key)?;
                    let reached = found.iter().any(|candidate| *candidate <= record.position());
                    if !reached {
                        let what = format!("the index does not lead to {}; delete index.sqlite to have it built again", envelope.stream);
                        return Err(Corruption::new(record.position(), what).into());
                    }
                }
            }
            progress(batch.last());
            position = batch.last().next();
        }
        Ok(())
    }

    /// A store that only reads looks up what the process beside it has appended meanwhile.
    fn see_others_tail(&self) -> Result<(), StoreError> {
        match self.writer {
            Some(_) => Ok(()),
            None => self.index.current().catch_up(&self.journal, self.journal.tree()?.head().position),
        }
    }

    /// The batch stands in the journal: go on from there.
    fn appended(&self, writer: &mut Writer, batch: &Batch) {
        writer.tree = batch.tree().clone();
        if batch.has_format_1() {
            self.format_1_until.store(batch.head().position.get(), Ordering::SeqCst);
        }
        self.index.current().insert(batch);
        self.heads.publish(batch.head());
    }

    fn checked_block(&self, position: Position) -> Result<Option<Arc<CheckedBatch>>, StoreError> {
        if let Some(block) = self.blocks.get(position) {
            return Ok(Some(block));
        }
        let block = self.read_checked_block(position)?.map(Arc::new);
        block.iter().for_each(|block| self.blocks.keep(block.clone()));
        Ok(block)
    }

    /// The record at a candidate position, if it is what the look-up wants: keys are hashes and may collide.
    fn confirm(&self, lookup: &Lookup<'_>, position: Position) -> Result<bool, StoreError> {
        let Some(block) = self.checked_block(position)? else { return Ok(false) };
        let Some(record) = block.at(position) else { return Ok(false) };
        let envelope = record.envelope()?;
        Ok(match lookup {
            Lookup::Command(command) => envelope.metadata.is_of(command),
            Lookup::Stream(stream) => envelope.stream == **stream,
        })
    }
}

impl EventStore for EmbeddedStore {
    fn name(&self) -> &str {
        &self.name
    }

    fn sharing(&self) -> Sharing {
        Sharing::Exclusive
    }

    fn take_turn(&self) -> Result<Turn<'_>, StoreError> {
        Ok(Turn::free())
    }

    fn tree(&self) -> Result<Tree, StoreError> {
        match &self.writer {
            Some(writer) => Ok(writer.lock().unwrap_or_else(PoisonError::into_inner).tree.clone()),
            None => self.journal.tree(),
        }
    }

    fn append(&self, expected: Head, batch: &Batch) -> Result<Appended, StoreError> {
        let Some(writer) = &self.writer else {
            return Err(Failure::NotDone("the journal was opened for reading only".into()).into());
        };
        let mut writer = writer.lock().unwrap_or_else(PoisonError::into_inner);
        self.refuse_replaced(&writer).map_err(Failure::NotDone)?;
        if writer.unsure {
            writer.tree = self.journal.tree()?;
            self.index.current().catch_up(&self.journal, writer.tree.head().position)?;
            self.heads.publish(writer.tree.head());
            writer.unsure = false;
        }
        let head = writer.tree.head();
        if head != expected {
            return Ok(Appended::Conflict(head));
        }
        if batch.is_empty() {
            return Ok(Appended::Done(head));
        }
        self.index.current().make_room(batch.len()).inspect_err(|error| {
            if self.space.is_exhausted() {
                self.block(&error.to_string(), true);
            }
        })?;
        let Writer { connection, packer, .. } = &mut *writer;
        let written = journal::append(connection, packer, &head, batch);
        // What was written to a file that nobody will find again is not acknowledged.
        self.refuse_replaced(&writer).map_err(|what| {
            writer.unsure = true;
            Failure::Unknown(what)
        })?;
        if let Err(NotAppended { error: StoreError::Failure(error), is_full }) = written {
            writer.needed = batch.lines().len().clamp(LEAST_PROBED, MOST_PROBED);
            self.block(&error.to_string(), is_full);
            // A commit that the disk did not confirm may stand in the file all the same: go on from what is there.
            match self.journal.tree() {
                Ok(tree) if tree.head() == batch.head() => self.appended(&mut writer, batch),
                Ok(_) => {}
                Err(unreadable) => {
                    writer.unsure = true;
                    return Err(Failure::Unknown(format!("{error}; {unreadable}")).into());
                }
            }
            return Err(error.into());
        }
        written.map_err(|not_appended| not_appended.error)?;
        self.appended(&mut writer, batch);
        if writer.needed > LEAST_PROBED || self.health.blocked().is_some() {
            writer.needed = LEAST_PROBED;
            self.health.unblock();
        }
        Ok(Appended::Done(batch.head()))
    }

    fn read_batch(&self, position: Position) -> Result<Option<StoredBatch>, StoreError> {
        let head = self.heads.head().position;
        refuse_missing(self.journal.read_batch(position)?, position, head)
    }

    fn read_block(&self, position: Position) -> Result<Option<StoredBatch>, StoreError> {
        let head = self.heads.head().position;
        refuse_missing(self.journal.read_block(position)?, position, head)
    }

    fn root_at(&self, position: Position) -> Result<Option<Hash>, StoreError> {
        self.journal.root_at(position).inspect_err(|error| {
            if let StoreError::Corruption(corruption) = error {
                self.health.note_damage(corruption);
            }
        })
    }

    fn read_stream(&self, stream: &str, from: StreamVersion) -> Result<Vec<OwnedRecord>, StoreError> {
        self.see_others_tail()?;
        let mut positions = self.index.ask(|index| index.candidates(index.hasher().stream(stream)))?;
        positions.sort_unstable();
        positions.dedup();
        let mut records = Vec::new();
        for position in positions {
            let Some(block) = self.checked_block(position)? else { continue };
            let Some(record) = block.at(position) else { continue };
            let envelope = record.envelope()?;
            if envelope.stream == *stream && envelope.version >= from {
                records.push(record.to_owned());
            }
        }
        Ok(records)
    }

    fn may_hold(&self, lookups: &[Lookup<'_>]) -> Vec<bool> {
        if self.writer.is_none() {
            // Another process appends, and its tail would have to be read first.
            return vec![true; lookups.len()];
        }
        let index = self.index.current();
        let keys: Vec<u64> = lookups.iter().map(|lookup| index.hasher().lookup(lookup)).collect();
        index.may_hold(&keys)
    }

    fn locate(&self, lookups: &[Lookup<'_>]) -> Result<Vec<Option<Position>>, StoreError> {
        self.see_others_tail()?;
        let mut candidates = self.index.ask(|index| {
            let keys: Vec<u64> = lookups.iter().map(|lookup| index.hasher().lookup(lookup)).collect();
            index.candidates_of(&keys)
        })?;
        candidates.sort_unstable();
        let mut found = vec![None; lookups.len()];
        for (index, position) in candidates {
            if found[index].is_none() && self.confirm(&lookups[index], position)? {
                found[index] = Some(position);
            }
        }
        Ok(found)
    }

    fn format_1_until(&self) -> Position {
        Position::new(self.format_1_until.load(Ordering::SeqCst))
    }

    fn follow(&self) -> &HeadWatch {
        &self.heads
    }

    fn health(&self) -> StoreHealth {
        self.health.clone()
    }

    fn tend(&self) {
        // While a batch is written, the append itself looks at all this.
        let Some(Ok(writer)) = self.writer.as_ref().map(Mutex::try_lock) else { return };
        if self.refuse_replaced(&writer).is_ok() && self.health.blocked().is_some() {
            self.probe(&Some(writer));
        }
        self.index.current().check_identity();
        self.index.rebuild_if_damaged();
    }

    fn save_snapshot(&self, snapshot: &Snapshot) -> Result<(), StoreError> {
        self.index.current().save_snapshot(snapshot)
    }

    fn latest_snapshot(&self) -> Result<Option<Snapshot>, StoreError> {
        self.index.current().latest_snapshot()
    }
}

/// The directory's lock.
#[derive(Debug)]
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing the file would leave the lock with a process that is just being started and still has it open.
        let _ = self.0.unlock();
    }
}

/// Takes the directory's lock, which ends with the process, however it ends.
fn lock(dir: &Path) -> Result<Lock, OpenError> {
    let path = dir.join("cauri.lock");
    tighten(&path);
    let file = open_private(&path).map_err(|error| failed(&format!("cannot open {}", path.display()), error))?;
    match file.try_lock() {
        Ok(()) => Ok(Lock(file)),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked { dir: dir.to_owned() }),
        Err(TryLockError::Error(error)) => Err(failed(&format!("cannot lock {}", path.display()), error).into()),
    }
}

/// Nothing there is no answer to give below the head: a command that stands there would be taken for one that was never
/// sent. `head` is read before what is `found`: what is appended meanwhile is not missing.
fn refuse_missing(found: Option<StoredBatch>, position: Position, head: Position) -> Result<Option<StoredBatch>, StoreError> {
    match found {
        None if Position::ZERO < position && position <= head => Err(missing(position).into()),
        found => Ok(found),
    }
}

/// The head says that there is a record, and there is none.
fn missing(position: Position) -> Corruption {
    Corruption::new(position, "no frame holds it, and the head is at or beyond it")
}

/// An I/O failure before anything was written.
pub(crate) fn failed(what: &str, error: impl std::fmt::Display) -> StoreError {
    Failure::NotDone(format!("{what}: {error}")).into()
}
