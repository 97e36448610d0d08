//! `head`: where the journal ends.

use std::io::Write;

use clap::Args;
use serde_json::json;

use super::{CommandError, Exit, write_json};
use crate::frames::{Frames, Stored};
use crate::origin::Origin;
use crate::shown::{count, instant, size};
use crate::source::Journal;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    origin: Origin,
    /// One JSON document instead of text.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<Exit, CommandError> {
    let origin = &arguments.origin;
    let (journal, head, stored) = match &origin.export {
        // An export's size is its file's; its root is worth nothing unless it is computed.
        Some(_) => {
            let mut seen = Stored::default();
            let replayed = origin.replay("head", None, |_, fact| {
                seen.first_at.get_or_insert(fact.recorded_at);
                seen.last_at = Some(fact.recorded_at);
            })?;
            (replayed.journal, replayed.head, seen)
        }
        None => {
            let frames = Frames::open(&origin.directory(), &origin.journal)?;
            let head = frames.tree()?.head();
            (origin.journal.clone(), head, frames.stored(head.position)?)
        }
    };
    let Stored { batches, packed_bytes, first_at, last_at } = stored;
    if arguments.json {
        let document = json!({
            "cauri_head": 1,
            "journal": journal,
            "head": head,
            "batches": batches,
            "packed_bytes": packed_bytes,
            "first_at": first_at.map(instant),
            "last_at": last_at.map(instant),
        });
        write_json(out, &document)?;
        return Ok(Exit::Well);
    }
    writeln!(out, "journal   {journal}")?;
    writeln!(out, "head      {}:{}", head.position, head.root)?;
    if let (Some(batches), Some(bytes)) = (batches, packed_bytes) {
        writeln!(out, "stored    {} records in {} batches, {} packed", count(head.position.get()), count(batches), size(bytes))?;
    }
    if let (Some(first), Some(last)) = (first_at, last_at) {
        writeln!(out, "recorded  {} to {}", instant(first), instant(last))?;
    }
    Ok(Exit::Well)
}
