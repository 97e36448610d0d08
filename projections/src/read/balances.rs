//! Balances as of an effective time and as known at a position: of one account, below a prefix, of all.

use std::collections::BTreeMap;

use cauri_domain::account::{AccountKind, Side};
use cauri_domain::fold::Totals;
use cauri_domain::ids::AccountAddress;
use cauri_domain::money::Currency;
use cauri_domain::text::ShortText;
use cauri_domain::time::Timestamp;
use cauri_event_schemas::Position;

use super::accounts::{AccountKey, AccountRange};
use super::history::{History, Place};
use super::{Cursor, Item, MAX_PAGE, Page, ReadError, ReadSnapshot};
use crate::ACCOUNTS;
use crate::accounts::sums::{Sum, Sums};

/// An account's totals as of an effective time, as known at a position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BalanceRow {
    /// Where the account stands.
    pub address: AccountAddress,
    /// Kind, and so normal side.
    pub kind: AccountKind,
    /// Its currency.
    pub currency: Currency,
    /// The four totals, in minor units.
    pub totals: Totals,
    /// Only what is effective at or before this instant; every effective date if absent.
    pub as_of: Option<Timestamp>,
    /// Only what was recorded at or before this position.
    pub known_at: Position,
}

/// Four totals over many accounts, in minor units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SummedTotals {
    /// Σ of posted debits.
    pub debits_posted: i128,
    /// Σ of posted credits.
    pub credits_posted: i128,
    /// Σ of debits that open holds claim.
    pub debits_pending: i128,
    /// Σ of credits that open holds claim.
    pub credits_pending: i128,
}

impl SummedTotals {
    /// Posted on the side where `kind` is positive, minus posted on the other.
    pub fn balance(&self, kind: AccountKind) -> i128 {
        match kind.normal_side() {
            Side::Debit => self.debits_posted - self.credits_posted,
            Side::Credit => self.credits_posted - self.debits_posted,
        }
    }

    /// The balance minus what open holds may take.
    pub fn available(&self, kind: AccountKind) -> i128 {
        match kind.normal_side() {
            Side::Debit => self.balance(kind) - self.credits_pending,
            Side::Credit => self.balance(kind) - self.debits_pending,
        }
    }

    pub(crate) fn remove(&mut self, totals: &Totals) {
        self.debits_posted -= i128::from(totals.debits_posted);
        self.credits_posted -= i128::from(totals.credits_posted);
        self.debits_pending -= i128::from(totals.debits_pending);
        self.credits_pending -= i128::from(totals.credits_pending);
    }

    /// Adds the totals of an account, or what moved on it.
    pub(crate) fn add(&mut self, totals: &Totals) {
        self.debits_posted += i128::from(totals.debits_posted);
        self.credits_posted += i128::from(totals.credits_posted);
        self.debits_pending += i128::from(totals.debits_pending);
        self.credits_pending += i128::from(totals.credits_pending);
    }
}

/// What stands below a prefix, in one currency and of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RollupRow {
    /// The currency.
    pub currency: Currency,
    /// The kind of the accounts that are summed here.
    pub kind: AccountKind,
    /// How many accounts.
    pub accounts: u64,
    /// Their totals.
    pub totals: SummedTotals,
}

/// Every account's posted totals at one effective time and position, a page at a time.
#[derive(Clone, Debug, PartialEq)]
pub struct TrialBalance {
    /// Only what is effective at or before this instant; every effective date if absent.
    pub as_of: Option<Timestamp>,
    /// As known at this position.
    pub known_at: Position,
    /// One row an account, by address.
    pub rows: Page<TrialBalanceRow>,
}

/// An account in a trial balance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrialBalanceRow {
    /// Where the account stands.
    pub address: AccountAddress,
    /// Kind, and so normal side.
    pub kind: AccountKind,
    /// Its currency.
    pub currency: Currency,
    /// Account number in the chart.
    pub chart_code: Option<ShortText>,
    /// Σ of posted debits, in minor units.
    pub debits_minor: i64,
    /// Σ of posted credits, in minor units.
    pub credits_minor: i64,
    /// The balance on the normal side, in minor units.
    pub balance_minor: i64,
}

/// What a trial balance sums up to in one currency. Debits equal credits, always.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrialBalanceSum {
    /// The currency.
    pub currency: Currency,
    /// How many accounts are in it.
    pub accounts: u64,
    /// Σ of debits, in minor units.
    pub debits_minor: i128,
    /// Σ of credits, in minor units.
    pub credits_minor: i128,
}

const TRIAL_BALANCE: &str = "trial_balance";

/// Sums as rows, by currency and kind.
pub(super) fn rollup_rows(sums: Sums) -> Vec<RollupRow> {
    let row = |((currency, kind), sum): (_, Sum)| RollupRow { currency, kind, accounts: sum.accounts, totals: sum.totals };
    sums.into_iter().map(row).collect()
}

impl ReadSnapshot {
    /// The account's totals over what is effective at or before `as_of` and was recorded at or before `known_at`;
    /// `None` if the account was not open by then. Exact, whatever was dated back later.
    pub fn balance(
        &self,
        address: &AccountAddress,
        as_of: Option<Timestamp>,
        known_at: Option<Position>,
    ) -> Result<Option<BalanceRow>, ReadError> {
        let known_at = self.group(ACCOUNTS)?.known(known_at)?;
        let Some(account) = self.seen_account_key(address, known_at)? else { return Ok(None) };
        Ok(Some(BalanceRow {
            totals: self.totals(&account, as_of, known_at)?,
            address: account.row.address,
            kind: account.row.kind,
            currency: account.row.currency,
            as_of,
            known_at,
        }))
    }

    /// Sums over the account at `prefix` and all below it, by whole segments: one row per currency and kind.
    ///
    /// As of now it reads kept sums. At another time it reads every account below the prefix, and of each what
    /// [`ReadSnapshot::balance`] reads.
    pub fn rollup(
        &self,
        prefix: &AccountAddress,
        as_of: Option<Timestamp>,
        known_at: Option<Position>,
    ) -> Result<Vec<RollupRow>, ReadError> {
        if self.reach.as_ref().is_some_and(|reach| !reach.covers(prefix)) {
            return Err(ReadError::OutOfReach { what: "a rollup of accounts that it does not reach" });
        }
        let accounts = self.group(ACCOUNTS)?;
        let known_at = accounts.known(known_at)?;
        let mut sums = Sums::new();
        if as_of.is_none() && known_at == accounts.position() {
            sums = self.kept_sums(prefix.as_str())?;
            if !sums.is_empty() {
                if let Some(account) = self.account_key(prefix, known_at)? {
                    sums.entry(account.row.sum_key()).or_default().add(&account.row.totals);
                }
                return Ok(rollup_rows(sums));
            }
        }
        self.each_account(AccountRange::at_or_below(prefix), known_at, |account| {
            sums.entry(account.row.sum_key()).or_default().add(&self.totals(&account, as_of, known_at)?);
            Ok(true)
        })?;
        Ok(rollup_rows(sums))
    }

    /// The sums that are kept over the accounts below a prefix; none where there are so few that none are.
    fn kept_sums(&self, prefix: &str) -> Result<Sums, ReadError> {
        let sql = format!("SELECT {} FROM account_sums WHERE prefix = ?1", Sum::COLUMNS);
        let mut statement = self.group(ACCOUNTS)?.db()?.prepare_cached(&sql)?;
        let sums = statement.query_map([prefix], Sum::read)?;
        Ok(sums.collect::<rusqlite::Result<_>>()?)
    }

    /// A page of the accounts that were open by `known_at`, by address, with their posted totals; on the first page the sums
    /// over all of them, per currency.
    ///
    /// As of now the sums are kept. At another time they take a look at every account, and of each what
    /// [`ReadSnapshot::balance`] reads; later pages do not compute them again.
    pub fn trial_balance(
        &self,
        as_of: Option<Timestamp>,
        known_at: Option<Position>,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<TrialBalance, ReadError> {
        self.unlimited("the trial balance")?;
        let limit = limit.clamp(1, MAX_PAGE);
        let after = after.map(|after| after.key(TRIAL_BALANCE)).transpose()?.unwrap_or("");
        let known_at = self.group(ACCOUNTS)?.known(known_at)?;
        let mut items = Vec::new();
        self.each_account(AccountRange::behind(after), known_at, |account| {
            let totals = self.totals(&account, as_of, known_at)?;
            let row = TrialBalanceRow {
                balance_minor: balance(&totals, account.row.kind)?,
                address: account.row.address,
                kind: account.row.kind,
                currency: account.row.currency,
                chart_code: account.row.chart_code,
                debits_minor: totals.debits_posted,
                credits_minor: totals.credits_posted,
            };
            items.push(Item { cursor: Cursor::new(TRIAL_BALANCE, &row.address), row });
            Ok(items.len() <= limit)
        })?;
        Ok(TrialBalance { as_of, known_at, rows: Page::cut(items, limit) })
    }

    /// What a trial balance sums up to, per currency.
    pub fn trial_balance_sums(&self, as_of: Option<Timestamp>, known_at: Option<Position>) -> Result<Vec<TrialBalanceSum>, ReadError> {
        self.unlimited("the trial balance")?;
        let accounts = self.group(ACCOUNTS)?;
        let known_at = accounts.known(known_at)?;
        let mut by_kind = Sums::new();
        if as_of.is_none() && known_at == accounts.position() {
            by_kind = self.kept_sums("")?;
        } else {
            self.each_account(AccountRange::behind(""), known_at, |account| {
                by_kind.entry(account.row.sum_key()).or_default().add(&self.totals(&account, as_of, known_at)?);
                Ok(true)
            })?;
        }
        let mut sums: BTreeMap<Currency, (u64, i128, i128)> = BTreeMap::new();
        for ((currency, _), sum) in by_kind {
            let (accounts, debits, credits) = sums.entry(currency).or_default();
            *accounts += sum.accounts;
            *debits += sum.totals.debits_posted;
            *credits += sum.totals.credits_posted;
        }
        let sum = |(currency, (accounts, debits_minor, credits_minor))| TrialBalanceSum { currency, accounts, debits_minor, credits_minor };
        Ok(sums.into_iter().map(sum).collect())
    }

    /// An account's totals at two times.
    pub(super) fn totals(&self, account: &AccountKey, as_of: Option<Timestamp>, known_at: Position) -> Result<Totals, ReadError> {
        if as_of.is_none() && account.row.last_position <= known_at {
            return Ok(account.row.totals);
        }
        self.history(account, known_at)?.totals_before(Place::after(as_of))
    }

    pub(super) fn history(&self, account: &AccountKey, known_at: Position) -> Result<History<'_>, ReadError> {
        Ok(History::of(self.group(ACCOUNTS)?.db()?, account.account_no, known_at))
    }
}

/// Posted on the normal side minus posted on the other: it fits, because totals stay below a quarter of the range.
pub(super) fn balance(totals: &Totals, kind: AccountKind) -> Result<i64, ReadError> {
    i64::try_from(totals.balance(kind)).map_err(|_| ReadError::Damaged("the balance of an account leaves its range".into()))
}
