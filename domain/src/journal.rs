//! A journal as an aggregate of its own: the parameters of its rules, and that it can be closed, and then takes no more
//! commands.

use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

use crate::IllegalTransition;
use crate::event::{EventSet, Payload};
use crate::event_types;
use crate::example;
use crate::refusal::{Refusal, RefusalCode};
use crate::text::ShortText;

/// A journal itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Journal {
    /// Whether it takes commands.
    pub status: JournalStatus,
    /// The parameters of its rules.
    pub rules: Rules,
}

/// Whether a journal takes commands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum JournalStatus {
    /// It does.
    #[default]
    Open,
    /// It does not, for good: its tenant or year lives on in another journal.
    Closed,
}

/// How far ahead an entry may be dated, in seconds, where the journal does not say otherwise: seven days.
pub const MAX_FUTURE_SECS: i64 = 7 * 86_400;

/// Parameters of the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// How far ahead of now something may be dated, in seconds.
    pub max_future_secs: i64,
}

impl Rules {
    /// Those by which something may be dated so many days ahead.
    pub fn max_future_days(days: u16) -> Self {
        Self { max_future_secs: i64::from(days) * 86_400 }
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self { max_future_secs: MAX_FUTURE_SECS }
    }
}

/// What can be asked of a journal itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum JournalCommand {
    /// Take no more commands, for good.
    Close(CloseJournal),
    /// Decide by other parameters from here on.
    ChangeRules(ChangeRules),
}

impl JournalCommand {
    /// What is asked, in one word.
    pub fn op(&self) -> &'static str {
        match self {
            JournalCommand::Close(_) => "close_journal",
            JournalCommand::ChangeRules(_) => "change_rules",
        }
    }
}

/// Close the journal for good.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CloseJournal {
    /// Why, and where its business goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<ShortText>,
}

/// Change the parameters of the journal's rules. What was decided before stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeRules {
    /// How many days ahead of now something may be dated, at most 3,660; 7 in a journal whose rules nobody changed.
    #[serde(deserialize_with = "days")]
    #[schemars(range(max = 3_660))]
    pub max_future_days: u16,
    /// Why, for the auditor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<ShortText>,
}

/// The most days that something may be dated ahead, by any rules: ten years.
pub const MOST_FUTURE_DAYS: u16 = 3_660;

fn days<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u16, D::Error> {
    let days = u64::deserialize(deserializer)?;
    let within = u16::try_from(days).ok().filter(|days| *days <= MOST_FUTURE_DAYS);
    within.ok_or_else(|| de::Error::invalid_value(de::Unexpected::Unsigned(days), &"0 to 3,660 days"))
}

event_types! {
    /// Everything that can have happened to a journal itself. NOTE: the storage format.
    pub enum JournalEvent {
        /// It takes no more commands.
        Closed(JournalClosed) = "journal.closed" 1,
        /// What comes after is decided by these parameters.
        RulesChanged(RulesChanged) = "journal.rules_changed" 1,
    }
}

/// `journal.closed`, version 1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JournalClosed {
    /// Why, and where its business goes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<ShortText>,
}

impl Payload for JournalClosed {
    fn examples() -> Vec<Self> {
        vec![Self { reason: Some(example::text("exercice 2026 clos, suite dans ledger-2027")) }, Self { reason: None }]
    }
}

/// `journal.rules_changed`, version 1: all parameters, those that stayed as well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RulesChanged {
    /// How many days ahead of now something may be dated.
    pub max_future_days: u16,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<ShortText>,
}

impl Payload for RulesChanged {
    fn examples() -> Vec<Self> {
        vec![Self { max_future_days: 31, reason: Some(example::reason()) }, Self { max_future_days: 0, reason: None }]
    }
}

impl Journal {
    /// A journal that nothing happened to yet.
    pub fn new(rules: Rules) -> Self {
        Self { status: JournalStatus::Open, rules }
    }

    /// Every command asks this before anything but idempotency.
    ///
    /// # Errors
    /// When the journal was closed.
    pub fn check_open(&self) -> Result<(), Refusal> {
        match self.status {
            JournalStatus::Open => Ok(()),
            JournalStatus::Closed => Err(Refusal::new(RefusalCode::JournalClosed, "this journal was closed for good")),
        }
    }
}

/// Decides any command for a journal itself.
///
/// # Errors
/// The refusal with precedence.
pub fn decide(journal: &Journal, command: &JournalCommand) -> Result<JournalEvent, Refusal> {
    journal.check_open()?;
    match command {
        JournalCommand::Close(close) => Ok(JournalEvent::Closed(JournalClosed { reason: close.reason.clone() })),
        JournalCommand::ChangeRules(ChangeRules { max_future_days, reason }) => {
            Ok(JournalEvent::RulesChanged(RulesChanged { max_future_days: *max_future_days, reason: reason.clone() }))
        }
    }
}

/// One match of legal pairs; anything else is a corrupt journal.
///
/// # Errors
/// When the event does not follow from the state.
pub fn evolve(journal: Journal, event: &JournalEvent) -> Result<Journal, IllegalTransition> {
    match (journal.status, event) {
        (JournalStatus::Open, JournalEvent::Closed(_)) => Ok(Journal { status: JournalStatus::Closed, ..journal }),
        (JournalStatus::Open, JournalEvent::RulesChanged(changed)) => {
            Ok(Journal { rules: Rules::max_future_days(changed.max_future_days), ..journal })
        }
        (JournalStatus::Closed, _) => Err(IllegalTransition::new("a journal", "closed", event.name())),
    }
}

impl Aggregate for Journal {
    const TYPE: &'static str = "journal";
    type Command = JournalCommand;
    type Event = JournalEvent;
    type Error = Refusal;
    type Services = ();

    async fn handle(&mut self, command: JournalCommand, (): &(), sink: &EventSink<Self>) -> Result<(), Refusal> {
        sink.write(decide(self, &command)?, self).await;
        Ok(())
    }

    /// The trait leaves no way to fail; replay calls [`evolve`] and names the position.
    fn apply(&mut self, event: JournalEvent) {
        *self = evolve(*self, &event).unwrap_or_else(|illegal| panic!("corrupt journal: {illegal}"));
    }
}
