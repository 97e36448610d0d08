//! `export`: the journal as JSON lines that anybody can check.

use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use cauri_event_schemas::Position;
use cauri_event_store::Head;
use clap::Args;

use super::{CommandError, Exit, position};
use crate::frames::Frames;
use crate::origin::{self, journal_directory};
use crate::shown::count;
use crate::source::{EXPORT_VERSION, ExportHeader, Journal};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The file to write, which must not exist; `-` for standard output.
    file: PathBuf,
    /// The server's data directory.
    #[arg(long, value_name = "DIR", default_value = "./cauri-data", env = "CAURI_DATA")]
    data: PathBuf,
    /// The journal's name.
    #[arg(long, value_name = "NAME", default_value = "ledger")]
    journal: String,
    /// Up to this position instead of the head; the root there is computed.
    #[arg(long, value_name = "POSITION", value_parser = position)]
    to: Option<Position>,
}

pub(super) fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<Exit, CommandError> {
    let directory = journal_directory(&arguments.data, &arguments.journal);
    let frames = Frames::open(&directory, &arguments.journal)?;
    let stored = frames.tree()?.head();
    let head = match arguments.to.filter(|to| *to != stored.position) {
        None => stored,
        // The header comes first and names the root, so the records are read twice.
        Some(to) => origin::replay(frames.source(Some(to))?, stored, Some(to), "root", &mut |_, _| {})?,
    };
    let header = ExportHeader { cauri_export: EXPORT_VERSION, head, journal: arguments.journal.clone() };
    if arguments.file == Path::new("-") {
        write(&frames, &header, stored, &mut BufWriter::with_capacity(1 << 20, out))?;
        return Ok(Exit::Well);
    }
    write_file(&arguments.file, |lines| write(&frames, &header, stored, lines))?;
    writeln!(
        out,
        "{} holds {} records of {}, head {}:{}",
        arguments.file.display(),
        count(head.position.get()),
        arguments.journal,
        head.position,
        head.root
    )?;
    Ok(Exit::Well)
}

/// Writes the header and every record; ends early where a record or the root is not what it must be.
fn write(frames: &Frames, header: &ExportHeader, stored: Head, lines: &mut dyn Write) -> Result<(), CommandError> {
    serde_json::to_writer(&mut *lines, header).map_err(std::io::Error::from)?;
    lines.write_all(b"\n")?;
    let mut failed = None;
    let mut last = Position::ZERO;
    let replayed =
        origin::replay(frames.source(Some(header.head.position))?, stored, Some(header.head.position), "export", &mut |batch, fact| {
            // An upcast makes several facts of one record.
            if fact.position == last || failed.is_some() {
                return;
            }
            last = fact.position;
            let line = batch.line(fact.position).unwrap_or_default();
            failed = lines.write_all(line).and_then(|()| lines.write_all(b"\n")).err();
        })?;
    if let Some(error) = failed {
        return Err(error.into());
    }
    // Computed once more from the very bytes that were written.
    if replayed != header.head {
        return Err(CommandError::Usage(format!("the journal changed while it was exported: {replayed} is not {}", header.head)));
    }
    Ok(lines.flush()?)
}

/// A file appears under its name only when it is whole and on the disk.
fn write_file(path: &Path, write: impl FnOnce(&mut dyn Write) -> Result<(), CommandError>) -> Result<(), CommandError> {
    if path.exists() {
        return Err(CommandError::Usage(format!("{} exists already", path.display())));
    }
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".unfinished");
    let unfinished = PathBuf::from(unfinished);
    let file = OpenOptions::new().write(true).create(true).truncate(true).open(&unfinished)?;
    let mut lines = BufWriter::with_capacity(1 << 20, file);
    let written = write(&mut lines).and_then(|()| {
        let file: File = lines.into_inner().map_err(std::io::IntoInnerError::into_error)?;
        Ok(file.sync_all().and_then(|()| fs::rename(&unfinished, path))?)
    });
    if written.is_err() {
        // What is left is of no use to anybody.
        let _ = fs::remove_file(&unfinished);
    }
    written
}
