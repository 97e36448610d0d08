//! Limits of an account: how low and how high its balance may go, counting holds at once.

use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::money::{Currency, Money, MoneyError, UncheckedMoney, decimal_string};
use crate::refusal::{Refusal, RefusalCode};

/// The limits of an account, in its currency, seen from its normal side.
///
/// A floor is zero or an overdraft (negative), a ceiling zero or more: an empty account is always within
/// its limits, so that it can be opened and closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// The most that balance plus incoming holds may be; none if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ceiling: Option<Money>,
    /// The least that balance minus outgoing holds may be; none if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<Money>,
}

/// Limits as somebody asked for them: the currency is the account's, so plain decimal strings suffice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UncheckedLimits {
    /// `"0"` or more; absent or null for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ceiling: Option<LimitAmount>,
    /// `"0"`, or an overdraft such as `"-5000"`; absent or null for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub floor: Option<LimitAmount>,
}

/// A bound: a decimal string in the account's currency, or money, whose currency must then be the account's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum LimitAmount {
    /// `"-5000"`.
    InAccountCurrency(
        #[serde(with = "decimal_string")]
        #[schemars(with = "String")]
        Decimal,
    ),
    /// `{"amount": "-5000", "currency": "XOF"}`.
    Money(UncheckedMoney),
}

/// Why limits make no sense for an account.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitsError {
    /// The bound is no money of that currency.
    #[error(transparent)]
    Money(#[from] MoneyError),
    /// A floor above zero would make opening and closing impossible.
    #[error("a floor is 0 or negative (an overdraft), not {0}")]
    PositiveFloor(Money),
    /// A ceiling below zero likewise.
    #[error("a ceiling is 0 or more, not {0}")]
    NegativeCeiling(Money),
}

impl From<LimitsError> for Refusal {
    fn from(error: LimitsError) -> Self {
        let detail = error.to_string();
        match error {
            LimitsError::Money(money) => Refusal { detail, ..Refusal::from(money) }.at("/limits"),
            LimitsError::PositiveFloor(_) => Refusal::new(RefusalCode::InvalidLimits, detail).at("/limits/floor"),
            LimitsError::NegativeCeiling(_) => Refusal::new(RefusalCode::InvalidLimits, detail).at("/limits/ceiling"),
        }
    }
}

impl UncheckedLimits {
    /// No limits at all.
    pub fn none() -> Self {
        Self::default()
    }

    /// A floor of zero and no ceiling: what a customer's wallet has.
    pub fn floor_zero() -> Self {
        Self { floor: Some(LimitAmount::InAccountCurrency(Decimal::ZERO)), ceiling: None }
    }

    /// Judges the limits for an account in `currency`.
    pub fn check(&self, currency: Currency) -> Result<Limits, LimitsError> {
        let bound = |asked: &LimitAmount| match asked {
            LimitAmount::InAccountCurrency(amount) => Money::new(*amount, currency),
            LimitAmount::Money(money) if money.currency == currency => Money::new(money.amount, currency),
            LimitAmount::Money(money) => Err(MoneyError::CurrencyMismatch { left: money.currency, right: currency }),
        };
        let (floor, ceiling) = match (self.floor.as_ref().map(bound).transpose(), self.ceiling.as_ref().map(bound).transpose()) {
            (Ok(floor), Ok(ceiling)) => (floor, ceiling),
            (Err(wrong), Ok(_)) | (Ok(_), Err(wrong)) => return Err(wrong.into()),
            (Err(floor), Err(ceiling)) => return Err(std::cmp::min_by_key(floor, ceiling, MoneyError::code).into()),
        };
        match (floor, ceiling) {
            (Some(floor), _) if floor.is_positive() => Err(LimitsError::PositiveFloor(floor)),
            (_, Some(ceiling)) if ceiling.minor() < 0 => Err(LimitsError::NegativeCeiling(ceiling)),
            (floor, ceiling) => Ok(Limits { ceiling, floor }),
        }
    }
}
