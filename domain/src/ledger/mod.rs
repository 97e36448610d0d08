//! The ledger: the journal kind that holds accounts, entries and balances.
//!
//! Start with `aggregates.rs`, which says what a ledger is made of, and `decide.rs`: which aggregates a command touches, in
//! which order. The rules of one aggregate stand in its own folder, such as [`crate::account`] and [`crate::entry`].

mod aggregates;
mod decide;
mod declared;
mod format_1;

pub use aggregates::{LedgerCommand, LedgerEvent, LedgerStream};

use serde::{Deserialize, Serialize};

use crate::IllegalTransition;
use crate::account::AccountAction;
use crate::account_set::{AccountSets, FrozenAccountSets};
use crate::entry::{self, Effect, Entry, EntryAction};
use crate::event::EventSet;
use crate::example;
use crate::fold::{Balances, FrozenBalances, Mark};
use crate::ids::{CommandId, CommandKey, EntryId};
use crate::journal::Rules;
use crate::kind::{Kind, Loaded, World};
use crate::position::StreamVersion;
use crate::refusal::Refusal;
use crate::text::ShortText;
use crate::time::Timestamp;

/// Ids of the commands by which holds expire begin so.
const HOLD_EXPIRY: &str = "hold-expiry/";

/// The most bytes that one transfer adds to a record: two addresses, an amount, what was held and a reason.
const TRANSFER_BYTES: usize = 1_700;

/// The most bytes that one pair adds to a record: a key of 64 bytes and a value of 256 characters.
const PAIR_BYTES: usize = 1_100;

/// The most bytes of a record of a ledger beside its transfers and pairs.
const RECORD_BYTES: usize = 8_192;

/// Everything that the decisions of a ledger look at, but for entries that are not open holds.
#[derive(Debug)]
pub struct Ledger {
    balances: Balances,
    account_sets: AccountSets,
}

/// A moment of a ledger.
#[derive(Clone, Copy, Debug)]
pub struct LedgerMark {
    balances: Mark,
    account_sets: Mark,
}

/// A copy of a ledger for a snapshot.
#[derive(Debug, Serialize, Deserialize)]
pub struct FrozenLedger {
    balances: FrozenBalances,
    account_sets: FrozenAccountSets,
}

/// An aggregate of a ledger that is loaded from its stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LedgerAggregate {
    /// An entry.
    Entry(Entry),
}

/// Figures of a ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LedgerFigures {
    /// Accounts ever opened.
    pub accounts: usize,
    /// Holds that are open.
    pub open_holds: usize,
}

impl Ledger {
    /// Every account and every open hold.
    pub fn balances(&self) -> &Balances {
        &self.balances
    }

    /// Every account set.
    pub fn account_sets(&self) -> &AccountSets {
        &self.account_sets
    }
}

impl Kind for Ledger {
    const NAME: &'static str = "ledger";
    const OWN_COMMANDS: Option<&'static str> = Some(HOLD_EXPIRY);
    const FROZEN_SHAPE: u32 = 5;

    type Command = LedgerCommand;
    type Event = LedgerEvent;
    type Stream = LedgerStream;
    type Aggregate = LedgerAggregate;
    type Mark = LedgerMark;
    type Frozen = FrozenLedger;
    type Due = EntryId;
    type Figures = LedgerFigures;

    fn empty(rules: Rules) -> Self {
        Self { balances: Balances::new(rules), account_sets: AccountSets::default() }
    }

    fn set_rules(&mut self, rules: Rules) {
        self.balances.set_rules(rules);
    }

    fn target(command: &LedgerCommand, journal: &ShortText) -> LedgerStream {
        command.stream().unwrap_or_else(|| LedgerStream::Journal(journal.clone()))
    }

    fn needs(&self, command: &LedgerCommand, key: &CommandKey, _: &impl Loaded<Self>, need: &mut impl FnMut(LedgerStream)) {
        let derived = || EntryId::derived_from(key);
        match command {
            LedgerCommand::Account(command) => {
                if let AccountAction::Close(close) = &*command.action {
                    need(LedgerStream::Entry(close.entry_id.unwrap_or_else(derived)));
                }
            }
            LedgerCommand::Entry { id, action } => {
                need(LedgerStream::Entry(*id));
                if let EntryAction::Reverse(reverse) = &**action {
                    need(LedgerStream::Entry(reverse.entry_id.unwrap_or_else(derived)));
                }
            }
            _ => {}
        }
    }

    fn unwritten(stream: &LedgerStream) -> Option<LedgerAggregate> {
        match stream {
            LedgerStream::Entry(_) => Some(LedgerAggregate::Entry(Entry::Unwritten)),
            _ => None,
        }
    }

    fn resident(&self, stream: &LedgerStream) -> Option<(LedgerAggregate, StreamVersion)> {
        match stream {
            LedgerStream::Entry(id) => {
                let (held, version) = (self.balances.hold(id)?, self.balances.hold_version(id)?);
                Some((LedgerAggregate::Entry(held), StreamVersion::new(version)))
            }
            _ => None,
        }
    }

    fn version(&self, stream: &LedgerStream) -> StreamVersion {
        match stream {
            LedgerStream::Account(address) => StreamVersion::new(self.balances.version(address)),
            LedgerStream::AccountSet(name) => StreamVersion::new(self.account_sets.version(name)),
            _ => StreamVersion::ZERO,
        }
    }

    fn evolve(aggregate: LedgerAggregate, event: &LedgerEvent) -> Result<LedgerAggregate, IllegalTransition> {
        match (aggregate, event) {
            (LedgerAggregate::Entry(entry), LedgerEvent::Entry(event)) => entry::evolve(entry, event).map(LedgerAggregate::Entry),
            (LedgerAggregate::Entry(entry), event) => Err(IllegalTransition::new("an entry", entry.status(), event.name())),
        }
    }

    fn fold(&mut self, stream: &LedgerStream, version: StreamVersion, event: &LedgerEvent) -> Result<(), IllegalTransition> {
        match (event, stream) {
            (LedgerEvent::Entry(event), LedgerStream::Entry(id)) => {
                self.balances.apply_entry(id, event)?;
                if let Effect::Notes = event.effect() {
                    self.balances.note_hold_version(id, version.get());
                }
                Ok(())
            }
            (LedgerEvent::Account(event), LedgerStream::Account(address)) => {
                self.balances.apply_account(address, event)?;
                // One stored event may be several of today's, which share its version.
                self.balances.note_version(address, version.get());
                Ok(())
            }
            (LedgerEvent::AccountSet(event), LedgerStream::AccountSet(name)) => self.account_sets.apply(name, event),
            (LedgerEvent::Command(_), LedgerStream::Command(_)) | (LedgerEvent::Journal(_), LedgerStream::Journal(_)) => Ok(()),
            (event, stream) => Err(IllegalTransition::new(stream.to_string(), "of another type", event.name())),
        }
    }

    fn decide(command: &LedgerCommand, world: &mut impl World<Self>) -> Result<(), Refusal> {
        command.decide(world)
    }

    fn weight(&self, command: &LedgerCommand, loaded: &impl Loaded<Self>) -> usize {
        let transfers = match command {
            LedgerCommand::Entry { id, action } => match &**action {
                EntryAction::Post(post) => post.transfers.len(),
                // Its event repeats what the entry moves.
                _ => match loaded.aggregate(&LedgerStream::Entry(*id)) {
                    Some(LedgerAggregate::Entry(entry)) => entry.transfers().len(),
                    None => 0,
                },
            },
            // An account that is closed is swept by one.
            _ => 1,
        };
        RECORD_BYTES + transfers * TRANSFER_BYTES + command.pairs() * PAIR_BYTES
    }

    fn due(&self) -> impl Iterator<Item = (Timestamp, EntryId)> {
        self.balances.expiries()
    }

    fn when_due(hold: EntryId) -> (CommandId, LedgerCommand) {
        let command = format!("{HOLD_EXPIRY}{hold}").parse().expect("a prefix and a UUID are visible ASCII characters");
        (command, LedgerCommand::entry(hold, EntryAction::ExpireHold))
    }

    fn mark(&self) -> LedgerMark {
        LedgerMark { balances: self.balances.mark(), account_sets: self.account_sets.mark() }
    }

    fn roll_back(&mut self, mark: LedgerMark) {
        self.balances.roll_back(mark.balances);
        self.account_sets.roll_back(mark.account_sets);
    }

    fn forget(&mut self, mark: LedgerMark) {
        self.balances.forget(mark.balances);
        self.account_sets.forget(mark.account_sets);
    }

    fn len(&self) -> usize {
        self.balances.accounts().len() + self.balances.open_holds() + self.account_sets.len() + self.account_sets.memberships()
    }

    fn freeze(&self) -> FrozenLedger {
        FrozenLedger { balances: self.balances.freeze(), account_sets: self.account_sets.freeze() }
    }

    fn thaw(frozen: FrozenLedger, rules: Rules) -> Self {
        Self { balances: Balances::thaw(frozen.balances, rules), account_sets: AccountSets::thaw(frozen.account_sets) }
    }

    fn figures(&self) -> LedgerFigures {
        LedgerFigures { accounts: self.balances.accounts().len(), open_holds: self.balances.open_holds() }
    }

    fn example_stream(event: &LedgerEvent) -> LedgerStream {
        match event {
            LedgerEvent::Entry(_) => LedgerStream::Entry(example::entry(1)),
            LedgerEvent::Account(_) => LedgerStream::Account(example::address(example::AWA)),
            LedgerEvent::AccountSet(_) => LedgerStream::AccountSet("merchants".parse().expect("a name")),
            LedgerEvent::Command(_) => LedgerStream::Command(example::command()),
            LedgerEvent::Journal(_) => LedgerStream::Journal(example::text("ledger")),
        }
    }
}
