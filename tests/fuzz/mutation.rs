//! Changes to bytes: what disks, transfers and people do to files.

use fastrand::Rng;

/// Bytes that mean something to parsers.
const TELLING: &[u8] = b"\0\xff\x7f\x80\n\r\"\\{}[]:,-+.eE 019zZ";
/// Numbers at the ends of their types.
const EXTREMES: &[&str] = &[
    "0",
    "-1",
    "1",
    "007",
    "1e3",
    "1.0",
    "9007199254740992",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "99999999999999999999999999999999999999",
];
/// What texts of a record may be replaced by.
const TEXTS: &[&str] = &["", "null", "\\u0000", "\\ud800", "010.50", "-0", "2026-11-24T08:00:00+01:00", "12:00:60Z", "a/b/c", "\u{202e}"];

/// The bytes with one to four changes. They may be the same by chance.
pub fn changed(random: &mut Rng, bytes: &[u8]) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    for _ in 0..random.usize(1..=4) {
        change(random, &mut changed);
    }
    changed
}

/// The text with one to four changes, as text.
pub fn changed_text(random: &mut Rng, text: &str) -> String {
    String::from_utf8_lossy(&changed(random, text.as_bytes())).into_owned()
}

fn change(random: &mut Rng, bytes: &mut Vec<u8>) {
    if bytes.is_empty() {
        bytes.push(random.u8(..));
        return;
    }
    let at = random.usize(..bytes.len());
    let some = random.usize(1..=64).min(bytes.len() - at);
    match random.u32(..14) {
        0 | 1 => bytes[at] ^= 1 << random.u32(..8),
        2 => bytes[at] = random.u8(..),
        3 => bytes[at] = TELLING[random.usize(..TELLING.len())],
        4 => bytes.insert(at, TELLING[random.usize(..TELLING.len())]),
        5 => drop(bytes.drain(at..at + some)),
        6 => {
            let again = bytes[at..at + some].to_vec();
            bytes.splice(at..at, again);
        }
        7 => bytes.truncate(at),
        8 => bytes[at..at + some].fill(0),
        9 => bytes[at..at + some].iter_mut().for_each(|byte| *byte = random.u8(..)),
        10 => {
            let from = random.usize(..=bytes.len() - some);
            bytes.copy_within(from..from + some, at);
        }
        11 => replace(random, bytes, at, |byte| byte.is_ascii_digit(), EXTREMES),
        12 => replace(random, bytes, at, |byte| byte != b'"', TEXTS),
        _ => {
            let line = bytes[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |before| before + 1);
            let end = bytes[at..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |after| at + after + 1);
            let whole = bytes[line..end].to_vec();
            if random.bool() {
                bytes.splice(line..line, whole);
            } else {
                bytes.drain(line..end);
            }
        }
    }
}

/// Replaces the run of such bytes around `at`.
fn replace(random: &mut Rng, bytes: &mut Vec<u8>, at: usize, is_part: impl Fn(u8) -> bool, by: &[&str]) {
    let Some(at) = (at..bytes.len()).find(|at| is_part(bytes[*at])) else { return };
    let from = bytes[..at].iter().rposition(|byte| !is_part(*byte)).map_or(0, |before| before + 1);
    let to = bytes[at..].iter().position(|byte| !is_part(*byte)).map_or(bytes.len(), |after| at + after);
    bytes.splice(from..to, by[random.usize(..by.len())].bytes());
}

/// The bytes of a file of pages with one to four changes: of bits and bytes, of sectors, of whole pages.
pub fn changed_pages(random: &mut Rng, bytes: &[u8]) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    for _ in 0..random.usize(1..=4) {
        let unit = [512, 4096][random.usize(..2)];
        let units = changed.len() / unit;
        if units < 2 || random.bool() {
            change(random, &mut changed);
            continue;
        }
        let (from, to) = (unit * random.usize(..units), unit * random.usize(..units));
        match random.u32(..4) {
            0 => changed[to..to + unit].fill(0),
            1 => changed[to..to + unit].iter_mut().for_each(|byte| *byte = random.u8(..)),
            2 => changed.copy_within(from..from + unit, to),
            _ => changed.truncate(to),
        }
    }
    changed
}
