//! `import`: a new journal from an export, byte for byte.

use std::io::{BufRead, Write};
use std::path::PathBuf;

use cauri_domain::ids::CommandKey;
use cauri_event_schemas::Position;
use cauri_event_schemas::record::Envelope;
use cauri_event_store::embedded::EmbeddedStore;
use cauri_event_store::{Appended, Batch, EventStore, Head};
use clap::Args;

use super::{CommandError, Exit};
use crate::origin::{self, journal_directory};
use crate::progress::Progress;
use crate::shown::count;
use crate::source::{ExportError, ExportHeader, ExportSource, Piece, Source};

/// The most records in one batch.
const RECORDS_A_BATCH: usize = 8_189;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The export.
    file: PathBuf,
    /// The data directory in which the journal is made.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The journal's name; the export's own if absent.
    #[arg(long, value_name = "NAME")]
    journal: Option<String>,
}

pub(super) fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<Exit, CommandError> {
    // Read through once before anything is made: every line, and the root that the header promises.
    let (ExportHeader { head, journal, .. }, source) = ExportSource::open(&arguments.file)?;
    let source = UpToItsHead { source, head: head.position };
    origin::replay(source, head, None, "check", &mut |_, _| {}).map_err(by_line)?;

    let journal = arguments.journal.clone().unwrap_or(journal);
    let directory = journal_directory(&arguments.data, &journal);
    let store = EmbeddedStore::open(&directory, &journal)?;
    let before = store.head()?;
    if before.position != Position::ZERO {
        return Err(CommandError::Usage(format!("{} holds a journal already, with its head at {}", directory.display(), before.position)));
    }
    let (_, source) = ExportSource::open(&arguments.file)?;
    let imported = append(&store, source.into_lines(), head)?;
    if imported != head {
        let what = format!("{} holds {imported} now, the export is of {head}: delete it", directory.display());
        return Err(CommandError::Usage(what));
    }
    writeln!(out, "{journal} holds {} records now, head {}:{}", count(head.position.get()), head.position, head.root)?;
    Ok(Exit::Well)
}

/// An export that must end where its header says: a replay would stop there and not look at the lines behind it.
struct UpToItsHead<S> {
    source: S,
    head: Position,
}

impl<S: Source> Source for UpToItsHead<S> {
    fn next(&mut self) -> Option<Piece> {
        let piece = self.source.next()?;
        let Piece::Batch(batch) = &piece else { return Some(piece) };
        let goes_on = batch.last > self.head || batch.last == self.head && self.source.next().is_some();
        if !goes_on {
            return Some(piece);
        }
        let why = format!("the header says that the export ends at position {}, and there are more lines", self.head);
        Some(Piece::Unreadable { from: self.head.next(), to: None, why })
    }
}

/// Appends every line. A batch ends where a commit ends: a commit never spans two batches.
fn append(store: &EmbeddedStore, lines: impl BufRead, head: Head) -> Result<Head, CommandError> {
    let progress = Progress::to("import", Some(head.position));
    let mut batch = Batch::after(store.tree()?);
    let mut commit: Vec<Vec<u8>> = Vec::new();
    let mut command: Option<CommandKey> = None;
    for line in lines.split(b'\n') {
        let line = line.map_err(ExportError::Io)?;
        let metadata = Envelope::parse(&line).map_err(|error| CommandError::Usage(error.to_string()))?.metadata;
        if metadata.fingerprint.is_some() || command.as_ref().is_none_or(|command| !metadata.is_of(command)) {
            push(store, &mut batch, &mut commit)?;
            command = Some(metadata.key());
            progress.at(batch.first());
        }
        commit.push(line);
    }
    push(store, &mut batch, &mut commit)?;
    write(store, &mut batch)?;
    progress.done();
    Ok(store.head()?)
}

/// Adds a commit to the batch, or to the next one where this one is full.
fn push(store: &EmbeddedStore, batch: &mut Batch, commit: &mut Vec<Vec<u8>>) -> Result<(), CommandError> {
    if batch.len() + commit.len() > RECORDS_A_BATCH {
        write(store, batch)?;
    }
    for record in commit.drain(..) {
        batch.push_bytes(&record).map_err(|error| CommandError::Usage(error.to_string()))?;
    }
    Ok(())
}

fn write(store: &EmbeddedStore, batch: &mut Batch) -> Result<(), CommandError> {
    if batch.is_empty() {
        return Ok(());
    }
    match store.append(store.head()?, batch)? {
        Appended::Done(_) => {
            *batch = Batch::after(batch.tree().clone());
            Ok(())
        }
        Appended::Conflict(head) => Err(CommandError::Usage(format!("somebody else appends to this journal: its head is at {head}"))),
    }
}

/// A record's line: the header is the first.
fn by_line(error: CommandError) -> CommandError {
    match error {
        CommandError::Damaged(mut corruption) => {
            corruption.what = format!("{} (line {} of the export)", corruption.what, corruption.position.get() + 1);
            CommandError::Damaged(corruption)
        }
        error => error,
    }
}
