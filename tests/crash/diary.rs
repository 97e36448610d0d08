//! What a child asked and was told, line by line in a file for each of its callers; a line that was cut off does not count.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use cauri_domain::Refusal;
use cauri_domain::ledger::LedgerStream;
use cauri_domain::time::Timestamp;
use cauri_engine::{Accepted, Mode, Outcome, Refused};
use cauri_event_schemas::{Position, StreamVersion};
use cauri_tests::ask::Asked;
use cauri_tests::checker::Submission;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
enum Line {
    Asked { commands: Vec<Asked>, atomic: bool },
    Told(Vec<Told>),
}

#[derive(Serialize, Deserialize)]
enum Told {
    Accepted { first: Position, last: Position, stream: String, version: StreamVersion, begun: Option<String>, recorded_at: Timestamp },
    Refused { refusal: Refusal, position: Option<Position>, recorded_at: Option<Timestamp> },
    VersionMismatch { actual: StreamVersion },
    NotApplied { because_of: usize },
}

/// Writes one caller's file. Every line is one `write`, so that it outlives the process.
pub struct Pen(File);

impl Pen {
    pub fn new(dir: &Path, name: &str) -> Self {
        Self(OpenOptions::new().create(true).append(true).open(dir.join(name)).expect("a diary"))
    }

    pub fn asked(&mut self, submission: &Submission) {
        self.line(&Line::Asked { commands: submission.commands.clone(), atomic: submission.mode == Mode::Atomic });
    }

    pub fn told(&mut self, outcomes: &[Outcome<LedgerStream>]) {
        let told = outcomes.iter().map(|outcome| match outcome {
            Outcome::Accepted(accepted) => Told::Accepted {
                first: accepted.first,
                last: accepted.last,
                stream: accepted.stream.to_string(),
                version: accepted.version,
                begun: accepted.begun.as_ref().map(|stream| stream.to_string()),
                recorded_at: accepted.recorded_at,
            },
            Outcome::Refused(refused) => {
                Told::Refused { refusal: refused.refusal.clone(), position: refused.position, recorded_at: refused.recorded_at }
            }
            Outcome::VersionMismatch { actual } => Told::VersionMismatch { actual: *actual },
            Outcome::NotApplied { because_of } => Told::NotApplied { because_of: *because_of },
            Outcome::Failed { what } => panic!("a rule failed: {what}"),
        });
        self.line(&Line::Told(told.collect()));
    }

    fn line(&mut self, line: &Line) {
        let mut text = serde_json::to_string(line).expect("plain data");
        text.push('\n');
        self.0.write_all(text.as_bytes()).expect("a line");
    }
}

/// What a child did.
pub enum Seen {
    /// It asked for this, and may have been killed before it was told.
    Asked(Submission),
    /// It was told this.
    Told(Submission, Vec<Outcome<LedgerStream>>),
}

/// Reads the children's files on.
#[derive(Default)]
pub struct Diary {
    read: HashMap<PathBuf, usize>,
}

impl Diary {
    /// Everything that was written since the last look. What was asked comes before what was told.
    pub fn read(&mut self, dir: &Path) -> Vec<Seen> {
        let (mut asked, mut told) = (Vec::new(), Vec::new());
        let mut files: Vec<PathBuf> = std::fs::read_dir(dir).expect("diaries").map(|entry| entry.expect("a diary").path()).collect();
        files.sort();
        for file in files {
            let text = std::fs::read_to_string(&file).expect("a diary");
            let from = self.read.entry(file).or_default();
            let whole = text.rfind('\n').map_or(*from, |end| end + 1);
            let mut last = None;
            for line in text[*from..whole].lines() {
                match serde_json::from_str(line).expect("a line") {
                    Line::Asked { commands, atomic } => {
                        let submission = Submission { commands, mode: if atomic { Mode::Atomic } else { Mode::Each } };
                        asked.push(Seen::Asked(submission.clone()));
                        last = Some(submission);
                    }
                    Line::Told(outcomes) => {
                        let submission = last.take().expect("what was asked");
                        told.push(Seen::Told(submission, outcomes.into_iter().map(Outcome::from).collect()));
                    }
                }
            }
            *from = whole;
        }
        asked.into_iter().chain(told).collect()
    }
}

impl From<Told> for Outcome<LedgerStream> {
    fn from(told: Told) -> Self {
        match told {
            Told::Accepted { first, last, stream, version, begun, recorded_at } => Outcome::Accepted(Accepted {
                first,
                last,
                stream: stream.parse().expect("a stream"),
                version,
                begun: begun.map(|stream| stream.parse().expect("a stream")),
                recorded_at,
                replayed: false,
            }),
            Told::Refused { refusal, position, recorded_at } => {
                Outcome::Refused(Refused { refusal, position, recorded_at, replayed: false })
            }
            Told::VersionMismatch { actual } => Outcome::VersionMismatch { actual },
            Told::NotApplied { because_of } => Outcome::NotApplied { because_of },
        }
    }
}
