//! The demo's day: the same seed, the same journal.

use std::path::Path;
use std::sync::Arc;

use cauri_node::demo::clock::DemoClock;
use cauri_node::demo::summary::{Books, Report};
use cauri_node::demo::{books, play};
use cauri_node::node::Node;

use crate::support::serve_args;

fn day_in(data: &Path, seed: u64, commands: usize) -> (Report, Books) {
    let clock = DemoClock::default();
    let node = Node::open(&serve_args(data, &[]), Some(Arc::new(clock.clone()))).expect("a node");
    let report = play(&node, &clock, seed, commands).expect("a day");
    let books = books(&node).expect("books");
    node.stop();
    (report, books)
}

#[test]
fn the_same_seed_gives_the_same_root_and_the_same_trial_balance() {
    let directories = [(); 3].map(|()| tempfile::tempdir().expect("a directory"));
    let (first, first_books) = day_in(directories[0].path(), 7, 6_000);
    let (second, second_books) = day_in(directories[1].path(), 7, 6_000);
    assert_eq!(first_books, second_books);
    assert_eq!((first.kinds, first.refused), (second.kinds, second.refused));
    let (_, other) = day_in(directories[2].path(), 8, 6_000);
    assert_ne!(first_books.head.root, other.head.root);
}

#[test]
fn a_day_sums_to_zero_and_has_refusals_of_many_kinds() {
    let directory = tempfile::tempdir().expect("a directory");
    let (report, books) = day_in(directory.path(), 1, 20_000);
    assert_eq!(report.commands(), 20_000);
    let (debits, credits) = books.groups.iter().fold((0, 0), |sum, group| (sum.0 + group.debits, sum.1 + group.credits));
    assert_eq!(debits, credits);
    assert!(debits > 0);
    for code in ["below_floor", "above_ceiling", "account_frozen", "idempotency_key_reused"] {
        assert!(report.refused.contains_key(code), "{code} is missing: {:?}", report.refused);
    }
    let receivable = books.groups.iter().find(|group| group.name == "providers:*:receivable").expect("receivables");
    assert_eq!(receivable.debits, receivable.credits, "every provider has settled");
}

#[test]
fn playing_a_day_again_adds_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let (_, first) = day_in(directory.path(), 7, 2_000);
    let (again, second) = day_in(directory.path(), 7, 2_000);
    assert_eq!(first, second);
    let replayed: u64 = again.kinds.values().map(|counts| counts.replayed).sum();
    assert!(replayed > 1_900, "all but the reused keys are answered as before: {replayed}");
}
