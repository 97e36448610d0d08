//! `/v1/entries`: post or hold; post, void or reverse what is there.

use cauri_domain::LedgerCommand;
use cauri_domain::entry::{AnnotateEntry, EntryAction, PostEntry, PostHold, ReverseEntry, VoidHold};
use cauri_domain::ids::EntryId;
use cauri_domain::money::UncheckedMoney;
use cauri_domain::time::Timestamp;
use cauri_event_schemas::ledger::StreamId;
use cauri_http::auth::layer::Write;
use cauri_http::problem::FieldProblem;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::history::History;
use crate::command::{ApiCommand, Asked, Declaration, InBody};
use crate::examples::{AWA, CANCELLED, COLLECTION, FEES, FLOAT, PAYOUT, RECEIVABLE, key, moves, xof};
use crate::openapi::Example;

/// What can be asked of an entry.
pub(crate) const COMMANDS: &[Declaration] = &[
    Declaration::of::<PostEntry>(),
    Declaration::of::<PostHoldBody>(),
    Declaration::of::<VoidHold>(),
    Declaration::of::<ReverseEntry>(),
    Declaration::of::<AnnotateEntry>(),
];

fn act(id: EntryId, action: EntryAction) -> Result<Asked, FieldProblem> {
    Ok(LedgerCommand::entry(id, action).into())
}

impl ApiCommand for PostEntry {
    type Target = InBody;
    type Need = Write;
    const OP: &'static str = "post_entry";
    const PATH: &'static str = "/v1/entries";
    const SUMMARY: &'static str = "Post an entry, or hold it";
    const DESCRIPTION: &'static str = "All transfers or none; limits hold after all of them. With `hold` the money is taken from what is available and \
        moves when the hold is posted.";
    const ACCEPTED: (u16, &'static str) = (201, "The entry is written.");

    fn ask(self, InBody: InBody) -> Result<Asked, FieldProblem> {
        Ok(self.into())
    }

    fn examples() -> Vec<Example> {
        let collection = json!({
            "id": COLLECTION,
            "effective_at": "2026-03-16T08:00:00Z",
            "reference": "T_7KQ2M9",
            "dimensions": { "merchant": "awa", "provider": "wave", "country": "CI" },
            "transfers": [
                moves(RECEIVABLE, AWA, "9890"),
                moves(RECEIVABLE, FEES, "100"),
                moves(RECEIVABLE, "liabilities:taxes:taf", "10"),
                moves("expenses:providers:wave", RECEIVABLE, "50"),
            ],
        });
        vec![
            Example::new("collection", 201, "A customer pays 10,000 by Wave: fee 100, tax 10, cost 50")
                .with(key("T_7KQ2M9"))
                .body(collection.clone()),
            Example::new("collection_again", 201, "The same key and content: the first answer again")
                .with(key("T_7KQ2M9"))
                .body(collection),
            Example::new("key_reused", 422, "The same key with another content")
                .with(key("T_7KQ2M9"))
                .body(json!({ "transfers": [moves(RECEIVABLE, AWA, "9891")] })),
            Example::new("payout_hold", 201, "A payout of 5,000 with a fee of 50 is held until the provider has answered")
                .with(key("payout-1"))
                .body(json!({
                    "id": PAYOUT,
                    "hold": { "expires_at": "2099-12-31T00:00:00Z" },
                    "transfers": [moves(AWA, FLOAT, "5000"), moves(AWA, FEES, "50")],
                })),
            Example::new("small_hold", 201, "A hold that is given up again")
                .with(key("payout-2"))
                .body(json!({ "id": CANCELLED, "hold": {}, "transfers": [moves(AWA, FLOAT, "1000")] })),
            Example::new("below_floor", 422, "More than is available, counting holds")
                .with(key("payout-3"))
                .body(json!({ "transfers": [moves(AWA, FLOAT, "9000")] })),
            Example::new("without_a_side", 400, "A transfer needs both sides")
                .body(json!({ "transfers": [{ "debit": AWA, "amount": xof("1") }] })),
        ]
    }
}

/// Post a hold, whole or in part; the rest is released.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[schemars(rename = "PostHold")]
#[serde(deny_unknown_fields)]
pub struct PostHoldBody {
    /// How much of a hold with one transfer; short for `amounts` with one amount, and instead of it.
    #[serde(default)]
    pub amount: Option<UncheckedMoney>,
    /// One amount for each transfer of the hold, in order; everything if absent. Zero is allowed.
    #[serde(default)]
    pub amounts: Option<Vec<UncheckedMoney>>,
    /// The business time of the posting; now if absent.
    #[serde(default)]
    pub effective_at: Option<Timestamp>,
}

impl ApiCommand for PostHoldBody {
    type Target = EntryId;
    type Need = Write;
    const OP: &'static str = "post_hold";
    const PATH: &'static str = "/v1/entries/{id}/post";
    const SUMMARY: &'static str = "Post a hold";
    const DESCRIPTION: &'static str =
        "Whole, or in part; the rest is released. `amount` is short for `amounts` where the hold has one transfer.";

    fn without_body() -> Option<Self> {
        Some(Self::default())
    }

    fn ask(self, id: EntryId) -> Result<Asked, FieldProblem> {
        let amounts = match (self.amount, self.amounts) {
            (Some(_), Some(_)) => {
                return Err(FieldProblem::new("invalid_value", "/amount", "a hold is posted with either `amount` or `amounts`, not both"));
            }
            (Some(amount), None) => Some(vec![amount]),
            (None, amounts) => amounts,
        };
        act(id, EntryAction::PostHold(PostHold { amounts, effective_at: self.effective_at }))
    }

    fn as_written(&self) -> fn(String) -> String {
        match self.amount {
            Some(_) => |pointer| pointer.replace("/amounts/0", "/amount").replace("/amounts", "/amount"),
            None => |pointer| pointer,
        }
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("payout_succeeded", 200, "The provider paid: both transfers in full")
                .of(PAYOUT)
                .with(("If-Match", "\"1\""))
                .with(key("payout-1-post"))
                .body(json!({ "amounts": [xof("5000"), xof("50")] })),
            Example::new("stale_version", 412, "Somebody was faster")
                .of(PAYOUT)
                .with(("If-Match", "\"1\""))
                .with(key("payout-1-post-2"))
                .body(json!({})),
            Example::new("too_much", 422, "More than was held")
                .of(CANCELLED)
                .with(key("payout-2-post"))
                .body(json!({ "amount": xof("1001") })),
        ]
    }
}

impl ApiCommand for VoidHold {
    type Target = EntryId;
    type Need = Write;
    const OP: &'static str = "void_hold";
    const PATH: &'static str = "/v1/entries/{id}/void";
    const SUMMARY: &'static str = "Void a hold";
    const DESCRIPTION: &'static str = "What was held is available again.";

    fn without_body() -> Option<Self> {
        Some(Self::default())
    }

    fn ask(self, id: EntryId) -> Result<Asked, FieldProblem> {
        act(id, EntryAction::VoidHold(self))
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("payout_failed", 200, "The provider did not pay")
                .of(CANCELLED)
                .with(key("payout-2-void"))
                .body(json!({ "reason": "PAYEE_NOT_FOUND" })),
            Example::new("void_posted", 422, "What was posted cannot be voided").of(PAYOUT).with(key("payout-1-void")).body(json!({})),
        ]
    }
}

impl ApiCommand for ReverseEntry {
    type Target = EntryId;
    type Need = Write;
    const OP: &'static str = "reverse_entry";
    const PATH: &'static str = "/v1/entries/{id}/reverse";
    const SUMMARY: &'static str = "Reverse an entry";
    const DESCRIPTION: &'static str = "The opposite entry is posted, once; the answer names it in `entry_id`.";

    fn without_body() -> Option<Self> {
        Some(Self::default())
    }

    fn ask(self, id: EntryId) -> Result<Asked, FieldProblem> {
        act(id, EntryAction::Reverse(self))
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("payout_returned", 200, "The payout came back")
                .of(PAYOUT)
                .with(key("payout-1-reverse"))
                .body(json!({ "reason": "account of the payee is closed", "entry_id": "01957f00-0000-7000-8000-000000000004" })),
            Example::new("reversed_before", 422, "Once").of(PAYOUT).with(key("payout-1-reverse-2")).body(json!({})),
        ]
    }
}

impl ApiCommand for AnnotateEntry {
    type Target = EntryId;
    type Need = Write;
    const OP: &'static str = "annotate_entry";
    const PATH: &'static str = "/v1/entries/{id}/annotate";
    const SUMMARY: &'static str = "Annotate an entry";
    const DESCRIPTION: &'static str = "Pairs that say something of the entry are set or removed, whatever became of it. They move nothing and leave \
        its dimensions as they are.";

    fn ask(self, id: EntryId) -> Result<Asked, FieldProblem> {
        act(id, EntryAction::Annotate(self))
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("case_opened", 200, "The collection is looked into").of(COLLECTION).with(key("case-17")).body(json!({
                "set": { "case": "2026-17", "reviewed_by": "compliance" },
                "reason": "the payer denies it",
            })),
            Example::new("case_closed", 200, "The case is over")
                .of(COLLECTION)
                .with(key("case-17-over"))
                .body(json!({ "set": { "case": "2026-17 closed" }, "remove": ["reviewed_by"] })),
            Example::new("nothing_to_annotate", 400, "At least one pair is set or removed")
                .of(COLLECTION)
                .with(key("case-18"))
                .body(json!({ "set": {} })),
        ]
    }
}

impl History for EntryId {
    const PATH: &'static str = "/v1/entries/{id}";
    const OPERATION: &'static str = "entryHistory";
    const SUMMARY: &'static str = "What happened to an entry";
    const DESCRIPTION: &'static str = "The events of the entry, and the version for `If-Match`.";

    fn stream(self) -> StreamId {
        StreamId::Entry(self)
    }

    fn examples() -> Vec<Example> {
        vec![Example::new("hold_history", 200, "What happened to the payout").of(PAYOUT)]
    }
}
