//! The fingerprint of a command is stored for ever: a frozen sample of each, and what makes two requests one.

use std::collections::BTreeMap;

use cauri_domain::LedgerCommand;
use cauri_domain::account::{AccountAction, AccountKind, ChangeLimits, CloseAccount, FreezeAccount, OpenAccount};
use cauri_domain::account_set::{AccountSetAction, AccountSetCommand, ChangeMembers, CreateAccountSet, Member};
use cauri_domain::entry::{
    AnnotateEntry, EntryAction, HoldTerms, PostEntry, PostHold, ReverseEntry, TransferAmount, TransferRequest, VoidHold,
};
use cauri_domain::ids::{CommandKey, EntryId};
use cauri_domain::journal::{ChangeRules, CloseJournal, JournalCommand};
use cauri_domain::kind::KindCommand;
use cauri_domain::limits::{LimitAmount, UncheckedLimits};
use cauri_domain::money::UncheckedMoney;
use cauri_event_schemas::fingerprint::declared;
use cauri_event_schemas::{Fingerprint, canonical};
use serde_json::{Value, json};

/// One sample a line: the command as declared, its fingerprint, and the one of version 1. Lines are added, never changed.
const FROZEN: &str = include_str!("../fingerprints.jsonl");

fn id(number: u128) -> EntryId {
    EntryId::from_u128(0x0190_f1c2_7e4b_7cc3_98c4_dc0c_0c07_0000 | number)
}

fn money(amount: &str, currency: &str) -> UncheckedMoney {
    serde_json::from_value(json!({"amount": amount, "currency": currency})).expect("money")
}

fn transfer(amount: TransferAmount, reason: Option<&str>) -> TransferRequest {
    TransferRequest {
        debit: "agents:kiosk:cash".parse().expect("an address"),
        credit: "customers:fatou:wallet".parse().expect("an address"),
        amount,
        reason: reason.map(|reason| reason.parse().expect("a text")),
    }
}

fn post(post: PostEntry) -> LedgerCommand {
    LedgerCommand::post_entry(post, &"cauri-dev awa order-1".parse::<CommandKey>().expect("a key"))
}

fn account(action: AccountAction) -> LedgerCommand {
    LedgerCommand::account("customers:fatou:wallet".parse().expect("an address"), action)
}

/// One command of every kind, with as much and with as little as it can say.
fn commands() -> Vec<LedgerCommand> {
    let text = |text: &str| text.parse().expect("a text");
    let at = "2026-03-16T08:00:00Z".parse().expect("an instant");
    let limits = UncheckedLimits {
        ceiling: Some(LimitAmount::Money(money("2000000", "XOF"))),
        floor: Some(LimitAmount::InAccountCurrency("-5000.00".parse().expect("a decimal"))),
    };
    let open = OpenAccount {
        address: "customers:fatou:wallet".parse().expect("an address"),
        chart_code: None,
        currency: "XOF".parse().expect("a currency"),
        kind: AccountKind::Liability,
        limits: None,
        metadata: BTreeMap::new(),
        owner: None,
    };
    vec![
        post(PostEntry {
            dimensions: [("country".parse().expect("a key"), text("SN")), ("merchant".parse().expect("a key"), text("Chez \"Awa\" é"))]
                .into(),
            effective_at: Some(at),
            hold: Some(HoldTerms { expires_at: Some(at) }),
            id: Some(id(1)),
            reference: Some(text("cash in\u{2028}")),
            reverses: None,
            transfers: vec![
                transfer(TransferAmount::Exactly(money("10.50", "EUR")), Some("fee")),
                transfer(TransferAmount::UpTo(money("0010", "XOF")), None),
            ],
        }),
        post(PostEntry { transfers: vec![transfer(TransferAmount::Exactly(money("1", "XOF")), None)], ..PostEntry::default() }),
        post(PostEntry {
            hold: Some(HoldTerms { expires_at: None }),
            transfers: vec![transfer(TransferAmount::Exactly(money("-0.00", "EUR")), None)],
            ..PostEntry::default()
        }),
        LedgerCommand::entry(
            id(2),
            EntryAction::PostHold(PostHold { amounts: Some(vec![money("5.00", "EUR"), money("0", "EUR")]), effective_at: Some(at) }),
        ),
        LedgerCommand::entry(id(2), EntryAction::PostHold(PostHold::default())),
        LedgerCommand::entry(id(2), EntryAction::VoidHold(VoidHold { reason: Some(text("changed her mind")) })),
        LedgerCommand::entry(id(2), EntryAction::VoidHold(VoidHold::default())),
        LedgerCommand::entry(
            id(3),
            EntryAction::Reverse(ReverseEntry { at_original_date: true, entry_id: Some(id(4)), reason: Some(text("paid twice")) }),
        ),
        LedgerCommand::entry(id(3), EntryAction::Reverse(ReverseEntry::default())),
        LedgerCommand::open_account(open.clone()),
        LedgerCommand::open_account(OpenAccount {
            chart_code: Some(text("4121")),
            limits: Some(limits.clone()),
            metadata: [("kyc".parse().expect("a key"), text("2"))].into(),
            owner: Some(text("fatou")),
            ..open
        }),
        account(AccountAction::Freeze(FreezeAccount { reason: Some(text("court order")) })),
        account(AccountAction::Freeze(FreezeAccount::default())),
        account(AccountAction::Unfreeze),
        account(AccountAction::Close(CloseAccount {
            reason: Some(text("moved")),
            sweep_to: Some("control".parse().expect("an address")),
            entry_id: Some(id(5)),
        })),
        account(AccountAction::Close(CloseAccount::default())),
        account(AccountAction::Reopen),
        account(AccountAction::ChangeLimits(ChangeLimits { limits })),
        account(AccountAction::ChangeLimits(ChangeLimits { limits: UncheckedLimits::none() })),
        LedgerCommand::Journal(JournalCommand::Close(CloseJournal { reason: Some(text("2027 has its own")) })),
        LedgerCommand::Journal(JournalCommand::Close(CloseJournal::default())),
        annotate(&[("case", "2026-17"), ("zone", "Chez \"Awa\" é")], &["a.key", "ticket"], Some("the payer denies it")),
        annotate(&[], &["ticket"], None),
        annotate(&[("case", "1")], &[], None),
        account_set(AccountSetAction::Create(CreateAccountSet {
            description: Some("Marchands \u{e9}".parse().expect("a text")),
            metadata: [("region".parse().expect("a key"), "sud".parse().expect("a text"))].into(),
            name: "all".parse().expect("a name"),
        })),
        account_set(AccountSetAction::Create(CreateAccountSet {
            description: None,
            metadata: Default::default(),
            name: "all".parse().expect("a name"),
        })),
        account_set(AccountSetAction::Add(ChangeMembers {
            effective_at: Some(at),
            member: Member::Account("merchants:awa".parse().expect("an address")),
            reason: Some("moved".parse().expect("a text")),
        })),
        account_set(AccountSetAction::Remove(ChangeMembers {
            effective_at: None,
            member: Member::Set("south".parse().expect("a name")),
            reason: None,
        })),
        LedgerCommand::Journal(JournalCommand::ChangeRules(ChangeRules {
            max_future_days: Some(31),
            reason: Some("payday".parse().expect("a text")),
            ..ChangeRules::default()
        })),
        LedgerCommand::Journal(JournalCommand::ChangeRules(ChangeRules { max_future_days: Some(0), ..ChangeRules::default() })),
        LedgerCommand::Journal(JournalCommand::ChangeRules(ChangeRules {
            clock_gap_days: Some(30),
            clock_leap_seconds: Some(900),
            max_future_days: Some(31),
            reason: Some("moved".parse().expect("a text")),
            synchronised_clock_days: Some(60),
        })),
    ]
}

fn account_set(action: AccountSetAction) -> LedgerCommand {
    LedgerCommand::AccountSet(AccountSetCommand { name: "all".parse().expect("a name"), action: std::sync::Arc::new(action) })
}

fn annotate(set: &[(&str, &str)], remove: &[&str], reason: Option<&str>) -> LedgerCommand {
    let text = |text: &str| text.parse().expect("a text");
    let set = set.iter().map(|(name, value)| (name.parse().expect("a key"), text(value))).collect();
    let remove = remove.iter().map(|name| name.parse().expect("a key")).collect();
    LedgerCommand::entry(id(1), EntryAction::Annotate(AnnotateEntry::new(set, remove, reason.map(text)).expect("a pair")))
}

/// The fingerprint that journal format 1 gave the command, if it had it, whose ids were made then as they are in it.
fn version_1(command: &LedgerCommand) -> Option<Fingerprint> {
    let key = CommandKey::without_caller("c1".parse().expect("a command id"));
    command.in_format_1(&key).map(|(_, hashed)| Fingerprint::of_version_1(&hashed))
}

fn sample(command: &LedgerCommand) -> String {
    let declared = String::from_utf8(declared(command)).expect("JSON is text");
    let version_1 = version_1(command).map_or_else(String::new, |version_1| format!(",\"version_1\":\"{version_1}\""));
    format!("{{\"declared\":{declared},\"fingerprint\":\"{}\"{version_1}}}", Fingerprint::of(command))
}

#[test]
fn every_command_has_the_fingerprints_it_always_had() {
    let samples: Vec<String> = commands().iter().map(sample).collect();
    let frozen: Vec<&str> = FROZEN.lines().collect();
    assert_eq!(samples, frozen, "fingerprints.jsonl is the storage format: a retry after an upgrade must find its key");
}

#[test]
fn what_is_declared_is_canonical_json_and_its_hash_is_the_fingerprint() {
    use sha2::{Digest as _, Sha256};
    for command in commands() {
        let declared = declared(&command);
        canonical::check(&declared).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&declared)));
        let digest = Sha256::digest(&declared);
        let hex: String = digest[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(Fingerprint::of(&command).to_string(), format!("2:{hex}"));
        let value: Value = serde_json::from_slice(&declared).expect("JSON");
        assert_eq!(value["op"], command.op());
    }
}

#[test]
fn no_two_of_these_commands_have_one_fingerprint() {
    let mut seen: Vec<Fingerprint> = commands().iter().map(Fingerprint::of).collect();
    seen.extend(commands().iter().filter_map(version_1));
    let count = seen.len();
    seen.sort_by_key(|fingerprint| fingerprint.to_string());
    seen.dedup();
    assert_eq!(seen.len(), count);
}

#[test]
fn equal_money_is_equal_however_it_is_written() {
    let of = |amount: &str, currency: &str| {
        let transfers = vec![transfer(TransferAmount::Exactly(money(amount, currency)), None)];
        Fingerprint::of(&post(PostEntry { transfers, ..PostEntry::default() }))
    };
    for amount in ["10.50", "010.5", "10.500000"] {
        assert_eq!(of(amount, "EUR"), of("10.5", "EUR"), "{amount}");
    }
    assert_eq!(of("100", "XOF"), of("100.0", "XOF"));
    assert_ne!(of("10.5", "EUR"), of("10.51", "EUR"));
    assert_ne!(of("10.5", "EUR"), of("10.5", "USD"));
    assert_ne!(of("100", "XOF"), of("10", "XOF"));
}
