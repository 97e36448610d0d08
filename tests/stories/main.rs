//! Stories over HTTP and GraphQL against the real binary.

mod clock;
mod durability;
mod operations;
mod worked_examples;
