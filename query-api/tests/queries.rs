//! Every root field but the journal's, over a small ledger.

use cauri_domain::LedgerCommand;
use cauri_domain::account::{AccountAction, FreezeAccount};
use cauri_domain::entry::{EntryAction, PostHold, ReverseEntry, VoidHold};
use cauri_domain::ledger::LedgerStream;
use cauri_engine::Accepted;
use serde_json::{Value, json};

use crate::support::{Answer, Api, Ledger, NOON, instant};

struct Shop {
    ledger: Ledger,
    api: Api,
    /// Posted, then reversed.
    sale: String,
    reversal: String,
    /// Open.
    hold: String,
    /// Was held for 500, 300 posted.
    partial: String,
}

async fn shop() -> Shop {
    let ledger = Ledger::start();
    ledger.open("world", "liability");
    let terms = json!({ "limits": { "floor": "-500", "ceiling": "100000" }, "chart_code": "4191", "owner": "awa", "metadata": { "country": "BJ" } });
    ledger.open_with("merchants:awa:available", "liability", "XOF", terms);
    ledger.open_with("merchants:awatou", "liability", "XOF", json!({ "owner": "awatou" }));
    ledger.open("income:fees", "income");
    ledger.open_with("banks:eur", "asset", "EUR", json!({}));
    let frozen: cauri_domain::ids::AccountAddress = "merchants:awatou".parse().expect("an address");
    ledger.submit(|_| LedgerCommand::account(frozen, AccountAction::Freeze(FreezeAccount::default())));

    let terms =
        json!({ "reference": "order-17", "dimensions": { "country": "BJ", "merchant": "awa" }, "effective_at": "2026-03-15T08:00:00Z" });
    let sale = ledger.post_with("world", "merchants:awa:available", 10_000, terms);
    ledger.post_with("merchants:awa:available", "income:fees", 100, json!({ "reference": "fee-17" }));
    let reversal = ledger
        .then(&sale, EntryAction::Reverse(ReverseEntry { reason: Some("cancelled".parse().expect("a text")), ..ReverseEntry::default() }));
    ledger.post("world", "merchants:awa:available", 9_000);
    let expires = json!({ "hold": { "expires_at": "2026-03-20T00:00:00Z" } });
    let hold = ledger.post_with("merchants:awa:available", "world", 2_000, expires.clone());
    let partial = ledger.post_with("merchants:awa:available", "world", 500, json!({ "hold": {} }));
    let amounts = serde_json::from_value(json!([{ "amount": "300", "currency": "XOF" }])).expect("amounts");
    ledger.then(&partial, EntryAction::PostHold(PostHold { amounts: Some(amounts), effective_at: None }));
    let void = ledger.post_with("world", "merchants:awa:available", 700, json!({ "hold": {} }));
    ledger.then(&void, EntryAction::VoidHold(VoidHold::default()));
    let incoming = ledger.post_with("world", "merchants:awa:available", 50, json!({ "hold": {} }));
    assert!(incoming.begun.and_then(|stream| stream.as_entry()).is_some());
    ledger.shown().await;
    let id =
        |accepted: &Accepted<LedgerStream>| accepted.begun.as_ref().and_then(|stream| stream.as_entry()).expect("an entry").to_string();
    let (sale, reversal, hold, partial) = (id(&sale), id(&reversal), id(&hold), id(&partial));
    Shop { api: ledger.api(), sale, reversal, hold, partial, ledger }
}

#[tokio::test]
async fn an_account_with_its_balance_and_limits() {
    let Shop { api, ledger: _ledger, .. } = shop().await;
    let data = api
        .data(
            "{ account(address: \"merchants:awa:available\") { address kind normalSide currency status floor { amount currency } ceiling { amount }
               chartCode owner metadata { key value } openedPosition version
               balance { posted { amount currency } pending { amount } incoming { amount } available { amount } expected { amount }
                 debits { amount } credits { amount } debitsPending { amount } creditsPending { amount } normalSide account { address } } }
             none: account(address: \"nobody\") { address } }",
        )
        .await;
    assert_eq!(
        data["account"],
        json!({
            "address": "merchants:awa:available", "kind": "LIABILITY", "normalSide": "CREDIT", "currency": "XOF", "status": "OPEN",
            "floor": { "amount": "-500", "currency": "XOF" }, "ceiling": { "amount": "100000" }, "chartCode": "4191", "owner": "awa",
            "metadata": [{ "key": "country", "value": "BJ" }], "openedPosition": 2, "version": 1,
            // 10,000 - 100 - 10,000 + 9,000 - 300
            "balance": {
                "posted": { "amount": "8600", "currency": "XOF" }, "pending": { "amount": "2000" }, "incoming": { "amount": "50" },
                "available": { "amount": "6600" }, "expected": { "amount": "8650" },
                "debits": { "amount": "10400" }, "credits": { "amount": "19000" },
                "debitsPending": { "amount": "2000" }, "creditsPending": { "amount": "50" },
                "normalSide": "CREDIT", "account": { "address": "merchants:awa:available" },
            },
        })
    );
    assert_eq!(data["none"], Value::Null);
}

#[tokio::test]
async fn a_balance_now_and_then() {
    let Shop { api, ledger: _ledger, .. } = shop().await;
    let data = api
        .data(
            "{ now: balance(account: \"merchants:awa:available\") { posted { amount } asOf knownAt }
               then: balance(account: \"merchants:awa:available\", asOf: \"2026-03-15T23:00:00+01:00\") { posted { amount } pending { amount } asOf }
               euro: balance(account: \"banks:eur\") { posted { amount currency } }
               none: balance(account: \"nobody\") { posted { amount } } }",
        )
        .await;
    assert_eq!(data["now"]["posted"]["amount"], "8600");
    assert_eq!(data["now"]["asOf"], Value::Null);
    assert_eq!(
        data["then"],
        json!({ "posted": { "amount": "10000" }, "pending": { "amount": "0" }, "asOf": "2026-03-15T22:00:00.000000Z" })
    );
    assert_eq!(data["euro"]["posted"], json!({ "amount": "0.00", "currency": "EUR" }));
    assert_eq!(data["none"], Value::Null);
}

#[tokio::test]
async fn accounts_by_prefix_kind_currency_status_and_owner() {
    let Shop { api, ledger: _ledger, .. } = shop().await;
    for (arguments, expected) in [
        ("", &["banks:eur", "income:fees", "merchants:awa:available", "merchants:awatou", "world"][..]),
        ("(prefix: \"merchants\")", &["merchants:awa:available", "merchants:awatou"]),
        ("(prefix: \"merchants:awa\")", &["merchants:awa:available"]),
        ("(kind: INCOME)", &["income:fees"]),
        ("(currency: \"EUR\")", &["banks:eur"]),
        ("(status: FROZEN)", &["merchants:awatou"]),
        ("(owner: \"awa\")", &["merchants:awa:available"]),
        ("(owner: \"awa\", status: FROZEN)", &[]),
    ] {
        let data = api.data(&format!("{{ accounts{arguments} {{ edges {{ node {{ address }} }} nodes {{ address }} }} }}")).await;
        let found: Vec<&str> =
            data["accounts"]["edges"].as_array().expect("edges").iter().filter_map(|edge| edge["node"]["address"].as_str()).collect();
        assert_eq!(found, expected, "{arguments}");
        assert_eq!(data["accounts"]["nodes"].as_array().map(Vec::len), Some(expected.len()));
    }
    for arguments in ["(currency: \"XXX\")", "(owner: \"\")", "(prefix: \"a::b\")"] {
        assert_eq!(api.ask(&format!("{{ accounts{arguments} {{ edges {{ cursor }} }} }}")).await.code(), "BAD_USER_INPUT", "{arguments}");
    }
}

#[tokio::test]
async fn a_rollup_sums_by_currency_and_kind() {
    let Shop { api, ledger: _ledger, .. } = shop().await;
    let data = api
        .data("{ rollup(prefix: \"merchants\") { currency kind accounts posted { amount } pending { amount } incoming { amount } available { amount } debits { amount } credits { amount } } none: rollup(prefix: \"nobody\") { accounts } }")
        .await;
    assert_eq!(
        data["rollup"],
        json!([{ "currency": "XOF", "kind": "LIABILITY", "accounts": 2, "posted": { "amount": "8600" }, "pending": { "amount": "2000" },
                 "incoming": { "amount": "50" }, "available": { "amount": "6600" }, "debits": { "amount": "10400" }, "credits": { "amount": "19000" } }])
    );
    assert_eq!(data["none"], json!([]));
}

#[tokio::test]
async fn an_entry_with_what_became_of_it() {
    let Shop { api, sale, reversal, hold, partial, ledger: _ledger, .. } = shop().await;
    let query = format!(
        "{{ sale: entry(id: \"{sale}\") {{ ...E reversedBy {{ id reverses {{ id }} }} dimensions {{ key value }} effectiveAt recordedAt position version }}
           reversal: entry(id: \"{reversal}\") {{ ...E reverses {{ reference }} }}
           hold: entry(id: \"{hold}\") {{ ...E expiresAt postedEffectiveAt }}
           partial: entry(id: \"{partial}\") {{ ...E }}
           none: entry(id: \"00000000-0000-4000-8000-000000000000\") {{ id }} }}
         fragment E on Entry {{ id state reference steps {{ state reason }}
           transfers {{ debit {{ address kind }} creditAddress credit {{ status }} amount {{ amount }} posted {{ amount }} reason }} }}"
    );
    let data = api.data(&query).await;
    assert_eq!(
        data["sale"],
        json!({
            "id": sale, "state": "REVERSED", "reference": "order-17", "steps": [{ "state": "REVERSED", "reason": "cancelled" }],
            "transfers": [{ "debit": { "address": "world", "kind": "LIABILITY" }, "creditAddress": "merchants:awa:available",
                "credit": { "status": "OPEN" }, "amount": { "amount": "10000" }, "posted": { "amount": "10000" }, "reason": null }],
            "reversedBy": { "id": reversal, "reverses": { "id": sale } },
            "dimensions": [{ "key": "country", "value": "BJ" }, { "key": "merchant", "value": "awa" }],
            "effectiveAt": "2026-03-15T08:00:00.000000Z", "recordedAt": "2026-03-16T12:00:00.000000Z", "position": 7, "version": 2,
        })
    );
    assert_eq!(data["reversal"]["reverses"]["reference"], "order-17");
    assert_eq!((&data["hold"]["state"], &data["hold"]["expiresAt"]), (&json!("HELD"), &json!("2026-03-20T00:00:00.000000Z")));
    assert_eq!((&data["hold"]["postedEffectiveAt"], &data["hold"]["transfers"][0]["posted"]["amount"]), (&Value::Null, &json!("0")));
    assert_eq!(data["partial"]["state"], "HOLD_POSTED");
    let moved = &data["partial"]["transfers"][0];
    assert_eq!((&moved["amount"]["amount"], &moved["posted"]["amount"]), (&json!("500"), &json!("300")));
    assert_eq!(data["none"], Value::Null);
}

fn count(answer: &Answer) -> usize {
    answer.data()["entries"]["edges"].as_array().expect("edges").len()
}

#[tokio::test]
async fn entries_by_every_filter() {
    let Shop { api, ledger: _ledger, .. } = shop().await;
    let all = 8;
    for (filter, expected) in [
        ("", all),
        ("account: \"income:fees\"", 1),
        ("account: \"world\"", all - 1),
        ("reference: \"order-17\"", 1),
        ("dimension: { key: \"merchant\", value: \"awa\" }", 1),
        ("dimension: { key: \"merchant\", value: \"awatou\" }", 0),
        ("effectiveTo: \"2026-03-16T00:00:00Z\"", 1),
        ("effectiveFrom: \"2026-03-16T00:00:00Z\"", all - 1),
        ("recordedFrom: \"2026-03-16T12:00:00Z\", recordedTo: \"2026-03-16T12:00:00.000001Z\"", all),
        ("recordedTo: \"2026-03-16T12:00:00Z\"", 0),
        ("state: HELD", 2),
        ("state: REVERSED, account: \"merchants:awa:available\"", 1),
    ] {
        let answer = api.ask(&format!("{{ entries(filter: {{ {filter} }}) {{ edges {{ node {{ id }} }} }} }}")).await;
        assert_eq!(count(&answer), expected, "{filter}");
    }
    for filter in ["dimension: { key: \"Nö\", value: \"x\" }", "reference: \"\""] {
        let answer = api.ask(&format!("{{ entries(filter: {{ {filter} }}) {{ edges {{ node {{ id }} }} }} }}")).await;
        assert_eq!(answer.code(), "BAD_USER_INPUT", "{filter}");
    }
    let nested = api.data("{ account(address: \"merchants:awa:available\") { entries(state: HOLD_VOIDED) { edges { node { transfers { amount { amount } } } } } } }").await;
    assert_eq!(nested["account"]["entries"]["edges"], json!([{ "node": { "transfers": [{ "amount": { "amount": "700" } }] } }]));
}

#[tokio::test]
async fn a_statement_from_opening_to_closing() {
    let Shop { api, ledger: _ledger, .. } = shop().await;
    let to = instant(NOON).saturating_add_secs(1);
    let data = api
        .data(&format!(
            "{{ statement(account: \"merchants:awa:available\", from: \"2026-03-16T00:00:00Z\", to: \"{to}\") {{
               address kind currency from to knownAt opening {{ amount }} closing {{ amount }} account {{ owner }}
               lines {{ asOfPosition edges {{ node {{ side amount {{ amount }} balance {{ amount }} counterparty reference line entry {{ state }} }} }} }} }}
               none: statement(account: \"nobody\", from: \"2026-03-16T00:00:00Z\", to: \"{to}\") {{ address }} }}"
        ))
        .await;
    let statement = &data["statement"];
    assert_eq!((&statement["opening"]["amount"], &statement["closing"]["amount"]), (&json!("10000"), &json!("8600")));
    let lines: Vec<(&str, &str, &str)> = statement["lines"]["edges"]
        .as_array()
        .expect("edges")
        .iter()
        .map(|edge| {
            let node = &edge["node"];
            let text = |value: &'static str, inner: &'static str| node[value][inner].as_str().expect("an amount");
            (node["side"].as_str().expect("a side"), text("amount", "amount"), text("balance", "amount"))
        })
        .collect();
    assert_eq!(lines, [("DEBIT", "100", "9900"), ("DEBIT", "10000", "-100"), ("CREDIT", "9000", "8900"), ("DEBIT", "300", "8600")]);
    assert_eq!(data["none"], Value::Null);
    let backward =
        api.ask("{ statement(account: \"world\", from: \"2026-03-17T00:00:00Z\", to: \"2026-03-16T00:00:00Z\") { address } }").await;
    assert_eq!(backward.code(), "BAD_USER_INPUT");
}

#[tokio::test]
async fn a_trial_balance_balances() {
    let Shop { api, ledger: _ledger, .. } = shop().await;
    let data = api
        .data("{ trialBalance { asOf knownAt sums { currency debits { amount } credits { amount } balanced } accounts { edges { node { address kind chartCode debits { amount } credits { amount } balance { amount } account { owner } } } } } }")
        .await;
    let trial = &data["trialBalance"];
    let francs = trial["sums"].as_array().expect("sums").iter().find(|sum| sum["currency"] == "XOF").expect("XOF");
    assert_eq!(francs, &json!({ "currency": "XOF", "debits": { "amount": "29400" }, "credits": { "amount": "29400" }, "balanced": true }));
    let accounts = trial["accounts"]["edges"].as_array().expect("edges");
    assert_eq!(accounts.len(), 5);
    assert_eq!(
        accounts[2]["node"],
        json!({ "address": "merchants:awa:available", "kind": "LIABILITY", "chartCode": "4191", "debits": { "amount": "10400" },
                "credits": { "amount": "19000" }, "balance": { "amount": "8600" }, "account": { "owner": "awa" } })
    );
}

#[tokio::test]
async fn the_head_and_how_far_the_read_models_are() {
    let Shop { api, ledger, .. } = shop().await;
    let data = api
        .data("{ head { journal position root } projections { name revision generation position lag lagSeconds state stoppedAt reason } }")
        .await;
    let head = cauri_event_store::EventStore::head(&*ledger.store).expect("a head");
    assert_eq!(data["head"], json!({ "journal": "ledger", "position": head.position.get(), "root": head.root.to_string() }));
    let projections = data["projections"].as_array().expect("projections");
    assert!(projections.len() >= 3, "{projections:?}");
    for projection in projections {
        assert_eq!(
            (&projection["state"], &projection["position"], &projection["lag"]),
            (&json!("LIVE"), &json!(head.position.get()), &json!(0)),
            "{projection}"
        );
    }
}

#[tokio::test]
async fn an_instant_is_read_alike_in_every_argument() {
    let ledger = Ledger::start();
    ledger.open("world", "liability");
    ledger.open("a:b", "liability");
    ledger.post("world", "a:b", 400);
    ledger.shown().await;
    let api = ledger.api();
    // What each says without the argument, and with it at the end of time.
    for (with, without, answer) in [
        ("balance(account: \"a:b\", asOf: $at) { posted { amount } }", "balance(account: \"a:b\") { posted { amount } }", "/balance"),
        ("rollup(prefix: \"a\", asOf: $at) { posted { amount } }", "rollup(prefix: \"a\") { posted { amount } }", "/rollup"),
        (
            "account(address: \"a:b\") { balance(asOf: $at) { posted { amount } } }",
            "account(address: \"a:b\") { balance { posted { amount } } }",
            "/account",
        ),
        ("trialBalance(asOf: $at) { sums { debits { amount } } }", "trialBalance { sums { debits { amount } } }", "/trialBalance"),
        ("entries(filter: { effectiveTo: $at }) { nodes { id } }", "entries { nodes { id } }", "/entries"),
        ("entries(filter: { recordedTo: $at }) { nodes { id } }", "entries { nodes { id } }", "/entries"),
        (
            "statement(account: \"a:b\", from: \"1900-01-01T00:00:00Z\", to: $at) { closing { amount } lines { nodes { effectiveAt } } }",
            "statement(account: \"a:b\", from: \"1900-01-01T00:00:00Z\", to: \"9999-12-31T00:00:00Z\") { closing { amount } lines { nodes { effectiveAt } } }",
            "/statement",
        ),
    ] {
        let expected = api.data(&format!("{{ {without} }}")).await;
        for last in ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999+14:00"] {
            let written = api.data(&format!("{{ {} }}", with.replace("$at", &format!("\"{last}\"")))).await;
            assert_eq!(written.pointer(answer), expected.pointer(answer), "{with} at {last}");
            let query = format!("query($at: Timestamp!) {{ {with} }}");
            let given = api.ask_with(&query, json!({ "at": last }), &[]).await;
            assert_eq!(given.data().pointer(answer), expected.pointer(answer), "{with} at {last}");
        }
        for (wrong, why) in [
            ("2026-10-31T23:59:59.999999999Z", "at most six digits after the second"),
            ("2026-10-31T00Z", "RFC 3339"),
            ("2026-10-31T00:00:00+01:00[Asia/Tokyo]", "RFC 3339"),
            ("2026-10-31T00:00:00+25:00", "an offset from UTC"),
            ("2016-12-31T23:59:60Z", "leap seconds are not counted"),
            ("9999-12-31T23:59:59-01:00", "9999-12-31T23:59:59.999999Z"),
        ] {
            let written = api.ask(&format!("{{ {} }}", with.replace("$at", &format!("\"{wrong}\"")))).await;
            let given = api.ask_with(&format!("query($at: Timestamp!) {{ {with} }}"), json!({ "at": wrong }), &[]).await;
            for answer in [written, given] {
                assert_eq!(answer.code(), "BAD_USER_INPUT", "{with} at {wrong}");
                assert!(answer.message().contains(why), "{}", answer.message());
            }
        }
    }
}

#[tokio::test]
async fn annotations_are_read_found_and_stand_among_the_steps() {
    let Shop { ledger, hold, .. } = shop().await;
    let id: cauri_domain::ids::EntryId = hold.parse().expect("an id");
    let annotate = |set: Value, remove: Value| {
        let annotate = json!({ "set": set, "remove": remove, "reason": "the payee called" });
        ledger.submit(|_| LedgerCommand::entry(id, EntryAction::Annotate(serde_json::from_value(annotate).expect("pairs"))));
    };
    annotate(json!({ "case": "17", "ticket": "t-1" }), json!([]));
    annotate(json!({ "case": "18" }), json!(["ticket"]));
    ledger.shown().await;
    let found = "entries(filter: { annotation: { key: \"case\", value:";
    let data = ledger
        .api()
        .data(&format!(
            "{{ entry(id: \"{hold}\") {{ state version annotations {{ key value }} steps {{ state effectiveAt reason }} }}
                now: {found} \"18\" }} }}) {{ edges {{ node {{ id }} }} }}
                before: {found} \"17\" }} }}) {{ edges {{ node {{ id }} }} }}
                events: journal(stream: \"entry/{hold}\", first: 9) {{ edges {{ node {{ type }} }} }} }}"
        ))
        .await;
    let step = json!({ "state": "HELD", "effectiveAt": null, "reason": "the payee called" });
    assert_eq!(
        data["entry"],
        json!({ "state": "HELD", "version": 3, "annotations": [{ "key": "case", "value": "18" }], "steps": [step, step] })
    );
    assert_eq!(data["now"]["edges"], json!([{ "node": { "id": hold } }]));
    assert_eq!(data["before"]["edges"], json!([]));
    let types: Vec<&str> =
        data["events"]["edges"].as_array().expect("events").iter().filter_map(|edge| edge["node"]["type"].as_str()).collect();
    assert_eq!(types, ["entry.held", "entry.annotated", "entry.annotated"]);
}

#[tokio::test]
async fn an_account_set_says_what_is_in_it_and_an_account_in_which_sets_it_is() {
    let Shop { ledger, .. } = shop().await;
    for name in ["merchants", "merchants.cotonou"] {
        ledger.change_set(name, "create", json!({ "name": name, "description": "Marchands", "metadata": { "country": "BJ" } }));
    }
    let january = "2026-01-01T00:00:00Z";
    let add = |set: &str, member: Value| ledger.change_set(set, "add", json!({ "member": member, "effective_at": january }));
    add("merchants", json!({ "set": "merchants.cotonou" }));
    add("merchants", json!({ "account": "merchants:awatou" }));
    add("merchants.cotonou", json!({ "account": "merchants:awa:available" }));
    add("merchants.cotonou", json!({ "account": "merchants:awatou" }));
    let left = json!({ "member": { "account": "merchants:awatou" }, "effective_at": "2026-02-01T00:00:00Z" });
    ledger.change_set("merchants.cotonou", "remove", left);
    ledger.shown().await;
    let data = ledger
        .api()
        .data(
            "{ accountSet(name: \"merchants\") { name description metadata { key value } version
                 members { edges { node { account { address } set { name members(asOf: \"2026-01-15T00:00:00Z\") { edges { node {
                   account { address } since until } } } } since until } } }
                 accounts { edges { node { address balance { posted { amount } } } } }
                 before: accounts(asOf: \"2025-12-31T23:59:59Z\") { edges { node { address } } } }
               none: accountSet(name: \"nobody\") { name }
               of: accountSets(account: \"merchants:awatou\", asOf: \"2026-01-15T00:00:00Z\") { edges { node { name } } }
               now: accountSets(account: \"merchants:awatou\") { edges { node { name } } } }",
        )
        .await;
    let (since, until) = ("2026-01-01T00:00:00.000000Z", "2026-02-01T00:00:00.000000Z");
    assert_eq!(
        data["accountSet"],
        json!({
            "name": "merchants", "description": "Marchands", "metadata": [{ "key": "country", "value": "BJ" }], "version": 3,
            "members": { "edges": [
                { "node": { "account": { "address": "merchants:awatou" }, "set": null, "since": since, "until": null } },
                { "node": { "account": null, "since": since, "until": null, "set": { "name": "merchants.cotonou", "members": { "edges": [
                    { "node": { "account": { "address": "merchants:awa:available" }, "since": since, "until": null } },
                    { "node": { "account": { "address": "merchants:awatou" }, "since": since, "until": until } },
                ] } } } },
            ] },
            // Awatou is in it by itself; Awa through the set.
            "accounts": { "edges": [
                { "node": { "address": "merchants:awa:available", "balance": { "posted": { "amount": "8600" } } } },
                { "node": { "address": "merchants:awatou", "balance": { "posted": { "amount": "0" } } } },
            ] },
            "before": { "edges": [] },
        })
    );
    assert_eq!(data["none"], Value::Null);
    assert_eq!(data["of"]["edges"], json!([{ "node": { "name": "merchants" } }, { "node": { "name": "merchants.cotonou" } }]));
    assert_eq!(data["now"]["edges"], json!([{ "node": { "name": "merchants" } }]));
    let answer = ledger.api().ask("{ accountSets(asOf: \"2026-01-15T00:00:00Z\") { edges { node { name } } } }").await;
    assert_eq!(answer.code(), "BAD_USER_INPUT");
    assert!(answer.message().contains("`asOf` goes with `account`"), "{}", answer.message());
    let answer = ledger.api().ask("{ accountSet(name: \"No Name\") { name } }").await;
    assert!(answer.message().contains("is not the name of an account set"), "{}", answer.message());
}
