//! Files loaded into a server: what is good goes in once, what is bad is named.

use std::path::{Path, PathBuf};
use std::time::Duration;

use cauri_command_api::auth::role::Role;
use cauri_node::config::{Cli, Command, LoadArgs};
use cauri_node::load::{LoadError, Summary, load};
use cauri_node::token::issue;
use clap::Parser as _;
use serde_json::json;

use crate::support::Served;

fn args(data: &Path, url: &str, more: &[&str]) -> LoadArgs {
    let line = ["cauri", "load", "--url", url, "--data", data.to_str().expect("UTF-8")].into_iter().chain(more.iter().copied());
    match Cli::parse_from(line).command {
        Command::Load(args) => args,
        other => panic!("{other:?}"),
    }
}

fn loaded(data: &Path, url: &str, more: &[&str]) -> (Summary, Result<(), LoadError>) {
    let args = args(data, url, more);
    let token = issue(&args.data, &args.trust, "loader", &[Role::Operator], Duration::from_secs(600)).expect("a token");
    let mut summary = Summary::default();
    let done = load(&args, &token, &mut summary);
    summary.took = Duration::ZERO;
    (summary, done)
}

fn file(directory: &Path, name: &str, text: &str) -> PathBuf {
    let path = directory.join(name);
    std::fs::write(&path, text).expect("written");
    path
}

fn lines(commands: &[serde_json::Value]) -> String {
    commands.iter().map(|command| format!("{command}\n")).collect()
}

fn shop() -> Vec<serde_json::Value> {
    let amount = |amount: &str| json!({"amount": amount, "currency": "XOF"});
    vec![
        json!({"op": "open_account", "address": "bank", "kind": "asset", "currency": "XOF"}),
        json!({"op": "open_account", "address": "awa", "kind": "liability", "currency": "XOF", "limits": {"floor": "0"}}),
        json!({"op": "post_entry", "transfers": [{"debit": "bank", "credit": "awa", "amount": amount("100")}]}),
        json!({"op": "post_entry", "transfers": [{"debit": "awa", "credit": "bank", "amount": amount("101")}]}),
    ]
}

#[test]
fn a_file_can_be_loaded_twice_and_counts_once() {
    let data = tempfile::tempdir().expect("a directory");
    let served = Served::at(data.path(), &[]);
    let path = file(data.path(), "shop.ndjson", &lines(&shop()));
    let path = path.to_str().expect("UTF-8");
    let (first, done) = loaded(data.path(), &served.url(), &[path, "--batch", "3"]);
    done.expect("loaded");
    assert_eq!((first.commands, first.accepted, first.replayed), (4, 3, 0));
    assert_eq!(first.refused["below_floor"].0, 1);
    assert_eq!(first.refused["below_floor"].1, 4, "the line is named");
    assert!(first.is_whole());
    let (again, done) = loaded(data.path(), &served.url(), &[path, "--batch", "2"]);
    done.expect("loaded");
    assert_eq!((again.accepted, again.replayed), (3, 4), "in batches of another size too");
}

#[test]
fn a_bad_line_is_counted_and_nothing_else_is_lost() {
    let data = tempfile::tempdir().expect("a directory");
    let served = Served::at(data.path(), &[]);
    let mut commands = shop();
    commands.insert(1, json!({"op": "open_account", "address": "no place"}));
    let text = format!("{}not json\n", lines(&commands));
    let path = file(data.path(), "shop.ndjson", &text);
    let (summary, done) = loaded(data.path(), &served.url(), &[path.to_str().expect("UTF-8")]);
    done.expect("loaded");
    assert_eq!((summary.commands, summary.accepted, summary.bad_lines), (4, 3, 2));
    assert!(!summary.is_whole());
}

#[test]
fn an_atomic_request_is_all_or_none() {
    let data = tempfile::tempdir().expect("a directory");
    let served = Served::at(data.path(), &[]);
    let path = file(data.path(), "shop.ndjson", &lines(&shop()));
    let (summary, done) = loaded(data.path(), &served.url(), &[path.to_str().expect("UTF-8"), "--atomic"]);
    done.expect("loaded");
    assert_eq!((summary.accepted, summary.not_done, summary.refused["below_floor"].0), (0, 3, 1));
    assert!(!summary.is_whole());
}

#[test]
fn nobody_at_the_address_and_a_token_of_somebody_else_are_said_clearly() {
    let data = tempfile::tempdir().expect("a directory");
    let path = file(data.path(), "shop.ndjson", &lines(&shop()));
    let path = path.to_str().expect("UTF-8");
    let (_, done) = loaded(data.path(), "http://127.0.0.1:9", &[path]);
    assert!(done.expect_err("nobody is there").to_string().contains("start one with `cauri serve`"));
    let served = Served::at(data.path(), &[]);
    let elsewhere = tempfile::tempdir().expect("a directory");
    let (_, done) = loaded(elsewhere.path(), &served.url(), &[path]);
    assert!(matches!(done, Err(LoadError::NotLetIn { status: 401, .. })), "{done:?}");
}

#[test]
fn a_paysim_file_becomes_accounts_and_entries() {
    let data = tempfile::tempdir().expect("a directory");
    let served = Served::at(data.path(), &[]);
    let text = "\
step,type,amount,nameOrig,oldbalanceOrg,newbalanceOrig,nameDest,oldbalanceDest,newbalanceDest,isFraud,isFlaggedFraud
1,PAYMENT,9839.64,C1231006815,170136.0,160296.36,M1979787155,0.0,0.0,0,0
1,TRANSFER,181.0,C1305486145,181.0,0.0,C553264065,0.0,0.0,1,0
1,CASH_OUT,181.0,C840083671,0.0,0.0,C38997010,21182.0,0.0,1,0
1,CASH_IN,500.00,C840083671,0.0,0.0,C38997010,21182.0,0.0,0,0
1,LOAN,1.0,C1,0.0,0.0,C2,0.0,0.0,0,0
";
    let path = file(data.path(), "paysim.csv", text);
    let (summary, done) = loaded(data.path(), &served.url(), &["--paysim", path.to_str().expect("UTF-8")]);
    done.expect("loaded");
    assert_eq!(summary.bad_lines, 1);
    assert_eq!(summary.refused.keys().collect::<Vec<_>>(), ["below_floor"], "cash out of an empty wallet");
    assert_eq!(summary.refused["below_floor"].1, 4);
    let (again, _) = loaded(data.path(), &served.url(), &["--paysim", path.to_str().expect("UTF-8")]);
    assert_eq!(again.replayed, again.commands);
}

#[test]
fn the_public_sample_loads() {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/paysim/paysim_sample_10k.csv");
    if !sample.exists() {
        eprintln!("skipped: there is no shared/data/paysim beside this repository");
        return;
    }
    let data = tempfile::tempdir().expect("a directory");
    let served = Served::at(data.path(), &[]);
    for currency in ["USD", "XOF"] {
        let path = sample.to_str().expect("UTF-8");
        let (summary, done) = loaded(data.path(), &served.url(), &["--paysim", path, "--currency", currency, "--batch", "8189"]);
        if currency == "USD" {
            done.expect("loaded");
            assert_eq!((summary.bad_lines, summary.not_done, summary.replayed), (0, 0, 0));
            assert!(summary.accepted > 20_000, "{summary}");
        }
    }
}
