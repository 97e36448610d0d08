//! Refusals: what the rules answer to a command that was understood and may not happen.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

/// A command was understood and the rules say no. Not an error: it is recorded and answered again on a retry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[serde(deny_unknown_fields)]
#[error("{code}: {detail}")]
pub struct Refusal {
    /// Which rule said no.
    pub code: RefusalCode,
    /// What a person needs to know, with the figures.
    pub detail: String,
    /// Where in the command: a JSON pointer (RFC 6901) such as `/transfers/0/amount`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
}

impl Refusal {
    /// A refusal that concerns the whole command.
    pub fn new(code: RefusalCode, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), pointer: None }
    }

    /// The same refusal, pointing into the command.
    #[must_use]
    pub fn at(mut self, pointer: impl Into<String>) -> Self {
        self.pointer = Some(pointer.into());
        self
    }
}

/// Declares the codes once: enum, text, meaning and order come from the same list.
macro_rules! refusal_codes {
    ($($variant:ident = $code:literal: $meaning:literal,)+) => {
        /// Every refusal, in order of precedence: the first that applies is the answer.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum RefusalCode {
            $(#[doc = $meaning] $variant,)+
        }

        impl RefusalCode {
            /// All codes by precedence.
            pub const ALL: &[RefusalCode] = &[$(RefusalCode::$variant,)+];

            /// The code as it stands in answers, records and the manual.
            pub fn as_str(self) -> &'static str {
                match self { $(RefusalCode::$variant => $code,)+ }
            }

            /// What the code means, one sentence.
            pub fn meaning(self) -> &'static str {
                match self { $(RefusalCode::$variant => $meaning,)+ }
            }
        }
    };
}

refusal_codes! {
    IdempotencyKeyReused = "idempotency_key_reused": "The idempotency key was used before with another body.",
    JournalClosed = "journal_closed": "The journal was closed and takes no more commands.",
    EntryExists = "entry_exists": "An entry with this id was written before, by another command.",
    AccountExists = "account_exists": "An account with this address was opened before.",
    AccountSetExists = "account_set_exists": "An account set with this name was created before.",
    AccountSetNotFound = "account_set_not_found": "No account set with this name was ever created.",
    AccountNotFound = "account_not_found": "No account was ever opened at this address.",
    AccountClosed = "account_closed": "The account is closed; on a closed account a hold may only be voided or expire.",
    AccountFrozen = "account_frozen": "The account is frozen; on a frozen account a hold may be voided or expire, nothing else moves.",
    AccountNotFrozen = "account_not_frozen": "Only a frozen account can be unfrozen.",
    AccountNotClosed = "account_not_closed": "Only a closed account can be reopened.",
    CurrencyMismatch = "currency_mismatch": "The amount is not in the currency of the account.",
    SameAccount = "same_account": "A transfer's debit and credit are the same account.",
    AmountNotPositive = "amount_not_positive": "The amount must be more than zero; where a hold is posted, at least zero.",
    AmountScale = "amount_scale": "The amount has more digits after the point than its currency; Cauri refuses, it does not round.",
    AmountTooLarge = "amount_too_large": "The amount is more than one transfer may move.",
    InvalidLimits = "invalid_limits": "A floor is zero or an overdraft (negative), a ceiling is zero or more.",
    PeriodClosed = "period_closed": "The effective date lies in a closed period.",
    EffectiveInFutureTooFar = "effective_in_future_too_far": "The effective date is further ahead than the ledger allows.",
    EntryNotFound = "entry_not_found": "No entry with this id was ever written.",
    EntryNotPosted = "entry_not_posted": "The entry moved nothing that could be reversed: it is an open, voided or expired hold, or moved 0.",
    HoldNotFound = "hold_not_found": "No hold with this id was ever made.",
    HoldAlreadyPosted = "hold_already_posted": "The hold was posted before.",
    HoldAlreadyVoided = "hold_already_voided": "The hold was voided before.",
    HoldExpired = "hold_expired": "The hold has expired, or would be made with an expiry that has passed.",
    HoldAmountsMismatch = "hold_amounts_mismatch": "A hold is posted with one amount for each of its transfers, in order.",
    ExceedsHold = "exceeds_hold": "More than what was held.",
    AlreadyReversed = "already_reversed": "The entry was reversed before.",
    AccountNotEmpty = "account_not_empty": "The account still has a balance and the command names no account to sweep it to.",
    AlreadyAMember = "already_a_member": "The account or set is in this account set already.",
    NotAMember = "not_a_member": "The account or set is not in this account set.",
    MembershipOutOfOrder = "membership_out_of_order": "What is said of a member of an account set goes forward: each change is dated after the one before.",
    MembershipCycle = "membership_cycle": "An account set would be in itself, directly or through others.",
    InstrumentExists = "instrument_exists": "An instrument with this symbol was registered before.",
    InstrumentNotFound = "instrument_not_found": "No instrument with this symbol was ever registered.",
    InvalidQuote = "invalid_quote": "A price is positive, has no more digits after the point than its instrument, and a bid is not above its ask.",
    QuotesOutOfOrder = "quotes_out_of_order": "Quotes of one block go forward, by the time and number that their source gave them.",
    QuotesNotNew = "quotes_not_new": "Every quote of the block is at or before the last one that was taken from this source.",
    TurnoverExhausted = "turnover_exhausted": "An account would have debited or credited more in all than an account can count, counting holds.",
    BelowFloor = "below_floor": "An account would fall below its floor, counting holds.",
    AboveCeiling = "above_ceiling": "An account would rise above its ceiling, counting holds.",
}

impl fmt::Display for RefusalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for RefusalCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is no refusal code of this version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a refusal code")]
pub struct UnknownRefusalCode(String);

impl FromStr for RefusalCode {
    type Err = UnknownRefusalCode;

    fn from_str(code: &str) -> Result<Self, UnknownRefusalCode> {
        Self::ALL.iter().copied().find(|known| known.as_str() == code).ok_or_else(|| UnknownRefusalCode(code.chars().take(80).collect()))
    }
}

impl Serialize for RefusalCode {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for RefusalCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::text::parsed(deserializer)
    }
}

impl JsonSchema for RefusalCode {
    fn schema_name() -> Cow<'static, str> {
        "RefusalCode".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let codes: Vec<&str> = Self::ALL.iter().map(|code| code.as_str()).collect();
        schemars::json_schema!({ "type": "string", "enum": codes })
    }
}
