//! One realistic record of each event type of each journal kind. Samples are frozen from these.
//!
//! The payloads are declared beside the events ([`cauri_domain::event::Payload`]). Once frozen, the samples stand for
//! themselves: an example may change, its sample never does.

use std::collections::BTreeSet;
use std::sync::Arc;

use cauri_domain::event::EventSet;
use cauri_domain::kind::Kind;
use cauri_domain::ledger::Ledger;
use cauri_domain::market::Market;
use cauri_domain::{Position, StreamVersion, example};

use crate::fingerprint::Fingerprint;
use crate::record::{Metadata, Recorded};

/// A record as it is stored, with the reason why it is an example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// The event's type.
    pub event_type: &'static str,
    /// The version of its shape.
    pub schema: u32,
    /// `full` where every optional field is there, `minimal` where none is.
    pub case: &'static str,
    /// The record's canonical bytes.
    pub bytes: Vec<u8>,
}

/// Every event type of every kind: once with everything that it can hold and, where that is less, once with nothing
/// optional. The positions are 1, 2, 3 …
pub fn examples() -> Vec<Example> {
    let mut examples = Vec::new();
    add::<Ledger>(&mut examples);
    add::<Market>(&mut examples);
    examples
}

/// Adds the types of a kind that no kind before it has: what may happen to any journal is declared once.
fn add<K: Kind>(examples: &mut Vec<Example>) {
    let known: BTreeSet<&str> = examples.iter().map(|example| example.event_type).collect();
    let mut seen = BTreeSet::new();
    for event in K::Event::examples().into_iter().filter(|event| !known.contains(event.name())) {
        let case = if seen.insert(event.name()) { "full" } else { "minimal" };
        let position = Position::new(examples.len() as u64).next();
        let record = Recorded {
            position,
            stream: K::example_stream(&event),
            version: StreamVersion::ZERO.next(),
            metadata: Arc::new(metadata(case)),
            recorded_at: example::start().saturating_add_micros(1_500 * position.get() as i64),
            event,
        };
        examples.push(Example { event_type: record.event.name(), schema: record.event.schema(), case, bytes: record.to_bytes() });
    }
}

fn metadata(case: &str) -> Metadata {
    let key = example::command();
    let minimal = Metadata {
        actor: example::text("engine"),
        caller: key.caller,
        causation: None,
        command: key.id,
        correlation: None,
        fingerprint: None,
        traceparent: None,
    };
    if case == "minimal" {
        return minimal;
    }
    Metadata {
        actor: example::text("operator:awa-backoffice"),
        causation: Some(example::text("wave:cb_01HX3Q")),
        correlation: Some(example::text("checkout-8841")),
        fingerprint: Some(Fingerprint::version_2([0x5a; 16])),
        traceparent: Some(example::text("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")),
        ..minimal
    }
}
