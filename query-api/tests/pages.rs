//! Pages: nothing lost, nothing twice, whatever is written meanwhile.

use cauri_domain::entry::EntryAction;
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
    let mut expected: Vec<String> = (1..=9)
        .map(|amount| ledger.post("world", "a:b", amount).begun.and_then(|stream| stream.as_entry()).expect("an entry").to_string())
        .collect();
    ledger.shown().await;
    let api = ledger.api();
    let query = format!("query($after: String) {{ entries(first: 3, after: $after) {{ edges {{ cursor node {{ id }} }} {PAGE} }} }}");
    let mut added = Vec::new();
    let nodes = all_pages(&api, &query, "/entries", async |page| {
        // Three while the first pages are read, dated back as far as it goes: the order is that of recording.
        if page < 3 {
            let terms = json!({ "effective_at": "1990-01-01T00:00:00Z" });
            added
                .push(ledger.post_with("world", "a:b", 1, terms).begun.and_then(|stream| stream.as_entry()).expect("an entry").to_string());
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
    let ids: Vec<String> = (1..=5)
        .map(|amount| ledger.post("world", "a:b", amount).begun.and_then(|stream| stream.as_entry()).expect("an entry").to_string())
        .collect();
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

/// One list: the field that it is of, where its page stands in the answer, and the query with `PAGE` for the arguments
/// of the page.
struct Listed {
    field: &'static str,
    page: &'static str,
    query: String,
}

/// Every connection of the schema, first without what can be left out, then with each of its arguments.
fn lists() -> Vec<Listed> {
    let mut lists = Vec::new();
    let mut of = |field: &'static str, page: &'static str, queries: &[&str]| {
        lists.extend(queries.iter().map(|query| Listed { field, page, query: (*query).to_owned() }));
    };
    of(
        "Query.accounts",
        "/accounts",
        &[
            "accounts(PAGE) { C }",
            "accounts(prefix: \"a\", PAGE) { C }",
            "accounts(prefix: \"world\", PAGE) { C }",
            "accounts(kind: LIABILITY, PAGE) { C }",
            "accounts(currency: \"XOF\", PAGE) { C }",
            "accounts(status: OPEN, PAGE) { C }",
            "accounts(owner: \"awa\", PAGE) { C }",
        ],
    );
    of(
        "Query.entries",
        "/entries",
        &[
            "entries(PAGE) { C }",
            "entries(filter: { account: \"world\" }, PAGE) { C }",
            "entries(filter: { reference: \"r\" }, PAGE) { C }",
            "entries(filter: { dimension: { key: \"k\", value: \"v\" } }, PAGE) { C }",
            "entries(filter: { dimension: { key: \"k\", value: \"w\" } }, PAGE) { C }",
            "entries(filter: { annotation: { key: \"k\", value: \"v\" } }, PAGE) { C }",
            "entries(filter: { annotation: { key: \"k\", value: \"w\" } }, PAGE) { C }",
            "entries(filter: { effectiveFrom: \"1990-01-01T00:00:00Z\" }, PAGE) { C }",
            "entries(filter: { effectiveTo: \"2100-01-01T00:00:00Z\" }, PAGE) { C }",
            "entries(filter: { recordedFrom: \"1990-01-01T00:00:00Z\" }, PAGE) { C }",
            "entries(filter: { recordedTo: \"2100-01-01T00:00:00Z\" }, PAGE) { C }",
            "entries(filter: { state: POSTED }, PAGE) { C }",
        ],
    );
    of(
        "Account.entries",
        "/account/entries",
        &[
            "account(address: \"a:x\") { entries(PAGE) { C } }",
            "account(address: \"a:y\") { entries(PAGE) { C } }",
            "account(address: \"a:x\") { entries(state: POSTED, PAGE) { C } }",
        ],
    );
    of(
        "Query.accountSets",
        "/accountSets",
        &[
            "accountSets(PAGE) { C }",
            "accountSets(account: \"a:x\", PAGE) { C }",
            "accountSets(account: \"a:x\", asOf: \"2100-01-01T00:00:00Z\", PAGE) { C }",
        ],
    );
    of(
        "AccountSet.members",
        "/accountSet/members",
        &[
            "accountSet(name: \"all\") { members(PAGE) { C } }",
            "accountSet(name: \"some\") { members(PAGE) { C } }",
            "accountSet(name: \"all\") { members(asOf: \"2100-01-01T00:00:00Z\", PAGE) { C } }",
        ],
    );
    of(
        "AccountSet.accounts",
        "/accountSet/accounts",
        &[
            "accountSet(name: \"all\") { accounts(PAGE) { C } }",
            "accountSet(name: \"some\") { accounts(PAGE) { C } }",
            "accountSet(name: \"all\") { accounts(asOf: \"2100-01-01T00:00:00Z\", PAGE) { C } }",
        ],
    );
    of(
        "Query.journal",
        "/journal",
        &[
            "journal(PAGE) { C }",
            "journal(from: 2, PAGE) { C }",
            "journal(stream: \"account/a:x\", PAGE) { C }",
            "journal(type: \"entry.posted\", PAGE) { C }",
        ],
    );
    of(
        "Statement.lines",
        "/statement/lines",
        &[
            "statement(account: \"a:x\", from: \"1990-01-01T00:00:00Z\", to: \"2100-01-01T00:00:00Z\", PAGE) { lines { C } }",
            "statement(account: \"a:y\", from: \"1990-01-01T00:00:00Z\", to: \"2100-01-01T00:00:00Z\", PAGE) { lines { C } }",
            "statement(account: \"a:x\", from: \"1991-01-01T00:00:00Z\", to: \"2100-01-01T00:00:00Z\", PAGE) { lines { C } }",
            "statement(account: \"a:x\", from: \"1990-01-01T00:00:00Z\", to: \"2101-01-01T00:00:00Z\", PAGE) { lines { C } }",
        ],
    );
    of(
        "TrialBalance.accounts",
        "/trialBalance/accounts",
        &[
            "trialBalance { accounts(PAGE) { C } }",
            "trialBalance(asOf: \"2100-01-01T00:00:00Z\") { accounts(PAGE) { C } }",
            "trialBalance(asOf: \"2101-01-01T00:00:00Z\") { accounts(PAGE) { C } }",
        ],
    );
    lists
}

impl Listed {
    fn query(&self, page: &str) -> String {
        format!("{{ {} }}", self.query.replace("PAGE", page).replace("{ C }", "{ edges { cursor } pageInfo { endCursor } }"))
    }

    async fn cursor(&self, api: &Api) -> String {
        let data = api.data(&self.query("first: 1")).await;
        let page = data.pointer(self.page).unwrap_or_else(|| panic!("no {} in {data}", self.page));
        page["pageInfo"]["endCursor"].as_str().unwrap_or_else(|| panic!("{} has no rows: {data}", self.query)).to_owned()
    }
}

async fn with_entries_to_page() -> Ledger {
    let ledger = Ledger::start();
    for address in ["a:x", "a:y", "world"] {
        ledger.open_with(address, "liability", "XOF", json!({ "owner": "awa" }));
    }
    for (address, value) in [("a:x", "v"), ("a:y", "v"), ("a:x", "w"), ("a:y", "w"), ("a:x", "v")] {
        let entry = ledger.post_with("world", address, 10, json!({ "reference": "r", "dimensions": { "k": value } }));
        let annotate = serde_json::from_value(json!({ "set": { "k": value } })).expect("a pair");
        ledger.then(&entry, EntryAction::Annotate(annotate));
    }
    for name in ["all", "some"] {
        ledger.change_set(name, "create", json!({ "name": name, "metadata": {} }));
        for address in ["a:x", "a:y"] {
            ledger.change_set(name, "add", json!({ "member": { "account": address }, "effective_at": "1990-01-01T00:00:00Z" }));
        }
    }
    ledger.shown().await;
    ledger
}

#[tokio::test]
async fn a_cursor_is_refused_by_every_list_but_its_own() {
    let ledger = with_entries_to_page().await;
    let api = ledger.api();
    let lists = lists();
    let mut cursors = Vec::new();
    for list in &lists {
        cursors.push(list.cursor(&api).await);
    }
    for (at, list) in lists.iter().enumerate() {
        for (from, cursor) in cursors.iter().enumerate() {
            // Another size of page is the same list.
            let answer = api.ask(&list.query(&format!("first: 7, after: \"{cursor}\""))).await;
            if at == from {
                assert!(!answer.data().is_null(), "{}", list.query);
                continue;
            }
            assert_eq!(answer.code(), "BAD_USER_INPUT", "{} with a cursor of {}", list.query, lists[from].query);
            assert!(answer.message().contains("does not belong to this list"), "{}", answer.message());
        }
    }
}

#[tokio::test]
async fn no_connection_and_no_argument_of_one_is_missing_from_these_tests() {
    let ledger = Ledger::start();
    let query = "{ __schema { types { name fields { name args { name } type { name ofType { name } } } inputFields { name } } } }";
    let data = ledger.api().data(query).await;
    let types = data["__schema"]["types"].as_array().expect("types").clone();
    let fields = |of: &Value| of["fields"].as_array().cloned().unwrap_or_default();
    let arguments = |of: &Value| -> Vec<String> {
        let names = of["args"].as_array().into_iter().flatten().filter_map(|argument| argument["name"].as_str());
        names
            .filter(|name| !["first", "after", "last", "before", "minPosition", "knownAt", "consistent"].contains(name))
            .map(str::to_owned)
            .collect()
    };
    let lists = lists();
    let all = lists.iter().map(|list| list.query.as_str()).collect::<String>();
    let mut connections = Vec::new();
    for ty in &types {
        for field in fields(ty) {
            let name = format!("{}.{}", ty["name"].as_str().expect("a name"), field["name"].as_str().expect("a name"));
            let of = field["type"]["name"].as_str().or(field["type"]["ofType"]["name"].as_str()).unwrap_or_default().to_owned();
            let pages = field["args"].as_array().into_iter().flatten().any(|argument| argument["name"] == "after");
            if of.ends_with("Connection") {
                let tried = lists.iter().filter(|list| list.field == name).map(|list| list.query.as_str()).collect::<String>();
                assert!(!tried.is_empty(), "{name} is a connection and has no case in `lists`");
                for argument in arguments(&field) {
                    assert!(tried.contains(&format!("{argument}:")), "the cases of {name} do not vary `{argument}`");
                }
                connections.push(name);
            } else if pages {
                // Its pages are those of a connection below it.
                for argument in arguments(&field) {
                    assert!(all.contains(&format!("{argument}:")), "no case varies `{argument}` of {name}");
                }
            }
        }
    }
    connections.sort();
    connections.dedup();
    let mut tried: Vec<&str> = lists.iter().map(|list| list.field).collect();
    tried.sort_unstable();
    tried.dedup();
    assert_eq!(connections, tried);
    let filter = types.iter().find(|ty| ty["name"] == "EntryFilter").expect("a filter");
    for field in filter["inputFields"].as_array().expect("fields") {
        let field = field["name"].as_str().expect("a name");
        assert!(all.contains(&format!("{{ {field}:")), "no case varies `{field}` of the filter");
    }
}

#[tokio::test]
async fn one_list_has_the_same_cursors_from_whichever_field_it_is_asked_for() {
    let ledger = with_entries_to_page().await;
    let api = ledger.api();
    let data = api.data("{ account(address: \"a:x\") { entries(first: 1) { pageInfo { endCursor } } } }").await;
    let cursor = data["account"]["entries"]["pageInfo"]["endCursor"].as_str().expect("a cursor").to_owned();
    let data = api.data(&format!("{{ entries(filter: {{ account: \"a:x\" }}, after: \"{cursor}\") {{ edges {{ cursor }} }} }}")).await;
    assert_eq!(data["entries"]["edges"].as_array().map(Vec::len), Some(2));
}

#[tokio::test]
async fn a_cursor_stays_with_the_position_that_its_page_was_known_at() {
    let ledger = with_entries_to_page().await;
    let api = ledger.api();
    let known_at = ledger.head().get();
    let between = "from: \"1990-01-01T00:00:00Z\", to: \"2100-01-01T00:00:00Z\"";
    let statement = |arguments: &str| {
        format!(
            "{{ statement(account: \"a:x\", {between}, first: 1{arguments}) {{ knownAt lines {{ edges {{ cursor }} pageInfo {{ endCursor }} }} }} }}"
        )
    };
    let trial = |arguments: &str, page: &str| {
        format!("{{ trialBalance{arguments} {{ knownAt accounts(first: 1{page}) {{ pageInfo {{ endCursor }} }} }} }}")
    };
    let data = api.data(&statement("")).await;
    let line = data["statement"]["lines"]["pageInfo"]["endCursor"].as_str().expect("a cursor").to_owned();
    let data = api.data(&trial("", "")).await;
    assert_eq!(data["trialBalance"]["knownAt"], json!(known_at));
    let row = data["trialBalance"]["accounts"]["pageInfo"]["endCursor"].as_str().expect("a cursor").to_owned();
    ledger.post("world", "a:x", 10);
    ledger.shown().await;

    // With the same position, or where the statement is asked for without one, the list goes on.
    for arguments in [format!(", after: \"{line}\""), format!(", after: \"{line}\", knownAt: {known_at}")] {
        let data = api.data(&statement(&arguments)).await;
        assert_eq!(data["statement"]["knownAt"], json!(known_at));
        assert_eq!(data["statement"]["lines"]["edges"].as_array().map(Vec::len), Some(1));
    }
    let data = api.data(&trial(&format!("(knownAt: {known_at})"), &format!(", after: \"{row}\""))).await;
    assert_eq!(data["trialBalance"]["knownAt"], json!(known_at));

    for (query, asked) in [
        (statement(&format!(", after: \"{line}\", knownAt: 4")), 4),
        (statement(&format!(", after: \"{line}\", knownAt: {}", known_at + 1)), known_at + 1),
        (trial("(knownAt: 4)", &format!(", after: \"{row}\"")), 4),
        (trial("", &format!(", after: \"{row}\"")), known_at + 1),
    ] {
        let answer = api.ask(&query).await;
        assert_eq!(answer.code(), "BAD_USER_INPUT", "{query}");
        let said = format!("as known at position {known_at}, not at {asked}: give `knownAt: {known_at}` with it");
        assert!(answer.message().ends_with(&said), "{}", answer.message());
    }
}
