//! What tests say to an engine, in few words, and what they look at afterwards.
#![allow(dead_code, reason = "each test binary says some of it")]

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use cauri_domain::account::{AccountAction, AccountKind, ChangeLimits, CloseAccount, FreezeAccount, OpenAccount};
use cauri_domain::entry::{EntryAction, HoldTerms, PostEntry, PostHold, ReverseEntry, TransferAmount, TransferRequest, VoidHold};
use cauri_domain::event::EventSet;
use cauri_domain::fold::{Balances, Totals};
use cauri_domain::ids::{AccountAddress, CommandKey, EntryId};
use cauri_domain::journal::Rules;
use cauri_domain::journal::{CloseJournal, JournalCommand};
use cauri_domain::ledger::Ledger;
use cauri_domain::ledger::LedgerStream;
use cauri_domain::limits::{LimitAmount, UncheckedLimits};
use cauri_domain::money::{Currency, Money};
use cauri_domain::time::Timestamp;
use cauri_domain::{LedgerCommand, RefusalCode};
use cauri_engine::{Accepted, CommandEnvelope, Engine, EngineConfig, ManualClock, Mode, Outcome, Refused};
use cauri_event_schemas::Position;
use cauri_event_schemas::ledger::{Event, Recorded, StreamId};
use cauri_event_store::EventStore;
use cauri_event_store::conformance::material;
use cauri_event_store::embedded::EmbeddedStore;
use cauri_event_store::memory::MemoryStore;
use fastrand::Rng;
use tempfile::TempDir;

/// Where a story's journal is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    InMemory,
    OnDisk,
}

impl Kept {
    pub const BOTH: [Kept; 2] = [Kept::InMemory, Kept::OnDisk];
}

/// A journal that can be opened again and again.
pub struct Journal {
    memory: MemoryStore,
    dir: Option<TempDir>,
}

impl Journal {
    pub fn new(kept: Kept) -> Self {
        let dir = (kept == Kept::OnDisk).then(|| tempfile::tempdir().expect("a directory"));
        Self { memory: MemoryStore::exclusive("ledger"), dir }
    }

    pub fn open(&self) -> Arc<dyn EventStore> {
        match &self.dir {
            Some(dir) => Arc::new(EmbeddedStore::open(dir.path(), "ledger").expect("a store")),
            None => Arc::new(self.memory.for_another_engine()),
        }
    }
}

/// An engine at work on a journal, with a clock that is set by hand.
pub struct Story {
    pub engine: Engine<Ledger>,
    pub clock: ManualClock,
    journal: Journal,
    config: EngineConfig,
}

/// Stories begin on this day.
pub fn morning() -> Timestamp {
    at("2026-03-16T08:00:00Z")
}

pub fn at(text: &str) -> Timestamp {
    text.parse().expect("an instant")
}

pub fn config(clock: &ManualClock) -> EngineConfig {
    EngineConfig { clock: Arc::new(clock.clone()), ..EngineConfig::default() }
}

impl Story {
    pub fn new() -> Self {
        Self::kept(Kept::InMemory)
    }

    pub fn kept(kept: Kept) -> Self {
        Self::with(kept, |_| {})
    }

    pub fn with(kept: Kept, change: impl FnOnce(&mut EngineConfig)) -> Self {
        let (journal, clock) = (Journal::new(kept), ManualClock::at(morning()));
        let mut config = config(&clock);
        change(&mut config);
        let engine = Engine::start(journal.open(), config.clone()).expect("an engine");
        Self { engine, clock, journal, config }
    }

    /// Stops the engine and starts another on the same journal.
    pub fn restarted(self) -> Self {
        let Self { engine, clock, journal, config } = self;
        engine.stop();
        drop(engine);
        let engine = Engine::start(journal.open(), config.clone()).expect("an engine");
        Self { engine, clock, journal, config }
    }

    pub fn store(&self) -> &dyn EventStore {
        &**self.engine.store()
    }

    pub fn submit(&self, commands: &[CommandEnvelope<LedgerCommand>], mode: Mode) -> Vec<Outcome<LedgerStream>> {
        submit(&self.engine, commands, mode)
    }

    pub fn one(&self, command: &CommandEnvelope<LedgerCommand>) -> Outcome<LedgerStream> {
        one(&self.engine, command)
    }

    /// Submits what must be accepted.
    pub fn accept(&self, command: &CommandEnvelope<LedgerCommand>) -> Accepted<LedgerStream> {
        accepted(&self.one(command))
    }

    /// Submits what must be refused.
    pub fn refuse(&self, command: &CommandEnvelope<LedgerCommand>) -> RefusalCode {
        refused(&self.one(command)).refusal.code
    }

    /// Opens accounts without limits: `a` assets, the rest liabilities.
    pub fn open(&self, addresses: &[&str]) {
        for address in addresses {
            let kind = if address.starts_with("assets") { AccountKind::Asset } else { AccountKind::Liability };
            self.accept(&open(address, kind, None));
        }
    }

    pub fn head(&self) -> Position {
        self.store().head().expect("a head").position
    }

    pub fn balances(&self) -> Balances {
        verified(self.store())
    }

    pub fn totals(&self, address: &str) -> Totals {
        self.balances().totals(&address_of(address)).expect("an account")
    }

    /// Posted credits minus posted debits.
    pub fn on_credit_side(&self, address: &str) -> i64 {
        let totals = self.totals(address);
        totals.credits_posted - totals.debits_posted
    }
}

pub fn submit(engine: &Engine<Ledger>, commands: &[CommandEnvelope<LedgerCommand>], mode: Mode) -> Vec<Outcome<LedgerStream>> {
    let outcomes = engine.submit_blocking(commands.to_vec(), mode).expect("outcomes").outcomes;
    assert_eq!(outcomes.len(), commands.len(), "one outcome for each command");
    outcomes
}

pub fn one(engine: &Engine<Ledger>, command: &CommandEnvelope<LedgerCommand>) -> Outcome<LedgerStream> {
    submit(engine, std::slice::from_ref(command), Mode::Each).remove(0)
}

pub fn accepted(outcome: &Outcome<LedgerStream>) -> Accepted<LedgerStream> {
    match outcome {
        Outcome::Accepted(accepted) => accepted.clone(),
        other => panic!("not accepted: {other:?}"),
    }
}

pub fn refused(outcome: &Outcome<LedgerStream>) -> Refused {
    match outcome {
        Outcome::Refused(refused) => refused.clone(),
        other => panic!("not refused: {other:?}"),
    }
}

/// The same answer, as given to a retry.
pub fn as_replay(outcome: &Outcome<LedgerStream>) -> Outcome<LedgerStream> {
    match outcome.clone() {
        Outcome::Accepted(accepted) => Outcome::Accepted(Accepted { replayed: true, ..accepted }),
        Outcome::Refused(refused) => Outcome::Refused(Refused { replayed: true, ..refused }),
        other => other,
    }
}

/// Waits until so many appends have arrived at the store's gate since the beginning.
pub fn arrived_at_the_gate(store: &MemoryStore, arrivals: usize) {
    assert!(store.faults().wait_for_arrivals(arrivals, std::time::Duration::from_secs(60)), "no append arrived");
}

// Commands. The first argument is the idempotency key, where one can choose it.

/// A key in the name of the one caller that these stories have.
pub fn command_key(key: &str) -> CommandKey {
    format!("story teller {key}").parse().expect("a command key")
}

pub fn command(key: &str, command: LedgerCommand) -> CommandEnvelope<LedgerCommand> {
    CommandEnvelope::new(command, command_key(key), "operator:test".parse().expect("a short text"))
}

pub fn open(address: &str, kind: AccountKind, limits: Option<UncheckedLimits>) -> CommandEnvelope<LedgerCommand> {
    open_in(Currency::XOF, address, kind, limits)
}

pub fn open_in(currency: Currency, address: &str, kind: AccountKind, limits: Option<UncheckedLimits>) -> CommandEnvelope<LedgerCommand> {
    let open =
        OpenAccount { address: address_of(address), chart_code: None, currency, kind, limits, metadata: Default::default(), owner: None };
    command(&format!("open-{address}"), LedgerCommand::open_account(open))
}

pub fn floor_zero() -> Option<UncheckedLimits> {
    Some(UncheckedLimits::floor_zero())
}

pub fn ceiling(minor: i64) -> Option<UncheckedLimits> {
    Some(limits(None, Some(minor)))
}

pub fn limits(floor: Option<i64>, ceiling: Option<i64>) -> UncheckedLimits {
    let bound = |minor: i64| LimitAmount::InAccountCurrency(minor.into());
    UncheckedLimits { floor: floor.map(bound), ceiling: ceiling.map(bound) }
}

pub fn on_account(key: &str, address: &str, action: AccountAction) -> CommandEnvelope<LedgerCommand> {
    command(key, LedgerCommand::account(address_of(address), action))
}

pub fn freeze(key: &str, address: &str) -> CommandEnvelope<LedgerCommand> {
    on_account(key, address, AccountAction::Freeze(FreezeAccount::default()))
}

pub fn unfreeze(key: &str, address: &str) -> CommandEnvelope<LedgerCommand> {
    on_account(key, address, AccountAction::Unfreeze)
}

pub fn close(key: &str, address: &str, sweep_to: Option<&str>) -> CommandEnvelope<LedgerCommand> {
    on_account(key, address, AccountAction::Close(CloseAccount { sweep_to: sweep_to.map(address_of), ..CloseAccount::default() }))
}

pub fn reopen(key: &str, address: &str) -> CommandEnvelope<LedgerCommand> {
    on_account(key, address, AccountAction::Reopen)
}

pub fn change_limits(key: &str, address: &str, limits: UncheckedLimits) -> CommandEnvelope<LedgerCommand> {
    on_account(key, address, AccountAction::ChangeLimits(ChangeLimits { limits }))
}

pub fn xof(minor: i64) -> Money {
    Money::from_minor(minor, Currency::XOF)
}

pub fn transfer(debit: &str, credit: &str, minor: i64) -> TransferRequest {
    transfer_of(debit, credit, xof(minor))
}

pub fn transfer_of(debit: &str, credit: &str, money: Money) -> TransferRequest {
    TransferRequest { debit: address_of(debit), credit: address_of(credit), amount: TransferAmount::Exactly(money.into()), reason: None }
}

pub fn up_to(debit: &str, credit: &str, minor: i64) -> TransferRequest {
    TransferRequest { amount: TransferAmount::UpTo(xof(minor).into()), ..transfer(debit, credit, minor) }
}

pub fn entry_of(transfers: Vec<TransferRequest>) -> PostEntry {
    PostEntry { transfers, ..PostEntry::default() }
}

/// An entry of one transfer.
pub fn post(key: &str, debit: &str, credit: &str, minor: i64) -> CommandEnvelope<LedgerCommand> {
    post_entry(key, entry_of(vec![transfer(debit, credit, minor)]))
}

pub fn post_entry(key: &str, post: PostEntry) -> CommandEnvelope<LedgerCommand> {
    command(key, LedgerCommand::post_entry(post, &command_key(key)))
}

/// A hold of one transfer; the entry has the id that its command gives it.
pub fn hold(key: &str, debit: &str, credit: &str, minor: i64, expires_at: Option<Timestamp>) -> CommandEnvelope<LedgerCommand> {
    post_entry(key, PostEntry { hold: Some(HoldTerms { expires_at }), ..entry_of(vec![transfer(debit, credit, minor)]) })
}

/// The entry that the command with this key made.
pub fn entry_by(key: &str) -> EntryId {
    EntryId::derived_from(&command_key(key))
}

/// Posts the hold that the command `held_by` made: so much of it, or all.
pub fn post_hold(key: &str, held_by: &str, minor: Option<i64>) -> CommandEnvelope<LedgerCommand> {
    let amounts = minor.map(|minor| vec![xof(minor).into()]);
    command(key, LedgerCommand::entry(entry_by(held_by), EntryAction::PostHold(PostHold { amounts, effective_at: None })))
}

pub fn void_hold(key: &str, held_by: &str) -> CommandEnvelope<LedgerCommand> {
    command(key, LedgerCommand::entry(entry_by(held_by), EntryAction::VoidHold(VoidHold::default())))
}

pub fn reverse(key: &str, posted_by: &str) -> CommandEnvelope<LedgerCommand> {
    command(key, LedgerCommand::entry(entry_by(posted_by), EntryAction::Reverse(ReverseEntry::default())))
}

pub fn close_journal(key: &str) -> CommandEnvelope<LedgerCommand> {
    command(key, LedgerCommand::Journal(JournalCommand::Close(CloseJournal::default())))
}

pub fn address_of(text: &str) -> AccountAddress {
    text.parse().expect("an address")
}

// What is looked at afterwards.

/// All records as events.
pub fn events(store: &dyn EventStore) -> Vec<Recorded> {
    let records = store.read_journal(Position::ZERO, usize::MAX).expect("a journal");
    records.iter().flat_map(|record| record.as_record().decode::<Ledger>().expect("an event")).collect()
}

/// The types of the events from a position on.
pub fn types_from(store: &dyn EventStore, first: Position) -> Vec<&'static str> {
    events(store).iter().filter(|record| record.position >= first).map(|record| record.event.name()).collect()
}

/// Verifies the whole journal and gives the balances at its head.
///
/// Roots, positions and versions; the fold with its invariants; time that never goes back; one commit a command,
/// in one piece and in one batch; debits and credits that are equal; holds that are pending.
pub fn verified(store: &dyn EventStore) -> Balances {
    material::check(store);
    let mut balances = Balances::new(Rules::default());
    let mut last_recorded_at = Timestamp::MIN;
    let mut committed: HashSet<CommandKey> = HashSet::new();
    let mut command: Option<CommandKey> = None;
    let mut position = Position::ZERO.next();
    while let Some(stored) = store.read_batch(position).expect("a batch") {
        let batch = stored.check().expect("whole records");
        for record in batch.records().flat_map(|record| record.decode::<Ledger>().expect("an event")) {
            assert!(record.recorded_at >= last_recorded_at, "time went back at {}", record.position);
            last_recorded_at = record.recorded_at;
            let first_of_commit = command.as_ref() != Some(&record.metadata.key());
            assert_eq!(record.metadata.fingerprint.is_some(), first_of_commit, "the fingerprint stands on the first event");
            if first_of_commit {
                assert!(committed.insert(record.metadata.key()), "{} was committed twice", record.metadata.key());
                command = Some(record.metadata.key());
            }
            match (&record.stream, &record.event) {
                (StreamId::Account(address), Event::Account(event)) => balances.apply_account(address, event).expect("a legal event"),
                (StreamId::Entry(id), Event::Entry(event)) => balances.apply_entry(id, event).expect("a legal event"),
                (StreamId::Command(_), Event::Command(_)) | (StreamId::Journal(_), Event::Journal(_)) => {}
                (stream, event) => panic!("{} in {stream}", event.name()),
            }
            for (currency, debits, credits) in balances.sums() {
                assert_eq!(debits, credits, "{currency} at {}", record.position);
            }
        }
        // A commit never spans two batches.
        command = None;
        position = batch.last().next();
    }
    let mut pending: HashMap<AccountAddress, (i64, i64)> = HashMap::new();
    for (_, held) in balances.holds() {
        for transfer in held.transfers.iter() {
            pending.entry(transfer.debit.clone()).or_default().0 += transfer.amount.minor();
            pending.entry(transfer.credit.clone()).or_default().1 += transfer.amount.minor();
        }
    }
    for row in balances.accounts().iter() {
        let (debits, credits) = pending.get(&row.address).copied().unwrap_or_default();
        assert_eq!((row.totals.debits_pending, row.totals.credits_pending), (debits, credits), "pending of {}", row.address);
        if let Some(terms) = row.account.terms() {
            assert!(row.totals.within(terms), "{} is beyond its limits", row.address);
        }
    }
    balances
}

/// How often each command wrote something.
pub fn commits(store: &dyn EventStore) -> HashMap<CommandKey, usize> {
    let mut commits = HashMap::new();
    for record in events(store).iter().filter(|record| record.metadata.fingerprint.is_some()) {
        *commits.entry(record.metadata.key()).or_default() += 1;
    }
    commits
}

/// The accounts that [`some_command`] is about, opened: wallets with a floor of zero, some with a ceiling, and the world.
pub fn wallets() -> Vec<CommandEnvelope<LedgerCommand>> {
    let mut commands = vec![open("world", AccountKind::Equity, None)];
    for number in 0..5 {
        let ceiling = (number == 4).then_some(300);
        commands.push(open(&format!("w{number}"), AccountKind::Liability, Some(limits(Some(0), ceiling))));
        commands.push(post(&format!("fund-{number}"), "world", &format!("w{number}"), 200));
    }
    commands
}

/// The seeds of a random test, from 0 on; `CAURI_SEED=7` begins at 7.
pub fn seeds(count: u64) -> std::ops::Range<u64> {
    let first = std::env::var("CAURI_SEED").map_or(0, |seed| seed.parse().expect("CAURI_SEED is a number"));
    first..first + count
}

/// A command that may or may not be accepted; `made` are the keys of commands before it.
pub fn some_command(random: &mut Rng, key: &str, made: &[String], now: Timestamp) -> CommandEnvelope<LedgerCommand> {
    let wallet = |random: &mut Rng| format!("w{}", random.u64(..5));
    let (debit, credit) = (wallet(random), wallet(random));
    let minor = 1 + random.u64(..90) as i64;
    let earlier = random.choice(&made[made.len().saturating_sub(40)..]).cloned().unwrap_or_else(|| key.to_owned());
    match random.u64(..20) {
        0..7 => post(key, &debit, &credit, minor),
        7 => post(key, "world", &credit, minor),
        8..11 => hold(key, &debit, &credit, minor, None),
        11 => hold(key, &debit, &credit, minor, Some(now.saturating_add_secs(1 + random.u64(..5) as i64))),
        12..14 => post_hold(key, &earlier, (random.u64(..2) == 0).then_some(minor)),
        14 => void_hold(key, &earlier),
        15..17 => reverse(key, &earlier),
        17 => freeze(key, &debit),
        18 => unfreeze(key, &debit),
        _ => post_entry(key, entry_of(vec![up_to(&debit, &credit, minor), transfer("world", &debit, minor)])),
    }
}
