//! Balances as of an effective time and as known at a position: of one account, below a prefix, of all.

use std::collections::BTreeMap;

use cauri_domain::account::AccountKind;
use cauri_domain::fold::Totals;
use cauri_domain::ids::AccountAddress;
use cauri_domain::money::Currency;
use cauri_domain::time::Timestamp;
use cauri_event_schemas::Position;

use super::accounts::AccountKey;
use super::history::{History, Place};
use super::{BalanceRow, ReadError, ReadSnapshot, RollupRow, SummedTotals, TrialBalance, TrialBalanceRow, TrialBalanceSum};

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
