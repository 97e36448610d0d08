//! Accounts: one by its address, many by prefix and filter.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use cauri_domain::account::AccountKind;
use cauri_domain::fold::Totals;
use cauri_domain::ids::AccountAddress;
use cauri_domain::money::Currency;
use cauri_domain::reach::{Reach, is_at_or_below};
use cauri_domain::text::{Key, ShortText};
use cauri_domain::time::Timestamp;
use cauri_event_schemas::{Position, StreamVersion};
use rusqlite::{OptionalExtension, Row};

use super::{Cursor, Item, MAX_PAGE, Page, ReadError, ReadSnapshot, UnknownState};
use crate::ACCOUNTS;
use crate::accounts::postings::totals;
use crate::accounts::sums::SumKey;
use crate::accounts::{CLOSED, FROZEN, OPEN};
use crate::stored::{currency, json_or_default, number, optional, parsed, position, timestamp, unknown};

/// An account with its totals as the read model has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRow {
    /// Where it stands.
    pub address: AccountAddress,
    /// Kind, and so normal side.
    pub kind: AccountKind,
    /// The only currency it holds.
    pub currency: Currency,
    /// The least that balance minus outgoing holds may be, in minor units; none if absent.
    pub floor_minor: Option<i64>,
    /// The most that balance plus incoming holds may be, in minor units; none if absent.
    pub ceiling_minor: Option<i64>,
    /// Open, frozen or closed.
    pub status: AccountStatus,
    /// Account number in the chart (SYSCOHADA).
    pub chart_code: Option<ShortText>,
    /// Who it belongs to.
    pub owner: Option<ShortText>,
    /// Free pairs.
    pub metadata: BTreeMap<Key, ShortText>,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// Position of its opening.
    pub opened_position: Position,
    /// How many events its stream has (what `If-Match` is compared with).
    pub version: StreamVersion,
    /// All it ever moved and what open holds claim, in minor units, whatever the effective dates.
    /// `totals.balance(kind)` and `totals.available(kind)` read them on the normal side.
    pub totals: Totals,
    /// Position of the last event that changed anything in this row.
    pub last_position: Position,
}

/// Whether an account takes entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AccountStatus {
    /// It takes entries.
    Open,
    /// Nothing moves until it is unfrozen.
    Frozen,
    /// It takes no more entries.
    Closed,
}

impl AccountStatus {
    /// The status in one word, as the domain writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            AccountStatus::Open => "open",
            AccountStatus::Frozen => "frozen",
            AccountStatus::Closed => "closed",
        }
    }
}

impl FromStr for AccountStatus {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        let known = [AccountStatus::Open, AccountStatus::Frozen, AccountStatus::Closed];
        known.into_iter().find(|status| status.as_str() == text).ok_or_else(|| UnknownState::new(text))
    }
}

impl fmt::Display for AccountStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which accounts to list; what is absent does not filter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountFilter {
    /// The account here and all below it, by whole segments: `merchants:awa` finds `merchants:awa:available`,
    /// not `merchants:awatou`.
    pub prefix: Option<AccountAddress>,
    /// Of this kind.
    pub kind: Option<AccountKind>,
    /// In this currency.
    pub currency: Option<Currency>,
    /// With this status.
    pub status: Option<AccountStatus>,
    /// Belonging to this owner.
    pub owner: Option<ShortText>,
}

const COLUMNS: &str = "address, kind, currency, floor_minor, ceiling_minor, status, chart_code, owner, metadata, opened_at, \
     opened_position, version, debits_posted, credits_posted, debits_pending, credits_pending, last_position";
const LIST: &str = "accounts";

fn read(row: &Row<'_>) -> rusqlite::Result<AccountRow> {
    Ok(AccountRow {
        address: parsed(row, 0)?,
        kind: parsed(row, 1)?,
        currency: currency(row, 2)?,
        floor_minor: row.get(3)?,
        ceiling_minor: row.get(4)?,
        status: match row.get(5)? {
            OPEN => AccountStatus::Open,
            FROZEN => AccountStatus::Frozen,
            CLOSED => AccountStatus::Closed,
            other => return Err(unknown(5, format!("{other} is no status"))),
        },
        chart_code: optional(row, 6)?,
        owner: optional(row, 7)?,
        metadata: json_or_default(row, 8)?,
        opened_at: timestamp(row, 9)?,
        opened_position: position(row, 10)?,
        version: StreamVersion::new(number(row, 11)?),
        totals: totals(row, 12)?,
        last_position: position(row, 16)?,
    })
}

/// The addresses below a prefix of whole segments: from here on, and before here. `;` follows `:` in ASCII.
pub(super) fn below(prefix: &AccountAddress) -> (String, String) {
    (format!("{prefix}:"), format!("{prefix};"))
}

impl ReadSnapshot {
    /// The account at an address.
    pub fn account(&self, address: &AccountAddress) -> Result<Option<AccountRow>, ReadError> {
        let db = self.group(ACCOUNTS)?.db()?;
        let mut statement = db.prepare_cached(&format!("SELECT {COLUMNS} FROM accounts WHERE address = ?1"))?;
        let found = statement.query_row([address.as_str()], read).optional()?;
        Ok(if self.sees(address)? { found } else { None })
    }

    /// Accounts by address.
    pub fn accounts(&self, filter: &AccountFilter, after: Option<&Cursor>, limit: usize) -> Result<Page<AccountRow>, ReadError> {
        let limit = limit.clamp(1, MAX_PAGE);
        let after = after.map(|after| after.key(LIST)).transpose()?.unwrap_or("");
        let found = match &self.reach {
            None => self.accounts_behind(filter, after, limit)?,
            Some(reach) => self.accounts_within(reach, filter, after, limit)?,
        };
        let items = found.into_iter().map(|row| Item { cursor: Cursor::new(LIST, &row.address), row });
        Ok(Page::cut(items.collect(), limit))
    }

    /// The accounts behind an address that whoever asks may see: each of the prefixes and sets that they reach gives as many as
    /// there may be, and the first of all of these are the first of all.
    fn accounts_within(&self, reach: &Reach, filter: &AccountFilter, after: &str, limit: usize) -> Result<Vec<AccountRow>, ReadError> {
        let mut found = BTreeMap::new();
        for prefix in reach.prefixes() {
            let narrower = match &filter.prefix {
                None => prefix.clone(),
                Some(asked) if is_at_or_below(asked, prefix) => asked.clone(),
                Some(asked) if is_at_or_below(prefix, asked) => prefix.clone(),
                Some(_) => continue,
            };
            let filter = AccountFilter { prefix: Some(narrower), ..filter.clone() };
            found.extend(self.accounts_behind(&filter, after, limit)?.into_iter().map(|row| (row.address.clone(), row)));
        }
        let is_below = |row: &AccountRow| filter.prefix.as_ref().is_none_or(|prefix| is_at_or_below(&row.address, prefix));
        for name in reach.sets() {
            let mut left = limit + 1;
            self.each_account_in_set(name, None, self.group(ACCOUNTS)?.position(), after, |account| {
                if matches(filter, &account.row) && is_below(&account.row) {
                    left -= 1;
                    found.insert(account.row.address.clone(), account.row);
                }
                Ok(left > 0)
            })?;
        }
        Ok(found.into_values().take(limit + 1).collect())
    }

    /// The accounts behind an address, one more than the page holds if there are so many.
    fn accounts_behind(&self, filter: &AccountFilter, after: &str, limit: usize) -> Result<Vec<AccountRow>, ReadError> {
        let mut found = Vec::new();
        match &filter.prefix {
            None => self.accounts_in(filter, ("", "\u{7f}"), after, limit + 1, &mut found)?,
            Some(prefix) => {
                // The account at the prefix itself comes before all that are below it.
                if after < prefix.as_str() {
                    found.extend(self.account(prefix)?.filter(|account| matches(filter, account)));
                }
                let (from, to) = below(prefix);
                self.accounts_in(filter, (&from, &to), after, limit + 1, &mut found)?;
            }
        }
        Ok(found)
    }

    /// Accounts with an address from `from` on and before `to`, until `found` holds `enough`.
    fn accounts_in(
        &self,
        filter: &AccountFilter,
        (from, to): (&str, &str),
        after: &str,
        enough: usize,
        found: &mut Vec<AccountRow>,
    ) -> Result<(), ReadError> {
        let status = filter.status.map(|status| match status {
            AccountStatus::Open => OPEN,
            AccountStatus::Frozen => FROZEN,
            AccountStatus::Closed => CLOSED,
        });
        let sql = format!(
            "SELECT {COLUMNS} FROM accounts WHERE {} address >= :from AND address < :to AND address > :after
             AND (:kind IS NULL OR kind = :kind) AND (:currency IS NULL OR currency = :currency)
             AND (:status IS NULL OR status = :status) AND (:owner IS NULL OR owner = :owner)
             ORDER BY address LIMIT :left",
            // The condition lets the partial index by owner be used.
            if filter.owner.is_some() { "owner = :owner AND" } else { "" }
        );
        let parameters = rusqlite::named_params! {
            ":from": from, ":to": to, ":after": after,
            ":kind": filter.kind.map(|kind| kind.as_str()), ":currency": filter.currency.map(|currency| currency.code()),
            ":status": status, ":owner": filter.owner.as_ref().map(|owner| owner.as_str()),
            ":left": enough.saturating_sub(found.len()) as i64,
        };
        let mut statement = self.group(ACCOUNTS)?.db()?.prepare_cached(&sql)?;
        let mut rows = statement.query(parameters)?;
        while let Some(row) = rows.next()? {
            found.push(read(row)?);
        }
        Ok(())
    }
}

fn matches(filter: &AccountFilter, account: &AccountRow) -> bool {
    filter.kind.is_none_or(|kind| account.kind == kind)
        && filter.currency.is_none_or(|currency| account.currency == currency)
        && filter.status.is_none_or(|status| account.status == status)
        && filter.owner.as_ref().is_none_or(|owner| account.owner.as_ref() == Some(owner))
}

/// An account as the other questions need it.
pub(super) struct AccountKey {
    pub(super) account_no: u32,
    pub(super) row: AccountRow,
}

impl ReadSnapshot {
    /// An account that was open by `known_at`, with its number.
    pub(super) fn account_key(&self, address: &AccountAddress, known_at: Position) -> Result<Option<AccountKey>, ReadError> {
        let db = self.group(ACCOUNTS)?.db()?;
        let mut statement = db.prepare_cached(&format!("SELECT {COLUMNS}, account_no FROM accounts WHERE address = ?1"))?;
        let found = statement.query_row([address.as_str()], read_key).optional()?;
        Ok(found.filter(|account| account.row.opened_position <= known_at))
    }

    /// The same, if whoever asks may see it.
    pub(super) fn seen_account_key(&self, address: &AccountAddress, known_at: Position) -> Result<Option<AccountKey>, ReadError> {
        if self.sees(address)? { self.account_key(address, known_at) } else { Ok(None) }
    }

    /// Every account in a range that was open by `known_at`, by address, until it was enough.
    pub(super) fn each_account(
        &self,
        range: AccountRange,
        known_at: Position,
        mut take: impl FnMut(AccountKey) -> Result<bool, ReadError>,
    ) -> Result<(), ReadError> {
        let AccountRange { itself, after, before } = range;
        if let Some(account) = itself.map(|address| self.account_key(&address, known_at)).transpose()?.flatten()
            && !take(account)?
        {
            return Ok(());
        }
        let sql = format!(
            "SELECT {COLUMNS}, account_no FROM accounts WHERE address > ?1 AND address < ?2 AND opened_position <= ?3 ORDER BY address"
        );
        let mut statement = self.group(ACCOUNTS)?.db()?.prepare_cached(&sql)?;
        let mut rows = statement.query((after, before, known_at.get() as i64))?;
        while let Some(row) = rows.next()? {
            if !take(read_key(row)?)? {
                break;
            }
        }
        Ok(())
    }
}

/// Accounts by address: one account, and those between two texts.
pub(super) struct AccountRange {
    itself: Option<AccountAddress>,
    after: String,
    before: String,
}

impl AccountRange {
    /// The account at a prefix and all below it.
    pub(super) fn at_or_below(prefix: &AccountAddress) -> Self {
        let (after, before) = below(prefix);
        Self { itself: Some(prefix.clone()), after, before }
    }

    /// All accounts behind an address.
    pub(super) fn behind(after: &str) -> Self {
        Self { itself: None, after: after.to_owned(), before: "\u{7f}".to_owned() }
    }
}

impl AccountRow {
    /// What it is summed with.
    pub(super) fn sum_key(&self) -> SumKey {
        (self.currency, self.kind)
    }
}

fn read_key(row: &Row<'_>) -> rusqlite::Result<AccountKey> {
    Ok(AccountKey { row: read(row)?, account_no: row.get(17)? })
}
