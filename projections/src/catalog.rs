//! The read store's file: whose it is, which read models it holds, and how far each of them is.

use std::path::Path;
use std::time::Duration;

use cauri_domain::time::Timestamp;
use cauri_event_schemas::Position;
use cauri_event_store::Hash;
use cauri_event_store::files::{connect_read_only, create_private, create_private_dir, tighten_database};
use rusqlite::{Connection, OpenFlags, Row};

use crate::projector::{Generation, ReadModel, Unprojectable};
use crate::read::OpenError;
use crate::stored::{optional_timestamp, position};

/// Tells a read store from any other SQLite file: "CaRM".
const APPLICATION_ID: i32 = 0x4361_524d;
/// The format of the file itself, apart from the read models in it.
const FORMAT: i32 = 1;
/// How long a connection waits for another.
const BUSY: Duration = Duration::from_secs(5);

/// What the catalog says of one generation of a read model.
#[derive(Clone, Debug)]
pub(crate) struct CatalogRow {
    pub(crate) model: ReadModel,
    pub(crate) generation: Generation,
    pub(crate) revision: u32,
    /// It shows everything up to here.
    pub(crate) position: Position,
    /// When the event there was recorded; absent where nothing was read yet.
    pub(crate) recorded_at: Option<Timestamp>,
    /// It has its secondary indexes.
    pub(crate) completed: bool,
    /// It answers queries.
    pub(crate) live: bool,
    /// The event that it cannot go beyond.
    pub(crate) stopped: Option<Unprojectable>,
    pub(crate) digest: Option<(Position, Hash)>,
}

/// Opens the file for the runner, and makes it if there is none.
pub(crate) fn open_for_writing(path: &Path, journal: &str, cache_mib: u32) -> Result<Connection, OpenError> {
    let failure = |reason: String| OpenError::Failure { path: path.to_owned(), reason };
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        create_private_dir(parent).map_err(|error| failure(error.to_string()))?;
    }
    create_private(path).map_err(|error| failure(error.to_string()))?;
    tighten_database(path);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags).map_err(|error| failure(error.to_string()))?;
    db.busy_timeout(BUSY).map_err(|error| judge(path, &error))?;
    if is_blank(&db).map_err(|error| judge(path, &error))? {
        initialise(&db, journal).map_err(|error| judge(path, &error))?;
    }
    identify(&db, path)?;
    let found: String = db.query_row("SELECT journal FROM read_store", [], |row| row.get(0)).map_err(|error| judge(path, &error))?;
    if found != journal {
        return Err(OpenError::Foreign {
            path: path.to_owned(),
            reason: format!("it belongs to the journal `{found}`, not to `{journal}`"),
        });
    }
    // NORMAL: after a power cut the last transactions may be gone, whole; they are projected again. Threads: indexes of a
    // rebuild are sorted beside. The bound of the log is set by `bound_log`.
    db.execute_batch(&format!(
        "PRAGMA synchronous = NORMAL;
         PRAGMA cache_size = -{};
         PRAGMA threads = 2;
         PRAGMA temp_store = FILE",
        u64::from(cache_mib) * 1024
    ))
    .map_err(|error| judge(path, &error))?;
    db.set_prepared_statement_cache_capacity(128);
    Ok(db)
}

/// Bytes of a page of the file.
const PAGE_BYTES: u64 = 8_192;
/// What the log may have where there is space: a rebuild touches the same pages again and again.
const LARGEST_LOG: u64 = 512 << 20;
/// What it may have in any case: less than this costs more in checkpoints than it saves in space.
const SMALLEST_LOG: u64 = 1 << 20;

/// Bounds the write-ahead log to an eighth of the space that derived data may take; gives the bound.
pub(crate) fn bound_log(db: &Connection, beyond_reserve: Option<u64>) -> rusqlite::Result<u64> {
    let bound = beyond_reserve.map_or(LARGEST_LOG, |bytes| (bytes / 8).clamp(SMALLEST_LOG, LARGEST_LOG));
    db.execute_batch(&format!(
        "PRAGMA wal_autocheckpoint = {};
         PRAGMA journal_size_limit = {}",
        bound / PAGE_BYTES,
        bound / 2
    ))?;
    Ok(bound)
}

/// Copies the log into the database and cuts it to nothing, as far as no reader needs it; waits for nobody.
pub(crate) fn cut_log(db: &Connection) -> rusqlite::Result<()> {
    db.busy_timeout(Duration::ZERO)?;
    // A reader that is in the way is no error: the answer says so, and the next time is soon.
    let cut = db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
    db.busy_timeout(BUSY)?;
    cut
}

/// Opens the file to be asked.
pub(crate) fn open_for_reading(path: &Path) -> Result<Connection, OpenError> {
    if !path.exists() {
        return Err(OpenError::NotFound { path: path.to_owned() });
    }
    let db = connect_read_only(path).map_err(|error| judge(path, &error))?;
    db.busy_timeout(BUSY).map_err(|error| judge(path, &error))?;
    identify(&db, path)?;
    db.execute_batch("PRAGMA cache_size = -16384; PRAGMA query_only = ON").map_err(|error| judge(path, &error))?;
    db.set_prepared_statement_cache_capacity(64);
    Ok(db)
}

/// A database of its own on disk that nobody else sees and that is gone when closed: for a replay.
pub(crate) fn open_temporary() -> rusqlite::Result<Connection> {
    let db = Connection::open("")?;
    db.execute_batch("PRAGMA page_size = 8192; PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF; PRAGMA cache_size = -131072")?;
    db.set_prepared_statement_cache_capacity(128);
    Ok(db)
}

fn is_blank(db: &Connection) -> rusqlite::Result<bool> {
    let objects: i64 = db.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0))?;
    let id: i32 = db.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    Ok(objects == 0 && id == 0)
}

fn initialise(db: &Connection, journal: &str) -> rusqlite::Result<()> {
    // Pages of 8 KiB: a batch touches the tail of every account, and half the pages are half the log.
    db.execute_batch("PRAGMA page_size = 8192; PRAGMA journal_mode = WAL")?;
    db.execute_batch("BEGIN IMMEDIATE")?;
    db.execute_batch(
        "CREATE TABLE read_store (
            one INTEGER PRIMARY KEY CHECK (one = 1),
            journal TEXT NOT NULL,
            position INTEGER NOT NULL,
            root BLOB,
            head INTEGER NOT NULL
        ) STRICT;
        CREATE TABLE read_models (
            name TEXT NOT NULL,
            generation INTEGER NOT NULL,
            revision INTEGER NOT NULL,
            position INTEGER NOT NULL,
            recorded_at INTEGER,
            completed INTEGER NOT NULL,
            live INTEGER NOT NULL,
            stopped_at INTEGER,
            reason TEXT,
            digest BLOB,
            digest_position INTEGER,
            PRIMARY KEY (name, generation)
        ) STRICT, WITHOUT ROWID",
    )?;
    db.execute("INSERT INTO read_store VALUES (1, ?1, 0, NULL, 0)", [journal])?;
    db.execute_batch(&format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {FORMAT}; COMMIT"))
}

/// Looks whether the file is a read store that this program knows.
fn identify(db: &Connection, path: &Path) -> Result<(), OpenError> {
    let pragma = |name: &str| db.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i32>(0)).map_err(|error| judge(path, &error));
    if pragma("application_id")? != APPLICATION_ID {
        return Err(OpenError::Foreign { path: path.to_owned(), reason: "it is a database of another kind".into() });
    }
    let found = pragma("user_version")?;
    if found > FORMAT {
        return Err(OpenError::NewerFormat { path: path.to_owned(), found, supported: FORMAT });
    }
    let tables: i64 = db
        .query_row("SELECT count(*) FROM sqlite_master WHERE name IN ('read_store', 'read_models')", [], |row| row.get(0))
        .map_err(|error| judge(path, &error))?;
    if found < 1 || tables != 2 {
        return Err(OpenError::Damaged { path: path.to_owned(), reason: "its catalog is missing".into() });
    }
    Ok(())
}

/// What an SQLite error says of the file.
pub(crate) fn judge(path: &Path, error: &rusqlite::Error) -> OpenError {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    let (path, reason) = (path.to_owned(), error.to_string());
    match error.sqlite_error_code() {
        Some(DatabaseCorrupt | NotADatabase) => OpenError::Damaged { path, reason },
        None => OpenError::Damaged { path, reason },
        Some(_) => OpenError::Failure { path, reason },
    }
}

/// Where the read store is in the journal's history: the last position that it shows, and the root at the furthest
/// position that was written.
pub(crate) fn history(db: &Connection) -> rusqlite::Result<(Position, Option<(Position, Hash)>)> {
    let last = db.query_row("SELECT coalesce(max(position), 0) FROM read_models", [], |row| position(row, 0))?;
    Ok((last, seen(db)?))
}

/// The furthest position that was written, and the journal's root there.
pub(crate) fn seen(db: &Connection) -> rusqlite::Result<Option<(Position, Hash)>> {
    db.prepare_cached("SELECT position, root FROM read_store")?.query_row([], |row| {
        let root = row.get_ref(1)?.as_blob_or_null()?.and_then(Hash::from_slice);
        root.map(|root| Ok((position(row, 0)?, root))).transpose()
    })
}

/// Keeps the furthest position that was written with the journal's root there, if it is a new one, and the journal's head.
pub(crate) fn set_history(db: &Connection, seen: Option<(Position, Hash)>, head: Position) -> rusqlite::Result<()> {
    match seen {
        Some((position, root)) => db.prepare_cached("UPDATE read_store SET position = ?1, root = ?2, head = ?3")?.execute((
            position.get() as i64,
            &root.0[..],
            head.get() as i64,
        ))?,
        None => db.prepare_cached("UPDATE read_store SET head = ?1")?.execute([head.get() as i64])?,
    };
    Ok(())
}

/// The journal's head as the runner last saw it.
pub(crate) fn head(db: &Connection) -> rusqlite::Result<Position> {
    db.prepare_cached("SELECT head FROM read_store")?.query_row([], |row| position(row, 0))
}

const COLUMNS: &str = "name, generation, revision, position, recorded_at, completed, live, stopped_at, reason, digest, digest_position";

/// Every generation of every read model that `models` names, by name and generation.
pub(crate) fn rows(db: &Connection, models: &[ReadModel]) -> rusqlite::Result<Vec<CatalogRow>> {
    let mut statement = db.prepare_cached(&format!("SELECT {COLUMNS} FROM read_models ORDER BY name, generation"))?;
    let rows = statement.query_map([], |row| read(row, models))?;
    rows.filter_map(Result::transpose).collect()
}

fn read(row: &Row<'_>, models: &[ReadModel]) -> rusqlite::Result<Option<CatalogRow>> {
    let name = row.get_ref(0)?.as_str()?;
    let Some(model) = models.iter().find(|model| model.name == name) else { return Ok(None) };
    let stopped: Option<i64> = row.get(7)?;
    let stopped = stopped.map(|_| Ok::<_, rusqlite::Error>(Unprojectable::new(position(row, 7)?, row.get::<_, String>(8)?))).transpose()?;
    let digest = row.get_ref(9)?.as_blob_or_null()?.and_then(Hash::from_slice);
    let digest = digest.map(|digest| Ok::<_, rusqlite::Error>((position(row, 10)?, digest))).transpose()?;
    Ok(Some(CatalogRow {
        model: *model,
        generation: Generation(row.get(1)?),
        revision: row.get(2)?,
        position: position(row, 3)?,
        recorded_at: optional_timestamp(row, 4)?,
        completed: row.get(5)?,
        live: row.get(6)?,
        stopped,
        digest,
    }))
}

/// Adds a generation at position 0, not live, with empty tables.
pub(crate) fn begin(db: &Connection, model: &ReadModel, generation: Generation) -> rusqlite::Result<()> {
    (model.create)(db, generation)?;
    db.execute(
        "INSERT INTO read_models (name, generation, revision, position, completed, live) VALUES (?1, ?2, ?3, 0, 0, 0)",
        (model.name, generation.0, model.revision),
    )?;
    Ok(())
}

/// Forgets a generation and drops its tables.
pub(crate) fn forget(db: &Connection, model: &ReadModel, generation: Generation) -> rusqlite::Result<()> {
    db.execute("DELETE FROM read_models WHERE name = ?1 AND generation = ?2", (model.name, generation.0))?;
    model.drop_tables(db, generation)
}

/// Drops every read model with its tables and begins each of `models` anew: what is there is of another history.
pub(crate) fn begin_anew(db: &Connection, models: &[ReadModel]) -> rusqlite::Result<()> {
    // Whoever has the file open must not take the new tables for the old ones.
    let last = Generation(db.query_row("SELECT coalesce(max(generation), 0) FROM read_models", [], |row| row.get(0))?);
    let mut select = db.prepare(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT IN ('read_store', 'read_models') AND substr(name, 1, 7) <> 'sqlite_'",
    )?;
    let tables: Vec<String> = select.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    drop(select);
    for table in tables {
        db.execute_batch(&format!("DROP TABLE \"{}\"", table.replace('"', "\"\"")))?;
    }
    db.execute_batch("DELETE FROM read_models; UPDATE read_store SET position = 0, root = NULL, head = 0")?;
    models.iter().try_for_each(|model| begin(db, model, last.next()))
}

/// Moves a checkpoint; false if it is not where the caller left it, because somebody else writes.
pub(crate) fn advance(
    db: &Connection,
    model: &ReadModel,
    generation: Generation,
    from: Position,
    to: Position,
    recorded_at: Option<Timestamp>,
    stopped: Option<&Unprojectable>,
) -> rusqlite::Result<bool> {
    let mut statement = db.prepare_cached(
        "UPDATE read_models SET position = ?4, recorded_at = ?5, stopped_at = ?6, reason = ?7
         WHERE name = ?1 AND generation = ?2 AND position = ?3",
    )?;
    let changed = statement.execute((
        model.name,
        generation.0,
        from.get() as i64,
        to.get() as i64,
        recorded_at.map(Timestamp::as_micros),
        stopped.map(|stopped| stopped.position.get() as i64),
        stopped.map(|stopped| stopped.reason.as_str()),
    ))?;
    Ok(changed == 1)
}

/// Every read model is stopped before a position that cannot be trusted.
pub(crate) fn stop_all(db: &Connection, at: Position, reason: &str) -> rusqlite::Result<()> {
    db.execute("UPDATE read_models SET stopped_at = ?1, reason = ?2 WHERE stopped_at IS NULL", (at.get() as i64, reason))?;
    Ok(())
}

/// Nothing is stopped until it fails again.
fn start_all(db: &Connection) -> rusqlite::Result<()> {
    db.execute("UPDATE read_models SET stopped_at = NULL, reason = NULL WHERE stopped_at IS NOT NULL", [])?;
    Ok(())
}

/// A generation has its secondary indexes; `live` if it answers queries from now on.
pub(crate) fn completed(db: &Connection, model: &ReadModel, generation: Generation, live: bool) -> rusqlite::Result<()> {
    db.execute("UPDATE read_models SET completed = 1, live = ?3 WHERE name = ?1 AND generation = ?2", (model.name, generation.0, live))?;
    Ok(())
}

/// Makes a generation the one that answers queries and forgets the one before; its tables are still there.
pub(crate) fn switch(db: &Connection, model: &ReadModel, generation: Generation, digest: (Position, Hash)) -> rusqlite::Result<()> {
    db.execute("DELETE FROM read_models WHERE name = ?1 AND live = 1 AND generation <> ?2", (model.name, generation.0))?;
    db.execute(
        "UPDATE read_models SET live = 1, digest_position = ?3, digest = ?4 WHERE name = ?1 AND generation = ?2",
        (model.name, generation.0, digest.0.get() as i64, &digest.1.0[..]),
    )?;
    Ok(())
}

/// Drops tables of generations that the catalog does not name: what a switch that was cut short left behind.
pub(crate) fn sweep(db: &Connection, models: &[ReadModel]) -> rusqlite::Result<()> {
    let known = rows(db, models)?;
    let mut statement = db.prepare("SELECT name FROM sqlite_master WHERE type = 'table'")?;
    let names: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    for name in names {
        let of = |model: &&ReadModel| {
            model.tables.iter().find_map(|table| {
                let number = name.strip_prefix(table.name)?.strip_prefix("_g")?;
                number.parse().ok().map(Generation).filter(|generation| generation.table(table.name) == name)
            })
        };
        let Some((model, generation)) = models.iter().find_map(|model| of(&model).map(|generation| (model, generation))) else { continue };
        if !known.iter().any(|row| row.model.name == model.name && row.generation == generation) {
            model.drop_tables(db, generation)?;
        }
    }
    Ok(())
}

/// Brings the catalog to what this program is: every read model has a live generation that it knows or one that
/// is being built, what nobody needs is dropped, and what was stopped is tried again.
pub(crate) fn prepare(db: &Connection, path: &Path, models: &[ReadModel]) -> Result<(), OpenError> {
    for row in rows(db, models).map_err(|error| judge(path, &error))? {
        if row.revision > row.model.revision {
            return Err(OpenError::NewerRevision {
                path: path.to_owned(),
                read_model: row.model.name,
                found: row.revision,
                supported: row.model.revision,
            });
        }
    }
    in_transaction(db, |db| {
        for model in models {
            let mut current = false;
            let mut last = Generation(0);
            for row in rows(db, std::slice::from_ref(model))? {
                last = last.max(row.generation);
                if row.revision == model.revision {
                    current = true;
                } else if !row.live || !model.knows(row.revision) {
                    forget(db, model, row.generation)?;
                }
            }
            if !current {
                begin(db, model, last.next())?;
            }
        }
        start_all(db)?;
        sweep(db, models)
    })
    .map_err(|error| judge(path, &error))
}

/// Runs `work` in one transaction: all of it or nothing.
pub(crate) fn in_transaction<T, E: From<rusqlite::Error>>(db: &Connection, work: impl FnOnce(&Connection) -> Result<T, E>) -> Result<T, E> {
    db.execute_batch("BEGIN IMMEDIATE")?;
    let done = work(db).and_then(|done| db.execute_batch("COMMIT").map(|()| done).map_err(E::from));
    if done.is_err() && !db.is_autocommit() {
        // The first error is the one to tell; a failed rollback leaves a transaction that closing takes back.
        let _ = db.execute_batch("ROLLBACK");
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_may_take_an_eighth_of_what_is_free_beyond_the_reserve() {
        let directory = tempfile::tempdir().expect("a directory");
        let db = open_for_writing(&directory.path().join("ledger.sqlite"), "ledger", 1).expect("a read store");
        let limit = || db.query_row("PRAGMA wal_autocheckpoint", [], |row| row.get::<_, u64>(0)).expect("a limit");
        for (free, bound) in [(None, LARGEST_LOG), (Some(0), SMALLEST_LOG), (Some(80 << 20), 10 << 20), (Some(1 << 50), LARGEST_LOG)] {
            assert_eq!(bound_log(&db, free).expect("bounded"), bound, "{free:?}");
            assert_eq!(limit(), bound / PAGE_BYTES, "{free:?}");
        }
    }

    #[test]
    fn a_log_that_is_cut_takes_no_space() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("ledger.sqlite");
        let db = open_for_writing(&path, "ledger", 1).expect("a read store");
        db.execute_batch("CREATE TABLE rows (bytes BLOB) STRICT; INSERT INTO rows VALUES (zeroblob(3000000))").expect("rows");
        let log = || std::fs::metadata(directory.path().join("ledger.sqlite-wal")).map_or(0, |log| log.len());
        assert!(log() > 3_000_000);
        cut_log(&db).expect("cut");
        assert_eq!(log(), 0);
        // A reader that stands in the way is waited for by nobody.
        let reader = open_for_reading(&path).expect("a reader");
        reader.execute_batch("BEGIN; SELECT count(*) FROM rows").expect("a reading");
        db.execute_batch("INSERT INTO rows VALUES (zeroblob(3000000))").expect("rows");
        cut_log(&db).expect("no error");
        assert!(log() > 3_000_000);
    }
}
