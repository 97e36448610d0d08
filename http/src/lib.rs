//! What every HTTP API of Cauri has at its edge: who may ask, what is counted, and what an error response says.
//!
//! A request passes [`edge`], which gives it an id and an account in the metrics; [`auth`] says who asks and
//! what they may; [`load`] bounds how much is under way, [`body`] how much arrives; [`json`] reads it. An error response
//! is a [`problem`].
//!
//! **Invariant:** nothing here knows a command, a query, the engine or a store.

pub mod auth;
pub mod body;
pub mod edge;
pub mod headers;
pub mod json;
pub mod lingering;
pub mod load;
pub mod origin;
pub mod problem;
pub mod strict;
pub mod telemetry;
