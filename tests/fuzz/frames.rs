//! Batches as a store gives them: what passes the check is what was written.

use cauri_event_schemas::Position;
use cauri_event_store::{EventStore, StoredBatch};
use fastrand::Rng;

use crate::cases;
use crate::journals::{Written, open};
use crate::mutation::changed;

#[test]
fn a_changed_batch_does_not_pass_the_check_as_another() {
    let written = Written::of(200);
    let store = open(&written.dir()).expect("a store");
    let mut batches: Vec<StoredBatch> = Vec::new();
    while let Some(batch) = store.read_batch(batches.last().map_or(Position::new(1), |batch| batch.last.next())).expect("a batch") {
        batches.push(batch);
    }
    cases(5_000, |random| {
        let original = &batches[random.usize(..batches.len())];
        let Ok(checked) = change(random, original).check() else { return };
        let records: Vec<_> = checked.records().map(|record| record.bytes()).collect();
        let originals: Vec<&[u8]> = original.lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
        // A batch that lost its last records in all three places at once is whole in itself; the next one does not follow it.
        assert!(originals.starts_with(&records), "other records than those that were written");
        for record in checked.records() {
            // A batch that was moved passes the check of its bytes; each of its records says where it belongs.
            assert!(
                record.envelope().is_err() || checked.first() == original.first,
                "a record of {} at {}",
                original.first,
                record.position()
            );
        }
    });
}

fn change(random: &mut Rng, original: &StoredBatch) -> StoredBatch {
    let mut batch = original.clone();
    let number = |random: &mut Rng, position: Position| {
        let number = [0, 1, position.get().wrapping_add(random.u64(..5)), u64::MAX, i64::MAX as u64, random.u64(..)][random.usize(..6)];
        Position::new(number)
    };
    for _ in 0..random.usize(1..=3) {
        match random.u32(..6) {
            0 => batch.first = number(random, batch.first),
            1 => batch.last = number(random, batch.last),
            2 => {
                let at = random.usize(..batch.checksums.len().max(1));
                match batch.checksums.get_mut(at) {
                    Some(checksum) => *checksum = checksum.wrapping_add(random.u32(..)),
                    None => batch.checksums.push(random.u32(..)),
                }
            }
            3 => batch.checksums.truncate(random.usize(..=batch.checksums.len())),
            _ => batch.lines = changed(random, &batch.lines),
        }
    }
    batch
}
