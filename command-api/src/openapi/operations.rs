//! Every operation of the API.

use cauri_http::auth::role::Permission;
use serde_json::json;

use super::operation::{Body, Example, Operation, Reply, shape};
use crate::command::commands;
use crate::examples::{BEN, FEES, FLOAT, RECEIVABLE, key, moves};
use crate::readiness::Readiness;
use crate::routes::bulk::{BulkAnswer, NDJSON};
use crate::routes::{AcceptGap, GapAnswer, HISTORIES, HeadAnswer, RebuildAnswer};

/// Every operation: those of the commands as they are declared, then the others.
pub(super) fn operations() -> Vec<Operation> {
    let mut operations: Vec<Operation> = commands().map(|command| (command.operation)()).collect();
    let open = |address: &str, kind: &str| json!({ "op": "open_account", "address": address, "kind": kind, "currency": "XOF" });
    let lines = [
        json!({ "op": "open_account", "address": BEN, "kind": "liability", "currency": "XOF", "limits": { "floor": "0" } }),
        json!({ "op": "freeze_account", "address": FLOAT, "reason": "not yet funded" }),
        json!({ "op": "unfreeze_account", "address": FLOAT }),
    ];
    let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let others = [
        Operation {
            method: "post",
            permission: Some(Permission::Write),
            body: Body::Bulk,
            success: vec![(200, "Every command has its result, in order.", Reply::Json(shape::<BulkAnswer>))],
            examples: vec![
                Example::new("open_many", 200, "The accounts that a collection touches").with(key("chart-1")).body(json!([
                    open(RECEIVABLE, "asset"),
                    open(FLOAT, "asset"),
                    open(FEES, "income"),
                    open("liabilities:taxes:taf", "liability"),
                    open("expenses:providers:wave", "expense"),
                ])),
                Example::new("lines", 200, "The same as lines").with(key("chart-2")).body_of(NDJSON, json!(lines)),
                Example::new("all_or_none", 422, "The second command is refused, so nothing of the first is written")
                    .with(("atomic", "true"))
                    .with(key("day-1"))
                    .body(json!([
                        { "op": "post_entry", "transfers": [moves(RECEIVABLE, BEN, "100")] },
                        { "op": "post_entry", "transfers": [moves(BEN, RECEIVABLE, "200")] },
                    ])),
                Example::new("misspelt_op", 400, "An item that cannot be understood is pointed at")
                    .body(json!({ "atomic": false, "commands": [{ "op": "post_money", "transfers": [] }] })),
            ],
            ..Operation::get(
                "bulk",
                "/v1/bulk",
                "bulk",
                "Submit up to 8,189 commands",
                "Each for itself, or with `atomic` all or none. An item is the body of the single command with `op` and, where the single \
                    command has its target in the path, `address` or `id`. Without a key of its own its key is `<Idempotency-Key>/<index>`. A request with \
                    an item that cannot be understood is refused whole.",
            )
        },
        Operation {
            examples: vec![Example::new("head", 200, "The head after all of this")],
            ..Operation::get("head", "/v1/head", "journal", "How far the journal is", "The last position and the Merkle root there.")
                .read(Reply::Json(shape::<HeadAnswer>))
        },
        Operation {
            success: vec![(200, "It is.", Reply::Any)],
            ..Operation::get("alive", "/healthz", "service", "Whether the process is alive", "It says nothing about the engine.")
        },
        Operation {
            success: vec![
                (200, "It does.", Reply::Json(shape::<Readiness>)),
                (503, "It does not, or not now.", Reply::Json(shape::<Readiness>)),
            ],
            examples: vec![Example::new("ready", 200, "All is well")],
            ..Operation::get(
                "ready",
                "/readyz",
                "service",
                "Whether this process takes requests",
                "Whether there is a reason against it, and the names of the reasons. A caller with a token that may read also gets what was looked at: engine, store, clock and the lag of the read models.",
            )
        },
        Operation {
            method: "post",
            permission: Some(Permission::Administer),
            body: Body::Required(shape::<AcceptGap>),
            success: vec![(200, "The clock is accepted, or there was nothing to accept.", Reply::Json(shape::<GapAnswer>))],
            examples: vec![
                Example::new("no_gap", 200, "The clock did not leap: there is nothing to accept")
                    .body(json!({ "now": "2026-03-16T08:00:00Z" })),
            ],
            ..Operation::get(
                "acceptClockGap",
                "/v1/clock/accept-gap",
                "service",
                "Accept a leap of the clock",
                "For a `clock_gap`: the clock is ahead of the last record or of the time that passed, and it is right. State what the time is, from \
                 another source than this server; the clock is accepted if it reads the same within five minutes. Who accepted what goes to the log.",
            )
        },
        Operation {
            method: "post",
            permission: Some(Permission::Administer),
            target: Some(("name", "The read model, such as `accounts`.", |_| Some(json!({ "type": "string" })))),
            success: vec![(202, "It is being built anew, or was already.", Reply::Json(shape::<RebuildAnswer>))],
            examples: vec![
                Example::new("rebuild", 202, "The accounts and what stands in their group are built anew").with(("name", "accounts")),
                Example::new("rebuild_of_nothing", 404, "There is no such read model").with(("name", "ledgers")),
            ],
            ..Operation::get(
                "rebuildReadModel",
                "/v1/read_models/{name}/rebuild",
                "service",
                "Build a read model anew",
                "With the others of its group, beside the live ones: these answer until the new ones have caught up, their digests are \
                 known, and they take the place. `projections` in GraphQL shows how far they are.",
            )
        },
        Operation {
            success: vec![(200, "The figures.", Reply::Text)],
            ..Operation::get("metrics", "/metrics", "service", "Figures for Prometheus", "Text in Prometheus' format.")
        },
    ];
    operations.extend(HISTORIES.iter().map(|history| (history.operation)()));
    operations.extend(others.into_iter().map(Operation::named));
    operations
}
