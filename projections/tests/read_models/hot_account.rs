//! An account with tens of thousands of postings: blocks of two levels, exact at both times.

use cauri_domain::account::{AccountKind, Side};
use cauri_domain::entry::PostEntry;
use cauri_domain::time::Timestamp;
use cauri_event_schemas::Position;

use crate::Projected;
use crate::ledger::{Ledger, Numbers, address, at, transfer};

const POSTINGS: u64 = 20_000;

/// (effective time, position, side of the hot account, amount)
type Move = (Timestamp, Position, Side, i64);

/// One account that every payment moves; one in fifty is dated back by up to the whole history.
fn hot_ledger() -> (Ledger, Vec<Move>) {
    let mut ledger = Ledger::new();
    ledger.remembers = false;
    ledger.open("banks:ecobank", AccountKind::Asset);
    ledger.open("customers:awa", AccountKind::Liability);
    let mut numbers = Numbers::from(20_000);
    let mut moves = Vec::new();
    for number in 0..POSTINGS {
        ledger.advance(1);
        let back = if number % 50 == 49 { numbers.below(number) } else { numbers.below(2) };
        let effective_at = ledger.now.saturating_add_secs(-(back as i64));
        let minor = 1 + numbers.below(1_000_000) as i64;
        let (debit, credit, side) = match numbers.below(3) {
            0 => ("customers:awa", "banks:ecobank", Side::Credit),
            _ => ("banks:ecobank", "customers:awa", Side::Debit),
        };
        let transfers = vec![transfer(debit, credit, minor)];
        ledger.post(PostEntry { effective_at: Some(effective_at), transfers, ..PostEntry::default() }).unwrap();
        moves.push((effective_at, ledger.position(), side, minor));
        if ledger.waiting() >= 997 {
            ledger.commit();
        }
    }
    ledger.commit();
    (ledger, moves)
}

fn sum(moves: &[Move], counts: impl Fn(&Move) -> bool) -> (i64, i64) {
    moves.iter().filter(|moved| counts(moved)).fold((0, 0), |(debits, credits), (_, _, side, minor)| match side {
        Side::Debit => (debits + minor, credits),
        Side::Credit => (debits, credits + minor),
    })
}

#[test]
fn twenty_thousand_postings_are_exact_at_both_times() {
    let (ledger, moves) = hot_ledger();
    let projected = Projected::of(&ledger);
    let snapshot = projected.reads.snapshot().unwrap();
    let bank = address("banks:ecobank");
    let mut numbers = Numbers::from(7);
    for _ in 0..200 {
        let as_of = at(numbers.below(POSTINGS + 10) as i64).saturating_add_micros(numbers.below(2) as i64 - 1);
        let known_at = Position::new(2 + numbers.below(POSTINGS + 1));
        let found = snapshot.balance(&bank, Some(as_of), Some(known_at)).unwrap().unwrap().totals;
        let expected = sum(&moves, |(effective_at, position, ..)| *effective_at <= as_of && *position <= known_at);
        assert_eq!((found.debits_posted, found.credits_posted), expected, "as of {as_of} as known at {known_at}");
        assert_eq!((found.debits_pending, found.credits_pending), (0, 0));

        let found = snapshot.balance(&bank, None, Some(known_at)).unwrap().unwrap().totals;
        let expected = sum(&moves, |(_, position, ..)| *position <= known_at);
        assert_eq!((found.debits_posted, found.credits_posted), expected, "as known at {known_at}");
    }
}

#[test]
fn a_statement_over_a_day_of_a_hot_account_is_paged_through_in_order() {
    let (ledger, moves) = hot_ledger();
    let projected = Projected::of(&ledger);
    let snapshot = projected.reads.snapshot().unwrap();
    let bank = address("banks:ecobank");
    let (from, to) = (at(5_000), at(8_000));
    let mut expected: Vec<&Move> = moves.iter().filter(|(effective_at, ..)| (from..to).contains(effective_at)).collect();
    expected.sort_by_key(|(effective_at, position, ..)| (*effective_at, *position));
    let mut after = None;
    let mut lines = Vec::new();
    let (opening, closing) = loop {
        let page = snapshot.statement(&bank, from, to, None, after.as_ref(), 701).unwrap().unwrap();
        after = page.lines.next().cloned();
        lines.extend(page.lines.items.into_iter().map(|item| item.row));
        if after.is_none() {
            break (page.opening, page.closing);
        }
    };
    assert_eq!(lines.len(), expected.len());
    let mut balance = i64::try_from(opening.balance(AccountKind::Asset)).unwrap();
    for (line, (effective_at, position, side, minor)) in lines.iter().zip(expected) {
        balance += if *side == Side::Debit { *minor } else { -*minor };
        assert_eq!((line.effective_at, line.position, line.side, line.amount_minor), (*effective_at, *position, *side, *minor));
        assert_eq!(line.balance_minor, balance);
        assert_eq!(line.counterparty, Some(address("customers:awa")));
    }
    assert_eq!(i128::from(balance), closing.balance(AccountKind::Asset));
}
