//! `holds`: what is pending is the sum of the open holds, each was resolved as it was held, and none outlived its expiry.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use hashbrown::HashMap;

use super::super::Check;
use crate::finding::Findings;
use crate::ledger::{Ledger, Number, Totals};
use crate::reading::{EntryKey, Fact, Happening, Motion, Moved, Movement, entry_id};
use crate::shown::instant;

/// What one open hold claims.
#[derive(Debug)]
struct OpenHold {
    effective_at: i64,
    expires_at: Option<i64>,
    transfers: Box<[HeldTransfer]>,
}

#[derive(Clone, Copy, Debug)]
struct HeldTransfer {
    debit: Option<Number>,
    credit: Option<Number>,
    movement: Movement,
}

/// What a resolved hold had claimed.
#[derive(Debug)]
pub(crate) struct Released(Box<[HeldTransfer]>);

impl Released {
    /// Gives it back.
    pub(crate) fn give_back(&self, ledger: &mut Ledger) {
        for held in &self.0 {
            ledger.pend(-i128::from(held.movement.minor), held.debit, held.credit);
        }
    }
}

/// Every open hold.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    open: HashMap<EntryKey, OpenHold>,
    // Holds by expiry; resolved ones stay until they come to the top.
    expiries: BinaryHeap<Reverse<(i64, EntryKey)>>,
}

impl Holds {
    /// Was everything that had to expire before a record written before it?
    pub(crate) fn none_outlived(&mut self, fact: &Fact, findings: &mut Findings) {
        if matches!(fact.event, Happening::Moved(Moved { motion: Motion::HoldExpired, .. })) {
            return;
        }
        while let Some(Reverse((expires_at, id))) = self.expiries.peek().filter(|Reverse((at, _))| *at < fact.recorded_at) {
            if self.open.get(id).is_some_and(|hold| hold.expires_at == Some(*expires_at)) {
                let what = format!(
                    "something was recorded at {} while entry {} was still held, though its hold expires at {}",
                    instant(fact.recorded_at),
                    entry_id(id),
                    instant(*expires_at)
                );
                findings.at(Check::Holds, fact.position, what);
            }
            self.expiries.pop();
        }
    }

    /// Adds a hold.
    pub(crate) fn held(&mut self, id: EntryKey, moved: &Moved, transfers: &[Movement], resolved: &[(Option<Number>, Option<Number>)]) {
        let transfers = transfers.iter().zip(resolved).map(|(movement, (debit, credit))| HeldTransfer {
            debit: *debit,
            credit: *credit,
            movement: *movement,
        });
        if let Some(at) = moved.expires_at {
            self.expiries.push(Reverse((at, id)));
        }
        let hold = OpenHold { effective_at: moved.effective_at, expires_at: moved.expires_at, transfers: transfers.collect() };
        self.open.insert(id, hold);
    }

    /// Takes a hold that is posted, voided or expires, and says what it really claimed.
    ///
    /// `None` where no such hold is open: `transitions` tells that.
    pub(crate) fn resolve(
        &mut self,
        id: &EntryKey,
        fact: &Fact,
        moved: &Moved,
        transfers: &[Movement],
        resolved: &[(Option<Number>, Option<Number>)],
        findings: &mut Findings,
    ) -> Option<Released> {
        let hold = self.open.remove(id)?;
        let mut told = |what: String| findings.at(Check::Holds, fact.position, format!("entry {}: {what}", entry_id(id)));
        let same = hold.transfers.len() == transfers.len()
            && hold.transfers.iter().zip(transfers).zip(resolved).all(|((held, movement), (debit, credit))| {
                (held.debit, held.credit, held.movement.minor, held.movement.currency)
                    == (*debit, *credit, movement.held, movement.currency)
            });
        if !same {
            told("it is resolved with other transfers than were held".into());
        } else if transfers.iter().any(|movement| !(0..=movement.held).contains(&movement.minor)) {
            told("more is posted than was held".into());
        }
        if moved.effective_at < hold.effective_at {
            let (now, then) = (instant(moved.effective_at), instant(hold.effective_at));
            told(format!("it is resolved with effect from {now}, before it was held, from {then}"));
        }
        if moved.motion == Motion::HoldExpired {
            match hold.expires_at {
                None => told("it expired, though its hold has no end".into()),
                Some(at) if fact.recorded_at < at => {
                    told(format!("it expired at {}, before its time, {}", instant(fact.recorded_at), instant(at)));
                }
                Some(_) => {}
            }
        }
        Some(Released(hold.transfers))
    }

    /// Are the accounts' pending totals the sums of the open holds?
    pub(crate) fn end(&self, ledger: &Ledger, findings: &mut Findings) {
        let mut claimed: HashMap<Number, Totals> = HashMap::new();
        for held in self.open.values().flat_map(|hold| hold.transfers.iter()) {
            let minor = i128::from(held.movement.minor);
            if let Some(number) = held.debit {
                claimed.entry(number).or_default().debits_pending += minor;
            }
            if let Some(number) = held.credit {
                claimed.entry(number).or_default().credits_pending += minor;
            }
        }
        for (account, number) in ledger.accounts().iter().zip(0..) {
            let sum = claimed.get(&number).copied().unwrap_or_default();
            let pending = (account.totals.debits_pending, account.totals.credits_pending);
            if pending != (sum.debits_pending, sum.credits_pending) {
                let what = format!(
                    "account {} has {} and {} pending, its open holds add up to {} and {} (minor units)",
                    account.address, pending.0, pending.1, sum.debits_pending, sum.credits_pending
                );
                findings.add(Check::Holds, None, what);
            }
        }
    }

    /// How many are open.
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }
}
