//! `account_sets`: members are added and removed in order, exist, and no set is ever in itself.

use std::collections::BTreeMap;

use cauri_domain::account_set::{AccountSetEvent, Member};
use cauri_domain::time::Timestamp;
use cauri_event_schemas::ledger::{Event, StreamId};

use super::super::{AggregateCheck, Check};
use crate::finding::Findings;
use crate::ledger::Ledger;
use crate::reading::{Fact, ReadBatch, Seed, Stream};

/// A member in a set, from an instant to before another.
#[derive(Clone, Debug)]
struct Lasts {
    since: Timestamp,
    until: Option<Timestamp>,
}

/// Every set, with everything that was ever in it. The arithmetic is not that of the engine's fold: a set is in itself where,
/// at one of the instants at which anything changed, it can be reached from itself.
#[derive(Debug)]
pub(crate) struct AccountSets {
    seed: Seed,
    sets: BTreeMap<String, BTreeMap<Member, Vec<Lasts>>>,
}

impl AccountSets {
    pub(crate) fn new(seed: &Seed) -> Self {
        Self { seed: seed.clone(), sets: BTreeMap::new() }
    }

    /// Whether a set can be reached from `from`, by what lasts at an instant.
    fn reaches(&self, from: &str, wanted: &str, at: Timestamp) -> bool {
        let mut reached = vec![from];
        let mut next = 0;
        while let Some(set) = reached.get(next).copied() {
            next += 1;
            for (member, lasts) in self.sets.get(set).into_iter().flatten() {
                let Member::Set(name) = member else { continue };
                let is_in = lasts.iter().any(|lasts| lasts.since <= at && lasts.until.is_none_or(|until| at < until));
                if is_in && name.as_str() == wanted {
                    return true;
                }
                if is_in && !reached.contains(&name.as_str()) {
                    reached.push(name.as_str());
                }
            }
        }
        false
    }

    /// The instants at which a set joined another, at or after `since`.
    fn joined_from(&self, since: Timestamp) -> Vec<Timestamp> {
        let sets = self.sets.values().flatten().filter(|(member, _)| matches!(member, Member::Set(_)));
        let mut instants: Vec<Timestamp> = sets.flat_map(|(_, lasts)| lasts.iter().map(|lasts| lasts.since.max(since))).collect();
        instants.sort_unstable();
        instants.dedup();
        instants
    }
}

impl AggregateCheck for AccountSets {
    fn record(&mut self, batch: &ReadBatch, fact: &Fact, event: &Event, ledger: &Ledger, findings: &mut Findings) {
        let (Event::AccountSet(event), Stream::Other(stream, _)) = (event, fact.stream) else { return };
        let Ok(StreamId::AccountSet(name)) = batch.shown(stream).parse() else { return };
        let name = name.as_str();
        let mut told = |what: String| findings.at(Check::AccountSets, fact.position, what);
        match event {
            AccountSetEvent::Created(_) => {
                if self.sets.insert(name.to_owned(), BTreeMap::new()).is_some() {
                    told(format!("the account set {name} was created before"));
                }
            }
            AccountSetEvent::MemberAdded(added) => {
                let exists = match &added.member {
                    Member::Account(address) => {
                        let address = address.as_str().as_bytes();
                        ledger.number(address, self.seed.hash(address)).is_some()
                    }
                    Member::Set(within) => self.sets.contains_key(within.as_str()),
                };
                if !exists {
                    told(format!("{} was added to the account set {name} and is not there", added.member));
                }
                let Some(members) = self.sets.get_mut(name) else {
                    return told(format!("a member was added to the account set {name}, which was never created"));
                };
                let lasts = members.entry(added.member.clone()).or_default();
                if lasts.last().is_some_and(|last| last.until.is_none_or(|until| added.effective_at < until)) {
                    told(format!("{} is in the account set {name} at {} and was added then", added.member, added.effective_at));
                }
                lasts.push(Lasts { since: added.effective_at, until: None });
                if let Member::Set(within) = &added.member {
                    let cycle =
                        self.joined_from(added.effective_at).into_iter().find(|at| self.reaches(within.as_str(), within.as_str(), *at));
                    if let Some(at) = cycle {
                        told(format!("the account set {within} is in itself at {at}"));
                    }
                }
            }
            AccountSetEvent::MemberRemoved(removed) => {
                let last = self.sets.get_mut(name).and_then(|members| members.get_mut(&removed.member)).and_then(|lasts| lasts.last_mut());
                match last.filter(|last| last.until.is_none() && last.since < removed.effective_at) {
                    Some(last) => last.until = Some(removed.effective_at),
                    None => told(format!(
                        "{} was removed from the account set {name} at {} and was not in it",
                        removed.member, removed.effective_at
                    )),
                }
            }
        }
    }
}
