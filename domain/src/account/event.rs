//! What happened to an account.
//!
//! NOTE: these names and fields are the storage format; `event-schemas/samples` holds a frozen sample of
//! each version. Fields stand in alphabetical order, so that writing them in order is canonical JSON.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::AccountKind;
use crate::event::Payload;
use crate::event_types;
use crate::example;
use crate::ids::EntryId;
use crate::limits::Limits;
use crate::money::Currency;
use crate::text::{Key, ShortText};

event_types! {
    /// Everything that can have happened to an account.
    pub enum AccountEvent {
        /// It exists from here on.
        Opened(AccountOpened) = "account.opened" 2,
        /// Nothing moves until it is unfrozen.
        Frozen(AccountFrozen) = "account.frozen" 1,
        /// It moves again.
        Unfrozen(AccountUnfrozen) = "account.unfrozen" 1,
        /// It takes no more entries.
        Closed(AccountClosed) = "account.closed" 1,
        /// It is open again.
        Reopened(AccountReopened) = "account.reopened" 1,
        /// Its limits are others.
        LimitsChanged(LimitsChanged) = "account.limits_changed" 1,
    }
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

impl Payload for AccountOpened {
    fn examples() -> Vec<Self> {
        let full = Self {
            chart_code: Some(example::text("4191")),
            currency: Currency::XOF,
            kind: AccountKind::Liability,
            limits: example::limits(),
            metadata: [(example::key("country"), example::text("CI")), (example::key("kyc.level"), example::text("2"))].into(),
            owner: Some(example::text("party-7f3a")),
        };
        let minimal = Self {
            chart_code: None,
            currency: Currency::EUR,
            kind: AccountKind::Income,
            limits: Limits::default(),
            metadata: BTreeMap::new(),
            owner: None,
        };
        vec![full, minimal]
    }
}

/// `account.frozen`, version 1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountFrozen {
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<ShortText>,
}

impl Payload for AccountFrozen {
    fn examples() -> Vec<Self> {
        vec![Self { reason: Some(example::reason()) }, Self { reason: None }]
    }
}

/// `account.unfrozen`, version 1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountUnfrozen {}

impl Payload for AccountUnfrozen {
    fn examples() -> Vec<Self> {
        vec![Self {}]
    }
}

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

impl Payload for AccountClosed {
    fn examples() -> Vec<Self> {
        vec![Self { reason: Some(example::reason()), swept_by: Some(example::entry(5)) }, Self { reason: None, swept_by: None }]
    }
}

/// `account.reopened`, version 1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountReopened {}

impl Payload for AccountReopened {
    fn examples() -> Vec<Self> {
        vec![Self {}]
    }
}

/// `account.limits_changed`, version 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitsChanged {
    /// The limits from here on.
    pub limits: Limits,
}

impl Payload for LimitsChanged {
    fn examples() -> Vec<Self> {
        vec![Self { limits: example::limits() }, Self { limits: Limits::default() }]
    }
}
