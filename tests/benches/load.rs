//! The commands that benchmarks submit: deterministic, realistic in size.

use std::collections::VecDeque;
use std::sync::{Arc, LazyLock};
use std::time::Instant;

use cauri_domain::LedgerCommand;
use cauri_domain::account::{AccountKind, OpenAccount};
use cauri_domain::entry::{PostEntry, TransferAmount, TransferRequest};
use cauri_domain::ids::{AccountAddress, Caller, CommandKey, EntryId};
use cauri_domain::ledger::Ledger;
use cauri_domain::ledger::LedgerStream;
use cauri_domain::limits::UncheckedLimits;
use cauri_domain::money::{Currency, Money};
use cauri_domain::text::ShortText;
use cauri_engine::{CommandEnvelope, Engine, EngineConfig, MAX_COMMANDS, Mode, Outcome};
use cauri_event_store::embedded::EmbeddedStore;
use fastrand::Rng;

pub fn address(number: u64) -> AccountAddress {
    format!("customers:{number:06}:wallet").parse().expect("an address")
}

/// A key of the one caller that benchmarks have. As in a server, a caller is read once and not for each command.
pub fn key(id: &str) -> CommandKey {
    static CALLER: LazyLock<Caller> = LazyLock::new(|| Caller::of_issuer("cauri-dev", "bench").expect("a caller"));
    CommandKey::new(CALLER.clone(), id.parse().expect("a command id"))
}

/// `count` customers' wallets with a floor of zero, and a funding account that filled each of them.
pub fn open_accounts(count: u64) -> Vec<CommandEnvelope<LedgerCommand>> {
    let actor: ShortText = "operator:bench".parse().expect("a short text");
    let open = |address: AccountAddress, kind, limits| {
        let id = key(&format!("open-{address}"));
        let open =
            OpenAccount { address, chart_code: None, currency: Currency::XOF, kind, limits, metadata: Default::default(), owner: None };
        (LedgerCommand::open_account(open), id)
    };
    let mut commands = vec![open("equity:funding".parse().expect("an address"), AccountKind::Equity, None)];
    commands.extend((0..count).map(|number| open(address(number), AccountKind::Liability, Some(UncheckedLimits::floor_zero()))));
    let mut commands: Vec<CommandEnvelope<LedgerCommand>> =
        commands.into_iter().map(|(command, id)| CommandEnvelope::new(command, id, actor.clone())).collect();
    for number in 0..count {
        commands.push(transfer(
            &"equity:funding".parse().expect("an address"),
            &address(number),
            1_000_000_000,
            u128::from(number) | 1 << 100,
        ));
    }
    commands
}

/// One entry of one transfer, with an id and a key of its own.
pub fn transfer(debit: &AccountAddress, credit: &AccountAddress, amount: i64, id: u128) -> CommandEnvelope<LedgerCommand> {
    let key = key(&format!("{id:032x}"));
    let post = PostEntry {
        id: Some(EntryId::from_u128(id)),
        transfers: vec![TransferRequest {
            debit: debit.clone(),
            credit: credit.clone(),
            amount: TransferAmount::Exactly(Money::from_minor(amount, Currency::XOF).into()),
            reason: None,
        }],
        ..PostEntry::default()
    };
    let command = LedgerCommand::post_entry(post, &key);
    CommandEnvelope::new(command, key, "operator:bench".parse().expect("a short text"))
}

/// A journal on the embedded store in a directory of its own, with an engine and funded accounts.
pub struct Bench {
    pub dir: tempfile::TempDir,
    pub store: Arc<EmbeddedStore>,
    pub engine: Engine<Ledger>,
    addresses: Vec<AccountAddress>,
    random: Rng,
    next_id: u128,
}

impl Bench {
    /// Opens `accounts` accounts and fills them.
    pub fn with_accounts(accounts: u64, config: EngineConfig) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let store = Arc::new(EmbeddedStore::open(dir.path(), "ledger").expect("a store"));
        let engine = Engine::start(store.clone(), config).expect("an engine");
        for chunk in open_accounts(accounts).chunks(MAX_COMMANDS) {
            all_accepted(&engine.submit_blocking(chunk.to_vec(), Mode::Each).expect("opened"));
        }
        let addresses = (0..accounts).map(address).collect();
        Self { dir, store, engine, addresses, random: Rng::with_seed(7), next_id: 0 }
    }

    /// Entries between random accounts; all from or to the first account where it is `hot`.
    pub fn entries(&mut self, count: usize, hot: bool) -> Vec<CommandEnvelope<LedgerCommand>> {
        let accounts = self.addresses.len() as u64;
        let entry = |_| {
            self.next_id += 1;
            let debit = if hot { 0 } else { self.random.u64(..accounts) };
            let credit = (debit + 1 + self.random.u64(..accounts - 1)) % accounts;
            let id = u128::from(self.random.u64(..)) << 64 | self.next_id;
            let amount = 1 + self.random.u64(..100) as i64;
            transfer(&self.addresses[debit as usize], &self.addresses[credit as usize], amount, id)
        };
        (0..count).map(entry).collect()
    }

    /// Submits batches with a few in flight; entries per second.
    pub fn submit(&self, batches: Vec<Vec<CommandEnvelope<LedgerCommand>>>) -> f64 {
        let count = batches.iter().map(Vec::len).sum();
        let start = Instant::now();
        let mut waiting = VecDeque::new();
        for batch in batches {
            waiting.push_back(self.engine.enqueue(batch, Mode::Each).expect("queued"));
            if waiting.len() > 3 {
                let answer = waiting.pop_front().expect("one").blocking_recv();
                all_accepted(&answer.expect("an answer").expect("outcomes"));
            }
        }
        for answer in waiting {
            all_accepted(&answer.blocking_recv().expect("an answer").expect("outcomes"));
        }
        crate::measure::rate(count, start.elapsed())
    }
}

pub fn all_accepted(outcomes: &[Outcome<LedgerStream>]) {
    for outcome in outcomes {
        assert!(matches!(outcome, Outcome::Accepted(_)), "{outcome:?}");
    }
}
