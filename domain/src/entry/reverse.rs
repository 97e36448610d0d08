//! Reversing an entry: the opposite entry is posted, once.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Entry, EntryEvent, PostEntry, TransferAmount, TransferRequest, refusals};
use crate::event::Payload;
use crate::example;
use crate::ids::EntryId;
use crate::refusal::{Refusal, RefusalCode};
use crate::text::{ShortText, null_is_absent};

/// Undo an entry by the opposite entry, once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReverseEntry {
    /// Date the opposite entry at the original's effective time instead of now.
    #[serde(default, deserialize_with = "null_is_absent", skip_serializing_if = "std::ops::Not::not")]
    #[schemars(with = "Option<bool>")]
    pub at_original_date: bool,
    /// Id of the opposite entry; derived from the command's id if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry_id: Option<EntryId>,
    /// Why, for the auditor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<ShortText>,
}

/// `entry.reversed`, version 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EntryReversed {
    /// The opposite entry, posted in the same commit.
    pub by: EntryId,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<ShortText>,
}

impl Payload for EntryReversed {
    fn examples() -> Vec<Self> {
        vec![Self { by: example::entry(2), reason: Some(example::reason()) }, Self { by: example::entry(8), reason: None }]
    }
}

pub(super) fn reverse(entry: &Entry, reverse: &ReverseEntry) -> Result<EntryEvent, Refusal> {
    match entry {
        Entry::Unwritten => Err(refusals::entry_not_found()),
        Entry::Held(_) | Entry::HoldVoided | Entry::HoldExpired => Err(refusals::entry_not_posted(entry)),
        // "Up to" may have moved nothing, and a hold may be posted with 0: there is no opposite of that.
        Entry::Posted(posted) | Entry::HoldPosted(posted) if posted.transfers.iter().all(|transfer| transfer.amount.is_zero()) => {
            Err(refusals::entry_not_posted(entry))
        }
        Entry::Posted(_) | Entry::HoldPosted(_) => match reverse.entry_id {
            Some(by) => Ok(EntryEvent::Reversed(EntryReversed { by, reason: reverse.reason.clone() })),
            // `opposite` names the entry before it is asked for.
            None => Err(Refusal::new(RefusalCode::EntryNotFound, "the reversal names no opposite entry")),
        },
        Entry::Reversed(_) | Entry::HoldReversed(_) => Err(refusals::already_reversed()),
    }
}

/// The entry that undoes `entry`: every transfer turned round; `None` where nothing moved that could be undone.
pub fn opposite(entry: &Entry, original: EntryId, reverse: &ReverseEntry, by: EntryId) -> Option<PostEntry> {
    let posted = entry.posted()?;
    let transfers: Vec<TransferRequest> = posted
        .transfers
        .iter()
        .filter(|transfer| transfer.amount.is_positive())
        .map(|transfer| TransferRequest {
            debit: transfer.credit.clone(),
            credit: transfer.debit.clone(),
            amount: TransferAmount::Exactly(transfer.amount.into()),
            reason: reverse.reason.clone().or_else(|| transfer.reason.clone()),
        })
        .collect();
    (!transfers.is_empty()).then(|| PostEntry {
        id: Some(by),
        effective_at: reverse.at_original_date.then_some(posted.effective_at),
        reverses: Some(original),
        transfers,
        ..PostEntry::default()
    })
}
