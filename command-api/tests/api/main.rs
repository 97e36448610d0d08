//! The command side over HTTP, route by route: a real engine on a journal in memory behind the real router.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod accounts;
mod auth;
mod bad_input;
mod bulk;
mod clock;
mod edge;
mod entries;
mod failures;
mod health;
mod journal;
mod keys;
mod openapi;
mod reach;
mod support;
