//! The journal, listed: by position, stream and type.

use cauri_domain::ids::EntryId;
use cauri_event_schemas::ledger::StreamId;
use cauri_event_schemas::{Position, StreamVersion};
use rusqlite::types::ToSql;
use rusqlite::{OptionalExtension, Row};

use super::{Cursor, Item, JournalEventFilter, JournalEventRow, MAX_PAGE, Page, ReadError, ReadSnapshot};
use crate::entries::ZONE_BITS;
use crate::journal_events::{ACCOUNT, COMMAND, ENTRY, JOURNAL, type_bit};
use crate::stored::{entry_id, number, parsed, position, timestamp, unknown};

const LIST: &str = "journal_events";
const COLUMNS: &str = "e.position, t.name, e.aggregate, e.stream, e.version, e.schema, e.recorded_at, e.command, e.actor";

fn read(row: &Row<'_>) -> rusqlite::Result<JournalEventRow> {
    Ok(JournalEventRow {
        position: position(row, 0)?,
        event_type: row.get(1)?,
        stream: match row.get(2)? {
            ACCOUNT => StreamId::Account(parsed(row, 3)?),
            COMMAND => StreamId::Command(parsed(row, 3)?),
            ENTRY => StreamId::Entry(entry_id(row, 3)?),
            JOURNAL => StreamId::Journal(parsed(row, 3)?),
            other => return Err(unknown(2, format!("{other} is no aggregate"))),
        },
        version: StreamVersion::new(number(row, 4)?),
        schema: row.get(5)?,
        recorded_at: timestamp(row, 6)?,
        command: parsed(row, 7)?,
        actor: parsed(row, 8)?,
    })
}

impl ReadSnapshot {
    /// The event at a position, or the one that it stands for today first.
    pub fn journal_event(&self, at: Position) -> Result<Option<JournalEventRow>, ReadError> {
        let generation = self.generation("journal_events")?;
        let (events, types) = (generation.table("journal_events"), generation.table("journal_event_types"));
        let sql = format!("SELECT {COLUMNS} FROM {events} e JOIN {types} t ON t.type_no = e.type_no WHERE e.position = ?1");
        Ok(self.db()?.prepare_cached(&sql)?.query_row([at.get() as i64], read).optional()?)
    }

    /// Events by position, or the other way round.
    pub fn journal_events(
        &self,
        filter: &JournalEventFilter,
        after: Option<&Cursor>,
        limit: usize,
        descending: bool,
    ) -> Result<Page<JournalEventRow>, ReadError> {
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
        let generation = self.generation("journal_events")?;
        let (events, types) = (generation.table("journal_events"), generation.table("journal_event_types"));
        let type_no = match &filter.event_type {
            None => None,
            Some(name) => {
                let sql = format!("SELECT type_no FROM {types} WHERE name = ?1");
                let known: Option<u32> = self.db()?.prepare_cached(&sql)?.query_row([name], |row| row.get(0)).optional()?;
                match known {
                    Some(type_no) => Some(type_no),
                    // No such event was ever written.
                    None => return Ok(Vec::new()),
                }
            }
        };
        let stream = match &filter.stream {
            None | Some(StreamId::Entry(_)) => None,
            Some(StreamId::Account(address)) => Some((ACCOUNT, address.to_string())),
            Some(StreamId::Command(key)) => Some((COMMAND, key.to_string())),
            Some(StreamId::Journal(name)) => Some((JOURNAL, name.to_string())),
        };
        let order = if descending { "DESC" } else { "ASC" };
        let mut conditions = String::new();
        let mut parameters: Vec<(&str, &dyn ToSql)> = Vec::new();
        if let Some(type_no) = &type_no {
            conditions.push_str(" AND e.type_no = :type_no");
            parameters.push((":type_no", type_no));
        }
        if let Some((aggregate, id)) = &stream {
            // The first condition lets the partial index be used.
            conditions.push_str(&format!(" AND e.aggregate <> {ENTRY} AND e.aggregate = :aggregate AND e.stream = :stream"));
            parameters.push((":aggregate", aggregate));
            parameters.push((":stream", id));
        }
        let sql = format!(
            "SELECT {COLUMNS} FROM {events} e CROSS JOIN {types} t ON t.type_no = e.type_no
             WHERE e.position BETWEEN :first AND :last{conditions} ORDER BY e.position {order} LIMIT :left"
        );
        let mut statement = self.db()?.prepare_cached(&sql)?;
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
                let zones = generation.table("journal_event_zones");
                let sql = format!("SELECT zone FROM {zones} WHERE types & ?1 <> 0 AND zone BETWEEN ?2 AND ?3 ORDER BY zone {order}");
                let mut zones = self.db()?.prepare_cached(&sql)?;
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
