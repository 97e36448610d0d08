//! Stories over HTTP and GraphQL against the real binary.

mod attacks;
mod clock;
mod durability;
mod format_1;
mod histories;
mod operations;
mod worked_examples;
