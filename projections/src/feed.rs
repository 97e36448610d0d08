//! Feeding the read models of a group with events: the same way for the runner and for a replay.
//!
//! Events are staged as they come and written together. Where one of them cannot be projected, everything that waits is taken
//! back and fed again one position at a time, and the group stops exactly before the event.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use cauri_domain::event::EventSet;
use cauri_domain::time::Timestamp;
use cauri_event_schemas::Position;
use cauri_event_schemas::ledger::Recorded;
use hashbrown::HashMap;
use rusqlite::Connection;

use crate::file::Stopped;
use crate::projector::{AnyProjector, Group, ModelError, ReadModel, Unprojectable};

/// Events that every read model of a group looks at before the next ones are touched: what fits a cache.
const SLICE: usize = 256;

/// The read models of a group, at one position, and the events that wait for them.
pub(crate) struct Feed {
    group: &'static Group,
    projectors: Vec<Box<dyn AnyProjector>>,
    interests: Interests,
    completed: bool,
    /// The rows show everything up to here.
    position: Position,
    /// When the event there was recorded.
    recorded_at: Option<Timestamp>,
    /// Why the group does not go on, until the next start.
    stopped: Option<Stopped>,
    events: Vec<Arc<Vec<Recorded>>>,
    waiting: usize,
    /// Something that waits changes rows.
    touched: bool,
    /// An event that was staged failed; `write` finds out which and what goes before.
    spoilt: bool,
}

impl Feed {
    /// The read models of a group at their checkpoint.
    pub(crate) fn load(
        db: &Connection,
        group: &'static Group,
        completed: bool,
        position: Position,
        recorded_at: Option<Timestamp>,
    ) -> rusqlite::Result<Self> {
        Ok(Self {
            group,
            projectors: load(db, group, completed)?,
            interests: Interests::of(group.models),
            completed,
            position,
            recorded_at,
            stopped: None,
            events: Vec::new(),
            waiting: 0,
            touched: false,
            spoilt: false,
        })
    }

    /// The rows show everything up to here.
    pub(crate) fn position(&self) -> Position {
        self.position
    }

    /// When the event there was recorded.
    pub(crate) fn recorded_at(&self) -> Option<Timestamp> {
        self.recorded_at
    }

    /// Why the group does not go on, if so.
    pub(crate) fn stopped(&self) -> Option<&Stopped> {
        self.stopped.as_ref()
    }

    /// How many events wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Whether something that waits changes rows.
    pub(crate) fn changes_rows(&self) -> bool {
        self.touched || self.spoilt
    }

    /// Projects events. They are kept until they are written, for the case that one fails.
    pub(crate) fn stage(&mut self, events: Arc<Vec<Recorded>>) {
        if self.stopped.is_some() {
            return;
        }
        let from = events.partition_point(|event| event.position <= self.position);
        if !self.spoilt {
            let Self { projectors, interests, touched, .. } = self;
            let staged = guarded(|| {
                events[from..].chunks(SLICE).try_for_each(|slice| {
                    let read_by: Vec<u64> = slice.iter().map(|event| interests.in_event(event)).collect();
                    for (index, projector) in projectors.iter_mut().enumerate() {
                        for (event, _) in slice.iter().zip(&read_by).filter(|(_, read_by)| *read_by & (1 << index) != 0) {
                            *touched = true;
                            projector.project(event)?;
                        }
                    }
                    Ok(())
                })
            });
            self.spoilt = staged.is_err();
        }
        self.waiting += events.len() - from;
        self.events.push(events);
    }

    /// Writes what waits, inside a transaction of which nothing may be kept on a failure.
    pub(crate) fn write(&mut self, db: &Connection) -> rusqlite::Result<()> {
        let Some(last) = self.events.last().and_then(|events| events.last()) else { return Ok(()) };
        if !self.spoilt {
            let (position, recorded_at) = (last.position, last.recorded_at);
            let projectors = &mut self.projectors;
            match attempt(db, || projectors.iter_mut().try_for_each(|projector| projector.write(db)))? {
                Ok(()) => {
                    self.advance(position, recorded_at);
                    return Ok(());
                }
                Err(error) => tracing::debug!(group = self.group.name, %error, "a batch failed; it is tried again by event"),
            }
        }
        self.projectors = load(db, self.group, self.completed)?;
        self.spoilt = false;
        self.write_by_position(db)
    }

    fn advance(&mut self, position: Position, recorded_at: Timestamp) {
        if position > self.position {
            self.position = position;
            self.recorded_at = Some(recorded_at);
        }
    }

    /// Writes one position at a time, up to the event that fails.
    fn write_by_position(&mut self, db: &Connection) -> rusqlite::Result<()> {
        for events in std::mem::take(&mut self.events) {
            // What an upcast made several events of is one record: all of it or nothing.
            for same in events.chunk_by(|left, right| left.position == right.position) {
                let Some(first) = same.first().filter(|event| event.position > self.position && self.stopped.is_none()) else { continue };
                let mut at_fault = None;
                let Self { projectors, interests, group, .. } = self;
                let written = attempt(db, || {
                    for ((index, projector), model) in projectors.iter_mut().enumerate().zip(group.models) {
                        at_fault = Some(model.name);
                        same.iter()
                            .filter(|event| interests.in_event(event) & (1 << index) != 0)
                            .try_for_each(|event| projector.project(event))?;
                        projector.write(db)?;
                    }
                    Ok(())
                })?;
                match written {
                    Ok(()) => self.advance(first.position, first.recorded_at),
                    Err(error) => {
                        let reason = match error {
                            ModelError::Unprojectable(unprojectable) => unprojectable.reason,
                            ModelError::Sqlite(error) => error.to_string(),
                        };
                        self.stopped = Some(Stopped { model: at_fault, at: Unprojectable::new(first.position, reason) });
                        self.projectors = Vec::new();
                    }
                }
            }
        }
        Ok(())
    }

    /// The rows are as they were and show what waits as well: nothing of it changes them.
    pub(crate) fn pass_over(&mut self) {
        if let Some((position, recorded_at)) =
            self.events.last().and_then(|events| events.last()).map(|last| (last.position, last.recorded_at))
        {
            self.advance(position, recorded_at);
        }
        drop(self.release());
    }

    /// What was written is durable: its events are no longer needed. Whoever made them may take them apart.
    pub(crate) fn release(&mut self) -> Vec<Arc<Vec<Recorded>>> {
        self.waiting = 0;
        self.touched = false;
        std::mem::take(&mut self.events)
    }

    /// Makes the secondary indexes and does what was put off until then, inside a transaction.
    pub(crate) fn complete(&mut self, db: &Connection) -> Result<(), ModelError> {
        if !self.completed {
            self.group.models.iter().try_for_each(|model| model.complete(db))?;
            self.completed = true;
            if self.stopped.is_none() {
                self.projectors = load(db, self.group, true)?;
            }
        }
        Ok(())
    }
}

fn load(db: &Connection, group: &Group, completed: bool) -> rusqlite::Result<Vec<Box<dyn AnyProjector>>> {
    group.models.iter().map(|model| (model.load)(db, completed)).collect()
}

/// Which read models of a group read which types of event: an event that most ignore costs one look-up for all of them.
struct Interests {
    /// A bit for each read model that reads every type.
    every: u64,
    /// The bits of those that name the type, with those.
    by_type: HashMap<&'static str, u64>,
}

impl Interests {
    fn of(models: &[ReadModel]) -> Self {
        debug_assert!(models.len() <= 64, "a bit for each read model of a group");
        let mut interests = Self { every: 0, by_type: HashMap::new() };
        for (index, model) in models.iter().enumerate() {
            match model.reads {
                crate::Reads::Every => interests.every |= 1 << index,
                crate::Reads::Only(types) => types.iter().for_each(|name| *interests.by_type.entry(*name).or_default() |= 1 << index),
            }
        }
        interests
    }

    fn in_event(&self, recorded: &Recorded) -> u64 {
        if self.by_type.is_empty() {
            return self.every;
        }
        self.every | self.by_type.get(recorded.event.name()).copied().unwrap_or(0)
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
