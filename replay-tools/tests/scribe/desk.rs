//! A data directory for a test, and the commands run in it as transcripts.
#![allow(dead_code, reason = "each test file uses some of it")]

use std::path::PathBuf;

use cauri_event_store::embedded::EmbeddedStore;
use tempfile::TempDir;

use crate::scribe::Scribe;

/// A data directory that goes when this does.
pub struct Desk {
    dir: TempDir,
}

impl Desk {
    /// Without a journal.
    pub fn empty() -> Self {
        Self { dir: tempfile::tempdir().expect("a directory") }
    }

    /// With the journal `ledger` as the scribe wrote it.
    pub fn with(scribe: &mut Scribe) -> Self {
        let desk = Self::empty();
        scribe.append_to(&EmbeddedStore::open(&desk.journal(), "ledger").expect("a store"));
        desk
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The directory of the journal `ledger`.
    pub fn journal(&self) -> PathBuf {
        self.path("data/journals/ledger")
    }

    /// Exit code, answer and errors of a command line in this directory; `DESK/` stands for it.
    pub fn run(&self, line: &str) -> (u8, String, String) {
        let desk = format!("{}/", self.dir.path().display());
        let mut arguments: Vec<String> = line.split_whitespace().map(|word| word.replace("DESK/", &desk)).collect();
        if line.starts_with("cauri-replay verify ") && !line.contains(" --now ") {
            // The scribe's records have a date of their own: what the machine's clock says must not matter.
            arguments.extend(["--now".to_owned(), "2026-12-31T00:00:00Z".to_owned()]);
        }
        let (mut out, mut errors) = (Vec::new(), Vec::new());
        let code = cauri_replay_tools::commands::run(arguments, &mut out, &mut errors);
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text").replace(&desk, "DESK/");
        (code, text(out), text(errors))
    }

    /// Command lines and what they answer, as one text.
    pub fn transcript(&self, lines: &[&str]) -> String {
        let mut text = String::new();
        for line in lines {
            let (code, out, errors) = self.run(line);
            text += &format!("$ {line}\n{out}{errors}");
            if code != 0 {
                text += &format!("(exit code {code})\n");
            }
            text += "\n";
        }
        text
    }
}
