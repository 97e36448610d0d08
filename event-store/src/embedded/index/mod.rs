//! `index.sqlite`: look-ups by stream and command as sorted runs, and snapshots. All derived from the journal.
//!
//! A key is 64 bits of a hash; it leads to candidate positions, which the caller confirms by reading the record.
//! New keys gather in memory and answer from there; a thread of its own writes them as a sorted run when there
//! are enough, and merges runs of one size into one of the next. Each run has a Bloom filter in memory, so a key
//! that was never written is, 99 times of 100, answered without touching the disk. What a crash forgets is read
//! again from the journal's tail.

mod audit;
mod file;
mod rebuild;
mod run;
mod snapshots;
mod upkeep;

use std::hash::Hasher as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;

use cauri_domain::ids::{Caller, CommandId};
use cauri_event_schemas::{Metadata, Position};
use hashbrown::HashTable;
use rusqlite::{Connection, ErrorCode};
use siphasher::sip::SipHasher13;

pub use self::audit::IndexAudit;
pub(crate) use self::audit::audit;
use self::file::{cut, damage, indexed_to, is_damage, open_beside, open_read_only, random_seed, remove, seed_of};
pub(crate) use self::rebuild::IndexSlot;
use self::run::Run;
use self::upkeep::{RETRY, Upkeep};
use super::journal::JournalFile;
use super::{failed, missing};
use crate::batch::Batch;
use crate::files::{FileIdentity, open_private};
use crate::health::StoreHealth;
use crate::merkle::Hash;
use crate::port::{Head, Lookup, Snapshot, StoreError};
use crate::space::Space;

/// Sizes of the index's parts. Only tests choose other than the default: small ones, to reach every stage with few records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexSize {
    /// Keys that gather in memory before they become a run.
    pub keys_in_memory: usize,
    /// Keys to one row of a run: 252 of 16 bytes and the row's own few fit one page of SQLite, so that a look-up reads one.
    pub keys_a_chunk: usize,
    /// Runs of one level that are merged into one of the next.
    pub fan_in: usize,
    /// Keys that a merge writes at a time: so long waits a table that has become full, and a little longer for a last slice.
    pub keys_a_slice: usize,
    /// Bits that tell keys apart; with few of them most keys collide.
    pub key_bits: u32,
}

impl Default for IndexSize {
    /// Two tables of this size take 36 MiB.
    fn default() -> Self {
        Self { keys_in_memory: 900_000, keys_a_chunk: 252, fan_in: 8, keys_a_slice: 200_000, key_bits: 64 }
    }
}

/// How many keys' places in a table are brought into the cache before they are written.
const TOUCHED_AT_ONCE: usize = 64;
/// A file of this name says that the index was found damaged: the next start builds it again.
const DAMAGED: &str = "index.damaged";
/// How many times its usual size a table in memory may reach while its writing is paused or the index is being rebuilt.
const STRETCH: usize = 8;

/// What an index needs to know of the store around it.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    pub(super) size: IndexSize,
    pub(super) space: Space,
    pub(super) health: StoreHealth,
}

/// How far the index in a directory reaches, as far as it can be read; 0 if there is none.
pub(super) fn reaches(dir: &Path) -> Position {
    let path = dir.join("index.sqlite");
    if !path.exists() {
        return Position::ZERO;
    }
    open_read_only(&path).and_then(|connection| indexed_to(&connection)).map_or(Position::ZERO, |(position, _)| position)
}

/// Makes keys of ids. Keyed, because callers choose the ids and could make an unkeyed hash collide at will.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hasher {
    sip: SipHasher13,
    mask: u64,
}

impl Hasher {
    fn new(seed: (i64, i64), key_bits: u32) -> Self {
        let mask = u64::MAX.checked_shr(u64::BITS - key_bits).unwrap_or(u64::MAX);
        Self { sip: SipHasher13::new_with_keys(seed.0 as u64, seed.1 as u64), mask }
    }

    /// The key under which a stream's records are found.
    pub(super) fn stream(&self, name: &str) -> u64 {
        let mut hasher = self.sip;
        hasher.write_u8(b's');
        hasher.write(name.as_bytes());
        hasher.finish() & self.mask
    }

    /// The key under which a command's first record is found.
    pub(super) fn command(&self, metadata: &Metadata) -> u64 {
        self.command_key(metadata.caller.as_ref(), &metadata.command)
    }

    /// The key of a look-up.
    pub(super) fn lookup(&self, lookup: &Lookup<'_>) -> u64 {
        match lookup {
            Lookup::Command(key) => self.command_key(key.caller.as_ref(), &key.id),
            Lookup::Stream(stream) => self.stream(stream),
        }
    }

    /// The text form of a command's key, without making the text or a copy of the caller, which many commands share.
    fn command_key(&self, caller: Option<&Caller>, id: &CommandId) -> u64 {
        let mut hasher = self.sip;
        hasher.write_u8(b'c');
        if let Some(caller) = caller {
            hasher.write(caller.as_str().as_bytes());
            hasher.write_u8(b' ');
        }
        hasher.write(id.as_str().as_bytes());
        hasher.finish() & self.mask
    }
}

/// Keys and positions that are not yet in a run. Several positions may stand under one key.
#[derive(Debug)]
struct Table {
    pairs: HashTable<(u64, u64)>,
    /// The head that the keys reach to.
    last: Head,
}

impl Table {
    fn with_room(keys: usize) -> Self {
        Self { pairs: HashTable::with_capacity(keys), last: Head::default() }
    }

    fn insert(&mut self, key: u64, position: Position) {
        self.pairs.insert_unique(key, (key, position.get()), |pair| pair.0);
    }

    /// Brings the places of keys into the cache: side by side, without anything to decide between them, many of them are on
    /// their way at once.
    fn touch(&self, keys: &[(u64, Position)]) {
        for (key, _) in keys {
            std::hint::black_box(self.pairs.find(*key, |_| false).is_some());
        }
    }

    fn find(&self, key: u64) -> impl Iterator<Item = Position> + '_ {
        self.pairs.iter_hash(key).filter(move |pair| pair.0 == key).map(|pair| Position::new(pair.1))
    }
}

#[derive(Debug, Default)]
struct Tables {
    active: Option<Table>,
    /// Full, and on its way into a run.
    flushing: Option<Arc<Table>>,
    stopping: bool,
    /// Why the table that is to become a run cannot be written; appends fail rather than fill the memory.
    broken: Option<String>,
    /// It is not written because the space is reserved for the journal: tables in memory may grow meanwhile.
    paused: bool,
    /// Memory does not suffice any longer: it is written all the same, because the journal cannot go on without it.
    is_pressed: bool,
    /// Another index is being built in its place: nothing of this one is written any more.
    abandoned: bool,
    /// Everything up to here is found, in a table or in a run.
    reaches: Position,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    /// What its keys are made with: an index that was built anew has another.
    seed: (i64, i64),
    size: IndexSize,
    space: Space,
    health: StoreHealth,
    /// Which file the writer opened; absent where it is only read.
    identity: Mutex<Option<FileIdentity>>,
    /// What in it cannot be read: it has to be rebuilt.
    damaged: OnceLock<String>,
    /// Nobody else writes the index, so what cannot be read in it is damaged.
    writes: AtomicBool,
    tables: Mutex<Tables>,
    changed: Condvar,
    runs: Mutex<Arc<Vec<Arc<Run>>>>,
    readers: Mutex<Vec<Connection>>,
}

/// Look-ups and snapshots.
#[derive(Debug)]
pub(crate) struct Index {
    hasher: Hasher,
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Index {
    /// Opens or builds the index of a journal whose head is at `head`.
    pub(super) fn open(dir: &Path, journal: &JournalFile, head: Position, around: &Surroundings) -> Result<Self, StoreError> {
        let path = dir.join("index.sqlite");
        let marker = dir.join(DAMAGED);
        let start = || {
            let connection = file::open(&path)?;
            let index = Self::start(&path, &connection, journal, around)?;
            snapshots::drop_foreign(&connection, journal);
            let upkeep = Upkeep::new(index.shared.clone(), connection)?;
            Ok((index, upkeep))
        };
        let (index, upkeep) = match start() {
            Ok(started) if !marker.exists() => started,
            Err(error) if !is_damage(&error) => return Err(failed("cannot open index.sqlite", error)),
            damaged => {
                // Derived data: whatever is wrong with it is not worth an error.
                let reason = damaged.err().map(|error| error.to_string());
                tracing::warn!(path = %path.display(), reason, "the index is damaged and is built again");
                remove(&path);
                let started = start().map_err(|error| failed("cannot build index.sqlite", error))?;
                // What is not there needs no removing.
                let _ = std::fs::remove_file(&marker);
                started
            }
        };
        index.shared.writes.store(true, Ordering::Relaxed);
        *index.shared.identity.lock().unwrap_or_else(PoisonError::into_inner) = FileIdentity::of(&path).ok();
        let thread = std::thread::Builder::new().name("cauri-index".into()).spawn(move || upkeep.work());
        let thread = thread.map_err(|error| failed("cannot start the index thread", error))?;
        *index.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread);
        index.catch_up(journal, head)?;
        Ok(index)
    }

    /// Opens the index beside a process that writes it; what it lacks is read from the journal.
    pub(super) fn open_read_only(dir: &Path, journal: &JournalFile, head: Position, around: &Surroundings) -> Result<Self, StoreError> {
        let path = dir.join("index.sqlite");
        let started = open_read_only(&path).and_then(|connection| Self::start(&path, &connection, journal, around));
        // Not there, or of no use: everything from the journal.
        let index = started.unwrap_or_else(|_| Self::without_runs(&path, random_seed(), around));
        index.catch_up(journal, head)?;
        Ok(index)
    }

    /// Takes up what is on disk, if it is whole and belongs to this history of the journal.
    fn start(path: &Path, connection: &Connection, journal: &JournalFile, around: &Surroundings) -> rusqlite::Result<Self> {
        let index = Self::without_runs(path, seed_of(connection)?, around);
        let (indexed_to, root) = indexed_to(connection)?;
        check_history(journal, indexed_to, root)?;
        *index.shared.runs() = Arc::new(run::load(connection)?);
        index.shared.tables().reaches = indexed_to;
        Ok(index)
    }

    fn without_runs(path: &Path, seed: (i64, i64), around: &Surroundings) -> Self {
        let Surroundings { size, space, health } = around.clone();
        let shared = Shared {
            path: path.to_owned(),
            seed,
            size,
            space,
            health,
            identity: Mutex::default(),
            damaged: OnceLock::new(),
            writes: AtomicBool::new(false),
            tables: Mutex::default(),
            changed: Condvar::new(),
            runs: Mutex::default(),
            readers: Mutex::default(),
        };
        Self { hasher: Hasher::new(seed, size.key_bits), shared: Arc::new(shared), thread: Mutex::default() }
    }

    /// Reads the keys of the journal's tail: what a crash forgot, or what another process appended.
    pub(super) fn catch_up(&self, journal: &JournalFile, head: Position) -> Result<(), StoreError> {
        let mut next = self.shared.tables().reaches.next();
        let mut last_command: Option<Metadata> = None;
        while next <= head {
            let stored = journal.read_batch(next)?.ok_or_else(|| missing(next))?;
            let batch = stored.check()?;
            // All keys of a batch or none: a table that ends inside a batch would note an end that it has not reached.
            let mut keys = Vec::with_capacity(2 * batch.records().len());
            for record in batch.records().filter(|record| record.position() >= next) {
                let envelope = record.envelope()?;
                keys.push((self.hasher.stream(&envelope.stream), record.position()));
                if last_command.as_ref().is_none_or(|last| !envelope.metadata.is_same_command(last)) {
                    keys.push((self.hasher.command(&envelope.metadata), record.position()));
                    last_command = Some(envelope.metadata);
                }
            }
            self.make_room(batch.records().len())?;
            let mut tables = self.shared.tables();
            let table = tables.active.get_or_insert_with(|| Table::with_room(self.shared.size.keys_in_memory));
            for (key, position) in keys {
                table.insert(key, position);
            }
            // A frame without a root cannot be told from another history's: then the index is built again.
            table.last = Head { position: batch.last(), root: batch.root().unwrap_or(Hash([0; 32])) };
            tables.reaches = batch.last();
            next = batch.last().next();
        }
        Ok(())
    }

    /// Everything up to here is found.
    fn reaches(&self) -> Position {
        self.shared.tables().reaches
    }

    /// What in it cannot be read.
    fn damage(&self) -> Option<&str> {
        self.shared.damaged.get().map(String::as_str)
    }

    /// Whether something in it cannot be read.
    pub(super) fn is_damaged(&self) -> bool {
        self.damage().is_some()
    }

    /// Looks whether the file at its path is still the one that was opened, and notes damage if it is not.
    pub(super) fn check_identity(&self) {
        let opened = *self.shared.identity.lock().unwrap_or_else(PoisonError::into_inner);
        if opened.is_some() && !self.is_damaged() && FileIdentity::of(&self.shared.path).ok() != opened {
            self.shared.note_damage(&damage("index.sqlite was removed or replaced while it was open"));
        }
    }

    /// Ends the thread that writes it. It still answers from memory and through connections that are open.
    fn abandon(&self) {
        self.shared.tables().abandoned = true;
        self.shared.changed.notify_all();
        self.join();
    }

    fn join(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // A panic of the thread was reported when it happened.
            let _ = thread.join();
        }
    }

    fn writes(&self) -> bool {
        self.shared.writes.load(Ordering::Relaxed)
    }

    /// Waits until the keys of `records` more records fit into memory.
    pub(super) fn make_room(&self, records: usize) -> Result<(), StoreError> {
        if !self.writes() {
            return Ok(());
        }
        let mut tables = self.shared.tables();
        let most = self.shared.size.keys_in_memory;
        let exceeds = |tables: &Tables, most: usize| {
            tables.active.as_ref().is_some_and(|table| table.pairs.len() + 2 * records > most && !table.pairs.is_empty())
        };
        while exceeds(&tables, most) {
            // The journal goes on while the index waits: the keys stay in memory, as far as it suffices.
            if (tables.paused || tables.abandoned) && !exceeds(&tables, STRETCH * most) {
                return Ok(());
            }
            if tables.abandoned {
                return Err(failed("the index takes no more keys", "it is being rebuilt"));
            }
            if tables.paused && !tables.is_pressed {
                tables.is_pressed = true;
                self.shared.changed.notify_all();
            }
            let has_ended = self.thread.lock().unwrap_or_else(PoisonError::into_inner).as_ref().is_none_or(JoinHandle::is_finished);
            if has_ended {
                self.shared.health.index_write_failed("its thread has ended");
                return Err(failed("the index cannot be written", "its thread has ended"));
            }
            if let Some(reason) = &tables.broken {
                self.shared.health.index_write_failed(reason);
                return Err(failed("the index cannot be written", reason));
            }
            if tables.flushing.is_none() {
                tables.flushing = tables.active.take().map(Arc::new);
                self.shared.changed.notify_all();
            } else {
                tables = self.shared.changed.wait_timeout(tables, RETRY).unwrap_or_else(PoisonError::into_inner).0;
            }
        }
        Ok(())
    }

    /// Adds the keys of a batch that is durable.
    pub(super) fn insert(&self, batch: &Batch) {
        let streams = batch.streams().map(|(position, stream)| (self.hasher.stream(&stream), position));
        let commands = batch.commands().map(|(position, metadata)| (self.hasher.command(metadata), position));
        // Before the lock, for which whoever looks something up waits.
        let keys: Vec<(u64, Position)> = streams.chain(commands).collect();
        let mut tables = self.shared.tables();
        if tables.reaches >= batch.head().position {
            // An index that took another's place has read the batch from the journal.
            return;
        }
        let table = tables.active.get_or_insert_with(|| Table::with_room(self.shared.size.keys_in_memory));
        for some in keys.chunks(TOUCHED_AT_ONCE) {
            table.touch(some);
            for (key, position) in some {
                table.insert(*key, *position);
            }
        }
        table.last = batch.head();
        tables.reaches = batch.head().position;
    }

    /// Makes this index's keys of ids.
    pub(super) fn hasher(&self) -> &Hasher {
        &self.hasher
    }

    /// Positions that may stand under a key.
    pub(super) fn candidates(&self, key: u64) -> Result<Vec<Position>, StoreError> {
        Ok(self.candidates_of(&[key])?.into_iter().map(|(_, position)| position).collect())
    }

    /// For each of many keys whether something may stand under it; `false` is certain. Answered from memory.
    pub(super) fn may_hold(&self, keys: &[u64]) -> Vec<bool> {
        // Tables before runs, as for the positions.
        let (mut found, runs) = {
            let tables = self.shared.tables();
            let mut found = vec![false; keys.len()];
            for table in tables.active.iter().chain(tables.flushing.as_deref()) {
                // Each is a miss in a large table: one after another without anything between, many are on their way at once.
                for (found, key) in found.iter_mut().zip(keys) {
                    *found |= table.find(*key).next().is_some();
                }
            }
            (found, self.shared.runs().clone())
        };
        for run in runs.iter() {
            // Filter by filter, so that each stays in the processor's cache.
            for (found, key) in found.iter_mut().zip(keys) {
                *found = *found || run.may_have(*key);
            }
        }
        found
    }

    /// For each of many keys the positions that may stand under it, as (index of the key, position).
    pub(super) fn candidates_of(&self, keys: &[u64]) -> Result<Vec<(usize, Position)>, StoreError> {
        let mut found = Vec::new();
        let runs = {
            // Tables before runs: what is on its way from one to the other is seen at least once.
            let tables = self.shared.tables();
            let in_memory = tables.active.iter().chain(tables.flushing.as_deref());
            for table in in_memory {
                for (index, key) in keys.iter().enumerate() {
                    found.extend(table.find(*key).map(|position| (index, position)));
                }
            }
            self.shared.runs().clone()
        };
        let in_memory = found.len();
        let mut runs = runs;
        loop {
            let failure = match self.shared.find_in_runs(&runs, keys, &mut found) {
                Ok(()) => return Ok(found),
                Err(error) => error,
            };
            if self.writes() {
                return Err(failure);
            }
            // Perhaps the process that writes has merged these runs away: then look into those that it has now.
            let loaded = self.shared.connect().and_then(|connection| run::load(&connection));
            let loaded = Arc::new(loaded.map_err(|error| failed("cannot read the index", error))?);
            if loaded.iter().map(|run| run.number).eq(runs.iter().map(|run| run.number)) {
                return Err(failure);
            }
            *self.shared.runs() = loaded.clone();
            runs = loaded;
            found.truncate(in_memory);
        }
    }

    /// Keeps a snapshot and drops old ones.
    pub(super) fn save_snapshot(&self, snapshot: &Snapshot) -> Result<(), StoreError> {
        self.shared.space.beyond_reserve().map_err(|shortage| failed("the snapshot is not kept", shortage))?;
        let save = || {
            let mut connection = open_beside(&self.shared.path)?;
            snapshots::save(&mut connection, snapshot)
        };
        save().map_err(|error: rusqlite::Error| failed("cannot keep the snapshot", error))
    }

    /// The newest snapshot whose bytes are whole.
    pub(super) fn latest_snapshot(&self) -> Result<Option<Snapshot>, StoreError> {
        // A snapshot is a cache: one that cannot be read is one that is not there.
        Ok(self.shared.read(snapshots::latest).unwrap_or_default())
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        // The thread's connection closes last, so that it copies the log into the database.
        self.shared.readers.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.shared.tables().stopping = true;
        self.shared.changed.notify_all();
        self.join();
    }
}

/// Whether the index was built of this history of the journal.
fn check_history(journal: &JournalFile, indexed_to: Position, root: i64) -> rusqlite::Result<()> {
    if indexed_to == Position::ZERO {
        return Ok(());
    }
    let journals = journal.root_at(indexed_to).map_err(|error| damage(&error.to_string()))?;
    if journals.map(|root| cut(&root)) != Some(root) {
        return Err(damage("it belongs to another history of the journal"));
    }
    Ok(())
}

impl Shared {
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn runs(&self) -> MutexGuard<'_, Arc<Vec<Arc<Run>>>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<T>(&self, with: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let idle = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => {
                self.connect().inspect_err(|error| self.note_damage(error)).map_err(|error| failed("cannot open index.sqlite", error))?
            }
        };
        let answer = with(&connection).map_err(|error| failed("cannot read the index", error));
        super::keep(&self.readers, connection);
        answer
    }

    /// A connection to the same index as before. Another that stands in its place by now would not find what is there.
    fn connect(&self) -> rusqlite::Result<Connection> {
        let connection = open_read_only(&self.path).map_err(|error| match error.sqlite_error_code() {
            Some(ErrorCode::CannotOpen) if !self.path.exists() => damage("index.sqlite was removed while it was open"),
            _ => error,
        })?;
        if seed_of(&connection)? != self.seed {
            return Err(damage("it was built anew since; open the journal again"));
        }
        Ok(connection)
    }

    fn find_in_runs(&self, runs: &[Arc<Run>], keys: &[u64], found: &mut Vec<(usize, Position)>) -> Result<(), StoreError> {
        for run in runs {
            for (index, key) in keys.iter().enumerate() {
                if run.may_have(*key) {
                    found.extend(self.find_in_run(run, *key)?.into_iter().map(|position| (index, Position::new(position))));
                }
            }
        }
        Ok(())
    }

    /// A chunk that cannot be read is never taken for one without the key: that would let a command happen twice.
    fn find_in_run(&self, run: &Run, key: u64) -> Result<Vec<u64>, StoreError> {
        self.read(|connection| run.find(connection, key).inspect_err(|error| self.note_damage(error)))
    }

    /// Has the index rebuilt, if the error says that it is damaged and nobody else writes it.
    fn note_damage(&self, error: &rusqlite::Error) {
        if is_damage(error) && self.writes.load(Ordering::Relaxed) && self.damaged.set(error.to_string()).is_ok() {
            tracing::error!(%error, path = %self.path.display(), "the index is damaged");
            // For the next start, should this process end before the index is rebuilt. Without it the damage is met again.
            let _ = open_private(&self.path.with_file_name(DAMAGED)).and_then(|mut note| note.write_all(error.to_string().as_bytes()));
        }
    }
}
