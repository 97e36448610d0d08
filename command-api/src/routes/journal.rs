//! `/v1/journal`: change its rules; close it for good.

use cauri_domain::LedgerCommand;
use cauri_domain::journal::{ChangeRules, CloseJournal, JournalCommand};
use cauri_http::auth::layer::Administer;
use cauri_http::problem::FieldProblem;
use serde_json::json;

use crate::command::{ApiCommand, Asked, Declaration, InBody};
use crate::examples::key;
use crate::openapi::Example;

/// What can be asked of the journal itself.
pub(crate) const COMMANDS: &[Declaration] = &[Declaration::of::<ChangeRules>(), Declaration::of::<CloseJournal>()];

impl ApiCommand for ChangeRules {
    type Target = InBody;
    type Need = Administer;
    const OP: &'static str = "change_rules";
    const PATH: &'static str = "/v1/journal/rules";
    const SUMMARY: &'static str = "Change the parameters of the journal's rules";
    const DESCRIPTION: &'static str = "They stand in the journal and hold for every command after this one, on whichever node; what was decided before \
        stays as it is.";
    // Who may write may not change by what it is decided.
    const IS_BULK_ITEM: bool = false;

    fn ask(self, InBody: InBody) -> Result<Asked, FieldProblem> {
        if !self.changes_something() {
            return Err(FieldProblem::new("missing_field", "", "name at least one parameter of the rules"));
        }
        Ok(LedgerCommand::Journal(JournalCommand::ChangeRules(self)).into())
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("a_month_ahead", 200, "Entries may be dated 31 days ahead")
                .with(key("rules-1"))
                .body(json!({ "max_future_days": 31, "reason": "payday loans" })),
            Example::new("slow_restart", 200, "A machine may be off for 30 days")
                .with(key("rules-3"))
                .body(json!({ "clock_gap_days": 30, "reason": "moved to another data centre" })),
            Example::new("no_rule", 400, "A reason changes nothing by itself").with(key("rules-4")).body(json!({ "reason": "review" })),
            Example::new("too_many_days", 400, "0 to 3,660 days").with(key("rules-2")).body(json!({ "max_future_days": 70_000 })),
        ]
    }
}

impl ApiCommand for CloseJournal {
    type Target = InBody;
    type Need = Administer;
    const OP: &'static str = "close_journal";
    const PATH: &'static str = "/v1/journal/close";
    const SUMMARY: &'static str = "Close the journal for good";
    const DESCRIPTION: &'static str = "It takes no more commands, ever. Its business goes on in another journal.";
    // Nothing comes after it, so nothing may stand beside it.
    const IS_BULK_ITEM: bool = false;

    fn without_body() -> Option<Self> {
        Some(Self::default())
    }

    fn ask(self, InBody: InBody) -> Result<Asked, FieldProblem> {
        Ok(LedgerCommand::Journal(JournalCommand::Close(self)).into())
    }

    fn examples() -> Vec<Example> {
        vec![
            Example::new("year_is_over", 200, "The last command of a journal")
                .with(key("close"))
                .body(json!({ "reason": "goes on in ledger-2027" })),
            Example::new("closed_before", 422, "Nothing comes after it").with(key("close-2")).body(json!({})),
        ]
    }
}
