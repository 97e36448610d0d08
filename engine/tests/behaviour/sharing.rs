//! Several engines on one journal: they see one another's commands, lose none and double none.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cauri_domain::LedgerCommand;
use cauri_domain::RefusalCode::*;
use cauri_domain::account::AccountKind;
use cauri_domain::event::EventSet;
use cauri_domain::fold::Balances;
use cauri_domain::ids::CommandKey;
use cauri_domain::ledger::Ledger;
use cauri_domain::ledger::LedgerStream;
use cauri_engine::{CommandEnvelope, Coordination, Engine, EngineConfig, ManualClock, Mode, Outcome, SubmitError};
use cauri_event_schemas::StreamVersion;
use cauri_event_store::EventStore;
use cauri_event_store::memory::{Fault, MemoryStore};
use fastrand::Rng;

use crate::story::{
    accepted, as_replay, close, commits, config, events, floor_zero, freeze, hold, limits, morning, one, open, post, post_hold, refused,
    reverse, seeds, some_command, submit, unfreeze, verified, void_hold, wallets,
};

const MODES: [Coordination; 2] = [Coordination::Turns, Coordination::Optimistic];

struct Two {
    journal: MemoryStore,
    stores: [MemoryStore; 2],
    clocks: [ManualClock; 2],
    engines: [Engine<Ledger>; 2],
}

fn two(coordination: Coordination) -> Two {
    let journal = MemoryStore::shared("ledger");
    let stores = [journal.for_another_engine(), journal.for_another_engine()];
    let clocks = [ManualClock::at(morning()), ManualClock::at(morning())];
    let engines = [0, 1].map(|index| {
        let config = EngineConfig { coordination, snapshot_every: 100, ..config(&clocks[index]) };
        Engine::start(Arc::new(stores[index].clone()), config).expect("an engine")
    });
    Two { journal, stores, clocks, engines }
}

#[test]
fn each_engine_goes_on_from_what_the_other_wrote() {
    for coordination in MODES {
        let Two { journal, engines: [left, right], .. } = two(coordination);
        let engines = [&left, &right];
        let story = [
            open("world", AccountKind::Equity, None),
            open("a", AccountKind::Liability, floor_zero()),
            post("funds", "world", "a", 100),
            hold("h1", "a", "world", 10, None),
            // A hold that the other engine made, resolved by this one: in every way.
            post_hold("p1", "h1", Some(4)),
            hold("h2", "a", "world", 10, None),
            void_hold("v2", "h2"),
            post("p", "a", "world", 6),
            reverse("r", "p"),
            crate::story::change_limits("l", "a", limits(Some(-5), None)),
            freeze("f", "a"),
            unfreeze("u", "a"),
            hold("h3", "a", "world", 1, None),
            close("c", "a", Some("world")),
            void_hold("v3", "h3"),
            crate::story::reopen("o", "a"),
        ];
        for (index, command) in story.iter().enumerate() {
            let answer = one(engines[index % 2], command);
            assert!(!accepted(&answer).replayed, "{coordination:?}: {}", command.key);
            assert_eq!(one(engines[(index + 1) % 2], command), as_replay(&answer), "{coordination:?}: {}", command.key);
        }
        for engine in engines {
            assert_eq!(refused(&one(engine, &reverse("again", "p"))).refusal.code, AlreadyReversed);
            assert!(engine.is_running());
        }
        verified(&journal);
    }
}

#[test]
fn a_version_is_compared_with_what_the_other_engine_wrote() {
    for coordination in MODES {
        let Two { journal, engines: [left, right], .. } = two(coordination);
        let at = |version: u64, command: CommandEnvelope<LedgerCommand>| CommandEnvelope {
            expected_version: Some(StreamVersion::new(version)),
            ..command
        };
        let mismatch = |actual: u64| Outcome::VersionMismatch { actual: StreamVersion::new(actual) };
        accepted(&one(&left, &open("a", AccountKind::Liability, None)));
        for round in 0..10 {
            let version = 2 * round + 1;
            accepted(&one(&left, &at(version, freeze(&format!("f{round}"), "a"))));
            let stale = one(&right, &at(version, unfreeze(&format!("u{round}"), "a")));
            assert_eq!(stale, mismatch(version + 1), "{coordination:?}");
            let seen = one(&right, &at(version + 1, unfreeze(&format!("u{round}"), "a")));
            assert_eq!(accepted(&seen).version.get(), version + 2, "{coordination:?}");
            assert_eq!(one(&left, &at(version + 1, freeze(&format!("x{round}"), "a"))), mismatch(version + 2), "{coordination:?}");
        }
        verified(&journal);
    }
}

#[test]
fn an_engine_that_has_nothing_to_do_follows_the_other() {
    for coordination in MODES {
        let Two { engines: [left, right], .. } = two(coordination);
        for number in 0..10 {
            accepted(&one(&left, &open(&format!("a{number}"), AccountKind::Liability, None)));
        }
        accepted(&one(&left, &hold("h", "a0", "a1", 1, None)));
        let deadline = Instant::now() + Duration::from_secs(30);
        while (right.stats().state.accounts, right.stats().state.open_holds) != (10, 1) {
            assert!(Instant::now() < deadline, "{coordination:?}: a standby that does not follow is not hot");
            std::thread::yield_now();
        }
    }
}

#[test]
fn a_hold_expires_once_however_many_engines_look_at_it() {
    for coordination in MODES {
        let Two { journal, clocks, engines: [left, right], .. } = two(coordination);
        submit(&left, &wallets(), Mode::Each);
        let holds: Vec<_> = (0..50)
            .map(|number| hold(&format!("h{number}"), "world", "w0", 1, Some(morning().saturating_add_secs(number % 5 + 1))))
            .collect();
        submit(&right, &holds, Mode::Each);
        for _ in 0..5 {
            for clock in &clocks {
                clock.advance_micros(1_000_000);
            }
            std::thread::scope(|scope| {
                for engine in [&left, &right] {
                    scope.spawn(move || one(engine, &post("any", "world", "w1", 1)));
                }
            });
        }
        let expired = events(&journal).iter().filter(|record| record.event.name() == "entry.hold_expired").count();
        assert_eq!(expired, 50, "{coordination:?}");
        assert_eq!(verified(&journal).open_holds(), 0);
    }
}

#[test]
fn recorded_time_does_not_go_back_where_one_clock_is_behind() {
    for coordination in MODES {
        let Two { journal, clocks, engines, .. } = two(coordination);
        submit(&engines[0], &wallets(), Mode::Each);
        clocks[0].advance_micros(3_600_000_000);
        for number in 0..20 {
            accepted(&one(&engines[number % 2], &post(&format!("k{number}"), "world", "w0", 1)));
        }
        verified(&journal);
    }
}

/// What a caller was told of each id; ids are shared between callers of both engines.
type Told = HashMap<CommandKey, Outcome<LedgerStream>>;

fn told(asked: Vec<(CommandEnvelope<LedgerCommand>, Outcome<LedgerStream>)>) -> Told {
    let mut told = Told::new();
    for (command, outcome) in asked {
        let first = told.entry(command.key.clone()).or_insert_with(|| as_replay(&outcome)).clone();
        assert_eq!(first, as_replay(&outcome), "{} was told two things", command.key);
    }
    told
}

fn asked_until_told(engine: &Engine<Ledger>, command: &CommandEnvelope<LedgerCommand>) -> Outcome<LedgerStream> {
    loop {
        match engine.submit_blocking(vec![command.clone()], Mode::Each) {
            Ok(mut outcomes) => return outcomes.remove(0),
            Err(SubmitError::NotDone(_) | SubmitError::Unknown(_)) => {}
            Err(other) => panic!("{other}"),
        }
    }
}

/// Three callers on each engine; callers of one number ask for the same commands on both, at the same time.
fn collide(two: &Two, seed: u64, commands: usize) -> Told {
    let asked = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..6_u64)
            .map(|caller| {
                let (engine, clock) = (&two.engines[caller as usize % 2], &two.clocks[0]);
                let pair = caller / 2;
                scope.spawn(move || {
                    let (mut random, mut made, mut asked) = (Rng::with_seed(seed << 8 | pair), Vec::new(), Vec::new());
                    for number in 0..commands {
                        let key = format!("p{pair}-{number}");
                        // Both of a pair must ask for the same: expiries are counted from the morning.
                        let command = some_command(&mut random, &key, &made, morning().saturating_add_secs(3_600));
                        made.push(key);
                        asked.push((command.clone(), asked_until_told(engine, &command)));
                        clock.advance_micros(1_000);
                    }
                    asked
                })
            })
            .collect();
        callers.into_iter().flat_map(|caller| caller.join().expect("a caller")).collect()
    });
    told(asked)
}

fn nothing_is_lost_or_doubled(two: &Two, told: &Told) -> Balances {
    let commits = commits(&two.journal);
    for (id, outcome) in told {
        assert_eq!(commits.get(id), Some(&1), "{id}: {outcome:?}");
    }
    for engine in &two.engines {
        assert!(engine.is_running());
    }
    verified(&two.journal)
}

#[test]
fn engines_that_collide_lose_and_double_nothing() {
    for coordination in MODES {
        for seed in seeds(4) {
            let two = two(coordination);
            submit(&two.engines[0], &wallets(), Mode::Each);
            let told = collide(&two, seed, 80);
            nothing_is_lost_or_doubled(&two, &told);
            // Both stop with a snapshot; whoever starts from either knows the same.
            for engine in &two.engines {
                engine.stop();
            }
            let next = EngineConfig { coordination, ..config(&two.clocks[0]) };
            let engine = Engine::start(Arc::new(two.journal.for_another_engine()), next).expect("an engine");
            submit(&engine, &[post("last", "world", "w0", 1)], Mode::Each);
            verified(&two.journal);
        }
    }
}

#[test]
fn engines_that_collide_on_a_failing_store_lose_and_double_nothing() {
    for coordination in MODES {
        for seed in seeds(4) {
            let two = two(coordination);
            submit(&two.engines[0], &wallets(), Mode::Each);
            let mut random = Rng::with_seed(seed);
            for store in &two.stores {
                store.faults().plan((0..300).map(|_| match random.u64(..10) {
                    0 => Some(Fault::Fail),
                    1 | 2 => Some(Fault::LoseAnswer),
                    3 => Some(Fault::LoseBatch),
                    4 => Some(Fault::Delay(Duration::from_micros(random.u64(..1_000)))),
                    5 => Some(Fault::Duplicate),
                    _ => None,
                }));
            }
            let told = collide(&two, seed, 60);
            nothing_is_lost_or_doubled(&two, &told);
        }
    }
}

#[test]
fn engines_that_collide_make_progress() {
    let two = two(Coordination::Optimistic);
    submit(&two.engines[0], &wallets(), Mode::Each);
    let conflicts = || two.engines.iter().map(|engine| engine.stats().conflicts).sum::<u64>();
    // Whether they meet in one round is chance.
    let mut rounds = 0;
    while rounds == 0 || conflicts() == 0 {
        assert!(rounds < 200, "they never met");
        std::thread::scope(|scope| {
            for caller in 0..4 {
                let engine = &two.engines[caller % 2];
                scope.spawn(move || {
                    for number in 0..200 {
                        accepted(&one(engine, &post(&format!("c{caller}-{rounds}-{number}"), "world", "w0", 1)));
                    }
                });
            }
        });
        rounds += 1;
    }
    let balances = verified(&two.journal);
    assert_eq!(balances.totals(&crate::story::address_of("w0")).expect("an account").credits_posted, 200 + rounds * 800);
}

#[test]
fn losing_an_engine_loses_nothing() {
    for coordination in MODES {
        let Two { journal, engines: [left, right], .. } = two(coordination);
        submit(&left, &wallets(), Mode::Each);
        for number in 0..20 {
            accepted(&one(&left, &post(&format!("l{number}"), "world", "w0", 1)));
        }
        left.stop();
        drop(left);
        for number in 0..20 {
            assert!(accepted(&one(&right, &post(&format!("l{number}"), "world", "w0", 1))).replayed);
            accepted(&one(&right, &post(&format!("r{number}"), "world", "w0", 1)));
        }
        let totals = verified(&journal).totals(&crate::story::address_of("w0")).expect("an account");
        assert_eq!(totals.credits_posted, 240);
        assert_eq!(journal.head().expect("a head"), journal.follow().head());
    }
}

#[test]
fn an_engine_that_stops_while_the_others_tail_cannot_be_read_leaves_no_snapshot_of_another_moment() {
    for reads in 0..6 {
        let (mine, clock) = (MemoryStore::shared("ledger"), ManualClock::at(morning()));
        let theirs = mine.for_another_engine();
        let start = |store: &MemoryStore| {
            let config = EngineConfig { coordination: Coordination::Turns, ..config(&clock) };
            Engine::start(Arc::new(store.clone()), config).expect("an engine")
        };
        let (ours, others) = (start(&mine), start(&theirs));
        for command in [open("world", AccountKind::Equity, None), open("a", AccountKind::Liability, floor_zero())] {
            accepted(&one(&ours, &command));
        }
        mine.faults().fail_reads(true);
        for number in 0..3 {
            accepted(&one(&others, &post(&format!("p{number}"), "world", "a", 100)));
        }
        mine.faults().fail_reads_after(reads);
        // It looks at the tail by itself, a few times a second.
        std::thread::sleep(Duration::from_millis(400));
        ours.stop();
        mine.faults().fail_reads(false);
        others.stop();
        let engine = start(&mine);
        assert_eq!(refused(&one(&engine, &post("too-much", "a", "world", 301))).refusal.code, BelowFloor, "after {reads} reads");
        accepted(&one(&engine, &post("all", "a", "world", 300)));
        engine.stop();
    }
}
