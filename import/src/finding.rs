//! What is wrong with a file, line by line.

use std::fmt;

/// So many bad lines are named; who made more has made the same mistake many times.
pub const MOST_NAMED: usize = 100;

/// A line that holds nothing that could be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// Its number, from 1.
    pub line: u64,
    /// What is wrong with it, and what would be right.
    pub detail: String,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.detail)
    }
}

/// The bad lines of a file: all are counted, the first [`MOST_NAMED`] are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    named: Vec<BadLine>,
    count: u64,
}

impl Findings {
    /// Adds one.
    pub fn add(&mut self, bad: BadLine) {
        self.count += 1;
        if self.named.len() < MOST_NAMED {
            self.named.push(bad);
        }
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The first of them, in the order of the file.
    pub fn named(&self) -> &[BadLine] {
        &self.named
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_counted_and_the_first_hundred_named() {
        let mut findings = Findings::default();
        for line in 1..=250 {
            findings.add(BadLine { line, detail: "not JSON".into() });
        }
        assert_eq!((findings.count(), findings.named().len()), (250, 100));
        assert_eq!(findings.named()[99].to_string(), "line 100: not JSON");
    }
}
