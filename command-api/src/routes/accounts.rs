//! `/v1/accounts`: open, freeze, unfreeze, close, reopen, limit.

use cauri_domain::LedgerCommand;
use cauri_domain::account::{AccountAction, ChangeLimits, CloseAccount, FreezeAccount, OpenAccount};
use cauri_domain::ids::AccountAddress;
use cauri_event_schemas::ledger::StreamId;
use cauri_http::auth::layer::Write;
use cauri_http::problem::FieldProblem;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::history::History;
use crate::command::{ApiCommand, Asked, Declaration, InBody};
use crate::examples::{AWA, BEN, NOBODY, key};
use crate::openapi::Example;

/// Opens an account.
pub(crate) const OPENING: &[Declaration] = &[Declaration::of::<OpenAccount>()];

/// What can be asked of an account that was opened.
pub(crate) const COMMANDS: &[Declaration] = &[
    Declaration::of::<FreezeAccount>(),
    Declaration::of::<UnfreezeAccount>(),
    Declaration::of::<ChangeLimits>(),
    Declaration::of::<CloseAccount>(),
    Declaration::of::<ReopenAccount>(),
];

fn act(address: AccountAddress, action: AccountAction) -> Result<Asked, FieldProblem> {
    Ok(LedgerCommand::account(address, action).into())
}

impl ApiCommand for OpenAccount {
    type Target = InBody;
    type Need = Write;
    const OP: &'static str = "open_account";
    const PATH: &'static str = "/v1/accounts";
    const SUMMARY: &'static str = "Open an account";
    const DESCRIPTION: &'static str = "An address is opened once; a closed account is reopened, not opened again.";
    const ACCEPTED: (u16, &'static str) = (201, "The account is open.");

    fn ask(self, InBody: InBody) -> Result<Asked, FieldProblem> {
        Ok(LedgerCommand::open_account(self).into())
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("open_merchant", 201, "A merchant's money: a liability that may not fall below zero").with(key("open-awa")).body(
                json!({
                    "address": AWA, "kind": "liability", "currency": "XOF", "limits": { "floor": "0" },
                    "chart_code": "4671", "owner": "party-awa", "metadata": { "country": "CI" },
                }),
            ),
            Example::new("open_twice", 422, "The address is taken")
                .with(key("open-awa-2"))
                .body(json!({ "address": AWA, "kind": "asset", "currency": "XOF" })),
            Example::new("limit_as_number", 400, "A limit is a decimal string, not a JSON number")
                .body(json!({ "address": "wallets:c1", "kind": "liability", "currency": "XOF", "limits": { "floor": 0 } })),
        ]
    }
}

impl ApiCommand for FreezeAccount {
    type Target = AccountAddress;
    type Need = Write;
    const OP: &'static str = "freeze_account";
    const PATH: &'static str = "/v1/accounts/{address}/freeze";
    const SUMMARY: &'static str = "Freeze an account";
    const DESCRIPTION: &'static str = "Holds may be voided or expire, nothing else moves.";

    fn without_body() -> Option<Self> {
        Some(Self::default())
    }

    fn ask(self, address: AccountAddress) -> Result<Asked, FieldProblem> {
        act(address, AccountAction::Freeze(self))
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("freeze", 200, "An investigation").of(BEN).with(key("freeze-ben")).body(json!({ "reason": "case 2026-17" })),
            Example::new("freeze_nobody", 422, "There is no such account").of(NOBODY).with(key("f-2")).body(json!({})),
        ]
    }
}

/// Unfreeze an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnfreezeAccount {}

impl ApiCommand for UnfreezeAccount {
    type Target = AccountAddress;
    type Need = Write;
    const OP: &'static str = "unfreeze_account";
    const PATH: &'static str = "/v1/accounts/{address}/unfreeze";
    const SUMMARY: &'static str = "Unfreeze an account";
    const DESCRIPTION: &'static str = "It takes entries again.";

    fn without_body() -> Option<Self> {
        Some(Self {})
    }

    fn ask(self, address: AccountAddress) -> Result<Asked, FieldProblem> {
        act(address, AccountAction::Unfreeze)
    }

    fn examples() -> Vec<Example> {
        vec![Example::new("unfreeze", 200, "The investigation is over").of(BEN).with(key("unfreeze-ben"))]
    }
}

impl ApiCommand for ChangeLimits {
    type Target = AccountAddress;
    type Need = Write;
    const OP: &'static str = "change_limits";
    const PATH: &'static str = "/v1/accounts/{address}/limits";
    const SUMMARY: &'static str = "Replace an account's limits";
    const DESCRIPTION: &'static str = "Both at once: what is absent is no longer limited. The balance must be within the new limits.";

    fn ask(self, address: AccountAddress) -> Result<Asked, FieldProblem> {
        act(address, AccountAction::ChangeLimits(self))
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("limit", 200, "An overdraft of 5,000 and a ceiling of 2,000,000")
                .of(BEN)
                .with(key("limit-ben"))
                .body(json!({ "limits": { "floor": "-5000", "ceiling": "2000000" } })),
        ]
    }
}

impl ApiCommand for CloseAccount {
    type Target = AccountAddress;
    type Need = Write;
    const OP: &'static str = "close_account";
    const PATH: &'static str = "/v1/accounts/{address}/close";
    const SUMMARY: &'static str = "Close an account";
    const DESCRIPTION: &'static str = "What is left goes to `sweep_to` in the same commit; the answer names that entry in `entry_id`.";

    fn without_body() -> Option<Self> {
        Some(Self::default())
    }

    fn ask(self, address: AccountAddress) -> Result<Asked, FieldProblem> {
        act(address, AccountAction::Close(self))
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("not_empty", 422, "Something is left and has nowhere to go").of(AWA).with(key("close-awa")).body(json!({})),
            Example::new("close", 200, "What is left goes to another account")
                .of(AWA)
                .with(key("close-awa-2"))
                .body(json!({ "sweep_to": BEN, "reason": "the shop has moved", "entry_id": "01957f00-0000-7000-8000-000000000005" })),
        ]
    }
}

/// Reopen a closed account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReopenAccount {}

impl ApiCommand for ReopenAccount {
    type Target = AccountAddress;
    type Need = Write;
    const OP: &'static str = "reopen_account";
    const PATH: &'static str = "/v1/accounts/{address}/reopen";
    const SUMMARY: &'static str = "Reopen a closed account";
    const DESCRIPTION: &'static str = "It is open as it was before.";

    fn without_body() -> Option<Self> {
        Some(Self {})
    }

    fn ask(self, address: AccountAddress) -> Result<Asked, FieldProblem> {
        act(address, AccountAction::Reopen)
    }

    fn examples() -> Vec<Example> {
        vec![Example::new("reopen", 200, "The shop is back").of(AWA).with(key("reopen-awa"))]
    }
}

impl History for AccountAddress {
    const PATH: &'static str = "/v1/accounts/{address}";
    const OPERATION: &'static str = "accountHistory";
    const SUMMARY: &'static str = "What happened to an account";
    const DESCRIPTION: &'static str =
        "The events of the account itself, and the version for `If-Match`. Entries, balances and statements are in GraphQL.";

    fn stream(self) -> StreamId {
        StreamId::Account(self)
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("merchant_history", 200, "What happened to the merchant's account").of(AWA),
            Example::new("nobodys_history", 404, "Nothing ever happened there").of(NOBODY),
        ]
    }
}
