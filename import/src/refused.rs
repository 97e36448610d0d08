//! The file of what was refused: each command with its key and the reason, so that it can be sent anew.
//!
//! The first line says what the file is; a file without it is never written over. Every other line is a [`Refused`]. A new
//! version of the file is written beside it and put in its place when it is whole. What an earlier load left in it stays
//! until a server has accepted it, marked where the imported file no longer holds it: a line that was corrected there is
//! another command, and both would be done. A lock keeps two loads from writing the file at once.

use std::collections::HashMap;
use std::fs::{File, TryLockError};
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
    /// The imported file did not hold the command when it was last loaded: its line was corrected or removed.
    #[serde(default, skip_serializing_if = "is_false")]
    pub not_in_file: bool,
    /// The command, without a key.
    pub command: Box<RawValue>,
}

fn is_false(flag: &bool) -> bool {
    !flag
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
            not_in_file: false,
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
    /// Another load writes it.
    #[error("another load is using the file of refused commands {}: wait for its end, or name another with --refused", path.display())]
    InUse {
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
    kept: Kept,
    /// What the old version holds.
    old: HashMap<Scoped, Earlier>,
    _lock: Lock,
}

/// What is known of a command that an earlier load left.
#[derive(Debug)]
struct Earlier {
    /// The number of the next attempt.
    attempt: u32,
    /// A server has answered the command since.
    answered: bool,
    /// The file that is loaded holds it.
    named: bool,
    not_in_file: bool,
}

/// What a file of refused commands holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Its commands.
    pub commands: u64,
    /// Of them, how many the imported file did not hold when it was last loaded.
    pub not_in_file: u64,
}

impl Kept {
    fn count(&mut self, refused: &Refused) {
        self.commands += 1;
        self.not_in_file += u64::from(refused.not_in_file);
    }
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

    /// Reads what an earlier load left at `path`, if anything, and begins the new version. Until it is finished or dropped
    /// no other load can begin one.
    ///
    /// # Errors
    /// When what stands there was not written here, is damaged, or no file can be written beside it; when another load has
    /// begun a new version.
    pub fn begin(path: &Path) -> Result<Self, RefusedFileError> {
        let failed = |source| RefusedFileError::Io { path: path.to_owned(), source };
        let lock = Lock::of(path).map_err(failed)?.ok_or_else(|| RefusedFileError::InUse { path: path.to_owned() })?;
        let mut old = HashMap::new();
        for refused in Self::read(path)?.into_iter().flatten() {
            let refused = refused?;
            let Refused { attempt, not_in_file, .. } = refused;
            old.insert(refused.scoped(), Earlier { attempt, answered: false, named: false, not_in_file });
        }
        let file = tempfile::Builder::new().prefix(".refused-").suffix(".tmp").tempfile_in(directory_of(path)).map_err(failed)?;
        let mut new = BufWriter::new(file);
        write_line(&mut new, &Header { cauri_refused: VERSION }).map_err(failed)?;
        Ok(Self { path: path.to_owned(), new, kept: Kept::default(), old, _lock: lock })
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

    /// The imported file holds the command.
    pub fn named(&mut self, item: &Item) {
        if let Some(earlier) = self.earlier(item) {
            (earlier.named, earlier.not_in_file) = (true, false);
        }
    }

    /// The whole of the imported file was read: what was not [named](Self::named) is not in it.
    pub fn all_named(&mut self) {
        for earlier in self.old.values_mut() {
            earlier.not_in_file = !earlier.named;
        }
    }

    /// The command was accepted: the file no longer holds it.
    pub fn accepted(&mut self, item: &Item) {
        if let Some(earlier) = self.earlier(item) {
            earlier.answered = true;
        }
    }

    fn earlier(&mut self, item: &Item) -> Option<&mut Earlier> {
        if self.old.is_empty() {
            return None;
        }
        self.old.get_mut(&(item.source.clone(), item.key.clone()))
    }

    /// Adds a command that was refused, in place of what the file holds of it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn add(&mut self, mut refused: Refused) -> Result<(), RefusedFileError> {
        if let Some(earlier) = self.old.get_mut(&refused.scoped()) {
            refused.attempt = refused.attempt.max(earlier.attempt);
            refused.not_in_file = earlier.not_in_file;
            earlier.answered = true;
        }
        self.kept.count(&refused);
        write_line(&mut self.new, &refused).map_err(|source| RefusedFileError::Io { path: self.path.clone(), source })
    }

    /// Puts the new version in its place, with what the old one holds and no server has answered since. Says what it holds;
    /// where it would hold nothing there is no file.
    ///
    /// # Errors
    /// When it cannot be written; the old version stays then.
    pub fn finish(mut self) -> Result<Kept, RefusedFileError> {
        let path = self.path.clone();
        let failed = |source| RefusedFileError::Io { path: path.clone(), source };
        // Read again in any case: a person may have added to it meanwhile, and so may a load where the file system has no locks.
        for refused in Self::read(&path)?.into_iter().flatten() {
            let mut refused = refused?;
            if let Some(earlier) = self.old.get(&refused.scoped()) {
                if earlier.answered {
                    continue;
                }
                refused.not_in_file = earlier.not_in_file;
            }
            self.kept.count(&refused);
            write_line(&mut self.new, &refused).map_err(failed)?;
        }
        let kept = self.kept;
        if kept.commands == 0 {
            return match std::fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
                _ => Ok(kept),
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

/// Held by the load that writes a file of refused commands. The system releases it when the process ends, however it ends.
///
/// The file of refused commands itself cannot be locked: a new version takes its place.
#[derive(Debug)]
struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    /// The lock of the file at `path`; `None` where another load has it.
    fn of(path: &Path) -> io::Result<Option<Self>> {
        let mut name = path.as_os_str().to_owned();
        name.push(".lock");
        let path = PathBuf::from(name);
        loop {
            let file = File::options().create(true).truncate(false).write(true).open(&path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                // Not every file system has locks. What two loads at once lose there is the other's part of the file.
                Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {}
                Err(TryLockError::Error(error)) => return Err(error),
            }
            // The load that had the lock may have removed its file between the two calls.
            if is_at(&file, &path)? {
                return Ok(Some(Self { path, _file: file }));
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if cfg!(unix) {
            // Where it stays, the next load takes it over.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    let held = file.metadata()?;
    match std::fs::metadata(path) {
        Ok(found) => Ok((found.dev(), found.ino()) == (held.dev(), held.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Elsewhere the file is never removed.
#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> io::Result<bool> {
    Ok(true)
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
        assert_eq!(second.finish().expect("finished").commands, 3);
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
        assert_eq!(second.finish().expect("finished").commands, 1);
    }

    #[test]
    fn a_file_without_commands_is_taken_away_and_nothing_lies_beside_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("refused");
        written(&path, &["a"]);
        let mut second = RefusedFile::begin(&path).expect("begun");
        second.accepted(&item("a", 1));
        assert_eq!(second.finish().expect("finished"), Kept::default());
        assert_eq!(std::fs::read_dir(directory.path()).expect("a directory").count(), 0);
    }

    #[test]
    fn what_the_loaded_file_no_longer_holds_is_marked_until_it_does_again() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("refused");
        let marked = || {
            let read = RefusedFile::read(&path).expect("readable").into_iter().flatten().map(|refused| refused.expect("good"));
            read.filter(|refused| refused.not_in_file).map(|refused| refused.key.to_string()).collect::<Vec<_>>()
        };
        written(&path, &["a", "b", "c"]);
        assert!(marked().is_empty());

        // `b` was corrected: the file holds `d` instead, which is refused as well; `c` is in it and was not decided.
        let mut second = RefusedFile::begin(&path).expect("begun");
        for key in ["a", "c", "d"] {
            second.named(&item(key, 0));
        }
        second.add(refused("a", 0)).expect("added");
        second.add(refused("d", 0)).expect("added");
        second.all_named();
        assert_eq!(second.finish().expect("finished"), Kept { commands: 4, not_in_file: 1 });
        assert_eq!(marked(), ["b"]);

        // A retry does not read the file, and a load that stopped has not read all of it.
        let mut retry = RefusedFile::begin(&path).expect("begun");
        retry.add(refused("b", 1)).expect("added");
        retry.named(&item("c", 0));
        assert_eq!(retry.finish().expect("finished"), Kept { commands: 4, not_in_file: 1 });
        assert_eq!(marked(), ["b"]);

        let mut again = RefusedFile::begin(&path).expect("begun");
        for key in ["a", "b", "c", "d"] {
            again.named(&item(key, 0));
        }
        again.all_named();
        assert_eq!(again.finish().expect("finished"), Kept { commands: 4, not_in_file: 0 });
        assert!(marked().is_empty());
    }

    #[test]
    fn what_was_added_since_the_load_began_is_kept() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("refused");
        let line = |key: &str| format!("{}\n", serde_json::to_string(&refused(key, 0)).expect("JSON"));
        for there_before in [true, false] {
            written(&path, &["a"]);
            let text = std::fs::read_to_string(&path).expect("written");
            if !there_before {
                std::fs::remove_file(&path).expect("removed");
            }
            let mut load = RefusedFile::begin(&path).expect("begun");
            std::fs::write(&path, text + &line("b")).expect("added to");
            load.accepted(&item("a", 1));
            load.finish().expect("finished");
            assert_eq!(held(&path).last(), Some(&("b".into(), 1)), "was there a file before: {there_before}");
            std::fs::remove_file(&path).expect("removed");
        }
    }

    #[test]
    fn two_loads_do_not_write_one_file_at_once() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("refused");
        let mut first = RefusedFile::begin(&path).expect("begun");
        first.add(refused("a", 0)).expect("added");
        let error = RefusedFile::begin(&path).expect_err("the first has not ended");
        assert!(matches!(error, RefusedFileError::InUse { .. }) && error.to_string().contains("another load"), "{error}");
        RefusedFile::begin(&directory.path().join("other")).expect("another file is free");
        first.finish().expect("finished");
        assert_eq!(held(&path), [("a".into(), 1)]);
        RefusedFile::begin(&path).expect("the first has ended");
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
