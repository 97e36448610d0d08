//! Freezing writes what is missing and never changes what is there.

use std::fs;
use std::path::Path;

use cauri_event_schemas::freeze::{FreezeError, freeze};
use cauri_event_schemas::registry::event_types;
use serde_json::{Value, json};

fn frozen_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    freeze(folder.path()).expect("an empty folder takes everything");
    folder
}

fn edit(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut value: Value = serde_json::from_slice(&fs::read(path).expect("a file")).expect("JSON");
    change(&mut value);
    fs::write(path, format!("{value:#}")).expect("written");
}

#[test]
fn an_empty_folder_gets_every_current_version_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let frozen = freeze(folder.path()).expect("frozen");
    assert_eq!(frozen.schemas.len(), event_types().len());
    assert!(frozen.samples.contains(&"account.opened.v2.json".to_owned()));
    assert!(frozen.samples.contains(&"account.opened.v2.minimal.json".to_owned()));
    assert_eq!(freeze(folder.path()).expect("nothing is missing"), Default::default());
}

#[test]
fn what_it_writes_is_what_is_committed() {
    let folder = frozen_folder();
    let committed = Path::new(env!("CARGO_MANIFEST_DIR"));
    for known in event_types() {
        let file = format!("schemas/{}.v{}.json", known.name, known.version);
        assert_eq!(fs::read(folder.path().join(&file)).ok(), fs::read(committed.join(&file)).ok(), "{file}: run cargo xtask freeze");
    }
}

#[test]
fn a_sample_that_is_there_is_left_alone() {
    let folder = frozen_folder();
    let sample = folder.path().join("samples/entry.posted.v1.json");
    fs::write(&sample, "older than the example").expect("written");
    assert_eq!(freeze(folder.path()).expect("nothing is missing"), Default::default());
    assert_eq!(fs::read_to_string(sample).expect("the sample"), "older than the example");
}

#[test]
fn only_what_is_missing_is_written() {
    let folder = frozen_folder();
    fs::remove_file(folder.path().join("samples/entry.held.v1.minimal.json")).expect("removed");
    fs::remove_file(folder.path().join("schemas/entry.held.v1.json")).expect("removed");
    let frozen = freeze(folder.path()).expect("two are missing");
    assert_eq!((frozen.samples, frozen.schemas), (vec!["entry.held.v1.minimal.json".into()], vec!["entry.held.v1.json".into()]));
}

#[test]
fn a_shape_that_changed_stops_it_before_anything_is_written() {
    let folder = frozen_folder();
    let (schema, sample) = (folder.path().join("schemas/entry.posted.v1.json"), folder.path().join("samples/account.opened.v2.json"));
    edit(&schema, |schema| schema["properties"]["memo"] = json!({ "type": "string" }));
    fs::remove_file(&sample).expect("removed");
    let before = fs::read(&schema).expect("a schema");
    let error = freeze(folder.path()).expect_err("another shape under the same version");
    assert!(matches!(error, FreezeError::ShapeChanged(_)));
    assert!(error.to_string().starts_with("the shape of a stored event changed: raise its version"), "{error}");
    assert_eq!(fs::read(&schema).expect("a schema"), before);
    assert!(!sample.exists());
}

#[test]
fn words_of_a_schema_follow_the_code() {
    let folder = frozen_folder();
    let path = folder.path().join("schemas/entry.posted.v1.json");
    let before = fs::read(&path).expect("a schema");
    edit(&path, |schema| schema["description"] = json!("other words"));
    assert_eq!(freeze(folder.path()).expect("the same shape").reworded, ["entry.posted.v1.json"]);
    assert_eq!(fs::read(&path).expect("a schema"), before);
}
