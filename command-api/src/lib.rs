//! Commands come in over HTTP: authenticate, validate, submit.

pub mod auth;
pub mod problem;
