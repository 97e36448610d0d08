//! `expected_heads`: the journal passes through every head, and has every record of every export, that `--against` names.

use std::fmt;
use std::str::FromStr;

use cauri_event_schemas::Position;
use cauri_event_store::consistency::RootPart;
use cauri_event_store::{ConsistencyToken, Hash, Head};

use super::{Check, roots::Roots};
use crate::finding::Findings;

/// A root that somebody noted earlier: a head, written `POSITION:ROOT`, or a consistency token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpectedHead {
    /// Where.
    pub position: Position,
    root: NotedRoot,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NotedRoot {
    Whole(Hash),
    /// As much as a token has.
    Part(RootPart),
}

impl From<Head> for ExpectedHead {
    fn from(head: Head) -> Self {
        Self { position: head.position, root: NotedRoot::Whole(head.root) }
    }
}

impl NotedRoot {
    fn is_of(&self, root: &Hash) -> bool {
        match self {
            Self::Whole(whole) => whole == root,
            Self::Part(part) => *part == RootPart::of(root),
        }
    }
}

impl fmt::Display for NotedRoot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(root) => root.fmt(f),
            Self::Part(part) => write!(f, "{part}…"),
        }
    }
}

/// A text that is neither `POSITION:ROOT` nor a consistency token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not POSITION:ROOT, a number and 64 hexadecimal digits, as `cauri-replay head` writes them, nor a consistency token")]
pub struct InvalidHead(String);

impl FromStr for ExpectedHead {
    type Err = InvalidHead;

    fn from_str(text: &str) -> Result<Self, InvalidHead> {
        let head = || {
            let (position, root) = text.split_once(':')?;
            let digits = position.bytes().all(|byte| byte.is_ascii_digit());
            let position = digits.then(|| position.parse().ok()).flatten()?;
            Some(Self { position: Position::new(position), root: NotedRoot::Whole(root.parse::<Hash>().ok()?) })
        };
        let token = || {
            let token: ConsistencyToken = text.parse().ok()?;
            Some(Self { position: token.position, root: NotedRoot::Part(token.root) })
        };
        head().or_else(token).ok_or_else(|| InvalidHead(text.chars().take(100).collect()))
    }
}

/// Was the root at each noted position what was noted?
pub(crate) fn check(expected: &[ExpectedHead], roots: &Roots, last: Position, findings: &mut Findings) {
    for ExpectedHead { position, root: noted } in expected {
        match roots.at(*position) {
            Some(root) if noted.is_of(&root) => {}
            Some(root) => {
                let what = format!("the journal's root at {position} is {root}, {noted} was noted");
                findings.at(Check::ExpectedHeads, *position, what);
            }
            None => {
                let what = format!("the root {noted} was noted at {position}, the journal ends at {last}");
                findings.at(Check::ExpectedHeads, last.next(), what);
            }
        }
    }
}
