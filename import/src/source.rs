//! The name of what a file comes from.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest name.
const MOST_CHARACTERS: usize = 64;

/// A source of files, for example a bank or a payment provider: `psp-settlements`.
///
/// Equal rows of one source are the same command, in whatever file they stand; rows of two sources never are.
/// 1 to 64 letters, digits, `.`, `_`, `-`, beginning with a letter or digit.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SourceName(String);

/// A text that is not a [`SourceName`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the name of a source: 1 to 64 letters, digits, `.`, `_`, `-`, beginning with a letter or digit")]
pub struct InvalidSourceName(String);

impl SourceName {
    /// The source of files for which none is named: `default`.
    pub fn unnamed() -> Self {
        Self("default".to_owned())
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SourceName {
    type Err = InvalidSourceName;

    fn from_str(text: &str) -> Result<Self, InvalidSourceName> {
        let good = (1..=MOST_CHARACTERS).contains(&text.len())
            && text.starts_with(|first: char| first.is_ascii_alphanumeric())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
        if good { Ok(Self(text.to_owned())) } else { Err(InvalidSourceName(text.chars().take(80).collect())) }
    }
}

impl TryFrom<String> for SourceName {
    type Error = InvalidSourceName;

    fn try_from(text: String) -> Result<Self, InvalidSourceName> {
        text.parse()
    }
}

impl From<SourceName> for String {
    fn from(name: SourceName) -> Self {
        name.0
    }
}

impl fmt::Display for SourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_letters_digits_and_three_marks() {
        for good in ["default", "a", "7", "psp-7.settlements_EU", &"x".repeat(64)] {
            assert_eq!(good.parse::<SourceName>().map(String::from).as_deref(), Ok(good));
        }
        for bad in ["", "-a", ".a", "_a", "a b", "a/b", "a:b", "é", &"x".repeat(65)] {
            assert!(bad.parse::<SourceName>().is_err(), "{bad:?}");
        }
    }
}
