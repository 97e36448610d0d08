//! `limits`: no account was beyond its floor or ceiling at any position, counting holds.

use cauri_event_schemas::Position;

use super::super::Check;
use crate::finding::Findings;
use crate::ledger::{Ledger, Number};
use crate::shown::amount;

/// More than this no side of an account may count in its whole life, holds included, so that sums of two still fit 64 bits.
const MOST: i128 = i64::MAX as i128 / 4;

/// Is an account within its limits after a record? Told when it leaves them, not at every record until it is back.
pub(crate) fn check(ledger: &mut Ledger, number: Number, position: Position, findings: &mut Findings) {
    let account = ledger.account(number);
    let Some(terms) = account.state.terms() else { return };
    let (available, expected) = (account.totals.available(account.kind), account.totals.expected(account.kind));
    let below = terms.limits.floor.filter(|floor| available < floor.minor().into());
    let above = terms.limits.ceiling.filter(|ceiling| expected > ceiling.minor().into());
    let totals = &account.totals;
    let sides = [totals.debits_posted + totals.debits_pending, totals.credits_posted + totals.credits_pending];
    let uncounted = sides.into_iter().any(|side| !(-MOST..=MOST).contains(&side));
    let beyond = below.is_some() || above.is_some() || uncounted;
    if beyond && !account.beyond {
        let (address, currency) = (&account.address, account.currency);
        let what = if let Some(floor) = below {
            let floor = amount(floor.minor().into(), currency);
            format!("account {address} has {} {currency} available, its floor is {floor} {currency}", amount(available, currency))
        } else if let Some(ceiling) = above {
            let ceiling = amount(ceiling.minor().into(), currency);
            format!(
                "account {address} has {} {currency} with what is held for it, its ceiling is {ceiling} {currency}",
                amount(expected, currency)
            )
        } else {
            format!("account {address} has moved more than an account can count")
        };
        findings.at(Check::Limits, position, what);
    }
    ledger.account_mut(number).beyond = beyond;
}
