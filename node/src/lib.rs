//! The binary `cauri`: configuration and wiring, nothing else.
//!
//! Start with [`config`]: what can be set. [`node`] opens a data directory, [`serve`] answers on a port, [`load`] sends
//! files to one, [`demo`] writes a day of business.
//!
//! **Invariant:** no rule and no route is here; what a subcommand does, a test can do by calling the same function.

pub mod access;
pub mod config;
pub mod data;
pub mod demo;
pub mod listener;
pub mod load;
pub mod memory;
pub mod node;
pub mod paysim;
pub mod serve;
pub mod token;
