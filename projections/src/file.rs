//! The file of one generation of a group: whose it is, how far it is, and the tables of the group's read models.
//!
//! A directory holds the files of one journal's groups, `accounts.1.sqlite`, `entries.4.sqlite` …: the number is the
//! generation. Of a group that is being rebuilt there are two; the one that answers says so itself. A path is never used
//! again for another generation, because SQLite finds a file's log by the name of the file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cauri_domain::time::Timestamp;
use cauri_event_schemas::Position;
use cauri_event_store::Hash;
use cauri_event_store::files::{beside, connect_read_only, create_private, tighten_database};
use rusqlite::{Connection, OpenFlags, Row};

use crate::projector::{Generation, Group, ReadModel, Unprojectable};
use crate::read::OpenError;
use crate::stored::{optional_timestamp, position};

/// Tells a group's file from any other SQLite file: "CaRM".
const APPLICATION_ID: i32 = 0x4361_524d;
/// The format of the file itself, apart from the read models in it. 1 was one file for all read models.
const FORMAT: i32 = 2;
/// How long a connection waits for another.
const BUSY: Duration = Duration::from_secs(5);

/// What a group's file says of itself.
#[derive(Clone, Debug)]
pub(crate) struct FileState {
    pub(crate) generation: Generation,
    /// It shows everything up to here.
    pub(crate) position: Position,
    /// When the event there was recorded; absent where nothing was read yet.
    pub(crate) recorded_at: Option<Timestamp>,
    /// The journal's root at `position`; absent at position 0.
    pub(crate) root: Option<Hash>,
    /// The journal's head as the writer last saw it.
    pub(crate) head: Position,
    /// It has its secondary indexes.
    pub(crate) completed: bool,
    /// It answers queries.
    pub(crate) live: bool,
    /// The event that it cannot go beyond.
    pub(crate) stopped: Option<Stopped>,
    /// Its read models, with the revision that wrote each and its digest, where one was computed.
    pub(crate) models: Vec<ModelState>,
}

/// What a group's file says of one read model.
#[derive(Clone, Debug)]
pub(crate) struct ModelState {
    pub(crate) model: ReadModel,
    pub(crate) revision: u32,
    pub(crate) digest: Option<(Position, Hash)>,
}

/// Why a group does not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stopped {
    /// The read model that cannot take the event; none where the journal itself is at fault.
    pub(crate) model: Option<&'static str>,
    /// The event and what it contradicts.
    pub(crate) at: Unprojectable,
}

impl FileState {
    /// Every read model of the group is there as this program writes it.
    pub(crate) fn is_current(&self, group: &Group) -> bool {
        group.models.iter().all(|model| self.models.iter().any(|state| state.model.name == model.name && state.revision == model.revision))
    }

    /// Every read model of the group is there in a revision that this program can read and go on with.
    pub(crate) fn is_known(&self, group: &Group) -> bool {
        group.models.iter().all(|model| self.models.iter().any(|state| state.model.name == model.name && model.knows(state.revision)))
    }
}

/// The path of a generation's file.
pub(crate) fn path(dir: &Path, group: &Group, generation: Generation) -> PathBuf {
    dir.join(format!("{}.{generation}.sqlite", group.name))
}

/// The generations of a group that have a file, the newest last.
pub(crate) fn generations(dir: &Path, group: &Group) -> std::io::Result<Vec<Generation>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(group.name)?.strip_prefix('.')?.strip_suffix(".sqlite"));
        found.extend(number.and_then(|number| number.parse().ok()).map(Generation));
    }
    found.sort_unstable();
    Ok(found)
}

/// Removes a generation's file with its log.
pub(crate) fn remove(path: &Path) {
    for path in [path.to_owned(), beside(path, "-wal"), beside(path, "-shm")] {
        if let Err(error) = std::fs::remove_file(&path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(path = %path.display(), %error, "a file of read models that nobody needs any more cannot be removed");
        }
    }
}

/// Opens a generation's file for its writer, and makes it if there is none.
pub(crate) fn open_for_writing(
    path: &Path,
    group: &Group,
    generation: Generation,
    journal: &str,
    cache_mib: u32,
) -> Result<Connection, OpenError> {
    let failure = |reason: String| OpenError::Failure { path: path.to_owned(), reason };
    create_private(path).map_err(|error| failure(error.to_string()))?;
    tighten_database(path);
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags).map_err(|error| failure(error.to_string()))?;
    db.busy_timeout(BUSY).map_err(|error| judge(path, &error))?;
    if is_blank(&db).map_err(|error| judge(path, &error))? {
        initialise(&db, group, generation, journal).map_err(|error| judge(path, &error))?;
    }
    identify(&db, path)?;
    let of = |row: &Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, u32>(2)?));
    let found = db.query_row("SELECT journal, name, generation FROM read_group", [], of).map_err(|error| judge(path, &error))?;
    if found != (journal.to_owned(), group.name.to_owned(), generation.0) {
        let (found_journal, found_group, found_generation) = found;
        let reason = format!(
            "it is generation {found_generation} of the group `{found_group}` of the journal `{found_journal}`, not {generation} of \
             `{}` of `{journal}`",
            group.name
        );
        return Err(OpenError::Foreign { path: path.to_owned(), reason });
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

/// Bounds the write-ahead log to a share of the space that derived data may take; gives the bound.
pub(crate) fn bound_log(db: &Connection, beyond_reserve: Option<u64>) -> rusqlite::Result<u64> {
    let bound = beyond_reserve.map_or(LARGEST_LOG, |bytes| (bytes / 16).clamp(SMALLEST_LOG, LARGEST_LOG));
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

/// Opens a generation's file to be asked.
pub(crate) fn open_for_reading(path: &Path) -> Result<Connection, OpenError> {
    if !path.exists() {
        return Err(OpenError::NotFound { path: path.to_owned() });
    }
    let db = connect_read_only(path).map_err(|error| judge(path, &error))?;
    db.busy_timeout(BUSY).map_err(|error| judge(path, &error))?;
    identify(&db, path)?;
    // Each group keeps a dozen of these: all of their caches together are what a busy node may spend on them.
    db.execute_batch("PRAGMA cache_size = -6144; PRAGMA query_only = ON").map_err(|error| judge(path, &error))?;
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

fn initialise(db: &Connection, group: &Group, generation: Generation, journal: &str) -> rusqlite::Result<()> {
    // Pages of 8 KiB: a batch touches the tail of every account, and half the pages are half the log.
    db.execute_batch("PRAGMA page_size = 8192; PRAGMA journal_mode = WAL")?;
    in_transaction(db, |db| {
        db.execute_batch(
            "CREATE TABLE read_group (
                one INTEGER PRIMARY KEY CHECK (one = 1),
                name TEXT NOT NULL,
                journal TEXT NOT NULL,
                generation INTEGER NOT NULL,
                position INTEGER NOT NULL,
                recorded_at INTEGER,
                root BLOB,
                head INTEGER NOT NULL,
                completed INTEGER NOT NULL,
                live INTEGER NOT NULL,
                stopped_at INTEGER,
                stopped_model TEXT,
                reason TEXT
            ) STRICT;
            CREATE TABLE read_models (
                name TEXT PRIMARY KEY,
                revision INTEGER NOT NULL,
                digest BLOB,
                digest_position INTEGER
            ) STRICT, WITHOUT ROWID",
        )?;
        db.execute(
            "INSERT INTO read_group VALUES (1, ?1, ?2, ?3, 0, NULL, NULL, 0, 0, 0, NULL, NULL, NULL)",
            (group.name, journal, generation.0),
        )?;
        for model in group.models {
            model.create(db)?;
            db.execute("INSERT INTO read_models VALUES (?1, ?2, NULL, NULL)", (model.name, model.revision))?;
        }
        db.execute_batch(&format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {FORMAT}"))
    })
}

/// Looks whether the file is one of a group, of a format that this program knows.
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
        .query_row("SELECT count(*) FROM sqlite_master WHERE name IN ('read_group', 'read_models')", [], |row| row.get(0))
        .map_err(|error| judge(path, &error))?;
    if found < FORMAT || tables != 2 {
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

/// What the file says of itself.
pub(crate) fn state(db: &Connection, group: &Group) -> rusqlite::Result<FileState> {
    let mut statement = db.prepare_cached("SELECT name, revision, digest, digest_position FROM read_models")?;
    let models = statement.query_map([], |row| {
        let name = row.get_ref(0)?.as_str()?;
        let Some(model) = group.models.iter().find(|model| model.name == name) else { return Ok(None) };
        let digest = row.get_ref(2)?.as_blob_or_null()?.and_then(Hash::from_slice);
        let digest = digest.map(|digest| Ok::<_, rusqlite::Error>((position(row, 3)?, digest))).transpose()?;
        Ok(Some(ModelState { model: *model, revision: row.get(1)?, digest }))
    })?;
    let models: Vec<ModelState> = models.filter_map(Result::transpose).collect::<rusqlite::Result<_>>()?;
    let mut statement = db.prepare_cached(
        "SELECT generation, position, recorded_at, root, head, completed, live, stopped_at, stopped_model, reason FROM read_group",
    )?;
    statement.query_row([], |row| {
        let stopped = match row.get::<_, Option<i64>>(7)? {
            None => None,
            Some(_) => {
                let name: Option<String> = row.get(8)?;
                let model = group.models.iter().find(|model| Some(model.name) == name.as_deref()).map(|model| model.name);
                Some(Stopped { model, at: Unprojectable::new(position(row, 7)?, row.get::<_, String>(9)?) })
            }
        };
        Ok(FileState {
            generation: Generation(row.get(0)?),
            position: position(row, 1)?,
            recorded_at: optional_timestamp(row, 2)?,
            root: row.get_ref(3)?.as_blob_or_null()?.and_then(Hash::from_slice),
            head: position(row, 4)?,
            completed: row.get(5)?,
            live: row.get(6)?,
            stopped,
            models,
        })
    })
}

/// A checkpoint.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Checkpoint<'a> {
    /// Everything up to here is shown.
    pub(crate) position: Position,
    /// When the event there was recorded.
    pub(crate) recorded_at: Option<Timestamp>,
    /// The journal's root there.
    pub(crate) root: Option<Hash>,
    /// The journal's head.
    pub(crate) head: Position,
    /// Why the group does not go on, if so.
    pub(crate) stopped: Option<&'a Stopped>,
}

/// Moves the checkpoint; false if it is not where the caller left it, because somebody else writes.
pub(crate) fn advance(db: &Connection, from: Position, to: Checkpoint<'_>) -> rusqlite::Result<bool> {
    let mut statement = db.prepare_cached(
        "UPDATE read_group SET position = ?2, recorded_at = ?3, root = ?4, head = ?5, stopped_at = ?6, stopped_model = ?7, reason = ?8
         WHERE position = ?1",
    )?;
    let changed = statement.execute((
        from.get() as i64,
        to.position.get() as i64,
        to.recorded_at.map(Timestamp::as_micros),
        to.root.as_ref().map(|root| &root.0[..]),
        to.head.get() as i64,
        to.stopped.map(|stopped| stopped.at.position.get() as i64),
        to.stopped.and_then(|stopped| stopped.model),
        to.stopped.map(|stopped| stopped.at.reason.as_str()),
    ))?;
    Ok(changed == 1)
}

/// Nothing is stopped until it fails again.
pub(crate) fn start_again(db: &Connection) -> rusqlite::Result<()> {
    db.execute("UPDATE read_group SET stopped_at = NULL, stopped_model = NULL, reason = NULL WHERE stopped_at IS NOT NULL", [])?;
    Ok(())
}

/// The file has its secondary indexes.
pub(crate) fn completed(db: &Connection) -> rusqlite::Result<()> {
    db.execute("UPDATE read_group SET completed = 1", [])?;
    Ok(())
}

/// The file answers queries from now on; what its rows say, where somebody computed it.
pub(crate) fn make_live(db: &Connection, digests: &[(&'static str, Position, Hash)]) -> rusqlite::Result<()> {
    for (name, position, digest) in digests {
        let sql = "UPDATE read_models SET digest = ?2, digest_position = ?3 WHERE name = ?1";
        db.execute(sql, (name, &digest.0[..], position.get() as i64))?;
    }
    db.execute("UPDATE read_group SET live = 1", [])?;
    Ok(())
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

    fn open(path: &Path) -> Result<Connection, OpenError> {
        open_for_writing(path, &crate::GROUPS[0], Generation(1), "ledger", 1)
    }

    #[test]
    fn the_log_may_take_a_share_of_what_is_free_beyond_the_reserve() {
        let directory = tempfile::tempdir().expect("a directory");
        let db = open(&directory.path().join("accounts.1.sqlite")).expect("a read store");
        let limit = || db.query_row("PRAGMA wal_autocheckpoint", [], |row| row.get::<_, u64>(0)).expect("a limit");
        for (free, bound) in [(None, LARGEST_LOG), (Some(0), SMALLEST_LOG), (Some(80 << 20), 5 << 20), (Some(1 << 50), LARGEST_LOG)] {
            assert_eq!(bound_log(&db, free).expect("bounded"), bound, "{free:?}");
            assert_eq!(limit(), bound / PAGE_BYTES, "{free:?}");
        }
    }

    #[test]
    fn a_log_that_is_cut_takes_no_space() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("accounts.1.sqlite");
        let db = open(&path).expect("a read store");
        db.execute_batch("CREATE TABLE rows (bytes BLOB) STRICT; INSERT INTO rows VALUES (zeroblob(3000000))").expect("rows");
        let log = || std::fs::metadata(directory.path().join("accounts.1.sqlite-wal")).map_or(0, |log| log.len());
        assert!(log() > 3_000_000);
        cut_log(&db).expect("cut");
        assert_eq!(log(), 0);
        // It does not wait for a reader that blocks it.
        let reader = open_for_reading(&path).expect("a reader");
        reader.execute_batch("BEGIN; SELECT count(*) FROM rows").expect("a reading");
        db.execute_batch("INSERT INTO rows VALUES (zeroblob(3000000))").expect("rows");
        cut_log(&db).expect("no error");
        assert!(log() > 3_000_000);
    }
}
