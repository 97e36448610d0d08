//! `verify`: every check that can be made.

use std::fs::File;
use std::io::{BufReader, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use cauri_domain::time::Timestamp;
use clap::Args;

use super::{CommandError, Exit, write_json};
use crate::Remembered;
use crate::origin::Origin;
use crate::source::ExportError;
use crate::verify::{Wanted, verify_directory, verify_export};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    origin: Origin,
    /// What was noted earlier, which the journal must agree with: a head POSITION:ROOT, a consistency token, or the file of an export. May be given several times.
    #[arg(long, alias = "expect-head", value_name = "HEAD|EXPORT")]
    against: Vec<Remembered>,
    /// Leave the read models alone.
    #[arg(long)]
    no_read_models: bool,
    /// What the time is; by this machine's clock if absent. Records that are later lie in the future.
    #[arg(long, value_name = "INSTANT")]
    now: Option<Timestamp>,
    /// One JSON document instead of text.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<Exit, CommandError> {
    let Origin { journal, export, .. } = &arguments.origin;
    let read_store = (!arguments.no_read_models).then(|| arguments.origin.read_models());
    let now = arguments.now.or_else(machine_time);
    let mut wanted = Wanted { read_store, now, show_progress: true, ..Wanted::default() };
    for remembered in &arguments.against {
        match remembered {
            Remembered::Head(head) => wanted.expected.push(*head),
            Remembered::Export(path) => wanted.exports.push(path.clone()),
        }
    }
    let report = match export {
        Some(path) => verify_export(BufReader::with_capacity(1 << 20, File::open(path).map_err(ExportError::Io)?), &wanted)?,
        None => verify_directory(&arguments.origin.directory(), journal, &wanted)?,
    };
    if arguments.json {
        write_json(out, &report)?;
    } else {
        write!(out, "{report}")?;
    }
    Ok(match report.ok {
        true => Exit::Well,
        false if report.is_newer() => Exit::Newer,
        false => Exit::Wrong,
    })
}

/// The machine's time; none where its clock is beyond the years of a ledger, and nothing can be said by it.
fn machine_time() -> Option<Timestamp> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    Timestamp::from_micros(i64::try_from(since.as_micros()).ok()?)
}
