//! The decision state of a ledger journal, and the unit of work: all events of a command, of several
//! aggregates where it takes several, decided one after another and taken back together.
//!
//! A journal of another kind (`signals`, `market`) gets a module like this one: its fold, what to prefetch,
//! how a command becomes events. The sequencer does the rest.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use cauri_domain::account::{Account, AccountAction, AccountCommand, CloseAccount, decide as account_decide};
use cauri_domain::command::{CommandEvent, CommandRefused};
use cauri_domain::entry::{self, Entry, EntryAction, EntryCommand, EntryEvent, ReverseEntry, decide as entry_decide};
use cauri_domain::fold::{Balances, LedgerRules, Mark};
use cauri_domain::ids::{CommandKey, EntryId};
use cauri_domain::journal::{self, CloseJournal, Journal};
use cauri_domain::text::ShortText;
use cauri_domain::time::Timestamp;
use cauri_domain::{LedgerCommand, Refusal, RefusalCode};
use cauri_event_schemas::record::{ENGINE, ENGINE_COMMANDS};
use cauri_event_schemas::{Event, Fingerprint, Metadata, Position, Recorded, StreamId, StreamVersion};
use cauri_event_store::{CheckedBatch, Corruption, EventStore, Lookup, StoreError};
use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use crate::submission::{Accepted, CommandEnvelope, Outcome, Refused};

/// Changes whenever the shape of a snapshot changes; a snapshot of another shape is ignored.
const SNAPSHOT_FORMAT: u32 = 2;

/// Everything that deciding looks at, at the position of the last decided event.
pub(crate) struct Ledger {
    balances: Balances,
    journal: Journal,
    journal_version: StreamVersion,
    journal_name: ShortText,
    last_recorded_at: Timestamp,
    /// Position of the last decided event, durable or not.
    position: Position,
    /// What was decided and is not yet durable.
    in_flight: InFlight,
    /// What the store says of the ids that the commands in hand name.
    prefetched: Prefetched,
}

/// Entries and commands of batches that are on their way to the store, which does not answer for them yet.
#[derive(Default)]
struct InFlight {
    entries: HashMap<EntryId, Written>,
    commands: HashMap<CommandKey, Decided>,
    /// What the submission in hand replaced, to be taken back with it.
    replaced_entries: Vec<(EntryId, Option<Written>)>,
    added_commands: Vec<CommandKey>,
}

struct Written {
    entry: Entry,
    version: StreamVersion,
    at: Position,
}

struct Decided {
    fingerprint: Fingerprint,
    outcome: Outcome,
    at: Position,
}

#[derive(Default)]
struct Prefetched {
    entries: HashMap<EntryId, (Entry, StreamVersion)>,
    commands: HashMap<CommandKey, Vec<Recorded>>,
}

#[derive(Serialize, Deserialize)]
struct SnapshotShape<B> {
    format: u32,
    /// What it is the state at; kept beside the state, so that a snapshot under another position is seen to be wrong.
    position: u64,
    balances: B,
    journal: Journal,
    journal_version: StreamVersion,
    last_recorded_at: i64,
}

/// A moment to come back to: all that a submission changed since is taken back.
pub(crate) struct LedgerMark {
    balances: Mark,
    journal: Journal,
    journal_version: StreamVersion,
    last_recorded_at: Timestamp,
    position: Position,
    records: usize,
}

impl Ledger {
    pub(crate) fn empty(rules: LedgerRules, name: ShortText) -> Self {
        Self {
            balances: Balances::new(rules),
            journal: Journal::default(),
            journal_version: StreamVersion::ZERO,
            journal_name: name,
            last_recorded_at: Timestamp::MIN,
            position: Position::ZERO,
            in_flight: InFlight::default(),
            prefetched: Prefetched::default(),
        }
    }

    /// Restores a snapshot that was taken at `position`; `None` if it is of another shape.
    pub(crate) fn restore(state: &[u8], position: Position, rules: LedgerRules, name: ShortText) -> Option<Self> {
        let shape: SnapshotShape<Balances> = postcard::from_bytes(state).ok()?;
        (shape.format == SNAPSHOT_FORMAT && shape.position == position.get()).then(|| Self {
            balances: shape.balances.reindexed(rules),
            journal: shape.journal,
            journal_version: shape.journal_version,
            last_recorded_at: Timestamp::from_micros(shape.last_recorded_at).unwrap_or(Timestamp::MIN),
            position,
            ..Self::empty(rules, name)
        })
    }

    /// The state as bytes, for [`Ledger::restore`].
    pub(crate) fn snapshot(&self) -> Option<Vec<u8>> {
        let shape = SnapshotShape {
            format: SNAPSHOT_FORMAT,
            position: self.position.get(),
            balances: &self.balances,
            journal: self.journal,
            journal_version: self.journal_version,
            last_recorded_at: self.last_recorded_at.as_micros(),
        };
        postcard::to_stdvec(&shape).ok()
    }

    pub(crate) fn balances(&self) -> &Balances {
        &self.balances
    }

    pub(crate) fn position(&self) -> Position {
        self.position
    }

    /// When the next open hold expires. In a closed journal none does.
    pub(crate) fn next_expiry(&self) -> Option<Timestamp> {
        self.balances.next_expiry().filter(|_| self.journal == Journal::Open)
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
    pub(crate) fn replay(&mut self, record: &Recorded) -> Result<(), Corruption> {
        let corrupt = |what: String| Corruption::new(record.position, what);
        if record.recorded_at < self.last_recorded_at {
            return Err(corrupt(format!("recorded at {}, before {}", record.recorded_at, self.last_recorded_at)));
        }
        self.fold(record).map_err(|illegal| corrupt(illegal.to_string()))?;
        if let StreamId::Account(address) = &record.stream {
            // One stored event may be several of today's, which share its version.
            self.balances.note_version(address, record.version.get());
        }
        self.last_recorded_at = record.recorded_at;
        self.position = record.position;
        Ok(())
    }

    fn fold(&mut self, record: &Recorded) -> Result<(), cauri_domain::IllegalTransition> {
        match (&record.event, &record.stream) {
            (Event::Account(event), StreamId::Account(address)) => self.balances.apply_account(address, event),
            (Event::Entry(event), StreamId::Entry(id)) => self.balances.apply_entry(id, event),
            (Event::Journal(event), StreamId::Journal(_)) => {
                self.journal = journal::evolve(self.journal, event)?;
                self.journal_version = record.version;
                Ok(())
            }
            (Event::Command(_), StreamId::Command(_)) => Ok(()),
            (event, stream) => Err(cauri_domain::IllegalTransition::new(stream.to_string(), "of another kind", event.name())),
        }
    }

    /// What was decided before can no longer be taken back with the submission that begins.
    pub(crate) fn begin_submission(&mut self) {
        self.in_flight.replaced_entries.clear();
        self.in_flight.added_commands.clear();
    }

    pub(crate) fn mark(&mut self, records: usize) -> LedgerMark {
        self.begin_submission();
        LedgerMark {
            balances: self.balances.mark(),
            journal: self.journal,
            journal_version: self.journal_version,
            last_recorded_at: self.last_recorded_at,
            position: self.position,
            records,
        }
    }

    /// Takes back everything since `mark`, of the submission in hand or of whole batches.
    pub(crate) fn roll_back(&mut self, mark: &LedgerMark, records: &mut Vec<Recorded>) {
        self.balances.roll_back(mark.balances);
        self.journal = mark.journal;
        self.journal_version = mark.journal_version;
        self.last_recorded_at = mark.last_recorded_at;
        self.position = mark.position;
        records.truncate(mark.records);
        for (id, replaced) in self.in_flight.replaced_entries.drain(..).rev() {
            match replaced {
                Some(written) => self.in_flight.entries.insert(id, written),
                None => self.in_flight.entries.remove(&id),
            };
        }
        for id in self.in_flight.added_commands.drain(..) {
            self.in_flight.commands.remove(&id);
        }
    }

    /// Takes back every batch that did not become durable.
    pub(crate) fn drop_speculation(&mut self, durable: &LedgerMark) {
        self.roll_back(durable, &mut Vec::new());
        self.in_flight = InFlight::default();
    }

    /// Everything up to `position`, and up to the moment of `mark`, is durable: the store answers for it.
    pub(crate) fn forget(&mut self, mark: &LedgerMark, position: Position) {
        self.balances.forget(mark.balances);
        self.in_flight.entries.retain(|_, written| written.at > position);
        self.in_flight.commands.retain(|_, decided| decided.at > position);
    }

    /// Asks the store for all that the commands in hand name, so that deciding needs no I/O.
    ///
    /// Entries are taken as they are at `durable`, like everything else that is decided on: what another engine
    /// appended after it is seen with the rest of its tail.
    pub(crate) fn prefetch<'a>(
        &mut self,
        store: &dyn EventStore,
        durable: Position,
        commands: impl Iterator<Item = &'a CommandEnvelope>,
    ) -> Result<(), StoreError> {
        self.prefetched = Prefetched::default();
        let mut lookups = Vec::new();
        let in_format_1 = store.format_1_until() > Position::ZERO;
        for envelope in commands {
            if !self.in_flight.commands.contains_key(&envelope.key) {
                lookups.push(Lookup::Command(envelope.key.clone()));
                if in_format_1 {
                    lookups.push(Lookup::Command(CommandKey::without_caller(envelope.key.id.clone())));
                }
            }
            for id in entries_named(envelope).into_iter().flatten() {
                let known = self.in_flight.entries.contains_key(&id) || self.balances.hold(&id).is_some();
                if !known {
                    lookups.push(Lookup::Stream(StreamId::Entry(id)));
                }
            }
        }
        let found = store.locate(&lookups)?;
        // A retried bulk names command after command of one batch: it is read once.
        let mut batch = None;
        for (lookup, position) in lookups.into_iter().zip(found).filter_map(|(lookup, found)| Some((lookup, found?))) {
            match lookup {
                Lookup::Command(key) => {
                    let records = records_of_command(store, &mut batch, &key, position)?;
                    self.prefetched.commands.insert(key, records);
                }
                Lookup::Stream(StreamId::Entry(id)) => {
                    let loaded = load_entry(store, id, durable)?;
                    self.prefetched.entries.insert(id, loaded);
                }
                Lookup::Stream(_) => {}
            }
        }
        Ok(())
    }

    /// Decides one command at `now`; its records are added to `records`.
    ///
    /// What it does not accept leaves nothing behind but, for a refusal, the record that remembers it.
    pub(crate) fn decide(&mut self, envelope: &CommandEnvelope, now: Timestamp, records: &mut Vec<Recorded>) -> Outcome {
        if let Some(answer) = self.answered_before(envelope) {
            return answer;
        }
        if let Some(expected) = envelope.expected_version {
            let actual = self.version_of_target(&envelope.command);
            if actual != expected {
                return Outcome::VersionMismatch { actual };
            }
        }
        let first = self.position.next();
        let mut unit = Unit::begin(self, envelope, now, records);
        let outcome = match unit.command(&envelope.command, &envelope.key) {
            Ok(()) => accepted(envelope, &records[records.len() - (self.position.get() + 1 - first.get()) as usize..], false),
            Err(refusal) => self.remember(envelope, now, refusal, records),
        };
        let decided = Decided { fingerprint: envelope.fingerprint, outcome: outcome.clone(), at: self.position };
        self.in_flight.commands.insert(envelope.key.clone(), decided);
        self.in_flight.added_commands.push(envelope.key.clone());
        outcome
    }

    /// Records a refusal, so that a retry is told the same.
    pub(crate) fn remember(
        &mut self,
        envelope: &CommandEnvelope,
        now: Timestamp,
        refusal: Refusal,
        records: &mut Vec<Recorded>,
    ) -> Outcome {
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
        unit.record(StreamId::Command(envelope.key.clone()), StreamVersion::ZERO.next(), event.into());
        let position = Some(self.position);
        let outcome = Outcome::Refused(Refused { refusal, position, recorded_at: Some(now), replayed: false });
        let decided = Decided { fingerprint: envelope.fingerprint, outcome: outcome.clone(), at: self.position };
        self.in_flight.commands.insert(envelope.key.clone(), decided);
        self.in_flight.added_commands.push(envelope.key.clone());
        outcome
    }

    /// How many transfers a command moves, as far as that is known before it is decided: an entry that is posted earlier in
    /// the same submission counts there.
    pub(crate) fn transfers_of(&self, envelope: &CommandEnvelope) -> usize {
        match &envelope.command {
            LedgerCommand::Entry { id, action } => match &**action {
                EntryAction::Post(post) => post.transfers.len(),
                EntryAction::PostHold(_) | EntryAction::VoidHold(_) | EntryAction::ExpireHold | EntryAction::Reverse(_) => {
                    self.entry(id).0.transfers().len()
                }
            },
            LedgerCommand::Account(_) | LedgerCommand::CloseJournal(_) => 1,
        }
    }

    /// Whether a hold is open whose time has passed.
    pub(crate) fn has_expired(&self, now: Timestamp) -> bool {
        self.next_expiry().is_some_and(|at| at <= now)
    }

    /// Releases one hold whose time has passed: how many transfers it had; `None` if there is none.
    pub(crate) fn expire_one(&mut self, now: Timestamp, records: &mut Vec<Recorded>) -> Option<usize> {
        if self.journal == Journal::Closed {
            return None;
        }
        let id = self.balances.expired_hold(now)?;
        let command = format!("{ENGINE_COMMANDS}{id}").parse().expect("a command id");
        let envelope = CommandEnvelope {
            command: LedgerCommand::entry(id, EntryAction::ExpireHold),
            key: CommandKey::without_caller(command),
            fingerprint: Fingerprint::version_1([0; 16]),
            actor: ENGINE.parse().expect("a short text"),
            subject: None,
            causation: None,
            correlation: None,
            traceparent: None,
            expected_version: None,
        };
        let transfers = self.transfers_of(&envelope);
        let mut unit = Unit::begin(self, &envelope, now, records);
        unit.command(&envelope.command, &envelope.key).expect("an open hold can expire");
        Some(transfers)
    }

    /// The refusal that a command was answered with before.
    pub(crate) fn refused_before(&self, envelope: &CommandEnvelope) -> Option<Outcome> {
        self.answered_before(envelope).filter(|outcome| matches!(outcome, Outcome::Refused(Refused { replayed: true, .. })))
    }

    /// Whether a command has an answer without being decided: it was decided before, or its id belongs to another one.
    pub(crate) fn has_answer(&self, envelope: &CommandEnvelope) -> bool {
        self.answered_before(envelope).is_some()
    }

    /// The answer to a command that was accepted before.
    pub(crate) fn accepted_before(&self, envelope: &CommandEnvelope) -> Option<Outcome> {
        self.answered_before(envelope).filter(|outcome| matches!(outcome, Outcome::Accepted(_)))
    }

    fn answered_before(&self, envelope: &CommandEnvelope) -> Option<Outcome> {
        let same = match self.in_flight.commands.get(&envelope.key) {
            Some(decided) => (decided.fingerprint == envelope.fingerprint).then(|| as_replay(decided.outcome.clone())),
            None => match self.prefetched.commands.get(&envelope.key) {
                Some(records) => (fingerprint_of(records) == Some(envelope.fingerprint)).then(|| stored_outcome(envelope, records)),
                None => {
                    let records = self.prefetched.commands.get(&CommandKey::without_caller(envelope.key.id.clone()))?;
                    if !records.first().is_some_and(|record| envelope.may_repeat(&record.metadata.actor)) {
                        // Somebody else's key: in journal format 1 all callers had theirs in one place.
                        return None;
                    }
                    let envelope = envelope.in_format_1();
                    (fingerprint_of(records) == Some(envelope.fingerprint)).then(|| stored_outcome(&envelope, records))
                }
            },
        };
        Some(same.unwrap_or_else(|| {
            let detail = format!("the key {} was used before, with another body", envelope.key.id);
            let refusal = Refusal::new(RefusalCode::IdempotencyKeyReused, detail);
            Outcome::Refused(Refused { refusal, position: None, recorded_at: None, replayed: false })
        }))
    }

    fn version_of_target(&self, command: &LedgerCommand) -> StreamVersion {
        match command {
            LedgerCommand::Account(command) => StreamVersion::new(self.balances.version(&command.address)),
            LedgerCommand::Entry { id, .. } => self.entry(id).1,
            LedgerCommand::CloseJournal(_) => self.journal_version,
        }
    }

    /// An entry as it is after everything decided so far.
    fn entry(&self, id: &EntryId) -> (Entry, StreamVersion) {
        if let Some(written) = self.in_flight.entries.get(id) {
            return (written.entry.clone(), written.version);
        }
        if let Some(held) = self.balances.hold(id) {
            return (held, StreamVersion::ZERO.next());
        }
        self.prefetched.entries.get(id).cloned().unwrap_or_default()
    }
}

/// All events of one command. They are folded as they are decided, so that the next decision sees them.
struct Unit<'a> {
    ledger: &'a mut Ledger,
    records: &'a mut Vec<Recorded>,
    now: Timestamp,
    metadata: Arc<Metadata>,
    // Later events of a command do not repeat its fingerprint.
    is_first: bool,
}

impl<'a> Unit<'a> {
    fn begin(ledger: &'a mut Ledger, envelope: &CommandEnvelope, now: Timestamp, records: &'a mut Vec<Recorded>) -> Self {
        let metadata = Metadata {
            actor: envelope.actor.clone(),
            caller: envelope.key.caller.clone(),
            causation: envelope.causation.clone(),
            command: envelope.key.id.clone(),
            correlation: envelope.correlation.clone(),
            fingerprint: Some(envelope.fingerprint),
            traceparent: envelope.traceparent.clone(),
        };
        Self { ledger, records, now, metadata: Arc::new(metadata), is_first: true }
    }

    fn command(&mut self, command: &LedgerCommand, key: &CommandKey) -> Result<(), Refusal> {
        if let LedgerCommand::CloseJournal(close) = command {
            return self.close_journal(close);
        }
        self.ledger.journal.check_open()?;
        match command {
            LedgerCommand::Account(command) => match &*command.action {
                AccountAction::Close(close) => self.close_account(command, close, key),
                _ => self.account(command.clone()),
            },
            LedgerCommand::Entry { id: entry, action } => match &**action {
                EntryAction::Reverse(reverse) => self.reverse(*entry, reverse, key),
                _ => self.entry(*entry, action.clone()),
            },
            LedgerCommand::CloseJournal(_) => Ok(()),
        }
    }

    /// Sweeps what is left, then closes: two aggregates, one commit.
    fn close_account(&mut self, command: &AccountCommand, close: &CloseAccount, key: &CommandKey) -> Result<(), Refusal> {
        let account = self.ledger.balances.account(&command.address);
        let sweep = account_decide::sweep(&account, &command.address, close, key, &self.ledger.balances)?;
        let entry_id = sweep.as_ref().and_then(|sweep| sweep.id);
        if let (Some(sweep), Some(entry)) = (sweep, entry_id) {
            self.entry(entry, Arc::new(EntryAction::Post(sweep))).map_err(without_pointer)?;
        }
        let action = AccountAction::Close(CloseAccount { entry_id, ..close.clone() });
        self.account(AccountCommand { address: command.address.clone(), action: Arc::new(action) })
    }

    /// Marks the original as reversed and posts its opposite: two entries, one commit.
    ///
    /// Both are decided, so that the refusal with precedence is the answer.
    fn reverse(&mut self, original: EntryId, reverse: &ReverseEntry, key: &CommandKey) -> Result<(), Refusal> {
        let by = reverse.entry_id.unwrap_or_else(|| EntryId::derived_from(key));
        let (entry, _) = self.ledger.entry(&original);
        let opposite = entry_decide::opposite(&entry, original, reverse, by);
        let mark = self.ledger.balances.mark();
        let (position, records) = (self.ledger.position, self.records.len());
        let named = ReverseEntry { entry_id: Some(by), ..reverse.clone() };
        let reversed = self.entry(original, Arc::new(EntryAction::Reverse(named)));
        let posted = match opposite {
            Some(opposite) => self.entry(by, Arc::new(EntryAction::Post(opposite))).map_err(without_pointer),
            None => Err(Refusal::new(RefusalCode::EntryNotPosted, "the entry moved nothing")),
        };
        let refusal = match (reversed, posted) {
            (Ok(()), Ok(())) => return Ok(()),
            (Err(first), Err(second)) => std::cmp::min_by_key(first, second, |refusal| refusal.code),
            (Err(refusal), Ok(())) | (Ok(()), Err(refusal)) => refusal,
        };
        self.take_back(mark, position, records);
        Err(refusal)
    }

    fn close_journal(&mut self, close: &CloseJournal) -> Result<(), Refusal> {
        let mut journal = self.ledger.journal;
        for event in handled(&mut journal, close.clone(), &())? {
            let version = self.ledger.journal_version.next();
            let stream = StreamId::Journal(self.ledger.journal_name.clone());
            self.record(stream, version, event.into());
        }
        self.ledger.journal = journal;
        self.ledger.journal_version = self.ledger.journal_version.next();
        Ok(())
    }

    fn account(&mut self, command: AccountCommand) -> Result<(), Refusal> {
        let address = command.address.clone();
        let mut account: Account = self.ledger.balances.account(&address);
        for event in handled(&mut account, command, &self.ledger.balances)? {
            self.ledger.balances.apply_account(&address, &event).unwrap_or_else(|illegal| panic!("decided against the rules: {illegal}"));
            let version = StreamVersion::new(self.ledger.balances.version(&address));
            self.record(StreamId::Account(address.clone()), version, event.into());
        }
        Ok(())
    }

    fn entry(&mut self, id: EntryId, action: Arc<EntryAction>) -> Result<(), Refusal> {
        let (mut entry, mut version) = self.ledger.entry(&id);
        for event in handled(&mut entry, EntryCommand { now: self.now, action }, &self.ledger.balances)? {
            self.ledger.balances.apply_entry(&id, &event).unwrap_or_else(|illegal| panic!("decided against the rules: {illegal}"));
            version = version.next();
            self.record(StreamId::Entry(id), version, event.into());
        }
        let written = Written { entry, version, at: self.ledger.position };
        let replaced = self.ledger.in_flight.entries.insert(id, written);
        self.ledger.in_flight.replaced_entries.push((id, replaced));
        Ok(())
    }

    fn record(&mut self, stream: StreamId, version: StreamVersion, event: Event) {
        let position = self.ledger.position.next();
        let metadata =
            if self.is_first { self.metadata.clone() } else { Arc::new(Metadata { fingerprint: None, ..(*self.metadata).clone() }) };
        self.records.push(Recorded { position, stream, version, event, metadata, recorded_at: self.now });
        self.is_first = false;
        self.ledger.position = position;
        self.ledger.last_recorded_at = self.now;
    }

    fn take_back(&mut self, mark: Mark, position: Position, records: usize) {
        self.ledger.balances.roll_back(mark);
        self.ledger.position = position;
        let undone = self.records.drain(records..).filter(|record| matches!(record.stream, StreamId::Entry(_))).count();
        let replaced = &mut self.ledger.in_flight.replaced_entries;
        for (id, before) in replaced.drain(replaced.len() - undone..).rev() {
            match before {
                Some(written) => self.ledger.in_flight.entries.insert(id, written),
                None => self.ledger.in_flight.entries.remove(&id),
            };
        }
        self.is_first = true;
    }
}

/// Runs an aggregate's `handle`. It awaits nothing but its sink, so its first poll is its last.
fn handled<A: Aggregate>(aggregate: &mut A, command: A::Command, services: &A::Services) -> Result<Vec<A::Event>, A::Error> {
    let sink = EventSink::default();
    polled(aggregate.handle(command, services, &sink))?;
    Ok(polled(sink.collect()))
}

fn polled<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("an aggregate awaits nothing but its sink"),
    }
}

/// What a refusal of the engine's own entry points at is not in the caller's command.
fn without_pointer(refusal: Refusal) -> Refusal {
    Refusal { pointer: None, ..refusal }
}

/// Every entry that a command may look at or write.
fn entries_named(envelope: &CommandEnvelope) -> [Option<EntryId>; 2] {
    let derived = || EntryId::derived_from(&envelope.key);
    match &envelope.command {
        LedgerCommand::Account(command) => match &*command.action {
            AccountAction::Close(close) => [Some(close.entry_id.unwrap_or_else(derived)), None],
            _ => [None, None],
        },
        LedgerCommand::Entry { id, action } => match &**action {
            EntryAction::Reverse(reverse) => [Some(*id), Some(reverse.entry_id.unwrap_or_else(derived))],
            _ => [Some(*id), None],
        },
        LedgerCommand::CloseJournal(_) => [None, None],
    }
}

/// The answer to an accepted command, from its records.
fn accepted(envelope: &CommandEnvelope, records: &[Recorded], replayed: bool) -> Outcome {
    let (first, last) = (&records[0], &records[records.len() - 1]);
    let of_target = |record: &&Recorded| match (&envelope.command, &record.stream) {
        (LedgerCommand::Account(command), StreamId::Account(address)) => command.address == *address,
        (LedgerCommand::Entry { id, .. }, StreamId::Entry(entry)) => id == entry,
        (LedgerCommand::CloseJournal(_), StreamId::Journal(_)) => true,
        _ => false,
    };
    let target = records.iter().rfind(of_target).unwrap_or(last);
    let entry = records.iter().rev().find_map(|record| match (&record.event, &record.stream) {
        (Event::Entry(EntryEvent::Posted(_) | EntryEvent::Held(_)), StreamId::Entry(id)) => Some(*id),
        _ => None,
    });
    Outcome::Accepted(Accepted {
        first: first.position,
        last: last.position,
        stream: target.stream.clone(),
        version: target.version,
        entry,
        recorded_at: last.recorded_at,
        replayed,
    })
}

/// What a command asked, from its records.
fn fingerprint_of(records: &[Recorded]) -> Option<Fingerprint> {
    records.first().and_then(|record| record.metadata.fingerprint)
}

/// The first answer to a command again, from its records.
fn stored_outcome(envelope: &CommandEnvelope, records: &[Recorded]) -> Outcome {
    match records {
        [Recorded { event: Event::Command(CommandEvent::Refused(refused)), position, recorded_at, .. }, ..] => Outcome::Refused(Refused {
            refusal: Refusal { code: refused.code, detail: refused.detail.clone(), pointer: refused.pointer.clone() },
            position: Some(*position),
            recorded_at: Some(*recorded_at),
            replayed: true,
        }),
        records => accepted(envelope, records, true),
    }
}

fn as_replay(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Accepted(accepted) => Outcome::Accepted(Accepted { replayed: true, ..accepted }),
        Outcome::Refused(refused) => Outcome::Refused(Refused { replayed: true, ..refused }),
        other => other,
    }
}

/// All records of a command, from its first one on; `batch` is the last batch that was read.
fn records_of_command(
    store: &dyn EventStore,
    batch: &mut Option<CheckedBatch>,
    command: &CommandKey,
    first: Position,
) -> Result<Vec<Recorded>, StoreError> {
    if batch.as_ref().is_none_or(|batch| batch.at(first).is_none()) {
        *batch = store.read_checked(first)?;
    }
    let mut records = Vec::new();
    let mut position = first;
    // A commit never spans two batches.
    while let Some(record) = batch.as_ref().and_then(|batch| batch.at(position)) {
        let decoded = record.decode()?;
        if decoded.first().is_none_or(|record| !record.metadata.is_of(command)) {
            break;
        }
        records.extend(decoded);
        position = position.next();
    }
    Ok(records)
}

/// An entry and its version at a position, from its stream.
fn load_entry(store: &dyn EventStore, id: EntryId, at: Position) -> Result<(Entry, StreamVersion), StoreError> {
    let (mut entry, mut version) = (Entry::default(), StreamVersion::ZERO);
    for stored in store.read_stream(&StreamId::Entry(id), version)? {
        if stored.as_record().position() > at {
            break;
        }
        for record in stored.as_record().decode()? {
            if let Event::Entry(event) = &record.event {
                entry = entry::evolve(entry, event).map_err(|illegal| Corruption::new(record.position, illegal.to_string()))?;
                version = record.version;
            }
        }
    }
    Ok((entry, version))
}
