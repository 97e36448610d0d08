//! The rules of accounts: state and command in, an event or a refusal out.

use super::{Account, AccountAction, AccountClosed, AccountCommand, AccountEvent, AccountFrozen, AccountOpened, AccountReopened};
use super::{AccountUnfrozen, ChangeLimits, CloseAccount, LimitsChanged, OpenAccount, Side};
use crate::entry::{PostEntry, TransferAmount, TransferRequest};
use crate::fold::Balances;
use crate::ids::{AccountAddress, CommandKey, EntryId};
use crate::money::Money;
use crate::refusal::{Refusal, RefusalCode};

/// Decides any command for an account.
pub fn decide(account: &Account, command: &AccountCommand, balances: &Balances) -> Result<AccountEvent, Refusal> {
    let address = &command.address;
    match &*command.action {
        AccountAction::Open(open) => self::open(account, address, open),
        AccountAction::Freeze(freeze) => {
            movable(account, address)?;
            Ok(AccountEvent::Frozen(AccountFrozen { reason: freeze.reason.clone() }))
        }
        AccountAction::Unfreeze => unfreeze(account, address),
        AccountAction::Close(close) => self::close(account, address, close, balances),
        AccountAction::Reopen => reopen(account, address),
        AccountAction::ChangeLimits(change) => change_limits(account, address, change, balances),
    }
}

/// The entry that empties an account before it is closed; `None` where nothing is left to move.
///
/// What is left is what the open holds do not claim: a hold that is voided later leaves its money on the
/// closed account, for whoever reopens it.
pub fn sweep(
    account: &Account,
    address: &AccountAddress,
    close: &CloseAccount,
    command: &CommandKey,
    balances: &Balances,
) -> Result<Option<PostEntry>, Refusal> {
    // With a sweep to decide, the state of the account is one of its refusals, at its place in the precedence.
    let Some((side, money)) = balances.left_over(address) else { return movable(account, address).map(|()| None) };
    let Some(target) = &close.sweep_to else {
        movable(account, address)?;
        let detail = format!("{address} still has {money} on its {} side", if side == Side::Debit { "debit" } else { "credit" });
        return Err(Refusal::new(RefusalCode::AccountNotEmpty, detail).at("/sweep_to"));
    };
    let (debit, credit) = match side {
        Side::Credit => (address.clone(), target.clone()),
        Side::Debit => (target.clone(), address.clone()),
    };
    Ok(Some(PostEntry {
        id: Some(close.entry_id.unwrap_or_else(|| EntryId::derived_from(command))),
        transfers: vec![TransferRequest { debit, credit, amount: TransferAmount::Exactly(money.into()), reason: close.reason.clone() }],
        ..PostEntry::default()
    }))
}

fn open(account: &Account, address: &AccountAddress, open: &OpenAccount) -> Result<AccountEvent, Refusal> {
    if *account != Account::Unopened {
        return Err(Refusal::new(RefusalCode::AccountExists, format!("{address} is already {}", account.status())).at("/address"));
    }
    let limits = open.limits.as_ref().map(|limits| limits.check(open.currency)).transpose()?.unwrap_or_default();
    Ok(AccountEvent::Opened(AccountOpened {
        chart_code: open.chart_code.clone(),
        currency: open.currency,
        kind: open.kind,
        limits,
        metadata: open.metadata.clone(),
        owner: open.owner.clone(),
    }))
}

fn unfreeze(account: &Account, address: &AccountAddress) -> Result<AccountEvent, Refusal> {
    match account {
        Account::Frozen(_) => Ok(AccountEvent::Unfrozen(AccountUnfrozen {})),
        Account::Open(_) => Err(Refusal::new(RefusalCode::AccountNotFrozen, format!("{address} is open"))),
        Account::Unopened | Account::Closed(_) => Err(not_movable(account, address)),
    }
}

fn close(account: &Account, address: &AccountAddress, close: &CloseAccount, balances: &Balances) -> Result<AccountEvent, Refusal> {
    movable(account, address)?;
    // The sweep of the same commit came first: whatever it left is claimed by open holds.
    assert!(balances.left_over(address).is_none(), "{address} is closed before it was swept");
    Ok(AccountEvent::Closed(AccountClosed { reason: close.reason.clone(), swept_by: close.entry_id }))
}

fn reopen(account: &Account, address: &AccountAddress) -> Result<AccountEvent, Refusal> {
    match account {
        Account::Closed(_) => Ok(AccountEvent::Reopened(AccountReopened {})),
        Account::Unopened => Err(not_movable(account, address)),
        Account::Open(_) | Account::Frozen(_) => {
            Err(Refusal::new(RefusalCode::AccountNotClosed, format!("{address} is {}", account.status())))
        }
    }
}

fn change_limits(account: &Account, address: &AccountAddress, change: &ChangeLimits, balances: &Balances) -> Result<AccountEvent, Refusal> {
    // A frozen account may be limited: freezing it and lowering its ceiling belong to one investigation.
    let terms = match account {
        Account::Open(terms) | Account::Frozen(terms) => terms,
        Account::Unopened | Account::Closed(_) => return Err(not_movable(account, address)),
    };
    let limits = change.limits.check(terms.currency)?;
    let totals = balances.totals(address).unwrap_or_default();
    if let Some(floor) = limits.floor.filter(|floor| totals.available(terms.kind) < i128::from(floor.minor())) {
        let available = totals.available(terms.kind);
        let detail = format!("{address} has {} available, less than a floor of {floor}", in_major(available, floor));
        return Err(Refusal::new(RefusalCode::BelowFloor, detail).at("/limits/floor"));
    }
    if let Some(ceiling) = limits.ceiling.filter(|ceiling| totals.expected(terms.kind) > i128::from(ceiling.minor())) {
        let expected = totals.expected(terms.kind);
        let detail = format!("{address} has {} with what is held for it, more than a ceiling of {ceiling}", in_major(expected, ceiling));
        return Err(Refusal::new(RefusalCode::AboveCeiling, detail).at("/limits/ceiling"));
    }
    Ok(AccountEvent::LimitsChanged(LimitsChanged { limits }))
}

/// Refuses unless the account is open.
fn movable(account: &Account, address: &AccountAddress) -> Result<(), Refusal> {
    match account {
        Account::Open(_) => Ok(()),
        Account::Unopened | Account::Frozen(_) | Account::Closed(_) => Err(not_movable(account, address)),
    }
}

/// The refusal that an account's state asks for.
fn not_movable(account: &Account, address: &AccountAddress) -> Refusal {
    let code = match account {
        Account::Unopened => RefusalCode::AccountNotFound,
        Account::Closed(_) => RefusalCode::AccountClosed,
        Account::Open(_) | Account::Frozen(_) => RefusalCode::AccountFrozen,
    };
    Refusal::new(code, format!("{address} is {}", account.status()))
}

/// Minor units for a person, in the currency of `like`.
fn in_major(minor: i128, like: Money) -> String {
    i64::try_from(minor).map_or_else(|_| minor.to_string(), |minor| Money::from_minor(minor, like.currency()).to_string())
}
