//! What a power cut may leave of a directory of SQLite files: for tests.
//!
//! [`Recorder`] sits between SQLite and the file system. It lets every call through and keeps a log of what was written,
//! truncated, created, removed and synced below a directory. [`Medium`] replays the log up to any point and draws images
//! of what the disk may hold if the power fails there: whatever was synced, and of everything since an arbitrary part.
//!
//! The model of the disk:
//! - A write since the file's last completed sync is there, is lost, or is torn at sectors of 512 bytes. A sector of a
//!   torn write holds the new bytes, the old bytes, or garbage; beyond the old end of the file it may also hold zeros.
//!   Bytes outside of a write are never changed by it: SQLite makes the same assumption (`SQLITE_IOCAP_POWERSAFE_OVERWRITE`).
//! - A truncation is there or is lost. Files are independent of one another.
//! - A name that was created or removed is durable once its directory was synced, and a directory once its parent was.
//!   Syncing a file does not make its name durable. This is what POSIX promises; most file systems promise more.
//! - Files of shared memory (`-shm`) are lost.
//!
//! Syncs are recorded, never carried out: the images decide what is durable, and tests run at the speed of memory. The
//! crate takes the place of `fsync` in the program that links it, so it works on Linux only and belongs to tests only.

#![cfg(target_os = "linux")]

mod medium;
mod vfs;

pub use medium::{Image, Medium};
pub use vfs::{Honesty, Recorder};

/// A file below the recorded directory, as opposed to its name: a name that is created anew leads to another file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(u64);

/// One call that changed the medium, or what the test noted. Names are relative to the recorded directory.
#[derive(Clone, Debug)]
pub enum Event {
    /// A name leads to a new, empty file.
    Created {
        /// The name.
        name: String,
        /// The file.
        file: FileId,
    },
    /// A name leads nowhere any more.
    Removed {
        /// The name.
        name: String,
    },
    /// Bytes were written.
    Written {
        /// The file.
        file: FileId,
        /// Offset of the first byte.
        at: u64,
        /// The bytes.
        bytes: Box<[u8]>,
    },
    /// The file got another size.
    Truncated {
        /// The file.
        file: FileId,
        /// The size.
        size: u64,
    },
    /// A sync of a file ended; events before number `through` are durable as far as they concern its content.
    Synced {
        /// The file.
        file: FileId,
        /// The number of the first event that the sync does not cover.
        through: usize,
    },
    /// A sync of a directory ended; events before number `through` are durable as far as they concern names in it.
    DirectorySynced {
        /// The directory; empty for the recorded directory itself.
        directory: String,
        /// The directories that it held.
        subdirectories: Vec<String>,
        /// The number of the first event that the sync does not cover.
        through: usize,
    },
    /// The test noted something: what is acknowledged from here on.
    Noted(u64),
}
