//! The decider: the decision state of a journal of any kind, what was answered before, and what is on its way to the store.
//!
//! Everything that a command records is folded at once, so that the next command sees it, and can be taken back: one
//! command because it is refused, a submission because one of its commands is, whole batches because the append failed.

use std::borrow::Cow;
use std::collections::HashSet;
use std::hash::Hash;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use cauri_domain::command::{CommandEvent, CommandRefused};
use cauri_domain::ids::CommandKey;
use cauri_domain::journal::{self, Journal, JournalStatus, Rules};
use cauri_domain::kind::{Kind, KindCommand, KindEvent, Loaded, StreamKey, World, decide};
use cauri_domain::text::ShortText;
use cauri_domain::time::Timestamp;
use cauri_domain::{IllegalTransition, Refusal, RefusalCode};
use cauri_event_schemas::record::ENGINE;
use cauri_event_schemas::{Fingerprint, Metadata, Position, Recorded, StreamVersion};
use cauri_event_store::{Corruption, EventStore, Lookup};
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use crate::in_flight::{InFlight, Written};
use crate::loading::{Found, Sought};
use crate::submission::{Accepted, CommandEnvelope, Outcome, Refused};

/// A record of a journal of the kind `K`.
pub(crate) type RecordOf<K> = Recorded<<K as Kind>::Stream, <K as Kind>::Event>;

/// What became of a command of the kind `K`.
pub(crate) type OutcomeOf<K> = Outcome<<K as Kind>::Stream>;

/// A command of the kind `K`.
pub(crate) type EnvelopeOf<K> = CommandEnvelope<<K as Kind>::Command>;

/// Everything that deciding looks at, at the position of the last decided event.
pub(crate) struct Decider<K: Kind> {
    state: K,
    journal: Journal,
    journal_version: StreamVersion,
    journal_name: ShortText,
    last_recorded_at: Timestamp,
    /// Position of the last decided event, durable or not.
    position: Position,
    /// What was decided and is not yet durable.
    in_flight: InFlight<K>,
    /// What was loaded for requests that are not decided yet.
    loaded: LoadedFor<K>,
    /// What a rule said that failed over a command that is not decided yet.
    failures: HashMap<CommandKey, String>,
    /// What fell due and cannot be decided, because a rule fails over it.
    put_off: HashSet<K::Due>,
}

struct LoadedFor<K: Kind> {
    aggregates: HashMap<K::Stream, Wanted<(K::Aggregate, StreamVersion)>>,
    /// The records of each; none where it was never decided.
    commands: HashMap<CommandKey, Wanted<Option<Vec<RecordOf<K>>>>>,
}

/// Something that was loaded for so many requests.
struct Wanted<T> {
    what: T,
    wanted: usize,
}

impl<K: Kind> Default for LoadedFor<K> {
    fn default() -> Self {
        Self { aggregates: HashMap::new(), commands: HashMap::new() }
    }
}

impl<K: Kind> LoadedFor<K> {
    fn command(&self, key: &CommandKey) -> Option<&Vec<RecordOf<K>>> {
        self.commands.get(key).and_then(|loaded| loaded.what.as_ref())
    }
}

fn release<Q: Eq + Hash, T>(loaded: &mut HashMap<Q, Wanted<T>>, key: &Q) {
    if let Some(kept) = loaded.get_mut(key) {
        kept.wanted -= 1;
        if kept.wanted == 0 {
            loaded.remove(key);
        }
    }
}

/// What may have to be asked of the store, with the index of the command that needs it.
enum Asked<'a, S> {
    Command(&'a CommandKey),
    /// The same id as journal format 1 knew it.
    WithoutCaller(CommandKey),
    Aggregate(S),
}

/// Of what may have to be asked, that of which the store does not know from memory that it was never written.
fn only_possible<S: StreamKey>(store: &dyn EventStore, asked: Vec<(usize, Asked<'_, S>)>) -> Vec<(usize, Sought<S>)> {
    // The names stand in one text, so that a look-up costs no allocation.
    let mut names = Vec::with_capacity(48 * asked.len());
    let mut ends = Vec::with_capacity(asked.len());
    for (_, asked) in &asked {
        if let Asked::Aggregate(stream) = asked {
            stream.write_name(&mut names);
        }
        ends.push(names.len());
    }
    // They are UTF-8: checked as a whole, and not piece by piece as the lossy conversion does.
    let names = str::from_utf8(&names).map_or_else(|_| String::from_utf8_lossy(&names), Cow::Borrowed);
    let mut start = 0;
    let lookups: Vec<Lookup<'_>> = asked
        .iter()
        .zip(ends)
        .map(|((_, asked), end)| {
            let name = std::mem::replace(&mut start, end)..end;
            match asked {
                Asked::Command(key) => Lookup::Command(key),
                Asked::WithoutCaller(key) => Lookup::Command(key),
                Asked::Aggregate(_) => Lookup::Stream(&names[name]),
            }
        })
        .collect();
    let possible = store.may_hold(&lookups);
    let sought = |asked| match asked {
        Asked::Command(key) => Sought::Command(key.clone()),
        Asked::WithoutCaller(key) => Sought::Command(key),
        Asked::Aggregate(stream) => Sought::Aggregate(stream),
    };
    asked.into_iter().zip(possible).filter(|(_, possible)| *possible).map(|((index, asked), _)| (index, sought(asked))).collect()
}

/// Runs a rule over a command; where it panics, the error is what it said, and the log has it.
fn guarded<C: KindCommand, T>(envelope: &CommandEnvelope<C>, rule: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(rule)).map_err(|panic| {
        let what = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let what = what.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        tracing::error!(op = envelope.command.op(), key = %envelope.key, what, "a rule panicked; nothing of the command is done");
        what
    })
}

/// The decision state as a snapshot keeps it.
#[derive(Serialize, Deserialize)]
struct SnapshotShape<F> {
    /// [`journal::FROZEN_SHAPE`].
    journal_shape: u32,
    /// [`Kind::FROZEN_SHAPE`].
    kind_shape: u32,
    /// Which kind of journal it is of.
    kind: String,
    /// What it is the state at; kept beside the state, so that a snapshot under another position is seen to be wrong.
    position: u64,
    state: F,
    journal: Journal,
    journal_version: StreamVersion,
    last_recorded_at: i64,
}

/// The decision state at one moment.
pub(crate) struct Frozen<K: Kind>(SnapshotShape<K::Frozen>);

impl<K: Kind> Frozen<K> {
    /// The state as bytes, for [`Decider::restore`].
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, postcard::Error> {
        postcard::to_stdvec(&self.0)
    }
}

/// A moment to come back to: all that was decided since is taken back.
pub(crate) struct Moment<K: Kind> {
    state: K::Mark,
    journal: Journal,
    journal_version: StreamVersion,
    last_recorded_at: Timestamp,
    position: Position,
    records: usize,
}

impl<K: Kind> Decider<K> {
    pub(crate) fn empty(name: ShortText) -> Self {
        let rules = Rules::default();
        Self {
            state: K::empty(rules),
            journal: Journal::new(rules),
            journal_version: StreamVersion::ZERO,
            journal_name: name,
            last_recorded_at: Timestamp::MIN,
            position: Position::ZERO,
            in_flight: InFlight::default(),
            loaded: LoadedFor::default(),
            failures: HashMap::new(),
            put_off: HashSet::new(),
        }
    }

    /// Restores a snapshot that was taken at `position`; `None` if it is of another shape.
    pub(crate) fn restore(state: &[u8], position: Position, name: ShortText) -> Option<Self> {
        let shape: SnapshotShape<K::Frozen> = postcard::from_bytes(state).ok()?;
        let is_ours = shape.journal_shape == journal::FROZEN_SHAPE
            && shape.kind_shape == K::FROZEN_SHAPE
            && shape.kind == K::NAME
            && shape.position == position.get();
        is_ours.then(|| Self {
            state: K::thaw(shape.state, shape.journal.rules),
            journal: shape.journal,
            journal_version: shape.journal_version,
            last_recorded_at: Timestamp::from_micros(shape.last_recorded_at).unwrap_or(Timestamp::MIN),
            position,
            ..Self::empty(name)
        })
    }

    /// The state, to be kept for [`Decider::restore`]. Taking it costs little; making bytes of it is for another thread.
    pub(crate) fn freeze(&self) -> Frozen<K> {
        Frozen(SnapshotShape {
            journal_shape: journal::FROZEN_SHAPE,
            kind_shape: K::FROZEN_SHAPE,
            kind: K::NAME.to_owned(),
            position: self.position.get(),
            state: self.state.freeze(),
            journal: self.journal,
            journal_version: self.journal_version,
            last_recorded_at: self.last_recorded_at.as_micros(),
        })
    }

    pub(crate) fn state(&self) -> &K {
        &self.state
    }

    pub(crate) fn position(&self) -> Position {
        self.position
    }

    /// What falls due next, and when. In a closed journal nothing does.
    fn next_due(&self) -> Option<(Timestamp, K::Due)> {
        self.state.due().find(|(_, due)| !self.put_off.contains(due)).filter(|_| self.journal.status == JournalStatus::Open)
    }

    /// The parameters of the journal's rules.
    pub(crate) fn rules(&self) -> &Rules {
        &self.journal.rules
    }

    /// When the last decided event was recorded, durable or not.
    pub(crate) fn last_recorded_at(&self) -> Option<Timestamp> {
        (self.position > Position::ZERO).then_some(self.last_recorded_at)
    }

    /// Time that never goes back.
    pub(crate) fn not_before_last(&self, now: Timestamp) -> Timestamp {
        now.max(self.last_recorded_at)
    }

    /// Folds a record that is durable: at start-up, or from another engine's turn.
    pub(crate) fn replay(&mut self, record: &RecordOf<K>) -> Result<(), Corruption> {
        let corrupt = |what: String| Corruption::new(record.position, what);
        if record.recorded_at < self.last_recorded_at {
            return Err(corrupt(format!("recorded at {}, before {}", record.recorded_at, self.last_recorded_at)));
        }
        self.fold(&record.stream, record.version, &record.event).map_err(|illegal| corrupt(illegal.to_string()))?;
        self.last_recorded_at = record.recorded_at;
        self.position = record.position;
        Ok(())
    }

    fn fold(&mut self, stream: &K::Stream, version: StreamVersion, event: &K::Event) -> Result<(), IllegalTransition> {
        if let Some(event) = event.as_journal() {
            let rules = self.journal.rules;
            self.journal = journal::evolve(self.journal, event)?;
            self.journal_version = version;
            if self.journal.rules != rules {
                self.state.set_rules(self.journal.rules);
            }
        }
        self.state.fold(stream, version, event)
    }

    /// This moment. Moments of one submission nest.
    pub(crate) fn moment(&self, records: usize) -> Moment<K> {
        Moment {
            state: self.state.mark(),
            journal: self.journal,
            journal_version: self.journal_version,
            last_recorded_at: self.last_recorded_at,
            position: self.position,
            records,
        }
    }

    /// Takes back everything since `moment` of the current submission.
    pub(crate) fn roll_back(&mut self, moment: &Moment<K>, records: &mut Vec<RecordOf<K>>) {
        self.roll_back_state(moment);
        records.truncate(moment.records);
        self.in_flight.roll_back(moment.position);
    }

    fn roll_back_state(&mut self, moment: &Moment<K>) {
        self.state.roll_back(moment.state);
        if self.journal.rules != moment.journal.rules {
            self.state.set_rules(moment.journal.rules);
        }
        self.journal = moment.journal;
        self.journal_version = moment.journal_version;
        self.last_recorded_at = moment.last_recorded_at;
        self.position = moment.position;
    }

    /// Takes back every batch that did not become durable. What was loaded must be loaded again ([`Decider::drop_loaded`]):
    /// what became durable since then is not kept any more.
    pub(crate) fn drop_speculation(&mut self, durable: &Moment<K>) {
        self.roll_back_state(durable);
        self.in_flight = InFlight::default();
    }

    /// Nothing that was loaded is of use any more.
    pub(crate) fn drop_loaded(&mut self) {
        self.loaded = LoadedFor::default();
    }

    /// Everything up to `moment` is durable. What was decided up to `position` is not kept any more: the store answers for it.
    ///
    /// Where something was loaded for a request that is not decided yet, `position` is at most the one that it shows.
    pub(crate) fn forget(&mut self, moment: &Moment<K>, position: Position) {
        self.state.forget(moment.state);
        self.in_flight.forget(position);
    }

    /// What of these commands must be asked of the store before they can be decided, with the index of the command.
    ///
    /// `as_of` is the durable position that whatever is loaded will show. A look-up of which the store knows from memory
    /// that nothing was written is not asked for; that stays true until the commands are decided, because what is
    /// decided after `as_of` stays in memory ([`Decider::forget`]).
    pub(crate) fn missing<'a>(
        &mut self,
        store: &dyn EventStore,
        as_of: Position,
        commands: impl Iterator<Item = &'a EnvelopeOf<K>>,
    ) -> Vec<(usize, Sought<K::Stream>)> {
        let in_format_1 = store.format_1_until() > Position::ZERO;
        let (mut asked, mut failures) = (Vec::new(), Vec::new());
        for (index, envelope) in commands.enumerate() {
            if self.in_flight.command(&envelope.key).is_none_or(|decided| decided.at <= as_of) {
                asked.push((index, Asked::Command(&envelope.key)));
                if in_format_1 {
                    asked.push((index, Asked::WithoutCaller(CommandKey::without_caller(envelope.key.id.clone()))));
                }
            }
            if let Err(what) = self.needs(index, envelope, as_of, |_| false, &mut asked) {
                failures.push((envelope.key.clone(), what));
            }
        }
        self.failures.extend(failures);
        only_possible(store, asked)
    }

    /// What these commands need beyond what was `loaded` for them, now that it is known: what one aggregate holds may lead
    /// to another.
    pub(crate) fn still_missing<'a>(
        &mut self,
        store: &dyn EventStore,
        as_of: Position,
        loaded: &HashSet<Sought<K::Stream>>,
        commands: impl Iterator<Item = (usize, &'a EnvelopeOf<K>)>,
    ) -> Vec<(usize, Sought<K::Stream>)> {
        let (mut asked, mut failures) = (Vec::new(), Vec::new());
        for (index, envelope) in commands {
            let is_loaded = |stream: &K::Stream| loaded.contains(&Sought::Aggregate(stream.clone()));
            if let Err(what) = self.needs(index, envelope, as_of, is_loaded, &mut asked) {
                failures.push((envelope.key.clone(), what));
            }
        }
        self.failures.extend(failures);
        only_possible(store, asked)
    }

    /// Adds the streams that a command needs and that nothing in memory will answer for; an error is what a rule said that
    /// failed over it.
    fn needs(
        &self,
        index: usize,
        envelope: &EnvelopeOf<K>,
        as_of: Position,
        is_loaded: impl Fn(&K::Stream) -> bool,
        asked: &mut Vec<(usize, Asked<'_, K::Stream>)>,
    ) -> Result<(), String> {
        let mut need = |stream| {
            // Of other types there is nothing to load, however often they are named.
            let is_of_loaded_type = K::unwritten(&stream).is_some();
            // What became durable by then may be forgotten before the command is decided.
            let stays = self.in_flight.aggregate(&stream).is_some_and(|(_, at)| at > as_of);
            if is_of_loaded_type && !stays && self.state.resident(&stream).is_none() && !is_loaded(&stream) {
                asked.push((index, Asked::Aggregate(stream)));
            }
        };
        guarded(envelope, || self.state.needs(&envelope.command, &envelope.key, self, &mut need))
    }

    /// Takes what was loaded for a request, until it is released.
    pub(crate) fn take_loaded(&mut self, found: Vec<Found<K>>) {
        for found in found {
            match found {
                Found::Command(key, records) => {
                    let wanted = self.loaded.commands.get(&key).map_or(0, |kept| kept.wanted);
                    self.loaded.commands.insert(key, Wanted { what: records, wanted: wanted + 1 });
                }
                Found::Aggregate(stream, aggregate, version) => {
                    let wanted = self.loaded.aggregates.get(&stream).map_or(0, |kept| kept.wanted);
                    self.loaded.aggregates.insert(stream, Wanted { what: (aggregate, version), wanted: wanted + 1 });
                }
            }
        }
    }

    /// These commands are answered, whether or not they were decided.
    pub(crate) fn forget_failures(&mut self, commands: &[EnvelopeOf<K>]) {
        if !self.failures.is_empty() {
            commands.iter().for_each(|command| drop(self.failures.remove(&command.key)));
        }
    }

    /// A request for which this was loaded is decided, or given up.
    pub(crate) fn release<'a>(&mut self, loaded: impl Iterator<Item = &'a Sought<K::Stream>>)
    where
        K::Stream: 'a,
    {
        for sought in loaded {
            match sought {
                Sought::Command(key) => release(&mut self.loaded.commands, key),
                Sought::Aggregate(stream) => release(&mut self.loaded.aggregates, stream),
            }
        }
    }

    /// Decides one command at `now`; its records are added to `records`.
    ///
    /// What it does not accept leaves nothing behind but, for a refusal, the record that remembers it.
    pub(crate) fn decide(&mut self, envelope: &EnvelopeOf<K>, now: Timestamp, records: &mut Vec<RecordOf<K>>) -> OutcomeOf<K> {
        if let Some(answer) = self.answered_before(envelope) {
            return answer;
        }
        if let Some(expected) = envelope.expected_version {
            let actual = self.version_of(&K::target(&envelope.command, &self.journal_name));
            if actual != expected {
                return Outcome::VersionMismatch { actual };
            }
        }
        if let Some(what) = self.take_failure(envelope) {
            return Outcome::Failed { what };
        }
        let moment = self.moment(records.len());
        let decided = guarded(envelope, || {
            let mut unit = Unit::begin(self, envelope, now, records);
            decide::<K, _>(&envelope.command, &mut unit)
        });
        let refusal = match decided {
            Ok(Ok(())) => {
                let records = &records[moment.records..];
                let outcome = self.accepted(envelope, records, false);
                self.in_flight.decided(records[0].metadata.clone(), outcome.clone(), self.position);
                return outcome;
            }
            Ok(Err(refusal)) => refusal,
            Err(what) => {
                self.roll_back(&moment, records);
                return Outcome::Failed { what };
            }
        };
        self.remember(envelope, now, refusal, records)
    }

    /// Records a refusal, so that a retry gets the same answer.
    pub(crate) fn remember(
        &mut self,
        envelope: &EnvelopeOf<K>,
        now: Timestamp,
        refusal: Refusal,
        records: &mut Vec<RecordOf<K>>,
    ) -> OutcomeOf<K> {
        if refusal.code == RefusalCode::JournalClosed {
            // A closed journal takes nothing, not even this.
            return Outcome::Refused(Refused { refusal, position: None, recorded_at: None, replayed: false });
        }
        let event = CommandEvent::Refused(CommandRefused {
            code: refusal.code,
            detail: refusal.detail.clone(),
            op: envelope.command.op().parse().expect("an op is a short text"),
            pointer: refusal.pointer.clone(),
        });
        let mut unit = Unit::begin(self, envelope, now, records);
        unit.record(K::Stream::of_command(envelope.key.clone()), event.into());
        let metadata = unit.metadata;
        let position = Some(self.position);
        let outcome = Outcome::Refused(Refused { refusal, position, recorded_at: Some(now), replayed: false });
        self.in_flight.decided(metadata, outcome.clone(), self.position);
        outcome
    }

    /// At most how many bytes the records of a command have, as far as that is known before it is decided.
    pub(crate) fn weight(&mut self, envelope: &EnvelopeOf<K>) -> usize {
        guarded(envelope, || self.state.weight(&envelope.command, self)).unwrap_or_else(|what| {
            self.failures.insert(envelope.key.clone(), what);
            0
        })
    }

    /// What a rule said that failed over the command before it could be decided.
    fn take_failure(&mut self, envelope: &EnvelopeOf<K>) -> Option<String> {
        if self.failures.is_empty() { None } else { self.failures.remove(&envelope.key) }
    }

    /// Whether something fell due at or before `now`.
    pub(crate) fn is_due(&self, now: Timestamp) -> bool {
        self.next_due().is_some_and(|(at, _)| at <= now)
    }

    /// Decides what fell due first, at or before `now`: the weight of its records; `None` if nothing did.
    ///
    /// Where a rule fails over it, nothing of it is done, and it is put off until the next start: everything else goes on.
    pub(crate) fn decide_due(&mut self, now: Timestamp, records: &mut Vec<RecordOf<K>>) -> Option<usize> {
        let (_, due) = self.next_due().filter(|(at, _)| *at <= now)?;
        let (id, command) = K::when_due(due);
        let envelope = CommandEnvelope {
            command,
            key: CommandKey::without_caller(id),
            fingerprint: Fingerprint::version_1([0; 16]),
            actor: ENGINE.parse().expect("a short text"),
            subject: None,
            causation: None,
            correlation: None,
            traceparent: None,
            expected_version: None,
        };
        let moment = self.moment(records.len());
        let decided = guarded(&envelope, || {
            let weight = self.state.weight(&envelope.command, self);
            let mut unit = Unit::begin(self, &envelope, now, records);
            decide::<K, _>(&envelope.command, &mut unit).expect("what fell due can be decided");
            weight
        });
        let weight = decided.unwrap_or_else(|_| {
            self.roll_back(&moment, records);
            self.put_off.insert(due);
            0
        });
        Some(weight)
    }

    /// How many things fell due and were put off.
    pub(crate) fn put_off(&self) -> usize {
        self.put_off.len()
    }

    /// The refusal that a command was answered with before.
    pub(crate) fn refused_before(&self, envelope: &EnvelopeOf<K>) -> Option<OutcomeOf<K>> {
        self.answered_before(envelope).filter(|outcome| matches!(outcome, Outcome::Refused(Refused { replayed: true, .. })))
    }

    /// Whether a command has an answer without being decided: it was decided before, or its id belongs to another one.
    pub(crate) fn has_answer(&self, envelope: &EnvelopeOf<K>) -> bool {
        self.answered_before(envelope).is_some()
    }

    /// The answer to a command that was accepted before.
    pub(crate) fn accepted_before(&self, envelope: &EnvelopeOf<K>) -> Option<OutcomeOf<K>> {
        self.answered_before(envelope).filter(|outcome| matches!(outcome, Outcome::Accepted(_)))
    }

    fn answered_before(&self, envelope: &EnvelopeOf<K>) -> Option<OutcomeOf<K>> {
        let same = match self.in_flight.command(&envelope.key) {
            Some(decided) => (decided.fingerprint == Some(envelope.fingerprint)).then(|| as_replay(decided.outcome.clone())),
            None => match self.loaded.command(&envelope.key) {
                Some(records) => (fingerprint_of(records) == Some(envelope.fingerprint)).then(|| self.stored_outcome(envelope, records)),
                None => {
                    let records = self.loaded.command(&CommandKey::without_caller(envelope.key.id.clone()))?;
                    if !records.first().is_some_and(|record| envelope.may_repeat(&record.metadata.actor)) {
                        // Somebody else's key: in journal format 1 all callers had theirs in one place.
                        return None;
                    }
                    let envelope = envelope.in_format_1()?;
                    (fingerprint_of(records) == Some(envelope.fingerprint)).then(|| self.stored_outcome(&envelope, records))
                }
            },
        };
        Some(same.unwrap_or_else(|| {
            let detail = format!("the key {} was used before, with another body", envelope.key.id);
            let refusal = Refusal::new(RefusalCode::IdempotencyKeyReused, detail);
            Outcome::Refused(Refused { refusal, position: None, recorded_at: None, replayed: false })
        }))
    }

    /// The first answer to a command again, from its records.
    fn stored_outcome(&self, envelope: &EnvelopeOf<K>, records: &[RecordOf<K>]) -> OutcomeOf<K> {
        match records.first().and_then(|record| Some((record, record.event.as_command()?))) {
            Some((record, CommandEvent::Refused(refused))) => Outcome::Refused(Refused {
                refusal: Refusal { code: refused.code, detail: refused.detail.clone(), pointer: refused.pointer.clone() },
                position: Some(record.position),
                recorded_at: Some(record.recorded_at),
                replayed: true,
            }),
            None => self.accepted(envelope, records, true),
        }
    }

    /// The answer to an accepted command, from its records.
    fn accepted(&self, envelope: &EnvelopeOf<K>, records: &[RecordOf<K>], replayed: bool) -> OutcomeOf<K> {
        let (first, last) = (&records[0], &records[records.len() - 1]);
        let target = K::target(&envelope.command, &self.journal_name);
        let of_target = records.iter().rfind(|record| record.stream == target).unwrap_or(last);
        // Later events of a stream have later versions, so the last that is the first of its stream began it.
        let begun = records.iter().rfind(|record| record.version == StreamVersion::ZERO.next());
        Outcome::Accepted(Accepted {
            first: first.position,
            last: last.position,
            stream: of_target.stream.clone(),
            version: of_target.version,
            begun: begun.map(|record| record.stream.clone()),
            recorded_at: last.recorded_at,
            replayed,
        })
    }

    /// The version of a stream after everything decided so far.
    fn version_of(&self, stream: &K::Stream) -> StreamVersion {
        if *stream == K::Stream::of_journal(self.journal_name.clone()) {
            return self.journal_version;
        }
        match K::unwritten(stream) {
            Some(_) => self.known(stream).map_or(StreamVersion::ZERO, |(_, version)| version),
            None => self.state.version(stream),
        }
    }

    /// An aggregate as it is after everything decided so far, if it is known.
    fn known(&self, stream: &K::Stream) -> Option<(K::Aggregate, StreamVersion)> {
        if let Some((written, _)) = self.in_flight.aggregate(stream) {
            return Some((written.aggregate.clone(), written.version));
        }
        self.state.resident(stream).or_else(|| self.loaded.aggregates.get(stream).map(|loaded| loaded.what.clone()))
    }
}

impl<K: Kind> Loaded<K> for Decider<K> {
    fn aggregate(&self, stream: &K::Stream) -> Option<K::Aggregate> {
        self.known(stream).map(|(aggregate, _)| aggregate)
    }
}

/// The unit of work: all events of one command.
struct Unit<'a, K: Kind> {
    decider: &'a mut Decider<K>,
    records: &'a mut Vec<RecordOf<K>>,
    key: &'a CommandKey,
    now: Timestamp,
    metadata: Arc<Metadata>,
    /// Where the records of the command begin.
    first: usize,
    /// The aggregate that was looked at last: what is decided about it is mostly recorded next.
    looked_at: Option<(K::Stream, K::Aggregate, StreamVersion)>,
}

impl<'a, K: Kind> Unit<'a, K> {
    fn begin(decider: &'a mut Decider<K>, envelope: &'a EnvelopeOf<K>, now: Timestamp, records: &'a mut Vec<RecordOf<K>>) -> Self {
        let metadata = Metadata {
            actor: envelope.actor.clone(),
            caller: envelope.key.caller.clone(),
            causation: envelope.causation.clone(),
            command: envelope.key.id.clone(),
            correlation: envelope.correlation.clone(),
            fingerprint: Some(envelope.fingerprint),
            traceparent: envelope.traceparent.clone(),
        };
        let first = records.len();
        Self { decider, records, key: &envelope.key, now, metadata: Arc::new(metadata), first, looked_at: None }
    }

    fn look_at(&mut self, stream: &K::Stream) -> (K::Aggregate, StreamVersion) {
        match self.looked_at.take().filter(|(last, ..)| last == stream) {
            Some((_, aggregate, version)) => (aggregate, version),
            None => {
                let unwritten = || K::unwritten(stream).unwrap_or_else(|| panic!("{stream} has no aggregate that is loaded"));
                self.decider.known(stream).unwrap_or_else(|| (unwritten(), StreamVersion::ZERO))
            }
        }
    }
}

impl<K: Kind> World<K> for Unit<'_, K> {
    type Mark = Moment<K>;

    fn now(&self) -> Timestamp {
        self.now
    }

    fn key(&self) -> &CommandKey {
        self.key
    }

    fn journal_name(&self) -> &ShortText {
        &self.decider.journal_name
    }

    fn journal(&self) -> &Journal {
        &self.decider.journal
    }

    fn state(&self) -> &K {
        &self.decider.state
    }

    fn aggregate(&mut self, stream: &K::Stream) -> K::Aggregate {
        let (aggregate, version) = self.look_at(stream);
        self.looked_at = Some((stream.clone(), aggregate.clone(), version));
        aggregate
    }

    fn record(&mut self, stream: K::Stream, event: K::Event) {
        let position = self.decider.position.next();
        let against_the_rules = |illegal: IllegalTransition| -> ! { panic!("decided against the rules: {illegal}") };
        let is_loaded = K::unwritten(&stream).is_some();
        let (aggregate, version) = if is_loaded {
            let (aggregate, version) = self.look_at(&stream);
            let aggregate = K::evolve(aggregate, &event).unwrap_or_else(|illegal| against_the_rules(illegal));
            (Some(aggregate), version.next())
        } else {
            (None, self.decider.version_of(&stream).next())
        };
        self.decider.fold(&stream, version, &event).unwrap_or_else(|illegal| against_the_rules(illegal));
        if let Some(aggregate) = aggregate {
            self.decider.in_flight.write(stream.clone(), Written { aggregate, version }, position);
        }
        // Later events of a command do not repeat its fingerprint.
        let metadata = if self.records.len() == self.first {
            self.metadata.clone()
        } else {
            Arc::new(Metadata { fingerprint: None, ..(*self.metadata).clone() })
        };
        self.records.push(Recorded { position, stream, version, event, metadata, recorded_at: self.now });
        self.decider.position = position;
        self.decider.last_recorded_at = self.now;
    }

    fn mark(&mut self) -> Moment<K> {
        self.decider.moment(self.records.len())
    }

    fn roll_back(&mut self, mark: Moment<K>) {
        self.looked_at = None;
        self.decider.roll_back(&mark, self.records);
    }
}

/// What a command asked, from its records.
fn fingerprint_of<S, E>(records: &[Recorded<S, E>]) -> Option<Fingerprint> {
    records.first().and_then(|record| record.metadata.fingerprint)
}

fn as_replay<S>(outcome: Outcome<S>) -> Outcome<S> {
    match outcome {
        Outcome::Accepted(accepted) => Outcome::Accepted(Accepted { replayed: true, ..accepted }),
        Outcome::Refused(refused) => Outcome::Refused(Refused { replayed: true, ..refused }),
        other => other,
    }
}
