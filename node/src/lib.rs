//! The binary cauri: configuration and wiring, nothing else.
//!
//! `main.rs` parses; each subcommand is a file. `day.rs` makes the demo's commands.

pub mod config;
pub mod day;
pub mod demo;
pub mod load;
pub mod paysim;
pub mod serve;
pub mod token;

/// What ends a subcommand early: shown to the user as it is.
pub type Failed = Box<dyn std::error::Error + Send + Sync>;
