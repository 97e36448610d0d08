//! A server whose wall clock leaps: nothing of it stays.

use cauri_tests::faked_clock::FakedClock;
use cauri_tests::server::{Answer, Server, path, run, verify};
use serde_json::{Value, json};

fn transfer(debit: &str, credit: &str, amount: u32) -> Value {
    json!([{ "debit": debit, "credit": credit, "amount": { "amount": amount.to_string(), "currency": "XOF" } }])
}

fn pay(server: &Server, key: &str) -> Answer {
    server.post("/v1/entries", Some(key), &json!({ "transfers": transfer("bank", "awa", 100) }))
}

/// Whether an answer was recorded at the right time, not by a clock that was ahead.
fn is_of_now(answer: &Answer) -> bool {
    // Instants in UTC are ordered as their texts are.
    answer.body["recorded_at"].as_str().is_some_and(|recorded_at| recorded_at < in_seconds(3_600).as_str())
}

/// What the machine's clock reads, this many seconds from now.
fn in_seconds(seconds: u64) -> String {
    let output =
        std::process::Command::new("date").args(["-u", "-d", &format!("+{seconds} seconds"), "+%FT%TZ"]).output().expect("date runs");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn check<'a>(readiness: &'a Value, name: &str) -> (&'a Value, &'a str, &'a Value) {
    let check = &readiness["checks"][name];
    (&check["ok"], check["detail"].as_str().unwrap_or_default(), &check["reason"])
}

#[test]
fn a_clock_that_is_a_year_ahead_decides_nothing_and_leaves_nothing_behind() {
    let data = tempfile::tempdir().expect("a directory");
    let clock = FakedClock::right();
    let mut server = Server::start_with(data.path(), &[], &clock.environment());
    server.open("bank", "asset", json!({}));
    server.open("awa", "liability", json!({ "floor": "0" }));
    let done = pay(&server, "done");
    assert_eq!(done.status, 201, "{:?}", done.body);
    assert!(is_of_now(&done), "{done:?}");
    let hold = server.post(
        "/v1/entries",
        Some("hold"),
        &json!({ "transfers": transfer("bank", "awa", 1), "hold": { "expires_at": in_seconds(180 * 86_400) } }),
    );
    let hold = hold.body["id"].as_str().expect("an id").to_owned();

    for (when, paid) in [("while it runs", 100), ("when it starts", 200)] {
        let key = |what: &str| format!("{what}-{when}").replace(' ', "-");
        clock.days_ahead(365);
        if when == "when it starts" {
            server.kill();
            server = Server::start_unready(data.path(), &[], &clock.environment());
        }
        let ahead = pay(&server, &key("ahead"));
        assert_eq!((ahead.status, &ahead.body["code"]), (503, &json!("clock_gap")), "{when}: {:?}", ahead.body);
        assert!(ahead.retry_after.is_some(), "{when}: {ahead:?}");
        let again = pay(&server, "done");
        assert_eq!((again.status, again.replayed, &again.body["journal_position"]), (201, true, &done.body["journal_position"]), "{when}");
        assert_eq!(server.get("/healthz").status, 200, "{when}");
        let position = again.body["position"].as_str().expect("a position");
        assert_eq!(server.balance("awa", position).0, paid, "{when}: queries are answered");
        let ready = server.get("/readyz");
        let (ok, _, reason) = check(&ready.body, "clock");
        assert!(ready.status == 503 && ok == false && reason == "clock_gap", "{when}: {ready:?}");
        let metrics = server.get("/metrics").body;
        let gap =
            metrics.as_str().and_then(|text| text.lines().find(|line| line.starts_with("cauri_clock_gap_seconds"))).map(str::to_owned);
        let seconds: f64 = gap.as_deref().and_then(|line| line.rsplit(' ').next()).and_then(|figure| figure.parse().ok()).expect("a gauge");
        assert!((seconds - 365.0 * 86_400.0).abs() < 3_600.0, "{when}: {gap:?}");

        clock.days_ahead(0);
        let right = pay(&server, &key("ahead"));
        assert!(right.status == 201 && is_of_now(&right), "{when}: {right:?}");
        let far = json!({ "transfers": transfer("bank", "awa", 1), "effective_at": in_seconds(300 * 86_400) });
        assert_eq!(server.post("/v1/entries", Some(&key("far")), &far).status, 422, "{when}");
        let hour = json!({ "transfers": transfer("bank", "awa", 1), "hold": { "expires_at": in_seconds(3_600) } });
        assert_eq!(server.post("/v1/entries", Some(&key("hour")), &hour).status, 201, "{when}");
        assert_eq!(server.get("/readyz").status, 200, "{when}");
    }
    assert_eq!(server.post(&format!("/v1/entries/{hold}/post"), Some("hold-post"), &json!({})).status, 200);
    assert!(server.terminate().success());
    verify(data.path());
}

#[test]
fn an_admin_accepts_a_clock_that_is_right_and_the_journal_that_was_ahead_is_warned_of() {
    let data = tempfile::tempdir().expect("a directory");
    let clock = FakedClock::right();
    let server = Server::start_with(data.path(), &[], &clock.environment());
    server.open("bank", "asset", json!({}));
    server.open("awa", "liability", json!({}));
    clock.days_ahead(40);
    assert_eq!(pay(&server, "k").status, 503);
    let admin = server.token_of("developer", "admin");
    let accept = |now: &str, token: &str| server.post_as(token, "/v1/clock/accept-gap", None, &json!({ "now": now }));
    let wrong = accept(&in_seconds(0), &admin);
    assert_eq!((wrong.status, &wrong.body["code"]), (409, &json!("clock_differs")), "{wrong:?}");
    assert_eq!(pay(&server, "k").status, 503);
    let ahead = in_seconds(40 * 86_400);
    assert_eq!(accept(&ahead, server.token()).status, 403, "an operator may not");
    let accepted = accept(&ahead, &admin);
    assert_eq!((accepted.status, &accepted.body["accepted"]), (200, &json!(true)), "{accepted:?}");
    assert_eq!(pay(&server, "k").status, 201);

    // It was not right after all: the journal is ahead, which is warned of wherever somebody looks.
    clock.days_ahead(0);
    assert_eq!(pay(&server, "k2").status, 201);
    let ready = server.get("/readyz");
    let (ok, detail, _) = check(&ready.body, "clock");
    assert!(ready.status == 200 && ok == true && detail.starts_with("journal_ahead: "), "{ready:?}");
    assert!(server.terminate().success());
    let verified = run("cauri-replay", &["verify", "--data", path(data.path())]);
    let text = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert!(!verified.status.success() && text.contains("of the future") && text.contains("position 3"), "{text}");
    let then = in_seconds(41 * 86_400);
    let verified = run("cauri-replay", &["verify", "--now", &then, "--data", path(data.path())]);
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stdout));
}

#[test]
fn a_server_that_was_off_for_long_starts_with_the_flag() {
    let data = tempfile::tempdir().expect("a directory");
    let clock = FakedClock::right();
    let server = Server::start_with(data.path(), &[], &clock.environment());
    server.open("bank", "asset", json!({}));
    server.open("awa", "liability", json!({}));
    assert!(server.terminate().success());
    clock.days_ahead(60);
    let server = Server::start_with(data.path(), &["--accept-clock-gap"], &clock.environment());
    assert_eq!(pay(&server, "k").status, 201);
    // A leap that comes later is another one. Whether ten minutes pass is the kernel's to say, a year never does.
    clock.days_ahead(425);
    assert_eq!(pay(&server, "k2").status, 503);
}
