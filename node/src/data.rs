//! A data directory: where the journal, the read models and the development issuer lie.

use std::io;
use std::path::{Path, PathBuf};

use cauri_event_store::files::{create_private_dir, tighten};
use cauri_http::auth::issuer::FOLDER as DEV_ISSUER;

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

    /// The directory of the journal's read models: a file for each group of them.
    pub fn read_models(&self) -> PathBuf {
        self.read_models_dir().join(JOURNAL)
    }

    /// The directory of the records of who read which sensitive field.
    pub fn access(&self) -> PathBuf {
        self.0.join("access")
    }

    /// The directory of all read models.
    pub fn read_models_dir(&self) -> PathBuf {
        self.0.join("read-models")
    }

    /// What the demo wrote here.
    pub fn demo_day(&self) -> PathBuf {
        self.0.join("demo.json")
    }

    /// Makes the folders that others expect to be there, and takes those that were made earlier from everybody but the
    /// owner. The data directory itself stays as it is if it was there before: it may have been made for other files as well.
    ///
    /// # Errors
    /// When the system does not let us.
    pub fn create(&self) -> io::Result<()> {
        let journal = self.journal();
        let folders = [journal.parent().map(Path::to_owned), Some(journal.clone()), Some(self.read_models_dir())];
        create_private_dir(&self.0)?;
        for folder in folders.into_iter().flatten() {
            create_private_dir(&folder)?;
            tighten(&folder);
        }
        // The private key in it is looked at by the issuer, which refuses one that others could have read.
        tighten(&self.0.join(DEV_ISSUER));
        for file in ["jwks.json", "lock"] {
            tighten(&self.0.join(DEV_ISSUER).join(file));
        }
        tighten(&self.demo_day());
        Ok(())
    }
}
