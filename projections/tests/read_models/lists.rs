//! Lists: accounts, entries and the journal, filtered and in pages, compared with the events themselves.

use std::collections::{BTreeMap, BTreeSet};

use cauri_domain::account::{AccountAction, AccountKind, FreezeAccount, OpenAccount};
use cauri_domain::entry::{EntryEvent, PostEntry};
use cauri_domain::event::EventSet;
use cauri_domain::ids::{AccountAddress, EntryId};
use cauri_domain::limits::UncheckedLimits;
use cauri_domain::money::Currency;
use cauri_domain::text::{Key, ShortText};
use cauri_event_schemas::ledger::{Event, StreamId};
use cauri_projections::read::{
    AccountFilter, AccountRow, AccountStatus, Cursor, EntryFilter, EntryRow, EntryState, JournalEventFilter, Page, ReadError, ReadSnapshot,
};

use crate::Projected;
use crate::ledger::{Ledger, Numbers, address, at, transfer, xof};

/// All rows of a list, in pages of `limit`, none twice.
fn all<T>(limit: usize, mut page: impl FnMut(Option<&Cursor>, usize) -> Result<Page<T>, ReadError>) -> Vec<T> {
    let mut rows = Vec::new();
    let mut after: Option<Cursor> = None;
    loop {
        let page = page(after.as_ref(), limit).unwrap();
        assert!(page.items.len() <= limit);
        after = page.next().map(|cursor| Cursor::from_bytes(cursor.as_bytes()).unwrap());
        rows.extend(page.items.into_iter().map(|item| item.row));
        if after.is_none() {
            return rows;
        }
    }
}

#[test]
fn accounts_are_found_by_whole_segments_and_filters() {
    let mut ledger = Ledger::new();
    let addresses = [
        "merchants:awa",
        "merchants:awa:available",
        "merchants:awa:pending",
        "merchants:awa-2",
        "merchants:awa0",
        "merchants:awatou",
        "merchants",
        "income:fees",
    ];
    for account in addresses {
        ledger.open(account, AccountKind::Liability);
    }
    ledger.open_with("banks:ecobank:eur", AccountKind::Asset, Currency::EUR, UncheckedLimits::none());
    ledger
        .account(
            "merchants:bala",
            AccountAction::Open(OpenAccount {
                address: address("merchants:bala"),
                chart_code: Some("4711".parse().unwrap()),
                currency: Currency::XOF,
                kind: AccountKind::Liability,
                limits: Some(UncheckedLimits::floor_zero()),
                metadata: [("country".parse().unwrap(), "Côte d'Ivoire".parse().unwrap())].into(),
                owner: Some("party:bala".parse().unwrap()),
            }),
        )
        .unwrap();
    ledger.account("merchants:awa:pending", AccountAction::Freeze(FreezeAccount::default())).unwrap();
    ledger.commit();
    let projected = Projected::of(&ledger);
    let snapshot = projected.reads.snapshot().unwrap();
    let found = |filter: AccountFilter| -> Vec<String> {
        let rows: Vec<AccountRow> = all(2, |after, limit| snapshot.accounts(&filter, after, limit));
        rows.into_iter().map(|row| row.address.to_string()).collect()
    };

    let mut sorted: Vec<&str> = [&addresses[..], &["banks:ecobank:eur", "merchants:bala"]].concat();
    sorted.sort_unstable();
    assert_eq!(found(AccountFilter::default()), sorted);
    let below_awa = AccountFilter { prefix: Some(address("merchants:awa")), ..AccountFilter::default() };
    assert_eq!(found(below_awa.clone()), ["merchants:awa", "merchants:awa:available", "merchants:awa:pending"]);
    assert_eq!(found(AccountFilter { status: Some(AccountStatus::Frozen), ..below_awa.clone() }), ["merchants:awa:pending"]);
    assert_eq!(found(AccountFilter { kind: Some(AccountKind::Asset), ..below_awa }), [""; 0]);
    assert_eq!(found(AccountFilter { currency: Some(Currency::EUR), ..AccountFilter::default() }), ["banks:ecobank:eur"]);
    assert_eq!(found(AccountFilter { owner: Some("party:bala".parse().unwrap()), ..AccountFilter::default() }), ["merchants:bala"]);

    let bala = snapshot.account(&address("merchants:bala")).unwrap().unwrap();
    assert_eq!(bala.metadata.values().next().unwrap().as_str(), "Côte d'Ivoire");
    assert_eq!((bala.floor_minor, bala.ceiling_minor), (Some(0), None));
    assert_eq!(bala.chart_code.unwrap().as_str(), "4711");
    assert_eq!(bala.opened_position.get(), 10);
    let wrong = snapshot.accounts(&AccountFilter::default(), snapshot.entries(&EntryFilter::default(), None, 1, false).unwrap().next(), 1);
    assert!(wrong.is_ok(), "no entries, no cursor");
    let foreign = Cursor::from_bytes(b"entries:3").unwrap();
    assert!(matches!(snapshot.accounts(&AccountFilter::default(), Some(&foreign), 1), Err(ReadError::InvalidCursor)));
}

/// Ten thousand entries over a day, so that they lie in several zones; some held, voided, posted, undone.
fn entries_of_a_day() -> Ledger {
    let mut ledger = Ledger::new();
    let mut numbers = Numbers::from(11);
    for account in ["banks:ecobank", "customers:awa", "customers:binta", "customers:chad"] {
        ledger.open(account, AccountKind::Liability);
    }
    for number in 0..9_000_u64 {
        ledger.advance(10);
        let credit = ["customers:awa", "customers:binta", "customers:chad"][numbers.below(3) as usize];
        let back = if number % 20 == 0 { numbers.below(40_000) as i64 } else { 0 };
        let mut post = PostEntry {
            effective_at: Some(ledger.now.saturating_add_secs(-back)),
            transfers: (0..=number % 3).map(|_| transfer("banks:ecobank", credit, 1 + numbers.below(99) as i64)).collect(),
            ..PostEntry::default()
        };
        if number % 7 == 0 {
            post.reference = Some(format!("order-{}", number % 70).parse().unwrap());
        }
        if number % 5 == 0 {
            post.dimensions.insert("provider".parse().unwrap(), ["wave", "mtn"][number as usize / 5 % 2].parse().unwrap());
        }
        if number % 11 == 0 {
            post.hold = Some(cauri_domain::entry::HoldTerms { expires_at: None });
        }
        let id = ledger.post(post).unwrap();
        match number % 55 {
            0 => ledger.post_hold(id, None, ledger.now).unwrap(),
            11 => ledger.void(id).unwrap(),
            1 => drop(ledger.reverse(id, false).unwrap()),
            _ => {}
        }
        if number % 13 == 0 {
            ledger.annotate(id, &[("case", ["a", "b"][number as usize % 2]), ("ticket", "t")], &[]).unwrap();
        }
        if number % 39 == 0 {
            ledger.annotate(id, &[("case", "closed")], &["ticket"]).unwrap();
        }
        if number % 100 == 0 {
            ledger.commit();
        }
    }
    ledger.commit();
    ledger
}

/// What the events themselves say of an entry.
#[derive(Debug)]
struct Expected {
    id: EntryId,
    state: EntryState,
    effective_at: cauri_domain::time::Timestamp,
    recorded_at: cauri_domain::time::Timestamp,
    reference: Option<String>,
    provider: Option<String>,
    annotations: BTreeMap<Key, ShortText>,
    accounts: BTreeSet<AccountAddress>,
}

fn expected(ledger: &Ledger) -> Vec<Expected> {
    let mut entries: Vec<Expected> = Vec::new();
    for recorded in &ledger.recorded {
        let (Event::Entry(event), StreamId::Entry(id)) = (&recorded.event, &recorded.stream) else { continue };
        let (state, effective_at, reference, dimensions, transfers) = match event {
            EntryEvent::Posted(event) => (EntryState::Posted, event.effective_at, &event.reference, &event.dimensions, &event.transfers),
            EntryEvent::Held(event) => (EntryState::Held, event.effective_at, &event.reference, &event.dimensions, &event.transfers),
            EntryEvent::Annotated(annotated) => {
                let entry = entries.iter_mut().rfind(|entry| entry.id == *id).unwrap();
                entry.annotations.retain(|key, _| !annotated.removed.contains(key));
                entry.annotations.extend(annotated.set.clone());
                continue;
            }
            later => {
                let entry = entries.iter_mut().rfind(|entry| entry.id == *id).unwrap();
                entry.state = match later {
                    EntryEvent::HoldPosted(_) => EntryState::HoldPosted,
                    EntryEvent::HoldVoided(_) => EntryState::HoldVoided,
                    EntryEvent::HoldExpired(_) => EntryState::HoldExpired,
                    _ => EntryState::Reversed,
                };
                continue;
            }
        };
        entries.push(Expected {
            id: *id,
            state,
            effective_at,
            recorded_at: recorded.recorded_at,
            reference: reference.as_ref().map(ToString::to_string),
            annotations: BTreeMap::new(),
            provider: dimensions.values().next().map(ToString::to_string),
            accounts: transfers.iter().flat_map(|transfer| [transfer.debit.clone(), transfer.credit.clone()]).collect(),
        });
    }
    entries
}

fn matches(filter: &EntryFilter, entry: &Expected) -> bool {
    filter.account.as_ref().is_none_or(|account| entry.accounts.contains(account))
        && filter.reference.as_ref().is_none_or(|reference| entry.reference.as_deref() == Some(reference.as_str()))
        && filter.dimension.as_ref().is_none_or(|(_, value)| entry.provider.as_deref() == Some(value.as_str()))
        && filter.annotation.as_ref().is_none_or(|(key, value)| entry.annotations.get(key) == Some(value))
        && filter.effective_from.is_none_or(|from| entry.effective_at >= from)
        && filter.effective_to.is_none_or(|to| entry.effective_at < to)
        && filter.recorded_from.is_none_or(|from| entry.recorded_at >= from)
        && filter.recorded_to.is_none_or(|to| entry.recorded_at < to)
        && filter.state.is_none_or(|state| entry.state == state)
}

#[test]
fn entries_are_found_by_every_mix_of_filters_in_both_directions() {
    let ledger = entries_of_a_day();
    let expected = expected(&ledger);
    let projected = Projected::of(&ledger);
    let snapshot = projected.reads.snapshot().unwrap();
    let mut numbers = Numbers::from(12);
    for round in 0..200 {
        let mut given = |one_in: u64| numbers.below(one_in) == 0;
        let mut filter = EntryFilter::default();
        if given(3) {
            filter.account = Some(address(["banks:ecobank", "customers:binta", "nobody"][round % 3]));
        }
        if given(4) {
            filter.reference = Some(["order-0", "order-35", "order-never"][round % 3].parse().unwrap());
        }
        if given(3) {
            let (key, value) = [("provider", "wave"), ("provider", "orange"), ("provider", "mtn")][round % 3];
            filter.dimension = Some((key.parse().unwrap(), value.parse().unwrap()));
        }
        if given(3) {
            let (key, value) = [("case", "a"), ("ticket", "t"), ("case", "closed"), ("case", "never")][round % 4];
            filter.annotation = Some((key.parse().unwrap(), value.parse().unwrap()));
        }
        if given(3) {
            filter.state = Some(EntryState::ALL[round % 6]);
        }
        let (by_effect, by_record) = (given(3), given(3));
        if by_effect {
            filter.effective_from = Some(at(numbers.below(90_000) as i64));
            filter.effective_to = (round % 2 == 0).then(|| at(numbers.below(90_000) as i64 + 10));
        }
        if by_record {
            filter.recorded_from = (round % 2 == 0).then(|| at(numbers.below(90_000) as i64));
            filter.recorded_to = Some(at(numbers.below(95_000) as i64));
        }
        let descending = round % 2 == 1;
        let mut wanted: Vec<EntryId> = expected.iter().filter(|entry| matches(&filter, entry)).map(|entry| entry.id).collect();
        if descending {
            wanted.reverse();
        }
        let found: Vec<EntryRow> = all(389, |after, limit| snapshot.entries(&filter, after, limit, descending));
        let found: Vec<EntryId> = found.into_iter().map(|row| row.id).collect();
        assert_eq!(found, wanted, "{filter:?} descending: {descending}");
    }
}

#[test]
fn an_entry_says_what_became_of_it() {
    let mut ledger = Ledger::new();
    ledger.open("banks:ecobank", AccountKind::Asset);
    ledger.open("customers:awa", AccountKind::Liability);
    let hold = ledger.hold("banks:ecobank", "customers:awa", 5_050, at(-60), Some(at(3_600)));
    ledger.commit();
    let projected = Projected::of(&ledger);
    let entry = |ledger: &Ledger, id| {
        projected.wait(ledger);
        projected.reads.snapshot().unwrap().entry(id).unwrap().unwrap()
    };
    let held = entry(&ledger, hold);
    assert_eq!((held.state, held.effective_at, held.posted_effective_at), (EntryState::Held, at(-60), None));
    assert_eq!(held.expires_at, Some(at(3_600)));
    assert_eq!((held.transfers[0].amount_minor, held.transfers[0].posted_minor), (5_050, 0));

    ledger.advance(30);
    ledger.post_hold(hold, Some(vec![5_000]), at(20)).unwrap();
    ledger.commit();
    let posted = entry(&ledger, hold);
    assert_eq!((posted.state, posted.effective_at, posted.posted_effective_at), (EntryState::HoldPosted, at(-60), Some(at(20))));
    assert_eq!((posted.transfers[0].amount_minor, posted.transfers[0].posted_minor), (5_050, 5_000));
    assert_eq!(posted.transfers[0].currency, xof(0).currency());
    assert_eq!((posted.version.get(), posted.first_position.get(), posted.last_position.get()), (2, 3, 4));

    let opposite = ledger.reverse(hold, true).unwrap();
    ledger.commit();
    let undone = entry(&ledger, hold);
    assert_eq!((undone.state, undone.reversed_by), (EntryState::Reversed, Some(opposite)));
    let states: Vec<_> = undone.steps.iter().map(|step| (step.state, step.position.get(), step.effective_at)).collect();
    assert_eq!(states, [(EntryState::HoldPosted, 4, Some(at(20))), (EntryState::Reversed, 5, None)]);
    assert_eq!(undone.steps[1].reason.as_ref().unwrap().as_str(), "a mistake");
    let opposite = entry(&ledger, opposite);
    assert_eq!((opposite.reverses, opposite.effective_at), (Some(hold), at(20)));
    assert_eq!(opposite.transfers[0].debit, Some(address("customers:awa")));

    // A posted hold stands on the statement at the time of its posting, with its entry.
    let snapshot = projected.reads.snapshot().unwrap();
    let page = snapshot.statement(&address("banks:ecobank"), at(-100), at(100), None, None, 10).unwrap().unwrap();
    let lines: Vec<_> = page.lines.rows().map(|line| (line.effective_at, line.entry, line.amount_minor, line.balance_minor)).collect();
    assert_eq!(lines, [(at(20), hold, 5_000, 5_000), (at(20), opposite.id, 5_000, 0)]);
}

#[test]
fn an_annotated_entry_says_so_and_stays_what_it_is() {
    let mut ledger = Ledger::new();
    ledger.open("banks:ecobank", AccountKind::Asset);
    ledger.open("customers:awa", AccountKind::Liability);
    let hold = ledger.hold("banks:ecobank", "customers:awa", 50, at(0), None);
    ledger.annotate(hold, &[("case", "17"), ("ticket", "t-1")], &[]).unwrap();
    ledger.commit();
    let projected = Projected::of(&ledger);
    let entry = |ledger: &Ledger| {
        projected.wait(ledger);
        projected.reads.snapshot().unwrap().entry(hold).unwrap().unwrap()
    };
    let pairs = |entry: &EntryRow| entry.annotations.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ");
    let held = entry(&ledger);
    assert_eq!((held.state, held.version.get(), held.last_position.get()), (EntryState::Held, 2, 4));
    assert_eq!(pairs(&held), "case=17 ticket=t-1");

    // What is annotated and resolved in one batch is at the version of the last event, whichever is written first.
    ledger.annotate(hold, &[("case", "17 closed")], &["ticket", "never"]).unwrap();
    ledger.post_hold(hold, None, at(0)).unwrap();
    ledger.commit();
    let posted = entry(&ledger);
    assert_eq!((posted.state, posted.version.get(), posted.last_position.get()), (EntryState::HoldPosted, 4, 6));
    assert_eq!(pairs(&posted), "case=17 closed");
    let steps: Vec<_> = posted.steps.iter().map(|step| (step.state, step.position.get(), step.reason.is_some())).collect();
    assert_eq!(steps, [(EntryState::Held, 4, true), (EntryState::Held, 5, true), (EntryState::HoldPosted, 6, false)]);
    let stream = JournalEventFilter { stream: Some(StreamId::Entry(hold)), ..JournalEventFilter::default() };
    assert_eq!(positions(&projected.reads.snapshot().unwrap(), &stream, 10, false), [3, 4, 5, 6]);
}

fn positions(snapshot: &ReadSnapshot, filter: &JournalEventFilter, limit: usize, descending: bool) -> Vec<u64> {
    let rows = all(limit, |after, limit| snapshot.journal_events(filter, after, limit, descending));
    rows.into_iter().map(|row| row.position.get()).collect()
}

#[test]
fn the_journal_is_listed_by_stream_and_type() {
    let ledger = entries_of_a_day();
    let projected = Projected::of(&ledger);
    let snapshot = projected.reads.snapshot().unwrap();
    let wanted = |filter: &JournalEventFilter| -> Vec<u64> {
        let matching = ledger.recorded.iter().filter(|recorded| {
            filter.from.is_none_or(|from| recorded.position >= from)
                && filter.to.is_none_or(|to| recorded.position <= to)
                && filter.stream.as_ref().is_none_or(|stream| recorded.stream == *stream)
                && filter.event_type.as_ref().is_none_or(|name| recorded.event.name() == name)
        });
        matching.map(|recorded| recorded.position.get()).collect()
    };
    let undone = ledger.recorded.iter().find(|recorded| recorded.event.name() == "entry.reversed").unwrap();
    let from = Some(cauri_event_schemas::Position::new(6_000));
    let filters = [
        JournalEventFilter::default(),
        JournalEventFilter { event_type: Some("account.opened".into()), ..JournalEventFilter::default() },
        JournalEventFilter { event_type: Some("entry.reversed".into()), from, ..JournalEventFilter::default() },
        JournalEventFilter { event_type: Some("entry.hold_voided".into()), to: from, ..JournalEventFilter::default() },
        JournalEventFilter { event_type: Some("entry.never".into()), ..JournalEventFilter::default() },
        JournalEventFilter { stream: Some(undone.stream.clone()), ..JournalEventFilter::default() },
        JournalEventFilter {
            stream: Some(undone.stream.clone()),
            event_type: Some("entry.reversed".into()),
            ..JournalEventFilter::default()
        },
        JournalEventFilter { stream: Some(StreamId::Account(address("customers:awa"))), ..JournalEventFilter::default() },
        JournalEventFilter { stream: Some(StreamId::Entry(EntryId::from_u128(1))), ..JournalEventFilter::default() },
    ];
    for filter in filters {
        let mut wanted = wanted(&filter);
        assert_eq!(positions(&snapshot, &filter, 997, false), wanted, "{filter:?}");
        wanted.reverse();
        assert_eq!(positions(&snapshot, &filter, 3.max(wanted.len() / 5), true), wanted, "{filter:?} descending");
    }

    let row = snapshot.journal_event(undone.position).unwrap().unwrap();
    assert_eq!(row.stream, undone.stream);
    assert_eq!((row.version, row.schema, row.recorded_at), (undone.version, 1, undone.recorded_at));
    assert_eq!((row.command, row.actor), (undone.metadata.command.clone(), undone.metadata.actor.clone()));
}
