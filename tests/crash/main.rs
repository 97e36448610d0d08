//! Processes that are killed with SIGKILL while they work: what they acknowledged is there afterwards, once.
//!
//! A child opens the journal with an index and snapshots so small that it is always in the middle of one of them, and
//! lets several callers submit. Whatever it is told it writes to a file at once. The parent kills it at a moment of its
//! choice and then looks: at the journal beside a naive model, at the answers to the same ids, at the read models.
//!
//! `CAURI_CRASH_ROUNDS=1000` kills more often; `CAURI_SEED=7` chooses other moments and commands.

mod child;
mod diary;
mod market;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cauri_domain::ledger::Ledger;
use cauri_domain::ledger::LedgerStream;
use cauri_engine::{Accepted, Engine, Mode, Outcome, Refused};
use cauri_event_schemas::Position;
use cauri_event_schemas::ledger::Recorded;
use cauri_event_store::conformance::material;
use cauri_event_store::embedded::EmbeddedStore;
use cauri_event_store::{EventStore, Unreadable};
use cauri_projections::GroupId;
use cauri_projections::digest::digest_of_replay;
use cauri_projections::runner::{Runner, RunnerConfig};
use cauri_tests::checker::{Checker, Submission};
use cauri_tests::maker::Random;

use crate::child::{INDEX, config};
use crate::diary::{Diary, Seen};

const LONG: Duration = Duration::from_secs(60);

#[test]
fn what_was_acknowledged_survives_every_kill() {
    let number = |variable: &str, default: u64| std::env::var(variable).ok().map_or(default, |text| text.parse().expect("a number"));
    let (rounds, seed) = (number("CAURI_CRASH_ROUNDS", 60), number("CAURI_SEED", 1));
    let mut test = Test::new(seed);
    for round in 0..rounds {
        test.kill(round);
        test.look(round);
        if round % 10 == 9 || round + 1 == rounds {
            test.look_closely();
        }
    }
    // Thousands where nothing else runs; how many is the machine's speed, that there are some is the test's use.
    assert!(test.acknowledged > rounds as usize, "only {} commands were acknowledged in {rounds} rounds", test.acknowledged);
    println!("{} commands acknowledged, {} not, in {rounds} rounds", test.acknowledged, test.unanswered);
}

struct Test {
    random: Random,
    dir: tempfile::TempDir,
    checker: Checker,
    diary: Diary,
    /// Acknowledged commands of all rounds, with what was told.
    told: Vec<(Submission, Vec<Outcome<LedgerStream>>)>,
    acknowledged: usize,
    unanswered: usize,
}

impl Test {
    fn new(seed: u64) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(dir.path().join("diary")).expect("a directory");
        let diary = Diary::default();
        let checker = Checker::new();
        Self { random: Random::of_seed(seed), dir, checker, diary, told: Vec::new(), acknowledged: 0, unanswered: 0 }
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Lets a child work for 20 to 150 ms and kills it; now and then already while it opens the journal.
    fn kill(&mut self, round: u64) {
        if self.random.once_in(10) {
            // It builds the index again, if it comes to that.
            for file in ["index.sqlite", "index.sqlite-wal", "index.sqlite-shm"] {
                let _ = std::fs::remove_file(self.data().join("journal").join(file));
            }
        }
        let mut child = self.start_child(round);
        let output = BufReader::new(child.stdout.take().expect("its output"));
        if self.random.once_in(6) {
            std::thread::sleep(Duration::from_millis(self.random.below(40)));
        } else {
            let works = output.lines().map_while(Result::ok).any(|line| line.contains("working"));
            assert!(works, "round {round}: the child did not get to work");
            std::thread::sleep(Duration::from_millis(20 + self.random.below(131)));
        }
        let ended = child.try_wait().expect("a child");
        assert_eq!(ended, None, "round {round}: the child ended by itself");
        child.kill().expect("SIGKILL");
        child.wait().expect("an end");
    }

    fn start_child(&self, round: u64) -> Child {
        Command::new(std::env::current_exe().expect("this program"))
            .args(["child::child_that_works_until_it_is_killed", "--exact", "--nocapture"])
            .env("CAURI_CRASH_CHILD", self.dir.path())
            .env("CAURI_CRASH_ROUND", round.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a child")
    }

    /// Looks at a copy of what the child left, so that the next child starts from what this one left.
    fn look(&mut self, round: u64) {
        let left = self.dir.path().join("left");
        copy(&self.data(), &left);
        let store = Arc::new(EmbeddedStore::open_with(&left.join("journal"), "ledger", INDEX).expect("a store"));

        let mut answered = Vec::new();
        for seen in self.diary.read(&self.dir.path().join("diary")) {
            match seen {
                Seen::Asked(submission) => {
                    self.checker.note(&submission);
                    self.unanswered += submission.commands.len();
                }
                Seen::Told(submission, outcomes) => {
                    self.unanswered -= submission.commands.len();
                    self.acknowledged += submission.commands.len();
                    answered.push((submission, outcomes));
                }
            }
        }
        self.checker.follow(&*store);
        for (submission, outcomes) in &answered {
            self.checker.check(submission, outcomes);
        }

        // The same ids again, of this round and of some before: the same answers, as replays, and nothing new.
        let engine = Engine::<Ledger>::start(store.clone(), config()).expect("an engine");
        let earlier = (0..20.min(self.told.len())).map(|_| self.random.of(&self.told));
        let earlier: Vec<_> = earlier.collect();
        for (submission, outcomes) in answered.iter().chain(&earlier) {
            let decided = |outcome: &Outcome<LedgerStream>| {
                matches!(outcome, Outcome::Accepted(_) | Outcome::Refused(Refused { position: Some(_), .. }))
            };
            let (commands, expected): (Vec<_>, Vec<Outcome<LedgerStream>>) = submission
                .commands
                .iter()
                .zip(outcomes)
                .filter(|(_, outcome)| decided(outcome))
                .map(|(asked, outcome)| (asked.envelope(), as_replay(outcome)))
                .unzip();
            let again = engine.submit_blocking(commands, Mode::Each).expect("outcomes").outcomes;
            assert_eq!(again, expected, "round {round}: another answer after the kill");
        }
        engine.stop();
        self.told.extend(answered);
    }

    /// The whole journal, the model's balances, and the read models against a rebuild.
    fn look_closely(&mut self) {
        let left = self.dir.path().join("left");
        copy(&self.data(), &left);
        let store = Arc::new(EmbeddedStore::open_with(&left.join("journal"), "ledger", INDEX).expect("a store"));
        material::check(&*store);
        store.check_index(|_| {}).expect("an index that leads everywhere");
        self.checker.check_balances(&*store);
        let head = store.head().expect("a head").position;
        let rebuilt = digest_of_replay(events(&*store), head).expect("a replay");

        let runner = Runner::start(store, &left.join("read"), RunnerConfig::default()).expect("a runner");
        let reading = runner.read_store();
        assert!(reading.wait_for_blocking(&GroupId::ALL, head, LONG), "the read models do not catch up: {:?}", runner.status());
        let moment = reading.snapshot().expect("a moment");
        for expected in rebuilt {
            let found = moment.digest(expected.name).expect("a digest").expect("a read model");
            assert_eq!((found.position, found.digest), (expected.position, expected.digest), "{} differs from a rebuild", expected.name);
        }
        drop(moment);
        runner.stop();
    }
}

fn events(store: &dyn EventStore) -> Vec<Result<Recorded, Unreadable>> {
    let records = store.read_journal(Position::ZERO, usize::MAX).expect("a journal");
    records
        .iter()
        .flat_map(|record| match record.as_record().decode::<Ledger>() {
            Ok(events) => events.into_iter().map(Ok).collect(),
            Err(unreadable) => vec![Err(unreadable)],
        })
        .collect()
}

fn as_replay(outcome: &Outcome<LedgerStream>) -> Outcome<LedgerStream> {
    match outcome.clone() {
        Outcome::Accepted(accepted) => Outcome::Accepted(Accepted { replayed: true, ..accepted }),
        Outcome::Refused(refused) => Outcome::Refused(Refused { replayed: true, ..refused }),
        other => other,
    }
}

/// Copies a directory whose process is dead.
fn copy(from: &Path, to: &Path) {
    if to.exists() {
        std::fs::remove_dir_all(to).expect("an old copy");
    }
    std::fs::create_dir_all(to).expect("a directory");
    // A child that was killed early may not have made it.
    let Ok(entries) = std::fs::read_dir(from) else { return };
    for entry in entries {
        let entry = entry.expect("an entry");
        if entry.path().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name())).expect("a copy");
        }
    }
}

#[test]
fn a_child_that_is_not_killed_stops_by_itself() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::create_dir(dir.path().join("diary")).expect("a directory");
    let start = Instant::now();
    child::work(dir.path(), 1, 0, Some(Duration::from_millis(200)));
    assert!(start.elapsed() < LONG);
    let mut diary = Diary::default();
    let seen = diary.read(&dir.path().join("diary"));
    let told = seen.iter().filter(|seen| matches!(seen, Seen::Told(..))).count();
    assert_eq!(told * 2, seen.len(), "everything that was asked was answered");
}
