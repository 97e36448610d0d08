//! The commands of `cauri-replay`: one file `x.rs` each, beside its manual `x.md`.

mod balances;
mod export;
mod head;
mod import;
mod manual;
mod rebuild;
mod repack;
mod show;
mod trial_balance;
mod verify;

use std::ffi::OsString;
use std::io::Write;

use cauri_event_schemas::Position;
use cauri_event_store::embedded::OpenError;
use cauri_event_store::{Corruption, Failure, Hash, Head, NewerRecord, StoreError};
use clap::{Parser, Subcommand};

use crate::source::ExportError;

/// The auditor's bench: reads a journal of Cauri, beside a running server or from an export, and changes nothing.
#[derive(Debug, Parser)]
#[command(
    name = "cauri-replay",
    version,
    after_help = "Exit code: 0 all is well, 1 something is wrong or was not found, 2 bad usage or nothing to read, 3 a newer Cauri wrote it.\nManual: cauri-replay manual"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check everything that can be checked: bytes, roots, rules, sums, look-ups, read models.
    #[command(after_long_help = include_str!("verify.md"))]
    Verify(verify::Arguments),
    /// Show an entry, an account's history, a stream, a command's records, or one record.
    #[command(after_long_help = include_str!("show.md"))]
    Show(show::Arguments),
    /// Balances of accounts, computed from the journal alone, as of any time and as known at any position.
    #[command(after_long_help = include_str!("balances.md"))]
    Balances(balances::Arguments),
    /// The trial balance, computed from the journal alone.
    #[command(after_long_help = include_str!("trial_balance.md"))]
    TrialBalance(trial_balance::Arguments),
    /// Where the journal ends: position, root, size and times.
    #[command(after_long_help = include_str!("head.md"))]
    Head(head::Arguments),
    /// Write the journal as JSON lines that anybody can check.
    #[command(after_long_help = include_str!("export.md"))]
    Export(export::Arguments),
    /// Make a new journal from an export, byte for byte.
    #[command(after_long_help = include_str!("import.md"))]
    Import(import::Arguments),
    /// Have a read model built anew, or compare it with what a replay gives.
    #[command(after_long_help = include_str!("rebuild.md"))]
    Rebuild(rebuild::Arguments),
    /// Write a journal anew in today's format, with the same records and roots.
    #[command(after_long_help = include_str!("repack.md"))]
    Repack(repack::Arguments),
    /// The manual of a command or of a check.
    #[command(after_long_help = include_str!("manual.md"))]
    Manual(manual::Arguments),
}

/// The exit code where a newer Cauri wrote what this one does not know.
const NEWER: u8 = 3;

/// How a command ended that could do its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All is well.
    Well,
    /// Something is wrong, or was not found.
    Wrong,
    /// Nothing is wrong as far as this program can see: a newer one wrote what comes then.
    Newer,
}

/// Why a command could not do its work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    /// No journal there.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// No export there.
    #[error(transparent)]
    Export(#[from] ExportError),
    /// Reading went wrong.
    #[error(transparent)]
    Failure(#[from] Failure),
    /// Writing the answer went wrong.
    #[error("cannot write the answer: {0}")]
    Answer(#[from] std::io::Error),
    /// The command makes no sense as it is.
    #[error("{0}")]
    Usage(String),
    /// The journal is damaged where it was read.
    #[error("{0}; `cauri-replay verify` says more")]
    Damaged(#[from] Corruption),
    /// Every record is sound by itself, but together they are not what the head states.
    #[error("the records up to {} give the root {}, the head states {stated}: something in them was changed", computed.position, computed.root)]
    OtherRoot {
        /// What the records give.
        computed: Head,
        /// What the head states.
        stated: Hash,
    },
    /// A newer program wrote to the journal; nothing is wrong with it.
    #[error("{0}; use the newer Cauri")]
    Newer(NewerRecord),
    /// There is no such thing in the journal.
    #[error("{0}")]
    NotFound(String),
}

impl From<StoreError> for CommandError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Failure(failure) => Self::Failure(failure),
            StoreError::Corruption(corruption) => Self::Damaged(corruption),
            StoreError::Newer(newer) => Self::Newer(newer),
        }
    }
}

impl CommandError {
    fn exit_code(&self) -> u8 {
        match self {
            CommandError::Damaged(_)
            | CommandError::OtherRoot { .. }
            | CommandError::NotFound(_)
            | CommandError::Open(OpenError::Store(StoreError::Corruption(_))) => 1,
            CommandError::Newer(_) | CommandError::Open(OpenError::Store(StoreError::Newer(_)) | OpenError::NewerFormat { .. }) => NEWER,
            CommandError::Open(_)
            | CommandError::Export(_)
            | CommandError::Failure(_)
            | CommandError::Answer(_)
            | CommandError::Usage(_) => 2,
        }
    }
}

/// Runs `cauri-replay` with these arguments (the first is the program's name); its exit code.
pub fn run<I, T>(arguments: I, out: &mut dyn Write, errors: &mut dyn Write) -> u8
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(usage) => {
            // Help and version are answers, everything else is bad usage.
            let answer: &mut dyn Write = if usage.use_stderr() { errors } else { out };
            let _ = write!(answer, "{usage}");
            return if usage.use_stderr() { 2 } else { 0 };
        }
    };
    let ended = match &cli.command {
        Command::Verify(arguments) => verify::run(arguments, out),
        Command::Show(arguments) => show::run(arguments, out),
        Command::Balances(arguments) => balances::run(arguments, out),
        Command::TrialBalance(arguments) => trial_balance::run(arguments, out),
        Command::Head(arguments) => head::run(arguments, out),
        Command::Export(arguments) => export::run(arguments, out),
        Command::Import(arguments) => import::run(arguments, out),
        Command::Rebuild(arguments) => rebuild::run(arguments, out),
        Command::Repack(arguments) => repack::run(arguments, out),
        Command::Manual(arguments) => manual::run(arguments, out),
    };
    match ended.and_then(|exit| Ok(out.flush().map(|()| exit)?)) {
        Ok(Exit::Well) => 0,
        Ok(Exit::Wrong) => 1,
        Ok(Exit::Newer) => NEWER,
        // Whoever read the answer has seen enough.
        Err(CommandError::Answer(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => 1,
        Err(error) => {
            let _ = writeln!(errors, "cauri-replay: {error}");
            error.exit_code()
        }
    }
}

/// Writes a JSON document with a line feed.
fn write_json(out: &mut dyn Write, document: &impl serde::Serialize) -> Result<(), CommandError> {
    serde_json::to_writer_pretty(&mut *out, document).map_err(std::io::Error::from)?;
    Ok(writeln!(out)?)
}

/// A position as an argument.
fn position(text: &str) -> Result<Position, String> {
    text.parse().map(Position::new).map_err(|_| format!("{text:?} is not a position: a whole number, 1 for the first record"))
}
