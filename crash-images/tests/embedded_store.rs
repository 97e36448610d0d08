//! Power cuts at every point of the embedded store's life: nothing acknowledged is lost, and every start succeeds.
//!
//! `CAURI_FUZZ_SECONDS=600` draws images for that long, `CAURI_SEED=7` draws others. The index works on a thread of
//! its own, so a seed does not repeat a run exactly; an image that fails is kept, and its directory is printed.

mod power_cut;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use cauri_crash_images::Honesty;
use cauri_event_store::EventStore;

use self::power_cut::{Fault, Life, draws, examine, open};

#[test]
fn a_power_cut_loses_nothing_acknowledged_and_the_next_start_succeeds() {
    let draws = draws(240);
    let began = Instant::now();
    let (mut images, mut round) = (0, 0);
    while images == 0 || draws.go_on(began) {
        let life = Life::live(draws.seed + round, Honesty::Honest);
        images += life.cut(draws.images, draws.seed + round, &mut |image, acknowledged| {
            if let Err(fault) = examine(image, &life.history, acknowledged) {
                image.keep_and_fail(&fault);
            }
        });
        round += 1;
    }
    println!("{images} images of {round} lives: nothing acknowledged was lost, and every one opened");
}

#[test]
fn a_power_cut_during_the_very_first_start_leaves_nothing_that_a_later_start_stumbles_over() {
    let draws = draws(1);
    let life = Life::live(draws.seed, Honesty::Honest);
    let images = life.cut_the_first_start(6, draws.seed, &mut |image, acknowledged| {
        if let Err(fault) = examine(image, &life.history, acknowledged) {
            image.keep_and_fail(&fault);
        }
    });
    println!("{images} images of the first start: every one opened");
}

#[test]
fn a_power_cut_during_the_start_after_a_power_cut_loses_nothing_either() {
    let draws = draws(64);
    let began = Instant::now();
    let (mut images, mut round) = (0, 0);
    while images == 0 || draws.go_on(began) {
        let seed = draws.seed + 1_000 + round;
        let life = Life::live(seed, Honesty::Honest);
        life.cut(draws.images.div_ceil(8), seed, &mut |first, _| {
            let second = first.copied().goes_on(&life.history);
            images += second.cut(8, seed, &mut |image, acknowledged| {
                if let Err(fault) = examine(image, &second.history, acknowledged) {
                    image.keep_and_fail(&fault);
                }
            });
        });
        round += 1;
    }
    println!("{images} images of starts after a power cut: nothing acknowledged was lost");
}

#[test]
fn what_a_start_after_a_kill_has_shown_survives_the_next_power_cut() {
    let draws = draws(64);
    let began = Instant::now();
    let (mut images, mut round) = (0, 0);
    while images == 0 || draws.go_on(began) {
        let seed = draws.seed + 2_000 + round;
        let life = Life::live(seed, Honesty::Honest);
        images += life.kill_and_cut(draws.images, seed, &mut |image, history, acknowledged| {
            if let Err(fault) = examine(image, history, acknowledged) {
                image.keep_and_fail(&fault);
            }
        });
        round += 1;
    }
    println!("{images} images of starts after a kill: nothing that was shown was lost");
}

#[test]
fn on_a_disk_that_lies_about_syncs_acknowledged_data_is_seen_to_be_lost() {
    let life = Life::live(1, Honesty::Lying);
    let (mut lost, mut images) = (0, 0);
    images += life.cut(200, 1, &mut |image, acknowledged| {
        // A file whose pages do not fit together may open and be refused only by what reads it through.
        let examined = catch_unwind(AssertUnwindSafe(|| examine(image, &life.history, acknowledged)));
        lost += usize::from(matches!(examined, Err(_) | Ok(Err(Fault::Lost { .. } | Fault::DoesNotOpen(_)))));
    });
    assert!(lost > images / 10, "of {images} images of a lying disk only {lost} lack something that was acknowledged");
}

#[test]
fn the_whole_log_is_the_store_itself() {
    let life = Life::live(2, Honesty::Honest);
    let whole = life.whole();
    assert_eq!(open(&whole.journal()).expect("a store").head().expect("a head").position.get(), life.history.last());
    examine(&whole, &life.history, life.history.last()).unwrap_or_else(|fault| whole.keep_and_fail(&fault));
}

#[test]
fn the_directories_of_a_new_journal_are_durable_before_anything_is_acknowledged() {
    let life = Life::live(3, Honesty::Honest);
    let directories = life.directories_at_the_first_acknowledgement();
    assert!(directories.iter().any(|directory| directory == power_cut::JOURNAL), "only {directories:?} were synced");
}
