//! A data directory: where the journal, the read models and the development issuer lie.

use std::io;
use std::path::{Path, PathBuf};

/// The name of the one journal that a node has for now.
pub const JOURNAL: &str = "ledger";

/// A directory that holds everything a node keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataDir(PathBuf);

impl DataDir {
    /// The directory at `path`. Nothing is looked at or made.
    pub fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// The directory itself; the development issuer has a folder in it.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The directory of the journal.
    pub fn journal(&self) -> PathBuf {
        self.0.join("journals").join(JOURNAL)
    }

    /// The file of the read models.
    pub fn read_models(&self) -> PathBuf {
        self.0.join("read-models").join(format!("{JOURNAL}.sqlite"))
    }

    /// What the demo wrote here.
    pub fn demo_day(&self) -> PathBuf {
        self.0.join("demo.json")
    }

    /// Makes the folders that others expect to be there.
    ///
    /// # Errors
    /// When the system does not let us.
    pub fn create(&self) -> io::Result<()> {
        let mut builder = std::fs::DirBuilder::new();
        // What is in it is the owner's business alone. A directory that is there already stays as it is.
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.recursive(true).create(&self.0)?;
        self.read_models().parent().map_or(Ok(()), std::fs::create_dir_all)
    }
}
