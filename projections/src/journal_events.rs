//! `journal_events`: every event with its type, stream, command and actor; its payload stays in the journal.
//!
//! Reads: every event. One stored event that today stands for several is listed once, as the first of them.
//!
//! Writes: `journal_events`, clustered by position; `journal_event_types`, the types by number of first appearance;
//! `journal_event_zones`, the set of types among every 4,096 positions, so that a rare type is found without reading
//! what lies between. When complete: an index by stream for accounts, commands and journals. The events of an entry
//! are found through the read model `entries`, which knows their positions.
//!
//! Rebuild: any time. Needs nothing in memory.

use std::sync::Arc;

use cauri_domain::account::AccountEvent;
use cauri_domain::command::CommandEvent;
use cauri_domain::entry::EntryEvent;
use cauri_domain::event::EventSet;
use cauri_domain::journal::JournalEvent;
use cauri_event_schemas::Metadata;
use cauri_event_schemas::ledger::{Event, Recorded, StreamId};
use hashbrown::HashMap;
use rusqlite::Connection;

use crate::entries::ZONE_BITS;
use crate::insert::{empty, insert};
use crate::projector::{Changes, Generation, ModelError, Projector, Table, Unprojectable};

/// Aggregate of a stream as stored.
pub(crate) const ACCOUNT: i64 = 0;
/// Aggregate of a stream as stored.
pub(crate) const COMMAND: i64 = 1;
/// Aggregate of a stream as stored.
pub(crate) const ENTRY: i64 = 2;
/// Aggregate of a stream as stored.
pub(crate) const JOURNAL: i64 = 3;

/// The projector.
pub(crate) struct JournalEvents;

/// What waits, and the types seen so far.
#[derive(Debug, Default)]
pub(crate) struct JournalEventChanges {
    types: HashMap<String, u32>,
    new_types: Vec<(u32, &'static str)>,
    /// Cache: the number of the type that the last event had.
    last_type: Option<(&'static str, u32)>,
    listed: Vec<Listed>,
    zones: Vec<(u64, i64)>,
    last_position: u64,
}

#[derive(Debug)]
struct Listed {
    position: u64,
    type_no: u32,
    stream: StreamId,
    version: u64,
    schema: u32,
    recorded_at: i64,
    metadata: Arc<Metadata>,
}

/// The bit of a type in a zone's set; types beyond the 62nd share one.
pub(crate) fn type_bit(type_no: u32) -> i64 {
    1 << type_no.min(62)
}

impl Projector for JournalEvents {
    const NAME: &'static str = "journal_events";
    const REVISION: u32 = 1;
    const COMPATIBLE_SINCE: u32 = 1;
    type Changes = JournalEventChanges;

    fn project(recorded: &Recorded, changes: &mut JournalEventChanges) -> Result<(), Unprojectable> {
        let (name, schema) = match &recorded.event {
            Event::Account(
                event @ (AccountEvent::Opened(_)
                | AccountEvent::Frozen(_)
                | AccountEvent::Unfrozen(_)
                | AccountEvent::Closed(_)
                | AccountEvent::Reopened(_)
                | AccountEvent::LimitsChanged(_)),
            ) => (event.name(), event.schema()),
            Event::Command(event @ CommandEvent::Refused(_)) => (event.name(), event.schema()),
            Event::Entry(
                event @ (EntryEvent::Posted(_)
                | EntryEvent::Held(_)
                | EntryEvent::HoldPosted(_)
                | EntryEvent::HoldVoided(_)
                | EntryEvent::HoldExpired(_)
                | EntryEvent::Reversed(_)),
            ) => (event.name(), event.schema()),
            Event::Journal(event @ JournalEvent::Closed(_)) => (event.name(), event.schema()),
        };
        changes.list(recorded, name, schema)
    }
}

impl JournalEventChanges {
    fn list(&mut self, recorded: &Recorded, name: &'static str, schema: u32) -> Result<(), Unprojectable> {
        let position = recorded.position.get();
        if position == self.last_position {
            return Ok(());
        }
        let type_no = self.type_no(name).ok_or_else(|| Unprojectable::new(recorded.position, "too many event types"))?;
        self.last_position = position;
        let (zone, bit) = (position >> ZONE_BITS, type_bit(type_no));
        match self.zones.last_mut() {
            Some((last, types)) if *last == zone => *types |= bit,
            _ => self.zones.push((zone, bit)),
        }
        self.listed.push(Listed {
            position,
            type_no,
            stream: recorded.stream.clone(),
            version: recorded.version.get(),
            schema,
            recorded_at: recorded.recorded_at.as_micros(),
            metadata: recorded.metadata.clone(),
        });
        Ok(())
    }

    fn type_no(&mut self, name: &'static str) -> Option<u32> {
        if let Some((last, number)) = self.last_type
            && last == name
        {
            return Some(number);
        }
        let number = match self.types.get(name) {
            Some(number) => *number,
            None => {
                let number = u32::try_from(self.types.len()).ok()?;
                self.types.insert(name.to_owned(), number);
                self.new_types.push((number, name));
                number
            }
        };
        self.last_type = Some((name, number));
        Some(number)
    }
}

impl Changes for JournalEventChanges {
    const TABLES: &'static [Table] = &[
        Table { name: "journal_event_types", key: "type_no" },
        Table { name: "journal_events", key: "position" },
        Table { name: "journal_event_zones", key: "zone" },
    ];

    fn create(db: &Connection, generation: Generation) -> rusqlite::Result<()> {
        let [types, events, zones] = ["journal_event_types", "journal_events", "journal_event_zones"].map(|name| generation.table(name));
        db.execute_batch(&format!(
            "CREATE TABLE {types} (type_no INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
            CREATE TABLE {events} (
                position INTEGER PRIMARY KEY,
                type_no INTEGER NOT NULL,
                aggregate INTEGER NOT NULL,
                stream ANY NOT NULL,
                version INTEGER NOT NULL,
                schema INTEGER NOT NULL,
                recorded_at INTEGER NOT NULL,
                command TEXT NOT NULL,
                actor TEXT NOT NULL
            ) STRICT;
            CREATE TABLE {zones} (zone INTEGER PRIMARY KEY, types INTEGER NOT NULL) STRICT"
        ))
    }

    fn complete(db: &Connection, generation: Generation) -> Result<(), ModelError> {
        let events = generation.table("journal_events");
        db.execute_batch(&format!("CREATE INDEX {events}_stream ON {events} (aggregate, stream) WHERE aggregate <> {ENTRY}"))?;
        Ok(())
    }

    fn load(db: &Connection, generation: Generation, _completed: bool) -> rusqlite::Result<Self> {
        let mut changes = Self::default();
        let mut statement = db.prepare(&format!("SELECT type_no, name FROM {}", generation.table("journal_event_types")))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            changes.types.insert(row.get(1)?, row.get(0)?);
        }
        Ok(changes)
    }

    fn write(&mut self, db: &Connection, generation: Generation) -> Result<(), ModelError> {
        insert(db, &generation.table("journal_event_types"), 2, "", &self.new_types, |(type_no, name), bind| {
            bind.number(u64::from(*type_no))?;
            bind.text(name)
        })?;
        insert(db, &generation.table("journal_events"), 9, "", &self.listed, |row, bind| {
            bind.number(row.position)?;
            bind.number(row.type_no.into())?;
            match &row.stream {
                StreamId::Account(address) => {
                    bind.int(ACCOUNT)?;
                    bind.text(address.as_str())?;
                }
                StreamId::Command(key) => {
                    bind.int(COMMAND)?;
                    bind.text(&key.to_string())?;
                }
                StreamId::Entry(id) => {
                    bind.int(ENTRY)?;
                    bind.blob(id.as_bytes())?;
                }
                StreamId::Journal(name) => {
                    bind.int(JOURNAL)?;
                    bind.text(name.as_str())?;
                }
            }
            bind.number(row.version)?;
            bind.number(row.schema.into())?;
            bind.int(row.recorded_at)?;
            bind.text(row.metadata.command.as_str())?;
            bind.text(row.metadata.actor.as_str())
        })?;
        insert(
            db,
            &generation.table("journal_event_zones"),
            2,
            "ON CONFLICT (zone) DO UPDATE SET types = types | excluded.types",
            &self.zones,
            |(zone, types), bind| {
                bind.number(*zone)?;
                bind.int(*types)
            },
        )?;
        empty(&mut self.new_types);
        empty(&mut self.listed);
        self.zones.clear();
        Ok(())
    }
}
