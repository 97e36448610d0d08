//! Account sets: which there are, who was in them and when.

use std::collections::BTreeMap;

use cauri_domain::account_set::{Member, SetName};
use cauri_domain::ids::AccountAddress;
use cauri_domain::text::{Key, ShortText};
use cauri_domain::time::Timestamp;
use cauri_event_schemas::{Position, StreamVersion};
use rusqlite::{OptionalExtension, Row};

use super::accounts::AccountKey;
use super::balances::{RollupRow, rollup_rows};
use super::{AccountRow, Cursor, Item, MAX_PAGE, Page, ReadError, ReadSnapshot};
use crate::ACCOUNTS;
use crate::accounts::sets::{ACCOUNT, SET, stored};
use crate::accounts::sums::{Sum, Sums};
use crate::stored::{json_or_default, number, optional, optional_timestamp, parsed, position, timestamp, unknown};

/// An account set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountSetRow {
    /// Its name.
    pub name: SetName,
    /// What it is, for people.
    pub description: Option<ShortText>,
    /// Free pairs.
    pub metadata: BTreeMap<Key, ShortText>,
    /// When it was created.
    pub created_at: Timestamp,
    /// Position of the event that created it.
    pub created_position: Position,
    /// How many events its stream has (what `If-Match` is compared with).
    pub version: StreamVersion,
}

/// An account or a set in a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MembershipRow {
    /// Which account or set.
    pub member: Member,
    /// It is in the set from here on.
    pub since: Timestamp,
    /// It is in the set no more from here on.
    pub until: Option<Timestamp>,
    /// Position of the event that added it.
    pub added_position: Position,
    /// Position of the event that removed it.
    pub removed_position: Option<Position>,
}

const COLUMNS: &str = "s.name, s.description, s.metadata, s.created_at, s.created_position, s.version";
const SETS: &str = "account_sets";
const MEMBERS: &str = "account_set_members";
const SET_ACCOUNTS: &str = "account_set_accounts";

fn read_set(row: &Row<'_>) -> rusqlite::Result<AccountSetRow> {
    Ok(AccountSetRow {
        name: parsed(row, 0)?,
        description: optional(row, 1)?,
        metadata: json_or_default(row, 2)?,
        created_at: timestamp(row, 3)?,
        created_position: position(row, 4)?,
        version: StreamVersion::new(number(row, 5)?),
    })
}

fn read_member(row: &Row<'_>) -> rusqlite::Result<MembershipRow> {
    Ok(MembershipRow {
        member: match row.get(0)? {
            ACCOUNT => Member::Account(parsed(row, 1)?),
            SET => Member::Set(parsed(row, 1)?),
            other => return Err(unknown(0, format!("{other} is no type of member"))),
        },
        since: timestamp(row, 2)?,
        until: optional_timestamp(row, 3)?,
        added_position: position(row, 4)?,
        removed_position: row.get::<_, Option<i64>>(5)?.map(|_| position(row, 5)).transpose()?,
    })
}

/// A membership `m` lasts at the instant `:at`, as known at the position `:known`. Without an instant: whoever was added and not
/// removed, whatever the dates, as a balance without an effective time is over every effective date.
const LASTS: &str = "m.added_position <= :known AND (:at IS NULL OR m.since <= :at)
     AND (m.until IS NULL OR m.removed_position > :known OR :at < m.until)";

/// The sets that are in the set `:name` by any way, with itself. UNION keeps each once, so this ends whatever the journal says.
fn inside() -> String {
    format!(
        "WITH RECURSIVE inside (set_no) AS (
            SELECT set_no FROM account_sets WHERE name = :name
            UNION
            SELECT s.set_no FROM inside JOIN account_set_members m ON m.set_no = inside.set_no AND m.member_type = {SET} AND {LASTS}
            JOIN account_sets s ON s.name = m.member
         )"
    )
}

impl ReadSnapshot {
    /// Whether whoever asks may see a set, and so who is in it.
    fn sees_set(&self, name: &SetName) -> bool {
        self.reach.as_ref().is_none_or(|reach| reach.has_set(name))
    }

    /// The sets that an account is in by any way now.
    pub(super) fn sets_around(&self, address: &AccountAddress) -> Result<Vec<SetName>, ReadError> {
        let sql = format!(
            "WITH RECURSIVE around (name) AS (
                SELECT s.name FROM account_set_members m JOIN account_sets s ON s.set_no = m.set_no
                WHERE m.member_type = {ACCOUNT} AND m.member = ?1 AND m.until IS NULL
                UNION
                SELECT s.name FROM around JOIN account_set_members m ON m.member_type = {SET} AND m.member = around.name AND m.until IS NULL
                JOIN account_sets s ON s.set_no = m.set_no
             )
             SELECT name FROM around"
        );
        let mut statement = self.group(ACCOUNTS)?.db()?.prepare_cached(&sql)?;
        let names = statement.query_map([address.as_str()], |row| parsed(row, 0))?;
        Ok(names.collect::<rusqlite::Result<_>>()?)
    }

    /// The account set of a name.
    pub fn account_set(&self, name: &SetName) -> Result<Option<AccountSetRow>, ReadError> {
        if !self.sees_set(name) {
            return Ok(None);
        }
        let db = self.group(ACCOUNTS)?.db()?;
        let mut statement = db.prepare_cached(&format!("SELECT {COLUMNS} FROM account_sets s WHERE s.name = ?1"))?;
        Ok(statement.query_row([name.as_str()], read_set).optional()?)
    }

    /// Account sets by name: all, or those that a member is in, not through another set: at an instant, or now.
    pub fn account_sets(
        &self,
        of: Option<(&Member, Option<Timestamp>)>,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<AccountSetRow>, ReadError> {
        let db = self.group(ACCOUNTS)?.db()?;
        let limit = limit.clamp(1, MAX_PAGE);
        let after = after.map(|after| after.key(SETS)).transpose()?.unwrap_or("");
        // Of what is out of reach nothing is listed, so the list is read to its end; sets are few.
        let enough = if self.reach.is_some() { i64::MAX } else { limit as i64 + 1 };
        let found: Vec<AccountSetRow> = match of {
            None => {
                let sql = format!("SELECT {COLUMNS} FROM account_sets s WHERE s.name > ?1 ORDER BY s.name LIMIT ?2");
                let mut statement = db.prepare_cached(&sql)?;
                statement.query_map((after, enough), read_set)?.collect::<rusqlite::Result<_>>()?
            }
            Some((member, at)) => {
                let (member_type, member) = stored(member);
                let sql = format!(
                    "SELECT {COLUMNS} FROM account_set_members m JOIN account_sets s ON s.set_no = m.set_no
                     WHERE m.member_type = :member_type AND m.member = :member AND {LASTS} AND s.name > :after
                     ORDER BY s.name LIMIT :enough"
                );
                let mut statement = db.prepare_cached(&sql)?;
                let known = self.group(ACCOUNTS)?.position().get() as i64;
                let parameters = rusqlite::named_params! {
                    ":member_type": member_type, ":member": member, ":at": at.map(Timestamp::as_micros), ":known": known, ":after": after,
                    ":enough": enough,
                };
                statement.query_map(parameters, read_set)?.collect::<rusqlite::Result<_>>()?
            }
        };
        let seen = found.into_iter().filter(|row| self.sees_set(&row.name));
        let items = seen.map(|row| Item { cursor: Cursor::new(SETS, &row.name), row });
        Ok(Page::cut(items.collect(), limit))
    }

    /// What is in a set at an instant, or ever was, not through other sets: accounts before sets, each by name and time.
    pub fn account_set_members(
        &self,
        name: &SetName,
        at: Option<Timestamp>,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<MembershipRow>, ReadError> {
        if !self.sees_set(name) {
            return Ok(Page::cut(Vec::new(), limit));
        }
        let db = self.group(ACCOUNTS)?.db()?;
        let limit = limit.clamp(1, MAX_PAGE);
        // Addresses have colons of their own, so the member stands last.
        let (after_type, after_since, after_member) = match after {
            None => (-1, 0, String::new()),
            Some(after) => {
                let mut parts = after.key(MEMBERS)?.splitn(3, ':');
                let mut next = || parts.next().ok_or(ReadError::InvalidCursor);
                let integer = |text: &str| text.parse::<i64>().map_err(|_| ReadError::InvalidCursor);
                (integer(next()?)?, integer(next()?)?, next()?.to_owned())
            }
        };
        // Without an instant every membership that there ever was.
        let lasts = if at.is_some() { LASTS } else { ":at IS NULL AND :known >= 0" };
        let sql = format!(
            "SELECT m.member_type, m.member, m.since, m.until, m.added_position, m.removed_position
             FROM account_set_members m WHERE m.set_no = (SELECT set_no FROM account_sets WHERE name = :name)
             AND (m.member_type, m.member, m.since) > (:after_type, :after_member, :after_since) AND {lasts}
             ORDER BY m.member_type, m.member, m.since LIMIT :enough"
        );
        let mut statement = db.prepare_cached(&sql)?;
        let at = at.map(Timestamp::as_micros);
        let parameters = rusqlite::named_params! {
            ":name": name.as_str(), ":after_type": after_type, ":after_member": after_member, ":after_since": after_since,
            ":at": at, ":known": self.group(ACCOUNTS)?.position().get() as i64, ":enough": limit as i64 + 1,
        };
        let found: Vec<MembershipRow> = statement.query_map(parameters, read_member)?.collect::<rusqlite::Result<_>>()?;
        let cursor = |row: &MembershipRow| {
            let (member_type, member) = stored(&row.member);
            Cursor::new(MEMBERS, format_args!("{member_type}:{}:{member}", row.since.as_micros()))
        };
        let items = found.into_iter().map(|row| Item { cursor: cursor(&row), row });
        Ok(Page::cut(items.collect(), limit))
    }

    /// The accounts that are in a set, directly or through other sets, each once, by address: at an instant, or now.
    pub fn accounts_in_set(
        &self,
        name: &SetName,
        at: Option<Timestamp>,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<AccountRow>, ReadError> {
        let limit = limit.clamp(1, MAX_PAGE);
        let after = after.map(|after| after.key(SET_ACCOUNTS)).transpose()?.unwrap_or("");
        let mut items = Vec::new();
        if !self.sees_set(name) {
            return Ok(Page::cut(items, limit));
        }
        self.each_account_in_set(name, at, self.group(ACCOUNTS)?.position(), after, |account| {
            let row = account.row;
            items.push(Item { cursor: Cursor::new(SET_ACCOUNTS, &row.address), row });
            Ok(items.len() <= limit)
        })?;
        Ok(Page::cut(items, limit))
    }

    /// Sums over the accounts that are in a set, directly or through other sets, each once: one row per currency and kind;
    /// `None` if there was no such set by `known_at`.
    ///
    /// As of now, and without `as_of` and `known_at`, it reads kept sums. At another time the members are those of that time, and
    /// it reads every one of them, and of each what [`ReadSnapshot::balance`] reads.
    pub fn account_set_balances(
        &self,
        name: &SetName,
        as_of: Option<Timestamp>,
        known_at: Option<Position>,
    ) -> Result<Option<Vec<RollupRow>>, ReadError> {
        let accounts = self.group(ACCOUNTS)?;
        let known_at = accounts.known(known_at)?;
        if self.account_set(name)?.is_none_or(|set| set.created_position > known_at) {
            return Ok(None);
        }
        let mut sums = Sums::new();
        if as_of.is_none() && known_at == accounts.position() {
            let sql = format!(
                "SELECT {} FROM account_set_sums WHERE set_no = (SELECT set_no FROM account_sets WHERE name = ?1) AND accounts > 0",
                Sum::COLUMNS
            );
            let mut statement = accounts.db()?.prepare_cached(&sql)?;
            sums = statement.query_map([name.as_str()], Sum::read)?.collect::<rusqlite::Result<_>>()?;
        } else {
            self.each_account_in_set(name, as_of, known_at, "", |account| {
                sums.entry(account.row.sum_key()).or_default().add(&self.totals(&account, as_of, known_at)?);
                Ok(true)
            })?;
        }
        Ok(Some(rollup_rows(sums)))
    }

    /// Every account in a set by any way, each once, by address from behind `after`, until it was enough.
    pub(super) fn each_account_in_set(
        &self,
        name: &SetName,
        at: Option<Timestamp>,
        known_at: Position,
        after: &str,
        mut take: impl FnMut(AccountKey) -> Result<bool, ReadError>,
    ) -> Result<(), ReadError> {
        let sql = format!(
            "{} SELECT DISTINCT m.member FROM inside JOIN account_set_members m ON m.set_no = inside.set_no
             WHERE m.member_type = {ACCOUNT} AND m.member > :after AND {LASTS} ORDER BY m.member",
            inside()
        );
        let mut statement = self.group(ACCOUNTS)?.db()?.prepare_cached(&sql)?;
        let parameters = rusqlite::named_params! {
            ":name": name.as_str(), ":at": at.map(Timestamp::as_micros), ":known": known_at.get() as i64, ":after": after,
        };
        let mut rows = statement.query(parameters)?;
        while let Some(row) = rows.next()? {
            let address: AccountAddress = parsed(row, 0)?;
            // No account is added to a set before it is opened.
            let account = self.account_key(&address, known_at)?;
            let account = account.ok_or_else(|| ReadError::Damaged(format!("the member {address} of a set was never opened")))?;
            if !take(account)? {
                break;
            }
        }
        Ok(())
    }
}
