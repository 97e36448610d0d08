//! One account through two times: totals over what is effective before an instant and was recorded by a position.
//!
//! Blocks (zone maps, see `accounts/postings.rs`) that lie wholly inside count by their sums, blocks wholly outside are
//! skipped, and only what is left is read posting by posting.

use std::collections::BinaryHeap;

use cauri_domain::fold::Totals;
use cauri_domain::time::Timestamp;
use cauri_event_schemas::Position;
use rusqlite::{Connection, OptionalExtension};

use super::ReadError;
use crate::accounts::postings::{Block, CREDIT, DEBIT, plus, totals};
use crate::stored::number;

/// One account's postings in one snapshot.
pub(super) struct History<'a> {
    db: &'a Connection,
    account_no: u32,
    known_at: u64,
}

/// A place in the order of a statement: (effective time, position, line). What stands before it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) effective_at: i64,
    pub(super) position: u64,
    pub(super) line: u32,
}

impl Place {
    /// After everything.
    pub(super) const END: Place = Place { effective_at: i64::MAX, position: 0, line: 0 };

    /// Before everything that is effective at `instant`.
    pub(super) fn before(instant: Timestamp) -> Self {
        Self { effective_at: instant.as_micros(), position: 0, line: 0 }
    }

    /// After everything that is effective at `instant`; no instant: after everything.
    pub(super) fn after(instant: Option<Timestamp>) -> Self {
        instant.map_or(Self::END, |instant| Self { effective_at: instant.as_micros() + 1, position: 0, line: 0 })
    }

    /// Directly behind this place.
    pub(super) fn next(self) -> Self {
        Self { line: self.line + 1, ..self }
    }
}

/// A posting that moved the posted balance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Movement {
    pub(super) place: Place,
    pub(super) side: i64,
    pub(super) posted: i64,
}

fn uncountable() -> ReadError {
    ReadError::Damaged("the totals of an account leave their range".into())
}

impl<'a> History<'a> {
    pub(super) fn of(db: &'a Connection, account_no: u32, known_at: Position) -> Self {
        Self { db, account_no, known_at: known_at.get() }
    }

    /// The totals of everything before `end`.
    pub(super) fn totals_before(&self, end: Place) -> Result<Totals, ReadError> {
        let sql = "SELECT last_position, max_effective_at, debits_posted, credits_posted, debits_pending, credits_pending
             FROM accounts WHERE account_no = ?1";
        let account = self
            .db
            .prepare_cached(sql)?
            .query_row([self.account_no], |row| Ok((number(row, 0)?, row.get::<_, Option<i64>>(1)?, totals(row, 2)?)));
        let (last_position, max_effective_at, now) = account?;
        let Some(max_effective_at) = max_effective_at else { return Ok(Totals::default()) };
        if max_effective_at < end.effective_at {
            // Every effective date counts: what is left is one place in the order of positions.
            return if last_position <= self.known_at { Ok(now) } else { self.totals_known() };
        }
        let mut sum = Totals::default();
        let mut next = 0;
        for level in self.levels()?.into_iter().rev() {
            for block in self.blocks(level, next, self.known_at)? {
                next = block.last_position + 1;
                self.add_block(level, &block, end, &mut sum)?;
            }
        }
        self.add_postings(next, self.known_at, end, &mut sum)?;
        Ok(sum)
    }

    /// The totals after the last posting by `known_at`: one seek.
    fn totals_known(&self) -> Result<Totals, ReadError> {
        let sql = "SELECT debits_posted, credits_posted, debits_pending, credits_pending FROM postings
             WHERE account_no = ?1 AND position <= ?2 ORDER BY position DESC, line DESC LIMIT 1";
        let found = self.db.prepare_cached(sql)?.query_row((self.account_no, self.known_at as i64), |row| totals(row, 0));
        Ok(found.optional()?.unwrap_or_default())
    }

    /// The levels on which the account has blocks.
    fn levels(&self) -> Result<Vec<u32>, ReadError> {
        let mut statement = self.db.prepare_cached("SELECT max(level) FROM posting_blocks WHERE account_no = ?1")?;
        let highest: Option<u32> = statement.query_row([self.account_no], |row| row.get(0))?;
        Ok(highest.map(|highest| (0..=highest).collect()).unwrap_or_default())
    }

    /// Blocks of one level that begin from `first` to `last`.
    fn blocks(&self, level: u32, first: u64, last: u64) -> Result<Vec<Block>, ReadError> {
        let sql = format!(
            "SELECT {} FROM posting_blocks WHERE account_no = ?1 AND level = ?2 AND first_position BETWEEN ?3 AND ?4 ORDER BY first_position",
            Block::COLUMNS
        );
        let mut statement = self.db.prepare_cached(&sql)?;
        let blocks = statement.query_map((self.account_no, level, first as i64, last as i64), Block::read)?;
        Ok(blocks.collect::<rusqlite::Result<_>>()?)
    }

    fn add_block(&self, level: u32, block: &Block, end: Place, sum: &mut Totals) -> Result<(), ReadError> {
        if block.min_effective_at > end.effective_at {
            return Ok(());
        }
        if block.max_effective_at < end.effective_at && block.last_position <= self.known_at {
            *sum = plus(sum, &block.sums).ok_or_else(uncountable)?;
            return Ok(());
        }
        if level == 0 {
            return self.add_postings(block.first_position, block.last_position.min(self.known_at), end, sum);
        }
        let inside = self.blocks(level - 1, block.first_position, block.last_position.min(self.known_at))?;
        inside.iter().try_for_each(|block| self.add_block(level - 1, block, end, sum))
    }

    fn add_postings(&self, first: u64, last: u64, end: Place, sum: &mut Totals) -> Result<(), ReadError> {
        let sql = format!(
            "SELECT coalesce(sum(CASE side WHEN {DEBIT} THEN posted END), 0), coalesce(sum(CASE side WHEN {CREDIT} THEN posted END), 0),
                coalesce(sum(CASE side WHEN {DEBIT} THEN pending END), 0), coalesce(sum(CASE side WHEN {CREDIT} THEN pending END), 0)
             FROM postings
             WHERE account_no = ?1 AND position BETWEEN ?2 AND ?3
                AND (effective_at < ?4 OR (effective_at = ?4 AND (position, line) < (?5, ?6)))"
        );
        let parameters = (self.account_no, first as i64, last as i64, end.effective_at, end.position as i64, end.line);
        let found = self.db.prepare_cached(&sql)?.query_row(parameters, |row| totals(row, 0))?;
        *sum = plus(sum, &found).ok_or_else(uncountable)?;
        Ok(())
    }

    /// The first `count` movements of the posted balance from `from` on and before `end`, in order.
    pub(super) fn movements(&self, from: Place, end: Place, count: usize) -> Result<Vec<Movement>, ReadError> {
        // (least effective time, first position, last position) of what has to be looked at
        let mut parts = Vec::new();
        let mut next = 0;
        for level in self.levels()?.into_iter().rev() {
            for block in self.blocks(level, next, self.known_at)? {
                next = block.last_position + 1;
                self.add_parts(level, &block, from, end, &mut parts)?;
            }
        }
        parts.push((i64::MIN, next, self.known_at));
        parts.sort_unstable();

        let sql = "SELECT effective_at, position, line, side, posted FROM postings
             WHERE account_no = ?1 AND position BETWEEN ?2 AND ?3 AND effective_at BETWEEN ?4 AND ?5 AND posted <> 0";
        let mut statement = self.db.prepare_cached(sql)?;
        // The last of the first `count` so far is on top.
        let mut first: BinaryHeap<Movement> = BinaryHeap::with_capacity(count + 1);
        for (min_effective_at, first_position, last_position) in parts {
            if first.len() >= count && first.peek().is_some_and(|last| min_effective_at > last.place.effective_at) {
                break;
            }
            let parameters = (self.account_no, first_position as i64, last_position as i64, from.effective_at, end.effective_at);
            let mut rows = statement.query(parameters)?;
            while let Some(row) = rows.next()? {
                let place = Place { effective_at: row.get(0)?, position: number(row, 1)?, line: row.get(2)? };
                if place < from || place >= end || (first.len() >= count && first.peek().is_some_and(|last| place > last.place)) {
                    continue;
                }
                first.push(Movement { place, side: row.get(3)?, posted: row.get(4)? });
                if first.len() > count {
                    first.pop();
                }
            }
        }
        Ok(first.into_sorted_vec())
    }

    fn add_parts(&self, level: u32, block: &Block, from: Place, end: Place, parts: &mut Vec<(i64, u64, u64)>) -> Result<(), ReadError> {
        if block.max_effective_at < from.effective_at || block.min_effective_at > end.effective_at {
            return Ok(());
        }
        let last = block.last_position.min(self.known_at);
        if level == 0 {
            parts.push((block.min_effective_at, block.first_position, last));
            return Ok(());
        }
        let inside = self.blocks(level - 1, block.first_position, last)?;
        inside.iter().try_for_each(|block| self.add_parts(level - 1, block, from, end, parts))
    }
}
