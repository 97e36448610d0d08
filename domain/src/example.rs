//! The values that examples of events are made of: a day of the merchant `awa`.

use crate::entry::Transfer;
use crate::ids::{AccountAddress, CommandKey, EntryId};
use crate::limits::Limits;
use crate::money::{Currency, Money};
use crate::text::{Key, ShortText};
use crate::time::Timestamp;

/// Awa's account.
pub const AWA: &str = "merchants:awa:available";

/// When the day begins.
pub fn start() -> Timestamp {
    "2026-03-16T08:00:00Z".parse().expect("an instant")
}

/// A text.
pub fn text(text: &str) -> ShortText {
    text.parse().expect("a short text")
}

/// Why an authority asked for something.
pub fn reason() -> ShortText {
    text("Demande de l'autorité n° 17")
}

/// A key.
pub fn key(key: &str) -> Key {
    key.parse().expect("a key")
}

/// An account's address.
pub fn address(address: &str) -> AccountAddress {
    address.parse().expect("an address")
}

/// The id of the day's entry with this number.
pub fn entry(number: u128) -> EntryId {
    EntryId::from_u128(0x0190_f1c2_7e4b_7cc3_98c4_dc0c_0c07_0000 | number)
}

/// A command of Awa's back office.
pub fn command() -> CommandKey {
    "https://id.awa.example awa-backoffice awa-2026-03-16-000013".parse().expect("a caller and an id")
}

/// Francs.
pub fn xof(minor: i64) -> Money {
    Money::from_minor(minor, Currency::XOF)
}

/// An overdraft and a ceiling.
pub fn limits() -> Limits {
    Limits { ceiling: Some(xof(2_000_000)), floor: Some(xof(-5_000)) }
}

/// One transfer.
pub fn transfer(debit: &str, credit: &str, minor: i64, reason: Option<&str>) -> Transfer {
    Transfer { amount: xof(minor), credit: address(credit), debit: address(debit), reason: reason.map(text) }
}

/// A payment by mobile money, with its fee and the tax on the fee.
pub fn collection() -> [Transfer; 3] {
    [
        transfer("providers:wave:receivable", AWA, 9_890, Some("collection")),
        transfer("providers:wave:receivable", "income:fees:collection", 100, Some("fee 1 %")),
        transfer("providers:wave:receivable", "liabilities:taxes:taf", 10, Some("TAF 10 %")),
    ]
}

/// A payout, with its fee.
pub fn payout() -> [Transfer; 2] {
    [transfer(AWA, "providers:wave:float", 5_000, Some("payout")), transfer(AWA, "income:fees:payout", 50, Some("fee"))]
}

/// One franc without a reason.
pub fn smallest() -> [Transfer; 1] {
    [transfer(AWA, "banks:ecobank:ringfenced", 1, None)]
}
