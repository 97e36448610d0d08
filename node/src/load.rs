//! `cauri load`: sends a file of commands to a running server, in bulk, so that running it twice changes nothing.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use cauri_command_api::auth::role::Role;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::Failed;
use crate::config::LoadOptions;
use crate::{paysim, token};

/// How often a request is tried again that the server could not take or did not answer.
const TRIES: u32 = 8;
/// Lines that are named; the rest are counted.
const SHOWN: u64 = 20;

/// Sends the file; the exit code is 0 only if every line was a command and every command was answered.
pub fn run(options: &LoadOptions) -> Result<ExitCode, Failed> {
    let key = file_key(&options.file)?;
    let token = match &options.token {
        Some(token) => token.clone(),
        None => token::issue(&options.data.data, "load", Role::Operator, Duration::from_secs(8 * 3_600))?,
    };
    let mut loader = Loader::new(options, &token)?;
    let source = BufReader::new(File::open(&options.file)?);
    if options.paysim {
        let currency = options.currency.parse()?;
        paysim::read(source, currency, &key, &mut |item| loader.take(item))?;
    } else {
        read_lines(source, &key, &mut |item| loader.take(item))?;
    }
    loader.finish()
}

/// One line of the input: a command, or what is wrong with it.
pub enum Item {
    /// A command as `/v1/bulk` takes it, and how many bytes of the file have been read.
    Command {
        /// The command.
        command: Value,
        /// Bytes of the file that were read so far.
        read: u64,
    },
    /// A line that is no command.
    Bad {
        /// Its number, from 1.
        line: u64,
        /// What is wrong, and what would be right.
        reason: String,
    },
}

/// Reads one JSON object a line and gives each a key of its own where it has none.
pub fn read_lines(source: impl BufRead, key: &str, take: &mut dyn FnMut(Item) -> Result<(), Failed>) -> Result<(), Failed> {
    let mut read = 0;
    for (number, line) in (1..).zip(source.split(b'\n')) {
        let line = line?;
        read += line.len() as u64 + 1;
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let item = match serde_json::from_slice::<Value>(&line) {
            Ok(Value::Object(mut command)) => {
                command.entry("idempotency_key").or_insert_with(|| Value::String(format!("load-{key}-{number}")));
                Item::Command { command: Value::Object(command), read }
            }
            Ok(_) => Item::Bad { line: number, reason: "a command is a JSON object such as {\"op\":\"post_entry\", …}".into() },
            Err(error) => Item::Bad { line: number, reason: error.to_string() },
        };
        take(item)?;
    }
    Ok(())
}

/// The first 16 hexadecimal digits of the file's SHA-256: the same content, the same keys.
fn file_key(path: &Path) -> Result<String, Failed> {
    let mut file = File::open(path).map_err(|error| format!("cannot open {}: {error}", path.display()))?;
    let (mut hasher, mut buffer) = (Sha256::new(), vec![0; 1 << 16]);
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            return Ok(hasher.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect());
        }
        hasher.update(&buffer[..count]);
    }
}

/// Gathers commands into requests, sends them, and counts what became of them.
struct Loader<'a> {
    options: &'a LoadOptions,
    agent: ureq::Agent,
    url: String,
    authorization: String,
    bar: ProgressBar,
    waiting: Vec<Value>,
    sent: u64,
    bad: u64,
    accepted: u64,
    replayed: u64,
    not_applied: u64,
    refused: BTreeMap<String, u64>,
    begun: Instant,
}

impl<'a> Loader<'a> {
    fn new(options: &'a LoadOptions, token: &str) -> Result<Self, Failed> {
        let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(Duration::from_secs(60))).build();
        let bar = ProgressBar::new(std::fs::metadata(&options.file)?.len());
        bar.set_style(ProgressStyle::with_template("{wide_bar} {bytes}/{total_bytes} {msg}, {eta} left")?);
        Ok(Self {
            options,
            agent: config.into(),
            url: format!("{}/v1/bulk?atomic={}", options.url.trim_end_matches('/'), options.atomic),
            authorization: format!("Bearer {token}"),
            bar,
            waiting: Vec::new(),
            sent: 0,
            bad: 0,
            accepted: 0,
            replayed: 0,
            not_applied: 0,
            refused: BTreeMap::new(),
            begun: Instant::now(),
        })
    }

    fn take(&mut self, item: Item) -> Result<(), Failed> {
        match item {
            Item::Command { command, read } => {
                self.bar.set_position(read);
                self.waiting.push(command);
                if self.waiting.len() >= usize::from(self.options.batch) {
                    self.send()?;
                }
            }
            Item::Bad { line, reason } => {
                self.bad += 1;
                if self.bad <= SHOWN {
                    self.bar.suspend(|| eprintln!("{}:{line}: {reason}", self.options.file.display()));
                }
            }
        }
        Ok(())
    }

    /// Sends what waits. A request of which one command is malformed is refused whole, so it is sent in halves
    /// until the malformed ones are alone.
    fn send(&mut self) -> Result<(), Failed> {
        let commands = std::mem::take(&mut self.waiting);
        self.send_these(commands)?;
        self.bar.set_message(format!("{} commands", self.sent));
        Ok(())
    }

    fn send_these(&mut self, mut commands: Vec<Value>) -> Result<(), Failed> {
        if commands.is_empty() {
            return Ok(());
        }
        let (status, answer) = self.request(&commands)?;
        match status {
            200 | 422 if answer["results"].is_array() => self.count(&answer),
            // A problem of the whole request that is the fault of one command.
            400 | 422 if commands.len() > 1 && !self.options.atomic => {
                let second = commands.split_off(commands.len() / 2);
                self.send_these(commands)?;
                self.send_these(second)?;
            }
            400 | 422 => {
                self.bad += commands.len() as u64;
                if self.bad <= SHOWN {
                    let key = commands[0]["idempotency_key"].as_str().unwrap_or_default().to_owned();
                    self.bar.suspend(|| eprintln!("{} ({key}): {}", self.options.file.display(), problem(&answer)));
                }
            }
            _ => return Err(format!("the server answered {status}: {}", problem(&answer)).into()),
        }
        Ok(())
    }

    fn request(&self, commands: &[Value]) -> Result<(u16, Value), Failed> {
        let mut wait = Duration::from_millis(200);
        for tried in 1.. {
            let answer = self.agent.post(&self.url).header("Authorization", &self.authorization).send_json(commands);
            let reason = match answer {
                Ok(mut answer) => {
                    let status = answer.status().as_u16();
                    let after = answer.headers().get("retry-after").and_then(|after| after.to_str().ok()?.parse().ok());
                    let body = answer.body_mut().with_config().limit(64 << 20).read_to_vec()?;
                    let body = serde_json::from_slice(&body).unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&body).into_owned()));
                    if !matches!(status, 502..=504) {
                        return Ok((status, body));
                    }
                    wait = after.map_or(wait, Duration::from_secs);
                    format!("the server answered {status}: {}", problem(&body))
                }
                Err(error) => format!("no server answers at {}: {error}", self.options.url),
            };
            // The keys stay the same, so a request that was carried out after all is not carried out twice.
            if tried >= TRIES || self.sent == 0 && reason.starts_with("no server") {
                return Err(reason.into());
            }
            std::thread::sleep(wait);
            wait = (wait * 2).min(Duration::from_secs(10));
        }
        Err("no answer".into())
    }

    fn count(&mut self, answer: &Value) {
        for result in answer["results"].as_array().into_iter().flatten() {
            self.sent += 1;
            self.replayed += u64::from(result["replayed"] == true);
            match result["status"].as_str().unwrap_or_default() {
                "accepted" => self.accepted += 1,
                "refused" => {
                    *self.refused.entry(result["code"].as_str().unwrap_or("refused").to_owned()).or_default() += 1;
                }
                _ => self.not_applied += 1,
            }
        }
    }

    fn finish(mut self) -> Result<ExitCode, Failed> {
        self.send()?;
        self.bar.finish_and_clear();
        let took = self.begun.elapsed().as_secs_f64();
        println!("{} commands in {took:.1} s, {:.0} a second", self.sent, self.sent as f64 / took);
        println!("  accepted {:>10}", self.accepted);
        for (code, count) in &self.refused {
            println!("  refused  {count:>10}  {code}");
        }
        if self.not_applied > 0 {
            println!("  not done {:>10}  because another command of the same request was refused", self.not_applied);
        }
        if self.replayed > 0 {
            println!("  of these {:>10}  were sent before, and answered as then", self.replayed);
        }
        if self.bad > 0 {
            println!("  bad      {:>10}  lines that are no command; the first {SHOWN} are named above", self.bad);
            return Ok(ExitCode::FAILURE);
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What a problem document says, in a line.
fn problem(answer: &Value) -> String {
    let detail = answer["detail"].as_str().or_else(|| answer["title"].as_str());
    let first = &answer["errors"][0];
    match (detail, first["detail"].as_str()) {
        (_, Some(error)) => format!("{error} at {}", first["pointer"].as_str().unwrap_or("the command")),
        (Some(detail), None) => detail.to_owned(),
        (None, None) => answer.to_string(),
    }
}
