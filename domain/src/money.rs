//! Money and currencies: exact decimals with the currency's own scale, checked arithmetic only.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::num::NonZeroU8;
use std::str::FromStr;

use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::refusal::{Refusal, RefusalCode};
use crate::text;

/// Digits after the point that a currency may have at most; it keeps totals inside an `i64` of minor units.
pub const MAX_EXPONENT: u32 = 8;

/// The largest amount of one transfer, in minor units; totals of an account stay below `i64::MAX`.
pub const MAX_MINOR: i64 = 1_000_000_000_000_000_000;

/// Currencies and their exponents: ISO 4217 (active codes of 2025) and a few crypto assets.
///
/// By code, because it is searched by halving. A code is never taken out: codes are stored, the index is not.
const CURRENCIES: &[(&str, u8)] = &[
    ("AED", 2),
    ("AFN", 2),
    ("ALL", 2),
    ("AMD", 2),
    ("AOA", 2),
    ("ARS", 2),
    ("AUD", 2),
    ("AWG", 2),
    ("AZN", 2),
    ("BAM", 2),
    ("BBD", 2),
    ("BDT", 2),
    ("BGN", 2),
    ("BHD", 3),
    ("BIF", 0),
    ("BMD", 2),
    ("BND", 2),
    ("BOB", 2),
    ("BRL", 2),
    ("BSD", 2),
    ("BTC", 8),
    ("BTN", 2),
    ("BWP", 2),
    ("BYN", 2),
    ("BZD", 2),
    ("CAD", 2),
    ("CDF", 2),
    ("CHF", 2),
    ("CLP", 0),
    ("CNY", 2),
    ("COP", 2),
    ("CRC", 2),
    ("CUP", 2),
    ("CVE", 2),
    ("CZK", 2),
    ("DJF", 0),
    ("DKK", 2),
    ("DOP", 2),
    ("DZD", 2),
    ("EGP", 2),
    ("ERN", 2),
    ("ETB", 2),
    ("ETH", 8),
    ("EUR", 2),
    ("FJD", 2),
    ("FKP", 2),
    ("GBP", 2),
    ("GEL", 2),
    ("GHS", 2),
    ("GIP", 2),
    ("GMD", 2),
    ("GNF", 0),
    ("GTQ", 2),
    ("GYD", 2),
    ("HKD", 2),
    ("HNL", 2),
    ("HTG", 2),
    ("HUF", 2),
    ("IDR", 2),
    ("ILS", 2),
    ("INR", 2),
    ("IQD", 3),
    ("IRR", 2),
    ("ISK", 0),
    ("JMD", 2),
    ("JOD", 3),
    ("JPY", 0),
    ("KES", 2),
    ("KGS", 2),
    ("KHR", 2),
    ("KMF", 0),
    ("KPW", 2),
    ("KRW", 0),
    ("KWD", 3),
    ("KYD", 2),
    ("KZT", 2),
    ("LAK", 2),
    ("LBP", 2),
    ("LKR", 2),
    ("LRD", 2),
    ("LSL", 2),
    ("LYD", 3),
    ("MAD", 2),
    ("MDL", 2),
    ("MGA", 2),
    ("MKD", 2),
    ("MMK", 2),
    ("MNT", 2),
    ("MOP", 2),
    ("MRU", 2),
    ("MUR", 2),
    ("MVR", 2),
    ("MWK", 2),
    ("MXN", 2),
    ("MYR", 2),
    ("MZN", 2),
    ("NAD", 2),
    ("NGN", 2),
    ("NIO", 2),
    ("NOK", 2),
    ("NPR", 2),
    ("NZD", 2),
    ("OMR", 3),
    ("PAB", 2),
    ("PEN", 2),
    ("PGK", 2),
    ("PHP", 2),
    ("PKR", 2),
    ("PLN", 2),
    ("PYG", 0),
    ("QAR", 2),
    ("RON", 2),
    ("RSD", 2),
    ("RUB", 2),
    ("RWF", 0),
    ("SAR", 2),
    ("SBD", 2),
    ("SCR", 2),
    ("SDG", 2),
    ("SEK", 2),
    ("SGD", 2),
    ("SHP", 2),
    ("SLE", 2),
    ("SOS", 2),
    ("SRD", 2),
    ("SSP", 2),
    ("STN", 2),
    ("SVC", 2),
    ("SYP", 2),
    ("SZL", 2),
    ("THB", 2),
    ("TJS", 2),
    ("TMT", 2),
    ("TND", 3),
    ("TOP", 2),
    ("TRY", 2),
    ("TTD", 2),
    ("TWD", 2),
    ("TZS", 2),
    ("UAH", 2),
    ("UGX", 0),
    ("USD", 2),
    ("USDC", 6),
    ("USDT", 6),
    ("UYU", 2),
    ("UZS", 2),
    ("VED", 2),
    ("VES", 2),
    ("VND", 0),
    ("VUV", 0),
    ("WST", 2),
    ("XAF", 0),
    ("XCD", 2),
    ("XCG", 2),
    ("XOF", 0),
    ("XPF", 0),
    ("YER", 2),
    ("ZAR", 2),
    ("ZMW", 2),
    ("ZWG", 2),
];

/// A currency that Cauri knows, with its exponent (XOF 0, EUR 2, TND 3, BTC 8).
///
/// XOF and XAF have the same exponent and are different currencies.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Currency(
    /// The place in the table, from 1: a zero would cost an `Option<Money>` four bytes.
    NonZeroU8,
);

/// A currency code that Cauri does not know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a currency that Cauri knows; use an ISO 4217 code such as XOF, or BTC, ETH, USDC, USDT")]
pub struct UnknownCurrency(pub String);

impl Currency {
    /// West African CFA franc, exponent 0.
    pub const XOF: Currency = Currency::named("XOF");
    /// Euro, exponent 2.
    pub const EUR: Currency = Currency::named("EUR");
    /// US dollar, exponent 2.
    pub const USD: Currency = Currency::named("USD");

    const fn named(code: &str) -> Currency {
        let mut index = 0;
        while index < CURRENCIES.len() {
            let (candidate, wanted) = (CURRENCIES[index].0.as_bytes(), code.as_bytes());
            if candidate.len() == wanted.len() && candidate[0] == wanted[0] && candidate[1] == wanted[1] && candidate[2] == wanted[2] {
                return Currency::at(index);
            }
            index += 1;
        }
        panic!("not in the table of currencies");
    }

    const fn at(index: usize) -> Currency {
        const { assert!(CURRENCIES.len() < 256, "a place in the table is a byte, and zero is none") };
        Currency(NonZeroU8::MIN.saturating_add(index as u8))
    }

    fn row(self) -> (&'static str, u8) {
        CURRENCIES[usize::from(self.0.get()) - 1]
    }

    /// The code, for example `XOF`.
    pub fn code(self) -> &'static str {
        self.row().0
    }

    /// Digits after the point.
    pub fn exponent(self) -> u32 {
        u32::from(self.row().1)
    }

    /// Every currency that Cauri knows, by code.
    pub fn all() -> impl Iterator<Item = Currency> {
        (0..CURRENCIES.len()).map(Currency::at)
    }
}

impl FromStr for Currency {
    type Err = UnknownCurrency;

    fn from_str(code: &str) -> Result<Self, UnknownCurrency> {
        CURRENCIES
            .binary_search_by(|(candidate, _)| (*candidate).cmp(code))
            .map(Currency::at)
            .map_err(|_| UnknownCurrency(code.chars().take(16).collect()))
    }
}

impl Serialize for Currency {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text::parsed(deserializer)
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl JsonSchema for Currency {
    fn schema_name() -> Cow<'static, str> {
        "Currency".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[A-Z]{3,4}$", "description": "ISO 4217 code, or BTC, ETH, USDC, USDT" })
    }
}

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

/// How an amount is rounded where rounding is allowed at all; the name goes into the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rounding {
    /// Towards zero: in favour of the position account of an exchange.
    Down,
    /// To the nearest, a half to the even neighbour.
    HalfEven,
}

impl Rounding {
    /// 1 where a quotient with this rest becomes the next whole number.
    fn up(self, quotient: i128, rest: u128, denominator: u128) -> i128 {
        match self {
            Rounding::Down => 0,
            Rounding::HalfEven => match (rest * 2).cmp(&denominator) {
                Ordering::Less => 0,
                Ordering::Equal => quotient % 2,
                Ordering::Greater => 1,
            },
        }
    }
}

/// `whole × numerator ÷ denominator`, exact: the quotient and what is left; `None` where it does not fit.
fn multiply_divide(whole: u64, numerator: u128, denominator: u128) -> Option<(u128, u128)> {
    if let Some(product) = u128::from(whole).checked_mul(numerator) {
        return Some((product / denominator, product % denominator));
    }
    // The product has more than 128 bits: multiply and divide bit by bit, most significant first.
    let (mut quotient, mut rest) = (0_u128, 0_u128);
    for bit in (0..u64::BITS).rev() {
        let added = if whole >> bit & 1 == 1 { numerator } else { 0 };
        rest = rest.checked_mul(2)?.checked_add(added)?;
        quotient = quotient.checked_mul(2)?.checked_add(rest / denominator)?;
        rest %= denominator;
    }
    Some((quotient, rest))
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

/// Decimals as plain decimal strings: a JSON number is refused, because its reader may make it a float.
pub mod decimal_string {
    use rust_decimal::Decimal;
    use serde::{Deserialize, Deserializer, Serializer, de};

    use crate::text::Text;

    /// Writes the decimal as it is, with all its digits after the point.
    pub fn serialize<S: Serializer>(amount: &Decimal, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(amount)
    }

    /// Reads digits with an optional sign and point; no exponent, no underscore, no white space.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Decimal, D::Error> {
        let Text(text) = Text::deserialize(deserializer)?;
        parse(&text)
            .ok_or_else(|| de::Error::invalid_value(de::Unexpected::Str(&text), &"a decimal string such as \"10000\" or \"-12.50\""))
    }

    /// The one reading of a decimal in text.
    pub fn parse(text: &str) -> Option<Decimal> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !all_digits(whole) || !all_digits(fraction) || (digits.contains('.') && digits.ends_with('.')) {
            return None;
        }
        // Exact: a 29th digit would be rounded by the ordinary reader.
        Decimal::from_str_exact(text).ok()
    }
}
