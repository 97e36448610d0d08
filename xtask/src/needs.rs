//! What tests need beside Rust: found, or installed from Debian's packages where that is possible.

use std::process::{Command, Stdio};

/// A program that tests call, and the Debian package that has it.
const NEEDS: &[(&str, &str, &str)] = &[
    ("python3", "python3", "runs the stand-alone verifier of an export"),
    ("sqlite3", "sqlite3", "reads a journal as the description of its format does"),
    ("zstd", "zstd", "unpacks a frame as the description of the format does"),
    ("xxd", "xxd", "shows bytes as the description of the format does"),
    ("faketime", "faketime", "moves the clock under a server"),
    ("node", "nodejs", "runs the audits of GraphQL over HTTP"),
    ("npm", "npm", "installs the audits of GraphQL over HTTP"),
    ("chromium", "chromium", "looks at the pages"),
];

/// Installs what is missing; says what to install where it may not.
pub fn install() -> Result<(), String> {
    let missing: Vec<_> = NEEDS.iter().filter(|(program, ..)| !is_there(program)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    for (program, package, why) in &missing {
        eprintln!("missing: {program} ({why}); Debian package {package}");
    }
    let packages: Vec<&str> = missing.iter().map(|(_, package, _)| *package).collect();
    let root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.starts_with(b"0\n"));
    if !root || !is_there("apt-get") {
        return Err(format!("install these first: {}", packages.join(" ")));
    }
    crate::run(Command::new("apt-get").args(["update", "--quiet"]))?;
    let mut install = Command::new("apt-get");
    install.args(["install", "--yes", "--quiet", "--no-install-recommends"]).args(&packages).env("DEBIAN_FRONTEND", "noninteractive");
    crate::run(&mut install)
}

fn is_there(program: &str) -> bool {
    Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}
