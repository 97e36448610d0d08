//! Commands come in over HTTP: authenticate, validate, submit.
//!
//! Start with [`routes`]: one file per resource. A request passes [`edge`], which gives it an id and an account in the
//! metrics, then the extractors of [`auth`], [`headers`] and [`body`], then `engine.submit`; [`answer`] says what became
//! of it, [`problem`] why it did not.
//!
//! **Invariant:** no rule about money is here: what is well formed goes to the engine, which decides.
//! **Invariant:** an answer is given only after the engine said that the outcome is durable.

pub mod answer;
pub mod auth;
pub mod body;
pub mod bulk;
pub mod command;
pub mod edge;
mod examples;
pub mod headers;
pub mod json;
pub mod lingering;
pub mod load;
pub mod openapi;
pub mod origin;
pub mod problem;
pub mod readiness;
pub mod routes;
mod scope;
pub mod state;
mod strict;
mod submit;
pub mod telemetry;

pub use routes::{router, router_with};
pub use state::{ApiState, HttpLimits};
