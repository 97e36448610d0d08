//! The journal, listed: by position, stream and type.

use cauri_domain::ids::{CommandId, EntryId};
use cauri_domain::kind::StreamKey;
use cauri_domain::text::ShortText;
use cauri_domain::time::Timestamp;
use cauri_event_schemas::ledger::StreamId;
use cauri_event_schemas::{Position, StreamVersion};
use rusqlite::types::ToSql;
use rusqlite::{OptionalExtension, Row};

use super::{Cursor, Item, MAX_PAGE, Page, ReadError, ReadSnapshot};
use crate::entries::ZONE_BITS;
use crate::journal_events::type_bit;
use crate::stored::{number, optional_entry_id, parsed, position, timestamp, unknown};
use crate::{ENTRIES, JOURNAL};

/// An event as the journal lists it; its payload is read from the journal itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalEventRow {
    /// Its place in the journal.
    pub position: Position,
    /// The event's type.
    pub event_type: String,
    /// The stream it belongs to.
    pub stream: StreamId,
    /// Its place in the stream.
    pub version: StreamVersion,
    /// The version of the shape that it was read as, after any upcast.
    pub schema: u32,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// The command that caused it.
    pub command: CommandId,
    /// Who asked, as `role:subject`.
    pub actor: ShortText,
}

/// Which events to list; what is absent does not filter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JournalEventFilter {
    /// At or after this position.
    pub from: Option<Position>,
    /// At or before this position.
    pub to: Option<Position>,
    /// Of this stream.
    pub stream: Option<StreamId>,
    /// Of this type, such as `entry.posted`.
    pub event_type: Option<String>,
}

const LIST: &str = "journal_events";
const COLUMNS: &str = "e.position, t.name, s.name, e.entry, e.stream, e.version, e.schema, e.recorded_at, e.command, e.actor";

fn read(row: &Row<'_>) -> rusqlite::Result<JournalEventRow> {
    Ok(JournalEventRow {
        position: position(row, 0)?,
        event_type: row.get(1)?,
        stream: match optional_entry_id(row, 3)? {
            Some(id) => StreamId::Entry(id),
            None => {
                let (stream_type, id): (String, String) = (row.get(2)?, row.get(4)?);
                StreamId::parse(&format!("{stream_type}/{id}")).map_err(|error| unknown(4, error.to_string()))?
            }
        },
        version: StreamVersion::new(number(row, 5)?),
        schema: row.get(6)?,
        recorded_at: timestamp(row, 7)?,
        command: parsed(row, 8)?,
        actor: parsed(row, 9)?,
    })
}

/// The events with the names of their types; events lead.
const JOINED: &str = "journal_events e CROSS JOIN journal_event_types t ON t.type_no = e.type_no \
     CROSS JOIN journal_stream_types s ON s.stream_type_no = e.stream_type_no";

impl ReadSnapshot {
    /// The event at a position, or the one that it stands for today first.
    pub fn journal_event(&self, at: Position) -> Result<Option<JournalEventRow>, ReadError> {
        self.unlimited("the journal")?;
        let sql = format!("SELECT {COLUMNS} FROM {JOINED} WHERE e.position = ?1");
        Ok(self.group(JOURNAL)?.db()?.prepare_cached(&sql)?.query_row([at.get() as i64], read).optional()?)
    }

    /// Events by position, or the other way round.
    pub fn journal_events(
        &self,
        filter: &JournalEventFilter,
        after: Option<&Cursor>,
        limit: usize,
        descending: bool,
    ) -> Result<Page<JournalEventRow>, ReadError> {
        self.unlimited("the journal")?;
        let limit = limit.clamp(1, MAX_PAGE);
        let mut first = filter.from.map_or(0, bound);
        let mut last = filter.to.map_or(i64::MAX, bound);
        if let Some(after) = after {
            let [position] = after.numbers(LIST)?;
            if descending { last = last.min(position.saturating_sub(1)) } else { first = first.max(position.saturating_add(1)) }
        }
        let rows = match &filter.stream {
            _ if first > last => Vec::new(),
            Some(StreamId::Entry(id)) => self.events_of_entry(*id, filter, (first, last), limit + 1, descending)?,
            _ => self.events_in(filter, (first, last), limit + 1, descending)?,
        };
        let items = rows.into_iter().map(|row| Item { cursor: Cursor::new(LIST, row.position), row });
        Ok(Page::cut(items.collect(), limit))
    }

    /// An entry has few events, and the read model of entries knows where they stand.
    fn events_of_entry(
        &self,
        id: EntryId,
        filter: &JournalEventFilter,
        (first, last): (i64, i64),
        enough: usize,
        descending: bool,
    ) -> Result<Vec<JournalEventRow>, ReadError> {
        self.joined(ENTRIES, self.group(JOURNAL)?.position())?;
        let mut positions = self.entry_positions(id)?;
        if descending {
            positions.reverse();
        }
        let mut found = Vec::new();
        for position in positions.into_iter().filter(|position| (first..=last).contains(&bound(*position))) {
            let event = self.journal_event(position)?;
            found.extend(event.filter(|event| filter.event_type.as_ref().is_none_or(|wanted| event.event_type == *wanted)));
            if found.len() >= enough {
                break;
            }
        }
        Ok(found)
    }

    fn events_in(
        &self,
        filter: &JournalEventFilter,
        (first, last): (i64, i64),
        enough: usize,
        descending: bool,
    ) -> Result<Vec<JournalEventRow>, ReadError> {
        let db = self.group(JOURNAL)?.db()?;
        let type_no = match &filter.event_type {
            None => None,
            Some(name) => {
                let sql = "SELECT type_no FROM journal_event_types WHERE name = ?1";
                let known: Option<u32> = db.prepare_cached(sql)?.query_row([name], |row| row.get(0)).optional()?;
                match known {
                    Some(type_no) => Some(type_no),
                    // No such event was ever written.
                    None => return Ok(Vec::new()),
                }
            }
        };
        let stream = match &filter.stream {
            None | Some(StreamId::Entry(_)) => None,
            Some(stream) => {
                let name = stream.to_string();
                let (stream_type, id) = name.split_once('/').unwrap_or((&name, ""));
                let sql = "SELECT stream_type_no FROM journal_stream_types WHERE name = ?1";
                let known: Option<u32> = db.prepare_cached(sql)?.query_row([stream_type], |row| row.get(0)).optional()?;
                match known {
                    Some(stream_type_no) => Some((stream_type_no, id.to_owned())),
                    // Nothing ever happened to a stream of this type.
                    None => return Ok(Vec::new()),
                }
            }
        };
        let order = if descending { "DESC" } else { "ASC" };
        let mut conditions = String::new();
        let mut parameters: Vec<(&str, &dyn ToSql)> = Vec::new();
        if let Some(type_no) = &type_no {
            conditions.push_str(" AND e.type_no = :type_no");
            parameters.push((":type_no", type_no));
        }
        if let Some((stream_type_no, id)) = &stream {
            conditions.push_str(" AND e.stream_type_no = :stream_type_no AND e.stream = :stream");
            parameters.push((":stream_type_no", stream_type_no));
            parameters.push((":stream", id));
        }
        let sql = format!(
            "SELECT {COLUMNS} FROM {JOINED} WHERE e.position BETWEEN :first AND :last{conditions} ORDER BY e.position {order} LIMIT :left"
        );
        let mut statement = db.prepare_cached(&sql)?;
        let mut found = Vec::new();
        let mut take = |first: i64, last: i64, found: &mut Vec<JournalEventRow>| -> Result<(), ReadError> {
            let left = enough.saturating_sub(found.len()) as i64;
            let mut parameters = parameters.clone();
            parameters.extend([(":first", &first as &dyn ToSql), (":last", &last), (":left", &left)]);
            let mut rows = statement.query(&parameters[..])?;
            while let Some(row) = rows.next()? {
                found.push(read(row)?);
            }
            Ok(())
        };
        match type_no {
            Some(type_no) if stream.is_none() => {
                let sql =
                    format!("SELECT zone FROM journal_event_zones WHERE types & ?1 <> 0 AND zone BETWEEN ?2 AND ?3 ORDER BY zone {order}");
                let mut zones = db.prepare_cached(&sql)?;
                let mut zones = zones.query((type_bit(type_no), first >> ZONE_BITS, last >> ZONE_BITS))?;
                while let Some(zone) = zones.next()? {
                    let begin = zone.get::<_, i64>(0)? << ZONE_BITS;
                    take(first.max(begin), last.min(begin + (1 << ZONE_BITS) - 1), &mut found)?;
                    if found.len() >= enough {
                        break;
                    }
                }
            }
            _ => take(first, last, &mut found)?,
        }
        Ok(found)
    }
}

/// A position as SQLite counts; none ever reaches 2^63.
fn bound(position: Position) -> i64 {
    i64::try_from(position.get()).unwrap_or(i64::MAX)
}
