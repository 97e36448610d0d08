//! What an audit found, for people and for machines.

use std::fmt;

use cauri_event_schemas::Position;
use cauri_event_store::Head;
use serde::Serialize;

use crate::audit::Figures;
use crate::checks::Check;
use crate::finding::{Finding, TOLD_IN_FULL};
use crate::shown::{Lean, Table, count, instant, size};

/// How one check ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It has nothing to say.
    Ok,
    /// It found something.
    Failed,
    /// It had to stop before the end, and found nothing until then.
    Stopped,
    /// There is nothing that it could look at.
    NotApplicable,
}

/// One check's part of the report.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CheckReport {
    /// Which.
    pub check: Check,
    /// How it ended.
    pub verdict: Verdict,
    /// How many findings it has, told in full or not.
    pub findings: u64,
    /// What was compared, or why something was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// The first record that a newer Cauri wrote.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Newer {
    /// Where it stands.
    pub position: Position,
    /// What this program does not know.
    pub what: String,
}

/// The result of an audit.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Version of this report's form: 1.
    pub cauri_verify: u32,
    /// The journal's name.
    pub journal: String,
    /// What kind of journal it is: `ledger`, `market`; absent where no record says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'static str>,
    /// Nothing was found, and no check had to stop.
    pub ok: bool,
    /// Where a newer Cauri wrote what this one does not know, if it did. Nothing is wrong with that; it is for its own
    /// `cauri-replay` to look at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newer: Option<Newer>,
    /// The head, with the root that the records give; absent where it could not be computed.
    pub head: Option<Head>,
    /// What was seen.
    pub figures: Figures,
    /// Every check.
    pub checks: Vec<CheckReport>,
    /// The findings that are told in full, by position.
    pub findings: Vec<Finding>,
    /// How long it took.
    pub seconds: f64,
}

impl Report {
    /// The first position of the journal itself that cannot be trusted, if any.
    pub fn first_untrusted(&self) -> Option<Position> {
        let of_journal = self.findings.iter().filter(|finding| !finding.check.is_of_derived());
        of_journal.filter_map(|finding| finding.position).min()
    }

    /// Nothing was found, and checks stopped only where a newer Cauri had written.
    pub fn is_newer(&self) -> bool {
        self.newer.is_some() && self.failed().is_empty()
    }

    /// The checks that found something.
    pub fn failed(&self) -> Vec<Check> {
        self.checks.iter().filter(|check| check.verdict == Verdict::Failed).map(|check| check.check).collect()
    }
}

impl Serialize for Figures {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut shape = serializer.serialize_struct("Figures", 6 + self.holding.len())?;
        shape.serialize_field("records", &self.records)?;
        shape.serialize_field("bytes", &self.bytes)?;
        shape.serialize_field("batches", &self.batches)?;
        shape.serialize_field("commands", &self.commands)?;
        for (name, count) in &self.holding {
            shape.serialize_field(name, count)?;
        }
        shape.serialize_field("first_at", &self.first_at.map(instant))?;
        shape.serialize_field("last_at", &self.last_at.map(instant))?;
        shape.end()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Figures { records, bytes, batches, commands, holding, first_at, last_at } = &self.figures;
        match self.kind.filter(|kind| *kind != self.journal) {
            Some(kind) => writeln!(f, "journal   {}, a {kind}", self.journal)?,
            None => writeln!(f, "journal   {}", self.journal)?,
        }
        if let Some(head) = self.head {
            writeln!(f, "head      {}:{}", head.position, head.root)?;
        }
        writeln!(f, "records   {} in {} batches, {}", count(*records), count(*batches), size(*bytes))?;
        write!(f, "holding   {} commands", count(*commands))?;
        for (name, number) in holding {
            write!(f, ", {} {}", count(*number), name.replace('_', " "))?;
        }
        writeln!(f)?;
        if let (Some(first), Some(last)) = (first_at, last_at) {
            writeln!(f, "recorded  {} to {}", instant(*first), instant(*last))?;
        }
        writeln!(f)?;
        let mut table = Table::new(&[("check", Lean::Left), ("result", Lean::Left), ("", Lean::Left)]);
        for CheckReport { check, verdict, findings, note } in &self.checks {
            let result = match verdict {
                Verdict::Ok => "ok".to_owned(),
                Verdict::Failed => format!("{findings} found"),
                Verdict::Stopped => "stopped".to_owned(),
                Verdict::NotApplicable => "-".to_owned(),
            };
            table.row([check.name().to_owned(), result, note.clone().unwrap_or_default()]);
        }
        f.write_str(&table.text(""))?;
        for finding in &self.findings {
            match finding.position {
                Some(position) => writeln!(f, "\n{} at position {position}", finding.check)?,
                None => writeln!(f, "\n{}", finding.check)?,
            }
            writeln!(f, "  {}", finding.what)?;
            writeln!(f, "  Next: {}", finding.next)?;
        }
        for CheckReport { check, findings, .. } in &self.checks {
            if *findings > TOLD_IN_FULL as u64 {
                writeln!(f, "\n{check}: {} more findings are not told", findings - TOLD_IN_FULL as u64)?;
            }
        }
        writeln!(f)?;
        if let Some(Newer { position, what }) = &self.newer {
            writeln!(f, "Written by a newer Cauri from position {position} on: {what}.")?;
        }
        if self.is_newer() {
            return writeln!(f, "NOT CHECKED TO ITS END, nothing wrong was found: use the `cauri-replay` of the Cauri that wrote it.");
        }
        match (self.ok, self.first_untrusted()) {
            (true, _) => writeln!(f, "All is well."),
            (false, Some(position)) => writeln!(f, "NOT WELL: from position {position} on the journal cannot be trusted as it stands."),
            (false, None) if self.failed().into_iter().all(Check::is_of_derived) => {
                writeln!(f, "NOT WELL: the journal itself is sound, but not what is derived from it.")
            }
            (false, None) => writeln!(f, "NOT WELL: see above."),
        }
    }
}
