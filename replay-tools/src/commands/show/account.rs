//! An account: what it is now, its history with a running balance, and its open holds; by replay alone.

use std::io::Write;

use cauri_domain::account::{self, Account as State, AccountEvent};
use cauri_domain::event::EventSet;
use cauri_domain::ids::{AccountAddress, EntryId};
use cauri_domain::limits::Limits;
use cauri_domain::money::Currency;
use cauri_event_schemas::Position;
use cauri_event_store::Corruption;
use serde_json::{Value, json};

use super::Arguments;
use crate::commands::{CommandError, write_json};
use crate::ledger::Totals;
use crate::origin::Replayed;
use crate::reading::{EntryKey, Fact, Happening, Motion, Moved, ReadBatch, Stream};
use crate::shown::{Lean, Table, amount, instant, plain};

/// What became of one account.
struct History<'a> {
    address: &'a str,
    as_of: i64,
    state: State,
    opened: Option<AccountEvent>,
    totals: Totals,
    lines: Vec<HistoryLine>,
    holds: Vec<Hold>,
    illegal: Option<Corruption>,
}

/// One record's effect on the account.
struct HistoryLine {
    position: Position,
    recorded_at: i64,
    effective_at: Option<i64>,
    what: String,
    other: String,
    debit: i128,
    credit: i128,
    after: Totals,
}

struct Hold {
    id: EntryKey,
    position: Position,
    effective_at: i64,
    expires_at: Option<i64>,
    debit: i128,
    credit: i128,
}

pub(super) fn show(arguments: &Arguments, address: &AccountAddress, out: &mut dyn Write) -> Result<(), CommandError> {
    let as_of = arguments.as_of.map_or(i64::MAX, |as_of| as_of.as_micros());
    let mut history = History {
        address: address.as_str(),
        as_of,
        state: State::Unopened,
        opened: None,
        totals: Totals::default(),
        lines: Vec::new(),
        holds: Vec::new(),
        illegal: None,
    };
    let replayed = arguments.origin.replay_ledger("replay", arguments.known_at, |batch, fact| history.fold(batch, fact))?;
    if let Some(corruption) = history.illegal.take() {
        return Err(CommandError::Damaged(corruption));
    }
    let Some(currency) = history.state.terms().map(|terms| terms.currency) else {
        return Err(CommandError::NotFound(format!("no account was opened at {address} up to {}", replayed.head.position)));
    };
    let skipped = arguments.last.map_or(0, |last| history.lines.len().saturating_sub(last));
    if arguments.json {
        write_json(out, &history.document(&replayed, currency, skipped))
    } else {
        Ok(write!(out, "{}", history.text(&replayed, currency, skipped))?)
    }
}

impl History<'_> {
    fn fold(&mut self, batch: &ReadBatch, fact: &Fact) {
        match (&fact.stream, &fact.event) {
            (Stream::Account(address, _), Happening::Account(event)) if batch.text(*address) == self.address.as_bytes() => {
                match account::evolve(self.state, event) {
                    Ok(state) => self.state = state,
                    Err(illegal) => {
                        self.illegal.get_or_insert_with(|| Corruption::new(fact.position, illegal.to_string()));
                    }
                }
                let what = event.name().to_owned();
                if matches!(**event, AccountEvent::Opened(_)) {
                    self.opened = Some((**event).clone());
                }
                self.push(fact, None, what, told(event), 0, 0);
            }
            (Stream::Entry(id, _), Happening::Moved(moved)) if moved.effective_at <= self.as_of => self.moved(batch, fact, id, moved),
            _ => {}
        }
    }

    fn moved(&mut self, batch: &ReadBatch, fact: &Fact, id: &EntryKey, moved: &Moved) {
        let mine = self.address.as_bytes();
        let (mut debit, mut credit, mut held_debit, mut held_credit, mut others) = (0, 0, 0, 0, Vec::new());
        for movement in &batch.movements[moved.transfers.clone()] {
            let (on_left, on_right) = (batch.text(movement.debit.0) == mine, batch.text(movement.credit.0) == mine);
            if on_left {
                debit += i128::from(movement.minor);
                held_debit += i128::from(movement.held);
                others.push(batch.shown(movement.credit.0));
            } else if on_right {
                credit += i128::from(movement.minor);
                held_credit += i128::from(movement.held);
                others.push(batch.shown(movement.debit.0));
            }
        }
        if others.is_empty() {
            return;
        }
        others.dedup();
        let (posts, holds, releases) = match moved.motion {
            Motion::Posted => (true, false, false),
            Motion::Held => (false, true, false),
            Motion::HoldPosted => (true, false, true),
            Motion::HoldVoided | Motion::HoldExpired => (false, false, true),
        };
        if holds {
            self.totals.debits_pending += debit;
            self.totals.credits_pending += credit;
            let (effective_at, expires_at) = (moved.effective_at, moved.expires_at);
            self.holds.push(Hold { id: *id, position: fact.position, effective_at, expires_at, debit, credit });
        }
        if releases {
            self.totals.debits_pending -= held_debit;
            self.totals.credits_pending -= held_credit;
            self.holds.retain(|hold| hold.id != *id);
        }
        if posts {
            self.totals.debits_posted += debit;
            self.totals.credits_posted += credit;
        }
        let what = match moved.motion {
            Motion::Posted => "posted",
            Motion::Held => "held",
            Motion::HoldPosted => "hold posted",
            Motion::HoldVoided => "hold voided",
            Motion::HoldExpired => "hold expired",
        };
        let entry = EntryId::from_u128(u128::from_be_bytes(*id));
        self.push(fact, Some(moved.effective_at), format!("{what} {entry}"), others.join(", "), debit, credit);
    }

    fn push(&mut self, fact: &Fact, effective_at: Option<i64>, what: String, other: String, debit: i128, credit: i128) {
        let (position, recorded_at, after) = (fact.position, fact.recorded_at, self.totals);
        self.lines.push(HistoryLine { position, recorded_at, effective_at, what, other, debit, credit, after });
    }

    fn text(&self, replayed: &Replayed, currency: Currency, skipped: usize) -> String {
        let Some(terms) = self.state.terms() else { return String::new() };
        let kind = terms.kind;
        let mut text = format!("account    {}\n", self.address);
        text += &format!("state      {}, {kind} in {currency}\n", self.state.status());
        text += &format!("limits     {}\n", limits(&terms.limits));
        if let Some(AccountEvent::Opened(opened)) = &self.opened {
            for (name, value) in [("chart code", &opened.chart_code), ("owner     ", &opened.owner)] {
                if let Some(value) = value {
                    text += &format!("{name} {value}\n");
                }
            }
            for (key, value) in &opened.metadata {
                text += &format!("metadata   {key} = {value}\n");
            }
        }
        text += &format!("known at   {}:{}\n", replayed.head.position, replayed.head.root);
        if self.as_of != i64::MAX {
            text += &format!("as of      {} (effective at or before)\n", instant(self.as_of));
        }
        let figure = |minor: i128| amount(minor, currency);
        text += &format!("balance    {} {currency}\n", figure(self.totals.balance(kind)));
        text += &format!("available  {} {currency}\n\n", figure(self.totals.available(kind)));
        let mut table = Table::new(&[
            ("position", Lean::Right),
            ("recorded", Lean::Left),
            ("effective", Lean::Left),
            ("what", Lean::Left),
            ("other side", Lean::Left),
            ("debit", Lean::Right),
            ("credit", Lean::Right),
            ("balance", Lean::Right),
            ("available", Lean::Right),
        ]);
        let empty_if_zero = |minor: i128| if minor == 0 { String::new() } else { figure(minor) };
        for line in &self.lines[skipped..] {
            // What is held or given back stands in brackets: it does not move the balance.
            let bracketed = |minor: i128| {
                let plain = empty_if_zero(minor);
                let moves = line.what.starts_with("posted") || line.what.starts_with("hold posted");
                if plain.is_empty() || moves { plain } else { format!("({plain})") }
            };
            table.row([
                line.position.to_string(),
                instant(line.recorded_at),
                line.effective_at.map_or_else(String::new, instant),
                line.what.clone(),
                line.other.clone(),
                bracketed(line.debit),
                bracketed(line.credit),
                figure(line.after.balance(kind)),
                figure(line.after.available(kind)),
            ]);
        }
        text += &table.text("");
        if skipped > 0 {
            text += &format!("(earlier lines that are not shown: {skipped})\n");
        }
        if !self.holds.is_empty() {
            let mut holds = Table::new(&[
                ("open hold", Lean::Left),
                ("position", Lean::Right),
                ("effective", Lean::Left),
                ("expires", Lean::Left),
                ("debit", Lean::Right),
                ("credit", Lean::Right),
            ]);
            for hold in &self.holds {
                holds.row([
                    EntryId::from_u128(u128::from_be_bytes(hold.id)).to_string(),
                    hold.position.to_string(),
                    instant(hold.effective_at),
                    hold.expires_at.map_or_else(|| "never".to_owned(), instant),
                    empty_if_zero(hold.debit),
                    empty_if_zero(hold.credit),
                ]);
            }
            text += "\n";
            text += &holds.text("");
        }
        text
    }

    fn document(&self, replayed: &Replayed, currency: Currency, skipped: usize) -> Value {
        let terms = self.state.terms();
        let kind = terms.map(|terms| terms.kind);
        let figure = |minor: i128| plain(minor, currency);
        let figures = |totals: &Totals| {
            json!({
                "debits_posted": figure(totals.debits_posted),
                "credits_posted": figure(totals.credits_posted),
                "debits_pending": figure(totals.debits_pending),
                "credits_pending": figure(totals.credits_pending),
                "balance": kind.map(|kind| figure(totals.balance(kind))),
                "available": kind.map(|kind| figure(totals.available(kind))),
            })
        };
        let lines: Vec<Value> = self.lines[skipped..]
            .iter()
            .map(|line| {
                json!({
                    "position": line.position,
                    "recorded_at": instant(line.recorded_at),
                    "effective_at": line.effective_at.map(instant),
                    "what": line.what,
                    "other_side": line.other,
                    "debit": figure(line.debit),
                    "credit": figure(line.credit),
                    "after": figures(&line.after),
                })
            })
            .collect();
        let holds: Vec<Value> = self
            .holds
            .iter()
            .map(|hold| {
                json!({
                    "entry": EntryId::from_u128(u128::from_be_bytes(hold.id)),
                    "position": hold.position,
                    "effective_at": instant(hold.effective_at),
                    "expires_at": hold.expires_at.map(instant),
                    "debit": figure(hold.debit),
                    "credit": figure(hold.credit),
                })
            })
            .collect();
        json!({
            "cauri_account": 1,
            "journal": replayed.journal,
            "known_at": replayed.head,
            "as_of": (self.as_of != i64::MAX).then(|| instant(self.as_of)),
            "address": self.address,
            "status": self.state.status(),
            "kind": kind,
            "currency": currency,
            "limits": terms.map(|terms| terms.limits),
            "totals": figures(&self.totals),
            "history": lines,
            "open_holds": holds,
        })
    }
}

/// What an account's event says, for a person.
fn told(event: &AccountEvent) -> String {
    match event {
        AccountEvent::LimitsChanged(changed) => limits(&changed.limits),
        AccountEvent::Frozen(frozen) => frozen.reason.as_ref().map_or_else(String::new, ToString::to_string),
        AccountEvent::Closed(closed) => closed.reason.as_ref().map_or_else(String::new, ToString::to_string),
        AccountEvent::Opened(_) | AccountEvent::Unfrozen(_) | AccountEvent::Reopened(_) => String::new(),
    }
}

fn limits(limits: &Limits) -> String {
    let shown = |money: cauri_domain::money::Money| format!("{} {}", amount(money.minor().into(), money.currency()), money.currency());
    match (limits.floor, limits.ceiling) {
        (None, None) => "none".to_owned(),
        (Some(floor), None) => format!("floor {}", shown(floor)),
        (None, Some(ceiling)) => format!("ceiling {}", shown(ceiling)),
        (Some(floor), Some(ceiling)) => format!("floor {}, ceiling {}", shown(floor), shown(ceiling)),
    }
}
