//! A journal as an aggregate of its own: the parameters of its rules, and that it can be closed, and then takes no more
//! commands.

use std::ops::RangeInclusive;

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

/// The shape of [`Journal`] in a snapshot: it changes whenever that does. A snapshot of another shape is not read. Above 99,
/// because snapshots once began with the shape of their kind.
pub const FROZEN_SHAPE: u32 = 100;

/// Whether a journal takes commands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum JournalStatus {
    /// It does.
    #[default]
    Open,
    /// It does not, for good: its tenant or year lives on in another journal.
    Closed,
}

/// Parameters of the rules by which a journal is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// How many days after its last record an engine may start without anybody accepting the gap: the time that a machine
    /// may be off.
    pub clock_gap_days: u16,
    /// How many seconds the clock may outrun the time that has passed, within a day while an engine runs.
    pub clock_leap_seconds: u32,
    /// How many days ahead of now something may be dated.
    pub max_future_days: u16,
    /// Up to how many days a gap or a leap passes where the kernel reports that its clock is synchronised.
    pub synchronised_clock_days: u16,
}

impl Rules {
    /// How far ahead of now something may be dated, in seconds.
    pub fn max_future_secs(&self) -> i64 {
        i64::from(self.max_future_days) * DAY_SECS
    }

    /// [`Rules::clock_gap_days`] in seconds.
    pub fn clock_gap_secs(&self) -> i64 {
        i64::from(self.clock_gap_days) * DAY_SECS
    }

    /// [`Rules::synchronised_clock_days`] in seconds.
    pub fn synchronised_clock_secs(&self) -> i64 {
        i64::from(self.synchronised_clock_days) * DAY_SECS
    }
}

const DAY_SECS: i64 = 86_400;

impl Default for Rules {
    /// Those of a journal whose rules nobody changed. The clock: decision 0009.
    fn default() -> Self {
        Self { clock_gap_days: 7, clock_leap_seconds: 300, max_future_days: 7, synchronised_clock_days: 31 }
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

/// Change parameters of the journal's rules; those that are not named stay as they are. What was decided before stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeRules {
    /// How many days after its last record the journal may be gone on with without anybody accepting the gap, 1 to 366: the
    /// time that a machine may be off. 7 in a journal whose rules nobody changed.
    #[serde(default, deserialize_with = "gap_days", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 366))]
    pub clock_gap_days: Option<u16>,
    /// How many seconds the clock may outrun the time that has passed, within a day, 60 to 86,400; 300 in a journal whose
    /// rules nobody changed.
    #[serde(default, deserialize_with = "leap_seconds", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 60, max = 86_400))]
    pub clock_leap_seconds: Option<u32>,
    /// How many days ahead of now something may be dated, at most 3,660; 7 in a journal whose rules nobody changed.
    #[serde(default, deserialize_with = "future_days", skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 3_660))]
    pub max_future_days: Option<u16>,
    /// Why, for the auditor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<ShortText>,
    /// Up to how many days a gap or a leap of the clock passes where the kernel reports that its clock is synchronised, at
    /// most 366; 31 in a journal whose rules nobody changed.
    #[serde(default, deserialize_with = "synchronised_days", skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 366))]
    pub synchronised_clock_days: Option<u16>,
}

impl ChangeRules {
    /// Whether it names a parameter.
    pub fn changes_something(&self) -> bool {
        let Self { clock_gap_days, clock_leap_seconds, max_future_days, reason: _, synchronised_clock_days } = self;
        clock_gap_days.is_some() || clock_leap_seconds.is_some() || max_future_days.is_some() || synchronised_clock_days.is_some()
    }
}

/// The most days that something may be dated ahead, by any rules: ten years.
pub const MOST_FUTURE_DAYS: u16 = 3_660;

fn future_days<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u16>, D::Error> {
    within(deserializer, 0..=MOST_FUTURE_DAYS, "0 to 3,660 days")
}

fn gap_days<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u16>, D::Error> {
    within(deserializer, 1..=366, "1 to 366 days")
}

fn synchronised_days<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u16>, D::Error> {
    within(deserializer, 0..=366, "0 to 366 days")
}

fn leap_seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    within(deserializer, 60..=86_400, "60 to 86,400 seconds")
}

fn within<'de, D, T>(deserializer: D, range: RangeInclusive<T>, right: &'static str) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<u64> + PartialOrd,
{
    let Some(number) = Option::<u64>::deserialize(deserializer)? else { return Ok(None) };
    let found = T::try_from(number).ok().filter(|found| range.contains(found));
    found.map(Some).ok_or_else(|| de::Error::invalid_value(de::Unexpected::Unsigned(number), &right))
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

/// `journal.rules_changed`, version 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RulesChanged {
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<ShortText>,
    /// All parameters, those that stayed as well.
    pub rules: Rules,
}

impl Payload for RulesChanged {
    fn examples() -> Vec<Self> {
        let month = Rules { max_future_days: 31, ..Rules::default() };
        let today = Rules { clock_gap_days: 30, clock_leap_seconds: 900, max_future_days: 0, synchronised_clock_days: 60 };
        vec![Self { reason: Some(example::reason()), rules: month }, Self { reason: None, rules: today }]
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
        JournalCommand::ChangeRules(change) => {
            let before = journal.rules;
            let rules = Rules {
                clock_gap_days: change.clock_gap_days.unwrap_or(before.clock_gap_days),
                clock_leap_seconds: change.clock_leap_seconds.unwrap_or(before.clock_leap_seconds),
                max_future_days: change.max_future_days.unwrap_or(before.max_future_days),
                synchronised_clock_days: change.synchronised_clock_days.unwrap_or(before.synchronised_clock_days),
            };
            Ok(JournalEvent::RulesChanged(RulesChanged { reason: change.reason.clone(), rules }))
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
        (JournalStatus::Open, JournalEvent::RulesChanged(changed)) => Ok(Journal { rules: changed.rules, ..journal }),
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
