//! A wall clock that a test moves under a running server; its other clocks stay the machine's.

use std::path::{Path, PathBuf};

/// Where libfaketime reads how far the wall clock is from the right time.
pub struct FakedClock {
    directory: tempfile::TempDir,
}

impl FakedClock {
    /// A clock that is right.
    pub fn right() -> Self {
        let clock = Self { directory: tempfile::tempdir().expect("a directory") };
        clock.set("+0");
        clock
    }

    /// Moves it by so many days from the right time.
    pub fn days_ahead(&self, days: u32) {
        self.set(&format!("+{days}d"));
    }

    fn set(&self, offset: &str) {
        // In one step: the server reads the file whenever it asks for the time.
        let written = self.directory.path().join("written");
        std::fs::write(&written, offset).expect("written");
        std::fs::rename(written, self.file()).expect("renamed");
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("offset")
    }

    /// The environment of a process that has this clock.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("LD_PRELOAD", library().display().to_string()),
            ("FAKETIME_TIMESTAMP_FILE", self.file().display().to_string()),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            // Times of files are not the clock's.
            ("NO_FAKE_STAT", "1".to_owned()),
        ]
    }
}

/// The library, where Debian's package `faketime` puts it.
fn library() -> PathBuf {
    let architectures = std::fs::read_dir("/usr/lib").expect("/usr/lib").filter_map(Result::ok).map(|entry| entry.path());
    let places = architectures.chain([PathBuf::from("/usr/lib"), PathBuf::from("/usr/local/lib")]);
    let found = places.map(|place: PathBuf| place.join(Path::new("faketime/libfaketimeMT.so.1"))).find(|library| library.exists());
    found.expect("libfaketime is not installed; `cargo xtask test` installs it, or the Debian package `faketime`")
}
