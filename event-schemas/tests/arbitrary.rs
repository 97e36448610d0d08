//! Any record that the types allow, with the texts that break careless writers.

use std::collections::BTreeMap;
use std::sync::Arc;

use cauri_domain::RefusalCode;
use cauri_domain::account::{
    AccountClosed, AccountEvent, AccountFrozen, AccountKind, AccountOpened, AccountReopened, AccountUnfrozen, LimitsChanged,
};
use cauri_domain::account_set::{AccountSetCreated, AccountSetEvent, Member, MemberAdded, MemberRemoved};
use cauri_domain::command::{CommandEvent, CommandRefused};
use cauri_domain::entry::{
    EntryAnnotated, EntryEvent, EntryHeld, EntryPosted, EntryReversed, HoldExpired, HoldPosted, HoldPostedTransfer, HoldVoided, Transfer,
};
use cauri_domain::ids::{AccountAddress, Caller, CommandId, CommandKey, EntryId};
use cauri_domain::journal::{JournalClosed, JournalEvent, Rules, RulesChanged};
use cauri_domain::limits::Limits;
use cauri_domain::money::{Currency, MAX_MINOR, Money};
use cauri_domain::text::{Key, ShortText};
use cauri_domain::time::Timestamp;
use cauri_event_schemas::ledger::{Event, Recorded, StreamId};
use cauri_event_schemas::{Fingerprint, Metadata, Position, StreamVersion};
use proptest::option;
use proptest::prelude::*;

/// Quotes, backslashes, what JavaScript takes for line ends, joiners, the last character of all.
const AWKWARD: &[char] =
    &['"', '\\', '/', '\'', '\u{2028}', '\u{2029}', '\u{feff}', '\u{fffd}', '\u{200d}', 'é', '\u{301}', '😀', '\u{10ffff}', '{', '}', ' '];

fn any_text() -> impl Strategy<Value = ShortText> {
    let letter = prop_oneof![
        2 => prop::sample::select(AWKWARD),
        1 => any::<char>().prop_filter("no control characters", |letter| !letter.is_control()),
        3 => prop::char::range('a', 'z'),
    ];
    let length = prop_oneof![9 => 1_usize..=24, 1 => 256_usize..=256];
    length
        .prop_flat_map(move |length| prop::collection::vec(letter.clone(), length))
        .prop_map(|letters| letters.into_iter().collect::<String>().parse().expect("a short text"))
}

fn any_key() -> impl Strategy<Value = Key> {
    "[a-z][a-z0-9_.-]{0,12}".prop_map(|text| text.parse().expect("a key"))
}

fn any_pairs() -> impl Strategy<Value = BTreeMap<Key, ShortText>> {
    prop::collection::btree_map(any_key(), any_text(), 0..4)
}

fn any_address() -> impl Strategy<Value = AccountAddress> {
    "[A-Za-z0-9_-]{1,8}(:[A-Za-z0-9_-]{1,8}){0,5}".prop_map(|text| text.parse().expect("an address"))
}

fn any_command_id() -> impl Strategy<Value = CommandId> {
    "[!-~]{1,40}".prop_map(|text| text.parse().expect("a command id"))
}

fn any_caller() -> impl Strategy<Value = Caller> {
    prop_oneof![
        ("[!-~é]{1,20}", any_text()).prop_map(|(issuer, id)| Caller::of_issuer(&issuer, id.as_str()).expect("a caller")),
        "[A-Za-z0-9][A-Za-z0-9._-]{0,20}".prop_map(|source| Caller::of_import(&source).expect("a source")),
    ]
}

fn any_command_key() -> impl Strategy<Value = CommandKey> {
    (option::of(any_caller()), any_command_id()).prop_map(|(caller, id)| CommandKey { caller, id })
}

fn any_entry_id() -> impl Strategy<Value = EntryId> {
    any::<u128>().prop_map(EntryId::from_u128)
}

fn any_time() -> impl Strategy<Value = Timestamp> {
    (Timestamp::MIN.as_micros()..=Timestamp::MAX.as_micros()).prop_map(|micros| Timestamp::from_micros(micros).expect("in range"))
}

fn any_currency() -> impl Strategy<Value = Currency> {
    prop::sample::select(Currency::all().collect::<Vec<_>>())
}

fn any_money() -> impl Strategy<Value = Money> {
    let minor = prop_oneof![0_i64..100_000, -MAX_MINOR..=MAX_MINOR];
    (minor, any_currency()).prop_map(|(minor, currency)| Money::from_minor(minor, currency))
}

fn any_limits() -> impl Strategy<Value = Limits> {
    (option::of(any_money()), option::of(any_money())).prop_map(|(ceiling, floor)| Limits { ceiling, floor })
}

fn any_transfer() -> impl Strategy<Value = Transfer> {
    (any_money(), any_address(), any_address(), option::of(any_text())).prop_map(|(amount, credit, debit, reason)| Transfer {
        amount,
        credit,
        debit,
        reason,
    })
}

fn any_transfers() -> impl Strategy<Value = Arc<[Transfer]>> {
    prop::collection::vec(any_transfer(), 1..4).prop_map(Into::into)
}

fn any_account_event() -> impl Strategy<Value = AccountEvent> {
    let kind = prop::sample::select(AccountKind::ALL.to_vec());
    let opened = (option::of(any_text()), any_currency(), kind, any_limits(), any_pairs(), option::of(any_text()));
    prop_oneof![
        opened.prop_map(|(chart_code, currency, kind, limits, metadata, owner)| {
            AccountEvent::Opened(AccountOpened { chart_code, currency, kind, limits, metadata, owner })
        }),
        option::of(any_text()).prop_map(|reason| AccountEvent::Frozen(AccountFrozen { reason })),
        Just(AccountEvent::Unfrozen(AccountUnfrozen {})),
        (option::of(any_text()), option::of(any_entry_id()))
            .prop_map(|(reason, swept_by)| AccountEvent::Closed(AccountClosed { reason, swept_by })),
        Just(AccountEvent::Reopened(AccountReopened {})),
        any_limits().prop_map(|limits| AccountEvent::LimitsChanged(LimitsChanged { limits })),
    ]
}

fn any_entry_event() -> impl Strategy<Value = EntryEvent> {
    let posted = (any_pairs(), any_time(), option::of(any_text()), option::of(any_entry_id()), any_transfers());
    let held = (any_pairs(), any_time(), option::of(any_time()), option::of(any_text()), any_transfers());
    let moved = (any_transfer(), any_money()).prop_map(|(Transfer { amount, credit, debit, reason }, held)| HoldPostedTransfer {
        amount,
        credit,
        debit,
        held,
        reason,
    });
    prop_oneof![
        3 => posted.prop_map(|(dimensions, effective_at, reference, reverses, transfers)| {
            EntryEvent::Posted(EntryPosted { dimensions, effective_at, reference, reverses, transfers })
        }),
        2 => held.prop_map(|(dimensions, effective_at, expires_at, reference, transfers)| {
            EntryEvent::Held(EntryHeld { dimensions, effective_at, expires_at, reference, transfers })
        }),
        1 => (any_time(), prop::collection::vec(moved, 1..4))
            .prop_map(|(effective_at, transfers)| EntryEvent::HoldPosted(HoldPosted { effective_at, transfers: transfers.into() })),
        1 => (any_time(), option::of(any_text()), any_transfers())
            .prop_map(|(effective_at, reason, transfers)| EntryEvent::HoldVoided(HoldVoided { effective_at, reason, transfers })),
        1 => (any_time(), any_transfers())
            .prop_map(|(effective_at, transfers)| EntryEvent::HoldExpired(HoldExpired { effective_at, transfers })),
        1 => (any_entry_id(), option::of(any_text())).prop_map(|(by, reason)| EntryEvent::Reversed(EntryReversed { by, reason })),
        1 => (option::of(any_text()), any_pairs(), any_pairs()).prop_map(|(reason, set, removed)| {
            EntryEvent::Annotated(EntryAnnotated { reason, removed: removed.into_keys().collect(), set })
        }),
    ]
}

fn any_member() -> impl Strategy<Value = Member> {
    prop_oneof![
        any_address().prop_map(Member::Account),
        "[a-z][a-z0-9_.-]{0,63}".prop_map(|name| Member::Set(name.parse().expect("a name"))),
    ]
}

fn any_account_set_event() -> impl Strategy<Value = AccountSetEvent> {
    let changed = || (any_time(), any_member(), option::of(any_text()));
    prop_oneof![
        (option::of(any_text()), any_pairs())
            .prop_map(|(description, metadata)| AccountSetEvent::Created(AccountSetCreated { description, metadata })),
        changed().prop_map(|(effective_at, member, reason)| AccountSetEvent::MemberAdded(MemberAdded { effective_at, member, reason })),
        changed().prop_map(|(effective_at, member, reason)| AccountSetEvent::MemberRemoved(MemberRemoved { effective_at, member, reason })),
    ]
}

/// Any event of any aggregate.
pub fn any_event() -> impl Strategy<Value = Event> {
    // Details may hold anything, control characters too.
    let refused = (prop::sample::select(RefusalCode::ALL), any::<String>(), any_text(), option::of(any::<String>()));
    prop_oneof![
        4 => any_account_event().prop_map(Event::Account),
        1 => refused.prop_map(|(code, detail, op, pointer)| {
            Event::Command(CommandEvent::Refused(CommandRefused { code, detail, op, pointer }))
        }),
        6 => any_entry_event().prop_map(Event::Entry),
        2 => any_account_set_event().prop_map(Event::AccountSet),
        1 => option::of(any_text()).prop_map(|reason| Event::Journal(JournalEvent::Closed(JournalClosed { reason }))),
        1 => (any_rules(), option::of(any_text())).prop_map(|(rules, reason)| {
            Event::Journal(JournalEvent::RulesChanged(RulesChanged { reason, rules }))
        }),
    ]
}

fn any_rules() -> impl Strategy<Value = Rules> {
    any::<(u16, u32, u16, u16)>().prop_map(|(clock_gap_days, clock_leap_seconds, max_future_days, synchronised_clock_days)| Rules {
        clock_gap_days,
        clock_leap_seconds,
        max_future_days,
        synchronised_clock_days,
    })
}

/// Any stream.
pub fn any_stream() -> impl Strategy<Value = StreamId> {
    prop_oneof![
        any_address().prop_map(StreamId::Account),
        any_command_key().prop_map(StreamId::Command),
        any_entry_id().prop_map(StreamId::Entry),
        any_text().prop_map(StreamId::Journal),
    ]
}

/// Any fingerprint of either version.
pub fn any_fingerprint() -> impl Strategy<Value = Fingerprint> {
    (any::<[u8; 16]>(), any::<bool>())
        .prop_map(|(digest, old)| if old { Fingerprint::version_1(digest) } else { Fingerprint::version_2(digest) })
}

fn any_metadata() -> impl Strategy<Value = Metadata> {
    (any_text(), option::of(any_text()), any_command_key(), option::of(any_text()), option::of(any_fingerprint()), option::of(any_text()))
        .prop_map(|(actor, causation, key, correlation, fingerprint, traceparent)| Metadata {
            actor,
            caller: key.caller,
            causation,
            command: key.id,
            correlation,
            fingerprint,
            traceparent,
        })
}

/// Any event at any place below 2^53, by any command, at any time.
pub fn any_recorded() -> impl Strategy<Value = Recorded> {
    let place = || 1_u64..1 << 53;
    (place(), any_stream(), place(), any_event(), any_metadata(), any_time()).prop_map(
        |(position, stream, version, event, metadata, recorded_at)| Recorded {
            position: Position::new(position),
            stream,
            version: StreamVersion::new(version),
            event,
            metadata: Arc::new(metadata),
            recorded_at,
        },
    )
}
