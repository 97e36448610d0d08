//! The rules of double entry: state and command in, an event or a refusal out.
//!
//! Each rule stands in the order of `RefusalCode`: the first that applies is the answer. Time and ids
//! arrive in the command.

use super::{Entry, EntryAction, EntryCommand, EntryEvent, EntryHeld, EntryPosted, EntryReversed, Held, HoldExpired, HoldPosted};
use super::{HoldPostedTransfer, HoldVoided, PostEntry, PostHold, ReverseEntry, Transfer, TransferAmount, TransferRequest, VoidHold};
use crate::account::Account;
use crate::fold::{AccountNo, Balances, Totals};
use crate::ids::{AccountAddress, EntryId};
use crate::money::{MAX_MINOR, Money, UncheckedMoney};
use crate::refusal::{Refusal, RefusalCode};
use crate::time::Timestamp;

/// Decides any command for an entry.
pub fn decide(entry: &Entry, command: &EntryCommand, balances: &Balances) -> Result<EntryEvent, Refusal> {
    match &*command.action {
        EntryAction::Post(post) => self::post(entry, post, command.now, balances),
        EntryAction::PostHold(post) => post_hold(entry, post, command.now, balances),
        EntryAction::VoidHold(void) => void_hold(entry, void, command.now),
        EntryAction::ExpireHold => expire_hold(entry, command.now),
        EntryAction::Reverse(reverse) => self::reverse(entry, reverse),
    }
}

/// Posts an entry, or holds it where the command says so.
///
/// All limits hold after all transfers of the entry; in between an account may be beyond a limit. A transfer with
/// `up_to` moves the most that the limits leave at its place in the entry, after the transfers before it. A limit is
/// looked at in the direction in which the transfer moves the balance: a floor where it takes, a ceiling where it
/// brings. So where an earlier transfer left an account beyond a limit, `up_to` moves 0 in the direction that leads
/// further beyond, and moves freely in the direction that leads back, as any other transfer does. It never takes
/// later transfers into account.
fn post(entry: &Entry, post: &PostEntry, now: Timestamp, balances: &Balances) -> Result<EntryEvent, Refusal> {
    if *entry != Entry::Unwritten {
        return Err(Refusal::new(RefusalCode::EntryExists, format!("the entry is {}", entry.status())).at("/id"));
    }
    let accounts = resolve(&post.transfers, balances)?;
    for (index, (transfer, (debit, credit))) in post.transfers.iter().zip(&accounts).enumerate() {
        for (side, number) in [("debit", *debit), ("credit", *credit)] {
            let currency = balances.terms(number).currency;
            let asked = transfer.amount.asked();
            if asked.currency != currency {
                let detail = format!("{} holds {currency}, the amount is in {}", balances.address(number), asked.currency);
                return Err(Refusal::new(RefusalCode::CurrencyMismatch, detail).at(format!("/transfers/{index}/{side}")));
            }
        }
    }
    for (index, (debit, credit)) in accounts.iter().enumerate() {
        if debit == credit {
            let detail = format!("both sides are {}", balances.address(*debit));
            return Err(Refusal::new(RefusalCode::SameAccount, detail).at(format!("/transfers/{index}")));
        }
    }
    let asked = check_amounts(post.transfers.iter().map(|transfer| transfer.amount.asked()), 1, |index| {
        let field = match post.transfers[index].amount {
            TransferAmount::Exactly(_) => "amount",
            TransferAmount::UpTo(_) => "up_to",
        };
        format!("/transfers/{index}/{field}")
    })?;
    let effective_at = post.effective_at.unwrap_or(now);
    check_future(effective_at, now, balances)?;
    if let Some(expires_at) = post.hold.and_then(|hold| hold.expires_at).filter(|expires_at| *expires_at <= now) {
        let detail = format!("the hold would expire at {expires_at}, it is {now}");
        return Err(Refusal::new(RefusalCode::HoldExpired, detail).at("/hold/expires_at"));
    }

    let mut staged = Staged::on(balances, post.hold.is_some());
    let transfers = post.transfers.iter().zip(&accounts).zip(asked).map(|((request, (debit, credit)), asked)| {
        let amount = match request.amount {
            TransferAmount::Exactly(_) => asked,
            TransferAmount::UpTo(_) => Money::from_minor(staged.room(*debit, *credit).min(asked.minor()), asked.currency()),
        };
        staged.transfer(*debit, *credit, amount);
        Transfer { amount, credit: request.credit.clone(), debit: request.debit.clone(), reason: request.reason.clone() }
    });
    let transfers: std::sync::Arc<[Transfer]> = transfers.collect();
    staged.check_limits()?;

    // From here the entry must be written.
    let (dimensions, reference) = (post.dimensions.clone(), post.reference.clone());
    Ok(match post.hold {
        Some(hold) => EntryEvent::Held(EntryHeld { dimensions, effective_at, expires_at: hold.expires_at, reference, transfers }),
        None => EntryEvent::Posted(EntryPosted { dimensions, effective_at, reference, reverses: post.reverses, transfers }),
    })
}

/// Posts a hold, whole or in part. Limits need no look: a hold counted in full, and less than it moves.
fn post_hold(entry: &Entry, post: &PostHold, now: Timestamp, balances: &Balances) -> Result<EntryEvent, Refusal> {
    // The engine wrote `entry.hold_expired` before it asked, so there is no clock in this look.
    let held = open_hold(entry);
    if let Ok(held) = &held {
        check_held_accounts(held, balances)?;
        check_held_currencies(held, post.amounts.as_deref().unwrap_or_default())?;
    }
    // What is wrong with the command itself comes before what became of the hold.
    let amounts = post.amounts.as_ref();
    let amounts = amounts.map(|amounts| check_amounts(amounts.iter().copied(), 0, |index| format!("/amounts/{index}"))).transpose()?;
    let effective_at = post.effective_at.unwrap_or(now);
    check_future(effective_at, now, balances)?;
    let held = held?;
    let asked = amounts.unwrap_or_else(|| held.transfers.iter().map(|transfer| transfer.amount).collect());
    if asked.len() != held.transfers.len() {
        let detail = format!("the hold has {} transfers, the command {} amounts", held.transfers.len(), asked.len());
        return Err(Refusal::new(RefusalCode::HoldAmountsMismatch, detail).at("/amounts"));
    }
    for (index, (amount, transfer)) in asked.iter().zip(held.transfers.iter()).enumerate() {
        if amount.minor() > transfer.amount.minor() {
            let detail = format!("{} was held, {amount} is to be posted", transfer.amount);
            return Err(Refusal::new(RefusalCode::ExceedsHold, detail).at(format!("/amounts/{index}")));
        }
    }

    // From here the posting must succeed.
    let transfers = asked.iter().zip(held.transfers.iter()).map(|(amount, transfer)| HoldPostedTransfer {
        amount: *amount,
        credit: transfer.credit.clone(),
        debit: transfer.debit.clone(),
        held: transfer.amount,
        reason: transfer.reason.clone(),
    });
    Ok(EntryEvent::HoldPosted(HoldPosted { effective_at: effective_at.max(held.effective_at), transfers: transfers.collect() }))
}

/// Every account of the hold must be open; by precedence, a closed one anywhere comes before a frozen one.
fn check_held_accounts(held: &Held, balances: &Balances) -> Result<(), Refusal> {
    let addresses = held.transfers.iter().flat_map(|transfer| [&transfer.debit, &transfer.credit]);
    let refusals = addresses.filter_map(|address| match balances.account(address) {
        Account::Open(_) => None,
        state => Some(not_open(address, &state)),
    });
    refusals.min_by_key(|refusal| refusal.code).map_or(Ok(()), Err)
}

fn check_held_currencies(held: &Held, amounts: &[UncheckedMoney]) -> Result<(), Refusal> {
    for (index, (asked, transfer)) in amounts.iter().zip(held.transfers.iter()).enumerate() {
        if asked.currency != transfer.amount.currency() {
            let detail = format!("the hold is in {}, the amount in {}", transfer.amount.currency(), asked.currency);
            return Err(Refusal::new(RefusalCode::CurrencyMismatch, detail).at(format!("/amounts/{index}")));
        }
    }
    Ok(())
}

fn void_hold(entry: &Entry, void: &VoidHold, now: Timestamp) -> Result<EntryEvent, Refusal> {
    let held = open_hold(entry)?;
    Ok(EntryEvent::HoldVoided(HoldVoided {
        effective_at: now.max(held.effective_at),
        reason: void.reason.clone(),
        transfers: held.transfers.clone(),
    }))
}

fn expire_hold(entry: &Entry, now: Timestamp) -> Result<EntryEvent, Refusal> {
    let held = open_hold(entry)?;
    let passed = held.expires_at.filter(|at| *at <= now).expect("the engine asks this only when a hold's time has passed");
    // What was held is free from the moment that was agreed, however late the engine writes it down.
    Ok(EntryEvent::HoldExpired(HoldExpired { effective_at: passed.max(held.effective_at), transfers: held.transfers.clone() }))
}

fn reverse(entry: &Entry, reverse: &ReverseEntry) -> Result<EntryEvent, Refusal> {
    match entry {
        Entry::Unwritten => Err(Refusal::new(RefusalCode::EntryNotFound, "no entry was written under this id")),
        Entry::Held(_) | Entry::HoldVoided | Entry::HoldExpired => Err(not_posted(entry)),
        // "Up to" may have moved nothing, and a hold may be posted with 0: there is no opposite of that.
        Entry::Posted(posted) | Entry::HoldPosted(posted) if posted.transfers.iter().all(|transfer| transfer.amount.is_zero()) => {
            Err(not_posted(entry))
        }
        Entry::Posted(_) | Entry::HoldPosted(_) => match reverse.entry_id {
            Some(by) => Ok(EntryEvent::Reversed(EntryReversed { by, reason: reverse.reason.clone() })),
            // `opposite` names the entry before it is asked for.
            None => Err(Refusal::new(RefusalCode::EntryNotFound, "the reversal names no opposite entry")),
        },
        Entry::Reversed(_) | Entry::HoldReversed(_) => Err(Refusal::new(RefusalCode::AlreadyReversed, "an entry is reversed at most once")),
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

/// The accounts of every transfer, or the first refusal that their states ask for.
fn resolve(transfers: &[TransferRequest], balances: &Balances) -> Result<Vec<(AccountNo, AccountNo)>, Refusal> {
    let sides = |index: usize| [("debit", &transfers[index].debit), ("credit", &transfers[index].credit)];
    let mut accounts = Vec::with_capacity(transfers.len());
    let mut all_open = true;
    for index in 0..transfers.len() {
        let [debit, credit] = sides(index).map(|(_, address)| balances.number(address));
        let (Some(debit), Some(credit)) = (debit, credit) else {
            let (side, address) = sides(index)[usize::from(debit.is_some())];
            return Err(not_open(address, &Account::Unopened).at(format!("/transfers/{index}/{side}")));
        };
        all_open &= matches!(balances.state(debit), Account::Open(_)) && matches!(balances.state(credit), Account::Open(_));
        accounts.push((debit, credit));
    }
    if all_open {
        return Ok(accounts);
    }
    // By precedence: a closed account anywhere comes before a frozen one.
    for wanted in [RefusalCode::AccountClosed, RefusalCode::AccountFrozen] {
        for index in 0..transfers.len() {
            for (side, address) in sides(index) {
                let state = balances.account(address);
                let refusal = not_open(address, &state);
                if !matches!(state, Account::Open(_)) && refusal.code == wanted {
                    return Err(refusal.at(format!("/transfers/{index}/{side}")));
                }
            }
        }
    }
    Ok(accounts)
}

/// Amounts as money: all positive (or at least `least`) before any scale is looked at.
fn check_amounts(
    amounts: impl Iterator<Item = UncheckedMoney> + Clone,
    least: i64,
    pointer: impl Fn(usize) -> String,
) -> Result<Vec<Money>, Refusal> {
    for (index, asked) in amounts.clone().enumerate() {
        let positive = asked.amount.is_sign_positive() && !asked.amount.is_zero();
        if !positive && (least > 0 || !asked.amount.is_zero()) {
            let detail =
                format!("{} {} is not {}", asked.amount, asked.currency, if least > 0 { "more than zero" } else { "zero or more" });
            return Err(Refusal::new(RefusalCode::AmountNotPositive, detail).at(pointer(index)));
        }
    }
    let mut too_large = None;
    let mut checked = Vec::with_capacity(amounts.size_hint().0);
    for (index, asked) in amounts.enumerate() {
        match Money::new(asked.amount, asked.currency) {
            Ok(money) => checked.push(money),
            Err(error) => {
                let refusal = Refusal::from(error).at(pointer(index));
                if refusal.code == RefusalCode::AmountScale {
                    return Err(refusal);
                }
                too_large.get_or_insert(refusal);
            }
        }
    }
    too_large.map_or(Ok(checked), Err)
}

fn check_future(effective_at: Timestamp, now: Timestamp, balances: &Balances) -> Result<(), Refusal> {
    let latest = now.saturating_add_secs(balances.rules().max_future_secs);
    if effective_at > latest {
        let detail = format!("{effective_at} is after {latest}, the last instant that an entry may be dated at now");
        return Err(Refusal::new(RefusalCode::EffectiveInFutureTooFar, detail).at("/effective_at"));
    }
    Ok(())
}

/// Totals as they would be after the transfers decided so far.
struct Staged<'a> {
    balances: &'a Balances,
    hold: bool,
    // Few accounts an entry: a search from the front beats a map.
    touched: Vec<(AccountNo, Totals)>,
}

impl<'a> Staged<'a> {
    fn on(balances: &'a Balances, hold: bool) -> Self {
        Self { balances, hold, touched: Vec::with_capacity(4) }
    }

    fn totals(&mut self, number: AccountNo) -> &mut Totals {
        let at = self.touched.iter().position(|(touched, _)| *touched == number).unwrap_or_else(|| {
            self.touched.push((number, *self.balances.totals_of(number)));
            self.touched.len() - 1
        });
        &mut self.touched[at].1
    }

    /// What one more transfer may move before a limit of either account is reached, each limit in the direction of the
    /// transfer; 0 where an account is beyond that limit already.
    ///
    /// The end of what an account can count is no limit of it: `up_to` is not reduced to fit, the entry is refused.
    fn room(&mut self, debit: AccountNo, credit: AccountNo) -> i64 {
        let balances = self.balances;
        let to_debit = self.totals(debit).room_to_debit(balances.terms(debit));
        let to_credit = self.totals(credit).room_to_credit(balances.terms(credit));
        to_debit.min(to_credit).clamp(0, MAX_MINOR)
    }

    fn transfer(&mut self, debit: AccountNo, credit: AccountNo, amount: Money) {
        // Saturating is safe: a total at the end of the range is refused before it is compared with any limit.
        let minor = amount.minor();
        let hold = self.hold;
        let add = |total: &mut i64| *total = total.saturating_add(minor);
        let left = self.totals(debit);
        add(if hold { &mut left.debits_pending } else { &mut left.debits_posted });
        let right = self.totals(credit);
        add(if hold { &mut right.credits_pending } else { &mut right.credits_posted });
    }

    /// Limits hold after all transfers of the entry: every floor is looked at before any ceiling. What an account can
    /// count comes first, because a balance beyond it would be compared with a limit that it may not really break.
    fn check_limits(&self) -> Result<(), Refusal> {
        for (number, totals) in &self.touched {
            if totals.fuller_side() > Totals::MAX {
                let most = Money::from_minor(Totals::MAX, self.balances.terms(*number).currency);
                let detail = format!(
                    "{} can count {most} on each side in its whole life, holds included; this would exceed it: use another account",
                    self.balances.address(*number)
                );
                return Err(Refusal::new(RefusalCode::TurnoverExhausted, detail));
            }
        }
        for (number, totals) in &self.touched {
            let terms = self.balances.terms(*number);
            if let Some(floor) = terms.limits.floor.filter(|floor| totals.available(terms.kind) < i128::from(floor.minor())) {
                let before = self.balances.totals_of(*number).available(terms.kind);
                let detail = format!(
                    "{} has {} available and a floor of {floor}; it would have {}",
                    self.balances.address(*number),
                    shown(before, floor),
                    shown(totals.available(terms.kind), floor)
                );
                return Err(Refusal::new(RefusalCode::BelowFloor, detail));
            }
        }
        for (number, totals) in &self.touched {
            let terms = self.balances.terms(*number);
            if let Some(ceiling) = terms.limits.ceiling.filter(|ceiling| totals.expected(terms.kind) > i128::from(ceiling.minor())) {
                let before = self.balances.totals_of(*number).expected(terms.kind);
                let detail = format!(
                    "{} has {} with what is held for it and a ceiling of {ceiling}; it would have {}",
                    self.balances.address(*number),
                    shown(before, ceiling),
                    shown(totals.expected(terms.kind), ceiling)
                );
                return Err(Refusal::new(RefusalCode::AboveCeiling, detail));
            }
        }
        Ok(())
    }
}

/// Minor units for a person, in the currency of `like`.
fn shown(minor: i128, like: Money) -> String {
    i64::try_from(minor).map_or_else(|_| minor.to_string(), |minor| Money::from_minor(minor, like.currency()).to_string())
}

fn not_open(address: &AccountAddress, state: &Account) -> Refusal {
    let code = match state {
        Account::Unopened => RefusalCode::AccountNotFound,
        Account::Closed(_) => RefusalCode::AccountClosed,
        Account::Open(_) | Account::Frozen(_) => RefusalCode::AccountFrozen,
    };
    Refusal::new(code, format!("{address} is {}", state.status()))
}

fn open_hold(entry: &Entry) -> Result<&Held, Refusal> {
    match entry {
        Entry::Held(held) => Ok(held),
        Entry::Unwritten | Entry::Posted(_) | Entry::Reversed(_) => Err(hold_not_found(entry)),
        Entry::HoldPosted(_) | Entry::HoldReversed(_) => Err(hold_already_posted()),
        Entry::HoldVoided => Err(hold_already_voided()),
        Entry::HoldExpired => Err(hold_expired()),
    }
}

fn hold_not_found(entry: &Entry) -> Refusal {
    let detail =
        if *entry == Entry::Unwritten { "no entry was written under this id" } else { "the entry was posted at once, it is no hold" };
    Refusal::new(RefusalCode::HoldNotFound, detail)
}

fn hold_already_posted() -> Refusal {
    Refusal::new(RefusalCode::HoldAlreadyPosted, "a hold is posted at most once, whole or in part")
}

fn hold_already_voided() -> Refusal {
    Refusal::new(RefusalCode::HoldAlreadyVoided, "what was held was given back")
}

fn hold_expired() -> Refusal {
    Refusal::new(RefusalCode::HoldExpired, "what was held was given back when its time had passed")
}

fn not_posted(entry: &Entry) -> Refusal {
    let detail = match entry {
        Entry::Held(_) => "the entry is an open hold: void it instead",
        Entry::Posted(_) | Entry::HoldPosted(_) => "every transfer of the entry moved 0",
        _ => "the hold never moved anything",
    };
    Refusal::new(RefusalCode::EntryNotPosted, detail)
}
