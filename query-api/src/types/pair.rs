//! `Pair`: a key with a value, of a dimension or of metadata.

use std::collections::BTreeMap;

use async_graphql::SimpleObject;
use cauri_domain::text::{Key, ShortText};

/// A key with its value.
#[derive(Clone, Debug, PartialEq, Eq, SimpleObject)]
pub struct Pair {
    /// The key, such as `merchant`.
    key: String,
    /// The value, such as `awa`.
    value: String,
}

/// The pairs of a map, by key.
pub(crate) fn pairs(map: &BTreeMap<Key, ShortText>) -> Vec<Pair> {
    map.iter().map(|(key, value)| Pair { key: key.to_string(), value: value.to_string() }).collect()
}
