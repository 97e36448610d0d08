//! Pages: nothing lost, nothing twice, whatever is written meanwhile.

use serde_json::{Value, json};

use crate::support::{Api, Ledger, NOON, instant};

/// The nodes of every page of a connection that a query with `$after` asks for.
async fn all_pages(api: &Api, query: &str, connection: &str, mut between: impl AsyncFnMut(usize)) -> Vec<Value> {
    let mut nodes = Vec::new();
    let mut after = Value::Null;
    for page in 0.. {
        let answer = api.ask_with(query, json!({ "after": after }), &[]).await;
        let found = answer.data().pointer(connection).unwrap_or_else(|| panic!("no {connection} in {}", answer.body)).clone();
        assert_eq!(found["pageInfo"]["hasPreviousPage"], json!(page > 0));
        let edges = found["edges"].as_array().expect("edges");
        assert_eq!(found["pageInfo"]["endCursor"], edges.last().map_or(Value::Null, |edge| edge["cursor"].clone()));
        nodes.extend(edges.iter().map(|edge| edge["node"].clone()));
        if found["pageInfo"]["hasNextPage"] == json!(false) {
            return nodes;
        }
        after = found["pageInfo"]["endCursor"].clone();
        between(page).await;
    }
    unreachable!("pages end")
}

const PAGE: &str = "pageInfo { hasNextPage hasPreviousPage startCursor endCursor }";

#[tokio::test]
async fn entries_come_once_each_while_new_ones_arrive() {
    let ledger = Ledger::start();
    ledger.open("world", "liability");
    ledger.open("a:b", "liability");
    let mut expected: Vec<String> =
        (1..=9).map(|amount| ledger.post("world", "a:b", amount).entry.expect("an entry").to_string()).collect();
    ledger.shown().await;
    let api = ledger.api();
    let query = format!("query($after: String) {{ entries(first: 3, after: $after) {{ edges {{ cursor node {{ id }} }} {PAGE} }} }}");
    let mut added = Vec::new();
    let nodes = all_pages(&api, &query, "/entries", async |page| {
        // Three while the first pages are read, dated back as far as it goes: the order is that of recording.
        if page < 3 {
            let terms = json!({ "effective_at": "1990-01-01T00:00:00Z" });
            added.push(ledger.post_with("world", "a:b", 1, terms).entry.expect("an entry").to_string());
            ledger.shown().await;
        }
    })
    .await;
    expected.extend(added);
    let ids: Vec<&str> = nodes.iter().map(|node| node["id"].as_str().expect("an id")).collect();
    assert_eq!(ids, expected);
}

#[tokio::test]
async fn entries_go_backward_from_the_end() {
    let ledger = Ledger::start();
    ledger.open("world", "liability");
    ledger.open("a:b", "liability");
    let ids: Vec<String> = (1..=5).map(|amount| ledger.post("world", "a:b", amount).entry.expect("an entry").to_string()).collect();
    ledger.shown().await;
    let api = ledger.api();
    let query = format!("query($before: String) {{ entries(last: 2, before: $before) {{ edges {{ node {{ id }} }} {PAGE} }} }}");
    let mut before = Value::Null;
    for (expected, previous, next) in [(&ids[3..], true, false), (&ids[1..3], true, true), (&ids[..1], false, true)] {
        let answer = api.ask_with(&query, json!({ "before": before }), &[]).await;
        let page = &answer.data()["entries"];
        let found: Vec<&str> = page["edges"].as_array().expect("edges").iter().filter_map(|edge| edge["node"]["id"].as_str()).collect();
        assert_eq!(found, expected);
        let info = &page["pageInfo"];
        assert_eq!((&info["hasPreviousPage"], &info["hasNextPage"]), (&json!(previous), &json!(next)));
        before = info["startCursor"].clone();
    }
}

#[tokio::test]
async fn accounts_and_the_trial_balance_are_paged_by_address() {
    let ledger = Ledger::start();
    let addresses = ["a:1", "a:2", "b", "c:1", "c:2:x", "d", "e"];
    for address in addresses {
        ledger.open(address, "asset");
    }
    ledger.shown().await;
    let api = ledger.api();
    let accounts =
        format!("query($after: String) {{ accounts(first: 3, after: $after) {{ edges {{ cursor node {{ address }} }} {PAGE} }} }}");
    let nodes = all_pages(&api, &accounts, "/accounts", async |_| {}).await;
    assert_eq!(nodes, addresses.map(|address| json!({ "address": address })));

    let trial = format!(
        "query($after: String) {{ trialBalance {{ accounts(first: 3, after: $after) {{ edges {{ cursor node {{ address }} }} {PAGE} }} }} }}"
    );
    let nodes = all_pages(&api, &trial, "/trialBalance/accounts", async |_| {}).await;
    assert_eq!(nodes, addresses.map(|address| json!({ "address": address })));
}

#[tokio::test]
async fn later_pages_of_a_statement_stay_with_what_the_first_one_knew() {
    let ledger = Ledger::start();
    ledger.open("world", "liability");
    ledger.open("a:b", "liability");
    for _ in 0..5 {
        ledger.post("world", "a:b", 10);
    }
    ledger.shown().await;
    let api = ledger.api();
    let (from, to) = (instant("1990-01-01T00:00:00Z"), instant(NOON).saturating_add_secs(1));
    let query = format!(
        "query($after: String) {{ statement(account: \"a:b\", from: \"{from}\", to: \"{to}\", first: 2, after: $after) {{
           knownAt closing {{ amount }} lines {{ edges {{ cursor node {{ balance {{ amount }} }} }} {PAGE} }} }} }}"
    );
    let nodes = all_pages(&api, &query, "/statement/lines", async |_| {
        // Dated back before everything: a page that saw it would show other balances than the one before.
        ledger.post_with("world", "a:b", 1_000, json!({ "effective_at": "1991-01-01T00:00:00Z" }));
        ledger.shown().await;
    })
    .await;
    let balances: Vec<&str> = nodes.iter().filter_map(|node| node["balance"]["amount"].as_str()).collect();
    assert_eq!(balances, ["10", "20", "30", "40", "50"]);
}

#[tokio::test]
async fn a_cursor_of_another_list_or_of_no_list_is_refused() {
    let ledger = Ledger::start();
    ledger.open("a:b", "asset");
    ledger.open("a:c", "asset");
    ledger.shown().await;
    let api = ledger.api();
    let data = api.data("{ accounts(first: 1) { pageInfo { endCursor } } }").await;
    let cursor = data["accounts"]["pageInfo"]["endCursor"].as_str().expect("a cursor").to_owned();
    assert!(cursor.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')), "{cursor}");
    for query in [
        format!("{{ entries(after: \"{cursor}\") {{ edges {{ cursor }} }} }}"),
        format!("{{ entries(before: \"{cursor}\") {{ edges {{ cursor }} }} }}"),
        format!("{{ journal(after: \"{cursor}\") {{ edges {{ cursor }} }} }}"),
        format!("{{ trialBalance {{ accounts(after: \"{cursor}\") {{ edges {{ cursor }} }} }} }}"),
        format!("{{ accounts(after: \"{cursor}x\") {{ edges {{ cursor }} }} }}"),
        "{ accounts(after: \"42\") { edges { cursor } } }".to_owned(),
        "{ accounts(after: \"\") { edges { cursor } } }".to_owned(),
    ] {
        let answer = api.ask(&query).await;
        assert_eq!(answer.code(), "BAD_USER_INPUT", "{query}");
        assert!(answer.message().contains("does not belong to this list"), "{query}: {}", answer.message());
    }
    assert!(api.ask(&format!("{{ accounts(after: \"{cursor}\") {{ edges {{ cursor }} }} }}")).await.body.get("errors").is_none());
}
