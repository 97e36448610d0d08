//! The file `index.sqlite`: its tables, how it is opened, and what tells that it is whole and of this journal.

use std::path::Path;
use std::time::Duration;

use cauri_event_schemas::Position;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, params};

use crate::embedded::prepare_reader;
use crate::files::{beside, connect_read_only, create_private, tighten_database};
use crate::merkle::Hash;
use crate::port::Head;

/// The shape of the tables below (`PRAGMA user_version`); a file of another is built again.
const SHAPE: i64 = 4;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS runs (run INTEGER PRIMARY KEY, level INTEGER NOT NULL, checksum INTEGER NOT NULL,
        first_keys BLOB NOT NULL, filter BLOB NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS chunks (chunk INTEGER PRIMARY KEY, pairs BLOB NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS snapshots (position INTEGER PRIMARY KEY, root BLOB NOT NULL, chunks INTEGER NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS snapshot_chunks (position INTEGER, number INTEGER, checksum INTEGER NOT NULL, state BLOB NOT NULL,
        PRIMARY KEY (position, number)) STRICT;
";

/// Opens the file for writing, and makes it where there is none.
pub(super) fn open(path: &Path) -> rusqlite::Result<Connection> {
    // Where it cannot be made, SQLite says why.
    let _ = create_private(path);
    tighten_database(path);
    let connection = Connection::open(path)?;
    prepare(&connection)?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if tables == 0 {
        connection.pragma_update(None, "user_version", SHAPE)?;
    }
    check_shape(&connection)?;
    connection.execute_batch(SCHEMA)?;
    let (first, second) = random_seed();
    connection.execute("INSERT OR IGNORE INTO meta VALUES ('seed_1', ?1), ('seed_2', ?2)", [first, second])?;
    Ok(connection)
}

pub(super) fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(Duration::from_secs(30))?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    // A run is written at once; the log does not stay as long as that made it.
    connection.pragma_update(None, "journal_size_limit", 16 << 20)?;
    // Derived data: what a crash takes is built again.
    connection.pragma_update(None, "synchronous", "normal")
}

/// Opens the file for writing beside the connection of the index thread; it must be there.
///
/// What it leaves in the log is copied by that thread. Copying it when this connection closes would remove the log of
/// another file, if the index was replaced meanwhile.
pub(super) fn open_beside(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    leave_log(&connection)?;
    prepare(&connection)?;
    Ok(connection)
}

/// Has the log stay where it is when this connection is the last that closes.
pub(super) fn leave_log(connection: &Connection) -> rusqlite::Result<()> {
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map(|_| ())
}

/// Opens the file for reading, beside whoever writes it.
pub(super) fn open_read_only(path: &Path) -> rusqlite::Result<Connection> {
    let connection = connect_read_only(path)?;
    prepare_reader(&connection)?;
    check_shape(&connection)?;
    Ok(connection)
}

fn check_shape(connection: &Connection) -> rusqlite::Result<()> {
    let shape: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if shape == SHAPE { Ok(()) } else { Err(damage("it was written by another version of this program")) }
}

/// How far the runs reach, and what is kept of the root there.
pub(super) fn indexed_to(connection: &Connection) -> rusqlite::Result<(Position, i64)> {
    let position = meta(connection, "indexed_to")?.unwrap_or(0);
    Ok((Position::new(position.unsigned_abs()), meta(connection, "indexed_root")?.unwrap_or(0)))
}

/// Notes how far the runs reach now.
pub(super) fn note_indexed_to(connection: &Connection, head: &Head) -> rusqlite::Result<()> {
    let position = head.position.get() as i64;
    connection
        .execute("INSERT OR REPLACE INTO meta VALUES ('indexed_to', ?1), ('indexed_root', ?2)", params![position, cut(&head.root)])?;
    Ok(())
}

/// Notes which runs there are and how their keys are made, so that what is missing is missed.
pub(super) fn note_manifest(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute("INSERT OR REPLACE INTO meta VALUES ('manifest', ?1)", [manifest(connection)?])?;
    Ok(())
}

/// Whether the runs are those that were noted.
pub(super) fn check_manifest(connection: &Connection) -> rusqlite::Result<()> {
    let nothing_yet = || Ok::<_, rusqlite::Error>(meta(connection, "indexed_to")?.is_none());
    match meta(connection, "manifest")? {
        Some(noted) if noted == manifest(connection)? => Ok(()),
        None if nothing_yet()? => Ok(()),
        _ => Err(damage("the index lacks some of its runs")),
    }
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

fn meta(connection: &Connection, key: &str) -> rusqlite::Result<Option<i64>> {
    connection.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0)).optional()
}

/// As much of a root as tells one history from another.
pub(super) fn cut(root: &Hash) -> i64 {
    root.0[..8].iter().fold(0, |number, byte| number << 8 | i64::from(*byte))
}

pub(super) fn random_seed() -> (i64, i64) {
    let (first, second) = uuid::Uuid::new_v4().as_u64_pair();
    (first as i64, second as i64)
}

pub(super) fn seed_of(connection: &Connection) -> rusqlite::Result<(i64, i64)> {
    let value = |key: &str| connection.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0));
    Ok((value("seed_1")?, value("seed_2")?))
}

/// What is in the file is not what was written there.
pub(super) fn damage(what: &str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Blob, what.into())
}

/// Damage, as opposed to a disk that is full or a file that may not be opened: building again helps against it.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    // Without a code it is a row that is missing or of another shape; `Unknown` is a table or column that is.
    matches!(error.sqlite_error_code(), None | Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::Unknown))
}

/// Removes the file and what SQLite keeps beside it.
pub(super) fn remove(path: &Path) {
    for suffix in ["", "-wal", "-shm"] {
        // What is not there needs no removing.
        let _ = std::fs::remove_file(beside(path, suffix));
    }
}
