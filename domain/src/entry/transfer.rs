//! Transfers: as somebody asks for them, and as they are written.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::refusals;
use crate::ids::AccountAddress;
use crate::money::{Money, UncheckedMoney};
use crate::refusal::{Refusal, RefusalCode};
use crate::text::ShortText;

/// The most transfers that one entry may have.
pub const MAX_TRANSFERS: usize = 1_000;

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

/// Reads 1 to [`MAX_TRANSFERS`] transfers.
pub(super) fn bounded_transfers<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<TransferRequest>, D::Error> {
    let transfers = Vec::<TransferRequest>::deserialize(deserializer)?;
    if (1..=MAX_TRANSFERS).contains(&transfers.len()) {
        Ok(transfers)
    } else {
        Err(serde::de::Error::invalid_length(transfers.len(), &"1 to 1,000 transfers in one entry"))
    }
}

/// Amounts as money: all positive (or at least `least`) before any scale is looked at.
pub(super) fn check_amounts(
    amounts: impl Iterator<Item = UncheckedMoney> + Clone,
    least: i64,
    pointer: impl Fn(usize) -> String,
) -> Result<Vec<Money>, Refusal> {
    for (index, asked) in amounts.clone().enumerate() {
        let positive = asked.amount.is_sign_positive() && !asked.amount.is_zero();
        if !positive && (least > 0 || !asked.amount.is_zero()) {
            let wanted = if least > 0 { "more than zero" } else { "zero or more" };
            return Err(refusals::amount_not_positive(&asked, wanted, pointer(index)));
        }
    }
    let mut too_large = None;
    let mut checked = Vec::with_capacity(amounts.size_hint().0);
    for (index, asked) in amounts.enumerate() {
        match Money::new(asked.amount, asked.currency) {
            Ok(money) => checked.push(money),
            Err(error) => {
                let refusal = Refusal::from(error).at(pointer(index));
                if refusal.code == RefusalCode::AmountScale {
                    return Err(refusal);
                }
                too_large.get_or_insert(refusal);
            }
        }
    }
    too_large.map_or(Ok(checked), Err)
}
