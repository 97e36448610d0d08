//! Commands come in over HTTP: authenticate, validate, submit.
//!
//! Start with [`routes`]: one file per resource. A request passes the edge and the authentication of `cauri-http`, then the
//! extractors of [`headers`] and [`body`], then `engine.submit`; [`answer`] says what became of it.
//!
//! **Invariant:** no rule about money is here: what is well formed goes to the engine, which decides.
//! **Invariant:** an answer is given only after the engine said that the outcome is durable.

pub mod answer;
pub mod body;
pub mod bulk;
pub mod command;
mod examples;
mod gauges;
pub mod headers;
pub mod openapi;
mod reach;
pub mod readiness;
pub mod routes;
mod scope;
pub mod state;
mod submit;

pub use routes::{router, router_with};
pub use state::{ApiState, HttpLimits};
