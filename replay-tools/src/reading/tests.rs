//! The strict reading accepts nothing that the careful one reads otherwise, and all that the engine writes for entries.

use std::sync::Arc;

use cauri_domain::entry::{
    EntryEvent, EntryHeld, EntryPosted, EntryReversed, HoldExpired, HoldPosted, HoldPostedTransfer, HoldVoided, Transfer,
};
use cauri_domain::ids::{AccountAddress, CommandId, EntryId};
use cauri_domain::money::{Currency, MAX_MINOR, Money};
use cauri_domain::text::{Key, ShortText};
use cauri_domain::time::Timestamp;
use cauri_event_schemas::ledger::{Event, Recorded, StreamId};
use cauri_event_schemas::{Fingerprint, Metadata, StreamVersion, registry};
use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

fn parsed<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("valid by construction")
}

fn short_text() -> impl Strategy<Value = ShortText> {
    prop_oneof!["[ -~]{1,20}", "[a-zéàü€😀ÿ ]{1,20}", "\\PC{1,40}"].prop_filter_map("a short text", |text| text.parse().ok())
}

fn instant() -> impl Strategy<Value = Timestamp> {
    prop_oneof![Timestamp::MIN.as_micros()..=Timestamp::MAX.as_micros(), 1_700_000_000_000_000..1_800_000_000_000_000_i64]
        .prop_map(|micros| Timestamp::from_micros(micros).expect("in range"))
}

fn address() -> impl Strategy<Value = AccountAddress> {
    "[A-Za-z0-9_-]{1,9}(:[A-Za-z0-9_-]{1,9}){0,5}".prop_map(|text| parsed(&text))
}

fn money() -> impl Strategy<Value = Money> {
    let currency = prop::sample::select(vec!["XOF", "EUR", "TND", "BTC", "USDC"]);
    (prop_oneof![0..10_000_i64, 0..=MAX_MINOR, -500..0_i64], currency).prop_map(|(minor, code)| Money::from_minor(minor, parsed(code)))
}

fn id() -> impl Strategy<Value = EntryId> {
    any::<u128>().prop_map(EntryId::from_u128)
}

fn transfers() -> impl Strategy<Value = Arc<[Transfer]>> {
    let one = (money(), address(), address(), prop::option::of(short_text())).prop_map(|(amount, credit, debit, reason)| Transfer {
        amount,
        credit,
        debit,
        reason,
    });
    prop::collection::vec(one, 0..4).prop_map(Arc::from)
}

fn posted_transfers() -> impl Strategy<Value = Arc<[HoldPostedTransfer]>> {
    let one = (money(), money(), any::<bool>(), address(), address(), prop::option::of(short_text())).prop_map(
        |(amount, held, same, credit, debit, reason)| {
            let held = if same { Money::from_minor(held.minor(), amount.currency()) } else { held };
            HoldPostedTransfer { amount, credit, debit, held, reason }
        },
    );
    prop::collection::vec(one, 0..4).prop_map(Arc::from)
}

fn event() -> impl Strategy<Value = EntryEvent> {
    let dimensions = || prop::collection::btree_map("[a-z][a-z0-9_.-]{0,8}".prop_map(|key| parsed::<Key>(&key)), short_text(), 0..4);
    let text = || prop::option::of(short_text());
    prop_oneof![
        (dimensions(), instant(), text(), prop::option::of(id()), transfers()).prop_map(
            |(dimensions, effective_at, reference, reverses, transfers)| {
                EntryEvent::Posted(EntryPosted { dimensions, effective_at, reference, reverses, transfers })
            }
        ),
        (dimensions(), instant(), prop::option::of(instant()), text(), transfers()).prop_map(
            |(dimensions, effective_at, expires_at, reference, transfers)| {
                EntryEvent::Held(EntryHeld { dimensions, effective_at, expires_at, reference, transfers })
            }
        ),
        (instant(), posted_transfers())
            .prop_map(|(effective_at, transfers)| EntryEvent::HoldPosted(HoldPosted { effective_at, transfers })),
        (instant(), text(), transfers()).prop_map(|(effective_at, reason, transfers)| EntryEvent::HoldVoided(HoldVoided {
            effective_at,
            reason,
            transfers
        })),
        (instant(), transfers()).prop_map(|(effective_at, transfers)| EntryEvent::HoldExpired(HoldExpired { effective_at, transfers })),
        (id(), text()).prop_map(|(by, reason)| EntryEvent::Reversed(EntryReversed { by, reason })),
    ]
}

fn record() -> impl Strategy<Value = Recorded> {
    let text = || prop::option::of(short_text());
    let metadata = (
        short_text(),
        prop::option::of("[!-~]{1,9} [ -~é]{1,9}"),
        text(),
        "[!-~]{1,30}",
        text(),
        prop::option::of((any::<[u8; 16]>(), any::<bool>())),
        text(),
    )
        .prop_map(|(actor, caller, causation, command, correlation, fingerprint, traceparent)| Metadata {
            actor,
            caller: caller.map(|caller| parsed(&caller)),
            causation,
            command: parsed::<CommandId>(&command),
            correlation,
            fingerprint: fingerprint.map(|(digest, old)| if old { Fingerprint::version_1(digest) } else { Fingerprint::version_2(digest) }),
            traceparent,
        });
    (1..1_u64 << 53, id(), 1..1_u64 << 53, event(), metadata, instant()).prop_map(
        |(position, entry, version, event, metadata, recorded_at)| Recorded {
            position: Position::new(position),
            stream: StreamId::Entry(entry),
            version: StreamVersion::new(version),
            event: Event::Entry(event),
            metadata: Arc::new(metadata),
            recorded_at,
        },
    )
}

/// A fact in words that do not depend on where its texts stand.
fn told(batch: &ReadBatch, stated: Position, fact: &Fact) -> String {
    let text = |span: Span| batch.shown(span);
    let mut words = format!("{stated} {} {} {} {:?}", fact.position, fact.version, fact.recorded_at, batch.command(fact));
    words += &format!(" {} {} {} {:?}", fact.command_hash, fact.has_fingerprint, fact.part, fact.stream);
    match &fact.event {
        Happening::Moved(Moved { motion, effective_at, expires_at, reverses, transfers }) => {
            words += &format!(" {motion:?} {effective_at} {expires_at:?} {reverses:?}");
            for Movement { debit, credit, minor, held, currency } in &batch.movements[transfers.clone()] {
                let sides = [debit, credit].map(|(span, hash)| (text(*span), *hash));
                words += &format!(" {sides:?} {minor} {held} {currency}");
            }
        }
        event => words += &format!(" {event:?}"),
    }
    words
}

fn batch_of(line: &[u8]) -> ReadBatch {
    let nothing = RawBatch { first: AT, last: Position::ZERO, root: None, checksums: None, peaks: None, body: Body::Lines(line.to_vec()) };
    let mut batch = read(nothing, &Seed::default());
    batch.findings = Findings::default();
    batch.unreadable = None;
    batch
}

const AT: Position = Position::new(7);

fn strictly(line: &[u8], seed: &Seed) -> Option<String> {
    let mut batch = batch_of(line);
    let (stated, fact) = strict::read(line, 0..line.len(), AT, &mut batch.movements, seed)?;
    Some(told(&batch, stated, &fact))
}

/// The careful reading, and whether the line is what Cauri would write.
fn carefully(line: &[u8], seed: &Seed) -> Option<(String, bool)> {
    let record = careful::read(line).ok()?;
    let rewritten = record.events.understood()[0].to_bytes_in(record.envelope_version);
    let mut batch = batch_of(line);
    let stated = record.stated;
    careful::push(&mut batch, AT, record, seed);
    Some((told(&batch, stated, &batch.facts[0]), rewritten == line))
}

#[test]
fn the_strict_reading_knows_the_newest_shape_of_every_event_of_an_entry() {
    for known in registry::event_types().iter().filter(|known| known.name.starts_with("entry.")) {
        assert_eq!(known.version, 1, "{} has a newer shape: teach it to `strict`, or leave it to `careful`", known.name);
    }
}

#[test]
fn a_record_with_a_key_twice_is_never_taken_for_canonical() {
    let dimensions = [(parsed("k"), parsed("v"))].into();
    let effective_at = Timestamp::UNIX_EPOCH;
    let event =
        EntryEvent::Posted(EntryPosted { dimensions, effective_at, reference: None, reverses: None, transfers: [transfer()].into() });
    let line = String::from_utf8(recorded(event).to_bytes()).expect("text");
    let seed = Seed::default();
    assert!(carefully(line.as_bytes(), &seed).is_some_and(|(_, canonical)| canonical), "{line}");
    for (once, twice) in [
        (r#""k":"v""#, r#""k":"u","k":"v""#),
        (r#""k":"v""#, r#""k":"v","k":"v""#),
        (r#""version":1"#, r#""version":1,"version":1"#),
        (r#""actor":"engine""#, r#""actor":"engine","actor":"engine""#),
        (r#""currency":"XOF""#, r#""currency":"XOF","currency":"XOF""#),
    ] {
        let changed = line.replacen(once, twice, 1);
        assert_ne!(changed, line, "{once}");
        assert_eq!(strictly(changed.as_bytes(), &seed), None, "{changed}");
        assert!(carefully(changed.as_bytes(), &seed).is_none_or(|(_, canonical)| !canonical), "{changed}");
    }
}

#[test]
fn dates_that_do_not_exist_are_left_to_the_careful_reading() {
    let at = Timestamp::from_micros(1_709_164_800_000_000).expect("in range");
    let event = EntryEvent::HoldExpired(HoldExpired { effective_at: at, transfers: [transfer()].into() });
    let line = String::from_utf8(recorded(event).to_bytes()).expect("text");
    assert!(line.contains("2024-02-29"), "{line}");
    let seed = Seed::default();
    assert!(strictly(line.as_bytes(), &seed).is_some());
    for date in ["2023-02-29", "2024-02-30", "2024-13-01", "2024-00-10", "2024-04-31", "2024-01-00", "1900-02-29", "0000-02-29"] {
        assert_eq!(strictly(line.replace("2024-02-29", date).as_bytes(), &seed), None, "{date}");
    }
}

#[test]
fn a_caller_that_nobody_can_be_is_left_to_the_careful_reading() {
    let event = EntryEvent::HoldExpired(HoldExpired { effective_at: Timestamp::UNIX_EPOCH, transfers: [transfer()].into() });
    let mut record = recorded(event);
    Arc::make_mut(&mut record.metadata).caller = Some(parsed("https://id.example awa"));
    let (line, seed) = (String::from_utf8(record.to_bytes()).expect("text"), Seed::default());
    assert!(strictly(line.as_bytes(), &seed).is_some());
    for caller in ["awa", " awa", "https://id.example ", " ", "import/", "import/\u{e4}"] {
        assert_eq!(strictly(line.replace("https://id.example awa", caller).as_bytes(), &seed), None, "{caller:?}");
    }
}

fn transfer() -> Transfer {
    Transfer { amount: Money::from_minor(1, Currency::XOF), credit: parsed("a"), debit: parsed("b"), reason: None }
}

fn recorded(event: EntryEvent) -> Recorded {
    Recorded {
        position: AT,
        stream: StreamId::Entry(EntryId::from_u128(7)),
        version: StreamVersion::new(1),
        event: Event::Entry(event),
        metadata: Arc::new(Metadata {
            actor: parsed("engine"),
            caller: None,
            causation: None,
            command: parsed("c"),
            correlation: None,
            fingerprint: None,
            traceparent: None,
        }),
        recorded_at: Timestamp::UNIX_EPOCH,
    }
}

/// Is there anything in a record that the strict reading leaves to the other one?
fn is_plain(recorded: &Recorded) -> bool {
    let line = recorded.to_bytes();
    let moves = |minor: i64| minor >= 0;
    let (some, all_move) = match &recorded.event {
        Event::Entry(EntryEvent::Posted(posted)) => (&posted.transfers[..], true),
        Event::Entry(EntryEvent::Held(held)) => (&held.transfers[..], true),
        Event::Entry(EntryEvent::HoldVoided(voided)) => (&voided.transfers[..], true),
        Event::Entry(EntryEvent::HoldExpired(expired)) => (&expired.transfers[..], true),
        Event::Entry(EntryEvent::HoldPosted(posted)) => {
            let sound = posted.transfers.iter().all(|transfer| {
                moves(transfer.amount.minor()) && moves(transfer.held.minor()) && transfer.amount.currency() == transfer.held.currency()
            });
            return sound && !posted.transfers.is_empty() && !line.contains(&b'\\');
        }
        _ => return !line.contains(&b'\\'),
    };
    all_move && !some.is_empty() && some.iter().all(|transfer| moves(transfer.amount.minor())) && !line.contains(&b'\\')
}

#[derive(Clone, Debug)]
enum Change {
    Replace(Index, u8),
    Insert(Index, u8),
    Remove(Index),
    Swap(Index, Index),
    Repeat(Index, usize),
}

fn change() -> impl Strategy<Value = Change> {
    let byte = || prop_oneof![any::<u8>(), prop::sample::select(b"{}[]\",:\\0123456789.-+eEtTzZ \n\tuXOF/".to_vec())];
    prop_oneof![
        (any::<Index>(), byte()).prop_map(|(at, byte)| Change::Replace(at, byte)),
        (any::<Index>(), byte()).prop_map(|(at, byte)| Change::Insert(at, byte)),
        any::<Index>().prop_map(Change::Remove),
        (any::<Index>(), any::<Index>()).prop_map(|(left, right)| Change::Swap(left, right)),
        (any::<Index>(), 1..40_usize).prop_map(|(at, length)| Change::Repeat(at, length)),
    ]
}

fn changed(mut line: Vec<u8>, changes: &[Change]) -> Vec<u8> {
    for change in changes {
        let length = line.len();
        match change {
            Change::Replace(at, byte) => line[at.index(length)] = *byte,
            Change::Insert(at, byte) => line.insert(at.index(length), *byte),
            Change::Remove(at) => drop(line.remove(at.index(length))),
            Change::Swap(left, right) => line.swap(left.index(length), right.index(length)),
            Change::Repeat(at, count) => {
                let at = at.index(length);
                let again = line[at..(at + count).min(length)].to_vec();
                line.splice(at..at, again);
            }
        }
        if line.is_empty() {
            return line;
        }
    }
    line
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_readings_say_the_same_of_what_the_engine_writes(record in record()) {
        let (line, seed) = (record.to_bytes(), Seed::default());
        let (careful, canonical) = carefully(&line, &seed).expect("what was written can be read");
        prop_assert!(canonical);
        match strictly(&line, &seed) {
            Some(strict) => prop_assert_eq!(strict, careful),
            None => prop_assert!(!is_plain(&record), "{}", String::from_utf8_lossy(&line)),
        }
    }

    #[test]
    fn what_the_strict_reading_accepts_is_canonical_and_means_the_same(
        record in record(),
        changes in prop::collection::vec(change(), 1..4),
    ) {
        let (line, seed) = (changed(record.to_bytes(), &changes), Seed::default());
        if let Some(strict) = strictly(&line, &seed) {
            let shown = String::from_utf8_lossy(&line).into_owned();
            let Some((careful, canonical)) = carefully(&line, &seed) else { panic!("only strict reads {shown}") };
            prop_assert!(canonical, "{}", shown);
            prop_assert_eq!(strict, careful);
        }
    }

    #[test]
    fn no_bytes_make_a_reader_panic(line in prop::collection::vec(any::<u8>(), 0..200)) {
        let raw = RawBatch { first: AT, last: AT, root: None, checksums: None, peaks: None, body: Body::Lines(line.clone()) };
        read(raw, &Seed::default());
        read(RawBatch { first: AT, last: AT, root: None, checksums: None, peaks: None, body: Body::Packed(vec![line]) }, &Seed::default());
    }
}
