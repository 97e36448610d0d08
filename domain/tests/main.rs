//! What the rules promise, told from outside the crate; one binary, so that it links once.

mod account;
mod account_sets;
mod entry;
mod market;
mod matrix;
mod model;
mod money;
mod peer_cases;
mod precedence;
mod refusal;
mod support;
mod time;
