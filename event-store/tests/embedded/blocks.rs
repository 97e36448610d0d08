//! The blocks of a batch: where they end, how they are stored, and what damage to one does.

use std::path::Path;

use cauri_event_schemas::{Position, StreamVersion};
use cauri_event_store::conformance::material::{Author, Commit, all, append, check};
use cauri_event_store::embedded::{EmbeddedStore, OpenError};
use cauri_event_store::{Corruption, EventStore, OwnedRecord, StoreError};
use rusqlite::Connection;

/// As `docs/reference/journal-format.md` says it: a block ends with the record that brings it to so many bytes.
const BYTES_A_BLOCK: usize = 65_536;

fn open(dir: &Path) -> EmbeddedStore {
    EmbeddedStore::open(dir, "ledger").expect("a store")
}

fn database(dir: &Path) -> Connection {
    Connection::open(dir.join("journal.sqlite")).expect("a database")
}

fn entries(author: &mut Author, count: usize) -> Vec<Commit> {
    (0..count).map(|_| author.entry()).collect()
}

/// Batches of 3, 1,000 and 5 records.
fn journal() -> (tempfile::TempDir, Vec<OwnedRecord>) {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let mut author = Author::new("a");
    for count in [3, 1_000, 5] {
        append(&store, &entries(&mut author, count));
    }
    let records = all(&store);
    (dir, records)
}

/// First and last position of each row, how many checksums it has, and whether it has a body.
type Row = (u64, u64, usize, bool);

fn rows(dir: &Path, table: &str) -> Vec<Row> {
    let journal = database(dir);
    let sql = format!("SELECT first, last, length(checksums) / 4, length(body) > 0 FROM {table} ORDER BY first");
    let mut select = journal.prepare(&sql).expect("a table");
    let rows = select
        .query_map([], |row| Ok((row.get::<_, i64>(0)? as u64, row.get::<_, i64>(1)? as u64, row.get::<_, i64>(2)? as usize, row.get(3)?)));
    rows.expect("rows").collect::<Result<_, _>>().expect("rows")
}

#[test]
fn a_block_ends_with_the_record_that_brings_it_to_64_kib_or_with_its_batch() {
    let (dir, records) = journal();
    let (mut blocks, mut first, mut bytes) = (Vec::new(), 4, 0);
    for record in &records[3..1_003] {
        let position = record.as_record().position().get();
        bytes += record.as_record().bytes().len() + 1;
        if bytes >= BYTES_A_BLOCK || position == 1_003 {
            blocks.push((first, position, (position + 1 - first) as usize, true));
            (first, bytes) = (position + 1, 0);
        }
    }
    assert!(blocks.len() > 3, "{blocks:?}");
    assert_eq!(rows(dir.path(), "blocks"), blocks);
    // A batch of one block has no row there; one of several has no records of its own.
    assert_eq!(rows(dir.path(), "frames"), [(1, 3, 3, true), (4, 1_003, 0, false), (1_004, 1_008, 5, true)]);
}

#[test]
fn a_record_of_more_than_64_kib_is_a_block_of_its_own() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = open(dir.path());
    let mut author = Author::new("a");
    append(&store, &[author.entry_with(1_000, "large"), author.entry_with(1_000, "large"), author.entry()]);
    assert_eq!(rows(dir.path(), "blocks"), [(1, 1, 1, true), (2, 2, 1, true), (3, 3, 1, true)]);
    check(&store);
}

/// What a change to `blocks` does: every position is read as it was, or is corruption; the positions that are.
fn corrupt_after(change: &str) -> (Vec<u64>, Vec<u64>) {
    let (dir, records) = journal();
    let changed = database(dir.path()).execute_batch(change);
    changed.unwrap_or_else(|error| panic!("{change}: {error}"));
    let store = open(dir.path());
    let mut by_block = Vec::new();
    for record in &records {
        let position = record.as_record().position();
        match store.read_checked_block(position) {
            Ok(Some(block)) => {
                assert!(
                    block.at(position).is_some_and(|found| found.bytes() == record.as_record().bytes()),
                    "{change}: another record at {position}"
                );
            }
            Err(StoreError::Corruption(Corruption { position: at, .. })) => {
                assert!(at.get() > 3 && at.get() <= 1_003, "{change}: {at} is named");
                by_block.push(position.get());
            }
            other => panic!("{change}: {other:?} at {position}"),
        }
        // The look-up by stream reads the same block.
        let stream = record.as_record().envelope().expect("an envelope").stream.to_string();
        let found = store.read_stream(&stream, StreamVersion::ZERO);
        let is_read = found.as_ref().is_ok_and(|found| found[..] == [record.clone()]);
        let is_corrupt = matches!(found, Err(StoreError::Corruption(_)));
        assert!(if by_block.last() == Some(&position.get()) { is_corrupt } else { is_read }, "{change}: {found:?} at {position}");
    }
    let by_batch = records.iter().map(|record| record.as_record().position());
    let by_batch = by_batch.filter(|position| matches!(store.read_checked(*position), Err(StoreError::Corruption(_))));
    (by_block, by_batch.map(Position::get).collect())
}

#[test]
fn a_damaged_block_is_corruption_and_its_neighbours_are_read_as_they_were() {
    let (dir, _) = journal();
    let blocks = rows(dir.path(), "blocks");
    let (second, third) = (blocks[1], blocks[2]);
    let whole: Vec<u64> = (second.0..=second.1).collect();
    for change in [
        format!("DELETE FROM blocks WHERE first = {}", second.0),
        format!("UPDATE blocks SET body = x'' WHERE first = {}", second.0),
        format!("UPDATE blocks SET body = (SELECT body FROM blocks WHERE first = {}) WHERE first = {}", third.0, second.0),
        format!(
            "UPDATE blocks SET body = CAST((SELECT body FROM blocks WHERE first = {}) || body AS BLOB) WHERE first = {}",
            third.0, second.0
        ),
        format!("UPDATE blocks SET checksums = x'00' WHERE first = {}", second.0),
        format!("UPDATE blocks SET checksums = substr(checksums, 5) WHERE first = {}", second.0),
        format!("UPDATE blocks SET last = last + 1 WHERE first = {}", second.0),
        format!("UPDATE blocks SET last = -1 WHERE first = {}", second.0),
    ] {
        let (by_block, by_batch) = corrupt_after(&change);
        assert!(by_block.iter().all(|position| whole.contains(position)), "{change}: {by_block:?}");
        assert!(by_block.len() >= whole.len() - 1, "{change}: {by_block:?}");
        assert_eq!(by_batch, (4..=1_003).collect::<Vec<_>>(), "{change}: the batch is read as a whole");
    }
}

#[test]
fn a_journal_from_before_there_were_blocks_is_continued_with_blocks() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut author = Author::new("a");
    append(&open(dir.path()), &entries(&mut author, 20));
    database(dir.path()).execute_batch("DROP TABLE blocks; PRAGMA wal_checkpoint(TRUNCATE)").expect("as it was written before");
    check(&EmbeddedStore::open_read_only(dir.path(), "ledger").expect("read as it is"));
    let store = open(dir.path());
    append(&store, &entries(&mut author, 500));
    check(&store);
    assert!(rows(dir.path(), "blocks").len() > 1);
}

/// The same journal as one frame a batch, as format 1 stored it.
fn whole_frames(dir: &Path) {
    let journal = database(dir);
    let records: Vec<OwnedRecord> = all(&EmbeddedStore::open_read_only(dir, "ledger").expect("a store"));
    for (first, last, ..) in rows(dir, "frames").into_iter().filter(|(.., has_body)| !has_body) {
        let records = || records[first as usize - 1..last as usize].iter().map(|record| record.as_record().bytes());
        let lines: Vec<u8> = records().flat_map(|bytes| [bytes, b"\n"].concat()).collect();
        let checksums: Vec<u8> = records().flat_map(|bytes| crc32fast::hash(bytes).to_be_bytes()).collect();
        let body = zstd::bulk::compress(&lines, 1).expect("packed");
        journal
            .execute("UPDATE frames SET checksums = ?1, body = ?2 WHERE first = ?3", rusqlite::params![checksums, body, first as i64])
            .expect("a frame");
    }
    journal.execute_batch("DROP TABLE blocks; PRAGMA wal_checkpoint(TRUNCATE)").expect("no blocks");
}

#[test]
fn repacking_keeps_records_batches_and_roots_and_cuts_blocks() {
    let (dir, records) = journal();
    let (frames, blocks) = (rows(dir.path(), "frames"), rows(dir.path(), "blocks"));
    let roots = |dir: &Path| -> Vec<Vec<u8>> {
        let journal = database(dir);
        let mut select =
            journal.prepare("SELECT root FROM frames UNION ALL SELECT value FROM meta WHERE key = 'journal_id'").expect("frames");
        let roots = select.query_map([], |row| row.get_ref(0)?.as_bytes().map(<[u8]>::to_vec).map_err(Into::into)).expect("roots");
        roots.collect::<Result<_, _>>().expect("roots")
    };
    let before = roots(dir.path());
    whole_frames(dir.path());
    let into = tempfile::tempdir().expect("a directory");
    let mut seen = Vec::new();
    let head = EmbeddedStore::repack(dir.path(), into.path(), "ledger", |position| seen.push(position.get())).expect("a copy");
    assert_eq!((head.position.get(), seen), (1_008, vec![3, 1_003, 1_008]));
    assert_eq!((rows(into.path(), "frames"), rows(into.path(), "blocks")), (frames, blocks));
    assert_eq!(roots(into.path()), before, "the same roots, and the same journal");
    let copy = open(into.path());
    check(&copy);
    assert_eq!(all(&copy), records);
}

#[test]
fn repacking_goes_on_where_it_was_cut_short_and_refuses_another_journal() {
    let (dir, _) = journal();
    let into = tempfile::tempdir().expect("a directory");
    EmbeddedStore::repack(dir.path(), into.path(), "ledger", |_| {}).expect("a copy");
    let mut author = Author::new("b");
    append(&open(dir.path()), &entries(&mut author, 300));
    let mut seen = Vec::new();
    EmbeddedStore::repack(dir.path(), into.path(), "ledger", |position| seen.push(position.get())).expect("the rest");
    assert_eq!(seen, [1_308]);
    assert_eq!(all(&open(into.path())), all(&open(dir.path())));

    let other = tempfile::tempdir().expect("a directory");
    append(&open(other.path()), &entries(&mut author, 2));
    let before = all(&open(other.path()));
    match EmbeddedStore::repack(dir.path(), other.path(), "ledger", |_| {}) {
        Err(OpenError::NotAJournal { reason, .. }) => assert!(reason.contains("another journal"), "{reason}"),
        refused => panic!("{refused:?}"),
    }
    assert_eq!(all(&open(other.path())), before);
}

#[test]
fn a_damaged_journal_is_not_repacked_as_a_sound_one() {
    for (change, named) in [
        ("UPDATE frames SET root = zeroblob(32) WHERE first = 4", 1_003),
        ("DELETE FROM blocks WHERE first = (SELECT max(first) FROM blocks)", 0),
        ("UPDATE frames SET body = x'00' WHERE first = 1004", 1_004),
    ] {
        let (dir, _) = journal();
        database(dir.path()).execute_batch(change).expect("a change by other means");
        let into = tempfile::tempdir().expect("a directory");
        match EmbeddedStore::repack(dir.path(), into.path(), "ledger", |_| {}) {
            Err(OpenError::Store(StoreError::Corruption(corruption))) => {
                assert!(named == 0 || corruption.position.get() == named, "{change}: {corruption}");
            }
            other => panic!("{change}: {other:?}"),
        }
    }
}
