//! A ledger for tests: `Balances` and the entries in memory, commands as lines of text.
//!
//! It decides through `Aggregate::handle` alone, polled once, and composes a closing and a reversal as the
//! engine does: both aggregates of a command are decided, all events or none are kept.

mod given;
mod script;
mod values;

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use cauri_domain::account::{self, Account, AccountAction, AccountCommand, AccountEvent, CloseAccount};
use cauri_domain::entry::{self, Entry, EntryAction, EntryCommand, EntryEvent, ReverseEntry};
use cauri_domain::fold::{Balances, LedgerRules, Totals};
use cauri_domain::ids::{AccountAddress, CommandKey, EntryId};
use cauri_domain::journal::{Journal, JournalEvent};
use cauri_domain::time::Timestamp;
use cauri_domain::{LedgerCommand, Refusal, RefusalCode};
use cqrs_es::Aggregate;
use cqrs_es::event_sink::EventSink;

pub use given::{given, then_refused};
pub use script::command;
pub use values::*;

/// What a command did, with the stream that it happened to.
#[derive(Clone, Debug, PartialEq)]
pub enum Happened {
    Account(AccountAddress, AccountEvent),
    Entry(EntryId, EntryEvent),
    Journal(JournalEvent),
}

impl Happened {
    pub fn name(&self) -> &'static str {
        match self {
            Happened::Account(_, event) => event.name(),
            Happened::Entry(_, event) => event.name(),
            Happened::Journal(event) => event.name(),
        }
    }
}

/// The whole decision state of a ledger, and all that ever happened in it.
pub struct Ledger {
    pub balances: Balances,
    pub entries: HashMap<EntryId, Entry>,
    pub history: Vec<Happened>,
    pub now: Timestamp,
    journal: Journal,
    commands: u32,
}

impl Ledger {
    /// An empty ledger at 08:00 of a Monday.
    pub fn new() -> Self {
        Self {
            balances: Balances::new(LedgerRules::default()),
            entries: HashMap::new(),
            history: Vec::new(),
            now: start(),
            journal: Journal::default(),
            commands: 0,
        }
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
        let (mark, entries, history) = (self.balances.mark(), self.entries.clone(), self.history.len());
        let mut answers = Vec::new();
        for line in lines {
            let answer = self.says(line);
            let refused = answer.parse::<RefusalCode>().is_ok();
            answers.push(answer);
            if atomic && refused {
                self.balances.roll_back(mark);
                self.entries = entries;
                self.history.truncate(history);
                return answers.split_off(answers.len() - 1);
            }
        }
        answers
    }

    /// Decides one command; what was refused leaves nothing behind.
    pub fn execute(&mut self, command: &LedgerCommand, id: &CommandKey) -> Result<Vec<Happened>, Refusal> {
        self.expire();
        let mark = self.balances.mark();
        let (before, entries) = (self.history.len(), self.entries.clone());
        match self.decide(command, id) {
            Ok(()) => Ok(self.history[before..].to_vec()),
            Err(refusal) => {
                self.balances.roll_back(mark);
                self.entries = entries;
                self.history.truncate(before);
                Err(refusal)
            }
        }
    }

    /// Releases every hold whose time has passed, as the engine does before it decides.
    fn expire(&mut self) {
        while let Some(id) = self.balances.expired_hold(self.now) {
            self.entry(id, EntryAction::ExpireHold).expect("an open hold can expire");
        }
    }

    fn decide(&mut self, command: &LedgerCommand, id: &CommandKey) -> Result<(), Refusal> {
        if let LedgerCommand::CloseJournal(close) = command {
            for event in handled(&mut self.journal, (**close).clone(), &())? {
                self.history.push(Happened::Journal(event));
            }
            return Ok(());
        }
        self.journal.check_open()?;
        match command {
            LedgerCommand::Account(command) => match &*command.action {
                AccountAction::Close(close) => self.close(&command.address, close, id),
                _ => self.account(command.clone()),
            },
            LedgerCommand::Entry { id: entry, action } => match &**action {
                EntryAction::Reverse(reverse) => self.reverse(*entry, reverse, id),
                action => self.entry(*entry, action.clone()),
            },
            LedgerCommand::CloseJournal(_) => Ok(()),
        }
    }

    /// The sweep's entry and the closing, in one commit.
    fn close(&mut self, address: &AccountAddress, close: &CloseAccount, id: &CommandKey) -> Result<(), Refusal> {
        let account = self.balances.account(address);
        let sweep = account::decide::sweep(&account, address, close, id, &self.balances)?;
        let swept_by = sweep.as_ref().and_then(|sweep| sweep.id);
        if let (Some(sweep), Some(swept_by)) = (sweep, swept_by) {
            self.entry(swept_by, EntryAction::Post(sweep))?;
        }
        let action = AccountAction::Close(CloseAccount { entry_id: swept_by, ..close.clone() });
        self.account(AccountCommand { address: address.clone(), action: Arc::new(action) })
    }

    /// The reversal and the opposite entry, in one commit; of two refusals the first by precedence.
    fn reverse(&mut self, original: EntryId, reverse: &ReverseEntry, id: &CommandKey) -> Result<(), Refusal> {
        let by = reverse.entry_id.unwrap_or_else(|| EntryId::derived_from(id));
        let opposite = entry::decide::opposite(&self.state(original), original, reverse, by);
        let reversed = self.entry(original, EntryAction::Reverse(ReverseEntry { entry_id: Some(by), ..reverse.clone() }));
        let Some(opposite) = opposite else { return reversed };
        match (reversed, self.entry(by, EntryAction::Post(opposite))) {
            (Ok(()), posted) => posted,
            (Err(first), Err(second)) => Err(std::cmp::min_by_key(first, second, |refusal| refusal.code)),
            (reversed, Ok(())) => reversed,
        }
    }

    fn account(&mut self, command: AccountCommand) -> Result<(), Refusal> {
        let address = command.address.clone();
        let mut account = self.balances.account(&address);
        for event in handled(&mut account, command, &self.balances)? {
            self.balances.apply_account(&address, &event).expect("what was decided can be folded");
            self.history.push(Happened::Account(address.clone(), event));
        }
        assert_eq!(self.balances.account(&address), account, "the fold and the aggregate see one account");
        Ok(())
    }

    fn entry(&mut self, id: EntryId, action: EntryAction) -> Result<(), Refusal> {
        let mut entry = self.state(id);
        for event in handled(&mut entry, EntryCommand { now: self.now, action: Arc::new(action) }, &self.balances)? {
            self.balances.apply_entry(&id, &event).expect("what was decided can be folded");
            self.history.push(Happened::Entry(id, event));
        }
        let held = matches!(entry, Entry::Held(_)).then(|| entry.clone());
        assert_eq!(self.balances.hold(&id), held, "the fold and the aggregate see one hold");
        self.entries.insert(id, entry);
        Ok(())
    }

    fn state(&self, id: EntryId) -> Entry {
        self.entries.get(&id).cloned().unwrap_or_default()
    }

    /// The totals of an account.
    #[track_caller]
    pub fn totals(&self, name: &str) -> Totals {
        self.balances.totals(&address(name)).expect("an account that was opened")
    }

    /// Balance and available on the account's normal side, in minor units.
    #[track_caller]
    pub fn balance(&self, name: &str) -> (i128, i128) {
        let number = self.balances.number(&address(name)).expect("an account that was opened");
        let (totals, kind) = (self.balances.totals_of(number), self.balances.terms(number).kind);
        (totals.balance(kind), totals.available(kind))
    }

    /// The account at an address.
    pub fn account_at(&self, name: &str) -> Account {
        self.balances.account(&address(name))
    }
}

/// Runs an aggregate's `handle`: it awaits nothing but its sink, so it is ready at its first poll.
fn handled<A: Aggregate>(aggregate: &mut A, command: A::Command, services: &A::Services) -> Result<Vec<A::Event>, A::Error> {
    let sink = EventSink::default();
    polled(aggregate.handle(command, services, &sink))?;
    Ok(polled(sink.collect()))
}

fn polled<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("an aggregate awaits nothing but its sink"),
    }
}
