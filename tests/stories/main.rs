//! Stories over HTTP and GraphQL against the real binary.

mod attacks;
mod durability;
mod operations;
mod worked_examples;
