//! A wall clock that leaps ahead decides nothing, and what it had decided before is found again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cauri_domain::LedgerCommand;
use cauri_domain::RefusalCode::*;
use cauri_domain::account::AccountKind;
use cauri_domain::entry::{EntryEvent, PostEntry};
use cauri_domain::journal::{ChangeRules, JournalCommand};
use cauri_domain::ledger::Ledger;
use cauri_domain::text::ShortText;
use cauri_domain::time::Timestamp;
use cauri_engine::{
    AcceptGapError, ClockGap, ClockStatus, CommandEnvelope, Coordination, Engine, EngineConfig, GapSince, ManualClock, Mode, Rejected,
    SubmitError,
};
use cauri_event_schemas::ledger::Event;
use cauri_event_store::EventStore as _;
use cauri_event_store::memory::MemoryStore;

use crate::story::{
    Kept, Story, accepted, as_replay, command, config, entry_of, events, floor_zero, hold, morning, one, open, post, post_entry, post_hold,
    transfer, verified, void_hold,
};

const SECOND: i64 = 1_000_000;
const HOUR: i64 = 3_600 * SECOND;
const DAY: i64 = 24 * HOUR;
const YEAR: i64 = 365 * DAY;

fn after_seconds(seconds: i64) -> Timestamp {
    morning().saturating_add_secs(seconds)
}

/// A wallet with 100 and a floor of zero, of which 10 are held for a month.
fn with_a_hold(coordination: Coordination) -> Story {
    let story = Story::with(Kept::OnDisk, |config| config.coordination = coordination);
    story.open(&["world", "b"]);
    story.accept(&open("a", AccountKind::Liability, floor_zero()));
    story.accept(&post("funds", "world", "a", 100));
    story.accept(&hold("month", "a", "b", 10, Some(after_seconds(30 * 86_400))));
    story
}

/// The gap because of which a command is not decided.
fn turned_away(engine: &Engine<Ledger>, commands: &[CommandEnvelope<LedgerCommand>], mode: Mode) -> ClockGap {
    match engine.submit_blocking(commands.to_vec(), mode) {
        Err(SubmitError::Rejected(Rejected::ClockGap(gap))) => gap,
        other => panic!("not turned away for the clock: {other:?}"),
    }
}

/// Waits until the engine, which looks at its clock all the time, says this of it.
fn wait_for(engine: &Engine<Ledger>, what: &str, is: impl Fn(ClockStatus) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is(engine.stats().clock) {
        assert!(Instant::now() < deadline, "{what}: {:?}", engine.stats().clock);
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn accept_gap(engine: &Engine<Ledger>, stated: Timestamp) -> Result<Option<ClockGap>, AcceptGapError> {
    let actor: ShortText = "admin:ada".parse().expect("a short text");
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(engine.accept_clock_gap(stated, actor))
}

/// The business time of the last entry, which named none.
fn last_effective_at(story: &Story) -> Timestamp {
    match events(story.store()).pop().expect("an event").event {
        Event::Entry(EntryEvent::Posted(posted)) => posted.effective_at,
        other => panic!("no posted entry: {other:?}"),
    }
}

/// Everything that goes by the time is as it was before the clock leapt.
fn all_is_as_before(story: &Story, name: &str) {
    let now = cauri_engine::Clock::now(&story.clock);
    let key = |what: &str| format!("{what}-{name}");
    let answer = story.accept(&post(&key("post"), "world", "a", 1));
    assert_eq!(answer.recorded_at, now);
    assert_eq!(last_effective_at(story), now);
    let far = PostEntry { effective_at: Some(now.saturating_add_secs(300 * 86_400)), ..entry_of(vec![transfer("world", "a", 1)]) };
    assert_eq!(story.refuse(&post_entry(&key("far"), far)), EffectiveInFutureTooFar);
    story.accept(&hold(&key("hour"), "a", "b", 1, Some(now.saturating_add_secs(3_600))));
    story.accept(&void_hold(&key("void"), &key("hour")));
}

#[test]
fn a_year_ahead_and_right_again_leaves_nothing_behind() {
    for coordination in [Coordination::Exclusive, Coordination::Turns, Coordination::Optimistic] {
        let mut story = with_a_hold(coordination);
        for when in ["while running", "at start"] {
            let name = format!("{coordination:?}-{when}").replace(' ', "-");
            let head = story.head();
            story.clock.leap_micros(YEAR);
            if when == "at start" {
                story = story.restarted();
            }
            let gap = turned_away(&story.engine, &[post("ahead", "world", "a", 1)], Mode::Each);
            assert!((YEAR..YEAR + DAY).contains(&gap.micros), "{name}: {gap:?}");
            assert_eq!(gap.since, if when == "at start" { GapSince::LastRecord } else { GapSince::LastReading }, "{name}");
            // Longer than the engine sleeps: nothing expires of its own accord either.
            std::thread::sleep(Duration::from_millis(200));
            assert_eq!(story.head(), head, "{name}: something was written");
            story.clock.leap_micros(-YEAR);
            all_is_as_before(&story, &name);
            story = story.restarted();
            all_is_as_before(&story, &format!("{name}-restarted"));
        }
        story.accept(&post_hold("month-posted", "month", None));
        story.balances();
    }
}

#[test]
fn while_the_clock_is_ahead_commands_that_were_answered_are_answered_again() {
    let story = with_a_hold(Coordination::Exclusive);
    let (posted, refused) = (post("done", "world", "a", 1), post("too-much", "a", "b", 1_000));
    let first = story.one(&posted);
    let no = story.one(&refused);
    let all_or_none = [post("one-of-two", "world", "a", 5), post("two-of-two", "a", "b", 1_000)];
    let none = story.submit(&all_or_none, Mode::Atomic);
    let head = story.head();
    story.clock.leap_micros(YEAR);
    turned_away(&story.engine, &[post("new", "world", "a", 1)], Mode::Each);

    assert_eq!(story.one(&posted), as_replay(&first));
    assert_eq!(story.one(&refused), as_replay(&no));
    assert_eq!(story.refuse(&post("done", "world", "a", 2)), IdempotencyKeyReused);
    assert_eq!(story.submit(&[posted.clone(), refused.clone()], Mode::Each), [as_replay(&first), as_replay(&no)]);
    assert_eq!(story.submit(&all_or_none, Mode::Atomic), none.iter().map(as_replay).collect::<Vec<_>>());
    assert_eq!(story.submit(std::slice::from_ref(&posted), Mode::Atomic), [as_replay(&first)]);
    // One new command among old ones: nothing of the submission is decided, and all of it can be sent again.
    for mode in [Mode::Each, Mode::Atomic] {
        turned_away(&story.engine, &[posted.clone(), post("new", "world", "a", 1)], mode);
    }
    assert_eq!((story.head(), story.engine.stats().queued), (head, 0));
    story.clock.leap_micros(-YEAR);
    story.accept(&post("new", "world", "a", 1));
}

#[test]
fn time_that_passes_and_a_machine_that_sleeps_are_no_leap() {
    let story = with_a_hold(Coordination::Exclusive);
    // Both clocks count while a machine sleeps.
    story.clock.advance_micros(YEAR);
    assert_eq!(story.refuse(&post_hold("late", "month", None)), HoldExpired);
    assert_eq!(story.engine.stats().clock, ClockStatus::default());
}

#[test]
fn a_machine_may_be_off_for_seven_days() {
    let story = with_a_hold(Coordination::Exclusive);
    story.clock.advance_micros(7 * DAY);
    let story = story.restarted();
    assert_eq!(story.engine.stats().clock.gap, None);
    story.accept(&post("after-a-week", "world", "a", 1));
    story.clock.advance_micros(7 * DAY + 1);
    let story = story.restarted();
    let gap = story.engine.stats().clock.gap.expect("a gap, seen before anybody asks for anything");
    assert_eq!((gap.since, gap.micros, gap.seconds()), (GapSince::LastRecord, 7 * DAY + 1, 7 * 86_400));
    assert_eq!(gap.to_string(), "the clock reads 2026-03-30T08:00:00.000001Z, 7 d 0 h after the last record");
    assert_eq!(turned_away(&story.engine, &[post("later", "world", "a", 1)], Mode::Each), gap);
}

#[test]
fn how_long_a_machine_may_be_off_and_how_far_a_clock_may_leap_the_journal_says() {
    let mut story = with_a_hold(Coordination::Exclusive);
    let rules = ChangeRules { clock_gap_days: Some(20), clock_leap_seconds: Some(7_200), ..ChangeRules::default() };
    story.accept(&command("rules", LedgerCommand::Journal(JournalCommand::ChangeRules(rules))));
    story.clock.leap_micros(2 * HOUR);
    story.accept(&post("two-hours", "world", "a", 1));
    story.clock.leap_micros(2 * HOUR + 1);
    turned_away(&story.engine, &[post("more", "world", "a", 1)], Mode::Each);
    story.clock.leap_micros(-2 * HOUR - 1);
    for round in 0..2 {
        story.clock.advance_micros(20 * DAY);
        story = story.restarted();
        story.accept(&post(&format!("after-{round}"), "world", "a", 1));
    }
    // A parameter that was not named stayed; one that is named again is changed again.
    let rules = ChangeRules { clock_gap_days: Some(1), ..ChangeRules::default() };
    story.accept(&command("shorter", LedgerCommand::Journal(JournalCommand::ChangeRules(rules))));
    story.clock.leap_micros(2 * HOUR);
    story.accept(&post("two-hours-again", "world", "a", 1));
    story.clock.advance_micros(2 * DAY);
    story = story.restarted();
    turned_away(&story.engine, &[post("later", "world", "a", 1)], Mode::Each);
}

#[test]
fn an_empty_journal_has_nothing_to_be_late_for() {
    let story = Story::new();
    story.clock.advance_micros(YEAR);
    let story = story.restarted();
    story.open(&["a"]);
}

#[test]
fn a_kernel_that_is_synchronised_vouches_for_a_month_and_no_longer() {
    let story = with_a_hold(Coordination::Exclusive);
    story.clock.leap_micros(31 * DAY);
    let story = story.restarted();
    turned_away(&story.engine, &[post("k", "world", "a", 1)], Mode::Each);
    // The daemon that sets the clock was slower than we were: no restart is needed.
    story.clock.set_synchronised(true);
    story.accept(&post("k", "world", "a", 1));
    assert_eq!(story.refuse(&post_hold("late", "month", None)), HoldExpired);
    story.clock.leap_micros(31 * DAY);
    story.accept(&post("running", "world", "a", 1));
    story.clock.leap_micros(31 * DAY + 1);
    turned_away(&story.engine, &[post("too-far", "world", "a", 1)], Mode::Each);
}

#[test]
fn whoever_starts_an_engine_may_accept_the_gap_that_is_there_and_no_later_one() {
    let journal = MemoryStore::exclusive("ledger");
    let clock = ManualClock::at(morning());
    let start = |accept_clock_gap| {
        let config = EngineConfig { accept_clock_gap, ..config(&clock) };
        Engine::start(Arc::new(journal.for_another_engine()), config).expect("an engine")
    };
    let engine = start(false);
    one(&engine, &open("a", AccountKind::Asset, None));
    engine.stop();
    clock.advance_micros(YEAR);
    let engine = start(true);
    assert_eq!(engine.stats().clock, ClockStatus::default());
    let opened = accepted(&one(&engine, &open("b", AccountKind::Asset, None)));
    assert_eq!(opened.recorded_at, after_seconds(365 * 86_400));
    clock.leap_micros(HOUR);
    turned_away(&engine, &[open("c", AccountKind::Asset, None)], Mode::Each);
}

#[test]
fn a_flag_that_found_nothing_to_accept_is_used_up() {
    let story = Story::with(Kept::InMemory, |config| config.accept_clock_gap = true);
    story.open(&["a", "b"]);
    story.clock.leap_micros(HOUR);
    turned_away(&story.engine, &[post("k", "a", "b", 1)], Mode::Each);
}

#[test]
fn a_gap_is_accepted_by_whoever_states_the_right_time() {
    let story = with_a_hold(Coordination::Exclusive);
    assert_eq!(accept_gap(&story.engine, morning()), Ok(None), "there is nothing to accept");
    story.clock.leap_micros(YEAR);
    let gap = turned_away(&story.engine, &[post("k", "world", "a", 1)], Mode::Each);
    let wall = gap.wall;
    // Whoever states the time that was right before does not accept the clock that leapt.
    assert_eq!(accept_gap(&story.engine, morning()), Err(AcceptGapError::Differs { wall, stated: morning() }));
    turned_away(&story.engine, &[post("k", "world", "a", 1)], Mode::Each);
    assert_eq!(accept_gap(&story.engine, wall.saturating_add_secs(300)), Ok(Some(gap)));
    assert_eq!(story.accept(&post("k", "world", "a", 1)).recorded_at, wall);
    assert_eq!(story.refuse(&post_hold("late", "month", None)), HoldExpired);
    // The accepted time is what later leaps are measured from.
    story.clock.leap_micros(HOUR);
    assert_eq!(turned_away(&story.engine, &[post("k2", "world", "a", 1)], Mode::Each).micros, HOUR);
    story.engine.stop();
    assert_eq!(accept_gap(&story.engine, wall), Err(AcceptGapError::Stopped));
}

#[test]
fn a_journal_that_is_ahead_of_the_clock_is_warned_of_and_goes_on_at_its_own_time() {
    let story = with_a_hold(Coordination::Exclusive);
    story.clock.leap_micros(HOUR);
    let ahead = turned_away(&story.engine, &[post("k", "world", "a", 1)], Mode::Each).wall;
    accept_gap(&story.engine, ahead).expect("accepted");
    story.accept(&post("k", "world", "a", 1));
    // The clock goes back while the engine runs, and is still back when it starts again.
    story.clock.leap_micros(-HOUR);
    wait_for(&story.engine, "an hour ahead", |clock| clock == ClockStatus { gap: None, journal_ahead_micros: HOUR });
    assert_eq!(story.engine.stats().clock.journal_ahead().as_deref(), Some("1 h 0 min"));
    assert_eq!(story.accept(&post("k2", "world", "a", 1)).recorded_at, ahead);
    let story = story.restarted();
    assert_eq!(story.engine.stats().clock, ClockStatus { gap: None, journal_ahead_micros: HOUR });
    assert_eq!(story.accept(&post("k3", "world", "a", 1)).recorded_at, ahead);
    story.clock.advance_micros(HOUR + SECOND);
    wait_for(&story.engine, "caught up", |clock| clock == ClockStatus::default());
    assert_eq!(story.accept(&post("k4", "world", "a", 1)).recorded_at, ahead.saturating_add_secs(1));
    story.balances();
}

#[test]
fn another_engine_whose_clock_is_ahead_is_no_gap_for_this_one() {
    for coordination in [Coordination::Turns, Coordination::Optimistic] {
        let journal = MemoryStore::shared("ledger");
        let start = |clock: &ManualClock| {
            let config = EngineConfig { coordination, ..config(clock) };
            Engine::start(Arc::new(journal.for_another_engine()), config).expect("an engine")
        };
        let (right, ahead) = (ManualClock::at(morning()), ManualClock::at(after_seconds(20 * 86_400)));
        let engines = [&right, &ahead].map(start);
        let opened = accepted(&one(&engines[1], &open("a", AccountKind::Asset, None)));
        assert_eq!(opened.recorded_at, after_seconds(20 * 86_400));
        // It sees the other's records, whose time is ahead, and keeps it.
        assert_eq!(accepted(&one(&engines[0], &open("b", AccountKind::Asset, None))).recorded_at, opened.recorded_at);
        wait_for(&engines[0], "20 days ahead", |clock| clock == ClockStatus { gap: None, journal_ahead_micros: 20 * DAY });
        assert_eq!(engines[1].stats().clock.gap, None);
        verified(&journal);
    }
}

#[test]
fn an_engine_that_finds_the_clock_ahead_takes_it_once_another_engine_has() {
    let journal = MemoryStore::shared("ledger");
    let clock = ManualClock::at(morning());
    let start = |accept_clock_gap| {
        let config = EngineConfig { coordination: Coordination::Turns, accept_clock_gap, ..config(&clock) };
        Engine::start(Arc::new(journal.for_another_engine()), config).expect("an engine")
    };
    let first = start(false);
    one(&first, &open("a", AccountKind::Asset, None));
    first.stop();
    clock.advance_micros(YEAR);
    let waits = start(false);
    turned_away(&waits, &[open("b", AccountKind::Asset, None)], Mode::Each);
    let takes = start(true);
    accepted(&one(&takes, &open("c", AccountKind::Asset, None)));
    accepted(&one(&waits, &open("b", AccountKind::Asset, None)));
    assert!(journal.head().expect("a head").position.get() == 3);
    verified(&journal);
}
