//! placeholder
/// x
pub const COMMITTED: &str = "{}";
