//! `rebuild`: asks for a read model to be built anew, or looks whether that would change anything.

use std::io::Write;

use cauri_projections::{RequestError, ask_for_rebuild};
use clap::Args;

use super::{CommandError, Exit};
use crate::checks::read_models;
use crate::finding::Findings;
use crate::frames::Frames;
use crate::origin::Origin;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    origin: Origin,
    /// The read model, such as `accounts`.
    #[arg(long, value_name = "NAME")]
    model: String,
    /// Ask for nothing: replay the journal, and compare the read model with what that gives.
    #[arg(long)]
    check: bool,
}

pub(super) fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<Exit, CommandError> {
    let Arguments { origin, model, check } = arguments;
    if origin.export.is_some() {
        return Err(CommandError::Usage("an export has no read models: name a data directory with --data".into()));
    }
    let dir = origin.read_models();
    if !check {
        let group = ask_for_rebuild(&dir, model).map_err(|error| match error {
            RequestError::Unknown(unknown) => CommandError::Usage(unknown.to_string()),
            error @ RequestError::Io { .. } => CommandError::Usage(format!("{error}; a server makes it when it starts")),
        })?;
        writeln!(out, "asked: the group {group} is built anew by the server that runs on {}, or that starts next", origin.data.display())?;
        return Ok(Exit::Well);
    }
    let frames = Frames::open(&origin.directory(), &origin.journal)?;
    let mut findings = Findings::default();
    let note = read_models::check(&dir, &frames, Some(model), true, &mut findings);
    let findings = findings.into_told();
    for finding in &findings {
        writeln!(out, "{}: {}", finding.check.name(), finding.what)?;
        writeln!(out, "  next: {}", finding.next)?;
    }
    if findings.is_empty() {
        writeln!(out, "{note}: a replay of the journal gives the same rows")?;
        return Ok(Exit::Well);
    }
    Ok(Exit::Wrong)
}
