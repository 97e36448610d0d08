//! A journal written anew in today's format: the same records, positions, batches and roots, in today's blocks.

use std::path::Path;

use cauri_event_schemas::Position;

use super::{EmbeddedStore, OpenError};
use crate::batch::Batch;
use crate::port::{Appended, Corruption, EventStore, Failure, Head, StoreError};

impl EmbeddedStore {
    /// Writes the journal `name` of the directory `from` into the directory `to`, up to the head that it has by then.
    ///
    /// Where `to` holds the beginning of the same journal already, because an earlier run was cut short or because
    /// records were appended meanwhile, it is continued. `progress` is called with each position that was reached.
    ///
    /// # Errors
    /// [`OpenError::NotAJournal`] where `to` holds another journal, and a corruption where the records of `from` do not have
    /// their checksums or do not give the stored roots: a damaged journal is not copied as a sound one.
    pub fn repack(from: &Path, to: &Path, name: &str, mut progress: impl FnMut(Position)) -> Result<Head, OpenError> {
        let source = Self::open_read_only(from, name)?;
        let target = Self::open(to, name)?;
        let before = target.head()?;
        if source.root_at(before.position)? != Some(before.root) {
            let reason = format!("{} holds another journal of that name, with {before}", to.display());
            return Err(OpenError::NotAJournal { dir: to.to_owned(), reason });
        }
        target.take_identity(&source)?;
        let mut next = before.position.next();
        while let Some(stored) = source.read_checked(next)? {
            let mut batch = Batch::after(target.tree()?);
            for record in stored.records() {
                batch
                    .push_bytes(record.bytes())
                    .map_err(|error| StoreError::from(Corruption::new(record.position(), error.to_string())))?;
            }
            let head = batch.head();
            if stored.root() != Some(head.root) {
                let what = format!("the records up to here give the root {}, which is not the one stored with them", head.root);
                return Err(StoreError::from(Corruption::new(head.position, what)).into());
            }
            if let Appended::Conflict(found) = target.append(target.head()?, &batch)? {
                let what = format!("somebody else appends to {}: its head is at {found}", to.display());
                return Err(StoreError::from(Failure::NotDone(what)).into());
            }
            progress(head.position);
            next = head.position.next();
        }
        Ok(target.head()?)
    }

    /// A journal that was written anew is still the same journal.
    fn take_identity(&self, source: &Self) -> Result<(), StoreError> {
        let id = source.journal.journal_id()?;
        match self.writer() {
            Some(writer) => super::journal::set_journal_id(&writer.connection, &id),
            None => Ok(()),
        }
    }
}
