//! `If-Match`: a command that names the version it saw is decided only against that version.

use std::sync::Arc;

use cauri_domain::LedgerCommand;
use cauri_domain::account::AccountKind;
use cauri_domain::ledger::LedgerStream;
use cauri_engine::{CommandEnvelope, Engine, ManualClock, Mode, Outcome};
use cauri_event_schemas::StreamVersion;

use crate::story::{
    Kept, Story, accepted, arrived_at_the_gate, as_replay, close_journal, config, freeze, hold, morning, one, open, post, post_hold,
    refused, reverse, unfreeze, void_hold,
};
use cauri_event_store::memory::MemoryStore;

fn at_version(version: u64, command: CommandEnvelope<LedgerCommand>) -> CommandEnvelope<LedgerCommand> {
    CommandEnvelope { expected_version: Some(StreamVersion::new(version)), ..command }
}

fn mismatch(actual: u64) -> Outcome<LedgerStream> {
    Outcome::VersionMismatch { actual: StreamVersion::new(actual) }
}

#[test]
fn an_account_is_changed_only_at_the_version_that_was_seen() {
    for kept in Kept::BOTH {
        let story = Story::kept(kept);
        assert_eq!(story.one(&at_version(1, freeze("f0", "a"))), mismatch(0), "what was never opened is at 0");
        let open = open("a", AccountKind::Liability, None);
        assert_eq!(story.one(&at_version(1, open.clone())), mismatch(0));
        assert_eq!(story.accept(&at_version(0, open)).version, StreamVersion::new(1));
        story.open(&["b"]);
        assert_eq!(story.accept(&at_version(1, freeze("f1", "a"))).version, StreamVersion::new(2));
        let head = story.head();
        assert_eq!(story.one(&at_version(1, unfreeze("u1", "a"))), mismatch(2));
        assert_eq!(story.head(), head, "nothing was written");
        let story = story.restarted();
        assert_eq!(story.one(&at_version(1, unfreeze("u1", "a"))), mismatch(2));
        assert_eq!(story.accept(&at_version(2, unfreeze("u1", "a"))).version, StreamVersion::new(3));
        // Entries do not move an account's version.
        story.accept(&post("p", "a", "b", 1));
        story.accept(&at_version(3, freeze("f3", "a")));
    }
}

#[test]
fn an_entry_is_resolved_only_at_the_version_that_was_seen() {
    let story = Story::new();
    story.open(&["a", "b"]);
    story.accept(&hold("h", "a", "b", 10, None));
    assert_eq!(story.one(&at_version(2, post_hold("p", "h", None))), mismatch(1));
    assert_eq!(story.accept(&at_version(1, post_hold("p", "h", None))).version, StreamVersion::new(2));
    assert_eq!(story.one(&at_version(1, void_hold("v", "h"))), mismatch(2));
    assert_eq!(story.accept(&at_version(2, reverse("r", "h"))).version, StreamVersion::new(3));
    assert_eq!(story.one(&at_version(1, void_hold("v", "never"))), mismatch(0));
    // A version that is right does not save a command that the rules refuse.
    assert_eq!(story.refuse(&at_version(3, void_hold("v3", "h"))), cauri_domain::RefusalCode::HoldAlreadyPosted);
    let journal = at_version(1, close_journal("c"));
    assert_eq!(story.one(&journal), mismatch(0));
    story.accept(&at_version(0, close_journal("c")));
}

#[test]
fn a_retry_is_answered_before_its_version_is_looked_at() {
    let story = Story::new();
    story.open(&["a"]);
    let command = at_version(1, freeze("f", "a"));
    let first = story.one(&command);
    assert_eq!(story.one(&command), as_replay(&first), "the version has moved, by this very command");
    assert_eq!(story.one(&at_version(7, freeze("f", "a"))), as_replay(&first), "the version is no part of the body");
    assert_eq!(refused(&story.one(&at_version(2, unfreeze("f", "a")))).refusal.code, cauri_domain::RefusalCode::IdempotencyKeyReused);
}

#[test]
fn versions_count_what_is_decided_and_not_yet_durable() {
    let store = MemoryStore::exclusive("ledger");
    let engine = Engine::start(Arc::new(store.clone()), config(&ManualClock::at(morning()))).expect("an engine");
    for address in ["a", "b"] {
        accepted(&one(&engine, &open(address, AccountKind::Liability, None)));
    }
    let arrived = store.faults().arrivals();
    store.faults().close_gate();
    let enqueue = |command| engine.enqueue(vec![command], Mode::Each).expect("a place");
    let first = enqueue(at_version(1, freeze("first", "a")));
    arrived_at_the_gate(&store, arrived + 1);
    let (second, third, fourth) = (
        enqueue(at_version(1, unfreeze("second", "a"))),
        enqueue(at_version(2, unfreeze("third", "a"))),
        enqueue(at_version(3, freeze("fourth", "a"))),
    );
    store.faults().open_gate();
    let [first, second, third, fourth] =
        [first, second, third, fourth].map(|answer| answer.blocking_recv().expect("an answer").expect("outcomes").remove(0));
    assert_eq!(second, mismatch(2));
    assert_eq!([first, third, fourth].map(|outcome| accepted(&outcome).version.get()), [2, 3, 4]);
}
