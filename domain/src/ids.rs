//! Ids and addresses: every kind its own type, in alphabetical order.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

use crate::text::text_type;

/// Where an account stands: segments of letters, digits, `-`, `_`, joined by `:`, as `merchants:awa:available`.
///
/// Any prefix of whole segments can be rolled up. At most 16 segments and 200 characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountAddress(Arc<str>);

/// A text that is not an account address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an account address: 1 to 16 segments of letters, digits, `-`, `_`, joined by `:`, at most 200 characters")]
pub struct InvalidAddress(String);

text_type!(
    AccountAddress,
    InvalidAddress,
    "^[A-Za-z0-9_-]+(:[A-Za-z0-9_-]+){0,15}$",
    "segments of letters, digits, - and _, joined by :",
    |text| {
        text.len() <= 200
            && text.split(':').count() <= 16
            && text.split(':').all(|segment| {
                !segment.is_empty() && segment.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            })
    }
);

/// The id of one command: the caller's `Idempotency-Key`. 1 to 255 visible ASCII characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandId(Arc<str>);

/// A text that is not a command id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an idempotency key: 1 to 255 visible ASCII characters without spaces")]
pub struct InvalidCommandId(String);

text_type!(CommandId, InvalidCommandId, "^[\\u0021-\\u007e]{1,255}$", "1 to 255 visible ASCII characters", |text| {
    (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
});

/// The id of an entry, made by the caller: a UUID of any version (version 7 indexes best).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId(Uuid);

/// A text that is not an entry id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an entry id: a UUID such as 0190f1c2-7e4b-7cc3-98c4-dc0c0c07398f")]
pub struct InvalidEntryId(String);

/// Name space of entry ids derived from command ids (UUID version 5, RFC 9562 §5.5).
const DERIVED_FROM_COMMAND: Uuid = Uuid::from_u128(0x6361_7572_6900_4000_8000_656e_7472_7931);

impl EntryId {
    /// The id of the entry that a command writes when its caller named none: the same command, the same id.
    pub fn derived_from(command: &CommandId) -> Self {
        Self(Uuid::new_v5(&DERIVED_FROM_COMMAND, command.as_str().as_bytes()))
    }

    /// From the number that the UUID is.
    pub const fn from_u128(value: u128) -> Self {
        Self(Uuid::from_u128(value))
    }

    /// The number that the UUID is.
    pub const fn as_u128(self) -> u128 {
        self.0.as_u128()
    }

    /// The 16 bytes, most significant first.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }
}

impl From<Uuid> for EntryId {
    fn from(id: Uuid) -> Self {
        Self(id)
    }
}

impl FromStr for EntryId {
    type Err = InvalidEntryId;

    /// Only the hyphenated form: one entry has one text.
    fn from_str(text: &str) -> Result<Self, InvalidEntryId> {
        let invalid = || InvalidEntryId(text.chars().take(80).collect());
        if text.len() != 36 {
            return Err(invalid());
        }
        Uuid::try_parse(text).map(Self).map_err(|_| invalid())
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.hyphenated().encode_lower(&mut Uuid::encode_buffer()))
    }
}

impl fmt::Debug for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for EntryId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.hyphenated().encode_lower(&mut Uuid::encode_buffer()))
    }
}

impl<'de> Deserialize<'de> for EntryId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::text::parsed(deserializer)
    }
}

impl JsonSchema for EntryId {
    fn schema_name() -> Cow<'static, str> {
        "EntryId".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "uuid" })
    }
}
