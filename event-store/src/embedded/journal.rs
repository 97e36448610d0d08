//! `journal.sqlite`: frames, the head, and the format; the only file that cannot be built again.

use std::cell::RefCell;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use cauri_event_schemas::Position;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, Row, params};
use zstd::bulk::{Compressor, Decompressor};

use super::roots::{ComputedTrees, keeps_peaks};
use super::{FORMAT_VERSION, OpenError, failed};
use crate::batch::{Batch, Block};
use crate::files::{FileIdentity, beside, connect_read_only, create_private, tighten_database};
use crate::merkle::{Hash, Tree};
use crate::port::{Corruption, Failure, Head, StoreError};
use crate::stored::StoredBatch;

/// Compression level of zstd: the fastest of the ordinary ones; level 3 costs twice the time for 8 % less.
const ZSTD_LEVEL: i32 = 1;

/// No batch unpacks to more: a larger one is not written, and what claims to be larger is damaged.
const MAX_UNPACKED: u64 = 1 << 30;

/// The key in `meta` of the last position at which a record of format 1 may stand; absent where there is none.
pub(super) const FORMAT_1_UNTIL: &str = "format_1_until";

const SCHEMA: &str = "
    CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE head (id INTEGER PRIMARY KEY CHECK (id = 1), position INTEGER NOT NULL, root BLOB NOT NULL, peaks BLOB NOT NULL) STRICT;
    CREATE TABLE frames (first INTEGER PRIMARY KEY, last INTEGER NOT NULL, root BLOB NOT NULL, checksums BLOB NOT NULL, body BLOB NOT NULL, peaks BLOB) STRICT;
";

/// The blocks of the frames that have more than one: a frame of one block has its checksums and its body itself.
const BLOCKS: &str = "
    CREATE TABLE IF NOT EXISTS blocks (first INTEGER PRIMARY KEY, last INTEGER NOT NULL, checksums BLOB NOT NULL, body BLOB NOT NULL) STRICT;
";

/// The file and a few connections to read it.
#[derive(Debug)]
pub(crate) struct JournalFile {
    dir: PathBuf,
    path: PathBuf,
    log_path: PathBuf,
    readers: Mutex<Vec<Connection>>,
    /// Frames have the column `peaks`: the file was of format 2 when it was opened.
    pub(super) has_peaks: bool,
    pub(super) computed: ComputedTrees,
    /// The files that were opened for appending: the database, and its log once there is one.
    identity: OnceLock<FileIdentity>,
    log: OnceLock<FileIdentity>,
    /// Why they are not the files at their paths any more.
    replaced: OnceLock<String>,
}

impl JournalFile {
    fn at(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
            path: dir.join("journal.sqlite"),
            log_path: dir.join("journal.sqlite-wal"),
            readers: Mutex::default(),
            identity: OnceLock::new(),
            log: OnceLock::new(),
            replaced: OnceLock::new(),
            has_peaks: false,
            computed: ComputedTrees::default(),
        }
    }

    /// Opens the file, creating it where there is none. The caller holds the directory's lock.
    pub(super) fn open(dir: &Path, name: &str) -> Result<Self, OpenError> {
        let mut file = Self::at(dir);
        // Looked at before anything is changed in it: it may be somebody else's database, or a damaged journal.
        file.refuse_a_lost_journal()?;
        if std::fs::metadata(&file.path).is_ok_and(|found| found.len() > 0) {
            let look = |connection: &Connection| Ok((table_exists(connection)?, tables(connection)?));
            let looked = match file.connect().and_then(|connection| look(&connection)) {
                // The creation was cut short. A reader may not undo what is left of it.
                Err(error) if was_cut_short(&error) => {
                    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
                    Connection::open_with_flags(&file.path, flags).and_then(|connection| look(&connection))
                }
                looked => looked,
            };
            let (exists, tables) = looked.map_err(|error| file.judge(&error))?;
            if !exists && tables > 0 {
                return Err(file.not_a_journal("journal.sqlite is another program's database"));
            }
        }
        create_private(&file.path).map_err(|error| failed("cannot open journal.sqlite", error))?;
        tighten_database(&file.path);
        let mut connection = file.connect_to_append()?;
        let exists = table_exists(&connection).map_err(|error| file.judge(&error))?;
        if !exists {
            let mut create = || -> rusqlite::Result<()> {
                let transaction = connection.transaction()?;
                transaction.execute_batch(SCHEMA)?;
                transaction.execute_batch(BLOCKS)?;
                let empty = Tree::empty();
                transaction.execute("INSERT INTO head VALUES (1, 0, ?1, x'')", [empty.root().0])?;
                let mut insert = transaction.prepare("INSERT INTO meta VALUES (?1, ?2)")?;
                insert.execute(["format_version", &FORMAT_VERSION.to_string()])?;
                insert.execute(["journal", name])?;
                insert.execute(["journal_id", &uuid::Uuid::new_v4().to_string()])?;
                drop(insert);
                transaction.commit()
            };
            create().map_err(|error| StoreError::from(failure("cannot create the journal", &error)))?;
        }
        if file.check_meta(&connection, name)? < FORMAT_VERSION {
            upgrade(&mut connection)
                .map_err(|error| StoreError::from(failure("cannot bring the journal to this program's format", &error)))?;
        }
        // A journal of format 2 from before there were blocks.
        connection.execute_batch(BLOCKS).map_err(|error| StoreError::from(failure("cannot make the table of blocks", &error)))?;
        file.has_peaks = true;
        let identity = FileIdentity::of(&file.path).map_err(|error| failed("cannot look at journal.sqlite", error))?;
        let _ = file.identity.set(identity);
        Ok(file)
    }

    /// Opens the file for reading; it must exist.
    pub(super) fn open_read_only(dir: &Path, name: &str) -> Result<Self, OpenError> {
        let mut file = Self::at(dir);
        match std::fs::metadata(&file.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(file.not_a_journal("there is no journal.sqlite")),
            Err(error) => return Err(failed("cannot open journal.sqlite", error).into()),
            Ok(found) if found.len() == 0 => return Err(damaged("journal.sqlite is empty: it was cut off, or never written").into()),
            Ok(_) => {}
        }
        match file.look()? {
            (true, _) => {}
            (false, 0) => return Err(damaged("journal.sqlite has no tables: what was written to it is lost").into()),
            (false, _) => return Err(file.not_a_journal("journal.sqlite is another program's database")),
        }
        let format = file.read(|connection| Ok(file.check_meta(connection, name))).map_err(OpenError::from)??;
        file.has_peaks = format >= 2;
        Ok(file)
    }

    /// Whether there are frames in the file, and how many objects in all.
    fn look(&self) -> Result<(bool, i64), OpenError> {
        let looked = self.connect().and_then(|connection| Ok((table_exists(&connection)?, tables(&connection)?)));
        looked.map_err(|error| self.judge(&error))
    }

    /// A journal whose file is gone is not begun anew beside what was derived from it.
    fn refuse_a_lost_journal(&self) -> Result<(), StoreError> {
        let size = std::fs::metadata(&self.path).map_or(0, |found| found.len());
        if size > 0 {
            return Ok(());
        }
        let found = if std::fs::metadata(&self.path).is_ok() { "is empty" } else { "is missing" };
        if std::fs::metadata(beside(&self.path, "-wal")).is_ok_and(|log| log.len() > 0) {
            return Err(damaged(format!("journal.sqlite {found}, though its log journal.sqlite-wal holds records")));
        }
        let indexed = super::index::reaches(&self.dir);
        if indexed > Position::ZERO {
            return Err(damaged(format!(
                "journal.sqlite {found}, though the index beside it was built of a journal up to position {indexed}; \
                 put the journal back, or remove the directory to begin anew"
            )));
        }
        Ok(())
    }

    /// Whether the paths still lead to the files that were opened for appending.
    ///
    /// Once they did not, the answer stays: what was in the files at that time is not in those at the paths now.
    pub(super) fn check_identity(&self) -> Result<(), String> {
        if let Some(replaced) = self.replaced.get() {
            return Err(replaced.clone());
        }
        let compare = |path: &Path, opened: FileIdentity| match FileIdentity::of(path) {
            Ok(found) if found == opened => Ok(()),
            Ok(_) => Err(format!("{} was replaced by another file while it was open", path.display())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(format!("{} was removed while it was open", path.display())),
            // Not a sign of anything: the next append looks again.
            Err(_) => Ok(()),
        };
        let mut compared = self.identity.get().map_or(Ok(()), |opened| compare(&self.path, *opened));
        if compared.is_ok() {
            compared = match self.log.get() {
                Some(opened) => compare(&self.log_path, *opened),
                None => {
                    if let Ok(found) = FileIdentity::of(&self.log_path) {
                        let _ = self.log.set(found);
                    }
                    Ok(())
                }
            };
        }
        compared.map_err(|what| {
            let what = format!("{what}: nothing is acknowledged until a restart with the right file");
            tracing::error!(what, "the journal's file is not at its path any more");
            self.replaced.get_or_init(|| what).clone()
        })
    }

    /// Leaves the log where it is when the last connection closes: by its name it may belong to another file by now.
    pub(super) fn leave_log(connection: &Connection) {
        if let Err(error) = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true) {
            tracing::warn!(%error, "the log of a file that was replaced may be removed when it is closed");
        }
    }

    /// The one connection that appends: synchronous to the disk, with a write-ahead log.
    pub(super) fn connect_to_append(&self) -> Result<Connection, OpenError> {
        let connect = || -> rusqlite::Result<Connection> {
            let connection = Connection::open(&self.path)?;
            connection.busy_timeout(Duration::from_secs(10))?;
            connection.pragma_update(None, "journal_mode", "wal")?;
            // FULL: a commit has reached the disk before it returns.
            connection.pragma_update(None, "synchronous", "full")?;
            // 64 MiB between checkpoints: each costs two more fsyncs.
            connection.pragma_update(None, "wal_autocheckpoint", 16_384)?;
            connection.pragma_update(None, "journal_size_limit", 256 << 20)?;
            Ok(connection)
        };
        connect().map_err(|error| self.judge(&error))
    }

    /// The tree at the head, as stored; its root must be the root that the head row states.
    pub(super) fn tree(&self) -> Result<Tree, StoreError> {
        self.read(|connection| {
            let row = connection.query_row("SELECT position, root, peaks FROM head WHERE id = 1", [], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?, row.get::<_, Vec<u8>>(2)?))
            });
            let (position, root, peaks) = row.map_err(|error| read_failure("the head", Position::ZERO, &error))?;
            let size = u64::try_from(position)
                .map_err(|_| Corruption::new(Position::ZERO, format!("the head's position is stored as {position}")))?;
            let position = Position::new(size);
            let peaks: Option<Vec<Hash>> = peaks.chunks(32).map(Hash::from_slice).collect();
            let tree = peaks
                .and_then(|peaks| Tree::from_parts(size, peaks))
                .ok_or_else(|| Corruption::new(position, "the head's peaks do not fit its position"))?;
            if Hash::from_slice(&root) != Some(tree.root()) {
                return Err(
                    Corruption::new(position, format!("the head's peaks give the root {}, not the one it states", tree.root())).into()
                );
            }
            Ok(tree)
        })
    }

    /// The frame that holds a position, unpacked as far as it can be.
    pub(super) fn read_batch(&self, position: Position) -> Result<Option<StoredBatch>, StoreError> {
        self.read(|connection| {
            let Some(mut frame) = frame(connection, position)? else { return Ok(None) };
            if !frame.has_blocks() {
                return Ok(Some(frame.batch));
            }
            frame.batch.checksums.clear();
            let mut next = frame.batch.first;
            while next <= frame.batch.last {
                let block = block(connection, &frame.batch, next)?;
                if block.first != next {
                    let what = format!("the blocks from {} and up to {} overlap", block.first, next.get() - 1);
                    return Err(Corruption::new(next, what).into());
                }
                // What a damaged block lacks is missing here as well: the checksums say where.
                frame.batch.checksums.extend(block.checksums);
                frame.batch.lines.extend(block.lines);
                next = block.last.next();
            }
            Ok(Some(frame.batch))
        })
    }

    /// The block that holds a position: of the frame that holds it, the part that is packed by itself.
    pub(super) fn read_block(&self, position: Position) -> Result<Option<StoredBatch>, StoreError> {
        self.read(|connection| {
            let Some(frame) = frame(connection, position)? else { return Ok(None) };
            if frame.has_blocks() { block(connection, &frame.batch, position).map(Some) } else { Ok(Some(frame.batch)) }
        })
    }

    /// The last position at which a record of format 1 may stand; `head` is where the journal ends.
    pub(super) fn format_1_until(&self, head: Position) -> Result<Position, StoreError> {
        self.read(|connection| {
            let value = |key: &str| {
                let value = connection.query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get::<_, String>(0));
                value.optional().map_err(|error| read_failure("the format", Position::ZERO, &error))
            };
            match value(FORMAT_1_UNTIL)? {
                Some(until) => until
                    .parse()
                    .map(Position::new)
                    .map_err(|_| Corruption::new(Position::ZERO, format!("{FORMAT_1_UNTIL} is {until:?}, not a position")).into()),
                None if value("format_version")?.as_deref() == Some("1") => Ok(head),
                None => Ok(Position::ZERO),
            }
        })
    }

    /// What the journal was named by when it was made, unlike every other journal.
    pub(super) fn journal_id(&self) -> Result<String, StoreError> {
        self.read(|connection| {
            let id = connection.query_row("SELECT value FROM meta WHERE key = 'journal_id'", [], |row| row.get(0));
            id.map_err(|error| read_failure("journal_id in the table meta", FIRST, &error))
        })
    }

    /// The directory that the file is in.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Bytes on disk: (journal and its log, everything derived).
    pub(super) fn disk_bytes(&self) -> (u64, u64) {
        let size = |name: &str| std::fs::metadata(self.dir.join(name)).map_or(0, |file| file.len());
        (size("journal.sqlite") + size("journal.sqlite-wal"), size("index.sqlite") + size("index.sqlite-wal"))
    }

    pub(super) fn read<T>(&self, with: impl FnOnce(&Connection) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let idle = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let connection = match idle {
            Some(connection) => connection,
            None => {
                let connection = self.connect().map_err(|error| failed("cannot open journal.sqlite", error))?;
                // What stands at the path now may be another history.
                self.check_identity().map_err(|what| failed("cannot read the journal", what))?;
                connection
            }
        };
        let answer = with(&connection);
        super::keep(&self.readers, connection);
        answer
    }

    fn connect(&self) -> rusqlite::Result<Connection> {
        let connection = connect_read_only(&self.path)?;
        super::prepare_reader(&connection)?;
        Ok(connection)
    }

    /// What an error says of the file that was met before anything else was known of it.
    fn judge(&self, error: &rusqlite::Error) -> OpenError {
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase) if !is_ours(&self.path) => self.not_a_journal(error),
            _ => read_failure("journal.sqlite", FIRST, error).into(),
        }
    }

    /// The format of a file that this program can read and that has this name.
    fn check_meta(&self, connection: &Connection, name: &str) -> Result<u32, OpenError> {
        let value = |key: &str| {
            connection
                .query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get::<_, String>(0))
                .map_err(|error| OpenError::from(read_failure(&format!("{key} in the table meta"), FIRST, &error)))
        };
        let format = value("format_version")?;
        let format: u32 =
            format.parse().map_err(|_| damaged(format!("format_version in the table meta is {format:?}, which is no number")))?;
        if format == 0 {
            return Err(damaged("format_version in the table meta is 0, and the first format is 1").into());
        }
        if format > FORMAT_VERSION {
            return Err(OpenError::NewerFormat { dir: self.dir.clone(), found: format, supported: FORMAT_VERSION });
        }
        let found = value("journal")?;
        if found != name {
            return Err(OpenError::OtherJournal { dir: self.dir.clone(), found, wanted: name.to_owned() });
        }
        Ok(format)
    }

    fn not_a_journal(&self, reason: impl ToString) -> OpenError {
        OpenError::NotAJournal { dir: self.dir.clone(), reason: reason.to_string() }
    }
}

/// Gives a journal the id of the one that it was made of.
pub(super) fn set_journal_id(connection: &Connection, id: &str) -> Result<(), StoreError> {
    let updated = connection.execute("UPDATE meta SET value = ?1 WHERE key = 'journal_id'", [id]);
    updated.map(drop).map_err(|error| failed("cannot write journal_id", error))
}

/// A row of `frames`, with the records where they stand in it.
struct Frame {
    batch: StoredBatch,
    packed: usize,
}

impl Frame {
    /// Nothing packs to nothing: then the records stand in `blocks`.
    fn has_blocks(&self) -> bool {
        self.packed == 0
    }
}

/// The frame that holds a position.
fn frame(connection: &Connection, position: Position) -> Result<Option<Frame>, StoreError> {
    let wanted = i64::try_from(position.get()).unwrap_or(i64::MAX);
    let mut select = connection
        .prepare_cached("SELECT first, last, checksums, body, root FROM frames WHERE first <= ?1 ORDER BY first DESC LIMIT 1")
        .map_err(|error| read_failure("a frame", position, &error))?;
    let row = select.query_row([wanted], |row| {
        let packed = row.get_ref(3)?.as_blob()?.len();
        // A root of another length is another root than any that will be computed.
        let root = Hash::from_slice(row.get_ref(4)?.as_blob()?).unwrap_or(Hash([0; 32]));
        Ok((packed, row.get::<_, i64>(1)?, records(row, Some(root))?))
    });
    let row = row.optional().map_err(|error| read_failure("a frame", position, &error))?;
    let Some((packed, _, batch)) = row.filter(|(_, last, _)| *last >= wanted) else { return Ok(None) };
    let batch = batch.map_err(|(first, last)| Corruption::new(position, format!("a frame is stored as one from {first} to {last}")))?;
    if batch.first > position {
        let what = format!("the file's pages are out of order: the frame from {} to {} is found in its place", batch.first, batch.last);
        return Err(Corruption::new(position, what).into());
    }
    Ok(Some(Frame { batch, packed }))
}

/// The block of a frame that holds a position.
fn block(connection: &Connection, frame: &StoredBatch, position: Position) -> Result<StoredBatch, StoreError> {
    let failed = |error: &rusqlite::Error| read_failure("a block", position, error);
    let mut select = connection
        .prepare_cached("SELECT first, last, checksums, body FROM blocks WHERE first <= ?1 ORDER BY first DESC LIMIT 1")
        .map_err(|error| failed(&error))?;
    let found = select.query_row([position.get() as i64], |row| records(row, None)).optional().map_err(|error| failed(&error))?;
    let is_in_frame = |block: &StoredBatch| frame.first <= block.first && block.last <= frame.last;
    let holds = |block: &StoredBatch| block.first <= position && position <= block.last;
    let what = || format!("no block of the frame from {} to {} holds it", frame.first, frame.last);
    let mut block =
        found.and_then(Result::ok).filter(|block| is_in_frame(block) && holds(block)).ok_or_else(|| Corruption::new(position, what()))?;
    if block.last == frame.last {
        block.root = frame.root;
    }
    Ok(block)
}

/// The records of a row of `frames` or `blocks`, or its first and last position where these are none.
fn records(row: &Row<'_>, root: Option<Hash>) -> rusqlite::Result<Result<StoredBatch, (i64, i64)>> {
    let (first, last) = (row.get(0)?, row.get(1)?);
    let (Ok(begin), Ok(end)) = (u64::try_from(first), u64::try_from(last)) else { return Ok(Err((first, last))) };
    // Four bytes each; what is left over counts as one more, so that it is noticed.
    let checksums = row.get_ref(2)?.as_blob()?.chunks(4).map(|bytes| bytes.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte)));
    Ok(Ok(StoredBatch {
        first: Position::new(begin),
        last: Position::new(end),
        root,
        checksums: checksums.collect(),
        lines: unpack(row.get_ref(3)?.as_blob()?),
    }))
}

/// Makes a file of format 1 one of format 2. What stands in it stays as it is; `format_1_until` says how far that goes.
fn upgrade(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    transaction.execute_batch(&format!(
        "ALTER TABLE frames ADD COLUMN peaks BLOB;
         INSERT INTO meta SELECT 'format_1_until', CAST(position AS TEXT) FROM head WHERE id = 1;
         UPDATE meta SET value = '{FORMAT_VERSION}' WHERE key = 'format_version'"
    ))?;
    transaction.commit()
}

/// The first position of every journal: where damage begins that concerns the file as a whole.
const FIRST: Position = Position::new(1);

/// The file as a whole is damaged.
fn damaged(what: impl Into<String>) -> StoreError {
    Corruption::new(FIRST, what).into()
}

/// Whether a file that SQLite does not take for a database was a journal: then it is damaged, otherwise another thing.
///
/// The text of the schema stands in the first page, and the lock and the index stand beside it.
fn is_ours(path: &Path) -> bool {
    const SCHEMA_TEXT: &[u8] = b"CREATE TABLE frames (first INTEGER PRIMARY KEY";
    let mut beginning = Vec::new();
    let read = File::open(path).and_then(|file| file.take(64 << 10).read_to_end(&mut beginning));
    let has_schema = read.is_ok() && beginning.windows(SCHEMA_TEXT.len()).any(|window| window == SCHEMA_TEXT);
    let has_header = beginning.starts_with(b"SQLite format 3\0");
    let has_company = path.parent().is_some_and(|dir| dir.join("cauri.lock").exists() && dir.join("index.sqlite").exists());
    has_schema || has_header || has_company
}

/// Packs batches. Making its context takes longer than packing a small batch, so it is kept.
pub(super) struct Packer(Compressor<'static>);

impl Packer {
    pub(super) fn new() -> Result<Self, StoreError> {
        Compressor::new(ZSTD_LEVEL).map(Self).map_err(|error| failed("cannot pack batches", error))
    }

    fn pack(&mut self, block: &Block<'_>) -> Result<PackedBlock, StoreError> {
        Ok(PackedBlock {
            first: block.first,
            last: block.last,
            checksums: block.checksums.iter().flat_map(|checksum| checksum.to_be_bytes()).collect(),
            body: self.0.compress(block.lines).map_err(|error| failed("cannot pack the batch", error))?,
        })
    }
}

/// A block as it is stored.
struct PackedBlock {
    first: Position,
    last: Position,
    checksums: Vec<u8>,
    body: Vec<u8>,
}

impl fmt::Debug for Packer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Packer")
    }
}

/// A batch that was not appended, or of which that is not known.
#[derive(Debug)]
pub(super) struct NotAppended {
    pub(super) error: StoreError,
    /// SQLite found no room for it.
    pub(super) is_full: bool,
}

impl<E: Into<StoreError>> From<E> for NotAppended {
    fn from(error: E) -> Self {
        Self { error: error.into(), is_full: false }
    }
}

/// Appends a batch and moves the head, in one transaction that has reached the disk when this returns.
pub(super) fn append(connection: &mut Connection, packer: &mut Packer, expected: &Head, batch: &Batch) -> Result<(), NotAppended> {
    check_readable(batch.lines().len() as u64)?;
    let mut blocks = batch.blocks().map(|block| packer.pack(&block)).collect::<Result<Vec<_>, _>>()?;
    // One block needs no row of its own.
    let own = if blocks.len() == 1 { blocks.pop() } else { None };
    let (checksums, body) = own.map_or_else(Default::default, |own| (own.checksums, own.body));
    let peaks: Vec<u8> = batch.tree().peaks().iter().flat_map(|peak| peak.0).collect();
    let (first, head) = (batch.first().get() as i64, batch.head());
    let last = head.position.get() as i64;
    let frame_peaks = keeps_peaks(batch.first(), head.position).then_some(peaks.as_slice());

    let is_full = |error: &rusqlite::Error| error.sqlite_error_code() == Some(ErrorCode::DiskFull);
    let before_commit =
        |error: rusqlite::Error| NotAppended { is_full: is_full(&error), error: failure("the batch was not written", &error).into() };
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate).map_err(before_commit)?;
    let moved = transaction
        .prepare_cached("UPDATE head SET position = ?1, root = ?2, peaks = ?3 WHERE id = 1 AND position = ?4 AND root = ?5")
        .and_then(|mut update| update.execute(params![last, head.root.0, peaks, expected.position.get() as i64, expected.root.0]))
        .map_err(before_commit)?;
    if moved != 1 {
        // The lock keeps every other Cauri away: somebody changed the file by other means.
        return Err(Corruption::new(expected.position, "the head on disk is not the head that this process left there").into());
    }
    transaction
        .prepare_cached("INSERT INTO frames (first, last, root, checksums, body, peaks) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")
        .and_then(|mut insert| insert.execute(params![first, last, head.root.0, checksums, body, frame_peaks]))
        .map_err(before_commit)?;
    if !blocks.is_empty() {
        let insert = "INSERT INTO blocks (first, last, checksums, body) VALUES (?1, ?2, ?3, ?4)";
        let mut insert = transaction.prepare_cached(insert).map_err(before_commit)?;
        for PackedBlock { first, last, checksums, body } in blocks {
            insert.execute(params![first.get() as i64, last.get() as i64, checksums, body]).map_err(before_commit)?;
        }
    }
    if batch.has_format_1() {
        transaction
            .prepare_cached("INSERT OR REPLACE INTO meta VALUES (?1, ?2)")
            .and_then(|mut insert| insert.execute(params![FORMAT_1_UNTIL, last.to_string()]))
            .map_err(before_commit)?;
    }
    transaction.commit().map_err(|error| {
        let is_busy = matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked));
        if is_full(&error) || is_busy {
            // The record that ends a commit in the log was never written.
            before_commit(error)
        } else {
            Failure::Unknown(format!("the disk did not confirm the batch: {error}")).into()
        }
    })
}

/// Writes so many bytes into the log and takes them back, to learn whether a batch of that size could be appended.
pub(super) fn probe(connection: &Connection, bytes: usize) -> rusqlite::Result<()> {
    let write = || -> rusqlite::Result<()> {
        // With a cache of no size pages are written as they are made, not when they are committed.
        connection.execute_batch("PRAGMA cache_size = 1; BEGIN IMMEDIATE")?;
        connection.execute(
            "INSERT INTO frames (first, last, root, checksums, body) VALUES (?1, 0, x'', x'', zeroblob(?2))",
            params![i64::MAX, bytes as i64],
        )?;
        Ok(())
    };
    let written = write();
    // Where nothing was begun, or SQLite has rolled back by itself, there is nothing to roll back.
    let rolled_back = if connection.is_autocommit() { Ok(()) } else { connection.execute_batch("ROLLBACK") };
    let restored = connection.execute_batch("PRAGMA cache_size = -2000");
    written.and(rolled_back).and(restored)
}

/// A batch that no reader would unpack to its end must not be written: it would read as corruption for ever.
fn check_readable(size: u64) -> Result<(), Failure> {
    if size > MAX_UNPACKED {
        return Err(Failure::NotDone(format!("a batch of {size} bytes could not be read again: one may have {MAX_UNPACKED}")));
    }
    Ok(())
}

/// A transaction from before the write-ahead log, while the file was being created, waits to be rolled back.
fn was_cut_short(error: &rusqlite::Error) -> bool {
    error.sqlite_error().is_some_and(|error| error.extended_code == rusqlite::ffi::SQLITE_READONLY_ROLLBACK)
}

fn table_exists(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'frames'", [], |row| Ok(row.get::<_, i64>(0)? == 1))
}

fn tables(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
}

thread_local! {
    /// A context for unpacking, kept because making one costs as much as unpacking a block; none where there was no memory.
    static UNPACKER: RefCell<Option<Decompressor<'static>>> = RefCell::new(Decompressor::new().ok());
}

/// Unpacks as much as can be unpacked: `check` then names the first record that is missing.
fn unpack(body: &[u8]) -> Vec<u8> {
    let claimed = zstd::zstd_safe::get_frame_content_size(body).ok().flatten().filter(|size| *size <= MAX_UNPACKED);
    let whole = claimed.and_then(|size| UNPACKER.with_borrow_mut(|unpacker| unpacker.as_mut()?.decompress(body, size as usize).ok()));
    if let Some(lines) = whole {
        return lines;
    }
    let mut lines = Vec::with_capacity(claimed.unwrap_or(0) as usize);
    if let Ok(decoder) = zstd::stream::Decoder::new(body) {
        // What was unpacked before an error stays in `lines`; the checksums judge it.
        let _ = decoder.take(MAX_UNPACKED).read_to_end(&mut lines);
    }
    lines
}

fn failure(what: &str, error: &rusqlite::Error) -> Failure {
    Failure::NotDone(format!("{what}: {error}"))
}

/// Reading failed: damage in the file is corruption, anything else a failure.
pub(super) fn read_failure(what: &str, position: Position, error: &rusqlite::Error) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            Corruption::new(position, format!("{what} cannot be read: {error}")).into()
        }
        Some(_) => failed(&format!("cannot read {what}"), error),
        // No row, or a value of another type.
        None => Corruption::new(position, format!("{what} cannot be read: {error}")).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_read_again_is_not_written() {
        assert!(check_readable(MAX_UNPACKED).is_ok());
        assert!(matches!(check_readable(MAX_UNPACKED + 1), Err(Failure::NotDone(why)) if why.contains("1073741825")));
    }
}
