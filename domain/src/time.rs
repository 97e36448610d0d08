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

/// A text that is not an instant, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an instant: {fault}")]
pub struct InvalidTimestamp {
    /// The text, at most its first 40 characters.
    text: String,
    fault: Fault,
}

/// What is wrong with a text that is not an instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Fault {
    #[error(
        "write it as in RFC 3339, with a date, `T`, a time to the second, and `Z` or an offset, such as 2026-03-16T08:00:00Z or 2026-03-16T09:00:00+01:00"
    )]
    Form,
    #[error("there is no such date")]
    Date,
    #[error("an hour is 00 to 23, a minute 00 to 59 and a second 00 to 59")]
    Time,
    #[error("leap seconds are not counted; write second 59, or second 00 of the next minute")]
    LeapSecond,
    #[error("an offset from UTC has hours from 00 to 23 and minutes from 00 to 59, such as +01:00")]
    Offset,
    #[error("an instant has at most six digits after the second; only zeros may follow")]
    Finer,
    #[error("an instant lies between 1900-01-01T00:00:00Z and 9999-12-31T23:59:59.999999Z")]
    Range,
}

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const UNIX_EPOCH: Timestamp = Timestamp(0);
    /// 1900-01-01: nothing in a ledger is effective earlier.
    pub const MIN: Timestamp = Timestamp(-2_208_988_800_000_000);
    /// 9999-12-31T23:59:59.999999Z: the last instant whose year has four digits.
    pub const MAX: Timestamp = Timestamp(253_402_300_799_999_999);

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

/// Reads a `date-time` of RFC 3339 §5.6 and nothing else: a full date, a full time and an offset, without spaces.
///
/// As the grammar has it, `T` and `Z` may be small letters, and `-00:00` is UTC. The stored form takes the same way:
/// there is one reading of an instant.
fn parse(text: &[u8]) -> Result<Timestamp, Fault> {
    let (date_time, rest) = text.split_first_chunk::<19>().ok_or(Fault::Form)?;
    let separated = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')].iter().all(|(at, byte)| date_time[*at] == *byte);
    if !separated || !matches!(date_time[10], b'T' | b't') {
        return Err(Fault::Form);
    }
    let (year, month, day) = (number(&date_time[0..4])?, number(&date_time[5..7])?, number(&date_time[8..10])?);
    let (hour, minute, second) = (number(&date_time[11..13])?, number(&date_time[14..16])?, number(&date_time[17..19])?);
    let (micro, rest) = fraction(rest)?;
    let offset = offset(rest)?;
    let days = days_from_civil(year, month, day);
    if civil_from_days(days) != (year, month, day) {
        return Err(Fault::Date);
    }
    if hour > 23 || minute > 59 || second > 60 {
        return Err(Fault::Time);
    }
    if second == 60 {
        return Err(Fault::LeapSecond);
    }
    let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second - offset;
    Timestamp::from_micros(seconds * 1_000_000 + micro).ok_or(Fault::Range)
}

/// A number of at most four digits.
fn number(digits: &[u8]) -> Result<i64, Fault> {
    digits.iter().try_fold(0, |value, byte| if byte.is_ascii_digit() { Ok(value * 10 + i64::from(byte - b'0')) } else { Err(Fault::Form) })
}

/// The microseconds after a `.`, none where there is no `.`, and what follows them.
fn fraction(text: &[u8]) -> Result<(i64, &[u8]), Fault> {
    let Some(text) = text.strip_prefix(b".") else { return Ok((0, text)) };
    let length = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    if length == 0 {
        return Err(Fault::Form);
    }
    let (digits, rest) = text.split_at(length);
    if digits.iter().skip(6).any(|digit| *digit != b'0') {
        return Err(Fault::Finer);
    }
    let micro = (0..6).fold(0, |value, at| value * 10 + digits.get(at).map_or(0, |digit| i64::from(digit - b'0')));
    Ok((micro, rest))
}

/// The seconds that local time is ahead of UTC.
fn offset(text: &[u8]) -> Result<i64, Fault> {
    let (sign, hour, minute) = match text {
        b"Z" | b"z" => return Ok(0),
        [b'+', h1, h2, b':', m1, m2] => (1, [*h1, *h2], [*m1, *m2]),
        [b'-', h1, h2, b':', m1, m2] => (-1, [*h1, *h2], [*m1, *m2]),
        _ => return Err(Fault::Form),
    };
    let (hour, minute) = (number(&hour)?, number(&minute)?);
    if hour > 23 || minute > 59 {
        return Err(Fault::Offset);
    }
    Ok(sign * (hour * 3_600 + minute * 60))
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, InvalidTimestamp> {
        parse(text.as_bytes()).map_err(|fault| InvalidTimestamp { text: text.chars().take(40).collect(), fault })
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
