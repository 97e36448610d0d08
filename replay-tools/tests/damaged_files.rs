//! What `verify` says of files that are damaged as a whole, are not there, or cannot be written: a table.
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "scribe/desk.rs"]
mod desk;
mod scribe;

use std::fs;
use std::path::Path;
use std::process::Command;

use cauri_event_store::embedded::EmbeddedStore;
use desk::Desk;
use scribe::shop;

/// A closed journal with its index.
fn closed() -> Desk {
    let desk = Desk::with(&mut shop());
    drop(EmbeddedStore::open(&desk.journal(), "ledger").unwrap());
    desk
}

/// The files as a killed process leaves them: everything in the log.
fn killed() -> Desk {
    let (writer, left) = (Desk::empty(), Desk::empty());
    let store = EmbeddedStore::open(&writer.journal(), "ledger").unwrap();
    shop().append_to(&store);
    fs::create_dir_all(left.journal()).unwrap();
    for name in ["journal.sqlite", "journal.sqlite-wal", "index.sqlite", "index.sqlite-wal", "cauri.lock"] {
        fs::copy(writer.journal().join(name), left.journal().join(name)).unwrap();
    }
    left
}

fn cut(path: &Path, length: u64) {
    fs::OpenOptions::new().write(true).open(path).unwrap().set_len(length).unwrap();
}

fn overwrite(path: &Path, from: usize, to: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[from..to].fill(0xff);
    fs::write(path, bytes).unwrap();
}

fn verify(desk: &Desk) -> (u8, String) {
    let (code, out, errors) = desk.run("cauri-replay verify --data DESK/data");
    (code, out + &errors)
}

type Change = fn(&Path);

#[test]
fn damage_is_named_with_exit_code_1_and_only_another_thing_is_no_journal() {
    let table: [(&str, fn() -> Desk, Change, u8, &str); 15] = [
        ("untouched", closed, |_| {}, 0, "All is well"),
        ("killed, the log has everything", killed, |_| {}, 0, "All is well"),
        (
            "killed, no shared memory file",
            killed,
            |dir| {
                let _ = fs::remove_file(dir.join("journal.sqlite-shm"));
            },
            0,
            "All is well",
        ),
        ("empty file", closed, |dir| cut(&dir.join("journal.sqlite"), 0), 1, "is empty"),
        ("one byte", closed, |dir| cut(&dir.join("journal.sqlite"), 1), 1, "checksums at position 1"),
        ("half a page", closed, |dir| cut(&dir.join("journal.sqlite"), 2_048), 1, "checksums"),
        ("one page", closed, |dir| cut(&dir.join("journal.sqlite"), 4_096), 1, "checksums"),
        (
            "the last byte",
            closed,
            |dir| {
                let file = dir.join("journal.sqlite");
                let size = file.metadata().unwrap().len();
                cut(&file, size - 1)
            },
            1,
            "NOT WELL",
        ),
        ("the magic overwritten", closed, |dir| overwrite(&dir.join("journal.sqlite"), 0, 16), 1, "checksums at position 1"),
        ("the header overwritten", closed, |dir| overwrite(&dir.join("journal.sqlite"), 0, 100), 1, "checksums at position 1"),
        ("the schema overwritten", closed, |dir| overwrite(&dir.join("journal.sqlite"), 100, 4_096), 1, "checksums at position 1"),
        // What was only in the log is gone as after a crash: an empty journal. A head that was noted tells, see below.
        ("killed, the log removed", killed, |dir| fs::remove_file(dir.join("journal.sqlite-wal")).unwrap(), 0, "head      0:"),
        (
            "a text",
            closed,
            |dir| {
                fs::remove_file(dir.join("index.sqlite")).unwrap();
                fs::write(dir.join("journal.sqlite"), "a shopping list\n".repeat(500)).unwrap()
            },
            2,
            "holds no Cauri journal",
        ),
        (
            "another program's database",
            closed,
            |dir| {
                fs::remove_file(dir.join("journal.sqlite")).unwrap();
                rusqlite::Connection::open(dir.join("journal.sqlite"))
                    .unwrap()
                    .execute_batch("CREATE TABLE customers (name TEXT)")
                    .unwrap();
            },
            2,
            "another program's database",
        ),
        ("no file", closed, |dir| fs::remove_file(dir.join("journal.sqlite")).unwrap(), 2, "there is no journal.sqlite"),
    ];
    for (case, make, change, code, named) in table {
        let desk = make();
        change(&desk.journal());
        let (found, text) = verify(&desk);
        assert!(found == code && text.contains(named), "{case}: exit code {found}, {code} expected with {named:?}\n{text}");
    }
}

#[test]
fn a_file_cut_off_anywhere_is_damaged_and_never_another_thing() {
    let original = closed();
    let size = original.journal().join("journal.sqlite").metadata().unwrap().len();
    let lengths = (0..size).step_by(997).chain([1, 15, 16, 99, 100, 511, 512, 4_095, 4_096, 4_097, size - 4_096, size - 1]);
    for length in lengths {
        let desk = Desk::empty();
        fs::create_dir_all(desk.journal()).unwrap();
        for name in ["journal.sqlite", "index.sqlite", "cauri.lock"] {
            fs::copy(original.journal().join(name), desk.journal().join(name)).unwrap();
        }
        cut(&desk.journal().join("journal.sqlite"), length);
        let (code, text) = verify(&desk);
        assert!(code == 1, "{length} of {size} bytes: exit code {code}\n{text}");
        let (code, json, _) = desk.run("cauri-replay verify --data DESK/data --json");
        let report: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert!(code == 1 && report["findings"][0]["what"].is_string(), "{length} of {size} bytes: {json}");
    }
}

/// Position and root of the head, as `head` shows them.
fn head_of(desk: &Desk) -> String {
    let (code, json, errors) = desk.run("cauri-replay head --data DESK/data --json");
    assert!(code == 0, "{errors}");
    let shown: serde_json::Value = serde_json::from_str(&json).unwrap();
    format!("{}:{}", shown["head"]["position"], shown["head"]["root"].as_str().unwrap())
}

#[test]
fn a_log_that_is_cut_off_or_removed_ends_the_journal_earlier_which_a_noted_head_tells() {
    let noted = head_of(&killed());
    let size = killed().journal().join("journal.sqlite-wal").metadata().unwrap().len();
    let mut ended_earlier = 0;
    // A header and frames of one page each. SQLite takes what ends before a torn commit, as after any crash.
    for length in (0..size).step_by(4 * 4_120).chain([31, 32, 33, 4_152, size - 1]) {
        let desk = killed();
        cut(&desk.journal().join("journal.sqlite-wal"), length);
        let (code, text) = verify(&desk);
        assert!(code <= 1 && !text.contains("holds no Cauri journal"), "{length} of {size} bytes: exit code {code}\n{text}");
        let (code, text, _) = desk.run(&format!("cauri-replay verify --data DESK/data --expect-head {noted}"));
        let is_whole = code == 0;
        assert!(is_whole || code == 1, "{length} of {size} bytes: {text}");
        assert_eq!(is_whole, head_of(&desk) == noted, "{length} of {size} bytes: {text}");
        ended_earlier += usize::from(!is_whole);
    }
    assert!(ended_earlier > 0);
}

#[test]
fn the_log_of_another_journal_is_not_taken_for_well() {
    let (desk, other) = (killed(), Desk::empty());
    let store = EmbeddedStore::open(&other.journal(), "ledger").unwrap();
    shop().append_to(&store);
    fs::copy(closed().journal().join("journal.sqlite"), desk.journal().join("journal.sqlite")).unwrap();
    let mut log = fs::read(other.journal().join("journal.sqlite-wal")).unwrap();
    // Salted otherwise than the frames behind it: the frames count for nothing.
    log[16] ^= 1;
    fs::write(desk.journal().join("journal.sqlite-wal"), &log).unwrap();
    let (code, text) = verify(&desk);
    assert!(code <= 1 && !text.contains("holds no Cauri journal"), "{code} {text}");
}

/// `verify` of a directory that is mounted read-only; `None` where this machine lets nobody mount.
fn verify_read_only(desk: &Desk) -> Option<(Option<i32>, String)> {
    let data = desk.path("data");
    let script = "mount --bind \"$1\" \"$1\" && mount -o remount,bind,ro \"$1\" || exit 99; \"$2\" verify --data \"$1\"";
    let output = Command::new("unshare")
        .args(["-Urm", "sh", "-c", script, "sh"])
        .arg(&data)
        .arg(env!("CARGO_BIN_EXE_cauri-replay"))
        .output()
        .ok()?;
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.code() == Some(99) || text.contains("unshare") {
        println!("skipped: this machine lets nobody mount a file system of his own (unshare -Urm)");
        return None;
    }
    Some((output.status.code(), text))
}

#[test]
fn a_read_only_mount_is_verified() {
    let Some((code, text)) = verify_read_only(&closed()) else { return };
    assert!(code == Some(0) && text.contains("All is well"), "{code:?} {text}");
}

#[test]
fn damage_on_a_read_only_mount_is_damage() {
    let desk = closed();
    cut(&desk.journal().join("journal.sqlite"), 4_096);
    let Some((code, text)) = verify_read_only(&desk) else { return };
    assert!(code == Some(1) && text.contains("checksums"), "{code:?} {text}");
}

#[test]
fn a_log_that_cannot_be_read_on_a_read_only_mount_is_not_passed_over() {
    let Some((code, text)) = verify_read_only(&killed()) else { return };
    assert!(code != Some(0) && !text.contains("holds no Cauri journal"), "{code:?} {text}");
}
