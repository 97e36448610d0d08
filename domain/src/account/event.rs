//! What happened to an account.
//!
//! NOTE: these names and fields are the storage format; `event-schemas/samples` holds a frozen sample of
//! each version. Fields stand in alphabetical order, so that writing them in order is canonical JSON.

use std::collections::BTreeMap;

use cqrs_es::DomainEvent;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::AccountKind;
use crate::ids::EntryId;
use crate::limits::Limits;
use crate::money::Currency;
use crate::text::{Key, ShortText};

/// Everything that can have happened to an account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
pub enum AccountEvent {
    /// It exists from here on.
    #[serde(rename = "account.opened")]
    Opened(AccountOpened),
    /// Nothing moves until it is unfrozen.
    #[serde(rename = "account.frozen")]
    Frozen(AccountFrozen),
    /// It moves again.
    #[serde(rename = "account.unfrozen")]
    Unfrozen(AccountUnfrozen),
    /// It takes no more entries.
    #[serde(rename = "account.closed")]
    Closed(AccountClosed),
    /// It is open again.
    #[serde(rename = "account.reopened")]
    Reopened(AccountReopened),
    /// Its limits are others.
    #[serde(rename = "account.limits_changed")]
    LimitsChanged(LimitsChanged),
}

/// `account.opened`, version 2.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountOpened {
    /// Account number in the chart (SYSCOHADA).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chart_code: Option<ShortText>,
    /// The only currency it holds.
    pub currency: Currency,
    /// Kind, and so normal side.
    pub kind: AccountKind,
    /// Limits; empty where there are none.
    pub limits: Limits,
    /// Free pairs; no personal data.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<Key, ShortText>,
    /// Who it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<ShortText>,
}

/// `account.frozen`, version 1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountFrozen {
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<ShortText>,
}

/// `account.unfrozen`, version 1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountUnfrozen {}

/// `account.closed`, version 1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountClosed {
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<ShortText>,
    /// The entry of the same commit that moved what was left; absent where nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swept_by: Option<EntryId>,
}

/// `account.reopened`, version 1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountReopened {}

/// `account.limits_changed`, version 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitsChanged {
    /// The limits from here on.
    pub limits: Limits,
}

impl AccountEvent {
    /// The event's type, as stored.
    pub fn name(&self) -> &'static str {
        match self {
            AccountEvent::Opened(_) => "account.opened",
            AccountEvent::Frozen(_) => "account.frozen",
            AccountEvent::Unfrozen(_) => "account.unfrozen",
            AccountEvent::Closed(_) => "account.closed",
            AccountEvent::Reopened(_) => "account.reopened",
            AccountEvent::LimitsChanged(_) => "account.limits_changed",
        }
    }

    /// The version of the event's shape that this program writes.
    pub fn schema(&self) -> u32 {
        match self {
            AccountEvent::Opened(_) => 2,
            AccountEvent::Frozen(_)
            | AccountEvent::Unfrozen(_)
            | AccountEvent::Closed(_)
            | AccountEvent::Reopened(_)
            | AccountEvent::LimitsChanged(_) => 1,
        }
    }
}

impl DomainEvent for AccountEvent {
    fn event_type(&self) -> String {
        self.name().to_owned()
    }

    fn event_version(&self) -> String {
        self.schema().to_string()
    }
}
