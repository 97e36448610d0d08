//! What an entry can be, and which event leads from where to where.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Effect, EntryEvent, Motion, Transfer};
use crate::IllegalTransition;
use crate::event::EventSet;
use crate::time::Timestamp;

/// An entry, as far as decisions look at it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Entry {
    /// Nothing was ever written under this id.
    #[default]
    Unwritten,
    /// Posted at once.
    Posted(Posted),
    /// Held, to be posted, voided or to expire.
    Held(Held),
    /// Was held, then posted, whole or in part.
    HoldPosted(Posted),
    /// Was held, then given back.
    HoldVoided,
    /// Was held until its time had passed.
    HoldExpired,
    /// Posted at once, then undone by the opposite entry.
    Reversed(Posted),
    /// Was held, then posted, then undone by the opposite entry.
    HoldReversed(Posted),
}

/// What moved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posted {
    /// The business time.
    pub effective_at: Timestamp,
    /// What moved.
    pub transfers: Arc<[Transfer]>,
}

/// What is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The business time from which it is held.
    pub effective_at: Timestamp,
    /// When it expires; never if absent.
    pub expires_at: Option<Timestamp>,
    /// What is held.
    pub transfers: Arc<[Transfer]>,
}

impl Entry {
    /// The state in a word or two.
    pub fn status(&self) -> &'static str {
        match self {
            Entry::Unwritten => "unwritten",
            Entry::Posted(_) => "posted",
            Entry::Held(_) => "held",
            Entry::HoldPosted(_) => "hold_posted",
            Entry::HoldVoided => "hold_voided",
            Entry::HoldExpired => "hold_expired",
            Entry::Reversed(_) | Entry::HoldReversed(_) => "reversed",
        }
    }

    /// What is held or moved; nothing where a hold was given back.
    pub fn transfers(&self) -> &[Transfer] {
        match self {
            Entry::Held(held) => &held.transfers,
            _ => self.posted().map_or(&[], |posted| &posted.transfers),
        }
    }

    /// What moved, if anything did: what a reversal turns round.
    pub fn posted(&self) -> Option<&Posted> {
        match self {
            Entry::Posted(posted) | Entry::HoldPosted(posted) | Entry::Reversed(posted) | Entry::HoldReversed(posted) => Some(posted),
            Entry::Unwritten | Entry::Held(_) | Entry::HoldVoided | Entry::HoldExpired => None,
        }
    }
}

/// One match of legal pairs; anything else is a corrupt journal, never a refusal.
pub fn evolve(entry: Entry, event: &EntryEvent) -> Result<Entry, IllegalTransition> {
    match (entry, event.effect()) {
        (Entry::Unwritten, Effect::Moves(Motion::Posted(posted))) => {
            Ok(Entry::Posted(Posted { effective_at: posted.effective_at, transfers: posted.transfers.clone() }))
        }
        (Entry::Unwritten, Effect::Moves(Motion::Held(held))) => {
            Ok(Entry::Held(Held { effective_at: held.effective_at, expires_at: held.expires_at, transfers: held.transfers.clone() }))
        }
        (Entry::Held(_), Effect::Moves(Motion::HoldPosted(posted))) => {
            let moved = posted.transfers.iter().map(|transfer| Transfer {
                amount: transfer.amount,
                credit: transfer.credit.clone(),
                debit: transfer.debit.clone(),
                reason: transfer.reason.clone(),
            });
            Ok(Entry::HoldPosted(Posted { effective_at: posted.effective_at, transfers: moved.collect() }))
        }
        (Entry::Held(_), Effect::Moves(Motion::HoldVoided(_))) => Ok(Entry::HoldVoided),
        (Entry::Held(_), Effect::Moves(Motion::HoldExpired(_))) => Ok(Entry::HoldExpired),
        (Entry::Posted(posted), Effect::Reverses(_)) => Ok(Entry::Reversed(posted)),
        (Entry::HoldPosted(posted), Effect::Reverses(_)) => Ok(Entry::HoldReversed(posted)),
        (entry, Effect::Notes) if entry != Entry::Unwritten => Ok(entry),
        (entry, _) => Err(IllegalTransition::new("an entry", entry.status(), event.name())),
    }
}
