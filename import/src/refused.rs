//! The file of what was refused: each command with its key and the reason, so that it can be sent anew.
//!
//! The first line says what the file is; a file without it is never written over. Every other line is a [`Refused`]. A new
//! version of the file is written beside it and put in its place when it is whole. What an earlier load left in it stays
//! until a server has accepted it.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use cauri_domain::ids::CommandId;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tempfile::NamedTempFile;

use crate::finding::{BadLine, Findings};
use crate::line::lines;
use crate::row::Item;
use crate::source::SourceName;

/// The code of a command that was not refused itself: another one of its atomic request was.
pub const NOT_APPLIED: &str = "not_applied";

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    /// The version of the file's format: 1.
    cauri_refused: u32,
}

const VERSION: u32 = 1;

/// One command that was refused.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refused {
    /// The line of the imported file that it stood in.
    pub line: u64,
    /// Which rule said no, or [`NOT_APPLIED`].
    pub code: String,
    /// What a person needs to know.
    pub detail: String,
    /// The source in whose scope it was sent; the caller's own scope if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceName>,
    /// The key that it was first sent with.
    pub key: CommandId,
    /// Which attempt is the next: 0 where the first key can still be used.
    pub attempt: u32,
    /// It is done with all others that name the same, or none of them is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub together: Option<CommandId>,
    /// The command, without a key.
    pub command: Box<RawValue>,
}

impl Refused {
    /// What was said of an item. A refusal that is `remembered` has used up the item's key.
    ///
    /// # Errors
    /// When the item's command is no JSON.
    pub fn of(item: &Item, code: String, detail: String, remembered: bool) -> Result<Self, serde_json::Error> {
        Ok(Self {
            line: item.line,
            code,
            detail,
            source: item.source.clone(),
            key: item.key.clone(),
            attempt: item.attempt.saturating_add(u32::from(remembered)),
            together: item.together.clone(),
            command: RawValue::from_string(item.command.clone())?,
        })
    }

    fn scoped(&self) -> Scoped {
        (self.source.clone(), self.key.clone())
    }

    /// The item that its next attempt sends.
    pub fn into_item(self) -> Item {
        let Self { line, source, key, attempt, together, command, .. } = self;
        Item { line, source, key, attempt, together, command: Box::<str>::from(command).into() }
    }
}

/// Why a file of refused commands cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RefusedFileError {
    /// It was written by somebody else.
    #[error("{} is not a file of refused commands, so it is not written over: move it, or name another with --refused", path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
    },
    /// Some of its lines cannot be read.
    #[error("{}: {first}{}; correct or remove the line, or move the file", path.display(), others(*.count))]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The first bad line.
        first: BadLine,
        /// How many there are.
        count: u64,
    },
    /// It cannot be read or written.
    #[error("cannot read or write the file of refused commands {}; --refused names another place", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

fn others(count: u64) -> String {
    if count > 1 { format!(", and {} more bad lines", count - 1) } else { String::new() }
}

/// The new version of a file of refused commands, while it is written.
#[derive(Debug)]
pub struct RefusedFile {
    path: PathBuf,
    new: BufWriter<NamedTempFile>,
    added: u64,
    /// What the old version holds: the next attempt, and whether a server has answered the command since.
    old: HashMap<Scoped, (u32, bool)>,
}

/// A key means a command only in its scope.
type Scoped = (Option<SourceName>, CommandId);

impl RefusedFile {
    /// How the name of such a file ends, unless somebody gives it another.
    pub const ENDING: &str = ".refused.ndjson";

    /// Where what a file's load refuses is kept, unless somebody names another place: `FILE.refused.ndjson`.
    pub fn beside(file: &Path) -> PathBuf {
        let mut name = file.as_os_str().to_owned();
        name.push(Self::ENDING);
        name.into()
    }

    /// Reads what an earlier load left at `path`, if anything, and begins the new version.
    ///
    /// # Errors
    /// When what stands there was not written here, is damaged, or no file can be written beside it.
    pub fn begin(path: &Path) -> Result<Self, RefusedFileError> {
        let failed = |source| RefusedFileError::Io { path: path.to_owned(), source };
        let mut old = HashMap::new();
        for refused in Self::read(path)?.into_iter().flatten() {
            let refused = refused?;
            old.insert(refused.scoped(), (refused.attempt, false));
        }
        let file = tempfile::Builder::new().prefix(".refused-").suffix(".tmp").tempfile_in(directory_of(path)).map_err(failed)?;
        let mut new = BufWriter::new(file);
        write_line(&mut new, &Header { cauri_refused: VERSION }).map_err(failed)?;
        Ok(Self { path: path.to_owned(), new, added: 0, old })
    }

    /// The commands of the file at `path`; `None` where there is no file. All of it was read before the first is given out.
    ///
    /// # Errors
    /// As [`RefusedFile::begin`].
    pub fn read(path: &Path) -> Result<Option<impl Iterator<Item = Result<Refused, RefusedFileError>> + use<>>, RefusedFileError> {
        let failed = |source| RefusedFileError::Io { path: path.to_owned(), source };
        let mut bad = Findings::default();
        let Some(all) = entries(path)? else { return Ok(None) };
        for entry in all {
            if let Err(line) = entry.map_err(failed)? {
                bad.add(line);
            }
        }
        if let Some(first) = bad.named().first() {
            return Err(RefusedFileError::Damaged { path: path.to_owned(), first: first.clone(), count: bad.count() });
        }
        let path = path.to_owned();
        Ok(entries(&path)?.map(|all| {
            all.map(move |entry| match entry {
                Ok(Ok(refused)) => Ok(refused),
                Ok(Err(first)) => Err(RefusedFileError::Damaged { path: path.clone(), first, count: 1 }),
                Err(source) => Err(RefusedFileError::Io { path: path.clone(), source }),
            })
        }))
    }

    /// The command was accepted: the file no longer holds it.
    pub fn accepted(&mut self, item: &Item) {
        if self.old.is_empty() {
            return;
        }
        if let Some((_, answered)) = self.old.get_mut(&(item.source.clone(), item.key.clone())) {
            *answered = true;
        }
    }

    /// Adds a command that was refused, in place of what the file holds of it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn add(&mut self, mut refused: Refused) -> Result<(), RefusedFileError> {
        if let Some((attempt, answered)) = self.old.get_mut(&refused.scoped()) {
            refused.attempt = refused.attempt.max(*attempt);
            *answered = true;
        }
        self.added += 1;
        write_line(&mut self.new, &refused).map_err(|source| RefusedFileError::Io { path: self.path.clone(), source })
    }

    /// Puts the new version in its place, with what the old one holds and no server has answered since. Says how many
    /// commands it holds; where it would hold none there is no file.
    ///
    /// # Errors
    /// When it cannot be written; the old version stays then.
    pub fn finish(mut self) -> Result<u64, RefusedFileError> {
        let path = self.path.clone();
        let failed = |source| RefusedFileError::Io { path: path.clone(), source };
        let mut kept = self.added;
        if self.old.values().any(|(_, answered)| !answered) {
            for refused in Self::read(&path)?.into_iter().flatten() {
                let refused = refused?;
                if self.old.get(&refused.scoped()).is_some_and(|(_, answered)| !answered) {
                    kept += 1;
                    write_line(&mut self.new, &refused).map_err(failed)?;
                }
            }
        }
        if kept == 0 {
            return match std::fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
                _ => Ok(0),
            };
        }
        let file = self.new.into_inner().map_err(|error| failed(error.into_error()))?;
        file.as_file().sync_all().map_err(failed)?;
        file.persist(&path).map_err(|error| failed(error.error))?;
        // The new name is durable once its directory is.
        File::open(directory_of(&path)).and_then(|directory| directory.sync_all()).map_err(failed)?;
        Ok(kept)
    }
}

/// The lines of the file behind its header.
fn entries(path: &Path) -> Result<Option<impl Iterator<Item = io::Result<Result<Refused, BadLine>>> + use<>>, RefusedFileError> {
    let failed = |source| RefusedFileError::Io { path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let first = reader.fill_buf().map_err(failed)?;
    let first = first.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if !serde_json::from_slice::<Header>(first).is_ok_and(|header| header.cauri_refused == VERSION) {
        return Err(RefusedFileError::NotOurs { path: path.to_owned() });
    }
    let all = lines(reader, |line, text| {
        if line == 1 {
            return Ok(None);
        }
        serde_json::from_slice(text).map(Some).map_err(|error| BadLine { line, detail: format!("not a refused command: {error}") })
    });
    Ok(Some(all.filter_map(|entry| entry.map(Result::transpose).transpose())))
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn write_line(out: &mut impl Write, line: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, line)?;
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(key: &str, attempt: u32) -> Item {
        Item {
            line: 7,
            source: Some(SourceName::unnamed()),
            key: key.parse().expect("a key"),
            attempt,
            together: None,
            command: r#"{"op":"freeze_account","address":"a"}"#.into(),
        }
    }

    fn refused(key: &str, attempt: u32) -> Refused {
        Refused::of(&item(key, attempt), "below_floor".into(), "it would be -1".into(), true).expect("JSON")
    }

    fn held(path: &Path) -> Vec<(String, u32)> {
        let read = RefusedFile::read(path).expect("readable");
        let all = read.into_iter().flatten().map(|refused| refused.expect("good"));
        all.map(|refused| (refused.key.to_string(), refused.attempt)).collect()
    }

    fn written(path: &Path, keys: &[&str]) {
        let mut file = RefusedFile::begin(path).expect("begun");
        for key in keys {
            file.add(refused(key, 0)).expect("added");
        }
        file.finish().expect("finished");
    }

    #[test]
    fn what_was_refused_can_be_sent_anew_as_the_next_attempt() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = RefusedFile::beside(&directory.path().join("pay.ndjson"));
        assert!(path.ends_with("pay.ndjson.refused.ndjson"));
        written(&path, &["k"]);
        let again = RefusedFile::read(&path).expect("readable").expect("there").next().expect("one").expect("good");
        assert_eq!(again.into_item(), item("k", 1));
    }

    #[test]
    fn a_refusal_that_is_not_remembered_leaves_the_key_as_it_is() {
        let refused = Refused::of(&item("k", 0), "idempotency_key_reused".into(), String::new(), false).expect("JSON");
        assert_eq!(refused.attempt, 0);
    }

    #[test]
    fn what_an_earlier_load_left_stays_until_it_is_accepted() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("refused");
        written(&path, &["a", "b", "c"]);
        let mut second = RefusedFile::begin(&path).expect("begun");
        second.accepted(&item("a", 1));
        second.add(refused("d", 4)).expect("added");
        second.add(refused("b", 0)).expect("added");
        assert_eq!(second.finish().expect("finished"), 3);
        assert_eq!(held(&path), [("d".into(), 5), ("b".into(), 1), ("c".into(), 1)]);
        let mut third = RefusedFile::begin(&path).expect("begun");
        third.add(refused("d", 0)).expect("added");
        third.finish().expect("finished");
        assert_eq!(held(&path)[0], ("d".into(), 5), "the number of attempts never goes back");
    }

    #[test]
    fn a_key_that_is_accepted_in_another_scope_leaves_the_command_in_the_file() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("refused");
        written(&path, &["a"]);
        let mut second = RefusedFile::begin(&path).expect("begun");
        second.accepted(&Item { source: None, ..item("a", 1) });
        assert_eq!(second.finish().expect("finished"), 1);
    }

    #[test]
    fn a_file_without_commands_is_taken_away_and_nothing_lies_beside_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("refused");
        written(&path, &["a"]);
        let mut second = RefusedFile::begin(&path).expect("begun");
        second.accepted(&item("a", 1));
        assert_eq!(second.finish().expect("finished"), 0);
        assert_eq!(std::fs::read_dir(directory.path()).expect("a directory").count(), 0);
    }

    #[test]
    fn a_load_that_ends_early_leaves_the_old_version() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("refused");
        written(&path, &["a"]);
        let mut second = RefusedFile::begin(&path).expect("begun");
        second.add(refused("b", 0)).expect("added");
        drop(second);
        assert_eq!(held(&path), [("a".into(), 1)]);
    }

    #[test]
    fn a_file_of_somebody_else_is_not_written_over_and_a_damaged_line_is_named() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("refused");
        for text in ["notes\n", "", "{\"cauri_refused\":2}\n"] {
            std::fs::write(&path, text).expect("written");
            assert!(matches!(RefusedFile::begin(&path), Err(RefusedFileError::NotOurs { .. })), "{text:?}");
            assert_eq!(std::fs::read_to_string(&path).expect("read"), text);
        }
        std::fs::write(&path, "{\"cauri_refused\":1}\n{\"line\":1}\n").expect("written");
        let error = RefusedFile::begin(&path).expect_err("damaged").to_string();
        assert!(error.contains("line 2: not a refused command: missing field `code`"), "{error}");
    }
}
