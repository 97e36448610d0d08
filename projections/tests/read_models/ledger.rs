//! A ledger that really decides: commands go through the domain's rules, and what they decide into a journal in memory.

#![allow(dead_code, reason = "each test and example uses the part that it needs")]
#![allow(clippy::unwrap_used, reason = "a ledger made for a test stops where the test is wrong")]

use std::collections::HashMap;
use std::sync::Arc;

use cauri_domain::Refusal;
use cauri_domain::account::{self, Account, AccountAction, AccountCommand, AccountKind, CloseAccount, OpenAccount};
use cauri_domain::entry::{
    self, AnnotateEntry, Entry, EntryAction, EntryCommand, EntryEvent, HoldTerms, PostEntry, PostHold, ReverseEntry,
};
use cauri_domain::entry::{TransferAmount, TransferRequest, VoidHold};
use cauri_domain::fold::Balances;
use cauri_domain::ids::{AccountAddress, CommandKey, EntryId};
use cauri_domain::journal::Rules;
use cauri_domain::limits::UncheckedLimits;
use cauri_domain::money::{Currency, Money};
use cauri_domain::time::Timestamp;
use cauri_event_schemas::ledger::{Event, Recorded, StreamId};
use cauri_event_schemas::{Metadata, Position, StreamVersion};
use cauri_event_store::memory::MemoryStore;
use cauri_event_store::{Appended, Batch, EventStore};

/// 2026-03-16T08:00:00Z: when every story begins.
pub const BEGIN: i64 = 1_773_648_000_000_000;

/// An instant so many seconds after the beginning.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(BEGIN + seconds * 1_000_000).unwrap()
}

/// An amount in minor units of the West African franc.
pub fn xof(minor: i64) -> Money {
    Money::from_minor(minor, Currency::XOF)
}

/// An account's address.
pub fn address(text: &str) -> AccountAddress {
    text.parse().unwrap()
}

/// One transfer of so many francs.
pub fn transfer(debit: &str, credit: &str, minor: i64) -> TransferRequest {
    TransferRequest { debit: address(debit), credit: address(credit), amount: TransferAmount::Exactly(xof(minor).into()), reason: None }
}

/// A journal with everything that decides about its next event.
pub struct Ledger {
    pub store: MemoryStore,
    pub now: Timestamp,
    /// Every event so far.
    pub recorded: Vec<Recorded>,
    /// Entries are kept so that they can be resolved and reversed; a large history of postings does without.
    pub remembers: bool,
    balances: Balances,
    entries: HashMap<EntryId, Entry>,
    versions: HashMap<StreamId, u64>,
    batch: Batch,
    commands: u64,
}

impl Ledger {
    /// An empty ledger, dated at the beginning.
    pub fn new() -> Self {
        let rules = Rules { max_future_days: 400, ..Rules::default() };
        let store = MemoryStore::exclusive("ledger");
        let batch = Batch::after(store.tree().unwrap());
        Self {
            store,
            now: at(0),
            recorded: Vec::new(),
            remembers: true,
            balances: Balances::new(rules),
            entries: HashMap::new(),
            versions: HashMap::new(),
            batch,
            commands: 0,
        }
    }

    /// The last event's position, appended or not.
    pub fn position(&self) -> Position {
        Position::new(self.batch.next().get() - 1)
    }

    /// The decision state: what read models are compared with.
    pub fn balances(&self) -> &Balances {
        &self.balances
    }

    pub fn advance(&mut self, seconds: i64) {
        self.now = self.now.saturating_add_secs(seconds);
    }

    /// Opens an account without limits.
    pub fn open(&mut self, account: &str, kind: AccountKind) {
        self.open_with(account, kind, Currency::XOF, UncheckedLimits::none());
    }

    pub fn open_with(&mut self, account: &str, kind: AccountKind, currency: Currency, limits: UncheckedLimits) {
        let open = OpenAccount {
            address: address(account),
            chart_code: None,
            currency,
            kind,
            limits: Some(limits),
            metadata: Default::default(),
            owner: None,
        };
        self.account(account, AccountAction::Open(open)).unwrap();
    }

    /// Any command for an account; closing sweeps first, as the engine does.
    pub fn account(&mut self, account: &str, action: AccountAction) -> Result<(), Refusal> {
        let (address, command) = (address(account), self.command());
        let state = self.balances.account(&address);
        if let AccountAction::Close(close) = &action
            && let Some(sweep) = account::decide::sweep(&state, &address, close, &command, &self.balances)?
        {
            let id = sweep.id.unwrap();
            self.entry_of(&command, id, EntryAction::Post(sweep))?;
        }
        let state: Account = self.balances.account(&address);
        let event =
            account::decide::decide(&state, &AccountCommand { address: address.clone(), action: Arc::new(action) }, &self.balances)?;
        self.balances.apply_account(&address, &event).unwrap();
        self.record(&command, StreamId::Account(address), event.into());
        Ok(())
    }

    pub fn close(&mut self, account: &str, sweep_to: &str) -> Result<(), Refusal> {
        self.account(account, AccountAction::Close(CloseAccount { sweep_to: Some(address(sweep_to)), ..CloseAccount::default() }))
    }

    /// Posts or holds.
    pub fn post(&mut self, post: PostEntry) -> Result<EntryId, Refusal> {
        let command = self.command();
        let id = post.id.unwrap_or_else(|| EntryId::derived_from(&command));
        self.entry_of(&command, id, EntryAction::Post(post))?;
        Ok(id)
    }

    /// Posts one transfer at an effective time.
    pub fn pay(&mut self, debit: &str, credit: &str, minor: i64, effective_at: Timestamp) -> EntryId {
        self.post(PostEntry { effective_at: Some(effective_at), transfers: vec![transfer(debit, credit, minor)], ..PostEntry::default() })
            .unwrap()
    }

    /// Holds one transfer from an effective time on.
    pub fn hold(&mut self, debit: &str, credit: &str, minor: i64, effective_at: Timestamp, expires_at: Option<Timestamp>) -> EntryId {
        self.post(PostEntry {
            effective_at: Some(effective_at),
            hold: Some(HoldTerms { expires_at }),
            transfers: vec![transfer(debit, credit, minor)],
            ..PostEntry::default()
        })
        .unwrap()
    }

    pub fn post_hold(&mut self, id: EntryId, amounts: Option<Vec<i64>>, effective_at: Timestamp) -> Result<(), Refusal> {
        let amounts = amounts.map(|amounts| amounts.into_iter().map(|minor| xof(minor).into()).collect());
        let command = self.command();
        self.entry_of(&command, id, EntryAction::PostHold(PostHold { amounts, effective_at: Some(effective_at) }))
    }

    pub fn void(&mut self, id: EntryId) -> Result<(), Refusal> {
        let command = self.command();
        self.entry_of(&command, id, EntryAction::VoidHold(VoidHold { reason: Some("changed \"their\" mind".parse().unwrap()) }))
    }

    /// Undoes an entry by the opposite one, in one commit; the opposite entry.
    pub fn reverse(&mut self, id: EntryId, at_original_date: bool) -> Result<EntryId, Refusal> {
        let command = self.command();
        let by = EntryId::derived_from(&command);
        let reverse = ReverseEntry { at_original_date, entry_id: Some(by), reason: Some("a mistake".parse().unwrap()) };
        let opposite = entry::opposite(&self.entry(id), id, &reverse, by);
        self.entry_of(&command, id, EntryAction::Reverse(reverse))?;
        if let Some(opposite) = opposite {
            self.entry_of(&command, by, EntryAction::Post(opposite))?;
        }
        Ok(by)
    }

    /// Sets pairs of an entry and removes others.
    pub fn annotate(&mut self, id: EntryId, set: &[(&str, &str)], remove: &[&str]) -> Result<(), Refusal> {
        let set = set.iter().map(|(key, value)| (key.parse().unwrap(), value.parse().unwrap())).collect();
        let remove = remove.iter().map(|key| key.parse().unwrap()).collect();
        let annotate = AnnotateEntry::new(set, remove, Some("a case".parse().unwrap())).unwrap();
        let command = self.command();
        self.entry_of(&command, id, EntryAction::Annotate(annotate))
    }

    /// Ends every hold whose time has passed, as the engine does before it decides anything later.
    pub fn expire(&mut self) {
        let due = |ledger: &Self| ledger.balances.expiries().next().filter(|(at, _)| *at <= ledger.now);
        while let Some((_, id)) = due(self) {
            let command = self.command();
            self.entry_of(&command, id, EntryAction::ExpireHold).unwrap();
        }
    }

    fn entry(&self, id: EntryId) -> Entry {
        self.entries.get(&id).cloned().unwrap_or_default()
    }

    fn entry_of(&mut self, command: &CommandKey, id: EntryId, action: EntryAction) -> Result<(), Refusal> {
        let entry = self.entry(id);
        let event: EntryEvent = entry::decide(&entry, &EntryCommand { now: self.now, action: Arc::new(action) }, &self.balances)?;
        self.balances.apply_entry(&id, &event).unwrap();
        let mark = self.balances.mark();
        self.balances.forget(mark);
        if self.remembers {
            self.entries.insert(id, entry::evolve(entry, &event).unwrap());
        }
        self.record(command, StreamId::Entry(id), event.into());
        Ok(())
    }

    /// An event that nobody decided: what a corrupt journal would hold.
    pub fn forge(&mut self, stream: StreamId, event: Event) {
        let command = self.command();
        self.record(&command, stream, event);
    }

    fn record(&mut self, command: &CommandKey, stream: StreamId, event: Event) {
        let version = if self.remembers {
            let version = self.versions.entry(stream.clone()).or_default();
            *version += 1;
            *version
        } else {
            1
        };
        let metadata = Metadata {
            actor: "client:test".parse().unwrap(),
            caller: command.caller.clone(),
            causation: None,
            command: command.id.clone(),
            correlation: None,
            fingerprint: None,
            traceparent: None,
        };
        let recorded = Recorded {
            position: self.batch.next(),
            stream,
            version: StreamVersion::new(version),
            event,
            metadata: Arc::new(metadata),
            recorded_at: self.now,
        };
        self.batch.push(&recorded);
        if self.remembers {
            self.recorded.push(recorded);
        }
    }

    /// How many events wait to be appended.
    pub fn waiting(&self) -> usize {
        self.batch.len()
    }

    /// Appends what was decided as one batch.
    pub fn commit(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let head = self.store.head().unwrap();
        assert!(matches!(self.store.append(head, &self.batch), Ok(Appended::Done(_))), "nobody else appends");
        self.batch = Batch::after(self.store.tree().unwrap());
    }

    fn command(&mut self) -> CommandKey {
        self.commands += 1;
        // As long as the UUID that a client would send.
        format!("test ledger {:08x}-7e4b-7cc3-98c4-{:012x}", self.commands / 7, self.commands).parse().unwrap()
    }
}

/// A sequence of numbers that looks random and is the same every time (xorshift64*, G. Marsaglia and S. Vigna).
/// `CAURI_SEED=7` makes all of them others.
pub struct Numbers(u64);

impl Numbers {
    pub fn from(seed: u64) -> Self {
        let other = std::env::var("CAURI_SEED").map_or(0, |seed| seed.parse().expect("CAURI_SEED is a number"));
        Self(seed.wrapping_add(other).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16) % bound
    }
}
