//! Records as they are stored, with their places in the journal.

use std::io::Write;

use cauri_event_schemas::record::Envelope;
use cauri_event_store::{Corruption, Hash};
use serde_json::{Value, json};

use crate::commands::{CommandError, write_json};
use crate::origin::Line;
use crate::shown::count;

pub(super) fn show(lines: &[Line], as_json: bool, out: &mut dyn Write) -> Result<(), CommandError> {
    let mut documents = Vec::with_capacity(lines.len());
    for (index, Line { position, bytes }) in lines.iter().enumerate() {
        let damaged = |error: &dyn std::fmt::Display| CommandError::Damaged(Corruption::new(*position, error.to_string()));
        let record: Value = serde_json::from_slice(bytes).map_err(|error| damaged(&error))?;
        let leaf = Hash::of_leaf(bytes);
        if as_json {
            documents.push(json!({ "position": position, "leaf": leaf, "record": record }));
            continue;
        }
        let envelope = Envelope::parse(bytes).map_err(|error| damaged(&error))?;
        if index > 0 {
            writeln!(out)?;
        }
        writeln!(out, "position  {position}")?;
        writeln!(out, "stream    {} version {}", envelope.stream, envelope.version)?;
        writeln!(out, "event     {} (shape {})", envelope.event_type, envelope.schema)?;
        writeln!(out, "recorded  {}", envelope.recorded_at)?;
        writeln!(out, "by        {}, command {}", envelope.metadata.actor, envelope.metadata.key())?;
        writeln!(out, "leaf      {leaf} ({} bytes)", count(bytes.len() as u64))?;
        let data = serde_json::to_string_pretty(&record["data"]).map_err(std::io::Error::from)?;
        writeln!(out, "{data}")?;
    }
    if as_json {
        write_json(out, &json!({ "cauri_records": 1, "records": documents }))?;
    }
    Ok(())
}
