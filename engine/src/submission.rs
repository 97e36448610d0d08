//! What goes into an engine, and what comes out.

use std::ops::{Deref, DerefMut};

use cauri_domain::Refusal;
use cauri_domain::ids::CommandKey;
use cauri_domain::kind::KindCommand;
use cauri_domain::text::ShortText;
use cauri_domain::time::Timestamp;
use cauri_event_schemas::{Fingerprint, Position, StreamVersion};
use cauri_event_store::Head;

use crate::leap::ClockGap;

/// One command with everything that its record will say of it.
#[derive(Clone, Debug)]
pub struct CommandEnvelope<C> {
    /// What is asked.
    pub command: C,
    /// Which command it is: the caller's idempotency key, or an id made for it, in the name of the caller.
    pub key: CommandKey,
    /// What is asked, as 16 bytes. Who asks and when does not count.
    pub fingerprint: Fingerprint,
    /// Who asks, as `role:subject`.
    pub actor: ShortText,
    /// The subject whose commands of journal format 1, which name no caller, the key may repeat; the actor's if absent.
    pub subject: Option<ShortText>,
    /// What made the caller ask.
    pub causation: Option<ShortText>,
    /// What this belongs to.
    pub correlation: Option<ShortText>,
    /// W3C trace context of the request.
    pub traceparent: Option<ShortText>,
    /// Decide only if the target's stream is at this version (`If-Match`).
    pub expected_version: Option<StreamVersion>,
}

impl<C: KindCommand> CommandEnvelope<C> {
    /// A command of somebody whom the records name `actor`, `role:subject`.
    pub fn new(command: C, key: CommandKey, actor: ShortText) -> Self {
        Self {
            fingerprint: Fingerprint::of(&command),
            command,
            key,
            actor,
            subject: None,
            causation: None,
            correlation: None,
            traceparent: None,
            expected_version: None,
        }
    }

    /// Whether this may be a repetition of a command of format 1 that `actor` gave: one subject's, not another's.
    pub(crate) fn may_repeat(&self, actor: &ShortText) -> bool {
        let subject = self.subject.as_ref().map(ShortText::as_str).or_else(|| subject_of(&self.actor));
        subject.is_some() && subject == subject_of(actor)
    }

    /// The command as format 1 knew it; none where it had no such command.
    pub(crate) fn in_format_1(&self) -> Option<Self> {
        let key = CommandKey::without_caller(self.key.id.clone());
        let (command, hashed) = self.command.in_format_1(&key)?;
        Some(Self { fingerprint: Fingerprint::of_version_1(&hashed), command, key, ..self.clone() })
    }
}

/// The subject in an actor, `role:subject`.
fn subject_of(actor: &ShortText) -> Option<&str> {
    actor.as_str().split_once(':').map(|(_, subject)| subject)
}

/// How many places of the queue these commands take: one for each of their parts, which is what costs memory.
pub(crate) fn places<C: KindCommand>(commands: &[CommandEnvelope<C>]) -> usize {
    commands.iter().map(|envelope| envelope.command.parts()).sum()
}

/// How the commands of one submission belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Each has its own result.
    Each,
    /// All or none: the first refusal is the answer for all.
    Atomic,
}

/// What became of a submission. It gives its outcomes as a `Vec` does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer<S> {
    /// One outcome a command, in order.
    pub outcomes: Vec<Outcome<S>>,
    /// The head when it was answered: everything that the outcomes tell of is durable there. What a consistency token is made of.
    pub head: Head,
}

impl<S> Deref for Answer<S> {
    type Target = Vec<Outcome<S>>;

    fn deref(&self) -> &Vec<Outcome<S>> {
        &self.outcomes
    }
}

impl<S> DerefMut for Answer<S> {
    fn deref_mut(&mut self) -> &mut Vec<Outcome<S>> {
        &mut self.outcomes
    }
}

impl<S> IntoIterator for Answer<S> {
    type Item = Outcome<S>;
    type IntoIter = std::vec::IntoIter<Outcome<S>>;

    fn into_iter(self) -> Self::IntoIter {
        self.outcomes.into_iter()
    }
}

/// What became of one command. In every case it is durable when it is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<S> {
    /// Its events are in the journal.
    Accepted(Accepted<S>),
    /// The rules said no; the refusal is in the journal, unless it is that the key was used before or the journal is closed.
    Refused(Refused),
    /// `expected_version` was not the stream's version; nothing was decided or written.
    VersionMismatch {
        /// The version that the stream has.
        actual: StreamVersion,
    },
    /// The command was part of an atomic submission in which another command was not accepted; nothing of it was written.
    /// One that an earlier submission had done is answered as it was then.
    NotApplied {
        /// Index in the submission of the command that was not accepted.
        because_of: usize,
    },
    /// A rule panicked over the command; nothing of it was written, and the engine goes on.
    Failed {
        /// What the rule said.
        what: String,
    },
}

/// An accepted command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted<S> {
    /// Position of its first event.
    pub first: Position,
    /// Position of its last event: a read model at this position shows all of it.
    pub last: Position,
    /// The stream that the command was for.
    pub stream: S,
    /// That stream's version after the command.
    pub version: StreamVersion,
    /// The last stream that it began, if it began one: that of the entry that it posted or of the account that it opened.
    pub begun: Option<S>,
    /// The sequencer's time of the events.
    pub recorded_at: Timestamp,
    /// Decided earlier: this is the first answer again.
    pub replayed: bool,
}

/// A refused command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub refusal: Refusal,
    /// Position of the record that remembers it; `None` for `idempotency_key_reused`, which writes nothing.
    pub position: Option<Position>,
    /// When that record was written.
    pub recorded_at: Option<Timestamp>,
    /// Decided earlier: this is the first answer again.
    pub replayed: bool,
}

/// The engine did not take the submission; nothing was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// The queue is full: try again later.
    #[error("{queued} commands are waiting, the queue takes {capacity}")]
    QueueFull {
        /// Commands that wait.
        queued: usize,
        /// How many may wait.
        capacity: usize,
    },
    /// More commands than one submission may have.
    #[error("a submission has at most {most} commands, this one has {count}")]
    TooMany {
        /// How many it had.
        count: usize,
        /// How many it may have.
        most: usize,
    },
    /// The commands would write more than one batch may hold: send fewer.
    #[error("these commands may write {bytes} bytes, one submission writes at most {most}")]
    TooLarge {
        /// How many bytes their records may have.
        bytes: usize,
        /// How many they may have.
        most: usize,
    },
    /// The clock leapt, and nobody accepted it: nothing new is decided. Commands that were answered before are answered again.
    #[error("{0}; nothing is decided until the clock is right or the leap is accepted")]
    ClockGap(ClockGap),
    /// A command id that only the engine itself may use.
    #[error("command ids that begin with `{0}` are the engine's own")]
    ReservedId(&'static str),
    /// The engine is shutting down or has stopped.
    #[error("the engine has stopped")]
    Stopped,
}

/// The submission was taken, but has no outcome.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// Not taken at all.
    #[error(transparent)]
    Rejected(#[from] Rejected),
    /// The append failed and nothing was written: try again with the same command ids.
    #[error("not done: {0}")]
    NotDone(String),
    /// The append may or may not have happened: ask again with the same command ids.
    #[error("outcome unknown: {0}")]
    Unknown(String),
    /// The journal contradicts itself; the engine has stopped.
    #[error("{0}")]
    Corrupt(String),
    /// A newer program wrote to the journal; the engine has stopped.
    #[error("{0}")]
    Newer(String),
}
