//! `Hash`: a SHA-256 hash of the journal's Merkle tree.

use super::text_scalar;

text_scalar!(
    Hash(cauri_event_store::Hash),
    "Hash",
    "A SHA-256 hash of the journal's Merkle tree (RFC 6962): 64 hexadecimal digits, lower case."
);
