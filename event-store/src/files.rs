//! The files of an embedded store: who may read them, which file a path leads to, and opening them where nothing can be written.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};

/// Which file a path leads to: two files have different identities as long as one of them is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileIdentity {
    device: u64,
    inode: u64,
}

impl FileIdentity {
    /// The identity of the file at `path`. On systems without inodes all files have the same.
    ///
    /// # Errors
    /// When there is no such file or it cannot be looked at.
    pub fn of(path: &Path) -> io::Result<Self> {
        #[cfg(target_os = "linux")]
        {
            use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
            // Not its times: a file whose times were asked for gets a new one with its next write (Linux 6.13, "multigrain
            // timestamps"), which each sync then has to write too.
            let found = statx(CWD, path, AtFlags::empty(), StatxFlags::INO)?;
            Ok(Self { device: rustix::fs::makedev(found.stx_dev_major, found.stx_dev_minor), inode: found.stx_ino })
        }
        #[cfg(all(unix, not(target_os = "linux")))]
        {
            use std::os::unix::fs::MetadataExt as _;
            let found = fs::metadata(path)?;
            Ok(Self { device: found.dev(), inode: found.ino() })
        }
        #[cfg(not(unix))]
        {
            fs::metadata(path)?;
            Ok(Self { device: 0, inode: 0 })
        }
    }
}

/// A path with something behind its name, such as `-wal`.
pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Makes the file if there is none, readable and writable by its owner only.
///
/// What SQLite makes beside a database gets the permissions of the database.
///
/// # Errors
/// When the file can be neither opened nor made.
pub fn create_private(path: &Path) -> io::Result<()> {
    options_of_private().create(true).append(true).open(path)?;
    Ok(())
}

/// Opens the file for writing, makes it private if there is none.
pub(crate) fn open_private(path: &Path) -> io::Result<File> {
    options_of_private().create(true).truncate(false).write(true).open(path)
}

fn options_of_private() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Makes the directory and its missing parents, accessible by the owner only. Directories that exist stay as they are.
///
/// # Errors
/// When the system refuses.
pub fn create_private_dir(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(path)
}

/// Takes a file or directory from everybody but its owner, and logs it. What is not there is passed over.
pub fn tighten(path: &Path) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let Ok(metadata) = fs::metadata(path) else { return };
        let mode = metadata.permissions().mode() & 0o7777;
        if mode & 0o077 == 0 {
            return;
        }
        let owners = mode & 0o700;
        match fs::set_permissions(path, fs::Permissions::from_mode(owners)) {
            Ok(()) => tracing::info!(
                path = %path.display(),
                "permissions were {mode:04o} and are {owners:04o} now: only the owner may read this"
            ),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "permissions are {mode:04o} and cannot be changed: others may read this");
            }
        }
    }
    #[cfg(not(unix))]
    let _ = path;
}

/// The same for a database and what SQLite keeps beside it.
pub fn tighten_database(path: &Path) {
    for suffix in ["", "-wal", "-shm", "-journal"] {
        tighten(&beside(path, suffix));
    }
}

/// Opens a database for reading only, also on a read-only file system or in a directory that may not be written.
///
/// There SQLite cannot make the file of shared memory that a write-ahead log needs. If the log is empty or missing,
/// nobody has the database open and the directory cannot be written, the database is opened as immutable.
///
/// # Errors
/// What SQLite says; a log that holds something and cannot be read is never passed over.
pub fn connect_read_only(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = Connection::open_with_flags(path, flags).and_then(|connection| {
        connection.busy_timeout(Duration::from_secs(10))?;
        // Opening reads nothing: the first question does.
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        Ok(connection)
    });
    match opened {
        Err(error) if cannot_share_memory(&error) && is_immutable_here(path) => {
            Connection::open_with_flags(immutable_uri(path), flags | OpenFlags::SQLITE_OPEN_URI)
        }
        opened => opened,
    }
}

fn cannot_share_memory(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied))
}

/// Nothing in the directory can change through this path, and everything durable is in the database itself.
fn is_immutable_here(path: &Path) -> bool {
    let log_is_empty = match fs::metadata(beside(path, "-wal")) {
        Ok(log) => log.len() == 0,
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    // Whoever has the database open has shared memory beside it, and may write through another mount.
    let is_open = beside(path, "-shm").exists();
    log_is_empty && !is_open && path.parent().is_some_and(|parent| !is_writable(parent))
}

#[cfg(unix)]
fn is_writable(dir: &Path) -> bool {
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    // Of a read-only file system this says no, for root as well.
    rustix::fs::access(dir, rustix::fs::Access::WRITE_OK).is_ok()
}

#[cfg(not(unix))]
fn is_writable(_: &Path) -> bool {
    true
}

fn immutable_uri(path: &Path) -> String {
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => uri.push(char::from(*byte)),
            other => uri.push_str(&format!("%{other:02X}")),
        }
    }
    uri.push_str("?immutable=1");
    uri
}
