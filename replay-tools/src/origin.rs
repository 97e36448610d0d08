//! Where the commands read from: an embedded journal in a data directory, or an export.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use cauri_domain::ids::CommandKey;
use cauri_event_schemas::record::Envelope;
use cauri_event_schemas::{Position, StreamVersion};
use cauri_event_store::embedded::EmbeddedStore;
use cauri_event_store::{Corruption, EventStore, Head, Lookup, StoreError, Tree, Unreadable};
use clap::Args;

use crate::commands::CommandError;
use crate::frames::Frames;
use crate::pipeline::{self, Step};
use crate::progress::Progress;
use crate::reading::{Fact, JournalKind, ReadBatch, Seed};
use crate::source::{ExportSource, Journal, Source};

/// Which journal.
#[derive(Clone, Debug, Args)]
pub(crate) struct Origin {
    /// The server's data directory.
    #[arg(long, value_name = "DIR", default_value = "./cauri-data", env = "CAURI_DATA")]
    pub(crate) data: PathBuf,
    /// The journal's name.
    #[arg(long, value_name = "NAME", default_value = "ledger")]
    pub(crate) journal: String,
    /// Read this export instead of a data directory.
    #[arg(long, value_name = "FILE")]
    pub(crate) export: Option<PathBuf>,
}

/// One record with its place.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) position: Position,
    pub(crate) bytes: Vec<u8>,
}

/// A replay that came to its end.
#[derive(Clone, Debug)]
pub(crate) struct Replayed {
    /// The journal's name.
    pub(crate) journal: String,
    /// The last record that was read, and the root there, computed from the records.
    pub(crate) head: Head,
}

impl Origin {
    /// The directory of the journal's read models.
    pub(crate) fn read_models(&self) -> PathBuf {
        self.data.join("read-models").join(&self.journal)
    }

    /// The journal's directory.
    pub(crate) fn directory(&self) -> PathBuf {
        journal_directory(&self.data, &self.journal)
    }

    /// Replays every record up to `until` (the head if absent), checking bytes and root on the way.
    pub(crate) fn replay(
        &self,
        what: &'static str,
        until: Option<Position>,
        mut each: impl FnMut(&ReadBatch, &Fact),
    ) -> Result<Replayed, CommandError> {
        match &self.export {
            Some(path) => {
                let (header, source) = ExportSource::open(path)?;
                let head = replay(source, header.head, until, what, &mut each)?;
                Ok(Replayed { journal: header.journal, head })
            }
            None => {
                let frames = Frames::open(&self.directory(), &self.journal)?;
                let stored = frames.tree()?.head();
                let source = frames.source(Some(until.map_or(stored.position, |until| until.min(stored.position))))?;
                let head = replay(source, stored, until, what, &mut each)?;
                Ok(Replayed { journal: self.journal.clone(), head })
            }
        }
    }

    /// The same of a ledger.
    ///
    /// # Errors
    /// When the journal is of another kind: it has no accounts and no entries.
    pub(crate) fn replay_ledger(
        &self,
        what: &'static str,
        until: Option<Position>,
        mut each: impl FnMut(&ReadBatch, &Fact),
    ) -> Result<Replayed, CommandError> {
        let mut other = None;
        let replayed = self.replay(what, until, |batch, fact| {
            other = other.or(fact.kind().filter(|kind| *kind != JournalKind::Ledger));
            each(batch, fact);
        })?;
        match other {
            None => Ok(replayed),
            Some(kind) => Err(CommandError::Usage(format!("{} is a {}: it has no accounts and no entries", replayed.journal, kind.name()))),
        }
    }

    /// The record at a position.
    pub(crate) fn record(&self, position: Position) -> Result<Option<Line>, CommandError> {
        match &self.export {
            Some(path) => Ok(scan(path, |line| line.position == position, true)?.pop()),
            None => {
                let store = self.store()?;
                let Some(stored) = store.read_batch(position)? else { return Ok(None) };
                Ok(stored.check()?.at(position).map(|record| Line { position, bytes: record.bytes().to_vec() }))
            }
        }
    }

    /// The records of a stream, in order.
    pub(crate) fn stream(&self, stream: &str) -> Result<Vec<Line>, CommandError> {
        match &self.export {
            Some(path) => {
                let of_stream = |line: &Line| Envelope::parse(&line.bytes).is_ok_and(|envelope| envelope.stream == stream);
                scan(path, of_stream, false)
            }
            None => {
                let records = self.store()?.read_stream(stream, StreamVersion::ZERO)?;
                Ok(records
                    .iter()
                    .map(|record| record.as_record())
                    .map(|record| Line { position: record.position(), bytes: record.bytes().to_vec() })
                    .collect())
            }
        }
    }

    /// The records that a command wrote.
    pub(crate) fn command(&self, command: &CommandKey) -> Result<Vec<Line>, CommandError> {
        let of_command = |line: &Line| Envelope::parse(&line.bytes).is_ok_and(|envelope| envelope.metadata.is_of(command));
        match &self.export {
            Some(path) => scan(path, of_command, false),
            None => {
                let store = self.store()?;
                let found = store.locate(&[Lookup::Command(command)])?;
                let Some(first) = found.into_iter().next().flatten() else { return Ok(Vec::new()) };
                let Some(stored) = store.read_batch(first)? else { return Ok(Vec::new()) };
                // A commit stands in one batch, its records side by side.
                let batch = stored.check()?;
                let records = batch.records().skip_while(|record| record.position() < first);
                let lines = records.map(|record| Line { position: record.position(), bytes: record.bytes().to_vec() });
                Ok(lines.take_while(of_command).collect())
            }
        }
    }

    fn store(&self) -> Result<EmbeddedStore, CommandError> {
        Ok(EmbeddedStore::open_read_only(&self.directory(), &self.journal)?)
    }
}

/// Where a data directory keeps a journal.
pub(crate) fn journal_directory(data: &Path, journal: &str) -> PathBuf {
    data.join("journals").join(journal)
}

/// Lines of an export that are wanted.
fn scan(path: &Path, wanted: impl Fn(&Line) -> bool, only_one: bool) -> Result<Vec<Line>, CommandError> {
    let (_, source): (_, ExportSource<BufReader<File>>) = ExportSource::open(path)?;
    let mut found = Vec::new();
    for (line, number) in source.into_lines().split(b'\n').zip(1..) {
        let line = Line { position: Position::new(number), bytes: line.map_err(crate::source::ExportError::Io)? };
        if wanted(&line) {
            found.push(line);
            if only_one {
                break;
            }
        }
    }
    Ok(found)
}

/// Runs a source to its end; anything wrong with a record's bytes or with the root ends the replay.
pub(crate) fn replay(
    source: impl Source,
    stored: Head,
    until: Option<Position>,
    what: &'static str,
    each: &mut impl FnMut(&ReadBatch, &Fact),
) -> Result<Head, CommandError> {
    let until = until.unwrap_or(stored.position);
    if until > stored.position {
        return Err(CommandError::Usage(format!("position {until} is beyond the head, which is at {}", stored.position)));
    }
    let seed = Seed::default();
    let progress = Progress::to(what, Some(until));
    let mut tree = Tree::empty();
    let broke = pipeline::run(source, &seed, |step| {
        let folded = fold(step, until, &mut tree, each);
        progress.at(Position::new(tree.size()));
        match folded {
            Ok(true) => ControlFlow::Continue(()),
            Ok(false) => ControlFlow::Break(Ok(())),
            Err(unreadable) => ControlFlow::Break(Err(unreadable)),
        }
    });
    progress.done();
    if let Some(Err(unreadable)) = broke {
        return Err(StoreError::from(unreadable).into());
    }
    let head = tree.head();
    if head.position != until {
        let what = format!("the journal ends at {}, though its head is at {}", head.position, stored.position);
        return Err(CommandError::Damaged(Corruption::new(head.position.next(), what)));
    }
    if head.position == stored.position && head.root != stored.root {
        return Err(CommandError::OtherRoot { computed: head, stated: stored.root });
    }
    Ok(head)
}

/// Takes one step; false where `until` was reached.
fn fold(step: Step, until: Position, tree: &mut Tree, each: &mut impl FnMut(&ReadBatch, &Fact)) -> Result<bool, Unreadable> {
    let mut batch = match step {
        Step::Unreadable { from, why, .. } => return Err(Corruption::new(from, format!("it cannot be read: {why}")).into()),
        Step::Batch(batch) => batch,
    };
    let next = tree.head().position.next();
    if batch.first != next {
        return Err(Corruption::new(next, format!("a batch begins at {} where {next} comes next", batch.first)).into());
    }
    let found = std::mem::take(&mut batch.findings).into_told();
    if let Some(finding) = found.into_iter().find(|finding| finding.position.is_none_or(|position| position <= until)) {
        return Err(Corruption::new(finding.position.unwrap_or(batch.first), finding.what).into());
    }
    if let Some(newer) = batch.newer.take().filter(|newer| newer.position <= until) {
        return Err(newer.into());
    }
    for leaf in &batch.leaves {
        if tree.size() < until.get() {
            tree.push(*leaf);
        }
    }
    for fact in batch.facts.iter().take_while(|fact| fact.position <= until) {
        each(&batch, fact);
    }
    Ok(tree.size() < until.get())
}
