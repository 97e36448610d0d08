//! `Balances`: every account's state and totals, and every open hold: what entries are decided against.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::hash::BuildHasher;

use foldhash::quality::FixedState;
use hashbrown::HashTable;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::chunks::Chunks;
use super::totals::Totals;
use super::undo::{Mark, UndoLog};
use crate::IllegalTransition;
use crate::account::{self, Account, AccountEvent, Side, Terms};
use crate::entry::{Entry, EntryEvent, Held, HoldExpired, HoldPostedTransfer, HoldVoided, Motion, Transfer};
use crate::event::EventSet;
use crate::ids::{AccountAddress, EntryId};
use crate::journal::Rules;
use crate::money::{Currency, Money};
use crate::text::ShortText;
use crate::time::Timestamp;

/// An account's number in the order of opening: what totals are found by once an address was looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AccountNo(u32);

impl AccountNo {
    /// As an index, from 0.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// One account as the fold knows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccountRow {
    /// Where it stands.
    pub address: AccountAddress,
    /// Open, frozen or closed, with its terms; `Unopened` only where an opening was rolled back.
    pub account: Account,
    /// What it moved and what is held.
    pub totals: Totals,
    /// How many events its stream has.
    pub version: u32,
}

/// An open hold in terms of account numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct OpenHold {
    effective_at: i64,
    expires_at: Option<i64>,
    /// How many events the entry's stream has.
    version: u32,
    transfers: Box<[HeldTransfer]>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct HeldTransfer {
    debit: AccountNo,
    credit: AccountNo,
    minor: i64,
    reason: Option<ShortText>,
}

/// What one change replaced.
#[derive(Debug)]
enum PreImage {
    Opened(AccountNo),
    State(AccountNo, Account),
    Totals(AccountNo, Totals),
    HoldMade(EntryId),
    HoldVersion(EntryId, u32),
    HoldResolved(EntryId, Box<OpenHold>),
}

/// Fixed, because a fold has no randomness: addresses are of the operator's making, and a look-up is of one account.
fn hash_of(address: &AccountAddress) -> u64 {
    FixedState::default().hash_one(address)
}

/// Every account's state and totals and every open hold, at one position of the journal.
///
/// Invariants, checked whenever an event is folded: no account beyond its limits; pending totals are the
/// sums of the open holds; Σ debits = Σ credits per currency (by construction: a transfer adds to both).
#[derive(Debug, Default)]
pub struct Balances {
    rules: Rules,
    rows: Chunks<AccountRow>,
    numbers: Numbers,
    holds: Holds,
    /// Accounts that the event in hand touched; kept so that folding an event allocates nothing.
    touched: Vec<AccountNo>,
    expiries: BTreeSet<(i64, EntryId)>,
    undo: UndoLog<PreImage>,
}

/// The balances at one position, for a snapshot.
#[derive(Clone, Serialize, Deserialize)]
pub struct FrozenBalances {
    rows: Chunks<AccountRow>,
    #[serde(serialize_with = "by_id", deserialize_with = "holds_by_id")]
    holds: Chunks<Option<(EntryId, OpenHold)>>,
}

impl fmt::Debug for FrozenBalances {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let holds: BTreeMap<&EntryId, &OpenHold> = self.holds.iter().flatten().map(|(id, hold)| (id, hold)).collect();
        f.debug_struct("FrozenBalances").field("rows", &self.rows).field("holds", &holds).finish()
    }
}

/// By id, whichever places they had: equal states have equal snapshots.
fn by_id<S: Serializer>(holds: &Chunks<Option<(EntryId, OpenHold)>>, serializer: S) -> Result<S::Ok, S::Error> {
    let holds: BTreeMap<&EntryId, &OpenHold> = holds.iter().flatten().map(|(id, hold)| (id, hold)).collect();
    holds.serialize(serializer)
}

fn holds_by_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Chunks<Option<(EntryId, OpenHold)>>, D::Error> {
    Ok(BTreeMap::<EntryId, OpenHold>::deserialize(deserializer)?.into_iter().map(Some).collect())
}

/// Account numbers by the hash of the address, which stands in the row: a second copy here would be a fifth of an account's
/// memory.
///
/// One table of ten million numbers would take seconds to grow. So many accounts stand in many tables, each of which takes
/// milliseconds; few stand in one, which keeps close together what is looked up.
#[derive(Debug)]
struct Numbers(Vec<HashTable<AccountNo>>);

/// From so many accounts on there are many tables.
const MANY: usize = 1 << 16;

/// How many tables many accounts have; a power of two.
const TABLES: usize = 1_024;

impl Default for Numbers {
    fn default() -> Self {
        Self(vec![HashTable::new()])
    }
}

impl Numbers {
    /// Which table a hash is of, by bits that the table itself does not use.
    fn table_of(&self, hash: u64) -> usize {
        (hash >> 40) as usize % self.0.len()
    }

    fn find(&self, address: &AccountAddress, rows: &Chunks<AccountRow>) -> Option<AccountNo> {
        let hash = hash_of(address);
        self.0[self.table_of(hash)].find(hash, |number| rows[number.index()].address == *address).copied()
    }

    /// Adds the number of the account in the last row.
    fn insert(&mut self, number: AccountNo, rows: &Chunks<AccountRow>) {
        if self.0.len() == 1 && number.index() >= MANY {
            let few = std::mem::replace(&mut self.0, (0..TABLES).map(|_| HashTable::new()).collect());
            few.iter().flatten().for_each(|number| self.add(*number, rows));
        }
        self.add(number, rows);
    }

    fn add(&mut self, number: AccountNo, rows: &Chunks<AccountRow>) {
        let hash_of_row = |number: &AccountNo| hash_of(&rows[number.index()].address);
        let hash = hash_of_row(&number);
        let table = self.table_of(hash);
        self.0[table].insert_unique(hash, number, hash_of_row);
    }

    fn remove(&mut self, number: AccountNo, address: &AccountAddress) {
        let hash = hash_of(address);
        let table = self.table_of(hash);
        if let Ok(found) = self.0[table].find_entry(hash, |found| *found == number) {
            found.remove();
        }
    }
}

/// The open holds.
#[derive(Debug, Default)]
struct Holds {
    /// Where each stands. By order, not by hash: callers choose the ids, and a fold has no secret that keeps them from
    /// choosing those that collide.
    places: BTreeMap<EntryId, u32>,
    /// The holds with their ids; places of those that ended are free.
    holds: Chunks<Option<(EntryId, OpenHold)>>,
    free: Vec<u32>,
}

impl Holds {
    /// Those of a snapshot.
    fn of(holds: Chunks<Option<(EntryId, OpenHold)>>) -> Self {
        let (mut places, mut free) = (BTreeMap::new(), Vec::new());
        for (hold, place) in holds.iter().zip(0..) {
            match hold {
                Some((id, _)) => drop(places.insert(*id, place)),
                None => free.push(place),
            }
        }
        Self { places, holds, free }
    }

    fn len(&self) -> usize {
        self.places.len()
    }

    fn contains(&self, id: &EntryId) -> bool {
        self.places.contains_key(id)
    }

    fn get(&self, id: &EntryId) -> Option<&OpenHold> {
        self.holds[*self.places.get(id)? as usize].as_ref().map(|(_, hold)| hold)
    }

    fn get_mut(&mut self, id: &EntryId) -> Option<&mut OpenHold> {
        self.holds.change(*self.places.get(id)? as usize).as_mut().map(|(_, hold)| hold)
    }

    fn iter(&self) -> impl Iterator<Item = (&EntryId, &OpenHold)> {
        self.places.iter().filter_map(|(id, place)| Some((id, &self.holds[*place as usize].as_ref()?.1)))
    }

    /// Adds a hold; `false` if there is no place left for it.
    fn insert(&mut self, id: EntryId, hold: OpenHold) -> bool {
        let place = match self.free.pop() {
            Some(place) => {
                *self.holds.change(place as usize) = Some((id, hold));
                place
            }
            None => {
                let Ok(place) = u32::try_from(self.holds.len()) else { return false };
                self.holds.push(Some((id, hold)));
                place
            }
        };
        self.places.insert(id, place);
        true
    }

    fn remove(&mut self, id: &EntryId) -> Option<OpenHold> {
        let place = self.places.remove(id)?;
        self.free.push(place);
        self.holds.change(place as usize).take().map(|(_, hold)| hold)
    }
}

impl Balances {
    /// An empty ledger under these rules.
    pub fn new(rules: Rules) -> Self {
        Self { rules, ..Self::default() }
    }

    /// A copy for a snapshot. It shares what it holds until that changes, so it is made in no time.
    pub fn freeze(&self) -> FrozenBalances {
        FrozenBalances { rows: self.rows.clone(), holds: self.holds.holds.clone() }
    }

    /// The balances that were copied, with the look-ups that follow from the rows.
    pub fn thaw(frozen: FrozenBalances, rules: Rules) -> Self {
        let mut balances = Self { rows: frozen.rows, holds: Holds::of(frozen.holds), ..Self::new(rules) };
        for (_, number) in balances.rows.iter().zip(0..) {
            balances.numbers.insert(AccountNo(number), &balances.rows);
        }
        balances.expiries = balances.holds.iter().filter_map(|(id, hold)| Some((hold.expires_at?, *id))).collect();
        balances
    }

    /// The parameters of the rules are these from now on.
    pub fn set_rules(&mut self, rules: Rules) {
        self.rules = rules;
    }

    /// The parameters of the rules.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The account at an address; `Unopened` where there is none.
    pub fn account(&self, address: &AccountAddress) -> Account {
        self.number(address).map_or(Account::Unopened, |number| *self.state(number))
    }

    /// The number of an opened account.
    pub fn number(&self, address: &AccountAddress) -> Option<AccountNo> {
        self.numbers.find(address, &self.rows)
    }

    /// The account's state.
    pub fn state(&self, number: AccountNo) -> &Account {
        &self.rows[number.index()].account
    }

    /// Kind, currency and limits.
    pub fn terms(&self, number: AccountNo) -> &Terms {
        self.state(number).terms().expect("a numbered account was opened")
    }

    /// Where the account stands.
    pub fn address(&self, number: AccountNo) -> &AccountAddress {
        &self.rows[number.index()].address
    }

    /// The account's totals.
    pub fn totals_of(&self, number: AccountNo) -> &Totals {
        &self.rows[number.index()].totals
    }

    /// How many events the account's stream has; 0 where it was never opened.
    pub fn version(&self, address: &AccountAddress) -> u64 {
        self.number(address).map_or(0, |number| self.rows[number.index()].version.into())
    }

    /// Says at which version of its stream an account is, where folding counted otherwise: a stored event that an
    /// upcast made into several is still one of its stream.
    pub fn note_version(&mut self, address: &AccountAddress, version: u64) {
        if let (Some(number), Ok(version)) = (self.number(address), u32::try_from(version)) {
            self.rows.change(number.index()).version = version;
        }
    }

    /// The totals of the account at an address.
    pub fn totals(&self, address: &AccountAddress) -> Option<Totals> {
        self.number(address).map(|number| *self.totals_of(number))
    }

    /// Every account in the order of opening.
    pub fn accounts(&self) -> &Chunks<AccountRow> {
        &self.rows
    }

    /// How many holds are open.
    pub fn open_holds(&self) -> usize {
        self.holds.len()
    }

    /// Every open hold, by entry id.
    pub fn holds(&self) -> impl Iterator<Item = (EntryId, Held)> + '_ {
        self.holds.iter().map(|(id, hold)| (*id, self.held(hold)))
    }

    /// The entry that holds under this id, if its hold is open.
    pub fn hold(&self, id: &EntryId) -> Option<Entry> {
        self.holds.get(id).map(|hold| Entry::Held(self.held(hold)))
    }

    /// How many events the stream of an open hold has.
    pub fn hold_version(&self, id: &EntryId) -> Option<u64> {
        self.holds.get(id).map(|hold| hold.version.into())
    }

    /// Says at which version of its stream an open hold is, after an event that only notes something of it.
    pub fn note_hold_version(&mut self, id: &EntryId, version: u64) {
        if let (Some(hold), Ok(version)) = (self.holds.get_mut(id), u32::try_from(version)) {
            let before = std::mem::replace(&mut hold.version, version);
            self.undo.push(PreImage::HoldVersion(*id, before));
        }
    }

    /// When open holds expire, the earliest first.
    pub fn expiries(&self) -> impl Iterator<Item = (Timestamp, EntryId)> {
        // They were timestamps before they were numbers.
        self.expiries.iter().filter_map(|(at, id)| Some((Timestamp::from_micros(*at)?, *id)))
    }

    /// What an account holds beyond what open holds claim, and on which side; `None` if nothing.
    pub fn left_over(&self, address: &AccountAddress) -> Option<(Side, Money)> {
        let number = self.number(address)?;
        let (terms, totals) = (self.terms(number), self.totals_of(number));
        let (normal, other) = match terms.kind.normal_side() {
            Side::Debit => (Side::Debit, Side::Credit),
            Side::Credit => (Side::Credit, Side::Debit),
        };
        let (side, left) =
            if totals.balance(terms.kind) >= 0 { (normal, totals.available(terms.kind)) } else { (other, -totals.expected(terms.kind)) };
        let minor = i64::try_from(left).ok().filter(|minor| *minor > 0)?;
        Some((side, Money::from_minor(minor, terms.currency)))
    }

    /// Σ posted debits and Σ posted credits per currency, in minor units: equal at every position.
    pub fn sums(&self) -> Vec<(Currency, i128, i128)> {
        let mut sums: Vec<(Currency, i128, i128)> = Vec::new();
        for row in self.rows.iter() {
            let Some(terms) = row.account.terms() else { continue };
            let at = sums.iter().position(|(currency, ..)| *currency == terms.currency).unwrap_or_else(|| {
                sums.push((terms.currency, 0, 0));
                sums.len() - 1
            });
            sums[at].1 += i128::from(row.totals.debits_posted);
            sums[at].2 += i128::from(row.totals.credits_posted);
        }
        sums.sort_by_key(|(currency, ..)| *currency);
        sums
    }

    /// Folds an event of an account.
    pub fn apply_account(&mut self, address: &AccountAddress, event: &AccountEvent) -> Result<(), IllegalTransition> {
        let next = account::evolve(self.account(address), event)?;
        match self.number(address) {
            Some(number) => {
                let row = self.rows.change(number.index());
                self.undo.push(PreImage::State(number, row.account));
                row.account = next;
                row.version += 1;
                self.check_within(number, event.name())
            }
            None => {
                let number = u32::try_from(self.rows.len())
                    .map(AccountNo)
                    .map_err(|_| IllegalTransition::new("the ledger", "full: it counts 4 billion accounts", event.name()))?;
                self.rows.push(AccountRow { address: address.clone(), account: next, totals: Totals::default(), version: 1 });
                self.numbers.insert(number, &self.rows);
                self.undo.push(PreImage::Opened(number));
                self.check_within(number, event.name())
            }
        }
    }

    /// Folds an event of an entry.
    pub fn apply_entry(&mut self, id: &EntryId, event: &EntryEvent) -> Result<(), IllegalTransition> {
        let name = event.name();
        let Some(motion) = event.motion() else { return Ok(()) };
        self.touched.clear();
        match motion {
            Motion::Posted(posted) => {
                for transfer in posted.transfers.iter() {
                    let (debit, credit, minor) = self.movement(transfer, name)?;
                    self.add(debit, name, |totals| &mut totals.debits_posted, minor)?;
                    self.add(credit, name, |totals| &mut totals.credits_posted, minor)?;
                }
                self.check_touched(name)
            }
            Motion::Held(held) => {
                let mut transfers = Vec::with_capacity(held.transfers.len());
                for transfer in held.transfers.iter() {
                    let (debit, credit, minor) = self.movement(transfer, name)?;
                    self.add(debit, name, |totals| &mut totals.debits_pending, minor)?;
                    self.add(credit, name, |totals| &mut totals.credits_pending, minor)?;
                    transfers.push(HeldTransfer { debit, credit, minor, reason: transfer.reason.clone() });
                }
                let hold = OpenHold {
                    effective_at: held.effective_at.as_micros(),
                    expires_at: held.expires_at.map(Timestamp::as_micros),
                    version: 1,
                    transfers: transfers.into(),
                };
                if self.holds.contains(id) {
                    return Err(IllegalTransition::new(format!("entry {id}"), "held", name));
                }
                let expires_at = hold.expires_at;
                if !self.holds.insert(*id, hold) {
                    return Err(IllegalTransition::new("the ledger", "full: it counts 4 billion open holds", name));
                }
                self.undo.push(PreImage::HoldMade(*id));
                if let Some(at) = expires_at {
                    self.expiries.insert((at, *id));
                }
                self.check_touched(name)
            }
            Motion::HoldPosted(posted) => {
                let said = posted.transfers.iter().map(|moved| (&moved.debit, &moved.credit, &moved.held));
                let hold = self.take_hold(id, said, name)?;
                let at_most = |(held, moved): (&HeldTransfer, &HoldPostedTransfer)| (0..=held.minor).contains(&moved.amount.minor());
                if !hold.transfers.iter().zip(posted.transfers.iter()).all(at_most) {
                    return Err(IllegalTransition::new(format!("entry {id}"), "held with other amounts", name));
                }
                for (held, moved) in hold.transfers.iter().zip(posted.transfers.iter()) {
                    self.release(held, name)?;
                    self.add(held.debit, name, |totals| &mut totals.debits_posted, moved.amount.minor())?;
                    self.add(held.credit, name, |totals| &mut totals.credits_posted, moved.amount.minor())?;
                }
                self.check_touched(name)
            }
            Motion::HoldVoided(HoldVoided { transfers, .. }) | Motion::HoldExpired(HoldExpired { transfers, .. }) => {
                let said = transfers.iter().map(|transfer| (&transfer.debit, &transfer.credit, &transfer.amount));
                let hold = self.take_hold(id, said, name)?;
                hold.transfers.iter().try_for_each(|held| self.release(held, name))
            }
        }
    }

    /// This moment, to come back to.
    pub fn mark(&self) -> Mark {
        self.undo.mark()
    }

    /// Everything up to `mark` is durable: it can no longer be taken back.
    pub fn forget(&mut self, mark: Mark) {
        self.undo.forget(mark);
    }

    /// Takes back every change since `mark`, newest first.
    pub fn roll_back(&mut self, mark: Mark) {
        while let Some(pre_image) = self.undo.pop_after(mark) {
            match pre_image {
                PreImage::Opened(number) => {
                    let row = self.rows.pop().expect("what was opened stands last");
                    assert_eq!(number.index(), self.rows.len(), "openings are taken back newest first");
                    self.numbers.remove(number, &row.address);
                }
                PreImage::State(number, account) => {
                    let row = self.rows.change(number.index());
                    row.account = account;
                    row.version -= 1;
                }
                PreImage::Totals(number, totals) => self.rows.change(number.index()).totals = totals,
                PreImage::HoldMade(id) => {
                    if let Some(at) = self.holds.remove(&id).and_then(|hold| hold.expires_at) {
                        self.expiries.remove(&(at, id));
                    }
                }
                PreImage::HoldVersion(id, version) => {
                    if let Some(hold) = self.holds.get_mut(&id) {
                        hold.version = version;
                    }
                }
                PreImage::HoldResolved(id, hold) => {
                    if let Some(at) = hold.expires_at {
                        self.expiries.insert((at, id));
                    }
                    self.holds.insert(id, *hold);
                }
            }
        }
    }

    fn held(&self, hold: &OpenHold) -> Held {
        let transfers = hold.transfers.iter().map(|held| Transfer {
            amount: Money::from_minor(held.minor, self.terms(held.debit).currency),
            credit: self.address(held.credit).clone(),
            debit: self.address(held.debit).clone(),
            reason: held.reason.clone(),
        });
        Held {
            effective_at: Timestamp::from_micros(hold.effective_at).unwrap_or(Timestamp::MIN),
            expires_at: hold.expires_at.and_then(Timestamp::from_micros),
            transfers: transfers.collect(),
        }
    }

    /// The hold that the event resolves, if it is what the event says that it was.
    fn take_hold<'a>(
        &mut self,
        id: &EntryId,
        said: impl ExactSizeIterator<Item = (&'a AccountAddress, &'a AccountAddress, &'a Money)>,
        event: &'static str,
    ) -> Result<OpenHold, IllegalTransition> {
        let illegal = |state: &str| IllegalTransition::new(format!("entry {id}"), state, event);
        let same = |(held, (debit, credit, money)): (&HeldTransfer, (&AccountAddress, &AccountAddress, &Money))| {
            self.address(held.debit) == debit
                && self.address(held.credit) == credit
                && self.terms(held.debit).currency == money.currency()
                && held.minor == money.minor()
        };
        // Looked at before it is taken: what fails must leave nothing that the undo log does not know.
        let is_the_one = |hold: &OpenHold| hold.transfers.len() == said.len() && hold.transfers.iter().zip(said).all(same);
        if !is_the_one(self.holds.get(id).ok_or_else(|| illegal("not an open hold"))?) {
            return Err(illegal("held with other transfers"));
        }
        let hold = self.holds.remove(id).ok_or_else(|| illegal("not an open hold"))?;
        if let Some(at) = hold.expires_at {
            self.expiries.remove(&(at, *id));
        }
        self.undo.push(PreImage::HoldResolved(*id, Box::new(hold.clone())));
        Ok(hold)
    }

    fn release(&mut self, held: &HeldTransfer, event: &'static str) -> Result<(), IllegalTransition> {
        self.add(held.debit, event, |totals| &mut totals.debits_pending, -held.minor)?;
        self.add(held.credit, event, |totals| &mut totals.credits_pending, -held.minor)
    }

    /// Account numbers and minor units of a transfer, if both accounts are open and in its currency.
    fn movement(&self, transfer: &Transfer, event: &'static str) -> Result<(AccountNo, AccountNo, i64), IllegalTransition> {
        let side = |address: &AccountAddress| {
            let illegal = |state: &str| IllegalTransition::new(format!("account {address}"), state, event);
            let number = self.number(address).ok_or_else(|| illegal("unopened"))?;
            match self.state(number) {
                Account::Open(terms) if terms.currency == transfer.amount.currency() => Ok(number),
                Account::Open(terms) => Err(illegal(&format!("in {}", terms.currency))),
                state => Err(illegal(state.status())),
            }
        };
        if transfer.debit == transfer.credit || transfer.amount.minor() < 0 {
            return Err(IllegalTransition::new(format!("transfer {} to {}", transfer.debit, transfer.credit), "not a movement", event));
        }
        Ok((side(&transfer.debit)?, side(&transfer.credit)?, transfer.amount.minor()))
    }

    fn add(
        &mut self,
        number: AccountNo,
        event: &'static str,
        total: fn(&mut Totals) -> &mut i64,
        minor: i64,
    ) -> Result<(), IllegalTransition> {
        let row = self.rows.change(number.index());
        self.undo.push(PreImage::Totals(number, row.totals));
        self.touched.push(number);
        let total = total(&mut row.totals);
        *total = total
            .checked_add(minor)
            .filter(|sum| (0..=Totals::MAX).contains(sum))
            .ok_or_else(|| IllegalTransition::new(format!("account {}", row.address), "at the end of what it can count", event))?;
        Ok(())
    }

    fn check_touched(&self, event: &'static str) -> Result<(), IllegalTransition> {
        self.touched.iter().try_for_each(|number| self.check_within(*number, event))
    }

    fn check_within(&self, number: AccountNo, event: &'static str) -> Result<(), IllegalTransition> {
        if self.totals_of(number).within(self.terms(number)) {
            return Ok(());
        }
        Err(IllegalTransition::new(format!("account {}", self.address(number)), "beyond its limits after", event))
    }
}
