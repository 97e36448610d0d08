//! Feeding read models with events: the same way for the runner and for a replay.
//!
//! Events are staged as they come and written together. A read model that fails at an event is rolled back to its
//! checkpoint, fed again one position at a time, and stopped exactly before the event; the others never notice.

use std::panic::{AssertUnwindSafe, catch_unwind};

use cauri_domain::time::Timestamp;
use cauri_event_schemas::Position;
use cauri_event_schemas::ledger::Recorded;
use rusqlite::Connection;

use crate::catalog::CatalogRow;
use crate::projector::{AnyProjector, Generation, ModelError, ReadModel, Unprojectable};

/// Events that every read model of a feed looks at before the next ones are touched: what fits a cache.
const SLICE: usize = 256;

/// One generation of one read model with what it knows of earlier events.
pub(crate) struct Member {
    pub(crate) model: ReadModel,
    pub(crate) generation: Generation,
    /// It shows everything up to here.
    pub(crate) position: Position,
    /// When the event there was recorded.
    pub(crate) recorded_at: Option<Timestamp>,
    pub(crate) completed: bool,
    pub(crate) live: bool,
    /// Its digest is being computed, so that it can become live.
    pub(crate) digesting: bool,
    /// The event that it cannot go beyond, until the next start.
    pub(crate) stopped: Option<Unprojectable>,
    projector: Option<Box<dyn AnyProjector>>,
    /// An event that was staged failed; `write` finds out which and what goes before.
    spoilt: bool,
}

impl Member {
    /// A read model at its checkpoint.
    pub(crate) fn load(db: &Connection, row: &CatalogRow) -> rusqlite::Result<Self> {
        Ok(Self {
            model: row.model,
            generation: row.generation,
            position: row.position,
            recorded_at: row.recorded_at,
            completed: row.completed,
            live: row.live,
            digesting: false,
            stopped: None,
            projector: Some((row.model.load)(db, row.generation, row.completed)?),
            spoilt: false,
        })
    }

    /// A new, empty read model outside of any catalog.
    pub(crate) fn create(db: &Connection, model: ReadModel) -> rusqlite::Result<Self> {
        let generation = Generation(1);
        (model.create)(db, generation)?;
        let projector = Some((model.load)(db, generation, false)?);
        Ok(Self {
            model,
            generation,
            position: Position::ZERO,
            recorded_at: None,
            completed: false,
            live: false,
            digesting: false,
            stopped: None,
            projector,
            spoilt: false,
        })
    }

    /// It goes on.
    pub(crate) fn is_running(&self) -> bool {
        self.stopped.is_none()
    }

    /// Takes up what changed in its tables behind its back.
    pub(crate) fn reload(&mut self, db: &Connection) -> rusqlite::Result<()> {
        self.spoilt = false;
        if self.is_running() {
            self.projector = None;
            self.projector = Some((self.model.load)(db, self.generation, self.completed)?);
        }
        Ok(())
    }

    fn stage(&mut self, events: &[Recorded]) {
        let Some(projector) = self.projector.as_mut().filter(|_| !self.spoilt) else { return };
        let from = events.partition_point(|event| event.position <= self.position);
        let staged = guarded(|| Ok(events[from..].iter().try_for_each(|event| projector.project(event))?));
        self.spoilt = staged.is_err();
    }

    fn write(&mut self, db: &Connection, events: &[Vec<Recorded>]) -> Result<(), rusqlite::Error> {
        let Some(projector) = &mut self.projector else { return Ok(()) };
        let Some(last) = events.last().and_then(|events| events.last()) else { return Ok(()) };
        if !self.spoilt {
            match attempt(db, || projector.write(db, self.generation))? {
                Ok(()) => {
                    if last.position > self.position {
                        self.position = last.position;
                        self.recorded_at = Some(last.recorded_at);
                    }
                    return Ok(());
                }
                Err(error) => tracing::debug!(read_model = self.model.name, %error, "a batch failed; it is tried again by event"),
            }
        }
        self.reload(db)?;
        self.write_by_position(db, events)
    }

    /// Writes one position at a time, up to the event that fails.
    fn write_by_position(&mut self, db: &Connection, events: &[Vec<Recorded>]) -> Result<(), rusqlite::Error> {
        for events in events {
            // What an upcast made several events of is one record: all of it or nothing.
            for same in events.chunk_by(|left, right| left.position == right.position) {
                let Some(projector) = &mut self.projector else { return Ok(()) };
                let Some(first) = same.first().filter(|event| event.position > self.position) else { continue };
                let written = attempt(db, || {
                    same.iter().try_for_each(|event| projector.project(event))?;
                    projector.write(db, self.generation)
                })?;
                match written {
                    Ok(()) => {
                        self.position = first.position;
                        self.recorded_at = Some(first.recorded_at);
                    }
                    Err(error) => {
                        let reason = match error {
                            ModelError::Unprojectable(unprojectable) => unprojectable.reason,
                            ModelError::Sqlite(error) => error.to_string(),
                        };
                        self.stopped = Some(Unprojectable::new(first.position, reason));
                        self.projector = None;
                    }
                }
            }
        }
        Ok(())
    }

    /// Makes the secondary indexes.
    pub(crate) fn complete(&mut self, db: &Connection) -> Result<(), ModelError> {
        (self.model.complete)(db, self.generation)
    }

    /// What was put off is done: from now on it is done at once.
    pub(crate) fn set_completed(&mut self) {
        self.completed = true;
        if let Some(projector) = &mut self.projector {
            projector.set_completed();
        }
    }
}

/// Runs `work` inside a savepoint. The inner error is the read model's own and was taken back; the outer one is a failure.
fn attempt(db: &Connection, work: impl FnOnce() -> Result<(), ModelError>) -> Result<Result<(), ModelError>, rusqlite::Error> {
    db.prepare_cached("SAVEPOINT attempt")?.execute([])?;
    let done = guarded(work).map_err(ModelError::unless_failure);
    match done {
        Ok(()) => {
            db.prepare_cached("RELEASE attempt")?.execute([])?;
            Ok(Ok(()))
        }
        Err(Ok(error)) => {
            db.execute_batch("ROLLBACK TO attempt; RELEASE attempt")?;
            Ok(Err(error))
        }
        Err(Err(failure)) => Err(failure),
    }
}

/// A projector that panics is one that failed: the others go on.
fn guarded(work: impl FnOnce() -> Result<(), ModelError>) -> Result<(), ModelError> {
    // Whatever state a panic leaves behind is thrown away: the read model is loaded again from its tables.
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let message = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        Err(Unprojectable::new(Position::ZERO, format!("the projector panicked: {}", message.unwrap_or("no message"))).into())
    })
}

/// Some read models and the events that wait for them.
#[derive(Default)]
pub(crate) struct Feed {
    pub(crate) members: Vec<Member>,
    events: Vec<Vec<Recorded>>,
    count: usize,
}

/// What one write did.
pub(crate) struct Written {
    /// How many events.
    pub(crate) events: usize,
    /// The last of them.
    pub(crate) last: Position,
    /// Read models that were stopped by it.
    pub(crate) stopped: Vec<(&'static str, Unprojectable)>,
}

impl Feed {
    pub(crate) fn of(members: Vec<Member>) -> Self {
        Self { members, events: Vec::new(), count: 0 }
    }

    /// One more read model, which takes up what waits.
    pub(crate) fn join(&mut self, mut member: Member) {
        self.events.iter().for_each(|events| member.stage(events));
        self.members.push(member);
    }

    /// How many events wait.
    pub(crate) fn waiting(&self) -> usize {
        self.count
    }

    /// Somebody here still goes on.
    pub(crate) fn is_running(&self) -> bool {
        self.members.iter().any(Member::is_running)
    }

    /// Projects events. They are kept until they are written, for the case that one fails.
    pub(crate) fn stage(&mut self, events: Vec<Recorded>) {
        for slice in by_position(&events, SLICE) {
            self.members.iter_mut().for_each(|member| member.stage(slice));
        }
        self.count += events.len();
        self.events.push(events);
    }

    /// Writes what waits. On a failure nothing of the surrounding transaction may be kept.
    pub(crate) fn write(&mut self, db: &Connection) -> rusqlite::Result<Option<Written>> {
        let Some(last) = self.events.last().and_then(|events| events.last()).map(|event| event.position) else { return Ok(None) };
        let mut stopped = Vec::new();
        for member in &mut self.members {
            let was_running = member.is_running();
            member.write(db, &self.events)?;
            if let Some(reason) = member.stopped.as_ref().filter(|_| was_running) {
                stopped.push((member.model.name, reason.clone()));
            }
        }
        Ok(Some(Written { events: self.count, last, stopped }))
    }

    /// What was written is durable: its events are no longer needed. Whoever made them may take them apart.
    pub(crate) fn release(&mut self) -> Vec<Vec<Recorded>> {
        self.count = 0;
        std::mem::take(&mut self.events)
    }
}

/// Slices of about `size` events that do not part events of one position.
fn by_position(events: &[Recorded], size: usize) -> impl Iterator<Item = &[Recorded]> {
    let mut rest = events;
    std::iter::from_fn(move || {
        let mut end = size.min(rest.len());
        while end > 0 && end < rest.len() && rest[end].position == rest[end - 1].position {
            end += 1;
        }
        let (slice, after) = rest.split_at(end);
        rest = after;
        (!slice.is_empty()).then_some(slice)
    })
}
