//! Journals that the engine wrote: the auditor's own rules come to the same verdict, and derived data is compared.
#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "scribe/desk.rs"]
mod desk;
mod scribe;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cauri_domain::LedgerCommand;
use cauri_domain::account::{AccountAction, AccountKind, ChangeLimits, CloseAccount, FreezeAccount, OpenAccount};
use cauri_domain::account_set::{AccountSetAction, AccountSetCommand, ChangeMembers, CreateAccountSet, Member, SetName};
use cauri_domain::entry::{
    AnnotateEntry, EntryAction, HoldTerms, PostEntry, PostHold, ReverseEntry, TransferAmount, TransferRequest, VoidHold,
};
use cauri_domain::fold::Balances;
use cauri_domain::ids::{AccountAddress, CommandKey};
use cauri_domain::ledger::Ledger;
use cauri_domain::ledger::LedgerStream;
use cauri_domain::limits::{LimitAmount, UncheckedLimits};
use cauri_domain::money::{Currency, Money};
use cauri_domain::time::Timestamp;
use cauri_engine::{CommandEnvelope, Engine, EngineConfig, ManualClock, Mode, Outcome};
use cauri_event_schemas::Position;
use cauri_event_schemas::ledger::{Event, StreamId};
use cauri_event_store::embedded::EmbeddedStore;
use cauri_event_store::memory::MemoryStore;
use cauri_event_store::{EventStore, Head, Snapshot};
use cauri_projections::GroupId;
use cauri_projections::read::ReadStore;
use cauri_projections::runner::{Runner, RunnerConfig};
use cauri_replay_tools::Check;
use cauri_replay_tools::report::{Report, Verdict};
use cauri_replay_tools::verify::{Wanted, verify_directory, verify_store};
use desk::Desk;
use proptest::prelude::*;
use scribe::{account, at, id, xof};

/// Something that a caller may ask, whether it makes sense or not.
#[derive(Clone, Debug)]
enum Asked {
    Post { entry: u128, transfers: Vec<(usize, usize, i64)>, up_to: bool, dated: Option<i64> },
    Hold { entry: u128, transfers: Vec<(usize, usize, i64)>, expires: Option<i64> },
    PostHold { entry: u128, amounts: Option<Vec<i64>>, dated: Option<i64> },
    VoidHold { entry: u128 },
    Reverse { entry: u128, at_original_date: bool },
    Annotate { entry: u128 },
    ChangeSet { add: bool, set: usize, member: usize, dated: Option<i64> },
    Freeze(usize),
    Unfreeze(usize),
    Close { account: usize, sweep_to: usize },
    Reopen(usize),
    Limit { account: usize, floor: Option<i64>, ceiling: Option<i64> },
    Wait(i64),
}

const ACCOUNTS: [(&str, AccountKind, &str); 6] = [
    ("bank", AccountKind::Asset, "XOF"),
    ("kofi", AccountKind::Liability, "XOF"),
    ("awa", AccountKind::Liability, "XOF"),
    ("fees", AccountKind::Income, "XOF"),
    ("bank:eur", AccountKind::Asset, "EUR"),
    ("position:eur", AccountKind::Equity, "EUR"),
];

const SETS: [&str; 4] = ["all", "north", "south", "far.south"];

fn create_set(name: &str) -> LedgerCommand {
    let name: SetName = name.parse().unwrap();
    let create = CreateAccountSet { description: None, metadata: BTreeMap::new(), name: name.clone() };
    LedgerCommand::AccountSet(AccountSetCommand { name, action: Arc::new(AccountSetAction::Create(create)) })
}

fn name(account: usize) -> AccountAddress {
    scribe::account(ACCOUNTS[account % ACCOUNTS.len()].0)
}

/// Transfers that mostly make sense: debit, credit, amount.
fn transfers() -> impl Strategy<Value = Vec<(usize, usize, i64)>> {
    let sensible = prop::sample::select(vec![(0, 1), (0, 2), (1, 2), (2, 1), (1, 3), (4, 5), (5, 4)]);
    let any = (0..ACCOUNTS.len(), 0..ACCOUNTS.len());
    let sides = prop_oneof![12 => sensible, 1 => any];
    let amount = prop_oneof![5 => 1..60_i64, 1 => 1..2_000_i64];
    prop::collection::vec((sides, amount).prop_map(|((debit, credit), minor)| (debit, credit, minor)), 1..4)
}

fn asked() -> impl Strategy<Value = Asked> {
    let entry = || 1..40_u128;
    let any_account = || 0..ACCOUNTS.len();
    let dated = || prop::option::of(-500..500_i64);
    prop_oneof![
        30 => (entry(), transfers(), any::<bool>(), dated())
            .prop_map(|(entry, transfers, up_to, dated)| Asked::Post { entry, transfers, up_to, dated }),
        20 => (entry(), transfers(), prop::option::of(1..120_i64)).prop_map(|(entry, transfers, expires)| Asked::Hold { entry, transfers, expires }),
        15 => (entry(), prop::option::of(prop::collection::vec(0..60_i64, 1..4)), dated())
            .prop_map(|(entry, amounts, dated)| Asked::PostHold { entry, amounts, dated }),
        8 => entry().prop_map(|entry| Asked::VoidHold { entry }),
        10 => (entry(), any::<bool>()).prop_map(|(entry, at_original_date)| Asked::Reverse { entry, at_original_date }),
        4 => entry().prop_map(|entry| Asked::Annotate { entry }),
        8 => (prop::bool::weighted(0.7), 0..SETS.len(), 0..SETS.len() + ACCOUNTS.len(), dated())
            .prop_map(|(add, set, member, dated)| Asked::ChangeSet { add, set, member, dated }),
        1 => any_account().prop_map(Asked::Freeze),
        4 => any_account().prop_map(Asked::Unfreeze),
        1 => (any_account(), any_account()).prop_map(|(account, sweep_to)| Asked::Close { account, sweep_to }),
        4 => any_account().prop_map(Asked::Reopen),
        2 => (any_account(), prop::option::of(-1_000..=0_i64), prop::option::of(0..5_000_i64))
            .prop_map(|(account, floor, ceiling)| Asked::Limit { account, floor, ceiling }),
        8 => (1..60_i64).prop_map(Asked::Wait),
    ]
}

/// A caller at an engine's desk.
struct Caller {
    engine: Engine<Ledger>,
    clock: ManualClock,
    asked: u64,
}

impl Caller {
    fn at(store: Arc<dyn EventStore>, snapshot_every: u64) -> Self {
        let clock = ManualClock::at(at(0));
        let config = EngineConfig { clock: Arc::new(clock.clone()), snapshot_every, ..EngineConfig::for_store(&*store) };
        let mut caller = Self { engine: Engine::start(store, config).unwrap(), clock, asked: 0 };
        for (address, kind, currency) in ACCOUNTS {
            let limits = (address == "kofi" || address == "awa").then(UncheckedLimits::floor_zero);
            caller.submit(LedgerCommand::open_account(OpenAccount {
                address: account(address),
                chart_code: None,
                currency: currency.parse().unwrap(),
                kind,
                limits,
                metadata: BTreeMap::new(),
                owner: None,
            }));
        }
        caller
    }

    fn submit(&mut self, command: LedgerCommand) -> Outcome<LedgerStream> {
        self.asked += 1;
        self.submit_as(format!("order-{}", self.asked).parse().unwrap(), command)
    }

    fn submit_as(&mut self, id: CommandKey, command: LedgerCommand) -> Outcome<LedgerStream> {
        self.clock.advance_micros(1_000_000);
        let envelope = CommandEnvelope::new(command, id, "operator:ada".parse().unwrap());
        self.engine.submit_blocking(vec![envelope], Mode::Each).unwrap().remove(0)
    }

    fn ask(&mut self, asked: &Asked) {
        let dated = |seconds: &Option<i64>| seconds.map(at);
        let requests = |transfers: &[(usize, usize, i64)], up_to: bool| -> Vec<TransferRequest> {
            let request = |(debit, credit, minor): &(usize, usize, i64)| {
                let currency: Currency = ACCOUNTS[debit % ACCOUNTS.len()].2.parse().unwrap();
                let money = Money::from_minor(*minor, currency).into();
                let amount = if up_to { TransferAmount::UpTo(money) } else { TransferAmount::Exactly(money) };
                TransferRequest { debit: name(*debit), credit: name(*credit), amount, reason: None }
            };
            transfers.iter().map(request).collect()
        };
        let entry = |number: &u128, action| LedgerCommand::entry(id(*number), action);
        let account = |number: &usize, action| LedgerCommand::account(name(*number), action);
        let command = match asked {
            Asked::Wait(seconds) => return self.clock.advance_micros(seconds * 1_000_000),
            Asked::Post { entry: number, transfers, up_to, dated: effective } => entry(
                number,
                EntryAction::Post(PostEntry {
                    id: Some(id(*number)),
                    transfers: requests(transfers, *up_to),
                    effective_at: dated(effective),
                    reference: Some("é".parse().unwrap()),
                    ..PostEntry::default()
                }),
            ),
            Asked::Hold { entry: number, transfers, expires } => entry(
                number,
                EntryAction::Post(PostEntry {
                    id: Some(id(*number)),
                    transfers: requests(transfers, false),
                    dimensions: [("country".parse().unwrap(), "CI".parse().unwrap())].into(),
                    hold: Some(HoldTerms { expires_at: expires.map(|seconds| self.now(seconds)) }),
                    ..PostEntry::default()
                }),
            ),
            Asked::PostHold { entry: number, amounts, dated: effective } => {
                let amounts = amounts.as_ref().map(|amounts| amounts.iter().map(|minor| xof(*minor).into()).collect());
                entry(number, EntryAction::PostHold(PostHold { amounts, effective_at: dated(effective) }))
            }
            Asked::VoidHold { entry: number } => entry(number, EntryAction::VoidHold(VoidHold { reason: None })),
            Asked::Reverse { entry: number, at_original_date } => {
                entry(number, EntryAction::Reverse(ReverseEntry { at_original_date: *at_original_date, entry_id: None, reason: None }))
            }
            Asked::Annotate { entry: number } => {
                let pairs = [("case".parse().unwrap(), "17".parse().unwrap())].into();
                entry(number, EntryAction::Annotate(AnnotateEntry::new(pairs, Vec::new(), None).unwrap()))
            }
            Asked::ChangeSet { add, set, member, dated: effective } => {
                let member = match SETS.get(*member) {
                    Some(set) => Member::Set(set.parse().unwrap()),
                    None => Member::Account(name(*member)),
                };
                let change = ChangeMembers { effective_at: dated(effective), member, reason: None };
                let action = if *add { AccountSetAction::Add(change) } else { AccountSetAction::Remove(change) };
                // The first time it is there.
                SETS.into_iter().for_each(|name| drop(self.submit(create_set(name))));
                LedgerCommand::AccountSet(AccountSetCommand { name: SETS[*set].parse().unwrap(), action: Arc::new(action) })
            }
            Asked::Freeze(number) => account(number, AccountAction::Freeze(FreezeAccount::default())),
            Asked::Unfreeze(number) => account(number, AccountAction::Unfreeze),
            Asked::Close { account: number, sweep_to } => {
                account(number, AccountAction::Close(CloseAccount { sweep_to: Some(name(*sweep_to)), ..CloseAccount::default() }))
            }
            Asked::Reopen(number) => account(number, AccountAction::Reopen),
            Asked::Limit { account: number, floor, ceiling } => {
                let bound = |minor: &Option<i64>| minor.map(|minor| LimitAmount::InAccountCurrency(minor.into()));
                let limits = UncheckedLimits { floor: bound(floor), ceiling: bound(ceiling) };
                account(number, AccountAction::ChangeLimits(ChangeLimits { limits }))
            }
        };
        self.submit(command);
    }

    fn now(&self, seconds: i64) -> Timestamp {
        use cauri_engine::Clock;
        self.clock.now().saturating_add_secs(seconds)
    }
}

/// The engine's own fold over a journal.
fn engines_fold(store: &dyn EventStore) -> Balances {
    let mut balances = Balances::default();
    for record in store.read_journal(Position::ZERO, usize::MAX).unwrap() {
        for recorded in record.as_record().decode::<Ledger>().unwrap() {
            match (&recorded.stream, &recorded.event) {
                (StreamId::Account(address), Event::Account(event)) => balances.apply_account(address, event).unwrap(),
                (StreamId::Entry(id), Event::Entry(event)) => balances.apply_entry(id, event).unwrap(),
                _ => {}
            }
        }
    }
    balances
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_engine_writes_is_well(asked in prop::collection::vec(asked(), 1..120)) {
        let store: Arc<dyn EventStore> = Arc::new(MemoryStore::exclusive("ledger"));
        let mut caller = Caller::at(store.clone(), 20);
        asked.iter().for_each(|asked| caller.ask(asked));
        caller.engine.stop();
        let report = verify_store(&store, &Wanted::default()).unwrap();
        prop_assert!(report.ok, "{}", report);
        prop_assert_eq!(report.head, Some(store.head().unwrap()));
        // The snapshot that the engine left when it stopped is of the head.
        let snapshots = report.checks.iter().find(|check| check.check == Check::Snapshots).unwrap();
        prop_assert!(snapshots.note.as_ref().is_some_and(|note| note.contains("accounts and")), "{}", report);
        prop_assert_eq!(report.figures.of("open_holds"), engines_fold(&*store).open_holds() as u64);
    }
}

/// A journal on disk that an engine wrote, with its snapshot and read store.
fn busy_desk() -> Desk {
    let desk = Desk::empty();
    let store: Arc<dyn EventStore> = Arc::new(EmbeddedStore::open(&desk.journal(), "ledger").unwrap());
    let mut caller = Caller::at(store.clone(), 1_000_000);
    for number in 1..20 {
        let transfers = vec![(0, 1 + number as usize % 3, 100 + number as i64)];
        caller.ask(&Asked::Post { entry: number, transfers: transfers.clone(), up_to: false, dated: Some(-3_600 * number as i64) });
        caller.ask(&Asked::Hold { entry: 100 + number, transfers: vec![(1, 2, 3)], expires: Some(30) });
    }
    caller.ask(&Asked::Reverse { entry: 3, at_original_date: true });
    caller.engine.stop();
    project(&desk, store);
    desk
}

/// Brings the read models to the journal's head.
fn project(desk: &Desk, store: Arc<dyn EventStore>) {
    let path = read_store(desk);
    let runner = Runner::start(store.clone(), &path, RunnerConfig::default()).unwrap();
    assert!(runner.read_store().wait_for_blocking(&GroupId::ALL, store.head().unwrap().position, Duration::from_secs(30)));
    runner.stop();
    ReadStore::open(&path).unwrap();
}

fn read_store(desk: &Desk) -> std::path::PathBuf {
    desk.path("data/read-models/ledger")
}

fn audit(desk: &Desk) -> Report {
    let wanted = Wanted { read_store: Some(read_store(desk)), ..Wanted::default() };
    verify_directory(&desk.journal(), "ledger", &wanted).unwrap()
}

#[track_caller]
fn speaks(report: &Report, check: Check, what: &str) {
    assert_eq!(report.failed(), [check], "{report}");
    assert!(report.findings[0].what.contains(what), "{report}");
    assert!(report.to_string().contains("the journal itself is sound"), "{report}");
}

#[test]
fn read_models_and_snapshots_of_a_server_are_well() {
    let desk = busy_desk();
    let report = audit(&desk);
    assert!(report.ok, "{report}");
    for check in [Check::Snapshots, Check::ReadModels, Check::Index] {
        let of = report.checks.iter().find(|of| of.check == check).unwrap();
        assert_eq!(of.verdict, Verdict::Ok, "{report}");
    }
    // An expiry has a batch of its own or stands in the one of the command behind it: whichever comes first.
    let text = report.to_string();
    let (before, behind) = text.split_once(" batches").expect("a line of figures");
    let digits = before.len() - before.trim_end_matches(|character: char| character.is_ascii_digit()).len();
    insta::assert_snapshot!(format!("{}SOME batches{behind}", &before[..before.len() - digits]));
}

/// Every table of the read store with a column of this name.
fn tables_with(file: &rusqlite::Connection, column: &str) -> Vec<String> {
    let sql = "SELECT m.name FROM sqlite_schema m, pragma_table_info(m.name) c WHERE m.type = 'table' AND c.name = ?1 ORDER BY 1";
    file.prepare(sql).unwrap().query_map([column], |row| row.get(0)).unwrap().collect::<rusqlite::Result<_>>().unwrap()
}

#[test]
fn read_models_a_row_was_changed_by_hand() {
    let desk = busy_desk();
    let file = rusqlite::Connection::open(read_store(&desk).join("accounts.1.sqlite")).unwrap();
    let tables = tables_with(&file, "credits_posted");
    assert!(!tables.is_empty());
    for table in &tables {
        file.execute(&format!("UPDATE {table} SET credits_posted = credits_posted + 1"), []).unwrap();
    }
    drop(file);
    speaks(&audit(&desk), Check::ReadModels, "has the digest");
}

#[test]
fn read_models_ahead_of_the_journal() {
    let desk = busy_desk();
    let (code, _, errors) = desk.run("cauri-replay export DESK/older.jsonl --data DESK/data --to 20");
    assert_eq!(code, 0, "{errors}");
    assert_eq!(desk.run("cauri-replay import DESK/older.jsonl --data DESK/older").0, 0);
    std::fs::create_dir_all(desk.path("older/read-models/ledger")).unwrap();
    for file in std::fs::read_dir(read_store(&desk)).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), desk.path("older/read-models/ledger").join(file.file_name())).unwrap();
    }
    let (code, out, _) = desk.run("cauri-replay verify --data DESK/older");
    assert!(code == 1 && out.contains("read_models at position 21") && out.contains("the journal ends at 20"), "{out}");
    assert_eq!(desk.run("cauri-replay verify --data DESK/older --no-read-models").0, 0);
}

#[test]
fn a_rebuild_is_asked_for_or_only_looked_at() {
    let desk = busy_desk();
    let (code, out, errors) = desk.run("cauri-replay rebuild --model accounts --check --data DESK/data");
    assert!(code == 0 && out.contains("a replay of the journal gives the same rows"), "{out}{errors}");
    let (code, out, _) = desk.run("cauri-replay rebuild --model entries --data DESK/data");
    assert!(code == 0 && out.starts_with("asked: the group entries is built anew"), "{out}");
    assert!(read_store(&desk).join("entries.rebuild").exists());
    // The next server takes the request.
    project(&desk, Arc::new(EmbeddedStore::open(&desk.journal(), "ledger").unwrap()));
    assert!(!read_store(&desk).join("entries.rebuild").exists());
    assert_eq!(desk.run("cauri-replay rebuild --model entries --check --data DESK/data").0, 0);

    for (command, why) in [
        ("cauri-replay rebuild --model balances --data DESK/data", "accounts, entries, journal_events"),
        ("cauri-replay rebuild --model accounts --data DESK/nothing", "a server makes it when it starts"),
        ("cauri-replay rebuild --model accounts --export DESK/some.jsonl", "an export has no read models"),
    ] {
        let (code, _, errors) = desk.run(command);
        assert!(code == 2 && errors.contains(why), "{command}: {code} {errors}");
    }
    let file = rusqlite::Connection::open(read_store(&desk).join("accounts.1.sqlite")).unwrap();
    file.execute("UPDATE accounts SET credits_posted = credits_posted + 1", []).unwrap();
    drop(file);
    let (code, out, _) = desk.run("cauri-replay rebuild --model accounts --check --data DESK/data");
    assert!(code == 1 && out.contains("a replay gives"), "{out}");
    assert_eq!(desk.run("cauri-replay rebuild --model entries --check --data DESK/data").0, 0, "the others are as they were");
}

#[test]
fn snapshots_with_another_balance() {
    let store = MemoryStore::exclusive("ledger");
    let mut caller = Caller::at(Arc::new(store.clone()), 1_000_000);
    caller.ask(&Asked::Post { entry: 1, transfers: vec![(0, 1, 777)], up_to: false, dated: None });
    caller.engine.stop();
    let Snapshot { head, state } = store.latest_snapshot().unwrap().unwrap();
    // 777 as postcard writes an `i64`: zigzag, then seven bits a byte.
    let (from, to) = ([0x92_u8, 0x0c], [0x94_u8, 0x0c]);
    let places: Vec<usize> = (0..state.len() - 1).filter(|at| state[*at..*at + 2] == from).collect();
    assert_eq!(places.len(), 2, "one debit and one credit");
    let mut changed = state;
    changed[places[0]..places[0] + 2].copy_from_slice(&to);
    store.save_snapshot(&Snapshot { head, state: changed }).unwrap();
    let store: Arc<dyn EventStore> = Arc::new(store);
    speaks(&verify_store(&store, &Wanted::default()).unwrap(), Check::Snapshots, "account bank is in the snapshot with");
    let unknown = Snapshot { head, state: vec![9; 10] };
    store.save_snapshot(&unknown).unwrap();
    let report = verify_store(&store, &Wanted::default()).unwrap();
    assert!(report.ok && report.to_string().contains("only its head was compared"), "{report}");
    store.save_snapshot(&Snapshot { head: Head::default(), state: unknown.state }).unwrap();
    assert!(verify_store(&store, &Wanted::default()).unwrap().ok);
}

#[test]
fn an_audit_beside_a_running_engine_is_of_one_moment() {
    let desk = Desk::empty();
    let store: Arc<dyn EventStore> = Arc::new(EmbeddedStore::open(&desk.journal(), "ledger").unwrap());
    let mut caller = Caller::at(store.clone(), 50);
    caller.ask(&Asked::Post { entry: 1, transfers: vec![(0, 1, 1)], up_to: false, dated: None });
    // Dropped also where an assertion fails, so that the caller stops.
    let (running, stopped) = std::sync::mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let _running = running;
        scope.spawn(move || {
            let mut number = 2;
            while matches!(stopped.try_recv(), Err(std::sync::mpsc::TryRecvError::Empty)) {
                caller.ask(&Asked::Post { entry: number, transfers: vec![(0, 1, 1)], up_to: false, dated: None });
                number += 1;
            }
        });
        let mut last = Position::ZERO;
        for _ in 0..30 {
            let report = verify_directory(&desk.journal(), "ledger", &Wanted::default()).unwrap();
            assert!(report.ok, "{report}");
            let position = report.head.unwrap().position;
            assert!(position >= last, "heads only grow");
            last = position;
        }
    });
}

#[test]
fn balances_are_those_of_the_engines_fold_and_of_the_read_models() {
    let desk = busy_desk();
    let store = EmbeddedStore::open_read_only(&desk.journal(), "ledger").unwrap();
    let balances = engines_fold(&store);
    let (code, out, _) = desk.run("cauri-replay balances --data DESK/data --json");
    assert_eq!(code, 0);
    let document: serde_json::Value = serde_json::from_str(&out).unwrap();
    let shown = document["accounts"].as_array().unwrap();
    assert_eq!(shown.len(), balances.accounts().len());
    for shown in shown {
        let address = account(shown["address"].as_str().unwrap());
        let totals = balances.totals(&address).unwrap();
        let currency = balances.account(&address).terms().unwrap().currency;
        let money = |minor: i64| Money::from_minor(minor, currency).amount().to_string();
        assert_eq!(shown["debits_posted"], money(totals.debits_posted), "{address}");
        assert_eq!(shown["credits_posted"], money(totals.credits_posted), "{address}");
        assert_eq!(shown["debits_pending"], money(totals.debits_pending), "{address}");
        assert_eq!(shown["credits_pending"], money(totals.credits_pending), "{address}");
    }
    as_of_and_known_at_agree_with_the_read_models(&desk);
}

/// Two independent ways to the same figures, at every mixture of both times.
fn as_of_and_known_at_agree_with_the_read_models(desk: &Desk) {
    let moment = ReadStore::open(&read_store(desk)).unwrap().snapshot().unwrap();
    for (seconds, known_at) in [(-40_000, 12), (-40_000, 40), (0, 12), (20, 30), (100_000, 46)] {
        let (as_of, known_at) = (at(seconds), Position::new(known_at));
        let line = format!("cauri-replay balances --data DESK/data --json --as-of {as_of} --known-at {known_at}");
        let (code, out, errors) = desk.run(&line);
        assert_eq!(code, 0, "{errors}");
        let document: serde_json::Value = serde_json::from_str(&out).unwrap();
        for shown in document["accounts"].as_array().unwrap() {
            let address = account(shown["address"].as_str().unwrap());
            let row = moment.balance(&address, Some(as_of), Some(known_at)).unwrap().unwrap();
            let money = |minor: i128| Money::from_minor(i64::try_from(minor).unwrap(), row.currency).amount().to_string();
            let totals = &row.totals;
            assert_eq!(shown["debits_posted"], money(totals.debits_posted.into()), "{address} {line}");
            assert_eq!(shown["credits_posted"], money(totals.credits_posted.into()), "{address} {line}");
            assert_eq!(shown["debits_pending"], money(totals.debits_pending.into()), "{address} {line}");
            assert_eq!(shown["credits_pending"], money(totals.credits_pending.into()), "{address} {line}");
        }
    }
}

#[test]
fn a_data_directory_is_only_read() {
    let desk = busy_desk();
    let files = |dir: &Path| -> BTreeMap<String, Vec<u8>> {
        let of = |entry: std::io::Result<std::fs::DirEntry>| {
            let entry = entry.unwrap();
            (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())
        };
        let mut files: BTreeMap<String, Vec<u8>> = std::fs::read_dir(dir).unwrap().map(of).collect();
        // SQLite makes these for readers, too; an empty log holds nothing.
        files.retain(|name, bytes| !(name.ends_with("-shm") || name.ends_with("-wal") && bytes.is_empty()));
        files
    };
    let before = files(&desk.journal());
    for line in ["verify --data DESK/data", "balances --data DESK/data", "head --data DESK/data", "show --data DESK/data kofi"] {
        assert_eq!(desk.run(&format!("cauri-replay {line}")).0, 0, "{line}");
    }
    assert!(files(&desk.journal()) == before, "the journal's files changed");
}
