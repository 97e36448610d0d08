//! What the query API promises, told from outside the crate; one binary, so that it links once.

mod audits_pass;
mod browser;
mod groups;
mod histories;
mod http;
mod journal;
mod limits;
mod pages;
mod peer_cases;
mod positions;
mod queries;
mod reach;
mod schema;
mod subscriptions;
mod support;
