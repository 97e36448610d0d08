//! What a ledger promises: accounts, entries, holds, sums, limits, account sets.

use cauri_domain::Kind;
use cauri_domain::fold::{Balances, FrozenBalances};
use cauri_domain::journal::{self, Rules};
use cauri_event_store::Snapshot;
use hashbrown::HashMap;

use super::super::{AggregateCheck, Check, KindChecks, of_aggregates, versions};
use super::double_entry::{self, Sums};
use super::entries::{self, Entries};
use super::holds::Holds;
use super::limits;
use crate::finding::Findings;
use crate::ledger::{Account, Ledger, Number, Totals};
use crate::reading::{EntryKey, Fact, Happening, Motion, Moved, ReadBatch, Seed, Stream};

/// All checks of a ledger, at one position.
pub(crate) struct LedgerChecks {
    seed: Seed,
    entries: Entries,
    holds: Holds,
    sums: Sums,
    ledger: Ledger,
    /// How many records each stream of another aggregate has.
    others: HashMap<Box<[u8]>, u64>,
    of_aggregates: Vec<Box<dyn AggregateCheck>>,
    /// Kept between records, so that none allocates.
    resolved: Vec<(Option<Number>, Option<Number>)>,
}

impl LedgerChecks {
    pub(crate) fn new(seed: &Seed) -> Self {
        Self {
            seed: seed.clone(),
            entries: Entries::default(),
            holds: Holds::default(),
            sums: Sums::default(),
            ledger: Ledger::default(),
            others: HashMap::new(),
            of_aggregates: of_aggregates(seed),
            resolved: Vec::new(),
        }
    }

    fn moved(&mut self, batch: &ReadBatch, fact: &Fact, (id, hash): (&EntryKey, u64), moved: &Moved, findings: &mut Findings) {
        let transfers = &batch.movements[moved.transfers.clone()];
        let mut resolved = std::mem::take(&mut self.resolved);
        resolved.clear();
        resolved
            .extend(transfers.iter().map(|movement| (self.ledger.find(batch, movement.debit), self.ledger.find(batch, movement.credit))));
        double_entry::accounts(batch, fact, moved, &resolved, &self.ledger, findings);
        entries::open(&self.ledger, fact, moved, &resolved, findings);
        if self.entries.entry(batch, fact, (id, hash), &resolved, &self.seed, findings) {
            match moved.motion {
                Motion::Posted => {}
                Motion::Held => self.holds.held(*id, moved, transfers, &resolved),
                Motion::HoldPosted | Motion::HoldVoided | Motion::HoldExpired => {
                    if let Some(held) = self.holds.resolve(id, fact, moved, transfers, &resolved, findings) {
                        held.give_back(&mut self.ledger);
                    }
                }
            }
            for (movement, (debit, credit)) in transfers.iter().zip(&resolved) {
                let minor = i128::from(movement.minor);
                match moved.motion {
                    Motion::Posted | Motion::HoldPosted => self.ledger.post(minor, *debit, *credit),
                    Motion::Held => self.ledger.pend(minor, *debit, *credit),
                    Motion::HoldVoided | Motion::HoldExpired => {}
                }
                self.sums.add(moved.motion, movement, debit.is_some(), credit.is_some());
            }
            self.sums.check(fact, findings);
            for number in resolved.iter().flat_map(|(debit, credit)| [debit, credit]).flatten() {
                limits::check(&mut self.ledger, *number, fact.position, findings);
            }
        }
        self.resolved = resolved;
    }
}

impl KindChecks for LedgerChecks {
    /// Each is a miss in a table of a gigabyte; side by side, without anything to decide between them, many of them are on
    /// their way at once.
    fn touch(&self, facts: &[Fact]) {
        for fact in facts {
            if let Stream::Entry(_, hash) = fact.stream {
                self.entries.touch(hash);
            }
        }
    }

    fn begin_commit(&mut self, findings: &mut Findings) {
        self.entries.end_commit(findings);
    }

    fn record(&mut self, batch: &ReadBatch, fact: &Fact, findings: &mut Findings) {
        if fact.part == 0 {
            self.holds.none_outlived(fact, findings);
        }
        match (&fact.stream, &fact.event) {
            (Stream::Entry(id, hash), Happening::Moved(moved)) => self.moved(batch, fact, (id, *hash), moved, findings),
            (Stream::Entry(id, hash), Happening::Reversed { .. } | Happening::Noted(_)) => {
                self.entries.entry(batch, fact, (id, *hash), &[], &self.seed, findings);
            }
            (Stream::Account(address, hash), Happening::Account(event)) => {
                let number = self.ledger.number(batch.text(*address), *hash);
                let so_far = number.map_or(0, |number| self.ledger.account(number).version);
                versions::check(batch, fact, so_far, findings);
                if let Some(number) = self.entries.account(batch, fact, (*address, *hash), event, &mut self.ledger, findings) {
                    limits::check(&mut self.ledger, number, fact.position, findings);
                }
            }
            (Stream::Other(name, _), Happening::Other(event)) => {
                let so_far = self.others.entry(batch.text(*name).into()).or_default();
                versions::check(batch, fact, *so_far, findings);
                *so_far += u64::from(fact.part == 0);
                for check in &mut self.of_aggregates {
                    check.record(batch, fact, event, &self.ledger, findings);
                }
            }
            // Of a command or the journal itself; and an event in a stream of another kind `schemas` has told.
            _ => {}
        }
    }

    fn compare_snapshot(&self, snapshot: &Snapshot, findings: &mut Findings) -> String {
        let position = snapshot.head.position;
        let (of, balances) = match postcard::from_bytes::<Frozen>(&snapshot.state) {
            Ok((journal::FROZEN_SHAPE, cauri_domain::Ledger::FROZEN_SHAPE, kind, of, balances)) if kind == cauri_domain::Ledger::NAME => {
                (of, Balances::thaw(balances, Rules::default()))
            }
            _ => return format!("the one at {position} is of another program's shape: only its head was compared"),
        };
        let mut told = |what: String| findings.at(Check::Snapshots, position, what);
        if of != position.get() {
            told(format!("the snapshot at {position} says that it is of position {of}"));
        }
        let accounts = self.ledger.accounts();
        if balances.accounts().len() != accounts.len() {
            told(format!("the snapshot has {} accounts, the journal {}", balances.accounts().len(), accounts.len()));
        }
        for (row, account) in balances.accounts().iter().zip(accounts) {
            let totals = Totals {
                debits_posted: row.totals.debits_posted.into(),
                credits_posted: row.totals.credits_posted.into(),
                debits_pending: row.totals.debits_pending.into(),
                credits_pending: row.totals.credits_pending.into(),
            };
            let Account { address, state, version, .. } = account;
            if (row.address.as_str(), &row.account, u64::from(row.version), totals) != (address, state, *version, account.totals) {
                let journal = format!("{state:?}, {:?}, version {version}", account.totals);
                told(format!("account {address} is in the snapshot with {row:?}, in the journal with {journal}"));
            }
        }
        // The pending totals above include what each hold claims.
        if balances.open_holds() != self.holds.len() {
            told(format!("the snapshot has {} open holds, the journal {}", balances.open_holds(), self.holds.len()));
        }
        format!("{} accounts and {} open holds compared at {position}", balances.accounts().len(), balances.open_holds())
    }

    fn end(&mut self, findings: &mut Findings) {
        self.entries.end_commit(findings);
        self.sums.end(&self.ledger, findings);
        self.holds.end(&self.ledger, findings);
    }

    fn holding(&self) -> Vec<(&'static str, u64)> {
        vec![("entries", self.entries.len()), ("accounts", self.ledger.accounts().len() as u64), ("open_holds", self.holds.len() as u64)]
    }
}

/// The engine's snapshot as far as it is looked into: the numbers of its shapes, the kind, the position, the balances. What
/// follows in the bytes is left alone.
type Frozen = (u32, u32, String, u64, FrozenBalances);
