//! Free space: what is left of a file system for derived data before it would take the journal's.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes that are kept for the journal where nothing else is configured.
pub const DEFAULT_RESERVE: u64 = 256 << 20;

/// The file system that a directory lies on, and how much of it derived data must leave free.
///
/// Clones share the reserve.
#[derive(Clone, Debug)]
pub struct Space {
    dir: PathBuf,
    reserve: Arc<AtomicU64>,
}

/// Less is free than derived data must leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{free} bytes are free on the disk and {reserve} are reserved for the journal: writes of derived data are paused")]
pub struct Shortage {
    /// Bytes that are free.
    pub free: u64,
    /// Bytes that must stay free.
    pub reserve: u64,
}

/// Less than this is free on a disk that is called full: appends fail before the last byte is taken.
const NEXT_TO_NOTHING: u64 = 1 << 20;

impl Space {
    /// The file system of `dir`, with the default reserve.
    pub fn of(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), reserve: Arc::new(AtomicU64::new(DEFAULT_RESERVE)) }
    }

    /// Another directory with the same reserve.
    #[must_use]
    pub fn with_dir(&self, dir: &Path) -> Self {
        Self { dir: dir.to_owned(), reserve: self.reserve.clone() }
    }

    /// Sets how many bytes derived data must leave free. 0 reserves nothing.
    pub fn set_reserve(&self, bytes: u64) {
        self.reserve.store(bytes, Ordering::Relaxed);
    }

    /// Free bytes above the reserve; `None` where the system does not say.
    ///
    /// # Errors
    /// When less is free than the reserve.
    pub fn beyond_reserve(&self) -> Result<Option<u64>, Shortage> {
        let Some((free, total)) = free_and_total(&self.dir) else { return Ok(None) };
        // On a small disk a fixed reserve would leave derived data nothing at all.
        let reserve = self.reserve.load(Ordering::Relaxed).min(total / 8);
        match free.checked_sub(reserve) {
            Some(beyond) if beyond > 0 || reserve == 0 => Ok(Some(beyond)),
            _ => Err(Shortage { free, reserve }),
        }
    }

    /// Whether so little is free that a write that failed is put down to it.
    pub(crate) fn is_exhausted(&self) -> bool {
        free_and_total(&self.dir).is_some_and(|(free, _)| free < NEXT_TO_NOTHING)
    }
}

#[cfg(unix)]
fn free_and_total(dir: &Path) -> Option<(u64, u64)> {
    let found = rustix::fs::statvfs(dir).ok()?;
    Some((found.f_bavail.saturating_mul(found.f_frsize), found.f_blocks.saturating_mul(found.f_frsize)))
}

#[cfg(not(unix))]
fn free_and_total(_: &Path) -> Option<(u64, u64)> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserve_is_at_most_an_eighth_of_the_file_system() {
        let dir = tempfile::tempdir().expect("a directory");
        let space = Space::of(dir.path());
        let Some((free, total)) = free_and_total(dir.path()) else { return };
        space.set_reserve(u64::MAX);
        match space.beyond_reserve() {
            Ok(beyond) => assert!(free > total / 8 && beyond.is_some_and(|beyond| beyond <= free)),
            Err(Shortage { reserve, .. }) => assert_eq!(reserve, total / 8),
        }
        space.set_reserve(0);
        assert!(space.beyond_reserve().is_ok());
    }
}
