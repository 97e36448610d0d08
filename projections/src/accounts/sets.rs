//! Account sets: who was in which of them from when until when, and sums over those who are in them.
//!
//! `account_sets`, by number in the order of creation; `account_set_members`, one row a membership, clustered by (set, type of
//! member, member, since); `account_set_sums`, for every set a row a currency and kind: how many accounts are in it, and their
//! totals. As of now, as balances are: whoever was added and not removed counts, whatever dates the memberships have. An
//! account that is in a set by several ways counts once.
//!
//! A change of members costs a look at every account that it brings or takes; a movement on an account costs an addition for
//! each set that it is in.

use cauri_domain::account_set::{AccountSetEvent, Member, SetName};
use cauri_domain::fold::Totals;
use cauri_domain::text::ShortText;
use cauri_event_schemas::Position;
use cauri_event_schemas::ledger::Recorded;
use hashbrown::{HashMap, HashSet};
use rusqlite::Connection;

use super::numbers::AccountNumbers;
use super::sums::{Sum, SumKey, Sums};
use crate::projector::{ModelError, Unprojectable};
use crate::stored::{parsed, unknown};
use crate::table::{Column, Index, Table, empty};

/// Type of a member as stored.
pub(crate) const ACCOUNT: i64 = 0;
/// Type of a member as stored.
pub(crate) const SET: i64 = 1;

pub(super) static ACCOUNT_SETS: Table = Table {
    name: "account_sets",
    columns: &[
        Column::integer("set_no"),
        Column::text("name"),
        Column::text("description").or_null(),
        Column::text("metadata").or_null(),
        Column::integer("created_at"),
        Column::integer("created_position"),
        Column::integer("version"),
    ],
    key: &["set_no"],
    indexes: &[Index { name: "account_sets_name", columns: &["name"], unique: true, only: None }],
};

pub(super) static MEMBERS: Table = Table {
    name: "account_set_members",
    columns: &[
        Column::integer("set_no"),
        Column::integer("member_type"),
        Column::text("member"),
        Column::integer("since"),
        Column::integer("until").or_null(),
        Column::integer("added_position"),
        Column::integer("removed_position").or_null(),
    ],
    key: &["set_no", "member_type", "member", "since"],
    indexes: &[Index { name: "account_set_members_member", columns: &["member_type", "member"], unique: false, only: None }],
};

pub(super) static SET_SUMS: Table = Table {
    name: "account_set_sums",
    columns: &[
        Column::integer("set_no"),
        Column::text("currency"),
        Column::text("kind"),
        Column::integer("accounts"),
        Column::text("debits_posted"),
        Column::text("credits_posted"),
        Column::text("debits_pending"),
        Column::text("credits_pending"),
    ],
    key: &["set_no", "currency", "kind"],
    indexes: &[],
};

/// The sets there are, who is in them now, and what waits to be written.
#[derive(Debug, Default)]
pub(super) struct Sets {
    numbers: HashMap<SetName, u32>,
    /// By number, from 1.
    sets: Vec<Set>,
    /// The sets that an account is in, not through others.
    of_account: HashMap<u32, Vec<u32>>,
    /// The sets that an account is in by any way, as found since memberships last changed.
    found: HashMap<u32, Vec<u32>>,
    waiting: Vec<Waiting>,
    touched: Vec<u32>,
}

#[derive(Debug, Default)]
struct Set {
    /// The sets that this one is in, not through others.
    parents: Vec<u32>,
    accounts: HashSet<u32>,
    sets: HashSet<u32>,
    sums: Sums,
    touched: bool,
}

/// An event that is not written yet.
#[derive(Debug)]
struct Waiting {
    set_no: u32,
    name: SetName,
    position: Position,
    version: u64,
    recorded_at: i64,
    event: AccountSetEvent,
}

/// A member by number.
#[derive(Clone, Copy, Debug)]
enum Numbered {
    Account(u32),
    Set(u32),
}

impl Sets {
    /// Adds what an event changes. `account` gives an account's totals, which the sums have so far.
    pub(super) fn change(
        &mut self,
        recorded: &Recorded,
        name: &SetName,
        event: &AccountSetEvent,
        accounts: &AccountNumbers,
        account: impl Fn(u32) -> (SumKey, Totals),
    ) -> Result<(), Unprojectable> {
        let contradiction = |what: &str| Unprojectable::new(recorded.position, format!("the account set {name} {what}"));
        let numbered = |member: &Member, sets: &HashMap<SetName, u32>| match member {
            Member::Account(address) => accounts.of(recorded.position, address).map(Numbered::Account),
            Member::Set(name) => {
                sets.get(name).copied().map(Numbered::Set).ok_or_else(|| contradiction("names a set that was never created"))
            }
        };
        let set_no = match (self.numbers.get(name).copied(), event) {
            (None, AccountSetEvent::Created(_)) => {
                let set_no = u32::try_from(self.sets.len() + 1).map_err(|_| contradiction("is one too many"))?;
                self.numbers.insert(name.clone(), set_no);
                self.sets.push(Set::default());
                set_no
            }
            (Some(set_no), AccountSetEvent::MemberAdded(added)) => {
                let member = numbered(&added.member, &self.numbers)?;
                self.recount(set_no, member, true, account);
                set_no
            }
            (Some(set_no), AccountSetEvent::MemberRemoved(removed)) => {
                let member = numbered(&removed.member, &self.numbers)?;
                self.recount(set_no, member, false, account);
                set_no
            }
            (Some(_), AccountSetEvent::Created(_)) => return Err(contradiction("was created before")),
            (None, _) => return Err(contradiction("was never created")),
        };
        self.waiting.push(Waiting {
            set_no,
            name: name.clone(),
            position: recorded.position,
            version: recorded.version.get(),
            recorded_at: recorded.recorded_at.as_micros(),
            event: event.clone(),
        });
        Ok(())
    }

    /// Adds a member to a set or removes it, and counts anew for every account that it brings or takes.
    fn recount(&mut self, set_no: u32, member: Numbered, is_added: bool, account: impl Fn(u32) -> (SumKey, Totals)) {
        let concerned = match member {
            Numbered::Account(account_no) => vec![account_no],
            Numbered::Set(inner) => self.accounts_in(inner),
        };
        let before: Vec<Vec<u32>> = concerned.iter().map(|account_no| self.sets_of(*account_no)).collect();
        self.link(set_no, member, is_added);
        for (account_no, before) in concerned.into_iter().zip(before) {
            let after = self.sets_of(account_no);
            let (key, totals) = account(account_no);
            for set_no in after.iter().filter(|set_no| !before.contains(set_no)) {
                self.sum(*set_no, key).add(&totals);
            }
            for set_no in before.iter().filter(|set_no| !after.contains(set_no)) {
                self.sum(*set_no, key).remove(&totals);
            }
        }
    }

    fn link(&mut self, set_no: u32, member: Numbered, is_added: bool) {
        self.found.clear();
        match member {
            Numbered::Account(account_no) => {
                let of = self.of_account.entry(account_no).or_default();
                let set = &mut self.sets[set_no as usize - 1];
                if is_added {
                    set.accounts.insert(account_no);
                    of.push(set_no);
                } else {
                    set.accounts.remove(&account_no);
                    of.retain(|of| *of != set_no);
                }
            }
            Numbered::Set(inner) => {
                let set = &mut self.sets[set_no as usize - 1];
                if is_added {
                    set.sets.insert(inner);
                    self.sets[inner as usize - 1].parents.push(set_no);
                } else {
                    set.sets.remove(&inner);
                    self.sets[inner as usize - 1].parents.retain(|parent| *parent != set_no);
                }
            }
        }
    }

    /// The accounts in a set by any way, each once.
    fn accounts_in(&self, set_no: u32) -> Vec<u32> {
        let (mut sets, mut accounts) = (vec![set_no], HashSet::new());
        let mut at = 0;
        while let Some(set_no) = sets.get(at) {
            let set = &self.sets[*set_no as usize - 1];
            accounts.extend(&set.accounts);
            let new: Vec<u32> = set.sets.iter().filter(|inner| !sets.contains(inner)).copied().collect();
            sets.extend(new);
            at += 1;
        }
        accounts.into_iter().collect()
    }

    /// The sets that an account is in by any way, each once.
    fn sets_of(&self, account_no: u32) -> Vec<u32> {
        let mut sets: Vec<u32> = self.of_account.get(&account_no).cloned().unwrap_or_default();
        let mut at = 0;
        while let Some(set_no) = sets.get(at) {
            let parents = &self.sets[*set_no as usize - 1].parents;
            let new: Vec<u32> = parents.iter().filter(|parent| !sets.contains(parent)).copied().collect();
            sets.extend(new);
            at += 1;
        }
        sets
    }

    fn sum(&mut self, set_no: u32, key: SumKey) -> &mut Sum {
        let set = &mut self.sets[set_no as usize - 1];
        if !set.touched {
            set.touched = true;
            self.touched.push(set_no);
        }
        set.sums.entry(key).or_default()
    }

    /// Adds what moved on an account to the sets that it is in.
    pub(super) fn add_totals(&mut self, account_no: u32, key: SumKey, moved: &Totals) {
        if !self.of_account.contains_key(&account_no) {
            return;
        }
        if !self.found.contains_key(&account_no) {
            let sets = self.sets_of(account_no);
            self.found.insert(account_no, sets);
        }
        let sets = self.found.remove(&account_no).unwrap_or_default();
        sets.iter().for_each(|set_no| self.sum(*set_no, key).totals.add(moved));
        self.found.insert(account_no, sets);
    }

    /// The sets as they stand at the checkpoint.
    pub(super) fn load(db: &Connection, numbers: &AccountNumbers, account: impl Fn(u32) -> (SumKey, Totals)) -> rusqlite::Result<Self> {
        let mut sets = Self::default();
        let mut statement = db.prepare("SELECT name FROM account_sets ORDER BY set_no")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            sets.sets.push(Set::default());
            sets.numbers.insert(parsed(row, 0)?, sets.sets.len() as u32);
        }
        let mut statement = db.prepare("SELECT set_no, member_type, member FROM account_set_members WHERE until IS NULL")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let member = match row.get(1)? {
                ACCOUNT => numbers.find(&parsed(row, 2)?).map(Numbered::Account),
                _ => sets.numbers.get(&parsed::<SetName>(row, 2)?).copied().map(Numbered::Set),
            };
            let member = member.ok_or_else(|| unknown(2, "a member that there is not"))?;
            sets.link(row.get(0)?, member, true);
        }
        let members: Vec<u32> = sets.of_account.keys().copied().collect();
        for account_no in members {
            let (key, totals) = account(account_no);
            for set_no in sets.sets_of(account_no) {
                sets.sum(set_no, key).add(&totals);
            }
        }
        sets.touched.clear();
        sets.sets.iter_mut().for_each(|set| set.touched = false);
        Ok(sets)
    }

    /// Writes what waits.
    pub(super) fn write(&mut self, db: &Connection) -> Result<(), ModelError> {
        for Waiting { set_no, name, position, version, recorded_at, event } in &self.waiting {
            let contradiction = |what: String| Unprojectable::new(*position, what);
            let position = position.get() as i64;
            match event {
                AccountSetEvent::Created(created) => {
                    let metadata = (!created.metadata.is_empty()).then(|| serde_json::to_string(&created.metadata)).transpose();
                    let metadata = metadata.map_err(|error| contradiction(error.to_string()))?;
                    db.prepare_cached("INSERT INTO account_sets VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0)")?.execute((
                        set_no,
                        name.as_str(),
                        created.description.as_ref().map(ShortText::as_str),
                        metadata,
                        recorded_at,
                        position,
                    ))?;
                }
                AccountSetEvent::MemberAdded(added) => {
                    let (member_type, member) = stored(&added.member);
                    let row = (set_no, member_type, member, added.effective_at.as_micros(), position);
                    db.prepare_cached("INSERT INTO account_set_members VALUES (?1, ?2, ?3, ?4, NULL, ?5, NULL)")?.execute(row)?;
                }
                AccountSetEvent::MemberRemoved(removed) => {
                    let (member_type, member) = stored(&removed.member);
                    let sql = "UPDATE account_set_members SET until = ?4, removed_position = ?5
                         WHERE set_no = ?1 AND member_type = ?2 AND member = ?3 AND until IS NULL";
                    let row = (set_no, member_type, member, removed.effective_at.as_micros(), position);
                    if db.prepare_cached(sql)?.execute(row)? != 1 {
                        return Err(contradiction(format!("{} was not in the account set {name}", removed.member)).into());
                    }
                }
            }
            db.prepare_cached("UPDATE account_sets SET version = ?2 WHERE set_no = ?1")?.execute((set_no, *version as i64))?;
        }
        empty(&mut self.waiting);
        self.touched.sort_unstable();
        let sets = &mut self.sets;
        let rows: Vec<(u32, SumKey, Sum)> =
            self.touched.iter().flat_map(|set_no| sets[*set_no as usize - 1].sums.iter().map(|(key, sum)| (*set_no, *key, *sum))).collect();
        SET_SUMS.replace(db, &rows, |(set_no, key, sum), bind| {
            bind.number(u64::from(*set_no))?;
            sum.bind(*key, bind)
        })?;
        self.touched.drain(..).for_each(|set_no| sets[set_no as usize - 1].touched = false);
        Ok(())
    }
}

/// A member's type and text.
pub(crate) fn stored(member: &Member) -> (i64, &str) {
    match member {
        Member::Account(address) => (ACCOUNT, address.as_str()),
        Member::Set(name) => (SET, name.as_str()),
    }
}
