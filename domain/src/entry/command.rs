//! What can be asked of an entry; the shapes are the API's own.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{AccountAddress, EntryId};
use crate::money::UncheckedMoney;
use crate::text::{Key, ShortText, null_is_absent};
use crate::time::Timestamp;

/// The most transfers that one entry may have.
pub const MAX_TRANSFERS: usize = 1_000;

/// A command for one entry.
#[derive(Clone, Debug, PartialEq)]
pub struct EntryCommand {
    /// The sequencer's time, never going back.
    pub now: Timestamp,
    /// What to do.
    pub action: Arc<EntryAction>,
}

/// What can be asked of an entry.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryAction {
    /// Write it: posted at once, or held where the command says so.
    Post(PostEntry),
    /// Post a hold, whole or in part.
    PostHold(PostHold),
    /// Give back what was held.
    VoidHold(VoidHold),
    /// The hold's time has passed; only the engine asks this.
    ExpireHold,
    /// Undo it by the opposite entry.
    Reverse(ReverseEntry),
}

/// Write an entry. Only `transfers` is needed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PostEntry {
    /// Pairs that read models can group by: `merchant`, `country`, `provider`.
    #[serde(default, deserialize_with = "null_is_absent", skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Option<BTreeMap<Key, ShortText>>")]
    pub dimensions: BTreeMap<Key, ShortText>,
    /// The business time; now if absent. It may lie in the past.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_at: Option<Timestamp>,
    /// Hold instead of posting at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<HoldTerms>,
    /// Made by the caller; derived from the command's id if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<EntryId>,
    /// The caller's own reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<ShortText>,
    /// Set by the engine where this entry undoes another; not a field of the API.
    #[serde(skip)]
    #[schemars(skip)]
    pub reverses: Option<EntryId>,
    /// 1 to 1,000 transfers, all or nothing.
    #[serde(deserialize_with = "bounded_transfers")]
    #[schemars(length(min = 1, max = 1_000))]
    pub transfers: Vec<TransferRequest>,
}

fn bounded_transfers<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<TransferRequest>, D::Error> {
    let transfers = Vec::<TransferRequest>::deserialize(deserializer)?;
    if (1..=MAX_TRANSFERS).contains(&transfers.len()) {
        Ok(transfers)
    } else {
        Err(serde::de::Error::invalid_length(transfers.len(), &"1 to 1,000 transfers in one entry"))
    }
}

/// How long to hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HoldTerms {
    /// The engine releases the hold at this time; never if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// One transfer as somebody asked for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "TransferShape", into = "TransferShape")]
pub struct TransferRequest {
    /// The account on the left.
    pub debit: AccountAddress,
    /// The account on the right.
    pub credit: AccountAddress,
    /// How much.
    pub amount: TransferAmount,
    /// Why, for a statement.
    pub reason: Option<ShortText>,
}

/// How much a transfer is to move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferAmount {
    /// This much.
    Exactly(UncheckedMoney),
    /// At most this much: what the limits leave, possibly nothing.
    UpTo(UncheckedMoney),
}

impl TransferAmount {
    /// The amount asked for, or its bound.
    pub fn asked(&self) -> UncheckedMoney {
        match self {
            TransferAmount::Exactly(asked) | TransferAmount::UpTo(asked) => *asked,
        }
    }
}

/// A transfer on the wire: either `amount` or `up_to`.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "TransferRequest")]
struct TransferShape {
    /// Moves exactly this much.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    amount: Option<UncheckedMoney>,
    /// The account on the right.
    credit: AccountAddress,
    /// The account on the left.
    debit: AccountAddress,
    /// Why, for a statement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<ShortText>,
    /// Moves what the limits leave, at most this much; instead of `amount`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    up_to: Option<UncheckedMoney>,
}

impl TryFrom<TransferShape> for TransferRequest {
    type Error = &'static str;

    fn try_from(shape: TransferShape) -> Result<Self, &'static str> {
        let amount = match (shape.amount, shape.up_to) {
            (Some(exactly), None) => TransferAmount::Exactly(exactly),
            (None, Some(bound)) => TransferAmount::UpTo(bound),
            (None, None) => return Err("missing field `amount` (or `up_to`)"),
            (Some(_), Some(_)) => return Err("a transfer has either `amount` or `up_to`, not both"),
        };
        Ok(Self { debit: shape.debit, credit: shape.credit, amount, reason: shape.reason })
    }
}

impl From<TransferRequest> for TransferShape {
    fn from(request: TransferRequest) -> Self {
        let (amount, up_to) = match request.amount {
            TransferAmount::Exactly(exactly) => (Some(exactly), None),
            TransferAmount::UpTo(bound) => (None, Some(bound)),
        };
        Self { amount, credit: request.credit, debit: request.debit, reason: request.reason, up_to }
    }
}

impl JsonSchema for TransferRequest {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TransferRequest".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        TransferShape::json_schema(generator)
    }
}

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

/// Undo an entry by the opposite entry, once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReverseEntry {
    /// Date the opposite entry at the original's effective time instead of now.
    #[serde(default, deserialize_with = "null_is_absent", skip_serializing_if = "std::ops::Not::not")]
    #[schemars(with = "Option<bool>")]
    pub at_original_date: bool,
    /// Id of the opposite entry; derived from the command's id if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry_id: Option<EntryId>,
    /// Why, for the auditor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<ShortText>,
}
