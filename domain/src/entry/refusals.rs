//! What the rules of entries answer where they say no: wording, figures, and where in the command it is.

use super::Entry;
use crate::account::Account;
use crate::fold::Totals;
use crate::ids::AccountAddress;
use crate::money::{Currency, Money, UncheckedMoney};
use crate::refusal::{Refusal, RefusalCode};
use crate::time::Timestamp;

pub(super) fn entry_exists(entry: &Entry) -> Refusal {
    Refusal::new(RefusalCode::EntryExists, format!("the entry is {}", entry.status())).at("/id")
}

pub(super) fn entry_not_found() -> Refusal {
    Refusal::new(RefusalCode::EntryNotFound, "no entry was written under this id")
}

/// The refusal that an account's state asks for, if it is not open.
pub(super) fn unless_open(address: &AccountAddress, state: &Account) -> Result<(), Refusal> {
    let code = match state {
        Account::Open(_) => return Ok(()),
        Account::Unopened => RefusalCode::AccountNotFound,
        Account::Closed(_) => RefusalCode::AccountClosed,
        Account::Frozen(_) => RefusalCode::AccountFrozen,
    };
    Err(Refusal::new(code, format!("{address} is {}", state.status())))
}

pub(super) fn other_currency_than_account(index: usize, side: &str, address: &AccountAddress, holds: Currency, asked: Currency) -> Refusal {
    let detail = format!("{address} holds {holds}, the amount is in {asked}");
    Refusal::new(RefusalCode::CurrencyMismatch, detail).at(format!("/transfers/{index}/{side}"))
}

pub(super) fn other_currency_than_hold(index: usize, held: Currency, asked: Currency) -> Refusal {
    let detail = format!("the hold is in {held}, the amount in {asked}");
    Refusal::new(RefusalCode::CurrencyMismatch, detail).at(format!("/amounts/{index}"))
}

pub(super) fn same_account(index: usize, address: &AccountAddress) -> Refusal {
    Refusal::new(RefusalCode::SameAccount, format!("both sides are {address}")).at(format!("/transfers/{index}"))
}

pub(super) fn amount_not_positive(asked: &UncheckedMoney, wanted: &str, pointer: String) -> Refusal {
    let detail = format!("{} {} is not {wanted}", asked.amount, asked.currency);
    Refusal::new(RefusalCode::AmountNotPositive, detail).at(pointer)
}

pub(super) fn effective_in_future_too_far(effective_at: Timestamp, latest: Timestamp) -> Refusal {
    let detail = format!("{effective_at} is after {latest}, the last instant that an entry may be dated at now");
    Refusal::new(RefusalCode::EffectiveInFutureTooFar, detail).at("/effective_at")
}

pub(super) fn would_have_expired(expires_at: Timestamp, now: Timestamp) -> Refusal {
    let detail = format!("the hold would expire at {expires_at}, it is {now}");
    Refusal::new(RefusalCode::HoldExpired, detail).at("/hold/expires_at")
}

pub(super) fn hold_not_found(entry: &Entry) -> Refusal {
    let detail =
        if *entry == Entry::Unwritten { "no entry was written under this id" } else { "the entry was posted at once, it is no hold" };
    Refusal::new(RefusalCode::HoldNotFound, detail)
}

pub(super) fn hold_already_posted() -> Refusal {
    Refusal::new(RefusalCode::HoldAlreadyPosted, "a hold is posted at most once, whole or in part")
}

pub(super) fn hold_already_voided() -> Refusal {
    Refusal::new(RefusalCode::HoldAlreadyVoided, "what was held was given back")
}

pub(super) fn hold_expired() -> Refusal {
    Refusal::new(RefusalCode::HoldExpired, "what was held was given back when its time had passed")
}

pub(super) fn hold_amounts_mismatch(transfers: usize, amounts: usize) -> Refusal {
    let detail = format!("the hold has {transfers} transfers, the command {amounts} amounts");
    Refusal::new(RefusalCode::HoldAmountsMismatch, detail).at("/amounts")
}

pub(super) fn exceeds_hold(index: usize, held: Money, asked: Money) -> Refusal {
    let detail = format!("{held} was held, {asked} is to be posted");
    Refusal::new(RefusalCode::ExceedsHold, detail).at(format!("/amounts/{index}"))
}

pub(super) fn entry_not_posted(entry: &Entry) -> Refusal {
    let detail = match entry {
        Entry::Held(_) => "the entry is an open hold: void it instead",
        Entry::Posted(_) | Entry::HoldPosted(_) => "every transfer of the entry moved 0",
        _ => "the hold never moved anything",
    };
    Refusal::new(RefusalCode::EntryNotPosted, detail)
}

pub(super) fn already_reversed() -> Refusal {
    Refusal::new(RefusalCode::AlreadyReversed, "an entry is reversed at most once")
}

pub(super) fn turnover_exhausted(address: &AccountAddress, currency: Currency) -> Refusal {
    let most = Money::from_minor(Totals::MAX, currency);
    let detail =
        format!("{address} can count {most} on each side in its whole life, holds included; this would exceed it: use another account");
    Refusal::new(RefusalCode::TurnoverExhausted, detail)
}

pub(super) fn below_floor(address: &AccountAddress, floor: Money, available: i128, would_be: i128) -> Refusal {
    let (available, would_be) = (shown(available, floor), shown(would_be, floor));
    let detail = format!("{address} has {available} available and a floor of {floor}; it would have {would_be}");
    Refusal::new(RefusalCode::BelowFloor, detail)
}

pub(super) fn above_ceiling(address: &AccountAddress, ceiling: Money, expected: i128, would_be: i128) -> Refusal {
    let (expected, would_be) = (shown(expected, ceiling), shown(would_be, ceiling));
    let detail = format!("{address} has {expected} with what is held for it and a ceiling of {ceiling}; it would have {would_be}");
    Refusal::new(RefusalCode::AboveCeiling, detail)
}

/// Minor units for a person, in the currency of `like`.
fn shown(minor: i128, like: Money) -> String {
    i64::try_from(minor).map_or_else(|_| minor.to_string(), |minor| Money::from_minor(minor, like.currency()).to_string())
}
