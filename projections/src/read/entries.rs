//! Entries: one by its id, many by account, reference, dimension, annotation, state and time.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use cauri_domain::ids::{AccountAddress, EntryId};
use cauri_domain::money::Currency;
use cauri_domain::text::{Key, ShortText};
use cauri_domain::time::Timestamp;
use cauri_event_schemas::{Position, StreamVersion};
use rusqlite::{OptionalExtension, Row};
use serde::Deserialize;

use super::{Cursor, Item, MAX_PAGE, Page, ReadError, ReadSnapshot, UnknownState};
use crate::entries::{HELD, HOLD_EXPIRED, HOLD_POSTED, HOLD_VOIDED, POSTED, REVERSED, ZONE_BITS};
use crate::stored::{
    entry_id, json, json_or_default, number, optional, optional_entry_id, optional_timestamp, position, timestamp, unknown,
};
use crate::{ACCOUNTS, ENTRIES};

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EntryState {
    /// Posted at once.
    Posted,
    /// Held: open.
    Held,
    /// Was held, then posted, whole or in part.
    HoldPosted,
    /// Was held, then given back.
    HoldVoided,
    /// Was held until its time had passed.
    HoldExpired,
    /// Was posted, then undone by the opposite entry.
    Reversed,
}

impl EntryState {
    /// All states.
    pub const ALL: [EntryState; 6] = [
        EntryState::Posted,
        EntryState::Held,
        EntryState::HoldPosted,
        EntryState::HoldVoided,
        EntryState::HoldExpired,
        EntryState::Reversed,
    ];

    /// The state in a word or two, as the domain writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            EntryState::Posted => "posted",
            EntryState::Held => "held",
            EntryState::HoldPosted => "hold_posted",
            EntryState::HoldVoided => "hold_voided",
            EntryState::HoldExpired => "hold_expired",
            EntryState::Reversed => "reversed",
        }
    }
}

impl FromStr for EntryState {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or_else(|| UnknownState::new(text))
    }
}

impl fmt::Display for EntryState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An entry with what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryRow {
    /// Its id.
    pub id: EntryId,
    /// What it is now.
    pub state: EntryState,
    /// The business time of its first event: of the posting, or from which it is held.
    pub effective_at: Timestamp,
    /// The business time at which the posted balances moved; absent while it is held and where a hold was given back.
    pub posted_effective_at: Option<Timestamp>,
    /// When the hold expires or would have expired.
    pub expires_at: Option<Timestamp>,
    /// The caller's own reference.
    pub reference: Option<ShortText>,
    /// Pairs to group by.
    pub dimensions: BTreeMap<Key, ShortText>,
    /// What was said of it later, by key.
    pub annotations: BTreeMap<Key, ShortText>,
    /// What moved or is held, in order.
    pub transfers: Vec<TransferRow>,
    /// The entry that this one undoes.
    pub reverses: Option<EntryId>,
    /// The entry that undid this one.
    pub reversed_by: Option<EntryId>,
    /// When it was first written.
    pub recorded_at: Timestamp,
    /// Position of its first event.
    pub first_position: Position,
    /// Position of its last event.
    pub last_position: Position,
    /// How many events its stream has (what `If-Match` is compared with).
    pub version: StreamVersion,
    /// What happened to it after its first event, in order.
    pub steps: Vec<EntryStep>,
}

/// One transfer of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransferRow {
    /// The account on the left; absent where whoever asks may not see it.
    pub debit: Option<AccountAddress>,
    /// The account on the right; absent where whoever asks may not see it.
    pub credit: Option<AccountAddress>,
    /// The currency of both.
    pub currency: Currency,
    /// What was posted at once, or held, in minor units.
    pub amount_minor: i64,
    /// What moved the posted balances, in minor units: less than held where a hold was posted in part, 0 where it was not.
    pub posted_minor: i64,
    /// Why, for a statement.
    pub reason: Option<ShortText>,
}

/// Something that happened to an entry after its first event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryStep {
    /// Where it stands in the journal.
    pub position: Position,
    /// What the entry was from then on.
    pub state: EntryState,
    /// The business time; absent for `reversed`, whose opposite entry has one, and where the entry was annotated.
    pub effective_at: Option<Timestamp>,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// Why.
    pub reason: Option<ShortText>,
}

/// Which entries to list; what is absent does not filter, what is given must all hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntryFilter {
    /// With a transfer that debits or credits this account.
    pub account: Option<AccountAddress>,
    /// With exactly this reference.
    pub reference: Option<ShortText>,
    /// With exactly this pair.
    pub dimension: Option<(Key, ShortText)>,
    /// Annotated with exactly this pair now.
    pub annotation: Option<(Key, ShortText)>,
    /// Effective (first event) at or after this instant.
    pub effective_from: Option<Timestamp>,
    /// Effective (first event) before this instant.
    pub effective_to: Option<Timestamp>,
    /// First recorded at or after this instant.
    pub recorded_from: Option<Timestamp>,
    /// First recorded before this instant.
    pub recorded_to: Option<Timestamp>,
    /// In this state now.
    pub state: Option<EntryState>,
}

const COLUMNS: &str = "e.position, e.id, e.state, e.effective_at, e.posted_effective_at, e.expires_at, e.recorded_at, e.reference, \
     e.dimensions, e.transfers, e.reverses, e.reversed_by, e.last_position, e.version, e.annotations";
const LIST: &str = "entries";

/// A transfer as the table of entries holds it.
#[derive(Deserialize)]
pub(super) struct StoredTransfer {
    pub(super) debit: AccountAddress,
    pub(super) credit: AccountAddress,
    currency: Currency,
    amount: i64,
    posted: Option<i64>,
    pub(super) reason: Option<ShortText>,
}

fn state(row: &Row<'_>, column: usize) -> rusqlite::Result<EntryState> {
    Ok(match row.get(column)? {
        POSTED => EntryState::Posted,
        HELD => EntryState::Held,
        HOLD_POSTED => EntryState::HoldPosted,
        HOLD_VOIDED => EntryState::HoldVoided,
        HOLD_EXPIRED => EntryState::HoldExpired,
        REVERSED => EntryState::Reversed,
        other => return Err(unknown(column, format!("{other} is no state"))),
    })
}

fn stored(state: EntryState) -> i64 {
    match state {
        EntryState::Posted => POSTED,
        EntryState::Held => HELD,
        EntryState::HoldPosted => HOLD_POSTED,
        EntryState::HoldVoided => HOLD_VOIDED,
        EntryState::HoldExpired => HOLD_EXPIRED,
        EntryState::Reversed => REVERSED,
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<EntryRow> {
    let state = state(row, 2)?;
    let moved = match state {
        EntryState::Posted | EntryState::HoldPosted | EntryState::Reversed => true,
        EntryState::Held | EntryState::HoldVoided | EntryState::HoldExpired => false,
    };
    let transfers: Vec<StoredTransfer> = json(row, 9)?;
    Ok(EntryRow {
        id: entry_id(row, 1)?,
        state,
        effective_at: timestamp(row, 3)?,
        posted_effective_at: optional_timestamp(row, 4)?,
        expires_at: optional_timestamp(row, 5)?,
        reference: optional(row, 7)?,
        dimensions: json_or_default(row, 8)?,
        annotations: json_or_default(row, 14)?,
        transfers: transfers
            .into_iter()
            .map(|transfer| TransferRow {
                debit: Some(transfer.debit),
                credit: Some(transfer.credit),
                currency: transfer.currency,
                amount_minor: transfer.amount,
                posted_minor: if moved { transfer.posted.unwrap_or(transfer.amount) } else { 0 },
                reason: transfer.reason,
            })
            .collect(),
        reverses: optional_entry_id(row, 10)?,
        reversed_by: optional_entry_id(row, 11)?,
        recorded_at: timestamp(row, 6)?,
        first_position: position(row, 0)?,
        last_position: position(row, 12)?,
        version: StreamVersion::new(number(row, 13)?),
        steps: Vec::new(),
    })
}

/// What is asked first of the tables: the most selective of what a filter names. What else it names is looked at entry by
/// entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lead {
    Reference,
    Annotation,
    Dimension,
    /// The read model of accounts knows at which positions something moved.
    Account,
    State,
    Position,
}

impl Lead {
    /// The tables with the condition that leads, and the column that orders.
    fn source(self) -> (&'static str, &'static str) {
        match self {
            Lead::Reference => ("entries e INDEXED BY entries_reference WHERE e.reference = :reference", "e.position"),
            Lead::Annotation => (
                "entry_annotations a CROSS JOIN entries e ON e.position = a.position WHERE a.key = :annotation_key AND a.value = :annotation_value",
                "a.position",
            ),
            Lead::Dimension => (
                "entry_dimensions d CROSS JOIN entries e ON e.position = d.position WHERE d.key_no = :key_no AND d.value = :value",
                "d.position",
            ),
            // The condition is the one of the partial index.
            Lead::State => ("entries e WHERE e.state <> 0 AND e.state = :state", "e.position"),
            Lead::Account | Lead::Position => ("entries e WHERE true", "e.position"),
        }
    }
}

/// What else an entry must be; a parameter that is null does not filter.
const FILTER: &str = "(:reference IS NULL OR e.reference = :reference) AND (:state IS NULL OR e.state = :state)
     AND (:effective_from IS NULL OR e.effective_at >= :effective_from) AND (:effective_to IS NULL OR e.effective_at < :effective_to)
     AND (:annotation_key IS NULL OR EXISTS (SELECT 1 FROM entry_annotations x
          WHERE x.key = :annotation_key AND x.value = :annotation_value AND x.position = e.position))
     AND (:key_no IS NULL OR EXISTS (SELECT 1 FROM entry_dimensions x
          WHERE x.key_no = :key_no AND x.value = :value AND x.position = e.position))";

/// Whether an entry has a transfer with an account.
fn touches(entry: &EntryRow, account: &AccountAddress) -> bool {
    entry.transfers.iter().any(|transfer| [&transfer.debit, &transfer.credit].contains(&&Some(account.clone())))
}

/// Which entries by position: from the first to the last, both in.
#[derive(Clone, Copy, Debug)]
struct Range {
    first: i64,
    last: i64,
}

impl Range {
    fn cut(self, first: i64, last: i64) -> Self {
        Self { first: self.first.max(first), last: self.last.min(last) }
    }

    fn is_empty(self) -> bool {
        self.first > self.last
    }
}

impl ReadSnapshot {
    /// The entry with an id.
    pub fn entry(&self, id: EntryId) -> Result<Option<EntryRow>, ReadError> {
        let db = self.group(ENTRIES)?.db()?;
        let mut statement = db.prepare_cached(&format!("SELECT {COLUMNS} FROM entries e WHERE e.id = ?1"))?;
        let found = statement.query_row([id.as_bytes()], read).optional()?;
        let seen = found.map(|entry| self.seen(entry)).transpose()?.flatten();
        seen.map(|entry| self.with_steps(entry)).transpose()
    }

    /// What whoever asks may see of an entry; `None` if it touches no account of theirs.
    fn seen(&self, mut entry: EntryRow) -> Result<Option<EntryRow>, ReadError> {
        if self.reach.is_none() {
            return Ok(Some(entry));
        }
        for transfer in &mut entry.transfers {
            for side in [&mut transfer.debit, &mut transfer.credit] {
                *side = side.take().map(|address| self.if_seen(&address)).transpose()?.flatten();
            }
        }
        entry.transfers.retain(|transfer| transfer.debit.is_some() || transfer.credit.is_some());
        Ok((!entry.transfers.is_empty()).then_some(entry))
    }

    /// Entries in the order in which they were first recorded, or the other way round.
    ///
    /// The most selective of reference, annotation, dimension, account, state and effective time leads; the others are looked at
    /// entry by entry.
    pub fn entries(
        &self,
        filter: &EntryFilter,
        after: Option<&Cursor>,
        limit: usize,
        descending: bool,
    ) -> Result<Page<EntryRow>, ReadError> {
        let limit = limit.clamp(1, MAX_PAGE);
        match &filter.account {
            None => self.unlimited("a list of entries that names no account")?,
            Some(account) if !self.sees(account)? => return Ok(Page::cut(Vec::new(), limit)),
            Some(_) => {}
        }
        let mut range = Range { first: 0, last: i64::MAX };
        if let Some(after) = after {
            let [position] = after.numbers(LIST)?;
            range = if descending { range.cut(0, position.saturating_sub(1)) } else { range.cut(position.saturating_add(1), i64::MAX) };
        }
        if let Some(from) = filter.recorded_from {
            range = range.cut(self.first_recorded_from(from)?, i64::MAX);
        }
        if let Some(to) = filter.recorded_to {
            range = range.cut(0, self.first_recorded_from(to)?.saturating_sub(1));
        }
        let rows = if range.is_empty() { Vec::new() } else { self.entries_in(filter, range, limit + 1, descending)? };
        let rows = rows.into_iter().filter_map(|row| self.seen(row).transpose()).collect::<Result<Vec<_>, _>>()?;
        let items = rows.into_iter().map(|row| Item { cursor: Cursor::new(LIST, row.first_position), row });
        let mut page = Page::cut(items.collect(), limit);
        for item in &mut page.items {
            item.row.steps = self.steps(&item.row)?;
        }
        Ok(page)
    }

    fn entries_in(&self, filter: &EntryFilter, range: Range, enough: usize, descending: bool) -> Result<Vec<EntryRow>, ReadError> {
        let db = self.group(ENTRIES)?.db()?;
        // A key that was never used matches nothing.
        let dimension = match &filter.dimension {
            None => None,
            Some((key, value)) => match self.dimension_key(key.as_str())? {
                Some(key_no) => Some((key_no, value.as_str())),
                None => return Ok(Vec::new()),
            },
        };
        let annotation = filter.annotation.as_ref().map(|(key, value)| (key.as_str(), value.as_str()));
        let lead = if filter.reference.is_some() {
            Lead::Reference
        } else if annotation.is_some() {
            Lead::Annotation
        } else if dimension.is_some() {
            Lead::Dimension
        } else if filter.account.is_some() {
            Lead::Account
        } else if filter.state.is_some_and(|state| state != EntryState::Posted) {
            Lead::State
        } else {
            Lead::Position
        };
        let order = if descending { "DESC" } else { "ASC" };
        let (from, place) = lead.source();
        let sql = format!("SELECT {COLUMNS} FROM {from} AND {place} BETWEEN :first AND :last AND {FILTER} ORDER BY {place} {order}");
        let mut statement = db.prepare_cached(&sql)?;
        let mut found = Vec::new();
        let mut take = |range: Range, found: &mut Vec<EntryRow>| -> Result<(), ReadError> {
            let parameters = rusqlite::named_params! {
                ":first": range.first, ":last": range.last,
                ":reference": filter.reference.as_ref().map(ShortText::as_str),
                ":state": filter.state.map(stored),
                ":effective_from": filter.effective_from.map(Timestamp::as_micros),
                ":effective_to": filter.effective_to.map(Timestamp::as_micros),
                ":annotation_key": annotation.map(|pair| pair.0), ":annotation_value": annotation.map(|pair| pair.1),
                ":key_no": dimension.map(|pair| pair.0), ":value": dimension.map(|pair| pair.1),
            };
            let mut rows = statement.query(parameters)?;
            while let Some(row) = rows.next()? {
                let entry = read(row)?;
                if filter.account.as_ref().is_none_or(|account| touches(&entry, account)) {
                    found.push(entry);
                }
                if found.len() >= enough {
                    break;
                }
            }
            Ok(())
        };
        let parts = match lead {
            Lead::Account => {
                let Some(account) = &filter.account else { return Ok(found) };
                return self
                    .each_position(account, range, descending, |position| {
                        take(range.cut(position, position), &mut found)?;
                        Ok(found.len() < enough)
                    })
                    .map(|()| found);
            }
            Lead::Position if filter.effective_from.is_some() || filter.effective_to.is_some() => {
                let (from, to) = (filter.effective_from.map(Timestamp::as_micros), filter.effective_to.map(Timestamp::as_micros));
                let zones = self.zones(from, to, descending)?.into_iter().map(|zone| zone << ZONE_BITS);
                zones.map(|first| range.cut(first, first + (1 << ZONE_BITS) - 1)).collect()
            }
            _ => vec![range],
        };
        for part in parts {
            if !part.is_empty() {
                take(part, &mut found)?;
            }
            if found.len() >= enough {
                break;
            }
        }
        Ok(found)
    }

    /// The positions in a range at which something moved on an account, each once, until it was enough.
    fn each_position(
        &self,
        account: &AccountAddress,
        range: Range,
        descending: bool,
        mut take: impl FnMut(i64) -> Result<bool, ReadError>,
    ) -> Result<(), ReadError> {
        let accounts = self.group(ACCOUNTS)?;
        self.joined(ENTRIES, accounts.position())?;
        let Some(account) = self.account_key(account, accounts.position())? else { return Ok(()) };
        let order = if descending { "DESC" } else { "ASC" };
        let sql = format!(
            "SELECT DISTINCT position FROM postings WHERE account_no = ?1 AND position BETWEEN ?2 AND ?3 ORDER BY position {order}"
        );
        let mut statement = accounts.db()?.prepare_cached(&sql)?;
        let mut rows = statement.query((account.account_no, range.first, range.last))?;
        while let Some(row) = rows.next()? {
            if !take(row.get(0)?)? {
                break;
            }
        }
        Ok(())
    }

    /// Zones that hold an entry effective in a range.
    fn zones(&self, from: Option<i64>, to: Option<i64>, descending: bool) -> Result<Vec<i64>, ReadError> {
        let order = if descending { "DESC" } else { "ASC" };
        let sql = format!("SELECT zone FROM entry_zones WHERE max_effective_at >= ?1 AND min_effective_at < ?2 ORDER BY zone {order}");
        let mut statement = self.group(ENTRIES)?.db()?.prepare_cached(&sql)?;
        let found = statement.query_map((from.unwrap_or(i64::MIN), to.unwrap_or(i64::MAX)), |row| row.get(0))?;
        Ok(found.collect::<rusqlite::Result<_>>()?)
    }

    /// Position of the first entry that was recorded at or after an instant; beyond all positions if there is none.
    ///
    /// `recorded_at` never goes back along a journal, so halving the positions finds it without an index.
    fn first_recorded_from(&self, instant: Timestamp) -> Result<i64, ReadError> {
        let db = self.group(ENTRIES)?.db()?;
        let last: Option<i64> = db.prepare_cached("SELECT max(position) FROM entries")?.query_row([], |row| row.get(0))?;
        let Some(last) = last else { return Ok(i64::MAX) };
        let mut statement =
            db.prepare_cached("SELECT position, recorded_at FROM entries WHERE position >= ?1 ORDER BY position LIMIT 1")?;
        let (mut low, mut high) = (0_i64, last.saturating_add(1));
        while low < high {
            let middle = low + (high - low) / 2;
            let (position, recorded_at): (i64, i64) = statement.query_row([middle], |row| Ok((row.get(0)?, row.get(1)?)))?;
            if recorded_at >= instant.as_micros() { high = middle } else { low = position + 1 }
        }
        Ok(if low > last { i64::MAX } else { low })
    }

    fn dimension_key(&self, key: &str) -> Result<Option<u32>, ReadError> {
        let mut statement = self.group(ENTRIES)?.db()?.prepare_cached("SELECT key_no FROM entry_dimension_keys WHERE name = ?1")?;
        Ok(statement.query_row([key], |row| row.get(0)).optional()?)
    }

    fn with_steps(&self, mut entry: EntryRow) -> Result<EntryRow, ReadError> {
        entry.steps = self.steps(&entry)?;
        Ok(entry)
    }

    /// What happened to an entry after its first event.
    fn steps(&self, entry: &EntryRow) -> Result<Vec<EntryStep>, ReadError> {
        let sql = "SELECT position, effective_at, recorded_at, reason, state FROM entry_steps WHERE entry = ?1 ORDER BY position";
        let mut statement = self.group(ENTRIES)?.db()?.prepare_cached(sql)?;
        let found = statement.query_map([entry.first_position.get() as i64], |row| {
            let became = row.get::<_, Option<i64>>(4)?.map(|_| state(row, 4)).transpose()?;
            let (effective_at, reason) = (optional_timestamp(row, 1)?, optional(row, 3)?);
            let recorded_at = timestamp(row, 2)?;
            Ok((EntryStep { position: position(row, 0)?, state: entry.state, effective_at, recorded_at, reason }, became))
        })?;
        let mut steps: Vec<(EntryStep, Option<EntryState>)> = found.collect::<rusqlite::Result<_>>()?;
        // A step that changed nothing has the state of the one before it.
        let mut now = match steps.iter().find_map(|(_, became)| *became) {
            None => entry.state,
            Some(EntryState::HoldPosted | EntryState::HoldVoided | EntryState::HoldExpired | EntryState::Held) => EntryState::Held,
            Some(EntryState::Reversed | EntryState::Posted) => EntryState::Posted,
        };
        for (step, became) in &mut steps {
            now = became.unwrap_or(now);
            step.state = now;
        }
        Ok(steps.into_iter().map(|(step, _)| step).collect())
    }

    /// Positions of an entry's events, in order; none if there is no such entry.
    pub(super) fn entry_positions(&self, id: EntryId) -> Result<Vec<Position>, ReadError> {
        let sql = "SELECT position FROM entries WHERE id = ?1
             UNION ALL SELECT s.position FROM entries e JOIN entry_steps s ON s.entry = e.position WHERE e.id = ?1
             ORDER BY 1";
        let mut statement = self.group(ENTRIES)?.db()?.prepare_cached(sql)?;
        let found = statement.query_map([id.as_bytes()], |row| position(row, 0))?;
        Ok(found.collect::<rusqlite::Result<_>>()?)
    }
}
