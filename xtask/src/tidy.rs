//! What no compiler checks: layers, licences, names, and that every file says what it is for.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Crates that may never appear below a crate: its architecture invariant.
const FORBIDDEN_BELOW: &[(&str, &[&str])] = &[
    ("cauri-domain", &["rusqlite", "sqlx", "axum", "hyper", "ureq", "reqwest", "rand", "rdkafka", "async-graphql", "mio"]),
    ("cauri-event-schemas", &["rusqlite", "sqlx", "axum", "hyper", "ureq", "reqwest", "async-graphql", "mio"]),
    ("cauri-event-store", &["axum", "hyper", "ureq", "reqwest", "async-graphql"]),
    ("cauri-engine", &["axum", "hyper", "ureq", "reqwest", "async-graphql"]),
    ("cauri-projections", &["axum", "hyper", "ureq", "reqwest", "async-graphql"]),
    ("cauri-import", &["rusqlite", "sqlx", "axum", "hyper", "ureq", "reqwest", "async-graphql", "mio"]),
];

/// What each crate of Cauri may use of the others: downwards only.
const LAYERS: &[(&str, &[&str])] = &[
    ("cauri-domain", &[]),
    ("cauri-event-schemas", &["cauri-domain"]),
    ("cauri-event-store", &["cauri-domain", "cauri-event-schemas"]),
    ("cauri-engine", &["cauri-domain", "cauri-event-schemas", "cauri-event-store"]),
    ("cauri-projections", &["cauri-domain", "cauri-event-schemas", "cauri-event-store"]),
    ("cauri-http", &["cauri-domain"]),
    ("cauri-command-api", &["cauri-domain", "cauri-event-schemas", "cauri-event-store", "cauri-engine", "cauri-http"]),
    ("cauri-query-api", &["cauri-domain", "cauri-event-schemas", "cauri-event-store", "cauri-engine", "cauri-projections", "cauri-http"]),
    ("cauri-import", &["cauri-domain"]),
    ("cauri-replay-tools", &["cauri-domain", "cauri-event-schemas", "cauri-event-store", "cauri-projections"]),
];

/// Where no kind of journal and no aggregate may be known; what stands behind `conformance/` is material for its cases.
const KNOW_NO_KIND: &[&str] = &["engine/src/", "event-store/src/"];

/// What is of a kind: modules of `domain/`, as a path names them.
const OF_A_KIND: &[&str] = &["account", "entry", "fold", "ledger", "limits", "market", "money", "LedgerCommand", "Ledger", "Market"];

/// Licences that a dependency may offer.
const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-1-Clause",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Folders and files that draw at random and are no tests of their own: measurements, and what the suites draw with.
const NO_SUITES: &[&str] =
    &["/benches/", "/examples/", "tests/src/maker.rs", "tests/fuzz/", "crash-images/src/", "crash-images/tests/power_cut/"];

/// Names that say nothing about a subject.
const EMPTY_NAMES: &[&str] = &["util", "utils", "helper", "helpers", "common", "misc", "stuff", "manager"];

/// Runs every check; the error lists all that is wrong.
pub fn check() -> Result<(), String> {
    let root = root();
    let mut wrong = Vec::new();
    files(&root, &mut wrong);
    layers(&mut wrong)?;
    licences(&mut wrong)?;
    if wrong.is_empty() {
        eprintln!("tidy: all is well");
        return Ok(());
    }
    Err(format!("tidy found {} things:\n  {}", wrong.len(), wrong.join("\n  ")))
}

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// Every Rust file opens by saying what it is for, and is named after a subject.
fn files(root: &Path, wrong: &mut Vec<String>) {
    let listed = Command::new("git").args(["ls-files", "--cached", "--others", "--exclude-standard"]).current_dir(root).output();
    let listed = listed.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    for name in listed.lines() {
        let path = root.join(name);
        let stems = Path::new(name).iter().filter_map(|part| Path::new(part).file_stem()?.to_str());
        for stem in stems.filter(|stem| EMPTY_NAMES.contains(stem)) {
            wrong.push(format!("{name}: name the subject; `{stem}` says nothing"));
        }
        if !name.ends_with(".rs") {
            continue;
        }
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        if !text.trim_start().starts_with("//!") {
            wrong.push(format!("{name}: open with one `//!` sentence that says what the file is for"));
        }
        // Written so that this file does not find itself.
        let draws = [["propte", "st! {"], ["with_", "seed("], ["of_", "seed("], ["Numbers", "::from("]].map(|halves| halves.concat());
        let is_suite = draws.iter().any(|mark| text.contains(mark)) && !NO_SUITES.iter().any(|place| name.contains(place));
        if is_suite && crate::fuzz::files().all(|listed| listed != name) {
            wrong.push(format!("{name}: draws at random; give it a line in the table of xtask/src/fuzz.rs"));
        }
        let knows_no_kind = KNOW_NO_KIND.iter().any(|folder| name.starts_with(folder)) && !name.contains("/conformance/");
        if knows_no_kind {
            for of_a_kind in OF_A_KIND.iter().filter(|module| text.contains(&format!("cauri_domain::{module}"))) {
                wrong.push(format!("{name}: names `{of_a_kind}`; the engine and the stores know no kind of journal"));
            }
        }
        // In two halves, so that this file does not find itself.
        let unfinished = [["to", "do!("], ["#[ig", "nore"], ["db", "g!("]].map(|halves| halves.concat());
        for (index, line) in text.lines().enumerate() {
            if unfinished.iter().any(|mark| line.contains(mark)) {
                wrong.push(format!("{name}:{}: {}", index + 1, line.trim()));
            }
        }
    }
}

/// What may depend on what.
fn layers(wrong: &mut Vec<String>) -> Result<(), String> {
    for (package, forbidden) in FORBIDDEN_BELOW {
        let tree = output(&["tree", "--package", package, "--edges", "normal", "--prefix", "none", "--format", "{p}"])?;
        for line in tree.lines() {
            let name = line.split(' ').next().unwrap_or_default();
            if forbidden.contains(&name) {
                wrong.push(format!("{package} must not depend on {name}; `cargo tree -p {package} -i {name}` shows how it does"));
            }
        }
    }
    for (package, allowed) in LAYERS {
        let tree = output(&["tree", "--package", package, "--edges", "normal", "--depth", "1", "--prefix", "none", "--format", "{p}"])?;
        for name in tree.lines().skip(1).filter_map(|line| line.split(' ').next()) {
            if name.starts_with("cauri-") && !allowed.contains(&name) {
                wrong.push(format!("{package} must not use {name}: it does not stand below"));
            }
        }
    }
    Ok(())
}

/// Every dependency offers a licence that we may use.
fn licences(wrong: &mut Vec<String>) -> Result<(), String> {
    let metadata: Value =
        serde_json::from_str(&output(&["metadata", "--format-version", "1", "--locked"])?).map_err(|error| error.to_string())?;
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let (name, licence) = (package["name"].as_str().unwrap_or_default(), package["license"].as_str().unwrap_or_default());
        let offers = |licence: &str| {
            licence
                .replace('/', " OR ")
                .replace(['(', ')'], "")
                .split(" OR ")
                .any(|choice| choice.split(" AND ").all(|part| LICENCES.contains(&part.trim())))
        };
        if !offers(licence) {
            wrong.push(format!("{name} has the licence {licence:?}, which is not in xtask/src/tidy.rs"));
        }
    }
    Ok(())
}

fn output(arguments: &[&str]) -> Result<String, String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let output = Command::new(cargo).args(arguments).current_dir(root()).output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(format!("cargo {} failed: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr)));
    }
    String::from_utf8(output.stdout).map_err(|error| error.to_string())
}
