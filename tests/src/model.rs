//! A ledger as naive as can be: maps, no speed, no cleverness, written from the rules and not from the engine.
//!
//! It shares with the engine the words (refusal codes, kinds of account) and nothing else: every rule that says no is
//! collected, and the first by precedence is the answer.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use cauri_domain::RefusalCode;
use cauri_domain::account::{AccountKind, Side};

use crate::ask::{Amount, Ask, Asked, Coin, Hold, Move};

/// No transfer may move more, in minor units.
const MOST: i128 = 1_000_000_000_000_000_000;

/// No account counts more on a side in its whole life, holds included, in minor units.
const MOST_EVER: i64 = (1 << 61) - 1;

/// An account's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Status {
    Open,
    Frozen,
    Closed,
}

/// An account.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Account {
    pub coin: Coin,
    pub kind: AccountKind,
    pub floor: Option<i64>,
    pub ceiling: Option<i64>,
    pub status: Status,
    pub debits_posted: i64,
    pub credits_posted: i64,
    pub debits_pending: i64,
    pub credits_pending: i64,
    pub version: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Posted,
    Held,
    HoldPosted,
    HoldVoided,
    HoldExpired,
    Reversed,
    HoldReversed,
}

#[derive(Clone, Debug)]
struct Entry {
    state: State,
    effective_at: i64,
    expires_at: Option<i64>,
    /// (debit, credit, minor units): what is held, or what moved.
    moved: Vec<(String, String, i64)>,
    version: u64,
}

/// An account set, with when each of its members was in it. Names of sets begin with `set.`, those of accounts do not.
#[derive(Clone, Debug)]
struct Set {
    version: u64,
    members: BTreeMap<String, Vec<(i64, Option<i64>)>>,
}

/// What an accepted command did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// How many events it wrote.
    pub events: u64,
    /// The version of its target afterwards.
    pub version: u64,
    /// The entry that it posted or held.
    pub entry: Option<u128>,
}

/// What a command is answered, if it is decided at all.
pub type Verdict = Result<Done, RefusalCode>;

/// The whole ledger.
#[derive(Clone, Debug, Default)]
pub struct Model {
    /// Every account that was ever opened.
    pub accounts: BTreeMap<String, Account>,
    // Shared, because the whole model is copied wherever something may have to be taken back.
    entries: HashMap<u128, Arc<Entry>>,
    held: BTreeSet<u128>,
    sets: BTreeMap<String, Set>,
    closed: bool,
    max_future_micros: i64,
}

impl Model {
    /// An empty ledger.
    pub fn new(max_future_secs: i64) -> Self {
        Self { max_future_micros: max_future_secs * 1_000_000, ..Self::default() }
    }

    /// Whether the journal was closed.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// The holds that must have expired at `now`, first things first.
    pub fn due(&self, now: i64) -> Vec<u128> {
        let open = self.held.iter().map(|id| (*id, &self.entries[id]));
        let mut due: Vec<(i64, u128)> =
            open.filter_map(|(id, entry)| Some((entry.expires_at?, id))).filter(|(expires_at, _)| *expires_at <= now).collect();
        due.sort_unstable();
        due.into_iter().map(|(_, id)| id).collect()
    }

    /// Entries whose hold is open.
    pub fn open_holds(&self) -> Vec<u128> {
        self.held.iter().copied().collect()
    }

    /// The time of a hold has passed; the answer is whether it was open, and due.
    pub fn expire(&mut self, id: u128, now: i64) -> bool {
        let Some(entry) = self.entries.get(&id) else { return false };
        if entry.state != State::Held || entry.expires_at.is_none_or(|expires_at| expires_at > now) || self.closed {
            return false;
        }
        self.release(id, State::HoldExpired);
        true
    }

    /// The version of a command's target.
    pub fn version_of(&self, ask: &Ask) -> u64 {
        match ask {
            Ask::Open { address, .. }
            | Ask::Freeze { address }
            | Ask::Unfreeze { address }
            | Ask::Close { address, .. }
            | Ask::Reopen { address }
            | Ask::Limits { address, .. } => self.accounts.get(address).map_or(0, |account| account.version),
            Ask::Post { entry: None, .. } => 0,
            Ask::Post { entry: Some(entry), .. }
            | Ask::PostHold { entry, .. }
            | Ask::VoidHold { entry }
            | Ask::Reverse { entry, .. }
            | Ask::Annotate { entry } => self.entries.get(entry).map_or(0, |entry| entry.version),
            Ask::CreateSet { set } | Ask::ChangeSet { set, .. } => self.sets.get(set).map_or(0, |set| set.version),
            Ask::CloseJournal => u64::from(self.closed),
        }
    }

    /// Decides a command, and does it if nothing speaks against it.
    pub fn decide(&mut self, asked: &Asked, now: i64) -> Verdict {
        if self.closed {
            return Err(RefusalCode::JournalClosed);
        }
        let derived = asked.derived_entry();
        match &asked.ask {
            Ask::Open { address, kind, coin, floor, ceiling } => {
                if self.accounts.contains_key(address) {
                    return Err(RefusalCode::AccountExists);
                }
                let (floor, ceiling) = checked_limits(*floor, *ceiling, *coin)?;
                let (coin, kind) = (*coin, *kind);
                let (debits_posted, credits_posted, debits_pending, credits_pending) = (0, 0, 0, 0);
                let status = Status::Open;
                let account = Account {
                    coin,
                    kind,
                    floor,
                    ceiling,
                    status,
                    debits_posted,
                    credits_posted,
                    debits_pending,
                    credits_pending,
                    version: 1,
                };
                self.accounts.insert(address.clone(), account);
                Ok(Done { events: 1, version: 1, entry: None })
            }
            Ask::Freeze { address } => {
                self.must_be_open(address)?;
                Ok(self.changed(address, |account| account.status = Status::Frozen))
            }
            Ask::Unfreeze { address } => match self.accounts.get(address).map(|account| account.status) {
                None => Err(RefusalCode::AccountNotFound),
                Some(Status::Closed) => Err(RefusalCode::AccountClosed),
                Some(Status::Open) => Err(RefusalCode::AccountNotFrozen),
                Some(Status::Frozen) => Ok(self.changed(address, |account| account.status = Status::Open)),
            },
            Ask::Reopen { address } => match self.accounts.get(address).map(|account| account.status) {
                None => Err(RefusalCode::AccountNotFound),
                Some(Status::Open | Status::Frozen) => Err(RefusalCode::AccountNotClosed),
                Some(Status::Closed) => Ok(self.changed(address, |account| account.status = Status::Open)),
            },
            Ask::Limits { address, floor, ceiling } => {
                let account = self.accounts.get(address).ok_or(RefusalCode::AccountNotFound)?;
                if account.status == Status::Closed {
                    return Err(RefusalCode::AccountClosed);
                }
                let (floor, ceiling) = checked_limits(*floor, *ceiling, account.coin)?;
                let with = Account { floor, ceiling, ..account.clone() };
                with.within_limits()?;
                Ok(self.changed(address, |account| (account.floor, account.ceiling) = (floor, ceiling)))
            }
            Ask::Close { address, sweep_to } => self.close(address, sweep_to.as_deref(), derived, now),
            Ask::Post { entry, moves, hold, effective_at } => {
                let id = entry.unwrap_or(derived);
                self.post(id, moves, *hold, *effective_at, now)?;
                Ok(Done { events: 1, version: 1, entry: Some(id) })
            }
            Ask::PostHold { entry, amounts, effective_at } => self.post_hold(*entry, amounts.as_deref(), *effective_at, now),
            Ask::VoidHold { entry } => {
                self.must_be_held(*entry)?;
                let version = self.release(*entry, State::HoldVoided);
                Ok(Done { events: 1, version, entry: None })
            }
            Ask::Reverse { entry, by, at_original_date } => self.reverse(*entry, by.unwrap_or(derived), *at_original_date, now),
            Ask::Annotate { entry } => {
                let entry = self.entries.get_mut(entry).ok_or(RefusalCode::EntryNotFound)?;
                let entry = Arc::make_mut(entry);
                entry.version += 1;
                Ok(Done { events: 1, version: entry.version, entry: None })
            }
            Ask::CreateSet { set } => {
                if self.sets.contains_key(set) {
                    return Err(RefusalCode::AccountSetExists);
                }
                self.sets.insert(set.clone(), Set { version: 1, members: BTreeMap::new() });
                Ok(Done { events: 1, version: 1, entry: None })
            }
            Ask::ChangeSet { set, add, member, effective_at } => self.change_set(set, *add, member, effective_at.unwrap_or(now), now),
            Ask::CloseJournal => {
                self.closed = true;
                Ok(Done { events: 1, version: 1, entry: None })
            }
        }
    }

    fn change_set(&mut self, set: &str, add: bool, member: &str, effective_at: i64, now: i64) -> Verdict {
        let is_set = member.starts_with("set.");
        if !self.sets.contains_key(set) || (is_set && !self.sets.contains_key(member)) {
            return Err(RefusalCode::AccountSetNotFound);
        }
        if !is_set && !self.accounts.contains_key(member) {
            return Err(RefusalCode::AccountNotFound);
        }
        if effective_at > now + self.max_future_micros {
            return Err(RefusalCode::EffectiveInFutureTooFar);
        }
        let last = self.sets[set].members.get(member).and_then(|lasts| lasts.last().copied());
        match (add, last) {
            (true, Some((_, None))) => return Err(RefusalCode::AlreadyAMember),
            (true, Some((_, Some(until)))) if effective_at < until => return Err(RefusalCode::MembershipOutOfOrder),
            (true, _) => {
                let mut with = self.sets.clone();
                if let Some(of) = with.get_mut(set) {
                    of.members.entry(member.to_owned()).or_default().push((effective_at, None));
                    of.version += 1;
                }
                let instants = with.values().flat_map(|set| set.members.values().flatten().map(|(since, _)| *since));
                if instants.into_iter().any(|at| reaches(&with, set, at)) {
                    return Err(RefusalCode::MembershipCycle);
                }
                self.sets = with;
            }
            (false, Some((since, None))) if effective_at <= since => return Err(RefusalCode::MembershipOutOfOrder),
            (false, Some((since, None))) => {
                if let Some(of) = self.sets.get_mut(set) {
                    *of.members.get_mut(member).and_then(|lasts| lasts.last_mut()).expect("the last") = (since, Some(effective_at));
                    of.version += 1;
                }
            }
            (false, _) => return Err(RefusalCode::NotAMember),
        }
        Ok(Done { events: 1, version: self.sets[set].version, entry: None })
    }

    fn close(&mut self, address: &str, sweep_to: Option<&str>, sweep: u128, now: i64) -> Verdict {
        let Some(account) = self.accounts.get(address) else { return Err(RefusalCode::AccountNotFound) };
        let normal_is_debit = account.kind.normal_side() == Side::Debit;
        let balance = account.balance();
        // What is left on the side where it is, beyond what open holds claim.
        let (left, on_debit_side) =
            if balance >= 0 { (account.available(), normal_is_debit) } else { (-account.expected(), !normal_is_debit) };
        let (mut events, mut entry) = (1, None);
        if left <= 0 || sweep_to.is_none() {
            self.must_be_open(address)?;
        }
        if left > 0 {
            let target = sweep_to.ok_or(RefusalCode::AccountNotEmpty)?.to_owned();
            let (debit, credit) = if on_debit_side { (target, address.to_owned()) } else { (address.to_owned(), target) };
            let amount = Amount::minor(left as i64, account.coin);
            self.post(sweep, &[Move { debit, credit, amount, up_to: false }], None, None, now)?;
            (events, entry) = (2, Some(sweep));
        }
        let closed = self.changed(address, |account| account.status = Status::Closed);
        Ok(Done { events, entry, ..closed })
    }

    /// Writes an entry, unless a rule says no.
    fn post(&mut self, id: u128, moves: &[Move], hold: Option<Hold>, effective_at: Option<i64>, now: i64) -> Result<(), RefusalCode> {
        let mut no = Vec::new();
        if self.entries.contains_key(&id) {
            no.push(RefusalCode::EntryExists);
        }
        for transfer in moves {
            for address in [&transfer.debit, &transfer.credit] {
                no.extend(self.must_be_open(address).err());
                if self.accounts.get(address).is_some_and(|account| account.coin != transfer.amount.coin) {
                    no.push(RefusalCode::CurrencyMismatch);
                }
            }
            if transfer.debit == transfer.credit {
                no.push(RefusalCode::SameAccount);
            }
            if transfer.amount.units <= 0 {
                no.push(RefusalCode::AmountNotPositive);
            }
            no.extend(minor(transfer.amount).err());
        }
        let effective_at = effective_at.unwrap_or(now);
        if effective_at > now + self.max_future_micros {
            no.push(RefusalCode::EffectiveInFutureTooFar);
        }
        let expires_at = hold.and_then(|hold| hold.expires_at);
        if expires_at.is_some_and(|expires_at| expires_at <= now) {
            no.push(RefusalCode::HoldExpired);
        }
        first_of(no)?;

        // The transfers one after another; the limits after all of them. "Up to" looks at a limit in its own direction only,
        // as the transfers before it left the account.
        let before = self.accounts.clone();
        let mut moved = Vec::new();
        for transfer in moves {
            let asked = minor(transfer.amount)?;
            let amount = if transfer.up_to {
                asked.min(self.accounts[&transfer.debit].room(Side::Debit)).min(self.accounts[&transfer.credit].room(Side::Credit)).max(0)
            } else {
                asked
            };
            if hold.is_some() {
                self.pend(&transfer.debit, &transfer.credit, amount);
            } else {
                self.move_posted(&transfer.debit, &transfer.credit, amount);
            }
            moved.push((transfer.debit.clone(), transfer.credit.clone(), amount));
        }
        let touched = moved.iter().flat_map(|(debit, credit, _)| [debit, credit]).map(|address| &self.accounts[address]);
        let beyond = touched.flat_map(|account| [account.counted().err(), account.within_limits().err()]).flatten();
        if let Err(code) = first_of(beyond.collect()) {
            self.accounts = before;
            return Err(code);
        }
        let state = if hold.is_some() { State::Held } else { State::Posted };
        if state == State::Held {
            self.held.insert(id);
        }
        self.entries.insert(id, Arc::new(Entry { state, effective_at, expires_at, moved, version: 1 }));
        Ok(())
    }

    fn post_hold(&mut self, id: u128, amounts: Option<&[Amount]>, effective_at: Option<i64>, now: i64) -> Verdict {
        let mut no = Vec::new();
        no.extend(self.must_be_held(id).err());
        let held = self.entries.get(&id).filter(|entry| entry.state == State::Held);
        for (debit, credit, _) in held.iter().flat_map(|held| &held.moved) {
            no.extend(self.must_be_open(debit).err());
            no.extend(self.must_be_open(credit).err());
        }
        for amount in amounts.unwrap_or_default() {
            if amount.units < 0 {
                no.push(RefusalCode::AmountNotPositive);
            }
            no.extend(minor(*amount).err());
        }
        if effective_at.unwrap_or(now) > now + self.max_future_micros {
            no.push(RefusalCode::EffectiveInFutureTooFar);
        }
        if let (Some(held), Some(amounts)) = (held, amounts) {
            if amounts.len() != held.moved.len() {
                no.push(RefusalCode::HoldAmountsMismatch);
            }
            for (amount, (debit, _, most)) in amounts.iter().zip(&held.moved) {
                if amount.coin != self.accounts[debit].coin {
                    no.push(RefusalCode::CurrencyMismatch);
                }
                if minor(*amount).is_ok_and(|minor| minor > *most) {
                    no.push(RefusalCode::ExceedsHold);
                }
            }
        }
        first_of(no)?;
        let held = Entry::clone(&self.entries[&id]);
        let mut moved = Vec::new();
        for (index, (debit, credit, most)) in held.moved.iter().enumerate() {
            let amount = amounts.map_or(Ok(*most), |amounts| minor(amounts[index]))?;
            self.pend(debit, credit, -most);
            self.move_posted(debit, credit, amount);
            moved.push((debit.clone(), credit.clone(), amount));
        }
        let (version, effective_at) = (held.version + 1, effective_at.unwrap_or(now).max(held.effective_at));
        self.held.remove(&id);
        self.entries.insert(id, Arc::new(Entry { state: State::HoldPosted, effective_at, moved, version, ..held }));
        Ok(Done { events: 1, version, entry: None })
    }

    fn reverse(&mut self, id: u128, by: u128, at_original_date: bool, now: i64) -> Verdict {
        let Some(original) = self.entries.get(&id).cloned() else { return Err(RefusalCode::EntryNotFound) };
        let moved: Vec<Move> = original
            .moved
            .iter()
            .filter(|(_, _, minor)| *minor > 0)
            .map(|(debit, credit, minor)| {
                let amount = Amount::minor(*minor, self.accounts[debit].coin);
                Move { debit: credit.clone(), credit: debit.clone(), amount, up_to: false }
            })
            .collect();
        let mut no = Vec::new();
        match original.state {
            State::Held | State::HoldVoided | State::HoldExpired => return Err(RefusalCode::EntryNotPosted),
            _ if moved.is_empty() => return Err(RefusalCode::EntryNotPosted),
            State::Reversed | State::HoldReversed => no.push(RefusalCode::AlreadyReversed),
            State::Posted | State::HoldPosted => {}
        }
        let before = self.clone();
        no.extend(self.post(by, &moved, None, at_original_date.then_some(original.effective_at), now).err());
        if let Err(code) = first_of(no) {
            *self = before;
            return Err(code);
        }
        let reversed = Arc::make_mut(self.entries.get_mut(&id).expect("the original"));
        reversed.version += 1;
        reversed.state = if reversed.state == State::Posted { State::Reversed } else { State::HoldReversed };
        Ok(Done { events: 2, version: reversed.version, entry: Some(by) })
    }

    /// Gives back what was held; the answer is the entry's version.
    fn release(&mut self, id: u128, state: State) -> u64 {
        self.held.remove(&id);
        let entry = Arc::make_mut(self.entries.get_mut(&id).expect("a hold"));
        entry.state = state;
        entry.version += 1;
        let (moved, version) = (entry.moved.clone(), entry.version);
        for (debit, credit, minor) in moved {
            self.pend(&debit, &credit, -minor);
        }
        version
    }

    fn must_be_open(&self, address: &str) -> Result<(), RefusalCode> {
        match self.accounts.get(address).map(|account| account.status) {
            Some(Status::Open) => Ok(()),
            None => Err(RefusalCode::AccountNotFound),
            Some(Status::Closed) => Err(RefusalCode::AccountClosed),
            Some(Status::Frozen) => Err(RefusalCode::AccountFrozen),
        }
    }

    fn must_be_held(&self, id: u128) -> Result<(), RefusalCode> {
        match self.entries.get(&id).map(|entry| entry.state) {
            Some(State::Held) => Ok(()),
            None | Some(State::Posted | State::Reversed) => Err(RefusalCode::HoldNotFound),
            Some(State::HoldPosted | State::HoldReversed) => Err(RefusalCode::HoldAlreadyPosted),
            Some(State::HoldVoided) => Err(RefusalCode::HoldAlreadyVoided),
            Some(State::HoldExpired) => Err(RefusalCode::HoldExpired),
        }
    }

    fn changed(&mut self, address: &str, change: impl FnOnce(&mut Account)) -> Done {
        let account = self.accounts.get_mut(address).expect("an account");
        change(account);
        account.version += 1;
        Done { events: 1, version: account.version, entry: None }
    }

    fn pend(&mut self, debit: &str, credit: &str, minor: i64) {
        self.accounts.get_mut(debit).expect("an account").debits_pending += minor;
        self.accounts.get_mut(credit).expect("an account").credits_pending += minor;
    }

    fn move_posted(&mut self, debit: &str, credit: &str, minor: i64) {
        self.accounts.get_mut(debit).expect("an account").debits_posted += minor;
        self.accounts.get_mut(credit).expect("an account").credits_posted += minor;
    }
}

impl Account {
    /// (posted, held) on the normal side and on the other.
    fn sides(&self) -> ((i128, i128), (i128, i128)) {
        let debit = (i128::from(self.debits_posted), i128::from(self.debits_pending));
        let credit = (i128::from(self.credits_posted), i128::from(self.credits_pending));
        if self.kind.normal_side() == Side::Debit { (debit, credit) } else { (credit, debit) }
    }

    fn balance(&self) -> i128 {
        let (normal, other) = self.sides();
        normal.0 - other.0
    }

    fn available(&self) -> i128 {
        self.balance() - self.sides().1.1
    }

    fn expected(&self) -> i128 {
        self.balance() + self.sides().0.1
    }

    fn counted(&self) -> Result<(), RefusalCode> {
        let sides = [self.debits_posted + self.debits_pending, self.credits_posted + self.credits_pending];
        if sides.iter().any(|side| *side > MOST_EVER) { Err(RefusalCode::TurnoverExhausted) } else { Ok(()) }
    }

    fn within_limits(&self) -> Result<(), RefusalCode> {
        if self.floor.is_some_and(|floor| self.available() < i128::from(floor)) {
            return Err(RefusalCode::BelowFloor);
        }
        if self.ceiling.is_some_and(|ceiling| self.expected() > i128::from(ceiling)) {
            return Err(RefusalCode::AboveCeiling);
        }
        Ok(())
    }

    /// How much more may come on a side.
    fn room(&self, side: Side) -> i64 {
        let room = if side == self.kind.normal_side() {
            self.ceiling.map(|ceiling| i128::from(ceiling) - self.expected())
        } else {
            self.floor.map(|floor| self.available() - i128::from(floor))
        };
        room.map_or(i64::MAX, |room| room.clamp(i128::from(i64::MIN), i128::from(i64::MAX)) as i64)
    }
}

/// The first refusal by precedence.
fn first_of(refusals: Vec<RefusalCode>) -> Result<(), RefusalCode> {
    refusals.into_iter().min().map_or(Ok(()), Err)
}

/// The amount in minor units, if it has no more digits than its currency.
fn minor(amount: Amount) -> Result<i64, RefusalCode> {
    let (mut units, mut decimals) = (i128::from(amount.units), amount.decimals);
    while decimals > 0 && units % 10 == 0 {
        units /= 10;
        decimals -= 1;
    }
    if decimals > amount.coin.digits() {
        return Err(RefusalCode::AmountScale);
    }
    let minor = units * 10_i128.pow(amount.coin.digits() - decimals);
    if minor.abs() > MOST { Err(RefusalCode::AmountTooLarge) } else { Ok(minor as i64) }
}

fn checked_limits(floor: Option<Amount>, ceiling: Option<Amount>, coin: Coin) -> Result<(Option<i64>, Option<i64>), RefusalCode> {
    let mut no = Vec::new();
    for bound in floor.iter().chain(&ceiling) {
        if bound.coin != coin {
            no.push(RefusalCode::CurrencyMismatch);
        }
        no.extend(minor(*bound).err());
    }
    if floor.is_some_and(|floor| floor.units > 0) || ceiling.is_some_and(|ceiling| ceiling.units < 0) {
        no.push(RefusalCode::InvalidLimits);
    }
    first_of(no)?;
    Ok((floor.map(minor).transpose()?, ceiling.map(minor).transpose()?))
}

/// Whether a set is in itself at an instant.
fn reaches(sets: &BTreeMap<String, Set>, set: &str, at: i64) -> bool {
    let mut reached = vec![set];
    let mut next = 0;
    while let Some(here) = reached.get(next).copied() {
        next += 1;
        for (member, lasts) in sets.get(here).into_iter().flat_map(|set| &set.members) {
            if lasts.iter().any(|(since, until)| *since <= at && until.is_none_or(|until| at < until)) {
                if member == set {
                    return true;
                }
                if !reached.contains(&member.as_str()) {
                    reached.push(member);
                }
            }
        }
    }
    false
}
