//! The audit: every check over one pass through a journal of any kind.

use cauri_domain::time::Timestamp;
use cauri_event_schemas::Position;
use cauri_event_store::{EventStore, Head, NewerRecord, Snapshot, Tree};

use crate::checks::expected_heads::{self, ExpectedHead};
use crate::checks::idempotency::{self, Idempotency, Suspect};
use crate::checks::index::Sample;
use crate::checks::positions::{Positions, span};
use crate::checks::roots::Roots;
use crate::checks::time::Time;
use crate::checks::transitions::{self, Closing};
use crate::checks::{self, Check, KindChecks, schemas, versions};
use crate::finding::Findings;
use crate::pipeline::Step;
use crate::reading::{Fact, Happening, JournalKind, ReadBatch, Seed, Stream};
use crate::remembered::RememberedExport;

/// The most suspected repetitions that are kept to be looked at; what comes after is another run's work.
const MOST_SUSPECTS: usize = 1_000;

/// How many facts' places are brought into the cache before they are looked at.
const TOUCHED_AT_ONCE: usize = 128;

/// All checks at work, at one position of the journal.
pub(crate) struct Audit {
    seed: Seed,
    pub(crate) findings: Findings,
    positions: Positions,
    roots: Roots,
    time: Time,
    idempotency: Idempotency,
    suspects: Vec<Suspect>,
    closing: Closing,
    /// What kind of journal it is, and the checks of that kind; none until a record says it.
    of_kind: Option<(JournalKind, Box<dyn KindChecks>)>,
    /// Exports that are compared along the way.
    exports: Vec<RememberedExport>,
    journal_records: u64,
    sample: Sample,
    snapshot: Option<Snapshot>,
    snapshot_note: Option<String>,
    /// From here on the fold is not the journal's any more, and why.
    fold_ends: Option<(Position, String)>,
    /// The first record that a newer program wrote.
    newer: Option<NewerRecord>,
    /// From here on leaves are missing.
    tree_ends: Option<Position>,
    figures: Figures,
}

/// Why checks stop at a record that this program does not know.
pub(crate) const WRITTEN_BY_A_NEWER: &str = "a newer Cauri wrote it";

/// What was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Records.
    pub records: u64,
    /// Bytes of the records, with a line feed each.
    pub bytes: u64,
    /// Stored batches.
    pub batches: u64,
    /// Commands that wrote something.
    pub commands: u64,
    /// What the journal holds by its kind: entries, accounts and open holds of a ledger.
    pub holding: Vec<(&'static str, u64)>,
    /// When the first record was written, in microseconds since 1970.
    pub first_at: Option<i64>,
    /// When the last record was written.
    pub last_at: Option<i64>,
}

impl Figures {
    /// How much the journal holds of something.
    pub fn of(&self, what: &str) -> u64 {
        self.holding.iter().find(|(name, _)| *name == what).map_or(0, |(_, count)| *count)
    }
}

impl Audit {
    /// Begins before the first record. `wanted` are positions whose root will be asked for.
    /// `now` is the auditor's time; without it no record lies in the future.
    pub(crate) fn new(
        seed: Seed,
        expected: &[ExpectedHead],
        exports: Vec<RememberedExport>,
        snapshot: Option<Snapshot>,
        now: Option<Timestamp>,
    ) -> Self {
        let mut roots = Roots::default();
        roots.want(expected.iter().map(|expected| expected.position));
        roots.want(snapshot.iter().map(|snapshot| snapshot.head.position));
        Self {
            seed,
            findings: Findings::default(),
            positions: Positions::default(),
            roots,
            time: Time::new(now.map(Timestamp::as_micros)),
            idempotency: Idempotency::default(),
            suspects: Vec::new(),
            closing: Closing::default(),
            of_kind: None,
            exports,
            journal_records: 0,
            sample: Sample::default(),
            snapshot,
            snapshot_note: None,
            fold_ends: None,
            newer: None,
            tree_ends: None,
            figures: Figures::default(),
        }
    }

    /// Looks at what comes next.
    pub(crate) fn step(&mut self, step: Step) {
        match step {
            Step::Batch(batch) => self.batch(*batch),
            Step::Unreadable { from, to, why } => {
                // A source may have looked for it inside the batch before.
                let next = self.positions.last().next();
                let from = from.max(next);
                let to = to.unwrap_or(from).max(from.next());
                self.findings.at(Check::Checksums, from, format!("{} cannot be read: {why}", span(from, to)));
                if from > next {
                    self.positions.missing(from, &mut self.findings);
                }
                self.positions.pass_over(to);
                self.end_fold(from, "a record before could not be read");
                self.end_tree(from);
            }
        }
    }

    fn batch(&mut self, mut batch: ReadBatch) {
        self.findings.append(std::mem::take(&mut batch.findings));
        self.figures.batches += 1;
        self.figures.records += batch.leaves.len() as u64;
        self.figures.bytes += batch.bytes;
        if !self.positions.continues(batch.first, batch.last, &mut self.findings) {
            self.end_fold(batch.first, "records before are missing or stand twice");
            self.end_tree(batch.first);
        }
        if batch.leaves.len() as u64 + batch.first.get() != batch.last.get() + 1 {
            self.end_tree(batch.first.after(batch.leaves.len()));
        }
        if self.tree_ends.is_none() {
            self.roots.check(&batch, &mut self.findings);
            for export in &mut self.exports {
                export.compare(&batch, &mut self.findings);
            }
        }
        let why = match batch.newer.take() {
            Some(newer) if batch.unreadable == Some(newer.position) => {
                self.newer.get_or_insert(newer);
                WRITTEN_BY_A_NEWER
            }
            _ => "a record could not be understood",
        };
        let mut first = batch.root.is_some();
        for facts in batch.facts.chunks(TOUCHED_AT_ONCE) {
            self.touch(facts);
            for fact in facts {
                self.time.check(fact, &mut self.findings);
                if let Some(unreadable) = batch.unreadable.filter(|unreadable| fact.position >= *unreadable) {
                    self.end_fold(unreadable, why);
                }
                if self.fold_ends.is_none() {
                    self.record(&batch, fact, first);
                }
                first = false;
            }
        }
        if let (Some(first), Some(last)) = (batch.facts.first(), batch.facts.last()) {
            self.figures.first_at.get_or_insert(first.recorded_at);
            self.figures.last_at = Some(last.recorded_at);
        }
        if let Some(unreadable) = batch.unreadable {
            self.end_fold(unreadable, why);
        }
        if self.snapshot.as_ref().is_some_and(|snapshot| snapshot.head.position == batch.last) {
            self.compare_snapshot();
        }
    }

    /// Brings the places into the cache that the next facts will look at. Each is a miss in a table of a gigabyte;
    /// side by side, without anything to decide between them, many of them are on their way at once.
    fn touch(&self, facts: &[Fact]) {
        for fact in facts {
            self.idempotency.touch(fact.command_hash);
        }
        if let Some((_, checks)) = &self.of_kind {
            checks.touch(facts);
        }
    }

    fn record(&mut self, batch: &ReadBatch, fact: &Fact, first_of_batch: bool) {
        let begins = self.idempotency.begins(fact);
        if begins && let Some((_, checks)) = &mut self.of_kind {
            checks.begin_commit(&mut self.findings);
        }
        if fact.part == 0 {
            if first_of_batch && !begins {
                self.findings.at(Check::Idempotency, fact.position, "a commit is spread over two batches");
            }
            let suspect = self.idempotency.check(batch, fact, begins, &mut self.findings);
            if begins && suspect.is_none() {
                self.sample.command(batch, fact);
            }
            if self.suspects.len() < MOST_SUSPECTS {
                self.suspects.extend(suspect);
            }
            self.closing.check(fact, &mut self.findings);
            if fact.version == 1 {
                self.sample.stream(batch, fact);
            }
        }
        match (&fact.stream, &fact.event) {
            (Stream::Command(id), Happening::Refused) => {
                versions::check(batch, fact, 0, &mut self.findings);
                transitions::refused(batch, fact, *id, &mut self.findings);
            }
            (Stream::Journal(_), Happening::JournalClosed | Happening::Other(_)) => {
                versions::check(batch, fact, self.journal_records, &mut self.findings);
                self.journal_records += 1;
            }
            // Of a kind; and an event in a stream of another type `schemas` has told.
            _ => {}
        }
        let Some(kind) = fact.kind().or(self.kind()) else { return };
        let (known, checks) = self.of_kind.get_or_insert_with(|| (kind, checks::of_kind(kind, &self.seed)));
        if *known == kind {
            checks.record(batch, fact, &mut self.findings);
        } else {
            schemas::of_another_kind(*known, kind, fact.position, &mut self.findings);
            self.end_fold(fact.position, "a record of another kind of journal stands there");
        }
    }

    fn compare_snapshot(&mut self) {
        if let (None, Some(snapshot), Some((_, checks))) = (&self.fold_ends, &self.snapshot, &self.of_kind) {
            self.snapshot_note = Some(checks.compare_snapshot(snapshot, &mut self.findings));
        }
    }

    /// The journal ends: what can only be said at its end. `head` is the head that the source states.
    pub(crate) fn end(&mut self, head: Option<&Head>, peaks: Option<&Tree>, expected: &[ExpectedHead], store: Option<&dyn EventStore>) {
        if let Some(head) = head {
            self.positions.end(head.position, &mut self.findings);
        }
        self.time.end(&mut self.findings);
        self.roots.tell(&mut self.findings);
        if self.tree_ends.is_none() {
            if let Some(head) = head {
                self.roots.end(head, peaks, &mut self.findings);
            }
            expected_heads::check(expected, &self.roots, self.positions.last(), &mut self.findings);
            for export in &mut self.exports {
                export.end(self.positions.last(), &mut self.findings);
            }
        }
        if let (None, Some((_, checks))) = (&self.fold_ends, &mut self.of_kind) {
            checks.end(&mut self.findings);
        }
        for suspect in self.suspects.drain(..) {
            idempotency::settle(&suspect, store, &mut self.findings);
        }
        self.figures.commands = self.idempotency.commands();
        self.figures.holding = self.of_kind.as_ref().map(|(_, checks)| checks.holding()).unwrap_or_default();
    }

    /// The journal says that its records of format 1 end at `until`.
    pub(crate) fn format_1_ends(&mut self, until: Position) {
        self.idempotency.format_1_ends(until, &mut self.findings);
    }

    /// Where a check stopped before the end, and why.
    pub(crate) fn stopped(&self, check: Check) -> Option<(Position, &str)> {
        let of_tree = matches!(check, Check::Roots | Check::ExpectedHeads);
        if let Some(position) = self.tree_ends.filter(|_| of_tree) {
            return Some((position, "a record before could not be read"));
        }
        self.fold_ends.as_ref().filter(|_| check.needs_all_before()).map(|(position, why)| (*position, why.as_str()))
    }

    /// The first record that a newer program wrote.
    pub(crate) fn newer(&self) -> Option<&NewerRecord> {
        self.newer.as_ref()
    }

    pub(crate) fn seed(&self) -> &Seed {
        &self.seed
    }

    pub(crate) fn figures(&self) -> &Figures {
        &self.figures
    }

    /// What kind of journal it is; none where no record says it.
    pub(crate) fn kind(&self) -> Option<JournalKind> {
        self.of_kind.as_ref().map(|(kind, _)| *kind)
    }

    pub(crate) fn roots(&self) -> &Roots {
        &self.roots
    }

    pub(crate) fn sample(&self) -> &Sample {
        &self.sample
    }

    pub(crate) fn snapshot_note(&self) -> Option<&str> {
        self.snapshot_note.as_deref()
    }

    /// The last position that was seen.
    pub(crate) fn last(&self) -> Position {
        self.positions.last()
    }

    fn end_fold(&mut self, at: Position, why: &str) {
        self.fold_ends.get_or_insert_with(|| (at, why.to_owned()));
    }

    fn end_tree(&mut self, at: Position) {
        self.tree_ends.get_or_insert(at);
    }
}
