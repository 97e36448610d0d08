//! Money and currencies: exact decimals with the currency's own scale, checked arithmetic only.

mod currency;
pub mod decimal_string;
mod rounding;

use std::borrow::Cow;
use std::fmt;

use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use currency::{Currency, MAX_EXPONENT, UnknownCurrency};
pub use rounding::Rounding;
use rounding::multiply_divide;

use crate::refusal::{Refusal, RefusalCode};

/// The largest amount of one transfer, in minor units; totals of an account stay below `i64::MAX`.
pub const MAX_MINOR: i64 = 1_000_000_000_000_000_000;

/// An exact amount in one currency, never with more digits after the point than the currency has.
///
/// Always kept at the currency's own scale, so equal amounts have equal text: `"10.50"` EUR, `"10"` XOF.
/// There is no `+`: two currencies do not add, and a sum that does not fit is an error.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "UncheckedMoney", try_from = "UncheckedMoney")]
pub struct Money {
    amount: Decimal,
    currency: Currency,
}

/// Why an amount is not money.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// More digits after the point than the currency has; Cauri refuses, it does not round.
    #[error("{currency} has {} digits after the point, {amount} has {}", currency.exponent(), amount.normalize().scale())]
    Scale {
        /// The amount as given.
        amount: Decimal,
        /// Its currency.
        currency: Currency,
    },
    /// Beyond [`MAX_MINOR`].
    #[error("{amount} {currency} is more than one transfer may move")]
    TooLarge {
        /// The amount as given.
        amount: Decimal,
        /// Its currency.
        currency: Currency,
    },
    /// Two currencies met in one sum.
    #[error("{left} and {right} do not add")]
    CurrencyMismatch {
        /// Currency on the left.
        left: Currency,
        /// Currency on the right.
        right: Currency,
    },
}

impl MoneyError {
    /// The refusal that says so.
    pub fn code(&self) -> RefusalCode {
        match self {
            MoneyError::Scale { .. } => RefusalCode::AmountScale,
            MoneyError::TooLarge { .. } => RefusalCode::AmountTooLarge,
            MoneyError::CurrencyMismatch { .. } => RefusalCode::CurrencyMismatch,
        }
    }
}

impl From<MoneyError> for Refusal {
    fn from(error: MoneyError) -> Self {
        Refusal::new(error.code(), error.to_string())
    }
}

impl Money {
    /// An amount in major units; refuses a scale beyond the currency's exponent.
    pub fn new(amount: Decimal, currency: Currency) -> Result<Self, MoneyError> {
        let mut amount = amount;
        if amount.scale() != currency.exponent() {
            let given = amount;
            if given.normalize().scale() > currency.exponent() {
                return Err(MoneyError::Scale { amount: given, currency });
            }
            amount.rescale(currency.exponent());
            if amount.scale() != currency.exponent() {
                return Err(MoneyError::TooLarge { amount: given, currency });
            }
        }
        if amount.mantissa().unsigned_abs() > MAX_MINOR.unsigned_abs().into() {
            return Err(MoneyError::TooLarge { amount, currency });
        }
        // Zero has one text: `-0` would be another.
        if amount.is_zero() {
            amount.set_sign_positive(true);
        }
        Ok(Self { amount, currency })
    }

    /// An amount counted in minor units (cents, francs, satoshi); any total of an account fits.
    pub fn from_minor(minor: i64, currency: Currency) -> Self {
        Self { amount: Decimal::from_i128_with_scale(i128::from(minor), currency.exponent()), currency }
    }

    /// Nothing, in a currency.
    pub fn zero(currency: Currency) -> Self {
        Self::from_minor(0, currency)
    }

    /// The amount in major units, at the currency's scale.
    pub fn amount(&self) -> Decimal {
        self.amount
    }

    /// The currency.
    pub fn currency(&self) -> Currency {
        self.currency
    }

    /// The amount in minor units.
    pub fn minor(&self) -> i64 {
        // Both constructors bound the mantissa by what an `i64` holds.
        self.amount.mantissa() as i64
    }

    /// More than zero.
    pub fn is_positive(&self) -> bool {
        self.minor() > 0
    }

    /// Exactly zero.
    pub fn is_zero(&self) -> bool {
        self.amount.is_zero()
    }

    /// The sum of two amounts in one currency.
    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        self.combine(other, i64::checked_add)
    }

    /// The difference of two amounts in one currency.
    pub fn checked_sub(self, other: Self) -> Result<Self, MoneyError> {
        self.combine(other, i64::checked_sub)
    }

    /// Parts in proportion to `weights`, rounded down; what is left goes, one minor unit each, to the
    /// first parts, so the parts always sum to the whole (Numscript's rule). A weight of
    /// zero gets nothing, not even of what is left.
    ///
    /// `None` if the weights are empty, negative, all zero or more than 37 digits apart, or the amount is
    /// negative.
    pub fn split(self, weights: &[Decimal]) -> Option<Vec<Money>> {
        let whole = u64::try_from(self.minor()).ok()?;
        let scale = weights.iter().map(|weight| weight.normalize().scale()).max()?;
        // All weights as whole numbers of one scale: ordinary division keeps 28 digits and would round up.
        let weights: Vec<u128> = weights
            .iter()
            .map(|weight| {
                let weight = weight.normalize();
                u128::try_from(weight.mantissa()).ok()?.checked_mul(10_u128.checked_pow(scale - weight.scale())?)
            })
            .collect::<Option<_>>()?;
        let total = weights.iter().try_fold(0_u128, |sum, weight| sum.checked_add(*weight)).filter(|total| *total > 0)?;
        let mut rest = self.minor();
        let mut parts = Vec::with_capacity(weights.len());
        for weight in &weights {
            let share = i64::try_from(multiply_divide(whole, *weight, total)?.0).ok()?;
            rest -= share;
            parts.push(share);
        }
        for (part, _) in parts.iter_mut().zip(&weights).filter(|(_, weight)| **weight > 0) {
            if rest == 0 {
                break;
            }
            *part += 1;
            rest -= 1;
        }
        assert_eq!(rest, 0, "each part lost less than a unit");
        Some(parts.into_iter().map(|minor| Money::from_minor(minor, self.currency)).collect())
    }

    /// This amount at a rate in another currency, rounded by the named mode: the only place that rounds.
    pub fn convert(self, rate: Decimal, into: Currency, rounding: Rounding) -> Result<Money, MoneyError> {
        let too_large = || MoneyError::TooLarge { amount: self.amount, currency: self.currency };
        let rate = rate.normalize();
        // minor × rate × 10^to ÷ 10^from, exact until it is rounded once.
        let (from, to) = (self.currency.exponent() + rate.scale(), into.exponent());
        let numerator = rate.mantissa().unsigned_abs() * 10_u128.pow(to.saturating_sub(from));
        let denominator = 10_u128.pow(from.saturating_sub(to));
        let (quotient, rest) = multiply_divide(self.minor().unsigned_abs(), numerator, denominator).ok_or_else(too_large)?;
        let minor = i128::try_from(quotient).ok().and_then(|quotient| quotient.checked_add(rounding.up(quotient, rest, denominator)));
        let negative = (self.minor() < 0) != rate.is_sign_negative();
        let converted = minor.and_then(|minor| Decimal::try_from_i128_with_scale(if negative { -minor } else { minor }, to).ok());
        Money::new(converted.ok_or_else(too_large)?, into)
    }

    fn combine(self, other: Self, sum: fn(i64, i64) -> Option<i64>) -> Result<Self, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::CurrencyMismatch { left: self.currency, right: other.currency });
        }
        match sum(self.minor(), other.minor()) {
            Some(minor) => Ok(Self::from_minor(minor, self.currency)),
            None => Err(MoneyError::TooLarge { amount: self.amount, currency: self.currency }),
        }
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.amount, self.currency)
    }
}

impl fmt::Debug for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl JsonSchema for Money {
    fn schema_name() -> Cow<'static, str> {
        "Money".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let mut schema = UncheckedMoney::json_schema(generator);
        schema.insert("description".to_owned(), "An exact amount in one currency, at the currency's own scale".into());
        schema
    }
}

/// An amount as somebody asked for it: not yet money, its scale and sign are still to be judged.
///
/// On every wire `{"amount": "10000", "currency": "XOF"}`, a decimal string in major units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UncheckedMoney {
    /// Major units, as a decimal string.
    #[serde(with = "decimal_string")]
    #[schemars(with = "String", regex(pattern = r"^-?[0-9]+(\.[0-9]+)?$"))]
    pub amount: Decimal,
    /// ISO 4217 code.
    pub currency: Currency,
}

impl From<Money> for UncheckedMoney {
    fn from(money: Money) -> Self {
        Self { amount: money.amount, currency: money.currency }
    }
}

impl TryFrom<UncheckedMoney> for Money {
    type Error = MoneyError;

    fn try_from(asked: UncheckedMoney) -> Result<Self, MoneyError> {
        Money::new(asked.amount, asked.currency)
    }
}
