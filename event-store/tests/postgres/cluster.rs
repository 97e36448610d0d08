//! A throw-away PostgreSQL server from the installed binaries.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;

pub struct Cluster {
    dir: TempDir,
    bin: PathBuf,
}

impl Cluster {
    /// Starts a server that only this machine's processes reach, by a socket in a directory of its own.
    pub fn start() -> Self {
        let versions = std::fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL's server binaries: apt-get install postgresql");
        let bin = versions.filter_map(|version| Some(version.ok()?.path().join("bin"))).max().expect("a version of PostgreSQL");
        let cluster = Self { dir: tempfile::tempdir().expect("a directory"), bin };
        // As root the server does not start: it and its files are the user postgres's.
        if is_root() {
            cluster.must(Command::new("chown").arg("postgres").arg(cluster.dir.path()));
        }
        let data = cluster.dir.path().join("data");
        cluster.must(cluster.tool("initdb").arg("-D").arg(&data).args(["-A", "trust", "-U", "postgres", "--no-sync"]));
        let options = format!("-k {} -h '' -c max_connections=200", cluster.dir.path().display());
        cluster.must(cluster.tool("pg_ctl").arg("-D").arg(&data).args(["-w", "-o", &options, "start"]));
        cluster
    }

    /// How a database is connected to.
    pub fn config(&self, database: &str) -> String {
        format!("host={} user=postgres dbname={database}", self.dir.path().display())
    }

    fn tool(&self, name: &str) -> Command {
        let path = self.bin.join(name);
        if !is_root() {
            return Command::new(path);
        }
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(path);
        command
    }

    fn must(&self, command: &mut Command) {
        let status = command.current_dir(self.dir.path()).stdout(Stdio::null()).status().expect("a program");
        assert!(status.success(), "{command:?}: {status}");
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let data = self.dir.path().join("data");
        let _ = self.tool("pg_ctl").arg("-D").arg(data).args(["-m", "immediate", "stop"]).current_dir("/").stdout(Stdio::null()).status();
    }
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|this| this.uid() == 0)
}
