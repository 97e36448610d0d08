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
use cauri_domain::entry::{EntryAction, HoldTerms, PostEntry, PostHold, ReverseEntry, TransferAmount, TransferRequest, VoidHold};
use cauri_domain::fold::Balances;
use cauri_domain::ids::{AccountAddress, CommandId};
use cauri_domain::limits::{LimitAmount, UncheckedLimits};
use cauri_domain::money::{Currency, Money};
use cauri_domain::time::Timestamp;
use cauri_engine::{CommandEnvelope, Engine, EngineConfig, ManualClock, Mode, Outcome};
use cauri_event_schemas::{Event, Position, StreamId};
use cauri_event_store::embedded::EmbeddedStore;
use cauri_event_store::memory::MemoryStore;
use cauri_event_store::{EventStore, Head, Snapshot};
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
    engine: Engine,
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

    fn submit(&mut self, command: LedgerCommand) -> Outcome {
        self.asked += 1;
        self.submit_as(format!("order-{}", self.asked).parse().unwrap(), command)
    }

    fn submit_as(&mut self, id: CommandId, command: LedgerCommand) -> Outcome {
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
        for recorded in record.as_record().decode().unwrap() {
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
    #![proptest_config(ProptestConfig { cases: 30, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn stats(asked in prop::collection::vec(asked(), 80..81)) {
        let store: Arc<dyn EventStore> = Arc::new(MemoryStore::exclusive("ledger"));
        let mut caller = Caller::at(store.clone(), 20);
        asked.iter().for_each(|asked| caller.ask(asked));
        caller.engine.stop();
        let mut by = BTreeMap::new();
        for record in store.read_journal(Position::ZERO, usize::MAX).unwrap() {
            for r in record.as_record().decode().unwrap() { *by.entry(r.event.name()).or_insert(0) += 1; }
        }
        eprintln!("{by:?}");
    }
}
#[test]
fn closed_journal_with_expiring_hold() {
    let store: Arc<dyn EventStore> = Arc::new(MemoryStore::exclusive("ledger"));
    let mut caller = Caller::at(store.clone(), 1000);
    caller.ask(&Asked::Post { entry: 1, transfers: vec![(0, 1, 777)], up_to: false, dated: None });
    caller.ask(&Asked::Hold { entry: 2, transfers: vec![(1, 2, 7)], expires: Some(30) });
    let out = caller.submit(LedgerCommand::CloseJournal(Arc::new(Default::default())));
    eprintln!("{out:?}");
    caller.clock.advance_micros(60_000_000);
    std::thread::sleep(Duration::from_millis(300));
    eprintln!("running after expiry in a closed journal: {}", caller.engine.is_running());
}
#[test]
fn key_collision() {
    let store: Arc<dyn EventStore> = Arc::new(MemoryStore::exclusive("ledger"));
    let mut caller = Caller::at(store.clone(), 1000);
    caller.ask(&Asked::Post { entry: 1, transfers: vec![(0, 1, 777)], up_to: false, dated: None });
    let out = caller.submit_as(format!("hold-expiry/{}", id(2)).parse().unwrap(), LedgerCommand::entry(id(5), EntryAction::Post(PostEntry{ id: Some(id(5)), transfers: vec![TransferRequest{debit: name(0), credit: name(1), amount: TransferAmount::Exactly(xof(1).into()), reason: None}], ..PostEntry::default()})));
    eprintln!("{out:?}");
    caller.ask(&Asked::Hold { entry: 2, transfers: vec![(1, 2, 7)], expires: Some(30) });
    caller.clock.advance_micros(60_000_000);
    std::thread::sleep(Duration::from_millis(300));
    caller.ask(&Asked::Post { entry: 7, transfers: vec![(0, 1, 777)], up_to: false, dated: None });
    caller.engine.stop();
    eprintln!("{}", verify_store(&store, &Wanted::default()).unwrap());
}
#[test]
fn upcast_version() {
    let mut s = scribe::Scribe::new();
    s.open("bank", AccountKind::Asset);
    s.forge(1, r#"{"currency":"XOF","kind":"asset","limits":{}}"#, r#"{"currency":"XOF","frozen":true,"kind":"asset"}"#);
    s.forge(1, "\"schema\":2", "\"schema\":1");
    let mem = MemoryStore::exclusive("ledger");
    s.append_to(&mem);
    let store: Arc<dyn EventStore> = Arc::new(mem);
    let mut caller = Caller::at(store.clone(), 1000);
    let out = caller.submit(LedgerCommand::account(account("bank"), AccountAction::Unfreeze));
    eprintln!("{out:?}");
    caller.engine.stop();
    eprintln!("{}", verify_store(&store, &Wanted::default()).unwrap());
}
