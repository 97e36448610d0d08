//! Records: any value to bytes and back, and the bytes are canonical.

use std::collections::HashMap;
use std::sync::LazyLock;

use cauri_domain::event::EventSet;
use cauri_domain::ledger::Ledger;
use cauri_event_schemas::freeze::schema;
use cauri_event_schemas::ledger::StreamId;
use cauri_event_schemas::record::Envelope;
use cauri_event_schemas::registry::event_types;
use cauri_event_schemas::{Fingerprint, Position, StreamVersion, canonical};
use proptest::prelude::*;

use crate::arbitrary::{any_event, any_fingerprint, any_recorded, any_stream};

static VALIDATORS: LazyLock<HashMap<&str, jsonschema::Validator>> = LazyLock::new(|| {
    let validator = |schema| jsonschema::options().should_validate_formats(true).build(&schema).expect("a JSON Schema");
    event_types().iter().map(|known| (known.name, validator(schema(known)))).collect()
});

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_recorded_is_read_back_and_its_bytes_are_canonical(recorded in any_recorded()) {
        let bytes = recorded.to_bytes();
        canonical::check(&bytes).expect("canonical");
        prop_assert!(!bytes.contains(&b'\n'), "one line");
        let envelope = Envelope::parse(&bytes).expect("own bytes");
        prop_assert_eq!((&*envelope.event_type, envelope.schema), (recorded.event.name(), recorded.event.schema()));
        prop_assert_eq!(envelope.decode::<Ledger>().expect("own bytes"), vec![recorded]);
    }

    #[test]
    fn a_payload_alone_is_canonical_and_valid_by_its_schema(event in any_event()) {
        let mut bytes = Vec::new();
        event.write_data(&mut bytes);
        canonical::check(&bytes).expect("canonical");
        let payload = serde_json::from_slice(&bytes).expect("JSON");
        let errors: Vec<String> = VALIDATORS[event.name()].iter_errors(&payload).map(|error| error.to_string()).collect();
        prop_assert!(errors.is_empty(), "{:?} of {}", errors, payload);
    }

    #[test]
    fn a_stream_and_its_text_are_one_to_one(stream in any_stream()) {
        let text = stream.to_string();
        prop_assert_eq!(text.parse::<StreamId>().expect("own text"), stream.clone());
        prop_assert_eq!(text, format!("{}/{}", stream.aggregate_type(), stream.aggregate_id()));
    }

    #[test]
    fn a_fingerprint_and_its_text_are_one_to_one(fingerprint in any_fingerprint()) {
        let text = serde_json::to_string(&fingerprint).expect("JSON");
        prop_assert_eq!(text.len(), if fingerprint.version() == 1 { 34 } else { 36 });
        prop_assert_eq!(serde_json::from_str::<Fingerprint>(&text).expect("own text"), fingerprint);
    }
}

#[test]
fn a_record_is_appended_to_what_is_there() {
    let bytes = &cauri_event_schemas::examples::examples()[0].bytes;
    let record = &Envelope::parse(bytes).and_then(Envelope::decode::<Ledger>).expect("an example")[0];
    let mut out = b"before".to_vec();
    record.write_to(&mut out);
    assert_eq!(out.strip_prefix(b"before"), Some(&record.to_bytes()[..]));
}

#[test]
fn a_place_is_counted_from_one_and_never_calculated_with() {
    assert_eq!(Position::ZERO.next(), Position::new(1));
    assert_eq!(Position::new(7).after(3), Position::new(10));
    assert_eq!(StreamVersion::ZERO.next().get(), 1);
    assert_eq!(Position::new(7).to_string(), "7");
}

#[test]
fn what_is_no_stream_is_refused() {
    for text in [
        "",
        "account",
        "account/",
        "/a",
        "account/a b",
        "accounts/a",
        "entry/",
        "entry/0190f1c27e4b7cc398c4dc0c0c07398f",
        "command/a b",
        "journal/",
    ] {
        assert!(text.parse::<StreamId>().is_err(), "{text:?}");
    }
}

proptest! {
    #[test]
    fn metadata_and_stream_are_written_as_serde_would_write_them(record in any_recorded()) {
        let written: serde_json::Value = serde_json::from_slice(&record.to_bytes()).expect("JSON");
        prop_assert_eq!(&written["metadata"], &serde_json::to_value(&*record.metadata).expect("JSON"));
        prop_assert_eq!(&written["stream"], &serde_json::Value::from(record.stream.to_string()));
    }
}
