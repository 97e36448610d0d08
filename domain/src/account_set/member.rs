//! The names of account sets, and who can be in one.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, de};

use crate::ids::AccountAddress;
use crate::text::{Text, text_type};

/// The name of an account set: 1 to 64 of `a-z`, `0-9`, `_`, `.`, `-`, beginning with a letter.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SetName(Arc<str>);

/// A text that is not a [`SetName`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the name of an account set: 1 to 64 of a-z, 0-9, `_`, `.`, `-`, beginning with a letter")]
pub struct InvalidSetName(String);

text_type!(SetName, InvalidSetName, "^[a-z][a-z0-9_.-]{0,63}$", "1 to 64 of a-z, 0-9, _, ., -, beginning with a letter", |text| {
    text.len() <= 64
        && text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase())
        && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.' | b'-'))
});

/// Who can be in an account set: `{"account": …}` or `{"set": …}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub enum Member {
    /// An account.
    Account(AccountAddress),
    /// Everything that is in another set.
    Set(SetName),
}

impl Serialize for Member {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Member::Account(address) => serializer.collect_map([("account", address)]),
            Member::Set(name) => serializer.collect_map([("set", name)]),
        }
    }
}

/// Implemented by hand: the derived one reports a duplicate key, or both keys, as malformed JSON.
impl<'de> Deserialize<'de> for Member {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOfTwo;

        impl<'de> Visitor<'de> for OneOfTwo {
            type Value = Member;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with either `account` or `set`")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Member, A::Error> {
                let mut member = None;
                while let Some(Text(key)) = map.next_key()? {
                    let next = match &*key {
                        "account" if matches!(member, Some(Member::Account(_))) => return Err(de::Error::duplicate_field("account")),
                        "set" if matches!(member, Some(Member::Set(_))) => return Err(de::Error::duplicate_field("set")),
                        "account" => Member::Account(map.next_value()?),
                        "set" => Member::Set(map.next_value()?),
                        other => return Err(de::Error::unknown_field(other, &["account", "set"])),
                    };
                    if member.replace(next).is_some() {
                        return Err(de::Error::custom("a member is either `account` or `set`, not both"));
                    }
                }
                member.ok_or_else(|| de::Error::custom("missing field `account` (or `set`)"))
            }
        }

        deserializer.deserialize_map(OneOfTwo)
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Member::Account(address) => write!(f, "the account {address}"),
            Member::Set(name) => write!(f, "the set {name}"),
        }
    }
}
