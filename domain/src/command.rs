//! The event that remembers a refused command, in a journal of any kind.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::Payload;
use crate::event_types;
use crate::example;
use crate::refusal::RefusalCode;
use crate::text::ShortText;

event_types! {
    /// What became of a command that wrote nothing else. NOTE: the storage format.
    pub enum CommandEvent {
        /// The rules said no; a retry with the same key gets the same answer.
        Refused(CommandRefused) = "command.refused" 1,
    }
}

/// `command.refused`, version 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommandRefused {
    /// Which rule said no. New rules add codes without a new version of this event.
    #[schemars(with = "String", regex(pattern = r"^[a-z_]+$"))]
    pub code: RefusalCode,
    /// What a person needs to know, with the figures.
    pub detail: String,
    /// What was asked: `post_entry`, `close_account` …
    pub op: ShortText,
    /// Where in the command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
}

impl Payload for CommandRefused {
    fn examples() -> Vec<Self> {
        let full = Self {
            code: RefusalCode::BelowFloor,
            detail: format!("{} has 4840 XOF available and a floor of 0 XOF; it would have -160 XOF", example::AWA),
            op: example::text("post_entry"),
            pointer: Some("/transfers/0".into()),
        };
        let minimal = Self {
            code: RefusalCode::HoldNotFound,
            detail: "no entry was written under this id".into(),
            op: example::text("void_hold"),
            pointer: None,
        };
        vec![full, minimal]
    }
}
