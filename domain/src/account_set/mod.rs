//! Account sets: accounts and other sets under one name, each from a date and until a date.
//!
//! A set moves no money and holds no currency: it says which accounts belong together, such as the merchants of a region, so
//! that they can be summed. An account may be in many sets, and in one by several ways; it counts once. Sets form no cycle
//! at any date.
//!
//! Memberships are dated by the business, as entries are: an account may have belonged to a set since January though it is
//! said in March. What was said of one member goes forward: it is added, removed, added again, each no earlier than the one
//! before.

mod fold;
mod member;

pub use fold::{AccountSets, FrozenAccountSets, Membership};
pub use member::{InvalidSetName, Member, SetName};

use std::collections::BTreeMap;
use std::sync::Arc;

use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::IllegalTransition;
use crate::account::Account;
use crate::event::{EventSet, Payload};
use crate::event_types;
use crate::example;
use crate::kind::World;
use crate::ledger::{Ledger, LedgerStream};
use crate::refusal::{Refusal, RefusalCode};
use crate::text::{Key, ShortText, null_is_absent};
use crate::time::Timestamp;

/// A command for one account set.
#[derive(Clone, Debug, PartialEq)]
pub struct AccountSetCommand {
    /// Which set.
    pub name: SetName,
    /// What to do.
    pub action: Arc<AccountSetAction>,
}

/// What can be asked of an account set.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountSetAction {
    /// Create it, with nothing in it.
    Create(CreateAccountSet),
    /// Add an account or a set.
    Add(ChangeMembers),
    /// Remove an account or a set.
    Remove(ChangeMembers),
}

impl AccountSetAction {
    /// What is asked, in one word.
    pub fn op(&self) -> &'static str {
        match self {
            AccountSetAction::Create(_) => "create_account_set",
            AccountSetAction::Add(_) => "add_to_account_set",
            AccountSetAction::Remove(_) => "remove_from_account_set",
        }
    }

    /// How many pairs its event has.
    pub fn pairs(&self) -> usize {
        if let AccountSetAction::Create(create) = self { create.metadata.len() } else { 0 }
    }
}

/// Create an account set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateAccountSet {
    /// What it is, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<ShortText>,
    /// Free pairs; no personal data.
    #[serde(default, deserialize_with = "null_is_absent", skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Option<BTreeMap<Key, ShortText>>")]
    pub metadata: BTreeMap<Key, ShortText>,
    /// Its name, once and for all.
    pub name: SetName,
}

/// Add a member to an account set, or remove it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeMembers {
    /// From when on it is a member, or is none; now if absent. It may lie in the past, after the member's last change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_at: Option<Timestamp>,
    /// Which account or set.
    pub member: Member,
    /// Why, for the auditor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<ShortText>,
}

event_types! {
    /// Everything that can have happened to an account set. NOTE: the storage format.
    pub enum AccountSetEvent {
        /// It exists from here on, with nothing in it.
        Created(AccountSetCreated) = "account_set.created" 1,
        /// An account or a set belongs to it.
        MemberAdded(MemberAdded) = "account_set.member_added" 1,
        /// An account or a set belongs to it no more.
        MemberRemoved(MemberRemoved) = "account_set.member_removed" 1,
    }
}

/// `account_set.created`, version 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountSetCreated {
    /// What it is, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<ShortText>,
    /// Free pairs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<Key, ShortText>,
}

impl Payload for AccountSetCreated {
    fn examples() -> Vec<Self> {
        let description = Some(example::text("Marchands d'Abidjan"));
        let full = Self { description, metadata: [(example::key("region"), example::text("abidjan"))].into() };
        vec![full, Self { description: None, metadata: BTreeMap::new() }]
    }
}

/// `account_set.member_added`, version 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MemberAdded {
    /// From when on it is a member.
    pub effective_at: Timestamp,
    /// Which account or set.
    pub member: Member,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<ShortText>,
}

impl Payload for MemberAdded {
    fn examples() -> Vec<Self> {
        let (effective_at, member) = (example::start(), Member::Account(example::address(example::AWA)));
        let within = Member::Set("merchants.cocody".parse().expect("a name"));
        vec![
            Self { effective_at, member, reason: Some(example::reason()) },
            Self { effective_at: effective_at.saturating_add_secs(-86_400), member: within, reason: None },
        ]
    }
}

/// `account_set.member_removed`, version 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MemberRemoved {
    /// From when on it is no member.
    pub effective_at: Timestamp,
    /// Which account or set.
    pub member: Member,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<ShortText>,
}

impl Payload for MemberRemoved {
    fn examples() -> Vec<Self> {
        let (effective_at, member) = (example::start().saturating_add_secs(3_600), Member::Account(example::address(example::AWA)));
        vec![Self { effective_at, member: member.clone(), reason: Some(example::reason()) }, Self { effective_at, member, reason: None }]
    }
}

/// An account set by itself: who is in it is for [`AccountSets`], because a set may be in another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum AccountSet {
    /// Nothing was ever written under this name.
    #[default]
    Missing,
    /// It was created.
    Created,
}

impl AccountSet {
    /// The state in a word.
    pub fn status(self) -> &'static str {
        match self {
            AccountSet::Missing => "missing",
            AccountSet::Created => "created",
        }
    }
}

/// One match of legal pairs; anything else is a corrupt journal, never a refusal.
pub fn evolve(set: AccountSet, event: &AccountSetEvent) -> Result<AccountSet, IllegalTransition> {
    match (set, event) {
        (AccountSet::Missing, AccountSetEvent::Created(_))
        | (AccountSet::Created, AccountSetEvent::MemberAdded(_) | AccountSetEvent::MemberRemoved(_)) => Ok(AccountSet::Created),
        (set, event) => Err(IllegalTransition::new("an account set", set.status(), event.name())),
    }
}

/// Decides a command, and records what it did.
pub(crate) fn execute(command: &AccountSetCommand, world: &mut impl World<Ledger>) -> Result<(), Refusal> {
    let set = world.state().account_sets().set(&command.name);
    let event = decide(set, command, world.now(), world.state())?;
    world.record(LedgerStream::AccountSet(command.name.clone()), event.into());
    Ok(())
}

/// Decides a command for an account set at the sequencer's time.
///
/// # Errors
/// The refusal with precedence.
pub fn decide(set: AccountSet, command: &AccountSetCommand, now: Timestamp, ledger: &Ledger) -> Result<AccountSetEvent, Refusal> {
    let (name, sets) = (&command.name, ledger.account_sets());
    match &*command.action {
        AccountSetAction::Create(create) => match set {
            AccountSet::Missing => {
                let (description, metadata) = (create.description.clone(), create.metadata.clone());
                Ok(AccountSetEvent::Created(AccountSetCreated { description, metadata }))
            }
            AccountSet::Created => {
                Err(Refusal::new(RefusalCode::AccountSetExists, format!("the set {name} was created before")).at("/name"))
            }
        },
        AccountSetAction::Add(add) => {
            let effective_at = change(set, name, add, now, ledger)?;
            let last = sets.last(name, &add.member);
            match last.map(|last| (last, last.until)) {
                Some((last, None)) => return Err(already_a_member(name, &add.member, last)),
                Some((_, Some(until))) if effective_at < until => return Err(out_of_order(name, &add.member, "left", until)),
                _ => {}
            }
            if let Member::Set(within) = &add.member
                && let Some(way) = sets.way(within, name, effective_at)
            {
                let way = way.iter().map(SetName::as_str).collect::<Vec<_>>().join(" in ");
                let detail = format!("{name} would be in itself: {way} in {name}");
                return Err(Refusal::new(RefusalCode::MembershipCycle, detail).at("/member/set"));
            }
            Ok(AccountSetEvent::MemberAdded(MemberAdded { effective_at, member: add.member.clone(), reason: add.reason.clone() }))
        }
        AccountSetAction::Remove(remove) => {
            let effective_at = change(set, name, remove, now, ledger)?;
            match sets.last(name, &remove.member) {
                Some(Membership { since, until: None, .. }) if effective_at <= since => {
                    Err(out_of_order(name, &remove.member, "joined", since))
                }
                Some(Membership { until: None, .. }) => {
                    let (member, reason) = (remove.member.clone(), remove.reason.clone());
                    Ok(AccountSetEvent::MemberRemoved(MemberRemoved { effective_at, member, reason }))
                }
                Some(Membership { until: Some(_), .. }) | None => {
                    let detail = format!("{} is not in the set {name}", remove.member);
                    Err(Refusal::new(RefusalCode::NotAMember, detail).at("/member"))
                }
            }
        }
    }
}

/// What must hold for any change of a member; from when on it counts.
fn change(set: AccountSet, name: &SetName, change: &ChangeMembers, now: Timestamp, ledger: &Ledger) -> Result<Timestamp, Refusal> {
    let missing = |name: &SetName| Refusal::new(RefusalCode::AccountSetNotFound, format!("no set {name} was ever created"));
    if set == AccountSet::Missing {
        return Err(missing(name));
    }
    match &change.member {
        Member::Set(within) if ledger.account_sets().set(within) == AccountSet::Missing => return Err(missing(within).at("/member/set")),
        Member::Account(address) if ledger.balances().account(address) == Account::Unopened => {
            let detail = format!("no account was ever opened at {address}");
            return Err(Refusal::new(RefusalCode::AccountNotFound, detail).at("/member/account"));
        }
        Member::Set(_) | Member::Account(_) => {}
    }
    let effective_at = change.effective_at.unwrap_or(now);
    let latest = now.saturating_add_secs(ledger.balances().rules().max_future_secs());
    if effective_at > latest {
        let detail = format!("{effective_at} is after {latest}, the last instant that a membership may be dated at now");
        return Err(Refusal::new(RefusalCode::EffectiveInFutureTooFar, detail).at("/effective_at"));
    }
    Ok(effective_at)
}

fn already_a_member(name: &SetName, member: &Member, last: Membership) -> Refusal {
    let detail = format!("{member} is in the set {name} since {}", last.since);
    Refusal::new(RefusalCode::AlreadyAMember, detail).at("/member")
}

fn out_of_order(name: &SetName, member: &Member, what: &str, at: Timestamp) -> Refusal {
    let detail = format!("{member} {what} the set {name} at {at}; what is said of it next must be dated later");
    Refusal::new(RefusalCode::MembershipOutOfOrder, detail).at("/effective_at")
}

/// The cqrs-es face of the aggregate.
impl Aggregate for AccountSet {
    const TYPE: &'static str = "account_set";
    /// The sequencer's time, and what is asked.
    type Command = (Timestamp, AccountSetCommand);
    type Event = AccountSetEvent;
    type Error = Refusal;
    /// The decision state, not a service: a replay decides the same.
    type Services = Ledger;

    async fn handle(&mut self, (now, command): Self::Command, ledger: &Ledger, sink: &EventSink<Self>) -> Result<(), Refusal> {
        sink.write(decide(*self, &command, now, ledger)?, self).await;
        Ok(())
    }

    /// The trait leaves no way to fail; replay calls [`evolve`] and names the position.
    fn apply(&mut self, event: AccountSetEvent) {
        *self = evolve(*self, &event).unwrap_or_else(|illegal| panic!("corrupt journal: {illegal}"));
    }
}
