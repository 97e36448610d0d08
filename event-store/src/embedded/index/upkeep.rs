//! The index thread: writes full tables as runs, and merges runs in the time between.
//!
//! A merge takes a slice of the keys at a time, so that a table that has become full waits no longer than for one slice:
//! appends wait for full tables. The last slice is the longest, because the filter of all keys is written with it.

use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};

use super::file::{leave_log, note_indexed_to, note_manifest};
use super::run::{Run, RunWriter, delete_chunks, with_chunks};
use super::{Shared, Table};
use crate::space::Shortage;

/// Runs of this level stay as they are: they have some 60 million keys and a filter of 72 MB, and a filter is made in
/// memory and written at once.
const TOP_LEVEL: i64 = 2;
/// How long to wait before what could not be written is tried again.
pub(super) const RETRY: Duration = Duration::from_secs(1);

pub(super) struct Upkeep {
    shared: Arc<Shared>,
    connection: Connection,
    next_run: i64,
    merge: Option<Merge>,
    /// A merge failed: none begins before the next run is written.
    merges_rest: bool,
    dropped: Vec<Dropped>,
}

/// A run that is in no list any more; its chunks go.
struct Dropped {
    number: i64,
    /// Gone when nobody can look into it any more.
    run: Weak<Run>,
}

/// Runs that are becoming one of the next level.
struct Merge {
    runs: Vec<Arc<Run>>,
    writer: RunWriter,
    /// All keys before this one are written.
    from: u64,
}

enum Merged {
    InPart(Merge),
    Whole(Run),
}

/// What the thread does next.
enum Next {
    /// Write this table, if there is one, and end afterwards if the store is closing.
    Table(Option<Arc<Table>>, bool),
    /// End: another index is built in the place of this one.
    Abandoned,
}

impl Upkeep {
    pub(super) fn new(shared: Arc<Shared>, connection: Connection) -> rusqlite::Result<Self> {
        let known = shared.runs().clone();
        let on_disk = with_chunks(&connection)?;
        let next_run = 1 + known.iter().map(|run| run.number).chain(on_disk.iter().copied()).max().unwrap_or(0);
        // Left behind by a merge that did not come to its end.
        let unknown = on_disk.into_iter().filter(|number| known.iter().all(|run| run.number != *number));
        let dropped = unknown.map(|number| Dropped { number, run: Weak::new() }).collect();
        Ok(Self { shared, connection, next_run, merge: None, merges_rest: false, dropped })
    }

    pub(super) fn work(mut self) {
        loop {
            let (table, stopping) = match self.next_table() {
                Next::Abandoned => {
                    // Its path is another's from now on.
                    if let Err(error) = leave_log(&self.connection) {
                        tracing::warn!(%error, "the log of the index that is rebuilt may be removed late");
                    }
                    return;
                }
                Next::Table(table, stopping) => (table, stopping),
            };
            let Some(table) = table else {
                // What is unfinished is begun again by the next start.
                if stopping {
                    return;
                }
                self.tidy();
                continue;
            };
            if let Err(shortage) = self.shared.space.beyond_reserve()
                && !self.shared.tables().is_pressed
            {
                if stopping {
                    // As where it cannot be written: the next start reads the keys again.
                    tracing::warn!(%shortage, "the index was not written");
                    return;
                }
                self.pause(&shortage);
                continue;
            }
            let written = self.write_table(&table);
            let mut tables = self.shared.tables();
            match written {
                Ok(()) => {
                    if tables.paused {
                        tracing::info!("the index is written again");
                        self.shared.health.set_paused(None);
                    }
                    (tables.flushing, tables.broken, tables.paused, tables.is_pressed) = (None, None, false, false);
                    self.shared.health.index_was_written();
                    self.merges_rest = false;
                    self.shared.changed.notify_all();
                }
                Err(error) if !stopping => {
                    // The table stays in memory and answers; appends wait once the next one is full as well.
                    tracing::error!(%error, "the index cannot be written; trying again");
                    self.shared.note_damage(&error);
                    tables.broken = Some(error.to_string());
                    self.shared.changed.notify_all();
                    drop(self.shared.changed.wait_timeout(tables, RETRY).unwrap_or_else(PoisonError::into_inner));
                    // On a disk that is full these make room.
                    if let Some(merge) = self.merge.take() {
                        self.dropped.push(Dropped { number: merge.writer.number(), run: Weak::new() });
                    }
                    self.delete_dropped();
                }
                Err(error) => {
                    // Nothing is lost: the journal has the keys, and the next start reads them again. No later
                    // table may be written now, because what is before it counts as written too.
                    tracing::error!(%error, "the index was not written");
                    self.shared.note_damage(&error);
                    return;
                }
            }
        }
    }

    /// Less is free than must be left to the journal: the table stays in memory and answers from there.
    fn pause(&mut self, shortage: &Shortage) {
        let mut tables = self.shared.tables();
        if !tables.paused {
            tracing::warn!(%shortage, "the index is not written");
            tables.paused = true;
        }
        self.shared.health.set_paused(Some(shortage.to_string()));
        self.shared.changed.notify_all();
        drop(self.shared.changed.wait_timeout(tables, RETRY).unwrap_or_else(PoisonError::into_inner));
    }

    /// The table that is to become a run, as soon as there is one or something else to do; whether the store is closing.
    fn next_table(&self) -> Next {
        let idle = self.dropped.is_empty() && self.merge.is_none() && self.level_to_merge().is_none();
        let mut tables = self.shared.tables();
        while idle && tables.flushing.is_none() && !tables.stopping && !tables.abandoned {
            tables = self.shared.changed.wait(tables).unwrap_or_else(PoisonError::into_inner);
        }
        if tables.abandoned {
            return Next::Abandoned;
        }
        if tables.stopping && tables.flushing.is_none() {
            tables.flushing = tables.active.take().map(Arc::new);
        }
        Next::Table(tables.flushing.clone(), tables.stopping)
    }

    fn write_table(&mut self, table: &Table) -> rusqlite::Result<()> {
        let mut pairs: Vec<(u64, u64)> = table.pairs.iter().copied().collect();
        pairs.sort_unstable();
        let mut writer = self.run_writer(0, pairs.len());
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        writer.append(&transaction, &pairs)?;
        let run = writer.finish(&transaction)?;
        note_indexed_to(&transaction, &table.last)?;
        note_manifest(&transaction)?;
        transaction.commit()?;
        let mut runs = self.shared.runs();
        *runs = Arc::new(runs.iter().cloned().chain([Arc::new(run)]).collect());
        Ok(())
    }

    fn run_writer(&mut self, level: i64, keys: usize) -> RunWriter {
        let number = self.next_run;
        self.next_run += 1;
        RunWriter::new(number, level, keys, self.shared.size.keys_a_chunk)
    }

    /// One step of what can wait.
    fn tidy(&mut self) {
        if self.delete_dropped() {
            return;
        }
        if self.shared.space.beyond_reserve().is_err() {
            // What was begun goes on when there is space again.
            let tables = self.shared.tables();
            if tables.flushing.is_none() && !tables.stopping && !tables.abandoned {
                drop(self.shared.changed.wait_timeout(tables, RETRY).unwrap_or_else(PoisonError::into_inner));
            }
            return;
        }
        let Some(merge) = self.merge.take().or_else(|| self.begin_merge()) else {
            // Only runs that somebody still looks into: that takes a moment.
            std::thread::sleep(Duration::from_millis(1));
            return;
        };
        let (number, merged) = (merge.writer.number(), merge.runs.clone());
        match merge.step(&mut self.connection, self.shared.size.keys_a_slice / self.shared.size.keys_a_chunk) {
            Ok(Merged::InPart(merge)) => self.merge = Some(merge),
            Ok(Merged::Whole(run)) => {
                let is_merged = |run: &Run| merged.iter().any(|old| old.number == run.number);
                let mut runs = self.shared.runs();
                *runs = Arc::new(runs.iter().filter(|run| !is_merged(run)).cloned().chain([Arc::new(run)]).collect());
                drop(runs);
                self.dropped.extend(merged.iter().map(|old| Dropped { number: old.number, run: Arc::downgrade(old) }));
            }
            Err(error) => {
                // The runs stay as they are.
                tracing::warn!(%error, "index runs were not merged");
                self.shared.note_damage(&error);
                self.dropped.push(Dropped { number, run: Weak::new() });
                self.merges_rest = true;
            }
        }
    }

    /// Deletes a slice of a run that nobody looks into any more, if there is one.
    fn delete_dropped(&mut self) -> bool {
        let Some(unseen) = self.dropped.iter().position(|dropped| dropped.run.strong_count() == 0) else { return false };
        let number = self.dropped[unseen].number;
        match delete_chunks(&self.connection, number, self.shared.size.keys_a_slice.div_ceil(self.shared.size.keys_a_chunk)) {
            Ok(true) => {}
            Ok(false) => drop(self.dropped.swap_remove(unseen)),
            Err(error) => {
                // The next start finds it again.
                tracing::warn!(%error, run = number, "what is left of an index run was not deleted");
                self.shared.note_damage(&error);
                self.dropped.swap_remove(unseen);
            }
        }
        true
    }

    fn level_to_merge(&self) -> Option<i64> {
        let runs = self.shared.runs().clone();
        let is_due = |level: &i64| runs.iter().filter(|run| run.level == *level).count() >= self.shared.size.fan_in;
        (0..TOP_LEVEL).find(is_due).filter(|_| !self.merges_rest)
    }

    fn begin_merge(&mut self) -> Option<Merge> {
        let level = self.level_to_merge()?;
        // No more than so many, however many there are: the size of runs and slices rests on it.
        let of_level = self.shared.runs().clone();
        let runs: Vec<Arc<Run>> = of_level.iter().filter(|run| run.level == level).take(self.shared.size.fan_in).cloned().collect();
        let keys = runs.iter().map(|run| run.chunks() * self.shared.size.keys_a_chunk).sum();
        Some(Merge { runs, writer: self.run_writer(level + 1, keys), from: 0 })
    }
}

impl Merge {
    /// Writes the keys of about so many chunks.
    fn step(mut self, connection: &mut Connection, chunks: usize) -> rusqlite::Result<Merged> {
        let chunks = (chunks / self.runs.len()).max(1);
        let until = self.runs.iter().filter_map(|run| run.boundary_after(self.from, chunks)).min();
        // First keys rise strictly, because equal keys share a chunk.
        debug_assert!(until.is_none_or(|until| until > self.from));
        // At once: a snapshot that is kept between a read and the first write here would end the transaction.
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut pairs = Vec::new();
        for run in &self.runs {
            run.read_between(&transaction, self.from, until, &mut pairs)?;
        }
        // Stable, because that is the one that makes use of parts that are sorted already.
        pairs.sort();
        self.writer.append(&transaction, &pairs)?;
        if let Some(until) = until {
            transaction.commit()?;
            self.from = until;
            return Ok(Merged::InPart(self));
        }
        let run = self.writer.finish(&transaction)?;
        for old in &self.runs {
            transaction.execute("DELETE FROM runs WHERE run = ?1", [old.number])?;
        }
        note_manifest(&transaction)?;
        transaction.commit()?;
        Ok(Merged::Whole(run))
    }
}
