//! What `cauri` does, by the functions that its subcommands call.

mod config;
mod demo;
mod load;
mod serve;
mod support;
