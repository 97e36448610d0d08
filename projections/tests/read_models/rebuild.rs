//! However a read model was built, it says the same: in other batches, after restarts, beside a live one, in a replay.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cauri_domain::account::{AccountAction, AccountKind, ChangeLimits, FreezeAccount};
use cauri_domain::account_set::{AccountSetCreated, AccountSetEvent, Member, MemberAdded, MemberRemoved, SetName};
use cauri_domain::entry::PostEntry;
use cauri_domain::limits::UncheckedLimits;
use cauri_event_schemas::ledger::{Event, StreamId};
use cauri_event_store::Hash;
use cauri_projections::GroupId;
use cauri_projections::digest::digest_of_replay;
use cauri_projections::read::{ProjectionState, ReadStore};
use cauri_projections::runner::{Runner, RunnerConfig};

use crate::Projected;
use crate::ledger::{Ledger, Numbers, address, transfer};

const NAMES: [&str; 3] = ["accounts", "entries", "journal_events"];

/// A ledger in which everything that can happen happens, several times, in journal batches of many sizes.
fn lively(seed: u64, steps: u64) -> Ledger {
    let mut ledger = Ledger::new();
    let mut numbers = Numbers::from(seed);
    for number in 0..20 {
        ledger.open(&name(number), if number % 4 == 0 { AccountKind::Asset } else { AccountKind::Liability });
    }
    go_on(&mut ledger, &mut numbers, steps);
    ledger
}

fn name(number: u64) -> String {
    format!("region{}:account{number}", number % 3)
}

/// Creates the set, or adds the member, or removes it, by what happened before.
fn change_set(ledger: &mut Ledger, name: SetName, member: Member) {
    let (effective_at, reason, stream) = (ledger.now, None, StreamId::AccountSet(name));
    let mut last = None;
    for recorded in ledger.recorded.iter().filter(|recorded| recorded.stream == stream) {
        match &recorded.event {
            Event::AccountSet(AccountSetEvent::MemberAdded(added)) if added.member == member => last = Some((true, added.effective_at)),
            Event::AccountSet(AccountSetEvent::MemberRemoved(removed)) if removed.member == member => last = Some((false, effective_at)),
            _ => last = last.or(Some((false, effective_at))),
        }
    }
    let event = match last {
        None => AccountSetEvent::Created(AccountSetCreated { description: None, metadata: Default::default() }),
        Some((false, _)) => AccountSetEvent::MemberAdded(MemberAdded { effective_at, member, reason }),
        Some((true, since)) if since < effective_at => AccountSetEvent::MemberRemoved(MemberRemoved { effective_at, member, reason }),
        Some((true, _)) => return,
    };
    ledger.forge(stream, event.into());
}

fn go_on(ledger: &mut Ledger, numbers: &mut Numbers, steps: u64) {
    let (mut entries, mut holds) = (Vec::new(), Vec::new());
    for step in 0..steps {
        ledger.advance(numbers.below(3) as i64);
        ledger.expire();
        let debit = numbers.below(20);
        let credit = (debit + 1 + numbers.below(19)) % 20;
        let (debit, credit) = (name(debit), name(credit));
        let dated = ledger.now.saturating_add_secs(-(numbers.below(100) as i64));
        match numbers.below(12) {
            0 => holds.push(ledger.hold(&debit, &credit, 10 + numbers.below(50) as i64, dated, None)),
            1 => {
                let expires_at = Some(ledger.now.saturating_add_secs(1 + numbers.below(30) as i64));
                holds.push(ledger.hold(&debit, &credit, 10, dated, expires_at));
            }
            2 if !holds.is_empty() => {
                let hold = holds.swap_remove(numbers.below(holds.len() as u64) as usize);
                let now = ledger.now;
                let _ = ledger.post_hold(hold, Some(vec![numbers.below(10) as i64]), now);
                entries.push(hold);
            }
            3 if !holds.is_empty() => {
                let hold = holds.swap_remove(numbers.below(holds.len() as u64) as usize);
                let _ = ledger.void(hold);
            }
            4 if !entries.is_empty() => {
                let entry = entries.swap_remove(numbers.below(entries.len() as u64) as usize);
                let _ = ledger.reverse(entry, step % 2 == 0);
            }
            6 => {
                let known = if step % 2 == 0 { &entries } else { &holds };
                if let Some(entry) = known.get(numbers.below(known.len().max(1) as u64) as usize).copied() {
                    let (key, value) = (["case", "ticket"][numbers.below(2) as usize], format!("n{}", numbers.below(3)));
                    let remove: &[&str] = if numbers.below(2) == 0 { &["zone"] } else { &[] };
                    ledger.annotate(entry, &[(key, value.as_str())], remove).unwrap();
                }
            }
            7 => {
                let name = ["all", "north", "south"][numbers.below(3) as usize].parse().unwrap();
                change_set(ledger, name, Member::Account(address(&debit)));
            }
            5 if numbers.below(10) == 0 => {
                let account = format!("{}:opened-at-{}", name(3), ledger.position());
                ledger.open(&account, AccountKind::Liability);
                ledger.pay(&name(0), &account, 500, dated);
                let limits = UncheckedLimits::floor_zero();
                ledger.account(&account, AccountAction::ChangeLimits(ChangeLimits { limits })).unwrap();
                ledger.account(&account, AccountAction::Freeze(FreezeAccount::default())).unwrap();
                ledger.account(&account, AccountAction::Unfreeze).unwrap();
                ledger.close(&account, &name(0)).unwrap();
            }
            _ => {
                let mut post = PostEntry {
                    effective_at: Some(dated),
                    transfers: (0..=numbers.below(3)).map(|_| transfer(&debit, &credit, 1 + numbers.below(1_000) as i64)).collect(),
                    ..PostEntry::default()
                };
                if step % 3 == 0 {
                    post.reference = Some(format!("réf \"{}\" \\ {step}", step % 10).parse().unwrap());
                    post.dimensions.insert("country".parse().unwrap(), ["SN", "CI", "TG"][step as usize % 3].parse().unwrap());
                    post.dimensions.insert("merchant".parse().unwrap(), format!("m{}", step % 17).parse().unwrap());
                }
                entries.push(ledger.post(post).unwrap());
            }
        }
        if numbers.below(40) == 0 {
            ledger.commit();
        }
    }
    ledger.commit();
}

fn digests(reads: &ReadStore) -> Vec<Hash> {
    let snapshot = reads.snapshot().unwrap();
    NAMES.iter().map(|name| snapshot.digest(name).unwrap().unwrap().digest).collect()
}

fn replayed(ledger: &Ledger) -> Vec<Hash> {
    let events = ledger.recorded.iter().cloned().map(Ok::<_, Infallible>);
    let digests = digest_of_replay(events, ledger.position()).unwrap();
    assert!(digests.iter().all(|digest| digest.stopped.is_none() && digest.position == ledger.position()), "{digests:?}");
    digests.into_iter().map(|digest| digest.digest).collect()
}

#[test]
fn other_batches_give_the_same_rows() {
    let ledger = lively(1, 3_000);
    let expected = replayed(&ledger);
    for max_batch in [1, 50, 1_000_000] {
        let config = RunnerConfig { max_batch, ..RunnerConfig::default() };
        assert_eq!(digests(&Projected::with(&ledger, config).reads), expected, "{max_batch} events a transaction");
    }
}

#[test]
fn events_that_come_one_by_one_give_the_same_rows_as_a_rebuild() {
    let mut ledger = lively(2, 10);
    let projected = Projected::of(&ledger);
    let mut numbers = Numbers::from(3);
    for _ in 0..150 {
        go_on(&mut ledger, &mut numbers, 8);
        projected.wait(&ledger);
    }
    assert_eq!(digests(&projected.reads), replayed(&ledger));
}

#[test]
fn a_runner_that_is_stopped_in_the_middle_goes_on_where_it_committed() {
    let mut ledger = lively(4, 1_500);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger");
    let mut numbers = Numbers::from(5);
    for round in 0..12 {
        let config = RunnerConfig { max_batch: 1 + numbers.below(60) as usize, ..RunnerConfig::default() };
        let runner = Runner::start(Arc::new(ledger.store.clone()), &path, config).unwrap();
        // Somewhere in the middle, wherever that is.
        std::thread::sleep(Duration::from_micros(numbers.below(4_000)));
        go_on(&mut ledger, &mut numbers, 40);
        std::thread::sleep(Duration::from_micros(numbers.below(2_000)));
        drop(runner);
        assert!(ReadStore::open(&path).unwrap().snapshot().unwrap().position() <= ledger.position(), "round {round}");
    }
    let runner = Runner::start(Arc::new(ledger.store.clone()), &path, RunnerConfig::default()).unwrap();
    // A read store that nobody wakes polls, and finds the same.
    let reads = ReadStore::open(&path).unwrap();
    assert!(reads.wait_for_blocking(&GroupId::ALL, ledger.position(), Duration::from_secs(60)), "{:?}", runner.status());
    assert_eq!(digests(&reads), replayed(&ledger));
}

#[test]
fn a_rebuild_on_request_takes_the_place_of_the_live_one_with_the_same_rows() {
    let mut ledger = lively(6, 2_000);
    let projected = Projected::of(&ledger);
    assert!(projected.runner.rebuild("no_such_read_model").is_err());
    let mut numbers = Numbers::from(8);
    for name in NAMES {
        projected.runner.rebuild(name).unwrap();
    }
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        go_on(&mut ledger, &mut numbers, 5);
        projected.wait(&ledger);
        let statuses: Vec<_> = projected.runner.status().read_models().cloned().collect();
        if statuses.len() == NAMES.len() && statuses.iter().all(|status| status.generation == 2 && status.state == ProjectionState::Live) {
            break;
        }
        assert!(Instant::now() < until, "{statuses:?}");
    }
    assert_eq!(digests(&projected.reads), replayed(&ledger));
    for status in projected.reads.projections().unwrap() {
        let (position, digest) = status.digest.unwrap();
        let events = ledger.recorded.iter().cloned().map(Ok::<_, Infallible>);
        let then = digest_of_replay(events, position).unwrap().into_iter().find(|replayed| replayed.name == status.name).unwrap();
        assert_eq!(digest, then.digest, "{} when it took the place", status.name);
    }
}

#[test]
fn a_replay_up_to_an_earlier_position_gives_other_rows() {
    let ledger = lively(9, 200);
    let events = || ledger.recorded.iter().cloned().map(Ok::<_, Infallible>);
    let half = cauri_event_schemas::Position::new(ledger.position().get() / 2);
    let earlier = digest_of_replay(events(), half).unwrap();
    assert!(earlier.iter().all(|digest| digest.position == half));
    assert!(earlier.iter().zip(replayed(&ledger)).all(|(earlier, now)| earlier.digest != now));
}

#[test]
fn the_decision_state_and_the_read_model_agree_on_every_account() {
    let ledger = lively(10, 2_000);
    let projected = Projected::of(&ledger);
    let snapshot = projected.reads.snapshot().unwrap();
    for decided in ledger.balances().accounts().iter() {
        let row = snapshot.account(&decided.address).unwrap().unwrap();
        assert_eq!(row.totals, decided.totals, "{}", decided.address);
        assert_eq!(row.status.as_str(), decided.account.status());
        assert_eq!(row.version.get(), u64::from(decided.version));
        let limits = decided.account.terms().unwrap().limits;
        assert_eq!(row.floor_minor, limits.floor.map(|floor| floor.minor()));
        assert_eq!(row.ceiling_minor, limits.ceiling.map(|ceiling| ceiling.minor()));
    }
    assert_eq!(snapshot.trial_balance_sums(None, None).unwrap()[0].accounts as usize, ledger.balances().accounts().len());
    assert_eq!(snapshot.account(&address("nobody")).unwrap(), None);
}
