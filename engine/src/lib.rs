//! The sequencer: idempotency, unit of work, group commit, hold expiry, recovery; no HTTP.
//!
//! Start with [`sequencer`]: the only loop. **Invariant:** one thread decides for a journal, and nothing is
//! answered before it is durable. **Invariant:** there is no rule about money here; those stand in `domain`.

pub mod clock;
mod decider;
pub mod engine;
mod in_flight;
pub mod leap;
mod loading;
mod precedence;
pub mod sequencer;
mod snapshots;
pub mod submission;
mod writer;

pub use cauri_event_store::consistency;
pub use clock::{Clock, ManualClock, Reading, SystemClock};
pub use engine::{Coordination, Engine, EngineConfig, EngineStats, MAX_COMMANDS, StartError};
pub use leap::{AcceptGapError, ClockGap, ClockStatus, GapSince};
pub use submission::{Accepted, Answer, CommandEnvelope, Mode, Outcome, Refused, Rejected, SubmitError};
