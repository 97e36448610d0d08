//! `Position`: a place in the journal.

use async_graphql::{InputValueError, InputValueResult, Scalar, ScalarType, Value};

/// The largest whole number that every reader of JSON keeps exactly: 2^53 - 1.
const MAX_EXACT: u64 = (1 << 53) - 1;

/// A place in the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(pub cauri_event_schemas::Position);

/// A place in the journal: 1, 2, 3 … without gaps; 0 stands before the first event. A JSON number below 2^53 (the journal would have to grow for 28,000 years at 10,000 events a second to get there); as an argument a string of digits will do as well.
#[Scalar]
impl ScalarType for Position {
    fn parse(value: Value) -> InputValueResult<Self> {
        let needed = "a whole number from 0 to 9007199254740991 is needed";
        let number = position_in(&value).ok_or_else(|| InputValueError::custom(needed))?;
        Ok(Self(cauri_event_schemas::Position::new(number)))
    }

    fn to_value(&self) -> Value {
        Value::Number(self.0.get().into())
    }
}

impl From<cauri_event_schemas::Position> for Position {
    fn from(position: cauri_event_schemas::Position) -> Self {
        Self(position)
    }
}

/// The number of a position as an argument may write it.
pub(crate) fn position_in(value: &Value) -> Option<u64> {
    let number = match value {
        Value::Number(number) => number.as_u64()?,
        Value::String(text) => position_in_text(text)?,
        _ => return None,
    };
    (number <= MAX_EXACT).then_some(number)
}

/// The number of a position in text: digits and nothing else.
pub(crate) fn position_in_text(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_a_number_or_its_digits() {
        for (value, expected) in [
            (Value::from(0), Some(0)),
            (Value::from("42"), Some(42)),
            (Value::from(MAX_EXACT), Some(MAX_EXACT)),
            (Value::from(MAX_EXACT + 1), None),
            (Value::from("+1"), None),
            (Value::from(""), None),
            (Value::from(-1), None),
            (Value::from(1.5), None),
            (Value::Null, None),
        ] {
            assert_eq!(position_in(&value), expected, "{value}");
        }
    }
}
