//! Names of instruments and of those who give quotes.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::text::text_type;

/// The name of an instrument: 1 to 32 of `A-Z`, `0-9`, `.`, `_`, `-`, as `EURUSD` or `BRK.B`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Symbol(Arc<str>);

/// A text that is not a symbol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a symbol: 1 to 32 of A-Z, 0-9, `.`, `_`, `-`")]
pub struct InvalidSymbol(String);

text_type!(Symbol, InvalidSymbol, "^[A-Z0-9._-]{1,32}$", "1 to 32 of A-Z, 0-9, ., _, -", |text| {
    (1..=32).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b'-'))
});

/// Who gives quotes: 1 to 32 of `a-z`, `0-9`, `-`, as `polygon`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source(Arc<str>);

/// A text that is not a source.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a source: 1 to 32 of a-z, 0-9, `-`")]
pub struct InvalidSource(String);

text_type!(Source, InvalidSource, "^[a-z0-9-]{1,32}$", "1 to 32 of a-z, 0-9, -", |text| {
    (1..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
});
