//! What happened to an entry.
//!
//! NOTE: these names and fields are the storage format; `event-schemas/samples` holds a frozen sample of
//! each version. Fields stand in alphabetical order, so that writing them in order is canonical JSON.
//! Every event names its accounts and amounts itself: a projector needs no other event to understand it.

use std::collections::BTreeMap;
use std::sync::Arc;

use cqrs_es::DomainEvent;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{AccountAddress, EntryId};
use crate::money::Money;
use crate::text::{Key, ShortText};
use crate::time::Timestamp;

/// Everything that can have happened to an entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
pub enum EntryEvent {
    /// Its transfers moved the posted balances.
    #[serde(rename = "entry.posted")]
    Posted(EntryPosted),
    /// Its transfers took from what is available.
    #[serde(rename = "entry.held")]
    Held(EntryHeld),
    /// The hold moved the posted balances, whole or in part; the rest was released.
    #[serde(rename = "entry.hold_posted")]
    HoldPosted(HoldPosted),
    /// The hold was released.
    #[serde(rename = "entry.hold_voided")]
    HoldVoided(HoldVoided),
    /// The hold was released because its time had passed.
    #[serde(rename = "entry.hold_expired")]
    HoldExpired(HoldExpired),
    /// The opposite entry was posted in the same commit.
    #[serde(rename = "entry.reversed")]
    Reversed(EntryReversed),
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

/// `entry.hold_expired`, version 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HoldExpired {
    /// The business time of the release: when the hold expired, never before its own.
    pub effective_at: Timestamp,
    /// What was held and is held no more.
    pub transfers: Arc<[Transfer]>,
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

impl EntryEvent {
    /// The event's type, as stored.
    pub fn name(&self) -> &'static str {
        match self {
            EntryEvent::Posted(_) => "entry.posted",
            EntryEvent::Held(_) => "entry.held",
            EntryEvent::HoldPosted(_) => "entry.hold_posted",
            EntryEvent::HoldVoided(_) => "entry.hold_voided",
            EntryEvent::HoldExpired(_) => "entry.hold_expired",
            EntryEvent::Reversed(_) => "entry.reversed",
        }
    }

    /// The version of the event's shape that this program writes.
    pub fn schema(&self) -> u32 {
        match self {
            EntryEvent::Posted(_)
            | EntryEvent::Held(_)
            | EntryEvent::HoldPosted(_)
            | EntryEvent::HoldVoided(_)
            | EntryEvent::HoldExpired(_)
            | EntryEvent::Reversed(_) => 1,
        }
    }
}

impl DomainEvent for EntryEvent {
    fn event_type(&self) -> String {
        self.name().to_owned()
    }

    fn event_version(&self) -> String {
        self.schema().to_string()
    }
}
