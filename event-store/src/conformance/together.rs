//! Cases about several at once: appenders, readers, followers, engines that take turns.

use std::collections::BTreeSet;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use cauri_event_schemas::ledger::StreamId;
use cauri_event_schemas::{Position, StreamVersion};

use super::Backend;
use super::material::{Author, Commit, address, all, append, batch_after, check, located};
use crate::port::{Appended, EventStore, Head, Sharing};

pub(super) fn of_several_appenders_at_one_head_exactly_one_wins<B: Backend>(backend: &B) {
    const APPENDERS: u64 = 4;
    let store = backend.create("one-wins");
    for round in 0..25 {
        let tree = store.tree().expect("a tree");
        let barrier = Barrier::new(APPENDERS as usize);
        let answers: Vec<Appended> = thread::scope(|scope| {
            let appenders: Vec<_> = (0..APPENDERS)
                .map(|number| {
                    let (store, tree, barrier) = (&store, tree.clone(), &barrier);
                    scope.spawn(move || {
                        let batch = batch_after(tree.clone(), &[Author::numbered("a", round * APPENDERS + number).entry()]);
                        barrier.wait();
                        store.append(tree.head(), &batch).expect("an answer")
                    })
                })
                .collect();
            appenders.into_iter().map(|appender| appender.join().expect("an appender")).collect()
        });
        let head = store.head().expect("a head");
        assert_eq!(head.position, tree.head().position.next(), "one batch of one record was written");
        assert_eq!(answers.iter().filter(|answer| **answer == Appended::Done(head)).count(), 1, "{answers:?}");
        assert_eq!(answers.iter().filter(|answer| **answer == Appended::Conflict(head)).count(), 3, "{answers:?}");
    }
    check(&store);
}

pub(super) fn appenders_that_try_again_lose_and_double_nothing<B: Backend>(backend: &B) {
    const APPENDERS: u64 = 4;
    const BATCHES: u64 = 25;
    let store = backend.create("again");
    let deadline = Instant::now() + backend.patience();
    let heads: Vec<Head> = thread::scope(|scope| {
        let appenders: Vec<_> = (0..APPENDERS)
            .map(|number| {
                let store = &store;
                scope.spawn(move || {
                    let mut author = Author::numbered("a", number);
                    let write = |_| {
                        let commits = [author.entry(), author.hold_and_void()];
                        loop {
                            assert!(Instant::now() < deadline, "one appender never wins");
                            let tree = store.tree().expect("a tree");
                            match store.append(tree.head(), &batch_after(tree.clone(), &commits)).expect("an answer") {
                                Appended::Done(head) => break head,
                                Appended::Conflict(head) => assert_ne!(head, tree.head(), "a conflict with the head that was expected"),
                            }
                        }
                    };
                    (0..BATCHES).map(write).collect::<Vec<Head>>()
                })
            })
            .collect();
        appenders.into_iter().flat_map(|appender| appender.join().expect("an appender")).collect()
    });
    let positions: BTreeSet<u64> = heads.iter().map(|head| head.position.get()).collect();
    let expected: BTreeSet<u64> = (1..=APPENDERS * BATCHES).map(|batch| 3 * batch).collect();
    assert_eq!(positions, expected, "every batch got a place of its own, whole");
    assert_eq!(all(&store).len() as u64, 3 * APPENDERS * BATCHES);
    check(&store);
}

pub(super) fn readers_see_only_whole_batches<B: Backend>(backend: &B) {
    let store = backend.create("whole");
    let account = address("customers:c1");
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let readers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let (mut seen, mut rounds) = (0, 0);
                    // At least once after the last batch.
                    loop {
                        let last_round = done.load(Ordering::SeqCst);
                        let known = store.head().expect("a head").position.get() as usize;
                        let records = all(&store).len();
                        assert_eq!(records % 5, 0, "{records} records are not whole batches of five");
                        assert!(records >= known && records >= seen, "what was there went away");
                        let of_account =
                            store.read_stream(&StreamId::Account(account.clone()).to_string(), StreamVersion::ZERO).expect("a stream");
                        assert_eq!(of_account.len() % 2, 0, "a batch has two events of the account");
                        assert!(5 * of_account.len() >= 2 * known, "a stream lacks what was at the head");
                        (seen, rounds) = (records, rounds + 1);
                        if last_round {
                            break rounds;
                        }
                    }
                })
            })
            .collect();
        let mut author = Author::new("a");
        for _ in 0..60 {
            let commits = [author.account(&account), author.hold_and_void(), author.account(&account), author.entry()];
            append(&store, &commits);
        }
        done.store(true, Ordering::SeqCst);
        for reader in readers {
            assert!(reader.join().expect("a reader") > 0);
        }
    });
    assert_eq!(all(&store).len(), 300);
    check(&store);
}

pub(super) fn whoever_hears_of_a_head_can_read_up_to_it<B: Backend>(backend: &B) {
    let patience = backend.patience();
    let store = backend.create("heard");
    thread::scope(|scope| {
        let (tell, told) = mpsc::channel::<Commit>();
        let follower = scope.spawn(|| {
            let mut position = Position::ZERO;
            for commit in told {
                position = position.next();
                let head = store.follow().wait_beyond(Position::new(position.get() - 1), patience);
                assert!(head.position >= position);
                assert!(store.read_batch(head.position).expect("a read").is_some(), "the head was told before it could be read");
                assert!(store.head().expect("a head").position >= head.position);
                assert_eq!(located(&store, &[commit.command_lookup(), commit.stream_lookup()]), [Some(position), Some(position)]);
                assert_eq!(store.read_stream(&commit.stream().to_string(), StreamVersion::ZERO).expect("a stream").len(), 1);
            }
            position
        });
        let mut author = Author::new("a");
        for _ in 0..100 {
            let commit = author.entry();
            tell.send(commit.clone()).expect("a follower");
            append(&store, &[commit]);
        }
        drop(tell);
        assert_eq!(follower.join().expect("a follower"), Position::new(100));
    });
}

pub(super) fn followers_are_woken_when_the_head_moves<B: Backend>(backend: &B) {
    let patience = backend.patience();
    let store = backend.create("woken");
    let tasks = store.follow().subscribe();
    let before = store.follow().wait_beyond(Position::ZERO, Duration::from_millis(5));
    assert_eq!(before, Head::default(), "nobody waits longer than asked");
    let head = thread::scope(|scope| {
        let waiting: Vec<_> = (0..3).map(|_| scope.spawn(|| store.follow().wait_beyond(Position::ZERO, patience))).collect();
        let head = append(&store, &[Author::new("a").entry()]);
        for waiter in waiting {
            assert_eq!(waiter.join().expect("a waiter"), head);
        }
        head
    });
    assert!(tasks.has_changed().expect("a sender"), "tasks are told too");
    assert_eq!(*tasks.borrow(), head);
    assert_eq!(store.follow().wait_beyond(Position::ZERO, patience), head, "what has happened is not waited for");
}

pub(super) fn the_head_that_is_followed_never_goes_back<B: Backend>(backend: &B) {
    let patience = backend.patience();
    const BATCHES: u64 = 40;
    let store = backend.create("forward");
    let deadline = Instant::now() + patience;
    thread::scope(|scope| {
        for number in 0..3 {
            let store = &store;
            scope.spawn(move || {
                let mut author = Author::numbered("a", number);
                for _ in 0..BATCHES {
                    let commit = author.entry();
                    loop {
                        assert!(Instant::now() < deadline, "one appender never wins");
                        let tree = store.tree().expect("a tree");
                        let batch = batch_after(tree.clone(), std::slice::from_ref(&commit));
                        if let Appended::Done(head) = store.append(tree.head(), &batch).expect("an answer") {
                            assert!(store.follow().head().position >= head.position, "an append returned before followers were told");
                            break;
                        }
                    }
                }
            });
        }
        let mut position = Position::ZERO;
        while position < Position::new(3 * BATCHES) {
            let head = store.follow().wait_beyond(position, patience);
            assert!(head.position > position, "the head that is followed stays behind, or went back");
            position = head.position;
        }
    });
    assert_eq!(store.follow().head(), store.head().expect("a head"));
    assert_eq!(*store.follow().subscribe().borrow(), store.head().expect("a head"));
}

pub(super) fn a_second_handle_sees_what_the_first_appended<B: Backend>(backend: &B) {
    let patience = backend.patience();
    let first = backend.create("shared");
    let Some(second) = backend.another(&first) else { return };
    assert_eq!((first.sharing(), second.sharing()), (Sharing::Shared, Sharing::Shared));
    let (mut left, mut right) = (Author::new("left"), Author::new("right"));
    let stale = second.tree().expect("a tree");
    let head = append(&first, &[left.entry()]);
    assert_eq!(second.follow().wait_beyond(Position::ZERO, patience), head, "a follower of the second handle is woken");
    let appended = second.append(stale.head(), &batch_after(stale, &[right.entry()])).expect("an answer");
    assert_eq!(appended, Appended::Conflict(head));
    for _ in 0..10 {
        append(&second, &[right.entry()]);
        append(&first, &[left.entry()]);
    }
    assert_eq!(all(&first), all(&second));
    assert_eq!(first.tree().expect("a tree"), second.tree().expect("a tree"));
    first.follow().wait_beyond(Position::new(20), patience);
    second.follow().wait_beyond(Position::new(20), patience);
    check(&first);
    check(&second);
}

pub(super) fn a_turn_keeps_the_others_waiting<B: Backend>(backend: &B) {
    let patience = backend.patience();
    let first = backend.create("turns");
    let Some(second) = backend.another(&first) else {
        // An exclusive store has nobody to wait for, however often it is asked.
        let _turns = (first.take_turn().expect("a turn"), first.take_turn().expect("a turn"));
        return;
    };
    thread::scope(|scope| {
        let turn = first.take_turn().expect("a turn");
        let (tell, told) = mpsc::channel();
        scope.spawn(move || {
            let _turn = second.take_turn().expect("a turn");
            tell.send(second.head().expect("a head")).expect("a listener");
        });
        assert!(told.recv_timeout(Duration::from_millis(100)).is_err(), "two had their turn at once");
        let head = append(&first, &[Author::new("a").entry()]);
        drop(turn);
        assert_eq!(told.recv_timeout(patience).expect("the other's turn"), head, "who waited sees what was appended meanwhile");
    });
    // A turn that nobody appended in ends as well.
    drop(first.take_turn().expect("a turn"));
    drop(first.take_turn().expect("a turn"));
}
