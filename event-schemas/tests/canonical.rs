//! Canonical JSON: one value, one text (RFC 8785, without numbers that are not integers).

use cauri_event_schemas::canonical::{NotCanonical, canonical, check};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn text(value: &Value) -> String {
    String::from_utf8(canonical(value).expect("canonical")).expect("UTF-8")
}

#[test]
fn strings_are_escaped_as_the_standard_shows() {
    // RFC 8785 §3.2.2.2 and its example, as far as it has no floats.
    let value: Value = serde_json::from_str(r#""\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/""#).expect("JSON");
    assert_eq!(text(&value), r#""€$\u000f\nA'B\"\\\\\"/""#);
    assert_eq!(text(&json!("\u{8}\t\n\u{c}\r\u{1f}\u{7f}\u{2028}\u{2029}😀")), "\"\\b\\t\\n\\f\\r\\u001f\u{7f}\u{2028}\u{2029}😀\"");
}

#[test]
fn fields_are_sorted_by_utf_16_code_units() {
    // RFC 8785 §3.2.3: the smiley's surrogates come before U+FB33, though its UTF-8 comes after.
    let value = json!({
        "\u{20ac}": "Euro Sign", "\r": "Carriage Return", "\u{fb33}": "Hebrew Letter Dalet With Dagesh",
        "1": "One", "\u{1f600}": "Emoji: Grinning Face", "\u{80}": "Control", "\u{f6}": "Latin Small Letter O With Diaeresis",
    });
    let text = text(&value);
    let places: Vec<usize> = ["Carriage", "One", "Control", "Latin", "Euro", "Emoji", "Hebrew"]
        .map(|name| text.find(name).unwrap_or_else(|| panic!("{name} is written")))
        .into();
    assert!(places.is_sorted(), "{text}");
}

#[test]
fn the_same_value_in_another_text_is_not_canonical() {
    check(br#"{"a":[1,true,null,"x"],"b":{}}"#).expect("canonical");
    for other in [
        r#"{"b":{},"a":[1,true,null,"x"]}"#,
        r#"{"a":[1,true,null,"x"], "b":{}}"#,
        r#"{"a":[1,true,null,"\u0078"],"b":{}}"#,
        "{\"a\":1}\n",
        r#"{"a":1,"a":1}"#,
        r#""\/""#,
        r#""\u000A""#,
    ] {
        assert!(matches!(check(other.as_bytes()), Err(NotCanonical::Differs(_))), "{other}");
    }
    assert!(matches!(check(b"{"), Err(NotCanonical::Json(_))));
}

#[test]
fn it_says_from_which_byte_on_the_text_differs() {
    let Err(NotCanonical::Differs(at)) = check(br#"{"a":1,"b": 2}"#) else { panic!("it differs") };
    assert_eq!(at, 11);
}

#[test]
fn only_integers_that_every_reader_keeps_are_numbers() {
    for exact in ["0", "-1", "9007199254740991", "-9007199254740991"] {
        check(exact.as_bytes()).expect("below 2^53");
    }
    for other in ["9007199254740992", "-9007199254740992", "18446744073709551615", "1.5", "1.0", "1e3", "-0"] {
        assert!(matches!(check(other.as_bytes()), Err(NotCanonical::Number(_))), "{other}");
    }
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-(1_i64 << 53) + 1..1 << 53).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((any::<String>(), inner), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

proptest! {
    #[test]
    fn canonical_text_says_the_same_and_is_its_own_canonical_text(value in any_value()) {
        let bytes = canonical(&value).expect("no floats");
        prop_assert_eq!(serde_json::from_slice::<Value>(&bytes).expect("JSON"), value);
        check(&bytes).expect("canonical");
        prop_assert!(!bytes.contains(&b'\n'));
    }
}
