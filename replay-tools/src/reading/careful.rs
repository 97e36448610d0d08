//! The careful reading: any version of any type, through the same decoder as the engine's.

use std::collections::HashSet;
use std::sync::LazyLock;

use cauri_domain::entry::{self, Effect, EntryEvent, Transfer};
use cauri_domain::event::EventSet;
use cauri_domain::ids::AccountAddress;
use cauri_domain::journal::JournalEvent;
use cauri_domain::kind::{Kind, StreamKey};
use cauri_domain::ledger::Ledger;
use cauri_domain::market::{Market, MarketEvent, MarketStream};
use cauri_event_schemas::ledger::{self, Event, StreamId};
use cauri_event_schemas::record::Envelope;
use cauri_event_schemas::registry::UndecodableEvent;
use cauri_event_schemas::{Position, Recorded};

use super::{Fact, Happening, Motion, Moved, Movement, ReadBatch, Seed, Span, Stream};

/// A record that was understood.
pub(crate) struct CarefulRecord {
    /// The position that the record itself states.
    pub(crate) stated: Position,
    /// The version of the envelope, as stored.
    pub(crate) envelope_version: u32,
    /// The version of the event's shape, as stored.
    pub(crate) schema: u32,
    /// The event, or events, of today.
    pub(crate) events: Events,
}

/// Events of one kind of journal. What may happen in any of them stands among those of a ledger.
pub(crate) enum Events {
    Ledger(Vec<ledger::Recorded>),
    Market(Vec<Recorded<MarketStream, MarketEvent>>),
}

/// What any event says, of whichever kind.
pub(crate) trait Understood {
    /// Its type.
    fn name(&self) -> &'static str;
    /// The version of its shape today.
    fn schema(&self) -> u32;
    /// The name of its stream.
    fn stream(&self) -> String;
    /// What Cauri writes for it in an envelope of this version.
    fn to_bytes_in(&self, envelope_version: u32) -> Vec<u8>;
}

impl<S: StreamKey, E: EventSet> Understood for Recorded<S, E> {
    fn name(&self) -> &'static str {
        self.event.name()
    }

    fn schema(&self) -> u32 {
        self.event.schema()
    }

    fn stream(&self) -> String {
        self.stream.to_string()
    }

    fn to_bytes_in(&self, envelope_version: u32) -> Vec<u8> {
        Recorded::to_bytes_in(self, envelope_version)
    }
}

impl Events {
    /// What each of them says.
    pub(crate) fn understood(&self) -> Vec<&dyn Understood> {
        match self {
            Events::Ledger(events) => events.iter().map(|event| event as &dyn Understood).collect(),
            Events::Market(events) => events.iter().map(|event| event as &dyn Understood).collect(),
        }
    }
}

/// The types that only a market has.
static OF_MARKET: LazyLock<HashSet<&'static str>> = LazyLock::new(|| {
    let of_ledger: HashSet<&str> = <Ledger as Kind>::Event::types().iter().map(|known| known.name).collect();
    <Market as Kind>::Event::types().iter().map(|known| known.name).filter(|name| !of_ledger.contains(name)).collect()
});

/// Reads a record.
pub(crate) fn read(bytes: &[u8]) -> Result<CarefulRecord, UndecodableEvent> {
    let envelope = Envelope::parse(bytes)?;
    let (envelope_version, stated, schema) = (envelope.envelope_version, envelope.position, envelope.schema);
    let events = if OF_MARKET.contains(&*envelope.event_type) {
        Events::Market(envelope.decode::<Market>()?)
    } else {
        Events::Ledger(envelope.decode::<Ledger>()?)
    };
    Ok(CarefulRecord { envelope_version, stated, schema, events })
}

/// Adds the facts of a record, with its texts behind the lines.
pub(super) fn push(batch: &mut ReadBatch, position: Position, record: CarefulRecord, seed: &Seed) {
    match record.events {
        Events::Ledger(events) => push_each(batch, position, events, seed, ledger_stream, |batch, event| match event {
            Event::Account(event) => Happening::Account(Box::new(event)),
            Event::Command(_) => Happening::Refused,
            Event::Entry(event) => entry(batch, &event, seed),
            Event::Journal(JournalEvent::Closed(_)) => Happening::JournalClosed,
            event => Happening::Other(Box::new(event)),
        }),
        Events::Market(events) => push_each(batch, position, events, seed, other_stream, |_, event| Happening::Market(Box::new(event))),
    }
}

fn push_each<S, E>(
    batch: &mut ReadBatch,
    position: Position,
    events: Vec<Recorded<S, E>>,
    seed: &Seed,
    stream: impl Fn(&mut ReadBatch, &S, &Seed) -> Stream,
    happening: impl Fn(&mut ReadBatch, E) -> Happening,
) {
    for (part, recorded) in events.into_iter().enumerate() {
        let caller = recorded.metadata.caller.as_ref().map(|caller| keep(batch, caller.as_str(), seed).0);
        let command = keep(batch, recorded.metadata.command.as_str(), seed).0;
        let command_hash = seed.command(caller.map(|caller| caller.of(&batch.arena)), command.of(&batch.arena));
        let stream = stream(batch, &recorded.stream, seed);
        let event = happening(batch, recorded.event);
        batch.facts.push(Fact {
            position,
            version: recorded.version.get(),
            recorded_at: recorded.recorded_at.as_micros(),
            caller,
            command,
            command_hash,
            has_fingerprint: recorded.metadata.fingerprint.is_some(),
            part: part.min(255) as u8,
            stream,
            event,
        });
    }
}

fn ledger_stream(batch: &mut ReadBatch, stream: &StreamId, seed: &Seed) -> Stream {
    match stream {
        StreamId::Account(address) => {
            let (span, hash) = keep(batch, address.as_str(), seed);
            Stream::Account(span, hash)
        }
        StreamId::Command(key) => Stream::Command(keep(batch, &key.to_string(), seed).0),
        StreamId::Entry(id) => Stream::Entry(*id.as_bytes(), seed.hash(id.as_bytes())),
        StreamId::Journal(name) => Stream::Journal(keep(batch, name.as_str(), seed).0),
        stream => other_stream(batch, stream, seed),
    }
}

fn other_stream(batch: &mut ReadBatch, stream: &impl StreamKey, seed: &Seed) -> Stream {
    let (span, hash) = keep(batch, &stream.to_string(), seed);
    Stream::Other(span, hash)
}

fn entry(batch: &mut ReadBatch, event: &EntryEvent, seed: &Seed) -> Happening {
    let moved = |motion, effective_at: cauri_domain::time::Timestamp, transfers| Moved {
        motion,
        effective_at: effective_at.as_micros(),
        expires_at: None,
        reverses: None,
        transfers,
    };
    let motion = match event.effect() {
        Effect::Moves(motion) => motion,
        Effect::Reverses(reversed) => return Happening::Reversed { by: *reversed.by.as_bytes() },
        Effect::Notes => return Happening::Noted(event.name()),
    };
    Happening::Moved(match motion {
        entry::Motion::Posted(posted) => Moved {
            reverses: posted.reverses.map(|id| *id.as_bytes()),
            ..moved(Motion::Posted, posted.effective_at, transfers(batch, &posted.transfers, seed))
        },
        entry::Motion::Held(held) => Moved {
            expires_at: held.expires_at.map(|at| at.as_micros()),
            ..moved(Motion::Held, held.effective_at, transfers(batch, &held.transfers, seed))
        },
        entry::Motion::HoldVoided(voided) => moved(Motion::HoldVoided, voided.effective_at, transfers(batch, &voided.transfers, seed)),
        entry::Motion::HoldExpired(expired) => moved(Motion::HoldExpired, expired.effective_at, transfers(batch, &expired.transfers, seed)),
        entry::Motion::HoldPosted(posted) => {
            let first = batch.movements.len();
            for transfer in posted.transfers.iter() {
                let movement = Movement {
                    debit: account(batch, &transfer.debit, seed),
                    credit: account(batch, &transfer.credit, seed),
                    minor: transfer.amount.minor(),
                    // No hold has -1: two currencies in one posting never fit what was held.
                    held: if transfer.held.currency() == transfer.amount.currency() { transfer.held.minor() } else { -1 },
                    currency: transfer.amount.currency(),
                };
                batch.movements.push(movement);
            }
            moved(Motion::HoldPosted, posted.effective_at, first..batch.movements.len())
        }
    })
}

fn transfers(batch: &mut ReadBatch, transfers: &[Transfer], seed: &Seed) -> std::ops::Range<usize> {
    let first = batch.movements.len();
    for transfer in transfers {
        let movement = Movement {
            debit: account(batch, &transfer.debit, seed),
            credit: account(batch, &transfer.credit, seed),
            minor: transfer.amount.minor(),
            held: transfer.amount.minor(),
            currency: transfer.amount.currency(),
        };
        batch.movements.push(movement);
    }
    first..batch.movements.len()
}

fn account(batch: &mut ReadBatch, address: &AccountAddress, seed: &Seed) -> (Span, u64) {
    keep(batch, address.as_str(), seed)
}

/// Puts a text behind the lines, where spans can point to it.
fn keep(batch: &mut ReadBatch, text: &str, seed: &Seed) -> (Span, u64) {
    let start = batch.arena.len();
    batch.arena.extend_from_slice(text.as_bytes());
    (Span::new(start..start + text.len()), seed.hash(text.as_bytes()))
}
