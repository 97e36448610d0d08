//! What happened to an entry.
//!
//! NOTE: these names and fields are the storage format; `event-schemas/samples` holds a frozen sample of
//! each version. Fields stand in alphabetical order, so that writing them in order is canonical JSON.
//! Every event names its accounts and amounts itself: a projector needs no other event to understand it.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::Payload;
use crate::event_types;
use crate::example;
use crate::ids::{AccountAddress, EntryId};
use crate::money::Money;
use crate::text::{Key, ShortText};
use crate::time::Timestamp;

event_types! {
    /// Everything that can have happened to an entry.
    pub enum EntryEvent {
        /// Its transfers moved the posted balances.
        Posted(EntryPosted) = "entry.posted" 1,
        /// Its transfers took from what is available.
        Held(EntryHeld) = "entry.held" 1,
        /// The hold moved the posted balances, whole or in part; the rest was released.
        HoldPosted(HoldPosted) = "entry.hold_posted" 1,
        /// The hold was released.
        HoldVoided(HoldVoided) = "entry.hold_voided" 1,
        /// The hold was released because its time had passed.
        HoldExpired(HoldExpired) = "entry.hold_expired" 1,
        /// The opposite entry was posted in the same commit.
        Reversed(EntryReversed) = "entry.reversed" 1,
    }
}

/// One movement: `amount` from the credit account's point of view in, from the debit account's out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Transfer {
    /// What moved; zero only where the command said "up to".
    pub amount: Money,
    /// The account on the right.
    pub credit: AccountAddress,
    /// The account on the left.
    pub debit: AccountAddress,
    /// Why, for a statement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<ShortText>,
}

/// `entry.posted`, version 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EntryPosted {
    /// Pairs that read models can group by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dimensions: BTreeMap<Key, ShortText>,
    /// The business time.
    pub effective_at: Timestamp,
    /// The caller's own reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<ShortText>,
    /// The entry that this one undoes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reverses: Option<EntryId>,
    /// What moved.
    pub transfers: Arc<[Transfer]>,
}

impl Payload for EntryPosted {
    fn examples() -> Vec<Self> {
        let full = Self {
            dimensions: [(example::key("merchant"), example::text("awa")), (example::key("provider"), example::text("wave"))].into(),
            effective_at: example::start(),
            reference: Some(example::text("WAVE-2026-03-16/000117")),
            reverses: Some(example::entry(9)),
            transfers: example::collection().into(),
        };
        let minimal = Self {
            dimensions: BTreeMap::new(),
            effective_at: example::start().saturating_add_secs(-86_400),
            reference: None,
            reverses: None,
            transfers: example::smallest().into(),
        };
        vec![full, minimal]
    }
}

/// `entry.held`, version 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EntryHeld {
    /// Pairs that read models can group by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dimensions: BTreeMap<Key, ShortText>,
    /// The business time from which it is held.
    pub effective_at: Timestamp,
    /// When the engine releases it; never if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// The caller's own reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<ShortText>,
    /// What is held.
    pub transfers: Arc<[Transfer]>,
}

impl Payload for EntryHeld {
    fn examples() -> Vec<Self> {
        let full = Self {
            dimensions: [(example::key("provider"), example::text("wave"))].into(),
            effective_at: example::start(),
            expires_at: Some(example::start().saturating_add_secs(900)),
            reference: Some(example::text("payout \"P-42\"")),
            transfers: example::payout().into(),
        };
        let minimal = Self {
            dimensions: BTreeMap::new(),
            effective_at: example::start(),
            expires_at: None,
            reference: None,
            transfers: example::smallest().into(),
        };
        vec![full, minimal]
    }
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

/// `entry.reversed`, version 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EntryReversed {
    /// The opposite entry, posted in the same commit.
    pub by: EntryId,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<ShortText>,
}

impl Payload for EntryReversed {
    fn examples() -> Vec<Self> {
        vec![Self { by: example::entry(2), reason: Some(example::reason()) }, Self { by: example::entry(8), reason: None }]
    }
}
