//! A journal as an aggregate of its own: it can be closed, and then takes no more commands.

use cqrs_es::event_sink::EventSink;
use cqrs_es::{Aggregate, DomainEvent};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::IllegalTransition;
use crate::refusal::{Refusal, RefusalCode};
use crate::text::ShortText;

/// Whether the journal takes commands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Journal {
    /// It does.
    #[default]
    Open,
    /// It does not, for good: its tenant or year lives on in another journal.
    Closed,
}

/// Close the journal for good.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CloseJournal {
    /// Why, and where its business goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<ShortText>,
}

/// Everything that can have happened to a journal itself. NOTE: the storage format.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "data")]
pub enum JournalEvent {
    /// It takes no more commands.
    #[serde(rename = "journal.closed")]
    Closed(JournalClosed),
}

/// `journal.closed`, version 1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JournalClosed {
    /// Why, and where its business goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<ShortText>,
}

impl JournalEvent {
    /// The event's type, as stored.
    pub fn name(&self) -> &'static str {
        match self {
            JournalEvent::Closed(_) => "journal.closed",
        }
    }

    /// The version of the event's shape that this program writes.
    pub fn schema(&self) -> u32 {
        match self {
            JournalEvent::Closed(_) => 1,
        }
    }
}

impl DomainEvent for JournalEvent {
    fn event_type(&self) -> String {
        self.name().to_owned()
    }

    fn event_version(&self) -> String {
        self.schema().to_string()
    }
}

impl Journal {
    /// Every command asks this before anything but idempotency.
    pub fn check_open(&self) -> Result<(), Refusal> {
        match self {
            Journal::Open => Ok(()),
            Journal::Closed => Err(Refusal::new(RefusalCode::JournalClosed, "this journal was closed for good")),
        }
    }
}

/// One match of legal pairs; anything else is a corrupt journal.
pub fn evolve(journal: Journal, event: &JournalEvent) -> Result<Journal, IllegalTransition> {
    match (journal, event) {
        (Journal::Open, JournalEvent::Closed(_)) => Ok(Journal::Closed),
        (Journal::Closed, JournalEvent::Closed(_)) => Err(IllegalTransition::new("a journal", "closed", event.name())),
    }
}

impl Aggregate for Journal {
    const TYPE: &'static str = "journal";
    type Command = CloseJournal;
    type Event = JournalEvent;
    type Error = Refusal;
    type Services = ();

    async fn handle(&mut self, command: CloseJournal, (): &(), sink: &EventSink<Self>) -> Result<(), Refusal> {
        self.check_open()?;
        sink.write(JournalEvent::Closed(JournalClosed { reason: command.reason }), self).await;
        Ok(())
    }

    /// The trait leaves no way to fail; replay calls [`evolve`] and names the position.
    fn apply(&mut self, event: JournalEvent) {
        *self = evolve(*self, &event).unwrap_or_else(|illegal| panic!("corrupt journal: {illegal}"));
    }
}
