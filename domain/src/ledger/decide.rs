//! What a command of a ledger asks of which aggregates, in which order, and which refusal is the answer where several say no.

use std::sync::Arc;

use super::{Ledger, LedgerAggregate, LedgerStream};
use crate::account::decide as account_rules;
use crate::account::{AccountAction, AccountCommand, CloseAccount};
use crate::entry::{self as entry_rules, Entry, EntryAction, EntryCommand, ReverseEntry};
use crate::ids::EntryId;
use crate::kind::World;
use crate::refusal::{Refusal, RefusalCode};

/// Decides a command for an account.
pub(super) fn account(command: &AccountCommand, world: &mut impl World<Ledger>) -> Result<(), Refusal> {
    match &*command.action {
        AccountAction::Close(close) => close_account(command, close, world),
        _ => account_alone(command, world),
    }
}

/// Decides a command for an entry.
pub(super) fn entry(id: EntryId, action: &Arc<EntryAction>, world: &mut impl World<Ledger>) -> Result<(), Refusal> {
    match &**action {
        EntryAction::Reverse(reverse) => self::reverse(id, reverse, world),
        _ => entry_alone(id, action.clone(), world),
    }
}

/// Sweeps what is left, then closes.
fn close_account(command: &AccountCommand, close: &CloseAccount, world: &mut impl World<Ledger>) -> Result<(), Refusal> {
    let balances = world.state().balances();
    let sweep = account_rules::sweep(&balances.account(&command.address), &command.address, close, world.key(), balances)?;
    let entry_id = sweep.as_ref().and_then(|sweep| sweep.id);
    if let (Some(sweep), Some(id)) = (sweep, entry_id) {
        entry_alone(id, Arc::new(EntryAction::Post(sweep)), world).map_err(without_pointer)?;
    }
    let action = AccountAction::Close(CloseAccount { entry_id, ..close.clone() });
    account_alone(&AccountCommand { address: command.address.clone(), action: Arc::new(action) }, world)
}

/// Marks the original as reversed and posts its opposite. Both are decided, so that the refusal with precedence is the
/// answer.
fn reverse(original: EntryId, reverse: &ReverseEntry, world: &mut impl World<Ledger>) -> Result<(), Refusal> {
    let by = reverse.entry_id.unwrap_or_else(|| EntryId::derived_from(world.key()));
    let opposite = entry_rules::opposite(&stored_entry(original, world), original, reverse, by);
    let named = ReverseEntry { entry_id: Some(by), ..reverse.clone() };
    let reversed = entry_alone(original, Arc::new(EntryAction::Reverse(named)), world);
    let posted = match opposite {
        Some(opposite) => entry_alone(by, Arc::new(EntryAction::Post(opposite)), world).map_err(without_pointer),
        None => Err(Refusal::new(RefusalCode::EntryNotPosted, "the entry moved nothing")),
    };
    match (reversed, posted) {
        (Err(first), Err(second)) => Err(std::cmp::min_by_key(first, second, |refusal| refusal.code)),
        (reversed, posted) => reversed.and(posted),
    }
}

fn account_alone(command: &AccountCommand, world: &mut impl World<Ledger>) -> Result<(), Refusal> {
    let balances = world.state().balances();
    let event = account_rules::decide(&balances.account(&command.address), command, balances)?;
    world.record(LedgerStream::Account(command.address.clone()), event.into());
    Ok(())
}

fn entry_alone(id: EntryId, action: Arc<EntryAction>, world: &mut impl World<Ledger>) -> Result<(), Refusal> {
    let stored = stored_entry(id, world);
    let command = EntryCommand { now: world.now(), action };
    let event = entry_rules::decide(&stored, &command, world.state().balances())?;
    world.record(LedgerStream::Entry(id), event.into());
    Ok(())
}

fn stored_entry(id: EntryId, world: &mut impl World<Ledger>) -> Entry {
    let LedgerAggregate::Entry(entry) = world.aggregate(&LedgerStream::Entry(id));
    entry
}

/// What a refusal of an entry that the command did not spell out points at is not in the command.
fn without_pointer(refusal: Refusal) -> Refusal {
    Refusal { pointer: None, ..refusal }
}
