//! What the cases write, real events made in numbers, and what they compare; a backend's own tests use it too.

use std::collections::HashMap;
use std::sync::Arc;

use cauri_domain::account::{AccountEvent, AccountFrozen, AccountKind, AccountOpened, AccountUnfrozen};
use cauri_domain::command::{CommandEvent, CommandRefused};
use cauri_domain::entry::{EntryEvent, EntryHeld, EntryPosted, HoldVoided, Transfer};
use cauri_domain::ids::{AccountAddress, CommandKey, EntryId};
use cauri_domain::limits::Limits;
use cauri_domain::money::{Currency, Money};
use cauri_domain::refusal::RefusalCode;
use cauri_domain::text::ShortText;
use cauri_domain::time::Timestamp;
use cauri_event_schemas::ledger::{Event, Recorded, StreamId};
use cauri_event_schemas::{Fingerprint, Metadata, Position, StreamVersion};

use crate::batch::Batch;
use crate::memory::MemoryStore;
use crate::merkle::Tree;
use crate::port::{Appended, EventStore, Head, Lookup};
use crate::stored::OwnedRecord;

/// All events of one command, before they have positions.
#[derive(Clone, Debug)]
pub struct Commit {
    /// The command, with its caller.
    pub command: CommandKey,
    /// Its events, each with its stream and version.
    pub events: Vec<(StreamId, StreamVersion, Event)>,
}

impl Commit {
    /// The stream of its first event.
    pub fn stream(&self) -> &StreamId {
        &self.events[0].0
    }

    /// Asks for the command.
    pub fn command_lookup(&self) -> Sought {
        Sought::Command(self.command.clone())
    }

    /// Asks for the stream of its first event.
    pub fn stream_lookup(&self) -> Sought {
        Sought::stream(self.stream())
    }
}

/// What is looked up, kept for later.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Sought {
    /// The first record of a command.
    Command(CommandKey),
    /// The first record of a stream, by its name.
    Stream(String),
}

impl Sought {
    /// The first record of a stream.
    pub fn stream(stream: &StreamId) -> Self {
        Self::Stream(stream.to_string())
    }

    /// The question to a store.
    pub fn lookup(&self) -> Lookup<'_> {
        match self {
            Sought::Command(key) => Lookup::Command(key),
            Sought::Stream(name) => Lookup::Stream(name),
        }
    }
}

/// Makes commits that follow from one another; two authors never write to one stream.
#[derive(Clone, Debug)]
pub struct Author {
    name: &'static str,
    number: u64,
    made: u64,
    versions: HashMap<StreamId, StreamVersion>,
}

impl Author {
    /// An author of this name.
    pub fn new(name: &'static str) -> Self {
        Self::numbered(name, 0)
    }

    /// One of several authors of this name.
    pub fn numbered(name: &'static str, number: u64) -> Self {
        Self { name, number, made: 0, versions: HashMap::new() }
    }

    /// An entry of one transfer.
    pub fn entry(&mut self) -> Commit {
        self.entry_with(1, "rent")
    }

    /// An entry with so many transfers, each with this reason.
    pub fn entry_with(&mut self, transfers: usize, reason: &str) -> Commit {
        let id = self.next_entry();
        let posted = EntryPosted {
            dimensions: [("merchant".parse().expect("a key"), text(reason))].into(),
            effective_at: Timestamp::UNIX_EPOCH,
            reference: Some(text(reason)),
            reverses: None,
            transfers: transfers_of(transfers, reason),
        };
        self.commit(vec![(StreamId::Entry(id), EntryEvent::Posted(posted).into())])
    }

    /// A hold and, by the same command, its release: two events of one stream.
    pub fn hold_and_void(&mut self) -> Commit {
        let stream = StreamId::Entry(self.next_entry());
        let effective_at = Timestamp::UNIX_EPOCH;
        let transfers = transfers_of(1, "deposit");
        let held =
            EntryHeld { dimensions: Default::default(), effective_at, expires_at: None, reference: None, transfers: transfers.clone() };
        let voided = HoldVoided { effective_at, reason: None, transfers };
        self.commit(vec![(stream.clone(), EntryEvent::Held(held).into()), (stream, EntryEvent::HoldVoided(voided).into())])
    }

    /// The next thing that happens to an account: opened, then frozen and unfrozen by turns.
    pub fn account(&mut self, address: &AccountAddress) -> Commit {
        self.account_with(address, "customer")
    }

    /// The same with a text in it.
    pub fn account_with(&mut self, address: &AccountAddress, owner: &str) -> Commit {
        let stream = StreamId::Account(address.clone());
        let event = match self.versions.get(&stream).map_or(0, |version| version.get()) {
            0 => AccountEvent::Opened(AccountOpened {
                chart_code: Some(text("4711")),
                currency: Currency::XOF,
                kind: AccountKind::Liability,
                limits: Limits { ceiling: Some(xof(2_000_000)), floor: Some(xof(0)) },
                metadata: [("owner".parse().expect("a key"), text(owner))].into(),
                owner: Some(text(owner)),
            }),
            odd if odd % 2 == 1 => AccountEvent::Frozen(AccountFrozen { reason: Some(text(owner)) }),
            _ => AccountEvent::Unfrozen(AccountUnfrozen {}),
        };
        self.commit(vec![(stream, event.into())])
    }

    /// A command that was refused.
    pub fn refusal(&mut self) -> Commit {
        let id = self.next_command();
        let refused = CommandRefused {
            code: RefusalCode::BelowFloor,
            detail: "not enough".into(),
            op: text("post_entry"),
            pointer: Some("/transfers/0".into()),
        };
        self.commit(vec![(StreamId::Command(id), CommandEvent::Refused(refused).into())])
    }

    /// A command that wrote all of these.
    fn commit(&mut self, events: Vec<(StreamId, Event)>) -> Commit {
        let command = self.next_command();
        self.made += 1;
        let events = events.into_iter().map(|(stream, event)| {
            let version = self.versions.entry(stream.clone()).or_default();
            *version = version.next();
            (stream, *version, event)
        });
        Commit { command, events: events.collect() }
    }

    fn next_command(&self) -> CommandKey {
        format!("conformance author {}-{}-{}", self.name, self.number, self.made).parse().expect("a command key")
    }

    fn next_entry(&self) -> EntryId {
        EntryId::derived_from(&self.next_command())
    }
}

/// A batch of commits that continues a journal whose tree is `tree`.
pub fn batch_after(tree: Tree, commits: &[Commit]) -> Batch {
    let mut batch = Batch::after(tree);
    for commit in commits {
        for (index, (stream, version, event)) in commit.events.iter().enumerate() {
            let record = Recorded {
                position: batch.next(),
                stream: stream.clone(),
                version: *version,
                event: event.clone(),
                metadata: Arc::new(Metadata {
                    actor: text("operator:conformance"),
                    caller: commit.command.caller.clone(),
                    causation: Some(text("order-7")),
                    command: commit.command.id.clone(),
                    correlation: None,
                    fingerprint: (index == 0).then_some(Fingerprint::version_2([7; 16])),
                    traceparent: None,
                }),
                recorded_at: Timestamp::UNIX_EPOCH.saturating_add_micros(batch.next().get() as i64),
            };
            batch.push(&record);
        }
    }
    batch
}

/// Appends commits where nobody else does.
pub fn append(store: &(impl EventStore + ?Sized), commits: &[Commit]) -> Head {
    let tree = store.tree().expect("a tree");
    let batch = batch_after(tree.clone(), commits);
    match store.append(tree.head(), &batch).expect("an append") {
        Appended::Done(head) => {
            assert_eq!(head, batch.head(), "the head after an append is the batch's");
            head
        }
        Appended::Conflict(head) => panic!("nobody else appends, yet the head is at {head}"),
    }
}

/// Everything in the journal.
pub fn all(store: &(impl EventStore + ?Sized)) -> Vec<OwnedRecord> {
    store.read_journal(Position::ZERO, usize::MAX).expect("a journal")
}

/// Where the ids stand.
pub fn located(store: &(impl EventStore + ?Sized), lookups: &[Sought]) -> Vec<Option<Position>> {
    let lookups: Vec<Lookup<'_>> = lookups.iter().map(Sought::lookup).collect();
    let found = store.locate(&lookups).expect("look-ups");
    assert_eq!(found.len(), lookups.len(), "one answer for each look-up");
    let possible = store.may_hold(&lookups);
    assert_eq!(possible.len(), lookups.len(), "one answer for each look-up");
    for ((lookup, found), possible) in lookups.iter().zip(&found).zip(possible) {
        assert!(possible || found.is_none(), "{lookup:?} leads to {found:?}, and the store was certain that it holds nothing");
    }
    found
}

/// Every promise about the content at once: order, gaplessness, checksums, envelopes, versions, roots, look-ups.
pub fn check(store: &(impl EventStore + ?Sized)) {
    let tree = store.tree().expect("a tree");
    let mut computed = Tree::empty();
    let mut versions: HashMap<String, StreamVersion> = HashMap::new();
    let mut firsts: HashMap<Sought, Position> = HashMap::new();
    while computed.size() < tree.size() {
        let next = Position::new(computed.size()).next();
        let stored = store.read_batch(next).expect("a batch").unwrap_or_else(|| panic!("there is no batch at {next}"));
        let batch = stored.check().expect("whole records");
        assert_eq!(batch.first(), next, "batches follow one another");
        for record in batch.records() {
            let envelope = record.envelope().expect("an envelope");
            assert_eq!(envelope.position.get(), computed.size() + 1, "records stand where they say");
            let version = versions.entry(envelope.stream.to_string()).or_default();
            *version = version.next();
            assert_eq!(envelope.version, *version, "versions of {} have no gaps", envelope.stream);
            computed.push(record.leaf());
            firsts.entry(Sought::Command(envelope.metadata.key())).or_insert(record.position());
            firsts.entry(Sought::Stream(envelope.stream.into_owned())).or_insert(record.position());
        }
        if let Some(root) = batch.root() {
            assert_eq!(root, computed.root(), "the root at {}", batch.last());
        }
    }
    assert_eq!(computed, tree, "the tree is the tree of the records");
    assert_eq!(store.head().expect("a head"), tree.head());
    assert_eq!(store.follow().head(), tree.head(), "followers are told of the head");
    let beyond = store.read_batch(tree.head().position.next()).expect("a look beyond the head");
    assert!(beyond.is_none(), "there is nothing beyond the head");
    let (lookups, positions): (Vec<Sought>, Vec<Option<Position>>) =
        firsts.into_iter().map(|(lookup, position)| (lookup, Some(position))).unzip();
    assert_eq!(located(store, &lookups), positions, "every id leads to its first record");
    // Reading a stream may unpack a batch for each of its events: of many streams every so many are read.
    let step = 1 + versions.len() / 500;
    for (stream, last) in versions.into_iter().step_by(step) {
        let records = store.read_stream(&stream, StreamVersion::ZERO).expect("a stream");
        let found: Vec<u64> = records.iter().map(|record| record.as_record().envelope().expect("an envelope").version.get()).collect();
        assert_eq!(found, (1..=last.get()).collect::<Vec<_>>(), "the stream {stream}");
    }
}

/// The same journal in a store of its own, without its snapshots.
pub fn copy_of(store: &(impl EventStore + ?Sized)) -> MemoryStore {
    let copy = MemoryStore::exclusive(store.name());
    let mut next = Position::ZERO.next();
    while let Some(stored) = store.read_batch(next).expect("a batch") {
        let checked = stored.check().expect("whole records");
        let tree = copy.tree().expect("a tree");
        let mut batch = Batch::after(tree.clone());
        for record in checked.records() {
            batch.push_bytes(record.bytes()).expect("the next record");
        }
        assert!(matches!(copy.append(tree.head(), &batch).expect("an append"), Appended::Done(_)));
        next = checked.last().next();
    }
    copy
}

/// An address.
pub fn address(text: &str) -> AccountAddress {
    text.parse().expect("an address")
}

/// A short text.
pub fn text(text: &str) -> ShortText {
    text.parse().expect("a short text")
}

fn xof(minor: i64) -> Money {
    Money::from_minor(minor, Currency::XOF)
}

fn transfers_of(count: usize, reason: &str) -> Arc<[Transfer]> {
    let transfer = |number: usize| Transfer {
        amount: xof(1 + number as i64),
        credit: address(&format!("merchants:m{number}:available")),
        debit: address("providers:wave:receivable"),
        reason: Some(text(reason)),
    };
    (0..count).map(transfer).collect()
}
