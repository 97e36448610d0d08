//! The real binary, started on a port of its own, and what a caller does with it.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// A running `cauri serve`.
pub struct Server {
    child: Child,
    base: String,
    data: PathBuf,
    token: String,
    agent: ureq::Agent,
}

/// An answer of the server: status, headers that matter, body.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Whether the server says that it answered before.
    pub replayed: bool,
    /// In how many seconds the server says to try again.
    pub retry_after: Option<u64>,
    /// The body, as JSON where it is JSON.
    pub body: Value,
}

/// The binary of this name, built by `cargo xtask test` before the tests run.
pub fn binary(name: &str) -> PathBuf {
    let exe = std::env::current_exe().expect("this test's path");
    let directory = exe.ancestors().nth(2).expect("target/PROFILE");
    let binary = directory.join(name);
    assert!(binary.exists(), "{} is not built; run `cargo xtask test`, or build cauri-node and cauri-replay-tools first", binary.display());
    binary
}

/// Runs one of the binaries to its end.
pub fn run(name: &str, arguments: &[&str]) -> Output {
    Command::new(binary(name)).args(arguments).stdin(Stdio::null()).output().expect("it runs")
}

/// `cauri-replay verify`: its standard output; panics where the journal is not well.
pub fn verify(data: &Path) -> String {
    let output = run("cauri-replay", &["verify", "--data", path(data)]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// A path as an argument.
pub fn path(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

impl Server {
    /// Starts the server on a data directory and waits until it is ready.
    pub fn start(data: &Path) -> Self {
        Self::start_with(data, &[], &[])
    }

    /// Starts the server with these options and this environment, and waits until it is ready.
    pub fn start_with(data: &Path, options: &[&str], environment: &[(&str, String)]) -> Self {
        Self::spawn(data, options, environment).up(200)
    }

    /// Starts a server that does not become ready, and waits until it says so.
    pub fn start_unready(data: &Path, options: &[&str], environment: &[(&str, String)]) -> Self {
        Self::spawn(data, options, environment).up(503)
    }

    /// Waits until `/readyz` has this status, and gets a token.
    fn up(mut self, status: u16) -> Self {
        let server = &mut self;
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(status) = server.child.try_wait().expect("a child") {
                panic!("the server ended with {status}; CAURI_TEST_LOG=1 shows its log");
            }
            let ready = server.agent.get(format!("{}/readyz", server.base)).call().is_ok_and(|answer| answer.status() == status);
            if ready {
                break;
            }
            assert!(Instant::now() < deadline, "`/readyz` does not answer {status} after a minute");
            std::thread::sleep(Duration::from_millis(20));
        }
        server.token = server.token_of("developer", "operator");
        self
    }

    /// A token of its development issuer. It outlives every clock of a test.
    pub fn token_of(&self, subject: &str, role: &str) -> String {
        let output = run("cauri", &["token", "--subject", subject, "--role", role, "--ttl", "3650d", "--data", path(&self.data)]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn spawn(data: &Path, options: &[&str], environment: &[(&str, String)]) -> Self {
        // The port is free now; that another process takes it in the next moment has not been seen.
        let port = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
        let mut child = Command::new(binary("cauri"))
            .args(["serve", "--data", path(data), "--listen", &format!("127.0.0.1:{port}")])
            .args(options)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server starts");
        // Its log must not fill the pipe; the end is kept for a failing test.
        let stderr = child.stderr.take().expect("piped");
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if std::env::var_os("CAURI_TEST_LOG").is_some() {
                    eprintln!("server: {line}");
                }
            }
        });
        let config = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(Duration::from_secs(30))).build();
        Self { child, base: format!("http://127.0.0.1:{port}"), data: data.to_owned(), token: String::new(), agent: config.into() }
    }

    /// The address before the path.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Host and port.
    pub fn authority(&self) -> &str {
        self.base.trim_start_matches("http://")
    }

    /// A token of the role operator.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The process's id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The data directory.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Posts JSON with an idempotency key; `None` where the connection broke.
    pub fn try_post(&self, path: &str, key: Option<&str>, body: &Value) -> Option<Answer> {
        self.try_post_as(&self.token, path, key, body)
    }

    fn try_post_as(&self, token: &str, path: &str, key: Option<&str>, body: &Value) -> Option<Answer> {
        let mut request = self.agent.post(format!("{}{path}", self.base)).header("Authorization", format!("Bearer {token}"));
        if let Some(key) = key {
            request = request.header("Idempotency-Key", key);
        }
        Self::read(request.send_json(body).ok()?)
    }

    fn read(mut answer: ureq::http::Response<ureq::Body>) -> Option<Answer> {
        let replayed = answer.headers().get("idempotency-replayed").is_some_and(|value| value == "true");
        let retry_after = answer.headers().get("retry-after").and_then(|value| value.to_str().ok()?.parse().ok());
        let status = answer.status().as_u16();
        let text = answer.body_mut().read_to_string().ok()?;
        Some(Answer { status, replayed, retry_after, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) })
    }

    /// Posts JSON with an idempotency key.
    pub fn post(&self, path: &str, key: Option<&str>, body: &Value) -> Answer {
        self.try_post(path, key, body).expect("an answer")
    }

    /// Posts JSON with another token than the operator's.
    pub fn post_as(&self, token: &str, path: &str, key: Option<&str>, body: &Value) -> Answer {
        self.try_post_as(token, path, key, body).expect("an answer")
    }

    /// Gets a page with the operator's token.
    pub fn get(&self, path: &str) -> Answer {
        let request = self.agent.get(format!("{}{path}", self.base)).header("authorization", format!("Bearer {}", self.token));
        request.call().ok().and_then(Self::read).expect("an answer")
    }

    /// Opens an account; panics where it is not accepted.
    pub fn open(&self, address: &str, kind: &str, limits: Value) {
        let answer = self.post("/v1/accounts", None, &json!({ "address": address, "kind": kind, "currency": "XOF", "limits": limits }));
        assert_eq!(answer.status, 201, "{:?}", answer.body);
    }

    /// Asks a query at least as of `position`; panics where it has errors.
    pub fn query(&self, query: &str, position: Option<&str>) -> Value {
        let mut request = self.agent.post(format!("{}/graphql", self.base)).header("Authorization", format!("Bearer {}", self.token));
        if let Some(position) = position {
            request = request.header("Cauri-Min-Position", position);
        }
        let mut answer = request.send_json(json!({ "query": query })).expect("an answer");
        let body: Value = answer.body_mut().read_json().expect("JSON");
        assert!(body.get("errors").is_none(), "{body}");
        body["data"].clone()
    }

    /// Posted and available balance of an account, as whole francs.
    pub fn balance(&self, account: &str, position: &str) -> (i64, i64) {
        let query = format!(r#"{{ balance(account: "{account}") {{ posted {{ amount }} available {{ amount }} }} }}"#);
        let data = self.query(&query, Some(position));
        let francs = |field: &str| {
            let amount = data["balance"][field]["amount"].as_str().unwrap_or_else(|| panic!("{data}"));
            amount.parse().unwrap_or_else(|_| panic!("{amount}"))
        };
        (francs("posted"), francs("available"))
    }

    /// Kills the process as a power cut would: no destructor runs.
    pub fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
    }

    /// Asks the process to stop, and waits until it has.
    pub fn terminate(mut self) -> std::process::ExitStatus {
        let asked = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().expect("kill runs");
        assert!(asked.success());
        self.child.wait().expect("ended")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Where a test failed half-way the process must not stay behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
