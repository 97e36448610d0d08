//! `cauri load`: the commands of a file, sent to a running server; sending the same file again changes nothing.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal as _, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use cauri_command_api::auth::role::Role;
use cauri_command_api::bulk::BulkItem;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::config::LoadArgs;
use crate::paysim;
use crate::token;

/// A line longer than this is no command; the server's limit for one is less.
const MOST_LINE_BYTES: u64 = 4 * 1024 * 1024;
/// One request. The server answers within half of it, or says that it does not know.
const TIME_OUT: Duration = Duration::from_secs(75);
/// How often a full server is asked again: about as many seconds.
const MOST_TIMES_FULL: u32 = 300;
/// How often a request without a known outcome is sent again, each time after twice as long.
const MOST_TIMES_UNKNOWN: u32 = 8;
/// Longer than this nobody is waited for, whatever `Retry-After` says.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// One command of a file, as an item of a bulk request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// The line of the file that it stands in, from 1.
    pub line: u64,
    /// The item, with its idempotency key.
    pub text: String,
}

/// A line that holds no command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// Its number, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub detail: String,
}

/// What one line, or one row, of a file gives.
pub type ReadLine = Result<Vec<Item>, BadLine>;

/// Why loading stopped before the end of the file.
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
    /// What must be done whole is more than the server takes in one request.
    #[error("the commands from line {line} on are too large for one atomic request: {detail}; give a smaller --batch")]
    TooLargeForOne {
        /// The line of the first.
        line: u64,
        /// What the server said.
        detail: String,
    },
    /// The server is full, or does not know what became of a request, and stays so.
    #[error("the server does not take more ({detail}); what it has taken stays, and the same file can be sent again")]
    GaveUp {
        /// What it said last.
        detail: String,
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

/// What became of a file's commands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Sent and answered.
    pub commands: u64,
    /// In the journal.
    pub accepted: u64,
    /// Refused, by code, each with the first line and what was said of it.
    pub refused: BTreeMap<String, (u64, u64, String)>,
    /// Of both, how many had been decided before.
    pub replayed: u64,
    /// Not done because of another command of an atomic request, or because of the stream's version.
    pub not_done: u64,
    /// Lines that hold no command; they were reported, and not sent.
    pub bad_lines: u64,
    /// From the first to the last.
    pub took: Duration,
}

impl Summary {
    /// Whether every line of the file was accepted or refused.
    pub fn is_whole(&self) -> bool {
        self.not_done == 0 && self.bad_lines == 0
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let refused: u64 = self.refused.values().map(|(count, _, _)| count).sum();
        let seconds = self.took.as_secs_f64().max(0.001);
        writeln!(f, "commands   {:>12}", self.commands)?;
        writeln!(f, "accepted   {:>12}", self.accepted)?;
        writeln!(f, "refused    {refused:>12}")?;
        for (code, (count, line, detail)) in &self.refused {
            writeln!(f, "  {count:>9} {code} (first in line {line}: {detail})")?;
        }
        writeln!(f, "replayed   {:>12}", self.replayed)?;
        if self.not_done > 0 {
            writeln!(f, "not done   {:>12}", self.not_done)?;
        }
        if self.bad_lines > 0 {
            writeln!(f, "bad lines  {:>12}", self.bad_lines)?;
        }
        write!(f, "took       {seconds:>11.1}s, {:.0} commands/s", self.commands as f64 / seconds)
    }
}

/// Loads a file and prints a summary; success means that every line was accepted or refused.
///
/// # Errors
/// When loading stopped before the end; a summary of what was done is printed first.
pub fn run(args: &LoadArgs) -> Result<ExitCode, Box<dyn Error>> {
    let token = match &args.token {
        Some(token) => token.clone(),
        None => token::issue(&args.data, &args.trust, "cauri-load", &[Role::Operator], Duration::from_secs(12 * 3_600))?,
    };
    let mut summary = Summary::default();
    let loaded = load(args, &token, &mut summary);
    // Nobody reads it where standard output was closed.
    let _ = writeln!(io::stdout(), "{summary}");
    loaded?;
    Ok(if summary.is_whole() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Loads a file into a server.
///
/// # Errors
/// When loading stops before the end; `summary` says how far it came.
pub fn load(args: &LoadArgs, token: &str, summary: &mut Summary) -> Result<(), LoadError> {
    let path = args.paysim.as_ref().or(args.file.as_ref()).cloned().unwrap_or_default();
    let unreadable = |source| LoadError::Unreadable { path: path.clone(), source };
    let stamp = stamp(&path).map_err(unreadable)?;
    let file = File::open(&path).map_err(unreadable)?;
    let bar = bar(file.metadata().map_err(unreadable)?.len());
    let reader = BufReader::with_capacity(1 << 20, bar.wrap_read(file));
    let mut sender = Sender::new(args, token, &path, bar.clone(), summary);
    let began = Instant::now();
    let sent = if args.paysim.is_some() {
        let rows = paysim::rows(reader, args.currency, &stamp);
        let rows = rows.map_err(|reason| LoadError::NotOfItsKind { path: path.clone(), reason })?;
        sender.send_all(rows.map(Ok))
    } else {
        sender.send_all(lines(reader, &stamp).map(|line| line.map_err(|source| LoadError::Unreadable { path: path.clone(), source })))
    };
    drop(sender);
    summary.took = began.elapsed();
    bar.finish_and_clear();
    sent
}

/// What the keys of a file's commands begin with: the same for the same content, wherever it lies.
fn stamp(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut piece = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut piece)?;
        if read == 0 {
            break;
        }
        hasher.update(&piece[..read]);
    }
    Ok(hasher.finalize()[..8].iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The lines of a file of commands. An item's key is the file's stamp and its line, unless it has one.
fn lines(mut reader: impl BufRead, stamp: &str) -> impl Iterator<Item = io::Result<ReadLine>> {
    let mut number = 0;
    let stamp = stamp.to_owned();
    let mut text = Vec::new();
    std::iter::from_fn(move || {
        loop {
            text.clear();
            number += 1;
            match reader.by_ref().take(MOST_LINE_BYTES).read_until(b'\n', &mut text) {
                Ok(0) => return None,
                Ok(_) => {}
                Err(error) => return Some(Err(error)),
            }
            if text.len() as u64 == MOST_LINE_BYTES && !text.ends_with(b"\n") {
                if let Err(error) = reader.skip_until(b'\n') {
                    return Some(Err(error));
                }
                return Some(Ok(Err(BadLine { line: number, detail: format!("the line is longer than {MOST_LINE_BYTES} bytes") })));
            }
            let line = if number == 1 { text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text) } else { &text };
            let line = line.trim_ascii();
            if !line.is_empty() {
                return Some(Ok(item(number, line, &stamp).map(|item| vec![item])));
            }
        }
    })
}

/// One line as an item.
fn item(number: u64, line: &[u8], stamp: &str) -> Result<Item, BadLine> {
    let bad = |detail: String| BadLine { line: number, detail };
    let read = BulkItem::parse(line).map_err(|problem| {
        let place = if problem.pointer.is_empty() { String::new() } else { format!("{}: ", problem.pointer) };
        bad(format!("{place}{}", problem.detail))
    })?;
    let text = std::str::from_utf8(line).map_err(|error| bad(error.to_string()))?;
    if read.key.is_some() {
        return Ok(Item { line: number, text: text.to_owned() });
    }
    // It was read as an object with at least `op`, so something stands before the last brace.
    let body = text.strip_suffix('}').ok_or_else(|| bad("the line does not end with a brace".to_owned()))?;
    Ok(Item { line: number, text: format!("{},\"idempotency_key\":\"load-{stamp}-{number}\"}}", body.trim_end()) })
}

fn bar(bytes: u64) -> ProgressBar {
    let target = if io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {elapsed} {msg}");
    ProgressBar::with_draw_target(Some(bytes), target).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// Sends items, one bulk request at a time: commands of a file are in order.
struct Sender<'a> {
    agent: ureq::Agent,
    endpoint: String,
    url: &'a str,
    authorization: String,
    path: &'a Path,
    batch: usize,
    atomic: bool,
    bar: ProgressBar,
    summary: &'a mut Summary,
    answered: bool,
}

/// What is read of an answer to a bulk request.
#[derive(Deserialize)]
struct Answer {
    results: Vec<ItemResult>,
}

#[derive(Deserialize)]
struct ItemResult {
    index: usize,
    status: String,
    #[serde(default)]
    replayed: bool,
    #[serde(default)]
    code: String,
    #[serde(default)]
    detail: String,
}

/// What is read of a problem.
#[derive(Default, Deserialize)]
struct Problem {
    #[serde(default)]
    detail: String,
    #[serde(default)]
    errors: Vec<Mistake>,
}

#[derive(Deserialize)]
struct Mistake {
    pointer: String,
    detail: String,
}

/// An answer of the server, or none.
struct Reply {
    status: u16,
    retry_after: Option<Duration>,
    body: Vec<u8>,
}

impl Reply {
    fn problem(&self) -> Problem {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

impl<'a> Sender<'a> {
    fn new(args: &'a LoadArgs, token: &str, path: &'a Path, bar: ProgressBar, summary: &'a mut Summary) -> Self {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .timeout_global(Some(TIME_OUT))
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent("cauri-load")
            .build()
            .into();
        let url = args.url.trim_end_matches('/');
        Self {
            agent,
            endpoint: format!("{url}/v1/bulk?atomic={}", args.atomic),
            url,
            authorization: format!("Bearer {token}"),
            path,
            batch: args.batch,
            atomic: args.atomic,
            bar,
            summary,
            answered: false,
        }
    }

    fn send_all(&mut self, read: impl Iterator<Item = Result<ReadLine, LoadError>>) -> Result<(), LoadError> {
        let mut batch = Vec::with_capacity(self.batch);
        for line in read {
            match line? {
                Ok(items) => {
                    // What one row gives goes in one request, or an atomic one could not keep it together.
                    if !batch.is_empty() && batch.len() + items.len() > self.batch {
                        self.send(std::mem::take(&mut batch))?;
                    }
                    batch.extend(items);
                }
                Err(bad) => self.report(&bad),
            }
        }
        if batch.is_empty() { Ok(()) } else { self.send(batch) }
    }

    fn report(&mut self, bad: &BadLine) {
        self.summary.bad_lines += 1;
        let path = self.path.display();
        self.bar.suspend(|| eprintln!("{path}:{}: {}", bad.line, bad.detail));
    }

    /// Sends one request until it has an outcome.
    fn send(&mut self, mut items: Vec<Item>) -> Result<(), LoadError> {
        let (mut full, mut unknown) = (0, 0);
        while !items.is_empty() {
            let reply = match self.post(&items) {
                Ok(reply) => reply,
                Err(error) => {
                    unknown += 1;
                    // Where nobody ever answered there is no server; where one did, it may come back.
                    if !self.answered && unknown > 2 {
                        return Err(LoadError::NoServer { url: self.url.to_owned(), source: Box::new(error) });
                    }
                    self.wait_twice_as_long(unknown, &error.to_string())?;
                    continue;
                }
            };
            self.answered = true;
            match reply.status {
                200 | 412 | 422 => {
                    let answer: Answer = serde_json::from_slice(&reply.body).map_err(|_| strange(&reply))?;
                    return self.count(&items, answer);
                }
                400 => items = self.without_mistakes(items, &reply)?,
                401 | 403 => return Err(LoadError::NotLetIn { status: reply.status, detail: reply.problem().detail }),
                413 if items.len() > 1 && self.atomic => {
                    // What must be done whole is not sent in halves.
                    let (line, detail) = (items[0].line, reply.problem().detail);
                    return Err(LoadError::TooLargeForOne { line, detail });
                }
                413 if items.len() > 1 => {
                    let second = items.split_off(items.len() / 2);
                    self.send(items)?;
                    items = second;
                }
                413 => {
                    let detail = reply.problem().detail;
                    self.report(&BadLine { line: items.remove(0).line, detail });
                }
                503 => {
                    full += 1;
                    if full > MOST_TIMES_FULL {
                        return Err(LoadError::GaveUp { detail: reply.problem().detail });
                    }
                    std::thread::sleep(reply.retry_after.unwrap_or(Duration::from_secs(1)).min(LONGEST_WAIT));
                }
                500 | 502 | 504 => {
                    unknown += 1;
                    self.wait_twice_as_long(unknown, &reply.problem().detail)?;
                }
                _ => return Err(strange(&reply)),
            }
        }
        Ok(())
    }

    /// The same keys will find out what became of it.
    fn wait_twice_as_long(&self, times: u32, detail: &str) -> Result<(), LoadError> {
        if times > MOST_TIMES_UNKNOWN {
            return Err(LoadError::GaveUp { detail: detail.to_owned() });
        }
        let wait = Duration::from_millis(250) * 2_u32.saturating_pow(times - 1);
        self.bar.suspend(|| eprintln!("cauri load: {detail}; asking again in {wait:?}"));
        std::thread::sleep(wait.min(LONGEST_WAIT));
        Ok(())
    }

    fn post(&self, items: &[Item]) -> Result<Reply, ureq::Error> {
        let mut body = String::with_capacity(items.iter().map(|item| item.text.len() + 1).sum());
        for item in items {
            body.push_str(&item.text);
            body.push('\n');
        }
        let request = self.agent.post(&self.endpoint).header("content-type", "application/x-ndjson");
        let mut response = request.header("authorization", &self.authorization).send(body.as_bytes())?;
        let retry_after =
            response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok()).map(Duration::from_secs);
        let body = response.body_mut().with_config().limit(64 * 1024 * 1024).read_to_vec()?;
        Ok(Reply { status: response.status().as_u16(), retry_after, body })
    }

    fn count(&mut self, items: &[Item], answer: Answer) -> Result<(), LoadError> {
        if answer.results.len() != items.len() {
            let detail = format!("{} results for {} commands", answer.results.len(), items.len());
            return Err(LoadError::Strange { status: 200, detail });
        }
        let summary = &mut *self.summary;
        for result in answer.results {
            let Some(item) = items.get(result.index) else { continue };
            summary.commands += 1;
            summary.replayed += u64::from(result.replayed);
            match &*result.status {
                "accepted" => summary.accepted += 1,
                "refused" => summary.refused.entry(result.code).or_insert((0, item.line, result.detail)).0 += 1,
                _ => summary.not_done += 1,
            }
        }
        self.bar.set_message(format!("{} commands", summary.commands));
        Ok(())
    }

    /// The items without those that the server cannot read: it is of another version than this program.
    fn without_mistakes(&mut self, items: Vec<Item>, reply: &Reply) -> Result<Vec<Item>, LoadError> {
        let mut mistakes: BTreeMap<usize, String> = BTreeMap::new();
        for mistake in reply.problem().errors {
            let index = mistake.pointer.split('/').nth(1).and_then(|index| index.parse().ok());
            let index = index.filter(|index| *index < items.len()).ok_or_else(|| strange(reply))?;
            mistakes.entry(index).or_insert(mistake.detail);
        }
        if mistakes.is_empty() {
            return Err(strange(reply));
        }
        let mut kept = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            match mistakes.remove(&index) {
                Some(detail) => self.report(&BadLine { line: item.line, detail }),
                None => kept.push(item),
            }
        }
        Ok(kept)
    }
}

fn strange(reply: &Reply) -> LoadError {
    let detail = reply.problem().detail;
    let detail = if detail.is_empty() { String::from_utf8_lossy(&reply.body).chars().take(200).collect() } else { detail };
    LoadError::Strange { status: reply.status, detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<ReadLine> {
        lines(text.as_bytes(), "5eed").map(|line| line.expect("it is in memory")).collect()
    }

    #[test]
    fn a_line_gets_a_key_of_the_file_and_its_number_unless_it_has_one() {
        let read = read(
            "\u{feff}{\"op\":\"freeze_account\",\"address\":\"a\" }\r\n\n{\"op\":\"freeze_account\",\"address\":\"b\",\"idempotency_key\":\"k\"}",
        );
        let texts: Vec<(u64, &str)> =
            read.iter().map(|items| items.as_ref().map(|items| (items[0].line, &*items[0].text)).expect("good")).collect();
        assert_eq!(
            texts,
            [
                (1, r#"{"op":"freeze_account","address":"a","idempotency_key":"load-5eed-1"}"#),
                (3, r#"{"op":"freeze_account","address":"b","idempotency_key":"k"}"#),
            ]
        );
    }

    #[test]
    fn a_bad_line_is_named_and_the_others_are_kept() {
        let read = read("{\"op\":\"freeze_account\"}\nnot json\n{\"op\":\"freeze_account\",\"address\":\"a\"}\n");
        assert_eq!(read[0], Err(BadLine { line: 1, detail: "/address: missing field `address`".into() }));
        assert_eq!(read[1].as_ref().map_err(|bad| bad.line), Err(2));
        assert!(read[2].is_ok());
    }

    #[test]
    fn a_line_without_end_is_passed_over() {
        let text = format!("{}\n{{\"op\":\"freeze_account\",\"address\":\"a\"}}", "x".repeat(MOST_LINE_BYTES as usize + 17));
        let read = read(&text);
        assert_eq!(read.len(), 2);
        assert!(read[0].is_err() && read[1].as_ref().is_ok_and(|items| items[0].line == 2));
    }
}
