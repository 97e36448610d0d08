//! Accounts: opened, frozen, closed, reopened, with limits; the cqrs-es face of the aggregate.

mod command;
pub mod decide;
mod event;
mod state;

pub use command::{AccountAction, AccountCommand, ChangeLimits, CloseAccount, FreezeAccount, OpenAccount};
pub use event::{AccountClosed, AccountEvent, AccountFrozen, AccountOpened, AccountReopened, AccountUnfrozen, LimitsChanged};
pub use state::{Account, AccountKind, Side, Terms, evolve};

use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;

use crate::fold::Balances;
use crate::refusal::Refusal;

impl Aggregate for Account {
    const TYPE: &'static str = "account";
    type Command = AccountCommand;
    type Event = AccountEvent;
    type Error = Refusal;
    type Services = Balances;

    async fn handle(&mut self, command: AccountCommand, balances: &Balances, sink: &EventSink<Self>) -> Result<(), Refusal> {
        sink.write(decide::decide(self, &command, balances)?, self).await;
        Ok(())
    }

    /// The trait leaves no way to fail; replay calls [`evolve`] and names the position.
    fn apply(&mut self, event: AccountEvent) {
        *self = evolve(*self, &event).unwrap_or_else(|illegal| panic!("corrupt journal: {illegal}"));
    }
}
