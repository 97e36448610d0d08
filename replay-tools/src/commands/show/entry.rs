//! An entry: what it is now, its life with times, and what it moves.

use std::io::Write;

use cauri_domain::entry::{self, Effect, Entry, EntryEvent, Motion, Transfer};
use cauri_domain::event::EventSet;
use cauri_domain::ids::EntryId;
use cauri_domain::money::Money;
use cauri_domain::text::ShortText;
use cauri_event_schemas::ledger::{Event, Recorded};
use cauri_event_store::Corruption;
use serde_json::{Value, json};

use crate::commands::{CommandError, write_json};
use crate::shown::{Lean, Table, amount};

pub(super) fn show(id: EntryId, records: &[Recorded], as_json: bool, out: &mut dyn Write) -> Result<(), CommandError> {
    let mut state = Entry::Unwritten;
    for record in records {
        let Event::Entry(event) = &record.event else { continue };
        let illegal = |error: cauri_domain::IllegalTransition| CommandError::Damaged(Corruption::new(record.position, error.to_string()));
        state = entry::evolve(state, event).map_err(illegal)?;
    }
    if as_json {
        return write_json(out, &document(id, &state, records));
    }
    writeln!(out, "entry      {id}")?;
    writeln!(out, "state      {}", state.status())?;
    for record in records {
        let Event::Entry(event) = &record.event else { continue };
        header(event, out)?;
    }
    writeln!(out)?;
    let columns = ["position", "version"].map(|name| (name, Lean::Right));
    let words = ["recorded", "event", "effective", "by", "command"].map(|name| (name, Lean::Left));
    let mut life = Table::new(&[&columns[..], &words[..]].concat());
    for record in records {
        let Event::Entry(event) = &record.event else { continue };
        life.row([
            record.position.to_string(),
            record.version.to_string(),
            record.recorded_at.to_string(),
            event.name().to_owned(),
            event.motion().map(|motion| motion.effective_at().to_string()).unwrap_or_default(),
            record.metadata.actor.to_string(),
            record.metadata.command.to_string(),
        ]);
    }
    write!(out, "{}", life.text(""))?;
    for record in records {
        let Event::Entry(event) = &record.event else { continue };
        transfers(event, out)?;
    }
    Ok(())
}

/// What an event says of the entry as a whole.
fn header(event: &EntryEvent, out: &mut dyn Write) -> Result<(), CommandError> {
    let (reference, dimensions) = match event.effect() {
        Effect::Moves(Motion::Posted(posted)) => (&posted.reference, &posted.dimensions),
        Effect::Moves(Motion::Held(held)) => (&held.reference, &held.dimensions),
        Effect::Moves(Motion::HoldPosted(_) | Motion::HoldVoided(_) | Motion::HoldExpired(_)) => return Ok(()),
        Effect::Reverses(reversed) => return Ok(writeln!(out, "reversed   by entry {}", reversed.by)?),
        Effect::Notes => return noted(event, out),
    };
    if let Some(reference) = reference {
        writeln!(out, "reference  {reference}")?;
    }
    for (key, value) in dimensions {
        writeln!(out, "dimension  {key} = {value}")?;
    }
    match event.motion() {
        Some(Motion::Posted(posted)) => {
            if let Some(original) = posted.reverses {
                writeln!(out, "reverses   entry {original}")?;
            }
        }
        Some(Motion::Held(held)) => match held.expires_at {
            Some(at) => writeln!(out, "expires    {at}")?,
            None => writeln!(out, "expires    never")?,
        },
        _ => {}
    }
    Ok(())
}

/// What was noted, as it is written.
fn noted(event: &EntryEvent, out: &mut dyn Write) -> Result<(), CommandError> {
    let mut data = Vec::new();
    event.write_data(&mut data);
    Ok(writeln!(out, "{:<10} {}", event.name().trim_start_matches("entry."), String::from_utf8_lossy(&data))?)
}

fn transfers(event: &EntryEvent, out: &mut dyn Write) -> Result<(), CommandError> {
    let Some(motion) = event.motion() else { return Ok(()) };
    let (title, rows): (&str, Vec<Row<'_>>) = match motion {
        Motion::Posted(posted) => ("posted", posted.transfers.iter().map(Row::of).collect()),
        Motion::Held(held) => ("held", held.transfers.iter().map(Row::of).collect()),
        Motion::HoldVoided(voided) => ("given back", voided.transfers.iter().map(Row::of).collect()),
        Motion::HoldExpired(expired) => ("given back", expired.transfers.iter().map(Row::of).collect()),
        Motion::HoldPosted(posted) => {
            let rows = posted.transfers.iter().map(|transfer| Row {
                debit: transfer.debit.as_str(),
                credit: transfer.credit.as_str(),
                amount: transfer.amount,
                held: Some(shown(transfer.held)),
                reason: transfer.reason.as_ref(),
            });
            ("posted", rows.collect())
        }
    };
    let mut table = Table::new(&[
        (&format!("{title}: debit"), Lean::Left),
        ("credit", Lean::Left),
        ("amount", Lean::Right),
        ("", Lean::Left),
        ("reason", Lean::Left),
    ]);
    for Row { debit, credit, amount, held, reason } in rows {
        let of = held.map_or_else(String::new, |held| format!("of {held} held"));
        table.row([debit.to_owned(), credit.to_owned(), shown(amount), of, reason.map_or_else(String::new, ToString::to_string)]);
    }
    writeln!(out)?;
    Ok(write!(out, "{}", table.text(""))?)
}

struct Row<'a> {
    debit: &'a str,
    credit: &'a str,
    amount: Money,
    held: Option<String>,
    reason: Option<&'a ShortText>,
}

impl<'a> Row<'a> {
    fn of(transfer: &'a Transfer) -> Self {
        Self {
            debit: transfer.debit.as_str(),
            credit: transfer.credit.as_str(),
            amount: transfer.amount,
            held: None,
            reason: transfer.reason.as_ref(),
        }
    }
}

fn shown(money: Money) -> String {
    format!("{} {}", amount(money.minor().into(), money.currency()), money.currency())
}

fn document(id: EntryId, state: &Entry, records: &[Recorded]) -> Value {
    let events: Vec<Value> = records
        .iter()
        .map(|record| {
            let bytes = record.to_bytes();
            serde_json::from_slice(&bytes).unwrap_or_default()
        })
        .collect();
    json!({ "cauri_entry": 1, "id": id, "state": state.status(), "records": events })
}
