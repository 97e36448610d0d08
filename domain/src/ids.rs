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

/// In whose name a command's id counts: two callers who both say `order-1` ask for two commands.
///
/// `ISSUER ID` for somebody with a token, where `ISSUER` is its `iss`, which has no space, and `ID` the claim that tells
/// callers apart (`sub` unless configured otherwise); `import/SOURCE` for commands that come from files of one source.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Caller(Arc<str>);

/// A text that is not a caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a caller: `ISSUER ID` or `import/SOURCE`, 1 to 512 characters without control characters")]
pub struct InvalidCaller(String);

text_type!(Caller, InvalidCaller, "^[^\\u0000-\\u001f\\u007f-\\u009f]{1,512}$", "ISSUER ID, or import/SOURCE", |text| {
    // Read with every record, so byte by byte.
    let named = match text.bytes().position(|byte| byte == b' ') {
        Some(space) => space > 0 && space + 1 < text.len(),
        None => text.strip_prefix(IMPORT).is_some_and(is_source),
    };
    named && (text.len() <= 512 || text.chars().count() <= 512) && !text.chars().any(char::is_control)
});

/// Callers that are a source of files begin so.
const IMPORT: &str = "import/";

impl Caller {
    /// Somebody whom an issuer names `id`.
    ///
    /// # Errors
    /// When the issuer has a space or one of the two is empty, or when they are too long together.
    pub fn of_issuer(issuer: &str, id: &str) -> Result<Self, InvalidCaller> {
        if issuer.contains(' ') {
            return Err(InvalidCaller(issuer.chars().take(80).collect()));
        }
        format!("{issuer} {id}").parse()
    }

    /// The issuer, and what it calls the caller; `None` where the caller is a source of files.
    pub fn issuer_and_id(&self) -> Option<(&str, &str)> {
        self.0.split_once(' ')
    }

    /// The commands of files that come from one source: a letter or digit, then letters, digits, `.`, `_`, `-`; at most 64.
    ///
    /// # Errors
    /// When the source's name has another form.
    pub fn of_import(source: &str) -> Result<Self, InvalidCaller> {
        if !is_source(source) {
            return Err(InvalidCaller(source.chars().take(80).collect()));
        }
        format!("{IMPORT}{source}").parse()
    }
}

fn is_source(name: &str) -> bool {
    name.len() <= 64
        && name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}

/// What identifies a command in its journal: its id, and in whose name the id counts.
///
/// Written `CALLER ID`, or `ID` alone where there is no caller. An id has no space, so the last one parts the two.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommandKey {
    /// In whose name. None for the engine's own commands, and for records of journal format 1.
    pub caller: Option<Caller>,
    /// The id within that name.
    pub id: CommandId,
}

impl CommandKey {
    /// The key of a caller's command.
    pub fn new(caller: Caller, id: CommandId) -> Self {
        Self { caller: Some(caller), id }
    }

    /// The key of a command that is nobody's.
    pub const fn without_caller(id: CommandId) -> Self {
        Self { caller: None, id }
    }
}

impl CommandKey {
    /// Appends its text.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        if let Some(caller) = &self.caller {
            out.extend_from_slice(caller.as_str().as_bytes());
            out.push(b' ');
        }
        out.extend_from_slice(self.id.as_str().as_bytes());
    }
}

impl fmt::Display for CommandKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.caller {
            Some(caller) => write!(f, "{caller} {}", self.id),
            None => self.id.fmt(f),
        }
    }
}

/// A text that is not the key of a command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCommandKey {
    /// The part before the last space.
    #[error(transparent)]
    Caller(#[from] InvalidCaller),
    /// The part after it.
    #[error(transparent)]
    Id(#[from] InvalidCommandId),
}

impl FromStr for CommandKey {
    type Err = InvalidCommandKey;

    fn from_str(text: &str) -> Result<Self, InvalidCommandKey> {
        match text.rsplit_once(' ') {
            Some((caller, id)) => Ok(Self { caller: Some(caller.parse()?), id: id.parse()? }),
            None => Ok(Self { caller: None, id: text.parse()? }),
        }
    }
}

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
    pub fn derived_from(command: &CommandKey) -> Self {
        match &command.caller {
            Some(_) => Self(Uuid::new_v5(&DERIVED_FROM_COMMAND, command.to_string().as_bytes())),
            None => Self(Uuid::new_v5(&DERIVED_FROM_COMMAND, command.id.as_str().as_bytes())),
        }
    }

    /// From the number that the UUID is.
    pub const fn from_u128(value: u128) -> Self {
        Self(Uuid::from_u128(value))
    }

    /// The number that the UUID is.
    pub const fn as_u128(self) -> u128 {
        self.0.as_u128()
    }

    /// Appends its one text, with hyphens and small letters.
    pub fn write_to(self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0.hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes());
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
