//! `index`: the look-ups by stream and by command lead where the journal says.

use cauri_domain::ids::CommandKey;
use cauri_event_schemas::{Position, StreamVersion};
use cauri_event_store::{EventStore, Lookup, StoreError};

use super::{Check, versions};
use crate::finding::Findings;
use crate::reading::{Fact, ReadBatch};

/// At least so many commands, and so many streams, are looked up where the journal has them, at most twice as
/// many. Each may lead to a batch of its own, and unpacking a batch takes milliseconds.
const SAMPLED: usize = 32;

/// How many streams are read through their look-ups.
const READ: usize = 8;

/// First records of commands and of streams, spread evenly over the journal: every 1st, 2nd, 4th, 8th …, so
/// that the sample is the same in every run over the same journal.
#[derive(Debug, Default)]
pub(crate) struct Sample {
    commands: Spread,
    streams: Spread,
}

#[derive(Debug)]
struct Spread {
    taken: Vec<(String, Position)>,
    every: u64,
    seen: u64,
}

impl Default for Spread {
    fn default() -> Self {
        Self { taken: Vec::new(), every: 1, seen: 0 }
    }
}

impl Spread {
    fn offer(&mut self, position: Position, text: impl FnOnce() -> String) {
        self.seen += 1;
        if !self.seen.is_multiple_of(self.every) {
            return;
        }
        self.taken.push((text(), position));
        if self.taken.len() == 2 * SAMPLED {
            // The 1st goes, the 2nd stays: what stays are the multiples of twice the step.
            let mut index = 0;
            self.taken.retain(|_| {
                index += 1;
                index % 2 == 0
            });
            self.every *= 2;
        }
    }
}

impl Sample {
    /// The first record of a command.
    pub(crate) fn command(&mut self, batch: &ReadBatch, fact: &Fact) {
        self.commands.offer(fact.position, || batch.command(fact));
    }

    /// The first record of a stream.
    pub(crate) fn stream(&mut self, batch: &ReadBatch, fact: &Fact) {
        self.streams.offer(fact.position, || versions::stream(batch, fact));
    }
}

/// Looks the sample up, and ids that nobody ever used. What was compared, in words.
///
/// Streams are read only where their versions were found to be sound.
pub(crate) fn check(store: &dyn EventStore, sample: &Sample, read_streams: bool, findings: &mut Findings) -> Result<String, StoreError> {
    let key = |(id, position): &(String, Position)| Some((id.parse::<CommandKey>().ok()?, Some(*position)));
    let mut keys: Vec<(CommandKey, Option<Position>)> = sample.commands.taken.iter().filter_map(key).collect();
    for id in ["never-used/1", "never-used/2"].into_iter().filter_map(|id| id.parse::<CommandKey>().ok()) {
        if keys.iter().all(|(key, _)| *key != id) {
            keys.push((id, None));
        }
    }
    let commands = keys.iter().map(|(key, position)| (Lookup::Command(key), *position));
    let streams = sample.streams.taken.iter().map(|(name, position)| (Lookup::Stream(name), Some(*position)));
    let mut wanted: Vec<(Lookup<'_>, Option<Position>)> = commands.chain(streams).collect();
    // Neighbours share a batch, which is then unpacked once.
    wanted.sort_by_key(|(_, position)| *position);
    let lookups: Vec<Lookup<'_>> = wanted.iter().map(|(lookup, _)| *lookup).collect();
    let mut found = Vec::with_capacity(lookups.len());
    for some in lookups.chunks(64) {
        found.extend(store.locate(some)?);
    }
    for ((lookup, expected), found) in wanted.iter().zip(found) {
        if found != *expected {
            let told = |position: Option<Position>| position.map_or_else(|| "nowhere".to_owned(), |position| format!("to {position}"));
            let what = format!(
                "the look-up of {} leads {}, the journal has it {}",
                shown(lookup),
                told(found),
                told(*expected).replace("to ", "at ")
            );
            findings.add(Check::Index, expected.or(found), what);
        }
    }
    let mut read = 0;
    for (stream, first) in sample.streams.taken.iter().rev().take(if read_streams { READ } else { 0 }) {
        stream_is_whole(store, stream, *first, findings)?;
        read += 1;
    }
    Ok(format!("{} commands and {} streams looked up, {read} streams read", sample.commands.taken.len(), sample.streams.taken.len()))
}

/// Has a stream read through its look-up the versions 1, 2, 3 …?
fn stream_is_whole(store: &dyn EventStore, stream: &str, first: Position, findings: &mut Findings) -> Result<(), StoreError> {
    let mut next = StreamVersion::ZERO;
    for record in store.read_stream(stream, StreamVersion::ZERO)? {
        let envelope = record.as_record().envelope()?;
        if envelope.version != next.next() || envelope.stream != *stream {
            let what = format!("{stream}, read through its look-up, goes from version {next} to {}", envelope.version);
            findings.at(Check::Index, record.as_record().position(), what);
            return Ok(());
        }
        next = envelope.version;
    }
    if next == StreamVersion::ZERO {
        findings.at(Check::Index, first, format!("{stream}, read through its look-up, is empty"));
    }
    Ok(())
}

fn shown(lookup: &Lookup<'_>) -> String {
    match lookup {
        Lookup::Command(id) => format!("the command {id}"),
        Lookup::Stream(stream) => (*stream).to_owned(),
    }
}
