//! What is written for ever: event types and versions, canonical JSON, upcasters, frozen samples.
//!
//! **Invariant:** the bytes that [`record::Recorded::write_to`] makes are canonical JSON (RFC 8785) and are
//! what is stored and hashed. **Invariant:** a type and version that was ever written is decoded for ever.

pub mod canonical;
pub mod examples;
pub mod fingerprint;
pub mod freeze;
mod json;
pub mod ledger;
pub mod record;
pub mod registry;
pub mod upcast;

pub use cauri_domain::{Position, StreamVersion};
pub use fingerprint::Fingerprint;
pub use record::{Metadata, Recorded};
