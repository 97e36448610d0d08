//! x
mod money;
