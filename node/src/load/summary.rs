//! What became of a file: the figures that `cauri load` prints.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use cauri_import::check::Checked;
use cauri_import::source::SourceName;

use super::exit;

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

/// Lines of a file, as they are shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lines {
    ranges: Vec<(u64, u64)>,
    /// Ranges that are not shown.
    more: u64,
}

impl Lines {
    /// Ranges that are shown.
    const MOST: usize = 20;

    /// Adds a line behind those that were added before.
    pub fn add(&mut self, line: u64) {
        if let Some((first, last)) = self.ranges.last_mut()
            && (*first..=last.saturating_add(1)).contains(&line)
        {
            *last = line.max(*last);
        } else if self.ranges.len() < Self::MOST {
            self.ranges.push((line, line));
        } else {
            self.more += 1;
        }
    }
}

impl fmt::Display for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (first, last)) in self.ranges.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            if first == last { write!(f, "{comma}{first}")? } else { write!(f, "{comma}{first}-{last}")? }
        }
        if self.more > 0 { write!(f, " and others") } else { Ok(()) }
    }
}

/// What became of a file's commands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// No source was named, so that equal lines of any two files are one command.
    pub unnamed_source: bool,
    /// Sent and answered.
    pub commands: u64,
    /// In the journal.
    pub accepted: u64,
    /// Of the accepted, how many an earlier load had sent; they were not done again.
    pub replayed: u64,
    /// Where those stand.
    pub replayed_lines: Lines,
    /// Decided now, and not in an earlier load: accepted, or refused with a record.
    pub new: u64,
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
    /// Of the kept, how many the file did not hold when it was last loaded.
    pub not_in_file: u64,
    /// From the first to the last.
    pub took: Duration,
}

impl Summary {
    /// How many commands were refused.
    pub fn refusals(&self) -> u64 {
        self.refused.values().map(|refused| refused.count).sum()
    }

    /// What the exit code says of a load that came to its end.
    pub fn exit_code(&self) -> u8 {
        if self.refusals() > 0 || self.not_done > 0 {
            exit::REFUSED
        } else if self.doubt().is_some() {
            exit::IN_DOUBT
        } else if self.bad_lines > 0 {
            exit::SKIPPED
        } else {
            exit::DONE
        }
    }

    /// What a person has to look at where some lines were replays, others were new, and no source was named: whether the
    /// replays are lines of this file that were loaded earlier, or payments of another file that merely read the same.
    pub fn doubt(&self) -> Option<String> {
        (self.unnamed_source && self.replayed > 0 && self.new > 0).then(|| {
            format!(
                "no --source is given, and {} of the commands are new while {} were NOT done now, because equal ones were loaded \
                 before, from this file or from another (lines {}). If they are payments of their own, load those lines alone with \
                 a --source of their own",
                self.new, self.replayed, self.replayed_lines
            )
        })
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
            if self.not_in_file > 0 {
                writeln!(
                    f,
                    "  {:>9} of them are no longer in the file that was loaded (\"not_in_file\":true): remove them if you corrected \
                     them there, or --retry-refused does them as well",
                    self.not_in_file
                )?;
            }
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
    /// Of commands that would be sent anew, how many the file did not hold when it was last loaded.
    pub not_in_file: u64,
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
            not_in_file: 0,
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
        if self.not_in_file > 0 {
            writeln!(f, "not in file{:>12} (remove those that you corrected there)", self.not_in_file)?;
        }
        match &self.source {
            Some(source) => writeln!(f, "scope      import/{source}")?,
            None => writeln!(f, "scope      the caller's own")?,
        }
        write!(f, "nothing was sent")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_shown_in_ranges_and_not_without_end() {
        let shown = |lines: &[u64]| {
            let mut all = Lines::default();
            lines.iter().for_each(|line| all.add(*line));
            all.to_string()
        };
        assert_eq!(shown(&[3]), "3");
        // A row of PaySim is several commands.
        assert_eq!(shown(&[1, 1, 2, 3, 7, 7, 9, 10]), "1-3, 7, 9-10");
        let odd: Vec<u64> = (0..1_000).map(|number| 2 * number + 1).collect();
        assert!(shown(&odd).ends_with(", 37, 39 and others"), "{}", shown(&odd));
    }

    #[test]
    fn only_replays_among_new_ones_of_no_named_source_are_in_doubt() {
        let of = |unnamed_source, replayed, new| Summary { unnamed_source, replayed, new, ..Summary::default() };
        assert_eq!(of(true, 5, 1).exit_code(), exit::IN_DOUBT);
        for quiet in [of(true, 5, 0), of(true, 0, 5), of(false, 5, 1)] {
            assert_eq!((quiet.doubt(), quiet.exit_code()), (None, exit::DONE));
        }
        assert_eq!(Summary { bad_lines: 1, ..of(true, 5, 1) }.exit_code(), exit::IN_DOUBT, "more than the bad lines is uncertain");
        assert_eq!(Summary { not_done: 1, ..of(true, 5, 1) }.exit_code(), exit::REFUSED);
    }
}
