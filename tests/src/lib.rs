//! Stories across the crates, against the real binary.
