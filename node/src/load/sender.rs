//! Sends items, one bulk request at a time: the commands of a file are in order.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use cauri_http::problem::kind;
use cauri_import::finding::BadLine;
use cauri_import::refused::{NOT_APPLIED, Refused, RefusedFile};
use cauri_import::row::Item;
use indicatif::ProgressBar;
use serde::Deserialize;

use super::{LoadError, Summary};
use crate::config::LoadArgs;

/// One request. A server may take its `--request-timeout` three times: until the body has arrived, until a large request has
/// its turn, and until its commands are durable or it says that it does not know. This is more than three times the default.
/// With a longer one the same keys are sent again, which does nothing twice.
const TIME_OUT: Duration = Duration::from_secs(120);
/// How long one request is repeated to a server that takes nothing at the moment.
const LONGEST_REFUSAL: Duration = Duration::from_secs(300);
/// Until such a request is repeated, unless the server says when.
const WAIT: Duration = Duration::from_secs(1);
/// Sooner than this nothing is sent again, whatever `Retry-After` says.
const SHORTEST_WAIT: Duration = Duration::from_millis(100);
/// How often somebody who waits looks whether to stop.
const LOOK: Duration = Duration::from_millis(100);
/// How often a request without a known outcome is sent again, each time after twice as long.
const MOST_TIMES_UNKNOWN: u32 = 8;
/// Longer than this nobody is waited for, whatever `Retry-After` says.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// How often a person who has no progress bar is shown how far it is, and anybody that the server still takes nothing.
const BETWEEN_REPORTS: Duration = Duration::from_secs(10);
/// The largest answer that is read.
const MOST_ANSWER_BYTES: u64 = 64 * 1024 * 1024;

/// Sends items and counts what became of them.
pub struct Sender<'a> {
    agent: ureq::Agent,
    url: &'a str,
    authorization: String,
    path: &'a Path,
    batch: usize,
    atomic: bool,
    skip_bad: bool,
    retry: bool,
    stop: &'a AtomicBool,
    bar: ProgressBar,
    reported: Instant,
    refused: &'a mut RefusedFile,
    summary: &'a mut Summary,
    answered: bool,
    longest_refusal: Duration,
    /// Why the server took nothing, and when that was last shown.
    shown: Option<(String, Instant)>,
}

/// What is read of an answer to a bulk request.
#[derive(Deserialize)]
struct Answer {
    results: Vec<ItemResult>,
}

#[derive(Clone, Deserialize)]
struct ItemResult {
    index: usize,
    status: String,
    #[serde(default)]
    replayed: bool,
    #[serde(default)]
    code: String,
    #[serde(default)]
    detail: String,
    /// Where the outcome is recorded; a refusal without it is not remembered.
    #[serde(default)]
    journal_position: Option<u64>,
}

impl ItemResult {
    fn is_refused(&self) -> bool {
        self.status == "refused"
    }

    fn is_remembered(&self) -> bool {
        self.journal_position.is_some()
    }
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

/// What a sender needs besides the options.
pub struct Sending<'a> {
    /// The bearer token.
    pub token: &'a str,
    /// The file, for messages.
    pub path: &'a Path,
    /// Somebody has asked to stop.
    pub stop: &'a AtomicBool,
    /// Shows how far it is.
    pub bar: ProgressBar,
    /// Takes what is refused.
    pub refused: &'a mut RefusedFile,
    /// Takes the figures.
    pub summary: &'a mut Summary,
}

impl<'a> Sender<'a> {
    /// A sender to the server of `args`.
    pub fn new(args: &'a LoadArgs, sending: Sending<'a>) -> Self {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .timeout_global(Some(TIME_OUT))
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent("cauri-load")
            .build()
            .into();
        let Sending { token, path, stop, bar, refused, summary } = sending;
        Self {
            agent,
            url: args.url.trim_end_matches('/'),
            authorization: format!("Bearer {token}"),
            path,
            batch: args.batch,
            atomic: args.atomic,
            skip_bad: args.skip_bad,
            retry: args.retry_refused,
            stop,
            bar,
            reported: Instant::now(),
            refused,
            summary,
            answered: false,
            longest_refusal: LONGEST_REFUSAL,
            shown: None,
        }
    }

    /// Sends groups of items; a group goes in one request.
    ///
    /// # Errors
    /// When loading stops before the end.
    pub fn send_all(&mut self, groups: impl Iterator<Item = Result<Vec<Item>, LoadError>>) -> Result<(), LoadError> {
        let mut batch: Vec<Item> = Vec::with_capacity(self.batch);
        for group in groups {
            let group = group?;
            if !self.retry {
                group.iter().for_each(|item| self.refused.named(item));
            }
            let (Some(last), Some(next)) = (batch.last(), group.first()) else {
                batch.extend(group);
                continue;
            };
            // One request has one scope, and what is done together is done in a request of its own.
            let belong = last.source == next.source && last.together == next.together;
            let has_room = batch.len() + group.len() <= self.batch || next.together.is_some();
            if !(belong && has_room) {
                self.send(std::mem::take(&mut batch))?;
            }
            batch.extend(group);
        }
        if batch.is_empty() { Ok(()) } else { self.send(batch) }
    }

    /// Sends one request until it has an outcome.
    fn send(&mut self, mut items: Vec<Item>) -> Result<(), LoadError> {
        let (mut refused_since, mut unknown) = (None, 0);
        while !items.is_empty() {
            if self.stop.load(Ordering::Relaxed) {
                return Err(LoadError::Interrupted { line: self.summary.last_line });
            }
            let atomic = self.atomic || items[0].together.is_some();
            let reply = match self.post(&items, atomic) {
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
                    items = self.settle(items, answer, atomic)?;
                    refused_since = None;
                }
                400 => items = self.without_mistakes(items, &reply)?,
                401 | 403 => return Err(LoadError::NotLetIn { status: reply.status, detail: reply.problem().detail }),
                413 if items.len() > 1 && atomic => {
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
                    self.mistake(BadLine { line: items.remove(0).line, detail })?;
                }
                408 | 429 | 503 => {
                    let since = *refused_since.get_or_insert_with(Instant::now);
                    self.wait_for_room(since, &reply)?;
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
            return Err(self.gave_up(detail));
        }
        let wait = (Duration::from_millis(250) * 2_u32.saturating_pow(times - 1)).min(LONGEST_WAIT);
        self.bar.suspend(|| eprintln!("cauri load: {detail}; asking again in {wait:?}"));
        self.pause(wait);
        Ok(())
    }

    /// Nothing was done: the server is full, the subject has too many requests, the body came too slowly, or the server
    /// decides no commands.
    fn wait_for_room(&mut self, since: Instant, reply: &Reply) -> Result<(), LoadError> {
        let detail = match reply.problem().detail {
            detail if detail.is_empty() => format!("the server answered {}", reply.status),
            detail => detail,
        };
        let wait = reply.retry_after.unwrap_or(WAIT).clamp(SHORTEST_WAIT, LONGEST_WAIT);
        if since.elapsed() + wait > self.longest_refusal {
            return Err(self.gave_up(&detail));
        }
        let is_known = |(shown, at): &(String, Instant)| *shown == detail && at.elapsed() < BETWEEN_REPORTS;
        if !self.shown.as_ref().is_some_and(is_known) {
            self.bar.suspend(|| eprintln!("cauri load: {detail}; asking again until it is taken"));
            self.shown = Some((detail, Instant::now()));
        }
        self.pause(wait);
        Ok(())
    }

    /// Sleeps, unless somebody asks to stop.
    fn pause(&self, wait: Duration) {
        let until = Instant::now() + wait;
        while let Some(rest) = until.checked_duration_since(Instant::now()).filter(|rest| !rest.is_zero()) {
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            std::thread::sleep(rest.min(LOOK));
        }
    }

    fn gave_up(&self, detail: &str) -> LoadError {
        LoadError::GaveUp { detail: detail.to_owned(), line: self.summary.last_line }
    }

    fn post(&self, items: &[Item], atomic: bool) -> Result<Reply, ureq::Error> {
        let mut body = String::with_capacity(items.iter().map(|item| item.command.len() + 100).sum());
        for item in items {
            body.push_str(&item.text());
            body.push('\n');
        }
        let url = format!("{}/v1/bulk?atomic={atomic}", self.url);
        let mut request = self.agent.post(&url).header("content-type", "application/x-ndjson");
        if let Some(source) = items.first().and_then(|item| item.source.as_ref()) {
            request = request.header("cauri-import", source.as_str());
        }
        let mut response = request.header("authorization", &self.authorization).send(body.as_bytes())?;
        let retry_after =
            response.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok()).map(Duration::from_secs);
        let body = response.body_mut().with_config().limit(MOST_ANSWER_BYTES).read_to_vec()?;
        Ok(Reply { status: response.status().as_u16(), retry_after, body })
    }

    /// Counts what has an outcome; gives back what is to be sent once more.
    fn settle(&mut self, items: Vec<Item>, answer: Answer, atomic: bool) -> Result<Vec<Item>, LoadError> {
        let mut results: Vec<Option<ItemResult>> = vec![None; items.len()];
        for result in answer.results {
            if let Some(place) = results.get_mut(result.index) {
                *place = Some(result);
            }
        }
        let mut known: Vec<ItemResult> = results.into_iter().flatten().collect();
        if known.len() != items.len() {
            let detail = format!("{} results for {} commands", known.len(), items.len());
            return Err(LoadError::Strange { status: 200, detail });
        }
        for result in &mut known {
            // A rule of the server failed over it, and nothing of it was done: kept, to be sent again once that is corrected.
            if result.status == "failed" {
                (result.status, result.code) = ("refused".to_owned(), kind::RULE_FAILED.code.to_owned());
            }
        }
        // An attempt that was refused in an earlier load is over; the next one is what is asked for now.
        let over = |result: &ItemResult| self.retry && result.is_refused() && result.replayed && result.is_remembered();
        let any_over = known.iter().any(over);
        // With a refusal the others of an atomic request are kept as well: only together can they be done.
        let any_refused = known.iter().any(ItemResult::is_refused);
        let together = items.first().filter(|_| atomic && any_refused).map(|item| item.key.clone());
        let mut again = Vec::new();
        for (mut item, result) in items.into_iter().zip(known) {
            let over = over(&result);
            if over {
                item.attempt = item.attempt.saturating_add(1);
            }
            if over || (atomic && any_over) {
                again.push(item);
                continue;
            }
            let summary = &mut *self.summary;
            summary.commands += 1;
            summary.last_line = summary.last_line.max(item.line);
            match &*result.status {
                "accepted" => {
                    summary.accepted += 1;
                    if result.replayed {
                        summary.replayed += 1;
                        summary.replayed_lines.add(item.line);
                    } else {
                        summary.new += 1;
                    }
                    self.refused.accepted(&item);
                    continue;
                }
                "refused" => {
                    let under = summary.refused.entry(result.code.clone()).or_default();
                    if under.count == 0 {
                        (under.line, under.detail) = (item.line, result.detail.clone());
                    }
                    under.count += 1;
                    summary.new += u64::from(!result.replayed && result.journal_position.is_some());
                    under.replayed += u64::from(result.replayed);
                }
                _ => {
                    summary.not_done += 1;
                    if together.is_none() {
                        continue;
                    }
                }
            }
            item.together = together.clone().or(item.together);
            let remembered = result.is_refused() && result.is_remembered();
            let (code, detail) = match result.status.as_str() {
                "refused" => (result.code, result.detail),
                _ => (NOT_APPLIED.to_owned(), "another command of the same atomic request was refused".to_owned()),
            };
            let refused = Refused::of(&item, code, detail, remembered)
                .map_err(|error| LoadError::Strange { status: 200, detail: error.to_string() })?;
            self.refused.add(refused)?;
        }
        self.show();
        Ok(again)
    }

    fn show(&mut self) {
        self.bar.set_message(format!("{} commands", self.summary.commands));
        if self.bar.is_hidden() && self.reported.elapsed() >= BETWEEN_REPORTS {
            self.reported = Instant::now();
            eprintln!("cauri load: {} commands answered, up to line {}", self.summary.commands, self.summary.last_line);
        }
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
                Some(detail) => self.mistake(BadLine { line: item.line, detail })?,
                None => kept.push(item),
            }
        }
        Ok(kept)
    }

    /// A line that only the server finds bad.
    fn mistake(&mut self, bad: BadLine) -> Result<(), LoadError> {
        if !self.skip_bad {
            return Err(LoadError::NotUnderstood { line: bad.line, detail: bad.detail, answered: self.summary.last_line });
        }
        self.summary.bad_lines += 1;
        let path = self.path.display();
        self.bar.suspend(|| eprintln!("{path}:{}: {}", bad.line, bad.detail));
        Ok(())
    }
}

fn strange(reply: &Reply) -> LoadError {
    let detail = reply.problem().detail;
    let detail = if detail.is_empty() { String::from_utf8_lossy(&reply.body).chars().take(200).collect() } else { detail };
    LoadError::Strange { status: reply.status, detail }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;
    use std::sync::Arc;
    use std::thread::JoinHandle;

    use cauri_import::source::SourceName;
    use clap::Parser as _;

    use super::*;
    use crate::config::{Cli, Command};

    const ACCEPTED: &str = r#"{"results":[{"index":0,"status":"accepted","journal_position":1}]}"#;

    /// A server that gives these answers one after another, the last for ever, and then says how many it gave.
    fn server(answers: &'static [(u16, &'static str, &'static str)], stop: Arc<AtomicBool>) -> (String, JoinHandle<usize>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let thread = std::thread::spawn(move || {
            let mut given = 0;
            loop {
                let (mut stream, _) = listener.accept().expect("a request");
                if stop.load(Ordering::Relaxed) {
                    return given;
                }
                let mut request = Vec::new();
                while !request.ends_with(b"}\n") {
                    let mut bytes = [0; 4096];
                    let count = stream.read(&mut bytes).expect("a request");
                    assert_ne!(count, 0, "{}", String::from_utf8_lossy(&request));
                    request.extend_from_slice(&bytes[..count]);
                }
                let (status, headers, body) = answers[given.min(answers.len() - 1)];
                given += 1;
                let head = format!("HTTP/1.1 {status} x\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n", body.len());
                stream.write_all(format!("{head}{body}").as_bytes()).expect("answered");
            }
        });
        (url, thread)
    }

    /// Sends one command; says what came of it, how many answers were given and how long it took.
    fn sent(answers: &'static [(u16, &'static str, &'static str)], longest: Duration) -> (Result<(), LoadError>, Summary, usize, Duration) {
        let ended = Arc::new(AtomicBool::new(false));
        let (url, server) = server(answers, Arc::clone(&ended));
        let directory = tempfile::tempdir().expect("a directory");
        let Command::Load(args) = Cli::parse_from(["cauri", "load", "--url", &url, "file"]).command else { panic!("not `load`") };
        let mut refused = RefusedFile::begin(&directory.path().join("refused")).expect("begun");
        let (stop, mut summary) = (AtomicBool::new(false), Summary::default());
        let path = Path::new("file");
        let sending = Sending { token: "t", path, stop: &stop, bar: ProgressBar::hidden(), refused: &mut refused, summary: &mut summary };
        let mut sender = Sender::new(&args, sending);
        sender.longest_refusal = longest;
        let item = Item {
            line: 1,
            source: Some(SourceName::unnamed()),
            key: "k".parse().expect("a key"),
            attempt: 0,
            together: None,
            command: r#"{"op":"freeze_account","address":"a"}"#.into(),
        };
        let began = Instant::now();
        let done = sender.send_all(std::iter::once(Ok(vec![item])));
        let took = began.elapsed();
        ended.store(true, Ordering::Relaxed);
        drop(std::net::TcpStream::connect(url.trim_start_matches("http://")).expect("connected"));
        (done, summary, server.join().expect("it ended"), took)
    }

    #[test]
    fn a_server_that_takes_nothing_at_the_moment_is_asked_again() {
        const ANSWERS: &[(u16, &str, &str)] = &[
            (503, "retry-after: 0\r\n", r#"{"detail":"full"}"#),
            (429, "retry-after: 1\r\n", r#"{"detail":"too many"}"#),
            (408, "retry-after: 0\r\n", ""),
            (200, "", ACCEPTED),
        ];
        let (done, summary, answers, took) = sent(ANSWERS, Duration::from_secs(60));
        done.expect("it was taken in the end");
        assert_eq!((summary.accepted, answers), (1, 4));
        assert!(took >= Duration::from_secs(1) + 2 * SHORTEST_WAIT, "`Retry-After` is not heeded: {took:?}");
    }

    #[test]
    fn a_server_that_takes_nothing_for_too_long_is_given_up_whatever_its_retry_after() {
        for answers in [
            &[(503, "retry-after: 0\r\n", r#"{"detail":"the clock leapt"}"#)][..],
            &[(503, "retry-after: 86400\r\n", r#"{"detail":"the clock leapt"}"#)],
        ] {
            let (done, _, given, took) = sent(answers, Duration::from_secs(1));
            let error = done.expect_err("it takes nothing");
            assert!(matches!(&error, LoadError::GaveUp { detail, .. } if detail == "the clock leapt"), "{error}");
            assert!((1..=11).contains(&given) && took < Duration::from_secs(10), "{given} answers in {took:?}");
        }
    }

    #[test]
    fn what_a_rule_of_the_server_failed_over_is_kept_to_be_sent_again() {
        const FAILED: &str = r#"{"results":[{"index":0,"status":"failed","detail":"a rule failed over this command"}]}"#;
        let (done, summary, answers, _) = sent(&[(200, "", FAILED)], Duration::from_secs(60));
        done.expect("the load goes on");
        assert_eq!((summary.not_done, summary.new, answers), (0, 0, 1));
        let under = &summary.refused["rule_failed"];
        assert_eq!((under.count, under.replayed, under.line, under.detail.as_str()), (1, 0, 1, "a rule failed over this command"));
    }

    #[test]
    fn a_request_may_take_as_long_as_the_server_may() {
        let Command::Serve(args) = Cli::parse_from(["cauri", "serve"]).command else { panic!("not `serve`") };
        assert!(TIME_OUT > 3 * args.http.request_timeout, "{:?}", args.http.request_timeout);
    }
}
