//! The embedded store keeps the port's promises, and its directory survives what happens to directories.

mod embedded {
    pub mod backend;
    mod blocks;
    mod disk_full;
    mod formats;
    mod histories;
    mod index;
    mod opening;
    mod replaced;
}

use cauri_event_store::conformance::run;
use cauri_event_store::embedded::IndexSize;

use self::embedded::backend::{Embedded, TINY};

#[test]
fn the_embedded_store_conforms() {
    run(Embedded::with(IndexSize::default()));
}

#[test]
fn the_embedded_store_conforms_where_every_few_records_make_a_run() {
    run(Embedded::with(TINY));
}

#[test]
fn the_embedded_store_conforms_where_most_keys_collide() {
    run(Embedded::with(IndexSize { key_bits: 7, ..TINY }));
}
