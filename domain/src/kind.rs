//! Journal kinds: what a journal is about, and the one interface between its rules and whatever runs them.
//!
//! A [`Kind`] is the decision state of a journal with its commands, events and rules. An engine runs any kind; it is
//! compiled for each, so that nothing is looked up at run time. A rule sees the rest of the journal through a [`World`]:
//! the engine's unit of work is one, and the tests of the rules have one that is a map.
//!
//! **Invariant:** a kind does no I/O and reads no clock. What must be read first it names ([`Kind::needs`]); what time it
//! is, the world says.

use std::collections::BTreeMap;
use std::fmt::{Debug, Display};
use std::hash::Hash;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::IllegalTransition;
use crate::command::CommandEvent;
use crate::event::{EventSet, write_json};
use crate::ids::{CommandId, CommandKey};
use crate::journal::{self, Journal, JournalCommand, JournalEvent, Rules};
use crate::position::StreamVersion;
use crate::refusal::Refusal;
use crate::text::ShortText;
use crate::time::Timestamp;

/// A journal kind: the decision state, and what the rules make of it.
///
/// Everything that is decided is folded at once, and may be taken back later: because the command is refused after all,
/// because another command of the same submission is, or because the append fails. So every change is undone by
/// [`Kind::roll_back`] until [`Kind::forget`] says that it is durable.
pub trait Kind: Sized + Send + 'static {
    /// The kind's name: `ledger`.
    const NAME: &'static str;

    /// Ids of commands that the engine gives of its own accord begin so; no caller's may. None where nothing falls due.
    const OWN_COMMANDS: Option<&'static str>;

    /// The shape of [`Kind::Frozen`]: it changes whenever that does. A snapshot of another shape is not read.
    const FROZEN_SHAPE: u32;

    /// What can be asked.
    type Command: KindCommand;
    /// What can have happened.
    type Event: KindEvent;
    /// Where it can have happened.
    type Stream: StreamKey;
    /// The state of an aggregate that is loaded from its stream and not kept in the decision state.
    type Aggregate: Clone + Debug + PartialEq + Send + Sync + 'static;
    /// A moment to come back to.
    type Mark: Copy + Debug + Send;
    /// A copy of the decision state for a snapshot, cheap to take.
    type Frozen: Serialize + DeserializeOwned + Send + 'static;
    /// Something that falls due of its own accord.
    type Due: Copy + Debug + Eq + Hash + Send;
    /// Figures of the decision state, for those who watch it.
    type Figures: Copy + Debug + Default + PartialEq + Send + 'static;

    /// The state before the first event.
    fn empty(rules: Rules) -> Self;

    /// The rules of the journal are these from now on. The engine takes this back by another call.
    fn set_rules(&mut self, rules: Rules);

    /// The stream that a command is for: whose version its answer names, and `If-Match` is compared with.
    fn target(command: &Self::Command, journal: &ShortText) -> Self::Stream;

    /// Names the streams of aggregates that must be loaded before the command is decided. It is asked again once they
    /// are, until it names nothing that is not loaded: what one holds may lead to another.
    fn needs(&self, command: &Self::Command, key: &CommandKey, loaded: &impl Loaded<Self>, need: &mut impl FnMut(Self::Stream));

    /// The aggregate of a stream before its first event; none where the decision state keeps the aggregates of its type.
    fn unwritten(stream: &Self::Stream) -> Option<Self::Aggregate>;

    /// An aggregate that the decision state keeps though it is of a type that is loaded, and its version.
    fn resident(&self, stream: &Self::Stream) -> Option<(Self::Aggregate, StreamVersion)>;

    /// The version of a stream that the decision state keeps.
    fn version(&self, stream: &Self::Stream) -> StreamVersion;

    /// The aggregate after an event of its stream.
    ///
    /// # Errors
    /// When the event does not follow from the state: the journal contradicts itself.
    fn evolve(aggregate: Self::Aggregate, event: &Self::Event) -> Result<Self::Aggregate, IllegalTransition>;

    /// Folds an event, stored or just decided, into the decision state.
    ///
    /// # Errors
    /// When the event does not follow from the state: the journal contradicts itself.
    fn fold(&mut self, stream: &Self::Stream, version: StreamVersion, event: &Self::Event) -> Result<(), IllegalTransition>;

    /// Decides a command: everything that it records happened, unless it is refused in the end.
    ///
    /// # Errors
    /// The refusal with precedence. What was recorded before it is taken back by whoever called.
    fn decide(command: &Self::Command, world: &mut impl World<Self>) -> Result<(), Refusal>;

    /// At most how many bytes a command's records have, as far as that is known before it is decided.
    fn weight(&self, command: &Self::Command, loaded: &impl Loaded<Self>) -> usize;

    /// What falls due and when, the earliest first.
    fn due(&self) -> impl Iterator<Item = (Timestamp, Self::Due)>;

    /// The command to decide once it fell due, and its id.
    fn when_due(due: Self::Due) -> (CommandId, Self::Command);

    /// This moment, to come back to.
    fn mark(&self) -> Self::Mark;

    /// Takes back everything since a moment.
    fn roll_back(&mut self, mark: Self::Mark);

    /// Everything up to a moment is durable: it will not be taken back.
    fn forget(&mut self, mark: Self::Mark);

    /// How many things the decision state keeps: what taking and reading a snapshot costs time for.
    fn len(&self) -> usize;

    /// Whether it keeps nothing.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A copy for a snapshot.
    fn freeze(&self) -> Self::Frozen;

    /// The state that was copied.
    fn thaw(frozen: Self::Frozen, rules: Rules) -> Self;

    /// Figures of the state.
    fn figures(&self) -> Self::Figures;

    /// A stream that an event like this may be of: for the examples of records.
    fn example_stream(event: &Self::Event) -> Self::Stream;
}

/// What can be asked of a journal of some kind. Cheap to clone.
pub trait KindCommand: Clone + Debug + PartialEq + Send + Sync + 'static {
    /// What is asked, in one word: the `op` of a bulk item and of a refusal's record.
    fn op(&self) -> &'static str;

    /// Appends the canonical JSON (RFC 8785) of the command as it is declared: what its fingerprint is made of.
    fn declare(&self, out: &mut Vec<u8>);

    /// The command, if it is for the journal itself.
    fn for_journal(&self) -> Option<&JournalCommand>;

    /// How many parts it has that each cost memory, at least 1: the transfers of an entry, the quotes of a block.
    fn parts(&self) -> usize {
        1
    }

    /// The command as journal format 1 knew it under `key`, and what its fingerprint was made of then; none where format 1
    /// had no such command.
    fn in_format_1(&self, key: &CommandKey) -> Option<(Self, Vec<u8>)> {
        let _ = key;
        None
    }
}

/// Declares a command whose values have one form each: the members of its struct, with `op` and the target among them, as
/// canonical JSON. What could be written in two ways, such as money, is declared by name instead.
pub fn declare_as_serialized(op: &str, target: Option<(&str, String)>, action: &impl Serialize, out: &mut Vec<u8>) {
    let mut members = BTreeMap::from([("op", Value::from(op))]);
    members.extend(target.map(|(name, target)| (name, Value::from(target))));
    // An enum is serialized as the name of its variant, with what that holds below it.
    let action = serde_json::to_value(action).expect("commands are plain data with string keys");
    let held = action.as_object().and_then(|variant| variant.values().next()).and_then(Value::as_object);
    members.extend(held.into_iter().flatten().map(|(name, value)| (name.as_str(), value.clone())));
    write_json(out, &members);
}

/// What can have happened in a journal of some kind.
pub trait KindEvent: EventSet + From<CommandEvent> + From<JournalEvent> {
    /// What became of a command that wrote nothing else.
    fn as_command(&self) -> Option<&CommandEvent>;

    /// What happened to the journal itself.
    fn as_journal(&self) -> Option<&JournalEvent>;
}

/// The key of a stream, compact; its name, `type/id`, is text that stores and APIs know it by.
pub trait StreamKey: Clone + Debug + Display + Eq + Hash + Send + Sync + 'static {
    /// Appends the stream's name.
    fn write_name(&self, out: &mut Vec<u8>);

    /// The key of a stream's name.
    ///
    /// # Errors
    /// When the name is none of this kind's streams.
    fn parse(name: &str) -> Result<Self, NotAStream>;

    /// The stream that remembers what became of a command.
    fn of_command(key: CommandKey) -> Self;

    /// The stream of the journal itself.
    fn of_journal(name: ShortText) -> Self;
}

/// A name that is none of a kind's streams.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAStream {
    /// A newer program may know the type.
    #[error("`{0}` is of no type of stream that this version of Cauri knows")]
    UnknownType(String),
    /// The id is none of its type.
    #[error("{0:?} is not a stream such as account/merchants:awa:available or entry/0190f1c2-7e4b-7cc3-98c4-dc0c0c07398f")]
    Invalid(String),
}

impl NotAStream {
    /// The name has an unknown type.
    pub fn unknown_type(name: &str) -> Self {
        Self::UnknownType(name.chars().take(300).collect())
    }

    /// The name is no stream's at all.
    pub fn invalid(name: &str) -> Self {
        Self::Invalid(name.chars().take(300).collect())
    }
}

/// Looks up aggregates that are loaded.
pub trait Loaded<K: Kind> {
    /// The aggregate of a stream, if it is known; as it was before its first event where nothing was ever written.
    fn aggregate(&self, stream: &K::Stream) -> Option<K::Aggregate>;
}

/// What a decision looks at, and what it does.
pub trait World<K: Kind> {
    /// A moment of this world.
    type Mark;

    /// The sequencer's time, never going back.
    fn now(&self) -> Timestamp;

    /// The command that is decided.
    fn key(&self) -> &CommandKey;

    /// The journal's name.
    fn journal_name(&self) -> &ShortText;

    /// The journal itself, after everything that was decided so far.
    fn journal(&self) -> &Journal;

    /// The decision state, after everything that was decided so far.
    fn state(&self) -> &K;

    /// An aggregate that was named by [`Kind::needs`], after everything that was decided so far.
    fn aggregate(&mut self, stream: &K::Stream) -> K::Aggregate;

    /// It happened: the event is folded, and recorded as the next of its stream.
    ///
    /// # Panics
    /// When the event does not follow from the state: it was decided against the rules.
    fn record(&mut self, stream: K::Stream, event: K::Event);

    /// This moment.
    fn mark(&mut self) -> Self::Mark;

    /// Takes back everything since a moment. Moments nest.
    fn roll_back(&mut self, mark: Self::Mark);

    /// Runs a part of a decision; where it is refused, what it recorded is taken back.
    ///
    /// # Errors
    /// The refusal of the part.
    fn attempt<T>(&mut self, part: impl FnOnce(&mut Self) -> Result<T, Refusal>) -> Result<T, Refusal>
    where
        Self: Sized,
    {
        let mark = self.mark();
        part(self).inspect_err(|_| self.roll_back(mark))
    }
}

/// Decides a command of any kind: whether the journal takes it at all comes before the rules of the kind.
///
/// # Errors
/// The refusal with precedence; everything that the command recorded was taken back.
pub fn decide<K: Kind, W: World<K>>(command: &K::Command, world: &mut W) -> Result<(), Refusal> {
    world.attempt(|world| {
        world.journal().check_open()?;
        match command.for_journal() {
            Some(command) => {
                let event = journal::decide(world.journal(), command)?;
                world.record(K::Stream::of_journal(world.journal_name().clone()), event.into());
                Ok(())
            }
            None => K::decide(command, world),
        }
    })
}
