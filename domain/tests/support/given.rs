//! Given a script, when a line, then events or a refusal: `cqrs_es::test::TestFramework` on folded balances.

use cauri_domain::account::Account;
use cauri_domain::account_set::AccountSet;
use cauri_domain::entry::{Entry, EntryCommand};
use cauri_domain::fold::Balances;
use cauri_domain::ids::CommandKey;
use cauri_domain::journal::Rules;
use cauri_domain::{LedgerCommand, Refusal, RefusalCode};
use cqrs_es::Aggregate;
use cqrs_es::test::{AggregateResultValidator, TestFramework};

use super::{Happened, Ledger, command};

/// What had happened before the command.
pub struct Given(Ledger);

/// Given a ledger in which all of this was accepted.
pub fn given(script: &str) -> Given {
    Given(Ledger::after(script))
}

impl Given {
    /// The same, and then time passed without anybody looking.
    pub fn later(mut self, secs: i64) -> Self {
        self.0.now = self.0.now.saturating_add_secs(secs);
        self
    }

    /// When an account is asked.
    pub fn when_account(self, line: &str) -> AggregateResultValidator<Account> {
        let LedgerCommand::Account(command) = command(line, self.0.now, &id()) else { panic!("`{line}` is for no account") };
        let events = self.0.history.iter().filter_map(|happened| match happened {
            Happened::Account(address, event) if *address == command.address => Some(event.clone()),
            _ => None,
        });
        TestFramework::with(self.balances()).given(events.collect()).when(command)
    }

    /// When an entry is asked.
    pub fn when_entry(self, line: &str) -> AggregateResultValidator<Entry> {
        let LedgerCommand::Entry { id, action } = command(line, self.0.now, &id()) else { panic!("`{line}` is for no entry") };
        let events = self.0.history.iter().filter_map(|happened| match happened {
            Happened::Entry(entry, event) if *entry == id => Some(event.clone()),
            _ => None,
        });
        TestFramework::with(self.balances()).given(events.collect()).when(EntryCommand { now: self.0.now, action })
    }

    /// When an account set is asked.
    pub fn when_set(self, line: &str) -> AggregateResultValidator<AccountSet> {
        let LedgerCommand::AccountSet(command) = command(line, self.0.now, &id()) else { panic!("`{line}` is for no account set") };
        let events = self.0.history.iter().filter_map(|happened| match happened {
            Happened::Set(name, event) if *name == command.name => Some(event.clone()),
            _ => None,
        });
        let (events, now) = (events.collect(), self.0.now);
        TestFramework::with(self.0.state).given(events).when((now, command))
    }

    /// The balances as a replay sees them: folded from events alone.
    pub fn balances(&self) -> Balances {
        let mut balances = Balances::new(Rules::default());
        for happened in &self.0.history {
            match happened {
                Happened::Account(address, event) => balances.apply_account(address, event),
                Happened::Entry(id, event) => balances.apply_entry(id, event),
                Happened::Set(..) | Happened::Journal(_) => Ok(()),
            }
            .expect("what was decided can be folded");
        }
        balances
    }
}

/// Then it is refused with this code, pointing there.
#[track_caller]
pub fn then_refused<A: Aggregate<Error = Refusal>>(result: AggregateResultValidator<A>, code: RefusalCode, pointer: Option<&str>) {
    let refusal = match result.inspect_result() {
        Ok(events) => panic!("expected {code}, got {events:?}"),
        Err(refusal) => refusal,
    };
    assert_eq!((refusal.code, refusal.pointer.as_deref()), (code, pointer), "{}", refusal.detail);
    assert!(!refusal.detail.is_empty(), "a person needs to know more than the code");
}

fn id() -> CommandKey {
    "command-under-test".parse().expect("a command id")
}
