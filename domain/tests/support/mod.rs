//! A ledger for tests: `Balances` and the entries in memory, commands as lines of text.
//!
//! It is a [`World`] that keeps its aggregates in a map, so that what decides here is what decides in the engine. Beside
//! that it holds every aggregate against the fold, and every look against what the command said that it needs.

mod given;
mod script;
mod values;

use std::collections::{HashMap, HashSet};

use cauri_domain::StreamVersion;
use cauri_domain::account::{Account, AccountEvent};
use cauri_domain::account_set::{AccountSetEvent, SetName};
use cauri_domain::entry::{Entry, EntryEvent};
use cauri_domain::event::EventSet;
use cauri_domain::fold::{Balances, Totals};
use cauri_domain::ids::{AccountAddress, CommandKey, EntryId};
use cauri_domain::journal::{self, Journal, JournalEvent, Rules};
use cauri_domain::kind::{Kind, Loaded, World, decide};
use cauri_domain::ledger::{self, LedgerAggregate, LedgerEvent, LedgerMark, LedgerStream};
use cauri_domain::text::ShortText;
use cauri_domain::time::Timestamp;
use cauri_domain::{LedgerCommand, Refusal, RefusalCode};

pub use given::{given, then_refused};
pub use script::command;
pub use values::*;

/// What a command did, with the stream that it happened to.
#[derive(Clone, Debug, PartialEq)]
pub enum Happened {
    Account(AccountAddress, AccountEvent),
    Entry(EntryId, EntryEvent),
    Set(SetName, AccountSetEvent),
    Journal(JournalEvent),
}

impl Happened {
    pub fn name(&self) -> &'static str {
        match self {
            Happened::Account(_, event) => event.name(),
            Happened::Entry(_, event) => event.name(),
            Happened::Set(_, event) => event.name(),
            Happened::Journal(event) => event.name(),
        }
    }
}

/// The whole decision state of a ledger, and all that ever happened in it.
pub struct Ledger {
    pub state: ledger::Ledger,
    pub entries: HashMap<EntryId, Entry>,
    pub history: Vec<Happened>,
    pub now: Timestamp,
    journal: Journal,
    journal_name: ShortText,
    commands: u32,
    /// The command that is decided, and what it said that it needs.
    key: CommandKey,
    needed: HashSet<LedgerStream>,
}

/// A moment of a ledger.
pub struct Moment {
    state: LedgerMark,
    entries: HashMap<EntryId, Entry>,
    history: usize,
    journal: Journal,
}

impl Loaded<ledger::Ledger> for Ledger {
    fn aggregate(&self, stream: &LedgerStream) -> Option<LedgerAggregate> {
        let LedgerStream::Entry(id) = stream else { return None };
        Some(LedgerAggregate::Entry(self.entries.get(id).cloned().unwrap_or_default()))
    }
}

impl World<ledger::Ledger> for Ledger {
    type Mark = Moment;

    fn now(&self) -> Timestamp {
        self.now
    }

    fn key(&self) -> &CommandKey {
        &self.key
    }

    fn journal_name(&self) -> &ShortText {
        &self.journal_name
    }

    fn journal(&self) -> &Journal {
        &self.journal
    }

    fn state(&self) -> &ledger::Ledger {
        &self.state
    }

    fn aggregate(&mut self, stream: &LedgerStream) -> LedgerAggregate {
        assert!(self.needed.contains(stream), "{stream} was looked at, and the command did not say that it needs it");
        Loaded::aggregate(self, stream).expect("an entry")
    }

    fn record(&mut self, stream: LedgerStream, event: LedgerEvent) {
        let version = match &stream {
            LedgerStream::Entry(id) => StreamVersion::new(self.events_of(*id) + 1),
            stream => self.state.version(stream).next(),
        };
        self.state.fold(&stream, version, &event).expect("what was decided can be folded");
        self.history.push(match (stream, event) {
            (LedgerStream::Account(address), LedgerEvent::Account(event)) => Happened::Account(address, event),
            (LedgerStream::Entry(id), LedgerEvent::Entry(event)) => {
                assert!(self.needed.contains(&LedgerStream::Entry(id)), "entry {id} was written, and the command did not need it");
                let entry = self.entries.remove(&id).unwrap_or_default();
                let entry = cauri_domain::entry::evolve(entry, &event).expect("what was decided follows");
                let held = matches!(entry, Entry::Held(_)).then(|| entry.clone());
                assert_eq!(self.balances().hold(&id), held, "the fold and the aggregate see one hold");
                let versions = held.as_ref().map(|_| version.get());
                assert_eq!(self.balances().hold_version(&id), versions, "the fold knows the version of an open hold");
                self.entries.insert(id, entry);
                Happened::Entry(id, event)
            }
            (LedgerStream::AccountSet(name), LedgerEvent::AccountSet(event)) => Happened::Set(name, event),
            (LedgerStream::Journal(_), LedgerEvent::Journal(event)) => {
                self.journal = journal::evolve(self.journal, &event).expect("what was decided follows");
                self.state.set_rules(self.journal.rules);
                Happened::Journal(event)
            }
            (stream, event) => panic!("{} of {stream}", event.name()),
        });
    }

    fn mark(&mut self) -> Moment {
        Moment { state: self.state.mark(), entries: self.entries.clone(), history: self.history.len(), journal: self.journal }
    }

    fn roll_back(&mut self, moment: Moment) {
        self.state.roll_back(moment.state);
        (self.entries, self.journal) = (moment.entries, moment.journal);
        self.state.set_rules(self.journal.rules);
        self.history.truncate(moment.history);
    }
}

impl Ledger {
    /// An empty ledger at 08:00 of a Monday.
    pub fn new() -> Self {
        Self {
            state: ledger::Ledger::empty(Rules::default()),
            entries: HashMap::new(),
            history: Vec::new(),
            now: start(),
            journal: Journal::default(),
            journal_name: "ledger".parse().expect("a name"),
            commands: 0,
            key: "none".parse().expect("a key"),
            needed: HashSet::new(),
        }
    }

    /// Every account and every open hold.
    pub fn balances(&self) -> &Balances {
        self.state.balances()
    }

    /// How many events an entry has.
    pub fn events_of(&self, entry: EntryId) -> u64 {
        self.history.iter().filter(|happened| matches!(happened, Happened::Entry(id, _) if *id == entry)).count() as u64
    }

    /// A ledger in which every line of the script was accepted.
    pub fn after(script: &str) -> Self {
        let mut ledger = Self::new();
        ledger.accepts(script);
        ledger
    }

    /// Runs the lines of a script, all of which must be accepted. Gives what they did.
    #[track_caller]
    pub fn accepts(&mut self, script: &str) -> Vec<Happened> {
        let before = self.history.len();
        for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
            if let Err(refusal) = self.run(line) {
                panic!("`{line}` was refused: {refusal}");
            }
        }
        self.history[before..].to_vec()
    }

    /// The answer to a line in one word or more: the events' names, or the refusal's code.
    pub fn says(&mut self, line: &str) -> String {
        match self.run(line) {
            Ok(happened) => happened.iter().map(Happened::name).collect::<Vec<_>>().join(" + "),
            Err(refusal) => refusal.code.to_string(),
        }
    }

    /// Runs one line.
    pub fn run(&mut self, line: &str) -> Result<Vec<Happened>, Refusal> {
        if let Some(secs) = line.strip_prefix("wait ") {
            self.now = script::offset(secs, self.now);
            self.expire();
            return Ok(Vec::new());
        }
        self.commands += 1;
        let id = format!("command-{}", self.commands).parse().expect("a command id");
        self.execute(&command(line, self.now, &id), &id)
    }

    /// Several lines as one request: all or none, the first refusal named, or each its own result.
    pub fn bulk(&mut self, atomic: bool, lines: &[&str]) -> Vec<String> {
        let moment = self.mark();
        let mut answers = Vec::new();
        for line in lines {
            let answer = self.says(line);
            let refused = answer.parse::<RefusalCode>().is_ok();
            answers.push(answer);
            if atomic && refused {
                self.roll_back(moment);
                return answers.split_off(answers.len() - 1);
            }
        }
        answers
    }

    /// Decides one command; what was refused leaves nothing behind.
    pub fn execute(&mut self, command: &LedgerCommand, id: &CommandKey) -> Result<Vec<Happened>, Refusal> {
        self.expire();
        let before = self.history.len();
        self.decide(command, id).map(|()| self.history[before..].to_vec())
    }

    /// Decides everything that fell due, as the engine does before anything else.
    fn expire(&mut self) {
        let due = |ledger: &Self| ledger.state.due().next().filter(|(at, _)| *at <= ledger.now);
        while let Some((_, due)) = due(self) {
            let (id, command) = ledger::Ledger::when_due(due);
            self.decide(&command, &CommandKey::without_caller(id)).expect("what fell due can be decided");
        }
    }

    fn decide(&mut self, command: &LedgerCommand, id: &CommandKey) -> Result<(), Refusal> {
        let mut needed = HashSet::new();
        self.state.needs(command, id, self, &mut |stream| {
            needed.insert(stream);
        });
        (self.key, self.needed) = (id.clone(), needed);
        decide::<ledger::Ledger, _>(command, self)
    }

    /// The totals of an account.
    #[track_caller]
    pub fn totals(&self, name: &str) -> Totals {
        self.balances().totals(&address(name)).expect("an account that was opened")
    }

    /// Balance and available on the account's normal side, in minor units.
    #[track_caller]
    pub fn balance(&self, name: &str) -> (i128, i128) {
        let number = self.balances().number(&address(name)).expect("an account that was opened");
        let (totals, kind) = (self.balances().totals_of(number), self.balances().terms(number).kind);
        (totals.balance(kind), totals.available(kind))
    }

    /// The account at an address.
    pub fn account_at(&self, name: &str) -> Account {
        self.balances().account(&address(name))
    }
}
