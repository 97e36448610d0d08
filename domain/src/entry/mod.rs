//! Entries: atomic lists of transfers, posted at once or held first; the cqrs-es face of the aggregate.

mod command;
pub mod decide;
mod event;
mod state;

pub use command::{
    EntryAction, EntryCommand, HoldTerms, MAX_TRANSFERS, PostEntry, PostHold, ReverseEntry, TransferAmount, TransferRequest, VoidHold,
};
pub use event::{EntryEvent, EntryHeld, EntryPosted, EntryReversed, HoldExpired, HoldPosted, HoldPostedTransfer, HoldVoided, Transfer};
pub use state::{Entry, Held, Posted, evolve};

use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;

use crate::fold::Balances;
use crate::refusal::Refusal;

impl Aggregate for Entry {
    const TYPE: &'static str = "entry";
    type Command = EntryCommand;
    type Event = EntryEvent;
    type Error = Refusal;
    /// A fold of the journal, not a service: a replay decides the same.
    type Services = Balances;

    async fn handle(&mut self, command: EntryCommand, balances: &Balances, sink: &EventSink<Self>) -> Result<(), Refusal> {
        sink.write(decide::decide(self, &command, balances)?, self).await;
        Ok(())
    }

    /// The trait leaves no way to fail; replay calls [`evolve`] and names the position.
    fn apply(&mut self, event: EntryEvent) {
        *self = evolve(std::mem::take(self), &event).unwrap_or_else(|illegal| panic!("corrupt journal: {illegal}"));
    }
}
