//! Annotating an entry: string pairs that say something of it after it was written, such as a case or a ticket.
//!
//! Annotations change nothing that is decided: not what the entry is, not what it moved, and not its dimensions, which are
//! part of what happened. So they are not kept in the decision state, and removing one that is not there is no error.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Entry, EntryEvent, refusals};
use crate::event::Payload;
use crate::example;
use crate::refusal::Refusal;
use crate::text::{Key, ShortText, null_is_absent};

/// The most pairs that one command may set and remove.
pub const MAX_ANNOTATIONS: usize = 32;

/// Set and remove annotations of an entry: at least one, at most [`MAX_ANNOTATIONS`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "AnnotateShape", into = "AnnotateShape")]
pub struct AnnotateEntry {
    set: BTreeMap<Key, ShortText>,
    remove: BTreeSet<Key>,
    reason: Option<ShortText>,
}

/// Pairs to set and keys to remove that make no annotation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAnnotation {
    /// There is nothing to do.
    #[error("`set` or `remove` names at least one annotation")]
    Nothing,
    /// There is too much to do.
    #[error("`set` and `remove` name {0} annotations; one command may name 32")]
    TooMany(usize),
    /// One is named twice.
    #[error("`{0}` is named twice in `remove`, or in `set` and in `remove`")]
    Twice(Key),
}

/// The command on the wire.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "AnnotateEntry")]
struct AnnotateShape {
    /// Why, for the auditor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<ShortText>,
    /// Keys of annotations to remove; one that is not there is no error. With `set`, 1 to 32 in all.
    #[serde(default, deserialize_with = "null_is_absent", skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Option<Vec<Key>>", extend("maxItems" = 32, "uniqueItems" = true))]
    remove: Vec<Key>,
    /// Annotations to set, each in place of the one that has its key.
    #[serde(default, deserialize_with = "null_is_absent", skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Option<BTreeMap<Key, ShortText>>", extend("maxProperties" = 32))]
    set: BTreeMap<Key, ShortText>,
}

impl AnnotateEntry {
    /// Sets pairs and removes others.
    ///
    /// # Errors
    /// When nothing or too much is named, or a key twice.
    pub fn new(set: BTreeMap<Key, ShortText>, remove: Vec<Key>, reason: Option<ShortText>) -> Result<Self, InvalidAnnotation> {
        let named = set.len() + remove.len();
        match named {
            0 => return Err(InvalidAnnotation::Nothing),
            1..=MAX_ANNOTATIONS => {}
            _ => return Err(InvalidAnnotation::TooMany(named)),
        }
        let mut removed = BTreeSet::new();
        for key in remove {
            if set.contains_key(&key) || removed.contains(&key) {
                return Err(InvalidAnnotation::Twice(key));
            }
            removed.insert(key);
        }
        Ok(Self { set, remove: removed, reason })
    }

    /// How many pairs its event has, removed ones counted.
    pub fn pairs(&self) -> usize {
        self.set.len() + self.remove.len()
    }
}

impl TryFrom<AnnotateShape> for AnnotateEntry {
    type Error = InvalidAnnotation;

    fn try_from(AnnotateShape { reason, remove, set }: AnnotateShape) -> Result<Self, InvalidAnnotation> {
        Self::new(set, remove, reason)
    }
}

impl From<AnnotateEntry> for AnnotateShape {
    fn from(AnnotateEntry { set, remove, reason }: AnnotateEntry) -> Self {
        Self { reason, remove: remove.into_iter().collect(), set }
    }
}

impl JsonSchema for AnnotateEntry {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "AnnotateEntry".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        AnnotateShape::json_schema(generator)
    }
}

/// `entry.annotated`, version 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EntryAnnotated {
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<ShortText>,
    /// Keys of the annotations that are there no more.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub removed: BTreeSet<Key>,
    /// Annotations that are there from here on, each in place of the one that had its key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub set: BTreeMap<Key, ShortText>,
}

impl Payload for EntryAnnotated {
    fn examples() -> Vec<Self> {
        let full = Self {
            reason: Some(example::reason()),
            removed: [example::key("ticket")].into(),
            set: [(example::key("case"), example::text("2026-17")), (example::key("reviewed_by"), example::text("compliance"))].into(),
        };
        vec![full, Self { reason: None, removed: BTreeSet::new(), set: [(example::key("case"), example::text("2026-17"))].into() }]
    }
}

/// Any entry that was written can be annotated, whatever became of it.
pub(super) fn annotate(entry: &Entry, annotate: &AnnotateEntry) -> Result<EntryEvent, Refusal> {
    if *entry == Entry::Unwritten {
        return Err(refusals::entry_not_found());
    }
    let AnnotateEntry { set, remove, reason } = annotate.clone();
    Ok(EntryEvent::Annotated(EntryAnnotated { reason, removed: remove, set }))
}
