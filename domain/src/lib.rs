//! The rules of Cauri: aggregates, folds, money and ids; no I/O, clock or randomness.
//!
//! Start with [`entry`]: `entry/decide.rs` holds the rules of double entry, `entry/state.rs` what an
//! entry can become, and [`fold::Balances`] is the decision state that the rules look at.
//!
//! **Invariant:** nothing in this crate reads a clock, a file, a socket or a random number; time and
//! ids arrive in the command, so a replay decides as the first run did.

pub mod account;
pub mod account_set;
pub mod command;
pub mod entry;
pub mod event;
pub mod example;
pub mod fold;
pub mod ids;
pub mod journal;
pub mod kind;
pub mod ledger;
pub mod limits;
pub mod market;
pub mod money;
pub mod position;
pub mod reach;
pub mod refusal;
pub mod text;
pub mod time;

pub use kind::Kind;
pub use ledger::{Ledger, LedgerCommand};
pub use position::{Position, StreamVersion};
pub use refusal::{Refusal, RefusalCode};

/// A stored event does not follow from the state before it: the journal contradicts itself.
///
/// This is corruption, never a refusal; whoever replays adds the position.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{event}` is not possible for {subject} that is {state}")]
pub struct IllegalTransition {
    /// What the event happened to, for example `entry 0190…`.
    pub subject: String,
    /// The state before the event, in words.
    pub state: String,
    /// The event's type.
    pub event: &'static str,
}

impl IllegalTransition {
    /// Names the pair that must not meet.
    pub fn new(subject: impl Into<String>, state: impl Into<String>, event: &'static str) -> Self {
        Self { subject: subject.into(), state: state.into(), event }
    }
}
