//! What a command asked, as 16 bytes: the same idempotency key with another body is found by it.
//!
//! Version 2, which this program writes, hashes the command as it is **declared**: the canonical JSON of the item of
//! `POST /v1/bulk` that asks the same. Version 1 hashed the JSON of a Rust type; it is computed only to answer for records
//! that have it. NOTE: both are the storage format; `fingerprints.jsonl` beside this
//! crate's manifest holds frozen samples of each.

use std::borrow::Cow;
use std::fmt;

use cauri_domain::kind::KindCommand;
use serde::{Deserialize, Deserializer, Serialize, de};
use sha2::{Digest, Sha256};

/// What a command asked: the first 16 bytes of a SHA-256, and by which rule it was made.
///
/// Written `2:` and 32 hexadecimal digits; version 1 is written without its number.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint {
    version: u8,
    digest: [u8; 16],
}

impl Fingerprint {
    /// The fingerprint of a command, of version 2: over the bytes that declare it.
    pub fn of(command: &impl KindCommand) -> Self {
        Self::version_2(first_16(&declared(command)))
    }

    /// The fingerprint that a record of journal format 1 has, over what was hashed then.
    pub fn of_version_1(hashed: &[u8]) -> Self {
        Self::version_1(first_16(hashed))
    }

    /// A fingerprint of version 1, as stored.
    pub const fn version_1(digest: [u8; 16]) -> Self {
        Self { version: 1, digest }
    }

    /// A fingerprint of version 2, as stored.
    pub const fn version_2(digest: [u8; 16]) -> Self {
        Self { version: 2, digest }
    }

    /// By which rule it was made: 1 or 2.
    pub const fn version(self) -> u8 {
        self.version
    }

    /// The 16 bytes.
    pub const fn digest(self) -> [u8; 16] {
        self.digest
    }

    /// Appends its text.
    pub(crate) fn write_to(self, out: &mut Vec<u8>) {
        if self.version == 2 {
            out.extend_from_slice(b"2:");
        }
        for byte in self.digest {
            out.push(DIGITS[usize::from(byte >> 4)]);
            out.push(DIGITS[usize::from(byte & 15)]);
        }
    }
}

fn first_16(bytes: &[u8]) -> [u8; 16] {
    let digest: [u8; 32] = Sha256::digest(bytes).into();
    let mut first = [0; 16];
    first.copy_from_slice(&digest[..16]);
    first
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::with_capacity(34);
        self.write_to(&mut text);
        f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// The value of each hexadecimal digit in lower case, and 255 for every other byte.
const VALUES: [u8; 256] = {
    let mut values = [u8::MAX; 256];
    let mut value = 0;
    while value < 16 {
        values[DIGITS[value as usize] as usize] = value;
        value += 1;
    }
    values
};

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        let wrong = || de::Error::custom("a fingerprint is 32 hexadecimal digits, lower case, after `2:` where it is of version 2");
        let (version, digits) = text.strip_prefix("2:").map_or((1, &*text), |digits| (2, digits));
        let digits: &[u8; 32] = digits.as_bytes().try_into().map_err(|_| wrong())?;
        let mut digest = [0; 16];
        // Every record that is read has one: looked up and judged once at the end, not branched on digit by digit.
        let mut all = 0;
        for (byte, pair) in digest.iter_mut().zip(digits.chunks_exact(2)) {
            let (high, low) = (VALUES[usize::from(pair[0])], VALUES[usize::from(pair[1])]);
            *byte = high << 4 | low;
            all |= high | low;
        }
        if all >= 16 {
            return Err(wrong());
        }
        Ok(Self { version, digest })
    }
}

/// The canonical JSON of a command as it is declared: the bulk item that asks the same.
pub fn declared(command: &impl KindCommand) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    command.declare(&mut bytes);
    bytes
}
