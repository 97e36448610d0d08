//! `double_entry`: at every position Σ debits = Σ credits in each currency, between accounts that exist and hold that currency.

use cauri_domain::money::Currency;

use super::super::Check;
use crate::finding::Findings;
use crate::ledger::{Ledger, Number};
use crate::reading::{Fact, Motion, Moved, Movement, ReadBatch};
use crate::shown::{amount, plain};

/// Σ debits and Σ credits that were applied to accounts, per currency.
#[derive(Debug, Default)]
pub(crate) struct Sums {
    rows: Vec<(Currency, i128, i128)>,
    // The difference last told, so that one hole is told once and not at every later record.
    told: Vec<i128>,
}

/// Does every transfer lead from one existing account to another, both in its currency?
pub(crate) fn accounts(
    batch: &ReadBatch,
    fact: &Fact,
    moved: &Moved,
    resolved: &[(Option<Number>, Option<Number>)],
    ledger: &Ledger,
    findings: &mut Findings,
) {
    if moved.transfers.is_empty() {
        findings.at(Check::DoubleEntry, fact.position, "the entry has no transfers");
    }
    for (movement, (debit, credit)) in batch.movements[moved.transfers.clone()].iter().zip(resolved) {
        for (number, (span, _)) in [(debit, movement.debit), (credit, movement.credit)] {
            let what = match number.map(|number| ledger.account(number).currency) {
                None => format!("account {} was never opened", batch.shown(span)),
                Some(currency) if currency != movement.currency => {
                    format!("account {} holds {currency}, the transfer is in {}", batch.shown(span), movement.currency)
                }
                Some(_) => continue,
            };
            findings.at(Check::DoubleEntry, fact.position, what);
        }
        if debit.is_some() && debit == credit {
            let what = format!("a transfer leads from {} to itself", batch.shown(movement.debit.0));
            findings.at(Check::DoubleEntry, fact.position, what);
        }
        if movement.minor < 0 {
            let what = format!("a transfer moves {} {}", amount(movement.minor.into(), movement.currency), movement.currency);
            findings.at(Check::DoubleEntry, fact.position, what);
        }
    }
}

impl Sums {
    /// Counts a transfer on the sides whose accounts exist and hold its currency.
    pub(crate) fn add(&mut self, motion: Motion, movement: &Movement, debit: bool, credit: bool) {
        if !matches!(motion, Motion::Posted | Motion::HoldPosted) {
            return;
        }
        let at = self.rows.iter().position(|(currency, ..)| *currency == movement.currency).unwrap_or_else(|| {
            self.rows.push((movement.currency, 0, 0));
            self.told.push(0);
            self.rows.len() - 1
        });
        self.rows[at].1 += if debit { i128::from(movement.minor) } else { 0 };
        self.rows[at].2 += if credit { i128::from(movement.minor) } else { 0 };
    }

    /// Are both sums the same in every currency?
    pub(crate) fn check(&mut self, fact: &Fact, findings: &mut Findings) {
        for ((currency, debits, credits), told) in self.rows.iter().zip(&mut self.told) {
            let difference = debits - credits;
            if difference != *told {
                *told = difference;
                let [debits, credits] = [debits, credits].map(|sum| amount(*sum, *currency));
                findings.at(
                    Check::DoubleEntry,
                    fact.position,
                    format!("Σ debits is {debits} {currency}, Σ credits is {credits} {currency}"),
                );
            }
        }
    }

    /// Do the accounts' totals add up to these sums? Both were kept apart from each other.
    pub(crate) fn end(&self, ledger: &Ledger, findings: &mut Findings) {
        for (currency, debits, credits) in &self.rows {
            let of_currency = ledger.accounts().iter().filter(|account| account.currency == *currency);
            let (left, right) = of_currency
                .fold((0, 0), |(left, right), account| (left + account.totals.debits_posted, right + account.totals.credits_posted));
            if (left, right) != (*debits, *credits) {
                let what = format!(
                    "the accounts in {currency} add up to {} and {}, their transfers to {} and {}",
                    plain(left, *currency),
                    plain(right, *currency),
                    plain(*debits, *currency),
                    plain(*credits, *currency)
                );
                findings.add(Check::DoubleEntry, None, what);
            }
        }
    }
}
