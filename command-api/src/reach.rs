//! Callers who are limited to some accounts: their commands and histories name no others.
//!
//! On this side only prefixes reach: who is in which account set is known to the read models.

use cauri_domain::LedgerCommand;
use cauri_domain::account::AccountAction;
use cauri_domain::entry::EntryAction;
use cauri_domain::ids::{AccountAddress, EntryId};
use cauri_domain::ledger::Ledger;
use cauri_domain::reach::Reach;
use cauri_event_schemas::StreamVersion;
use cauri_event_schemas::ledger::{Event, StreamId};
use cauri_event_store::{EventStore, StoreError, Unreadable};
use cauri_http::auth::token::Principal;
use cauri_http::problem::{Problem, kind};

use crate::state::ApiState;

/// Refuses commands that name accounts which the caller does not reach. Whoever is limited to none is not looked at.
///
/// # Errors
/// 403 where a command names such an account, or something that is about all of them.
pub(crate) async fn within<'a>(
    state: &ApiState,
    caller: &Principal,
    commands: impl IntoIterator<Item = &'a LedgerCommand>,
) -> Result<(), Problem> {
    let Some(reach) = caller.reach() else { return Ok(()) };
    let mut entries = Vec::new();
    for command in commands {
        match command {
            LedgerCommand::Account(command) => {
                covers(reach, &command.address)?;
                if let AccountAction::Close(close) = &*command.action
                    && let Some(sweep_to) = &close.sweep_to
                {
                    covers(reach, sweep_to)?;
                }
            }
            LedgerCommand::Entry { id, action } => match &**action {
                EntryAction::Post(post) => {
                    let accounts = post.transfers.iter().flat_map(|transfer| [&transfer.debit, &transfer.credit]);
                    accounts.into_iter().try_for_each(|account| covers(reach, account))?;
                }
                _ => entries.push(*id),
            },
            LedgerCommand::AccountSet(_) | LedgerCommand::Journal(_) => {
                return Err(out_of_reach("the command is about all accounts"));
            }
        }
    }
    if entries.is_empty() {
        return Ok(());
    }
    let store = state.engine.store().clone();
    let turn = state.journal_reads.clone().acquire_owned().await.map_err(|error| Problem::internal(None, error))?;
    let looking = tokio::task::spawn_blocking(move || {
        let accounts = entries.into_iter().map(|id| accounts_of(&*store, id)).collect::<Result<Vec<_>, _>>();
        drop(turn);
        accounts
    });
    let accounts = looking.await.map_err(|error| Problem::internal(None, error))?;
    let accounts = accounts.map_err(|error| match error {
        StoreError::Failure(failure) => Problem::not_done(failure.to_string()),
        StoreError::Corruption(corruption) => Problem::of(&kind::JOURNAL_DAMAGED, corruption.to_string()),
        StoreError::Newer(newer) => Problem::of(&kind::JOURNAL_NEWER, newer.to_string()),
    })?;
    accounts.iter().flatten().try_for_each(|account| covers(reach, account))
}

/// Refuses the history of what the caller does not reach.
///
/// # Errors
/// 403 where the stream is not an account's that is reached: what stands in other streams names accounts of others.
pub(crate) fn history(caller: &Principal, stream: &StreamId) -> Result<(), Problem> {
    match (caller.reach(), stream) {
        (None, _) => Ok(()),
        (Some(reach), StreamId::Account(address)) => covers(reach, address),
        (Some(_), _) => Err(out_of_reach("its history may name accounts of others; GraphQL shows what is yours")),
    }
}

fn covers(reach: &Reach, account: &AccountAddress) -> Result<(), Problem> {
    if reach.covers(account) { Ok(()) } else { Err(out_of_reach(&format!("the account {account} is not among them"))) }
}

fn out_of_reach(why: &str) -> Problem {
    Problem::of(&kind::OUT_OF_REACH, format!("the token is limited to some accounts: {why}"))
}

/// The accounts that an entry touches; none if there is no such entry.
fn accounts_of(store: &dyn EventStore, id: EntryId) -> Result<Vec<AccountAddress>, StoreError> {
    let stream = StreamId::Entry(id).to_string();
    let mut accounts = Vec::new();
    // What follows the first event touches the same accounts.
    if let Some(record) = store.read_stream(&stream, StreamVersion::ZERO.next())?.first() {
        let events = record.as_record().decode::<Ledger>().inspect_err(|error| {
            if let Unreadable::Corrupt(corruption) = error {
                store.health().note_damage(corruption);
            }
        })?;
        for recorded in events {
            let Event::Entry(event) = &recorded.event else { continue };
            let transfers = event.opening_transfers().unwrap_or_default();
            accounts.extend(transfers.iter().flat_map(|transfer| [transfer.debit.clone(), transfer.credit.clone()]));
        }
    }
    Ok(accounts)
}
