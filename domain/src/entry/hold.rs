//! What becomes of a hold: it is posted, whole or in part, given back, or its time passes.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::post::check_future;
use super::transfer::check_amounts;
use super::{Entry, EntryEvent, Held, Transfer, refusals};
use crate::event::Payload;
use crate::example;
use crate::fold::Balances;
use crate::ids::AccountAddress;
use crate::money::{Money, UncheckedMoney};
use crate::refusal::Refusal;
use crate::text::ShortText;
use crate::time::Timestamp;

/// Post a hold, whole or in part; the rest is released.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PostHold {
    /// One amount for each transfer of the hold, in order; everything if absent. Zero is allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amounts: Option<Vec<UncheckedMoney>>,
    /// The business time of the posting; now if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_at: Option<Timestamp>,
}

/// Give back what was held.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VoidHold {
    /// Why, for the auditor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<ShortText>,
}

/// One movement out of a hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HoldPostedTransfer {
    /// What moved, at most what was held.
    pub amount: Money,
    /// The account on the right.
    pub credit: AccountAddress,
    /// The account on the left.
    pub debit: AccountAddress,
    /// What was held and is held no more.
    pub held: Money,
    /// Why, for a statement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<ShortText>,
}

/// `entry.hold_posted`, version 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HoldPosted {
    /// The business time of the posting, never before that of the hold.
    pub effective_at: Timestamp,
    /// What moved and what was held, one for each transfer of the hold.
    pub transfers: Arc<[HoldPostedTransfer]>,
}

impl Payload for HoldPosted {
    fn examples() -> Vec<Self> {
        let posted = |Transfer { amount, credit, debit, reason }| HoldPostedTransfer { amount, credit, debit, held: amount, reason };
        let released = |transfer: Transfer| HoldPostedTransfer { amount: Money::zero(transfer.amount.currency()), ..posted(transfer) };
        let full = Self { effective_at: example::start().saturating_add_secs(60), transfers: example::payout().map(posted).into() };
        let minimal = Self { effective_at: example::start(), transfers: example::smallest().map(released).into() };
        vec![full, minimal]
    }
}

/// `entry.hold_voided`, version 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HoldVoided {
    /// The business time of the release, never before that of the hold.
    pub effective_at: Timestamp,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<ShortText>,
    /// What was held and is held no more.
    pub transfers: Arc<[Transfer]>,
}

impl Payload for HoldVoided {
    fn examples() -> Vec<Self> {
        let full = Self {
            effective_at: example::start().saturating_add_secs(61),
            reason: Some(example::reason()),
            transfers: example::payout().into(),
        };
        vec![full, Self { effective_at: example::start(), reason: None, transfers: example::smallest().into() }]
    }
}

/// `entry.hold_expired`, version 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HoldExpired {
    /// The business time of the release: when the hold expired, never before its own.
    pub effective_at: Timestamp,
    /// What was held and is held no more.
    pub transfers: Arc<[Transfer]>,
}

impl Payload for HoldExpired {
    fn examples() -> Vec<Self> {
        let full = Self { effective_at: example::start().saturating_add_secs(900), transfers: example::payout().into() };
        vec![full, Self { effective_at: example::start(), transfers: example::smallest().into() }]
    }
}

/// Posts a hold, whole or in part. Limits need no look: a hold counted in full, and less than it moves.
pub(super) fn post_hold(entry: &Entry, post: &PostHold, now: Timestamp, balances: &Balances) -> Result<EntryEvent, Refusal> {
    // The engine wrote `entry.hold_expired` before it asked, so there is no clock in this look.
    let held = open_hold(entry);
    if let Ok(held) = &held {
        check_held_accounts(held, balances)?;
        check_held_currencies(held, post.amounts.as_deref().unwrap_or_default())?;
    }
    // What is wrong with the command itself comes before what became of the hold.
    let amounts = post.amounts.as_ref();
    let amounts = amounts.map(|amounts| check_amounts(amounts.iter().copied(), 0, |index| format!("/amounts/{index}"))).transpose()?;
    let effective_at = post.effective_at.unwrap_or(now);
    check_future(effective_at, now, balances)?;
    let held = held?;
    let asked = amounts.unwrap_or_else(|| held.transfers.iter().map(|transfer| transfer.amount).collect());
    if asked.len() != held.transfers.len() {
        return Err(refusals::hold_amounts_mismatch(held.transfers.len(), asked.len()));
    }
    for (index, (amount, transfer)) in asked.iter().zip(held.transfers.iter()).enumerate() {
        if amount.minor() > transfer.amount.minor() {
            return Err(refusals::exceeds_hold(index, transfer.amount, *amount));
        }
    }

    // From here the posting must succeed.
    let transfers = asked.iter().zip(held.transfers.iter()).map(|(amount, transfer)| HoldPostedTransfer {
        amount: *amount,
        credit: transfer.credit.clone(),
        debit: transfer.debit.clone(),
        held: transfer.amount,
        reason: transfer.reason.clone(),
    });
    Ok(EntryEvent::HoldPosted(HoldPosted { effective_at: effective_at.max(held.effective_at), transfers: transfers.collect() }))
}

/// Every account of the hold must be open; by precedence, a closed one anywhere comes before a frozen one.
fn check_held_accounts(held: &Held, balances: &Balances) -> Result<(), Refusal> {
    let addresses = held.transfers.iter().flat_map(|transfer| [&transfer.debit, &transfer.credit]);
    let refused = addresses.filter_map(|address| refusals::unless_open(address, &balances.account(address)).err());
    refused.min_by_key(|refusal| refusal.code).map_or(Ok(()), Err)
}

fn check_held_currencies(held: &Held, amounts: &[UncheckedMoney]) -> Result<(), Refusal> {
    for (index, (asked, transfer)) in amounts.iter().zip(held.transfers.iter()).enumerate() {
        if asked.currency != transfer.amount.currency() {
            return Err(refusals::other_currency_than_hold(index, transfer.amount.currency(), asked.currency));
        }
    }
    Ok(())
}

pub(super) fn void_hold(entry: &Entry, void: &VoidHold, now: Timestamp) -> Result<EntryEvent, Refusal> {
    let held = open_hold(entry)?;
    Ok(EntryEvent::HoldVoided(HoldVoided {
        effective_at: now.max(held.effective_at),
        reason: void.reason.clone(),
        transfers: held.transfers.clone(),
    }))
}

pub(super) fn expire_hold(entry: &Entry, now: Timestamp) -> Result<EntryEvent, Refusal> {
    let held = open_hold(entry)?;
    let passed = held.expires_at.filter(|at| *at <= now).expect("the engine asks this only when a hold's time has passed");
    // What was held is free from the moment that was agreed, however late the engine writes it down.
    Ok(EntryEvent::HoldExpired(HoldExpired { effective_at: passed.max(held.effective_at), transfers: held.transfers.clone() }))
}

fn open_hold(entry: &Entry) -> Result<&Held, Refusal> {
    match entry {
        Entry::Held(held) => Ok(held),
        Entry::Unwritten | Entry::Posted(_) | Entry::Reversed(_) => Err(refusals::hold_not_found(entry)),
        Entry::HoldPosted(_) | Entry::HoldReversed(_) => Err(refusals::hold_already_posted()),
        Entry::HoldVoided => Err(refusals::hold_already_voided()),
        Entry::HoldExpired => Err(refusals::hold_expired()),
    }
}
