//! A second ledger, deliberately simple, written from the rules and not from the code: it looks for everything that is wrong
//! with a command and answers the first of the list, keeps balances in a map, and recounts open holds each time.

use std::collections::HashMap;

use super::ask::{ACCOUNTS, Ask, Bounds, Move, Sum};

/// The order of precedence, with the codes that stand between in the manual.
pub const PRECEDENCE: [&str; 26] = [
    "entry_exists",
    "account_exists",
    "account_not_found",
    "account_closed",
    "account_frozen",
    "account_not_frozen",
    "account_not_closed",
    "currency_mismatch",
    "same_account",
    "amount_not_positive",
    "amount_scale",
    "amount_too_large",
    "invalid_limits",
    "effective_in_future_too_far",
    "entry_not_found",
    "entry_not_posted",
    "hold_not_found",
    "hold_already_posted",
    "hold_already_voided",
    "hold_expired",
    "hold_amounts_mismatch",
    "exceeds_hold",
    "already_reversed",
    "account_not_empty",
    "turnover_exhausted",
    "below_floor",
];
// `above_ceiling` is the last of all.

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Status {
    Open,
    Frozen,
    Closed,
}

#[derive(Clone, Debug)]
pub struct ModelAccount {
    pub debit_is_positive: bool,
    pub euro: bool,
    pub status: Status,
    pub floor: Option<i128>,
    pub ceiling: Option<i128>,
}

pub type Movement = (String, String, i128);

#[derive(Clone, Debug, PartialEq)]
pub enum ModelEntry {
    Posted(Vec<Movement>),
    Held { movements: Vec<Movement>, until: Option<i64> },
    HoldPosted(Vec<Movement>),
    HoldVoided,
    HoldExpired,
    Reversed(Vec<Movement>),
    HoldReversed(Vec<Movement>),
}

/// Balances are debits minus credits.
#[derive(Clone, Debug, Default)]
pub struct Model {
    pub now: i64,
    pub accounts: HashMap<String, ModelAccount>,
    pub balances: HashMap<String, i128>,
    /// All that was ever posted: (debits, credits).
    pub turnover: HashMap<String, (i128, i128)>,
    pub entries: HashMap<String, ModelEntry>,
}

pub type Complaints = Vec<&'static str>;

pub fn first(complaints: &Complaints) -> Option<&'static str> {
    PRECEDENCE.into_iter().chain(["above_ceiling"]).find(|code| complaints.contains(code))
}

impl Model {
    /// `None` if it is accepted, and then it has happened; else the code.
    pub fn ask(&mut self, ask: &Ask) -> Option<&'static str> {
        self.expire();
        match ask {
            Ask::Wait { secs } => {
                self.now += secs;
                self.expire();
                None
            }
            Ask::Open { account, kind, euro, bounds } => {
                let mut complaints = wrong_bounds(*euro, bounds);
                complaints.extend(self.accounts.contains_key(*account).then_some("account_exists"));
                self.unless(complaints, |model| {
                    let account_of = ModelAccount {
                        debit_is_positive: matches!(*kind, "asset" | "expense"),
                        euro: *euro,
                        status: Status::Open,
                        floor: bounds.floor.map(|floor| floor.tenths),
                        ceiling: bounds.ceiling.map(|ceiling| ceiling.tenths),
                    };
                    model.accounts.insert((*account).to_owned(), account_of);
                })
            }
            Ask::Freeze { account } => self.unless(self.not_open(account), |model| model.set(account, Status::Frozen)),
            Ask::Unfreeze { account } => {
                let complaint = match self.accounts.get(*account).map(|account| account.status) {
                    None => vec!["account_not_found"],
                    Some(Status::Closed) => vec!["account_closed"],
                    Some(Status::Open) => vec!["account_not_frozen"],
                    Some(Status::Frozen) => vec![],
                };
                self.unless(complaint, |model| model.set(account, Status::Open))
            }
            Ask::Reopen { account } => {
                let complaint = match self.accounts.get(*account).map(|account| account.status) {
                    None => vec!["account_not_found"],
                    Some(Status::Open | Status::Frozen) => vec!["account_not_closed"],
                    Some(Status::Closed) => vec![],
                };
                self.unless(complaint, |model| model.set(account, Status::Open))
            }
            Ask::Limits { account, bounds } => self.limits(account, bounds),
            Ask::Close { account, into, by } => self.close(account, *into, by),
            Ask::Post { entry, moves, at } => self.write(entry, moves, *at, false, None),
            Ask::Hold { entry, moves, until, at } => self.write(entry, moves, *at, true, *until),
            Ask::PostHold { entry, amounts, at } => self.post_hold(entry, amounts.as_deref(), *at),
            Ask::Void { entry } => {
                let complaints = self.no_open_hold(entry);
                self.unless(complaints, |model| {
                    model.entries.insert((*entry).to_owned(), ModelEntry::HoldVoided);
                })
            }
            Ask::Reverse { entry, by, dated } => self.reverse(entry, by, *dated),
            // It changes nothing that the model knows.
            Ask::Annotate { entry } => (!self.entries.contains_key(*entry)).then_some("entry_not_found"),
        }
    }

    fn unless(&mut self, complaints: Complaints, happen: impl FnOnce(&mut Self)) -> Option<&'static str> {
        let refusal = first(&complaints);
        if refusal.is_none() {
            happen(self);
        }
        refusal
    }

    fn set(&mut self, account: &str, status: Status) {
        if let Some(account) = self.accounts.get_mut(account) {
            account.status = status;
        }
    }

    /// Holds whose time has passed are released before anything is decided.
    fn expire(&mut self) {
        for entry in self.entries.values_mut() {
            if matches!(entry, ModelEntry::Held { until: Some(until), .. } if *until <= self.now) {
                *entry = ModelEntry::HoldExpired;
            }
        }
    }

    fn not_open(&self, account: &str) -> Complaints {
        match self.accounts.get(account).map(|account| account.status) {
            None => vec!["account_not_found"],
            Some(Status::Closed) => vec!["account_closed"],
            Some(Status::Frozen) => vec!["account_frozen"],
            Some(Status::Open) => vec![],
        }
    }

    fn no_open_hold(&self, entry: &str) -> Complaints {
        match self.entries.get(entry) {
            Some(ModelEntry::Held { .. }) => vec![],
            None | Some(ModelEntry::Posted(_) | ModelEntry::Reversed(_)) => vec!["hold_not_found"],
            Some(ModelEntry::HoldPosted(_) | ModelEntry::HoldReversed(_)) => vec!["hold_already_posted"],
            Some(ModelEntry::HoldVoided) => vec!["hold_already_voided"],
            Some(ModelEntry::HoldExpired) => vec!["hold_expired"],
        }
    }

    /// What open holds take from an account and bring to it, as (debits, credits).
    pub fn pending(&self, account: &str) -> (i128, i128) {
        let mut pending = (0, 0);
        for entry in self.entries.values() {
            let ModelEntry::Held { movements, .. } = entry else { continue };
            for (debit, credit, tenths) in movements {
                pending.0 += if debit == account { *tenths } else { 0 };
                pending.1 += if credit == account { *tenths } else { 0 };
            }
        }
        pending
    }

    /// Balance, available and expected on the normal side.
    pub fn figures(&self, account: &str) -> (i128, i128, i128) {
        let debit_is_positive = self.accounts[account].debit_is_positive;
        let net = self.balances.get(account).copied().unwrap_or(0);
        let (debits, credits) = self.pending(account);
        let (balance, incoming, outgoing) = if debit_is_positive { (net, debits, credits) } else { (-net, credits, debits) };
        (balance, balance - outgoing, balance + incoming)
    }

    pub fn beyond_limits(&self, account: &str) -> Complaints {
        let (_, available, expected) = self.figures(account);
        let ModelAccount { floor, ceiling, .. } = &self.accounts[account];
        let below = floor.is_some_and(|floor| available < floor).then_some("below_floor");
        let above = ceiling.is_some_and(|ceiling| expected > ceiling).then_some("above_ceiling");
        below.into_iter().chain(above).collect()
    }

    /// No account counts more than 2^61 - 1 minor units on a side, counting holds.
    fn counts_too_much(&self, account: &str) -> Complaints {
        let (debits, credits) = self.turnover.get(account).copied().unwrap_or_default();
        let (held_debits, held_credits) = self.pending(account);
        let euro = self.accounts[account].euro;
        let too_much = [debits + held_debits, credits + held_credits].into_iter().any(|side| minor(side, euro) > (1 << 61) - 1);
        too_much.then_some("turnover_exhausted").into_iter().collect()
    }

    /// Whether an account bears what was tried with a transfer of "up to" that `before` did not have yet. A limit says no
    /// to a transfer that moves the balance towards it and ends beyond it; to one that leads away from it, it says nothing.
    fn bears(&self, account: &str, before: &Self) -> bool {
        let ((_, available, expected), (_, available_before, expected_before)) = (self.figures(account), before.figures(account));
        let complaints = self.beyond_limits(account);
        !(complaints.contains(&"below_floor") && available < available_before
            || complaints.contains(&"above_ceiling") && expected > expected_before)
    }

    fn limits(&mut self, account: &str, bounds: &Bounds) -> Option<&'static str> {
        let Some(before) = self.accounts.get(account).cloned() else {
            return Some("account_not_found");
        };
        let mut complaints = wrong_bounds(before.euro, bounds);
        complaints.extend((before.status == Status::Closed).then_some("account_closed"));
        if complaints.is_empty() {
            let (floor, ceiling) = (bounds.floor.map(|floor| floor.tenths), bounds.ceiling.map(|ceiling| ceiling.tenths));
            self.accounts.insert(account.to_owned(), ModelAccount { floor, ceiling, ..before.clone() });
            complaints = self.beyond_limits(account);
            if !complaints.is_empty() {
                self.accounts.insert(account.to_owned(), before);
            }
        }
        first(&complaints)
    }

    /// Everything that is wrong with an entry before its limits are looked at.
    fn wrong_entry(&self, entry: &str, moves: &[Move], at: Option<i64>, until: Option<i64>) -> Complaints {
        let mut complaints = Complaints::new();
        complaints.extend(self.entries.contains_key(entry).then_some("entry_exists"));
        for Move { debit, credit, sum, .. } in moves {
            for account in [debit, credit] {
                complaints.extend(self.not_open(account));
                let other_currency = self.accounts.get(*account).is_some_and(|account| account.euro != sum.euro);
                complaints.extend(other_currency.then_some("currency_mismatch"));
            }
            complaints.extend((debit == credit).then_some("same_account"));
            complaints.extend((sum.tenths <= 0).then_some("amount_not_positive"));
            complaints.extend(wrong_sum(*sum));
        }
        complaints.extend(at.is_some_and(|at| at > 7 * 86_400).then_some("effective_in_future_too_far"));
        complaints.extend(until.is_some_and(|until| until <= 0).then_some("hold_expired"));
        complaints
    }

    fn write(&mut self, entry: &str, moves: &[Move], at: Option<i64>, hold: bool, until: Option<i64>) -> Option<&'static str> {
        let mut complaints = self.wrong_entry(entry, moves, at, until);
        if complaints.is_empty() {
            let before = self.clone();
            self.move_all(entry, moves, hold, until.map(|until| self.now + until));
            for Move { debit, credit, .. } in moves {
                for account in [debit, credit] {
                    complaints.extend(self.beyond_limits(account));
                    complaints.extend(self.counts_too_much(account));
                }
            }
            if !complaints.is_empty() {
                *self = before;
            }
        }
        first(&complaints)
    }

    /// Writes the entry one transfer after another; "up to" tries less and less until both accounts bear it, or it is 0.
    fn move_all(&mut self, entry: &str, moves: &[Move], hold: bool, until: Option<i64>) {
        let mut movements: Vec<Movement> = Vec::new();
        let with = |movements: &[Movement]| {
            let mut tried = self.clone();
            tried.entries.insert(entry.to_owned(), ModelEntry::Held { movements: movements.to_vec(), until: None });
            if !hold {
                tried.resolve(entry, movements.to_vec());
            }
            tried
        };
        for Move { debit, credit, sum, up_to } in moves {
            let mut tenths = sum.tenths;
            let before = with(&movements);
            loop {
                let all = [&movements[..], &[((*debit).to_owned(), (*credit).to_owned(), tenths)]].concat();
                let tried = with(&all);
                let borne = [debit, credit].into_iter().all(|account| tried.bears(account, &before));
                if !up_to || borne || tenths == 0 {
                    movements = all;
                    break;
                }
                tenths -= if sum.euro { 1 } else { 10 };
            }
        }
        if hold {
            self.entries.insert(entry.to_owned(), ModelEntry::Held { movements, until });
        } else {
            self.resolve(entry, movements.clone());
            self.entries.insert(entry.to_owned(), ModelEntry::Posted(movements));
        }
    }

    /// The movements move the posted balances; what was held under the entry is held no more.
    fn resolve(&mut self, entry: &str, movements: Vec<Movement>) {
        for (debit, credit, tenths) in &movements {
            *self.balances.entry(debit.clone()).or_default() += tenths;
            *self.balances.entry(credit.clone()).or_default() -= tenths;
            self.turnover.entry(debit.clone()).or_default().0 += tenths;
            self.turnover.entry(credit.clone()).or_default().1 += tenths;
        }
        self.entries.insert(entry.to_owned(), ModelEntry::HoldPosted(movements));
    }

    fn post_hold(&mut self, entry: &str, amounts: Option<&[Sum]>, at: Option<i64>) -> Option<&'static str> {
        let mut complaints = self.no_open_hold(entry);
        for sum in amounts.unwrap_or_default() {
            complaints.extend((sum.tenths < 0).then_some("amount_not_positive"));
            complaints.extend(wrong_sum(*sum));
        }
        complaints.extend(at.is_some_and(|at| at > 7 * 86_400).then_some("effective_in_future_too_far"));
        let Some(ModelEntry::Held { movements, .. }) = self.entries.get(entry).cloned() else {
            return first(&complaints);
        };
        for (debit, credit, _) in &movements {
            complaints.extend([debit, credit].into_iter().flat_map(|account| self.not_open(account)));
        }
        let mut moved = movements.clone();
        if let Some(amounts) = amounts {
            complaints.extend((amounts.len() != movements.len()).then_some("hold_amounts_mismatch"));
            for (sum, (debit, _, held)) in amounts.iter().zip(&movements) {
                complaints.extend((sum.euro != self.accounts[debit].euro).then_some("currency_mismatch"));
                complaints.extend((sum.tenths > *held).then_some("exceeds_hold"));
            }
            for ((_, _, tenths), sum) in moved.iter_mut().zip(amounts) {
                *tenths = sum.tenths;
            }
        }
        self.unless(complaints, |model| model.resolve(entry, moved))
    }

    fn reverse(&mut self, entry: &str, by: &str, dated: bool) -> Option<&'static str> {
        let (movements, after) = match self.entries.get(entry) {
            None => return Some("entry_not_found"),
            Some(ModelEntry::Held { .. } | ModelEntry::HoldVoided | ModelEntry::HoldExpired) => return Some("entry_not_posted"),
            Some(ModelEntry::Posted(movements)) => (movements.clone(), Some(ModelEntry::Reversed(movements.clone()))),
            Some(ModelEntry::HoldPosted(movements)) => (movements.clone(), Some(ModelEntry::HoldReversed(movements.clone()))),
            Some(ModelEntry::Reversed(movements) | ModelEntry::HoldReversed(movements)) => (movements.clone(), None),
        };
        let opposite: Vec<Move> = movements
            .iter()
            .filter(|(_, _, tenths)| *tenths > 0)
            .map(|(debit, credit, tenths)| Move {
                debit: name_of(credit),
                credit: name_of(debit),
                sum: Sum { tenths: *tenths, euro: self.accounts[debit].euro },
                up_to: false,
            })
            .collect();
        if opposite.is_empty() {
            return Some("entry_not_posted");
        }
        let _ = dated; // Nothing is dated further ahead than it once was.
        let Some(after) = after else {
            // Its opposite is judged as well; limits come later than this.
            let complaints = [self.wrong_entry(by, &opposite, None, None), vec!["already_reversed"]].concat();
            return first(&complaints);
        };
        let refusal = self.write(by, &opposite, None, false, None);
        if refusal.is_none() {
            self.entries.insert(entry.to_owned(), after);
        }
        refusal
    }

    fn close(&mut self, account: &'static str, into: Option<&'static str>, by: &str) -> Option<&'static str> {
        let not_open = first(&self.not_open(account));
        if !self.accounts.contains_key(account) {
            return not_open;
        }
        let ModelAccount { debit_is_positive, euro, .. } = self.accounts[account];
        let (balance, available, expected) = self.figures(account);
        // What is left on the normal side is what no hold may take; on the other side, what no hold will bring.
        let left = if balance >= 0 { available.max(0) } else { expected.min(0) };
        if not_open.is_some() && (left == 0 || into.is_none()) {
            return not_open;
        }
        if left != 0 {
            let Some(into) = into else { return Some("account_not_empty") };
            let on_debit = (left > 0) == debit_is_positive;
            let (debit, credit) = if on_debit { (into, account) } else { (account, into) };
            let sweep = Move { debit, credit, sum: Sum { tenths: left.abs(), euro }, up_to: false };
            if let Some(refusal) = self.write(by, &[sweep], None, false, None) {
                return Some(refusal);
            }
        }
        self.set(account, Status::Closed);
        None
    }
}

pub fn name_of(account: &str) -> &'static str {
    ACCOUNTS.into_iter().find(|name| *name == account).expect("an account of the test")
}

/// Scale and size: a franc has no tenths, and no transfer moves more than 10^18 minor units.
pub fn wrong_sum(sum: Sum) -> Complaints {
    let scale = (!sum.euro && sum.tenths % 10 != 0).then_some("amount_scale");
    let minor = if sum.euro { sum.tenths.abs() * 10 } else { sum.tenths.abs() / 10 };
    scale.into_iter().chain((minor > 1_000_000_000_000_000_000).then_some("amount_too_large")).collect()
}

pub fn wrong_bounds(euro: bool, bounds: &Bounds) -> Complaints {
    let mut complaints = Complaints::new();
    for bound in bounds.floor.iter().chain(&bounds.ceiling) {
        if bound.euro == euro {
            complaints.extend(wrong_sum(*bound));
        } else {
            complaints.push("currency_mismatch");
        }
    }
    complaints.extend(bounds.floor.is_some_and(|floor| floor.tenths > 0).then_some("invalid_limits"));
    complaints.extend(bounds.ceiling.is_some_and(|ceiling| ceiling.tenths < 0).then_some("invalid_limits"));
    complaints
}

/// Minor units of an amount in tenths.
pub fn minor(tenths: i128, euro: bool) -> i128 {
    if euro { tenths * 10 } else { tenths / 10 }
}
