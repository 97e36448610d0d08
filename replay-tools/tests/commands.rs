//! Transcripts of the commands, as an accountant reads them.
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "scribe/desk.rs"]
mod desk;
mod scribe;

use std::process::Command;

use desk::Desk;
use scribe::shop;

const DATA: &str = "--data DESK/data";

#[test]
fn verify() {
    let desk = Desk::with(&mut shop());
    let transcript = desk.transcript(&[
        &format!("cauri-replay verify {DATA}"),
        &format!("cauri-replay verify {DATA} --expect-head 10:33e4bee24b7877cebbafdc6b2c0d9a56fb36e5fdf1f49b69fe83518edd99d591"),
        &format!("cauri-replay verify {DATA} --against 10:0000bee24b7877cebbafdc6b2c0d9a56fb36e5fdf1f49b69fe83518edd99d591"),
    ]);
    insta::assert_snapshot!(transcript);
}

#[test]
fn verify_as_json() {
    let desk = Desk::with(&mut shop());
    let (code, out, _) = desk.run(&format!("cauri-replay verify {DATA} --json"));
    let mut document: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert!(code == 0 && document["seconds"].is_number());
    document["seconds"] = "measured".into();
    insta::assert_json_snapshot!(document);
}

#[test]
fn verify_a_journal_whose_amount_was_changed_on_disk() {
    let desk = Desk::with(&mut shop());
    let file = rusqlite::Connection::open(desk.journal().join("journal.sqlite")).unwrap();
    let body: Vec<u8> = file.query_row("SELECT body FROM frames WHERE first = 7", [], |row| row.get(0)).unwrap();
    let lines = String::from_utf8(zstd::decode_all(body.as_slice()).unwrap()).unwrap();
    assert!(lines.contains("\"amount\":\"9890\""));
    let body = zstd::encode_all(lines.replace("\"amount\":\"9890\"", "\"amount\":\"9990\"").as_bytes(), 1).unwrap();
    file.execute("UPDATE frames SET body = ?1 WHERE first = 7", [body]).unwrap();
    drop(file);
    let transcript = desk.transcript(&[&format!("cauri-replay verify {DATA}")]);
    insta::assert_snapshot!(transcript);
}

#[test]
fn show() {
    let desk = Desk::with(&mut shop());
    let transcript = desk.transcript(&[
        &format!("cauri-replay show {DATA} 0190f1c2-7e4b-7000-8000-000000000003"),
        &format!("cauri-replay show {DATA} 0190f1c2-7e4b-7000-8000-000000000002"),
        &format!("cauri-replay show {DATA} clients:kofi"),
        &format!("cauri-replay show {DATA} clients:kofi --last 2 --known-at 10"),
        &format!("cauri-replay show {DATA} banks:eur --as-of 2026-03-16T08:05:00Z"),
        &format!("cauri-replay show {DATA} command/order-77"),
        &format!("cauri-replay show {DATA} 9"),
        &format!("cauri-replay show {DATA} clients:nobody"),
        &format!("cauri-replay show {DATA} 23"),
        &format!("cauri-replay show {DATA} journal/ledger"),
        &format!("cauri-replay show {DATA} not/a/stream"),
    ]);
    insta::assert_snapshot!(transcript);
}

#[test]
fn show_of_what_a_newer_cauri_wrote_has_an_exit_code_of_its_own() {
    let desk = Desk::with(&mut shop());
    assert_eq!(desk.run(&format!("cauri-replay export {DATA} DESK/export.jsonl")).0, 0);
    let export = std::fs::read_to_string(desk.path("export.jsonl")).unwrap();
    let show = |version: u32| {
        let newer = export.replace("\"schema\":1,\"stream\":\"entry/", &format!("\"schema\":{version},\"stream\":\"entry/"));
        std::fs::write(desk.path("newer.jsonl"), newer).unwrap();
        desk.run("cauri-replay show --export DESK/newer.jsonl 0190f1c2-7e4b-7000-8000-000000000001")
    };
    let (code, _, errors) = show(9);
    assert!(code == 3 && errors.contains("written by a newer Cauri at position 7"), "{code}: {errors}");
    assert_eq!(show(0).0, 1, "no version is 0: that is damage");
    assert_eq!(show(1).0, 0);
}

/// A desk whose journal has records that a newer program wrote, from position 7 on; the rest is sound.
fn with_newer_records() -> Desk {
    let mut scribe = shop();
    scribe.forge(7, "\"schema\":1,\"stream\":\"entry/", "\"schema\":9,\"stream\":\"entry/");
    scribe.forge(9, "entry.held", "entry.blessed");
    Desk::with(&mut scribe)
}

#[test]
fn what_a_newer_cauri_wrote_is_no_damage_and_has_an_exit_code_of_its_own() {
    let desk = with_newer_records();
    // Nothing is wrong, so there is one more way to see it: by an export, and by the page of Python.
    insta::assert_snapshot!(desk.transcript(&[&format!("cauri-replay verify {DATA}")]));
    for command in ["balances", "trial-balance", "export DESK/newer.jsonl", "show 0190f1c2-7e4b-7000-8000-000000000001"] {
        let (code, out, errors) = desk.run(&format!("cauri-replay {command} {DATA}"));
        assert!(code == 3 && errors.contains("written by a newer Cauri at position 7"), "{command}: {code}\n{out}{errors}");
    }
    // What stands before it can be asked for.
    assert_eq!(desk.run(&format!("cauri-replay export DESK/before.jsonl --to 6 {DATA}")).0, 0);
    let (code, out, _) = desk.run(&format!("cauri-replay verify --json {DATA}"));
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &report["ok"], &report["newer"]["position"]), (3, &false.into(), &7.into()));
    assert_eq!(report["findings"], serde_json::json!([]));
}

#[test]
fn damage_beside_what_a_newer_cauri_wrote_is_damage() {
    let desk = with_newer_records();
    let journal = rusqlite::Connection::open(desk.journal().join("journal.sqlite")).unwrap();
    journal.execute("UPDATE frames SET root = zeroblob(32) WHERE first = 1", []).unwrap();
    drop(journal);
    let (code, out, _) = desk.run(&format!("cauri-replay verify {DATA}"));
    assert!(code == 1 && out.contains("Written by a newer Cauri from position 7 on") && out.contains("NOT WELL"), "{code}\n{out}");
}

#[test]
fn an_instant_on_the_command_line_is_one_of_rfc_3339() {
    let desk = Desk::with(&mut shop());
    for command in ["show clients:kofi", "balances", "trial-balance"] {
        let ask = |at: &str| desk.run(&format!("cauri-replay {command} {DATA} --as-of {at}"));
        let (code, last, errors) = ask("9999-12-31T23:59:59Z");
        assert_eq!(code, 0, "{errors}");
        assert!(!last.is_empty());
        for (wrong, why) in [
            ("2026-03-16", "RFC 3339"),
            ("2026-03-16T08Z", "RFC 3339"),
            ("2026-03-16T08:00:00+01:00[Africa/Lagos]", "RFC 3339"),
            ("2026-03-16T08:00:00+25:00", "an offset from UTC"),
            ("2026-03-16T08:00:60Z", "leap seconds are not counted"),
            ("2026-03-16T23:59:59.999999999Z", "at most six digits after the second"),
            ("1899-12-31T00:00:00Z", "1900-01-01T00:00:00Z"),
        ] {
            let (code, _, errors) = ask(wrong);
            assert_eq!(code, 2, "{command} {wrong}");
            assert!(errors.contains("--as-of") && errors.contains(why), "{errors}");
        }
    }
}

#[test]
fn show_as_json() {
    let desk = Desk::with(&mut shop());
    let transcript = desk.transcript(&[
        &format!("cauri-replay show {DATA} --json 0190f1c2-7e4b-7000-8000-000000000005"),
        &format!("cauri-replay show {DATA} --json clients:binta"),
        &format!("cauri-replay show {DATA} --json 12"),
    ]);
    insta::assert_snapshot!(transcript);
}

#[test]
fn balances() {
    let desk = Desk::with(&mut shop());
    let transcript = desk.transcript(&[
        &format!("cauri-replay balances {DATA}"),
        &format!("cauri-replay balances {DATA} clients --known-at 10"),
        &format!("cauri-replay balances {DATA} merchants:awa --as-of 2026-03-16T08:00:09.5Z"),
        &format!("cauri-replay balances {DATA} client"),
        &format!("cauri-replay balances {DATA} --known-at 40"),
        &format!("cauri-replay balances {DATA} clients:kofi --json"),
    ]);
    insta::assert_snapshot!(transcript);
}

#[test]
fn trial_balance() {
    let desk = Desk::with(&mut shop());
    let transcript = desk.transcript(&[
        &format!("cauri-replay trial-balance {DATA}"),
        &format!("cauri-replay trial-balance {DATA} --known-at 8"),
        &format!("cauri-replay trial-balance {DATA} --known-at 7 --json"),
    ]);
    insta::assert_snapshot!(transcript);
}

#[test]
fn head() {
    let desk = Desk::with(&mut shop());
    let transcript = desk.transcript(&[
        &format!("cauri-replay head {DATA}"),
        &format!("cauri-replay head {DATA} --json"),
        &format!("cauri-replay export {DATA} DESK/ledger.jsonl"),
        "cauri-replay head --export DESK/ledger.jsonl",
        "cauri-replay head --data DESK/elsewhere",
    ]);
    insta::assert_snapshot!(transcript);
}

#[test]
fn export_and_import() {
    let desk = Desk::with(&mut shop());
    let transcript = desk.transcript(&[
        &format!("cauri-replay export {DATA} DESK/ledger.jsonl"),
        &format!("cauri-replay export {DATA} DESK/ledger.jsonl"),
        "cauri-replay verify --export DESK/ledger.jsonl",
        "cauri-replay import DESK/ledger.jsonl --data DESK/restored",
        "cauri-replay import DESK/ledger.jsonl --data DESK/restored",
        "cauri-replay verify --data DESK/restored",
        &format!("cauri-replay export {DATA} DESK/first-eight.jsonl --to 8"),
        "cauri-replay import DESK/first-eight.jsonl --data DESK/older --journal archive",
        "cauri-replay show --export DESK/ledger.jsonl 0190f1c2-7e4b-7000-8000-000000000006",
    ]);
    insta::assert_snapshot!(transcript);
    let [original, restored] = ["ledger.jsonl", "again.jsonl"].map(|name| desk.path(name));
    assert_eq!(desk.run("cauri-replay export --data DESK/restored DESK/again.jsonl").0, 0);
    assert_eq!(std::fs::read(original).unwrap(), std::fs::read(restored).unwrap());
    let (code, out, _) = desk.run(&format!("cauri-replay export {DATA} -"));
    assert_eq!((code, out.as_bytes()), (0, std::fs::read(desk.path("ledger.jsonl")).unwrap().as_slice()));
}

#[test]
fn repack() {
    let desk = Desk::with(&mut shop());
    let transcript = desk.transcript(&[
        &format!("cauri-replay repack DESK/repacked {DATA}"),
        "cauri-replay verify --data DESK/repacked",
        // A second run finds nothing more to do.
        &format!("cauri-replay repack DESK/repacked {DATA}"),
        &format!("cauri-replay repack DESK/data {DATA}"),
        "cauri-replay repack DESK/repacked --data DESK/elsewhere",
    ]);
    insta::assert_snapshot!(transcript);
    for (data, file) in [("data", "ledger.jsonl"), ("repacked", "again.jsonl")] {
        assert_eq!(desk.run(&format!("cauri-replay export --data DESK/{data} DESK/{file}")).0, 0);
    }
    assert_eq!(std::fs::read(desk.path("ledger.jsonl")).unwrap(), std::fs::read(desk.path("again.jsonl")).unwrap());
}

#[test]
fn import_refuses_what_is_damaged_and_names_the_line() {
    let desk = Desk::with(&mut shop());
    desk.run(&format!("cauri-replay export {DATA} DESK/ledger.jsonl"));
    let lines: Vec<String> = std::fs::read_to_string(desk.path("ledger.jsonl")).unwrap().lines().map(str::to_owned).collect();
    let write = |name: &str, change: &dyn Fn(&mut Vec<String>)| {
        let mut changed = lines.clone();
        change(&mut changed);
        std::fs::write(desk.path(name), changed.join("\n") + "\n").unwrap();
    };
    write("amount.jsonl", &|lines| lines[7] = lines[7].replace("9890", "9990"));
    write("space.jsonl", &|lines| lines[7] = lines[7].replace("\"position\":7", "\"position\": 7"));
    write("removed.jsonl", &|lines| drop(lines.remove(7)));
    write("swapped.jsonl", &|lines| lines.swap(7, 8));
    write("cut.jsonl", &|lines| lines.truncate(20));
    write("torn.jsonl", &|lines| lines[22].truncate(100));
    write("empty.jsonl", &|lines| lines.clear());
    let transcript = desk.transcript(&[
        "cauri-replay import DESK/amount.jsonl --data DESK/new",
        "cauri-replay import DESK/space.jsonl --data DESK/new",
        "cauri-replay import DESK/removed.jsonl --data DESK/new",
        "cauri-replay import DESK/swapped.jsonl --data DESK/new",
        "cauri-replay import DESK/cut.jsonl --data DESK/new",
        "cauri-replay import DESK/torn.jsonl --data DESK/new",
        "cauri-replay import DESK/empty.jsonl --data DESK/new",
        "cauri-replay import DESK/absent.jsonl --data DESK/new",
    ]);
    insta::assert_snapshot!(transcript);
    assert!(!desk.path("new").exists(), "nothing is made from a damaged export");
}

#[test]
fn manual() {
    let desk = Desk::with(&mut shop());
    let transcript = desk.transcript(&[
        "cauri-replay manual",
        "cauri-replay manual limits",
        "cauri-replay manual nothing",
        "cauri-replay",
        "cauri-replay verify --against 12",
    ]);
    insta::assert_snapshot!(transcript);
}

#[test]
fn the_program_answers_as_the_library() {
    let desk = Desk::with(&mut shop());
    let program = |arguments: &[&str]| Command::new(env!("CARGO_BIN_EXE_cauri-replay")).args(arguments).output().unwrap();
    let data = desk.path("data");
    let ran = program(&["trial-balance", "--data", data.to_str().unwrap()]);
    let (code, out, _) = desk.run(&format!("cauri-replay trial-balance {DATA}"));
    assert_eq!((ran.status.code(), String::from_utf8(ran.stdout).unwrap()), (Some(code.into()), out));
    assert_eq!(program(&["nonsense"]).status.code(), Some(2));
}
