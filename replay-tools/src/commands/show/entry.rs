//! An entry: what it is now, its life with times, and what it moves.

use std::io::Write;

use cauri_domain::entry::{self, Entry, EntryEvent, HoldPostedTransfer, Transfer};
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
            effective_at(event).unwrap_or_default(),
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
    let (reference, dimensions) = match event {
        EntryEvent::Posted(posted) => (&posted.reference, &posted.dimensions),
        EntryEvent::Held(held) => (&held.reference, &held.dimensions),
        EntryEvent::Reversed(reversed) => {
            writeln!(out, "reversed   by entry {}", reversed.by)?;
            return Ok(());
        }
        EntryEvent::HoldPosted(_) | EntryEvent::HoldVoided(_) | EntryEvent::HoldExpired(_) => return Ok(()),
    };
    if let Some(reference) = reference {
        writeln!(out, "reference  {reference}")?;
    }
    for (key, value) in dimensions {
        writeln!(out, "dimension  {key} = {value}")?;
    }
    match event {
        EntryEvent::Posted(posted) => {
            if let Some(original) = posted.reverses {
                writeln!(out, "reverses   entry {original}")?;
            }
        }
        EntryEvent::Held(held) => match held.expires_at {
            Some(at) => writeln!(out, "expires    {at}")?,
            None => writeln!(out, "expires    never")?,
        },
        EntryEvent::HoldPosted(_) | EntryEvent::HoldVoided(_) | EntryEvent::HoldExpired(_) | EntryEvent::Reversed(_) => {}
    }
    Ok(())
}

fn transfers(event: &EntryEvent, out: &mut dyn Write) -> Result<(), CommandError> {
    let (title, rows): (&str, Vec<Row<'_>>) = match event {
        EntryEvent::Posted(posted) => ("posted", posted.transfers.iter().map(Row::of).collect()),
        EntryEvent::Held(held) => ("held", held.transfers.iter().map(Row::of).collect()),
        EntryEvent::HoldVoided(voided) => ("given back", voided.transfers.iter().map(Row::of).collect()),
        EntryEvent::HoldExpired(expired) => ("given back", expired.transfers.iter().map(Row::of).collect()),
        EntryEvent::HoldPosted(posted) => {
            let row = |transfer: &HoldPostedTransfer| (transfer.amount, transfer.held);
            let of_held: Vec<String> = posted.transfers.iter().map(row).map(|(_, held)| shown(held)).collect();
            let rows = posted.transfers.iter().zip(of_held).map(|(transfer, held)| Row {
                debit: transfer.debit.as_str(),
                credit: transfer.credit.as_str(),
                amount: transfer.amount,
                held: Some(held),
                reason: transfer.reason.as_ref(),
            });
            ("posted", rows.collect())
        }
        EntryEvent::Reversed(_) => return Ok(()),
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

fn effective_at(event: &EntryEvent) -> Option<String> {
    let at = match event {
        EntryEvent::Posted(posted) => posted.effective_at,
        EntryEvent::Held(held) => held.effective_at,
        EntryEvent::HoldPosted(posted) => posted.effective_at,
        EntryEvent::HoldVoided(voided) => voided.effective_at,
        EntryEvent::HoldExpired(expired) => expired.effective_at,
        EntryEvent::Reversed(_) => return None,
    };
    Some(at.to_string())
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
