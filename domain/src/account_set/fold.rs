//! Every account set and every membership at one position of the journal: what changes of members are decided against.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{AccountSet, AccountSetEvent, Member, SetName};
use crate::IllegalTransition;
use crate::event::EventSet;
use crate::fold::{Chunks, Mark, UndoLog};
use crate::time::Timestamp;

/// From when on a member was in a set, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// It is in the set from here on.
    pub since: Timestamp,
    /// It is in the set no more from here on; absent while nobody said so.
    pub until: Option<Timestamp>,
}

impl Membership {
    /// The part of a time, from its first instant to before its last, in which it lasts; none if there is none.
    fn within(&self, (from, to): Span) -> Option<Span> {
        let (from, to) = (from.max(self.since), to.min(self.until.unwrap_or(Timestamp::MAX)));
        (from < to).then_some((from, to))
    }
}

/// From an instant to before another.
type Span = (Timestamp, Timestamp);

/// A set as it is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SetRow {
    name: SetName,
    /// How many events its stream has.
    version: u64,
}

/// A membership as it is kept: sets are numbered in the order of their creation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct MembershipRow {
    set: u32,
    member: Member,
    lasts: Membership,
}

/// What one change replaced.
#[derive(Debug)]
enum PreImage {
    Created,
    Added { before: Option<u32> },
    Ended(u32),
}

/// Every account set and membership.
#[derive(Debug, Default)]
pub struct AccountSets {
    sets: Chunks<SetRow>,
    /// In the order in which they were said.
    memberships: Chunks<MembershipRow>,
    numbers: BTreeMap<SetName, u32>,
    /// The last membership of each member of a set.
    last: BTreeMap<(u32, Member), u32>,
    /// Which memberships are of sets in a set.
    within: BTreeMap<u32, Vec<u32>>,
    undo: UndoLog<PreImage>,
}

/// The account sets at one position, for a snapshot.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FrozenAccountSets {
    sets: Chunks<SetRow>,
    memberships: Chunks<MembershipRow>,
}

impl AccountSets {
    /// How many sets there are.
    pub fn len(&self) -> usize {
        self.sets.len()
    }

    /// Whether there is no set.
    pub fn is_empty(&self) -> bool {
        self.sets.is_empty()
    }

    /// How many memberships were ever said.
    pub fn memberships(&self) -> usize {
        self.memberships.len()
    }

    /// The set of a name.
    pub fn set(&self, name: &SetName) -> AccountSet {
        if self.numbers.contains_key(name) { AccountSet::Created } else { AccountSet::Missing }
    }

    /// How many events a set's stream has.
    pub fn version(&self, name: &SetName) -> u64 {
        self.numbers.get(name).map_or(0, |number| self.sets[*number as usize].version)
    }

    /// What was said last of a member of a set.
    pub fn last(&self, name: &SetName, member: &Member) -> Option<Membership> {
        let key = (*self.numbers.get(name)?, member.clone());
        self.last.get(&key).map(|at| self.memberships[*at as usize].lasts)
    }

    /// How `inner` is in `outer` at some instant from `since` on, were `outer` put into `inner` then: the sets from the one to
    /// the other. None if it is not.
    ///
    /// A way is one only where all its memberships last at once. Each set is looked at once for each part of time that was not
    /// looked at before.
    pub(super) fn way(&self, outer: &SetName, inner: &SetName, since: Timestamp) -> Option<Vec<SetName>> {
        let (from, to) = (*self.numbers.get(outer)?, *self.numbers.get(inner)?);
        let mut looked_at: BTreeMap<u32, Vec<Span>> = BTreeMap::new();
        let mut ways = vec![(vec![from], (since, Timestamp::MAX))];
        while let Some((way, time)) = ways.pop() {
            let here = *way.last()?;
            if here == to {
                return Some(way.into_iter().rev().map(|number| self.sets[number as usize].name.clone()).collect());
            }
            let seen = looked_at.entry(here).or_default();
            if seen.iter().any(|(first, last)| *first <= time.0 && time.1 <= *last) {
                continue;
            }
            seen.push(time);
            for row in self.within.get(&here).into_iter().flatten().map(|at| &self.memberships[*at as usize]) {
                if let (Member::Set(name), Some(time)) = (&row.member, row.lasts.within(time))
                    && let Some(number) = self.numbers.get(name)
                {
                    ways.push(([way.clone(), vec![*number]].concat(), time));
                }
            }
        }
        None
    }

    /// Folds an event of a set.
    pub fn apply(&mut self, name: &SetName, event: &AccountSetEvent) -> Result<(), IllegalTransition> {
        super::evolve(self.set(name), event)?;
        let illegal = |state: &str| IllegalTransition::new(format!("account set {name}"), state, event.name());
        let full = || illegal("full: a ledger counts 4 billion sets and memberships");
        match event {
            AccountSetEvent::Created(_) => {
                let number = u32::try_from(self.sets.len()).map_err(|_| full())?;
                self.sets.push(SetRow { name: name.clone(), version: 0 });
                self.numbers.insert(name.clone(), number);
                self.undo.push(PreImage::Created);
            }
            AccountSetEvent::MemberAdded(added) => {
                let set = *self.numbers.get(name).ok_or_else(|| illegal("missing"))?;
                let before = self.last(name, &added.member);
                if before.is_some_and(|before| before.until.is_none_or(|until| added.effective_at < until)) {
                    return Err(illegal("with this member"));
                }
                let at = u32::try_from(self.memberships.len()).map_err(|_| full())?;
                let lasts = Membership { since: added.effective_at, until: None };
                self.memberships.push(MembershipRow { set, member: added.member.clone(), lasts });
                let before = self.index(at);
                self.undo.push(PreImage::Added { before });
            }
            AccountSetEvent::MemberRemoved(removed) => {
                let set = *self.numbers.get(name).ok_or_else(|| illegal("missing"))?;
                let at = self.last.get(&(set, removed.member.clone())).copied().ok_or_else(|| illegal("without this member"))?;
                let lasts = &mut self.memberships.change(at as usize).lasts;
                if lasts.until.is_some() || removed.effective_at <= lasts.since {
                    return Err(illegal("without this member then"));
                }
                lasts.until = Some(removed.effective_at);
                self.undo.push(PreImage::Ended(at));
            }
        }
        if let Some(number) = self.numbers.get(name) {
            self.sets.change(*number as usize).version += 1;
        }
        Ok(())
    }

    /// Makes a membership findable; the last one of its member before it.
    fn index(&mut self, at: u32) -> Option<u32> {
        let MembershipRow { set, member, .. } = &self.memberships[at as usize];
        if let Member::Set(_) = member {
            self.within.entry(*set).or_default().push(at);
        }
        self.last.insert((*set, member.clone()), at)
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
            let set = match pre_image {
                PreImage::Created => {
                    let row = self.sets.pop().expect("what was created stands last");
                    self.numbers.remove(&row.name);
                    continue;
                }
                PreImage::Added { before } => {
                    let MembershipRow { set, member, .. } = self.memberships.pop().expect("what was added stands last");
                    if let Member::Set(_) = member {
                        self.within.get_mut(&set).and_then(Vec::pop);
                    }
                    match before {
                        Some(before) => drop(self.last.insert((set, member), before)),
                        None => drop(self.last.remove(&(set, member))),
                    }
                    set
                }
                PreImage::Ended(at) => {
                    let row = self.memberships.change(at as usize);
                    row.lasts.until = None;
                    row.set
                }
            };
            self.sets.change(set as usize).version -= 1;
        }
    }

    /// A copy for a snapshot. It shares what it holds until that changes, so it is made in no time.
    pub fn freeze(&self) -> FrozenAccountSets {
        FrozenAccountSets { sets: self.sets.clone(), memberships: self.memberships.clone() }
    }

    /// The account sets that were copied, with the look-ups that follow from them.
    pub fn thaw(FrozenAccountSets { sets, memberships }: FrozenAccountSets) -> Self {
        let mut thawed = Self { sets, memberships, ..Self::default() };
        thawed.numbers = thawed.sets.iter().map(|row| row.name.clone()).zip(0..).collect();
        // Nobody can have said more than the numbers count.
        for at in 0..thawed.memberships.len() as u32 {
            thawed.index(at);
        }
        thawed
    }
}
