//! Files loaded into a server: what is good goes in once, however the file is written; what is bad or refused is named.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cauri_http::auth::role::Role;
use cauri_import::refused::{RefusedFile, RefusedFileError};
use cauri_node::config::{Cli, Command, LoadArgs};
use cauri_node::load::{LoadError, Summary, exit, load, plan};
use cauri_node::token::issue;
use clap::Parser as _;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::Served;

fn args(data: &Path, url: &str, more: &[&str]) -> LoadArgs {
    let line = ["cauri", "load", "--url", url, "--data", data.to_str().expect("UTF-8")].into_iter().chain(more.iter().copied());
    match Cli::parse_from(line).command {
        Command::Load(args) => args,
        other => panic!("{other:?}"),
    }
}

fn loaded_until(stop: &AtomicBool, data: &Path, url: &str, more: &[&str]) -> (Summary, Result<(), LoadError>) {
    let args = args(data, url, more);
    let token = issue(&args.data, &args.trust, "loader", &[Role::Operator], Duration::from_secs(600)).expect("a token");
    let mut summary = Summary::default();
    let done = load(&args, &token, stop, &mut summary);
    summary.took = Duration::ZERO;
    (summary, done)
}

fn loaded(data: &Path, url: &str, more: &[&str]) -> (Summary, Result<(), LoadError>) {
    loaded_until(&AtomicBool::new(false), data, url, more)
}

/// A server with a directory for files.
struct Place {
    data: TempDir,
    served: Served,
}

impl Place {
    fn new() -> Self {
        let data = tempfile::tempdir().expect("a directory");
        let served = Served::at(data.path(), &[]);
        Self { data, served }
    }

    fn file(&self, name: &str, text: &str) -> String {
        file(self.data.path(), name, text)
    }

    fn load(&self, more: &[&str]) -> Summary {
        let (summary, done) = self.try_load(more);
        done.unwrap_or_else(|error| panic!("{error}: {summary}"));
        summary
    }

    fn try_load(&self, more: &[&str]) -> (Summary, Result<(), LoadError>) {
        loaded(self.data.path(), &self.served.url(), more)
    }

    /// Loads a file of this text; says how many commands were done that had not been done before.
    fn new_of(&self, text: &str, more: &[&str]) -> u64 {
        let path = self.file("file.ndjson", text);
        new_in(&self.load(&[&[path.as_str()], more].concat()))
    }
}

/// How many commands were done that had not been done before.
fn new_in(summary: &Summary) -> u64 {
    summary.accepted - summary.replayed
}

fn file(directory: &Path, name: &str, text: &str) -> String {
    let path = directory.join(name);
    std::fs::write(&path, text).expect("written");
    path.to_str().expect("UTF-8").to_owned()
}

fn lines(commands: &[Value]) -> String {
    commands.iter().map(|command| format!("{command}\n")).collect()
}

fn pay(debit: &str, credit: &str, amount: &str) -> Value {
    json!({"op": "post_entry", "transfers": [{"debit": debit, "credit": credit, "amount": {"amount": amount, "currency": "XOF"}}]})
}

fn accounts() -> Vec<Value> {
    vec![
        json!({"op": "open_account", "address": "bank", "kind": "asset", "currency": "XOF"}),
        json!({"op": "open_account", "address": "awa", "kind": "liability", "currency": "XOF", "limits": {"floor": "0"}}),
    ]
}

/// Two accounts, and three payments of which two are alike.
fn payments() -> Vec<Value> {
    [accounts(), vec![pay("bank", "awa", "500"), pay("bank", "awa", "700"), pay("bank", "awa", "500")]].concat()
}

/// Two accounts, a payment, and one that is refused.
fn shop() -> Vec<Value> {
    [accounts(), vec![pay("bank", "awa", "100"), pay("awa", "bank", "101")]].concat()
}

#[test]
fn a_file_can_be_loaded_twice_and_counts_once() {
    let place = Place::new();
    let path = place.file("shop.ndjson", &lines(&shop()));
    let first = place.load(&[&path, "--batch", "3"]);
    assert_eq!((first.commands, first.accepted, first.replayed), (4, 3, 0));
    let refused = &first.refused["below_floor"];
    assert_eq!((refused.count, refused.replayed, refused.line), (1, 0, 4), "the line is named");
    let again = place.load(&[&path, "--batch", "2"]);
    assert_eq!((again.accepted, again.replayed), (3, 3), "in batches of another size too");
    assert_eq!((again.refused["below_floor"].count, again.refused["below_floor"].replayed), (1, 1));
}

#[test]
fn a_file_with_bad_lines_sends_nothing_and_a_corrected_one_is_done_once() {
    let place = Place::new();
    let good = lines(&payments());
    let bad = good.replace("\"700\",\"currency\":\"XOF\"}", "\"700\",\"currency\":\"XOF\"");
    assert_ne!(good, bad);
    let path = place.file("pay.ndjson", &bad);
    let (summary, done) = place.try_load(&[&path]);
    assert!(matches!(done, Err(LoadError::BadLines { count: 1, .. })), "{done:?}");
    assert_eq!((summary.commands, summary.bad_lines), (0, 1));
    assert_eq!(new_in(&place.load(&[&path, "--skip-bad"])), 4, "the rest, because it was asked for");
    place.file("pay.ndjson", &good);
    let corrected = place.load(&[&path]);
    assert_eq!((corrected.accepted, corrected.replayed), (5, 4), "the corrected line, and no other");
}

#[test]
fn what_was_loaded_is_not_done_again_however_the_file_is_written() {
    let place = Place::new();
    let commands = payments();
    let text = lines(&commands);
    assert_eq!(place.new_of(&text, &[]), 5, "two payments that are alike are two");
    let spelt = text.replace("\"500\"", "\"0500.0\"").replace(',', " , ").replace("{\"op\"", "{ \"hold\":null, \"op\"");
    assert_ne!(spelt, text);
    let same = [
        ("loaded again", text.clone()),
        ("a blank line at the end", format!("{text}\n")),
        ("a blank line in front", format!("\n{text}")),
        ("line ends of Windows", text.replace('\n', "\r\n")),
        ("a byte order mark", format!("\u{feff}{text}")),
        ("no line end at the end", text.trim_end().to_owned()),
        ("the first three lines", lines(&commands[..3])),
        ("the last two lines", lines(&commands[3..])),
        ("a line taken out", lines(&[&commands[..2], &commands[3..]].concat())),
        ("another order", lines(&commands.iter().rev().cloned().collect::<Vec<_>>())),
        ("other spellings", spelt),
    ];
    for (how, text) in same {
        assert_eq!(place.new_of(&text, &[]), 0, "{how}");
    }
    assert_eq!(place.new_of(&text, &["--batch", "1"]), 0);
    assert_eq!(place.new_of(&text, &["--atomic"]), 0);
    assert_eq!(place.new_of(&text, &["--source", "default"]), 0, "the source of files for which none is named");
    let other_name = place.file("other.ndjson", &text);
    assert_eq!(new_in(&place.load(&[&other_name])), 0);
    let more = format!("{}\n{text}", pay("bank", "awa", "900"));
    assert_eq!(place.new_of(&more, &[]), 1, "a line added in front");
    assert_eq!(place.new_of(&format!("{text}{}\n", pay("bank", "awa", "500")), &[]), 1, "a third one that is alike");
    assert_eq!(place.new_of(&lines(&commands[2..]), &["--source", "another"]), 3, "equal lines of another source are other payments");
}

#[test]
fn a_refused_command_succeeds_when_it_is_sent_anew_after_its_cause_was_removed() {
    let place = Place::new();
    let path = place.file("shop.ndjson", &lines(&shop()));
    let kept = RefusedFile::beside(Path::new(&path));
    let summary = place.load(&[&path]);
    assert_eq!(summary.kept, Some((kept.clone(), 1)));
    let line: Value = serde_json::from_str(std::fs::read_to_string(&kept).expect("kept").lines().nth(1).expect("a line")).expect("JSON");
    assert_eq!((&line["line"], &line["code"], &line["command"]["op"]), (&json!(4), &json!("below_floor"), &json!("post_entry")));
    assert!(line["detail"].as_str().is_some_and(|detail| detail.contains("awa")), "{line}");

    let retry = place.load(&[&path, "--retry-refused"]);
    assert_eq!((retry.accepted, retry.refused["below_floor"].count), (0, 1), "the cause is still there");
    assert_eq!(place.new_of(&lines(&[pay("bank", "awa", "1")]), &[]), 1);
    assert_eq!(place.load(&[&path]).refused["below_floor"].replayed, 1, "the first key keeps its answer");
    let retry = place.load(&[&path, "--retry-refused"]);
    assert_eq!((new_in(&retry), retry.refusals(), retry.kept), (1, 0, None));
    assert!(!kept.exists(), "nothing is left to be sent");
    assert!(matches!(place.try_load(&[&path, "--retry-refused"]).1, Err(LoadError::NothingRefused { .. })));

    place.load(&[&path]);
    let again = place.load(&[&path, "--retry-refused"]);
    assert_eq!((again.accepted, new_in(&again)), (1, 0), "it finds what the earlier retry has done");
}

#[test]
fn a_refused_command_can_be_corrected_and_a_bad_correction_sends_nothing() {
    let place = Place::new();
    let path = place.file("shop.ndjson", &lines(&shop()));
    let kept = RefusedFile::beside(Path::new(&path));
    place.load(&[&path]);
    let text = std::fs::read_to_string(&kept).expect("kept");
    std::fs::write(&kept, text.replace("\"101\"", "101")).expect("written");
    assert!(matches!(
        place.try_load(&[&path, "--retry-refused"]),
        (Summary { commands: 0, .. }, Err(LoadError::BadLines { count: 1, .. }))
    ));
    std::fs::write(&kept, text.replace("\"101\"", "\"99\"")).expect("written");
    let kept = kept.to_str().expect("UTF-8");
    assert_eq!(new_in(&place.load(&[kept, "--retry-refused"])), 1, "the file may be named itself");
}

#[test]
fn a_refused_line_that_was_corrected_in_the_file_is_told_apart_from_those_to_be_sent_anew() {
    let place = Place::new();
    let two = [&shop()[..], &[pay("awa", "bank", "300")]].concat();
    let path = place.file("shop.ndjson", &lines(&two));
    let first = place.load(&[&path]);
    assert_eq!((first.kept.as_ref().map(|(_, count)| *count), first.not_in_file), (Some(2), 0));
    assert!(!first.to_string().contains("no longer in the file"), "{first}");

    place.file("shop.ndjson", &lines(&two).replace("\"101\"", "\"99\""));
    let corrected = place.load(&[&path]);
    assert_eq!((new_in(&corrected), corrected.refused["below_floor"].count), (1, 1));
    assert_eq!((corrected.kept.as_ref().map(|(_, count)| *count), corrected.not_in_file), (Some(2), 1), "101 is not to be paid as well");
    assert!(corrected.to_string().contains("1 of them are no longer in the file"), "{corrected}");
    let planned = plan(&args(place.data.path(), &place.served.url(), &[&path, "--retry-refused", "--dry-run"])).expect("a plan");
    assert_eq!(planned.not_in_file, 1);

    // As the message asks: what was corrected is removed, and the rest is sent anew.
    let kept = RefusedFile::beside(Path::new(&path));
    let text = std::fs::read_to_string(&kept).expect("kept");
    let rest: String = text.lines().filter(|line| !line.contains("\"not_in_file\":true")).map(|line| format!("{line}\n")).collect();
    assert!(text.contains("101") && !rest.contains("101") && rest.contains("300"), "{text}");
    std::fs::write(&kept, rest).expect("written");
    place.new_of(&lines(&[pay("bank", "awa", "500")]), &[]);
    let retry = place.load(&[&path, "--retry-refused"]);
    assert_eq!((new_in(&retry), retry.kept), (1, None));
}

#[test]
fn a_load_that_stops_says_nothing_of_lines_that_it_did_not_reach() {
    let place = Place::new();
    let path = place.file("shop.ndjson", &lines(&shop()));
    place.load(&[&path]);
    let stop = AtomicBool::new(true);
    let (stopped, done) = loaded_until(&stop, place.data.path(), &place.served.url(), &[&path]);
    assert!(matches!(done, Err(LoadError::Interrupted { .. })), "{done:?}");
    assert_eq!((stopped.kept.map(|(_, count)| count), stopped.not_in_file), (Some(1), 0));
}

#[test]
fn equal_lines_of_two_files_without_a_source_are_named() {
    let place = Place::new();
    let first = place.file("monday.ndjson", &lines(&payments()));
    let quiet = place.load(&[&first]);
    assert_eq!((quiet.doubt(), quiet.exit_code()), (None, exit::DONE));
    let again = place.load(&[&first]);
    assert_eq!((again.replayed, again.doubt(), again.exit_code()), (5, None, exit::DONE), "the same file again");

    let tuesday = [pay("bank", "awa", "900"), pay("bank", "awa", "500"), pay("bank", "awa", "901"), pay("bank", "awa", "700")];
    let second = place.file("tuesday.ndjson", &lines(&tuesday));
    let mixed = place.load(&[&second]);
    assert_eq!((new_in(&mixed), mixed.replayed, mixed.exit_code()), (2, 2, exit::IN_DOUBT));
    let doubt = mixed.doubt().expect("a doubt");
    assert!(doubt.contains("2 were NOT done now") && doubt.contains("(lines 2, 4)"), "{doubt}");
    assert_eq!(place.load(&[&second]).exit_code(), exit::DONE, "a full repetition");

    let more = [&tuesday[..], &[pay("bank", "awa", "902")]].concat();
    let third = place.file("wednesday.ndjson", &lines(&more));
    let named = place.load(&[&third, "--source", "default"]);
    assert_eq!((new_in(&named), named.replayed, named.exit_code()), (1, 4, exit::DONE), "who names a source has asked for it");
}

/// The program itself: what it prints and how it ends.
#[test]
fn the_program_says_aloud_what_it_is_not_sure_of() {
    let place = Place::new();
    place.load(&[&place.file("first.ndjson", &lines(&payments()))]);
    let path = place.file("second.ndjson", &lines(&[pay("bank", "awa", "500"), pay("bank", "awa", "1")]));
    let url = place.served.url();
    let load = || {
        let mut program = std::process::Command::new(env!("CARGO_BIN_EXE_cauri"));
        let program = program.args(["load", &path, "--url", &url, "--data"]).arg(place.data.path());
        let ended = program.output().expect("it runs");
        (ended.status.code(), String::from_utf8_lossy(&ended.stderr).into_owned())
    };
    let (code, said) = load();
    assert!(code == Some(6) && said.contains("1 were NOT done now") && said.contains("(lines 1)"), "{code:?} {said}");
    let (code, said) = load();
    assert!(code == Some(0) && !said.contains("NOT done"), "{code:?} {said}");
}

#[test]
fn a_retry_that_is_sent_twice_is_done_once() {
    let place = Place::new();
    let path = place.file("shop.ndjson", &lines(&shop()));
    let kept = RefusedFile::beside(Path::new(&path));
    place.load(&[&path]);
    let before = std::fs::read(&kept).expect("kept");
    place.new_of(&lines(&[pay("bank", "awa", "500")]), &[]);
    assert_eq!(new_in(&place.load(&[&path, "--retry-refused"])), 1);
    // As if the first retry had ended before it could take the command out of the file.
    std::fs::write(&kept, before).expect("written");
    let again = place.load(&[&path, "--retry-refused"]);
    assert_eq!((again.accepted, new_in(&again)), (1, 0));
}

#[test]
fn an_atomic_request_is_all_or_none_and_sent_anew_as_a_whole() {
    let place = Place::new();
    let path = place.file("shop.ndjson", &lines(&shop()));
    let summary = place.load(&[&path, "--atomic"]);
    assert_eq!((summary.accepted, summary.not_done, summary.refused["below_floor"].count), (0, 3, 1));
    assert_eq!(summary.kept.map(|(_, count)| count), Some(4), "all of the request");
    let retry = place.load(&[&path, "--retry-refused"]);
    assert_eq!((retry.accepted, retry.not_done, retry.refusals()), (0, 3, 1), "nor was a part of it done now");
    let opening = [accounts(), vec![json!({"op": "open_account", "address": "till", "kind": "asset", "currency": "XOF"})]].concat();
    assert_eq!(place.new_of(&lines(&[&opening[..], &[pay("till", "awa", "1")]].concat()), &[]), 4);
    let retry = place.load(&[&path, "--retry-refused"]);
    assert_eq!((retry.accepted, new_in(&retry), retry.refusals(), retry.kept), (4, 2, 0, None), "{:?}", retry.refused);
}

#[test]
fn keys_of_the_lines_are_kept_and_need_no_source() {
    let place = Place::new();
    let keyed = |index: usize, mut command: Value| {
        command["idempotency_key"] = json!(format!("order-{index}"));
        command
    };
    let commands: Vec<Value> = payments().into_iter().enumerate().map(|(index, command)| keyed(index, command)).collect();
    assert_eq!(place.new_of(&lines(&commands), &[]), 5);
    assert_eq!(place.new_of(&lines(&commands), &[]), 0);

    let mixed = [&commands[..4], &[pay("bank", "awa", "9")]].concat();
    let path = place.file("mixed.ndjson", &lines(&mixed));
    let (summary, done) = place.try_load(&[&path]);
    assert!(matches!(done, Err(LoadError::SourceNeeded { line: 5, .. })), "{done:?}");
    assert_eq!(summary.commands, 0);

    let path = place.file("twice.ndjson", &lines(&[keyed(7, pay("bank", "awa", "1")), keyed(7, pay("bank", "awa", "2"))]));
    let (_, done) = place.try_load(&[&path]);
    assert!(matches!(done, Err(LoadError::BadLines { count: 1, .. })), "one key for two commands: {done:?}");
}

/// What a request carries, without a server that understands it.
#[test]
fn the_source_goes_with_every_request() {
    let data = tempfile::tempdir().expect("a directory");
    let keyed = json!({"op": "freeze_account", "address": "a", "idempotency_key": "k"});
    let bare = json!({"op": "freeze_account", "address": "a"});
    for (command, more, wanted) in [
        (&bare, &["--source", "psp-7"][..], Some("cauri-import: psp-7")),
        (&keyed, &["--source", "psp-7"], Some("cauri-import: psp-7")),
        (&bare, &[], Some("cauri-import: default")),
        (&keyed, &[], None),
    ] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let headers = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a request");
            let reader = BufReader::new(stream.try_clone().expect("a socket"));
            let headers: Vec<String> = reader.lines().map(|line| line.expect("text")).take_while(|line| !line.is_empty()).collect();
            stream.write_all(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").expect("answered");
            headers
        });
        let path = file(data.path(), "one.ndjson", &lines(std::slice::from_ref(command)));
        let (_, done) = loaded(data.path(), &url, &[&[path.as_str()], more].concat());
        assert!(matches!(done, Err(LoadError::NotLetIn { .. })), "{done:?}");
        let headers = headers.join().expect("headers");
        let found = headers.iter().map(|line| line.to_lowercase()).find(|line| line.starts_with("cauri-import"));
        assert_eq!(found.as_deref(), wanted);
    }
}

#[test]
fn a_dry_run_checks_everything_and_needs_no_server() {
    let data = tempfile::tempdir().expect("a directory");
    let path = file(data.path(), "pay.ndjson", &format!("{}not json\n", lines(&payments())));
    let planned = plan(&args(data.path(), "http://127.0.0.1:9", &[&path, "--dry-run"])).expect("a plan");
    assert_eq!((planned.bad_lines, planned.repeated, planned.with_key), (1, 1, 0));
    assert_eq!(planned.commands, [("open_account".to_owned(), 2), ("post_entry".to_owned(), 3)].into());
    assert_eq!(planned.source.as_ref().map(ToString::to_string), Some("default".to_owned()));
    assert!(planned.to_string().ends_with("nothing was sent"));
}

#[test]
fn a_file_that_cauri_did_not_write_is_not_written_over() {
    let place = Place::new();
    let path = place.file("shop.ndjson", &lines(&shop()));
    let foreign = place.file("shop.ndjson.refused.ndjson", "notes of mine\n");
    let (summary, done) = place.try_load(&[&path]);
    assert!(matches!(done, Err(LoadError::RefusedFile(RefusedFileError::NotOurs { .. }))), "{done:?}");
    assert_eq!(summary.commands, 0, "and nothing was sent");
    assert_eq!(std::fs::read_to_string(foreign).expect("there"), "notes of mine\n");
    let elsewhere = place.data.path().join("elsewhere");
    let summary = place.load(&[&path, "--refused", elsewhere.to_str().expect("UTF-8")]);
    assert_eq!(summary.kept, Some((elsewhere, 1)));
}

#[test]
fn a_load_that_is_stopped_goes_on_where_it_was() {
    let place = Place::new();
    let many = (0..400).map(|number| pay("bank", "awa", &(number % 7 + 1).to_string()));
    let path = place.file("many.ndjson", &lines(&accounts().into_iter().chain(many).collect::<Vec<_>>()));
    let stop = AtomicBool::new(false);
    let (first, done) = std::thread::scope(|scope| {
        let loading = scope.spawn(|| loaded_until(&stop, place.data.path(), &place.served.url(), &[&path, "--batch", "1"]));
        std::thread::sleep(Duration::from_millis(150));
        stop.store(true, Ordering::Relaxed);
        loading.join().expect("it ended")
    });
    match done {
        Err(LoadError::Interrupted { line }) => assert_eq!(line, first.commands, "what was answered is said"),
        other => other.expect("it was quicker"),
    }
    let second = place.load(&[&path]);
    assert_eq!((second.accepted, second.replayed), (402, first.accepted));
}

#[test]
fn nobody_at_the_address_and_a_token_of_somebody_else_are_said_clearly() {
    let data = tempfile::tempdir().expect("a directory");
    let path = file(data.path(), "shop.ndjson", &lines(&shop()));
    let (_, done) = loaded(data.path(), "http://127.0.0.1:9", &[&path]);
    assert!(done.expect_err("nobody is there").to_string().contains("start one with `cauri serve`"));
    let served = Served::at(data.path(), &[]);
    let elsewhere = tempfile::tempdir().expect("a directory");
    let (_, done) = loaded(elsewhere.path(), &served.url(), &[&path]);
    assert!(matches!(done, Err(LoadError::NotLetIn { status: 401, .. })), "{done:?}");
    let left: Vec<PathBuf> = std::fs::read_dir(data.path()).expect("a directory").map(|entry| entry.expect("an entry").path()).collect();
    assert!(!left.iter().any(|path| path.to_string_lossy().contains("refused")), "{left:?}");
}

const PAYSIM: &str = "\
step,type,amount,nameOrig,oldbalanceOrg,newbalanceOrig,nameDest,oldbalanceDest,newbalanceDest,isFraud,isFlaggedFraud
1,PAYMENT,9839.64,C1231006815,170136.0,160296.36,M1979787155,0.0,0.0,0,0
1,TRANSFER,181.0,C1305486145,181.0,0.0,C553264065,0.0,0.0,1,0
1,CASH_OUT,181.0,C840083671,0.0,0.0,C38997010,21182.0,0.0,1,0
1,CASH_IN,500.00,C840083671,0.0,0.0,C38997010,21182.0,0.0,0,0
";

#[test]
fn a_paysim_file_becomes_accounts_and_entries() {
    let place = Place::new();
    let path = place.file("paysim.csv", &format!("{PAYSIM}1,LOAN,1.0,C1,0.0,0.0,C2,0.0,0.0,0,0\n"));
    assert!(matches!(place.try_load(&["--paysim", &path]).1, Err(LoadError::BadLines { count: 1, .. })));
    let summary = place.load(&["--paysim", &path, "--skip-bad"]);
    assert_eq!((summary.bad_lines, summary.replayed), (1, 0));
    assert_eq!(summary.refused.keys().collect::<Vec<_>>(), ["below_floor"], "cash out of an empty wallet");
    assert_eq!(summary.refused["below_floor"].line, 4);
}

#[test]
fn a_paysim_row_that_is_added_is_the_only_one_that_is_done() {
    let place = Place::new();
    let path = place.file("paysim.csv", PAYSIM);
    let first = place.load(&["--paysim", &path]);
    assert_eq!(place.load(&["--paysim", &path]).replayed, first.accepted);
    let row = "1,CASH_IN,500.00,C840083671,0.0,0.0,C38997010,21182.0,0.0,0,0\n";
    for (how, text) in [("behind", format!("{PAYSIM}{row}")), ("between", PAYSIM.replace("1,TRANSFER", &format!("{row}{row}1,TRANSFER")))] {
        let path = place.file("more.csv", &text);
        assert_eq!(new_in(&place.load(&["--paysim", &path])), 1, "{how}");
    }
    let part: String = PAYSIM.lines().take(3).map(|line| format!("{line}\r\n")).collect();
    let path = place.file("part.csv", &part);
    assert_eq!(new_in(&place.load(&["--paysim", &path])), 0);
}

#[test]
fn the_public_sample_loads() {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/paysim/paysim_sample_10k.csv");
    if !sample.exists() {
        eprintln!("skipped: there is no shared/data/paysim beside this repository");
        return;
    }
    // All its amounts are more than half a franc; one that is not is no payment in francs.
    let text = std::fs::read_to_string(sample).expect("readable");
    let text = format!("{}\n1,PAYMENT,0.4,C1,1.0,0.6,M1,0.0,0.0,0,0\n", text.trim_end());
    for (currency, bad_lines) in [("USD", 0), ("XOF", 1)] {
        let place = Place::new();
        let sample = place.file("sample.csv", &text);
        let refused = place.data.path().join("refused");
        let refused = refused.to_str().expect("UTF-8");
        let (summary, done) =
            place.try_load(&["--paysim", &sample, "--currency", currency, "--batch", "8189", "--refused", refused, "--skip-bad"]);
        done.unwrap_or_else(|error| panic!("{currency}: {error}"));
        assert_eq!((summary.bad_lines, summary.not_done, summary.replayed), (bad_lines, 0, 0), "{currency}");
        assert!(summary.accepted > 20_000, "{currency}: {summary}");
    }
}
