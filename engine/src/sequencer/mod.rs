//! The only loop: take the queue, decide, append, answer.
//!
//! Two threads a journal. The sequencer decides against state that includes everything it decided before; the
//! writer makes batches durable and answers. While one batch is written the next is decided and grows, so a
//! slow disk makes larger batches instead of a longer queue. What a request names that is not in memory is loaded
//! meanwhile (`pending_loads.rs`), and requests for other things are decided before it. Where several engines share a
//! journal they take turns, and the sequencer loads and writes itself: see the others' tail, decide, append, answer.

mod pending_loads;
mod recovery;

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use cauri_domain::kind::Kind;
use cauri_domain::text::ShortText;
use cauri_domain::time::Timestamp;
use cauri_event_schemas::Position;
use cauri_event_store::{Corruption, EventStore, Failure, Head, StoreError};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TrySendError};
use hashbrown::HashMap;
use tokio::sync::oneshot;

use self::pending_loads::Loading;
use self::recovery::{replay_tail, usable_snapshot};
use crate::decider::{Decider, EnvelopeOf, Moment, OutcomeOf, RecordOf};
use crate::engine::{Coordination, EngineConfig};
use crate::leap::{AcceptGapError, ClockGap, ClockStatus, ClockWatch};
use crate::loading::{Loaded, Loaders, Sought};
use crate::precedence::{Ahead, Passed};
use crate::snapshots::SnapshotThread;
use crate::submission::{Answer, Mode, Outcome, Rejected, SubmitError};
use crate::writer::{Answers, BatchWriter, Staged, Written, WrittenAs, told};

/// How long the sequencer sleeps at most: expiries and other engines' tails are looked at this often.
const TICK: Duration = Duration::from_millis(50);

/// How long the engine does nothing of its own accord after a failure: a full disk is not asked in a hurry.
const REST: Duration = Duration::from_millis(250);

/// How often the store looks after its files, whether or not there are commands.
const TEND: Duration = Duration::from_secs(1);

/// How long a batch may wait for more after the last one was written: callers that were just answered come back
/// one by one, and one write for all of them costs less than a write for each.
const GATHER: Duration = Duration::from_micros(100);

/// Where no more than one command in so many names something that must be looked up, that is done at once.
const SELDOM: usize = 512;

/// Bytes that the records of one submission may have, and after which a batch takes no more, by the weights that the kind
/// gives its commands. So a batch stays below what a reader unpacks, and memory is bounded.
pub const MOST_BYTES: usize = 340_000_000;

/// What callers get back.
pub(crate) type Reply<K> = Result<Answer<<K as Kind>::Stream>, SubmitError>;

/// One submission on its way.
pub(crate) struct Request<K: Kind> {
    pub(crate) commands: Vec<EnvelopeOf<K>>,
    /// How many places of the queue it takes.
    pub(crate) places: usize,
    pub(crate) mode: Mode,
    pub(crate) reply: oneshot::Sender<Reply<K>>,
    /// What was loaded for it, and the durable position that it shows; none before anything was.
    loaded: Option<(Position, HashSet<Sought<K::Stream>>)>,
    /// It could have been decided, and the batch was full: nothing gets ahead of it any more.
    pub(crate) is_next: bool,
}

impl<K: Kind> Request<K> {
    pub(crate) fn new(commands: Vec<EnvelopeOf<K>>, places: usize, mode: Mode, reply: oneshot::Sender<Reply<K>>) -> Self {
        Self { commands, places, mode, reply, loaded: None, is_next: false }
    }
}

/// What the sequencer's thread is told.
pub(crate) enum Input<K: Kind> {
    Request(Request<K>),
    Written(Written<K>),
    Loaded(Loaded<K>),
    /// Somebody states what the time is, and accepts the clock that reads so.
    AcceptClockGap {
        stated: Timestamp,
        actor: ShortText,
        reply: oneshot::Sender<Result<Option<ClockGap>, AcceptGapError>>,
    },
    Stop,
}

/// Figures that others may read while the sequencer works.
#[derive(Debug, Default)]
pub(crate) struct Gauges<F> {
    /// Figures of the decision state.
    pub(crate) state: Mutex<F>,
    pub(crate) queued: AtomicUsize,
    pub(crate) accepted: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) batches: AtomicU64,
    pub(crate) conflicts: AtomicU64,
    pub(crate) put_off: AtomicUsize,
    pub(crate) stopped: AtomicBool,
    /// What ended the engine, where nobody told it to stop: what callers are told from then on.
    pub(crate) ended_by: OnceLock<SubmitError>,
    pub(crate) clock: Arc<Mutex<ClockStatus>>,
}

/// Decides for one journal; owns its decision state.
pub(crate) struct Sequencer<K: Kind> {
    store: Arc<dyn EventStore>,
    clock: ClockWatch,
    config: EngineConfig,
    gauges: Arc<Gauges<K::Figures>>,
    input: Receiver<Input<K>>,
    decider: Decider<K>,
    journal_name: ShortText,
    /// The last moment that is durable: what a failed append goes back to.
    durable: Moment<K>,
    durable_head: Head,
    waiting: VecDeque<Request<K>>,
    /// Requests that something is being loaded for, by a number of their own.
    loading: HashMap<u64, Loading<K>>,
    next_loading: u64,
    /// What these are for.
    ahead: Ahead,
    /// Loads off this thread; none where turns are taken, which a look at the store begins.
    loaders: Option<Loaders<K>>,
    open: OpenBatch<K>,
    writer: Option<WriterThread<K>>,
    /// Writes in this thread where turns are taken.
    inline: BatchWriter<K>,
    /// One batch at a time is in the writer's hands; the next is decided on top of it.
    writing: bool,
    since_snapshot: u64,
    /// How many commands the last batch had, and when it was durable.
    last_batch: (usize, Instant),
    stopping: bool,
    /// The tail could not be read: nothing may be decided before it was.
    behind: bool,
    /// When something last failed, until something goes well again.
    failed_at: Option<Instant>,
    /// When the store last looked after its files.
    tended_at: Instant,
}

/// The batch that is being decided.
struct OpenBatch<K: Kind> {
    records: Vec<RecordOf<K>>,
    answers: Answers<K>,
    commands: usize,
    /// At most how many bytes its records have.
    weight: usize,
}

impl<K: Kind> Default for OpenBatch<K> {
    fn default() -> Self {
        Self { records: Vec::new(), answers: Vec::new(), commands: 0, weight: 0 }
    }
}

struct WriterThread<K: Kind> {
    batches: Sender<Staged<K>>,
    thread: JoinHandle<()>,
}

impl<K: Kind> Sequencer<K> {
    /// Recovers the decision state from snapshot and tail.
    pub(crate) fn recover(
        store: Arc<dyn EventStore>,
        config: EngineConfig,
        gauges: Arc<Gauges<K::Figures>>,
        input: Receiver<Input<K>>,
        completions: Sender<Input<K>>,
    ) -> Result<Self, StoreError> {
        let name: ShortText = store.name().parse().map_err(|error| Failure::NotDone(format!("the journal's name: {error}")))?;
        let mut decider = Decider::<K>::empty(name.clone());
        let mut head = Head::default();
        if let Some(snapshot) = usable_snapshot(&*store)?
            && let Some(restored) = Decider::restore(&snapshot.state, snapshot.head.position, name.clone())
        {
            (decider, head) = (restored, snapshot.head);
        }
        let from_snapshot = head.position;
        let tree = store.tree()?;
        replay_tail(&*store, &mut decider, tree.head())?;
        let since_snapshot = tree.head().position.get() - from_snapshot.get();
        tracing::info!(journal = store.name(), head = %tree.head().position, %from_snapshot, kind = K::NAME, kept = decider.state().len(), "recovered");

        let snapshots = SnapshotThread::start(store.clone(), from_snapshot);
        let inline = BatchWriter { store: store.clone(), tree, snapshots, gauges: gauges.clone() };
        let mut sequencer = Self {
            journal_name: name,
            durable: decider.moment(0),
            durable_head: inline.tree.head(),
            clock: ClockWatch::new(config.clock.clone(), config.accept_clock_gap, gauges.clock.clone()),
            waiting: VecDeque::new(),
            loading: HashMap::new(),
            next_loading: 0,
            ahead: Ahead::default(),
            loaders: None,
            open: OpenBatch::default(),
            writer: None,
            writing: false,
            since_snapshot,
            last_batch: (0, Instant::now()),
            stopping: false,
            behind: false,
            failed_at: None,
            tended_at: Instant::now(),
            store,
            config,
            gauges,
            input,
            decider,
            inline,
        };
        if sequencer.config.coordination == Coordination::Exclusive {
            sequencer.loaders = Some(Loaders::new(sequencer.store.clone(), completions.clone()));
        }
        if sequencer.config.coordination != Coordination::Turns {
            sequencer.writer = Some(sequencer.start_writer(completions)?);
        }
        sequencer.publish_gauges();
        // Whoever started the engine can see at once whether it decides; a gap is not an error of the start.
        let _ = sequencer.look_at_clock();
        Ok(sequencer)
    }

    fn start_writer(&self, completions: Sender<Input<K>>) -> Result<WriterThread<K>, StoreError> {
        let (batches, received) = crossbeam_channel::bounded::<Staged<K>>(1);
        let mut writer = self.inline.for_thread();
        let thread = std::thread::Builder::new().name("cauri-writer".into()).spawn(move || {
            for staged in received {
                if completions.send(Input::Written(Written(writer.write(staged)))).is_err() {
                    return;
                }
            }
        });
        let thread = thread.map_err(|error| Failure::NotDone(format!("cannot start the writer's thread: {error}")))?;
        Ok(WriterThread { batches, thread })
    }

    /// Runs until it is told to stop, or the journal proves corrupt.
    pub(crate) fn run(mut self) {
        let ended = self.work();
        if let Err(error) = &ended {
            tracing::error!(journal = self.store.name(), %error, "the engine stops");
            // It ends once.
            let _ = self.gauges.ended_by.set(told(error));
        }
        self.gauges.stopped.store(true, Ordering::SeqCst);
        if let Some(writer) = self.writer.take() {
            drop(writer.batches);
            // Its panic, if any, was reported when it happened.
            let _ = writer.thread.join();
        }
        if let Some(loaders) = self.loaders.take() {
            loaders.finish();
        }
        let reason = ended.err();
        self.waiting.extend(self.loading.drain().map(|(_, loading)| loading.request));
        while let Ok(input) = self.input.try_recv() {
            if let Input::Request(request) = input {
                self.waiting.push_back(request);
            }
        }
        for request in self.waiting.drain(..).chain(self.open.answers.drain(..).map(|(request, _)| request)) {
            let answer = reason.as_ref().map_or(SubmitError::Rejected(Rejected::Stopped), told);
            let _ = request.reply.send(Err(answer));
        }
        if reason.is_none()
            && self.inline.snapshots.given() < self.durable_head.position
            // Where others append, their tail may have been read in part.
            && self.decider.position() == self.durable_head.position
        {
            self.inline.snapshots.save_last(self.durable_head, self.decider.freeze());
        }
        self.inline.snapshots.finish();
    }

    fn work(&mut self) -> Result<(), StoreError> {
        loop {
            match self.input.recv_timeout(self.gathering().unwrap_or(TICK)) {
                Ok(input) => self.take(input)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => self.stopping = true,
            }
            while let Ok(input) = self.input.try_recv() {
                self.take(input)?;
            }
            if self.writer.is_some() {
                // Until nothing more can be decided: while one batch is written, the next one fills.
                if self.is_caught_up()? {
                    while self.decide_waiting()? {
                        self.hand_over();
                    }
                }
                self.hand_over();
            } else {
                self.take_turns()?;
                while !self.waiting.is_empty() {
                    self.take_turns()?;
                }
            }
            if self.tended_at.elapsed() >= TEND {
                self.store.tend();
                self.tended_at = Instant::now();
            }
            let idle = !self.writing && self.waiting.is_empty() && self.loading.is_empty() && self.open.is_empty();
            if self.stopping && idle {
                return Ok(());
            }
        }
    }

    fn take(&mut self, input: Input<K>) -> Result<(), StoreError> {
        match input {
            Input::Request(request) => self.waiting.push_back(request),
            Input::Stop => self.stopping = true,
            Input::Loaded(loaded) => self.take_loaded(loaded)?,
            Input::AcceptClockGap { stated, actor, reply } => {
                let accepted =
                    self.clock.accept(stated, &actor, self.durable_head.position, self.decider.last_recorded_at(), self.decider.rules());
                // Whoever asked may have gone away; what was accepted stays so.
                let _ = reply.send(accepted);
            }
            Input::Written(Written(written)) => {
                self.writing = false;
                self.failed_at = matches!(written, WrittenAs::Failed).then(Instant::now);
                match written {
                    WrittenAs::Done { after, head } => self.became_durable(after, head.unwrap_or(self.durable_head)),
                    WrittenAs::Failed => self.start_over(Vec::new())?,
                    WrittenAs::Conflict(requests) => self.start_over(requests)?,
                    WrittenAs::Ended(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    fn became_durable(&mut self, after: Moment<K>, head: Head) {
        self.last_batch.1 = Instant::now();
        self.decider.forget(&after, head.position.min(self.oldest_loaded()));
        self.durable = after;
        self.durable_head = head;
        self.publish_gauges();
    }

    /// Nothing since the last durable head happened: decide what was taken again, after what others wrote.
    fn start_over(&mut self, requests: Vec<Request<K>>) -> Result<(), StoreError> {
        let open = std::mem::take(&mut self.open).answers.into_iter().map(|(request, _)| request);
        let again: Vec<Request<K>> = requests.into_iter().chain(open).collect();
        for request in again.into_iter().rev() {
            self.gauges.queued.fetch_add(request.places, Ordering::Relaxed);
            self.waiting.push_front(request);
        }
        self.decider.drop_speculation(&self.durable);
        self.load_again();
        self.catch_up().map(|_| ())
    }

    /// Whether everything durable was seen, as far as that must be known before the next decision.
    fn is_caught_up(&mut self) -> Result<bool, StoreError> {
        let idle = !self.writing && self.open.is_empty();
        let others_append = self.config.coordination != Coordination::Exclusive;
        if self.behind || (others_append && idle && !(self.waiting.is_empty() && self.is_resting())) {
            return self.catch_up();
        }
        Ok(true)
    }

    /// Sees the others' tail. Where it cannot be read, those who wait are told so: `false`.
    fn catch_up(&mut self) -> Result<bool, StoreError> {
        let seen = self.see_others_tail();
        self.behind = seen.is_err();
        match seen {
            Ok(()) => Ok(true),
            Err(error) => {
                self.failed_at = Some(Instant::now());
                let waiting = self.waiting.drain(..).collect();
                self.fail(waiting, error).map(|()| false)
            }
        }
    }

    /// Something failed a moment ago.
    fn is_resting(&self) -> bool {
        self.failed_at.is_some_and(|at| at.elapsed() < REST)
    }

    /// Folds what others appended since the last durable head.
    fn see_others_tail(&mut self) -> Result<(), StoreError> {
        let head = self.store.head()?;
        if head != self.durable_head {
            let went_on = head.position > self.durable_head.position
                && self.store.root_at(self.durable_head.position)? == Some(self.durable_head.root);
            if !went_on {
                let what =
                    format!("the journal ends at {head}, and ended at {} before: it is not the same journal any more", self.durable_head);
                return Err(Corruption::new(head.position, what).into());
            }
            // What was loaded does not show what is folded now.
            self.load_again();
            let seen = replay_tail(&*self.store, &mut self.decider, head);
            // As far as it was read it counts, also where reading broke off.
            self.durable = self.decider.moment(0);
            seen?;
            self.durable_head = head;
            self.publish_gauges();
        }
        Ok(())
    }

    /// Decides what waits until the open batch is full; `false` if nothing could be taken.
    fn decide_waiting(&mut self) -> Result<bool, StoreError> {
        if self.open.is_full() {
            return Ok(false);
        }
        if self.writer_is_gone() {
            return Err(Failure::Unknown("the writer's thread has ended".into()).into());
        }
        let taken = self.take_waiting();
        let took_any = !taken.is_empty();
        let mut ready = self.load_missing(taken)?;
        // After the look-ups, which take time, and before anything is decided: a leap must not be recorded first and seen later.
        let now = match self.look_at_clock() {
            Ok(now) => now,
            Err(gap) => {
                self.answer_in_gap(ready, gap);
                return Ok(took_any);
            }
        };
        let mut decided = false;
        while let Some(request) = ready.pop_front() {
            // What fell due comes before what is decided now, if need be in several batches.
            if !self.decide_what_is_due(now) || self.open.is_full() {
                ready.push_front(request);
                break;
            }
            self.decide(request, now);
            decided = true;
        }
        for mut request in ready.into_iter().rev() {
            request.is_next = true;
            self.waiting.push_front(request);
        }
        if decided || !self.is_resting() {
            self.decide_what_is_due(now);
        }
        Ok(decided)
    }

    /// Takes as many waiting requests as fit into the open batch, but none that another must be decided before.
    fn take_waiting(&mut self) -> VecDeque<Request<K>> {
        let room = self.config.max_batch.saturating_sub(self.open.commands);
        let mut passed_over = Passed::default();
        let (mut taken, mut commands) = (VecDeque::new(), 0);
        while let Some(request) = self.waiting.pop_front() {
            let Some(request) = passed_over.if_free(request, &self.ahead, &self.journal_name) else { continue };
            // A submission larger than a batch still gets a batch of its own.
            let fits = commands + request.commands.len() <= room || (self.open.commands == 0 && taken.is_empty());
            if !fits {
                self.waiting.push_front(request);
                break;
            }
            commands += request.commands.len();
            taken.push_back(request);
        }
        passed_over.back_to(&mut self.waiting);
        taken
    }

    /// The time to decide at, which never goes back; none while a leap of the clock is not accepted.
    fn look_at_clock(&mut self) -> Result<Timestamp, ClockGap> {
        let now = self.clock.look(self.decider.last_recorded_at(), self.decider.rules())?;
        Ok(self.decider.not_before_last(now))
    }

    /// While a leap of the clock is not accepted, what was answered before is answered again, and the rest is turned away.
    fn answer_in_gap(&mut self, requests: VecDeque<Request<K>>, gap: ClockGap) {
        for request in requests {
            let answered = |command| self.decider.has_answer(command);
            let refused = |command| self.decider.refused_before(command).is_some();
            let is_replay = request.commands.iter().all(answered)
                // A refusal that is remembered is the answer to all of an atomic submission.
                || (request.mode == Mode::Atomic && request.commands.iter().any(refused));
            if is_replay {
                // Nothing of it is decided, so the time does not matter.
                self.decide(request, self.decider.not_before_last(Timestamp::MIN));
            } else {
                self.release(&request);
                self.gauges.queued.fetch_sub(request.places, Ordering::Relaxed);
                let _ = request.reply.send(Err(SubmitError::Rejected(Rejected::ClockGap(gap))));
            }
        }
    }

    /// What was loaded for a request, and what was noted of its commands, is not needed any more.
    fn release(&mut self, request: &Request<K>) {
        self.decider.forget_failures(&request.commands);
        if let Some((_, sought)) = &request.loaded {
            self.decider.release(sought.iter());
        }
    }

    fn decide(&mut self, mut request: Request<K>, now: Timestamp) {
        self.gauges.queued.fetch_sub(request.places, Ordering::Relaxed);
        let weight = request.commands.iter().map(|command| self.decider.weight(command)).sum();
        if weight > MOST_BYTES {
            self.release(&request);
            let too_large = Rejected::TooLarge { bytes: weight, most: MOST_BYTES };
            let _ = request.reply.send(Err(SubmitError::Rejected(too_large)));
            return;
        }
        let outcomes = match request.mode {
            Mode::Each => request.commands.iter().map(|command| self.decider.decide(command, now, &mut self.open.records)).collect(),
            Mode::Atomic => self.decide_all_or_none(&request.commands, now),
        };
        self.release(&request);
        request.loaded = None;
        self.open.commands += request.commands.len();
        self.open.weight += weight;
        self.open.answers.push((request, outcomes));
    }

    fn decide_all_or_none(&mut self, commands: &[EnvelopeOf<K>], now: Timestamp) -> Vec<OutcomeOf<K>> {
        // What an earlier submission did is done, and said to be, whatever becomes of the rest.
        let not_applied = |decider: &Decider<K>, index: usize, outcome: OutcomeOf<K>| {
            let of_rest = |command| decider.accepted_before(command).unwrap_or(Outcome::NotApplied { because_of: index });
            let mut none: Vec<OutcomeOf<K>> = commands.iter().map(of_rest).collect();
            none[index] = outcome;
            none
        };
        // A retry is answered as it was first: by the refusal that is remembered, whatever else would be refused now.
        for (index, command) in commands.iter().enumerate() {
            if let Some(outcome) = self.decider.refused_before(command) {
                return not_applied(&self.decider, index, outcome);
            }
        }
        let moment = self.decider.moment(self.open.records.len());
        let mut outcomes = Vec::with_capacity(commands.len());
        for (index, command) in commands.iter().enumerate() {
            let outcome = self.decider.decide(command, now, &mut self.open.records);
            let accepted = matches!(outcome, Outcome::Accepted(_));
            outcomes.push(outcome);
            if accepted {
                continue;
            }
            self.decider.roll_back(&moment, &mut self.open.records);
            let outcome = outcomes.swap_remove(index);
            let mut rest = not_applied(&self.decider, index, outcome.clone());
            rest[index] = match outcome {
                // Its record was taken back with the rest: remember it alone.
                Outcome::Refused(refused) if refused.position.is_some() && !refused.replayed => {
                    self.decider.remember(command, now, refused.refusal, &mut self.open.records)
                }
                outcome => outcome,
            };
            return rest;
        }
        outcomes
    }

    /// Decides everything that fell due, before anything later is decided; `false` if the batch was full before that.
    fn decide_what_is_due(&mut self, now: Timestamp) -> bool {
        while !self.open.is_full() {
            let Some(weight) = self.decider.decide_due(now, &mut self.open.records) else { return true };
            self.open.weight += weight;
            // At once: what is put off writes nothing that would become durable.
            self.gauges.put_off.store(self.decider.put_off(), Ordering::Relaxed);
        }
        !self.decider.is_due(now)
    }

    /// How much longer the open batch waits for callers that were just answered; `None` if it does not.
    ///
    /// With one caller there is nobody to wait for: a batch waits only while it is less than half of the last one.
    fn gathering(&self) -> Option<Duration> {
        let few = self.open.commands > 0 && 2 * self.open.commands < self.last_batch.0;
        let waits = few && !self.writing && !self.stopping && self.writer.is_some();
        waits.then(|| GATHER.checked_sub(self.last_batch.1.elapsed())).flatten().filter(|left| !left.is_zero())
    }

    /// Gives the open batch to the writer if it has nothing to do.
    fn hand_over(&mut self) {
        if self.writing || self.open.is_empty() || self.gathering().is_some() {
            return;
        }
        let staged = self.close_open_batch();
        let Some(writer) = &self.writer else { return };
        match writer.batches.try_send(staged) {
            Ok(()) => self.writing = true,
            Err(TrySendError::Full(staged) | TrySendError::Disconnected(staged)) => {
                // The writer is gone, and `decide_waiting` says so next time; these were decided but not written.
                for (request, _) in staged.answers {
                    let _ = request.reply.send(Err(SubmitError::NotDone("the writer has stopped".into())));
                }
            }
        }
    }

    fn close_open_batch(&mut self) -> Staged<K> {
        let OpenBatch { records, answers, commands, weight: _ } = std::mem::take(&mut self.open);
        self.last_batch.0 = commands;
        self.since_snapshot += records.len() as u64;
        let mut snapshot = None;
        // Keeping one takes time and space for each thing that is in it, so it is done less often for a large state.
        let due = self.config.snapshot_every.max(4 * self.decider.state().len() as u64);
        if self.since_snapshot >= due {
            snapshot = Some(self.decider.freeze());
            self.since_snapshot = 0;
        }
        Staged { records, answers, snapshot, after: self.decider.moment(0), base: self.durable_head }
    }

    /// Where several engines share the journal: see the others' tail, decide, append and answer in one turn.
    fn take_turns(&mut self) -> Result<(), StoreError> {
        let is_due = self.look_at_clock().is_ok_and(|now| self.decider.is_due(now));
        if self.waiting.is_empty() && (!is_due || self.is_resting()) {
            return self.is_caught_up().map(|_| ());
        }
        let store = self.store.clone();
        let turn = match store.take_turn() {
            Ok(turn) => turn,
            Err(error) => {
                self.failed_at = Some(Instant::now());
                let taken = self.waiting.drain(..).collect();
                return self.fail(taken, error);
            }
        };
        if !self.catch_up()? {
            return Ok(());
        }
        self.decide_waiting()?;
        if self.open.is_empty() {
            return Ok(());
        }
        let staged = self.close_open_batch();
        self.writing = true;
        let written = self.inline.write(staged);
        drop(turn);
        self.take(Input::Written(Written(written)))
    }

    fn writer_is_gone(&self) -> bool {
        self.writer.as_ref().is_some_and(|writer| writer.thread.is_finished())
    }

    /// These could not even be decided; nothing of them was written.
    fn fail(&mut self, requests: Vec<Request<K>>, error: StoreError) -> Result<(), StoreError> {
        for request in requests {
            self.decider.forget_failures(&request.commands);
            self.gauges.queued.fetch_sub(request.places, Ordering::Relaxed);
            let _ = request.reply.send(Err(told(&error)));
        }
        match error {
            StoreError::Failure(failure) => {
                tracing::warn!(journal = self.store.name(), %failure, "commands were not decided");
                Ok(())
            }
            StoreError::Corruption(_) | StoreError::Newer(_) => Err(error),
        }
    }

    fn publish_gauges(&self) {
        *self.gauges.state.lock().unwrap_or_else(PoisonError::into_inner) = self.decider.state().figures();
    }
}

impl<K: Kind> OpenBatch<K> {
    /// It takes no more.
    fn is_full(&self) -> bool {
        self.weight >= MOST_BYTES
    }

    fn is_empty(&self) -> bool {
        self.records.is_empty() && self.answers.is_empty()
    }
}
