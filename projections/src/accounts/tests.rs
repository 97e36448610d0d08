//! Sums over prefixes and sets beside brute force, over random histories, restarts and batches.
//!
//! So few accounts are summed when somebody asks (see `sums.rs`) that these ledgers have sums of both kinds.

#![expect(clippy::unwrap_used, reason = "a test stops where it is wrong")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cauri_domain::account::AccountKind;
use cauri_domain::account_set::{AccountSetCreated, AccountSetEvent, Member, MemberAdded, MemberRemoved, SetName};
use cauri_domain::ids::AccountAddress;
use cauri_event_schemas::Position;
use cauri_event_schemas::ledger::StreamId;
use proptest::prelude::*;

use crate::GroupId;
use crate::ledger::{Ledger, address};
use crate::read::{AccountFilter, MAX_PAGE, ReadSnapshot, RollupRow, SummedTotals};
use crate::runner::{Runner, RunnerConfig};

/// Accounts in the order in which they are opened: every prefix is below, at and above the bound at some time.
const ACCOUNTS: [(&str, AccountKind); 10] = [
    ("world", AccountKind::Asset),
    ("shops:a:cash", AccountKind::Liability),
    ("shops:a", AccountKind::Liability),
    ("shops:b:cash", AccountKind::Liability),
    ("shops:a:fees", AccountKind::Income),
    ("shops:a:held", AccountKind::Liability),
    ("shops:c", AccountKind::Liability),
    ("shops:a:cash:box", AccountKind::Liability),
    ("shopsy:z", AccountKind::Liability),
    ("shops:b:held", AccountKind::Liability),
];
const PREFIXES: [&str; 7] = ["world", "shops", "shops:a", "shops:a:cash", "shops:b", "shops:c", "nothing"];
/// A set may be in those after it.
const SETS: [&str; 4] = ["one", "two", "three", "four"];

#[derive(Clone, Debug)]
enum Step {
    Open,
    Pay { debit: usize, credit: usize, minor: i64 },
    Hold { debit: usize, credit: usize, minor: i64 },
    Void { which: usize },
    Change { set: usize, member: Which },
    Commit,
    Restart,
}

/// A member: an account, or one of the sets before.
#[derive(Clone, Copy, Debug)]
enum Which {
    Account(usize),
    Set(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let account = || 0..ACCOUNTS.len();
    let step = prop_oneof![
        3 => Just(Step::Open),
        8 => (account(), account(), 1..500_i64).prop_map(|(debit, credit, minor)| Step::Pay { debit, credit, minor }),
        2 => (account(), account(), 1..500_i64).prop_map(|(debit, credit, minor)| Step::Hold { debit, credit, minor }),
        1 => (0..100_usize).prop_map(|which| Step::Void { which }),
        4 => (0..SETS.len(), account()).prop_map(|(set, account)| Step::Change { set, member: Which::Account(account) }),
        2 => (1..SETS.len(), 0..SETS.len()).prop_map(|(set, inner)| Step::Change { set, member: Which::Set(inner % set) }),
        2 => Just(Step::Commit),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 1..120)
}

/// What the books are by what was done, and nothing else.
#[derive(Default)]
struct Naive {
    opened: usize,
    members: BTreeMap<usize, Vec<Which>>,
    created: Vec<usize>,
    holds: Vec<cauri_domain::ids::EntryId>,
}

impl Naive {
    fn pick(&self, account: usize) -> Option<&'static str> {
        (self.opened > 1).then(|| ACCOUNTS[account % self.opened].0)
    }

    fn accounts_in(&self, set: usize) -> Vec<usize> {
        let mut accounts = Vec::new();
        for member in self.members.get(&set).into_iter().flatten() {
            match member {
                Which::Account(account) => accounts.push(*account),
                Which::Set(inner) => accounts.extend(self.accounts_in(*inner)),
            }
        }
        accounts.sort_unstable();
        accounts.dedup();
        accounts
    }
}

fn set_name(set: usize) -> SetName {
    SETS[set].parse().unwrap()
}

fn act(step: &Step, ledger: &mut Ledger, naive: &mut Naive) {
    ledger.advance(1);
    match step {
        Step::Open => {
            if let Some((account, kind)) = ACCOUNTS.get(naive.opened) {
                ledger.open(account, *kind);
                naive.opened += 1;
            }
        }
        Step::Pay { debit, credit, minor } => {
            let (Some(debit), Some(credit)) = (naive.pick(*debit), naive.pick(*credit)) else { return };
            if debit != credit {
                ledger.pay(debit, credit, *minor, ledger.now);
            }
        }
        Step::Hold { debit, credit, minor } => {
            let (Some(debit), Some(credit)) = (naive.pick(*debit), naive.pick(*credit)) else { return };
            if debit != credit {
                naive.holds.push(ledger.hold(debit, credit, *minor, ledger.now, None));
            }
        }
        Step::Void { which } => {
            if !naive.holds.is_empty() {
                let hold = naive.holds.swap_remove(which % naive.holds.len());
                ledger.void(hold).unwrap();
            }
        }
        Step::Change { set, member } => change(*set, *member, ledger, naive),
        Step::Commit | Step::Restart => ledger.commit(),
    }
}

/// Adds the member, or removes it if it is there; sets that are named for the first time are created.
fn change(set: usize, member: Which, ledger: &mut Ledger, naive: &mut Naive) {
    let named = match member {
        Which::Account(account) => {
            let Some(account) = naive.pick(account) else { return };
            Member::Account(address(account))
        }
        Which::Set(inner) => Member::Set(set_name(inner)),
    };
    let member = match member {
        Which::Account(account) => Which::Account(account % naive.opened),
        set => set,
    };
    let sets = std::iter::once(set).chain(if let Which::Set(inner) = member { Some(inner) } else { None });
    for set in sets {
        if !naive.created.contains(&set) {
            naive.created.push(set);
            let created = AccountSetCreated { description: None, metadata: BTreeMap::new() };
            ledger.forge(StreamId::AccountSet(set_name(set)), AccountSetEvent::Created(created).into());
        }
    }
    let same = |other: &Which| match (other, member) {
        (Which::Account(left), Which::Account(right)) | (Which::Set(left), Which::Set(right)) => *left == right,
        _ => false,
    };
    let (effective_at, reason) = (ledger.now, None);
    let members = naive.members.entry(set).or_default();
    let event = match members.iter().position(same) {
        Some(at) => {
            members.remove(at);
            AccountSetEvent::MemberRemoved(MemberRemoved { effective_at, member: named, reason })
        }
        None => {
            members.push(member);
            AccountSetEvent::MemberAdded(MemberAdded { effective_at, member: named, reason })
        }
    };
    ledger.forge(StreamId::AccountSet(set_name(set)), event.into());
}

/// The sums over these accounts, by the decision state.
fn sums(ledger: &Ledger, accounts: impl Iterator<Item = (AccountAddress, AccountKind)>) -> Vec<(AccountKind, u64, SummedTotals)> {
    let mut sums: BTreeMap<AccountKind, (u64, SummedTotals)> = BTreeMap::new();
    for (address, kind) in accounts {
        let (count, sum) = sums.entry(kind).or_default();
        *count += 1;
        sum.add(&ledger.balances().totals(&address).unwrap());
    }
    sums.into_iter().map(|(kind, (count, sum))| (kind, count, sum)).collect()
}

fn found(rows: Vec<RollupRow>) -> Vec<(AccountKind, u64, SummedTotals)> {
    rows.into_iter().map(|row| (row.kind, row.accounts, row.totals)).collect()
}

fn agree(snapshot: &ReadSnapshot, ledger: &Ledger, naive: &Naive) {
    let opened = || ACCOUNTS[..naive.opened].iter().map(|(account, kind)| (address(account), *kind));
    for prefix in PREFIXES {
        let below = opened().filter(|(account, _)| account.as_str() == prefix || account.as_str().starts_with(&format!("{prefix}:")));
        assert_eq!(found(snapshot.rollup(&address(prefix), None, None).unwrap()), sums(ledger, below), "below {prefix}");
    }
    for set in &naive.created {
        let members = naive.accounts_in(*set);
        let expected = sums(ledger, members.iter().map(|account| (address(ACCOUNTS[*account].0), ACCOUNTS[*account].1)));
        let now = snapshot.account_set_balances(&set_name(*set), None, None).unwrap().unwrap();
        assert_eq!(found(now), expected, "in the set {}", SETS[*set]);
        // Every member one by one: the slow way to the same.
        let at_the_end = snapshot.account_set_balances(&set_name(*set), Some(ledger.now), None).unwrap().unwrap();
        assert_eq!(found(at_the_end), expected, "in the set {} as of the end", SETS[*set]);
    }
    let total = sums(ledger, opened());
    let trial = snapshot.trial_balance_sums(None, None).unwrap();
    assert_eq!(trial.iter().map(|sum| sum.accounts).sum::<u64>(), naive.opened as u64);
    assert_eq!(trial.iter().map(|sum| sum.debits_minor).sum::<i128>(), total.iter().map(|(.., sum)| sum.debits_posted).sum::<i128>());
    // Page by page: every account once, in order.
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page = snapshot.trial_balance(None, None, after.as_ref(), 3).unwrap().rows;
        listed.extend(page.rows().map(|row| (row.address.clone(), row.debits_minor, row.credits_minor)));
        match page.next() {
            Some(next) => after = Some(next.clone()),
            None => break,
        }
    }
    let accounts = snapshot.accounts(&AccountFilter::default(), None, MAX_PAGE).unwrap();
    let expected: Vec<_> = accounts.rows().map(|row| (row.address.clone(), row.totals.debits_posted, row.totals.credits_posted)).collect();
    assert_eq!(listed, expected);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn kept_sums_are_the_sums_of_what_they_are_over(steps in steps(), max_batch in prop_oneof![Just(1_usize), Just(7), Just(10_000)]) {
        let (mut ledger, mut naive) = (Ledger::new(), Naive::default());
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ledger");
        let start = |ledger: &Ledger| {
            let config = RunnerConfig { max_batch, ..RunnerConfig::default() };
            Runner::start(Arc::new(ledger.store.clone()), &path, config).unwrap()
        };
        let mut runner = start(&ledger);
        for step in &steps {
            act(step, &mut ledger, &mut naive);
            if matches!(step, Step::Commit | Step::Restart) {
                if matches!(step, Step::Restart) {
                    runner.stop();
                    runner = start(&ledger);
                }
                let reads = runner.read_store();
                prop_assert!(reads.wait_for_blocking(&GroupId::ALL, ledger.position(), Duration::from_secs(30)), "{:?}", runner.status());
                agree(&reads.snapshot().unwrap(), &ledger, &naive);
            }
        }
        ledger.commit();
        let reads = runner.read_store();
        prop_assert!(reads.wait_for_blocking(&GroupId::ALL, ledger.position(), Duration::from_secs(30)), "{:?}", runner.status());
        agree(&reads.snapshot().unwrap(), &ledger, &naive);
        // What was known before is asked of everything that moved, and agrees with what was kept then.
        let last = ledger.position();
        let kept = reads.snapshot().unwrap().rollup(&address("shops"), None, None).unwrap();
        ledger.advance(1);
        if naive.opened > 1 {
            ledger.pay(ACCOUNTS[0].0, ACCOUNTS[1].0, 1, ledger.now);
            ledger.commit();
            prop_assert!(reads.wait_for_blocking(&GroupId::ALL, ledger.position(), Duration::from_secs(30)));
            let then: Option<Position> = Some(last);
            prop_assert_eq!(reads.snapshot().unwrap().rollup(&address("shops"), None, then).unwrap(), kept);
        }
    }
}
