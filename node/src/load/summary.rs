//! What became of a file: the figures that `cauri load` prints.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use cauri_import::check::Checked;
use cauri_import::source::SourceName;

/// The commands that were refused under one code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RefusedUnder {
    /// How many.
    pub count: u64,
    /// How many of them an earlier load had been refused.
    pub replayed: u64,
    /// The line of the first.
    pub line: u64,
    /// What was said of the first.
    pub detail: String,
}

/// What became of a file's commands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Sent and answered.
    pub commands: u64,
    /// In the journal.
    pub accepted: u64,
    /// Of the accepted, how many an earlier load had sent; they were not done again.
    pub replayed: u64,
    /// Refused, by code.
    pub refused: BTreeMap<String, RefusedUnder>,
    /// Not done because of another command of an atomic request, or because of the stream's version.
    pub not_done: u64,
    /// Lines that hold no command that can be sent.
    pub bad_lines: u64,
    /// The last line up to which all has been answered.
    pub last_line: u64,
    /// Where the refused commands are kept, and how many.
    pub kept: Option<(PathBuf, u64)>,
    /// From the first to the last.
    pub took: Duration,
}

impl Summary {
    /// How many commands were refused.
    pub fn refusals(&self) -> u64 {
        self.refused.values().map(|refused| refused.count).sum()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.took.as_secs_f64().max(0.001);
        writeln!(f, "commands   {:>12}", self.commands)?;
        writeln!(f, "accepted   {:>12}", self.accepted)?;
        if self.replayed > 0 {
            writeln!(f, "  {:>9} replayed: an earlier load sent them, and they were not done again", self.replayed)?;
        }
        writeln!(f, "refused    {:>12}", self.refusals())?;
        for (code, refused) in &self.refused {
            let replayed = if refused.replayed > 0 { format!("{} replayed, ", refused.replayed) } else { String::new() };
            writeln!(f, "  {:>9} {code} ({replayed}first in line {}: {})", refused.count, refused.line, refused.detail)?;
        }
        if self.not_done > 0 {
            writeln!(f, "not done   {:>12}", self.not_done)?;
        }
        if self.bad_lines > 0 {
            writeln!(f, "bad lines  {:>12} (skipped)", self.bad_lines)?;
        }
        if let Some((path, count)) = &self.kept {
            writeln!(f, "kept       {count:>12} in {}; --retry-refused sends them anew", path.display())?;
        }
        write!(f, "took       {seconds:>11.1}s, {:.0} commands/s", self.commands as f64 / seconds)
    }
}

/// What a load would send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// By what they do.
    pub commands: BTreeMap<String, u64>,
    /// Of them, how many have a key of their own.
    pub with_key: u64,
    /// How many of the others are equal to an earlier one; each is a command of its own.
    pub repeated: u64,
    /// Lines that hold no command that can be sent.
    pub bad_lines: u64,
    /// In whose scope they would be sent; the caller's own if absent.
    pub source: Option<SourceName>,
}

impl Plan {
    /// What a file that was read would send.
    pub fn of(checked: &Checked, source: Option<SourceName>, repeated: u64) -> Self {
        Self {
            commands: checked.commands.iter().map(|(op, count)| ((*op).to_owned(), *count)).collect(),
            with_key: checked.with_key,
            repeated,
            bad_lines: checked.bad.count(),
            source,
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "commands   {:>12}", self.commands.values().sum::<u64>())?;
        for (op, count) in &self.commands {
            writeln!(f, "  {count:>9} {op}")?;
        }
        writeln!(f, "own keys   {:>12}", self.with_key)?;
        if self.repeated > 0 {
            writeln!(f, "repeated   {:>12} (equal to an earlier one; each is a command of its own)", self.repeated)?;
        }
        if self.bad_lines > 0 {
            writeln!(f, "bad lines  {:>12}", self.bad_lines)?;
        }
        match &self.source {
            Some(source) => writeln!(f, "scope      import/{source}")?,
            None => writeln!(f, "scope      the caller's own")?,
        }
        write!(f, "nothing was sent")
    }
}
