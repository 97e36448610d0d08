//! `postings`: every movement on every account, so that a balance can be asked as of any effective time and as
//! known at any position, and a statement can be written.
//!
//! Reads: `account.opened`, and every `entry.*` event that moves, holds or releases money.
//!
//! Writes three tables. `postings` is clustered by (account, position, line): what changed, when it is effective,
//! and the account's totals after it, so that "as known at" alone is one seek. `posting_blocks` are zone maps over
//! them: a block of level 0 covers at least 256 postings, one of level n + 1 at least 64 blocks of level n, each
//! with the least and greatest effective time and the sums inside. So "as of … as known at …" counts a block that
//! lies wholly inside by its sums, skips one that lies wholly outside and opens the others only. A block ends
//! between two events, never inside one. `posting_accounts` holds each account's totals and its open block.
//!
//! Rebuild: any time. Needs in memory about 250 bytes an account.

use cauri_domain::account::{AccountEvent, AccountOpened};
use cauri_domain::entry::{Motion, Transfer};
use cauri_domain::event::EventSet;
use cauri_domain::fold::Totals;
use cauri_domain::ids::AccountAddress;
use cauri_domain::money::Currency;
use cauri_event_schemas::Position;
use cauri_event_schemas::ledger::{Event, Recorded, StreamId};
use rusqlite::{Connection, Row};

use crate::account_balances::stray;
use crate::account_numbers::AccountNumbers;
use crate::insert::{empty, execute_each, insert};
use crate::projector::{Changes, Generation, ModelError, Projector, Reads, Table, Unprojectable};
use crate::stored::{currency, number, parsed};

/// A block of level 0 is closed before the first event after this many postings.
/// In unit tests so few that short histories have blocks of several levels.
pub(crate) const BLOCK_POSTINGS: u32 = if cfg!(test) { 4 } else { 256 };
/// A block of a higher level is closed after this many blocks of the level below.
pub(crate) const BLOCK_FAN: u32 = if cfg!(test) { 3 } else { 64 };

/// Side as stored: the account was debited.
pub(crate) const DEBIT: i64 = 0;
/// Side as stored: the account was credited.
pub(crate) const CREDIT: i64 = 1;

/// The projector.
pub(crate) struct Postings;

/// What waits, and where each account stands.
#[derive(Debug, Default)]
pub(crate) struct PostingChanges {
    numbers: AccountNumbers,
    accounts: Vec<AccountState>,
    opened: Vec<OpenedAccount>,
    postings: Vec<Posting>,
    blocks: Vec<(u32, u32, Block)>,
    touched: Vec<u32>,
}

#[derive(Debug)]
struct OpenedAccount {
    account_no: u32,
    address: AccountAddress,
    currency: Currency,
}

#[derive(Debug)]
struct Posting {
    account_no: u32,
    line: u32,
    position: u64,
    effective_at: i64,
    side: i64,
    posted: i64,
    pending: i64,
    after: Totals,
}

/// Where an account stands after its last posting.
#[derive(Debug, Default)]
struct AccountState {
    totals: Totals,
    max_effective_at: Option<i64>,
    last_position: u64,
    /// Written by the next batch.
    touched: bool,
    open: Open,
    /// Open blocks of levels 1, 2 …: how many blocks of the level below each has so far. Most accounts have none.
    upper: Vec<(u32, Block)>,
}

/// The postings after the last block of level 0.
#[derive(Clone, Copy, Debug, Default)]
struct Open {
    count: u32,
    first_position: u64,
    min_effective_at: i64,
    max_effective_at: i64,
    /// The account's totals before the first of them.
    before: Totals,
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

/// Four totals from four columns.
pub(crate) fn totals(row: &Row<'_>, first: usize) -> rusqlite::Result<Totals> {
    Ok(Totals {
        debits_posted: row.get(first)?,
        credits_posted: row.get(first + 1)?,
        debits_pending: row.get(first + 2)?,
        credits_pending: row.get(first + 3)?,
    })
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
fn since(after: &Totals, before: &Totals) -> Totals {
    Totals {
        debits_posted: after.debits_posted - before.debits_posted,
        credits_posted: after.credits_posted - before.credits_posted,
        debits_pending: after.debits_pending - before.debits_pending,
        credits_pending: after.credits_pending - before.credits_pending,
    }
}

impl Projector for Postings {
    const NAME: &'static str = "postings";
    const REVISION: u32 = 1;
    const COMPATIBLE_SINCE: u32 = 1;
    const READS: Reads =
        Reads::Only(&["account.opened", "entry.posted", "entry.held", "entry.hold_posted", "entry.hold_voided", "entry.hold_expired"]);
    type Changes = PostingChanges;

    fn project(recorded: &Recorded, changes: &mut PostingChanges) -> Result<(), Unprojectable> {
        let position = recorded.position;
        match (&recorded.event, &recorded.stream) {
            (Event::Account(AccountEvent::Opened(opened)), StreamId::Account(address)) => changes.open(position, address, opened),
            (Event::Account(event @ AccountEvent::Opened(_)), stream) => Err(stray(position, event.name(), stream)),
            (Event::Entry(event), _) => event.motion().map_or(Ok(()), |motion| changes.entry(position, motion)),
            _ => Ok(()),
        }
    }
}

impl PostingChanges {
    fn open(&mut self, position: Position, address: &AccountAddress, opened: &AccountOpened) -> Result<(), Unprojectable> {
        let account_no = self.numbers.open(position, address, opened)?;
        self.accounts.push(AccountState::default());
        self.opened.push(OpenedAccount { account_no, address: address.clone(), currency: opened.currency });
        Ok(())
    }

    fn entry(&mut self, position: Position, motion: Motion<'_>) -> Result<(), Unprojectable> {
        match motion {
            Motion::Posted(posted) => {
                let effective_at = posted.effective_at.as_micros();
                posted.transfers.iter().zip(0..).try_for_each(|(transfer, line)| {
                    let debit = self.numbers.moving(position, &transfer.debit, transfer.amount)?;
                    let credit = self.numbers.moving(position, &transfer.credit, transfer.amount)?;
                    let posted = transfer.amount.minor();
                    self.post(position, line, effective_at, (debit, DEBIT), posted, 0)?;
                    self.post(position, line, effective_at, (credit, CREDIT), posted, 0)
                })
            }
            Motion::Held(held) => self.hold(position, held.effective_at.as_micros(), &held.transfers, 1),
            Motion::HoldPosted(posted) => {
                let effective_at = posted.effective_at.as_micros();
                posted.transfers.iter().zip(0..).try_for_each(|(transfer, line)| {
                    let debit = self.numbers.moving(position, &transfer.debit, transfer.amount)?;
                    let credit = self.numbers.moving(position, &transfer.credit, transfer.amount)?;
                    let (posted, released) = (transfer.amount.minor(), -transfer.held.minor());
                    self.post(position, line, effective_at, (debit, DEBIT), posted, released)?;
                    self.post(position, line, effective_at, (credit, CREDIT), posted, released)
                })
            }
            Motion::HoldVoided(voided) => self.hold(position, voided.effective_at.as_micros(), &voided.transfers, -1),
            Motion::HoldExpired(expired) => self.hold(position, expired.effective_at.as_micros(), &expired.transfers, -1),
        }
    }

    fn hold(&mut self, position: Position, effective_at: i64, transfers: &[Transfer], sign: i64) -> Result<(), Unprojectable> {
        transfers.iter().zip(0..).try_for_each(|(transfer, line)| {
            let debit = self.numbers.moving(position, &transfer.debit, transfer.amount)?;
            let credit = self.numbers.moving(position, &transfer.credit, transfer.amount)?;
            let pending = sign * transfer.amount.minor();
            self.post(position, line, effective_at, (debit, DEBIT), 0, pending)?;
            self.post(position, line, effective_at, (credit, CREDIT), 0, pending)
        })
    }

    fn post(
        &mut self,
        position: Position,
        line: u32,
        effective_at: i64,
        (account_no, side): (u32, i64),
        posted: i64,
        pending: i64,
    ) -> Result<(), Unprojectable> {
        let uncountable = || Unprojectable::new(position, format!("the totals of account number {account_no} leave their range"));
        let delta = if side == DEBIT {
            Totals { debits_posted: posted, debits_pending: pending, ..Totals::default() }
        } else {
            Totals { credits_posted: posted, credits_pending: pending, ..Totals::default() }
        };
        let account = &mut self.accounts[account_no as usize - 1];
        let after = plus(&account.totals, &delta).ok_or_else(uncountable)?;
        let range = 0..=Totals::MAX;
        if ![after.debits_posted, after.credits_posted, after.debits_pending, after.credits_pending]
            .iter()
            .all(|total| range.contains(total))
        {
            return Err(uncountable());
        }
        if account.open.count >= BLOCK_POSTINGS && account.last_position != position.get() {
            let block = Block {
                first_position: account.open.first_position,
                last_position: account.last_position,
                min_effective_at: account.open.min_effective_at,
                max_effective_at: account.open.max_effective_at,
                sums: since(&account.totals, &account.open.before),
            };
            self.blocks.push((account_no, 0, block));
            close_upper(&mut account.upper, account_no, block, &mut self.blocks).ok_or_else(uncountable)?;
            account.open = Open::default();
        }
        let open = &mut account.open;
        if open.count == 0 {
            *open = Open {
                count: 0,
                first_position: position.get(),
                min_effective_at: effective_at,
                max_effective_at: effective_at,
                before: account.totals,
            };
        }
        open.count += 1;
        open.min_effective_at = open.min_effective_at.min(effective_at);
        open.max_effective_at = open.max_effective_at.max(effective_at);
        account.totals = after;
        account.max_effective_at = account.max_effective_at.max(Some(effective_at));
        account.last_position = position.get();
        if !account.touched {
            account.touched = true;
            self.touched.push(account_no);
        }
        self.postings.push(Posting { account_no, line, position: position.get(), effective_at, side, posted, pending, after });
        Ok(())
    }
}

/// Adds a closed block to the open one of the level above, which may close in turn.
fn close_upper(upper: &mut Vec<(u32, Block)>, account_no: u32, block: Block, closed: &mut Vec<(u32, u32, Block)>) -> Option<()> {
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
                closed.push((account_no, level as u32, rising));
            }
        }
    }
    Some(())
}

impl Changes for PostingChanges {
    const TABLES: &'static [Table] = &[
        Table { name: "posting_accounts", key: "account_no" },
        Table { name: "postings", key: "account_no, position, line" },
        Table { name: "posting_blocks", key: "account_no, level, first_position" },
    ];

    fn create(db: &Connection, generation: Generation) -> rusqlite::Result<()> {
        let (accounts, postings, blocks) =
            (generation.table("posting_accounts"), generation.table("postings"), generation.table("posting_blocks"));
        db.execute_batch(&format!(
            "CREATE TABLE {accounts} (
                account_no INTEGER PRIMARY KEY,
                address TEXT NOT NULL,
                currency TEXT NOT NULL,
                last_position INTEGER NOT NULL,
                max_effective_at INTEGER,
                debits_posted INTEGER NOT NULL,
                credits_posted INTEGER NOT NULL,
                debits_pending INTEGER NOT NULL,
                credits_pending INTEGER NOT NULL,
                open_count INTEGER NOT NULL,
                open_first_position INTEGER NOT NULL,
                open_min_effective_at INTEGER NOT NULL,
                open_max_effective_at INTEGER NOT NULL,
                open_debits_posted INTEGER NOT NULL,
                open_credits_posted INTEGER NOT NULL,
                open_debits_pending INTEGER NOT NULL,
                open_credits_pending INTEGER NOT NULL
            ) STRICT;
            CREATE TABLE {postings} (
                account_no INTEGER NOT NULL,
                position INTEGER NOT NULL,
                line INTEGER NOT NULL,
                effective_at INTEGER NOT NULL,
                side INTEGER NOT NULL,
                posted INTEGER NOT NULL,
                pending INTEGER NOT NULL,
                debits_posted INTEGER NOT NULL,
                credits_posted INTEGER NOT NULL,
                debits_pending INTEGER NOT NULL,
                credits_pending INTEGER NOT NULL,
                PRIMARY KEY (account_no, position, line)
            ) STRICT, WITHOUT ROWID;
            CREATE TABLE {blocks} (
                account_no INTEGER NOT NULL,
                level INTEGER NOT NULL,
                first_position INTEGER NOT NULL,
                last_position INTEGER NOT NULL,
                min_effective_at INTEGER NOT NULL,
                max_effective_at INTEGER NOT NULL,
                debits_posted INTEGER NOT NULL,
                credits_posted INTEGER NOT NULL,
                debits_pending INTEGER NOT NULL,
                credits_pending INTEGER NOT NULL,
                PRIMARY KEY (account_no, level, first_position)
            ) STRICT, WITHOUT ROWID"
        ))
    }

    fn complete(_db: &Connection, _generation: Generation) -> Result<(), ModelError> {
        // Every question goes through the clustered keys.
        Ok(())
    }

    fn load(db: &Connection, generation: Generation, _completed: bool) -> rusqlite::Result<Self> {
        let mut changes = Self::default();
        let mut statement = db.prepare(&format!("SELECT * FROM {} ORDER BY account_no", generation.table("posting_accounts")))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            changes.numbers.add(parsed(row, 1)?, currency(row, 2)?);
            changes.accounts.push(AccountState {
                totals: totals(row, 5)?,
                max_effective_at: row.get(4)?,
                last_position: number(row, 3)?,
                touched: false,
                open: Open {
                    count: row.get(9)?,
                    first_position: number(row, 10)?,
                    min_effective_at: row.get(11)?,
                    max_effective_at: row.get(12)?,
                    before: totals(row, 13)?,
                },
                upper: Vec::new(),
            });
        }
        // Open blocks of the upper levels are what the closed ones of the level below leave over.
        let blocks = generation.table("posting_blocks");
        let mut statement = db
            .prepare(&format!("SELECT {}, account_no FROM {blocks} WHERE level = 0 ORDER BY account_no, first_position", Block::COLUMNS))?;
        let mut rows = statement.query([])?;
        let mut known = Vec::new();
        while let Some(row) = rows.next()? {
            let account_no: u32 = row.get(8)?;
            let account = changes.accounts.get_mut((account_no as usize).wrapping_sub(1));
            let account = account.ok_or_else(|| crate::stored::unknown(8, "a block of an account that was never opened"))?;
            close_upper(&mut account.upper, account_no, Block::read(row)?, &mut known)
                .ok_or_else(|| crate::stored::unknown(4, "the sums of blocks leave their range"))?;
            known.clear();
        }
        drop(rows);
        drop(statement);
        Ok(changes)
    }

    fn write(&mut self, db: &Connection, generation: Generation) -> Result<(), ModelError> {
        insert(db, &generation.table("posting_accounts"), 17, "", &self.opened, |row, bind| {
            bind.number(row.account_no.into())?;
            bind.text(row.address.as_str())?;
            bind.text(row.currency.code())?;
            bind.int(0)?;
            bind.null()?;
            (0..12).try_for_each(|_| bind.int(0))
        })?;
        empty(&mut self.opened);

        self.touched.sort_unstable();
        let accounts = &self.accounts;
        execute_each(
            db,
            &format!(
                "UPDATE {} SET last_position = ?2, max_effective_at = ?3,
                    debits_posted = ?4, credits_posted = ?5, debits_pending = ?6, credits_pending = ?7,
                    open_count = ?8, open_first_position = ?9, open_min_effective_at = ?10, open_max_effective_at = ?11,
                    open_debits_posted = ?12, open_credits_posted = ?13, open_debits_pending = ?14, open_credits_pending = ?15
                 WHERE account_no = ?1",
                generation.table("posting_accounts")
            ),
            &self.touched,
            |account_no, bind| {
                let account = &accounts[*account_no as usize - 1];
                bind.number(u64::from(*account_no))?;
                bind.number(account.last_position)?;
                bind.optional_int(account.max_effective_at)?;
                bind_totals(bind, &account.totals)?;
                bind.number(account.open.count.into())?;
                bind.number(account.open.first_position)?;
                bind.int(account.open.min_effective_at)?;
                bind.int(account.open.max_effective_at)?;
                bind_totals(bind, &account.open.before)
            },
        )?;
        for account_no in self.touched.drain(..) {
            self.accounts[account_no as usize - 1].touched = false;
        }

        self.postings.sort_unstable_by_key(|posting| (posting.account_no, posting.position, posting.line));
        insert(db, &generation.table("postings"), 11, "", &self.postings, |row, bind| {
            bind.number(row.account_no.into())?;
            bind.number(row.position)?;
            bind.number(row.line.into())?;
            bind.int(row.effective_at)?;
            bind.int(row.side)?;
            bind.int(row.posted)?;
            bind.int(row.pending)?;
            bind_totals(bind, &row.after)
        })?;
        empty(&mut self.postings);

        self.blocks.sort_unstable_by_key(|(account_no, level, block)| (*account_no, *level, block.first_position));
        insert(db, &generation.table("posting_blocks"), 10, "", &self.blocks, |(account_no, level, block), bind| {
            bind.number(u64::from(*account_no))?;
            bind.number(u64::from(*level))?;
            bind.number(block.first_position)?;
            bind.number(block.last_position)?;
            bind.int(block.min_effective_at)?;
            bind.int(block.max_effective_at)?;
            bind_totals(bind, &block.sums)
        })?;
        empty(&mut self.blocks);
        Ok(())
    }
}

fn bind_totals(bind: &mut crate::insert::Binder<'_, '_>, totals: &Totals) -> rusqlite::Result<()> {
    bind.int(totals.debits_posted)?;
    bind.int(totals.credits_posted)?;
    bind.int(totals.debits_pending)?;
    bind.int(totals.credits_pending)
}
