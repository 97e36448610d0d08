//! `journal_events`: every event with its type, stream, command and actor; its payload stays in the journal.
//!
//! Reads: every event. One stored event that today stands for several is listed once, as the first of them.
//!
//! Writes: `journal_events`, clustered by position; `journal_event_types` and `journal_stream_types`, the types of events and
//! of streams by number of first appearance; `journal_event_zones`, the set of types among every 4,096 positions, so that a
//! rare type is found without reading what lies between. When complete: an index by stream, but for entries. The events of
//! an entry are found through the read model `entries`, which knows their positions.
//!
//! Rebuild: any time. Needs nothing in memory.

use std::sync::Arc;

use cauri_domain::event::EventSet;
use cauri_domain::ids::EntryId;
use cauri_event_schemas::Metadata;
use cauri_event_schemas::ledger::{Recorded, StreamId};
use hashbrown::HashMap;
use rusqlite::{Connection, OptionalExtension};

use crate::entries::ZONE_BITS;
use crate::projector::{Changes, ModelError, Projector, Reads, Unprojectable};
use crate::stored::number;
use crate::table::{Column, Index, Table, empty};

/// The type of the streams whose ids are stored as bytes.
const ENTRY: &str = "entry";

static TYPES: Table =
    Table { name: "journal_event_types", columns: &[Column::integer("type_no"), Column::text("name")], key: &["type_no"], indexes: &[] };

static STREAM_TYPES: Table = Table {
    name: "journal_stream_types",
    columns: &[Column::integer("stream_type_no"), Column::text("name")],
    key: &["stream_type_no"],
    indexes: &[],
};

static EVENTS: Table = Table {
    name: "journal_events",
    columns: &[
        Column::integer("position"),
        Column::integer("type_no"),
        Column::integer("stream_type_no"),
        // One of the two: an entry's id as 16 bytes, that of every other stream as text.
        Column::bytes("entry").or_null(),
        Column::text("stream").or_null(),
        Column::integer("version"),
        Column::integer("schema"),
        Column::integer("recorded_at"),
        Column::text("command"),
        Column::text("actor"),
    ],
    key: &["position"],
    indexes: &[Index {
        name: "journal_events_stream",
        columns: &["stream_type_no", "stream"],
        unique: false,
        only: Some("stream IS NOT NULL"),
    }],
};

static ZONES: Table =
    Table { name: "journal_event_zones", columns: &[Column::integer("zone"), Column::integer("types")], key: &["zone"], indexes: &[] };

/// The projector.
pub(crate) struct JournalEvents;

/// What waits, and the types seen so far.
#[derive(Debug, Default)]
pub(crate) struct JournalEventChanges {
    types: HashMap<String, u32>,
    new_types: Vec<(u32, &'static str)>,
    stream_types: HashMap<String, u32>,
    new_stream_types: Vec<(u32, String)>,
    /// Cache: the number of the type that the last event had.
    last_type: Option<(&'static str, u32)>,
    listed: Vec<Listed>,
    /// Zones that changed; the last one may go on.
    zones: Vec<(u64, i64)>,
    last_position: u64,
}

#[derive(Debug)]
struct Listed {
    position: u64,
    type_no: u32,
    stream_type_no: u32,
    stream: Id,
    version: u64,
    schema: u32,
    recorded_at: i64,
    metadata: Arc<Metadata>,
}

/// The id of a stream within its type.
#[derive(Debug)]
enum Id {
    Entry(EntryId),
    Text(String),
}

/// The bit of a type in a zone's set; types beyond the 62nd share one.
pub(crate) fn type_bit(type_no: u32) -> i64 {
    1 << type_no.min(62)
}

impl Projector for JournalEvents {
    const NAME: &'static str = "journal_events";
    const REVISION: u32 = 3;
    const COMPATIBLE_SINCE: u32 = 3;
    const READS: Reads = Reads::Every;
    type Changes = JournalEventChanges;

    fn project(recorded: &Recorded, changes: &mut JournalEventChanges) -> Result<(), Unprojectable> {
        changes.list(recorded, recorded.event.name(), recorded.event.schema())
    }
}

impl JournalEventChanges {
    fn list(&mut self, recorded: &Recorded, name: &'static str, schema: u32) -> Result<(), Unprojectable> {
        let position = recorded.position.get();
        if position == self.last_position {
            return Ok(());
        }
        let type_no = self.type_no(name).ok_or_else(|| Unprojectable::new(recorded.position, "too many event types"))?;
        let (stream_type_no, stream) = match &recorded.stream {
            StreamId::Entry(id) => (self.stream_type_no(ENTRY), Id::Entry(*id)),
            stream => {
                let name = stream.to_string();
                let (stream_type, id) = name.split_once('/').unwrap_or((&name, ""));
                (self.stream_type_no(stream_type), Id::Text(id.to_owned()))
            }
        };
        self.last_position = position;
        let (zone, bit) = (position >> ZONE_BITS, type_bit(type_no));
        match self.zones.last_mut() {
            Some((last, types)) if *last == zone => *types |= bit,
            _ => self.zones.push((zone, bit)),
        }
        self.listed.push(Listed {
            position,
            type_no,
            stream_type_no,
            stream,
            version: recorded.version.get(),
            schema,
            recorded_at: recorded.recorded_at.as_micros(),
            metadata: recorded.metadata.clone(),
        });
        Ok(())
    }

    fn stream_type_no(&mut self, name: &str) -> u32 {
        if let Some(number) = self.stream_types.get(name) {
            return *number;
        }
        // A kind has a few.
        let number = self.stream_types.len() as u32;
        self.stream_types.insert(name.to_owned(), number);
        self.new_stream_types.push((number, name.to_owned()));
        number
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
    const TABLES: &'static [&'static Table] = &[&TYPES, &STREAM_TYPES, &EVENTS, &ZONES];

    fn load(db: &Connection, _completed: bool) -> rusqlite::Result<Self> {
        let mut changes = Self::default();
        let mut statement = db.prepare("SELECT type_no, name FROM journal_event_types")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            changes.types.insert(row.get(1)?, row.get(0)?);
        }
        let mut statement = db.prepare("SELECT stream_type_no, name FROM journal_stream_types")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            changes.stream_types.insert(row.get(1)?, row.get(0)?);
        }
        let last = "SELECT zone, types FROM journal_event_zones ORDER BY zone DESC LIMIT 1";
        changes.zones.extend(db.query_row(last, [], |row| Ok((number(row, 0)?, row.get(1)?))).optional()?);
        Ok(changes)
    }

    fn write(&mut self, db: &Connection) -> Result<(), ModelError> {
        TYPES.insert(db, &self.new_types, |(type_no, name), bind| {
            bind.number(u64::from(*type_no))?;
            bind.text(name)
        })?;
        STREAM_TYPES.insert(db, &self.new_stream_types, |(number, name), bind| {
            bind.number(u64::from(*number))?;
            bind.text(name)
        })?;
        EVENTS.insert(db, &self.listed, |row, bind| {
            bind.number(row.position)?;
            bind.number(row.type_no.into())?;
            bind.number(row.stream_type_no.into())?;
            let (entry, stream) = match &row.stream {
                Id::Entry(id) => (Some(&id.as_bytes()[..]), None),
                Id::Text(id) => (None, Some(id.as_str())),
            };
            bind.optional_blob(entry)?;
            bind.optional_text(stream)?;
            bind.number(row.version)?;
            bind.number(row.schema.into())?;
            bind.int(row.recorded_at)?;
            bind.text(row.metadata.command.as_str())?;
            bind.text(row.metadata.actor.as_str())
        })?;
        ZONES.replace(db, &self.zones, |(zone, types), bind| {
            bind.number(*zone)?;
            bind.int(*types)
        })?;
        empty(&mut self.new_types);
        empty(&mut self.new_stream_types);
        empty(&mut self.listed);
        self.zones.drain(..self.zones.len().saturating_sub(1));
        Ok(())
    }
}
