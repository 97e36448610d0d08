//! The consistency token: the journal and position of an answer as one opaque string.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use cauri_event_schemas::Position;

/// A journal and a position in it. A query given one waits until its read models got there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsistencyToken {
    /// The journal's name.
    pub journal: String,
    /// The position that must be visible.
    pub position: Position,
}

/// A text that no answer of Cauri ever carried.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a consistency token: use the `position` of an earlier answer, unchanged")]
pub struct InvalidConsistencyToken(String);

impl fmt::Display for ConsistencyToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64_URL_SAFE_NO_PAD.encode(format!("v1:{}:{}", self.journal, self.position)))
    }
}

impl FromStr for ConsistencyToken {
    type Err = InvalidConsistencyToken;

    fn from_str(text: &str) -> Result<Self, InvalidConsistencyToken> {
        let parse = || {
            let decoded = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
            let (journal, position) = decoded.strip_prefix("v1:")?.rsplit_once(':')?;
            let digits = !position.is_empty() && position.bytes().all(|byte| byte.is_ascii_digit());
            let position = digits.then(|| position.parse().ok()).flatten()?;
            Some(Self { journal: journal.to_owned(), position: Position::new(position) })
        };
        parse().ok_or_else(|| InvalidConsistencyToken(text.chars().take(80).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_back_as_it_was_given() {
        let token = ConsistencyToken { journal: "ledger:ci".into(), position: Position::new(8_189) };
        assert_eq!(token.to_string().parse(), Ok(token));
    }

    #[test]
    fn a_text_that_is_no_token_is_refused() {
        for text in ["", "8189", "djE6bGVkZ2VyOg", "djE6bGVkZ2VyOisx", "!!!"] {
            assert!(text.parse::<ConsistencyToken>().is_err(), "{text}");
        }
    }
}
