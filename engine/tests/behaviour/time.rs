//! `recorded_at` never goes back, whatever the clock does.

use cauri_domain::LedgerCommand;
use cauri_domain::RefusalCode::*;
use cauri_domain::entry::PostEntry;
use cauri_domain::journal::{ChangeRules, JournalCommand};
use cauri_engine::{Mode, Outcome};

use crate::story::{Kept, Story, command, entry_of, morning, post, post_entry, transfer};

#[test]
fn recorded_time_never_goes_back_when_the_clock_does() {
    for kept in Kept::BOTH {
        let story = Story::kept(kept);
        story.open(&["a", "b"]);
        let mut last = morning();
        for (index, step) in [5, -3, 0, 10, -100, 1, 200, -1].into_iter().enumerate() {
            story.clock.advance_micros(step * 1_000_000);
            let answer = story.accept(&post(&format!("k{index}"), "a", "b", 1));
            assert!(answer.recorded_at >= last, "{} after {last}", answer.recorded_at);
            last = answer.recorded_at;
        }
        assert_eq!(last, morning().saturating_add_secs(113));
        // An engine that starts while the clock is behind goes on from the last recorded time.
        story.clock.set(morning());
        let story = story.restarted();
        assert_eq!(story.accept(&post("after-restart", "a", "b", 1)).recorded_at, last);
        story.balances();
    }
}

#[test]
fn a_retry_says_when_it_was_first_recorded() {
    let story = Story::new();
    story.open(&["a", "b"]);
    let first = story.accept(&post("k", "a", "b", 1));
    story.clock.advance_micros(1_000_000_000);
    assert_eq!(story.accept(&post("k", "a", "b", 1)).recorded_at, first.recorded_at);
}

#[test]
fn business_time_may_lie_in_the_past_and_a_little_in_the_future() {
    let story = Story::new();
    story.open(&["a", "b"]);
    let dated = |key: &str, seconds: i64| {
        post_entry(key, PostEntry { effective_at: Some(morning().saturating_add_secs(seconds)), ..entry_of(vec![transfer("a", "b", 1)]) })
    };
    story.accept(&dated("last-year", -366 * 86_400));
    let days = 86_400;
    story.accept(&dated("soon", 7 * days));
    assert_eq!(story.refuse(&dated("too-far", 7 * days + 1)), EffectiveInFutureTooFar);
    story.clock.advance_micros(1_000_000);
    story.accept(&dated("a-second-later", 7 * days + 1));
}

#[test]
fn how_far_ahead_something_may_be_dated_is_changed_by_a_command_and_survives_a_restart_and_a_snapshot() {
    let mut story = Story::with(Kept::OnDisk, |config| config.snapshot_every = 4);
    story.open(&["a", "b"]);
    let dated = |key: &str, days: i64| {
        let effective_at = Some(morning().saturating_add_secs(days * 86_400));
        post_entry(key, PostEntry { effective_at, ..entry_of(vec![transfer("a", "b", 1)]) })
    };
    let rules = |key: &str, max_future_days: u16| {
        command(
            key,
            LedgerCommand::Journal(JournalCommand::ChangeRules(ChangeRules {
                max_future_days: Some(max_future_days),
                ..ChangeRules::default()
            })),
        )
    };
    assert_eq!(story.refuse(&dated("eight", 8)), EffectiveInFutureTooFar);
    // What a refused request changed is taken back with it.
    let both = [rules("wide", 31), dated("too-wide", 32)];
    assert!(matches!(story.submit(&both, Mode::Atomic)[1], Outcome::Refused(_)));
    assert_eq!(story.refuse(&dated("eight-again", 8)), EffectiveInFutureTooFar);

    story.accept(&rules("thirty-one", 31));
    story.accept(&dated("thirty-one-days", 31));
    assert_eq!(story.refuse(&dated("thirty-two", 32)), EffectiveInFutureTooFar);
    for round in 0..3 {
        story = story.restarted();
        story.accept(&dated(&format!("after-{round}"), 30));
        assert_eq!(story.refuse(&dated(&format!("too-far-after-{round}"), 32)), EffectiveInFutureTooFar);
    }
    story.accept(&rules("today-only", 0));
    assert_eq!(story.refuse(&dated("tomorrow", 1)), EffectiveInFutureTooFar);
}
