//! The sequencer: idempotency, unit of work, group commit, hold expiry, recovery; no HTTP.
