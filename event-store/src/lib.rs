//! The journal: port, memory and embedded backends, Merkle tree, conformance suite.
//!
//! Start with [`port::EventStore`]. **Invariant:** what is read back is unchecked bytes until
//! [`stored::StoredBatch::check`] has looked at them; only then are there [`stored::Record`]s.
//! **Invariant:** this crate decides nothing about money.

pub mod batch;
pub mod conformance;
pub mod consistency;
pub mod embedded;
pub mod files;
pub mod follow;
pub mod health;
pub mod memory;
pub mod merkle;
pub mod port;
#[cfg(feature = "postgres")]
pub mod postgres;
mod roots;
pub mod space;
pub mod stored;

pub use batch::Batch;
pub use consistency::ConsistencyToken;
pub use follow::HeadWatch;
pub use health::StoreHealth;
pub use merkle::{Hash, Tree};
pub use port::{Appended, Corruption, EventStore, Failure, Head, Lookup, NewerRecord, Sharing, Snapshot, StoreError, Turn, Unreadable};
pub use stored::{CheckedBatch, OwnedRecord, Record, StoredBatch};
