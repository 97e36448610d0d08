//! Stories across the crates, against the real binary.

#![expect(clippy::missing_panics_doc, reason = "support of tests: a panic is a failed test")]

pub mod ask;
pub mod checker;
pub mod faked_clock;
pub mod maker;
pub mod model;
pub mod server;
