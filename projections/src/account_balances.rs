//! `account_balances`: one row an account, with its terms, status and totals as of now.
//!
//! Reads: every `account.*` event and every `entry.*` event that moves, holds or releases money.
//!
//! Writes: `account_balances`, clustered by account number; a batch of events becomes one update an account.
//! When complete: indexes by address (unique) and by owner.
//!
//! Rebuild: any time. Needs in memory the address of every account (about 60 bytes each).

use cauri_domain::account::{AccountEvent, AccountKind, AccountOpened};
use cauri_domain::entry::{Motion, Transfer};
use cauri_domain::event::EventSet;
use cauri_domain::fold::Totals;
use cauri_domain::ids::AccountAddress;
use cauri_domain::limits::Limits;
use cauri_domain::money::Currency;
use cauri_domain::text::ShortText;
use cauri_event_schemas::Position;
use cauri_event_schemas::ledger::{Event, Recorded, StreamId};
use rusqlite::Connection;

use crate::account_numbers::AccountNumbers;
use crate::insert::{execute_each, insert};
use crate::projector::{Changes, Generation, ModelError, Projector, Reads, Table, Unprojectable};
use crate::stored::{currency, parsed};

/// Status as stored.
pub(crate) const OPEN: i64 = 0;
/// Status as stored.
pub(crate) const FROZEN: i64 = 1;
/// Status as stored.
pub(crate) const CLOSED: i64 = 2;

/// The projector.
pub(crate) struct AccountBalances;

/// What waits, by account.
#[derive(Debug, Default)]
pub(crate) struct AccountChanges {
    numbers: AccountNumbers,
    /// Where an account stands in `touched`, plus one; 0 where nothing of it waits.
    slots: Vec<u32>,
    touched: Vec<Touched>,
}

/// What a batch changes of one account.
#[derive(Debug)]
struct Touched {
    account_no: u32,
    opened: Option<Box<Opened>>,
    status: Option<i64>,
    limits: Option<Limits>,
    version: Option<u64>,
    debits_posted: i64,
    credits_posted: i64,
    debits_pending: i64,
    credits_pending: i64,
    last_position: Position,
}

#[derive(Debug)]
struct Opened {
    address: AccountAddress,
    kind: AccountKind,
    currency: Currency,
    chart_code: Option<ShortText>,
    owner: Option<ShortText>,
    metadata: Option<String>,
    at: i64,
    position: Position,
}

impl Projector for AccountBalances {
    const NAME: &'static str = "account_balances";
    const REVISION: u32 = 1;
    const COMPATIBLE_SINCE: u32 = 1;
    const READS: Reads = Reads::Only(&[
        "account.opened",
        "account.frozen",
        "account.unfrozen",
        "account.closed",
        "account.reopened",
        "account.limits_changed",
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
            (Event::Account(event), stream) => Err(stray(recorded.position, event.name(), stream)),
            (Event::Entry(event), _) => event.motion().map_or(Ok(()), |motion| changes.entry(recorded.position, motion)),
            _ => Ok(()),
        }
    }
}

/// An event in a stream of another aggregate.
pub(crate) fn stray(position: Position, event: &str, stream: &StreamId) -> Unprojectable {
    Unprojectable::new(position, format!("`{event}` stands in the stream {stream}"))
}

impl AccountChanges {
    fn account(&mut self, recorded: &Recorded, address: &AccountAddress, event: &AccountEvent) -> Result<(), Unprojectable> {
        let position = recorded.position;
        if let AccountEvent::Opened(opened) = event {
            self.open(recorded, address, opened)?;
        }
        let number = self.numbers.of(position, address)?;
        let touched = self.touch(number, position);
        touched.version = Some(recorded.version.get());
        match event {
            AccountEvent::Opened(opened) => {
                touched.status = Some(OPEN);
                touched.limits = Some(opened.limits);
            }
            AccountEvent::Frozen(_) => touched.status = Some(FROZEN),
            AccountEvent::Unfrozen(_) | AccountEvent::Reopened(_) => touched.status = Some(OPEN),
            AccountEvent::Closed(_) => touched.status = Some(CLOSED),
            AccountEvent::LimitsChanged(changed) => touched.limits = Some(changed.limits),
        }
        Ok(())
    }

    fn open(&mut self, recorded: &Recorded, address: &AccountAddress, opened: &AccountOpened) -> Result<(), Unprojectable> {
        let position = recorded.position;
        let metadata = if opened.metadata.is_empty() {
            None
        } else {
            Some(serde_json::to_string(&opened.metadata).map_err(|error| Unprojectable::new(position, error.to_string()))?)
        };
        let number = self.numbers.open(position, address, opened)?;
        self.slots.push(0);
        self.touch(number, position).opened = Some(Box::new(Opened {
            address: address.clone(),
            kind: opened.kind,
            currency: opened.currency,
            chart_code: opened.chart_code.clone(),
            owner: opened.owner.clone(),
            metadata,
            at: recorded.recorded_at.as_micros(),
            position,
        }));
        Ok(())
    }

    fn entry(&mut self, position: Position, motion: Motion<'_>) -> Result<(), Unprojectable> {
        match motion {
            Motion::Posted(posted) => posted.transfers.iter().try_for_each(|transfer| {
                let minor = transfer.amount.minor();
                let debit = self.numbers.moving(position, &transfer.debit, transfer.amount)?;
                add(position, &mut self.touch(debit, position).debits_posted, minor)?;
                let credit = self.numbers.moving(position, &transfer.credit, transfer.amount)?;
                add(position, &mut self.touch(credit, position).credits_posted, minor)
            }),
            Motion::Held(held) => self.hold(position, &held.transfers, 1),
            Motion::HoldPosted(posted) => posted.transfers.iter().try_for_each(|transfer| {
                let (minor, held) = (transfer.amount.minor(), transfer.held.minor());
                let debit = self.numbers.moving(position, &transfer.debit, transfer.amount)?;
                let touched = self.touch(debit, position);
                add(position, &mut touched.debits_pending, -held)?;
                add(position, &mut touched.debits_posted, minor)?;
                let credit = self.numbers.moving(position, &transfer.credit, transfer.amount)?;
                let touched = self.touch(credit, position);
                add(position, &mut touched.credits_pending, -held)?;
                add(position, &mut touched.credits_posted, minor)
            }),
            Motion::HoldVoided(voided) => self.hold(position, &voided.transfers, -1),
            Motion::HoldExpired(expired) => self.hold(position, &expired.transfers, -1),
        }
    }

    fn hold(&mut self, position: Position, transfers: &[Transfer], sign: i64) -> Result<(), Unprojectable> {
        transfers.iter().try_for_each(|transfer| {
            let minor = sign * transfer.amount.minor();
            let debit = self.numbers.moving(position, &transfer.debit, transfer.amount)?;
            add(position, &mut self.touch(debit, position).debits_pending, minor)?;
            let credit = self.numbers.moving(position, &transfer.credit, transfer.amount)?;
            add(position, &mut self.touch(credit, position).credits_pending, minor)
        })
    }

    fn touch(&mut self, number: u32, position: Position) -> &mut Touched {
        let slot = &mut self.slots[number as usize - 1];
        if *slot == 0 {
            self.touched.push(Touched {
                account_no: number,
                opened: None,
                status: None,
                limits: None,
                version: None,
                debits_posted: 0,
                credits_posted: 0,
                debits_pending: 0,
                credits_pending: 0,
                last_position: position,
            });
            *slot = self.touched.len() as u32;
        }
        let touched = &mut self.touched[*slot as usize - 1];
        touched.last_position = position;
        touched
    }
}

/// Adds to what a batch changes; the row's own range is checked by its table.
fn add(position: Position, total: &mut i64, minor: i64) -> Result<(), Unprojectable> {
    *total = total.checked_add(minor).ok_or_else(|| Unprojectable::new(position, "more moves at once than a total can count"))?;
    Ok(())
}

impl Changes for AccountChanges {
    const TABLES: &'static [Table] = &[Table { name: "account_balances", key: "account_no" }];

    fn create(db: &Connection, generation: Generation) -> rusqlite::Result<()> {
        let table = generation.table("account_balances");
        let most = Totals::MAX;
        db.execute_batch(&format!(
            "CREATE TABLE {table} (
                account_no INTEGER PRIMARY KEY,
                address TEXT NOT NULL,
                kind TEXT NOT NULL,
                currency TEXT NOT NULL,
                floor_minor INTEGER,
                ceiling_minor INTEGER,
                status INTEGER NOT NULL,
                chart_code TEXT,
                owner TEXT,
                metadata TEXT,
                opened_at INTEGER NOT NULL,
                opened_position INTEGER NOT NULL,
                version INTEGER NOT NULL,
                debits_posted INTEGER NOT NULL CHECK (debits_posted BETWEEN 0 AND {most}),
                credits_posted INTEGER NOT NULL CHECK (credits_posted BETWEEN 0 AND {most}),
                debits_pending INTEGER NOT NULL CHECK (debits_pending BETWEEN 0 AND {most}),
                credits_pending INTEGER NOT NULL CHECK (credits_pending BETWEEN 0 AND {most}),
                last_position INTEGER NOT NULL
            ) STRICT"
        ))
    }

    fn complete(db: &Connection, generation: Generation) -> Result<(), ModelError> {
        let table = generation.table("account_balances");
        db.execute_batch(&format!(
            "CREATE UNIQUE INDEX {table}_address ON {table} (address);
             CREATE INDEX {table}_owner ON {table} (owner, address) WHERE owner IS NOT NULL"
        ))?;
        Ok(())
    }

    fn load(db: &Connection, generation: Generation, _completed: bool) -> rusqlite::Result<Self> {
        let mut changes = Self::default();
        let table = generation.table("account_balances");
        let mut statement = db.prepare(&format!("SELECT address, currency FROM {table} ORDER BY account_no"))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            changes.numbers.add(parsed(row, 0)?, currency(row, 1)?);
        }
        changes.slots = vec![0; changes.numbers.len()];
        Ok(changes)
    }

    fn write(&mut self, db: &Connection, generation: Generation) -> Result<(), ModelError> {
        let table = generation.table("account_balances");
        for touched in &self.touched {
            self.slots[touched.account_no as usize - 1] = 0;
        }
        let mut touched = std::mem::take(&mut self.touched);
        touched.sort_unstable_by_key(|touched| touched.account_no);
        // What was opened in this batch has the last numbers.
        let (earlier, opened) = touched.split_at(touched.partition_point(|touched| touched.opened.is_none()));

        execute_each(
            db,
            &format!(
                "UPDATE {table} SET debits_posted = debits_posted + ?2, credits_posted = credits_posted + ?3,
                    debits_pending = debits_pending + ?4, credits_pending = credits_pending + ?5, last_position = ?6
                 WHERE account_no = ?1"
            ),
            earlier,
            |row, bind| {
                bind.number(row.account_no.into())?;
                bind.int(row.debits_posted)?;
                bind.int(row.credits_posted)?;
                bind.int(row.debits_pending)?;
                bind.int(row.credits_pending)?;
                bind.number(row.last_position.get())
            },
        )?;
        for row in earlier {
            if let Some(version) = row.version {
                let sql = format!("UPDATE {table} SET status = coalesce(?2, status), version = ?3 WHERE account_no = ?1");
                db.prepare_cached(&sql)?.execute((row.account_no, row.status, version as i64))?;
            }
            if let Some(limits) = row.limits {
                let sql = format!("UPDATE {table} SET floor_minor = ?2, ceiling_minor = ?3 WHERE account_no = ?1");
                let minor = |bound: Option<cauri_domain::money::Money>| bound.map(|bound| bound.minor());
                db.prepare_cached(&sql)?.execute((row.account_no, minor(limits.floor), minor(limits.ceiling)))?;
            }
        }
        insert(db, &table, 18, "", opened, |row, bind| {
            // `opened` is there: the slice begins where it is.
            let Some(opened) = &row.opened else { return Ok(()) };
            bind.number(row.account_no.into())?;
            bind.text(opened.address.as_str())?;
            bind.text(opened.kind.as_str())?;
            bind.text(opened.currency.code())?;
            bind.optional_int(row.limits.and_then(|limits| limits.floor).map(|floor| floor.minor()))?;
            bind.optional_int(row.limits.and_then(|limits| limits.ceiling).map(|ceiling| ceiling.minor()))?;
            bind.int(row.status.unwrap_or(OPEN))?;
            bind.optional_text(opened.chart_code.as_ref().map(ShortText::as_str))?;
            bind.optional_text(opened.owner.as_ref().map(ShortText::as_str))?;
            bind.optional_text(opened.metadata.as_deref())?;
            bind.int(opened.at)?;
            bind.number(opened.position.get())?;
            bind.number(row.version.unwrap_or(1))?;
            bind.int(row.debits_posted)?;
            bind.int(row.credits_posted)?;
            bind.int(row.debits_pending)?;
            bind.int(row.credits_pending)?;
            bind.number(row.last_position.get())
        })?;
        Ok(())
    }
}
