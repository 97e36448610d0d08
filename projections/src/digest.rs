//! Digests: what a read model's rows say, as one hash, so that a live one can be compared with a replay.
//!
//! The digest is SHA-256 over a text. For each table of the read model, in a fixed order, a line `table`, a tab and
//! the table's name; then each row in the order of its key as one line, its columns in
//! order, separated by tabs: integers in decimal, blobs as lower-case hexadecimal digits, nulls as `\N`, texts as
//! they are with `\`, tab and line feed written `\\`, `\t` and `\n`. So it does not depend on batches, restarts
//! or how a store lays out its pages, and anyone can compute it with the `sqlite3` shell.

use std::fmt;
use std::sync::Arc;

use cauri_event_schemas::Position;
use cauri_event_schemas::ledger::Recorded;
use cauri_event_store::Hash;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};
use sha2::{Digest as _, Sha256};

use crate::GROUPS;
use crate::feed::Feed;
use crate::file::{in_transaction, open_temporary};
use crate::projector::{Group, ModelError, ReadModel};

/// Events of one transaction of a replay.
const REPLAY_BATCH: usize = 50_000;

/// What a read model says at a position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelDigest {
    /// The read model.
    pub name: &'static str,
    /// The revision of the projector.
    pub revision: u32,
    /// It shows everything up to here.
    pub position: Position,
    /// The digest of its rows.
    pub digest: Hash,
    /// Why it shows no more, where an event could not be projected: the event's position and what was wrong.
    pub stopped: Option<(Position, String)>,
}

impl fmt::Display for ModelDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at position {} has digest {}", self.name, self.position, self.digest)
    }
}

/// A replay that gave no digests.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError<E> {
    /// The journal could not be read.
    #[error("the journal cannot be replayed: {0}")]
    Journal(E),
    /// The temporary database could not be written.
    #[error("the replay's own database failed: {0}")]
    Failure(String),
}

/// Builds every read model from the events up to `upto` in a database of its own and gives their digests, by name.
///
/// `events` begin with the journal's first; the first beyond `upto` ends them. The database is a temporary file of
/// SQLite's and disappears with the call. A read model that cannot project an event is digested as it stands before
/// it, as the runner would have stopped it.
pub fn digest_of_replay<E>(
    events: impl IntoIterator<Item = Result<Recorded, E>>,
    upto: Position,
) -> Result<Vec<ModelDigest>, ReplayError<E>> {
    replay(&GROUPS, events, upto)
}

fn replay<E>(
    groups: &'static [Group],
    events: impl IntoIterator<Item = Result<Recorded, E>>,
    upto: Position,
) -> Result<Vec<ModelDigest>, ReplayError<E>> {
    let failure = |error: rusqlite::Error| ReplayError::Failure(error.to_string());
    let begun: rusqlite::Result<Vec<(Connection, Feed, &Group)>> = groups
        .iter()
        .map(|group| {
            let db = open_temporary()?;
            group.models.iter().try_for_each(|model| model.create(&db))?;
            let feed = Feed::load(&db, group, false, Position::ZERO, None)?;
            Ok((db, feed, group))
        })
        .collect();
    let mut begun = begun.map_err(failure)?;
    let mut batch: Vec<Recorded> = Vec::new();
    for event in events {
        let event = event.map_err(ReplayError::Journal)?;
        if event.position > upto {
            break;
        }
        if batch.len() >= REPLAY_BATCH && batch.last().is_some_and(|last| last.position != event.position) {
            write(&mut begun, std::mem::take(&mut batch)).map_err(failure)?;
        }
        batch.push(event);
    }
    write(&mut begun, batch).map_err(failure)?;
    let mut digests = Vec::new();
    for (db, feed, group) in &mut begun {
        in_transaction(db, |db| feed.complete(db)).map_err(|error: ModelError| ReplayError::Failure(error.to_string()))?;
        for model in group.models {
            digests.push(ModelDigest {
                name: model.name,
                revision: model.revision,
                position: feed.position(),
                digest: digest(db, model, &|| false).map_err(failure)?,
                stopped: feed.stopped().map(|stopped| (stopped.at.position, stopped.at.reason.clone())),
            });
        }
    }
    Ok(digests)
}

fn write(begun: &mut [(Connection, Feed, &Group)], events: Vec<Recorded>) -> rusqlite::Result<()> {
    let events = Arc::new(events);
    for (db, feed, _) in begun {
        feed.stage(events.clone());
        in_transaction(db, |db| feed.write(db))?;
        drop(feed.release());
    }
    Ok(())
}

/// The digest of a read model's rows, unless nobody wants it any more.
pub(crate) fn digest(db: &Connection, model: &ReadModel, unwanted: &dyn Fn() -> bool) -> rusqlite::Result<Hash> {
    let mut hasher = Sha256::new();
    let mut text: Vec<u8> = Vec::with_capacity(1 << 17);
    for table in model.tables {
        text.extend_from_slice(b"table\t");
        text.extend_from_slice(table.name.as_bytes());
        text.push(b'\n');
        let mut statement = db.prepare(&table.select_all())?;
        let columns = statement.column_count();
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            write_row(&mut text, row, columns)?;
            if text.len() > 1 << 16 {
                hasher.update(&text);
                text.clear();
                if unwanted() {
                    let interrupted = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_INTERRUPT);
                    return Err(rusqlite::Error::SqliteFailure(interrupted, Some("nobody wants the digest any more".into())));
                }
            }
        }
    }
    hasher.update(&text);
    Ok(Hash(hasher.finalize().into()))
}

fn write_row(text: &mut Vec<u8>, row: &Row<'_>, columns: usize) -> rusqlite::Result<()> {
    for column in 0..columns {
        if column > 0 {
            text.push(b'\t');
        }
        match row.get_ref(column)? {
            ValueRef::Null => text.extend_from_slice(b"\\N"),
            ValueRef::Integer(number) => write_number(text, number),
            ValueRef::Text(value) => value.iter().for_each(|byte| match byte {
                b'\\' => text.extend_from_slice(b"\\\\"),
                b'\t' => text.extend_from_slice(b"\\t"),
                b'\n' => text.extend_from_slice(b"\\n"),
                byte => text.push(*byte),
            }),
            ValueRef::Blob(bytes) => bytes.iter().for_each(|byte| {
                text.extend([b"0123456789abcdef"[usize::from(byte >> 4)], b"0123456789abcdef"[usize::from(byte & 15)]]);
            }),
            ValueRef::Real(number) => {
                return Err(crate::stored::unknown(column, format!("{number}: no column of a read model holds a float")));
            }
        }
    }
    text.push(b'\n');
    Ok(())
}

fn write_number(text: &mut Vec<u8>, number: i64) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    let mut rest = number.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if number < 0 {
        text.push(b'-');
    }
    text.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_rust_writes_them() {
        for number in [0, 7, -1, 10, 1_000_000, i64::MAX, i64::MIN] {
            let mut text = Vec::new();
            write_number(&mut text, number);
            assert_eq!(String::from_utf8(text), Ok(number.to_string()));
        }
    }
}
