//! Every command in `docs/reference/journal-format.md` answers what stands there.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::path::Path;
use std::process::Command;

/// A command of the document, with the answer that stands below it.
struct Told {
    command: String,
    answer: Vec<String>,
}

/// The console blocks of a document: `$ ` begins a command, `> ` goes on with it, all else is its answer.
fn told(document: &str) -> Vec<Told> {
    let mut told: Vec<Told> = Vec::new();
    let blocks = document.split("```console\n").skip(1).map(|block| block.split("```").next().unwrap());
    for line in blocks.flat_map(str::lines) {
        if let Some(command) = line.strip_prefix("$ ") {
            told.push(Told { command: command.to_owned(), answer: Vec::new() });
        } else if let Some(more) = line.strip_prefix("> ") {
            let command = &mut told.last_mut().unwrap().command;
            command.push('\n');
            command.push_str(more);
        } else {
            told.last_mut().unwrap().answer.push(line.to_owned());
        }
    }
    told
}

#[test]
fn the_commands_about_the_format_answer_as_documented() {
    let tools = ["bash", "sqlite3", "zstd", "sha256sum", "xxd", "python3"];
    let absent: Vec<_> = tools.iter().filter(|tool| Command::new(tool).arg("--version").output().is_err()).collect();
    assert!(absent.is_empty(), "the commands of the document need {absent:?}; `cargo xtask test` installs them");
    let reference = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference");
    let told = told(&fs::read_to_string(reference.join("journal-format.md")).unwrap());
    assert!(told.len() > 10, "the document has its commands");

    let desk = tempfile::tempdir().unwrap();
    fs::create_dir_all(desk.path().join("docs/reference")).unwrap();
    for (name, place) in [
        ("example-journal.jsonl", "docs/reference/example-journal.jsonl"),
        ("verify_export.py", "verify_export.py"),
        ("encode_vectors.py", "encode_vectors.py"),
        ("vectors.json", "vectors.json"),
    ] {
        fs::copy(reference.join(name), desk.path().join(place)).unwrap();
    }
    let program = Path::new(env!("CARGO_BIN_EXE_cauri-replay")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let script: String = told.iter().map(|told| format!("{}\nprintf '\\036%s\\036' $?\n", told.command)).collect();
    let ran = Command::new("bash").arg("-c").arg(script).current_dir(desk.path()).env("PATH", path).output().unwrap();
    let out = String::from_utf8(ran.stdout).unwrap();
    let errors = String::from_utf8_lossy(&ran.stderr);
    let answers: Vec<&str> = out.split('\u{1e}').collect();
    for (Told { command, answer }, ran) in told.iter().zip(answers.chunks(2)) {
        let lines: Vec<&str> = ran[0].lines().map(str::trim_end).collect();
        assert_eq!((lines, ran.get(1)), (answer.iter().map(String::as_str).collect(), Some(&"0")), "$ {command}\n{errors}");
    }
}
