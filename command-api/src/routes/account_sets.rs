//! `/v1/account_sets`: create a set; add accounts and sets, and remove them.

use std::sync::Arc;

use cauri_domain::LedgerCommand;
use cauri_domain::account_set::{AccountSetAction, AccountSetCommand, ChangeMembers, CreateAccountSet, InvalidSetName, SetName};
use cauri_event_schemas::ledger::StreamId;
use cauri_http::auth::layer::Write;
use cauri_http::problem::FieldProblem;
use schemars::{JsonSchema, SchemaGenerator};
use serde::Deserialize;
use serde_json::{Value, json};

use super::history::History;
use crate::command::{ApiCommand, Asked, Declaration, InBody, Target};
use crate::examples::{AWA, key};
use crate::openapi::Example;

/// What can be asked of an account set.
pub(crate) const COMMANDS: &[Declaration] =
    &[Declaration::of::<CreateAccountSet>(), Declaration::of::<AddToAccountSet>(), Declaration::of::<RemoveFromAccountSet>()];

const MERCHANTS: &str = "merchants";
const ABIDJAN: &str = "merchants.abidjan";

impl Target for SetName {
    const MEMBER: Option<&'static str> = Some("name");
    const SCHEMA: &'static str = "SetName";
    const MEANING: &'static str = "The set's name.";

    fn schema(generator: &mut SchemaGenerator) -> Option<Value> {
        Some(generator.subschema_for::<Self>().to_value())
    }

    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|error: InvalidSetName| error.to_string())
    }
}

fn act(name: SetName, action: AccountSetAction) -> Result<Asked, FieldProblem> {
    Ok(LedgerCommand::AccountSet(AccountSetCommand { name, action: Arc::new(action) }).into())
}

impl ApiCommand for CreateAccountSet {
    type Target = InBody;
    type Need = Write;
    const OP: &'static str = "create_account_set";
    const PATH: &'static str = "/v1/account_sets";
    const SUMMARY: &'static str = "Create an account set";
    const DESCRIPTION: &'static str = "A name for accounts that belong together; it has no members yet. Its name is given once.";
    const ACCEPTED: (u16, &'static str) = (201, "The set is there.");

    fn ask(self, InBody: InBody) -> Result<Asked, FieldProblem> {
        act(self.name.clone(), AccountSetAction::Create(self))
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("create_set", 201, "All merchants").with(key("set-merchants")).body(json!({
                "name": MERCHANTS, "description": "All merchants", "metadata": { "owner": "sales" },
            })),
            Example::new("create_subset", 201, "Those of one town").with(key("set-abidjan")).body(json!({ "name": ABIDJAN })),
            Example::new("create_set_again", 422, "The name is taken").with(key("set-abidjan-2")).body(json!({ "name": ABIDJAN })),
        ]
    }
}

/// Add a member to an account set.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct AddToAccountSet(ChangeMembers);

impl ApiCommand for AddToAccountSet {
    type Target = SetName;
    type Need = Write;
    const OP: &'static str = "add_to_account_set";
    const PATH: &'static str = "/v1/account_sets/{name}/add";
    const SUMMARY: &'static str = "Add an account or a set to an account set";
    const DESCRIPTION: &'static str = "From a date on, which may lie in the past. An account may be in many sets. No set is in itself, directly or \
        through others, at any date.";

    fn ask(self, name: SetName) -> Result<Asked, FieldProblem> {
        act(name, AccountSetAction::Add(self.0))
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("add_account", 200, "Awa's shop is in Abidjan, since January")
                .of(ABIDJAN)
                .with(key("abidjan-awa"))
                .body(json!({ "member": { "account": AWA }, "effective_at": "2026-01-01T00:00:00Z" })),
            Example::new("add_set", 200, "Merchants of a town are merchants")
                .of(MERCHANTS)
                .with(key("merchants-abidjan"))
                .body(json!({ "member": { "set": ABIDJAN }, "effective_at": "2026-01-01T00:00:00Z" })),
            Example::new("cycle", 422, "A set is never in itself")
                .of(ABIDJAN)
                .with(key("abidjan-merchants"))
                .body(json!({ "member": { "set": MERCHANTS } })),
        ]
    }
}

/// Remove a member from an account set.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct RemoveFromAccountSet(ChangeMembers);

impl ApiCommand for RemoveFromAccountSet {
    type Target = SetName;
    type Need = Write;
    const OP: &'static str = "remove_from_account_set";
    const PATH: &'static str = "/v1/account_sets/{name}/remove";
    const SUMMARY: &'static str = "Remove an account or a set from an account set";
    const DESCRIPTION: &'static str = "From a date on, after the one at which it was added. What it was in before stays so.";

    fn ask(self, name: SetName) -> Result<Asked, FieldProblem> {
        act(name, AccountSetAction::Remove(self.0))
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("remove_account", 200, "The shop has moved")
                .of(ABIDJAN)
                .with(key("abidjan-awa-left"))
                .body(json!({ "member": { "account": AWA }, "reason": "the shop has moved" })),
            Example::new("remove_account_again", 422, "It is not in the set any more")
                .of(ABIDJAN)
                .with(key("abidjan-awa-left-2"))
                .body(json!({ "member": { "account": AWA } })),
        ]
    }
}

impl History for SetName {
    const PATH: &'static str = "/v1/account_sets/{name}";
    const OPERATION: &'static str = "accountSetHistory";
    const SUMMARY: &'static str = "What happened to an account set";
    const DESCRIPTION: &'static str = "The events of the set, and the version for `If-Match`. Who is in it when is in GraphQL.";

    fn stream(self) -> StreamId {
        StreamId::AccountSet(self)
    }

    fn examples() -> Vec<Example> {
        vec![Example::new("set_history", 200, "What happened to the set").of(ABIDJAN)]
    }
}
