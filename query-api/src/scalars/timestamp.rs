//! `Timestamp`: an instant.

use super::text_scalar;

text_scalar!(
    Timestamp(cauri_domain::time::Timestamp),
    "Timestamp",
    "An instant in RFC 3339, such as `2026-03-16T08:00:00Z`, from `1900-01-01T00:00:00Z` to `9999-12-31T23:59:59.999999Z`. Any offset is read, and up to six digits after the second; leap seconds and finer digits are refused. Answers are in UTC, always with six digits after the second, so that their text sorts as time."
);
