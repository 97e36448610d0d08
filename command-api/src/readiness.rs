//! Whether this process should be sent requests: what is looked at, and the named reasons why not.

use std::collections::BTreeMap;

use cauri_engine::{ClockStatus, SubmitError};
use cauri_event_store::health::{Blocked, BlockedBy, IndexCondition};
use schemars::JsonSchema;
use serde::Serialize;

use crate::state::ApiState;
use crate::submit::meaning;

/// A reason why a process is not ready. The name never changes its meaning; it is also the `reason` label of the metric
/// `cauri_not_ready`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReasonKind {
    /// What a program branches on, in `snake_case`.
    pub name: &'static str,
    /// What it means and what to do about it, for the manual.
    pub meaning: &'static str,
}

// A macro, so that a reason cannot exist without being listed.
macro_rules! reasons {
    ($($constant:ident: $name:literal, $meaning:literal;)*) => {
        /// The reasons by name, for the code that reports them.
        pub mod reason {
            use super::ReasonKind;
            $(
                #[doc = $meaning]
                pub const $constant: ReasonKind = ReasonKind { name: $name, meaning: $meaning };
            )*
        }

        /// Every reason there is. The manual's list is generated from this.
        pub const REASONS: &[ReasonKind] = &[$(reason::$constant),*];
    };
}

reasons! {
    ENGINE_STOPPED: "engine_stopped",
        "The engine has stopped and takes no commands. The log says why; restart the process.";
    JOURNAL_NEWER: "journal_newer",
        "A newer Cauri wrote to the journal what this one does not know, and the engine has stopped before it. Nothing is damaged. Upgrade this node.";
    JOURNAL_CORRUPT: "journal_corrupt",
        "The journal contradicts itself, and the engine has stopped. Run `cauri-replay verify`, restore from a copy.";
    DISK_FULL: "disk_full",
        "The disk of the journal is full. Nothing is acknowledged. Make room; appends are tried again every second.";
    JOURNAL_REPLACED: "journal_replaced",
        "The file of the journal was removed or replaced while the process had it open. Nothing is acknowledged until a restart with the right file.";
    JOURNAL_WRITE_FAILED: "journal_write_failed",
        "The journal cannot be written. The log says why; appends are tried again every second.";
    JOURNAL_DAMAGED: "journal_damaged",
        "A record that was read is not what was written. Run `cauri-replay verify`, restore from a copy.";
    INDEX_WRITE_FAILED: "index_write_failed",
        "The look-up index cannot be written, and the memory for its keys is full. Commands fail until it can be; the log says why.";
    INDEX_REBUILDING: "index_rebuilding",
        "The look-up index was damaged and is being built again. Commands that need the damaged part fail until then.";
    INDEX_DAMAGED: "index_damaged",
        "The look-up index is damaged and could not be built again. The log says why; it is tried again.";
    CLOCK_GAP: "clock_gap",
        "The clock leapt ahead of the last record or of the time that passed. Commands are not decided until it is right or the leap is accepted (`POST /v1/clock/accept-gap`).";
    READ_MODELS_BEHIND: "read_models_behind",
        "The read models are more events behind the journal than `--max-lag`. They catch up by themselves.";
    READ_MODELS_RETRYING: "read_models_retrying",
        "The read models cannot be written and the write is tried again. The log says why, such as a full disk.";
    READ_MODELS_NEWER: "read_models_newer",
        "The read models wait before a record that a newer Cauri wrote; all before it is shown and nothing is damaged. Upgrade this node.";
    READ_MODELS_PAUSED: "read_models_paused",
        "The read models are not written, to keep free space for the journal (`--disk-reserve`). They go on when there is room.";
    READ_MODELS_OTHER_HISTORY: "read_models_other_history",
        "The read models were of another history of the journal and are being built anew.";
    READ_MODELS_STOPPED: "read_models_stopped",
        "The read models have stopped. The log says why; restart the process.";
    READ_MODELS_CORRUPT: "read_models_corrupt",
        "The read models stopped at an event that contradicts what they hold. Run `cauri-replay verify`.";
    CHECK_TIMED_OUT: "check_timed_out",
        "A check did not answer in time.";
    CHECK_FAILED: "check_failed",
        "A check ended with an error of its own. The log has it.";
}

/// Why something is not well, this time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// Which reason it is.
    pub kind: ReasonKind,
    /// What was found, in words. It may name positions, so it is shown only to callers with a token.
    pub text: String,
}

impl Reason {
    /// A reason with what was found.
    #[must_use]
    pub fn new(kind: &ReasonKind, text: impl Into<String>) -> Self {
        Self { kind: *kind, text: text.into() }
    }
}

/// Something besides the engine that must be well before this process takes requests, such as the lag of read models.
pub struct ReadyCheck {
    /// What is looked at, as it stands in the answer of `/readyz`.
    pub name: &'static str,
    /// Looks at it: what is well in words, or the reason why it is not. It may block.
    pub check: Box<dyn Fn() -> Result<String, Reason> + Send + Sync>,
}

impl std::fmt::Debug for ReadyCheck {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReadyCheck").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Whether this process takes requests, and why not.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Readiness {
    /// Whether there is no reason against it.
    pub ready: bool,
    /// The names of the reasons against it, such as `read_models_behind`.
    pub reasons: Vec<String>,
    /// What was looked at and what was found. Only in the answer to a caller with a token that may read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checks: Option<BTreeMap<String, CheckResult>>,
}

/// One thing that was looked at.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct CheckResult {
    /// Whether it is well.
    pub ok: bool,
    /// The name of the reason why it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What was found, in words.
    pub detail: String,
}

/// What was found by name.
pub(crate) type Found = Vec<(&'static str, Result<String, Reason>)>;

/// Looks at everything. It may block.
pub(crate) fn look(state: &ApiState) -> Found {
    let health = state.engine.store().health();
    let engine = match health.blocked() {
        _ if !state.engine.is_running() => Err(match state.engine.ended_by() {
            Some(SubmitError::Newer(what)) => Reason::new(&reason::JOURNAL_NEWER, what),
            Some(SubmitError::Corrupt(what)) => Reason::new(&reason::JOURNAL_CORRUPT, what),
            Some(other) => Reason::new(&reason::ENGINE_STOPPED, other.to_string()),
            None => Reason::new(&reason::ENGINE_STOPPED, "has stopped"),
        }),
        Some(Blocked { by, detail }) => {
            let kind = match by {
                BlockedBy::DiskFull => reason::DISK_FULL,
                BlockedBy::JournalReplaced => reason::JOURNAL_REPLACED,
                BlockedBy::WriteFailed => reason::JOURNAL_WRITE_FAILED,
            };
            Err(Reason::new(&kind, format!("{}: {detail}", meaning(by))))
        }
        None => Ok("takes commands".to_owned()),
    };
    // As it was last published: asking the store itself would wait for a write that is under way.
    let store = match health.damage() {
        Some(damage) => Err(Reason::new(&reason::JOURNAL_DAMAGED, format!("{}; damage was met {} times", damage.first, damage.met))),
        None => Ok(format!("is at {}", state.engine.store().follow().head())),
    };
    let index = match health.index() {
        // Look-ups answer from memory while derived data is paused.
        IndexCondition::Whole => Ok(health.paused().map_or_else(|| "is whole".to_owned(), |why| format!("is whole; {why}"))),
        IndexCondition::WriteFailed { why } => Err(Reason::new(&reason::INDEX_WRITE_FAILED, format!("it cannot be written: {why}"))),
        IndexCondition::Rebuilding { why } => {
            Err(Reason::new(&reason::INDEX_REBUILDING, format!("{why}; look-ups that need the damaged part fail")))
        }
        IndexCondition::RebuildFailed { why } => {
            Err(Reason::new(&reason::INDEX_DAMAGED, format!("it could not be rebuilt and is tried again: {why}")))
        }
    };
    let mut found = vec![("engine", engine), ("store", store), ("index", index), ("clock", clock(state.engine.clock()))];
    found.extend(state.ready_checks.iter().map(|ready| (ready.name, (ready.check)())));
    found
}

/// A leap that nobody accepted keeps commands from being decided; a journal that is ahead of the clock does not.
fn clock(status: ClockStatus) -> Result<String, Reason> {
    match (status.gap, status.journal_ahead()) {
        (Some(gap), _) => {
            let text = format!("{gap}; commands are not decided until the clock is right or the leap is accepted");
            Err(Reason::new(&reason::CLOCK_GAP, text))
        }
        (None, Some(ahead)) => Ok(format!("journal_ahead: the last record is {ahead} ahead of the clock, and new records bear its time")),
        (None, None) => Ok("goes on from the last record".to_owned()),
    }
}

impl Readiness {
    /// The answer; `detailed` for a caller who may see positions.
    pub(crate) fn of(found: Found, detailed: bool) -> Self {
        let mut reasons: Vec<String> =
            found.iter().filter_map(|(_, outcome)| outcome.as_ref().err()).map(|reason| reason.kind.name.to_owned()).collect();
        reasons.dedup();
        let checks = detailed.then(|| {
            let result = |outcome| match outcome {
                Ok(detail) => CheckResult { ok: true, reason: None, detail },
                Err(Reason { kind, text }) => CheckResult { ok: false, reason: Some(kind.name.to_owned()), detail: text },
            };
            found.into_iter().map(|(name, outcome)| (name.to_owned(), result(outcome))).collect()
        });
        Self { ready: reasons.is_empty(), reasons, checks }
    }
}

/// Sets the metric of every reason: 1 where it holds, 0 where it does not.
pub(crate) fn record(found: &Found) {
    for kind in REASONS {
        let holds = found.iter().any(|(_, outcome)| outcome.as_ref().is_err_and(|reason| reason.kind == *kind));
        metrics::gauge!("cauri_not_ready", "reason" => kind.name).set(if holds { 1.0 } else { 0.0 });
    }
}
