//! What a read model is: a pure projector, the rows it changes, and their tables; and which read models stand together.

use std::fmt;

use cauri_event_schemas::Position;
use cauri_event_schemas::ledger::{Recorded, StreamId};
use rusqlite::Connection;

use crate::table::Table;

/// Read models that one answer joins in one object: one transaction, one position, one file, one writer.
///
/// A group is what is built, rebuilt, stopped and waited for. Groups know nothing of each other.
pub(crate) struct Group {
    /// Its name, which begins its files' names.
    pub(crate) name: &'static str,
    /// Its read models.
    pub(crate) models: &'static [ReadModel],
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// A pure function from events to changes of rows. It reads no clock, file or table: what it needs to know of
/// earlier events stands in its changes, which are the same after any restart and after any cut into batches.
pub(crate) trait Projector: 'static {
    /// The read model's name: what the metrics and the manual call it.
    const NAME: &'static str;
    /// Raise it when the same events shall give other rows: the group is then rebuilt beside the live one.
    const REVISION: u32;
    /// The oldest revision whose tables today's program can still read and go on with while it builds new ones.
    const COMPATIBLE_SINCE: u32;
    /// The types of event that change its rows; it is given no others. A test gives it every type there is and sees that it
    /// reads all of these; `docs/reference/read-models.md` is made of them.
    const READS: Reads;
    /// What events change, until it is written.
    type Changes: Changes;

    /// Adds what one event changes.
    fn project(event: &Recorded, changes: &mut Self::Changes) -> Result<(), Unprojectable>;
}

/// Which types of event a projector reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// Every type, also of events that are added later.
    Every,
    /// These.
    Only(&'static [&'static str]),
}

impl Reads {
    /// Whether a type is read.
    pub fn contains(self, event_type: &str) -> bool {
        match self {
            Reads::Every => true,
            Reads::Only(types) => types.contains(&event_type),
        }
    }
}

/// Rows waiting to be written, and what the next event needs to know of all earlier ones.
pub(crate) trait Changes: fmt::Debug + Sized + Send + 'static {
    /// The read model's tables; a digest goes through them in this order.
    const TABLES: &'static [&'static Table];

    /// What a build put off because it needs the indexes, which are there now; `load` follows.
    fn complete(_db: &Connection) -> Result<(), ModelError> {
        Ok(())
    }

    /// The changes as they stand at the checkpoint: nothing waits, everything earlier is known. `completed`: the indexes are
    /// there, and nothing is put off any more.
    fn load(db: &Connection, completed: bool) -> rusqlite::Result<Self>;

    /// Writes what waits, sorted by key.
    fn write(&mut self, db: &Connection) -> Result<(), ModelError>;
}

/// Which build of a group: its file's name has the number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Generation(pub(crate) u32);

impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An event that a projector cannot make rows of: it contradicts the events before it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the event at position {position} cannot be projected: {reason}")]
pub(crate) struct Unprojectable {
    /// Where it stands.
    pub(crate) position: Position,
    /// What it contradicts.
    pub(crate) reason: String,
}

impl Unprojectable {
    pub(crate) fn new(position: Position, reason: impl Into<String>) -> Self {
        Self { position, reason: reason.into() }
    }
}

/// An event in a stream of another aggregate.
pub(crate) fn stray(position: Position, event: &str, stream: &StreamId) -> Unprojectable {
    Unprojectable::new(position, format!("the stream {stream} cannot hold the event `{event}`"))
}

/// Rows that cannot be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ModelError {
    /// Because of an event.
    #[error(transparent)]
    Unprojectable(#[from] Unprojectable),
    /// Because SQLite says no.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
}

impl ModelError {
    /// The read model's own error, or `Err` where the disk or the database as a whole is at fault.
    pub(crate) fn unless_failure(self) -> Result<Self, rusqlite::Error> {
        use rusqlite::ErrorCode as Code;
        match self {
            ModelError::Sqlite(error)
                if matches!(
                    error.sqlite_error_code(),
                    Some(
                        Code::DiskFull
                            | Code::SystemIoFailure
                            | Code::DatabaseBusy
                            | Code::DatabaseLocked
                            | Code::DatabaseCorrupt
                            | Code::NotADatabase
                            | Code::ReadOnly
                            | Code::CannotOpen
                            | Code::OutOfMemory
                            | Code::OperationInterrupted
                            | Code::PermissionDenied
                            | Code::FileLockingProtocolFailed
                    )
                ) =>
            {
                Err(error)
            }
            own => Ok(own),
        }
    }
}

/// A projector with its changes, whatever their types.
pub(crate) trait AnyProjector: fmt::Debug + Send {
    /// Adds what an event changes.
    fn project(&mut self, event: &Recorded) -> Result<(), Unprojectable>;
    /// Writes what waits.
    fn write(&mut self, db: &Connection) -> Result<(), ModelError>;
}

struct ChangesOf<P: Projector>(P::Changes);

impl<P: Projector> fmt::Debug for ChangesOf<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<P: Projector> AnyProjector for ChangesOf<P> {
    fn project(&mut self, event: &Recorded) -> Result<(), Unprojectable> {
        P::project(event, &mut self.0)
    }

    fn write(&mut self, db: &Connection) -> Result<(), ModelError> {
        self.0.write(db)
    }
}

/// A read model that this program knows.
#[derive(Clone, Copy)]
pub(crate) struct ReadModel {
    /// Its name.
    pub(crate) name: &'static str,
    /// What this program's projector writes.
    pub(crate) revision: u32,
    /// See [`Projector::READS`].
    pub(crate) reads: Reads,
    /// The oldest revision that this program can read and go on with.
    pub(crate) compatible_since: u32,
    /// Its tables.
    pub(crate) tables: &'static [&'static Table],
    /// See [`Changes::complete`].
    pub(crate) complete_rows: fn(&Connection) -> Result<(), ModelError>,
    /// See [`Changes::load`].
    pub(crate) load: fn(&Connection, bool) -> rusqlite::Result<Box<dyn AnyProjector>>,
}

impl ReadModel {
    pub(crate) const fn of<P: Projector>() -> Self {
        Self {
            name: P::NAME,
            revision: P::REVISION,
            reads: P::READS,
            compatible_since: P::COMPATIBLE_SINCE,
            tables: P::Changes::TABLES,
            complete_rows: P::Changes::complete,
            load: |db, completed| Ok(Box::new(ChangesOf::<P>(P::Changes::load(db, completed)?))),
        }
    }

    /// Makes its tables.
    pub(crate) fn create(&self, db: &Connection) -> rusqlite::Result<()> {
        self.tables.iter().try_for_each(|table| table.create(db))
    }

    /// Makes its indexes, and does what waited for them.
    pub(crate) fn complete(&self, db: &Connection) -> Result<(), ModelError> {
        self.tables.iter().try_for_each(|table| table.create_indexes(db))?;
        (self.complete_rows)(db)
    }

    /// Whether tables of this revision can be read and gone on with.
    pub(crate) fn knows(&self, revision: u32) -> bool {
        (self.compatible_since..=self.revision).contains(&revision)
    }
}

impl fmt::Debug for ReadModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use cauri_domain::event::EventSet;
    use cauri_domain::example;
    use cauri_domain::kind::Kind;
    use cauri_domain::ledger::Ledger;
    use cauri_event_schemas::{Metadata, StreamVersion};

    use super::*;
    use crate::GROUPS;

    fn metadata() -> Metadata {
        let actor = example::text("operator:awa");
        let command = example::command().id;
        Metadata { actor, caller: None, causation: None, command, correlation: None, fingerprint: None, traceparent: None }
    }

    /// Whether an event, the first of a journal, changes something, or contradicts what should have been before it.
    fn is_read(model: &ReadModel, event: &<Ledger as Kind>::Event) -> bool {
        let db = Connection::open_in_memory().expect("a database");
        model.create(&db).expect("tables");
        let mut projector = (model.load)(&db, false).expect("changes");
        let before = format!("{projector:?}");
        let recorded = Recorded {
            position: Position::new(1),
            stream: Ledger::example_stream(event),
            version: StreamVersion::new(1),
            metadata: Arc::new(metadata()),
            recorded_at: example::start(),
            event: event.clone(),
        };
        projector.project(&recorded).is_err() || format!("{projector:?}") != before
    }

    #[test]
    fn every_projector_reads_the_types_that_it_names_and_no_other() {
        for model in GROUPS.iter().flat_map(|group| group.models) {
            let examples = <Ledger as Kind>::Event::examples();
            let mut read: Vec<&str> = examples.iter().filter(|event| is_read(model, event)).map(EventSet::name).collect();
            read.sort_unstable();
            read.dedup();
            let types = <Ledger as Kind>::Event::types();
            let named: Vec<&str> = types.iter().map(|known| known.name).filter(|name| model.reads.contains(name)).collect();
            assert_eq!(read, named, "{}", model.name);
            if let Reads::Only(only) = model.reads {
                assert_eq!(only.len(), named.len(), "{} names a type that no event has", model.name);
            }
        }
    }
}
