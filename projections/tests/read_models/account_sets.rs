//! Account sets: who is in which of them when, directly and through others.

use cauri_domain::account::AccountKind;
use cauri_domain::account_set::{AccountSetCreated, AccountSetEvent, Member, MemberAdded, MemberRemoved, SetName};
use cauri_domain::time::Timestamp;
use cauri_event_schemas::ledger::StreamId;
use cauri_projections::read::{Cursor, Page, ProjectionState, ReadError};

use crate::Projected;
use crate::ledger::{Ledger, address, at};

fn set(name: &str) -> SetName {
    name.parse().unwrap()
}

fn member(name: &str) -> Member {
    if name.contains(':') { Member::Account(address(name)) } else { Member::Set(set(name)) }
}

fn create(ledger: &mut Ledger, name: &str) {
    let description = Some(format!("« {name} »").parse().unwrap());
    let created = AccountSetCreated { description, metadata: [("region".parse().unwrap(), "sud".parse().unwrap())].into() };
    ledger.forge(StreamId::AccountSet(set(name)), AccountSetEvent::Created(created).into());
}

fn add(ledger: &mut Ledger, name: &str, who: &str, effective_at: Timestamp) {
    let added = MemberAdded { effective_at, member: member(who), reason: None };
    ledger.forge(StreamId::AccountSet(set(name)), AccountSetEvent::MemberAdded(added).into());
}

fn remove(ledger: &mut Ledger, name: &str, who: &str, effective_at: Timestamp) {
    let removed = MemberRemoved { effective_at, member: member(who), reason: None };
    ledger.forge(StreamId::AccountSet(set(name)), AccountSetEvent::MemberRemoved(removed).into());
}

/// All rows of a list, in pages of two.
fn all<T>(mut page: impl FnMut(Option<&Cursor>, usize) -> Result<Page<T>, ReadError>) -> Vec<T> {
    let (mut rows, mut after) = (Vec::new(), None);
    loop {
        let page = page(after.as_ref(), 2).unwrap();
        after = page.next().cloned();
        rows.extend(page.items.into_iter().map(|item| item.row));
        if after.is_none() {
            return rows;
        }
    }
}

/// `all` holds `north` and `south`, and `shops:a` by itself and through `south` as well.
fn shops() -> Ledger {
    let mut ledger = Ledger::new();
    for shop in ["shops:a", "shops:b", "shops:c", "shops:d"] {
        ledger.open(shop, AccountKind::Liability);
    }
    for name in ["all", "north", "south"] {
        create(&mut ledger, name);
    }
    add(&mut ledger, "all", "south", at(0));
    add(&mut ledger, "all", "north", at(-90));
    add(&mut ledger, "all", "shops:a", at(-90));
    add(&mut ledger, "south", "shops:a", at(10));
    add(&mut ledger, "south", "shops:b", at(10));
    ledger.commit();
    add(&mut ledger, "north", "shops:c", at(-50));
    remove(&mut ledger, "north", "shops:c", at(50));
    add(&mut ledger, "north", "shops:c", at(60));
    add(&mut ledger, "north", "shops:d", at(0));
    ledger.commit();
    ledger
}

#[test]
fn a_set_says_who_was_in_it_from_when_until_when() {
    let ledger = shops();
    let projected = Projected::of(&ledger);
    let snapshot = projected.reads.snapshot().unwrap();
    let north = snapshot.account_set(&set("north")).unwrap().unwrap();
    assert_eq!((north.version.get(), north.created_position.get()), (5, 6));
    assert_eq!(north.description.unwrap().as_str(), "« north »");
    assert_eq!(north.metadata.len(), 1);
    assert_eq!(snapshot.account_set(&set("none")).unwrap(), None);

    let members = |at: Option<Timestamp>| -> Vec<(String, Timestamp, Option<Timestamp>)> {
        let rows = all(|after, limit| snapshot.account_set_members(&set("north"), at, after, limit));
        rows.into_iter().map(|row| (row.member.to_string(), row.since, row.until)).collect()
    };
    let (c, d) = ("the account shops:c".to_owned(), "the account shops:d".to_owned());
    let ever = [(c.clone(), at(-50), Some(at(50))), (c.clone(), at(60), None), (d.clone(), at(0), None)];
    assert_eq!(members(None), ever);
    assert_eq!(members(Some(at(-51))), []);
    assert_eq!(members(Some(at(-50))), [(c.clone(), at(-50), Some(at(50)))]);
    assert_eq!(members(Some(at(55))), [(d.clone(), at(0), None)], "it left at its last instant");
    assert_eq!(members(Some(at(60))).len(), 2);
}

#[test]
fn an_account_is_in_a_set_once_by_however_many_ways() {
    let ledger = shops();
    let projected = Projected::of(&ledger);
    let snapshot = projected.reads.snapshot().unwrap();
    let accounts = |name: &str, at: Timestamp| -> Vec<String> {
        let rows = all(|after, limit| snapshot.accounts_in_set(&set(name), Some(at), after, limit));
        rows.into_iter().map(|row| row.address.to_string()).collect()
    };
    assert_eq!(accounts("all", at(70)), ["shops:a", "shops:b", "shops:c", "shops:d"]);
    assert_eq!(accounts("all", at(55)), ["shops:a", "shops:b", "shops:d"]);
    assert_eq!(accounts("all", at(-60)), ["shops:a"]);
    assert_eq!(accounts("all", at(-100)), [""; 0]);
    assert_eq!(accounts("south", at(10)), ["shops:a", "shops:b"]);
    assert_eq!(accounts("none", at(10)), [""; 0]);

    let sets = |of: Option<(&str, Timestamp)>| -> Vec<String> {
        let of = of.map(|(who, at)| (member(who), at));
        let rows = all(|after, limit| snapshot.account_sets(of.as_ref().map(|(member, at)| (member, Some(*at))), after, limit));
        rows.into_iter().map(|row| row.name.to_string()).collect()
    };
    assert_eq!(sets(None), ["all", "north", "south"]);
    assert_eq!(sets(Some(("shops:a", at(10)))), ["all", "south"]);
    assert_eq!(sets(Some(("shops:a", at(9)))), ["all"]);
    assert_eq!(sets(Some(("south", at(0)))), ["all"]);
    assert!(matches!(snapshot.account_sets(None, Some(&Cursor::from_bytes(b"accounts:a").unwrap()), 1), Err(ReadError::InvalidCursor)));
}

/// Why the read model goes no further, once it does not.
fn stopped(projected: &Projected) -> String {
    for _ in 0..2_000 {
        let status = projected.runner.status().read_models().find(|status| status.name == "accounts").cloned().unwrap();
        if let ProjectionState::Stopped { reason, .. } = status.state {
            return reason;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    panic!("it goes on: {:?}", projected.runner.status());
}

#[test]
fn what_contradicts_the_sets_before_it_stops_the_read_model_there() {
    for (forge, what) in [
        (Box::new(|ledger: &mut Ledger| create(ledger, "all")) as Box<dyn Fn(&mut Ledger)>, "was created before"),
        (Box::new(|ledger: &mut Ledger| add(ledger, "none", "shops:a", at(0))), "was never created"),
        (Box::new(|ledger: &mut Ledger| remove(ledger, "south", "shops:d", at(0))), "was not in the account set south"),
    ] {
        let mut ledger = shops();
        let projected = Projected::of(&ledger);
        forge(&mut ledger);
        ledger.commit();
        let stopped = stopped(&projected);
        assert!(stopped.contains(what), "{stopped}");
    }
}
