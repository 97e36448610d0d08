//! One realistic record of each event type: a day of the merchant `awa`. Samples are frozen from these.
//!
//! Once frozen, the samples stand for themselves: an example may change, its sample never does.

use std::sync::Arc;

use cauri_domain::RefusalCode;
use cauri_domain::account::{
    AccountClosed, AccountEvent, AccountFrozen, AccountKind, AccountOpened, AccountReopened, AccountUnfrozen, LimitsChanged,
};
use cauri_domain::command::{CommandEvent, CommandRefused};
use cauri_domain::entry::{
    EntryEvent, EntryHeld, EntryPosted, EntryReversed, HoldExpired, HoldPosted, HoldPostedTransfer, HoldVoided, Transfer,
};
use cauri_domain::ids::{AccountAddress, CommandId, CommandKey, EntryId};
use cauri_domain::journal::{JournalClosed, JournalEvent};
use cauri_domain::limits::Limits;
use cauri_domain::money::{Currency, Money};
use cauri_domain::text::ShortText;
use cauri_domain::time::Timestamp;

use crate::event::Event;
use crate::fingerprint::Fingerprint;
use crate::record::{Metadata, Position, Recorded, StreamId, StreamVersion};

/// A record with the reason why it is an example.
#[derive(Clone, Debug)]
pub struct Example {
    /// `full` where every optional field is there, `minimal` where none is.
    pub case: &'static str,
    /// The record.
    pub record: Recorded,
}

/// Every event type: once with everything that it can hold and, where that is less, once with nothing optional.
pub fn examples() -> Vec<Example> {
    let full = full().into_iter().map(|(stream, version, event)| ("full", stream, version, event));
    let minimal = minimal().into_iter().map(|(stream, version, event)| ("minimal", stream, version, event));
    let recorded = full.chain(minimal).zip(1..).map(|((case, stream, version, event), position)| Example {
        case,
        record: Recorded {
            position: Position::new(position),
            stream,
            version: StreamVersion::new(version),
            event,
            metadata: Arc::new(metadata(case, position)),
            recorded_at: start().saturating_add_micros(1_500 * position as i64),
        },
    });
    recorded.collect()
}

/// Stream, its version, event.
type Happened = (StreamId, u64, Event);

fn full() -> Vec<Happened> {
    let reason = Some(text("Demande de l'autorité n° 17"));
    vec![
        on_account(
            AWA,
            1,
            AccountEvent::Opened(AccountOpened {
                chart_code: Some(text("4191")),
                currency: Currency::XOF,
                kind: AccountKind::Liability,
                limits: limits(),
                metadata: [("country".parse().expect("a key"), text("CI")), ("kyc.level".parse().expect("a key"), text("2"))].into(),
                owner: Some(text("party-7f3a")),
            }),
        ),
        on_account(AWA, 2, AccountEvent::Frozen(AccountFrozen { reason: reason.clone() })),
        on_account(AWA, 3, AccountEvent::Unfrozen(AccountUnfrozen {})),
        on_account(AWA, 4, AccountEvent::LimitsChanged(LimitsChanged { limits: limits() })),
        on_account(AWA, 5, AccountEvent::Closed(AccountClosed { reason: reason.clone(), swept_by: Some(id(5)) })),
        on_account(AWA, 6, AccountEvent::Reopened(AccountReopened {})),
        on_entry(
            1,
            1,
            EntryEvent::Posted(EntryPosted {
                dimensions: [("merchant".parse().expect("a key"), text("awa")), ("provider".parse().expect("a key"), text("wave"))].into(),
                effective_at: start(),
                reference: Some(text("WAVE-2026-03-16/000117")),
                reverses: Some(id(9)),
                transfers: [
                    transfer("providers:wave:receivable", AWA, 9_890, Some("collection")),
                    transfer("providers:wave:receivable", "income:fees:collection", 100, Some("fee 1 %")),
                    transfer("providers:wave:receivable", "liabilities:taxes:taf", 10, Some("TAF 10 %")),
                ]
                .into(),
            }),
        ),
        on_entry(1, 2, EntryEvent::Reversed(EntryReversed { by: id(2), reason: reason.clone() })),
        on_entry(
            3,
            1,
            EntryEvent::Held(EntryHeld {
                dimensions: [("provider".parse().expect("a key"), text("wave"))].into(),
                effective_at: start(),
                expires_at: Some(start().saturating_add_secs(900)),
                reference: Some(text("payout \"P-42\"")),
                transfers: held().into(),
            }),
        ),
        on_entry(
            3,
            2,
            EntryEvent::HoldPosted(HoldPosted {
                effective_at: start().saturating_add_secs(60),
                transfers: held()
                    .map(|Transfer { amount, credit, debit, reason }| HoldPostedTransfer { amount, credit, debit, held: amount, reason })
                    .into(),
            }),
        ),
        on_entry(
            4,
            2,
            EntryEvent::HoldVoided(HoldVoided { effective_at: start().saturating_add_secs(61), reason, transfers: held().into() }),
        ),
        on_entry(6, 2, EntryEvent::HoldExpired(HoldExpired { effective_at: start().saturating_add_secs(900), transfers: held().into() })),
        (
            StreamId::Command(CommandKey::without_caller(command(13))),
            1,
            Event::Command(CommandEvent::Refused(CommandRefused {
                code: RefusalCode::BelowFloor,
                detail: format!("{AWA} has 4840 XOF available and a floor of 0 XOF; it would have -160 XOF"),
                op: text("post_entry"),
                pointer: Some("/transfers/0".into()),
            })),
        ),
        (
            StreamId::Journal(text("ledger")),
            1,
            Event::Journal(JournalEvent::Closed(JournalClosed { reason: Some(text("exercice 2026 clos, suite dans ledger-2027")) })),
        ),
    ]
}

/// Only types that hold less than in [`full`].
fn minimal() -> Vec<Happened> {
    let one = || [transfer(AWA, "banks:ecobank:ringfenced", 1, None)];
    vec![
        on_account(
            "income:fees",
            1,
            AccountEvent::Opened(AccountOpened {
                chart_code: None,
                currency: Currency::EUR,
                kind: AccountKind::Income,
                limits: Limits::default(),
                metadata: Default::default(),
                owner: None,
            }),
        ),
        on_account("income:fees", 2, AccountEvent::Frozen(AccountFrozen { reason: None })),
        on_account("income:fees", 3, AccountEvent::LimitsChanged(LimitsChanged { limits: Limits::default() })),
        on_account("income:fees", 4, AccountEvent::Closed(AccountClosed { reason: None, swept_by: None })),
        on_entry(
            7,
            1,
            EntryEvent::Posted(EntryPosted {
                dimensions: Default::default(),
                effective_at: start().saturating_add_secs(-86_400),
                reference: None,
                reverses: None,
                transfers: one().into(),
            }),
        ),
        on_entry(7, 2, EntryEvent::Reversed(EntryReversed { by: id(8), reason: None })),
        on_entry(
            10,
            1,
            EntryEvent::Held(EntryHeld {
                dimensions: Default::default(),
                effective_at: start(),
                expires_at: None,
                reference: None,
                transfers: one().into(),
            }),
        ),
        on_entry(
            10,
            2,
            EntryEvent::HoldPosted(HoldPosted {
                effective_at: start(),
                transfers: one()
                    .map(|Transfer { amount, credit, debit, .. }| HoldPostedTransfer {
                        amount: Money::zero(amount.currency()),
                        credit,
                        debit,
                        held: amount,
                        reason: None,
                    })
                    .into(),
            }),
        ),
        on_entry(11, 2, EntryEvent::HoldVoided(HoldVoided { effective_at: start(), reason: None, transfers: one().into() })),
        on_entry(12, 2, EntryEvent::HoldExpired(HoldExpired { effective_at: start(), transfers: one().into() })),
        (
            StreamId::Command(CommandKey::without_caller(command(25))),
            1,
            Event::Command(CommandEvent::Refused(CommandRefused {
                code: RefusalCode::HoldNotFound,
                detail: "no entry was written under this id".into(),
                op: text("void_hold"),
                pointer: None,
            })),
        ),
        (StreamId::Journal(text("signals")), 1, Event::Journal(JournalEvent::Closed(JournalClosed { reason: None }))),
    ]
}

const AWA: &str = "merchants:awa:available";

fn on_account(address: &str, version: u64, event: AccountEvent) -> Happened {
    (StreamId::Account(address.parse().expect("an address")), version, Event::Account(event))
}

fn on_entry(number: u128, version: u64, event: EntryEvent) -> Happened {
    (StreamId::Entry(id(number)), version, Event::Entry(event))
}

fn metadata(case: &str, position: u64) -> Metadata {
    let minimal = Metadata {
        actor: text("engine"),
        // The samples were frozen with journal format 1.
        caller: None,
        causation: None,
        command: command(position),
        correlation: None,
        fingerprint: None,
        traceparent: None,
    };
    if case == "minimal" {
        return minimal;
    }
    Metadata {
        actor: text("operator:awa-backoffice"),
        causation: Some(text("wave:cb_01HX3Q")),
        correlation: Some(text("checkout-8841")),
        fingerprint: Some(Fingerprint::version_1([0x5a; 16])),
        traceparent: Some(text("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")),
        ..minimal
    }
}

fn command(position: u64) -> CommandId {
    format!("awa-2026-03-16-{position:06}").parse().expect("a command id")
}

fn limits() -> Limits {
    Limits { ceiling: Some(xof(2_000_000)), floor: Some(xof(-5_000)) }
}

fn held() -> [Transfer; 2] {
    [transfer(AWA, "providers:wave:float", 5_000, Some("payout")), transfer(AWA, "income:fees:payout", 50, Some("fee"))]
}

fn transfer(debit: &str, credit: &str, minor: i64, reason: Option<&str>) -> Transfer {
    let address = |text: &str| -> AccountAddress { text.parse().expect("an address") };
    Transfer { amount: xof(minor), credit: address(credit), debit: address(debit), reason: reason.map(text) }
}

fn xof(minor: i64) -> Money {
    Money::from_minor(minor, Currency::XOF)
}

fn text(text: &str) -> ShortText {
    text.parse().expect("a short text")
}

fn id(number: u128) -> EntryId {
    EntryId::from_u128(0x0190_f1c2_7e4b_7cc3_98c4_dc0c_0c07_0000 | number)
}

fn start() -> Timestamp {
    "2026-03-16T08:00:00Z".parse().expect("an instant")
}
