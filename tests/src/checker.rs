//! Compares what an engine answered and wrote with the naive model, command by command in the order of the journal.

use std::collections::{BTreeMap, HashMap};

use cauri_domain::RefusalCode;
use cauri_domain::event::EventSet;
use cauri_domain::fold::Balances;
use cauri_domain::ids::CommandKey;
use cauri_domain::journal::Rules;
use cauri_domain::ledger::Ledger;
use cauri_domain::ledger::LedgerStream;
use cauri_domain::time::Timestamp;
use cauri_engine::{Accepted, Mode, Outcome, Refused};
use cauri_event_schemas::ledger::{Event, Recorded, StreamId};
use cauri_event_schemas::{Fingerprint, Position};
use cauri_event_store::EventStore;
use cauri_event_store::conformance::material;

use crate::ask::Asked;
use crate::model::{Done, Model, Status};

/// One submission: its commands and how they belong together.
#[derive(Clone, Debug)]
pub struct Submission {
    /// The commands in order.
    pub commands: Vec<Asked>,
    /// All or none, or each for itself.
    pub mode: Mode,
}

/// What the journal says of a command, after it was compared with the model.
#[derive(Clone, Debug, PartialEq)]
enum Written {
    Accepted { first: Position, last: Position, recorded_at: Timestamp, done: Done },
    Refused { code: RefusalCode, position: Position },
}

/// Follows a journal with the model beside it.
pub struct Checker {
    /// The model at the position that was followed to.
    pub model: Model,
    asked: HashMap<(CommandKey, Fingerprint), (Asked, Option<usize>)>,
    groups: Vec<Vec<(CommandKey, Fingerprint)>>,
    written: HashMap<CommandKey, (Fingerprint, Written)>,
    followed: Position,
    /// How often each kind of command was accepted, and each refusal given.
    pub tally: BTreeMap<String, u64>,
}

/// The events of one command as they stand in the journal.
struct Commit {
    command: CommandKey,
    fingerprint: Fingerprint,
    records: Vec<Recorded>,
}

impl Default for Checker {
    fn default() -> Self {
        Self::new()
    }
}

impl Checker {
    /// At the beginning of a journal.
    pub fn new() -> Self {
        Self {
            model: Model::new(Rules::default().max_future_secs()),
            asked: HashMap::new(),
            groups: Vec::new(),
            written: HashMap::new(),
            followed: Position::ZERO,
            tally: BTreeMap::new(),
        }
    }

    /// Takes note of a submission before it is made. Commands that were noted before are retries.
    pub fn note(&mut self, submission: &Submission) {
        let ids: Vec<(CommandKey, Fingerprint)> = submission
            .commands
            .iter()
            .map(|asked| {
                let envelope = asked.envelope();
                (envelope.key, envelope.fingerprint)
            })
            .collect();
        let group = (submission.mode == Mode::Atomic).then_some(self.groups.len());
        if group.is_some() {
            self.groups.push(ids.clone());
        }
        for (id, asked) in ids.into_iter().zip(&submission.commands) {
            self.asked.entry(id).or_insert_with(|| (asked.clone(), group));
        }
    }

    /// Lets the model decide everything that was written since, in the same order, and compares.
    pub fn follow(&mut self, store: &dyn EventStore) {
        let mut commits = self.commits_after(store, self.followed).into_iter().peekable();
        while let Some(commit) = commits.next() {
            let (first, last) = (&commit.records[0], &commit.records[commit.records.len() - 1]);
            assert_eq!(first.position, self.followed.next(), "positions have no gaps");
            let now = first.recorded_at.as_micros();
            self.followed = last.position;
            if let Some(entry) = commit.command.id.as_str().strip_prefix("hold-expiry/") {
                self.count("hold_expired");
                let id = entry.parse::<cauri_domain::ids::EntryId>().expect("an entry").as_u128();
                assert_eq!(self.model.due(now).first(), Some(&id), "{} expired out of turn", commit.command);
                assert!(self.model.expire(id, now), "{} was not due", commit.command);
                assert_eq!(commit.records.len(), 1);
                continue;
            }
            assert_eq!(self.model.due(now), [], "before {} is decided every hold whose time has passed expires", commit.command);
            let key = (commit.command.clone(), commit.fingerprint);
            let (asked, group) = self.asked.get(&key).unwrap_or_else(|| panic!("nobody asked for {}", commit.command)).clone();
            let Some(group) = group else {
                self.single(&asked, commit, now);
                continue;
            };
            let mut of_group = vec![commit];
            // The model says how many commits of the group there must be.
            let expected = self.group(group, now);
            while of_group.len() < expected.len() {
                let next = commits.next().unwrap_or_else(|| panic!("a part of an atomic submission is missing: {:?}", self.groups[group]));
                self.followed = next.records[next.records.len() - 1].position;
                of_group.push(next);
            }
            for (commit, (command, verdict)) in of_group.into_iter().zip(expected) {
                assert_eq!(commit.command, command, "the commits of an atomic submission stand together, in order");
                assert_eq!(commit.records[0].recorded_at.as_micros(), now, "an atomic submission is decided at one time");
                self.compare(commit, verdict);
            }
        }
    }

    /// Compares what a submission was answered with what is in the journal; it was followed to its end.
    pub fn check(&self, submission: &Submission, outcomes: &[Outcome<LedgerStream>]) {
        assert_eq!(outcomes.len(), submission.commands.len(), "one outcome for each command");
        for (index, (asked, outcome)) in submission.commands.iter().zip(outcomes).enumerate() {
            let envelope = asked.envelope();
            let written = self.written.get(&envelope.key);
            let same = written.filter(|(fingerprint, _)| *fingerprint == envelope.fingerprint).map(|(_, written)| written);
            match outcome {
                Outcome::Accepted(Accepted { first, last, version, begun, recorded_at, .. }) => {
                    let entry = begun.as_ref().and_then(StreamId::as_entry).map(|entry| entry.as_u128());
                    let done = Done { events: last.get() + 1 - first.get(), version: version.get(), entry };
                    let told = Written::Accepted { first: *first, last: *last, recorded_at: *recorded_at, done };
                    assert_eq!(same, Some(&told), "{asked:?}");
                }
                Outcome::Refused(Refused { refusal, position: Some(position), .. }) => {
                    assert_eq!(same, Some(&Written::Refused { code: refusal.code, position: *position }), "{asked:?}: {refusal}");
                }
                Outcome::Refused(Refused { refusal, position: None, recorded_at: _, replayed }) => match refusal.code {
                    RefusalCode::IdempotencyKeyReused => {
                        assert!(written.is_some() && same.is_none() && !replayed, "{asked:?} was not used with another body");
                    }
                    RefusalCode::JournalClosed => assert!(self.model.is_closed() && written.is_none(), "{asked:?}"),
                    other => panic!("{asked:?}: {other} is not remembered"),
                },
                Outcome::VersionMismatch { actual } => {
                    assert!(asked.expected_version.is_some_and(|expected| expected != actual.get()), "{asked:?}: {actual}");
                }
                Outcome::Failed { what } => panic!("{asked:?}: a rule failed: {what}"),
                Outcome::NotApplied { because_of } => {
                    assert_eq!(submission.mode, Mode::Atomic);
                    assert_ne!(*because_of, index);
                    let cause = &outcomes[*because_of];
                    assert!(!matches!(cause, Outcome::Accepted(_) | Outcome::NotApplied { .. }), "{asked:?} because of {cause:?}");
                }
            }
        }
    }

    /// Compares the totals of every account, by the model and by the journal, and verifies the journal itself.
    pub fn check_balances(&self, store: &dyn EventStore) {
        material::check(store);
        let mut balances = Balances::new(Rules::default());
        for commit in self.commits_after(store, Position::ZERO) {
            for record in &commit.records {
                match (&record.stream, &record.event) {
                    (StreamId::Account(address), Event::Account(event)) => balances.apply_account(address, event).expect("a legal event"),
                    (StreamId::Entry(id), Event::Entry(event)) => balances.apply_entry(id, event).expect("a legal event"),
                    _ => {}
                }
            }
        }
        for (currency, debits, credits) in balances.sums() {
            assert_eq!(debits, credits, "{currency}");
        }
        assert_eq!(balances.accounts().len(), self.model.accounts.len());
        for row in balances.accounts().iter() {
            let ours = &self.model.accounts[row.address.as_str()];
            let totals = row.totals;
            assert_eq!(
                (totals.debits_posted, totals.credits_posted, totals.debits_pending, totals.credits_pending),
                (ours.debits_posted, ours.credits_posted, ours.debits_pending, ours.credits_pending),
                "{}",
                row.address
            );
            let status = match ours.status {
                Status::Open => "open",
                Status::Frozen => "frozen",
                Status::Closed => "closed",
            };
            assert_eq!((row.account.status(), u64::from(row.version)), (status, ours.version), "{}", row.address);
        }
        let mut holds: Vec<u128> = balances.holds().map(|(id, _)| id.as_u128()).collect();
        holds.sort_unstable();
        assert_eq!(holds, self.model.open_holds());
    }

    fn single(&mut self, asked: &Asked, commit: Commit, now: i64) {
        if let Some(expected) = asked.expected_version {
            assert_eq!(self.model.version_of(&asked.ask), expected, "{asked:?} was decided at another version");
        }
        let verdict = self.model.decide(asked, now);
        self.compare(commit, verdict);
    }

    /// What the model writes for an atomic submission: all of its commands that are new, or one refusal.
    fn group(&mut self, group: usize, now: i64) -> Vec<(CommandKey, Result<Done, RefusalCode>)> {
        for key in &self.groups[group] {
            let refused = matches!(self.written.get(&key.0), Some((fingerprint, Written::Refused { .. })) if *fingerprint == key.1);
            assert!(!refused, "{} was refused before: its submission is answered with that, and writes nothing", key.0);
        }
        let before = self.model.clone();
        let mut done: Vec<(CommandKey, Result<Done, RefusalCode>)> = Vec::new();
        for key in &self.groups[group] {
            let again = done.iter().any(|(command, _)| *command == key.0);
            match self.written.get(&key.0) {
                Some((fingerprint, Written::Accepted { .. })) if *fingerprint == key.1 => continue,
                Some(_) => panic!("{} leaves nothing of its submission to write", key.0),
                None if again => continue,
                None => {}
            }
            let (asked, _) = &self.asked[key];
            if let Some(expected) = asked.expected_version {
                assert_eq!(self.model.version_of(&asked.ask), expected, "{asked:?} was decided at another version");
            }
            let verdict = self.model.decide(asked, now);
            if verdict.is_err() {
                self.model = before;
                return vec![(key.0.clone(), verdict)];
            }
            done.push((key.0.clone(), verdict));
        }
        done
    }

    fn count(&mut self, what: &str) {
        *self.tally.entry(what.to_owned()).or_default() += 1;
    }

    fn compare(&mut self, commit: Commit, verdict: Result<Done, RefusalCode>) {
        let (first, last) = (commit.records[0].position, commit.records[commit.records.len() - 1].position);
        match &commit.records[0].event {
            Event::Command(cauri_domain::command::CommandEvent::Refused(refused)) => self.count(refused.code.as_str()),
            event => self.count(event.name()),
        }
        let written = match (&commit.records[0].event, verdict) {
            (Event::Command(cauri_domain::command::CommandEvent::Refused(refused)), verdict) => {
                assert_eq!(verdict, Err(refused.code), "{}: {}", commit.command, refused.detail);
                assert_eq!(first, last);
                Written::Refused { code: refused.code, position: first }
            }
            (event, verdict) => {
                let done = verdict.unwrap_or_else(|code| panic!("{} wrote {} where the model says {code}", commit.command, event.name()));
                assert_eq!(done.events, commit.records.len() as u64, "events of {}", commit.command);
                Written::Accepted { first, last, recorded_at: commit.records[0].recorded_at, done }
            }
        };
        let before = self.written.insert(commit.command.clone(), (commit.fingerprint, written));
        assert_eq!(before, None, "{} was committed twice", commit.command);
    }

    fn commits_after(&self, store: &dyn EventStore, after: Position) -> Vec<Commit> {
        let mut commits: Vec<Commit> = Vec::new();
        for stored in store.read_journal(after.next(), usize::MAX).expect("a journal") {
            for record in stored.as_record().decode::<Ledger>().expect("an event") {
                match (record.metadata.fingerprint, commits.last_mut()) {
                    (Some(fingerprint), _) => {
                        commits.push(Commit { command: record.metadata.key(), fingerprint, records: vec![record] });
                    }
                    (None, Some(commit)) if record.metadata.is_of(&commit.command) => commit.records.push(record),
                    (None, _) => panic!("{} stands in no commit", record.position),
                }
            }
        }
        commits
    }
}
