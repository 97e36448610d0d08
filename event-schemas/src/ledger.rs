//! The records of a ledger journal: the generic types with its streams and events.

pub use cauri_domain::ledger::{LedgerEvent as Event, LedgerStream as StreamId};

/// A record of a ledger journal.
pub type Recorded = crate::record::Recorded<StreamId, Event>;
