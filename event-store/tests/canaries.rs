//! The conformance suite is tried itself: on stores with one deliberate fault each, every one of which it must catch.
//!
//! A canary is the memory store with one promise broken. That each case of the suite catches a canary says that no case is
//! one that cannot fail.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cauri_event_schemas::{Position, StreamVersion};
use cauri_event_store::conformance::{self, Backend};
use cauri_event_store::memory::MemoryStore;
use cauri_event_store::{
    Appended, Batch, EventStore, Hash, Head, HeadWatch, Lookup, OwnedRecord, Sharing, Snapshot, StoreError, StoredBatch, Tree, Turn,
};

/// The promise that a canary breaks, and a case that must notice.
macro_rules! faults {
    ($($fault:ident caught_by $case:ident,)+) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        enum Fault { $($fault,)+ }

        const FAULTS: &[(Fault, &str)] = &[$((Fault::$fault, stringify!($case)),)+];
    };
}

faults! {
    HasAHeadBeforeTheFirstRecord caught_by an_empty_journal_has_nothing_in_it,
    SwapsTwoRecords caught_by records_come_back_in_order_and_byte_for_byte,
    MakesTextsPlain caught_by every_text_comes_back_as_it_was_written,
    LeavesOutTheLastRecordOfABatch caught_by the_stored_roots_are_the_roots_of_the_records,
    SaysThatAConflictIsDone caught_by a_conflict_is_a_value_and_writes_nothing,
    RemembersTheIdsOfAConflict caught_by a_conflict_is_a_value_and_writes_nothing,
    LooksAtThePositionOfTheExpectedHeadOnly caught_by the_same_position_with_another_root_is_a_conflict,
    TakesAnEmptyBatchForAConflict caught_by an_empty_batch_writes_nothing,
    ForgetsThatThereIsFormat1 caught_by the_last_record_of_format_1_is_known,
    StoresAnotherRoot caught_by the_stored_roots_are_the_roots_of_the_records,
    CutsBatchesAt4096 caught_by a_batch_may_have_8189_records,
    CutsRecordsAtAMegabyte caught_by an_entry_may_have_a_thousand_transfers,
    ReadsTheBatchBefore caught_by every_position_leads_to_the_batch_that_holds_it,
    ReadsBeyondTheHead caught_by every_position_leads_to_the_batch_that_holds_it,
    GivesEveryBlockARoot caught_by every_position_leads_to_a_block_of_its_batch,
    ReadsAStreamBackwards caught_by a_stream_comes_back_in_order_however_many_batches_it_spans,
    ReadsAStreamFromItsBeginning caught_by a_stream_is_read_from_any_version,
    LocatesTheLastRecord caught_by ids_are_located_at_their_first_record,
    LocatesWhatWasNeverWritten caught_by ids_that_were_never_written_are_not_found,
    AnswersInOrderOfPosition caught_by many_ids_are_located_in_one_call_in_the_order_asked,
    TakesStreamsOfOneIdForOne caught_by ids_of_different_kinds_with_one_text_are_kept_apart,
    TakesCallersForOne caught_by ids_of_different_kinds_with_one_text_are_kept_apart,
    ForgetsEarlyIds caught_by look_ups_answer_over_hundreds_of_batches,
    IsCertainOfWhatItHolds caught_by look_ups_answer_over_hundreds_of_batches,
    KnowsTheRootsOfBatchesOnly caught_by the_root_at_every_position_is_the_root_of_the_records_up_to_it,
    HasARootBeyondTheHead caught_by the_root_at_every_position_is_the_root_of_the_records_up_to_it,
    HasNoRootOfNothing caught_by an_empty_journal_has_the_root_of_nothing_and_no_other,
    LetsTwoAppendersWin caught_by of_several_appenders_at_one_head_exactly_one_wins,
    LosesWhatWasTriedAgain caught_by appenders_that_try_again_lose_and_double_nothing,
    ShowsHalfABatch caught_by readers_see_only_whole_batches,
    TellsOfAHeadTooEarly caught_by whoever_hears_of_a_head_can_read_up_to_it,
    NeverWakesAnybody caught_by followers_are_woken_when_the_head_moves,
    TellsOfAHeadTooLate caught_by the_head_that_is_followed_never_goes_back,
    KeepsHandlesApart caught_by a_second_handle_sees_what_the_first_appended,
    GivesTwoTheirTurn caught_by a_turn_keeps_the_others_waiting,
    LosesTheLastBatchWhenItIsClosed caught_by a_reopened_journal_is_the_same_journal,
    LosesTheLastBatchInACrash caught_by a_killed_process_loses_nothing_that_was_acknowledged,
    LosesEveryTenthBatchInACrash caught_by a_journal_goes_on_after_many_reopenings_and_crashes,
    MakesASnapshotUp caught_by there_is_no_snapshot_before_the_first,
    KeepsTheSnapshotThatCameLast caught_by the_newest_snapshot_is_the_one_with_the_highest_position,
    CutsSnapshotsAtAMegabyte caught_by a_large_snapshot_comes_back_byte_for_byte,
    LosesTheSnapshotWhenItIsClosed caught_by a_snapshot_outlives_a_reopening,
    LeavesHalfASnapshotInACrash caught_by a_snapshot_outlives_a_reopening,
}

struct Canary(Fault);

/// A store with a fault.
struct Broken {
    fault: Fault,
    inner: MemoryStore,
    /// The head as followers see it, where the fault is in that; else the inner store's.
    heads: Option<Arc<HeadWatch>>,
    noticed: Arc<Mutex<Noticed>>,
}

/// What a faulty store keeps beside the journal.
#[derive(Default)]
struct Noticed {
    /// First positions of ids, whatever they are ids of.
    ids: HashMap<String, Position>,
    snapshot: Option<Snapshot>,
}

impl Broken {
    fn new(fault: Fault, inner: MemoryStore) -> Self {
        let tells = matches!(fault, Fault::TellsOfAHeadTooEarly | Fault::TellsOfAHeadTooLate | Fault::NeverWakesAnybody);
        let heads = tells.then(|| Arc::new(HeadWatch::new(inner.head().unwrap())));
        Self { fault, inner, heads, noticed: Arc::default() }
    }

    /// The same journal without the batches that `lost` names, as far as it goes on without them.
    fn without(self, lost: impl Fn(u64, bool) -> bool) -> Self {
        let copy = MemoryStore::exclusive(self.inner.name());
        let head = self.inner.head().unwrap().position;
        let mut next = Position::new(1);
        for number in 1.. {
            let Some(stored) = self.inner.read_batch(next).unwrap() else { break };
            if lost(number, stored.last == head) {
                break;
            }
            let tree = copy.tree().unwrap();
            copy.append(tree.head(), &batch_of(tree.clone(), &stored.lines)).unwrap();
            next = stored.last.next();
        }
        if let Some(snapshot) = self.inner.latest_snapshot().unwrap() {
            copy.save_snapshot(&snapshot).unwrap();
        }
        Self::new(self.fault, copy)
    }

    fn with_snapshot(self, snapshot: Option<Snapshot>) -> Self {
        let kept = self.without(|_, _| false);
        let bare = conformance::material::copy_of(&kept.inner);
        if let Some(snapshot) = snapshot {
            bare.save_snapshot(&snapshot).unwrap();
        }
        Self::new(kept.fault, bare)
    }

    /// Notes the ids of a batch, first come first kept.
    fn note(&self, batch: &Batch) {
        let mut noticed = self.noticed.lock().unwrap();
        for (position, metadata) in batch.commands() {
            noticed.ids.entry(metadata.command.to_string()).or_insert(position);
        }
        for (position, stream) in batch.streams() {
            noticed.ids.entry(stream.split_once('/').unwrap().1.to_owned()).or_insert(position);
        }
    }

    fn noted(&self, id: &str) -> Option<Position> {
        self.noticed.lock().unwrap().ids.get(id).copied()
    }
}

fn batch_of(tree: Tree, lines: &[u8]) -> Batch {
    let mut batch = Batch::after(tree);
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        batch.push_bytes(line).unwrap();
    }
    batch
}

/// The first `count` records of a batch.
fn part_of(tree: Tree, batch: &Batch, count: usize) -> Batch {
    let lines: Vec<&[u8]> = batch.lines().split_inclusive(|byte| *byte == b'\n').take(count).collect();
    batch_of(tree, &lines.concat())
}

/// The lines of a batch, changed, with checksums that fit.
fn changed(stored: StoredBatch, change: impl FnOnce(&mut Vec<Vec<u8>>)) -> StoredBatch {
    let mut lines: Vec<Vec<u8>> = stored.lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect();
    change(&mut lines);
    let checksums = lines.iter().map(|line| crc32fast::hash(line)).collect();
    let last = Position::new(stored.first.get() + lines.len() as u64 - 1);
    let lines = lines.into_iter().flat_map(|line| [line, b"\n".to_vec()].concat()).collect();
    StoredBatch { checksums, lines, last, ..stored }
}

impl EventStore for Broken {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn sharing(&self) -> Sharing {
        self.inner.sharing()
    }

    fn take_turn(&self) -> Result<Turn<'_>, StoreError> {
        if self.fault == Fault::GivesTwoTheirTurn { Ok(Turn::free()) } else { self.inner.take_turn() }
    }

    fn tree(&self) -> Result<Tree, StoreError> {
        let mut tree = self.inner.tree()?;
        if self.fault == Fault::HasAHeadBeforeTheFirstRecord && tree.size() == 0 {
            tree.push(Hash::of_leaf(b"nothing"));
        }
        Ok(tree)
    }

    fn append(&self, expected: Head, batch: &Batch) -> Result<Appended, StoreError> {
        let before = self.inner.tree()?;
        self.note_before(batch);
        let appended = match self.fault {
            Fault::TakesAnEmptyBatchForAConflict if batch.is_empty() => Appended::Conflict(before.head()),
            Fault::LeavesOutTheLastRecordOfABatch if batch.len() > 1 && before.head() == expected => {
                self.inner.append(expected, &part_of(before, batch, batch.len() - 1))?;
                Appended::Done(batch.head())
            }
            Fault::CutsBatchesAt4096 if batch.len() > 4_096 && before.head() == expected => {
                self.inner.append(expected, &part_of(before, batch, 4_096))?;
                Appended::Done(batch.head())
            }
            Fault::ShowsHalfABatch if batch.len() > 1 && before.head() == expected => {
                self.inner.append(expected, &part_of(before, batch, batch.len() / 2))?;
                std::thread::sleep(Duration::from_millis(2));
                let half = self.inner.tree()?;
                let rest: Vec<&[u8]> = batch.lines().split_inclusive(|byte| *byte == b'\n').skip(batch.len() / 2).collect();
                self.inner.append(half.head(), &batch_of(half.clone(), &rest.concat()))?
            }
            Fault::LooksAtThePositionOfTheExpectedHeadOnly if before.head().position == expected.position => {
                self.inner.append(before.head(), &batch_of(before.clone(), batch.lines()))?
            }
            _ => self.inner.append(expected, batch)?,
        };
        let is_conflict = matches!(appended, Appended::Conflict(_));
        if !is_conflict || self.fault == Fault::RemembersTheIdsOfAConflict {
            self.note(batch);
        }
        match (self.fault, appended) {
            (Fault::SaysThatAConflictIsDone, Appended::Conflict(_)) => Ok(Appended::Done(batch.head())),
            // The others' head, and this one told that it is its own.
            (Fault::LetsTwoAppendersWin, Appended::Conflict(head)) if head.position == batch.head().position => Ok(Appended::Done(head)),
            (Fault::LosesWhatWasTriedAgain, Appended::Conflict(head)) if batch.len() == 3 => Ok(Appended::Done(head)),
            (Fault::TellsOfAHeadTooLate, Appended::Done(head)) => {
                let heads = self.heads.clone().unwrap();
                std::thread::spawn(move || {
                    std::thread::sleep(Duration::from_millis(20));
                    heads.publish(head);
                });
                Ok(appended)
            }
            _ => Ok(appended),
        }
    }

    fn read_batch(&self, position: Position) -> Result<Option<StoredBatch>, StoreError> {
        let head = self.inner.head()?.position;
        let found = match self.fault {
            Fault::ReadsTheBatchBefore if position > Position::new(1) => {
                let batch = self.inner.read_batch(position)?;
                // At its end it takes the batch for the next one's.
                match batch {
                    Some(batch) if batch.last == position && batch.first > Position::new(1) => {
                        self.inner.read_batch(Position::new(batch.first.get() - 1))?
                    }
                    batch => batch,
                }
            }
            Fault::ReadsBeyondTheHead if position > head => self.inner.read_batch(head)?,
            _ => self.inner.read_batch(position)?,
        };
        Ok(found.map(|stored| match self.fault {
            Fault::SwapsTwoRecords if stored.last > stored.first => changed(stored, |lines| lines.swap(0, 1)),
            Fault::MakesTextsPlain => changed(stored, |lines| {
                lines.iter_mut().for_each(|line| *line = String::from_utf8_lossy(line).replace('é', "e").into_bytes());
            }),
            Fault::CutsRecordsAtAMegabyte => changed(stored, |lines| lines.iter_mut().for_each(|line| line.truncate(1 << 20))),
            Fault::StoresAnotherRoot => StoredBatch { root: Some(Hash::of_leaf(b"another")), ..stored },
            _ => stored,
        }))
    }

    fn read_block(&self, position: Position) -> Result<Option<StoredBatch>, StoreError> {
        let Some(stored) = self.inner.read_batch(position)?.filter(|_| self.fault == Fault::GivesEveryBlockARoot) else {
            return self.read_batch(position);
        };
        let offset = (position.get() - stored.first.get()) as usize;
        let (first, last) = (position, position);
        let block = changed(StoredBatch { first, last, ..stored }, |lines| *lines = vec![lines[offset].clone()]);
        Ok(Some(block))
    }

    fn read_stream(&self, stream: &str, from: StreamVersion) -> Result<Vec<OwnedRecord>, StoreError> {
        let from = if self.fault == Fault::ReadsAStreamFromItsBeginning { StreamVersion::ZERO } else { from };
        let mut records = self.inner.read_stream(stream, from)?;
        if self.fault == Fault::ReadsAStreamBackwards {
            records.reverse();
        }
        Ok(records)
    }

    fn may_hold(&self, lookups: &[Lookup<'_>]) -> Vec<bool> {
        match self.fault {
            Fault::IsCertainOfWhatItHolds => vec![false; lookups.len()],
            _ => vec![true; lookups.len()],
        }
    }

    fn locate(&self, lookups: &[Lookup<'_>]) -> Result<Vec<Option<Position>>, StoreError> {
        let mut found = self.inner.locate(lookups)?;
        for (lookup, found) in lookups.iter().zip(&mut found) {
            match (self.fault, lookup) {
                (Fault::LocatesTheLastRecord, Lookup::Stream(stream)) => {
                    *found = self.inner.read_stream(stream, StreamVersion::ZERO)?.last().map(|record| record.as_record().position());
                }
                (Fault::LocatesWhatWasNeverWritten, _) if found.is_none() && self.inner.head()?.position > Position::new(500) => {
                    *found = Some(Position::new(1));
                }
                (Fault::TakesStreamsOfOneIdForOne, Lookup::Stream(stream)) => *found = self.noted(stream.split_once('/').unwrap().1),
                (Fault::TakesCallersForOne | Fault::RemembersTheIdsOfAConflict, Lookup::Command(key)) => {
                    *found = self.noted(key.id.as_str());
                }
                (Fault::ForgetsEarlyIds, _) => {
                    let kept = self.inner.head()?.position.get().saturating_sub(1_000);
                    *found = found.filter(|position| position.get() > kept || self.inner.head().unwrap().position.get() > 2_000);
                }
                _ => {}
            }
        }
        if self.fault == Fault::AnswersInOrderOfPosition {
            found.sort();
        }
        Ok(found)
    }

    fn format_1_until(&self) -> Position {
        if self.fault == Fault::ForgetsThatThereIsFormat1 { Position::ZERO } else { self.inner.format_1_until() }
    }

    fn follow(&self) -> &HeadWatch {
        self.heads.as_deref().unwrap_or_else(|| self.inner.follow())
    }

    fn save_snapshot(&self, snapshot: &Snapshot) -> Result<(), StoreError> {
        if self.fault == Fault::KeepsTheSnapshotThatCameLast {
            self.noticed.lock().unwrap().snapshot = Some(snapshot.clone());
        }
        self.inner.save_snapshot(snapshot)
    }

    fn latest_snapshot(&self) -> Result<Option<Snapshot>, StoreError> {
        let mut snapshot = self.inner.latest_snapshot()?;
        match self.fault {
            Fault::MakesASnapshotUp if snapshot.is_none() => {
                snapshot = Some(Snapshot { head: self.inner.head()?, state: Vec::new() });
            }
            Fault::KeepsTheSnapshotThatCameLast => snapshot = self.noticed.lock().unwrap().snapshot.clone().or(snapshot),
            Fault::CutsSnapshotsAtAMegabyte => snapshot.iter_mut().for_each(|snapshot| snapshot.state.truncate(1 << 20)),
            _ => {}
        }
        Ok(snapshot)
    }

    fn root_at(&self, position: Position) -> Result<Option<Hash>, StoreError> {
        match self.fault {
            Fault::KnowsTheRootsOfBatchesOnly => match self.inner.read_batch(position)? {
                Some(batch) => Ok(batch.root),
                None => self.inner.root_at(position),
            },
            Fault::HasARootBeyondTheHead if position > self.inner.head()?.position => Ok(Some(self.inner.head()?.root)),
            Fault::HasNoRootOfNothing if position == Position::ZERO => Ok(None),
            _ => self.inner.root_at(position),
        }
    }
}

impl Broken {
    /// Publishes the head before the records can be read.
    fn note_before(&self, batch: &Batch) {
        if self.fault == Fault::TellsOfAHeadTooEarly && !batch.is_empty() {
            self.follow().publish(batch.head());
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Backend for Canary {
    type Store = Broken;

    fn create(&self, name: &str) -> Broken {
        let shared = matches!(self.0, Fault::KeepsHandlesApart | Fault::GivesTwoTheirTurn);
        Broken::new(self.0, if shared { MemoryStore::shared(name) } else { MemoryStore::exclusive(name) })
    }

    fn reopen(&self, store: Broken) -> Broken {
        match self.0 {
            Fault::LosesTheLastBatchWhenItIsClosed => store.without(|_, is_last| is_last),
            Fault::LosesTheSnapshotWhenItIsClosed => store.with_snapshot(None),
            _ => store,
        }
    }

    fn crash(&self, store: Broken) -> Broken {
        match self.0 {
            Fault::LosesTheLastBatchInACrash => store.without(|_, is_last| is_last),
            Fault::LosesEveryTenthBatchInACrash => store.without(|number, is_last| is_last && number > 40),
            Fault::LeavesHalfASnapshotInACrash => {
                let snapshot = store.inner.latest_snapshot().unwrap();
                let half = snapshot.map(|Snapshot { head, state }| Snapshot { head, state: state[..state.len() / 2].to_vec() });
                store.with_snapshot(half)
            }
            _ => store,
        }
    }

    fn another(&self, store: &Broken) -> Option<Broken> {
        match self.0 {
            Fault::GivesTwoTheirTurn => Some(Broken::new(self.0, store.inner.for_another_engine())),
            Fault::KeepsHandlesApart => Some(Broken::new(self.0, MemoryStore::shared(store.name()))),
            _ => None,
        }
    }

    fn patience(&self) -> Duration {
        Duration::from_millis(300)
    }
}

#[test]
fn every_canary_is_caught_and_every_case_catches_one() {
    // Hundreds of cases fail here as they must, and a trace of each takes longer than the case.
    let told = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let (faults, caught) = (Mutex::new(FAULTS.iter()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some((fault, case)) = { faults.lock().unwrap().next() } {
                    let failed = conformance::failures(&Canary(*fault));
                    caught.lock().unwrap().push((*fault, *case, failed));
                }
            });
        }
    });
    std::panic::set_hook(told);
    let caught = caught.into_inner().unwrap();
    let missed: Vec<String> = caught
        .iter()
        .filter(|(_, case, failed)| !failed.contains(case))
        .map(|(fault, case, failed)| format!("{fault:?}: `{case}` is not among {failed:?}"))
        .collect();
    assert!(missed.is_empty(), "{}", missed.join("\n"));
    let catches: BTreeSet<&str> = caught.iter().flat_map(|(_, _, failed)| failed.iter().copied()).collect();
    let idle: Vec<&str> = conformance::cases::<Canary>().into_iter().map(|(name, _)| name).filter(|name| !catches.contains(name)).collect();
    assert!(idle.is_empty(), "these cases caught nothing: {}", idle.join(", "));
}
