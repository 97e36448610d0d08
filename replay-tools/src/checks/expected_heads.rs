//! `expected_heads`: the journal passes through every head that `--expect-head` names.

use std::str::FromStr;

use cauri_event_schemas::Position;
use cauri_event_store::{Hash, Head};

use super::{Check, roots::Roots};
use crate::finding::Findings;

/// A head that somebody noted earlier, written `POSITION:ROOT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpectedHead(pub Head);

/// A text that is not `POSITION:ROOT`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not POSITION:ROOT, a number and 64 hexadecimal digits, as `cauri-replay head` writes them")]
pub struct InvalidHead(String);

impl FromStr for ExpectedHead {
    type Err = InvalidHead;

    fn from_str(text: &str) -> Result<Self, InvalidHead> {
        let parse = || {
            let (position, root) = text.split_once(':')?;
            let digits = position.bytes().all(|byte| byte.is_ascii_digit());
            let position = digits.then(|| position.parse().ok()).flatten()?;
            Some(Self(Head { position: Position::new(position), root: root.parse::<Hash>().ok()? }))
        };
        parse().ok_or_else(|| InvalidHead(text.chars().take(100).collect()))
    }
}

/// Was the root at each noted position what was noted?
pub(crate) fn check(expected: &[ExpectedHead], roots: &Roots, last: Position, findings: &mut Findings) {
    for ExpectedHead(head) in expected {
        match roots.at(head.position) {
            Some(root) if root == head.root => {}
            Some(root) => {
                let what = format!("the root up to {} is {root}, {} was expected", head.position, head.root);
                findings.at(Check::ExpectedHeads, head.position, what);
            }
            None => {
                let what = format!("a head at {} was expected, the journal ends at {last}", head.position);
                findings.at(Check::ExpectedHeads, last.next(), what);
            }
        }
    }
}
