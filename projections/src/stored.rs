//! Values as they come back out of SQLite: text and integers become the domain's types, or the row is damaged.

use std::fmt;
use std::str::FromStr;

use cauri_domain::ids::EntryId;
use cauri_domain::money::Currency;
use cauri_domain::time::Timestamp;
use cauri_event_schemas::Position;
use rusqlite::Row;
use rusqlite::types::Type;

/// A text that is not what its column holds.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct NotStoredSo(String);

fn damaged(column: usize, what: impl fmt::Display) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(NotStoredSo(what.to_string())))
}

/// A text column as the domain's own type.
pub(crate) fn parsed<T: FromStr<Err: fmt::Display>>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    row.get_ref(column)?.as_str()?.parse().map_err(|error| damaged(column, error))
}

/// A text column that may be null.
pub(crate) fn optional<T: FromStr<Err: fmt::Display>>(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<T>> {
    match row.get_ref(column)?.as_str_or_null()? {
        None => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|error| damaged(column, error)),
    }
}

/// A currency by its code.
pub(crate) fn currency(row: &Row<'_>, column: usize) -> rusqlite::Result<Currency> {
    parsed(row, column)
}

/// An instant in microseconds.
pub(crate) fn timestamp(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    let micros: i64 = row.get(column)?;
    Timestamp::from_micros(micros).ok_or(rusqlite::Error::IntegralValueOutOfRange(column, micros))
}

/// An instant in microseconds, or null.
pub(crate) fn optional_timestamp(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Timestamp>> {
    let micros: Option<i64> = row.get(column)?;
    micros.map(|micros| Timestamp::from_micros(micros).ok_or(rusqlite::Error::IntegralValueOutOfRange(column, micros))).transpose()
}

/// A position, version or count.
pub(crate) fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, number))
}

/// A position.
pub(crate) fn position(row: &Row<'_>, column: usize) -> rusqlite::Result<Position> {
    number(row, column).map(Position::new)
}

/// An entry's id, as 16 bytes.
pub(crate) fn entry_id(row: &Row<'_>, column: usize) -> rusqlite::Result<EntryId> {
    let bytes = row.get_ref(column)?.as_blob()?;
    entry_id_of(bytes).ok_or_else(|| damaged(column, "an entry's id has 16 bytes"))
}

/// An entry's id, or null.
pub(crate) fn optional_entry_id(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<EntryId>> {
    match row.get_ref(column)?.as_blob_or_null()? {
        None => Ok(None),
        Some(bytes) => entry_id_of(bytes).map(Some).ok_or_else(|| damaged(column, "an entry's id has 16 bytes")),
    }
}

fn entry_id_of(bytes: &[u8]) -> Option<EntryId> {
    bytes.try_into().ok().map(|bytes| EntryId::from_u128(u128::from_be_bytes(bytes)))
}

/// JSON that this crate wrote.
pub(crate) fn json<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    serde_json::from_str(row.get_ref(column)?.as_str()?).map_err(|error| damaged(column, error))
}

/// JSON that this crate wrote, or null for nothing at all.
pub(crate) fn json_or_default<T: serde::de::DeserializeOwned + Default>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    match row.get_ref(column)?.as_str_or_null()? {
        None => Ok(T::default()),
        Some(text) => serde_json::from_str(text).map_err(|error| damaged(column, error)),
    }
}

/// A value that no row of this crate holds in `column`.
pub(crate) fn unknown(column: usize, value: impl fmt::Display) -> rusqlite::Error {
    damaged(column, value)
}
