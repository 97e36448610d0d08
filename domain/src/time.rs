//! Instants in UTC with microseconds: the only time that events know.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::text;

/// Microseconds since 1970-01-01T00:00:00Z.
///
/// One text: `2026-03-16T08:00:00.000000Z`, always six digits after the second, so that text sorts as time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// A text that is not an instant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an instant in RFC 3339 such as 2026-03-16T08:00:00Z, between the years 1900 and 9999")]
pub struct InvalidTimestamp(String);

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const UNIX_EPOCH: Timestamp = Timestamp(0);
    /// 1900-01-01: nothing in a ledger is effective earlier.
    pub const MIN: Timestamp = Timestamp(-2_208_988_800_000_000);
    /// 9999-12-30T22:00:00.999999Z: the last instant that any offset can still write with four digits of year.
    pub const MAX: Timestamp = Timestamp(253_402_207_200_999_999);

    /// From microseconds since the epoch; `None` outside [`Timestamp::MIN`] to [`Timestamp::MAX`].
    pub fn from_micros(micros: i64) -> Option<Self> {
        (Self::MIN.0..=Self::MAX.0).contains(&micros).then_some(Self(micros))
    }

    /// Microseconds since the epoch.
    pub fn as_micros(self) -> i64 {
        self.0
    }

    /// This instant moved by whole microseconds, held inside the range.
    pub fn saturating_add_micros(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros).clamp(Self::MIN.0, Self::MAX.0))
    }

    /// This instant moved by whole seconds, held inside the range.
    pub fn saturating_add_secs(self, secs: i64) -> Self {
        self.saturating_add_micros(secs.saturating_mul(1_000_000))
    }

    /// Writes the one text form into `out` without an intermediate allocation.
    pub fn write_to(self, out: &mut [u8; 27]) {
        let days = self.0.div_euclid(86_400_000_000);
        let micros_of_day = self.0.rem_euclid(86_400_000_000);
        let (year, month, day) = civil_from_days(days);
        let seconds = micros_of_day / 1_000_000;
        let mut put = |at: usize, width: usize, mut value: i64| {
            for offset in (0..width).rev() {
                out[at + offset] = b'0' + (value % 10) as u8;
                value /= 10;
            }
        };
        put(0, 4, year);
        put(5, 2, month);
        put(8, 2, day);
        put(11, 2, seconds / 3_600);
        put(14, 2, seconds / 60 % 60);
        put(17, 2, seconds % 60);
        put(20, 6, micros_of_day % 1_000_000);
        for (at, byte) in [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'.'), (26, b'Z')] {
            out[at] = byte;
        }
    }
}

/// Year, month and day of a day number since 1970-01-01 (H. Hinnant, "chrono-Compatible Low-Level Date
/// Algorithms", `civil_from_days`): every record carries an instant, and this is the hot path's own form.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// Day number of a civil date; the inverse of [`civil_from_days`].
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Reads the one stored form without the general parser; anything else is `None`.
fn parse_stored_form(text: &str) -> Option<Timestamp> {
    let bytes: &[u8; 27] = text.as_bytes().try_into().ok()?;
    for (at, byte) in [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'.'), (26, b'Z')] {
        if bytes[at] != byte {
            return None;
        }
    }
    let number = |at: usize, width: usize| {
        bytes[at..at + width].iter().try_fold(0_i64, |value, byte| byte.is_ascii_digit().then(|| value * 10 + i64::from(byte - b'0')))
    };
    let (year, month, day) = (number(0, 4)?, number(5, 2)?, number(8, 2)?);
    let (hour, minute, second, micro) = (number(11, 2)?, number(14, 2)?, number(17, 2)?, number(20, 6)?);
    let days = days_from_civil(year, month, day);
    if civil_from_days(days) != (year, month, day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    Timestamp::from_micros((days * 86_400 + hour * 3_600 + minute * 60 + second) * 1_000_000 + micro)
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        parse_stored_form(text)
            .or_else(|| text.parse::<jiff::Timestamp>().ok().and_then(|instant| Self::from_micros(instant.as_microsecond())))
            .ok_or_else(|| InvalidTimestamp(text.chars().take(40).collect()))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = [0; 27];
        self.write_to(&mut out);
        f.write_str(std::str::from_utf8(&out).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = [0; 27];
        self.write_to(&mut out);
        serializer.serialize_str(std::str::from_utf8(&out).map_err(serde::ser::Error::custom)?)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text::parsed(deserializer)
    }
}

impl JsonSchema for Timestamp {
    fn schema_name() -> Cow<'static, str> {
        "Timestamp".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "date-time", "description": "RFC 3339, stored in UTC with microseconds" })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_offset_is_read_and_stored_as_utc() {
        let read: Timestamp = "2026-03-16T09:30:00+01:00".parse().expect("RFC 3339");
        assert_eq!(read.to_string(), "2026-03-16T08:30:00.000000Z");
    }

    #[test]
    fn a_date_that_does_not_exist_is_refused() {
        for text in ["2026-02-30T00:00:00.000000Z", "2026-13-01T00:00:00Z", "2026-01-01T24:00:01.000000Z", "yesterday", ""] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn text_and_instant_are_one_to_one_and_agree_with_jiff(micros in Timestamp::MIN.0..=Timestamp::MAX.0) {
            let instant = Timestamp(micros);
            let text = instant.to_string();
            prop_assert_eq!(text.parse::<Timestamp>().expect("own text"), instant);
            let theirs = text.parse::<jiff::Timestamp>().expect("RFC 3339");
            prop_assert_eq!(theirs.as_microsecond(), micros);
        }
    }
}
