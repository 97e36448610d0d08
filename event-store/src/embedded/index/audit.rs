//! Reads everything that the server would read of an index, and names what is wrong with it.

use std::path::Path;

use rusqlite::Connection;

use super::file::{indexed_to, is_damage, open_read_only, seed_of};
use super::{DAMAGED, check_history, run};
use crate::embedded::failed;
use crate::embedded::journal::JournalFile;
use crate::port::StoreError;

/// What an audit of an index found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IndexAudit {
    /// Runs that were read.
    pub runs: usize,
    /// Chunks that were read.
    pub chunks: usize,
    /// What is wrong, in words; nothing where the index is whole.
    pub damage: Vec<String>,
}

/// Reads the whole index of a journal: shape, manifest, filters, every chunk with its checksum, and whose history it is.
pub(crate) fn audit(dir: &Path, journal: &JournalFile) -> Result<IndexAudit, StoreError> {
    let mut found = IndexAudit::default();
    if let Ok(why) = std::fs::read_to_string(dir.join(DAMAGED)) {
        found.damage.push(format!("the server found it damaged: {why}").trim_end_matches([':', ' ']).to_owned());
    }
    let read = open_read_only(&dir.join("index.sqlite")).and_then(|connection| read(&connection, journal, &mut found));
    match read {
        Ok(()) => Ok(found),
        Err(error) if is_damage(&error) => {
            found.damage.push(error.to_string());
            Ok(found)
        }
        Err(error) => Err(failed("the index cannot be read", error)),
    }
}

fn read(connection: &Connection, journal: &JournalFile, found: &mut IndexAudit) -> rusqlite::Result<()> {
    // One reading of everything: the server may be merging runs away.
    connection.execute_batch("BEGIN")?;
    seed_of(connection)?;
    let (reaches, root) = indexed_to(connection)?;
    if let Err(error) = check_history(journal, reaches, root) {
        found.damage.push(error.to_string());
    }
    let runs = run::load_in(connection)?;
    found.runs = runs.len();
    for run in &runs {
        for chunk in 0..run.chunks() {
            found.chunks += 1;
            if let Err(error) = run.check_chunk(connection, chunk, reaches) {
                if !is_damage(&error) {
                    return Err(error);
                }
                found.damage.push(format!("chunk {chunk} of run {}: {error}", run.number));
            }
        }
    }
    connection.execute_batch("COMMIT")
}
