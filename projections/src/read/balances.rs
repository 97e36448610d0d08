//! Balances as of an effective time and as known at a position: of one account, below a prefix, of all.

use std::collections::BTreeMap;

use cauri_domain::account::{AccountKind, Side};
use cauri_domain::fold::Totals;
use cauri_domain::ids::AccountAddress;
use cauri_domain::money::Currency;
use cauri_domain::text::ShortText;
use cauri_domain::time::Timestamp;
use cauri_event_schemas::Position;

use super::accounts::AccountKey;
use super::history::{History, Place};
use super::{ReadError, ReadSnapshot};

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

/// Every account's posted totals at one effective time and position, and their sums.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrialBalance {
    /// Only what is effective at or before this instant; every effective date if absent.
    pub as_of: Option<Timestamp>,
    /// As known at this position.
    pub known_at: Position,
    /// One row an account, by address.
    pub rows: Vec<TrialBalanceRow>,
    /// One row a currency, by code. Debits equal credits, always.
    pub sums: Vec<TrialBalanceSum>,
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

/// What a trial balance sums up to in one currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrialBalanceSum {
    /// The currency.
    pub currency: Currency,
    /// Σ of debits, in minor units.
    pub debits_minor: i128,
    /// Σ of credits, in minor units.
    pub credits_minor: i128,
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
        let known_at = self.known(known_at)?;
        let Some(account) = self.account_key(address, known_at)? else { return Ok(None) };
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
    pub fn rollup(
        &self,
        prefix: &AccountAddress,
        as_of: Option<Timestamp>,
        known_at: Option<Position>,
    ) -> Result<Vec<RollupRow>, ReadError> {
        let known_at = self.known(known_at)?;
        let mut sums: BTreeMap<(Currency, AccountKind), (u64, SummedTotals)> = BTreeMap::new();
        for account in self.account_keys(Some(prefix), known_at)? {
            let (accounts, sum) = sums.entry((account.row.currency, account.row.kind)).or_default();
            *accounts += 1;
            sum.add(&self.totals(&account, as_of, known_at)?);
        }
        let rows = sums.into_iter().map(|((currency, kind), (accounts, totals))| RollupRow { currency, kind, accounts, totals });
        Ok(rows.collect())
    }

    /// Every account that was open by `known_at`, with its posted totals, and the sums per currency.
    pub fn trial_balance(&self, as_of: Option<Timestamp>, known_at: Option<Position>) -> Result<TrialBalance, ReadError> {
        let known_at = self.known(known_at)?;
        let mut rows = Vec::new();
        let mut sums: BTreeMap<Currency, (i128, i128)> = BTreeMap::new();
        for account in self.account_keys(None, known_at)? {
            let totals = self.totals(&account, as_of, known_at)?;
            let (debits, credits) = sums.entry(account.row.currency).or_default();
            *debits += i128::from(totals.debits_posted);
            *credits += i128::from(totals.credits_posted);
            rows.push(TrialBalanceRow {
                balance_minor: balance(&totals, account.row.kind)?,
                address: account.row.address,
                kind: account.row.kind,
                currency: account.row.currency,
                chart_code: account.row.chart_code,
                debits_minor: totals.debits_posted,
                credits_minor: totals.credits_posted,
            });
        }
        let sums =
            sums.into_iter().map(|(currency, (debits_minor, credits_minor))| TrialBalanceSum { currency, debits_minor, credits_minor });
        Ok(TrialBalance { as_of, known_at, rows, sums: sums.collect() })
    }

    /// An account's totals at two times.
    pub(super) fn totals(&self, account: &AccountKey, as_of: Option<Timestamp>, known_at: Position) -> Result<Totals, ReadError> {
        if as_of.is_none() && account.row.last_position <= known_at {
            return Ok(account.row.totals);
        }
        self.history(account, known_at)?.totals_before(Place::after(as_of))
    }

    pub(super) fn history(&self, account: &AccountKey, known_at: Position) -> Result<History<'_>, ReadError> {
        Ok(History::of(self.db()?, self.generation("postings")?, account.account_no, known_at))
    }
}

/// Posted on the normal side minus posted on the other: it fits, because totals stay below a quarter of the range.
pub(super) fn balance(totals: &Totals, kind: AccountKind) -> Result<i64, ReadError> {
    i64::try_from(totals.balance(kind)).map_err(|_| ReadError::Damaged("the balance of an account leaves its range".into()))
}
