//! Golden vectors of the journal's format: what this program writes is what is committed in `docs/reference/vectors.json`,
//! and what an encoder in Python, which shares no code with it, writes for the same records.
//!
//! `UPDATE_VECTORS=1` adds the types of event that are new. Vectors that were published do not change: a changed one is
//! another format.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::path::{Path, PathBuf};
use std::process::Command;

use cauri_domain::event::EventSet;
use cauri_domain::ledger::LedgerEvent;
use cauri_event_schemas::Position;
use cauri_event_schemas::examples::examples;
use cauri_event_schemas::record::Envelope;
use cauri_event_store::embedded::EmbeddedStore;
use cauri_event_store::{Batch, EventStore, Hash, Tree};
use rusqlite::Connection;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// How many records the batch has that is cut into blocks.
const SERIES: u64 = 500;

fn reference(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference").join(name)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Records of every event type of every kind, each as a value, which is what an encoder is given, and as this program writes
/// it: those that were published, and behind them an example or two of each type that is new.
fn records(published: &Value) -> Vec<(Value, Vec<u8>)> {
    let published = published["records"].as_array().into_iter().flatten().map(|vector| vector["given"].clone());
    let mut records: Vec<(Value, Vec<u8>)> = published.map(|given| (given.clone(), written(&given))).collect();
    let known: Vec<Value> = records.iter().map(|(given, _)| given["type"].clone()).collect();
    for example in examples().into_iter().filter(|example| known.iter().all(|known| known != example.event_type)) {
        let mut given: Value = serde_json::from_slice(&example.bytes).unwrap();
        given["position"] = json!(records.len() + 1);
        records.push((given.clone(), written(&given)));
    }
    records
}

/// A record as this program writes it, whichever kind it is of.
fn written(given: &Value) -> Vec<u8> {
    let text = serde_json::to_vec(given).unwrap();
    let envelope = Envelope::parse(&text).unwrap();
    match envelope.clone().decode::<cauri_domain::Ledger>() {
        Ok(of_ledger) => of_ledger[0].to_bytes(),
        Err(_) => envelope.decode::<cauri_domain::market::Market>().unwrap()[0].to_bytes(),
    }
}

/// Record `n` of the series: the given one at another place, time and command, in a stream of its own.
fn of_series(given: &Value, first: u64, n: u64) -> Vec<u8> {
    let mut record = given.clone();
    record["position"] = json!(first + n);
    record["stream"] = json!(format!("entry/0190f1c2-7e4b-7000-8000-{n:012x}"));
    record["version"] = json!(1);
    record["recorded_at"] = json!(format!("2026-03-16T09:00:00.{:06}Z", 1_000 * n));
    record["metadata"]["command"] = json!(format!("series-{n}"));
    // `serde_json` sorts the members, and the typed reading checks the rest.
    let bytes = serde_json::to_vec(&record).unwrap();
    let envelope = Envelope::parse(&bytes).unwrap();
    let again = envelope.decode::<cauri_domain::Ledger>().unwrap()[0].to_bytes();
    assert_eq!(bytes, again);
    bytes
}

fn append(store: &EmbeddedStore, records: &[Vec<u8>]) {
    let mut batch = Batch::after(store.tree().unwrap());
    records.iter().for_each(|record| batch.push_bytes(record).unwrap());
    store.append(store.head().unwrap(), &batch).unwrap();
}

/// The content of the file: the rows of both tables, with bodies as the SHA-256 of what they unpack to.
fn rows(journal: &Path) -> Value {
    let file = Connection::open(journal.join("journal.sqlite")).unwrap();
    let body = |bytes: Vec<u8>| match bytes.as_slice() {
        [] => json!(""),
        packed => json!(hex(&Sha256::digest(zstd::decode_all(packed).unwrap()))),
    };
    let blob = |bytes: Option<Vec<u8>>| bytes.map_or(Value::Null, |bytes| json!(hex(&bytes)));
    let mut frames = file.prepare("SELECT first, last, root, checksums, body, peaks FROM frames ORDER BY first").unwrap();
    let frames = frames.query_map([], |row| {
        Ok(json!({
            "first": row.get::<_, i64>(0)?, "last": row.get::<_, i64>(1)?, "root": blob(row.get(2)?),
            "checksums": blob(row.get(3)?), "unpacked_sha256": body(row.get(4)?), "peaks": blob(row.get(5)?),
        }))
    });
    let frames: Vec<Value> = frames.unwrap().collect::<rusqlite::Result<_>>().unwrap();
    let mut blocks = file.prepare("SELECT first, last, checksums, body FROM blocks ORDER BY first").unwrap();
    let blocks = blocks.query_map([], |row| {
        Ok(json!({
            "first": row.get::<_, i64>(0)?, "last": row.get::<_, i64>(1)?,
            "checksums": blob(row.get(2)?), "unpacked_sha256": body(row.get(3)?),
        }))
    });
    let blocks: Vec<Value> = blocks.unwrap().collect::<rusqlite::Result<_>>().unwrap();
    json!({ "frames": frames, "blocks": blocks })
}

/// The vectors as this program gives them.
fn vectors(dir: &Path, published: &Value) -> Value {
    let records = records(published);
    let mut tree = Tree::empty();
    let vectors: Vec<Value> = records
        .iter()
        .map(|(given, bytes)| {
            tree.push(Hash::of_leaf(bytes));
            json!({
                "given": given,
                "bytes": String::from_utf8(bytes.clone()).unwrap(),
                "crc32": format!("{:08x}", crc32fast::hash(bytes)),
                "leaf": Hash::of_leaf(bytes).to_string(),
                "root": tree.root().to_string(),
                "peaks": tree.peaks().iter().map(ToString::to_string).collect::<Vec<_>>(),
            })
        })
        .collect();

    // A journal of a ledger: its own types, then a batch that takes several blocks, then a small one.
    let is_of_a_ledger = |event_type: &Value| LedgerEvent::types().iter().any(|known| event_type == known.name);
    let own = records.iter().take_while(|(given, _)| is_of_a_ledger(&given["type"]));
    let own: Vec<Vec<u8>> = own.map(|(_, bytes)| bytes.clone()).collect();
    let given = records.iter().map(|(given, _)| given).find(|given| given["type"] == "entry.posted").unwrap();
    let series: Vec<Vec<u8>> = (0..SERIES).map(|n| of_series(given, own.len() as u64 + 1, n)).collect();
    let journal = dir.join("data/journals/ledger");
    let store = EmbeddedStore::open(&journal, "ledger").unwrap();
    append(&store, &own);
    append(&store, &series[..SERIES as usize - 1]);
    append(&store, &series[SERIES as usize - 1..]);
    let head = store.head().unwrap();
    assert_eq!(head.position, Position::new(own.len() as u64 + SERIES));
    drop(store);

    let (data, export) = (dir.join("data"), dir.join("export.jsonl"));
    let arguments = ["cauri-replay", "export", export.to_str().unwrap(), "--data", data.to_str().unwrap()];
    let (mut out, mut errors) = (Vec::new(), Vec::new());
    assert_eq!(cauri_replay_tools::commands::run(arguments, &mut out, &mut errors), 0, "{}", String::from_utf8_lossy(&errors));
    let exported = std::fs::read(&export).unwrap();
    let header = exported.split(|byte| *byte == b'\n').next().unwrap();

    let mut document = json!({
        "cauri_vectors": 1,
        "records": vectors,
        "journal": {
            "batches": [own.len(), SERIES - 1, 1],
            "series": { "given": given, "count": SERIES },
        },
        "export": { "header": String::from_utf8_lossy(header), "sha256": hex(&Sha256::digest(&exported)) },
    });
    let Value::Object(rows) = rows(&journal) else { unreachable!("an object was made") };
    document["journal"].as_object_mut().unwrap().extend(rows);
    document
}

/// The encoder in Python: its exit code, and what it says.
fn encoder(vectors: &Path) -> (i32, String) {
    let ran = Command::new("python3").arg("-B").arg(reference("encode_vectors.py")).arg(vectors).output();
    let ran = ran.expect("python3, which `cargo xtask test` installs");
    (ran.status.code().unwrap(), String::from_utf8_lossy(&ran.stdout).into_owned() + &String::from_utf8_lossy(&ran.stderr))
}

#[test]
fn what_is_written_is_what_was_published() {
    let dir = tempfile::tempdir().unwrap();
    let path = reference("vectors.json");
    let read = || serde_json::from_slice::<Value>(&std::fs::read(&path).unwrap()).unwrap();
    let vectors = vectors(dir.path(), &read());
    if std::env::var_os("UPDATE_VECTORS").is_some() {
        std::fs::write(&path, format!("{vectors:#}\n")).unwrap();
    }
    let published = read();
    for part in ["records", "journal", "export"] {
        assert!(vectors[part] == published[part], "{part}: this program writes another format than docs/reference/vectors.json says");
    }
    assert!(vectors["journal"]["blocks"].as_array().is_some_and(|blocks| blocks.len() > 2));
}

#[test]
fn an_independent_encoder_writes_the_same() {
    let (code, said) = encoder(&reference("vectors.json"));
    assert_eq!(code, 0, "{said}");
    insta::assert_snapshot!(said);
}

#[test]
fn an_independent_encoder_finds_every_vector_that_is_wrong() {
    let published: Value = serde_json::from_slice(&std::fs::read(reference("vectors.json")).unwrap()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    for pointer in [
        "/records/3/bytes",
        "/records/3/crc32",
        "/records/3/leaf",
        "/records/3/root",
        "/records/2/peaks/0",
        "/journal/frames/1/root",
        "/journal/frames/0/checksums",
        "/journal/frames/2/unpacked_sha256",
        "/journal/blocks/1/last",
        "/journal/blocks/1/checksums",
        "/journal/blocks/0/unpacked_sha256",
        "/export/header",
        "/export/sha256",
    ] {
        let mut wrong = published.clone();
        let value = wrong.pointer_mut(pointer).unwrap_or_else(|| panic!("no {pointer}"));
        *value = match value.as_str() {
            Some(text) => json!(format!("{text} ")),
            None => json!(value.as_u64().unwrap() + 1),
        };
        let path = dir.path().join("wrong.json");
        std::fs::write(&path, wrong.to_string()).unwrap();
        let (code, said) = encoder(&path);
        assert_eq!(code, 1, "{pointer}: {said}");
    }
}
