//! What a command asked, as 16 bytes: the same idempotency key with another body is found by it.
//!
//! Version 2, which this program writes, hashes the command as it is **declared**: the canonical JSON of the item of
//! `POST /v1/bulk` that asks the same. Version 1 hashed the JSON of a Rust type; it is computed only to answer for records
//! that have it. NOTE: both are the storage format; `fingerprints.jsonl` beside this
//! crate's manifest holds frozen samples of each.

use std::borrow::Cow;
use std::fmt;

use cauri_domain::LedgerCommand;
use cauri_domain::account::{AccountAction, ChangeLimits, CloseAccount, FreezeAccount, OpenAccount};
use cauri_domain::entry::{EntryAction, HoldTerms, PostEntry, PostHold, ReverseEntry, TransferAmount, TransferRequest, VoidHold};
use cauri_domain::journal::CloseJournal;
use cauri_domain::limits::{LimitAmount, UncheckedLimits};
use cauri_domain::money::{Currency, UncheckedMoney};
use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer, Serialize, de};
use sha2::{Digest, Sha256};

use crate::event::write;

/// What a command asked: the first 16 bytes of a SHA-256, and by which rule it was made.
///
/// Written `2:` and 32 hexadecimal digits; version 1 is written without its number.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint {
    version: u8,
    digest: [u8; 16],
}

impl Fingerprint {
    /// The fingerprint of a command, of version 2: over the bytes of [`declared`].
    pub fn of(command: &LedgerCommand) -> Self {
        let mut bytes = Vec::with_capacity(256);
        declare(command, &mut bytes);
        Self::version_2(first_16(&bytes))
    }

    /// The fingerprint that a record of journal format 1 has for the same command.
    pub fn of_version_1(command: &LedgerCommand) -> Self {
        let mut bytes = Vec::with_capacity(256);
        write(&mut bytes, command);
        Self::version_1(first_16(&bytes))
    }

    /// A fingerprint of version 1, as stored.
    pub const fn version_1(digest: [u8; 16]) -> Self {
        Self { version: 1, digest }
    }

    /// A fingerprint of version 2, as stored.
    pub const fn version_2(digest: [u8; 16]) -> Self {
        Self { version: 2, digest }
    }

    /// By which rule it was made: 1 or 2.
    pub const fn version(self) -> u8 {
        self.version
    }

    /// The 16 bytes.
    pub const fn digest(self) -> [u8; 16] {
        self.digest
    }

    /// Appends its text.
    pub(crate) fn write_to(self, out: &mut Vec<u8>) {
        if self.version == 2 {
            out.extend_from_slice(b"2:");
        }
        for byte in self.digest {
            out.push(DIGITS[usize::from(byte >> 4)]);
            out.push(DIGITS[usize::from(byte & 15)]);
        }
    }
}

fn first_16(bytes: &[u8]) -> [u8; 16] {
    let digest: [u8; 32] = Sha256::digest(bytes).into();
    let mut first = [0; 16];
    first.copy_from_slice(&digest[..16]);
    first
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::with_capacity(34);
        self.write_to(&mut text);
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// The value of each hexadecimal digit in lower case, and 255 for every other byte.
const VALUES: [u8; 256] = {
    let mut values = [u8::MAX; 256];
    let mut value = 0;
    while value < 16 {
        values[DIGITS[value as usize] as usize] = value;
        value += 1;
    }
    values
};

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        let wrong = || de::Error::custom("a fingerprint is 32 hexadecimal digits, lower case, after `2:` where it is of version 2");
        let (version, digits) = text.strip_prefix("2:").map_or((1, &*text), |digits| (2, digits));
        let digits: &[u8; 32] = digits.as_bytes().try_into().map_err(|_| wrong())?;
        let mut digest = [0; 16];
        // Every record that is read has one: looked up and judged once at the end, not branched on digit by digit.
        let mut all = 0;
        for (byte, pair) in digest.iter_mut().zip(digits.chunks_exact(2)) {
            let (high, low) = (VALUES[usize::from(pair[0])], VALUES[usize::from(pair[1])]);
            *byte = high << 4 | low;
            all |= high | low;
        }
        if all >= 16 {
            return Err(wrong());
        }
        Ok(Self { version, digest })
    }
}

/// The canonical JSON (RFC 8785) of a command as it is declared: the bulk item that asks the same.
///
/// `idempotency_key` and `expected_version` are left out, and so is every member that says nothing: an absent option, an
/// empty map, `false`. A limit of `open_account` in the account's own currency is its amount alone. Amounts have no zero that
/// could be left out (`10.5`, not `10.50`); instants are in UTC with six digits after the second. So two requests that mean
/// the same have the same bytes, alone or in bulk, but for one case: the limits of `change_limits` stay as they were
/// written, with or without a currency, because the command does not say which currency the account has.
pub fn declared(command: &LedgerCommand) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    declare(command, &mut bytes);
    bytes
}

/// Members are written in alphabetical order, `op` among them; every struct is taken apart by name, so that a field that
/// is added to a command does not compile before it is declared here.
fn declare(command: &LedgerCommand, out: &mut Vec<u8>) {
    let mut object = Object::begin(out);
    let op = command.op();
    match command {
        LedgerCommand::Account(command) => {
            object.member("address", &command.address);
            match &*command.action {
                AccountAction::Open(OpenAccount { address: _, chart_code, currency, kind, limits, metadata, owner }) => {
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
                }
                AccountAction::Freeze(FreezeAccount { reason }) => {
                    object.member("op", op);
                    object.option("reason", reason.as_ref());
                }
                AccountAction::Close(CloseAccount { reason, sweep_to, entry_id }) => {
                    object.option("entry_id", entry_id.as_ref());
                    object.member("op", op);
                    object.option("reason", reason.as_ref());
                    object.option("sweep_to", sweep_to.as_ref());
                }
                AccountAction::ChangeLimits(ChangeLimits { limits }) => {
                    object.limits(limits, None);
                    object.member("op", op);
                }
                AccountAction::Unfreeze | AccountAction::Reopen => object.member("op", op),
            }
        }
        LedgerCommand::Entry { id, action } => match &**action {
            EntryAction::Post(post) => object.post_entry(op, post),
            EntryAction::PostHold(PostHold { amounts, effective_at }) => {
                if let Some(amounts) = amounts {
                    object.name("amounts");
                    array(object.out, amounts, |out, amount| money(out, *amount));
                }
                object.option("effective_at", effective_at.as_ref());
                object.member("id", id);
                object.member("op", op);
            }
            EntryAction::VoidHold(VoidHold { reason }) => {
                object.member("id", id);
                object.member("op", op);
                object.option("reason", reason.as_ref());
            }
            EntryAction::ExpireHold => {
                object.member("id", id);
                object.member("op", op);
            }
            EntryAction::Reverse(ReverseEntry { at_original_date, entry_id, reason }) => {
                if *at_original_date {
                    object.member("at_original_date", at_original_date);
                }
                object.option("entry_id", entry_id.as_ref());
                object.member("id", id);
                object.member("op", op);
                object.option("reason", reason.as_ref());
            }
        },
        LedgerCommand::CloseJournal(close) => {
            let CloseJournal { reason } = &**close;
            object.member("op", op);
            object.option("reason", reason.as_ref());
        }
    }
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
        write(self.out, value);
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

    fn post_entry(&mut self, op: &str, post: &PostEntry) {
        // `reverses` is the engine's own: no caller can ask for it.
        let PostEntry { dimensions, effective_at, hold, id, reference, reverses: _, transfers } = post;
        if !dimensions.is_empty() {
            self.member("dimensions", dimensions);
        }
        self.option("effective_at", effective_at.as_ref());
        if let Some(HoldTerms { expires_at }) = hold {
            self.name("hold");
            let mut terms = Object::begin(self.out);
            terms.option("expires_at", expires_at.as_ref());
            terms.end();
        }
        self.option("id", id.as_ref());
        self.member("op", op);
        self.option("reference", reference.as_ref());
        self.name("transfers");
        array(self.out, transfers, |out, TransferRequest { debit, credit, amount, reason }| {
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
