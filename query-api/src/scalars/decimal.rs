//! `Decimal`: an exact amount.

use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};
use cauri_domain::money::Currency;
use cauri_domain::money::decimal_string;

/// An exact decimal as a string, such as `"10000"` or `"-12.50"`: never a JSON number, whose reader may make it a float.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal(pub rust_decimal::Decimal);

impl Decimal {
    /// Minor units as major units at the currency's scale; `None` beyond 28 digits.
    pub fn from_minor(minor: i128, currency: Currency) -> Option<Self> {
        rust_decimal::Decimal::try_from_i128_with_scale(minor, currency.exponent()).ok().map(Self)
    }
}

/// An exact decimal as a string in major units, with as many digits after the point as the currency has: `"10000"` XOF, `"-12.50"` EUR. Never a JSON number, whose reader may make it a float.
#[Scalar]
impl ScalarType for Decimal {
    fn parse(value: Value) -> InputValueResult<Self> {
        match value {
            Value::String(text) => {
                let parsed = decimal_string::parse(&text).map(Self);
                parsed.ok_or_else(|| InputValueError::custom("a decimal string such as \"10000\" or \"-12.50\" is needed"))
            }
            other => Err(InputValueError::expected_type(other)),
        }
    }

    fn to_value(&self) -> Value {
        Value::String(self.0.to_string())
    }
}
