//! What `cauri` does, by the functions that its subcommands call.

mod config;
mod damage;
mod demo;
mod disk;
mod load;
mod serve;
mod support;
