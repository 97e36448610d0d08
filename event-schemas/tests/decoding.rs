//! Reading what was written: today's version as it is, older ones through their upcasters, nothing by guess.

use std::fs;
use std::path::Path;

use cauri_domain::account::{Account, AccountEvent, AccountFrozen, AccountKind, AccountOpened, evolve};
use cauri_domain::ledger::Ledger;
use cauri_domain::limits::Limits;
use cauri_domain::money::{Currency, Money};
use cauri_event_schemas::examples::examples;
use cauri_event_schemas::ledger::{Event, Recorded};
use cauri_event_schemas::record::Envelope;
use cauri_event_schemas::registry::{UndecodableEvent, event_types};
use serde_json::{Value, json};

fn decoded(record: &Value) -> Result<Vec<Recorded>, UndecodableEvent> {
    let bytes = serde_json::to_vec(record).expect("JSON");
    Envelope::parse(&bytes)?.decode::<Ledger>()
}

/// A record of version 1 of `account.opened` with this payload.
fn version_1(data: Value) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples/account.opened.v1.json");
    let mut record: Value = serde_json::from_slice(&fs::read(path).expect("a sample")).expect("JSON");
    record["data"] = data;
    record
}

fn any_record() -> Value {
    serde_json::from_slice(&examples()[0].bytes).expect("JSON")
}

fn with(mut record: Value, changes: &[(&str, Value)]) -> Value {
    for (field, value) in changes {
        record[*field] = value.clone();
    }
    record
}

fn opened(limits: Limits, owner: Option<&str>) -> Event {
    Event::Account(AccountEvent::Opened(AccountOpened {
        chart_code: None,
        currency: Currency::XOF,
        kind: AccountKind::Liability,
        limits,
        metadata: Default::default(),
        owner: owner.map(|owner| owner.parse().expect("a short text")),
    }))
}

#[test]
fn an_account_opened_frozen_in_version_1_is_two_events_of_today_at_one_position() {
    let record = version_1(json!({ "currency": "XOF", "frozen": true, "kind": "liability" }));
    let events = decoded(&record).expect("version 1 is read for ever");
    let frozen = Event::Account(AccountEvent::Frozen(AccountFrozen { reason: None }));
    assert_eq!(events.iter().map(|recorded| &recorded.event).collect::<Vec<_>>(), [&opened(Limits::default(), None), &frozen]);
    assert_eq!(events[0].position, events[1].position);
    assert_eq!((&events[0].stream, events[0].version), (&events[1].stream, events[1].version));
    assert_eq!((&events[0].metadata, events[0].recorded_at), (&events[1].metadata, events[1].recorded_at));
    let state = events.iter().try_fold(Account::default(), |account, recorded| match &recorded.event {
        Event::Account(event) => evolve(account, event),
        _ => panic!("events of an account"),
    });
    assert_eq!(state.expect("they follow one another").status(), "frozen");
}

#[test]
fn limits_of_version_1_become_money_in_the_accounts_currency() {
    let data =
        json!({ "ceiling": "2000000", "currency": "XOF", "floor": "-5000", "frozen": false, "kind": "liability", "owner": "party-7" });
    let xof = |minor| Some(Money::from_minor(minor, Currency::XOF));
    let events = decoded(&version_1(data)).expect("version 1 is read for ever");
    let limits = Limits { ceiling: xof(2_000_000), floor: xof(-5_000) };
    assert_eq!(events.into_iter().map(|recorded| recorded.event).collect::<Vec<_>>(), [opened(limits, Some("party-7"))]);
}

#[test]
fn a_payload_of_version_1_that_never_was_is_undecodable() {
    for data in [
        json!({}),
        json!({ "currency": "XOF", "kind": "liability" }),
        json!({ "currency": "XOF", "frozen": "yes", "kind": "liability" }),
        json!({ "currency": "ZZZ", "frozen": false, "kind": "liability" }),
        json!({ "currency": "XOF", "floor": "0.5", "frozen": false, "kind": "liability" }),
        json!({ "currency": "XOF", "floor": 0, "frozen": false, "kind": "liability" }),
        json!({ "currency": "XOF", "frozen": false, "kind": "liability", "limits": {} }),
        json!([]),
        json!(null),
    ] {
        let error = decoded(&version_1(data.clone())).expect_err("no payload of version 1");
        assert_eq!((error.event_type.as_str(), error.schema), ("account.opened", 1), "{data}: {error}");
    }
}

#[test]
fn a_type_that_is_not_known_is_named() {
    let error = decoded(&with(any_record(), &[("type", json!("account.exploded")), ("schema", json!(3))])).expect_err("no such type");
    assert_eq!((error.event_type.as_str(), error.schema), ("account.exploded", 3));
    assert!(error.to_string().starts_with("account.exploded version 3 cannot be read"), "{error}");
}

#[test]
fn version_0_and_versions_from_the_future_are_named() {
    for known in <cauri_domain::ledger::LedgerEvent as cauri_domain::event::EventSet>::types() {
        for version in [0, known.version + 1, u32::MAX] {
            let record = with(any_record(), &[("type", json!(known.name)), ("schema", json!(version))]);
            let error = decoded(&record).expect_err("no such version");
            assert_eq!((error.event_type.as_str(), error.schema), (known.name, version));
            assert!(error.to_string().contains(&format!("versions 1 to {}", known.version)), "{error}");
        }
    }
}

#[test]
fn a_payload_of_another_type_is_undecodable_and_named() {
    let payload = json!({ "surprise": true });
    for known in event_types() {
        for version in 1..=known.version {
            let record = with(any_record(), &[("type", json!(known.name)), ("schema", json!(version)), ("data", payload.clone())]);
            let error = decoded(&record).expect_err("not its payload");
            assert_eq!((error.event_type.as_str(), error.schema), (known.name, version));
        }
    }
}

#[test]
fn a_record_that_is_damaged_around_its_payload_is_undecodable() {
    let record = any_record();
    for field in ["data", "metadata", "position", "recorded_at", "schema", "stream", "type", "version"] {
        let mut without = record.clone();
        without.as_object_mut().expect("an object").remove(field);
        decoded(&without).expect_err(field);
    }
    for (field, value) in [
        ("position", json!(-1)),
        ("position", json!("1")),
        ("schema", json!(4_294_967_296_u64)),
        ("recorded_at", json!("2026-02-30T00:00:00.000000Z")),
        ("stream", json!("account")),
        ("stream", json!("account/")),
        ("stream", json!("account/no spaces")),
        ("stream", json!("entry/1")),
        ("stream", json!("payment/1")),
        ("metadata", json!({ "actor": "engine" })),
        ("metadata", json!({ "actor": "", "command": "c" })),
        ("metadata", json!({ "actor": "engine", "command": "c", "fingerprint": "5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A" })),
        ("metadata", json!({ "actor": "engine", "command": "c", "fingerprint": "5a" })),
        ("surprise", json!(1)),
    ] {
        let damaged = with(record.clone(), &[(field, value.clone())]);
        decoded(&damaged).expect_err(&format!("{field}: {value}"));
    }
    for bytes in [&b""[..], b"{", b"null", b"\xff", b"{}{}"] {
        Envelope::parse(bytes).expect_err("no record");
    }
}

/// What only a newer program can have written is told apart from damage, each way round.
#[test]
fn what_a_newer_program_wrote_is_newer_and_what_is_damaged_is_not() {
    let refusal = examples().into_iter().find(|example| example.event_type == "command.refused").expect("an example");
    let refused = |code: &str| {
        let mut record: Value = serde_json::from_slice(&refusal.bytes).expect("JSON");
        record["data"]["code"] = json!(code);
        record
    };
    let newer = [
        with(any_record(), &[("stream", json!("period/2027"))]),
        with(any_record(), &[("type", json!("entry.blessed"))]),
        with(any_record(), &[("schema", json!(9))]),
        with(any_record(), &[("envelope", json!(3))]),
        with(any_record(), &[("envelope", json!(3)), ("tenant", json!("a member that only version 3 has"))]),
        refused("moon_not_full"),
    ];
    for record in newer {
        let error = decoded(&record).expect_err("no such thing is known");
        assert!(error.is_newer, "{error}");
    }
    let damaged = [
        with(any_record(), &[("stream", json!("entry/no-uuid"))]),
        with(any_record(), &[("stream", json!("nothing"))]),
        with(any_record(), &[("schema", json!(0))]),
        with(any_record(), &[("envelope", json!(2)), ("tenant", json!("version 2 has no such member"))]),
        with(any_record(), &[("envelope", json!(1))]),
        with(any_record(), &[("envelope", json!("3")), ("tenant", json!("no number"))]),
        with(any_record(), &[("data", json!({ "surprise": true }))]),
        refused("Moon Not Full"),
        refused(""),
    ];
    for record in damaged {
        let error = decoded(&record).expect_err("nobody wrote it");
        assert!(!error.is_newer, "{error}");
    }
}
