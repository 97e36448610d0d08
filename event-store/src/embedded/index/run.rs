//! Sorted runs of keys: chunks on disk, and in memory the first key of each chunk and a Bloom filter.

use std::sync::Arc;

use cauri_event_schemas::Position;
use fastbloom::BloomFilter;
use rusqlite::{Connection, OptionalExtension, params};

use super::file::{check_manifest, damage};

/// Bits of filter for a key: seven false answers in a hundred thousand. Each of a dozen runs is asked, and a false answer sends a
/// request that could be decided at once to be loaded for.
const FILTER_BITS_A_KEY: usize = 24;
const FILTER_HASHES: u32 = 7;

/// A run, as far as it is kept in memory.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) number: i64,
    pub(super) level: i64,
    /// The first key of each chunk.
    first_keys: Vec<u64>,
    filter: BloomFilter,
}

impl Run {
    pub(super) fn may_have(&self, key: u64) -> bool {
        self.filter.contains_hash(key)
    }

    pub(super) fn chunks(&self) -> usize {
        self.first_keys.len()
    }

    /// The positions under a key.
    pub(super) fn find(&self, connection: &Connection, key: u64) -> rusqlite::Result<Vec<u64>> {
        let Some(chunk) = self.chunk_of(key) else { return Ok(Vec::new()) };
        let pairs = read_chunk(connection, chunk_id(self.number, chunk))?;
        Ok(pairs_of(&pairs).filter(|pair| pair.0 == key).map(|pair| pair.1).collect())
    }

    /// The first key of the chunk that comes so many after the one where `key` stands or would stand.
    pub(super) fn boundary_after(&self, key: u64, chunks: usize) -> Option<u64> {
        self.first_keys.get(self.chunk_of(key).unwrap_or(0) + chunks).copied()
    }

    /// Adds the pairs whose keys are at least `from` and less than `until`.
    pub(super) fn read_between(
        &self,
        connection: &Connection,
        from: u64,
        until: Option<u64>,
        pairs: &mut Vec<(u64, u64)>,
    ) -> rusqlite::Result<()> {
        let is_before_end = |key: u64| until.is_none_or(|until| key < until);
        let behind_last = self.first_keys.partition_point(|key| is_before_end(*key));
        for chunk in self.chunk_of(from).unwrap_or(0)..behind_last {
            let chunk = read_chunk(connection, chunk_id(self.number, chunk))?;
            pairs.extend(pairs_of(&chunk).filter(|(key, _)| *key >= from && is_before_end(*key)));
        }
        Ok(())
    }

    /// Whether a chunk is what was written, in order, where its first key says, and names no position beyond `reaches`.
    pub(super) fn check_chunk(&self, connection: &Connection, chunk: usize, reaches: Position) -> rusqlite::Result<()> {
        let bytes = read_chunk(connection, chunk_id(self.number, chunk))?;
        let first = pairs_of(&bytes).next().map(|pair| pair.0);
        if first.is_none() || first != self.first_keys.get(chunk).copied() {
            return Err(damage("a chunk of the index begins with another key than its run says"));
        }
        let next = self.first_keys.get(chunk + 1).copied();
        let mut before = 0;
        for (key, position) in pairs_of(&bytes) {
            if key < before || next.is_some_and(|next| key >= next) {
                return Err(damage("the keys of a chunk of the index are not in order"));
            }
            if !self.may_have(key) {
                return Err(damage("the filter of a run does not know a key of the run"));
            }
            if position == 0 || position > reaches.get() {
                return Err(damage("a chunk of the index leads beyond what is indexed"));
            }
            before = key;
        }
        Ok(())
    }

    fn chunk_of(&self, key: u64) -> Option<usize> {
        self.first_keys.partition_point(|first| *first <= key).checked_sub(1)
    }
}

/// Writes a run, in as many steps as its writer likes: before it is finished, nobody knows of it.
pub(super) struct RunWriter {
    run: Run,
    keys_a_chunk: usize,
    chunk: Vec<u8>,
    previous: Option<u64>,
}

impl RunWriter {
    pub(super) fn new(number: i64, level: i64, keys: usize, keys_a_chunk: usize) -> Self {
        let filter = BloomFilter::with_num_bits((keys * FILTER_BITS_A_KEY).max(64)).hashes(FILTER_HASHES);
        let run = Run { number, level, first_keys: Vec::with_capacity(keys / keys_a_chunk + 1), filter };
        Self { run, keys_a_chunk, chunk: Vec::with_capacity(16 * (keys_a_chunk + 8)), previous: None }
    }

    pub(super) fn number(&self) -> i64 {
        self.run.number
    }

    /// Appends pairs, sorted, none before those that are there; equal keys stay in one chunk.
    pub(super) fn append(&mut self, connection: &Connection, pairs: &[(u64, u64)]) -> rusqlite::Result<()> {
        for (key, position) in pairs {
            if self.chunk.len() >= 16 * self.keys_a_chunk && self.previous != Some(*key) {
                self.write_chunk(connection)?;
            }
            if self.chunk.is_empty() {
                self.run.first_keys.push(*key);
            }
            self.chunk.extend_from_slice(&key.to_be_bytes());
            self.chunk.extend_from_slice(&position.to_be_bytes());
            self.run.filter.insert_hash(*key);
            self.previous = Some(*key);
        }
        Ok(())
    }

    /// Writes what is left, and what makes the run known.
    pub(super) fn finish(mut self, connection: &Connection) -> rusqlite::Result<Run> {
        if !self.chunk.is_empty() {
            self.write_chunk(connection)?;
        }
        let run = self.run;
        let first_keys: Vec<u8> = run.first_keys.iter().flat_map(|key| key.to_be_bytes()).collect();
        let filter: Vec<u8> = run.filter.as_slice().iter().flat_map(|bits| bits.to_be_bytes()).collect();
        connection.execute(
            "INSERT INTO runs (run, level, checksum, first_keys, filter) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![run.number, run.level, checksum_of_run(&first_keys, &filter), first_keys, filter],
        )?;
        Ok(run)
    }

    fn write_chunk(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let id = chunk_id(self.run.number, self.run.first_keys.len() - 1);
        let checksum = checksum_of_chunk(id, &self.chunk);
        self.chunk.extend_from_slice(&checksum.to_be_bytes());
        connection.prepare_cached("INSERT INTO chunks VALUES (?1, ?2)")?.execute(params![id, self.chunk])?;
        self.chunk.clear();
        Ok(())
    }
}

/// The runs of the index.
pub(super) fn load(connection: &Connection) -> rusqlite::Result<Vec<Arc<Run>>> {
    // One reading of everything: another process may be writing runs.
    let transaction = connection.unchecked_transaction()?;
    load_in(&transaction)
}

/// The same in a transaction that the caller has begun.
pub(super) fn load_in(connection: &Connection) -> rusqlite::Result<Vec<Arc<Run>>> {
    check_manifest(connection)?;
    let mut select = connection.prepare("SELECT run, level, first_keys, filter, checksum FROM runs ORDER BY run")?;
    let words = |bytes: Vec<u8>| -> Vec<u64> { bytes.chunks_exact(8).map(word).collect() };
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

/// The runs of which there are chunks, finished or not, in order.
pub(super) fn with_chunks(connection: &Connection) -> rusqlite::Result<Vec<i64>> {
    let mut runs: Vec<i64> = Vec::new();
    let mut select = connection.prepare("SELECT min(chunk) FROM chunks WHERE chunk > ?1")?;
    let mut next_after = |chunk: i64| select.query_row([chunk], |row| row.get::<_, Option<i64>>(0));
    while let Some(chunk) = next_after(runs.last().copied().map_or(-1, last_chunk_id))? {
        runs.push(chunk >> 32);
    }
    Ok(runs)
}

/// Deletes so many chunks of a run; `false` if none are left.
pub(super) fn delete_chunks(connection: &Connection, run: i64, most: usize) -> rusqlite::Result<bool> {
    let last = last_chunk_id(run);
    let first: Option<i64> = connection
        .prepare_cached("SELECT chunk FROM chunks WHERE chunk BETWEEN ?1 AND ?2 ORDER BY chunk LIMIT 1")?
        .query_row([chunk_id(run, 0), last], |row| row.get(0))
        .optional()?;
    let Some(first) = first else { return Ok(false) };
    let until = last.min(first.saturating_add(most as i64 - 1));
    connection.prepare_cached("DELETE FROM chunks WHERE chunk BETWEEN ?1 AND ?2")?.execute([first, until])?;
    Ok(until < last)
}

fn chunk_id(run: i64, chunk: usize) -> i64 {
    (run << 32) | chunk as i64
}

fn last_chunk_id(run: i64) -> i64 {
    chunk_id(run, u32::MAX as usize)
}

/// The pairs of a chunk, if they are what was written.
fn read_chunk(connection: &Connection, chunk: i64) -> rusqlite::Result<Vec<u8>> {
    let mut select = connection.prepare_cached("SELECT pairs FROM chunks WHERE chunk = ?1")?;
    let mut pairs: Vec<u8> = select.query_row([chunk], |row| row.get(0))?;
    let checksum = pairs.split_off(pairs.len().saturating_sub(4));
    if checksum != checksum_of_chunk(chunk, &pairs).to_be_bytes() {
        return Err(damage("a chunk of the index is not what was written"));
    }
    Ok(pairs)
}

fn pairs_of(bytes: &[u8]) -> impl Iterator<Item = (u64, u64)> + '_ {
    bytes.chunks_exact(16).map(|pair| (word(&pair[..8]), word(&pair[8..])))
}

fn word(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// Of the pairs and where they stand: SQLite finds another chunk where a bit of a row's number has changed.
fn checksum_of_chunk(chunk: i64, pairs: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&chunk.to_be_bytes());
    hasher.update(pairs);
    hasher.finalize()
}

fn checksum_of_run(first_keys: &[u8], filter: &[u8]) -> i64 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(first_keys);
    hasher.update(filter);
    i64::from(hasher.finalize())
}
