//! The frozen samples: every type and version that was ever written is decoded for ever.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use cauri_domain::event::EventSet;
use cauri_domain::ledger::{Ledger, LedgerEvent};
use cauri_domain::market::Market;
use cauri_event_schemas::canonical;
use cauri_event_schemas::examples::examples;
use cauri_event_schemas::freeze::{schema, schema_file, shape};
use cauri_event_schemas::record::Envelope;
use cauri_event_schemas::registry::{event_types, find};
use serde_json::Value;
use sha2::{Digest, Sha256};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Samples by file name, without the line feed at their end.
fn samples() -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(folder("samples")).expect("samples").map(|file| file.expect("a file").path());
    let samples = files.filter(|path| path.extension().is_some_and(|extension| extension == "json")).map(|path| {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let bytes = fs::read(&path).expect("a sample");
        let line = bytes.strip_suffix(b"\n").unwrap_or_else(|| panic!("{name} ends with a line feed")).to_vec();
        (name, line)
    });
    samples.collect()
}

fn schema_of(event_type: &str, version: u32) -> Value {
    let path = folder("schemas").join(schema_file(event_type, version));
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}; run cargo xtask freeze", path.display()));
    serde_json::from_str(&text).expect("a JSON Schema")
}

/// Type and version by the name of a sample: `account.opened.v1.frozen.json`.
fn named(file: &str) -> (String, u32) {
    let (event_type, rest) = file.split_once(".v").expect("type.vN.json");
    (event_type.to_owned(), rest.split('.').next().and_then(|version| version.parse().ok()).expect("a version"))
}

/// Whether the sample is of an event that only a market journal has.
fn is_of_a_market(file: &str) -> bool {
    LedgerEvent::types().iter().all(|known| known.name != named(file).0)
}

#[test]
fn every_version_of_every_type_has_a_sample_and_a_schema() {
    let sampled: BTreeSet<(String, u32)> = samples().keys().map(|file| named(file)).collect();
    let written: BTreeSet<(String, u32)> =
        event_types().iter().flat_map(|known| (1..=known.version).map(|version| (known.name.to_owned(), version))).collect();
    assert_eq!(sampled, written, "left: sampled, right: in the registry; run cargo xtask freeze");
    for (event_type, version) in written {
        schema_of(&event_type, version);
    }
}

#[test]
fn every_sample_is_what_its_name_says_and_still_decodes() {
    for (file, bytes) in samples() {
        let envelope = Envelope::parse(&bytes).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_eq!((envelope.event_type.to_string(), envelope.schema), named(&file), "{file}");
        let (position, stream, version, recorded_at) =
            (envelope.position, envelope.stream.to_string(), envelope.version, envelope.recorded_at);
        if is_of_a_market(&file) {
            let events = envelope.decode::<Market>().unwrap_or_else(|error| panic!("{file}: {error}"));
            assert!(events.iter().all(|recorded| recorded.position == position && recorded.stream.to_string() == stream), "{file}");
            continue;
        }
        let events = envelope.decode::<Ledger>().unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(!events.is_empty(), "{file}: nothing that was written becomes nothing");
        for recorded in events {
            assert_eq!((recorded.position, recorded.version, recorded.recorded_at), (position, version, recorded_at), "{file}");
            assert_eq!(recorded.stream.to_string(), stream, "{file}");
            let known = find(recorded.event.name()).expect("a type of the registry");
            assert_eq!(recorded.event.schema(), known.version, "{file}: brought up to today");
        }
    }
}

#[test]
fn a_sample_of_todays_version_is_written_with_the_same_bytes() {
    for (file, bytes) in samples() {
        let (event_type, version) = named(&file);
        if find(&event_type).expect("a type of the registry").version != version {
            continue;
        }
        let envelope = Envelope::parse(&bytes).unwrap_or_else(|error| panic!("{file}: {error}"));
        let written_in = envelope.envelope_version;
        let again: Result<Vec<Vec<u8>>, _> = if is_of_a_market(&file) {
            envelope.decode::<Market>().map(|events| events.iter().map(|event| event.to_bytes_in(written_in)).collect())
        } else {
            envelope.decode::<Ledger>().map(|events| events.iter().map(|event| event.to_bytes_in(written_in)).collect())
        };
        let again = again.unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_eq!(again.len(), 1, "{file}");
        assert_eq!(text(&again[0]), text(&bytes), "{file}: what is hashed would be other bytes");
    }
}

#[test]
fn every_sample_is_canonical_json() {
    for (file, bytes) in samples() {
        canonical::check(&bytes).unwrap_or_else(|error| panic!("{file}: {error}"));
    }
}

#[test]
fn every_sample_is_valid_by_the_schema_of_its_version() {
    for (file, bytes) in samples() {
        let (event_type, version) = named(&file);
        let schema = schema_of(&event_type, version);
        let validator = jsonschema::options().should_validate_formats(true).build(&schema).expect("a JSON Schema");
        let record: Value = serde_json::from_slice(&bytes).expect("JSON");
        let errors: Vec<String> = validator.iter_errors(&record["data"]).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{file}: {errors:?}");
        // And the schema is no sieve with one hole: a field that nobody knows is refused, by it and by us.
        let mut unknown = record.clone();
        unknown["data"]["surprise"] = Value::Bool(true);
        assert!(!validator.is_valid(&unknown["data"]), "{file}: the schema accepts an unknown field");
        let bytes = serde_json::to_vec(&unknown).expect("JSON");
        if is_of_a_market(&file) {
            Envelope::parse(&bytes).and_then(Envelope::decode::<Market>).expect_err("an unknown field");
        } else {
            Envelope::parse(&bytes).and_then(Envelope::decode::<Ledger>).expect_err("an unknown field");
        }
    }
}

#[test]
fn the_committed_schema_of_every_current_version_is_that_of_the_code() {
    for known in event_types() {
        let (committed, generated) = (schema_of(known.name, known.version), schema(&known));
        assert_eq!(
            shape(&committed),
            shape(&generated),
            "{}: the shape of a stored event changed: raise its version, write an upcaster, and freeze a sample",
            known.name
        );
        assert_eq!(committed, generated, "{}: only the words of its schema changed: run cargo xtask freeze", known.name);
    }
}

#[test]
fn no_frozen_sample_was_edited_removed_or_slipped_in() {
    let manifest = fs::read_to_string(folder("samples/FROZEN.sha256")).expect("a list of digests; run cargo xtask freeze");
    let frozen: BTreeMap<String, String> = manifest
        .lines()
        .map(|line| line.split_once("  ").map(|(digest, file)| (file.to_owned(), digest.to_owned())).expect("`digest  file`"))
        .collect();
    let found: BTreeMap<String, String> =
        samples().into_iter().map(|(file, line)| (file, format!("{:x}", Sha256::digest([&line[..], b"\n"].concat())))).collect();
    let names: BTreeSet<&String> = found.keys().chain(frozen.keys()).collect();
    let differing: Vec<&String> = names.into_iter().filter(|name| found.get(*name) != frozen.get(*name)).collect();
    assert!(differing.is_empty(), "{differing:?}: a frozen sample is never edited or removed; a new one needs cargo xtask freeze");
}

#[test]
fn the_registry_is_sorted_and_agrees_with_what_events_say_of_themselves() {
    assert!(event_types().is_sorted_by(|left, right| left.name < right.name), "it is searched by halving");
    let mut seen = BTreeSet::new();
    for example in examples() {
        let known = find(example.event_type).unwrap_or_else(|| panic!("{} is not registered", example.event_type));
        assert_eq!((known.name, known.version), (example.event_type, example.schema));
        let envelope = Envelope::parse(&example.bytes).expect("an example");
        let of_stream = envelope.stream.split_once('/').map(|(aggregate, _)| aggregate);
        assert_eq!(example.event_type.split('.').next(), of_stream, "type and stream of one aggregate");
        seen.insert(example.event_type);
    }
    let registered: BTreeSet<&str> = event_types().into_iter().map(|known| known.name).collect();
    assert_eq!(seen, registered, "every type has an example");
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("UTF-8")
}
