//! The journal: port, memory and embedded backends, Merkle tree, conformance suite.
