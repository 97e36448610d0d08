//! Holds expire by events that the engine writes before it decides anything later.

use std::time::Duration;

use cauri_domain::RefusalCode::*;
use cauri_domain::account::AccountKind;
use cauri_domain::event::EventSet;
use cauri_domain::time::Timestamp;
use cauri_engine::Mode;
use cauri_event_schemas::Position;

use crate::story::{
    Kept, Story, accepted, close, entry_by, events, floor_zero, freeze, hold, morning, open, post, post_hold, refused, types_from,
    void_hold,
};

const LONG: Duration = Duration::from_secs(60);

fn after(seconds: i64) -> Option<Timestamp> {
    Some(morning().saturating_add_secs(seconds))
}

/// A wallet with 100 and a floor of zero.
fn wallet(kept: Kept) -> Story {
    let story = Story::kept(kept);
    story.open(&["world", "b"]);
    story.accept(&open("a", AccountKind::Liability, floor_zero()));
    story.accept(&post("funds", "world", "a", 100));
    story
}

#[test]
fn a_hold_takes_from_what_is_available_until_it_expires() {
    let story = wallet(Kept::InMemory);
    story.accept(&hold("h", "a", "b", 80, after(60)));
    assert_eq!(story.refuse(&post("too-early", "a", "b", 30)), BelowFloor);
    story.clock.advance_micros(59_999_999);
    assert_eq!(story.refuse(&post("still-too-early", "a", "b", 30)), BelowFloor);
    story.clock.advance_micros(1);
    let head = story.head();
    story.accept(&post("now", "a", "b", 30));
    assert_eq!(types_from(story.store(), head.next()), ["entry.hold_expired", "entry.posted"], "the expiry comes before what is decided");
    let expired = events(story.store()).into_iter().find(|record| record.event.name() == "entry.hold_expired").expect("the expiry");
    assert_eq!(expired.metadata.actor.as_str(), "engine");
    assert_eq!(expired.version.get(), 2);
    assert_eq!(expired.recorded_at, morning().saturating_add_secs(60));
    assert_eq!(story.refuse(&post_hold("p", "h", None)), HoldExpired);
    assert_eq!(story.refuse(&void_hold("v", "h")), HoldExpired);
}

#[test]
fn holds_expire_while_nobody_asks_for_anything() {
    for kept in Kept::BOTH {
        let story = wallet(kept);
        story.accept(&hold("h", "a", "b", 80, after(60)));
        let head = story.head();
        story.clock.advance_micros(60_000_000);
        assert!(story.store().follow().wait_beyond(head, LONG).position > head, "nothing expired");
        assert_eq!(types_from(story.store(), head.next()), ["entry.hold_expired"]);
        assert_eq!(story.balances().open_holds(), 0);
    }
}

#[test]
fn holds_that_expired_while_the_engine_was_down_expire_before_anything_else() {
    for kept in Kept::BOTH {
        let story = wallet(kept);
        story.accept(&hold("h", "a", "b", 80, after(60)));
        let head = story.head();
        let clock = story.clock.clone();
        // The time passes between the stop and the start.
        let story = {
            story.engine.stop();
            clock.advance_micros(3_600_000_000);
            story.restarted()
        };
        story.accept(&post("first", "a", "b", 90));
        assert_eq!(types_from(story.store(), head.next()), ["entry.hold_expired", "entry.posted"]);
        // And with nobody asking for anything after the start.
        story.accept(&hold("h2", "a", "b", 5, Some(morning().saturating_add_secs(7_200))));
        let head = story.head();
        story.engine.stop();
        clock.advance_micros(3_600_000_000);
        let story = story.restarted();
        assert!(story.store().follow().wait_beyond(head, LONG).position > head, "nothing expired");
        assert_eq!(types_from(story.store(), head.next()), ["entry.hold_expired"]);
    }
}

#[test]
fn several_holds_expire_in_the_order_of_their_times() {
    let story = wallet(Kept::InMemory);
    for (key, expires_at) in [("h30", after(30)), ("h10", after(10)), ("h20", after(20)), ("h90", after(90)), ("never", None)] {
        story.accept(&hold(key, "a", "b", 10, expires_at));
    }
    story.clock.advance_micros(60_000_000);
    let head = story.head();
    story.accept(&post("p", "a", "b", 80));
    assert_eq!(story.head(), head.after(4));
    let streams: Vec<String> =
        events(story.store()).iter().filter(|record| record.position > head).take(3).map(|record| record.stream.to_string()).collect();
    assert_eq!(streams, ["h10", "h20", "h30"].map(|key| format!("entry/{}", entry_by(key))));
    assert_eq!(story.balances().open_holds(), 2);
}

#[test]
fn an_expiry_frees_its_money_for_the_submission_that_brought_it_about() {
    let story = wallet(Kept::InMemory);
    story.accept(&hold("h", "a", "b", 100, after(10)));
    story.clock.advance_micros(10_000_000);
    let outcomes = story.submit(&[post("1", "a", "b", 60), post("2", "a", "b", 40)], Mode::Atomic);
    for outcome in &outcomes {
        accepted(outcome);
    }
    // An atomic submission that is taken back does not take the expiry back.
    story.accept(&post("more", "world", "a", 10));
    story.accept(&hold("h2", "a", "b", 10, after(20)));
    story.clock.advance_micros(10_000_000);
    let head = story.head();
    let outcomes = story.submit(&[post("3", "a", "b", 10), post("4", "a", "b", 1)], Mode::Atomic);
    assert_eq!(refused(&outcomes[1]).refusal.code, BelowFloor);
    assert_eq!(types_from(story.store(), head.next()), ["entry.hold_expired", "command.refused"]);
}

#[test]
fn a_hold_that_would_be_expired_when_it_is_made_is_refused() {
    let story = wallet(Kept::InMemory);
    assert_eq!(story.refuse(&hold("past", "a", "b", 10, after(-1))), HoldExpired);
    assert_eq!(story.refuse(&hold("now", "a", "b", 10, after(0))), HoldExpired);
    story.accept(&hold("soon", "a", "b", 10, Some(morning().saturating_add_micros(1))));
}

#[test]
fn holds_expire_on_frozen_and_closed_accounts() {
    let story = wallet(Kept::InMemory);
    story.accept(&hold("h1", "a", "b", 10, after(10)));
    story.accept(&hold("h2", "a", "b", 10, after(20)));
    story.accept(&freeze("freeze", "b"));
    story.clock.advance_micros(10_000_000);
    assert_eq!(story.refuse(&post_hold("p1", "h1", None)), HoldExpired);
    assert_eq!(story.refuse(&post_hold("p2", "h2", None)), AccountFrozen);
    story.accept(&crate::story::unfreeze("unfreeze", "b"));
    story.accept(&close("close", "a", Some("world")));
    story.clock.advance_micros(10_000_000);
    assert_eq!(story.refuse(&post_hold("p3", "h2", None)), HoldExpired);
    assert_eq!(story.balances().open_holds(), 0);
}

#[test]
fn a_hold_that_was_resolved_does_not_expire() {
    let story = wallet(Kept::InMemory);
    story.accept(&hold("posted", "a", "b", 10, after(10)));
    story.accept(&hold("voided", "a", "b", 10, after(10)));
    story.accept(&post_hold("p", "posted", Some(4)));
    story.accept(&void_hold("v", "voided"));
    let head = story.head();
    story.clock.advance_micros(60_000_000);
    story.accept(&post("later", "a", "b", 96));
    assert_eq!(types_from(story.store(), head.next()), ["entry.posted"]);
}

#[test]
fn a_clock_that_goes_back_revives_nothing() {
    let story = wallet(Kept::InMemory);
    story.accept(&hold("h", "a", "b", 10, after(10)));
    story.clock.advance_micros(10_000_000);
    story.accept(&post("p", "a", "b", 1));
    story.clock.set(morning());
    assert_eq!(story.refuse(&post_hold("ph", "h", None)), HoldExpired);
    // Time stands still until the clock has caught up: 10 s is the past already.
    assert_eq!(story.refuse(&hold("h2", "a", "b", 10, after(10))), HoldExpired);
    story.accept(&hold("h3", "a", "b", 10, after(11)));
    assert!(story.head() > Position::ZERO);
}

#[test]
fn many_holds_that_expire_at_once_expire_once_each() {
    let story = wallet(Kept::OnDisk);
    let holds: Vec<_> = (0..5_000).map(|number| hold(&format!("h{number}"), "world", "b", 1, after(10 + number % 7))).collect();
    for outcome in story.submit(&holds, Mode::Each) {
        accepted(&outcome);
    }
    assert_eq!(story.totals("b").credits_pending, 5_000);
    let head = story.head();
    story.clock.advance_micros(60_000_000);
    story.accept(&post("p", "world", "b", 1));
    assert_eq!(story.head(), head.after(5_001));
    assert_eq!(story.totals("b").credits_pending, 0);
}
