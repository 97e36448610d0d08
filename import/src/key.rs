//! Idempotency keys of imported commands. NOTE: a key, once sent, must come out the same for ever; a test freezes samples.

use std::collections::HashMap;

use cauri_domain::ids::CommandId;
use sha2::{Digest, Sha256};

use crate::source::SourceName;

/// What a row says, without how it is written: 128 bits of SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Content([u8; 16]);

impl Content {
    /// The content of a row of a kind, for example `command`. The same meaning must give the same `canonical` bytes, and
    /// equal bytes must give the same command; rows of different kinds are never equal.
    pub fn of(kind: &str, canonical: &[u8]) -> Self {
        let mut hasher = Sha256::new();
        // The length first, so that no kind and content read as another kind and content.
        hasher.update((kind.len() as u64).to_be_bytes());
        hasher.update(kind.as_bytes());
        hasher.update(canonical);
        let digest: [u8; 32] = hasher.finalize().into();
        let mut content = [0; 16];
        content.copy_from_slice(&digest[..16]);
        Self(content)
    }

    fn hex(self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Gives the rows of one file their keys: of the source, the content, and which of the equal rows of the file it is.
///
/// Equal rows stay as many commands as there are. A change in the file leaves the keys of all other rows as they were.
/// Memory: about 50 bytes for each different row.
#[derive(Debug)]
pub struct Keys {
    source: SourceName,
    seen: HashMap<Content, u32>,
    repeated: u64,
}

impl Keys {
    /// Keys for a file of `source`.
    pub fn new(source: SourceName) -> Self {
        Self { source, seen: HashMap::new(), repeated: 0 }
    }

    /// The key of the next row: `SOURCE:CONTENT:OCCURRENCE`.
    pub fn next(&mut self, content: Content) -> CommandId {
        let occurrence = self.seen.entry(content).or_insert(0);
        *occurrence += 1;
        if *occurrence > 1 {
            self.repeated += 1;
        }
        id(format!("{}:{}:{occurrence}", self.source, content.hex()))
    }

    /// How many rows were equal to an earlier one.
    pub fn repeated(&self) -> u64 {
        self.repeated
    }
}

/// The key under which a command is sent for the `attempt`-th time after its first key was refused; 0 is the first key.
///
/// A refusal is remembered under its key for ever, so another attempt needs another key; and the same attempt has the
/// same one, so that an attempt may be sent twice.
pub fn of_attempt(first: &CommandId, attempt: u32) -> CommandId {
    if attempt == 0 {
        return first.clone();
    }
    // Hashed, because the first key may be as long as a key can be.
    id(format!("retry:{}:{attempt}", Content::of("retry", first.as_str().as_bytes()).hex()))
}

fn id(text: String) -> CommandId {
    text.parse().expect("a source's name, hexadecimal digits and a number are visible ASCII, less than 255 of them")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn source(name: &str) -> SourceName {
        name.parse().expect("a name")
    }

    fn keys(rows: &[u8]) -> Vec<CommandId> {
        let mut keys = Keys::new(source("bank"));
        rows.iter().map(|row| keys.next(Content::of("row", &[*row]))).collect()
    }

    fn sorted(mut keys: Vec<CommandId>) -> Vec<CommandId> {
        keys.sort();
        keys
    }

    #[test]
    fn keys_are_frozen() {
        let mut keys = Keys::new(source("bank"));
        let content = Content::of("command", b"{\"op\":\"freeze_account\"}");
        let first = keys.next(content);
        assert_eq!(first.as_str(), "bank:305619a8486b9ceb0beef864712bb0fc:1");
        assert_eq!(keys.next(content).as_str(), "bank:305619a8486b9ceb0beef864712bb0fc:2");
        assert_eq!(of_attempt(&first, 0), first);
        assert_eq!(of_attempt(&first, 1).as_str(), "retry:690067a9403c05dc3ec10888f65be21f:1");
        assert_eq!(of_attempt(&first, 2).as_str(), "retry:690067a9403c05dc3ec10888f65be21f:2");
    }

    #[test]
    fn a_kind_a_source_and_the_longest_key_are_told_apart() {
        assert_ne!(Content::of("a", b"bc"), Content::of("ab", b"c"));
        let content = Content::of("row", b"1");
        assert_ne!(Keys::new(source("a")).next(content), Keys::new(source("b")).next(content));
        let longest: CommandId = "k".repeat(255).parse().expect("a key");
        assert_ne!(of_attempt(&longest, u32::MAX), of_attempt(&longest, 1));
    }

    proptest! {
        #[test]
        fn a_file_has_as_many_keys_as_rows_and_the_same_each_time(rows in prop::collection::vec(0_u8..5, 0..40)) {
            let first = keys(&rows);
            prop_assert_eq!(&first, &keys(&rows));
            let mut distinct = sorted(first);
            distinct.dedup();
            prop_assert_eq!(distinct.len(), rows.len());
        }

        #[test]
        fn the_order_of_the_rows_does_not_matter(rows in prop::collection::vec(0_u8..5, 0..40), turn in 0_usize..40) {
            let mut turned = rows.clone();
            turned.rotate_left(turn.min(rows.len()));
            prop_assert_eq!(sorted(keys(&rows)), sorted(keys(&turned)));
        }

        #[test]
        fn a_row_that_is_added_anywhere_adds_one_key(rows in prop::collection::vec(0_u8..5, 0..40), row in 0_u8..5, at in 0_usize..40) {
            let before = sorted(keys(&rows));
            let mut more = rows;
            more.insert(at.min(more.len()), row);
            let after = sorted(keys(&more));
            let new: Vec<_> = after.iter().filter(|key| !before.contains(key)).collect();
            prop_assert_eq!(new.len(), 1);
            prop_assert!(before.iter().all(|key| after.contains(key)));
        }

        #[test]
        fn a_part_of_a_file_has_only_keys_of_the_whole(rows in prop::collection::vec(0_u8..5, 0..40), from in 0_usize..40, to in 0_usize..40) {
            let (from, to) = (from.min(rows.len()), to.min(rows.len()));
            let whole = keys(&rows);
            prop_assert!(keys(&rows[from.min(to)..to]).iter().all(|key| whole.contains(key)));
        }
    }
}
