//! A disk that fills up: derived data makes room for the journal, readiness says so, and all of it ends by itself.
//!
//! The server runs on a file system of a few megabytes in a mount namespace of its own (`unshare`, where it is allowed).

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::finding;

const BULK: usize = 200;

struct Small {
    server: Child,
    url: String,
    token: String,
    /// The small file system, as seen from outside of the namespace.
    mount: PathBuf,
}

impl Small {
    /// `None` where this machine lets nobody mount. Whatever fails after the mount fails the test.
    fn start(dir: &Path, megabytes: u32) -> Option<Self> {
        let script = "mount -t tmpfs -o size=$2m tmpfs \"$1\" || exit 99
            echo mounted
            \"$0\" token --data \"$1/d\" --role admin || exit 98
            exec \"$0\" serve --data \"$1/d\" --listen 127.0.0.1:0 2>&1";
        let mut server = Command::new("unshare")
            .args(["-Urm", "sh", "-c", script, env!("CARGO_BIN_EXE_cauri")])
            .arg(dir)
            .arg(megabytes.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut lines = BufReader::new(server.stdout.take().expect("a pipe")).lines();
        if lines.next().and_then(Result::ok).as_deref() != Some("mounted") {
            let _ = server.kill();
            let _ = server.wait();
            println!("skipped: this machine lets nobody mount a file system of his own (unshare -Urm)");
            return None;
        }
        let token = lines.next().and_then(Result::ok);
        let mut said = Vec::new();
        let address = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let address = line.split("address=").nth(1).and_then(|after| after.split_whitespace().next()).map(str::to_owned);
            said.push(line);
            address
        });
        // Whatever it says from here on is read, so that it is never held up.
        std::thread::spawn(move || lines.for_each(drop));
        let (Some(token), Some(address)) = (token, address) else {
            let _ = server.kill();
            panic!("the server did not start: {:?}\n{}", server.wait(), said.join("\n"));
        };
        let mount = PathBuf::from(format!("/proc/{}/root{}", server.id(), dir.display()));
        Some(Self { server, url: format!("http://{address}"), token, mount })
    }

    fn call(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let agent: ureq::Agent =
            ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(Duration::from_secs(30))).build().into();
        let (url, bearer) = (format!("{}{path}", self.url), format!("Bearer {}", self.token));
        let answer = match body {
            Some(body) => agent.post(url).header("authorization", bearer).send_json(body),
            None => agent.get(url).header("authorization", bearer).call(),
        };
        let mut answer = answer.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        (answer.status().as_u16(), answer.body_mut().read_json().unwrap_or(Value::Null))
    }

    fn bulk(&self, round: usize) -> u16 {
        let commands: Vec<Value> = (0..BULK)
            .map(|number| {
                let filler = format!("{:x}", ((round * BULK + number + 1) as u128).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
                    .repeat(6);
                json!({"op": "post_entry", "idempotency_key": format!("k-{round}-{number}"), "reference": filler,
                    "transfers": [{"debit": "x", "credit": "y", "amount": {"amount": "1", "currency": "XOF"}}]})
            })
            .collect();
        self.call("POST", "/v1/bulk", Some(&json!({ "commands": commands }))).0
    }

    fn ready(&self) -> (u16, Value) {
        self.call("GET", "/readyz", None)
    }

    fn until(&self, what: &str, mut is_so: impl FnMut(u16, &Value) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let (status, body) = self.ready();
            if is_so(status, &body) {
                return;
            }
            assert!(Instant::now() < deadline, "{what}: {status} {body}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn bytes(&self, path: &str) -> u64 {
        let file = self.mount.join(path);
        std::fs::metadata(&file).map_or(0, |found| found.len())
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

#[test]
fn on_a_full_disk_derived_data_makes_room_for_the_journal_and_readiness_recovers_without_traffic() {
    let dir = tempfile::tempdir().expect("a directory");
    let Some(small) = Small::start(dir.path(), 64) else { return };
    for (address, kind) in [("x", "asset"), ("y", "liability")] {
        let body = json!({"address": address, "kind": kind, "currency": "XOF"});
        assert_eq!(small.call("POST", "/v1/accounts", Some(&body)).0, 201);
    }
    // The reserve is eight megabytes; a ballast takes the space down to a little more. One transaction of the read models
    // takes a few megabytes, so that a smaller reserve could be gone before anybody looks.
    let ballast = small.mount.join("ballast");
    std::fs::write(&ballast, vec![7; 50 << 20]).expect("a ballast");
    let mut rounds = 0;
    let (mut was_paused, mut last) = (false, Value::Null);
    while small.bulk(rounds) != 503 {
        rounds += 1;
        assert!(rounds < 2_000, "this disk is never full");
        if rounds % 10 == 0 {
            let (_, body) = small.ready();
            was_paused |= finding(&body, "read_models").contains("read_models_paused") && finding(&body, "engine") == "takes commands";
            last = body;
        }
    }
    assert!(was_paused, "the read models were not paused before the journal had no space left: {last}");
    small.until("the engine names the full disk", |status, body| status == 503 && finding(body, "engine").starts_with("disk_full"));
    let journal = small.bytes("d/journals/ledger/journal.sqlite") + small.bytes("d/journals/ledger/journal.sqlite-wal");
    let groups = ["accounts", "entries", "journal"].map(|group| format!("d/read-models/ledger/{group}.1.sqlite"));
    let derived: u64 = groups.iter().map(|file| small.bytes(file) + small.bytes(&format!("{file}-wal"))).sum();
    for file in &groups {
        assert!(small.bytes(&format!("{file}-wal")) <= 2 << 20, "the log of {file} is not bounded");
    }
    println!("full after {rounds} requests of {BULK}: journal {journal} bytes, read models {derived} bytes");
    std::fs::remove_file(ballast).expect("room");
    // Nobody sends anything: a probe finds the space, and the read models go on and catch up.
    small.until("ready again", |status, _| status == 200);
    assert_eq!(small.bulk(rounds), 200);
}
