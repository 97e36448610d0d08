//! Pages of lists: rows with a cursor each, by key and never by offset.

use std::fmt;

use super::ReadError;

/// The most rows that one page holds; a larger limit is cut down to it.
pub const MAX_PAGE: usize = 1_000;

/// Where a list goes on: the key of a row, opaque to everybody else. It stays valid for ever.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Cursor(String);

impl Cursor {
    /// The cursor as bytes, for whoever sends it out.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The cursor that these bytes once were. Whether it fits a list is judged by the list.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ReadError> {
        std::str::from_utf8(bytes).map(|text| Self(text.to_owned())).map_err(|_| ReadError::InvalidCursor)
    }

    /// A cursor of the list `list` at `key`.
    pub(crate) fn new(list: &str, key: impl fmt::Display) -> Self {
        Self(format!("{list}:{key}"))
    }

    /// The key, if the cursor belongs to `list`.
    pub(crate) fn key(&self, list: &str) -> Result<&str, ReadError> {
        self.0.strip_prefix(list).and_then(|rest| rest.strip_prefix(':')).ok_or(ReadError::InvalidCursor)
    }

    /// The numbers of a key such as `17:3`, exactly `N` of them.
    pub(crate) fn numbers<const N: usize>(&self, list: &str) -> Result<[i64; N], ReadError> {
        let parsed: Result<Vec<i64>, _> = self.key(list)?.split(':').map(str::parse).collect();
        parsed.ok().and_then(|numbers| numbers.try_into().ok()).ok_or(ReadError::InvalidCursor)
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One row and the cursor behind it.
#[derive(Clone, Debug, PartialEq)]
pub struct Item<T> {
    /// Given as `after`, the list goes on behind this row.
    pub cursor: Cursor,
    /// The row.
    pub row: T,
}

/// Some rows of a list, in its order.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<Item<T>>,
    /// The list goes on behind the last of them.
    pub has_next: bool,
}

impl<T> Page<T> {
    /// Cuts what was read, one row more than the page holds, down to the page.
    pub(crate) fn cut(mut items: Vec<Item<T>>, limit: usize) -> Self {
        let has_next = items.len() > limit;
        items.truncate(limit);
        Self { items, has_next }
    }

    /// The rows without their cursors.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &T> {
        self.items.iter().map(|item| &item.row)
    }

    /// The cursor behind the last row, if the list goes on.
    pub fn next(&self) -> Option<&Cursor> {
        self.items.last().filter(|_| self.has_next).map(|item| &item.cursor)
    }
}
