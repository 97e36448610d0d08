//! Short names for the values that tests speak of.

use cauri_domain::fold::Totals;
use cauri_domain::ids::{AccountAddress, EntryId};
use cauri_domain::money::{Currency, Money};
use cauri_domain::text::ShortText;
use cauri_domain::time::Timestamp;

/// Monday 2026-03-16, 08:00 UTC: when every test begins.
pub fn start() -> Timestamp {
    Timestamp::UNIX_EPOCH.saturating_add_secs(1_773_648_000)
}

/// So many seconds after the beginning.
pub fn at(secs: i64) -> Timestamp {
    start().saturating_add_secs(secs)
}

pub fn address(text: &str) -> AccountAddress {
    text.parse().expect("an account address")
}

pub fn text(text: &str) -> ShortText {
    text.parse().expect("a short text")
}

pub fn xof(minor: i64) -> Money {
    Money::from_minor(minor, Currency::XOF)
}

/// The entry id that a name stands for: its letters.
pub fn entry_id(name: &str) -> EntryId {
    assert!((1..=16).contains(&name.len()), "`{name}` fits no UUID");
    EntryId::from_u128(name.bytes().fold(0, |id, letter| id << 8 | u128::from(letter)))
}

pub fn totals(debits_posted: i64, credits_posted: i64, debits_pending: i64, credits_pending: i64) -> Totals {
    Totals { debits_posted, credits_posted, debits_pending, credits_pending }
}
