//! `account_sets`: the sets, and who was in which of them from when until when.
//!
//! Reads: every `account_set.*` event.
//!
//! Writes: `account_sets`, by number in the order of creation; `account_set_members`, one row a membership, clustered by (set,
//! type of member, member, since). When complete: an index of the members, which finds the sets that something is in.
//!
//! Rebuild: any time. Needs in memory the sets' names with their numbers.

use std::collections::BTreeMap;

use cauri_domain::account_set::{AccountSetEvent, Member, SetName};
use cauri_domain::event::EventSet;
use cauri_domain::ids::AccountAddress;
use cauri_domain::text::{Key, ShortText};
use cauri_domain::time::Timestamp;
use cauri_event_schemas::ledger::{Event, Recorded, StreamId};
use cauri_event_schemas::{Position, StreamVersion};
use hashbrown::HashMap;
use rusqlite::{Connection, OptionalExtension, Row};

use crate::account_balances::stray;
use crate::insert::empty;
use crate::projector::{Changes, Generation, ModelError, Projector, Reads, Table, Unprojectable};
use crate::read::{AccountRow, Cursor, Item, MAX_PAGE, Page, ReadError, ReadSnapshot};
use crate::stored::{json_or_default, number, optional, optional_timestamp, parsed, position, timestamp, unknown};

/// Type of a member as stored.
const ACCOUNT: i64 = 0;
/// Type of a member as stored.
const SET: i64 = 1;

/// The projector.
pub(crate) struct AccountSets;

/// What waits, in the order of the journal, and the sets there are.
#[derive(Debug, Default)]
pub(crate) struct AccountSetChanges {
    numbers: HashMap<SetName, u32>,
    waiting: Vec<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    set_no: u32,
    name: SetName,
    position: Position,
    version: StreamVersion,
    recorded_at: Timestamp,
    event: AccountSetEvent,
}

impl Projector for AccountSets {
    const NAME: &'static str = "account_sets";
    const REVISION: u32 = 1;
    const COMPATIBLE_SINCE: u32 = 1;
    const READS: Reads = Reads::Only(&["account_set.created", "account_set.member_added", "account_set.member_removed"]);
    type Changes = AccountSetChanges;

    fn project(recorded: &Recorded, changes: &mut AccountSetChanges) -> Result<(), Unprojectable> {
        match (&recorded.event, &recorded.stream) {
            (Event::AccountSet(event), StreamId::AccountSet(name)) => changes.set(recorded, name, event),
            (Event::AccountSet(event), stream) => Err(stray(recorded.position, event.name(), stream)),
            _ => Ok(()),
        }
    }
}

impl AccountSetChanges {
    fn set(&mut self, recorded: &Recorded, name: &SetName, event: &AccountSetEvent) -> Result<(), Unprojectable> {
        let contradiction = |what: &str| Unprojectable::new(recorded.position, format!("the account set {name} {what}"));
        let set_no = match (self.numbers.get(name).copied(), event) {
            (None, AccountSetEvent::Created(_)) => {
                let set_no = u32::try_from(self.numbers.len() + 1).map_err(|_| contradiction("is one too many"))?;
                self.numbers.insert(name.clone(), set_no);
                set_no
            }
            (Some(set_no), AccountSetEvent::MemberAdded(_) | AccountSetEvent::MemberRemoved(_)) => set_no,
            (Some(_), AccountSetEvent::Created(_)) => return Err(contradiction("was created before")),
            (None, _) => return Err(contradiction("was never created")),
        };
        self.waiting.push(Waiting {
            set_no,
            name: name.clone(),
            position: recorded.position,
            version: recorded.version,
            recorded_at: recorded.recorded_at,
            event: event.clone(),
        });
        Ok(())
    }
}

impl Changes for AccountSetChanges {
    const TABLES: &'static [Table] =
        &[Table { name: "account_sets", key: "set_no" }, Table { name: "account_set_members", key: "set_no, member_type, member, since" }];

    fn create(db: &Connection, generation: Generation) -> rusqlite::Result<()> {
        let (sets, members) = (generation.table("account_sets"), generation.table("account_set_members"));
        db.execute_batch(&format!(
            "CREATE TABLE {sets} (
                set_no INTEGER PRIMARY KEY,
                name TEXT NOT NULL UNIQUE,
                description TEXT,
                metadata TEXT,
                created_at INTEGER NOT NULL,
                created_position INTEGER NOT NULL,
                version INTEGER NOT NULL
            ) STRICT;
            CREATE TABLE {members} (
                set_no INTEGER NOT NULL,
                member_type INTEGER NOT NULL,
                member TEXT NOT NULL,
                since INTEGER NOT NULL,
                until INTEGER,
                added_position INTEGER NOT NULL,
                removed_position INTEGER,
                PRIMARY KEY (set_no, member_type, member, since)
            ) STRICT, WITHOUT ROWID"
        ))
    }

    fn complete(db: &Connection, generation: Generation) -> Result<(), ModelError> {
        let members = generation.table("account_set_members");
        db.execute_batch(&format!("CREATE INDEX {members}_member ON {members} (member_type, member)"))?;
        Ok(())
    }

    fn load(db: &Connection, generation: Generation, _completed: bool) -> rusqlite::Result<Self> {
        let mut changes = Self::default();
        let mut statement = db.prepare(&format!("SELECT name, set_no FROM {}", generation.table("account_sets")))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            changes.numbers.insert(parsed(row, 0)?, row.get(1)?);
        }
        Ok(changes)
    }

    fn write(&mut self, db: &Connection, generation: Generation) -> Result<(), ModelError> {
        let (sets, members) = (generation.table("account_sets"), generation.table("account_set_members"));
        for waiting in &self.waiting {
            let Waiting { set_no, name, position, version, recorded_at, event } = waiting;
            let contradiction = |what: String| Unprojectable::new(*position, what);
            match event {
                AccountSetEvent::Created(created) => {
                    let metadata = (!created.metadata.is_empty()).then(|| serde_json::to_string(&created.metadata)).transpose();
                    let sql = format!("INSERT INTO {sets} VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0)");
                    db.prepare_cached(&sql)?.execute((
                        set_no,
                        name.as_str(),
                        created.description.as_ref().map(ShortText::as_str),
                        metadata.map_err(|error| contradiction(error.to_string()))?,
                        recorded_at.as_micros(),
                        position.get() as i64,
                    ))?;
                }
                AccountSetEvent::MemberAdded(added) => {
                    let (member_type, member) = stored(&added.member);
                    let sql = format!("INSERT INTO {members} VALUES (?1, ?2, ?3, ?4, NULL, ?5, NULL)");
                    let row = (set_no, member_type, member, added.effective_at.as_micros(), position.get() as i64);
                    db.prepare_cached(&sql)?.execute(row)?;
                }
                AccountSetEvent::MemberRemoved(removed) => {
                    let (member_type, member) = stored(&removed.member);
                    let sql = format!(
                        "UPDATE {members} SET until = ?4, removed_position = ?5
                         WHERE set_no = ?1 AND member_type = ?2 AND member = ?3 AND until IS NULL"
                    );
                    let row = (set_no, member_type, member, removed.effective_at.as_micros(), position.get() as i64);
                    if db.prepare_cached(&sql)?.execute(row)? != 1 {
                        return Err(contradiction(format!("{} was not in the account set {name}", removed.member)).into());
                    }
                }
            }
            let sql = format!("UPDATE {sets} SET version = ?2 WHERE set_no = ?1");
            db.prepare_cached(&sql)?.execute((set_no, version.get() as i64))?;
        }
        empty(&mut self.waiting);
        Ok(())
    }
}

fn stored(member: &Member) -> (i64, &str) {
    match member {
        Member::Account(address) => (ACCOUNT, address.as_str()),
        Member::Set(name) => (SET, name.as_str()),
    }
}

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
const ACCOUNTS: &str = "account_set_accounts";

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

/// A membership `m` lasts at the instant `:at`.
const LASTS: &str = "m.since <= :at AND (m.until IS NULL OR :at < m.until)";

impl ReadSnapshot {
    /// The account set of a name.
    pub fn account_set(&self, name: &SetName) -> Result<Option<AccountSetRow>, ReadError> {
        let sets = self.generation(SETS)?.table("account_sets");
        let mut statement = self.db()?.prepare_cached(&format!("SELECT {COLUMNS} FROM {sets} s WHERE s.name = ?1"))?;
        Ok(statement.query_row([name.as_str()], read_set).optional()?)
    }

    /// Account sets by name: all, or those that a member is in at an instant, not through another set.
    pub fn account_sets(
        &self,
        of: Option<(&Member, Timestamp)>,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<AccountSetRow>, ReadError> {
        let generation = self.generation(SETS)?;
        let (sets, members) = (generation.table("account_sets"), generation.table("account_set_members"));
        let limit = limit.clamp(1, MAX_PAGE);
        let after = after.map(|after| after.key(SETS)).transpose()?.unwrap_or("");
        let enough = limit as i64 + 1;
        let found: Vec<AccountSetRow> = match of {
            None => {
                let sql = format!("SELECT {COLUMNS} FROM {sets} s WHERE s.name > ?1 ORDER BY s.name LIMIT ?2");
                let mut statement = self.db()?.prepare_cached(&sql)?;
                statement.query_map((after, enough), read_set)?.collect::<rusqlite::Result<_>>()?
            }
            Some((member, at)) => {
                let (member_type, member) = stored(member);
                let sql = format!(
                    "SELECT {COLUMNS} FROM {members} m JOIN {sets} s ON s.set_no = m.set_no
                     WHERE m.member_type = :member_type AND m.member = :member AND {LASTS} AND s.name > :after
                     ORDER BY s.name LIMIT :enough"
                );
                let mut statement = self.db()?.prepare_cached(&sql)?;
                let at = at.as_micros();
                let parameters = rusqlite::named_params! {
                    ":member_type": member_type, ":member": member, ":at": at, ":after": after, ":enough": enough,
                };
                statement.query_map(parameters, read_set)?.collect::<rusqlite::Result<_>>()?
            }
        };
        let items = found.into_iter().map(|row| Item { cursor: Cursor::new(SETS, &row.name), row });
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
        let generation = self.generation(SETS)?;
        let (sets, members) = (generation.table("account_sets"), generation.table("account_set_members"));
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
        let lasts = if at.is_some() { format!("AND {LASTS}") } else { String::from("AND :at IS NULL") };
        let sql = format!(
            "SELECT m.member_type, m.member, m.since, m.until, m.added_position, m.removed_position
             FROM {members} m WHERE m.set_no = (SELECT set_no FROM {sets} WHERE name = :name)
             AND (m.member_type, m.member, m.since) > (:after_type, :after_member, :after_since) {lasts}
             ORDER BY m.member_type, m.member, m.since LIMIT :enough"
        );
        let mut statement = self.db()?.prepare_cached(&sql)?;
        let at = at.map(Timestamp::as_micros);
        let parameters = rusqlite::named_params! {
            ":name": name.as_str(), ":after_type": after_type, ":after_member": after_member, ":after_since": after_since,
            ":at": at, ":enough": limit as i64 + 1,
        };
        let found: Vec<MembershipRow> = statement.query_map(parameters, read_member)?.collect::<rusqlite::Result<_>>()?;
        let cursor = |row: &MembershipRow| {
            let (member_type, member) = stored(&row.member);
            Cursor::new(MEMBERS, format_args!("{member_type}:{}:{member}", row.since.as_micros()))
        };
        let items = found.into_iter().map(|row| Item { cursor: cursor(&row), row });
        Ok(Page::cut(items.collect(), limit))
    }

    /// The accounts that are in a set at an instant, directly or through other sets, each once, by address.
    pub fn accounts_in_set(
        &self,
        name: &SetName,
        at: Timestamp,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Page<AccountRow>, ReadError> {
        let generation = self.generation(SETS)?;
        let (sets, members) = (generation.table("account_sets"), generation.table("account_set_members"));
        let limit = limit.clamp(1, MAX_PAGE);
        let after = after.map(|after| after.key(ACCOUNTS)).transpose()?.unwrap_or("");
        // UNION keeps each set once, so this ends whatever the journal says.
        let sql = format!(
            "WITH RECURSIVE inside (set_no) AS (
                SELECT set_no FROM {sets} WHERE name = :name
                UNION
                SELECT s.set_no FROM inside JOIN {members} m ON m.set_no = inside.set_no AND m.member_type = {SET} AND {LASTS}
                JOIN {sets} s ON s.name = m.member
             )
             SELECT DISTINCT m.member FROM inside JOIN {members} m ON m.set_no = inside.set_no
             WHERE m.member_type = {ACCOUNT} AND m.member > :after AND {LASTS} ORDER BY m.member LIMIT :enough"
        );
        let mut statement = self.db()?.prepare_cached(&sql)?;
        let parameters = rusqlite::named_params! {
            ":name": name.as_str(), ":at": at.as_micros(), ":after": after, ":enough": limit as i64 + 1,
        };
        let found = statement.query_map(parameters, |row| parsed::<AccountAddress>(row, 0))?;
        let addresses: Vec<AccountAddress> = found.collect::<rusqlite::Result<_>>()?;
        let mut items = Vec::with_capacity(addresses.len());
        for address in addresses {
            // The engine adds no account that was never opened, and both read models are as of one position.
            if let Some(row) = self.account(&address)? {
                items.push(Item { cursor: Cursor::new(ACCOUNTS, &row.address), row });
            }
        }
        Ok(Page::cut(items, limit))
    }
}
