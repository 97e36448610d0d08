//! The items of a bulk request: what one may say, and how one is read.
//!
//! An item is the body of the single command plus `op`, an optional `idempotency_key`, an optional `expected_version`
//! and, where the single command has its target in the path, `address` or `id`. The types of the single commands read
//! the rest, so a field means the same in both places.

use std::borrow::Cow;
use std::fmt;

use cauri_domain::LedgerCommand;
use cauri_domain::account::{AccountAction, ChangeLimits, CloseAccount, FreezeAccount, OpenAccount};
use cauri_domain::entry::{EntryAction, PostEntry, ReverseEntry, VoidHold};
use cauri_domain::ids::{AccountAddress, CommandId, EntryId};
use cauri_event_schemas::StreamVersion;
use schemars::JsonSchema;
use serde::de::value::{CowStrDeserializer, MapAccessDeserializer};
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::json;
use crate::problem::FieldProblem;
use crate::routes::entries::PostHoldBody;

/// One command of a bulk request.
#[derive(Clone, Debug, PartialEq)]
pub struct BulkItem {
    /// What is asked.
    pub asked: Asked,
    /// Its own idempotency key, if it has one.
    pub key: Option<CommandId>,
    /// Decide only if the target's stream is at this version.
    pub expected_version: Option<StreamVersion>,
}

/// What an item asks. An entry's id may depend on the command's id, which the item alone does not say.
#[derive(Clone, Debug, PartialEq)]
pub enum Asked {
    /// A command that is complete.
    Command(LedgerCommand),
    /// An entry to post or hold.
    Post(PostEntry),
}

impl From<LedgerCommand> for Asked {
    fn from(command: LedgerCommand) -> Self {
        Asked::Command(command)
    }
}

impl From<PostEntry> for Asked {
    fn from(post: PostEntry) -> Self {
        Asked::Post(post)
    }
}

impl BulkItem {
    /// Reads one item: a JSON object in UTF-8.
    ///
    /// # Errors
    /// When it is none, or not of the shape that its `op` wants; the error points into the item.
    pub fn parse(item: &[u8]) -> Result<Self, FieldProblem> {
        json::decode_with(Item(op_of(item)?), item)
    }
}

/// What an item can ask, as `op` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// Post or hold an entry.
    PostEntry,
    /// Open an account.
    OpenAccount,
    /// Freeze the account at `address`.
    FreezeAccount,
    /// Unfreeze the account at `address`.
    UnfreezeAccount,
    /// Close the account at `address`.
    CloseAccount,
    /// Reopen the account at `address`.
    ReopenAccount,
    /// Replace the limits of the account at `address`.
    ChangeLimits,
    /// Post the hold `id`.
    PostHold,
    /// Void the hold `id`.
    VoidHold,
    /// Reverse the entry `id`.
    ReverseEntry,
}

/// A command without fields of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// The `op` of an item. It must be known before the rest can be read.
fn op_of(item: &[u8]) -> Result<Op, FieldProblem> {
    // Most callers write it first, and then one look suffices.
    const FIRST: &[u8] = b"{\"op\":\"";
    if let Some(rest) = item.strip_prefix(FIRST)
        && let Some(end) = rest.iter().position(|byte| *byte == b'"')
        && let Some(op) = serde_json::from_slice(&item[FIRST.len() - 1..FIRST.len() + end + 1]).ok()
    {
        return Ok(op);
    }
    /// The rest of the item is passed over.
    #[derive(Deserialize)]
    struct OnlyOp {
        op: Op,
    }
    json::decode::<OnlyOp>(item).map(|item| item.op)
}

/// Reads an item whose `op` is known.
#[derive(Clone, Copy)]
struct Item(Op);

impl<'de> DeserializeSeed<'de> for Item {
    type Value = BulkItem;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<BulkItem, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Item {
    type Value = BulkItem;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a command: an object with `op`")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<BulkItem, A::Error> {
        let mut about = About::default();
        let account = |about: &mut About, action: AccountAction| {
            let address = about.address.take().ok_or_else(|| A::Error::missing_field("address"))?;
            Ok(Asked::Command(LedgerCommand::account(address, action)))
        };
        let entry = |about: &mut About, action: EntryAction| {
            let id = about.id.take().ok_or_else(|| A::Error::missing_field("id"))?;
            Ok(Asked::Command(LedgerCommand::entry(id, action)))
        };
        let about = &mut about;
        let asked = match self.0 {
            Op::PostEntry => Asked::Post(rest(map, about, Target::InBody)?),
            Op::OpenAccount => Asked::Command(LedgerCommand::open_account(rest::<A, OpenAccount>(map, about, Target::InBody)?)),
            Op::FreezeAccount => {
                let freeze: FreezeAccount = rest(map, about, Target::Address)?;
                account(about, AccountAction::Freeze(freeze))?
            }
            Op::UnfreezeAccount => {
                let Nothing {} = rest(map, about, Target::Address)?;
                account(about, AccountAction::Unfreeze)?
            }
            Op::CloseAccount => {
                let close: CloseAccount = rest(map, about, Target::Address)?;
                account(about, AccountAction::Close(close))?
            }
            Op::ReopenAccount => {
                let Nothing {} = rest(map, about, Target::Address)?;
                account(about, AccountAction::Reopen)?
            }
            Op::ChangeLimits => {
                let change: ChangeLimits = rest(map, about, Target::Address)?;
                account(about, AccountAction::ChangeLimits(change))?
            }
            Op::PostHold => {
                let post: PostHoldBody = rest(map, about, Target::Id)?;
                entry(about, EntryAction::PostHold(post.into_command().map_err(A::Error::custom)?))?
            }
            Op::VoidHold => {
                let void: VoidHold = rest(map, about, Target::Id)?;
                entry(about, EntryAction::VoidHold(void))?
            }
            Op::ReverseEntry => {
                let reverse: ReverseEntry = rest(map, about, Target::Id)?;
                entry(about, EntryAction::Reverse(reverse))?
            }
        };
        Ok(BulkItem { asked, key: about.key.take(), expected_version: about.expected_version.map(StreamVersion::new) })
    }
}

/// Where an item names what it is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    /// In the fields of the single command's body.
    InBody,
    /// In `address`.
    Address,
    /// In `id`.
    Id,
}

/// What an item says beside the single command's body.
#[derive(Default)]
struct About {
    ops: usize,
    key: Option<CommandId>,
    expected_version: Option<u64>,
    address: Option<AccountAddress>,
    id: Option<EntryId>,
}

/// Reads the body of the single command and puts aside what the item says beside it.
fn rest<'de, A: MapAccess<'de>, T: Deserialize<'de>>(map: A, about: &mut About, target: Target) -> Result<T, A::Error> {
    T::deserialize(MapAccessDeserializer::new(Beside { map, about, target }))
}

/// The members of an item without those that stand beside the body.
struct Beside<'a, A> {
    map: A,
    about: &'a mut About,
    target: Target,
}

/// A member's name, borrowed from the text where it has no escapes.
#[derive(Deserialize)]
#[serde(transparent)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Beside<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        let about = &mut *self.about;
        while let Some(Name(name)) = self.map.next_key()? {
            match (&*name, self.target) {
                ("op", _) => {
                    let IgnoredAny = self.map.next_value()?;
                    about.ops += 1;
                    if about.ops > 1 {
                        return Err(A::Error::duplicate_field("op"));
                    }
                }
                ("idempotency_key", _) => put("idempotency_key", &mut about.key, self.map.next_value()?)?,
                ("expected_version", _) => put("expected_version", &mut about.expected_version, self.map.next_value()?)?,
                ("address", Target::Address) => put("address", &mut about.address, self.map.next_value()?)?,
                ("id", Target::Id) => put("id", &mut about.id, self.map.next_value()?)?,
                (_, Target::InBody | Target::Address | Target::Id) => {
                    let name: CowStrDeserializer<'_, A::Error> = CowStrDeserializer::new(name);
                    return seed.deserialize(name).map(Some);
                }
            }
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

fn put<T, E: serde::de::Error>(name: &'static str, place: &mut Option<T>, value: T) -> Result<(), E> {
    if place.replace(value).is_some() { Err(E::duplicate_field(name)) } else { Ok(()) }
}

/// The JSON documents of an array, unread, so that each can be judged by itself.
///
/// # Errors
/// When it is no array.
pub(crate) fn items_of_array(bytes: &[u8]) -> Result<Vec<&[u8]>, FieldProblem> {
    let items: Vec<&RawValue> = json::decode(bytes)?;
    Ok(items.into_iter().map(|item| item.get().as_bytes()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(item: &str) -> BulkItem {
        BulkItem::parse(item.as_bytes()).unwrap_or_else(|problem| panic!("{item}: {problem:?}"))
    }

    fn refused(item: &str) -> (String, String) {
        let problem = BulkItem::parse(item.as_bytes()).expect_err("it is wrong");
        (problem.code.into_owned(), problem.pointer)
    }

    const ENTRY: &str = r#""transfers":[{"debit":"a","credit":"b","amount":{"amount":"1","currency":"XOF"}}]"#;

    #[test]
    fn an_item_is_the_single_command_with_its_op_wherever_the_op_stands() {
        let id: CommandId = "k".parse().expect("a key");
        let first = parse(&format!(r#"{{"op":"post_entry",{ENTRY},"idempotency_key":"k"}}"#));
        let last = parse(&format!(r#"{{ "idempotency_key":"k",{ENTRY}, "op" : "post_entry" }}"#));
        assert_eq!(first, last);
        assert_eq!(first.key, Some(id.clone()));
        let single: PostEntry = serde_json::from_str(&format!("{{{ENTRY}}}")).expect("an entry");
        assert_eq!(first.asked, Asked::Post(single));
    }

    #[test]
    fn every_op_can_be_read() {
        let id = "0190f1c2-7e4b-7cc3-98c4-dc0c0c07398f";
        for (op, rest) in [
            ("open_account", r#""address":"a","currency":"XOF","kind":"asset""#.to_owned()),
            ("freeze_account", r#""address":"a","reason":"seen twice""#.to_owned()),
            ("unfreeze_account", r#""address":"a""#.to_owned()),
            ("close_account", r#""address":"a","sweep_to":"b""#.to_owned()),
            ("reopen_account", r#""address":"a""#.to_owned()),
            ("change_limits", r#""address":"a","limits":{"floor":"0"}"#.to_owned()),
            ("post_hold", format!(r#""id":"{id}","amount":{{"amount":"1","currency":"XOF"}}"#)),
            ("void_hold", format!(r#""id":"{id}""#)),
            ("reverse_entry", format!(r#""id":"{id}","at_original_date":true"#)),
            ("post_entry", ENTRY.to_owned()),
        ] {
            let item = parse(&format!(r#"{{"op":"{op}","expected_version":3,{rest}}}"#));
            assert_eq!(item.expected_version, Some(StreamVersion::new(3)), "{op}");
            let asked = match item.asked {
                Asked::Command(command) => command.op(),
                Asked::Post(_) => "post_entry",
            };
            assert_eq!(asked, op);
        }
    }

    #[test]
    fn what_is_wrong_is_pointed_at_inside_the_item() {
        let check = |item: &str, code: &str, pointer: &str| assert_eq!(refused(item), (code.to_owned(), pointer.to_owned()), "{item}");
        check(r#"{"op":"post_money"}"#, "invalid_value", "/op");
        check(r#"{"transfers":[]}"#, "missing_field", "/op");
        check("[]", "wrong_type", "");
        check(r#"{"op":"freeze_account"}"#, "missing_field", "/address");
        check(r#"{"op":"void_hold","id":7}"#, "wrong_type", "/id");
        check(r#"{"op":"void_hold","id":"0190f1c2-7e4b-7cc3-98c4-dc0c0c07398f","address":"a"}"#, "unknown_field", "/address");
        check(r#"{"op":"unfreeze_account","address":"a","reason":"x"}"#, "unknown_field", "/reason");
        check(&format!(r#"{{"op":"post_entry","op":"void_hold",{ENTRY}}}"#), "duplicate_field", "/op");
        check(&format!(r#"{{"op":"post_entry",{ENTRY},"idempotency_key":""}}"#), "invalid_value", "/idempotency_key");
        check(r#"{"op":"post_entry","transfers":[{"debit":"a"}]}"#, "missing_field", "/transfers/0/credit");
        check(
            r#"{"op":"post_entry","transfers":[{"debit":"a","credit":"b","amount":{"amount":1,"currency":"XOF"}}]}"#,
            "wrong_type",
            "/transfers/0/amount/amount",
        );
        check(r#"{"op":"post_entry""#, "invalid_json", "");
    }
}
