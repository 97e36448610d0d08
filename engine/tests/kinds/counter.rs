//! A kind that is not ours: a counter, whose rules can be made to panic.

use std::fmt;
use std::sync::Arc;

use cauri_domain::command::CommandEvent;
use cauri_domain::event::{EventSet, Payload};
use cauri_domain::ids::{CommandId, CommandKey};
use cauri_domain::journal::{CloseJournal, JournalCommand, JournalEvent, Rules};
use cauri_domain::kind::{Kind, KindCommand, KindEvent, Loaded, NotAStream, StreamKey, World};
use cauri_domain::ledger::Ledger;
use cauri_domain::text::ShortText;
use cauri_domain::time::Timestamp;
use cauri_domain::{IllegalTransition, Refusal, RefusalCode, StreamVersion, event_types, event_union};
use cauri_engine::{Engine, EngineConfig, Mode, Outcome, StartError};
use cauri_event_store::memory::MemoryStore;
use cauri_event_store::{EventStore, StoreError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::suite::{Sample, accepted, engine, envelope, figures_become, head, one};

/// A counter without a fault.
const SOUND: u8 = 0;
/// What is taken back stays.
pub const TAKES_NOTHING_BACK: u8 = 1;
/// A snapshot has another sum.
pub const FREEZES_ANOTHER_SUM: u8 = 2;
/// A snapshot has no version.
pub const FREEZES_NO_VERSION: u8 = 3;
/// A version is not known.
pub const KNOWS_NO_VERSION: u8 = 4;
/// What is refused is done.
pub const REFUSES_NOTHING: u8 = 5;
/// Two commands are declared with the same words.
pub const DECLARES_ALL_ALIKE: u8 = 6;
/// A command for the journal is taken for one for the counter.
pub const KNOWS_NO_JOURNAL: u8 = 7;
/// At [`DUE_AT`] two things fall due, and a rule panics over the first.
const PANICS_WHEN_DUE: u8 = 8;

/// Something fell due before the first event, and a rule panics over it.
const PANICS_LATER: u8 = 9;

/// See [`PANICS_WHEN_DUE`].
const DUE_AT: u64 = 13;

/// Counts. Its changes are undone by a log of what was there before.
///
/// With another `FAULT` than none it breaks one promise of a kind, for the suite to be tried on.
#[derive(Debug, Default)]
pub struct Counter<const FAULT: u8 = SOUND> {
    sum: u64,
    version: StreamVersion,
    before: Vec<(u64, StreamVersion)>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum CounterCommand<const FAULT: u8 = SOUND> {
    Add(u64),
    /// Adds, and then a rule panics.
    AddAndPanic(u64),
    /// The rule panics that says what it needs.
    NeedAndPanic,
    /// The rule panics that says what it weighs.
    WeighAndPanic,
    /// Is refused after it added.
    AddAndRefuse(u64),
    Journal(JournalCommand),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Added {
    count: u64,
}

impl Payload for Added {
    fn examples() -> Vec<Self> {
        vec![Self { count: 1 }]
    }
}

event_types! {
    /// What happens to a counter.
    pub enum CountEvent {
        /// It is more.
        Added(Added) = "counter.added" 1,
    }
}

event_union! {
    /// What happens in a journal of a counter.
    pub enum CounterEvent {
        /// To the counter.
        Count(CountEvent),
        /// To a command.
        Command(CommandEvent),
        /// To the journal.
        Journal(JournalEvent),
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CounterStream {
    Command(CommandKey),
    Counter,
    Journal(ShortText),
}

impl fmt::Display for CounterStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CounterStream::Command(key) => write!(f, "command/{key}"),
            CounterStream::Counter => f.write_str("counter/one"),
            CounterStream::Journal(name) => write!(f, "journal/{name}"),
        }
    }
}

impl StreamKey for CounterStream {
    fn write_name(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.to_string().as_bytes());
    }

    fn parse(name: &str) -> Result<Self, NotAStream> {
        match name.split_once('/') {
            Some(("command", key)) => key.parse().map(CounterStream::Command).map_err(|_| NotAStream::invalid(name)),
            Some(("counter", _)) => Ok(CounterStream::Counter),
            Some(("journal", journal)) => journal.parse().map(CounterStream::Journal).map_err(|_| NotAStream::invalid(name)),
            _ => Err(NotAStream::unknown_type(name)),
        }
    }

    fn of_command(key: CommandKey) -> Self {
        CounterStream::Command(key)
    }

    fn of_journal(name: ShortText) -> Self {
        CounterStream::Journal(name)
    }
}

impl KindEvent for CounterEvent {
    fn as_command(&self) -> Option<&CommandEvent> {
        if let CounterEvent::Command(event) = self { Some(event) } else { None }
    }

    fn as_journal(&self) -> Option<&JournalEvent> {
        if let CounterEvent::Journal(event) = self { Some(event) } else { None }
    }
}

impl<const FAULT: u8> KindCommand for CounterCommand<FAULT> {
    fn op(&self) -> &'static str {
        "add"
    }

    fn declare(&self, out: &mut Vec<u8>) {
        if FAULT == DECLARES_ALL_ALIKE {
            return out.extend_from_slice(b"{}");
        }
        out.extend_from_slice(format!("{self:?}").as_bytes());
    }

    fn for_journal(&self) -> Option<&JournalCommand> {
        if let (CounterCommand::Journal(command), true) = (self, FAULT != KNOWS_NO_JOURNAL) { Some(command) } else { None }
    }
}

impl<const FAULT: u8> Kind for Counter<FAULT> {
    const NAME: &'static str = "counter";
    const OWN_COMMANDS: Option<&'static str> = None;
    const FROZEN_SHAPE: u32 = 1;

    type Command = CounterCommand<FAULT>;
    type Event = CounterEvent;
    type Stream = CounterStream;
    type Aggregate = ();
    type Mark = usize;
    type Frozen = (u64, StreamVersion);
    type Due = u64;
    type Figures = u64;

    fn empty(_: Rules) -> Self {
        Self::default()
    }

    fn set_rules(&mut self, _: Rules) {}

    fn target(command: &CounterCommand<FAULT>, journal: &ShortText) -> CounterStream {
        match command {
            CounterCommand::Journal(_) => CounterStream::Journal(journal.clone()),
            _ => CounterStream::Counter,
        }
    }

    fn needs(&self, command: &CounterCommand<FAULT>, _: &CommandKey, _: &impl Loaded<Self>, _: &mut impl FnMut(CounterStream)) {
        assert!(*command != CounterCommand::NeedAndPanic, "this rule is wrong");
    }

    fn unwritten(_: &CounterStream) -> Option<()> {
        None
    }

    fn resident(&self, _: &CounterStream) -> Option<((), StreamVersion)> {
        None
    }

    fn version(&self, stream: &CounterStream) -> StreamVersion {
        if *stream == CounterStream::Counter && FAULT != KNOWS_NO_VERSION { self.version } else { StreamVersion::ZERO }
    }

    fn evolve((): (), _: &CounterEvent) -> Result<(), IllegalTransition> {
        Ok(())
    }

    fn fold(&mut self, _: &CounterStream, version: StreamVersion, event: &CounterEvent) -> Result<(), IllegalTransition> {
        if let CounterEvent::Count(CountEvent::Added(added)) = event {
            self.before.push((self.sum, self.version));
            self.sum = self.sum.checked_add(added.count).ok_or_else(|| IllegalTransition::new("a counter", "full", event.name()))?;
            self.version = version;
        }
        Ok(())
    }

    fn decide(command: &CounterCommand<FAULT>, world: &mut impl World<Self>) -> Result<(), Refusal> {
        let mut add = |count: u64| world.record(CounterStream::Counter, CountEvent::Added(Added { count }).into());
        match command {
            CounterCommand::Add(count) => add(*count),
            CounterCommand::AddAndPanic(count) => {
                add(*count);
                add(*count);
                panic!("this rule is wrong");
            }
            CounterCommand::AddAndRefuse(count) => {
                add(*count);
                if FAULT == REFUSES_NOTHING {
                    return Ok(());
                }
                return Err(Refusal::new(RefusalCode::AboveCeiling, "too much"));
            }
            // Not reached, but by a fault.
            CounterCommand::Journal(_) | CounterCommand::NeedAndPanic | CounterCommand::WeighAndPanic => add(0),
        }
        Ok(())
    }

    fn weight(&self, command: &CounterCommand<FAULT>, _: &impl Loaded<Self>) -> usize {
        assert!(*command != CounterCommand::WeighAndPanic, "this rule is wrong");
        1_000
    }

    fn due(&self) -> impl Iterator<Item = (Timestamp, u64)> {
        let due: &[(Timestamp, u64)] = match FAULT {
            PANICS_WHEN_DUE if self.sum == DUE_AT => &[(Timestamp::MIN, 1), (Timestamp::MIN, 2)],
            PANICS_LATER => &[(Timestamp::UNIX_EPOCH, 1)],
            _ => &[],
        };
        due.iter().copied()
    }

    fn when_due(due: u64) -> (CommandId, CounterCommand<FAULT>) {
        let command = if due == 1 { CounterCommand::AddAndPanic(100) } else { CounterCommand::Add(due) };
        (format!("due-{due}").parse().expect("an id"), command)
    }

    fn mark(&self) -> usize {
        self.before.len()
    }

    fn roll_back(&mut self, mark: usize) {
        if FAULT == TAKES_NOTHING_BACK {
            return;
        }
        if let Some((sum, version)) = self.before.drain(mark..).next() {
            (self.sum, self.version) = (sum, version);
        }
    }

    // A counter for tests keeps its whole log, so that a mark is a place in it for ever.
    fn forget(&mut self, _: usize) {}

    fn len(&self) -> usize {
        1
    }

    fn freeze(&self) -> (u64, StreamVersion) {
        let sum = if FAULT == FREEZES_ANOTHER_SUM { self.sum + 1 } else { self.sum };
        (sum, if FAULT == FREEZES_NO_VERSION { StreamVersion::ZERO } else { self.version })
    }

    fn thaw((sum, version): (u64, StreamVersion), _: Rules) -> Self {
        Self { sum, version, before: Vec::new() }
    }

    fn figures(&self) -> u64 {
        self.sum
    }

    fn example_stream(_: &CounterEvent) -> CounterStream {
        CounterStream::Counter
    }
}

impl<const FAULT: u8> Sample for Counter<FAULT> {
    fn beginning() -> Vec<CounterCommand<FAULT>> {
        vec![CounterCommand::Add(1)]
    }

    fn accepted(number: u64) -> CounterCommand<FAULT> {
        CounterCommand::Add(number)
    }

    fn refused() -> CounterCommand<FAULT> {
        CounterCommand::AddAndRefuse(1_000)
    }

    fn close() -> CounterCommand<FAULT> {
        CounterCommand::Journal(JournalCommand::Close(CloseJournal::default()))
    }
}

#[test]
fn a_rule_that_panics_fails_its_command_alone_and_leaves_nothing_behind() {
    let store = MemoryStore::exclusive("counter");
    let engine = engine::<Counter>(&store, |_| {});
    let add = |key: &str, count| envelope::<Counter>(key, CounterCommand::Add(count));
    let (mut records, mut sum) = (0, 0);
    let panic = [CounterCommand::AddAndPanic(100), CounterCommand::NeedAndPanic, CounterCommand::WeighAndPanic];
    for (number, panics) in panic.into_iter().enumerate() {
        let key = |key: &str| format!("{key}-{number}");
        let (first, wrong, last) = (add(&key("a"), 1), envelope::<Counter>(&key("p"), panics.clone()), add(&key("b"), 2));
        let outcomes = engine.submit_blocking(vec![first, wrong, last], Mode::Each).expect("outcomes").outcomes;
        assert!(matches!(&outcomes[1], Outcome::Failed { what } if what == "this rule is wrong"), "{:?}", outcomes[1]);
        assert_eq!((accepted(&outcomes[0]).version.get(), accepted(&outcomes[2]).version.get()), (records + 1, records + 2));
        (records, sum) = (records + 2, sum + 3);
        assert_eq!(head(&store).position.get(), records, "it is in no record");
        figures_become(&engine, sum);
        // Its key was not used: what is corrected may be sent under it.
        assert!(!accepted(&one(&engine, add(&key("p"), 4))).replayed);
        (records, sum) = (records + 1, sum + 4);
        // In an atomic submission nothing at all is done.
        let group = vec![add(&key("c"), 8), envelope::<Counter>(&key("q"), panics.clone()), envelope::<Counter>(&key("r"), panics.clone())];
        let outcomes = engine.submit_blocking(group, Mode::Atomic).expect("outcomes").outcomes;
        let because_of_it = Outcome::NotApplied { because_of: 1 };
        assert!(matches!(&outcomes[1], Outcome::Failed { .. }), "{outcomes:?}");
        assert_eq!((&outcomes[0], &outcomes[2]), (&because_of_it, &because_of_it));
        assert!(!accepted(&one(&engine, add(&key("r"), 16))).replayed, "nothing is kept of what was not decided");
        (records, sum) = (records + 1, sum + 16);
        assert_eq!(head(&store).position.get(), records);
        figures_become(&engine, sum);
    }
    assert!(engine.is_running());
}

#[test]
fn what_fell_due_and_a_rule_panics_over_is_put_off_and_everything_else_goes_on() {
    let store = MemoryStore::exclusive("counter");
    let engine = engine::<Counter<PANICS_WHEN_DUE>>(&store, |_| {});
    let add = |key: &str, count| envelope::<Counter<PANICS_WHEN_DUE>>(key, CounterCommand::Add(count));
    accepted(&one(&engine, add("a", DUE_AT)));
    // What fell due second is done, and nothing of what fell due first.
    figures_become(&engine, DUE_AT + 2);
    assert_eq!((head(&store).position.get(), engine.stats().put_off), (2, 1));
    assert!(engine.is_running());
    assert_eq!(accepted(&one(&engine, add("b", 1))).version.get(), 3);
}

#[test]
fn what_is_put_off_is_counted_at_once_though_nothing_is_written() {
    let store = MemoryStore::exclusive("counter");
    let engine = engine::<Counter<PANICS_LATER>>(&store, |_| {});
    let began = std::time::Instant::now();
    while engine.stats().put_off == 0 {
        assert!(began.elapsed() < std::time::Duration::from_secs(10), "it is not counted");
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    assert_eq!((head(&store).position.get(), engine.stats().put_off), (0, 1));
    assert!(engine.is_running());
}

#[test]
fn a_refusal_after_events_were_recorded_takes_them_back() {
    let store = MemoryStore::exclusive("counter");
    let engine = engine::<Counter>(&store, |_| {});
    accepted(&one(&engine, envelope::<Counter>("a", CounterCommand::Add(1))));
    assert!(matches!(one(&engine, envelope::<Counter>("r", CounterCommand::AddAndRefuse(50))), Outcome::Refused(_)));
    assert_eq!(accepted(&one(&engine, envelope::<Counter>("b", CounterCommand::Add(2)))).version.get(), 2);
    figures_become(&engine, 3);
}

/// A stream, a type, a version or a refusal code that a program does not know is from a newer one.
#[test]
fn what_this_program_does_not_know_is_newer_and_is_no_corruption() {
    let store = MemoryStore::exclusive("ledger");
    let counter = engine::<Counter>(&store, |_| {});
    accepted(&one(&counter, envelope::<Counter>("a", CounterCommand::Add(1))));
    counter.stop();
    // To the ledger, the counter's journal is one that a newer program wrote.
    let started = Engine::<Ledger>::start(Arc::new(store.clone()), EngineConfig::for_store(&store));
    let Err(StartError::Store(StoreError::Newer(newer))) = started else { panic!("{started:?}") };
    assert_eq!(newer.position.get(), 1);
    assert!(newer.to_string().starts_with("written by a newer Cauri at position 1: "), "{newer}");
    // Nothing was written and nothing was noted: the program that knows it goes on.
    assert_eq!(store.health().damage(), None);
    let counter = engine::<Counter>(&store, |_| {});
    assert_eq!(accepted(&one(&counter, envelope::<Counter>("b", CounterCommand::Add(1)))).version.get(), 2);
}
