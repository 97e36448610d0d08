//! The auditor's bench on the command line; everything it does is in the library.

use std::io::{BufWriter, stderr, stdout};
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut out = BufWriter::new(stdout().lock());
    ExitCode::from(cauri_replay_tools::commands::run(std::env::args_os(), &mut out, &mut stderr().lock()))
}
