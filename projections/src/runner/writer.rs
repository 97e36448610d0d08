//! The writer of one generation of a group: feeds its read models and commits rows and checkpoint in one transaction.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use cauri_event_schemas::Position;
use cauri_event_store::files::{FileIdentity, beside};
use cauri_event_store::{Corruption, EventStore, Hash, NewerRecord, StoreError};
use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::progress::{Shared, Shown};
use super::{GroupState, RunnerConfig, metering};
use crate::digest::digest;
use crate::feed::Feed;
use crate::file::{self, Checkpoint, FileState, Stopped, in_transaction};
use crate::projector::{Generation, Group, ModelError, Unprojectable};
use crate::read::OpenError;
use crate::requests;
use crate::tail::{Chunk, End, Follower, Next, Tails};

/// How long a writer sleeps before it looks whether it is still wanted.
const TICK: Duration = Duration::from_millis(100);
/// How often what changed no rows is noted in the file, the lag is measured, and requests for rebuilds are looked for.
const NOTE: Duration = Duration::from_secs(1);
/// After so long without work the memory of the page cache is given back.
const IDLE: Duration = Duration::from_secs(5);
/// A live generation shows what it was given within about this time, in small transactions if need be …
const FRESH: Duration = Duration::from_millis(10);
/// … unless it is more events behind than this: then large ones get it there sooner.
const NEAR: u64 = 10_000;
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
/// How long the writer waits after a failure, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));
/// How much less of a busy processor a build beside a live generation gets (`nice`).
#[cfg(unix)]
const NICENESS: i32 = 10;

/// Why a session ended before it was asked to.
enum Ended {
    /// Something could not be read or written; it is tried again.
    Failure(String),
    /// A newer program wrote what follows.
    Newer(NewerRecord),
    /// The journal contradicts itself.
    Corrupt(Corruption),
    /// The file cannot be gone on with: another is built in its place.
    Useless(Useless),
    /// Another generation answers now.
    Superseded,
    /// A rebuild took the place of the generation before it.
    TookThePlace,
}

/// Why a file cannot be gone on with.
enum Useless {
    /// It is of another history of the journal.
    OtherHistory(String),
    /// SQLite says that it is damaged.
    Damaged(String),
    /// Indexes that were to be made at the end contradict its rows: the next one has them from the beginning, so that the event
    /// that is at fault is found.
    Contradictory(String),
}

impl Ended {
    fn reason(&self) -> String {
        match self {
            Self::Failure(reason) => reason.clone(),
            Self::Newer(newer) => newer.to_string(),
            Self::Corrupt(corruption) => corruption.to_string(),
            Self::Useless(Useless::OtherHistory(reason) | Useless::Damaged(reason) | Useless::Contradictory(reason)) => reason.clone(),
            Self::Superseded | Self::TookThePlace => "another generation answers".to_owned(),
        }
    }
}

impl From<rusqlite::Error> for Ended {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
        match error.sqlite_error_code() {
            Some(DatabaseCorrupt | NotADatabase) => Self::Useless(Useless::Damaged(error.to_string())),
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

impl From<OpenError> for Ended {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Damaged { .. } => Self::Useless(Useless::Damaged(error.to_string())),
            error => Self::Failure(error.to_string()),
        }
    }
}

/// Writes a generation of a group, or the ones that have to be built in its place.
#[derive(Clone)]
pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) tails: Arc<Tails>,
    pub(super) group: usize,
    pub(super) dir: PathBuf,
    pub(super) config: RunnerConfig,
    pub(super) generation: Generation,
    /// All threads that write.
    pub(super) threads: Arc<Mutex<Vec<JoinHandle<()>>>>,
    /// Its indexes are made before its rows.
    pub(super) indexes_first: bool,
}

impl Writer {
    /// Writes on a thread of its own.
    pub(super) fn spawn(self) {
        let (shared, group, generation, threads) = (self.shared.clone(), self.group, self.generation, self.threads.clone());
        match std::thread::Builder::new().name(format!("cauri-{}", self.group().name)).spawn(move || self.run_guarded()) {
            Ok(thread) => {
                let mut threads = threads.lock().unwrap_or_else(PoisonError::into_inner);
                threads.retain(|thread| !thread.is_finished());
                threads.push(thread);
            }
            Err(error) => {
                tracing::error!(%error, "no thread for a writer of read models");
                tell(&shared, group, generation, |shown| shown.state = GroupState::Stopped);
            }
        }
    }

    fn group(&self) -> &'static Group {
        &self.shared.groups()[self.group]
    }

    fn path(&self) -> PathBuf {
        file::path(&self.dir, self.group(), self.generation)
    }

    /// [`Writer::run`]; whoever waits for read models is told if this program is at fault.
    fn run_guarded(mut self) {
        let (shared, group, name) = (self.shared.clone(), self.group, self.group().name);
        let generation = self.generation;
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.run())).is_err() {
            tracing::error!(group = name, %generation, "a writer of read models panicked: they stay where they are until the next start");
            tell(&shared, group, generation, |shown| shown.state = GroupState::Stopped);
        }
    }

    /// Works until it is stopped or not needed any more; after a failure it begins again at the last checkpoint.
    fn run(&mut self) {
        let mut retry = RETRY.0;
        while !self.shared.is_stopping() {
            let began = Instant::now();
            let ended = self.session();
            let name = self.group().name;
            match ended {
                Ok(()) => break,
                Err(Ended::Superseded) => return file::remove(&self.path()),
                // A rebuild has the priority of a rebuild, and a thread does not get a better one again.
                Err(Ended::TookThePlace) => return self.clone().spawn(),
                Err(Ended::Corrupt(Corruption { position, what, .. })) => {
                    tracing::error!(group = name, %position, what, "the journal is corrupt: its read models are stopped");
                    metering::stopped(self.group());
                    self.set_state(GroupState::Corrupt { position, reason: what });
                    return;
                }
                Err(Ended::Newer(NewerRecord { position, what })) => {
                    tracing::error!(group = name, %position, what, "a newer program wrote to the journal: the read models wait before it");
                    self.set_state(GroupState::Newer { position, reason: what });
                    self.back_off(&mut retry, began);
                }
                Err(Ended::Failure(reason)) => {
                    tracing::error!(group = name, reason, "the read models cannot be kept current; it is tried again");
                    self.set_state(GroupState::Retrying { reason });
                    self.back_off(&mut retry, began);
                }
                Err(Ended::Useless(useless)) => {
                    if !self.begin_anew(useless) {
                        return;
                    }
                    self.back_off(&mut retry, began);
                }
            }
        }
        self.set_state(GroupState::Stopped);
    }

    /// Goes on with a new file; false if somebody else builds one already.
    fn begin_anew(&mut self, useless: Useless) -> bool {
        let (name, generation, path) = (self.group().name, self.generation, self.path());
        match &useless {
            Useless::OtherHistory(reason) => {
                tracing::error!(group = name, reason, "the read models are of another history of the journal; they are built anew");
                metrics::counter!("cauri_projection_other_history_total", "group" => name).increment(1);
            }
            Useless::Damaged(reason) => {
                tracing::error!(group = name, reason, path = %path.display(), "the read models are damaged; they are built anew");
                metrics::counter!("cauri_projection_damaged_total", "group" => name).increment(1);
            }
            Useless::Contradictory(reason) => {
                tracing::warn!(group = name, reason, "a rebuild contradicts itself; it is made again event by event, to find where");
            }
        }
        file::remove(&path);
        self.generation = self.shared.next_generation(self.group);
        self.indexes_first = matches!(useless, Useless::Contradictory(_));
        // If it cannot be made, the next session says so.
        let next = self.open().and_then(|db| Ok(file::state(&db, self.group())?)).ok();
        let is_mine = |shown: &Shown| shown.file.generation == generation;
        let mut another_builds = false;
        self.shared.tell(self.group, |progress| {
            if let Useless::OtherHistory(reason) = &useless {
                progress.other_history = Some(reason.clone());
            }
            progress.live.take_if(|live| is_mine(live));
            progress.building.take_if(|building| is_mine(building));
            another_builds = progress.building.is_some();
            if !another_builds {
                progress.building = next.map(Shown::of);
            }
        });
        if another_builds {
            file::remove(&self.path());
        }
        !another_builds
    }

    fn set_state(&self, state: GroupState) {
        tell(&self.shared, self.group, self.generation, |shown| shown.state = state);
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

    /// Builds the group anew beside the generation that answers, unless somebody does.
    pub(super) fn build_beside(&self) {
        let generation = self.shared.next_generation(self.group);
        let name = self.group().name;
        let writer = Self { generation, indexes_first: false, ..self.clone() };
        let state = match writer.open().and_then(|db| Ok(file::state(&db, self.group())?)) {
            Ok(state) => state,
            Err(ended) => return tracing::error!(group = name, reason = ended.reason(), "a rebuild cannot begin"),
        };
        let mut is_mine = false;
        self.shared.tell(self.group, |progress| {
            is_mine = progress.building.is_none();
            progress.building.get_or_insert(Shown::of(state));
        });
        if is_mine {
            tracing::info!(group = name, %generation, "the read models are built anew beside the live ones");
            writer.spawn();
        } else {
            tracing::info!(group = name, "the read models are being rebuilt already");
            file::remove(&writer.path());
        }
    }

    fn open(&self) -> Result<Connection, Ended> {
        let (group, journal, cache_mib) = (self.group(), self.shared.store().name(), self.config.cache_mib);
        Ok(file::open_for_writing(&self.path(), group, self.generation, journal, cache_mib)?)
    }

    fn session(&self) -> Result<(), Ended> {
        let (path, db) = (self.path(), self.open()?);
        let state = file::state(&db, self.group())?;
        if let Some(reason) = other_history(&**self.shared.store(), &state)? {
            return Err(Ended::Useless(Useless::OtherHistory(reason)));
        }
        file::start_again(&db)?;
        if self.indexes_first && !state.completed {
            in_transaction(&db, |db| -> Result<(), ModelError> {
                self.group().models.iter().try_for_each(|model| model.complete(db))?;
                Ok(file::completed(db)?)
            })
            .map_err(|error| Ended::Failure(error.to_string()))?;
        }
        Session::begin(self, path, db)?.work()
    }
}

/// Changes the published status of a generation.
fn tell(shared: &Shared, group: usize, generation: Generation, change: impl FnOnce(&mut Shown)) {
    shared.tell(group, |progress| {
        let shown = progress.live.iter_mut().chain(&mut progress.building).find(|shown| shown.file.generation == generation);
        if let Some(shown) = shown {
            change(shown);
        }
    });
}

/// Why the rows are of another history of the journal, if they are: the journal must have the root there that was written with
/// them.
pub(super) fn other_history(store: &dyn EventStore, state: &FileState) -> Result<Option<String>, StoreError> {
    let position = state.position;
    if position == Position::ZERO {
        return Ok(None);
    }
    let Some(ours) = state.root else {
        return Ok(Some(format!("they are at position {position} and keep no root of the journal there")));
    };
    let head = store.head()?;
    if position > head.position {
        return Ok(Some(format!("they are at position {position}, the journal ends at {}", head.position)));
    }
    Ok(match store.root_at(position)? {
        Some(theirs) if theirs == ours => None,
        Some(theirs) => Some(format!("they saw the root {ours} at position {position}, the journal has {theirs}")),
        None => Some(format!("they are at position {position}, the journal ends before it")),
    })
}

/// The work between two failures.
struct Session<'a> {
    writer: &'a Writer,
    path: PathBuf,
    db: Connection,
    feed: Feed,
    follower: Follower,
    /// End of what waits, and the journal's root there.
    end: (Position, Option<Hash>),
    /// What the file says, with the journal's root there.
    written: (Position, Option<Hash>),
    /// The same of why it goes no further.
    stopped: Option<Stopped>,
    completed: bool,
    live: bool,
    /// The head when it began: what is built for the first time answers once it is there.
    goal: Position,
    /// What the rows said when it had caught up with the live generation, by read model.
    digests: Option<Vec<(&'static str, Position, Hash)>>,
    /// Transactions in the log that may not be in the database.
    logged: usize,
    /// When the first of what waits was given.
    staged: Instant,
    /// When there was last something to do, and whether memory was given back since.
    busy: (Instant, bool),
    /// When what changed no rows was last noted.
    noted: Instant,
    /// When the journal was last asked whether it still has the root that was written.
    compared: Instant,
    /// Bytes that the log may have.
    log_bound: u64,
    /// When the free space was last looked at.
    looked: Option<Instant>,
    /// Which file was opened: what is written to one that was removed is lost.
    identity: Option<FileIdentity>,
}

impl<'a> Session<'a> {
    fn begin(writer: &'a Writer, path: PathBuf, db: Connection) -> Result<Self, Ended> {
        let log_bound = file::bound_log(&db, writer.free_space())?;
        let state = file::state(&db, writer.group())?;
        let feed = Feed::load(&db, writer.group(), state.completed, state.position, state.recorded_at)?;
        let follower = writer.tails.follow(state.position);
        let now = Instant::now();
        let session = Self {
            writer,
            identity: FileIdentity::of(&path).ok(),
            path,
            db,
            feed,
            follower,
            end: (state.position, state.root),
            written: (state.position, state.root),
            stopped: state.stopped,
            completed: state.completed,
            live: state.live,
            goal: writer.shared.head(),
            digests: None,
            logged: 0,
            staged: now,
            busy: (now, false),
            noted: now,
            compared: now,
            log_bound,
            looked: None,
        };
        #[cfg(unix)]
        if !session.live && writer.shared.progress(writer.group).live.is_some() {
            // On Linux it is of a thread.
            if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
                tracing::debug!(%error, "a rebuild has the same priority as everything else");
            }
        }
        session.show()?;
        Ok(session)
    }

    fn work(mut self) -> Result<(), Ended> {
        while !self.writer.shared.is_stopping() {
            self.is_wanted()?;
            self.look_after_the_disk()?;
            match self.follower.next(self.patience()) {
                Next::Chunk(chunk) => self.take(&chunk)?,
                Next::Nothing if self.feed.waiting() > 0 => {
                    self.write()?;
                    self.settle()?;
                }
                Next::Nothing => self.rest()?,
                Next::Ended(end) => return self.end(end),
            }
        }
        // What changed no rows is looked at again after the next start; so much is never much.
        Ok(())
    }

    /// How long what waits may wait for more.
    fn patience(&self) -> Duration {
        if self.feed.waiting() == 0 {
            return TICK;
        }
        let behind = self.writer.shared.head().get().saturating_sub(self.end.0.get());
        match behind {
            0 => Duration::ZERO,
            1..=NEAR if self.live => FRESH.saturating_sub(self.staged.elapsed()),
            _ => TICK,
        }
    }

    /// Ends if another generation answers now.
    fn is_wanted(&self) -> Result<(), Ended> {
        let progress = self.writer.shared.progress(self.writer.group);
        let is_newer = progress.live.as_ref().is_some_and(|live| live.file.generation > self.writer.generation);
        if is_newer { Err(Ended::Superseded) } else { Ok(()) }
    }

    fn take(&mut self, chunk: &Chunk) -> Result<(), Ended> {
        self.busy = (Instant::now(), false);
        self.end = (chunk.last, chunk.root);
        if self.feed.waiting() == 0 {
            self.staged = Instant::now();
        }
        self.feed.stage(chunk.events.clone());
        let (waiting, limit) = (self.feed.waiting(), self.limit());
        // Where a batch ends its root is known; the rest of a batch comes soon.
        let is_full = waiting >= limit && (chunk.root.is_some() || waiting >= 2 * limit);
        if is_full || self.patience().is_zero() {
            self.write()?;
            self.settle()?;
        }
        Ok(())
    }

    fn end(&mut self, end: End) -> Result<(), Ended> {
        // What stands before it is sound.
        self.write()?;
        match end {
            End::Newer(newer) => {
                // What is built for the first time answers as far as this program understands the journal.
                self.goal = self.goal.min(Position::new(newer.position.get() - 1));
                self.settle()?;
                Err(Ended::Newer(newer))
            }
            End::Corrupt(corruption) => {
                self.save(None)?;
                let at = Unprojectable::new(corruption.position, format!("the journal is corrupt: {}", corruption.what));
                self.save(Some(&Stopped { model: None, at }))?;
                self.show()?;
                Err(Ended::Corrupt(corruption))
            }
            End::NoThread(reason) => Err(Ended::Failure(format!("no thread to read the journal: {reason}"))),
        }
    }

    /// How many events one transaction takes.
    fn limit(&self) -> usize {
        let config = &self.writer.config;
        // On a small disk one transaction must not take what is free.
        config.max_batch.min(usize::try_from(self.log_bound / LOGGED_AN_EVENT).unwrap_or(config.max_batch)).max(1)
    }

    /// Writes what waits: rows and checkpoint in one transaction, or only how far the rows are right if nothing changes them.
    fn write(&mut self) -> Result<(), Ended> {
        let began = Instant::now();
        let events = self.feed.waiting();
        if events == 0 {
            return Ok(());
        }
        if !self.feed.changes_rows() {
            self.feed.pass_over();
            let (position, recorded_at) = (self.feed.position(), self.feed.recorded_at());
            tell(&self.writer.shared, self.writer.group, self.writer.generation, |shown| {
                (shown.position, shown.recorded_at) = (position, recorded_at);
            });
            return Ok(());
        }
        self.compare_with_journal()?;
        self.save_with(|db, feed| Ok(feed.write(db)?))?;
        self.follower.give_back(self.feed.release());
        self.logged += 1 + events / 100;
        self.show()?;
        metering::committed(self.writer.group().name, events, began.elapsed());
        if let Some(Stopped { model, at }) = self.feed.stopped() {
            let (group, position, reason) = (self.writer.group().name, at.position, at.reason.as_str());
            tracing::error!(group, read_model = model, %position, reason, "read models are stopped before an event that cannot be projected");
        }
        Ok(())
    }

    /// Notes in the file how far its rows are right, and why they go no further.
    fn save(&mut self, stopped: Option<&Stopped>) -> Result<(), Ended> {
        let stopped = stopped.or(self.feed.stopped());
        if self.feed.position() == self.written.0 && stopped == self.stopped.as_ref() {
            return Ok(());
        }
        let (from, to) = (self.written.0, (self.feed.position(), self.root()?));
        let checkpoint =
            Checkpoint { position: to.0, recorded_at: self.feed.recorded_at(), root: to.1, head: self.writer.shared.head(), stopped };
        if !file::advance(&self.db, from, checkpoint)? {
            return Err(Ended::Failure("somebody else writes the same read store".into()));
        }
        self.written = to;
        self.stopped = stopped.cloned();
        self.logged += 1;
        Ok(())
    }

    /// The same in one transaction with what `work` writes.
    fn save_with(&mut self, work: impl FnOnce(&Connection, &mut Feed) -> Result<(), Ended>) -> Result<(), Ended> {
        self.db.execute_batch("BEGIN IMMEDIATE")?;
        let done = work(&self.db, &mut self.feed).and_then(|()| self.save(None)).and_then(|()| Ok(self.db.execute_batch("COMMIT")?));
        if done.is_err() && !self.db.is_autocommit() {
            // The first error is the one to tell; a failed rollback leaves a transaction that closing takes back.
            let _ = self.db.execute_batch("ROLLBACK");
        }
        done
    }

    /// The journal's root where the rows are.
    fn root(&self) -> Result<Option<Hash>, Ended> {
        let position = self.feed.position();
        match self.end {
            (end, Some(root)) if end == position => Ok(Some(root)),
            _ if position == Position::ZERO => Ok(None),
            _ => match self.writer.shared.store().root_at(position)? {
                Some(root) => Ok(Some(root)),
                None => {
                    Err(Ended::Failure(format!("the journal ends before {position}, which it gave before: it is not the same any more")))
                }
            },
        }
    }

    /// Now and then, whether the journal still has what was written: another may have been put in its place.
    fn compare_with_journal(&mut self) -> Result<(), Ended> {
        let (position, Some(ours)) = self.written else { return Ok(()) };
        if self.compared.elapsed() < NOTE {
            return Ok(());
        }
        self.compared = Instant::now();
        match self.writer.shared.store().root_at(position)? {
            Some(theirs) if theirs == ours => Ok(()),
            // The next session compares again, and begins anew; what was decoded may be of either.
            _ => {
                self.writer.tails.renew();
                Err(Ended::Failure(format!("the journal has another root at {position} than before: it is not the same any more")))
            }
        }
    }

    /// What is being built answers once it has caught up.
    fn settle(&mut self) -> Result<(), Ended> {
        if self.live {
            return Ok(());
        }
        let live = self.writer.shared.progress(self.writer.group).live.as_ref().map(|live| live.position);
        // One that is stopped answers as of its position only where nothing better does.
        let is_stopped = self.feed.stopped().is_some();
        let has_caught_up = match live {
            Some(live) => !is_stopped && self.feed.position() >= live,
            None => is_stopped || self.feed.position() >= self.goal,
        };
        if !has_caught_up {
            return Ok(());
        }
        if !self.completed {
            let made = in_transaction(&self.db, |db| {
                self.feed.complete(db)?;
                file::completed(db).map_err(ModelError::from)
            });
            if let Err(error) = made {
                return Err(Ended::Useless(Useless::Contradictory(error.unless_failure()?.to_string())));
            }
            self.completed = true;
            self.logged += CHECKPOINT_AFTER;
        }
        if live.is_some() && self.digests.is_none() {
            // The live one went on meanwhile: it takes the place when it has caught up again.
            self.digests = Some(self.compute_digests()?);
            return Ok(());
        }
        self.save(None)?;
        let digests = self.digests.take().unwrap_or_default();
        in_transaction(&self.db, |db| file::make_live(db, &digests))?;
        self.live = true;
        let name = self.writer.group().name;
        tracing::info!(group = name, generation = %self.writer.generation, position = %self.feed.position(), "read models are built and live");
        for (read_model, position, digest) in digests {
            tracing::info!(read_model, %position, %digest, "a rebuild takes the place of the read model before it");
        }
        let state = file::state(&self.db, self.writer.group())?;
        self.writer.shared.tell(self.writer.group, |progress| {
            progress.building = None;
            progress.other_history = None;
            progress.live = Some(Shown::of(state));
        });
        if live.is_some() { Err(Ended::TookThePlace) } else { Ok(()) }
    }

    fn compute_digests(&self) -> Result<Vec<(&'static str, Position, Hash)>, Ended> {
        let unwanted = || self.writer.shared.is_stopping();
        let of_model = |model: &crate::projector::ReadModel| Ok((model.name, self.feed.position(), digest(&self.db, model, &unwanted)?));
        self.writer.group().models.iter().map(of_model).collect::<rusqlite::Result<_>>().map_err(Ended::from)
    }

    /// Nothing waits: tidy up.
    fn rest(&mut self) -> Result<(), Ended> {
        // A rebuild that had caught up before a restart, or of an empty journal, gets no events to do it after.
        self.settle()?;
        if self.noted.elapsed() >= NOTE {
            self.noted = Instant::now();
            self.save(None)?;
            self.measure();
            if log_bytes(&self.path) > LARGE_LOG {
                file::cut_log(&self.db)?;
                self.logged = 0;
            }
        }
        if self.logged >= CHECKPOINT_AFTER || (self.logged > 0 && self.busy.0.elapsed() > NOTE) {
            // Copies the log into the database without waiting for anybody.
            self.logged = 0;
            self.db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?;
        }
        if self.busy.0.elapsed() > IDLE && !self.busy.1 {
            // The cache is as large as a rebuild wants it; nobody needs it now.
            self.busy.1 = true;
            self.db.execute_batch("PRAGMA shrink_memory")?;
        }
        Ok(())
    }

    /// Ten times a second: bounds the log by what is free, waits while that is reserved for the journal, and ends the session
    /// if the file is not the one at its path any more.
    fn look_after_the_disk(&mut self) -> Result<(), Ended> {
        if self.looked.is_some_and(|at| at.elapsed() < LOOK) {
            return Ok(());
        }
        self.looked = Some(Instant::now());
        if self.live && requests::take(&self.writer.dir, self.writer.group()) {
            self.writer.build_beside();
        }
        if self.identity.is_some() && FileIdentity::of(&self.path).ok() != self.identity {
            // By its name the log may be another file's by now.
            self.db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
            return Err(Ended::Useless(Useless::Damaged("the file was removed or replaced while it was open".into())));
        }
        let log = log_bytes(&self.path);
        let name = self.writer.group().name;
        metering::log_bytes(name, log);
        let Some(space) = &self.writer.config.space else { return Ok(()) };
        let mut is_paused = false;
        let beyond_reserve = loop {
            match space.beyond_reserve() {
                Ok(beyond) => break beyond,
                Err(_) if self.writer.shared.is_stopping() => return Ok(()),
                Err(shortage) => {
                    if !is_paused {
                        tracing::warn!(group = name, %shortage, "the read models are paused");
                        metering::paused(name, true);
                        is_paused = true;
                        // What the log takes twice is given back.
                        file::cut_log(&self.db)?;
                        continue;
                    }
                    self.writer.set_state(GroupState::Paused { reason: shortage.to_string() });
                    self.writer.pause(SPACE_RETRY);
                }
            }
        };
        if is_paused {
            tracing::info!(group = name, "the read models go on");
            metering::paused(name, false);
            self.show()?;
        }
        self.log_bound = file::bound_log(&self.db, beyond_reserve)?;
        if log > self.log_bound {
            file::cut_log(&self.db)?;
            self.logged = 0;
        }
        Ok(())
    }

    /// Tells everybody what the file says.
    fn show(&self) -> Result<(), Ended> {
        let file = file::state(&self.db, self.writer.group())?;
        let live = file.live;
        let (position, recorded_at) = (self.feed.position(), self.feed.recorded_at());
        self.writer.shared.tell(self.writer.group, |progress| {
            let shown = Shown { position, recorded_at, ..Shown::of(file) };
            let mine = if live { &mut progress.live } else { &mut progress.building };
            *mine = Some(shown);
        });
        self.measure();
        Ok(())
    }

    fn measure(&self) {
        let progress = self.writer.shared.progress(self.writer.group);
        for shown in progress.live.iter().chain(&progress.building) {
            metering::show(&self.writer.shared.statuses(self.writer.group(), shown));
        }
    }
}

fn log_bytes(path: &Path) -> u64 {
    std::fs::metadata(beside(path, "-wal")).map_or(0, |log| log.len())
}
