//! What somebody outside remembers of the journal: heads, consistency tokens, and exports that were made earlier.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use cauri_event_schemas::Position;
use cauri_event_store::{Hash, Tree};

use crate::checks::Check;
use crate::checks::expected_heads::ExpectedHead;
use crate::finding::Findings;
use crate::reading::ReadBatch;
use crate::source::{ExportError, ExportHeader, ExportSource, LONGEST_LINE};

/// One thing that the journal is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remembered {
    /// A root that the journal must have at a position.
    Head(ExpectedHead),
    /// An export whose records the journal must have.
    Export(PathBuf),
}

/// A text that names nothing to compare with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not POSITION:ROOT, a number and 64 hexadecimal digits, as `cauri-replay head` writes them, nor a consistency token, nor the file of an export"
)]
pub struct InvalidRemembered(String);

impl FromStr for Remembered {
    type Err = InvalidRemembered;

    fn from_str(text: &str) -> Result<Self, InvalidRemembered> {
        match text.parse() {
            Ok(head) => Ok(Self::Head(head)),
            Err(_) if Path::new(text).is_file() => Ok(Self::Export(PathBuf::from(text))),
            Err(_) => Err(InvalidRemembered(text.chars().take(200).collect())),
        }
    }
}

/// An export that was made earlier, compared record by record while the journal is read.
pub(crate) struct RememberedExport<R = BufReader<File>> {
    name: String,
    header: ExportHeader,
    lines: R,
    /// Over the export's own records so far.
    tree: Tree,
    /// It ended, or cannot be read on.
    ended: bool,
    differs: bool,
    unreadable: Option<String>,
}

impl RememberedExport {
    /// Opens an export and reads its header.
    pub(crate) fn open(path: &Path) -> Result<Self, ExportError> {
        let name = path.display().to_string();
        let opened = File::open(path).map_err(ExportError::Io);
        let read = opened.and_then(|file| Self::new(name.clone(), BufReader::with_capacity(1 << 20, file)));
        read.map_err(|error| match error {
            ExportError::Io(error) => ExportError::Io(std::io::Error::new(error.kind(), format!("{name}: {error}"))),
            ExportError::Header(why) => ExportError::Header(format!("{why} ({name})")),
        })
    }
}

impl<R: BufRead> RememberedExport<R> {
    fn new(name: String, lines: R) -> Result<Self, ExportError> {
        let (header, source) = ExportSource::new(lines)?;
        let lines = source.into_lines();
        Ok(Self { name, header, lines, tree: Tree::empty(), ended: false, differs: false, unreadable: None })
    }

    /// The head that its first line states.
    pub(crate) fn head(&self) -> ExpectedHead {
        ExpectedHead::from(self.header.head)
    }

    /// Compares the records of a batch, which must follow the last one.
    pub(crate) fn compare(&mut self, batch: &ReadBatch, findings: &mut Findings) {
        for (index, leaf) in batch.leaves.iter().enumerate() {
            let position = batch.first.after(index);
            if position.get() <= self.tree.size() {
                continue;
            }
            let Some(exported) = self.next_leaf() else { return };
            // After one that differs the others tell nothing new; they are read for the export's own root.
            if exported != *leaf && !self.differs {
                self.differs = true;
                let what = format!("the record is another than in {}: its leaf is {exported} there, {leaf} in the journal", self.name);
                findings.at(Check::ExpectedHeads, position, what);
            }
        }
    }

    /// The journal ended: what the export has beyond, and whether it is whole itself.
    pub(crate) fn end(&mut self, last: Position, findings: &mut Findings) {
        let name = self.name.clone();
        if self.next_leaf().is_some() {
            while self.next_leaf().is_some() {}
            let what = format!("{name} has records up to {}, the journal ends at {last}", self.tree.size());
            findings.at(Check::ExpectedHeads, last.next(), what);
        }
        let (own, stated) = (self.tree.head(), self.header.head);
        if let Some(why) = &self.unreadable {
            findings.add(Check::ExpectedHeads, None, format!("{name} cannot be read behind record {}: {why}", own.position));
        } else if own != stated {
            let what = format!(
                "{name} is damaged itself, so that it proves nothing: its records give the head {}:{}, its first line states {}:{}",
                own.position, own.root, stated.position, stated.root
            );
            findings.add(Check::ExpectedHeads, None, what);
        }
    }

    fn next_leaf(&mut self) -> Option<Hash> {
        if self.ended {
            return None;
        }
        let mut line = Vec::new();
        match (&mut self.lines).take(LONGEST_LINE).read_until(b'\n', &mut line) {
            Ok(0) => self.ended = true,
            Ok(_) => {
                let leaf = Hash::of_leaf(line.strip_suffix(b"\n").unwrap_or(&line));
                self.tree.push(leaf);
                return Some(leaf);
            }
            Err(error) => (self.ended, self.unreadable) = (true, Some(error.to_string())),
        }
        None
    }
}
