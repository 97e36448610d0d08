//! What the audit says of a journal whose batches are stored in blocks, and of damage to one of them.
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "scribe/desk.rs"]
mod desk;
mod scribe;

use cauri_domain::account::AccountKind;
use desk::Desk;
use rusqlite::Connection;
use scribe::{Scribe, id, transfer, xof};

const LINE: &str = "cauri-replay verify --data DESK/data";

/// Two accounts, a batch of 600 entries, and one more.
fn desk() -> Desk {
    let mut scribe = Scribe::new();
    scribe.open("bank", AccountKind::Asset).open("awa", AccountKind::Liability).end_batch();
    for number in 0..600 {
        scribe.post(id(number), vec![transfer("bank", "awa", xof(100))]);
    }
    scribe.end_batch().post(id(600), vec![transfer("bank", "awa", xof(100))]);
    Desk::with(&mut scribe)
}

fn blocks(desk: &Desk) -> Vec<(i64, i64)> {
    let journal = Connection::open(desk.journal().join("journal.sqlite")).unwrap();
    let mut select = journal.prepare("SELECT first, last FROM blocks ORDER BY first").unwrap();
    select.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().collect::<rusqlite::Result<_>>().unwrap()
}

#[test]
fn a_batch_in_blocks_is_well() {
    let desk = desk();
    assert!(blocks(&desk).len() > 2);
    let (code, out, errors) = desk.run(LINE);
    assert_eq!(code, 0, "{out}{errors}");
    assert!(out.contains("603"), "{out}");
}

#[test]
fn damage_to_a_block_is_found_and_its_first_position_named() {
    let original = blocks(&desk());
    let ((first, last), (third, _)) = (original[1], original[2]);
    for (change, named) in [
        (format!("DELETE FROM blocks WHERE first = {first}"), 3),
        (format!("UPDATE blocks SET last = last - 1 WHERE first = {first}"), 3),
        (format!("UPDATE blocks SET first = first + 1 WHERE first = {first}"), 3),
        (format!("UPDATE blocks SET body = x'' WHERE first = {first}"), first),
        (format!("UPDATE blocks SET body = x'28b52ffd' WHERE first = {first}"), first),
        (format!("UPDATE blocks SET body = (SELECT body FROM blocks WHERE first = {third}) WHERE first = {first}"), first),
        (format!("UPDATE blocks SET checksums = zeroblob(length(checksums)) WHERE first = {first}"), first),
        (format!("UPDATE blocks SET checksums = substr(checksums, 1, 4 * ({last} - {first})) WHERE first = {first}"), last),
    ] {
        let desk = desk();
        Connection::open(desk.journal().join("journal.sqlite")).unwrap().execute_batch(&change).unwrap();
        let (code, out, errors) = desk.run(LINE);
        assert_eq!(code, 1, "{change}: {out}{errors}");
        let text = format!("position {named}");
        assert!(out.contains(&text), "{change}: {text} is not named in\n{out}");
    }
}

#[test]
fn a_block_that_no_frame_leads_to_is_found() {
    for change in [
        // Behind the head, and under a frame that has its records itself.
        "INSERT INTO blocks VALUES (5000, 5001, x'0000000000000000', x'00')",
        "INSERT INTO blocks VALUES (1, 2, x'0000000000000000', x'00')",
    ] {
        let desk = desk();
        Connection::open(desk.journal().join("journal.sqlite")).unwrap().execute_batch(change).unwrap();
        let (code, out, _) = desk.run(LINE);
        assert!(code == 1 && out.contains("belongs to no frame"), "{change}: {code}\n{out}");
    }
}
