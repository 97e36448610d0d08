//! Snapshots in `index.sqlite`: cut into chunks, so that none is larger than a value of SQLite may be.

use cauri_event_schemas::Position;
use rusqlite::{Connection, Row, params};

use super::file::damage;
use crate::embedded::journal::JournalFile;
use crate::merkle::Hash;
use crate::port::{Head, Snapshot};

/// Bytes of the state in one chunk, before they are packed. SQLite takes values up to 1 GB.
const CHUNK: usize = 16 << 20;
/// How many are kept.
const KEPT: i64 = 2;

/// Keeps a snapshot and drops old ones.
pub(super) fn save(connection: &mut Connection, snapshot: &Snapshot) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    let position = snapshot.head.position.get() as i64;
    drop_at(&transaction, position)?;
    let chunks = snapshot.state.chunks(CHUNK);
    transaction.execute("INSERT INTO snapshots VALUES (?1, ?2, ?3)", params![position, snapshot.head.root.0, chunks.len()])?;
    for (number, chunk) in chunks.enumerate() {
        let packed = zstd::bulk::compress(chunk, 1).map_err(|error| damage(&format!("cannot pack the snapshot: {error}")))?;
        transaction.execute(
            "INSERT INTO snapshot_chunks VALUES (?1, ?2, ?3, ?4)",
            params![position, number, i64::from(crc32fast::hash(&packed)), packed],
        )?;
    }
    let old = "position NOT IN (SELECT position FROM snapshots ORDER BY position DESC LIMIT ?1)";
    transaction.execute(&format!("DELETE FROM snapshot_chunks WHERE {old}"), [KEPT])?;
    transaction.execute(&format!("DELETE FROM snapshots WHERE {old}"), [KEPT])?;
    transaction.commit()
}

/// The newest whose bytes are whole.
pub(super) fn latest(connection: &Connection) -> rusqlite::Result<Option<Snapshot>> {
    for Kept { position, root, chunks } in kept(connection)? {
        if let (Ok(Some(state)), Some(root)) = (state_at(connection, position, chunks), Hash::from_slice(&root)) {
            return Ok(Some(Snapshot { head: Head { position: Position::new(position.unsigned_abs()), root }, state }));
        }
        tracing::warn!(position, "a damaged snapshot is passed over");
    }
    Ok(None)
}

/// Drops those of another history. Those beyond the head would otherwise be kept instead of newer ones before it.
pub(super) fn drop_foreign(connection: &Connection, journal: &JournalFile) {
    // A snapshot is a cache: one that cannot be read is one that is not there.
    for Kept { position, root, .. } in kept(connection).unwrap_or_default() {
        // Whoever reads a journal that is damaged there meets the same error.
        let Ok(found) = journal.root_at(Position::new(position.unsigned_abs())) else { continue };
        if found.is_some() && found == Hash::from_slice(&root) {
            continue;
        }
        tracing::warn!(position, "a snapshot of another history of the journal is dropped");
        if let Err(error) = drop_at(connection, position) {
            // The engine compares a snapshot again before it uses it.
            tracing::warn!(%error, position, "the snapshot was not dropped");
        }
    }
}

/// A snapshot without its state.
struct Kept {
    position: i64,
    root: Vec<u8>,
    chunks: usize,
}

/// The snapshots, the newest first.
fn kept(connection: &Connection) -> rusqlite::Result<Vec<Kept>> {
    let mut select = connection.prepare("SELECT position, root, chunks FROM snapshots ORDER BY position DESC")?;
    select.query_map([], |row| Ok(Kept { position: row.get(0)?, root: row.get(1)?, chunks: row.get(2)? }))?.collect()
}

/// The state of the snapshot at a position; none where a chunk is damaged or missing.
fn state_at(connection: &Connection, position: i64, chunks: usize) -> rusqlite::Result<Option<Vec<u8>>> {
    let mut select = connection.prepare("SELECT checksum, state FROM snapshot_chunks WHERE position = ?1 ORDER BY number")?;
    let (mut rows, mut state, mut read) = (select.query([position])?, Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let Some(chunk) = unpacked(row)? else { return Ok(None) };
        state.extend_from_slice(&chunk);
        read += 1;
    }
    Ok((read == chunks).then_some(state))
}

fn unpacked(row: &Row<'_>) -> rusqlite::Result<Option<Vec<u8>>> {
    let (checksum, packed): (i64, Vec<u8>) = (row.get(0)?, row.get(1)?);
    let is_whole = i64::from(crc32fast::hash(&packed)) == checksum;
    Ok(if is_whole { zstd::bulk::decompress(&packed, CHUNK).ok() } else { None })
}

fn drop_at(connection: &Connection, position: i64) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM snapshot_chunks WHERE position = ?1", [position])?;
    connection.execute("DELETE FROM snapshots WHERE position = ?1", [position])?;
    Ok(())
}
