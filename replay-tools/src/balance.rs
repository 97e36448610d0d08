//! Balances by replay alone: as of any effective time, as known at any position.

use cauri_domain::account::{self, Account as State};
use cauri_domain::money::Currency;
use cauri_domain::time::Timestamp;
use cauri_event_schemas::Position;
use cauri_event_store::Corruption;

use crate::commands::CommandError;
use crate::ledger::{Account, Ledger};
use crate::origin::{Origin, Replayed};
use crate::reading::{Fact, Happening, Moved, ReadBatch, Stream};

/// Every account, and what of the journal it was computed from.
pub(crate) struct Balances {
    pub(crate) replayed: Replayed,
    pub(crate) as_of: Option<Timestamp>,
    ledger: Ledger,
}

impl Balances {
    /// Replays a journal. An entry counts if it takes effect at or before `as_of` and is known at `known_at`.
    pub(crate) fn replay(origin: &Origin, as_of: Option<Timestamp>, known_at: Option<Position>) -> Result<Self, CommandError> {
        let mut ledger = Ledger::default();
        let mut illegal: Option<Corruption> = None;
        let replayed = origin.replay_ledger("replay", known_at, |batch, fact| {
            if illegal.is_none() {
                illegal = fold(&mut ledger, batch, fact, as_of).err();
            }
        })?;
        match illegal {
            Some(corruption) => Err(CommandError::Damaged(corruption)),
            None => Ok(Self { replayed, as_of, ledger }),
        }
    }

    /// The accounts at or below a prefix of whole segments, by address.
    pub(crate) fn accounts(&self, prefix: Option<&str>) -> Vec<&Account> {
        let below = |account: &&Account| {
            prefix.is_none_or(|prefix| account.address.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with(':')))
        };
        let mut accounts: Vec<&Account> = self.ledger.accounts().iter().filter(below).collect();
        accounts.sort_by(|left, right| left.address.cmp(&right.address));
        accounts
    }

    /// The currencies of some accounts, by code.
    pub(crate) fn currencies(accounts: &[&Account]) -> Vec<Currency> {
        let mut currencies: Vec<Currency> = accounts.iter().map(|account| account.currency).collect();
        currencies.sort_unstable();
        currencies.dedup();
        currencies
    }

    /// What the figures are as of, for a person.
    pub(crate) fn heading(&self) -> String {
        let Replayed { journal, head } = &self.replayed;
        let as_of = self.as_of.map_or_else(String::new, |as_of| format!("as of     {as_of} (effective at or before)\n"));
        format!("journal   {journal}\nknown at  {}:{}\n{as_of}", head.position, head.root)
    }
}

/// Takes one event at its word; whether it was allowed is `verify`'s business.
fn fold(ledger: &mut Ledger, batch: &ReadBatch, fact: &Fact, as_of: Option<Timestamp>) -> Result<(), Corruption> {
    match (&fact.stream, &fact.event) {
        (Stream::Account(address, hash), Happening::Account(event)) => {
            let number = ledger.number(batch.text(*address), *hash);
            let before = number.map_or(State::Unopened, |number| ledger.account(number).state);
            let after = account::evolve(before, event).map_err(|illegal| Corruption::new(fact.position, illegal.to_string()))?;
            match number {
                Some(number) => {
                    let account = ledger.account_mut(number);
                    account.state = after;
                    account.version += u64::from(fact.part == 0);
                }
                None => {
                    ledger.open(&batch.shown(*address), *hash, after);
                }
            }
        }
        (Stream::Entry(..), Happening::Moved(moved)) if as_of.is_none_or(|as_of| moved.effective_at <= as_of.as_micros()) => {
            apply(ledger, batch, fact, moved)?;
        }
        _ => {}
    }
    Ok(())
}

fn apply(ledger: &mut Ledger, batch: &ReadBatch, fact: &Fact, moved: &Moved) -> Result<(), Corruption> {
    for movement in &batch.movements[moved.transfers.clone()] {
        let (debit, credit) = (ledger.find(batch, movement.debit), ledger.find(batch, movement.credit));
        if debit.is_none() || credit.is_none() {
            return Err(Corruption::new(fact.position, "a transfer names an account that was never opened"));
        }
        ledger.apply(moved.motion, movement, debit, credit);
    }
    Ok(())
}
