//! The items of a bulk request: what one may say, and how one is read.
//!
//! An item is the body of the single command plus `op`, an optional `idempotency_key`, an optional `expected_version`
//! and, where the single command has its target in the path, `address` or `id`. The types of the single commands read
//! the rest, so a field means the same in both places.

use std::fmt;
use std::marker::PhantomData;
use std::sync::LazyLock;

use cauri_domain::ids::CommandId;
use cauri_event_schemas::StreamVersion;
use serde::de::value::{CowStrDeserializer, MapAccessDeserializer};
use serde::de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

pub use crate::command::Asked;
use crate::command::{ApiCommand, Declaration, Target, commands};
use cauri_http::json;
use cauri_http::problem::FieldProblem;
use cauri_http::strict::Name;

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

impl BulkItem {
    /// Reads one item: a JSON object in UTF-8.
    ///
    /// # Errors
    /// When it is none, or not of the shape that its `op` wants; the error points into the item.
    pub fn parse(item: &[u8]) -> Result<Self, FieldProblem> {
        (op_of(item)?.0.read_item)(item)
    }
}

/// The command that an item asks, as `op` says it.
#[derive(Clone, Copy)]
struct Op(&'static Declaration);

/// The commands that may be items.
pub(crate) fn declared() -> impl Iterator<Item = &'static Declaration> {
    commands().filter(|command| command.is_bulk_item)
}

impl<'de> Deserialize<'de> for Op {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OpVisitor;

        impl Visitor<'_> for OpVisitor {
            type Value = Op;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the `op` of a command")
            }

            fn visit_str<E: serde::de::Error>(self, op: &str) -> Result<Op, E> {
                static OPS: LazyLock<Vec<&'static str>> = LazyLock::new(|| declared().map(|command| command.op).collect());
                declared().find(|command| command.op == op).map(Op).ok_or_else(|| E::unknown_variant(op, &OPS))
            }
        }

        deserializer.deserialize_str(OpVisitor)
    }
}

/// The `op` of an item. It must be known before the rest can be read.
fn op_of(item: &[u8]) -> Result<Op, FieldProblem> {
    // Most callers write it first, and then one look suffices.
    if let Some(rest) = item.strip_prefix(b"{\"op\":\"")
        && let Some(end) = memchr::memchr(b'"', rest)
        && let Some(command) = declared().find(|command| command.op.as_bytes() == &rest[..end])
    {
        return Ok(Op(command));
    }
    /// The rest of the item is passed over.
    #[derive(Deserialize)]
    struct OnlyOp {
        op: Op,
    }
    json::decode::<OnlyOp>(item).map(|item| item.op)
}

/// Reads an item that asks the command `C`.
///
/// # Errors
/// When it is not of the command's shape; the error points into the item.
pub(crate) fn read_item<C: ApiCommand>(item: &[u8]) -> Result<BulkItem, FieldProblem> {
    json::decode_with(Item::<C>(PhantomData), item)
}

/// Reads an item whose command is known.
struct Item<C>(PhantomData<fn() -> C>);

impl<C> Clone for Item<C> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<C> Copy for Item<C> {}

impl<'de, C: ApiCommand> DeserializeSeed<'de> for Item<C> {
    type Value = BulkItem;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<BulkItem, D::Error> {
        // A struct in all but name: each of its members is read by a reader that refuses it the second time.
        deserializer.deserialize_struct("BulkItem", &[], self)
    }
}

impl<'de, C: ApiCommand> Visitor<'de> for Item<C> {
    type Value = BulkItem;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a command: an object with `op`")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<BulkItem, A::Error> {
        let mut about = About::<C::Target>::default();
        let body = C::deserialize(MapAccessDeserializer::new(Beside { map, about: &mut about }))?;
        let target = about.target.or_else(C::Target::in_body);
        let target = target.ok_or_else(|| A::Error::missing_field(C::Target::MEMBER.unwrap_or_default()))?;
        let asked = body.ask(target).map_err(|wrong| A::Error::custom(wrong.detail))?;
        let (key, expected_version) = (about.key.flatten(), about.expected_version.flatten().map(StreamVersion::new));
        Ok(BulkItem { asked, key, expected_version })
    }
}

/// What an item says beside the single command's body. What is optional may also be given as `null`.
struct About<T> {
    ops: usize,
    key: Option<Option<CommandId>>,
    expected_version: Option<Option<u64>>,
    target: Option<T>,
}

impl<T> Default for About<T> {
    fn default() -> Self {
        Self { ops: 0, key: None, expected_version: None, target: None }
    }
}

/// The members of an item without those that stand beside the body.
struct Beside<'a, A, T> {
    map: A,
    about: &'a mut About<T>,
}

impl<'de, A: MapAccess<'de>, T: Target> MapAccess<'de> for Beside<'_, A, T> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        let about = &mut *self.about;
        while let Some(Name(name)) = self.map.next_key()? {
            match &*name {
                "op" => {
                    let IgnoredAny = self.map.next_value()?;
                    about.ops += 1;
                    if about.ops > 1 {
                        return Err(A::Error::duplicate_field("op"));
                    }
                }
                "idempotency_key" => put("idempotency_key", &mut about.key, self.map.next_value()?)?,
                "expected_version" => put("expected_version", &mut about.expected_version, self.map.next_value()?)?,
                member => match T::MEMBER.filter(|target| *target == member) {
                    Some(target) => put(target, &mut about.target, self.map.next_value()?)?,
                    None => {
                        let name: CowStrDeserializer<'_, A::Error> = CowStrDeserializer::new(name);
                        return seed.deserialize(name).map(Some);
                    }
                },
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
    use std::collections::BTreeSet;

    use cauri_domain::entry::PostEntry;
    use cauri_domain::kind::KindCommand;
    use serde_json::{Value, json};

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

    /// Items that between them have every field of every command.
    fn full_items() -> Vec<Value> {
        let id = "0190f1c2-7e4b-7cc3-98c4-dc0c0c07398f";
        let money = json!({ "amount": "1", "currency": "XOF" });
        let beside = json!({ "idempotency_key": "k", "expected_version": 3 });
        let items = [
            json!({ "op": "open_account", "address": "a", "currency": "XOF", "kind": "asset", "chart_code": "5211", "owner": "awa",
                "limits": { "floor": "-5", "ceiling": money }, "metadata": { "metadata": "x", "b": "y" } }),
            json!({ "op": "freeze_account", "address": "a", "reason": "x" }),
            json!({ "op": "unfreeze_account", "address": "a" }),
            json!({ "op": "close_account", "address": "a", "reason": "x", "sweep_to": "b", "entry_id": id }),
            json!({ "op": "reopen_account", "address": "a" }),
            json!({ "op": "change_limits", "address": "a", "limits": { "floor": money, "ceiling": "5" } }),
            json!({ "op": "post_hold", "id": id, "amount": money, "effective_at": "2026-03-16T08:00:00Z" }),
            json!({ "op": "post_hold", "id": id, "amounts": [money, money] }),
            json!({ "op": "void_hold", "id": id, "reason": "x" }),
            json!({ "op": "reverse_entry", "id": id, "reason": "x", "entry_id": id, "at_original_date": true }),
            json!({ "op": "create_account_set", "name": "all", "description": "x", "metadata": { "a": "b" } }),
            json!({ "op": "add_to_account_set", "name": "all", "member": { "account": "a" }, "effective_at": "2026-03-16T08:00:00Z", "reason": "x" }),
            json!({ "op": "remove_from_account_set", "name": "all", "member": { "set": "s" }, "effective_at": "2026-03-16T08:00:00Z", "reason": "x" }),
            json!({ "op": "annotate_entry", "id": id, "reason": "x", "set": { "a": "b" }, "remove": ["c"] }),
            json!({ "op": "post_entry", "id": id, "reference": "r", "effective_at": "2026-03-16T08:00:00Z",
                "hold": { "expires_at": "2026-03-17T08:00:00Z" }, "dimensions": { "dimensions": "x", "b": "y" },
                "transfers": [
                    { "debit": "a", "credit": "b", "amount": money, "reason": "x" }, { "debit": "a", "credit": "b", "up_to": money }
                ] }),
        ];
        let with_beside = |mut item: Value| {
            item.as_object_mut().expect("an object").extend(beside.as_object().expect("an object").clone());
            item
        };
        items.into_iter().map(with_beside).collect()
    }

    /// The pointers of all members of all objects in a document.
    fn members(value: &Value, at: &str, found: &mut Vec<String>) {
        let inside: Vec<(String, &Value)> = match value {
            Value::Object(members) => members.iter().map(|(key, value)| (format!("{at}/{key}"), value)).collect(),
            Value::Array(items) => items.iter().enumerate().map(|(index, value)| (format!("{at}/{index}"), value)).collect(),
            _ => return,
        };
        for (pointer, value) in inside {
            members(value, &pointer, found);
            if !pointer.ends_with(|last: char| last.is_ascii_digit()) {
                found.push(pointer);
            }
        }
    }

    /// The document as text, the member at `twice` written twice.
    fn text(value: &Value, at: &str, twice: &str) -> String {
        match value {
            Value::Object(members) => {
                let member = |(key, value): (&String, &Value)| {
                    let pointer = format!("{at}/{key}");
                    let member = format!("{key:?}:{}", text(value, &pointer, twice));
                    if pointer == twice { format!("{member},{member}") } else { member }
                };
                format!("{{{}}}", members.iter().map(member).collect::<Vec<_>>().join(","))
            }
            Value::Array(items) => {
                let items = items.iter().enumerate().map(|(index, item)| text(item, &format!("{at}/{index}"), twice));
                format!("[{}]", items.collect::<Vec<_>>().join(","))
            }
            other => other.to_string(),
        }
    }

    #[test]
    fn every_member_of_every_command_is_given_at_most_once() {
        for item in full_items() {
            assert_eq!(parse(&text(&item, "", "none")), parse(&item.to_string()));
            let mut pointers = Vec::new();
            members(&item, "", &mut pointers);
            for pointer in pointers {
                let item = text(&item, "", &pointer);
                assert_eq!(refused(&item), ("duplicate_field".to_owned(), pointer), "{item}");
            }
        }
    }

    fn takes_null(schema: &Value) -> bool {
        let null = json!("null");
        schema["type"] == null
            || schema["type"].as_array().is_some_and(|types| types.contains(&null))
            || schema["anyOf"].as_array().is_some_and(|any| any.iter().any(takes_null))
    }

    #[test]
    fn null_says_the_same_as_the_absence_of_any_optional_member() {
        let mut seen = BTreeSet::new();
        for item in full_items() {
            let op = item["op"].as_str().expect("an op").to_owned();
            let mut pointers = Vec::new();
            members(&item, "", &mut pointers);
            for pointer in pointers {
                let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
                seen.insert(match parent {
                    "" => format!("bulk_{op}/{key}"),
                    "/limits" => format!("UncheckedLimits/{key}"),
                    "/hold" => format!("HoldTerms/{key}"),
                    "/transfers/0" | "/transfers/1" => format!("TransferRequest/{key}"),
                    // The members of maps and of money are all needed.
                    _ => continue,
                });
                let mut absent = item.clone();
                let object = absent.pointer_mut(parent).and_then(Value::as_object_mut).expect("an object");
                object.remove(key);
                let mut null = item.clone();
                *null.pointer_mut(&pointer).expect("a member") = Value::Null;
                match BulkItem::parse(absent.to_string().as_bytes()) {
                    Ok(absent) => assert_eq!(parse(&null.to_string()), absent, "{op} {pointer}"),
                    Err(problem) => {
                        assert_eq!(problem.code, "missing_field", "{op} {pointer}: {problem:?}");
                        assert!(BulkItem::parse(null.to_string().as_bytes()).is_err(), "{op} {pointer}");
                    }
                }
            }
        }
        // Every member that the description of the API names was tried, and it says the same of null.
        let document: Value = serde_json::from_str(include_str!("../openapi.json")).expect("JSON");
        let schemas = document["components"]["schemas"].as_object().expect("schemas");
        let commands = |name: &str| name.starts_with("bulk_") || ["UncheckedLimits", "HoldTerms", "TransferRequest"].contains(&name);
        for (name, schema) in schemas.iter().filter(|(name, _)| commands(name)) {
            let required = schema["required"].as_array().cloned().unwrap_or_default();
            for (member, described) in schema["properties"].as_object().expect("properties") {
                assert!(seen.contains(&format!("{name}/{member}")), "{name}/{member} was not tried");
                assert_eq!(takes_null(described), !required.contains(&json!(member)), "{name}/{member}: {described}");
            }
        }
        assert!(json::decode::<cauri_domain::journal::CloseJournal>(br#"{"reason":null}"#).is_ok());
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
