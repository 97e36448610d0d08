//! The frames of an embedded journal, read straight from `journal.sqlite` as its format document says.
//!
//! The embedded store stops at the first thing that is wrong, as it must. This reader goes on behind it, does
//! not need the look-ups, and leaves unpacking to whoever reads the batch.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cauri_event_schemas::Position;
use cauri_event_store::embedded::{EmbeddedStore, OpenError};
use cauri_event_store::files::{beside, connect_read_only};
use cauri_event_store::{Corruption, Failure, Hash, StoreError, Tree};
use rusqlite::{Connection, ErrorCode, OptionalExtension, Row};

use crate::reading::{self, Body, Fact, RawBatch, ReadBatch, Seed};
use crate::source::{Journal, Piece, Source};

/// How much a journal has stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// Batches; unknown in an export.
    pub batches: Option<u64>,
    /// Bytes of the compressed batches; unknown in an export.
    pub packed_bytes: Option<u64>,
    /// When the first record was written, in microseconds since 1970.
    pub first_at: Option<i64>,
    /// When the last record was written.
    pub last_at: Option<i64>,
}

const COLUMNS: &str = "first, last, root, checksums, body, peaks";
const COLUMNS_OF_FORMAT_1: &str = "first, last, root, checksums, body, NULL";

/// An embedded journal's file, opened for reading beside whoever writes it.
#[derive(Debug)]
pub struct Frames {
    name: String,
    path: PathBuf,
    connection: Connection,
    /// What a frame is read by. Frames of format 1 have no peaks.
    columns: &'static str,
}

impl Frames {
    /// Opens the journal `name` in its directory.
    ///
    /// # Errors
    /// [`OpenError::NotAJournal`] where there is no journal or another thing, and a corruption where a journal's file is
    /// damaged so that nothing in it can be read.
    pub fn open(dir: &Path, name: &str) -> Result<Self, OpenError> {
        EmbeddedStore::identify(dir, name)?;
        let path = dir.join("journal.sqlite");
        let connection = connect(&path).map_err(|error| wrong(Position::new(1), "journal.sqlite cannot be opened", &error))?;
        let mut frames = Self { name: name.to_owned(), path, connection, columns: COLUMNS };
        let format = frames.meta("format_version").map_err(|error| wrong(Position::new(1), "format_version cannot be read", &error))?;
        // `identify` has looked at it: it is a number, and not one of a newer program.
        if format == "1" {
            frames.columns = COLUMNS_OF_FORMAT_1;
        }
        Ok(frames)
    }

    /// Whether the journal has a table of blocks: one that was written before there were blocks has none.
    fn has_blocks(&self) -> rusqlite::Result<bool> {
        self.connection.query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'blocks'", [], |row| Ok(row.get::<_, i64>(0)? == 1))
    }

    /// Whether the file is shorter than it says. SQLite takes what is missing of a page for zeros.
    fn cut_off(&self) -> Option<String> {
        let has_log = std::fs::metadata(beside(&self.path, "-wal")).is_ok_and(|log| log.len() > 0);
        let size = std::fs::metadata(&self.path).ok()?.len();
        let pragma = |name: &str| self.connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0)).ok();
        let stated = u64::try_from(pragma("page_count")?.checked_mul(pragma("page_size")?)?).ok()?;
        // With a log, pages may stand in it alone.
        (!has_log && size < stated).then(|| format!("the file ends after {size} bytes, and its header says that it has {stated}"))
    }

    /// Where a block begins that no frame leads to, if there is one.
    fn blocks_of_no_frame(&self) -> rusqlite::Result<Option<i64>> {
        if !self.has_blocks()? {
            return Ok(None);
        }
        let sql = "SELECT first FROM blocks AS block WHERE NOT EXISTS (
                       SELECT 1 FROM (SELECT last, body FROM frames WHERE first <= block.first ORDER BY first DESC LIMIT 1)
                       WHERE block.last <= last AND length(body) = 0
                   ) LIMIT 1";
        self.connection.query_row(sql, [], |row| row.get(0)).optional()
    }

    fn meta(&self, key: &str) -> rusqlite::Result<String> {
        self.connection.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0))
    }

    /// How much is stored up to a head, and when its first and last records were written.
    pub fn stored(&self, head: Position) -> Result<Stored, StoreError> {
        // The length of a value stands before it: nothing is read through.
        let until = i64::try_from(head.get()).unwrap_or(i64::MAX);
        let count = |table: &str| {
            let sql = format!("SELECT count(*), coalesce(sum(length(body)), 0) FROM {table} WHERE first <= ?1");
            self.connection
                .query_row(&sql, [until], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)))
                .map_err(|error| wrong(head, &format!("the {table} cannot be counted"), &error))
        };
        let (batches, mut bytes) = count("frames")?;
        if self.has_blocks().map_err(|error| wrong(head, "the tables cannot be listed", &error))? {
            bytes += count("blocks")?.1;
        }
        let at = |order: &str, pick: fn(ReadBatch) -> Option<Fact>| -> Result<Option<i64>, StoreError> {
            let sql = format!("SELECT {} FROM frames WHERE first <= ?1 ORDER BY first {order} LIMIT 1", self.columns);
            let frame = self.connection.query_row(&sql, [until], |row| raw_batch(&self.connection, row)).optional();
            let frame = frame.map_err(|error| wrong(head, "a frame cannot be read", &error))?;
            Ok(frame.and_then(|frame| pick(reading::read(frame, &Seed::default()))).map(|fact| fact.recorded_at))
        };
        Ok(Stored {
            batches: u64::try_from(batches).ok(),
            packed_bytes: u64::try_from(bytes).ok(),
            first_at: at("ASC", |batch| batch.facts.into_iter().next())?,
            last_at: at("DESC", |batch| batch.facts.into_iter().next_back())?,
        })
    }
}

impl Journal for Frames {
    fn name(&self) -> &str {
        &self.name
    }

    fn tree(&self) -> Result<Tree, StoreError> {
        let read = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?, row.get::<_, Vec<u8>>(2)?));
        let row = self.connection.query_row("SELECT position, root, peaks FROM head WHERE id = 1", [], read);
        let (position, root, peaks) = row.map_err(|error| wrong(Position::ZERO, "the head cannot be read", &error))?;
        let size = u64::try_from(position).map_err(|_| Corruption::new(Position::ZERO, format!("the head's position is {position}")))?;
        let at = Position::new(size);
        let peaks: Option<Vec<Hash>> = peaks.chunks(32).map(Hash::from_slice).collect();
        let tree = peaks.and_then(|peaks| Tree::from_parts(size, peaks));
        let tree = tree.ok_or_else(|| Corruption::new(at, format!("the head's stored peaks do not fit its position, {size}")))?;
        if Hash::from_slice(&root) != Some(tree.root()) {
            return Err(Corruption::new(
                at,
                format!("the head's stored peaks give the root {}, not the one stored beside them", tree.root()),
            )
            .into());
        }
        Ok(tree)
    }

    fn source(&self, until: Option<Position>) -> Result<Box<dyn Source>, Failure> {
        let connection = connect(&self.path).map_err(|error| Failure::NotDone(format!("cannot open {}: {error}", self.path.display())))?;
        let until = until.and_then(|until| i64::try_from(until.get()).ok()).unwrap_or(i64::MAX);
        Ok(Box::new(FramesSource { connection, columns: self.columns, next: 1, until }))
    }

    fn torn_structure(&self) -> Vec<String> {
        let check = || -> rusqlite::Result<Vec<String>> {
            let mut check = self.connection.prepare("PRAGMA quick_check(20)")?;
            check.query_map([], |row| row.get(0))?.collect()
        };
        let mut said = check().unwrap_or_else(|error| vec![error.to_string()]);
        said.retain(|line| line != "ok");
        said.extend(self.cut_off());
        match self.blocks_of_no_frame() {
            Ok(None) => {}
            Ok(Some(first)) => said.push(format!("the block that begins at {first} belongs to no frame")),
            Err(error) => said.push(format!("the blocks cannot be read: {error}")),
        }
        if let Err(error) = self.meta("journal_id") {
            said.push(format!("no journal_id in meta: {error}"));
        }
        said
    }

    fn format_1_until(&self) -> Option<Position> {
        // A journal of format 1 has nothing else. What is no number leads to no record.
        (self.columns != COLUMNS_OF_FORMAT_1)
            .then(|| self.meta("format_1_until").ok().and_then(|until| until.parse().ok()).map_or(Position::ZERO, Position::new))
    }

    fn behind(&self, head: Position) -> Result<Option<Position>, StoreError> {
        let last = self.connection.query_row("SELECT last FROM frames ORDER BY first DESC LIMIT 1", [], |row| row.get::<_, i64>(0));
        let last = last.optional().map_err(|error| wrong(head, "the frames cannot be read", &error))?;
        let Some(last) = last.and_then(|last| u64::try_from(last).ok()).filter(|last| *last > head.get()) else { return Ok(None) };
        // An append moves both at once, so the head is read again after the frame.
        let moved_on = self.tree().is_ok_and(|tree| tree.size() >= last);
        Ok((!moved_on).then_some(Position::new(last)))
    }
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let connection = connect_read_only(path)?;
    connection.busy_timeout(Duration::from_secs(10))?;
    Ok(connection)
}

/// Damage in the file is corruption, anything else a failure.
fn wrong(position: Position, what: &str, error: &rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(code) if !matches!(code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            Failure::NotDone(format!("{what}: {error}")).into()
        }
        // Damage, a missing row, or a value of another type.
        _ => Corruption::new(position, format!("{what}: {error}")).into(),
    }
}

fn raw_batch(connection: &Connection, row: &Row<'_>) -> rusqlite::Result<RawBatch> {
    // A root of another length is another root than any that will be computed.
    let root = Hash::from_slice(row.get_ref(2)?.as_blob()?).unwrap_or(Hash([0; 32]));
    let (first, last) = (row.get(0)?, row.get(1)?);
    let (checksums, packed) = match row.get_ref(4)?.as_blob()? {
        // Nothing packs to nothing: then the records stand in blocks.
        [] => blocks(connection, first, last)?,
        body => (checksums(row.get_ref(3)?.as_blob()?).collect(), vec![body.to_vec()]),
    };
    Ok(RawBatch {
        first: Position::new(first.try_into().unwrap_or(0)),
        last: Position::new(last.try_into().unwrap_or(0)),
        root: Some(root),
        checksums: Some(checksums),
        peaks: row.get_ref(5)?.as_blob_or_null()?.map(<[u8]>::to_vec),
        body: Body::Packed(packed),
    })
}

/// Four bytes each; what is left over counts as one more, so that it is seen.
fn checksums(bytes: &[u8]) -> impl Iterator<Item = u32> {
    bytes.chunks(4).map(|bytes| bytes.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte)))
}

/// The checksums and packed blocks of the frame from `first` to `last`.
fn blocks(connection: &Connection, first: i64, last: i64) -> rusqlite::Result<(Vec<u32>, Vec<Vec<u8>>)> {
    let mut select =
        connection.prepare_cached("SELECT first, last, checksums, body FROM blocks WHERE first >= ?1 AND first <= ?2 ORDER BY first")?;
    let mut rows = select.query([first, last])?;
    let (mut sums, mut packed, mut next) = (Vec::new(), Vec::new(), first);
    while let Some(row) = rows.next()? {
        let (begins, ends) = (row.get::<_, i64>(0)?, row.get::<_, i64>(1)?);
        if begins != next || ends < begins || ends > last {
            return Err(out_of_place(format!(
                "where a block begins at {next}, in the frame from {first} to {last}, there is one from {begins} to {ends}"
            )));
        }
        sums.extend(checksums(row.get_ref(2)?.as_blob()?));
        packed.push(row.get_ref(3)?.as_blob()?.to_vec());
        next = ends.saturating_add(1);
    }
    if next <= last {
        return Err(out_of_place(format!("in the frame from {first} to {last} no block begins at {next}")));
    }
    Ok((sums, packed))
}

/// What is in the file contradicts itself.
fn out_of_place(what: String) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Integer, what.into())
}

/// Frames in order.
#[derive(Debug)]
struct FramesSource {
    connection: Connection,
    columns: &'static str,
    // The least `first` that the next frame can have.
    next: i64,
    until: i64,
}

/// Where a frame begins that was asked for from `from` on. In a file whose pages are out of order SQLite may give an
/// earlier one; to go on from there would never end.
fn in_order(from: i64, first: i64) -> rusqlite::Result<i64> {
    if first >= from {
        return Ok(first);
    }
    Err(out_of_place(format!("the file's pages are out of order: after position {from} they give the frame that begins at {first}")))
}

impl FramesSource {
    /// The frame that begins at `from` or, if there is none, the one after it.
    fn frame(&self, from: i64) -> rusqlite::Result<Option<RawBatch>> {
        let sql = format!("SELECT {} FROM frames WHERE first >= ?1 ORDER BY first LIMIT 1", self.columns);
        let found = self.connection.prepare_cached(&sql)?.query_row([from], |row| raw_batch(&self.connection, row)).optional()?;
        found.map(|batch| in_order(from, batch.first.get() as i64).map(|_| batch)).transpose()
    }

    /// Without a place to go on from, this is the end, also where the head cannot be read and nothing else bounds the search.
    fn go_on_from(&mut self, next: Option<i64>) {
        match next {
            Some(next) => self.next = next,
            None => self.until = i64::MIN,
        }
    }

    /// Where the frame begins that `frame` would give, without reading what is in it.
    fn first_from(&self, from: i64) -> rusqlite::Result<Option<i64>> {
        let sql = "SELECT first FROM frames WHERE first >= ?1 ORDER BY first LIMIT 1";
        let found = self.connection.prepare_cached(sql)?.query_row([from], |row| row.get(0)).optional()?;
        found.map(|first| in_order(from, first)).transpose()
    }

    /// The least place behind `from` from which a frame can be found again: in steps that double, then by halves.
    fn found_again(&self, from: i64) -> Option<i64> {
        let (mut bad, mut step) = (from, 1);
        let mut good = loop {
            let probe = bad.checked_add(step).filter(|probe| *probe <= self.until)?;
            match self.first_from(probe) {
                Ok(Some(_)) => break probe,
                Ok(None) => return None,
                Err(_) => (bad, step) = (probe, step * 2),
            }
        };
        while good - bad > 1 {
            let middle = bad + (good - bad) / 2;
            if matches!(self.first_from(middle), Ok(Some(_))) { good = middle } else { bad = middle }
        }
        self.first_from(good).ok().flatten()
    }
}

impl Source for FramesSource {
    fn next(&mut self) -> Option<Piece> {
        if self.next > self.until {
            return None;
        }
        let from = self.next;
        let error = match self.frame(from) {
            Ok(None) => return None,
            Ok(Some(batch)) => {
                let first = batch.first.get() as i64;
                if first > self.until {
                    return None;
                }
                self.go_on_from(first.checked_add(1));
                return Some(Piece::Batch(batch));
            }
            Err(error) => error,
        };
        // The frame's key may be readable though its content is not.
        let begins = self.first_from(from).ok().flatten().filter(|begins| *begins <= self.until);
        let again = match begins {
            Some(begins) => {
                let next = begins.checked_add(1).and_then(|next| self.first_from(next).ok().flatten());
                next.or_else(|| self.found_again(begins))
            }
            None => self.found_again(from),
        };
        let again = again.filter(|again| *again <= self.until);
        self.go_on_from(again);
        let position = |at: i64| Position::new(at.unsigned_abs());
        Some(Piece::Unreadable { from: position(begins.unwrap_or(from)), to: again.map(position), why: error.to_string() })
    }
}
