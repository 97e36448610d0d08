//! Statements: what moved on an account between two effective times.

use cauri_domain::account::{AccountKind, Side};
use cauri_domain::fold::Totals;
use cauri_domain::ids::{AccountAddress, EntryId};
use cauri_domain::money::Currency;
use cauri_domain::text::ShortText;
use cauri_domain::time::Timestamp;
use cauri_event_schemas::Position;
use rusqlite::{OptionalExtension, Row};

use super::balances::balance;
use super::entries::StoredTransfer;
use super::history::{Movement, Place};
use super::{Cursor, Item, MAX_PAGE, Page, ReadError, ReadSnapshot};
use crate::accounts::postings::DEBIT;
use crate::stored::{entry_id, json, optional, timestamp};
use crate::{ACCOUNTS, ENTRIES};

/// What moved on one account in a time: from an opening balance over lines to a closing balance.
#[derive(Clone, Debug, PartialEq)]
pub struct StatementPage {
    /// Where the account stands.
    pub address: AccountAddress,
    /// Kind, and so normal side.
    pub kind: AccountKind,
    /// Its currency.
    pub currency: Currency,
    /// First instant of the statement.
    pub from: Timestamp,
    /// First instant after the statement.
    pub to: Timestamp,
    /// As known at this position; later pages of the same statement stay with it.
    pub known_at: Position,
    /// Totals of everything effective before `from`, in minor units.
    pub opening: Totals,
    /// Totals of everything effective before `to`, in minor units.
    pub closing: Totals,
    /// Lines that moved the posted balance, by (effective time, position, line).
    pub lines: Page<StatementLine>,
}

/// One line of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatementLine {
    /// The business time.
    pub effective_at: Timestamp,
    /// Position of the event that moved it.
    pub position: Position,
    /// Index of the transfer in the entry, from 0.
    pub line: u32,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// The entry.
    pub entry: EntryId,
    /// The entry's reference.
    pub reference: Option<ShortText>,
    /// On which side of this account.
    pub side: Side,
    /// How much, in minor units, more than zero.
    pub amount_minor: i64,
    /// The account's balance after this line, on its normal side, in minor units.
    pub balance_minor: i64,
    /// The other account of the transfer; absent where whoever asks may not see it.
    pub counterparty: Option<AccountAddress>,
    /// Why.
    pub reason: Option<ShortText>,
}

const LIST: &str = "statement";

/// What a line says of its entry.
struct LineEntry {
    id: EntryId,
    reference: Option<ShortText>,
    recorded_at: Timestamp,
    transfers: Vec<StoredTransfer>,
}

impl ReadSnapshot {
    /// What moved the posted balance of an account from `from` on and before `to`, by effective time; `None` if it
    /// was not open by `known_at`.
    ///
    /// Later pages stay with the position that the first one was known at, whatever was recorded meanwhile, so
    /// that all pages are of one statement.
    pub fn statement(
        &self,
        address: &AccountAddress,
        from: Timestamp,
        to: Timestamp,
        known_at: Option<Position>,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Option<StatementPage>, ReadError> {
        let limit = limit.clamp(1, MAX_PAGE);
        let mut start = Place::before(from);
        let accounts = self.group(ACCOUNTS)?;
        let mut known_at = accounts.known(known_at)?;
        if let Some(after) = after {
            let [known, effective_at, position, line] = after.numbers(LIST)?;
            let (position, line) = (u64::try_from(position).ok(), u32::try_from(line).ok().filter(|line| *line < u32::MAX));
            let (Some(position), Some(line), Ok(known)) = (position, line, u64::try_from(known)) else {
                return Err(ReadError::InvalidCursor);
            };
            start = start.max(Place { effective_at, position, line }.next());
            known_at = accounts.known(Some(Position::new(known)))?;
        }
        let Some(account) = self.seen_account_key(address, known_at)? else { return Ok(None) };
        let kind = account.row.kind;
        let history = self.history(&account, known_at)?;
        let opening = history.totals_before(Place::before(from))?;
        let closing = history.totals_before(Place::before(to.max(from)))?;
        let movements = history.movements(start, Place::before(to), limit + 1)?;
        let mut running = match movements.first() {
            Some(first) => balance(&history.totals_before(first.place)?, kind)?,
            None => 0,
        };
        let mut items = Vec::with_capacity(movements.len());
        let mut entry: Option<(u64, LineEntry)> = None;
        for Movement { place, side, posted } in movements {
            let side = if side == DEBIT { Side::Debit } else { Side::Credit };
            running = if side == kind.normal_side() { running.checked_add(posted) } else { running.checked_sub(posted) }
                .ok_or_else(|| ReadError::Damaged("the balance of an account leaves its range".into()))?;
            let (_, said) = match entry.take() {
                Some((position, said)) if position == place.position => entry.insert((position, said)),
                _ => entry.insert((place.position, self.line_entry(place.position)?)),
            };
            let transfer = said.transfers.get(place.line as usize);
            let transfer = transfer.ok_or_else(|| ReadError::Damaged(format!("position {} has no line {}", place.position, place.line)))?;
            items.push(Item {
                cursor: Cursor::new(LIST, format_args!("{known_at}:{}:{}:{}", place.effective_at, place.position, place.line)),
                row: StatementLine {
                    effective_at: Timestamp::from_micros(place.effective_at)
                        .ok_or_else(|| ReadError::Damaged(format!("{} is no instant", place.effective_at)))?,
                    position: Position::new(place.position),
                    line: place.line,
                    recorded_at: said.recorded_at,
                    entry: said.id,
                    reference: said.reference.clone(),
                    side,
                    amount_minor: posted,
                    balance_minor: running,
                    counterparty: self.if_seen(match side {
                        Side::Debit => &transfer.credit,
                        Side::Credit => &transfer.debit,
                    })?,
                    reason: transfer.reason.clone(),
                },
            });
        }
        Ok(Some(StatementPage {
            address: account.row.address,
            kind,
            currency: account.row.currency,
            from,
            to,
            known_at,
            opening,
            closing,
            lines: Page::cut(items, limit),
        }))
    }

    /// The entry of an event that moved something: its first event, or the posting of its hold.
    fn line_entry(&self, position: u64) -> Result<LineEntry, ReadError> {
        let db = self.joined(ENTRIES, Position::new(position))?.db()?;
        let read = |row: &Row<'_>| {
            Ok(LineEntry { id: entry_id(row, 0)?, reference: optional(row, 1)?, recorded_at: timestamp(row, 2)?, transfers: json(row, 3)? })
        };
        let first = "SELECT id, reference, recorded_at, transfers FROM entries WHERE position = ?1";
        let first = db.prepare_cached(first)?.query_row([position as i64], read).optional()?;
        if let Some(first) = first {
            return Ok(first);
        }
        let step = "SELECT e.id, e.reference, s.recorded_at, e.transfers
             FROM entry_steps s JOIN entries e ON e.position = s.entry WHERE s.position = ?1";
        let step = db.prepare_cached(step)?.query_row([position as i64], read).optional()?;
        step.ok_or_else(|| ReadError::Damaged(format!("no entry has an event at position {position}")))
    }
}
