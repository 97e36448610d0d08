//! Entries: atomic lists of transfers, posted at once or held first.
//!
//! This file says what can be asked of an entry and what can have happened to it. Each of the files beside it has one
//! subject: the shapes of its commands, which are the API's own, the payloads of its events, which are the storage format,
//! and its rules, state and command in, an event or a refusal out. Time and ids arrive in the command.
//!
//! Payloads name their fields in alphabetical order, so that writing them in order is canonical JSON;
//! `event-schemas/samples` holds a frozen sample of each version. Every event names its accounts and amounts itself: a
//! projector needs no other event to understand it.
//!
//! Rules are checked in the order of [`RefusalCode`](crate::refusal::RefusalCode), and the first that applies is returned.

mod annotate;
mod hold;
mod post;
mod refusals;
mod reverse;
mod state;
mod transfer;

pub use annotate::{AnnotateEntry, EntryAnnotated, InvalidAnnotation, MAX_ANNOTATIONS};
pub use hold::{HoldExpired, HoldPosted, HoldPostedTransfer, HoldVoided, PostHold, VoidHold};
pub use post::{EntryHeld, EntryPosted, HoldTerms, PostEntry};
pub use reverse::{EntryReversed, ReverseEntry, opposite};
pub use state::{Entry, Held, Posted, evolve};
pub use transfer::{MAX_TRANSFERS, Transfer, TransferAmount, TransferRequest};

use std::sync::Arc;

use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;
use serde::Serialize;

use crate::event_types;
use crate::fold::Balances;
use crate::refusal::Refusal;
use crate::time::Timestamp;

/// A command for one entry.
#[derive(Clone, Debug, PartialEq)]
pub struct EntryCommand {
    /// The sequencer's time, never going back.
    pub now: Timestamp,
    /// What to do.
    pub action: Arc<EntryAction>,
}

/// What can be asked of an entry.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EntryAction {
    /// Write it: posted at once, or held where the command says so.
    Post(PostEntry),
    /// Post a hold, whole or in part.
    PostHold(PostHold),
    /// Give back what was held.
    VoidHold(VoidHold),
    /// The hold's time has passed; only the engine asks this.
    ExpireHold,
    /// Undo it by the opposite entry.
    Reverse(ReverseEntry),
    /// Say something of it in pairs.
    Annotate(AnnotateEntry),
}

impl EntryAction {
    /// What is asked, in one word.
    pub fn op(&self) -> &'static str {
        match self {
            EntryAction::Post(_) => "post_entry",
            EntryAction::PostHold(_) => "post_hold",
            EntryAction::VoidHold(_) => "void_hold",
            EntryAction::ExpireHold => "expire_hold",
            EntryAction::Reverse(_) => "reverse_entry",
            EntryAction::Annotate(_) => "annotate_entry",
        }
    }

    /// Whether it moves what accounts have posted.
    pub fn moves_money(&self) -> bool {
        match self {
            EntryAction::Post(_) | EntryAction::PostHold(_) | EntryAction::Reverse(_) => true,
            EntryAction::VoidHold(_) | EntryAction::ExpireHold | EntryAction::Annotate(_) => false,
        }
    }

    /// How many pairs its event has.
    pub fn pairs(&self) -> usize {
        match self {
            EntryAction::Post(post) => post.dimensions.len(),
            EntryAction::Annotate(annotate) => annotate.pairs(),
            EntryAction::PostHold(_) | EntryAction::VoidHold(_) | EntryAction::ExpireHold | EntryAction::Reverse(_) => 0,
        }
    }
}

event_types! {
    /// Everything that can have happened to an entry.
    pub enum EntryEvent {
        /// Its transfers moved the posted balances.
        Posted(EntryPosted) = "entry.posted" 1,
        /// Its transfers took from what is available.
        Held(EntryHeld) = "entry.held" 1,
        /// The hold moved the posted balances, whole or in part; the rest was released.
        HoldPosted(HoldPosted) = "entry.hold_posted" 1,
        /// The hold was released.
        HoldVoided(HoldVoided) = "entry.hold_voided" 1,
        /// The hold was released because its time had passed.
        HoldExpired(HoldExpired) = "entry.hold_expired" 1,
        /// The opposite entry was posted in the same commit.
        Reversed(EntryReversed) = "entry.reversed" 1,
        /// Pairs that say something of it were set or removed.
        Annotated(EntryAnnotated) = "entry.annotated" 1,
    }
}

/// An event of an entry that moves, holds or releases money: what balances are made of. Whoever counts money takes this
/// apart, case by case; the other events change nothing for them.
#[derive(Clone, Copy, Debug)]
pub enum Motion<'a> {
    /// Posted at once.
    Posted(&'a EntryPosted),
    /// Held.
    Held(&'a EntryHeld),
    /// A hold was posted, whole or in part.
    HoldPosted(&'a HoldPosted),
    /// A hold was given back.
    HoldVoided(&'a HoldVoided),
    /// A hold was given back because its time had passed.
    HoldExpired(&'a HoldExpired),
}

/// What an event does to its entry.
#[derive(Clone, Copy, Debug)]
pub enum Effect<'a> {
    /// It moves, holds or releases money.
    Moves(Motion<'a>),
    /// It undoes the entry: the opposite entry of the same commit moves what is undone.
    Reverses(&'a EntryReversed),
    /// It says something of an entry that was written, and changes neither what the entry is nor what it moves.
    Notes,
}

impl EntryEvent {
    /// What it does to its entry.
    pub fn effect(&self) -> Effect<'_> {
        match self {
            EntryEvent::Posted(posted) => Effect::Moves(Motion::Posted(posted)),
            EntryEvent::Held(held) => Effect::Moves(Motion::Held(held)),
            EntryEvent::HoldPosted(posted) => Effect::Moves(Motion::HoldPosted(posted)),
            EntryEvent::HoldVoided(voided) => Effect::Moves(Motion::HoldVoided(voided)),
            EntryEvent::HoldExpired(expired) => Effect::Moves(Motion::HoldExpired(expired)),
            EntryEvent::Reversed(reversed) => Effect::Reverses(reversed),
            EntryEvent::Annotated(_) => Effect::Notes,
        }
    }

    /// What it does to balances; none where it moves, holds and releases nothing.
    pub fn motion(&self) -> Option<Motion<'_>> {
        match self.effect() {
            Effect::Moves(motion) => Some(motion),
            Effect::Reverses(_) | Effect::Notes => None,
        }
    }

    /// The transfers of an entry, from the event that it begins with; none from what follows it, which touches the same accounts.
    pub fn opening_transfers(&self) -> Option<&[Transfer]> {
        match self {
            EntryEvent::Posted(posted) => Some(&posted.transfers),
            EntryEvent::Held(held) => Some(&held.transfers),
            _ => None,
        }
    }
}

impl Motion<'_> {
    /// The business time.
    pub fn effective_at(&self) -> Timestamp {
        match self {
            Motion::Posted(posted) => posted.effective_at,
            Motion::Held(held) => held.effective_at,
            Motion::HoldPosted(posted) => posted.effective_at,
            Motion::HoldVoided(voided) => voided.effective_at,
            Motion::HoldExpired(expired) => expired.effective_at,
        }
    }
}

/// Decides any command for an entry.
///
/// # Errors
/// The refusal with precedence.
pub fn decide(entry: &Entry, command: &EntryCommand, balances: &Balances) -> Result<EntryEvent, Refusal> {
    match &*command.action {
        EntryAction::Post(post) => post::post(entry, post, command.now, balances),
        EntryAction::PostHold(post) => hold::post_hold(entry, post, command.now, balances),
        EntryAction::VoidHold(void) => hold::void_hold(entry, void, command.now),
        EntryAction::ExpireHold => hold::expire_hold(entry, command.now),
        EntryAction::Reverse(reverse) => reverse::reverse(entry, reverse),
        EntryAction::Annotate(annotate) => annotate::annotate(entry, annotate),
    }
}

/// The cqrs-es face of the aggregate.
impl Aggregate for Entry {
    const TYPE: &'static str = "entry";
    type Command = EntryCommand;
    type Event = EntryEvent;
    type Error = Refusal;
    /// A fold of the journal, not a service: a replay decides the same.
    type Services = Balances;

    async fn handle(&mut self, command: EntryCommand, balances: &Balances, sink: &EventSink<Self>) -> Result<(), Refusal> {
        sink.write(decide(self, &command, balances)?, self).await;
        Ok(())
    }

    /// The trait leaves no way to fail; replay calls [`evolve`] and names the position.
    fn apply(&mut self, event: EntryEvent) {
        *self = evolve(std::mem::take(self), &event).unwrap_or_else(|illegal| panic!("corrupt journal: {illegal}"));
    }
}
