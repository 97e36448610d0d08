//! The canonical JSON (RFC 8785) of a command as it is declared: the bulk item that asks the same.
//!
//! `idempotency_key` and `expected_version` are left out, and so is every member that says nothing: an absent option, an
//! empty map, `false`. A limit of `open_account` in the account's own currency is its amount alone. Amounts have no zero that
//! could be left out (`10.5`, not `10.50`); instants are in UTC with six digits after the second. So two requests that mean
//! the same have the same bytes, alone or in bulk, but for one case: the limits of `change_limits` stay as they were
//! written, with or without a currency, because the command does not say which currency the account has.
//!
//! NOTE: fingerprints are made of these bytes, and stored; `event-schemas/fingerprints.jsonl` holds frozen samples.

use rust_decimal::Decimal;
use serde::Serialize;

use crate::account::{AccountAction, AccountCommand, ChangeLimits, OpenAccount};
use crate::entry::{EntryAction, HoldTerms, PostEntry, PostHold, TransferAmount, TransferRequest};
use crate::event::write_json;
use crate::ids::EntryId;
use crate::kind::declare_as_serialized;
use crate::limits::{LimitAmount, UncheckedLimits};
use crate::money::{Currency, UncheckedMoney};

/// Members are written in alphabetical order, `op` among them. Where a command holds money or limits, which can be written in
/// several ways, its struct is taken apart by name here, so that a field that is added to it does not compile before it is
/// declared; every other command is declared as it is serialized.
pub(super) fn account(command: &AccountCommand, out: &mut Vec<u8>) {
    let op = command.action.op();
    match &*command.action {
        AccountAction::Open(open) => open_account(op, open, out),
        AccountAction::ChangeLimits(ChangeLimits { limits }) => {
            let mut object = Object::begin(out);
            object.member("address", &command.address);
            object.limits(limits, None);
            object.member("op", op);
            object.end();
        }
        action => declare_as_serialized(op, Some(("address", command.address.to_string())), action, out),
    }
}

/// Declares a command for an entry.
pub(super) fn entry(id: EntryId, action: &EntryAction, out: &mut Vec<u8>) {
    let op = action.op();
    match action {
        EntryAction::Post(post) => post_entry(op, post, out),
        EntryAction::PostHold(PostHold { amounts, effective_at }) => {
            let mut object = Object::begin(out);
            if let Some(amounts) = amounts {
                object.name("amounts");
                array(object.out, amounts, |out, amount| money(out, *amount));
            }
            object.option("effective_at", effective_at.as_ref());
            object.member("id", &id);
            object.member("op", op);
            object.end();
        }
        action => declare_as_serialized(op, Some(("id", id.to_string())), action, out),
    }
}

fn open_account(op: &str, open: &OpenAccount, out: &mut Vec<u8>) {
    let OpenAccount { address, chart_code, currency, kind, limits, metadata, owner } = open;
    let mut object = Object::begin(out);
    object.member("address", address);
    object.option("chart_code", chart_code.as_ref());
    object.member("currency", currency);
    object.member("kind", kind);
    if let Some(limits) = limits.as_ref().filter(|limits| **limits != UncheckedLimits::none()) {
        object.limits(limits, Some(*currency));
    }
    if !metadata.is_empty() {
        object.member("metadata", metadata);
    }
    object.member("op", op);
    object.option("owner", owner.as_ref());
    object.end();
}

fn post_entry(op: &str, post: &PostEntry, out: &mut Vec<u8>) {
    // `reverses` is the engine's own: no caller can ask for it.
    let PostEntry { dimensions, effective_at, hold, id, reference, reverses: _, transfers } = post;
    let mut object = Object::begin(out);
    if !dimensions.is_empty() {
        object.member("dimensions", dimensions);
    }
    object.option("effective_at", effective_at.as_ref());
    if let Some(HoldTerms { expires_at }) = hold {
        object.name("hold");
        let mut terms = Object::begin(object.out);
        terms.option("expires_at", expires_at.as_ref());
        terms.end();
    }
    object.option("id", id.as_ref());
    object.member("op", op);
    object.option("reference", reference.as_ref());
    object.name("transfers");
    array(object.out, transfers, |out, TransferRequest { debit, credit, amount, reason }| {
        let mut transfer = Object::begin(out);
        if let TransferAmount::Exactly(amount) = amount {
            transfer.name("amount");
            money(transfer.out, *amount);
        }
        transfer.member("credit", credit);
        transfer.member("debit", debit);
        transfer.option("reason", reason.as_ref());
        if let TransferAmount::UpTo(amount) = amount {
            transfer.name("up_to");
            money(transfer.out, *amount);
        }
        transfer.end();
    });
    object.end();
}

/// A JSON object that is being written.
struct Object<'a> {
    out: &'a mut Vec<u8>,
    is_empty: bool,
}

impl<'a> Object<'a> {
    fn begin(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, is_empty: true }
    }

    fn end(self) {
        self.out.push(b'}');
    }

    fn name(&mut self, name: &str) {
        if !self.is_empty {
            self.out.push(b',');
        }
        self.is_empty = false;
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    fn member<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) {
        self.name(name);
        write_json(self.out, value);
    }

    fn option<T: Serialize>(&mut self, name: &str, value: Option<&T>) {
        if let Some(value) = value {
            self.member(name, value);
        }
    }

    /// A bound that is money of the account's `currency`, where that is known, is written as its amount alone.
    fn limits(&mut self, limits: &UncheckedLimits, currency: Option<Currency>) {
        let UncheckedLimits { ceiling, floor } = limits;
        self.name("limits");
        let mut object = Object::begin(self.out);
        for (name, limit) in [("ceiling", ceiling), ("floor", floor)] {
            let Some(limit) = limit else { continue };
            object.name(name);
            match limit {
                LimitAmount::InAccountCurrency(amount) => decimal(object.out, *amount),
                LimitAmount::Money(amount) if Some(amount.currency) == currency => decimal(object.out, amount.amount),
                LimitAmount::Money(amount) => money(object.out, *amount),
            }
        }
        object.end();
    }
}

fn array<T>(out: &mut Vec<u8>, items: &[T], mut item: impl FnMut(&mut Vec<u8>, &T)) {
    out.push(b'[');
    for (index, element) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        item(out, element);
    }
    out.push(b']');
}

fn money(out: &mut Vec<u8>, UncheckedMoney { amount, currency }: UncheckedMoney) {
    let mut object = Object::begin(out);
    object.name("amount");
    decimal(object.out, amount);
    object.member("currency", &currency);
    object.end();
}

/// The shortest decimal string of that value. Zero has no sign.
fn decimal(out: &mut Vec<u8>, amount: Decimal) {
    use std::io::Write as _;
    let amount = if amount.scale() == 0 && !amount.is_zero() { amount } else { amount.normalize() };
    // Writing to a vector cannot fail.
    let _ = write!(out, "\"{amount}\"");
}
