//! `read_models`: every live read model holds what a replay of the journal gives.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::mpsc::sync_channel;

use cauri_event_schemas::Position;
use cauri_event_schemas::ledger::Recorded;
use cauri_event_store::Corruption;
use cauri_projections::digest::{ModelDigest, digest_of_replay};
use cauri_projections::read::{ReadError, ReadStore};

use super::Check;
use crate::finding::Findings;
use crate::progress::Progress;
use crate::reading::{self, Events, RawBatch};
use crate::source::{Journal, Piece, Source};

/// How many batches of events wait for the replay at most.
const AHEAD: usize = 2;

/// Compares the live read models, or one of them, with a replay up to where they stand. What was compared, in words.
pub(crate) fn check(read_store: &Path, journal: &dyn Journal, only: Option<&str>, show_progress: bool, findings: &mut Findings) -> String {
    let live = match digests(read_store, only) {
        Ok(live) => live,
        Err(why) => {
            findings.add(Check::ReadModels, None, why);
            return "not compared".to_owned();
        }
    };
    let head = journal.tree().map_or(Position::ZERO, |tree| tree.head().position);
    let mut compared = 0;
    for upto in live.iter().map(|model| model.position).collect::<BTreeSet<Position>>() {
        let here = live.iter().filter(|model| model.position == upto);
        if upto > head {
            for model in here {
                let what = format!("{} stands at {upto}, the journal ends at {head}", model.name);
                findings.at(Check::ReadModels, head.next(), what);
            }
            continue;
        }
        let replayed = match replay(journal, upto, show_progress) {
            Ok(replayed) => replayed,
            Err(why) => {
                findings.add(Check::ReadModels, None, why);
                continue;
            }
        };
        for model in here {
            compared += 1;
            compare(model, &replayed, findings);
        }
    }
    let names: Vec<String> = live.iter().map(|model| format!("{} at {}", model.name, model.position)).collect();
    if compared == live.len() { names.join(", ") } else { format!("{compared} of {} compared: {}", live.len(), names.join(", ")) }
}

fn compare(live: &ModelDigest, replayed: &[ModelDigest], findings: &mut Findings) {
    let Some(replay) = replayed.iter().find(|replay| replay.name == live.name) else {
        findings.at(Check::ReadModels, live.position, format!("a replay makes no read model {}", live.name));
        return;
    };
    if let Some((position, reason)) = &live.stopped {
        let as_well = if replay.stopped.is_some() { "; a replay stops there as well" } else { "" };
        findings.at(Check::ReadModels, *position, format!("{} stopped here: {reason}{as_well}", live.name));
    }
    if replay.revision != live.revision {
        let what = format!("{} was built by revision {}, this program replays revision {}", live.name, live.revision, replay.revision);
        findings.at(Check::ReadModels, live.position, what);
    } else if replay.digest != live.digest {
        let what = format!("{} has the digest {} at {}, a replay gives {}", live.name, live.digest, live.position, replay.digest);
        findings.at(Check::ReadModels, live.position, what);
    }
}

/// The digests of all live read models, or of one of them, at one moment.
fn digests(read_store: &Path, only: Option<&str>) -> Result<Vec<ModelDigest>, String> {
    let store = ReadStore::open(read_store).map_err(|error| error.to_string())?;
    let unreadable = |error: ReadError| format!("the read store cannot be read: {error}");
    let moment = store.snapshot().map_err(unreadable)?;
    let statuses = store.projections().map_err(unreadable)?;
    let names: BTreeSet<&str> = statuses.iter().map(|status| status.name).filter(|name| only.is_none_or(|only| only == *name)).collect();
    if let Some(only) = only.filter(|_| names.is_empty()) {
        return Err(format!("there is no read model `{only}`"));
    }
    let digests: Result<Vec<Option<ModelDigest>>, ReadError> = names.into_iter().map(|name| moment.digest(name)).collect();
    Ok(digests.map_err(unreadable)?.into_iter().flatten().collect())
}

/// What every read model must say at a position. Events are decoded on a thread of their own.
fn replay(journal: &dyn Journal, upto: Position, show_progress: bool) -> Result<Vec<ModelDigest>, String> {
    let source = journal.source(Some(upto)).map_err(|failure| failure.to_string())?;
    let progress = if show_progress { Progress::to("read models", Some(upto)) } else { Progress::default() };
    let digests = std::thread::scope(|scope| {
        let (send, receive) = sync_channel::<Result<Vec<Recorded>, Corruption>>(AHEAD);
        scope.spawn(move || {
            let mut source = source;
            while let Some(piece) = source.next() {
                let decoded = match piece {
                    Piece::Batch(raw) => decode(raw),
                    Piece::Unreadable { from, why, .. } => Err(Corruption::new(from, why)),
                };
                if send.send(decoded).is_err() {
                    return;
                }
            }
        });
        let events = receive.into_iter().flat_map(|batch| match batch {
            Ok(events) => {
                progress.at(events.last().map_or(Position::ZERO, |event| event.position));
                events.into_iter().map(Ok).collect()
            }
            Err(corruption) => vec![Err(corruption)],
        });
        digest_of_replay(events, upto).map_err(|error| error.to_string())
    });
    progress.done();
    digests
}

fn decode(raw: RawBatch) -> Result<Vec<Recorded>, Corruption> {
    let first = raw.first;
    let mut events = Vec::with_capacity(raw.last.get().saturating_sub(first.get()) as usize + 1);
    for (line, position) in reading::lines(raw.body).split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).zip(first.get()..) {
        let record = reading::careful_read(line).map_err(|error| Corruption::new(Position::new(position), error.to_string()))?;
        match record.events {
            Events::Ledger(recorded) => events.extend(recorded),
            Events::Market(_) => return Err(Corruption::new(Position::new(position), "it is of a market, which has no read models")),
        }
    }
    Ok(events)
}
