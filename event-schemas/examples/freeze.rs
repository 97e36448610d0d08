//! Freezes samples and schemas of event types and versions that are new, and lists the samples' digests.
//!
//! `cargo xtask freeze`. Nothing that is frozen is ever changed: a sample whose digest differs is an error.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::{env, fs};

use cauri_event_schemas::freeze::freeze;
use sha2::{Digest, Sha256};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = env::args_os().nth(1).unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let folder = Path::new(&folder);
    let frozen = freeze(folder)?;
    for (what, names) in [("sample", frozen.samples), ("schema", frozen.schemas), ("words of", frozen.reworded)] {
        for name in names {
            println!("{what} {name}");
        }
    }
    list_digests(&folder.join("samples"))
}

/// Adds what is new to `FROZEN.sha256`, in the form that `sha256sum --check` reads.
fn list_digests(samples: &Path) -> Result<(), Box<dyn Error>> {
    let manifest = samples.join("FROZEN.sha256");
    let text = if manifest.exists() { fs::read_to_string(&manifest)? } else { String::new() };
    let mut listed: BTreeMap<String, String> =
        text.lines().filter_map(|line| line.split_once("  ")).map(|(digest, name)| (name.to_owned(), digest.to_owned())).collect();
    for file in fs::read_dir(samples)? {
        let file = file?;
        let name = file.file_name().to_string_lossy().into_owned();
        if !name.ends_with(".json") {
            continue;
        }
        let digest = format!("{:x}", Sha256::digest(fs::read(file.path())?));
        match listed.get(&name) {
            None => {
                println!("digest of {name}");
                listed.insert(name, digest);
            }
            Some(frozen) if *frozen == digest => {}
            Some(_) => return Err(format!("{name} is frozen and was changed: restore it, or give the change a version of its own").into()),
        }
    }
    fs::write(manifest, listed.into_iter().map(|(name, digest)| format!("{digest}  {name}\n")).collect::<String>())?;
    Ok(())
}
