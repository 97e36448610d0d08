//! The writer: feeds the read models and commits rows and checkpoints, of all of them, in one transaction.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use cauri_event_schemas::Position;
use cauri_event_store::files::{FileIdentity, beside};
use cauri_event_store::{Corruption, EventStore, Hash, NewerRecord, StoreError};
use crossbeam_channel::{Receiver, Select, Sender, TryRecvError};
use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::progress::Shared;
use super::reader::{Chunk, Message, Reader};
use super::{RunnerConfig, RunnerState, metering};
use crate::catalog::{self, in_transaction};
use crate::digest::digest;
use crate::feed::{Feed, Member};
use crate::projector::{Generation, ModelError, ReadModel, Unprojectable};
use crate::read::OpenError;

/// How often the lag is measured while nothing happens.
const TICK: Duration = Duration::from_secs(1);
/// After so many ticks without work the memory of the page cache is given back.
const IDLE_TICKS: u32 = 5;
/// Transactions after which the log is copied into the database as soon as nothing waits; a large one counts for as
/// many as it has events in hundreds. Copying costs two fsyncs, so it is not done after each.
const CHECKPOINT_AFTER: usize = 256;
/// Bytes of the log above which it is cut as soon as nothing waits, where space is not short.
const LARGE_LOG: u64 = 64 << 20;
/// How often the writer looks at the free space.
const LOOK: Duration = Duration::from_millis(100);
/// How long it waits for space before it looks again.
const SPACE_RETRY: Duration = Duration::from_millis(500);
/// What an event takes in the log, about.
const LOGGED_AN_EVENT: u64 = 1 << 10;
/// How often in a row the first lane goes first.
const PREFERRED: usize = 4;
/// How long the writer waits after a failure, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

/// What others ask of the writer.
pub(super) enum Control {
    /// Build this read model anew.
    Rebuild(&'static str),
    /// A generation's digest is known, or could not be computed.
    Digested { name: &'static str, generation: Generation, digest: Option<(Position, Hash)> },
    /// Look whether to stop.
    Wake,
}

/// Why a session ended before it was asked to.
enum Ended {
    Failure(String),
    Newer(NewerRecord),
    Corrupt(Corruption),
}

impl From<rusqlite::Error> for Ended {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        match error.sqlite_error_code() {
            Some(DatabaseCorrupt | NotADatabase) => Self::Failure(format!(
                "the read store is damaged ({error}): stop, delete it with its -wal and -shm files, start; that only costs a rebuild"
            )),
            _ => Self::Failure(format!("the read store: {error}")),
        }
    }
}

impl From<StoreError> for Ended {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Corruption(corruption) => Self::Corrupt(corruption),
            StoreError::Failure(failure) => Self::Failure(format!("the journal: {failure}")),
            StoreError::Newer(newer) => Self::Newer(newer),
        }
    }
}

/// Opens the read store and brings its catalog to this program and this journal.
///
/// Read models of another history of the journal are never shown: they are dropped and built anew, and why is said.
pub(super) fn open(
    store: &dyn EventStore,
    path: &Path,
    config: &RunnerConfig,
    models: &'static [ReadModel],
) -> Result<(Connection, Option<String>), OpenError> {
    let db = catalog::open_for_writing(path, store.name(), config.cache_mib)?;
    let other_history = compare_histories(store, path, &db)?;
    if let Some(reason) = &other_history {
        tracing::error!(path = %path.display(), reason, "the read models are of another history of the journal; they are built anew");
        metrics::counter!("cauri_projection_other_history_total").increment(1);
        in_transaction(&db, |db| catalog::begin_anew(db, models)).map_err(|error| catalog::judge(path, &error))?;
    }
    catalog::prepare(&db, path, models)?;
    Ok((db, other_history))
}

/// Why the read models are of another history of the journal, if they are.
///
/// With every write the root is kept at the furthest position that any of them shows: the journal must have it there.
fn compare_histories(store: &dyn EventStore, path: &Path, db: &Connection) -> Result<Option<String>, OpenError> {
    let failure = |error: StoreError| OpenError::Failure { path: path.to_owned(), reason: format!("the journal: {error}") };
    let (last, seen) = catalog::history(db).map_err(|error| catalog::judge(path, &error))?;
    let head = store.head().map_err(failure)?;
    let (position, ours) = match seen {
        Some((position, _)) if position < last => (last, None),
        Some((position, root)) => (position, Some(root)),
        None => (last, None),
    };
    if position == Position::ZERO {
        return Ok(None);
    }
    if position > head.position {
        return Ok(Some(format!("they are at position {position}, the journal ends at {}", head.position)));
    }
    let Some(ours) = ours else {
        // As earlier programs left them where they were stopped in the middle of a batch.
        return Ok(Some(format!("they are at position {position} and keep no root of the journal there")));
    };
    match store.root_at(position).map_err(failure)? {
        Some(theirs) if theirs == ours => Ok(None),
        Some(theirs) => Ok(Some(format!("they saw the root {ours} at position {position}, the journal has {theirs}"))),
        None => Ok(Some(format!("they are at position {position}, the journal ends before it"))),
    }
}

/// Some read models at about the same position, and the reader that serves them.
struct Lane {
    feed: Feed,
    reader: Reader,
    /// Everything up to here was written.
    position: Position,
    /// End of what waits, and the journal's root there.
    end: (Position, Option<Hash>),
}

pub(super) struct Writer {
    shared: Arc<Shared>,
    path: PathBuf,
    config: RunnerConfig,
    control: Sender<Control>,
    inbox: Receiver<Control>,
}

impl Writer {
    pub(super) fn new(
        shared: Arc<Shared>,
        path: PathBuf,
        config: RunnerConfig,
        control: Sender<Control>,
        inbox: Receiver<Control>,
    ) -> Self {
        Self { shared, path, config, control, inbox }
    }

    /// [`Writer::run`]; whoever waits for read models is told if this program is at fault.
    pub(super) fn run_guarded(self, db: Connection) {
        let shared = self.shared.clone();
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.run(db))).is_err() {
            tracing::error!("the projections' thread panicked: read models stay where they are until the next start");
            shared.set_state(RunnerState::Stopped);
        }
    }

    /// Works until it is stopped; after a failure it begins again at the last checkpoints.
    fn run(self, db: Connection) {
        let mut opened = Some(db);
        let mut retry = RETRY.0;
        while !self.shared.is_stopping() {
            let db = match opened.take() {
                Some(db) => Ok(db),
                None => open(&**self.shared.store(), &self.path, &self.config, self.shared.models())
                    .map(|(db, other_history)| {
                        self.shared.note_other_history(other_history);
                        db
                    })
                    .map_err(|error| Ended::Failure(error.to_string())),
            };
            let began = Instant::now();
            let mut threads = Vec::new();
            let ended = db.and_then(|db| Session::begin(&self, &db, &mut threads)?.work());
            // Readers hold the store: whoever stopped the runner may want to open it again.
            threads.into_iter().for_each(|thread: JoinHandle<()>| {
                let _ = thread.join();
            });
            match ended {
                Ok(()) => break,
                Err(Ended::Corrupt(corruption)) => {
                    tracing::error!(position = %corruption.position, what = corruption.what, "the journal is corrupt: every read model is stopped");
                    metrics::gauge!("cauri_projection_stopped", "read_model" => "all").set(1.0);
                    self.shared.set_state(RunnerState::Corrupt { position: corruption.position, reason: corruption.what });
                    return;
                }
                Err(Ended::Newer(NewerRecord { position, what })) => {
                    tracing::error!(%position, what, "a newer program wrote to the journal: the read models wait before it");
                    self.shared.set_state(RunnerState::Newer { position, reason: what });
                    self.back_off(&mut retry, began);
                }
                Err(Ended::Failure(reason)) => {
                    tracing::error!(reason, "the read models cannot be kept current; it is tried again");
                    self.shared.set_state(RunnerState::Retrying { reason });
                    self.back_off(&mut retry, began);
                }
            }
        }
        self.shared.set_state(RunnerState::Stopped);
    }

    /// Waits after a session that began then; longer each time, unless it went well for a while.
    fn back_off(&self, retry: &mut Duration, began: Instant) {
        if began.elapsed() > RETRY.1 {
            *retry = RETRY.0;
        }
        self.pause(*retry);
        *retry = (*retry * 2).min(RETRY.1);
    }

    /// Bytes that derived data may take; `None` where nobody says.
    fn free_space(&self) -> Option<u64> {
        self.config.space.as_ref().and_then(|space| space.beyond_reserve().unwrap_or(Some(0)))
    }

    fn pause(&self, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until && !self.shared.is_stopping() {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// The work between two failures.
struct Session<'a> {
    writer: &'a Writer,
    db: &'a Connection,
    /// The first serves what is nearest to the head; read models that caught up with it join it.
    lanes: Vec<Lane>,
    threads: &'a mut Vec<JoinHandle<()>>,
    /// The head when it began: what is built for the first time answers once it is there.
    goal: Position,
    /// How often in a row the first lane was asked first.
    preferred: usize,
    /// Transactions in the log that may not be in the database.
    logged: usize,
    /// Ticks in a row at which there was nothing to do.
    idle: u32,
    /// The furthest position that was written, and the journal's root there.
    written: Option<(Position, Hash)>,
    /// When the journal was last asked whether it still has that root.
    compared: Instant,
    /// Bytes that the log may have, and when the free space was last looked at.
    log: LogBound,
    /// Which file was opened: what is written to one that was removed is lost.
    identity: Option<FileIdentity>,
    /// Tells threads that compute digests to leave off.
    ended: Arc<AtomicBool>,
}

struct LogBound {
    bytes: u64,
    looked_at: Option<Instant>,
}

impl Drop for Session<'_> {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::SeqCst);
    }
}

impl<'a> Session<'a> {
    fn begin(writer: &'a Writer, db: &'a Connection, threads: &'a mut Vec<JoinHandle<()>>) -> Result<Self, Ended> {
        let log = LogBound { bytes: catalog::bound_log(db, writer.free_space())?, looked_at: None };
        let mut session = Self {
            writer,
            db,
            lanes: Vec::new(),
            threads,
            goal: writer.shared.head(),
            preferred: 0,
            logged: 0,
            idle: 0,
            written: catalog::seen(db)?,
            compared: Instant::now(),
            log,
            identity: FileIdentity::of(&writer.path).ok(),
            ended: Arc::default(),
        };
        let mut groups: Vec<(Position, Vec<Member>)> = Vec::new();
        for row in catalog::rows(db, writer.shared.models())? {
            let member = Member::load(db, &row)?;
            match groups.iter_mut().find(|(position, _)| *position == row.position) {
                Some((_, members)) => members.push(member),
                None => groups.push((row.position, vec![member])),
            }
        }
        groups.sort_by_key(|(position, _)| std::cmp::Reverse(*position));
        for (position, members) in groups {
            session.open_lane(position, members)?;
        }
        session.show()?;
        Ok(session)
    }

    fn open_lane(&mut self, position: Position, members: Vec<Member>) -> Result<(), Ended> {
        let store = self.writer.shared.store().clone();
        let started = Reader::start(store, position, self.writer.config.read_ahead);
        let (reader, thread) = started.map_err(|error| Ended::Failure(format!("no thread for a reader: {error}")))?;
        self.threads.push(thread);
        self.lanes.push(Lane { feed: Feed::of(members), reader, position, end: (position, None) });
        Ok(())
    }

    fn work(mut self) -> Result<(), Ended> {
        while !self.writer.shared.is_stopping() {
            while let Ok(control) = self.writer.inbox.try_recv() {
                self.obey(control)?;
            }
            self.look_after_the_disk()?;
            match self.next_message()? {
                Some((index, message)) => self.take(index, message)?,
                None => self.rest()?,
            }
        }
        Ok(())
    }

    /// Ten times a second: bounds the log by what is free, waits while that is reserved for the journal, and ends the session
    /// if the file is not the one at its path any more.
    fn look_after_the_disk(&mut self) -> Result<(), Ended> {
        if self.log.looked_at.is_some_and(|at| at.elapsed() < LOOK) {
            return Ok(());
        }
        self.log.looked_at = Some(Instant::now());
        if self.identity.is_some() && FileIdentity::of(&self.writer.path).ok() != self.identity {
            // By its name the log may be another file's by now.
            self.db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
            return Err(Ended::Failure("the read store was removed or replaced while it was open".into()));
        }
        let log = self.log_bytes();
        metering::log_bytes(log);
        let Some(space) = &self.writer.config.space else { return Ok(()) };
        let mut is_paused = false;
        let beyond_reserve = loop {
            match space.beyond_reserve() {
                Ok(beyond) => break beyond,
                Err(_) if self.writer.shared.is_stopping() => return Ok(()),
                Err(shortage) => {
                    if !is_paused {
                        tracing::warn!(%shortage, "the read models are paused");
                        metering::paused(true);
                        is_paused = true;
                        // What the log takes twice is given back.
                        catalog::cut_log(self.db)?;
                        continue;
                    }
                    self.writer.shared.set_state(RunnerState::Paused { reason: shortage.to_string() });
                    self.writer.pause(SPACE_RETRY);
                }
            }
        };
        if is_paused {
            tracing::info!("the read models go on");
            metering::paused(false);
            self.show()?;
        }
        self.log.bytes = catalog::bound_log(self.db, beyond_reserve)?;
        if log > self.log.bytes {
            catalog::cut_log(self.db)?;
            self.logged = 0;
        }
        Ok(())
    }

    fn log_bytes(&self) -> u64 {
        std::fs::metadata(beside(&self.writer.path, "-wal")).map_or(0, |log| log.len())
    }

    /// What is ready to be taken. What answers queries goes first, but a rebuild gets its turn beside a busy journal.
    fn next_message(&mut self) -> Result<Option<(usize, Message)>, Ended> {
        let receive = |(index, lane): (usize, &Lane)| match lane.reader.messages().try_recv() {
            Ok(message) => Some(Ok((index, message))),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Err(Ended::Failure("a reader of the journal ended without a word".into()))),
        };
        let mut lanes = self.lanes.iter().enumerate();
        let others_turn = self.preferred >= PREFERRED;
        let ready = if others_turn { lanes.rev().find_map(receive) } else { lanes.find_map(receive) };
        self.preferred = if others_turn { 0 } else { self.preferred + 1 };
        ready.transpose()
    }

    /// Nothing waits: tidy up, then sleep until something does.
    fn rest(&mut self) -> Result<(), Ended> {
        // A rebuild that had caught up before a restart, or of an empty journal, gets no events to do it after.
        self.settle()?;
        if self.logged >= CHECKPOINT_AFTER {
            self.checkpoint()?;
        }
        let mut select = Select::new();
        select.recv(&self.writer.inbox);
        for lane in &self.lanes {
            select.recv(lane.reader.messages());
        }
        let woken = select.ready_timeout(TICK).is_ok();
        self.idle = if woken { 0 } else { self.idle + 1 };
        if self.idle == IDLE_TICKS {
            // The cache is as large as a rebuild wants it; nobody needs it now.
            self.db.execute_batch("PRAGMA shrink_memory")?;
        }
        if !woken {
            self.measure();
            // More was announced, but does not come: what is there is shown.
            for index in 0..self.lanes.len() {
                self.write(index)?;
            }
            self.join_lanes()?;
            if self.log_bytes() > LARGE_LOG {
                catalog::cut_log(self.db)?;
                self.logged = 0;
            } else if self.logged > 0 {
                self.checkpoint()?;
            }
        }
        Ok(())
    }

    /// Copies the log into the database without waiting for anybody.
    fn checkpoint(&mut self) -> Result<(), Ended> {
        self.logged = 0;
        self.db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
        Ok(())
    }

    fn take(&mut self, index: usize, message: Message) -> Result<(), Ended> {
        match message {
            Message::Chunk(Chunk { events, last, root, more }) => {
                let lane = &mut self.lanes[index];
                lane.end = (last, root);
                lane.feed.stage(events);
                let (waiting, limit) = (self.lanes[index].feed.waiting(), self.limit(index));
                // Where a batch ends its root is known; the rest of a batch comes soon.
                if !more || (waiting >= limit && (root.is_some() || waiting >= 2 * limit)) {
                    self.write(index)?;
                    self.join_lanes()?;
                    self.settle()?;
                }
                Ok(())
            }
            Message::Newer(newer) => {
                // Nothing is wrong with it, so nothing is noted in the read store: a newer program goes on from here.
                self.write(index)?;
                // What is built for the first time answers as far as this program understands the journal.
                self.goal = self.goal.min(Position::new(newer.position.get() - 1));
                self.join_lanes()?;
                self.settle()?;
                Err(Ended::Newer(newer))
            }
            Message::Corrupt(corruption) => {
                // What stands before it is sound.
                self.write(index)?;
                catalog::stop_all(self.db, corruption.position, &format!("the journal is corrupt: {}", corruption.what))?;
                self.show()?;
                Err(Ended::Corrupt(corruption))
            }
        }
    }

    /// How many events one transaction of a lane takes.
    fn limit(&self, index: usize) -> usize {
        let beside_live = index > 0 && self.lanes[0].feed.members.iter().any(|member| member.live);
        let config = &self.writer.config;
        let most = if beside_live { config.max_batch_beside_live.min(config.max_batch) } else { config.max_batch };
        // On a small disk one transaction must not take what is free.
        most.min(usize::try_from(self.log.bytes / LOGGED_AN_EVENT).unwrap_or(most))
    }

    /// Writes what waits in a lane: rows, checkpoints, history, in one transaction.
    fn write(&mut self, index: usize) -> Result<(), Ended> {
        let began = Instant::now();
        if self.lanes[index].feed.waiting() == 0 {
            return Ok(());
        }
        self.compare_with_journal()?;
        let head = self.writer.shared.head();
        let seen = self.seen(index)?;
        let lane = &mut self.lanes[index];
        let before: Vec<(Position, bool)> = lane.feed.members.iter().map(|member| (member.position, member.is_running())).collect();
        let written = in_transaction(self.db, |db| -> Result<_, Ended> {
            let Some(written) = lane.feed.write(db)? else { return Ok(None) };
            for (member, (from, was_running)) in lane.feed.members.iter().zip(&before) {
                if member.position == *from && member.is_running() == *was_running {
                    continue;
                }
                let (model, generation) = (&member.model, member.generation);
                let stopped = member.stopped.as_ref();
                if !catalog::advance(db, model, generation, *from, member.position, member.recorded_at, stopped)? {
                    return Err(Ended::Failure("somebody else writes the same read store".into()));
                }
            }
            if index == 0 || seen.is_some() {
                catalog::set_history(db, seen, head)?;
            }
            Ok(Some(written))
        })?;
        let Some(written) = written else { return Ok(()) };
        self.written = seen.or(self.written);
        lane.reader.give_back(lane.feed.release());
        lane.position = written.last;
        self.logged += 1 + written.events / 100;
        self.show()?;
        metering::committed(written.events, began.elapsed());
        for (read_model, Unprojectable { position, reason }) in written.stopped {
            tracing::error!(read_model, %position, reason, "a read model is stopped before an event that it cannot project");
        }
        Ok(())
    }

    /// The end of what waits in a lane with the journal's root there, where that is the furthest position so far.
    fn seen(&self, index: usize) -> Result<Option<(Position, Hash)>, Ended> {
        let (end, root) = self.lanes[index].end;
        if self.written.is_some_and(|(position, _)| end < position) {
            return Ok(None);
        }
        let root = match root {
            Some(root) => Some(root),
            None => self.writer.shared.store().root_at(end)?,
        };
        match root {
            Some(root) => Ok(Some((end, root))),
            None => Err(Ended::Failure(format!("the journal ends before {end}, which it gave before: it is not the same any more"))),
        }
    }

    /// Now and then, whether the journal still has what was written: another may have been put in its place.
    fn compare_with_journal(&mut self) -> Result<(), Ended> {
        let Some((position, ours)) = self.written.filter(|_| self.compared.elapsed() >= TICK) else { return Ok(()) };
        self.compared = Instant::now();
        match self.writer.shared.store().root_at(position)? {
            Some(theirs) if theirs == ours => Ok(()),
            // The next session compares again, and begins anew.
            _ => Err(Ended::Failure(format!("the journal has another root at {position} than before: it is not the same any more"))),
        }
    }

    /// Read models at least as far as the first lane's go on with it.
    fn join_lanes(&mut self) -> Result<(), Ended> {
        let mut index = 1;
        while index < self.lanes.len() {
            let lane = &self.lanes[index];
            if lane.feed.is_running() && lane.position < self.lanes[0].position {
                index += 1;
                continue;
            }
            let lane = self.lanes.remove(index);
            let waiting = lane.feed.waiting() > 0;
            for mut member in lane.feed.members {
                if waiting {
                    // It was staged but not written; the first lane reads it again.
                    member.reload(self.db)?;
                }
                self.lanes[0].feed.join(member);
            }
        }
        Ok(())
    }

    /// Completes what is being built and has caught up.
    fn settle(&mut self) -> Result<(), Ended> {
        let first = &self.lanes[0];
        if first.feed.members.iter().all(|member| member.live || member.digesting) {
            return Ok(());
        }
        // Beside live read models it has caught up when it is where they are.
        let beside_live = first.feed.members.iter().any(|member| member.live && member.is_running());
        if !beside_live && first.position < self.goal {
            return Ok(());
        }
        let (mut index, mut changed) = (0, false);
        while index < self.lanes[0].feed.members.len() {
            let member = &self.lanes[0].feed.members[index];
            let name = member.model.name;
            let replaces = self.lanes.iter().flat_map(|lane| &lane.feed.members).any(|other| other.live && other.model.name == name);
            // One that is stopped answers as of its position only where nothing better does.
            let wanted = !member.live && !member.digesting && (member.is_running() || !replaces);
            changed |= wanted;
            if wanted && !self.complete(index, replaces)? {
                continue;
            }
            index += 1;
        }
        if changed { self.show() } else { Ok(()) }
    }

    /// Completes one read model of the first lane: it becomes live, or its digest is computed first where it replaces
    /// another. False if it cannot be completed: then it is built again, the slow way, and its place is empty.
    fn complete(&mut self, index: usize, replaces: bool) -> Result<bool, Ended> {
        let member = &mut self.lanes[0].feed.members[index];
        let (model, generation) = (member.model, member.generation);
        if !member.completed {
            let completed = in_transaction(self.db, |db| -> Result<(), ModelError> {
                member.complete(db)?;
                Ok(catalog::completed(db, &model, generation, !replaces)?)
            });
            if let Err(error) = completed {
                let error = error.unless_failure()?;
                tracing::warn!(read_model = model.name, %error, "a rebuild contradicts itself; it is made again event by event, to find where");
                self.lanes[0].feed.members.remove(index);
                self.start_over(&model, generation)?;
                return Ok(false);
            }
            member.set_completed();
        } else if !replaces {
            in_transaction(self.db, |db| catalog::completed(db, &model, generation, true))?;
        }
        self.logged += CHECKPOINT_AFTER;
        if replaces {
            member.digesting = true;
            self.compute_digest(model, generation);
        } else {
            member.live = true;
            tracing::info!(read_model = model.name, position = %member.position, "a read model is built and live");
        }
        Ok(true)
    }

    /// Builds a generation again with its indexes from the start, so that an event that breaks one is found at its position.
    fn start_over(&mut self, model: &ReadModel, generation: Generation) -> Result<(), Ended> {
        let again = generation.next();
        let begun = in_transaction(self.db, |db| -> Result<(), ModelError> {
            catalog::forget(db, model, generation)?;
            catalog::begin(db, model, again)?;
            (model.complete)(db, again)?;
            Ok(catalog::completed(db, model, again, false)?)
        });
        begun.map_err(|error| Ended::Failure(error.to_string()))?;
        self.open_generation(model, again)
    }

    fn obey(&mut self, control: Control) -> Result<(), Ended> {
        match control {
            Control::Wake => Ok(()),
            Control::Rebuild(name) => self.rebuild(name),
            Control::Digested { name, generation, digest } => self.switch(name, generation, digest),
        }
    }

    fn rebuild(&mut self, name: &'static str) -> Result<(), Ended> {
        let Some(model) = self.writer.shared.models().iter().find(|model| model.name == name) else { return Ok(()) };
        let rows: Vec<_> = catalog::rows(self.db, std::slice::from_ref(model))?;
        if rows.iter().any(|row| !row.live) {
            tracing::info!(read_model = name, "is being rebuilt already");
            return Ok(());
        }
        let generation = rows.iter().map(|row| row.generation).max().unwrap_or(Generation(0)).next();
        in_transaction(self.db, |db| catalog::begin(db, model, generation))?;
        self.open_generation(model, generation)
    }

    /// A lane from the journal's beginning for a generation that was just begun.
    fn open_generation(&mut self, model: &ReadModel, generation: Generation) -> Result<(), Ended> {
        let rows = catalog::rows(self.db, std::slice::from_ref(model))?;
        if let Some(row) = rows.iter().find(|row| row.generation == generation) {
            let member = Member::load(self.db, row)?;
            self.open_lane(row.position, vec![member])?;
        }
        self.logged += CHECKPOINT_AFTER;
        self.show()?;
        self.join_lanes()
    }

    /// Computes a digest beside the writer: it reads one snapshot, however far the writer goes on meanwhile.
    fn compute_digest(&mut self, model: ReadModel, generation: Generation) {
        let (path, control, ended) = (self.writer.path.clone(), self.writer.control.clone(), self.ended.clone());
        let work = move || {
            let computed = snapshot_digest(&path, &model, generation, &ended);
            if let Err(error) = &computed {
                tracing::warn!(read_model = model.name, %error, "the digest of a rebuild could not be computed; it is tried again");
            }
            let _ = control.send(Control::Digested { name: model.name, generation, digest: computed.ok() });
        };
        match std::thread::Builder::new().name("cauri-digest".into()).spawn(work) {
            Ok(thread) => self.threads.push(thread),
            Err(error) => tracing::error!(%error, "no thread for a digest"),
        }
    }

    /// The digest is known: in one transaction the new generation answers and the old one is forgotten.
    fn switch(&mut self, name: &'static str, generation: Generation, digest: Option<(Position, Hash)>) -> Result<(), Ended> {
        let member = self.lanes.iter_mut().flat_map(|lane| &mut lane.feed.members);
        let Some(member) = member.into_iter().find(|member| member.model.name == name && member.generation == generation) else {
            return Ok(());
        };
        member.digesting = false;
        let Some(digest) = digest else { return Ok(()) };
        let model = member.model;
        in_transaction(self.db, |db| catalog::switch(db, &model, generation, digest))?;
        member.live = true;
        for lane in &mut self.lanes {
            lane.feed.members.retain(|member| member.model.name != name || member.generation == generation);
        }
        // Readers have moved on with the catalog; the old tables are nobody's.
        in_transaction(self.db, |db| catalog::sweep(db, self.writer.shared.models()))?;
        self.logged += CHECKPOINT_AFTER;
        tracing::info!(read_model = name, generation = generation.0, position = %digest.0, digest = %digest.1, "a rebuild has replaced the read model before it");
        self.show()
    }

    fn show(&self) -> Result<(), Ended> {
        self.writer.shared.show(self.db)?;
        self.measure();
        Ok(())
    }

    fn measure(&self) {
        metering::show(&self.writer.shared.status().read_models);
    }
}

fn snapshot_digest(path: &Path, model: &ReadModel, generation: Generation, ended: &AtomicBool) -> Result<(Position, Hash), String> {
    let db = catalog::open_for_reading(path).map_err(|error| error.to_string())?;
    let digested = in_snapshot(&db, || {
        let rows = catalog::rows(&db, std::slice::from_ref(model))?;
        let row = rows.iter().find(|row| row.generation == generation).ok_or(rusqlite::Error::QueryReturnedNoRows)?;
        Ok((row.position, digest(&db, model, generation, &|| ended.load(Ordering::SeqCst))?))
    });
    digested.map_err(|error| error.to_string())
}

fn in_snapshot<T>(db: &Connection, read: impl FnOnce() -> rusqlite::Result<T>) -> rusqlite::Result<T> {
    db.execute_batch("BEGIN")?;
    let done = read();
    db.execute_batch("ROLLBACK")?;
    done
}
