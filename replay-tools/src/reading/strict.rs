//! The strict reading: entries' events in canonical text, in one pass from left to right and without allocation.
//!
//! It knows the one text that each value has (RFC 8785, fields in the order of the schema) and accepts
//! nothing else: `None` only means "ask [`super::careful`]". Accounts' events are few and are left to that.

use std::ops::Range;

use cauri_domain::money::{Currency, MAX_MINOR};
use cauri_domain::time::Timestamp;
use cauri_event_schemas::Position;

use super::{EntryKey, Fact, Happening, Motion, Moved, Movement, Seed, Span, Stream};

/// Reads the record in `range` of `arena`; the position that it states, and its fact.
///
/// Where it gives up, `movements` may have grown: the caller cuts it back.
pub(super) fn read(
    arena: &[u8],
    range: Range<usize>,
    position: Position,
    movements: &mut Vec<Movement>,
    seed: &Seed,
) -> Option<(Position, Fact)> {
    let (event_type, version, end) = tail(&arena[range.clone()])?;
    let mut text = Text { bytes: &arena[..range.start + end], at: range.start, seed };
    text.need(b"{\"data\":{")?;
    let event = match event_type {
        b"entry.posted" => posted(&mut text, movements)?,
        b"entry.held" => held(&mut text, movements)?,
        b"entry.hold_posted" => hold_posted(&mut text, movements)?,
        b"entry.hold_voided" => hold_released(&mut text, movements, Motion::HoldVoided)?,
        b"entry.hold_expired" => hold_released(&mut text, movements, Motion::HoldExpired)?,
        b"entry.reversed" => reversed(&mut text)?,
        _ => return None,
    };
    text.need(b"}")?;
    text.eat(b",\"envelope\":2");
    text.need(b",\"metadata\":{\"actor\":\"")?;
    text.short_text()?;
    let caller = if text.eat(b",\"caller\":\"") { Some(text.caller()?) } else { None };
    if text.eat(b",\"causation\":\"") {
        text.short_text()?;
    }
    text.need(b",\"command\":\"")?;
    let command = text.command_id()?;
    if text.eat(b",\"correlation\":\"") {
        text.short_text()?;
    }
    let has_fingerprint = text.eat(b",\"fingerprint\":\"");
    if has_fingerprint {
        text.eat(b"2:");
        text.hexadecimal(32)?;
        text.need(b"\"")?;
    }
    if text.eat(b",\"traceparent\":\"") {
        text.short_text()?;
    }
    text.need(b"},\"position\":")?;
    let stated = text.integer()?;
    text.need(b",\"recorded_at\":\"")?;
    let recorded_at = text.timestamp()?;
    // Every event of an entry still has its first shape; a test holds this against the registry.
    text.need(b",\"schema\":1,\"stream\":\"entry/")?;
    let entry = text.entry_id()?;
    if text.at != text.bytes.len() {
        return None;
    }
    let fact = Fact {
        position,
        version,
        recorded_at,
        caller,
        command,
        command_hash: seed.command(caller.map(|caller| caller.of(arena)), command.of(arena)),
        has_fingerprint,
        part: 0,
        stream: Stream::Entry(entry, seed.hash(&entry)),
        event,
    };
    Some((Position::new(stated), fact))
}

/// Event type, version, and where the part before `,"type":"…","version":n}` ends.
fn tail(record: &[u8]) -> Option<(&[u8], u64, usize)> {
    let rest = record.strip_suffix(b"}")?;
    let digits = rest.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let (rest, number) = rest.split_at(rest.len() - digits);
    let version = integer(number)?;
    let rest = rest.strip_suffix(b"\",\"version\":")?;
    let name = rest.iter().rev().take(32).position(|byte| *byte == b'"')?;
    let (rest, event_type) = rest.split_at(rest.len() - name);
    let rest = rest.strip_suffix(b",\"type\":\"")?;
    Some((event_type, version, rest.len()))
}

fn posted(text: &mut Text<'_>, movements: &mut Vec<Movement>) -> Option<Happening> {
    text.dimensions()?;
    text.need(b"\"effective_at\":\"")?;
    let effective_at = text.timestamp()?;
    if text.eat(b",\"reference\":\"") {
        text.short_text()?;
    }
    let reverses = if text.eat(b",\"reverses\":\"") { Some(text.entry_id()?) } else { None };
    let transfers = text.transfers(movements)?;
    Some(Happening::Moved(Moved { motion: Motion::Posted, effective_at, expires_at: None, reverses, transfers }))
}

fn held(text: &mut Text<'_>, movements: &mut Vec<Movement>) -> Option<Happening> {
    text.dimensions()?;
    text.need(b"\"effective_at\":\"")?;
    let effective_at = text.timestamp()?;
    let expires_at = if text.eat(b",\"expires_at\":\"") { Some(text.timestamp()?) } else { None };
    if text.eat(b",\"reference\":\"") {
        text.short_text()?;
    }
    let transfers = text.transfers(movements)?;
    Some(Happening::Moved(Moved { motion: Motion::Held, effective_at, expires_at, reverses: None, transfers }))
}

fn hold_posted(text: &mut Text<'_>, movements: &mut Vec<Movement>) -> Option<Happening> {
    text.need(b"\"effective_at\":\"")?;
    let effective_at = text.timestamp()?;
    let transfers = text.posted_transfers(movements)?;
    Some(Happening::Moved(Moved { motion: Motion::HoldPosted, effective_at, expires_at: None, reverses: None, transfers }))
}

fn hold_released(text: &mut Text<'_>, movements: &mut Vec<Movement>, motion: Motion) -> Option<Happening> {
    text.need(b"\"effective_at\":\"")?;
    let effective_at = text.timestamp()?;
    if motion == Motion::HoldVoided && text.eat(b",\"reason\":\"") {
        text.short_text()?;
    }
    let transfers = text.transfers(movements)?;
    Some(Happening::Moved(Moved { motion, effective_at, expires_at: None, reverses: None, transfers }))
}

fn reversed(text: &mut Text<'_>) -> Option<Happening> {
    text.need(b"\"by\":\"")?;
    let by = text.entry_id()?;
    if text.eat(b",\"reason\":\"") {
        text.short_text()?;
    }
    Some(Happening::Reversed { by })
}

/// A record's text, read from left to right. Methods that read a string begin behind its opening quote and
/// end behind its closing one.
struct Text<'a> {
    bytes: &'a [u8],
    at: usize,
    seed: &'a Seed,
}

impl Text<'_> {
    #[inline(always)]
    fn eat(&mut self, expected: &[u8]) -> bool {
        let found = self.bytes[self.at..].starts_with(expected);
        if found {
            self.at += expected.len();
        }
        found
    }

    #[inline(always)]
    fn need(&mut self, expected: &[u8]) -> Option<()> {
        self.eat(expected).then_some(())
    }

    #[inline(always)]
    fn take(&mut self, count: usize) -> Option<&[u8]> {
        let taken = self.bytes.get(self.at..self.at + count)?;
        self.at += count;
        Some(taken)
    }

    /// Bytes up to the closing quote, all of which `allowed` allows; the quote is read too.
    #[inline(always)]
    fn string(&mut self, allowed: &[bool; 256], most: usize) -> Option<Span> {
        let start = self.at;
        let rest = &self.bytes[start..];
        let length = rest.iter().position(|byte| !allowed[usize::from(*byte)])?;
        if rest[length] != b'"' || length == 0 || length > most {
            return None;
        }
        self.at = start + length + 1;
        Some(Span::new(start..start + length))
    }

    /// 1 to 256 characters, none of them escaped or a control character.
    fn short_text(&mut self) -> Option<Span> {
        self.text(256)
    }

    /// 1 to `most` characters, none of them escaped or a control character.
    fn text(&mut self, most: usize) -> Option<Span> {
        let start = self.at;
        if let Some(span) = self.string(&PLAIN, most) {
            return Some(span);
        }
        // Not all ASCII: as long as it is text without escapes, it still has one form.
        let length = memchr::memchr(b'"', &self.bytes[start..])?;
        let text = std::str::from_utf8(&self.bytes[start..start + length]).ok()?;
        if length == 0 || text.contains('\\') || text.chars().any(char::is_control) || text.chars().count() > most {
            return None;
        }
        self.at = start + length + 1;
        Some(Span::new(start..start + length))
    }

    /// `ISSUER ID`. Sources of files are rare, so theirs is left to the careful reading.
    fn caller(&mut self) -> Option<Span> {
        let span = self.text(512)?;
        let space = memchr::memchr(b' ', span.of(self.bytes))?;
        (0 < space && space + 1 < span.len as usize).then_some(span)
    }

    fn command_id(&mut self) -> Option<Span> {
        self.string(&GRAPHIC, 255)
    }

    fn account(&mut self) -> Option<(Span, u64)> {
        let span = self.string(&ADDRESS, 200)?;
        let address = &self.bytes[span.start..span.start + span.len as usize];
        let mut segments = 1;
        let mut before = b':';
        for byte in address {
            if *byte == b':' {
                segments += 1;
                if before == b':' {
                    return None;
                }
            }
            before = *byte;
        }
        (before != b':' && segments <= 16).then(|| (span, self.seed.hash(address)))
    }

    fn hexadecimal(&mut self, digits: usize) -> Option<()> {
        self.take(digits)?.iter().all(|byte| HEX[usize::from(*byte)] < 16).then_some(())
    }

    /// A UUID with hyphens and small letters.
    fn entry_id(&mut self) -> Option<EntryKey> {
        let text = self.take(37)?;
        if [text[8], text[13], text[18], text[23]] != [b'-'; 4] || text[36] != b'"' {
            return None;
        }
        let mut key = [0; 16];
        let mut wrong = 0;
        for (byte, at) in key.iter_mut().zip([0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34]) {
            let (high, low) = (HEX[usize::from(text[at])], HEX[usize::from(text[at + 1])]);
            wrong |= high | low;
            *byte = high << 4 | (low & 15);
        }
        (wrong < 16).then_some(key)
    }

    fn integer(&mut self) -> Option<u64> {
        let rest = &self.bytes[self.at..];
        let digits = rest.iter().position(|byte| !byte.is_ascii_digit())?;
        self.at += digits;
        integer(&rest[..digits])
    }

    /// An instant in the one stored form.
    fn timestamp(&mut self) -> Option<i64> {
        let text: &[u8; 28] = self.take(28)?.try_into().ok()?;
        for (at, byte) in [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'.'), (26, b'Z'), (27, b'"')] {
            if text[at] != byte {
                return None;
            }
        }
        let number = |at: usize, width: usize| {
            let mut value = 0;
            for byte in &text[at..at + width] {
                if !byte.is_ascii_digit() {
                    return None;
                }
                value = value * 10 + i64::from(byte - b'0');
            }
            Some(value)
        };
        let (year, month, day) = (number(0, 4)?, number(5, 2)?, number(8, 2)?);
        let (hour, minute, second, micro) = (number(11, 2)?, number(14, 2)?, number(17, 2)?, number(20, 6)?);
        if hour > 23 || minute > 59 || second > 59 || !(1..=12).contains(&month) || day < 1 || day > days_in(year, month) {
            return None;
        }
        let seconds = days_before(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second;
        Timestamp::from_micros(seconds * 1_000_000 + micro).map(Timestamp::as_micros)
    }

    /// `{"amount":"…","currency":"…"}`, zero or more, in minor units.
    fn money(&mut self) -> Option<(i64, Currency)> {
        self.need(b"{\"amount\":\"")?;
        let start = self.at;
        let rest = &self.bytes[start..];
        let length = rest.iter().position(|byte| *byte == b'"')?;
        let amount = &rest[..length];
        self.at = start + length;
        self.need(b"\",\"currency\":\"")?;
        let rest = &self.bytes[self.at..];
        let length = rest.iter().take(5).position(|byte| *byte == b'"')?;
        let currency: Currency = match &rest[..length] {
            b"XOF" => Currency::XOF,
            code => std::str::from_utf8(code).ok()?.parse().ok()?,
        };
        self.at += length;
        self.need(b"\"}")?;
        Some((minor(amount, currency.exponent() as usize)?, currency))
    }

    /// `"dimensions":{…},` where an entry has some.
    fn dimensions(&mut self) -> Option<()> {
        if !self.eat(b"\"dimensions\":{") {
            return Some(());
        }
        let mut before = Span::default();
        loop {
            self.need(b"\"")?;
            let key = self.string(&KEY, 64)?;
            let text = |span: Span| &self.bytes[span.start..span.start + span.len as usize];
            if !text(key)[0].is_ascii_lowercase() || text(key) <= text(before) {
                return None;
            }
            before = key;
            self.need(b":\"")?;
            self.short_text()?;
            if !self.eat(b",") {
                return self.need(b"},");
            }
        }
    }

    /// The field that ends every event that moves money.
    fn transfers(&mut self, movements: &mut Vec<Movement>) -> Option<Range<usize>> {
        self.need(b",\"transfers\":[")?;
        let first = movements.len();
        loop {
            self.need(b"{\"amount\":")?;
            let (minor, currency) = self.money()?;
            let (credit, debit) = self.sides()?;
            if self.eat(b",\"reason\":\"") {
                self.short_text()?;
            }
            movements.push(Movement { debit, credit, minor, held: minor, currency });
            if !self.eat(b"},") {
                self.need(b"}]")?;
                return Some(first..movements.len());
            }
        }
    }

    /// The same where a hold is posted.
    fn posted_transfers(&mut self, movements: &mut Vec<Movement>) -> Option<Range<usize>> {
        self.need(b",\"transfers\":[")?;
        let first = movements.len();
        loop {
            self.need(b"{\"amount\":")?;
            let (minor, currency) = self.money()?;
            let (credit, debit) = self.sides()?;
            self.need(b",\"held\":")?;
            let (held, of_held) = self.money()?;
            if self.eat(b",\"reason\":\"") {
                self.short_text()?;
            }
            if of_held != currency {
                return None;
            }
            movements.push(Movement { debit, credit, minor, held, currency });
            if !self.eat(b"},") {
                self.need(b"}]")?;
                return Some(first..movements.len());
            }
        }
    }

    fn sides(&mut self) -> Option<((Span, u64), (Span, u64))> {
        self.need(b",\"credit\":\"")?;
        let credit = self.account()?;
        self.need(b",\"debit\":\"")?;
        Some((credit, self.account()?))
    }
}

/// An integer as it is written canonically, below 2^53.
fn integer(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 16 || (digits[0] == b'0' && digits.len() > 1) {
        return None;
    }
    let value = digits.iter().fold(0, |value, digit| value * 10 + u64::from(digit - b'0'));
    (value < 1 << 53).then_some(value)
}

/// A decimal with exactly `exponent` digits after the point, as minor units.
fn minor(amount: &[u8], exponent: usize) -> Option<i64> {
    // MAX_MINOR has 19 digits; nothing that fits is longer with its point.
    if amount.is_empty() || amount.len() > 20 {
        return None;
    }
    let whole = if exponent == 0 { amount.len() } else { amount.len().checked_sub(exponent + 1)? };
    if whole == 0 || (amount[0] == b'0' && whole > 1) || (exponent > 0 && amount[whole] != b'.') {
        return None;
    }
    let mut value: i64 = 0;
    for (at, byte) in amount.iter().enumerate() {
        if at == whole {
            continue;
        }
        if !byte.is_ascii_digit() {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(i64::from(byte - b'0'))?;
    }
    (value <= MAX_MINOR).then_some(value)
}

fn days_in(year: i64, month: i64) -> i64 {
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a date of the Gregorian calendar, counted in years that begin in March.
fn days_before(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 719_469
}

/// What each byte is as a hexadecimal digit in small letters; 255 where it is none.
const HEX: [u8; 256] = {
    let mut table = [255; 256];
    let mut digit = 0;
    while digit < 16 {
        table[b"0123456789abcdef"[digit as usize] as usize] = digit;
        digit += 1;
    }
    table
};

/// Printable ASCII that stands in JSON as itself.
const PLAIN: [bool; 256] = table(b' ', b"");
/// The same without the space: what a command's id may hold without escapes.
const GRAPHIC: [bool; 256] = table(b'!', b"");
const ADDRESS: [bool; 256] = table(255, b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_:");
const KEY: [bool; 256] = table(255, b"abcdefghijklmnopqrstuvwxyz0123456789_.-");

const fn table(from: u8, also: &[u8]) -> [bool; 256] {
    let mut table = [false; 256];
    let mut byte = from as usize;
    while byte < 0x7f {
        table[byte] = byte != b'"' as usize && byte != b'\\' as usize;
        byte += 1;
    }
    let mut index = 0;
    while index < also.len() {
        table[also[index] as usize] = true;
        index += 1;
    }
    table
}
