//! The rules against a second, deliberately simple ledger, over random command sequences.
//!
//! The model is written from the rules, not from the code: it looks for everything that is wrong with a
//! command and answers the first of the list, keeps balances in a map, and recounts open holds each time.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use cauri_domain::StreamVersion;
use cauri_domain::fold::Balances;
use cauri_domain::journal::Rules;
use cauri_domain::kind::Kind;
use cauri_domain::ledger::{FrozenLedger, LedgerEvent, LedgerStream};
use cauri_domain::time::Timestamp;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::RngSeed;
use serde_json::Value;

use crate::support::{Happened, Ledger, address, entry_id};

const ACCOUNTS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
const ENTRIES: [&str; 12] = ["e1", "e2", "e3", "e4", "e5", "e6", "e7", "e8", "e9", "e10", "e11", "e12"];

/// The order of precedence, with the codes that stand between in the manual.
const PRECEDENCE: [&str; 26] = [
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

// Amounts are tenths of a unit, so that 5 is half a franc (refused) and half a euro.

/// An amount and its currency.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Sum {
    tenths: i128,
    euro: bool,
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.tenths < 0 { "-" } else { "" };
        let (units, tenth) = (self.tenths.abs() / 10, self.tenths.abs() % 10);
        write!(f, "{sign}{units}")?;
        if tenth > 0 {
            write!(f, ".{tenth}")?;
        }
        f.write_str(if self.euro { "EUR" } else { "XOF" })
    }
}

#[derive(Clone, Debug)]
struct Move {
    debit: &'static str,
    credit: &'static str,
    sum: Sum,
    up_to: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Bounds {
    floor: Option<Sum>,
    ceiling: Option<Sum>,
}

/// What is asked; its text is a line of the script.
#[derive(Clone, Debug)]
enum Ask {
    Open { account: &'static str, kind: &'static str, euro: bool, bounds: Bounds },
    Freeze { account: &'static str },
    Unfreeze { account: &'static str },
    Close { account: &'static str, into: Option<&'static str>, by: &'static str },
    Reopen { account: &'static str },
    Limits { account: &'static str, bounds: Bounds },
    Post { entry: &'static str, moves: Vec<Move>, at: Option<i64> },
    Hold { entry: &'static str, moves: Vec<Move>, until: Option<i64>, at: Option<i64> },
    PostHold { entry: &'static str, amounts: Option<Vec<Sum>>, at: Option<i64> },
    Void { entry: &'static str },
    Reverse { entry: &'static str, by: &'static str, dated: bool },
    Annotate { entry: &'static str },
    Wait { secs: i64 },
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bounds = |f: &mut fmt::Formatter<'_>, bounds: &Bounds| {
            bounds.floor.iter().try_for_each(|floor| write!(f, " floor {floor}"))?;
            bounds.ceiling.iter().try_for_each(|ceiling| write!(f, " ceiling {ceiling}"))
        };
        let moves = |f: &mut fmt::Formatter<'_>, moves: &[Move]| {
            moves.iter().enumerate().try_for_each(|(index, Move { debit, credit, sum, up_to })| {
                let (comma, bound) = (if index > 0 { "," } else { "" }, if *up_to { "<=" } else { "" });
                write!(f, "{comma} {debit}->{credit} {bound}{sum}")
            })
        };
        let time =
            |f: &mut fmt::Formatter<'_>, word: &str, secs: &Option<i64>| secs.iter().try_for_each(|secs| write!(f, " {word} {secs:+}s"));
        match self {
            Ask::Open { account, kind, euro, bounds: of } => {
                write!(f, "open {account} {kind} {}", if *euro { "EUR" } else { "XOF" })?;
                bounds(f, of)
            }
            Ask::Freeze { account } => write!(f, "freeze {account}"),
            Ask::Unfreeze { account } => write!(f, "unfreeze {account}"),
            Ask::Close { account, into: None, by } => write!(f, "close {account} by {by}"),
            Ask::Close { account, into: Some(into), by } => write!(f, "close {account} into {into} by {by}"),
            Ask::Reopen { account } => write!(f, "reopen {account}"),
            Ask::Limits { account, bounds: of } => {
                write!(f, "limits {account}")?;
                bounds(f, of)
            }
            Ask::Post { entry, moves: of, at } => {
                write!(f, "post {entry}")?;
                moves(f, of)?;
                time(f, "at", at)
            }
            Ask::Hold { entry, moves: of, until, at } => {
                write!(f, "hold {entry}")?;
                moves(f, of)?;
                time(f, "until", until)?;
                time(f, "at", at)
            }
            Ask::PostHold { entry, amounts, at } => {
                write!(f, "post_hold {entry}")?;
                if let Some(amounts) = amounts {
                    f.write_str(" amounts")?;
                    amounts.iter().try_for_each(|amount| write!(f, " {amount}"))?;
                }
                time(f, "at", at)
            }
            Ask::Void { entry } => write!(f, "void {entry}"),
            Ask::Reverse { entry, by, dated } => write!(f, "reverse {entry} by {by}{}", if *dated { " dated" } else { "" }),
            Ask::Annotate { entry } => write!(f, "annotate {entry} case=17 ticket"),
            Ask::Wait { secs } => write!(f, "wait {secs:+}s"),
        }
    }
}

// The model.

#[derive(Clone, Copy, Debug, PartialEq)]
enum Status {
    Open,
    Frozen,
    Closed,
}

#[derive(Clone, Debug)]
struct ModelAccount {
    debit_is_positive: bool,
    euro: bool,
    status: Status,
    floor: Option<i128>,
    ceiling: Option<i128>,
}

type Movement = (String, String, i128);

#[derive(Clone, Debug, PartialEq)]
enum ModelEntry {
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
struct Model {
    now: i64,
    accounts: HashMap<String, ModelAccount>,
    balances: HashMap<String, i128>,
    /// All that was ever posted: (debits, credits).
    turnover: HashMap<String, (i128, i128)>,
    entries: HashMap<String, ModelEntry>,
}

type Complaints = Vec<&'static str>;

fn first(complaints: &Complaints) -> Option<&'static str> {
    PRECEDENCE.into_iter().chain(["above_ceiling"]).find(|code| complaints.contains(code))
}

impl Model {
    /// `None` if it is accepted, and then it has happened; else the code.
    fn ask(&mut self, ask: &Ask) -> Option<&'static str> {
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
    fn pending(&self, account: &str) -> (i128, i128) {
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
    fn figures(&self, account: &str) -> (i128, i128, i128) {
        let debit_is_positive = self.accounts[account].debit_is_positive;
        let net = self.balances.get(account).copied().unwrap_or(0);
        let (debits, credits) = self.pending(account);
        let (balance, incoming, outgoing) = if debit_is_positive { (net, debits, credits) } else { (-net, credits, debits) };
        (balance, balance - outgoing, balance + incoming)
    }

    fn beyond_limits(&self, account: &str) -> Complaints {
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

fn name_of(account: &str) -> &'static str {
    ACCOUNTS.into_iter().find(|name| *name == account).expect("an account of the test")
}

/// Scale and size: a franc has no tenths, and no transfer moves more than 10^18 minor units.
fn wrong_sum(sum: Sum) -> Complaints {
    let scale = (!sum.euro && sum.tenths % 10 != 0).then_some("amount_scale");
    let minor = if sum.euro { sum.tenths.abs() * 10 } else { sum.tenths.abs() / 10 };
    scale.into_iter().chain((minor > 1_000_000_000_000_000_000).then_some("amount_too_large")).collect()
}

fn wrong_bounds(euro: bool, bounds: &Bounds) -> Complaints {
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

// What is asked, at random: mostly sensible, now and then wrong in several ways.

fn any_account() -> impl Strategy<Value = &'static str> {
    prop_oneof![15 => prop::sample::select(ACCOUNTS[..4].to_vec()), 1 => prop::sample::select(ACCOUNTS[4..].to_vec())]
}

fn any_entry() -> impl Strategy<Value = &'static str> {
    prop::sample::select(ENTRIES.to_vec())
}

fn any_sum() -> impl Strategy<Value = Sum> {
    let tenths = prop_oneof![
        30 => (1_i128..=20).prop_map(|units| units * 10),
        2 => -1_i128..=25,
        1 => Just(20_000_000_000_000_000_005),
        1 => Just(20_000_000_000_000_000_000),
        // The most that a transfer may move: three of them are more than an account can count.
        2 => Just(10_000_000_000_000_000_000),
    ];
    (tenths, prop::bool::weighted(0.04)).prop_map(|(tenths, euro)| Sum { tenths, euro })
}

fn any_bounds() -> impl Strategy<Value = Bounds> {
    let bound = |sign: i128| {
        let tenths = prop_oneof![12 => (0_i128..=60).prop_map(|units| units * 10), 1 => -12_i128..=12];
        let sum = (tenths, prop::bool::weighted(0.08)).prop_map(move |(tenths, euro)| Sum { tenths: sign * tenths, euro });
        prop::option::weighted(0.5, sum)
    };
    (bound(-1), bound(1)).prop_map(|(floor, ceiling)| Bounds { floor, ceiling })
}

fn any_moves() -> impl Strategy<Value = Vec<Move>> {
    let one = (any_account(), any_account(), any_sum(), prop::bool::weighted(0.2), prop::bool::weighted(0.05));
    let one = one.prop_map(|(debit, credit, sum, up_to, same)| {
        let other = ACCOUNTS.into_iter().find(|name| *name != debit).unwrap_or(debit);
        let credit = if credit == debit && !same { other } else { credit };
        // "Up to" the largest amount would keep the model counting for years.
        Move { debit, credit, sum, up_to: up_to && sum.tenths < 1_000 }
    });
    let one = one.boxed();
    prop_oneof![3 => prop::collection::vec(one.clone(), 1..=1), 2 => prop::collection::vec(one, 2..=3)]
}

fn any_date() -> impl Strategy<Value = Option<i64>> {
    prop_oneof![24 => Just(None), 2 => (-9_i64..=7).prop_map(|days| Some(days * 86_400)), 1 => Just(Some(604_801))]
}

fn any_amounts() -> impl Strategy<Value = Option<Vec<Sum>>> {
    let few = (0_i128..=10).prop_map(|units| Sum { tenths: units * 10, euro: false });
    let amount = prop_oneof![8 => few, 2 => any_sum()].boxed();
    let amounts = prop_oneof![3 => prop::collection::vec(amount.clone(), 1..=1), 2 => prop::collection::vec(amount, 2..=3)];
    prop::option::of(amounts)
}

fn any_opening() -> impl Strategy<Value = Ask> {
    let kinds = prop::sample::select(vec!["asset", "expense", "equity", "income", "liability"]);
    (any_account(), kinds, prop::bool::weighted(0.1), any_bounds()).prop_map(|(account, kind, euro, bounds)| Ask::Open {
        account,
        kind,
        euro,
        bounds,
    })
}

fn any_ask() -> impl Strategy<Value = Ask> {
    let close = (any_account(), prop::option::weighted(0.8, any_account()), any_entry());
    let hold = (any_entry(), any_moves(), prop::option::of(-1_i64..=40), any_date());
    prop_oneof![
        2 => any_opening(),
        1 => any_account().prop_map(|account| Ask::Freeze { account }),
        2 => any_account().prop_map(|account| Ask::Unfreeze { account }),
        2 => close.prop_map(|(account, into, by)| Ask::Close { account, into, by }),
        3 => any_account().prop_map(|account| Ask::Reopen { account }),
        4 => (any_account(), any_bounds()).prop_map(|(account, bounds)| Ask::Limits { account, bounds }),
        24 => (any_entry(), any_moves(), any_date()).prop_map(|(entry, moves, at)| Ask::Post { entry, moves, at }),
        16 => hold.prop_map(|(entry, moves, until, at)| Ask::Hold { entry, moves, until, at }),
        10 => (any_entry(), any_amounts(), any_date()).prop_map(|(entry, amounts, at)| Ask::PostHold { entry, amounts, at }),
        4 => any_entry().prop_map(|entry| Ask::Void { entry }),
        6 => (any_entry(), any_entry(), any::<bool>()).prop_map(|(entry, by, dated)| Ask::Reverse { entry, by, dated }),
        3 => any_entry().prop_map(|entry| Ask::Annotate { entry }),
        3 => (0_i64..=6).prop_map(|secs| Ask::Wait { secs }),
    ]
}

/// Most begin with four accounts of any kind, so that there is something to move between.
fn any_asks(most: usize) -> impl Strategy<Value = Vec<Ask>> {
    let kinds = prop::collection::vec(prop::sample::select(vec!["asset", "expense", "equity", "income", "liability"]), 4);
    let bounds = prop::collection::vec(prop_oneof![2 => Just(Bounds::default()), 1 => any_bounds()], 4);
    (prop::bool::weighted(0.9), kinds, bounds, prop::collection::vec(any_ask(), 0..most)).prop_map(|(opened, kinds, bounds, asks)| {
        let openings = ACCOUNTS.into_iter().zip(kinds.into_iter().zip(bounds));
        let openings = openings.map(|(account, (kind, bounds))| Ask::Open { account, kind, euro: false, bounds });
        openings.filter(|_| opened).chain(asks).collect()
    })
}

/// What the ledger answers, as the model does.
fn answer(ledger: &mut Ledger, ask: &Ask) -> Option<String> {
    match ledger.run(&ask.to_string()) {
        Ok(_) => None,
        Err(refusal) => Some(refusal.code.to_string()),
    }
}

fn minor(tenths: i128, euro: bool) -> i128 {
    if euro { tenths * 10 } else { tenths / 10 }
}

/// The decision state as a snapshot holds it, with the look-ups that a snapshot leaves out.
fn state(balances: &Balances) -> (Value, Vec<(Timestamp, EntryId)>, Vec<Option<usize>>) {
    let numbers = ACCOUNTS.iter().map(|name| balances.number(&address(name)).map(|number| number.index()));
    (serde_json::to_value(balances.freeze()).expect("JSON"), balances.expiries().collect::<Vec<_>>(), numbers.collect())
}

fn open(account: &'static str, kind: &'static str, floor: Option<i128>, ceiling: Option<i128>) -> Ask {
    let sum = |units: i128| Sum { tenths: units * 10, euro: false };
    Ask::Open { account, kind, euro: false, bounds: Bounds { floor: floor.map(sum), ceiling: ceiling.map(sum) } }
}

fn exactly(debit: &'static str, credit: &'static str, units: i128) -> Move {
    Move { debit, credit, sum: Sum { tenths: units * 10, euro: false }, up_to: false }
}

fn up_to(debit: &'static str, credit: &'static str, units: i128) -> Move {
    Move { up_to: true, ..exactly(debit, credit, units) }
}

/// The last of the script is an entry `e1` of which both say that it moves these units.
#[track_caller]
fn both_move(asks: &[Ask], expected: &[i128]) {
    check_alike(asks).expect("the rules and the model answer alike");
    let (mut ledger, mut model) = (Ledger::new(), Model::default());
    for ask in asks {
        assert_eq!((answer(&mut ledger, ask), model.ask(ask)), (None, None), "{ask}");
    }
    let Some(ModelEntry::Posted(movements)) = model.entries.get("e1") else { panic!("the model posted no entry e1") };
    assert_eq!(movements.iter().map(|(_, _, tenths)| tenths / 10).collect::<Vec<_>>(), expected, "the model");
    let Some(Happened::Entry(_, cauri_domain::entry::EntryEvent::Posted(posted))) = ledger.history.last() else {
        panic!("the rules posted no entry: {:?}", ledger.history.last())
    };
    let moved: Vec<i128> = posted.transfers.iter().map(|transfer| transfer.amount.minor().into()).collect();
    assert_eq!(moved, expected, "the rules");
}

#[test]
fn up_to_moves_freely_back_towards_a_floor_that_an_earlier_transfer_broke() {
    let moves = vec![exactly("a", "b", 3), up_to("d", "a", 1), exactly("b", "a", 2)];
    let openings = [open("a", "equity", Some(0), None), open("b", "asset", None, None), open("d", "asset", None, None)];
    let asks = [&openings[..], &[Ask::Post { entry: "e1", moves, at: None }]].concat();
    both_move(&asks, &[3, 1, 2]);
}

#[test]
fn up_to_moves_freely_away_from_a_ceiling_that_an_earlier_transfer_broke_by_what_is_held() {
    let openings = [open("a", "equity", None, None), open("b", "asset", None, None), open("c", "asset", None, None)];
    let held = Ask::Hold { entry: "e2", moves: vec![exactly("b", "a", 8)], until: None, at: None };
    let bounds = Bounds { floor: None, ceiling: Some(Sum { tenths: 80, euro: false }) };
    let moves = vec![exactly("c", "a", 7), up_to("a", "b", 1), exactly("a", "b", 6)];
    let asks = [&openings[..], &[held, Ask::Limits { account: "a", bounds }, Ask::Post { entry: "e1", moves, at: None }]].concat();
    both_move(&asks, &[7, 1, 6]);
}

#[test]
fn up_to_moves_freely_away_from_a_ceiling_that_an_earlier_transfer_broke() {
    let openings = [open("a", "asset", None, None), open("d", "equity", None, Some(0))];
    let moves = vec![exactly("a", "d", 6), up_to("d", "a", 1), exactly("d", "a", 5)];
    let asks = [&openings[..], &[Ask::Post { entry: "e1", moves, at: None }]].concat();
    both_move(&asks, &[6, 1, 5]);
}

#[test]
fn up_to_moves_nothing_further_beyond_a_limit_that_an_earlier_transfer_broke() {
    let below = [open("a", "equity", Some(0), None), open("b", "asset", None, None)];
    let moves = vec![exactly("a", "b", 3), up_to("a", "b", 5), exactly("b", "a", 3)];
    both_move(&[&below[..], &[Ask::Post { entry: "e1", moves, at: None }]].concat(), &[3, 0, 3]);
    let above = [open("a", "equity", None, Some(4)), open("b", "asset", None, None)];
    let moves = vec![exactly("b", "a", 6), up_to("b", "a", 5), exactly("a", "b", 2)];
    both_move(&[&above[..], &[Ask::Post { entry: "e1", moves, at: None }]].concat(), &[6, 0, 2]);
}

#[test]
fn up_to_does_not_look_at_later_transfers() {
    let openings = [open("a", "equity", Some(0), None), open("b", "asset", None, None)];
    let moves = vec![up_to("a", "b", 5), exactly("b", "a", 5)];
    both_move(&[&openings[..], &[Ask::Post { entry: "e1", moves, at: None }]].concat(), &[0, 5]);
    // What it takes leaves nothing for a later transfer of a fixed amount.
    let fund = Ask::Post { entry: "e2", moves: vec![exactly("b", "a", 5)], at: None };
    let asks =
        [&openings[..], &[fund, Ask::Post { entry: "e1", moves: vec![up_to("a", "b", 5), exactly("a", "b", 1)], at: None }]].concat();
    check_alike(&asks).expect("the rules and the model answer alike");
    let mut model = Model::default();
    assert_eq!(asks.iter().filter_map(|ask| model.ask(ask)).collect::<Vec<_>>(), ["below_floor"]);
}

#[test]
fn random_tests_run_on_a_fixed_seed() {
    // `.cargo/config.toml` names it for the whole workspace; fresh ones are `cargo xtask fuzz`.
    assert!(matches!(ProptestConfig::default().rng_seed, RngSeed::Fixed(_)), "PROPTEST_RNG_SEED is not set: run tests through cargo");
}

/// The same script for both, line by line: neither accepts what the other refuses, and every balance is the same.
fn check_alike(asks: &[Ask]) -> Result<(), TestCaseError> {
    let (mut ledger, mut model) = (Ledger::new(), Model::default());
    for (index, ask) in asks.iter().enumerate() {
        let (ours, theirs) = (answer(&mut ledger, ask), model.ask(ask));
        let transcript = || asks[..=index].iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        prop_assert_eq!(ours.as_deref(), theirs, "{}", transcript());
        for (name, account) in &model.accounts {
            let (debits, credits) = model.pending(name);
            let (balance, available, expected) = model.figures(name);
            let number = ledger.balances().number(&address(name)).expect("opened in both");
            let (totals, kind) = (ledger.balances().totals_of(number), ledger.balances().terms(number).kind);
            let ours = [
                totals.balance(kind),
                totals.available(kind),
                totals.expected(kind),
                totals.debits_pending.into(),
                totals.credits_pending.into(),
            ];
            let theirs = [balance, available, expected, debits, credits].map(|tenths| minor(tenths, account.euro));
            prop_assert_eq!(ours, theirs, "{} after\n{}", name, transcript());
            prop_assert!(model.beyond_limits(name).is_empty(), "{} is beyond its limits after\n{}", name, transcript());
        }
        for (currency, debits, credits) in ledger.balances().sums() {
            prop_assert_eq!(debits, credits, "{} after\n{}", currency, transcript());
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_500, ..ProptestConfig::default() })]

    #[test]
    fn the_rules_and_the_simple_ledger_answer_alike(asks in any_asks(60)) {
        check_alike(&asks)?;
    }

    #[test]
    fn what_is_rolled_back_never_was(kept in any_asks(30), undone in any_asks(30), again in any_asks(10)) {
        let mut ledger = Ledger::new();
        for ask in &kept {
            answer(&mut ledger, ask);
        }
        let (mark, entries, history, now) = (ledger.state.mark(), ledger.entries.clone(), ledger.history.clone(), ledger.now);
        let before = state(ledger.balances());
        let mut inner = mark;
        for (index, ask) in undone.iter().enumerate() {
            if index == undone.len() / 2 {
                inner = ledger.state.mark();
            }
            answer(&mut ledger, ask);
        }
        // In two steps as in one, and as often as one likes.
        ledger.state.roll_back(inner);
        ledger.state.roll_back(mark);
        ledger.state.roll_back(mark);
        prop_assert_eq!(state(ledger.balances()), before);
        // What follows is decided as if nothing had been.
        let mut fresh = Ledger::new();
        for ask in &kept {
            answer(&mut fresh, ask);
        }
        (ledger.entries, ledger.history, ledger.now) = (entries, history, now);
        for ask in &again {
            prop_assert_eq!(answer(&mut ledger, ask), answer(&mut fresh, ask), "{}", ask);
        }
        prop_assert_eq!(state(ledger.balances()), state(fresh.balances()));
    }

    #[test]
    fn what_was_forgotten_stays_and_the_rest_is_still_rolled_back(kept in any_asks(30), undone in any_asks(30)) {
        let mut ledger = Ledger::new();
        let mut durable = ledger.state.mark();
        for (index, ask) in kept.iter().enumerate() {
            answer(&mut ledger, ask);
            if index % 3 == 0 {
                ledger.state.forget(durable);
                durable = ledger.state.mark();
            }
        }
        let (mark, before) = (ledger.state.mark(), state(ledger.balances()));
        for ask in &undone {
            answer(&mut ledger, ask);
        }
        ledger.state.forget(durable);
        ledger.state.roll_back(mark);
        prop_assert_eq!(state(ledger.balances()), before);
    }

    #[test]
    fn a_snapshot_is_the_fold_in_every_format(asks in any_asks(40), again in any_asks(10)) {
        let mut ledger = Ledger::new();
        for ask in &asks {
            answer(&mut ledger, ask);
        }
        let before = state(ledger.balances());
        let frozen = ledger.state.freeze();
        let json: FrozenLedger = serde_json::from_slice(&serde_json::to_vec(&frozen).expect("JSON")).expect("own text");
        let binary: FrozenLedger = postcard::from_bytes(&postcard::to_stdvec(&frozen).expect("bytes")).expect("own bytes");
        for restored in [json, binary] {
            let restored = cauri_domain::Ledger::thaw(restored, Rules::default());
            prop_assert_eq!(state(restored.balances()), before.clone());
            // And it decides the same.
            let mut after = Ledger::new();
            (after.state, after.entries, after.history, after.now) = (restored, ledger.entries.clone(), ledger.history.clone(), ledger.now);
            let mut original = Ledger::new();
            for ask in &asks {
                answer(&mut original, ask);
            }
            for ask in &again {
                prop_assert_eq!(answer(&mut after, ask), answer(&mut original, ask), "{}", ask);
            }
        }
    }

    #[test]
    fn a_replay_of_the_events_is_the_fold(asks in any_asks(60)) {
        let mut ledger = Ledger::new();
        for ask in &asks {
            answer(&mut ledger, ask);
        }
        let mut replayed = cauri_domain::Ledger::empty(Rules::default());
        let mut versions: HashMap<LedgerStream, StreamVersion> = HashMap::new();
        for happened in &ledger.history {
            let (stream, event): (_, LedgerEvent) = match happened.clone() {
                Happened::Account(address, event) => (LedgerStream::Account(address), event.into()),
                Happened::Entry(id, event) => (LedgerStream::Entry(id), event.into()),
                Happened::Set(..) | Happened::Journal(_) => continue,
            };
            let version = versions.entry(stream.clone()).or_default();
            *version = version.next();
            replayed.fold(&stream, *version, &event).expect("what was decided can be replayed");
        }
        let replayed = replayed.balances();
        prop_assert_eq!(state(replayed), state(ledger.balances()));
        let open: BTreeMap<_, _> = replayed.holds().collect();
        for name in ENTRIES {
            let id = entry_id(name);
            let held = open.get(&id).cloned().map(cauri_domain::entry::Entry::Held);
            prop_assert_eq!(held, ledger.entries.get(&id).filter(|entry| entry.status() == "held").cloned());
        }
    }
}

#[test]
fn the_model_is_asked_things_that_are_accepted_and_every_kind_of_thing_that_is_not() {
    // A generator that only ever produced refusals, or never a certain one, would prove nothing.
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut answers: BTreeMap<&str, u32> = BTreeMap::new();
    for _ in 0..1_500 {
        let asks = any_asks(60).new_tree(&mut runner).expect("a sequence").current();
        let mut model = Model::default();
        for ask in &asks {
            *answers.entry(model.ask(ask).unwrap_or("accepted")).or_default() += 1;
        }
    }
    for code in PRECEDENCE.into_iter().chain(["above_ceiling"]) {
        assert!(answers.contains_key(code), "never refused with {code}: {answers:?}");
    }
    let all: u32 = answers.values().sum();
    assert!(answers["accepted"] * 4 > all, "most are refused: {answers:?}");
}
