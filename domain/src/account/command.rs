//! What can be asked of an account; the shapes are the API's own.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::AccountKind;
use crate::ids::{AccountAddress, EntryId};
use crate::limits::UncheckedLimits;
use crate::money::Currency;
use crate::text::{Key, ShortText, null_is_absent};

/// A command for one account.
#[derive(Clone, Debug, PartialEq)]
pub struct AccountCommand {
    /// Which account.
    pub address: AccountAddress,
    /// What to do.
    pub action: Arc<AccountAction>,
}

/// What can be asked of an account.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountAction {
    /// Open it.
    Open(OpenAccount),
    /// Let nothing move until it is unfrozen.
    Freeze(FreezeAccount),
    /// Let it move again.
    Unfreeze,
    /// Close it; what is left goes to another account in the same commit.
    Close(CloseAccount),
    /// Open it again as it was before it was closed.
    Reopen,
    /// Replace both limits.
    ChangeLimits(ChangeLimits),
}

impl AccountAction {
    /// What is asked, in one word.
    pub fn op(&self) -> &'static str {
        match self {
            AccountAction::Open(_) => "open_account",
            AccountAction::Freeze(_) => "freeze_account",
            AccountAction::Unfreeze => "unfreeze_account",
            AccountAction::Close(_) => "close_account",
            AccountAction::Reopen => "reopen_account",
            AccountAction::ChangeLimits(_) => "change_limits",
        }
    }

    /// Whether it moves what accounts have posted.
    pub fn moves_money(&self) -> bool {
        match self {
            AccountAction::Close(_) => true,
            AccountAction::Open(_)
            | AccountAction::Freeze(_)
            | AccountAction::Unfreeze
            | AccountAction::Reopen
            | AccountAction::ChangeLimits(_) => false,
        }
    }

    /// How many pairs its event has.
    pub fn pairs(&self) -> usize {
        match self {
            AccountAction::Open(open) => open.metadata.len(),
            AccountAction::Freeze(_)
            | AccountAction::Unfreeze
            | AccountAction::Close(_)
            | AccountAction::Reopen
            | AccountAction::ChangeLimits(_) => 0,
        }
    }
}

/// Open an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenAccount {
    /// Where it will stand.
    pub address: AccountAddress,
    /// Account number in the chart (SYSCOHADA), for the regulator's trial balance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chart_code: Option<ShortText>,
    /// The only currency it holds.
    pub currency: Currency,
    /// Kind, and so normal side.
    pub kind: AccountKind,
    /// No limits if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<UncheckedLimits>,
    /// Free pairs; no personal data.
    #[serde(default, deserialize_with = "null_is_absent", skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Option<BTreeMap<Key, ShortText>>")]
    pub metadata: BTreeMap<Key, ShortText>,
    /// Who it belongs to: a party's id, no personal data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<ShortText>,
}

/// Freeze an account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FreezeAccount {
    /// Why, for the auditor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<ShortText>,
}

/// Close an account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CloseAccount {
    /// Why, for the auditor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<ShortText>,
    /// Where what is left goes; needed unless nothing is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sweep_to: Option<AccountAddress>,
    /// Id of the sweep's entry; derived from the command's id if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry_id: Option<EntryId>,
}

/// Replace an account's limits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeLimits {
    /// The new limits; what is absent is no longer limited.
    pub limits: UncheckedLimits,
}
