//! Posting an entry, or holding it.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::transfer::{bounded_transfers, check_amounts};
use super::{Entry, EntryEvent, Transfer, TransferAmount, TransferRequest, refusals};
use crate::account::Account;
use crate::event::Payload;
use crate::example;
use crate::fold::{AccountNo, Balances, Totals};
use crate::ids::{AccountAddress, EntryId};
use crate::money::{MAX_MINOR, Money};
use crate::refusal::Refusal;
use crate::text::{Key, ShortText, null_is_absent};
use crate::time::Timestamp;

/// Write an entry. Only `transfers` is needed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PostEntry {
    /// Pairs that read models can group by: `merchant`, `country`, `provider`.
    #[serde(default, deserialize_with = "null_is_absent", skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "Option<BTreeMap<Key, ShortText>>")]
    pub dimensions: BTreeMap<Key, ShortText>,
    /// The business time; now if absent. It may lie in the past.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_at: Option<Timestamp>,
    /// Hold instead of posting at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<HoldTerms>,
    /// Made by the caller; derived from the command's id if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<EntryId>,
    /// The caller's own reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<ShortText>,
    /// Set by the engine where this entry undoes another; not a field of the API.
    #[serde(skip)]
    #[schemars(skip)]
    pub reverses: Option<EntryId>,
    /// 1 to 1,000 transfers, all or nothing.
    #[serde(deserialize_with = "bounded_transfers")]
    #[schemars(length(min = 1, max = 1_000))]
    pub transfers: Vec<TransferRequest>,
}

/// How long to hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HoldTerms {
    /// The engine releases the hold at this time; never if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

/// `entry.posted`, version 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EntryPosted {
    /// Pairs that read models can group by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dimensions: BTreeMap<Key, ShortText>,
    /// The business time.
    pub effective_at: Timestamp,
    /// The caller's own reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<ShortText>,
    /// The entry that this one undoes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reverses: Option<EntryId>,
    /// What moved.
    pub transfers: Arc<[Transfer]>,
}

impl Payload for EntryPosted {
    fn examples() -> Vec<Self> {
        let full = Self {
            dimensions: [(example::key("merchant"), example::text("awa")), (example::key("provider"), example::text("wave"))].into(),
            effective_at: example::start(),
            reference: Some(example::text("WAVE-2026-03-16/000117")),
            reverses: Some(example::entry(9)),
            transfers: example::collection().into(),
        };
        let minimal = Self {
            dimensions: BTreeMap::new(),
            effective_at: example::start().saturating_add_secs(-86_400),
            reference: None,
            reverses: None,
            transfers: example::smallest().into(),
        };
        vec![full, minimal]
    }
}

/// `entry.held`, version 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EntryHeld {
    /// Pairs that read models can group by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dimensions: BTreeMap<Key, ShortText>,
    /// The business time from which it is held.
    pub effective_at: Timestamp,
    /// When the engine releases it; never if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// The caller's own reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<ShortText>,
    /// What is held.
    pub transfers: Arc<[Transfer]>,
}

impl Payload for EntryHeld {
    fn examples() -> Vec<Self> {
        let full = Self {
            dimensions: [(example::key("provider"), example::text("wave"))].into(),
            effective_at: example::start(),
            expires_at: Some(example::start().saturating_add_secs(900)),
            reference: Some(example::text("payout \"P-42\"")),
            transfers: example::payout().into(),
        };
        let minimal = Self {
            dimensions: BTreeMap::new(),
            effective_at: example::start(),
            expires_at: None,
            reference: None,
            transfers: example::smallest().into(),
        };
        vec![full, minimal]
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
pub(super) fn post(entry: &Entry, post: &PostEntry, now: Timestamp, balances: &Balances) -> Result<EntryEvent, Refusal> {
    if *entry != Entry::Unwritten {
        return Err(refusals::entry_exists(entry));
    }
    let accounts = resolve(&post.transfers, balances)?;
    for (index, (transfer, (debit, credit))) in post.transfers.iter().zip(&accounts).enumerate() {
        for (side, number) in [("debit", *debit), ("credit", *credit)] {
            let currency = balances.terms(number).currency;
            let asked = transfer.amount.asked();
            if asked.currency != currency {
                let address = balances.address(number);
                return Err(refusals::other_currency_than_account(index, side, address, currency, asked.currency));
            }
        }
    }
    for (index, (debit, credit)) in accounts.iter().enumerate() {
        if debit == credit {
            return Err(refusals::same_account(index, balances.address(*debit)));
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
        return Err(refusals::would_have_expired(expires_at, now));
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
    let transfers: Arc<[Transfer]> = transfers.collect();
    staged.check_limits()?;

    // From here the entry must be written.
    let (dimensions, reference) = (post.dimensions.clone(), post.reference.clone());
    Ok(match post.hold {
        Some(hold) => EntryEvent::Held(EntryHeld { dimensions, effective_at, expires_at: hold.expires_at, reference, transfers }),
        None => EntryEvent::Posted(EntryPosted { dimensions, effective_at, reference, reverses: post.reverses, transfers }),
    })
}

/// The accounts of every transfer, or the refusal with precedence that their states ask for: a closed account anywhere comes
/// before a frozen one.
fn resolve(transfers: &[TransferRequest], balances: &Balances) -> Result<Vec<(AccountNo, AccountNo)>, Refusal> {
    let open = |address: &AccountAddress| balances.number(address).filter(|number| matches!(balances.state(*number), Account::Open(_)));
    let mut accounts = Vec::with_capacity(transfers.len());
    for transfer in transfers {
        let (Some(debit), Some(credit)) = (open(&transfer.debit), open(&transfer.credit)) else { break };
        accounts.push((debit, credit));
    }
    if accounts.len() == transfers.len() {
        return Ok(accounts);
    }
    let sides = transfers.iter().enumerate().flat_map(|(index, transfer)| {
        [("debit", &transfer.debit), ("credit", &transfer.credit)].map(|(side, address)| (index, side, address))
    });
    let refused = sides.filter_map(|(index, side, address)| {
        let refused = refusals::unless_open(address, &balances.account(address)).err()?;
        Some(refused.at(format!("/transfers/{index}/{side}")))
    });
    Err(refused.min_by_key(|refusal| refusal.code).expect("an account that is not open is refused"))
}

/// Refuses a business time that lies further ahead than the rules allow.
pub(super) fn check_future(effective_at: Timestamp, now: Timestamp, balances: &Balances) -> Result<(), Refusal> {
    let latest = now.saturating_add_secs(balances.rules().max_future_secs());
    if effective_at > latest {
        return Err(refusals::effective_in_future_too_far(effective_at, latest));
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
        let accounts = || self.touched.iter().map(|(number, totals)| (*number, totals, self.balances.terms(*number)));
        for (number, totals, terms) in accounts() {
            if totals.fuller_side() > Totals::MAX {
                return Err(refusals::turnover_exhausted(self.balances.address(number), terms.currency));
            }
        }
        for (number, totals, terms) in accounts() {
            let would_be = totals.available(terms.kind);
            if let Some(floor) = terms.limits.floor.filter(|floor| would_be < i128::from(floor.minor())) {
                let available = self.balances.totals_of(number).available(terms.kind);
                return Err(refusals::below_floor(self.balances.address(number), floor, available, would_be));
            }
        }
        for (number, totals, terms) in accounts() {
            let would_be = totals.expected(terms.kind);
            if let Some(ceiling) = terms.limits.ceiling.filter(|ceiling| would_be > i128::from(ceiling.minor())) {
                let expected = self.balances.totals_of(number).expected(terms.kind);
                return Err(refusals::above_ceiling(self.balances.address(number), ceiling, expected, would_be));
            }
        }
        Ok(())
    }
}
