//! What a row of a file gives: commands, first without and then with their keys.

use cauri_domain::ids::CommandId;

use crate::finding::BadLine;
use crate::key::{self, Content, Keys};
use crate::source::SourceName;

/// What one row of a file gives; the commands of one row are sent in one request.
pub type Row = Result<Vec<Draft>, BadLine>;

/// A command of a file that has not been given its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// The line of the file that it stands in, from 1.
    pub line: u64,
    /// What it does, in one word: `post_entry`.
    pub op: &'static str,
    /// What it says, whatever its spelling.
    pub content: Content,
    /// The key that the row itself gives.
    pub own_key: Option<CommandId>,
    /// The command as a JSON object on one line, without a key.
    pub command: String,
}

/// A command that can be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The line of the file that it stands in, from 1.
    pub line: u64,
    /// The source in whose scope it is sent; the caller's own scope if absent.
    pub source: Option<SourceName>,
    /// The key that it was first given.
    pub key: CommandId,
    /// How many refusals are remembered for it: each needs another key.
    pub attempt: u32,
    /// It is done with all others that name the same, or none of them is.
    pub together: Option<CommandId>,
    /// The command as a JSON object on one line, without a key.
    pub command: String,
}

impl Item {
    /// The command with the key of its attempt, as an item of a bulk request.
    pub fn text(&self) -> String {
        let key = key::of_attempt(&self.key, self.attempt);
        // A key may hold quotes and backslashes.
        let key = serde_json::Value::from(key.as_str());
        let body = self.command.trim_ascii_end();
        let body = body.strip_suffix('}').unwrap_or(body).trim_ascii_end();
        let comma = if body.ends_with('{') { "" } else { "," };
        format!("{body}{comma}\"idempotency_key\":{key}}}")
    }
}

/// Gives drafts their keys.
#[derive(Debug)]
pub struct Keyed {
    source: Option<SourceName>,
    keys: Keys,
}

impl Keyed {
    /// For a file of `source`; without one, every draft must have a key of its own.
    pub fn new(source: Option<SourceName>) -> Self {
        Self { keys: Keys::new(source.clone().unwrap_or_else(SourceName::unnamed)), source }
    }

    /// The draft with its key; `None` where it has none of its own and there is no source to make one in.
    pub fn item(&mut self, draft: Draft) -> Option<Item> {
        let key = match draft.own_key {
            Some(own) => own,
            None => {
                self.source.as_ref()?;
                self.keys.next(draft.content)
            }
        };
        Some(Item { line: draft.line, source: self.source.clone(), key, attempt: 0, together: None, command: draft.command })
    }

    /// How many rows without a key were equal to an earlier one.
    pub fn repeated(&self) -> u64 {
        self.keys.repeated()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_its_command_with_the_key_of_its_attempt() {
        let key: CommandId = r#"a"\b"#.parse().expect("a key");
        let mut item = Item { line: 1, source: None, key, attempt: 0, together: None, command: r#"{"op":"x" } "#.into() };
        assert_eq!(item.text(), r#"{"op":"x","idempotency_key":"a\"\\b"}"#);
        item.attempt = 1;
        assert!(item.text().starts_with(r#"{"op":"x","idempotency_key":"retry:"#), "{}", item.text());
        item.command = "{}".into();
        assert!(serde_json::from_str::<serde_json::Value>(&item.text()).is_ok(), "{}", item.text());
    }

    #[test]
    fn without_a_source_only_an_own_key_makes_an_item() {
        let draft = Draft { line: 1, op: "x", content: Content::of("row", b""), own_key: None, command: "{}".into() };
        assert_eq!(Keyed::new(None).item(draft.clone()), None);
        let own = Draft { own_key: "k".parse().ok(), ..draft.clone() };
        assert_eq!(Keyed::new(None).item(own).map(|item| (item.key.to_string(), item.source)), Some(("k".into(), None)));
        let source = SourceName::unnamed();
        assert_eq!(Keyed::new(Some(source.clone())).item(draft).and_then(|item| item.source), Some(source));
    }
}
