//! `verify --against`: the journal is compared with what somebody outside remembers of it.
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "scribe/desk.rs"]
mod desk;
mod scribe;

use cauri_event_store::embedded::EmbeddedStore;
use cauri_event_store::{ConsistencyToken, Hash, Head, Tree};
use desk::Desk;
use scribe::{Scribe, id, shop, transfer, xof};

/// The shop's journal, and one that has the same first records and went on otherwise.
fn shop_that_went_on_otherwise(shared: usize) -> Scribe {
    let mut other = shop();
    other.records.truncate(shared);
    let mut again = shop();
    // The same records at the same places, but for who asked.
    for position in shared + 1..=again.records.len() {
        // What expired by itself nobody asked for.
        if String::from_utf8_lossy(&again.records[position - 1]).contains("operator:ada") {
            again.forge(position as u64, "operator:ada", "operator:eve");
        }
    }
    other.records.extend(again.records.drain(shared..));
    other
}

/// The head of a journal after so many records.
fn head_at(scribe: &Scribe, position: usize) -> Head {
    let mut tree = Tree::empty();
    scribe.records[..position].iter().for_each(|record| tree.push(Hash::of_leaf(record)));
    tree.head()
}

fn written(head: &Head) -> String {
    format!("{}:{}", head.position, head.root)
}

fn token(head: &Head) -> String {
    ConsistencyToken::new("ledger", head).to_string()
}

#[test]
fn a_journal_that_has_what_was_noted_is_well() {
    let desk = Desk::with(&mut shop());
    assert_eq!(desk.run("cauri-replay export --data DESK/data DESK/early.jsonl --to 9").0, 0);
    assert_eq!(desk.run("cauri-replay export --data DESK/data DESK/whole.jsonl").0, 0);
    let (early, last) = (head_at(&shop(), 8), head_at(&shop(), 22));
    let against = format!(
        "--against {} --against {} --against DESK/early.jsonl --against DESK/whole.jsonl --expect-head {}",
        written(&early),
        token(&last),
        written(&last)
    );
    for origin in ["--data DESK/data", "--export DESK/whole.jsonl"] {
        let (code, out, errors) = desk.run(&format!("cauri-replay verify {origin} {against}"));
        assert_eq!(code, 0, "{out}{errors}");
        assert!(out.lines().any(|line| line.split_whitespace().take(2).eq(["expected_heads", "ok"])), "{out}");
    }
}

#[test]
fn a_journal_that_was_restored_and_went_on_otherwise_is_told_by_each() {
    let desk = Desk::with(&mut shop());
    assert_eq!(desk.run("cauri-replay export --data DESK/data DESK/remembered.jsonl").0, 0);
    let noted = head_at(&shop(), 22);
    let mut other = shop_that_went_on_otherwise(12);
    let found = head_at(&other, 22);
    let restored = Desk::with(&mut other);
    // Nothing in the journal itself tells.
    assert_eq!(restored.run("cauri-replay verify --data DESK/data").0, 0);

    for noted in [written(&noted), token(&noted)] {
        let (code, out, _) = restored.run(&format!("cauri-replay verify --data DESK/data --against {noted}"));
        assert_eq!(code, 1, "{out}");
        assert!(out.contains(&format!("the journal's root at 22 is {}", found.root)), "{out}");
    }
    let export = desk.path("remembered.jsonl");
    let (code, out, _) = restored.run(&format!("cauri-replay verify --data DESK/data --against {}", export.display()));
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("expected_heads at position 13\n  the record is another than in"), "{out}");
    assert!(out.contains(&format!("{} was noted", noted.root)), "the export's head is compared as well: {out}");
    // What both have in common agrees.
    let shared = head_at(&shop(), 12);
    for noted in [written(&shared), token(&shared)] {
        assert_eq!(restored.run(&format!("cauri-replay verify --data DESK/data --against {noted}")).0, 0);
    }
}

#[test]
fn a_journal_that_is_shorter_than_what_was_noted_is_told() {
    let desk = Desk::with(&mut shop());
    assert_eq!(desk.run("cauri-replay export --data DESK/data DESK/remembered.jsonl").0, 0);
    let mut cut = shop();
    cut.records.truncate(17);
    cut.batch_ends.retain(|end| *end <= 17);
    let restored = Desk::with(&mut cut);
    let (code, out, _) =
        restored.run(&format!("cauri-replay verify --data DESK/data --against {}", desk.path("remembered.jsonl").display()));
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("has records up to 22, the journal ends at 17"), "{out}");
    assert!(out.contains("was noted at 22, the journal ends at 17"), "{out}");
}

#[test]
fn an_export_that_is_damaged_itself_proves_nothing_and_is_named() {
    let desk = Desk::with(&mut shop());
    assert_eq!(desk.run("cauri-replay export --data DESK/data DESK/whole.jsonl").0, 0);
    let whole = std::fs::read_to_string(desk.path("whole.jsonl")).unwrap();
    for (what, damaged) in [
        ("its records give the head 22:", whole.replace("\"amount\":\"9890\"", "\"amount\":\"9990\"")),
        ("its records give the head 21:", whole.lines().take(22).map(|line| format!("{line}\n")).collect()),
    ] {
        std::fs::write(desk.path("damaged.jsonl"), damaged).unwrap();
        let (code, out, _) = desk.run("cauri-replay verify --data DESK/data --against DESK/damaged.jsonl");
        assert_eq!(code, 1, "{out}");
        assert!(out.contains("damaged.jsonl is damaged itself, so that it proves nothing") && out.contains(what), "{out}");
    }
}

#[test]
fn what_is_neither_head_nor_token_nor_export_is_bad_usage() {
    let desk = Desk::with(&mut shop());
    std::fs::write(desk.path("notes.txt"), "22:9f2c\n").unwrap();
    for (against, says) in [
        ("22:9f2c", "is not POSITION:ROOT"),
        ("nowhere.jsonl", "nor the file of an export"),
        // A token of the old form does not say which history it belongs to.
        ("djE6bGVkZ2VyOjIy", "nor a consistency token"),
        ("DESK/notes.txt", "line 1 is no header of an export"),
    ] {
        let (code, out, errors) = desk.run(&format!("cauri-replay verify --data DESK/data --against {against}"));
        assert_eq!(code, 2, "{against}: {out}{errors}");
        assert!(errors.contains(says), "{against}: {errors}");
    }
}

#[test]
fn stored_peaks_that_are_not_those_of_the_records_are_found() {
    let mut scribe = Scribe::new();
    scribe.open("a", cauri_domain::account::AccountKind::Asset).open("b", cauri_domain::account::AccountKind::Asset);
    for number in 3..=5_000 {
        scribe.post(id(number), vec![transfer("a", "b", xof(1))]);
    }
    let desk = Desk::with(&mut scribe);
    assert_eq!(desk.run("cauri-replay verify --data DESK/data").0, 0);
    let journal = rusqlite::Connection::open(desk.journal().join("journal.sqlite")).unwrap();
    let changed = journal.execute("UPDATE frames SET peaks = zeroblob(length(peaks)) WHERE peaks IS NOT NULL", []).unwrap();
    assert_eq!(changed, 1);
    let (code, out, _) = desk.run("cauri-replay verify --data DESK/data");
    assert_eq!(code, 1, "{out}");
    assert!(out.contains("the peaks that are stored with the batch that begins here are not those of its records"), "{out}");
}

#[test]
fn exports_of_version_1_are_read_and_those_of_a_newer_one_are_refused() {
    let desk = Desk::with(&mut shop());
    assert_eq!(desk.run("cauri-replay export --data DESK/data DESK/whole.jsonl").0, 0);
    let whole = std::fs::read_to_string(desk.path("whole.jsonl")).unwrap();
    assert!(whole.starts_with("{\"cauri_export\":2,"));
    std::fs::write(desk.path("old.jsonl"), whole.replacen("\"cauri_export\":2", "\"cauri_export\":1", 1)).unwrap();
    let (code, out, errors) = desk.run("cauri-replay verify --export DESK/old.jsonl --against DESK/whole.jsonl");
    assert_eq!(code, 0, "{out}{errors}");
    assert_eq!(desk.run("cauri-replay import DESK/old.jsonl --data DESK/restored").0, 0);
    for newer in ["3", "0"] {
        std::fs::write(desk.path("new.jsonl"), whole.replacen("\"cauri_export\":2", &format!("\"cauri_export\":{newer}"), 1)).unwrap();
        let (code, _, errors) = desk.run("cauri-replay verify --export DESK/new.jsonl");
        assert!(code == 2 && errors.contains("reads exports of version 1 to 2"), "{errors}");
    }
}

#[test]
fn journals_of_format_1_are_verified_as_they_are() {
    let desk = Desk::empty();
    std::fs::create_dir_all(desk.journal()).unwrap();
    let sample = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../event-store/tests/samples/format-1/journal.sqlite");
    std::fs::copy(sample, desk.journal().join("journal.sqlite")).unwrap();
    let before = std::fs::read(desk.journal().join("journal.sqlite")).unwrap();
    let noted = "5:3773b8bb2e74d78a76e13e960713176fcdc5f277c7461ea69da3a522b1759f14";
    let (code, out, errors) = desk.run(&format!("cauri-replay verify --data DESK/data --against {noted}"));
    assert_eq!(code, 0, "{out}{errors}");
    assert!(before == std::fs::read(desk.journal().join("journal.sqlite")).unwrap(), "verify changed the journal");
}

#[test]
fn records_of_format_1_beyond_where_they_are_said_to_end_are_found() {
    let desk = Desk::empty();
    std::fs::create_dir_all(desk.journal()).unwrap();
    let sample = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../event-store/tests/samples/format-1/journal.sqlite");
    std::fs::copy(sample, desk.journal().join("journal.sqlite")).unwrap();
    // Opened to append, it becomes one of format 2.
    drop(EmbeddedStore::open(&desk.journal(), "ledger").unwrap());
    assert_eq!(desk.run("cauri-replay verify --data DESK/data").0, 0);
    for change in ["UPDATE meta SET value = '0' WHERE key = 'format_1_until'", "DELETE FROM meta WHERE key = 'format_1_until'"] {
        rusqlite::Connection::open(desk.journal().join("journal.sqlite")).unwrap().execute(change, []).unwrap();
        let (code, out, errors) = desk.run("cauri-replay verify --data DESK/data");
        assert!(code == 1 && out.contains("names no caller"), "{code} {out}{errors}");
    }
}
