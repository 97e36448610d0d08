//! The audits of `graphql-http`: what the GraphQL-over-HTTP specification asks of a server.

use std::path::Path;
use std::process::Command;

use crate::support::Ledger;

/// They are JavaScript. A machine without it must not report that they pass.
#[tokio::test(flavor = "multi_thread")]
async fn the_audits_of_graphql_http_pass() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/audits");
    let installed = folder.join("node_modules/graphql-http/package.json");
    if !installed.exists() {
        let output = Command::new("npm").args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(&folder).output();
        let output = output.expect("npm is needed for the GraphQL-over-HTTP audits: install Node.js 20 or later with npm");
        assert!(output.status.success(), "`npm ci` failed in {}: {}", folder.display(), String::from_utf8_lossy(&output.stderr));
    }
    let ledger = Ledger::start();
    let api = ledger.api();
    let address = api.serve().await;
    let token = api.token.clone().expect("a token");
    let run = tokio::task::spawn_blocking(move || {
        Command::new("node").arg("run.mjs").arg(format!("http://{address}/graphql")).env("CAURI_TOKEN", token).current_dir(folder).output()
    });
    let output = run.await.expect("it ran").expect("node is needed for the GraphQL-over-HTTP audits: install Node.js 20 or later");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("MUST: 13 passed, 0 failed"), "the audits are others than those that were looked at: {text}");
}
