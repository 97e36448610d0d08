//! `repack`: a journal written anew in today's format.

use std::io::Write;
use std::path::PathBuf;

use cauri_event_store::embedded::EmbeddedStore;
use clap::Args;

use super::{CommandError, Exit};
use crate::frames::Frames;
use crate::origin::journal_directory;
use crate::progress::Progress;
use crate::shown::{count, size};
use crate::source::Journal;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The data directory in which the journal is written anew.
    target: PathBuf,
    /// The data directory that holds the journal.
    #[arg(long, value_name = "DIR", default_value = "./cauri-data", env = "CAURI_DATA")]
    data: PathBuf,
    /// The journal's name.
    #[arg(long, value_name = "NAME", default_value = "ledger")]
    journal: String,
}

pub(super) fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<Exit, CommandError> {
    let (from, to) = (journal_directory(&arguments.data, &arguments.journal), journal_directory(&arguments.target, &arguments.journal));
    let source = Frames::open(&from, &arguments.journal)?;
    let before = source.tree()?.head();
    if from.canonicalize().ok().is_some_and(|from| to.canonicalize().is_ok_and(|to| to == from)) {
        return Err(CommandError::Usage(format!("{} holds the journal itself: name another directory", arguments.target.display())));
    }
    let progress = Progress::to("repack", Some(before.position));
    let head = EmbeddedStore::repack(&from, &to, &arguments.journal, |position| progress.at(position))?;
    progress.done();
    let packed = |frames: &Frames| Ok::<_, CommandError>(frames.stored(head.position)?.packed_bytes.unwrap_or(0));
    let (was, is) = (packed(&source)?, packed(&Frames::open(&to, &arguments.journal)?)?);
    writeln!(
        out,
        "{} holds {} records of {}, head {}:{}",
        to.display(),
        count(head.position.get()),
        arguments.journal,
        head.position,
        head.root
    )?;
    writeln!(out, "packed    {} before, {} now", size(was), size(is))?;
    let now = source.tree()?.head();
    if now != head {
        writeln!(out, "The journal was appended to meanwhile: stop the server, and run this again to add the rest.")?;
        return Ok(Exit::Wrong);
    }
    Ok(Exit::Well)
}
