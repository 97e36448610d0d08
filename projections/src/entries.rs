//! `entries`: one row an entry with what became of it, found by id, reference, dimension, state and time.
//!
//! Reads: every `entry.*` event.
//!
//! Writes: `entries`, clustered by the position of the entry's first event; `entry_steps`, one row for each later
//! event of an entry; `entry_annotations`, clustered by (key, value, position); `entry_dimensions`, clustered by (key
//! number, value, position), and the keys' numbers in `entry_dimension_keys`; `entry_zones`, the least and greatest effective time among the entries of every 4,096
//! positions, so that a range of effective times opens only the zones that it touches. When complete: indexes by
//! id (unique), reference, state (all but `posted`) and the steps' entry.
//!
//! Rebuild: any time. Needs in memory every open hold (about 40 bytes each). An entry that is reversed is found
//! by its id, and the index of ids is made last, so reversals and annotations wait in `entry_waiting` until then.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use cauri_domain::entry::{EntryAnnotated, EntryEvent, HoldPostedTransfer, Transfer};
use cauri_domain::event::{Decoded, EventSet};
use cauri_domain::ids::EntryId;
use cauri_domain::text::{Key, ShortText};
use cauri_event_schemas::Position;
use cauri_event_schemas::ledger::{Event, Recorded, StreamId};
use hashbrown::HashMap;
use rusqlite::{Connection, OptionalExtension, Row};

use crate::projector::{Changes, ModelError, Projector, Reads, Unprojectable, stray};
use crate::stored::{entry_id, json_or_default, number, parsed, unknown};
use crate::table::{Column, Index, Table, empty, execute_each};

/// State as stored.
pub(crate) const POSTED: i64 = 0;
/// State as stored.
pub(crate) const HELD: i64 = 1;
/// State as stored.
pub(crate) const HOLD_POSTED: i64 = 2;
/// State as stored.
pub(crate) const HOLD_VOIDED: i64 = 3;
/// State as stored.
pub(crate) const HOLD_EXPIRED: i64 = 4;
/// State as stored.
pub(crate) const REVERSED: i64 = 5;

/// A zone covers 2 to the power of this many positions.
pub(crate) const ZONE_BITS: u32 = 12;

static ENTRIES: Table = Table {
    name: "entries",
    columns: &[
        Column::integer("position"),
        Column::bytes("id"),
        Column::integer("state"),
        Column::integer("effective_at"),
        Column::integer("posted_effective_at").or_null(),
        Column::integer("expires_at").or_null(),
        Column::integer("recorded_at"),
        Column::text("reference").or_null(),
        Column::text("dimensions").or_null(),
        Column::text("annotations").or_null(),
        Column::text("transfers"),
        Column::bytes("reverses").or_null(),
        Column::bytes("reversed_by").or_null(),
        Column::integer("last_position"),
        Column::integer("version"),
    ],
    key: &["position"],
    indexes: &[
        Index { name: "entries_id", columns: &["id"], unique: true, only: None },
        Index { name: "entries_reference", columns: &["reference"], unique: false, only: Some("reference IS NOT NULL") },
        // All but `posted`, which most are.
        Index { name: "entries_state", columns: &["state"], unique: false, only: Some("state <> 0") },
    ],
};

static STEPS: Table = Table {
    name: "entry_steps",
    columns: &[
        Column::integer("position"),
        Column::integer("entry"),
        Column::integer("state").or_null(),
        Column::integer("effective_at").or_null(),
        Column::integer("recorded_at"),
        Column::text("reason").or_null(),
    ],
    key: &["position"],
    indexes: &[Index { name: "entry_steps_entry", columns: &["entry"], unique: false, only: None }],
};

static DIMENSION_KEYS: Table =
    Table { name: "entry_dimension_keys", columns: &[Column::integer("key_no"), Column::text("name")], key: &["key_no"], indexes: &[] };

static DIMENSIONS: Table = Table {
    name: "entry_dimensions",
    columns: &[Column::integer("key_no"), Column::text("value"), Column::integer("position")],
    key: &["key_no", "value", "position"],
    indexes: &[],
};

static ANNOTATIONS: Table = Table {
    name: "entry_annotations",
    columns: &[Column::text("key"), Column::text("value"), Column::integer("position")],
    key: &["key", "value", "position"],
    indexes: &[],
};

static ZONES: Table = Table {
    name: "entry_zones",
    columns: &[Column::integer("zone"), Column::integer("min_effective_at"), Column::integer("max_effective_at")],
    key: &["zone"],
    indexes: &[],
};

/// Events that find their entry by its id, until the index of ids is there.
static WAITING: Table = Table {
    name: "entry_waiting",
    columns: &[
        Column::integer("position"),
        Column::bytes("id"),
        Column::integer("version"),
        Column::integer("recorded_at"),
        Column::text("type"),
        Column::text("data"),
    ],
    key: &["position"],
    indexes: &[],
};

/// The projector.
pub(crate) struct Entries;

/// What waits, and which holds are open.
#[derive(Debug, Default)]
pub(crate) struct EntryChanges {
    /// Events that find their entry by its id are applied at once: the index of ids is there.
    completed: bool,
    /// Position of the first event of every entry that is held.
    open_holds: HashMap<EntryId, u64>,
    dimension_keys: HashMap<Key, u32>,
    new_keys: Vec<(u32, Key)>,
    written: Vec<Written>,
    resolved: Vec<Resolved>,
    later: Vec<Later>,
    steps: Vec<Step>,
    /// Positions by pair, ascending: few pairs recur in many entries, and sorting the pairs is cheap.
    dimensions: HashMap<(u32, ShortText), Vec<u64>>,
    /// Zones that changed; the last one may go on.
    zones: Vec<Zone>,
    /// JSON of the rows that wait, one after the other: one buffer instead of two strings a row.
    json: String,
}

/// A piece of the JSON buffer.
type Piece = std::ops::Range<usize>;

/// An entry's first event.
#[derive(Debug)]
struct Written {
    position: u64,
    id: EntryId,
    state: i64,
    effective_at: i64,
    posted_effective_at: Option<i64>,
    expires_at: Option<i64>,
    recorded_at: i64,
    reference: Option<ShortText>,
    dimensions: Piece,
    transfers: Piece,
    reverses: Option<EntryId>,
    last_position: u64,
    version: u64,
}

/// The end of a hold that was written in an earlier batch.
#[derive(Debug)]
struct Resolved {
    entry: u64,
    state: i64,
    posted_effective_at: Option<i64>,
    transfers: Option<Piece>,
    position: u64,
    version: u64,
}

/// An event that finds its entry by its id.
#[derive(Debug)]
struct Later {
    id: EntryId,
    position: u64,
    version: u64,
    recorded_at: i64,
    event: EntryEvent,
}

#[derive(Debug)]
struct Step {
    position: u64,
    entry: u64,
    /// What the entry became; absent where it stayed what it was.
    state: Option<i64>,
    effective_at: Option<i64>,
    recorded_at: i64,
    reason: Option<ShortText>,
}

#[derive(Debug)]
struct Zone {
    zone: u64,
    min_effective_at: i64,
    max_effective_at: i64,
}

impl Projector for Entries {
    const NAME: &'static str = "entries";
    const REVISION: u32 = 3;
    const COMPATIBLE_SINCE: u32 = 3;
    const READS: Reads = Reads::Only(&[
        "entry.posted",
        "entry.held",
        "entry.hold_posted",
        "entry.hold_voided",
        "entry.hold_expired",
        "entry.reversed",
        "entry.annotated",
    ]);
    type Changes = EntryChanges;

    fn project(recorded: &Recorded, changes: &mut EntryChanges) -> Result<(), Unprojectable> {
        match (&recorded.event, &recorded.stream) {
            (Event::Entry(event), StreamId::Entry(id)) => changes.entry(recorded, *id, event),
            (Event::Entry(event), stream) => Err(stray(recorded.position, event.name(), stream)),
            _ => Ok(()),
        }
    }
}

impl EntryChanges {
    fn entry(&mut self, recorded: &Recorded, id: EntryId, event: &EntryEvent) -> Result<(), Unprojectable> {
        let position = recorded.position.get();
        let recorded_at = recorded.recorded_at.as_micros();
        let version = recorded.version.get();
        match event {
            EntryEvent::Posted(posted) => {
                let effective_at = posted.effective_at.as_micros();
                let dimensions = self.dimensions(recorded.position, &posted.dimensions)?;
                let transfers = self.transfers(&posted.transfers);
                self.written.push(Written {
                    position,
                    id,
                    state: POSTED,
                    effective_at,
                    posted_effective_at: Some(effective_at),
                    expires_at: None,
                    recorded_at,
                    reference: posted.reference.clone(),
                    dimensions,
                    transfers,
                    reverses: posted.reverses,
                    last_position: position,
                    version,
                });
                self.zone(position, effective_at);
            }
            EntryEvent::Held(held) => {
                let effective_at = held.effective_at.as_micros();
                let dimensions = self.dimensions(recorded.position, &held.dimensions)?;
                let transfers = self.transfers(&held.transfers);
                if self.open_holds.insert(id, position).is_some() {
                    return Err(Unprojectable::new(recorded.position, format!("entry {id} is held already")));
                }
                self.written.push(Written {
                    position,
                    id,
                    state: HELD,
                    effective_at,
                    posted_effective_at: None,
                    expires_at: held.expires_at.map(|at| at.as_micros()),
                    recorded_at,
                    reference: held.reference.clone(),
                    dimensions,
                    transfers,
                    reverses: None,
                    last_position: position,
                    version,
                });
                self.zone(position, effective_at);
            }
            EntryEvent::HoldPosted(posted) => {
                let effective_at = posted.effective_at.as_micros();
                let transfers = self.hold_posted_transfers(&posted.transfers);
                let entry = self.resolve(recorded, id, HOLD_POSTED, Some(effective_at), Some(transfers))?;
                self.steps.push(Step {
                    position,
                    entry,
                    state: Some(HOLD_POSTED),
                    effective_at: Some(effective_at),
                    recorded_at,
                    reason: None,
                });
            }
            EntryEvent::HoldVoided(voided) => {
                let entry = self.resolve(recorded, id, HOLD_VOIDED, None, None)?;
                let (effective_at, reason) = (Some(voided.effective_at.as_micros()), voided.reason.clone());
                self.steps.push(Step { position, entry, state: Some(HOLD_VOIDED), effective_at, recorded_at, reason });
            }
            EntryEvent::HoldExpired(expired) => {
                let entry = self.resolve(recorded, id, HOLD_EXPIRED, None, None)?;
                let effective_at = Some(expired.effective_at.as_micros());
                self.steps.push(Step { position, entry, state: Some(HOLD_EXPIRED), effective_at, recorded_at, reason: None });
            }
            EntryEvent::Reversed(_) | EntryEvent::Annotated(_) => {
                self.later.push(Later { id, position, version, recorded_at, event: event.clone() })
            }
        }
        Ok(())
    }

    /// Ends a hold; the position of its entry's first event.
    fn resolve(
        &mut self,
        recorded: &Recorded,
        id: EntryId,
        state: i64,
        posted_effective_at: Option<i64>,
        transfers: Option<Piece>,
    ) -> Result<u64, Unprojectable> {
        let entry = self.open_holds.remove(&id);
        let entry = entry.ok_or_else(|| Unprojectable::new(recorded.position, format!("entry {id} is no open hold")))?;
        let (position, version) = (recorded.position.get(), recorded.version.get());
        match self.written.binary_search_by_key(&entry, |written| written.position) {
            Ok(index) => {
                let written = &mut self.written[index];
                written.state = state;
                written.posted_effective_at = posted_effective_at;
                written.transfers = transfers.unwrap_or_else(|| written.transfers.clone());
                written.last_position = position;
                written.version = version;
            }
            Err(_) => self.resolved.push(Resolved { entry, state, posted_effective_at, transfers, position, version }),
        }
        Ok(entry)
    }

    /// Dimensions as one JSON object, and each as a row of its own.
    fn dimensions(&mut self, position: Position, dimensions: &BTreeMap<Key, ShortText>) -> Result<Piece, Unprojectable> {
        let start = self.json.len();
        for (index, (key, value)) in dimensions.iter().enumerate() {
            let key_no = match self.dimension_keys.get(key) {
                Some(key_no) => *key_no,
                None => {
                    let key_no = u32::try_from(self.dimension_keys.len() + 1)
                        .map_err(|_| Unprojectable::new(position, "there are at most 4 billion keys of dimensions"))?;
                    self.dimension_keys.insert(key.clone(), key_no);
                    self.new_keys.push((key_no, key.clone()));
                    key_no
                }
            };
            self.dimensions.entry((key_no, value.clone())).or_default().push(position.get());
            self.json.push(if index == 0 { '{' } else { ',' });
            push_text(&mut self.json, key.as_str());
            self.json.push(':');
            push_text(&mut self.json, value.as_str());
        }
        if !dimensions.is_empty() {
            self.json.push('}');
        }
        Ok(start..self.json.len())
    }

    /// Transfers as JSON: `[[debit, credit, currency, amount, null, reason or null], …]`, amounts in minor units.
    fn transfers(&mut self, transfers: &[Transfer]) -> Piece {
        let start = self.json.len();
        for transfer in transfers {
            self.transfer(start, transfer, None);
        }
        self.json.push_str("]]");
        start..self.json.len()
    }

    /// The same with what was posted in the fifth place, beside what was held.
    fn hold_posted_transfers(&mut self, transfers: &[HoldPostedTransfer]) -> Piece {
        let start = self.json.len();
        for transfer in transfers {
            let held = Transfer {
                amount: transfer.held,
                credit: transfer.credit.clone(),
                debit: transfer.debit.clone(),
                reason: transfer.reason.clone(),
            };
            self.transfer(start, &held, Some(transfer.amount.minor()));
        }
        self.json.push_str("]]");
        start..self.json.len()
    }

    fn transfer(&mut self, start: usize, transfer: &Transfer, posted: Option<i64>) {
        let json = &mut self.json;
        // Addresses and currency codes hold nothing that JSON would escape.
        json.push_str(if json.len() == start { "[[\"" } else { "],[\"" });
        json.push_str(transfer.debit.as_str());
        json.push_str("\",\"");
        json.push_str(transfer.credit.as_str());
        json.push_str("\",\"");
        json.push_str(transfer.amount.currency().code());
        json.push_str("\",");
        push_number(json, transfer.amount.minor());
        json.push(',');
        match posted {
            Some(posted) => push_number(json, posted),
            None => json.push_str("null"),
        }
        json.push(',');
        match &transfer.reason {
            Some(reason) => push_text(json, reason.as_str()),
            None => json.push_str("null"),
        }
    }

    fn zone(&mut self, position: u64, effective_at: i64) {
        let zone = position >> ZONE_BITS;
        match self.zones.last_mut() {
            Some(last) if last.zone == zone => {
                last.min_effective_at = last.min_effective_at.min(effective_at);
                last.max_effective_at = last.max_effective_at.max(effective_at);
            }
            _ => self.zones.push(Zone { zone, min_effective_at: effective_at, max_effective_at: effective_at }),
        }
    }
}

fn push_number(json: &mut String, number: i64) {
    // Writing to a string cannot fail.
    let _ = write!(json, "{number}");
}

/// A JSON string: texts hold no control characters, so only two characters are escaped.
fn push_text(json: &mut String, text: &str) {
    json.push('"');
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            json.push('\\');
        }
        json.push(character);
    }
    json.push('"');
}

impl Changes for EntryChanges {
    const TABLES: &'static [&'static Table] = &[&ENTRIES, &STEPS, &DIMENSION_KEYS, &DIMENSIONS, &ANNOTATIONS, &ZONES, &WAITING];

    fn complete(db: &Connection) -> Result<(), ModelError> {
        let mut statement = db.prepare("SELECT id, position, version, recorded_at, type, data FROM entry_waiting ORDER BY id, position")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let later = Later {
                id: entry_id(row, 0)?,
                position: number(row, 1)?,
                version: number(row, 2)?,
                recorded_at: row.get(3)?,
                event: waiting_event(row)?,
            };
            apply(db, &later)?;
        }
        drop(rows);
        drop(statement);
        db.execute_batch("DELETE FROM entry_waiting")?;
        Ok(())
    }

    fn load(db: &Connection, completed: bool) -> rusqlite::Result<Self> {
        let mut changes = Self { completed, ..Self::default() };
        // `state <> 0` lets the partial index be used once it is there.
        let mut statement = db.prepare(&format!("SELECT id, position FROM entries WHERE state <> {POSTED} AND state = {HELD}"))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            changes.open_holds.insert(entry_id(row, 0)?, number(row, 1)?);
        }
        let mut statement = db.prepare("SELECT key_no, name FROM entry_dimension_keys")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            changes.dimension_keys.insert(parsed(row, 1)?, row.get(0)?);
        }
        let last = "SELECT zone, min_effective_at, max_effective_at FROM entry_zones ORDER BY zone DESC LIMIT 1";
        let last =
            db.query_row(last, [], |row| Ok(Zone { zone: number(row, 0)?, min_effective_at: row.get(1)?, max_effective_at: row.get(2)? }));
        changes.zones.extend(last.optional()?);
        Ok(changes)
    }

    fn write(&mut self, db: &Connection) -> Result<(), ModelError> {
        let json = &self.json;
        ENTRIES.insert(db, &self.written, |row, bind| {
            bind.number(row.position)?;
            bind.blob(row.id.as_bytes())?;
            bind.int(row.state)?;
            bind.int(row.effective_at)?;
            bind.optional_int(row.posted_effective_at)?;
            bind.optional_int(row.expires_at)?;
            bind.int(row.recorded_at)?;
            bind.optional_text(row.reference.as_ref().map(ShortText::as_str))?;
            bind.optional_text(Some(&json[row.dimensions.clone()]).filter(|json| !json.is_empty()))?;
            bind.null()?;
            bind.text(&json[row.transfers.clone()])?;
            bind.optional_blob(row.reverses.as_ref().map(|id| &id.as_bytes()[..]))?;
            bind.null()?;
            bind.number(row.last_position)?;
            bind.number(row.version)
        })?;
        execute_each(
            db,
            "UPDATE entries SET state = ?2, posted_effective_at = ?3, transfers = coalesce(?4, transfers), last_position = ?5, version = ?6
             WHERE position = ?1",
            &self.resolved,
            |row, bind| {
                bind.number(row.entry)?;
                bind.int(row.state)?;
                bind.optional_int(row.posted_effective_at)?;
                bind.optional_text(row.transfers.clone().map(|piece| &json[piece]))?;
                bind.number(row.position)?;
                bind.number(row.version)
            },
        )?;
        insert_steps(db, &self.steps)?;
        if self.completed {
            self.later.iter().try_for_each(|later| apply(db, later))?;
        } else {
            WAITING.insert(db, &self.later, |row, bind| {
                bind.number(row.position)?;
                bind.blob(row.id.as_bytes())?;
                bind.number(row.version)?;
                bind.int(row.recorded_at)?;
                bind.text(row.event.name())?;
                let mut data = Vec::new();
                row.event.write_data(&mut data);
                bind.text(&String::from_utf8_lossy(&data))
            })?;
        }
        DIMENSION_KEYS.insert(db, &self.new_keys, |(key_no, key), bind| {
            bind.number(u64::from(*key_no))?;
            bind.text(key.as_str())
        })?;
        let mut pairs: Vec<(&(u32, ShortText), &Vec<u64>)> = self.dimensions.iter().collect();
        pairs.sort_unstable();
        let dimensions: Vec<(u32, &str, u64)> = pairs
            .into_iter()
            .flat_map(|((key_no, value), positions)| positions.iter().map(move |position| (*key_no, value.as_str(), *position)))
            .collect();
        DIMENSIONS.insert(db, &dimensions, |(key_no, value, position), bind| {
            bind.number(u64::from(*key_no))?;
            bind.text(value)?;
            bind.number(*position)
        })?;
        ZONES.replace(db, &self.zones, |row, bind| {
            bind.number(row.zone)?;
            bind.int(row.min_effective_at)?;
            bind.int(row.max_effective_at)
        })?;
        empty(&mut self.written);
        empty(&mut self.resolved);
        empty(&mut self.later);
        empty(&mut self.steps);
        empty(&mut self.new_keys);
        self.dimensions = HashMap::new();
        self.zones.drain(..self.zones.len().saturating_sub(1));
        self.json = String::new();
        Ok(())
    }
}

/// Sets what is known of an entry's last event, by parameters 3 and 4. Events that find it by its id may be applied after
/// ones that stand behind them.
const LAST: &str = "last_position = max(last_position, ?3), version = max(version, ?4)";

/// An event that waited for the index of ids. This revision of the read model wrote it, so it has today's shape.
fn waiting_event(row: &Row<'_>) -> rusqlite::Result<EntryEvent> {
    let (name, data): (String, String) = (row.get(4)?, row.get(5)?);
    let schema = EntryEvent::types().into_iter().find(|known| known.name == name).map_or(0, |known| known.version);
    match EntryEvent::decode(&name, schema, &data) {
        Decoded::Event(event) => Ok(event),
        Decoded::Wrong(_) | Decoded::OtherVersion(_) | Decoded::Unknown => Err(unknown(5, format!("no event of the type {name}"))),
    }
}

/// Applies an event to the entry that has its id.
fn apply(db: &Connection, later: &Later) -> Result<(), ModelError> {
    let contradiction = |reason: &str| Unprojectable::new(Position::new(later.position), format!("entry {} {reason}", later.id));
    match &later.event {
        EntryEvent::Reversed(reversed) => {
            let sql = format!(
                "UPDATE entries SET state = {REVERSED}, reversed_by = ?2, {LAST}
                 WHERE id = ?1 AND state IN ({POSTED}, {HOLD_POSTED}) RETURNING position"
            );
            let parameters = (later.id.as_bytes(), reversed.by.as_bytes(), later.position as i64, later.version as i64);
            let entry: Option<i64> = db.prepare_cached(&sql)?.query_row(parameters, |row| row.get(0)).optional()?;
            let entry = entry.ok_or_else(|| contradiction("moved nothing that could be reversed"))? as u64;
            let (position, recorded_at, reason) = (later.position, later.recorded_at, reversed.reason.clone());
            insert_steps(db, &[Step { position, entry, state: Some(REVERSED), effective_at: None, recorded_at, reason }])?;
            Ok(())
        }
        EntryEvent::Annotated(annotated) => {
            let sql = "SELECT position, annotations FROM entries WHERE id = ?1";
            let found = db.prepare_cached(sql)?.query_row([later.id.as_bytes()], |row| Ok((number(row, 0)?, json_or_default(row, 1)?)));
            let (entry, mut pairs): (u64, BTreeMap<Key, ShortText>) =
                found.optional()?.ok_or_else(|| contradiction("was never written"))?;
            annotate(db, entry, &mut pairs, annotated)?;
            let annotations = (!pairs.is_empty()).then(|| serde_json::to_string(&pairs)).transpose();
            let annotations = annotations.map_err(|error| contradiction(&error.to_string()))?;
            let sql = format!("UPDATE entries SET annotations = ?2, {LAST} WHERE id = ?1");
            db.prepare_cached(&sql)?.execute((later.id.as_bytes(), annotations, later.position as i64, later.version as i64))?;
            let (position, recorded_at, reason) = (later.position, later.recorded_at, annotated.reason.clone());
            insert_steps(db, &[Step { position, entry, state: None, effective_at: None, recorded_at, reason }])?;
            Ok(())
        }
        EntryEvent::Posted(_)
        | EntryEvent::Held(_)
        | EntryEvent::HoldPosted(_)
        | EntryEvent::HoldVoided(_)
        | EntryEvent::HoldExpired(_) => Err(contradiction("is found by its position").into()),
    }
}

/// Sets and removes pairs of the entry whose first event stands at a position.
fn annotate(db: &Connection, entry: u64, pairs: &mut BTreeMap<Key, ShortText>, annotated: &EntryAnnotated) -> rusqlite::Result<()> {
    let mut delete = db.prepare_cached("DELETE FROM entry_annotations WHERE key = ?1 AND value = ?2 AND position = ?3")?;
    for key in annotated.removed.iter().chain(annotated.set.keys()) {
        if let Some(value) = pairs.remove(key) {
            delete.execute((key.as_str(), value.as_str(), entry as i64))?;
        }
    }
    let mut insert = db.prepare_cached("INSERT INTO entry_annotations (key, value, position) VALUES (?1, ?2, ?3)")?;
    for (key, value) in &annotated.set {
        insert.execute((key.as_str(), value.as_str(), entry as i64))?;
        pairs.insert(key.clone(), value.clone());
    }
    Ok(())
}

fn insert_steps(db: &Connection, steps: &[Step]) -> rusqlite::Result<()> {
    STEPS.insert(db, steps, |row, bind| {
        bind.number(row.position)?;
        bind.number(row.entry)?;
        bind.optional_int(row.state)?;
        bind.optional_int(row.effective_at)?;
        bind.int(row.recorded_at)?;
        bind.optional_text(row.reason.as_ref().map(ShortText::as_str))
    })
}
