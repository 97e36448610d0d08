//! Two times, compared with brute force over random histories that are dated back, held, posted, voided and undone.
//!
//! Blocks are small here (see `postings.rs`), so that these histories have blocks of several levels.

#![expect(clippy::unwrap_used, reason = "a test stops where it is wrong")]

use std::sync::Arc;
use std::time::Duration;

use cauri_domain::account::{AccountKind, Side};
use cauri_domain::entry::{EntryEvent, PostEntry};
use cauri_domain::fold::Totals;
use cauri_domain::ids::AccountAddress;
use cauri_domain::limits::UncheckedLimits;
use cauri_domain::money::Currency;
use cauri_domain::time::Timestamp;
use cauri_event_schemas::Position;
use cauri_event_schemas::ledger::{Event, Recorded};
use proptest::prelude::*;

use super::{ReadSnapshot, ReadStore};
use crate::GroupId;
use crate::ledger::{Ledger, address, at, transfer};
use crate::runner::{Runner, RunnerConfig};

const ACCOUNTS: [(&str, AccountKind); 4] = [
    ("banks:ecobank", AccountKind::Asset),
    ("customers:awa", AccountKind::Liability),
    ("customers:awa:savings", AccountKind::Liability),
    ("income:fees", AccountKind::Income),
];

/// Something that somebody does, in small numbers so that a failure is small too.
#[derive(Clone, Debug)]
enum Step {
    Pay { debit: usize, credit: usize, minor: i64, effective: i64 },
    Several { amounts: Vec<i64>, effective: i64 },
    Hold { debit: usize, credit: usize, minor: i64, effective: i64, expires: Option<i64> },
    PostHold { which: usize, part: i64, effective: i64 },
    Void { which: usize },
    Reverse { which: usize, at_original_date: bool },
    Wait { seconds: i64 },
    Commit,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    // Most effective times are the sequencer's; a third lie somewhere before, some after.
    let effective = || prop_oneof![4 => Just(0_i64), 1 => -40..=0_i64, 1 => -400..=40_i64];
    let account = || 0..ACCOUNTS.len();
    let step = prop_oneof![
        8 => (account(), account(), 0..1_000_i64, effective()).prop_map(|(debit, credit, minor, effective)| Step::Pay { debit, credit, minor, effective }),
        1 => (prop::collection::vec(1..50_i64, 1..8), effective()).prop_map(|(amounts, effective)| Step::Several { amounts, effective }),
        3 => (account(), account(), 1..1_000_i64, effective(), prop::option::of(1..60_i64))
            .prop_map(|(debit, credit, minor, effective, expires)| Step::Hold { debit, credit, minor, effective, expires }),
        2 => (any::<prop::sample::Index>(), 0..=100_i64, effective())
            .prop_map(|(which, part, effective)| Step::PostHold { which: which.index(1_000), part, effective }),
        1 => any::<prop::sample::Index>().prop_map(|which| Step::Void { which: which.index(1_000) }),
        1 => (any::<prop::sample::Index>(), any::<bool>())
            .prop_map(|(which, at_original_date)| Step::Reverse { which: which.index(1_000), at_original_date }),
        3 => (1..20_i64).prop_map(|seconds| Step::Wait { seconds }),
        1 => Just(Step::Commit),
    ];
    prop::collection::vec(step, 1..160)
}

/// Does the steps; what the rules refuse does not happen.
fn ledger_of(steps: &[Step]) -> Ledger {
    let mut ledger = Ledger::new();
    for (account, kind) in ACCOUNTS {
        let limits = if account == "customers:awa" { UncheckedLimits::floor_zero() } else { UncheckedLimits::none() };
        ledger.open_with(account, kind, Currency::XOF, limits);
    }
    let (mut entries, mut holds) = (Vec::new(), Vec::new());
    let pick = |list: &[_], which: usize| list.get(which % list.len().max(1)).copied();
    for step in steps {
        ledger.expire();
        let dated = |ledger: &Ledger, effective: &i64| Some(ledger.now.saturating_add_secs(*effective));
        match step {
            Step::Pay { debit, credit, minor, effective } => {
                let post = PostEntry {
                    effective_at: dated(&ledger, effective),
                    transfers: vec![transfer(ACCOUNTS[*debit].0, ACCOUNTS[*credit].0, *minor)],
                    ..PostEntry::default()
                };
                entries.extend(ledger.post(post).ok());
            }
            Step::Several { amounts, effective } => {
                let transfers = amounts.iter().map(|minor| transfer(ACCOUNTS[0].0, ACCOUNTS[1].0, *minor)).collect();
                entries.extend(ledger.post(PostEntry { effective_at: dated(&ledger, effective), transfers, ..PostEntry::default() }).ok());
            }
            Step::Hold { debit, credit, minor, effective, expires } => {
                let post = PostEntry {
                    effective_at: dated(&ledger, effective),
                    hold: Some(cauri_domain::entry::HoldTerms { expires_at: expires.map(|secs| ledger.now.saturating_add_secs(secs)) }),
                    transfers: vec![transfer(ACCOUNTS[*debit].0, ACCOUNTS[*credit].0, *minor)],
                    ..PostEntry::default()
                };
                if let Ok(id) = ledger.post(post) {
                    holds.push((id, *minor));
                    entries.push(id);
                }
            }
            Step::PostHold { which, part, effective } => {
                if let Some((id, minor)) = pick(&holds, *which) {
                    let effective_at = ledger.now.saturating_add_secs(*effective);
                    let _ = ledger.post_hold(id, Some(vec![minor * part / 100]), effective_at);
                }
            }
            Step::Void { which } => {
                if let Some((id, _)) = pick(&holds, *which) {
                    let _ = ledger.void(id);
                }
            }
            Step::Reverse { which, at_original_date } => {
                let at = which % entries.len().max(1);
                if let Some(id) = entries.get(at).copied() {
                    // Undoing a payment may be below a floor: then the whole command is refused by the engine.
                    let would = ledger.balances().totals(&address("customers:awa")).unwrap();
                    if would.available(AccountKind::Liability) > 10_000 {
                        let _ = ledger.reverse(id, *at_original_date);
                    }
                }
            }
            Step::Wait { seconds } => ledger.advance(*seconds),
            Step::Commit => ledger.commit(),
        }
    }
    ledger.commit();
    ledger
}

/// What one event does to one account.
#[derive(Clone, Debug)]
struct Effect {
    account: AccountAddress,
    effective_at: Timestamp,
    position: Position,
    line: u32,
    side: Side,
    posted: i64,
    pending: i64,
}

/// Every effect of a history, from the events alone.
fn effects(recorded: &[Recorded]) -> Vec<Effect> {
    let mut effects = Vec::new();
    for recorded in recorded {
        let Event::Entry(event) = &recorded.event else { continue };
        let (effective_at, lines): (_, Vec<_>) = match event {
            EntryEvent::Posted(event) => (
                event.effective_at,
                event.transfers.iter().map(|transfer| (&transfer.debit, &transfer.credit, transfer.amount.minor(), 0)).collect(),
            ),
            EntryEvent::Held(event) => (
                event.effective_at,
                event.transfers.iter().map(|transfer| (&transfer.debit, &transfer.credit, 0, transfer.amount.minor())).collect(),
            ),
            EntryEvent::HoldPosted(event) => (
                event.effective_at,
                event
                    .transfers
                    .iter()
                    .map(|transfer| (&transfer.debit, &transfer.credit, transfer.amount.minor(), -transfer.held.minor()))
                    .collect(),
            ),
            EntryEvent::HoldVoided(event) => (
                event.effective_at,
                event.transfers.iter().map(|transfer| (&transfer.debit, &transfer.credit, 0, -transfer.amount.minor())).collect(),
            ),
            EntryEvent::HoldExpired(event) => (
                event.effective_at,
                event.transfers.iter().map(|transfer| (&transfer.debit, &transfer.credit, 0, -transfer.amount.minor())).collect(),
            ),
            EntryEvent::Reversed(_) | EntryEvent::Annotated(_) => continue,
        };
        for (line, (debit, credit, posted, pending)) in (0..).zip(lines) {
            for (side, account) in [(Side::Debit, debit), (Side::Credit, credit)] {
                let (account, position) = (account.clone(), recorded.position);
                effects.push(Effect { account, effective_at, position, line, side, posted, pending });
            }
        }
    }
    effects
}

fn sum<'a>(effects: impl Iterator<Item = &'a Effect>) -> Totals {
    effects.fold(Totals::default(), |mut totals, effect| {
        match effect.side {
            Side::Debit => {
                totals.debits_posted += effect.posted;
                totals.debits_pending += effect.pending;
            }
            Side::Credit => {
                totals.credits_posted += effect.posted;
                totals.credits_pending += effect.pending;
            }
        }
        totals
    })
}

fn projected(ledger: &Ledger, config: RunnerConfig) -> (tempfile::TempDir, Runner, ReadStore) {
    let directory = tempfile::tempdir().unwrap();
    let runner = Runner::start(Arc::new(ledger.store.clone()), &directory.path().join("ledger"), config).unwrap();
    let reads = runner.read_store();
    assert!(reads.wait_for_blocking(&GroupId::ALL, ledger.position(), Duration::from_secs(60)), "{:?}", runner.status());
    (directory, runner, reads)
}

/// Every statement line of an account, asked for in pages of `limit`.
fn statement(
    snapshot: &ReadSnapshot,
    account: &AccountAddress,
    from: Timestamp,
    to: Timestamp,
    known_at: Position,
    limit: usize,
) -> Vec<super::StatementLine> {
    let mut lines = Vec::new();
    let mut after = None;
    loop {
        let page = snapshot.statement(account, from, to, Some(known_at), after.as_ref(), limit).unwrap().unwrap();
        after = page.lines.next().cloned();
        lines.extend(page.lines.items.into_iter().map(|item| item.row));
        if after.is_none() {
            return lines;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn balances_statements_and_sums_at_two_times_are_those_of_brute_force(steps in steps()) {
        let ledger = ledger_of(&steps);
        let effects = effects(&ledger.recorded);
        let (_directory, runner, reads) = projected(&ledger, RunnerConfig { max_batch: 37, ..RunnerConfig::default() });
        let snapshot = reads.snapshot().unwrap();
        let last = snapshot.position();
        prop_assert_eq!(last, ledger.position());

        // Now, the read model and the decision state agree.
        for (account, _) in ACCOUNTS {
            let account = address(account);
            let row = snapshot.account(&account).unwrap().unwrap();
            prop_assert_eq!(Some(row.totals), ledger.balances().totals(&account));
        }

        let mut instants: Vec<Timestamp> = effects.iter().map(|effect| effect.effective_at).collect();
        instants.sort_unstable();
        instants.dedup();
        let sampled: Vec<Timestamp> = instants.iter().step_by(instants.len() / 6 + 1).copied().collect();
        let mut times: Vec<Option<Timestamp>> = sampled.iter().flat_map(|at| [Some(*at), Some(at.saturating_add_micros(-1))]).collect();
        times.push(None);
        let opened = ACCOUNTS.len() as u64;
        let positions: Vec<u64> = (opened..=last.get()).step_by((last.get() as usize / 7).max(1)).chain([last.get()]).collect();

        for known_at in positions.iter().map(|position| Position::new(*position)) {
            for as_of in &times {
                let counts = |effect: &&Effect| effect.position <= known_at && as_of.is_none_or(|as_of| effect.effective_at <= as_of);
                let mut debits = 0;
                for (account, kind) in ACCOUNTS {
                    let account = address(account);
                    let expected = sum(effects.iter().filter(counts).filter(|effect| effect.account == account));
                    let found = snapshot.balance(&account, *as_of, Some(known_at)).unwrap().unwrap();
                    prop_assert_eq!(found.totals, expected, "{} as of {:?} as known at {}", account, as_of, known_at);
                    prop_assert_eq!(found.kind, kind);
                    debits += i128::from(expected.debits_posted);
                }
                let sums = snapshot.trial_balance_sums(*as_of, Some(known_at)).unwrap();
                prop_assert_eq!(sums.len(), 1);
                prop_assert_eq!((sums[0].accounts, sums[0].debits_minor, sums[0].credits_minor), (ACCOUNTS.len() as u64, debits, debits));
                let rolled = snapshot.rollup(&address("customers:awa"), *as_of, Some(known_at)).unwrap();
                let expected = sum(effects.iter().filter(counts).filter(|effect| effect.account.as_str().starts_with("customers:awa")));
                prop_assert_eq!(rolled.len(), 1);
                prop_assert_eq!(rolled[0].accounts, 2);
                prop_assert_eq!(rolled[0].totals.balance(AccountKind::Liability), expected.balance(AccountKind::Liability));
                prop_assert_eq!(rolled[0].totals.available(AccountKind::Liability), expected.available(AccountKind::Liability));
            }
            // Statements over a window in the middle, in pages of several sizes.
            let (from, to) = match (sampled.first(), sampled.last()) {
                (Some(from), Some(to)) => (*from, to.saturating_add_micros(1)),
                _ => (at(-10), at(10)),
            };
            for (account, kind) in ACCOUNTS {
                let account = address(account);
                let mut expected: Vec<&Effect> = effects
                    .iter()
                    .filter(|effect| effect.account == account && effect.position <= known_at && effect.posted != 0)
                    .filter(|effect| (from..to).contains(&effect.effective_at))
                    .collect();
                expected.sort_by_key(|effect| (effect.effective_at, effect.position, effect.line));
                let page = snapshot.statement(&account, from, to, Some(known_at), None, 1_000).unwrap().unwrap();
                let before = |end: Timestamp| {
                    let counts = |effect: &&Effect| effect.account == account && effect.position <= known_at && effect.effective_at < end;
                    sum(effects.iter().filter(counts))
                };
                prop_assert_eq!(page.opening, before(from));
                prop_assert_eq!(page.closing, before(to));
                let mut balance = page.opening.balance(kind) as i64;
                let lines = statement(&snapshot, &account, from, to, known_at, 1 + known_at.get() as usize % 7);
                prop_assert_eq!(lines.len(), expected.len());
                for (line, effect) in lines.iter().zip(expected) {
                    balance += if effect.side == kind.normal_side() { effect.posted } else { -effect.posted };
                    prop_assert_eq!((line.effective_at, line.position, line.line), (effect.effective_at, effect.position, effect.line));
                    prop_assert_eq!((line.side, line.amount_minor, line.balance_minor), (effect.side, effect.posted, balance));
                }
                prop_assert_eq!(balance, page.closing.balance(kind) as i64);
            }
        }
        drop(snapshot);
        runner.stop();
    }
}

#[test]
fn a_position_that_is_not_reached_is_not_answered_for() {
    let mut ledger = Ledger::new();
    ledger.open("customers:awa", AccountKind::Liability);
    ledger.commit();
    let (_directory, _runner, reads) = projected(&ledger, RunnerConfig::default());
    let snapshot = reads.snapshot().unwrap();
    let beyond = snapshot.balance(&address("customers:awa"), None, Some(Position::new(2)));
    assert!(matches!(beyond, Err(super::ReadError::NotReached { .. })), "{beyond:?}");
}

#[test]
fn an_account_is_not_known_before_it_was_opened() {
    let mut ledger = Ledger::new();
    ledger.open("customers:awa", AccountKind::Liability);
    ledger.open("banks:ecobank", AccountKind::Asset);
    ledger.pay("banks:ecobank", "customers:awa", 100, at(-3_600));
    ledger.commit();
    let (_directory, _runner, reads) = projected(&ledger, RunnerConfig::default());
    let snapshot = reads.snapshot().unwrap();
    let bank = address("banks:ecobank");
    assert_eq!(snapshot.balance(&bank, None, Some(Position::new(1))).unwrap(), None);
    assert_eq!(snapshot.statement(&bank, at(-7_200), at(0), Some(Position::new(1)), None, 10).unwrap(), None);
    // Dated before it was opened, and known since: that is what dating back means.
    let balance = snapshot.balance(&bank, Some(at(-3_600)), None).unwrap().unwrap();
    assert_eq!(balance.totals.debits_posted, 100);
}

#[test]
fn a_question_whose_answer_nobody_waits_for_is_stopped() {
    let (_dir, runner, reads) = projected(&ledger_of(&[]), RunnerConfig::default());
    let snapshot = reads.snapshot().unwrap();
    let interrupter = snapshot.interrupter().unwrap();
    let endless = std::thread::spawn(move || {
        let count = "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers) SELECT count(*) FROM numbers";
        let answer = snapshot.group(crate::ACCOUNTS).unwrap().db().unwrap().query_row(count, [], |row| row.get::<_, i64>(0));
        (snapshot, answer)
    });
    while !endless.is_finished() {
        interrupter.interrupt();
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(interrupter);
    let (snapshot, answer) = endless.join().unwrap();
    assert_eq!(answer.unwrap_err().sqlite_error_code(), Some(rusqlite::ErrorCode::OperationInterrupted));
    // The snapshot, and the connection after it, are as good as before.
    let position = snapshot.position();
    assert!(snapshot.account(&address(ACCOUNTS[0].0)).unwrap().is_some());
    drop(snapshot);
    assert_eq!(reads.snapshot().unwrap().position(), position);
    runner.stop();
}
