//! Reads JSON and, where it is wrong, says where it is wrong and what would be right.

use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::DeserializeSeed;
use serde_path_to_error::{Path, Segment, Track};

use crate::problem::FieldProblem;
use crate::strict::{REPEATED_KEY, Strict};

/// Reads one JSON document (RFC 8259) in UTF-8, without a byte order mark. Everything that comes from outside as JSON
/// is read here.
///
/// # Errors
/// When it is no JSON, when an object in it has a key twice, at whatever depth, or when it is not of the type's shape;
/// the error points at the member.
pub fn decode<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, FieldProblem> {
    decode_with(PhantomData::<T>, bytes)
}

/// Reads one JSON document by a seed.
///
/// # Errors
/// As [`decode`].
pub fn decode_with<'de, S: DeserializeSeed<'de> + Copy>(seed: S, bytes: &'de [u8]) -> Result<S::Value, FieldProblem> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    seed.deserialize(Strict(&mut json)).and_then(|value| json.end().map(|()| value)).map_err(|error| explain(seed, bytes, &error))
}

/// Reads the document a second time, watching where it goes wrong: nobody pays for that while all is well.
fn explain<'de, S: DeserializeSeed<'de> + Copy>(seed: S, bytes: &'de [u8], error: &serde_json::Error) -> FieldProblem {
    if let Err(error) = std::str::from_utf8(bytes) {
        return FieldProblem::new("invalid_utf8", "", format!("the text is not UTF-8 from byte {} on", error.valid_up_to()));
    }
    let mut track = Track::new();
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let again = seed.deserialize(Strict(serde_path_to_error::Deserializer::new(&mut json, &mut track)));
    let pointer = if again.is_err() { pointer_of(&track.path()) } else { String::new() };
    let message = error.to_string();
    if error.is_data() { wrong_shape(&message, pointer) } else { no_json(&message, pointer, bytes) }
}

fn no_json(message: &str, pointer: String, bytes: &[u8]) -> FieldProblem {
    let detail = match message {
        _ if bytes.is_empty() => "the body is empty where a JSON document is wanted".to_owned(),
        _ if bytes.starts_with("\u{feff}".as_bytes()) => {
            "the text begins with a byte order mark (U+FEFF), which JSON does not have: send it without".to_owned()
        }
        deep if deep.starts_with("recursion limit exceeded") => format!("JSON may be nested 128 deep: {deep}"),
        other => format!("this is not JSON: {other}"),
    };
    FieldProblem::new("invalid_json", pointer, detail)
}

/// The kinds of mistake, told apart by the fixed texts that serde begins its messages with.
fn wrong_shape(message: &str, mut pointer: String) -> FieldProblem {
    let message = without_place(message);
    let (code, detail) = if let Some(field) = named(message, "missing field `") {
        push(&mut pointer, field);
        ("missing_field", message.to_owned())
    } else if let Some(field) = named(message, "unknown field `") {
        if pointer.rsplit('/').next() != Some(&*escaped(field)) {
            push(&mut pointer, field);
        }
        ("unknown_field", message.to_owned())
    } else if let Some(field) = named(message, "duplicate field `") {
        // A derived reader says so of the object, whose own name may be the same.
        push(&mut pointer, field);
        ("duplicate_field", format!("{REPEATED_KEY}{field:?}: an object has each key once"))
    } else if message.starts_with(REPEATED_KEY) {
        ("duplicate_field", message.to_owned())
    } else if let Some(number) = number_for_text(message) {
        let detail = format!("{message}: write \"{number}\" in quotes, because readers of JSON numbers lose digits");
        ("wrong_type", if number.is_empty() { message.to_owned() } else { detail })
    } else if message.ends_with("untagged enum LimitAmount") {
        let detail =
            "a limit is a decimal string in the account's currency such as \"-5000\", or {\"amount\": \"-5000\", \"currency\": \"XOF\"}";
        ("invalid_value", detail.to_owned())
    } else if message.starts_with("invalid type") {
        // The names of our types say nothing to a caller.
        let kept = message.split(", expected struct ").next().unwrap_or(message);
        ("wrong_type", if kept.len() < message.len() { format!("{kept}, expected an object") } else { message.to_owned() })
    } else if message.starts_with("invalid length") {
        ("wrong_length", message.to_owned())
    } else {
        ("invalid_value", message.to_owned())
    };
    FieldProblem::new(code, pointer, detail)
}

/// The message without the line and column that `serde_json` adds: the pointer says it better.
fn without_place(message: &str) -> &str {
    match message.rsplit_once(" at line ") {
        Some((text, place)) if place.split(" column ").all(|number| number.bytes().all(|byte| byte.is_ascii_digit())) => text,
        _ => message,
    }
}

/// The name between backquotes after a fixed text.
fn named<'a>(message: &'a str, start: &str) -> Option<&'a str> {
    message.strip_prefix(start)?.split('`').next()
}

/// The number that stands where a text is wanted.
fn number_for_text(message: &str) -> Option<&str> {
    let rest = message.strip_prefix("invalid type: integer `").or_else(|| message.strip_prefix("invalid type: floating point `"))?;
    let (number, expected) = rest.split_once('`')?;
    (expected == ", expected a string").then_some(number)
}

/// A path as a JSON pointer (RFC 6901).
fn pointer_of(path: &Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => push(&mut pointer, &index.to_string()),
            Segment::Map { key } => push(&mut pointer, key),
            // A variant or something without a name: the pointer stays at what it is in.
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    pointer
}

fn push(pointer: &mut String, segment: &str) {
    pointer.push('/');
    pointer.push_str(&escaped(segment));
}

fn escaped(segment: &str) -> String {
    segment.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use cauri_domain::account::OpenAccount;
    use cauri_domain::entry::PostEntry;

    use super::*;

    fn entry(json: &str) -> (String, String, String) {
        let problem = decode::<PostEntry>(json.as_bytes()).expect_err("it is wrong");
        (problem.code.into_owned(), problem.pointer, problem.detail)
    }

    fn check(json: &str, code: &str, pointer: &str, detail: &str) {
        let (found_code, found_pointer, found_detail) = entry(json);
        assert_eq!((&*found_code, &*found_pointer), (code, pointer), "{found_detail}");
        assert!(found_detail.contains(detail), "{found_detail:?} does not say {detail:?}");
    }

    #[test]
    fn a_missing_side_is_named_where_it_should_stand() {
        let json = r#"{"transfers":[{"debit":"a","amount":{"amount":"1","currency":"XOF"}}]}"#;
        check(json, "missing_field", "/transfers/0/credit", "missing field `credit`");
    }

    #[test]
    fn an_unknown_field_is_pointed_at_wherever_it_stands() {
        check(r#"{"transfer":[]}"#, "unknown_field", "/transfer", "expected one of");
        let json = r#"{"transfers":[{"debit":"a","credit":"b","amount":{"amount":"1","currency":"XOF","scale":2}}]}"#;
        check(json, "unknown_field", "/transfers/0/amount/scale", "expected `amount` or `currency`");
    }

    #[test]
    fn a_number_where_a_decimal_string_is_wanted_says_to_quote_it() {
        for number in ["100", "10.5", "-3"] {
            let json = format!(r#"{{"transfers":[{{"debit":"a","credit":"b","amount":{{"amount":{number},"currency":"XOF"}}}}]}}"#);
            check(&json, "wrong_type", "/transfers/0/amount/amount", &format!("write \"{number}\" in quotes"));
        }
    }

    #[test]
    fn an_unknown_currency_is_named() {
        let json = r#"{"transfers":[{"debit":"a","credit":"b","amount":{"amount":"1","currency":"CFA"}}]}"#;
        check(json, "invalid_value", "/transfers/0/amount/currency", "`CFA` is not a currency that Cauri knows");
    }

    #[test]
    fn no_amount_and_two_amounts_point_at_the_transfer() {
        check(r#"{"transfers":[{"debit":"a","credit":"b"}]}"#, "missing_field", "/transfers/0/amount", "(or `up_to`)");
        let both = r#"{"transfers":[{"debit":"a","credit":"b","amount":{"amount":"1","currency":"XOF"},"up_to":{"amount":"1","currency":"XOF"}}]}"#;
        check(both, "invalid_value", "/transfers/0", "not both");
    }

    #[test]
    fn the_number_of_transfers_is_bounded() {
        check(r#"{"transfers":[]}"#, "wrong_length", "/transfers", "1 to 1,000 transfers");
        let one = r#"{"debit":"a","credit":"b","amount":{"amount":"1","currency":"XOF"}}"#;
        let many = format!(r#"{{"transfers":[{}]}}"#, vec![one; 10_000].join(","));
        check(&many, "wrong_length", "/transfers", "invalid length 10000");
    }

    #[test]
    fn what_is_no_json_says_so() {
        check("", "invalid_json", "", "the body is empty");
        check("{", "invalid_json", "", "not JSON");
        check("{} x", "missing_field", "/transfers", "transfers");
        check(r#"{"transfers":[],}"#, "wrong_length", "/transfers", "1 to 1,000");
        let deep = format!("{{\"dimensions\":{}", "[".repeat(100_000));
        check(&deep, "wrong_type", "/dimensions", "invalid type: sequence, expected a map");
        let problem = decode::<serde_json::Value>("[".repeat(100_000).as_bytes()).expect_err("it is too deep");
        assert!(problem.detail.contains("nested 128 deep"), "{problem:?}");
        let problem = decode::<PostEntry>(b"{\"reference\":\"\xff\"}").expect_err("it is not UTF-8");
        assert_eq!((&*problem.code, &*problem.detail), ("invalid_utf8", "the text is not UTF-8 from byte 14 on"));
    }

    #[test]
    fn a_key_is_given_once_in_every_object_however_it_is_written() {
        check(r#"{"dimensions":{"a":"x","b":"y","a":"x"}}"#, "duplicate_field", "/dimensions/a", "duplicate key \"a\"");
        check(r#"{"dimensions":{"a":"x","\u0061":"y"}}"#, "duplicate_field", "/dimensions/a", "an object has each key once");
        check(r#"{"reference":"x","reference":"x"}"#, "duplicate_field", "/reference", "duplicate key \"reference\"");
        check(r#"{"reference":null,"reference":"x"}"#, "duplicate_field", "/reference", "duplicate key \"reference\"");
        let problem = |json: &str| decode::<serde_json::Value>(json.as_bytes()).expect_err("it is wrong");
        assert_eq!(problem(r#"{"a":[{"a":1},{"b":{"`":1,"`":1}}]}"#).pointer, "/a/1/b/`");
        assert_eq!(problem(r#"{"":1,"":1}"#).pointer, "/");
        let many: String = (0..20_000).map(|number| format!("\"{number}\":0,")).collect();
        assert_eq!(problem(&format!("{{{many}\"7\":0}}")).pointer, "/7");
        let same_in_others = r#"{"a":{"a":1,"b":[{"a":1},{"a":1}]},"b":1}"#;
        assert_eq!(decode::<serde_json::Value>(same_in_others.as_bytes()).expect("JSON").to_string(), same_in_others);
    }

    #[test]
    fn a_byte_order_mark_and_half_a_surrogate_pair_are_refused() {
        check("\u{feff}{}", "invalid_json", "", "byte order mark");
        for half in [r"\ud800", r"\udc00", r"\ud800\u0041", r"\udc00\ud800"] {
            check(&format!(r#"{{"reference":"{half}"}}"#), "invalid_json", "/reference", "this is not JSON");
            check(&format!(r#"{{"dimensions":{{"{half}":"x"}}}}"#), "invalid_json", "/dimensions", "this is not JSON");
        }
        let entry = |reference: &str| {
            format!(
                r#"{{"reference":"{reference}","transfers":[{{"debit":"a","credit":"b","amount":{{"amount":"1","currency":"XOF"}}}}]}}"#
            )
        };
        let pair = decode::<PostEntry>(entry(r"\ud83c\udfc3").as_bytes()).expect("a whole pair");
        assert_eq!(pair, decode::<PostEntry>(entry("🏃").as_bytes()).expect("the character itself"));
    }

    #[test]
    fn an_array_is_not_an_object_however_well_its_items_fit() {
        check("[]", "wrong_type", "", "expected an object");
        let json = r#"{"transfers":[{"debit":"a","credit":"b","amount":["1","XOF"]}]}"#;
        check(json, "wrong_type", "/transfers/0/amount", "invalid type: sequence, expected an object");
        let json = r#"{"transfers":[{"debit":"a","credit":"b","amount":"1 XOF"}]}"#;
        check(json, "wrong_type", "/transfers/0/amount", "invalid type: string \"1 XOF\", expected an object");
    }

    #[test]
    fn a_limit_that_is_no_decimal_says_what_one_is() {
        let json = r#"{"address":"a","currency":"XOF","kind":"asset","limits":{"floor":0}}"#;
        let problem = decode::<OpenAccount>(json.as_bytes()).expect_err("a number is no limit");
        assert_eq!(problem.pointer, "/limits/floor");
        assert!(problem.detail.starts_with("a limit is a decimal string"), "{problem:?}");
    }

    #[test]
    fn a_kind_that_is_none_lists_those_there_are() {
        let json = r#"{"address":"a","currency":"XOF","kind":"assets"}"#;
        let problem = decode::<OpenAccount>(json.as_bytes()).expect_err("there is no such kind");
        assert_eq!(problem.pointer, "/kind");
        assert!(problem.detail.contains("`liability`"), "{problem:?}");
    }

    #[test]
    fn a_name_with_a_slash_is_escaped_in_the_pointer() {
        check(r#"{"a/b~c":1,"transfers":[]}"#, "unknown_field", "/a~1b~0c", "unknown field `a/b~c`");
    }
}
