//! The parts that commands of the day are made of.

use std::collections::BTreeMap;

use cauri_domain::account::{AccountKind, OpenAccount};
use cauri_domain::entry::{TransferAmount, TransferRequest};
use cauri_domain::ids::{AccountAddress, CommandKey};
use cauri_domain::limits::UncheckedLimits;
use cauri_domain::money::{Currency, UncheckedMoney};
use cauri_domain::text::{Key, ShortText};
use cauri_domain::time::Timestamp;

pub(super) fn open(address: &AccountAddress, kind: AccountKind, chart_code: &str, limits: UncheckedLimits) -> OpenAccount {
    let limits = (limits != UncheckedLimits::none()).then_some(limits);
    OpenAccount {
        address: address.clone(),
        chart_code: Some(text(chart_code)),
        currency: Currency::XOF,
        kind,
        limits,
        metadata: BTreeMap::new(),
        owner: None,
    }
}

pub(super) fn transfer(debit: &AccountAddress, credit: &AccountAddress, amount: i64) -> TransferRequest {
    TransferRequest { debit: debit.clone(), credit: credit.clone(), amount: TransferAmount::Exactly(francs(amount)), reason: None }
}

/// A transfer of a charge, unless it was rounded down to nothing.
pub(super) fn charge(transfers: &mut Vec<TransferRequest>, debit: &AccountAddress, credit: &AccountAddress, amount: i64) {
    if amount > 0 {
        transfers.push(transfer(debit, credit, amount));
    }
}

pub(super) fn francs(amount: i64) -> UncheckedMoney {
    UncheckedMoney { amount: amount.into(), currency: Currency::XOF }
}

pub(super) fn instant(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH.saturating_add_secs(seconds)
}

/// The shop in a merchant's address.
pub(super) fn shop_of(address: &AccountAddress) -> String {
    address.as_str().split(':').nth(1).unwrap_or_default().to_owned()
}

pub(super) fn dimensions(pairs: &[(&str, &str)]) -> BTreeMap<Key, ShortText> {
    pairs.iter().map(|(key, value)| (key.parse().expect("a key of this file"), text(value))).collect()
}

pub(super) fn text(text: &str) -> ShortText {
    text.parse().expect("a short text of this file")
}

pub(super) fn address(text: &str) -> AccountAddress {
    text.parse().expect("an address of this file")
}

pub(super) fn command_key(text: &str) -> CommandKey {
    text.parse().expect("a command key of this file")
}
