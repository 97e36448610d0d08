//! All events of one command are one commit, of several aggregates where it takes several; a refused one leaves nothing.

use cauri_domain::RefusalCode::*;
use cauri_domain::account::{Account, AccountKind};
use cauri_engine::{Mode, Outcome};
use cauri_event_schemas::ledger::{Event, StreamId};
use cauri_event_schemas::{Position, StreamVersion};

use crate::story::{
    Kept, Story, accepted, address_of, as_replay, close, close_journal, entry_by, events, floor_zero, freeze, hold, limits, morning, open,
    post, post_hold, refused, reopen, reverse, types_from, void_hold,
};

/// The events from a position on are one commit: of one command, in one batch.
fn is_one_commit(story: &Story, first: Position, types: &[&str]) {
    assert_eq!(types_from(story.store(), first), types);
    let written: Vec<_> = events(story.store()).into_iter().filter(|record| record.position >= first).collect();
    assert!(written.iter().all(|record| record.metadata.command == written[0].metadata.command));
    let batch = story.store().read_batch(first).expect("a batch").expect("a batch");
    assert!(batch.last >= written[written.len() - 1].position, "a commit spans two batches");
}

#[test]
fn closing_an_account_and_sweeping_it_is_one_commit() {
    let story = Story::new();
    story.open(&["assets:control", "a", "world"]);
    story.accept(&post("fund", "world", "a", 70));
    let head = story.head();
    let answer = story.accept(&close("close", "a", Some("assets:control")));
    is_one_commit(&story, head.next(), &["entry.posted", "account.closed"]);
    assert_eq!((&answer.stream, answer.version), (&StreamId::Account(address_of("a")), StreamVersion::new(2)));
    assert_eq!(answer.begun, Some(StreamId::Entry(entry_by("close"))));
    assert_eq!((story.on_credit_side("a"), story.on_credit_side("assets:control")), (0, 70));
    let closed = events(story.store()).into_iter().next_back().expect("an event");
    let Event::Account(cauri_domain::account::AccountEvent::Closed(closed)) = closed.event else { panic!("{closed:?}") };
    assert_eq!(closed.swept_by, Some(entry_by("close")), "the close names its sweep");
    // Nothing left: nothing to sweep, and no target needed.
    story.accept(&reopen("reopen", "a"));
    let head = story.head();
    assert_eq!(story.accept(&close("close-again", "a", None)).begun, None);
    is_one_commit(&story, head.next(), &["account.closed"]);
}

#[test]
fn an_account_on_its_other_side_is_swept_the_other_way_round() {
    let story = Story::new();
    story.open(&["control", "a", "world"]);
    story.accept(&post("overdraw", "a", "world", 70));
    story.accept(&close("close", "a", Some("control")));
    assert_eq!((story.on_credit_side("a"), story.on_credit_side("control")), (0, -70));
}

#[test]
fn a_close_whose_sweep_is_refused_leaves_nothing() {
    let story = Story::new();
    story.open(&["frozen", "a", "world"]);
    story.accept(&open("full", AccountKind::Liability, Some(limits(None, Some(10)))));
    story.accept(&post("fund", "world", "a", 70));
    story.accept(&freeze("freeze", "frozen"));
    for (key, target, code) in [
        ("to-frozen", Some("frozen"), AccountFrozen),
        ("to-full", Some("full"), AboveCeiling),
        ("to-nobody", Some("nobody"), AccountNotFound),
        ("to-itself", Some("a"), SameAccount),
        ("nowhere", None, AccountNotEmpty),
    ] {
        let head = story.head();
        assert_eq!(story.refuse(&close(key, "a", target)), code);
        is_one_commit(&story, head.next(), &["command.refused"]);
        assert!(matches!(story.balances().account(&address_of("a")), Account::Open(_)));
        assert_eq!(story.on_credit_side("a"), 70);
    }
    story.accept(&close("close", "a", Some("world")));
}

#[test]
fn what_open_holds_claim_stays_on_a_closed_account() {
    let story = Story::new();
    story.open(&["control", "a", "world"]);
    story.accept(&post("fund", "world", "a", 100));
    story.accept(&hold("h", "a", "world", 30, None));
    story.accept(&close("close", "a", Some("control")));
    assert_eq!((story.on_credit_side("a"), story.on_credit_side("control")), (30, 70));
    story.accept(&void_hold("void", "h"));
    story.accept(&reopen("reopen", "a"));
    story.accept(&close("close-again", "a", Some("control")));
    assert_eq!((story.on_credit_side("a"), story.on_credit_side("control")), (0, 100));
}

#[test]
fn a_reversal_is_one_commit_and_links_both_entries() {
    for kept in Kept::BOTH {
        let story = Story::kept(kept);
        story.open(&["a", "b"]);
        story.accept(&post("original", "a", "b", 10));
        let head = story.head();
        let answer = story.accept(&reverse("reversal", "original"));
        is_one_commit(&story, head.next(), &["entry.reversed", "entry.posted"]);
        assert_eq!(
            (answer.begun.as_ref(), &answer.stream),
            (Some(&StreamId::Entry(entry_by("reversal"))), &StreamId::Entry(entry_by("original")))
        );
        assert_eq!(story.on_credit_side("b"), 0);
        let opposite = events(story.store()).into_iter().next_back().expect("an event");
        let Event::Entry(cauri_domain::entry::EntryEvent::Posted(posted)) = opposite.event else { panic!("{opposite:?}") };
        assert_eq!(posted.reverses, Some(entry_by("original")));
        // The opposite entry is an entry like any other.
        story.accept(&reverse("back", "reversal"));
        assert_eq!(story.on_credit_side("b"), 10);
        assert_eq!(story.refuse(&reverse("again", "original")), AlreadyReversed);
        let story = story.restarted();
        assert_eq!(story.refuse(&reverse("after-restart", "original")), AlreadyReversed);
    }
}

#[test]
fn a_refused_reversal_leaves_both_entries_as_they_were() {
    let story = Story::new();
    story.open(&["world", "b"]);
    story.accept(&open("a", AccountKind::Liability, floor_zero()));
    story.accept(&post("original", "world", "a", 10));
    story.accept(&post("spend", "a", "b", 10));
    let head = story.head();
    assert_eq!(story.refuse(&reverse("reversal", "original")), BelowFloor);
    is_one_commit(&story, head.next(), &["command.refused"]);
    // Within one submission too: the second attempt finds the entry unreversed.
    let outcomes = story.submit(&[reverse("r2", "original"), post("refund", "b", "a", 10), reverse("r3", "original")], Mode::Each);
    assert_eq!(refused(&outcomes[0]).refusal.code, BelowFloor);
    accepted(&outcomes[2]);
    assert_eq!(story.on_credit_side("a"), 0);
    assert_eq!(story.refuse(&reverse("r4", "original")), AlreadyReversed);
}

#[test]
fn a_submission_that_is_taken_back_leaves_entries_accounts_and_ids_as_they_were() {
    let story = Story::new();
    story.open(&["a", "b", "control"]);
    story.accept(&hold("h", "a", "b", 10, Some(morning().saturating_add_secs(60))));
    story.accept(&post("p", "a", "b", 5));
    story.accept(&post("q", "a", "b", 6));
    let before = story.balances();
    let commands = [
        post_hold("post-h", "h", Some(4)),
        reverse("reverse-p", "p"),
        reverse("reverse-q", "q"),
        freeze("freeze-b", "b"),
        open("new", AccountKind::Asset, None),
        close("close-a", "a", Some("control")),
        hold("h2", "control", "new", 1, None),
        post("refused", "b", "control", 1),
    ];
    let head = story.head();
    let outcomes = story.submit(&commands, Mode::Atomic);
    assert_eq!(refused(&outcomes[7]).refusal.code, AccountFrozen);
    assert!(outcomes[..7].iter().all(|outcome| *outcome == Outcome::NotApplied { because_of: 7 }));
    is_one_commit(&story, head.next(), &["command.refused"]);
    assert_eq!(story.balances().accounts(), before.accounts());
    // Every one of them is still possible, under the same ids: none was used.
    let outcomes = story.submit(&commands[..7], Mode::Each);
    for (command, outcome) in commands.iter().zip(&outcomes) {
        match command.key.id.as_str() {
            "reverse-p" | "reverse-q" | "post-h" | "freeze-b" | "new" | "open-new" | "close-a" | "h2" => {
                assert!(!accepted(outcome).replayed)
            }
            other => panic!("{other}"),
        }
    }
}

#[test]
fn what_is_taken_back_within_a_batch_does_not_reach_the_submissions_around_it() {
    let story = Story::new();
    story.open(&["a", "b"]);
    // Three submissions that are likely to share a batch: the middle one is taken back.
    for round in 0..50 {
        let key = |name: &str| format!("{name}-{round}");
        let enqueue = |commands: Vec<_>, mode| story.engine.enqueue(commands, mode).expect("a place");
        let first = enqueue(vec![hold(&key("h"), "a", "b", 10, None)], Mode::Each);
        let second = enqueue(vec![void_hold(&key("v"), &key("h")), post(&key("x"), "a", "nobody", 1)], Mode::Atomic);
        let third = enqueue(vec![post_hold(&key("p"), &key("h"), Some(3))], Mode::Each);
        let [first, second, third] = [first, second, third].map(|answer| answer.blocking_recv().expect("an answer").expect("outcomes"));
        accepted(&first[0]);
        assert_eq!(second[0], Outcome::NotApplied { because_of: 1 });
        accepted(&third[0]);
    }
    assert_eq!(story.on_credit_side("b"), 150);
}

#[test]
fn a_closed_journal_takes_no_more_commands() {
    for kept in Kept::BOTH {
        let story = Story::kept(kept);
        story.open(&["a", "b"]);
        let first = story.one(&post("before", "a", "b", 1));
        story.accept(&hold("h", "a", "b", 10, None));
        let closed = story.one(&close_journal("close"));
        assert_eq!(accepted(&closed).version, StreamVersion::new(1));
        let head = story.head();
        let story = story.restarted();
        for command in [post("after", "a", "b", 1), void_hold("v", "h"), freeze("f", "a"), close_journal("again")] {
            let answer = refused(&story.one(&command));
            assert_eq!((answer.refusal.code, answer.position), (JournalClosed, None));
        }
        assert_eq!(story.one(&post("before", "a", "b", 1)), as_replay(&first), "retries are told what they were told");
        assert_eq!(story.one(&close_journal("close")), as_replay(&closed));
        assert_eq!(story.head(), head, "a closed journal takes nothing, not even refusals");
    }
}

#[test]
fn a_hold_does_not_expire_in_a_closed_journal() {
    let story = Story::new();
    story.open(&["a", "b"]);
    story.accept(&hold("h", "a", "b", 10, Some(morning().saturating_add_secs(60))));
    story.accept(&close_journal("close"));
    let head = story.head();
    story.clock.advance_micros(120_000_000);
    assert_eq!(story.refuse(&post("after", "a", "b", 1)), JournalClosed);
    assert!(story.engine.is_running());
    let story = story.restarted();
    assert_eq!(story.refuse(&post("after-restart", "a", "b", 1)), JournalClosed);
    assert_eq!(story.head(), head);
}
