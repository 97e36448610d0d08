//! The consistency token: journal and head of an answer as one opaque string.
//!
//! The text is base64 (URL alphabet, no padding) of `v2:JOURNAL:POSITION:ROOT`, where ROOT is the first 16 of the
//! root's 64 hexadecimal digits. Tokens of the form `v1:JOURNAL:POSITION` were given by earlier programs: they do not say
//! which history of the journal they belong to, and are refused.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use cauri_event_schemas::Position;

use crate::merkle::Hash;
use crate::port::Head;

/// The first 8 bytes of a root: enough to tell one history from another.
///
/// Two histories that were not made to agree have the same part with a probability of 2^-64. A token protects callers
/// against a journal that was restored, not against somebody who forges one: whole roots do that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RootPart([u8; 8]);

impl RootPart {
    /// The part of a whole root.
    pub fn of(root: &Hash) -> Self {
        let mut part = [0; 8];
        part.copy_from_slice(&root.0[..8]);
        Self(part)
    }
}

impl fmt::Display for RootPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for RootPart {
    type Err = InvalidRootPart;

    fn from_str(text: &str) -> Result<Self, InvalidRootPart> {
        if text.len() != 16 || !text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(InvalidRootPart);
        }
        u64::from_str_radix(text, 16).map(|number| Self(number.to_be_bytes())).map_err(|_| InvalidRootPart)
    }
}

/// A text that is not the first part of a root.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the part of a root has 16 hexadecimal digits, in small letters")]
pub struct InvalidRootPart;

/// A journal and a head of it. A query given one waits until its read models got there, and is refused where the
/// journal has another root there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsistencyToken {
    /// The journal's name.
    pub journal: String,
    /// The position that must be visible.
    pub position: Position,
    /// The part of the root there.
    pub root: RootPart,
}

impl ConsistencyToken {
    /// The token of a head.
    pub fn new(journal: &str, head: &Head) -> Self {
        Self { journal: journal.to_owned(), position: head.position, root: RootPart::of(&head.root) }
    }
}

/// A text that is not a consistency token of this program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidConsistencyToken {
    /// No answer of Cauri ever carried it.
    #[error("{0:?} is not a consistency token: use the `position` of an earlier answer, unchanged")]
    Unknown(String),
    /// A token of an earlier program, which does not say which history of the journal it belongs to.
    #[error(
        "{0:?} is a consistency token of the old form v1, which does not tell one history of a journal from another: \
         use the `position` of a newer answer, or the plain journal position"
    )]
    OldForm(String),
}

impl fmt::Display for ConsistencyToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64_URL_SAFE_NO_PAD.encode(format!("v2:{}:{}:{}", self.journal, self.position, self.root)))
    }
}

impl FromStr for ConsistencyToken {
    type Err = InvalidConsistencyToken;

    fn from_str(text: &str) -> Result<Self, InvalidConsistencyToken> {
        let shown = || text.chars().take(120).collect::<String>();
        let decoded = BASE64_URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let decoded = decoded.ok_or_else(|| InvalidConsistencyToken::Unknown(shown()))?;
        let place = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| text.parse().ok()).flatten().map(Position::new)
        };
        if let Some((_, position)) = decoded.strip_prefix("v1:").and_then(|rest| rest.rsplit_once(':'))
            && place(position).is_some()
        {
            return Err(InvalidConsistencyToken::OldForm(shown()));
        }
        let parse = || {
            let (rest, root) = decoded.strip_prefix("v2:")?.rsplit_once(':')?;
            let (journal, position) = rest.rsplit_once(':')?;
            Some(Self { journal: journal.to_owned(), position: place(position)?, root: root.parse().ok()? })
        };
        parse().ok_or_else(|| InvalidConsistencyToken::Unknown(shown()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_back_as_it_was_given() {
        let head = Head { position: Position::new(8_189), root: Hash::of_leaf(b"record") };
        let token = ConsistencyToken::new("ledger:ci", &head);
        assert_eq!(token.root.to_string(), head.root.to_string()[..16]);
        assert_eq!(token.to_string().parse(), Ok(token));
    }

    #[test]
    fn a_text_that_is_no_token_is_refused() {
        let encoded = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
        let texts = ["", "v2:ledger", "v2:ledger:1", "v2:ledger:1:", "v2:ledger:+1:0123456789abcdef", "v2:ledger:1:0123456789abcde"]
            .map(encoded)
            .into_iter()
            .chain(["8189".to_owned(), "!!!".to_owned(), encoded("v2:ledger:1:0123456789ABCDEF"), encoded("v3:ledger:1:0123456789abcdef")]);
        for text in texts {
            let parsed = text.parse::<ConsistencyToken>();
            assert!(matches!(parsed, Err(InvalidConsistencyToken::Unknown(_))), "{text}: {parsed:?}");
        }
    }

    #[test]
    fn a_token_of_the_old_form_is_refused_by_name() {
        let refused = BASE64_URL_SAFE_NO_PAD.encode("v1:ledger:8189").parse::<ConsistencyToken>();
        assert!(matches!(&refused, Err(InvalidConsistencyToken::OldForm(_))), "{refused:?}");
        assert!(refused.expect_err("an old form").to_string().contains("old form v1"));
    }
}
