//! Journals written by hand, for tests: any record at any place, with checksums, roots and look-ups that fit it.
#![allow(dead_code, reason = "each test file uses some of it")]

use std::collections::HashMap;
use std::sync::Arc;

use cauri_domain::account::{AccountClosed, AccountEvent, AccountKind, AccountOpened};
use cauri_domain::command::{CommandEvent, CommandRefused};
use cauri_domain::entry::{
    EntryEvent, EntryHeld, EntryPosted, EntryReversed, HoldExpired, HoldPosted, HoldPostedTransfer, HoldVoided, Transfer,
};
use cauri_domain::event::EventSet;
use cauri_domain::ids::{AccountAddress, CommandKey, EntryId};
use cauri_domain::kind::StreamKey;
use cauri_domain::limits::Limits;
use cauri_domain::money::{Currency, Money};
use cauri_domain::time::Timestamp;
use cauri_event_schemas::ledger::{Event, StreamId};
use cauri_event_schemas::record::Envelope;
use cauri_event_schemas::{Fingerprint, Metadata, Position, Recorded, StreamVersion};
use cauri_event_store::{
    Appended, Batch, EventStore, Failure, Hash, Head, HeadWatch, Lookup, OwnedRecord, Sharing, Snapshot, StoreError, StoredBatch, Tree,
    Turn,
};

/// An amount in francs.
pub fn xof(minor: i64) -> Money {
    Money::from_minor(minor, Currency::XOF)
}

/// An account's address.
pub fn account(address: &str) -> AccountAddress {
    address.parse().expect("an address")
}

/// An entry's id: readable in transcripts.
pub fn id(number: u128) -> EntryId {
    EntryId::from_u128(0x0190_f1c2_7e4b_7000_8000_0000_0000_0000 | number)
}

/// One transfer.
pub fn transfer(debit: &str, credit: &str, amount: Money) -> Transfer {
    Transfer { amount, credit: account(credit), debit: account(debit), reason: None }
}

/// 2026-03-16T08:00:00Z, when every journal here begins.
pub const BEGINNING: i64 = 1_773_648_000_000_000;

/// An instant some seconds after the beginning.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(BEGINNING + seconds * 1_000_000).expect("in range")
}

/// Writes records one commit after another. It keeps positions, versions and time, and knows no other rule.
pub struct Scribe {
    /// Every record's bytes.
    pub records: Vec<Vec<u8>>,
    /// The last positions of batches.
    pub batch_ends: Vec<usize>,
    versions: HashMap<String, u64>,
    now: i64,
    commits: u64,
}

impl Scribe {
    pub fn new() -> Self {
        Self { records: Vec::new(), batch_ends: Vec::new(), versions: HashMap::new(), now: BEGINNING, commits: 0 }
    }

    /// From here on it is this many seconds after the beginning.
    pub fn time(&mut self, seconds: i64) -> &mut Self {
        self.now = BEGINNING + seconds * 1_000_000;
        self
    }

    /// The position that the next record will have.
    pub fn next(&self) -> u64 {
        self.records.len() as u64 + 1
    }

    /// One commit of a command that was never used before; a second later than the one before.
    pub fn commit(&mut self, events: Vec<(StreamId, Event)>) -> &mut Self {
        self.commits += 1;
        let command = format!("cmd-{}", self.commits);
        self.commit_as(&command, events)
    }

    /// One commit of this command.
    pub fn commit_as(&mut self, command: &str, events: Vec<(StreamId, Event)>) -> &mut Self {
        self.commit_of(command, events)
    }

    /// The same of any kind of journal.
    pub fn commit_of<S: StreamKey, E: EventSet>(&mut self, command: &str, events: Vec<(S, E)>) -> &mut Self {
        let command: CommandKey = command.parse().expect("a command key");
        self.now += 1_000_000;
        for (index, (stream, event)) in events.into_iter().enumerate() {
            let version = self.versions.entry(stream.to_string()).or_default();
            *version += 1;
            let record = Recorded {
                position: Position::new(self.records.len() as u64 + 1),
                version: StreamVersion::new(*version),
                stream,
                event,
                metadata: Arc::new(Metadata {
                    actor: "operator:ada".parse().expect("text"),
                    caller: command.caller.clone(),
                    causation: None,
                    command: command.id.clone(),
                    correlation: None,
                    fingerprint: (index == 0).then_some(Fingerprint::version_1([7; 16])),
                    traceparent: None,
                }),
                recorded_at: Timestamp::from_micros(self.now).expect("in range"),
            };
            // A record without a caller is of journal format 1, whose envelope has no version.
            let bytes = if record.metadata.is_format_1() { record.to_bytes_in(1) } else { record.to_bytes() };
            self.records.push(bytes);
        }
        self
    }

    /// The batch ends here.
    pub fn end_batch(&mut self) -> &mut Self {
        if self.batch_ends.last() != Some(&self.records.len()) && !self.records.is_empty() {
            self.batch_ends.push(self.records.len());
        }
        self
    }

    /// Changes the text of a record, by its position.
    pub fn forge(&mut self, position: u64, from: &str, to: &str) -> &mut Self {
        let record = &mut self.records[position as usize - 1];
        let text = String::from_utf8(record.clone()).expect("text");
        assert!(text.contains(from), "{text} does not contain {from}");
        *record = text.replacen(from, to, 1).into_bytes();
        self
    }

    pub fn open(&mut self, address: &str, kind: AccountKind) -> &mut Self {
        self.open_with(address, kind, Currency::XOF, Limits::default())
    }

    pub fn open_with(&mut self, address: &str, kind: AccountKind, currency: Currency, limits: Limits) -> &mut Self {
        let opened = AccountOpened { chart_code: None, currency, kind, limits, metadata: Default::default(), owner: None };
        self.commit(vec![(StreamId::Account(account(address)), AccountEvent::Opened(opened).into())])
    }

    pub fn account_event(&mut self, address: &str, event: AccountEvent) -> &mut Self {
        self.commit(vec![(StreamId::Account(account(address)), event.into())])
    }

    pub fn close(&mut self, address: &str, sweep: Option<(EntryId, Transfer)>) -> &mut Self {
        let swept_by = sweep.as_ref().map(|(entry, _)| *entry);
        let mut events: Vec<(StreamId, Event)> = Vec::new();
        if let Some((entry, transfer)) = sweep {
            events.push(self.posted(entry, vec![transfer], None));
        }
        events.push((StreamId::Account(account(address)), AccountEvent::Closed(AccountClosed { reason: None, swept_by }).into()));
        self.commit(events)
    }

    /// An `entry.posted`, effective now.
    pub fn posted(&self, entry: EntryId, transfers: Vec<Transfer>, reverses: Option<EntryId>) -> (StreamId, Event) {
        let effective_at = Timestamp::from_micros(self.now).expect("in range");
        let posted = EntryPosted { dimensions: Default::default(), effective_at, reference: None, reverses, transfers: transfers.into() };
        (StreamId::Entry(entry), EntryEvent::Posted(posted).into())
    }

    pub fn post(&mut self, entry: EntryId, transfers: Vec<Transfer>) -> &mut Self {
        let posted = self.posted(entry, transfers, None);
        self.commit(vec![posted])
    }

    pub fn hold(&mut self, entry: EntryId, transfers: Vec<Transfer>, expires_at: Option<Timestamp>) -> &mut Self {
        let effective_at = Timestamp::from_micros(self.now).expect("in range");
        let held = EntryHeld {
            dimensions: Default::default(),
            effective_at,
            expires_at,
            reference: Some("order 12".parse().expect("text")),
            transfers: transfers.into(),
        };
        self.commit(vec![(StreamId::Entry(entry), EntryEvent::Held(held).into())])
    }

    pub fn post_hold(&mut self, entry: EntryId, transfers: Vec<(Transfer, Money)>) -> &mut Self {
        let effective_at = Timestamp::from_micros(self.now).expect("in range");
        let transfers = transfers.into_iter().map(|(held, amount)| HoldPostedTransfer {
            amount,
            credit: held.credit,
            debit: held.debit,
            held: held.amount,
            reason: held.reason,
        });
        let posted = HoldPosted { effective_at, transfers: transfers.collect() };
        self.commit(vec![(StreamId::Entry(entry), EntryEvent::HoldPosted(posted).into())])
    }

    pub fn void(&mut self, entry: EntryId, transfers: Vec<Transfer>) -> &mut Self {
        let effective_at = Timestamp::from_micros(self.now).expect("in range");
        let voided = HoldVoided { effective_at, reason: Some("the client cancelled".parse().expect("text")), transfers: transfers.into() };
        self.commit(vec![(StreamId::Entry(entry), EntryEvent::HoldVoided(voided).into())])
    }

    pub fn expire(&mut self, entry: EntryId, transfers: Vec<Transfer>) -> &mut Self {
        let effective_at = Timestamp::from_micros(self.now).expect("in range");
        let expired = HoldExpired { effective_at, transfers: transfers.into() };
        self.commit(vec![(StreamId::Entry(entry), EntryEvent::HoldExpired(expired).into())])
    }

    pub fn reverse(&mut self, original: EntryId, by: EntryId, opposite: Vec<Transfer>) -> &mut Self {
        let reversed = EntryEvent::Reversed(EntryReversed { by, reason: None });
        let posted = self.posted(by, opposite, Some(original));
        self.commit(vec![(StreamId::Entry(original), reversed.into()), posted])
    }

    pub fn refuse(&mut self, command: &str) -> &mut Self {
        let refused = CommandRefused {
            code: cauri_domain::RefusalCode::BelowFloor,
            detail: "clients:kofi has 0 XOF available and a floor of 0 XOF; it would have -1 XOF".into(),
            op: "post_entry".parse().expect("text"),
            pointer: None,
        };
        let id: CommandKey = command.parse().expect("a command key");
        self.commit_as(command, vec![(StreamId::Command(id), CommandEvent::Refused(refused).into())])
    }

    /// The journal as a store.
    pub fn store(&mut self) -> PaperStore {
        self.end_batch();
        PaperStore::of(&self.records, &self.batch_ends)
    }

    /// Appends the journal to an empty store.
    pub fn append_to(&mut self, store: &dyn EventStore) {
        self.end_batch();
        let mut first = 0;
        for end in &self.batch_ends {
            let tree = store.tree().expect("a tree");
            let mut batch = Batch::after(tree.clone());
            for record in &self.records[first..*end] {
                batch.push_bytes(record).expect("a record");
            }
            assert!(matches!(store.append(tree.head(), &batch), Ok(Appended::Done(_))));
            first = *end;
        }
    }
}

impl Scribe {
    /// Appends what was written since `written` as one batch and forgets its bytes; for journals of millions.
    pub fn append_rest_to(&mut self, store: &dyn EventStore, written: usize) -> usize {
        let tree = store.tree().expect("a tree");
        let mut batch = Batch::after(tree.clone());
        for record in &mut self.records[written..] {
            batch.push_bytes(&std::mem::take(record)).expect("a record");
        }
        assert!(matches!(store.append(tree.head(), &batch), Ok(Appended::Done(_))));
        self.records.len()
    }
}

/// Worked example of a small shop: two currencies, holds of every ending, a reversal, a refusal, a closed account.
pub fn shop() -> Scribe {
    let mut scribe = Scribe::new();
    let floor_zero = Limits { ceiling: None, floor: Some(xof(0)) };
    let wallet = Limits { ceiling: Some(xof(2_000_000)), floor: Some(xof(0)) };
    let eur = |minor| Money::from_minor(minor, Currency::EUR);
    let clearing = |amount| transfer("providers:wave:receivable", "merchants:awa:available", amount);
    scribe
        .open("providers:wave:receivable", AccountKind::Asset)
        .open_with("merchants:awa:available", AccountKind::Liability, Currency::XOF, floor_zero)
        .open_with("clients:kofi", AccountKind::Liability, Currency::XOF, wallet)
        .open("income:fees:collection", AccountKind::Income)
        .open_with("banks:eur", AccountKind::Asset, Currency::EUR, Limits::default())
        .open_with("positions:eur", AccountKind::Equity, Currency::EUR, Limits::default())
        .end_batch()
        .post(id(1), vec![clearing(xof(9_890)), transfer("providers:wave:receivable", "income:fees:collection", xof(110))])
        .post(id(2), vec![transfer("banks:eur", "positions:eur", eur(123_456))])
        .hold(id(3), vec![transfer("merchants:awa:available", "clients:kofi", xof(5_000))], None)
        .hold(id(4), vec![transfer("merchants:awa:available", "clients:kofi", xof(1_000))], Some(at(600)))
        .end_batch()
        .post_hold(id(3), vec![(transfer("merchants:awa:available", "clients:kofi", xof(5_000)), xof(4_500))])
        .refuse("order-77")
        .time(600)
        .expire(id(4), vec![transfer("merchants:awa:available", "clients:kofi", xof(1_000))])
        .hold(id(5), vec![transfer("clients:kofi", "merchants:awa:available", xof(700))], None)
        .void(id(5), vec![transfer("clients:kofi", "merchants:awa:available", xof(700))])
        .reverse(id(2), id(6), vec![transfer("positions:eur", "banks:eur", eur(123_456))])
        .end_batch()
        .hold(id(7), vec![transfer("clients:kofi", "merchants:awa:available", xof(300))], None)
        .open("clients:binta", AccountKind::Liability)
        .post(id(8), vec![transfer("clients:kofi", "clients:binta", xof(200))])
        .close("clients:binta", Some((id(9), transfer("clients:binta", "clients:kofi", xof(200)))))
        .end_batch();
    scribe
}

/// A store whose every answer is a public field, so that a test can change any of them.
pub struct PaperStore {
    pub batches: Vec<Result<StoredBatch, String>>,
    pub tree: Tree,
    pub streams: HashMap<String, Vec<Position>>,
    pub commands: HashMap<CommandKey, Position>,
    pub snapshot: Option<Snapshot>,
    heads: HeadWatch,
}

impl PaperStore {
    /// Batches with fitting checksums and roots, whatever the records say.
    pub fn of(records: &[Vec<u8>], batch_ends: &[usize]) -> Self {
        let mut store = Self {
            batches: Vec::new(),
            tree: Tree::empty(),
            streams: HashMap::new(),
            commands: HashMap::new(),
            snapshot: None,
            heads: HeadWatch::new(Head::default()),
        };
        let mut first = 0;
        for end in batch_ends {
            let mut lines = Vec::new();
            let mut checksums = Vec::new();
            for (index, record) in records[first..*end].iter().enumerate() {
                let position = Position::new((first + index + 1) as u64);
                store.tree.push(Hash::of_leaf(record));
                checksums.push(crc32fast::hash(record));
                lines.extend_from_slice(record);
                lines.push(b'\n');
                if let Ok(envelope) = Envelope::parse(record) {
                    store.streams.entry(envelope.stream.to_string()).or_default().push(position);
                    store.commands.entry(envelope.metadata.key()).or_insert(position);
                }
            }
            let (first_at, last) = (Position::new(first as u64 + 1), Position::new(*end as u64));
            store.batches.push(Ok(StoredBatch { first: first_at, last, root: Some(store.tree.root()), checksums, lines }));
            first = *end;
        }
        store.heads = HeadWatch::new(store.tree.head());
        store
    }

    /// The batch with this index, to change it.
    pub fn batch(&mut self, index: usize) -> &mut StoredBatch {
        self.batches[index].as_mut().expect("readable")
    }

    /// As the checks take it.
    pub fn shared(self) -> Arc<dyn EventStore> {
        Arc::new(self)
    }
}

impl EventStore for PaperStore {
    fn name(&self) -> &str {
        "ledger"
    }

    fn sharing(&self) -> Sharing {
        Sharing::Exclusive
    }

    fn take_turn(&self) -> Result<Turn<'_>, StoreError> {
        Ok(Turn::free())
    }

    fn tree(&self) -> Result<Tree, StoreError> {
        Ok(self.tree.clone())
    }

    fn append(&self, _: Head, _: &Batch) -> Result<Appended, StoreError> {
        Err(Failure::NotDone("paper does not grow".into()).into())
    }

    fn read_batch(&self, position: Position) -> Result<Option<StoredBatch>, StoreError> {
        let mut first = Position::ZERO.next();
        for batch in &self.batches {
            match batch {
                Ok(batch) if batch.first <= position && position <= batch.last => return Ok(Some(batch.clone())),
                Ok(batch) => first = batch.last.next(),
                // An unreadable batch reaches up to the next readable one.
                Err(why) => {
                    let after = self.batches.iter().flatten().map(|batch| batch.first).filter(|begin| *begin > first).min();
                    if position >= first && after.is_none_or(|after| position < after) && position.get() <= self.tree.size() {
                        return Err(Failure::NotDone(why.clone()).into());
                    }
                }
            }
        }
        Ok(None)
    }

    fn read_stream(&self, stream: &str, from: StreamVersion) -> Result<Vec<OwnedRecord>, StoreError> {
        let mut records = Vec::new();
        for position in self.streams.get(stream).into_iter().flatten().skip(from.get().saturating_sub(1) as usize) {
            let Some(stored) = self.read_batch(*position)? else { continue };
            records.extend(stored.check()?.at(*position).map(|record| record.to_owned()));
        }
        Ok(records)
    }

    fn locate(&self, lookups: &[Lookup<'_>]) -> Result<Vec<Option<Position>>, StoreError> {
        let found = lookups.iter().map(|lookup| match lookup {
            Lookup::Command(command) => self.commands.get(*command).copied(),
            Lookup::Stream(stream) => self.streams.get(*stream).and_then(|positions| positions.first()).copied(),
        });
        Ok(found.collect())
    }

    fn format_1_until(&self) -> Position {
        self.tree.head().position
    }

    fn follow(&self) -> &HeadWatch {
        &self.heads
    }

    fn save_snapshot(&self, _: &Snapshot) -> Result<(), StoreError> {
        Ok(())
    }

    fn latest_snapshot(&self) -> Result<Option<Snapshot>, StoreError> {
        Ok(self.snapshot.clone())
    }
}
