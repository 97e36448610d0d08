//! Decimals as plain decimal strings: a JSON number is refused, because its reader may make it a float.

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
    parse(&text).ok_or_else(|| de::Error::invalid_value(de::Unexpected::Str(&text), &"a decimal string such as \"10000\" or \"-12.50\""))
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
