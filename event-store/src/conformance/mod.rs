//! The store port as a test suite: what every backend promises, in cases with names.
//!
//! A backend's test instantiates it in three lines:
//!
//! ```
//! use cauri_event_store::conformance::{self, InMemory};
//!
//! conformance::run(InMemory::Exclusive);
//! ```
//!
//! A case that fails prints its name and goes on to the next, so that one run shows everything that a new
//! backend still lacks.

mod appending;
mod lasting;
pub mod material;
mod reading;
mod together;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::memory::MemoryStore;
use crate::port::EventStore;

/// A backend under test.
pub trait Backend {
    /// What it opens.
    type Store: EventStore;

    /// A journal that nobody has written to, under this name.
    fn create(&self, name: &str) -> Self::Store;

    /// Closes the store as a program that ends would, and opens its journal again.
    fn reopen(&self, store: Self::Store) -> Self::Store;

    /// Opens what a killed process would leave of the journal: nothing was closed, flushed or tidied.
    fn crash(&self, store: Self::Store) -> Self::Store;

    /// A second handle to the same journal, as another engine would have; `None` where the store is exclusive.
    fn another(&self, store: &Self::Store) -> Option<Self::Store>;

    /// How long a case waits for what must come at once: long enough for the slowest machine. Nothing waits for it where all
    /// is well, so only a store that is meant to fail is impatient.
    fn patience(&self) -> Duration {
        Duration::from_secs(60)
    }
}

/// The memory backend: the reference that the suite itself is tried on.
#[derive(Clone, Copy, Debug)]
pub enum InMemory {
    /// For one engine.
    Exclusive,
    /// For several.
    Shared,
}

impl Backend for InMemory {
    type Store = MemoryStore;

    fn create(&self, name: &str) -> MemoryStore {
        match self {
            InMemory::Exclusive => MemoryStore::exclusive(name),
            InMemory::Shared => MemoryStore::shared(name),
        }
    }

    fn reopen(&self, store: MemoryStore) -> MemoryStore {
        store.for_another_engine()
    }

    fn crash(&self, store: MemoryStore) -> MemoryStore {
        store.for_another_engine()
    }

    fn another(&self, store: &MemoryStore) -> Option<MemoryStore> {
        match self {
            InMemory::Exclusive => None,
            InMemory::Shared => Some(store.for_another_engine()),
        }
    }
}

/// Written once: the name that a failure prints is the function's.
macro_rules! cases {
    ($($module:ident :: $case:ident,)+) => {
        [$((stringify!($case), $module::$case::<B> as fn(&B)),)+]
    };
}

/// Runs every case and panics with the names of those that failed.
pub fn run<B: Backend>(backend: B) {
    let failed = failures(&backend);
    assert!(failed.is_empty(), "{} of {} conformance cases failed: {}", failed.len(), cases::<B>().len(), failed.join(", "));
}

/// Runs every case; the names of those that failed. What each said goes to the standard error.
pub fn failures<B: Backend>(backend: &B) -> Vec<&'static str> {
    let mut failed = Vec::new();
    for (name, case) in cases::<B>() {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| case(backend))) {
            eprintln!("conformance: `{name}` failed: {}", said(&*panic));
            failed.push(name);
        }
    }
    failed
}

/// Every case with its name.
pub fn cases<B: Backend>() -> Vec<(&'static str, fn(&B))> {
    cases![
        appending::an_empty_journal_has_nothing_in_it,
        appending::records_come_back_in_order_and_byte_for_byte,
        appending::positions_have_no_gaps_and_a_batch_takes_no_other,
        appending::a_conflict_is_a_value_and_writes_nothing,
        appending::the_same_position_with_another_root_is_a_conflict,
        appending::an_empty_batch_writes_nothing,
        appending::the_last_record_of_format_1_is_known,
        appending::the_stored_roots_are_the_roots_of_the_records,
        appending::a_batch_may_have_8189_records,
        appending::an_entry_may_have_a_thousand_transfers,
        appending::every_text_comes_back_as_it_was_written,
        reading::every_position_leads_to_the_batch_that_holds_it,
        reading::every_position_leads_to_a_block_of_its_batch,
        reading::the_journal_is_read_from_anywhere_to_any_limit,
        reading::a_stream_comes_back_in_order_however_many_batches_it_spans,
        reading::a_stream_is_read_from_any_version,
        reading::ids_are_located_at_their_first_record,
        reading::ids_that_were_never_written_are_not_found,
        reading::many_ids_are_located_in_one_call_in_the_order_asked,
        reading::ids_of_different_kinds_with_one_text_are_kept_apart,
        reading::look_ups_answer_over_hundreds_of_batches,
        reading::the_root_at_every_position_is_the_root_of_the_records_up_to_it,
        reading::an_empty_journal_has_the_root_of_nothing_and_no_other,
        together::of_several_appenders_at_one_head_exactly_one_wins,
        together::appenders_that_try_again_lose_and_double_nothing,
        together::readers_see_only_whole_batches,
        together::whoever_hears_of_a_head_can_read_up_to_it,
        together::followers_are_woken_when_the_head_moves,
        together::the_head_that_is_followed_never_goes_back,
        together::a_second_handle_sees_what_the_first_appended,
        together::a_turn_keeps_the_others_waiting,
        lasting::a_reopened_journal_is_the_same_journal,
        lasting::a_killed_process_loses_nothing_that_was_acknowledged,
        lasting::a_journal_goes_on_after_many_reopenings_and_crashes,
        lasting::there_is_no_snapshot_before_the_first,
        lasting::the_newest_snapshot_is_the_one_with_the_highest_position,
        lasting::a_large_snapshot_comes_back_byte_for_byte,
        lasting::a_snapshot_outlives_a_reopening,
    ]
    .to_vec()
}

fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words")
}
