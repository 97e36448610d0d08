//! An outsider's program, in Python, comes to the same verdict about an export as `verify`.
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "scribe/desk.rs"]
mod desk;
mod scribe;

use std::path::{Path, PathBuf};
use std::process::Command;

use cauri_event_store::{Hash, Tree};
use desk::Desk;
use scribe::{Scribe, id, shop, transfer, xof};

/// Exit code and answer of `verify_export.py`.
fn outsider(export: &Path, roots: &[&str]) -> (i32, String) {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/verify_export.py");
    let mut command = Command::new("python3");
    command.arg("-B").arg(program).arg(export);
    for root in roots {
        command.args(["--root", root]);
    }
    let ran = command.output().expect("python3, which `cargo xtask test` installs");
    (ran.status.code().unwrap(), String::from_utf8(ran.stdout).unwrap() + &String::from_utf8(ran.stderr).unwrap())
}

fn exported(desk: &Desk) -> (PathBuf, Vec<String>) {
    assert_eq!(desk.run("cauri-replay export --data DESK/data DESK/ledger.jsonl").0, 0);
    let path = desk.path("ledger.jsonl");
    let lines = std::fs::read_to_string(&path).unwrap().lines().map(str::to_owned).collect();
    (path, lines)
}

/// The header that fits these records: what a careful forger writes.
fn forged_header(records: &[String]) -> String {
    let mut tree = Tree::empty();
    records.iter().for_each(|record| tree.push(Hash::of_leaf(record.as_bytes())));
    let head = tree.head();
    format!("{{\"cauri_export\":2,\"head\":{{\"position\":{},\"root\":\"{}\"}},\"journal\":\"ledger\"}}", head.position, head.root)
}

#[test]
fn a_sound_export_is_well_for_both() {
    let desk = Desk::with(&mut shop());
    let (path, lines) = exported(&desk);
    assert_eq!(lines[0], forged_header(&lines[1..]), "the header is what the records give");
    let noted = "10:33e4bee24b7877cebbafdc6b2c0d9a56fb36e5fdf1f49b69fe83518edd99d591";
    let (code, answer) = outsider(&path, &[noted]);
    assert_eq!(code, 0, "{answer}");
    insta::assert_snapshot!(answer);
}

#[test]
fn what_a_newer_cauri_wrote_is_told_from_damage_by_both() {
    let desk = Desk::with(&mut shop());
    let (_, lines) = exported(&desk);
    let newer: [(&str, &str, &str); 4] = [
        ("an envelope", "\"metadata\":", "\"envelope\":3,\"metadata\":"),
        ("a version", "\"schema\":1,", "\"schema\":9,"),
        ("a type", "\"type\":\"entry.posted\"", "\"type\":\"entry.praised\""),
        ("a stream", "\"stream\":\"entry/", "\"stream\":\"period/"),
    ];
    for (what, from, to) in newer {
        let mut lines = lines.clone();
        assert!(lines[7].contains(from), "{what}");
        lines[7] = lines[7].replace(from, to);
        lines[0] = forged_header(&lines[1..]);
        let path = desk.path("newer.jsonl");
        std::fs::write(&path, lines.join("\n") + "\n").unwrap();
        let (code, answer) = outsider(&path, &[]);
        assert!(code == 3 && answer.contains("a newer Cauri wrote position 7"), "{what}: {code}: {answer}");
        let (code, out, errors) = desk.run("cauri-replay verify --export DESK/newer.jsonl");
        assert_eq!(code, 3, "{what}: {out}{errors}");
    }
}

#[test]
fn every_tampered_export_is_wrong_for_both() {
    let desk = Desk::with(&mut shop());
    let (_, lines) = exported(&desk);
    let position = |number: usize| format!("\"position\":{number},");
    let tampered: [(&str, &dyn Fn(&mut Vec<String>)); 12] = [
        ("a changed amount", &|lines| lines[7] = lines[7].replace("9890", "9891")),
        ("a changed name", &|lines| lines[9] = lines[9].replace("operator:ada", "operator:eve")),
        ("a removed line", &|lines| drop(lines.remove(9))),
        ("a removed line at the end", &|lines| drop(lines.pop())),
        ("swapped lines", &|lines| lines.swap(8, 9)),
        ("a line twice", &|lines| lines.insert(9, lines[8].clone())),
        ("white space", &|lines| lines[9] = lines[9].replace("\"schema\":1", "\"schema\": 1")),
        ("fields in another order", &|lines| {
            lines[9] = lines[9].replace("\"schema\":1,", "").replace("{\"data\"", "{\"schema\":1,\"data\"")
        }),
        ("a field twice", &|lines| lines[9] = lines[9].replace("\"schema\":1,", "\"schema\":1,\"schema\":1,")),
        ("a removed record, positions closed up", &|lines| {
            lines.remove(9);
            for (number, line) in lines.iter_mut().enumerate().skip(9) {
                *line = line.replace(&position(number + 1), &position(number));
            }
        }),
        ("another root in the header", &|lines| lines[0] = lines[0].replace("\"root\":\"", "\"root\":\"0").replacen("0\"}", "\"}", 1)),
        ("no header", &|lines| drop(lines.remove(0))),
    ];
    for (what, tamper) in tampered {
        let mut changed = lines.clone();
        tamper(&mut changed);
        assert_ne!(changed, lines, "{what}");
        let path = desk.path("tampered.jsonl");
        std::fs::write(&path, changed.join("\n") + "\n").unwrap();
        let (code, out, errors) = desk.run("cauri-replay verify --export DESK/tampered.jsonl");
        assert_ne!(code, 0, "{what}: {out}{errors}");
        let (code, answer) = outsider(&path, &[]);
        assert_eq!(code, 1, "{what}: {answer}");
    }
}

#[test]
fn a_forgery_that_breaks_a_rule_is_wrong_even_with_a_fitting_root() {
    // What is forged, and in whose name.
    let forgeries: [(&str, &dyn Fn(&mut Vec<String>)); 6] = [
        ("below the floor", &|lines| lines[20] = lines[20].replace("\"amount\":\"200\"", "\"amount\":\"900000\"")),
        ("an account that does not exist", &|lines| lines[20] = lines[20].replace("clients:binta", "clients:nobody")),
        ("a hold resolved otherwise", &|lines| lines[15] = lines[15].replace("\"amount\":\"700\"", "\"amount\":\"600\"")),
        ("more posted than was held", &|lines| lines[11] = lines[11].replace("\"amount\":\"4500\"", "\"amount\":\"5500\"")),
        ("another version", &|lines| lines[11] = lines[11].replace("\"version\":2}", "\"version\":3}")),
        ("time goes back", &|lines| lines[11] = lines[11].replace("\"recorded_at\":\"2026", "\"recorded_at\":\"2025")),
    ];
    let desk = Desk::with(&mut shop());
    let (_, lines) = exported(&desk);
    for (what, forge) in forgeries {
        let mut changed = lines.clone();
        forge(&mut changed);
        assert_ne!(changed, lines, "{what}");
        changed[0] = forged_header(&changed[1..]);
        let path = desk.path("forged.jsonl");
        std::fs::write(&path, changed.join("\n") + "\n").unwrap();
        let (code, out, _) = desk.run("cauri-replay verify --export DESK/forged.jsonl");
        assert_eq!(code, 1, "{what}: {out}");
        let (code, answer) = outsider(&path, &[]);
        assert_eq!(code, 1, "{what}: {answer}");
    }
}

#[test]
fn a_careful_forgery_is_told_by_a_root_that_was_noted_and_by_nothing_else() {
    let desk = Desk::with(&mut shop());
    let (_, lines) = exported(&desk);
    let noted = "22:cec5e1d0e8361aaa074bfa1989bc8f7b42970023b05ee338f0cbc55fc09321c2";
    assert!(lines[0].contains(&noted[3..]));
    let mut changed = lines;
    changed[7] = changed[7].replace("\"amount\":\"9890\"", "\"amount\":\"9990\"");
    changed[0] = forged_header(&changed[1..]);
    let path = desk.path("forged.jsonl");
    std::fs::write(&path, changed.join("\n") + "\n").unwrap();
    assert_eq!(desk.run("cauri-replay verify --export DESK/forged.jsonl").0, 0);
    let (code, out, _) = desk.run(&format!("cauri-replay verify --export DESK/forged.jsonl --against {noted}"));
    assert!(code == 1 && out.contains("expected_heads at position 22"), "{out}");
    let (code, answer) = outsider(&path, &[]);
    assert!(code == 0 && answer.contains("nothing proves that this is the original"), "{answer}");
    let (code, answer) = outsider(&path, &[noted]);
    assert!(code == 1 && answer.contains("not the one that was noted"), "{answer}");
}

#[test]
fn an_import_keeps_commits_whole_at_the_edge_of_a_batch() {
    let mut scribe = Scribe::new();
    scribe.open("a", cauri_domain::account::AccountKind::Asset).open("b", cauri_domain::account::AccountKind::Asset);
    // 8,188 records, then a reversal of two: its first record would still fit, its second would not.
    for number in 3..=8_188 {
        scribe.post(id(number), vec![transfer("a", "b", xof(1))]);
    }
    scribe.reverse(id(3), id(10_000), vec![transfer("b", "a", xof(1))]);
    let desk = Desk::with(&mut scribe);
    exported(&desk);
    assert_eq!(desk.run("cauri-replay import DESK/ledger.jsonl --data DESK/restored").0, 0);
    let (code, out, _) = desk.run("cauri-replay verify --data DESK/restored");
    assert!(code == 0 && out.contains("8,190 in 2 batches"), "{out}");
}

#[test]
fn an_old_shape_and_texts_beyond_ascii_are_well_for_both() {
    let mut scribe = Scribe::new();
    scribe.open("bank", cauri_domain::account::AccountKind::Asset).open("kofi", cauri_domain::account::AccountKind::Liability);
    scribe.forge(
        2,
        r#"{"currency":"XOF","kind":"liability","limits":{}}"#,
        r#"{"currency":"XOF","floor":"0","frozen":false,"kind":"liability"}"#,
    );
    scribe.forge(2, "\"schema\":2", "\"schema\":1");
    scribe.post(id(1), vec![transfer("bank", "kofi", xof(10))]).post(id(2), vec![transfer("kofi", "bank", xof(10))]);
    scribe.forge(3, "operator:ada", "opératrice:aïda \\\"😀\\\\");
    let desk = Desk::with(&mut scribe);
    let (path, lines) = exported(&desk);
    assert!(lines[3].contains("aïda"), "{}", lines[3]);
    let (code, out, _) = desk.run("cauri-replay verify --export DESK/ledger.jsonl");
    assert_eq!(code, 0, "{out}");
    let (code, answer) = outsider(&path, &[]);
    assert_eq!(code, 0, "{answer}");
    // The floor of the old shape counts: 11 is more than there is.
    let mut changed = lines;
    changed[4] = changed[4].replace("\"amount\":\"10\"", "\"amount\":\"11\"");
    changed[0] = forged_header(&changed[1..]);
    std::fs::write(&path, changed.join("\n") + "\n").unwrap();
    assert_eq!(desk.run("cauri-replay verify --export DESK/ledger.jsonl").0, 1);
    let (code, answer) = outsider(&path, &[]);
    assert!(code == 1 && answer.contains("its floor is 0"), "{answer}");
}

/// The journal that `docs/reference/journal-format.md` looks into.
#[test]
fn the_example_in_the_documentation_is_this_shop() {
    let desk = Desk::with(&mut shop());
    let (path, _) = exported(&desk);
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/example-journal.jsonl");
    let written = std::fs::read_to_string(path).unwrap();
    if std::env::var_os("INSTA_UPDATE").is_some_and(|update| update == "always") {
        std::fs::write(&example, &written).unwrap();
    }
    assert_eq!(std::fs::read_to_string(example).unwrap(), written);
    let manual = include_str!("../../docs/reference/journal-format.md");
    let record = written.lines().nth(7).unwrap();
    assert!(manual.contains(record), "the record in the manual is not the one in the example: {record}");
    let header = written.lines().next().unwrap();
    assert!(manual.contains(header), "the header in the manual is not the example's: {header}");
}
