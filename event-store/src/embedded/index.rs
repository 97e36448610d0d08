//! `index.sqlite`: look-ups by stream and command as sorted runs, and snapshots. All derived from the journal.
//!
//! A key is 64 bits of a hash; it leads to candidate positions, which the caller confirms by reading the record.
//! New keys gather in memory and answer from there; a thread of its own writes them as a sorted run when there
//! are enough, and merges runs of one size into one of the next. Each run has a Bloom filter in memory, so a key
//! that was never written is, 99 times of 100, answered without touching the disk. What a crash forgets is read
//! again from the journal's tail.

use std::cell::Cell;
use std::hash::Hasher as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use cauri_domain::ids::CommandId;
use cauri_event_schemas::{Position, StreamId};
use fastbloom::BloomFilter;
use hashbrown::HashTable;
use itertools::Itertools;
use rusqlite::{Connection, ErrorCode, OptionalExtension, TransactionBehavior, params};
use siphasher::sip::SipHasher13;

use super::failed;
use super::journal::JournalFile;
use crate::batch::Batch;
use crate::merkle::Hash;
use crate::port::{Head, Lookup, Snapshot, StoreError};

/// Sizes of the index's parts. Only tests choose other than the default: small ones, to reach every stage with few records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexSize {
    /// Keys that gather in memory before they become a run.
    pub keys_in_memory: usize,
    /// Keys to one row of a run.
    pub keys_a_chunk: usize,
    /// Runs of one level that are merged into one of the next.
    pub fan_in: usize,
    /// Bits that tell keys apart; with few of them most keys collide.
    pub key_bits: u32,
}

impl Default for IndexSize {
    /// Two tables of this size take 36 MiB.
    fn default() -> Self {
        Self { keys_in_memory: 900_000, keys_a_chunk: 256, fan_in: 8, key_bits: 64 }
    }
}

/// Runs beyond this level stay as they are: merging them would take longer than it saves.
const TOP_LEVEL: i64 = 3;
/// Bits of filter for a key: one false answer in a hundred.
const FILTER_BITS_A_KEY: usize = 10;
const FILTER_HASHES: u32 = 7;
/// How long to wait before a run that could not be written is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// Snapshots that are kept.
const SNAPSHOTS_KEPT: i64 = 2;
/// How often a reader takes up the runs anew for one look-up: merges of the process beside it are minutes apart.
const RELOADS: usize = 100;
/// A file of this name says that the index was found damaged: the next start builds it again.
const DAMAGED: &str = "index.damaged";

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS runs (run INTEGER PRIMARY KEY, level INTEGER NOT NULL, last INTEGER NOT NULL,
        first_keys BLOB NOT NULL, filter BLOB NOT NULL, checksum INTEGER NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS chunks (chunk INTEGER PRIMARY KEY, pairs BLOB NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS snapshots (position INTEGER PRIMARY KEY, root BLOB NOT NULL, checksum INTEGER NOT NULL, state BLOB NOT NULL) STRICT;
";

/// Makes keys of ids. Keyed, because callers choose the ids and could make an unkeyed hash collide at will.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hasher {
    sip: SipHasher13,
    mask: u64,
}

impl Hasher {
    fn new(seed: (i64, i64), key_bits: u32) -> Self {
        let mask = u64::MAX.checked_shr(u64::BITS - key_bits).unwrap_or(u64::MAX);
        Self { sip: SipHasher13::new_with_keys(seed.0 as u64, seed.1 as u64), mask }
    }

    /// The key under which a stream's records are found.
    pub(super) fn stream(&self, stream: &StreamId) -> u64 {
        match stream {
            StreamId::Entry(id) => self.key(b'e', id.as_bytes()),
            StreamId::Account(address) => self.key(b'a', address.as_str().as_bytes()),
            StreamId::Command(id) => self.key(b'r', id.as_str().as_bytes()),
            StreamId::Journal(name) => self.key(b'j', name.as_str().as_bytes()),
        }
    }

    /// The key under which a command's first record is found.
    pub(super) fn command(&self, command: &CommandId) -> u64 {
        self.key(b'c', command.as_str().as_bytes())
    }

    /// The key of a look-up.
    pub(super) fn lookup(&self, lookup: &Lookup) -> u64 {
        match lookup {
            Lookup::Command(command) => self.command(command),
            Lookup::Stream(stream) => self.stream(stream),
        }
    }

    fn key(&self, kind: u8, id: &[u8]) -> u64 {
        let mut hasher = self.sip;
        hasher.write_u8(kind);
        hasher.write(id);
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

    fn find(&self, key: u64) -> impl Iterator<Item = Position> + '_ {
        self.pairs.iter_hash(key).filter(move |pair| pair.0 == key).map(|pair| Position::new(pair.1))
    }
}

/// A sorted run on disk, as far as it is kept in memory.
#[derive(Debug)]
struct Run {
    number: i64,
    level: i64,
    /// The first key of each chunk.
    first_keys: Vec<u64>,
    filter: BloomFilter,
}

impl Run {
    fn chunk_of(&self, key: u64) -> Option<i64> {
        self.first_keys.partition_point(|first| *first <= key).checked_sub(1).map(|chunk| chunk_id(self.number, chunk))
    }
}

fn chunk_id(run: i64, chunk: usize) -> i64 {
    (run << 32) | chunk as i64
}

#[derive(Debug, Default)]
struct Tables {
    active: Option<Table>,
    /// Full, and on its way into a run.
    flushing: Option<Arc<Table>>,
    stopping: bool,
    /// Why the table that is to become a run cannot be written; appends fail rather than fill the memory.
    broken: Option<String>,
    /// Everything up to here is found, in a table or in a run.
    reaches: Position,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    /// What its keys are made with: an index that was built anew has another.
    seed: (i64, i64),
    size: IndexSize,
    /// Nobody else writes the index, so what cannot be read in it is damaged.
    writes: AtomicBool,
    tables: Mutex<Tables>,
    changed: Condvar,
    runs: Mutex<Arc<Vec<Arc<Run>>>>,
    readers: Mutex<Vec<Connection>>,
}

/// Look-ups and snapshots.
#[derive(Debug)]
pub(super) struct Index {
    hasher: Hasher,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Index {
    /// Opens or builds the index of a journal whose head is at `head`.
    pub(super) fn open(dir: &Path, journal: &JournalFile, head: Position, size: IndexSize) -> Result<Self, StoreError> {
        let path = dir.join("index.sqlite");
        let marker = dir.join(DAMAGED);
        let start = || connect(&path).and_then(|connection| Ok((Self::start(&path, &connection, journal, size)?, connection)));
        let (mut index, connection) = match start() {
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
        let shared = index.shared.clone();
        shared.writes.store(true, Ordering::Relaxed);
        let thread = std::thread::Builder::new().name("cauri-index".into()).spawn(move || shared.work(connection));
        index.thread = Some(thread.map_err(|error| failed("cannot start the index thread", error))?);
        index.catch_up(journal, head)?;
        Ok(index)
    }

    /// Opens the index beside a process that writes it; what it lacks is read from the journal.
    pub(super) fn open_read_only(dir: &Path, journal: &JournalFile, head: Position, size: IndexSize) -> Result<Self, StoreError> {
        let path = dir.join("index.sqlite");
        let started = read_connection(&path).and_then(|connection| Self::start(&path, &connection, journal, size));
        // Not there, or of no use: everything from the journal.
        let index = started.unwrap_or_else(|_| Self::without_runs(&path, random_seed(), size));
        index.catch_up(journal, head)?;
        Ok(index)
    }

    /// Takes up what is on disk, if it is whole and belongs to this history of the journal.
    fn start(path: &Path, connection: &Connection, journal: &JournalFile, size: IndexSize) -> rusqlite::Result<Self> {
        let index = Self::without_runs(path, seed_of(connection)?, size);
        let (indexed_to, root) = indexed_to(connection)?;
        if indexed_to > Position::ZERO {
            let stored = journal.read_batch(indexed_to).map_err(|error| damage(&error.to_string()))?;
            let same_history = stored.is_some_and(|batch| batch.last == indexed_to && batch.root.map(|root| cut(&root)) == Some(root));
            if !same_history {
                return Err(damage("it belongs to another history of the journal"));
            }
        }
        *index.shared.runs() = Arc::new(load_runs(connection)?);
        index.shared.tables().reaches = indexed_to;
        Ok(index)
    }

    fn without_runs(path: &Path, seed: (i64, i64), size: IndexSize) -> Self {
        let shared = Shared {
            path: path.to_owned(),
            seed,
            size,
            writes: AtomicBool::new(false),
            tables: Mutex::default(),
            changed: Condvar::new(),
            runs: Mutex::default(),
            readers: Mutex::default(),
        };
        Self { hasher: Hasher::new(seed, size.key_bits), shared: Arc::new(shared), thread: None }
    }

    /// Reads the keys of the journal's tail: what a crash forgot, or what another process appended.
    pub(super) fn catch_up(&self, journal: &JournalFile, head: Position) -> Result<(), StoreError> {
        let mut next = self.shared.tables().reaches.next();
        let mut last_command: Option<CommandId> = None;
        while next <= head {
            let Some(stored) = journal.read_batch(next)? else { break };
            let batch = stored.check()?;
            self.make_room(batch.records().len())?;
            let mut tables = self.shared.tables();
            let table = tables.active.get_or_insert_with(|| Table::with_room(self.shared.size.keys_in_memory));
            for record in batch.records().filter(|record| record.position() >= next) {
                let envelope = record.envelope()?;
                table.insert(self.hasher.stream(&envelope.stream), record.position());
                if last_command.as_ref() != Some(&envelope.metadata.command) {
                    table.insert(self.hasher.command(&envelope.metadata.command), record.position());
                    last_command = Some(envelope.metadata.command);
                }
            }
            // A frame without a root cannot be told from another history's: then the index is built again.
            table.last = Head { position: batch.last(), root: batch.root().unwrap_or(Hash([0; 32])) };
            tables.reaches = batch.last();
            next = batch.last().next();
        }
        Ok(())
    }

    /// Waits until the keys of `records` more records fit into memory.
    pub(super) fn make_room(&self, records: usize) -> Result<(), StoreError> {
        let mut tables = self.shared.tables();
        let full = |tables: &Tables| {
            let most = self.shared.size.keys_in_memory;
            tables.active.as_ref().is_some_and(|table| table.pairs.len() + 2 * records > most && !table.pairs.is_empty())
        };
        while full(&tables)
            && let Some(thread) = &self.thread
        {
            if thread.is_finished() {
                return Err(failed("the index cannot be written", "its thread has ended"));
            }
            if let Some(reason) = &tables.broken {
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
        let mut tables = self.shared.tables();
        let table = tables.active.get_or_insert_with(|| Table::with_room(self.shared.size.keys_in_memory));
        for (position, stream) in batch.streams() {
            table.insert(self.hasher.stream(stream), position);
        }
        for (position, command) in batch.commands() {
            table.insert(self.hasher.command(command), position);
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
        let mut reloaded = 0;
        loop {
            match self.shared.find_in_runs(&runs, keys, &mut found) {
                // The process that writes has merged runs away: look into those that it has now.
                Err(_) if self.thread.is_none() && reloaded < RELOADS => {
                    let connection = self.shared.connect().and_then(|connection| load_runs(&connection));
                    *self.shared.runs() = Arc::new(connection.map_err(|error| failed("cannot read the index", error))?);
                    runs = self.shared.runs().clone();
                    found.truncate(in_memory);
                    reloaded += 1;
                }
                found_or_not => return found_or_not.map(|()| found),
            }
        }
    }

    /// Keeps a snapshot and drops old ones.
    pub(super) fn save_snapshot(&self, snapshot: &Snapshot) -> Result<(), StoreError> {
        let state = zstd::bulk::compress(&snapshot.state, 1).map_err(|error| failed("cannot pack the snapshot", error))?;
        let save = || -> rusqlite::Result<()> {
            let mut connection = Connection::open(&self.shared.path)?;
            prepare(&connection)?;
            let transaction = connection.transaction()?;
            let position = snapshot.head.position.get() as i64;
            transaction.execute(
                "INSERT OR REPLACE INTO snapshots VALUES (?1, ?2, ?3, ?4)",
                params![position, snapshot.head.root.0, i64::from(crc32fast::hash(&state)), state],
            )?;
            transaction.execute(
                "DELETE FROM snapshots WHERE position NOT IN (SELECT position FROM snapshots ORDER BY position DESC LIMIT ?1)",
                [SNAPSHOTS_KEPT],
            )?;
            transaction.commit()
        };
        save().map_err(|error| failed("cannot keep the snapshot", error))
    }

    /// The newest snapshot whose bytes are whole.
    pub(super) fn latest_snapshot(&self) -> Result<Option<Snapshot>, StoreError> {
        type Row = (i64, Vec<u8>, i64, Vec<u8>);
        let read = |connection: &Connection| -> rusqlite::Result<Vec<Row>> {
            connection
                .prepare("SELECT position, root, checksum, state FROM snapshots ORDER BY position DESC")?
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
                .collect()
        };
        // A snapshot is a cache: one that cannot be read is one that is not there.
        let rows = self.shared.read(read).unwrap_or_default();
        for (position, root, checksum, state) in rows {
            let whole = i64::from(crc32fast::hash(&state)) == checksum;
            let state = zstd::stream::decode_all(state.as_slice());
            if let (true, Ok(state), Some(root)) = (whole, state, Hash::from_slice(&root)) {
                return Ok(Some(Snapshot { head: Head { position: Position::new(position.unsigned_abs()), root }, state }));
            }
            tracing::warn!(position, "a damaged snapshot is passed over");
        }
        Ok(None)
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        self.shared.tables().stopping = true;
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was reported when it happened.
            let _ = thread.join();
        }
    }
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
            None => self.connect().map_err(|error| failed("cannot open index.sqlite", error))?,
        };
        let answer = with(&connection).map_err(|error| failed("cannot read the index", error));
        super::keep(&self.readers, connection);
        answer
    }

    /// A connection to the same index as before. Another that stands in its place by now would not find what is there.
    fn connect(&self) -> rusqlite::Result<Connection> {
        let connection = read_connection(&self.path)?;
        if seed_of(&connection)? != self.seed {
            return Err(damage("it was built anew since; open the journal again"));
        }
        Ok(connection)
    }

    fn find_in_runs(&self, runs: &[Arc<Run>], keys: &[u64], found: &mut Vec<(usize, Position)>) -> Result<(), StoreError> {
        for run in runs {
            for (index, key) in keys.iter().enumerate() {
                if run.filter.contains_hash(*key) {
                    self.find_in_run(run, *key, |position| found.push((index, position)))?;
                }
            }
        }
        Ok(())
    }

    /// A chunk that cannot be read is never taken for one without the key: that would let a command happen twice.
    fn find_in_run(&self, run: &Run, key: u64, mut found: impl FnMut(Position)) -> Result<(), StoreError> {
        let Some(chunk) = run.chunk_of(key) else { return Ok(()) };
        let pairs = self.read(|connection| read_chunk(connection, chunk)).inspect_err(|error| {
            if self.writes.load(Ordering::Relaxed) {
                tracing::error!(%error, path = %self.path.display(), "the index will be built again at the next start");
                // A note for the next start; without it the damage is met again.
                let _ = std::fs::write(self.path.with_file_name(DAMAGED), error.to_string());
            }
        })?;
        for (found_key, position) in pairs_of(&pairs) {
            if found_key == key {
                found(Position::new(position));
            }
        }
        Ok(())
    }

    /// The index thread: writes full tables as runs, merges runs, and writes what is left when the store closes.
    fn work(&self, mut connection: Connection) {
        loop {
            let (table, stopping) = {
                let mut tables = self.tables();
                while tables.flushing.is_none() && !tables.stopping {
                    tables = self.changed.wait(tables).unwrap_or_else(PoisonError::into_inner);
                }
                if tables.flushing.is_none() {
                    tables.flushing = tables.active.take().map(Arc::new);
                }
                (tables.flushing.clone(), tables.stopping)
            };
            if let Some(table) = &table {
                let written = self.write_table(&mut connection, table);
                let mut tables = self.tables();
                match written {
                    Ok(()) => (tables.flushing, tables.broken) = (None, None),
                    Err(error) if !stopping => {
                        // The table stays in memory and answers; appends wait once the next one is full as well.
                        tracing::error!(%error, "the index cannot be written; trying again");
                        tables.broken = Some(error.to_string());
                        self.changed.notify_all();
                        drop(self.changed.wait_timeout(tables, RETRY).unwrap_or_else(PoisonError::into_inner));
                        continue;
                    }
                    Err(error) => {
                        // Nothing is lost: the journal has the keys, and the next start reads them again. No later
                        // table may be written now, because what is before it counts as written too.
                        tracing::error!(%error, "the index was not written");
                        return;
                    }
                }
                self.changed.notify_all();
                drop(tables);
                if let Err(error) = self.merge(&mut connection) {
                    // The runs stay as they are, and are merged with the next ones.
                    tracing::warn!(%error, "index runs were not merged");
                }
            }
            // Stopping, there may be another table behind the one that was being written.
            if stopping && table.is_none() {
                return;
            }
        }
    }

    fn write_table(&self, connection: &mut Connection, table: &Table) -> rusqlite::Result<()> {
        let mut pairs: Vec<(u64, u64)> = table.pairs.iter().copied().collect();
        pairs.sort_unstable();
        let count = pairs.len();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let run = write_run(&transaction, 0, table.last.position, (count, self.size.keys_a_chunk), pairs.into_iter())?;
        let (position, root) = (table.last.position.get() as i64, cut(&table.last.root));
        transaction.execute("INSERT OR REPLACE INTO meta VALUES ('indexed_to', ?1), ('indexed_root', ?2)", [position, root])?;
        write_manifest(&transaction)?;
        transaction.commit()?;
        let mut runs = self.runs();
        *runs = Arc::new(runs.iter().cloned().chain([Arc::new(run)]).collect());
        Ok(())
    }

    fn merge(&self, connection: &mut Connection) -> rusqlite::Result<()> {
        for level in 0..TOP_LEVEL {
            let runs = self.runs().clone();
            let merged: Vec<Arc<Run>> = runs.iter().filter(|run| run.level == level).cloned().collect();
            if merged.len() < self.size.fan_in {
                continue;
            }
            // At once: a snapshot that is kept between a read and the first write here would end the transaction.
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let last: i64 = transaction.query_row("SELECT max(last) FROM runs WHERE level = ?1", [level], |row| row.get(0))?;
            let keys_a_chunk = self.size.keys_a_chunk;
            let count = merged.iter().map(|run| run.first_keys.len() * keys_a_chunk).sum();
            let unreadable = Cell::new(None);
            let pairs = merged.iter().map(|run| chunks_of(&transaction, run, &unreadable)).kmerge();
            let run = write_run(&transaction, level + 1, Position::new(last.unsigned_abs()), (count, keys_a_chunk), pairs)?;
            if let Some(error) = unreadable.into_inner() {
                // Without it the merged run would lack keys: the old runs stay.
                return Err(error);
            }
            for old in &merged {
                transaction.execute("DELETE FROM runs WHERE run = ?1", [old.number])?;
            }
            write_manifest(&transaction)?;
            transaction.commit()?;
            {
                let mut runs = self.runs();
                let kept = runs.iter().filter(|run| run.level != level).cloned();
                *runs = Arc::new(kept.chain([Arc::new(run)]).collect());
            }
            drop(runs);
            // A reader may still look into the old runs for a moment: their rows go once every list with them is let go.
            while merged.iter().any(|run| Arc::strong_count(run) > 1) {
                std::thread::sleep(Duration::from_millis(1));
            }
            for old in merged {
                delete_chunks(connection, old.number)?;
            }
        }
        Ok(())
    }
}

/// Writes sorted pairs as a run; equal keys stay in one chunk.
fn write_run(
    connection: &Connection,
    level: i64,
    last: Position,
    (keys, keys_a_chunk): (usize, usize),
    pairs: impl Iterator<Item = (u64, u64)>,
) -> rusqlite::Result<Run> {
    let number: i64 = connection.query_row("SELECT coalesce(max(chunk) >> 32, 0) + 1 FROM chunks", [], |row| row.get(0))?;
    let mut filter = BloomFilter::with_num_bits((keys * FILTER_BITS_A_KEY).max(64)).hashes(FILTER_HASHES);
    let mut first_keys: Vec<u64> = Vec::with_capacity(keys / keys_a_chunk + 1);
    let mut insert = connection.prepare_cached("INSERT INTO chunks VALUES (?1, ?2)")?;
    let mut insert = |number: usize, chunk: &mut Vec<u8>, run: i64| -> rusqlite::Result<()> {
        let checksum = crc32fast::hash(chunk);
        chunk.extend_from_slice(&checksum.to_be_bytes());
        insert.execute(params![chunk_id(run, number), chunk.as_slice()])?;
        chunk.clear();
        Ok(())
    };
    let mut chunk: Vec<u8> = Vec::with_capacity(16 * (keys_a_chunk + 8));
    let mut previous = None;
    for (key, position) in pairs {
        if chunk.len() >= 16 * keys_a_chunk && previous != Some(key) {
            insert(first_keys.len() - 1, &mut chunk, number)?;
        }
        if chunk.is_empty() {
            first_keys.push(key);
        }
        chunk.extend_from_slice(&key.to_be_bytes());
        chunk.extend_from_slice(&position.to_be_bytes());
        filter.insert_hash(key);
        previous = Some(key);
    }
    if !chunk.is_empty() {
        insert(first_keys.len() - 1, &mut chunk, number)?;
    }
    let first_keys_blob: Vec<u8> = first_keys.iter().flat_map(|key| key.to_be_bytes()).collect();
    let filter_blob: Vec<u8> = filter.as_slice().iter().flat_map(|bits| bits.to_be_bytes()).collect();
    connection.execute(
        "INSERT INTO runs (run, level, last, first_keys, filter, checksum) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![number, level, last.get() as i64, first_keys_blob, filter_blob, checksum_of_run(&first_keys_blob, &filter_blob)],
    )?;
    Ok(Run { number, level, first_keys, filter })
}

/// All pairs of a run in order, chunk by chunk; why one could not be read is left in `unreadable`.
fn chunks_of<'a>(
    connection: &'a Connection,
    run: &'a Run,
    unreadable: &'a Cell<Option<rusqlite::Error>>,
) -> impl Iterator<Item = (u64, u64)> + use<'a> {
    (0..run.first_keys.len()).flat_map(move |chunk| match read_chunk(connection, chunk_id(run.number, chunk)) {
        Ok(pairs) => pairs_of(&pairs).collect::<Vec<_>>(),
        Err(error) => {
            unreadable.set(Some(error));
            Vec::new()
        }
    })
}

/// The pairs of a chunk, if they are what was written.
fn read_chunk(connection: &Connection, chunk: i64) -> rusqlite::Result<Vec<u8>> {
    let mut select = connection.prepare_cached("SELECT pairs FROM chunks WHERE chunk = ?1")?;
    let mut pairs: Vec<u8> = select.query_row([chunk], |row| row.get(0))?;
    let checksum = pairs.split_off(pairs.len().saturating_sub(4));
    if checksum != crc32fast::hash(&pairs).to_be_bytes() {
        return Err(damage("a chunk of the index is not what was written"));
    }
    Ok(pairs)
}

fn checksum_of_run(first_keys: &[u8], filter: &[u8]) -> i64 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(first_keys);
    hasher.update(filter);
    i64::from(hasher.finalize())
}

fn pairs_of(bytes: &[u8]) -> impl Iterator<Item = (u64, u64)> + '_ {
    let number = |bytes: &[u8]| bytes.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    bytes.chunks_exact(16).map(move |pair| (number(&pair[..8]), number(&pair[8..])))
}

fn delete_chunks(connection: &Connection, run: i64) -> rusqlite::Result<usize> {
    connection.execute("DELETE FROM chunks WHERE chunk BETWEEN ?1 AND ?2", [chunk_id(run, 0), chunk_id(run + 1, 0) - 1])
}

/// Notes which runs there are and how their keys are made, so that what is missing is missed.
fn write_manifest(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute("INSERT OR REPLACE INTO meta VALUES ('manifest', ?1)", [manifest(connection)?])?;
    Ok(())
}

fn manifest(connection: &Connection) -> rusqlite::Result<i64> {
    let mut hasher = crc32fast::Hasher::new();
    for key in ["seed_1", "seed_2", "indexed_to", "indexed_root"] {
        hasher.update(&meta(connection, key)?.unwrap_or(0).to_be_bytes());
    }
    let mut select = connection.prepare("SELECT run, level, checksum FROM runs ORDER BY run")?;
    let mut runs = select.query([])?;
    while let Some(run) = runs.next()? {
        for column in 0..3 {
            hasher.update(&run.get::<_, i64>(column)?.to_be_bytes());
        }
    }
    Ok(i64::from(hasher.finalize()))
}

fn load_runs(connection: &Connection) -> rusqlite::Result<Vec<Arc<Run>>> {
    // One reading of everything: another process may be writing runs.
    let transaction = connection.unchecked_transaction()?;
    let connection = &transaction;
    match meta(connection, "manifest")? {
        Some(noted) if noted == manifest(connection)? => {}
        None if meta(connection, "indexed_to")?.is_none() => return Ok(Vec::new()),
        _ => return Err(damage("the index lacks some of its runs")),
    }
    let mut select = connection.prepare("SELECT run, level, first_keys, filter, checksum FROM runs ORDER BY run")?;
    let words = |bytes: Vec<u8>| -> Vec<u64> {
        bytes.chunks_exact(8).map(|word| word.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))).collect()
    };
    let runs = select.query_map([], |row| {
        let (first_keys, filter): (Vec<u8>, Vec<u8>) = (row.get(2)?, row.get(3)?);
        if checksum_of_run(&first_keys, &filter) != row.get::<_, i64>(4)? {
            return Err(damage("a run of the index is not what was written"));
        }
        let filter = words(filter);
        let filter = BloomFilter::from_vec(if filter.is_empty() { vec![u64::MAX] } else { filter }).hashes(FILTER_HASHES);
        let first_keys = words(first_keys);
        if !first_keys.iter().all(|key| filter.contains_hash(*key)) {
            // Written by a version of the filter that places its bits elsewhere: it would deny keys that are there.
            return Err(damage("the filter of a run does not know the run's keys"));
        }
        Ok(Arc::new(Run { number: row.get(0)?, level: row.get(1)?, first_keys, filter }))
    })?;
    runs.collect()
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(Duration::from_secs(30))?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    // Merging runs writes all of them at once; the log does not stay that long.
    connection.pragma_update(None, "journal_size_limit", 16 << 20)?;
    // Derived data: what a crash takes is built again.
    connection.pragma_update(None, "synchronous", "normal")
}

/// Opens the file for writing.
fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    prepare(&connection)?;
    connection.execute_batch(SCHEMA)?;
    let (first, second) = random_seed();
    connection.execute("INSERT OR IGNORE INTO meta VALUES ('seed_1', ?1), ('seed_2', ?2)", [first, second])?;
    // Left behind where a crash came between a merge and its cleaning.
    let newest: i64 = connection.query_row("SELECT coalesce(max(chunk) >> 32, 0) FROM chunks", [], |row| row.get(0))?;
    for run in 1..=newest {
        let known = connection.query_row("SELECT 1 FROM runs WHERE run = ?1", [run], |_| Ok(())).optional()?;
        if known.is_none() {
            delete_chunks(&connection, run)?;
        }
    }
    Ok(connection)
}

fn read_connection(path: &Path) -> rusqlite::Result<Connection> {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY | rusqlite::OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    Ok(connection)
}

/// How far the runs reach, and what is kept of the root there.
fn indexed_to(connection: &Connection) -> rusqlite::Result<(Position, i64)> {
    let position = meta(connection, "indexed_to")?.unwrap_or(0);
    Ok((Position::new(position.unsigned_abs()), meta(connection, "indexed_root")?.unwrap_or(0)))
}

fn meta(connection: &Connection, key: &str) -> rusqlite::Result<Option<i64>> {
    connection.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0)).optional()
}

/// As much of a root as tells one history from another.
fn cut(root: &Hash) -> i64 {
    root.0[..8].iter().fold(0, |number, byte| number << 8 | i64::from(*byte))
}

/// What is in the file is not what was written there.
fn damage(what: &str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Blob, what.into())
}

/// Damage, as opposed to a disk that is full or a file that may not be opened: building again helps against it.
fn is_damage(error: &rusqlite::Error) -> bool {
    // Without a code it is a row that is missing or of another shape; `Unknown` is a table or column that is.
    matches!(error.sqlite_error_code(), None | Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::Unknown))
}

fn random_seed() -> (i64, i64) {
    let (first, second) = uuid::Uuid::new_v4().as_u64_pair();
    (first as i64, second as i64)
}

fn seed_of(connection: &Connection) -> rusqlite::Result<(i64, i64)> {
    let value = |key: &str| connection.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0));
    Ok((value("seed_1")?, value("seed_2")?))
}

fn remove(path: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        let mut file = path.as_os_str().to_owned();
        file.push(suffix);
        // What is not there needs no removing.
        let _ = std::fs::remove_file(PathBuf::from(file));
    }
}
