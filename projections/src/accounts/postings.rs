//! Every movement on every account, and zone maps over them.
//!
//! `postings` is clustered by (account, position, line): what changed, when it is effective, and the account's totals after
//! it, so that "as known at" alone is one seek. `posting_blocks` are zone maps: a block of level 0 covers at least 256
//! postings, one of level n + 1 at least 64 blocks of level n, each with the least and greatest effective time and the sums
//! inside. So "as of … as known at …" counts a block that lies wholly inside by its sums, skips one that lies wholly outside
//! and opens the others only. A block ends between two events, never inside one.

use cauri_domain::fold::Totals;
use rusqlite::{Connection, Row};

use crate::stored::{number, unknown};
use crate::table::{Binder, Column, Table, empty};

/// A block of level 0 is closed before the first event after this many postings.
/// In unit tests so few that short histories have blocks of several levels.
pub(crate) const BLOCK_POSTINGS: u32 = if cfg!(test) { 4 } else { 256 };
/// A block of a higher level is closed after this many blocks of the level below.
pub(crate) const BLOCK_FAN: u32 = if cfg!(test) { 3 } else { 64 };

/// Side as stored: the account was debited.
pub(crate) const DEBIT: i64 = 0;
/// Side as stored: the account was credited.
pub(crate) const CREDIT: i64 = 1;

pub(super) static POSTINGS: Table = Table {
    name: "postings",
    columns: &[
        Column::integer("account_no"),
        Column::integer("position"),
        Column::integer("line"),
        Column::integer("effective_at"),
        Column::integer("side"),
        Column::integer("posted"),
        Column::integer("pending"),
        Column::integer("debits_posted"),
        Column::integer("credits_posted"),
        Column::integer("debits_pending"),
        Column::integer("credits_pending"),
    ],
    key: &["account_no", "position", "line"],
    indexes: &[],
};

pub(super) static BLOCKS: Table = Table {
    name: "posting_blocks",
    columns: &[
        Column::integer("account_no"),
        Column::integer("level"),
        Column::integer("first_position"),
        Column::integer("last_position"),
        Column::integer("min_effective_at"),
        Column::integer("max_effective_at"),
        Column::integer("debits_posted"),
        Column::integer("credits_posted"),
        Column::integer("debits_pending"),
        Column::integer("credits_pending"),
    ],
    key: &["account_no", "level", "first_position"],
    indexes: &[],
};

/// What a transfer does on both of its accounts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leg {
    pub(super) position: u64,
    pub(super) line: u32,
    pub(super) effective_at: i64,
    pub(super) posted: i64,
    pub(super) pending: i64,
}

impl Leg {
    /// What it adds to the totals of the account on a side.
    pub(super) fn on(&self, side: i64) -> Totals {
        if side == DEBIT {
            Totals { debits_posted: self.posted, debits_pending: self.pending, ..Totals::default() }
        } else {
            Totals { credits_posted: self.posted, credits_pending: self.pending, ..Totals::default() }
        }
    }
}

/// A posting that waits to be written.
#[derive(Debug)]
pub(super) struct PostingRow {
    pub(super) account_no: u32,
    pub(super) leg: Leg,
    pub(super) side: i64,
    pub(super) after: Totals,
}

/// A block that waits to be written.
#[derive(Debug)]
pub(super) struct BlockRow {
    account_no: u32,
    level: u32,
    block: Block,
}

/// A zone map: which positions and effective times it covers, and the sums inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    /// Position of the first posting.
    pub(crate) first_position: u64,
    /// Position of the last posting.
    pub(crate) last_position: u64,
    /// The least effective time.
    pub(crate) min_effective_at: i64,
    /// The greatest effective time.
    pub(crate) max_effective_at: i64,
    /// What the postings inside add to the four totals; pending may be negative.
    pub(crate) sums: Totals,
}

impl Block {
    /// Columns of a block, in the order in which [`Block::read`] takes them.
    pub(crate) const COLUMNS: &'static str = "first_position, last_position, min_effective_at, max_effective_at, \
         debits_posted, credits_posted, debits_pending, credits_pending";

    pub(crate) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            first_position: number(row, 0)?,
            last_position: number(row, 1)?,
            min_effective_at: row.get(2)?,
            max_effective_at: row.get(3)?,
            sums: totals(row, 4)?,
        })
    }

    fn extend(&mut self, later: &Block) -> Option<()> {
        self.last_position = later.last_position;
        self.min_effective_at = self.min_effective_at.min(later.min_effective_at);
        self.max_effective_at = self.max_effective_at.max(later.max_effective_at);
        self.sums = plus(&self.sums, &later.sums)?;
        Some(())
    }
}

/// The end of an account's postings: those that no block covers yet, and the open blocks above them.
#[derive(Debug, Default)]
pub(super) struct Trail {
    /// The greatest effective time of all of the account's postings.
    max_effective_at: Option<i64>,
    count: u32,
    first_position: u64,
    last_position: u64,
    min_open: i64,
    max_open: i64,
    /// The account's totals before the first of them.
    before: Totals,
    /// Open blocks of levels 1, 2 …: how many blocks of the level below each has so far. Most accounts have none.
    upper: Vec<(u32, Block)>,
}

impl Trail {
    /// Columns of the table of accounts, in the order of [`Trail::read`] and [`Trail::bind`].
    pub(super) const COLUMNS: &'static str = "max_effective_at, open_count, open_first_position, open_last_position, \
         open_min_effective_at, open_max_effective_at, open_debits_posted, open_credits_posted, open_debits_pending, \
         open_credits_pending";

    /// A trail as stored, without its upper blocks, which [`load_blocks`] adds.
    pub(super) fn read(row: &Row<'_>, first: usize) -> rusqlite::Result<Self> {
        Ok(Self {
            max_effective_at: row.get(first)?,
            count: row.get(first + 1)?,
            first_position: number(row, first + 2)?,
            last_position: number(row, first + 3)?,
            min_open: row.get(first + 4)?,
            max_open: row.get(first + 5)?,
            before: totals(row, first + 6)?,
            upper: Vec::new(),
        })
    }

    pub(super) fn bind(&self, bind: &mut Binder<'_, '_>) -> rusqlite::Result<()> {
        bind.optional_int(self.max_effective_at)?;
        bind.number(self.count.into())?;
        bind.number(self.first_position)?;
        bind.number(self.last_position)?;
        bind.int(self.min_open)?;
        bind.int(self.max_open)?;
        bind_totals(bind, &self.before)
    }

    /// Adds a posting to an account that had the totals `before`; blocks that end before it are closed. `None` if a sum
    /// cannot be counted.
    pub(super) fn add(&mut self, account_no: u32, leg: &Leg, before: &Totals, closed: &mut Vec<BlockRow>) -> Option<()> {
        if self.count >= BLOCK_POSTINGS && self.last_position != leg.position {
            let block = Block {
                first_position: self.first_position,
                last_position: self.last_position,
                min_effective_at: self.min_open,
                max_effective_at: self.max_open,
                sums: since(before, &self.before),
            };
            closed.push(BlockRow { account_no, level: 0, block });
            close_upper(&mut self.upper, account_no, block, closed)?;
            self.count = 0;
        }
        if self.count == 0 {
            (self.first_position, self.before) = (leg.position, *before);
            (self.min_open, self.max_open) = (leg.effective_at, leg.effective_at);
        }
        self.count += 1;
        self.last_position = leg.position;
        self.min_open = self.min_open.min(leg.effective_at);
        self.max_open = self.max_open.max(leg.effective_at);
        self.max_effective_at = self.max_effective_at.max(Some(leg.effective_at));
        Some(())
    }
}

impl Trail {
    /// Adds a closed block of level 0 as it was stored.
    pub(super) fn add_block(&mut self, account_no: u32, block: Block) -> Option<()> {
        close_upper(&mut self.upper, account_no, block, &mut Vec::new())
    }
}

/// Adds a closed block to the open one of the level above, which may close in turn.
fn close_upper(upper: &mut Vec<(u32, Block)>, account_no: u32, block: Block, closed: &mut Vec<BlockRow>) -> Option<()> {
    let mut rising = block;
    for level in 1.. {
        match upper.get_mut(level - 1) {
            None => {
                upper.push((1, rising));
                return Some(());
            }
            Some((count @ 0, open)) => {
                (*count, *open) = (1, rising);
                return Some(());
            }
            Some((count, open)) => {
                *count += 1;
                open.extend(&rising)?;
                if *count < BLOCK_FAN {
                    return Some(());
                }
                *count = 0;
                rising = *open;
                closed.push(BlockRow { account_no, level: level as u32, block: rising });
            }
        }
    }
    Some(())
}

/// Goes through the closed blocks of level 0: the open blocks of the upper levels are what they leave over. `add` gives `None`
/// where there is no such account, or a sum cannot be counted.
pub(super) fn load_blocks(db: &Connection, mut add: impl FnMut(u32, Block) -> Option<()>) -> rusqlite::Result<()> {
    let sql = format!("SELECT {}, account_no FROM posting_blocks WHERE level = 0 ORDER BY account_no, first_position", Block::COLUMNS);
    let mut statement = db.prepare(&sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let block = Block::read(row)?;
        add(row.get(8)?, block).ok_or_else(|| unknown(8, "a block of an account that was never opened, or beyond what can be counted"))?;
    }
    Ok(())
}

/// Writes what waits.
pub(super) fn write(db: &Connection, postings: &mut Vec<PostingRow>, blocks: &mut Vec<BlockRow>) -> rusqlite::Result<()> {
    postings.sort_unstable_by_key(|row| (row.account_no, row.leg.position, row.leg.line));
    POSTINGS.insert(db, postings, |row, bind| {
        bind.number(row.account_no.into())?;
        bind.number(row.leg.position)?;
        bind.number(row.leg.line.into())?;
        bind.int(row.leg.effective_at)?;
        bind.int(row.side)?;
        bind.int(row.leg.posted)?;
        bind.int(row.leg.pending)?;
        bind_totals(bind, &row.after)
    })?;
    empty(postings);
    blocks.sort_unstable_by_key(|row| (row.account_no, row.level, row.block.first_position));
    BLOCKS.insert(db, blocks, |BlockRow { account_no, level, block }, bind| {
        bind.number(u64::from(*account_no))?;
        bind.number(u64::from(*level))?;
        bind.number(block.first_position)?;
        bind.number(block.last_position)?;
        bind.int(block.min_effective_at)?;
        bind.int(block.max_effective_at)?;
        bind_totals(bind, &block.sums)
    })?;
    empty(blocks);
    Ok(())
}

/// Four totals from four columns.
pub(crate) fn totals(row: &Row<'_>, first: usize) -> rusqlite::Result<Totals> {
    Ok(Totals {
        debits_posted: row.get(first)?,
        credits_posted: row.get(first + 1)?,
        debits_pending: row.get(first + 2)?,
        credits_pending: row.get(first + 3)?,
    })
}

pub(super) fn bind_totals(bind: &mut Binder<'_, '_>, totals: &Totals) -> rusqlite::Result<()> {
    bind.int(totals.debits_posted)?;
    bind.int(totals.credits_posted)?;
    bind.int(totals.debits_pending)?;
    bind.int(totals.credits_pending)
}

/// The sum of two sets of totals, unless it cannot be counted.
pub(crate) fn plus(left: &Totals, right: &Totals) -> Option<Totals> {
    Some(Totals {
        debits_posted: left.debits_posted.checked_add(right.debits_posted)?,
        credits_posted: left.credits_posted.checked_add(right.credits_posted)?,
        debits_pending: left.debits_pending.checked_add(right.debits_pending)?,
        credits_pending: left.credits_pending.checked_add(right.credits_pending)?,
    })
}

/// What lies between two sets of totals of one account, both within [`Totals::MAX`].
pub(super) fn since(after: &Totals, before: &Totals) -> Totals {
    Totals {
        debits_posted: after.debits_posted - before.debits_posted,
        credits_posted: after.credits_posted - before.credits_posted,
        debits_pending: after.debits_pending - before.debits_pending,
        credits_pending: after.credits_pending - before.credits_pending,
    }
}
