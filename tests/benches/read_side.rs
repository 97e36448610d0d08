//! Pending.
pub fn run() {}
