//! `cauri load`: the commands of a file, sent to a running server; what was sent before is not done again.
//!
//! A file is read twice: [`cauri_import::check`] looks at all of it, then `sender` sends it. `commands` reads commands,
//! [`paysim`] a file of PaySim; which keys they get is the import rule's matter.

mod commands;
mod content;
mod sender;
mod summary;

use std::error::Error;
use std::fs::File;
use std::io::{self, BufReader, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cauri_http::auth::role::Role;
use cauri_import::check::{Check, Checked};
use cauri_import::finding::{BadLine, Findings};
use cauri_import::refused::{Kept, Refused, RefusedFile, RefusedFileError};
use cauri_import::row::{Draft, Item, Keyed, Row};
use cauri_import::source::SourceName;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

pub use self::summary::{Lines, Plan, RefusedUnder, Summary};
use crate::config::LoadArgs;
use crate::load::sender::{Sender, Sending};
use crate::serve::wait_for_signal;
use crate::{paysim, token};

/// The exit codes of `cauri load` besides 1 (loading did not begin, or stopped before the end) and 2 (the command line is
/// wrong).
pub mod exit {
    /// Every command is in the journal.
    pub const DONE: u8 = 0;
    /// Lines are bad, and nothing was sent.
    pub const BAD_LINES: u8 = 3;
    /// All was sent; something was refused, or not done.
    pub const REFUSED: u8 = 4;
    /// Bad lines were skipped; everything else is in the journal.
    pub const SKIPPED: u8 = 5;
    /// All was sent and accepted, without a source: some commands are new, and some may be of another file.
    pub const IN_DOUBT: u8 = 6;
    /// Somebody asked to stop.
    pub const INTERRUPTED: u8 = 130;
}

/// Why loading did not begin, or stopped before the end of the file.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It is not what it was said to be.
    #[error("{}: {reason}", path.display())]
    NotOfItsKind {
        /// The file.
        path: PathBuf,
        /// What is missing.
        reason: String,
    },
    /// Some of its lines cannot be sent; they were reported.
    #[error(
        "{}: {count} bad lines, and so nothing was sent; correct them and load the file again, or send the rest with --skip-bad",
        path.display()
    )]
    BadLines {
        /// The file.
        path: PathBuf,
        /// How many there are.
        count: u64,
    },
    /// Some lines have keys and others have none, and no source is named.
    #[error(
        "{}: line {line} has no idempotency_key and others have one, and so nothing was sent; \
         name what the file comes from with --source, or give every line a key",
        path.display()
    )]
    SourceNeeded {
        /// The file.
        path: PathBuf,
        /// The first line without a key.
        line: u64,
    },
    /// There is nothing to send anew.
    #[error("there is no {}: no load has left a refused command", path.display())]
    NothingRefused {
        /// Where they would be.
        path: PathBuf,
    },
    /// The file of refused commands is in the way.
    #[error(transparent)]
    RefusedFile(#[from] RefusedFileError),
    /// The file was written to while it was loaded.
    #[error(
        "{} was changed while it was loaded: line {line} is not as it was when the file was checked; load it again", path.display()
    )]
    Changed {
        /// The file.
        path: PathBuf,
        /// The first line that differs.
        line: u64,
    },
    /// There is nobody at the address.
    #[error("no server answers at {url}: start one with `cauri serve`, or name another with --url")]
    NoServer {
        /// The address.
        url: String,
        /// What the client said.
        #[source]
        source: Box<ureq::Error>,
    },
    /// The server lets nobody in with this token.
    #[error(
        "the server does not let us in ({status}): {detail}; give a good --token, or the --data directory of the server's development issuer"
    )]
    NotLetIn {
        /// The status of its answer.
        status: u16,
        /// What it said.
        detail: String,
    },
    /// The server, which is of another version than this program, cannot read a line.
    #[error(
        "the server cannot read line {line}: {detail}; everything up to line {answered} was answered; \
         correct the line and load the file again, or send the rest with --skip-bad"
    )]
    NotUnderstood {
        /// The line.
        line: u64,
        /// What the server said.
        detail: String,
        /// The last line that was answered.
        answered: u64,
    },
    /// What must be done whole is more than the server takes in one request.
    #[error("the commands from line {line} on are too large for one atomic request: {detail}; give a smaller --batch")]
    TooLargeForOne {
        /// The line of the first.
        line: u64,
        /// What the server said.
        detail: String,
    },
    /// The server is full, or does not know what became of a request, and stays so.
    #[error(
        "the server does not take more ({detail}); everything up to line {line} was answered; \
         load the file again to go on: what was done is not done again"
    )]
    GaveUp {
        /// What it said last.
        detail: String,
        /// The last line that was answered.
        line: u64,
    },
    /// Somebody asked to stop.
    #[error("stopped; everything up to line {line} was answered; load the file again to go on: what was done is not done again")]
    Interrupted {
        /// The last line that was answered.
        line: u64,
    },
    /// The server said something that is not in its description.
    #[error("the server answered {status}: {detail}")]
    Strange {
        /// The status of its answer.
        status: u16,
        /// What it said.
        detail: String,
    },
}

/// Loads a file and prints a summary; the exit code says what became of it (see [`exit`]).
///
/// # Errors
/// When loading did not begin, or stopped before the end; a summary of what was done is printed first.
pub fn run(args: &LoadArgs) -> Result<ExitCode, Box<dyn Error>> {
    let stop = stop_on_signals()?;
    if args.dry_run {
        let plan = plan(args)?;
        // Nobody reads it where standard output was closed.
        let _ = writeln!(io::stdout(), "{plan}");
        return Ok(if plan.bad_lines == 0 { ExitCode::SUCCESS } else { ExitCode::from(exit::BAD_LINES) });
    }
    let token = match &args.token {
        Some(token) => token.clone(),
        None => token::issue(&args.data, &args.trust, "cauri-load", &[Role::Operator], Duration::from_secs(12 * 3_600))?,
    };
    let mut summary = Summary::default();
    let loaded = load(args, &token, &stop, &mut summary);
    if loaded.is_ok() || summary.commands > 0 {
        let _ = writeln!(io::stdout(), "{summary}");
    }
    if let Some(doubt) = summary.doubt() {
        eprintln!("cauri load: {doubt}");
    }
    let code = match loaded {
        Ok(()) => summary.exit_code(),
        Err(error @ LoadError::BadLines { .. }) => {
            eprintln!("cauri: {error}");
            exit::BAD_LINES
        }
        Err(error @ LoadError::Interrupted { .. }) => {
            eprintln!("cauri: {error}");
            exit::INTERRUPTED
        }
        Err(error) => return Err(error.into()),
    };
    Ok(ExitCode::from(code))
}

/// Set by the first SIGINT or SIGTERM, so that what has been sent is still counted; the second ends the process.
fn stop_on_signals() -> io::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let asked = stop.clone();
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        runtime.block_on(async {
            wait_for_signal().await;
            asked.store(true, Ordering::Relaxed);
            eprintln!("cauri load: stopping after the request that is under way; a second signal ends at once");
            wait_for_signal().await;
            std::process::exit(exit::INTERRUPTED.into());
        });
    })?;
    Ok(stop)
}

/// Loads a file into a server, until `stop` is set.
///
/// # Errors
/// When nothing could be sent, or loading stops before the end; `summary` says how far it came.
pub fn load(args: &LoadArgs, token: &str, stop: &AtomicBool, summary: &mut Summary) -> Result<(), LoadError> {
    let path = path_of(args);
    let kept = kept_at(args, &path);
    let groups = groups(args, &path, &kept, summary)?;
    let mut refused = RefusedFile::begin(&kept)?;
    let began = Instant::now();
    let sending = Sending { token, path: &path, stop, bar: groups.bar.clone(), refused: &mut refused, summary };
    let sent = Sender::new(args, sending).send_all(groups.all);
    summary.took = began.elapsed();
    groups.bar.finish_and_clear();
    if sent.is_ok() && !args.retry_refused {
        refused.all_named();
    }
    // What was refused is kept, even where loading stopped.
    let finished = refused.finish();
    if let Ok(Kept { commands: count @ 1.., not_in_file }) = finished {
        summary.kept = Some((kept, count));
        summary.not_in_file = not_in_file;
    }
    sent?;
    finished?;
    Ok(())
}

/// What loading the file would send.
///
/// # Errors
/// When the file cannot be read or loaded.
pub fn plan(args: &LoadArgs) -> Result<Plan, LoadError> {
    let path = path_of(args);
    if args.retry_refused {
        let kept = kept_at(args, &path);
        check_refused(&kept)?;
        let mut plan = Plan::default();
        for refused in refused(&kept)? {
            let refused = refused?;
            plan.not_in_file += u64::from(refused.not_in_file);
            *plan.commands.entry(format!("refused as {}", refused.code)).or_default() += 1;
        }
        return Ok(plan);
    }
    let checked = check(args, &path)?;
    let source = source(args, &path, &checked)?;
    let mut keyed = Keyed::new(source.clone());
    let (bar, rows) = rows(args, &path, "counting")?;
    for drafts in good(path.clone(), rows, true) {
        drafts?.into_iter().for_each(|draft| drop(keyed.item(draft)));
    }
    bar.finish_and_clear();
    Ok(Plan::of(&checked, source, keyed.repeated()))
}

/// The file that is loaded.
fn path_of(args: &LoadArgs) -> PathBuf {
    args.paysim.as_ref().or(args.file.as_ref()).cloned().unwrap_or_default()
}

/// Where what is refused of it is kept. Who gives that file itself, to send it anew, means it.
fn kept_at(args: &LoadArgs, path: &Path) -> PathBuf {
    let is_kept = args.retry_refused && path.to_string_lossy().ends_with(RefusedFile::ENDING);
    args.refused.clone().unwrap_or_else(|| if is_kept { path.to_owned() } else { RefusedFile::beside(path) })
}

/// Items that are to be sent, in groups that go in one request.
struct Groups {
    bar: ProgressBar,
    all: Box<dyn Iterator<Item = Result<Vec<Item>, LoadError>>>,
}

/// What is to be sent, after all of it was looked at.
fn groups(args: &LoadArgs, path: &Path, kept: &Path, summary: &mut Summary) -> Result<Groups, LoadError> {
    if args.retry_refused {
        check_refused(kept)?;
        let all = refused(kept)?.map(|refused| Ok(vec![refused?.into_item()]));
        return Ok(Groups { bar: bar(0, "sending"), all: Box::new(all) });
    }
    let checked = check(args, path)?;
    summary.bad_lines = checked.bad.count();
    if summary.bad_lines > 0 && !args.skip_bad {
        return Err(LoadError::BadLines { path: path.to_owned(), count: summary.bad_lines });
    }
    let source = source(args, path, &checked)?;
    summary.unnamed_source = args.source.is_none() && source.is_some();
    let mut keyed = Keyed::new(source);
    let (bar, rows) = rows(args, path, "sending")?;
    let path = path.to_owned();
    let all = good(path.clone(), rows, args.skip_bad).map(move |drafts| {
        let changed = |line| LoadError::Changed { path: path.clone(), line };
        drafts?.into_iter().map(|draft| (draft.line, keyed.item(draft))).map(|(line, item)| item.ok_or_else(|| changed(line))).collect()
    });
    Ok(Groups { bar, all: Box::new(all) })
}

/// What earlier loads left to be sent anew.
fn refused(kept: &Path) -> Result<impl Iterator<Item = Result<Refused, RefusedFileError>> + use<>, LoadError> {
    RefusedFile::read(kept)?.ok_or_else(|| LoadError::NothingRefused { path: kept.to_owned() })
}

/// Looks at the commands that are to be sent anew: somebody may have corrected them.
fn check_refused(kept: &Path) -> Result<(), LoadError> {
    let mut bad = Findings::default();
    for refused in refused(kept)? {
        let item = refused?.into_item();
        if let Err(detail) = commands::check(item.text().as_bytes()) {
            bad.add(BadLine { line: item.line, detail });
        }
    }
    for bad in bad.named() {
        eprintln!("{}: the command of line {}: {}", kept.display(), bad.line, bad.detail);
    }
    if bad.count() > 0 { Err(LoadError::BadLines { path: kept.to_owned(), count: bad.count() }) } else { Ok(()) }
}

/// Reads a whole file, reports its bad lines, and says what it holds.
fn check(args: &LoadArgs, path: &Path) -> Result<Checked, LoadError> {
    let (bar, rows) = rows(args, path, "checking")?;
    let mut check = Check::new();
    for row in rows {
        check.row(&row.map_err(|source| LoadError::Unreadable { path: path.to_owned(), source })?);
    }
    bar.finish_and_clear();
    let checked = check.done();
    for bad in checked.bad.named() {
        eprintln!("{}:{}: {}", path.display(), bad.line, bad.detail);
    }
    let named = checked.bad.named().len() as u64;
    if checked.bad.count() > named {
        eprintln!("{}: and {} more bad lines", path.display(), checked.bad.count() - named);
    }
    Ok(checked)
}

/// In which source the keys of the file are made; none where every line has its own and no source is named.
fn source(args: &LoadArgs, path: &Path, checked: &Checked) -> Result<Option<SourceName>, LoadError> {
    match (&args.source, checked.first_without_key) {
        (Some(source), _) => Ok(Some(source.clone())),
        (None, None) => Ok(None),
        // Which scope the keys of the file mean must not depend on whether the last line has one.
        (None, Some(line)) if checked.with_key > 0 => Err(LoadError::SourceNeeded { path: path.to_owned(), line }),
        (None, Some(_)) => {
            let source = SourceName::unnamed();
            eprintln!(
                "cauri load: no --source is given, so the source is `{source}`: \
                 lines that were loaded from any file of that source are not done again"
            );
            Ok(Some(source))
        }
    }
}

/// The rows of a file, and the bar that shows how far they were read.
fn rows(args: &LoadArgs, path: &Path, doing: &'static str) -> Result<(ProgressBar, Box<dyn Iterator<Item = io::Result<Row>>>), LoadError> {
    let unreadable = |source| LoadError::Unreadable { path: path.to_owned(), source };
    let not_of_its_kind = |reason| LoadError::NotOfItsKind { path: path.to_owned(), reason };
    let file = File::open(path).map_err(unreadable)?;
    let about = file.metadata().map_err(unreadable)?;
    if !about.is_file() {
        return Err(not_of_its_kind(
            "this is no regular file; a file is read twice, so that nothing is sent while a line is bad".to_owned(),
        ));
    }
    let bar = bar(about.len(), doing);
    let reader = BufReader::with_capacity(1 << 20, bar.wrap_read(file));
    let rows: Box<dyn Iterator<Item = io::Result<Row>>> = if args.paysim.is_some() {
        Box::new(paysim::rows(reader, args.currency).map_err(not_of_its_kind)?)
    } else {
        Box::new(commands::rows(reader))
    };
    Ok((bar, rows))
}

/// The rows that can be sent, as [`check`] found them; where all were good, a bad one is a change.
fn good(
    path: PathBuf,
    rows: impl Iterator<Item = io::Result<Row>>,
    some_are_bad: bool,
) -> impl Iterator<Item = Result<Vec<Draft>, LoadError>> {
    let mut check = Check::new();
    rows.filter_map(move |row| {
        let row = match row {
            Ok(row) => row,
            Err(source) => return Some(Err(LoadError::Unreadable { path: path.clone(), source })),
        };
        match (check.row(&row), row) {
            (true, Ok(drafts)) => Some(Ok(drafts)),
            (_, Err(_)) | (false, Ok(_)) if some_are_bad => None,
            (_, Err(bad)) => Some(Err(LoadError::Changed { path: path.clone(), line: bad.line })),
            (false, Ok(drafts)) => Some(Err(LoadError::Changed { path: path.clone(), line: drafts.first().map_or(0, |draft| draft.line) })),
        }
    })
}

fn bar(bytes: u64, doing: &'static str) -> ProgressBar {
    let target = if io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let style = ProgressStyle::with_template("{prefix} {bar:40} {bytes}/{total_bytes} {elapsed} {msg}");
    ProgressBar::with_draw_target(Some(bytes), target).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())).with_prefix(doing)
}
