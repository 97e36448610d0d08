//! `Timestamp`: an instant.

use super::text_scalar;

text_scalar!(
    Timestamp(cauri_domain::time::Timestamp),
    "Timestamp",
    "An instant in RFC 3339, such as `2026-03-16T08:00:00Z`. Any offset is read; answers are in UTC, always with six digits after the second, so that their text sorts as time."
);
