//! Reads a whole file before anything of it is sent.

use std::collections::{BTreeMap, HashMap};

use cauri_domain::ids::CommandId;

use crate::finding::{BadLine, Findings};
use crate::key::Content;
use crate::row::{Draft, Row};

/// What a file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Its commands, by what they do.
    pub commands: BTreeMap<&'static str, u64>,
    /// The last line that is not blank.
    pub last_line: u64,
    /// The lines that cannot be sent.
    pub bad: Findings,
    /// How many commands have a key of their own.
    pub with_key: u64,
    /// The first line whose commands have none.
    pub first_without_key: Option<u64>,
}

impl Checked {
    /// How many commands can be sent.
    pub fn count(&self) -> u64 {
        self.commands.values().sum()
    }
}

/// Looks at rows one after another. Two commands under one key are a bad line, because the second would never be done.
///
/// Memory: about 100 bytes for each row with a key of its own, nothing for the others.
#[derive(Debug, Default)]
pub struct Check {
    checked: Checked,
    keys: HashMap<CommandId, (Content, u64)>,
}

impl Check {
    /// Nothing was looked at so far.
    pub fn new() -> Self {
        Self::default()
    }

    /// Looks at a row; says whether it can be sent.
    pub fn row(&mut self, row: &Row) -> bool {
        let bad = match row {
            Ok(drafts) => drafts.iter().find_map(|draft| self.second_use(draft)),
            Err(bad) => Some(bad.clone()),
        };
        if let Some(bad) = bad {
            self.checked.last_line = self.checked.last_line.max(bad.line);
            self.checked.bad.add(bad);
            return false;
        }
        for draft in row.iter().flatten() {
            *self.checked.commands.entry(draft.op).or_default() += 1;
            self.checked.last_line = self.checked.last_line.max(draft.line);
            match &draft.own_key {
                Some(key) => {
                    self.checked.with_key += 1;
                    self.keys.entry(key.clone()).or_insert((draft.content, draft.line));
                }
                None => {
                    self.checked.first_without_key.get_or_insert(draft.line);
                }
            }
        }
        true
    }

    /// What was found.
    pub fn done(self) -> Checked {
        self.checked
    }

    fn second_use(&self, draft: &Draft) -> Option<BadLine> {
        let key = draft.own_key.as_ref()?;
        let (content, line) = self.keys.get(key)?;
        if *content == draft.content {
            return None;
        }
        let detail = format!("idempotency_key: `{key}` stands in line {line} with another command; give each command its own key");
        Some(BadLine { line: draft.line, detail })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(line: u64, content: &str, key: Option<&str>) -> Row {
        let own_key = key.map(|key| key.parse().expect("a key"));
        Ok(vec![Draft { line, op: "post_entry", content: Content::of("row", content.as_bytes()), own_key, command: "{}".into() }])
    }

    #[test]
    fn a_key_that_stands_twice_is_bad_unless_the_command_is_the_same() {
        let mut check = Check::new();
        assert!(check.row(&row(1, "a", Some("k"))));
        assert!(check.row(&row(2, "a", Some("k"))));
        assert!(!check.row(&row(3, "b", Some("k"))));
        assert!(check.row(&row(4, "b", None)));
        let checked = check.done();
        assert_eq!((checked.count(), checked.with_key, checked.first_without_key, checked.last_line), (3, 2, Some(4), 4));
        assert_eq!(checked.bad.named()[0].line, 3);
        assert!(checked.bad.named()[0].detail.contains("`k` stands in line 1"), "{:?}", checked.bad);
    }
}
