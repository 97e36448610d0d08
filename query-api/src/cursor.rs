//! Cursors as clients see them: opaque, and of one list only.
//!
//! Inside stand a version, the position that the page was read at, and the read store's own cursor, which says which
//! list it is of and at which key. A cursor stays valid for ever.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use cauri_event_schemas::Position;
use cauri_projections::read;

use crate::error::QueryError;
use crate::scalars::position::position_in_text;

/// Longer than any cursor that was ever given out: addresses have at most 200 characters.
const MAX_BYTES: usize = 1_024;

/// Where a list goes on, and the position that the page before was read at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) read_at: Position,
    pub(crate) key: read::Cursor,
}

impl Cursor {
    /// The text that clients get.
    pub(crate) fn encode(read_at: Position, key: &read::Cursor) -> String {
        let mut bytes = format!("1:{read_at}:").into_bytes();
        bytes.extend_from_slice(key.as_bytes());
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads what a client gave back. Whether it is of the right list is judged by the list.
    pub(crate) fn decode(text: &str) -> Result<Self, QueryError> {
        let parse = || {
            if text.len() > MAX_BYTES {
                return None;
            }
            let text = String::from_utf8(BASE64_URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
            let (read_at, key) = text.strip_prefix("1:")?.split_once(':')?;
            let read_at = Position::new(position_in_text(read_at)?);
            Some(Self { read_at, key: read::Cursor::from_bytes(key.as_bytes()).ok()? })
        };
        parse().ok_or_else(invalid)
    }
}

/// What is said of a cursor that is none, or of another list.
pub(crate) fn invalid() -> QueryError {
    QueryError::bad_input("the cursor does not belong to this list: use a `cursor` or `endCursor` of the same list, unchanged")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_comes_back_as_it_was_given() {
        let key = read::Cursor::from_bytes(b"accounts:merchants:awa:available").expect("text");
        let text = Cursor::encode(Position::new(17), &key);
        assert_eq!(Cursor::decode(&text), Ok(Cursor { read_at: Position::new(17), key }));
        assert!(!text.contains("awa"), "a cursor is opaque: {text}");
    }

    #[test]
    fn a_text_that_is_no_cursor_is_refused() {
        let long = BASE64_URL_SAFE_NO_PAD.encode(format!("1:1:{}", "x".repeat(2_000)));
        for text in ["", "!", "MTox", "Mjo1OmE", &BASE64_URL_SAFE_NO_PAD.encode("1:-1:a"), &long] {
            assert_eq!(Cursor::decode(text), Err(invalid()), "{text}");
        }
    }
}
