//! Who read which sensitive field: a line of JSON each, in a file a day in the data directory.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cauri_domain::time::Timestamp;
use cauri_event_store::files::{create_private, create_private_dir, tighten};
use cauri_query_api::Access;
use serde_json::json;

/// Lines that may wait to be written; then whoever reads waits for the file.
const WAITING: usize = 65_536;
/// How long a line may stay in memory while no others come.
const FLUSH: Duration = Duration::from_millis(200);

/// Takes down who read what.
#[derive(Debug)]
pub struct AccessLog {
    lines: SyncSender<String>,
    thread: Option<JoinHandle<()>>,
}

impl AccessLog {
    /// Keeps files in `dir`, which is made.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn open(dir: &Path) -> io::Result<Self> {
        create_private_dir(dir)?;
        tighten(dir);
        let (lines, waiting) = sync_channel(WAITING);
        let days = Days { dir: dir.to_owned(), open: None };
        let thread = std::thread::Builder::new().name("cauri-access".into()).spawn(move || days.run(&waiting))?;
        Ok(Self { lines, thread: Some(thread) })
    }

    /// Takes down one access.
    pub fn record(&self, access: &Access<'_>) {
        let line = json!({
            "at": now().to_string(), "actor": access.actor.as_str(), "field": access.field, "of": access.of.to_string(),
        });
        if self.lines.send(line.to_string()).is_err() {
            tracing::error!(%line, "an access to a sensitive field cannot be recorded in its file");
        }
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        // The thread ends when nobody can send any more.
        self.lines = sync_channel(0).0;
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that records accesses panicked");
        }
    }
}

/// The file of the day.
struct Days {
    dir: PathBuf,
    open: Option<(String, BufWriter<File>)>,
}

impl Days {
    fn run(mut self, waiting: &Receiver<String>) {
        loop {
            let written = match waiting.recv_timeout(FLUSH) {
                Ok(line) => self.write(&line),
                Err(RecvTimeoutError::Timeout) => self.open.as_mut().map_or(Ok(()), |(_, file)| file.flush()),
                Err(RecvTimeoutError::Disconnected) => {
                    let flushed = self.open.as_mut().map_or(Ok(()), |(_, file)| file.flush());
                    if let Err(error) = flushed {
                        tracing::error!(%error, "the last accesses to sensitive fields are not recorded");
                    }
                    return;
                }
            };
            if let Err(error) = written {
                metrics::counter!("cauri_access_log_errors_total").increment(1);
                tracing::error!(%error, "accesses to sensitive fields cannot be recorded");
                self.open = None;
            }
        }
    }

    fn write(&mut self, line: &str) -> io::Result<()> {
        let day: String = now().to_string().chars().take(10).collect();
        if self.open.as_ref().is_none_or(|(open, _)| *open != day) {
            if let Some((_, mut before)) = self.open.take() {
                before.flush()?;
            }
            let path = self.dir.join(format!("{day}.jsonl"));
            create_private(&path)?;
            self.open = Some((day, BufWriter::new(OpenOptions::new().append(true).open(path)?)));
        }
        match &mut self.open {
            Some((_, file)) => writeln!(file, "{line}"),
            None => Ok(()),
        }
    }
}

/// The machine's time: an access is no event of the journal.
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).ok().and_then(Timestamp::from_micros).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_stands_in_the_file_of_the_day_after_the_end() {
        let dir = tempfile::tempdir().expect("a directory");
        let log = AccessLog::open(&dir.path().join("access")).expect("a log");
        let actor = "auditor:awa".parse().expect("an actor");
        for number in 0..3 {
            log.record(&Access { actor: &actor, field: "Account.owner", of: &number });
        }
        drop(log);
        let files: Vec<_> = std::fs::read_dir(dir.path().join("access")).expect("a directory").collect();
        assert!(!files.is_empty());
        let text: String = files.into_iter().map(|file| std::fs::read_to_string(file.expect("a file").path()).expect("text")).collect();
        let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(lines.len(), 3);
        assert_eq!(
            (&lines[2]["actor"], &lines[2]["field"], &lines[2]["of"]),
            (&json!("auditor:awa"), &json!("Account.owner"), &json!("2"))
        );
    }
}
