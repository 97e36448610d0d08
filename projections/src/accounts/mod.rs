//! `accounts`: the accounts with their terms and balances, every movement on them, sums over prefixes, and account sets.
//!
//! Reads: every `account.*` and `account_set.*` event, and every `entry.*` event that moves, holds or releases money.
//!
//! Writes: `accounts`, one row an account by its number, 1, 2, 3 … in the order of opening; `postings` and `posting_blocks`
//! (`postings.rs`), so that a balance can be asked as of any effective time and as known at any position; `account_sums`
//! (`sums.rs`), kept sums over prefixes of addresses; `account_sets`, `account_set_members` and `account_set_sums` (`sets.rs`).
//! When complete: indexes by address (unique), by owner, and of the members of sets.
//!
//! They are one read model because one look-up of an account serves all of them, and looking an address up costs as much as
//! all the arithmetic that follows.
//!
//! Rebuild: any time. Needs in memory about 300 bytes an account.

mod numbers;
pub(crate) mod postings;
pub(crate) mod sets;
pub(crate) mod sums;
#[cfg(test)]
mod tests;

use cauri_domain::account::{AccountEvent, AccountKind, AccountOpened};
use cauri_domain::entry::{Motion, Transfer};
use cauri_domain::event::EventSet;
use cauri_domain::fold::Totals;
use cauri_domain::ids::AccountAddress;
use cauri_domain::limits::Limits;
use cauri_domain::money::{Currency, Money};
use cauri_domain::text::ShortText;
use cauri_event_schemas::Position;
use cauri_event_schemas::ledger::{Event, Recorded, StreamId};
use rusqlite::Connection;

use self::numbers::AccountNumbers;
use self::postings::{BLOCKS, CREDIT, DEBIT, Leg, POSTINGS, PostingRow, Trail, bind_totals, plus, totals};
use self::sets::Sets;
use self::sums::{Prefixes, SumKey};
use crate::projector::{Changes, ModelError, Projector, Reads, Unprojectable, stray};
use crate::stored::{currency, number, parsed};
use crate::table::{Column, Index, Table, empty, execute_each};

/// Status as stored.
pub(crate) const OPEN: i64 = 0;
/// Status as stored.
pub(crate) const FROZEN: i64 = 1;
/// Status as stored.
pub(crate) const CLOSED: i64 = 2;

static ACCOUNTS: Table = Table {
    name: "accounts",
    columns: &[
        Column::integer("account_no"),
        Column::text("address"),
        Column::text("kind"),
        Column::text("currency"),
        Column::integer("floor_minor").or_null(),
        Column::integer("ceiling_minor").or_null(),
        Column::integer("status"),
        Column::text("chart_code").or_null(),
        Column::text("owner").or_null(),
        Column::text("metadata").or_null(),
        Column::integer("opened_at"),
        Column::integer("opened_position"),
        Column::integer("version"),
        Column::integer("last_position"),
        Column::integer("debits_posted"),
        Column::integer("credits_posted"),
        Column::integer("debits_pending"),
        Column::integer("credits_pending"),
        // Of the postings that no block covers yet: see `postings.rs`.
        Column::integer("max_effective_at").or_null(),
        Column::integer("open_count"),
        Column::integer("open_first_position"),
        Column::integer("open_last_position"),
        Column::integer("open_min_effective_at"),
        Column::integer("open_max_effective_at"),
        Column::integer("open_debits_posted"),
        Column::integer("open_credits_posted"),
        Column::integer("open_debits_pending"),
        Column::integer("open_credits_pending"),
    ],
    key: &["account_no"],
    indexes: &[
        Index { name: "accounts_address", columns: &["address"], unique: true, only: None },
        Index { name: "accounts_owner", columns: &["owner", "address"], unique: false, only: Some("owner IS NOT NULL") },
    ],
};

/// The projector.
pub(crate) struct Accounts;

/// What waits, and where each account stands.
#[derive(Debug, Default)]
pub(crate) struct AccountChanges {
    numbers: AccountNumbers,
    /// By number, from 1.
    accounts: Vec<Account>,
    opened: Vec<Opened>,
    touched: Vec<Touched>,
    terms: Vec<Terms>,
    postings: Vec<PostingRow>,
    blocks: Vec<postings::BlockRow>,
    prefixes: Prefixes,
    sets: Sets,
}

/// Where an account stands after the last event.
#[derive(Debug)]
struct Account {
    kind: AccountKind,
    currency: Currency,
    totals: Totals,
    last_position: u64,
    trail: Trail,
    /// Its row is written by the next batch.
    touched: bool,
    /// The node of the prefix that it is directly below.
    node: u32,
}

impl Account {
    /// What it adds to a sum, and to which.
    fn summed(&self) -> (SumKey, Totals) {
        ((self.currency, self.kind), self.totals)
    }
}

/// An account whose row is written by the next batch.
#[derive(Debug)]
struct Touched {
    account_no: u32,
    /// Its totals as the sums over it have them.
    summed: Totals,
}

/// An account that was opened, with what never changes.
#[derive(Debug)]
struct Opened {
    account_no: u32,
    address: AccountAddress,
    limits: Limits,
    chart_code: Option<ShortText>,
    owner: Option<ShortText>,
    metadata: Option<String>,
    at: i64,
    position: Position,
}

/// What a later `account.*` event changed.
#[derive(Debug)]
struct Terms {
    account_no: u32,
    version: u64,
    status: Option<i64>,
    limits: Option<Limits>,
}

impl Projector for Accounts {
    const NAME: &'static str = "accounts";
    const REVISION: u32 = 1;
    const COMPATIBLE_SINCE: u32 = 1;
    const READS: Reads = Reads::Only(&[
        "account.opened",
        "account.frozen",
        "account.unfrozen",
        "account.closed",
        "account.reopened",
        "account.limits_changed",
        "account_set.created",
        "account_set.member_added",
        "account_set.member_removed",
        "entry.posted",
        "entry.held",
        "entry.hold_posted",
        "entry.hold_voided",
        "entry.hold_expired",
    ]);
    type Changes = AccountChanges;

    fn project(recorded: &Recorded, changes: &mut AccountChanges) -> Result<(), Unprojectable> {
        match (&recorded.event, &recorded.stream) {
            (Event::Account(event), StreamId::Account(address)) => changes.account(recorded, address, event),
            (Event::AccountSet(event), StreamId::AccountSet(name)) => {
                // What is summed must be up to date before it changes who is summed.
                changes.settle();
                let AccountChanges { numbers, accounts, sets, .. } = changes;
                sets.change(recorded, name, event, numbers, |account_no| accounts[account_no as usize - 1].summed())
            }
            (event @ (Event::Account(_) | Event::AccountSet(_)), stream) => Err(stray(recorded.position, event.name(), stream)),
            (Event::Entry(event), _) => event.motion().map_or(Ok(()), |motion| changes.entry(recorded.position, motion)),
            (Event::Command(_) | Event::Journal(_), _) => Ok(()),
        }
    }
}

impl AccountChanges {
    fn account(&mut self, recorded: &Recorded, address: &AccountAddress, event: &AccountEvent) -> Result<(), Unprojectable> {
        let position = recorded.position;
        if let AccountEvent::Opened(opened) = event {
            return self.open(recorded, address, opened);
        }
        let account_no = self.numbers.of(position, address)?;
        let (status, limits) = match event {
            AccountEvent::Frozen(_) => (Some(FROZEN), None),
            AccountEvent::Opened(_) | AccountEvent::Unfrozen(_) | AccountEvent::Reopened(_) => (Some(OPEN), None),
            AccountEvent::Closed(_) => (Some(CLOSED), None),
            AccountEvent::LimitsChanged(changed) => (None, Some(changed.limits)),
        };
        self.touch(account_no).last_position = position.get();
        self.terms.push(Terms { account_no, version: recorded.version.get(), status, limits });
        Ok(())
    }

    fn open(&mut self, recorded: &Recorded, address: &AccountAddress, opened: &AccountOpened) -> Result<(), Unprojectable> {
        let position = recorded.position;
        let metadata = if opened.metadata.is_empty() {
            None
        } else {
            Some(serde_json::to_string(&opened.metadata).map_err(|error| Unprojectable::new(position, error.to_string()))?)
        };
        let account_no = self.numbers.open(position, address)?;
        self.add(account_no, address, opened.kind, opened.currency);
        self.accounts[account_no as usize - 1].last_position = position.get();
        self.opened.push(Opened {
            account_no,
            address: address.clone(),
            limits: opened.limits,
            chart_code: opened.chart_code.clone(),
            owner: opened.owner.clone(),
            metadata,
            at: recorded.recorded_at.as_micros(),
            position,
        });
        // Its row is written whole when it is inserted: opened accounts come before touched ones.
        self.touch(account_no);
        Ok(())
    }

    /// Adds the next account, with nothing on it, and to the prefixes that it is below.
    fn add(&mut self, account_no: u32, address: &AccountAddress, kind: AccountKind, currency: Currency) {
        let (node, filled) = self.prefixes.add(account_no, address);
        let (totals, trail) = (Totals::default(), Trail::default());
        self.accounts.push(Account { kind, currency, totals, last_position: 0, trail, touched: false, node });
        self.prefixes.count(node, (currency, kind));
        if !filled.is_empty() {
            // From here on a sum is kept of these prefixes, and it begins with what there is.
            self.settle();
            let accounts = &self.accounts;
            filled.into_iter().for_each(|node| self.prefixes.keep(node, |account_no| accounts[account_no as usize - 1].summed()));
        }
    }

    fn touch(&mut self, account_no: u32) -> &mut Account {
        let account = &mut self.accounts[account_no as usize - 1];
        if !account.touched {
            account.touched = true;
            self.touched.push(Touched { account_no, summed: account.totals });
        }
        account
    }

    /// Brings the sums over accounts up to what the accounts have.
    fn settle(&mut self) {
        for touched in &mut self.touched {
            let account = &self.accounts[touched.account_no as usize - 1];
            if account.totals == touched.summed {
                continue;
            }
            let moved = postings::since(&account.totals, &touched.summed);
            touched.summed = account.totals;
            let key = (account.currency, account.kind);
            self.prefixes.add_totals(account.node, key, &moved);
            self.sets.add_totals(touched.account_no, key, &moved);
        }
    }

    fn entry(&mut self, position: Position, motion: Motion<'_>) -> Result<(), Unprojectable> {
        match motion {
            Motion::Posted(posted) => {
                let effective_at = posted.effective_at.as_micros();
                posted.transfers.iter().zip(0..).try_for_each(|(transfer, line)| {
                    let posted = transfer.amount.minor();
                    let leg = Leg { position: position.get(), line, effective_at, posted, pending: 0 };
                    self.transfer(leg, &transfer.debit, &transfer.credit, transfer.amount)
                })
            }
            Motion::Held(held) => self.hold(position, held.effective_at.as_micros(), &held.transfers, 1),
            Motion::HoldPosted(posted) => {
                let effective_at = posted.effective_at.as_micros();
                posted.transfers.iter().zip(0..).try_for_each(|(transfer, line)| {
                    let (posted, pending) = (transfer.amount.minor(), -transfer.held.minor());
                    let leg = Leg { position: position.get(), line, effective_at, posted, pending };
                    self.transfer(leg, &transfer.debit, &transfer.credit, transfer.amount)
                })
            }
            Motion::HoldVoided(voided) => self.hold(position, voided.effective_at.as_micros(), &voided.transfers, -1),
            Motion::HoldExpired(expired) => self.hold(position, expired.effective_at.as_micros(), &expired.transfers, -1),
        }
    }

    fn hold(&mut self, position: Position, effective_at: i64, transfers: &[Transfer], sign: i64) -> Result<(), Unprojectable> {
        transfers.iter().zip(0..).try_for_each(|(transfer, line)| {
            let pending = sign * transfer.amount.minor();
            let leg = Leg { position: position.get(), line, effective_at, posted: 0, pending };
            self.transfer(leg, &transfer.debit, &transfer.credit, transfer.amount)
        })
    }

    fn transfer(&mut self, leg: Leg, debit: &AccountAddress, credit: &AccountAddress, amount: Money) -> Result<(), Unprojectable> {
        self.post(leg, DEBIT, debit, amount)?;
        self.post(leg, CREDIT, credit, amount)
    }

    fn post(&mut self, leg: Leg, side: i64, address: &AccountAddress, amount: Money) -> Result<(), Unprojectable> {
        let position = Position::new(leg.position);
        let account_no = self.numbers.of(position, address)?;
        let account = self.touch(account_no);
        if account.currency != amount.currency() {
            let (holds, moves) = (account.currency, amount.currency());
            return Err(Unprojectable::new(position, format!("account {address} is in {holds}, the amount in {moves}")));
        }
        let delta = leg.on(side);
        let uncountable = || Unprojectable::new(position, format!("the totals of account {address} leave their range"));
        let after = plus(&account.totals, &delta).filter(in_range).ok_or_else(uncountable)?;
        let before = account.totals;
        account.totals = after;
        account.last_position = leg.position;
        let account = &mut self.accounts[account_no as usize - 1];
        account.trail.add(account_no, &leg, &before, &mut self.blocks).ok_or_else(uncountable)?;
        self.postings.push(PostingRow { account_no, leg, side, after });
        Ok(())
    }
}

fn in_range(totals: &Totals) -> bool {
    let range = 0..=Totals::MAX;
    [totals.debits_posted, totals.credits_posted, totals.debits_pending, totals.credits_pending].iter().all(|total| range.contains(total))
}

impl Changes for AccountChanges {
    const TABLES: &'static [&'static Table] =
        &[&ACCOUNTS, &POSTINGS, &BLOCKS, &sums::ACCOUNT_SUMS, &sets::ACCOUNT_SETS, &sets::MEMBERS, &sets::SET_SUMS];

    fn load(db: &Connection, _completed: bool) -> rusqlite::Result<Self> {
        let mut changes = Self::default();
        let mut statement = db.prepare(&format!(
            "SELECT address, currency, kind, last_position, {TOTALS}, {} FROM accounts ORDER BY account_no",
            Trail::COLUMNS
        ))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (address, currency, kind): (AccountAddress, _, _) = (parsed(row, 0)?, currency(row, 1)?, parsed(row, 2)?);
            let unnumbered = || crate::stored::unknown(0, "more accounts than can be numbered");
            let account_no = changes.numbers.add(address.clone()).ok_or_else(unnumbered)?;
            let node = changes.prefixes.add(account_no, &address).0;
            changes.accounts.push(Account {
                kind,
                currency,
                totals: totals(row, 4)?,
                last_position: number(row, 3)?,
                trail: Trail::read(row, 8)?,
                touched: false,
                node,
            });
        }
        let AccountChanges { numbers, accounts, prefixes, sets, .. } = &mut changes;
        prefixes.keep_all(accounts.len() as u32, |account_no| accounts[account_no as usize - 1].summed());
        *sets = Sets::load(db, numbers, |account_no| accounts[account_no as usize - 1].summed())?;
        postings::load_blocks(db, |account_no, block| {
            let account = accounts.get_mut((account_no as usize).wrapping_sub(1))?;
            account.trail.add_block(account_no, block)
        })?;
        Ok(changes)
    }

    fn write(&mut self, db: &Connection) -> Result<(), ModelError> {
        self.settle();
        let accounts = &self.accounts;
        ACCOUNTS.insert(db, &self.opened, |row, bind| {
            let account = &accounts[row.account_no as usize - 1];
            let minor = |bound: Option<Money>| bound.map(|bound| bound.minor());
            bind.number(row.account_no.into())?;
            bind.text(row.address.as_str())?;
            bind.text(account.kind.as_str())?;
            bind.text(account.currency.code())?;
            bind.optional_int(minor(row.limits.floor))?;
            bind.optional_int(minor(row.limits.ceiling))?;
            bind.int(OPEN)?;
            bind.optional_text(row.chart_code.as_ref().map(ShortText::as_str))?;
            bind.optional_text(row.owner.as_ref().map(ShortText::as_str))?;
            bind.optional_text(row.metadata.as_deref())?;
            bind.int(row.at)?;
            bind.number(row.position.get())?;
            bind.number(1)?;
            bind.number(account.last_position)?;
            bind_totals(bind, &account.totals)?;
            account.trail.bind(bind)
        })?;
        // What was opened is written already; numbers ascend, and so do the rows on the pages.
        let opened = self.opened.first().map_or(u32::MAX, |first| first.account_no);
        let mut touched: Vec<u32> = self.touched.iter().map(|touched| touched.account_no).filter(|number| *number < opened).collect();
        touched.sort_unstable();
        execute_each(
            db,
            "UPDATE accounts SET last_position = ?2, debits_posted = ?3, credits_posted = ?4, debits_pending = ?5, credits_pending = ?6,
                max_effective_at = ?7, open_count = ?8, open_first_position = ?9, open_last_position = ?10, open_min_effective_at = ?11,
                open_max_effective_at = ?12, open_debits_posted = ?13, open_credits_posted = ?14, open_debits_pending = ?15,
                open_credits_pending = ?16
             WHERE account_no = ?1",
            &touched,
            |account_no, bind| {
                let account = &accounts[*account_no as usize - 1];
                bind.number(u64::from(*account_no))?;
                bind.number(account.last_position)?;
                bind_totals(bind, &account.totals)?;
                account.trail.bind(bind)
            },
        )?;
        for terms in &self.terms {
            let sql = "UPDATE accounts SET version = ?2, status = coalesce(?3, status) WHERE account_no = ?1";
            db.prepare_cached(sql)?.execute((terms.account_no, terms.version as i64, terms.status))?;
            if let Some(limits) = terms.limits {
                let sql = "UPDATE accounts SET floor_minor = ?2, ceiling_minor = ?3 WHERE account_no = ?1";
                let minor = |bound: Option<Money>| bound.map(|bound| bound.minor());
                db.prepare_cached(sql)?.execute((terms.account_no, minor(limits.floor), minor(limits.ceiling)))?;
            }
        }
        for touched in &self.touched {
            self.accounts[touched.account_no as usize - 1].touched = false;
        }
        empty(&mut self.opened);
        empty(&mut self.touched);
        empty(&mut self.terms);
        postings::write(db, &mut self.postings, &mut self.blocks)?;
        self.prefixes.write(db)?;
        self.sets.write(db)
    }
}

/// The four totals of a row.
pub(crate) const TOTALS: &str = "debits_posted, credits_posted, debits_pending, credits_pending";
