//! Which texts are instants (RFC 3339 §5.6), and what is said of those that are not.

use cauri_domain::time::Timestamp;
use proptest::prelude::*;

fn refusal(text: &str) -> String {
    match text.parse::<Timestamp>() {
        Err(error) => error.to_string(),
        Ok(instant) => panic!("{text:?} was read as {instant}"),
    }
}

#[test]
fn an_instant_of_rfc_3339_is_read_and_written_in_one_form() {
    for (text, written) in [
        ("2026-03-16T08:00:00Z", "2026-03-16T08:00:00.000000Z"),
        ("2026-03-16T08:00:00.5Z", "2026-03-16T08:00:00.500000Z"),
        ("2026-03-16T08:00:00.123456Z", "2026-03-16T08:00:00.123456Z"),
        ("2026-03-16T08:00:00.000001Z", "2026-03-16T08:00:00.000001Z"),
        // Finer digits that say nothing.
        ("2026-03-16T08:00:00.123456000Z", "2026-03-16T08:00:00.123456Z"),
        ("2026-03-16T08:00:00.000000000000000000000Z", "2026-03-16T08:00:00.000000Z"),
        // Offsets, to the last that there may be.
        ("2026-03-16T09:30:00+01:00", "2026-03-16T08:30:00.000000Z"),
        ("2026-03-15T22:30:00.25-05:30", "2026-03-16T04:00:00.250000Z"),
        ("2026-03-16T23:59:00+23:59", "2026-03-16T00:00:00.000000Z"),
        ("2026-03-16T00:00:00-23:59", "2026-03-16T23:59:00.000000Z"),
        ("2026-03-16T08:00:00+00:00", "2026-03-16T08:00:00.000000Z"),
        ("2026-03-16T08:00:00-00:00", "2026-03-16T08:00:00.000000Z"),
        // The grammar's letters stand for both cases.
        ("2026-03-16t08:00:00z", "2026-03-16T08:00:00.000000Z"),
        // Days that some years have.
        ("2024-02-29T00:00:00Z", "2024-02-29T00:00:00.000000Z"),
        ("2000-02-29T00:00:00Z", "2000-02-29T00:00:00.000000Z"),
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000000Z"),
        // The ends.
        ("1900-01-01T00:00:00Z", "1900-01-01T00:00:00.000000Z"),
        ("1899-12-31T23:00:00-01:00", "1900-01-01T00:00:00.000000Z"),
        ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59.000000Z"),
        ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
        ("9999-12-31T23:59:59.999999+01:00", "9999-12-31T22:59:59.999999Z"),
    ] {
        let instant = text.parse::<Timestamp>().unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(instant.to_string(), written, "{text}");
        assert_eq!(serde_json::from_value::<Timestamp>(serde_json::json!(text)).expect("an instant"), instant, "{text}");
    }
}

#[test]
fn what_is_not_an_instant_of_rfc_3339_is_refused_with_the_reason() {
    let form = "write it as in RFC 3339, with a date, `T`, a time to the second, and `Z` or an offset";
    let finer = "an instant has at most six digits after the second; only zeros may follow";
    let range = "an instant lies between 1900-01-01T00:00:00Z and 9999-12-31T23:59:59.999999Z";
    let offset = "an offset from UTC has hours from 00 to 23 and minutes from 00 to 59, such as +01:00";
    let time = "an hour is 00 to 23, a minute 00 to 59 and a second 00 to 59";
    let leap = "leap seconds are not counted; write second 59, or second 00 of the next minute";
    let date = "there is no such date";
    for (text, reason) in [
        // Not all of a date, a time and an offset.
        ("", form),
        ("yesterday", form),
        ("1773648000", form),
        ("2026-11-24", form),
        ("2026-11-24T00Z", form),
        ("2026-11-24T00:00Z", form),
        ("2026-11-24T00:00:00", form),
        ("2026-11-24T00:00:00.5", form),
        ("2026-11-24Z", form),
        // Other forms of ISO 8601, and what other libraries write.
        ("20261124T000000Z", form),
        ("2026-328T00:00:00Z", form),
        ("2026-W48-2T00:00:00Z", form),
        ("+002026-11-24T00:00:00Z", form),
        ("-002026-11-24T00:00:00Z", form),
        ("12026-11-24T00:00:00Z", form),
        ("2026-11-24T00:00:00,5Z", form),
        ("2026-11-24T00:00:00.Z", form),
        ("2026-11-24T00:00:00+01", form),
        ("2026-11-24T00:00:00+0100", form),
        ("2026-11-24T00:00:00+1:00", form),
        ("2026-11-24T00:00:00+01:00:30", form),
        ("2026-11-24T00:00:00\u{2212}01:00", form),
        ("2026-11-24T00:00:00+01:00[Asia/Tokyo]", form),
        ("2026-11-24T00:00:00Z[UTC]", form),
        ("2026-11-24T00:00:00ZZ", form),
        ("2026-11-24T00:00:00Z+", form),
        ("2026-11-24T00:00:00Z+01:00", form),
        ("2026-11-24T00:00:00 UTC", form),
        // No spaces, within or around.
        ("2026-11-24 00:00:00Z", form),
        ("2026-11-24T00:00:00 Z", form),
        (" 2026-11-24T00:00:00Z", form),
        ("2026-11-24T00:00:00Z ", form),
        ("2026-11-24T00:00:00Z\n", form),
        ("2026-11-24_00:00:00Z", form),
        // Digits are ASCII.
        ("２０２６-11-24T00:00:00Z", form),
        ("2026-1a-24T00:00:00Z", form),
        ("2026-11-24T-1:00:00Z", form),
        // Dates and times that do not exist.
        ("2026-02-30T00:00:00Z", date),
        ("2026-02-29T00:00:00Z", date),
        ("1900-02-29T00:00:00Z", date),
        ("2026-13-01T00:00:00Z", date),
        ("2026-00-01T00:00:00Z", date),
        ("2026-01-00T00:00:00Z", date),
        ("2026-04-31T00:00:00Z", date),
        ("2026-01-01T24:00:00Z", time),
        ("2026-01-01T24:00:01.000000Z", time),
        ("2026-01-01T23:60:00Z", time),
        ("2026-01-01T23:59:61Z", time),
        // Leap seconds, where there was one and where there was none.
        ("2016-12-31T23:59:60Z", leap),
        ("2026-11-24T12:00:60Z", leap),
        ("2026-11-24T12:00:00+25:00", offset),
        ("2026-11-24T12:00:00+24:00", offset),
        ("2026-11-24T12:00:00-01:60", offset),
        // Finer than microseconds.
        ("2026-10-31T23:59:59.999999999Z", finer),
        ("2026-10-31T23:59:59.9999995Z", finer),
        ("2026-10-31T23:59:59.0000000000000000001Z", finer),
        // Outside of the range, also by the offset.
        ("1899-12-31T23:59:59.999999Z", range),
        ("0000-01-01T00:00:00Z", range),
        ("1900-01-01T00:00:00+00:01", range),
        ("9999-12-31T23:59:59-00:01", range),
    ] {
        let said = refusal(text);
        assert!(said.contains(&format!("is not an instant: {reason}")), "{said}");
        let read = serde_json::from_value::<Timestamp>(serde_json::json!(text)).expect_err("the same in JSON");
        assert_eq!(read.to_string(), said);
    }
}

#[test]
fn a_refusal_repeats_no_more_than_the_beginning_of_a_long_text_and_no_control_characters() {
    let said = refusal(&"\u{7}".repeat(10_000));
    assert!(said.len() < 500 && !said.contains('\u{7}'), "{said}");
}

#[test]
fn arithmetic_stays_between_the_ends() {
    for amount in [1, -1, i64::MAX, i64::MIN, 7 * 86_400] {
        for instant in [Timestamp::MIN, Timestamp::UNIX_EPOCH, Timestamp::MAX] {
            for moved in [instant.saturating_add_secs(amount), instant.saturating_add_micros(amount)] {
                assert!((Timestamp::MIN..=Timestamp::MAX).contains(&moved), "{instant} and {amount}");
                assert_eq!(moved.to_string().parse(), Ok(moved));
            }
        }
    }
    assert_eq!(Timestamp::MAX.saturating_add_secs(7 * 86_400), Timestamp::MAX);
    assert_eq!(Timestamp::from_micros(Timestamp::MAX.as_micros() + 1), None);
    assert_eq!(Timestamp::from_micros(Timestamp::MIN.as_micros() - 1), None);
}

/// A plain second reading: by splitting the text and counting the days one year and one month after the other.
fn plainly(text: &str) -> Option<i64> {
    let digits = |text: &str, width: usize| {
        (text.len() == width && text.chars().all(|digit| digit.is_ascii_digit())).then(|| text.parse::<i64>().ok()).flatten()
    };
    let text = text.to_ascii_uppercase();
    let (date, time) = text.split_once('T')?;
    let [year, month, day] = date.split('-').collect::<Vec<_>>().try_into().ok()?;
    let (year, month, day) = (digits(year, 4)?, digits(month, 2)?, digits(day, 2)?);
    let (time, ahead) = match (time.strip_suffix('Z'), time.split_once('+'), time.split_once('-')) {
        (Some(time), _, _) => (time, 0),
        (_, Some((time, offset)), _) | (_, _, Some((time, offset))) => {
            let (hours, minutes) = offset.split_once(':')?;
            let (hours, minutes) = (digits(hours, 2)?, digits(minutes, 2)?);
            let minutes = (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)?;
            (time, if text.contains('+') { minutes } else { -minutes })
        }
        _ => return None,
    };
    let [hour, minute, second] = time.split(':').collect::<Vec<_>>().try_into().ok()?;
    let (second, fraction) = second.split_once('.').map_or((second, None), |(second, fraction)| (second, Some(fraction)));
    let micro = match fraction {
        None => 0,
        Some(fraction) => {
            digits(fraction, fraction.len())?;
            let short = fraction.trim_end_matches('0');
            (!fraction.is_empty() && short.len() <= 6).then(|| format!("{short:0<6}").parse::<i64>().ok()).flatten()?
        }
    };
    let (hour, minute, second) = (digits(hour, 2)?, digits(minute, 2)?, digits(second, 2)?);
    let leap = |year: i64| (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let lengths = [31, if leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let length = *lengths.get(usize::try_from(month - 1).ok()?)?;
    if day < 1 || day > length || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let of_year = |year: i64| if leap(year) { 366 } else { 365 };
    let years = if year < 1970 { -(year..1970).map(of_year).sum::<i64>() } else { (1970..year).map(of_year).sum() };
    let days = years + lengths.iter().take(usize::try_from(month - 1).ok()?).sum::<i64>() + day - 1;
    let micros = ((days * 24 + hour) * 60 + minute - ahead) * 60_000_000 + second * 1_000_000 + micro;
    (Timestamp::MIN.as_micros()..=Timestamp::MAX.as_micros()).contains(&micros).then_some(micros)
}

proptest! {
    #[test]
    fn an_instant_has_one_text_and_the_text_one_instant(micros in Timestamp::MIN.as_micros()..=Timestamp::MAX.as_micros()) {
        let instant = Timestamp::from_micros(micros).expect("in range");
        let text = instant.to_string();
        prop_assert_eq!(text.len(), 27);
        prop_assert_eq!(text.parse::<Timestamp>().expect("own text"), instant);
        prop_assert_eq!(plainly(&text), Some(micros));
        // The library's own range ends 26 hours earlier.
        if let Ok(theirs) = text.parse::<jiff::Timestamp>() {
            prop_assert_eq!(theirs.as_microsecond(), micros);
        } else {
            prop_assert!(text.as_str() > "9999-12-30T22:00:00.999999Z");
        }
    }

    #[test]
    fn texts_that_look_like_instants_are_judged_as_by_a_plain_reading(
        text in "(19|20|18|99|00)[0-9]{2}-[01][0-9]-[0-3][0-9][Tt ]?[0-2][0-9]:[0-6][0-9]:[0-6][0-9]([.,][0-9]{0,8}0{0,3})?([Zz]|[+-][0-2][0-9](:[0-6][0-9])?)?"
    ) {
        prop_assert_eq!(text.parse::<Timestamp>().ok().map(Timestamp::as_micros), plainly(&text), "{}", text);
    }

    #[test]
    fn an_instant_written_with_an_offset_is_the_same_instant(
        seconds in -2_000_000_000_i64..200_000_000_000, micro in 0_i64..1_000_000, minutes in -1_439_i64..1_440
    ) {
        let instant = Timestamp::from_micros(seconds * 1_000_000 + micro).expect("in range");
        let local = instant.saturating_add_secs(minutes * 60).to_string();
        let sign = if minutes < 0 { '-' } else { '+' };
        let text = format!("{}{sign}{:02}:{:02}", local.trim_end_matches('Z'), minutes.abs() / 60, minutes.abs() % 60);
        prop_assert_eq!(text.parse::<Timestamp>(), Ok(instant), "{}", text);
    }
}
