//! Cursors as clients see them: opaque, and of one list only.
//!
//! Inside stand a version, the position that the page was read at, a digest of what the list was asked for with, and the
//! read store's own cursor, which says at which key. A cursor stays valid for ever, for the same list.

use std::fmt::{self, Write as _};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use cauri_event_schemas::Position;
use cauri_projections::read;
use sha2::{Digest, Sha256};

use crate::error::QueryError;
use crate::scalars::position::position_in_text;

/// Longer than any cursor that was ever given out: addresses have at most 200 characters.
const MAX_BYTES: usize = 1_024;

/// A list, as its cursors know it: its name and every argument that decides which rows it has.
///
/// Its digest stands in cursors that clients keep: names and values must stay what they are.
pub(crate) struct List(Sha256);

impl List {
    /// The list of this name, without arguments.
    pub(crate) fn named(name: &str) -> Self {
        Self(Sha256::new()).with("list", Some(name))
    }

    /// The same with an argument; one that is absent is another argument than any that is given.
    pub(crate) fn with(mut self, argument: &str, value: Option<impl fmt::Display>) -> Self {
        // Lengths, so that no value can look like two arguments.
        let text = value.map_or_else(|| "-".to_owned(), |value| format!("+{value}"));
        for part in [argument, &text] {
            self.0.update((part.len() as u64).to_be_bytes());
            self.0.update(part);
        }
        self
    }

    /// What its cursors carry.
    pub(crate) fn digest(self) -> ListDigest {
        let mut text = String::with_capacity(16);
        for byte in &self.0.finalize()[..8] {
            let _ = write!(text, "{byte:02x}");
        }
        ListDigest(text)
    }
}

/// What tells one list's cursors from another's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListDigest(String);

/// Where a list goes on, and the position that the page before was read at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) read_at: Position,
    pub(crate) key: read::Cursor,
}

impl Cursor {
    /// The text that clients get.
    pub(crate) fn encode(read_at: Position, list: &ListDigest, key: &read::Cursor) -> String {
        let mut bytes = format!("2:{read_at}:{}:", list.0).into_bytes();
        bytes.extend_from_slice(key.as_bytes());
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads what a client gave back for a list.
    pub(crate) fn decode(text: &str, list: &ListDigest) -> Result<Self, QueryError> {
        let text = Some(text).filter(|text| text.len() <= MAX_BYTES);
        let text = text.and_then(|text| String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(text).ok()?).ok()).ok_or_else(invalid)?;
        if is_of_version_1(&text) {
            return Err(QueryError::bad_input(
                "the cursor was given out by an older version of Cauri and does not say which list it belongs to: begin the list again without a cursor",
            ));
        }
        let parse = || {
            let (read_at, rest) = text.strip_prefix("2:")?.split_once(':')?;
            let (digest, key) = rest.split_once(':')?;
            let read_at = Position::new(position_in_text(read_at)?);
            (digest == list.0).then_some(())?;
            Some(Self { read_at, key: read::Cursor::from_bytes(key.as_bytes()).ok()? })
        };
        parse().ok_or_else(invalid)
    }

    /// Refuses a cursor of a list as known at another position than the one that was asked for.
    pub(crate) fn must_be_known_at(&self, known_at: Position) -> Result<(), QueryError> {
        let read_at = self.read_at;
        if read_at == known_at {
            return Ok(());
        }
        Err(QueryError::bad_input(format_args!(
            "the cursor belongs to this list as known at position {read_at}, not at {known_at}: give `knownAt: {read_at}` with it"
        )))
    }
}

/// Version 1 had no digest of its list: `1:POSITION:KEY`.
fn is_of_version_1(text: &str) -> bool {
    text.strip_prefix("1:").and_then(|rest| rest.split_once(':')).is_some_and(|(read_at, _)| position_in_text(read_at).is_some())
}

/// What is said of a cursor that is none, or of another list.
pub(crate) fn invalid() -> QueryError {
    QueryError::bad_input(
        "the cursor does not belong to this list: use a `cursor` or `endCursor` of the same list, unchanged, and the same arguments except for the size of the page",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list() -> ListDigest {
        List::named("accounts").with("kind", Some("asset")).with("owner", None::<&str>).digest()
    }

    #[test]
    fn a_cursor_comes_back_as_it_was_given() {
        let key = read::Cursor::from_bytes(b"accounts:merchants:awa:available").expect("text");
        let text = Cursor::encode(Position::new(17), &list(), &key);
        assert_eq!(Cursor::decode(&text, &list()), Ok(Cursor { read_at: Position::new(17), key }));
        assert!(!text.contains("awa"), "a cursor is opaque: {text}");
    }

    #[test]
    fn the_digest_of_a_list_is_frozen() {
        assert_eq!(list().0, "8ddc6eb713772097");
    }

    #[test]
    fn a_cursor_is_of_one_list_with_its_arguments() {
        let key = read::Cursor::from_bytes(b"accounts:a").expect("text");
        let text = Cursor::encode(Position::new(17), &list(), &key);
        for other in [
            List::named("entries").with("kind", Some("asset")).with("owner", None::<&str>),
            List::named("accounts").with("kind", Some("equity")).with("owner", None::<&str>),
            List::named("accounts").with("kind", None::<&str>).with("owner", None::<&str>),
            List::named("accounts").with("kind", Some("asset")).with("owner", Some("")),
            List::named("accounts").with("kind", Some("asset")).with("owner", Some("-")),
            List::named("accounts").with("kind", Some("asset")),
            List::named("accounts").with("kindowner", Some("asset")),
        ] {
            assert_eq!(Cursor::decode(&text, &other.digest()), Err(invalid()));
        }
    }

    #[test]
    fn a_cursor_of_an_older_version_is_refused_as_such() {
        let old = BASE64_URL_SAFE_NO_PAD.encode("1:9:accounts:merchants:awa");
        let Err(QueryError::BadInput(what)) = Cursor::decode(&old, &list()) else { panic!("it was taken") };
        assert!(what.contains("older version"), "{what}");
    }

    #[test]
    fn a_text_that_is_no_cursor_is_refused() {
        let long = BASE64_URL_SAFE_NO_PAD.encode(format!("2:1:{}", "x".repeat(2_000)));
        for text in ["", "!", "MTox", "Mjo1OmE", &BASE64_URL_SAFE_NO_PAD.encode("1:-1:a"), &long] {
            assert_eq!(Cursor::decode(text, &list()), Err(invalid()), "{text}");
        }
    }
}
