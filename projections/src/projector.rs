//! What a read model is: a pure projector, the rows it changes, and their tables.

use std::fmt;

use cauri_event_schemas::Position;
use cauri_event_schemas::ledger::Recorded;
use rusqlite::Connection;

/// A pure function from events to changes of rows. It reads no clock, file or table: what it needs to know of
/// earlier events stands in its changes, which are the same after any restart and after any cut into batches.
pub(crate) trait Projector: 'static {
    /// The read model's name: what the catalog, the metrics and the manual call it.
    const NAME: &'static str;
    /// Raise it when the same events shall give other rows: the tables are then rebuilt beside the live ones.
    const REVISION: u32;
    /// The oldest revision whose tables today's program can still read and go on with while it builds new ones.
    const COMPATIBLE_SINCE: u32;
    /// The types of event that change its rows. A test gives it every type there is and sees that it reads these and no
    /// other; `docs/reference/read-models.md` is made of them.
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
    /// The read model's tables with the order of their keys; a digest goes through them in this order.
    const TABLES: &'static [Table];

    /// Makes the tables, without what only [`Changes::complete`] adds.
    fn create(db: &Connection, generation: Generation) -> rusqlite::Result<()>;

    /// Makes secondary indexes and does what a rebuild put off because it needs them.
    fn complete(db: &Connection, generation: Generation) -> Result<(), ModelError>;

    /// The changes as they stand at the checkpoint: nothing waits, everything earlier is known.
    fn load(db: &Connection, generation: Generation, completed: bool) -> rusqlite::Result<Self>;

    /// Writes what waits, sorted by key.
    fn write(&mut self, db: &Connection, generation: Generation) -> Result<(), ModelError>;

    /// [`Changes::complete`] was done: what was put off until then is done at once from now on.
    fn set_completed(&mut self) {}
}

/// A table of a read model.
pub(crate) struct Table {
    /// Its name without the generation.
    pub(crate) name: &'static str,
    /// Its key's columns.
    pub(crate) key: &'static str,
}

/// Which build of a read model: its tables' names end in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Generation(pub(crate) u32);

impl Generation {
    /// The name of a table of this generation. An integer is all that is ever put into a name.
    pub(crate) fn table(self, name: &'static str) -> String {
        format!("{name}_g{}", self.0)
    }

    pub(crate) fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

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
    fn write(&mut self, db: &Connection, generation: Generation) -> Result<(), ModelError>;
    /// See [`Changes::set_completed`].
    fn set_completed(&mut self);
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

    fn write(&mut self, db: &Connection, generation: Generation) -> Result<(), ModelError> {
        self.0.write(db, generation)
    }

    fn set_completed(&mut self) {
        self.0.set_completed();
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
    pub(crate) tables: &'static [Table],
    /// See [`Changes::create`].
    pub(crate) create: fn(&Connection, Generation) -> rusqlite::Result<()>,
    /// See [`Changes::complete`].
    pub(crate) complete: fn(&Connection, Generation) -> Result<(), ModelError>,
    /// See [`Changes::load`].
    pub(crate) load: fn(&Connection, Generation, bool) -> rusqlite::Result<Box<dyn AnyProjector>>,
}

impl ReadModel {
    pub(crate) const fn of<P: Projector>() -> Self {
        Self {
            name: P::NAME,
            revision: P::REVISION,
            reads: P::READS,
            compatible_since: P::COMPATIBLE_SINCE,
            tables: P::Changes::TABLES,
            create: P::Changes::create,
            complete: P::Changes::complete,
            load: |db, generation, completed| Ok(Box::new(ChangesOf::<P>(P::Changes::load(db, generation, completed)?))),
        }
    }

    /// Whether tables of this revision can be read and gone on with.
    pub(crate) fn knows(&self, revision: u32) -> bool {
        (self.compatible_since..=self.revision).contains(&revision)
    }

    /// Drops the tables of a generation.
    pub(crate) fn drop_tables(&self, db: &Connection, generation: Generation) -> rusqlite::Result<()> {
        self.tables.iter().try_for_each(|table| db.execute_batch(&format!("DROP TABLE IF EXISTS {}", generation.table(table.name))))
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
    use crate::READ_MODELS;

    fn metadata() -> Metadata {
        let actor = example::text("operator:awa");
        let command = example::command().id;
        Metadata { actor, caller: None, causation: None, command, correlation: None, fingerprint: None, traceparent: None }
    }

    /// Whether an event, the first of a journal, changes something, or contradicts what should have been before it.
    fn is_read(model: &ReadModel, event: &<Ledger as Kind>::Event) -> bool {
        let db = Connection::open_in_memory().expect("a database");
        (model.create)(&db, Generation(1)).expect("tables");
        let mut projector = (model.load)(&db, Generation(1), false).expect("changes");
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
        for model in READ_MODELS {
            let examples = <Ledger as Kind>::Event::examples();
            let mut read: Vec<&str> = examples.iter().filter(|event| is_read(&model, event)).map(EventSet::name).collect();
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
